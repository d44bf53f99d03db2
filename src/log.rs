//! The runtime's log: the one error record that engines read, in `--log` and in their format; or in that of the machine's
//! loggers.
//!
//! containerd takes the last record with level `error`; podman wants the file to hold exactly one JSON object. So nothing
//! but the error is written, unless `--log-level` or `--debug` asks for more.

mod journal;
mod syslog;

use crate::error::{Context, Error, Result};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// What records are named by, where the user gives no other name.
const NAME: &str = "corten";

/// `--log-format`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// `time="…" level=error msg="…"`.
    #[default]
    Text,
    /// `{"level":"error","msg":"…","time":"…"}`.
    Json,
}

/// How much a record matters; the more it does, the less it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The command ends with it.
    Error,
    /// The command goes on.
    Warning,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }

    /// As syslog(3) numbers them.
    fn priority(self) -> u8 {
        match self {
            Self::Error => 3,
            Self::Warning => 4,
        }
    }
}

/// Where records go beside stderr: what `--log` names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Destination {
    /// Nowhere.
    #[default]
    Stderr,
    /// `PATH` or `file:PATH`.
    File(PathBuf),
    /// `journald:[IDENTIFIER]`: systemd's journal.
    Journal(Option<String>),
    /// `syslog:[IDENTIFIER]`.
    Syslog(Option<String>),
}

impl Destination {
    /// What `--log` means: one of crun's words and a colon, or a path.
    pub fn named(value: &OsStr) -> Self {
        let identifier = |name: &[u8]| (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned());
        let bytes = value.as_bytes();
        if let Some(name) = bytes.strip_prefix(b"journald:") {
            Self::Journal(identifier(name))
        } else if let Some(name) = bytes.strip_prefix(b"syslog:") {
            Self::Syslog(identifier(name))
        } else {
            Self::File(OsStr::from_bytes(bytes.strip_prefix(b"file:").unwrap_or(bytes)).into())
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stderr => out.write_str("stderr"),
            Self::File(path) if path.as_os_str().is_empty() => out.write_str("file:"),
            Self::File(path) => path.display().fmt(out),
            Self::Journal(name) => write!(out, "journald:{}", name.as_deref().unwrap_or_default()),
            Self::Syslog(name) => write!(out, "syslog:{}", name.as_deref().unwrap_or_default()),
        }
    }
}

/// Where records go, and how.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// `--log`.
    pub destination: Destination,
    /// How records look in a file.
    pub format: Format,
    /// `--log-level`, or `--debug`: what is told, on stderr and in the log. Where nobody asked, the log has the error alone, and
    /// warnings go to stderr where there is no log.
    pub level: Option<Level>,
    /// The container that the command is about.
    pub container: Option<String>,
}

impl Log {
    /// Makes sure that records can be written: an engine that finds no file hides the real error behind that.
    ///
    /// # Errors
    /// The file cannot be opened for appending; nobody listens at the socket.
    pub fn open(&self) -> Result<()> {
        match &self.destination {
            Destination::Stderr => return Ok(()),
            Destination::File(path) => open(path).map(drop),
            Destination::Journal(_) => journal::connect().map(drop),
            Destination::Syslog(_) => syslog::connect().map(drop),
        }
        .map_err(|error| error.context(self.context()))
    }

    /// Records the error that ends the command.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn error(&self, message: &str) -> Result<()> {
        self.record(Level::Error, message)
    }

    /// Tells of something that does not stop the command: on stderr where there is no log; in the log when it was asked for.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn warning(&self, message: &str) -> Result<()> {
        let here = self.destination == Destination::Stderr;
        let level = self.level.unwrap_or(if here { Level::Warning } else { Level::Error });
        if level < Level::Warning {
            return Ok(());
        }
        if here {
            let _nobody_may_listen = writeln!(std::io::stderr(), "warning: {message}");
            return Ok(());
        }
        self.record(Level::Warning, message)
    }

    /// One write(2) or send(2) a record, so that records of several processes do not mix.
    fn record(&self, level: Level, message: &str) -> Result<()> {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let container = self.container.as_deref();
        let sent = |socket: UnixDatagram, record: Vec<u8>| Ok(socket.send(&record).map(drop)?);
        match &self.destination {
            Destination::Stderr => return Ok(()),
            Destination::File(path) => {
                let line = self.format.line(level, message, &timestamp(seconds, None));
                open(path).and_then(|mut file| Ok(file.write_all(line.as_bytes())?))
            }
            Destination::Journal(name) => {
                let name = name.as_deref().unwrap_or(NAME);
                journal::connect()
                    .and_then(|socket| sent(socket, journal::record(level, name, container, message)))
            }
            Destination::Syslog(name) => {
                let tag = name.as_deref().or(container).unwrap_or(NAME);
                syslog::connect()
                    .and_then(|socket| sent(socket, syslog::record(level, tag, message, seconds)))
            }
        }
        .map_err(|error: Error| error.context(self.context()))
    }

    fn context(&self) -> String {
        format!("--log {}", self.destination)
    }
}

/// A socket that is connected to a logger of the machine.
fn connect(path: &str) -> Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path).context(|| path)?;
    Ok(socket)
}

/// Opens a log file for appending. Who may write in its directory could have put a symlink in its place, to have what we
/// say appended to a file of his choice (CVE-2026-53489): none is followed, but those to our own descriptors.
fn open(path: &Path) -> Result<File> {
    if path.as_os_str().is_empty() {
        return Err(Error::new("names no file"));
    }
    let mut flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC;
    // A pipe that nobody reads is an error, not a wait.
    flags |= OFlags::NOCTTY | OFlags::NONBLOCK;
    if !leads_to_descriptor(path) {
        flags |= OFlags::NOFOLLOW;
    }
    match rustix::fs::openat(CWD, path, flags, Mode::from_raw_mode(0o644)) {
        Ok(file) => Ok(file.into()),
        Err(Errno::LOOP) => Err(Error::new("is a symlink, which a log file may not be")),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether the path is `/dev/stderr` or of that kind: symlinks that nobody but root can have made.
fn leads_to_descriptor(path: &Path) -> bool {
    let directories = ["/dev", "/dev/fd", "/proc/self/fd"];
    path.parent().is_some_and(|parent| directories.iter().any(|directory| parent == Path::new(directory)))
}

impl Format {
    fn line(self, level: Level, message: &str, time: &str) -> String {
        let level = level.word();
        let quoted = serde_json::Value::from(message).to_string();
        match self {
            Self::Text => format!("time=\"{time}\" level={level} msg={quoted}\n"),
            Self::Json => format!("{{\"level\":\"{level}\",\"msg\":{quoted},\"time\":\"{time}\"}}\n"),
        }
    }
}

/// A time as RFC 3339 in UTC: seconds since 1970, with the nanoseconds when they are given.
pub fn timestamp(seconds: u64, nanoseconds: Option<u32>) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    let fraction = nanoseconds.map_or_else(String::new, |nanoseconds| format!(".{nanoseconds:09}"));
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// The date of a day since 1970, in the Gregorian calendar; years start in March so that the leap day comes last.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        for (seconds, nanoseconds, expected) in [
            (0, None, "1970-01-01T00:00:00Z"),
            (951_826_154, None, "2000-02-29T12:09:14Z"),
            (1_795_834_800, Some(42), "2026-11-28T03:00:00.000000042Z"),
        ] {
            assert_eq!(timestamp(seconds, nanoseconds), expected);
        }
    }

    #[test]
    fn destinations_are_cruns() {
        for (value, destination) in [
            ("/l", Destination::File("/l".into())),
            ("file:/l", Destination::File("/l".into())),
            ("file:", Destination::File("".into())),
            ("journald:", Destination::Journal(None)),
            ("journald:a", Destination::Journal(Some("a".into()))),
            ("syslog:", Destination::Syslog(None)),
            ("syslog:a:b", Destination::Syslog(Some("a:b".into()))),
            ("journald", Destination::File("journald".into())),
        ] {
            assert_eq!(Destination::named(OsStr::new(value)), destination, "{value}");
        }
    }

    #[test]
    fn records_have_the_keys_that_engines_read() {
        let line = Format::Json.line(Level::Error, "say \"no\"\n", "2026-11-28T03:00:00Z");
        assert_eq!(
            line,
            "{\"level\":\"error\",\"msg\":\"say \\\"no\\\"\\n\",\"time\":\"2026-11-28T03:00:00Z\"}\n"
        );
        let line = Format::Text.line(Level::Error, "no", "2026-11-28T03:00:00Z");
        assert_eq!(line, "time=\"2026-11-28T03:00:00Z\" level=error msg=\"no\"\n");
    }
}
