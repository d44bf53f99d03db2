//! What a copy of a running container's tree leaves out: file systems that the kernel makes up as they are read, some of whose files have no
//! end, or wait; and the container's devices. podman leaves the same out.

use rustix::fs::{AtFlags, OFlags};
use std::os::fd::OwnedFd;

/// By statfs(2): proc, sysfs, cgroup, cgroup2, devpts, mqueue, debugfs, tracefs, securityfs, bpf, pstore, configfs, efivarfs, selinuxfs,
/// binfmt_misc, fusectl, resctrl.
const OF_KERNEL: [i64; 17] = [
    0x9fa0,
    0x6265_6572,
    0x0027_e0eb,
    0x6367_7270,
    0x1cd1,
    0x1980_0202,
    0x6462_6720,
    0x7472_6163,
    0x7363_6673,
    0xcafe_4a11,
    0x6165_676c,
    0x6265_6570,
    0xde5e_81e4,
    0xf97c_ff8c,
    0x4249_4e4d,
    0x6573_5543,
    0x0765_5821,
];

/// Which directories are left out; empty ones come in their place.
#[derive(Debug, Clone, Copy, Default)]
pub struct Without {
    kernel: bool,
    devices: Option<(u64, u64)>,
}

impl Without {
    /// All is copied.
    pub const NOTHING: Self = Self { kernel: false, devices: None };

    /// Without what the kernel makes up, and what is mounted at `/dev` of this root.
    pub fn of_root(root: &OwnedFd) -> Self {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let devices = rustix::fs::openat(root, "dev", flags, rustix::fs::Mode::empty());
        let devices = devices.ok().and_then(|devices| identity(&devices));
        let top = identity(root);
        // The image's own directory is as good as any other.
        Self { kernel: true, devices: devices.filter(|devices| top.is_some_and(|top| top.0 != devices.0)) }
    }

    /// Whether a directory is left out.
    pub fn holds(&self, directory: &OwnedFd) -> bool {
        self.kernel
            && (is_of_kernel(directory) || (self.devices.is_some() && identity(directory) == self.devices))
    }
}

/// Whether a directory is in a file system that the kernel makes up.
pub fn is_of_kernel(directory: &OwnedFd) -> bool {
    // The type of the field differs between machines.
    #[allow(clippy::unnecessary_cast, clippy::cast_lossless)]
    rustix::fs::fstatfs(directory).is_ok_and(|stat| OF_KERNEL.contains(&(stat.f_type as i64)))
}

fn identity(directory: &OwnedFd) -> Option<(u64, u64)> {
    rustix::fs::statat(directory, "", AtFlags::EMPTY_PATH).ok().map(|stat| (stat.st_dev, stat.st_ino))
}
