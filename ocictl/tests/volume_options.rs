//! `volume create --opt`: what is mounted while containers have it.

mod engine;
#[path = "support/user.rs"]
mod user;

use engine::{Engine, IMAGE, support};
use std::fs;
use user::{as_user, as_user_after};

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
    engine.ok(&["volume", "create", "-o", "type=tmpfs", "-o", "o=nocopy,size=1m", "bare"]);
    assert_eq!(look("bare:/data"), "more");
    engine.ok(&["volume", "rm", "bare"]);
    let part = "type=volume,source=mem,target=/p,volume-subpath=inner";
    engine.ok(&["run", "-d", "--name", "c", "-v", "mem:/data", IMAGE, "sleep", "1000"]);
    assert_eq!(engine.ok(&["run", "--rm", "--mount", part, IMAGE, "cat", "/p/file"]), "of the image");
    engine.ok(&["rm", "-f", "c"]);
    engine.ok(&["volume", "rm", "mem"]);
    engine.assert_clean();
}

#[test]
fn memory_at_two_places_of_one_container_is_the_same() {
    let engine = Engine::new("volume-twice");
    engine.ok(&["volume", "create", "-o", "type=tmpfs", "mem"]);
    let mounts = ["-v", "mem:/one", "-v", "mem:/data"];
    let script = "echo hello > /one/x; cat /data/x; ls /data";
    let words = [&["run", "--rm"], &mounts[..], &[IMAGE, "sh", "-c", script]].concat();
    assert_eq!(engine.ok(&words), "hello\nx");
    // After a restart, too, and for another container.
    let long = [&["run", "-d", "--name", "c"], &mounts[..], &[IMAGE, "sleep", "1000"]].concat();
    engine.ok(&long);
    engine.ok(&["restart", "-t", "0", "c"]);
    assert_eq!(engine.ok(&["exec", "c", "sh", "-c", script]), "hello\nx");
    assert_eq!(engine.ok(&["run", "--rm", "-v", "mem:/m", IMAGE, "cat", "/m/x"]), "hello");
    engine.ok(&["rm", "-f", "c"]);
    engine.ok(&["volume", "rm", "mem"]);
    engine.assert_clean();
}

#[test]
fn what_is_mounted_below_a_directory_comes_with_rbind() {
    let engine = Engine::new("volume-rbind");
    if !rustix::process::geteuid().is_root() {
        return println!("skipped: to mount something needs root");
    }
    let folder = engine.scratch.join("folder").to_str().expect("text").to_owned();
    fs::create_dir_all(format!("{folder}/below")).expect("a directory");
    for (words, seen) in [("o=bind", ""), ("o=rbind", "inner"), ("o=rbind,ro", "inner")] {
        let device = format!("device={folder}");
        engine.ok(&["volume", "create", "--opt", "type=none", "--opt", &device, "--opt", words, "v"]);
        let script = "mount -t tmpfs none \"$1/below\"; touch \"$1/below/inner\"; shift; exec \"$@\"";
        let wrapper = ["unshare", "-m", "sh", "-ec", script, "sh", &folder];
        let run = ["run", "--rm", "-v", "v:/v", IMAGE, "ls", "/v/below"];
        let output = support::below(&wrapper, &engine.command(), &run).output().expect("unshare starts");
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim_end(), seen, "{words}");
        engine.ok(&["volume", "rm", "v"]);
    }
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
        (
            &["--opt", "device=/d", "--opt", "o=bind,sync"],
            "--opt: o: a directory that is bound has no option \"sync\"",
        ),
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
    let engine = Engine::for_a_user("volume-user");
    let script = "ocictl load -q -i image.tar > /dev/null; ocictl volume create -o type=tmpfs -o o=size=1m mem > /dev/null
        ocictl run -d --name one -v mem:/m busybox sh -c 'echo hello > /m/x; sleep 1000' > /dev/null; sleep 1
        ocictl run --rm -v mem:/m busybox cat /m/x; ocictl rm -f one; ocictl run --rm -v mem:/m busybox ls -A /m
        ocictl volume rm mem; ocictl rmi -a -f > /dev/null; ls run/containers; ocictl system check";
    let Some(printed) = as_user(&engine.scratch, true, script) else { return };
    assert!(printed.starts_with("hello\none\nmem\n") && printed.contains("all whole"), "{printed}");
}

/// What the host's mount forbids is locked for him.
#[test]
fn an_ordinary_user_binds_read_only_what_is_on_a_careful_mount() {
    let engine = Engine::for_a_user("volume-user-ro");
    let prepare = r#"
        mkdir "$2/careful"; mount -t tmpfs -o nosuid,nodev,noexec,noatime none "$2/careful"; echo mine > "$2/careful/file"
        chown -R 4711:4711 "$2/careful"
    "#;
    let script = r#"ocictl load -q -i image.tar > /dev/null
        ocictl volume create -o device="$2/careful" -o o=bind,ro v > /dev/null
        ocictl run --rm -v v:/v busybox sh -c 'cat /v/file; touch /v/new 2> /dev/null || echo refused; grep " /v " /proc/mounts'
        ocictl volume rm v; ocictl rmi -a -f > /dev/null"#;
    let Some(printed) = as_user_after(&engine.scratch, true, prepare, script) else { return };
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines.len() == 4 && lines[..2] == ["mine", "refused"] && lines[3] == "v", "{printed}");
    assert!(lines[2].contains(" ro,nosuid,nodev,noexec,noatime"), "{printed}");
}

#[test]
fn a_prune_waits_for_no_volume_that_it_leaves_and_tells_what_hinders_it() {
    let engine = Engine::empty("volume-prune");
    engine.ok(&["volume", "create", "named"]);
    let lock = engine.scratch.join("root/volumes/named/lock");
    assert!(lock.parent().is_some_and(std::path::Path::is_dir), "{}", lock.display());
    let held = fs::File::create(&lock).expect("the lock");
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).expect("held");
    let wrapper = ["timeout", "-s", "KILL", "30"];
    let prune = ["volume", "prune", "-f"];
    let output = support::below(&wrapper, &engine.command(), &prune).output().expect("timeout starts");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0));
    drop(held);
    fs::remove_file(&lock).expect("removed");
    fs::create_dir(&lock).expect("a directory in its place");
    let (code, printed, said) = engine.run(&["volume", "prune", "-a", "-f"]);
    assert!(code != 0 && printed.is_empty() && said.contains("named/lock"), "{code}: {printed}{said}");
    fs::remove_dir(&lock).expect("removed");
    assert_eq!(engine.ok(&["volume", "prune", "-a", "-f"]), "named");
    engine.assert_clean();
}
