//! `exec`: what another program in a container is given.

mod engine;

use engine::{Engine, IMAGE, support};
use std::fs;

#[test]
fn descriptors_of_the_caller_are_passed_on() {
    let engine = Engine::new("exec-fds");
    engine.ok(&["run", "-d", "--name", "c", IMAGE, "sleep", "1000"]);
    for number in [3, 4] {
        fs::write(engine.scratch.join(&format!("file-{number}")), format!("of {number}\n")).expect("written");
    }
    let run = |redirections: &str, words: &[&str]| {
        let line = format!("cd {}; exec \"$@\" {redirections}", engine.scratch.path.display());
        let shell = ["sh", "-c", &line, "sh"];
        let output = support::below(&shell, &engine.command(), words).output().expect("sh starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let read = ["exec", "--preserve-fds", "2", "c", "sh", "-c", "cat <&3; cat <&4"];
    assert_eq!(run("3<file-3 4<file-4", &read), (Some(0), "of 3\nof 4".into(), String::new()));
    let without = ["exec", "c", "sh", "-c", "ls /proc/self/fd | wc -l"];
    assert_eq!(run("3<file-3 4<file-4", &without).1, run("3<&- 4<&-", &without).1, "none without the option");
    for (redirections, words, wanted) in [
        ("3<file-3 4<&-", &read[..], "--preserve-fds: descriptor 4 is not open"),
        (
            "3<file-3",
            &["exec", "-t", "--preserve-fds", "1", "c", "true"],
            "neither with --tty nor with --detach",
        ),
        (
            "3<file-3",
            &["exec", "--preserve-fds", "x", "c", "true"],
            "invalid value 'x' for '--preserve-fds <N>'",
        ),
    ] {
        let (code, _, said) = run(redirections, words);
        assert!(code == Some(125) && said.contains(wanted), "{words:?}: {code:?}: {said}");
    }
    engine.ok(&["rm", "-f", "c"]);
    engine.assert_clean();
}
