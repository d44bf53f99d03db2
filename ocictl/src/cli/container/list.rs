//! `container ls`, `ps`.

use super::super::output::{self, Filters, Style};
use super::super::{Invocation, SUCCESS};
use super::lifecycle::moment;
use crate::container::Containers;
use crate::container::monitor::health_report;
use crate::container::options::MountKind;
use crate::container::record::{Container, State, Status};
use crate::error::{Error, Result};
use crate::time;
use serde_json::{Value, json};

/// What `ls` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Those that do not run, too
    #[arg(long, short)]
    all: bool,
    /// Print IDs only
    #[arg(long, short)]
    quiet: bool,
    /// Print whole IDs and commands
    #[arg(long)]
    no_trunc: bool,
    /// The newest N, whether they run or not
    #[arg(long, short = 'n', value_name = "N", allow_hyphen_values = true)]
    last: Option<i64>,
    /// The newest one
    #[arg(long, short)]
    latest: bool,
    /// Leave the headings out
    #[arg(long)]
    noheading: bool,
    /// id, name, label, status, exited, ancestor, volume, health, before, since
    #[arg(long, short, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Sort by created, id, image, names or status
    #[arg(long, value_name = "KEY", default_value = "created", value_parser = ["created", "id", "image", "names", "status"])]
    sort: String,
    /// Print the size of what each has written
    #[arg(long, short)]
    size: bool,
    /// A template, or json
    #[arg(long, value_name = "TEMPLATE")]
    format: Option<String>,
}

const FILTERS: [&str; 11] =
    ["id", "name", "label", "status", "exited", "ancestor", "volume", "health", "before", "since", "until"];

/// Lists containers: those that run, or all.
pub fn list(invocation: &Invocation, arguments: Arguments) -> Result<u8> {
    let store = invocation.store()?;
    let containers = Containers::open(&store)?;
    let filters = Filters::parse(&arguments.filter, &FILTERS)?;
    let last =
        if arguments.latest { Some(1) } else { arguments.last.and_then(|last| usize::try_from(last).ok()) };
    let all = arguments.all
        || last.is_some()
        || !filters.values("status").is_empty()
        || !filters.values("exited").is_empty();
    let bounds = Bounds::new(&containers, &filters)?;
    let mut found = Vec::new();
    for container in if all { containers.list()? } else { containers.started()? } {
        let (state, status) = container.now()?;
        if (all || status.lives()) && matches(&container, &state, status, &filters, &bounds)? {
            found.push((container, state, status));
        }
    }
    found.sort_by_key(|(container, ..)| std::cmp::Reverse(container.record.created));
    found.truncate(last.unwrap_or(usize::MAX));
    let mut rows = Vec::new();
    for (container, state, status) in &found {
        rows.push(row(container, state, *status, &arguments)?);
    }
    let key = match arguments.sort.as_str() {
        "id" => "ID",
        "image" => "Image",
        "names" => "Names",
        "status" => "State",
        _ => "",
    };
    if !key.is_empty() {
        rows.sort_by(|one, other| one[key].as_str().cmp(&other[key].as_str()));
    }
    let mut columns = vec![
        ("CONTAINER ID", "ID"),
        ("IMAGE", "Image"),
        ("COMMAND", "Command"),
        ("CREATED", "RunningFor"),
        ("STATUS", "Status"),
        ("PORTS", "Ports"),
        ("NAMES", "Names"),
    ];
    if arguments.size {
        columns.push(("SIZE", "Size"));
    }
    let style = Style {
        format: arguments.format.as_deref(),
        quiet: arguments.quiet.then_some("ID"),
        no_heading: arguments.noheading,
    };
    output::print(&rows, &columns, &style)?;
    Ok(SUCCESS)
}

/// `before` and `since`, as times.
struct Bounds {
    before: Vec<u64>,
    since: Vec<u64>,
}

impl Bounds {
    fn new(containers: &Containers<'_>, filters: &Filters) -> Result<Self> {
        let created = |names: &[String]| {
            names.iter().map(|name| Ok(containers.find(name)?.record.created)).collect::<Result<Vec<_>>>()
        };
        let mut before = created(filters.values("before"))?;
        for text in filters.values("until") {
            before.push(moment(text)?);
        }
        Ok(Self { before, since: created(filters.values("since"))? })
    }
}

fn matches(
    container: &Container,
    state: &State,
    status: Status,
    filters: &Filters,
    bounds: &Bounds,
) -> Result<bool> {
    let record = &container.record;
    if let Some(bad) = filters.values("exited").iter().find(|code| code.parse::<i32>().is_err()) {
        return Err(Error::new(format!("--filter: exited={bad}: no number")).exit_code(125));
    }
    let image = record.image.as_ref();
    let health = |wanted: &String| {
        let word = health_report(&container.run)
            .ok()
            .flatten()
            .map_or_else(|| "none".to_owned(), |report| report.status);
        word == *wanted
    };
    Ok(filters.allows("id", |id| record.id.starts_with(id.as_str()))
        && filters.allows("name", |name| record.name.contains(name.trim_matches(|letter| matches!(letter, '^' | '$' | '/'))))
        && filters.allow_labels(&record.options.labels)
        && filters.allows("status", |word| word == status.name() || (word == "stopped" && status == Status::Exited))
        && filters.allows("exited", |code| status == Status::Exited && code.parse() == Ok(state.exit_code))
        && filters.allows("ancestor", |name| {
            image.is_some_and(|image| image.name == *name || image.id.hex().starts_with(name.as_str()) || image.name.split(':').next() == Some(name))
        })
        && filters.allows("volume", |name| {
            record.options.mounts.iter().any(|mount| {
                mount.target == *name || matches!(&mount.kind, MountKind::Volume(volume) | MountKind::Anonymous(volume) if volume == name)
            })
        })
        && filters.allows("health", health)
        && bounds.before.iter().all(|before| record.created < *before)
        && bounds.since.iter().all(|since| record.created > *since))
}

fn row(container: &Container, state: &State, status: Status, arguments: &Arguments) -> Result<Value> {
    let record = &container.record;
    let whole = arguments.no_trunc;
    let command = record.options.arguments.join(" ");
    let command = match whole || command.chars().count() <= 20 {
        true => format!("\"{command}\""),
        false => format!("\"{}…\"", command.chars().take(19).collect::<String>()),
    };
    let image = record.image.as_ref().map(|image| image.name.clone());
    let rootfs = record.options.rootfs.as_ref();
    let health = match (&record.options.health, status.lives()) {
        (Some(_), true) => health_report(&container.run)?.map_or_else(String::new, |report| report.status),
        _ => String::new(),
    };
    let since_created = time::words(time::now().saturating_sub(record.created));
    let mut row = json!({
        "ID": if whole { &record.id } else { &record.id[..12] },
        "Id": record.id,
        "Image": image.or_else(|| rootfs.map(|rootfs| rootfs.path.clone())),
        "ImageID": record.image.as_ref().map_or("", |image| image.id.hex()),
        "Command": command,
        "CreatedAt": time::rfc3339(record.created),
        "Created": record.created / 1_000_000_000,
        "RunningFor": format!("{since_created} ago"),
        "State": status.name(),
        "Status": status_words(state, status, &health),
        "Ports": "",
        "Names": record.name,
        "Labels": record.options.labels,
        "Mounts": record.options.mounts.iter().map(|mount| mount.target.as_str()).collect::<Vec<_>>().join(","),
        "Networks": "",
        "ExitCode": state.exit_code,
        "Exited": status == Status::Exited,
        "Pid": if status.lives() { state.pid } else { 0 },
        "Restarts": state.restarts,
        "StartedAt": state.started / 1_000_000_000,
        "LocalVolumes": record.options.mounts.iter().filter(|mount| matches!(mount.kind, MountKind::Volume(_) | MountKind::Anonymous(_))).count(),
    });
    if arguments.size {
        row["Size"] = output::units::size(bytes_below(&container.directory.join("layer/upper"))).into();
    }
    Ok(row)
}

/// As docker says it: `Up 5 minutes (healthy)`, `Exited (0) 2 hours ago`.
fn status_words(state: &State, status: Status, health: &str) -> String {
    let now = time::now();
    let up = || time::words(now.saturating_sub(state.started));
    let health = match health {
        "" => String::new(),
        "starting" => " (health: starting)".into(),
        word => format!(" ({word})"),
    };
    match status {
        Status::Created => "Created".into(),
        Status::Running => format!("Up {}{health}", up()),
        Status::Paused => format!("Up {} (Paused){health}", up()),
        Status::Restarting => format!(
            "Restarting ({}) {} ago",
            state.exit_code,
            time::words(now.saturating_sub(state.finished))
        ),
        Status::Exited if state.finished == 0 => {
            format!("Exited ({})", crate::container::status::UNKNOWN_CODE)
        }
        Status::Exited => {
            format!("Exited ({}) {} ago", state.exit_code, time::words(now.saturating_sub(state.finished)))
        }
    }
}

/// Bytes of all files in a directory, whatever their names lead to.
pub(super) fn bytes_below(directory: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(directory).into_iter().flatten().filter_map(std::result::Result::ok);
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
            Ok(metadata) => metadata.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}
