//! Namespaces: new, shared, joined, alone and together; id maps, clocks, names, sysctls.

use super::super::case::{Case, case};
use super::super::side::USER;
use super::super::support::Bundle;
use serde_json::json;

/// The bundles.
pub fn cases() -> Vec<Case> {
    [kinds(), users(), others()].into_iter().flatten().collect()
}

/// New, shared and joined ones.
fn kinds() -> Vec<Case> {
    vec![
        case("all-new", |bundle| {
            bundle.namespace("cgroup", None).user_namespace(100_000, 65536);
        }),
        case("cgroup-namespace", |bundle| {
            bundle.namespace("cgroup", None);
        }),
        case("pid-of-the-host", |bundle| {
            bundle.without_namespace("pid");
        }),
        case("network-of-the-host", |bundle| {
            bundle.without_namespace("network");
        }),
        case("ipc-of-the-host", |bundle| {
            bundle.without_namespace("ipc");
        }),
        case("uts-of-the-host", |bundle| {
            bundle.without_namespace("uts").unset("/hostname");
        }),
        case("mount-alone", |bundle| {
            bundle.set("/linux/namespaces", json!([{ "type": "mount" }])).unset("/hostname");
            bundle.unmount("/sys").unmount("/dev/mqueue");
        }),
        case("joined-network", |bundle| {
            bundle.namespace("network", Some("/proc/HOLDER/ns/net"));
        })
        .holder(&["--net"]),
        case("joined-ipc-and-uts", |bundle| {
            bundle
                .namespace("ipc", Some("/proc/HOLDER/ns/ipc"))
                .namespace("uts", Some("/proc/HOLDER/ns/uts"));
            bundle.unset("/hostname");
        })
        .holder(&["--ipc", "--uts"]),
        case("joined-uts-with-a-name", |bundle| {
            bundle.namespace("uts", Some("/proc/HOLDER/ns/uts"));
        })
        .holder(&["--uts"]),
        case("joined-pid", |bundle| {
            bundle.namespace("pid", Some("/proc/HOLDER/ns/pid"));
        })
        .holder(&["--pid"]),
        case("joined-user", |bundle| {
            bundle.namespace("user", Some("/proc/HOLDER/ns/user"));
        })
        .holder(&["--user", "--map-root-user"]),
        case("joined-pod", |bundle| {
            for (kind, file) in [("network", "net"), ("ipc", "ipc"), ("uts", "uts")] {
                bundle.namespace(kind, Some(&format!("/proc/HOLDER/ns/{file}")));
            }
            bundle.unset("/hostname").namespace("cgroup", None);
        })
        .holder(&["--net", "--ipc", "--uts"]),
    ]
}

/// User namespaces.
fn users() -> Vec<Case> {
    vec![
        case("user-namespace", |bundle| {
            bundle.user_namespace(100_000, 65536);
        }),
        case("user-namespace-as-a-user", |bundle| {
            bundle
                .user_namespace(100_000, 65536)
                .set("/process/user", json!({ "uid": 1000, "gid": 1000, "additionalGids": [7] }));
        }),
        case("user-namespace-two-maps", |bundle| {
            bundle.user_namespace(100_000, 1000);
            let map = json!([
                { "containerID": 0, "hostID": 100_000, "size": 1000 }, { "containerID": 1000, "hostID": 300_000, "size": 10 }
            ]);
            bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
        }),
        case("user-unmapped", |bundle| {
            bundle.user_namespace(100_000, 10).set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
        }),
        case("user-namespace-host-network", |bundle| {
            bundle.user_namespace(100_000, 65536).without_namespace("network");
        }),
        case("user-namespace-rlimits", |bundle| {
            bundle.user_namespace(100_000, 65536);
            bundle.set("/process/rlimits", json!([{ "type": "RLIMIT_NOFILE", "soft": 500, "hard": 1000 }]));
            bundle.set("/process/oomScoreAdj", json!(300));
        }),
    ]
}

/// Clocks, names, sysctls; without root.
fn others() -> Vec<Case> {
    vec![
        case("time-namespace", |bundle| {
            bundle.namespace("time", None);
            bundle.set(
                "/linux/timeOffsets",
                json!({ "boottime": { "secs": 864_000 }, "monotonic": { "secs": 1000, "nanosecs": 5 } }),
            );
        }),
        case("namespace-twice", |bundle| {
            bundle.push("/linux/namespaces", json!({ "type": "uts" }));
        }),
        case("namespace-of-another-kind", |bundle| {
            bundle.namespace("network", Some("/proc/HOLDER/ns/uts"));
        })
        .holder(&["--uts"]),
        case("names", |bundle| {
            bundle.set("/hostname", json!("a-name")).set("/domainname", json!("a.domain"));
        }),
        case("hostname-without-uts", |bundle| {
            bundle.without_namespace("uts");
        }),
        case("sysctls", |bundle| {
            bundle.set(
                "/linux/sysctl",
                json!({ "net.ipv4.ip_forward": "1", "net.ipv4.ping_group_range": "0 10", "kernel.shmmax": "4096",
                    "kernel.msgmax": "1000", "fs.mqueue.msg_max": "5" }),
            );
        }),
        case("sysctl-with-slashes", |bundle| {
            bundle.set("/linux/sysctl", json!({ "net/ipv4/ip_unprivileged_port_start": "80" }));
        }),
        case("sysctl-of-the-host", |bundle| {
            bundle.without_namespace("network").set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" }));
        }),
        case("sysctl-of-no-namespace", |bundle| {
            bundle.set("/linux/sysctl", json!({ "vm.swappiness": "60" }));
        }),
        case("rootless", rootless).by_user(),
        case("rootless-host-network", |bundle| {
            rootless(bundle);
            bundle.without_namespace("network").unmount("/sys").mount(
                "/sys",
                "none",
                "/sys",
                &["rbind", "nosuid", "noexec", "nodev", "ro"],
            );
        })
        .by_user(),
    ]
}

/// As `spec --rootless` makes it.
fn rootless(bundle: &mut Bundle) {
    let map = json!([{ "containerID": 0, "hostID": USER, "size": 1 }]);
    bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map).namespace("user", None);
    bundle.unset("/linux/cgroupsPath").unset("/linux/resources");
}
