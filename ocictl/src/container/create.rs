//! Creating a container: options, image and other containers become one record. Nothing is mounted and nothing runs yet, so this costs the
//! same whether there are two containers or a thousand.

use super::options::{Mount, MountKind, Namespace, Options, Typed};
use super::record::{Container, ImageUse, Record};
use super::{Containers, bad_name, claims, new_id, parse, userns};
use crate::error::{Error, Result};
use crate::image::{Image, Images};
use crate::oci::Config;
use crate::runtime;
use crate::store::lock::Lock;
use crate::time;

/// What was asked for.
#[derive(Debug, Default)]
pub struct Request {
    /// The name; empty for one that is made up.
    pub name: String,
    /// What was typed of options that an image has no word in.
    pub options: Options,
    /// What was typed of the others.
    pub typed: Typed,
    /// The image, and the name that it was called by; nothing where the root is a directory.
    pub image: Option<(Image, String)>,
    /// What was typed of its ids.
    pub users: userns::Typed,
    /// Containers whose mounts it gets, too: `NAME[:ro]`.
    pub volumes_from: Vec<String>,
}

/// Creates a container.
///
/// Its lock is held until it is started, or dropped.
///
/// # Errors
/// Says what contradicts what, or what is not there; nothing is left then.
pub fn create(containers: &Containers<'_>, request: Request) -> Result<(Container, Lock)> {
    let Request { name, mut options, typed, image, users, volumes_from } = request;
    if !name.is_empty() && !parse::is_name(&name) {
        return Err(bad_name(&name));
    }
    if options.remove && options.restart != super::options::Restart::No {
        return Err(Error::new("--rm and --restart contradict each other").exit_code(125));
    }
    if let Some((image, name)) = &image {
        claims::check(&image.config.config).map_err(|error| error.context(name.clone()).exit_code(125))?;
    }
    let none = Config::default();
    let users = userns::Typed { has_user: !options.user.is_empty(), ..users };
    options.complete(typed, image.as_ref().map_or(&none, |(image, _)| &image.config.config));
    if options.arguments.is_empty() {
        return Err(Error::new("no command is given, and the image has none").exit_code(125));
    }
    if !options.stop_signal.is_empty() {
        parse::signal(&options.stop_signal).map_err(|error| error.context("stop signal").exit_code(125))?;
    }
    if options.workdir.split('/').any(|part| part == "..")
        || !(options.workdir.is_empty() || options.workdir.starts_with('/'))
    {
        return Err(Error::new(format!(
            "working directory \"{}\": it is no plain absolute path",
            options.workdir
        ))
        .exit_code(125));
    }
    let _until_it_is_there =
        userns::decide(containers, &mut options, users, image.as_ref().map(|(image, _)| image))
            .map_err(|error| if error.code() == 1 { error.exit_code(125) } else { error })?;
    for other in &volumes_from {
        inherit(containers, &mut options, other)?;
    }
    for target in std::mem::take(&mut options.image_volumes) {
        let covered = options.mounts.iter().any(|mount| mount.target == target.trim_end_matches('/'));
        if !covered {
            let target = target.trim_end_matches('/').to_owned();
            options.mounts.push(Mount {
                kind: MountKind::Anonymous(String::new()),
                target,
                options: Vec::new(),
                copy_up: true,
                subpath: String::new(),
            });
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    for mount in &mut options.mounts {
        if !seen.insert(mount.target.clone()) {
            return Err(Error::new(format!("{}: two mounts have this target", mount.target)).exit_code(125));
        }
        match &mut mount.kind {
            MountKind::Anonymous(name) if name.is_empty() => *name = new_id(),
            MountKind::Image(name, used @ None) => {
                let found =
                    Images::open(containers.store)?.resolve(name).map_err(|error| error.exit_code(125))?;
                let id = found.id().clone();
                *used = Some(ImageUse { id, name: name.clone(), layers: found.record.layers });
            }
            _ => {}
        }
    }
    let chosen = &mut options.namespaces;
    for namespace in
        [&mut chosen.network, &mut chosen.pid, &mut chosen.ipc, &mut chosen.uts, &mut chosen.cgroup]
    {
        if let Namespace::Container(other) = namespace {
            *other = containers.find(other).map_err(|error| error.exit_code(125))?.record.id;
        }
    }
    let image =
        image.map(|(image, name)| ImageUse { id: image.id().clone(), name, layers: image.record.layers });
    if options.runtime.is_empty() {
        // Later commands may be called with another environment, and must ask the same one.
        options.runtime = runtime::default();
    }
    let lasting = !options.remove;
    let record = Record { id: new_id(), name, created: time::now(), image, options };
    containers.add(record, lasting).map_err(|error| error.exit_code(125))
}

/// The mounts of another container, where nothing was typed for their targets.
fn inherit(containers: &Containers<'_>, options: &mut Options, other: &str) -> Result<()> {
    let (name, words) = other.split_once(':').unwrap_or((other, ""));
    if !matches!(words, "" | "ro" | "rw" | "z" | "Z") {
        return Err(
            Error::new(format!("--volumes-from {other}: \"{words}\" is neither ro nor rw")).exit_code(125)
        );
    }
    let found = containers.find(name).map_err(|error| error.context("--volumes-from").exit_code(125))?;
    for mount in found.record.options.mounts {
        if mount.kind == MountKind::Tmpfs || options.mounts.iter().any(|own| own.target == mount.target) {
            continue;
        }
        let mut mount = mount;
        // It is another's, and does not go with this one.
        if let MountKind::Anonymous(name) = mount.kind {
            mount.kind = MountKind::Volume(name);
        }
        if words == "ro" {
            mount.options.push("ro".into());
        }
        options.mounts.push(mount);
    }
    Ok(())
}
