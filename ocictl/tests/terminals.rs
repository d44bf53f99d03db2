//! Terminals: `-t`, attaching, detach keys. `script` of util-linux is the user's terminal.

mod engine;

use engine::{Engine, IMAGE, PATIENCE, eventually, support};
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A person at a terminal, who types and reads.
struct Person {
    child: Child,
    seen: Arc<Mutex<String>>,
}

impl Person {
    fn types(engine: &Engine, arguments: &[&str]) -> Self {
        let command = engine.command();
        let words: Vec<String> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| word.to_string_lossy().into_owned())
            .chain(arguments.iter().map(|word| format!("'{word}'")))
            .collect();
        let mut script = Command::new("script");
        script.args(["-q", "-e", "-c", &words.join(" "), "/dev/null"]);
        support::inherit(&mut script, &command);
        let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script starts");
        let mut stdout = child.stdout.take().expect("a pipe");
        let seen = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut buffer = [0; 1024];
            while let Ok(length @ 1..) = stdout.read(&mut buffer) {
                sink.lock().expect("a lock").push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
        });
        Self { child, seen }
    }

    fn press(&mut self, keys: &[u8]) {
        self.child.stdin.as_mut().expect("a pipe").write_all(keys).expect("typed");
    }

    fn reads(&self, wanted: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.seen.lock().expect("a lock").contains(wanted) {
            let seen = self.seen.lock().expect("a lock").clone();
            assert!(Instant::now() < until, "{wanted:?} is not in {seen:?} after {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn ends(mut self) -> i32 {
        let code = self.child.wait().expect("it ends").code().unwrap_or(-1);
        drop(self.child.stdin.take());
        code
    }
}

#[test]
fn a_terminal_is_attached_left_and_attached_again() {
    let engine = Engine::new("terminal");
    let mut person = Person::types(&engine, &["run", "-it", "--name", "fed1", IMAGE, "sh"]);
    person.press(b"echo one-$((1+1)); test -t 0 && tty\n");
    person.reads("one-2");
    person.reads("/dev/");
    person.press(&[16, 17]);
    assert_eq!(person.ends(), 0);
    assert_eq!(engine.ask("fed1", "{{.State.Status}}"), "running");
    let mut person = Person::types(&engine, &["attach", "fed1"]);
    // ctrl-p alone belongs to the program; a letter after it shows that it was passed on.
    person.press(b"echo two-$((2+2))\n");
    person.reads("two-4");
    person.press(b"exit 5\n");
    assert_eq!(person.ends(), 5);
    assert_eq!(engine.ask("fed1", "{{.State.ExitCode}}"), "5");
    assert!(engine.ok(&["logs", "fed1"]).contains("two-4"));
    let mut person = Person::types(&engine, &["start", "-a", "-i", "--detach-keys", "ctrl-x", "fed1"]);
    person.press(b"echo three-$((3+3))\n");
    person.reads("three-6");
    person.press(&[24]);
    assert_eq!(person.ends(), 0);
    engine.ok(&["rm", "-f", "fed1"]);
    engine.assert_clean();
}

#[test]
fn exec_has_a_terminal_of_its_own() {
    let engine = Engine::new("exec-tty");
    engine.ok(&["run", "-d", "--name", "web1", IMAGE, "sleep", "1000"]);
    let mut person = Person::types(&engine, &["exec", "-it", "web1", "sh"]);
    person.press(b"test -t 0 && echo tty-$((1+1))\n");
    person.reads("tty-2");
    person.press(b"exit 4\n");
    assert_eq!(person.ends(), 4);
    assert_eq!(engine.run(&["exec", "-t", "web1", "nothere"]).0, 127);
    engine.ok(&["rm", "-f", "web1"]);
    engine.assert_clean();
}

/// How many shells run in a container.
fn shells(engine: &Engine) -> usize {
    engine.ok(&["top", "web1"]).lines().filter(|line| line.ends_with(" sh")).count()
}

#[test]
fn an_exec_is_left_by_the_detach_keys_and_hangs_up_without() {
    let engine = Engine::new("exec-keys");
    engine.ok(&["run", "-d", "--name", "web1", IMAGE, "sleep", "1000"]);
    let mut person = Person::types(&engine, &["exec", "-it", "web1", "sh"]);
    person.press(b"echo one-$((1+1))\n");
    person.reads("one-2");
    person.press(&[16, 17]);
    assert_eq!(person.ends(), 0);
    assert_eq!(shells(&engine), 1);
    let mut person = Person::types(&engine, &["exec", "-it", "--detach-keys", "ctrl-x,x", "web1", "sh"]);
    // The default keys are the program's then.
    person.press(b"echo two-$((2+2))\n");
    person.reads("two-4");
    person.press(b"\x18x");
    assert_eq!(person.ends(), 0);
    assert_eq!(shells(&engine), 2);
    // Whose window is closed takes his shell along.
    let mut person = Person::types(&engine, &["exec", "-it", "web1", "sh"]);
    person.press(b"echo three-$((3+3))\n");
    person.reads("three-6");
    assert_eq!(shells(&engine), 3);
    person.child.kill().expect("it is killed");
    person.ends();
    eventually("the shell has gone", || shells(&engine) == 2);
    assert_eq!(engine.run(&["exec", "-it", "--detach-keys", "ctrl-", "web1", "sh"]).0, 125);
    engine.ok(&["exec", "-d", "-t", "web1", "sh", "-c", "test -t 0 && touch /tmp/terminal"]);
    eventually("it had a terminal", || engine.run(&["exec", "web1", "test", "-e", "/tmp/terminal"]).0 == 0);
    engine.ok(&["rm", "-f", "web1"]);
    engine.assert_clean();
}

/// Runs it with a pipe as stdin; what it printed, and its exit code. It must end.
fn piped(engine: &Engine, arguments: &[&str], input: &str) -> (i32, String) {
    let mut child = engine.spawn(arguments);
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("written");
    eventually(&format!("{arguments:?} ends"), || child.try_wait().expect("a child").is_some());
    let output = child.wait_with_output().expect("its output");
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).replace('\r', ""))
}

#[test]
fn a_terminal_that_is_fed_by_a_pipe_ends_with_it() {
    let engine = Engine::new("piped");
    // The terminal's echo, and what cat has read.
    assert_eq!(piped(&engine, &["run", "--rm", "-it", IMAGE, "cat"], "x\n"), (0, "x\nx\n".into()));
    // The end of a line that was begun is not the end of all.
    assert_eq!(piped(&engine, &["run", "--rm", "-it", IMAGE, "cat"], "xy"), (0, "xyxy".into()));
    assert_eq!(piped(&engine, &["run", "--rm", "-it", IMAGE, "cat"], ""), (0, String::new()));
    // A shell that changes the mode of its terminal when the end may have been said already.
    let (code, text) =
        piped(&engine, &["run", "--rm", "-it", IMAGE, "sh"], "echo a-$((1+1)); sleep 0.3; exit 3\n");
    assert_eq!((code, text.contains("a-2")), (3, true), "{text}");
    let slow = "sleep 0.5; exec sh";
    let (code, text) = piped(&engine, &["run", "--rm", "-it", IMAGE, "sh", "-c", slow], "echo b-$((1+1))\n");
    assert_eq!((code, text.contains("b-2")), (0, true), "{text}");
    engine.ok(&["create", "-it", "--name", "fed1", IMAGE, "cat"]);
    assert_eq!(piped(&engine, &["start", "-a", "-i", "fed1"], "again\n"), (0, "again\nagain\n".into()));
    engine.ok(&["run", "-dit", "--name", "web1", IMAGE, "cat"]);
    assert_eq!(piped(&engine, &["exec", "-it", "web1", "cat"], "z\n"), (0, "z\nz\n".into()));
    // Who looks in from a script does not end what others sit at.
    let mut guest = engine.spawn(&["attach", "web1"]);
    guest.stdin.take().expect("a pipe").write_all(b"from afar\n").expect("written");
    eventually("it was read", || engine.ok(&["logs", "web1"]).matches("from afar").count() == 2);
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(engine.ask("web1", "{{.State.Status}}"), "running");
    engine.ok(&["rm", "-f", "-a"]);
    guest.wait().expect("it ends");
    engine.assert_clean();
}
