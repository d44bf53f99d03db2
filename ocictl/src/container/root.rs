//! Paths inside a container's root. They are hostile: each is resolved below a descriptor of the root (`openat2`, RESOLVE_IN_ROOT), so that
//! no symlink leads out, and from there on used by descriptor.

use crate::error::{Context, Error, Result};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How often a path is looked up whose parts are being renamed.
const MOST_LOOKS: usize = 256;

/// Does something in the mount namespace of a process, and comes back.
///
/// # Errors
/// Fails if the process is gone, or without the privilege.
pub fn in_mounts_of<T>(pid: i32, act: impl FnOnce() -> T) -> Result<T> {
    let open = |path: &str, flags| rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty());
    let (outside, here) = (open("/proc/self/ns/mnt", OFlags::RDONLY)?, open(".", OFlags::PATH)?);
    let inside = open(&format!("/proc/{pid}/ns/mnt"), OFlags::RDONLY)?;
    move_into_link_name_space(inside.as_fd(), Some(LinkNameSpaceType::Mount))?;
    let done = act();
    move_into_link_name_space(outside.as_fd(), Some(LinkNameSpaceType::Mount))
        .context(|| "go back to the mounts of before")?;
    rustix::process::fchdir(&here)?;
    Ok(done)
}

/// A root, by descriptor.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
}

impl Root {
    /// Opens the directory that is a root.
    ///
    /// # Errors
    /// Names it.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(CWD, path, flags, Mode::empty())
            .context(|| format!("open {}", path.display()))?;
        Ok(Self { directory })
    }

    /// The root of a running container without what is mounted in it: a clone of that one mount, which only this descriptor holds.
    ///
    /// # Errors
    /// Fails if the process is gone, or without the privilege.
    pub fn bare(pid: i32) -> Result<Self> {
        let place = || format!("root of process {pid}");
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(format!("/proc/{pid}/root"), flags, Mode::empty()).context(place)?;
        // The kernel clones mounts of the caller's own mount namespace only.
        let flags =
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
        let cloned = in_mounts_of(pid, || open_tree(&root, "", flags)).context(place)?;
        Ok(Self { directory: cloned.context(place)? })
    }

    /// Opens what a path leads to, as seen from inside.
    ///
    /// # Errors
    /// As openat2(2).
    pub fn open_at(&self, path: impl AsRef<OsStr>, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
        let bytes = path.as_ref().as_bytes();
        let relative = &bytes[bytes.iter().take_while(|byte| **byte == b'/').count()..];
        let relative = if relative.is_empty() { OsStr::new(".") } else { OsStr::from_bytes(relative) };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let open = || rustix::fs::openat2(&self.directory, relative, flags | OFlags::CLOEXEC, mode, resolve);
        // The kernel gives up where something was renamed while it looked; a program in the container may rename without end.
        std::iter::repeat_with(open)
            .take(MOST_LOOKS)
            .find(|result| !matches!(result, Err(Errno::AGAIN | Errno::INTR)))
            .unwrap_or(Err(Errno::AGAIN))
    }

    /// The text of a small file; empty if there is none.
    ///
    /// # Errors
    /// Fails if it cannot be read, or is larger than `limit` bytes.
    pub fn text(&self, path: &str, limit: u64) -> Result<String> {
        // Not waiting for a fifo that stands there.
        let file = match self.open_at(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, Mode::empty())
        {
            Ok(file) => File::from(file),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(String::new()),
            Err(errno) => return Err(Error::from(errno).context(path)),
        };
        if !file.metadata()?.is_file() {
            return Err(Error::new("it is no regular file").context(path));
        }
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes).context(|| path)?;
        if bytes.len() as u64 > limit {
            return Err(Error::new(format!("it is larger than {limit} bytes")).context(path));
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Makes a directory and those above it where they are missing.
    ///
    /// # Errors
    /// Names the path.
    pub fn make_directories(&self, path: impl AsRef<OsStr>) -> Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let mut there = self.open_at("/", flags, Mode::empty())?;
        let mut so_far = OsString::new();
        let parts = path.as_ref().as_bytes().split(|byte| *byte == b'/');
        for part in parts.filter(|part| !matches!(*part, b"" | b".")).map(OsStr::from_bytes) {
            so_far.push("/");
            so_far.push(part);
            let place = || so_far.to_string_lossy().into_owned();
            there = match self.open_at(&so_far, flags, Mode::empty()) {
                Err(Errno::NOENT) => {
                    rustix::fs::mkdirat(&there, part, Mode::from_raw_mode(0o755))
                        .context(|| format!("create directory {}", place()))?;
                    self.open_at(&so_far, flags, Mode::empty()).context(place)?
                }
                result => result.context(place)?,
            };
        }
        Ok(there)
    }

    /// The directory that a path lies in, opened, and its last name; the name is `.` for the root itself.
    ///
    /// # Errors
    /// Names the path.
    pub fn parent(&self, path: &str) -> Result<(OwnedFd, PathBuf)> {
        let trimmed = path.trim_end_matches('/');
        let (folder, name) = trimmed.rsplit_once('/').unwrap_or(("", trimmed));
        let name = match name {
            "" | "." | ".." => {
                return Ok((
                    self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).context(|| path)?,
                    ".".into(),
                ));
            }
            name => name,
        };
        let folder =
            self.open_at(folder, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).context(|| path)?;
        Ok((folder, name.into()))
    }

    /// Whether there is something, and whether it is a directory; a symlink is followed, inside.
    pub fn is_directory(&self, path: &str) -> Option<bool> {
        let found = self.open_at(path, OFlags::PATH, Mode::empty()).ok()?;
        let stat = rustix::fs::statat(&found, "", AtFlags::EMPTY_PATH).ok()?;
        Some(rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory)
    }
}
