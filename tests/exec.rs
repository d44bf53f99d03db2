//! `exec`: into the container's namespaces and cgroups, in every state of the container, and nothing of it stays.

mod support;

use serde_json::json;
use std::fs;
use std::process::Stdio;
use std::time::Duration;
use support::{Bundle, cgroups, is_peer, leaks, probe, profiles, runtime, skip_on_peer, terminal};

/// A container that stays, for the tests that only look.
fn running() -> Bundle {
    let bundle = Bundle::sleeper();
    bundle.run_detached();
    bundle
}

const KINDS: [&str; 8] = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];

/// The namespaces of a process: from outside by its pid, from inside by `self`.
const SHOW_NAMESPACES: &str =
    "for n in cgroup ipc mnt net pid time user uts; do readlink /proc/self/ns/$n; done";

fn namespaces_of(pid: i32) -> Vec<String> {
    let link = |kind: &&str| fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap().display().to_string();
    KINDS.iter().map(link).collect()
}

#[test]
fn process_is_in_all_namespaces_of_init_and_in_no_other() {
    for kinds in [vec![], vec!["cgroup"], vec!["cgroup", "user", "time"]] {
        if is_peer() && kinds.contains(&"time") {
            continue; // runc 1.1 has no time namespaces
        }
        let mut bundle = Bundle::sleeper();
        for kind in &kinds {
            match *kind {
                "user" => bundle.user_namespace(100_000, 65536),
                kind => bundle.namespace(kind, None),
            };
        }
        bundle.run_detached();
        let seen = bundle.exec_sh(&[], SHOW_NAMESPACES);
        assert_eq!(seen.lines().collect::<Vec<_>>(), namespaces_of(bundle.pid()), "{kinds:?}");
        bundle.kill_and_delete();
    }
}

#[test]
fn namespaces_are_joined_by_their_files_where_a_pidfd_does_not_do_it() {
    if skip_on_peer("it is our fallback") {
        return;
    }
    // The new mount API tells of a kernel that knows setns(2) by pidfd, too.
    let mut bundle = Bundle::sleeper();
    bundle.user_namespace(100_000, 65536).namespace("cgroup", None).namespace("time", None);
    bundle.run_detached();
    let log = bundle.dir.join("trace").display().to_string();
    let wrapper = ["strace", "-f", "-o", &log, "-e", "inject=mount_setattr:error=ENOSYS"];
    let words = ["exec", &bundle.id, "sh", "-c", SHOW_NAMESPACES];
    let outcome = bundle.finish(&mut bundle.command_under(&wrapper, &words)).ok();
    assert_eq!(outcome.stdout.lines().collect::<Vec<_>>(), namespaces_of(bundle.pid()));
    let trace = fs::read_to_string(log).unwrap();
    assert!(trace.contains("/ns/net"), "{trace}");
    bundle.kill_and_delete();
}

#[test]
fn exit_code_is_the_programs_or_128_and_its_signal() {
    let bundle = running();
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -KILL $$", 137)] {
        assert_eq!(bundle.exec(&[], &["sh", "-c", script]).code, Some(code), "{script}");
    }
    bundle.kill_and_delete();
}

#[test]
fn words_of_the_program_are_its_own() {
    let bundle = running();
    let words =
        ["restore", "-no-subreaper", "-d=true", "--force=false", "--log", "x", "pause", "--reclaim", "5m"];
    let outcome = bundle.exec(&["--tty=false"], &[&["echo"][..], &words].concat()).ok();
    assert_eq!(outcome.stdout.trim_end(), words.join(" "));
    if !skip_on_peer("Go has no short flags of that kind") {
        let outcome = bundle.exec(&["-t=false", "-d=f"], &["echo", "-d=true"]).ok();
        assert_eq!(outcome.stdout, "-d=true\n");
        bundle.exec(&["-t=maybe"], &["true"]).fails("unexpected argument '-='");
    }
    bundle.kill_and_delete();
}

#[test]
fn program_that_cannot_be_run_is_255_and_the_words_that_clients_match() {
    let bundle = running();
    for (program, words) in [
        ("nosuch", "exec: \"nosuch\": executable file not found in $PATH"),
        ("/no/such", "exec: \"/no/such\": stat /no/such: no such file or directory"),
        ("/etc/passwd", "exec: \"/etc/passwd\": permission denied"),
        ("/etc", if is_peer() { "permission denied" } else { "exec: \"/etc\": is a directory" }),
        ("", "exec: \"\": executable file not found in $PATH"),
    ] {
        let outcome = bundle.exec(&["--pid-file", "exec.pid"], &[program]).fails_with(255, words);
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:#?}");
        assert!(
            !fs::exists(bundle.dir.join("exec.pid")).unwrap(),
            "conmon takes the file for a started program"
        );
    }
    if !is_peer() {
        bundle.exec(&[], &[]).fails_with(255, "process.args: must not be empty");
        bundle.executable("bin/strange", "\u{1}\u{2}strange");
        bundle.exec(&[], &["strange"]).fails_with(255, "exec format error");
    }
    bundle.kill_and_delete();
}

#[test]
fn container_that_does_not_run_is_refused_in_runcs_words() {
    let bundle = Bundle::sh("exit 0");
    bundle.exec(&[], &["true"]).fails_with(255, "does not exist");
    bundle.run_detached();
    bundle.await_death(bundle.pid());
    bundle.exec(&[], &["true"]).fails_with(255, "cannot exec in a stopped container");
    bundle.exec(&["--ignore-paused"], &["true"]).fails_with(255, "cannot exec in a stopped container");
    bundle.delete().ok();
    bundle
        .call(&["exec", "../x", "true"])
        .fails_with(255, if is_peer() { "" } else { "invalid container ID" });
}

#[test]
fn created_container_takes_a_process_before_its_own_runs() {
    let bundle = Bundle::sleeper();
    bundle.create().ok();
    assert_eq!(bundle.exec_sh(&[], "hostname; test -e /proc/1 && echo init"), "corten\ninit\n");
    assert_eq!(bundle.status(), "created");
    bundle.delete().ok();
}

#[test]
fn container_that_is_being_created_is_refused() {
    if skip_on_peer("a peer's container does not exist yet") {
        return;
    }
    let mut bundle = Bundle::sleeper();
    let hook = bundle.host_script("hook", "cd ..; touch here; while ! test -e go; do sleep 0.01; done");
    bundle.set("/hooks/createRuntime", json!([{ "path": hook }]));
    let creation = bundle.begin(&mut bundle.create_command(&[]));
    runtime::eventually(|| fs::exists(bundle.dir.join("here")).unwrap(), || "the hook runs".into());
    bundle.exec(&[], &["true"]).fails_with(255, "cannot exec in a container that is being created");
    fs::write(bundle.dir.join("go"), "").unwrap();
    creation.finish().ok();
    bundle.exec_sh(&[], "true");
    bundle.delete().ok();
}

/// Freezes or thaws the container by its cgroup, of whatever generation.
fn set_frozen(bundle: &Bundle, frozen: bool) {
    let (file, value) = match cgroups::v1("freezer") {
        Some(point) => {
            (point.join(&bundle.id).join("freezer.state"), ["THAWED", "FROZEN"][usize::from(frozen)])
        }
        None => (cgroups::named(&bundle.id)[0].join("cgroup.freeze"), ["0", "1"][usize::from(frozen)]),
    };
    fs::write(file, value).unwrap();
}

#[test]
fn paused_container_is_refused_unless_that_is_ignored() {
    let bundle = running();
    set_frozen(&bundle, true);
    runtime::eventually(|| bundle.status() == "paused", || "the container is paused".into());
    let words = "cannot exec in a paused container (use --ignore-paused to override)";
    bundle.exec(&[], &["true"]).fails_with(255, words);
    // The process stops at the door until the container goes on.
    let waiting = bundle.begin(&mut bundle.exec_command(&["--ignore-paused"], &["echo", "thawed"]));
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(waiting.stdout(), "");
    set_frozen(&bundle, false);
    assert_eq!(waiting.finish().ok().stdout, "thawed\n");
    bundle.kill_and_delete();
}

#[test]
fn container_that_ends_takes_its_execs_along() {
    let bundle = running();
    let exec = bundle.begin(&mut bundle.exec_command(&[], &["sh", "-c", "echo in; sleep 100"]));
    exec.await_stdout("in");
    bundle.kill("KILL").ok();
    assert_eq!(exec.finish().code, Some(137));
    bundle.await_and_delete();
}

#[test]
fn detached_process_goes_on_and_its_pid_is_in_the_file() {
    let bundle = running();
    let outcome =
        bundle.exec(&["--detach", "--pid-file", "exec.pid"], &["sh", "-c", "echo on; exec sleep 99"]).ok();
    let pid: i32 = fs::read_to_string(bundle.dir.join("exec.pid")).unwrap().parse().unwrap();
    runtime::eventually(|| outcome.later_stdout() == "on\n", || outcome.later_stdout());
    let line = || fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    runtime::eventually(|| line() == "sleep\099\0", line);
    assert_eq!(bundle.status(), "running");
    bundle.kill_and_delete();
    assert!(runtime::dies_within(pid, runtime::DEADLINE), "it dies with its pid namespace");
}

#[test]
fn detached_process_of_a_container_with_the_hosts_pids_is_killed_with_it() {
    let mut bundle = Bundle::sleeper();
    bundle.without_namespace("pid");
    bundle.run_detached();
    bundle.exec(&["--detach"], &["sleep", "98"]).ok();
    bundle.delete_force().ok();
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn console_socket_gets_the_terminal_of_the_containers_own_devpts() {
    let bundle = running();
    let socket = bundle.dir.join("sock");
    let listener = terminal::listen(&socket);
    let flags = ["--tty", "--detach", "--console-socket", socket.to_str().unwrap()];
    let script = "tty; test -t 1 && echo on terminal; cut -d' ' -f7 /proc/self/stat; stat -c %t /dev/console";
    bundle.exec(&flags, &["sh", "-c", script]).ok();
    let console = terminal::receive(&listener);
    assert_eq!((console.name.as_slice(), console.descriptors.len()), (b"/dev/ptmx".as_slice(), 1));
    let screen = terminal::drain(console.descriptors.into_iter().next().unwrap());
    let lines: Vec<&str> = screen.lines().collect();
    assert_eq!(lines[..2], ["/dev/pts/0", "on terminal"], "{screen}");
    assert_ne!(lines[2], "0", "it is the controlling terminal");
    assert!(
        lines.get(3).is_none_or(|line| *line != "88"),
        "init had none, so /dev/console is no terminal: {screen}"
    );
    bundle.kill_and_delete();
}

#[test]
fn terminal_in_the_foreground_is_the_callers() {
    let bundle = running();
    let (master, slave) = terminal::pty(31, 99);
    let wrapper = ["setsid", "--ctty", "--wait", "sh", "-c", "exec \"$@\" >&0 2>&0", "sh"];
    let pause = if is_peer() { "usleep 300000; " } else { "" };
    let script = format!("{pause}stty size; exit 6");
    let mut command = bundle.command_under(&wrapper, &["exec", "-t", &bundle.id, "sh", "-c", &script]);
    command.stdin(Stdio::from(slave));
    let running = bundle.begin(&mut command);
    drop(command);
    assert_eq!(running.finish().code, Some(6));
    assert_eq!(terminal::drain(master), "31 99\n");
    bundle.kill_and_delete();
}

#[test]
fn terminal_and_console_socket_must_go_together() {
    let bundle = running();
    let program = if is_peer() { "runc" } else { "corten" };
    let words = format!("cannot allocate tty if {program} will detach without setting console socket");
    bundle.exec(&["--detach", "--tty"], &["true"]).fails_with(255, &words);
    let words = format!("cannot use console socket if {program} will not detach or allocate tty");
    bundle.exec(&["--console-socket", "sock"], &["true"]).fails_with(255, &words);
    bundle.kill_and_delete();
}

#[test]
fn container_without_a_mount_namespace_is_entered_by_its_root() {
    if skip_on_peer("runc 1.1 leaves the process in the host's root") {
        return;
    }
    let mut bundle = Bundle::sh("exec sleep 100");
    bundle.without_namespace("mount");
    bundle
        .set("/mounts", json!([]))
        .set("/linux/maskedPaths", json!([]))
        .set("/linux/readonlyPaths", json!([]));
    fs::write(bundle.rootfs().join("inside"), "inside\n").unwrap();
    bundle.run_detached();
    assert_eq!(bundle.exec_sh(&[], "cat /inside; pwd"), "inside\n/\n");
    bundle.exec(&["-t"], &["true"]).fails_with(255, "process.terminal: the container has no mount namespace");
    bundle.kill_and_delete();
}

#[test]
fn seccomp_filter_of_the_container_is_on_the_process() {
    for no_new_privileges in [true, false] {
        let mut bundle = Bundle::sleeper();
        bundle
            .set("/linux/seccomp", profiles::docker())
            .set("/process/noNewPrivileges", json!(no_new_privileges));
        bundle.run_detached();
        let output = bundle.exec_sh(&[], "cat /proc/self/status; unshare -r true || echo refused");
        assert_eq!(probe::status(&output, "Seccomp"), "2");
        // What exec needs is in the state: the bundle may have changed.
        bundle.unset("/linux/seccomp").write_config();
        let output = bundle.exec_sh(&[], "cat /proc/self/status");
        assert_eq!(probe::status(&output, "Seccomp"), "2");
        bundle.kill_and_delete();
    }
}

/// Prints every program that it can see a foreign process run, by files that only a tracer may read.
const SPY: &str = "echo up; while :; do for p in /proc/[0-9]*; do \
    case \"$(readlink $p/exe 2>/dev/null)\" in */busybox|'') ;; *) echo SAW $p; ls $p/fd;; esac; done; done 2>/dev/null";

#[test]
fn entering_process_cannot_be_looked_at_from_inside() {
    // CVE-2016-9962: the image's root, with CAP_SYS_PTRACE in its own user namespace.
    let mut bundle = Bundle::sh(SPY);
    bundle.user_namespace(100_000, 65536);
    for set in ["bounding", "permitted", "effective"] {
        bundle.push(&format!("/process/capabilities/{set}"), json!("CAP_SYS_PTRACE"));
    }
    let outcome = bundle.run_with(&["--detach"]).ok();
    runtime::eventually(|| outcome.later_stdout().contains("up"), || "the spy looks".into());
    for _ in 0..50 {
        bundle.exec(&[], &["true"]).ok();
    }
    assert!(!outcome.later_stdout().contains("SAW"), "{}", outcome.later_stdout());
    bundle.kill_and_delete();
}

#[test]
fn the_own_binary_is_out_of_reach() {
    // CVE-2019-5736: the program is a script whose interpreter is /proc/self/exe, that is, the runtime.
    if skip_on_peer("tested where we know the answer") {
        return;
    }
    let bundle = running();
    let before = fs::read(runtime::program()).unwrap();
    bundle.executable("entry", "#!/proc/self/exe\n");
    assert_ne!(bundle.exec(&[], &["/entry"]).code, Some(0));
    let script = "for p in /proc/[0-9]*; do (exec 9<>$p/exe) 2>/dev/null && echo open $p; done; true";
    assert_eq!(bundle.exec_sh(&[], script).matches("corten").count(), 0);
    assert!(fs::read(runtime::program()).unwrap() == before);
    bundle.kill_and_delete();
}
