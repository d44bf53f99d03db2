//! `checkpoint` and `restore`: what CRIU is told, decided from the container and what was typed; criu(8).
//!
//! CRIU makes the container's own mounts anew. Others it must be told of, by a name that both verbs know: that of a bind
//! mount is its place in the container, that of a hidden file is `/dev/null`. runc has the same names, so each can restore
//! what the other has dumped.

use crate::criu::message::{Field, Options};
use crate::error::{Error, Result};
use crate::host::mounts::{Mount, below};
use crate::plan::namespaces::file_name;
use crate::spec::linux::{Namespace, NamespaceKind};

/// CRIU's log in the working directory.
pub const DUMP_LOG: &str = "dump.log";
/// As [`DUMP_LOG`].
pub const RESTORE_LOG: &str = "restore.log";

/// The host's file that hides others, and what it is called.
pub const NULL: &str = "/dev/null";

/// Everything that CRIU says is in its log.
const LOG_LEVEL: i64 = 4;

/// File systems that the kernel has one of for a namespace or for the machine: the host has the same, and mounts of it are
/// the container's own all the same.
const SHARED: [&str; 9] =
    ["proc", "sysfs", "mqueue", "cgroup", "cgroup2", "securityfs", "debugfs", "tracefs", "binfmt_misc"];

/// What is dumped.
#[derive(Debug)]
pub struct Dump<'a> {
    /// The container's init.
    pub pid: i32,
    /// Its root file system on the host.
    pub rootfs: &'a str,
    /// The directory of its cgroup with the freezer.
    pub freezer: Option<&'a str>,
    /// Namespaces that it has joined and that stay, with their inodes.
    pub joined: &'a [(NamespaceKind, u64)],
    /// Its mounts.
    pub mounts: &'a [Mount],
    /// The runtime's mounts.
    pub host: &'a [Mount],
    /// Whether it has a cgroup namespace of its own.
    pub own_cgroups: bool,
    /// Files of the host that its stdio is, as CRIU names them.
    pub files: &'a [String],
    /// CRIU's own configuration file.
    pub config: Option<String>,
}

/// Completes what was typed to the request for a dump.
pub fn dump(typed: Options, dump: &Dump<'_>) -> Options {
    let mut options = begin(typed, DUMP_LOG, dump.config.clone());
    options.number(Field::Pid, dump.pid);
    options.text(Field::Root, dump.rootfs);
    if let Some(freezer) = dump.freezer {
        options.text(Field::FreezeCgroup, freezer);
    }
    for (kind, inode) in dump.joined {
        options.text(Field::External, format!("{}[{inode}]:{}", file_name(*kind), external_key(*kind)));
    }
    for (point, name) in external_mounts(dump) {
        options.pair(Field::ExtMnt, point, name);
    }
    for file in dump.files {
        options.text(Field::External, file);
    }
    options
}

/// What both requests have in common. runc and we leave the network devices to those who made them, so CRIU neither dumps
/// nor makes any.
fn begin(typed: Options, log: &str, config: Option<String>) -> Options {
    let mut options = typed;
    options.number(Field::LogLevel, LOG_LEVEL);
    options.text(Field::LogFile, log);
    options.flag(Field::NotifyScripts);
    options.flag(Field::OrphanPtsMaster);
    options.flag(Field::ManageCgroups);
    options.number(Field::EmptyNs, libc::CLONE_NEWNET);
    if let Some(config) = config {
        options.text(Field::ConfigFile, config);
    }
    options
}

/// The mounts that are not the container's own: where they are, and what they are called.
fn external_mounts(dump: &Dump<'_>) -> Vec<(String, String)> {
    let root = dump.mounts.iter().find(|mount| mount.point == "/");
    let null = locate(dump.host, NULL);
    let mut external = Vec::new();
    for mount in dump.mounts.iter().filter(|mount| mount.point != "/") {
        if is_own(mount, root, dump) {
            continue;
        }
        let hides = null.as_ref() == Some(&(mount.device.as_str(), mount.root.clone()));
        external.push((mount.point.clone(), if hides { NULL.to_owned() } else { mount.point.clone() }));
    }
    external
}

/// Whether CRIU finds all it needs of a mount in the container itself.
fn is_own(mount: &Mount, root: Option<&Mount>, dump: &Dump<'_>) -> bool {
    if !dump.host.iter().any(|other| other.device == mount.device) {
        return true;
    }
    if mount.kind.starts_with("cgroup") && dump.own_cgroups {
        return true;
    }
    let shows_all = |mount: &Mount| SHARED.contains(&mount.kind.as_str()) && mount.root == "/";
    let shows = |whole: &Mount| {
        whole.device == mount.device && below(&mount.root, &whole.root).is_some() && whole.id != mount.id
    };
    shows_all(mount)
        || root.is_some_and(shows)
        || dump.mounts.iter().any(|whole| shows_all(whole) && shows(whole))
}

/// Which file of which file system a path of the host is, by its mounts: the last one over it counts.
fn locate<'a>(host: &'a [Mount], path: &str) -> Option<(&'a str, String)> {
    let found = host.iter().filter_map(|mount| Some((mount, below(path, &mount.point)?)));
    let (mount, rest) = found.max_by_key(|(mount, _)| mount.point.len())?;
    Some((&mount.device, format!("{}{rest}", mount.root.trim_end_matches('/'))))
}

/// What is restored.
#[derive(Debug)]
pub struct Restore<'a> {
    /// Where CRIU finds the root file system, a mount point.
    pub root: &'a str,
    /// What it binds: the name in the images, and where it is.
    pub mounts: &'a [(String, String)],
    /// The namespaces of the configuration.
    pub namespaces: &'a [Namespace],
    /// Descriptors that CRIU inherits: their names in the images, their numbers.
    pub inherited: &'a [(String, i32)],
    /// The cgroup of the container: its path in each hierarchy, by the hierarchy's controllers.
    pub cgroups: &'a [(String, String)],
    /// CRIU's own configuration file.
    pub config: Option<String>,
}

/// Completes what was typed to the request for a restore.
pub fn restore(typed: Options, restore: &Restore<'_>) -> Options {
    let mut options = begin(typed, RESTORE_LOG, restore.config.clone());
    options.text(Field::Root, restore.root);
    options.flag(Field::EvasiveDevices);
    options.flag(Field::RstSibling);
    for (point, source) in restore.mounts {
        options.pair(Field::ExtMnt, point, source);
    }
    for namespace in restore.namespaces.iter().filter(|namespace| !stays(namespace.kind)) {
        if let Some(path) = &namespace.path {
            options.pair(Field::JoinNs, file_name(namespace.kind), path);
        }
    }
    for (name, number) in restore.inherited {
        options.numbered(Field::InheritFd, name, *number);
    }
    for (controllers, path) in restore.cgroups {
        options.pair(Field::CgRoot, controllers, path);
    }
    options
}

/// Whether a namespace of this kind that is joined is none of CRIU's affairs, but must be there.
pub fn stays(kind: NamespaceKind) -> bool {
    matches!(kind, NamespaceKind::Network | NamespaceKind::Pid)
}

/// Fails for a namespace that is joined and that CRIU cannot restore a container into.
///
/// # Errors
/// Its place in `config.json`.
pub fn check_namespaces(namespaces: &[Namespace]) -> Result<()> {
    let refused = namespaces.iter().position(|namespace| {
        matches!(namespace.kind, NamespaceKind::Cgroup | NamespaceKind::Mount) && namespace.path.is_some()
    });
    match refused {
        Some(index) => Err(Error::new(format!(
            "linux.namespaces[{index}].path: CRIU cannot restore into a {} namespace that exists",
            namespaces[index].kind
        ))),
        None => Ok(()),
    }
}

/// What runc and crun call a namespace that stays, in the images.
pub fn external_key(kind: NamespaceKind) -> &'static str {
    if kind == NamespaceKind::Network { "extRootNetNS" } else { "extRootPidNS" }
}

/// The kinds of namespaces that a configuration joins.
pub fn joined(namespaces: &[Namespace]) -> Vec<NamespaceKind> {
    namespaces.iter().filter(|namespace| namespace.path.is_some()).map(|namespace| namespace.kind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::mounts::parse;

    /// A machine whose volumes, `/run` and `/dev` are file systems of their own.
    const HOST: &str = "20 1 254:0 / / rw - ext4 /dev/vda rw\n\
        21 20 0:5 / /proc rw - proc proc rw\n\
        22 20 0:6 / /dev rw - devtmpfs devtmpfs rw\n\
        23 20 0:7 / /run rw - tmpfs tmpfs rw\n\
        24 20 0:8 / /sys rw - sysfs sysfs rw\n\
        25 24 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";

    fn names(container: &str, own_cgroups: bool) -> Vec<(String, String)> {
        let root = "90 89 254:0 /b/rootfs / rw - ext4 /dev/vda rw\n".to_owned();
        let (mounts, host) = (parse(&(root + container)), parse(HOST));
        external_mounts(&Dump {
            pid: 1,
            rootfs: "/b/rootfs",
            freezer: None,
            joined: &[],
            mounts: &mounts,
            host: &host,
            own_cgroups,
            files: &[],
            config: None,
        })
    }

    #[test]
    fn mounts_of_the_containers_own_are_criu_s_affair() {
        let own = "91 90 0:44 / /proc rw - proc proc rw\n\
            92 91 0:44 /sys /proc/sys ro - proc proc rw\n\
            93 90 0:45 / /dev rw - tmpfs tmpfs rw\n\
            94 90 0:8 / /sys ro - sysfs sysfs ro\n\
            95 94 0:8 /firmware /sys/firmware ro - sysfs sysfs ro\n\
            96 90 254:0 /b/rootfs/a /c rw - ext4 /dev/vda rw\n\
            97 94 0:30 / /sys/fs/cgroup rw - cgroup cgroup rw,cpu\n";
        assert_eq!(names(own, false), []);
        let cgroup = "98 90 0:30 /web1 /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n";
        assert_eq!(names(cgroup, true), [], "with a cgroup namespace it is the container's own");
        assert_eq!(names(cgroup, false).len(), 1);
    }

    #[test]
    fn mounts_of_the_host_have_the_name_of_their_place() {
        let pair = |point: &str, name: &str| (point.to_owned(), name.to_owned());
        let bound = "91 90 254:0 /srv/data /data rw - ext4 /dev/vda rw\n\
            92 90 0:7 / /run rw - tmpfs tmpfs rw\n\
            93 90 0:6 /null /proc/keys ro - devtmpfs devtmpfs rw\n\
            94 90 0:6 /zero /dev/zero rw - devtmpfs devtmpfs rw\n";
        let expected = [
            pair("/data", "/data"),
            pair("/run", "/run"),
            pair("/proc/keys", "/dev/null"),
            pair("/dev/zero", "/dev/zero"),
        ];
        assert_eq!(names(bound, false), expected);
    }
}
