//! Cgroups of an ordinary user: those that were delegated to him (cgroups(7), "Cgroups delegation"). Only v2 has that.

use crate::error::Result;
use crate::rootless;
use rustix::fs::{Access, access};
use std::path::{Path, PathBuf};

const TOP: &str = "/sys/fs/cgroup";

/// A cgroup in which the user may make others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    /// Its path, from the top of the hierarchy.
    pub path: String,
    /// What can be limited in it.
    pub controllers: Vec<String>,
}

/// The cgroup beside our own in which others can be made, or our own; nothing if neither is ours to change.
///
/// # Errors
/// Fails if `/proc` cannot be read.
pub fn find() -> Result<Option<Delegation>> {
    let Some(own) = rootless::own_cgroup()? else { return Ok(None) };
    // A cgroup that holds processes cannot hand controllers down, so the one above ours comes first.
    let above = Path::new(&own).parent().and_then(Path::to_str);
    Ok(above.into_iter().chain([own.as_str()]).find_map(delegated))
}

/// What the user's own systemd may limit: the controllers of its service, which is around us or where logind puts it.
///
/// # Errors
/// Fails if `/proc` cannot be read.
pub fn of_manager() -> Result<Vec<String>> {
    let around = rootless::own_cgroup()?.as_deref().and_then(rootless::service_around);
    let uid =
        rootless::map("uid").iter().find(|(inside, ..)| *inside == 0).map_or(0, |(_, outside, _)| *outside);
    let path = around.unwrap_or_else(|| format!("/user.slice/user-{uid}.slice/user@{uid}.service"));
    let file = PathBuf::from(TOP).join(path.trim_start_matches('/')).join("cgroup.controllers");
    let words = std::fs::read_to_string(file).unwrap_or_default();
    Ok(words.split_ascii_whitespace().map(String::from).collect())
}

fn delegated(path: &str) -> Option<Delegation> {
    let folder = PathBuf::from(TOP).join(path.trim_start_matches('/'));
    let writable = |name: &str| access(folder.join(name), Access::WRITE_OK).is_ok();
    if path.trim_matches('/').is_empty()
        || !["", "cgroup.procs", "cgroup.subtree_control"].into_iter().all(writable)
    {
        return None;
    }
    let words = |name: &str| -> Vec<String> {
        let text = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        text.split_ascii_whitespace().map(String::from).collect()
    };
    for name in words("cgroup.controllers") {
        // Each for itself: where one cannot be handed down, the others may.
        let _stays_unlimited = std::fs::write(folder.join("cgroup.subtree_control"), format!("+{name}"));
    }
    Some(Delegation { path: path.into(), controllers: words("cgroup.subtree_control") })
}
