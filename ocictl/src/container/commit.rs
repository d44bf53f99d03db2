//! An image out of a container: what it has changed becomes a layer on those of its image; and a root as a tar.

use super::Containers;
use super::copying::Owner;
use super::options::Options;
use super::record::Container;
use super::root::Root;
use super::{rootfs, start};
use crate::archive::write::{self, Form};
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::image::add::NewImage;
use crate::image::import::apply;
use crate::image::{Images, local_name};
use crate::oci::{Config, Descriptor, Healthcheck, History, ImageConfig, Platform, Rootfs, media};
use crate::store::disk;
use crate::time;
use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};

const BUFFER: usize = 256 << 10;

/// What a committed image is like.
#[derive(Debug, Default)]
pub struct Commit {
    /// Its name.
    pub name: Option<String>,
    /// Who made it.
    pub author: String,
    /// A remark for the history.
    pub message: String,
    /// Instructions like those of a Dockerfile: `CMD ["sh"]`, `ENV A=b`.
    pub changes: Vec<String>,
}

/// Makes an image of a container; its id.
///
/// # Errors
/// Fails for a container whose root is a directory of the host, and if the layer or the records cannot be written.
pub fn commit(
    containers: &Containers<'_>,
    images: &Images<'_>,
    container: &Container,
    commit: &Commit,
) -> Result<Digest> {
    if container.record.options.rootfs.is_some() {
        return Err(
            Error::new("its root is no image that could be added to; export it").context(container.place())
        );
    }
    let names: Vec<String> = commit
        .name
        .as_deref()
        .map(local_name)
        .transpose()
        .context(|| format!("commit {}", container.record.name))?
        .and_then(|name| name.tagged())
        .into_iter()
        .collect();
    let store = containers.store;
    let base = match &container.record.image {
        Some(image) => Some(images.resolve(&image.id.to_string())?),
        None => None,
    };
    let mut config = base.as_ref().map(|base| base.config.clone()).unwrap_or_default();
    config.config = as_run(&container.record.options, config.config);
    for change in &commit.changes {
        apply(&mut config.config, change).context(|| format!("--change \"{change}\""))?;
    }
    let ingest = store.ingest()?;
    let base_layers = container.record.image.as_ref().map(|image| image.layers.clone()).unwrap_or_default();
    store.keep(&ingest, &base_layers)?;
    let ids = container.record.options.ids.as_ref();
    let draft = {
        // One that never ran has none yet.
        let layer =
            rootfs::writable_at(&container.directory.join("layer"), &start::lower(containers, container)?)?;
        let upper = disk::open_directory(&layer.upper)?;
        let (theirs, ours) = pipe_with(PipeFlags::CLOEXEC)?;
        std::thread::scope(|scope| {
            let writer = scope.spawn(move || {
                let owners = |uid, gid| Owner::Translated(ids, None).of(uid, gid);
                write::directory(
                    &upper,
                    Form::Layer,
                    &owners,
                    BufWriter::with_capacity(BUFFER, File::from(ours)),
                )
            });
            let draft = store.draft_layer(&ingest, BufReader::with_capacity(BUFFER, File::from(theirs)));
            let written =
                writer.join().unwrap_or_else(|_| Err(Error::new("the writer of the layer has failed")));
            // What the reader says of half a layer follows from what kept the writer from the rest.
            written.and(draft)
        })
    }
    .context(|| container.place())?;
    let (diff_id, size) = (draft.diff_id().clone(), draft.size());
    store.keep(&ingest, std::slice::from_ref(&diff_id))?;
    draft.commit(store)?;
    let now = time::rfc3339(time::now());
    let mut descriptors = Vec::new();
    for layer in base_layers {
        let size = store.layer(&layer)?.map_or(0, |record| record.size);
        descriptors.push(Descriptor::new(media::LAYER, layer, size));
    }
    descriptors.push(Descriptor::new(media::LAYER, diff_id, size));
    let platform = Platform::host();
    if config.os.is_empty() {
        (config.os, config.architecture, config.variant) =
            (platform.os, platform.architecture, platform.variant);
    }
    config.created = Some(now.clone());
    if !commit.author.is_empty() {
        config.author = Some(commit.author.clone());
    }
    config.rootfs = Rootfs {
        kind: "layers".into(),
        diff_ids: descriptors.iter().map(|layer| layer.digest.clone()).collect(),
    };
    one_each(&mut config.history, descriptors.len() - 1);
    config.history.push(History {
        created: Some(now),
        created_by: Some(container.record.options.arguments.join(" ")),
        author: Some(commit.author.clone()).filter(|author| !author.is_empty()),
        comment: Some(commit.message.clone()).filter(|message| !message.is_empty()),
        empty_layer: false,
    });
    let config: ImageConfig = config;
    let config = serde_json::to_vec(&config).map_err(|error| Error::new(error.to_string()))?;
    let manifest = crate::image::load::manifest_of(&config, descriptors)?;
    let digest = Digest::of(&manifest);
    store.keep(&ingest, &[digest.clone(), Digest::of(&config)])?;
    store.put_blob(&manifest)?;
    images.add(NewImage { config: &config, manifest: digest, index: None, repository: None, names: &names })
}

/// Makes the history tell of as many layers as there are: podman and skopeo refuse an image whose history does not, and those that have
/// none are common. The specification has it optional (image-spec, config.md).
fn one_each(history: &mut Vec<History>, layers: usize) {
    let told = history.iter().filter(|entry| !entry.empty_layer).count();
    for _ in told..layers {
        history.push(History { comment: Some("a layer without history".into()), ..History::default() });
    }
    for entry in history.iter_mut().filter(|entry| !entry.empty_layer).skip(layers) {
        entry.empty_layer = true;
    }
}

/// The image's configuration with what the container was run with.
fn as_run(options: &Options, image: Config) -> Config {
    let length = options.entrypoint_length.min(options.arguments.len());
    Config {
        user: options.user.clone(),
        env: options.env.clone(),
        entrypoint: options.arguments[..length].to_vec(),
        cmd: options.arguments[length..].to_vec(),
        working_dir: options.workdir.clone(),
        labels: options.labels.clone(),
        stop_signal: options.stop_signal.clone(),
        healthcheck: options.health.as_ref().map(|health| Healthcheck {
            test: health.test.clone(),
            interval: nanos(health.interval_ms),
            timeout: nanos(health.timeout_ms),
            start_period: nanos(health.start_period_ms),
            start_interval: nanos(health.start_interval_ms),
            retries: i64::from(health.retries),
        }),
        ..image
    }
}

fn nanos(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000_000)
}

/// Writes a container's root as a tar.
///
/// # Errors
/// Names the path that cannot be read.
pub fn export(containers: &Containers<'_>, container: &Container, out: impl Write) -> Result<()> {
    let ids = container.record.options.ids.as_ref();
    let owners = |uid, gid| Owner::Translated(ids, None).of(uid, gid);
    let write = |root: &Root| {
        let directory = root.open_at("/", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
        write::directory(&directory, Form::Root, &owners, BufWriter::with_capacity(BUFFER, out))
    };
    let (state, status) = container.now()?;
    match status.lives() {
        // Of a running one, what is mounted in it (`/proc`, volumes) is no part of it.
        true => Root::bare(state.pid).and_then(|root| write(&root)),
        false => start::with_root(containers, container, write),
    }
    .context(|| container.place())
}
