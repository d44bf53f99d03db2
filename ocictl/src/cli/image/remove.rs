//! `image rm` and `image prune`.

use super::super::container::PRUNE_FILTERS;
use super::super::output::{Filters, units};
use super::super::{Invocation, SUCCESS, confirmed, for_each, images, print_text};
use super::list::is_meant;
use crate::error::Result;
use crate::image::Images;
use crate::image::remove::Removed;

/// What `image rm` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Names or IDs of images
    #[arg(value_name = "IMAGE", required_unless_present = "all")]
    images: Vec<String>,
    /// Remove all images
    #[arg(long, short, conflicts_with = "images")]
    all: bool,
    /// Remove an image with all of its names; one that is not there is no error
    #[arg(long, short)]
    force: bool,
    /// An image that is not there is no error
    #[arg(long, short)]
    ignore: bool,
    /// Accepted for podman: there are no intermediate images
    #[arg(long)]
    no_prune: bool,
}

/// Removes images.
pub fn remove(invocation: &Invocation, arguments: Arguments) -> Result<u8> {
    let store = invocation.store()?;
    let images = images(&store)?;
    let names = match arguments.all {
        true => images.list()?.into_iter().map(|(image, _)| image.id.to_string()).collect(),
        false => arguments.images,
    };
    let mut removed = Vec::new();
    let all = for_each(&names, |name| {
        if (arguments.ignore || arguments.force) && images.find(name)?.is_none() {
            return Ok(());
        }
        removed.extend(images.remove(name, arguments.force || arguments.all)?);
        Ok(())
    });
    tell(&removed)?;
    store.collect()?;
    all.map(|()| SUCCESS)
}

/// Says what was removed, as docker and podman do.
///
/// # Errors
/// Fails if standard output cannot be written.
pub fn tell(removed: &[Removed]) -> Result<()> {
    let line = |removed: &Removed| match removed {
        Removed::Untagged(name) => format!("Untagged: {name}\n"),
        Removed::Deleted(id) => format!("Deleted: {}\n", id.hex()),
    };
    print_text(&removed.iter().map(line).collect::<String>())
}

/// What `image prune` takes.
#[derive(Debug, clap::Args)]
pub struct Prune {
    /// Remove all images that no container needs, not only those without a name
    #[arg(long, short)]
    all: bool,
    /// Do not ask
    #[arg(long, short)]
    force: bool,
    /// label=KEY[=VALUE], label!=KEY[=VALUE], until=TIME
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
}

/// Removes images that nobody needs.
pub fn prune(invocation: &Invocation, arguments: Prune) -> Result<u8> {
    let filters = Filters::parse(&arguments.filter, &PRUNE_FILTERS)?;
    if !arguments.force && !confirmed(unneeded(arguments.all))? {
        return Ok(SUCCESS);
    }
    let store = invocation.store()?;
    let images = Images::open(&store)?;
    tell(&images.prune(arguments.all, |image| is_meant(&filters, &images, image))?)?;
    let bytes = store.collect()?.bytes;
    print_text(&format!("Total reclaimed space: {}\n", units::size(bytes)))?;
    Ok(SUCCESS)
}

/// What a prune of images removes, in words.
pub fn unneeded(all: bool) -> &'static str {
    if all { "all images that no container needs" } else { "all images without a name" }
}
