//! When the process gets the CPU and the disk, and where its memory comes from, as steps.

use crate::spec::number_list::NumberList;
use crate::spec::scheduling::{IoClass, MemoryFlag, MemoryMode, SchedulerFlag, SchedulerPolicy};

/// What sched_setattr(2) is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduler {
    /// The policy; its number is the kernel's.
    pub policy: SchedulerPolicy,
    /// The flags as they are listed.
    pub flags: Vec<SchedulerFlag>,
    /// `SCHED_FLAG_*`: the flags as the kernel takes them.
    pub bits: u64,
    /// The nice value.
    pub nice: i32,
    /// The static priority of a real-time policy.
    pub priority: u32,
    /// Nanoseconds of CPU time in each period, for the deadline policy.
    pub runtime_ns: u64,
    /// Nanoseconds until that time must have been given.
    pub deadline_ns: u64,
    /// Nanoseconds of a period.
    pub period_ns: u64,
}

/// What ioprio_set(2) is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoPriority {
    /// The class.
    pub class: IoClass,
    /// The level in the class.
    pub level: u16,
    /// Both as the kernel takes them.
    pub value: u16,
}

/// What set_mempolicy(2) is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryPolicy {
    /// The mode.
    pub mode: MemoryMode,
    /// The flags as they are listed.
    pub flags: Vec<MemoryFlag>,
    /// `MPOL_*` with `MPOL_F_*`: mode and flags as the kernel takes them.
    pub bits: u32,
    /// The nodes as they are listed.
    pub nodes: Option<NumberList>,
    /// Bit `n % 64` of word `n / 64` for each node `n`.
    pub mask: Vec<u64>,
}
