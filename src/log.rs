//! The runtime's log: the one error record that engines read, in `--log` and in their format.
//!
//! containerd takes the last record with level `error`; podman wants the file to hold exactly one JSON object. So nothing
//! but the error is written, unless `--debug` asks for more.

use crate::error::{Context, Error, Result};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// `--log-format`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// `time="…" level=error msg="…"`.
    #[default]
    Text,
    /// `{"level":"error","msg":"…","time":"…"}`.
    Json,
}

/// Where records go.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// `--log`; nothing means that stderr alone is told.
    pub file: Option<PathBuf>,
    /// How records look.
    pub format: Format,
    /// Whether warnings are recorded, too.
    pub debug: bool,
}

impl Log {
    /// Makes sure that the file exists: an engine that finds none hides the real error behind that.
    ///
    /// # Errors
    /// The file cannot be opened for appending.
    pub fn open(&self) -> Result<()> {
        match &self.file {
            Some(_) => self.append(b""),
            None => Ok(()),
        }
    }

    /// Records the error that ends the command.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn error(&self, message: &str) -> Result<()> {
        self.record("error", message)
    }

    /// Tells of something that does not stop the command: on stderr where there is no log file, and in the log with
    /// `--debug`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn warning(&self, message: &str) -> Result<()> {
        if self.file.is_none() {
            let _nobody_may_listen = writeln!(std::io::stderr(), "warning: {message}");
            return Ok(());
        }
        if self.debug { self.record("warning", message) } else { Ok(()) }
    }

    fn record(&self, level: &str, message: &str) -> Result<()> {
        if self.file.is_none() {
            return Ok(());
        }
        self.append(self.format.line(level, message, &now_seconds()).as_bytes())
    }

    /// One write(2) a record, so that records of several processes do not mix.
    fn append(&self, line: &[u8]) -> Result<()> {
        let Some(path) = &self.file else { return Ok(()) };
        let context = || format!("--log {}", path.display());
        let mut file = open(path).context(context)?;
        file.write_all(line).context(context)
    }
}

/// Opens a log file for appending. Who may write in its directory could have put a symlink in its place, to have what we
/// say appended to a file of his choice (CVE-2026-53489): none is followed, but those to our own descriptors.
fn open(path: &Path) -> Result<File> {
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
    fn line(self, level: &str, message: &str, time: &str) -> String {
        let quoted = serde_json::Value::from(message).to_string();
        match self {
            Self::Text => format!("time=\"{time}\" level={level} msg={quoted}\n"),
            Self::Json => format!("{{\"level\":\"{level}\",\"msg\":{quoted},\"time\":\"{time}\"}}\n"),
        }
    }
}

/// The time as RFC 3339 in UTC, to the second.
fn now_seconds() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    timestamp(since.as_secs(), None)
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
    fn records_have_the_keys_that_engines_read() {
        let line = Format::Json.line("error", "say \"no\"\n", "2026-11-28T03:00:00Z");
        assert_eq!(
            line,
            "{\"level\":\"error\",\"msg\":\"say \\\"no\\\"\\n\",\"time\":\"2026-11-28T03:00:00Z\"}\n"
        );
        let line = Format::Text.line("error", "no", "2026-11-28T03:00:00Z");
        assert_eq!(line, "time=\"2026-11-28T03:00:00Z\" level=error msg=\"no\"\n");
    }
}
