//! What cannot be meant is told in one sentence, and leaves nothing behind: files without an end, too little memory, names of images,
//! options that exclude each other.

mod engine;

use engine::{Engine, IMAGE, support};
use std::fs;
use std::process::Command;

/// A command of ours that reads zeros without end, and must end within a minute.
fn bounded(engine: &Engine, words: &[&str]) -> Command {
    // A reader without bounds would take all the memory that there is.
    let limit = "ulimit -v 1000000; exec \"$@\"";
    let wrapper = ["timeout", "-s", "KILL", "60", "sh", "-c", limit, "sh"];
    let mut command = support::below(&wrapper, &engine.command(), words);
    command.stdin(fs::File::open("/dev/zero").expect("a device"));
    command
}

/// It must fail with this code, and one sentence that holds all of these words.
fn refused(engine: &Engine, code: i32, words: &[&str], wanted: &[&str]) {
    refused_by(&mut bounded(engine, words), code, words, wanted);
}

fn refused_by(command: &mut Command, code: i32, words: &[&str], wanted: &[&str]) {
    let output = command.output().expect("timeout starts");
    let said = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
    assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("Error: ")).collect();
    let [sentence] = errors[..] else { panic!("{words:?}: not one sentence: {said}") };
    for word in wanted {
        assert!(sentence.contains(word), "{words:?}: {word:?} in {said}");
    }
}

#[test]
fn files_that_are_named_are_read_no_further_than_they_may_be_long() {
    let engine = Engine::new("endless");
    let run = |options: &[&'static str]| [&["run", "--rm"], options, &[IMAGE, "true"]].concat();
    let limit = "/dev/zero: it is larger than 4194304 bytes";
    refused(&engine, 125, &run(&["--env-file", "/dev/zero"]), &["--env-file", limit]);
    refused(&engine, 125, &run(&["--label-file", "/dev/zero"]), &[limit]);
    refused(&engine, 125, &run(&["--security-opt", "seccomp=/dev/zero"]), &["--security-opt", limit]);
    refused(
        &engine,
        1,
        &["pull", "--authfile", "/dev/zero", "localhost:1/x"],
        &["/dev/zero: it is larger than"],
    );
    refused(
        &engine,
        1,
        &["login", "-u", "me", "--password-stdin", "localhost:1"],
        &["--password-stdin: it is larger than 65536 bytes"],
    );
    let pull = ["pull", "x"];
    let mut configured = bounded(&engine, &pull);
    configured.env("CONTAINERS_REGISTRIES_CONF", "/dev/zero");
    refused_by(&mut configured, 1, &pull, &["/dev/zero: it is larger than"]);
    engine.ok(&["run", "-d", "--name", "c", IMAGE, "sleep", "1000"]);
    refused(&engine, 125, &["exec", "--env-file", "/dev/zero", "c", "true"], &["--env-file", limit]);
    // A pipe is as good as a file.
    let piped = ["sh", "-c", "echo A=b | \"$@\"", "sh"];
    let exec = ["exec", "--env-file", "/dev/stdin", "c", "env"];
    let output = support::below(&piped, &engine.command(), &exec).output().expect("sh starts");
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).contains("A=b\n"));
    engine.ok(&["rm", "-f", "c"]);
    engine.assert_clean();
}

#[test]
fn a_cidfile_is_never_written_over_and_goes_with_a_failure() {
    let engine = Engine::new("cidfile");
    let file = engine.scratch.join("cid").to_str().expect("text").to_owned();
    fs::write(&file, "another's").expect("written");
    refused(&engine, 125, &["create", "--cidfile", &file, IMAGE], &["--cidfile", &file]);
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "another's");
    fs::remove_file(&file).expect("removed");
    refused(&engine, 125, &["create", "--cidfile", &file, "--pull", "never", "nothere"], &["nothere"]);
    assert_eq!(support::files(&engine.scratch.path).iter().filter(|name| *name == "cid").count(), 0);
    let id = engine.ok(&["create", "--cidfile", &file, IMAGE]);
    assert_eq!(fs::read_to_string(&file).expect("it is there"), id);
    engine.ok(&["rm", "-a"]);
    engine.assert_clean();
}

#[test]
fn too_little_memory_is_the_reason_that_is_given() {
    let engine = Engine::new("no-memory");
    for few in ["4", "4b", "4095"] {
        let number = few.trim_end_matches('b');
        let wanted =
            format!("--memory: {number} bytes are less than a page of memory, 4096; such sizes are 64m, 2g");
        refused(&engine, 125, &["run", "--rm", "--memory", few, IMAGE, "true"], &[&wanted]);
    }
    // What is below what a runtime needs is the kernel's to refuse, and it is told what that may mean.
    let (code, _, said) = engine.run(&["run", "--rm", "--memory", "8k", IMAGE, "true"]);
    assert_eq!(code, 125, "{said}");
    assert!(
        said.contains("hint: --memory 8192: so few bytes may be too little to start a container in"),
        "{said}"
    );
    engine.ok(&["create", "--name", "c", IMAGE, "true"]);
    refused(&engine, 125, &["update", "--memory", "4", "c"], &["--memory: 4 bytes are less than a page"]);
    engine.ok(&["rm", "c"]);
    engine.assert_clean();
}

#[test]
fn a_name_that_an_image_cannot_have_is_refused_by_commit() {
    let engine = Engine::new("names");
    engine.ok(&["create", "--name", "c", IMAGE, "true"]);
    let long = "a/".repeat(130);
    for (name, why) in [
        ("UPPER/x", "\"UPPER/x\" is no name of an image: component \"UPPER\": it must be in lower case"),
        ("Upper", "component \"Upper\": it must be in lower case"),
        ("localhost/a/UPPER:x", "component \"UPPER\": it must be in lower case"),
        (&long[..259], "…\" is no name of an image: it is longer than 255 characters"),
        ("a:b c", "tag \"b c\" is not one of letters, digits"),
    ] {
        refused(&engine, 1, &["commit", "c", name], &["commit c: ", why]);
    }
    refused(&engine, 1, &["tag", IMAGE, "UPPER/x"], &["component \"UPPER\": it must be in lower case"]);
    assert_eq!(engine.ok(&["images", "-q"]).lines().count(), 1);
    engine.ok(&["rm", "c"]);
    engine.assert_clean();
}

#[test]
fn a_health_check_is_typed_or_switched_off() {
    let engine = Engine::new("no-health");
    for (option, value) in [("--health-cmd", "true"), ("--health-interval", "1s"), ("--health-retries", "1")]
    {
        let wanted = format!("--no-healthcheck and {option} exclude each other");
        refused(&engine, 125, &["create", "--no-healthcheck", option, value, IMAGE], &[&wanted]);
    }
    engine.ok(&["create", "--no-healthcheck", IMAGE]);
    engine.ok(&["rm", "-a"]);
    engine.assert_clean();
}
