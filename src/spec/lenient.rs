//! Leniency that every caller of a Go runtime relies on: `null` is the same as an absent property, and an empty string
//! is the same as no string.

use serde::{Deserialize, Deserializer};

/// Reads a value or its default where the property is `null`; use it together with `#[serde(default)]`.
///
/// # Errors
/// The error of the value's own type.
pub fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads an optional string, where an empty one is none; use it together with `#[serde(default)]`.
///
/// # Errors
/// The property is not a string.
pub fn non_empty<'de, D>(deserializer: D) -> Result<Option<String>, D::Error>
where
    D: Deserializer<'de>,
{
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}
