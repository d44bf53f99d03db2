//! When and where the process gets the CPU and the disk: the `scheduler`, `ioPriority` and `execCPUAffinity` of
//! `process` (config.md, "Linux Process"), and the `memoryPolicy` of `linux` (config-linux.md).

use super::lenient::or_default;
use super::number_list::{self, NumberList};
use super::word::words;
use serde::{Deserialize, Serialize};

/// What sched_setattr(2) is told.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Scheduler {
    /// The policy.
    pub policy: SchedulerPolicy,
    /// The nice value.
    #[serde(default, deserialize_with = "or_default")]
    pub nice: i32,
    /// The static priority of the real-time policies.
    #[serde(default, deserialize_with = "or_default")]
    pub priority: i32,
    /// Flags.
    #[serde(default, deserialize_with = "or_default")]
    pub flags: Vec<SchedulerFlag>,
    /// Nanoseconds of CPU time in each period, for the deadline policy.
    #[serde(default, deserialize_with = "or_default")]
    pub runtime: u64,
    /// Nanoseconds until that time must have been given.
    #[serde(default, deserialize_with = "or_default")]
    pub deadline: u64,
    /// Nanoseconds of a period.
    #[serde(default, deserialize_with = "or_default")]
    pub period: u64,
}

words! {
    /// A scheduling policy (sched(7)), in the order of the kernel's numbers.
    pub enum SchedulerPolicy: "scheduling policy" {
        /// Time sharing.
        Other = "SCHED_OTHER",
        /// Real time, first in, first out.
        Fifo = "SCHED_FIFO",
        /// Real time, round robin.
        Rr = "SCHED_RR",
        /// Time sharing of long computations.
        Batch = "SCHED_BATCH",
        /// Reserved: no kernel implements it.
        Iso = "SCHED_ISO",
        /// What nobody else wants.
        Idle = "SCHED_IDLE",
        /// Earliest deadline first.
        Deadline = "SCHED_DEADLINE",
    }
}

words! {
    /// A flag of sched_setattr(2), in the order of the kernel's bits.
    pub enum SchedulerFlag: "scheduler flag" {
        /// Children start with the default policy.
        ResetOnFork = "SCHED_FLAG_RESET_ON_FORK",
        /// Take what other deadline threads leave.
        Reclaim = "SCHED_FLAG_RECLAIM",
        /// A signal tells of an overrun.
        DlOverrun = "SCHED_FLAG_DL_OVERRUN",
        /// The policy stays as it is.
        KeepPolicy = "SCHED_FLAG_KEEP_POLICY",
        /// The parameters stay as they are.
        KeepParams = "SCHED_FLAG_KEEP_PARAMS",
        /// The lower clamp of the utilisation is given.
        UtilClampMin = "SCHED_FLAG_UTIL_CLAMP_MIN",
        /// The upper clamp of the utilisation is given.
        UtilClampMax = "SCHED_FLAG_UTIL_CLAMP_MAX",
    }
}

/// What ioprio_set(2) is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub struct IoPriority {
    /// The class.
    pub class: IoClass,
    /// The level in the class: 0 (highest) to 7.
    #[serde(default, deserialize_with = "or_default")]
    pub priority: i64,
}

words! {
    /// A class of I/O scheduling, in the order of the kernel's numbers, which begin with 1.
    pub enum IoClass: "I/O priority class" {
        /// First in line.
        RealTime = "IOPRIO_CLASS_RT",
        /// In turn.
        BestEffort = "IOPRIO_CLASS_BE",
        /// When nobody else wants the disk.
        Idle = "IOPRIO_CLASS_IDLE",
    }
}

/// CPUs of a process that `exec` starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct CpuAffinity {
    /// CPUs to run on before it enters the cgroup.
    #[serde(deserialize_with = "number_list::optional")]
    pub initial: Option<NumberList>,
    /// CPUs to run on once it is there.
    #[serde(rename = "final", deserialize_with = "number_list::optional")]
    pub final_: Option<NumberList>,
}

/// What set_mempolicy(2) is told.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct MemoryPolicy {
    /// The mode.
    pub mode: MemoryMode,
    /// The NUMA nodes that it is about.
    #[serde(default, deserialize_with = "number_list::optional")]
    pub nodes: Option<NumberList>,
    /// Flags.
    #[serde(default, deserialize_with = "or_default")]
    pub flags: Vec<MemoryFlag>,
}

words! {
    /// Where memory comes from on a NUMA machine, in no order of the kernel's.
    pub enum MemoryMode: "memory policy mode" {
        /// The policy of the system.
        Default = "MPOL_DEFAULT",
        /// These nodes only.
        Bind = "MPOL_BIND",
        /// These nodes in turn.
        Interleave = "MPOL_INTERLEAVE",
        /// These nodes in turn, by weight.
        WeightedInterleave = "MPOL_WEIGHTED_INTERLEAVE",
        /// This node first.
        Preferred = "MPOL_PREFERRED",
        /// These nodes first.
        PreferredMany = "MPOL_PREFERRED_MANY",
        /// The node of the CPU.
        Local = "MPOL_LOCAL",
    }
}

words! {
    /// A flag of set_mempolicy(2).
    pub enum MemoryFlag: "memory policy flag" {
        /// Let the kernel move pages between the nodes.
        NumaBalancing = "MPOL_F_NUMA_BALANCING",
        /// Nodes are counted among those that the cpuset allows.
        RelativeNodes = "MPOL_F_RELATIVE_NODES",
        /// Nodes stay as given when the cpuset changes.
        StaticNodes = "MPOL_F_STATIC_NODES",
    }
}
