//! Resolution inside a root by single `O_NOFOLLOW` steps, symlinks spliced in by hand.
//!
//! For paths of which something must be made, and for all where openat2(2) answers ENOSYS (Linux before 5.6, seccomp
//! filters). `..` is answered from a stack of the directories
//! that were opened on the way, so a directory that is renamed meanwhile cannot lead above the root.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::CStr;
use std::mem::MaybeUninit;

use super::{Missing, PATH_MAX, create, file_type, terminated};

/// How many directories a walk stands in at most.
const MAX_DEPTH: usize = 64;

/// What is still to be walked: a buffer whose tail holds the rest of the path.
struct Rest {
    bytes: [u8; PATH_MAX],
    start: usize,
}

/// Opens `path` below `root` with `flags`; the last component is followed unless `flags` say `O_NOFOLLOW`. With `missing`,
/// what does not exist is made: directories on the way, and at the end what `missing` says. More than `max_links` symlinks
/// are too many.
pub(super) fn open(
    root: BorrowedFd<'_>,
    path: &CStr,
    flags: OFlags,
    missing: Option<Missing>,
    max_links: usize,
) -> Result<OwnedFd, Errno> {
    let mut rest = Rest::new(path.to_bytes())?;
    let mut stack: [Option<OwnedFd>; MAX_DEPTH] = [const { None }; MAX_DEPTH];
    let mut depth = 0;
    let mut links = 0;
    let mut buffer = [0; PATH_MAX];
    loop {
        let Some(length) = rest.next(&mut buffer) else {
            // Nothing follows: the directory that the walk stands in.
            let here = stack[..depth].last().and_then(Option::as_ref).map_or(root, |fd| fd.as_fd());
            return rustix::fs::openat(here, c".", flags | OFlags::CLOEXEC, Mode::empty());
        };
        let name = CStr::from_bytes_with_nul(&buffer[..=length]).map_err(|_| Errno::INVAL)?;
        if name == c".." {
            depth = depth.saturating_sub(1);
            stack[depth] = None;
            continue;
        }
        let here = stack[..depth].last().and_then(Option::as_ref).map_or(root, |fd| fd.as_fd());
        let last = rest.is_empty();
        let step = match (look(here, name), missing) {
            (Err(Errno::NOENT), Some(missing)) => {
                create(here, name, if last { missing } else { Missing::Directory })?;
                look(here, name)?
            }
            (answer, _) => answer?,
        };
        let kind = file_type(&rustix::fs::fstat(&step)?);
        if kind == FileType::Symlink && !(last && flags.contains(OFlags::NOFOLLOW)) {
            links += 1;
            if links > max_links {
                return Err(Errno::LOOP);
            }
            let mut target = [MaybeUninit::uninit(); PATH_MAX];
            let (target, _) = rustix::fs::readlinkat_raw(&step, c"", &mut target)?;
            if target.first() == Some(&b'/') {
                stack[..depth].fill_with(|| None);
                depth = 0;
            }
            rest.prepend(target)?;
        } else if last && kind != FileType::Directory {
            return reopen(here, name, step, flags);
        } else if depth == MAX_DEPTH {
            return Err(Errno::NAMETOOLONG);
        } else {
            stack[depth] = Some(step);
            depth += 1;
        }
    }
}

/// What `name` is, without following it.
fn look(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// Opens what `step` holds with the caller's flags, and makes sure that it is still the same file.
fn reopen(parent: BorrowedFd<'_>, name: &CStr, step: OwnedFd, flags: OFlags) -> Result<OwnedFd, Errno> {
    if flags.contains(OFlags::PATH) {
        return if flags.contains(OFlags::DIRECTORY) { Err(Errno::NOTDIR) } else { Ok(step) };
    }
    let file = rustix::fs::openat(parent, name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let (seen, opened) = (rustix::fs::fstat(&step)?, rustix::fs::fstat(&file)?);
    if (seen.st_dev, seen.st_ino) != (opened.st_dev, opened.st_ino) {
        return Err(Errno::AGAIN);
    }
    Ok(file)
}

impl Rest {
    fn new(path: &[u8]) -> Result<Self, Errno> {
        let mut rest = Self { bytes: [0; PATH_MAX], start: PATH_MAX };
        rest.prepend(path)?;
        Ok(rest)
    }

    fn is_empty(&self) -> bool {
        self.bytes[self.start..].iter().all(|byte| *byte == b'/')
    }

    /// Puts `path` and a slash in front of what is left.
    fn prepend(&mut self, path: &[u8]) -> Result<(), Errno> {
        let start = self.start.checked_sub(path.len() + 1).ok_or(Errno::NAMETOOLONG)?;
        self.bytes[start..start + path.len()].copy_from_slice(path);
        self.bytes[start + path.len()] = b'/';
        self.start = start;
        Ok(())
    }

    /// Takes the next component into `buffer`, NUL-terminated; its length, or nothing at the end. `.` is passed over.
    fn next(&mut self, buffer: &mut [u8; PATH_MAX]) -> Option<usize> {
        loop {
            let rest = &self.bytes[self.start..];
            let skip = rest.iter().take_while(|byte| **byte == b'/').count();
            let rest = &rest[skip..];
            if rest.is_empty() {
                self.start = PATH_MAX;
                return None;
            }
            let length = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
            let name = terminated(&rest[..length], buffer).ok()?;
            let dot = name == c".";
            self.start += skip + length;
            if !dot {
                return Some(length);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, openat};
    use std::os::unix::fs::symlink;

    #[test]
    fn links_and_dots_stay_inside_the_root() {
        let path = std::env::temp_dir().join(format!("cortentest-walker-{}", std::process::id()));
        std::fs::create_dir_all(path.join("a/b")).unwrap();
        std::fs::write(path.join("a/file"), "inside").unwrap();
        symlink("/a", path.join("absolute")).unwrap();
        symlink("../../../../a", path.join("a/b/above")).unwrap();
        symlink("loop", path.join("loop")).unwrap();
        let root = openat(CWD, &path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let inode = |fd: OwnedFd| rustix::fs::fstat(fd).unwrap().st_ino;
        let file = inode(openat(CWD, path.join("a/file"), OFlags::PATH, Mode::empty()).unwrap());
        for name in [c"a/file", c"/absolute/./file", c"../../a/file", c"a/b/above/file", c"a//b/../file"] {
            assert_eq!(inode(open(root.as_fd(), name, OFlags::PATH, None, 40).unwrap()), file, "{name:?}");
            assert_eq!(inode(open(root.as_fd(), name, OFlags::RDONLY, None, 40).unwrap()), file, "{name:?}");
        }
        assert_eq!(open(root.as_fd(), c"loop", OFlags::PATH, None, 40).unwrap_err(), Errno::LOOP);
        assert_eq!(open(root.as_fd(), c"a/file/x", OFlags::PATH, None, 40).unwrap_err(), Errno::NOTDIR);
        assert_eq!(open(root.as_fd(), c"none", OFlags::PATH, None, 40).unwrap_err(), Errno::NOENT);
        assert!(open(root.as_fd(), c"a/b", OFlags::PATH, None, 0).is_ok());
        for name in [c"a/b/above", c"absolute/file", c"loop"] {
            assert_eq!(open(root.as_fd(), name, OFlags::PATH, None, 0).unwrap_err(), Errno::LOOP, "{name:?}");
        }
        std::fs::remove_dir_all(path).unwrap();
    }
}
