//! Protocol Buffers as far as CRIU's RPC needs them: numbers, flags, texts and messages in messages; pure.
//!
//! Protocol Buffers, "Encoding". What comes is foreign: each length is checked before it is followed, and fields that are
//! not known are passed over.

/// A number of seven bits a byte, the lowest first; the high bit says that more follow.
const MORE: u8 = 0x80;

/// What follows a field's number: one number, or a length and so many bytes.
const VARINT: u64 = 0;
const LENGTH: u64 = 2;

/// A message in the making.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// Adds a number; a negative one as the kernel's own `int32` would be widened.
    pub fn number(&mut self, field: u32, value: i64) {
        self.varint(u64::from(field) << 3 | VARINT);
        self.varint(value as u64);
    }

    /// Adds a text or the bytes of a message.
    pub fn bytes(&mut self, field: u32, value: &[u8]) {
        self.varint(u64::from(field) << 3 | LENGTH);
        self.varint(value.len() as u64);
        self.bytes.extend_from_slice(value);
    }

    /// The bytes as they cross.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn varint(&mut self, mut value: u64) {
        while value >= u64::from(MORE) {
            self.bytes.push(value as u8 | MORE);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

/// The value of a field that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number or a flag.
    Number(u64),
    /// A text or a message.
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The number; 0 where there is none.
    pub fn as_number(self) -> u64 {
        match self {
            Self::Number(number) => number,
            Self::Bytes(_) => 0,
        }
    }

    /// The bytes; none where it is a number.
    pub fn as_bytes(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Number(_) => &[],
        }
    }
}

/// The fields of a message, in order; what is cut off or no field ends it.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Those of this message.
    pub fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            value |= u64::from(byte & !MORE) << shift;
            if byte & MORE == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            VARINT => Value::Number(self.varint()?),
            LENGTH => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            1 => Value::Bytes(self.take(8)?),
            5 => Value::Bytes(self.take(4)?),
            _ => return None,
        };
        Some((tag >> 3, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_bytes_come_back() {
        let mut message = Message::default();
        message.number(1, 150);
        message.bytes(13, b"/root");
        message.number(49, -1);
        assert_eq!(&message.as_bytes()[..3], [0x08, 0x96, 0x01], "the example of the encoding's own text");
        let fields: Vec<_> = Fields::of(message.as_bytes()).collect();
        let expected = [(1, Value::Number(150)), (13, Value::Bytes(b"/root")), (49, Value::Number(u64::MAX))];
        assert_eq!(fields, expected);
    }

    #[test]
    fn what_is_cut_off_is_no_field() {
        let mut message = Message::default();
        message.bytes(2, b"words");
        for length in 0..message.as_bytes().len() {
            assert_eq!(Fields::of(&message.as_bytes()[..length]).next(), None, "{length}");
        }
        assert_eq!(Fields::of(&[0x80; 20]).next(), None, "a number without end");
        assert_eq!(Fields::of(&[0x0b, 1]).next(), None, "a kind that is none");
        let huge = [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(Fields::of(&huge).next(), None, "a length beyond the end");
    }

    #[test]
    fn unknown_kinds_are_passed_over() {
        let bytes = [0x09, 1, 2, 3, 4, 5, 6, 7, 8, 0x15, 1, 2, 3, 4, 0x18, 7];
        let fields: Vec<_> = Fields::of(&bytes).skip(2).collect();
        assert_eq!(fields, [(3, Value::Number(7))]);
    }
}
