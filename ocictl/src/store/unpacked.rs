//! The other form of a layer, for kernels and users who cannot mount an index: a directory that holds the tree, and a skeleton of
//! the tar, from which and the directory the tar comes back byte for byte.
//!
//! While the tar streams by, the data of each file goes to a file of its own, named by a number; when the tree is known, the
//! files are moved to their places in it. So nothing is ever resolved below a directory that an archive shapes: directories
//! are made by us, one component at a time, each opened without following anything.
//!
//! From them and the skeleton ([`super::skeleton`]) the tar comes back. `pieces`, compressed by Zstandard, says where the data of each
//! file is: the number of its path's bytes (4, little endian), the path below `root/` or `data/`, the number of segments (4),
//! then offset and length of each (8, 8).

use super::disk;
use super::skeleton::{Piece, Pieces, Skeleton, read_u32, read_u64};
use crate::archive::tar::Sparse;
use crate::archive::tree::{Content, Id, Node, ROOT, Tree};
use crate::error::{Context, Error, Result};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The tree.
pub const ROOT_NAME: &str = "root";
const DATA: &str = "data";
const PIECES: &str = "pieces";

/// Takes a tar apart while it streams by.
#[derive(Debug)]
pub struct Unpacker {
    directory: PathBuf,
    data: OwnedFd,
    skeleton: Skeleton,
    pieces: u32,
    /// Where the data of the file that is coming goes.
    now: Option<File>,
}

impl Unpacker {
    /// Begins in a directory that is empty.
    ///
    /// # Errors
    /// Fails if files cannot be made.
    pub fn new(directory: &Path) -> Result<Self> {
        disk::make_directory(&directory.join(DATA))?;
        Ok(Self {
            directory: directory.to_owned(),
            data: disk::open_directory(&directory.join(DATA))?,
            skeleton: Skeleton::new(directory)?,
            pieces: 0,
            now: None,
        })
    }

    /// Takes bytes of the tar that are no data of files.
    ///
    /// # Errors
    /// Fails if they cannot be written.
    pub fn structure(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.skeleton.structure(bytes)
    }

    /// The data of a file comes next, so many bytes.
    ///
    /// # Errors
    /// Fails if a file for it cannot be made.
    pub fn begin(&mut self, size: u64) -> io::Result<()> {
        self.skeleton.data(size)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.data, self.pieces.to_string(), flags, Mode::RUSR | Mode::WUSR)?;
        self.pieces += 1;
        self.now = Some(File::from(file));
        Ok(())
    }

    /// Takes bytes of a file's data.
    ///
    /// # Errors
    /// Fails if they cannot be written.
    pub fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.now.as_mut().map_or(Ok(()), |file| file.write_all(bytes))
    }

    /// Puts everything in its place. `rootless` says whose marks overlayfs will look for.
    ///
    /// # Errors
    /// Names what could not be made.
    pub fn finish(self, tree: &Tree, rootless: bool) -> Result<()> {
        self.skeleton.finish()?;
        let root = self.directory.join(ROOT_NAME);
        disk::make_directory(&root)?;
        let mut places = vec![None; self.pieces as usize];
        let root = disk::open_directory(&root)?;
        let first = vec![None; tree.nodes.len()];
        Placer { tree, root: &root, data: &self.data, rootless, first, places: &mut places }.place()?;
        write_pieces(&self.directory, tree, &places)?;
        // Data of entries that later ones replaced stays where it is: the tar needs it.
        if places.iter().all(Option::is_some) {
            std::fs::remove_dir(self.directory.join(DATA))?;
        }
        // Thousands of files: one call for all of them.
        rustix::fs::syncfs(disk::open_directory(&self.directory)?).context(|| "sync")?;
        Ok(())
    }
}

/// Makes the tree.
struct Placer<'a> {
    tree: &'a Tree,
    root: &'a OwnedFd,
    data: &'a OwnedFd,
    rootless: bool,
    /// Where each node has its first name.
    first: Vec<Option<Vec<u8>>>,
    /// The node of each piece of data, and its path.
    places: &'a mut [Option<(Id, Vec<u8>)>],
}

/// A directory on the way, with the names that are still to be made in it.
struct Open<'a> {
    here: OwnedFd,
    id: Id,
    path: Vec<u8>,
    left: Vec<(&'a [u8], Id)>,
}

impl<'a> Placer<'a> {
    /// Walks the tree, with the directories on the way open; a directory is described when it is left, since making names in it
    /// changes its times.
    fn place(&mut self) -> Result<()> {
        let mut way = vec![Open {
            here: self.root.try_clone()?,
            id: ROOT,
            path: Vec::new(),
            left: self.children(ROOT),
        }];
        while let Some(open) = way.last_mut() {
            let Some((name, child)) = open.left.pop() else {
                self.describe_directory(&open.here, open.id)?;
                way.pop();
                continue;
            };
            let path = if open.path.is_empty() {
                name.to_vec()
            } else {
                [open.path.as_slice(), b"/", name].concat()
            };
            let place = || format!("make \"{}\"", crate::archive::tar::shown(&path));
            if self.tree.node(child).children().is_some() {
                rustix::fs::mkdirat(&open.here, name, Mode::RWXU).context(place)?;
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let here = rustix::fs::openat(&open.here, name, flags, Mode::empty()).context(place)?;
                way.push(Open { here, id: child, path, left: self.children(child) });
            } else if let Some(first) = &self.first[child as usize] {
                rustix::fs::linkat(self.root, first.as_slice(), &open.here, name, AtFlags::empty())
                    .context(place)?;
            } else {
                self.leaf(&open.here, name, child, &path).context(place)?;
                self.first[child as usize] = Some(path);
            }
        }
        Ok(())
    }

    fn children(&self, id: Id) -> Vec<(&'a [u8], Id)> {
        let tree: &'a Tree = self.tree;
        tree.node(id).children().into_iter().flatten().map(|(name, id)| (&**name, *id)).collect()
    }

    fn leaf(&mut self, here: &OwnedFd, name: &[u8], id: Id, path: &[u8]) -> Result<()> {
        let node = self.tree.node(id);
        let special = |kind: FileType, device| rustix::fs::mknodat(here, name, kind, Mode::empty(), device);
        let made = match &node.content {
            Content::File { size, piece, sparse, .. } => {
                let file = self.file(here, name, *size, *piece, sparse.as_deref())?;
                if *size > 0 {
                    self.places[*piece as usize] = Some((id, path.to_vec()));
                }
                return self.describe_file(&file, node);
            }
            Content::Symlink(target) => rustix::fs::symlinkat(&**target, here, name),
            Content::Fifo => special(FileType::Fifo, 0),
            Content::Character(major, minor) => {
                special(FileType::CharacterDevice, rustix::fs::makedev(*major, *minor))
            }
            Content::Block(major, minor) => {
                special(FileType::BlockDevice, rustix::fs::makedev(*major, *minor))
            }
            Content::Directory(_) => return Ok(()),
        };
        match made {
            // Devices are the host's: without its root there are none, but overlayfs's own mark can be made.
            Err(Errno::PERM) if self.rootless && !node.is_whiteout() => return Ok(()),
            made => made?,
        }
        if node.is_whiteout() {
            return Ok(());
        }
        rustix::fs::chownat(
            here,
            name,
            Some(Uid::from_raw(node.uid)),
            Some(Gid::from_raw(node.gid)),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .map_err(|errno| not_mapped(errno, node))?;
        if !matches!(node.content, Content::Symlink(_)) {
            // Made by us a moment ago in a directory of ours: there is no link to follow.
            rustix::fs::chmodat(here, name, Mode::from_raw_mode(node.mode.into()), AtFlags::empty())?;
        }
        rustix::fs::utimensat(here, name, &times(node), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(())
    }

    /// A file with its data, which is moved here; where there are holes, it is copied around them.
    fn file(
        &self,
        here: &OwnedFd,
        name: &[u8],
        size: u64,
        piece: u32,
        sparse: Option<&Sparse>,
    ) -> Result<File> {
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let new = |flags| {
            rustix::fs::openat(here, name, flags | OFlags::CREATE | OFlags::EXCL, Mode::RUSR | Mode::WUSR)
        };
        let Some(sparse) = sparse else {
            if size == 0 {
                return Ok(File::from(new(flags)?));
            }
            rustix::fs::renameat(self.data, piece.to_string(), here, name)?;
            return Ok(File::from(rustix::fs::openat(here, name, flags, Mode::empty())?));
        };
        let mut file = File::from(new(flags)?);
        file.set_len(sparse.real_size)?;
        if size > 0 {
            let mut data = File::from(rustix::fs::openat(
                self.data,
                piece.to_string(),
                OFlags::RDONLY | OFlags::CLOEXEC,
                Mode::empty(),
            )?);
            for segment in &sparse.segments {
                file.seek(SeekFrom::Start(segment.offset))?;
                io::copy(&mut (&mut data).take(segment.length), &mut file)?;
            }
            rustix::fs::unlinkat(self.data, piece.to_string(), AtFlags::empty())?;
        }
        Ok(file)
    }

    fn describe_directory(&self, here: &OwnedFd, id: Id) -> Result<()> {
        let node = self.tree.node(id);
        if node.opaque {
            let name = if self.rootless { "user.overlay.opaque" } else { "trusted.overlay.opaque" };
            rustix::fs::fsetxattr(here, name, b"y", XattrFlags::empty()).context(|| "mark as opaque")?;
        }
        self.describe_file(here, node)
    }

    /// Owner before mode and attributes: chown(2) clears set-id bits and file capabilities. Times last.
    fn describe_file(&self, file: &impl AsFd, node: &Node) -> Result<()> {
        rustix::fs::fchown(file, Some(Uid::from_raw(node.uid)), Some(Gid::from_raw(node.gid)))
            .map_err(|errno| not_mapped(errno, node))?;
        rustix::fs::fchmod(file, Mode::from_raw_mode(node.mode.into()))?;
        for (name, value) in &node.xattrs {
            rustix::fs::fsetxattr(file, &**name, value, XattrFlags::empty())
                .context(|| format!("attribute {}", String::from_utf8_lossy(name)))?;
        }
        rustix::fs::futimens(file, &times(node))?;
        Ok(())
    }
}

fn not_mapped(errno: Errno, node: &Node) -> Error {
    let error = Error::from(errno).context(format!("owner {}:{}", node.uid, node.gid));
    match errno {
        Errno::INVAL => {
            error.hint("this id is not mapped: give the user more ids in /etc/subuid and /etc/subgid")
        }
        _ => error,
    }
}

fn times(node: &Node) -> Timestamps {
    let time = Timespec { tv_sec: node.mtime, tv_nsec: node.mtime_nsec.into() };
    Timestamps { last_access: time, last_modification: time }
}

// ---- the way back ----------------------------------------------------------------------------------------------------

fn write_pieces(directory: &Path, tree: &Tree, places: &[Option<(Id, Vec<u8>)>]) -> Result<()> {
    let file = BufWriter::new(disk::create(&directory.join(PIECES))?);
    let mut out = zstd::stream::write::Encoder::new(file, 1)?;
    let number = |length: usize| u32::try_from(length).unwrap_or(0).to_le_bytes();
    for (index, place) in places.iter().enumerate() {
        let (path, sparse) = match place {
            Some((id, path)) => {
                let sparse = match &tree.node(*id).content {
                    Content::File { sparse: Some(sparse), .. } => sparse.segments.as_slice(),
                    _ => &[],
                };
                ([ROOT_NAME.as_bytes(), b"/", path].concat(), sparse)
            }
            None => (format!("{DATA}/{index}").into_bytes(), &[][..]),
        };
        out.write_all(&number(path.len()))?;
        out.write_all(&path)?;
        out.write_all(&number(sparse.len()))?;
        for segment in sparse {
            out.write_all(&segment.offset.to_le_bytes())?;
            out.write_all(&segment.length.to_le_bytes())?;
        }
    }
    let file = out.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(())
}

/// Where the data of files is.
pub struct Unpacked {
    directory: OwnedFd,
    pieces: zstd::stream::read::Decoder<'static, BufReader<File>>,
}

impl std::fmt::Debug for Unpacked {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Unpacked")
    }
}

impl Unpacked {
    /// Opens a layer's directory.
    ///
    /// # Errors
    /// Fails if a file is missing.
    pub fn open(directory: &Path) -> Result<Self> {
        let pieces = zstd::stream::read::Decoder::new(File::open(directory.join(PIECES))?)?;
        Ok(Self { directory: disk::open_directory(directory)?, pieces })
    }
}

impl Pieces for Unpacked {
    fn next(&mut self, size: u64) -> io::Result<Piece> {
        let mut path = vec![0; read_u32(&mut self.pieces)? as usize];
        self.pieces.read_exact(&mut path)?;
        let mut segments = Vec::new();
        for _ in 0..read_u32(&mut self.pieces)? {
            segments.push((read_u64(&mut self.pieces)?, read_u64(&mut self.pieces)?));
        }
        if segments.is_empty() {
            segments.push((0, size));
        }
        let resolve = rustix::fs::ResolveFlags::BENEATH | rustix::fs::ResolveFlags::NO_SYMLINKS;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat2(&self.directory, path, flags, Mode::empty(), resolve)?;
        Ok(Piece { file: Arc::new(File::from(file)), segments })
    }
}
