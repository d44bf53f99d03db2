//! A profile read and judged once, for all ABIs: names become calls, words become return values of the filter.

use super::tables::{Known, Names};
use crate::error::{Error, Result};
use crate::spec::seccomp::{Action, Arch, Arg, Operator, Seccomp, Syscall};

/// A profile whose words make sense together.
pub(super) struct Rules {
    /// The filter's return value for a call that no rule matches.
    pub(super) default_action: u32,
    /// Whether calls newer than the profile are to fail with ENOSYS instead.
    pub(super) newer_calls_are_unknown: bool,
    /// The rules in the profile's order, alternatives apart.
    pub(super) list: Vec<Rule>,
    /// Every call that the profile names, also where a rule repeats the default.
    pub(super) named: Vec<Known>,
    /// Whether a rule asks a listener.
    pub(super) notifies: bool,
}

/// Some calls, the conditions on their arguments that must all hold, and what the filter returns then.
pub(super) struct Rule {
    /// The index in `syscalls`, for messages.
    pub(super) place: usize,
    /// The calls, as a range of [`Rules::named`].
    pub(super) calls: std::ops::Range<usize>,
    /// Conditions in the order of their arguments, at most one an argument.
    pub(super) args: Vec<Arg>,
    /// The filter's return value.
    pub(super) action: u32,
}

/// Reads a profile; `native` decides which number ENOSYS is.
///
/// # Errors
/// See [`super::compile`].
pub(super) fn read(profile: &Seccomp, native: Arch) -> Result<Rules> {
    let Some(default) = profile.default_action else {
        return Err(Error::new("linux.seccomp.defaultAction: missing"));
    };
    if default == Action::Notify {
        return Err(Error::new("linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be the default action"));
    }
    let default_action = return_value(default, profile.default_errno_ret)
        .map_err(|error| error.context("linux.seccomp.defaultErrnoRet"))?;
    let mut rules = Rules {
        default_action,
        newer_calls_are_unknown: !matches!(default, Action::Allow | Action::Log | Action::Trace)
            && profile.default_errno_ret != Some(native.enosys()),
        list: Vec::with_capacity(profile.syscalls.len()),
        named: Vec::new(),
        notifies: false,
    };
    let mut names = Names::new();
    for (place, syscall) in profile.syscalls.iter().enumerate() {
        add(&mut rules, &mut names, place, syscall)?;
    }
    Ok(rules)
}

/// Adds one entry of `syscalls`.
fn add(rules: &mut Rules, names: &mut Names, place: usize, syscall: &Syscall) -> Result<()> {
    let at = |property: String| format!("linux.seccomp.syscalls[{place}].{property}");
    let start = rules.named.len();
    for (index, name) in syscall.names.iter().enumerate() {
        match names.find(name) {
            Some(known) => rules.named.push(known),
            None if name.is_empty() => {
                return Err(Error::new("is empty").context(at(format!("names[{index}]"))));
            }
            // A call of a newer kernel, or of another machine: docs/decisions.md.
            None => {}
        }
        // The init of the container reports the listener's descriptor with write(2): asking about that would wait for
        // the agent who is yet to get the descriptor.
        if syscall.action == Action::Notify && name == "write" {
            return Err(
                Error::new("SCMP_ACT_NOTIFY cannot be used for write").context(at(format!("names[{index}]")))
            );
        }
    }
    let action = return_value(syscall.action, syscall.errno_ret)
        .map_err(|error| error.context(at("errnoRet".into())))?;
    rules.notifies |= syscall.action == Action::Notify && !syscall.names.is_empty();
    let mut seen = [0; 6];
    for (index, arg) in syscall.args.iter().enumerate() {
        match seen.get_mut(arg.index as usize) {
            Some(count) => *count += 1,
            None => {
                let number = arg.index;
                return Err(
                    Error::new(format!("{number} is not 0 to 5")).context(at(format!("args[{index}].index")))
                );
            }
        }
    }
    if action == rules.default_action {
        return Ok(());
    }
    let calls = start..rules.named.len();
    if seen.iter().all(|count| *count < 2) {
        let mut args = syscall.args.clone();
        args.sort_by_key(|arg| arg.index);
        rules.list.push(Rule { place, calls, args, action });
    } else {
        let alone = |arg: &Arg| Rule { place, calls: calls.clone(), args: vec![*arg], action };
        rules.list.extend(syscall.args.iter().map(alone));
    }
    Ok(())
}

/// What a filter returns for an action: `SECCOMP_RET_*` with its data (`linux/seccomp.h`).
fn return_value(action: Action, errno: Option<u32>) -> Result<u32> {
    let (word, takes_errno) = match action {
        Action::KillThread => (0, false),
        Action::KillProcess => (0x8000_0000, false),
        Action::Trap => (0x0003_0000, false),
        Action::Errno => (0x0005_0000, true),
        Action::Notify => (0x7fc0_0000, false),
        Action::Trace => (0x7ff0_0000, true),
        Action::Log => (0x7ffc_0000, false),
        Action::Allow => (0x7fff_0000, false),
    };
    match errno {
        None if takes_errno => Ok(word | libc::EPERM as u32),
        None => Ok(word),
        Some(_) if !takes_errno => Err(Error::new(format!("{action} takes no errno"))),
        Some(errno) if errno > 0xffff => Err(Error::new(format!("{errno} is more than 65535"))),
        Some(errno) => Ok(word | errno),
    }
}

/// What a filter returns so that a call fails with this errno.
pub(super) fn fails_with(errno: u32) -> u32 {
    0x0005_0000 | errno
}

/// A condition in the form that all ABIs of a width share: the argument masked, compared with a masked datum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    /// Which argument: 0 to 5.
    pub(super) index: u32,
    /// How it is compared.
    pub(super) op: Operator,
    /// Which bits count; all of them except for [`Operator::MaskedEqual`].
    pub(super) mask: u64,
    /// What they are compared with.
    pub(super) datum: u64,
}

impl Condition {
    /// The condition on an ABI whose arguments have 64 bits (`wide`) or 32; `None` if it always holds.
    pub(super) fn new(arg: &Arg, wide: bool) -> Option<Self> {
        let all = if wide { u64::MAX } else { u64::from(u32::MAX) };
        let (mask, datum) = match arg.op {
            Operator::MaskedEqual => (arg.value & all, arg.value_two),
            _ => (all, arg.value),
        };
        (mask != 0).then_some(Self { index: arg.index, op: arg.op, mask, datum: datum & mask })
    }
}
