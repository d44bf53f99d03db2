//! When the process gets the CPU and the disk, where its memory comes from and what of the caches is its own: `scheduler`,
//! `ioPriority`, `memoryPolicy`, `intelRdt`.

mod support;

use serde_json::{Value, json};
use std::fs;
use std::process::Command;
use support::{Bundle, cgroups, leaks, skip_on_peer};

/// Nice value, real-time priority and policy of the payload (proc_pid_stat(5), fields 19, 40 and 41).
const SHOW: &str = "cut -d' ' -f19,40,41 /proc/1/stat";

fn with_scheduler(scheduler: Value) -> Bundle {
    let mut bundle = Bundle::new();
    bundle.set("/process/scheduler", scheduler);
    // Real time is refused to a cgroup v1 without a budget for it.
    if cgroups::v1("cpu").is_some() {
        bundle.set("/linux/resources/cpu", json!({ "realtimeRuntime": 10_000, "realtimePeriod": 1_000_000 }));
    }
    bundle
}

/// What a tool of util-linux says of init, which waits for its start.
fn told_of_init(bundle: &Bundle, tool: &str) -> String {
    bundle.create().ok();
    let output = Command::new(tool).arg("-p").arg(bundle.pid().to_string()).output().unwrap();
    bundle.delete_force().ok();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn b16_scheduler_is_set() {
    if skip_on_peer("runc 1.1 has no scheduler") {
        return;
    }
    for (scheduler, seen) in [
        (json!({ "policy": "SCHED_OTHER", "nice": 5 }), "5 0 0\n"),
        (json!({ "policy": "SCHED_OTHER", "nice": -5 }), "-5 0 0\n"),
        (json!({ "policy": "SCHED_BATCH", "nice": 7 }), "7 0 3\n"),
        (json!({ "policy": "SCHED_IDLE" }), "0 0 5\n"),
        (json!({ "policy": "SCHED_FIFO", "priority": 9 }), "0 9 1\n"),
        (json!({ "policy": "SCHED_RR", "priority": 3 }), "0 3 2\n"),
    ] {
        let mut bundle = with_scheduler(scheduler.clone());
        // Becoming the user and losing the capabilities must not come first.
        bundle.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
        assert_eq!(bundle.payload(SHOW), seen, "{scheduler}");
    }
}

#[test]
fn b16_scheduler_of_a_user_namespace_is_set_by_the_runtime() {
    if skip_on_peer("runc has init do it, which has no right to") {
        return;
    }
    let mut bundle = with_scheduler(json!({ "policy": "SCHED_FIFO", "priority": 9 }));
    bundle.user_namespace(100_000, 65_536);
    bundle.set("/process/ioPriority", json!({ "class": "IOPRIO_CLASS_RT", "priority": 2 }));
    assert_eq!(bundle.payload(SHOW), "0 9 1\n");
    assert_eq!(told_of_init(&bundle, "ionice"), "realtime: prio 2\n");
}

#[test]
fn b16_scheduler_flags_are_set() {
    if skip_on_peer("runc 1.1 has no scheduler") {
        return;
    }
    let flags = json!(["SCHED_FLAG_RESET_ON_FORK"]);
    let bundle = with_scheduler(json!({ "policy": "SCHED_FIFO", "priority": 9, "flags": flags }));
    let told = told_of_init(&bundle, "chrt");
    assert!(told.contains("SCHED_FIFO|SCHED_RESET_ON_FORK"), "{told}");
}

#[test]
fn b16_deadline_has_its_three_times() {
    if skip_on_peer("runc 1.1 has no scheduler") {
        return;
    }
    let times = json!({
        "policy": "SCHED_DEADLINE", "runtime": 1_000_000, "deadline": 5_000_000, "period": 10_000_000,
        "flags": ["SCHED_FLAG_RECLAIM", "SCHED_FLAG_RESET_ON_FORK"]
    });
    let mut bundle = Bundle::new();
    bundle.set("/process/scheduler", times);
    let told = told_of_init(&bundle, "chrt");
    assert!(told.contains("SCHED_DEADLINE"), "{told}");
    assert!(told.contains("1000000/5000000/10000000"), "{told}");
}

#[test]
fn b16_deadline_on_some_processors_is_refused_with_the_reason() {
    if skip_on_peer("runc 1.1 has no scheduler") {
        return;
    }
    if cgroups::v1("cpuset").is_none() {
        eprintln!("skipped: no cpuset in cgroup v1");
        return;
    }
    let mut bundle = Bundle::new();
    bundle.set(
        "/process/scheduler",
        json!({ "policy": "SCHED_DEADLINE", "runtime": 1_000_000, "deadline": 5_000_000 }),
    );
    bundle.set("/linux/resources/cpu", json!({ "cpus": "0" }));
    let place = "process.scheduler: set SCHED_DEADLINE runtime 1000000 deadline 5000000 period 0 ns: ";
    let outcome = bundle.create().fails(&format!("{place}operation not permitted"));
    let hint = "hint: SCHED_DEADLINE can't be used together with linux.resources.cpu.cpus";
    assert!(outcome.stderr.contains(hint), "{outcome:#?}");
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn b17_io_priority_is_set() {
    if skip_on_peer("runc 1.1 has no ioPriority") {
        return;
    }
    for (class, said) in [
        ("IOPRIO_CLASS_RT", "realtime: prio 3\n"),
        ("IOPRIO_CLASS_BE", "best-effort: prio 3\n"),
        ("IOPRIO_CLASS_IDLE", "idle\n"),
    ] {
        let mut bundle = Bundle::new();
        bundle.set("/process/ioPriority", json!({ "class": class, "priority": 3 }));
        bundle.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
        assert_eq!(told_of_init(&bundle, "ionice"), said, "{class}");
    }
}

/// True where the kernel has no NUMA, after saying so.
fn lacks_policies() -> bool {
    let lacks = fs::metadata("/proc/self/numa_maps").is_err();
    if lacks {
        eprintln!("skipped: the kernel has no memory policies");
    }
    lacks
}

#[test]
fn l17_memory_policy_is_set() {
    if skip_on_peer("runc 1.1 has no memoryPolicy") || lacks_policies() {
        return;
    }
    for (policy, seen) in [
        (json!({ "mode": "MPOL_DEFAULT", "nodes": "" }), "default\n"),
        (json!({ "mode": "MPOL_LOCAL" }), "local\n"),
        (json!({ "mode": "MPOL_BIND", "nodes": "0" }), "bind:0\n"),
        (json!({ "mode": "MPOL_INTERLEAVE", "nodes": "0" }), "interleave:0\n"),
        (json!({ "mode": "MPOL_PREFERRED", "nodes": "0" }), "prefer:0\n"),
        (json!({ "mode": "MPOL_PREFERRED_MANY", "nodes": "0" }), "prefer (many):0\n"),
        (json!({ "mode": "MPOL_WEIGHTED_INTERLEAVE", "nodes": "0" }), "weighted interleave:0\n"),
        (json!({ "mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"] }), "bind=static:0\n"),
        (
            json!({ "mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_RELATIVE_NODES"] }),
            "bind=relative:0\n",
        ),
    ] {
        let mut bundle = Bundle::new();
        bundle.set("/linux/memoryPolicy", policy.clone());
        let shown = bundle.payload("head -n1 /proc/self/numa_maps");
        let shown = shown.split_once(' ').unwrap().1;
        assert!(shown.starts_with(seen.trim_end()), "{policy}: {shown}");
    }
}

#[test]
fn l18_without_resctrl_the_reason_is_said() {
    // All else of intelRdt is tested against a fake tree (src/container/resctrl.rs): no processor here has it.
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    if skip_on_peer("runc has other words") {
        return;
    }
    if mounts.contains(" - resctrl ") {
        return eprintln!("skipped: resctrl is mounted here");
    }
    let mut bundle = Bundle::new();
    bundle.set("/linux/intelRdt", json!({ "closID": "gold" }));
    let outcome = bundle.create().fails("linux.intelRdt: no resctrl is mounted");
    assert!(outcome.stderr.contains("hint: mount -t resctrl resctrl /sys/fs/resctrl"), "{outcome:#?}");
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn l17_node_that_the_machine_lacks_is_refused_with_the_reason() {
    if skip_on_peer("runc 1.1 has no memoryPolicy") || lacks_policies() {
        return;
    }
    let mut bundle = Bundle::new();
    bundle.set("/linux/memoryPolicy", json!({ "mode": "MPOL_BIND", "nodes": "60-61" }));
    let outcome = bundle.create().fails("linux.memoryPolicy: set MPOL_BIND of nodes 60-61: invalid argument");
    assert!(outcome.stderr.contains("hint: the machine or linux.resources.cpu.mems"), "{outcome:#?}");
    leaks::assert_nothing_left(&bundle);
}
