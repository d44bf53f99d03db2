//! Clones of the sources of bind mounts, made by the parent: only the owner of a superblock may map its ids, and root of a
//! user namespace may not reach every path.
//!
//! mount_setattr(2), "ID-mapped mounts": the kernel takes the maps of a user namespace.

use crate::error::{Context, Error, Result};
use crate::plan::Plan;
use crate::plan::step::{Ids, MapTexts, SourceClone};
use crate::spec::linux::NamespaceKind;
use crate::sys::clone::{self, Request, Side};
use crate::sys::mount::Attributes;
use crate::sys::procfs::Procfs;
use crate::sys::signals;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;
use rustix::process::{Signal, WaitId, WaitIdOptions};
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// `MOUNT_ATTR_IDMAP`.
const MOUNT_ATTR_IDMAP: u64 = 0x10_0000;

/// The clone, where it is needed: what others may reach by the directories that are named, init finds by itself, and what cannot be opened
/// init tells of.
///
/// # Errors
/// As [`clone`].
pub fn make(mount: &SourceClone, plan: &Plan, joins: &[OwnedFd], procfs: &Procfs) -> Result<Option<OwnedFd>> {
    if !mount.only_if_closed {
        return clone(mount, plan, joins, procfs).map(Some);
    }
    let path = Path::new(OsStr::from_bytes(mount.source.as_bytes()));
    let is_closed = |path: &Path| rustix::fs::stat(path).is_ok_and(|stat| stat.st_mode & 0o001 == 0);
    Ok(if path.ancestors().skip(1).any(is_closed) { open_tree(mount).ok() } else { None })
}

/// A detached clone of the mount's source.
///
/// # Errors
/// A source that does not exist, maps that are not permitted, a file system without id maps; each with the mount's place.
pub fn clone(mount: &SourceClone, plan: &Plan, joins: &[OwnedFd], procfs: &Procfs) -> Result<OwnedFd> {
    let source = || mount.source.to_string_lossy();
    let joined = plan.namespaces.join.iter().position(|join| join.kind == NamespaceKind::User);
    let user_namespace = match (&mount.ids, joined.and_then(|index| joins.get(index))) {
        (Ids::AsTheyAre, _) => return open_tree(mount).context(|| format!("open {}", source())),
        (Ids::Mapped(maps), _) => user_namespace(maps, procfs),
        (Ids::OfJoined, Some(joined)) => joined.try_clone().context(|| "dup"),
        (Ids::OfJoined, None) => Err(Error::new("there is no map")),
    };
    let context = || format!("{}: map the ids of {}", mount.place, source());
    let user_namespace = user_namespace.map_err(|error| error.context(context()))?;
    let tree = open_tree(mount).context(context)?;
    let attributes = Attributes {
        set: MOUNT_ATTR_IDMAP,
        user_namespace: rustix::fd::AsRawFd::as_raw_fd(&user_namespace) as u64,
        ..Attributes::default()
    };
    crate::sys::mount::set_attributes(tree.as_fd(), &attributes, mount.map_recursive).map_err(|errno| {
        let error = Error::from(errno).context(context());
        if errno == Errno::INVAL {
            error.hint("the file system may not support id-mapped mounts")
        } else {
            error
        }
    })?;
    Ok(tree)
}

fn open_tree(mount: &SourceClone) -> rustix::io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    flags.set(OpenTreeFlags::AT_RECURSIVE, mount.recursive);
    rustix::mount::open_tree(CWD, &mount.source, flags)
}

/// A user namespace with the given maps: that of a process that does nothing and is gone when the file is open.
fn user_namespace(maps: &MapTexts, procfs: &Procfs) -> Result<OwnedFd> {
    let request = Request { flags: libc::CLONE_NEWUSER as u64, cgroup: None };
    let (pid, pidfd) = match clone::clone3(&request).context(|| "make a user namespace")? {
        Side::Child => loop {
            let _best_effort = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
            rustix::event::pause();
        },
        Side::Parent { pid, pidfd } => (pid, pidfd),
    };
    let number = pid.as_raw_nonzero();
    let write = |file: &str, map: &str| {
        let path = CString::new(format!("{number}/{file}")).unwrap_or_default();
        procfs
            .write(&path, map.as_bytes())
            .context(|| format!("{file} {}", map.trim_end().replace('\n', ", ")))
    };
    let path = CString::new(format!("/proc/{number}/ns/user")).unwrap_or_default();
    let opened = write("uid_map", &maps.uid).and_then(|()| write("gid_map", &maps.gid)).and_then(|()| {
        rustix::fs::openat(CWD, &path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .context(|| path.to_string_lossy().into_owned())
    });
    let _is_our_child = signals::send_to_child(pidfd.as_fd(), number.get(), libc::SIGKILL);
    let _reaped = rustix::io::retry_on_intr(|| {
        rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED)
    });
    opened
}
