//! From the store to a registry. What the registry has is not sent: a blob by its digest, or one that another repository of the
//! same registry has. Layers are kept uncompressed, so what has to be sent is compressed on its way.

use super::progress::Progress;
use super::{Image, Images, local_name};
use crate::digest::{Digest, Hasher};
use crate::error::{Context, Error, Result};
use crate::oci::{Descriptor, Document, Manifest, media};
use crate::reference::{Reference, Typed};
use crate::registry::client::Access;
use crate::registry::download::Transfer;
use crate::registry::{Client, Options};
use crate::store::images::KnownManifest;
use crate::store::parallel::in_parallel;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// How a layer is compressed for its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PushCompression {
    /// By gzip, which everybody reads.
    #[default]
    Gzip,
    /// By Zstandard.
    Zstd,
    /// Not at all.
    Uncompressed,
}

/// What is pushed, and how.
#[derive(Debug, Default)]
pub struct Push {
    /// How registries are reached.
    pub options: Options,
    /// How layers are compressed that the registry has not.
    pub compression: PushCompression,
    /// Compress again even if a form of the layer is known that the registry may have.
    pub force_compression: bool,
    /// Write Docker's media types.
    pub docker: bool,
}

/// What goes where, and how.
struct Way<'a> {
    image: &'a Image,
    target: &'a Reference,
    client: &'a Client,
    push: &'a Push,
    progress: &'a dyn Progress,
}

impl Images<'_> {
    /// Pushes an image under a name; the digest of the manifest that the registry has now.
    ///
    /// # Errors
    /// Says what the registry answered.
    pub fn push(
        &self,
        source: &str,
        target: Option<&str>,
        push: &Push,
        progress: &dyn Progress,
    ) -> Result<Digest> {
        let image = self.resolve(source)?;
        let reference = self.target(source, target, &image)?;
        let endpoint =
            self.registries.endpoints(&reference)?.pop().ok_or_else(|| Error::new("nowhere to push to"))?;
        let client = Client::new(&endpoint, Access::Push, &push.options)?;
        let way = Way { image: &image, target: &reference, client: &client, push, progress };
        self.push_to(&way).context(|| format!("push {reference}"))
    }

    fn target(&self, source: &str, target: Option<&str>, image: &Image) -> Result<Reference> {
        let reference = match target {
            Some(target) => local_name(target)?,
            None => match self.find_name(&Typed::parse(source)?)? {
                Some(record) => Reference::parse(&record.name)?,
                None => {
                    return Err(Error::new(format!(
                        "\"{source}\" is no name to push to; image {} has {}",
                        image.id().short(),
                        image.names.join(", ")
                    )));
                }
            },
        };
        if reference.registry == "localhost" {
            return Err(Error::new(format!("{reference}: a name of this machine has no registry"))
                .hint(format!("say where to: ocictl push {source} REGISTRY/NAME")));
        }
        Ok(reference)
    }

    fn push_to(&self, way: &Way<'_>) -> Result<Digest> {
        let Way { image, target, client, push, progress } = way;
        let known = self.known_manifest(image)?;
        let diff_ids = &image.config.rootfs.diff_ids;
        let sent: Mutex<Vec<Option<Descriptor>>> = Mutex::new(vec![None; diff_ids.len()]);
        // The first request finds out who we are; threads that begin together would all ask.
        client.has_blob(image.id())?;
        in_parallel(diff_ids.len(), |index| {
            let candidates: Vec<&Descriptor> = match push.force_compression {
                true => Vec::new(),
                false => known.iter().filter_map(|(manifest, _)| manifest.layers.get(index)).collect(),
            };
            let descriptor = self.push_layer(way, &diff_ids[index], &candidates)?;
            if let Ok(mut sent) = sent.lock() {
                sent[index] = Some(descriptor);
            }
            Ok(())
        })?;
        let layers: Vec<Descriptor> =
            sent.into_inner().map_err(|_| Error::new("a thread died"))?.into_iter().flatten().collect();
        if client.has_blob(image.id())?.is_none() {
            client.upload_bytes(&image.raw_config).context(|| "configuration")?;
        }
        progress.say("Writing manifest");
        let (bytes, media_type) = match known
            .iter()
            .find(|(manifest, bytes)| same_layers(manifest, &layers) && (!push.docker || is_docker(bytes)))
        {
            Some((manifest, bytes)) => {
                (bytes.clone(), manifest.media_type.clone().unwrap_or_else(|| media::MANIFEST.into()))
            }
            None => new_manifest(image, layers, push.docker)?,
        };
        let version = target.tag.as_deref().unwrap_or(target.version());
        client.put_manifest(version, &media_type, &bytes)?;
        self.remember(image, target, &bytes)?;
        Ok(Digest::of(&bytes))
    }

    /// The manifests that an image is known by, the newest first.
    fn known_manifest(&self, image: &Image) -> Result<Vec<(Manifest, Vec<u8>)>> {
        let mut known = Vec::new();
        for manifest in image.record.manifests.iter().rev() {
            let bytes = self.store.blob(&manifest.digest)?;
            if let Document::Manifest(manifest) = Document::parse(&bytes, None)? {
                known.push((manifest, bytes));
            }
        }
        Ok(known)
    }

    fn push_layer(&self, way: &Way<'_>, diff_id: &Digest, candidates: &[&Descriptor]) -> Result<Descriptor> {
        let Way { image, target, client, push, progress } = way;
        for candidate in candidates {
            if client.has_blob(&candidate.digest)?.is_some() {
                progress.end(candidate.digest.short(), "already there");
                return Ok((*candidate).clone());
            }
            let repositories = image.record.manifests.iter().flat_map(|known| &known.repositories);
            let sisters = repositories.filter_map(|name| name.strip_prefix(&format!("{}/", target.registry)));
            for sister in sisters.filter(|sister| *sister != target.repository) {
                if client.mount_blob(&candidate.digest, sister).unwrap_or(false) {
                    progress.end(candidate.digest.short(), "mounted");
                    return Ok((*candidate).clone());
                }
            }
        }
        let transfer: Arc<Transfer> = Arc::default();
        progress.begin(diff_id.short(), self.layer(diff_id)?.size, &transfer);
        let source = Counted { source: self.store.open_layer(diff_id)?, transfer: Arc::clone(&transfer) };
        let size = AtomicU64::new(0);
        let compressed = Compressed::new(source, push.compression)?;
        let digest = client.upload_stream(compressed, |compressed| {
            size.store(compressed.sent, Ordering::Relaxed);
            Ok(compressed.hasher.finish())
        })?;
        progress.end(diff_id.short(), "done");
        let media_type = match (push.compression, push.docker) {
            (PushCompression::Gzip, false) => media::LAYER_GZIP,
            (PushCompression::Gzip, true) => media::DOCKER_LAYER_GZIP,
            (PushCompression::Zstd, _) => media::LAYER_ZSTD,
            (PushCompression::Uncompressed, false) => media::LAYER,
            (PushCompression::Uncompressed, true) => media::DOCKER_LAYER,
        };
        Ok(Descriptor::new(media_type, digest, size.into_inner()))
    }

    /// Keeps in mind that the registry has the image, and in which form, so that the next push need not send it.
    fn remember(&self, image: &Image, reference: &Reference, bytes: &[u8]) -> Result<()> {
        let ingest = self.store.ingest()?;
        let digest = Digest::of(bytes);
        self.store.keep(&ingest, std::slice::from_ref(&digest))?;
        self.store.put_blob(bytes)?;
        let _guard = self.store.lock()?;
        let Some(mut record) = self.store.image(image.id())? else { return Ok(()) };
        let name = reference.name();
        match record.manifests.iter_mut().find(|known| known.digest == digest) {
            Some(known) if known.repositories.contains(&name) => return Ok(()),
            Some(known) => known.repositories.push(name),
            None => {
                record.manifests.insert(0, KnownManifest { digest, index: None, repositories: vec![name] })
            }
        }
        self.store.write_image(&record)
    }
}

fn same_layers(manifest: &Manifest, layers: &[Descriptor]) -> bool {
    manifest.layers.len() == layers.len()
        && manifest.layers.iter().zip(layers).all(|(one, other)| one.digest == other.digest)
}

fn is_docker(bytes: &[u8]) -> bool {
    Document::parse(bytes, None).is_ok_and(|document| document.media_type() == media::DOCKER_MANIFEST)
}

fn new_manifest(image: &Image, layers: Vec<Descriptor>, docker: bool) -> Result<(Vec<u8>, String)> {
    let (manifest_type, config_type) = match docker {
        true => (media::DOCKER_MANIFEST, media::DOCKER_CONFIG),
        false => (media::MANIFEST, media::CONFIG),
    };
    let config = Descriptor::new(config_type, image.id().clone(), image.raw_config.len() as u64);
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(manifest_type.into()),
        config,
        layers,
        annotations: None,
    };
    let bytes = serde_json::to_vec(&manifest).map_err(|error| Error::new(error.to_string()))?;
    Ok((bytes, manifest_type.into()))
}

/// Counts what is read for whoever shows progress.
struct Counted {
    source: Box<dyn Read + Send>,
    transfer: Arc<Transfer>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(buffer)?;
        self.transfer.done.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

/// A source, compressed and hashed while it is read.
pub(super) struct Compressed<R> {
    source: R,
    encoder: Encoder,
    /// Compressed bytes that wait to be read.
    ready: Vec<u8>,
    taken: usize,
    chunk: Vec<u8>,
    ended: bool,
    pub(super) hasher: Hasher,
    pub(super) sent: u64,
}

enum Encoder {
    Gzip(Option<flate2::write::GzEncoder<Vec<u8>>>),
    Zstd(Option<zstd::stream::write::Encoder<'static, Vec<u8>>>),
    None,
}

impl<R: Read> Compressed<R> {
    pub(super) fn new(source: R, compression: PushCompression) -> Result<Self> {
        let encoder = match compression {
            PushCompression::Gzip => {
                Encoder::Gzip(Some(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6))))
            }
            PushCompression::Zstd => Encoder::Zstd(Some(zstd::stream::write::Encoder::new(Vec::new(), 3)?)),
            PushCompression::Uncompressed => Encoder::None,
        };
        Ok(Self {
            source,
            encoder,
            ready: Vec::new(),
            taken: 0,
            chunk: vec![0; 128 << 10],
            ended: false,
            hasher: Hasher::sha256(),
            sent: 0,
        })
    }

    /// Compresses the next chunk into `ready`.
    fn refill(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.taken = 0;
        while self.ready.is_empty() && !self.ended {
            let length = self.source.read(&mut self.chunk)?;
            self.ended = length == 0;
            let chunk = &self.chunk[..length];
            match &mut self.encoder {
                Encoder::Gzip(Some(encoder)) if length > 0 => {
                    encoder.write_all(chunk)?;
                    std::mem::swap(encoder.get_mut(), &mut self.ready);
                }
                Encoder::Gzip(encoder) => {
                    self.ready = encoder.take().map_or(Ok(Vec::new()), flate2::write::GzEncoder::finish)?
                }
                Encoder::Zstd(Some(encoder)) if length > 0 => {
                    encoder.write_all(chunk)?;
                    std::mem::swap(encoder.get_mut(), &mut self.ready);
                }
                Encoder::Zstd(encoder) => {
                    self.ready =
                        encoder.take().map_or(Ok(Vec::new()), zstd::stream::write::Encoder::finish)?
                }
                Encoder::None => self.ready.extend_from_slice(chunk),
            }
        }
        self.hasher.update(&self.ready);
        self.sent += self.ready.len() as u64;
        Ok(())
    }
}

impl<R: Read> Read for Compressed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.ready.len() {
            self.refill()?;
        }
        let length = buffer.len().min(self.ready.len() - self.taken);
        buffer[..length].copy_from_slice(&self.ready[self.taken..self.taken + length]);
        self.taken += length;
        Ok(length)
    }
}
