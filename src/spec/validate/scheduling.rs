//! Scheduling of CPU, disk and memory: what sched_setattr(2), ioprio_set(2) and set_mempolicy(2) would refuse.

use super::wrong;
use crate::error::Result;
use crate::spec::scheduling::{IoPriority, MemoryFlag, MemoryMode, MemoryPolicy, Scheduler, SchedulerPolicy};

pub(super) fn scheduler(at: &str, scheduler: &Scheduler) -> Result<()> {
    let policy = scheduler.policy;
    let refuse = |field: &str, what: String| Err(wrong(format_args!("{at}scheduler.{field}"), what));
    if policy == SchedulerPolicy::Iso {
        return refuse("policy", format!("{policy} is not implemented by Linux"));
    }
    let shares_time = matches!(policy, SchedulerPolicy::Other | SchedulerPolicy::Batch);
    if shares_time && !(-20..=19).contains(&scheduler.nice) {
        return refuse("nice", format!("{} is not between -20 and 19", scheduler.nice));
    }
    let priority = scheduler.priority;
    let is_real_time = matches!(policy, SchedulerPolicy::Fifo | SchedulerPolicy::Rr);
    if is_real_time && !(1..=99).contains(&priority) {
        return refuse("priority", format!("{priority} is not between 1 and 99, as {policy} asks"));
    }
    if !is_real_time && priority != 0 {
        return refuse("priority", format!("only SCHED_FIFO and SCHED_RR have one, not {policy}"));
    }
    deadline(at, scheduler)
}

/// The three times belong to the deadline policy, where 0 < runtime <= deadline <= period (sched(7)); a period of 0
/// means the deadline.
fn deadline(at: &str, scheduler: &Scheduler) -> Result<()> {
    let Scheduler { policy, runtime, deadline, period, .. } = scheduler;
    if *policy == SchedulerPolicy::Deadline {
        let is_ordered = 0 < *runtime && runtime <= deadline && (*period == 0 || deadline <= period);
        if !is_ordered {
            let what =
                format!("0 < runtime {runtime} <= deadline {deadline} <= period {period} does not hold");
            return Err(wrong(format_args!("{at}scheduler"), what));
        }
        return Ok(());
    }
    for (field, time) in [("runtime", runtime), ("deadline", deadline), ("period", period)] {
        if *time != 0 {
            let what = format!("only SCHED_DEADLINE has one, not {policy}");
            return Err(wrong(format_args!("{at}scheduler.{field}"), what));
        }
    }
    Ok(())
}

pub(super) fn io_priority(at: &str, io: IoPriority) -> Result<()> {
    if !(0..=7).contains(&io.priority) {
        let what = format!("{} is not between 0 and 7", io.priority);
        return Err(wrong(format_args!("{at}ioPriority.priority"), what));
    }
    Ok(())
}

/// Which modes want nodes and which do not (set_mempolicy(2)); `MPOL_PREFERRED` does with either.
pub(super) fn memory_policy(policy: &MemoryPolicy) -> Result<()> {
    let MemoryPolicy { mode, nodes, flags } = policy;
    let has = |flag| flags.contains(&flag);
    if has(MemoryFlag::RelativeNodes) && has(MemoryFlag::StaticNodes) {
        let (one, other) = (MemoryFlag::RelativeNodes, MemoryFlag::StaticNodes);
        return Err(wrong("linux.memoryPolicy.flags", format_args!("{one} and {other} exclude each other")));
    }
    if has(MemoryFlag::NumaBalancing) && !matches!(mode, MemoryMode::Bind | MemoryMode::PreferredMany) {
        let (flag, one, other) = (MemoryFlag::NumaBalancing, MemoryMode::Bind, MemoryMode::PreferredMany);
        let what = format!("{flag} is for {one} and {other}, not for {mode}");
        return Err(wrong("linux.memoryPolicy.flags", what));
    }
    let of_nodes = |flag: &&MemoryFlag| matches!(flag, MemoryFlag::RelativeNodes | MemoryFlag::StaticNodes);
    if let (MemoryMode::Local | MemoryMode::Preferred, None, Some(flag)) =
        (mode, nodes, flags.iter().find(of_nodes))
    {
        let what = format!("{flag} is for nodes, and {mode} has none");
        return Err(wrong("linux.memoryPolicy.flags", what));
    }
    match (mode, nodes) {
        (MemoryMode::Default | MemoryMode::Local, Some(_)) => {
            Err(wrong("linux.memoryPolicy.nodes", format_args!("{mode} takes none")))
        }
        (
            MemoryMode::Bind
            | MemoryMode::Interleave
            | MemoryMode::WeightedInterleave
            | MemoryMode::PreferredMany,
            None,
        ) => Err(wrong("linux.memoryPolicy.nodes", format_args!("{mode} needs at least one"))),
        _ => Ok(()),
    }
}
