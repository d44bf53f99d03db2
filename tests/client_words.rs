//! What containerd, CRI-O, podman, docker and others read from our words and exit codes, asked as they ask: each client's own
//! match, verbatim, over what each verb says. conmon and BuildKit match no words.
//!
//! Sources: `clients.md` ("Words that clients match"), 2.4 and 2.6 of `command-line.md`.

mod support;

use corten::sys::regex::Regex;
use serde_json::{Value, json};
use std::ffi::CString;
use std::fs;
use support::{Bundle, Outcome, is_peer, skip_on_peer};

/// Whether a text matches an extended regular expression, in any case of its letters where the client says `(?i)`.
fn matches(expression: &str, text: &str) -> bool {
    let (expression, text) = match expression.strip_prefix("(?i)") {
        Some(expression) => (expression.to_owned(), text.to_lowercase()),
        None => (expression.to_owned(), text.to_owned()),
    };
    let regex = Regex::new(&expression).expect("a regular expression");
    text.lines().any(|line| regex.is_match(&CString::new(line).unwrap()))
}

/// What containerd makes of a failed `kill` (process/utils.go, checkKillError).
fn containerd_kill(said: &str) -> &'static str {
    if said.contains("os: process already finished")
        || said.contains("container not running")
        || said.to_lowercase().contains("no such process")
    {
        return "not found: process already finished";
    }
    if said.contains("does not exist") { "not found: no such container" } else { "unknown" }
}

/// What CRI-O makes of a failed `kill` (runtime_oci.go).
fn crio_kill(said: &str) -> bool {
    ["no such process", "container not running", "invalid process"].iter().any(|words| said.contains(words))
}

/// What podman makes of a failed `create`, `start` or `exec` (libpod/oci_util.go, getOCIRuntimeError).
fn podman(said: &str) -> u32 {
    if matches("(?i).*permission denied.*|.*operation not permitted.*", said) {
        return 126;
    }
    let missing = "(?i).*executable file not found in.*|.*no such file or directory.*|.*open executable.*";
    if matches(missing, said) { 127 } else { 125 }
}

/// The exit code of `podman run` and `podman start` after a failed runtime (define/exec_codes.go).
fn podman_run(said: &str) -> u32 {
    let said = said.to_lowercase();
    let words = ["not found", "executable path is empty", "no such file"];
    if words.iter().any(|words| said.contains(words)) { 127 } else { 126 }
}

/// The exit code of `docker run` (docker/cli, cli/command/container/run.go); the case of the letters counts.
fn docker_cli(said: &str) -> u32 {
    if said.contains("executable file not found") || said.contains("no such file or directory") {
        127
    } else if said.contains("permission denied") || said.contains("is a directory") {
        126
    } else {
        125
    }
}

/// The exit code that dockerd gives the container (daemon/errors.go).
fn dockerd(said: &str) -> u32 {
    let said = said.to_lowercase();
    let has = |words: &str| said.contains(words);
    if has("executable file not found") || has("no such file or directory") || has("not a directory") {
        127
    } else if has("permission denied") || has("is a directory") {
        126
    } else {
        128
    }
}

/// A program that cannot be run, by all ways to run one.
fn of_program(args: &Value) -> Vec<Outcome> {
    let mut bundle = Bundle::new();
    bundle.executable("bin/strange", "\u{1}\u{2}strange");
    bundle.set("/process/args", args.clone());
    let run = bundle.run();
    let bundle = Bundle::sleeper();
    bundle.executable("bin/strange", "\u{1}\u{2}strange");
    bundle.run_detached();
    let command: Vec<&str> = args.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    let exec = bundle.exec(&[], &command);
    bundle.kill_and_delete();
    vec![run, exec]
}

#[test]
fn command_that_cannot_be_run_has_the_exit_code_that_its_users_expect() {
    // The command; podman (exec), podman run, docker run, dockerd.
    for (args, codes) in [
        (json!(["nosuch"]), [127, 127, 127, 127]),
        (json!(["/no/such"]), [127, 127, 127, 127]),
        (json!(["/etc/passwd"]), [126, 126, 126, 126]),
        (json!(["/etc"]), [125, 126, 126, 126]),
        (json!(["/bin/strange"]), [125, 126, 125, 128]),
    ] {
        if is_peer() && args == json!(["/etc"]) {
            eprintln!("runc 1.1 says permission denied of a directory");
            continue;
        }
        for outcome in of_program(&args) {
            let said = outcome.says();
            let read = [podman(&said), podman_run(&said), docker_cli(&said), dockerd(&said)];
            assert_eq!(read, codes, "{args}: {outcome:#?}");
        }
    }
}

#[test]
fn log_says_what_stderr_says() {
    let mut bundle = Bundle::new();
    bundle.set("/process/args", json!(["nosuch"]));
    bundle.write_config();
    let globals = ["--log", "log.json", "--log-format", "json"];
    let outcome = bundle.call(&[&globals[..], &["run", "--bundle", "bundle", &bundle.id]].concat());
    let log = fs::read_to_string(bundle.dir.join("log.json")).unwrap();
    // podman reads one object, containerd the last of level error.
    let record: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    let message = record["msg"].as_str().unwrap();
    assert_eq!(record["level"], "error");
    assert_eq!(podman(message), 127);
    assert!(is_peer() || outcome.stderr.starts_with(&format!("{message}\n")), "{outcome:#?}");
}

#[test]
fn kill_of_what_is_gone_is_understood() {
    let bundle = Bundle::sh("exit 0");
    let said = |outcome: Outcome| outcome.fails("").says();
    let unknown = said(bundle.kill("15"));
    assert_eq!(containerd_kill(&unknown), "not found: no such container");
    bundle.run_detached();
    bundle.await_death(bundle.pid());
    let stopped = said(bundle.kill("15"));
    assert_eq!(containerd_kill(&stopped), "not found: process already finished");
    assert!(crio_kill(&stopped), "{stopped}");
    // `kill --all` of containerd, and of podman, which asks of an exited container whether it is gone.
    let all = bundle.call(&["kill", "--all", &bundle.id, "9"]);
    assert!(all.code == Some(0) || crio_kill(&all.says()), "{all:#?}");
    bundle.delete().ok();
    // containerd's delete of a task (init.go) and podman's state take these words for success.
    for outcome in [bundle.delete(), bundle.call(&["state", &bundle.id]), bundle.start()] {
        assert!(outcome.fails("").says().contains("does not exist"));
    }
    bundle.delete_force().ok();
}

#[test]
fn no_other_failure_reads_as_gone() {
    let bundle = Bundle::sleeper();
    bundle.run_detached();
    for outcome in [
        bundle.kill("NOSUCH"),
        bundle.delete(),
        bundle.start(),
        bundle.exec(&[], &["nosuch"]),
        bundle.call(&["update", "--resources", "nosuch", &bundle.id]),
        bundle.call(&["resume", &bundle.id]),
    ] {
        let said = outcome.says();
        assert!(outcome.code != Some(0), "{outcome:#?}");
        assert_eq!(containerd_kill(&said), "unknown", "{said}");
        assert!(!crio_kill(&said), "{said}");
    }
    bundle.kill_and_delete();
}

#[test]
fn states_are_told_in_runcs_words() {
    let bundle = Bundle::sleeper();
    bundle.run_detached();
    let id = bundle.id.as_str();
    bundle.run_with(&["--detach"]).fails("container with given ID already exists");
    bundle.start().fails("cannot start an already running container");
    bundle.delete().fails(&format!("cannot delete container {id} that is not stopped: running"));
    bundle.call(&["resume", id]).fails("container not paused");
    bundle.call(&["pause", id]).ok();
    let words = "cannot exec in a paused container (use --ignore-paused to override)";
    bundle.exec(&[], &["true"]).fails_with(255, words);
    bundle.call(&["resume", id]).ok();
    let pid = bundle.pid();
    bundle.kill("KILL").ok();
    bundle.await_death(pid);
    bundle.exec(&[], &["true"]).fails_with(255, "cannot exec in a stopped container");
    bundle.start().fails("cannot start a container that has stopped");
    bundle.kill("KILL").fails("container not running");
    bundle.delete().ok();
    bundle.call(&["create", "--bundle", "bundle", "no/id"]).fails("invalid container ID format");
    bundle.call(&["state", id]).fails("container does not exist");
    if skip_on_peer("it tells its own name") {
        return;
    }
    let mut bundle = Bundle::new();
    bundle.set("/process/terminal", json!(true));
    let words = "cannot allocate tty if corten will detach without setting console socket";
    bundle.create().fails(words);
    bundle.set("/process/terminal", json!(false));
    let words = "cannot use console socket if corten will not detach or allocate tty";
    bundle.create_with(&["--console-socket", "nosuch"]).fails(words);
}

#[test]
fn exit_codes_are_runcs() {
    let bundle = Bundle::sh("exit $CODE");
    // Errors, and command lines that are not understood.
    for words in [
        &["state", "nosuch"][..],
        &["kill", "nosuch"],
        &["frobnicate"],
        &["state"],
        &["state", "--nosuch", "x"],
        &["exec"],
        &["--log-format", "xml", "list"],
    ] {
        // runc takes any format, and prints its help for an unknown command.
        if !(is_peer() && ["frobnicate", "--log-format"].contains(&words[0])) {
            assert_eq!(bundle.call(words).code, Some(1), "{words:?}");
        }
    }
    for (script, code) in [("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("kill -TERM $$; sleep 9", 0)] {
        let mut bundle = Bundle::sh(script);
        // The first process of a pid namespace has no signal that it does not handle.
        let code = if script.starts_with("kill") {
            bundle.without_namespace("pid");
            128 + libc::SIGTERM
        } else {
            code
        };
        assert_eq!(bundle.run().code, Some(code), "{script}");
        bundle.run_with(&["--detach"]).ok();
        bundle.await_and_delete();
    }
    let bundle = Bundle::sleeper();
    bundle.create().ok();
    bundle.start().ok();
    for (script, code) in [("exit 0", 0), ("exit 3", 3), ("kill -KILL $$", 137)] {
        assert_eq!(bundle.exec(&[], &["sh", "-c", script]).code, Some(code), "{script}");
        assert_eq!(bundle.exec(&["--detach"], &["sh", "-c", script]).code, Some(0), "{script}");
    }
    bundle.exec(&[], &["nosuch"]).fails_with(255, "executable file not found");
    bundle.call(&["exec", "nosuch", "true"]).fails_with(255, "does not exist");
    bundle.kill_and_delete();
}

#[test]
fn refusal_of_a_label_names_the_file_that_podman_looks_for() {
    let expression = "`/proc/[a-z0-9-].+/attr.*`";
    let mut bundle = Bundle::new();
    bundle.set("/process/apparmorProfile", json!("nosuch"));
    let said = bundle.create().fails("").says();
    if fs::metadata("/sys/kernel/security/apparmor").is_ok() {
        assert!(matches(expression, &said), "{said}");
    } else {
        // Without the module there is no such file: podman takes the words for any other failure.
        assert!(said.contains("AppArmor is not enabled"), "{said}");
    }
}
