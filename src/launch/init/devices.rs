//! Device nodes and symlinks of `/dev`.

use super::Init;
use crate::launch::binds::clone_tree;
use crate::launch::protocol::{self, Fault, Reason, Report};
use crate::plan::step::{Device, Symlink};
use crate::sys::mount::{self, DescriptorPath};
use crate::sys::rootfs::file_type;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Stat, Uid};
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
                    let flags = AtFlags::SYMLINK_NOFOLLOW;
                    if !is_node(&rustix::fs::statat(directory, &device.name, flags)?, device) {
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

/// Whether a file is a node of that kind and number.
fn is_node(stat: &Stat, device: &Device) -> bool {
    let kind = FileType::from_raw_mode(device.mode);
    let number = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
    file_type(stat) == kind && (kind == FileType::Fifo || number == device.device)
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
    if file_type(&rustix::fs::fstat(&place)?) == FileType::Symlink {
        return Err(Reason::TargetIsLink.fault(Errno::LOOP));
    }
    let source = if new_mount_api {
        clone_tree(CWD, &device.host_path, false)
    } else {
        rustix::fs::open(&device.host_path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
    };
    let source = source.map_err(|errno| Reason::Source.fault(errno))?;
    if !is_node(&rustix::fs::fstat(&source)?, device) {
        return Err(Reason::WrongDevice.fault(Errno::NODEV));
    }
    if new_mount_api {
        return Ok(mount::attach(source.as_fd(), place.as_fd())?);
    }
    let (from, to) = (DescriptorPath::new(&source), DescriptorPath::new(&place));
    Ok(mount::mount_old(Some(from.as_c_str()), to.as_c_str(), c"", libc::MS_BIND, None)?)
}
