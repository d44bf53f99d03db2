//! `features`: the document's shape, its truth, and what callers look for in it.

mod support;

use serde_json::Value;
use std::fs;
use support::{Bundle, is_peer, skip_on_peer};

fn document() -> (String, Value) {
    let bundle = Bundle::new();
    let text = bundle.call(&["features"]).ok().stdout;
    let value = serde_json::from_str(&text).unwrap();
    (text, value)
}

fn words<'a>(value: &'a Value, pointer: &str) -> Vec<&'a str> {
    let list = value.pointer(pointer).and_then(Value::as_array).unwrap_or_else(|| panic!("no {pointer}"));
    list.iter().map(|word| word.as_str().unwrap()).collect()
}

#[test]
fn document_is_indented_by_four_spaces_and_begins_with_the_versions() {
    let (text, value) = document();
    assert!(text.starts_with("{\n    \"ociVersionMin\": \"1.0.0\",\n    \"ociVersionMax\": \"1."), "{text}");
    assert!(text.ends_with("}\n"));
    if !is_peer() {
        assert_eq!(value["ociVersionMax"], "1.3.0");
    }
}

#[test]
fn callers_find_what_they_look_for() {
    // containerd and CRI-O: recursive read-only mounts, and pods with user namespaces.
    let (_, value) = document();
    assert!(words(&value, "/mountOptions").contains(&"rro"));
    assert!(words(&value, "/linux/namespaces").contains(&"user"));
    if !skip_on_peer("runc 1.1 has no idmap") {
        assert_eq!(value.pointer("/linux/mountExtensions/idmap/enabled"), Some(&Value::Bool(true)));
    }
}

#[test]
fn every_member_of_the_specification_is_there_and_no_other() {
    if skip_on_peer("runc 1.1 is older than most members") {
        return;
    }
    let keys = |value: &Value| {
        let mut keys: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys.join(" ")
    };
    let (_, value) = document();
    let linux = &value["linux"];
    for (object, expected) in [
        (
            &value,
            "annotations hooks linux mountOptions ociVersionMax ociVersionMin \
             potentiallyUnsafeConfigAnnotations",
        ),
        (
            linux,
            "apparmor capabilities cgroup intelRdt memoryPolicy mountExtensions namespaces netDevices \
             seccomp selinux",
        ),
        (&linux["cgroup"], "rdma systemd systemdUser v1 v2"),
        (&linux["seccomp"], "actions archs enabled knownFlags operators supportedFlags"),
        (&linux["memoryPolicy"], "flags modes"),
        (&linux["intelRdt"], "enabled monitoring schemata"),
    ] {
        assert_eq!(keys(object), expected);
    }
}

#[test]
fn f3_what_is_built_is_said_to_be() {
    if skip_on_peer("runc 1.1 is older than most members") {
        return;
    }
    let (_, value) = document();
    for enabled in ["/linux/netDevices", "/linux/intelRdt", "/linux/seccomp", "/linux/mountExtensions/idmap"]
    {
        assert_eq!(value.pointer(&format!("{enabled}/enabled")), Some(&Value::Bool(true)), "{enabled}");
    }
    for member in ["v1", "v2", "systemd", "systemdUser", "rdma"] {
        assert_eq!(value["linux"]["cgroup"][member], true, "{member}");
    }
    assert!(words(&value, "/linux/memoryPolicy/modes").contains(&"MPOL_WEIGHTED_INTERLEAVE"));
    assert!(words(&value, "/linux/memoryPolicy/flags").contains(&"MPOL_F_STATIC_NODES"));
    assert_eq!(words(&value, "/potentiallyUnsafeConfigAnnotations"), ["run.corten.default-device-rules"]);
}

#[test]
fn d35_supported_flags_of_seccomp_are_the_kernels() {
    if skip_on_peer("runc 1.1 has no such member") {
        return;
    }
    let (_, value) = document();
    let known = words(&value, "/linux/seccomp/knownFlags");
    assert_eq!(words(&value, "/linux/seccomp/supportedFlags"), known, "this kernel is new enough for all");
    // Where the kernel knows none of them, none is supported.
    let bundle = Bundle::new();
    let wrapper =
        ["strace", "-qq", "-o", "trace", "-e", "trace=seccomp", "-e", "inject=seccomp:error=EINVAL"];
    let text = bundle.finish(&mut bundle.command_under(&wrapper, &["features"])).ok().stdout;
    let old: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(words(&old, "/linux/seccomp/supportedFlags"), Vec::<&str>::new());
    assert_eq!(words(&old, "/linux/seccomp/knownFlags"), known);
}

#[test]
fn document_parses_as_the_types_that_others_use() {
    let (text, _) = document();
    let features: oci_spec::runtime::Features = serde_json::from_str(&text).unwrap();
    assert_eq!(features.oci_version_min(), "1.0.0");
}

#[test]
fn listed_mount_options_and_hooks_are_taken() {
    if skip_on_peer("plan is a verb of corten's own") {
        return;
    }
    let (_, value) = document();
    let mut bundle = Bundle::new();
    for (index, option) in words(&value, "/mountOptions").into_iter().enumerate() {
        if option.contains("idmap") {
            continue; // Needs a bind mount and mappings.
        }
        bundle.mount(&format!("/m{index}"), "tmpfs", "tmpfs", &[option]);
    }
    for hook in words(&value, "/hooks") {
        bundle.push(&format!("/hooks/{hook}"), serde_json::json!({ "path": "/bin/true" }));
    }
    bundle.write_config();
    let plan = bundle.call(&["plan", "--bundle", "bundle"]).ok().stdout;
    for hook in words(&value, "/hooks").into_iter().filter(|hook| hook.starts_with("createC")) {
        assert!(plan.contains(&format!("hooks.{hook}")), "{hook} in {plan}");
    }
}

#[test]
fn capabilities_are_those_of_the_kernel_at_least() {
    let (_, value) = document();
    let last: usize = fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap().trim().parse().unwrap();
    assert!(words(&value, "/linux/capabilities").len() > last);
}

#[test]
fn features_take_no_operand() {
    let bundle = Bundle::new();
    assert_ne!(bundle.call(&["features", "x"]).code, Some(0));
}
