//! Digests: `sha256:` with 64 lower-case hex digits, or `sha512:` with 128. Anything else is refused before a path is made of it
//! (image-spec, descriptor.md#digests).

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use std::fmt;
use std::io::{self, BufRead, Read};

/// A digest whose form has been checked: it can be part of a path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest {
    text: String,
}

const SHA256: &str = "sha256";
const SHA512: &str = "sha512";

impl Digest {
    /// Reads `ALGORITHM:HEX`.
    ///
    /// # Errors
    /// Says what was read if it is no sha256 or sha512 digest in lower case.
    pub fn parse(text: &str) -> Result<Self> {
        let digits = match text.split_once(':') {
            Some((SHA256, hex)) if hex.len() == 64 => hex,
            Some((SHA512, hex)) if hex.len() == 128 => hex,
            _ => return Err(bad(text)),
        };
        if !digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(bad(text));
        }
        Ok(Self { text: text.to_owned() })
    }

    /// The sha256 digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::sha256();
        hasher.update(bytes);
        hasher.finish()
    }

    /// `sha256` or `sha512`.
    pub fn algorithm(&self) -> &str {
        &self.text[..SHA256.len()]
    }

    /// The hex digits, without the algorithm.
    pub fn hex(&self) -> &str {
        &self.text[SHA256.len() + 1..]
    }

    /// The first twelve hex digits, as people are shown them.
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }

    /// `ALGORITHM:HEX`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// A hasher that can confirm this digest.
    pub fn hasher(&self) -> Hasher {
        if self.algorithm() == SHA512 { Hasher::Sha512(Box::default()) } else { Hasher::sha256() }
    }

    /// Fails unless `bytes` have this digest.
    ///
    /// # Errors
    /// Says both digests.
    pub fn verify(&self, bytes: &[u8]) -> Result<()> {
        let mut hasher = self.hasher();
        hasher.update(bytes);
        self.expect(&hasher.finish())
    }

    /// Fails unless `found` is this digest.
    ///
    /// # Errors
    /// Says both digests.
    pub fn expect(&self, found: &Self) -> Result<()> {
        if self == found {
            return Ok(());
        }
        Err(Error::new(format!("digest is {found}, not {self} as promised")))
    }
}

fn bad(text: &str) -> Error {
    let mut shown: String = text.chars().take(80).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    Error::new(format!("\"{shown}\" is no digest; one is sha256: and 64 hex digits in lower case"))
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl TryFrom<String> for Digest {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.text
    }
}

/// A digest in the making.
#[derive(Clone, Debug)]
pub enum Hasher {
    /// sha256, which nearly everything uses.
    Sha256(Box<sha2::Sha256>),
    /// sha512, the registered alternative.
    Sha512(Box<sha2::Sha512>),
}

impl Hasher {
    /// A sha256 hasher that has seen nothing yet.
    pub fn sha256() -> Self {
        Self::Sha256(Box::default())
    }

    /// Takes in more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// The digest of all bytes taken in.
    pub fn finish(self) -> Digest {
        let (algorithm, bytes): (_, Vec<u8>) = match self {
            Self::Sha256(hasher) => (SHA256, hasher.finalize().to_vec()),
            Self::Sha512(hasher) => (SHA512, hasher.finalize().to_vec()),
        };
        let mut text = String::with_capacity(8 + bytes.len() * 2);
        text.push_str(algorithm);
        text.push(':');
        for byte in bytes {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
            }
        }
        Digest { text }
    }
}

/// Hashes what is taken from a source.
#[derive(Debug)]
pub struct Hashing<R> {
    source: R,
    hasher: Hasher,
    size: u64,
}

impl<R: BufRead> Hashing<R> {
    /// Hashes by sha256.
    pub fn new(source: R) -> Self {
        Self::with(source, Hasher::sha256())
    }

    /// Hashes by a hasher that has seen nothing yet.
    pub fn with(source: R, hasher: Hasher) -> Self {
        Self { source, hasher, size: 0 }
    }

    /// The digest of what was taken, and how many bytes that were.
    pub fn finish(self) -> (Digest, u64) {
        (self.hasher.finish(), self.size)
    }
}

impl<R: BufRead> BufRead for Hashing<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.source.fill_buf()
    }

    fn consume(&mut self, length: usize) {
        // The bytes that are consumed lie in the buffer still: filling a buffer that is not empty reads nothing.
        if length > 0
            && let Ok(piece) = self.source.fill_buf()
        {
            self.hasher.update(&piece[..length.min(piece.len())]);
        }
        self.size += length as u64;
        self.source.consume(length);
    }
}

impl<R: BufRead> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(buffer)?;
        self.consume(length);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_well_formed_digests_pass() {
        let hex = "a".repeat(64);
        assert!(Digest::parse(&format!("sha256:{hex}")).is_ok());
        assert!(Digest::parse(&format!("sha512:{hex}{hex}")).is_ok());
        for bad in [
            "",
            "sha256",
            "sha256:",
            "sha256:../../etc/passwd",
            &format!("sha256:{}", "A".repeat(64)),
            &format!("md5:{hex}"),
            &format!("sha256:{hex}0"),
            &format!("sha256:{}/", "a".repeat(63)),
            &format!("SHA256:{hex}"),
            &hex,
        ] {
            let said = Digest::parse(bad).expect_err(bad).to_string();
            assert!(said.contains("is no digest"), "{bad}: {said}");
        }
    }

    #[test]
    fn the_digest_of_nothing_is_known() {
        let digest = Digest::of(b"");
        assert_eq!(
            digest.as_str(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(digest.short(), "e3b0c44298fc");
        let said = digest.verify(b"x").expect_err("another digest").to_string();
        assert!(said.starts_with("digest is sha256:2d711642"), "{said}");
    }
}
