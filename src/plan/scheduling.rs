//! When the process gets the CPU and the disk, and where its memory comes from.
//!
//! config.md, "Linux Process" (`scheduler`, `ioPriority`); config-linux.md, "Memory policy"; sched_setattr(2),
//! ioprio_set(2), set_mempolicy(2). All three come after the cgroup was joined, whose cpuset they depend on, and after
//! the hooks of `create`: the kernel lets no process with a deadline fork.

use crate::host::Host;
use crate::plan::Place;
use crate::plan::namespaces::Namespaces;
use crate::plan::step::{Action, IoPriority, MemoryPolicy, Scheduler, Step};
use crate::spec::Process;
use crate::spec::linux::NamespaceKind;
use crate::spec::scheduling::{self, MemoryFlag, MemoryMode};

/// `IOPRIO_CLASS_SHIFT` of linux/ioprio.h.
const IO_CLASS_SHIFT: u16 = 13;

/// The steps of `process.scheduler` and `process.ioPriority`.
pub fn of_process(process: &Process) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(asked) = &process.scheduler {
        let action = Action::Scheduler(Box::new(scheduler(asked)));
        steps.push(Step::of(Place::property("process.scheduler"), action));
    }
    if let Some(asked) = &process.io_priority {
        let action = Action::IoPriority(io_priority(asked));
        steps.push(Step::of(Place::property("process.ioPriority"), action));
    }
    steps
}

/// The step of `linux.memoryPolicy`: a process can set only its own.
pub fn of_memory(policy: &scheduling::MemoryPolicy) -> Step {
    let action = Action::MemoryPolicy(Box::new(memory_policy(policy)));
    Step::of(Place::property("linux.memoryPolicy"), action)
}

/// Whether the runtime takes the steps of [`of_process`], and that of `oomScoreAdj`, in init's place. The kernel asks for
/// `CAP_SYS_NICE` and `CAP_SYS_RESOURCE` in the first user namespace, which init has left; an ordinary user has them nowhere,
/// but init may change what is its own.
pub fn is_for_runtime(namespaces: &Namespaces, host: &Host) -> bool {
    namespaces.separates(NamespaceKind::User) && host.privileged() && !host.in_user_namespace
}

fn scheduler(asked: &scheduling::Scheduler) -> Scheduler {
    Scheduler {
        policy: asked.policy,
        flags: asked.flags.clone(),
        // Declared in the kernel's order (linux/sched.h).
        bits: asked.flags.iter().fold(0, |bits, flag| bits | 1 << *flag as u64),
        nice: asked.nice,
        priority: asked.priority.try_into().unwrap_or(0),
        runtime_ns: asked.runtime,
        deadline_ns: asked.deadline,
        period_ns: asked.period,
    }
}

fn io_priority(asked: &scheduling::IoPriority) -> IoPriority {
    let level = asked.priority.try_into().unwrap_or(0);
    // Declared in the kernel's order, which begins with 1 (linux/ioprio.h).
    let class = asked.class as u16 + 1;
    IoPriority { class: asked.class, level, value: class << IO_CLASS_SHIFT | level }
}

fn memory_policy(asked: &scheduling::MemoryPolicy) -> MemoryPolicy {
    let flags = asked.flags.iter().fold(0, |bits, flag| bits | memory_flag(*flag));
    MemoryPolicy {
        mode: asked.mode,
        flags: asked.flags.clone(),
        bits: memory_mode(asked.mode) | flags,
        nodes: asked.nodes.clone(),
        mask: asked.nodes.as_ref().map_or_else(Vec::new, |nodes| nodes.mask()),
    }
}

/// The kernel's number of a mode (linux/mempolicy.h).
fn memory_mode(mode: MemoryMode) -> u32 {
    match mode {
        MemoryMode::Default => 0,
        MemoryMode::Preferred => 1,
        MemoryMode::Bind => 2,
        MemoryMode::Interleave => 3,
        MemoryMode::Local => 4,
        MemoryMode::PreferredMany => 5,
        MemoryMode::WeightedInterleave => 6,
    }
}

/// The kernel's bit of a flag (linux/mempolicy.h).
fn memory_flag(flag: MemoryFlag) -> u32 {
    match flag {
        MemoryFlag::NumaBalancing => 1 << 13,
        MemoryFlag::RelativeNodes => 1 << 14,
        MemoryFlag::StaticNodes => 1 << 15,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(json: &str) -> Vec<String> {
        let steps = of_process(&serde_json::from_str(json).unwrap());
        steps.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn b16_b17_steps_say_what_is_asked() {
        for (json, text) in [
            (
                r#"{"scheduler": {"policy": "SCHED_OTHER", "nice": -5}}"#,
                "process.scheduler: set SCHED_OTHER nice -5",
            ),
            (
                r#"{"scheduler": {"policy": "SCHED_FIFO", "priority": 7, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}}"#,
                "process.scheduler: set SCHED_FIFO priority 7 (SCHED_FLAG_RESET_ON_FORK)",
            ),
            (
                r#"{"scheduler": {"policy": "SCHED_DEADLINE", "runtime": 1, "deadline": 2, "period": 3}}"#,
                "process.scheduler: set SCHED_DEADLINE runtime 1 deadline 2 period 3 ns",
            ),
            (
                r#"{"ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4}}"#,
                "process.ioPriority: set IOPRIO_CLASS_BE 4",
            ),
        ] {
            assert_eq!(process(json), [text], "{json}");
        }
    }

    #[test]
    fn b16_flags_and_b17_classes_are_the_kernels() {
        let flags = r#"["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM", "SCHED_FLAG_DL_OVERRUN",
            "SCHED_FLAG_KEEP_POLICY", "SCHED_FLAG_KEEP_PARAMS", "SCHED_FLAG_UTIL_CLAMP_MIN",
            "SCHED_FLAG_UTIL_CLAMP_MAX"]"#;
        let json = format!(r#"{{"policy": "SCHED_IDLE", "flags": {flags}}}"#);
        let step = scheduler(&serde_json::from_str(&json).unwrap());
        assert_eq!((step.policy as u32, step.bits), (5, 0x7f));
        for (class, value) in
            [("IOPRIO_CLASS_RT", 0x2003), ("IOPRIO_CLASS_BE", 0x4003), ("IOPRIO_CLASS_IDLE", 0x6003)]
        {
            let json = format!(r#"{{"class": "{class}", "priority": 3}}"#);
            assert_eq!(io_priority(&serde_json::from_str(&json).unwrap()).value, value, "{class}");
        }
    }

    #[test]
    fn l17_a_memory_policy_becomes_mode_and_mask() {
        for (json, bits, mask, text) in [
            (r#"{"mode": "MPOL_DEFAULT"}"#, 0, vec![], "set MPOL_DEFAULT"),
            (r#"{"mode": "MPOL_LOCAL"}"#, 4, vec![], "set MPOL_LOCAL"),
            (
                r#"{"mode": "MPOL_BIND", "nodes": "0,2-3", "flags": ["MPOL_F_STATIC_NODES"]}"#,
                0x8002,
                vec![0b1101],
                "set MPOL_BIND of nodes 0,2-3 (MPOL_F_STATIC_NODES)",
            ),
            (
                r#"{"mode": "MPOL_WEIGHTED_INTERLEAVE", "nodes": "64", "flags": ["MPOL_F_RELATIVE_NODES", "MPOL_F_NUMA_BALANCING"]}"#,
                0x6006,
                vec![0, 1],
                "set MPOL_WEIGHTED_INTERLEAVE of nodes 64 (MPOL_F_RELATIVE_NODES,MPOL_F_NUMA_BALANCING)",
            ),
            (
                r#"{"mode": "MPOL_PREFERRED_MANY", "nodes": "0"}"#,
                5,
                vec![1],
                "set MPOL_PREFERRED_MANY of nodes 0",
            ),
        ] {
            let policy = memory_policy(&serde_json::from_str(json).unwrap());
            assert_eq!((policy.bits, &policy.mask), (bits, &mask), "{json}");
            assert_eq!(Action::MemoryPolicy(Box::new(policy)).to_string(), text);
        }
    }
}
