//! A failed step as a sentence: the plan says what was tried, the fault says why it failed.

use crate::errno::NO_SUCH_COMMAND;
use crate::error::Error;
use crate::launch::detour::OFFSET_RANGE;
use crate::launch::protocol::{Failure, Fault, Reason};
use crate::plan::Plan;
use crate::plan::step::{Action, Kind, Mount, Scheduler};
use crate::spec::scheduling::SchedulerPolicy;

/// The error of a step of the plan that failed in init.
pub fn failure(plan: &Plan, failure: &Failure) -> Error {
    let index = usize::from(failure.step);
    let fault = &failure.fault;
    let action = plan.steps.get(index).map(|step| &step.action);
    match (fault.reason, action) {
        (Reason::Program | Reason::NotInPath, _) => {
            let name = plan.execution.as_ref().and_then(|execution| execution.arguments.iter().next());
            let found = matches!(action, Some(Action::Execute));
            program_error(&String::from_utf8_lossy(name.unwrap_or_default()), fault, found)
        }
        (Reason::Join, _) => {
            let number = usize::from(fault.detail.as_bytes().first().copied().unwrap_or_default());
            let Some(join) = plan.namespaces.join.get(number) else { return plain(fault) };
            let path = join.path.to_string_lossy();
            plain(fault).context(format!("{}.path: join {path}", join.place))
        }
        (Reason::Source, Some(Action::Rootfs { path, .. })) => {
            plain(fault).context(format!("config.json: root.path: {}", path.to_string_lossy()))
        }
        (_, Some(action)) => match missing_module(action) {
            Some(module) => {
                Error::new(format!("{module} is not enabled on this machine")).context(plan.place_text(index))
            }
            None => explain(plan, action, fault).context(plan.step_text(index)),
        },
        (_, None) => plain(fault),
    }
}

/// The error of a step after the start, whose words `create` has left in the state: one for each step.
pub fn start_failure(first_step: usize, steps: &[String], program: &str, failure: &Failure) -> Error {
    let fault = &failure.fault;
    if matches!(fault.reason, Reason::Program | Reason::NotInPath) {
        return program_error(program, fault, true);
    }
    let error = reasoned(fault);
    match usize::from(failure.step).checked_sub(first_step).and_then(|index| steps.get(index)) {
        Some(step) => error.context(step.clone()),
        None => error,
    }
}

/// The words that callers match to tell a missing program (127) from one that cannot be executed (126). When it was
/// `found` before and is missing now, something else is.
fn program_error(name: &str, fault: &Fault, found: bool) -> Error {
    if fault.reason == Reason::NotInPath {
        return Error::new(format!("exec: {name:?}: executable file not found in $PATH"));
    }
    let error = Error::from_errno(fault.errno).context(format!("exec: {name:?}"));
    match fault.errno {
        libc::ENOENT if found => Error::new(format!("exec: {name:?}: {NO_SUCH_COMMAND}")).hint(
            "the program is there, but not its interpreter: what its #! names, or the loader of an ELF file",
        ),
        libc::ENOENT => Error::new(format!("exec: {name:?}: stat {name}: {NO_SUCH_COMMAND}")),
        libc::ENOEXEC => error.hint("the program is for another machine, or a script without #!"),
        _ => error,
    }
}

/// The reason of a step, with what the action knows of it.
pub(super) fn explain(plan: &Plan, action: &Action, fault: &Fault) -> Error {
    let denied = [libc::EPERM, libc::EACCES].contains(&fault.errno);
    match action {
        Action::Mount(mount) => explain_mount(mount, fault),
        Action::OomScoreAdj(_) if denied => {
            plain(fault).hint("a lower score than the caller's needs CAP_SYS_RESOURCE")
        }
        Action::Keyring { .. } if fault.errno == libc::EDQUOT => plain(fault)
            .hint("the user has too many keys: raise kernel.keys.maxkeys, or use --no-new-keyring"),
        Action::Scheduler(scheduler) => match scheduler_hint(plan, scheduler, fault.errno) {
            Some(hint) => plain(fault).hint(hint),
            None => plain(fault),
        },
        Action::Seccomp if fault.errno == libc::EBUSY => {
            plain(fault).hint("the caller is under a filter that notifies, and there can be one alone")
        }
        Action::IoPriority(_) if denied => plain(fault).hint("the class IOPRIO_CLASS_RT needs CAP_SYS_NICE"),
        Action::MemoryPolicy(policy) if policy.nodes.is_some() && fault.errno == libc::EINVAL => {
            plain(fault).hint("the machine or linux.resources.cpu.mems may not have one of the nodes")
        }
        Action::MemoryPolicy(_) if fault.errno == libc::ENOSYS => {
            plain(fault).hint("the kernel was built without NUMA")
        }
        // Of the command's own directory engines expect what they expect of the command: 127.
        Action::WorkingDirectory(_) if fault.errno == libc::ENOENT && fault.reason == Reason::Kernel => {
            Error::new(NO_SUCH_COMMAND)
        }
        // podman looks for this path in such quotes.
        Action::ExecLabel { .. } => plain(fault).context("write `/proc/self/attr/exec`"),
        Action::Console { .. } if fault.errno == libc::ENOENT => {
            Error::new("a terminal needs a devpts mounted on /dev/pts")
        }
        Action::Pivot if fault.errno == libc::EINVAL => {
            plain(fault).hint("the host's root may be a ramfs: use --no-pivot")
        }
        Action::Capabilities(sets) if denied => plain(fault).hint(if sets.effective & !sets.permitted == 0 {
            "the caller lacks one of the capabilities"
        } else {
            "what is effective must be permitted, too"
        }),
        // The process in between sets them before it makes init.
        Action::JoinNamespaces if fault.errno == libc::ERANGE => reasoned(fault).hint(OFFSET_RANGE),
        Action::Sysctl { .. } if fault.errno == libc::ENOENT => {
            Error::new("there is no such parameter in the container")
        }
        _ => reasoned(fault),
    }
}

/// A mount has two ends, so that a failed one is named; and the kernel has words of its own, which begin with the type.
fn explain_mount(mount: &Mount, fault: &Fault) -> Error {
    let error = if fault.reason == Reason::Target { plain(fault).context("target") } else { reasoned(fault) };
    match &mount.kind {
        Kind::Filesystem(filesystem) if fault.reason == Reason::Kernel => {
            let kind = filesystem.kind.to_string_lossy();
            let words = String::from_utf8_lossy(fault.detail.as_bytes());
            match words.strip_prefix(kind.as_ref()).and_then(|words| words.strip_prefix(": ")) {
                Some(words) => plain(fault).context(words),
                None if fault.errno == libc::ENODEV && filesystem.kind.as_bytes() == b"bind" => {
                    error.hint("it is the option bind, or rbind, that makes a bind mount; the type does not")
                }
                None if fault.errno == libc::ENODEV => {
                    error.hint(format!("this kernel has no file system {kind:?}, or not its module"))
                }
                None => error,
            }
        }
        Kind::Bind(bind) if fault.reason == Reason::Target && fault.errno == libc::ENOTDIR => {
            let source = bind.source.to_string_lossy();
            match std::fs::metadata(source.as_ref()) {
                Ok(there) if there.is_dir() => {
                    error.hint(format!("{source:?} is a directory, so the target must be one"))
                }
                _ => error,
            }
        }
        _ => error,
    }
}

/// What the errno of sched_setattr(2) means for a policy.
fn scheduler_hint(plan: &Plan, scheduler: &Scheduler, errno: i32) -> Option<&'static str> {
    let has_cpuset = || plan.cgroup.writes.iter().any(|write| write.file == "cpuset.cpus");
    match (errno, scheduler.policy) {
        (libc::EPERM, SchedulerPolicy::Deadline) if has_cpuset() => Some(
            "SCHED_DEADLINE can't be used together with linux.resources.cpu.cpus: it wants every processor",
        ),
        (libc::EPERM, SchedulerPolicy::Fifo | SchedulerPolicy::Rr) => Some(
            "needs CAP_SYS_NICE, and where the cgroup has a real-time budget linux.resources.cpu.realtimeRuntime",
        ),
        (libc::EPERM, SchedulerPolicy::Deadline) => Some("needs CAP_SYS_NICE"),
        (libc::EPERM | libc::EACCES, _) => Some("a nice value below the caller's needs CAP_SYS_NICE"),
        (libc::EBUSY, SchedulerPolicy::Deadline) => {
            Some("the processors have not so much time left for deadlines: see kernel.sched_rt_runtime_us")
        }
        (libc::EOPNOTSUPP, _) => Some("the kernel was built without utilisation clamping"),
        _ => None,
    }
}

/// The security module that a label is for, when this machine does not run it. Asked only once the kernel has refused.
fn missing_module(action: &Action) -> Option<&'static str> {
    let Action::ExecLabel { value, .. } = action else { return None };
    let (name, enabled) = if value.starts_with(b"exec ") {
        ("AppArmor", crate::host::has_apparmor())
    } else {
        ("SELinux", std::fs::metadata("/sys/fs/selinux/enforce").is_ok())
    };
    (!enabled).then_some(name)
}

/// The reason of a fault in words.
fn reasoned(fault: &Fault) -> Error {
    let detail = String::from_utf8_lossy(fault.detail.as_bytes());
    let output = if detail.is_empty() { String::new() } else { format!(": {detail:?}") };
    match fault.reason {
        Reason::Kernel if !detail.is_empty() => plain(fault).context(detail.into_owned()),
        Reason::Kernel
        | Reason::Join
        | Reason::NotInPath
        | Reason::Program
        | Reason::Source
        | Reason::Target => plain(fault),
        Reason::TargetIsLink => Error::new("the target is a symlink, which the image may have put there"),
        Reason::TargetInProc => Error::new("the target is inside a procfs"),
        Reason::NotProc => Error::new("only a procfs may be mounted on /proc"),
        Reason::Locked => Error::new("cannot clear locked flags of the source"),
        Reason::OutsideCwd => Error::new("the directory is not inside the container"),
        Reason::UnmappedId => Error::new(format!("{detail} has no mapping in the user namespace")),
        Reason::WrongDevice => Error::new("is not the device that it should be"),
        Reason::HookStatus => Error::new(format!("exit status {}{output}", fault.errno)),
        Reason::HookSignal => Error::new(format!("ended by signal {}{output}", fault.errno)),
        Reason::HookTimeout => {
            Error::new(format!("hook ran past specified timeout of {}.0s{output}", fault.errno))
        }
    }
}

fn plain(fault: &Fault) -> Error {
    Error::from_errno(fault.errno)
}
