//! `commit` and `export`: what a container has changed as an image, and its root as a tar.

mod engine;

use engine::{Engine, IMAGE, support};
use ocictl::digest::Digest;
use serde_json::{Value, json};
use std::fs;
use support::{archive_of, goarch, tar, tar_of};

#[test]
fn a_committed_image_has_what_was_changed() {
    let engine = Engine::new("commit");
    let words = |line: &str| line.split_ascii_whitespace().map(String::from).collect::<Vec<_>>();
    let type_ = |line: &str| engine.ok(&words(line));
    let changes = "echo new > /new; rm /data/inner/file; chmod 4755 /bin/busybox; mkdir /data/more";
    engine.ok(&["run", "--name", "c", IMAGE, "sh", "-c", changes]);
    let id = type_("commit -m changed c localhost/made:1");
    assert_eq!(type_("image inspect made:1 --format {{.Id}}"), id);
    let look = "cat /new; ls /data /data/inner; stat -c %a /bin/busybox";
    assert_eq!(
        engine.ok(&["run", "--rm", "made:1", "sh", "-c", look]),
        "new\n/data:\ninner\nmore\n\n/data/inner:\n4755"
    );
    assert!(type_("history made:1").contains("changed"));
    let changed = [
        "commit",
        "-c",
        "CMD [\"cat\", \"/new\"]",
        "--change",
        "ENV A=b C=d",
        "-c",
        "LABEL by=hand",
        "c",
        "made:2",
    ];
    engine.ok(&changed);
    assert_eq!(type_("run --rm made:2"), "new");
    assert!(type_("run --rm made:2 env").contains("A=b\nC=d"));
    let before = type_("images -q");
    let (code, _, said) = engine.run(&["commit", "--change", "RUN make", "c", "made:3"]);
    assert!(code == 1 && said.contains("--change \"RUN make\": \"RUN\" is none of CMD"), "{code}: {said}");
    assert_eq!(type_("images -q"), before);
    let tar = engine.scratch.join("out.tar");
    type_(&format!("export -o {} c", tar.display()));
    let listed = String::from_utf8(support::run("tar", &["-tf", tar.to_str().expect("text")])).expect("text");
    assert!(listed.lines().any(|line| line == "new") && !listed.contains("data/inner/file"), "{listed}");
    type_("rm c");
    assert!(engine.leftovers().is_empty(), "{:?}", engine.leftovers());
}

/// podman and skopeo refuse an image whose history does not tell of each layer.
#[test]
fn the_history_of_a_committed_image_tells_of_each_layer() {
    let engine = Engine::empty("history");
    let layers = [tar_of(&engine.tree()), tar(&[("second", b"2")])];
    let entry = |empty: bool| json!({ "created_by": "by hand", "empty_layer": empty });
    // What the image's history has, and what the committed one's says of empty layers.
    let table: [(Vec<Value>, &[bool]); 3] = [
        (vec![], &[false, false, false]),
        (vec![entry(true), entry(false)], &[true, false, false, false]),
        (vec![entry(false), entry(false), entry(false)], &[false, false, true, false]),
    ];
    for (number, (history, wanted)) in table.into_iter().enumerate() {
        let config = json!({
            "architecture": goarch(), "os": "linux", "config": { "Cmd": ["true"], "Env": ["PATH=/bin"] }, "history": history,
            "rootfs": { "type": "layers", "diff_ids": layers.iter().map(|layer| Digest::of(layer).to_string()).collect::<Vec<_>>() },
        })
        .to_string();
        let archive = archive_of("localhost/base:1", config.as_bytes(), &layers);
        let (from, to) = (engine.scratch.join("base.tar"), engine.scratch.join("made.tar"));
        fs::write(&from, archive).expect("written");
        engine.ok(&["load", "-q", "-i", from.to_str().expect("text")]);
        engine.ok(&["run", "--name", "c", "base:1", "touch", "/new"]);
        engine.ok(&["commit", "-q", "c", &format!("made:{number}")]);
        engine.ok(&["rm", "c"]);
        engine.ok(&["save", "-o", to.to_str().expect("text"), &format!("made:{number}")]);
        let manifest = member(&to, "manifest.json");
        let config = member(&to, manifest[0]["Config"].as_str().expect("a name"));
        let empty: Vec<bool> = config["history"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|entry| entry["empty_layer"] == true)
            .collect();
        assert_eq!(empty, wanted, "{config}");
    }
    engine.ok(&["rmi", "-a", "-f"]);
    engine.assert_clean();
}

/// A JSON document in an archive.
fn member(archive: &std::path::Path, name: &str) -> Value {
    let bytes = support::run("tar", &["-xOf", archive.to_str().expect("text"), name]);
    serde_json::from_slice(&bytes).expect("JSON")
}
