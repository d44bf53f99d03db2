//! What commands cost, counted and not timed: system calls, programs, files, bytes. `make bench-engine` measures seconds.

mod engine;
#[path = "support/registry.rs"]
mod registry;

use engine::{Engine, IMAGE, support};
use std::fs;
use std::process::{Command, Stdio};
use support::{Scratch, docker_archive, tar};

/// A command below strace with these options; what strace has written.
fn traced(command: &Command, options: &[&str], words: &[&str], log: &std::path::Path) -> String {
    let strace = [&["strace", "-f", "-o", log.to_str().expect("text")], options].concat();
    let status = support::below(&strace, command, words).stdout(Stdio::null()).status().expect("strace");
    assert!(status.success(), "{words:?}");
    fs::read_to_string(log).expect("a trace")
}

/// How many system calls a command makes.
fn calls(engine: &Engine, words: &[&str]) -> u64 {
    let log = engine.scratch.join("counts");
    let text = traced(&engine.command(), &["-c"], words, &log);
    let line = text.lines().find(|line| line.ends_with("total")).expect("a sum");
    line.split_whitespace().nth(3).and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn a_container_is_created_at_the_same_cost_whatever_there_is() {
    let engine = Engine::new("costs-create");
    let create = ["create", IMAGE, "true"];
    calls(&engine, &create); // The first of all makes directories.
    let (first, looked) = (calls(&engine, &create), calls(&engine, &["ps", "-a"]));
    (0..60).for_each(|_| drop(engine.ok(&create)));
    let (last, listed) = (calls(&engine, &create), calls(&engine, &["ps", "-a"]));
    // A directory of sixty names takes a read more.
    assert!(last <= first + 4, "{first} system calls became {last}");
    // `ps -a` reads two small files of each, and asks for nothing else.
    let each = (listed - looked) / 60;
    assert!(each <= 19, "{each} system calls a container");
    engine.ok(&["rm", "-a"]);
    engine.assert_clean();
}

#[test]
fn a_run_starts_the_programs_that_it_must_and_no_other() {
    let engine = Engine::new("costs-run");
    engine.ok(&["run", "--rm", IMAGE, "true"]);
    let log = engine.scratch.join("trace");
    let text =
        traced(&engine.command(), &["-e", "trace=execve,execveat"], &["run", "--rm", IMAGE, "true"], &log);
    let executed = text.lines().filter(|line| line.contains("execve") && line.ends_with("= 0")).count();
    // ocictl, its monitor, the runtime twice (it executes itself from a read-only mount) for `run`, once for `delete`, the program.
    assert!(executed <= 7, "{executed} programs: {text}");
    let made = calls(&engine, &["run", "--rm", IMAGE, "true"]);
    assert!(made < 2000, "{made} system calls");
    engine.assert_clean();
}

#[test]
fn a_pull_writes_each_byte_once_and_a_removal_unlinks_few_files() {
    let scratch = Scratch::new("costs-pull");
    let Some(registry) = registry::Registry::plain(&scratch.path) else { return };
    let files: Vec<(String, Vec<u8>)> = (0..2000u32)
        .map(|number| (format!("folder/file{number}"), number.to_le_bytes().repeat(1000)))
        .collect();
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
    let layer = tar(&files);
    let name = format!("{}/x:1", registry.host);
    let path = scratch.join("image.tar");
    fs::write(&path, docker_archive("x:1", std::slice::from_ref(&layer))).expect("written");
    scratch.ok(&["load", "-q", "-i", path.to_str().expect("text")]);
    let form = fs::read_to_string(
        scratch.join("root/layers").join(&support::files(&scratch.join("root/layers"))[0]).join("layer.json"),
    );
    if !form.expect("a record").contains("index") {
        println!("skipped: no index can be mounted here, layers are directories");
        return;
    }
    scratch.ok(&["push", "-q", "--tls-verify=false", "x:1", &name]);
    scratch.ok(&["rmi", "-a"]);
    let log = scratch.join("trace");
    let text = traced(
        &scratch.command(),
        &["-e", "trace=write,pwrite64,writev,sendto"],
        &["pull", "-q", "--tls-verify=false", &name],
        &log,
    );
    let written: usize = text
        .lines()
        .filter(|line| !line.contains("sendto"))
        .filter_map(|line| line.rsplit("= ").next()?.parse::<usize>().ok())
        .sum();
    // The layer as it is, an index of less than 2 % beside it, and documents.
    assert!(
        written >= layer.len() && written < layer.len() * 102 / 100 + 50_000,
        "{written} of {}",
        layer.len()
    );
    let text = traced(&scratch.command(), &["-e", "trace=unlink,unlinkat"], &["rmi", &name], &log);
    let unlinked = text.lines().filter(|line| line.contains("unlink") && line.ends_with("= 0")).count();
    assert!(unlinked < 20, "{unlinked} files and directories for a layer of 2000");
    scratch.assert_empty();
}
