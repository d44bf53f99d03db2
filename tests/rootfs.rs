//! The root file system as the payload finds it: read-only root, masked and read-only paths, devices and links.

mod support;

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use serde_json::json;
use std::fs;
use support::{Bundle, cgroups, is_peer, leaks, probe, skip_on_peer};

#[test]
fn read_only_root_refuses_writes_and_leaves_the_mounts_in_it_writable() {
    let mut bundle = Bundle::new();
    bundle.set("/root/readonly", json!(true)).mount("/tmp", "tmpfs", "tmpfs", &[]);
    let output = bundle
        .payload("touch /x; touch /tmp/x && echo tmp; touch /dev/x && echo dev; cat /proc/self/mountinfo");
    assert!(output.starts_with("tmp\ndev\n"), "{output}");
    assert!(probe::mount(&output, "/").has("ro"));
    assert!(!bundle.rootfs().join("x").exists());
}

#[test]
fn root_is_the_only_way_out() {
    let mut bundle = Bundle::new();
    let output =
        bundle.payload("cat /proc/self/mountinfo; ls -d /../../..; ls /proc/1/root/bin | grep -c busybox");
    assert!(output.ends_with("/../../..\n1\n"), "{output}");
    assert_eq!(probe::mounts(&output).iter().filter(|mount| mount.point == "/").count(), 1, "{output}");
    let host = probe::mounts(&output)
        .into_iter()
        .find(|mount| mount.root.contains("..") || mount.point.contains("old"));
    assert_eq!(host, None, "no remains of the old root");
}

#[test]
fn masked_file_reads_as_null() {
    let mut bundle = Bundle::new();
    fs::write(bundle.rootfs().join("etc/secret"), "secret\n").unwrap();
    bundle.push("/linux/maskedPaths", json!("/etc/secret"));
    let output =
        bundle.payload("cat /etc/secret; stat -c '%F %t:%T' /etc/secret /proc/keys /proc/timer_list");
    assert_eq!(output, "character special file 1:3\n".repeat(3));
}

#[test]
fn masked_directory_is_empty_and_read_only() {
    let mut bundle = Bundle::new();
    fs::create_dir_all(bundle.rootfs().join("etc/private/sub")).unwrap();
    bundle.push("/linux/maskedPaths", json!("/etc/private"));
    let script =
        "ls -A /etc/private /sys/firmware | grep -v : ; touch /etc/private/x 2>&1; cat /proc/self/mountinfo";
    let output = bundle.payload(script);
    assert!(output.trim_start().starts_with("touch: /etc/private/x: Read-only file system\n"), "{output}");
    for path in ["/etc/private", "/sys/firmware"] {
        let mount = probe::mount(&output, path);
        assert!(mount.kind == "tmpfs" && mount.has("ro"), "{mount:?}");
    }
}

#[test]
fn masked_directories_share_one_file_system() {
    if skip_on_peer("runc before 1.4 mounts a tmpfs for each") {
        return;
    }
    let mut bundle = Bundle::new();
    fs::create_dir_all(bundle.rootfs().join("etc/private")).unwrap();
    bundle.push("/linux/maskedPaths", json!("/etc/private"));
    let output = bundle.payload("stat -c %d /etc/private /sys/firmware");
    let devices: Vec<&str> = output.lines().collect();
    assert_eq!(devices[0], devices[1]);
}

#[test]
fn l13_masks_share_one_file_system_on_old_kernels_too() {
    if skip_on_peer("its calls are others") {
        return;
    }
    let mut bundle =
        Bundle::sh("stat -c %d /etc/private /etc/other /sys/firmware; touch /etc/other/x 2>&1; true");
    for path in ["/etc/private", "/etc/other"] {
        fs::create_dir_all(bundle.rootfs().join(&path[1..])).unwrap();
        bundle.push("/linux/maskedPaths", json!(path));
    }
    bundle.write_config();
    let wrapper = [
        "strace",
        "-f",
        "-qq",
        "-o",
        "trace",
        "-e",
        "trace=mount_setattr",
        "-e",
        "inject=mount_setattr:error=ENOSYS",
    ];
    let words = ["run", "--bundle", "bundle", &bundle.id];
    let output = bundle.finish(&mut bundle.command_under(&wrapper, &words)).ok().stdout;
    let lines: Vec<&str> = output.lines().collect();
    assert!(lines[0] == lines[1] && lines[1] == lines[2], "{output}");
    assert_eq!(lines[3], "touch: /etc/other/x: Read-only file system");
}

#[test]
fn masked_and_read_only_paths_that_do_not_exist_are_ignored() {
    let mut bundle = Bundle::new();
    bundle.push("/linux/maskedPaths", json!("/no/such")).push("/linux/readonlyPaths", json!("/nor/this"));
    bundle.push("/linux/maskedPaths", json!("/etc/passwd/below"));
    if is_peer() {
        bundle.config["linux"]["maskedPaths"].as_array_mut().unwrap().pop(); // ENOTDIR fails there
    }
    bundle.run().ok();
}

#[test]
fn read_only_path_refuses_writes_and_keeps_its_other_flags() {
    let mut bundle = Bundle::new();
    fs::create_dir(bundle.rootfs().join("data")).unwrap();
    bundle
        .mount("/data", "tmpfs", "tmpfs", &["nosuid", "noatime"])
        .push("/linux/readonlyPaths", json!("/data"));
    let output =
        bundle.payload("echo 1 > /proc/sys/kernel/hostname; touch /data/x; cat /proc/self/mountinfo");
    let mount = probe::mount(&output, "/data");
    assert!(
        mount.has("ro") && mount.has("nosuid") && mount.has("noatime") && !mount.has("noexec"),
        "{mount:?}"
    );
    let present = |path: &&str| fs::exists(path).unwrap();
    for path in
        ["/proc/sys", "/proc/bus", "/proc/irq", "/proc/fs", "/proc/sysrq-trigger"].into_iter().filter(present)
    {
        assert!(probe::mount(&output, path).has("ro"), "{path}");
    }
}

#[test]
fn default_devices_are_there_with_their_numbers_and_modes() {
    let mut bundle = Bundle::new();
    let output = bundle.payload("cd /dev; stat -c '%n %t:%T %a %u:%g' null zero full random urandom tty");
    let expected = [
        "null 1:3 666 0:0",
        "zero 1:5 666 0:0",
        "full 1:7 666 0:0",
        "random 1:8 666 0:0",
        "urandom 1:9 666 0:0",
        "tty 5:0 666 0:0",
    ];
    assert_eq!(output.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn default_devices_work() {
    let mut bundle = Bundle::new();
    let script = "echo x > /dev/null; head -c 4 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c; \
        echo x 2>/dev/null > /dev/full || echo full";
    assert_eq!(bundle.payload(script), "4\n4\nfull\n");
}

#[test]
fn links_in_dev_are_those_of_the_specification() {
    let mut bundle = Bundle::new();
    let output =
        bundle.payload("cd /dev; for l in fd stdin stdout stderr ptmx core; do echo $l=$(readlink $l); done");
    let links = probe::values(&output);
    assert_eq!(links["fd"], "/proc/self/fd");
    assert_eq!(links["stdin"], "/proc/self/fd/0");
    assert_eq!(links["stdout"], "/proc/self/fd/1");
    assert_eq!(links["stderr"], "/proc/self/fd/2");
    assert_eq!(links["ptmx"], "pts/ptmx");
    let kcore = if fs::exists("/proc/kcore").unwrap() { "/proc/kcore" } else { "" };
    assert_eq!(links["core"], kcore);
}

#[test]
fn dev_holds_nothing_else_without_a_terminal() {
    let mut bundle = Bundle::new();
    let output = bundle.payload("ls -1 /dev");
    let mut expected =
        vec!["fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout"];
    expected.extend(["tty", "urandom", "zero"]);
    if fs::exists("/proc/kcore").unwrap() {
        expected.insert(0, "core");
    }
    assert_eq!(output.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn listed_devices_are_made_with_owner_mode_and_directories() {
    let mut bundle = Bundle::new();
    bundle.set(
        "/linux/devices",
        json!([
            { "path": "/dev/deep/er/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 5, "gid": 6 },
            { "path": "/dev/unbuffered", "type": "u", "major": 1, "minor": 5 },
            { "path": "/dev/block", "type": "b", "major": 7, "minor": 200, "fileMode": 0o600 },
            { "path": "/dev/pipe", "type": "p", "fileMode": 0o622 },
            // With the type bits that some clients send along.
            { "path": "/dev/typed", "type": "c", "major": 1, "minor": 9, "fileMode": 0o20_600 }
        ]),
    );
    if is_peer() {
        bundle.config["linux"]["devices"].as_array_mut().unwrap().truncate(4);
    }
    let output = bundle
        .payload("cd /dev; stat -c '%n %F %t:%T %a %u:%g' deep/er/null unbuffered block pipe typed || true");
    let mut expected = vec![
        "deep/er/null character special file 1:3 640 5:6",
        "unbuffered character special file 1:5 666 0:0",
        "block block special file 7:c8 600 0:0",
        "pipe fifo 0:0 622 0:0",
    ];
    if !is_peer() {
        expected.push("typed character special file 1:9 600 0:0");
    }
    assert_eq!(output.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn listed_device_replaces_the_default_of_the_same_path() {
    let mut bundle = Bundle::new();
    let device = json!({ "path": "/dev/zero", "type": "c", "major": 1, "minor": 5, "fileMode": 0o600, "uid": 3, "gid": 4 });
    bundle.set("/linux/devices", json!([device]));
    assert_eq!(bundle.payload("stat -c '%a %u:%g' /dev/zero"), "600 3:4\n");
}

#[test]
fn d9_another_file_in_the_place_of_a_device_stays_and_is_told_of() {
    let mut bundle = Bundle::new();
    bundle.unmount("/dev");
    fs::write(bundle.rootfs().join("dev/zero"), "file\n").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", bundle.rootfs().join("dev/full")).unwrap();
    // The right device, and a pipe that is one, are no surprise.
    mknodat(
        CWD,
        bundle.rootfs().join("dev/null"),
        FileType::CharacterDevice,
        Mode::RUSR | Mode::WUSR,
        makedev(1, 3),
    )
    .unwrap();
    mknodat(CWD, bundle.rootfs().join("dev/pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    bundle.push("/linux/devices", json!({ "path": "/dev/pipe", "type": "p" }));
    bundle.script("cat /dev/zero; readlink /dev/full; stat -c %t:%T /dev/random");
    bundle.write_config();
    let log = bundle.dir.join("log").to_str().unwrap().to_owned();
    let words = ["--debug", "--log", &log, "run", "--bundle", "bundle", &bundle.id];
    assert_eq!(bundle.call(&words).ok().stdout, "file\n/etc/passwd\n1:8\n");
    if !is_peer() {
        let log = fs::read_to_string(&log).unwrap();
        assert!(
            log.contains("make device \\\"/dev/zero\\\" c 1:5 0666: another file is there already"),
            "{log}"
        );
        assert!(
            log.contains("/dev/full") && !log.contains("/dev/null") && !log.contains("/dev/pipe"),
            "{log}"
        );
    }
}

#[test]
fn device_whose_path_another_one_has_says_which() {
    if skip_on_peer("runc says nothing") {
        return;
    }
    let mut bundle = Bundle::sh("stat -c %t:%T /dev/mine /dev/null");
    for (path, minor) in [("/dev/other", 7), ("/dev/mine", 3), ("/dev/mine", 5)] {
        bundle.push("/linux/devices", json!({ "path": path, "type": "c", "major": 1, "minor": minor }));
    }
    let outcome = bundle.run().ok();
    assert_eq!(outcome.stdout, "1:3\n1:3\n");
    let words =
        "linux.devices[2]: make device \"/dev/mine\" c 1:5 0666: that of linux.devices[1] is there already";
    assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
}

#[test]
fn umask_of_the_caller_does_not_take_modes_away() {
    let bundle = Bundle::sh("stat -c %a /dev/null /made /dev/shm");
    let mut config = bundle.config.clone();
    config["mounts"].as_array_mut().unwrap().push(json!({
        "destination": "/made/deep", "type": "tmpfs", "source": "tmpfs", "options": []
    }));
    fs::write(bundle.path().join("config.json"), config.to_string()).unwrap();
    let wrapper = ["sh", "-c", "umask 077; exec \"$@\"", "sh"];
    let words = ["run", "--bundle", "bundle", &bundle.id];
    let output = bundle.finish(&mut bundle.command_under(&wrapper, &words)).ok().stdout;
    let made = if is_peer() { "700" } else { "755" };
    assert_eq!(output, format!("666\n{made}\n1777\n"));
}

#[test]
fn bound_dev_is_left_as_it_is() {
    // L5: no device or link is made in a /dev that comes from outside.
    let mut bundle = Bundle::new();
    fs::create_dir(bundle.dir.join("dev")).unwrap();
    fs::write(bundle.dir.join("dev/mine"), "").unwrap();
    for point in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
        bundle.unmount(point);
    }
    // The standard streams of the test are on /dev/null, and are reopened on the container's own.
    let null = bundle.dir.join("dev/null");
    let mode = Mode::RUSR | Mode::WUSR;
    mknodat(CWD, &null, FileType::CharacterDevice, mode, makedev(1, 3)).unwrap();
    let source = bundle.dir.join("dev");
    bundle.mount("/dev", "none", source.to_str().unwrap(), &["bind"]);
    assert_eq!(bundle.payload("ls -1 /dev"), "mine\nnull\n");
}

#[test]
fn pseudo_file_systems_have_the_configured_flags() {
    let mut bundle = Bundle::new();
    let output = bundle.payload("cat /proc/self/mountinfo");
    for (point, kind, flags) in [
        ("/proc", "proc", &["rw"][..]),
        ("/sys", "sysfs", &["ro", "nosuid", "nodev", "noexec"]),
        ("/dev", "tmpfs", &["nosuid"]),
        ("/dev/pts", "devpts", &["nosuid", "noexec"]),
        ("/dev/shm", "tmpfs", &["nosuid", "nodev", "noexec"]),
        ("/dev/mqueue", "mqueue", &["nosuid", "nodev", "noexec"]),
    ] {
        let mount = probe::mount(&output, point);
        assert_eq!(mount.kind, kind);
        assert!(flags.iter().all(|flag| mount.has(flag)), "{point}: {mount:?}");
    }
}

#[test]
fn cgroup_mount_shows_the_containers_own_cgroup_read_only() {
    let mut bundle = Bundle::new();
    bundle.namespace("cgroup", None);
    bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro", "nosuid", "nodev", "noexec"]);
    // On v2 the one tree is there, on v1 a directory for each hierarchy.
    let (tree, other) = match cgroups::v1("memory") {
        Some(_) => ("/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids"),
        None => ("/sys/fs/cgroup", "/sys/fs/cgroup/cgroup.events"),
    };
    let script = format!("cat {tree}/cgroup.procs; mkdir {tree}/x 2>&1; ls -d {other}");
    let output = bundle.payload(&script);
    assert!(output.starts_with("1\n"), "{output}");
    assert!(output.contains("Read-only file system") && output.ends_with(&format!("{other}\n")), "{output}");
}

#[test]
fn l12_no_pivot_with_a_private_root_is_refused() {
    if skip_on_peer("the words are corten's") {
        return;
    }
    for word in ["private", "rprivate"] {
        let mut bundle = Bundle::new();
        bundle.set("/linux/rootfsPropagation", json!(word));
        bundle.run_with(&["--no-pivot"]).fails(
            "config.json: linux.rootfsPropagation: private is not safe without pivot_root, leave --no-pivot out",
        );
        leaks::assert_nothing_left(&bundle);
    }
}

#[test]
fn l15_mount_label_without_selinux_is_left_out_and_told() {
    if fs::exists("/sys/fs/selinux/enforce").unwrap() || is_peer() {
        return eprintln!("skipped: SELinux is enabled, or it is a peer, of which some refuse it");
    }
    let mut bundle = Bundle::sh("cat /proc/self/mountinfo");
    bundle.set("/linux/mountLabel", json!("system_u:object_r:c_t:s0"));
    let outcome = bundle.run().ok();
    let words =
        "linux.mountLabel: \"system_u:object_r:c_t:s0\" is left out, SELinux is not enabled on this machine";
    assert!(outcome.says().contains(words), "{outcome:#?}");
    assert!(!outcome.stdout.contains("c_t"), "{}", outcome.stdout);
    leaks::assert_nothing_left(&bundle);
}
