//! The form of a layer that is mounted: three files instead of ten thousand, and nothing twice.
//!
//! `data` holds the data of the files of its tar, in their order, each from a multiple of 512 bytes on; `index` is the EROFS image over
//! it ([`crate::archive::erofs`]); from `data` and the third, `skeleton` ([`super::skeleton`]), the tar comes back. Where the
//! headers of a tar stay between the data, every twentieth byte that is written is one of theirs.

use super::disk;
use super::holes::{Holey, PAGE};
use super::skeleton::{Piece, Pieces, Skeleton};
use crate::archive::{erofs, tree::Tree};
use crate::error::Result;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The data of all files.
pub(super) const DATA: &str = "data";
/// The EROFS image over it.
pub(super) const INDEX: &str = "index";
/// What the index counts in.
const BLOCK: u64 = 512;
/// What is small is gathered to pieces of this size.
const CHUNK: usize = 256 << 10;
/// What is written without being copied.
const LARGE: usize = 64 << 10;

/// Takes a tar apart while it streams by.
#[derive(Debug)]
pub struct Packer {
    directory: PathBuf,
    skeleton: Skeleton,
    data: Holey,
    /// What comes next in the file.
    gathered: Vec<u8>,
}

impl Packer {
    /// Begins in a directory that is empty.
    ///
    /// # Errors
    /// Fails if files cannot be made.
    pub fn new(directory: &Path) -> Result<Self> {
        Ok(Self {
            directory: directory.to_owned(),
            skeleton: Skeleton::new(directory)?,
            data: Holey::new(disk::create(&directory.join(DATA))?),
            gathered: Vec::with_capacity(CHUNK + LARGE),
        })
    }

    /// Takes bytes of the tar that are no data of files.
    ///
    /// # Errors
    /// Fails if they cannot be written.
    pub fn structure(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.skeleton.structure(bytes)
    }

    /// The data of a file comes next, so many bytes; where it will begin.
    ///
    /// # Errors
    /// Fails if what came before cannot be written.
    pub fn begin(&mut self, size: u64) -> io::Result<u64> {
        self.skeleton.data(size)?;
        self.pad()?;
        Ok(self.position())
    }

    /// Takes bytes of a file's data.
    ///
    /// # Errors
    /// Fails if they cannot be written.
    pub fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() < LARGE {
            return self.gather(bytes);
        }
        // All that is written are whole pages.
        let (front, rest) = bytes.split_at(self.gathered.len().next_multiple_of(PAGE) - self.gathered.len());
        let (pages, end) = rest.split_at(rest.len() / PAGE * PAGE);
        self.gathered.extend_from_slice(front);
        self.write_gathered(self.gathered.len())?;
        self.data.write(pages)?;
        self.gather(end)
    }

    /// Writes the index, and makes everything last.
    ///
    /// # Errors
    /// Fails if it cannot be written, or does not fit the format.
    pub fn finish(mut self, tree: &Tree) -> Result<()> {
        self.pad()?;
        self.write_gathered(self.gathered.len())?;
        let size = self.position();
        let index = disk::create(&self.directory.join(INDEX))?;
        erofs::write(tree, size, BufWriter::with_capacity(CHUNK, &index))?;
        self.skeleton.finish()?;
        for file in [self.data.finish()?, index] {
            file.sync_all()?;
        }
        Ok(())
    }

    fn position(&self) -> u64 {
        self.data.position() + self.gathered.len() as u64
    }

    fn pad(&mut self) -> io::Result<()> {
        const ZEROS: [u8; BLOCK as usize] = [0; BLOCK as usize];
        let missing = self.position().next_multiple_of(BLOCK) - self.position();
        self.gather(&ZEROS[..missing as usize])
    }

    fn gather(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= CHUNK { self.write_gathered(CHUNK) } else { Ok(()) }
    }

    fn write_gathered(&mut self, length: usize) -> io::Result<()> {
        self.data.write(&self.gathered[..length])?;
        self.gathered.drain(..length);
        Ok(())
    }
}

/// Where the data of files is.
#[derive(Debug)]
pub struct Packed {
    data: Arc<File>,
    next: u64,
}

impl Packed {
    /// Opens the data of a layer.
    ///
    /// # Errors
    /// Fails if it is missing.
    pub fn open(directory: &Path) -> io::Result<Self> {
        Ok(Self { data: Arc::new(File::open(directory.join(DATA))?), next: 0 })
    }
}

impl Pieces for Packed {
    fn next(&mut self, size: u64) -> io::Result<Piece> {
        let here = self.next;
        let end = here.checked_add(size).and_then(|end| end.checked_next_multiple_of(BLOCK));
        self.next = end.ok_or_else(|| io::Error::other("the skeleton of the layer is damaged"))?;
        Ok(Piece { file: Arc::clone(&self.data), segments: vec![(here, size)] })
    }
}
