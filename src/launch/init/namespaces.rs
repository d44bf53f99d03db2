//! Into cgroups and namespaces.

use super::Init;
use crate::launch::protocol::{Detail, Fault, Reason};
use crate::plan::namespaces::clone_flag;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Gid, Uid};

/// The kinds that show only in children: the parent, or the process in between, enters them before the clone.
const FOR_CHILDREN: u64 = (libc::CLONE_NEWPID | libc::CLONE_NEWTIME) as u64;

/// The namespace of cgroups. With the mount option `nsdelegate` a process may not be born in a cgroup from inside of it
/// (cgroups(7), "Cgroups delegation: mounting with nsdelegate").
pub(crate) const CGROUP: u64 = libc::CLONE_NEWCGROUP as u64;

impl Init<'_> {
    /// Writes `0` into the `tasks` file of each hierarchy: the kernel takes that for the single-threaded writer itself and
    /// needs no global lock, which the pid in `cgroup.procs` would cost 10 ms for.
    pub(super) fn join_cgroups(&mut self) -> Result<(), Fault> {
        for tasks in &self.descriptors.tasks {
            rustix::io::write(tasks, b"0")?;
        }
        self.descriptors.tasks.clear();
        Ok(())
    }

    /// Enters the namespaces by path, unless a process in between has done so.
    pub(super) fn join_namespaces(&mut self) -> Result<(), Fault> {
        let namespaces = &self.plan.namespaces;
        let (of_process, except) = match namespaces.middle {
            // The process in between leaves that of cgroups to us, who are in the cgroup by now.
            true => (namespaces.of_process & CGROUP, !CGROUP),
            false => (namespaces.of_process & !(libc::CLONE_NEWPID as u64), FOR_CHILDREN),
        };
        if let Some(target) = self.descriptors.target.take() {
            join_process(of_process, target.as_fd())?;
        }
        let kinds = namespaces.join.iter().map(|join| clone_flag(join.kind));
        join_all(kinds, &self.descriptors.joins, except)?;
        self.descriptors.joins.clear();
        Ok(())
    }

    /// Becomes user and group 0, so that what is made belongs to the root of the user namespace.
    pub(super) fn become_root(&mut self, drop_groups: bool) -> Result<(), Fault> {
        if drop_groups {
            match rustix::thread::set_thread_groups(&[]) {
                // In a joined namespace only the kernel knows what its maker allowed.
                Err(Errno::PERM) if self.denies_groups() => self.groups_denied = true,
                answer => answer?,
            }
        }
        rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT).map_err(unmapped("the gid"))?;
        rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).map_err(unmapped("the uid"))
    }

    fn denies_groups(&self) -> bool {
        let mut bytes = [0; 8];
        let Some(procfs) = &self.descriptors.procfs else { return false };
        let read = |file| rustix::io::read(&file, &mut bytes);
        procfs.open_file(c"self/setgroups", OFlags::RDONLY).and_then(read).is_ok()
            && bytes.starts_with(b"deny")
    }
}

/// Allows every processor that the cpuset has; the caller may be bound to a few (runc does the same).
pub(super) fn reset_affinity() -> Result<(), Fault> {
    match crate::sys::affinity::allow_all() {
        // A cpuset without processors, or a filter: the program then runs where its creator does.
        Ok(()) | Err(Errno::INVAL | Errno::NOSYS | Errno::PERM) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Enters every namespace whose kind is not in `except`.
///
/// What the caller's rights reach comes first; the user namespace changes those rights, and what was refused before it is
/// tried again after it.
pub(crate) fn join_all(
    kinds: impl Iterator<Item = u64> + Clone,
    files: &[OwnedFd],
    except: u64,
) -> Result<(), Fault> {
    const USER: u64 = libc::CLONE_NEWUSER as u64;
    let wanted = || kinds.clone().zip(files).enumerate().filter(|(_, (kind, _))| kind & except == 0);
    let mut refused = 0_u64;
    for (index, (kind, file)) in wanted().filter(|(_, (kind, _))| *kind != USER) {
        match join(kind, file) {
            Ok(()) => {}
            Err(Errno::PERM) => refused |= 1 << index,
            Err(errno) => return Err(fault(index, errno)),
        }
    }
    for (index, (kind, file)) in wanted().filter(|(_, (kind, _))| *kind == USER) {
        join(kind, file).map_err(|errno| fault(index, errno))?;
    }
    for (index, (kind, file)) in wanted().filter(|(index, _)| refused >> index & 1 == 1) {
        join(kind, file).map_err(|errno| fault(index, errno))?;
    }
    Ok(())
}

/// Enters namespaces of a process, all in one call: the kernel weighs the caller's rights for all of them before it changes
/// any.
pub(crate) fn join_process(kinds: u64, process: BorrowedFd<'_>) -> Result<(), Fault> {
    if kinds == 0 {
        return Ok(());
    }
    Ok(crate::sys::namespace::enter(process, kinds as u32)?)
}

fn join(kind: u64, file: &OwnedFd) -> Result<(), Errno> {
    crate::sys::namespace::enter(file.as_fd(), kind as u32)
}

fn fault(index: usize, errno: Errno) -> Fault {
    Fault { detail: Detail::new(&[index as u8]), ..Reason::Join.fault(errno) }
}

/// Makes new namespaces for this process.
pub(super) fn unshare(flags: u32) -> Result<(), Fault> {
    Ok(crate::sys::namespace::unshare(flags)?)
}

/// Forbids everybody who shares a namespace with us to trace us or to read our files in `/proc` (CVE-2016-9962).
pub(crate) fn not_dumpable() -> Result<(), Fault> {
    Ok(rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// EINVAL of a change of ids means that the id has no mapping; `which` is the id.
pub(super) fn unmapped(which: &'static str) -> impl Fn(Errno) -> Fault {
    move |errno| match errno {
        Errno::INVAL => Fault { detail: Detail::new(which.as_bytes()), ..Reason::UnmappedId.fault(errno) },
        _ => errno.into(),
    }
}
