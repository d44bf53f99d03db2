//! The bundles, by what they are about.

mod cgroups;
mod cgroups_v2;
mod documents;
mod life;
mod mounts;
mod namespaces;
mod process;
mod rootfs;

use super::case::Case;

/// Those for a host with cgroup v2 alone.
pub fn on_v2_host() -> Vec<Case> {
    cgroups_v2::cases()
}

/// All of them but those.
pub fn all() -> Vec<Case> {
    [
        process::cases(),
        namespaces::cases(),
        mounts::cases(),
        rootfs::cases(),
        cgroups::cases(),
        life::cases(),
        documents::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
