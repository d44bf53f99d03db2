//! Cgroup v1, also beside a unified tree.

use super::*;
use std::process::Stdio;

#[test]
fn limits_are_in_the_files_and_nothing_is_left_after_removal() {
    if !has_v1() {
        return;
    }
    let plan = plan(
        "files",
        r#"{"memory": {"limit": 67108864, "swap": 134217728, "reservation": 33554432, "swappiness": 10},
            "cpu": {"shares": 512, "quota": 50000, "period": 200000, "burst": 10000, "cpus": "0"},
            "pids": {"limit": 0},
            "devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "b", "major": 7, "access": "r"}]}"#,
    );
    let cleanup = create(&plan);
    for (file, expected) in [
        ("memory.limit_in_bytes", "67108864"),
        ("memory.memsw.limit_in_bytes", "134217728"),
        ("memory.soft_limit_in_bytes", "33554432"),
        ("memory.swappiness", "10"),
        ("cpu.shares", "512"),
        ("cpu.cfs_quota_us", "50000"),
        ("cpu.cfs_period_us", "200000"),
        ("cpu.cfs_burst_us", "10000"),
        ("cpuset.cpus", "0"),
        ("cpuset.mems", "0"),
        ("pids.max", "1"),
        (
            "devices.list",
            "b 7:* r\nc *:* m\nb *:* m\nc 1:3 rwm\nc 1:5 rwm\nc 1:7 rwm\nc 1:8 rwm\nc 1:9 rwm\nc 5:0 rwm\nc 5:2 rwm\n\
             c 136:* rwm\nc 10:200 rwm",
        ),
    ] {
        assert_eq!(content(&plan, file), expected, "{file}");
    }
    drop(cleanup);
    assert_eq!(left(&plan), Vec::<&str>::new());
}

#[test]
fn a_cpuset_inherits_through_new_ancestors() {
    if !has_v1() {
        return;
    }
    let top = format!("cortentest-{}-ancestors", std::process::id());
    let plan = try_plan(&format!("/{top}/a/b"), "{}").expect("plan");
    let guard = cgroup::create(&plan).expect("create");
    let root = fs::read_to_string("/sys/fs/cgroup/cpuset/cpuset.cpus").expect("cpus");
    assert_eq!(content(&plan, "cpuset.cpus"), root.trim());
    // A guard that is not committed takes the ancestors with it.
    drop(guard);
    assert_eq!(left(&plan), Vec::<&str>::new());
    for directory in &plan.location.directories {
        let top = directory.path.trim_end_matches("/a/b");
        assert!(fs::metadata(top).is_err(), "{top}");
    }
}

#[test]
fn a_cgroup_with_processes_is_refused_and_left_alone() {
    if !has_v1() {
        return;
    }
    let plan = plan("busy", "{}");
    let cleanup = create(&plan);
    let mut sleeper = Sleeper::start();
    cleanup.0.attach_pid(sleeper.pid()).expect("attach");
    let (message, _) = refusal(cgroup::create(&plan));
    let expected = format!(
        "cgroup {}: container's cgroup is not empty: 1 process(es) found",
        plan.location.directories[0].path
    );
    assert_eq!(message, expected);
    assert_eq!(cleanup.0.pids().expect("pids"), [sleeper.pid()]);
    cleanup.0.kill_all().expect("kill");
    assert!(sleeper.is_dead());
}

#[test]
fn a_frozen_cgroup_is_refused_and_an_empty_one_is_reused() {
    if !has_v1() {
        return;
    }
    let plan = plan("frozen", r#"{"pids": {"limit": 7}}"#);
    let cleanup = create(&plan);
    cleanup.0.freeze().expect("freeze");
    let (message, _) = refusal(cgroup::create(&plan));
    assert!(message.ends_with(": container's cgroup unexpectedly frozen"), "{message}");
    cleanup.0.thaw().expect("thaw");
    let reused = cgroup::create(&plan).expect("an empty cgroup is reused");
    drop(reused);
    assert_eq!(left(&plan).len(), plan.location.directories.len(), "what the guard did not make it keeps");
}

#[test]
fn the_child_joins_by_writing_zero_to_tasks() {
    if !has_v1() {
        return;
    }
    let plan = plan("join", "{}");
    let cleanup = create(&plan);
    let join = cleanup.0.join().expect("join");
    assert_eq!(join.into.is_some(), plan.location.unified().is_some());
    let directories = plan.location.directories.iter().filter(|directory| !directory.unified);
    for (tasks, directory) in join.tasks.into_iter().zip(directories) {
        let child =
            Command::new("sh").args(["-c", "printf 0 >&0; exec sleep 100"]).stdin(Stdio::from(tasks)).spawn();
        let sleeper = Sleeper(child.expect("sh"));
        let end = Instant::now() + Duration::from_secs(5);
        let procs = format!("{}/cgroup.procs", directory.path);
        let expected = sleeper.pid().as_raw_nonzero().to_string();
        while fs::read_to_string(&procs).expect("procs").trim() != expected {
            assert!(Instant::now() < end, "{procs}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

#[test]
fn freezing_stops_all_and_killing_reaches_the_frozen() {
    if !has_v1() {
        return;
    }
    let plan = plan("freeze", "{}");
    let cleanup = create(&plan);
    let mut sleeper = Sleeper::start();
    cleanup.0.attach_pid(sleeper.pid()).expect("attach");
    assert!(!cleanup.0.is_frozen().expect("state"));
    cleanup.0.freeze().expect("freeze");
    assert!(cleanup.0.is_frozen().expect("state"));
    cleanup.0.thaw().expect("thaw");
    assert!(!cleanup.0.is_frozen().expect("state"));
    cleanup.0.freeze().expect("freeze");
    cleanup.0.kill_all().expect("kill");
    assert!(sleeper.is_dead());
}

#[test]
fn killing_without_cgroup_kill_freezes_and_signals() {
    if !has_v1() {
        return;
    }
    let mut plan = plan("signal", "{}");
    plan.location.mode = Mode::V1;
    plan.location.directories.retain(|directory| !directory.unified);
    let cleanup = create(&plan);
    let mut sleepers = [Sleeper::start(), Sleeper::start()];
    sleepers.iter().for_each(|sleeper| cleanup.0.attach_pid(sleeper.pid()).expect("attach"));
    cleanup.0.kill_all().expect("kill");
    assert!(sleepers.iter_mut().all(Sleeper::is_dead));
    assert!(!cleanup.0.is_frozen().expect("state"));
}

#[test]
fn sub_cgroups_are_counted_killed_and_removed() {
    if !has_v1() {
        return;
    }
    let plan = plan("subs", "{}");
    let cleanup = create(&plan);
    let mut sleeper = Sleeper::start();
    for directory in &plan.location.directories {
        fs::create_dir_all(format!("{}/one/two/three", directory.path)).expect("mkdir");
        fs::create_dir_all(format!("{}/one/other", directory.path)).expect("mkdir");
    }
    let unified = plan.location.unified().map_or(&plan.location.directories[0], |unified| unified);
    let procs = format!("{}/one/two/cgroup.procs", unified.path);
    fs::write(procs, sleeper.pid().as_raw_nonzero().to_string()).expect("move");
    assert_eq!(cleanup.0.pids().expect("pids"), [sleeper.pid()]);
    let (remover, killer) = (cleanup.0.clone(), cleanup.0.clone());
    // Removal waits for the dying process.
    let waiting = std::thread::spawn(move || remover.remove());
    std::thread::sleep(Duration::from_millis(50));
    killer.kill_all().expect("kill");
    assert!(sleeper.is_dead());
    waiting.join().expect("thread").expect("remove");
    assert_eq!(left(&plan), Vec::<&str>::new());
    cleanup.0.remove().expect("what is gone is fine");
    assert_eq!(cleanup.0.pids().expect("pids"), []);
    assert!(!cleanup.0.is_frozen().expect("state"));
}

#[test]
fn an_update_may_need_the_other_order() {
    if !has_v1() {
        return;
    }
    let plan = plan(
        "update",
        r#"{"memory": {"limit": 33554432, "swap": 67108864}, "cpu": {"quota": 10000, "burst": 5000}}"#,
    );
    let cleanup = create(&plan);
    for (limit, swap, quota, burst) in [
        (134217728, 268435456, 100000, 60000),
        (33554432, 33554432, 20000, 0),
        (67108864, 67108864, 30000, 20000),
    ] {
        let text = format!(
            r#"{{"memory": {{"limit": {limit}, "swap": {swap}}}, "cpu": {{"quota": {quota}, "burst": {burst}}}}}"#
        );
        update(&cleanup.0, &text).expect("update");
        assert_eq!(content(&plan, "memory.limit_in_bytes"), limit.to_string());
        assert_eq!(content(&plan, "memory.memsw.limit_in_bytes"), swap.to_string());
        assert_eq!(content(&plan, "cpu.cfs_quota_us"), quota.to_string());
        assert_eq!(content(&plan, "cpu.cfs_burst_us"), burst.to_string());
    }
}

#[test]
fn refusals_say_which_property_which_file_and_why() {
    if !has_v1() {
        return;
    }
    let cpus = plan("cpus", r#"{"cpu": {"cpus": "4000"}}"#);
    let path = &cpus.location.directories[cpus.location.index_of("cpuset").expect("cpuset")].path;
    let (message, hint) = refusal(cgroup::create(&cpus));
    let expected = format!(
        "linux.resources.cpu.cpus: write \"4000\" to {path}/cpuset.cpus: numerical result out of range"
    );
    assert_eq!(message, expected);
    assert!(hint.starts_with("the parent cgroup has \"0"), "{hint}");
    assert_eq!(left(&cpus), Vec::<&str>::new());

    let leaf = plan("leaf", r#"{"blockIO": {"leafWeight": 100}}"#);
    let path = &leaf.location.directories[leaf.location.index_of("blkio").expect("blkio")].path;
    let (message, hint) = refusal(cgroup::create(&leaf));
    let expected = format!(
        "linux.resources.blockIO.leafWeight: write \"100\" to {path}/blkio.leaf_weight: the kernel does not offer this file here"
    );
    assert_eq!(message, expected);
    assert_eq!(hint, "leaf weights were the cfq scheduler's, which Linux 5.0 removed");
}

#[test]
fn a_vanished_cgroup_is_not_taken_for_a_missing_command() {
    if !has_v1() {
        return;
    }
    let plan = plan("vanished", "{}");
    let manager = cgroup::open(&plan.location);
    let path = &plan.location.directories[0].path;
    assert_eq!(manager.join().expect_err("gone").to_string(), format!("cgroup {path}: it has vanished"));
    manager.kill_all().expect("nobody to kill");
    manager.remove().expect("nothing to remove");
}
