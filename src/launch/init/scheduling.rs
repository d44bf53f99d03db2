//! When the process gets the CPU and the disk, and where its memory comes from.

use crate::plan::step::{IoPriority, MemoryPolicy, Scheduler};
use crate::sys::scheduling::{self, Attributes};
use rustix::io::Errno;
use rustix::process::Pid;

/// Sets the scheduling policy of a process; `None` is this one.
pub(crate) fn set_scheduler(pid: Option<Pid>, scheduler: &Scheduler) -> Result<(), Errno> {
    let attributes = Attributes {
        policy: scheduler.policy as u32,
        flags: scheduler.bits,
        nice: scheduler.nice,
        priority: scheduler.priority,
        runtime_ns: scheduler.runtime_ns,
        deadline_ns: scheduler.deadline_ns,
        period_ns: scheduler.period_ns,
    };
    scheduling::set_scheduler(pid, &attributes)
}

/// Sets the I/O priority of a process group; `None` is that of this process.
pub(crate) fn set_io_priority(group: Option<Pid>, priority: IoPriority) -> Result<(), Errno> {
    scheduling::set_io_priority(group, priority.value)
}

/// Sets the memory policy of this process.
pub(super) fn set_memory_policy(policy: &MemoryPolicy) -> Result<(), Errno> {
    scheduling::set_memory_policy(policy.bits, &policy.mask)
}
