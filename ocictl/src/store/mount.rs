//! How layers become a root file system.
//!
//! **Lower directories.** [`Store::lower_directory`] gives the directory that shows a layer. For a layer with an index that is
//! `RUNROOT/layers/HEX`, on which the index is mounted at its first use and stays mounted until the layer is removed or the
//! machine goes down: all containers share one superblock then, and with it the pages they read. Call it in the mount
//! namespace of the host; in a private one it works too, for that namespace alone.
//!
//! **The root.** [`overlay`] puts lower directories and a writable one together at a mount point of the caller's mount namespace. Whoever
//! mounts it unmounts it; a monitor that mounts in a namespace of its own need not, since it ends with the namespace. overlayfs
//! holds the layers itself.

use super::layer::{Form, TAR};
use super::lock::Lock;
use super::packed::{DATA, INDEX};
use super::unpacked::ROOT_NAME;
use super::{Store, disk};
use crate::archive::{erofs, tree::Tree};
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::rootless::in_user_namespace;
use rustix::fs::{CWD, Mode, OFlags, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount_remount, move_mount,
    open_tree, unmount,
};
use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// statfs(2) says this of EROFS.
const EROFS_MAGIC: u32 = 0xe0f5_e1e2;
/// fsconfig(2) takes strings below 256 bytes.
const MAX_STRING: usize = 255;

/// Where a container's changes go.
#[derive(Debug, Clone)]
pub struct Writable {
    /// The upper directory; what is written is found here.
    pub upper: PathBuf,
    /// An empty directory on the same file system, for overlayfs itself.
    pub work: PathBuf,
}

impl Store {
    /// The directory that shows the tree of a layer; read-only by agreement.
    ///
    /// # Errors
    /// Fails if the layer is not in the store, or cannot be mounted.
    pub fn lower_directory(&self, diff_id: &Digest) -> Result<PathBuf> {
        let place = || format!("layer {}", diff_id.short());
        let record =
            self.layer(diff_id)?.ok_or_else(|| Error::new("it is not in the store").context(place()))?;
        match record.form {
            Form::Packed => self.mounted_index(diff_id, DATA).context(place),
            Form::Tar => self.mounted_index(diff_id, TAR).context(place),
            Form::Directory => Ok(self.layer_directory(diff_id).join(ROOT_NAME)),
        }
    }

    /// All directories of an image, the bottom first, as [`overlay`] takes them.
    ///
    /// # Errors
    /// As [`Store::lower_directory`].
    pub fn lower_directories(&self, layers: &[Digest]) -> Result<Vec<PathBuf>> {
        layers.iter().map(|diff_id| self.lower_directory(diff_id)).collect()
    }

    fn mounted_index(&self, diff_id: &Digest, data: &str) -> Result<PathBuf> {
        let target = self.mount_point(diff_id)?;
        if is_erofs(&target)? {
            return Ok(target);
        }
        disk::make_directory(&target)?;
        let _guard = Lock::wait(&self.runroot()?.join("layers/lock"))?;
        if !is_erofs(&target)? {
            let layer = self.layer_directory(diff_id);
            let mount = index_mount(&layer.join(INDEX), &layer.join(data))?;
            move_mount(&mount, "", CWD, &target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
                .context(|| format!("mount on {}", target.display()))?;
        }
        Ok(target)
    }

    /// Unmounts a layer that is going to be removed; containers that use it keep it until they end.
    ///
    /// # Errors
    /// Fails if it is mounted and cannot be unmounted.
    pub(super) fn release_layer(&self, diff_id: &Digest) -> Result<()> {
        let target = self.mount_point(diff_id)?;
        match unmount(&target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            Ok(()) | Err(Errno::INVAL | Errno::NOENT) => {}
            Err(Errno::PERM) => return Ok(()), // Without root nothing was mounted.
            Err(errno) => return Err(Error::from(errno).context(format!("unmount {}", target.display()))),
        }
        match std::fs::remove_dir(&target) {
            Err(error) if !matches!(error.kind(), std::io::ErrorKind::NotFound) => {
                Err(error).context(|| format!("remove {}", target.display()))
            }
            _ => Ok(()),
        }
    }

    /// The store by a mount that nobody else sees: who holds a file by it keeps nobody from unmounting the file system that the
    /// store is on. Nothing where that is not allowed.
    pub(super) fn own_view(&self) -> Option<OwnedFd> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        open_tree(CWD, self.root(), flags).ok()
    }

    fn mount_point(&self, diff_id: &Digest) -> Result<PathBuf> {
        Ok(self.runroot()?.join("layers").join(diff_id.hex()))
    }

    /// Whether this kernel mounts an index over a file with data: asked once a boot by mounting an empty one, there where layers lie, since
    /// not every file system will do. (tmpfs, which `/run` is, will not.)
    ///
    /// # Errors
    /// Fails if the store or the run directory cannot be written.
    pub fn index_is_supported(&self) -> Result<bool> {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let device = rustix::fs::stat(self.root())?.st_dev;
        let runroot = self.runroot()?;
        let said = disk::read_small(&runroot.join("index-support"), 4096)?.unwrap_or_default();
        let words = |answer: bool| format!("{release} {device} {answer}\n");
        for answer in [true, false] {
            if said == words(answer).as_bytes() {
                return Ok(answer);
            }
        }
        let ingest = self.ingest()?;
        let answer = match probe_index(ingest.directory())? {
            None => true,
            Some(errno) if says_never(errno) => false,
            Some(_) => return Ok(false),
        };
        disk::write_whole(runroot, "index-support", words(answer).as_bytes())?;
        Ok(answer)
    }
}

/// What the kernel says to an empty index; nothing if it mounts it.
fn probe_index(directory: &Path) -> Result<Option<i32>> {
    let (index, data) = (directory.join(INDEX), directory.join(DATA));
    erofs::write(&Tree::default(), 1024, disk::create(&index)?)?;
    std::fs::write(&data, [0; 1024]).context(|| format!("write {}", data.display()))?;
    match index_mount(&index, &data) {
        Ok(_) => Ok(None),
        Err(error) => error.errno().map_or_else(|| Err(error), |errno| Ok(Some(errno))),
    }
}

/// Whether a kernel that answers so will do so until the machine goes down: no EROFS, none over files, none over files of this
/// file system, none for us. Else it could not tell: there was no memory, no descriptor.
fn says_never(errno: i32) -> bool {
    use libc::{EACCES, EINVAL, ENODEV, ENOENT, ENOSYS, ENOTBLK, ENXIO, EOPNOTSUPP, EPERM};
    [EACCES, EINVAL, ENODEV, ENOENT, ENOSYS, ENOTBLK, ENXIO, EOPNOTSUPP, EPERM].contains(&errno)
}

/// A detached mount of an index over its data. mount(8) would take a loop device, which fails with blocks of 512 bytes; the kernel
/// itself reads both files (Linux 6.12).
fn index_mount(index: &Path, data: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let open = |path: &Path| {
        rustix::fs::open(path, flags, Mode::empty()).context(|| format!("open {}", path.display()))
    };
    let (index, data) = (open(index)?, open(data)?);
    let made = fsopen("erofs", FsOpenFlags::FSOPEN_CLOEXEC).and_then(|context| {
        fsconfig_set_flag(context.as_fd(), "ro")?;
        fsconfig_set_string(context.as_fd(), "source", descriptor_path(&index))?;
        fsconfig_set_string(context.as_fd(), "device", descriptor_path(&data))?;
        fsconfig_create(context.as_fd())?;
        fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_RDONLY)
    });
    made.map_err(|errno| {
        Error::from(errno)
            .context("mount its EROFS index")
            .hint("this needs root and Linux 6.12 with EROFS; `ocictl system check` says more")
    })
}

fn descriptor_path(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

fn is_erofs(path: &Path) -> Result<bool> {
    match rustix::fs::statfs(path) {
        Ok(stat) => Ok(u32::try_from(stat.f_type).is_ok_and(|magic| magic == EROFS_MAGIC)),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(Error::from(errno).context(format!("look at {}", path.display()))),
    }
}

/// Gives a bind mount these flags. What the source's mount forbids stays forbidden, unless it is among `taken`: without root it is locked, and
/// has to be said again. Of times of access the kernel keeps what it is not told.
///
/// # Errors
/// As mount(2).
pub fn change_bind(target: &Path, flags: MountFlags, taken: MountFlags) -> Result<()> {
    let there = rustix::fs::statvfs(target)?.f_flag;
    let mut kept = MountFlags::empty();
    for (is, flag) in [
        (StatVfsMountFlags::RDONLY, MountFlags::RDONLY),
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
    ] {
        kept.set(flag, there.contains(is));
    }
    Ok(mount_remount(target, MountFlags::BIND | kept.difference(taken) | flags, c"")?)
}

/// Mounts an overlay of `lower` (bottom first) at `target`: writable if there is an upper directory, else read-only.
///
/// # Errors
/// Says what the kernel refused, with its own words where it left some.
pub fn overlay(lower: &[PathBuf], writable: Option<&Writable>, target: &Path) -> Result<()> {
    let place = || format!("mount overlay on {}", target.display());
    let mount = overlay_mount(lower, writable).context(place)?;
    move_mount(&mount, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).context(place)
}

/// The overlay as a detached mount, for whoever wants to place it himself.
///
/// # Errors
/// As [`overlay`].
pub fn overlay_mount(lower: &[PathBuf], writable: Option<&Writable>) -> Result<OwnedFd> {
    // Directories are passed by descriptor where their names are too long for fsconfig(2).
    let mut opened = Vec::new();
    let mut name = |path: &Path| -> Result<String> {
        match path.to_str().filter(|text| text.len() <= MAX_STRING) {
            Some(text) => Ok(text.to_owned()),
            None => {
                opened.push(rustix::fs::open(
                    path,
                    OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                    Mode::empty(),
                )?);
                Ok(descriptor_path(&opened[opened.len() - 1]))
            }
        }
    };
    let lower = lower.iter().rev().map(|path| name(path)).collect::<Result<Vec<_>>>()?;
    if lower.is_empty() {
        return Err(Error::new("an overlay needs a lower directory"));
    }
    let upper = writable
        .map(|writable| Ok::<_, Error>((name(&writable.upper)?, name(&writable.work)?)))
        .transpose()?;
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let set = || {
        fsconfig_set_string(context.as_fd(), "source", "overlay")?;
        for directory in &lower {
            fsconfig_set_string(context.as_fd(), "lowerdir+", directory.as_str())?;
        }
        match &upper {
            Some((upper, work)) => {
                fsconfig_set_string(context.as_fd(), "upperdir", upper.as_str())?;
                fsconfig_set_string(context.as_fd(), "workdir", work.as_str())?;
            }
            None => fsconfig_set_flag(context.as_fd(), "ro")?,
        }
        if !rustix::process::geteuid().is_root() || in_user_namespace() {
            // Which leaves no room for what is switched off below.
            fsconfig_set_flag(context.as_fd(), "userxattr")?;
        } else {
            // Where the kernel's or the module's defaults have them on, a renamed directory or a file of another mode would be but a
            // mark in the upper directory, and `diff`, `commit` and `export` would lose what is in it.
            fsconfig_set_string(context.as_fd(), "redirect_dir", "off")?;
            fsconfig_set_string(context.as_fd(), "metacopy", "off")?;
        }
        fsconfig_create(context.as_fd())
    };
    set().map_err(|errno| kernel_words(&context, errno))?;
    Ok(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?)
}

/// Where something is mounted in this mount namespace (proc_pid_mountinfo(5)).
///
/// # Errors
/// Fails if the table cannot be read.
pub fn mount_points() -> Result<Vec<PathBuf>> {
    let table = std::fs::read("/proc/self/mountinfo").context(|| "read /proc/self/mountinfo")?;
    let points =
        table.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    Ok(points.map(unescaped).collect())
}

/// The kernel writes blanks, tabs, newlines and backslashes as a backslash with three octal digits.
fn unescaped(text: &[u8]) -> PathBuf {
    let octal = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok();
    let mut bytes = Vec::with_capacity(text.len());
    let mut left = text;
    while let [first, rest @ ..] = left {
        let escaped = rest.get(..3).filter(|_| *first == b'\\').and_then(octal);
        bytes.push(escaped.unwrap_or(*first));
        left = if escaped.is_some() { &rest[3..] } else { rest };
    }
    OsString::from_vec(bytes).into()
}

/// The errno with what the kernel has left in the mount's context (`e overlay: …`).
fn kernel_words(context: &OwnedFd, errno: Errno) -> Error {
    let mut buffer = [0u8; 1024];
    let mut words = Vec::new();
    while let Ok(length @ 1..) = rustix::io::read(context, &mut buffer) {
        let text = String::from_utf8_lossy(&buffer[..length]);
        words.push(text.trim().trim_start_matches("e ").to_owned());
    }
    match words.is_empty() {
        true => errno.into(),
        false => Error::from(errno).context(words.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_as_the_kernel_writes_them() {
        for (text, wanted) in [
            ("/run/a", "/run/a"),
            ("/a\\040b\\011c\\012d\\134e", "/a b\tc\nd\\e"),
            ("/a\\134040", "/a\\040"),
            ("/ends\\04", "/ends\\04"),
        ] {
            assert_eq!(unescaped(text.as_bytes()), Path::new(wanted), "{text}");
        }
    }
}
