//! Who the process is: session, keys, user, groups, capabilities, labels, working directory.

use super::Init;
use super::namespaces::unmapped;
use crate::launch::protocol::{Fault, Reason};
use crate::plan::step::Capabilities;
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};
use std::ffi::CStr;

impl Init<'_> {
    /// Changes to the working directory, and makes sure that it is one of the container's.
    pub(super) fn change_directory(&mut self, cwd: &CStr) -> Result<(), Fault> {
        match rustix::process::chdir(cwd) {
            Err(Errno::ACCESS | Errno::PERM) => {
                self.retry_cwd = true;
                Ok(())
            }
            Err(errno) => Err(errno.into()),
            Ok(()) => verify_inside(),
        }
    }

    /// Gives the stdio to the user and becomes him. Permitted capabilities stay until they are set.
    pub(super) fn become_user(
        &mut self,
        uid: u32,
        gid: u32,
        groups: Option<&[u32]>,
        cwd: &CStr,
    ) -> Result<(), Fault> {
        self.use_terminal(uid)?;
        give_stdio_to(uid);
        rustix::thread::set_keep_capabilities(true)?;
        match groups {
            Some([]) if self.groups_denied => {}
            Some(groups) => set_groups(groups)?,
            None => {}
        }
        let (user, group) = (Uid::from_raw(uid), Gid::from_raw(gid));
        rustix::thread::set_thread_res_gid(group, group, group).map_err(unmapped("the gid"))?;
        rustix::thread::set_thread_res_uid(user, user, user).map_err(unmapped("the uid"))?;
        if self.retry_cwd {
            rustix::process::chdir(cwd)?;
            verify_inside()?;
        }
        Ok(())
    }

    /// umask(2), which cannot fail; hooks get it, too, from here on.
    pub(super) fn set_umask(&mut self, mask: u32) -> Result<(), Fault> {
        rustix::process::umask(Mode::from_raw_mode(mask));
        self.callers_umask = None;
        Ok(())
    }

    /// Writes the label for the next execve(2): the first of the files that this kernel has.
    pub(super) fn write_label(&self, files: &[&CStr], label: &[u8]) -> Result<(), Fault> {
        let mut answer = Err(Errno::NOENT.into());
        for file in files {
            answer = self.write_proc(file, label);
            if answer != Err(Errno::NOENT.into()) {
                break;
            }
        }
        answer
    }
}

/// A session of our own: the caller's terminal cannot be reached (CVE-2017-5226).
pub(super) fn new_session() -> Result<(), Fault> {
    match rustix::process::setsid() {
        // Already the leader of one, as the first process of a new pid namespace never is.
        Ok(_) | Err(Errno::PERM) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Joins a session keyring. A kernel or a filter without keys has none to hide.
pub(super) fn join_keyring(name: &CStr, permissions: u32) -> Result<(), Fault> {
    match crate::sys::keyring::join_session(name, permissions) {
        Ok(()) | Err(Errno::NOSYS) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Drops every capability that is not in `keep`. The kernel names the last one by refusing the next.
pub(super) fn drop_bounding(keep: u64) -> Result<(), Fault> {
    for number in 0..64 {
        let capability = 1_u64 << number;
        if keep & capability != 0 {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(capability))
        {
            Ok(()) => {}
            Err(Errno::INVAL) => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Sets the sets; ambient capabilities are raised one by one, and one that the kernel refuses is left out: it is not
/// permitted or not inheritable, and `Plan::new` has warned of it.
pub(super) fn set_capabilities(wanted: &Capabilities) -> Result<(), Fault> {
    let sets = CapabilitySets {
        effective: CapabilitySet::from_bits_retain(wanted.effective),
        permitted: CapabilitySet::from_bits_retain(wanted.permitted),
        inheritable: CapabilitySet::from_bits_retain(wanted.inheritable),
    };
    rustix::thread::set_capabilities(None, sets)?;
    rustix::thread::clear_ambient_capability_set()?;
    let possible = wanted.ambient & wanted.permitted & wanted.inheritable;
    for number in (0..64).filter(|number| possible >> number & 1 == 1) {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        rustix::thread::configure_capability_in_ambient_set(capability, true)?;
    }
    Ok(())
}

/// Whoever logs to `/dev/stdout` opens it anew, which takes ownership. Terminals and `/dev/null` are left alone, and so is
/// what cannot change its owner: a socket of the host's, a read-only file.
fn give_stdio_to(uid: u32) {
    if uid == 0 {
        return;
    }
    for stream in [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()] {
        let Ok(stat) = rustix::fs::fstat(stream) else { continue };
        let is_device = crate::sys::rootfs::file_type(&stat) == rustix::fs::FileType::CharacterDevice;
        if stat.st_uid != uid && !is_device {
            let _best_effort = rustix::fs::fchown(stream, Some(rustix::fs::Uid::from_raw(uid)), None);
        }
    }
}

fn set_groups(groups: &[u32]) -> Result<(), Fault> {
    crate::sys::groups::set(groups).map_err(unmapped("one of the groups"))
}

fn verify_inside() -> Result<(), Fault> {
    match crate::sys::directory::is_inside_root() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Reason::OutsideCwd.fault(Errno::NOENT)),
        Err(errno) => Err(Reason::OutsideCwd.fault(errno)),
    }
}
