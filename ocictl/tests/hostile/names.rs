//! Table F, second half: names of others, and who else may look.

use crate::engine::IMAGE;
use crate::stage::{Stage, archive_of, one_error};
use crate::support::{self, goarch};
use serde_json::json;
use std::fs;
use std::process::Command;

/// Names that are none.
fn bad_names() -> Vec<String> {
    let mut names: Vec<String> = [
        "../x",
        "a/b",
        ".",
        "..",
        "",
        "/",
        "-rf",
        "ü",
        "a b",
        "a\nb",
        "a;b",
        "a*",
        "\u{1b}[2J",
        "%s",
        "x/../../etc",
    ]
    .map(String::from)
    .to_vec();
    names.push("x".repeat(5000));
    names
}

#[test]
fn f5_a_name_is_no_path_for_any_verb() {
    let stage = Stage::new("f5");
    let (canary, inside) = (stage.canary.path().to_owned(), stage.file("in", b"x"));
    let before = everything(&stage);
    for name in bad_names() {
        let source = format!("{name}:/etc");
        let verbs: [&[&str]; 21] = [
            &["start", "--", &name],
            &["stop", "--", &name],
            &["kill", "--", &name],
            &["restart", "--", &name],
            &["rm", "--", &name],
            &["wait", "--", &name],
            &["pause", "--", &name],
            &["unpause", "--", &name],
            &["rename", "--", &name, "fine"],
            &["container", "inspect", "--", &name],
            &["logs", "--", &name],
            &["exec", "--", &name, "true"],
            &["attach", "--", &name],
            &["top", "--", &name],
            &["stats", "--no-stream", "--", &name],
            &["update", "--memory=100m", "--", &name],
            &["port", "--", &name],
            &["diff", "--", &name],
            &["commit", "--", &name, "made"],
            &["export", "-o", &format!("{canary}/out"), "--", &name],
            &["volume", "rm", "--", &name],
        ];
        for words in verbs {
            let output = stage.engine.output(words);
            one_error(&output, &format!("{words:?}"));
        }
        for words in [["cp", &source, &canary], ["cp", &inside, &source]] {
            // A path of the host to somebody, a container's to nobody.
            let (code, _, said) = stage.engine.run(&words);
            assert!(code != 0 && !said.contains("panicked"), "{words:?}: {said}");
        }
    }
    for name in bad_names().iter().filter(|name| !name.is_empty()) {
        let option = format!("--name={name}");
        one_error(&stage.engine.output(&["create", &option, IMAGE, "true"]), &option);
        let volume = format!("{name}:/data");
        if !name.contains('/') && !name.starts_with('.') {
            let words = ["create", &format!("-v={volume}"), IMAGE, "true"];
            one_error(&stage.engine.output(&words), &volume);
        }
        one_error(&stage.engine.output(&["volume", "create", "--", name]), name);
    }
    assert_eq!(everything(&stage), before, "nothing was made");
    stage.finish();
}

/// Containers and volumes that there are.
fn everything(stage: &Stage) -> Vec<String> {
    let root = stage.engine.scratch.join("root");
    let mut names = Vec::new();
    for folder in ["containers", "container-names", "volumes"] {
        names.extend(support::files(&root.join(folder)));
    }
    names
}

#[test]
fn f6_words_of_others_do_not_steer_the_terminal() {
    let stage = Stage::new("f6");
    let evil = "a\u{1b}]52;c;ZXZpbA==\u{7}\r\u{9b}2J\u{8}b";
    let layer = support::tar_of(&stage.engine.scratch.join("image-root"));
    let id = ocictl::digest::Digest::of(&layer).to_string();
    let document = json!({
        "created": "2026-11-01T00:00:00Z", "author": evil, "architecture": goarch(), "os": "linux",
        "config": { "Labels": { evil: evil }, "Cmd": ["sh", "-c", format!("sleep 1000; : {evil}")], "Env": ["PATH=/bin", format!("A={evil}")] },
        "rootfs": { "type": "layers", "diff_ids": [id] },
        "history": [{ "created_by": evil, "comment": evil }],
    });
    let bytes = archive_of("evil", document.to_string().as_bytes(), &[layer]);
    let file = stage.file("evil.tar", &bytes);
    stage.engine.ok(&["load", "-q", "-i", &file]);
    stage.engine.ok(&["run", "-d", "--name", "c", "evil"]);
    stage.engine.ok(&["exec", "c", "sh", "-c", "touch \"/$A\""]);
    let safe = |words: &[&str]| {
        let output = stage.engine.output(words);
        for text in [output.stdout, output.stderr] {
            let text = String::from_utf8(text).expect("text");
            let steers = text.chars().find(|letter| letter.is_control() && *letter != '\n');
            assert_eq!(steers, None, "{words:?}: {text:?}");
        }
        output.status.success()
    };
    for words in [
        &["ps", "--no-trunc"][..],
        &["ps", "-a"],
        &["top", "c"],
        &["container", "inspect", "c"],
        &["image", "inspect", "evil"],
        &["images"],
        &["history", "--no-trunc", "evil"],
        &["diff", "c"],
        &["ps", "--format", "{{json .}}"],
        &["stats", "--no-stream", "c"],
        &["system", "df", "-v"],
    ] {
        assert!(safe(words), "{words:?}");
    }
    for words in [
        &["pull", evil][..],
        &["image", "inspect", evil],
        &["run", evil],
        &["start", evil],
        &["load", "-i", evil],
        &["run", "--rm", "-v", &format!("{evil}:/x"), IMAGE],
        &["run", "--rm", IMAGE, evil],
        &["run", "--rm", "-w", &format!("/etc/passwd/{evil}"), IMAGE, "true"],
    ] {
        assert!(!safe(words), "{words:?}");
    }
    stage.finish();
}

#[test]
fn f8_the_store_is_its_owners_whatever_the_umask() {
    let stage = Stage::new("f8");
    let command = stage.engine.command();
    let careless = |words: &[&str]| {
        let mut shell = crate::support::below(&["sh", "-c", "umask 000; exec \"$@\"", "sh"], &command, words);
        assert!(shell.status().expect("sh starts").success(), "{words:?}");
    };
    // A store that such a caller has made, with a program that is set-id in it.
    let (root, run) = (stage.engine.scratch.join("root"), stage.engine.scratch.join("run"));
    fs::remove_dir_all(&root).and_then(|()| fs::remove_dir_all(&run)).expect("removed");
    careless(&["load", "-q", "-i", stage.engine.scratch.join("image.tar").to_str().expect("text")]);
    careless(&[
        "run",
        "-d",
        "--name",
        "c",
        "-v",
        "data:/data",
        IMAGE,
        "sh",
        "-c",
        "cp /bin/busybox /sh; chmod 6755 /sh; sleep 1000",
    ]);
    careless(&["volume", "create", "v"]);
    crate::engine::eventually("it is made", || stage.engine.run(&["exec", "c", "test", "-u", "/sh"]).0 == 0);
    let id = stage.engine.ask("c", "{{.Id}}");
    for path in [
        root.clone(),
        root.join("layers"),
        root.join(format!("containers/{id}/layer/upper/sh")),
        root.join(format!("containers/{id}/ctr.log")),
        root.join("volumes/data/_data"),
        run.clone(),
        run.join(format!("containers/{id}/config.json")),
        run.join(format!("containers/{id}/rootfs")),
    ] {
        assert!(fs::symlink_metadata(&path).is_ok(), "{}", path.display());
        for program in [["stat", "-L"], ["ls", "-d"]] {
            let mut other = Command::new("setpriv");
            other
                .args(["--reuid", "12345", "--regid", "12345", "--clear-groups", "--"])
                .args(program)
                .arg(path.join("."));
            let output = other.env("LC_ALL", "C").output().expect("setpriv starts");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                !output.status.success() && said.contains("Permission denied"),
                "{}: {said}",
                path.display()
            );
        }
    }
    stage.engine.ok(&["rm", "-f", "c"]);
    stage.engine.ok(&["volume", "prune", "-a", "-f"]);
    stage.finish();
}
