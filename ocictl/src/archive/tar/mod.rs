//! A strict reader of tar: ustar, PAX, GNU long names and GNU sparse files (POSIX.1-2017 pax; GNU tar, "Basic Tar Format").
//!
//! Readers of tar have been led apart by headers that one of them skips (CVE-2025-62518, RUSTSEC-2026-0066): a size in a PAX
//! record counts always, an entry that carries data which its kind cannot have is refused, and so is every
//! header that two readers understand in two ways. What is refused says which entry it was.

mod header;
mod pax;
mod sparse;

use crate::error::{Context, Error, Result};
use header::{BLOCK, Header};
use pax::Records;
pub use sparse::{Segment, Sparse};
use std::io::{self, BufRead, ErrorKind, Read};

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file; `sparse` says where its data belongs if it has holes.
    File,
    /// Another name for an entry of the same archive.
    HardLink(Vec<u8>),
    /// A symbolic link.
    Symlink(Vec<u8>),
    /// A directory.
    Directory,
    /// A character device, by major and minor number.
    Character(u32, u32),
    /// A block device, by major and minor number.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
}

/// An entry, as its headers describe it; names are bytes as they stand there.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The path as written.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, set-id and sticky bits.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of last modification, seconds since 1970.
    pub mtime: i64,
    /// Nanoseconds of that time.
    pub mtime_nsec: u32,
    /// Bytes of data that follow in the archive.
    pub size: u64,
    /// Where in the archive they begin; always a multiple of 512.
    pub offset: u64,
    /// Where the data belongs, if the file has holes.
    pub sparse: Option<Sparse>,
    /// Extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entry {
    /// The path for a message.
    pub fn shown(&self) -> String {
        shown(&self.path)
    }
}

/// A path for a message, shortened.
pub fn shown(path: &[u8]) -> String {
    let text = String::from_utf8_lossy(path);
    let mut shown: String = text.chars().take(200).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// Reads one archive from front to back.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    /// Bytes of the archive taken so far.
    position: u64,
    /// Data of the current entry that was not read yet, and the padding behind it.
    remaining: u64,
    padding: u64,
    finished: bool,
}

impl<R: BufRead> Reader<R> {
    /// A reader at the front of `source`, which must not be compressed any more.
    pub fn new(source: R) -> Self {
        Self { source, position: 0, remaining: 0, padding: 0, finished: false }
    }

    /// The next entry; nothing at the end of the archive. Data of the last entry that was not read is skipped.
    ///
    /// # Errors
    /// Says what is malformed, at which byte or entry.
    pub fn next_entry(&mut self) -> Result<Option<Entry>> {
        if self.finished {
            return Ok(None);
        }
        self.skip_rest(tar_cut_off)?;
        let mut records = Records::default();
        let mut long_name: Option<Vec<u8>> = None;
        let mut long_link: Option<Vec<u8>> = None;
        loop {
            let at = self.position;
            let Some(header) = self.header().context(|| format!("tar: header at byte {at}"))? else {
                if !records.is_empty() || long_name.is_some() || long_link.is_some() {
                    return Err(Error::new(format!(
                        "tar: an extended header at the end, before byte {at}, belongs to no entry"
                    )));
                }
                self.finished = true;
                return Ok(None);
            };
            let place = || format!("tar: header at byte {at}");
            match header.kind() {
                b'x' => {
                    if !records.is_empty() {
                        return Err(Error::new("two extended headers in a row").context(place()));
                    }
                    records = Records::parse(&self.small(header.size().context(place)?).context(place)?)
                        .context(place)?;
                }
                b'g' => pax::check_global(&self.small(header.size().context(place)?).context(place)?)
                    .context(place)?,
                b'L' => set_once(&mut long_name, self.long(&header).context(place)?).context(place)?,
                b'K' => set_once(&mut long_link, self.long(&header).context(place)?).context(place)?,
                _ => {
                    let entry = self.entry(&header, records, long_name, long_link).context(place)?;
                    return Ok(Some(entry));
                }
            }
        }
    }

    /// Puts headers, records and long names together.
    fn entry(
        &mut self,
        header: &Header,
        mut records: Records,
        long_name: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Result<Entry> {
        let path = match (records.take("path"), long_name) {
            (Some(_), Some(_)) => return Err(Error::new("both a PAX path and a GNU long name")),
            (Some(path), None) | (None, Some(path)) => path,
            (None, None) => header.path(),
        };
        let link = match (records.take("linkpath"), long_link) {
            (Some(_), Some(_)) => return Err(Error::new("both a PAX linkpath and a GNU long link")),
            (Some(link), None) | (None, Some(link)) => link,
            (None, None) => header.link(),
        };
        let path = records.sparse_name().unwrap_or(path);
        let place = || format!("entry \"{}\"", shown(&path));
        if path.is_empty() {
            return Err(Error::new("an entry without a name"));
        }
        if path.contains(&0) || link.contains(&0) {
            return Err(Error::new("a NUL in a name").context(place()));
        }
        let kind = kind_of(header, &path, link).context(place)?;
        let size = match records.number("size").context(place)? {
            Some(size) => size,
            None => header.size().context(place)?,
        };
        if kind != Kind::File && size != 0 {
            return Err(Error::new(format!("it has {size} bytes of data, which its kind cannot have"))
                .context(place()));
        }
        let (mtime, mtime_nsec) = match records.time("mtime").context(place)? {
            Some(time) => time,
            None => (header.mtime().context(place)?, 0),
        };
        let mut entry = Entry {
            mode: header.mode().context(place)?,
            uid: id(records.number("uid").context(place)?, || header.uid())
                .context(|| "uid")
                .context(place)?,
            gid: id(records.number("gid").context(place)?, || header.gid())
                .context(|| "gid")
                .context(place)?,
            xattrs: records.xattrs(),
            path: Vec::new(),
            kind,
            mtime,
            mtime_nsec,
            size,
            offset: self.position,
            sparse: None,
        };
        self.remaining = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        entry.sparse = self.sparse_map(header, &mut records, &entry).context(place)?;
        entry.size = self.remaining;
        entry.offset = self.position;
        entry.path = path;
        Ok(entry)
    }

    /// The map of a sparse file, in whichever of GNU's formats; data that belongs to the map is taken.
    fn sparse_map(
        &mut self,
        header: &Header,
        records: &mut Records,
        entry: &Entry,
    ) -> Result<Option<Sparse>> {
        let sparse = if header.kind() == b'S' {
            let mut extensions = Vec::new();
            let mut more = header.sparse_is_extended();
            while more {
                let mut block = [0; BLOCK];
                self.fill(&mut block)?;
                more = block[504] != 0;
                extensions.push(block);
                if extensions.len() > sparse::MAX_SEGMENTS / 21 {
                    return Err(sparse::too_many());
                }
            }
            // The size of the header counts the data alone; the extensions stand before it.
            Some(Sparse::of_old_header(header, &extensions)?)
        } else if let Some(version) = records.sparse_version()? {
            if entry.kind != Kind::File {
                return Err(Error::new("a sparse map for what is no file"));
            }
            let real_size = records.sparse_size()?;
            let segments = match version {
                pax::SparseVersion::InRecord(map) => sparse::parse_record(&map)?,
                pax::SparseVersion::InData => self.map_in_data()?,
            };
            Some(Sparse { real_size, segments })
        } else {
            None
        };
        if let Some(sparse) = &sparse {
            sparse.check(self.remaining)?;
        }
        Ok(sparse)
    }

    /// The map of format 1.0: decimal numbers on lines, padded to a block, in front of the data.
    fn map_in_data(&mut self) -> Result<Vec<Segment>> {
        let mut parser = sparse::MapInData::default();
        while parser.wants_more() {
            let mut block = [0; BLOCK];
            if self.remaining < BLOCK as u64 {
                return Err(Error::new("the sparse map is cut off"));
            }
            self.fill(&mut block)?;
            self.remaining -= BLOCK as u64;
            parser.feed(&block)?;
        }
        parser.finish()
    }

    /// Hands the data of the current entry on, piece by piece as it lies in the buffer; each byte once.
    ///
    /// # Errors
    /// Fails if the archive is cut off, and as `take` does.
    pub fn data(&mut self, take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.pieces(take, tar_cut_off)
    }

    fn pieces(&mut self, mut take: impl FnMut(&[u8]) -> Result<()>, cut_off: fn(u64) -> Error) -> Result<()> {
        while self.remaining > 0 {
            let piece = self.source.fill_buf()?;
            if piece.is_empty() {
                return Err(cut_off(self.position));
            }
            let length = piece.len().min(usize::try_from(self.remaining).unwrap_or(usize::MAX));
            take(&piece[..length])?;
            self.source.consume(length);
            self.position += length as u64;
            self.remaining -= length as u64;
        }
        Ok(())
    }

    /// The data of the current entry as a reader of its own; what it leaves is skipped with the next entry.
    pub fn data_reader(&mut self) -> Data<'_, R> {
        Data { reader: self }
    }

    /// Takes what is left of the source behind the end of the archive, so that all of it has been seen.
    ///
    /// # Errors
    /// Fails if reading does, or if anything but zeros follows: another reader could find entries there.
    pub fn drain(&mut self) -> Result<()> {
        loop {
            let piece = self.source.fill_buf()?;
            if piece.is_empty() {
                return Ok(());
            }
            if piece.iter().any(|byte| *byte != 0) {
                return Err(Error::new(format!(
                    "tar: data behind the end of the archive, after byte {}",
                    self.position
                )));
            }
            let length = piece.len();
            self.source.consume(length);
            self.position += length as u64;
        }
    }

    /// The source, at whichever byte the reader stopped.
    pub fn into_inner(self) -> R {
        self.source
    }

    /// The source.
    pub fn source(&mut self) -> &mut R {
        &mut self.source
    }

    fn skip_rest(&mut self, cut_off: fn(u64) -> Error) -> Result<()> {
        self.pieces(|_| Ok(()), cut_off)?;
        self.remaining = std::mem::take(&mut self.padding);
        self.pieces(|_| Ok(()), cut_off)
    }

    /// The next header; nothing at the end, which is two blocks of zeros or the end of the source.
    fn header(&mut self) -> Result<Option<Header>> {
        let mut block = [0; BLOCK];
        if !self.fill_or_end(&mut block)? {
            return Ok(None);
        }
        if block.iter().all(|byte| *byte == 0) {
            if self.fill_or_end(&mut block)? && block.iter().any(|byte| *byte != 0) {
                return Err(Error::new("a lone block of zeros, with data behind it"));
            }
            return Ok(None);
        }
        Header::parse(block).map(Some)
    }

    /// Fills a block; `false` if the source ends right here.
    fn fill_or_end(&mut self, block: &mut [u8; BLOCK]) -> Result<bool> {
        if self.source.fill_buf()?.is_empty() {
            return Ok(false);
        }
        self.fill(block)?;
        Ok(true)
    }

    fn fill(&mut self, block: &mut [u8; BLOCK]) -> Result<()> {
        self.source.read_exact(block).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => cut_off(self.position),
            _ => error.into(),
        })?;
        self.position += BLOCK as u64;
        Ok(())
    }

    /// The data of an extended header, which must be small.
    fn small(&mut self, size: u64) -> Result<Vec<u8>> {
        if size > pax::MAX_BYTES {
            return Err(Error::new(format!(
                "an extended header of {size} bytes; the most is {}",
                pax::MAX_BYTES
            )));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        self.remaining = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        let keep = |piece: &[u8]| {
            bytes.extend_from_slice(piece);
            Ok(())
        };
        self.pieces(keep, cut_off)?;
        self.skip_rest(cut_off)?;
        Ok(bytes)
    }

    /// A GNU long name: NUL-terminated.
    fn long(&mut self, header: &Header) -> Result<Vec<u8>> {
        let mut name = self.small(header.size()?)?;
        if let Some(end) = name.iter().position(|byte| *byte == 0) {
            if name[end..].iter().any(|byte| *byte != 0) {
                return Err(Error::new("a NUL inside a long name"));
            }
            name.truncate(end);
        }
        if name.is_empty() {
            return Err(Error::new("an empty long name"));
        }
        Ok(name)
    }
}

/// The data of one entry.
#[derive(Debug)]
pub struct Data<'a, R> {
    reader: &'a mut Reader<R>,
}

impl<R: BufRead> BufRead for Data<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.reader.remaining == 0 {
            return Ok(&[]);
        }
        let piece = self.reader.source.fill_buf()?;
        if piece.is_empty() {
            // Who reads it may read a tar, too: this one is what is around that.
            let said = format!("the archive is cut off after byte {}", self.reader.position);
            return Err(io::Error::new(ErrorKind::UnexpectedEof, said));
        }
        let length = piece.len().min(usize::try_from(self.reader.remaining).unwrap_or(usize::MAX));
        Ok(&piece[..length])
    }

    fn consume(&mut self, length: usize) {
        self.reader.source.consume(length);
        self.reader.position += length as u64;
        self.reader.remaining -= length as u64;
    }
}

impl<R: BufRead> Read for Data<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(buffer)?;
        self.consume(length);
        Ok(length)
    }
}

/// Where nothing around it says of what.
fn tar_cut_off(position: u64) -> Error {
    cut_off(position).context("tar")
}

fn cut_off(position: u64) -> Error {
    Error::new(format!("it is cut off after byte {position}"))
}

fn set_once(slot: &mut Option<Vec<u8>>, name: Vec<u8>) -> Result<()> {
    if slot.replace(name).is_some() {
        return Err(Error::new("two long names in a row"));
    }
    Ok(())
}

fn id(record: Option<u64>, header: impl FnOnce() -> Result<u64>) -> Result<u32> {
    let id = match record {
        Some(id) => id,
        None => header()?,
    };
    // The last one means "leave it" to chown(2).
    u32::try_from(id)
        .ok()
        .filter(|id| *id != u32::MAX)
        .ok_or_else(|| Error::new(format!("{id} is beyond 4294967294")))
}

fn kind_of(header: &Header, path: &[u8], link: Vec<u8>) -> Result<Kind> {
    let linked =
        |link: Vec<u8>| if link.is_empty() { Err(Error::new("a link to nothing")) } else { Ok(link) };
    Ok(match header.kind() {
        // Before POSIX, a directory was a file whose name ends with a slash.
        b'0' | 0 | b'7' if path.ends_with(b"/") => Kind::Directory,
        b'0' | 0 | b'7' | b'S' => Kind::File,
        b'1' => Kind::HardLink(linked(link)?),
        b'2' => Kind::Symlink(linked(link)?),
        b'3' => Kind::Character(header.major()?, header.minor()?),
        b'4' => Kind::Block(header.major()?, header.minor()?),
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        other => {
            return Err(Error::new(format!("entries of type '{}' are not supported", other.escape_ascii())));
        }
    })
}
