//! `mounts`: every kind and the options that decide how it looks.

use super::super::case::{Case, case};
use super::super::support::Bundle;
use serde_json::json;
use std::fs;

/// A directory and a file on the host to bind; the directory is a mount with one below it, made in the namespace of `create`.
const TREE: &str = "mkdir -p $D/tree; mount -t tmpfs -o nosuid,nodev tree $D/tree; mkdir $D/tree/below; \
    mount -t tmpfs below $D/tree/below; echo text >$D/tree/file";

/// The bundles.
pub fn cases() -> Vec<Case> {
    [tmpfs(), binds(), places()].into_iter().flatten().collect()
}

/// File systems in memory.
fn tmpfs() -> Vec<Case> {
    vec![
        case("tmpfs", |bundle| {
            bundle.mount(
                "/t",
                "tmpfs",
                "tmpfs",
                &["nosuid", "nodev", "noexec", "mode=1700", "size=64k", "uid=5", "gid=6"],
            );
        })
        .more("kind /t made"),
        case("tmpfs-over-a-directory", |bundle| {
            fs::create_dir(bundle.rootfs().join("t")).unwrap();
            std::os::unix::fs::chown(bundle.rootfs().join("t"), Some(7), Some(8)).unwrap();
            bundle.mount("/t", "tmpfs", "tmpfs", &["noatime"]);
        })
        .more("kind /t made"),
        case("tmpfs-read-only", |bundle| {
            bundle.mount("/t", "tmpfs", "tmpfs", &["ro", "nodiratime", "strictatime", "sync"]);
        })
        .more("access /t"),
        case("tmpcopyup", |bundle| {
            fs::create_dir(bundle.rootfs().join("t")).unwrap();
            fs::write(bundle.rootfs().join("t/file"), "text").unwrap();
            std::os::unix::fs::symlink("file", bundle.rootfs().join("t/link")).unwrap();
            bundle.mount("/t", "tmpfs", "tmpfs", &["tmpcopyup"]);
        })
        .more("kind /t/file made; kind /t/link made; say content \"$(cat /t/link)\""),
    ]
}

/// Bind mounts.
fn binds() -> Vec<Case> {
    vec![
        bind("bind", &["bind"]),
        bind("rbind", &["rbind"]),
        bind("bind-read-only", &["bind", "ro"]),
        bind("rbind-read-only", &["rbind", "ro", "nosuid", "nodev"]),
        bind("rbind-flags-cleared", &["rbind", "rw", "suid", "dev"]),
        bind("bind-noatime", &["rbind", "noatime", "noexec"]),
        bind("bind-private", &["rbind", "rprivate"]),
        bind("bind-unbindable", &["rbind", "runbindable"]),
        bind("bind-recursively-read-only", &["rbind", "rro"]),
        bind("bind-recursively-without-devices", &["rbind", "rnosuid", "rnoexec"]),
        bind("bind-recursively-without-times", &["rbind", "rnoatime"]),
        bind("bind-data", &["bind", "size=4k"]),
        case("bind-slave", |bundle| {
            bundle.mount("/b", "bind", &source(bundle), &["rbind", "rslave"]);
        })
        .before(
            "mkdir -p $D/tree; mount -t tmpfs tree $D/tree; mount --make-shared $D/tree; touch $D/tree/file",
        ),
        case("bind-shared", |bundle| {
            bundle.mount("/b", "bind", &source(bundle), &["rbind", "rshared"]);
        })
        .before(
            "mkdir -p $D/tree; mount -t tmpfs tree $D/tree; mount --make-shared $D/tree; touch $D/tree/file",
        ),
        case("bind-of-any-type", |bundle| {
            bundle.mount("/b", "ext4", &source(bundle), &["rbind"]);
        })
        .before(TREE),
        case("bind-file", |bundle| {
            bundle.mount("/etc/file", "bind", &format!("{}/file", source(bundle)), &["bind", "ro"]);
        })
        .before(TREE)
        .more("kind /etc/file made; access /etc/file"),
        case("bind-relative-source", |bundle| {
            fs::create_dir(bundle.path().join("beside")).unwrap();
            bundle.mount("/b", "bind", "beside", &["bind"]);
        }),
        case("bind-missing-source", |bundle| {
            bundle.mount("/b", "bind", "/no/such/source", &["bind"]);
        }),
    ]
}

/// Destinations, and types of the kernel.
fn places() -> Vec<Case> {
    vec![
        case("relative-destination", |bundle| {
            bundle.mount("t/deep", "tmpfs", "tmpfs", &[]);
        }),
        case("destination-through-a-link", |bundle| {
            fs::create_dir(bundle.rootfs().join("real")).unwrap();
            std::os::unix::fs::symlink("/real", bundle.rootfs().join("link")).unwrap();
            std::os::unix::fs::symlink("../../../../real", bundle.rootfs().join("up")).unwrap();
            bundle.mount("/link/a", "tmpfs", "a", &[]).mount("/up/b", "tmpfs", "b", &[]);
        }),
        case("mounts-on-each-other", |bundle| {
            bundle.mount("/t", "tmpfs", "one", &["nosuid"]).mount("/t", "tmpfs", "two", &["nodev"]);
            bundle.mount("/t/in", "tmpfs", "three", &["noexec"]);
        }),
        case("mount-below-proc", |bundle| {
            bundle.mount("/proc/sys", "tmpfs", "t", &[]);
        }),
        case("mount-of-lxcfs-on-proc", |bundle| {
            bundle.mount("/proc/uptime", "bind", &format!("{}/file", source(bundle)), &["bind", "ro"]);
        })
        .before(TREE),
        case("mount-on-the-root", |bundle| {
            let mount =
                json!({ "destination": "/", "type": "tmpfs", "source": "t", "options": ["tmpcopyup"] });
            bundle.config["mounts"].as_array_mut().unwrap().insert(0, mount);
        }),
        case("unknown-option", |bundle| {
            bundle.mount("/t", "tmpfs", "t", &["of-tomorrow"]);
        }),
        case("unknown-type", |bundle| {
            bundle.mount("/t", "tomorrowfs", "t", &[]);
        }),
        case("proc-with-options", |bundle| {
            bundle.unmount("/proc");
            let proc = json!({ "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev", "hidepid=2"] });
            bundle.config["mounts"].as_array_mut().unwrap().insert(0, proc);
        }),
        case("sys-writable", |bundle| {
            bundle.unmount("/sys").mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev"]);
        }),
        case("cgroup-mount", |bundle| {
            bundle.mount(
                "/sys/fs/cgroup",
                "cgroup",
                "cgroup",
                &["nosuid", "noexec", "nodev", "relatime", "ro"],
            );
        }),
        case("cgroup-mount-of-a-namespace", |bundle| {
            bundle.mount(
                "/sys/fs/cgroup",
                "cgroup",
                "cgroup",
                &["nosuid", "noexec", "nodev", "relatime", "ro"],
            );
            bundle.namespace("cgroup", None);
        }),
        case("cgroup-mount-writable", |bundle| {
            bundle
                .mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "rw"])
                .namespace("cgroup", None);
        }),
        case("user-namespace-bind", |bundle| {
            bundle.user_namespace(100_000, 65536);
            bundle.mount("/b", "bind", &source(bundle), &["rbind", "ro"]);
        })
        .before(TREE),
        case("id-mapped-bind", |bundle| {
            bundle.user_namespace(100_000, 65536);
            bundle.mount("/b", "bind", &source(bundle), &["bind", "idmap"]);
        })
        .before(TREE)
        .more("kind /b/file made"),
    ]
}

fn source(bundle: &Bundle) -> String {
    bundle.dir.join("tree").to_str().unwrap().to_owned()
}

/// A bind mount of the tree with the options.
fn bind(name: &'static str, options: &'static [&'static str]) -> Case {
    let edit = move |bundle: &mut Bundle| {
        let source = source(bundle);
        bundle.mount("/b", "bind", &source, options);
    };
    case(name, edit).before(TREE).more("access /b; access /b/below; access /b/file")
}
