//! What two commands, two containers or two options do at the same time, and what goes on where one of several fails.

mod engine;

use engine::{Engine, IMAGE, eventually, runtime, support};
use serde_json::json;
use std::fs;
use std::process::Stdio;

#[test]
fn files_are_copied_within_a_container_and_between_two_that_do_not_run() {
    let engine = Engine::new("copy-between");
    for name in ["one", "other"] {
        engine.ok(&["create", "--name", name, IMAGE]);
        let file = engine.scratch.join(name);
        fs::write(&file, name).expect("written");
        engine.ok(&["cp", file.to_str().expect("text"), &format!("{name}:/mine")]);
    }
    within(&engine, &["cp", "one:/mine", "one:/again"]);
    // In opposite directions at once: neither waits for the other for ever.
    for _ in 0..5 {
        let there = engine.spawn(&["cp", "one:/mine", "other:/theirs"]);
        within(&engine, &["cp", "other:/mine", "one:/theirs"]);
        let output = there.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    for (place, text) in [("one:/again", "one"), ("one:/theirs", "other"), ("other:/theirs", "one")] {
        let copy = engine.scratch.join("copy");
        engine.ok(&["cp", place, copy.to_str().expect("text")]);
        assert_eq!(fs::read_to_string(&copy).expect("copied"), text, "{place}");
    }
    engine.ok(&["rm", "one", "other"]);
    engine.assert_clean();
}

/// Runs a command that must end.
#[track_caller]
fn within(engine: &Engine, words: &[&str]) {
    let output = support::below(&["timeout", "60"], &engine.command(), words).output().expect("it starts");
    assert!(
        output.status.success(),
        "{words:?}: {} {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn an_archive_may_have_more_directories_than_there_are_descriptors() {
    let engine = Engine::new("many-folders");
    engine.ok(&["create", "--name", "c", IMAGE]);
    let tree = engine.scratch.join("tree");
    for number in 0..300 {
        fs::create_dir_all(tree.join(format!("d{number}/below"))).expect("made");
    }
    let script =
        format!("tar -C {} -cf - . | (ulimit -n 64; exec \"$0\" \"$@\" cp - c:/srv)", tree.display());
    engine.ok(&["cp", tree.join("d0").to_str().expect("text"), "c:/srv"]);
    let bash = ["bash", "-o", "pipefail", "-c", &script];
    let output = support::below(&bash, &engine.command(), &[]).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(engine.ok(&["start", "-a", "c"]), "");
    let listed = engine.scratch.join("listed");
    engine.ok(&["cp", "c:/srv/.", listed.to_str().expect("text")]);
    assert_eq!(fs::read_dir(listed).expect("a directory").count(), 301, "300 and `below` of the first copy");
    engine.ok(&["rm", "c"]);
    engine.assert_clean();
}

#[test]
fn the_last_word_about_seccomp_counts_and_a_profile_is_in_force_beside_privileged() {
    let engine = Engine::new("last-word");
    let profile = engine.scratch.join("profile.json");
    let rules = json!({ "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95 }] });
    fs::write(&profile, rules.to_string()).expect("written");
    let (file, none) = (format!("seccomp={}", profile.display()), "seccomp=unconfined");
    let made = |words: &[&str]| {
        let words = [&["run", "--rm"], words, &[IMAGE, "mkdir", "/made"]].concat();
        let (code, _, said) = engine.run(&words);
        assert!(code == 0 || (code == 1 && said.contains("not supported")), "{words:?}: {code}: {said}");
        code == 0
    };
    for (words, is_made) in [
        (&["--security-opt", &*file][..], false),
        (&["--security-opt", none, "--security-opt", &file], false),
        (&["--security-opt", &file, "--security-opt", none], true),
        (&["--privileged", "--security-opt", &file], false),
        (&["--privileged"], true),
    ] {
        assert_eq!(made(words), is_made, "{words:?}");
    }
    engine.assert_clean();
}

#[test]
fn an_image_of_a_container_that_never_ran_is_everybodys() {
    let engine = Engine::new("never-ran");
    engine.ok(&["create", "--name", "fresh", IMAGE]);
    engine.ok(&["commit", "fresh", "again"]);
    assert_eq!(engine.ok(&["run", "--rm", "-u", "1000", "again", "sh", "-c", "cd /bin && echo in"]), "in");
    // And the container is what it was.
    engine.ok(&["start", "-a", "fresh"]);
    engine.ok(&["rm", "fresh"]);
    let mode = ["run", "--rm", "again", "stat", "-c", "%a", "/"];
    assert_eq!(engine.ok(&mode), engine.ok(&["run", "--rm", IMAGE, "stat", "-c", "%a", "/"]));
    engine.assert_clean();
}

#[test]
fn a_container_keeps_the_runtime_that_it_was_made_with() {
    let engine = Engine::new("runtime-kept");
    let other = engine.scratch.join("another");
    fs::copy(runtime(), &other).expect("copied");
    let mut create = engine.command();
    create.env("OCICTL_RUNTIME", &other).args(["run", "-d", "--name", "kept", IMAGE, "sleep", "1000"]);
    assert!(create.stderr(Stdio::inherit()).output().expect("it starts").status.success());
    // Another environment, the same runtime: its state is asked, and goes.
    assert_eq!(engine.ask("kept", "{{.OCIRuntime}}"), other.to_str().expect("text"));
    assert_eq!(engine.ok(&["exec", "kept", "echo", "in"]), "in");
    engine.ok(&["pause", "kept"]);
    engine.ok(&["rm", "-f", "kept"]);
    engine.assert_clean();
}

#[test]
fn what_was_printed_is_shown_byte_by_byte() {
    let engine = Engine::new("bytes");
    for words in [&["run", "--name", "raw", IMAGE, "printf", r"\377\303\n\200"][..], &["logs", "raw"]] {
        assert_eq!(engine.output(words).stdout, b"\xff\xc3\n\x80", "{words:?}");
    }
    engine.ok(&["rm", "raw"]);
    engine.assert_clean();
}

#[test]
fn an_unhealthy_container_is_stopped_by_its_own_signal() {
    let engine = Engine::new("unhealthy-stop");
    let script = "trap 'echo bye; exit 5' USR1; while :; do sleep 0.1; done";
    let health = ["--health-cmd", "false", "--health-interval", "200ms", "--health-retries", "1"];
    let words =
        ["--health-on-failure", "stop", "--stop-signal", "USR1", "--name", "ill", IMAGE, "sh", "-c", script];
    engine.ok(&[&["run", "-d", "--restart", "always"], &health[..], &words].concat());
    engine.wait_for("ill", "{{.State.Status}}", "exited");
    assert_eq!(
        (engine.ask("ill", "{{.State.ExitCode}}"), engine.ok(&["logs", "ill"])),
        ("5".into(), "bye".into())
    );
    engine.ok(&["rm", "ill"]);
    engine.assert_clean();
}

#[test]
fn the_small_init_passes_signals_of_real_time_on() {
    let engine = Engine::new("init-real-time");
    let script = "trap 'exit 9' 37; echo ready; while :; do sleep 0.1; done";
    engine.ok(&["run", "-d", "--init", "--name", "rt", IMAGE, "sh", "-c", script]);
    eventually("its trap is set", || engine.ok(&["logs", "rt"]) == "ready");
    engine.ok(&["kill", "-s", "37", "rt"]);
    assert_eq!(engine.ok(&["wait", "rt"]), "9");
    engine.ok(&["rm", "rt"]);
    engine.assert_clean();
}

#[test]
fn what_cannot_be_put_in_order_does_not_keep_the_rest_from_it() {
    let engine = Engine::new("order");
    let gone = engine.scratch.join("gone");
    fs::copy(runtime(), &gone).expect("copied");
    let gone = gone.to_str().expect("text");
    for (name, words) in [("a", &["--runtime", gone][..]), ("b", &[])] {
        engine.ok(&[&["run", "-d", "--name", name], words, &[IMAGE, "sleep", "1000"]].concat());
        let pids = engine.ask(name, "{{.State.ConmonPid}} {{.State.Pid}}");
        let pids: Vec<i32> =
            pids.split(' ').map(|pid| pid.parse().expect("a pid")).filter(|pid| *pid > 1).collect();
        assert_eq!(pids.len(), 2, "both run");
        for pid in pids {
            rustix::process::kill_process(
                rustix::process::Pid::from_raw(pid).expect("a pid"),
                rustix::process::Signal::KILL,
            )
            .expect("killed");
        }
    }
    for name in ["a", "b"] {
        engine.wait_for(name, "{{.State.Status}}", "exited");
    }
    let aside = format!("{gone}.aside");
    fs::rename(gone, &aside).expect("moved");
    let (code, printed, said) = engine.run(&["system", "check", "--repair"]);
    assert!(code != 0 && said.contains("container a") && said.contains(gone), "{said}");
    assert!(printed.contains("Cleared 1 containers"), "{printed}");
    fs::rename(aside, gone).expect("moved back");
    engine.ok(&["system", "check", "--repair"]);
    engine.ok(&["rm", "a", "b"]);
    engine.assert_clean();
}

#[test]
fn a_record_that_a_power_failure_has_emptied_is_of_no_container() {
    let engine = Engine::new("emptied");
    let id = engine.ok(&["create", "--rm", "--name", "lost", IMAGE]);
    engine.ok(&["create", "--name", "whole", IMAGE]);
    fs::write(engine.scratch.join(&format!("root/containers/{id}/container.json")), "").expect("emptied");
    assert_eq!(engine.ok(&["ps", "-a", "--format", "{{.Names}}"]), "whole");
    let (code, printed, _) = engine.run(&["system", "check"]);
    assert!(code != 0 && printed.contains(&id[..12]), "{printed}");
    engine.ok(&["system", "check", "--repair"]);
    // Its name is free again, and its image is nobody's.
    engine.ok(&["create", "--name", "lost", IMAGE]);
    engine.ok(&["rm", "lost", "whole"]);
    engine.assert_clean();
}

#[test]
fn exec_as_another_user_keeps_what_the_container_gives_everybody() {
    let engine = Engine::new("exec-user");
    let given = ["--umask", "0077", "--group-add", "4321", "--cap-add", "NET_ADMIN", "-u", "1000"];
    engine.ok(&[&["run", "-d", "--name", "c"], &given[..], &[IMAGE, "sleep", "1000"]].concat());
    let script = "umask; id -G; grep -E 'Cap(Eff|Amb)' /proc/self/status";
    let own = engine.ok(&["exec", "c", "sh", "-c", script]);
    assert!(own.starts_with("0077\n0 4321\n") && own.contains("CapEff:\t0000000000001000"), "{own}");
    assert_eq!(engine.ok(&["exec", "-u", "1000", "c", "sh", "-c", script]), own);
    // Capabilities were given to the container's user.
    let others = engine.ok(&["exec", "-u", "1001", "c", "sh", "-c", script]);
    assert_eq!(others, own.replace("0000000000001000", "0000000000000000"));
    engine.ok(&["rm", "-f", "c"]);
    engine.assert_clean();
}

#[test]
fn a_detached_exec_lets_go_of_its_callers_streams_and_tells_why_it_failed() {
    let engine = Engine::new("exec-detached");
    engine.ok(&["run", "-d", "--name", "c", IMAGE, "sleep", "1000"]);
    let (code, _, said) = engine.run(&["exec", "-d", "c", "nothere"]);
    assert!(code == 127 && said.contains("container c") && said.contains("nothere"), "{code}: {said}");
    // `output` reads both pipes to their ends: the program must not hold one.
    within(&engine, &["exec", "-d", "c", "sleep", "1000"]);
    engine.ok(&["rm", "-f", "c"]);
    engine.assert_clean();
}

#[test]
fn statistics_are_read_whatever_the_runtime_is_and_also_of_what_does_not_run() {
    let engine = Engine::new("statistics");
    engine.ok(&["create", "--name", "idle", IMAGE]);
    let busy = ["run", "-d", "--memory", "64m", "--name", "busy", IMAGE, "sh", "-c", "while :; do :; done"];
    engine.ok(&busy);
    // A runtime that knows no events, as crun.
    let shy = engine.scratch.join("shy");
    let script = format!(
        "#!/bin/sh\ncase \" $* \" in *' events '*) exit 1;; esac\nexec {} \"$@\"\n",
        runtime().display()
    );
    fs::write(&shy, script).expect("written");
    fs::set_permissions(&shy, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("executable");
    let shy = shy.to_str().expect("text");
    engine.ok(&["run", "-d", "--runtime", shy, "--name", "other", IMAGE, "sleep", "1000"]);
    let stats = |words: &[&str]| {
        engine.ok(&[
            &["stats", "--no-stream", "--format", "{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}}"],
            words,
        ]
        .concat())
    };
    let line = stats(&["busy"]);
    let fields: Vec<&str> = line.split(' ').collect();
    let share: f64 = fields[1].trim_end_matches('%').parse().expect("a share");
    assert!(share > 5.0 && share < 150.0, "{line}");
    assert!(line.ends_with(" 1") && line.contains("/ 67.1 MB"), "{line}");
    assert!(stats(&["other"]).ends_with(" 1"));
    let names = |text: String| {
        text.lines().map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let sorted = |mut list: Vec<String>| {
        list.sort();
        list
    };
    assert_eq!(sorted(names(stats(&[]))), ["busy", "other"]);
    assert_eq!(sorted(names(stats(&["--all"]))), ["busy", "idle", "other"]);
    assert_ne!(engine.run(&["stats", "--no-stream", "idle"]).0, 0);
    engine.ok(&["rm", "-f", "busy", "other", "idle"]);
    engine.assert_clean();
}

#[test]
fn options_that_were_accepted_do_what_they_say() {
    let engine = Engine::new("accepted");
    let script = ["sh", "-c", "echo out; echo err >&2"];
    let run = |words: &[&str]| engine.run(&[&["run", "--rm"], words, &[IMAGE], &script].concat());
    assert_eq!(run(&["-a", "stdout"]), (0, "out".into(), String::new()));
    assert_eq!(run(&["-a", "STDERR"]), (0, String::new(), "err".into()));
    assert_eq!(run(&["-a", "stdout", "-d"]).0, 125);
    assert_eq!(run(&["--expose", "none"]).0, 125);
    engine.ok(&["create", "--name", "c", "--expose", "80", "--expose", "53/udp", IMAGE]);
    assert_eq!(engine.ask("c", "{{json .Config.ExposedPorts}}"), r#"{"53/udp":{},"80/tcp":{}}"#);
    let listed =
        |mount: &[&str]| engine.ok(&[&["run", "--rm"], mount, &[IMAGE, "sh", "-c", "ls /data"]].concat());
    assert_eq!(listed(&["--tmpfs", "/data"]), "");
    assert_eq!(listed(&["--tmpfs", "/data:tmpcopyup"]), "inner");
    assert_eq!(listed(&["--mount", "type=tmpfs,target=/data,tmpcopyup"]), "inner");
    let (code, _, said) =
        engine.run(&["run", "--mount", "type=volume,target=/data,tmpcopyup", IMAGE, "true"]);
    assert!(code == 125 && said.contains("tmpcopyup"), "{said}");
    engine.ok(&["rm", "c"]);
    engine.assert_clean();
}

#[test]
fn on_a_full_disk_it_is_known_what_runs_and_how_it_ended_and_rm_makes_room() {
    let engine = Engine::empty("full");
    let root = engine.scratch.join("root");
    fs::create_dir(&root).expect("a directory");
    engine::support::run("mount", &["-t", "tmpfs", "-o", "size=24m", "tmpfs", root.to_str().expect("text")]);
    engine.load(IMAGE, &json!({ "Cmd": ["sh"], "Env": ["PATH=/bin"] }));
    engine.ok(&[
        "create",
        "--name",
        "before",
        IMAGE,
        "sh",
        "-c",
        "trap 'exit 5' TERM; while :; do sleep 0.1; done",
    ]);
    // The container fills the disk itself, and ends.
    let (code, ..) = engine.run(&[
        "run",
        "--name",
        "filler",
        IMAGE,
        "sh",
        "-c",
        "dd if=/dev/zero of=/big bs=4k 2>&0; exit 7",
    ]);
    assert_eq!((code, engine.ask("filler", "{{.State.Status}} {{.State.ExitCode}}")), (7, "exited 7".into()));
    engine.ok(&["start", "before"]);
    assert_eq!(engine.ask("before", "{{.State.Status}}"), "running");
    assert_eq!(engine.ok(&["exec", "before", "echo", "in"]), "in");
    engine.ok(&["stop", "before"]);
    assert_eq!(engine.ask("before", "{{.State.Status}} {{.State.ExitCode}}"), "exited 5");
    engine.ok(&["rm", "filler"]);
    engine.ok(&["run", "--rm", IMAGE, "true"]);
    engine.ok(&["rm", "before"]);
}

#[test]
fn commands_for_one_container_come_one_after_the_other() {
    let engine = Engine::new("in-turn");
    engine.ok(&["run", "-d", "--name", "c", IMAGE, "sleep", "1000"]);
    for _ in 0..6 {
        let commands =
            [&["restart", "-t", "0", "c"][..], &["restart", "-t", "0", "c"], &["kill", "c"], &["start", "c"]];
        let children: Vec<_> = commands.into_iter().map(|words| (words, engine.spawn(words))).collect();
        for (words, child) in children {
            let output = child.wait_with_output().expect("it ends");
            let said = String::from_utf8_lossy(&output.stderr);
            // What one command finds may have been ended by another, and that is all that may be said.
            let fair = output.status.success() || said.contains("it does not run");
            assert!(fair, "{words:?}: {said}");
        }
    }
    engine.ok(&["rm", "-f", "c"]);
    engine.assert_clean();
}

#[test]
fn a_mask_that_was_named_is_there_beside_privileged() {
    let engine = Engine::new("mask");
    let words =
        ["run", "--rm", "--privileged", "--security-opt", "mask=/etc/passwd", IMAGE, "cat", "/etc/passwd"];
    assert_eq!(engine.ok(&words), "");
    engine.assert_clean();
}

#[test]
fn an_empty_format_is_none() {
    let engine = Engine::new("no-format");
    engine.ok(&["create", "--name", "c", IMAGE]);
    assert_eq!(engine.ok(&["ps", "-a", "--format", ""]), engine.ok(&["ps", "-a"]));
    engine.ok(&["rm", "c"]);
    engine.assert_clean();
}
