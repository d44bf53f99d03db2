//! The exact message of every rule, over one sound document and a change to it.

use super::{id_maps, valid_id};
use crate::spec::linux::IdMapping;
use crate::spec::samples::judge_with;

/// Judges the document after each change and expects the message.
fn expect_errors(table: &[(&str, &str)]) {
    for (patch, expected) in table {
        let error = judge_with(patch).expect_err(patch).to_string();
        assert_eq!(error, format!("config.json: {expected}"), "{patch}");
    }
}

/// Judges the document after each change and expects just these warnings.
fn expect_warnings(table: &[(&str, &[&str])]) {
    for (patch, expected) in table {
        let warnings = judge_with(patch).unwrap_or_else(|error| panic!("{patch}: {error}")).warnings;
        let expected: Vec<String> =
            expected.iter().map(|warning| format!("config.json: {warning}")).collect();
        assert_eq!(warnings, expected, "{patch}");
    }
}

#[test]
fn ids_name_a_directory() {
    for id in ["web1", "a", "A_b+c.d-e", ".hidden", "...", "-x"] {
        assert!(valid_id(id).is_ok(), "{id}");
    }
    for (id, expected) in [
        ("", r#"invalid container ID format: """#),
        (".", r#"invalid container ID format: ".""#),
        ("..", r#"invalid container ID format: "..""#),
        ("a/b", r#"invalid container ID format: "a/b""#),
        ("a b", r#"invalid container ID format: "a b""#),
        ("ü", r#"invalid container ID format: "ü""#),
        ("a\n", r#"invalid container ID format: "a\n""#),
    ] {
        assert_eq!(valid_id(id).unwrap_err().to_string(), expected);
    }
}

#[test]
fn version_is_only_refused_when_major() {
    expect_errors(&[
        (r#"{"ociVersion": "2.0.0"}"#, r#"ociVersion: "2.0.0" is not supported, only 1.x is"#),
        (r#"{"ociVersion": "10"}"#, r#"ociVersion: "10" is not supported, only 1.x is"#),
    ]);
    expect_warnings(&[
        (r#"{"ociVersion": "1.0.2-dev"}"#, &[]),
        (r#"{"ociVersion": "1.99.0+x"}"#, &[]),
        (r#"{"ociVersion": null}"#, &["ociVersion: missing"]),
        (r#"{"ociVersion": ""}"#, &["ociVersion: missing"]),
        (r#"{"ociVersion": "1"}"#, &[r#"ociVersion: "1" is no version of the form 1.x.y"#]),
        (r#"{"ociVersion": "0.2.0"}"#, &[r#"ociVersion: "0.2.0" is no version of the form 1.x.y"#]),
        (r#"{"ociVersion": "latest"}"#, &[r#"ociVersion: "latest" is no version of the form 1.x.y"#]),
    ]);
}

#[test]
fn root_and_names() {
    let long = "x".repeat(65);
    expect_errors(&[
        (r#"{"root": null}"#, "root.path: missing"),
        (r#"{"root": {"path": ""}}"#, "root.path: missing"),
        (r#"{"hostname": "a", "linux": null}"#, "hostname: needs a uts namespace"),
        (r#"{"domainname": "a", "linux": null}"#, "domainname: needs a uts namespace"),
        (&format!(r#"{{"hostname": "{long}"}}"#), "hostname: longer than 64 bytes"),
    ]);
    expect_warnings(&[
        (r#"{"hostname": "a", "domainname": "b"}"#, &[]),
        (r#"{"linux": null}"#, &[]),
        (r#"{"process": null}"#, &[]),
    ]);
}

#[test]
fn process_rules() {
    expect_errors(&[
        (r#"{"process": {"cwd": null}}"#, "process.cwd: missing"),
        (r#"{"process": {"cwd": "tmp"}}"#, r#"process.cwd: "tmp" is not an absolute path"#),
        (r#"{"process": {"args": null}}"#, "process.args: must not be empty"),
        (r#"{"process": {"env": ["A=", "B"]}}"#, r#"process.env[1]: "B" has no ="#),
        (r#"{"process": {"env": ["=b"]}}"#, r#"process.env[0]: "=b" has no name"#),
        (r#"{"process": {"env": [""]}}"#, r#"process.env[0]: "" has no ="#),
        (r#"{"process": {"user": {"umask": 512}}}"#, "process.user.umask: 512 (01000) is above 0777"),
        (r#"{"process": {"oomScoreAdj": 1001}}"#, "process.oomScoreAdj: 1001 is not between -1000 and 1000"),
        (
            r#"{"process": {"terminal": true, "consoleSize": {"height": 25, "width": 65536}}}"#,
            "process.consoleSize.width: 65536 is above 65535",
        ),
        (
            r#"{"process": {"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 2, "hard": 1}]}}"#,
            "process.rlimits[0]: RLIMIT_NOFILE: the soft limit 2 is above the hard limit 1",
        ),
    ]);
    expect_warnings(&[
        (r#"{"process": {"consoleSize": {"height": 25, "width": 65536}}}"#, &[]),
        (r#"{"process": {"env": ["A=b=c", "A=\nd"]}}"#, &[]),
        (
            r#"{"process": {"rlimits": [{"type": "RLIMIT_CORE", "soft": 0, "hard": 1},
                {"type": "RLIMIT_CPU", "soft": 0, "hard": 1}, {"type": "RLIMIT_CORE", "soft": 1, "hard": 1}]}}"#,
            &["process.rlimits[2]: RLIMIT_CORE is listed twice, the last one counts"],
        ),
        (
            r#"{"process": {"capabilities": {
                "bounding": ["CAP_Z", "CAP_KILL", "CAP_A"], "ambient": ["CAP_Z", "kill"]
            }}}"#,
            &["process.capabilities: ignoring unknown CAP_A, CAP_Z, kill"],
        ),
    ]);
}

#[test]
fn scheduling_rules() {
    expect_errors(&[
        (
            r#"{"process": {"scheduler": {"policy": "SCHED_ISO"}}}"#,
            "process.scheduler.policy: SCHED_ISO is not implemented by Linux",
        ),
        (
            r#"{"process": {"scheduler": {"policy": "SCHED_OTHER", "nice": 20}}}"#,
            "process.scheduler.nice: 20 is not between -20 and 19",
        ),
        (
            r#"{"process": {"scheduler": {"policy": "SCHED_BATCH", "nice": -21}}}"#,
            "process.scheduler.nice: -21 is not between -20 and 19",
        ),
        (
            r#"{"process": {"scheduler": {"policy": "SCHED_FIFO"}}}"#,
            "process.scheduler.priority: 0 is not between 1 and 99, as SCHED_FIFO asks",
        ),
        (
            r#"{"process": {"scheduler": {"policy": "SCHED_RR", "priority": 100}}}"#,
            "process.scheduler.priority: 100 is not between 1 and 99, as SCHED_RR asks",
        ),
        (
            r#"{"process": {"scheduler": {"policy": "SCHED_IDLE", "priority": 1}}}"#,
            "process.scheduler.priority: only SCHED_FIFO and SCHED_RR have one, not SCHED_IDLE",
        ),
        (
            r#"{"process": {"scheduler": {"policy": "SCHED_OTHER", "period": 1}}}"#,
            "process.scheduler.period: only SCHED_DEADLINE has one, not SCHED_OTHER",
        ),
        (
            r#"{"process": {"scheduler": {"policy": "SCHED_RR", "priority": 1, "runtime": 1}}}"#,
            "process.scheduler.runtime: only SCHED_DEADLINE has one, not SCHED_RR",
        ),
        (
            r#"{"process": {"scheduler": {"policy": "SCHED_DEADLINE", "runtime": 3, "deadline": 2}}}"#,
            "process.scheduler: 0 < runtime 3 <= deadline 2 <= period 0 does not hold",
        ),
        (
            r#"{"process": {"ioPriority": {"class": "IOPRIO_CLASS_RT", "priority": 8}}}"#,
            "process.ioPriority.priority: 8 is not between 0 and 7",
        ),
        (
            r#"{"process": {"ioPriority": {"class": "IOPRIO_CLASS_RT", "priority": -1}}}"#,
            "process.ioPriority.priority: -1 is not between 0 and 7",
        ),
        (
            r#"{"linux": {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0",
                "flags": ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"]}}}"#,
            "linux.memoryPolicy.flags: MPOL_F_RELATIVE_NODES and MPOL_F_STATIC_NODES exclude each other",
        ),
        (
            r#"{"linux": {"memoryPolicy": {"mode": "MPOL_INTERLEAVE", "nodes": "0", "flags": ["MPOL_F_NUMA_BALANCING"]}}}"#,
            "linux.memoryPolicy.flags: MPOL_F_NUMA_BALANCING is for MPOL_BIND and MPOL_PREFERRED_MANY, not for MPOL_INTERLEAVE",
        ),
        (
            r#"{"linux": {"memoryPolicy": {"mode": "MPOL_DEFAULT", "nodes": "0"}}}"#,
            "linux.memoryPolicy.nodes: MPOL_DEFAULT takes none",
        ),
        (
            r#"{"linux": {"memoryPolicy": {"mode": "MPOL_LOCAL", "nodes": "0"}}}"#,
            "linux.memoryPolicy.nodes: MPOL_LOCAL takes none",
        ),
        (
            r#"{"linux": {"memoryPolicy": {"mode": "MPOL_LOCAL", "flags": ["MPOL_F_STATIC_NODES"]}}}"#,
            "linux.memoryPolicy.flags: MPOL_F_STATIC_NODES is for nodes, and MPOL_LOCAL has none",
        ),
        (
            r#"{"linux": {"memoryPolicy": {"mode": "MPOL_PREFERRED", "flags": ["MPOL_F_RELATIVE_NODES"]}}}"#,
            "linux.memoryPolicy.flags: MPOL_F_RELATIVE_NODES is for nodes, and MPOL_PREFERRED has none",
        ),
        (
            r#"{"linux": {"memoryPolicy": {"mode": "MPOL_BIND"}}}"#,
            "linux.memoryPolicy.nodes: MPOL_BIND needs at least one",
        ),
        (
            r#"{"linux": {"memoryPolicy": {"mode": "MPOL_WEIGHTED_INTERLEAVE", "nodes": ""}}}"#,
            "linux.memoryPolicy.nodes: MPOL_WEIGHTED_INTERLEAVE needs at least one",
        ),
    ]);
    expect_warnings(&[
        (
            r#"{"process": {"scheduler": {"policy": "SCHED_DEADLINE", "runtime": 1, "deadline": 2, "period": 3}}}"#,
            &[],
        ),
        (r#"{"process": {"scheduler": {"policy": "SCHED_DEADLINE", "runtime": 1, "deadline": 2}}}"#, &[]),
        (r#"{"process": {"scheduler": {"policy": "SCHED_OTHER", "nice": -20}}}"#, &[]),
        (r#"{"linux": {"memoryPolicy": {"mode": "MPOL_PREFERRED"}}}"#, &[]),
        (r#"{"linux": {"memoryPolicy": {"mode": "MPOL_PREFERRED", "nodes": "0"}}}"#, &[]),
    ]);
}

#[test]
fn hook_rules() {
    expect_errors(&[
        (r#"{"hooks": {"prestart": [{}]}}"#, "hooks.prestart[0].path: missing"),
        (
            r#"{"hooks": {"createRuntime": [{"path": "/a"}, {"path": "b"}]}}"#,
            r#"hooks.createRuntime[1].path: "b" is not an absolute path"#,
        ),
        (
            r#"{"hooks": {"createContainer": [{"path": "c"}]}}"#,
            r#"hooks.createContainer[0].path: "c" is not an absolute path"#,
        ),
        (
            r#"{"hooks": {"startContainer": [{"path": "d"}]}}"#,
            r#"hooks.startContainer[0].path: "d" is not an absolute path"#,
        ),
        (
            r#"{"hooks": {"poststart": [{"path": "/e", "timeout": 0}]}}"#,
            "hooks.poststart[0].timeout: 0 is not greater than zero",
        ),
        (
            r#"{"hooks": {"poststop": [{"path": "/f", "timeout": -3}]}}"#,
            "hooks.poststop[0].timeout: -3 is not greater than zero",
        ),
    ]);
}

#[test]
fn namespace_rules() {
    expect_errors(&[
        (
            r#"{"linux": {"namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "pid"}]}}"#,
            r#"linux.namespaces[2]: "pid" is listed twice"#,
        ),
        (
            r#"{"linux": {"namespaces": [{"type": "pid", "path": "proc/1/ns/pid"}]}}"#,
            r#"linux.namespaces[0].path: "proc/1/ns/pid" is not an absolute path"#,
        ),
        (
            r#"{"linux": {"uidMappings": null}}"#,
            "linux.uidMappings: missing, but a new user namespace needs it",
        ),
        (
            r#"{"linux": {"gidMappings": []}}"#,
            "linux.gidMappings: missing, but a new user namespace needs it",
        ),
        (r#"{"linux": {"namespaces": []}}"#, "linux.uidMappings: needs a user namespace"),
        (
            r#"{"linux": {"namespaces": [], "uidMappings": null}}"#,
            "linux.gidMappings: needs a user namespace",
        ),
        (r#"{"linux": {"uidMappings": [{"hostID": 1}]}}"#, "linux.uidMappings[0].size: must not be 0"),
        (
            r#"{"linux": {"uidMappings": [{"hostID": 4294967000, "size": 296}]}}"#,
            "linux.uidMappings[0].hostID: 4294967000 and the 296 ids from it on go beyond 4294967294",
        ),
        (
            r#"{"linux": {"gidMappings": [{"hostID": 0, "size": 5}, {"containerID": 4, "hostID": 9, "size": 1}]}}"#,
            "linux.gidMappings[1]: overlaps with linux.gidMappings[0]",
        ),
        (
            r#"{"linux": {"gidMappings": [{"hostID": 7, "size": 2}, {"containerID": 4, "hostID": 6, "size": 2}]}}"#,
            "linux.gidMappings[1]: overlaps with linux.gidMappings[0]",
        ),
        (
            r#"{"linux": {"namespaces": [{"type": "user"}], "timeOffsets": {"boottime": {}}}}"#,
            "linux.timeOffsets: needs a time namespace",
        ),
        (
            r#"{"linux": {"namespaces": [{"type": "user"}, {"type": "time", "path": "/t"}], "timeOffsets": {"boottime": {}}}}"#,
            "linux.timeOffsets: the time namespace is joined by its path, which has its own",
        ),
        (
            r#"{"linux": {"timeOffsets": {"monotonic": {"nanosecs": 1000000000}}}}"#,
            "linux.timeOffsets.monotonic.nanosecs: 1000000000 is not below 1000000000",
        ),
    ]);
    expect_warnings(&[
        (
            r#"{"linux": {"gidMappings": [{"hostID": 0, "size": 4}, {"containerID": 4, "hostID": 4, "size": 4294967290}]}}"#,
            &[],
        ),
        (
            r#"{"linux": {"namespaces": [{"type": "user", "path": "/proc/9/ns/user"}]}}"#,
            &[
                "linux.uidMappings, linux.gidMappings: the user namespace is joined by its path, and must have these maps",
            ],
        ),
        (
            r#"{"linux": {"namespaces": [{"type": "user", "path": "/u"}], "uidMappings": null, "gidMappings": null}}"#,
            &[],
        ),
    ]);
}

#[test]
fn a_map_has_at_most_340_ranges() {
    let judge = |count: u32| {
        let range = |first| IdMapping { container_id: first, host_id: 1000 + first, size: 1 };
        id_maps::id_map("linux.uidMappings", &(0..count).map(range).collect::<Vec<_>>())
    };
    assert_eq!(judge(340), Ok(()));
    let words = "linux.uidMappings: 341 ranges are more than the kernel's 340";
    assert_eq!(judge(341).unwrap_err().to_string(), words);
}

#[test]
fn mount_rules() {
    expect_errors(&[
        (r#"{"mounts": [{"destination": "/a"}, {"source": "/b"}]}"#, "mounts[1].destination: missing"),
        (
            r#"{"mounts": [{"destination": "/a", "uidMappings": [{"size": 1}]}]}"#,
            "mounts[0].gidMappings: missing, but uidMappings is given",
        ),
        (
            r#"{"mounts": [{"destination": "/a", "gidMappings": [{"size": 1}]}]}"#,
            "mounts[0].uidMappings: missing, but gidMappings is given",
        ),
        (
            r#"{"mounts": [{"destination": "/a", "gidMappings": [{"size": 0}], "uidMappings": [{"size": 1}]}]}"#,
            "mounts[0].gidMappings[0].size: must not be 0",
        ),
        (
            r#"{"linux": null, "mounts": [{"destination": "/a", "options": ["rbind", "ridmap"]}]}"#,
            r#"mounts[0].options: "ridmap" needs uidMappings and gidMappings, or a user namespace"#,
        ),
        (
            r#"{"mounts": [{"destination": "/a", "options": ["bind", "idmap=uids=0-1-10;gids=0-1-10"]}]}"#,
            r#"mounts[0].options: "idmap=uids=0-1-10;gids=0-1-10" is crun's alone; the maps are given as uidMappings and gidMappings"#,
        ),
    ]);
    expect_warnings(&[
        (r#"{"mounts": [{"destination": "/a", "options": ["bind", "idmap"]}]}"#, &[]),
        (
            r#"{"linux": null, "mounts": [
                {"destination": "/a", "options": ["idmap"], "uidMappings": [{"size": 1}], "gidMappings": [{"size": 1}]}
            ]}"#,
            &[],
        ),
        (
            r#"{"mounts": [{"destination": "data"}]}"#,
            &[r#"mounts[0].destination: "data" is not absolute (deprecated), taken as "/data""#],
        ),
    ]);
}

#[test]
fn sysctl_rules() {
    let bare = |name: &str, namespaces: &str| {
        format!(
            r#"{{"linux": {{
                "namespaces": {namespaces}, "uidMappings": null, "gidMappings": null, "sysctl": {{"{name}": "1"}}
            }}}}"#
        )
    };
    for (name, kind) in [
        ("kernel.shmmax", "ipc"),
        ("kernel/shm_rmid_forced", "ipc"),
        ("fs.mqueue.msg_max", "ipc"),
        ("net.ipv4.conf.eno2/100.rp_filter", "network"),
        ("net/ipv4/ip_forward", "network"),
        ("kernel.domainname", "uts"),
        ("user.max_user_namespaces", "user"),
    ] {
        let joined = format!(r#"[{{"type": "{kind}", "path": "/ns"}}]"#);
        assert!(judge_with(&bare(name, &joined)).is_ok(), "{name}");
        let error = judge_with(&bare(name, "[]")).unwrap_err().to_string();
        let what = format!("needs a {kind} namespace, it would change the host");
        assert_eq!(error, format!("config.json: linux.sysctl[{name:?}]: {what}"));
    }
    expect_errors(&[
        (
            r#"{"linux": {"sysctl": {"kernel.core_pattern": "x"}}}"#,
            r#"linux.sysctl["kernel.core_pattern"]: does not belong to a namespace, it would change the host"#,
        ),
        (
            r#"{"linux": {"sysctl": {"kernel.hostname": "x"}}}"#,
            r#"linux.sysctl["kernel.hostname"]: conflicts with the property hostname, use that"#,
        ),
        (
            r#"{"linux": {"sysctl": {"net/../kernel/core_pattern": "x"}}}"#,
            r#"linux.sysctl["net/../kernel/core_pattern"]: is not the name of a kernel parameter"#,
        ),
    ]);
}

#[test]
fn device_and_resctrl_rules() {
    expect_errors(&[
        (r#"{"linux": {"devices": [{"type": "c"}]}}"#, "linux.devices[0].path: missing"),
        (
            r#"{"linux": {"devices": [{"type": "c", "path": "/x", "minor": 3}]}}"#,
            "linux.devices[0].major: missing",
        ),
        (
            r#"{"linux": {"devices": [{"type": "b", "path": "/x", "major": 3}]}}"#,
            "linux.devices[0].minor: missing",
        ),
        (
            r#"{"linux": {"intelRdt": {"closID": "mon_groups"}}}"#,
            r#"linux.intelRdt.closID: "mon_groups" is not the name of a directory"#,
        ),
        (
            r#"{"linux": {"intelRdt": {"closID": "a\nb"}}}"#,
            r#"linux.intelRdt.closID: "a\nb" is not the name of a directory"#,
        ),
        (
            r#"{"linux": {"devices": [{"type": "c", "path": "dev/x"}]}}"#,
            r#"linux.devices[0].path: "dev/x" is not an absolute path"#,
        ),
        (
            r#"{"linux": {"devices": [{"type": "b", "path": "/x", "major": -1}]}}"#,
            "linux.devices[0].major: -1 is not between 0 and 4095",
        ),
        (
            r#"{"linux": {"devices": [{"type": "u", "path": "/x", "major": 1, "minor": 1048576}]}}"#,
            "linux.devices[0].minor: 1048576 is not between 0 and 1048575",
        ),
    ]);
}

#[test]
fn rules_of_the_rest_of_linux() {
    let pid_only = r#""namespaces": [{"type": "pid"}], "uidMappings": null, "gidMappings": null"#;
    expect_errors(&[
        (
            &format!(r#"{{"linux": {{{pid_only}, "maskedPaths": ["/proc/kcore"]}}}}"#),
            "linux.maskedPaths: needs a mount namespace",
        ),
        (
            &format!(r#"{{"linux": {{{pid_only}, "readonlyPaths": ["/proc/sys"]}}}}"#),
            "linux.readonlyPaths: needs a mount namespace",
        ),
        (
            &format!(r#"{{"linux": {{{pid_only}, "netDevices": {{"eth0": {{}}}}}}}}"#),
            "linux.netDevices: needs a network namespace",
        ),
        (
            r#"{"linux": {"maskedPaths": ["/a", "proc/kcore"]}}"#,
            r#"linux.maskedPaths[1]: "proc/kcore" is not an absolute path"#,
        ),
        (
            r#"{"linux": {"readonlyPaths": ["proc"]}}"#,
            r#"linux.readonlyPaths[0]: "proc" is not an absolute path"#,
        ),
        (
            r#"{"linux": {"netDevices": {"a/b": {}}}}"#,
            r#"linux.netDevices["a/b"]: is not the name of a network device"#,
        ),
        (
            r#"{"linux": {"netDevices": {"0123456789abcdef": {}}}}"#,
            r#"linux.netDevices["0123456789abcdef"]: is not the name of a network device"#,
        ),
        (
            r#"{"linux": {"netDevices": {"eth0": {"name": ".."}}}}"#,
            r#"linux.netDevices["eth0"].name: ".." is not the name of a network device"#,
        ),
        (
            r#"{"linux": {"netDevices": {"eth0": {"name": "e%d%d"}}}}"#,
            r#"linux.netDevices["eth0"].name: "e%d%d" is not the name of a network device"#,
        ),
        (
            r#"{"linux": {"netDevices": {"a": {"name": "b"}, "b": {}}}}"#,
            r#"linux.netDevices["b"].name: "b" is also the name of linux.netDevices["a"] in the container"#,
        ),
        (
            r#"{"linux": {"intelRdt": {"closID": ".."}}}"#,
            r#"linux.intelRdt.closID: ".." is not the name of a directory"#,
        ),
        (
            r#"{"linux": {"intelRdt": {"closID": "/a"}}}"#,
            r#"linux.intelRdt.closID: "/a" is not the name of a directory"#,
        ),
        (
            r#"{"linux": {"intelRdt": {"memBwSchema": "L3:0=f"}}}"#,
            r#"linux.intelRdt.memBwSchema: "L3:0=f" does not begin with "MB:""#,
        ),
        (
            r#"{"linux": {"intelRdt": {"memBwSchema": "MB:0=5\nL3:0=f"}}}"#,
            r#"linux.intelRdt.memBwSchema: "MB:0=5\nL3:0=f" is more than one line"#,
        ),
        (
            r#"{"linux": {"intelRdt": {"schemata": ["L2:0=f", "a\nb"]}}}"#,
            r#"linux.intelRdt.schemata[1]: "a\nb" is more than one line"#,
        ),
    ]);
    expect_warnings(&[
        (r#"{"linux": {"devices": [{"type": "p", "path": "/fifo", "major": -1}]}}"#, &[]),
        (r#"{"linux": {"netDevices": {"eth0.100": {"name": "veth%d"}}}}"#, &[]),
        (r#"{"linux": {"intelRdt": {"closID": "/", "l3CacheSchema": "L3CODE:0=f"}}}"#, &[]),
        (
            r#"{"linux": {"personality": {"domain": "LINUX", "flags": ["A", "B"]}}}"#,
            &["linux.personality.flags: ignoring unknown A, B"],
        ),
    ]);
}
