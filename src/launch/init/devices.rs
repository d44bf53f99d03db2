//! Device nodes and symlinks of `/dev`.

use super::Init;
use super::mounts::clone_tree;
use crate::launch::protocol::{self, Fault, Reason, Report};
use crate::plan::step::{Device, Symlink};
use crate::sys::mount::{self, DescriptorPath};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

impl<'a> Init<'a> {
    /// Makes a node, or binds the host's where that is not permitted. What exists already is taken as it is, and told of
    /// when it is something else: images bring such files, and runc says nothing.
    pub(super) fn make_device(&mut self, device: &'a Device) -> Result<(), Fault> {
        let directory = self.directory(&device.parent)?;
        if !device.bind {
            match make_node(directory, device) {
                Err(Errno::PERM) => {}
                Err(Errno::EXIST) => {
                    if !is_same(directory, device)? {
                        protocol::send(self.channel.as_fd(), &Report::Occupied(self.step));
                    }
                    return Ok(());
                }
                answer => return Ok(answer?),
            }
        }
        let new_mount_api = self.prepared.new_mount_api;
        bind_node(self.directory(&device.parent)?, device, new_mount_api)
    }

    /// Makes a symlink; where the name is taken, it stays or gives way as the plan says.
    pub(super) fn make_link(&mut self, link: &'a Symlink) -> Result<(), Fault> {
        let directory = self.directory(&link.parent)?;
        match rustix::fs::symlinkat(&link.target, directory, &link.name) {
            Err(Errno::EXIST) if link.replace => {
                crate::sys::rootfs::remove_file(directory, &link.name)?;
                Ok(rustix::fs::symlinkat(&link.target, directory, &link.name)?)
            }
            Err(Errno::EXIST) => Ok(()),
            answer => Ok(answer?),
        }
    }
}

/// mknodat(2) never follows the last component, so a link in the node's place is left alone (CVE-2026-47766).
fn make_node(directory: BorrowedFd<'_>, device: &Device) -> Result<(), Errno> {
    let (major, minor) = device.device;
    let kind = FileType::from_raw_mode(device.mode);
    let mode = Mode::from_raw_mode(device.mode);
    rustix::fs::mknodat(directory, &device.name, kind, mode, rustix::fs::makedev(major, minor))?;
    if device.owner == (0, 0) {
        return Ok(());
    }
    let (user, group) = (Uid::from_raw(device.owner.0), Gid::from_raw(device.owner.1));
    rustix::fs::chownat(directory, &device.name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)
}

/// Whether what has the node's name is that node.
fn is_same(directory: BorrowedFd<'_>, device: &Device) -> Result<bool, Errno> {
    let stat = rustix::fs::statat(directory, &device.name, AtFlags::SYMLINK_NOFOLLOW)?;
    let kind = FileType::from_raw_mode(device.mode);
    let number = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
    let is_pipe = kind == FileType::Fifo;
    Ok(crate::sys::rootfs::file_type(&stat) == kind && (is_pipe || number == device.device))
}

/// Binds the host's node of the same path on a file of the container.
fn bind_node(directory: BorrowedFd<'_>, device: &Device, new_mount_api: bool) -> Result<(), Fault> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::WRONLY;
    match rustix::fs::openat(directory, &device.name, flags, Mode::from_raw_mode(0o666)) {
        Ok(_) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(Reason::Target.fault(errno)),
    }
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let place = rustix::fs::openat(directory, &device.name, flags, Mode::empty())?;
    if crate::sys::rootfs::file_type(&rustix::fs::fstat(&place)?) == FileType::Symlink {
        return Err(Reason::TargetIsLink.fault(Errno::LOOP));
    }
    if new_mount_api {
        let clone = clone_tree(CWD, &device.host_path, false).map_err(|errno| Reason::Source.fault(errno))?;
        return Ok(mount::attach(clone.as_fd(), place.as_fd())?);
    }
    let to = DescriptorPath::new(&place);
    Ok(mount::mount_old(Some(&device.host_path), to.as_c_str(), c"", libc::MS_BIND, None)?)
}
