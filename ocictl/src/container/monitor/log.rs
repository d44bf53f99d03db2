//! The log file of a container: what it prints, line by line, in one of two formats, and never more than was asked for.
//!
//! Nothing is kept in memory: a line that is not complete yet is written as a part of one (`P` in k8s-file; without its newline in
//! json-file), as kubelet and docker do it.

use crate::container::options::{Log, LogDriver};
use crate::error::{Context, Result};
use crate::time;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A log that is written.
#[derive(Debug)]
pub struct Writer {
    file: Option<File>,
    path: PathBuf,
    driver: LogDriver,
    max_bytes: u64,
    max_files: u32,
    written: u64,
    /// The first bytes of a character whose others are still to come, of stdout and of stderr: JSON has whole characters alone.
    held: [Vec<u8>; 2],
}

/// Where a container's log is.
pub fn path(log: &Log, directory: &Path) -> PathBuf {
    match log.path.as_str() {
        "" => directory.join("ctr.log"),
        path => PathBuf::from(path),
    }
}

/// The files of a log, the newest first: `ctr.log`, `ctr.log.1`, …
pub fn numbered(path: &Path, number: u32) -> PathBuf {
    match number {
        0 => path.to_owned(),
        number => PathBuf::from(format!("{}.{number}", path.display())),
    }
}

impl Writer {
    /// Opens the log to write on at its end.
    ///
    /// # Errors
    /// Names the file.
    pub fn open(log: &Log, directory: &Path) -> Result<Self> {
        let path = path(log, directory);
        let mut writer = Self {
            file: None,
            path,
            driver: log.driver,
            max_bytes: log.max_bytes,
            max_files: log.max_files.max(1),
            written: 0,
            held: Default::default(),
        };
        if log.driver != LogDriver::None {
            writer.begin()?;
        }
        Ok(writer)
    }

    fn begin(&mut self) -> Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::open(&self.path, flags, Mode::RUSR | Mode::WUSR)
            .context(|| format!("log {}", self.path.display()))?;
        let file = File::from(file);
        self.written = file.metadata()?.len();
        self.file = Some(file);
        Ok(())
    }

    /// Writes what came from a stream. A full disk must not stop a container: what cannot be written is lost.
    pub fn write(&mut self, stream: &str, data: &[u8]) {
        if self.file.is_none() {
            return;
        }
        let held = usize::from(stream == "stderr");
        let mut whole = std::mem::take(&mut self.held[held]);
        let data = if whole.is_empty() {
            data
        } else {
            whole.extend_from_slice(data);
            &whole
        };
        let incomplete = if self.driver == LogDriver::JsonFile { incomplete(data) } else { 0 };
        let (data, rest) = data.split_at(data.len() - incomplete);
        self.held[held] = rest.to_vec();
        self.lines(stream, data);
    }

    /// No more comes from a stream.
    pub fn end(&mut self, stream: &str) {
        let rest = std::mem::take(&mut self.held[usize::from(stream == "stderr")]);
        self.lines(stream, &rest);
    }

    fn lines(&mut self, stream: &str, data: &[u8]) {
        let stamp = time::rfc3339(time::now());
        for line in data.split_inclusive(|byte| *byte == b'\n') {
            let _lost = self.line(stream, &stamp, line);
        }
    }

    fn line(&mut self, stream: &str, stamp: &str, line: &[u8]) -> Result<()> {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let whole = text.len() < line.len();
        let mut entry = Vec::with_capacity(text.len() + 96);
        match self.driver {
            LogDriver::K8sFile => {
                write!(entry, "{stamp} {stream} {} ", if whole { 'F' } else { 'P' })?;
                entry.extend_from_slice(text);
            }
            LogDriver::JsonFile => {
                let mut text = String::from_utf8_lossy(text).into_owned();
                if whole {
                    text.push('\n');
                }
                let text = serde_json::Value::from(text);
                write!(entry, "{{\"log\":{text},\"stream\":\"{stream}\",\"time\":\"{stamp}\"}}")?;
            }
            LogDriver::None => return Ok(()),
        }
        entry.push(b'\n');
        if self.max_bytes > 0 && self.written > 0 && self.written + entry.len() as u64 > self.max_bytes {
            self.turn()?;
        }
        if let Some(file) = &mut self.file {
            file.write_all(&entry)?;
            self.written += entry.len() as u64;
        }
        Ok(())
    }

    /// The next file: `ctr.log` becomes `ctr.log.1`, and so on; the oldest goes.
    fn turn(&mut self) -> Result<()> {
        let numbered = |number| numbered(&self.path, number);
        // Somebody may have removed one.
        let there = |result: std::io::Result<()>| match result {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        if self.max_files == 1 {
            there(std::fs::remove_file(numbered(0)))?;
        }
        for number in (0..self.max_files.saturating_sub(1)).rev() {
            there(std::fs::rename(numbered(number), numbered(number + 1)))?;
        }
        self.begin()
    }
}

/// How many bytes at the end are the front of a character.
fn incomplete(data: &[u8]) -> usize {
    let last = data.len().saturating_sub(3);
    let Some(at) = data[last..].iter().rposition(|byte| byte & 0b1100_0000 != 0b1000_0000) else { return 0 };
    let front = &data[last + at..];
    match std::str::from_utf8(front) {
        Err(error) if error.error_len().is_none() => front.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk;

    #[test]
    fn a_character_in_two_pieces_is_whole_in_json() {
        let text = "häß€😀";
        for at in 0..=text.len() {
            let directory = std::env::temp_dir().join(format!("ocictl-log-{}", disk::random()));
            disk::make_directory(&directory).expect("a directory");
            let mut writer = Writer::open(&Log { driver: LogDriver::JsonFile, ..Log::default() }, &directory)
                .expect("a log");
            writer.write("stdout", &text.as_bytes()[..at]);
            writer.write("stdout", &text.as_bytes()[at..]);
            // What never becomes a character is told of, too.
            writer.write("stderr", b"\xf0\x9f");
            writer.end("stderr");
            let written = std::fs::read_to_string(directory.join("ctr.log")).expect("a log");
            let of = |stream: &str| -> String {
                let entries = written
                    .lines()
                    .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
                entries
                    .filter(|entry| entry["stream"] == stream)
                    .map(|entry| entry["log"].as_str().expect("text").to_owned())
                    .collect()
            };
            assert_eq!((of("stdout").as_str(), of("stderr").as_str()), (text, "\u{fffd}"), "cut at {at}");
            disk::remove_tree(&directory).expect("removed");
        }
    }

    #[test]
    fn a_log_that_somebody_removed_is_begun_anew() {
        let directory = std::env::temp_dir().join(format!("ocictl-log-{}", disk::random()));
        disk::make_directory(&directory).expect("a directory");
        let mut writer =
            Writer::open(&Log { max_bytes: 60, max_files: 1, ..Log::default() }, &directory).expect("a log");
        writer.write("stdout", b"one\n");
        std::fs::remove_file(directory.join("ctr.log")).expect("removed");
        writer.write("stdout", b"two\n");
        let written = std::fs::read_to_string(directory.join("ctr.log")).expect("a log");
        assert!(written.ends_with(" stdout F two\n"), "{written}");
        disk::remove_tree(&directory).expect("removed");
    }

    fn written(log: &Log, pieces: &[&str]) -> (PathBuf, Vec<String>) {
        let directory = std::env::temp_dir().join(format!("ocictl-log-{}", disk::random()));
        disk::make_directory(&directory).expect("a directory");
        let mut writer = Writer::open(log, &directory).expect("a log");
        for piece in pieces {
            writer.write("stdout", piece.as_bytes());
        }
        let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap_or_default();
        let texts = ["ctr.log", "ctr.log.1", "ctr.log.2"].map(read).to_vec();
        (directory, texts)
    }

    #[test]
    fn parts_of_lines_are_told() {
        let (directory, texts) = written(&Log::default(), &["a\nb", "c\n"]);
        let lines: Vec<&str> = texts[0].lines().map(|line| line.split_once(' ').expect("a time").1).collect();
        assert_eq!(lines, ["stdout F a", "stdout P b", "stdout F c"]);
        disk::remove_tree(&directory).expect("removed");
    }

    #[test]
    fn json_is_dockers() {
        let log = Log { driver: LogDriver::JsonFile, ..Log::default() };
        let (directory, texts) = written(&log, &["a\"\n"]);
        let value: serde_json::Value = serde_json::from_str(texts[0].trim()).expect("JSON");
        assert_eq!((value["log"].as_str(), value["stream"].as_str()), (Some("a\"\n"), Some("stdout")));
        disk::remove_tree(&directory).expect("removed");
    }

    #[test]
    fn a_log_keeps_its_bounds() {
        let line = "x".repeat(50) + "\n";
        let log = Log { max_bytes: 200, max_files: 2, ..Log::default() };
        let (directory, texts) = written(&log, &[line.as_str(); 9]);
        assert!(texts[0].len() <= 200 && texts[1].len() <= 200 && !texts[1].is_empty(), "{texts:?}");
        assert!(texts[2].is_empty());
        disk::remove_tree(&directory).expect("removed");
        let log = Log { max_bytes: 200, ..Log::default() };
        let (directory, texts) = written(&log, &[line.as_str(); 9]);
        assert!(!texts[0].is_empty() && texts[0].len() <= 200 && texts[1].is_empty());
        disk::remove_tree(&directory).expect("removed");
    }
}
