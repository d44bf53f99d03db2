//! An archive that is written into a running or stopped container: `cp - CONTAINER:DIR`.
//!
//! Both sides are hostile: the archive's paths, and the symlinks that stand in the container. A path is resolved below the container's root for
//! each entry anew; its last component is made by us and never followed.

use super::ids::Ids;
use super::root::Root;
use crate::archive::attributes;
use crate::archive::compression::Decoder;
use crate::archive::tar::{self, Entry, Kind};
use crate::error::{Context, Error, Result};
use crate::rootless;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, makedev};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::BufRead;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

/// Writes what an archive holds below `target`, a directory that is there. Owners are the archive's; ids that are not the caller's to give
/// become his own. With `ids` they are those of a container that has its own.
///
/// # Errors
/// Names the entry; what came before it stays.
pub fn extract(root: &Root, target: &str, ids: Option<&Ids>, source: impl BufRead) -> Result<()> {
    root.open_at(target, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).context(|| target)?;
    let decoder = Decoder::new(source)?;
    let mut reader = tar::Reader::new(std::io::BufReader::with_capacity(256 << 10, decoder));
    // What is written into a directory changes its time, and a mode may forbid to write.
    let mut directories: Vec<Entry> = Vec::new();
    while let Some(mut entry) = reader.next_entry()? {
        if let Some(ids) = ids {
            (entry.uid, entry.gid) = ids.owner_outside(entry.uid, entry.gid);
        }
        let place = || format!("entry \"{}\"", entry.shown());
        let here = Here::of(root, target, &entry).context(place)?;
        match &entry.kind {
            Kind::Directory => {
                here.directory().context(place)?;
                directories.push(entry);
            }
            Kind::File => {
                here.remove().context(place)?;
                let file = here.file().context(place)?;
                write(&mut reader, &entry, &file).context(place)?;
                attributes(&file.into(), &entry).context(place)?;
            }
            _ => here.other(root, target, &entry).context(place)?,
        }
    }
    // An archive may have more of them than there are descriptors: each is opened anew.
    while let Some(entry) = directories.pop() {
        let place = || format!("entry \"{}\"", entry.shown());
        let here = Here::of(root, target, &entry).context(place)?;
        attributes(&here.open_directory().context(place)?, &entry).context(place)?;
    }
    Ok(())
}

/// A name in a directory of the container.
struct Here {
    folder: OwnedFd,
    name: OsString,
}

/// The path below the target, without what goes up.
fn below(target: &str, path: &[u8]) -> Result<Vec<u8>> {
    let mut whole = target.trim_end_matches('/').as_bytes().to_vec();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err(Error::new("its path goes up by \"..\"")),
            part => {
                whole.push(b'/');
                whole.extend_from_slice(part);
            }
        }
    }
    Ok(whole)
}

impl Here {
    fn of(root: &Root, target: &str, entry: &Entry) -> Result<Self> {
        let path = below(target, &entry.path)?;
        if path.len() == target.trim_end_matches('/').len() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            return Ok(Self { folder: root.open_at(target, flags, Mode::empty())?, name: ".".into() });
        }
        let at = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        let folder = OsStr::from_bytes(&path[..at]);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let folder = match root.open_at(folder, flags, Mode::empty()) {
            Err(Errno::NOENT) => {
                root.make_directories(folder)?;
                root.open_at(folder, flags, Mode::empty())?
            }
            result => result?,
        };
        Ok(Self { folder, name: OsStr::from_bytes(&path[at + 1..]).to_owned() })
    }

    fn directory(&self) -> Result<()> {
        if self.name != "." {
            match rustix::fs::mkdirat(&self.folder, &self.name, Mode::RWXU) {
                Ok(()) => {}
                Err(Errno::EXIST) if self.kind() == Some(FileType::Directory) => {}
                Err(Errno::EXIST) => {
                    self.remove()?;
                    rustix::fs::mkdirat(&self.folder, &self.name, Mode::RWXU)?;
                }
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    fn open_directory(&self) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.folder, &self.name, flags, Mode::empty())?)
    }

    fn kind(&self) -> Option<FileType> {
        let stat = rustix::fs::statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some(FileType::from_raw_mode(stat.st_mode))
    }

    /// Makes room for what is no directory.
    fn remove(&self) -> Result<()> {
        match rustix::fs::unlinkat(&self.folder, &self.name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR | Errno::PERM) => Err(Error::new("a directory is in its place")),
            Err(errno) => Err(errno.into()),
        }
    }

    fn file(&self) -> Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(rustix::fs::openat(&self.folder, &self.name, flags, Mode::RUSR | Mode::WUSR)?))
    }

    /// Links and devices.
    fn other(&self, root: &Root, target: &str, entry: &Entry) -> Result<()> {
        let mode = Mode::from_raw_mode(u32::from(entry.mode));
        let node = |kind, device| rustix::fs::mknodat(&self.folder, &self.name, kind, mode, device);
        if let Kind::HardLink(other) = &entry.kind {
            let other = below(target, other)?;
            let at = other.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            let folder = root.open_at(OsStr::from_bytes(&other[..at]), flags, Mode::empty())?;
            self.remove()?;
            let name = OsStr::from_bytes(&other[at + 1..]);
            return Ok(rustix::fs::linkat(&folder, name, &self.folder, &self.name, AtFlags::empty())?);
        }
        self.remove()?;
        match &entry.kind {
            Kind::Symlink(text) => {
                rustix::fs::symlinkat(OsStr::from_bytes(text), &self.folder, &self.name)?;
            }
            Kind::Character(major, minor) => node(FileType::CharacterDevice, makedev(*major, *minor))?,
            Kind::Block(major, minor) => node(FileType::BlockDevice, makedev(*major, *minor))?,
            _ => node(FileType::Fifo, 0)?,
        }
        let (uid, gid) = owner(entry);
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::chownat(&self.folder, &self.name, Some(uid), Some(gid), flags)?;
        if !matches!(entry.kind, Kind::Symlink(_)) {
            rustix::fs::chmodat(&self.folder, &self.name, mode, AtFlags::empty())?;
        }
        Ok(rustix::fs::utimensat(&self.folder, &self.name, &times(entry), flags)?)
    }
}

/// The data of an entry, with its holes.
fn write(reader: &mut tar::Reader<impl BufRead>, entry: &Entry, file: &File) -> Result<()> {
    let Some(sparse) = &entry.sparse else {
        let mut out = file;
        return reader.data(|bytes| Ok(std::io::Write::write_all(&mut out, bytes)?));
    };
    file.set_len(sparse.real_size)?;
    let mut segments = sparse.segments.iter().copied().filter(|segment| segment.length > 0);
    let mut segment = segments.next();
    reader.data(|mut bytes| {
        while let (Some(now), false) = (&mut segment, bytes.is_empty()) {
            let length = bytes.len().min(usize::try_from(now.length).unwrap_or(usize::MAX));
            file.write_all_at(&bytes[..length], now.offset)?;
            bytes = &bytes[length..];
            now.offset += length as u64;
            now.length -= length as u64;
            if now.length == 0 {
                segment = segments.next();
            }
        }
        Ok(())
    })
}

fn attributes(file: &OwnedFd, entry: &Entry) -> Result<()> {
    let (uid, gid) = owner(entry);
    rustix::fs::fchown(file, Some(uid), Some(gid))?;
    // After the owner, since changing that takes set-id bits away.
    rustix::fs::fchmod(file, Mode::from_raw_mode(u32::from(entry.mode)))?;
    attributes::write(file, &entry.xattrs)?;
    Ok(rustix::fs::futimens(file.as_fd(), &times(entry))?)
}

fn owner(entry: &Entry) -> (Uid, Gid) {
    let ours = |kind: &str, id: u32| if rootless::is_mapped(kind, id) { id } else { 0 };
    (Uid::from_raw(ours("uid", entry.uid)), Gid::from_raw(ours("gid", entry.gid)))
}

fn times(entry: &Entry) -> Timestamps {
    let moment = Timespec { tv_sec: entry.mtime, tv_nsec: entry.mtime_nsec.into() };
    Timestamps { last_access: moment, last_modification: moment }
}
