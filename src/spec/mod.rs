//! What `config.json` says: types with the specification's names, read leniently and validated strictly.
//!
//! Source: runtime-spec 1.3, config.md and config-linux.md. Fields are named as the JSON properties; an absent property,
//! `null` and (for strings) `""` mean the same, and the specification's default is filled in where there is one, so that
//! no floor above asks again. Unknown properties are ignored.

pub mod capabilities;
pub mod default;
mod explain;
pub mod hooks;
mod keys;
pub mod lenient;
pub mod linux;
pub mod load;
pub mod mounts;
pub mod number_list;
pub mod process;
pub mod resources;
#[cfg(test)]
mod samples;
pub mod scheduling;
pub mod seccomp;
pub mod state;
pub mod sysctl;
pub mod validate;
mod word;

pub use hooks::{Hook, Hooks};
pub use linux::{Device, DeviceKind, IdMapping, Linux, Namespace, NamespaceKind, Propagation};
pub use load::{Loaded, LoadedProcess, LoadedResources, load, load_file, load_process, own_document};
pub use mounts::Mount;
pub use number_list::NumberList;
pub use process::{Capabilities, Process, Rlimit, RlimitKind, User};
pub use resources::Resources;
pub use seccomp::Seccomp;
pub use state::{State, Status};

use lenient::{non_empty, or_default};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The version of the runtime specification that corten implements, which `state` and `features` report.
pub const OCI_VERSION: &str = "1.3.0";

/// A whole `config.json` (config.md).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Spec {
    /// The version that the bundle was written for.
    #[serde(deserialize_with = "or_default")]
    pub oci_version: String,
    /// The container's process; `create` does without, `start` does not.
    pub process: Option<Process>,
    /// The root filesystem.
    #[serde(deserialize_with = "or_default")]
    pub root: Root,
    /// The host name to set in the UTS namespace.
    #[serde(deserialize_with = "non_empty")]
    pub hostname: Option<String>,
    /// The NIS domain name to set in the UTS namespace.
    #[serde(deserialize_with = "non_empty")]
    pub domainname: Option<String>,
    /// What to mount, in this order.
    #[serde(deserialize_with = "or_default")]
    pub mounts: Vec<Mount>,
    /// Programs to run at the events of the container's life.
    #[serde(deserialize_with = "or_default")]
    pub hooks: Hooks,
    /// Metadata for others, which the state repeats.
    #[serde(deserialize_with = "or_default")]
    pub annotations: BTreeMap<String, String>,
    /// What is particular to Linux.
    #[serde(deserialize_with = "or_default")]
    pub linux: Linux,
}

/// The container's root filesystem (config.md, "Root").
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Root {
    /// Path of the root directory: absolute, or relative to the bundle.
    #[serde(deserialize_with = "or_default")]
    pub path: String,
    /// Whether the root mount becomes read-only.
    #[serde(deserialize_with = "or_default")]
    pub readonly: bool,
}
