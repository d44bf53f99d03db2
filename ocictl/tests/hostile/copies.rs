//! Table G: what goes between a container and the host, and what of the container is run for it.

use crate::engine::{Engine, IMAGE, eventually};
use crate::racer::Racer;
use crate::stage::{FILE, LINK, Layer, Stage, gzip};
use crate::support::below;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// How many copies race; more by `OCICTL_RACES`.
fn races() -> usize {
    std::env::var("OCICTL_RACES").ok().and_then(|races| races.parse().ok()).unwrap_or(60)
}

/// A directory `x` with a file, and a link `y` to the host's directory, below this one.
fn trap(below: &Path, canary: &str) {
    fs::create_dir_all(below.join("x")).expect("a directory");
    fs::write(below.join("x/file"), "the container's\n").expect("written");
    std::os::unix::fs::symlink(canary, below.join("y")).expect("a link");
}

#[test]
fn g1_a_copy_that_is_raced_stays_inside() {
    let stage = Stage::new("g1");
    stage.engine.ok(&["run", "-d", "--name", "live", IMAGE, "sleep", "1000"]);
    stage.engine.ok(&["run", "--name", "dead", IMAGE, "true"]);
    let input = stage.file("in", b"of the caller\n");
    let pid = stage.engine.ask("live", "{{.State.Pid}}");
    let upper = stage
        .engine
        .scratch
        .join("root/containers")
        .join(stage.engine.ask("dead", "{{.Id}}"))
        .join("layer/upper");
    for (name, root) in
        [("live", PathBuf::from(format!("/proc/{pid}/root/race"))), ("dead", upper.join("race"))]
    {
        trap(&root, stage.canary.path());
        let racer = Racer::between(root.join("x"), root.join("y"));
        let (inside, out) = (format!("{name}:/race/x/file"), stage.engine.scratch.join("out"));
        let (mut went_in, mut came_out) = (0, 0);
        for turn in 0..races() {
            let copied = stage.engine.output(&["cp", &input, &inside]);
            went_in += usize::from(copied.status.success());
            let _missing = fs::remove_file(&out);
            let copied = match turn % 2 {
                0 => stage.engine.output(&["cp", &inside, out.to_str().expect("text")]),
                _ => stage.engine.output(&[
                    "cp",
                    "-L",
                    &format!("{name}:/race/y/file"),
                    out.to_str().expect("text"),
                ]),
            };
            let text = fs::read_to_string(&out).unwrap_or_default();
            assert!(!text.contains("host's"), "{name}, turn {turn}: {text}");
            assert!(copied.status.success() || !copied.stderr.is_empty(), "{name}, turn {turn}");
            came_out += usize::from(copied.status.success());
        }
        assert!(went_in > 0 && came_out > 0, "{name}: {went_in} went in, {came_out} came out");
        assert!(racer.swaps() > races(), "{name}: it was raced");
        drop(racer);
        stage.canary.assert_unchanged();
    }
    stage.finish();
}

/// Links that are copied to are followed inside; while they lead elsewhere each time, too.
#[test]
fn g1_a_link_that_is_copied_to_leads_nowhere_outside() {
    let stage = Stage::new("g1-links");
    stage.engine.ok(&["run", "-d", "--name", "live", IMAGE, "sleep", "1000"]);
    let input = stage.file("in", b"of the caller\n");
    let pid = stage.engine.ask("live", "{{.State.Pid}}");
    let root = PathBuf::from(format!("/proc/{pid}/root/race"));
    trap(&root, stage.canary.path());
    let link =
        |name: &str, target: &str| std::os::unix::fs::symlink(target, root.join(name)).expect("a link");
    let canary = format!("{}/file", stage.canary.path());
    link("absolute", &canary);
    link("up", &format!("../../../../../../../../../..{canary}"));
    link("magic", &format!("/proc/self/root{canary}"));
    link("through", "y/file");
    link("swapped", "x/file");
    for name in ["absolute", "up", "magic", "through"] {
        let (code, _, said) = stage.engine.run(&["cp", &input, &format!("live:/race/{name}")]);
        assert_eq!(code, 1, "{name}: {said}");
    }
    stage.canary.assert_unchanged();
    let racers = [
        Racer::between(root.join("swapped"), root.join("absolute")),
        Racer::between(root.join("x"), root.join("y")),
    ];
    let mut copied = 0;
    for _ in 0..races() {
        copied += usize::from(stage.engine.output(&["cp", &input, "live:/race/swapped"]).status.success());
        copied += usize::from(stage.engine.output(&["cp", &input, "live:/race/through"]).status.success());
    }
    assert!(copied > 0, "none has found its way");
    assert!(racers.iter().all(|racer| racer.swaps() > races()), "they were raced");
    drop(racers);
    stage.canary.assert_unchanged();
    stage.finish();
}

/// Programs that were executed, by strace.
fn executed(engine: &Engine, words: &[&str], path: &Path) -> Vec<String> {
    let (command, log) = (engine.command(), engine.scratch.join("strace"));
    let log_name = log.to_str().expect("text");
    let strace = ["strace", "-f", "-o", log_name, "-e", "trace=execve,execveat,chroot,pivot_root"];
    let mut traced = below(&strace, &command, words);
    let path = format!("{}:{}", path.display(), std::env::var("PATH").unwrap_or_default());
    let output = traced.env("PATH", path).output().expect("strace");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(&log).expect("a trace");
    let calls = text.lines().filter(|line| line.contains('('));
    // The runtime is asked to hold a container still.
    calls.filter(|line| !line.contains("bin/corten\", [")).map(String::from).collect()
}

#[test]
fn g2_nothing_of_a_container_is_run_for_a_copy() {
    let stage = Stage::new("g2");
    let script = "#!/bin/sh\necho run >> /marker\n";
    let mut layer = Layer::default();
    for name in ["xz", "gzip", "unpigz", "zstd", "tar", "cp", "sh2", "nsenter", "newuidmap"] {
        layer = layer.mode(FILE, &format!("usr/bin/{name}"), 0o755, script.as_bytes());
    }
    for library in ["lib/x86_64-linux-gnu/libnss_files.so.2", "lib64/libnss_files.so.2", "etc/ld.so.preload"]
    {
        layer = layer.mode(FILE, library, 0o755, b"rubbish");
    }
    stage.image("tools", &json!({ "Cmd": ["sleep", "1000"], "Env": ["PATH=/bin"] }), &[layer.end()]);
    stage.engine.ok(&["run", "-d", "--name", "c", "tools"]);
    stage.engine.ok(&["create", "--name", "dead", "tools"]);
    // And the very same programs first in the caller's path: nobody is asked to decompress.
    let path = stage.engine.scratch.join("path");
    fs::create_dir(&path).expect("a directory");
    let (canary, tar) = (stage.canary.path(), stage.engine.scratch.join("out.tar"));
    for name in ["xz", "gzip", "unpigz", "zstd", "tar"] {
        let file = path.join(name);
        fs::write(&file, format!("#!/bin/sh\ntouch {canary}/run\n")).expect("written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&file, mode).expect("a mode");
    }
    let tar = tar.to_str().expect("text");
    let (input, out) = (stage.file("in", b"x"), stage.engine.scratch.join("out"));
    let out = out.to_str().expect("text");
    let import = format!("{tar}.gz");
    let verbs: [&[&str]; 9] = [
        &["cp", &input, "c:/tmp/x"],
        &["cp", "c:/etc", out],
        &["cp", &input, "dead:/tmp/x"],
        &["export", "-o", tar, "c"],
        &["commit", "c", "made"],
        &["save", "-o", tar, "tools"],
        &["load", "-i", tar],
        &["import", &import, "imported"],
        &["diff", "c"],
    ];
    for words in verbs {
        if words[0] == "import" {
            fs::write(&import, gzip(&Layer::default().add(FILE, "x", "y").end())).expect("written");
        }
        let lines = executed(&stage.engine, words, &path);
        assert_eq!(lines.len(), 1, "{words:?}: one program is run, and no root entered: {lines:#?}");
    }
    for name in ["c", "dead"] {
        assert_ne!(
            stage.engine.run(&["cp", &format!("{name}:/marker"), out]).0,
            0,
            "{name}: something was run"
        );
    }
    stage.finish();
}

#[test]
fn g3_links_of_archives_and_roots_are_not_followed_on_the_host() {
    let stage = Stage::new("g3");
    let canary = stage.canary.path();
    let archive =
        Layer::default().add(LINK, "a", canary).add(FILE, "a/file", "evil").add(FILE, "a/new", "evil").end();
    let file = stage.file("links.tar", &archive);
    stage.engine.ok(&["import", &file, "links"]);
    stage.canary.assert_unchanged();
    // As an image it has the files below the link's target, inside.
    stage.engine.ok(&["create", "--name", "links", "links", "true"]);
    let out = stage.engine.scratch.join("out");
    stage.engine.ok(&["cp", &format!("links:{canary}/file"), out.to_str().expect("text")]);
    assert_eq!(fs::read_to_string(&out).expect("copied"), "evil");
    // A file that turns into a link while a root is written to a tar.
    stage.engine.ok(&["run", "-d", "--name", "live", IMAGE, "sleep", "1000"]);
    let root = PathBuf::from(format!("/proc/{}/root", stage.engine.ask("live", "{{.State.Pid}}")));
    fs::write(root.join("flip"), "the container's\n").expect("written");
    std::os::unix::fs::symlink(format!("{canary}/file"), root.join("flop")).expect("a link");
    let racer = Racer::between(root.join("flip"), root.join("flop"));
    let tar = stage.engine.scratch.join("out.tar");
    let mut exported = 0;
    for turn in 0..races() / 3 {
        // A file that is another in the middle of it may end the export.
        let output = stage.engine.output(&["export", "-o", tar.to_str().expect("text"), "live"]);
        exported += usize::from(output.status.success());
        let bytes = fs::read(&tar).unwrap_or_default();
        assert!(!bytes.windows(6).any(|window| window == b"host's"), "turn {turn}");
    }
    assert!(exported > 0, "no export came to its end");
    assert!(racer.swaps() > races(), "it was raced: {}", racer.swaps());
    drop(racer);
    // What would bring a volume's archive in or out is not offered.
    for words in [["volume", "import", "v", &file], ["volume", "export", "-o", &file]] {
        assert_eq!(stage.engine.run(&words).0, 125, "{words:?}");
    }
    stage.finish();
}

#[test]
fn g4_an_image_does_not_write_over_a_volume() {
    let stage = Stage::new("g4");
    stage.engine.ok(&[
        "run",
        "--rm",
        "-v",
        "v:/data",
        IMAGE,
        "sh",
        "-c",
        "echo mine > /data/inner/file; rm -r /data/inner/../other; true",
    ]);
    for option in ["v:/data:ro", "v:/data"] {
        assert_eq!(stage.engine.ok(&["run", "--rm", "-v", option, IMAGE, "cat", "/data/inner/file"]), "mine");
    }
    // Nor over one that was emptied on purpose.
    stage.engine.ok(&["run", "--rm", "-v", "v:/data", IMAGE, "sh", "-c", "rm -r /data/inner"]);
    for option in ["v:/data:ro", "v:/data"] {
        assert_eq!(stage.engine.ok(&["run", "--rm", "-v", option, IMAGE, "ls", "/data"]), "", "{option}");
    }
    stage.engine.ok(&["volume", "rm", "v"]);
    stage.finish();
}

#[test]
fn g5_a_volume_of_an_image_holds_what_is_in_the_image() {
    let stage = Stage::new("g5");
    let canary = stage.canary.path().to_owned();
    for target in ["/../../etc", &format!("/data/../../../..{canary}"), "/..", "etc", "/", "/.", ""] {
        stage.image("up", &json!({ "Cmd": ["true"], "Env": ["PATH=/bin"], "Volumes": { target: {} } }), &[]);
        stage.refused(&["run", "--rm", "up"], &["Volumes", &format!("{target:?}"), "no plain absolute path"]);
    }
    // Through a link, what is filled in is the image's, be it nothing.
    let layer = Layer::default().add(LINK, "link", &canary).end();
    let config = json!({ "Cmd": ["sh"], "Env": ["PATH=/bin"], "Volumes": { "/link": {}, "/link/sub": {} } });
    stage.image("through", &config, &[layer]);
    let (_, out, said) = stage.engine.run(&["run", "--rm", "through", "sh", "-c", "find /link/ -type f"]);
    assert!(!out.contains("file") && !said.contains("panicked"), "{out}: {said}");
    stage.finish();
}

#[test]
fn g6_who_looks_at_processes_runs_nothing_of_theirs() {
    let stage = Stage::new("g6");
    let script = b"#!/bin/sh\necho run >> /marker\n";
    let mut layer = Layer::default();
    for name in ["bin/ps", "usr/bin/ps", "usr/bin/nsenter", "bin/nsenter", "usr/bin/top"] {
        layer = layer.add(
            FILE,
            &format!("{}/.wh.{}", name.rsplit_once('/').expect("a path").0, &name[name.len() - 2..]),
            "",
        );
        layer = layer.mode(FILE, name, 0o755, script);
    }
    stage.image("watched", &json!({ "Cmd": ["sleep", "1000"], "Env": ["PATH=/bin"] }), &[layer.end()]);
    stage.engine.ok(&["run", "-d", "--name", "c", "watched"]);
    let verbs: [&[&str]; 7] = [
        &["top", "c"],
        &["top", "c", "-o", "pid,comm"],
        &["top", "c", "-ef"],
        &["stats", "--no-stream", "c"],
        &["ps", "-a", "-s"],
        &["container", "inspect", "c"],
        &["logs", "c"],
    ];
    for words in verbs {
        stage.engine.ok(words);
    }
    let out = stage.engine.scratch.join("out");
    assert_ne!(stage.engine.run(&["cp", "c:/marker", out.to_str().expect("text")]).0, 0, "something was run");
    // Had it been run, it would have shown.
    stage.engine.ok(&["exec", "c", "/usr/bin/nsenter"]);
    eventually("the marker", || stage.engine.run(&["cp", "c:/marker", out.to_str().expect("text")]).0 == 0);
    stage.finish();
}

#[test]
fn g7_g8_g9_pods_builds_and_checkpoints_are_not_offered() {
    // Their attacks have their tests when they come: this one fails then.
    let stage = Stage::new("g789");
    stage.engine.ok(&["create", "--name", "c", IMAGE, "true"]);
    let file = stage.file("kube.yaml", b"kind: Pod\n");
    let verbs: [&[&str]; 8] = [
        &["kube", "play", &file],
        &["play", "kube", &file],
        &["build", "."],
        &["image", "build", "."],
        &["container", "checkpoint", "c"],
        &["container", "restore", "c"],
        &["container", "restore", "--import", &file],
        &["run", "--rm", "--device", "vendor.com/class=device", IMAGE, "true"],
    ];
    for words in verbs {
        assert_eq!(stage.engine.run(words).0, 125, "{words:?}");
    }
    stage.finish();
}
