//! Locks: flock(2) on a file. They end with their holder, whatever ends it; nothing is left to clean up.

use crate::error::{Context, Error, Result};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::Path;

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: OwnedFd,
}

impl Lock {
    /// Waits for the lock.
    ///
    /// # Errors
    /// Names the file.
    pub fn wait(path: &Path) -> Result<Self> {
        let file = open(path)?;
        loop {
            match rustix::fs::flock(&file, FlockOperation::LockExclusive) {
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::from(errno).context(format!("lock {}", path.display()))),
                Ok(()) => return Ok(Self { _file: file }),
            }
        }
    }

    /// Takes the lock, or nothing if another holds it.
    ///
    /// # Errors
    /// Names the file.
    pub fn attempt(path: &Path) -> Result<Option<Self>> {
        let file = open(path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(Error::from(errno).context(format!("lock {}", path.display()))),
        }
    }
}

/// Whether somebody holds a lock. Those who ask do not stand in each other's way.
///
/// # Errors
/// Names the file.
pub fn is_held(path: &Path) -> Result<bool> {
    match rustix::fs::flock(open(path)?, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(Errno::WOULDBLOCK) => Ok(true),
        Err(errno) => Err(Error::from(errno).context(format!("lock {}", path.display()))),
    }
}

fn open(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).context(|| format!("lock {}", path.display()))
}
