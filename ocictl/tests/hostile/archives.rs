//! Table H: layers that lead out, and what removes them. `hostile_layers.rs` has what a tar means; here it is loaded, in both forms.

use crate::engine::{IMAGE, eventually};
use crate::stage::{DIRECTORY, FIFO, FILE, HARD, LINK, Layer, Stage, archive, gzip, one_error};
use crate::support;
use rustix::fs::{Mode, OFlags, RenameFlags, renameat_with};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Loads an image of these layers in one of the forms.
fn load(stage: &Stage, form: &str, layers: &[Vec<u8>]) -> Output {
    let config = json!({ "Cmd": ["/x"] });
    let file = stage.file("layers.tar", &archive("layers", &config, layers));
    let mut command = stage.engine.command();
    command.env("OCICTL_LAYERS", form).args(["load", "-q", "-i", &file]).output().expect("ocictl starts")
}

/// What the tree of the image is, a line an entry; it is removed then.
fn tree(stage: &Stage) -> String {
    let view = stage.engine.ok(&["image", "mount", "layers"]);
    let script = "cd \"$1\"; find . -mindepth 1 -printf '%P %y %m %l\\n' | sort";
    let listed = support::run("sh", &["-ec", script, "sh", &view]);
    stage.engine.ok(&["image", "unmount", "layers"]);
    stage.engine.ok(&["rmi", "layers"]);
    String::from_utf8(listed).expect("text")
}

/// Loads it in both forms: they are refused both, or have the same tree, which is told.
fn both(stage: &Stage, name: &str, layers: &[Vec<u8>]) -> Option<String> {
    let results = ["index", "directory"].map(|form| {
        let output = load(stage, form, layers);
        let result = output.status.success().then(|| tree(stage));
        if result.is_none() {
            one_error(&output, &format!("{name} as {form}"));
        }
        stage.canary.assert_unchanged();
        result
    });
    assert_eq!(results[0], results[1], "{name}: index and directory");
    let [result, _] = results;
    result
}

/// Ways to write below, over or through a link `a` to `target`.
fn ways(target: &str) -> Vec<(&'static str, Layer)> {
    let link = || Layer::default().add(LINK, "a", target);
    vec![
        ("a file below", link().add(FILE, "a/file", "evil")),
        ("a directory and a file below", link().add(DIRECTORY, "a/sub", "").add(FILE, "a/sub/file", "evil")),
        ("a file in its place", link().add(FILE, "a", "evil")),
        ("a hard link to a file below", link().add(HARD, "b", "a/file").add(FILE, "b", "evil")),
        ("a hard link to it", link().add(HARD, "b", "a").add(FILE, "b/file", "evil")),
        ("a chain", Layer::default().add(LINK, "a", "b").add(LINK, "b", target).add(FILE, "a/file", "evil")),
        (
            "a directory before",
            Layer::default().add(DIRECTORY, "a", "").add(LINK, "a", target).add(FILE, "a/file", "evil"),
        ),
        ("a directory after", link().add(DIRECTORY, "a", "").add(FILE, "a/file", "evil")),
        ("a whiteout", link().add(FILE, "a/.wh.file", "")),
        ("an opaque mark", link().add(FILE, "a/.wh..wh..opq", "")),
        ("a device", link().device("a/null", 1, 3)),
        ("a pipe", link().add(FIFO, "a/file", "")),
        ("a link below", link().add(LINK, "a/new", "/etc/passwd")),
    ]
}

#[test]
fn h1_no_link_of_a_layer_leads_out_of_it() {
    let stage = Stage::new("h1");
    let canary = stage.canary.path().to_owned();
    let targets = [canary.clone(), format!("../../../../../../../..{canary}"), format!("/..//.{canary}")];
    let (mut tried, mut inside) = (0, 0);
    for target in &targets {
        for (name, layer) in ways(target) {
            let tree = both(&stage, &format!("{name}, {target}"), &[layer.end()]);
            tried += 1;
            inside += usize::from(tree.is_some_and(|tree| tree.contains(canary.trim_start_matches('/'))));
        }
    }
    assert!(
        tried >= 39 && inside > tried / 2,
        "{inside} of {tried} have shown inside what was meant for the host"
    );
    let file = format!("{canary}/file");
    let more: [(&str, Layer); 8] = [
        ("a hard link to the host's", Layer::default().add(HARD, "a", &file).add(FILE, "a", "evil")),
        ("a hard link upwards", Layer::default().add(HARD, "a", &format!("../../..{file}"))),
        ("an absolute name", Layer::default().add(FILE, &file[..file.len().min(99)], "evil")),
        ("a name upwards", Layer::default().add(FILE, "../../../../tmp/evil", "evil")),
        (
            "case twins",
            Layer::default().add(LINK, "A", &canary).add(FILE, "a/file", "evil").add(FILE, "A/file", "evil"),
        ),
        ("unicode twins", Layer::default().add(LINK, "\u{e9}", &canary).add(FILE, "e\u{301}/file", "evil")),
        ("a link with a slash", Layer::default().add(LINK, "a/", &canary).add(FILE, "a/file", "evil")),
        ("dots", Layer::default().add(LINK, "./a", &canary).add(FILE, "././a/./file", "evil")),
    ];
    for (name, layer) in more {
        both(&stage, name, &[layer.end()]);
    }
    stage.finish();
}

#[test]
fn h2_modes_owners_times_and_attributes_do_not_follow_a_link() {
    let stage = Stage::new("h2");
    let canary = stage.canary.path().to_owned();
    let records = [("uid", "12345"), ("gid", "12345"), ("mtime", "1.5"), ("SCHILY.xattr.user.evil", "yes")];
    for (target, kind) in
        [(canary.clone(), DIRECTORY), (format!("{canary}/file"), FILE), (format!("{canary}/sub"), FIFO)]
    {
        let link = Layer::default().add(LINK, "a", &target);
        let content: &[u8] = if kind == FILE { b"evil" } else { b"" };
        both(&stage, "in its place", &[link.clone().pax(&records).mode(kind, "a", 0o4777, content).end()]);
        both(&stage, "of the link", &[Layer::default().pax(&records).add(LINK, "a", &target).end()]);
        let layers = [link.end(), Layer::default().pax(&records).mode(kind, "a", 0o4777, content).end()];
        both(&stage, "by another layer", &layers);
    }
    let attributes = support::run("getfattr", &["-R", "-h", "-d", "-m", "-", &canary]);
    assert!(attributes.is_empty(), "{}", String::from_utf8_lossy(&attributes));
    stage.finish();
}

#[test]
fn h3_the_root_of_a_layer_is_a_directory() {
    let stage = Stage::new("h3");
    let canary = stage.canary.path().to_owned();
    for name in [".", "/", "./", "//", "./."] {
        for (kind, text) in [(LINK, canary.as_str()), (HARD, "x"), (FIFO, "")] {
            let layer =
                Layer::default().add(FILE, "x", "1").add(kind, name, text).add(FILE, "file", "evil").end();
            assert_eq!(both(&stage, &format!("{name:?} of kind {kind}"), &[layer]), None);
        }
        let directory = Layer::default().mode(DIRECTORY, name, 0o711, b"").add(FILE, "file", "x").end();
        assert!(both(&stage, name, &[directory]).is_some_and(|tree| tree == "file f 644 \n"), "{name:?}");
    }
    stage.finish();
}

#[test]
fn h4_what_became_a_link_in_between_is_looked_at_again() {
    let stage = Stage::new("h4");
    let canary = stage.canary.path().to_owned();
    let one = Layer::default()
        .add(DIRECTORY, "a", "")
        .add(FILE, "a/one", "1")
        .add(LINK, "a", &canary)
        .add(FILE, "a/file", "evil")
        .add(DIRECTORY, "a", "")
        .add(FILE, "a/two", "2")
        .end();
    let tree = both(&stage, "within a layer", &[one]).expect("it is read");
    assert!(tree.contains("a/two f") && !tree.contains("a/file"), "{tree}");
    // Between layers: overlayfs puts together what each of them is.
    let layer = |kind: u8, path: &str, text: &str| Layer::default().add(kind, path, text).end();
    let layers = [layer(FILE, "a/file", "1"), layer(LINK, "a", &canary), layer(FILE, "a/file", "evil")];
    let tree = both(&stage, "between layers", &layers).expect("it is read");
    assert!(tree.contains("a d ") && tree.contains("a/file f"), "{tree}");
    // Eight at once bring the same.
    let file = stage.file("same.tar", &archive("same", &json!({ "Cmd": ["/x"] }), &layers));
    for form in ["index", "directory"] {
        let children: Vec<_> = (0..8)
            .map(|_| {
                let mut command = stage.engine.command();
                command
                    .env("OCICTL_LAYERS", form)
                    .args(["load", "-q", "-i", &file])
                    .spawn()
                    .expect("it starts")
            })
            .collect();
        for mut child in children {
            assert!(child.wait().expect("it ends").success(), "{form}");
        }
        stage.engine.ok(&["system", "check", "--deep"]);
        stage.engine.ok(&["rmi", "same"]);
    }
    stage.finish();
}

#[test]
fn h7_what_is_cut_off_or_followed_by_rubbish_is_refused() {
    let stage = Stage::new("h7");
    let tar = Layer::default().add(FILE, "x", &"content".repeat(5000)).end();
    let (half, rest) = tar.split_at(tar.len() / 2);
    let (gz, zst) = (gzip(&tar), zstd::encode_all(tar.as_slice(), 1).expect("encoded"));
    let xz = b"\xfd7zXZ\0\0\x04".to_vec();
    let rows: [(&str, Vec<u8>, &str); 12] = [
        ("gzip", gz.clone(), ""),
        ("members of gzip", [gzip(half), gzip(rest)].concat(), ""),
        ("zstd", zst.clone(), ""),
        (
            "frames of zstd",
            [zstd::encode_all(half, 1).expect("one"), zstd::encode_all(rest, 1).expect("two")].concat(),
            "",
        ),
        ("gzip, cut off", gz[..gz.len() - 9].to_vec(), "layer"),
        ("gzip, its length missing", gz[..gz.len() - 4].to_vec(), "layer"),
        ("gzip and rubbish", [gz.clone(), b"rubbish".to_vec()].concat(), "layer"),
        ("gzip and zeros", [gz.clone(), vec![0; 4096]].concat(), "layer"),
        ("zstd, cut off", zst[..zst.len() - 3].to_vec(), "layer"),
        ("zstd and rubbish", [zst, b"rubbish".to_vec()].concat(), "layer"),
        ("xz", [xz, vec![0; 600]].concat(), "xz"),
        ("gzip of nothing", gz[..12].to_vec(), "layer"),
    ];
    for (name, layer, wanted) in rows {
        let id = ocictl::digest::Digest::of(&tar).to_string();
        let document = json!({ "architecture": support::goarch(), "os": "linux", "config": {}, "rootfs": { "type": "layers", "diff_ids": [id] } });
        let bytes = crate::stage::archive_of("packed", document.to_string().as_bytes(), &[layer]);
        let file = stage.file("packed.tar", &bytes);
        let output = stage.bounded(&["load", "-q", "-i", &file]);
        if wanted.is_empty() {
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
            stage.engine.ok(&["system", "check", "--deep"]);
            stage.engine.ok(&["rmi", "packed"]);
        } else {
            let said = one_error(&output, name);
            assert!(said.contains(wanted), "{name}: {said}");
        }
    }
    stage.finish();
}

/// A directory below `path` that is `depth` deep, with a file at its end.
fn deep(path: &Path, depth: usize) {
    fs::create_dir(path).expect("a directory");
    let open = |folder: &rustix::fd::OwnedFd, name: &str| {
        rustix::fs::openat(folder, name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).expect("open")
    };
    let mut here = rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).expect("open");
    for _ in 0..depth {
        rustix::fs::mkdirat(&here, "d", Mode::RWXU).expect("deeper");
        here = open(&here, "d");
    }
    rustix::fs::openat(&here, "file", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).expect("a file");
}

#[test]
fn h9_a_removal_does_not_walk_out() {
    let stage = Stage::new("h9");
    let canary = stage.canary.path().to_owned();
    let containers = stage.engine.scratch.join("root/containers");
    let upper = |name: &str| {
        stage.engine.ok(&["run", "--name", name, IMAGE, "true"]);
        containers.join(stage.engine.ask(name, "{{.Id}}")).join("layer/upper")
    };
    deep(&upper("deep").join("d"), 4000);
    stage.engine.ok(&["rm", "deep"]);
    // Directories and links to the host's that change places while they are removed.
    for turn in 0..10 {
        let folder = upper("raced");
        fs::create_dir(folder.join("x")).expect("a directory");
        (0..300).for_each(|number| fs::write(folder.join(format!("x/file{number}")), "").expect("written"));
        std::os::unix::fs::symlink(&canary, folder.join("y")).expect("a link");
        let held = rustix::fs::open(&folder, OFlags::PATH, Mode::empty()).expect("held");
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let racer = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                let _gone = renameat_with(&held, "x", &held, "y", RenameFlags::EXCHANGE);
            }
        });
        let output = stage.engine.output(&["rm", "raced"]);
        ended.store(true, Ordering::Relaxed);
        racer.join().expect("it ends");
        stage.canary.assert_unchanged();
        assert!(output.status.success() || !output.stderr.is_empty(), "turn {turn}");
        assert_ne!(
            stage.engine.run(&["container", "inspect", "raced"]).0,
            0,
            "turn {turn}: it is gone in any case"
        );
    }
    // What is mounted in it is neither entered nor removed; what is immutable keeps nothing else from working.
    let mounted = upper("mounted").join("m");
    fs::create_dir(&mounted).expect("a directory");
    rustix::mount::mount_bind(&canary, &mounted).expect("mounted");
    stage.refused(&["rm", "mounted"], &["something is mounted in it"]);
    let aside = stage.engine.scratch.join("root/container-aside");
    let left =
        aside.join(support::files(&aside).into_iter().find(|name| name.len() == 64).expect("what is left"));
    stage.engine.ok(&["run", "--rm", IMAGE, "true"]);
    rustix::mount::unmount(left.join("layer/upper/m"), rustix::mount::UnmountFlags::empty())
        .expect("unmounted");
    let immutable = upper("immutable").join("file");
    fs::write(&immutable, "x").expect("written");
    let chattr = |flag: &str, path: &Path| {
        Command::new("chattr").arg(flag).arg(path).status().is_ok_and(|status| status.success())
    };
    if chattr("+i", &immutable) {
        stage.refused(&["rm", "immutable"], &["operation not permitted"]);
        stage.engine.ok(&["run", "--rm", IMAGE, "true"]);
        let left = aside
            .join(support::files(&aside).into_iter().find(|name| name.len() == 64).expect("what is left"));
        assert!(chattr("-i", &left.join("layer/upper/file")));
    } else {
        println!("skipped: this file system has no immutable files");
        stage.engine.ok(&["rm", "immutable"]);
    }
    stage.engine.ok(&["system", "check", "--repair"]);
    eventually("nothing is left", || support::files(&aside).iter().all(|name| name == ".lock"));
    stage.finish();
}
