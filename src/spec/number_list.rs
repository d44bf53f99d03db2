//! Lists of CPUs or NUMA nodes as the kernel writes them, `0-3,7` (cpuset(7), "List format").

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt::{self, Display, Formatter};
use std::ops::RangeInclusive;

/// The highest CPU or node that a list may name: far above any kernel's limit, and small enough for a mask.
const HIGHEST: u32 = 65_535;

/// A list of CPUs or NUMA nodes that names at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberList {
    ranges: Vec<RangeInclusive<u32>>,
}

impl NumberList {
    /// Reads `0-3,7`; blanks and empty elements are allowed.
    ///
    /// # Errors
    /// What is wrong with the text, which it quotes.
    pub fn parse(text: &str) -> Result<Self, String> {
        let elements = text.split(',').map(str::trim).filter(|element| !element.is_empty());
        let ranges = elements
            .map(|element| {
                range(element)
                    .ok_or_else(|| format!("{element:?} in the list {text:?} is no number or range"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        if ranges.is_empty() {
            return Err(format!("the list {text:?} names no number"));
        }
        Ok(Self { ranges })
    }

    /// The list as the kernel's calls take it: bit `n % 64` of word `n / 64` for each number `n`.
    pub fn mask(&self) -> Vec<u64> {
        let highest = self.ranges.iter().map(|range| *range.end()).max().unwrap_or(0);
        let mut mask = vec![0; highest as usize / 64 + 1];
        for number in self.ranges.iter().cloned().flatten() {
            mask[number as usize / 64] |= 1 << (number % 64);
        }
        mask
    }
}

impl Display for NumberList {
    /// The list as it was read, without blanks: `0-3,7`.
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        for (index, range) in self.ranges.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match (range.start(), range.end()) {
                (first, last) if first == last => write!(out, "{comma}{first}")?,
                (first, last) => write!(out, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl Serialize for NumberList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads one element: `7`, or `0-3`.
fn range(element: &str) -> Option<RangeInclusive<u32>> {
    let (first, last) = element.split_once('-').unwrap_or((element, element));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some(first..=last)
}

fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number <= HIGHEST)
}

/// Reads an optional list, where an empty string is none.
///
/// # Errors
/// The property is no string, or no list.
pub(super) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NumberList>, D::Error> {
    match Option::<String>::deserialize(deserializer)? {
        Some(text) if !text.is_empty() => NumberList::parse(&text).map(Some).map_err(de::Error::custom),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_becomes_a_mask() {
        for (text, mask) in [
            ("0", vec![1]),
            ("0-3,7", vec![0b1000_1111]),
            (" 1 , , 64 ", vec![2, 1]),
            ("62-65", vec![0b11 << 62, 0b11]),
        ] {
            assert_eq!(NumberList::parse(text).unwrap().mask(), mask, "{text}");
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for (text, message) in [
            ("3-1", r#""3-1" in the list "3-1" is no number or range"#),
            ("0,a", r#""a" in the list "0,a" is no number or range"#),
            ("+1", r#""+1" in the list "+1" is no number or range"#),
            ("65536", r#""65536" in the list "65536" is no number or range"#),
            ("1-", r#""1-" in the list "1-" is no number or range"#),
            (",", r#"the list "," names no number"#),
        ] {
            assert_eq!(NumberList::parse(text).unwrap_err(), message);
        }
    }
}
