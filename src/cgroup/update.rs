//! New limits for a cgroup that exists, as a transaction: all of them, or those from before.

use super::{apply, directory, systemd, v2, vanished};
use crate::error::{Error, Result};
use crate::host::cgroup::Mode;
use crate::plan::cgroup::{Directory, Location, Missing, Present, Update, Write};
use rustix::fs::CWD;

/// Writes the limits of an update; when one is refused the former ones are put back. systemd is told of limits that the
/// kernel has taken: it would only log a refusal, and lower a limit of memory below what is used. It writes them to the
/// files itself then, rounded, so ours are written once more.
pub(super) fn update(location: &Location, update: &Update) -> Result<()> {
    if let (Mode::V2, Some(Directory { path, .. })) = (location.mode, location.directories.first()) {
        let fd = directory::open(path).map_err(|errno| vanished(path, errno))?;
        v2::enable(&update.enable, &fd, path)?;
    }
    let directories = &location.directories;
    let former = former(directories, &update.writes);
    let written = apply::apply(directories, &update.writes).and_then(|()| match &location.unit {
        Some(unit) => {
            systemd::set(unit, &update.properties)?;
            apply::apply(directories, &update.writes)
        }
        None => Ok(()),
    });
    written.map_err(|error| put_back(directories, &former, error))
}

/// The writes that take everything back, the last limit first.
fn former(directories: &[Directory], writes: &[Write]) -> Vec<Write> {
    let undo = |write: &Write| {
        let path = &directories.get(write.directory)?.path;
        let read = |file: &str| directory::read(CWD, &format!("{path}/{file}")).ok();
        if let Some(before) = read(&write.file) {
            return write.undo(&write.file, &before);
        }
        let Missing::Instead { file, .. } = &write.missing else { return None };
        write.undo(file, &read(file)?)
    };
    writes.iter().rev().filter_map(undo).collect()
}

/// Puts every limit back, also where one of them is refused: the error to report is the one that led here.
fn put_back(directories: &[Directory], former: &[Write], error: Error) -> Error {
    let is_refused = |write: &&Write| apply::apply(directories, std::slice::from_ref(*write)).is_err();
    // What is as it was may be refused, too: an idle cgroup shows a weight and takes none.
    let is_changed = |write: &&Write| {
        let path = directories.get(write.directory).map_or("", |directory| &directory.path);
        directory::read(CWD, &format!("{path}/{}", write.file))
            .is_ok_and(|text| text.trim() != write.value.trim())
    };
    // One may have to wait for another, so those that were refused get a second chance.
    let waiting: Vec<&Write> = former.iter().filter(is_refused).collect();
    let refused: Vec<&Write> = waiting.into_iter().filter(is_refused).collect();
    if !refused.iter().any(is_changed) {
        return error;
    }
    error.context("the former limits could not all be put back")
}

/// What the cgroup has now of what an update may name by halves; nothing where there is no such file.
pub(super) fn present(location: &Location) -> Present {
    let read = |controller: &str, file: &str| {
        let directory = match location.mode {
            Mode::V2 => location.directories.first(),
            _ => location.index_of(controller).map(|index| &location.directories[index]),
        }?;
        directory::read_value(CWD, &format!("{}/{file}", directory.path)).ok()
    };
    if location.mode != Mode::V2 {
        return Present {
            memory: read("memory", "memory.limit_in_bytes").and_then(|text| v1_limit(&text)),
            quota: read("cpu", "cpu.cfs_quota_us").and_then(|text| text.trim().parse().ok()),
            period: read("cpu", "cpu.cfs_period_us").and_then(|text| text.trim().parse().ok()),
        };
    }
    let number = |word: &str| if word == "max" { Some(-1) } else { word.parse::<i64>().ok() };
    let cpu = read("cpu", "cpu.max").unwrap_or_default();
    let mut words = cpu.split_whitespace();
    Present {
        memory: read("memory", "memory.max").and_then(|text| number(text.trim())),
        quota: words.next().and_then(number),
        period: words.next().and_then(|word| word.parse().ok()),
    }
}

/// No limit is the greatest whole number of pages, whatever their size.
fn v1_limit(text: &str) -> Option<i64> {
    const LARGEST_PAGE: i64 = 1 << 16;
    let bytes: i64 = text.trim().parse().ok()?;
    Some(if bytes >= i64::MAX - LARGEST_PAGE { -1 } else { bytes })
}
