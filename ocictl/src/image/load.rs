//! Images from archives: OCI layouts (image-spec, image-layout.md) as directories or tars, and what `docker save` writes.
//!
//! An archive is read once, front to back, compressed or not, from a pipe too: what looks like JSON is kept in memory, all else
//! is taken for layers and goes through their pipeline at once; the manifest, wherever it stands, then says what belongs together.

use super::Images;
use super::add::NewImage;
use crate::archive::compression::Decoder;
use crate::archive::tar::{Kind, Reader};
use crate::digest::{Digest, Hashing};
use crate::error::{Context, Error, Result};
use crate::oci::{Descriptor, Document, ImageConfig, Manifest, Platform, blob_path, kind_of_layer, media};
use crate::reference::Typed;
use crate::store::ingest::Ingest;
use crate::store::{Store, disk};
use rustix::fs::{Mode, OFlags};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

/// What was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The image.
    pub id: Digest,
    /// The names it got.
    pub names: Vec<String>,
}

const BUFFER: usize = 256 << 10;
/// The largest file of an archive that is kept in memory, and the most of all of them.
const MAX_SMALL: u64 = 8 << 20;
const MAX_SMALL_SUM: u64 = 64 << 20;

/// A layer of an archive that is in the store now.
#[derive(Debug, Clone)]
struct LayerFile {
    diff_id: Digest,
    /// Of the file as it stood in the archive.
    digest: Digest,
    size: u64,
}

/// Where the parts of an image come from.
enum Parts {
    Archive {
        small: BTreeMap<String, Vec<u8>>,
        layers: BTreeMap<String, LayerFile>,
        links: BTreeMap<String, String>,
    },
    Layout(OwnedFd),
}

impl Images<'_> {
    /// Loads all images of an archive.
    ///
    /// # Errors
    /// Says what is wrong with it; layers that were read already go with the next collection.
    pub fn load_archive(&self, source: impl Read) -> Result<Vec<Loaded>> {
        let ingest = self.store.ingest()?;
        let parts = read_archive(self.store, &ingest, source)?;
        self.assemble(&ingest, parts, None)
    }

    /// Loads the images of an OCI layout; one of them if `name` says which.
    ///
    /// # Errors
    /// Says what is wrong with it, or which names there are.
    pub fn load_layout(&self, directory: &Path, name: Option<&str>) -> Result<Vec<Loaded>> {
        let opened =
            rustix::fs::open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let opened = opened.context(|| directory.display().to_string())?;
        let ingest = self.store.ingest()?;
        self.assemble(&ingest, Parts::Layout(opened), name)
    }

    fn assemble(&self, ingest: &Ingest, mut parts: Parts, name: Option<&str>) -> Result<Vec<Loaded>> {
        let docker = parts.small("manifest.json")?;
        let oci = parts.small("index.json")?;
        match (oci, docker) {
            (Some(index), docker) => {
                let tags = docker.map(|bytes| docker_manifests(&bytes)).transpose()?.unwrap_or_default();
                self.assemble_oci(ingest, &mut parts, &index, &tags, name)
            }
            (None, Some(bytes)) => docker_manifests(&bytes)?
                .into_iter()
                .map(|manifest| self.assemble_docker(ingest, &mut parts, &manifest))
                .collect(),
            (None, None) => {
                Err(Error::new("neither index.json (OCI layout) nor manifest.json (docker save) is in it"))
            }
        }
    }

    fn assemble_docker(
        &self,
        ingest: &Ingest,
        parts: &mut Parts,
        manifest: &DockerManifest,
    ) -> Result<Loaded> {
        let config = parts.required(&manifest.config)?;
        let parsed = ImageConfig::parse(&config).context(|| manifest.config.clone())?;
        let diff_ids = &parsed.rootfs.diff_ids;
        let named = manifest.layers.len();
        if named != diff_ids.len() {
            return Err(Error::new(format!(
                "manifest.json names {named} layers, the configuration {}",
                diff_ids.len()
            )));
        }
        let mut layers = Vec::new();
        for (path, diff_id) in manifest.layers.iter().zip(diff_ids) {
            let layer = parts.layer(self.store, ingest, path, None)?;
            diff_id.expect(&layer.diff_id).context(|| format!("layer {path}"))?;
            layers.push(Descriptor::new(media::LAYER, diff_id.clone(), self.layer(diff_id)?.size));
        }
        let bytes = manifest_of(&config, layers)?;
        self.keep_and_add(ingest, &config, &bytes, manifest.repo_tags.as_deref().unwrap_or_default())
    }

    fn assemble_oci(
        &self,
        ingest: &Ingest,
        parts: &mut Parts,
        index: &[u8],
        docker: &[DockerManifest],
        wanted: Option<&str>,
    ) -> Result<Vec<Loaded>> {
        let Document::Index(index) = Document::parse(index, None).context(|| "index.json")? else {
            return Err(Error::new("index.json: it is no index"));
        };
        let mut loaded = Vec::new();
        let mut known = Vec::new();
        for descriptor in &index.manifests {
            let annotation =
                |key: &str| descriptor.annotations.as_ref().and_then(|all| all.get(key)).map(String::as_str);
            let name = annotation("io.containerd.image.name")
                .or_else(|| annotation("org.opencontainers.image.ref.name"));
            known.extend(name);
            if wanted.is_some() && wanted != name {
                continue;
            }
            let Some((bytes, manifest)) = parts.manifest(descriptor, 0)? else { continue };
            let config_path = blob_path(&manifest.config.digest);
            let config = parts.required(&config_path)?;
            manifest.config.digest.verify(&config).context(|| config_path.clone())?;
            let parsed = ImageConfig::parse(&config)?;
            if parsed.rootfs.diff_ids.len() != manifest.layers.len() {
                return Err(Error::new(format!(
                    "manifest {} has {} layers, its configuration {}",
                    descriptor.digest.short(),
                    manifest.layers.len(),
                    parsed.rootfs.diff_ids.len()
                )));
            }
            for (layer, diff_id) in manifest.layers.iter().zip(&parsed.rootfs.diff_ids) {
                kind_of_layer(&layer.media_type)?;
                let path = blob_path(&layer.digest);
                let file = parts.layer(self.store, ingest, &path, Some(diff_id))?;
                let place = || format!("layer {path}");
                layer.digest.expect(&file.digest).context(place)?;
                diff_id.expect(&file.diff_id).context(place)?;
                if file.size != layer.size {
                    return Err(Error::new(format!(
                        "it has {} bytes, not {} as promised",
                        file.size, layer.size
                    ))
                    .context(place()));
                }
            }
            let tags: Vec<String> = docker
                .iter()
                .filter(|docker| {
                    docker.config.ends_with(manifest.config.digest.hex())
                        || docker.config == format!("{}.json", manifest.config.digest.hex())
                })
                .flat_map(|docker| docker.repo_tags.clone().unwrap_or_default())
                .chain(name.map(String::from))
                .collect();
            loaded.push(self.keep_and_add(ingest, &config, &bytes, &tags)?);
        }
        if loaded.is_empty() {
            return Err(match wanted {
                Some(wanted) => {
                    Error::new(format!("no image \"{wanted}\" in it; there is {}", known.join(", ")))
                }
                None => Error::new(format!("no image for {} in it", Platform::host())),
            });
        }
        Ok(loaded)
    }

    /// Puts the documents into the store and makes the image. A name without a registry is one of Docker's, as `docker save` writes
    /// them; a single word, as skopeo writes into layouts, is one of this machine's.
    fn keep_and_add(
        &self,
        ingest: &Ingest,
        config: &[u8],
        manifest: &[u8],
        names: &[String],
    ) -> Result<Loaded> {
        let digest = Digest::of(manifest);
        self.store.keep(ingest, &[digest.clone(), Digest::of(config)])?;
        self.store.put_blob(manifest)?;
        let mut full: Vec<String> = Vec::new();
        for name in names {
            let reference = match Typed::parse(name) {
                Ok(Typed::Full(reference)) => reference,
                Ok(Typed::Short(short)) if name.contains([':', '/']) => short.at("docker.io"),
                Ok(Typed::Short(short)) => short.at("localhost"),
                Err(_) => continue, // A tag alone may be no name.
            };
            if let Some(name) = reference.tagged()
                && !full.contains(&name)
            {
                full.push(name);
            }
        }
        let id =
            self.add(NewImage { config, manifest: digest, index: None, repository: None, names: &full })?;
        Ok(Loaded { id, names: full })
    }
}

/// A manifest for layers that came without one.
///
/// # Errors
/// Never for what comes from us.
pub fn manifest_of(config: &[u8], layers: Vec<Descriptor>) -> Result<Vec<u8>> {
    let config = Descriptor::new(media::CONFIG, Digest::of(config), config.len() as u64);
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media::MANIFEST.into()),
        config,
        layers,
        annotations: None,
    };
    serde_json::to_vec(&manifest).map_err(|error| Error::new(error.to_string()))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerManifest {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

fn docker_manifests(bytes: &[u8]) -> Result<Vec<DockerManifest>> {
    serde_json::from_slice(bytes).map_err(|error| Error::new(error.to_string()).context("manifest.json"))
}

impl Parts {
    /// A small file; nothing if there is none.
    fn small(&self, path: &str) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Archive { small, .. } => Ok(small.get(path).cloned()),
            Self::Layout(directory) => disk::read_small_below(directory, path, MAX_SMALL),
        }
    }

    fn required(&self, path: &str) -> Result<Vec<u8>> {
        self.small(path)?.ok_or_else(|| Error::new(format!("{path} is missing")))
    }

    /// The manifest behind a descriptor, through indexes; nothing if it is for other platforms or no image.
    fn manifest(&self, descriptor: &Descriptor, depth: usize) -> Result<Option<(Vec<u8>, Manifest)>> {
        let path = blob_path(&descriptor.digest);
        let Some(bytes) = self.small(&path)? else {
            // docker writes indexes of which one platform is there.
            return if depth > 0 { Ok(None) } else { Err(Error::new(format!("{path} is missing"))) };
        };
        descriptor.digest.verify(&bytes).context(|| path.clone())?;
        match Document::parse(&bytes, Some(&descriptor.media_type)).context(|| path.clone())? {
            Document::Manifest(manifest) => Ok(Some((bytes, manifest))),
            Document::Index(_) if depth >= 4 => {
                Err(Error::new(format!("{path}: indexes within indexes, more than 4 deep")))
            }
            Document::Index(index) => {
                let host = Platform::host();
                let rank = |descriptor: &&Descriptor| {
                    descriptor.platform.as_ref().map_or(0, |offered| host.rank(offered))
                };
                let mut fitting: Vec<&Descriptor> =
                    index.manifests.iter().filter(|descriptor| rank(descriptor) > 0).collect();
                fitting.sort_by_key(|descriptor| std::cmp::Reverse(rank(descriptor)));
                for descriptor in fitting {
                    if let Some(found) = self.manifest(descriptor, depth + 1)? {
                        return Ok(Some(found));
                    }
                }
                Ok(None)
            }
        }
    }

    /// A layer that is in the store afterwards.
    fn layer(
        &mut self,
        store: &Store,
        ingest: &Ingest,
        path: &str,
        diff_id: Option<&Digest>,
    ) -> Result<LayerFile> {
        match self {
            Self::Archive { layers, links, .. } => {
                let target = links.get(path).map_or(path, String::as_str);
                layers.get(target).cloned().ok_or_else(|| Error::new(format!("layer {path} is missing")))
            }
            Self::Layout(directory) => {
                let file = disk::open_below(directory, path)?;
                let file = file.ok_or_else(|| Error::new(format!("layer {path} is missing")))?;
                let size = file.metadata().context(|| path.to_owned())?.len();
                if let Some(diff_id) = diff_id {
                    store.keep(ingest, std::slice::from_ref(diff_id))?;
                    if store.layer(diff_id)?.is_some() {
                        let digest =
                            digest_of(BufReader::with_capacity(BUFFER, file)).context(|| path.to_owned())?;
                        return Ok(LayerFile { diff_id: diff_id.clone(), digest, size });
                    }
                }
                take_layer(store, ingest, BufReader::with_capacity(BUFFER, file))
                    .context(|| format!("layer {path}"))
            }
        }
    }
}

fn read_archive(store: &Store, ingest: &Ingest, source: impl Read) -> Result<Parts> {
    let decoder = Decoder::new(BufReader::with_capacity(BUFFER, source))?;
    let mut reader = Reader::new(BufReader::with_capacity(BUFFER, decoder));
    let mut small = BTreeMap::new();
    let mut layers = BTreeMap::new();
    let mut links = BTreeMap::new();
    let mut sum = 0;
    while let Some(entry) = reader.next_entry()? {
        let Ok(path) = String::from_utf8(entry.path.clone()) else { continue };
        let path = path.trim_start_matches("./").to_owned();
        match &entry.kind {
            Kind::Symlink(target) | Kind::HardLink(target) => {
                if let Ok(target) = std::str::from_utf8(target) {
                    links.insert(
                        path.clone(),
                        resolve(&path, target, matches!(entry.kind, Kind::HardLink(_))),
                    );
                }
            }
            Kind::File if entry.sparse.is_none() && entry.size > 0 => {
                if is_small(&path, entry.size, reader.source().fill_buf()?) {
                    let mut bytes = Vec::new();
                    reader.data_reader().read_to_end(&mut bytes)?;
                    sum += bytes.len() as u64;
                    if sum > MAX_SMALL_SUM {
                        return Err(Error::new(format!("more than {MAX_SMALL_SUM} bytes of documents")));
                    }
                    small.insert(path, bytes);
                } else {
                    let layer = take_layer(store, ingest, reader.data_reader())
                        .context(|| format!("layer {path}"))?;
                    layers.insert(path, layer);
                }
            }
            _ => {}
        }
    }
    reader.drain()?;
    Ok(Parts::Archive { small, layers, links })
}

/// Whether a file is a document; layers are tars, compressed or not.
fn is_small(path: &str, size: u64, start: &[u8]) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let documents =
        name.ends_with(".json") || matches!(name, "repositories" | "VERSION" | "oci-layout" | "json");
    let looks = matches!(start.first(), Some(b'{' | b'[')) && start.get(257..262) != Some(b"ustar");
    size <= MAX_SMALL && (documents || looks)
}

/// Where a link of an archive leads, within it.
fn resolve(path: &str, target: &str, from_top: bool) -> String {
    let mut way: Vec<&str> = if from_top { Vec::new() } else { path.split('/').collect() };
    way.pop();
    for name in target.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                way.pop();
            }
            name => way.push(name),
        }
    }
    way.join("/")
}

/// Takes a layer into the store.
fn take_layer(store: &Store, ingest: &Ingest, source: impl BufRead) -> Result<LayerFile> {
    let mut source = Hashing::new(source);
    let draft = store.draft_layer(ingest, &mut source)?;
    let diff_id = draft.diff_id().clone();
    let (digest, size) = source.finish();
    store.keep(ingest, std::slice::from_ref(&diff_id))?;
    draft.commit(store)?;
    Ok(LayerFile { diff_id, digest, size })
}

fn digest_of(source: impl BufRead) -> Result<Digest> {
    let mut source = Hashing::new(source);
    io::copy(&mut source, &mut io::sink())?;
    Ok(source.finish().0)
}
