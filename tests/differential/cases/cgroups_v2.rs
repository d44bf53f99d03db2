//! `linux.resources` and `cgroupsPath` on a host with cgroup v2 alone: the test host (`integration/host`).

use super::super::case::{Case, case};
use serde_json::{Value, json};

const MIB: u64 = 1 << 20;

/// The bundles.
pub fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> =
        resources().into_iter().map(|(name, resources)| limited(name, resources)).collect();
    cases.extend([
        case("v2-without-resources", |bundle| {
            bundle.unset("/linux/resources");
        }),
        case("v2-path-nested", |bundle| {
            let path = format!("/{0}/deep/{0}", bundle.id);
            bundle.set("/linux/cgroupsPath", json!(path));
        }),
        case("v2-tree-of-the-host", |bundle| {
            bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]);
        }),
        // What the device program lets through.
        limited(
            "v2-device-rules",
            json!({ "devices": [
                { "allow": false, "access": "rwm" },
                { "allow": true, "type": "c", "major": 1, "minor": 11, "access": "r" },
                { "allow": true, "type": "c", "major": 10, "access": "m" } ] }),
        )
        .more(
            "for device in '1 3' '1 11' '10 229' '10 200' '4 1' '5 0'; do f=/tmp/d-$(echo $device | tr ' ' -); \
            mknod $f c $device 2>/dev/null && say mknod-$device yes || say mknod-$device no; \
            (: <$f) 2>/tmp/why; grep -q 'not permitted' /tmp/why && say read-$device no || say read-$device yes; \
            (: >$f) 2>/tmp/why; grep -q 'not permitted' /tmp/why && say write-$device no || say write-$device yes; done; \
            mknod /tmp/b b 7 0 2>/dev/null && say mknod-block yes || say mknod-block no",
        ),
        case("v2-own-tree", |bundle| {
            bundle.namespace("cgroup", None);
            bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]);
        }),
    ]);
    cases
}

fn limited(name: &'static str, resources: Value) -> Case {
    case(name, move |bundle| {
        bundle.set("/linux/resources", resources.clone());
    })
}

fn resources() -> Vec<(&'static str, Value)> {
    vec![
        ("v2-memory", json!({ "memory": { "limit": 64 * MIB, "reservation": 32 * MIB, "swap": 128 * MIB } })),
        ("v2-memory-swap-of-the-limit", json!({ "memory": { "limit": 64 * MIB, "swap": 64 * MIB } })),
        ("v2-memory-unlimited", json!({ "memory": { "limit": -1, "swap": -1 } })),
        (
            "v2-memory-of-v1",
            json!({ "memory": { "limit": 64 * MIB, "swappiness": 10, "disableOOMKiller": true } }),
        ),
        ("v2-swap-below-the-limit", json!({ "memory": { "limit": 64 * MIB, "swap": 32 * MIB } })),
        ("v2-cpu", json!({ "cpu": { "shares": 512, "quota": 50_000, "period": 100_000 } })),
        ("v2-cpu-shares-of-docker", json!({ "cpu": { "shares": 1024 } })),
        ("v2-cpu-shares-most", json!({ "cpu": { "shares": 262_144 } })),
        ("v2-cpu-quota-unlimited", json!({ "cpu": { "quota": -1 } })),
        ("v2-cpu-idle", json!({ "cpu": { "idle": 1 } })),
        ("v2-cpuset", json!({ "cpu": { "cpus": "0", "mems": "0" } })),
        ("v2-pids", json!({ "pids": { "limit": 100 } })),
        ("v2-pids-unlimited", json!({ "pids": { "limit": -1 } })),
        ("v2-block-weight", json!({ "blockIO": { "weight": 500 } })),
        (
            "v2-block-throttle",
            json!({ "blockIO": { "throttleReadBpsDevice": [{ "major": 98, "minor": 0, "rate": MIB }],
                "throttleWriteIOPSDevice": [{ "major": 98, "minor": 0, "rate": 100 }] } }),
        ),
        ("v2-hugepages", json!({ "hugepageLimits": [{ "pageSize": "2MB", "limit": 4 * MIB }] })),
        (
            "v2-unified",
            json!({ "unified": { "memory.high": "50331648", "pids.max": "77", "cpu.weight": "42" } }),
        ),
        ("v2-unified-over-the-rest", json!({ "pids": { "limit": 5 }, "unified": { "pids.max": "77" } })),
        ("v2-unified-unknown", json!({ "unified": { "memory.nothing": "1" } })),
        (
            "v2-resources-together",
            json!({ "memory": { "limit": 100 * MIB }, "pids": { "limit": 64 },
                "cpu": { "shares": 256, "quota": 20_000, "period": 50_000, "cpus": "0-1" } }),
        ),
    ]
}
