//! config.md: root, hostname, domainname, annotations, what is unknown and what is invalid; the configuration that `spec`
//! writes.

use super::Case;
use crate::play::{Play, bundle};
use crate::runner::skip;
use crate::schema::assert_valid;
use serde_json::{Value, json};
use std::fs;

pub const CASES: &[Case] = &[
    ("config/schema", spec_satisfies_the_schema),
    ("root/required", || drop(bundle(&[]).unset("/root").refused())),
    ("root/path-missing", || drop(bundle(&[]).set("/root/path", json!("nowhere")).refused())),
    ("root/path-is-a-file", root_that_is_a_file),
    ("root/path-relative", relative_root),
    ("root/path-absolute", absolute_root),
    ("root/readonly", read_only_root),
    ("root/writable", writable_root),
    ("hostname", hostname),
    ("domainname", domainname),
    ("annotations/map", || drop(bundle(&[]).set("/annotations", json!(["a", "b"])).refused())),
    ("annotations/keys", annotation_keys),
    ("annotations/values", || {
        drop(bundle(&[]).set("/annotations", json!({ "org.example.number": 7 })).refused())
    }),
    ("annotations/unknown", unknown_annotation),
    ("extensibility/unknown-top", || ignored("/unknownProperty", json!({ "a": [1, 2, 3] }))),
    ("extensibility/unknown-nested", unknown_nested),
    ("valid-values/wrong-type", || drop(bundle(&[]).set("/process/cwd", json!(7)).refused())),
    ("valid-values/not-json", not_json),
    ("valid-values/namespace", || {
        drop(bundle(&[]).push("/linux/namespaces", json!({ "type": "moon" })).refused())
    }),
    ("valid-values/propagation", || {
        drop(bundle(&[]).set("/linux/rootfsPropagation", json!("sideways")).refused())
    }),
    ("valid-values/seccomp-action", invalid_seccomp_action),
    ("valid-values/device-type", invalid_device_type),
];

fn spec_satisfies_the_schema() {
    let bundle = bundle(&[]);
    fs::create_dir(bundle.dir.join("new")).unwrap();
    if bundle.call(&["spec", "--bundle", "new"]).code != Some(0) {
        skip("the runtime writes no configuration");
    }
    let text = fs::read_to_string(bundle.dir.join("new/config.json")).unwrap();
    assert_valid("config-schema.json", &serde_json::from_str::<Value>(&text).unwrap());
}

fn root_that_is_a_file() {
    let mut bundle = bundle(&[]);
    fs::write(bundle.path().join("file"), "").unwrap();
    bundle.set("/root/path", json!("file")).refused();
}

fn relative_root() {
    let mut bundle = bundle(&["stat /probe"]);
    fs::rename(bundle.rootfs(), bundle.path().join("other")).unwrap();
    bundle.set("/root/path", json!("other"));
    assert_eq!(bundle.play().value(0)["kind"], "file");
}

fn absolute_root() {
    let mut bundle = bundle(&["stat /probe"]);
    let elsewhere = bundle.dir.join("elsewhere");
    fs::rename(bundle.rootfs(), &elsewhere).unwrap();
    bundle.set("/root/path", json!(elsewhere));
    assert_eq!(bundle.play().value(0)["kind"], "file");
}

fn read_only_root() {
    let mut bundle = bundle(&["write /new x", "write /tmp/new x", "mkdir /dir"]);
    bundle.set("/root/readonly", json!(true));
    let answers = bundle.play();
    for step in 0..3 {
        assert_eq!(answers.errno(step), libc::EROFS, "{answers:?}");
    }
}

fn writable_root() {
    let mut bundle = bundle(&["write /new x"]);
    bundle.set("/root/readonly", json!(false));
    assert_eq!(bundle.play().errno(0), 0);
    assert!(bundle.rootfs().join("new").exists());
}

fn hostname() {
    let mut bundle = bundle(&["uname"]);
    bundle.set("/hostname", json!("judged.example"));
    assert_eq!(bundle.play().value(0)["node"], "judged.example");
}

fn domainname() {
    let mut bundle = bundle(&["uname"]);
    bundle.set("/domainname", json!("nis.example"));
    assert_eq!(bundle.play().value(0)["domain"], "nis.example");
}

fn annotation_keys() {
    let mut bundle = bundle(&["mark /tmp/up 15"]);
    let keys = json!({ "plain": "1", "com.example/with-slash": "2", "ünï": "3", "with space": "4" });
    bundle.set("/annotations", keys.clone()).create().ok();
    let told = bundle.state()["annotations"].clone();
    bundle.kill_and_delete();
    for (key, value) in keys.as_object().unwrap() {
        assert_eq!(&told[key], value, "{key}");
    }
}

fn unknown_annotation() {
    ignored("/annotations", json!({ "org.opencontainers.unheard.of": "x", "com.example.nobody": "" }));
}

/// The container runs as it does without the property.
#[track_caller]
fn ignored(pointer: &str, value: Value) {
    let mut bundle = bundle(&["report"]);
    bundle.set(pointer, value);
    assert_eq!(bundle.play().value(0)["cwd"], "/");
}

fn unknown_nested() {
    for pointer in [
        "/process/unknown",
        "/linux/unknown",
        "/linux/resources/unknown",
        "/root/unknown",
        "/mounts/0/unknown",
    ] {
        ignored(pointer, json!({ "nested": true }));
    }
}

fn not_json() {
    let bundle = bundle(&[]);
    fs::write(bundle.path().join("config.json"), "{ \"ociVersion\": ").unwrap();
    let outcome = bundle.call(&["create", "--bundle", "bundle", &bundle.id]);
    assert_ne!(outcome.code, Some(0));
    assert!(!outcome.stderr.trim().is_empty());
}

fn invalid_seccomp_action() {
    bundle(&[]).set("/linux/seccomp", json!({ "defaultAction": "SCMP_ACT_SHRUG" })).refused();
}

fn invalid_device_type() {
    let device = json!({ "type": "z", "path": "/dev/odd", "major": 1, "minor": 3 });
    bundle(&[]).push("/linux/devices", device).refused();
}
