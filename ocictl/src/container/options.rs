//! What a container is to be, in one value: what was typed, over what its image says. It is stored with the container as JSON, and
//! [`super::spec`] turns it into `config.json`. Words become types in [`super::parse`].

mod health;
mod mounts;

use super::ids::{Ids, Range};
use crate::oci::Config;
pub use health::{Health, HealthTyped, OnUnhealthy};
pub use mounts::{ImageUse, Mount, MountKind, Rootfs, is_shared};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything about a container that is decided when it is created.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// The program and its arguments: entry point and command, joined.
    pub arguments: Vec<String>,
    /// How many of the arguments are the entry point.
    pub entrypoint_length: usize,
    /// `NAME=value`; of one name, the last counts.
    pub env: Vec<String>,
    /// `user[:group]`, names or numbers; empty for root.
    pub user: String,
    /// Supplementary groups, names or numbers.
    pub groups: Vec<String>,
    /// The working directory; empty for `/`.
    pub workdir: String,
    /// The host name; empty for the front of the ID.
    pub hostname: String,
    /// The NIS domain; empty to keep the kernel's.
    pub domainname: String,
    /// Lines for `/etc/hosts`: name and address.
    pub hosts: Vec<(String, String)>,
    /// For `/etc/resolv.conf`; empty for the host's.
    pub dns: Dns,
    /// Whether there is a terminal.
    pub tty: bool,
    /// Whether somebody may write to stdin.
    pub interactive: bool,
    /// Whether the container goes when it has ended.
    pub remove: bool,
    /// Labels: for people and filters.
    pub labels: BTreeMap<String, String>,
    /// Annotations: for the runtime and its hooks.
    pub annotations: BTreeMap<String, String>,
    /// What the program may do.
    pub security: Security,
    /// Limits.
    pub resources: Resources,
    /// rlimits.
    pub ulimits: Vec<Ulimit>,
    /// Devices of the host.
    pub devices: Vec<Device>,
    /// What is mounted over the root, in the order of the command line.
    pub mounts: Vec<Mount>,
    /// Directories that the image wants on volumes; creating the container makes mounts of them.
    #[serde(skip)]
    pub image_volumes: Vec<String>,
    /// Whether the root is read-only.
    pub read_only: bool,
    /// Whether a read-only root has fresh `/tmp`, `/var/tmp`, `/run` to write to.
    pub read_only_tmpfs: bool,
    /// Bytes of `/dev/shm`; 0 for 64 MiB.
    pub shm_bytes: u64,
    /// Whether a small init reaps the children of others.
    pub init: bool,
    /// The signal that asks the program to end; empty for SIGTERM.
    pub stop_signal: String,
    /// Seconds between that and SIGKILL.
    pub stop_timeout: Option<u64>,
    /// Namespaces.
    pub namespaces: Namespaces,
    /// What the ids of its own user namespace stand for; nothing where it has none of its own, or its ids are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ids: Option<Ids>,
    /// Kernel parameters of its namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// What happens when the program ends.
    pub restart: Restart,
    /// How to find out whether the program is well.
    pub health: Option<Health>,
    /// What happens to what it prints.
    pub log: Log,
    /// Ports that the image says its program listens at: `80/tcp`.
    pub exposed: Vec<String>,
    /// oom_score_adj.
    pub oom_score: Option<i32>,
    /// The cgroup that the container's own is made in; empty for the top.
    pub cgroup_parent: String,
    /// The file mode creation mask.
    pub umask: Option<u32>,
    /// The root, where it is no image.
    pub rootfs: Option<Rootfs>,
    /// The OCI runtime, as it was named; empty for the default.
    pub runtime: String,
}

/// `/etc/resolv.conf`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dns {
    /// Name servers.
    pub servers: Vec<String>,
    /// Search domains.
    pub search: Vec<String>,
    /// Options.
    pub options: Vec<String>,
}

/// What the program may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Security {
    /// Everything that root may do.
    pub privileged: bool,
    /// Capabilities beyond the default ones, `CAP_…` or `ALL`.
    pub add: Vec<String>,
    /// Capabilities to take away, `CAP_…` or `ALL`.
    pub drop: Vec<String>,
    /// Whether execve(2) can never give privileges.
    pub no_new_privileges: bool,
    /// A seccomp profile's JSON; nothing for the built-in one.
    pub seccomp: Option<String>,
    /// Whether there is no filter at all.
    pub seccomp_unconfined: bool,
    /// AppArmor's profile; empty for the runtime's default.
    pub apparmor: String,
    /// SELinux' label of the process; empty for none.
    pub selinux: String,
    /// Options of `/proc` beyond the default ones: `hidepid=invisible`.
    pub proc_options: Vec<String>,
    /// Paths to mask beyond the default ones.
    pub mask: Vec<String>,
    /// Default masks and read-only paths to leave out; `ALL` for all.
    pub unmask: Vec<String>,
}

/// Limits; nothing where the kernel's default counts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Bytes of memory.
    pub memory: Option<i64>,
    /// Bytes of memory and swap together; -1 for any.
    pub memory_swap: Option<i64>,
    /// Bytes that are taken back last.
    pub memory_reservation: Option<i64>,
    /// Whether the kernel leaves the container alone when memory runs out.
    pub oom_kill_disable: bool,
    /// CPU time in thousandths of a CPU.
    pub cpu_millis: Option<u64>,
    /// Microseconds of a period, and those of them in which it may run.
    pub cpu_period: Option<u64>,
    /// As above.
    pub cpu_quota: Option<i64>,
    /// Weight against others, 1024 by default.
    pub cpu_shares: Option<u64>,
    /// CPUs to run on: `0-2,4`.
    pub cpuset_cpus: String,
    /// Memory nodes to use.
    pub cpuset_mems: String,
    /// Processes; -1 for any, 2048 if nothing is said.
    pub pids: Option<i64>,
    /// Weight of its input and output, 10 to 1000.
    pub blkio_weight: Option<u16>,
}

/// An rlimit; -1 is no limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// As `ulimit` says it: `nofile`.
    pub name: String,
    /// The limit in force.
    pub soft: i64,
    /// What it can be raised to.
    pub hard: i64,
}

/// A device of the host, or all in a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// On the host.
    pub source: String,
    /// In the container.
    pub target: String,
    /// Of `rwm`.
    pub access: String,
}

/// Where each namespace comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespaces {
    /// `--network`.
    pub network: Namespace,
    /// `--pid`.
    pub pid: Namespace,
    /// `--ipc`.
    pub ipc: Namespace,
    /// `--uts`.
    pub uts: Namespace,
    /// `--cgroupns`.
    pub cgroup: Namespace,
    /// `--userns`: [`Namespace::Host`] is none.
    pub user: Namespace,
}

/// Where a namespace comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Namespace {
    /// One of its own; for the user namespace, what fits the caller.
    #[default]
    Private,
    /// The host's.
    Host,
    /// That of another container, by ID.
    Container(String),
    /// That behind a file.
    Path(String),
}

/// What was typed as `--userns`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserNamespace {
    /// None of its own.
    Host,
    /// One of its own, with ids that were typed; without root, with all that the user has.
    Private,
    /// One in which an ordinary user is himself, or somebody else who was named.
    KeepId {
        /// Who he is in the container; nothing for who he is.
        uid: Option<u32>,
        /// As above.
        gid: Option<u32>,
    },
    /// One in which an ordinary user is nobody.
    NoMap,
    /// One with ids that no other container has.
    Auto {
        /// How many; nothing for as many as the image needs.
        size: Option<u32>,
        /// What users are to stand for, whatever is picked for the others.
        uids: Vec<Range>,
        /// As above, of groups.
        gids: Vec<Range>,
    },
    /// That of another container.
    Container(String),
    /// That behind a file.
    Path(String),
}

impl Namespaces {
    /// Those of other containers, which have to run: the kind and the ID.
    pub fn of_others(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let table = [
            ("network", &self.network),
            ("pid", &self.pid),
            ("ipc", &self.ipc),
            ("uts", &self.uts),
            ("cgroup", &self.cgroup),
            ("user", &self.user),
        ];
        table.into_iter().filter_map(|(kind, namespace)| match namespace {
            Namespace::Container(id) => Some((kind, id.as_str())),
            _ => None,
        })
    }
}

/// What happens when the program ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Nothing.
    #[default]
    No,
    /// It is started again if it failed, at most so many times; 0 for any number.
    OnFailure(u32),
    /// It is started again.
    Always,
    /// It is started again unless it was stopped.
    UnlessStopped,
}

impl Restart {
    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Restart::No => "no",
            Restart::OnFailure(_) => "on-failure",
            Restart::Always => "always",
            Restart::UnlessStopped => "unless-stopped",
        }
    }
}

/// What happens to what the program prints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Log {
    /// How it is written.
    pub driver: LogDriver,
    /// Bytes of a file, after which the next begins; 0 for any number.
    pub max_bytes: u64,
    /// Files that are kept, the one that is written included.
    pub max_files: u32,
    /// The file; empty for one in the container's directory.
    pub path: String,
}

/// How output is written down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogDriver {
    /// As kubelet and podman read it: `TIME stdout F TEXT`.
    #[default]
    K8sFile,
    /// As docker writes it: a JSON object a line.
    JsonFile,
    /// Not at all.
    None,
}

impl LogDriver {
    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            LogDriver::K8sFile => "k8s-file",
            LogDriver::JsonFile => "json-file",
            LogDriver::None => "none",
        }
    }
}

/// What was typed that an image has a word in, too.
#[derive(Debug, Clone, Default)]
pub struct Typed {
    /// `--entrypoint`: one word that is empty takes the image's away.
    pub entrypoint: Option<Vec<String>>,
    /// What follows the image's name.
    pub command: Vec<String>,
    /// `--health-…`.
    pub health: HealthTyped,
}

impl Options {
    /// Fills in what was not typed from the image, as docker does: an entry point that was typed takes the image's command away.
    pub fn complete(&mut self, typed: Typed, image: &Config) {
        let entrypoint = match &typed.entrypoint {
            Some(words) if words.iter().all(String::is_empty) => Vec::new(),
            Some(words) => words.clone(),
            None => image.entrypoint.clone(),
        };
        let command = match typed.command.is_empty() && typed.entrypoint.is_none() {
            true => image.cmd.clone(),
            false => typed.command,
        };
        self.entrypoint_length = entrypoint.len();
        self.arguments = [entrypoint, command].concat();
        self.env = merge_env(&[&image.env, &self.env]);
        for (field, value) in [
            (&mut self.user, &image.user),
            (&mut self.workdir, &image.working_dir),
            (&mut self.stop_signal, &image.stop_signal),
        ] {
            if field.is_empty() {
                field.clone_from(value);
            }
        }
        for (name, value) in &image.labels {
            self.labels.entry(name.clone()).or_insert_with(|| value.clone());
        }
        self.image_volumes = image.volumes.keys().cloned().collect();
        self.exposed.extend(image.exposed_ports.keys().cloned());
        self.exposed.sort();
        self.exposed.dedup();
        self.health = health::health(&typed.health, image.healthcheck.as_ref());
    }
}

/// Of one name the last value counts, in the place of the first.
pub fn merge_env(lists: &[&[String]]) -> Vec<String> {
    let mut merged: Vec<String> = Vec::new();
    for entry in lists.iter().flat_map(|list| list.iter()) {
        let name = entry.split('=').next().unwrap_or_default();
        match merged.iter_mut().find(|other| other.split('=').next() == Some(name)) {
            Some(other) => other.clone_from(entry),
            None => merged.push(entry.clone()),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn entry_point_and_command_are_joined_as_docker_does() {
        // image's entry point, image's command, typed entry point, typed command, arguments
        type Row = (
            &'static [&'static str],
            &'static [&'static str],
            Option<&'static [&'static str]>,
            &'static [&'static str],
            &'static [&'static str],
        );
        let table: [Row; 6] = [
            (&[], &["sh"], None, &[], &["sh"]),
            (&["/e"], &["c"], None, &[], &["/e", "c"]),
            (&["/e"], &["c"], None, &["x"], &["/e", "x"]),
            (&["/e"], &["c"], Some(&["/n"]), &[], &["/n"]),
            (&["/e"], &["c"], Some(&["/n"]), &["x"], &["/n", "x"]),
            (&["/e"], &["c"], Some(&[""]), &["x"], &["x"]),
        ];
        for (entrypoint, cmd, typed, command, wanted) in table {
            let image = Config { entrypoint: strings(entrypoint), cmd: strings(cmd), ..Config::default() };
            let typed =
                Typed { entrypoint: typed.map(strings), command: strings(command), ..Typed::default() };
            let mut options = Options::default();
            options.complete(typed, &image);
            assert_eq!(options.arguments, strings(wanted), "{entrypoint:?} {cmd:?}");
        }
    }

    #[test]
    fn of_one_variable_the_last_value_counts() {
        let merged = merge_env(&[&strings(&["A=1", "B=2"]), &strings(&["A=3", "C="])]);
        assert_eq!(merged, strings(&["A=3", "B=2", "C="]));
    }
}
