//! Tables of names and properties, and a golden plan.

use super::*;
use crate::host::cgroup::Hierarchy;
use crate::plan::cgroup::{Present, decide, update};
use crate::spec::resources::Resources;
use std::collections::BTreeMap;

static NO_ANNOTATIONS: BTreeMap<String, String> = BTreeMap::new();

fn system() -> Manager {
    Manager { user: false, root: String::new() }
}

fn user() -> Manager {
    Manager { user: true, root: "/user.slice/user-1000.slice/user@1000.service".into() }
}

fn host() -> Cgroups {
    let controllers = ["cpuset", "cpu", "io", "memory", "hugetlb", "pids"].map(str::to_owned).to_vec();
    let own = "/system.slice/x.service".to_owned();
    let hierarchy = Hierarchy { controllers, mount: "/sys/fs/cgroup".into(), own, unified: true };
    Cgroups { mode: Mode::V2, hierarchies: vec![hierarchy] }
}

fn request<'a>(resources: &'a Resources, path: Option<&'a str>, manager: &'a Manager) -> Request<'a> {
    Request {
        resources,
        cgroups_path: path,
        id: "web1",
        systemd: Some(manager),
        annotations: &NO_ANNOTATIONS,
        rootless: true,
        default_devices: true,
        owner: None,
    }
}

#[test]
fn cgroups_path_names_unit_slice_and_place() {
    let resources = Resources::default();
    for (path, manager, expected) in [
        (None, system(), "corten-web1.scope in system.slice at /system.slice/corten-web1.scope"),
        (Some(""), system(), "corten-web1.scope in system.slice at /system.slice/corten-web1.scope"),
        (Some(":runc:a"), system(), "runc-a.scope in system.slice at /system.slice/runc-a.scope"),
        (Some("::a"), system(), "a.scope in system.slice at /system.slice/a.scope"),
        (Some("-:p:a"), system(), "p-a.scope in -.slice at /p-a.scope"),
        (Some("-.slice:p:a"), system(), "p-a.scope in -.slice at /p-a.scope"),
        (
            Some("kubepods-pod1_2.slice:cri-containerd:4f"),
            system(),
            "cri-containerd-4f.scope in kubepods-pod1_2.slice at \
             /kubepods.slice/kubepods-pod1_2.slice/cri-containerd-4f.scope",
        ),
        (Some("a.slice:p:a-b.slice"), system(), "a-b.slice in a.slice at /a.slice/a-b.slice"),
        (
            None,
            user(),
            "corten-web1.scope in user.slice at \
             /user.slice/user-1000.slice/user@1000.service/user.slice/corten-web1.scope",
        ),
        (
            Some("app.slice:p:a"),
            user(),
            "p-a.scope in app.slice at /user.slice/user-1000.slice/user@1000.service/app.slice/p-a.scope",
        ),
    ] {
        let (location, slice) =
            place(&request(&resources, path, &manager), &manager, &host()).expect("place");
        let unit = location.unit.expect("unit");
        let place = location.directories[0].path.strip_prefix("/sys/fs/cgroup").expect("mount");
        assert_eq!(format!("{} in {slice} at {place}", unit.name), expected, "{path:?}");
        assert_eq!(unit.user, manager.user);
    }
}

#[test]
fn paths_that_name_no_unit_are_refused() {
    let resources = Resources::default();
    let format = r#"expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got"#;
    for (path, problem) in [
        ("/a/b", format!(r#"{format} "/a/b" instead"#)),
        ("a:b", format!(r#"{format} "a:b" instead"#)),
        ("a:b:c:d", format!(r#"{format} "a:b:c:d" instead"#)),
        ("system:p:a", r#""system" is no name of a slice"#.to_owned()),
        ("a--b.slice:p:a", r#""a--b.slice" is no name of a slice"#.to_owned()),
        ("-a.slice:p:a", r#""-a.slice" is no name of a slice"#.to_owned()),
        ("a/../b.slice:p:a", r#""a/../b.slice" is no name of a slice"#.to_owned()),
        ("..slice:p:a", r#""..slice" is no name of a slice"#.to_owned()),
        ("a.slice:p:../x", r#""p-../x.scope" is no name of a unit"#.to_owned()),
    ] {
        let error = place(&request(&resources, Some(path), &system()), &system(), &host()).expect_err(path);
        assert_eq!(error.to_string(), format!("linux.cgroupsPath: {problem}"), "{path}");
    }
}

/// A machine with v1, as systemd mounts it, and perhaps a unified tree in which systemd then keeps its units.
fn v1(mode: Mode) -> Cgroups {
    let hierarchy = |controllers: &[&str]| {
        let controllers: Vec<String> = controllers.iter().map(|&name| name.to_owned()).collect();
        let name = controllers.join(",");
        let unified = controllers.is_empty();
        let name = if unified { "unified" } else { name.trim_start_matches("name=") };
        Hierarchy { mount: format!("/sys/fs/cgroup/{name}"), own: "/".into(), unified, controllers }
    };
    let names: &[&[&str]] =
        &[&["cpuset"], &["cpu", "cpuacct"], &["memory"], &["devices"], &["freezer"], &["blkio"], &["pids"]];
    let mut hierarchies: Vec<Hierarchy> = names.iter().map(|names| hierarchy(names)).collect();
    hierarchies.push(hierarchy(&["name=systemd"]));
    if mode == Mode::Hybrid {
        hierarchies.push(hierarchy(&[]));
    }
    Cgroups { mode, hierarchies }
}

#[test]
fn unit_is_at_the_same_place_in_every_hierarchy_of_v1() {
    let (resources, in_container) = (Resources::default(), Manager { user: false, root: "/lxc/a".into() });
    for (mode, manager, systemds, cpuset) in [
        (Mode::V1, system(), "systemd/a.slice/p-x.scope", "cpuset/a.slice/p-x.scope"),
        (Mode::Hybrid, system(), "unified/a.slice/p-x.scope", "cpuset/a.slice/p-x.scope"),
        (Mode::V1, in_container, "systemd/lxc/a/a.slice/p-x.scope", "cpuset/lxc/a/a.slice/p-x.scope"),
    ] {
        let request = Request { rootless: false, ..request(&resources, Some("a.slice:p:x"), &manager) };
        let (location, _) = place(&request, &manager, &v1(mode)).expect("place");
        let below = |path: &str| path.strip_prefix("/sys/fs/cgroup/").expect("mount").to_owned();
        assert_eq!(location.directories.len(), v1(mode).hierarchies.len());
        assert_eq!(below(&location.of_systemd().expect("systemd").path), systemds);
        let index = location.index_of("cpuset").expect("cpuset");
        assert_eq!(below(&location.directories[index].path), cpuset);
    }
}

#[test]
fn where_systemd_cannot_make_cgroups_it_is_not_asked() {
    let resources = Resources::default();
    let rootless = "cannot use rootless systemd cgroups manager on cgroup v1";
    let not_mounted = "--systemd-cgroup: the hierarchy in which systemd keeps its units is not mounted";
    let mut without = v1(Mode::V1);
    without.hierarchies.pop();
    for (manager, rootless_flag, host, problem) in [
        (user(), false, v1(Mode::V1), rootless),
        (user(), true, v1(Mode::Hybrid), rootless),
        (system(), true, v1(Mode::Hybrid), rootless),
        (system(), false, without, not_mounted),
        (system(), false, Cgroups::none(), not_mounted),
    ] {
        let request = Request { rootless: rootless_flag, ..request(&resources, None, &manager) };
        let error = decide(&request, &host).expect_err(problem);
        assert_eq!(error.to_string(), problem);
        assert!(error.hint_text().is_some());
    }
}

/// The properties that stand for resources, as text.
fn resources_of(text: &str) -> String {
    resources_on(text, &host(), &Present::default())
}

fn resources_on(text: &str, host: &Cgroups, present: &Present) -> String {
    let resources: Resources = serde_json::from_str(text).expect("resources");
    let manager = system();
    let request = Request { rootless: false, ..request(&resources, None, &manager) };
    let (location, _) = place(&request, &manager, host).expect("place");
    let update = update(&resources, &location, host, present).expect("update");
    let properties = update.properties;
    let lines = properties.iter().map(|property| format!("{}={}", property.name, property.value));
    lines.collect::<Vec<_>>().join(" ")
}

#[test]
fn resources_become_properties() {
    for (resources, properties) in [
        ("{}", ""),
        (
            r#"{"memory": {"limit": 1000, "reservation": 500, "swap": 3000}}"#,
            "MemorySwapMax=2000 MemoryMax=1000 MemoryLow=500",
        ),
        (r#"{"memory": {"limit": -1}}"#, "MemorySwapMax=infinity MemoryMax=infinity"),
        (r#"{"cpu": {"shares": 1024}}"#, "CPUWeight=100"),
        (r#"{"cpu": {"quota": 50000}}"#, "CPUQuotaPerSecUSec=500000 CPUQuotaPeriodUSec=100000"),
        // 0.2469 of a processor is shown as 0.25.
        (
            r#"{"cpu": {"quota": 12345, "period": 50000}}"#,
            "CPUQuotaPerSecUSec=250000 CPUQuotaPeriodUSec=50000",
        ),
        (r#"{"cpu": {"quota": -1}}"#, "CPUQuotaPerSecUSec=infinity CPUQuotaPeriodUSec=100000"),
        (r#"{"cpu": {"period": 1000}}"#, "CPUQuotaPerSecUSec=infinity CPUQuotaPeriodUSec=1000"),
        (
            r#"{"cpu": {"cpus": "0-3,9", "mems": "0,2"}}"#,
            "AllowedCPUs=[0x0f, 0x02] AllowedMemoryNodes=[0x05]",
        ),
        (r#"{"cpu": {"idle": 1}}"#, ""),
        (r#"{"pids": {"limit": 7}}"#, "TasksMax=7"),
        (r#"{"pids": {"limit": 0}}"#, "TasksMax=1"),
        (r#"{"pids": {"limit": -1}}"#, "TasksMax=infinity"),
        (r#"{"blockIO": {"weight": 100}}"#, "IOWeight=910"),
        (
            r#"{"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 1000}],
                "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 5}, {"major": 8, "minor": 16, "rate": 6}],
                "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 0}]}}"#,
            "IODeviceWeight=[(\"/dev/block/8:0\", 10000)] \
             IOReadBandwidthMax=[(\"/dev/block/8:0\", 5), (\"/dev/block/8:16\", 6)] \
             IOWriteIOPSMax=[(\"/dev/block/8:0\", infinity)]",
        ),
        (r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 4096}]}"#, ""),
        // The unified files come last and overrule.
        (
            r#"{"pids": {"limit": 7}, "unified": {"pids.max": "9", "memory.high": "1G", "memory.min": "0",
                "cpu.max": "max 50000", "cpuset.cpus": "1", "cpu.weight.nice": "3", "memory.oom.group": "1"}}"#,
            "TasksMax=9 CPUQuotaPerSecUSec=infinity CPUQuotaPeriodUSec=50000 AllowedCPUs=[0x02] \
             MemoryHigh=1073741824 MemoryMin=0",
        ),
        // What only the kernel can judge is left to the file.
        (r#"{"unified": {"memory.high": "much", "cpu.max": "x y", "cpuset.cpus": "a"}}"#, ""),
    ] {
        assert_eq!(resources_of(resources), properties, "{resources}");
    }
}

#[test]
fn resources_become_the_properties_of_v1() {
    for (resources, properties) in [
        ("{}", ""),
        (
            r#"{"memory": {"limit": 1000, "reservation": 500, "swap": 3000, "swappiness": 3}}"#,
            "MemoryLimit=1000",
        ),
        (r#"{"memory": {"limit": -1}}"#, "MemoryLimit=infinity"),
        (r#"{"cpu": {"shares": 2048}}"#, "CPUShares=2048"),
        (r#"{"cpu": {"shares": 1}}"#, "CPUShares=2"),
        (r#"{"cpu": {"shares": 1000000}}"#, "CPUShares=262144"),
        (
            r#"{"cpu": {"quota": 12345, "period": 50000}}"#,
            "CPUQuotaPerSecUSec=250000 CPUQuotaPeriodUSec=50000",
        ),
        (r#"{"cpu": {"quota": -1}}"#, "CPUQuotaPerSecUSec=infinity CPUQuotaPeriodUSec=100000"),
        (r#"{"cpu": {"cpus": "0-3", "mems": "0"}}"#, ""),
        (r#"{"pids": {"limit": 7}}"#, "TasksMax=7"),
        (r#"{"pids": {"limit": -1}}"#, "TasksMax=infinity"),
        (r#"{"blockIO": {"weight": 100}}"#, "BlockIOWeight=100"),
        (
            r#"{"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 1000}],
                "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 5}, {"major": 8, "minor": 16, "rate": 6}],
                "throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 0}],
                "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 9}]}}"#,
            "BlockIODeviceWeight=[(\"/dev/block/8:0\", 1000)] \
             BlockIOReadBandwidth=[(\"/dev/block/8:0\", 5), (\"/dev/block/8:16\", 6)] \
             BlockIOWriteBandwidth=[(\"/dev/block/8:0\", infinity)]",
        ),
    ] {
        assert_eq!(resources_on(resources, &v1(Mode::V1), &Present::default()), properties, "{resources}");
    }
    // systemd writes both at any change, so both are told and written again.
    let present = Present { quota: Some(50_000), period: Some(100_000), memory: None };
    for (resources, properties) in [
        (r#"{"cpu": {"quota": 25000}}"#, "CPUQuotaPerSecUSec=250000 CPUQuotaPeriodUSec=100000"),
        (r#"{"cpu": {"period": 200000}}"#, "CPUQuotaPerSecUSec=250000 CPUQuotaPeriodUSec=200000"),
        (r#"{"pids": {"limit": 7}}"#, "TasksMax=7 CPUQuotaPerSecUSec=500000 CPUQuotaPeriodUSec=100000"),
    ] {
        assert_eq!(resources_on(resources, &v1(Mode::V1), &present), properties, "{resources}");
    }
}

#[test]
fn denial_that_systemd_would_forget_is_refused_on_v1() {
    let deny_all = r#"{"allow": false, "access": "rwm"}"#;
    let deny_one = r#"{"allow": false, "type": "c", "major": 1, "minor": 11, "access": "rwm"}"#;
    let manager = system();
    for (rules, mode, is_refused) in [
        (format!("[{deny_one}, {deny_all}]"), Mode::V1, false),
        (format!(r#"[{deny_all}, {{"allow": true, "type": "c", "major": 1, "minor": 3}}]"#), Mode::V1, false),
        (r#"[{"allow": true}]"#.to_owned(), Mode::Hybrid, false),
        (format!(r#"[{{"allow": true}}, {deny_one}]"#), Mode::Hybrid, true),
        (format!(r#"[{{"allow": true}}, {deny_one}]"#), Mode::V2, false),
    ] {
        let resources: Resources =
            serde_json::from_str(&format!(r#"{{"devices": {rules}}}"#)).expect("rules");
        let request =
            Request { rootless: false, default_devices: false, ..request(&resources, None, &manager) };
        let plan = decide(&request, &if mode == Mode::V2 { host() } else { v1(mode) });
        let error = plan.err().map(|error| error.to_string());
        let refused = "linux.resources.devices: systemd cannot deny a single device on cgroup v1, and would allow it again";
        assert_eq!(error.as_deref(), is_refused.then_some(refused), "{rules}");
    }
}

/// The device properties, as text.
fn devices_of(rules: &str, defaults: bool) -> String {
    let rules = serde_json::from_str::<Vec<_>>(rules).expect("rules");
    let mut properties = Properties::default();
    properties.devices(&devices::rules(&rules, defaults).expect("rules"));
    Vec::from(properties).iter().map(|property: &Property| format!("{}\n", property.value)).collect()
}

#[test]
fn device_list_is_sorted_and_allows_at_least_what_the_rules_do() {
    let deny = r#"{"allow": false, "access": "rwm"}"#;
    for (rules, properties) in [
        (format!("[{deny}]"), "\"strict\"\n"),
        ("[{\"allow\": true}]".to_owned(), "\"auto\"\n"),
        // Everything but one device cannot be said to systemd.
        (
            r#"[{"allow": true}, {"allow": false, "type": "c", "major": 1, "minor": 11}]"#.to_owned(),
            "\"auto\"\n",
        ),
        (
            format!(
                r#"[{{"allow": true}}, {deny}, {{"allow": true, "type": "c", "major": 5, "minor": 1, "access": "rw"}},
                {{"allow": true, "type": "b", "major": 8, "access": "r"}},
                {{"allow": true, "major": 4, "minor": 2, "access": "m"}},
                {{"allow": true, "type": "c", "access": "m"}}]"#
            ),
            "\"strict\"\n[(\"/dev/block/4:2\", \"m\"), (\"/dev/char/4:2\", \"m\"), (\"/dev/char/5:1\", \"rw\"), \
             (\"block-8\", \"r\"), (\"char-*\", \"m\")]\n",
        ),
    ] {
        assert_eq!(devices_of(&rules, false), properties, "{rules}");
    }
    let defaults = devices_of("[]", true);
    assert!(
        defaults.starts_with("\"strict\"\n[(\"/dev/char/10:200\", \"rwm\"), (\"/dev/char/1:3\", \"rwm\"),")
    );
    assert!(defaults.contains("(\"char-136\", \"rwm\")"), "{defaults}");
}

#[test]
fn annotations_are_read() {
    for (name, text, expected) in [
        ("TimeoutStopSec", "30", "TimeoutStopUSec=30000000"),
        ("TimeoutStopSec", "uint64 30", "TimeoutStopUSec=30000000"),
        ("TimeoutStopSec", "0.5", "TimeoutStopUSec=500000"),
        ("TimeoutStopUSec", "uint64 5", "TimeoutStopUSec=5"),
        ("CollectMode", "'inactive'", "CollectMode=\"inactive\""),
        ("After", "['a.service']", "After=[\"a.service\"]"),
    ] {
        let (name, value) = annotation(name, text).expect(text);
        assert_eq!(format!("{name}={value}"), expected);
    }
    for (name, text, problem) in [
        ("", "1", "is no name of a property"),
        ("Ab", "1", "is no name of a property"),
        ("memoryMax", "1", "is no name of a property"),
        ("Memory.Max", "1", "is no name of a property"),
        ("MemoryMax", "", "a value is missing"),
        ("TimeoutStopSec", "'x'", "\"'x'\" is no number of seconds"),
        ("TimeoutStopSec", "-1", "\"-1\" is no number of seconds"),
        ("TimeoutStopSec", "1.x", "\"1.x\" is no number of seconds"),
        ("TimeoutStopSec", "uint64 99999999999999", "\"uint64 99999999999999\" is no number of seconds"),
    ] {
        assert_eq!(annotation(name, text).expect_err(text), problem, "{name}={text}");
    }
}

#[test]
fn annotation_that_cannot_be_read_is_named() {
    let annotations = BTreeMap::from([("org.systemd.property.MemoryMax".to_owned(), "many".to_owned())]);
    let (resources, manager) = (Resources::default(), system());
    let request = Request { annotations: &annotations, ..request(&resources, None, &manager) };
    let error = decide(&request, &host()).expect_err("annotation");
    let expected = "annotations[\"org.systemd.property.MemoryMax\"]: \"many\" is no value";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn the_whole_plan() {
    let text = r#"{"devices": [{"allow": false}], "memory": {"limit": 1000},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 4096}]}"#;
    let resources: Resources = serde_json::from_str(text).expect("resources");
    let annotations = BTreeMap::from([("org.systemd.property.TimeoutStopSec".to_owned(), "3".to_owned())]);
    let manager = system();
    let path = Some("machine.slice:libpod:web1");
    let request = Request {
        annotations: &annotations,
        rootless: false,
        default_devices: false,
        owner: Some(100_000),
        ..request(&resources, path, &manager)
    };
    let plan = decide(&request, &host()).expect("plan");
    let expected = "\
have systemd start libpod-web1.scope with init in it, at /sys/fs/cgroup/machine.slice/libpod-web1.scope
unit property Description = \"corten container web1\"
unit property Slice = \"machine.slice\"
unit property Delegate = true
unit property DefaultDependencies = false
unit property CPUAccounting = true
unit property MemoryAccounting = true
unit property IOAccounting = true
unit property TasksAccounting = true
unit property DevicePolicy = \"strict\"
unit property MemoryMax = 1000
unit property TimeoutStopUSec = 3000000
enable +memory +hugetlb above /sys/fs/cgroup/machine.slice/libpod-web1.scope
write memory.max = 1000 in /sys/fs/cgroup/machine.slice/libpod-web1.scope
write hugetlb.2MB.rsvd.max = 4096 in /sys/fs/cgroup/machine.slice/libpod-web1.scope (if it exists)
write hugetlb.2MB.max = 4096 in /sys/fs/cgroup/machine.slice/libpod-web1.scope
attach device program of 11 instructions to /sys/fs/cgroup/machine.slice/libpod-web1.scope
give /sys/fs/cgroup/machine.slice/libpod-web1.scope to uid 100000
";
    assert_eq!(plan.to_string(), expected);
}

#[test]
fn the_whole_plan_on_v1() {
    let text = r#"{"devices": [{"allow": false, "access": "rwm"}], "memory": {"limit": 1000}, "cpu": {"cpus": "0"}}"#;
    let resources: Resources = serde_json::from_str(text).expect("resources");
    let manager = system();
    let path = Some("machine.slice:libpod:web1");
    let request = Request {
        rootless: false,
        default_devices: false,
        owner: Some(100_000),
        ..request(&resources, path, &manager)
    };
    let plan = decide(&request, &v1(Mode::Hybrid)).expect("plan");
    let expected = "\
have systemd start libpod-web1.scope with init in it, at /sys/fs/cgroup/unified/machine.slice/libpod-web1.scope
unit property Description = \"corten container web1\"
unit property Slice = \"machine.slice\"
unit property Delegate = true
unit property DefaultDependencies = false
unit property CPUAccounting = true
unit property MemoryAccounting = true
unit property BlockIOAccounting = true
unit property TasksAccounting = true
unit property DevicePolicy = \"strict\"
unit property MemoryLimit = 1000
make cgroup /sys/fs/cgroup/cpuset/machine.slice/libpod-web1.scope and put init there
make cgroup /sys/fs/cgroup/freezer/machine.slice/libpod-web1.scope and put init there
inherit cpuset.cpus and cpuset.mems in /sys/fs/cgroup/cpuset/machine.slice/libpod-web1.scope
write devices.deny = a in /sys/fs/cgroup/devices/machine.slice/libpod-web1.scope
write memory.limit_in_bytes = 1000 in /sys/fs/cgroup/memory/machine.slice/libpod-web1.scope
write cpuset.cpus = 0 in /sys/fs/cgroup/cpuset/machine.slice/libpod-web1.scope
";
    assert_eq!(plan.to_string(), expected);
    assert!(!plan.is_joined_by_init(), "systemd and the runtime put it there");
}
