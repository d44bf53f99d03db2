//! sched_setattr(2), ioprio_set(2) and set_mempolicy(2), none of which rustix has.

use super::result;
use rustix::io::Errno;
use rustix::process::Pid;

/// Policy and parameters of a thread.
#[derive(Debug, Clone, Copy)]
pub struct Attributes {
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// Nice value.
    pub nice: i32,
    /// Static priority.
    pub priority: u32,
    /// Nanoseconds of CPU time in a period.
    pub runtime_ns: u64,
    /// Nanoseconds until they must have been given.
    pub deadline_ns: u64,
    /// Nanoseconds of a period.
    pub period_ns: u64,
}

/// `struct sched_attr` of linux/sched/types.h, as of Linux 5.3: the utilisation clamps are the last two, which the
/// specification has no values for.
#[repr(C)]
struct KernelAttributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    times_ns: [u64; 3],
    utilization: [u32; 2],
}

/// Sets policy and parameters of a thread; `None` is the calling one.
///
/// # Errors
/// `EPERM`: no `CAP_SYS_NICE` in the first user namespace, no real-time budget of the cgroup, or a deadline on fewer than
/// all processors; `EBUSY`: no time is left for that deadline; `EINVAL`: parameters that do not go together.
pub fn set_scheduler(pid: Option<Pid>, attributes: &Attributes) -> Result<(), Errno> {
    let Attributes { policy, flags, nice, priority, .. } = *attributes;
    let mut attributes = KernelAttributes {
        size: size_of::<KernelAttributes>() as u32,
        policy,
        flags,
        nice,
        priority,
        times_ns: [attributes.runtime_ns, attributes.deadline_ns, attributes.period_ns],
        utilization: [0; 2],
    };
    // SAFETY: `attributes` is a sched_attr of the size that its first field tells and lives across the call; the kernel reads
    // it and, with E2BIG, writes the size that it knows into the first field.
    result(unsafe { libc::syscall(libc::SYS_sched_setattr, Pid::as_raw(pid), &raw mut attributes, 0) })?;
    Ok(())
}

/// Sets the I/O priority of a process group; `None` is the caller's own. `value` is the class above 13 bits of level.
///
/// # Errors
/// `EPERM`: the real-time class without `CAP_SYS_NICE` in the first user namespace; `EINVAL`: no such value.
pub fn set_io_priority(group: Option<Pid>, value: u16) -> Result<(), Errno> {
    const IOPRIO_WHO_PGRP: libc::c_int = 2;
    // SAFETY: ioprio_set takes three numbers.
    result(unsafe {
        libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PGRP, Pid::as_raw(group), libc::c_int::from(value))
    })?;
    Ok(())
}

/// Sets the memory policy of the calling thread, which what it executes inherits. `mode` is `MPOL_*` with `MPOL_F_*`,
/// `nodes` a bit for each node.
///
/// # Errors
/// `EINVAL`: nodes that the cpuset or the machine does not have, flags that do not go together; `ENOSYS`: a kernel without
/// NUMA.
pub fn set_memory_policy(mode: u32, nodes: &[u64]) -> Result<(), Errno> {
    // The kernel takes one away from the number of bits before it looks (mm/mempolicy.c, get_nodes).
    let (mask, bits) = match nodes {
        [] => (std::ptr::null(), 0),
        nodes => (nodes.as_ptr(), size_of_val(nodes) * 8 + 1),
    };
    // SAFETY: `mask` is null, or points to that many bits less one, which the kernel only reads.
    result(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, mask, bits) })?;
    Ok(())
}
