//! `cp` of whole roots, and to names that are links in the container.

mod engine;

use engine::{Engine, IMAGE, support};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Runs a command of ours; it must end within a minute.
fn bounded(engine: &Engine, words: &[&str]) -> (i32, String) {
    let command = engine.command();
    let mut timed = Command::new("timeout");
    timed.args(["-s", "KILL", "60"]).arg(command.get_program()).args(command.get_args()).args(words);
    timed.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
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
            assert_eq!(support::files(&Path::new(&root).join(empty)), [""; 0], "{source}: {empty}");
        }
    }
    let tar = engine.scratch.join("root.tar");
    let command = engine.command();
    let mut piped = Command::new("timeout");
    piped
        .args(["-s", "KILL", "60"])
        .arg(command.get_program())
        .args(command.get_args())
        .args(["cp", "c:/.", "-"]);
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
    assert_eq!(bounded(&engine, &["cp", "c:/proc/1/status", &here("status")]).0, 0);
    assert!(fs::read_to_string(here("status")).expect("copied").contains("sleep"));
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
