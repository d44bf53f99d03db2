//! What is mounted in a container: the kernel's file systems, the files of `/etc` that are made for it, and what was typed.

use super::{Facts, Source, is_bound, is_guest};
use crate::container::options::{Mount, MountKind, Namespace, Options};
use serde_json::{Value, json};

/// Where the small init of `--init` is.
pub const INIT_TARGET: &str = "/dev/oci-init";
const SHM_BYTES: u64 = 64 << 20;

/// `mounts`, parents before what lies in them.
pub fn mounts(options: &Options, facts: &Facts) -> Value {
    let mut list = system(options, facts);
    if options.read_only && options.read_only_tmpfs {
        for (target, mode) in [("/run", "755"), ("/tmp", "1777"), ("/var/tmp", "1777")] {
            list.push(entry(target, "tmpfs", "tmpfs", &["nosuid", "nodev", &format!("mode={mode}")]));
        }
    }
    if options.init {
        list.push(entry(INIT_TARGET, "bind", &facts.init, &["bind", "ro", "rprivate", "nosuid", "nodev"]));
    }
    for node in facts.devices.iter().filter(|node| is_bound(node, options, facts)) {
        list.push(entry(&node.path, "bind", &node.source, &["bind", "rprivate", "nosuid", "noexec"]));
    }
    for (target, source) in &facts.files {
        list.push(entry(target, "bind", source, &["bind", "rprivate", "nosuid", "nodev", "noexec"]));
    }
    for (mount, source) in options.mounts.iter().zip(&facts.sources) {
        list.push(typed(mount, source));
    }
    // What was typed for a place stands for what would be there by itself.
    let mut kept: Vec<Value> = Vec::new();
    for mount in list {
        kept.retain(|other| other["destination"] != mount["destination"]);
        kept.push(mount);
    }
    // The order of typing, but a place before what lies in it.
    kept.sort_by_key(|mount| {
        mount["destination"]
            .as_str()
            .map_or(0, |target| target.split('/').filter(|part| !part.is_empty()).count())
    });
    Value::Array(kept)
}

fn entry(target: &str, kind: &str, source: &str, options: &[&str]) -> Value {
    json!({ "destination": target, "type": kind, "source": source, "options": options })
}

fn system(options: &Options, facts: &Facts) -> Vec<Value> {
    let privileged = options.security.privileged;
    let own_network = options.namespaces.network != Namespace::Host;
    let writable = if privileged { "rw" } else { "ro" };
    let is_guest = is_guest(options, facts);
    let host_pids = options.namespaces.pid == Namespace::Host && is_guest;
    let mut list = vec![match host_pids {
        // A procfs of the host's processes cannot be mounted without owning them.
        true => entry("/proc", "bind", "/proc", &["rbind", "nosuid", "noexec", "nodev"]),
        false => {
            let mut words = vec!["nosuid", "noexec", "nodev"];
            words.extend(options.security.proc_options.iter().map(String::as_str));
            entry("/proc", "proc", "proc", &words)
        }
    }];
    list.push(entry(
        "/dev",
        "tmpfs",
        "tmpfs",
        &["nosuid", "noexec", "strictatime", "mode=755", "size=65536k"],
    ));
    let mut pts = vec!["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
    let has_tty_group = match &options.ids {
        Some(ids) => ids.outside(0, 5).is_some(),
        None => !facts.rootless,
    };
    if has_tty_group {
        pts.push("gid=5");
    }
    list.push(entry("/dev/pts", "devpts", "devpts", &pts));
    list.push(match (is_guest && !own_network, writable) {
        // A sysfs of a network namespace that is not ours cannot be mounted.
        (true, _) => entry("/sys", "bind", "/sys", &["rbind", "nosuid", "noexec", "nodev", "ro"]),
        (false, writable) => entry("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", writable]),
    });
    if !is_guest || own_network {
        list.push(entry(
            "/sys/fs/cgroup",
            "cgroup",
            "cgroup",
            &["nosuid", "noexec", "nodev", "relatime", writable],
        ));
    }
    match &options.namespaces.ipc {
        Namespace::Host => {
            if facts.mqueue {
                list.push(entry(
                    "/dev/mqueue",
                    "bind",
                    "/dev/mqueue",
                    &["bind", "nosuid", "noexec", "nodev"],
                ));
            }
            list.push(entry("/dev/shm", "bind", "/dev/shm", &["bind", "nosuid", "noexec", "nodev"]));
        }
        Namespace::Container(_) if facts.namespaces.contains_key("shm") => {
            list.push(entry("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]));
            list.push(entry(
                "/dev/shm",
                "bind",
                &facts.namespaces["shm"],
                &["bind", "nosuid", "noexec", "nodev"],
            ));
        }
        _ => {
            list.push(entry("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]));
            let bytes = if options.shm_bytes == 0 { SHM_BYTES } else { options.shm_bytes };
            list.push(entry(
                "/dev/shm",
                "tmpfs",
                "shm",
                &["nosuid", "noexec", "nodev", "mode=1777", &format!("size={bytes}")],
            ));
        }
    }
    list
}

fn typed(mount: &Mount, source: &Source) -> Value {
    let mut words: Vec<&str> =
        mount.options.iter().map(String::as_str).filter(|word| !matches!(*word, "z" | "Z" | "U")).collect();
    if mount.kind == MountKind::Tmpfs {
        // The order lets a word that was typed win.
        let mut all = vec!["nosuid", "nodev"];
        if !words.contains(&"exec") {
            all.push("noexec");
        }
        if !words.iter().any(|word| word.starts_with("mode=")) {
            all.push("mode=1777");
        }
        all.extend(words);
        return entry(&mount.target, "tmpfs", "tmpfs", &all);
    }
    if !words.iter().any(|word| matches!(*word, "bind" | "rbind")) {
        words.insert(0, "rbind");
    }
    const PROPAGATION: [&str; 8] =
        ["private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable"];
    if !words.iter().any(|word| PROPAGATION.contains(word)) {
        words.push("rprivate");
    }
    // A volume holds no devices and no set-id programs that count, unless that was asked for.
    if matches!(mount.kind, MountKind::Volume(_) | MountKind::Anonymous(_)) {
        for (word, opposite) in [("nosuid", "suid"), ("nodev", "dev")] {
            if !words.contains(&word) && !words.contains(&opposite) {
                words.push(word);
            }
        }
    }
    // The last word counts.
    words.extend(source.words.iter().map(String::as_str));
    entry(&mount.target, "bind", &source.path, &words)
}
