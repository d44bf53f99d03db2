//! Files that the caller names: `--log`, `--pid-file`, `--console-socket`. What engines read in them, and that neither a
//! missing directory nor a symlink that somebody put there does harm.

mod support;

use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use support::{Bundle, is_peer, leaks, skip_on_peer};

#[test]
fn json_log_holds_the_error_once_and_stderr_the_same_message() {
    // podman parses the whole file as one object; containerd reads the last error; conmon reads stderr.
    let mut bundle = Bundle::new();
    bundle.set("/process/args", json!(["nosuch"]));
    // What is worth a warning must not put a second object into the file.
    bundle.push("/process/capabilities/bounding", json!("CAP_WEATHER"));
    bundle.write_config();
    let words = ["--log", "log.json", "--log-format", "json", "create", "--bundle", "bundle", &bundle.id];
    let outcome = bundle.call(&words).fails("executable file not found in $PATH");
    let text = fs::read_to_string(bundle.dir.join("log.json")).unwrap();
    let entries: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let errors: Vec<&Value> = entries.iter().filter(|entry| entry["level"] == "error").collect();
    assert_eq!(errors.len(), 1, "{text}");
    if !is_peer() {
        assert_eq!(entries.len(), 1, "{text}");
        assert_eq!(outcome.stderr.lines().next(), errors[0]["msg"].as_str());
    }
    let time = errors[0]["time"].as_str().unwrap();
    assert!(time.len() >= 20 && time.as_bytes()[10] == b'T', "RFC 3339: {time}");
}

#[test]
fn log_is_appended_to() {
    let bundle = Bundle::new();
    fs::write(
        bundle.dir.join("log.json"),
        "{\"level\":\"info\",\"msg\":\"old\",\"time\":\"2026-01-01T00:00:00Z\"}\n",
    )
    .unwrap();
    bundle.call(&["--log", "log.json", "--log-format", "json", "state", &bundle.id]).fails("does not exist");
    let text = fs::read_to_string(bundle.dir.join("log.json")).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.starts_with("{\"level\":\"info\""));
}

#[test]
fn text_log_is_runcs() {
    let bundle = Bundle::new();
    bundle.call(&["--log", "log.txt", "state", &bundle.id]).fails("does not exist");
    let text = fs::read_to_string(bundle.dir.join("log.txt")).unwrap();
    assert!(text.starts_with("time=\"") && text.contains("level=error msg="), "{text}");
}

#[test]
fn log_that_cannot_be_written_is_named_once_and_nothing_is_done() {
    let bundle = Bundle::new();
    bundle.write_config();
    for (path, what) in [("no/such/log", "missing"), ("bundle", "is a directory")] {
        let words = ["--log", path, "create", "--bundle", "bundle", &bundle.id];
        let outcome = bundle.call(&words).fails(what);
        if !is_peer() {
            assert_eq!(outcome.stderr, format!("create {}: --log {path}: {what}\n", bundle.id));
        }
        leaks::assert_nothing_left(&bundle);
    }
}

#[test]
fn log_that_is_a_symlink_is_refused() {
    if skip_on_peer("runc follows it") {
        return;
    }
    let bundle = Bundle::new();
    let victim = bundle.dir.join("victim");
    symlink(&victim, bundle.dir.join("log")).unwrap();
    let outcome = bundle.call(&["--log", "log", "state", &bundle.id]).fails("symlink");
    let message = format!("state {}: --log log: is a symlink, which a log file may not be\n", bundle.id);
    assert_eq!(outcome.stderr, message);
    assert!(!victim.exists());
}

#[test]
fn log_may_be_a_descriptor_of_the_caller() {
    for path in ["/dev/stderr", "/dev/fd/2", "/proc/self/fd/2"] {
        let bundle = Bundle::new();
        let outcome = bundle.call(&["--log", path, "state", &bundle.id]).fails("does not exist");
        assert!(outcome.stderr.contains("level=error msg="), "{path}: {outcome:#?}");
    }
}

#[test]
fn pid_file_that_cannot_be_written_ends_the_container() {
    for (path, what) in [("no/such/pid", "missing"), ("bundle", "")] {
        let bundle = Bundle::new();
        bundle.write_config();
        let words = ["create", "--bundle", "bundle", "--pid-file", path, &bundle.id];
        let outcome = bundle.call(&words).fails(what);
        if !is_peer() {
            let start = format!("create {}: --pid-file {}: ", bundle.id, bundle.dir.join(path).display());
            assert!(outcome.stderr.starts_with(&start), "{outcome:#?}");
            assert_eq!(outcome.stderr.lines().count(), 1);
        }
        leaks::assert_nothing_left(&bundle);
        assert!(is_peer() || !bundle.dir.join(".bundle").exists(), "the temporary file is left");
    }
}

#[test]
fn pid_file_follows_no_symlink() {
    if skip_on_peer("runc fails where a temporary file is left over") {
        return;
    }
    // The temporary name as well as the name itself, put there by somebody who waits for us.
    let bundle = Bundle::sleeper();
    let victim = bundle.dir.join("victim");
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, bundle.dir.join(".pid")).unwrap();
    symlink(&victim, bundle.dir.join("pid")).unwrap();
    bundle.create().ok();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    let pid = bundle.dir.join("pid");
    assert!(pid.symlink_metadata().unwrap().is_file());
    assert_eq!(fs::read_to_string(&pid).unwrap(), bundle.state()["pid"].to_string());
    assert!(bundle.dir.join(".pid").symlink_metadata().is_err());
    bundle.delete().ok();
}

#[test]
fn console_socket_that_nobody_listens_on_is_named() {
    let mut bundle = Bundle::new();
    bundle.set("/process/terminal", json!(true));
    fs::write(bundle.dir.join("file"), "").unwrap();
    for (path, what) in [("nosuch", "missing"), ("file", "connection refused")] {
        let outcome = bundle.create_with(&["--console-socket", path]).fails("");
        if !is_peer() {
            let socket = bundle.dir.join(path);
            let message = format!("create {}: --console-socket {}: {what}\n", bundle.id, socket.display());
            assert_eq!(outcome.stderr, message);
        }
        leaks::assert_nothing_left(&bundle);
    }
}
