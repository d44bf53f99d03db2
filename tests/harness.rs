//! The harness itself: a test that leaves something behind fails, and what it left is swept away.

mod support;

use rustix::mount::{MountFlags, mount};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use support::elf::{Call, prober};
use support::{Bundle, cgroups, leaks, without};

/// Ends a test that has left something behind, and returns what the leak check says about it.
fn verdict(bundle: Bundle) -> String {
    let (id, dir) = (bundle.id.clone(), bundle.dir.clone());
    let panic = catch_unwind(AssertUnwindSafe(|| drop(bundle))).expect_err("the leak check has seen nothing");
    assert!(cgroups::named(&id).is_empty(), "cgroups are swept");
    assert!(!dir.exists(), "the directory is removed");
    assert!(!fs::read_to_string("/proc/self/mountinfo").unwrap().contains(&id), "mounts are swept");
    panic.downcast_ref::<String>().unwrap().clone()
}

#[test]
fn container_that_is_not_deleted_fails_the_test() {
    let bundle = Bundle::sleeper();
    bundle.create().ok();
    let pid = bundle.pid();
    let said = verdict(bundle);
    for what in ["process ", "cgroup /", "state /"] {
        assert!(said.contains(what), "{what}: {said}");
    }
    assert!(support::runtime::dies_within(pid, std::time::Duration::from_secs(1)));
}

#[test]
fn cgroup_that_is_left_fails_the_test() {
    let bundle = Bundle::new();
    let (hierarchy, _) = cgroups::hierarchies()
        .into_iter()
        .find(|(point, names)| point.ends_with("pids") || names.is_empty())
        .unwrap();
    fs::create_dir(hierarchy.join(&bundle.id)).unwrap();
    assert!(verdict(bundle).contains("cgroup /"));
}

#[test]
fn mount_that_is_left_fails_the_test() {
    let bundle = Bundle::new();
    mount("leak", bundle.rootfs().join("tmp"), "tmpfs", MountFlags::empty(), None).unwrap();
    assert!(verdict(bundle).contains("mount "));
}

#[test]
fn descriptor_that_is_left_fails_the_test() {
    let bundle = Bundle::new();
    let file = fs::File::create(bundle.dir.join("open")).unwrap();
    assert!(verdict(bundle).contains("descriptor of the test: "));
    drop(file);
}

#[test]
fn process_that_is_left_fails_the_test() {
    let bundle = Bundle::new();
    let mut command = std::process::Command::new("sleep");
    let mut child = command.arg("100").env("CORTENTEST", &bundle.id).spawn().unwrap();
    // The kernel shows the words of a new program a moment after the exec.
    let said = || leaks::litter(&bundle).join("\n");
    support::runtime::eventually(|| said().contains("sleep 100"), said);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The calls that `integration/fallbacks.py` takes away, by their numbers on x86-64, with arguments that do nothing.
const TAKEN_AWAY: &[(&str, u32)] = &[
    ("open_tree", 428),
    ("move_mount", 429),
    ("fsopen", 430),
    ("fsconfig", 431),
    ("fsmount", 432),
    ("fspick", 433),
    ("clone3", 435),
    ("close_range", 436),
    ("openat2", 437),
    ("pidfd_getfd", 438),
    ("pidfd_open", 434),
    ("pidfd_send_signal", 424),
    ("mount_setattr", 442),
];

#[cfg(target_arch = "x86_64")]
#[test]
fn calls_that_are_taken_away_do_not_exist_in_what_a_test_starts() {
    let taken = without::calls();
    let calls: Vec<_> = TAKEN_AWAY.iter().map(|(_, number)| Call(*number, [u64::MAX; 6])).collect();
    let bundle = Bundle::new();
    let prober_path = bundle.dir.join("prober");
    fs::write(&prober_path, prober(&calls)).unwrap();
    fs::set_permissions(&prober_path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let outcome = bundle.finish(&mut std::process::Command::new(&prober_path)).ok();
    let answers = fs::read(&outcome.files.0).unwrap();
    assert_eq!(answers.len(), calls.len());
    for ((name, _), answer) in TAKEN_AWAY.iter().zip(answers) {
        assert_eq!(answer == libc::ENOSYS as u8, taken.iter().any(|call| call == name), "{name}: {answer}");
    }
    assert!(taken.iter().all(|call| TAKEN_AWAY.iter().any(|(name, _)| name == call)), "{taken:?}");
}
