//! `update`: every flag, both ways to give a document, all or nothing, each state.

#[path = "update/limits.rs"]
mod limits;
#[path = "update/load.rs"]
mod load;
mod support;

use limits::{Shown, shown};
use serde_json::json;
use std::fs;
use std::io::Write;
use std::process::Stdio;
use support::{Bundle, Outcome, cgroups, skip_on_peer};

const MIB: u64 = 1 << 20;

/// A running container with limits, to be changed.
fn limited() -> Bundle {
    let mut bundle = Bundle::sleeper();
    bundle.set("/linux/resources/memory", json!({ "limit": 64 * MIB, "swap": 128 * MIB }));
    bundle.set("/linux/resources/cpu", json!({ "shares": 512, "quota": 50_000, "period": 100_000 }));
    bundle.set("/linux/resources/pids", json!({ "limit": 100 }));
    bundle.run_with(&["--detach"]).ok();
    bundle
}

fn update(bundle: &Bundle, options: &[&str]) -> Outcome {
    bundle.call(&[&["update"], options, &[bundle.id.as_str()]].concat())
}

fn update_from_stdin(bundle: &Bundle, option: &[&str], document: &str) -> Outcome {
    let file = bundle.dir.join("document");
    fs::File::create(&file).unwrap().write_all(document.as_bytes()).unwrap();
    let words = [&["update"], option, &[bundle.id.as_str()]].concat();
    bundle.finish(bundle.command(&words).stdin(Stdio::from(fs::File::open(&file).unwrap())))
}

#[test]
fn every_flag_changes_its_limit_and_no_other() {
    let bundle = limited();
    let before = shown(&bundle);
    let expect = |options: &[&str], change: &dyn Fn(&mut Shown)| {
        let mut expected = shown(&bundle);
        change(&mut expected);
        let outcome = update(&bundle, options).ok();
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""), "{options:?}");
        assert_eq!(shown(&bundle), expected, "{options:?}");
    };
    expect(&["--memory", "48m", "--memory-swap", "96m"], &|limits| {
        (limits.memory, limits.swap) = (48 * MIB, 96 * MIB);
    });
    expect(&["--memory-swap", "100m"], &|limits| limits.swap = 100 * MIB);
    expect(&["--memory=52428800", "--memory-swap=104857600"], &|limits| {
        (limits.memory, limits.swap) = (50 * MIB, 100 * MIB);
    });
    expect(&["--memory-reservation", "32M"], &|limits| limits.reservation = limits::reservation(32 * MIB));
    expect(&["--cpu-share", "2048"], &|limits| limits.shares = limits::shares(2048));
    expect(&["--cpu-quota", "40000"], &|limits| limits.quota = 40_000);
    expect(&["--cpu-period", "200000"], &|limits| limits.period = 200_000);
    expect(&["--pids-limit", "50"], &|limits| limits.pids = 50);
    expect(&["--cpuset-cpus", "0"], &|limits| limits.cpus = "0".into());
    expect(&["--cpuset-mems", "0"], &|limits| limits.mems = "0".into());
    assert_ne!(shown(&bundle), before);
    if !skip_on_peer("runc 1.1 has no burst and no idle") {
        expect(&["--cpu-burst", "10000"], &|limits| limits.burst = 10_000);
        expect(&["--cpu-burst", "0"], &|limits| limits.burst = 0);
        expect(&["--cpu-idle", "1"], &|limits| {
            limits.idle = 1;
            limits.shares = limits::idle_shares();
        });
        expect(&["--cpu-idle", "0", "--cpu-share", "1024"], &|limits| {
            (limits.idle, limits.shares) = (0, limits::shares(1024));
        });
    }
    bundle.kill_and_delete();
}

#[test]
fn limits_are_removed_by_minus_one() {
    let bundle = limited();
    update(&bundle, &["--memory", "-1", "--cpu-quota=-1", "--pids-limit=-1"]).ok();
    let limits = shown(&bundle);
    assert_eq!((limits.memory, limits.swap), (limits::NONE, limits::NONE));
    assert_eq!((limits.quota, limits.period, limits.pids), (limits::NONE, 100_000, limits::NONE));
    update(&bundle, &["--memory", "64m", "--memory-swap", "64m"]).ok();
    let limits = shown(&bundle);
    assert_eq!((limits.memory, limits.swap), (64 * MIB, 64 * MIB));
    update(&bundle, &["--memory-swap", "-1"]).ok();
    let limits = shown(&bundle);
    assert_eq!((limits.memory, limits.swap), (64 * MIB, limits::NONE));
    bundle.kill_and_delete();
}

#[test]
fn realtime_and_weights_reach_the_kernel_or_are_refused_by_name() {
    if skip_on_peer("the words are ours") {
        return;
    }
    let bundle = limited();
    let before = shown(&bundle);
    // Where the kernel has it the file changes, and where not the option is refused, or on v2 ignored, by the name of what it stands for.
    let reaches = |options: &[&str], property: &str, controller: &str, file: &str, value: &str| {
        let path = cgroups::v1(controller).unwrap_or("/sys/fs/cgroup".into()).join(&bundle.id).join(file);
        let before = fs::read_to_string(&path);
        let outcome = update(&bundle, options);
        match (outcome.code, before) {
            (Some(0), Ok(before)) => {
                assert_eq!(fs::read_to_string(&path).unwrap().trim_end(), value, "{options:?}");
                assert_ne!(before.trim_end(), value, "{options:?}");
            }
            (Some(0), Err(_)) => {
                let words = format!("warning: linux.resources.{property} is ignored: ");
                assert!(outcome.stderr.starts_with(&words), "{outcome:#?}");
            }
            _ => drop(outcome.fails(&format!("linux.resources.{property}"))),
        }
    };
    reaches(&["--cpu-rt-runtime", "1000"], "cpu.realtimeRuntime", "cpu", "cpu.rt_runtime_us", "1000");
    reaches(&["--cpu-rt-period", "900000"], "cpu.realtimePeriod", "cpu", "cpu.rt_period_us", "900000");
    // Without that scheduler there is another file, on v2 with another scale.
    let (tree, controller, files) = match cgroups::v1("blkio") {
        Some(tree) => (tree, "blkio", [("blkio.bfq.weight", "500"), ("blkio.weight", "500")]),
        None => {
            let files = [("io.bfq.weight", "default 500"), ("io.weight", "default 4950")];
            ("/sys/fs/cgroup".into(), "io", files)
        }
    };
    let is_here = |(file, _): &(&str, &str)| fs::exists(tree.join(&bundle.id).join(file)).unwrap();
    let (file, value) = files.into_iter().find(is_here).unwrap_or(files[0]);
    reaches(&["--blkio-weight", "500"], "blockIO.weight", controller, file, value);
    // Few machines have so many nodes.
    let outcome = update(&bundle, &["--cpuset-mems", "1000"]);
    outcome.fails("linux.resources.cpu.mems");
    for (option, field, line) in
        [("--l3-cache-schema", "l3CacheSchema", "L3:0=f"), ("--mem-bw-schema", "memBwSchema", "MB:0=20")]
    {
        let outcome = update(&bundle, &["--pids-limit", "9", option, "x"]);
        outcome.fails(&format!("linux.intelRdt.{field}: \"x\" does not begin with "));
        update(&bundle, &["--pids-limit", "100", option, ""]).ok();
        // Few machines have it; what is done there is tested beside the code.
        if !fs::read_to_string("/proc/mounts").unwrap().contains(" resctrl ") {
            let outcome = update(&bundle, &["--pids-limit", "9", option, line]);
            outcome.fails("linux.intelRdt: no resctrl is mounted");
            assert!(!bundle.root().join(&bundle.id).join(".exec.json").exists());
        }
    }
    for option in ["--kernel-memory", "--kernel-memory-tcp"] {
        let outcome = update(&bundle, &[option, "10m"]).ok();
        assert!(outcome.stderr.contains("is ignored"), "{outcome:#?}");
    }
    assert_eq!(shown(&bundle), before);
    bundle.kill_and_delete();
}

#[test]
fn document_comes_from_a_file_or_from_standard_input() {
    let bundle = limited();
    for (number, option) in [&["--resources", "-"][..], &["--resources=-"], &["-r", "-"]].iter().enumerate() {
        let pids = 20 + number as u64;
        // What containerd sends: zeros mean that nothing changes.
        let document = json!({
            "memory": { "limit": 40 * MIB, "swap": 80 * MIB, "reservation": 0 }, "pids": { "limit": pids },
            "cpu": { "shares": 0, "quota": 0, "period": 0, "cpus": "", "mems": "" }, "blockIO": { "weight": 0 }
        });
        let before = shown(&bundle);
        update_from_stdin(&bundle, option, &document.to_string()).ok();
        let expected = Shown { memory: 40 * MIB, swap: 80 * MIB, pids, ..before };
        assert_eq!(shown(&bundle), expected, "{option:?}");
    }
    fs::write(bundle.dir.join("limits.json"), r#"{"pids": {"limit": 33}}"#).unwrap();
    update(&bundle, &["--resources", "limits.json", "--memory", "1g"]).ok();
    assert_eq!((shown(&bundle).pids, shown(&bundle).memory), (33, 40 * MIB), "other options are ignored");
    bundle.kill_and_delete();
}

#[test]
fn document_that_is_none_is_refused_with_its_place() {
    if skip_on_peer("the words are ours") {
        return;
    }
    let bundle = limited();
    let before = shown(&bundle);
    for (document, words) in [
        ("", "--resources: "),
        (r#"{"memory": {"limit": "64m"}}"#, "--resources: memory.limit: "),
        (r#"{"memory": {"limit": -5}}"#, "linux.resources.memory.limit: must be a size"),
        (r#"{"pids": {"limit": 5}, "unified": {"x": "1"}}"#, "linux.resources.unified[\"x\"]: "),
        (r#"{"pids": {"limit": 5}} x"#, "--resources: "),
    ] {
        update_from_stdin(&bundle, &["--resources", "-"], document).fails(words);
    }
    let outcome = update(&bundle, &["--resources", "nosuch.json"]).fails("--resources nosuch.json: ");
    assert!(outcome.stderr.starts_with(&format!("update {}: ", bundle.id)), "{outcome:#?}");
    for options in [&["--memory", "much"][..], &["--pids-limit", "x"], &["--memory-swap", "-2"]] {
        assert_eq!(update(&bundle, options).code, Some(1), "{options:?}");
    }
    assert_eq!(shown(&bundle), before);
    bundle.kill_and_delete();
}

#[test]
fn devices_are_never_touched() {
    let bundle = limited();
    let list = || cgroups::v1("devices").map(|_| cgroups::read("devices", &bundle.id, "devices.list"));
    let before = list();
    let document = r#"{"devices": [{"allow": true, "access": "rwm"}], "pids": {"limit": 7}}"#;
    update_from_stdin(&bundle, &["--resources", "-"], document).ok();
    assert_eq!((list(), shown(&bundle).pids), (before, 7));
    bundle.kill_and_delete();
}

#[test]
fn one_refusal_puts_everything_back() {
    if skip_on_peer("runc 1.1 leaves a mixture") {
        return;
    }
    let bundle = limited();
    let before = shown(&bundle);
    let good = ["--memory", "96m", "--memory-swap", "200m", "--cpu-share", "100", "--pids-limit", "9"];
    for (bad, words) in [
        (["--cpuset-cpus", "4000"], "cpuset.cpus: numerical result out of range"),
        (["--cpu-quota", "1"], "invalid argument"),
        (["--cpu-burst", "70000"], "invalid argument"),
        (["--cpu-idle", "2"], "linux.resources.cpu.idle: must be 0 or 1, not 2"),
        (["--blkio-weight", "5"], "linux.resources.blockIO.weight: must be from 10 to 1000, not 5"),
    ] {
        update(&bundle, &[&good[..], &bad].concat()).fails(words);
        assert_eq!(shown(&bundle), before, "{bad:?}");
    }
    update(&bundle, &["--cpu-idle", "1"]).ok();
    let idle = shown(&bundle);
    // The message is about the share alone: all the others are as they were.
    let outcome = update(&bundle, &good).fails("linux.resources.cpu.shares: write");
    assert!(!outcome.stderr.contains("put back") && outcome.stderr.contains("hint: an idle"), "{outcome:#?}");
    assert_eq!(shown(&bundle), idle);
    update(&bundle, &["--cpu-idle", "0", "--cpu-share", "512"]).ok();
    assert_eq!(shown(&bundle), before);
    update(&bundle, &["--memory", "32m", "--memory-swap", "16m"]).fails("cannot be below memory.limit");
    assert_eq!(shown(&bundle), before);
    update(&bundle, &good).ok();
    assert_eq!(shown(&bundle).pids, 9);
    bundle.kill_and_delete();
}

#[test]
fn memory_above_the_limit_with_swap_says_what_to_raise() {
    if skip_on_peer("the hint is ours") {
        return;
    }
    if cgroups::v1("memory").is_none() {
        eprintln!("skipped: no memory in cgroup v1");
        return;
    }
    let bundle = limited();
    let outcome = update(&bundle, &["--memory", "512m"]).fails("invalid argument");
    assert!(
        outcome.stderr.contains("hint: the limit of memory and swap together is 134217728"),
        "{outcome:#?}"
    );
    assert_eq!(shown(&bundle).memory, 64 * MIB);
    bundle.kill_and_delete();
}

#[test]
fn update_knows_each_state() {
    let mut bundle = Bundle::sleeper();
    let set = |bundle: &Bundle, pids: &str| update(bundle, &["--pids-limit", pids]);
    set(&bundle, "50").fails("container does not exist");
    if !skip_on_peer("runc knows no container before it is created") {
        let running = bundle.begin_create();
        set(&bundle, "50").fails("container not running");
        bundle.let_go();
        running.finish().ok();
    } else {
        bundle.create().ok();
    }
    set(&bundle, "51").ok();
    assert_eq!(shown(&bundle).pids, 51, "created");
    bundle.start().ok();
    set(&bundle, "52").ok();
    assert_eq!(shown(&bundle).pids, 52, "running");
    bundle.call(&["pause", &bundle.id]).ok();
    set(&bundle, "53").ok();
    assert_eq!((shown(&bundle).pids, bundle.status().as_str()), (53, "paused"));
    bundle.kill("KILL").ok();
    bundle.await_death(bundle.pid());
    set(&bundle, "54").fails("container not running");
    bundle.delete().ok();
}

#[test]
fn nothing_asked_is_nothing_done() {
    let bundle = limited();
    let before = shown(&bundle);
    update(&bundle, &[]).ok();
    update_from_stdin(&bundle, &["--resources", "-"], "{}").ok();
    assert_eq!(shown(&bundle), before);
    bundle.kill_and_delete();
}

#[test]
fn updates_at_the_same_time_do_not_mix() {
    if skip_on_peer("runc 1.1 mixes them") {
        return;
    }
    let bundle = limited();
    let running: Vec<_> = (0..16u64)
        .map(|number| {
            let (memory, pids) = ((40 + number) * MIB, 40 + number);
            let options = [format!("--memory={memory}"), format!("--memory-swap={memory}")];
            let pids = format!("--pids-limit={pids}");
            // Every third is refused at its end.
            let bad = if number % 3 == 0 { "--cpuset-cpus=4000" } else { "--cpuset-cpus=0" };
            let words = ["update", &options[0], &options[1], &pids, bad, &bundle.id];
            bundle.begin(&mut bundle.command(&words))
        })
        .collect();
    for (number, running) in running.into_iter().enumerate() {
        assert_eq!(running.finish().code, Some(i32::from(number % 3 == 0)));
    }
    let limits = shown(&bundle);
    assert_eq!(limits.memory / MIB, limits.pids, "of one update: {limits:?}");
    assert_ne!(limits.pids % 3, 1, "of one that was not refused: {limits:?}");
    bundle.kill_and_delete();
}
