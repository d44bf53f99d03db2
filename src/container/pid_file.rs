//! `--pid-file`: init's pid without newline, as runc writes it; whoever finds the file finds it whole.
//!
//! The caller may have named a directory in which others write. A symlink there is replaced, never followed
//! (CVE-2026-53489 is of that kind): rename(2) takes the place of one, and the temporary file is always a new one.

use crate::error::{Context, Error, Result};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Writes the pid beside the file and renames it; a temporary file that an earlier writer has left is removed.
///
/// # Errors
/// The directory does not exist or cannot be written, or the path is a directory.
pub fn write(path: &Path, pid: i32) -> Result<()> {
    let context = || format!("--pid-file {}", path.display());
    let name = path.file_name().ok_or_else(|| Error::new("names no file").context(context()))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    let temporary = path.with_file_name(hidden);
    match rustix::fs::unlink(&temporary) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(Error::from(errno).context(context())),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(CWD, &temporary, flags, Mode::from_raw_mode(0o644)).context(context)?;
    let written = File::from(file).write_all(pid.to_string().as_bytes()).context(context);
    written.and_then(|()| rustix::fs::rename(&temporary, path).context(context)).inspect_err(|_| {
        let _reported_is_the_first_error = rustix::fs::unlink(&temporary);
    })
}
