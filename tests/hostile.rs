//! Root file systems that point outside: whatever a link in them says, the host's canary does not change.
//!
//! Numbers are those of `security.md` (A1-A14) and the CVEs. Whether the container then runs or is refused is up to
//! the case; that nothing outside is touched is not.

mod support;

use rustix::fs::{FileType, Mode, mknodat};
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;
use support::canary::Canary;
use support::racer::Racer;
use support::{Bundle, Outcome, leaks, probe, skip_on_peer, terminal};

/// A bundle without `/dev` mounts and without masks, which need a `/dev/null`.
fn without_dev() -> Bundle {
    let mut bundle = Bundle::new();
    for point in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
        bundle.unmount(point);
    }
    bundle.set("/linux/maskedPaths", json!([])).set("/linux/readonlyPaths", json!([]));
    bundle
}

/// Replaces a path of the rootfs by a symlink to the outside.
fn divert(bundle: &Bundle, path: &str, target: &str) {
    let path = bundle.rootfs().join(path);
    if path.is_dir() {
        fs::remove_dir_all(&path).unwrap();
    }
    symlink(target, path).unwrap();
}

/// The container ran or was refused with one line; in both cases nothing is left.
fn ran_or_was_refused(bundle: &Bundle, outcome: &Outcome) {
    assert!(matches!(outcome.code, Some(0 | 1)), "{outcome:#?}");
    if outcome.code == Some(1) {
        assert_eq!(outcome.stderr.trim_end().lines().count(), 1, "{outcome:#?}");
    }
    leaks::assert_nothing_left(bundle);
}

/// An absolute link to the canary, and a relative one that climbs there.
fn links_to(canary: &Canary) -> [String; 2] {
    [canary.path().to_owned(), format!("../../../../../../../../../../..{}", canary.path())]
}

#[test]
fn dev_as_a_link_to_the_outside_gets_no_device_and_no_link_there() {
    // A1, CVE-2026-41579; A2, CVE-2026-47766
    if skip_on_peer("runc 1.1.5 replaces the outside's ptmx: CVE-2026-41579") {
        return;
    }
    for with_mounts in [true, false] {
        for number in 0..2 {
            let mut bundle = if with_mounts { Bundle::new() } else { without_dev() };
            let canary = Canary::new(&bundle.dir, "canary");
            divert(&bundle, "dev", &links_to(&canary)[number]);
            bundle.push(
                "/linux/devices",
                json!({ "path": "/dev/a/b/null", "type": "c", "major": 1, "minor": 3 }),
            );
            let outcome = bundle.run();
            ran_or_was_refused(&bundle, &outcome);
            canary.assert_unchanged();
        }
    }
}

#[test]
fn console_link_to_the_outside_is_not_followed() {
    // A3, CVE-2026-88264
    for target in ["console", "new"] {
        let mut bundle = without_dev();
        let canary = Canary::new(&bundle.dir, "canary");
        divert(&bundle, "dev/console", canary.dir.join(target).to_str().unwrap());
        bundle.set("/process/terminal", json!(true));
        let socket = bundle.dir.join("sock");
        let _listener = terminal::listen(&socket);
        let outcome = bundle.create_with(&["--console-socket", socket.to_str().unwrap()]);
        bundle.delete_force().ok();
        ran_or_was_refused(&bundle, &outcome);
        canary.assert_unchanged();
    }
}

#[test]
fn null_link_to_the_outside_is_neither_opened_nor_given_away() {
    // A4, CVE-2026-88265: standard streams on /dev/null are reopened inside.
    let mut bundle = without_dev();
    let canary = Canary::new(&bundle.dir, "canary");
    divert(&bundle, "dev/null", canary.dir.join("null").to_str().unwrap());
    bundle.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    let outcome = bundle.create();
    bundle.delete_force().ok();
    ran_or_was_refused(&bundle, &outcome);
    canary.assert_unchanged();
}

#[test]
fn mask_does_not_bind_what_the_image_calls_dev_null() {
    // A5, CVE-2025-31133: the image's /dev/null is not the null device.
    let mut bundle = without_dev();
    bundle.set("/linux/maskedPaths", json!(["/etc/secret"]));
    fs::write(bundle.rootfs().join("etc/secret"), "secret\n").unwrap();
    fs::write(bundle.rootfs().join("etc/other"), "leaked\n").unwrap();
    divert(&bundle, "dev/null", "/etc/other");
    bundle.script("cat /etc/secret");
    let outcome = bundle.run();
    ran_or_was_refused(&bundle, &outcome);
    assert_eq!(outcome.stdout, "");
}

#[test]
fn mask_of_a_link_covers_what_the_link_means_inside() {
    let mut bundle = Bundle::new();
    let canary = Canary::new(&bundle.dir, "canary");
    fs::create_dir_all(bundle.rootfs().join(&canary.path()[1..])).unwrap();
    let inner = bundle.rootfs().join(&canary.path()[1..]).join("file");
    fs::write(&inner, "inside\n").unwrap();
    symlink(canary.dir.join("file"), bundle.rootfs().join("etc/secret")).unwrap();
    bundle.push("/linux/maskedPaths", json!("/etc/secret"));
    assert_eq!(bundle.payload("cat /etc/secret"), "");
    canary.assert_unchanged();
}

#[test]
fn proc_or_sys_as_a_link_is_refused() {
    // A9, CVE-2019-19921, CVE-2023-27561
    for (name, inside) in [("proc", "/tmp"), ("sys", "/tmp"), ("proc", "CANARY"), ("sys", "CANARY")] {
        let bundle = Bundle::new();
        let canary = Canary::new(&bundle.dir, "canary");
        divert(&bundle, name, if inside == "CANARY" { canary.path() } else { inside });
        let outcome = bundle.create().fails("");
        assert_eq!(outcome.stderr.trim_end().lines().count(), 1, "{outcome:#?}");
        leaks::assert_nothing_left(&bundle);
        canary.assert_unchanged();
    }
}

#[test]
fn nothing_but_the_known_files_is_mounted_below_proc() {
    // A14, A19, B1: a forged /proc/self/attr would swallow the label.
    let mut bundle = Bundle::new();
    fs::write(bundle.path().join("uptime"), "1.00 1.00\n").unwrap();
    bundle.mount("/proc/uptime", "none", "uptime", &["bind"]);
    assert_eq!(bundle.payload("cat /proc/uptime"), "1.00 1.00\n");
    if skip_on_peer("runc 1.1 checks binds alone") {
        return;
    }
    for destination in ["/proc/self/attr", "/proc/sys", "/proc/1", "/proc/self/../uptime/x"] {
        let mut bundle = Bundle::new();
        bundle.mount(destination, "tmpfs", "tmpfs", &[]);
        bundle.create().fails("");
        leaks::assert_nothing_left(&bundle);
    }
}

#[test]
fn working_directory_through_a_link_is_made_inside() {
    // A11
    let mut bundle = Bundle::new();
    let canary = Canary::new(&bundle.dir, "canary");
    divert(&bundle, "work", canary.path());
    bundle.set("/process/cwd", json!("/work/new"));
    let outcome = bundle.run();
    ran_or_was_refused(&bundle, &outcome);
    canary.assert_unchanged();
}

#[test]
fn home_is_not_read_from_a_host_file_or_a_fifo() {
    // A12, D9
    let bundle = Bundle::sh("echo $HOME");
    let canary = Canary::new(&bundle.dir, "canary");
    fs::write(canary.dir.join("passwd"), "root:x:0:0::/leaked:/bin/sh\n").unwrap();
    fs::remove_file(bundle.rootfs().join("etc/passwd")).unwrap();
    divert(&bundle, "etc/passwd", canary.dir.join("passwd").to_str().unwrap());
    assert_eq!(bundle.run().ok().stdout, "/\n");

    if skip_on_peer("runc 1.1 opens a FIFO and waits") {
        return;
    }
    let passwd = bundle.rootfs().join("etc/passwd");
    fs::remove_file(&passwd).unwrap();
    mknodat(rustix::fs::CWD, &passwd, FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert_eq!(bundle.run().ok().stdout, "/\n");
}

#[test]
fn home_with_a_newline_does_not_come_from_passwd() {
    // D8
    let bundle = Bundle::sh("env | grep -c ^HOME=; env | grep -c ^EVIL=");
    fs::write(bundle.rootfs().join("etc/passwd"), "root:x:0:0::/h\nEVIL=1:/bin/sh\n").unwrap();
    assert_eq!(bundle.run().stdout, "1\n0\n");
}

#[test]
fn bind_destination_through_a_link_makes_no_file_outside() {
    // A10, CVE-2024-45310
    let mut bundle = Bundle::new();
    let canary = Canary::new(&bundle.dir, "canary");
    divert(&bundle, "vol", canary.path());
    bundle.mount("/vol/file.new", "none", "/etc/hostname", &["bind"]);
    bundle.mount("/vol/dir.new/deep", "none", "/etc", &["bind"]);
    let outcome = bundle.run();
    ran_or_was_refused(&bundle, &outcome);
    canary.assert_unchanged();
}

#[test]
fn mount_target_swapped_under_the_runtime_never_lands_outside() {
    // A8, CVE-2021-30465: another container swaps the target for a link to the outside again and again.
    let mut bundle = Bundle::new();
    let canary = Canary::new(&bundle.dir, "canary");
    let volume = bundle.dir.join("volume");
    fs::create_dir_all(volume.join("x")).unwrap();
    symlink(canary.path(), volume.join("y")).unwrap();
    bundle.mount("/vol", "none", volume.to_str().unwrap(), &["bind"]);
    bundle.mount("/vol/x", "tmpfs", "first", &["size=4k"]).mount(
        "/vol/x/sub",
        "tmpfs",
        "second",
        &["size=4k"],
    );
    bundle.write_config();
    let racer = Racer::between(volume.join("x"), volume.join("y"));
    let mut ran = 0;
    for _ in 0..20 {
        let outcome = bundle.run();
        ran_or_was_refused(&bundle, &outcome);
        ran += usize::from(outcome.code == Some(0));
    }
    assert!(racer.swaps() > 20, "it was raced: {}", racer.swaps());
    drop(racer);
    assert!(ran > 0, "whatever is there, a run is possible");
    canary.assert_unchanged();
}

#[test]
fn rootfs_that_is_a_link_is_refused_or_resolved_but_never_left_mounted() {
    let bundle = Bundle::sh("cat /proc/self/mountinfo");
    fs::rename(bundle.rootfs(), bundle.path().join("real")).unwrap();
    symlink("real", bundle.rootfs()).unwrap();
    let outcome = bundle.run();
    ran_or_was_refused(&bundle, &outcome);
    if outcome.code == Some(0) {
        assert!(probe::mount(&outcome.stdout, "/").root.ends_with("/real"));
    }
}
