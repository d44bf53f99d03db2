//! `image mount`: the tree of an image, read-only, at a path of the host.

use super::{Image, Images};
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::store::disk;
use crate::store::mount::{mount_points, overlay};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use std::path::PathBuf;

impl Images<'_> {
    /// Mounts an image; where. One that is mounted already stays.
    ///
    /// # Errors
    /// Says what the kernel refused.
    pub fn mount(&self, image: &Image) -> Result<PathBuf> {
        let place = || format!("mount image {}", image.id().short());
        let target = self.view(image.id())?;
        if self.mounted()?.contains(image.id()) {
            return Ok(target);
        }
        disk::make_directory(&target).context(place)?;
        // overlayfs wants two directories where nothing is written, so that an image of one layer gets an empty one below.
        let empty = self.store.runroot()?.join("empty");
        disk::make_directory(&empty).context(place)?;
        let mut lower = vec![empty];
        lower.extend(self.store.lower_directories(&image.record.layers)?);
        overlay(&lower, None, &target).context(place)?;
        Ok(target)
    }

    /// Takes the mount of an image away; `false` if there was none.
    ///
    /// # Errors
    /// Fails if it is in use.
    pub fn unmount(&self, id: &Digest) -> Result<bool> {
        let target = self.view(id)?;
        match unmount(&target, UnmountFlags::NOFOLLOW) {
            Ok(()) => {}
            Err(Errno::INVAL | Errno::NOENT) => return Ok(false),
            Err(errno) => return Err(Error::from(errno).context(format!("unmount {}", target.display()))),
        }
        std::fs::remove_dir(&target).context(|| format!("remove {}", target.display()))?;
        Ok(true)
    }

    /// The images that are mounted, by what the kernel says.
    ///
    /// # Errors
    /// Fails if the table of mounts cannot be read.
    pub fn mounted(&self) -> Result<Vec<Digest>> {
        let folder = self.store.runroot()?.join("views");
        let hexes = mount_points()?.into_iter().filter_map(|point| {
            point.strip_prefix(&folder).ok().and_then(|hex| hex.to_str()).map(str::to_owned)
        });
        Ok(hexes.filter_map(|hex| Digest::parse(&format!("sha256:{hex}")).ok()).collect())
    }

    fn view(&self, id: &Digest) -> Result<PathBuf> {
        Ok(self.store.runroot()?.join("views").join(id.hex()))
    }
}
