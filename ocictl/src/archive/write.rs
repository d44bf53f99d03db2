//! Directories as a tar: a root as it is, or the upper directory of an overlay as a layer (image-spec, layer.md: whiteouts are files `.wh.NAME`,
//! an opaque directory has `.wh..wh..opq`).
//!
//! The format is POSIX.1-1988 ustar; what does not fit goes into a pax header in front (long names, large numbers, extended
//! attributes), which every reader of layers knows.

use super::attributes;
use super::without::Without;
use crate::error::{Context, Error, Result};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, StatxFlags};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

const BLOCK: usize = 512;
/// Deeper than this is no honest tree.
const MAX_DEPTH: usize = 1000;

/// What a directory is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// What it shows; what is mounted in it is left out, as an empty directory or file.
    Root,
    /// What it shows, whatever is mounted in it.
    Tree,
    /// An overlay's upper directory: what changed.
    Layer,
}

/// Which user and group a file is said to belong to, by those that it has here.
pub type Owners<'a> = &'a dyn Fn(u32, u32) -> (u32, u32);

/// Owners as they are.
pub const AS_THEY_ARE: Owners<'static> = &|uid, gid| (uid, gid);

/// Writes all that is in `directory`, sorted by name.
///
/// # Errors
/// Names the path that could not be read, or says that nothing can be written.
pub fn directory(directory: &OwnedFd, form: Form, owners: Owners<'_>, out: impl Write) -> Result<()> {
    let mount = if form == Form::Root { mount_of(directory, OsStr::new("")) } else { None };
    let mut writer = Writer { out, form, owners, mount, without: Without::NOTHING, links: HashMap::new() };
    writer.children(directory, b"", 0)?;
    writer.out.write_all(&[0; 2 * BLOCK])?;
    Ok(writer.out.flush()?)
}

/// A name of a directory, and what it is called in an archive.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// The directory.
    pub folder: &'a OwnedFd,
    /// The name in it.
    pub name: &'a OsStr,
    /// The name in the archive.
    pub new: &'a [u8],
}

/// Writes one name of a directory, with all that is in it but what is left out.
///
/// # Errors
/// As [`directory`].
pub fn named(tree: Named<'_>, without: Without, owners: Owners<'_>, out: impl Write) -> Result<()> {
    let mut writer = Writer { out, form: Form::Tree, owners, mount: None, without, links: HashMap::new() };
    writer.entry(tree.folder, tree.name.as_bytes(), tree.new, 0)?;
    writer.out.write_all(&[0; 2 * BLOCK])?;
    Ok(writer.out.flush()?)
}

/// The number of the mount that a name leads to (Linux 5.8); nothing on older kernels, where mounts are not told apart.
fn mount_of(folder: &OwnedFd, name: &OsStr) -> Option<u64> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT;
    let stat = rustix::fs::statx(folder, name, flags, StatxFlags::MNT_ID).ok()?;
    StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::MNT_ID).then_some(stat.stx_mnt_id)
}

/// Whether an entry of an upper directory says that what was there is gone.
pub fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Whether a directory hides what is below it.
pub fn is_opaque(directory: &OwnedFd) -> bool {
    ["trusted.overlay.opaque", "user.overlay.opaque"].iter().any(|name| {
        let mut value = [0u8; 2];
        rustix::fs::fgetxattr(directory, *name, &mut value).is_ok_and(|length| value[..length] == *b"y")
    })
}

struct Writer<'a, W> {
    out: W,
    form: Form,
    owners: Owners<'a>,
    /// The number of the one mount whose files are written.
    mount: Option<u64>,
    without: Without,
    /// Files with several names: the first one.
    links: HashMap<(u64, u64), Vec<u8>>,
}

/// What stands in a header.
struct Header<'a> {
    name: &'a [u8],
    kind: u8,
    link: &'a [u8],
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    mtime: i64,
    device: Option<(u32, u32)>,
    attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<W: Write> Writer<'_, W> {
    fn children(&mut self, folder: &OwnedFd, place: &[u8], depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(
                Error::new(format!("it is more than {MAX_DEPTH} directories deep")).context(shown(place))
            );
        }
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(folder)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(name);
            }
        }
        names.sort();
        for name in names {
            let path = [place, &name].concat();
            self.entry(folder, &name, &path, depth).context(|| shown(&path))?;
        }
        Ok(())
    }

    fn entry(&mut self, folder: &OwnedFd, name: &[u8], path: &[u8], depth: usize) -> Result<()> {
        let name = OsStr::from_bytes(name);
        let mut stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        (stat.st_uid, stat.st_gid) = (self.owners)(stat.st_uid, stat.st_gid);
        let kind = FileType::from_raw_mode(stat.st_mode);
        if self.form == Form::Layer && is_whiteout(&stat) {
            let (above, last) =
                path.split_at(path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1));
            return self.empty_file(&[above, b".wh.", last].concat());
        }
        if self.mount.is_some() && mount_of(folder, name) != self.mount {
            return match kind {
                FileType::Directory => self.header(&header(&[path, b"/"].concat(), b'5', &stat)),
                FileType::RegularFile => self.header(&Header { size: 0, ..header(path, b'0', &stat) }),
                _ => Ok(()),
            };
        }
        match kind {
            FileType::Directory => {
                let inner = open(folder, name, OFlags::RDONLY | OFlags::DIRECTORY)?;
                let path = [path, b"/"].concat();
                self.header(&Header { attributes: attributes::read(&inner)?, ..header(&path, b'5', &stat) })?;
                if self.form == Form::Layer && is_opaque(&inner) {
                    self.empty_file(&[&path, &b".wh..wh..opq"[..]].concat())?;
                }
                if self.without.holds(&inner) {
                    return Ok(());
                }
                self.children(&inner, &path, depth + 1)
            }
            FileType::RegularFile => {
                if stat.st_nlink > 1 {
                    let key = (stat.st_dev, stat.st_ino);
                    if let Some(first) = self.links.get(&key).cloned() {
                        return self.header(&Header { link: &first, ..header(path, b'1', &stat) });
                    }
                    self.links.insert(key, path.to_vec());
                }
                let file = open(folder, name, OFlags::RDONLY | OFlags::NONBLOCK)?;
                let size = u64::try_from(stat.st_size).unwrap_or(0);
                self.header(&Header {
                    size,
                    attributes: attributes::read(&file)?,
                    ..header(path, b'0', &stat)
                })?;
                self.content(File::from(file), size)
            }
            FileType::Symlink => {
                let link = rustix::fs::readlinkat(folder, name, Vec::new())?.into_bytes();
                self.header(&Header { link: &link, ..header(path, b'2', &stat) })
            }
            FileType::CharacterDevice | FileType::BlockDevice => {
                let device = Some((rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)));
                let letter = if kind == FileType::CharacterDevice { b'3' } else { b'4' };
                self.header(&Header { device, ..header(path, letter, &stat) })
            }
            FileType::Fifo => self.header(&header(path, b'6', &stat)),
            // A socket belongs to a process; archives have none.
            _ => Ok(()),
        }
    }

    fn empty_file(&mut self, path: &[u8]) -> Result<()> {
        let zero = Header {
            name: path,
            kind: b'0',
            link: b"",
            mode: 0,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: 0,
            device: None,
            attributes: Vec::new(),
        };
        self.header(&zero)
    }

    /// Exactly `size` bytes: a file that changes meanwhile must not shift what follows.
    fn content(&mut self, file: File, size: u64) -> Result<()> {
        let copied = io::copy(&mut file.take(size), &mut self.out)?;
        if copied < size {
            return Err(Error::new("it became shorter while it was read"));
        }
        self.pad(size)
    }

    fn pad(&mut self, size: u64) -> Result<()> {
        let rest = usize::try_from(size % BLOCK as u64).unwrap_or(0);
        if rest > 0 {
            self.out.write_all(&[0; BLOCK][rest..])?;
        }
        Ok(())
    }

    fn header(&mut self, header: &Header<'_>) -> Result<()> {
        let mut records = Vec::new();
        if header.name.len() > 100 || !header.name.is_ascii() {
            record(&mut records, b"path", header.name);
        }
        if header.link.len() > 100 || !header.link.is_ascii() {
            record(&mut records, b"linkpath", header.link);
        }
        for (key, value, most) in [
            (&b"size"[..], header.size, 0o77_777_777_777),
            (b"uid", u64::from(header.uid), 0o7_777_777),
            (b"gid", u64::from(header.gid), 0o7_777_777),
        ] {
            if value > most {
                record(&mut records, key, value.to_string().as_bytes());
            }
        }
        if !(0..=0o77_777_777_777).contains(&header.mtime) {
            record(&mut records, b"mtime", header.mtime.to_string().as_bytes());
        }
        for (name, value) in &header.attributes {
            record(&mut records, &[&b"SCHILY.xattr."[..], name].concat(), value);
        }
        if !records.is_empty() {
            let pax = Header {
                name: b"pax",
                kind: b'x',
                link: b"",
                size: records.len() as u64,
                mode: 0o644,
                mtime: 0,
                device: None,
                attributes: Vec::new(),
                ..*header
            };
            self.out.write_all(&block(&pax))?;
            self.out.write_all(&records)?;
            self.pad(records.len() as u64)?;
        }
        Ok(self.out.write_all(&block(header))?)
    }
}

fn header<'a>(name: &'a [u8], kind: u8, stat: &Stat) -> Header<'a> {
    Header {
        name,
        kind,
        link: b"",
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        size: 0,
        mtime: stat.st_mtime,
        device: None,
        attributes: Vec::new(),
    }
}

/// A pax record: its own length in decimal stands in front, and counts itself.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} ").as_bytes());
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

fn block(header: &Header<'_>) -> [u8; BLOCK] {
    let mut block = [0u8; BLOCK];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    let octal = |number: u64, digits: usize| {
        let text = format!("{number:0digits$o}");
        // What does not fit stands in the pax header.
        text.as_bytes()[text.len() - digits..].to_vec()
    };
    put(0, &header.name[..header.name.len().min(100)]);
    put(100, &octal(u64::from(header.mode), 7));
    put(108, &octal(u64::from(header.uid), 7));
    put(116, &octal(u64::from(header.gid), 7));
    put(124, &octal(header.size, 11));
    put(136, &octal(u64::try_from(header.mtime).unwrap_or(0), 11));
    put(148, b"        ");
    put(156, &[header.kind]);
    put(157, &header.link[..header.link.len().min(100)]);
    put(257, b"ustar\x0000");
    if let Some((major, minor)) = header.device {
        put(329, &octal(u64::from(major), 7));
        put(337, &octal(u64::from(minor), 7));
    }
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

fn open(folder: &OwnedFd, name: &OsStr, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(
        folder,
        name,
        flags | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::tar::{Entry, Reader};
    use crate::store::disk;

    /// The entries of a directory's archive; the directory goes.
    fn written(folder: &std::path::Path) -> Vec<Entry> {
        let mut bytes = Vec::new();
        directory(&disk::open_directory(folder).expect("open"), Form::Root, AS_THEY_ARE, &mut bytes)
            .expect("written");
        disk::remove_tree(folder).expect("removed");
        let mut reader = Reader::new(bytes.as_slice());
        std::iter::from_fn(|| reader.next_entry().expect("well-formed")).collect()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = std::env::temp_dir().join(format!("ocictl-write-{}", disk::random()));
        let long = "x".repeat(120);
        disk::make_directory(&folder.join("d").join(&long)).expect("directories");
        std::fs::write(folder.join("d").join(&long).join("file"), "content").expect("a file");
        std::fs::hard_link(folder.join("d").join(&long).join("file"), folder.join("same")).expect("a link");
        std::os::unix::fs::symlink("d", folder.join("link")).expect("a symlink");
        let found = written(&folder);
        let names: Vec<String> =
            found.iter().map(|entry| entry.shown().trim_end_matches('/').to_owned()).collect();
        let inner = format!("d/{long}");
        assert_eq!(names, ["d", &inner, &format!("{inner}/file"), "link", "same"]);
        assert_eq!(found[2].size, 7);
    }

    #[test]
    fn times_of_any_century_are_read_again() {
        use std::time::{Duration, UNIX_EPOCH};
        let folder = std::env::temp_dir().join(format!("ocictl-times-{}", disk::random()));
        disk::make_directory(&folder).expect("a directory");
        let (before, after) = (Duration::from_secs(5), Duration::from_secs((1 << 33) + 7));
        for (name, time) in [("a", UNIX_EPOCH - before), ("b", UNIX_EPOCH), ("c", UNIX_EPOCH + after)] {
            let file = File::create(folder.join(name)).expect("a file");
            file.set_modified(time).expect("a file system that knows such times");
        }
        let found: Vec<i64> = written(&folder).iter().map(|entry| entry.mtime).collect();
        assert_eq!(found, [-5, 0, (1 << 33) + 7]);
    }

    #[test]
    fn a_pax_record_counts_itself() {
        for (length, wanted) in [(1, "6 k=v"), (91, "97 k="), (94, "101 k=")] {
            let mut records = Vec::new();
            record(&mut records, b"k", "v".repeat(length).as_bytes());
            let text = String::from_utf8(records).expect("text");
            assert!(text.starts_with(wanted), "{text}");
            let said: usize = text.split(' ').next().expect("a number").parse().expect("a number");
            assert_eq!(said, text.len());
        }
    }
}
