//! `ocictl volume …`.

use super::container::PRUNE_FILTERS;
use super::output::{self, Filters, Key, Kind, Style};
use super::{Family, Invocation, SUCCESS, confirmed, print_text, verb};
use crate::container::{Containers, mounted_volumes, parse, remove as removal};
use crate::error::{Error, Result};
use crate::store::{Store, disk};
use crate::time;
use crate::volume::{Volume, Volumes};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The family.
pub const FAMILY: Family = Family {
    name: "volume",
    aliases: &[],
    about: "Directories that outlive containers",
    verbs: &[
        verb!("create", [], short [], "Make a volume", Create, create),
        verb!("ls", ["list"], short [], "List volumes", List, list),
        verb!("inspect", [], short [], "Print all that is known of volumes", Inspect, inspect),
        verb!("rm", ["remove"], short [], "Remove volumes", Remove, remove),
        verb!("prune", [], short [], "Remove volumes that no container has", Prune, prune),
    ],
};

#[derive(Debug, clap::Args)]
struct Create {
    /// Its name; one is made up if none is given
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// KEY=VALUE
    #[arg(long, short, value_name = "LABEL")]
    label: Vec<String>,
    /// local
    #[arg(long, short, value_name = "DRIVER", default_value = "local", value_parser = ["local"])]
    driver: String,
    /// type=TYPE, device=DEVICE, o=OPTIONS: what is mounted while containers have it, as with mount(8): tmpfs, ext4, nfs, none with o=bind
    #[arg(long, short, value_name = "KEY=VALUE")]
    opt: Vec<String>,
    /// One that is there is no error
    #[arg(long)]
    ignore: bool,
}

/// What is to be mounted, and whether that can be meant.
fn options(words: &[String]) -> Result<BTreeMap<String, String>> {
    let place = |error: Error| error.context("--opt").exit_code(125);
    let mut options = BTreeMap::new();
    for word in words {
        let (key, value) = word.split_once('=').ok_or_else(|| {
            place(Error::new(format!("\"{word}\" is no KEY=VALUE; such are type=tmpfs, o=size=64m")))
        })?;
        if options.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(place(Error::new(format!("{key} is there twice"))));
        }
    }
    mounted_volumes::Meant::read(&options).map_err(place)?;
    Ok(options)
}

fn create(invocation: &Invocation, arguments: Create) -> Result<u8> {
    let store = invocation.store()?;
    // docker, too, takes one that nobody named away with those of containers.
    let anonymous = arguments.name.is_none();
    let name = arguments.name.unwrap_or_else(|| (0..4).map(|_| disk::random()).collect());
    if !parse::is_name(&name) {
        return Err(Error::new(format!(
            "\"{name}\" is no name of a volume: such are letters, digits, and _.- after the first"
        ))
        .exit_code(125));
    }
    let labels = arguments
        .label
        .iter()
        .map(|label| label.split_once('=').unwrap_or((label, "")))
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
    // docker says nothing where one is there already; a volume is what it was.
    if Volumes::open(&store)?.create(&name, labels.collect(), options(&arguments.opt)?, anonymous)?.is_none()
        && !arguments.ignore
    {
        return Err(Error::new("it is there already").context(format!("volume {name}")).exit_code(125));
    }
    print_text(&format!("{name}\n"))?;
    Ok(SUCCESS)
}

#[derive(Debug, clap::Args)]
struct List {
    /// Print names only
    #[arg(long, short)]
    quiet: bool,
    /// name, label, label!, dangling, driver, until
    #[arg(long, short, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Leave the headings out
    #[arg(long, short = 'n')]
    noheading: bool,
    /// A template, or json
    #[arg(long, value_name = "TEMPLATE")]
    format: Option<String>,
}

const LIST_FILTERS: [Key; 6] = [
    ("name", Kind::Pattern),
    ("label", Kind::Label),
    ("label!", Kind::Label),
    ("dangling", Kind::Flag),
    ("driver", Kind::Text),
    ("until", Kind::Time),
];

fn list(invocation: &Invocation, arguments: List) -> Result<u8> {
    let store = invocation.store()?;
    let filters = Filters::parse(&arguments.filter, &LIST_FILTERS)?;
    let containers = Containers::open(&store)?;
    let mut rows = Vec::new();
    for volume in Volumes::open(&store)?.list()? {
        let wanted = filters.match_text("name", &volume.name)
            && filters.allow_labels(&volume.record.labels)
            && filters.allows("driver", |driver| driver == "local")
            && filters.is_before("until", volume.record.created);
        if wanted
            && (!filters.has("dangling")
                || filters.allow_flag("dangling", removal::users(&containers, &volume.name)?.is_empty()))
        {
            rows.push(object(&volume));
        }
    }
    let style = Style {
        format: arguments.format.as_deref(),
        quiet: arguments.quiet.then_some("Name"),
        no_heading: arguments.noheading,
    };
    output::print(&rows, &[("DRIVER", "Driver"), ("VOLUME NAME", "Name")], &style)?;
    Ok(SUCCESS)
}

fn object(volume: &Volume) -> Value {
    json!({
        "Name": volume.name,
        "Driver": "local",
        "Mountpoint": volume.data(),
        "CreatedAt": time::rfc3339(volume.record.created),
        "Labels": volume.record.labels,
        "Scope": "local",
        "Options": volume.record.options,
        "Anonymous": volume.record.anonymous,
    })
}

/// What `inspect` prints of a volume.
pub(super) fn named(store: &Store, name: &str) -> Result<Value> {
    Ok(object(&find(&Volumes::open(store)?, name)?))
}

fn find(volumes: &Volumes, name: &str) -> Result<Volume> {
    let none = || Error::new("no such volume").context(format!("volume {name}"));
    if !parse::is_name(name) {
        return Err(none());
    }
    volumes.get(name)?.ok_or_else(none)
}

#[derive(Debug, clap::Args)]
struct Inspect {
    /// Volumes
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// A template
    #[arg(long, short, value_name = "TEMPLATE")]
    format: Option<String>,
}

fn inspect(invocation: &Invocation, arguments: Inspect) -> Result<u8> {
    let store = invocation.store()?;
    let volumes = Volumes::open(&store)?;
    let mut objects = Vec::new();
    let result = super::for_each(&arguments.names, |name| {
        objects.push(object(&find(&volumes, name)?));
        Ok(())
    });
    output::print_objects(&objects, arguments.format.as_deref())?;
    result.map(|()| SUCCESS)
}

#[derive(Debug, clap::Args)]
struct Remove {
    /// Volumes
    #[arg(value_name = "NAME", required_unless_present = "all")]
    names: Vec<String>,
    /// All that no container has
    #[arg(long, short)]
    all: bool,
    /// Remove containers that have it, too; one that is not there is no error
    #[arg(long, short)]
    force: bool,
}

fn remove(invocation: &Invocation, arguments: Remove) -> Result<u8> {
    let store = invocation.store()?;
    let (volumes, containers) = (Volumes::open(&store)?, Containers::open(&store)?);
    let names = match arguments.all {
        true => volumes.list()?.into_iter().map(|volume| volume.name).collect(),
        false => arguments.names,
    };
    super::for_each(&names, |name| {
        let volume = match find(&volumes, name) {
            Err(_) if arguments.force => return Ok(()),
            volume => volume?,
        };
        let users = removal::users(&containers, name)?;
        match users.first() {
            Some(_) if arguments.all => return Ok(()),
            Some(user) if !arguments.force => {
                return Err(Error::new(format!("it is in use by container {}", user.record.name))
                    .context(format!("volume {name}"))
                    .exit_code(2));
            }
            _ => {}
        }
        for user in &users {
            removal::remove(&containers, user, true, false)?;
        }
        volumes.remove(&volume)?;
        print_text(&format!("{name}\n"))
    })?;
    Ok(SUCCESS)
}

#[derive(Debug, clap::Args)]
struct Prune {
    /// Do not ask
    #[arg(long, short)]
    force: bool,
    /// Named volumes, too
    #[arg(long, short)]
    all: bool,
    /// label=KEY[=VALUE], label!=KEY[=VALUE], until=TIME
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
}

fn prune(invocation: &Invocation, arguments: Prune) -> Result<u8> {
    let filters = Filters::parse(&arguments.filter, &PRUNE_FILTERS)?;
    if !arguments.force && !confirmed(unused(arguments.all))? {
        return Ok(SUCCESS);
    }
    let store = invocation.store()?;
    let tell = |name: &str| print_text(&format!("{name}\n"));
    prune_unused(&store, &filters, arguments.all, tell)?;
    Ok(SUCCESS)
}

/// What a prune of volumes removes, in words.
pub(super) fn unused(all: bool) -> &'static str {
    match all {
        true => "all volumes that no container has",
        false => "all volumes that nobody named and no container has",
    }
}

/// Removes volumes that no container has and the filters mean, with `all` also those that somebody named; what their files took.
/// `tell` hears each name.
///
/// # Errors
/// Fails if one cannot be removed.
pub(super) fn prune_unused(
    store: &Store,
    filters: &Filters,
    all: bool,
    mut tell: impl FnMut(&str) -> Result<()>,
) -> Result<u64> {
    let (volumes, containers) = (Volumes::open(store)?, Containers::open(store)?);
    volumes.sweep()?;
    let mut bytes = 0;
    for volume in volumes.list()? {
        let wanted = (all || volume.record.anonymous)
            && filters.allow_labels(&volume.record.labels)
            && filters.is_before("until", volume.record.created);
        if !wanted {
            continue;
        }
        // Whoever is about to fill it has its lock, and is on record before.
        let _guard = match volume.lock() {
            // Somebody else has removed it.
            Err(error) if error.errno() == Some(libc::ENOENT) => continue,
            guard => guard?,
        };
        if removal::users(&containers, &volume.name)?.is_empty() {
            bytes += disk::bytes_on_disk(&volume.data());
            volumes.remove(&volume)?;
            tell(&volume.name)?;
        }
    }
    Ok(bytes)
}
