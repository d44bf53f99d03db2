//! The only door to paths below a container's root file system, which are hostile.
//!
//! Every path is resolved below a directory descriptor by openat2(2) with `RESOLVE_IN_ROOT`: symlinks, absolute ones
//! too, stay inside. Where openat2 answers ENOSYS, a walker of single `O_NOFOLLOW` steps does the same. What is missing
//! is made on a parent's descriptor and never through a link. (CVE-2019-19921, CVE-2021-30465, CVE-2024-45310.)
//!
//! Nothing allocates: paths are cut on a stack buffer.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::ffi::CStr;

mod walker;

/// The longest path that the kernel takes, with its NUL.
const PATH_MAX: usize = 4096;

/// The kernel's own limit of symlinks on a path.
const MAX_LINKS: usize = 40;

/// How often a resolution that raced with a rename is tried again (openat2 answers EAGAIN then).
const RACE_RETRIES: usize = 128;

/// The root file system of a container, by descriptor.
#[derive(Debug)]
pub struct Rootfs {
    root: OwnedFd,
}

/// What to make of the last component when it does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// A directory, mode 0755.
    Directory,
    /// An empty regular file, mode 0644, to mount a file on.
    File,
}

impl Rootfs {
    /// The root file system whose top directory `root` is open on.
    pub fn new(root: OwnedFd) -> Self {
        Self { root }
    }

    /// The top directory itself.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Opens a path with the given flags; symlinks are followed inside the root.
    ///
    /// # Errors
    /// Those of openat2(2).
    pub fn open(&self, path: &CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { c"." } else { path };
        for _ in 0..RACE_RETRIES {
            let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
            match rustix::fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
                Err(Errno::AGAIN) => {}
                Err(Errno::NOSYS) => return walker::open(self.root.as_fd(), path, flags, None, MAX_LINKS),
                answer => return answer,
            }
        }
        Err(Errno::AGAIN)
    }

    /// The place that a path names, as an `O_PATH` descriptor to mount on or to stat.
    ///
    /// # Errors
    /// `ENOENT`, `ELOOP`, `ENOTDIR`, `EACCES`.
    pub fn resolve(&self, path: &CStr) -> Result<OwnedFd, Errno> {
        self.open(path, OFlags::PATH)
    }

    /// A directory that no symlink leads to.
    ///
    /// # Errors
    /// `ELOOP`: one does; otherwise as [`Rootfs::resolve`], and `EAGAIN` after a race with a rename.
    pub fn resolve_plain(&self, path: &CStr) -> Result<OwnedFd, Errno> {
        self.open_plain(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC)
    }

    /// A file of any kind that no symlink leads to.
    ///
    /// # Errors
    /// As [`Rootfs::resolve_plain`].
    pub fn resolve_plain_any(&self, path: &CStr) -> Result<OwnedFd, Errno> {
        self.open_plain(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC)
    }

    fn open_plain(&self, path: &CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { c"." } else { path };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
        match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve) {
            Err(Errno::NOSYS) => walker::open(self.root.as_fd(), path, flags, None, 0),
            answer => answer,
        }
    }

    /// Resolves a path and makes what of it is missing: directories on the way, and `last` at its end. A symlink to what
    /// does not exist is followed inside the root, and what it points to is made there.
    ///
    /// # Errors
    /// Those of openat2(2), mkdirat(2) and openat(2).
    pub fn ensure(&self, path: &CStr, last: Missing) -> Result<OwnedFd, Errno> {
        match self.resolve(path) {
            Err(Errno::NOENT) => {}
            answer => return answer,
        }
        match self.ensure_last(path, last) {
            // The directory is missing too, or something that leads nowhere has the name.
            Err(Errno::NOENT | Errno::LOOP) => {
                walker::open(self.root.as_fd(), path, OFlags::PATH, Some(last), MAX_LINKS)
            }
            answer => answer,
        }
    }

    /// Makes the last component in a directory that exists, which is the usual case.
    fn ensure_last(&self, path: &CStr, last: Missing) -> Result<OwnedFd, Errno> {
        let (parent, name) = split(path);
        let mut buffer = [0; PATH_MAX];
        let parent = match parent {
            b"" => None,
            parent => Some(self.resolve(terminated(parent, &mut buffer)?)?),
        };
        let parent = parent.as_ref().map_or(self.root.as_fd(), |parent| parent.as_fd());
        let mut buffer = [0; PATH_MAX];
        let name = terminated(name, &mut buffer)?;
        if name.is_empty() || name == c"." || name == c".." {
            return Err(Errno::NOENT);
        }
        create(parent, name, last)?;
        let kind = if last == Missing::Directory { OFlags::DIRECTORY } else { OFlags::empty() };
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC | kind;
        let opened = rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(|errno| match errno {
            // A link in the place of a directory.
            Errno::NOTDIR => Errno::LOOP,
            errno => errno,
        })?;
        if last == Missing::File && file_type(&rustix::fs::fstat(&opened)?) == FileType::Symlink {
            return Err(Errno::LOOP);
        }
        Ok(opened)
    }
}

/// Makes `name` directly below `parent`; that somebody else has made it meanwhile is no error.
fn create(parent: BorrowedFd<'_>, name: &CStr, what: Missing) -> Result<(), Errno> {
    let made = match what {
        Missing::Directory => rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)),
        Missing::File => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::WRONLY;
            rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o644)).map(drop)
        }
    };
    match made {
        Err(Errno::EXIST) => Ok(()),
        answer => answer,
    }
}

/// Cuts a path into its directory and its last component, as bytes without NUL.
fn split(path: &CStr) -> (&[u8], &[u8]) {
    let bytes = path.to_bytes();
    let end = bytes.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    match bytes[..end].iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&bytes[..slash], &bytes[slash + 1..end]),
        None => (b"", &bytes[..end]),
    }
}

/// The file type in a stat result.
pub fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Whether the descriptor is a directory.
///
/// # Errors
/// Those of fstat(2).
pub fn is_directory(file: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(file_type(&rustix::fs::fstat(file)?) == FileType::Directory)
}

/// Removes a file below `parent` unless it does not exist.
///
/// # Errors
/// Those of unlinkat(2) other than `ENOENT`.
pub fn remove_file(parent: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        answer => answer,
    }
}

/// Copies `bytes` into `buffer` and ends them with a NUL.
fn terminated<'buffer>(bytes: &[u8], buffer: &'buffer mut [u8; PATH_MAX]) -> Result<&'buffer CStr, Errno> {
    let Some(space) = buffer.get_mut(..=bytes.len()) else { return Err(Errno::NAMETOOLONG) };
    space[..bytes.len()].copy_from_slice(bytes);
    space[bytes.len()] = 0;
    CStr::from_bytes_with_nul(space).map_err(|_| Errno::INVAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, openat};
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    fn scratch(name: &str) -> (PathBuf, Rootfs) {
        let path = std::env::temp_dir().join(format!("cortentest-rootfs-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let root =
            openat(CWD, &path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        (path, Rootfs::new(root))
    }

    #[test]
    fn missing_directories_are_made_inside() {
        let (path, rootfs) = scratch("made");
        symlink("/", path.join("out")).unwrap();
        rootfs.ensure(c"/out/a/b", Missing::Directory).unwrap();
        rootfs.ensure(c"out/a/c", Missing::File).unwrap();
        assert!(path.join("a/b").is_dir());
        assert!(path.join("a/c").is_file());
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn paths_are_cut_at_the_last_component() {
        for (path, parent, name) in
            [(c"/dev/null", "/dev", "null"), (c"dev", "", "dev"), (c"a/b/", "a", "b"), (c"/", "", "")]
        {
            assert_eq!(split(path), (parent.as_bytes(), name.as_bytes()), "{path:?}");
        }
    }

    #[test]
    fn a_dangling_link_is_followed_inside_the_root_only() {
        let (path, rootfs) = scratch("dangling");
        symlink("/cortentest-nowhere/file", path.join("link")).unwrap();
        symlink("../../../run", path.join("relative")).unwrap();
        rootfs.ensure(c"link", Missing::File).unwrap();
        rootfs.ensure(c"relative/a", Missing::Directory).unwrap();
        assert!(path.join("cortentest-nowhere/file").is_file());
        assert!(path.join("run/a").is_dir());
        assert!(!std::path::Path::new("/cortentest-nowhere").exists());
        std::fs::remove_dir_all(path).unwrap();
    }
}
