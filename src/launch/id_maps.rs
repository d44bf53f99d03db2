//! The id maps of a user namespace that is joined, compared with those of the configuration.
//!
//! containerd and CRI-O give both the path and the maps. Files are handed to the ids of the maps, so others would be a
//! mistake that nobody notices before a file has the wrong owner.

use crate::error::{Context, Error, Result};
use crate::plan::namespaces::Namespaces;
use crate::sys::procfs::Procfs;
use rustix::fs::OFlags;
use rustix::process::Pid;
use std::ffi::CString;

/// Compares the maps of init, which has joined, with those that the configuration gives, if it gives any.
///
/// # Errors
/// Maps that differ; both are named.
pub fn check(namespaces: &Namespaces, init: Pid, procfs: &Procfs) -> Result<()> {
    let Some((uids, gids)) = &namespaces.expected_maps else { return Ok(()) };
    for (file, place, expected) in
        [("uid_map", "linux.uidMappings", uids), ("gid_map", "linux.gidMappings", gids)]
    {
        let found = read(procfs, &format!("{}/{file}", init.as_raw_nonzero())).context(|| place)?;
        let (found, expected) = (ranges(&found), ranges(expected));
        if found != expected {
            let (found, expected) = (found.join(", "), expected.join(", "));
            let problem = format!("the joined user namespace has the map {found:?}, not {expected:?}");
            return Err(Error::new(problem).context(place));
        }
    }
    Ok(())
}

/// The ranges of a map, one a line, in a fixed order.
fn ranges(map: &str) -> Vec<String> {
    let mut ranges: Vec<String> =
        map.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    ranges.sort_unstable();
    ranges
}

/// A map is at most a page long (user_namespaces(7)).
fn read(procfs: &Procfs, path: &str) -> Result<String> {
    let path = CString::new(path).unwrap_or_default();
    let file = procfs.open_file(&path, OFlags::RDONLY)?;
    let mut bytes = [0; 16 * 1024];
    let length = rustix::io::retry_on_intr(|| rustix::io::read(&file, &mut bytes))?;
    Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_spaces_do_not_matter() {
        let kernel = "         0     100000      65536\n     70000          5          1\n";
        assert_eq!(ranges(kernel), ranges("70000 5 1\n0 100000 65536\n"));
        assert_ne!(ranges(kernel), ranges("0 100000 65536\n"));
    }
}
