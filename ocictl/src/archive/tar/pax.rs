//! Records of extended headers: `LENGTH KEY=VALUE\n` (POSIX.1-2017, pax, "pax Extended Header").

use crate::error::{Context, Error, Result};
use std::collections::BTreeMap;

/// The most bytes of one extended header.
pub const MAX_BYTES: u64 = 1 << 20;
/// The most bytes of all extended attributes of an entry.
const MAX_XATTR_BYTES: usize = 64 << 10;

/// The records of the header before an entry.
#[derive(Debug, Default)]
pub struct Records {
    values: BTreeMap<String, Vec<u8>>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Where the map of a sparse file is.
#[derive(Debug)]
pub enum SparseVersion {
    /// Format 0.1: in a record.
    InRecord(Vec<u8>),
    /// Format 1.0: in front of the data.
    InData,
}

/// Keys that mean something to us; each may stand once.
const KNOWN: [&str; 10] = [
    "path",
    "linkpath",
    "size",
    "uid",
    "gid",
    "mtime",
    "GNU.sparse.major",
    "GNU.sparse.minor",
    "GNU.sparse.map",
    "GNU.sparse.name",
];
const SIZES: [&str; 2] = ["GNU.sparse.size", "GNU.sparse.realsize"];
/// Keys of the sparse format 0.0, which stand more than once: two readers would take two maps from them.
const OLDEST_SPARSE: [&str; 2] = ["GNU.sparse.offset", "GNU.sparse.numbytes"];

impl Records {
    /// Reads the records of a header of type `x`.
    ///
    /// # Errors
    /// Says which record is malformed or stands twice.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut records = Self::default();
        let mut xattr_bytes = 0;
        for_each(bytes, |key, value| {
            if OLDEST_SPARSE.contains(&key) {
                return Err(Error::new("sparse files of format 0.0 are not supported"));
            }
            if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
                xattr_bytes += name.len() + value.len();
                if xattr_bytes > MAX_XATTR_BYTES {
                    return Err(Error::new(format!(
                        "extended attributes of more than {MAX_XATTR_BYTES} bytes"
                    )));
                }
                if name.is_empty()
                    || name.len() > 255
                    || records.xattrs.iter().any(|(other, _)| other == name.as_bytes())
                {
                    return Err(Error::new(
                        "an extended attribute whose name is empty, too long, or there already",
                    ));
                }
                records.xattrs.push((name.as_bytes().to_vec(), value.to_vec()));
            } else if (KNOWN.contains(&key) || SIZES.contains(&key))
                && records.values.insert(key.to_owned(), value.to_vec()).is_some()
            {
                return Err(Error::new("it stands twice"));
            }
            Ok(())
        })?;
        // An empty value takes back what another header said; there is no other that counts here.
        records.values.retain(|_, value| !value.is_empty());
        Ok(records)
    }

    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.xattrs.is_empty()
    }

    /// Takes a value out.
    pub fn take(&mut self, key: &str) -> Option<Vec<u8>> {
        self.values.remove(key)
    }

    /// Takes the extended attributes out.
    pub fn xattrs(&mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        std::mem::take(&mut self.xattrs)
    }

    /// Takes a decimal number out.
    pub fn number(&mut self, key: &str) -> Result<Option<u64>> {
        self.take(key).map(|value| decimal(&value).context(|| key.to_owned())).transpose()
    }

    /// Takes a time out: seconds with a fraction, perhaps negative.
    pub fn time(&mut self, key: &str) -> Result<Option<(i64, u32)>> {
        self.take(key).map(|value| time(&value).context(|| key.to_owned())).transpose()
    }

    /// The name of a sparse file, which its header has in another form.
    pub fn sparse_name(&mut self) -> Option<Vec<u8>> {
        self.take("GNU.sparse.name")
    }

    /// Which format of sparse files this is, if any.
    pub fn sparse_version(&mut self) -> Result<Option<SparseVersion>> {
        let version = (self.number("GNU.sparse.major")?, self.number("GNU.sparse.minor")?);
        match (version, self.take("GNU.sparse.map")) {
            ((None, None), None) if self.values.keys().any(|key| key.starts_with("GNU.sparse.")) => {
                Err(Error::new("a size of a sparse file without its map"))
            }
            ((None, None), None) => Ok(None),
            ((None | Some(0), None | Some(1)), Some(map)) => Ok(Some(SparseVersion::InRecord(map))),
            ((Some(1), Some(0)), None) => Ok(Some(SparseVersion::InData)),
            _ => Err(Error::new("sparse files of an unknown format")),
        }
    }

    /// The size with the holes.
    pub fn sparse_size(&mut self) -> Result<u64> {
        match (self.number("GNU.sparse.size")?, self.number("GNU.sparse.realsize")?) {
            (Some(size), None) | (None, Some(size)) => Ok(size),
            _ => Err(Error::new("a sparse file needs one size")),
        }
    }
}

/// A global header may comment, and nothing else: what it changes of later entries is read differently by everybody.
///
/// # Errors
/// Names the key that would change something.
pub fn check_global(bytes: &[u8]) -> Result<()> {
    for_each(bytes, |key, _| {
        if KNOWN.contains(&key) || key.starts_with("GNU.sparse.") || key.starts_with("SCHILY.xattr.") {
            return Err(Error::new("a global header may not set it"));
        }
        Ok(())
    })
}

fn for_each(mut rest: &[u8], mut take: impl FnMut(&str, &[u8]) -> Result<()>) -> Result<()> {
    while !rest.is_empty() {
        let malformed = || Error::new("a malformed PAX record");
        let space = rest.iter().take(8).position(|byte| *byte == b' ').ok_or_else(malformed)?;
        let length = usize::try_from(decimal(&rest[..space])?).map_err(|_| malformed())?;
        if length > rest.len() || length < space + 3 || rest[length - 1] != b'\n' {
            return Err(malformed());
        }
        let record = &rest[space + 1..length - 1];
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(malformed)?;
        let key = std::str::from_utf8(&record[..equals]).map_err(|_| malformed())?;
        if key.is_empty() {
            return Err(malformed());
        }
        take(key, &record[equals + 1..])
            .context(|| format!("PAX record \"{}\"", super::shown(key.as_bytes())))?;
        rest = &rest[length..];
    }
    Ok(())
}

/// Decimal digits and nothing else, below 2^63.
pub fn decimal(text: &[u8]) -> Result<u64> {
    let bad = || Error::new(format!("\"{}\" is no number", text[..text.len().min(40)].escape_ascii()));
    if text.is_empty() || text.len() > 19 || !text.iter().all(u8::is_ascii_digit) {
        return Err(bad());
    }
    let value = text
        .iter()
        .try_fold(0u64, |value, digit| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')));
    value.filter(|value| *value <= i64::MAX as u64).ok_or_else(bad)
}

fn time(text: &[u8]) -> Result<(i64, u32)> {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = match digits.iter().position(|byte| *byte == b'.') {
        Some(dot) => (&digits[..dot], &digits[dot + 1..]),
        None => (digits, &[][..]),
    };
    let seconds = i64::try_from(decimal(whole)?).unwrap_or(i64::MAX);
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(Error::new(format!("\"{}\" is no time", text[..text.len().min(40)].escape_ascii())));
    }
    let nanoseconds = (0..9)
        .fold(0, |value, index| value * 10 + u32::from(fraction.get(index).map_or(0, |digit| digit - b'0')));
    Ok(match (negative, nanoseconds) {
        (false, _) => (seconds, nanoseconds),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, 1_000_000_000 - nanoseconds),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_fractions_and_may_be_before_1970() {
        for (text, wanted) in [
            ("0", (0, 0)),
            ("1.5", (1, 500_000_000)),
            ("-1.25", (-2, 750_000_000)),
            ("-3", (-3, 0)),
            ("7.1234567899", (7, 123_456_789)),
        ] {
            assert_eq!(time(text.as_bytes()).expect(text), wanted, "{text}");
        }
        for bad in ["", "x", "1.x", "--1", "1 ", "99999999999999999999"] {
            assert!(time(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn records_are_exact() {
        let records = |text: &str| Records::parse(text.as_bytes()).map_err(|error| error.to_string());
        assert!(records("9 path=x\n").is_ok());
        for (text, wanted) in [
            ("8 path=x\n", "malformed"),
            ("11 path=x\n", "malformed"),
            ("9 path=x", "malformed"),
            (" 9 path=x\n", "is no number"),
            ("5 a=\nrest", "malformed"),
            ("9 path=x\n9 path=y\n", "it stands twice"),
            ("10 size=-1\n", ""),
            ("23 GNU.sparse.offset=1\n", "format 0.0"),
            ("+9 path=x\n", "is no number"),
        ] {
            match records(text) {
                Ok(mut records) => assert!(wanted.is_empty() && records.number("size").is_err(), "{text}"),
                Err(said) => assert!(said.contains(wanted), "{text}: {said}"),
            }
        }
        assert!(check_global(b"13 comment=x\n").is_ok());
        assert!(check_global(b"9 path=x\n").is_err());
    }
}
