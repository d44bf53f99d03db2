//! What init needs ready in memory before the clone: arrays for execve(2), the states that hooks read, the filter.

use crate::plan::Plan;
use crate::plan::step::{Action, Hook, HookEnvironment};
use crate::plan::strings::StringList;
use crate::sys::exec::StringArray;
use crate::sys::filter::Instruction;
use rustix::fd::OwnedFd;
use std::ffi::CStr;

/// The longest `HOME=` entry that is looked up in a container, with its NUL.
const HOME_CAPACITY: usize = 4096;

/// All that init reads beside the plan, laid out by the parent.
#[derive(Debug)]
pub struct Prepared {
    /// `argv` of the program.
    pub arguments: StringArray,
    /// `envp` of the program.
    pub environment: StringArray,
    /// Room for the `HOME=` entry that init finds; taken when it is filled.
    pub home: Option<&'static mut [u8; HOME_CAPACITY]>,
    /// Hooks that init runs, in the order of their steps.
    pub hooks: Vec<PreparedHook>,
    /// The seccomp program and its flags.
    pub filter: Option<(Vec<Instruction>, u32)>,
    /// Signals that the caller ignores, to be reset.
    pub ignored_signals: u64,
    /// Whether the machine has the new mount API.
    pub new_mount_api: bool,
    /// Room for what the steps have mounted or unmounted, with their numbers, where that may have to be put back.
    pub changed: Vec<(OwnedFd, u16)>,
}

/// A hook as execve(2) wants it.
#[derive(Debug)]
pub struct PreparedHook {
    /// `argv`.
    pub arguments: StringArray,
    /// `envp`; nothing where it is the program's.
    pub environment: Option<StringArray>,
    /// The state on its stdin, up to the pid.
    pub state_head: Vec<u8>,
    /// And after it.
    pub state_tail: Vec<u8>,
}

impl Prepared {
    /// Lays out what `plan` needs. `state` gives the state document that a hook reads, cut at the pid.
    pub fn new(
        plan: &Plan,
        ignored_signals: u64,
        new_mount_api: bool,
        state: impl Fn(&Hook) -> (Vec<u8>, Vec<u8>),
    ) -> Self {
        let empty = StringList::default();
        let execution = plan.execution.as_ref();
        let find_home = execution.is_some_and(|execution| execution.find_home);
        let hooks = plan.steps.iter().filter_map(|step| match &step.action {
            Action::Hook(hook) => Some(PreparedHook::new(hook, &state)),
            _ => None,
        });
        Self {
            arguments: array(execution.map_or(&empty, |execution| &execution.arguments)),
            environment: array(execution.map_or(&empty, |execution| &execution.environment)),
            home: find_home.then(|| Box::leak(Box::new([0; HOME_CAPACITY]))),
            hooks: hooks.collect(),
            filter: plan.seccomp.as_ref().map(|program| (instructions(program), program.flags)),
            ignored_signals,
            new_mount_api,
            changed: Vec::with_capacity(if plan.all_or_none { plan.steps.len() } else { 0 }),
        }
    }

    /// Puts the `HOME=` entry that was written into [`Prepared::home`] in place of the last entry.
    pub fn use_home(&mut self, entry: &'static CStr) {
        let last = self.environment.len().saturating_sub(1);
        self.environment.replace(last, entry);
    }
}

impl PreparedHook {
    /// Lays out one hook.
    pub fn new(hook: &Hook, state: &impl Fn(&Hook) -> (Vec<u8>, Vec<u8>)) -> Self {
        let (state_head, state_tail) = state(hook);
        let environment = match &hook.environment {
            HookEnvironment::Listed(environment) => Some(array(environment)),
            HookEnvironment::Callers => Some(StringArray::new(own_environment().iter().map(Vec::as_slice))),
            HookEnvironment::Programs => None,
        };
        Self { arguments: array(&hook.arguments), environment, state_head, state_tail }
    }
}

/// The runtime's own environment as `NAME=value`.
fn own_environment() -> Vec<Vec<u8>> {
    use std::os::unix::ffi::OsStringExt;
    std::env::vars_os()
        .map(|(name, value)| {
            let mut entry = name.into_vec();
            entry.push(b'=');
            entry.extend(value.into_vec());
            entry
        })
        .collect()
}

fn array(list: &StringList) -> StringArray {
    StringArray::new(list.iter())
}

fn instructions(program: &crate::seccomp::Program) -> Vec<Instruction> {
    program
        .instructions
        .iter()
        .map(|one| Instruction { code: one.code, jt: one.jt, jf: one.jf, k: one.k })
        .collect()
}
