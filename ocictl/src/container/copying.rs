//! Copying trees by descriptor: owners, modes, times, symlinks, devices and extended attributes with them. Nothing is followed, and a file
//! that is written over stays until the new one is whole.

use super::ids::Ids;
use crate::archive::{attributes, without::Without};
use crate::error::{Context, Error, Result};
use crate::store::disk;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Deeper than this is no honest tree.
const MAX_DEPTH: usize = 1000;

/// What becomes of owners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner<'a> {
    /// They are kept.
    Keep,
    /// They are kept between containers with ids of their own: of which the source is, and of which the target.
    Translated(Option<&'a Ids>, Option<&'a Ids>),
    /// Everything belongs to these.
    Set(u32, u32),
}

/// How a tree is copied.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// What becomes of owners.
    pub owner: Owner<'a>,
    /// What is left out.
    pub without: Without,
}

impl<'a> Rules<'a> {
    /// All of it is copied.
    pub fn all(owner: Owner<'a>) -> Self {
        Self { owner, without: Without::NOTHING }
    }
}

/// Copies `name` in `from` to `new` in `to`. A directory that is there already is filled.
///
/// # Errors
/// Names the path below the start.
pub fn copy(from: impl AsFd, name: &Path, to: impl AsFd, new: &Path, rules: Rules<'_>) -> Result<()> {
    // What cannot be opened so is no directory; what else is wrong with it is told below.
    if let Ok(source) = open(from.as_fd(), name.as_os_str(), OFlags::PATH | OFlags::DIRECTORY) {
        outside_of(&source, &to).context(|| name.display().to_string())?;
    }
    entry(from.as_fd(), name.as_os_str(), to.as_fd(), new.as_os_str(), rules, 0)
        .context(|| name.display().to_string())
}

/// Fills the directory `to` with what is in the directory `from`, and gives it the same owner and mode.
///
/// # Errors
/// Names the path below the start.
pub fn fill(from: &OwnedFd, to: &OwnedFd, rules: Rules<'_>) -> Result<()> {
    let stat = rustix::fs::fstat(from)?;
    children(from, to, rules, 0)?;
    attributes(from, to.as_fd(), &stat, rules.owner)
}

/// Copies all that is in the directory `from` into the directory `to`, which stays as it is itself.
///
/// # Errors
/// Names the path below the start.
pub fn contents(from: &OwnedFd, to: &OwnedFd, rules: Rules<'_>) -> Result<()> {
    outside_of(from, to)?;
    children(from, to, rules, 0)
}

/// Makes a tree belong to somebody. Nothing is followed, what is mounted in it is part of it, and set-id bits go with the owner that they
/// stood for.
///
/// # Errors
/// Names the path below the start.
pub fn give(path: &Path, uid: u32, gid: u32) -> Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = rustix::fs::open(path, flags, Mode::empty())?;
    own(&found, uid, gid, 0).context(|| path.display().to_string())
}

fn own(found: &OwnedFd, uid: u32, gid: u32, depth: usize) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Error::new(format!("it is more than {MAX_DEPTH} directories deep")));
    }
    let stat = rustix::fs::fstat(found)?;
    if (stat.st_uid, stat.st_gid) != (uid, gid) {
        let (owner, group) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        rustix::fs::chownat(found, "", owner, group, AtFlags::EMPTY_PATH)?;
    }
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Ok(());
    }
    let folder = open(found.as_fd(), OsStr::new("."), OFlags::RDONLY | OFlags::DIRECTORY)?;
    for child in rustix::fs::Dir::read_from(&folder)? {
        let child = child?;
        let name = OsStr::from_bytes(child.file_name().to_bytes());
        if name != "." && name != ".." {
            let place = || name.to_string_lossy();
            let inner = open(folder.as_fd(), name, OFlags::PATH).context(place)?;
            own(&inner, uid, gid, depth + 1).context(place)?;
        }
    }
    Ok(())
}

/// Refuses a directory `to` that is the directory `from`, or below it: the copy would have no end.
///
/// # Errors
/// It is.
pub fn outside_of(from: &OwnedFd, to: impl AsFd) -> Result<()> {
    let source = rustix::fs::fstat(from)?;
    let mut folder = open(to.as_fd(), OsStr::new("."), OFlags::PATH)?;
    let mut stat = rustix::fs::fstat(&folder)?;
    for _ in 0..MAX_DEPTH {
        if is_same(&stat, &source) {
            return Err(Error::new("a directory cannot be copied into itself"));
        }
        folder = open(folder.as_fd(), OsStr::new(".."), OFlags::PATH)?;
        let above = rustix::fs::fstat(&folder)?;
        if is_same(&above, &stat) {
            return Ok(());
        }
        stat = above;
    }
    Ok(())
}

fn is_same(one: &rustix::fs::Stat, other: &rustix::fs::Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

/// Whether something is there that may be replaced by a file like `source`.
fn is_replaceable(source: &rustix::fs::Stat, to: BorrowedFd<'_>, new: &OsStr) -> Result<bool> {
    let there = match rustix::fs::statat(to, new, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(false),
        answer => answer?,
    };
    if is_same(&there, source) {
        return Err(Error::new("source and target are the same file"));
    }
    match FileType::from_raw_mode(there.st_mode) {
        FileType::RegularFile | FileType::Symlink => Ok(true),
        FileType::Directory => Err(Error::new("a directory is in its place")),
        kind if kind == FileType::from_raw_mode(source.st_mode) => Ok(true),
        _ => Err(Error::new("a device, FIFO or socket is in its place")),
    }
}

/// Copies a regular file beside its target and then moves it there.
fn regular(
    source: &OwnedFd,
    to: BorrowedFd<'_>,
    new: &OsStr,
    stat: &rustix::fs::Stat,
    owner: Owner<'_>,
) -> Result<()> {
    let aside = format!(".ocictl-{}", disk::random());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let target = rustix::fs::openat(to, &aside, flags, Mode::RUSR | Mode::WUSR)?;
    let mut writer = File::from(target.try_clone()?);
    let mut reader = File::from(source.try_clone()?);
    let copied = std::io::copy(&mut reader, &mut writer).map_err(Error::from);
    let whole = copied.and_then(|_| attributes(source, target.as_fd(), stat, owner));
    let moved = whole.and_then(|()| Ok(rustix::fs::renameat(to, &aside, to, new)?));
    moved.inspect_err(|_| {
        let _told_is_the_cause = rustix::fs::unlinkat(to, &aside, AtFlags::empty());
    })
}

fn entry(
    from: BorrowedFd<'_>,
    name: &OsStr,
    to: BorrowedFd<'_>,
    new: &OsStr,
    rules: Rules<'_>,
    depth: usize,
) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Error::new(format!("it is more than {MAX_DEPTH} directories deep")));
    }
    let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind == FileType::Directory {
        let source = open(from, name, OFlags::RDONLY | OFlags::DIRECTORY)?;
        match rustix::fs::mkdirat(to, new, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let target = open(to, new, OFlags::RDONLY | OFlags::DIRECTORY)?;
        if !rules.without.holds(&source) {
            children(&source, &target, rules, depth)?;
        }
        return attributes(&source, target.as_fd(), &stat, rules.owner);
    }
    let replaces = is_replaceable(&stat, to, new)?;
    if kind == FileType::RegularFile {
        let source = open(from, name, OFlags::RDONLY | OFlags::NONBLOCK)?;
        return regular(&source, to, new, &stat, rules.owner);
    }
    if replaces {
        rustix::fs::unlinkat(to, new, AtFlags::empty())?;
    }
    match kind {
        FileType::Symlink => {
            let text = rustix::fs::readlinkat(from, name, Vec::new())?;
            rustix::fs::symlinkat(&text, to, new)?;
        }
        // It belongs to a process, and would be deaf.
        FileType::Socket => return Ok(()),
        kind => rustix::fs::mknodat(to, new, kind, Mode::from_raw_mode(stat.st_mode & 0o7777), stat.st_rdev)?,
    }
    let (uid, gid) = rules.owner.of_file(&stat);
    rustix::fs::chownat(
        to,
        new,
        Some(Uid::from_raw(uid)),
        Some(Gid::from_raw(gid)),
        AtFlags::SYMLINK_NOFOLLOW,
    )?;
    if kind != FileType::Symlink {
        rustix::fs::chmodat(to, new, Mode::from_raw_mode(stat.st_mode & 0o7777), AtFlags::empty())?;
    }
    rustix::fs::utimensat(to, new, &times(&stat), AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

fn children(from: &OwnedFd, to: &OwnedFd, rules: Rules<'_>, depth: usize) -> Result<()> {
    for child in rustix::fs::Dir::read_from(from)? {
        let child = child?;
        let name = OsStr::from_bytes(child.file_name().to_bytes());
        if name != "." && name != ".." {
            entry(from.as_fd(), name, to.as_fd(), name, rules, depth + 1)
                .context(|| name.to_string_lossy())?;
        }
    }
    Ok(())
}

fn open(folder: BorrowedFd<'_>, name: &OsStr, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(
        folder,
        name,
        flags | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

fn attributes(from: &OwnedFd, to: BorrowedFd<'_>, stat: &rustix::fs::Stat, owner: Owner<'_>) -> Result<()> {
    let (uid, gid) = owner.of_file(stat);
    rustix::fs::fchown(to, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    // After the owner, since changing that takes set-id bits away.
    rustix::fs::fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    attributes::write(to, &attributes::read(from)?)?;
    Ok(rustix::fs::futimens(to, &times(stat))?)
}

fn times(stat: &rustix::fs::Stat) -> Timestamps {
    let moment = |seconds, nanos| Timespec { tv_sec: seconds, tv_nsec: nanos };
    Timestamps {
        last_access: moment(stat.st_atime, stat.st_atime_nsec as _),
        last_modification: moment(stat.st_mtime, stat.st_mtime_nsec as _),
    }
}

impl Owner<'_> {
    fn of_file(self, stat: &rustix::fs::Stat) -> (u32, u32) {
        self.of(stat.st_uid, stat.st_gid)
    }

    /// Whose a file becomes that is this user's and group's.
    pub fn of(self, uid: u32, gid: u32) -> (u32, u32) {
        match self {
            Owner::Keep => (uid, gid),
            Owner::Translated(from, to) => {
                let inside = from.map_or((uid, gid), |ids| ids.owner_inside(uid, gid));
                to.map_or(inside, |ids| ids.owner_outside(inside.0, inside.1))
            }
            Owner::Set(uid, gid) => (uid, gid),
        }
    }
}
