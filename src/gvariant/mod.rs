//! Typed values as D-Bus and GLib know them: what the properties of a systemd unit are made of. Pure.
//! No property is a floating-point number, and to read and print one takes 30 KB of program: there is no `d`.
//!
//! Serves the D-Bus specification, section "Type System", and GLib's "GVariant text format" (`text`), in which the
//! annotations `org.systemd.property.*` are written.

mod text;

pub use text::parse;

use std::fmt;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `b`
    Bool(bool),
    /// `y`
    Byte(u8),
    /// `n`
    I16(i16),
    /// `q`
    U16(u16),
    /// `i`
    I32(i32),
    /// `u`
    U32(u32),
    /// `x`
    I64(i64),
    /// `t`
    U64(u64),
    /// `s`
    Str(String),
    /// `o`
    Path(String),
    /// `g`
    Signature(String),
    /// `a…`: the signature of the elements, since there may be none, and the elements, all of that type.
    Array(String, Vec<Value>),
    /// `(…)`
    Struct(Vec<Value>),
    /// `v`
    Variant(Box<Value>),
}

impl Value {
    /// A string.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Str(text.into())
    }

    /// An array of strings.
    pub fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Array("s".to_owned(), texts.into_iter().map(Self::text).collect())
    }

    /// An array of bytes.
    pub fn bytes(bytes: impl IntoIterator<Item = u8>) -> Self {
        Self::Array("y".to_owned(), bytes.into_iter().map(Self::Byte).collect())
    }

    /// The type, in the letters of D-Bus.
    pub fn signature(&self) -> String {
        let letter = match self {
            Self::Bool(_) => "b",
            Self::Byte(_) => "y",
            Self::I16(_) => "n",
            Self::U16(_) => "q",
            Self::I32(_) => "i",
            Self::U32(_) => "u",
            Self::I64(_) => "x",
            Self::U64(_) => "t",
            Self::Str(_) => "s",
            Self::Path(_) => "o",
            Self::Signature(_) => "g",
            Self::Variant(_) => "v",
            Self::Array(element, _) => return format!("a{element}"),
            Self::Struct(fields) => {
                return format!("({})", fields.iter().map(Self::signature).collect::<String>());
            }
        };
        letter.to_owned()
    }

    /// The text of a string or an object path.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Str(text) | Self::Path(text) => Some(text),
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    /// For people: numbers without their types, and the greatest of all, which systemd reads so, as `infinity`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(out),
            Self::Byte(value) => write!(out, "{value:#04x}"),
            Self::I16(value) => value.fmt(out),
            Self::U16(value) => value.fmt(out),
            Self::I32(value) => value.fmt(out),
            Self::U32(value) => value.fmt(out),
            Self::I64(value) => value.fmt(out),
            Self::U64(u64::MAX) => out.write_str("infinity"),
            Self::U64(value) => value.fmt(out),
            Self::Str(text) | Self::Path(text) | Self::Signature(text) => write!(out, "{text:?}"),
            Self::Array(_, items) => list(out, '[', items, ']'),
            Self::Struct(fields) => list(out, '(', fields, ')'),
            Self::Variant(value) => value.fmt(out),
        }
    }
}

fn list(out: &mut fmt::Formatter<'_>, open: char, items: &[Value], close: char) -> fmt::Result {
    write!(out, "{open}")?;
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.write_str(", ")?;
        }
        write!(out, "{item}")?;
    }
    write!(out, "{close}")
}
