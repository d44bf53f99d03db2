//! `mounts add` and `mounts remove`: mounts of a container that runs, all of those that are named or none.

mod support;

use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use support::runtime::Outcome;
use support::{Bundle, skip_on_peer};

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Value {
    json!({ "destination": destination, "type": kind, "source": source, "options": options })
}

fn change(bundle: &Bundle, verb: &str, mounts: Value) -> Outcome {
    let file = bundle.dir.join("mounts.json");
    fs::write(&file, mounts.to_string()).unwrap();
    bundle.call(&["mounts", verb, &bundle.id, file.to_str().unwrap()])
}

/// A directory of the host with a file in it.
fn data(bundle: &Bundle, name: &str) -> String {
    let path = bundle.dir.join(name);
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("file"), name).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Mount points and options of the container.
fn table(bundle: &Bundle) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{}/mountinfo", bundle.pid())).unwrap();
    text.lines().map(|line| line.split(' ').skip(4).take(2).collect::<Vec<_>>().join(" ")).collect()
}

fn only_corten() -> bool {
    skip_on_peer("runc has no such verb, crun's adds what it can")
}

#[test]
fn mounts_come_and_go() {
    if only_corten() {
        return;
    }
    let bundle = Bundle::sleeper();
    bundle.run_detached();
    let before = table(&bundle);
    let (a, b) = (data(&bundle, "a"), data(&bundle, "b"));
    let mounts = json!([
        mount("/data", "bind", &a, &["bind", "ro", "nosuid"]),
        mount("/data/file", "bind", &format!("{b}/file"), &["bind"]),
        mount("/scratch", "tmpfs", "tmpfs", &["size=64k", "mode=700", "noexec"]),
    ]);
    let outcome = change(&bundle, "add", mounts.clone()).ok();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
    assert_eq!(bundle.exec_sh(&[], "cat /data/file; stat -c %a /scratch"), "b700\n");
    assert_eq!(bundle.exec(&[], &["touch", "/data/x"]).code, Some(1), "it is read-only");
    let now = table(&bundle);
    for line in ["/data ro,nosuid,relatime", "/scratch rw,noexec,relatime"] {
        assert!(now.iter().any(|found| found == line), "{line} in {now:#?}");
    }
    change(&bundle, "remove", mounts).ok();
    assert_eq!(table(&bundle), before);
    bundle.kill_and_delete();
}

#[test]
fn all_are_added_or_none() {
    if only_corten() {
        return;
    }
    let bundle = Bundle::sleeper();
    bundle.run_detached();
    let before = table(&bundle);
    let a = data(&bundle, "a");
    for (wrong, words) in [
        (mount("/c", "nofs", "x", &[]), "[2]: mount nofs"),
        (mount("/c", "bind", "/no/such/source", &["bind"]), "open /no/such/source: missing"),
        (mount("/etc/passwd/c", "bind", &a, &["bind"]), "[2]: bind"),
        (mount("/c", "tmpfs", "tmpfs", &["nonsense=1"]), "nonsense"),
        (mount("/c", "bind", &a, &["remount", "ro"]), "remount adds no mount"),
        (mount("/c", "cgroup", "cgroup", &[]), "only create mounts cgroups"),
        (mount("/", "bind", &a, &["bind"]), "nothing can be mounted on the root"),
        (mount("/proc/sys", "bind", &a, &["bind"]), "is inside /proc"),
    ] {
        let mounts =
            json!([mount("/a", "bind", &a, &["bind"]), mount("/a/b", "tmpfs", "tmpfs", &[]), wrong,]);
        let outcome = change(&bundle, "add", mounts).fails(words);
        assert!(outcome.stderr.contains("mounts.json: "), "{}", outcome.stderr);
        assert_eq!(table(&bundle), before, "{words}");
    }
    change(&bundle, "add", json!([{ "source": a }])).fails("mounts.json: mounts[0].destination: missing");
    change(&bundle, "add", json!({})).fails("mounts.json");
    bundle.kill_and_delete();
}

#[test]
fn all_are_removed_or_none() {
    if only_corten() {
        return;
    }
    let bundle = Bundle::sleeper();
    bundle.run_detached();
    let a = data(&bundle, "a");
    change(&bundle, "add", json!([mount("/a", "bind", &a, &["bind"])])).ok();
    let before = table(&bundle);
    let a = json!({ "destination": "/a" });
    for (wrong, words) in [
        ("/tmp", "it is no mount point"),
        ("/nowhere", "unmount \"/nowhere\": missing"),
        ("/proc/keys", "cannot be removed"),
        ("/", "cannot be removed"),
    ] {
        // The last comes first: /a is gone already when the other fails.
        change(&bundle, "remove", json!([{ "destination": wrong }, a])).fails(words);
        assert_eq!(table(&bundle).len(), before.len(), "{words}");
        assert_eq!(bundle.exec_sh(&[], "cat /a/file"), "a");
    }
    bundle.kill_and_delete();
}

#[test]
fn what_was_added_is_on_record() {
    if only_corten() {
        return;
    }
    let bundle = Bundle::sleeper();
    bundle.run_detached();
    let a = data(&bundle, "a");
    let mounts = json!([mount("/a", "bind", &a, &["bind"])]);
    change(&bundle, "add", mounts.clone()).ok();
    change(&bundle, "add", mounts.clone())
        .fails(&format!("mounts[0].destination: {a:?} was added there already"));
    if rustix::process::geteuid().is_root() {
        bundle
            .call(&["checkpoint", "--image-path", "images", &bundle.id])
            .fails(&format!("{a:?} was added on \"/a\", where no restore would find it"));
    }
    change(&bundle, "remove", mounts.clone()).ok();
    change(&bundle, "add", mounts).ok();
    bundle.kill_and_delete();
}

#[test]
fn hostile_links_lead_nowhere() {
    if only_corten() {
        return;
    }
    let bundle = Bundle::sleeper();
    let outside = data(&bundle, "outside");
    let a = data(&bundle, "a");
    symlink(&outside, bundle.rootfs().join("link")).unwrap();
    symlink("../../../../../..", bundle.rootfs().join("up")).unwrap();
    symlink("/proc", bundle.rootfs().join("hidden")).unwrap();
    bundle.run_detached();
    let add = |destination: &str| change(&bundle, "add", json!([mount(destination, "bind", &a, &["bind"])]));
    add("/link/in").ok();
    assert!(!fs::exists(format!("{outside}/in")).unwrap(), "the host's directory is untouched");
    assert_eq!(bundle.exec_sh(&[], &format!("cat {outside}/in/file")), "a");
    add("/up/top").ok();
    assert_eq!(bundle.exec_sh(&[], "cat /top/file"), "a");
    add("/hidden/sys").fails("the target is inside a procfs");
    assert!(!table(&bundle).iter().any(|line| line.starts_with("/proc/sys rw")));
    // A link could make us uncover what is hidden from the container.
    change(&bundle, "remove", json!([{ "destination": "/hidden/keys" }])).fails("symlink");
    assert_eq!(bundle.exec_sh(&[], "cat /proc/keys | wc -c"), "0\n");
    bundle.kill_and_delete();
}

#[test]
fn user_namespace_owns_what_is_added() {
    if only_corten() {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: ids of others need root");
    }
    let mut bundle = Bundle::sleeper();
    bundle.user_namespace(100_000, 65_536);
    bundle.run_detached();
    let a = data(&bundle, "a");
    let mounts =
        json!([mount("/a", "bind", &a, &["bind"]), mount("/scratch", "tmpfs", "tmpfs", &["mode=700"])]);
    change(&bundle, "add", mounts.clone()).ok();
    assert_eq!(bundle.exec_sh(&[], "cat /a/file; touch /scratch/x; stat -c %u /scratch/x"), "a0\n");
    change(&bundle, "remove", mounts).ok();
    bundle.kill_and_delete();
}

#[test]
fn state_must_be_running_or_paused() {
    if only_corten() {
        return;
    }
    let bundle = Bundle::sleeper();
    let mounts = json!([mount("/scratch", "tmpfs", "tmpfs", &[])]);
    change(&bundle, "add", mounts.clone()).fails("container does not exist");
    bundle.create().ok();
    change(&bundle, "add", mounts.clone()).fails("container not running");
    bundle.start().ok();
    bundle.call(&["pause", &bundle.id]).ok();
    change(&bundle, "add", mounts.clone()).ok();
    bundle.call(&["resume", &bundle.id]).ok();
    bundle.kill("KILL").ok();
    bundle.await_death(bundle.pid());
    change(&bundle, "remove", mounts).fails("container not running");
    bundle.call(&["mounts", "change", &bundle.id, "x"]).fails("invalid value 'change'");
    bundle.call(&["mounts", "add", &bundle.id, "/no/such/file"]).fails("/no/such/file");
    bundle.delete().ok();
}
