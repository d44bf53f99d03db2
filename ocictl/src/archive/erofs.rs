//! An EROFS image that indexes a file with data: names, attributes and directories are in the index, the data of files stays where
//! it is in that file, which is the image's second device (kernel, Documentation/filesystems/erofs.rst; fs/erofs/erofs_fs.h).
//!
//! A block has 512 bytes, as in a tar, so each file begins at a block. Layout: superblock and device table, inodes (64
//! bytes each, with attributes and, where they fit, the tails of directories and symlinks behind them), then the full blocks
//! of directories. All positions are worked out first; then everything is written front to back, once.

use super::tar::Sparse;
use super::tree::{Content, Id, Node, ROOT, Tree};
use crate::error::{Error, Result};
use std::io::{self, Write};

const BLOCK: u64 = 512;
const BLOCK_BITS: u8 = 9;
const SUPERBLOCK: u64 = 1024;
const MAGIC: u32 = 0xe0f5_e1e2;
const COMPAT_MTIME: u32 = 2;
const INCOMPAT_CHUNKED_FILE: u32 = 4;
const INCOMPAT_DEVICE_TABLE: u32 = 8;
/// Where the inodes begin: behind the superblock and one slot of the device table, 128 bytes each.
const INODES: u64 = 3 * BLOCK;
const SLOT: u64 = 32;
const INODE: u64 = 64;
const FLAT_PLAIN: u16 = 0;
const FLAT_INLINE: u16 = 2;
const CHUNK_BASED: u16 = 4;
const CHUNK_INDEXES: u32 = 0x20;
const HOLE: u32 = u32::MAX;
/// The most chunks of a sparse file: 8 MiB of index.
const MAX_CHUNKS: u64 = 1 << 20;
/// What makes a directory opaque to overlayfs.
const OPAQUE: (&[u8], &[u8]) = (b"trusted.overlay.opaque", b"y");

/// Writes the index of `tree`, whose data lies in a file of `data_size` bytes, to `out`; its length in bytes.
///
/// # Errors
/// Fails if writing does, or if something does not fit the format: data beyond 2 TiB, holes that are not at blocks.
pub fn write(tree: &Tree, data_size: u64, out: impl Write) -> Result<u64> {
    let plan = Plan::new(tree)?;
    let data_blocks = data_size.div_ceil(BLOCK);
    if plan.blocks + data_blocks > u64::from(u32::MAX) {
        return Err(Error::new(format!("a layer of {data_size} bytes; the most is 2 TiB")));
    }
    let mut out = Counted { out, written: 0 };
    plan.superblock(data_blocks, &mut out)?;
    for place in &plan.places {
        out.pad_to(place.position)?;
        plan.inode(tree, place, &mut out)?;
    }
    out.pad_to(plan.directories)?;
    for place in &plan.places {
        plan.directory_blocks(tree, place, &mut out)?;
    }
    out.pad_to(plan.blocks * BLOCK)?;
    out.out.flush()?;
    Ok(out.written)
}

/// Where everything goes.
struct Plan {
    /// The inodes in the order of their positions.
    places: Vec<Place>,
    /// Position of each node by its number; 0 for those without a name.
    positions: Vec<u64>,
    /// Where the blocks of directories begin.
    directories: u64,
    /// Blocks of the index.
    blocks: u64,
    chunked: bool,
}

struct Place {
    id: Id,
    parent: Id,
    position: u64,
    layout: u16,
    /// Of a directory, the first of its full blocks, counted from the first of all.
    first_block: u64,
    size: u64,
    chunk_bits: u32,
}

impl Plan {
    fn new(tree: &Tree) -> Result<Self> {
        let mut plan = Self {
            places: Vec::new(),
            positions: vec![0; tree.nodes.len()],
            directories: 0,
            blocks: 0,
            chunked: false,
        };
        let mut position = INODES;
        let mut directory_blocks = 0;
        let mut left = vec![(ROOT, ROOT)];
        while let Some((id, parent)) = left.pop() {
            if plan.positions[id as usize] != 0 {
                continue; // Another name of the same node.
            }
            let node = tree.node(id);
            let head = INODE + xattrs_size(node);
            let mut place =
                Place { id, parent, position, layout: FLAT_PLAIN, first_block: 0, size: 0, chunk_bits: 0 };
            let mut length = head;
            match &node.content {
                Content::Directory(children) => {
                    left.extend(children.values().rev().map(|child| (*child, id)));
                    let (full, tail) = directory_size(children.keys().map(|name| &**name));
                    place.first_block = directory_blocks;
                    place.size = full * BLOCK + tail;
                    if head + tail <= BLOCK {
                        place.layout = FLAT_INLINE;
                        length = head + tail;
                        directory_blocks += full;
                    } else {
                        directory_blocks += full + 1;
                    }
                }
                Content::Symlink(target) => {
                    place.size = target.len() as u64;
                    if head + place.size <= BLOCK {
                        place.layout = FLAT_INLINE;
                        length = head + place.size;
                    } else {
                        place.first_block = directory_blocks;
                        directory_blocks += place.size.div_ceil(BLOCK);
                    }
                }
                Content::File { size, sparse: None, .. } => place.size = *size,
                Content::File { sparse: Some(sparse), .. } => {
                    place.layout = CHUNK_BASED;
                    place.size = sparse.real_size;
                    place.chunk_bits = chunk_bits(sparse)?;
                    plan.chunked = true;
                    length = head.next_multiple_of(8) + 8 * chunks(sparse, place.chunk_bits);
                }
                _ => {}
            }
            // A tail must not cross the end of a block.
            if place.layout == FLAT_INLINE && position % BLOCK + length > BLOCK {
                place.position = position.next_multiple_of(BLOCK);
            }
            plan.positions[id as usize] = place.position;
            position = (place.position + length).next_multiple_of(SLOT);
            plan.places.push(place);
        }
        plan.directories = position.next_multiple_of(BLOCK);
        plan.blocks = plan.directories / BLOCK + directory_blocks;
        Ok(plan)
    }

    fn nid(&self, id: Id) -> u64 {
        (self.positions[id as usize] - INODES) / SLOT
    }

    fn superblock(&self, data_blocks: u64, out: &mut Counted<impl Write>) -> io::Result<()> {
        out.pad_to(SUPERBLOCK)?;
        let mut block = [0u8; 128];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC.to_le_bytes());
        put(8, &COMPAT_MTIME.to_le_bytes());
        put(12, &[BLOCK_BITS]);
        put(14, &low16(self.nid(ROOT)));
        put(16, &(self.places.len() as u64).to_le_bytes());
        put(36, &low32(self.blocks));
        put(40, &low32(INODES / BLOCK));
        put(
            80,
            &(INCOMPAT_DEVICE_TABLE | if self.chunked { INCOMPAT_CHUNKED_FILE } else { 0 }).to_le_bytes(),
        );
        put(86, &1u16.to_le_bytes());
        put(88, &low16((SUPERBLOCK + 128) / 128));
        out.write_all(&block)?;
        // The one other device, the data: its blocks count on behind ours.
        let mut slot = [0u8; 128];
        slot[64..68].copy_from_slice(&low32(data_blocks));
        slot[68..72].copy_from_slice(&low32(self.blocks));
        out.write_all(&slot)
    }

    fn inode(&self, tree: &Tree, place: &Place, out: &mut Counted<impl Write>) -> Result<()> {
        let node = tree.node(place.id);
        let (kind, specific) = match &node.content {
            Content::Directory(_) => (libc::S_IFDIR, self.first_block(place)),
            Content::Symlink(_) => (libc::S_IFLNK, self.first_block(place)),
            Content::File { sparse: Some(_), .. } => {
                (libc::S_IFREG, (place.chunk_bits - u32::from(BLOCK_BITS)) | CHUNK_INDEXES)
            }
            Content::File { size: 0, .. } => (libc::S_IFREG, 0),
            Content::File { offset, .. } => (libc::S_IFREG, le32(self.blocks + offset / BLOCK)),
            Content::Character(major, minor) => (libc::S_IFCHR, device(*major, *minor)),
            Content::Block(major, minor) => (libc::S_IFBLK, device(*major, *minor)),
            Content::Fifo => (libc::S_IFIFO, 0),
        };
        let xattrs = xattrs(node);
        let mut inode = [0u8; INODE as usize];
        let mut put = |at: usize, bytes: &[u8]| inode[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &(1 | place.layout << 1).to_le_bytes());
        put(2, &low16(if xattrs.is_empty() { 0 } else { (xattrs.len() as u64 - 12) / 4 + 1 }));
        put(4, &low16(u64::from(kind) | u64::from(node.mode)));
        put(8, &place.size.to_le_bytes());
        put(16, &specific.to_le_bytes());
        put(20, &low32(u64::from(place.id) + 1));
        put(24, &node.uid.to_le_bytes());
        put(28, &node.gid.to_le_bytes());
        put(32, &node.mtime.to_le_bytes());
        put(40, &node.mtime_nsec.to_le_bytes());
        put(44, &node.links.to_le_bytes());
        out.write_all(&inode)?;
        out.write_all(&xattrs)?;
        match &node.content {
            Content::Directory(_) if place.layout == FLAT_INLINE => {
                let blocks = self.directory(tree, place);
                out.write_all(blocks.last().map_or(&[], Vec::as_slice))?;
            }
            Content::Symlink(target) if place.layout == FLAT_INLINE => out.write_all(target)?,
            Content::File { offset, sparse: Some(sparse), .. } => {
                out.pad_to(out.written.next_multiple_of(8))?;
                for block in chunk_table(sparse, *offset, place.chunk_bits) {
                    let device: u16 = if block == HOLE { 0 } else { 1 };
                    out.write_all(&[[0, 0], device.to_le_bytes()].concat())?;
                    out.write_all(&block.to_le_bytes())?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn first_block(&self, place: &Place) -> u32 {
        le32(self.directories / BLOCK + place.first_block)
    }

    /// What of a directory or a long symlink is not behind its inode.
    fn directory_blocks(&self, tree: &Tree, place: &Place, out: &mut Counted<impl Write>) -> io::Result<()> {
        match &tree.node(place.id).content {
            Content::Directory(_) => {
                let mut blocks = self.directory(tree, place);
                if place.layout == FLAT_INLINE {
                    blocks.pop();
                }
                for block in blocks {
                    out.write_all(&block)?;
                    out.pad_to(out.written.next_multiple_of(BLOCK))?;
                }
            }
            Content::Symlink(target) if place.layout == FLAT_PLAIN => {
                out.write_all(target)?;
                out.pad_to(out.written.next_multiple_of(BLOCK))?;
            }
            _ => {}
        }
        Ok(())
    }

    /// The blocks of a directory; each has its entries first and their names behind them, in the order of the names.
    fn directory(&self, tree: &Tree, place: &Place) -> Vec<Vec<u8>> {
        let Some(children) = tree.node(place.id).children() else { return Vec::new() };
        let mut blocks = Vec::new();
        let ids = |name: &[u8]| match name {
            b"." => place.id,
            b".." => place.parent,
            name => children.get(name).copied().unwrap_or(ROOT),
        };
        for_each_block(children.keys().map(|name| &**name), |names| {
            let mut block = Vec::with_capacity(BLOCK as usize);
            let mut name_at = names.len() * DIRENT;
            for name in names {
                let id = ids(name);
                block.extend(self.nid(id).to_le_bytes());
                block.extend(low16(name_at as u64));
                block.extend([kind_number(tree.node(id)), 0]);
                name_at += name.len();
            }
            for name in names {
                block.extend_from_slice(name);
            }
            blocks.push(block);
        });
        blocks
    }
}

const DIRENT: usize = 12;

/// Parts the names of a directory, `.` and `..` among them, into blocks.
fn for_each_block<'a>(names: impl Iterator<Item = &'a [u8]>, mut take: impl FnMut(&[&'a [u8]])) {
    let mut block: Vec<&[u8]> = Vec::new();
    let mut used = 0;
    let mut names = names.peekable();
    let mut dots = [&b"."[..], b".."].into_iter().peekable();
    loop {
        let next = match (dots.peek(), names.peek()) {
            (Some(dot), Some(name)) if dot < name => dots.next(),
            (Some(_), None) => dots.next(),
            _ => names.next(),
        };
        let Some(name) = next else { break };
        if used + DIRENT + name.len() > BLOCK as usize {
            take(&block);
            block.clear();
            used = 0;
        }
        used += DIRENT + name.len();
        block.push(name);
    }
    take(&block);
}

/// Full blocks of a directory, and bytes of its last one.
fn directory_size<'a>(names: impl Iterator<Item = &'a [u8]>) -> (u64, u64) {
    let (mut blocks, mut last) = (0, 0);
    for_each_block(names, |names| {
        blocks += 1;
        last = names.iter().map(|name| (DIRENT + name.len()) as u64).sum();
    });
    (blocks - 1, last)
}

fn kind_number(node: &Node) -> u8 {
    match node.content {
        Content::File { .. } => 1,
        Content::Directory(_) => 2,
        Content::Character(..) => 3,
        Content::Block(..) => 4,
        Content::Fifo => 5,
        Content::Symlink(_) => 7,
    }
}

fn device(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

// ---- extended attributes ---------------------------------------------------------------------------------------------

fn xattr_pairs(node: &Node) -> impl Iterator<Item = (&[u8], &[u8])> {
    node.xattrs.iter().map(|(name, value)| (&**name, &**value)).chain(node.opaque.then_some(OPAQUE))
}

/// The number that stands for the front of a name, and the rest.
fn xattr_index(name: &[u8]) -> Option<(u8, &[u8])> {
    [(1, &b"user."[..]), (4, b"trusted."), (6, b"security.")]
        .into_iter()
        .find_map(|(index, prefix)| Some((index, name.strip_prefix(prefix)?)))
}

fn xattrs_size(node: &Node) -> u64 {
    let sum: u64 = xattr_pairs(node)
        .filter_map(|(name, value)| {
            Some((4 + xattr_index(name)?.1.len() + value.len()).next_multiple_of(4) as u64)
        })
        .sum();
    if sum == 0 { 0 } else { 12 + sum }
}

fn xattrs(node: &Node) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in xattr_pairs(node) {
        let Some((index, name)) = xattr_index(name) else { continue };
        if bytes.is_empty() {
            bytes.resize(12, 0);
        }
        bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        bytes.push(index);
        bytes.extend(low16(value.len() as u64));
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

// ---- files with holes ------------------------------------------------------------------------------------------------

/// The size of the chunks, as a power of two: the largest at whose multiples all pieces begin and end.
fn chunk_bits(sparse: &Sparse) -> Result<u32> {
    let mut all = 1u64 << 40;
    for segment in pieces(sparse) {
        all |= segment.offset;
        if segment.offset + segment.length < sparse.real_size {
            all |= segment.length;
        }
    }
    let bits = all.trailing_zeros();
    if bits < u32::from(BLOCK_BITS) {
        return Err(Error::new("a sparse file whose holes are not multiples of 512 bytes"));
    }
    let chunks = chunks(sparse, bits);
    if chunks > MAX_CHUNKS {
        return Err(Error::new(format!("a sparse file of {chunks} chunks; the most is {MAX_CHUNKS}")));
    }
    Ok(bits)
}

/// The pieces that hold anything; the end of the last is rounded up, since zeros follow it.
fn pieces(sparse: &Sparse) -> impl Iterator<Item = super::tar::Segment> {
    let mut segments: Vec<_> = sparse.segments.iter().copied().filter(|segment| segment.length > 0).collect();
    if let Some(last) = segments.last_mut() {
        last.length = last.length.next_multiple_of(BLOCK);
    }
    segments.into_iter()
}

fn chunks(sparse: &Sparse, bits: u32) -> u64 {
    sparse.real_size.div_ceil(1 << bits)
}

/// The block of the data for each chunk.
fn chunk_table(sparse: &Sparse, offset: u64, bits: u32) -> impl Iterator<Item = u32> {
    let pieces: Vec<_> = pieces(sparse)
        .scan(offset / BLOCK, |block, segment| {
            let first = *block;
            *block += segment.length / BLOCK;
            Some((segment.offset, segment.offset + segment.length, first))
        })
        .collect();
    let mut piece = 0;
    (0..chunks(sparse, bits)).map(move |chunk| {
        let position = chunk << bits;
        while pieces.get(piece).is_some_and(|(_, end, _)| *end <= position) {
            piece += 1;
        }
        match pieces.get(piece) {
            Some((start, _, first)) if *start <= position => le32(first + (position - start) / BLOCK),
            _ => HOLE,
        }
    })
}

// ---- bytes -----------------------------------------------------------------------------------------------------------

fn le32(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(HOLE)
}

fn low32(value: u64) -> [u8; 4] {
    le32(value).to_le_bytes()
}

fn low16(value: u64) -> [u8; 2] {
    u16::try_from(value).unwrap_or(u16::MAX).to_le_bytes()
}

/// Knows how much it has written, and pads with zeros.
struct Counted<W> {
    out: W,
    written: u64,
}

impl<W: Write> Counted<W> {
    fn pad_to(&mut self, position: u64) -> io::Result<()> {
        const ZEROS: [u8; 512] = [0; 512];
        while self.written < position {
            let length = (position - self.written).min(BLOCK) as usize;
            self.write_all(&ZEROS[..length])?;
        }
        Ok(())
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.out.write(bytes)?;
        self.written += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
