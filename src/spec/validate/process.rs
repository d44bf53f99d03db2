//! `process` of `config.json` and the document of `exec --process` (config.md, "Process").

use super::{absolute, scheduling, wrong};
use crate::error::Result;
use crate::spec::capabilities;
use crate::spec::process::{Capabilities, Process, Rlimit};
use std::collections::BTreeSet;

/// All bits that a umask has.
const UMASK: u32 = 0o777;

/// `NGROUPS_MAX` (linux/limits.h).
const GROUPS: usize = 65536;

/// Judges a process. `at` is where it stands in its file: `process.` in `config.json`, nothing in a file of its own.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn process(at: &str, process: &Process, warnings: &mut Vec<String>) -> Result<()> {
    absolute(&process.cwd, || format!("{at}cwd"))?;
    args(at, &process.args)?;
    env(at, &process.env)?;
    terminal(at, process)?;
    ids(at, process)?;
    if let Some(umask) = process.user.umask.filter(|umask| *umask > UMASK) {
        return Err(wrong(
            format_args!("{at}user.umask"),
            format_args!("{umask} (0{umask:o}) is above 0777"),
        ));
    }
    if let Some(score) = process.oom_score_adj.filter(|score| !(-1000..=1000).contains(score)) {
        return Err(wrong(
            format_args!("{at}oomScoreAdj"),
            format_args!("{score} is not between -1000 and 1000"),
        ));
    }
    if let Some(capabilities) = &process.capabilities {
        unknown_capabilities(at, capabilities, warnings);
    }
    rlimits(at, &process.rlimits, warnings)?;
    if let Some(scheduler) = &process.scheduler {
        scheduling::scheduler(at, scheduler)?;
    }
    if let Some(priority) = &process.io_priority {
        scheduling::io_priority(at, *priority)?;
    }
    Ok(())
}

/// The kernel takes the highest id for "leave it as it is", and callers know runc's range.
fn ids(at: &str, process: &Process) -> Result<()> {
    let user = &process.user;
    let named = [("user.uid", user.uid), ("user.gid", user.gid)].into_iter();
    let groups = user.additional_gids.iter().map(|gid| ("user.additionalGids", *gid));
    if user.additional_gids.len() > GROUPS {
        let what =
            format!("{} are more than the {GROUPS} that a process can have", user.additional_gids.len());
        return Err(wrong(format_args!("{at}user.additionalGids"), what));
    }
    match named.chain(groups).find(|(_, id)| i32::try_from(*id).is_err()) {
        Some((property, id)) => Err(wrong(
            format_args!("{at}{property}"),
            format_args!("{id}: uids and gids must be in range 0-2147483647"),
        )),
        None => Ok(()),
    }
}

fn args(at: &str, args: &[String]) -> Result<()> {
    match args.first() {
        None => Err(wrong(format_args!("{at}args"), "must not be empty")),
        // An empty name fails as a program that is not found, in the words that callers match.
        Some(_) => Ok(()),
    }
}

fn env(at: &str, env: &[String]) -> Result<()> {
    for (index, entry) in env.iter().enumerate() {
        let what = match entry.find('=') {
            None => "=",
            Some(0) => "name",
            Some(_) => continue,
        };
        return Err(wrong(format_args!("{at}env[{index}]"), format_args!("{entry:?} has no {what}")));
    }
    Ok(())
}

/// The size must be ignored where there is no terminal.
fn terminal(at: &str, process: &Process) -> Result<()> {
    let Some(size) = process.console_size.filter(|_| process.terminal) else { return Ok(()) };
    for (side, length) in [("height", size.height), ("width", size.width)] {
        if length > u64::from(u16::MAX) {
            let place = format!("{at}consoleSize.{side}");
            return Err(wrong(place, format_args!("{length} is above {}", u16::MAX)));
        }
    }
    Ok(())
}

/// A name that Linux does not know must be warned about and nothing more: all of them in one sorted line, as runc does.
fn unknown_capabilities(at: &str, sets: &Capabilities, warnings: &mut Vec<String>) {
    let sets = [&sets.bounding, &sets.effective, &sets.inheritable, &sets.permitted, &sets.ambient];
    let unknown: BTreeSet<&str> = sets
        .into_iter()
        .flatten()
        .map(String::as_str)
        .filter(|name| capabilities::number(name).is_none())
        .collect();
    if !unknown.is_empty() {
        let names = Vec::from_iter(unknown).join(", ");
        warnings.push(format!("{at}capabilities: ignoring unknown {names}"));
    }
}

/// The specification makes a second limit of a type an error; every peer lets the last one count, and so do we.
fn rlimits(at: &str, limits: &[Rlimit], warnings: &mut Vec<String>) -> Result<()> {
    for (index, Rlimit { kind, soft, hard }) in limits.iter().enumerate() {
        let place = || format!("{at}rlimits[{index}]");
        if soft > hard {
            let what = format!("{kind}: the soft limit {soft} is above the hard limit {hard}");
            return Err(wrong(place(), what));
        }
        if limits[..index].iter().any(|earlier| earlier.kind == *kind) {
            warnings.push(format!("{}: {kind} is listed twice, the last one counts", place()));
        }
    }
    Ok(())
}
