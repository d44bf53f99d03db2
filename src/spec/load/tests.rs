//! Tests of the reading: leniency, and the exact words and places of what does not parse.

use super::*;
use crate::spec::linux::{NamespaceKind, Propagation};
use crate::spec::samples::{SOUND, changed, judge_with};

fn message(bytes: &[u8]) -> String {
    spec_from(bytes, "config.json").expect_err("should be refused").to_string()
}

#[test]
fn a_sound_document_loads_without_warnings() {
    let Loaded { spec, warnings } = spec_from(SOUND.as_bytes(), "config.json").unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(spec.process.unwrap().args, ["sh"]);
    assert_eq!(spec.root.path, "rootfs");
    assert_eq!(spec.linux.namespaces.len(), NamespaceKind::ALL.len());
    assert_eq!(spec.linux.uid_mappings[0].host_id, 100_000);
}

#[test]
fn null_and_empty_strings_are_absent() {
    let document = r#"{
        "ociVersion": "1.3.0", "root": {"path": "r", "readonly": null}, "hostname": "", "domainname": null,
        "mounts": null, "hooks": null, "annotations": null, "vm": {"x": 1}, "process": null,
        "linux": {
            "namespaces": [{"type": "mount", "path": ""}], "uidMappings": null, "devices": null, "sysctl": null,
            "rootfsPropagation": "", "maskedPaths": null, "cgroupsPath": "", "personality": null, "seccomp": null,
            "timeOffsets": null, "resources": null, "mountLabel": null, "netDevices": null, "intelRdt": null
        }
    }"#;
    let Loaded { spec, warnings } = spec_from(document.as_bytes(), "config.json").unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    assert!(spec.process.is_none() && spec.hostname.is_none() && spec.linux.cgroups_path.is_none());
    assert_eq!(spec.linux.rootfs_propagation, None);
    assert_eq!(spec.linux.namespaces[0].path, None);
}

#[test]
fn every_property_arrives_where_it_belongs() {
    let patch = r#"{
        "hostname": "web", "domainname": "example", "annotations": {"a": "b\u0000"},
        "mounts": [{"destination": "/d", "source": "/s", "type": "none", "options": ["bind", "idmap"],
                    "uidMappings": [{"containerID": 0, "hostID": 1, "size": 2}],
                    "gidMappings": [{"containerID": 3, "hostID": 4, "size": 5}]}],
        "hooks": {"startContainer": [{"path": "/h", "args": ["h"], "env": [], "timeout": 3}]},
        "process": {
            "terminal": true, "consoleSize": {"height": 25, "width": 80}, "noNewPrivileges": true,
            "user": {"uid": 1, "gid": 2, "umask": 63, "additionalGids": [5, 6]},
            "capabilities": {"ambient": ["CAP_KILL"]}, "apparmorProfile": "p", "selinuxLabel": "l",
            "oomScoreAdj": -5, "rlimits": [{"type": "RLIMIT_CORE", "soft": 1, "hard": 18446744073709551615}],
            "scheduler": {"policy": "SCHED_FIFO", "priority": 7, "flags": ["SCHED_FLAG_RESET_ON_FORK"]},
            "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 4},
            "execCPUAffinity": {"initial": "7", "final": "0-3,7"}
        },
        "linux": {
            "devices": [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438, "uid": 1}],
            "netDevices": {"eth0": {"name": "c%d"}}, "cgroupsPath": "/c", "sysctl": {"net.core.somaxconn": "256"},
            "rootfsPropagation": "rslave", "mountLabel": "m", "personality": {"domain": "LINUX32"},
            "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]},
            "intelRdt": {"closID": "g", "l3CacheSchema": "L3:0=f", "memBwSchema": "MB:0=5", "enableMonitoring": true},
            "timeOffsets": {"boottime": {"secs": -3, "nanosecs": 7}}
        }
    }"#;
    let Loaded { spec, warnings } = judge_with(patch).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    let process = spec.process.unwrap();
    assert_eq!((process.user.umask, process.oom_score_adj), (Some(63), Some(-5)));
    assert_eq!(process.user.additional_gids, [5, 6]);
    assert_eq!(process.console_size.map(|size| (size.height, size.width)), Some((25, 80)));
    assert_eq!(process.rlimits[0].hard, u64::MAX);
    assert_eq!(process.exec_cpu_affinity.unwrap().final_.unwrap().mask(), [0b1000_1111]);
    assert_eq!(process.capabilities.unwrap().ambient, ["CAP_KILL"]);
    assert!(process.terminal && process.no_new_privileges && process.io_priority.is_some());
    let mount = &spec.mounts[0];
    assert_eq!((mount.source.as_deref(), mount.type_.as_deref()), (Some("/s"), Some("none")));
    assert_eq!((mount.uid_mappings[0].size, mount.gid_mappings[0].container_id), (2, 3));
    let hook = &spec.hooks.start_container[0];
    assert_eq!((hook.env.as_deref(), hook.timeout), (Some(&[][..]), Some(3)));
    let linux = spec.linux;
    assert_eq!((linux.devices[0].file_mode, linux.devices[0].uid), (Some(438), 1));
    assert_eq!(linux.net_devices["eth0"].name.as_deref(), Some("c%d"));
    assert_eq!(linux.rootfs_propagation, Some(Propagation::RSlave));
    assert_eq!(linux.intel_rdt.unwrap().mem_bw_schema.as_deref(), Some("MB:0=5"));
    assert_eq!(linux.time_offsets.values().map(|offset| offset.secs).collect::<Vec<_>>(), [-3]);
    assert_eq!(linux.memory_policy.unwrap().nodes.unwrap().mask(), [1]);
    assert_eq!(spec.annotations["a"], "b\0");
}

#[test]
fn a_wrong_type_or_word_is_named_with_its_place() {
    for (patch, expected) in [
        (
            r#"{"linux": {"namespaces": [{"type": "pid"}, {"type": "foo"}]}}"#,
            r#"linux.namespaces[1].type: unknown namespace "foo""#,
        ),
        (r#"{"linux": {"namespaces": [{"path": "/x"}]}}"#, "linux.namespaces[0].type: missing"),
        (
            r#"{"linux": {"namespaces": {"type": "pid"}}}"#,
            "linux.namespaces: expected an array, found an object",
        ),
        (
            r#"{"linux": {"rootfsPropagation": "hidden"}}"#,
            r#"linux.rootfsPropagation: unknown mount propagation "hidden""#,
        ),
        (
            r#"{"linux": {"sysctl": {"net.core.somaxconn": 5}}}"#,
            r#"linux.sysctl["net.core.somaxconn"]: expected a string, found 5"#,
        ),
        (
            r#"{"linux": {"sysctl": {"net.\"quoted\"": 5}}}"#,
            r#"linux.sysctl["net.\"quoted\""]: expected a string, found 5"#,
        ),
        (
            r#"{"mounts": [{"destination": "/a"}, {"destination": "/b", "Options": ["ro", 1]}]}"#,
            "mounts[1].options[1]: expected a string, found 1",
        ),
        (
            r#"{"linux": {"timeOffsets": {"realtime": {}}}}"#,
            r#"linux.timeOffsets.realtime: unknown clock "realtime""#,
        ),
        (
            r#"{"linux": {"timeOffsets": {"boottime": {"nanosecs": -1}}}}"#,
            "linux.timeOffsets.boottime.nanosecs: expected an integer from 0 to 4294967295, found -1",
        ),
        (
            r#"{"linux": {"devices": [{"path": "/d", "type": "x"}]}}"#,
            r#"linux.devices[0].type: unknown device type "x""#,
        ),
        (
            r#"{"linux": {"personality": {"domain": "BSD"}}}"#,
            r#"linux.personality.domain: unknown personality domain "BSD""#,
        ),
        (
            r#"{"linux": {"memoryPolicy": {"mode": "MPOL_X"}}}"#,
            r#"linux.memoryPolicy.mode: unknown memory policy mode "MPOL_X""#,
        ),
        (
            r#"{"linux": {"memoryPolicy": {"mode": "MPOL_BIND", "flags": ["MPOL_F_X"]}}}"#,
            r#"linux.memoryPolicy.flags[0]: unknown memory policy flag "MPOL_F_X""#,
        ),
        (
            r#"{"linux": {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "2-1"}}}"#,
            r#"linux.memoryPolicy.nodes: "2-1" in the list "2-1" is no number or range"#,
        ),
        (
            r#"{"linux": {"uidMappings": [{"hostID": 4294967296}]}}"#,
            "linux.uidMappings[0].hostID: expected an integer from 0 to 4294967295, found 4294967296",
        ),
        (
            r#"{"process": {"terminal": "yes"}}"#,
            r#"process.terminal: expected a boolean, found string "yes""#,
        ),
        (r#"{"process": {"args": "sh"}}"#, r#"process.args: expected an array, found string "sh""#),
        (
            r#"{"process": {"user": {"uid": -1}}}"#,
            "process.user.uid: expected an integer from 0 to 4294967295, found -1",
        ),
        (
            r#"{"process": {"user": {"uid": 1.5}}}"#,
            "process.user.uid: expected an integer from 0 to 4294967295, found 1.5",
        ),
        (
            r#"{"process": {"rlimits": [{"type": "RLIMIT_FOO"}]}}"#,
            r#"process.rlimits[0].type: unknown rlimit "RLIMIT_FOO""#,
        ),
        (r#"{"process": {"scheduler": {}}}"#, "process.scheduler.policy: missing"),
        (
            r#"{"process": {"scheduler": {"policy": "SCHED_X"}}}"#,
            r#"process.scheduler.policy: unknown scheduling policy "SCHED_X""#,
        ),
        (
            r#"{"process": {"scheduler": {"policy": "SCHED_RR", "flags": ["X"]}}}"#,
            r#"process.scheduler.flags[0]: unknown scheduler flag "X""#,
        ),
        (
            r#"{"process": {"ioPriority": {"class": "X"}}}"#,
            r#"process.ioPriority.class: unknown I/O priority class "X""#,
        ),
        (
            r#"{"process": {"execCPUAffinity": {"final": "a"}}}"#,
            r#"process.execCPUAffinity.final: "a" in the list "a" is no number or range"#,
        ),
        (r#"{"root": ["rootfs", true]}"#, "root: expected an object, found an array"),
        (r#"{"annotations": {"a": {}}}"#, "annotations.a: expected a string, found an object"),
    ] {
        assert_eq!(message(&changed(SOUND, patch)), format!("config.json: {expected}"), "{patch}");
    }
}

#[test]
fn broken_json_is_named_with_line_and_column() {
    for (document, expected) in [
        ("{\n  \"root\": {,}\n}", "line 2, column 12: key must be a string"),
        ("{\"root\": {}", "line 1, column 11: ends within an object"),
        ("{} x", "line 1, column 4: trailing characters"),
        ("", "line 1, column 0: ends within a value"),
        ("{\"hostname\": \"a\", \"hostname\": \"b\"}", "hostname: given twice"),
        ("[]", "expected an object, found an array"),
    ] {
        assert_eq!(message(document.as_bytes()), format!("config.json: {expected}"), "{document}");
    }
}

#[test]
fn a_nul_is_refused_in_every_string_but_annotations() {
    for (patch, place) in [
        (r#"{"process": {"args": ["sh", "a\u0000b"]}}"#, "process.args[1]"),
        (r#"{"mounts": [{"destination": "/a"}, {"destination": "/a\u0000"}]}"#, "mounts[1].destination"),
        (r#"{"linux": {"sysctl": {"net.a\u0000": "1"}}}"#, r#"linux.sysctl["net.a\0"]"#),
    ] {
        assert_eq!(
            message(&changed(SOUND, patch)),
            format!("config.json: {place}: contains a NUL character")
        );
    }
    let escaped_backslash = r#"{"annotations": {"a": "\u0000"}, "process": {"args": ["sh", "\\u0000"]}}"#;
    assert_eq!(judge_with(escaped_backslash).unwrap().warnings, Vec::<String>::new());
}

#[test]
fn names_that_differ_in_case_are_taken_with_a_warning() {
    let document = r#"{"OCIVersion": "1.0.2", "Root": {"Path": "r"}, "linux": {"UIDMappings": []}, "Annotations": {"Root": ""}}"#;
    let Loaded { spec, mut warnings } = spec_from(document.as_bytes(), "config.json").unwrap();
    assert_eq!((spec.root.path.as_str(), spec.oci_version.as_str()), ("r", "1.0.2"));
    assert_eq!(spec.annotations["Root"], "");
    warnings.sort();
    assert_eq!(
        warnings,
        [
            r#"config.json: the property "Annotations" is taken as "annotations""#,
            r#"config.json: the property "OCIVersion" is taken as "ociVersion""#,
            r#"config.json: the property "Path" is taken as "path""#,
            r#"config.json: the property "Root" is taken as "root""#,
            r#"config.json: the property "UIDMappings" is taken as "uidMappings""#,
        ]
    );
}

#[test]
fn a_process_of_its_own_has_places_of_its_own() {
    let sound = process_from(br#"{"cwd": "/", "args": ["ps"], "user": {"uid": 7}}"#, "process.json").unwrap();
    assert_eq!((sound.process.user.uid, sound.warnings.len()), (7, 0));
    for (document, expected) in [
        (r#"{"cwd": "/", "args": []}"#, "process.json: args: must not be empty"),
        (r#"{"cwd": "/", "args": ["ps"], "user": 7}"#, "process.json: user: expected an object, found 7"),
        (r#"{"cwd": "/", "args": ["p\u0000s"]}"#, "process.json: args[0]: contains a NUL character"),
    ] {
        assert_eq!(process_from(document.as_bytes(), "process.json").unwrap_err().to_string(), expected);
    }
}

#[test]
fn a_missing_file_is_named_with_its_bundle() {
    let missing = Path::new("/nonexistent/bundle");
    let error = load(missing).unwrap_err();
    assert_eq!(error.to_string(), r#"bundle "/nonexistent/bundle": config.json: missing"#);
    assert_eq!(error.errno(), Some(libc::ENOENT));
    assert_eq!(load_file(missing).unwrap_err().to_string(), "/nonexistent/bundle: missing");
    assert_eq!(load_process(missing).unwrap_err().to_string(), "/nonexistent/bundle: missing");
}

#[test]
fn a_bundle_is_read_by_its_directory() {
    let bundle = std::env::temp_dir().join(format!("corten-load-{}", std::process::id()));
    fs::create_dir(&bundle).unwrap();
    fs::write(bundle.join("config.json"), SOUND).unwrap();
    fs::write(bundle.join("other.json"), "{}").unwrap();
    let (whole, other) = (load(&bundle), load_file(&bundle.join("other.json")));
    fs::remove_dir_all(&bundle).unwrap();
    assert_eq!(whole.unwrap().spec.root.path, "rootfs");
    let other = other.unwrap_err().to_string();
    assert_eq!(other, format!("{}: root.path: missing", bundle.join("other.json").display()));
}
