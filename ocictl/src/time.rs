//! Points in time as nanoseconds since 1970 (UTC), and as RFC 3339 writes them.

use std::time::{SystemTime, UNIX_EPOCH};

const SECOND: u64 = 1_000_000_000;

/// Now.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// `2026-11-21T22:37:13.123456789Z`; the zero time of docker's JSON for 0.
pub fn rfc3339(nanos: u64) -> String {
    if nanos == 0 {
        return "0001-01-01T00:00:00Z".into();
    }
    let (seconds, rest) = (nanos / SECOND, nanos % SECOND);
    let (year, month, day) = date(seconds / 86_400);
    let of_day = seconds % 86_400;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{rest:09}Z",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

/// The day so many days after 1970-01-01, in the Gregorian calendar: by eras of 400 years that begin in March.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

/// Reads what [`rfc3339`] writes, with or without fractions, and with an offset; also seconds since 1970.
pub fn parse(text: &str) -> Option<u64> {
    if let Ok(seconds) = text.parse::<u64>() {
        return seconds.checked_mul(SECOND);
    }
    let (day, clock) = text.split_once(['T', 't', ' '])?;
    let mut fields = day.split('-').map(|field| field.parse::<u64>().ok());
    let (year, month, day) = (fields.next()??, fields.next()??, fields.next()??);
    let (clock, offset_minutes) = match clock.find(['Z', 'z', '+', '-']) {
        None => (clock, 0),
        Some(at) if clock[at..].eq_ignore_ascii_case("z") => (&clock[..at], 0),
        Some(at) => {
            let (hours, minutes) = clock[at + 1..].split_once(':')?;
            let minutes = hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?;
            (&clock[..at], if clock.as_bytes()[at] == b'-' { -minutes } else { minutes })
        }
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut fields = clock.split(':').map(|field| field.parse::<u64>().ok());
    let (hour, minute, second) = (fields.next()??, fields.next()??, fields.next().unwrap_or(Some(0))?);
    if !(1970..3000).contains(&year)
        || !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    if fraction.len() > 9 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let shifted = (month + 9) % 12;
    let year = year - u64::from(month <= 2);
    let of_era =
        (year % 400) * 365 + (year % 400) / 4 - (year % 400) / 100 + (153 * shifted + 2) / 5 + day - 1;
    let days = (year / 400 * 146_097 + of_era).checked_sub(719_468)?;
    let seconds =
        i64::try_from(days * 86_400 + hour * 3600 + minute * 60 + second).ok()? - offset_minutes * 60;
    let nanos: u64 = format!("{fraction:0<9}").parse().ok()?;
    u64::try_from(seconds).ok()?.checked_mul(SECOND)?.checked_add(nanos)
}

/// How long ago that was, as docker says it: `5 seconds`, `About a minute`, `3 weeks`.
pub fn words(nanos: u64) -> String {
    let seconds = nanos / SECOND;
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match (seconds, minutes, hours) {
        (0, ..) => "Less than a second".into(),
        (1, ..) => "1 second".into(),
        (2..60, ..) => format!("{seconds} seconds"),
        (_, 1, _) => "About a minute".into(),
        (_, 2..60, _) => format!("{minutes} minutes"),
        (.., 0..=1) => "About an hour".into(),
        (.., 2..48) => format!("{hours} hours"),
        (.., 48..336) => format!("{} days", hours / 24),
        (.., 336..1440) => format!("{} weeks", hours / 24 / 7),
        (.., 1440..17520) => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read() {
        for (nanos, text) in [
            (1, "1970-01-01T00:00:00.000000001Z"),
            (951_782_400 * SECOND, "2000-02-29T00:00:00.000000000Z"),
            (1_795_820_233 * SECOND + 500, "2026-11-27T22:57:13.000000500Z"),
        ] {
            assert_eq!(rfc3339(nanos), text);
            assert_eq!(parse(text), Some(nanos), "{text}");
        }
        assert_eq!(parse("2000-02-29T01:00:00+01:00"), Some(951_782_400 * SECOND));
        assert_eq!(parse("951782400"), Some(951_782_400 * SECOND));
        for text in ["", "yesterday", "2026-13-01T00:00:00Z", "1960-01-01T00:00:00Z", "2026-01-01T00:00:00.x"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn spans_have_words() {
        for (seconds, wanted) in [
            (0, "Less than a second"),
            (30, "30 seconds"),
            (90, "About a minute"),
            (4000, "About an hour"),
            (7300, "2 hours"),
            (86_400 * 3, "3 days"),
        ] {
            assert_eq!(words(seconds * SECOND), wanted);
        }
    }
}
