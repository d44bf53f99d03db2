//! The container's process (config.md, "Process"); `exec --process` reads the same document, and the state keeps it for
//! `exec`.

use super::lenient::{non_empty, or_default};
use super::scheduling::{CpuAffinity, IoPriority, Scheduler};
use super::word::words;
use serde::{Deserialize, Serialize};

/// A program to run in the container, and as whom.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Process {
    /// Whether the standard streams are a terminal.
    #[serde(deserialize_with = "or_default")]
    pub terminal: bool,
    /// The size of the terminal; without meaning where there is none.
    pub console_size: Option<ConsoleSize>,
    /// Absolute path of the working directory, in the container.
    #[serde(deserialize_with = "or_default")]
    pub cwd: String,
    /// The program, looked up in the container's `PATH`, and its arguments.
    #[serde(deserialize_with = "or_default")]
    pub args: Vec<String>,
    /// Environment, each entry `NAME=value`; the last of one name counts.
    #[serde(deserialize_with = "or_default")]
    pub env: Vec<String>,
    /// User and groups, as numbers of the container's user namespace.
    #[serde(deserialize_with = "or_default")]
    pub user: User,
    /// Capability sets; absent means that the process keeps what it has.
    pub capabilities: Option<Capabilities>,
    /// Resource limits; the last of one type counts.
    #[serde(deserialize_with = "or_default")]
    pub rlimits: Vec<Rlimit>,
    /// Whether the process can never gain privileges.
    #[serde(deserialize_with = "or_default")]
    pub no_new_privileges: bool,
    /// AppArmor profile to enter.
    #[serde(deserialize_with = "non_empty")]
    pub apparmor_profile: Option<String>,
    /// SELinux label to run with.
    #[serde(deserialize_with = "non_empty")]
    pub selinux_label: Option<String>,
    /// Value for `/proc/PID/oom_score_adj`; absent means that it is left alone.
    pub oom_score_adj: Option<i32>,
    /// Scheduling policy.
    pub scheduler: Option<Scheduler>,
    /// I/O priority.
    pub io_priority: Option<IoPriority>,
    /// CPUs for `exec` before and after it enters the cgroup.
    #[serde(rename = "execCPUAffinity")]
    pub exec_cpu_affinity: Option<CpuAffinity>,
}

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct ConsoleSize {
    /// Rows.
    #[serde(deserialize_with = "or_default")]
    pub height: u64,
    /// Columns.
    #[serde(deserialize_with = "or_default")]
    pub width: u64,
}

/// User and groups of a process (config.md, "POSIX-platform User").
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct User {
    /// User id.
    #[serde(deserialize_with = "or_default")]
    pub uid: u32,
    /// Group id.
    #[serde(deserialize_with = "or_default")]
    pub gid: u32,
    /// File mode creation mask, if it is given.
    pub umask: Option<u32>,
    /// Supplementary groups.
    #[serde(deserialize_with = "or_default")]
    pub additional_gids: Vec<u32>,
}

/// Capability sets by name (capabilities(7)). Names stay strings: an unknown one is warned about, never refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Capabilities {
    /// What execve(2) can ever give.
    #[serde(deserialize_with = "or_default")]
    pub bounding: Vec<String>,
    /// What the kernel checks.
    #[serde(deserialize_with = "or_default")]
    pub effective: Vec<String>,
    /// What survives the execve(2) of a file that inherits it.
    #[serde(deserialize_with = "or_default")]
    pub inheritable: Vec<String>,
    /// What may become effective.
    #[serde(deserialize_with = "or_default")]
    pub permitted: Vec<String>,
    /// What survives the execve(2) of an ordinary file.
    #[serde(deserialize_with = "or_default")]
    pub ambient: Vec<String>,
}

/// One resource limit (getrlimit(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub struct Rlimit {
    /// The limited resource.
    #[serde(rename = "type")]
    pub kind: RlimitKind,
    /// The limit in force, in the resource's unit.
    pub soft: u64,
    /// The ceiling of the soft limit.
    pub hard: u64,
}

words! {
    /// A resource that setrlimit(2) limits, in the order of the kernel's numbers (asm-generic/resource.h).
    pub enum RlimitKind: "rlimit" {
        /// Seconds of CPU time.
        Cpu = "RLIMIT_CPU",
        /// Bytes of a file that the process writes.
        Fsize = "RLIMIT_FSIZE",
        /// Bytes of the data segment.
        Data = "RLIMIT_DATA",
        /// Bytes of the stack.
        Stack = "RLIMIT_STACK",
        /// Bytes of a core file.
        Core = "RLIMIT_CORE",
        /// Bytes of the resident set; without effect.
        Rss = "RLIMIT_RSS",
        /// Processes of the user.
        Nproc = "RLIMIT_NPROC",
        /// One more than the highest descriptor.
        Nofile = "RLIMIT_NOFILE",
        /// Bytes that may be locked in memory.
        Memlock = "RLIMIT_MEMLOCK",
        /// Bytes of the address space.
        As = "RLIMIT_AS",
        /// File locks; without effect.
        Locks = "RLIMIT_LOCKS",
        /// Queued signals of the user.
        Sigpending = "RLIMIT_SIGPENDING",
        /// Bytes in POSIX message queues.
        Msgqueue = "RLIMIT_MSGQUEUE",
        /// Twenty less the lowest nice value.
        Nice = "RLIMIT_NICE",
        /// Highest real-time priority.
        Rtprio = "RLIMIT_RTPRIO",
        /// Microseconds of real-time scheduling without a blocking call.
        Rttime = "RLIMIT_RTTIME",
    }
}
