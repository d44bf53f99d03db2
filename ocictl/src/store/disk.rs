//! Writing aside and renaming, so that a file is there as a whole or not at all, also after the power failed.

use crate::error::{Context, Error, Result};
use crate::given;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::fs::{DirBuilder, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Makes a directory, and those above it, for its owner alone; one that is there is left as it is.
///
/// # Errors
/// Names the directory that could not be made.
pub fn make_directory(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .context(|| format!("create directory {}", path.display()))
}

/// Makes `DIRECTORY/NAME` hold `bytes` from one instant to the next, and last.
///
/// # Errors
/// Names the file; nothing is left of it then, or what was there before.
pub fn write_whole(directory: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = directory.join(name);
    let written = replace(&path, create, |mut file| {
        file.write_all(bytes)?;
        Ok(file.sync_all()?)
    });
    written.and_then(|()| sync_directory(directory)).context(|| format!("write {}", path.display()))
}

/// Writes a file aside, which takes its place when it is whole; `create` makes it, under a name that nobody else has.
///
/// # Errors
/// As the two do; nothing is left of the file then, or what was there before.
pub fn replace(
    path: &Path,
    create: impl FnOnce(&Path) -> Result<File>,
    write: impl FnOnce(&File) -> Result<()>,
) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // A name of 255 bytes has no room for another in front.
    let front: String = name.chars().take(50).collect();
    let aside = path.with_file_name(format!(".{front}.{}", random()));
    let written = create(&aside).and_then(|file| {
        write(&file)?;
        Ok(std::fs::rename(&aside, path)?)
    });
    written.inspect_err(|_| {
        let _best_effort = std::fs::remove_file(&aside);
    })
}

/// Makes a new file for its owner alone.
///
/// # Errors
/// Fails if something is there already.
pub fn create(path: &Path) -> Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?))
}

/// Makes the names in a directory last.
///
/// # Errors
/// As fsync(2).
pub fn sync_directory(path: &Path) -> Result<()> {
    let directory = open_directory(path)?;
    rustix::fs::fsync(directory).context(|| format!("sync {}", path.display()))
}

/// Opens a directory that must not be a symlink.
///
/// # Errors
/// Names it.
pub fn open_directory(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).context(|| format!("open {}", path.display()))
}

/// Reads a regular file of at most `limit` bytes, which must not be a symlink; nothing if there is none.
///
/// # Errors
/// Names the file.
pub fn read_small(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let place = || format!("read {}", path.display());
    match rustix::fs::open(path, READING | OFlags::NOFOLLOW, Mode::empty()) {
        Ok(file) => regular(file).and_then(|file| read_whole(file, limit)).map(Some).context(place),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(Error::from(errno).context(place())),
    }
}

/// Opens a regular file by a path below `directory`, which no `..`, no symlink and no leading `/` leads out of; nothing if there is
/// none.
///
/// # Errors
/// Names the path.
pub fn open_below(directory: impl AsFd, path: &str) -> Result<Option<File>> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(directory, path, READING, Mode::empty(), resolve) {
        Ok(file) => regular(file).map(Some),
        Err(Errno::NOENT) => Ok(None),
        Err(Errno::XDEV) => Err(Error::new("it leads out of the directory")),
        Err(errno) => Err(errno.into()),
    }
    .context(|| path.to_owned())
}

/// As [`read_small`], for a path as [`open_below`] takes one.
///
/// # Errors
/// Names the path.
pub fn read_small_below(directory: impl AsFd, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
    let Some(file) = open_below(directory, path)? else { return Ok(None) };
    read_whole(file, limit).map(Some).context(|| path.to_owned())
}

/// How files are opened that somebody else may have laid down: a FIFO is not waited at.
const READING: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

fn regular(file: OwnedFd) -> Result<File> {
    match FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) {
        FileType::RegularFile => Ok(File::from(file)),
        _ => Err(Error::new("it is no regular file")),
    }
}

fn read_whole(file: File, limit: u64) -> Result<Vec<u8>> {
    given::at_most(read_at_once(file, limit + 1)?, limit)
}

/// What most of our files take is read by one call: listing many containers is reading many small files.
fn read_at_once(mut file: File, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut front = [0u8; 4096];
    let length = file.read(&mut front)?;
    let mut bytes = front[..length].to_vec();
    // A regular file reads short at its end only.
    if length == front.len() {
        file.take(limit.saturating_sub(length as u64)).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// The names in a directory of ours, without those that are being written.
///
/// # Errors
/// Names the directory.
pub fn names(directory: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let place = || format!("list {}", directory.display());
    for entry in std::fs::read_dir(directory).context(place)? {
        if let Ok(name) = entry.context(place)?.file_name().into_string()
            && !name.starts_with('.')
        {
            names.push(name);
        }
    }
    Ok(names)
}

/// How the name begins that [`replace`] would have given a file in the end, all of it up to 50 characters: `NAME` of `.NAME.` and sixteen
/// hex digits.
pub fn half_written(name: &str) -> Option<&str> {
    let (name, random) = name.strip_prefix('.')?.rsplit_once('.')?;
    let is_random =
        random.len() == 16 && random.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (is_random && !name.is_empty()).then_some(name)
}

/// Removes what [`write_whole`] was killed at, of the files that `is_ours` says are written there; nobody may be writing. How
/// many that were. Whatever else begins with a dot is somebody else's.
///
/// # Errors
/// Names what could not be removed.
pub fn remove_half_written(directory: &Path, is_ours: impl Fn(&str) -> bool) -> Result<usize> {
    let mut removed = 0;
    for entry in std::fs::read_dir(directory).context(|| format!("list {}", directory.display()))? {
        let entry = entry.context(|| format!("list {}", directory.display()))?;
        let name = entry.file_name();
        if name.to_str().and_then(half_written).is_some_and(&is_ours) {
            std::fs::remove_file(entry.path()).context(|| format!("remove {}", entry.path().display()))?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Bytes that a directory and all in it take on disk; what cannot be asked counts as nothing.
pub fn bytes_on_disk(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let mut left = vec![path.to_owned()];
    let mut bytes = 0;
    while let Some(path) = left.pop() {
        let Ok(metadata) = std::fs::symlink_metadata(&path) else { continue };
        // Of a file with several names each counts its part.
        bytes += metadata.blocks() * 512 / if metadata.is_dir() { 1 } else { metadata.nlink().max(1) };
        if metadata.is_dir() {
            left.extend(
                std::fs::read_dir(&path).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())),
            );
        }
    }
    bytes
}

/// How deep a removal goes before it takes what is below up.
const MAX_OPEN: usize = 100;

/// Removes a directory with all that is in it, by descriptor: no symlink is followed, no mount point entered.
///
/// # Errors
/// Names what could not be removed. What is gone already is no error.
pub fn remove_tree(path: &Path) -> Result<()> {
    let place = || format!("remove {}", path.display());
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::new("it has no name").context(place()));
    };
    let parent = open_directory(parent)?;
    // Directories that are open, innermost last, each with the names that are left in it: no recursion, whatever the depth.
    let mut way: Vec<(OwnedFd, Vec<std::ffi::CString>)> = Vec::new();
    let mut names = vec![
        std::ffi::CString::new(name.as_encoded_bytes()).map_err(|_| Error::new("a NUL").context(place()))?,
    ];
    let mut here = parent;
    loop {
        let Some(name) = names.last() else {
            match way.pop() {
                None => return Ok(()),
                Some((above, left)) => {
                    (here, names) = (above, left);
                    let Some(name) = names.pop() else { continue };
                    match rustix::fs::unlinkat(&here, &name, AtFlags::REMOVEDIR) {
                        Ok(()) | Err(Errno::NOENT) => {}
                        Err(errno) => return Err(Error::from(errno).context(place())),
                    }
                    continue;
                }
            }
        };
        match rustix::fs::unlinkat(&here, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {
                names.pop();
            }
            Err(why @ (Errno::ISDIR | Errno::PERM | Errno::NOTDIR)) => {
                let inner = match open_inner(&here, name) {
                    // It is no directory: immutable, perhaps.
                    Err(error) if error.errno() == Some(libc::ENOTDIR) => {
                        return Err(Error::from(why).context(place()));
                    }
                    Err(error) if error.errno() == Some(libc::ENOENT) => {
                        names.pop();
                        continue;
                    }
                    inner => inner.context(place)?,
                };
                let left = names_in(&inner).context(place)?;
                if way.len() >= MAX_OPEN && !left.is_empty() {
                    // As many descriptors as we want to hold: what is below continues from the top, under another name.
                    let aside = std::ffi::CString::new(format!(".{}", random())).unwrap_or_default();
                    rustix::fs::renameat(&here, name, &way[0].0, &aside).context(place)?;
                    way[0].1.insert(0, aside);
                    names.pop();
                    continue;
                }
                way.push((std::mem::replace(&mut here, inner), std::mem::replace(&mut names, left)));
            }
            Err(errno) => return Err(Error::from(errno).context(place())),
        }
    }
}

fn open_inner(here: &OwnedFd, name: &std::ffi::CStr) -> Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat2(here, name, flags, Mode::empty(), resolve) {
        Ok(inner) => Ok(inner),
        Err(Errno::XDEV) => Err(Error::new("something is mounted in it")),
        // A directory that its owner may not read: only without root.
        Err(Errno::ACCESS) => {
            let path = rustix::fs::openat2(
                here,
                name,
                OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
                resolve,
            )?;
            rustix::fs::chmodat(
                CWD,
                format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&path)),
                Mode::RWXU,
                AtFlags::empty(),
            )?;
            Ok(rustix::fs::openat2(here, name, flags, Mode::empty(), resolve)?)
        }
        Err(errno) => Err(errno.into()),
    }
}

fn names_in(directory: &impl AsFd) -> Result<Vec<std::ffi::CString>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(directory)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    Ok(names)
}

/// Sixteen random hex digits: a name that nobody else has.
pub fn random() -> String {
    let mut bytes = [0u8; 8];
    // Never short for so few bytes (getrandom(2)); a name that is taken fails with EEXIST in any case.
    let _filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deep_tree_is_removed_and_a_link_is_not_followed() {
        let base = std::env::temp_dir().join(format!("ocictl-disk-{}", random()));
        let (victim, tree) = (base.join("victim"), base.join("tree"));
        make_directory(&victim).expect("a directory");
        std::fs::write(victim.join("kept"), "x").expect("a file");
        make_directory(&tree).expect("a directory");
        std::os::unix::fs::symlink(&victim, tree.join("link")).expect("a link");
        let mut here = open_directory(&tree).expect("open");
        for _ in 0..2000 {
            rustix::fs::mkdirat(&here, "d", Mode::RWXU).expect("deeper");
            here = rustix::fs::openat(&here, "d", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
                .expect("open");
        }
        drop(here);
        remove_tree(&tree).expect("removed");
        remove_tree(&tree).expect("once more is no error");
        assert!(std::fs::symlink_metadata(&tree).is_err());
        assert_eq!(std::fs::read(victim.join("kept")).expect("still there"), b"x");
        remove_tree(&base).expect("removed");
    }
}
