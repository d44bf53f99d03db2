//! The runtime's way into namespaces that show only in children, and back: pid_namespaces(7), time_namespaces(7).

use crate::error::{Context, Result};
use crate::plan::Plan;
use crate::plan::namespaces::clone_flag;
use crate::spec::linux::NamespaceKind;
use crate::sys::namespace;
use crate::sys::procfs::Procfs;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use std::ffi::CString;

/// Why the kernel refuses an offset of a clock (time_namespaces(7)).
pub(super) const OFFSET_RANGE: &str = "a clock with its offset must be from 0 to 146 years";

/// Namespaces that show only in children: entered for the clone, left after it.
#[derive(Debug, Default)]
pub struct Detour {
    own: Vec<(u32, OwnedFd)>,
}

impl Detour {
    /// Enters them.
    ///
    /// # Errors
    /// A namespace that cannot be entered; offsets that the kernel refuses.
    pub fn enter(plan: &Plan, joins: &[OwnedFd], target: Option<&OwnedFd>, procfs: &Procfs) -> Result<Self> {
        let mut detour = Self::default();
        if plan.namespaces.middle {
            return Ok(detour);
        }
        // By pidfd the child itself enters a time namespace.
        let pid_namespace = clone_flag(NamespaceKind::Pid);
        if let Some(target) = target.filter(|_| plan.namespaces.of_process & pid_namespace != 0) {
            detour.own.push((pid_namespace as u32, open_own(c"self/ns/pid")?));
            namespace::enter(target.as_fd(), pid_namespace as u32).context(|| "join the pid namespace")?;
        }
        for (join, file) in plan.namespaces.join.iter().zip(joins) {
            let own = match join.kind {
                NamespaceKind::Pid => c"self/ns/pid",
                NamespaceKind::Time => c"self/ns/time",
                _ => continue,
            };
            let kind = clone_flag(join.kind) as u32;
            detour.own.push((kind, open_own(own)?));
            namespace::enter(file.as_fd(), kind)
                .context(|| format!("{}.path: join {}", join.place, join.path.to_string_lossy()))?;
        }
        if let Some(offsets) = &plan.namespaces.time_offsets {
            detour.own.push((libc::CLONE_NEWTIME as u32, open_own(c"self/ns/time")?));
            namespace::unshare(libc::CLONE_NEWTIME as u32).context(|| "make the time namespace")?;
            procfs
                .write(c"self/timens_offsets", offsets.as_bytes())
                .context(|| format!("linux.timeOffsets: write {:?}", offsets.trim_end().replace('\n', ", ")))
                .map_err(|error| match error.errno() {
                    Some(libc::ERANGE) => error.hint(OFFSET_RANGE),
                    _ => error,
                })?;
        }
        Ok(detour)
    }

    /// Returns to the runtime's own.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn leave(self) -> Result<()> {
        for (kind, own) in self.own {
            namespace::enter(own.as_fd(), kind).context(|| "return to the runtime's own namespace")?;
        }
        Ok(())
    }
}

/// One of our own namespaces; these links of `/proc` are magic, which [`Procfs`] rightly refuses to follow.
fn open_own(name: &std::ffi::CStr) -> Result<OwnedFd> {
    let path = CString::new(format!("/proc/{}", name.to_string_lossy())).unwrap_or_default();
    rustix::fs::openat(CWD, &path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .context(|| path.to_string_lossy().into_owned())
}
