//! Collection: what no image, pin or living ingest refers to is renamed into the trash under the store's lock, and unlinked
//! after the lock was let go. What large files held is freed when nobody waits for it any more.

use super::ingest::{ALIVE, KEPT};
use super::layer::TAR;
use super::lock::Lock;
use super::packed::DATA;
use super::{Store, VERSION, disk, parallel};
use crate::digest::Digest;
use crate::error::{Context, Result};
use crate::sys::process;
use rustix::fs::{Mode, OFlags};
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

/// What a collection has removed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Collected {
    /// Layers, by their diffIDs.
    pub layers: Vec<Digest>,
    /// Blobs.
    pub blobs: usize,
    /// Directories that killed processes have left.
    pub leftovers: usize,
    /// Bytes on disk that came free.
    pub bytes: u64,
}

/// From so many bytes on it is worth a process to free them.
const MANY: u64 = 16 << 20;
/// The most files that are held for it.
const MAX_HELD: usize = 256;

impl Store {
    /// Removes what nothing refers to.
    ///
    /// # Errors
    /// Fails if the store cannot be read, or something cannot be removed.
    pub fn collect(&self) -> Result<Collected> {
        let mut collected = Collected::default();
        let mut large = Vec::new();
        let mut view = None;
        {
            let _guard = self.lock()?;
            let needed = self.needed(&mut collected)?;
            collected.leftovers += disk::remove_half_written(self.root(), |name| name == VERSION)?;
            for folder in ["blobs/sha256", "blobs/sha512", "images", "names", "pins"] {
                collected.leftovers += disk::remove_half_written(&self.folder(folder), |_| true)?;
            }
            for hex in disk::names(&self.folder("layers"))? {
                let digest = Digest::parse(&format!("sha256:{hex}"))?;
                if !needed.contains(&digest) {
                    let bytes = self.layer_bytes_on_disk(&digest);
                    collected.bytes += bytes;
                    if bytes >= MANY && large.len() < MAX_HELD {
                        view = view.or_else(|| self.own_view());
                        large.extend(view.as_ref().and_then(|view| hold_data(view, &digest)));
                    }
                    self.discard(&self.folder("layers").join(&hex))?;
                    collected.layers.push(digest);
                }
            }
            for algorithm in ["sha256", "sha512"] {
                let folder = self.folder("blobs").join(algorithm);
                for hex in disk::names(&folder)? {
                    if !Digest::parse(&format!("{algorithm}:{hex}"))
                        .is_ok_and(|digest| needed.contains(&digest))
                    {
                        let path = folder.join(&hex);
                        collected.bytes += std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
                        std::fs::remove_file(&path).context(|| format!("remove {}", path.display()))?;
                        collected.blobs += 1;
                    }
                }
            }
        }
        // What is mounted is in use, and would come free one by one when it is not any more.
        let released = collected.layers.iter().try_for_each(|layer| self.release_layer(layer));
        let emptied = self.empty_trash();
        if !large.is_empty() {
            process::close_apart(large.into_iter().chain(view).collect());
        }
        emptied.and(released).map(|()| collected)
    }

    /// All digests that something refers to; ingests of the dead go on the way.
    fn needed(&self, collected: &mut Collected) -> Result<BTreeSet<Digest>> {
        let mut needed = BTreeSet::new();
        for image in self.images()? {
            needed.extend(
                image
                    .manifests
                    .iter()
                    .flat_map(|known| [Some(known.digest.clone()), known.index.clone()])
                    .flatten(),
            );
            needed.insert(image.id);
            needed.extend(image.layers);
        }
        for name in disk::names(&self.folder("ingest"))? {
            let directory = self.folder("ingest").join(&name);
            match Lock::attempt(&directory.join(ALIVE)) {
                Ok(None) => {
                    let kept = disk::read_small(&directory.join(KEPT), 4 << 20)?.unwrap_or_default();
                    needed.extend(
                        String::from_utf8_lossy(&kept).lines().filter_map(|line| Digest::parse(line).ok()),
                    );
                }
                Ok(Some(_)) => {
                    self.discard(&directory)?;
                    collected.leftovers += 1;
                }
                // It ended by itself in this moment.
                Err(error) if error.errno() == Some(libc::ENOENT) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(needed)
    }

    /// Renames something into the trash.
    pub(super) fn discard(&self, path: &std::path::Path) -> Result<()> {
        match std::fs::rename(path, self.folder("trash").join(disk::random())) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).context(|| format!("remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn empty_trash(&self) -> Result<()> {
        let names = disk::names(&self.folder("trash"))?;
        // Unlinking large files is waiting, for the disk above all where it is told what came free (`discard`).
        parallel::in_parallel(names.len(), |index| {
            disk::remove_tree(&self.folder("trash").join(&names[index]))
        })
    }
}

/// Holds the large file of a layer, if it has one, so that its last name goes quickly.
fn hold_data(view: &OwnedFd, layer: &Digest) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    [DATA, TAR].iter().find_map(|name| {
        let path = format!("layers/{}/{name}", layer.hex());
        rustix::fs::openat(view, path, flags, Mode::empty()).ok()
    })
}
