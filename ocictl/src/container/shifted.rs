//! Layers with other owners, for an ordinary user: the kernel lets nobody but root map the ids of a file system, so each layer is
//! copied, once for each map, and beside it, so that the copy goes with the layer. `keep-id` is one map for all of a user's containers.
//!
//! ```text
//! ROOT/layers/HEX/shifted-KEY/    the tree as a container with that map sees it
//! ROOT/layers/HEX/.shifting       held by whoever makes one
//! ```

use super::copying::{self, Owner, Rules};
use super::ids::{self, Ids};
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::rootless::in_user_namespace;
use crate::store::Store;
use crate::store::disk;
use crate::store::lock::Lock;
use std::path::PathBuf;

/// The directories of an image's layers, the bottom first: for an ordinary user as a container with these ids sees them.
///
/// # Errors
/// Names the layer that cannot be mounted or copied.
pub fn lower_directories(store: &Store, layers: &[Digest], ids: Option<&Ids>) -> Result<Vec<PathBuf>> {
    match ids.filter(|ids| in_user_namespace() && !ids.is_identity()) {
        Some(ids) => {
            let key = key(ids);
            layers.iter().map(|layer| directory(store, layer, ids, &key)).collect()
        }
        None => store.lower_directories(layers),
    }
}

/// What one map is called.
fn key(ids: &Ids) -> String {
    let text = format!("{}{}", ids::text(&ids.uids), ids::text(&ids.gids));
    Digest::of(text.as_bytes()).hex()[..16].to_owned()
}

fn directory(store: &Store, layer: &Digest, ids: &Ids, key: &str) -> Result<PathBuf> {
    let place = || format!("layer {}", layer.short());
    let root = store.lower_directory(layer)?;
    let home = root.parent().ok_or_else(|| Error::new("it is no directory").context(place()))?;
    let target = home.join(format!("shifted-{key}"));
    if std::fs::symlink_metadata(&target).is_ok() {
        return Ok(target);
    }
    let _one_at_a_time = Lock::wait(&home.join(".shifting"))?;
    if std::fs::symlink_metadata(&target).is_ok() {
        return Ok(target);
    }
    // What is left of one that was killed has this name, too.
    let aside = home.join(".shifted");
    disk::remove_tree(&aside)?;
    disk::make_directory(&aside)?;
    let copied = disk::open_directory(&root)
        .and_then(|from| {
            copying::fill(
                &from,
                &disk::open_directory(&aside)?,
                Rules::all(Owner::Translated(None, Some(ids))),
            )
        })
        .and_then(|()| Ok(rustix::fs::syncfs(disk::open_directory(&aside)?)?))
        .and_then(|()| Ok(std::fs::rename(&aside, &target)?));
    if copied.is_err() {
        disk::remove_tree(&aside)?;
    }
    copied.context(|| "give it the owners of a user namespace").context(place)?;
    Ok(target)
}
