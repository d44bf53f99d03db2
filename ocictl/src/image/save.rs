//! Images into archives: an OCI layout as a directory or a tar, or what `docker save` writes. Layers go as they are kept,
//! uncompressed, so that nothing is compressed that will be taken apart again at once; `--compress` changes that.

use super::push::{Compressed, PushCompression};
use super::{Image, Images};
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::oci::{Descriptor, Document, Manifest, Platform, blob_path, media};
use crate::store::disk;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// What `docker save` writes, as a tar.
    DockerArchive,
    /// An OCI layout, as a tar.
    OciArchive,
    /// An OCI layout, as a directory.
    OciDirectory,
}

/// An image to save, and the names that it is saved under.
#[derive(Debug)]
pub struct Saved {
    image: Image,
    names: Vec<String>,
}

impl Images<'_> {
    /// Finds what is to be saved; a name stands for itself, an ID for no name.
    ///
    /// # Errors
    /// Fails if one is not there.
    pub fn to_save(&self, names: &[String]) -> Result<Vec<Saved>> {
        let mut found: Vec<Saved> = Vec::new();
        for name in names {
            let image = self.resolve(name)?;
            let typed = crate::reference::Typed::parse(name).ok();
            let known =
                typed.and_then(|typed| self.find_name(&typed).ok().flatten()).map(|record| record.name);
            match found.iter_mut().find(|saved| saved.image.id() == image.id()) {
                Some(saved) => saved.names.extend(known),
                None => found.push(Saved { image, names: known.into_iter().collect() }),
            }
        }
        Ok(found)
    }

    /// Writes an archive of images to `out`.
    ///
    /// # Errors
    /// Fails if a layer cannot be read, or `out` not be written.
    pub fn save_archive(&self, images: &[Saved], form: Form, compress: bool, out: impl Write) -> Result<()> {
        let mut sink = Tar { out: BufWriter::with_capacity(256 << 10, out) };
        match form {
            Form::DockerArchive => self.save_docker(images, &mut sink)?,
            _ => self.save_oci(images, compress, &mut sink)?,
        }
        sink.finish()
    }

    /// Writes an OCI layout into a directory, which is made.
    ///
    /// # Errors
    /// Fails if a layer cannot be read, or the directory not be written.
    pub fn save_directory(&self, images: &[Saved], compress: bool, directory: &Path) -> Result<()> {
        self.save_oci(images, compress, &mut Folder { directory: directory.to_owned() })
    }

    fn save_docker(&self, images: &[Saved], sink: &mut impl Sink) -> Result<()> {
        let mut manifests = Vec::new();
        let mut written = BTreeSet::new();
        for saved in images {
            let mut layers = Vec::new();
            for diff_id in &saved.image.config.rootfs.diff_ids {
                let path = format!("{}.tar", diff_id.hex());
                if written.insert(diff_id.clone()) {
                    sink.stream(&path, self.layer(diff_id)?.size, &mut self.store.open_layer(diff_id)?)?;
                }
                layers.push(path);
            }
            let config = format!("{}.json", saved.image.id().hex());
            sink.bytes(&config, &saved.image.raw_config)?;
            manifests.push(json!({"Config": config, "RepoTags": saved.names, "Layers": layers}));
        }
        sink.bytes("manifest.json", json!(manifests).to_string().as_bytes())
    }

    fn save_oci(&self, images: &[Saved], compress: bool, sink: &mut impl Sink) -> Result<()> {
        sink.bytes("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        let mut written = BTreeSet::new();
        let mut manifests = Vec::new();
        for saved in images {
            let mut layers = Vec::new();
            for diff_id in &saved.image.config.rootfs.diff_ids {
                let (digest, size, media_type) = match compress {
                    true => self.compressed_layer(diff_id, sink, &mut written)?,
                    false => {
                        let size = self.layer(diff_id)?.size;
                        if written.insert(diff_id.clone()) {
                            sink.stream(&blob_path(diff_id), size, &mut self.store.open_layer(diff_id)?)?;
                        }
                        (diff_id.clone(), size, media::LAYER)
                    }
                };
                layers.push(Descriptor::new(media_type, digest, size));
            }
            let config = saved.image.raw_config.as_slice();
            let manifest = Manifest {
                schema_version: 2,
                media_type: Some(media::MANIFEST.into()),
                config: Descriptor::new(media::CONFIG, saved.image.id().clone(), config.len() as u64),
                layers,
                annotations: None,
            };
            let manifest = serde_json::to_vec(&manifest).map_err(|error| Error::new(error.to_string()))?;
            let digest = Digest::of(&manifest);
            for (digest, bytes) in [(saved.image.id(), config), (&digest, &manifest)] {
                if written.insert(digest.clone()) {
                    sink.bytes(&blob_path(digest), bytes)?;
                }
            }
            let mut entry = Descriptor::new(media::MANIFEST, digest, manifest.len() as u64);
            entry.platform = Platform::parse(&saved.image.record.platform).ok();
            if saved.names.is_empty() {
                manifests.push(entry.clone());
            }
            for name in &saved.names {
                let names = [("org.opencontainers.image.ref.name", name), ("io.containerd.image.name", name)];
                entry.annotations = Some(names.map(|(key, name)| (key.to_owned(), name.clone())).into());
                manifests.push(entry.clone());
            }
        }
        let index =
            json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": manifests}).to_string();
        Document::parse(index.as_bytes(), None)?;
        sink.bytes("index.json", index.as_bytes())
    }

    /// Compresses a layer to a file first: its digest is its name.
    fn compressed_layer(
        &self,
        diff_id: &Digest,
        sink: &mut impl Sink,
        written: &mut BTreeSet<Digest>,
    ) -> Result<(Digest, u64, &'static str)> {
        let ingest = self.store.ingest()?;
        let path = ingest.directory().join("compressed");
        let mut compressed = Compressed::new(self.store.open_layer(diff_id)?, PushCompression::Gzip)?;
        io::copy(&mut compressed, &mut disk::create(&path)?)?;
        let (digest, size) = (compressed.hasher.finish(), compressed.sent);
        if written.insert(digest.clone()) {
            sink.stream(&blob_path(&digest), size, &mut File::open(&path)?)?;
        }
        Ok((digest, size, media::LAYER_GZIP))
    }
}

/// Where files go.
trait Sink {
    fn stream(&mut self, path: &str, size: u64, source: &mut dyn Read) -> Result<()>;

    fn bytes(&mut self, path: &str, mut bytes: &[u8]) -> Result<()> {
        self.stream(path, bytes.len() as u64, &mut bytes)
    }
}

struct Folder {
    directory: PathBuf,
}

impl Sink for Folder {
    fn stream(&mut self, path: &str, size: u64, source: &mut dyn Read) -> Result<()> {
        let target = self.directory.join(path);
        let place = || format!("write {}", target.display());
        let folder = target.parent().unwrap_or(&self.directory);
        std::fs::create_dir_all(folder).context(place)?;
        let mut file =
            File::options().write(true).create(true).truncate(true).open(&target).context(place)?;
        let copied = io::copy(source, &mut file).context(place)?;
        check_size(path, size, copied)
    }
}

struct Tar<W: Write> {
    out: BufWriter<W>,
}

impl<W: Write> Sink for Tar<W> {
    fn stream(&mut self, path: &str, size: u64, source: &mut dyn Read) -> Result<()> {
        self.out.write_all(&header(path, size))?;
        let copied = io::copy(source, &mut self.out).context(|| path.to_owned())?;
        check_size(path, size, copied)?;
        let padding = size.next_multiple_of(512) - size;
        self.out.write_all(&vec![0; usize::try_from(padding).unwrap_or(0)])?;
        Ok(())
    }
}

impl<W: Write> Tar<W> {
    fn finish(mut self) -> Result<()> {
        self.out.write_all(&[0; 1024])?;
        self.out.flush()?;
        Ok(())
    }
}

fn check_size(path: &str, size: u64, copied: u64) -> Result<()> {
    if size == copied {
        return Ok(());
    }
    Err(Error::new(format!("{path}: {copied} bytes where {size} were expected")))
}

/// A header of ustar for a file that anyone may read; sizes beyond 8 GiB in base 256.
fn header(path: &str, size: u64) -> [u8; 512] {
    let mut block = [0u8; 512];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    put(0, path.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    if size < 1 << 33 {
        put(124, format!("{size:011o}\0").as_bytes());
    } else {
        put(124, &[0x80, 0, 0, 0]);
        put(128, &size.to_be_bytes());
    }
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}
