//! Machines that plans are made for: nothing is asked of the one that runs the test.

use corten::host::Host;
use corten::host::cgroup::{Cgroups, Hierarchy, Mode};
use corten::host::systemd::Manager;

/// Root on a machine with cgroup v2.
pub fn v2() -> Host {
    let controllers = ["cpuset", "cpu", "io", "memory", "hugetlb", "pids"];
    let unified = hierarchy("/sys/fs/cgroup", &controllers, "/system.slice/containerd.service", true);
    host(Mode::V2, vec![unified])
}

/// Root on a machine with cgroup v1.
pub fn v1() -> Host {
    host(Mode::V1, v1_hierarchies())
}

/// Root on a machine with cgroup v1, and a unified tree without controllers beside it.
pub fn hybrid() -> Host {
    let unified = hierarchy("/sys/fs/cgroup/unified", &[], "/system.slice/docker.service", true);
    let mut hierarchies = v1_hierarchies();
    hierarchies.push(unified);
    host(Mode::Hybrid, hierarchies)
}

/// An ordinary user on a machine with cgroup v2.
pub fn ordinary_user() -> Host {
    let own = "/user.slice/user-1000.slice/session-1.scope";
    let unified = hierarchy("/sys/fs/cgroup", &["cpu", "memory", "pids"], own, true);
    Host { uid: 1000, gid: 1000, capabilities: 0, ..host(Mode::V2, vec![unified]) }
}

/// A machine with cgroup v2 whose systemd makes cgroups.
pub fn systemd() -> Host {
    Host { systemd: Some(Manager { user: false, root: String::new() }), ..v2() }
}

/// An ordinary user whose own manager makes cgroups.
pub fn users_systemd() -> Host {
    let root = "/user.slice/user-1000.slice/user@1000.service".to_owned();
    Host { systemd: Some(Manager { user: true, root }), ..ordinary_user() }
}

/// The same machine with a kernel before Linux 5.12.
pub fn old_api(host: Host) -> Host {
    Host { new_mount_api: false, ..host }
}

/// The same machine with a controller that few have.
pub fn with_rdma(mut host: Host) -> Host {
    match &mut host.cgroups.hierarchies[..] {
        [unified] => unified.controllers.push("rdma".to_owned()),
        _ => {
            let rdma = hierarchy("/sys/fs/cgroup/rdma", &["rdma"], "/system.slice/docker.service", false);
            host.cgroups.hierarchies.push(rdma);
        }
    }
    host
}

pub fn host(mode: Mode, hierarchies: Vec<Hierarchy>) -> Host {
    Host {
        uid: 0,
        gid: 0,
        capabilities: u64::MAX,
        ignored_signals: 0,
        in_user_namespace: false,
        groups_denied: false,
        new_mount_api: true,
        has_kcore: true,
        cgroups: Cgroups { mode, hierarchies },
        selinux: true,
        systemd: None,
    }
}

pub fn v1_hierarchies() -> Vec<Hierarchy> {
    let own = "/system.slice/docker.service";
    [
        ("cpu,cpuacct", &["cpu", "cpuacct"][..]),
        ("cpuset", &["cpuset"]),
        ("devices", &["devices"]),
        ("memory", &["memory"]),
        ("net_cls,net_prio", &["net_cls", "net_prio"]),
        ("blkio", &["blkio"]),
        ("hugetlb", &["hugetlb"]),
        ("freezer", &["freezer"]),
        ("pids", &["pids"]),
        ("systemd", &["name=systemd"]),
    ]
    .map(|(directory, controllers)| {
        hierarchy(&format!("/sys/fs/cgroup/{directory}"), controllers, own, false)
    })
    .into()
}

pub fn hierarchy(mount: &str, controllers: &[&str], own: &str, unified: bool) -> Hierarchy {
    let controllers = controllers.iter().map(|name| (*name).to_owned()).collect();
    Hierarchy { controllers, mount: mount.to_owned(), own: own.to_owned(), unified }
}
