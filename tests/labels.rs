//! Labels in force: what the payload reads of its own label, and what the label forbids it. On a host with AppArmor or
//! SELinux, as `make host-test` boots one after the other. Anywhere else every test here says that it is skipped.

mod support;

use rustix::fs::{XattrFlags, lgetxattr, lsetxattr};
use serde_json::json;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard};
use support::{Bundle, leaks, runtime};

/// What a payload with one of our profiles is told to do: name itself, and try the directory that the profile closes.
const SHOW: &str = "cat /proc/self/attr/current; echo x >/open/file && echo wrote; \
                    echo x >/closed/file || echo refused";

/// An AppArmor profile that is loaded for the length of a test.
struct Profile {
    name: String,
    text: String,
}

impl Profile {
    /// Loads a profile that allows everything but writing below `/closed`; nothing, after saying so, where AppArmor is not.
    fn load(bundle: &Bundle) -> Option<Self> {
        if !fs::read_to_string("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text == "Y\n") {
            eprintln!("skipped: AppArmor is not in force here");
            return None;
        }
        let name = bundle.id.clone();
        // A container's paths are not below the host's root; unix and signals as every container profile has them.
        let text = format!(
            "profile {name} flags=(attach_disconnected,mediate_deleted) {{\n  capability,\n  file,\n  mount,\n  \
             network,\n  ptrace,\n  signal,\n  umount,\n  unix,\n  deny /closed/** wkl,\n}}\n"
        );
        let profile = Self { name, text };
        profile.parser("--add");
        Some(profile)
    }

    fn parser(&self, action: &str) {
        let mut child = Command::new("apparmor_parser")
            .args([action, "--skip-cache"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("apparmor_parser");
        child.stdin.take().unwrap().write_all(self.text.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "apparmor_parser {action}:\n{}", self.text);
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        self.parser("--remove");
    }
}

/// A bundle with a directory that the labels leave open and one that they close.
fn bundle(script: &str) -> Bundle {
    let bundle = Bundle::sh(script);
    for name in ["open", "closed"] {
        fs::create_dir(bundle.rootfs().join(name)).unwrap();
    }
    bundle
}

#[test]
fn b12_apparmor_profile_is_in_force_in_init_and_exec() {
    for no_new_privileges in [false, true] {
        let mut bundle = bundle(&format!("{SHOW}; sleep 100"));
        let Some(profile) = Profile::load(&bundle) else { return };
        bundle.set("/process/apparmorProfile", json!(profile.name));
        bundle.set("/process/noNewPrivileges", json!(no_new_privileges));
        let expected = format!("{} (enforce)\nwrote\nrefused\n", profile.name);

        let running = bundle.begin(&mut bundle.run_command(&[]));
        running.await_stdout("refused\n");
        assert_eq!(running.stdout(), expected, "init");
        assert_eq!(bundle.exec_sh(&[], SHOW), expected, "exec takes over what process has");
        assert_eq!(bundle.exec_sh(&["--apparmor", &profile.name], SHOW), expected, "exec is told");
        bundle.kill("KILL").ok();
        running.finish();
        leaks::assert_nothing_left(&bundle);
    }
}

#[test]
fn b12_apparmor_profile_of_exec_alone() {
    let bundle = bundle("sleep 100");
    let Some(profile) = Profile::load(&bundle) else { return };
    bundle.run_detached();
    let expected = format!("{} (enforce)\nwrote\nrefused\n", profile.name);
    assert_eq!(bundle.exec_sh(&["--apparmor", &profile.name], SHOW), expected);
    assert!(bundle.exec_sh(&[], SHOW).starts_with("unconfined\n"));
    bundle.kill_and_delete();
}

#[test]
fn b12_apparmor_profile_that_is_not_loaded_is_refused_and_named() {
    let mut bundle = bundle(SHOW);
    let Some(_profile) = Profile::load(&bundle) else { return };
    bundle.set("/process/apparmorProfile", json!("nosuch-profile"));
    bundle.create().fails("nosuch-profile");
    leaks::assert_nothing_left(&bundle);
}

/// The process label of Debian's policy for containers, with categories of its own.
const PROCESS: &str = "system_u:system_r:container_t:s0:c1,c2";
/// The label of what such a process may write.
const FILE: &str = "system_u:object_r:container_file_t:s0:c1,c2";
/// The label of what it may not.
const OTHERS: &str = "system_u:object_r:container_file_t:s0:c3,c4";

/// SELinux's mode is the host's: one test at a time.
static MODE: Mutex<()> = Mutex::new(());

/// SELinux for the length of a test, permissive at its end.
struct Selinux {
    _alone: MutexGuard<'static, ()>,
}

impl Selinux {
    /// Nothing, after saying so, where SELinux is not active.
    fn new() -> Option<Self> {
        if !fs::exists("/sys/fs/selinux/enforce").unwrap() {
            eprintln!("skipped: SELinux is not active here");
            return None;
        }
        let alone = MODE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Some(Self { _alone: alone })
    }

    fn enforce(&self, enforce: bool) {
        fs::write("/sys/fs/selinux/enforce", if enforce { "1" } else { "0" }).unwrap();
    }
}

impl Drop for Selinux {
    fn drop(&mut self) {
        self.enforce(false);
    }
}

/// Labels a tree.
fn label(path: &Path, label: &str) {
    lsetxattr(path, "security.selinux", label.as_bytes(), XattrFlags::empty())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).unwrap() {
            self::label(&entry.unwrap().path(), label);
        }
    }
}

fn label_of(path: &Path) -> String {
    let mut buffer = [0; 256];
    let length = lgetxattr(path, "security.selinux", &mut buffer)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    String::from_utf8_lossy(&buffer[..length]).trim_end_matches('\0').to_owned()
}

#[test]
fn b13_selinux_label_is_that_of_init_and_exec() {
    let Some(_selinux) = Selinux::new() else { return };
    let show = "cat /proc/self/attr/current | tr '\\0' '\\n'";
    let mut bundle = bundle("sleep 100");
    bundle.set("/process/selinuxLabel", json!(PROCESS));
    bundle.run_detached();
    let of_init = fs::read_to_string(format!("/proc/{}/attr/current", bundle.pid())).unwrap();
    assert_eq!(of_init.trim_end_matches('\0'), PROCESS);
    assert_eq!(bundle.exec_sh(&[], show).trim_end(), PROCESS, "exec takes over what process has");
    let other = "system_u:system_r:container_t:s0:c5,c6";
    assert_eq!(bundle.exec_sh(&["--process-label", other], show).trim_end(), other, "exec is told");
    bundle.kill_and_delete();
}

#[test]
fn b13_selinux_label_that_the_policy_lacks_is_refused_and_named() {
    let Some(_selinux) = Selinux::new() else { return };
    let mut bundle = bundle("true");
    bundle.set("/process/selinuxLabel", json!("system_u:system_r:nosuch_t:s0"));
    bundle.create().fails("nosuch_t");
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn l15_mount_label_is_on_the_file_systems_of_the_container() {
    let Some(_selinux) = Selinux::new() else { return };
    let mut bundle = bundle("sleep 100");
    bundle.set("/linux/mountLabel", json!(FILE));
    bundle.mount("/tmp", "tmpfs", "tmpfs", &["nosuid", "nodev"]);
    bundle.run_detached();
    let root = format!("/proc/{}/root", bundle.pid());
    for place in ["dev", "dev/pts", "dev/shm", "dev/mqueue", "tmp"] {
        assert_eq!(label_of(&Path::new(&root).join(place)), FILE, "{place}");
    }
    assert_eq!(bundle.exec_sh(&[], "touch /tmp/file && echo made"), "made\n");
    assert_eq!(label_of(&Path::new(&root).join("tmp/file")), FILE);
    bundle.kill_and_delete();
}

#[test]
fn b13_selinux_label_is_in_force_where_the_policy_is_enforced() {
    let Some(selinux) = Selinux::new() else { return };
    // Each round writes into what is its own, then tries what has the categories of others; it says so by a file.
    let script = "while :; do if echo x >/open/file && ! echo x >>/closed/file; then echo x >/open/refused; fi; \
                  sleep 0.1; done";
    let mut bundle = bundle(script);
    label(&bundle.rootfs(), FILE);
    fs::write(bundle.rootfs().join("closed/file"), "").unwrap();
    label(&bundle.rootfs().join("closed"), OTHERS);
    bundle.set("/process/selinuxLabel", json!(PROCESS)).set("/linux/mountLabel", json!(FILE));
    bundle.run_detached();
    let written = bundle.rootfs().join("closed/file");
    runtime::eventually(|| fs::metadata(&written).unwrap().len() > 0, || "permissive: it writes".into());
    assert!(!fs::exists(bundle.rootfs().join("open/refused")).unwrap(), "permissive: nothing is refused");
    selinux.enforce(true);
    runtime::eventually(
        || fs::exists(bundle.rootfs().join("open/refused")).unwrap(),
        || "enforcing: the file of others is closed".into(),
    );
    selinux.enforce(false);
    bundle.kill_and_delete();
}
