//! A mount as a step: what the calls of the mount API need, and nothing left to decide.

use crate::error::Result;
use crate::plan::Place;
use crate::plan::mount_options::Attributes;
use crate::plan::mounts::c_string;
use std::ffi::CString;

/// One mount, decided.
#[derive(Debug, Clone)]
pub struct Mount {
    /// The place below the root file system; the root itself is empty.
    pub target: CString,
    /// What is mounted there.
    pub kind: Kind,
    /// Attributes of the mount.
    pub attributes: Attributes,
    /// Attributes of the mount and all below it.
    pub recursive: Attributes,
    /// Changes of propagation afterwards, `MS_*`, in order.
    pub propagation: Vec<u64>,
    /// Whether the target may lie in a procfs: lxcfs mounts its files there, nobody else may (CVE-2019-16884).
    pub may_cover_proc: bool,
}

/// What is mounted.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A part of the host's tree.
    Bind(Bind),
    /// A file system of its own.
    Filesystem(Filesystem),
    /// What is mounted at the place already, changed.
    Remount {
        /// `MS_*` of the superblock.
        flags: u64,
        /// Data for the file system.
        data: CString,
    },
}

/// A bind mount.
#[derive(Debug, Clone)]
pub struct Bind {
    /// The path on the host.
    pub source: CString,
    /// What is mounted if the source does not exist: the runtime's cgroup, for a rootless container without one.
    pub or_source: Option<CString>,
    /// Whether mounts below the source come along.
    pub recursive: bool,
    /// A clone that the parent makes: its number in [`Plan::source_clones`](crate::plan::Plan).
    pub clone: Option<usize>,
    /// Whether the ids of that clone are mapped.
    pub id_mapped: bool,
    /// Whether the source must be a procfs: it is mounted on `/proc`.
    pub must_be_proc: bool,
}

impl Fallback {
    /// A part of the host's tree with all that is mounted below it.
    pub(in crate::plan) fn to_host(source: CString, or_nothing: bool) -> Self {
        let bind = Bind {
            source,
            or_source: None,
            recursive: true,
            clone: None,
            id_mapped: false,
            must_be_proc: false,
        };
        Self { bind, or_nothing }
    }
}

/// A file system to make.
#[derive(Debug, Clone)]
pub struct Filesystem {
    /// Its type, as /proc/filesystems has it.
    pub kind: CString,
    /// Its source, for the mount table.
    pub source: CString,
    /// Whether mount(2) makes it: the machine has no new mount API, or that has no word for an option.
    pub old_call: bool,
    /// Parameters for fsconfig(2).
    pub parameters: Vec<Parameter>,
    /// `MS_*` and data for mount(2).
    pub flags: u64,
    /// As one string.
    pub data: CString,
    /// Whether a directory that is there already decides the mode (tmpfs without `mode=`).
    pub inherit_mode: bool,
    /// Whether what the mount hides is copied into it.
    pub copy_up: bool,
    /// Whether the target must be a directory without symlinks on the way: `proc` and `sysfs` (CVE-2019-19921).
    pub plain_target: bool,
    /// The SELinux context of a file system that takes it as an extended attribute alone: mqueue.
    pub label: Option<CString>,
    /// What is mounted instead where the kernel does not permit it.
    pub fallback: Option<Fallback>,
}

/// In place of a mount that the kernel does not permit.
#[derive(Debug, Clone)]
pub struct Fallback {
    /// A part of the host's tree: a cgroup, or `/sys`.
    pub bind: Bind,
    /// Whether an empty read-only file system is as good, should that not exist: the cgroup of a rootless container.
    pub or_nothing: bool,
}

/// The one empty, read-only file system over all masked directories.
#[derive(Debug, Clone, Default)]
pub struct Cover {
    /// Its SELinux context, for fsconfig(2).
    pub context: Option<CString>,
    /// All its parameters, for mount(2).
    pub data: CString,
}

impl Cover {
    pub(in crate::plan) fn new(label: Option<&str>) -> Result<Self> {
        let place = Place::property("linux");
        let quoted = label.map_or_else(String::new, |label| format!(",context=\"{label}\""));
        Ok(Self {
            context: label.map(|label| c_string(label, &place, "mountLabel")).transpose()?,
            data: c_string(&format!("nr_blocks=1,nr_inodes=1{quoted}"), &place, "mountLabel")?,
        })
    }
}

/// What is put on the directory that becomes the root file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attach {
    /// Nothing: it is only opened.
    Nothing,
    /// A clone of its tree, which can become `/`.
    Clone,
    /// A clone in the runtime's own mount namespace, on which the container's mounts stand; it is private, so that they stand
    /// nowhere else.
    PrivateClone,
}

/// A parameter of a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub key: CString,
    /// Its value; a flag has none.
    pub value: Option<CString>,
}

/// A mapping of ids as user_namespaces(7) wants it written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapTexts {
    /// The `uid_map`.
    pub uid: String,
    /// The `gid_map`.
    pub gid: String,
}

/// The ids of what a bind mount shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ids {
    /// Mapped so.
    Mapped(MapTexts),
    /// Mapped as in the user namespace that init joins.
    OfJoined,
    /// Those of its source.
    AsTheyAre,
}

/// The source of a bind mount that the parent clones before it makes init: only the owner of a superblock may map its ids, and
/// root of a user namespace may not reach every path of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceClone {
    /// The path on the host.
    pub source: CString,
    /// Whether mounts below the source come along.
    pub recursive: bool,
    /// Whether those are mapped too.
    pub map_recursive: bool,
    /// What becomes of its ids.
    pub ids: Ids,
    /// Whether it is made only where a directory above the source is closed to others: init finds the source by itself else, and
    /// the flags of its mount stay locked.
    pub only_if_closed: bool,
    /// Where it stands.
    pub place: Place,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l15_cover_of_masked_directories_has_the_mount_label() {
        let cover = Cover::new(Some("system_u:object_r:c_t:s0:c1,c2")).unwrap();
        assert_eq!(cover.context.as_deref(), Some(c"system_u:object_r:c_t:s0:c1,c2"));
        let data = c"nr_blocks=1,nr_inodes=1,context=\"system_u:object_r:c_t:s0:c1,c2\"";
        assert_eq!(cover.data.as_c_str(), data);
        assert_eq!(Cover::new(None).unwrap().data.as_c_str(), c"nr_blocks=1,nr_inodes=1");
    }
}
