//! What a supervisor passes to a container and hears of it: `NOTIFY_SOCKET`, sockets and other descriptors, the pidfd, orphans.
//!
//! Sources: sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3); 2.3 and 2.5 of `command-line.md`.

mod support;

use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::Duration;
use support::messenger::{self, Supervisor};
use support::runtime::{DEADLINE, Running, dies_within, eventually};
use support::{Bundle, leaks, skip_on_peer};

/// How long something that must not happen is waited for.
const WHILE: Duration = Duration::from_millis(150);

/// A bundle whose container has a program for each message that its script may tell, by name.
fn telling(script: &str, messages: &[(&str, &str)]) -> Bundle {
    let mut bundle = Bundle::sh(script);
    for (name, text) in messages {
        add_program(&bundle, name, &messenger::teller(text));
    }
    rustix::fs::mkfifoat(rustix::fs::CWD, bundle.rootfs().join("go"), 0o666.into()).unwrap();
    bundle.push("/process/env", json!("NOTIFY_SOCKET=/not/that/one"));
    bundle
}

fn add_program(bundle: &Bundle, name: &str, file: &[u8]) {
    bundle.executable(name, "");
    fs::write(bundle.rootfs().join(name), file).unwrap();
}

fn supervisor(bundle: &Bundle) -> Supervisor {
    Supervisor::at(&bundle.dir.join("supervisor"))
}

fn with_socket<'a>(bundle: &Bundle, command: &'a mut Command) -> &'a mut Command {
    command.env("NOTIFY_SOCKET", bundle.dir.join("supervisor"))
}

/// Lets a script go on that waits in `cat /go`.
fn let_script_go(bundle: &Bundle) {
    OpenOptions::new().write(true).open(bundle.rootfs().join("go")).unwrap().write_all(b"").unwrap();
}

#[track_caller]
fn still_runs(running: &Running) {
    assert!(!dies_within(running.pid(), WHILE), "it has ended already");
}

#[test]
fn start_waits_until_the_program_is_ready() {
    if skip_on_peer("runc 1.1 tells the pid in a message of its own and knows no barrier") {
        return;
    }
    let messages = [("ready", "READY=1\nMAINPID=4\nSTATUS=up"), ("status", "STATUS=warming up")];
    let bundle = telling("/status; cat /go; /ready; /status; exec sleep 100", &messages);
    let supervisor = supervisor(&bundle);
    bundle.finish(with_socket(&bundle, &mut bundle.create_command(&[]))).ok();
    let start = bundle.begin(with_socket(&bundle, &mut bundle.command(&["start", &bundle.id])));
    assert_eq!(supervisor.text(), "STATUS=warming up");
    still_runs(&start);
    let_script_go(&bundle);
    // It may have told its status once more before the runtime looked.
    let mut text = supervisor.text();
    if text == "STATUS=warming up" {
        text = supervisor.text();
    }
    assert_eq!(text, format!("READY=1\nSTATUS=up\nMAINPID={}", bundle.pid()));
    let (text, barrier) = supervisor.hear();
    assert_eq!((text.as_str(), barrier.len()), ("BARRIER=1", 1));
    still_runs(&start);
    drop(barrier);
    start.finish().ok();
    supervisor.heard_everything();
    bundle.kill_and_delete();
}

#[test]
fn detached_run_waits_until_the_program_is_ready() {
    if skip_on_peer("runc 1.1 tells the pid in a message of its own and knows no barrier") {
        return;
    }
    let bundle = telling("echo $NOTIFY_SOCKET; cat /go; /ready; exec sleep 100", &[("ready", "READY=1")]);
    let supervisor = supervisor(&bundle);
    let mut command = bundle.run_command(&["--detach"]);
    let run = bundle.begin(with_socket(&bundle, &mut command).env("WATCHDOG_USEC", "5"));
    run.await_stdout("/run/notify/notify.sock\n");
    still_runs(&run);
    let_script_go(&bundle);
    assert_eq!(supervisor.text(), format!("READY=1\nMAINPID={}", bundle.pid()));
    assert_eq!(supervisor.text(), "BARRIER=1");
    run.finish().ok();
    bundle.kill_and_delete();
}

#[test]
fn start_ends_with_a_program_that_never_was_ready() {
    let bundle = telling("exit 3", &[]);
    let supervisor = supervisor(&bundle);
    bundle.finish(with_socket(&bundle, &mut bundle.create_command(&[]))).ok();
    let mut start = bundle.command(&["start", &bundle.id]);
    bundle.finish(with_socket(&bundle, &mut start)).ok();
    supervisor.heard_everything();
    bundle.await_and_delete();
}

#[test]
fn foreground_run_passes_on_for_the_life_of_the_container() {
    if skip_on_peer("runc passes on READY=1 alone") {
        return;
    }
    let messages = [
        ("ready", "READY=1"),
        ("main", "MAINPID=1\nNOTIFYACCESS=all"),
        ("reloading", "RELOADING=1\nMONOTONIC_USEC=7"),
        ("watchdog", "WATCHDOG=1"),
        ("stopping", "STOPPING=1\nSTATUS=bye"),
    ];
    let script =
        "/ready; /main; /reloading; /watchdog; /store; /barrier; echo $WATCHDOG_USEC; /stopping; exit 5";
    let bundle = telling(script, &messages);
    add_program(&bundle, "store", &messenger::teller_with_pipe("FDSTORE=1\nFDNAME=a"));
    add_program(&bundle, "barrier", &messenger::teller_with_pipe("BARRIER=1"));
    let supervisor = supervisor(&bundle);
    let mut command = bundle.run_command(&[]);
    let run = bundle.begin(with_socket(&bundle, &mut command).env("WATCHDOG_USEC", "3000000"));
    // No MAINPID: the runtime stays the main process.
    for text in ["READY=1", "RELOADING=1\nMONOTONIC_USEC=7", "WATCHDOG=1"] {
        assert_eq!(supervisor.text(), text);
    }
    for text in ["FDSTORE=1\nFDNAME=a", "BARRIER=1"] {
        let (told, descriptors) = supervisor.hear();
        assert_eq!((told.as_str(), descriptors.len()), (text, 1));
        // Nobody but us has it open: the program's wait ends when we let go of it, and not before.
        assert!(!dies_within(run.pid(), WHILE));
        supervisor.heard_everything();
    }
    assert_eq!(supervisor.text(), "STOPPING=1\nSTATUS=bye");
    let outcome = run.finish();
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(5), "3000000\n"), "{outcome:#?}");
    supervisor.heard_everything();
}

#[test]
fn watchdog_of_another_process_and_of_a_detached_program_are_not_promised() {
    if skip_on_peer("runc tells of no watchdog") {
        return;
    }
    let bundle = telling("/ready; echo \"<$WATCHDOG_USEC>\"", &[("ready", "READY=1")]);
    let supervisor = supervisor(&bundle);
    for (options, pid) in [(&["--detach"][..], None), (&[], Some("1"))] {
        let mut command = bundle.run_command(options);
        with_socket(&bundle, &mut command).env("WATCHDOG_USEC", "3000000");
        if let Some(pid) = pid {
            command.env("WATCHDOG_PID", pid);
        }
        let run = bundle.begin(&mut command);
        run.await_stdout("<>\n");
        supervisor.text();
        if pid.is_none() {
            supervisor.text();
        }
        run.finish().ok();
        if pid.is_none() {
            bundle.await_and_delete();
        }
    }
}

#[test]
fn supervisor_that_is_not_there_stops_the_start_before_the_program() {
    if skip_on_peer("runc starts the program first") {
        return;
    }
    let bundle = telling("touch /tmp/ran", &[]);
    let path = bundle.dir.join("supervisor");
    let socket = |command: &mut Command, value: &str| {
        command.env("NOTIFY_SOCKET", value);
        bundle.finish(command)
    };
    let create = socket(&mut bundle.create_command(&[]), path.to_str().unwrap());
    create.ok();
    let start = |value: &str| socket(&mut bundle.command(&["start", &bundle.id]), value);
    start(path.to_str().unwrap()).fails(&format!("start {}: NOTIFY_SOCKET {}: ", bundle.id, path.display()));
    start("@cortentest-nobody").fails("NOTIFY_SOCKET @cortentest-nobody: connection refused");
    start("vsock:2:1").fails("NOTIFY_SOCKET \"vsock:2:1\": neither an absolute path nor an abstract name");
    assert_eq!(bundle.status(), "created");
    assert!(!bundle.rootfs().join("tmp/ran").exists());
    // Who is not asked to tell does not wait.
    bundle.start().ok();
    bundle.await_and_delete();
    socket(&mut bundle.run_command(&[]), path.to_str().unwrap()).fails("NOTIFY_SOCKET");
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn program_in_a_user_namespace_is_heard() {
    let script =
        "/ready || echo refused; touch /run/notify/x 2>&1; test -w /run/notify/notify.sock && echo may";
    let mut bundle = telling(script, &[("ready", "READY=1")]);
    bundle.user_namespace(100_000, 65_536).set("/process/user/uid", json!(1000));
    let supervisor = supervisor(&bundle);
    let outcome = bundle.finish(with_socket(&bundle, &mut bundle.run_command(&[])));
    assert!(outcome.stdout.contains("Read-only file system"), "{outcome:#?}");
    assert!(outcome.stdout.ends_with("may\n"), "{outcome:#?}");
    assert!(supervisor.text().starts_with("READY=1"));
}

#[test]
fn abstract_socket_of_a_supervisor_is_found() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    let bundle = telling("/ready", &[("ready", "READY=1")]);
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&bundle.id).unwrap()).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut command = bundle.run_command(&[]);
    bundle.finish(command.env("NOTIFY_SOCKET", format!("@{}", bundle.id))).ok();
    assert!(messenger::receive(&socket).unwrap().0.starts_with("READY=1"));
}

/// Listens for a pidfd.
fn receiver(bundle: &Bundle) -> UnixListener {
    let path = bundle.dir.join("pidfd.sock");
    let _ = fs::remove_file(&path);
    UnixListener::bind(path).unwrap()
}

/// What came with the connection: the payload, and the pid that the descriptor stands for (-1 once that has ended).
fn received(listener: &UnixListener) -> (String, String, OwnedFd) {
    // Who connects has sent before it ends, so it is either here or comes no more.
    listener.set_nonblocking(true).unwrap();
    let (stream, _) = listener.accept().expect("somebody has connected");
    stream.set_nonblocking(false).unwrap();
    let (payload, mut descriptors) = messenger::receive(&stream).unwrap();
    assert_eq!(descriptors.len(), 1);
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", descriptors[0].as_raw_fd())).unwrap();
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid:\t")).unwrap().to_owned();
    (payload, pid, descriptors.remove(0))
}

#[test]
fn pidfd_of_a_process_is_sent() {
    if skip_on_peer("runc 1.1 has no --pidfd-socket") {
        return;
    }
    let bundle = Bundle::sleeper();
    let listener = receiver(&bundle);
    let option = ["--pidfd-socket", "pidfd.sock"];
    bundle.create_with(&option).ok();
    let (payload, pid, pidfd) = received(&listener);
    assert_eq!((payload.as_str(), pid), ("standard", bundle.pid().to_string()));
    bundle.start().ok();
    let options = [&option[..], &["--detach", "--pid-file", "exec.pid"]].concat();
    bundle.exec(&options, &["sleep", "100"]).ok();
    let (payload, pid, _) = received(&listener);
    assert_eq!(
        (payload, pid),
        ("setns".to_owned(), fs::read_to_string(bundle.dir.join("exec.pid")).unwrap())
    );
    rustix::process::pidfd_send_signal(pidfd.as_fd(), rustix::process::Signal::KILL).unwrap();
    bundle.await_and_delete();
    bundle.run_with(&[&option[..], &["--detach"]].concat()).ok();
    assert_eq!(received(&listener).1, bundle.pid().to_string());
    bundle.kill_and_delete();
}

#[test]
fn pidfd_receiver_of_the_annotation_gets_it_too() {
    if skip_on_peer("the annotation is crun's") {
        return;
    }
    let mut bundle = Bundle::new();
    let listener = receiver(&bundle);
    let path = bundle.dir.join("pidfd.sock");
    bundle.set("/annotations", json!({ "run.oci.pidfd_receiver": path }));
    bundle.create().ok();
    let (payload, pid, _) = received(&listener);
    assert_eq!((payload.as_str(), pid), (" ", bundle.pid().to_string()));
    bundle.delete().ok();
    drop(listener);
    let words = "config.json: annotations.run.oci.pidfd_receiver: ";
    bundle.create().fails(&format!("{words}{}: connection refused", path.display()));
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn pidfd_socket_that_nobody_listens_on_is_named() {
    if skip_on_peer("runc 1.1 has no --pidfd-socket") {
        return;
    }
    let bundle = Bundle::sleeper();
    let path = bundle.dir.join("pidfd.sock");
    fs::write(&path, "").unwrap();
    let words = format!("--pidfd-socket {}: connection refused", path.display());
    let option = ["--pidfd-socket", "pidfd.sock"];
    bundle.create_with(&option).fails(&words);
    bundle.run_with(&option).fails(&words);
    leaks::assert_nothing_left(&bundle);
    bundle.run_detached();
    bundle.exec(&option, &["true"]).fails_with(255, &words);
    bundle.kill_and_delete();
}

/// Runs the script with descriptors 3 and 4 open on files `three` and `four`, and these variables.
fn run_passing(bundle: &Bundle, variables: &str, options: &[&str]) -> support::Outcome {
    bundle.write_config();
    fs::write(bundle.dir.join("three"), "three\n").unwrap();
    fs::write(bundle.dir.join("four"), "four\n").unwrap();
    let wrapper = format!("exec 3<three 4<four; export {variables}; exec \"$@\"");
    let words = [&["run"], options, &["--bundle", "bundle", &bundle.id]].concat();
    bundle.finish(&mut bundle.command_under(&["sh", "-c", &wrapper, "sh"], &words))
}

const SHOW_SOCKETS: &str = "echo $LISTEN_FDS $LISTEN_PID $LISTEN_FDNAMES; for n in 3 4; do test -e /proc/self/fd/$n && cat <&$n; done; true";

#[test]
fn sockets_that_are_ours_are_passed_and_come_first() {
    let bundle = Bundle::sh(SHOW_SOCKETS);
    let outcome = run_passing(&bundle, "LISTEN_FDS=1 LISTEN_PID=$$", &[]).ok();
    assert_eq!(outcome.stdout, "1 1\nthree\n");
    let outcome = run_passing(&bundle, "LISTEN_FDS=1 LISTEN_PID=$$", &["--preserve-fds", "1"]).ok();
    assert_eq!(outcome.stdout, "1 1\nthree\nfour\n");
    if !skip_on_peer("runc 1.1 does not pass the names") {
        let outcome = run_passing(&bundle, "LISTEN_FDS=2 LISTEN_PID=$$ LISTEN_FDNAMES=a:b", &[]).ok();
        assert_eq!(outcome.stdout, "2 1 a:b\nthree\nfour\n");
    }
}

#[test]
fn sockets_of_another_process_stay_outside() {
    let bundle = Bundle::sh(SHOW_SOCKETS);
    for variables in
        ["LISTEN_FDS=2 LISTEN_PID=1 LISTEN_FDNAMES=a:b", "LISTEN_FDS=2", "LISTEN_FDS=0 LISTEN_PID=$$"]
    {
        assert_eq!(run_passing(&bundle, variables, &[]).ok().stdout, "\n", "{variables}");
    }
}

#[test]
fn sockets_that_are_promised_and_not_open_are_refused() {
    if skip_on_peer("runc passes what is there") {
        return;
    }
    let bundle = Bundle::sh(SHOW_SOCKETS);
    run_passing(&bundle, "LISTEN_FDS=3 LISTEN_PID=$$", &[]).fails("LISTEN_FDS: descriptor 5 is not open");
    run_passing(&bundle, "LISTEN_FDS=1 LISTEN_PID=$$", &["--preserve-fds", "2"])
        .fails("--preserve-fds: descriptor 5 is not open");
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn orphans_are_adopted_unless_it_is_forbidden() {
    for (options, adopted) in [(&[][..], true), (&["--no-subreaper"], false)] {
        let mut bundle = telling("(sleep 100 & echo $!); cat /go", &[]);
        bundle.without_namespace("pid");
        let run = bundle.begin(&mut bundle.run_command(options));
        run.await_stdout("\n");
        let orphan = run.stdout().trim().to_owned();
        let parent = || {
            let stat = fs::read_to_string(format!("/proc/{orphan}/stat")).unwrap();
            stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse::<i32>().unwrap()
        };
        eventually(|| parent() != bundle.pid(), || "its parent has ended".to_owned());
        assert_eq!(parent() == run.pid(), adopted, "{options:?}");
        let_script_go(&bundle);
        run.finish().ok();
    }
}

#[test]
fn restore_adopts_orphans_unless_it_is_forbidden() {
    if skip_on_peer("runc ignores --criu") || !rustix::process::geteuid().is_root() {
        return;
    }
    let bundle = Bundle::new();
    bundle.write_config();
    // One that cannot do it is enough: whose orphans they are is settled before.
    let criu = bundle.host_script("criu", "exit 1");
    let log = bundle.dir.join("trace").display().to_string();
    let strace = ["strace", "-qq", "-o", &log, "-e", "trace=prctl"];
    fs::create_dir(bundle.dir.join("images")).unwrap();
    for (options, adopted) in [(&[][..], true), (&["--no-subreaper"], false)] {
        let fixed = ["--criu", &criu, "restore", "--image-path", "images", "--bundle", "bundle"];
        let words = [&fixed, options, &[bundle.id.as_str()]].concat();
        bundle.finish(&mut bundle.command_under(&strace, &words)).fails("criu");
        let calls = fs::read_to_string(&log).unwrap();
        assert_eq!(calls.contains("PR_SET_CHILD_SUBREAPER"), adopted, "{options:?}: {calls}");
    }
}

#[test]
fn how_cgroups_and_packets_are_treated_is_told_to_criu() {
    if skip_on_peer("runc ignores --criu") || !rustix::process::geteuid().is_root() {
        return;
    }
    let bundle = Bundle::new();
    bundle.write_config();
    fs::create_dir(bundle.dir.join("images")).unwrap();
    let record = bundle.dir.join("record");
    let recorder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/criu_recorder.py");
    let criu = bundle.host_script("recorder", &format!("exec python3 {recorder:?} {record:?} \"$@\""));
    for (options, fields) in [
        (&[][..], &["34=3"][..]),
        (&["--manage-cgroups-mode", "ignore"], &["34=0"]),
        (&["--manage-cgroups-mode", "strict", "--network-lock", "skip"], &["34=5", "64=3"]),
    ] {
        let fixed = ["--criu", &criu, "restore", "--image-path", "images", "--bundle", "bundle"];
        bundle.call(&[&fixed, options, &[bundle.id.as_str()]].concat()).fails("criu");
        let request = fs::read_to_string(&record).unwrap();
        for field in fields {
            assert!(request.lines().any(|line| line == *field), "{options:?}: {request}");
        }
    }
}
