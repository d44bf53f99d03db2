//! Bind mounts: the type that does not matter, locked flags, attributes of whole trees, mapped ids.
//!
//! Source: config.md, "Mounts" and "Linux mount options"; mount(8), mount_setattr(2).

mod support;

use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::chown;
use support::probe::Mount;
use support::{Bundle, leaks, probe, skip_on_peer};

/// A bundle that binds the directory `src` of the host at `/m` and shows the container's mounts.
fn bundle_of_source(options: &[&str]) -> Bundle {
    let mut bundle = Bundle::sh("cat /proc/self/mountinfo");
    fs::create_dir(bundle.dir.join("src")).unwrap();
    let source = bundle.dir.join("src").to_str().unwrap().to_owned();
    bundle.mount("/m", "none", &source, options);
    bundle
}

#[test]
fn a10_type_of_a_bind_mount_does_not_matter() {
    for kind in ["none", "bind", "ext4", "tmpfs", ""] {
        let mut bundle = Bundle::new();
        fs::write(bundle.path().join("note"), "bound\n").unwrap();
        bundle.mount("/note", kind, "note", &["bind"]);
        assert_eq!(bundle.payload("cat /note"), "bound\n", "{kind:?}");
    }
    let mut bundle = Bundle::new();
    fs::write(bundle.path().join("note"), "bound\n").unwrap();
    bundle.push("/mounts", json!({ "destination": "/note", "source": "note", "options": ["bind"] }));
    assert_eq!(bundle.payload("cat /note"), "bound\n");
}

#[test]
fn a13_flags_of_the_source_stay_unless_an_option_speaks_of_flags() {
    let prepare = "mount -t tmpfs -o nosuid,nodev,noexec,noatime src src";
    for (options, shown, absent) in [
        (&["bind"][..], &["nosuid", "nodev", "noexec", "noatime", "rw"][..], &[][..]),
        (&["bind", "ro"], &["ro", "noatime"], &["nosuid", "nodev", "noexec"]),
        (&["bind", "exec"], &["rw", "noatime"], &["nosuid", "nodev", "noexec"]),
        (&["bind", "nosuid", "relatime"], &["nosuid", "relatime"], &["nodev", "noexec", "noatime"]),
    ] {
        let bundle = bundle_of_source(options);
        let output = bundle.run_in_private_mounts(prepare).ok().stdout;
        let mount = probe::mount(&output, "/m");
        assert!(shown.iter().all(|flag| mount.has(flag)), "{options:?}: {mount:?}");
        assert!(!absent.iter().any(|flag| mount.has(flag)), "{options:?}: {mount:?}");
    }
}

#[test]
fn a13_locked_flags_stay_and_clearing_one_is_an_error() {
    if skip_on_peer("the words are corten's and runc's since 1.2") {
        return;
    }
    // In a user namespace the flags of the host's mounts are locked.
    let in_user_namespace = |options: &[&str]| {
        let mut bundle = bundle_of_source(options);
        bundle.user_namespace(100_000, 65536);
        let outcome = bundle.run_in_private_mounts("mount -t tmpfs -o nosuid,nodev,noexec src src");
        leaks::assert_nothing_left(&bundle);
        outcome
    };
    for options in [&["bind"][..], &["bind", "ro"], &["bind", "ro", "nosuid"]] {
        let mount = probe::mount(&in_user_namespace(options).ok().stdout, "/m");
        assert!(["nosuid", "nodev", "noexec"].iter().all(|flag| mount.has(flag)), "{options:?}: {mount:?}");
        assert_eq!(mount.has("ro"), options.contains(&"ro"), "{options:?}: {mount:?}");
    }
    in_user_namespace(&["bind", "exec"]).fails("cannot clear locked flags");
    in_user_namespace(&["bind", "ro", "suid"]).fails("cannot clear locked flags");
}

/// The top and the submount of recursive binds: of trees whose mounts both have the flags, with the options.
fn trees(cases: &[(&str, &[&str])]) -> Vec<[Mount; 2]> {
    let mut bundle = Bundle::sh("cat /proc/self/mountinfo");
    let mut prepare = "mkdir src; mount -t tmpfs src src".to_owned();
    for (number, (flags, options)) in cases.iter().enumerate() {
        let source = bundle.dir.join(format!("src/{number}")).to_str().unwrap().to_owned();
        prepare += &format!(
            "; mkdir {source}; mount -t tmpfs top {source}; mkdir {source}/sub; mount -t tmpfs sub {source}/sub; \
            mount -o remount,bind,{flags} {source}/sub; mount -o remount,bind,{flags} {source}"
        );
        bundle.mount(&format!("/m/{number}"), "none", &source, &[&["rbind"], *options].concat());
    }
    let output = bundle.run_in_private_mounts(&prepare).ok().stdout;
    let mount = |number: usize, below: &str| probe::mount(&output, &format!("/m/{number}{below}"));
    (0..cases.len()).map(|number| [mount(number, ""), mount(number, "/sub")]).collect()
}

#[test]
fn a14_recursive_attributes() {
    if skip_on_peer("runc and crun of Debian 12 know some of them alone") {
        return;
    }
    let cases = [
        ("rw", &["rro"][..], "ro", "rw"),
        ("ro", &["rrw"], "rw", "ro"),
        ("rw", &["rnosuid"], "nosuid", ""),
        ("nosuid", &["rsuid"], "", "nosuid"),
        ("rw", &["rnodev"], "nodev", ""),
        ("nodev", &["rdev"], "", "nodev"),
        ("rw", &["rnoexec"], "noexec", ""),
        ("noexec", &["rexec"], "", "noexec"),
        ("rw", &["rnoatime"], "noatime", "relatime"),
        ("noatime", &["ratime"], "relatime", "noatime"),
        ("noatime", &["rrelatime"], "relatime", "noatime"),
        ("noatime", &["rstrictatime"], "", "noatime"),
        ("strictatime", &["rnostrictatime"], "relatime", ""),
        ("noatime", &["rnorelatime"], "noatime", "relatime"),
        ("rw", &["rnodiratime"], "nodiratime", ""),
        ("nodiratime", &["rdiratime"], "", "nodiratime"),
        ("rw", &["rnosymfollow"], "nosymfollow", ""),
        ("nosymfollow", &["rsymfollow"], "", "nosymfollow"),
        // The last word wins, and one flag leaves the others alone.
        ("nosuid", &["rnodev", "rdev"], "nosuid", "nodev"),
        ("noatime", &["rnosuid"], "noatime", "relatime"),
    ];
    for ((flags, options, shown, absent), tree) in
        cases.iter().zip(trees(&cases.map(|case| (case.0, case.1))))
    {
        for mount in tree {
            assert!(shown.is_empty() || mount.has(shown), "{flags} {options:?}: {mount:?}");
            assert!(absent.is_empty() || !mount.has(absent), "{flags} {options:?}: {mount:?}");
        }
    }
}

#[test]
fn a14_plain_options_are_for_the_top_alone() {
    let [top, sub] = trees(&[("rw", &["ro", "nosuid", "noatime"])]).remove(0);
    assert!(top.has("ro") && top.has("nosuid") && top.has("noatime"), "{top:?}");
    assert!(sub.has("rw") && !sub.has("nosuid") && !sub.has("noatime"), "{sub:?}");
}

/// One range of ids.
fn map(container: u32, host: u32, size: u32) -> Value {
    json!([{ "containerID": container, "hostID": host, "size": size }])
}

/// A bundle that shows who owns `/m/file` and `/m/sub/file`; on the host it is 0 and 7.
fn owners(options: &[&str], maps: Option<Value>) -> Bundle {
    let mut bundle = bundle_of_source(options);
    bundle.script("stat -c %u:%g /m/file; stat -c %u:%g /m/sub/file 2>/dev/null");
    if let Some(map) = maps {
        let index = bundle.config["mounts"].as_array().unwrap().len() - 1;
        bundle.set(&format!("/mounts/{index}/uidMappings"), map.clone());
        bundle.set(&format!("/mounts/{index}/gidMappings"), map);
    }
    fs::write(bundle.dir.join("src/file"), "").unwrap();
    bundle
}

/// Runs it with a submount in the source.
fn seen(bundle: &Bundle) -> String {
    let prepare = "mkdir src/sub; mount -t tmpfs sub src/sub; touch src/sub/file";
    bundle.run_in_private_mounts(prepare).stdout
}

#[test]
fn a17_idmap_with_maps_of_its_own() {
    if skip_on_peer("runc 1.1 and crun 1.8 know an older form") {
        return;
    }
    let own = || Some(map(0, 1234, 10));
    assert_eq!(seen(&owners(&["bind", "idmap"], own())), "1234:1234\n");
    assert_eq!(seen(&owners(&["rbind", "idmap"], own())), "1234:1234\n0:0\n", "idmap is for the top alone");
    assert_eq!(seen(&owners(&["rbind", "ridmap"], own())), "1234:1234\n1234:1234\n");
    // Without the option the maps hold as well, for the top alone.
    assert_eq!(seen(&owners(&["rbind"], own())), "1234:1234\n0:0\n");
}

#[test]
fn a17_idmap_with_the_maps_of_the_container() {
    if skip_on_peer("runc 1.1 and crun 1.8 know an older form") {
        return;
    }
    // The container's root is 100000 outside; through the map files of root are its own.
    for (options, expected) in [
        (&["rbind"][..], "65534:65534\n65534:65534\n"),
        (&["rbind", "idmap"], "0:0\n65534:65534\n"),
        (&["rbind", "ridmap"], "0:0\n0:0\n"),
    ] {
        let mut bundle = owners(options, None);
        bundle.user_namespace(100_000, 65536);
        assert_eq!(seen(&bundle), expected, "{options:?}");
    }
}

#[test]
fn a17_idmap_with_the_maps_of_a_joined_user_namespace() {
    if skip_on_peer("runc 1.1 and crun 1.8 know an older form") {
        return;
    }
    let mut bundle = owners(&["bind", "idmap"], None);
    let path = bundle.dir.join("user").to_str().unwrap().to_owned();
    bundle.namespace("user", Some(&path));
    bundle.chown_rootfs(4321);
    // The namespace is kept by a file; its map is not in the configuration.
    let prepare = "touch user; unshare --user sleep 100 & holder=$!; \
        until [ \"$(readlink /proc/$holder/ns/user)\" != \"$(readlink /proc/self/ns/user)\" ]; do sleep 0.01; done; \
        echo 0 4321 10 > /proc/$holder/uid_map; echo 0 4321 10 > /proc/$holder/gid_map; \
        mount --bind /proc/$holder/ns/user user; kill $holder";
    assert_eq!(bundle.run_in_private_mounts(prepare).stdout, "0:0\n");
}

#[test]
fn a17_idmap_writes_back_through_the_map() {
    if skip_on_peer("runc 1.1 and crun 1.8 know an older form") {
        return;
    }
    let mut bundle = owners(&["bind", "idmap"], Some(map(5, 0, 1)));
    chown(bundle.dir.join("src"), Some(5), Some(5)).unwrap();
    bundle.script("touch /m/new; stat -c %u /m/new");
    assert_eq!(bundle.run_in_private_mounts("true").ok().stdout, "0\n");
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(bundle.dir.join("src/new")).unwrap());
    assert_eq!(owner, 5);
}

#[test]
fn a17_map_that_cannot_be_applied_is_an_error() {
    if skip_on_peer("runc 1.1 and crun 1.8 know an older form") {
        return;
    }
    // A procfs has no id-mapped mounts.
    let mut bundle = Bundle::new();
    bundle.mount("/m", "none", "/proc/sys", &["bind", "idmap"]);
    let index = bundle.config["mounts"].as_array().unwrap().len() - 1;
    bundle.set(&format!("/mounts/{index}/uidMappings"), map(0, 1, 1));
    bundle.set(&format!("/mounts/{index}/gidMappings"), map(0, 1, 1));
    bundle.create().fails(&format!("mounts[{index}]: map the ids of /proc/sys"));
    leaks::assert_nothing_left(&bundle);
}
