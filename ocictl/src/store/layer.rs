//! Layers: one pass from a stream to its final form, and the way back to the tar that its diffID stands for.
//!
//! ```text
//! source ─▶ inflate ─▶ sha256 (diffID) ─▶ tar file ─▶ headers ─▶ tree ─▶ index
//! ```
//!
//! A layer stays the uncompressed tar that it came as; beside it lies an EROFS index ([`crate::archive::erofs`]), two files
//! instead of ten thousand. Where no index can be mounted, the same stream becomes a directory ([`super::unpacked`]).

use super::holes::Holey;
use super::ingest::Ingest;
use super::unpacked::{Rebuilt, Unpacker};
use super::{Store, disk};
use crate::archive::compression::{Compression, Decoder};
use crate::archive::{erofs, tar, tree::Tree};
use crate::digest::{Digest, Hasher};
use crate::error::{Context, Error, Result};
use crate::rootless;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// The most bytes of an uncompressed layer.
const MAX_BYTES: u64 = 256 << 30;
/// What is read, hashed and written at a time.
const CHUNK: usize = 256 << 10;
const RECORD: &str = "layer.json";
/// The uncompressed layer as it came.
pub(super) const TAR: &str = "tar";
/// The EROFS image over it.
pub(super) const INDEX: &str = "index";

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
    /// A tar and an EROFS index over it.
    Index,
    /// A directory that holds the tree, and what else the tar had.
    Directory,
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
        let directory = ingest.directory().join(disk::random());
        disk::make_directory(&directory)?;
        let decoder = Decoder::new(source)?;
        let compression = decoder.compression();
        let form = self.form()?;
        let keep = match form {
            Form::Index => Keep::Tar(Holey::new(disk::create(&directory.join(TAR))?)),
            Form::Directory => Keep::Apart(Unpacker::new(&directory)?),
        };
        let mut reader = tar::Reader::new(Tee::new(decoder, keep));
        let mut tree = Tree::default();
        while let Some(entry) = reader.next_entry()? {
            if form == Form::Directory && entry.kind == tar::Kind::File && entry.size > 0 {
                let mut piece = reader.source().begin_piece(entry.size)?;
                reader.data(|bytes| Ok(piece.write_all(bytes)?))?;
                reader.source().in_piece = false;
            }
            tree.insert(entry)?;
        }
        reader.drain()?;
        let (decoder, keep, diff_id, size) = reader.into_inner().finish()?;
        // Rubbish behind the last frame of the compressed data shows here.
        if decoder.into_inner().read(&mut [0])? != 0 {
            return Err(Error::new("there is data behind the end of the compressed layer"));
        }
        match keep {
            Keep::Tar(file) => {
                let index = disk::create(&directory.join(INDEX))?;
                erofs::write(&tree, size, BufWriter::with_capacity(CHUNK, &index))?;
                for file in [file.finish()?, index] {
                    file.sync_all()?;
                }
            }
            Keep::Apart(unpacker) => unpacker.finish(&tree, rootless::in_user_namespace())?,
        }
        let record = LayerRecord { form, size, entries: tree.entries() as u64 };
        Ok(Draft { directory, diff_id, record, compression })
    }

    /// The form that new layers get: what `OCICTL_LAYERS` says, else the index where the kernel mounts it.
    fn form(&self) -> Result<Form> {
        match std::env::var("OCICTL_LAYERS").as_deref() {
            Ok("index") => Ok(Form::Index),
            Ok("directory") => Ok(Form::Directory),
            Ok("") | Err(_) => Ok(if self.index_is_supported()? { Form::Index } else { Form::Directory }),
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
            Form::Index => Box::new(File::open(directory.join(TAR)).context(place)?),
            Form::Directory => {
                Box::new(BufReader::with_capacity(CHUNK, Rebuilt::open(&directory).context(place)?))
            }
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
    Tar(Holey),
    Apart(Unpacker),
}

/// Reads from a source; what was read is hashed and written at once.
struct Tee<R> {
    source: R,
    keep: Keep,
    hasher: Hasher,
    total: u64,
    buffer: Vec<u8>,
    taken: usize,
    filled: usize,
    /// Whether what is taken is the data of a file, which goes its own way.
    in_piece: bool,
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
            in_piece: false,
            failed: None,
        }
    }

    fn begin_piece(&mut self, size: u64) -> Result<File> {
        self.in_piece = true;
        match &mut self.keep {
            Keep::Apart(unpacker) => unpacker.piece(size),
            Keep::Tar(_) => Err(Error::new("a tar is kept as a whole")),
        }
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
            if let Keep::Tar(file) = &mut self.keep {
                file.write(chunk)?;
            }
            self.total += chunk.len() as u64;
            if self.total > MAX_BYTES {
                return Err(io::Error::other(format!("a layer of more than {} GiB", MAX_BYTES >> 30)));
            }
        }
        Ok(&self.buffer[self.taken..self.filled])
    }

    fn consume(&mut self, length: usize) {
        if let Keep::Apart(unpacker) = &mut self.keep
            && !self.in_piece
            && length > 0
            && let Err(error) = unpacker.structure(&self.buffer[self.taken..self.taken + length])
        {
            self.failed = Some(error);
        }
        self.taken += length;
    }
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.fill_buf()?;
        let length = piece.len().min(buffer.len());
        buffer[..length].copy_from_slice(&piece[..length]);
        self.consume(length);
        Ok(length)
    }
}
