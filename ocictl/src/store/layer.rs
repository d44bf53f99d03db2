//! Layers: one pass from a stream to its final form, and the way back to the tar that its diffID stands for.
//!
//! ```text
//! source ─▶ inflate ─▶ sha256 (diffID) ─▶ tar ─▶ data of files ─▶ packed in one file, or each in its own
//!                                          └──▶ headers ─▶ tree ─▶ EROFS index, or directory
//! ```
//!
//! Where the kernel mounts an index, a layer is [`super::packed`], else a directory ([`super::unpacked`]); both keep the
//! skeleton of the tar ([`super::skeleton`]).

use super::ingest::Ingest;
use super::packed::{Packed, Packer};
use super::skeleton::Rebuilt;
use super::unpacked::{Unpacked, Unpacker};
use super::{Store, disk};
use crate::archive::compression::{Compression, Decoder};
use crate::archive::{tar, tree::Tree};
use crate::digest::{Digest, Hasher};
use crate::error::{Context, Error, Result};
use crate::rootless;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};

/// The most bytes of an uncompressed layer.
const MAX_BYTES: u64 = 256 << 30;
/// What is read, hashed and written at a time.
const CHUNK: usize = 256 << 10;
const RECORD: &str = "layer.json";
/// The tar of a layer of [`Form::Tar`].
pub(super) const TAR: &str = "tar";

/// What is known of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// How it is kept.
    pub form: Form,
    /// Bytes of its tar.
    pub size: u64,
    /// Entries of its tar.
    pub entries: u64,
}

/// How a layer is kept: decided once, when it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// The data of its files in one, and an EROFS index over it.
    Packed,
    /// A directory that holds the tree.
    Directory,
    /// The tar as it came, and an EROFS index over it: layers of stores of layout 1.
    #[serde(rename = "index")]
    Tar,
}

/// A layer that was read to its end and is not in its place yet, so that its digests can be compared first.
#[derive(Debug)]
pub struct Draft {
    directory: PathBuf,
    diff_id: Digest,
    record: LayerRecord,
    compression: Compression,
}

impl Store {
    /// What is known of a layer; nothing if it is not there.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub fn layer(&self, diff_id: &Digest) -> Result<Option<LayerRecord>> {
        let path = self.layer_directory(diff_id).join(RECORD);
        let Some(bytes) = disk::read_small(&path, 4096)? else { return Ok(None) };
        let record = serde_json::from_slice(&bytes);
        record
            .map(Some)
            .map_err(|error| Error::new(error.to_string()).context(format!("record {}", path.display())))
    }

    /// Reads a layer from its first byte to its last, compressed or not, into a draft of the form that this machine can use.
    ///
    /// # Errors
    /// Says what is wrong with the layer, or that there is no space.
    pub fn draft_layer(&self, ingest: &Ingest, source: impl BufRead) -> Result<Draft> {
        if self.is_former {
            self.write_layout()?;
        }
        let directory = ingest.directory().join(disk::random());
        disk::make_directory(&directory)?;
        let decoder = Decoder::new(source)?;
        let compression = decoder.compression();
        let form = self.form()?;
        let mut reader = tar::Reader::new(Tee::new(decoder, Keep::new(form, &directory)?));
        let mut tree = Tree::default();
        while let Some(mut entry) = reader.next_entry()? {
            let has_data = entry.kind == tar::Kind::File && entry.size > 0;
            if has_data {
                entry.offset = reader.source().begin_data(entry.size)?;
            }
            tree.insert(entry)?;
            if has_data {
                reader.data(|_| Ok(()))?;
                reader.source().end_data();
            }
        }
        reader.drain()?;
        let (decoder, keep, diff_id, size) = reader.into_inner().finish()?;
        // Rubbish behind the last frame of the compressed data shows here.
        if decoder.into_inner().read(&mut [0])? != 0 {
            return Err(Error::new("there is data behind the end of the compressed layer"));
        }
        match keep {
            Keep::Packed(packer) => packer.finish(&tree)?,
            Keep::Apart(unpacker) => unpacker.finish(&tree, rootless::in_user_namespace())?,
        }
        let record = LayerRecord { form, size, entries: tree.entries() as u64 };
        Ok(Draft { directory, diff_id, record, compression })
    }

    /// The form that new layers get: what `OCICTL_LAYERS` says, else the index where the kernel mounts it.
    fn form(&self) -> Result<Form> {
        match std::env::var("OCICTL_LAYERS").as_deref() {
            Ok("index") => Ok(Form::Packed),
            Ok("directory") => Ok(Form::Directory),
            Ok("") | Err(_) => Ok(if self.index_is_supported()? { Form::Packed } else { Form::Directory }),
            Ok(other) => {
                Err(Error::new(format!("OCICTL_LAYERS: \"{other}\" is neither index nor directory")))
            }
        }
    }

    /// The tar of a layer, as its diffID stands for it.
    ///
    /// # Errors
    /// Fails if it is not in the store.
    pub fn open_layer(&self, diff_id: &Digest) -> Result<Box<dyn Read + Send>> {
        let place = || format!("layer {}", diff_id.short());
        let record =
            self.layer(diff_id)?.ok_or_else(|| Error::new("it is not in the store").context(place()))?;
        let directory = self.layer_directory(diff_id);
        Ok(match record.form {
            Form::Packed => Box::new(Rebuilt::open(&directory, Packed::open(&directory)?).context(place)?),
            Form::Directory => {
                Box::new(Rebuilt::open(&directory, Unpacked::open(&directory)?).context(place)?)
            }
            Form::Tar => Box::new(File::open(directory.join(TAR)).context(place)?),
        })
    }

    /// Reads a layer's tar again and compares it with its diffID.
    ///
    /// # Errors
    /// Says both digests if they differ.
    pub fn verify_layer(&self, diff_id: &Digest) -> Result<()> {
        let mut source = self.open_layer(diff_id)?;
        let mut hasher = diff_id.hasher();
        let mut buffer = vec![0; CHUNK];
        loop {
            let length = source.read(&mut buffer).context(|| format!("layer {}", diff_id.short()))?;
            if length == 0 {
                break;
            }
            hasher.update(&buffer[..length]);
        }
        diff_id.expect(&hasher.finish()).context(|| format!("layer {}", diff_id.short()))
    }

    /// Bytes that a layer takes on disk; what cannot be asked counts as nothing.
    pub fn layer_bytes_on_disk(&self, diff_id: &Digest) -> u64 {
        disk::bytes_on_disk(&self.layer_directory(diff_id))
    }

    pub(super) fn layer_directory(&self, diff_id: &Digest) -> PathBuf {
        self.folder("layers").join(diff_id.hex())
    }
}

impl Draft {
    /// The digest of the uncompressed layer.
    pub fn diff_id(&self) -> &Digest {
        &self.diff_id
    }

    /// How the layer came.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// Bytes of the uncompressed layer.
    pub fn size(&self) -> u64 {
        self.record.size
    }

    /// Puts the layer in its place. One that is there already is left, and this one dropped.
    ///
    /// # Errors
    /// Fails if it cannot be renamed.
    pub fn commit(self, store: &Store) -> Result<LayerRecord> {
        let place = || format!("layer {}", self.diff_id.short());
        let record = serde_json::to_vec(&self.record).map_err(|error| Error::new(error.to_string()))?;
        disk::write_whole(&self.directory, RECORD, &record).context(place)?;
        match std::fs::rename(&self.directory, store.layer_directory(&self.diff_id)) {
            Ok(()) => disk::sync_directory(&store.folder("layers")).context(place)?,
            Err(error) if matches!(error.raw_os_error(), Some(libc::EEXIST | libc::ENOTEMPTY)) => {
                disk::remove_tree(&self.directory)?;
            }
            Err(error) => return Err(error).context(place),
        }
        Ok(self.record)
    }

    /// Where the draft lies, for tests and checks.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

/// Where what was read goes.
enum Keep {
    Packed(Packer),
    Apart(Unpacker),
}

impl Keep {
    fn new(form: Form, directory: &Path) -> Result<Self> {
        Ok(match form {
            // Nobody makes the former form any more.
            Form::Packed | Form::Tar => Self::Packed(Packer::new(directory)?),
            Form::Directory => Self::Apart(Unpacker::new(directory)?),
        })
    }

    /// The data of a file comes next; where it will begin, for the index.
    fn begin(&mut self, size: u64) -> io::Result<u64> {
        match self {
            Self::Packed(packer) => packer.begin(size),
            Self::Apart(unpacker) => unpacker.begin(size).map(|()| 0),
        }
    }

    fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Packed(packer) => packer.data(bytes),
            Self::Apart(unpacker) => unpacker.data(bytes),
        }
    }

    fn structure(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Packed(packer) => packer.structure(bytes),
            Self::Apart(unpacker) => unpacker.structure(bytes),
        }
    }
}

/// Reads from a source; what was read is hashed, and what is taken is written.
struct Tee<R> {
    source: R,
    keep: Keep,
    hasher: Hasher,
    total: u64,
    buffer: Vec<u8>,
    taken: usize,
    filled: usize,
    /// Whether what is taken is the data of a file, which goes its own way.
    in_data: bool,
    /// What went wrong while something was taken, which cannot fail by itself.
    failed: Option<io::Error>,
}

impl<R: Read> Tee<R> {
    fn new(source: R, keep: Keep) -> Self {
        let buffer = vec![0; CHUNK];
        Self {
            source,
            keep,
            hasher: Hasher::sha256(),
            total: 0,
            buffer,
            taken: 0,
            filled: 0,
            in_data: false,
            failed: None,
        }
    }

    fn begin_data(&mut self, size: u64) -> io::Result<u64> {
        self.in_data = true;
        self.keep.begin(size)
    }

    fn end_data(&mut self) {
        self.in_data = false;
    }

    fn finish(self) -> Result<(R, Keep, Digest, u64)> {
        match self.failed {
            Some(error) => Err(error.into()),
            None => Ok((self.source, self.keep, self.hasher.finish(), self.total)),
        }
    }
}

impl<R: Read> BufRead for Tee<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.taken == self.filled {
            (self.taken, self.filled) = (0, 0);
            while self.filled < self.buffer.len() {
                match self.source.read(&mut self.buffer[self.filled..]) {
                    Ok(0) => break,
                    Ok(length) => self.filled += length,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            let chunk = &self.buffer[..self.filled];
            self.hasher.update(chunk);
            self.total += chunk.len() as u64;
            if self.total > MAX_BYTES {
                return Err(io::Error::other(format!("a layer of more than {} GiB", MAX_BYTES >> 30)));
            }
        }
        Ok(&self.buffer[self.taken..self.filled])
    }

    fn consume(&mut self, length: usize) {
        let bytes = &self.buffer[self.taken..self.taken + length];
        let kept = if self.in_data { self.keep.data(bytes) } else { self.keep.structure(bytes) };
        if let Err(error) = kept {
            self.failed.get_or_insert(error);
        }
        self.taken += length;
    }
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(buffer)?;
        self.consume(length);
        Ok(length)
    }
}
