//! Compression, told by the first bytes and not by what a media type promises.

use crate::error::{Error, Result};
use std::io::{self, BufRead, Read};

/// How bytes are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952, perhaps of several members.
    Gzip,
    /// RFC 8878, perhaps with skippable frames (`zstd:chunked`).
    Zstd,
}

/// The largest window of Zstandard that is accepted, as a power of two: 128 MiB, what `zstd` itself takes without being told.
const MAX_WINDOW_LOG: u32 = 27;

impl Compression {
    /// Looks at the first bytes of `source` without taking them.
    ///
    /// # Errors
    /// Names the compressions that are known and not supported.
    pub fn detect(source: &mut impl BufRead) -> Result<Self> {
        let start = source.fill_buf()?;
        match start {
            [0x1f, 0x8b, ..] => Ok(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Self::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Err(unsupported("xz")),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Err(unsupported("bzip2")),
            _ => Ok(Self::None),
        }
    }
}

fn unsupported(name: &str) -> Error {
    Error::new(format!("it is compressed by {name}, which is not supported"))
        .hint(format!("decompress it first, or use gzip or zstd instead of {name}"))
}

/// More than this out of less than a [`BOMB_RATIO`]th of it is a bomb: gzip makes at most 1032 bytes of one, Zstandard any number, and
/// layers of programs are five times smaller at best.
const BOMB_BYTES: u64 = 1 << 30;
const BOMB_RATIO: u64 = 400;

/// The uncompressed bytes of a source.
pub struct Decoder<R: BufRead> {
    form: Form<Counted<R>>,
    given: u64,
}

enum Form<R: BufRead> {
    Plain(R),
    Gzip(Box<flate2::bufread::MultiGzDecoder<R>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, R>>),
}

impl<R: BufRead> std::fmt::Debug for Decoder<R> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Decoder({:?}, {} bytes given)", self.compression(), self.given)
    }
}

impl<R: BufRead> Decoder<R> {
    /// A decoder for what the first bytes of `source` say.
    ///
    /// # Errors
    /// Names a compression that is known and not supported.
    pub fn new(mut source: R) -> Result<Self> {
        let compression = Compression::detect(&mut source)?;
        let source = Counted { source, taken: 0 };
        let form = match compression {
            Compression::None => Form::Plain(source),
            Compression::Gzip => Form::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(source))),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
                decoder.window_log_max(MAX_WINDOW_LOG)?;
                Form::Zstd(Box::new(decoder))
            }
        };
        Ok(Self { form, given: 0 })
    }

    /// How the source is compressed.
    pub fn compression(&self) -> Compression {
        match self.form {
            Form::Plain(_) => Compression::None,
            Form::Gzip(_) => Compression::Gzip,
            Form::Zstd(_) => Compression::Zstd,
        }
    }

    /// The source, as far as it was read.
    pub fn into_inner(self) -> R {
        match self.form {
            Form::Plain(source) => source.source,
            Form::Gzip(decoder) => decoder.into_inner().source,
            Form::Zstd(decoder) => decoder.finish().source,
        }
    }

    fn taken(&self) -> u64 {
        match &self.form {
            Form::Plain(source) => source.taken,
            Form::Gzip(decoder) => decoder.get_ref().taken,
            Form::Zstd(decoder) => decoder.get_ref().taken,
        }
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = match &mut self.form {
            Form::Plain(source) => source.read(buffer)?,
            Form::Gzip(decoder) => decoder.read(buffer)?,
            Form::Zstd(decoder) => decoder.read(buffer)?,
        };
        self.given += length as u64;
        if self.given > BOMB_BYTES && self.given / BOMB_RATIO > self.taken() {
            let taken = self.taken();
            return Err(io::Error::other(format!(
                "{taken} compressed bytes have become more than {BOMB_BYTES}: this is a bomb"
            )));
        }
        Ok(length)
    }
}

/// A source that counts what was taken of it.
struct Counted<R> {
    source: R,
    taken: u64,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(buffer)?;
        self.taken += length as u64;
        Ok(length)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.source.fill_buf()
    }

    fn consume(&mut self, length: usize) {
        self.source.consume(length);
        self.taken += length as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("to memory");
        encoder.finish().expect("to memory")
    }

    fn decode(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Decoder::new(bytes).map_err(|error| io::Error::other(error.to_string()))?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn the_magic_bytes_decide() {
        assert_eq!(decode(b"plain").expect("plain"), b"plain");
        assert_eq!(decode(&gzip(b"zipped")).expect("gzip"), b"zipped");
        assert_eq!(
            decode(&zstd::encode_all(&b"zstandard"[..], 1).expect("encoded")).expect("zstd"),
            b"zstandard"
        );
        let said = decode(b"\xfd7zXZ\0\0").expect_err("xz").to_string();
        assert_eq!(said, "it is compressed by xz, which is not supported");
    }

    #[test]
    fn members_and_skippable_frames_are_read_and_rubbish_is_not() {
        assert_eq!(decode(&[gzip(b"a"), gzip(b"b")].concat()).expect("two members"), b"ab");
        let frame = [
            &[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..],
            &zstd::encode_all(&b"x"[..], 1).expect("encoded"),
        ]
        .concat();
        assert_eq!(decode(&frame).expect("a skippable frame first"), b"x");
        for broken in [[gzip(b"a"), b"rubbish".to_vec()].concat(), gzip(b"abcdefghijkl")[..15].to_vec()] {
            assert!(decode(&broken).is_err(), "{broken:?}");
        }
        let whole = zstd::encode_all(&vec![7u8; 100_000][..], 1).expect("encoded");
        assert!(decode(&whole[..whole.len() - 1]).is_err(), "a truncated frame");
        assert!(decode(&[whole, b"rubbish".to_vec()].concat()).is_err(), "rubbish behind a frame");
    }
}
