//! Mounts: every option of the specification's table that the kernel shows again, sources, destinations, propagation.
//!
//! Source: config.md, "Linux mount options". Expected flags are read from the container's own `mountinfo`.

mod support;

use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;
use support::canary::Canary;
use support::{Bundle, errno, is_peer, leaks, probe, skip_on_peer};

/// What one list of options makes of a mount: flags that are shown, and flags that are not.
struct Case {
    options: &'static [&'static str],
    shown: &'static [&'static str],
    absent: &'static [&'static str],
    /// Flags of the file system rather than of the mount.
    of_superblock: bool,
}

const fn flags(
    options: &'static [&'static str],
    shown: &'static [&'static str],
    absent: &'static [&'static str],
) -> Case {
    Case { options, shown, absent, of_superblock: false }
}

const fn superblock(
    options: &'static [&'static str],
    shown: &'static [&'static str],
    absent: &'static [&'static str],
) -> Case {
    Case { options, shown, absent, of_superblock: true }
}

const TMPFS: &[Case] = &[
    flags(&[], &["rw", "relatime"], &["nosuid", "nodev", "noexec"]),
    flags(&["ro"], &["ro"], &["rw"]),
    flags(&["ro", "rw"], &["rw"], &["ro"]),
    flags(&["nosuid"], &["nosuid"], &[]),
    flags(&["nosuid", "suid"], &[], &["nosuid"]),
    flags(&["nodev"], &["nodev"], &[]),
    flags(&["nodev", "dev"], &[], &["nodev"]),
    flags(&["noexec"], &["noexec"], &[]),
    flags(&["noexec", "exec"], &[], &["noexec"]),
    flags(&["noatime"], &["noatime"], &["relatime"]),
    flags(&["noatime", "atime"], &["relatime"], &["noatime"]),
    flags(&["relatime"], &["relatime"], &[]),
    flags(&["strictatime"], &[], &["relatime", "noatime"]),
    flags(&["nodiratime"], &["nodiratime"], &[]),
    flags(&["nodiratime", "diratime"], &[], &["nodiratime"]),
    superblock(&["sync"], &["sync"], &[]),
    superblock(&["sync", "async"], &[], &["sync"]),
    superblock(&["dirsync"], &["dirsync"], &[]),
    superblock(&["size=1m"], &["size=1024k"], &[]),
    superblock(&["mode=1711"], &["mode=1711"], &[]),
    superblock(&["nr_inodes=77", "uid=5", "gid=6"], &["nr_inodes=77", "uid=5", "gid=6"], &[]),
    flags(
        &["nosuid", "nodev", "noexec", "ro", "noatime"],
        &["nosuid", "nodev", "noexec", "ro", "noatime"],
        &[],
    ),
];

/// Options that runc 1.1 takes for data of the file system.
const NEW_TMPFS: &[Case] = &[
    flags(&["defaults"], &["rw", "relatime"], &["nosuid", "nodev", "noexec"]),
    flags(&["nosymfollow"], &["nosymfollow"], &[]),
    flags(&["nosymfollow", "symfollow"], &[], &["nosymfollow"]),
    flags(&["noatime", "norelatime"], &["noatime"], &[]),
    flags(&["strictatime", "nostrictatime"], &["relatime"], &[]),
    superblock(&["lazytime"], &["lazytime"], &[]),
    superblock(&["lazytime", "nolazytime"], &[], &["lazytime"]),
    flags(&["silent"], &["rw"], &[]),
    flags(&["silent", "loud"], &["rw"], &[]),
    flags(&["iversion", "noiversion"], &["rw"], &[]),
    flags(&["nomand"], &["rw"], &[]),
];

/// On a bind of a directory that is `rw,relatime`.
const BIND: &[Case] = &[
    flags(&["bind"], &["rw", "relatime"], &["nosuid", "nodev", "noexec"]),
    flags(&["rbind"], &["rw", "relatime"], &["nosuid", "nodev", "noexec"]),
    flags(&["bind", "ro"], &["ro"], &["rw", "nosuid"]),
    flags(&["rbind", "ro"], &["ro"], &["rw"]),
    flags(&["bind", "nosuid", "nodev", "noexec"], &["rw", "nosuid", "nodev", "noexec"], &[]),
    flags(&["bind", "noatime"], &["noatime"], &["relatime"]),
    flags(&["bind", "strictatime"], &[], &["relatime", "noatime"]),
    flags(&["bind", "nodiratime", "ro"], &["nodiratime", "ro"], &[]),
    flags(&["rbind", "rro"], &["ro"], &[]),
    flags(&["rbind", "rnosuid", "rnodev", "rnoexec"], &["nosuid", "nodev", "noexec"], &[]),
    flags(&["rbind", "rnoatime"], &["noatime"], &["relatime"]),
    flags(&["rbind", "rstrictatime"], &[], &["noatime", "relatime"]),
    flags(&["rbind", "rnodiratime"], &["nodiratime"], &[]),
    flags(&["rbind", "rrelatime"], &["relatime"], &[]),
    flags(&["rbind", "ro", "rrw"], &["rw"], &["ro"]),
    flags(&["rbind", "rnosymfollow"], &["nosymfollow"], &[]),
];

/// Mounts every case in one container and compares each with its row.
fn check(cases: &[Case], kind: &str, source: &str) {
    let mut bundle = Bundle::new();
    for (number, case) in cases.iter().enumerate() {
        bundle.mount(&format!("/m/{number}"), kind, source, case.options);
    }
    let output = bundle.payload("cat /proc/self/mountinfo");
    for (number, case) in cases.iter().enumerate() {
        let mount = probe::mount(&output, &format!("/m/{number}"));
        let has = |flag: &&&str| if case.of_superblock { mount.super_has(flag) } else { mount.has(flag) };
        assert!(
            case.shown.iter().all(|flag| has(&flag)),
            "{:?} shows {:?}: {mount:?}",
            case.options,
            case.shown
        );
        assert!(
            !case.absent.iter().any(|flag| has(&flag)),
            "{:?} lacks {:?}: {mount:?}",
            case.options,
            case.absent
        );
    }
}

#[test]
fn tmpfs_has_the_flags_and_data_of_its_options() {
    check(TMPFS, "tmpfs", "tmpfs");
}

#[test]
fn tmpfs_knows_the_newer_options_of_the_table() {
    if skip_on_peer("runc 1.1 passes them to the file system as data") {
        return;
    }
    check(NEW_TMPFS, "tmpfs", "tmpfs");
}

#[test]
fn bind_has_the_flags_of_its_options() {
    let outside = Bundle::new();
    check(BIND, "none", outside.path().to_str().unwrap());
}

/// A bundle that binds `src/`, which holds the mount `src/sub`, at `/m`, and shows both.
fn submounts(options: &[&str]) -> (support::probe::Mount, Option<support::probe::Mount>) {
    let mut bundle = Bundle::sh("cat /proc/self/mountinfo");
    let source = bundle.dir.join("src");
    fs::create_dir_all(source.join("sub")).unwrap();
    bundle.mount("/m", "none", source.to_str().unwrap(), options);
    let output = bundle.run_in_private_mounts("mount -t tmpfs inner src/sub").ok().stdout;
    let sub = probe::mounts(&output).into_iter().rfind(|mount| mount.point == "/m/sub");
    (probe::mount(&output, "/m"), sub)
}

#[test]
fn bind_leaves_submounts_out_and_rbind_takes_them_along() {
    assert!(submounts(&["bind"]).1.is_none());
    assert!(submounts(&["rbind"]).1.is_some());
}

#[test]
fn ro_with_rbind_is_for_the_top_alone_and_rro_for_all() {
    let (top, sub) = submounts(&["rbind", "ro"]);
    assert!(top.has("ro") && sub.unwrap().has("rw"));
    let (top, sub) = submounts(&["rbind", "rro"]);
    assert!(top.has("ro") && sub.unwrap().has("ro"));
}

#[test]
fn recursive_attributes_reach_every_submount() {
    let (_, sub) = submounts(&["rbind", "rnosuid", "rnodev", "rnoexec", "rnoatime", "rnodiratime"]);
    let sub = sub.unwrap();
    for flag in ["nosuid", "nodev", "noexec", "noatime", "nodiratime"] {
        assert!(sub.has(flag), "{flag}: {sub:?}");
    }
}

#[test]
fn propagation_options_apply_after_the_mount() {
    let mut bundle = Bundle::new();
    for name in ["private", "shared", "unbindable", "slave", "rprivate", "rshared", "runbindable", "rslave"] {
        bundle.mount(&format!("/m/{name}"), "tmpfs", "tmpfs", &[name]);
    }
    let output = bundle.payload("cat /proc/self/mountinfo");
    for (name, expected) in [
        ("private", "private"),
        ("rprivate", "private"),
        ("shared", "shared"),
        ("rshared", "shared"),
        ("unbindable", "unbindable"),
        ("runbindable", "unbindable"),
        // There is no master to be a slave of.
        ("slave", "private"),
        ("rslave", "private"),
    ] {
        assert_eq!(probe::mount(&output, &format!("/m/{name}")).propagation(), expected, "{name}");
    }
}

#[test]
fn slave_of_a_shared_source_receives_and_does_not_send() {
    let mut bundle = Bundle::sh("cat /proc/self/mountinfo");
    let source = bundle.dir.join("src");
    fs::create_dir(&source).unwrap();
    bundle.mount("/slave", "none", source.to_str().unwrap(), &["rbind", "rslave"]);
    bundle.mount("/shared", "none", source.to_str().unwrap(), &["rbind", "rshared"]);
    let script = "mount -t tmpfs outer src; mount --make-shared src";
    let mut config = bundle.config.clone();
    config["linux"]["rootfsPropagation"] = json!("rslave");
    bundle.config = config;
    let output = bundle.run_in_private_mounts(script).ok().stdout;
    assert_eq!(probe::mount(&output, "/slave").propagation(), "slave");
    assert!(probe::mount(&output, "/shared").propagation().starts_with("shared"), "{output}");
}

#[test]
fn a15_several_propagation_options_apply_in_their_order() {
    for (options, expected) in
        [(["rbind", "rslave", "rshared"], "shared slave"), (["rbind", "rshared", "rslave"], "slave")]
    {
        let mut bundle = Bundle::sh("cat /proc/self/mountinfo");
        let source = bundle.dir.join("src");
        fs::create_dir(&source).unwrap();
        bundle.mount("/m", "none", source.to_str().unwrap(), &options);
        let output = bundle.run_in_private_mounts("mount -t tmpfs outer src; mount --make-shared src");
        assert_eq!(probe::mount(&output.ok().stdout, "/m").propagation(), expected, "{options:?}");
    }
}

#[test]
fn root_has_the_propagation_that_is_asked_for() {
    for (asked, expected) in [
        ("private", "private"),
        ("rprivate", "private"),
        ("slave", "slave"),
        ("rslave", "slave"),
        ("shared", "shared"),
        ("rshared", "shared"),
        ("unbindable", "unbindable"),
        ("runbindable", "unbindable"),
    ] {
        if is_peer() && (asked.ends_with("shared") || asked.ends_with("unbindable")) {
            continue; // broken in runc before 1.3.1
        }
        let mut bundle = Bundle::sh("cat /proc/self/mountinfo");
        bundle.set("/linux/rootfsPropagation", json!(asked));
        let output = bundle.run_in_private_mounts("mount --make-rshared /").ok().stdout;
        assert!(probe::mount(&output, "/").propagation().contains(expected), "{asked}: {output}");
    }
}

#[test]
fn bind_of_a_file_makes_its_destination_a_file() {
    let mut bundle = Bundle::new();
    let source = bundle.dir.join("note");
    fs::write(&source, "from the host\n").unwrap();
    bundle.mount("/etc/deep/note", "none", source.to_str().unwrap(), &["bind", "ro"]);
    assert_eq!(
        bundle.payload("cat /etc/deep/note; echo x 2>/dev/null >/etc/deep/note || echo ro"),
        "from the host\nro\n"
    );
}

#[test]
fn relative_source_is_below_the_bundle() {
    let mut bundle = Bundle::new();
    fs::write(bundle.path().join("note"), "in the bundle\n").unwrap();
    bundle.mount("/note", "none", "note", &["bind"]);
    assert_eq!(bundle.payload("cat /note"), "in the bundle\n");
}

#[test]
fn relative_destination_is_below_the_root() {
    // D21
    let mut bundle = Bundle::new();
    bundle.mount("m/n", "tmpfs", "tmpfs", &["size=4k"]);
    assert!(probe::mount(&bundle.payload("cat /proc/self/mountinfo"), "/m/n").super_has("size=4k"));
}

#[test]
fn mounts_are_made_in_their_order() {
    // The second uses what the first brought, the third covers the first.
    let mut bundle = Bundle::new();
    fs::create_dir_all(bundle.path().join("src/inner")).unwrap();
    bundle.mount("/a", "none", "src", &["bind"]);
    bundle.mount("/a/inner", "tmpfs", "second", &["size=4k"]);
    bundle.mount("/b", "tmpfs", "hidden", &["size=4k"]);
    bundle.mount("/b", "tmpfs", "visible", &["size=8k"]);
    let output = bundle.payload("cat /proc/self/mountinfo");
    assert_eq!(probe::mount(&output, "/a/inner").kind, "tmpfs");
    assert!(probe::mount(&output, "/b").super_has("size=8k"));
}

#[test]
fn symlinks_in_a_destination_are_resolved_inside_the_root() {
    let mut bundle = Bundle::new();
    let canary = Canary::new(&bundle.dir, "canary");
    symlink(canary.path(), bundle.rootfs().join("link")).unwrap();
    symlink("../../../../../../..", bundle.rootfs().join("up")).unwrap();
    bundle.mount("/link/new", "tmpfs", "tmpfs", &["size=4k"]);
    bundle.mount("/up/tmp", "tmpfs", "tmpfs", &["size=8k"]);
    bundle.mount("/../../../inside", "tmpfs", "tmpfs", &["size=12k"]);
    let output = bundle.payload("cat /proc/self/mountinfo");
    assert!(probe::mount(&output, &format!("{}/new", canary.path())).super_has("size=4k"));
    assert!(probe::mount(&output, "/tmp").super_has("size=8k"));
    assert!(probe::mount(&output, "/inside").super_has("size=12k"));
    canary.assert_unchanged();
}

#[test]
fn missing_bind_source_fails_by_name_and_leaves_nothing() {
    let mut bundle = Bundle::new();
    bundle.mount("/m", "none", "/no/such/source", &["bind"]);
    let said = bundle.create().fails(errno::missing()).says();
    assert!(said.contains("/no/such/source"), "{said}");
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn tmpcopyup_fills_the_tmpfs_with_what_it_covers() {
    let mut bundle = Bundle::new();
    fs::create_dir_all(bundle.rootfs().join("data/sub")).unwrap();
    fs::write(bundle.rootfs().join("data/sub/file"), "kept\n").unwrap();
    bundle.mount("/data", "tmpfs", "tmpfs", &["tmpcopyup", "size=1m"]);
    let output =
        bundle.payload("cat /data/sub/file; echo new > /data/sub/file; grep ' /data ' /proc/self/mountinfo");
    assert!(output.starts_with("kept\n") && output.contains("tmpfs"), "{output}");
    assert_eq!(fs::read_to_string(bundle.rootfs().join("data/sub/file")).unwrap(), "kept\n");
}

#[test]
fn tmpfs_takes_over_the_mode_of_an_existing_directory() {
    // A18
    let mut bundle = Bundle::new();
    fs::create_dir(bundle.rootfs().join("sticky")).unwrap();
    fs::set_permissions(bundle.rootfs().join("sticky"), std::os::unix::fs::PermissionsExt::from_mode(0o1777))
        .unwrap();
    bundle.mount("/sticky", "tmpfs", "tmpfs", &[]).mount("/made", "tmpfs", "tmpfs", &["mode=700"]);
    assert_eq!(bundle.payload("stat -c %a /sticky /made"), "1777\n700\n");
}

#[test]
fn d19_values_for_file_systems_are_left_out_of_a_bind_and_told() {
    let mut bundle = Bundle::sh("grep -c ' /m ' /proc/self/mountinfo");
    bundle.mount("/m", "none", "rootfs", &["bind", "size=4k", "mode=755"]);
    let outcome = bundle.run().ok();
    assert_eq!(outcome.stdout, "1\n");
    let told = outcome.says().contains("mounts[6].options: \"size=4k,mode=755\" is left out");
    assert!(told || is_peer(), "{outcome:#?}");
}

#[test]
fn d19_a_word_on_a_bind_that_nobody_knows_is_an_error() {
    // It may be a flag that was misspelt: the volume would come out executable.
    let mut bundle = Bundle::new();
    bundle.mount("/m", "none", "rootfs", &["bind", "noexce"]);
    let outcome = bundle.create();
    if is_peer() && outcome.code == Some(0) {
        bundle.delete().ok(); // since runc 1.2
        return;
    }
    outcome.fails("bind mounts cannot have any filesystem-specific options applied");
}

#[test]
fn mount_table_of_the_caller_is_unchanged_to_the_letter() {
    mount_table_of_the_caller_stays(&Bundle::sleeper());
}

#[test]
fn mount_table_of_the_caller_is_unchanged_by_a_container_that_shares_its_root() {
    // To detach the old root, which is the caller's peer, must not detach what is mounted on the caller's.
    let mut bundle = Bundle::sleeper();
    bundle.set("/linux/rootfsPropagation", json!("rshared"));
    mount_table_of_the_caller_stays(&bundle);
}

#[test]
fn mount_in_a_shared_bind_mount_is_seen_outside() {
    // A volume with the propagation Bidirectional, as drivers of storage have it in Kubernetes.
    let mut bundle = Bundle::sleeper();
    fs::create_dir_all(bundle.dir.join("src/in")).unwrap();
    let source = bundle.dir.join("src").to_str().unwrap().to_owned();
    bundle.mount("/volume", "none", &source, &["rbind", "rshared"]);
    bundle.set("/linux/rootfsPropagation", json!("rshared"));
    bundle.set(
        "/process/args",
        json!(["sh", "-c", "mount -t tmpfs inside /volume/in; cat /proc/self/mountinfo"]),
    );
    let capabilities = json!(["CAP_SYS_ADMIN"]);
    for set in ["bounding", "effective", "permitted"] {
        bundle.set(&format!("/process/capabilities/{set}"), capabilities.clone());
    }
    bundle.write_config();
    let script =
        "mount --bind src src; mount --make-shared src; \"$@\"; grep -c '/src/in ' /proc/self/mountinfo";
    let wrapper = support::runtime::private_mounts(script);
    let output = bundle
        .finish(&mut bundle.command_under(&wrapper, &["run", "--bundle", "bundle", &bundle.id]))
        .ok()
        .stdout;
    assert!(probe::mount(&output, "/volume").propagation().starts_with("shared"), "{output}");
    assert!(output.ends_with("\n1\n"), "{output}");
}

fn mount_table_of_the_caller_stays(bundle: &Bundle) {
    // Everything shared, so whatever the runtime mounts before it has left the namespace would come back; but not with the
    // host, where other tests mount.
    let script = "mount --make-rshared /; cat /proc/self/mountinfo > before; \
        \"$@\" create --bundle bundle --pid-file pid $ID </dev/null >/dev/null; cat /proc/self/mountinfo > created; \
        \"$@\" start $ID; cat /proc/self/mountinfo > started; \
        \"$@\" delete --force $ID; cat /proc/self/mountinfo > after";
    bundle.write_config();
    let wrapper = support::runtime::private_mounts(script);
    bundle.finish(bundle.command_under(&wrapper, &[]).env("ID", &bundle.id)).ok();
    let table = |name: &str| fs::read_to_string(bundle.dir.join(name)).unwrap();
    for name in ["created", "started", "after"] {
        assert_eq!(table(name), table("before"), "{name}");
    }
}

#[test]
fn no_pivot_shows_the_containers_root_alone() {
    let mut bundle = Bundle::sh("ls -d /bin; ls -d /home /usr 2>/dev/null; true");
    bundle.set("/root/readonly", json!(true));
    assert_eq!(bundle.run_with(&["--no-pivot"]).ok().stdout, "/bin\n");
}

#[test]
fn a8_mount_on_the_root_becomes_the_root() {
    // D20: runc refuses it since 1.3.3.
    let mut bundle = Bundle::new();
    let source = bundle.rootfs().to_str().unwrap().to_owned();
    let mounts = bundle.config["mounts"].as_array().unwrap().clone();
    // First: what follows must land in it, and be there after the pivot.
    let overlay =
        json!({ "destination": "/", "type": "none", "source": source, "options": ["rbind", "nosuid"] });
    bundle.set("/mounts", json!([&[overlay], mounts.as_slice()].concat()));
    let output = bundle.payload("cat /proc/self/mountinfo");
    assert!(probe::mount(&output, "/").has("nosuid"), "{output}");
    for point in ["/proc", "/dev", "/dev/pts", "/sys"] {
        probe::mount(&output, point);
    }
    bundle.set("/root/readonly", json!(true));
    let output = bundle.payload("touch /x 2>&1; touch /dev/x && echo dev; cat /proc/self/mountinfo");
    assert!(output.contains("Read-only file system\ndev\n"), "{output}");
    assert!(probe::mount(&output, "/").has("ro") && probe::mount(&output, "/").has("nosuid"));
}

#[test]
fn a8_tmpfs_on_the_root_may_copy_it_up() {
    if skip_on_peer("runc 1.1 copies nothing on the root") {
        return;
    }
    let mut bundle = Bundle::new();
    let mounts = bundle.config["mounts"].as_array().unwrap().clone();
    let root = json!({ "destination": "/", "type": "tmpfs", "source": "root", "options": ["tmpcopyup", "mode=755"] });
    bundle.set("/mounts", json!([&[root], mounts.as_slice()].concat()));
    let output = bundle.payload("touch /fleeting; cat /proc/self/mountinfo");
    assert_eq!(probe::mount(&output, "/").kind, "tmpfs");
    assert!(!bundle.rootfs().join("fleeting").exists(), "the image stays as it is");
}

#[test]
fn a9_bind_needs_a_source() {
    let mut bundle = Bundle::new();
    bundle.push("/mounts", json!({ "destination": "/m", "type": "bind", "options": ["bind"] }));
    if !is_peer() {
        bundle.create().fails("mounts[6].source: a bind mount needs a source");
    }
}

#[test]
fn file_system_on_a_file_and_bind_without_its_option_are_explained() {
    if skip_on_peer("it has other words") {
        return;
    }
    let mut bundle = Bundle::new();
    fs::write(bundle.rootfs().join("file"), "").unwrap();
    bundle.mount("/file", "tmpfs", "tmpfs", &[]);
    bundle.create().fails("mounts[6]: mount tmpfs on \"/file\": target: not a directory");
    bundle.unmount("/file").mount("/m", "bind", "/tmp", &["ro"]);
    bundle.create().fails(
        "no such device\n  hint: it is the option bind, or rbind, that makes a bind mount; the type does not",
    );
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn a12_unknown_option_goes_to_the_file_system_whose_words_are_told() {
    if skip_on_peer("it tells the errno alone") {
        return;
    }
    let mut bundle = Bundle::new();
    bundle.mount("/m", "tmpfs", "tmpfs", &["weather=fair"]);
    bundle.create().fails("Unknown parameter 'weather': invalid argument");
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn a16_tmpcopyup_follows_a_symlink_inside_the_root() {
    if skip_on_peer("runc 1.1 mounts over the link") {
        return;
    }
    let mut bundle = Bundle::new();
    let canary = Canary::new(&bundle.dir, "canary");
    let inside = bundle.rootfs().join(canary.path().trim_start_matches('/'));
    fs::create_dir_all(inside.join("sub")).unwrap();
    fs::write(inside.join("sub/file"), "inside\n").unwrap();
    symlink("sub/file", inside.join("link")).unwrap();
    symlink(canary.path(), bundle.rootfs().join("data")).unwrap();
    bundle.mount("/data", "tmpfs", "tmpfs", &["tmpcopyup", "ro"]);
    let script = "cat /data/sub/file; readlink /data/link; touch /data/x 2>&1; cat /proc/self/mountinfo";
    let output = bundle.payload(script);
    assert!(output.starts_with("inside\nsub/file\ntouch: /data/x: Read-only file system\n"), "{output}");
    assert_eq!(probe::mount(&output, canary.path()).kind, "tmpfs");
    canary.assert_unchanged();
}

#[test]
fn a16_tmpcopyup_keeps_owners_modes_and_links() {
    if skip_on_peer("runc 1.1 keeps less") {
        return;
    }
    let mut bundle = Bundle::new();
    let data = bundle.rootfs().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("suid"), "x").unwrap();
    std::os::unix::fs::chown(data.join("suid"), Some(11), Some(12)).unwrap();
    let mode = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
    fs::set_permissions(data.join("suid"), mode(0o4751)).unwrap();
    fs::set_permissions(&data, mode(0o1770)).unwrap();
    symlink("nowhere", data.join("dangling")).unwrap();
    bundle.mount("/data", "tmpfs", "tmpfs", &["tmpcopyup"]);
    let output = bundle.payload("stat -c '%a %u:%g' /data /data/suid; readlink /data/dangling");
    assert_eq!(output, "1770 0:0\n4751 11:12\nnowhere\n");
}

#[test]
fn a16_tmpcopyup_leaves_the_kernels_file_systems_empty() {
    if skip_on_peer("runc 1.1 copies nothing on the root") {
        return;
    }
    let mut bundle = Bundle::new();
    bundle.mount("/", "tmpfs", "tmpfs", &["tmpcopyup"]);
    assert_eq!(bundle.payload("ls -A /proc /sys; ls -d /bin/busybox"), "/proc:\n\n/sys:\n/bin/busybox\n");
}

#[test]
fn a21_nothing_is_mounted_that_is_not_listed() {
    let mut bundle = Bundle::new();
    bundle.set("/mounts", json!([{ "destination": "/proc", "type": "proc", "source": "proc" }]));
    bundle.set("/linux/maskedPaths", json!([])).set("/linux/readonlyPaths", json!([]));
    let output = bundle.payload("cat /proc/self/mountinfo");
    let points: Vec<String> = probe::mounts(&output).into_iter().map(|mount| mount.point).collect();
    assert_eq!(points, ["/", "/proc"], "{output}");
}

#[test]
fn a18_tmpfs_on_a_new_directory_has_its_own_mode() {
    let mut bundle = Bundle::new();
    bundle.mount("/new", "tmpfs", "tmpfs", &[]);
    assert_eq!(bundle.payload("stat -c %a /new"), "1777\n");
}
