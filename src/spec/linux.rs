//! What is particular to Linux (config-linux.md): namespaces, id maps, devices, and how the rootfs is restricted.

use super::lenient::{non_empty, or_default};
use super::scheduling::MemoryPolicy;
use super::word::words;
use super::{Resources, Seccomp};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The `linux` object.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Linux {
    /// Namespaces to create or to join; those that are not listed are the runtime's own.
    #[serde(deserialize_with = "or_default")]
    pub namespaces: Vec<Namespace>,
    /// Users of the new user namespace.
    #[serde(deserialize_with = "or_default")]
    pub uid_mappings: Vec<IdMapping>,
    /// Groups of the new user namespace.
    #[serde(deserialize_with = "or_default")]
    pub gid_mappings: Vec<IdMapping>,
    /// Device nodes beyond the default ones.
    #[serde(deserialize_with = "or_default")]
    pub devices: Vec<Device>,
    /// Network devices to move in, by their names on the host.
    #[serde(deserialize_with = "or_default")]
    pub net_devices: BTreeMap<String, NetDevice>,
    /// Where in the cgroup tree: a path, or `slice:prefix:name` with systemd.
    #[serde(deserialize_with = "non_empty")]
    pub cgroups_path: Option<String>,
    /// Kernel parameters to set, by name.
    #[serde(deserialize_with = "or_default")]
    pub sysctl: BTreeMap<String, String>,
    /// Mount propagation of the rootfs.
    #[serde(deserialize_with = "propagation_or_none")]
    pub rootfs_propagation: Option<Propagation>,
    /// Paths that become unreadable.
    #[serde(deserialize_with = "or_default")]
    pub masked_paths: Vec<String>,
    /// Paths that become read-only.
    #[serde(deserialize_with = "or_default")]
    pub readonly_paths: Vec<String>,
    /// SELinux context of the mounts.
    #[serde(deserialize_with = "non_empty")]
    pub mount_label: Option<String>,
    /// Execution domain.
    pub personality: Option<Personality>,
    /// NUMA memory policy.
    pub memory_policy: Option<MemoryPolicy>,
    /// Intel resource director.
    pub intel_rdt: Option<IntelRdt>,
    /// Offsets of the new time namespace.
    #[serde(deserialize_with = "or_default")]
    pub time_offsets: BTreeMap<Clock, TimeOffset>,
    /// System call filter.
    pub seccomp: Option<Seccomp>,
    /// Limits for the cgroup.
    pub resources: Option<Resources>,
}

impl Linux {
    /// The entry of a kind of namespace, if it is listed: created or joined.
    pub fn namespace(&self, kind: NamespaceKind) -> Option<&Namespace> {
        self.namespaces.iter().find(|namespace| namespace.kind == kind)
    }
}

/// A namespace to create, or to join.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Namespace {
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: NamespaceKind,
    /// Absolute path of the namespace to join; none for a new one.
    #[serde(default, deserialize_with = "non_empty")]
    pub path: Option<String>,
}

words! {
    /// A kind of namespace (namespaces(7)).
    pub enum NamespaceKind: "namespace" {
        /// Process ids.
        Pid = "pid",
        /// Network devices, addresses, ports.
        Network = "network",
        /// The mount table.
        Mount = "mount",
        /// System V IPC and POSIX message queues.
        Ipc = "ipc",
        /// Host and domain name.
        Uts = "uts",
        /// User and group ids.
        User = "user",
        /// The root of the cgroup tree.
        Cgroup = "cgroup",
        /// Monotonic and boot-time clocks.
        Time = "time",
    }
}

/// A range of ids of the container and the ids outside that stand for them (user_namespaces(7)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct IdMapping {
    /// First id in the container.
    #[serde(rename = "containerID", deserialize_with = "or_default")]
    pub container_id: u32,
    /// First id outside.
    #[serde(rename = "hostID", deserialize_with = "or_default")]
    pub host_id: u32,
    /// How many ids.
    #[serde(deserialize_with = "or_default")]
    pub size: u32,
}

/// A device node, which mknod(2) makes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// Absolute path in the container.
    #[serde(default, deserialize_with = "or_default")]
    pub path: String,
    /// What kind of node.
    #[serde(rename = "type")]
    pub kind: DeviceKind,
    /// Major number; without meaning for a pipe.
    pub major: Option<i64>,
    /// Minor number; without meaning for a pipe.
    pub minor: Option<i64>,
    /// Permissions; other bits are without meaning.
    pub file_mode: Option<u32>,
    /// Owner, as the container sees it.
    #[serde(default, deserialize_with = "or_default")]
    pub uid: u32,
    /// Group, as the container sees it.
    #[serde(default, deserialize_with = "or_default")]
    pub gid: u32,
}

words! {
    /// A kind of device node (mknod(1)).
    pub enum DeviceKind: "device type" {
        /// Character device.
        Char = "c",
        /// Character device, by its old letter.
        Unbuffered = "u",
        /// Block device.
        Block = "b",
        /// Named pipe.
        Fifo = "p",
    }
}

/// A network device to move into the container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NetDevice {
    /// Its name there, perhaps with `%d` at the end; none keeps the name.
    #[serde(deserialize_with = "non_empty")]
    pub name: Option<String>,
}

words! {
    /// How mount events travel to and from the rootfs (mount_namespaces(7)); `r` words mean the mounts below it too.
    pub enum Propagation: "mount propagation" {
        /// In both directions.
        Shared = "shared",
        /// Inwards.
        Slave = "slave",
        /// Not at all.
        Private = "private",
        /// Not at all, and it cannot be bind-mounted.
        Unbindable = "unbindable",
        /// `shared`, recursively.
        RShared = "rshared",
        /// `slave`, recursively.
        RSlave = "rslave",
        /// `private`, recursively.
        RPrivate = "rprivate",
        /// `unbindable`, recursively.
        RUnbindable = "runbindable",
    }
}

/// What personality(2) is told.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Personality {
    /// The execution domain.
    pub domain: PersonalityDomain,
    /// The specification defines none: what is here is warned about and ignored.
    #[serde(default, deserialize_with = "or_default")]
    pub flags: Vec<String>,
}

words! {
    /// An execution domain.
    pub enum PersonalityDomain: "personality domain" {
        /// The machine as it is.
        Linux = "LINUX",
        /// uname(2) names the 32-bit machine.
        Linux32 = "LINUX32",
    }
}

/// Shares of cache and memory bandwidth (the kernel's Documentation/filesystems/resctrl.rst).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct IntelRdt {
    /// Class of service, a directory of resctrl; `/` is the default class, none the container's id.
    #[serde(rename = "closID", deserialize_with = "non_empty")]
    pub clos_id: Option<String>,
    /// The line `L3:…`.
    #[serde(deserialize_with = "non_empty")]
    pub l3_cache_schema: Option<String>,
    /// The line `MB:…`.
    #[serde(deserialize_with = "non_empty")]
    pub mem_bw_schema: Option<String>,
    /// Lines to write as they are, after the other two.
    #[serde(deserialize_with = "or_default")]
    pub schemata: Vec<String>,
    /// Whether the container gets a monitoring group.
    #[serde(deserialize_with = "or_default")]
    pub enable_monitoring: bool,
}

words! {
    /// A clock of which a time namespace has its own (time_namespaces(7)).
    pub enum Clock: "clock" {
        /// `CLOCK_MONOTONIC`.
        Monotonic = "monotonic",
        /// `CLOCK_BOOTTIME`.
        Boottime = "boottime",
    }
}

/// How far a clock of the container is ahead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct TimeOffset {
    /// Seconds, perhaps negative.
    #[serde(deserialize_with = "or_default")]
    pub secs: i64,
    /// Nanoseconds to add.
    #[serde(deserialize_with = "or_default")]
    pub nanosecs: u32,
}

/// Reads a propagation, where an empty word is none.
fn propagation_or_none<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Propagation>, D::Error> {
    let word = non_empty(deserializer)?;
    word.map(|word| Propagation::deserialize(serde::de::value::StringDeserializer::new(word))).transpose()
}
