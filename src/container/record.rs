//! The record of a container on disk: written before its first side effect, so that whatever happens `delete` knows what
//! there may be.

use crate::container::process::{Liveness, Process};
use crate::error::Result;
use crate::plan::cgroup::Location;
use crate::plan::listener::Listener;
use crate::spec::Hook;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How far the runtime got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Something may exist already, nothing is complete.
    Creating,
    /// Init waits for `start`, or waited for it.
    Created,
    /// `run`: init did not wait.
    Running,
}

/// What is known of a container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// Its id.
    pub id: String,
    /// How far the runtime got.
    pub stage: Stage,
    /// Init, once it is on record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// The bundle, absolute.
    pub bundle: String,
    /// The root file system, absolute.
    pub rootfs: String,
    /// When it was created, RFC 3339 with nanoseconds.
    pub created: String,
    /// The number of the mount that the root file system lies on, when the container's mounts are made there, in the
    /// mount namespace of the runtime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_mount: Option<u64>,
    /// Its cgroup.
    pub cgroup: Location,
    /// Directories of resctrl that are removed with it, inner ones first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resctrl: Vec<String>,
    /// Whether it has a pid namespace of its own: then all its processes die with init.
    pub own_pids: bool,
    /// `annotations`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// `hooks.poststart`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub poststart: Vec<Hook>,
    /// `hooks.poststop`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub poststop: Vec<Hook>,
    /// What `mounts add` has mounted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Added>,
    /// What `start` needs to explain a failure of init.
    #[serde(default)]
    pub start: Start,
}

/// A mount that was added to a container that runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Added {
    /// Where it is in the container.
    pub destination: String,
    /// What it shows.
    pub source: String,
    /// Whether that is a part of the host's tree.
    pub bind: bool,
}

/// The steps of init after the start, in words, the program, and the agent that must hear of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Start {
    /// `args[0]`; nothing without a process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// The number of the first of the steps in the plan.
    pub first: usize,
    /// A line for each step.
    pub steps: Vec<String>,
    /// Who answers the system calls that the filter notifies of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener: Option<Listener>,
    /// Whether the filter may keep init from saying that the program cannot be executed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub silenced: bool,
    /// Whether hooks run before the program.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hooks: bool,
}

impl Record {
    /// Whether init was on record and has ended.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn init_has_ended(&self) -> Result<bool> {
        match &self.process {
            Some(process) => Ok(process.liveness()? == Liveness::Ended),
            None => Ok(false),
        }
    }
}
