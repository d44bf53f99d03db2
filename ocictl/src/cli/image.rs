//! `ocictl image …`: what there is, where it came from, and taking it away.

mod archive;
mod list;
mod remove;
mod view;

pub(super) use list::is_meant;
pub use remove::{tell as tell_removed, unneeded};

use super::output;
use super::registry::{PULL, PUSH, SEARCH};
use super::{Family, Invocation, SUCCESS, for_each, images, verb};
use crate::error::Result;
use serde_json::{Value, json};

/// The family.
pub const FAMILY: Family = Family {
    name: "image",
    aliases: &[],
    about: "Bring, list, inspect and remove images",
    verbs: &[
        PULL,
        PUSH,
        verb!("ls", ["list"], short["images"], "List images", list::Arguments, list::list),
        verb!("inspect", [], short [], "Show everything about images", Inspect, inspect),
        verb!(
            "history",
            [],
            short["history"],
            "Show how the layers of an image came to be",
            list::History,
            list::history
        ),
        verb!("tag", [], short["tag"], "Give an image another name", Tag, tag),
        verb!("untag", [], short["untag"], "Take names away from an image", Untag, untag),
        verb!("rm", ["remove"], short["rmi"], "Remove images", remove::Arguments, remove::remove),
        verb!("prune", [], short [], "Remove images that nobody needs", remove::Prune, remove::prune),
        verb!("mount", [], short [], "Show the tree of an image at a path", view::Mount, view::mount),
        verb!("unmount", ["umount"], short [], "Take the mount of an image away", view::Unmount, view::unmount),
        verb!("exists", [], short [], "Say by the exit code whether an image is here", Exists, exists),
        verb!(
            "load",
            [],
            short["load"],
            "Load images from an archive or an OCI layout",
            archive::Load,
            archive::load
        ),
        verb!(
            "import",
            [],
            short["import"],
            "Make an image of a tar of a root file system",
            archive::Import,
            archive::import
        ),
        verb!(
            "save",
            [],
            short["save"],
            "Write images to an archive or an OCI layout",
            archive::Save,
            archive::save
        ),
        SEARCH,
    ],
};

#[derive(Debug, clap::Args)]
struct Inspect {
    /// Names or IDs of images
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// A template, or json
    #[arg(long, short, value_name = "TEMPLATE")]
    format: Option<String>,
}

fn inspect(invocation: &Invocation, arguments: Inspect) -> Result<u8> {
    let store = invocation.store()?;
    let images = images(&store)?;
    let mut objects = Vec::new();
    let all = for_each(&arguments.images, |name| {
        objects.push(object(&images.resolve(name)?));
        Ok(())
    });
    output::print_objects(&objects, arguments.format.as_deref())?;
    all.map(|()| SUCCESS)
}

/// What `inspect` shows of an image, as docker and podman do.
pub(super) fn object(image: &crate::image::Image) -> Value {
    let raw: Value = serde_json::from_slice(&image.raw_config).unwrap_or_default();
    json!({
        "Id": image.id().hex(),
        "Digest": image.record.manifests.last().map(|known| known.digest.as_str()),
        "RepoTags": image.names,
        "RepoDigests": image.repo_digests(),
        "Parent": "",
        "Comment": raw.get("comment").and_then(Value::as_str).unwrap_or_default(),
        "Created": image.config.created,
        "Config": config(&raw),
        "Author": image.config.author.as_deref().unwrap_or_default(),
        "Architecture": image.config.architecture,
        "Variant": image.config.variant.as_deref().unwrap_or_default(),
        "Os": image.config.os,
        "Size": image.record.size,
        "VirtualSize": image.record.size,
        "GraphDriver": {"Name": "overlay", "Data": {}},
        "RootFS": {"Type": "layers", "Layers": image.config.rootfs.diff_ids},
        "Labels": image.config.config.labels,
        "Annotations": {},
        "User": image.config.config.user,
        "History": image.config.history,
        "NamesHistory": image.names,
    })
}

/// An image's configuration with everything that it knows, and what every configuration may have: templates ask for that.
fn config(raw: &Value) -> Value {
    let mut whole = json!({
        "User": "", "Env": null, "Entrypoint": null, "Cmd": null, "Volumes": null, "WorkingDir": "", "Labels": null,
        "ExposedPorts": null, "StopSignal": "", "OnBuild": null,
    });
    if let (Some(whole), Some(known)) = (whole.as_object_mut(), raw["config"].as_object()) {
        whole.extend(known.clone());
    }
    whole
}

#[derive(Debug, clap::Args)]
struct Tag {
    /// Name or ID of an image
    #[arg(value_name = "IMAGE")]
    image: String,
    /// The names to give
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

fn tag(invocation: &Invocation, arguments: Tag) -> Result<u8> {
    let store = invocation.store()?;
    let images = images(&store)?;
    for name in &arguments.names {
        images.tag(&arguments.image, name)?;
    }
    Ok(SUCCESS)
}

#[derive(Debug, clap::Args)]
struct Untag {
    /// Name or ID of an image
    #[arg(value_name = "IMAGE")]
    image: String,
    /// The names to take away; all if none is given
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

fn untag(invocation: &Invocation, arguments: Untag) -> Result<u8> {
    let store = invocation.store()?;
    images(&store)?.untag(&arguments.image, &arguments.names)?;
    Ok(SUCCESS)
}

#[derive(Debug, clap::Args)]
struct Exists {
    /// Name or ID of an image
    #[arg(value_name = "IMAGE")]
    image: String,
}

fn exists(invocation: &Invocation, arguments: Exists) -> Result<u8> {
    let store = invocation.store()?;
    Ok(u8::from(images(&store)?.find(&arguments.image)?.is_none()))
}
