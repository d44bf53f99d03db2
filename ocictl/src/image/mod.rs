//! Images: finding them by what people type, bringing them in and out, taking them away.
//!
//! For whoever runs containers:
//!
//! ```text
//! let images = Images::open(&store)?;
//! let image = images.resolve("busybox")?;                   // id, names, configuration (typed and raw), layers
//! store.pin("container/ID", &Pin { owner: "container web1".into(), image: image.id().clone() })?;
//! let lower = store.lower_directories(&image.record.layers)?;        // in the host's mount namespace
//! overlay(&lower, Some(&Writable { upper, work }), &target)?;        // in whichever namespace the container's runtime starts
//! …
//! store.unpin("container/ID")?;
//! ```

pub mod add;
pub mod import;
pub mod load;
pub mod obtain;
pub mod progress;
pub mod pull;
pub mod push;
pub mod remove;
pub mod save;
pub mod view;

use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::oci::ImageConfig;
use crate::reference::{Reference, Typed};
use crate::registry::config::Registries;
use crate::store::Store;
use crate::store::images::{ImageRecord, NameRecord};
use crate::store::layer::LayerRecord;

/// The images of a store.
#[derive(Debug)]
pub struct Images<'a> {
    /// Where they are.
    pub store: &'a Store,
    /// What completes short names.
    pub registries: Registries,
}

/// An image with everything that is asked of one.
#[derive(Debug, Clone)]
pub struct Image {
    /// What the store knows of it; `layers` are its diffIDs, bottom first.
    pub record: ImageRecord,
    /// Its names, sorted: `docker.io/library/busybox:latest`.
    pub names: Vec<String>,
    /// Its configuration.
    pub config: ImageConfig,
    /// The bytes of the configuration, whose digest is the id.
    pub raw_config: Vec<u8>,
}

impl Image {
    /// The digest of the configuration: what docker and podman call the image's ID.
    pub fn id(&self) -> &Digest {
        &self.record.id
    }

    /// `REGISTRY/REPOSITORY@DIGEST` for each place it is known to be at.
    pub fn repo_digests(&self) -> Vec<String> {
        let manifests = self.record.manifests.iter();
        manifests
            .flat_map(|known| {
                let digests = known.index.iter().chain([&known.digest]);
                digests.flat_map(|digest| {
                    known.repositories.iter().map(move |repository| format!("{repository}@{digest}"))
                })
            })
            .collect()
    }
}

impl<'a> Images<'a> {
    /// The images of `store`, with short names completed as `registries.conf` says.
    ///
    /// # Errors
    /// Fails if the configuration cannot be read.
    pub fn open(store: &'a Store) -> Result<Self> {
        Ok(Self { store, registries: Registries::load()? })
    }

    /// The image that somebody means by a name, a name with a digest, or the front of an ID.
    ///
    /// # Errors
    /// Fails with exit code 1 if there is none, and if the front of an ID is that of several.
    pub fn resolve(&self, text: &str) -> Result<Image> {
        let record = self.find(text)?.ok_or_else(|| not_found(text))?;
        self.load(record)
    }

    /// As [`Images::resolve`], with nothing for an image that is not there.
    ///
    /// # Errors
    /// Fails if the store cannot be read, the name is malformed or ambiguous.
    pub fn find(&self, text: &str) -> Result<Option<ImageRecord>> {
        if let Ok(id) = Digest::parse(text) {
            return self.store.image(&id);
        }
        let typed = Typed::parse(text);
        if let Ok(typed) = &typed
            && let Some(found) = self.find_by_name(typed)?
        {
            return Ok(Some(found));
        }
        if let Some(found) = self.find_by_id(text)? {
            return Ok(Some(found));
        }
        typed.map(|_| None)
    }

    /// The stored name that somebody means, if it is one.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub fn find_name(&self, typed: &Typed) -> Result<Option<NameRecord>> {
        let candidates = match typed {
            Typed::Full(reference) => vec![reference.clone()],
            Typed::Short(short) => {
                match self.registries.aliases.get(&short.path).map(|full| Reference::parse(full)) {
                    Some(Ok(mut alias)) => {
                        alias.tag = short.tag.clone().or(alias.tag);
                        vec![alias]
                    }
                    _ => Vec::new(),
                }
                .into_iter()
                .chain(self.registries.local_candidates(short))
                .collect()
            }
        };
        for candidate in &candidates {
            if let Some(name) = candidate.tagged()
                && let Some(record) = self.store.name(&name)?
            {
                return Ok(Some(record));
            }
        }
        let Typed::Short(short) = typed else { return Ok(None) };
        // `org/image` as in any registry, if there is only one such.
        let suffix =
            format!("/{}:{}", short.path, short.tag.as_deref().unwrap_or(crate::reference::DEFAULT_TAG));
        let mut matching: Vec<NameRecord> =
            self.store.names()?.into_iter().filter(|record| record.name.ends_with(&suffix)).collect();
        match matching.len() {
            0 => Ok(None),
            1 => Ok(matching.pop()),
            _ => {
                matching.sort_by(|one, other| one.name.cmp(&other.name));
                let names: Vec<&str> = matching.iter().map(|record| record.name.as_str()).collect();
                Err(Error::new(format!("\"{}\" could be any of {}", short.path, names.join(", "))))
            }
        }
    }

    fn find_by_name(&self, typed: &Typed) -> Result<Option<ImageRecord>> {
        let digest = match typed {
            Typed::Full(reference) => reference.digest.as_ref(),
            Typed::Short(short) => short.digest.as_ref(),
        };
        let Some(digest) = digest else {
            let Some(name) = self.find_name(typed)? else { return Ok(None) };
            return self.store.image(&name.image);
        };
        let (wanted, suffix) = match typed {
            Typed::Full(reference) => (Some(reference.name()), String::new()),
            Typed::Short(short) => (None, format!("/{}", short.path)),
        };
        let matches = |repository: &String| {
            wanted.as_ref().map_or_else(|| repository.ends_with(&suffix), |wanted| repository == wanted)
        };
        Ok(self.store.images()?.into_iter().find(|image| {
            image.manifests.iter().any(|known| {
                (known.digest == *digest || known.index.as_ref() == Some(digest))
                    && known.repositories.iter().any(matches)
            })
        }))
    }

    fn find_by_id(&self, text: &str) -> Result<Option<ImageRecord>> {
        let front = text.strip_prefix("sha256:").unwrap_or(text);
        if front.is_empty()
            || front.len() > 64
            || !front.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
        {
            return Ok(None);
        }
        let mut found: Vec<ImageRecord> =
            self.store.images()?.into_iter().filter(|image| image.id.hex().starts_with(front)).collect();
        if found.len() > 1 {
            let ids: Vec<&str> = found.iter().map(|image| image.id.short()).collect();
            return Err(Error::new(format!("\"{text}\" is the front of several IDs: {}", ids.join(", "))));
        }
        Ok(found.pop())
    }

    /// All images, the newest first, each with its names.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub fn list(&self) -> Result<Vec<(ImageRecord, Vec<NameRecord>)>> {
        let mut names = std::collections::BTreeMap::<Digest, Vec<NameRecord>>::new();
        for name in self.store.names()? {
            names.entry(name.image.clone()).or_default().push(name);
        }
        let mut images = self.store.images()?;
        images.sort_by(|one, other| other.created.cmp(&one.created).then_with(|| one.id.cmp(&other.id)));
        Ok(images
            .into_iter()
            .map(|image| {
                let mut names = names.remove(&image.id).unwrap_or_default();
                names.sort_by(|one, other| one.name.cmp(&other.name));
                (image, names)
            })
            .collect())
    }

    /// Makes another name for an image: where no registry is named, one of this machine (`localhost/`).
    ///
    /// # Errors
    /// Fails if there is no such image, or the name is malformed or pinned by a digest.
    pub fn tag(&self, source: &str, target: &str) -> Result<String> {
        let reference = local_name(target)?;
        let name = reference.tagged().filter(|_| reference.digest.is_none());
        let name = name.ok_or_else(|| Error::new(format!("\"{target}\": a name to give has no digest")))?;
        let typed = Typed::parse(source).ok();
        let _guard = self.store.lock()?;
        let manifest =
            typed.and_then(|typed| self.find_name(&typed).ok().flatten()).and_then(|name| name.manifest);
        let image = self.find(source)?.ok_or_else(|| not_found(source))?;
        let manifest = manifest.or_else(|| image.manifests.last().map(|known| known.digest.clone()));
        self.store.write_name(&NameRecord { name: name.clone(), image: image.id, manifest })?;
        Ok(name)
    }

    /// An image with names and configuration.
    ///
    /// # Errors
    /// Fails if its configuration is missing or damaged.
    pub fn load(&self, record: ImageRecord) -> Result<Image> {
        let raw_config = self.store.blob(&record.id).context(|| format!("image {}", record.id.short()))?;
        let config = ImageConfig::parse(&raw_config).context(|| format!("image {}", record.id.short()))?;
        let names = self.names_of(&record.id)?;
        Ok(Image { record, names, config, raw_config })
    }

    /// The names of an image, sorted.
    fn names_of(&self, id: &Digest) -> Result<Vec<String>> {
        let names = self.store.names()?.into_iter().filter(|name| name.image == *id).map(|name| name.name);
        let mut names: Vec<String> = names.collect();
        names.sort();
        Ok(names)
    }

    /// The record of a layer that must be here.
    fn layer(&self, diff_id: &Digest) -> Result<LayerRecord> {
        let record = self.store.layer(diff_id)?;
        record.ok_or_else(|| Error::new(format!("layer {} is not in the store", diff_id.short())))
    }
}

/// A name for an image that is made here.
///
/// # Errors
/// Fails if it is malformed.
pub fn local_name(text: &str) -> Result<Reference> {
    Ok(match Typed::parse(text)? {
        Typed::Full(reference) => reference,
        Typed::Short(short) => short.at("localhost"),
    })
}

/// What is said of an image that is not in the store.
pub fn not_found(text: &str) -> Error {
    Error::new("no such image")
        .context(format!("image {text}"))
        .hint("`ocictl images` lists those that are here, `ocictl pull` brings others")
}
