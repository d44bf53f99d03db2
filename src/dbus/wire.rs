//! Values as bytes, both ways; D-Bus specification, section "Marshaling (Wire Format)". Numbers are in this machine's
//! order: systemd and the bus run on the same machine.

use crate::gvariant::Value;

/// How deep containers may lie in each other (the specification allows 32 of each kind).
const DEPTH: usize = 32;

/// What cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Bytes in the making. Values are aligned relative to its start.
#[derive(Debug, Default)]
pub(super) struct Writer {
    pub(super) bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    fn number(&mut self, bytes: &[u8]) {
        self.align(bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.number(&value.to_ne_bytes());
    }

    fn text(&mut self, text: &str) {
        self.u32(text.len() as u32);
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
    }

    fn signature(&mut self, text: &str) {
        self.bytes.push(text.len() as u8);
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
    }

    pub(super) fn value(&mut self, value: &Value) {
        match value {
            Value::Bool(value) => self.u32(u32::from(*value)),
            Value::Byte(value) => self.bytes.push(*value),
            Value::I16(value) => self.number(&value.to_ne_bytes()),
            Value::U16(value) => self.number(&value.to_ne_bytes()),
            Value::I32(value) => self.number(&value.to_ne_bytes()),
            Value::U32(value) => self.u32(*value),
            Value::I64(value) => self.number(&value.to_ne_bytes()),
            Value::U64(value) => self.number(&value.to_ne_bytes()),
            Value::Str(text) | Value::Path(text) => self.text(text),
            Value::Signature(text) => self.signature(text),
            Value::Array(element, items) => {
                self.u32(0);
                let length_at = self.bytes.len() - 4;
                // The padding before the first element does not count.
                self.align(alignment(element));
                let start = self.bytes.len();
                items.iter().for_each(|item| self.value(item));
                let length = (self.bytes.len() - start) as u32;
                self.bytes[length_at..length_at + 4].copy_from_slice(&length.to_ne_bytes());
            }
            Value::Struct(fields) => {
                self.align(8);
                fields.iter().for_each(|field| self.value(field));
            }
            Value::Variant(value) => {
                self.signature(&value.signature());
                self.value(value);
            }
        }
    }
}

/// The alignment of a type, by its first letter.
fn alignment(signature: &str) -> usize {
    match signature.as_bytes().first() {
        Some(b'y' | b'g' | b'v') => 1,
        Some(b'n' | b'q') => 2,
        Some(b'x' | b't' | b'(' | b'{') => 8,
        _ => 4,
    }
}

/// Bytes being read. Values are aligned relative to their start.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count).ok_or(Malformed)?).ok_or(Malformed)?;
        self.at += count;
        Ok(taken)
    }

    pub(super) fn align(&mut self, to: usize) -> Result<(), Malformed> {
        self.take(self.at.next_multiple_of(to) - self.at).map(drop)
    }

    fn number<const SIZE: usize>(&mut self) -> Result<[u8; SIZE], Malformed> {
        self.align(SIZE)?;
        self.take(SIZE)?.try_into().map_err(|_| Malformed)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.number().map(u32::from_ne_bytes)
    }

    fn text(&mut self, length: usize) -> Result<String, Malformed> {
        let text = self.take(length)?.to_vec();
        self.take(1)?;
        String::from_utf8(text).map_err(|_| Malformed)
    }

    /// Reads all values of a signature.
    pub(super) fn values(&mut self, signature: &str) -> Result<Vec<Value>, Malformed> {
        let (mut values, mut rest) = (Vec::new(), signature);
        while !rest.is_empty() {
            let (kind, after) = split(rest, 0)?;
            values.push(self.value(kind, 0)?);
            rest = after;
        }
        Ok(values)
    }

    fn value(&mut self, kind: &str, depth: usize) -> Result<Value, Malformed> {
        if depth > DEPTH {
            return Err(Malformed);
        }
        Ok(match kind.as_bytes().first().ok_or(Malformed)? {
            b'b' => Value::Bool(self.u32()? != 0),
            b'y' => Value::Byte(self.take(1)?[0]),
            b'n' => Value::I16(i16::from_ne_bytes(self.number()?)),
            b'q' => Value::U16(u16::from_ne_bytes(self.number()?)),
            b'i' => Value::I32(i32::from_ne_bytes(self.number()?)),
            b'u' | b'h' => Value::U32(self.u32()?),
            b'x' => Value::I64(i64::from_ne_bytes(self.number()?)),
            b't' => Value::U64(u64::from_ne_bytes(self.number()?)),
            b's' => Value::Str(self.long_text()?),
            b'o' => Value::Path(self.long_text()?),
            b'g' => Value::Signature(self.short_text()?),
            b'v' => {
                let kind = self.short_text()?;
                let (first, rest) = split(&kind, 0)?;
                if !rest.is_empty() {
                    return Err(Malformed);
                }
                Value::Variant(Box::new(self.value(first, depth + 1)?))
            }
            b'a' => {
                let element = &kind[1..];
                let length = self.u32()? as usize;
                self.align(alignment(element))?;
                let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
                let (end, mut items) = (end.ok_or(Malformed)?, Vec::new());
                while self.at < end {
                    items.push(self.value(element, depth + 1)?);
                }
                Value::Array(element.to_owned(), items)
            }
            // The entries of dictionaries are read as structs.
            b'(' | b'{' => {
                self.align(8)?;
                let (mut fields, mut rest) = (Vec::new(), &kind[1..kind.len() - 1]);
                while !rest.is_empty() {
                    let (field, after) = split(rest, 0)?;
                    fields.push(self.value(field, depth + 1)?);
                    rest = after;
                }
                Value::Struct(fields)
            }
            _ => return Err(Malformed),
        })
    }

    fn long_text(&mut self) -> Result<String, Malformed> {
        let length = self.u32()? as usize;
        self.text(length)
    }

    fn short_text(&mut self) -> Result<String, Malformed> {
        let length = usize::from(self.take(1)?[0]);
        self.text(length)
    }
}

/// The first complete type of a signature, and the rest.
fn split(signature: &str, depth: usize) -> Result<(&str, &str), Malformed> {
    let bytes = signature.as_bytes();
    let length = match bytes.first().filter(|_| depth <= DEPTH).ok_or(Malformed)? {
        b'a' => 1 + split(signature.get(1..).ok_or(Malformed)?, depth + 1)?.0.len(),
        open @ (b'(' | b'{') => {
            let close = if *open == b'(' { b')' } else { b'}' };
            let mut at = 1;
            while *bytes.get(at).ok_or(Malformed)? != close {
                at += split(signature.get(at..).ok_or(Malformed)?, depth + 1)?.0.len();
            }
            at + 1
        }
        _ => 1,
    };
    signature.split_at_checked(length).ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &Value) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.value(value);
        writer.bytes
    }

    #[test]
    fn every_type_is_read_as_it_was_written() {
        let pair = Value::Struct(vec![Value::text("a"), Value::Variant(Box::new(Value::U64(7)))]);
        let all = Value::Struct(vec![
            Value::Byte(1),
            Value::Bool(true),
            Value::I16(-2),
            Value::U16(3),
            Value::I32(-4),
            Value::U32(5),
            Value::I64(-6),
            Value::U64(u64::MAX),
            Value::text("é"),
            Value::Path("/a/b".into()),
            Value::Signature("a(sv)".into()),
            Value::Array("(sv)".into(), vec![pair.clone(), pair]),
            Value::Array("(sa(sv))".into(), vec![]),
            Value::bytes([1, 2, 3]),
        ]);
        let bytes = written(&all);
        let mut reader = Reader { bytes: &bytes, at: 0 };
        assert_eq!(reader.values(&all.signature()), Ok(vec![all]));
        assert_eq!(reader.at, bytes.len());
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn an_array_of_structs_counts_no_padding_before_the_first() {
        let array = Value::Array("(y)".into(), vec![Value::Struct(vec![Value::Byte(9)])]);
        assert_eq!(written(&array), [1, 0, 0, 0, 0, 0, 0, 0, 9]);
        assert_eq!(written(&Value::Array("(y)".into(), vec![])), [0; 8]);
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_survived() {
        let value = Value::Array(
            "(sv)".into(),
            vec![Value::Struct(vec![Value::text("name"), Value::Variant(Box::new(Value::texts(["x"])))])],
        );
        let bytes = written(&value);
        for cut in 0..bytes.len() {
            assert_eq!(Reader { bytes: &bytes[..cut], at: 0 }.values("a(sv)"), Err(Malformed), "{cut}");
        }
        for at in 0..bytes.len() {
            for byte in 0..=255 {
                let mut bytes = bytes.clone();
                bytes[at] = byte;
                let _any_answer = Reader { bytes: &bytes, at: 0 }.values("a(sv)");
            }
        }
    }

    #[test]
    fn signatures_that_are_none_are_refused() {
        for signature in ["(", "a", "a(", "(a)", "z", "é"] {
            assert_eq!(Reader { bytes: &[0; 64], at: 0 }.values(signature), Err(Malformed), "{signature}");
        }
        let deep = "a".repeat(200) + "y";
        assert_eq!(Reader { bytes: &[0; 64], at: 0 }.values(&deep), Err(Malformed));
    }
}
