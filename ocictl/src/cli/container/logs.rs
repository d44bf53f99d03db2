//! `logs`: what a container has printed, from either format of log file.

use super::super::output::moment;
use super::super::{Invocation, SUCCESS};
use crate::container::Containers;
use crate::container::calling;
use crate::container::monitor::log;
use crate::container::options::LogDriver;
use crate::container::record::{Container, is_stopped};
use crate::error::{Context, Error, Result};
use crate::time;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the monitor of a program that has ended may stand still.
const STOPPED: Duration = Duration::from_secs(1);

/// What `logs` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The container
    #[arg(value_name = "CONTAINER")]
    name: String,
    /// Go on until it ends
    #[arg(long, short)]
    follow: bool,
    /// Print when each line was printed
    #[arg(long, short)]
    timestamps: bool,
    /// The last N lines
    #[arg(
        long,
        short = 'n',
        visible_alias = "lines",
        value_name = "N",
        default_value = "all",
        allow_hyphen_values = true
    )]
    tail: String,
    /// Since a time, or as long ago
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Until a time, or as long ago
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Print its name in front of each line
    #[arg(long)]
    names: bool,
}

/// `logs`.
pub fn logs(invocation: &Invocation, arguments: Arguments) -> Result<u8> {
    let store = invocation.store()?;
    let container = Containers::open(&store)?.find(&arguments.name)?;
    let options = &container.record.options;
    if options.log.driver == LogDriver::None {
        return Err(Error::new("it keeps no log: --log-driver none").context(container.place()));
    }
    let tail = match arguments.tail.as_str() {
        "all" | "-1" => usize::MAX,
        text => {
            text.parse().map_err(|_| Error::new(format!("--tail: \"{text}\" is no number")).exit_code(125))?
        }
    };
    let printer = Printer {
        driver: options.log.driver,
        prefix: if arguments.names { format!("{} ", container.record.name) } else { String::new() },
        timestamps: arguments.timestamps,
        since: arguments.since.as_deref().map(moment).transpose().context(|| "--since")?.unwrap_or(0),
        until: arguments.until.as_deref().map(moment).transpose().context(|| "--until")?.unwrap_or(u64::MAX),
    };
    match printer.run(&container, tail, arguments.follow) {
        Err(error) if error.errno() == Some(libc::EPIPE) => Ok(SUCCESS),
        result => result.map(|()| SUCCESS),
    }
}

struct Printer {
    driver: LogDriver,
    prefix: String,
    timestamps: bool,
    since: u64,
    until: u64,
}

/// Opens a log; what a symlink in its place leads to is somebody else's.
fn open(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options().read(true).custom_flags(libc::O_NOFOLLOW).open(path)
}

/// A line of a log.
#[derive(Debug, PartialEq, Eq)]
struct Entry<'a> {
    stamp: &'a str,
    is_stderr: bool,
    text: Cow<'a, [u8]>,
}

impl Printer {
    fn run(&self, container: &Container, tail: usize, follow: bool) -> Result<()> {
        let path = log::path(&container.record.options.log, &container.directory);
        let older =
            (1..container.record.options.log.max_files).rev().map(|number| log::numbered(&path, number));
        let mut waiting = VecDeque::new();
        let mut last: Option<File> = None;
        for file in older.chain([path.clone()]) {
            let file = match open(&file) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                file => file.context(|| format!("log {}", path.display()))?,
            };
            let mut reader = BufReader::new(file);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line)? > 0 {
                if !line.ends_with(b"\n") {
                    reader.seek_relative(-i64::try_from(line.len()).unwrap_or(0))?;
                    break;
                }
                match tail {
                    usize::MAX => self.print(&line)?,
                    0 => {}
                    _ => {
                        if waiting.len() == tail {
                            waiting.pop_front();
                        }
                        waiting.push_back(line.clone());
                    }
                }
                line.clear();
            }
            let position = reader.stream_position()?;
            let mut file = reader.into_inner();
            file.seek(SeekFrom::Start(position))?;
            last = Some(file);
        }
        for line in &waiting {
            self.print(line)?;
        }
        if follow { self.follow(container, &path, last) } else { Ok(()) }
    }

    /// Prints what is added until the container has ended for good.
    fn follow(&self, container: &Container, path: &Path, last: Option<File>) -> Result<()> {
        let mut reader = last.map(BufReader::new);
        let mut line = Vec::new();
        let mut goes_on = Instant::now();
        let mut was_left = false;
        loop {
            // Asked first, so that nothing is added after the last look.
            let (state, status) = container.now()?;
            let over = !status.lives() && !container.is_monitored();
            if status.lives() || !is_stopped(&state) {
                goes_on = Instant::now();
            }
            if reader.is_none() {
                reader = open(path).ok().map(BufReader::new);
            }
            while let Some(from) = &mut reader
                && from.read_until(b'\n', &mut line)? > 0
            {
                if line.ends_with(b"\n") {
                    self.print(&line)?;
                    line.clear();
                }
            }
            if let Some(from) = &reader {
                let held = from.get_ref().metadata()?.ino();
                if std::fs::metadata(path).is_ok_and(|current| current.ino() != held) {
                    // The next file has begun: what was added to this one meanwhile is read first.
                    if was_left {
                        let next = after(path, container.record.options.log.max_files, held);
                        reader = open(&next).ok().map(BufReader::new);
                    }
                    was_left = !was_left;
                    continue;
                }
            }
            if over {
                return Ok(());
            }
            if goes_on.elapsed() > STOPPED {
                return Err(calling::silent(container));
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    fn print(&self, line: &[u8]) -> Result<()> {
        let Some(entry) = parse(self.driver, line.strip_suffix(b"\n").unwrap_or(line)) else { return Ok(()) };
        if self.since > 0 || self.until < u64::MAX {
            let moment = time::parse(entry.stamp).unwrap_or(0);
            if moment < self.since || moment > self.until {
                return Ok(());
            }
        }
        let stamp = if self.timestamps { format!("{} ", entry.stamp) } else { String::new() };
        let whole = [self.prefix.as_bytes(), stamp.as_bytes(), &entry.text].concat();
        match entry.is_stderr {
            true => std::io::stderr().write_all(&whole)?,
            false => std::io::stdout().write_all(&whole).and_then(|()| std::io::stdout().flush())?,
        }
        Ok(())
    }
}

/// The file that was begun after the one with this inode, which may have been turned several times since.
fn after(path: &Path, max_files: u32, inode: u64) -> PathBuf {
    let is_it = |number: &u32| {
        std::fs::metadata(log::numbered(path, *number)).is_ok_and(|metadata| metadata.ino() == inode)
    };
    let there = |number: &u32| std::fs::symlink_metadata(log::numbered(path, *number)).is_ok();
    let next = match (1..max_files).find(is_it) {
        Some(number) => number - 1,
        // It has gone: with the oldest that is there goes on what is left.
        None => (1..max_files).rev().find(there).unwrap_or(0),
    };
    log::numbered(path, next)
}

/// A line as it was printed; the end of a line that was not printed yet is left out.
fn parse(driver: LogDriver, line: &[u8]) -> Option<Entry<'_>> {
    match driver {
        LogDriver::K8sFile => {
            let mut fields = line.splitn(4, |byte| *byte == b' ');
            let stamp = std::str::from_utf8(fields.next()?).ok()?;
            let (stream, flag) = (fields.next()?, fields.next()?);
            let text = fields.next().unwrap_or_default();
            let text = if flag == b"P" { text.into() } else { [text, b"\n"].concat().into() };
            Some(Entry { stamp, is_stderr: stream == b"stderr", text })
        }
        LogDriver::JsonFile => {
            let line = std::str::from_utf8(line).ok()?;
            let value: serde_json::Value = serde_json::from_str(line).ok()?;
            // The stamp is borrowed from the line itself: it is the last string in it.
            let stamp = line.rsplit('"').nth(1)?;
            Some(Entry {
                stamp,
                is_stderr: value["stream"] == "stderr",
                text: value["log"].as_str()?.as_bytes().to_vec().into(),
            })
        }
        LogDriver::None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_file_is_found_however_often_it_was_turned() {
        let directory = std::env::temp_dir().join(format!("ocictl-after-{}", std::process::id()));
        std::fs::create_dir(&directory).expect("a directory");
        let path = directory.join("ctr.log");
        for number in 0..3 {
            std::fs::write(log::numbered(&path, number), "").expect("written");
        }
        let inode = |number| std::fs::metadata(log::numbered(&path, number)).expect("there").ino();
        for (held, next) in [(inode(1), 0), (inode(2), 1), (0, 2)] {
            assert_eq!(after(&path, 3, held), log::numbered(&path, next));
        }
        assert_eq!(after(&path, 1, 0), path);
        std::fs::remove_dir_all(directory).expect("removed");
    }

    #[test]
    fn both_formats_are_read() {
        let entry =
            |stamp, is_stderr, text: &'static [u8]| Some(Entry { stamp, is_stderr, text: text.into() });
        for (line, expected) in [
            (&b"2026-01-01T00:00:00Z stderr F a b"[..], entry("2026-01-01T00:00:00Z", true, b"a b\n")),
            (b"T stdout P x", entry("T", false, b"x")),
            (b"T stdout F", entry("T", false, b"\n")),
            // Bytes are printed as they came.
            (b"T stdout P \xff\xc3", entry("T", false, b"\xff\xc3")),
            (b"rubbish", None),
        ] {
            assert_eq!(parse(LogDriver::K8sFile, line), expected);
        }
        let json = br#"{"log":"a\"\n","stream":"stdout","time":"T"}"#;
        assert_eq!(parse(LogDriver::JsonFile, json), entry("T", false, b"a\"\n"));
        assert_eq!(parse(LogDriver::JsonFile, b"rubbish"), None);
    }
}
