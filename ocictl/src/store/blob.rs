//! Small content by its digest: manifests, indexes, configurations. Layers are not here: see [`super::layer`].

use super::{Store, disk};
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use std::path::PathBuf;

/// The largest blob that is kept here.
pub const MAX_BYTES: u64 = 8 << 20;

impl Store {
    /// Keeps `bytes`; their digest.
    ///
    /// # Errors
    /// Fails if they cannot be written.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        self.put_blob_as(&digest, bytes)?;
        Ok(digest)
    }

    /// Keeps `bytes` under a digest that has been compared with them. Takes [`Store::lock`] for it: what is half written while
    /// nobody holds the lock is a dead man's.
    ///
    /// # Errors
    /// Fails if they cannot be written.
    pub fn put_blob_as(&self, digest: &Digest, bytes: &[u8]) -> Result<()> {
        if self.has_blob(digest)? {
            return Ok(());
        }
        let _guard = self.lock()?;
        disk::write_whole(&self.folder("blobs").join(digest.algorithm()), digest.hex(), bytes)
            .context(|| format!("blob {digest}"))
    }

    /// Whether there is such a blob.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub fn has_blob(&self, digest: &Digest) -> Result<bool> {
        self.blob_path(digest).try_exists().context(|| format!("blob {digest}"))
    }

    /// A blob's bytes, compared with its digest.
    ///
    /// # Errors
    /// Fails if there is no such blob, or if its bytes are others than they were.
    pub fn blob(&self, digest: &Digest) -> Result<Vec<u8>> {
        let place = || format!("blob {digest}");
        let bytes = disk::read_small(&self.blob_path(digest), MAX_BYTES)
            .context(place)?
            .ok_or_else(|| Error::new("it is not in the store").context(place()))?;
        digest.verify(&bytes).context(place)?;
        Ok(bytes)
    }

    pub(super) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.folder("blobs").join(digest.algorithm()).join(digest.hex())
    }
}
