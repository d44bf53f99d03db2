//! Terminals: the console socket's message, a foreground run on a pty, and the combinations that are refused.

mod support;

use rustix::process::Signal;
use serde_json::json;
use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;
use std::time::Duration;
use support::runtime::{DEADLINE, readable_within};
use support::{Bundle, errno, probe, runtime, skip_on_peer, terminal};

fn terminal_bundle(script: &str) -> Bundle {
    let mut bundle = Bundle::sh(script);
    bundle.set("/process/terminal", json!(true));
    bundle
}

/// Creates with a console socket and returns its message.
fn create_with_console(bundle: &Bundle) -> terminal::Console {
    let listener = terminal::listen(&bundle.dir.join("sock"));
    bundle.create_with(&["--console-socket", bundle.dir.join("sock").to_str().unwrap()]).ok();
    terminal::receive(&listener)
}

/// Starts the container, waits for its end, and returns what its terminal shows.
fn screen(bundle: &Bundle, console: terminal::Console) -> String {
    bundle.start().ok();
    bundle.await_death(bundle.pid());
    let master = console.descriptors.into_iter().next().unwrap();
    let output = terminal::drain(master);
    bundle.delete().ok();
    output
}

#[test]
fn console_socket_receives_one_pty_master_with_its_name() {
    let bundle = terminal_bundle("tty");
    let console = create_with_console(&bundle);
    assert_eq!(String::from_utf8_lossy(&console.name), "/dev/ptmx");
    assert_eq!(console.descriptors.len(), 1);
    assert_eq!(screen(&bundle, console), "/dev/pts/0\n");
}

#[test]
fn all_three_streams_are_the_terminal() {
    // B2
    let bundle = terminal_bundle("for n in 0 1 2; do test -t $n && echo $n; done; readlink /proc/self/fd/2");
    let console = create_with_console(&bundle);
    let output = screen(&bundle, console);
    assert!(output.starts_with("0\n1\n2\n/dev/"), "{output}");
}

#[test]
fn terminal_is_the_controlling_terminal_of_a_new_session() {
    // The sixth and seventh fields of stat after the name: session, terminal.
    let bundle = terminal_bundle("echo hello > /dev/tty; cut -d' ' -f5-8 /proc/1/stat");
    let console = create_with_console(&bundle);
    let output = screen(&bundle, console);
    let fields: Vec<&str> = output.lines().nth(1).unwrap().split(' ').collect();
    assert_eq!(output.lines().next(), Some("hello"));
    assert_eq!(fields[..2], ["1", "1"], "process group and session are init's own");
    assert_ne!(fields[2], "0", "there is a controlling terminal");
}

#[test]
fn dev_console_is_the_pty_of_the_containers_own_devpts() {
    let bundle =
        terminal_bundle("stat -c '%t' /dev/console; ls -1 /dev/pts; cat /proc/self/mountinfo > /tmp/mounts");
    let console = create_with_console(&bundle);
    let output = screen(&bundle, console);
    // Major 136: a pty slave, number 0 of the container's own instance.
    assert_eq!(output, "88\n0\nptmx\n");
    let table = std::fs::read_to_string(bundle.rootfs().join("tmp/mounts")).unwrap();
    assert_eq!(probe::mount(&table, "/dev/console").kind, "devpts");
}

#[test]
fn console_size_is_the_terminals_first_size() {
    // B3
    let mut bundle = terminal_bundle("stty size");
    bundle.set("/process/consoleSize", json!({ "height": 33, "width": 77 }));
    let console = create_with_console(&bundle);
    assert_eq!(screen(&bundle, console), "33 77\n");
}

#[test]
fn console_size_without_a_terminal_is_ignored() {
    // B3
    let mut bundle = Bundle::sh("tty");
    bundle.set("/process/consoleSize", json!({ "height": 33, "width": 77 }));
    assert_eq!(bundle.run().stdout, "not a tty\n");
}

#[test]
fn pty_belongs_to_the_user_of_the_process() {
    let mut bundle = terminal_bundle("stat -L -c %u /proc/self/fd/0");
    bundle.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    let console = create_with_console(&bundle);
    assert_eq!(screen(&bundle, console), "1000\n");
}

#[test]
fn output_newlines_are_not_translated() {
    if skip_on_peer("runc leaves it to the receiver to clear ONLCR, crun does it itself") {
        return;
    }
    // ONLCR is cleared on the container's pty: clients that copy bytes to their own terminal rely on it.
    let bundle = terminal_bundle("printf 'a\\nb\\n'");
    let console = create_with_console(&bundle);
    bundle.start().ok();
    bundle.await_death(bundle.pid());
    let mut bytes = [0; 64];
    let mut master = File::from(console.descriptors.into_iter().next().unwrap());
    let length = master.read(&mut bytes).unwrap();
    assert_eq!(&bytes[..length], b"a\nb\n");
    drop(master);
    bundle.delete().ok();
}

/// A foreground `run` on a pty of its own; returns the running command and the master.
fn run_on_pty(bundle: &Bundle, rows: u16, columns: u16) -> (runtime::Running, File) {
    let (master, slave) = terminal::pty(rows, columns);
    bundle.write_config();
    // A session of its own whose controlling terminal is the pty, as a shell would have it.
    let words = ["run", "--bundle", "bundle", &bundle.id];
    let mut command = bundle
        .command_under(&["setsid", "--ctty", "--wait", "sh", "-c", "exec \"$@\" >&0 2>&0", "sh"], &words);
    command.stdin(Stdio::from(slave));
    (bundle.begin(&mut command), File::from(master))
}

#[test]
fn foreground_run_passes_on_the_callers_window_size_and_the_exit_code() {
    // runc sets the size only after the start: the payload must wait for it there.
    let pause = if support::is_peer() { "usleep 300000; " } else { "" };
    let bundle = terminal_bundle(&format!("{pause}stty size; exit 6"));
    let (running, master) = run_on_pty(&bundle, 43, 132);
    assert_eq!(running.finish().code, Some(6));
    assert_eq!(terminal::drain(master.into()), "43 132\n");
}

#[test]
fn foreground_run_passes_on_changes_of_the_window_size() {
    let bundle = terminal_bundle("trap 'stty size; exit' WINCH; echo up; while :; do usleep 2000; done");
    let (running, mut master) = run_on_pty(&bundle, 24, 80);
    read_until(&mut master, "up");
    terminal::resize(&master, 50, 100);
    read_until(&mut master, "50 100");
    assert_eq!(running.finish().code, Some(0));
}

#[test]
fn foreground_run_copies_input_to_the_terminal() {
    let bundle = terminal_bundle("read line; echo \"<$line>\"");
    let (running, mut master) = run_on_pty(&bundle, 24, 80);
    master.write_all(b"hello\n").unwrap();
    assert_eq!(running.finish().code, Some(0));
    let output = terminal::drain(master.into());
    assert!(output.contains("<hello>\n"), "{output}");
}

#[test]
fn control_c_reaches_the_payload_and_not_the_runtime() {
    let bundle = terminal_bundle("trap 'echo caught; exit 4' INT; echo up; sleep 100 & wait");
    let (running, mut master) = run_on_pty(&bundle, 24, 80);
    read_until(&mut master, "up");
    master.write_all(b"\x03").unwrap();
    assert_eq!(running.finish().code, Some(4));
    assert!(terminal::drain(master.into()).contains("caught"));
}

#[test]
fn callers_terminal_is_itself_again_after_the_run() {
    let bundle = terminal_bundle("true");
    let (master, slave) = terminal::pty(24, 80);
    let before = rustix::termios::tcgetattr(&slave).unwrap();
    bundle.write_config();
    let mut command = bundle.command(&["run", "--bundle", "bundle", &bundle.id]);
    command.stdin(Stdio::from(slave.try_clone().unwrap()));
    bundle.finish(&mut command).ok();
    let after = rustix::termios::tcgetattr(&slave).unwrap();
    assert_eq!(before.local_modes, after.local_modes);
    assert_eq!(before.input_modes, after.input_modes);
    assert_eq!(before.output_modes, after.output_modes);
    drop(master);
}

/// A container that prints without end, and ends by signals: a shell would want to print the rest first.
fn talker() -> Bundle {
    let mut bundle = terminal_bundle("touch /tmp/up; exec busybox yes 0123456789abcdef");
    bundle.without_namespace("pid");
    bundle
}

#[test]
fn signals_are_served_while_nobody_reads_the_callers_terminal() {
    let bundle = talker();
    let (running, master) = run_on_pty(&bundle, 24, 80);
    runtime::eventually(|| bundle.rootfs().join("tmp/up").exists(), || "it prints".to_owned());
    // Until both terminals are full.
    std::thread::sleep(Duration::from_millis(300));
    let pid = i32::try_from(bundle.state()["pid"].as_i64().unwrap()).unwrap();
    running.signal(Signal::TERM);
    bundle.await_death(pid);
    assert!(terminal::drain(master.into()).contains("0123456789abcdef\n"));
    assert_eq!(running.finish().code, Some(143));
}

#[test]
fn signal_ends_a_run_whose_last_output_nobody_reads() {
    if skip_on_peer("runc waits for ever") {
        return;
    }
    let bundle = talker();
    let (running, _unread) = run_on_pty(&bundle, 24, 80);
    runtime::eventually(|| bundle.rootfs().join("tmp/up").exists(), || "it prints".to_owned());
    std::thread::sleep(Duration::from_millis(300));
    let pid = i32::try_from(bundle.state()["pid"].as_i64().unwrap()).unwrap();
    running.signal(Signal::TERM);
    bundle.await_death(pid);
    std::thread::sleep(Duration::from_millis(100));
    running.signal(Signal::TERM);
    assert_eq!(running.finish().code, Some(143));
}

#[test]
fn signals_are_served_while_the_container_reads_no_input() {
    let bundle = terminal_bundle("trap 'exit 5' TERM; stty raw -echo; echo up; sleep 100 & wait");
    let (running, mut master) = run_on_pty(&bundle, 24, 80);
    read_until(&mut master, "up");
    rustix::io::ioctl_fionbio(&master, true).unwrap();
    // More than both terminals hold.
    let mut sent = 0;
    for _ in 0..30 {
        while let Ok(length @ 1..) = master.write(&[b'x'; 4096]) {
            sent += length;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(sent > 8192, "{sent} bytes were sent");
    running.signal(Signal::TERM);
    assert_eq!(running.finish().code, Some(5));
}

#[test]
fn terminal_that_was_closed_for_a_while_shows_what_comes_next() {
    let bundle = terminal_bundle(
        "trap 'exit 5' TERM; exec <&- >&- 2>&-; usleep 300000; \
        exec > /dev/console; echo back; sleep 100 & wait",
    );
    let (running, mut master) = run_on_pty(&bundle, 24, 80);
    // It is shown while the container runs, and not at its end.
    read_until(&mut master, "back");
    running.signal(Signal::TERM);
    assert_eq!(running.finish().code, Some(5));
}

#[test]
fn callers_streams_stay_blocking() {
    let bundle = terminal_bundle("echo up; sleep 100");
    let (master, slave) = terminal::pty(24, 80);
    bundle.write_config();
    let words = ["run", "--bundle", "bundle", &bundle.id];
    let mut command = bundle.command_under(&["sh", "-c", "exec \"$@\" >&0 2>&0", "sh"], &words);
    command.stdin(Stdio::from(slave.try_clone().unwrap()));
    let running = bundle.begin(&mut command);
    let mut master = File::from(master);
    read_until(&mut master, "up");
    let flags = rustix::fs::fcntl_getfl(&slave).unwrap();
    assert!(!flags.contains(rustix::fs::OFlags::NONBLOCK), "{flags:?}");
    running.signal(Signal::KILL);
    bundle.delete_force().ok();
}

/// Reads from a terminal until the words have come.
fn read_until(master: &mut File, words: &str) {
    let mut seen = String::new();
    let mut bytes = [0; 1024];
    while !seen.contains(words) {
        assert!(readable_within(&*master, DEADLINE), "{words:?} in {seen:?} within {DEADLINE:?}");
        let length = master.read(&mut bytes).unwrap_or_else(|error| panic!("{words:?} in {seen:?}: {error}"));
        seen.push_str(&String::from_utf8_lossy(&bytes[..length]));
    }
}

#[test]
fn create_with_a_terminal_needs_a_console_socket() {
    // B2
    let bundle = terminal_bundle("true");
    let program = if support::is_peer() { "runc" } else { "corten" };
    let words = format!("cannot allocate tty if {program} will detach without setting console socket");
    bundle.create().fails(&words);
    bundle.run_with(&["--detach"]).fails(&words);
}

#[test]
fn console_socket_without_a_terminal_is_refused() {
    // B2
    let bundle = Bundle::new();
    let _listener = terminal::listen(&bundle.dir.join("sock"));
    let program = if support::is_peer() { "runc" } else { "corten" };
    let words = format!("cannot use console socket if {program} will not detach or allocate tty");
    bundle.create_with(&["--console-socket", "sock"]).fails(&words);
}

#[test]
fn missing_console_socket_fails_and_leaves_nothing() {
    let bundle = terminal_bundle("true");
    bundle.create_with(&["--console-socket", "nosuch"]).fails(errno::missing());
    support::leaks::assert_nothing_left(&bundle);
}

#[test]
fn foreground_terminal_needs_a_terminal_on_standard_input() {
    if skip_on_peer("runc takes any of the three streams, then /dev/tty") {
        return;
    }
    let bundle = terminal_bundle("true");
    bundle.run().fails("not a terminal");
}
