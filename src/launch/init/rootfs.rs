//! The root file system: taken, restricted, entered.

use super::Init;
use crate::launch::binds::clone_tree;
use crate::launch::protocol::{Fault, Reason};
use crate::plan::step::{Attach, Cover};
use crate::sys::mount::{self, Attributes, DescriptorPath};
use crate::sys::rootfs::{Missing, Rootfs, is_directory};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, UnmountFlags};
use std::ffi::CStr;

const MOUNT_ATTR_RDONLY: u64 = 1;
const MOUNT_ATTR_NOSUID: u64 = 2;
const MOUNT_ATTR_NOEXEC: u64 = 8;

/// A directory to resolve below.
pub(super) const OPEN_DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// `/dev/null`.
const NULL_DEVICE: (u32, u32) = (1, 3);

impl<'a> Init<'a> {
    /// pivot_root(2) refuses a root whose parent mount is shared. The mount that holds `path` is found by trying its
    /// directories from the bottom up: only a mount point takes a propagation.
    pub(super) fn make_parent_private(&mut self, path: &CStr) -> Result<(), Fault> {
        self.shared_host = true;
        let mut buffer = [0; 4096];
        let mut length = path.to_bytes().len();
        if length >= buffer.len() {
            return Err(Errno::NAMETOOLONG.into());
        }
        buffer[..length].copy_from_slice(path.to_bytes());
        loop {
            buffer[length] = 0;
            let here = CStr::from_bytes_until_nul(&buffer).map_err(|_| Errno::INVAL)?;
            let here = if length == 0 { c"/" } else { here };
            match mount::set_propagation(here, libc::MS_PRIVATE) {
                Err(Errno::INVAL) if length > 0 => {}
                answer => return Ok(answer?),
            }
            length = buffer[..length].iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        }
    }

    /// Opens the directory and puts a clone of its tree on it: pivot_root(2) wants a mount point, and on the host the container's
    /// mounts one that goes with them. Modes of what is made below come from the plan alone, hence the umask.
    pub(super) fn take_rootfs(&mut self, path: &'a CStr, attach: Attach) -> Result<(), Fault> {
        self.callers_umask = Some(rustix::process::umask(Mode::empty()));
        let directory = match rustix::fs::open(path, OPEN_DIRECTORY, Mode::empty()) {
            // The runtime came here first: the way was open to it.
            Err(Errno::ACCESS) if self.plan.birthplace.is_some() => {
                rustix::fs::open(c".", OPEN_DIRECTORY, Mode::empty())
            }
            opened => opened,
        };
        let directory = directory.map_err(|errno| Reason::Source.fault(errno))?;
        let root = match (attach, self.prepared.new_mount_api) {
            (Attach::Nothing, _) => directory,
            (_, true) => {
                let clone = clone_tree(directory.as_fd(), c"", true)?;
                if attach == Attach::PrivateClone {
                    let private = Attributes { propagation: libc::MS_PRIVATE, ..Attributes::default() };
                    mount::set_attributes(clone.as_fd(), &private, true)?;
                }
                mount::attach(clone.as_fd(), directory.as_fd())?;
                clone
            }
            (_, false) => {
                let place = DescriptorPath::new(&directory);
                let bind = libc::MS_BIND | libc::MS_REC;
                mount::mount_old(Some(place.as_c_str()), place.as_c_str(), c"", bind, None)?;
                self.rootfs_path = Some(path);
                let clone = rustix::fs::open(path, OPEN_DIRECTORY, Mode::empty())?;
                if attach == Attach::PrivateClone {
                    let place = DescriptorPath::new(&clone);
                    mount::set_propagation(place.as_c_str(), libc::MS_PRIVATE | libc::MS_REC)?;
                }
                clone
            }
        };
        self.rootfs = Some(Rootfs::new(root));
        Ok(())
    }

    /// Makes the working directory where it is missing.
    pub(super) fn make_directory(&mut self, path: &CStr) -> Result<(), Fault> {
        match self.rootfs()?.ensure(path, Missing::Directory) {
            Ok(_) => Ok(()),
            // A file in its place is found by the change into it; a place that root may not see, the user may.
            Err(Errno::ACCESS | Errno::PERM) => Ok(()),
            Err(errno) => Err(Reason::Target.fault(errno)),
        }
    }

    /// Hides a path; one that does not exist needs no hiding.
    pub(super) fn mask(&mut self, target: &CStr) -> Result<(), Fault> {
        let Some(place) = self.existing(target)? else { return Ok(()) };
        if !is_directory(place.as_fd())? {
            return self.cover_with_null(place.as_fd(), target);
        }
        // One file system for all: each superblock costs the kernel milliseconds when it goes.
        let cover = match &self.mask {
            _ if !self.prepared.new_mount_api => return self.mask_old(place.as_fd(), target),
            Some(mask) => clone_tree(mask.as_fd(), c"", false)?,
            None => empty_filesystem(&self.plan.cover)?,
        };
        mount::attach(cover.as_fd(), place.as_fd())?;
        self.mask.get_or_insert(cover);
        Ok(())
    }

    /// The same by mount(2).
    fn mask_old(&mut self, place: BorrowedFd<'_>, target: &CStr) -> Result<(), Fault> {
        let path = DescriptorPath::new(place);
        if let Some(mask) = &self.mask {
            let from = DescriptorPath::new(mask);
            return Ok(mount::mount_old(Some(from.as_c_str()), path.as_c_str(), c"", libc::MS_BIND, None)?);
        }
        let data = Some(self.plan.cover.data.as_c_str());
        mount::mount_old(Some(c"tmpfs"), path.as_c_str(), c"tmpfs", libc::MS_RDONLY, data)?;
        self.mask = self.existing(target)?;
        Ok(())
    }

    /// Puts the host's `/dev/null` over a file, once its device number says that it is that (CVE-2025-31133).
    fn cover_with_null(&mut self, place: BorrowedFd<'_>, target: &CStr) -> Result<(), Fault> {
        let null = if self.prepared.new_mount_api {
            clone_tree(CWD, c"/dev/null", false)?
        } else {
            rustix::fs::open(c"/dev/null", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?
        };
        verify_null(null.as_fd())?;
        if self.prepared.new_mount_api {
            // It is the host's file: a device can be written to on a read-only mount, but not given another mode or owner.
            let set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
            mount::set_attributes(null.as_fd(), &Attributes { set, ..Attributes::default() }, false)?;
            return Ok(mount::attach(null.as_fd(), place)?);
        }
        let (from, to) = (DescriptorPath::new(&null), DescriptorPath::new(place));
        mount::mount_old(Some(from.as_c_str()), to.as_c_str(), c"", libc::MS_BIND, None)?;
        let covered = self.rootfs()?.resolve(target).map_err(|errno| Reason::Target.fault(errno))?;
        verify_null(covered.as_fd())?;
        let flags = libc::MS_RDONLY | libc::MS_NOSUID | libc::MS_NOEXEC;
        Ok(mount::remount_bind(DescriptorPath::new(&covered).as_c_str(), flags)?)
    }

    /// Makes a path read-only; what is mounted below it comes along as it is.
    pub(super) fn make_readonly(&mut self, target: &CStr) -> Result<(), Fault> {
        let Some(place) = self.existing(target)? else { return Ok(()) };
        if self.prepared.new_mount_api {
            let clone = clone_tree(place.as_fd(), c"", true)?;
            let read_only = Attributes { set: MOUNT_ATTR_RDONLY, ..Attributes::default() };
            mount::set_attributes(clone.as_fd(), &read_only, false)?;
            return Ok(mount::attach(clone.as_fd(), place.as_fd())?);
        }
        let path = DescriptorPath::new(&place);
        let flags = libc::MS_BIND | libc::MS_REC;
        mount::mount_old(Some(path.as_c_str()), path.as_c_str(), c"", flags, None)?;
        self.set_mount_attributes(target, MOUNT_ATTR_RDONLY)
    }

    /// Makes the root mount read-only.
    pub(super) fn make_root_readonly(&mut self) -> Result<(), Fault> {
        self.set_mount_attributes(c"", MOUNT_ATTR_RDONLY)
    }

    /// Enters the root file system and leaves nothing of the old tree behind.
    pub(super) fn pivot(&mut self) -> Result<(), Fault> {
        rustix::process::fchdir(self.rootfs()?.root())?;
        // With both names the same, the old root ends up on top of the new one, and no directory is needed for it.
        let old =
            self.shared_host.then(|| rustix::fs::open(c"/", OPEN_DIRECTORY, Mode::empty())).transpose()?;
        rustix::process::pivot_root(c".", c".")?;
        if let Some(old) = old {
            // Or the umount would be the host's, too. The name . still means the new root, whose volumes stay shared.
            rustix::process::fchdir(&old)?;
            mount::set_propagation(c".", libc::MS_SLAVE | libc::MS_REC)?;
        }
        rustix::mount::unmount(c".", UnmountFlags::DETACH)?;
        Ok(rustix::process::chdir(c"/")?)
    }

    /// For a host on a ramfs, which cannot be pivoted away from.
    pub(super) fn move_root(&mut self) -> Result<(), Fault> {
        rustix::process::fchdir(self.rootfs()?.root())?;
        mount::mount_old(Some(c"."), c"/", c"", libc::MS_MOVE, None)?;
        rustix::process::chroot(c".")?;
        Ok(rustix::process::chdir(c"/")?)
    }

    /// Enters the root file system without a mount namespace of our own.
    pub(super) fn chroot(&mut self) -> Result<(), Fault> {
        rustix::process::fchdir(self.rootfs()?.root())?;
        rustix::process::chroot(c".")?;
        Ok(rustix::process::chdir(c"/")?)
    }

    /// The directory `path` of the container, kept for the next step that asks for the same one.
    pub(super) fn directory(&mut self, path: &'a CStr) -> Result<BorrowedFd<'_>, Fault> {
        if self.directory.as_ref().is_none_or(|(known, _)| *known != path) {
            let directory = self
                .rootfs()?
                .ensure(path, Missing::Directory)
                .map_err(|errno| Reason::Target.fault(errno))?;
            self.directory = Some((path, directory));
        }
        match &self.directory {
            Some((_, directory)) => Ok(directory.as_fd()),
            None => Err(Errno::NOENT.into()),
        }
    }

    fn existing(&self, target: &CStr) -> Result<Option<OwnedFd>, Fault> {
        match self.rootfs()?.resolve(target) {
            Ok(place) => Ok(Some(place)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(Reason::Target.fault(errno)),
        }
    }
}

/// A read-only tmpfs with room for nothing.
fn empty_filesystem(cover: &Cover) -> Result<OwnedFd, Errno> {
    let context = rustix::mount::fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(&context, c"source", c"tmpfs")?;
    rustix::mount::fsconfig_set_string(&context, c"nr_blocks", c"1")?;
    rustix::mount::fsconfig_set_string(&context, c"nr_inodes", c"1")?;
    if let Some(label) = &cover.context {
        rustix::mount::fsconfig_set_string(&context, c"context", label)?;
    }
    rustix::mount::fsconfig_set_flag(&context, c"ro")?;
    rustix::mount::fsconfig_create(&context)?;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_RDONLY)
}

fn verify_null(file: BorrowedFd<'_>) -> Result<(), Fault> {
    let stat = rustix::fs::statat(file, c"", AtFlags::EMPTY_PATH)?;
    let device = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
    let is_device = crate::sys::rootfs::file_type(&stat) == rustix::fs::FileType::CharacterDevice;
    if is_device && device == NULL_DEVICE { Ok(()) } else { Err(Reason::WrongDevice.fault(Errno::NODEV)) }
}
