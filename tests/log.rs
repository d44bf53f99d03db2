//! `--log`: a file, systemd's journal or syslog; the one record of an error, as engines and loggers read it.
//!
//! The sockets of the machine's loggers are replaced in a mount namespace of the test's own.

mod support;

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use support::runtime::DEADLINE;
use support::{Bundle, Outcome, leaks, skip_on_peer};

const JOURNAL: &str = "/run/systemd/journal/socket";
const SYSLOG: &str = "/dev/log";

/// A logger of the machine: what is sent to `path` is read here.
struct Logger {
    socket: UnixDatagram,
    source: PathBuf,
    path: &'static str,
}

impl Logger {
    fn at(bundle: &Bundle, path: &'static str) -> Self {
        let source = bundle.dir.join("logger");
        let socket = UnixDatagram::bind(&source).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { socket, source, path }
    }

    /// Runs a verb where the logger is the machine's.
    fn call(&self, bundle: &Bundle, words: &[&str]) -> Outcome {
        let (source, path) = (self.source.display(), self.path);
        let above = if path == JOURNAL { "/run" } else { "/dev" };
        let setup = format!(
            "mount -t tmpfs tmpfs {above} && mkdir -p $(dirname {path}) && mknod -m 666 {above}/null c 1 3 && \
             touch {path} && mount --bind {source} {path}"
        );
        let script = format!("{setup} && exec \"$@\"");
        let wrapper = ["unshare", "--mount", "--propagation", "private", "sh", "-c", &script, "sh"];
        bundle.finish(&mut bundle.command_under(&wrapper, words))
    }

    fn record(&self) -> String {
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes).expect("a record");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    fn heard_everything(&self) {
        self.socket.set_nonblocking(true).unwrap();
        assert!(self.socket.recv(&mut [0; 4096]).is_err(), "one record more");
        self.socket.set_nonblocking(false).unwrap();
    }
}

/// The fields of the journal's record about a container.
fn fields(priority: u8, identifier: &str, message: &str, id: &str) -> String {
    let container = if id.is_empty() { String::new() } else { format!("ID={id}\nCONTAINER_ID_FULL={id}\n") };
    format!("PRIORITY={priority}\nSYSLOG_IDENTIFIER={identifier}\nMESSAGE={message}\n{container}")
}

#[test]
fn journal_gets_the_error_with_the_container() {
    if skip_on_peer("journald: is crun's") {
        return;
    }
    let bundle = Bundle::new();
    let logger = Logger::at(&bundle, JOURNAL);
    let message = format!("state {}: container does not exist", bundle.id);
    for (destination, identifier) in [("journald:", "corten"), ("journald:engine", "engine")] {
        let outcome = logger.call(&bundle, &["--log", destination, "state", &bundle.id]).fails("");
        assert_eq!(outcome.stderr, format!("{message}\n"));
        assert_eq!(logger.record(), fields(3, identifier, &message, &bundle.id));
    }
    // A command line that is not understood, too; no verb, so no container.
    let said = logger.call(&bundle, &["--log=journald:", "frobnicate"]).fails("").stderr;
    let message = said.lines().next().unwrap().trim_start_matches("error: ");
    assert_eq!(logger.record(), fields(3, "corten", message, ""));
    logger.heard_everything();
}

#[test]
fn syslog_gets_the_error_under_the_name_of_the_container() {
    if skip_on_peer("syslog: is crun's") {
        return;
    }
    let bundle = Bundle::new();
    let logger = Logger::at(&bundle, SYSLOG);
    for (destination, tag) in [("syslog:", bundle.id.as_str()), ("syslog:engine", "engine")] {
        logger.call(&bundle, &["--log", destination, "state", &bundle.id]).fails("");
        let record = logger.record();
        let (time, message) = record.strip_prefix("<11>").unwrap().split_at("Nov 28 03:00:00".len());
        assert_eq!(message, format!(" {tag}: state {}: container does not exist", bundle.id));
        let bytes = time.as_bytes();
        assert_eq!((bytes[3], bytes[6], bytes[9], bytes[12]), (b' ', b' ', b':', b':'), "{record}");
    }
    logger.heard_everything();
}

#[test]
fn warnings_go_to_the_loggers_when_they_are_asked_for() {
    if skip_on_peer("journald: and syslog: are crun's") {
        return;
    }
    let mut bundle = Bundle::new();
    bundle.push("/process/capabilities/bounding", serde_json::json!("CAP_NEW")).write_config();
    for (path, destination, begin) in [(JOURNAL, "journald:", "PRIORITY=4\n"), (SYSLOG, "syslog:", "<12>")] {
        let logger = Logger::at(&bundle, path);
        let create = ["create", "--bundle", "bundle", &bundle.id];
        for (options, warns) in
            [(&["--log", destination][..], false), (&["--debug", "--log", destination], true)]
        {
            assert_eq!(logger.call(&bundle, &[options, &create[..]].concat()).ok().stderr, "");
            if warns {
                let record = logger.record();
                assert!(record.starts_with(begin) && record.contains("CAP_NEW"), "{record}");
            }
            logger.heard_everything();
            bundle.delete().ok();
        }
        fs::remove_file(&logger.source).unwrap();
    }
}

#[test]
fn logger_that_is_not_there_is_named_before_anything_is_done() {
    if skip_on_peer("crun goes on without a log") {
        return;
    }
    let bundle = Bundle::new();
    bundle.write_config();
    let wrapper = "mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /dev && mknod -m 666 /dev/null c 1 3 && exec \"$@\"";
    let wrapper = ["unshare", "--mount", "--propagation", "private", "sh", "-c", wrapper, "sh"];
    for (destination, path) in [("journald:", JOURNAL), ("syslog:x", SYSLOG)] {
        let words = ["--log", destination, "create", "--bundle", "bundle", &bundle.id];
        let outcome = bundle.finish(&mut bundle.command_under(&wrapper, &words)).fails("");
        let begin = format!("create {}: --log {destination}: {path}: ", bundle.id);
        assert!(outcome.stderr.starts_with(&begin), "{outcome:#?}");
        leaks::assert_nothing_left(&bundle);
    }
}

#[test]
fn what_cannot_be_understood_is_logged_where_the_last_log_is_and_not_where_a_program_says() {
    if skip_on_peer("the words are ours") {
        return;
    }
    let bundle = Bundle::new();
    let is_there = |name: &str| bundle.dir.join(name).exists();
    let program = ["echo", "--log", "stray", "--log-format", "json"];
    let words = [&["--log", "one", "--log", "two", "exec", "--bad", &bundle.id][..], &program].concat();
    bundle.call(&words).fails("error: unexpected argument '--bad' found");
    assert_eq!(["one", "two", "stray"].map(is_there), [false, true, false]);
    let text = fs::read_to_string(bundle.dir.join("two")).unwrap();
    assert!(text.starts_with("time="), "{text}");
    bundle.call(&["list", "--log=three", "--log-format=json", "--bad"]).fails("'--bad'");
    let text = fs::read_to_string(bundle.dir.join("three")).unwrap();
    assert!(text.starts_with("{\"level\":\"error\",\"msg\":\"unexpected argument '--bad' found\""), "{text}");
}

#[test]
fn file_may_be_named_as_such() {
    if skip_on_peer("file: is crun's") {
        return;
    }
    let bundle = Bundle::new();
    for destination in ["log", "file:log"] {
        bundle.call(&["--log", destination, "--log-format", "json", "state", &bundle.id]).fails("");
        let record = fs::read_to_string(bundle.dir.join("log")).unwrap();
        let record: serde_json::Value = serde_json::from_str(&record).unwrap();
        assert_eq!(record["msg"], format!("state {}: container does not exist", bundle.id));
        fs::remove_file(bundle.dir.join("log")).unwrap();
    }
    bundle.call(&["--log", "file:", "state", &bundle.id]).fails("--log file:: names no file");
}

#[test]
fn level_says_whether_warnings_are_told() {
    if skip_on_peer("--log-level is crun's, and Debian's has none yet") {
        return;
    }
    let mut bundle = Bundle::new();
    bundle.push("/process/capabilities/bounding", serde_json::json!("CAP_NEW")).write_config();
    let create = |options: &[&str]| {
        let outcome = bundle.call(&[options, &["create", "--bundle", "bundle", &bundle.id]].concat()).ok();
        bundle.delete().ok();
        outcome.stderr.contains("CAP_NEW")
    };
    let with_log = |options: &[&str]| {
        let stderr = create(&[&["--log", "log"], options].concat());
        let log = fs::read_to_string(bundle.dir.join("log")).unwrap();
        fs::remove_file(bundle.dir.join("log")).unwrap();
        assert_eq!(log.lines().count(), usize::from(log.contains("level=warning")), "{log}");
        (stderr, log.contains("CAP_NEW"))
    };
    for (options, here, logged) in [
        (&[][..], true, false),
        (&["--log-level", "error"], false, false),
        (&["--log-level=warning"], true, true),
        (&["--log-level=debug"], true, true),
        (&["--debug"], true, true),
        (&["--debug", "--log-level=error"], false, false),
        (&["--log-level=error", "--debug"], true, true),
        (&["--log-level=debug", "--log-level=error"], false, false),
    ] {
        assert_eq!((create(options), with_log(options)), (here, (false, logged)), "{options:?}");
    }
    bundle.call(&["--log-level", "loud", "list"]).fails("invalid value 'loud' for '--log-level <LEVEL>'");
    // The error is told at every level.
    let words = ["--log", "log", "--log-level", "error", "state", &bundle.id];
    bundle.call(&words).fails("container does not exist");
    assert!(fs::read_to_string(bundle.dir.join("log")).unwrap().contains("level=error"));
}
