//! Numbers with units, limits, signals, keys and names.

use crate::container::options::Ulimit;
use crate::error::{Error, Result};

/// Bytes: `1048576`, `512k`, `64m`, `2gb`, `1.5g`, `1GiB`.
///
/// # Errors
/// Names the text.
pub fn bytes(text: &str) -> Result<u64> {
    let bad = || Error::new(format!("\"{text}\" is no size; such are 1048576, 512k, 64m, 2g"));
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let shift = match unit.trim() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(bad()),
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(1 << shift).filter(|bytes| *bytes <= i64::MAX as u64).ok_or_else(bad);
    }
    let (whole, part) = number.split_once('.').ok_or_else(bad)?;
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| bad())? };
    let scale = 10u64
        .checked_pow(u32::try_from(part.len()).map_err(|_| bad())?)
        .filter(|scale| *scale <= 1_000_000)
        .ok_or_else(bad)?;
    let part: u64 = part.parse().map_err(|_| bad())?;
    whole
        .checked_mul(1 << shift)
        .and_then(|bytes| bytes.checked_add((part << shift) / scale))
        .filter(|bytes| *bytes <= i64::MAX as u64)
        .ok_or_else(bad)
}

/// Bytes, or -1 for any number of them.
///
/// # Errors
/// As [`bytes`].
pub fn bytes_or_any(text: &str) -> Result<i64> {
    if text == "-1" {
        return Ok(-1);
    }
    Ok(i64::try_from(bytes(text)?).unwrap_or(i64::MAX))
}

/// Nanoseconds, as Go writes durations: `30s`, `1m30s`, `500ms`, `1.5h`, `0`.
///
/// # Errors
/// Names the text.
pub fn duration(text: &str) -> Result<u64> {
    let bad = || Error::new(format!("\"{text}\" is no duration; such are 500ms, 30s, 1m30s, 2h"));
    if text == "0" {
        return Ok(0);
    }
    let mut rest = text;
    let mut total = 0u64;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').ok_or_else(bad)?;
        let (number, after) = rest.split_at(digits);
        let letters =
            after.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let nanos: u64 = match unit {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err(bad()),
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let whole: u64 = whole.parse().map_err(|_| bad())?;
        let scale = 10u64
            .checked_pow(u32::try_from(part.len()).map_err(|_| bad())?)
            .filter(|scale| *scale <= 1_000_000)
            .ok_or_else(bad)?;
        let part: u64 = part.parse().map_err(|_| bad())?;
        let value =
            whole.checked_mul(nanos).and_then(|value| value.checked_add((nanos / scale).checked_mul(part)?));
        total = value.and_then(|value| total.checked_add(value)).ok_or_else(bad)?;
        rest = after;
    }
    if text.is_empty() { Err(bad()) } else { Ok(total) }
}

/// CPUs in thousandths: `1.5`, `0.25`, `2`.
///
/// # Errors
/// Names the text.
pub fn cpus(text: &str) -> Result<u64> {
    let bad = || Error::new(format!("\"{text}\" is no number of CPUs; such are 0.5, 2"));
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 9 || (whole.is_empty() && part.is_empty()) {
        return Err(bad());
    }
    let number = |text: &str| if text.is_empty() { Ok(0) } else { text.parse::<u64>().map_err(|_| bad()) };
    let part = number(&format!("{part:0<3}")[..3])?;
    number(whole)?.checked_mul(1000).and_then(|whole| whole.checked_add(part)).ok_or_else(bad)
}

/// `nofile=1024:2048`, `core=-1`, `nproc=unlimited`; `host` for all that the caller has.
///
/// # Errors
/// Names what is wrong.
pub fn ulimit(text: &str) -> Result<Ulimit> {
    const NAMES: [&str; 16] = [
        "as",
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ];
    let bad = |why: &str| Error::new(format!("\"{text}\": {why}; such are nofile=1024:2048, core=-1"));
    let (name, value) = text.split_once('=').ok_or_else(|| bad("a name and a limit are needed"))?;
    let name = name.to_ascii_lowercase();
    let name = name.strip_prefix("rlimit_").unwrap_or(&name);
    if !NAMES.contains(&name) {
        return Err(bad(&format!("no limit is named \"{name}\"")));
    }
    let limit = |word: &str| match word {
        "unlimited" | "infinity" | "-1" => Ok(-1),
        word => word
            .parse::<i64>()
            .ok()
            .filter(|limit| *limit >= 0)
            .ok_or_else(|| bad(&format!("\"{word}\" is no limit"))),
    };
    let (soft, hard) = value.split_once(':').unwrap_or((value, value));
    let (soft, hard) = (limit(soft)?, limit(hard)?);
    if hard != -1 && (soft == -1 || soft > hard) {
        return Err(bad("the soft limit is above the hard one"));
    }
    Ok(Ulimit { name: name.into(), soft, hard })
}

/// A name of a volume or a container: a letter or digit, then also `_.-`.
pub fn is_name(text: &str) -> bool {
    let mut letters = text.bytes();
    letters.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && letters.all(|letter| letter.is_ascii_alphanumeric() || b"_.-".contains(&letter))
        && text.len() <= 255
}

/// A signal by number or name, with or without `SIG`.
///
/// # Errors
/// Names the word.
pub fn signal(text: &str) -> Result<i32> {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
        "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
        "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    let bad = || Error::new(format!("\"{text}\" is no signal"));
    if let Ok(number) = text.parse::<i32>() {
        return Some(number).filter(|number| (1..=64).contains(number)).ok_or_else(bad);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(index) = NAMES.iter().position(|known| *known == name) {
        return Ok(i32::try_from(index).unwrap_or(0) + 1);
    }
    let real_time = |prefix: &str| {
        name.strip_prefix(prefix)
            .and_then(|rest| if rest.is_empty() { Some(0) } else { rest.parse::<i32>().ok() })
    };
    let number = match (name, real_time("RTMIN"), real_time("RTMAX")) {
        ("POLL", ..) => 29,
        ("CLD", ..) => 17,
        (_, Some(offset), _) => 34 + offset,
        (_, _, Some(offset)) => 64 + offset,
        _ => return Err(bad()),
    };
    Some(number).filter(|number| (34..=64).contains(number) || matches!(number, 17 | 29)).ok_or_else(bad)
}

/// Detach keys: `ctrl-p,ctrl-q`, `a`, `ctrl-@`; the bytes they send.
///
/// # Errors
/// Names the word.
pub fn detach_keys(text: &str) -> Result<Vec<u8>> {
    text.split(',')
        .filter(|word| !word.is_empty())
        .map(|word| match word.strip_prefix("ctrl-").map(str::as_bytes) {
            Some([letter @ b'a'..=b'z']) => Ok(letter - b'a' + 1),
            Some([letter @ (b'@' | b'[' | b'\\' | b']' | b'^' | b'_')]) => Ok(letter - b'@'),
            None if word.len() == 1 && word.is_ascii() => Ok(word.as_bytes()[0]),
            _ => Err(Error::new(format!("\"{word}\" is no key; such are a, ctrl-p, ctrl-\\"))),
        })
        .collect()
}
