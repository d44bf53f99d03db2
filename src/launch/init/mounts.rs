//! Mounts: each is made or cloned detached, given its attributes, and only then attached to a place that was resolved
//! inside the root. With the old API it is mount(2) on the path of a descriptor.

use super::Init;
use super::rootfs::OPEN_DIRECTORY;
use crate::launch::binds::{clone_tree, set_attributes};
use crate::launch::protocol::{Detail, Fault, Reason};
use crate::plan::mount_options::{Attributes, attribute, old_flags};
use crate::plan::step::{Bind, Fallback, Filesystem, Kind, Mount};
use crate::sys::mount::{self, DescriptorPath};
use crate::sys::rootfs::{Missing, Rootfs, file_type, is_directory};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, PROC_SUPER_MAGIC, XattrFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};
use std::ffi::CStr;
use std::io::Write;

impl Init<'_> {
    /// Makes one mount of the plan.
    pub(super) fn mount(&mut self, mount: &Mount) -> Result<(), Fault> {
        let attached = match &mount.kind {
            Kind::Bind(bind) => self.bind(mount, bind)?,
            Kind::Filesystem(filesystem) => match self.mount_filesystem(mount, filesystem) {
                Err(fault) if may_fall_back(fault) => match &filesystem.fallback {
                    Some(fallback) => self.fall_back(mount, fallback)?,
                    None => return Err(fault),
                },
                answer => answer?,
            },
            Kind::Remount { flags, data } => self.remount(mount, *flags, data)?,
        };
        for flags in &mount.propagation {
            self.propagate(attached.as_fd(), &mount.target, *flags)?;
        }
        if mount.target.is_empty() {
            // Mounted on the root itself: from now on that is the root.
            self.rootfs = Some(Rootfs::new(attached));
            self.directory = None;
        } else {
            self.remember(attached);
        }
        Ok(())
    }

    /// Sets attributes of what is mounted at `target`.
    pub(super) fn set_mount_attributes(&mut self, target: &CStr, set: u64) -> Result<(), Fault> {
        let place = self.rootfs()?.resolve(target).map_err(|errno| Reason::Target.fault(errno))?;
        let attributes = Attributes { set, ..Attributes::default() };
        self.apply(place.as_fd(), target, &attributes, false)
    }

    fn mount_filesystem(&mut self, mount: &Mount, filesystem: &Filesystem) -> Result<OwnedFd, Fault> {
        let (target, mode) = self.target(mount, filesystem.plain_target)?;
        let mode = mode.filter(|_| filesystem.inherit_mode);
        if filesystem.old_call {
            return self.mount_filesystem_old(mount, filesystem, target, mode);
        }
        let context = rustix::mount::fsopen(&filesystem.kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        let words = |errno| words_of(context.as_fd(), errno);
        rustix::mount::fsconfig_set_string(&context, c"source", &filesystem.source).map_err(words)?;
        if let Some(mode) = mode {
            let mode = OctalText::new(mode);
            rustix::mount::fsconfig_set_string(&context, c"mode", mode.as_c_str()).map_err(words)?;
        }
        for parameter in &filesystem.parameters {
            match &parameter.value {
                Some(value) => rustix::mount::fsconfig_set_string(&context, &parameter.key, value),
                None => rustix::mount::fsconfig_set_flag(&context, &parameter.key),
            }
            .map_err(words)?;
        }
        rustix::mount::fsconfig_create(&context).map_err(words)?;
        let late = if filesystem.copy_up { attribute::RDONLY } else { 0 };
        let flags = MountAttrFlags::from_bits_retain((mount.attributes.set & !late) as u32);
        let detached =
            rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, flags).map_err(words)?;
        if filesystem.copy_up {
            crate::sys::copy_up::copy(target.as_fd(), detached.as_fd())?;
            let set = mount.attributes.set & late;
            self.apply(detached.as_fd(), c"", &Attributes { set, ..Attributes::default() }, false)?;
        }
        self.apply(detached.as_fd(), c"", &mount.recursive, true)?;
        mount::attach(detached.as_fd(), target.as_fd())?;
        set_label(filesystem, detached.as_fd())?;
        Ok(detached)
    }

    fn mount_filesystem_old(
        &mut self,
        mount: &Mount,
        filesystem: &Filesystem,
        target: OwnedFd,
        mode: Option<u32>,
    ) -> Result<OwnedFd, Fault> {
        let mut data = [0; 4096];
        let mut rest = &mut data[..4095];
        let written = rest.write_all(filesystem.data.to_bytes()).and_then(|()| match mode {
            Some(mode) if filesystem.data.is_empty() => write!(rest, "mode={mode:o}"),
            Some(mode) => write!(rest, ",mode={mode:o}"),
            None => Ok(()),
        });
        written.map_err(|_| Fault::from(Errno::NAMETOOLONG))?;
        let data = CStr::from_bytes_until_nul(&data).map_err(|_| Fault::from(Errno::INVAL))?;
        let path = DescriptorPath::new(&target);
        let source = Some(filesystem.source.as_c_str());
        mount::mount_old(source, path.as_c_str(), &filesystem.kind, filesystem.flags, Some(data))?;
        let attached = self.reopen(&mount.target)?;
        set_label(filesystem, attached.as_fd())?;
        if filesystem.copy_up {
            crate::sys::copy_up::copy(target.as_fd(), attached.as_fd())?;
            let set = mount.attributes.set;
            self.apply(attached.as_fd(), &mount.target, &Attributes { set, ..Attributes::default() }, false)?;
        }
        self.apply(attached.as_fd(), &mount.target, &mount.recursive, true)?;
        Ok(attached)
    }

    fn fall_back(&mut self, mount: &Mount, fallback: &Fallback) -> Result<OwnedFd, Fault> {
        match self.bind(mount, &fallback.bind) {
            Err(fault) if fallback.or_nothing && is_missing_source(fault) => {
                self.mask(&mount.target)?;
                self.reopen(&mount.target)
            }
            answer => answer,
        }
    }

    fn bind(&mut self, mount: &Mount, bind: &Bind) -> Result<OwnedFd, Fault> {
        if !self.prepared.new_mount_api {
            return self.bind_old(mount, bind);
        }
        let detached = match bind.clone.and_then(|index| self.descriptors.source_clones.get(index)?.as_ref())
        {
            Some(clone) => rustix::io::fcntl_dupfd_cloexec(clone, 3)?,
            None => with_source(bind, |source| clone_tree(CWD, source, bind.recursive))?,
        };
        if bind.must_be_proc && rustix::fs::fstatfs(&detached)?.f_type != PROC_SUPER_MAGIC {
            return Err(Reason::NotProc.fault(Errno::INVAL));
        }
        let target = self.bind_target(mount, is_directory(detached.as_fd())?)?;
        self.apply_exactly(detached.as_fd(), c"", &mount.attributes)?;
        self.apply(detached.as_fd(), c"", &mount.recursive, true)?;
        mount::attach(detached.as_fd(), target.as_fd())?;
        Ok(detached)
    }

    fn bind_old(&mut self, mount: &Mount, bind: &Bind) -> Result<OwnedFd, Fault> {
        let open = |source: &CStr| rustix::fs::open(source, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let source = with_source(bind, open)?;
        if bind.must_be_proc && rustix::fs::fstatfs(&source)?.f_type != PROC_SUPER_MAGIC {
            return Err(Reason::NotProc.fault(Errno::INVAL));
        }
        let target = self.bind_target(mount, is_directory(source.as_fd())?)?;
        let (from, to) = (DescriptorPath::new(&source), DescriptorPath::new(&target));
        let flags = libc::MS_BIND | if bind.recursive { libc::MS_REC } else { 0 };
        mount::mount_old(Some(from.as_c_str()), to.as_c_str(), c"", flags, None)?;
        let attached = self.reopen(&mount.target)?;
        self.apply_exactly(attached.as_fd(), &mount.target, &mount.attributes)?;
        self.apply(attached.as_fd(), &mount.target, &mount.recursive, true)?;
        Ok(attached)
    }

    fn remount(&mut self, mount: &Mount, flags: u64, data: &CStr) -> Result<OwnedFd, Fault> {
        let place = self.rootfs()?.resolve(&mount.target).map_err(|errno| Reason::Target.fault(errno))?;
        if flags != 0 || !data.is_empty() {
            let path = DescriptorPath::new(&place);
            let flags = flags | libc::MS_REMOUNT | old_flags(mount.attributes.set);
            mount::mount_old(None, path.as_c_str(), c"", flags, Some(data))?;
        }
        self.apply_exactly(place.as_fd(), &mount.target, &mount.attributes)?;
        self.apply(place.as_fd(), &mount.target, &mount.recursive, true)?;
        Ok(place)
    }

    /// The place of a mount: a directory, which is made where it is missing. Its mode, if it was there before.
    fn target(&self, mount: &Mount, plain: bool) -> Result<(OwnedFd, Option<u32>), Fault> {
        let rootfs = self.rootfs()?;
        // A procfs or sysfs belongs on a directory of the root file system, not where a link of the image leads
        // (CVE-2019-19921).
        let found = if plain { rootfs.resolve_plain(&mount.target) } else { rootfs.resolve(&mount.target) };
        match found {
            Err(Errno::LOOP) if plain => Err(Reason::TargetIsLink.fault(Errno::LOOP)),
            Ok(target) => {
                refuse_proc(mount, target.as_fd())?;
                let stat = rustix::fs::fstat(&target)?;
                if file_type(&stat) != FileType::Directory {
                    return Err(Reason::Target.fault(Errno::NOTDIR));
                }
                Ok((target, Some(stat.st_mode & 0o7777)))
            }
            Err(Errno::NOENT) => {
                let target = rootfs
                    .ensure(&mount.target, Missing::Directory)
                    .map_err(|errno| Reason::Target.fault(errno))?;
                refuse_proc(mount, target.as_fd())?;
                Ok((target, None))
            }
            Err(errno) => Err(Reason::Target.fault(errno)),
        }
    }

    fn bind_target(&self, mount: &Mount, directory: bool) -> Result<OwnedFd, Fault> {
        let missing = if directory { Missing::Directory } else { Missing::File };
        let target =
            self.rootfs()?.ensure(&mount.target, missing).map_err(|errno| Reason::Target.fault(errno))?;
        refuse_proc(mount, target.as_fd())?;
        if is_directory(target.as_fd())? != directory {
            let errno = if directory { Errno::NOTDIR } else { Errno::ISDIR };
            return Err(Reason::Target.fault(errno));
        }
        Ok(target)
    }

    /// What is mounted at `target` now. What mount(2) puts on the root itself lies on top of the mount that we have open: its
    /// path from outside leads there.
    fn reopen(&self, target: &CStr) -> Result<OwnedFd, Fault> {
        if let Some(path) = self.rootfs_path.filter(|_| target.is_empty()) {
            return rustix::fs::open(path, OPEN_DIRECTORY, Mode::empty())
                .map_err(|errno| Reason::Target.fault(errno));
        }
        self.rootfs()?.resolve(target).map_err(|errno| Reason::Target.fault(errno))
    }

    /// Bind mounts with mount(8)'s meaning: once an option speaks of attributes, those of the source do not count.
    ///
    /// Where flags of the source are locked, they stay; only an option that asks to clear one fails then.
    fn apply_exactly(&self, mount: BorrowedFd<'_>, target: &CStr, wanted: &Attributes) -> Result<(), Fault> {
        if wanted.is_empty() {
            return Ok(());
        }
        match self.apply(mount, target, &wanted.exactly(), false) {
            Err(fault) if fault.errno == Errno::PERM.raw_os_error() => {
                match self.apply(mount, target, wanted, false) {
                    Err(fault) if fault.errno == Errno::PERM.raw_os_error() && wanted.clear != 0 => {
                        Err(Reason::Locked.fault(Errno::PERM))
                    }
                    answer => answer,
                }
            }
            answer => answer,
        }
    }

    /// Sets and clears attributes on a mount, or on a tree of mounts. `target` is its place, for the old API.
    fn apply(
        &self,
        mount: BorrowedFd<'_>,
        target: &CStr,
        wanted: &Attributes,
        recursive: bool,
    ) -> Result<(), Fault> {
        if wanted.is_empty() || (wanted.set, wanted.clear) == (0, 0) {
            return Ok(());
        }
        if !self.prepared.new_mount_api {
            return self.apply_old(target, wanted, recursive);
        }
        Ok(set_attributes(mount, wanted, recursive)?)
    }

    /// A bind remount, which sets all flags at once: those that the mount has are read first. The plan has refused
    /// recursive attributes where this is all there is.
    fn apply_old(&self, target: &CStr, wanted: &Attributes, recursive: bool) -> Result<(), Fault> {
        if recursive {
            return Err(Errno::NOSYS.into());
        }
        let place = self.reopen(target)?;
        let current = rustix::fs::fstatvfs(&place)?.f_flag.bits();
        let has = mount_attributes(current);
        let becomes = (has & !wanted.clear) | wanted.set;
        // Without a word on access times mount(2) would keep those that the mount has.
        let relatime = if becomes & attribute::ATIME == 0 { libc::MS_RELATIME } else { 0 };
        let flags = old_flags(becomes) | relatime;
        Ok(mount::remount_bind(DescriptorPath::new(&place).as_c_str(), flags)?)
    }

    fn propagate(&self, attached: BorrowedFd<'_>, target: &CStr, flags: u64) -> Result<(), Fault> {
        let recursive = flags & libc::MS_REC != 0;
        if self.prepared.new_mount_api {
            let propagation = flags & !libc::MS_REC;
            let attributes = mount::Attributes { propagation, ..mount::Attributes::default() };
            return Ok(mount::set_attributes(attached, &attributes, recursive)?);
        }
        let place = self.reopen(target)?;
        Ok(mount::set_propagation(DescriptorPath::new(&place).as_c_str(), flags)?)
    }
}

/// Opens the source of a bind mount, or what is mounted if that does not exist.
fn with_source(bind: &Bind, open: impl Fn(&CStr) -> Result<OwnedFd, Errno>) -> Result<OwnedFd, Fault> {
    let opened = match (open(&bind.source), &bind.or_source) {
        (Err(Errno::NOENT), Some(other)) => open(other),
        (answer, _) => answer,
    };
    opened.map_err(|errno| Reason::Source.fault(errno))
}

/// The label of a file system that takes it as an extended attribute. Descriptors of paths alone have none: hence the path.
fn set_label(filesystem: &Filesystem, mounted: BorrowedFd<'_>) -> Result<(), Errno> {
    let Some(label) = &filesystem.label else { return Ok(()) };
    let (path, name) = (DescriptorPath::new(mounted), c"security.selinux");
    rustix::fs::setxattr(path.as_c_str(), name, label.to_bytes(), XattrFlags::empty())
}

/// Nothing but the files that lxcfs replaces may cover a part of a procfs, whatever path led there.
fn refuse_proc(mount: &Mount, target: BorrowedFd<'_>) -> Result<(), Fault> {
    if !mount.may_cover_proc && rustix::fs::fstatfs(target)?.f_type == PROC_SUPER_MAGIC {
        return Err(Reason::TargetInProc.fault(Errno::INVAL));
    }
    Ok(())
}

/// A cgroup or sysfs mount that the kernel does not permit here has a part of the host's tree in its place.
fn may_fall_back(fault: Fault) -> bool {
    fault.reason == Reason::Kernel
        && [Errno::PERM, Errno::BUSY].map(Errno::raw_os_error).contains(&fault.errno)
}

fn is_missing_source(fault: Fault) -> bool {
    fault.reason == Reason::Source && fault.errno == Errno::NOENT.raw_os_error()
}

/// The kernel's own words on a parameter: `tmpfs: Unknown parameter 'foo'`.
fn words_of(context: BorrowedFd<'_>, errno: Errno) -> Fault {
    let mut words = [0; Detail::CAPACITY];
    let length = rustix::io::read(context, &mut words).unwrap_or(0);
    // A line starts with its class: `e `, `w ` or `i `.
    let line = words.get(2..length).unwrap_or_default();
    Fault { detail: Detail::new(line.trim_ascii_end()), ..Fault::from(errno) }
}

/// `MOUNT_ATTR_*` from the flags of statvfs(3).
fn mount_attributes(flags: u64) -> u64 {
    const PAIRS: [(u64, u64); 7] = [
        (libc::ST_RDONLY, attribute::RDONLY),
        (libc::ST_NOSUID, attribute::NOSUID),
        (libc::ST_NODEV, attribute::NODEV),
        (libc::ST_NOEXEC, attribute::NOEXEC),
        (libc::ST_NOATIME, attribute::NOATIME),
        (libc::ST_NODIRATIME, attribute::NODIRATIME),
        (0x2000, attribute::NOSYMFOLLOW),
    ];
    const ST_RELATIME: u64 = 0x1000;
    // statvfs(3) has no flag for it: it is what is neither of the others.
    let strict = if flags & (libc::ST_NOATIME | ST_RELATIME) == 0 { attribute::STRICTATIME } else { 0 };
    PAIRS.iter().filter(|(flag, _)| flags & flag != 0).fold(strict, |set, (_, attribute)| set | attribute)
}

/// A mode in octal digits.
struct OctalText {
    bytes: [u8; 8],
}

impl OctalText {
    fn new(mode: u32) -> Self {
        let mut bytes = [0; 8];
        let _fits = write!(&mut bytes[..7], "{mode:o}");
        Self { bytes }
    }

    fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }
}
