//! `--filter KEY=VALUE`: values of one key are alternatives, keys must all match. A verb says which keys it has and what their values are;
//! every value is read before anything is looked at.

use crate::container::parse;
use crate::error::{Error, Result};
use crate::sys::regex::Regex;
use crate::time;
use std::collections::BTreeMap;
use std::ffi::CString;

/// What the values of a key are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A name, or a part of one, as an extended regular expression (regex(7)).
    Pattern,
    /// The front of an ID, or an expression for one.
    Id,
    /// As [`Kind::Id`], of what is known by a digest, which may be told in full: `sha256:` before it.
    Digest,
    /// A pattern of file names: `*`, `?`, `[a-z]`.
    Glob,
    /// `KEY` or `KEY=VALUE`. `label` and `label!` are such.
    Label,
    /// True or false, in Go's words.
    Flag,
    /// A whole number.
    Number,
    /// A point in time, or how long ago that was.
    Time,
    /// One of these words.
    Word(&'static [&'static str]),
}

/// A key that a verb knows.
pub type Key = (&'static str, Kind);

/// A value that was read.
#[derive(Debug)]
enum Meaning {
    Text,
    Pattern(Regex),
    Flag(bool),
    Number(i64),
    Moment(u64),
}

#[derive(Debug)]
struct Wanted {
    text: String,
    meaning: Meaning,
}

/// Filters that were understood.
#[derive(Debug, Default)]
pub struct Filters {
    by_key: BTreeMap<&'static str, Vec<Wanted>>,
}

impl Filters {
    /// Reads `KEY=VALUE` words.
    ///
    /// # Errors
    /// Names the word, what is wrong with it, and what would be right.
    pub fn parse(words: &[String], known: &[Key]) -> Result<Self> {
        let mut by_key = BTreeMap::<&str, Vec<Wanted>>::new();
        for word in words {
            let (key, wanted) = read(word, known)
                .map_err(|error| error.context(format!("--filter \"{word}\"")).exit_code(125))?;
            by_key.entry(key).or_default().push(wanted);
        }
        Ok(Self { by_key })
    }

    fn of(&self, key: &str) -> Option<&[Wanted]> {
        self.by_key.get(key).map(Vec::as_slice)
    }

    /// Whether a key was given.
    pub fn has(&self, key: &str) -> bool {
        self.by_key.contains_key(key)
    }

    /// The values of a key, as typed; none if it was not given.
    pub fn texts(&self, key: &str) -> impl Iterator<Item = &str> {
        self.of(key).unwrap_or_default().iter().map(|wanted| wanted.text.as_str())
    }

    /// Whether a key was not given, or `matches` holds for one of its values as typed.
    pub fn allows(&self, key: &str, matches: impl FnMut(&str) -> bool) -> bool {
        !self.has(key) || self.texts(key).any(matches)
    }

    /// Whether a key was not given, or one of its expressions matches a part of the text ([`Kind::Pattern`], [`Kind::Id`],
    /// [`Kind::Digest`]).
    pub fn match_text(&self, key: &str, text: &str) -> bool {
        let whole = CString::new(text).unwrap_or_default();
        self.of(key).is_none_or(|list| {
            list.iter().any(|wanted| match &wanted.meaning {
                Meaning::Pattern(expression) => expression.is_match(&whole),
                _ => text.starts_with(&wanted.text),
            })
        })
    }

    /// Whether a key was not given, or one of its values is this one ([`Kind::Flag`]).
    pub fn allow_flag(&self, key: &str, found: bool) -> bool {
        self.of(key).is_none_or(|list| {
            list.iter().any(|wanted| matches!(wanted.meaning, Meaning::Flag(flag) if flag == found))
        })
    }

    /// As [`Filters::match_text`], for a name that may be asked for as docker tells it, behind a slash: `^/web$`.
    pub fn match_name(&self, key: &str, name: &str) -> bool {
        let bare = CString::new(name).unwrap_or_default();
        let slashed = CString::new(format!("/{name}")).unwrap_or_default();
        self.of(key).is_none_or(|list| {
            list.iter().any(|wanted| match &wanted.meaning {
                Meaning::Pattern(expression) => {
                    let begins = wanted.text.strip_prefix('^').unwrap_or(&wanted.text);
                    expression.is_match(if begins.starts_with('/') { &slashed } else { &bare })
                }
                _ => name == wanted.text,
            })
        })
    }

    /// Whether a key was not given, or `matches` holds for one of its numbers ([`Kind::Number`]).
    pub fn allow_number(&self, key: &str, matches: impl Fn(i64) -> bool) -> bool {
        self.of(key).is_none_or(|list| {
            list.iter().any(|wanted| matches!(wanted.meaning, Meaning::Number(number) if matches(number)))
        })
    }

    /// Whether something of that time is older than all that was given for a key ([`Kind::Time`]), in nanoseconds since 1970.
    pub fn is_before(&self, key: &str, created: u64) -> bool {
        self.of(key).unwrap_or_default().iter().all(|wanted| match wanted.meaning {
            Meaning::Moment(moment) => created < moment,
            _ => true,
        })
    }

    /// Whether labels match: all of `label=KEY[=VALUE]`, none of `label!=KEY[=VALUE]`.
    pub fn allow_labels(&self, labels: &BTreeMap<String, String>) -> bool {
        let has = |wanted: &str| match wanted.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|found| found == value),
            None => labels.contains_key(wanted),
        };
        self.texts("label").all(has) && !self.texts("label!").any(has)
    }
}

fn read(word: &str, known: &[Key]) -> Result<(&'static str, Wanted)> {
    let keys = || known.iter().map(|(key, _)| *key).collect::<Vec<_>>().join(", ");
    let Some((typed, value)) = word.split_once('=') else {
        return Err(Error::new(format!("it is not KEY=VALUE; the keys are {}", keys())));
    };
    let Some((key, kind)) = known.iter().find(|(key, _)| *key == typed) else {
        return Err(Error::new(format!("\"{typed}\" is none of the keys {}", keys())));
    };
    let value = match kind {
        Kind::Digest => value.strip_prefix("sha256:").unwrap_or(value),
        _ => value,
    };
    let bad = |wanted: &str| Error::new(format!("\"{value}\" is {wanted}"));
    let expression = || Regex::new(value).ok_or_else(|| bad("no regular expression, such as ^web[0-9]+$"));
    let meaning = match kind {
        Kind::Text | Kind::Glob => Meaning::Text,
        Kind::Label if value.split('=').next() == Some("") => {
            return Err(bad("no label: such are KEY and KEY=VALUE"));
        }
        Kind::Label => Meaning::Text,
        Kind::Pattern => Meaning::Pattern(expression()?),
        Kind::Id | Kind::Digest if value.bytes().all(|digit| digit.is_ascii_hexdigit()) => Meaning::Text,
        Kind::Id | Kind::Digest => Meaning::Pattern(expression()?),
        Kind::Flag => Meaning::Flag(match value {
            "true" | "True" | "TRUE" | "t" | "T" | "1" => true,
            "false" | "False" | "FALSE" | "f" | "F" | "0" => false,
            _ => return Err(bad("neither true nor false")),
        }),
        Kind::Number => Meaning::Number(value.parse().map_err(|_| bad("no whole number"))?),
        Kind::Time => Meaning::Moment(moment(value)?),
        Kind::Word(words) if words.contains(&value) => Meaning::Text,
        Kind::Word(words) => return Err(bad(&format!("none of {}", words.join(", ")))),
    };
    Ok((key, Wanted { text: value.to_owned(), meaning }))
}

/// A point in time, or how long ago that was, in nanoseconds since 1970.
///
/// # Errors
/// Names the text.
pub fn moment(text: &str) -> Result<u64> {
    match (time::parse(text), parse::duration(text)) {
        (Some(moment), _) => Ok(moment),
        (None, Ok(ago)) => Ok(time::now().saturating_sub(ago)),
        (None, Err(_)) => Err(Error::new(format!(
            "\"{text}\" is neither a time, such as 2026-11-28T10:00:00Z, nor how long ago it was, such as 24h"
        ))
        .exit_code(125)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Key; 10] = [
        ("name", Kind::Pattern),
        ("id", Kind::Id),
        ("digest", Kind::Digest),
        ("label", Kind::Label),
        ("label!", Kind::Label),
        ("dangling", Kind::Flag),
        ("exited", Kind::Number),
        ("until", Kind::Time),
        ("status", Kind::Word(&["created", "running"])),
        ("reference", Kind::Glob),
    ];

    fn filters(words: &[&str]) -> Filters {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Filters::parse(&words, &KNOWN).expect("understood")
    }

    #[test]
    fn every_bad_value_is_named_with_what_would_be_right() {
        for (word, wanted) in [
            ("status=nonsense", "\"nonsense\" is none of created, running"),
            ("exited=abc", "\"abc\" is no whole number"),
            ("until=…", "\"…\" is neither a time"),
            ("until=", "\"\" is neither a time"),
            ("dangling=maybe", "\"maybe\" is neither true nor false"),
            ("name=[", "\"[\" is no regular expression"),
            ("id=(", "\"(\" is no regular expression"),
            ("label==x", "\"=x\" is no label"),
            ("colour=red", "\"colour\" is none of the keys name, id, digest, label"),
            ("status", "it is not KEY=VALUE; the keys are name, id"),
            ("", "it is not KEY=VALUE"),
        ] {
            let said = Filters::parse(&[word.to_owned()], &KNOWN).expect_err(word);
            assert_eq!(said.code(), 125, "{word}");
            let said = said.to_string();
            assert!(said.starts_with(&format!("--filter \"{word}\": ")) && said.contains(wanted), "{said}");
        }
    }

    #[test]
    fn expressions_match_a_part_and_ids_by_their_front() {
        for (word, text, matches) in [
            ("^a$", "a", true),
            ("^a$", "ab", false),
            ("a", "bab", true),
            ("web-[0-9]+", "web-12", true),
            ("one|two", "two", true),
        ] {
            assert_eq!(
                filters(&[&format!("name={word}")]).match_text("name", text),
                matches,
                "{word} {text}"
            );
        }
        for (word, matches) in [("12ab", true), ("2ab", false), ("^12", true), ("ab$", false), ("b3$", true)]
        {
            assert_eq!(filters(&[&format!("id={word}")]).match_text("id", "12ab3"), matches, "{word}");
        }
        for (word, matches) in [
            ("sha256:12ab3", true),
            ("sha256:12", true),
            ("12", true),
            ("sha256:2ab", false),
            ("sha256:^12", true),
        ] {
            let filter = filters(&[&format!("digest={word}")]);
            assert_eq!(filter.match_text("digest", "12ab3"), matches, "{word}");
        }
        assert!(!filters(&["id=sha256:12"]).match_text("id", "12ab3"), "it is no digest");
        assert!(filters(&[]).match_text("name", "anything"));
    }

    #[test]
    fn a_slash_stands_before_a_name_only_for_who_asks_for_it() {
        for (word, matches) in [
            ("^/web-1$", true),
            ("/web", true),
            ("^web", true),
            ("web", true),
            ("^[^w]", false),
            ("^.web", false),
            ("^/eb", false),
            ("^/", true),
        ] {
            assert_eq!(filters(&[&format!("name={word}")]).match_name("name", "web-1"), matches, "{word}");
        }
        assert!(filters(&["name=^/x$", "name=^w"]).match_name("name", "web-1"));
        assert!(filters(&[]).match_name("name", "anything"));
    }

    #[test]
    fn values_of_a_key_are_alternatives_and_labels_are_not() {
        let chosen = filters(&["name=^a$", "name=^b$", "dangling=1", "exited=3", "exited=4"]);
        assert!(chosen.match_text("name", "b") && !chosen.match_text("name", "c"));
        assert!(chosen.allow_flag("dangling", true) && !chosen.allow_flag("dangling", false));
        assert!(
            chosen.allow_number("exited", |code| code == 4)
                && !chosen.allow_number("exited", |code| code == 5)
        );
        let labels = BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())]);
        for (words, allowed) in [
            (&["label=a", "label=b"][..], true),
            (&["label=a=1"], true),
            (&["label=a=2"], false),
            (&["label=a", "label=c"], false),
            (&["label!=c"], true),
            (&["label!=a=1"], false),
        ] {
            assert_eq!(filters(words).allow_labels(&labels), allowed, "{words:?}");
        }
        assert!(
            filters(&["until=1h"]).is_before("until", 1)
                && !filters(&["until=1h"]).is_before("until", u64::MAX)
        );
    }
}
