//! A kernel that lacks calls, or a filter above us that denies them: `WITHOUT=openat2,clone3` takes these system calls away from
//! every command that a test starts, and from all that comes of it. They answer ENOSYS.
//!
//! `integration/fallbacks.py` runs tests so, set by set.

use libseccomp::{ScmpAction, ScmpFilterContext, ScmpSyscall};
use std::io;
use std::process::{Child, Command};

/// The calls that are taken away.
pub fn calls() -> Vec<String> {
    let list = std::env::var("WITHOUT").unwrap_or_default();
    list.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Starts a command below the filter, if there are calls to take away.
///
/// A filter is a thread's own and inherited by its children: the test itself, and what it asks the kernel, stays without one.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    let calls = calls();
    if calls.is_empty() {
        return command.spawn();
    }
    let below = || {
        take_away(&calls).unwrap_or_else(|error| panic!("WITHOUT={}: {error}", calls.join(",")));
        command.spawn()
    };
    std::thread::scope(|scope| scope.spawn(below).join()).unwrap()
}

fn take_away(calls: &[String]) -> Result<(), libseccomp::error::SeccompError> {
    let mut filter = ScmpFilterContext::new(ScmpAction::Allow)?;
    // It must not change what the container may become.
    filter.set_ctl_nnp(false)?;
    for call in calls {
        filter.add_rule(ScmpAction::Errno(libc::ENOSYS), ScmpSyscall::from_name(call)?)?;
    }
    filter.load()
}
