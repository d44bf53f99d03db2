//! What a `config.json` may look like: versions, properties that nobody knows, sections for other platforms, spelling.
//!
//! Source: config.md, "Specification version", "Extensibility", "Valid values", "Platform-specific configuration".

mod support;

use serde_json::json;
use std::fs;
use support::{Bundle, is_peer, leaks, skip_on_peer};

/// What `run` warns of, as it stands on stderr.
fn warnings(bundle: &Bundle) -> String {
    bundle.run().ok().stderr
}

#[test]
fn a1_version_is_refused_only_when_it_is_a_later_major() {
    if skip_on_peer("runc and crun never look at it, or know those of their time alone") {
        return;
    }
    for (version, warning) in [
        ("1.0.2-dev", ""),
        ("1.3.0", ""),
        ("1.99.7+build", ""),
        ("", "warning: config.json: ociVersion: missing\n"),
        ("one", "warning: config.json: ociVersion: \"one\" is no version of the form 1.x.y\n"),
    ] {
        let mut bundle = Bundle::new();
        bundle.set("/ociVersion", json!(version));
        assert_eq!(warnings(&bundle), warning, "{version}");
    }
    let mut bundle = Bundle::new();
    bundle.set("/ociVersion", json!("2.0.0"));
    bundle.create().fails("config.json: ociVersion: \"2.0.0\" is not supported, only 1.x is");
    bundle.unset("/ociVersion");
    assert_eq!(warnings(&bundle), "warning: config.json: ociVersion: missing\n");
}

#[test]
fn a2_unknown_properties_are_ignored() {
    let mut bundle = Bundle::new();
    for pointer in [
        "/novel",
        "/process/novel",
        "/root/novel",
        "/linux/novel",
        "/mounts/0/novel",
        "/linux/resources/novel",
    ] {
        bundle.set(pointer, json!({ "deep": [1, { "er": null }] }));
    }
    bundle.set("/linux/resources/memory", json!({ "novel": -5 }));
    assert_eq!(bundle.payload("echo ran"), "ran\n");
    if !is_peer() {
        assert_eq!(warnings(&bundle), "");
    }
}

#[test]
fn f5_f6_sections_of_other_platforms_are_ignored() {
    let mut bundle = Bundle::new();
    bundle
        .set("/vm", json!({ "kernel": { "path": "/none" }, "hwConfig": { "vcpus": 2, "memory": 1 << 30 } }));
    bundle.set("/windows", json!({ "layerFolders": [], "cpu": "not what Linux has" }));
    bundle.set("/solaris", json!({ "limitpriv": "default" }));
    bundle.set("/freebsd", json!({ "jail": { "host": "new" }, "devices": [{ "path": "pf" }] }));
    bundle.set("/zos", json!({ "namespaces": [{ "type": "nothing" }] }));
    assert_eq!(bundle.payload("echo ran"), "ran\n");
}

#[test]
fn d8_device_rule_without_access_means_every_access() {
    if skip_on_peer("runc wants it written out") {
        return;
    }
    // The specification lets it be left out.
    let mut bundle = Bundle::new();
    bundle.set("/linux/resources/devices", json!([{ "allow": false }]));
    assert_eq!(bundle.payload("echo ran >/dev/null; echo ran"), "ran\n");
}

#[test]
fn d32_keys_in_another_case_are_taken_with_a_warning() {
    let mut bundle = Bundle::sh("umask; hostname");
    bundle.set("/process/User", json!({ "uid": 0, "gid": 0, "UMASK": 0o77 })).unset("/process/user");
    bundle.unset("/hostname").set("/HostName", json!("case"));
    let outcome = bundle.run().ok();
    assert_eq!(outcome.stdout, "0077\ncase\n");
    if !is_peer() {
        let mut lines: Vec<&str> = outcome.stderr.lines().collect();
        lines.sort_unstable();
        let line = |from: &str, to: &str| {
            format!("warning: config.json: the property \"{from}\" is taken as \"{to}\"")
        };
        assert_eq!(lines, [line("HostName", "hostname"), line("UMASK", "umask"), line("User", "user")]);
    }
}

#[test]
fn a4_root_path_is_absolute_or_below_the_bundle() {
    let mut bundle = Bundle::sh("cat /marker");
    fs::write(bundle.rootfs().join("marker"), "root\n").unwrap();
    let absolute = bundle.rootfs().to_str().unwrap().to_owned();
    for path in [absolute.as_str(), "rootfs", "./rootfs/"] {
        bundle.set("/root/path", json!(path));
        assert_eq!(bundle.run().ok().stdout, "root\n", "{path}");
    }
    for path in ["absent", "config.json"] {
        bundle.set("/root/path", json!(path));
        bundle.create().fails("");
        leaks::assert_nothing_left(&bundle);
    }
}

#[test]
fn a5_read_only_root_keeps_the_other_flags_of_its_mount() {
    let mut bundle = Bundle::sh("cat /proc/self/mountinfo");
    bundle.set("/root/readonly", json!(true));
    bundle.mount("/tmp", "tmpfs", "tmpfs", &[]);
    bundle.write_config();
    let script = "mount --bind bundle/rootfs bundle/rootfs; mount -o remount,bind,nosuid,nodev,noatime bundle/rootfs; \
        exec \"$@\"";
    let wrapper = support::runtime::private_mounts(script);
    let words = ["run", "--bundle", "bundle", &bundle.id];
    let output = bundle.finish(&mut bundle.command_under(&wrapper, &words)).ok().stdout;
    let root = support::probe::mount(&output, "/");
    assert!(["ro", "nosuid", "nodev", "noatime"].iter().all(|flag| root.has(flag)), "{root:?}");
    assert!(support::probe::mount(&output, "/tmp").has("rw"), "{output}");
}
