//! Options and facts made into `config.json` (runtime-spec, config.md). Pure: what depends on the machine or on files of the image
//! comes in as [`Facts`], and the same input gives the same text.
//!
//! The defaults are hardened, docs/decisions.md says how far and why: few capabilities, no new privileges, a seccomp profile, masked and
//! read-only paths of the kernel, devices denied but for those that do no harm, 2048 processes, no swap beyond the memory limit.

pub mod capabilities;
mod mounts;
pub mod resources;
pub mod seccomp;
pub mod users;

use super::ids::Range;
use super::options::{Namespace, Options, is_shared};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use users::Identity;

/// The version of the runtime specification that the text follows: nothing newer is asked for, and older runtimes look at it.
const VERSION: &str = "1.0.2";
/// Where programs are looked for unless the image says otherwise.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Of `/proc` and `/sys`: nothing to see for a container (union of docker's and podman's lists).
const MASKED: [&str; 13] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
];
/// Of `/proc`: to look at, not to change.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// What is known only when a container is started.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// The container's ID.
    pub id: String,
    /// The directory that is the root.
    pub root: String,
    /// `linux.cgroupsPath`.
    pub cgroup: String,
    /// Who runs, from the image's passwd and group.
    pub identity: Identity,
    /// What is mounted, in the order of [`Options::mounts`].
    pub sources: Vec<Source>,
    /// Host paths of the files that are mounted on `/etc/…`, by their targets; those that something else is mounted over are left out.
    pub files: BTreeMap<String, String>,
    /// The paths of namespaces of other containers, by kind.
    pub namespaces: BTreeMap<&'static str, String>,
    /// Devices that exist: [`Options::devices`], or all there are for a privileged container.
    pub devices: Vec<Node>,
    /// The program that reaps, with `--init`.
    pub init: String,
    /// The kernel's name of the machine: `x86_64`.
    pub architecture: String,
    /// Where the CPUs tell of their heat, which tells what neighbours do.
    pub throttles: Vec<String>,
    /// Whether the caller is no root of the machine.
    pub rootless: bool,
    /// The cgroup controllers that can limit something, by their names in v2; nothing means all.
    pub controllers: Option<Vec<String>>,
    /// Whether the cgroups are of version 2.
    pub cgroup_v2: bool,
    /// Whether the host has its POSIX message queues mounted.
    pub mqueue: bool,
    /// Whether swap can be limited.
    pub swap: bool,
    /// The highest `nofile` that can be set.
    pub nofile: i64,
}

/// Where what is mounted is on the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    /// Its path; empty for memory.
    pub path: String,
    /// What its volume says of the mount, whatever was typed: `ro`, `noexec`.
    pub words: Vec<String>,
}

impl From<String> for Source {
    fn from(path: String) -> Self {
        Self { path, words: Vec::new() }
    }
}

/// A device node of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// On the host.
    pub source: String,
    /// In the container.
    pub path: String,
    /// `c` or `b`.
    pub kind: char,
    /// The driver.
    pub major: u32,
    /// The device.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Of `rwm`.
    pub access: String,
}

/// `config.json`.
pub fn config(options: &Options, facts: &Facts) -> Value {
    let mut config = json!({
        "ociVersion": VERSION,
        "process": process(options, facts),
        "root": { "path": facts.root, "readonly": options.read_only },
        "mounts": mounts::mounts(options, facts),
        "linux": linux(options, facts),
    });
    if options.namespaces.uts == Namespace::Private {
        config["hostname"] = hostname(options, &facts.id).into();
        if !options.domainname.is_empty() {
            config["domainname"] = options.domainname.clone().into();
        }
    }
    if !options.annotations.is_empty() {
        config["annotations"] = json!(options.annotations);
    }
    config
}

/// The host name: what was typed, else the front of the ID.
pub fn hostname<'a>(options: &'a Options, id: &'a str) -> &'a str {
    match options.hostname.as_str() {
        "" => &id[..id.len().min(12)],
        name => name,
    }
}

fn process(options: &Options, facts: &Facts) -> Value {
    let mut arguments = options.arguments.clone();
    if options.init {
        arguments.splice(0..0, [mounts::INIT_TARGET.to_owned(), "--".to_owned()]);
    }
    let mut process = process_of(options, facts, &arguments, options.tty);
    process["rlimits"] = resources::rlimits(options, facts);
    if let Some(score) = options.oom_score {
        process["oomScoreAdj"] = score.into();
    }
    process
}

/// `process.user` and `process.capabilities` of whoever a program runs as.
pub fn rights(options: &Options, identity: &Identity) -> (Value, Value) {
    let capabilities = capabilities::bounding(&options.security);
    let held: Vec<&String> = match identity.uid {
        0 => capabilities.iter().collect(),
        // What was asked for by name is kept by others than root, too; a program that gains by set-id gets what is bounding.
        _ => capabilities.iter().filter(|name| options.security.add.contains(name)).collect(),
    };
    let ambient: Vec<&String> = if identity.uid == 0 { Vec::new() } else { held.clone() };
    let mut user = json!({ "uid": identity.uid, "gid": identity.gid });
    if !identity.groups.is_empty() {
        user["additionalGids"] = json!(identity.groups);
    }
    if let Some(umask) = options.umask {
        user["umask"] = umask.into();
    }
    let capabilities = json!({
        "bounding": capabilities,
        "effective": held,
        "permitted": held,
        "inheritable": ambient,
        "ambient": ambient,
    });
    (user, capabilities)
}

/// The part of a process that is the same for the first one and for those that `exec` adds.
pub fn process_of(options: &Options, facts: &Facts, arguments: &[String], tty: bool) -> Value {
    let (user, capabilities) = rights(options, &facts.identity);
    let mut process = json!({
        "terminal": tty,
        "user": user,
        "args": arguments,
        "env": environment(options, facts, tty),
        "cwd": if options.workdir.is_empty() { "/" } else { &options.workdir },
        "capabilities": capabilities,
        "noNewPrivileges": options.security.no_new_privileges,
    });
    match options.security.apparmor.as_str() {
        "" | "unconfined" => {}
        profile => process["apparmorProfile"] = profile.into(),
    }
    if !options.security.selinux.is_empty() {
        process["selinuxLabel"] = options.security.selinux.clone().into();
    }
    process
}

fn environment(options: &Options, facts: &Facts, tty: bool) -> Vec<String> {
    let mut first = vec![PATH.to_owned(), "container=oci".to_owned()];
    if tty {
        first.push("TERM=xterm".into());
    }
    first.push(format!("HOSTNAME={}", hostname(options, &facts.id)));
    first.push(format!("HOME={}", facts.identity.home));
    super::options::merge_env(&[&first, &options.env])
}

fn linux(options: &Options, facts: &Facts) -> Value {
    let mut linux = Map::new();
    linux.insert("namespaces".into(), namespaces(options, facts));
    if let Some(ids) = options.ids.as_ref().filter(|_| options.namespaces.user == Namespace::Private) {
        linux.insert("uidMappings".into(), mappings(&ids.uids));
        linux.insert("gidMappings".into(), mappings(&ids.gids));
    }
    if !facts.cgroup.is_empty() {
        linux.insert("cgroupsPath".into(), facts.cgroup.clone().into());
    }
    linux.insert("resources".into(), resources::resources(options, facts));
    let devices = resources::devices(options, facts);
    if !devices.is_empty() {
        linux.insert("devices".into(), devices.into());
    }
    if options.mounts.iter().any(|mount| mount.options.iter().any(|word| is_shared(word))) {
        // The runtime must not part the mounts from the host's.
        linux.insert("rootfsPropagation".into(), "rshared".into());
    }
    let sysctls = sysctls(options);
    if !sysctls.is_empty() {
        linux.insert("sysctl".into(), json!(sysctls));
    }
    let security = &options.security;
    // What was asked for by name is in force beside `--privileged`, too.
    if security.seccomp.is_some() || !(security.privileged || security.seccomp_unconfined) {
        let profile = match security.seccomp.as_deref().map(serde_json::from_str) {
            Some(Ok(profile)) => profile,
            _ => seccomp::profile(&capabilities::bounding(security), &facts.architecture),
        };
        linux.insert("seccomp".into(), profile);
    }
    if !security.privileged {
        let mut masked = kept(&MASKED, &security.unmask);
        if !security.unmask.iter().any(|path| path == "ALL") {
            masked.extend(facts.throttles.iter().filter(|path| !security.unmask.contains(path)).cloned());
        }
        masked.extend(security.mask.iter().cloned());
        linux.insert("maskedPaths".into(), json!(masked));
        linux.insert("readonlyPaths".into(), json!(kept(&READ_ONLY, &security.unmask)));
    } else if !security.mask.is_empty() {
        linux.insert("maskedPaths".into(), json!(security.mask));
    }
    Value::Object(linux)
}

/// Whether root of the container is not the machine's: he owns neither the host's processes nor its network, and makes no devices.
fn is_guest(options: &Options, facts: &Facts) -> bool {
    facts.rootless || options.ids.is_some()
}

/// Whether a device has to be mounted, since it cannot be made. One that keeps its path is the runtime's care.
fn is_bound(node: &Node, options: &Options, facts: &Facts) -> bool {
    is_guest(options, facts) && node.source != node.path
}

fn kept(paths: &[&str], unmask: &[String]) -> Vec<String> {
    if unmask.iter().any(|path| path == "ALL") {
        return Vec::new();
    }
    paths
        .iter()
        .filter(|path| !unmask.iter().any(|other| other == *path))
        .map(|path| (*path).to_owned())
        .collect()
}

fn mappings(ranges: &[Range]) -> Value {
    let ranges = ranges.iter();
    ranges
        .map(|range| json!({ "containerID": range.inside, "hostID": range.outside, "size": range.count }))
        .collect()
}

/// Its own namespaces; of the kinds that are not there, the runtime's own stay.
fn namespaces(options: &Options, facts: &Facts) -> Value {
    let chosen = &options.namespaces;
    let table = [
        ("mount", &Namespace::Private),
        ("network", &chosen.network),
        ("uts", &chosen.uts),
        ("pid", &chosen.pid),
        ("ipc", &chosen.ipc),
        ("cgroup", &chosen.cgroup),
    ];
    let mut list: Vec<Value> = Vec::new();
    for (kind, namespace) in table {
        match namespace {
            Namespace::Private => list.push(json!({ "type": kind })),
            Namespace::Host => {}
            Namespace::Container(_) => {
                list.extend(facts.namespaces.get(kind).map(|path| json!({ "type": kind, "path": path })))
            }
            Namespace::Path(path) => list.push(json!({ "type": kind, "path": path })),
        }
    }
    match &chosen.user {
        Namespace::Path(path) => list.push(json!({ "type": "user", "path": path })),
        Namespace::Container(_) => {
            list.extend(facts.namespaces.get("user").map(|path| json!({ "type": "user", "path": path })))
        }
        Namespace::Private if options.ids.is_some() => list.push(json!({ "type": "user" })),
        Namespace::Private | Namespace::Host => {}
    }
    Value::Array(list)
}

/// Everybody in a network namespace of its own may ping and listen at any port, as under docker.
fn sysctls(options: &Options) -> BTreeMap<String, String> {
    let mut sysctls = BTreeMap::new();
    if options.namespaces.network == Namespace::Private && !options.security.privileged {
        sysctls.insert("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned());
        sysctls.insert("net.ipv4.ping_group_range".to_owned(), "0 0".to_owned());
    }
    sysctls.extend(options.sysctls.clone());
    sysctls
}

#[cfg(test)]
mod tests;
