//! A cgroup file system that we may not write to, as a rootless user meets it.

use super::*;

#[test]
#[ignore = "run by main.rs in a private mount namespace"]
fn a_rootless_container_without_limits_goes_without_a_cgroup() {
    let plan = CgroupPlan { tolerate_permission: true, device_program: None, ..plan("tolerant", "{}") };
    let manager = cgroup::create(&plan).expect("tolerated").commit();
    assert_eq!(manager.location().directories, []);
    let join = manager.join().expect("join");
    assert!(join.tasks.is_empty() && join.into.is_none());
    assert_eq!(manager.pids().expect("pids"), []);
    manager.kill_all().expect("nobody to kill");
    manager.remove().expect("nothing to remove");
    assert_eq!(
        manager.freeze().expect_err("nothing to freeze").to_string(),
        "the container has no cgroup to freeze"
    );
}

#[test]
#[ignore = "run by main.rs in a private mount namespace"]
fn else_it_is_an_error_with_a_hint() {
    let plan = plan("strict", "{}");
    let (message, hint) = refusal(cgroup::create(&plan));
    let path = &plan.location.directories[0].path;
    assert_eq!(message, format!("make cgroup {path}: read-only file system"));
    assert_eq!(hint, "the cgroup file system is mounted read-only here");
}
