//! `stop`, `restart`, `kill`, `rm`, `wait`, `pause`, `unpause`, `rename`, `prune`.

use super::super::output::{Filters, Key, Kind};
use super::super::{Invocation, SUCCESS, confirmed, print_text, told};
use super::for_each;
use crate::container::record::{Container, Status};
use crate::container::{Containers, parse, remove as removal, start, status};
use crate::error::{Context, Error, Result};
use crate::store::disk;
use std::time::Duration;

/// What `stop` takes.
#[derive(Debug, clap::Args)]
pub struct Stop {
    /// Containers
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
    /// Stop all that run
    #[arg(long, short)]
    all: bool,
    /// Seconds until it is killed; -1 to wait
    #[arg(long, short, visible_alias = "timeout", value_name = "SECONDS", allow_hyphen_values = true)]
    time: Option<i64>,
    /// The signal, in place of the container's
    #[arg(long, short, value_name = "SIGNAL")]
    signal: Option<String>,
    /// A container that is not there is no error
    #[arg(long, short)]
    ignore: bool,
}

/// `stop`.
pub fn stop(invocation: &Invocation, arguments: Stop) -> Result<u8> {
    let signal = arguments.signal.as_deref().map(parse::signal).transpose().context(|| "--signal")?;
    let names = known(invocation, arguments.names, arguments.ignore)?;
    if names.is_empty() && arguments.ignore {
        return Ok(SUCCESS);
    }
    for_each(invocation, &names, arguments.all, |containers, container| {
        let number = signal.map_or_else(|| status::stop_signal(container), Ok)?;
        status::stop(containers, container, number, patience(container, arguments.time))
    })
}

/// With `--ignore`, those of the names that are there.
fn known(invocation: &Invocation, names: Vec<String>, ignore: bool) -> Result<Vec<String>> {
    if !ignore {
        return Ok(names);
    }
    let store = invocation.store()?;
    let containers = Containers::open(&store)?;
    let mut there = Vec::new();
    for name in names {
        if containers.look_up(&name)?.is_some() {
            there.push(name);
        }
    }
    Ok(there)
}

fn patience(container: &Container, typed: Option<i64>) -> Option<Duration> {
    match typed {
        Some(seconds) => u64::try_from(seconds).ok().map(Duration::from_secs),
        None => Some(status::patience(container)),
    }
}

/// Stops one container, with so many seconds of patience.
fn stop_one(containers: &Containers<'_>, container: &Container, seconds: Option<u64>) -> Result<()> {
    let seconds = seconds.and_then(|seconds| i64::try_from(seconds).ok());
    status::stop(containers, container, status::stop_signal(container)?, patience(container, seconds))
}

/// What `restart` takes.
#[derive(Debug, clap::Args)]
pub struct Restart {
    /// Containers
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
    /// Restart all
    #[arg(long, short)]
    all: bool,
    /// Seconds until it is killed
    #[arg(long, short, visible_alias = "timeout", value_name = "SECONDS")]
    time: Option<u64>,
}

/// `restart`.
pub fn restart(invocation: &Invocation, arguments: Restart) -> Result<u8> {
    for_each(invocation, &arguments.names, arguments.all, |containers, container| {
        stop_one(containers, container, arguments.time)?;
        start::start(containers, invocation.paths(), container, None)
    })
}

/// What `kill` takes.
#[derive(Debug, clap::Args)]
pub struct Kill {
    /// Containers
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
    /// All that run
    #[arg(long, short)]
    all: bool,
    /// The signal
    #[arg(long, short, value_name = "SIGNAL", default_value = "KILL")]
    signal: String,
}

/// `kill`.
pub fn kill(invocation: &Invocation, arguments: Kill) -> Result<u8> {
    let number =
        parse::signal(&arguments.signal).map_err(|error| error.context("--signal").exit_code(125))?;
    for_each(invocation, &arguments.names, arguments.all, |containers, container| {
        let (_, now) = container.now()?;
        let program = status::program(container)?;
        let Some(program) = program.filter(|_| now.lives()) else {
            return match arguments.all {
                true => Ok(()),
                false => {
                    Err(Error::new(format!("it does not run: it is {}", now.name()))
                        .context(container.place()))
                }
            };
        };
        if number == libc::SIGKILL {
            status::announce_stop(container)?;
            return status::finish(containers, container, Some(program), Some(Duration::ZERO));
        }
        status::signal(container, &program, number).map(drop)
    })
}

/// What `rm` takes.
#[derive(Debug, clap::Args)]
pub struct Remove {
    /// Containers
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
    /// Remove all
    #[arg(long, short)]
    all: bool,
    /// End it at once if it runs; one that is not there is no error
    #[arg(long, short)]
    force: bool,
    /// Remove its unnamed volumes, too
    #[arg(long, short)]
    volumes: bool,
    /// A container that is not there is no error
    #[arg(long, short)]
    ignore: bool,
    /// Accepted for podman: nothing is waited for
    #[arg(long, short, value_name = "SECONDS", allow_hyphen_values = true)]
    time: Option<i64>,
}

/// `rm`.
pub fn remove(invocation: &Invocation, arguments: Remove) -> Result<u8> {
    let lenient = arguments.ignore || arguments.force;
    let names = known(invocation, arguments.names, lenient)?;
    if names.is_empty() && lenient && !arguments.all {
        return Ok(SUCCESS);
    }
    for_each(invocation, &names, arguments.all, |containers, container| {
        removal::remove(containers, container, arguments.force, arguments.volumes)
    })
}

/// What `pause` and `unpause` take.
#[derive(Debug, clap::Args)]
pub struct Names {
    /// Containers
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
    /// All that it can be done to
    #[arg(long, short)]
    all: bool,
}

/// `pause`.
pub fn pause(invocation: &Invocation, arguments: Names) -> Result<u8> {
    in_status(invocation, &arguments, Status::Running, status::pause)
}

/// `unpause`.
pub fn unpause(invocation: &Invocation, arguments: Names) -> Result<u8> {
    in_status(invocation, &arguments, Status::Paused, status::resume)
}

fn in_status(
    invocation: &Invocation,
    arguments: &Names,
    wanted: Status,
    act: fn(&Containers<'_>, &Container) -> Result<()>,
) -> Result<u8> {
    for_each(invocation, &arguments.names, arguments.all, |containers, container| {
        let _guard = container.lock()?;
        match container.now()?.1 {
            now if now == wanted => act(containers, container),
            _ if arguments.all => Ok(()),
            now => {
                Err(Error::new(format!("it is {}, not {}", now.name(), wanted.name()))
                    .context(container.place()))
            }
        }
    })
}

/// What `rename` takes.
#[derive(Debug, clap::Args)]
pub struct Rename {
    /// The container
    #[arg(value_name = "CONTAINER")]
    old: String,
    /// Its new name
    #[arg(value_name = "NAME")]
    new: String,
}

/// `rename`.
pub fn rename(invocation: &Invocation, arguments: Rename) -> Result<u8> {
    let store = invocation.store()?;
    let containers = Containers::open(&store)?;
    let mut container = containers.find(&arguments.old)?;
    containers.rename(&mut container, &arguments.new)?;
    Ok(SUCCESS)
}

/// What `prune` takes.
#[derive(Debug, clap::Args)]
pub struct Prune {
    /// Do not ask
    #[arg(long, short)]
    force: bool,
    /// label=KEY[=VALUE], label!=KEY[=VALUE], until=TIME
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
}

/// What chooses among those that do not run, or among images that nobody needs.
pub(in crate::cli) const PRUNE_FILTERS: [Key; 3] =
    [("label", Kind::Label), ("label!", Kind::Label), ("until", Kind::Time)];

/// `prune`.
pub fn prune(invocation: &Invocation, arguments: Prune) -> Result<u8> {
    let filters = Filters::parse(&arguments.filter, &PRUNE_FILTERS)?;
    if !arguments.force && !confirmed("all containers that do not run")? {
        return Ok(SUCCESS);
    }
    let store = invocation.store()?;
    prune_stopped(&Containers::open(&store)?, &filters, |id| print_text(&format!("{id}\n")))?;
    Ok(SUCCESS)
}

/// Removes what does not run and is meant by the filters; what their files took. `tell` hears each ID.
///
/// # Errors
/// Fails if one cannot be removed.
pub(in crate::cli) fn prune_stopped(
    containers: &Containers<'_>,
    filters: &Filters,
    mut tell: impl FnMut(&str) -> Result<()>,
) -> Result<u64> {
    containers.sweep()?;
    let mut bytes = 0;
    for (container, ..) in told(containers.readable(true)?) {
        let record = &container.record;
        if !filters.allow_labels(&record.options.labels) || !filters.is_before("until", record.created) {
            continue;
        }
        let taken = disk::bytes_on_disk(&container.directory);
        if removal::remove_unneeded(containers, &container)? {
            bytes += taken;
            tell(&record.id)?;
        }
    }
    Ok(bytes)
}
