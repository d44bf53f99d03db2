//! `tmpcopyup`: copies what a tmpfs will hide into it, by descriptors alone and without allocating.

use super::rootfs::file_type;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, FsWord, Gid, Mode, OFlags, PROC_SUPER_MAGIC, RawDir, Stat, Uid};
use rustix::io::Errno;
use std::ffi::CStr;
use std::mem::MaybeUninit;

/// How deep a tree may be: each level keeps two descriptors and a buffer on the stack.
const MAX_DEPTH: usize = 64;

/// Copies the tree below `from` into the directory `to`; both may be `O_PATH` descriptors.
///
/// # Errors
/// Those of reading and writing; `ELOOP` for a tree of more than 64 levels.
pub fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    copy_directory(from, to, 0)
}

fn copy_directory(from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: usize) -> Result<(), Errno> {
    if depth == MAX_DEPTH {
        return Err(Errno::LOOP);
    }
    let readable = rustix::fs::openat(from, c".", directory_flags(), Mode::empty())?;
    let mut buffer = [MaybeUninit::uninit(); 2048];
    let mut entries = RawDir::new(&readable, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            copy_entry(readable.as_fd(), to, name, depth)?;
        }
    }
    Ok(())
}

fn copy_entry(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, depth: usize) -> Result<(), Errno> {
    let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
    match file_type(&stat) {
        FileType::Directory => {
            rustix::fs::mkdirat(to, name, mode)?;
            let source = rustix::fs::openat(from, name, directory_flags(), Mode::empty())?;
            let target = rustix::fs::openat(to, name, directory_flags(), Mode::empty())?;
            own(&target, &stat)?;
            if is_the_kernels(&source)? {
                return Ok(());
            }
            copy_directory(source.as_fd(), target.as_fd(), depth + 1)
        }
        FileType::RegularFile => copy_file(from, to, name, &stat),
        FileType::Symlink => {
            let mut target = [MaybeUninit::uninit(); 4096];
            let (target, _) = rustix::fs::readlinkat_raw(from, name, &mut target[..4095])?;
            rustix::fs::symlinkat(&*target, to, name)?;
            chown(to, name, &stat)
        }
        kind => {
            rustix::fs::mknodat(to, name, kind, mode, stat.st_rdev)?;
            chown(to, name, &stat)
        }
    }
}

/// Whether a file system that is mounted in the tree has files that the kernel makes up when they are read: some of them never end,
/// some wait, and a copy would say nothing.
fn is_the_kernels(directory: &OwnedFd) -> Result<bool, Errno> {
    const SYSFS: FsWord = 0x6265_6572;
    const CGROUP: FsWord = 0x0027_e0eb;
    const CGROUP2: FsWord = 0x6367_7270;
    let kind = rustix::fs::fstatfs(directory)?.f_type;
    Ok([PROC_SUPER_MAGIC, SYSFS, CGROUP, CGROUP2].contains(&kind))
}

fn copy_file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Result<(), Errno> {
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let source = rustix::fs::openat(from, name, flags | OFlags::RDONLY, Mode::empty())?;
    let flags = flags | OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let target = rustix::fs::openat(to, name, flags, Mode::from_raw_mode(0o600))?;
    while rustix::fs::sendfile(&target, &source, None, 1 << 30)? > 0 {}
    own(&target, stat)
}

/// Owner first: a change of owner takes set-user-id bits away.
fn own(target: &OwnedFd, stat: &Stat) -> Result<(), Errno> {
    rustix::fs::fchown(target, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    rustix::fs::fchmod(target, Mode::from_raw_mode(stat.st_mode & 0o7777))
}

fn chown(directory: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Result<(), Errno> {
    let (user, group) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    rustix::fs::chownat(directory, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)
}

fn directory_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}
