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
            Ok(Value::from(text.split(&separator).map(Value::from).collect::<Vec<_>>()))
        }
        ("truncate", [text, length]) => {
            let length = length.as_u64().and_then(|length| usize::try_from(length).ok());
            match length {
                Some(length) => Ok(Value::from(plain(text).chars().take(length).collect::<String>())),
                None => wrong("a text and a length"),
            }
        }
        ("println", values) => Ok(Value::from(values.iter().map(plain).collect::<Vec<_>>().join(" ") + "\n")),
        ("print", values) => Ok(Value::from(values.iter().map(plain).collect::<String>())),
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
        ("index" | "split" | "truncate" | "printf" | "and" | "or" | "eq" | "ne" | "lt" | "le" | "gt" | "ge" | "len" | "size", _) => wrong("other arguments"),
        _ => Err(Error::new(format!("\"{name}\" is no function"))
            .hint("there are json join split index len upper lower title truncate print printf println eq ne lt le gt ge and or not")),
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
        (Value::Object(fields), Value::String(key)) => Ok(fields.get(key).cloned().unwrap_or(Value::Null)),
        (Value::Null, _) => Ok(Value::Null),
        _ => Err(Error::new(format!("index: {} has no item {}", plain(value), plain(key)))),
    }
}

/// `%s %d %v %q %t %%`, with a width and `-`.
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
        let text = match verb {
            "s" | "d" | "v" | "t" => plain(value),
            "q" => Value::from(plain(value)).to_string(),
            other => return Err(Error::new(format!("printf: %{other} is not supported"))),
        };
        let left = flags.starts_with('-');
        let width: usize = match flags.trim_start_matches('-') {
            "" => 0,
            width => width
                .parse()
                .ok()
                .filter(|width| *width <= 1000)
                .ok_or_else(|| Error::new(format!("printf: %{flags}{verb} is not supported")))?,
        };
        out += &if left { format!("{text:<width$}") } else { format!("{text:>width$}") };
    }
    Ok(out + rest)
}
