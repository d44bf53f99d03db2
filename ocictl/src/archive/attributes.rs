//! Extended attributes of files: which of them belong to a file wherever it is, and how they are read and given.

use crate::error::{Context, Error, Result};
use rustix::fs::XattrFlags;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

/// The most that all names of a file take, and one value (XATTR_LIST_MAX, XATTR_SIZE_MAX).
const MAX: usize = 64 << 10;

/// Whether an attribute goes where its file goes: file capabilities and those of users. Labels of security modules belong to the host, and
/// overlayfs takes its own for orders (`trusted.overlay.*`, `user.overlay.*`).
pub fn may_travel(name: &[u8]) -> bool {
    name == b"security.capability"
        || (name.starts_with(b"user.") && name.len() > 5 && !name.starts_with(b"user.overlay."))
}

/// The attributes of a file that may travel, by their names; none where its file system keeps none.
///
/// # Errors
/// Names the one that cannot be read.
pub fn read(file: impl AsFd) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let names = names(&file).context(|| "list attributes")?;
    let mut found = Vec::new();
    for name in names.split(|byte| *byte == 0).filter(|name| may_travel(name)) {
        let mut value = vec![0u8; MAX];
        let size = rustix::fs::fgetxattr(&file, OsStr::from_bytes(name), &mut value)
            .context(|| format!("attribute {}", String::from_utf8_lossy(name)))?;
        value.truncate(size);
        found.push((name.to_vec(), value));
    }
    found.sort();
    Ok(found)
}

/// The names, each with a NUL behind it.
fn names(file: impl AsFd) -> rustix::io::Result<Vec<u8>> {
    // Most files have few.
    let mut few = [0u8; 512];
    match rustix::fs::flistxattr(&file, &mut few) {
        Ok(length) => Ok(few[..length].to_vec()),
        Err(Errno::NOTSUP) => Ok(Vec::new()),
        Err(Errno::RANGE) => {
            let mut all = vec![0u8; MAX];
            let length = rustix::fs::flistxattr(&file, &mut all)?;
            all.truncate(length);
            Ok(all)
        }
        Err(errno) => Err(errno),
    }
}

/// Gives a file those attributes that may travel.
///
/// # Errors
/// Names the one that cannot be given.
pub fn write(file: impl AsFd, attributes: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
    for (name, value) in attributes.iter().filter(|(name, _)| may_travel(name)) {
        match rustix::fs::fsetxattr(&file, OsStr::from_bytes(name), value, XattrFlags::empty()) {
            // Where the file system keeps none, the file is still the file.
            Ok(()) | Err(Errno::NOTSUP | Errno::PERM) => {}
            Err(errno) => {
                return Err(
                    Error::from(errno).context(format!("attribute {}", String::from_utf8_lossy(name)))
                );
            }
        }
    }
    Ok(())
}
