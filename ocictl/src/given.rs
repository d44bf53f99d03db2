//! What whoever typed has named to be read as a whole: a file, a pipe, a device. It is read no further than it may be long, so that `/dev/zero`
//! is an error and not the end of the memory.

use crate::error::{Context, Error, Result};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Of a list of variables or labels, a profile, a document.
pub const MAX_FILE: u64 = 4 << 20;

/// The bytes of a file.
///
/// # Errors
/// Names the file, and the limit if it is larger.
pub fn bytes(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let place = || path.display().to_string();
    let file = File::open(path).context(place)?;
    whole(file, limit).context(place)
}

/// The text of a file.
///
/// # Errors
/// As [`bytes`]; says that it is not UTF-8.
pub fn text(path: &Path, limit: u64) -> Result<String> {
    utf8(bytes(path, limit)?).context(|| path.display().to_string())
}

/// The text that comes from a reader.
///
/// # Errors
/// Says that it is longer than `limit` bytes, or not UTF-8.
pub fn text_of(from: impl Read, limit: u64) -> Result<String> {
    utf8(whole(from, limit)?)
}

fn whole(from: impl Read, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(limit + 1).read_to_end(&mut bytes)?;
    at_most(bytes, limit)
}

/// What was read, one byte further than it may be long.
///
/// # Errors
/// It is longer.
pub fn at_most(bytes: Vec<u8>, limit: u64) -> Result<Vec<u8>> {
    match bytes.len() as u64 > limit {
        true => Err(Error::new(format!("it is larger than {limit} bytes"))),
        false => Ok(bytes),
    }
}

fn utf8(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| Error::new("it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_end_is_not_read_to_it() {
        assert_eq!(text_of(&b"abc"[..], 3).expect("it fits"), "abc");
        assert_eq!(
            text_of(&b"abcd"[..], 3).expect_err("it is longer").to_string(),
            "it is larger than 3 bytes"
        );
        assert_eq!(
            bytes(Path::new("/dev/zero"), MAX_FILE).expect_err("it has no end").to_string(),
            "/dev/zero: it is larger than 4194304 bytes"
        );
        assert_eq!(text_of(&[0xff][..], 3).expect_err("no text").to_string(), "it is not UTF-8");
    }
}
