//! The functions that templates may call.

use super::plain;
use crate::cli::output::units;
use crate::error::{Error, Result};
use serde_json::Value;

/// Calls a function by its name.
pub fn call(name: &str, arguments: Vec<Value>) -> Result<Value> {
    let wrong = |wanted: &str| Err(Error::new(format!("{name}: it takes {wanted}")));
    match (name, &arguments[..]) {
        ("json", [value]) => Ok(Value::from(super::super::escaped(&value.to_string()))),
        ("len", [value]) => match value {
            Value::String(text) => Ok(Value::from(text.len())),
            Value::Array(items) => Ok(Value::from(items.len())),
            Value::Object(fields) => Ok(Value::from(fields.len())),
            Value::Null => Ok(Value::from(0)),
            _ => wrong("a text or a list"),
        },
        ("index", [value, keys @ ..]) => keys.iter().try_fold(value.clone(), |value, key| index(&value, key)),
        ("upper", [value]) => Ok(Value::from(plain(value).to_uppercase())),
        ("lower", [value]) => Ok(Value::from(plain(value).to_lowercase())),
        ("title", [value]) => {
            let text = plain(value);
            let mut letters = text.chars();
            Ok(Value::from(letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())))
        }
        ("join", [Value::Array(items), separator]) => {
            Ok(Value::from(items.iter().map(plain).collect::<Vec<_>>().join(&plain(separator))))
        }
        ("join", [Value::Null, _]) => Ok(Value::from("")),
        ("split", [text, separator]) => {
            let (text, separator) = (plain(text), plain(separator));
            let parts: Vec<String> = match separator.is_empty() {
                true => text.chars().map(String::from).collect(),
                false => text.split(&separator).map(String::from).collect(),
            };
            Ok(Value::from(parts))
        }
        ("truncate", [text, length]) => {
            let length = length.as_u64().and_then(|length| usize::try_from(length).ok());
            match length {
                Some(length) => Ok(Value::from(plain(text).chars().take(length).collect::<String>())),
                None => wrong("a text and a length"),
            }
        }
        ("println", values) => Ok(Value::from(values.iter().map(plain).collect::<Vec<_>>().join(" ") + "\n")),
        ("print", values) => Ok(Value::from(print(values))),
        ("slice", [value, bounds @ ..]) if bounds.len() <= 2 => slice(value, bounds),
        ("pad", [text, before, after]) => {
            let spaces = |count: &Value| " ".repeat(count.as_u64().unwrap_or(0).min(1000) as usize);
            let text = plain(text);
            Ok(Value::from(if text.is_empty() { text } else { format!("{}{text}{}", spaces(before), spaces(after)) }))
        }
        ("html", values) => Ok(Value::from(replaced(&print(values), &HTML))),
        ("js", values) => Ok(Value::from(replaced(&print(values), &SCRIPT))),
        ("urlquery", values) => Ok(Value::from(in_url(&print(values)))),
        ("printf", [Value::String(format), values @ ..]) => print_formatted(format, values).map(Value::from),
        ("size" | "humansize", [value]) => Ok(Value::from(units::size(value.as_u64().unwrap_or(0)))),
        ("not", [value]) => Ok(Value::from(!truth(value))),
        ("and", [first, rest @ ..]) => {
            Ok(std::iter::once(first).chain(rest).find(|value| !truth(value)).or(rest.last()).unwrap_or(first).clone())
        }
        ("or", [first, rest @ ..]) => {
            Ok(std::iter::once(first).chain(rest).find(|value| truth(value)).or(rest.last()).unwrap_or(first).clone())
        }
        ("eq", [one, others @ ..]) if !others.is_empty() => Ok(Value::from(others.iter().any(|other| equal(one, other)))),
        ("ne", [one, other]) => Ok(Value::from(!equal(one, other))),
        ("lt" | "le" | "gt" | "ge", [one, other]) => {
            let order = match (one.as_f64(), other.as_f64()) {
                (Some(one), Some(other)) => one.partial_cmp(&other),
                _ => Some(plain(one).cmp(&plain(other))),
            };
            Ok(Value::from(order.is_some_and(|order| match name {
                "lt" => order.is_lt(),
                "le" => order.is_le(),
                "gt" => order.is_gt(),
                _ => order.is_ge(),
            })))
        }
        ("json" | "upper" | "lower" | "title" | "not", _) => wrong("one value"),
        ("join", _) => wrong("a list and a separator"),
        ("index" | "split" | "truncate" | "slice" | "pad" | "printf" | "and" | "or" | "eq" | "ne" | "lt" | "le" | "gt" | "ge" | "len" | "size", _) => wrong("other arguments"),
        _ => Err(Error::new(format!("\"{name}\" is no function"))
            .hint("there are json join split index slice len upper lower title truncate pad print printf println html js urlquery eq ne lt le gt ge and or not")),
    }
}

fn equal(one: &Value, other: &Value) -> bool {
    one == other || matches!((one.as_f64(), other.as_f64()), (Some(one), Some(other)) if one == other)
}

/// Whether a value counts as true: neither false, zero, empty nor absent.
pub fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

fn index(value: &Value, key: &Value) -> Result<Value> {
    match (value, key) {
        (Value::Array(items), Value::Number(_)) => {
            let at = key.as_u64().and_then(|at| usize::try_from(at).ok());
            at.and_then(|at| items.get(at))
                .cloned()
                .ok_or_else(|| Error::new(format!("index: {key} is beyond the {} items", items.len())))
        }
        // What is not there is the empty text: what is indexed by text are labels and the like.
        (Value::Object(fields), Value::String(key)) => {
            Ok(fields.get(key).cloned().unwrap_or_else(|| Value::from("")))
        }
        (Value::Null, Value::String(_)) => Ok(Value::from("")),
        (Value::Null, _) => Err(Error::new(format!("index: of nothing, item {}", plain(key)))),
        _ => Err(Error::new(format!("index: {} has no item {}", plain(value), plain(key)))),
    }
}

/// Go's print: a space stands between two values if neither is a text.
fn print(values: &[Value]) -> String {
    let mut text = String::new();
    for (at, value) in values.iter().enumerate() {
        if at > 0 && !value.is_string() && !values[at - 1].is_string() {
            text.push(' ');
        }
        text += &plain(value);
    }
    text
}

/// A part of a text or a list: `slice VALUE [FROM [TO]]`.
fn slice(value: &Value, bounds: &[Value]) -> Result<Value> {
    let length = match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.len(),
        _ => return Err(Error::new(format!("slice: {} is neither a text nor a list", plain(value)))),
    };
    let bound = |index: usize, default: usize| match bounds.get(index) {
        None => Some(default),
        Some(bound) => bound.as_u64().and_then(|bound| usize::try_from(bound).ok()),
    };
    let part = bound(0, 0).zip(bound(1, length)).and_then(|(from, to)| match value {
        Value::String(text) => text.get(from..to).map(Value::from),
        Value::Array(items) => items.get(from..to).map(|items| Value::from(items.to_vec())),
        _ => None,
    });
    part.ok_or_else(|| {
        let bounds: Vec<String> = bounds.iter().map(plain).collect();
        Error::new(format!("slice: {} is no part of a length of {length}", bounds.join(" to ")))
    })
}

const HTML: [(char, &str); 5] =
    [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&#34;"), ('\'', "&#39;")];
const SCRIPT: [(char, &str); 7] = [
    ('\\', "\\\\"),
    ('\'', "\\'"),
    ('"', "\\\""),
    ('<', "\\u003C"),
    ('>', "\\u003E"),
    ('&', "\\u0026"),
    ('=', "\\u003D"),
];

fn replaced(text: &str, table: &[(char, &str)]) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match table.iter().find(|(from, _)| *from == letter) {
            Some((_, to)) => out += to,
            None => out.push(letter),
        }
    }
    out
}

fn in_url(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        b' ' => "+".to_owned(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// `%s %d %v %q %t %x %X %f %%`, with `-`, `0`, a width and a precision.
fn print_formatted(format: &str, values: &[Value]) -> Result<String> {
    let mut out = String::new();
    let mut values = values.iter();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('%') {
        out += before;
        let length = after
            .find(|letter: char| letter.is_ascii_alphabetic() || letter == '%')
            .ok_or_else(|| Error::new("printf: % without a letter"))?;
        let (flags, verb) = (&after[..length], &after[length..=length]);
        rest = &after[length + 1..];
        if verb == "%" {
            out.push('%');
            continue;
        }
        let value = values.next().ok_or_else(|| Error::new("printf: more % than values"))?;
        out += &formatted(flags, verb, value).ok_or_else(|| {
            Error::new(format!("printf: %{flags}{verb} is not supported for {}", plain(value)))
        })?;
    }
    Ok(out + rest)
}

/// One value; nothing if there is no such form of it.
fn formatted(flags: &str, verb: &str, value: &Value) -> Option<String> {
    let sizes = flags.trim_start_matches(['-', '0']);
    let flags = &flags[..flags.len() - sizes.len()];
    let (width, precision) = match sizes.split_once('.') {
        Some((width, precision)) => (width, Some(precision)),
        None => (sizes, None),
    };
    let size = |text: &str| match text {
        "" => Some(0),
        text if text.bytes().all(|digit| digit.is_ascii_digit()) => {
            text.parse::<usize>().ok().filter(|size| *size <= 1000)
        }
        _ => None,
    };
    let width = size(width)?;
    let precision = precision.map(size).map_or(Some(None), |size| size.map(Some))?;
    let cut = |text: String| match precision {
        Some(most) => text.chars().take(most).collect(),
        None => text,
    };
    let text = match verb {
        "s" | "v" | "t" => cut(plain(value)),
        "d" => plain(value),
        "q" => Value::from(cut(plain(value))).to_string(),
        "x" => format!("{:x}", value.as_i64()?),
        "X" => format!("{:X}", value.as_i64()?),
        "f" => format!("{:.*}", precision.unwrap_or(6), value.as_f64()?),
        _ => return None,
    };
    Some(match () {
        () if flags.contains('-') => format!("{text:<width$}"),
        () if flags.contains('0') && value.is_number() => {
            let (sign, digits) = text.split_at(usize::from(text.starts_with('-')));
            let width = width.saturating_sub(sign.len());
            format!("{sign}{digits:0>width$}")
        }
        () => format!("{text:>width$}"),
    })
}
