//! Every number that a call may have, as intervals that a filter treats alike.

use super::arch::X32_BIT;
use super::calls::{self, Calls, Verdict};
use super::rules::{self, Rules};
use super::{Arch, BAD_ARCH, Section};
use crate::error::Result;

/// Numbers from `start` to the start of the next segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// The first number.
    pub(super) start: u32,
    /// What the filter does about them.
    pub(super) verdict: Verdict,
}

/// The segments of all numbers from 0 to `u32::MAX`, for calls of one `seccomp_data.arch`.
///
/// # Errors
/// See [`calls::of`].
pub(super) fn of(section: &Section, rules: &Rules, native: Arch) -> Result<Vec<Segment>> {
    let unknown = rules.newer_calls_are_unknown.then(|| rules::fails_with(native.enosys()));
    let mut line = Line { segments: Vec::new(), default: rules.default_action };
    let numbers =
        |abi: Arch| if section.abis.contains(&abi) { calls::of(abi, rules).map(Some) } else { Ok(None) };
    if section.token == Arch::X86_64.token() {
        line.x86(numbers(Arch::X86_64)?, numbers(Arch::X32)?, unknown);
    } else {
        let abi = section.abis[0];
        let mut calls = calls::of(abi, rules)?;
        if let (Some(unknown), Some(_), true) = (unknown, calls.highest, abi.zero_is_unknown()) {
            calls.verdicts.retain(|(number, _)| *number != 0);
            calls.verdicts.insert(0, (0, Verdict::Return(unknown)));
        }
        line.calls(0, calls, unknown);
    }
    Ok(line.segments)
}

/// Whether a call may be made under the filter, with some arguments at least.
pub(super) fn may_pass(segments: &[Segment], number: u32, default: u32) -> bool {
    // SECCOMP_RET_USER_NOTIF, TRACE, LOG and ALLOW are the highest; KILL_PROCESS is below zero.
    let passes = |value: u32| value as i32 >= 0x7fc0_0000;
    let following = segments.partition_point(|segment| segment.start <= number);
    match segments[..following].last().map(|segment| &segment.verdict) {
        Some(Verdict::Decide(paths)) => passes(default) || paths.iter().any(|path| passes(path.action)),
        Some(Verdict::Return(value)) => passes(*value),
        None => false,
    }
}

/// Whether a call may be made under the filter at once, whatever its arguments: nobody is asked.
pub(super) fn passes(segments: &[Segment], number: u32) -> bool {
    let following = segments.partition_point(|segment| segment.start <= number);
    // SECCOMP_RET_LOG and ALLOW.
    matches!(
        segments[..following].last().map(|segment| &segment.verdict),
        Some(Verdict::Return(value)) if *value as i32 >= 0x7ffc_0000
    )
}

/// Segments in the making, from number 0 upward.
struct Line {
    segments: Vec<Segment>,
    default: u32,
}

impl Line {
    /// The two ABIs that share a token: a bit of the number says which one is meant, so each has a quarter twice.
    ///
    /// Where only one of them is filtered, numbers of the other are those of an ABI that the profile does not list,
    /// save -1: a tracer sets that to skip a call, and the filter is run once more then.
    fn x86(&mut self, wide: Option<Calls>, x32: Option<Calls>, unknown: Option<u32>) {
        let wide_beyond = wide.as_ref().and_then(|calls| calls.highest).and(unknown);
        let x32_beyond = x32.as_ref().and_then(|calls| calls.highest).and(unknown);
        let has_x32 = x32.is_some();
        match wide {
            Some(calls) => self.calls(0, calls, unknown),
            None => self.from(0, Verdict::Return(BAD_ARCH)),
        }
        match x32 {
            Some(calls) => self.calls(X32_BIT, calls, unknown),
            None => self.from(X32_BIT, Verdict::Return(BAD_ARCH)),
        }
        let otherwise = if has_x32 { self.default } else { BAD_ARCH };
        self.from(2 * X32_BIT, Verdict::Return(wide_beyond.unwrap_or(otherwise)));
        self.from(3 * X32_BIT, Verdict::Return(x32_beyond.unwrap_or(otherwise)));
        if !has_x32 {
            self.from(u32::MAX, Verdict::Return(self.default));
        }
    }

    /// The calls of an ABI whose numbers begin with `start`.
    fn calls(&mut self, start: u32, calls: Calls, unknown: Option<u32>) {
        self.from(start, Verdict::Return(self.default));
        for (number, verdict) in calls.verdicts {
            self.from(number, verdict);
            self.from(number + 1, Verdict::Return(self.default));
        }
        if let (Some(highest), Some(unknown)) = (calls.highest, unknown) {
            self.from(highest + 1, Verdict::Return(unknown));
        }
    }

    /// From `start` on, the verdict is this one.
    fn from(&mut self, start: u32, verdict: Verdict) {
        if self.segments.last().is_some_and(|last| last.start == start) {
            self.segments.pop();
        }
        if self.segments.last().is_none_or(|last| last.verdict != verdict) {
            self.segments.push(Segment { start, verdict });
        }
    }
}
