//! Cgroups on a v2 tree alone, as on most of today's machines: mounted over `/sys/fs/cgroup` in a private mount
//! namespace. On a hybrid machine that tree has few controllers; limits are tested on a host of v2 alone.

mod support;

use serde_json::json;
use support::devices::{NOTHING, READ_OF_MISC, misc, with_mknod};
use support::{Bundle, Outcome, cgroups, leaks, skip_on_peer};

#[test]
fn v2_device_program_denies_and_allows_like_the_v1_list() {
    let bundle = with_mknod(json!([{ "allow": false, "access": "rwm" }]));
    assert_eq!(bundle.run_on_v2().ok().stdout, NOTHING);
    let bundle = with_mknod(json!([
        { "allow": false, "access": "rwm" },
        { "allow": true, "type": "c", "major": 10, "minor": misc(), "access": "r" }
    ]));
    assert_eq!(bundle.run_on_v2().ok().stdout, READ_OF_MISC);
}

#[test]
fn v2_cgroup_is_the_configured_one() {
    let bundle = Bundle::sh("grep ^0:: /proc/self/cgroup");
    let outcome = bundle.run_on_v2().ok();
    assert_eq!(outcome.stdout, format!("0::/{}\n", bundle.id));
}

#[test]
fn l10_user_of_the_process_owns_a_cgroup_that_he_sees_and_may_write() {
    if skip_on_peer("runc gives it away by systemd alone, crun to the root of the user namespace") {
        return;
    }
    let script = "cd /sys/fs/cgroup; stat -c %u . cgroup.procs cgroup.kill; mkdir below && stat -c %u below";
    for (option, expected) in [("rw", "1000\n1000\n0\n1000\n"), ("ro", "0\n0\n0\n")] {
        let mut bundle = Bundle::sh(script);
        bundle.namespace("cgroup", None).set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
        bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", &[option, "nosuid", "nodev", "noexec"]);
        assert_eq!(bundle.run_on_v2().stdout, expected, "{option}");
        leaks::assert_nothing_left(&bundle);
    }
}

#[test]
fn v2_missing_controller_of_unified_is_an_error() {
    let mut bundle = Bundle::new();
    bundle.set("/linux/resources/unified", json!({ "memory.high": "1000000" }));
    if cgroups::v1("memory").is_none() {
        eprintln!("skipped: no controller of v1 that v2 lacks");
        return;
    }
    bundle.run_on_v2().fails("memory.high");
    leaks::assert_nothing_left(&bundle);
}

/// A shell script with the v2 tree alone in place; `"$@"` is the runtime, `$ID` the container.
fn script_on_v2(bundle: &Bundle, script: &str) -> Outcome {
    bundle.finish(&mut bundle.script_on_v2(script))
}

#[test]
fn v2_container_runs_below_a_cgroup_that_was_killed_before() {
    // The kernel kills a CLONE_INTO_CGROUP child at birth where source and target differ in their kills (S16, F4).
    let bundle = Bundle::sh("echo alive");
    let script = "c=/sys/fs/cgroup/$ID-poisoned; mkdir $c; sh -c 'echo $$ > '$c'/cgroup.procs; exec sleep 100' & \
        while [ -z \"$(cat $c/cgroup.procs)\" ]; do sleep 0.01; done; echo 1 > $c/cgroup.kill; wait || true; \
        echo $$ > $c/cgroup.procs; \"$@\" run --bundle bundle $ID; echo $$ > /sys/fs/cgroup/cgroup.procs; rmdir $c";
    let outcome = script_on_v2(&bundle, script);
    assert!(outcome.stdout.contains("alive\n"), "{outcome:#?}");
}

#[test]
fn v2_frozen_container_is_paused_and_deleted_by_force() {
    let bundle = Bundle::sleeper();
    let script = "\"$@\" run --detach --bundle bundle $ID </dev/null >/dev/null 2>&1; \
        echo 1 > /sys/fs/cgroup/$ID/cgroup.freeze; \
        until grep -q '^frozen 1' /sys/fs/cgroup/$ID/cgroup.events; do sleep 0.01; done; \"$@\" state $ID; \"$@\" delete --force $ID";
    let outcome = script_on_v2(&bundle, script).ok();
    assert!(outcome.stdout.contains("\"status\": \"paused\""), "{outcome:#?}");
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn v2_cgroup_below_the_containers_own_is_removed_with_it() {
    // A container with its own cgroup namespace and a writable tree makes children of it.
    if skip_on_peer("runc 1.1 needs a second delete") {
        return;
    }
    let bundle = Bundle::sleeper();
    let script = "\"$@\" run --detach --bundle bundle $ID </dev/null >/dev/null 2>&1; \
        mkdir -p /sys/fs/cgroup/$ID/a/b; \"$@\" delete --force $ID";
    script_on_v2(&bundle, script).ok();
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn v2_kill_without_a_pid_namespace_takes_the_whole_cgroup() {
    if skip_on_peer("runc 1.1 wants --all for it") {
        return;
    }
    let mut bundle = Bundle::sh("sleep 100 & sleep 101 & echo up; wait");
    bundle.without_namespace("pid");
    // A process leaves its cgroup some moments before it has ended.
    let script = "\"$@\" run --detach --pid-file pid --bundle bundle $ID </dev/null >out 2>&1; \
        while ! grep -q up out; do sleep 0.01; done; \"$@\" kill $ID KILL; \
        while [ -n \"$(cat /sys/fs/cgroup/$ID/cgroup.procs)\" ]; do sleep 0.01; done; \
        until \"$@\" state $ID | grep -q stopped; do sleep 0.01; done; \"$@\" delete $ID";
    script_on_v2(&bundle, script).ok();
    leaks::assert_nothing_left(&bundle);
}
