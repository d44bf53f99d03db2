//! The block of 512 bytes in front of each entry.

use crate::error::{Error, Result};

/// What everything in a tar is a multiple of.
pub const BLOCK: usize = 512;

/// A header whose checksum is right.
#[derive(Debug)]
pub struct Header {
    block: [u8; BLOCK],
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    V7,
    Ustar,
    Star,
    Gnu,
}

impl Header {
    /// Takes a block that is not all zeros.
    ///
    /// # Errors
    /// Fails if the checksum is wrong: this is no tar, or not at a header.
    pub fn parse(block: [u8; BLOCK]) -> Result<Self> {
        let stored = octal(&block[148..156]).ok().flatten();
        let blanked = |index: usize| if (148..156).contains(&index) { b' ' } else { block[index] };
        let unsigned: u64 = (0..BLOCK).map(|index| u64::from(blanked(index))).sum();
        let signed: i64 = (0..BLOCK).map(|index| i64::from(i8::from_ne_bytes([blanked(index)]))).sum();
        if stored != Some(unsigned) && (stored.and_then(|stored| i64::try_from(stored).ok()) != Some(signed))
        {
            return Err(Error::new("the checksum is wrong: this is no tar archive, or it is damaged"));
        }
        let format = match &block[257..265] {
            b"ustar\x0000" if &block[508..512] == b"tar\0" => Format::Star,
            b"ustar\x0000" => Format::Ustar,
            b"ustar  \0" => Format::Gnu,
            _ => Format::V7,
        };
        Ok(Self { block, format })
    }

    /// The type flag.
    pub fn kind(&self) -> u8 {
        self.block[156]
    }

    /// The name, with the prefix where the format has one.
    pub fn path(&self) -> Vec<u8> {
        let name = text(&self.block[..100]);
        let prefix = match self.format {
            Format::Ustar => text(&self.block[345..500]),
            Format::Star => text(&self.block[345..476]),
            Format::V7 | Format::Gnu => &[],
        };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    /// The target of a link.
    pub fn link(&self) -> Vec<u8> {
        text(&self.block[157..257]).to_vec()
    }

    /// Permission bits; bits of the type, which some writers add, are dropped.
    pub fn mode(&self) -> Result<u16> {
        let mode = self.number(100..108, "mode")?;
        u16::try_from(mode & 0o7777).map_err(|_| Error::new("mode"))
    }

    /// The owner.
    pub fn uid(&self) -> Result<u64> {
        self.number(108..116, "uid")
    }

    /// The group.
    pub fn gid(&self) -> Result<u64> {
        self.number(116..124, "gid")
    }

    /// Bytes of data.
    pub fn size(&self) -> Result<u64> {
        let size = self.number(124..136, "size")?;
        if size > i64::MAX as u64 {
            Err(Error::new(format!("size: {size} is beyond what a file can have")))
        } else {
            Ok(size)
        }
    }

    /// Seconds since 1970.
    pub fn mtime(&self) -> Result<i64> {
        let field = &self.block[136..148];
        if field[0] == 0xff {
            // Base 256 and negative: before 1970.
            let low = <[u8; 8]>::try_from(&field[4..12]).map_err(|_| Error::new("mtime"))?;
            if field[..4].iter().any(|byte| *byte != 0xff) {
                return Err(Error::new("mtime: out of range"));
            }
            return Ok(i64::from_be_bytes(low));
        }
        i64::try_from(self.number(136..148, "mtime")?).map_err(|_| Error::new("mtime: out of range"))
    }

    /// Major number of a device.
    pub fn major(&self) -> Result<u32> {
        // The kernel has twelve bits for it.
        let major = self.number(329..337, "major number")?;
        u32::try_from(major)
            .ok()
            .filter(|major| *major < 1 << 12)
            .ok_or_else(|| Error::new(format!("major number {major} is beyond 4095")))
    }

    /// Minor number of a device.
    pub fn minor(&self) -> Result<u32> {
        let minor = self.number(337..345, "minor number")?;
        u32::try_from(minor)
            .ok()
            .filter(|minor| *minor < 1 << 20)
            .ok_or_else(|| Error::new(format!("minor number {minor} is beyond 1048575")))
    }

    /// The sparse map of GNU's old format: offset and length, four times.
    pub fn sparse_pairs(&self) -> &[u8] {
        &self.block[386..482]
    }

    /// Whether more of the map follows in blocks of its own.
    pub fn sparse_is_extended(&self) -> bool {
        self.block[482] != 0
    }

    /// The size with the holes, of GNU's old format.
    pub fn sparse_real_size(&self) -> Result<u64> {
        self.number(483..495, "real size")
    }

    fn number(&self, range: std::ops::Range<usize>, name: &str) -> Result<u64> {
        number(&self.block[range]).map_err(|error| error.context(name))
    }
}

/// A field up to its first NUL.
fn text(field: &[u8]) -> &[u8] {
    &field[..field.iter().position(|byte| *byte == 0).unwrap_or(field.len())]
}

/// A number: octal digits, or base 256 if the first bit is set. An empty field is 0.
pub fn number(field: &[u8]) -> Result<u64> {
    if field[0] & 0x80 == 0 {
        return Ok(octal(field)?.unwrap_or(0));
    }
    if field[0] == 0xff {
        return Err(Error::new("a negative number"));
    }
    let mut value: u64 = u64::from(field[0] & 0x7f);
    for byte in &field[1..] {
        value = value
            .checked_mul(256)
            .and_then(|value| value.checked_add(u64::from(*byte)))
            .ok_or_else(|| Error::new("a number beyond 64 bits"))?;
    }
    Ok(value)
}

/// Octal digits between spaces and NULs; nothing if there are none.
fn octal(field: &[u8]) -> Result<Option<u64>> {
    let start = field.iter().position(|byte| *byte != b' ').unwrap_or(field.len());
    let digits = &field[start..];
    let end = digits.iter().position(|byte| matches!(byte, 0 | b' ')).unwrap_or(digits.len());
    if digits[end..].iter().any(|byte| !matches!(byte, 0 | b' ')) {
        return Err(Error::new(format!("\"{}\" is no octal number", field.escape_ascii())));
    }
    if end == 0 {
        return Ok(None);
    }
    digits[..end]
        .iter()
        .try_fold(0u64, |value, digit| match digit {
            b'0'..=b'7' if value >> 61 == 0 => Ok(value << 3 | u64::from(digit - b'0')),
            _ => Err(Error::new(format!("\"{}\" is no octal number", field.escape_ascii()))),
        })
        .map(Some)
}
