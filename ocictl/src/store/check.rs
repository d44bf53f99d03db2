//! Whether the store is whole: every name has its image, every image its content, all content its digest.

use super::{Store, disk};
use crate::digest::Digest;
use crate::error::Result;

/// What a check has found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Report {
    /// One sentence for each thing that is not as it should be.
    pub faults: Vec<String>,
    /// Images, layers and blobs that were looked at.
    pub checked: usize,
}

impl Store {
    /// Looks at everything; with `deep`, layers are read and compared with their digests too.
    ///
    /// # Errors
    /// Fails if the store cannot be read; what is wrong in it is in the report.
    pub fn check(&self, deep: bool) -> Result<Report> {
        let mut report = Report::default();
        for name in self.names()? {
            report.checked += 1;
            if self.image(&name.image)?.is_none() {
                report.faults.push(format!(
                    "name {}: its image {} is not there",
                    name.name,
                    name.image.short()
                ));
            }
        }
        for image in self.images()? {
            report.checked += 1;
            let blobs = image.manifests.iter().map(|known| &known.digest).chain([&image.id]);
            for digest in blobs {
                if let Err(error) = self.blob(digest) {
                    report.faults.push(format!("image {}: {error}", image.id.short()));
                }
            }
            for layer in &image.layers {
                match self.layer(layer) {
                    Ok(Some(_)) => {}
                    Ok(None) => report.faults.push(format!(
                        "image {}: layer {} is not there",
                        image.id.short(),
                        layer.short()
                    )),
                    Err(error) => report.faults.push(format!("image {}: {error}", image.id.short())),
                }
            }
        }
        for hex in disk::names(&self.folder("layers"))? {
            report.checked += 1;
            let found = Digest::parse(&format!("sha256:{hex}")).and_then(|digest| match deep {
                true => self.verify_layer(&digest),
                false => self.layer(&digest).map(|_| ()),
            });
            if let Err(error) = found {
                report.faults.push(error.to_string());
            }
        }
        Ok(report)
    }
}
