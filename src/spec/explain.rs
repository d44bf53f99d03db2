//! What serde says about a wrong file, in the words of the file: places as a user would write them, `object` and `array`
//! for `struct`, `map` and `sequence`, and the range of a number for its Rust type.

use super::keys::Segment;
use crate::error::Error;
use serde_json::error::Category;

/// An error about the JSON itself, with line and column, or about one value, with its place.
pub(super) fn explain(way: &[Segment], json: &serde_json::Error) -> Error {
    let mut at = place(way);
    let position = format!(" at line {} column {}", json.line(), json.column());
    let text = json.to_string();
    let text = text.strip_suffix(&position).unwrap_or(&text);
    if json.classify() != Category::Data {
        let text = text
            .strip_prefix("EOF while parsing")
            .map_or(text.to_owned(), |what| format!("ends within{what}"));
        return Error::new(text).context(format!("line {}, column {}", json.line(), json.column()));
    }
    let mut what = plain(text);
    for (shape, meaning) in [("missing field `", "missing"), ("duplicate field `", "given twice")] {
        if let Some(field) = text.strip_prefix(shape).and_then(|rest| rest.strip_suffix('`')) {
            push_key(&mut at, field);
            meaning.clone_into(&mut what);
        }
    }
    let error = Error::new(what);
    if at.is_empty() { error } else { error.context(at) }
}

/// A place as a path: `linux.namespaces[2].type`, `linux.sysctl["net.core.somaxconn"]`.
fn place(way: &[Segment]) -> String {
    let mut place = String::new();
    for segment in way {
        match segment {
            Segment::Index(index) => place.push_str(&format!("[{index}]")),
            Segment::Key(key) => push_key(&mut place, key),
        }
    }
    place
}

/// Appends a key to a place, quoted where it is no plain name.
pub(super) fn push_key(place: &mut String, key: &str) {
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        place.push_str(&format!("[{key:?}]"));
    } else if place.is_empty() {
        place.push_str(key);
    } else {
        place.push('.');
        place.push_str(key);
    }
}

/// serde's sentence as `expected …, found …`; what was said by ourselves remains.
fn plain(text: &str) -> String {
    let shaped = text.strip_prefix("invalid type: ").or_else(|| text.strip_prefix("invalid value: "));
    let Some((found, expected)) = shaped.and_then(|rest| rest.rsplit_once(", expected ")) else {
        return text.to_owned();
    };
    format!("expected {}, found {}", expectation(expected), finding(found))
}

fn expectation(expected: &str) -> &str {
    match expected {
        "a sequence" => "an array",
        "a map" => "an object",
        "u16" => "an integer from 0 to 65535",
        "u32" => "an integer from 0 to 4294967295",
        "u64" => "an integer from 0 to 18446744073709551615",
        "i32" => "an integer from -2147483648 to 2147483647",
        "i64" => "an integer from -9223372036854775808 to 9223372036854775807",
        other if other.starts_with("struct ") => "an object",
        other => other,
    }
}

fn finding(found: &str) -> String {
    match found {
        "map" => "an object".to_owned(),
        "sequence" => "an array".to_owned(),
        _ => {
            let bare = ["integer `", "floating point `", "boolean `"]
                .iter()
                .find_map(|kind| found.strip_prefix(kind));
            bare.and_then(|value| value.strip_suffix('`')).unwrap_or(found).to_owned()
        }
    }
}
