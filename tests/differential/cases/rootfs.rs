//! The root file system: devices, links, masks, read-only paths, propagation.

use super::super::case::{Case, case};
use serde_json::json;
use std::fs;

/// The bundles.
pub fn cases() -> Vec<Case> {
    [roots(), devices(), masks()].into_iter().flatten().collect()
}

/// The root.
fn roots() -> Vec<Case> {
    vec![
        case("root-read-only", |bundle| {
            bundle.set("/root/readonly", json!(true));
        })
        .more("access /; access /etc/passwd"),
        case("root-absolute", |bundle| {
            let path = bundle.rootfs();
            bundle.set("/root/path", json!(path));
        }),
        case("root-missing", |bundle| {
            bundle.set("/root/path", json!("nowhere"));
        }),
        case("root-slave", |bundle| {
            bundle.set("/linux/rootfsPropagation", json!("slave"));
        })
        .before("mount --make-rshared /"),
        case("root-shared", |bundle| {
            bundle.set("/linux/rootfsPropagation", json!("shared"));
        })
        .before("mount --make-rshared /"),
        case("root-private", |bundle| {
            bundle.set("/linux/rootfsPropagation", json!("private"));
        })
        .before("mount --make-rshared /"),
        case("root-unbindable", |bundle| {
            bundle.set("/linux/rootfsPropagation", json!("unbindable"));
        }),
        case("root-propagation-absent", |_| {}).before("mount --make-rshared /"),
    ]
}

/// Devices.
fn devices() -> Vec<Case> {
    vec![
        case("devices", |bundle| {
            let device = |path: &str, kind: &str, major: i64, minor: i64| json!({ "path": path, "type": kind, "major": major, "minor": minor, "fileMode": 0o640, "uid": 3, "gid": 4 });
            bundle.set(
                "/linux/devices",
                json!([device("/dev/fuse", "c", 10, 229), device("/dev/deep/block", "b", 7, 0), device("/dev/unbuffered", "u", 1, 3),
                    { "path": "/dev/pipe", "type": "p" }, { "path": "/dev/bare", "type": "c", "major": 1, "minor": 5 }]),
            );
        }),
        case("device-replaced", |bundle| {
            bundle.push(
                "/linux/devices",
                json!({ "path": "/dev/full", "type": "c", "major": 1, "minor": 7, "fileMode": 0o600, "uid": 9, "gid": 9 }),
            );
        }),
        case("device-outside-dev", |bundle| {
            bundle
                .push("/linux/devices", json!({ "path": "/srv/null", "type": "c", "major": 1, "minor": 3 }));
        })
        .more("kind /srv made; kind /srv/null made"),
        case("devices-of-a-user-namespace", |bundle| {
            bundle.user_namespace(100_000, 65536);
            bundle.push(
                "/linux/devices",
                json!({ "path": "/dev/fuse", "type": "c", "major": 10, "minor": 229 }),
            );
        }),
        case("device-of-a-wrong-type", |bundle| {
            bundle.push("/linux/devices", json!({ "path": "/dev/x", "type": "x", "major": 1, "minor": 3 }));
        }),
        case("dev-bound", |bundle| {
            for point in ["/dev/pts", "/dev/shm", "/dev/mqueue", "/dev"] {
                bundle.unmount(point);
            }
            bundle.mount("/dev", "bind", "/dev", &["rbind", "rslave"]);
        }),
        case("dev-of-the-image", |bundle| {
            for point in ["/dev/pts", "/dev/shm", "/dev/mqueue", "/dev"] {
                bundle.unmount(point);
            }
        }),
        case("no-mounts", |bundle| {
            bundle
                .set("/mounts", json!([]))
                .set("/linux/maskedPaths", json!([]))
                .set("/linux/readonlyPaths", json!([]));
        }),
        case("no-devpts", |bundle| {
            bundle.unmount("/dev/pts");
        }),
    ]
}

/// Masks and read-only paths.
fn masks() -> Vec<Case> {
    vec![
        case("masks-absent", |bundle| {
            bundle.unset("/linux/maskedPaths").unset("/linux/readonlyPaths");
        }),
        case("masks-of-the-image", |bundle| {
            fs::create_dir_all(bundle.rootfs().join("secret/deep")).unwrap();
            fs::write(bundle.rootfs().join("etc/key"), "key").unwrap();
            fs::write(bundle.rootfs().join("etc/fixed"), "fixed").unwrap();
            bundle.set("/linux/maskedPaths", json!(["/secret", "/etc/key", "/no/such"]));
            bundle.set("/linux/readonlyPaths", json!(["/etc/fixed", "/tmp", "/no/such"]));
        })
        .more("access /secret; access /etc/key; access /etc/fixed"),
        case("masks-twice", |bundle| {
            bundle.set(
                "/linux/maskedPaths",
                json!(["/proc/kcore", "/proc/kcore", "/sys/firmware", "/sys/firmware"]),
            );
        }),
        case("read-only-below-a-mount", |bundle| {
            bundle.mount("/t", "tmpfs", "t", &["nosuid", "nodev", "noexec"]);
            bundle.set("/linux/readonlyPaths", json!(["/t", "/proc/sys", "/dev/shm"]));
        })
        .more("access /t"),
        case("masks-of-a-user-namespace", |bundle| {
            bundle
                .user_namespace(100_000, 65536)
                .set("/linux/maskedPaths", json!(["/proc/kcore", "/sys/firmware", "/etc"]));
        })
        .more("access /etc"),
    ]
}
