//! What `corten plan` tells of a step beyond its line in an error message: what the whole plan knows of it.

use crate::plan::Plan;
use crate::plan::process::Execution;
use crate::plan::step::{
    Action, Bind, Capabilities, Fallback, Filesystem, Hook, HookEnvironment, Kind, Mount,
};
use crate::plan::strings::StringList;
use crate::seccomp::Program;
use std::fmt::Write;

/// The words of a step of init.
pub(super) fn action(plan: &Plan, action: &Action) -> String {
    let words = action.to_string();
    match (action, &plan.execution, &plan.seccomp) {
        (Action::Mount(mount), ..) => words + &alternative(mount),
        (Action::Hook(one), ..) => hook(one),
        (Action::Capabilities(sets), ..) if is_temporary(plan, sets) => {
            words + "; sys_admin is kept until the seccomp program is loaded"
        }
        (Action::Seccomp, _, Some(program)) => words + &program_words(program),
        (Action::FindProgram, Some(execution), _) => words + &searched(execution),
        (Action::Execute, Some(execution), _) => {
            let count = execution.environment.iter().count();
            format!("execute {}, with {count} variables", list(&execution.arguments))
        }
        _ => words,
    }
}

/// A hook with its arguments, an environment of its own and its time:
/// `run "/bin/hook" as ["hook", "setup"], with 1 variable, for 5 s at most`.
pub(super) fn hook(hook: &Hook) -> String {
    let mut words = hook.to_string();
    if hook.arguments.iter().ne([hook.path.to_bytes()]) {
        words += &format!(" as {}", list(&hook.arguments));
    }
    if let HookEnvironment::Listed(environment) = &hook.environment {
        let count = environment.iter().count();
        let _infallible = write!(words, ", with {count} variable{}", if count == 1 { "" } else { "s" });
    }
    if let Some(timeout) = hook.timeout {
        let _infallible = write!(words, ", for {} s at most", timeout.as_secs());
    }
    words
}

/// What takes the place of a mount that the kernel does not permit.
fn alternative(mount: &Mount) -> String {
    match &mount.kind {
        Kind::Filesystem(Filesystem { fallback: Some(Fallback { bind, .. }), .. }) => {
            let verb = if bind.recursive { "rbind" } else { "bind" };
            format!(", or {verb} {:?} where that is not permitted", bind.source.to_string_lossy())
        }
        Kind::Bind(Bind { or_source: Some(source), .. }) => {
            format!(", or {:?} where there is no such cgroup", source.to_string_lossy())
        }
        _ => String::new(),
    }
}

/// Whether another set of capabilities follows.
fn is_temporary(plan: &Plan, sets: &Capabilities) -> bool {
    let last = plan.steps.iter().rev().find_map(|step| match &step.action {
        Action::Capabilities(sets) => Some(sets),
        _ => None,
    });
    last.is_some_and(|last| !std::ptr::eq(last, sets))
}

/// Its size and the `SECCOMP_FILTER_FLAG_*`.
fn program_words(program: &Program) -> String {
    let flags = program.flag_names().join(", ");
    let flags = if flags.is_empty() { "no flags".to_owned() } else { flags };
    format!(" of {} instructions ({flags})", program.instructions.len())
}

/// The program, and where it is looked for.
fn searched(execution: &Execution) -> String {
    let name = execution.arguments.iter().next().unwrap_or_default();
    let place = if execution.searched { " in PATH" } else { "" };
    format!(" {:?}{place}", String::from_utf8_lossy(name))
}

fn list(strings: &StringList) -> String {
    format!("{:?}", strings.iter().map(String::from_utf8_lossy).collect::<Vec<_>>())
}
