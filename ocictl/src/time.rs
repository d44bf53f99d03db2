//! Points in time as nanoseconds since 1970 (UTC), and as RFC 3339 writes them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const SECOND: u64 = 1_000_000_000;

/// Now.
pub fn now() -> u64 {
    u64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(0)
}

/// `2026-11-21T22:37:13.123456789Z`; the zero time of docker's JSON for 0.
pub fn rfc3339(nanos: u64) -> String {
    if nanos == 0 {
        return "0001-01-01T00:00:00Z".into();
    }
    // 2554, where the number ends, is before the last year that can be written.
    Timestamp::from_nanosecond(nanos.into()).map_or_else(|_| String::new(), |time| format!("{time:.9}"))
}

/// Reads what [`rfc3339`] writes, with or without fractions, and with an offset; what has none is in UTC, and may be a date
/// alone; also seconds since 1970.
pub fn parse(text: &str) -> Option<u64> {
    if let Ok(seconds) = text.parse::<u64>() {
        return seconds.checked_mul(SECOND);
    }
    let in_utc = || TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok();
    let time: Timestamp = text.parse().ok().or_else(in_utc)?;
    u64::try_from(time.as_nanosecond()).ok()
}

/// Seconds since 1970 of a time as RFC 3339 writes it.
pub fn seconds(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_second)
}

/// `3 days ago`, from a time as RFC 3339 writes it; empty if it is none.
pub fn ago(text: Option<&str>) -> String {
    let Some(then) = text.and_then(seconds) else { return String::new() };
    let since = Timestamp::now().as_second().saturating_sub(then);
    format!("{} ago", words(u64::try_from(since).unwrap_or(0).saturating_mul(SECOND)))
}

/// A span, as docker and podman say it: `5 seconds`, `About a minute`, `3 weeks`.
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
        assert_eq!(parse("2000-02-29 00:00:00"), Some(951_782_400 * SECOND));
        assert_eq!(parse("2000-02-29"), Some(951_782_400 * SECOND));
        for text in ["", "yesterday", "2026-13-01T00:00:00Z", "1960-01-01T00:00:00Z", "2026-01-01T00:00:00.x"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn times_of_images_are_told_by_their_distance() {
        assert_eq!(seconds("2026-11-28T06:00:00+02:00"), Some(1_795_838_400));
        assert_eq!(seconds("0001-01-01T00:00:00Z"), Some(-62_135_596_800));
        for bad in ["", "yesterday", "2024-13-01T00:00:00Z", "2024-01-01T00:00:00", "2024-01-01T00:00:00é"] {
            assert_eq!(seconds(bad), None, "{bad}");
            assert_eq!(ago(Some(bad)), "", "{bad}");
        }
        assert_eq!(
            ago(Some("2020-01-01T00:00:00Z")),
            format!("{} ago", words(now() - 1_577_836_800 * SECOND))
        );
        assert_eq!(ago(Some("2553-01-01T00:00:00Z")), "Less than a second ago");
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
