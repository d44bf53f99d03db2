//! A host whose pid 1 is systemd, with an ordinary user whose manager runs: with cgroup v2 alone, or with v1. `make host-test` boots
//! both.

use super::{Bundle, Outcome};
use rustix::fs::{FlockOperation, flock};
use serde_json::json;
use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

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

/// A bundle whose `cgroupsPath` names its unit.
pub fn bundle(script: &str) -> Bundle {
    let mut bundle = Bundle::sh(script);
    let path = format!("corten.slice:test:{}", bundle.id);
    bundle.set("/linux/cgroupsPath", json!(path));
    bundle
}

/// That unit.
pub fn scope(bundle: &Bundle) -> String {
    format!("test-{}.scope", bundle.id)
}

pub fn call(bundle: &Bundle, words: &[&str]) -> Outcome {
    bundle.write_config();
    bundle.finish(&mut bundle.command(words))
}

pub fn run(bundle: &Bundle) -> Outcome {
    call(bundle, &["--systemd-cgroup", "run", "--bundle", "bundle", &bundle.id])
}

pub fn run_detached(bundle: &Bundle) {
    let words =
        ["--systemd-cgroup", "run", "--detach", "--pid-file", "pid", "--bundle", "bundle", &bundle.id];
    call(bundle, &words).ok();
}

/// Bundles that print `/proc/self/cgroup`, each with another form of `cgroupsPath`, and where their units' cgroups are.
pub fn named_units() -> Vec<(Bundle, String)> {
    let cases: [(Option<&str>, &str); 5] = [
        (None, "/system.slice/corten-ID.scope"),
        (Some(":p:ID"), "/system.slice/p-ID.scope"),
        (Some("-::ID"), "/ID.scope"),
        (Some("corten-a-b.slice:cri:ID"), "/corten.slice/corten-a.slice/corten-a-b.slice/cri-ID.scope"),
        (Some("corten.slice:x:corten-ID.slice"), ""),
    ];
    let named = cases.map(|(path, expected)| {
        let mut bundle = Bundle::sh("cat /proc/self/cgroup");
        match path {
            Some(path) => bundle.set("/linux/cgroupsPath", json!(path.replace("ID", &bundle.id.clone()))),
            None => bundle.unset("/linux/cgroupsPath"),
        };
        // The dashes of the id are levels of slices.
        let mut slice = String::from("/corten.slice");
        let mut stem = String::from("corten");
        for part in bundle.id.split('-') {
            stem = format!("{stem}-{part}");
            slice = format!("{slice}/{stem}.slice");
        }
        let expected = if expected.is_empty() { slice } else { expected.replace("ID", &bundle.id) };
        (bundle, expected)
    });
    named.into()
}

/// One that runs out of memory; its unit must not stay as a failed one.
pub fn out_of_memory() -> Bundle {
    let mut bundle = bundle("sleep 0.2; x=$(head -c 60m /dev/zero | tr '\\0' x); echo survived");
    bundle.set("/linux/resources/memory", json!({ "limit": 16_777_216, "swap": 16_777_216 }));
    let outcome = run(&bundle);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(137), ""), "{outcome:#?}");
    bundle
}

/// One whose unit another container wanted too, in vain; it has run on until it was deleted.
pub fn wanted_by_two() -> Bundle {
    let first = bundle("sleep 100");
    run_detached(&first);
    let mut second = bundle("true");
    second.set("/linux/cgroupsPath", first.config["linux"]["cgroupsPath"].clone());
    run(&second).fails("container's cgroup is not empty: 1 process(es) found");
    assert_eq!(first.status(), "running");
    assert_eq!(property(&scope(&first), "ActiveState"), "active");
    first.delete_force().ok();
    first
}

/// One with a limit that the kernel refuses.
pub fn refused() -> Bundle {
    let mut bundle = bundle("true");
    bundle.set("/linux/resources/cpu", json!({ "cpus": "900" }));
    run(&bundle).fails("linux.resources.cpu.cpus");
    bundle
}

/// Kills `create` at some points, and calls `check` each time when `delete --force` was there.
pub fn kill_creators(check: impl Fn(&Bundle)) {
    let bundle = bundle("sleep 100");
    bundle.write_config();
    for delay in [0, 2, 5, 10, 20, 30, 40, 60, 90, 120] {
        let words = ["--systemd-cgroup", "create", "--bundle", "bundle", &bundle.id];
        let mut child = bundle.command(&words).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(delay));
        child.kill().unwrap();
        child.wait().unwrap();
        bundle.delete_force().ok();
        check(&bundle);
    }
}
