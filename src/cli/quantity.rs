//! Quantities as people type them: `512m`, `1.5g`, `50%`, `1m30s`.

use crate::cgroup::Reclaim;
use std::time::Duration;

/// Reads a size in bytes, with a unit of powers of 1024 as docker and runc read it: `512m`, `1.5 GiB`, `64kb`.
///
/// # Errors
/// What is no size.
pub fn size(text: &str) -> Result<u64, String> {
    let invalid = || format!("{text:?} is no size; write 1048576, 512m or 1.5g");
    let lower = text.trim().to_ascii_lowercase();
    let end = lower.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(end);
    let shift = match unit.strip_prefix(' ').unwrap_or(unit) {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        "p" | "pb" | "pib" => 50,
        _ => return Err(invalid()),
    };
    let is_number = number.starts_with(|first: char| first.is_ascii_digit());
    if let (true, Ok(whole)) = (is_number, number.parse::<u64>()) {
        return whole.checked_mul(1 << shift).ok_or_else(invalid);
    }
    match number.parse::<f64>() {
        Ok(number) if is_number && number * (1u64 << shift) as f64 <= i64::MAX as f64 => {
            Ok((number * (1u64 << shift) as f64) as u64)
        }
        _ => Err(invalid()),
    }
}

/// Reads a limit: a size, or -1 for none.
///
/// # Errors
/// What is neither.
pub fn limit(text: &str) -> Result<i64, String> {
    if text == "-1" {
        return Ok(-1);
    }
    size(text).and_then(|bytes| bytes.try_into().map_err(|_| format!("{text:?} is too large")))
}

/// Reads how much memory is reclaimed: a size, or a part such as `50%`.
///
/// # Errors
/// What is neither.
pub fn reclaim(text: &str) -> Result<Reclaim, String> {
    let Some(percent) = text.strip_suffix('%') else { return size(text).map(Reclaim::Bytes) };
    match percent.trim().parse() {
        Ok(percent @ 1..=100) => Ok(Reclaim::Percent(percent)),
        _ => Err(format!("{text:?} is no part; write 1% to 100%")),
    }
}

/// Reads a span of time as Go does, since callers of runc write it so: `5s`, `1m30s`, `500ms`.
///
/// # Errors
/// What is none, and none at all.
pub fn duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("{text:?} is no duration; write 5s, 1m30s or 500ms");
    let (mut seconds, mut rest) = (0.0, text);
    while !rest.is_empty() {
        let unit = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').ok_or_else(invalid)?;
        let (number, tail) = rest.split_at(unit);
        let end = tail.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let factor = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(invalid()),
        };
        seconds += number.parse::<f64>().map_err(|_| invalid())? * factor;
        rest = tail;
    }
    let duration = Duration::try_from_secs_f64(seconds).map_err(|_| invalid())?;
    if duration.is_zero() { Err("duration interval must be greater than 0".to_owned()) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_of_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("1048576", 1 << 20),
            ("512m", 512 << 20),
            ("512M", 512 << 20),
            ("64kb", 64 << 10),
            ("2 GiB", 2 << 30),
            ("1.5g", 3 << 29),
            ("3b", 3),
            ("1t", 1 << 40),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "m",
            "-1",
            "1x",
            ".5g",
            "1mm",
            "1 k m",
            "0x10",
            "99999999p",
            "1..5m",
            "inf",
            "nan",
            "1mbb",
            "1mii",
            "1i",
            "1bi",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn limits_are_sizes_or_minus_one() {
        assert_eq!((limit("-1"), limit("1g")), (Ok(-1), Ok(1 << 30)));
        for text in ["-2", "-1m", "8192p", "18446744073709551615"] {
            assert!(limit(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, millis) in
            [("5s", 5000), ("1m30s", 90_000), ("500ms", 500), ("1.5h", 5_400_000), ("2000us", 2)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "0s", "5", "5 s", "-5s", "s", "1.2.3s", "5d", "99999999999999999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn memory_is_reclaimed_by_size_or_by_part() {
        assert_eq!(reclaim("64m"), Ok(Reclaim::Bytes(64 << 20)));
        assert_eq!(reclaim("100%"), Ok(Reclaim::Percent(100)));
        for text in ["0%", "101%", "-5%", "%", "half"] {
            assert!(reclaim(text).is_err(), "{text}");
        }
    }
}
