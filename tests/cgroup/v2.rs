//! Cgroup v2 alone.

use super::*;
use corten::plan::devices;
use corten::spec::resources::DeviceRule;
use corten::sys::bpf;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

/// Runs a command in the cgroup; its standard error.
fn in_cgroup(plan: &CgroupPlan, command: &str) -> String {
    let script = format!("echo 0 > {}/cgroup.procs && {command}", plan.location.directories[0].path);
    let output = Command::new("sh").args(["-c", &script]).output().expect("sh");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn attached_programs(plan: &CgroupPlan) -> usize {
    let directory = fs::File::open(&plan.location.directories[0].path).expect("directory");
    bpf::device_programs(directory.as_fd()).expect("programs").len()
}

#[test]
#[ignore = "run by main.rs in a private mount namespace"]
fn a_denied_device_is_eperm() {
    let plan = plan("devices", "{}");
    assert_eq!(plan.location.mode, Mode::V2);
    let cleanup = create(&plan);
    assert_eq!(attached_programs(&plan), 1);
    assert_eq!(in_cgroup(&plan, "head -c 1 /dev/zero > /dev/null"), "");
    let denied = in_cgroup(&plan, "head -c 1 /dev/loop0");
    assert!(denied.contains("Operation not permitted"), "{denied}");
    drop(cleanup);
    assert_eq!(left(&plan), Vec::<&str>::new());
}

#[test]
#[ignore = "run by main.rs in a private mount namespace"]
fn a_rule_allows_a_part_of_the_access() {
    let plan =
        plan("rule", r#"{"devices": [{"allow": true, "type": "b", "major": 7, "minor": 0, "access": "r"}]}"#);
    let _cleanup = create(&plan);
    let read = in_cgroup(&plan, "head -c 1 /dev/loop0");
    assert!(!read.contains("not permitted"), "{read}");
    let write = in_cgroup(&plan, "exec 3<> /dev/loop0");
    assert!(write.contains("not permitted"), "{write}");
}

#[test]
#[ignore = "run by main.rs in a private mount namespace"]
fn a_reused_cgroup_has_only_the_new_program() {
    let strict = plan("reuse", "{}");
    let _cleanup = create(&strict);
    let loose = plan("reuse", r#"{"devices": [{"allow": true, "type": "b", "major": 7}]}"#);
    let _again = cgroup::create(&loose).expect("reuse").commit();
    assert_eq!(attached_programs(&loose), 1);
    let read = in_cgroup(&loose, "head -c 1 /dev/loop0");
    assert!(!read.contains("not permitted"), "{read}");
}

#[test]
#[ignore = "run by main.rs in a private mount namespace"]
fn everything_allowed_needs_no_program() {
    let plan = plan("all", r#"{"devices": [{"allow": true}]}"#);
    let _cleanup = create(&plan);
    assert_eq!(attached_programs(&plan), 0);
}

#[test]
#[ignore = "run by main.rs in a private mount namespace"]
fn random_programs_pass_the_kernels_verifier() {
    let mut state = 88_172_645_463_325_252u64;
    let mut below = |end: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % end) as i64
    };
    for _ in 0..100 {
        let rules: Vec<DeviceRule> = (0..below(60))
            .map(|_| DeviceRule {
                allow: below(3) > 0,
                kind: ["a", "b", "c"][below(3) as usize].to_owned(),
                major: Some(below(9) - 1),
                minor: Some(below(90) - 1),
                access: ["r", "w", "m", "rw", "rwm"][below(5) as usize].to_owned(),
            })
            .collect();
        let rules = devices::rules(&rules, true).expect("rules");
        if let Some(code) = devices::program(&rules).expect("program") {
            bpf::load_device_program(&code).expect("the verifier accepts it");
        }
    }
}

#[test]
#[ignore = "run by main.rs in a private mount namespace"]
fn life_of_a_cgroup() {
    let ancestor = Ancestor::of("life");
    let top = &ancestor.0;
    let plan = try_plan(&format!("{top}/x"), "{}").expect("plan");
    let cleanup = create(&plan);
    let join = cleanup.0.join().expect("join");
    assert!(join.tasks.is_empty() && join.into.is_some());
    let mut sleeper = Sleeper::start();
    cleanup.0.attach_pid(sleeper.pid()).expect("attach");
    let (message, _) = refusal(cgroup::create(&plan));
    assert!(message.ends_with("container's cgroup is not empty: 1 process(es) found"), "{message}");
    cleanup.0.freeze().expect("freeze");
    assert!(cleanup.0.is_frozen().expect("state"));
    cleanup.0.kill_all().expect("kill");
    assert!(sleeper.is_dead());
    let (message, _) = refusal(cgroup::create(&plan));
    assert!(message.ends_with("container's cgroup unexpectedly frozen"), "{message}");
    cleanup.0.thaw().expect("thaw");
    assert!(!cleanup.0.is_frozen().expect("state"));
    drop(cleanup);
    assert_eq!(left(&plan), Vec::<&str>::new());
}

#[test]
#[ignore = "run by main.rs in a private mount namespace"]
fn an_owner_gets_only_the_delegated_files() {
    let plan = CgroupPlan { owner: Some(1000), ..plan("owner", "{}") };
    let _cleanup = create(&plan);
    let path = &plan.location.directories[0].path;
    let uid = |file: &str| fs::metadata(format!("{path}/{file}")).expect("file").uid();
    assert_eq!((uid(""), uid("cgroup.procs"), uid("cgroup.subtree_control")), (1000, 1000, 1000));
    assert_eq!((uid("cgroup.kill"), uid("cgroup.freeze"), uid("cgroup.max.depth")), (0, 0, 0));
}

#[test]
#[ignore = "run by main.rs in a private mount namespace"]
fn controllers_are_enabled_only_where_needed() {
    if !has(&["hugetlb"]) {
        return;
    }
    let enabled =
        || fs::read_to_string("/sys/fs/cgroup/cgroup.subtree_control").expect("root").trim().to_owned();
    let before = enabled();
    let plan = plan("hugetlb", r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]}"#);
    let cleanup = create(&plan);
    assert_eq!(content(&plan, "hugetlb.2MB.max"), "4194304");
    assert_eq!(content(&plan, "hugetlb.2MB.rsvd.max"), "4194304");
    drop(cleanup);
    if !before.contains("hugetlb") {
        fs::write("/sys/fs/cgroup/cgroup.subtree_control", "-hugetlb").expect("restore");
    }
    assert_eq!(enabled(), before);
}

fn has(controllers: &[&str]) -> bool {
    let host = Cgroups::probe().expect("probe");
    let has = |wanted: &&&str| host.hierarchies[0].controllers.iter().any(|name| name == **wanted);
    let missing: Vec<&&str> = controllers.iter().filter(|wanted| !has(wanted)).collect();
    if !missing.is_empty() {
        eprintln!("skipped: no {missing:?} in cgroup v2 here");
    }
    missing.is_empty()
}

#[test]
#[ignore = "run by main.rs in a private mount namespace"]
fn limits_are_in_the_files() {
    if !has(&["memory", "cpu", "cpuset", "pids", "io"]) {
        return;
    }
    let ancestor = Ancestor::of("limits");
    let top = &ancestor.0;
    let plan = try_plan(
        &format!("{top}/x"),
        r#"{"memory": {"limit": 67108864, "swap": 134217728, "reservation": 33554432},
            "cpu": {"shares": 1024, "quota": 50000, "period": 200000, "burst": 10000, "cpus": "0"},
            "pids": {"limit": 0}, "blockIO": {"weight": 100},
            "unified": {"memory.high": "50331648", "memory.oom.group": "1"}}"#,
    )
    .expect("plan");
    let cleanup = create(&plan);
    for (file, expected) in [
        ("memory.max", "67108864"),
        ("memory.swap.max", "67108864"),
        ("memory.low", "33554432"),
        ("memory.high", "50331648"),
        ("memory.oom.group", "1"),
        ("cpu.weight", "100"),
        ("cpu.max", "50000 200000"),
        ("cpu.max.burst", "10000"),
        ("cpuset.cpus", "0"),
        ("pids.max", "1"),
    ] {
        assert_eq!(content(&plan, file), expected, "{file}");
    }
    for (quota, burst) in [(100_000, 60_000), (20_000, 0), (30_000, 20_000)] {
        let text = format!(r#"{{"cpu": {{"quota": {quota}, "burst": {burst}}}}}"#);
        update(&cleanup.0, &text).expect("update");
        // The period that is not named stays.
        assert_eq!(content(&plan, "cpu.max"), format!("{quota} 200000"));
        assert_eq!(content(&plan, "cpu.max.burst"), burst.to_string());
    }
    // Only what a process gets while it is inside is charged: it must start there.
    let script = format!("echo 0 > {}/cgroup.procs; exec sleep 100", plan.location.directories[0].path);
    let _sleeper = Sleeper(Command::new("sh").args(["-c", &script]).spawn().expect("sh"));
    let end = Instant::now() + Duration::from_secs(5);
    while content(&plan, "memory.current") == "0" {
        assert!(Instant::now() < end, "nothing is charged");
        std::thread::sleep(Duration::from_millis(2));
    }
    let text = r#"{"memory": {"limit": 1, "checkBeforeUpdate": true}}"#;
    let message = update(&cleanup.0, text).expect_err("below the usage").to_string();
    assert!(message.contains("unable to set memory limit to 1 (current usage: "), "{message}");
    drop(cleanup);
}

#[test]
#[ignore = "run by main.rs in a private mount namespace"]
fn a_parent_with_processes_is_named() {
    if !has(&["memory"]) {
        return;
    }
    let parent = plan("parent", "{}");
    let cleanup = create(&parent);
    let sleeper = Sleeper::start();
    cleanup.0.attach_pid(sleeper.pid()).expect("attach");
    let path = &parent.location.directories[0].path;
    let child = try_plan(
        &format!("{}/x", path.trim_start_matches("/sys/fs/cgroup")),
        r#"{"memory": {"limit": 4194304}}"#,
    );
    let (message, hint) = refusal(cgroup::create(&child.expect("plan")));
    assert_eq!(message, format!("enable +memory in cgroup {path}: device or resource busy"));
    assert!(
        hint.starts_with(&format!("{path} holds processes ({})", sleeper.pid().as_raw_nonzero())),
        "{hint}"
    );
    assert!(fs::metadata(format!("{path}/x")).is_err());
}

#[test]
#[ignore = "run by main.rs in a private mount namespace"]
fn deep_and_broad_trees_are_removed_with_few_descriptors() {
    let plan = plan("deep", "{}");
    let cleanup = create(&plan);
    let mut path = plan.location.directories[0].path.clone();
    for level in 0..300 {
        for sibling in 0..5 {
            fs::create_dir(format!("{path}/s{sibling}"))
                .unwrap_or_else(|error| panic!("level {level}: {error}"));
        }
        path.push_str("/s0");
    }
    rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        rustix::process::Rlimit {
            current: Some(32),
            maximum: rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum,
        },
    )
    .expect("setrlimit");
    assert_eq!(cleanup.0.pids().expect("pids"), []);
    cleanup.0.remove().expect("remove");
    assert_eq!(left(&plan), Vec::<&str>::new());
}
