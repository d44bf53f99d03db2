//! `system prune`: containers that do not run, images that nobody needs then, and volumes if that is said.
//!
//! Each kind is removed by what its own `prune` does, one object at a time: a kill in between leaves fewer objects and nothing half removed.

use super::super::container::{PRUNE_FILTERS, prune_stopped};
use super::super::output::{Filters, units};
use super::super::{Invocation, SUCCESS, confirmed, image, images, print_text, volume};
use crate::container::Containers;
use crate::error::Result;

/// What `prune` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Remove all images that no container needs, not only those without a name; and of volumes those with a name, too
    #[arg(long, short)]
    all: bool,
    /// Remove volumes that no container has, too: those that nobody named, or all with --all
    #[arg(long)]
    volumes: bool,
    /// Do not ask
    #[arg(long, short)]
    force: bool,
    /// label=KEY[=VALUE], label!=KEY[=VALUE], until=TIME
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
}

/// `prune`.
pub fn prune(invocation: &Invocation, arguments: Arguments) -> Result<u8> {
    let filters = Filters::parse(&arguments.filter, &PRUNE_FILTERS)?;
    let mut what = vec!["all containers that do not run"];
    if arguments.volumes {
        what.push(volume::unused(arguments.all));
    }
    what.push(image::unneeded(arguments.all));
    if !arguments.force && !confirmed(&what.join(", "))? {
        return Ok(SUCCESS);
    }
    let store = invocation.store()?;
    let mut told = Heading::new("Deleted Containers");
    let mut bytes = prune_stopped(&Containers::open(&store)?, &filters, |id| told.line(id))?;
    if arguments.volumes {
        let mut told = Heading::new("Deleted Volumes");
        bytes += volume::prune_unused(&store, &filters, arguments.all, |name| told.line(name))?;
    }
    let images = images(&store)?;
    let removed = images.prune(arguments.all, |found| image::is_meant(&filters, &images, found))?;
    if !removed.is_empty() {
        print_text("Deleted Images\n")?;
        image::tell_removed(&removed)?;
    }
    bytes += store.collect()?.bytes;
    print_text(&format!("Total reclaimed space: {}\n", units::size(bytes)))?;
    Ok(SUCCESS)
}

/// A line that stands above others, if there are any.
struct Heading {
    text: Option<&'static str>,
}

impl Heading {
    fn new(text: &'static str) -> Self {
        Self { text: Some(text) }
    }

    fn line(&mut self, line: &str) -> Result<()> {
        if let Some(heading) = self.text.take() {
            print_text(&format!("{heading}\n"))?;
        }
        print_text(&format!("{line}\n"))
    }
}
