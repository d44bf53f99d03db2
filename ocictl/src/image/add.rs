//! Making an image of layers, configuration and manifest that are in the store: the last step of whatever brings one.

use super::Images;
use crate::digest::Digest;
use crate::error::Result;
use crate::oci::ImageConfig;
use crate::store::images::{ImageRecord, KnownManifest, NameRecord};
use std::time::{SystemTime, UNIX_EPOCH};

/// What becomes an image.
#[derive(Debug)]
pub struct NewImage<'a> {
    /// The bytes of the configuration.
    pub config: &'a [u8],
    /// The manifest it came with; its bytes are a blob already.
    pub manifest: Digest,
    /// The index that the manifest was chosen from.
    pub index: Option<Digest>,
    /// Where the manifest is: `REGISTRY/REPOSITORY`.
    pub repository: Option<String>,
    /// Names to give it, in full.
    pub names: &'a [String],
}

impl Images<'_> {
    /// Records an image whose layers are in the store and kept by an ingest; its id.
    ///
    /// # Errors
    /// Fails if a layer is missing, or a record cannot be written.
    pub fn add(&self, new: NewImage) -> Result<Digest> {
        let config = ImageConfig::parse(new.config)?;
        let mut size = 0;
        for diff_id in &config.rootfs.diff_ids {
            size += self.layer(diff_id)?.size;
        }
        let id = self.store.put_blob(new.config)?;
        let _guard = self.store.lock()?;
        let mut manifests = self.store.image(&id)?.map(|image| image.manifests).unwrap_or_default();
        let mut repositories = new.repository.map(|repository| vec![repository]).unwrap_or_default();
        manifests.retain(|known| {
            let same = known.digest == new.manifest;
            if same {
                repositories.extend(
                    known
                        .repositories
                        .iter()
                        .filter(|known| !repositories.contains(known))
                        .cloned()
                        .collect::<Vec<_>>(),
                );
            }
            !same
        });
        manifests.push(KnownManifest { digest: new.manifest.clone(), index: new.index, repositories });
        let variant = config.variant.as_ref().map(|variant| format!("/{variant}")).unwrap_or_default();
        self.store.write_image(&ImageRecord {
            id: id.clone(),
            layers: config.rootfs.diff_ids,
            manifests,
            created: config.created,
            platform: format!("{}/{}{variant}", config.os, config.architecture),
            size,
            added: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
        })?;
        for name in new.names {
            self.store.write_name(&NameRecord {
                name: name.clone(),
                image: id.clone(),
                manifest: Some(new.manifest.clone()),
            })?;
        }
        Ok(id)
    }
}
