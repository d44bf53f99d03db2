//! `cp` in and out, of files, tars and whole roots, over what is there, and to names that are links in the container.

mod engine;

use engine::{Engine, IMAGE, support};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

/// Runs a command of ours; it must end within a minute.
fn bounded(engine: &Engine, words: &[&str]) -> (i32, String) {
    let mut timed = support::below(&["timeout", "-s", "KILL", "60"], &engine.command(), words);
    let output = timed.output().expect("timeout starts");
    let code = output.status.code().unwrap_or(-1);
    assert_ne!(code, 137, "{words:?} hangs");
    (code, String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_root_of_a_running_container_is_copied_without_what_the_kernel_makes_up() {
    let engine = Engine::new("cp-root");
    let here = |name: &str| engine.scratch.join(name).to_str().expect("text").to_owned();
    fs::create_dir(here("volume")).expect("a directory");
    fs::write(here("volume/mine"), "of the volume").expect("written");
    let volume = format!("{}:/vol", here("volume"));
    // Also where a program of the container could have put them, and with a FIFO that nobody writes to.
    engine.ok(&["run", "-d", "--name", "c", "-v", &volume, "-v", "/proc:/data/proc", IMAGE, "sleep", "1000"]);
    engine.ok(&["exec", "c", "mkfifo", "/tmp/fifo"]);
    for (name, source) in [("whole", "c:/"), ("inside", "c:/.")] {
        fs::create_dir(here(name)).expect("a directory");
        let (code, said) = bounded(&engine, &["cp", source, &here(name)]);
        assert_eq!(code, 0, "{source}: {said}");
        let root = here(name);
        let read = |path: &str| fs::read_to_string(Path::new(&root).join(path)).unwrap_or_default();
        assert!(read("etc/passwd").contains("web"), "{source}");
        assert_eq!(read("vol/mine"), "of the volume", "{source}");
        assert!(read("etc/hosts").contains("localhost"), "{source}");
        for empty in ["proc", "sys", "dev", "data/proc"] {
            let folder = Path::new(&root).join(empty);
            assert!(folder.is_dir(), "{source}: {empty}");
            assert_eq!(support::files(&folder), [""; 0], "{source}: {empty}");
        }
    }
    let tar = engine.scratch.join("root.tar");
    let mut piped = support::below(&["timeout", "-s", "KILL", "60"], &engine.command(), &["cp", "c:/.", "-"]);
    let status = piped.stdout(fs::File::create(&tar).expect("a file")).status().expect("timeout starts");
    assert_eq!(status.code(), Some(0));
    let listed = Command::new("tar").arg("-tf").arg(&tar).output().expect("tar starts").stdout;
    let listed = String::from_utf8(listed).expect("names");
    assert!(listed.contains("/vol/mine\n"), "{listed}");
    let below = |folder: &str| listed.lines().filter(|line| line.contains(folder)).count();
    assert_eq!((below("/proc/"), below("/sys/"), below("/dev/")), (2, 1, 1), "{listed}");
    // What is asked for by name is told, single files are copied.
    for source in ["c:/proc", "c:/sys/.", "c:/proc/1"] {
        let (code, said) = bounded(&engine, &["cp", source, &here("volume")]);
        assert_eq!(code, 1, "{source}");
        assert!(said.contains("it is in a file system that the kernel makes up"), "{source}: {said}");
    }
    for source in ["c:/dev", "c:/dev/."] {
        for target in [&here("devices"), "-"] {
            let (code, said) = bounded(&engine, &["cp", source, target]);
            assert_eq!(code, 1, "{source} {target}");
            assert!(said.contains("/dev") && said.contains("it holds the container's devices"), "{said}");
        }
    }
    assert!(fs::symlink_metadata(here("devices")).is_err());
    assert_eq!(bounded(&engine, &["cp", "c:/dev/null", &here("null")]).0, 0);
    assert_eq!(bounded(&engine, &["cp", "c:/proc/1/status", &here("status")]).0, 0);
    assert!(fs::read_to_string(here("status")).expect("copied").contains("sleep"));
    engine.ok(&["rm", "-f", "c"]);
    engine.assert_clean();
}

#[test]
fn attributes_are_copied_however_many_they_are() {
    use rustix::fs::{XattrFlags, getxattr, setxattr};
    let engine = Engine::new("cp-attributes");
    engine.ok(&["run", "-d", "--name", "c", "--tmpfs", "/one", "--tmpfs", "/two", IMAGE, "sleep", "1000"]);
    engine.ok(&["exec", "c", "touch", "/one/file"]);
    let root = format!("/proc/{}/root", engine.ask("c", "{{.State.Pid}}"));
    // CAP_NET_RAW, permitted and effective (capabilities(7), revision 2).
    let mut capability = [0u8; 20];
    (capability[0], capability[3], capability[5]) = (1, 2, 0x20);
    let names: Vec<String> = (0..80).map(|number| format!("user.{number:060}")).collect();
    let file = format!("{root}/one/file");
    let give = |name: &str, value: &[u8]| setxattr(&file, name, value, XattrFlags::empty());
    if give("user.overlay.x", b"a mark") == Err(rustix::io::Errno::NOTSUP) {
        return println!("skipped: this kernel's tmpfs keeps no attributes");
    }
    give("security.capability", &capability).expect("given");
    names.iter().for_each(|name| give(name, b"value").expect("given"));
    engine.ok(&["cp", "c:/one/file", "c:/two/file"]);
    let tar = engine.output(&["cp", "c:/one/file", "-"]).stdout;
    let copy = format!("{root}/two/file");
    let mut value = [0u8; 64];
    for name in ["security.capability"].into_iter().chain(names.iter().map(String::as_str)) {
        let length = getxattr(&copy, name, &mut value).expect("copied");
        assert_eq!(length, if name.starts_with("user.") { 5 } else { 20 }, "{name}");
        let record = format!("SCHILY.xattr.{name}=");
        assert!(tar.windows(record.len()).any(|part| part == record.as_bytes()), "{name}");
    }
    // An overlay's own marks are none of the file's.
    assert_eq!(getxattr(&copy, "user.overlay.x", &mut value), Err(rustix::io::Errno::NODATA));
    engine.ok(&["rm", "-f", "c"]);
    engine.assert_clean();
}

#[test]
fn a_link_that_is_copied_to_is_followed_inside() {
    let engine = Engine::new("cp-link");
    let here = |name: &str| engine.scratch.join(name).to_str().expect("text").to_owned();
    fs::write(here("in"), "hello").expect("written");
    fs::create_dir(here("folder")).expect("a directory");
    fs::write(here("folder/file"), "of the folder").expect("written");
    let links = "cd /; echo old > /etc/target; ln -s /etc/target absolute; ln -s etc/target relative; ln -s absolute chain; \
                 ln -s /etc/fresh dangling; ln -s /missing/x lost; ln -s loop loop; ln -s other pair; ln -s pair other; ln -s /tmp folder; \
                 ln -s ../../../../etc/up up; ln -s /data/fresh tree; ln -s /proc/1/root/etc/ocictl-magic magic";
    engine.ok(&[
        "run",
        "-d",
        "--name",
        "live",
        IMAGE,
        "sh",
        "-c",
        &format!("{links}; touch /ready; sleep 1000"),
    ]);
    engine::eventually("the links are there", || {
        engine.run(&["exec", "live", "test", "-e", "/ready"]).0 == 0
    });
    engine.ok(&["run", "--name", "dead", IMAGE, "sh", "-c", links]);
    for name in ["live", "dead"] {
        let text = |path: &str| {
            let out = here("out");
            let _none = fs::remove_file(&out);
            engine.ok(&["cp", &format!("{name}:{path}"), &out]);
            fs::read_to_string(&out).expect("copied")
        };
        for (link, target) in [
            ("absolute", "/etc/target"),
            ("relative", "/etc/target"),
            ("chain", "/etc/target"),
            ("dangling", "/etc/fresh"),
            ("up", "/etc/up"),
            ("folder", "/tmp/in"),
        ] {
            fs::write(here("in"), format!("by {link}")).expect("written");
            engine.ok(&["cp", &here("in"), &format!("{name}:/{link}")]);
            assert_eq!(text(target), format!("by {link}"), "{name}: {link}");
            let found = engine.ok(&["cp", &format!("{name}:/{link}"), &here("link")]);
            assert!(
                fs::symlink_metadata(here("link")).expect("copied").is_symlink(),
                "{name}: {link}: {found}"
            );
            fs::remove_file(here("link")).expect("removed");
        }
        for (link, reason) in [
            ("lost", "/missing/x: missing"),
            ("loop", "too many levels of symbolic links"),
            ("pair", "too many levels of symbolic links"),
        ] {
            let (code, _, said) = engine.run(&["cp", &here("in"), &format!("{name}:/{link}")]);
            assert_eq!((code, said.lines().count()), (1, 1), "{name}: {link}: {said}");
            assert!(said.contains(&format!("/{link}: {reason}")), "{name}: {link}: {said}");
        }
        // A directory, too.
        engine.ok(&["cp", &here("folder"), &format!("{name}:/tree")]);
        assert_eq!(text("/data/fresh/file"), "of the folder", "{name}");
    }
    // The kernel's own links lead nowhere.
    assert_eq!(engine.run(&["cp", &here("in"), "live:/magic"]).0, 1);
    assert!(fs::symlink_metadata("/etc/ocictl-magic").is_err());
    engine.ok(&["rm", "-a", "-f"]);
    engine.assert_clean();
}

#[test]
fn files_are_copied_and_changes_listed() {
    let engine = Engine::new("cp");
    let here = |name: &str| engine.scratch.join(name).to_str().expect("text").to_owned();
    engine.ok(&[
        "run",
        "--name",
        "c",
        IMAGE,
        "sh",
        "-c",
        "echo new > /data/new; rm /data/inner/file; ln -s /etc/shadow /tmp/link",
    ]);
    assert_eq!(
        engine.ok(&["diff", "c"]),
        "C /data\nC /data/inner\nD /data/inner/file\nA /data/new\nC /tmp\nA /tmp/link"
    );
    engine.ok(&["cp", "c:/data/new", &here("out")]);
    assert_eq!(fs::read_to_string(here("out")).expect("copied"), "new\n");
    engine.ok(&["cp", "c:/etc", &here("etc")]);
    assert!(fs::metadata(here("etc/passwd")).is_ok());
    fs::write(here("in"), "into").expect("written");
    engine.ok(&["cp", &here("in"), "c:/data/"]);
    engine.ok(&["start", "c"]);
    engine.ok(&["run", "-d", "--name", "live", IMAGE, "sleep", "1000"]);
    engine.ok(&["cp", &here("in"), "live:/tmp/x"]);
    assert_eq!(engine.ok(&["exec", "live", "cat", "/tmp/x"]), "into");
    // A symlink leads to the container's file, not to the host's.
    let scratch = engine.scratch.path.display();
    engine.ok(&["exec", "live", "sh", "-c", &format!("mkdir -p {scratch}; ln -s {scratch} /escape")]);
    engine.ok(&["cp", &here("in"), "live:/escape/y"]);
    assert_eq!(engine.ok(&["exec", "live", "cat", &here("y")]), "into");
    assert!(fs::metadata(here("y")).is_err());
    assert_eq!(engine.run(&["cp", "live:/nothere", &here("z")]).0, 1);
    tars_are_piped(&engine);
    engine.ok(&["rm", "-a", "-f"]);
    engine.assert_clean();
}

#[test]
fn what_is_copied_over_stays_until_the_new_is_whole() {
    let engine = Engine::new("over");
    let here = |name: &str| engine.scratch.join(name).to_str().expect("text").to_owned();
    fs::create_dir_all(here("data/dir")).expect("a directory");
    fs::write(here("data/f"), "precious").expect("written");
    fs::write(here("data/dir/g"), "precious").expect("written");
    let volume = format!("{}:/data", here("data"));
    engine.ok(&["run", "-d", "--name", "c", "-v", &volume, IMAGE, "sleep", "1000"]);
    let refused = |words: &[&str], why: &str| {
        let (code, _, said) = engine.run(&[&["cp"], words].concat());
        assert!(code == 1 && said.contains(why), "{words:?}: {code} {said}");
        assert!(said.len() < 500, "{said}");
    };
    refused(&["c:/data/f", &here("data/f")], "the same file");
    refused(&[&here("data/f"), "c:/data/"], "the same file");
    refused(&["c:/data/dir/.", &here("data/dir")], "into itself");
    refused(&["c:/data/dir", &here("data/dir/in")], "into itself");
    refused(&["c:/data", "c:/data/dir/sub"], "into itself");
    // One that cannot be read, and one that cannot be replaced.
    fs::write(here("keep"), "kept").expect("written");
    refused(&["c:/proc/1/mem", &here("keep")], "");
    rustix::fs::mkfifoat(rustix::fs::CWD, here("fifo"), rustix::fs::Mode::RUSR).expect("a FIFO");
    refused(&["c:/data/f", &here("fifo")], "in its place");
    for (name, text) in [("data/f", "precious"), ("data/dir/g", "precious"), ("keep", "kept")] {
        assert_eq!(fs::read_to_string(here(name)).expect("there"), text, "{name}");
    }
    let left = fs::read_dir(here(".")).expect("the scratch").map(|entry| entry.expect("one").file_name());
    assert!(!left.into_iter().any(|name| name.to_string_lossy().starts_with(".ocictl-")));
    // A file is written through a link, and to a device; what an earlier one has left does not matter.
    fs::write(here("saved"), "old").expect("written");
    std::os::unix::fs::symlink("saved", here("link")).expect("a link");
    engine.ok(&["save", "-o", &here("link"), IMAGE]);
    assert!(fs::symlink_metadata(here("link")).expect("there").is_symlink());
    assert!(fs::metadata(here("saved")).expect("there").len() > 1000);
    let (number, mode) = (rustix::fs::makedev(1, 3), rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR);
    let device = rustix::fs::FileType::CharacterDevice;
    rustix::fs::mknodat(rustix::fs::CWD, here("null"), device, mode, number).expect("a device");
    engine.ok(&["save", "-o", &here("null"), IMAGE]);
    assert_eq!(fs::metadata(here("null")).expect("there").rdev(), number);
    engine.ok(&["rm", "-a", "-f"]);
    engine.assert_clean();
}

/// `cp … -` and `cp - …`, of a container that runs and of one that does not.
fn tars_are_piped(engine: &Engine) {
    use std::io::Write;
    let list = |container: &str, path: &str| {
        let output = engine.output(&["cp", &format!("{container}:{path}"), "-"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::write(engine.scratch.join("piped.tar"), output.stdout).expect("written");
        let tar = engine.scratch.join("piped.tar");
        let listed = support::run("tar", &["-tf", tar.to_str().expect("text")]);
        String::from_utf8(listed).expect("text").trim_end().replace('\n', " ")
    };
    assert_eq!(list("live", "/data"), "data/ data/inner/ data/inner/file");
    assert_eq!(list("c", "/data/new"), "new");
    let feed = |target: &str, archive: &[u8]| {
        let mut child = engine.spawn(&["cp", "-", target]);
        let _it_may_refuse = child.stdin.take().expect("a pipe").write_all(archive);
        let output = child.wait_with_output().expect("it ends");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let tree = engine.scratch.join("fed");
    fs::create_dir_all(tree.join("a/b")).expect("directories");
    fs::write(tree.join("a/b/text"), "fed").expect("written");
    std::os::unix::fs::symlink("/etc/passwd", tree.join("a/link")).expect("a link");
    std::os::unix::fs::chown(tree.join("a/b/text"), Some(33), Some(34)).expect("an owner");
    fs::hard_link(tree.join("a/b/text"), tree.join("a/b/twin")).expect("a link");
    let archive = support::tar_of(&tree);
    for container in ["live", "c"] {
        assert_eq!(feed(&format!("{container}:/tmp"), &archive), (true, String::new()));
    }
    assert_eq!(
        engine.ok(&["exec", "live", "sh", "-c", "cat /tmp/a/b/twin; stat -c ' %u %h' /tmp/a/b/text"]),
        "fed 33 2"
    );
    assert_eq!(list("c", "/tmp/a"), "a/ a/b/ a/b/text a/b/twin a/link");
    // What is written through a symlink of the container stays in it; what goes up does not begin.
    let scratch = engine.scratch.path.display();
    engine.ok(&[
        "exec",
        "live",
        "sh",
        "-c",
        &format!("mkdir -p /hole; ln -s /../../../..{scratch} /hole/deep"),
    ]);
    assert!(feed("live:/hole", &support::tar(&[("deep/escaped", b"x")])).0);
    assert_eq!(engine.ok(&["exec", "live", "cat", &format!("{scratch}/escaped")]), "x");
    assert!(fs::metadata(engine.scratch.join("escaped")).is_err());
    let (worked, said) = feed("live:/tmp", &support::tar(&[("../up", b"x")]));
    assert!(!worked && said.contains("its path goes up"), "{said}");
    let (worked, said) = feed("live:/nothere", &archive);
    assert!(!worked && said.contains("/nothere"), "{said}");
    assert_eq!(engine.run(&["cp", "-", "-"]).0, 125);
}
