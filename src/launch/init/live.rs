//! Mounts of a container that runs: what was changed is put back unless all of it worked and the runtime has it on record.
//!
//! The container's own `/proc` is not to be trusted, so descriptors are reached through the runtime's.

use super::Init;
use crate::launch::binds::clone_tree;
use crate::launch::protocol::{Detail, Fault, Reason};
use crate::plan::step::Action;
use crate::sys::mount::{self, DescriptorPath};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use std::ffi::CStr;

impl Init<'_> {
    /// Remembers what the present step has mounted, or a clone of what it has unmounted.
    pub(super) fn remember(&mut self, mount: OwnedFd) {
        if self.plan.all_or_none {
            self.prepared.changed.push((mount, self.step));
        }
    }

    /// Takes away what is mounted on a place that no symlink leads to: by one the container could have us unmount what
    /// hides something from it.
    pub(super) fn unmount(&mut self, target: &CStr) -> Result<(), Fault> {
        let place = self.rootfs()?.resolve_plain_any(target).map_err(|errno| match errno {
            Errno::LOOP => Reason::TargetIsLink.fault(errno),
            errno => Reason::Target.fault(errno),
        })?;
        let status = rustix::fs::statx(&place, c"", AtFlags::EMPTY_PATH, StatxFlags::empty())?;
        if !status.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
            let detail = Detail::new(b"it is no mount point");
            return Err(Fault { detail, ..Reason::Kernel.fault(Errno::INVAL) });
        }
        let copy = clone_tree(place.as_fd(), c"", true)?;
        self.detach(place.as_fd())?;
        self.remember(copy);
        Ok(())
    }

    /// Puts everything back, the last change first. What cannot be put back stays as it is: the first failure is the one
    /// to be told.
    pub(super) fn put_back(&mut self) {
        while let Some((mount, step)) = self.prepared.changed.pop() {
            let _told_is_the_first = match self.plan.steps.get(usize::from(step)).map(|step| &step.action) {
                Some(Action::Unmount(target)) => self.rootfs().and_then(|rootfs| {
                    Ok(mount::attach(mount.as_fd(), rootfs.resolve_plain_any(target)?.as_fd())?)
                }),
                _ => self.detach(mount.as_fd()),
            };
        }
    }

    fn detach(&self, mount: BorrowedFd<'_>) -> Result<(), Fault> {
        let Some(procfs) = &self.descriptors.procfs else { return Err(Errno::BADF.into()) };
        rustix::process::fchdir(procfs.root())?;
        Ok(rustix::mount::unmount(DescriptorPath::new(mount).below_proc(), UnmountFlags::DETACH)?)
    }
}
