//! syslog: a datagram at `/dev/log` in the form of RFC 3164, syslog(3). The time is UTC: receivers on the same machine take
//! their own.

use super::{Level, civil};
use crate::error::Result;
use std::os::unix::net::UnixDatagram;

const SOCKET: &str = "/dev/log";

/// `LOG_USER`.
const FACILITY: u8 = 1;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A socket that is connected to the syslog daemon.
///
/// # Errors
/// There is none.
pub fn connect() -> Result<UnixDatagram> {
    super::connect(SOCKET)
}

/// `<11>Nov 28 03:00:00 web1: message`.
pub fn record(level: Level, tag: &str, message: &str, seconds: u64) -> Vec<u8> {
    let (_, month, day) = civil(seconds / 86_400);
    let month = MONTHS.get(month as usize - 1).unwrap_or(&MONTHS[0]);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let priority = FACILITY * 8 + level.priority();
    format!("<{priority}>{month} {day:2} {hour:02}:{minute:02}:{second:02} {tag}: {message}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_those_of_rfc_3164() {
        assert_eq!(record(Level::Error, "web1", "no", 1_795_834_800), b"<11>Nov 28 03:00:00 web1: no");
        assert_eq!(record(Level::Warning, "a", "odd", 4 * 86_400), b"<12>Jan  5 00:00:00 a: odd");
    }
}
