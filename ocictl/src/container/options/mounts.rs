//! What is mounted in a container, its root included.

use crate::digest::Digest;
use serde::{Deserialize, Serialize};

/// A directory as the root.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rootfs {
    /// The directory.
    pub path: String,
    /// Whether changes go to a layer of the container's own (`:O`) and not to the directory.
    pub overlay: bool,
}

/// Something that is mounted in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// What.
    pub kind: MountKind,
    /// Where.
    pub target: String,
    /// Words as in mount(8): `ro`, `noexec`, `rslave`, `size=64m`; `U` for what becomes the program's user's, `z` and `Z` for labels.
    pub options: Vec<String>,
    /// Whether a fresh volume gets what the image has there.
    pub copy_up: bool,
    /// Of a volume, the directory in it that is mounted; empty for all of it.
    #[serde(default)]
    pub subpath: String,
}

/// An image that a container has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageUse {
    /// The digest of its configuration.
    pub id: Digest,
    /// The name that it was called by.
    pub name: String,
    /// Its layers, the bottom first.
    pub layers: Vec<Digest>,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MountKind {
    /// A path of the host.
    Bind(String),
    /// A named volume.
    Volume(String),
    /// A volume that nobody named; the name was made up, and it goes with the container when that is removed by `--rm` or `-v`.
    Anonymous(String),
    /// A directory of the host below a layer that goes with the container.
    Overlay(String),
    /// An image, by the name that was typed; which one that is, creating the container decides.
    Image(String, Option<ImageUse>),
    /// Memory.
    Tmpfs,
}

/// Whether a word of a mount's options lets what is mounted in it be seen on the host.
pub fn is_shared(word: &str) -> bool {
    matches!(word, "shared" | "rshared")
}

impl MountKind {
    /// Whether it is a volume that nobody has named.
    pub fn is_anonymous(&self) -> bool {
        matches!(self, MountKind::Anonymous(_))
    }
}
