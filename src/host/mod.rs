//! What this machine offers and what the caller may do on it, asked once before anything is decided.

pub mod cgroup;
pub mod mounts;
pub mod systemd;

use crate::error::{Context, Result};
use crate::sys::procfs::Procfs;
use cgroup::Cgroups;
use rustix::fs::OFlags;

/// The inode of the initial user namespace (`PROC_USER_INIT_INO` of linux/proc_ns.h).
const INITIAL_USER_NAMESPACE: u64 = 0xeffffffd;

/// `CAP_SYS_ADMIN`.
const SYS_ADMIN: u64 = 1 << 21;

/// The machine and the caller.
#[derive(Debug, Clone)]
pub struct Host {
    /// The caller's effective user id, in his own user namespace.
    pub uid: u32,
    /// The caller's effective group id.
    pub gid: u32,
    /// The caller's permitted capabilities: bit n is capability n.
    pub capabilities: u64,
    /// Signals that the caller has us ignore: bit n is signal n + 1.
    pub ignored_signals: u64,
    /// Whether the caller himself is in a user namespace.
    pub in_user_namespace: bool,
    /// Whether setgroups(2) is denied in the caller's user namespace.
    pub groups_denied: bool,
    /// Whether the kernel has all of the new mount API (Linux 5.12).
    pub new_mount_api: bool,
    /// Whether `/proc/kcore` exists, for the link to it.
    pub has_kcore: bool,
    /// The cgroup hierarchies.
    pub cgroups: Cgroups,
    /// Whether SELinux is enabled, once [`Host::ask_for_selinux`] was called; until then nothing is left out for its want.
    pub selinux: bool,
    /// The systemd that makes cgroups, once [`Host::ask_for_systemd`] was called.
    pub systemd: Option<systemd::Manager>,
}

impl Host {
    /// Asks the machine.
    ///
    /// # Errors
    /// A `/proc` that is none, or that hides what every process may read of itself.
    pub fn probe(procfs: &Procfs) -> Result<Self> {
        let has_kcore = rustix::fs::stat(c"/proc/kcore").is_ok();
        Ok(Self { has_kcore, cgroups: Cgroups::probe()?, ..Self::probe_caller(procfs)? })
    }

    /// Asks only what the caller may do, for a container whose cgroup and root file system exist: as if there were no
    /// cgroups.
    ///
    /// # Errors
    /// As [`Host::probe`].
    pub fn probe_caller(procfs: &Procfs) -> Result<Self> {
        let status = Status::read(procfs)?;
        let in_user_namespace = in_user_namespace();
        Ok(Self {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            capabilities: status.permitted,
            ignored_signals: status.ignored,
            in_user_namespace,
            groups_denied: in_user_namespace && groups_denied(procfs),
            new_mount_api: crate::sys::mount::new_api_available(),
            has_kcore: false,
            cgroups: Cgroups::none(),
            selinux: true,
            systemd: None,
        })
    }

    /// Asks which systemd there is, for a caller who wants it to make the cgroup.
    pub fn ask_for_systemd(&mut self) {
        self.systemd = Some(systemd::Manager::probe(self));
    }

    /// Asks whether SELinux is enabled, for a bundle that labels its mounts: the kernel has its file system only then.
    ///
    /// # Errors
    /// `/proc/filesystems` cannot be read.
    pub fn ask_for_selinux(&mut self) -> Result<()> {
        let known = std::fs::read_to_string("/proc/filesystems").context(|| "/proc/filesystems")?;
        self.selinux = known.lines().any(|line| line.ends_with("\tselinuxfs"));
        Ok(())
    }

    /// Whether the caller may make namespaces, write id maps and mount without a user namespace of the container's own.
    pub fn privileged(&self) -> bool {
        self.uid == 0 && self.capabilities & SYS_ADMIN != 0
    }
}

/// Whether AppArmor is in force.
pub fn has_apparmor() -> bool {
    std::fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with(b"Y"))
}

/// Whether this process is in another user namespace than the machine's first one.
pub fn in_user_namespace() -> bool {
    rustix::fs::stat(c"/proc/self/ns/user").is_ok_and(|stat| stat.st_ino != INITIAL_USER_NAMESPACE)
}

/// user_namespaces(7), "/proc/PID/setgroups".
fn groups_denied(procfs: &Procfs) -> bool {
    let mut bytes = [0; 8];
    let read = |file| rustix::io::read(&file, &mut bytes);
    procfs.open_file(c"self/setgroups", OFlags::RDONLY).and_then(read).is_ok() && bytes.starts_with(b"deny")
}

/// What is wanted of `/proc/self/status`.
#[derive(Debug, PartialEq, Eq)]
struct Status {
    ignored: u64,
    permitted: u64,
}

impl Status {
    fn read(procfs: &Procfs) -> Result<Self> {
        let file = procfs.open_file(c"self/status", OFlags::RDONLY).context(|| "/proc/self/status")?;
        let mut bytes = [0; 8192];
        let length = rustix::io::read(&file, &mut bytes).context(|| "/proc/self/status")?;
        Ok(Self::parse(&bytes[..length]))
    }

    fn parse(text: &[u8]) -> Self {
        let mut status = Self { ignored: 0, permitted: 0 };
        for line in text.split(|byte| *byte == b'\n') {
            if let Some(mask) = line.strip_prefix(b"SigIgn:") {
                status.ignored = mask_of(mask);
            } else if let Some(mask) = line.strip_prefix(b"CapPrm:") {
                status.permitted = mask_of(mask);
            }
        }
        status
    }
}

fn mask_of(digits: &[u8]) -> u64 {
    let digits = std::str::from_utf8(digits.trim_ascii()).unwrap_or_default();
    u64::from_str_radix(digits, 16).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_read_by_name() {
        let text = b"Name:\tx\nSigIgn:\t0000000000001000\nCapInh:\t0\nCapPrm:\t000001fffeffffff\n";
        assert_eq!(Status::parse(text), Status { ignored: 0x1000, permitted: 0x1ff_feff_ffff });
    }
}
