//! `ocictl image …` without a registry: archives in, lists, names, mounts, removal.

mod support;

use std::fs;
use support::{Scratch, docker_archive, files, run, tar, tar_of};

/// A store with one image, `busybox:test`, of two layers.
fn loaded(name: &str) -> Scratch {
    let scratch = Scratch::new(name);
    let layers = [
        tar(&[("etc/motd", b"hello\n"), ("bin/sh", b"#!")]),
        tar(&[("etc/motd", b"changed\n"), ("bin/.wh.sh", b"")]),
    ];
    fs::write(scratch.join("image.tar"), docker_archive("busybox:test", &layers)).expect("written");
    let said = scratch.ok(&["load", "-i", scratch.join("image.tar").to_str().expect("text")]);
    assert_eq!(said, "Loaded image: docker.io/library/busybox:test\n");
    scratch
}

#[test]
fn an_image_is_found_by_name_id_and_digest() {
    let scratch = loaded("found");
    let id = scratch.ok(&["image", "inspect", "busybox:test", "--format", "{{.Id}}"]);
    let digest = scratch.ok(&["image", "inspect", "busybox:test", "--format", "{{.Digest}}"]);
    assert!(digest.starts_with("sha256:"), "{digest}");
    for name in ["docker.io/library/busybox:test", "library/busybox:test", &id[..12], &id[..4], id.trim()] {
        assert_eq!(scratch.ok(&["image", "inspect", name, "--format", "{{.Id}}"]), id, "{name}");
    }
    assert_eq!(scratch.ok(&["images", "-q"]), format!("{}\n", &id[..12]));
    assert_eq!(
        scratch.ok(&["images", "--format", "{{.Repository}}:{{.Tag}} {{.Size}}"]),
        "docker.io/library/busybox:test 5.63 kB\n"
    );
    assert_eq!(scratch.ok(&["images", "--filter", "label=purpose=other", "-q"]), "");
    assert!(scratch.ok(&["history", "busybox:test"]).contains("by hand"));
    let said = scratch.fails(&["image", "inspect", "nothere"]);
    assert!(said.starts_with("Error: image nothere: no such image\n  hint: "), "{said}");
    let filtered = |id: &str| scratch.ok(&["images", "-q", "--filter", &format!("id={id}")]).lines().count();
    let id = id.trim();
    for (wanted, count) in [
        (format!("sha256:{id}"), 1),
        (format!("sha256:{}", &id[..6]), 1),
        (id[..6].to_owned(), 1),
        ("sha256:x".to_owned(), 0),
    ] {
        assert_eq!(filtered(&wanted), count, "{wanted}");
    }
}

#[test]
fn lists_are_sorted_in_every_form_and_tell_an_id_once() {
    let scratch = loaded("sorted");
    fs::write(scratch.join("other.tar"), docker_archive("other:m", &[tar(&[("x", b"y")])])).expect("written");
    scratch.ok(&["load", "-q", "-i", scratch.join("other.tar").to_str().expect("text")]);
    scratch.ok(&["tag", "busybox:test", "zzz:a"]);
    let json = |words: &[&str]| -> Vec<String> {
        let printed = scratch.ok(&[&["images", "--format", "json"], words].concat());
        let list: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
        let list = list.as_array().expect("a list").clone();
        list.iter().map(|image| image["Names"][0].as_str().expect("a name").to_owned()).collect()
    };
    let (busybox, other) = ("docker.io/library/busybox:test", "docker.io/library/other:m");
    assert_eq!(json(&["--quiet"]).len(), 2);
    assert_eq!(json(&["--sort", "tag"]), [other, busybox]);
    assert_eq!(json(&["--sort", "repository"]), [busybox, other]);
    assert_eq!(json(&["--sort", "size"]), [busybox, other]);
    let tags = |key: &str| scratch.ok(&["images", "--sort", key, "--format", "{{.Tag}}"]).replace('\n', " ");
    assert_eq!((tags("tag"), tags("repository")), ("a m test ".into(), "test m a ".into()));
    // An image's names are not next to each other there.
    assert_eq!(scratch.ok(&["images", "-q", "--sort", "tag"]).lines().count(), 2);
    scratch.ok(&["rmi", "-a", "-f"]);
    scratch.assert_empty();
}

#[test]
fn what_is_no_archive_is_told_by_one_place() {
    let scratch = Scratch::new("junk");
    let whole = tar(&[("file", &[7; 2000])]);
    for (bytes, wanted) in [
        (&[b'j'; 100][..], "tar: header at byte 0: it is cut off after byte 0"),
        (&whole[..1000], "the archive is cut off after byte 1000"),
    ] {
        let file = scratch.join("junk.tar");
        fs::write(&file, bytes).expect("written");
        let said = scratch.fails(&["load", "-i", file.to_str().expect("text")]);
        assert!(said.contains(wanted), "{said}");
        assert_eq!(said.replace("junk.tar: ", "").matches("tar: ").count(), 1, "{said}");
        scratch.ok(&["system", "check", "--repair"]);
    }
    scratch.assert_empty();
}

#[test]
fn names_are_given_and_taken_and_the_last_one_takes_the_image() {
    let scratch = loaded("names");
    let id = scratch.ok(&["image", "inspect", "busybox:test", "--format", "{{.Id}}"]);
    scratch.ok(&["tag", &id[..10], "rhel"]);
    assert_eq!(
        scratch.ok(&["image", "inspect", "rhel", "--format", "{{.RepoTags}}"]),
        "[docker.io/library/busybox:test localhost/rhel:latest]\n"
    );
    let said = scratch.fails(&["rmi", &id[..10]]);
    assert!(
        said.contains("has several names: docker.io/library/busybox:test, localhost/rhel:latest"),
        "{said}"
    );
    assert_eq!(scratch.ok(&["rmi", "busybox:test"]), "Untagged: docker.io/library/busybox:test\n");
    assert_eq!(scratch.ok(&["rmi", "rhel"]), format!("Untagged: localhost/rhel:latest\nDeleted: {id}"));
    scratch.assert_empty();
    assert_eq!(scratch.output(&["image", "exists", "rhel"]).status.code(), Some(1));
}

#[test]
fn a_mounted_image_shows_its_tree() {
    let scratch = loaded("mounted");
    let path = scratch.ok(&["image", "mount", "busybox:test"]);
    let view = std::path::Path::new(path.trim());
    assert_eq!(fs::read_to_string(view.join("etc/motd")).expect("of the upper layer"), "changed\n");
    assert_eq!(files(&view.join("bin")), Vec::<String>::new(), "the whiteout hides it");
    assert!(fs::write(view.join("x"), "").is_err(), "it is read-only");
    scratch.ok(&["image", "unmount", "busybox:test"]);
    scratch.ok(&["rmi", "busybox:test"]);
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    assert!(!mounts.contains(scratch.path.to_str().expect("text")), "{mounts}");
}

#[test]
fn a_layer_holds_the_tree_that_tar_was_given_in_both_forms() {
    let mut indexed = Scratch::new("tree-index");
    indexed.layers = "index";
    let mut unpacked = Scratch::new("tree-directory");
    unpacked.layers = "directory";
    for scratch in [indexed, unpacked] {
        holds_the_tree(&scratch);
    }
}

fn holds_the_tree(scratch: &Scratch) {
    let tree = scratch.join("tree");
    let script = r#"
        mkdir -p bin etc many deep/a/b/c/d/e/f; cd "$1"
        printf data > bin/file; ln bin/file bin/hard; ln -s file bin/link; ln -s "$(printf 'x%.0s' $(seq 600))" longlink
        chmod 4755 bin/file; chown 1000:70000 etc; chmod 1777 etc; mkfifo fifo; mknod null c 1 3; mknod disk b 259 300000
        for i in $(seq 200); do echo $i > many/file-with-a-long-name-$i; done
        truncate -s 3M sparse; printf middle | dd of=sparse bs=1 seek=1500000 conv=notrunc status=none
        mkdir sizes; for i in 1 511 512 513 65535 65536 65537 262144 700001; do head -c $i /dev/urandom > sizes/$i; done
        : > empty; touch -d '1960-01-01 00:00:00.5' empty; touch -d '2040-01-01 00:00:00.123456789' fifo
        printf '' > "$(printf 'n%.0s' $(seq 255))"; : > '-dash'; : > '#hash'; : > 'ü'
        setfattr -n user.note -v text etc; setcap cap_net_raw+ep bin/file
    "#;
    fs::create_dir_all(&tree).expect("a directory");
    run("sh", &["-ec", &format!("cd \"$1\"; {script}"), "sh", tree.to_str().expect("text")]);
    fs::write(scratch.join("image.tar"), docker_archive("tree:1", &[tar_of(&tree)])).expect("written");
    scratch.ok(&["load", "-i", scratch.join("image.tar").to_str().expect("text")]);
    let view = scratch.ok(&["image", "mount", "tree:1"]);
    assert_same_tree(view.trim(), tree.to_str().expect("text"));
    scratch.ok(&["image", "unmount", "--all"]);
    // And the tar comes back byte for byte.
    scratch.ok(&["system", "check", "--deep"]);
}

/// Compares two trees; only what differs is told.
fn assert_same_tree(found: &str, wanted: &str) {
    let (found, wanted) = (listing(found), listing(wanted));
    assert!(wanted.lines().count() > 100, "there is something to compare");
    let only = |one: &str, other: &str| {
        let other: Vec<&str> = other.lines().collect();
        one.lines().filter(|line| !other.contains(line)).take(10).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        (only(&found, &wanted), only(&wanted, &found)),
        (Vec::new(), Vec::new()),
        "(too much, missing)"
    );
}

/// Everything that can be seen of a tree, a line an entry; sizes and links of directories are the file system's own.
fn listing(path: &str) -> String {
    let script = r#"
        cd "$1"
        find . ! -type d -printf '%P|%y|%m|%U|%G|%T@|%n|%s|%l\n' | sort
        find . -type d -printf '%P|%y|%m|%U|%G|%T@\n' | sort
        find . \( -type b -o -type c \) -exec stat -c '%n %t %T' {} + | sort
        find . -type f -print0 | sort -z | xargs -0 sha256sum
        find . ! -type l -exec getfattr -h -d -m '^(user|security)\.' {} + 2>/dev/null | paste -sd' ' | sed 's/ # file/\n# file/g'
    "#;
    String::from_utf8_lossy(&run("sh", &["-ec", script, "sh", path])).into_owned()
}

#[test]
fn what_is_no_image_is_refused_and_leaves_nothing() {
    let scratch = Scratch::new("refused");
    let layer = tar(&[("x", b"y")]);
    let whole = docker_archive("x:1", std::slice::from_ref(&layer));
    let cases: [(&str, Vec<u8>, &str); 4] = [
        ("rubbish", b"rubbish".repeat(1000), "the checksum is wrong: this is no tar archive"),
        ("cut off", whole[..3000].to_vec(), "cut off"),
        (
            "no manifest",
            tar(&[("x.json", b"{}")]),
            "neither index.json (OCI layout) nor manifest.json (docker save) is in it",
        ),
        ("empty", Vec::new(), "neither index.json"),
    ];
    for (name, bytes, wanted) in cases {
        fs::write(scratch.join("bad.tar"), bytes).expect("written");
        let said = scratch.fails(&["load", "-i", scratch.join("bad.tar").to_str().expect("text")]);
        assert!(said.contains(wanted), "{name}: {said}");
        scratch.ok(&["system", "check", "--repair"]);
        scratch.assert_empty();
    }
}

#[test]
fn the_form_of_layers_does_not_depend_on_the_run_directory() {
    // `/run` is in memory on most hosts, where no index could be mounted; layers lie below the root.
    let memory = Scratch::in_memory("form");
    let forms = [None, Some(memory.join("run"))].map(|runroot| {
        let scratch = Scratch::new("form");
        fs::write(scratch.join("image.tar"), docker_archive("x:1", &[tar(&[("x", b"y")])])).expect("written");
        let mut command = std::process::Command::new(scratch.command().get_program());
        command.arg("--root").arg(scratch.join("root"));
        command.arg("--runroot").arg(runroot.unwrap_or_else(|| scratch.join("run")));
        command.env_remove("OCICTL_LAYERS").args(["load", "-q", "-i"]).arg(scratch.join("image.tar"));
        assert!(command.status().expect("ocictl starts").success());
        let layers = scratch.join("root/layers");
        let record = layers.join(&files(&layers)[0]).join("layer.json");
        let record: serde_json::Value =
            serde_json::from_slice(&fs::read(record).expect("a record")).expect("JSON");
        record["form"].clone()
    });
    assert!(forms[0].is_string() && forms[0] == forms[1], "{forms:?}");
}

#[test]
fn a_layer_without_data_is_kept_and_shown() {
    for layers in ["index", "directory"] {
        let mut scratch = Scratch::new("no-data");
        scratch.layers = layers;
        let layer = [support::header("d/", b'5', 0, "").to_vec(), vec![0; 1024]].concat();
        fs::write(scratch.join("image.tar"), docker_archive("empty:1", &[layer])).expect("written");
        scratch.ok(&["load", "-i", scratch.join("image.tar").to_str().expect("text")]);
        let view = scratch.ok(&["image", "mount", "empty:1"]);
        assert_eq!(files(view.trim().as_ref()), ["d"]);
        scratch.ok(&["system", "check", "--deep"]);
    }
}

/// A store as versions before layout 2 made it: a layer is a tar with an index over it.
#[test]
fn a_store_of_the_former_layout_is_read_and_then_raised() {
    use ocictl::archive::{erofs, tar as reader, tree::Tree};
    let mut scratch = Scratch::new("former");
    scratch.layers = "index";
    let layer = tar(&[("etc/motd", b"hello\n"), ("big", &[7; 70_000])]);
    let archive = |name: &str, layer: &Vec<u8>| {
        fs::write(scratch.join("image.tar"), docker_archive(name, std::slice::from_ref(layer)))
            .expect("written");
        scratch.join("image.tar").to_str().expect("text").to_owned()
    };
    scratch.ok(&["load", "-i", &archive("x:1", &layer)]);
    let version = scratch.join("root/version");
    assert_eq!(fs::read_to_string(&version).expect("a version"), "2\n");

    let kept = scratch.join("root/layers").join(&files(&scratch.join("root/layers"))[0]);
    for name in ["data", "index", "skeleton"] {
        fs::remove_file(kept.join(name)).expect("of today's form");
    }
    let (mut entries, mut tree) = (reader::Reader::new(&layer[..]), Tree::default());
    while let Some(entry) = entries.next_entry().expect("an entry") {
        tree.insert(entry).expect("in its place");
    }
    let index = fs::File::create(kept.join("index")).expect("a file");
    erofs::write(&tree, layer.len() as u64, index).expect("written");
    fs::write(kept.join("tar"), &layer).expect("written");
    let record = format!(r#"{{"form":"index","size":{},"entries":2}}"#, layer.len());
    fs::write(kept.join("layer.json"), record).expect("written");
    fs::write(&version, "1\n").expect("written");

    scratch.ok(&["system", "check", "--deep"]);
    if rustix::process::geteuid().is_root() {
        let view = scratch.ok(&["image", "mount", "x:1"]);
        let view = std::path::Path::new(view.trim());
        assert_eq!(fs::read(view.join("etc/motd")).expect("read"), b"hello\n");
        assert_eq!(fs::read(view.join("big")).expect("read"), [7; 70_000]);
        scratch.ok(&["image", "unmount", "--all"]);
    }
    let saved = scratch.join("saved.tar");
    scratch.ok(&["save", "-o", saved.to_str().expect("text"), "x:1"]);
    assert!(fs::read(&saved).expect("saved").windows(layer.len()).any(|part| part == layer));
    assert_eq!(fs::read_to_string(&version).expect("a version"), "1\n", "nothing was made");

    scratch.ok(&["load", "-i", &archive("y:1", &tar(&[("new", b"new")]))]);
    assert_eq!(fs::read_to_string(&version).expect("a version"), "2\n", "a layer of today's form is there");
    scratch.ok(&["system", "check", "--deep"]);
    fs::write(&version, "3\n").expect("written");
    let said = scratch.fails(&["images"]);
    assert!(said.contains("layout \"3\" is not known to this version of ocictl"), "{said}");
    fs::write(&version, "2\n").expect("written");
    scratch.ok(&["rmi", "-a"]);
    scratch.assert_empty();
}

/// What a large layer held is freed by a process that nobody waits for; neither our output nor the file system waits for it.
#[test]
fn a_large_layer_goes_at_once_and_keeps_nothing_busy() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: mounts need root");
        return;
    }
    let mut scratch = Scratch::new("large");
    scratch.layers = "index";
    let archive = scratch.join("image.tar");
    fs::write(&archive, docker_archive("large:1", &[tar(&[("file", &vec![7; 96 << 20])])])).expect("written");
    let disk = scratch.join("root");
    fs::create_dir(&disk).expect("a directory");
    let disk = disk.to_str().expect("text");
    let load = || {
        run("mount", &["-t", "tmpfs", "large", disk]);
        scratch.ok(&["load", "-q", "-i", archive.to_str().expect("text")]);
    };
    for _ in 0..3 {
        load();
        // Read to its end, as $(ocictl rmi …) is.
        assert!(scratch.ok(&["rmi", "large:1"]).contains("Deleted: "));
        scratch.assert_empty();
        run("umount", &[disk]);
    }
    // strace waits for the end of all that it follows.
    load();
    let trace = traced(&scratch, &["-e", "trace=execve,close_range"], &["rmi", "large:1"]);
    let of = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    let closes = trace.lines().find(|line| line.contains("close_range(")).map(of).expect(&trace);
    let ends: Vec<String> =
        trace.lines().filter(|line| line.ends_with("+++ exited with 0 +++")).map(of).collect();
    assert!(ends.len() == 2 && ends.contains(&closes), "{trace}");
    assert_ne!(trace.lines().next().map(of), Some(closes), "what was started closes nothing itself: {trace}");
    scratch.assert_empty();
    run("umount", &[disk]);
}

#[test]
fn a_directory_of_somebody_else_is_no_store_and_loses_nothing() {
    let scratch = Scratch::new("foreign");
    let root = scratch.join("root");
    fs::create_dir_all(&root).expect("a directory");
    fs::write(root.join(".bashrc"), "mine").expect("written");
    let said = scratch.fails(&["images"]);
    assert!(said.contains(".bashrc is in it, and it is no store of ocictl"), "{said}");
    assert_eq!(files(&root), [".bashrc"], "nothing is made");

    // A store whose maker was killed is made to the end.
    fs::remove_file(root.join(".bashrc")).expect("removed");
    fs::create_dir_all(root.join("blobs/sha256")).expect("a directory");
    fs::write(root.join("lock"), "").expect("written");
    let half = ".version.0123456789abcdef";
    fs::write(root.join(half), "").expect("written");
    scratch.ok(&["images"]);

    // A collection takes what was half written, and nothing else that begins with a dot.
    let kept = [
        ".bashrc",
        ".config/file",
        ".other.0123456789abcdef",
        ".version.0123456789abcdeX",
        "images/.DS_Store",
    ];
    for name in kept {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, "mine").expect("written");
    }
    fs::write(root.join("images/.x.json.0123456789abcdef"), "").expect("written");
    scratch.ok(&["image", "prune", "-f"]);
    for name in kept {
        assert_eq!(fs::read_to_string(root.join(name)).expect(name), "mine");
    }
    assert!(!files(&root).contains(&half.to_owned()));
    assert_eq!(files(&root.join("images")), [".DS_Store"]);
}

/// A layout directory as `docker save` would have left one, with `layer` in place of the path of its layer.
fn layout(scratch: &Scratch, layer: &str) -> std::path::PathBuf {
    let directory = scratch.join("layout");
    fs::create_dir_all(&directory).expect("a directory");
    let bytes = tar(&[("x", b"y")]);
    fs::write(scratch.join("outside.tar"), &bytes).expect("written");
    fs::write(directory.join("config.json"), support::config(&[bytes]).to_string()).expect("written");
    let manifest = serde_json::json!([{"Config": "config.json", "RepoTags": ["x:1"], "Layers": [layer]}]);
    fs::write(directory.join("manifest.json"), manifest.to_string()).expect("written");
    directory
}

#[test]
fn a_layout_is_read_below_its_directory_and_regular_files_only() {
    let load = |layer: &str, prepare: &dyn Fn(&std::path::Path)| {
        let scratch = Scratch::new("layout");
        let directory = layout(&scratch, &layer.replace("ROOT", scratch.path.to_str().expect("text")));
        prepare(&directory);
        let words = ["load", "-i", directory.to_str().expect("text")];
        let output =
            support::below(&["timeout", "20"], &scratch.command(), &words).output().expect("timeout starts");
        if !output.status.success() {
            scratch.ok(&["system", "check", "--repair"]);
            scratch.assert_empty();
        }
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let link = |target: &'static str| {
        move |directory: &std::path::Path| {
            fs::copy(directory.join("../outside.tar"), directory.join("inside.tar")).expect("copied");
            std::os::unix::fs::symlink(target, directory.join("layer.tar")).expect("a link");
        }
    };
    let fifo = |name: &'static str| {
        move |directory: &std::path::Path| {
            let _none_there = fs::remove_file(directory.join(name));
            run("mkfifo", &[directory.join(name).to_str().expect("text")]);
        }
    };
    assert_eq!(load("layer.tar", &link("inside.tar")), (Some(0), String::new()), "a link that stays below");
    let out = "layer.tar: it leads out of the directory";
    for (layer, prepare, wanted) in [
        ("layer.tar", &link("../outside.tar") as &dyn Fn(&std::path::Path), out),
        ("../outside.tar", &|_: &std::path::Path| (), "../outside.tar: it leads out of the directory"),
        ("ROOT/outside.tar", &|_: &std::path::Path| (), "/outside.tar: it leads out of the directory"),
        ("layer.tar", &fifo("layer.tar"), "layer.tar: it is no regular file"),
        ("layer.tar", &fifo("config.json"), "config.json: it is no regular file"),
        ("layer.tar", &|_: &std::path::Path| (), "layer layer.tar is missing"),
    ] {
        let (code, said) = load(layer, prepare);
        assert!(code == Some(1) && said.contains(wanted), "{layer}: {code:?}: {said}");
    }
}

#[test]
fn an_image_is_mounted_once_where_the_run_directory_has_a_blank() {
    let scratch = loaded("with a blank");
    let mount = || scratch.ok(&["image", "mount", "busybox:test"]);
    assert_eq!(mount(), mount());
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    let views = mounts
        .lines()
        .filter(|line| line.contains("ocictl-with\\040a\\040blank") && line.contains("/views/"));
    assert_eq!(views.count(), 1, "{mounts}");
    assert_eq!(scratch.ok(&["image", "mount"]).lines().count(), 1);
    assert_eq!(scratch.ok(&["image", "unmount", "--all"]).lines().count(), 1);
    scratch.ok(&["rmi", "busybox:test"]);
}

/// What strace says of these calls of a command, while it fails some of them.
fn traced(scratch: &Scratch, options: &[&str], words: &[&str]) -> String {
    let log = scratch.join("trace");
    let options = [&["-f", "-o", log.to_str().expect("text")], options].concat();
    support::strace(&scratch.command(), &["60"], &options, words);
    fs::read_to_string(&log).expect("a trace")
}

#[test]
fn an_overlay_keeps_whole_files_whatever_the_kernels_defaults() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: mounts need root");
        return;
    }
    let scratch = loaded("whole-files");
    let trace = traced(&scratch, &["-e", "trace=fsconfig"], &["image", "mount", "busybox:test"]);
    for option in ["\"redirect_dir\", \"off\"", "\"metacopy\", \"off\""] {
        assert!(
            trace.lines().any(|line| line.contains(option) && line.ends_with("= 0")),
            "{option}: {trace}"
        );
    }
    scratch.ok(&["image", "unmount", "--all"]);
    scratch.ok(&["rmi", "busybox:test"]);
}

#[test]
fn a_kernel_that_had_no_memory_once_is_asked_again() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: file systems are only looked for by root");
        return;
    }
    let scratch = Scratch::new("no-memory");
    let said = || fs::read_to_string(scratch.join("run/index-support")).ok();
    let inject = |errno: &str| {
        let options = format!("inject=fsopen:error={errno}");
        let trace = traced(&scratch, &["-e", &options], &["info"]);
        assert!(trace.contains("(INJECTED)"), "{trace}");
        said()
    };
    assert_eq!(inject("ENOMEM"), None, "no answer is kept");
    let kept = inject("ENODEV").expect("an answer is kept");
    assert!(kept.ends_with(" false\n"), "{kept}");
}
