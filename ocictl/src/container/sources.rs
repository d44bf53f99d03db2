//! What is mounted over a container's root, on the host's side: volumes are made and filled, overlays mounted.

use super::Containers;
use super::copying::{self, Owner};
use super::options::MountKind;
use super::record::Container;
use super::root::Root;
use super::rootfs::writable;
use crate::error::{Context, Error, Result};
use crate::store::disk;
use crate::store::mount::overlay;
use crate::volume::Volumes;
use rustix::fs::{Mode, OFlags};
use std::path::{Path, PathBuf};

/// The host paths of the mounts, in their order; volumes are made and filled, overlays mounted.
///
/// # Errors
/// Names the mount.
pub fn sources(containers: &Containers<'_>, container: &Container, root: &Root) -> Result<Vec<String>> {
    let volumes = Volumes::open(containers.store)?;
    let mut sources = Vec::new();
    for (index, mount) in container.record.options.mounts.iter().enumerate() {
        let place = || format!("mount on {}", mount.target);
        sources.push(match &mount.kind {
            MountKind::Tmpfs => String::new(),
            MountKind::Bind(path) => {
                std::fs::symlink_metadata(path)
                    .context(|| path.clone())
                    .context(place)
                    .map_err(|error| error.exit_code(125))?;
                path.clone()
            }
            MountKind::Volume(name) | MountKind::Anonymous(name) => {
                let volume = volumes.ensure(name, matches!(mount.kind, MountKind::Anonymous(_)))?;
                let data = text(&volume.data())?;
                if !volume.record.used {
                    fill(&volumes, name, mount.copy_up.then_some(root), &mount.target)
                        .context(|| format!("volume {name}"))?;
                }
                data
            }
            MountKind::Overlay(path) => {
                let target = container.run.join("mounts").join(index.to_string());
                disk::make_directory(&target)?;
                let layer = container.directory.join("overlays").join(index.to_string());
                let lower = [PathBuf::from(path)];
                overlay(&lower, Some(&writable(&layer, &lower, &container.run)?), &target).context(place)?;
                text(&target)?
            }
        });
    }
    Ok(sources)
}

/// Fills a volume that is used for the first time with what the image has in its place.
fn fill(volumes: &Volumes, name: &str, root: Option<&Root>, target: &str) -> Result<()> {
    let Some(volume) = volumes.get(name)? else { return Err(Error::new("it was removed in this moment")) };
    let _guard = volume.lock()?;
    let Some(mut volume) = volumes.get(name)?.filter(|volume| !volume.record.used) else { return Ok(()) };
    let is_empty = std::fs::read_dir(volume.data())?.next().is_none();
    let source = root
        .filter(|root| is_empty && root.is_directory(target) == Some(true))
        .and_then(|root| root.open_at(target, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).ok());
    match source {
        Some(source) => {
            let aside = volume.aside()?;
            copying::fill(&source, &disk::open_directory(&aside)?, Owner::Keep)?;
            volume.settle(Some(&aside))
        }
        None => volume.settle(None),
    }
}

/// A path as JSON takes it.
///
/// # Errors
/// Fails for one that is not UTF-8.
pub fn text(path: &Path) -> Result<String> {
    path.to_str().map(String::from).ok_or_else(|| Error::new(format!("\"{}\" is not UTF-8", path.display())))
}
