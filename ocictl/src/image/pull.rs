//! From a registry into the store: manifest, configuration, then all layers that are not here, several at once, each in one
//! pass. Nothing has a name before everything is there and has the digests that were promised.

use super::Images;
use super::add::NewImage;
use super::progress::Progress;
use crate::digest::{Digest, Hashing};
use crate::error::{Context, Error, Result};
use crate::oci::{
    Descriptor, Document, ImageConfig, Index, MAX_CONFIG_BYTES, Manifest, Platform, kind_of_layer,
};
use crate::reference::Reference;
use crate::registry::client::Access;
use crate::registry::config::Endpoint;
use crate::registry::download::{Download, Transfer};
use crate::registry::{Client, Fetched, Options};
use crate::store::ingest::Ingest;
use crate::store::lock::Lock;
use crate::store::parallel::in_parallel;
use std::io::BufReader;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How deep indexes may lie within indexes.
const MAX_DEPTH: usize = 4;
const BUFFER: usize = 256 << 10;

/// What is pulled, and how.
#[derive(Debug, Default)]
pub struct Pull {
    /// How registries are reached.
    pub options: Options,
    /// What the image is to run on; this machine if nothing is said.
    pub platform: Option<Platform>,
}

impl Images<'_> {
    /// Pulls an image; its id. What is here already is not fetched again.
    ///
    /// # Errors
    /// Says for each place that was asked what it answered, or what is wrong with what came.
    pub fn pull(&self, name: &str, pull: &Pull, progress: &dyn Progress) -> Result<Digest> {
        let candidates = self.registries.candidates(name)?;
        if !candidates.iter().any(|candidate| name.contains(&candidate.registry)) {
            progress.say(&format!("Resolving \"{name}\" by {}", self.registries.search_source()));
        }
        let mut failures = Vec::new();
        for candidate in &candidates {
            progress.say(&format!("Trying to pull {candidate}..."));
            let endpoints = self.registries.endpoints(candidate).unwrap_or_else(|error| {
                failures.push(error);
                Vec::new()
            });
            for endpoint in endpoints {
                match self.pull_from(candidate, &endpoint, pull, progress) {
                    Ok(id) => return Ok(id),
                    Err(error) => failures.push(error.context(endpoint.reference.to_string())),
                }
            }
        }
        match failures.len() {
            1 => Err(failures.remove(0).context("pull")),
            _ => {
                let said: Vec<String> = failures.iter().map(ToString::to_string).collect();
                Err(Error::new(said.join("; ")).context(format!("pull {name}")))
            }
        }
    }

    /// Every tag of a repository, pulled.
    ///
    /// # Errors
    /// As [`Images::pull`].
    pub fn pull_all_tags(&self, name: &str, pull: &Pull, progress: &dyn Progress) -> Result<Vec<Digest>> {
        let candidates = self.registries.candidates(name)?;
        let first = candidates.first().ok_or_else(|| Error::new("nothing to pull"))?;
        let endpoint =
            self.registries.endpoints(first)?.pop().ok_or_else(|| Error::new("nothing to pull"))?;
        let tags = Client::new(&endpoint, Access::Pull, &pull.options)?
            .tags()
            .context(|| format!("tags of {}", first.name()))?;
        tags.iter().map(|tag| self.pull(&format!("{}:{tag}", first.name()), pull, progress)).collect()
    }

    fn pull_from(
        &self,
        wanted: &Reference,
        endpoint: &Endpoint,
        pull: &Pull,
        progress: &dyn Progress,
    ) -> Result<Digest> {
        let client = Client::new(endpoint, Access::Pull, &pull.options)?;
        if let Some(id) = self.unchanged(wanted, &client, pull)? {
            return Ok(id);
        }
        let fetched = client.manifest(endpoint.reference.version())?;
        let (chosen, index) = choose(&client, fetched, pull.platform.as_ref())?;
        let Document::Manifest(manifest) = Document::parse(&chosen.bytes, chosen.content_type.as_deref())?
        else {
            return Err(Error::new("manifest: an index where a manifest was chosen"));
        };
        if manifest.config.size > MAX_CONFIG_BYTES {
            return Err(Error::new(format!(
                "a configuration of {} bytes; the most is {MAX_CONFIG_BYTES}",
                manifest.config.size
            )));
        }
        let config = client.small_blob(&manifest.config.digest, MAX_CONFIG_BYTES)?;
        let parsed = ImageConfig::parse(&config)?;
        check_layers(&manifest, &parsed)?;
        let ingest = self.store.ingest()?;
        let mut relied_on = parsed.rootfs.diff_ids.clone();
        relied_on.extend([chosen.digest.clone(), manifest.config.digest.clone()]);
        relied_on.extend(index.as_ref().map(|index| index.digest.clone()));
        self.store.keep(&ingest, &relied_on)?;
        self.pull_layers(&client, &ingest, &manifest, &parsed, progress)?;
        for document in [Some(&chosen), index.as_ref()].into_iter().flatten() {
            self.store.put_blob_as(&document.digest, &document.bytes)?;
        }
        let names: Vec<String> = wanted.tagged().filter(|_| wanted.digest.is_none()).into_iter().collect();
        self.add(NewImage {
            config: &config,
            manifest: chosen.digest,
            index: index.map(|index| index.digest),
            repository: Some(wanted.name()),
            names: &names,
        })
    }

    /// The image, if the registry says that its tag stands for the manifest that we know it by: one request.
    fn unchanged(&self, wanted: &Reference, client: &Client, pull: &Pull) -> Result<Option<Digest>> {
        let host = Platform::host();
        // Another may be there that fits better.
        if pull.platform.as_ref().is_some_and(|platform| *platform != host) {
            return Ok(None);
        }
        let image = match (&wanted.digest, wanted.tagged()) {
            (Some(_), _) => self.find(&wanted.to_string())?,
            (None, Some(name)) => match self.store.name(&name)? {
                Some(record) => self.store.image(&record.image)?,
                None => None,
            },
            (None, None) => None,
        };
        let Some(image) = image else { return Ok(None) };
        let whole = image.layers.iter().all(|layer| matches!(self.store.layer(layer), Ok(Some(_))));
        if !whole {
            return Ok(None);
        }
        let digest = match &wanted.digest {
            Some(digest) => Some(digest.clone()),
            None => client.manifest_digest(wanted.version())?,
        };
        // Out of an index another may have been chosen, for another machine; what is no index leaves no choice.
        let fits = image.fits(&host);
        let known = image.manifests.iter().any(|known| {
            Some(&known.digest) == digest.as_ref() || (fits && known.index.is_some() && known.index == digest)
        });
        Ok(known.then_some(image.id))
    }

    fn pull_layers(
        &self,
        client: &Client,
        ingest: &Ingest,
        manifest: &Manifest,
        config: &ImageConfig,
        progress: &dyn Progress,
    ) -> Result<()> {
        let mut missing: Vec<(&Descriptor, &Digest)> = Vec::new();
        for (layer, diff_id) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
            if self.store.layer(diff_id)?.is_some() {
                progress.end(layer.digest.short(), "already here");
            } else if !missing.iter().any(|(_, known)| *known == diff_id) {
                missing.push((layer, diff_id));
            }
        }
        // The largest first, so that the last to end is not the last to begin.
        missing.sort_by_key(|(layer, _)| std::cmp::Reverse(layer.size));
        let transfers: Vec<Arc<Transfer>> = missing.iter().map(|_| Arc::default()).collect();
        in_parallel(missing.len(), |index| {
            let (layer, diff_id) = missing[index];
            let name = layer.digest.short();
            let pulled = self.pull_layer(client, ingest, layer, diff_id, progress, &transfers[index]);
            match &pulled {
                Ok(()) => progress.end(name, "done"),
                Err(_) => {
                    progress.end(name, "failed");
                    for transfer in &transfers {
                        transfer.cancelled.store(true, Ordering::Relaxed);
                    }
                }
            }
            pulled.context(|| format!("layer {name}"))
        })
    }

    fn pull_layer(
        &self,
        client: &Client,
        ingest: &Ingest,
        layer: &Descriptor,
        diff_id: &Digest,
        progress: &dyn Progress,
        transfer: &Arc<Transfer>,
    ) -> Result<()> {
        // Another process may be bringing the same layer: then we wait for it, and need not.
        let locks = self.store.runroot()?.join("pulls");
        crate::store::disk::make_directory(&locks)?;
        let _guard = Lock::wait(&locks.join(diff_id.hex()))?;
        if self.store.layer(diff_id)?.is_some() {
            return Ok(());
        }
        progress.begin(layer.digest.short(), layer.size, transfer);
        let download = Download::new(client, &layer.digest, layer.size, transfer);
        let mut source = Hashing::with(BufReader::with_capacity(BUFFER, download), layer.digest.hasher());
        let draft = self.store.draft_layer(ingest, &mut source)?;
        let (digest, size) = source.finish();
        layer.digest.expect(&digest)?;
        if size != layer.size {
            return Err(Error::new(format!("it has {size} bytes, not {} as promised", layer.size)));
        }
        diff_id.expect(draft.diff_id()).context(|| "uncompressed")?;
        draft.commit(self.store)?;
        Ok(())
    }
}

fn check_layers(manifest: &Manifest, config: &ImageConfig) -> Result<()> {
    let (layers, diff_ids) = (manifest.layers.len(), config.rootfs.diff_ids.len());
    for layer in &manifest.layers {
        kind_of_layer(&layer.media_type)?;
    }
    if layers != diff_ids {
        return Err(Error::new(format!("the manifest has {layers} layers, the configuration {diff_ids}")));
    }
    Ok(())
}

/// From what a tag stands for to a manifest: through indexes, to the platform that fits best. The index is the first one.
fn choose(
    client: &Client,
    fetched: Fetched,
    platform: Option<&Platform>,
) -> Result<(Fetched, Option<Fetched>)> {
    let mut first = None;
    let mut here = fetched;
    for _ in 0..MAX_DEPTH {
        match Document::parse(&here.bytes, here.content_type.as_deref())? {
            Document::Manifest(_) => return Ok((here, first)),
            Document::Index(index) => {
                let digest = best(&index, platform)?.digest.clone();
                let next = client.manifest(digest.as_str())?;
                first.get_or_insert(std::mem::replace(&mut here, next));
            }
        }
    }
    Err(Error::new(format!("indexes within indexes, more than {MAX_DEPTH} deep")))
}

fn best<'a>(index: &'a Index, platform: Option<&Platform>) -> Result<&'a Descriptor> {
    let wanted = platform.cloned().unwrap_or_else(Platform::host);
    let rank =
        |descriptor: &Descriptor| descriptor.platform.as_ref().map_or(0, |offered| wanted.rank(offered));
    // Of equals the first: `max_by_key` would take the last.
    let best = index.manifests.iter().rev().max_by_key(|descriptor| rank(descriptor));
    best.filter(|descriptor| rank(descriptor) > 0).ok_or_else(|| {
        let offered: Vec<String> = index
            .manifests
            .iter()
            .filter_map(|descriptor| Some(descriptor.platform.as_ref()?.to_string()))
            .take(20)
            .collect();
        Error::new(format!("there is no image for {wanted}"))
            .hint(format!("there is one for {}; say --platform", offered.join(", ")))
    })
}
