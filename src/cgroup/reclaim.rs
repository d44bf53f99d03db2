//! Giving memory back to the machine: `memory.reclaim` (cgroup-v2.rst, Linux 5.19), `memory.force_empty` of v1.

use super::{directory, vanished};
use crate::error::{Context, Error, Result};
use crate::plan::cgroup::Directory;
use rustix::io::Errno;

/// How much memory a cgroup gives back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reclaim {
    /// So many bytes.
    Bytes(u64),
    /// This part of what it uses now, in percent.
    Percent(u8),
}

/// Reclaims from a v2 cgroup. That less could be had than was asked for is no error: the kernel has tried.
pub(super) fn unified(directory: &Directory, amount: Reclaim) -> Result<()> {
    let path = &directory.path;
    let fd = directory::open(path).map_err(|errno| vanished(path, errno))?;
    let bytes = match amount {
        Reclaim::Bytes(bytes) => bytes,
        Reclaim::Percent(percent) => {
            let usage = directory::read_value(&fd, "memory.current")
                .map_err(missing)
                .context(|| format!("read {path}/memory.current"))?;
            usage.trim().parse::<u64>().unwrap_or_default() / 100 * u64::from(percent)
        }
    };
    match directory::write(&fd, "memory.reclaim", &bytes.to_string()) {
        Ok(()) | Err(Errno::AGAIN) => Ok(()),
        Err(errno) => Err(missing(errno).context(format!("write {bytes} to {path}/memory.reclaim"))),
    }
}

/// Reclaims from a v1 cgroup, which can only be asked for everything.
pub(super) fn v1(directory: &Directory, amount: Reclaim) -> Result<()> {
    if amount != Reclaim::Percent(100) {
        return Err(Error::new("cgroup v1 reclaims everything or nothing").hint("give no amount, or 100%"));
    }
    let path = &directory.path;
    let fd = directory::open(path).map_err(|errno| vanished(path, errno))?;
    directory::write(&fd, "memory.force_empty", "0")
        .map_err(missing)
        .context(|| format!("write 0 to {path}/memory.force_empty"))
}

/// The words of ENOENT would be taken for a command that was not found in the container.
fn missing(errno: Errno) -> Error {
    match errno {
        Errno::NOENT => Error::new("the kernel does not offer this file here"),
        errno => Error::from(errno),
    }
}
