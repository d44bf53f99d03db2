//! What of a tar is no data of files: headers, padding, its end. From it and the data the tar comes back byte for byte.
//!
//! `skeleton` is compressed by Zstandard and holds records: `S`, a length of 4 bytes (little endian) and that many bytes of the
//! tar; or `D` and the length of the data of the next file, 8 bytes. Where that data is, each form of a layer knows by itself.

use super::disk;
use crate::error::Result;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

const NAME: &str = "skeleton";

/// Writes the skeleton of a tar while it streams by.
pub struct Skeleton(BufWriter<zstd::stream::write::Encoder<'static, File>>);

impl Skeleton {
    /// Begins one in a layer's directory.
    ///
    /// # Errors
    /// Fails if the file cannot be made.
    pub fn new(directory: &Path) -> Result<Self> {
        let file = disk::create(&directory.join(NAME))?;
        // Records are small.
        Ok(Self(BufWriter::new(zstd::stream::write::Encoder::new(file, 1)?)))
    }

    /// Takes bytes of the tar that are no data of files.
    ///
    /// # Errors
    /// Fails if they cannot be written.
    pub fn structure(&mut self, bytes: &[u8]) -> io::Result<()> {
        for chunk in bytes.chunks(1 << 30) {
            self.0.write_all(b"S")?;
            self.0.write_all(&u32::try_from(chunk.len()).unwrap_or(0).to_le_bytes())?;
            self.0.write_all(chunk)?;
        }
        Ok(())
    }

    /// Notes that the data of a file comes next, so many bytes.
    ///
    /// # Errors
    /// Fails if that cannot be written.
    pub fn data(&mut self, size: u64) -> io::Result<()> {
        self.0.write_all(b"D")?;
        self.0.write_all(&size.to_le_bytes())
    }

    /// Makes it last.
    ///
    /// # Errors
    /// Fails if it cannot be written.
    pub fn finish(self) -> io::Result<()> {
        self.0.into_inner().map_err(io::IntoInnerError::into_error)?.finish()?.sync_all()
    }
}

impl std::fmt::Debug for Skeleton {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Skeleton")
    }
}

/// The data of a file: where it lies, in pieces of offset and length.
#[derive(Debug)]
pub struct Piece {
    /// The file that holds it, perhaps among other things.
    pub file: Arc<File>,
    /// Its pieces, in their order.
    pub segments: Vec<(u64, u64)>,
}

/// Where the data of the files of a tar is, one after the other.
pub trait Pieces: Send {
    /// The next one, of so many bytes.
    ///
    /// # Errors
    /// Fails if it cannot be opened.
    fn next(&mut self, size: u64) -> io::Result<Piece>;
}

/// The tar, put together again.
pub struct Rebuilt<P> {
    skeleton: zstd::stream::read::Decoder<'static, BufReader<File>>,
    pieces: P,
    now: Part,
}

/// What is being read, and how much of it is left.
enum Part {
    Structure(u64),
    /// The pieces that are left, in reverse.
    Data(Piece),
}

impl<P> std::fmt::Debug for Rebuilt<P> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Rebuilt")
    }
}

impl<P: Pieces> Rebuilt<P> {
    /// Opens the skeleton in a layer's directory.
    ///
    /// # Errors
    /// Fails if it is missing.
    pub fn open(directory: &Path, pieces: P) -> io::Result<Self> {
        let skeleton = zstd::stream::read::Decoder::new(File::open(directory.join(NAME))?)?;
        Ok(Self { skeleton, pieces, now: Part::Structure(0) })
    }

    /// The next record of the skeleton; `false` at its end.
    fn next(&mut self) -> io::Result<bool> {
        let mut kind = [0];
        if self.skeleton.read(&mut kind)? == 0 {
            return Ok(false);
        }
        self.now = match kind[0] {
            b'S' => Part::Structure(u64::from(read_u32(&mut self.skeleton)?)),
            b'D' => {
                let mut piece = self.pieces.next(read_u64(&mut self.skeleton)?)?;
                piece.segments.reverse();
                Part::Data(piece)
            }
            _ => return Err(io::Error::other("the skeleton of the layer is damaged")),
        };
        Ok(true)
    }

    /// Some bytes of what is being read; none where it ends.
    fn read_part(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let at_most = |left: u64| buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let (length, left) = match &mut self.now {
            Part::Structure(0) => return Ok(0),
            Part::Structure(left) => {
                let wanted = at_most(*left);
                (self.skeleton.read(&mut buffer[..wanted])?, left)
            }
            Part::Data(piece) => {
                while let Some((_, 0)) = piece.segments.last() {
                    piece.segments.pop();
                }
                let Some((offset, left)) = piece.segments.last_mut() else { return Ok(0) };
                let wanted = at_most(*left);
                let length = piece.file.read_at(&mut buffer[..wanted], *offset)?;
                *offset += length as u64;
                (length, left)
            }
        };
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        *left -= length as u64;
        Ok(length)
    }
}

impl<P: Pieces> Read for Rebuilt<P> {
    /// Fills the whole buffer, unless the tar ends: its parts are small.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read_part(&mut buffer[filled..])? {
                0 if !self.next()? => break,
                length => filled += length,
            }
        }
        Ok(filled)
    }
}

/// A number of four bytes, little endian.
///
/// # Errors
/// Fails if the source ends before.
pub fn read_u32(source: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    source.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

/// A number of eight bytes, little endian.
///
/// # Errors
/// Fails if the source ends before.
pub fn read_u64(source: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    source.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}
