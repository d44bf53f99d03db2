//! `container ls`, `ps`.

use super::super::output::{self, Filters, Key, Kind, Style, units};
use super::super::{Invocation, SUCCESS, told};
use crate::container::Containers;
use crate::container::monitor::health_report;
use crate::container::options::MountKind;
use crate::container::record::{Container, Record, State, Status};
use crate::error::Result;
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
    /// id, name, label, label!, status, exited, ancestor, volume, health, before, since, until
    #[arg(long, short, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Sort by command, created, id, image, names, runningfor, size or status
    #[arg(long, value_name = "KEY", default_value = "created", value_parser = ["command", "created", "id", "image", "names", "runningfor", "size", "status"])]
    sort: String,
    /// Print the size of what each has written
    #[arg(long, short)]
    size: bool,
    /// A template, or json
    #[arg(long, value_name = "TEMPLATE")]
    format: Option<String>,
}

const FILTERS: [Key; 12] = [
    ("id", Kind::Id),
    ("name", Kind::Pattern),
    ("label", Kind::Label),
    ("label!", Kind::Label),
    ("status", Kind::Word(&["created", "running", "paused", "restarting", "exited", "stopped"])),
    ("exited", Kind::Number),
    ("ancestor", Kind::Text),
    ("volume", Kind::Text),
    ("health", Kind::Word(&["starting", "healthy", "unhealthy", "none"])),
    ("before", Kind::Text),
    ("since", Kind::Text),
    ("until", Kind::Time),
];

/// Lists containers: those that run, or all.
pub fn list(invocation: &Invocation, arguments: Arguments) -> Result<u8> {
    let store = invocation.store()?;
    let containers = Containers::open(&store)?;
    let filters = Filters::parse(&arguments.filter, &FILTERS)?;
    let last =
        if arguments.latest { Some(1) } else { arguments.last.and_then(|last| usize::try_from(last).ok()) };
    let all = arguments.all || last.is_some() || filters.has("status") || filters.has("exited");
    let bounds = Bounds::new(&containers, &filters)?;
    let mut found = Vec::new();
    for (container, state, status) in told(containers.readable(all)?) {
        if (all || status.lives()) && matches(&container, &state, status, &filters, &bounds) {
            found.push((container, state, status));
        }
    }
    found.sort_by_key(|(container, ..)| std::cmp::Reverse(container.record.created));
    found.truncate(last.unwrap_or(usize::MAX));
    sort(&mut found, &arguments.sort);
    let style = Style {
        format: arguments.format.as_deref(),
        quiet: arguments.quiet.then_some("ID"),
        no_heading: arguments.noheading,
    };
    let mut rows = Vec::new();
    for (container, state, status) in &found {
        rows.push(match style.is_json() {
            true => document(&containers, container, state, *status, &arguments)?,
            false => row(&containers, container, state, *status, &arguments)?,
        });
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
    output::print(&rows, &columns, &style)?;
    Ok(SUCCESS)
}

/// When those were created that `before` and `since` name.
struct Bounds {
    before: Vec<u64>,
    since: Vec<u64>,
}

impl Bounds {
    fn new(containers: &Containers<'_>, filters: &Filters) -> Result<Self> {
        let created = |key: &str| {
            filters
                .texts(key)
                .map(|name| Ok(containers.find(name)?.record.created))
                .collect::<Result<Vec<_>>>()
                .map_err(|error| error.context(format!("--filter {key}")).exit_code(125))
        };
        Ok(Self { before: created("before")?, since: created("since")? })
    }
}

fn matches(container: &Container, state: &State, status: Status, filters: &Filters, bounds: &Bounds) -> bool {
    let record = &container.record;
    let image = record.image.as_ref();
    let health = |wanted: &str| {
        let report = health_report(&container.run).ok().flatten();
        report.map_or_else(|| wanted == "none", |report| report.status == wanted)
    };
    filters.match_text("id", &record.id)
        && filters.match_name("name", &record.name)
        && filters.allow_labels(&record.options.labels)
        && filters.allows("status", |word| word == status.name() || (word == "stopped" && status == Status::Exited))
        && filters.allow_number("exited", |code| status == Status::Exited && code == i64::from(state.exit_code))
        && filters.allows("ancestor", |name| {
            image.is_some_and(|image| image.name == *name || image.id.hex().starts_with(name) || image.name.split(':').next() == Some(name))
        })
        && filters.allows("volume", |name| {
            record.options.mounts.iter().any(|mount| {
                mount.target == *name || matches!(&mount.kind, MountKind::Volume(volume) | MountKind::Anonymous(volume) if volume == name)
            })
        })
        && filters.allows("health", health)
        && filters.is_before("until", record.created)
        && bounds.before.iter().all(|before| record.created < *before)
        && bounds.since.iter().all(|since| record.created > *since)
}

/// By a column; what is equal stays as it was, the newest first.
fn sort(found: &mut [(Container, State, Status)], key: &str) {
    let by = |of: &dyn Fn(&(Container, State, Status)) -> String,
              found: &mut [(Container, State, Status)]| {
        found.sort_by_cached_key(|entry| of(entry));
    };
    match key {
        "command" => by(&|(container, ..)| container.record.options.arguments.join(" "), found),
        "id" => by(&|(container, ..)| container.record.id.clone(), found),
        "image" => by(&|(container, ..)| image_name(&container.record).to_owned(), found),
        "names" => by(&|(container, ..)| container.record.name.clone(), found),
        "runningfor" => found.sort_by_key(|(container, ..)| container.record.created),
        "size" => found.sort_by_cached_key(|(container, ..)| super::written_bytes(container)),
        "status" => by(&|(.., status)| status.name().to_owned(), found),
        _ => {}
    }
}

/// The image's name, or the directory that is the root.
fn image_name(record: &Record) -> &str {
    let rootfs = record.options.rootfs.as_ref().map(|rootfs| rootfs.path.as_str());
    record.image.as_ref().map(|image| image.name.as_str()).or(rootfs).unwrap_or_default()
}

/// What it has written takes on disk, and with its image.
fn sizes(containers: &Containers<'_>, container: &Container) -> Result<(u64, u64)> {
    let own = super::written_bytes(container);
    let image = container.record.image.as_ref().map(|image| containers.store.image(&image.id)).transpose()?;
    Ok((own, own + image.flatten().map_or(0, |image| image.size)))
}

/// How it is, and whether a health check says so.
fn health_of(container: &Container, status: Status) -> Result<String> {
    Ok(match (&container.record.options.health, status.lives()) {
        (Some(_), true) => health_report(&container.run)?.map_or_else(String::new, |report| report.status),
        _ => String::new(),
    })
}

/// A container in the JSON of `ps`, as podman's is.
fn document(
    containers: &Containers<'_>,
    container: &Container,
    state: &State,
    status: Status,
    arguments: &Arguments,
) -> Result<Value> {
    let record = &container.record;
    let seconds = |nanos: u64| nanos / 1_000_000_000;
    let size = arguments.size.then(|| sizes(containers, container)).transpose()?;
    let size = size.map(|(own, all)| json!({ "rwSize": own, "rootFsSize": all }));
    Ok(json!({
        "AutoRemove": record.options.remove,
        "Command": record.options.arguments,
        "CreatedAt": format!("{} ago", time::words(time::now().saturating_sub(record.created))),
        "Exited": status == Status::Exited,
        "ExitedAt": seconds(state.finished),
        "ExitCode": state.exit_code,
        "Id": record.id,
        "Image": image_name(record),
        "ImageID": record.image.as_ref().map_or("", |image| image.id.hex()),
        "IsInfra": false,
        "Labels": record.options.labels,
        "Mounts": record.options.mounts.iter().map(|mount| mount.target.as_str()).collect::<Vec<_>>(),
        "Names": [&record.name],
        "Namespaces": {},
        "Networks": [],
        "Pid": if status.lives() { state.pid } else { 0 },
        "Pod": "",
        "PodName": "",
        "Ports": Value::Null,
        "Restarts": state.restarts,
        "Size": size,
        "StartedAt": seconds(state.started),
        "State": status.name(),
        "Status": status_words(state, status, &health_of(container, status)?),
        "Created": seconds(record.created),
    }))
}

/// A container as templates see it, and tables.
fn row(
    containers: &Containers<'_>,
    container: &Container,
    state: &State,
    status: Status,
    arguments: &Arguments,
) -> Result<Value> {
    let record = &container.record;
    let whole = arguments.no_trunc;
    let command = record.options.arguments.join(" ");
    let command = match whole || command.chars().count() <= 20 {
        true => format!("\"{command}\""),
        false => format!("\"{}…\"", command.chars().take(19).collect::<String>()),
    };
    let health = health_of(container, status)?;
    let since_created = time::words(time::now().saturating_sub(record.created));
    let mut row = json!({
        "ID": if whole { &record.id } else { &record.id[..12] },
        "Id": record.id,
        "Image": image_name(record),
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
        let (own, all) = sizes(containers, container)?;
        row["Size"] = format!("{} (virtual {})", units::size(own), units::size(all)).into();
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
