//! Programs that run at the events of a container's life (config.md, "POSIX-platform Hooks").

use super::lenient::or_default;
use serde::{Deserialize, Serialize};

/// The hooks of each event, in the order in which they run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Hooks {
    /// Deprecated: like `create_runtime`, before it.
    #[serde(deserialize_with = "or_default")]
    pub prestart: Vec<Hook>,
    /// In `create`, in the runtime's namespaces, before the root is changed.
    #[serde(deserialize_with = "or_default")]
    pub create_runtime: Vec<Hook>,
    /// In `create`, in the container's namespaces, before the root is changed.
    #[serde(deserialize_with = "or_default")]
    pub create_container: Vec<Hook>,
    /// In `start`, in the container, before the user's program.
    #[serde(deserialize_with = "or_default")]
    pub start_container: Vec<Hook>,
    /// In `start`, in the runtime's namespaces, once the user's program runs.
    #[serde(deserialize_with = "or_default")]
    pub poststart: Vec<Hook>,
    /// In `delete`, in the runtime's namespaces, once the container is gone.
    #[serde(deserialize_with = "or_default")]
    pub poststop: Vec<Hook>,
}

/// One program to run.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Hook {
    /// Absolute path of the program.
    #[serde(deserialize_with = "or_default")]
    pub path: String,
    /// Its arguments, the first being argv[0]; none means the path alone.
    #[serde(deserialize_with = "or_default")]
    pub args: Vec<String>,
    /// Its environment. Absent: the runtime's own, or the container's for `start_container`.
    pub env: Option<Vec<String>>,
    /// Seconds after which it is killed.
    pub timeout: Option<i64>,
}
