//! A host whose pid 1 is systemd, with an ordinary user whose manager runs: with cgroup v2 alone, or with v1. `make host-test` boots
//! both.

use super::{Bundle, Outcome};
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::path::Path;
use std::process::Command;

/// The ordinary user of the test host; its manager runs and has every controller, and 65,536 subordinate ids from 100,000 on.
pub const USER: u32 = 1000;

/// Takes part in the use of this host's systemd, beside the other tests; nothing, after saying so, where there is no such
/// systemd with cgroup v2 alone. What it returns is held for the length of the test.
pub fn shared() -> Option<File> {
    is_here(true).then(|| lock(FlockOperation::LockShared))
}

/// The same for a test that pauses what the others need.
pub fn alone() -> Option<File> {
    is_here(true).then(|| lock(FlockOperation::LockExclusive))
}

/// The same where systemd has its units in cgroup v1, with or without a unified tree beside it.
pub fn shared_on_v1() -> Option<File> {
    is_here(false).then(|| lock(FlockOperation::LockShared))
}

/// The same for a test that lets systemd execute itself anew, so that others' calls end.
pub fn alone_on_v1() -> Option<File> {
    is_here(false).then(|| lock(FlockOperation::LockExclusive))
}

fn is_here(unified: bool) -> bool {
    let is_unified = Path::new("/sys/fs/cgroup/cgroup.procs").exists();
    let here = Path::new("/run/systemd/system").exists() && is_unified == unified;
    if !here {
        let layout = if unified { "v2 alone" } else { "v1" };
        eprintln!("skipped: no systemd with cgroup {layout}; make host-test boots a host that has it");
    }
    here
}

fn lock(how: FlockOperation) -> File {
    let file = File::create("/run/cortentest.lock").expect("root");
    flock(&file, how).expect("flock");
    file
}

/// What a command that must succeed prints.
#[track_caller]
pub fn output(command: &mut Command) -> String {
    let output = command.output().expect("command");
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// Asks or tells the machine's manager.
#[track_caller]
pub fn systemctl(words: &[&str]) -> String {
    output(Command::new("systemctl").args(words))
}

/// A property as `systemctl show` prints it.
#[track_caller]
pub fn property(unit: &str, name: &str) -> String {
    systemctl(&["show", "--value", "--property", name, unit]).trim().to_owned()
}

/// Calls the runtime as the user, with what he needs to reach his manager.
pub fn as_user(bundle: &Bundle, words: &[&str]) -> Outcome {
    bundle.write_config();
    let user = USER.to_string();
    let runtime = format!("XDG_RUNTIME_DIR=/run/user/{USER}");
    let wrapper =
        ["setpriv", "--reuid", &user, "--regid", &user, "--init-groups", "env", &runtime, "USER=user"];
    bundle.finish(&mut bundle.command_under(&wrapper, words))
}

/// Asks or tells the user's manager.
#[track_caller]
pub fn user_systemctl(words: &[&str]) -> String {
    let user = USER.to_string();
    let wrapper = ["--reuid", &user, "--regid", &user, "--init-groups", "systemctl", "--user"];
    output(
        Command::new("setpriv").args(wrapper).args(words).env("XDG_RUNTIME_DIR", format!("/run/user/{USER}")),
    )
}
