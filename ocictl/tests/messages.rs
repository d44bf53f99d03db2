//! What `ocictl` says of what it cannot do: one line that names the place and the value once, and perhaps a hint.

mod engine;

use engine::{Engine, IMAGE};
use std::fs;

/// One line, no part of it twice, and nothing else but a hint.
fn assert_plain(words: &[&str], said: &str) {
    let mut lines =
        said.lines().filter(|line| !line.starts_with("Trying to pull") && !line.starts_with("Resolving"));
    let first = lines.next().unwrap_or_default();
    let rest: Vec<&str> = lines.collect();
    assert!(first.starts_with("Error: ") && first.len() > 12, "{words:?}: {said}");
    assert!(rest.len() < 2 && rest.iter().all(|line| line.starts_with("  hint: ")), "{words:?}: {said}");
    assert!(
        (!first.ends_with('.') || first.ends_with("...")) && !said.contains("panicked"),
        "{words:?}: {said}"
    );
    let mut parts: Vec<&str> = first["Error: ".len()..].split(": ").collect();
    let count = parts.len();
    // `login HOST: HOST: …` says it twice, too.
    for pair in parts.windows(2) {
        assert!(!pair[0].ends_with(&format!(" {}", pair[1])), "{words:?}: twice: {said}");
    }
    parts.sort_unstable();
    parts.dedup();
    assert_eq!(parts.len(), count, "{words:?}: a part is there twice: {said}");
}

/// What is typed, the exit code, and the first line.
const CASES: &[(&[&str], i32, &str)] = &[
    (&["start", "nobody"], 1, "container nobody: no such container"),
    (&["logs", "nobody"], 1, "container nobody: no such container"),
    (&["exec", "nobody", "true"], 1, "container nobody: no such container"),
    (&["exec", "c", "true"], 1, "container c: it does not run: it is created"),
    (&["kill", "-s", "X", "up"], 125, "--signal: \"X\" is no signal"),
    (&["rm", "up"], 1, "container up: it is running"),
    (&["rename", "c", "b/c"], 125, "\"b/c\" is no name: such are letters, digits, and _.- after the first"),
    (&["rmi", "nothere"], 1, "image nothere: no such image"),
    (
        &["tag", "busybox", "Bad"],
        1,
        "\"Bad\" is no name of an image: component \"Bad\": it must be in lower case",
    ),
    (&["load", "-i", "/nothere"], 1, "load /nothere: missing"),
    (&["import", "/nothere"], 1, "import /nothere: missing"),
    (&["pull", "localhost:1/x"], 1, "pull: localhost:1/x:latest: localhost:1: connection refused"),
    (&["push", "busybox", "localhost:1/x"], 1, "push localhost:1/x:latest: localhost:1: connection refused"),
    (&["login", "-u", "x", "-p", "y", "localhost:1"], 1, "login: localhost:1: connection refused"),
    (&["search", "localhost:1/x"], 1, "search: localhost:1: connection refused"),
    (
        &["pull", "--platform", "a/b/c/d", "x"],
        1,
        "--platform: \"a/b/c/d\" is not OS/ARCH[/VARIANT], like linux/amd64",
    ),
    (
        &["logs", "--since", "x", "c"],
        125,
        "--since: \"x\" is neither a time, such as 2026-11-28T10:00:00Z, nor how long ago it was, such as 24h",
    ),
    (&["logs", "--tail", "x", "c"], 125, "--tail: \"x\" is no number"),
    (&["run", "--name", "c", IMAGE, "true"], 125, ""),
    (&["run", "-v", "/nothere:/x", IMAGE, "true"], 125, ""),
    (&["run", "-m", "x", IMAGE, "true"], 125, "--memory: \"x\" is no size; such are 1048576, 512k, 64m, 2g"),
    (
        &["run", "--network", "x", IMAGE, "true"],
        125,
        "--network: \"x\" is no network: this version knows none, host, container:NAME and ns:PATH",
    ),
    (&["run", "--label", "=x", IMAGE, "true"], 125, "--label: \"=x\" is not KEY or KEY=VALUE"),
    (&["run", "--annotation", "x", IMAGE, "true"], 125, "--annotation: \"x\" is not KEY=VALUE"),
    (&["run", "--sysctl", "x", IMAGE, "true"], 125, "--sysctl: \"x\" is not KEY=VALUE"),
    (
        &["run", "--blkio-weight", "5", IMAGE, "true"],
        125,
        "invalid value '5' for '--blkio-weight <WEIGHT>': 5 is not in 10..=1000",
    ),
    (
        &["run", "--oom-score-adj", "5000", IMAGE, "true"],
        125,
        "invalid value '5000' for '--oom-score-adj <SCORE>': 5000 is not in -1000..=1000",
    ),
    (
        &["run", "--pids-limit", "x", IMAGE, "true"],
        125,
        "invalid value 'x' for '--pids-limit <NUMBER>': invalid digit found in string",
    ),
    (&["run", "--colour", IMAGE], 125, "unexpected argument '--colour' found"),
    (&["run", "--rootfs", "/nothere", "true"], 125, "rootfs /nothere: missing"),
    (
        &["run", "--runtime", "nothere", IMAGE, "true"],
        125,
        "runtime nothere: it is neither beside ocictl nor in PATH",
    ),
    (
        &["run", "--volumes-from", "nobody", IMAGE, "true"],
        125,
        "--volumes-from: container nobody: no such container",
    ),
    (
        &["run", "--userns", "auto:sise=1", IMAGE, "true"],
        125,
        "--userns: \"auto:sise=1\": \"sise\" is none of size, uidmapping, gidmapping",
    ),
    (&["run"], 125, "an image is needed"),
    (
        &["images", "--sort", "x"],
        125,
        "invalid value 'x' for '--sort <KEY>' [possible values: created, id, repository, size, tag]",
    ),
    (&["images", "--format", "{{.Nope}}"], 125, "--format: there is no field \"Nope\""),
    (&["rmi"], 125, "the following required arguments were not provided: <IMAGE>..."),
    (&["volume", "rm"], 125, "the following required arguments were not provided: <NAME>..."),
    (&["volume", "rm", "nothere"], 1, "volume nothere: no such volume"),
    (
        &["volume", "create", "a b"],
        125,
        "\"a b\" is no name of a volume: such are letters, digits, and _.- after the first",
    ),
    (&["cp", "x", "y"], 125, "neither the source nor the target is CONTAINER:PATH"),
    (
        &["update", "--restart", "x", "c"],
        1,
        "--restart: \"x\" is none of no, on-failure[:N], always, unless-stopped",
    ),
    (&["nothing"], 125, "\"nothing\" is no command of ocictl"),
    (&["image", "nothing"], 125, "\"nothing\" is no command of `ocictl image`"),
];

#[test]
fn a_message_is_one_line_that_says_nothing_twice() {
    let engine = Engine::new("messages");
    engine.ok(&["create", "--name", "c", IMAGE, "true"]);
    engine.ok(&["run", "-d", "--name", "up", IMAGE, "sleep", "1000"]);
    for (words, wanted_code, wanted) in CASES {
        let (code, printed, said) = engine.run(words);
        assert_plain(words, &said);
        let first = said.lines().find(|line| line.starts_with("Error: ")).unwrap_or_default();
        assert!(wanted.is_empty() || first == format!("Error: {wanted}"), "{words:?}: {said}");
        assert!(code == *wanted_code && printed.is_empty(), "{words:?}: {code}: {printed}{said}");
    }
    engine.ok(&["rm", "-a", "-f"]);
    engine.assert_clean();
}

#[test]
fn what_keeps_an_image_is_told_in_short() {
    let engine = Engine::new("messages-users");
    for number in 0..5 {
        engine.ok(&["create", "--name", &format!("c{number}"), IMAGE, "true"]);
    }
    let (code, _, said) = engine.run(&["rmi", IMAGE]);
    assert!(code == 1 && said.contains(" and 2 more\n"), "{said}");
    assert_eq!(said.matches("container ").count(), 3, "{said}");
    engine.ok(&["rm", "-a"]);
    engine.assert_clean();
}

#[test]
fn files_are_named_once() {
    let engine = Engine::empty("messages-files");
    let path = |name: &str| engine.scratch.join(name).to_str().expect("text").to_owned();
    fs::write(path("bad.json"), "{").expect("written");
    fs::create_dir(path("dir")).expect("a directory");
    for (words, file) in [
        (vec!["load", "-i", &path("dir")], "dir"),
        (vec!["pull", "--authfile", &path("bad.json"), "localhost:1/x"], "bad.json"),
        (vec!["pull", "--cert-dir", &path("nothere"), "localhost:1/x"], "nothere"),
        (vec!["run", "--env-file", &path("nothere"), "--rootfs", "/", "true"], "nothere"),
        (vec!["run", "--cidfile", &path("nothere/id"), "--rootfs", "/", "true"], "nothere/id"),
        (
            vec!["run", "--security-opt", &format!("seccomp={}", path("bad.json")), "--rootfs", "/", "true"],
            "bad.json",
        ),
    ] {
        let (code, _, said) = engine.run(&words);
        assert!(code != 0, "{words:?}");
        assert_plain(&words, &said);
        assert_eq!(said.matches(&path(file)).count(), 1, "{words:?}: {said}");
    }
    engine.assert_clean();
}
