//! `ps`: as JSON, as the host's table, and in each state of a container.

mod support;

use serde_json::Value;
use support::{Bundle, runtime, skip_on_peer};

/// A running container of three processes.
fn three() -> Bundle {
    let bundle = Bundle::sh("sleep 100 & sleep 101 & wait");
    bundle.run_with(&["--detach"]).ok();
    runtime::eventually(|| pids(&bundle).len() == 3, || format!("three processes, not {:?}", pids(&bundle)));
    bundle
}

#[track_caller]
fn pids(bundle: &Bundle) -> Vec<i64> {
    let text = bundle.call(&["ps", "--format", "json", &bundle.id]).ok().stdout;
    let value: Value = serde_json::from_str(&text).unwrap();
    value.as_array().map_or(Vec::new(), |pids| pids.iter().map(|pid| pid.as_i64().unwrap()).collect())
}

#[test]
fn json_is_one_line_of_all_pids_in_the_hosts_namespace() {
    let bundle = three();
    let text = bundle.call(&["ps", "-f", "json", &bundle.id]).ok().stdout;
    assert!(text.starts_with('[') && text.ends_with("]\n") && !text.contains(' '), "{text:?}");
    assert!(pids(&bundle).contains(&i64::from(bundle.pid())));
    bundle.kill_and_delete();
}

#[test]
fn table_is_that_of_the_hosts_ps_for_the_container_alone() {
    let bundle = three();
    let table = bundle.call(&["ps", &bundle.id]).ok().stdout;
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 4, "{table}");
    assert!(lines[0].starts_with("UID") && lines[0].ends_with("CMD"), "{table}");
    for pid in pids(&bundle) {
        let pid = pid.to_string();
        assert_eq!(lines.iter().filter(|line| line.split_whitespace().nth(1) == Some(&pid)).count(), 1);
    }
    assert!(table.contains("sleep 101"), "{table}");
    bundle.kill_and_delete();
}

#[test]
fn words_after_the_id_are_for_ps() {
    let bundle = three();
    let table = bundle.call(&["ps", &bundle.id, "-o", "pid,args", "-e"]).ok().stdout;
    let header: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["PID", "COMMAND"]);
    assert_eq!(table.lines().count(), 4, "{table}");
    let table = bundle.call(&["ps", "-f", "table", &bundle.id, "-efH"]).ok().stdout;
    assert_eq!(table.lines().count(), 4, "{table}");
    bundle.kill_and_delete();
}

#[test]
fn ps_says_what_it_cannot_show() {
    let bundle = three();
    bundle.call(&["ps", "--format", "yaml", &bundle.id]).fails("invalid format option");
    bundle.call(&["ps", &bundle.id, "-e", "-o", "comm"]).fails("couldn't find PID field in ps output");
    let outcome = bundle.call(&["ps", &bundle.id, "--no-such-option"]);
    assert_eq!(outcome.code, Some(1), "{outcome:#?}");
    assert!(outcome.says().contains("exit status"), "{outcome:#?}");
    bundle.kill_and_delete();
}

#[test]
fn ps_knows_each_state() {
    let bundle = Bundle::sleeper();
    for format in ["table", "json"] {
        bundle.call(&["ps", "--format", format, &bundle.id]).fails("container does not exist");
    }
    bundle.create().ok();
    let init = vec![i64::from(bundle.pid())];
    assert_eq!(pids(&bundle), init, "created: init waits");
    bundle.start().ok();
    runtime::eventually(|| pids(&bundle).len() == 2, || "two processes".into());
    bundle.call(&["pause", &bundle.id]).ok();
    assert_eq!(pids(&bundle).len(), 2, "paused");
    assert_eq!(bundle.call(&["ps", &bundle.id]).ok().stdout.lines().count(), 3);
    bundle.call(&["resume", &bundle.id]).ok();
    bundle.kill("KILL").ok();
    bundle.await_death(bundle.pid());
    runtime::eventually(|| pids(&bundle).is_empty(), || "no process".into());
    assert_eq!(bundle.call(&["ps", "--format", "json", &bundle.id]).ok().stdout, "null\n", "stopped");
    assert_eq!(bundle.call(&["ps", &bundle.id]).ok().stdout.lines().count(), 1, "only the header");
    bundle.delete().ok();
}

#[test]
fn ps_of_a_container_that_is_being_created_shows_its_init() {
    if skip_on_peer("runc knows no container before it is created") {
        return;
    }
    let mut bundle = Bundle::sleeper();
    let running = bundle.begin_create();
    assert_eq!(pids(&bundle).len(), 1);
    bundle.let_go();
    running.finish().ok();
    bundle.delete().ok();
}
