//! `events`: the names and the truth of the numbers, the stream, memory that runs out, and each state of a container.

mod support;

use serde_json::{Value, json};
use std::fs;
use support::runtime::Running;
use support::{Bundle, cgroups, runtime, skip_on_peer};

const MIB: u64 = 1 << 20;

/// A running container with limits.
fn limited() -> Bundle {
    let mut bundle = Bundle::sleeper();
    limit(&mut bundle);
    bundle.run_with(&["--detach"]).ok();
    bundle
}

fn limit(bundle: &mut Bundle) {
    bundle.set("/linux/resources/memory", json!({ "limit": 64 * MIB, "swap": 64 * MIB }));
    bundle.set("/linux/resources/pids", json!({ "limit": 77 }));
    bundle
        .set("/linux/resources/cpu", json!({ "quota": 20_000, "period": 100_000, "cpus": "0", "mems": "0" }));
}

#[track_caller]
fn stats(bundle: &Bundle) -> Value {
    let text = bundle.call(&["events", "--stats", &bundle.id]).ok().stdout;
    assert_eq!(text.lines().count(), 1, "{text}");
    let event: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&event["type"], &event["id"]), (&json!("stats"), &json!(bundle.id)));
    event["data"].clone()
}

fn number(data: &Value, pointer: &str) -> u64 {
    data.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {pointer} in {data}"))
}

/// The events that a stream has printed so far.
fn printed(running: &Running) -> Vec<Value> {
    let text = running.stdout();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn count(running: &Running, kind: &str) -> usize {
    printed(running).iter().filter(|event| event["type"] == kind).count()
}

#[test]
fn stats_have_the_names_that_callers_parse() {
    let bundle = limited();
    let text = bundle.call(&["events", "--stats", &bundle.id]).ok().stdout;
    assert!(text.starts_with(&format!("{{\"type\":\"stats\",\"id\":\"{}\",\"data\":{{\"cpu\":", bundle.id)));
    let data = stats(&bundle);
    for key in ["cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces"] {
        assert!(data.get(key).is_some(), "{key} in {data}");
    }
    for pointer in [
        "/cpu/usage/kernel",
        "/cpu/usage/user",
        "/memory/usage/limit",
        "/memory/usage/failcnt",
        "/memory/swap/limit",
        "/memory/kernel/failcnt",
        "/memory/kernelTCP/failcnt",
        "/cpuset/cpu_exclusive",
        "/cpuset/sched_load_balance",
    ] {
        number(&data, pointer);
    }
    assert!(data.pointer("/cpu/throttling").is_some_and(Value::is_object), "{data}");
    bundle.kill_and_delete();
}

#[test]
fn stats_tell_the_truth() {
    let mut bundle = Bundle::sh("n=0; while [ $n -lt 200000 ]; do n=$((n+1)); done; touch /done; sleep 100");
    limit(&mut bundle);
    bundle.run_with(&["--detach"]).ok();
    runtime::eventually(|| fs::exists(bundle.rootfs().join("done")).unwrap(), || "the loop ends".into());
    let data = stats(&bundle);
    assert_eq!(number(&data, "/memory/usage/limit"), 64 * MIB);
    assert_eq!(number(&data, "/memory/swap/limit"), 64 * MIB);
    assert!((1..64 * MIB).contains(&number(&data, "/memory/usage/usage")), "{data}");
    assert!(number(&data, "/memory/usage/max") >= number(&data, "/memory/usage/usage"), "{data}");
    assert!(number(&data, "/memory/raw/pgfault") > 0, "{data}");
    assert!((1..=3).contains(&number(&data, "/pids/current")), "{data}");
    assert_eq!(number(&data, "/pids/limit"), 77);
    assert!(number(&data, "/cpu/usage/total") > 10_000_000, "nanoseconds: {data}");
    assert!(number(&data, "/cpu/throttling/throttledPeriods") > 0, "{data}");
    assert!(number(&data, "/cpu/throttling/throttledTime") > 1_000_000, "nanoseconds: {data}");
    assert_eq!(data.pointer("/cpuset/cpus"), Some(&json!([0])), "{data}");
    assert_eq!(data.pointer("/cpuset/mems"), Some(&json!([0])), "{data}");
    bundle.kill_and_delete();
}

#[test]
fn interfaces_are_the_containers_own() {
    if skip_on_peer("runc lists only interfaces that it made itself") {
        return;
    }
    let bundle = limited();
    assert_eq!(stats(&bundle)["network_interfaces"], Value::Null, "there is only the loopback");
    let pid = bundle.pid().to_string();
    let link = ["-t", &pid, "-n", "ip", "link", "add", "dummy9", "type", "dummy"];
    let made = std::process::Command::new("nsenter").args(link).output().unwrap();
    if made.status.success() {
        let data = stats(&bundle);
        assert_eq!(data.pointer("/network_interfaces/0/Name"), Some(&json!("dummy9")), "{data}");
        assert_eq!(number(&data, "/network_interfaces/0/RxBytes"), 0);
    } else {
        eprintln!(
            "skipped in part: no interface can be made: {}",
            String::from_utf8_lossy(&made.stderr).trim()
        );
    }
    bundle.kill_and_delete();
    let mut bundle = Bundle::sleeper();
    bundle.without_namespace("network").run_with(&["--detach"]).ok();
    assert_eq!(stats(&bundle)["network_interfaces"], Value::Null, "those of the host are not its own");
    bundle.kill_and_delete();
}

#[test]
fn stream_tells_at_each_interval_and_ends_with_the_container() {
    let bundle = limited();
    let running = bundle.begin(&mut bundle.command(&["events", "--interval", "20ms", &bundle.id]));
    runtime::eventually(|| count(&running, "stats") >= 5, || running.stdout());
    let events = printed(&running);
    assert!(events.iter().all(|event| event["type"] == "stats"), "nothing else happened: {events:#?}");
    bundle.kill("KILL").ok();
    if skip_on_peer("runc 1.1 notices at the next out-of-memory event only") {
        running.signal(rustix::process::Signal::KILL);
    } else {
        let outcome = running.finish().ok();
        assert_eq!(outcome.stderr, "");
    }
    bundle.await_death(bundle.pid());
    bundle.delete().ok();
}

#[test]
fn first_stats_of_a_stream_come_after_the_interval() {
    let bundle = limited();
    let running = bundle.begin(&mut bundle.command(&["events", "--interval=1h", &bundle.id]));
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(running.stdout(), "");
    running.signal(rustix::process::Signal::TERM);
    drop(running);
    bundle.kill_and_delete();
}

#[test]
fn memory_that_runs_out_is_told_at_once() {
    let mut bundle = Bundle::sh(
        "while [ ! -e /go ]; do usleep 5000; done; dd if=/dev/zero of=/dev/null bs=200M count=1; sleep 100",
    );
    limit(&mut bundle);
    bundle.run_with(&["--detach"]).ok();
    let running = bundle.begin(&mut bundle.command(&["events", "--interval", "1h", &bundle.id]));
    // It has no other sign that it watches.
    std::thread::sleep(std::time::Duration::from_millis(500));
    fs::write(bundle.rootfs().join("go"), "").unwrap();
    runtime::eventually(|| count(&running, "oom") > 0, || running.stdout());
    assert_eq!(printed(&running)[0], json!({ "type": "oom", "id": bundle.id }));
    running.signal(rustix::process::Signal::KILL);
    drop(running);
    bundle.kill_and_delete();
}

#[test]
fn memory_that_ran_out_for_init_itself_is_told_before_the_end() {
    if skip_on_peer("runc 1.1 does not end") {
        return;
    }
    let mut bundle = Bundle::sh(
        "while [ ! -e /go ]; do usleep 5000; done; exec dd if=/dev/zero of=/dev/null bs=200M count=1",
    );
    limit(&mut bundle);
    bundle.run_with(&["--detach"]).ok();
    let running = bundle.begin(&mut bundle.command(&["events", "--interval", "1h", &bundle.id]));
    std::thread::sleep(std::time::Duration::from_millis(500));
    fs::write(bundle.rootfs().join("go"), "").unwrap();
    let outcome = running.finish().ok();
    // Cgroup v1 may ring several times for one.
    let event = format!("{{\"type\":\"oom\",\"id\":\"{}\"}}", bundle.id);
    assert!(!outcome.stdout.is_empty() && outcome.stdout.lines().all(|line| line == event), "{outcome:#?}");
    bundle.await_and_delete();
}

#[test]
fn stream_does_not_grow() {
    if skip_on_peer("a matter of corten's allocator") {
        return;
    }
    let bundle = limited();
    let running = bundle.begin(&mut bundle.command(&["events", "--interval", "100us", &bundle.id]));
    let resident = || {
        let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().to_owned();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    runtime::eventually(|| count(&running, "stats") > 50, || "a start".into());
    let before = resident();
    runtime::eventually(|| count(&running, "stats") > 550, || "a go on".into());
    assert!(resident() < before + 300, "{} kB after {before} kB", resident());
    drop(running);
    bundle.kill_and_delete();
}

#[test]
fn stream_ends_when_nobody_reads() {
    if skip_on_peer("runc 1.1 goes on") {
        return;
    }
    let bundle = limited();
    let words = ["sh", "-c", "trap '' PIPE; \"$@\" | head -n 1; exit ${PIPESTATUS:-0}", "sh"];
    let outcome = bundle.finish(&mut bundle.command_under(&words, &["events", "--interval=5ms", &bundle.id]));
    assert_eq!(outcome.ok().stdout.lines().count(), 1);
    bundle.kill_and_delete();
}

#[test]
fn interval_is_a_duration_above_nothing() {
    let bundle = limited();
    for interval in ["0s", "5", "-1s", "soon", ""] {
        let outcome = bundle.call(&["events", "--interval", interval, &bundle.id]);
        assert_eq!(outcome.code, Some(1), "{interval:?}: {outcome:#?}");
    }
    bundle.kill_and_delete();
}

#[test]
fn events_know_each_state() {
    let mut bundle = Bundle::sleeper();
    let events = |bundle: &Bundle| bundle.call(&["events", "--stats", &bundle.id]);
    events(&bundle).fails("container does not exist");
    if skip_on_peer("runc knows no container before it is created") {
        bundle.create().ok();
    } else {
        let running = bundle.begin_create();
        events(&bundle).fails("container not running");
        bundle.let_go();
        running.finish().ok();
    }
    if !skip_on_peer("runc's init has several threads") {
        assert_eq!(number(&stats(&bundle), "/pids/current"), 1, "created");
    }
    bundle.start().ok();
    runtime::eventually(|| number(&stats(&bundle), "/pids/current") == 2, || "running".into());
    bundle.call(&["pause", &bundle.id]).ok();
    assert_eq!(number(&stats(&bundle), "/pids/current"), 2, "paused");
    bundle.call(&["resume", &bundle.id]).ok();
    bundle.kill("KILL").ok();
    bundle.await_death(bundle.pid());
    let words =
        if skip_on_peer("runc 1.1 has other words") { "is not running" } else { "container not running" };
    events(&bundle).fails(words);
    bundle.call(&["events", &bundle.id]).fails(words);
    bundle.delete().ok();
}

#[test]
fn pressure_is_told_where_the_kernel_counts_it() {
    if skip_on_peer("runc has it since 1.2") {
        return;
    }
    let bundle = limited();
    let data = stats(&bundle);
    let counts = cgroups::named(&bundle.id).iter().any(|path| {
        fs::read_to_string(path.join("cpu.pressure")).is_ok_and(|text| text.starts_with("some "))
    });
    for kind in ["cpu", "memory", "blkio"] {
        let total = data.pointer(&format!("/{kind}/psi/some/total"));
        assert_eq!(total.is_some(), counts, "{kind} in {data}");
    }
    bundle.kill_and_delete();
}
