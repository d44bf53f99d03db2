//! `image mount` and `image unmount`.

use super::super::{Invocation, SUCCESS, for_each, images, print_text};
use crate::error::{Error, Result};
use crate::rootless;

/// What `image mount` takes.
#[derive(Debug, clap::Args)]
pub struct Mount {
    /// Names or IDs of images; without any, those that are mounted are listed
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
}

/// Mounts images and prints where.
pub fn mount(invocation: &Invocation, arguments: Mount) -> Result<u8> {
    if rootless::is_needed() {
        return Err(Error::new("image mount: without root it is seen in a namespace of its own only")
            .hint("run it, and what looks at it, by `ocictl unshare`"));
    }
    let store = invocation.store()?;
    let images = images(&store)?;
    if arguments.images.is_empty() {
        for id in images.mounted()? {
            let image = images.resolve(id.as_str())?;
            let name = image.names.first().cloned().unwrap_or_else(|| id.short().to_owned());
            print_text(&format!("{name} {}\n", images.mount(&image)?.display()))?;
        }
    }
    for_each(&arguments.images, |name| {
        print_text(&format!("{}\n", images.mount(&images.resolve(name)?)?.display()))
    })?;
    Ok(SUCCESS)
}

/// What `image unmount` takes.
#[derive(Debug, clap::Args)]
pub struct Unmount {
    /// Names or IDs of images
    #[arg(value_name = "IMAGE", required_unless_present = "all")]
    images: Vec<String>,
    /// Unmount all images
    #[arg(long, short, conflicts_with = "images")]
    all: bool,
}

/// Unmounts images and prints their IDs.
pub fn unmount(invocation: &Invocation, arguments: Unmount) -> Result<u8> {
    let store = invocation.store()?;
    let images = images(&store)?;
    let names = match arguments.all {
        true => images.mounted()?.iter().map(ToString::to_string).collect(),
        false => arguments.images,
    };
    for_each(&names, |name| {
        let image = images.resolve(name)?;
        if images.unmount(image.id())? {
            print_text(&format!("{}\n", image.id().hex()))?;
        }
        Ok(())
    })?;
    Ok(SUCCESS)
}
