//! Images and their names: a small file each. An image is known by the digest of its configuration; a name stands for an image
//! and for the manifest that it was known by in its registry.

use super::{Store, disk};
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::oci::Platform;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// An image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// The digest of the configuration.
    pub id: Digest,
    /// The digests of the uncompressed layers, bottom first.
    pub layers: Vec<Digest>,
    /// The manifests that it is known by, the newest last.
    pub manifests: Vec<KnownManifest>,
    /// When it was made, as its configuration says.
    pub created: Option<String>,
    /// What it runs on: `linux/amd64`.
    pub platform: String,
    /// Bytes of all its layers, uncompressed.
    pub size: u64,
    /// When it came into the store, in seconds since 1970.
    pub added: u64,
}

impl ImageRecord {
    /// Whether it runs where `wanted` is wanted.
    pub fn fits(&self, wanted: &Platform) -> bool {
        Platform::parse(&self.platform).is_ok_and(|offered| wanted.rank(&offered) > 0)
    }
}

/// A manifest of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownManifest {
    /// Its digest; its bytes are a blob.
    pub digest: Digest,
    /// The index it was chosen from, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Digest>,
    /// Where it is: `REGISTRY/REPOSITORY`.
    pub repositories: Vec<String>,
}

/// A name and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameRecord {
    /// `REGISTRY/REPOSITORY:TAG`.
    pub name: String,
    /// The image.
    pub image: Digest,
    /// The manifest it was pulled or loaded by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Digest>,
}

/// Somebody who needs an image, whether it has a name or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Who, for messages: `container web1`.
    pub owner: String,
    /// The image.
    pub image: Digest,
}

const MAX_RECORD: u64 = 4 << 20;

impl Store {
    /// An image's record; nothing if there is no such image.
    ///
    /// # Errors
    /// Fails if the record cannot be read.
    pub fn image(&self, id: &Digest) -> Result<Option<ImageRecord>> {
        read(&self.image_path(id))
    }

    /// All images.
    ///
    /// # Errors
    /// Fails if one cannot be read.
    pub fn images(&self) -> Result<Vec<ImageRecord>> {
        self.records("images")
    }

    /// Writes an image's record. The caller holds [`Store::lock`].
    ///
    /// # Errors
    /// Fails if it cannot be written.
    pub fn write_image(&self, record: &ImageRecord) -> Result<()> {
        write(self, "images", record.id.hex(), record)
    }

    /// Removes an image's record; what it referred to goes with the next collection. The caller holds [`Store::lock`].
    ///
    /// # Errors
    /// Fails if it cannot be removed.
    pub fn remove_image(&self, id: &Digest) -> Result<()> {
        remove(&self.image_path(id))
    }

    /// What a name stands for; nothing if there is no such name.
    ///
    /// # Errors
    /// Fails if the record cannot be read.
    pub fn name(&self, name: &str) -> Result<Option<NameRecord>> {
        read(&self.name_path(name))
    }

    /// All names.
    ///
    /// # Errors
    /// Fails if one cannot be read.
    pub fn names(&self) -> Result<Vec<NameRecord>> {
        self.records("names")
    }

    /// Makes a name stand for an image, whatever it stood for. The caller holds [`Store::lock`].
    ///
    /// # Errors
    /// Fails if it cannot be written.
    pub fn write_name(&self, record: &NameRecord) -> Result<()> {
        write(self, "names", Digest::of(record.name.as_bytes()).hex(), record)
    }

    /// Removes a name. The caller holds [`Store::lock`].
    ///
    /// # Errors
    /// Fails if it cannot be removed; a name that is not there is no error.
    pub fn remove_name(&self, name: &str) -> Result<()> {
        remove(&self.name_path(name))
    }

    /// Keeps an image from being removed on behalf of `owner`, who is known by `key`, until [`Store::unpin`].
    ///
    /// # Errors
    /// Fails if there is no such image, or the pin cannot be written.
    pub fn pin(&self, key: &str, pin: &Pin) -> Result<()> {
        let _guard = self.lock()?;
        if self.image(&pin.image)?.is_none() {
            return Err(Error::new(format!("image {} is not in the store any more", pin.image.short())));
        }
        write(self, "pins", Digest::of(key.as_bytes()).hex(), pin)
    }

    /// Takes a pin away; one that is not there is no error.
    ///
    /// # Errors
    /// Fails if it cannot be removed.
    pub fn unpin(&self, key: &str) -> Result<()> {
        remove(&self.folder("pins").join(format!("{}.json", Digest::of(key.as_bytes()).hex())))
    }

    /// All pins.
    ///
    /// # Errors
    /// Fails if one cannot be read.
    pub fn pins(&self) -> Result<Vec<Pin>> {
        self.records("pins")
    }

    fn image_path(&self, id: &Digest) -> PathBuf {
        self.folder("images").join(format!("{}.json", id.hex()))
    }

    fn name_path(&self, name: &str) -> PathBuf {
        self.folder("names").join(format!("{}.json", Digest::of(name.as_bytes()).hex()))
    }

    fn records<T: for<'de> Deserialize<'de>>(&self, kind: &str) -> Result<Vec<T>> {
        let folder = self.folder(kind);
        let mut records = Vec::new();
        for name in disk::names(&folder)? {
            // One that was removed since the listing is not there any more, and that is all.
            records.extend(read(&folder.join(name))?);
        }
        Ok(records)
    }
}

fn read<T: for<'de> Deserialize<'de>>(path: &std::path::Path) -> Result<Option<T>> {
    let Some(bytes) = disk::read_small(path, MAX_RECORD)? else { return Ok(None) };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| Error::new(error.to_string()).context(format!("record {}", path.display())))
}

fn write(store: &Store, kind: &str, name: &str, record: &impl Serialize) -> Result<()> {
    let bytes = serde_json::to_vec(record).map_err(|error| Error::new(error.to_string()))?;
    disk::write_whole(&store.folder(kind), &format!("{name}.json"), &bytes)
}

fn remove(path: &std::path::Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).context(|| format!("remove {}", path.display())),
    }
}
