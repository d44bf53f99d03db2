//! One entry of `mounts` (config.md, "Mounts"). What its options mean is decided in the plan.

use super::lenient::{non_empty, or_default};
use super::linux::IdMapping;
use serde::Deserialize;

/// Something to mount in the container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Mount {
    /// Mount point in the container; a relative one is relative to `/`.
    #[serde(deserialize_with = "or_default")]
    pub destination: String,
    /// Device, file or directory (relative to the bundle for a bind mount), or a dummy.
    #[serde(deserialize_with = "non_empty")]
    pub source: Option<String>,
    /// Filesystem type; a dummy for a bind mount.
    #[serde(rename = "type", deserialize_with = "non_empty")]
    pub type_: Option<String>,
    /// Options as in fstab(5).
    #[serde(deserialize_with = "or_default")]
    pub options: Vec<String>,
    /// Users of the source as they shall appear at the destination.
    #[serde(deserialize_with = "or_default")]
    pub uid_mappings: Vec<IdMapping>,
    /// Groups of the source as they shall appear at the destination.
    #[serde(deserialize_with = "or_default")]
    pub gid_mappings: Vec<IdMapping>,
}
