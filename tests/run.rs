//! `run` (foreground and detached), its exit codes and streams, and `list`.

mod support;

use rustix::process::Signal;
use serde_json::Value;
use std::io::{Read, Write};
use std::process::Stdio;
use support::{Bundle, leaks, runtime, skip_on_peer};

#[test]
fn run_exits_with_the_code_of_the_payload() {
    for code in [0, 1, 3, 126, 127, 255] {
        let bundle = Bundle::sh(&format!("exit {code}"));
        assert_eq!(bundle.run().code, Some(code));
    }
}

#[test]
fn run_exits_with_128_plus_the_signal_that_killed_the_payload() {
    for (signal, code) in [("KILL", 137), ("TERM", 143), ("SEGV", 139), ("HUP", 129)] {
        let mut bundle = Bundle::sh(&format!("kill -{signal} $$"));
        // As pid 1 of a namespace it would be deaf to its own signals.
        bundle.without_namespace("pid");
        assert_eq!(bundle.run().code, Some(code), "{signal}");
    }
}

#[test]
fn run_deletes_the_container_at_its_end() {
    let bundle = Bundle::new();
    bundle.run().ok();
    bundle.call(&["state", &bundle.id]).fails("container does not exist");
}

#[test]
fn run_keep_leaves_the_stopped_container() {
    if skip_on_peer("runc 1.1 has no --keep for a container that ended by itself in the foreground") {
        return;
    }
    let bundle = Bundle::sh("exit 5");
    assert_eq!(bundle.run_with(&["--keep"]).code, Some(5));
    assert_eq!(bundle.status(), "stopped");
    bundle.delete().ok();
}

#[test]
fn run_detach_returns_with_the_container_running() {
    let bundle = Bundle::sleeper();
    bundle.run_with(&["--detach"]).ok();
    assert_eq!(bundle.status(), "running");
    assert_eq!(bundle.state()["pid"], bundle.pid());
    bundle.kill_and_delete();
}

#[test]
fn run_detach_leaves_a_container_that_ended_to_delete() {
    let bundle = Bundle::sh("echo done");
    let outcome = bundle.run_with(&["--detach"]).ok();
    bundle.await_and_delete();
    assert_eq!(outcome.later_stdout(), "done\n");
}

#[test]
fn foreground_run_forwards_signals() {
    for (name, signal) in [
        ("HUP", Signal::HUP),
        ("INT", Signal::INT),
        ("QUIT", Signal::QUIT),
        ("TERM", Signal::TERM),
        ("USR1", Signal::USR1),
        ("USR2", Signal::USR2),
    ] {
        let bundle =
            Bundle::sh(&format!("trap 'echo got {name}; exit 9' {name}; echo ready; sleep 100 & wait"));
        let running = bundle.begin(&mut bundle.run_command(&[]));
        running.await_stdout("ready\n");
        running.signal(signal);
        let outcome = running.finish();
        assert_eq!(
            (outcome.code, outcome.stdout.as_str()),
            (Some(9), format!("ready\ngot {name}\n").as_str())
        );
    }
}

#[test]
fn streams_of_a_foreground_run_are_the_callers() {
    let bundle = Bundle::sh("cat; echo oops >&2");
    let mut command = bundle.run_command(&[]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // More than a pipe holds, so both directions must flow at once.
    let input: Vec<u8> = (0..300_000u32).map(|n| b'a' + (n % 26) as u8).collect();
    let mut stdin = child.stdin.take().unwrap();
    let feeder = std::thread::spawn({
        let input = input.clone();
        move || stdin.write_all(&input).unwrap()
    });
    let mut output = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut output).unwrap();
    feeder.join().unwrap();
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(output == input, "{} of {} bytes came through", output.len(), input.len());
    assert_eq!(errors, "oops\n");
}

#[test]
fn closed_standard_streams_are_no_obstacle() {
    let mut bundle = Bundle::sh("ls /proc/self/fd | head -c 6 > /fds");
    let wrapper = ["sh", "-c", "exec \"$@\" <&- >&- 2>&-", "sh"];
    bundle.set("/process/noNewPrivileges", Value::Bool(true)).write_config();
    let outcome =
        bundle.finish(&mut bundle.command_under(&wrapper, &["run", "--bundle", "bundle", &bundle.id]));
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    assert_eq!(std::fs::read_to_string(bundle.rootfs().join("fds")).unwrap(), "0\n1\n2\n");
}

#[test]
fn failed_run_leaves_nothing() {
    let mut bundle = Bundle::new();
    bundle.set("/process/args", serde_json::json!(["nosuch"]));
    bundle.run().fails("exec: \"nosuch\": executable file not found in $PATH");
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn container_outlives_a_creator_with_a_death_signal() {
    // containerd's shim sets PDEATHSIG=SIGKILL on the runtime; it must not reach the container.
    let bundle = Bundle::sleeper();
    bundle.write_config();
    let words = ["create", "--bundle", "bundle", "--pid-file", "pid", &bundle.id];
    bundle.finish(&mut bundle.command_under(&["setpriv", "--pdeathsig", "KILL"], &words)).ok();
    bundle.start().ok();
    assert_eq!(bundle.status(), "running");
    bundle.kill_and_delete();
}

#[test]
fn caller_that_ignores_sigchld_gets_exit_codes_and_hooks_all_the_same() {
    // Under SIG_IGN the kernel reaps children before anybody can ask them.
    let mut bundle = Bundle::sh("grep SigIgn /proc/self/status > /tmp/ignored; exit 7");
    let hook = bundle.host_script("hook", "exit 0");
    for kind in ["createRuntime", "createContainer"] {
        bundle.push(&format!("/hooks/{kind}"), serde_json::json!({ "path": hook }));
    }
    bundle.write_config();
    let wrapper = ["env", "--ignore-signal=CHLD"];
    let words = ["run", "--bundle", "bundle", &bundle.id];
    let outcome = bundle.finish(&mut bundle.command_under(&wrapper, &words));
    assert_eq!(outcome.code, Some(7), "{outcome:#?}");
    let ignored = std::fs::read_to_string(bundle.rootfs().join("tmp/ignored")).unwrap();
    assert_eq!(ignored.split_whitespace().last(), Some("0000000000000000"), "the container has the defaults");
}

#[test]
fn signal_before_the_program_runs_ends_a_foreground_run_and_undoes_it() {
    if skip_on_peer("runc 1.1 holds signals back until the program runs") {
        return;
    }
    for (kind, signal, code) in [
        ("createRuntime", Signal::TERM, 143),
        ("createContainer", Signal::INT, 130),
        ("startContainer", Signal::HUP, 129),
        ("poststart", Signal::QUIT, 131),
    ] {
        let mut bundle = Bundle::sleeper();
        let inside = kind == "startContainer";
        let directory = if inside { "/tmp".to_owned() } else { bundle.dir.display().to_string() };
        let script = format!("touch {directory}/hooked; sleep 100; exit 0");
        bundle.push(
            &format!("/hooks/{kind}"),
            serde_json::json!({ "path": "/bin/sh", "args": ["sh", "-c", script] }),
        );
        let poststop = bundle.host_script("poststop", &format!("touch {}/undone", bundle.dir.display()));
        bundle.push("/hooks/poststop", serde_json::json!({ "path": poststop }));
        let running = bundle.begin(&mut bundle.run_command(&[]));
        let tmp = if inside { bundle.rootfs().join("tmp") } else { bundle.dir.clone() };
        runtime::eventually(|| tmp.join("hooked").exists(), || format!("{kind} runs"));
        running.signal(signal);
        let outcome = running.finish();
        assert_eq!(outcome.code, Some(code), "{kind}: {outcome:#?}");
        assert!(outcome.stderr.contains("interrupted by signal"), "{kind}: {outcome:#?}");
        assert!(bundle.dir.join("undone").exists(), "{kind}: poststop has run");
        leaks::assert_nothing_left(&bundle);
    }
}

#[test]
fn signal_that_the_caller_ignores_does_not_end_the_setup() {
    let mut bundle = Bundle::sh("echo ran");
    let directory = bundle.dir.display().to_string();
    let hook = bundle.host_script("hook", &format!("touch {directory}/hooked; sleep 0.5"));
    bundle.push("/hooks/createRuntime", serde_json::json!({ "path": hook })).write_config();
    let words = ["run", "--bundle", "bundle", &bundle.id];
    let running = bundle.begin(&mut bundle.command_under(&["env", "--ignore-signal=HUP"], &words));
    runtime::eventually(|| bundle.dir.join("hooked").exists(), || "the hook runs".to_owned());
    running.signal(Signal::HUP);
    assert_eq!(running.finish().ok().stdout, "ran\n");
}

/// The list's line of a bundle, cut into columns.
fn row(table: &str, id: &str) -> Vec<String> {
    let line =
        table.lines().find(|line| line.starts_with(id)).unwrap_or_else(|| panic!("no {id} in {table}"));
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn list_is_a_table_with_runcs_columns() {
    let bundle = Bundle::sleeper();
    bundle.create().ok();
    let table = bundle.call(&["list"]).ok().stdout;
    let header = table.lines().next().unwrap();
    let titles: Vec<&str> = header.split_whitespace().collect();
    assert_eq!(titles, ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
    let state = bundle.state();
    let columns = row(&table, &bundle.id);
    assert_eq!(columns[0], bundle.id);
    assert_eq!(columns[1], bundle.pid().to_string());
    assert_eq!(columns[2], "created");
    assert_eq!(columns[3], bundle.path().to_str().unwrap());
    assert_eq!(columns[4], state["created"].as_str().unwrap());
    assert_eq!(columns[5], "root");
    // Go's tabwriter: at least 12 wide, 3 blanks between the columns.
    assert_eq!(header.find("PID").unwrap(), bundle.id.len() + 3);
    assert_eq!(header.find("STATUS").unwrap(), bundle.id.len() + 3 + 12);
    bundle.delete().ok();
}

#[test]
fn list_as_json_is_one_array_of_states() {
    let bundle = Bundle::sleeper();
    bundle.create().ok();
    for words in [["list", "--format", "json"], ["list", "-f", "json"]] {
        let text = bundle.call(&words).ok().stdout;
        let list: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(list.as_array().unwrap().len(), 1, "{text}");
        let (listed, state) = (&list[0], bundle.state());
        for key in ["id", "pid", "status", "bundle", "rootfs", "created", "ociVersion"] {
            assert_eq!(listed[key], state[key], "{key}");
        }
        assert_eq!(listed["owner"], "root");
    }
    bundle.delete().ok();
}

#[test]
fn list_quiet_prints_ids_alone() {
    let bundle = Bundle::sleeper();
    bundle.create().ok();
    for option in ["--quiet", "-q"] {
        assert_eq!(bundle.call(&["list", option]).ok().stdout, format!("{}\n", bundle.id));
    }
    bundle.delete().ok();
}

#[test]
fn empty_list_as_json_is_null() {
    let bundle = Bundle::new();
    std::fs::create_dir(bundle.root()).unwrap();
    assert_eq!(bundle.call(&["list", "--format", "json"]).ok().stdout.trim_end(), "null");
    assert_eq!(bundle.call(&["list", "--quiet"]).ok().stdout, "");
}

#[test]
fn unknown_list_format_is_refused() {
    let bundle = Bundle::new();
    std::fs::create_dir(bundle.root()).unwrap();
    bundle.call(&["list", "--format", "yaml"]).fails("invalid format option");
}

#[test]
fn list_shows_the_status_of_each_container() {
    let (first, mut second) = (Bundle::sleeper(), Bundle::new());
    second.set("/process/args", serde_json::json!(["true"]));
    first.create().ok();
    let _ = second.run_with(&["--detach"]).ok();
    second.await_death(second.pid());
    assert_eq!(row(&first.call(&["list"]).ok().stdout, &first.id)[2], "created");
    assert_eq!(row(&second.call(&["list"]).ok().stdout, &second.id)[1..3], ["0", "stopped"]);
    first.delete().ok();
    second.delete().ok();
}

#[test]
fn containers_with_different_roots_do_not_see_each_other() {
    let (first, second) = (Bundle::sleeper(), Bundle::new());
    first.create().ok();
    second.call(&["state", &first.id]).fails("container does not exist");
    first.delete().ok();
}
