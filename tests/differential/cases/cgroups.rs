//! `linux.resources` and `cgroupsPath`.

use super::super::case::{Case, case};
use serde_json::json;

const MIB: u64 = 1 << 20;

/// The bundles.
pub fn cases() -> Vec<Case> {
    vec![
        case("cgroup-path-nested", |bundle| {
            let path = format!("/{0}/deep/{0}", bundle.id);
            bundle.set("/linux/cgroupsPath", json!(path));
        }),
        case("memory", |bundle| {
            bundle.set("/linux/resources/memory", json!({ "limit": 64 * MIB, "reservation": 32 * MIB, "swap": 128 * MIB }));
        }),
        case("memory-unlimited", |bundle| {
            bundle.set("/linux/resources/memory", json!({ "limit": -1, "swap": -1 }));
        }),
        case("memory-oom-and-swappiness", |bundle| {
            bundle.set("/linux/resources/memory", json!({ "limit": 64 * MIB, "disableOOMKiller": true, "swappiness": 10 }));
        }),
        case("swap-below-the-limit", |bundle| {
            bundle.set("/linux/resources/memory", json!({ "limit": 64 * MIB, "swap": 32 * MIB }));
        }),
        case("kernel-memory", |bundle| {
            bundle.set("/linux/resources/memory", json!({ "kernelTCP": 32 * MIB }));
        }),
        case("cpu", |bundle| {
            bundle.set("/linux/resources/cpu", json!({ "shares": 512, "quota": 50_000, "period": 100_000 }));
        }),
        case("cpu-shares-too-few", |bundle| {
            // A program that does little: it has next to no processor.
            bundle.set("/linux/resources/cpu", json!({ "shares": 1 })).set("/process/args", json!(["/bin/true"]));
        }),
        case("cpu-quota-unlimited", |bundle| {
            bundle.set("/linux/resources/cpu", json!({ "quota": -1 }));
        }),
        case("cpuset", |bundle| {
            bundle.set("/linux/resources/cpu", json!({ "cpus": "0", "mems": "0" }));
        }),
        case("cpuset-of-no-processor", |bundle| {
            bundle.set("/linux/resources/cpu", json!({ "cpus": "4096" }));
        }),
        case("pids", |bundle| {
            bundle.set("/linux/resources/pids", json!({ "limit": 100 }));
        }),
        case("pids-unlimited", |bundle| {
            bundle.set("/linux/resources/pids", json!({ "limit": -1 }));
        }),
        case("block-throttle", |bundle| {
            let device = json!([{ "major": 254, "minor": 0, "rate": MIB }]);
            bundle.set("/linux/resources/blockIO", json!({ "throttleReadBpsDevice": device, "throttleWriteIOPSDevice": device }));
        }),
        case("device-rules", |bundle| {
            bundle.set(
                "/linux/resources/devices",
                json!([{ "allow": false, "access": "rwm" }, { "allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw" },
                    { "allow": true, "type": "b", "major": 7, "access": "r" }]),
            );
        })
        .more("mknod /tmp/fuse c 10 229 && { (: <>/tmp/fuse) 2>/dev/null && say fuse yes || say fuse no; }"),
        case("device-rules-all", |bundle| {
            bundle.set("/linux/resources/devices", json!([{ "allow": true, "access": "rwm" }]));
        }),
        case("device-rules-absent", |bundle| {
            bundle.unset("/linux/resources");
        }),
        case("resources-together", |bundle| {
            bundle.set("/linux/resources/memory", json!({ "limit": 100 * MIB }));
            bundle.set("/linux/resources/cpu", json!({ "shares": 256, "quota": 20_000, "period": 50_000, "cpus": "0-1" }));
            bundle.set("/linux/resources/pids", json!({ "limit": 64 })).namespace("cgroup", None);
        }),
        case("hugepages-without-controller", |bundle| {
            bundle.set("/linux/resources/hugepageLimits", json!([{ "pageSize": "2MB", "limit": MIB * 4 }]));
        }),
        case("v2", |bundle| {
            bundle.unset("/linux/resources");
        })
        .on_v2(),
        case("v2-cgroup-namespace", |bundle| {
            bundle.unset("/linux/resources").namespace("cgroup", None);
            bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]);
        })
        .on_v2(),
        case("v2-cgroup-of-the-host", |bundle| {
            bundle.unset("/linux/resources");
            bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]);
        })
        .on_v2(),
    ]
}
