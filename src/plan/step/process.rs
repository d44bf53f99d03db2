//! What init is, as steps: capabilities, limits, hooks.

use crate::plan::Place;
use crate::plan::strings::StringList;
use crate::spec::{RlimitKind, Status};
use std::ffi::CString;
use std::time::Duration;

/// Capability sets as bits: bit n is capability n.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Effective.
    pub effective: u64,
    /// Permitted.
    pub permitted: u64,
    /// Inheritable.
    pub inheritable: u64,
    /// Ambient: raised one by one, best effort, since the kernel refuses those that are not permitted and inheritable.
    pub ambient: u64,
}

/// A resource limit. Init sets it last, or it would have to work under it; a hard limit above the caller's is raised by
/// the parent, who may have the right to that where init in its user namespace has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rlimit {
    /// `RLIMIT_*` of the kernel.
    pub resource: u32,
    /// The specification's name.
    pub kind: RlimitKind,
    /// Soft limit in the resource's unit; `u64::MAX` is unlimited.
    pub soft: u64,
    /// Hard limit.
    pub hard: u64,
}

/// Where a hook has its environment from.
#[derive(Debug, Clone)]
pub enum HookEnvironment {
    /// What its `env` lists.
    Listed(StringList),
    /// That of whoever runs it.
    Callers,
    /// That of the container's program, with the `HOME` that is looked up for it.
    Programs,
}

/// A hook, ready to run.
#[derive(Debug, Clone)]
pub struct Hook {
    /// The program, absolute.
    pub path: CString,
    /// `argv`; the path when `args` is empty.
    pub arguments: StringList,
    /// `envp`.
    pub environment: HookEnvironment,
    /// Where it begins; nothing is where whoever runs it is.
    pub directory: Option<CString>,
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// The status that its state on stdin tells.
    pub status: Status,
    /// Where it stands.
    pub place: Place,
}
