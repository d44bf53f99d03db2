//! `volume create --opt`: what is mounted while containers have it.

mod engine;
#[path = "support/user.rs"]
mod user;

use engine::{Engine, IMAGE, support};
use serde_json::json;
use std::fs;
use user::as_user;

#[test]
fn memory_is_shared_by_those_who_run_and_goes_with_the_last() {
    let engine = Engine::new("volume-tmpfs");
    let options = ["--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=1m,mode=1770,nodev"];
    engine.ok(&[&["volume", "create"], &options[..], &["mem"]].concat());
    assert_eq!(
        engine.ok(&["volume", "inspect", "--format", "{{json .Options}}", "mem"]),
        r#"{"device":"tmpfs","o":"size=1m,mode=1770,nodev","type":"tmpfs"}"#
    );
    let data = engine.ok(&["volume", "inspect", "--format", "{{.Mountpoint}}", "mem"]);
    let start = |name: &str, target: &str| {
        let mount = format!("mem:{target}");
        engine.ok(&["run", "-d", "--name", name, "-v", &mount, IMAGE, "sleep", "1000"]);
    };
    start("one", "/mem");
    let exec = |name: &str, script: &str| engine.run(&["exec", name, "sh", "-c", script]);
    assert_eq!(
        exec("one", "echo hello > /mem/x; stat -c %a /mem; grep -c ' /mem tmpfs ' /proc/mounts").1,
        "1770\n1"
    );
    // More than its size does not fit.
    assert_ne!(exec("one", "head -c 2000000 /dev/zero > /mem/much").0, 0);
    assert_eq!(exec("one", "rm /mem/much").0, 0);
    start("two", "/other");
    assert_eq!(exec("two", "cat /other/x; echo back > /other/y").1, "hello");
    assert_eq!(exec("one", "cat /mem/y").1, "back");
    // Nothing of it is on the host.
    assert_eq!(support::files(std::path::Path::new(&data)), [""; 0]);
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    assert!(!mounts.contains("/containers/"), "{mounts}");
    engine.ok(&["stop", "-t", "0", "one"]);
    start("three", "/mem");
    assert_eq!(exec("three", "cat /mem/x").1, "hello");
    // A monitor that was killed keeps nobody's memory.
    let monitor = engine.ask("three", "{{.State.ConmonPid}}");
    support::run("kill", &["-KILL", &monitor]);
    engine.ok(&["stop", "-t", "0", "two", "three"]);
    engine.ok(&["start", "one"]);
    assert_eq!(exec("one", "ls -A /mem").1, "");
    engine.ok(&["restart", "-t", "0", "one"]);
    engine.ok(&["rm", "-f", "one", "two", "three"]);
    engine.ok(&["volume", "rm", "mem"]);
    engine.assert_clean();
}

#[test]
fn fresh_memory_has_what_the_image_has_there() {
    let engine = Engine::new("volume-fill");
    engine.ok(&["volume", "create", "-o", "type=tmpfs", "mem"]);
    let look = |mount: &str| {
        let words = [
            "run",
            "--rm",
            "-v",
            mount,
            IMAGE,
            "sh",
            "-c",
            "cat /data/inner/file; echo more > /data/more; ls /data",
        ];
        engine.run(&words).1
    };
    // Each time, since none of it lasts.
    assert_eq!(look("mem:/data"), "of the image\ninner\nmore");
    assert_eq!(look("mem:/data"), "of the image\ninner\nmore");
    assert_eq!(look("mem:/data:nocopy"), "more");
    let part = "type=volume,source=mem,target=/p,volume-subpath=inner";
    engine.ok(&["run", "-d", "--name", "c", "-v", "mem:/data", IMAGE, "sleep", "1000"]);
    assert_eq!(engine.ok(&["run", "--rm", "--mount", part, IMAGE, "cat", "/p/file"]), "of the image");
    engine.ok(&["rm", "-f", "c"]);
    engine.ok(&["volume", "rm", "mem"]);
    engine.assert_clean();
}

#[test]
fn a_directory_is_bound() {
    let engine = Engine::new("volume-bind");
    let folder = engine.scratch.join("folder").to_str().expect("text").to_owned();
    fs::create_dir(&folder).expect("a directory");
    fs::write(format!("{folder}/mine"), "of the host").expect("written");
    let device = format!("device={folder}");
    for (name, words) in [("rw", "o=bind"), ("ro", "o=bind,ro")] {
        engine.ok(&["volume", "create", "--opt", "type=none", "--opt", &device, "--opt", words, name]);
        let mount = format!("{name}:/v");
        let script = "cat /v/mine; echo new > /v/new && echo written";
        let (_, out, _) = engine.run(&["run", "--rm", "-v", &mount, IMAGE, "sh", "-c", script]);
        assert_eq!(out, if name == "rw" { "of the hostwritten" } else { "of the host" });
    }
    assert_eq!(fs::read_to_string(format!("{folder}/new")).expect("written"), "new\n");
    engine.ok(&["volume", "rm", "rw", "ro"]);
    assert!(fs::metadata(format!("{folder}/mine")).is_ok(), "what was bound stays");
    engine.assert_clean();
}

#[test]
fn what_cannot_be_mounted_is_told() {
    let engine = Engine::new("volume-wrong");
    for (options, why) in [
        (&["--opt", "size=1m"][..], "--opt: \"size\" is none of type, device, o"),
        (&["--opt", "rubbish"], "--opt: \"rubbish\" is no KEY=VALUE"),
        (&["--opt", "type=tmpfs", "--opt", "type=ext4"], "--opt: type is there twice"),
        (&["--opt", "type=ext4"], "--opt: device: ext4 needs one"),
    ] {
        let (code, _, said) = engine.run(&[&["volume", "create"], options, &["v"]].concat());
        assert_eq!((code, said.lines().count()), (125, 1), "{said}");
        assert!(said.contains(why), "{said}");
    }
    assert_eq!(engine.ok(&["volume", "ls", "-q"]), "");
    for (options, why) in [
        (
            &["-o", "type=tmpfs", "-o", "o=size=lots"][..],
            "volume v: mount tmpfs (size=lots): invalid argument",
        ),
        (&["-o", "o=bind", "-o", "device=/nothere"], "volume v: bind /nothere: missing"),
        (&["-o", "type=nosuch", "-o", "device=x"], "volume v: mount nosuch x (): "),
    ] {
        engine.ok(&[&["volume", "create"], options, &["v"]].concat());
        let (code, _, said) = engine.run(&["run", "--rm", "-v", "v:/v", IMAGE, "true"]);
        assert_eq!((code, said.lines().count()), (125, 1), "{said}");
        assert!(said.contains(why), "{said}");
        engine.ok(&["volume", "rm", "v"]);
        engine.assert_clean();
    }
}

#[test]
fn an_ordinary_user_has_memory_too() {
    let engine = Engine::empty("volume-user");
    if rustix::process::geteuid().is_root() {
        engine.tree();
        support::run("chown", &["-R", "0:0", engine.scratch.join("image-root").to_str().expect("text")]);
        engine.load(IMAGE, &json!({ "Cmd": ["sh"], "Env": ["PATH=/bin"] }));
        for folder in ["root", "run"] {
            fs::remove_dir_all(engine.scratch.join(folder)).expect("removed");
        }
    }
    let script = "ocictl load -q -i image.tar > /dev/null; ocictl volume create -o type=tmpfs -o o=size=1m mem > /dev/null
        ocictl run -d --name one -v mem:/m busybox sh -c 'echo hello > /m/x; sleep 1000' > /dev/null; sleep 1
        ocictl run --rm -v mem:/m busybox cat /m/x; ocictl rm -f one; ocictl run --rm -v mem:/m busybox ls -A /m
        ocictl volume rm mem; ocictl rmi -a -f > /dev/null; ls run/containers; ocictl system check";
    let Some(printed) = as_user(&engine.scratch, true, script) else { return };
    assert!(printed.starts_with("hello\none\nmem\n") && printed.contains("all whole"), "{printed}");
}
