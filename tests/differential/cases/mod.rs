//! The bundles, by what they are about.

mod cgroups;
mod documents;
mod life;
mod mounts;
mod namespaces;
mod process;
mod rootfs;

use super::case::Case;

/// All of them.
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
