//! Monitors that have died, or do not answer since somebody has stopped them: every verb comes to an end, and tells the truth.

mod engine;

use engine::{Engine, IMAGE, eventually};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

/// What no verb takes, on a machine with much to do; each of them waits some seconds for an answer.
const BOUND: Duration = Duration::from_secs(40);
/// A program that ends when it is asked to.
const OBEDIENT: &str = "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done";

/// A container whose monitor is stopped by SIGSTOP; it goes on when this is dropped, should it still be there.
struct Stopped<'a> {
    engine: &'a Engine,
    monitor: String,
}

fn signal(pid: &str, signal: &str) -> bool {
    Command::new("kill").args([signal, pid]).output().expect("kill starts").status.success()
}

impl<'a> Stopped<'a> {
    fn begin(engine: &'a Engine, options: &[&str], program: &str) -> Self {
        let words = [&["run", "-d", "--name", "web1"], options, &[IMAGE, "sh", "-c", program]].concat();
        engine.ok(&words);
        eventually("it is ready", || engine.ok(&["logs", "web1"]).contains("ready"));
        let monitor = engine.ask("web1", "{{.State.ConmonPid}}");
        assert!(signal(&monitor, "-STOP"));
        Self { engine, monitor }
    }

    /// Runs a verb; it must end within the bound.
    fn run(&self, words: &[&str]) -> (Option<i32>, String, String) {
        ended(self.engine.spawn(words), words)
    }

    fn go_on(&self) {
        assert!(signal(&self.monitor, "-CONT"));
    }

    fn is_gone(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.monitor)).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        if !self.is_gone() {
            signal(&self.monitor, "-CONT");
        }
    }
}

fn ended(mut child: Child, words: &[&str]) -> (Option<i32>, String, String) {
    let until = Instant::now() + BOUND;
    while child.try_wait().expect("a child").is_none() {
        if Instant::now() > until {
            child.kill().expect("it is killed");
            panic!("{words:?} hangs");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let Output { status, stdout, stderr } = child.wait_with_output().expect("its output");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim_end().to_owned();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn verbs_tell_the_truth_while_a_monitor_does_not_answer() {
    let engine = Engine::new("silent");
    let stopped = Stopped::begin(&engine, &[], OBEDIENT);
    let silent = format!("container web1: its monitor (process {}) does not answer", stopped.monitor);
    let (code, out, _) = stopped.run(&["ps", "--format", "{{.Names}} {{.State}}"]);
    assert_eq!((code, out.as_str()), (Some(0), "web1 running"));
    assert_eq!(stopped.run(&["exec", "web1", "echo", "here"]).1, "here");
    assert_eq!(stopped.run(&["logs", "web1"]).1, "ready");
    for words in [&["attach", "web1"][..], &["start", "-a", "web1"]] {
        let (code, _, said) = stopped.run(words);
        assert_eq!(code, Some(125), "{words:?}: {said}");
        assert!(said.contains(&silent) && said.contains("kill -CONT"), "{words:?}: {said}");
    }
    // Whoever waits and looks on learns that the program has ended, and that nobody says how.
    let waiting: Vec<(&[&str], Child)> = [&["wait", "web1"][..], &["logs", "-f", "web1"]]
        .into_iter()
        .map(|words| (words, engine.spawn(words)))
        .collect();
    assert_eq!(stopped.run(&["kill", "-s", "TERM", "web1"]).0, Some(0));
    for (words, child) in waiting {
        let (code, _, said) = ended(child, words);
        assert_eq!(code, Some(125), "{words:?}: {said}");
        assert!(said.contains(&silent), "{words:?}: {said}");
    }
    let (_, out, _) = stopped.run(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "web1"]);
    assert_eq!(out, "exited 255");
    assert_eq!(stopped.run(&["ps", "-a", "--format", "{{.Status}}"]).1, "Exited (255)");
    let (code, _, said) = stopped.run(&["exec", "web1", "true"]);
    assert_eq!((code, said.contains("it does not run: it is exited")), (Some(1), true), "{said}");
    // It goes on, and knows more.
    stopped.go_on();
    engine.wait_for("web1", "{{.State.Status}} {{.State.ExitCode}}", "exited 3");
    engine.ok(&["rm", "web1"]);
    engine.assert_clean();
}

#[test]
fn stop_does_without_a_monitor_that_does_not_answer() {
    let engine = Engine::new("silent-stop");
    let stopped = Stopped::begin(&engine, &["--restart", "always"], OBEDIENT);
    let (code, _, said) = stopped.run(&["stop", "web1"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(stopped.is_gone(), "it could take up again what was done for it");
    assert_eq!(engine.ask("web1", "{{.State.Status}} {{.State.ExitCode}}"), "exited 255");
    assert_eq!(
        engine.ok(&["system", "check"]).lines().last().map(|line| line.ends_with("all whole")),
        Some(true)
    );
    // The next start is a new life; `start` itself ends a monitor that stands in its way.
    engine.ok(&["start", "web1"]);
    eventually("it is ready again", || engine.ok(&["logs", "web1"]).matches("ready").count() == 2);
    let monitor = engine.ask("web1", "{{.State.ConmonPid}}");
    assert!(signal(&monitor, "-STOP"));
    let again = Stopped { engine: &engine, monitor };
    assert_eq!(again.run(&["kill", "-s", "TERM", "web1"]).0, Some(0));
    eventually("it has ended", || engine.ask("web1", "{{.State.Status}}") == "exited");
    let (code, _, said) = again.run(&["start", "web1"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(again.is_gone());
    assert_eq!(engine.ask("web1", "{{.State.Status}}"), "running");
    engine.ok(&["rm", "-f", "web1"]);
    engine.assert_clean();
}

#[test]
fn remove_restart_and_kill_do_without_a_monitor_that_does_not_answer() {
    let engine = Engine::new("silent-remove");
    for (options, words) in [
        (&["--restart", "always"][..], &["rm", "-f", "web1"][..]),
        (&["--rm"], &["stop", "web1"]),
        (&["--rm"], &["kill", "web1"]),
        (&[], &["restart", "-t", "1", "web1"]),
    ] {
        let stopped =
            Stopped::begin(&engine, options, "trap '' TERM; echo ready; while :; do sleep 0.05; done");
        let words = if words[0] == "stop" { &["stop", "-t", "1", "web1"] } else { words };
        let (code, _, said) = stopped.run(words);
        assert_eq!(code, Some(0), "{words:?}: {said}");
        assert!(stopped.is_gone(), "{words:?}");
        if words[0] == "restart" {
            assert_eq!(engine.ask("web1", "{{.State.Status}}"), "running");
            engine.ok(&["rm", "-f", "web1"]);
        }
        engine.assert_clean();
    }
}

#[test]
fn a_container_whose_monitor_has_died_cannot_be_attached_to_and_says_why() {
    let engine = Engine::new("dead-monitor");
    engine.ok(&["run", "-d", "--name", "web1", "--restart", "unless-stopped", IMAGE, "sh", "-c", OBEDIENT]);
    let monitor = engine.ask("web1", "{{.State.ConmonPid}}");
    assert!(signal(&monitor, "-KILL"));
    eventually("the monitor is gone", || engine.ask("web1", "{{.State.ConmonPid}}") == "0");
    for words in [&["attach", "web1"][..], &["start", "-a", "web1"]] {
        let (code, _, said) = engine.run(words);
        assert_ne!(code, 0, "{words:?}");
        assert!(
            said.contains(
                "container web1: it runs, but its monitor has died: nothing carries its streams any more"
            ),
            "{words:?}: {said}"
        );
        assert!(said.contains("hint: `ocictl exec`"), "{words:?}: {said}");
    }
    assert_eq!(engine.ask("web1", "{{.State.Status}}"), "running");
    // Somebody has stopped it: it is not started after a boot.
    engine.ok(&["stop", "web1"]);
    let state = std::fs::read_to_string(
        engine.scratch.join("root/containers").join(engine.ask("web1", "{{.Id}}")).join("state.json"),
    );
    assert!(state.expect("a state").contains("\"stopped\":true"));
    engine.ok(&["rm", "web1"]);
    engine.assert_clean();
}

#[test]
fn a_client_that_takes_nothing_costs_no_exit_code() {
    let engine = Engine::new("stuck-client");
    let script = "trap 'exit 7' TERM; yes & wait";
    // Nobody reads what this prints.
    let mut stuck = engine.spawn(&["run", "--name", "web1", IMAGE, "sh", "-c", script]);
    eventually("it runs", || engine.run(&["inspect", "-f", "{{.State.Status}}", "web1"]).1 == "running");
    let log = engine.ask("web1", "{{.LogPath}}");
    let length = || std::fs::metadata(&log).map_or(0, |metadata| metadata.len());
    eventually("nothing moves any more", || {
        let before = length();
        std::thread::sleep(Duration::from_millis(200));
        before > 0 && length() == before
    });
    engine.ok(&["stop", "-t", "30", "web1"]);
    assert_eq!(engine.ask("web1", "{{.State.ExitCode}} {{.State.Error}}").trim_end(), "7");
    stuck.kill().and_then(|()| stuck.wait()).expect("it ends");
    engine.ok(&["rm", "web1"]);
    engine.assert_clean();
}

#[test]
fn one_client_too_many_is_told_so_and_a_stop_is_heard_all_the_same() {
    let engine = Engine::new("many-clients");
    engine.ok(&["run", "-d", "--name", "web1", IMAGE, "sh", "-c", OBEDIENT]);
    let mut waiting: Vec<Child> = (0..64).map(|_| engine.spawn(&["wait", "web1"])).collect();
    eventually("there is no room", || {
        let (code, _, said) = engine.run(&["logs", "web1"]);
        assert_eq!(code, 0, "{said}");
        let mut one_more = engine.spawn(&["attach", "web1"]);
        std::thread::sleep(std::time::Duration::from_millis(100));
        let refused = one_more.try_wait().expect("a child").is_some_and(|status| status.code() == Some(125));
        if !refused {
            one_more.kill().and_then(|()| one_more.wait().map(drop)).expect("it ends");
        }
        refused
    });
    let (code, _, said) = engine.run(&["attach", "web1"]);
    assert!(
        code == 125 && said.contains("container web1: too many are attached to it or wait for it"),
        "{code}: {said}"
    );
    engine.ok(&["stop", "web1"]);
    for child in &mut waiting {
        assert!(child.wait().expect("it ends").success());
    }
    engine.ok(&["rm", "web1"]);
    engine.assert_clean();
}
