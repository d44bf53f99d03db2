//! Tables of conversions and golden plans.

use super::v2::{io_weight_of, weight_of};
use super::*;
use crate::host::cgroup::Hierarchy;

fn hierarchy(controllers: &[&str], mount: &str, own: &str, unified: bool) -> Hierarchy {
    let controllers = controllers.iter().map(|&name| name.to_owned()).collect();
    Hierarchy { controllers, mount: format!("/sys/fs/cgroup{mount}"), own: own.to_owned(), unified }
}

fn v1() -> Cgroups {
    let names = [
        "cpu", "cpuset", "memory", "devices", "freezer", "pids", "blkio", "hugetlb", "rdma", "net_cls",
        "net_prio",
    ];
    let hierarchies = names.map(|name| hierarchy(&[name], &format!("/{name}"), "/own", false)).to_vec();
    Cgroups { mode: Mode::V1, hierarchies }
}

fn hybrid() -> Cgroups {
    let hierarchies = vec![
        hierarchy(&["name=systemd"], "/systemd", "/", false),
        hierarchy(&["memory"], "/memory", "/process_api/16e6", false),
        hierarchy(&["devices"], "/devices", "/", false),
        hierarchy(&["cpuset"], "/cpuset", "/", false),
        hierarchy(&[], "/unified", "/", true),
    ];
    Cgroups { mode: Mode::Hybrid, hierarchies }
}

fn v2() -> Cgroups {
    let controllers = ["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma"];
    let own = "/user.slice/session-1.scope";
    Cgroups { mode: Mode::V2, hierarchies: vec![hierarchy(&controllers, "", own, true)] }
}

fn none() -> Cgroups {
    Cgroups { mode: Mode::None, hierarchies: vec![] }
}

static NO_ANNOTATIONS: BTreeMap<String, String> = BTreeMap::new();

fn request<'a>(resources: &'a Resources, cgroups_path: Option<&'a str>) -> Request<'a> {
    Request {
        resources,
        cgroups_path,
        id: "web1",
        systemd: None,
        annotations: &NO_ANNOTATIONS,
        rootless: false,
        default_devices: true,
        owner: None,
    }
}

fn parse(resources: &str) -> Resources {
    serde_json::from_str(resources).expect("resources")
}

/// The limits as text, `file=value` in order, then the warnings; or the error.
fn limits_of(resources: &str, host: &Cgroups) -> String {
    let resources = parse(resources);
    let plan = match decide(&Request { rootless: true, ..request(&resources, None) }, host) {
        Ok(plan) => plan,
        Err(error) => return format!("error: {error}"),
    };
    let writes = plan.writes.iter().map(|write| {
        let write_text = format!("{}={}", write.file, write.value);
        match &write.missing {
            Missing::Fail => write_text,
            Missing::Ignore => format!("{write_text}?"),
            Missing::Instead { file, value } => format!("{write_text}|{file}={value}"),
        }
    });
    writes
        .chain(plan.warnings.iter().map(|warning| format!("warning: {warning}")))
        .collect::<Vec<_>>()
        .join("; ")
}

#[test]
fn shares_become_weights_by_the_new_formula() {
    for (shares, weight) in [
        (1, 1),
        (2, 1),
        (3, 2),
        (10, 4),
        (102, 17),
        (512, 59),
        (1024, 100),
        (2048, 174),
        (4096, 303),
        (100_000, 4_340),
        (262_143, 10_000),
        (262_144, 10_000),
        (u64::MAX, 10_000),
    ] {
        assert_eq!(weight_of(shares), weight, "{shares} shares");
    }
}

#[test]
fn bfq_weights_become_io_weights() {
    for (bfq, io) in [(10, 1), (100, 910), (500, 4950), (1000, 10_000)] {
        assert_eq!(io_weight_of(bfq), io, "weight {bfq}");
    }
}

/// Each row: resources, what v1 writes, what v2 writes.
const CONVERSIONS: &[(&str, &str, &str)] = &[
    ("{}", "", ""),
    (r#"{"memory": {"limit": 0, "swap": 0}}"#, "", ""),
    (
        r#"{"memory": {"limit": 1000, "reservation": 500}}"#,
        "memory.limit_in_bytes=1000; memory.soft_limit_in_bytes=500",
        "memory.max=1000; memory.low=500",
    ),
    (
        r#"{"memory": {"limit": 1000, "swap": 3000}}"#,
        "memory.limit_in_bytes=1000; memory.memsw.limit_in_bytes=3000",
        "memory.swap.max=2000; memory.max=1000",
    ),
    (
        r#"{"memory": {"limit": 1000, "swap": 1000}}"#,
        "memory.limit_in_bytes=1000; memory.memsw.limit_in_bytes=1000",
        "memory.swap.max=0?; memory.max=1000",
    ),
    (
        r#"{"memory": {"limit": 1000, "swap": -1}}"#,
        "memory.limit_in_bytes=1000; memory.memsw.limit_in_bytes=-1?",
        "memory.swap.max=max?; memory.max=1000",
    ),
    (
        r#"{"memory": {"limit": -1}}"#,
        "memory.limit_in_bytes=-1?; memory.memsw.limit_in_bytes=-1?",
        "memory.swap.max=max?; memory.max=max?",
    ),
    (
        r#"{"memory": {"swap": 3000}}"#,
        "error: linux.resources.memory.swap: needs memory.limit: it is the limit of memory and swap together",
        "error: linux.resources.memory.swap: needs memory.limit: it is the limit of memory and swap together",
    ),
    (
        r#"{"memory": {"limit": -1, "swap": 3000}}"#,
        "error: linux.resources.memory.swap: cannot be a size while memory.limit is -1",
        "error: linux.resources.memory.swap: cannot be a size while memory.limit is -1",
    ),
    (
        r#"{"memory": {"limit": 1000, "swap": 999}}"#,
        "error: linux.resources.memory.swap: memory and swap together (999) cannot be below memory.limit (1000)",
        "error: linux.resources.memory.swap: memory and swap together (999) cannot be below memory.limit (1000)",
    ),
    (
        r#"{"memory": {"limit": -5}}"#,
        "error: linux.resources.memory.limit: must be a size in bytes or -1 for no limit, not -5",
        "error: linux.resources.memory.limit: must be a size in bytes or -1 for no limit, not -5",
    ),
    (
        r#"{"memory": {"swappiness": 60, "disableOOMKiller": true}}"#,
        "memory.swappiness=60; memory.oom_control=1",
        "warning: linux.resources.memory.swappiness is ignored: cgroup v2 has no swappiness of a cgroup; \
         warning: linux.resources.memory.disableOOMKiller is ignored: cgroup v2 cannot disable the OOM killer",
    ),
    (
        r#"{"memory": {"kernel": 100, "kernelTCP": -1, "useHierarchy": true, "disableOOMKiller": false}}"#,
        "warning: linux.resources.memory.kernel is ignored: the kernel no longer limits its memory apart",
        "warning: linux.resources.memory.kernel is ignored: the kernel no longer limits its memory apart",
    ),
    (r#"{"cpu": {"shares": 0, "quota": 0, "period": 0}}"#, "", ""),
    (r#"{"cpu": {"shares": 1024}}"#, "cpu.shares=1024", "cpu.weight=100"),
    (
        r#"{"cpu": {"quota": 50000, "period": 200000, "burst": 10000}}"#,
        "cpu.cfs_burst_us=10000; cpu.cfs_period_us=200000; cpu.cfs_quota_us=50000",
        "cpu.max.burst=10000; cpu.max=50000 200000",
    ),
    (r#"{"cpu": {"quota": -1}}"#, "cpu.cfs_quota_us=-1?", "cpu.max=max 100000"),
    (r#"{"cpu": {"period": 50000}}"#, "cpu.cfs_period_us=50000", "cpu.max=max 50000"),
    (
        r#"{"cpu": {"idle": 1, "shares": 512}}"#,
        "cpu.idle=1; warning: linux.resources.cpu.shares is ignored: an idle cgroup has the least share",
        "cpu.idle=1; warning: linux.resources.cpu.shares is ignored: an idle cgroup has the least weight",
    ),
    (r#"{"cpu": {"idle": 0, "shares": 512}}"#, "cpu.idle=0?; cpu.shares=512", "cpu.idle=0?; cpu.weight=59"),
    (
        r#"{"cpu": {"idle": 2}}"#,
        "error: linux.resources.cpu.idle: must be 0 or 1, not 2",
        "error: linux.resources.cpu.idle: must be 0 or 1, not 2",
    ),
    (
        r#"{"cpu": {"realtimeRuntime": 950, "realtimePeriod": 1000}}"#,
        "cpu.rt_period_us=1000; cpu.rt_runtime_us=950",
        "warning: linux.resources.cpu.realtimeRuntime is ignored: cgroup v2 does not divide realtime; \
         warning: linux.resources.cpu.realtimePeriod is ignored: cgroup v2 does not divide realtime",
    ),
    (
        r#"{"cpu": {"cpus": "0-1", "mems": "0"}}"#,
        "cpuset.cpus=0-1; cpuset.mems=0",
        "cpuset.cpus=0-1; cpuset.mems=0",
    ),
    (r#"{"pids": {"limit": 5}}"#, "pids.max=5", "pids.max=5"),
    (r#"{"pids": {"limit": 0}}"#, "pids.max=1", "pids.max=1"),
    (r#"{"pids": {"limit": -1}}"#, "pids.max=max?", "pids.max=max?"),
    (
        r#"{"blockIO": {"weight": 100, "weightDevice": [{"major": 8, "minor": 0, "weight": 500}]}}"#,
        "blkio.bfq.weight=100|blkio.weight=100; blkio.bfq.weight_device=8:0 500|blkio.weight_device=8:0 500",
        "io.bfq.weight=100|io.weight=910; io.bfq.weight=8:0 500|io.weight=8:0 4950",
    ),
    (
        r#"{"blockIO": {"weight": 5}}"#,
        "error: linux.resources.blockIO.weight: must be from 10 to 1000, not 5",
        "error: linux.resources.blockIO.weight: must be from 10 to 1000, not 5",
    ),
    (
        r#"{"blockIO": {"weightDevice": [{"major": 8, "minor": 0}]}}"#,
        "error: linux.resources.blockIO.weightDevice[0]: needs weight or leafWeight",
        "error: linux.resources.blockIO.weightDevice[0]: needs weight or leafWeight",
    ),
    (
        r#"{"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 600}],
            "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 0}]}}"#,
        "blkio.throttle.read_bps_device=8:0 600; blkio.throttle.write_iops_device=8:16 0",
        "io.max=8:0 rbps=600; io.max=8:16 wiops=max",
    ),
    (
        r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 4096}]}"#,
        "hugetlb.2MB.rsvd.limit_in_bytes=4096?; hugetlb.2MB.limit_in_bytes=4096",
        "hugetlb.2MB.rsvd.max=4096?; hugetlb.2MB.max=4096",
    ),
    (
        r#"{"hugepageLimits": [{"pageSize": "../2MB", "limit": 4096}]}"#,
        "error: linux.resources.hugepageLimits[0].pageSize: must be a size such as 2MB, not \"../2MB\"",
        "error: linux.resources.hugepageLimits[0].pageSize: must be a size such as 2MB, not \"../2MB\"",
    ),
    (
        r#"{"rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}, "rxe3": {"hcaObjects": 7}}}"#,
        "rdma.max=mlx5_1 hca_handle=3 hca_object=10000; rdma.max=rxe3 hca_object=7",
        "rdma.max=mlx5_1 hca_handle=3 hca_object=10000; rdma.max=rxe3 hca_object=7",
    ),
    (
        r#"{"network": {"classID": 1048577, "priorities": [{"name": "eth0", "priority": 500}]}}"#,
        "net_cls.classid=1048577; net_prio.ifpriomap=eth0 500",
        "warning: linux.resources.network.classID is ignored: cgroup v2 has no net_cls; \
         warning: linux.resources.network.priorities is ignored: cgroup v2 has no net_prio",
    ),
    (
        r#"{"unified": {"io.max": "259:0 rbps=1\n\n253:0 wiops=2\n", "memory.oom.group": "1"}}"#,
        "error: linux.resources.unified[\"io.max\"]: needs cgroup v2; this machine uses cgroup v1",
        "io.max=259:0 rbps=1; io.max=253:0 wiops=2; memory.oom.group=1",
    ),
    (
        r#"{"unified": {"../x.y": "1"}}"#,
        "error: linux.resources.unified[\"../x.y\"]: needs cgroup v2; this machine uses cgroup v1",
        "error: linux.resources.unified[\"../x.y\"]: must be the name of a file in the cgroup",
    ),
    (
        r#"{"unified": {"misc.max": "x 1"}}"#,
        "error: linux.resources.unified[\"misc.max\"]: needs cgroup v2; this machine uses cgroup v1",
        "error: linux.resources.unified[\"misc.max\"]: this machine has no cgroup controller misc",
    ),
];

#[test]
fn resources_become_the_files_of_both_generations() {
    for (resources, v1_writes, v2_writes) in CONVERSIONS {
        assert_eq!(limits_of(resources, &v1()), *v1_writes, "v1: {resources}");
        assert_eq!(limits_of(resources, &v2()), *v2_writes, "v2: {resources}");
    }
}

#[test]
fn a_missing_controller_matters_only_to_a_limit() {
    let expected = "error: linux.resources.pids.limit: this machine has no cgroup controller pids";
    assert_eq!(limits_of(r#"{"pids": {"limit": 5}}"#, &hybrid()), expected);
    assert_eq!(limits_of(r#"{"pids": {"limit": 5}}"#, &none()), expected);
    assert_eq!(limits_of(r#"{"pids": {"limit": -1}}"#, &hybrid()), "");
}

#[test]
fn places_follow_the_path() {
    let resources = Resources::default();
    let path_of = |cgroups_path, host: &Cgroups, index: usize| {
        let plan = decide(&request(&resources, cgroups_path), host);
        plan.map_or_else(|error| error.to_string(), |plan| plan.location.directories[index].path.clone())
    };
    for (path, v2_path, memory) in [
        (None, "/sys/fs/cgroup/user.slice/web1", "/sys/fs/cgroup/memory/process_api/16e6/web1"),
        (Some(""), "/sys/fs/cgroup/user.slice/web1", "/sys/fs/cgroup/memory/process_api/16e6/web1"),
        (Some("a/b"), "/sys/fs/cgroup/user.slice/a/b", "/sys/fs/cgroup/memory/process_api/16e6/a/b"),
        (Some("/a//./b/"), "/sys/fs/cgroup/a/b", "/sys/fs/cgroup/memory/a/b"),
    ] {
        assert_eq!(path_of(path, &v2(), 0), v2_path);
        assert_eq!(path_of(path, &hybrid(), 1), memory);
    }
    for (path, expected) in [
        ("/", "linux.cgroupsPath: \"/\" names the root cgroup"),
        ("/a/../b", "linux.cgroupsPath: \"/a/../b\" must not contain \"..\""),
        ("a\nb", "linux.cgroupsPath: \"a\\nb\" must not contain control characters"),
    ] {
        assert_eq!(path_of(Some(path), &v2(), 0), expected);
    }
}

#[test]
fn the_whole_plan_on_hybrid() {
    let resources = parse(
        r#"{"devices": [{"allow": false}, {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"}],
            "memory": {"limit": 268435456}}"#,
    );
    let plan = decide(&request(&resources, Some("/x")), &hybrid()).expect("plan");
    let expected = "\
make cgroup /sys/fs/cgroup/systemd/x
make cgroup /sys/fs/cgroup/memory/x
make cgroup /sys/fs/cgroup/devices/x
make cgroup /sys/fs/cgroup/cpuset/x
make cgroup /sys/fs/cgroup/unified/x
inherit cpuset.cpus and cpuset.mems in /sys/fs/cgroup/cpuset/x
write devices.deny = a in /sys/fs/cgroup/devices/x
write devices.allow = c 10:229 rw in /sys/fs/cgroup/devices/x
write devices.allow = c *:* m in /sys/fs/cgroup/devices/x
write devices.allow = b *:* m in /sys/fs/cgroup/devices/x
write devices.allow = c 1:3 rwm in /sys/fs/cgroup/devices/x
write devices.allow = c 1:5 rwm in /sys/fs/cgroup/devices/x
write devices.allow = c 1:7 rwm in /sys/fs/cgroup/devices/x
write devices.allow = c 1:8 rwm in /sys/fs/cgroup/devices/x
write devices.allow = c 1:9 rwm in /sys/fs/cgroup/devices/x
write devices.allow = c 5:0 rwm in /sys/fs/cgroup/devices/x
write devices.allow = c 5:2 rwm in /sys/fs/cgroup/devices/x
write devices.allow = c 136:* rwm in /sys/fs/cgroup/devices/x
write devices.allow = c 10:200 rwm in /sys/fs/cgroup/devices/x
write memory.limit_in_bytes = 268435456 in /sys/fs/cgroup/memory/x
";
    assert_eq!(plan.to_string(), expected);
}

#[test]
fn the_whole_plan_on_v2() {
    let resources =
        parse(r#"{"memory": {"limit": 4096, "swap": 4096}, "unified": {"cpuset.cpus.partition": "root"}}"#);
    let plan =
        decide(&Request { owner: Some(1000), ..request(&resources, Some("/a/x")) }, &v2()).expect("plan");
    let expected = "\
make cgroup /sys/fs/cgroup/a/x
enable +memory +cpuset +cpu (if possible) +io (if possible) +pids (if possible) above /sys/fs/cgroup/a/x
write memory.swap.max = 0 in /sys/fs/cgroup/a/x (if it exists)
write memory.max = 4096 in /sys/fs/cgroup/a/x
write cpuset.cpus.partition = root in /sys/fs/cgroup/a/x
attach device program of 31 instructions to /sys/fs/cgroup/a/x
give /sys/fs/cgroup/a/x to uid 1000
";
    assert_eq!(plan.to_string(), expected);
    assert_eq!(plan.enable.ancestors, ["/sys/fs/cgroup", "/sys/fs/cgroup/a"]);
}

#[test]
fn without_a_devices_controller_only_a_container_that_may_use_all_is_possible() {
    let host = Cgroups { hierarchies: vec![hierarchy(&["memory"], "/memory", "/", false)], ..v1() };
    let (silent, all) = (Resources::default(), parse(r#"{"devices": [{"allow": true}]}"#));
    let error = decide(&request(&silent, None), &host).expect_err("no devices controller");
    assert_eq!(error.to_string(), "linux.resources.devices: this machine has no cgroup controller devices");
    assert!(decide(&request(&all, None), &host).is_ok());
}

#[test]
fn what_limits_nothing_requires_no_controller() {
    let resources = parse(r#"{"pids": {"limit": -1}, "unified": {"rdma.max": "max"}}"#);
    let plan = decide(&request(&resources, None), &v2()).expect("plan");
    assert_eq!(plan.enable.required, ["rdma"]);
    assert_eq!(plan.enable.wished, ["cpu", "io", "memory", "pids"]);
}

#[test]
fn rootless_filters_no_device_and_tolerates_only_where_nothing_is_limited() {
    let (nothing, pids) = (Resources::default(), parse(r#"{"pids": {"limit": 5}}"#));
    let rootless =
        |resources| decide(&Request { rootless: true, ..request(resources, None) }, &v2()).expect("plan");
    assert!(rootless(&nothing).tolerate_permission);
    assert_eq!(rootless(&nothing).device_program, None);
    assert!(!rootless(&pids).tolerate_permission);
}

#[test]
fn the_location_survives_the_state_file() {
    let plan = decide(&request(&Resources::default(), None), &hybrid()).expect("plan");
    let text = serde_json::to_string(&plan.location).expect("json");
    assert_eq!(serde_json::from_str::<Location>(&text).expect("location"), plan.location);
}

#[test]
fn check_before_update_is_ours_to_do_on_v2_only() {
    let resources = parse(r#"{"memory": {"limit": 4096, "checkBeforeUpdate": true}}"#);
    for (host, expected) in [(v1(), None), (v2(), Some("memory.current"))] {
        let plan = decide(&Request { rootless: true, ..request(&resources, None) }, &host).expect("plan");
        assert_eq!(plan.writes[0].not_below, expected);
    }
}
