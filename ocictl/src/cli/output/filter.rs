//! `--filter KEY=VALUE`: values of one key are alternatives, keys must all match.

use crate::error::{Error, Result};
use std::collections::BTreeMap;

/// Filters as typed, checked against those that a verb knows.
#[derive(Debug, Default, Clone)]
pub struct Filters {
    by_key: BTreeMap<String, Vec<String>>,
}

impl Filters {
    /// Reads `KEY=VALUE` words.
    ///
    /// # Errors
    /// Names a key that is not among `known`, or a word without a value.
    pub fn parse(words: &[String], known: &[&str]) -> Result<Self> {
        let mut by_key = BTreeMap::<String, Vec<String>>::new();
        for word in words {
            let Some((key, value)) = word.split_once('=') else {
                return Err(Error::new(format!("--filter: \"{word}\" is not KEY=VALUE")));
            };
            if !known.contains(&key) {
                return Err(Error::new(format!("--filter: \"{key}\" is none of {}", known.join(", "))));
            }
            by_key.entry(key.to_owned()).or_default().push(value.to_owned());
        }
        Ok(Self { by_key })
    }

    /// The values of a key; none if it was not given.
    pub fn values(&self, key: &str) -> &[String] {
        self.by_key.get(key).map_or(&[], Vec::as_slice)
    }

    /// Whether a key was not given, or `matches` holds for one of its values.
    pub fn allows(&self, key: &str, matches: impl FnMut(&String) -> bool) -> bool {
        self.by_key.get(key).is_none_or(|values| values.iter().any(matches))
    }

    /// Whether labels match: `label=KEY` or `label=KEY=VALUE`, all of them.
    pub fn allow_labels(&self, labels: &BTreeMap<String, String>) -> bool {
        self.values("label").iter().all(|wanted| match wanted.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|found| found == value),
            None => labels.contains_key(wanted),
        })
    }
}
