//! state, list, ps, events, spec: what there is, and what one begins with.

use super::grammar::{Arguments, Events, List, Ps, Spec, State};
use super::{open, print, print_for_reader};
use crate::container::root::Root;
use crate::container::{Container, events, ps, reservation};
use crate::error::{Context, Error, Result};
use crate::log::Log;
use crate::spec::default;
use std::fmt::Write;

/// Prints the state document, without a newline at its end, as runc does.
pub fn state(arguments: &Arguments, typed: &State) -> Result<u8> {
    print(&open(arguments, &typed.id)?.state()?.text())?;
    Ok(0)
}

/// Lists the containers; one that cannot be read is told of and does not hide the others, one that vanishes meanwhile is none.
pub fn list(arguments: &Arguments, typed: &List, log: &Log) -> Result<u8> {
    if !matches!(typed.format.as_str(), "table" | "json") {
        return Err(Error::new("invalid format option").context(format!("--format {:?}", typed.format)));
    }
    let root = Root::choose(arguments.root.as_deref())?;
    reservation::clear_all(&root);
    let mut states = Vec::new();
    for id in root.ids()? {
        let read =
            Container::open(&root, &id).and_then(|container| Ok((container.state()?, owner(&container))));
        match read {
            Ok((state, owner)) => states.push(crate::spec::State { owner: Some(owner), ..state }),
            Err(error) if root.exists(&id)? => log.warning(&format!("list: {id}: {error}"))?,
            Err(_vanished) => {}
        }
    }
    if typed.quiet {
        print(&states.iter().fold(String::new(), |text, state| text + &state.id + "\n"))?;
        return Ok(0);
    }
    match typed.format.as_str() {
        "table" => print(&table(&states))?,
        _ if states.is_empty() => print("null\n")?,
        _ => {
            let text = serde_json::to_string(&states).map_err(|error| Error::new(error.to_string()))?;
            print(&(text + "\n"))?;
        }
    }
    Ok(0)
}

/// Shows the processes of a container.
pub fn ps(arguments: &Arguments, typed: &Ps) -> Result<u8> {
    let [id, options @ ..] = typed.words.as_slice() else { return Err(Error::new("needs a container's id")) };
    let container = open(arguments, id)?;
    match typed.format.as_str() {
        "table" => print(&ps::table(&container, options)?)?,
        "json" => {
            let pids = ps::pids(&container)?;
            // What runc prints of an empty list.
            let text = if pids.is_empty() { "null".to_owned() } else { format!("{pids:?}").replace(' ', "") };
            print(&(text + "\n"))?;
        }
        other => return Err(Error::new("invalid format option").context(format!("--format {other:?}"))),
    }
    Ok(0)
}

/// Tells what a container uses: once, or for as long as it runs.
pub fn events(arguments: &Arguments, typed: &Events) -> Result<u8> {
    let container = open(arguments, &typed.id)?;
    if typed.stats {
        print(&events::stats(&container)?)?;
    } else {
        crate::sys::memory::live_long();
        events::stream(&container, typed.interval, print_for_reader)?;
    }
    Ok(0)
}

/// Writes config.json or what it is to be called, and never over one that exists.
pub fn spec(typed: &Spec) -> Result<u8> {
    let path = typed.bundle.join(&typed.file);
    let context = || path.display().to_string();
    let rootless =
        typed.rootless.then(|| (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()));
    let text = default::document(default::Options { cgroup_v2: crate::host::cgroup::is_v2(), rootless });
    let mut file = match std::fs::OpenOptions::new().write(true).create_new(true).open(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(Error::new(format!("{}: exists, remove it first", path.display())));
        }
        answer => answer.context(context)?,
    };
    std::io::Write::write_all(&mut file, text.as_bytes()).context(context)?;
    Ok(0)
}

/// Who made the container: the owner of its directory, by name where the host knows one.
fn owner(container: &Container) -> String {
    let uid = container.directory.owner();
    let name = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    };
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    passwd.lines().find_map(name).unwrap_or_else(|| uid.to_string())
}

/// Columns as runc aligns them: at least 12 wide, 3 apart.
fn table(states: &[crate::spec::State]) -> String {
    const HEADER: [&str; 6] = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"];
    let mut rows = vec![HEADER.map(str::to_owned)];
    rows.extend(states.iter().map(|state| {
        [
            state.id.clone(),
            state.pid.unwrap_or_default().to_string(),
            state.status.to_string(),
            state.bundle.clone(),
            state.created.clone().unwrap_or_default(),
            state.owner.clone().unwrap_or_default(),
        ]
    }));
    let widths: [usize; 6] = std::array::from_fn(|column| {
        let widest = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        (widest + 3).max(12)
    });
    rows.iter().fold(String::new(), |mut text, row| {
        for (cell, width) in row.iter().zip(widths).take(5) {
            let _infallible = write!(text, "{cell:width$}");
        }
        text + &row[5] + "\n"
    })
}
