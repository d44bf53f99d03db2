//! `top`, `stats`, `update`, `port`.

use super::super::output::{self, Style, table::Table, units};
use super::super::{Invocation, SUCCESS, print_text};
use super::for_each;
use super::limits::Limits;
use crate::container::cgroup::Cgroup;
use crate::container::processes::Usage;
use crate::container::record::{Container, Status};
use crate::container::spec::resources;
use crate::container::{Containers, facts, parse, processes, status};
use crate::error::{Context, Error, Result};
use serde_json::{Value, json};
use std::process::Command;
use std::time::{Duration, Instant};

/// Between two samples of CPU time.
const SAMPLE: Duration = Duration::from_millis(500);

fn running(container: &Container) -> Result<()> {
    match container.now()?.1 {
        now if now.lives() => Ok(()),
        now => Err(Error::new(format!("it does not run: it is {}", now.name())).context(container.place())),
    }
}

/// What `top` takes.
#[derive(Debug, clap::Args)]
pub struct Top {
    /// The container
    #[arg(value_name = "CONTAINER")]
    name: String,
    /// Options for the host's ps, in place of our own table
    #[arg(value_name = "PS-OPTION", trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

/// `top`.
pub fn top(invocation: &Invocation, arguments: Top) -> Result<u8> {
    let store = invocation.store()?;
    let containers = Containers::open(&store)?;
    let container = containers.find(&arguments.name)?;
    running(&container)?;
    let pids = pids(&containers, &container)?;
    if !arguments.options.is_empty() {
        return by_ps(&arguments.options, &pids);
    }
    let mut table = Table::new(["UID", "PID", "PPID", "TTY", "TIME", "CMD"].map(String::from));
    for pid in pids {
        if let Some(cells) = process(pid) {
            table.row(cells);
        }
    }
    print_text(&table.text())?;
    Ok(SUCCESS)
}

/// The processes of a container: those in its cgroup, where it has one.
fn pids(containers: &Containers<'_>, container: &Container) -> Result<Vec<i32>> {
    if !status::has_cgroup(container)? {
        return Ok(processes::of(container.state()?.pid));
    }
    let listed = status::runtime(containers, container)?
        .call(&["ps", "--format", "json", &container.record.id], None)
        .context(|| container.place())?;
    serde_json::from_slice(&listed)
        .map_err(|error| Error::new(error.to_string()).context("ps of the runtime"))
}

/// The lines of the host's ps that tell of these processes.
fn by_ps(options: &[String], pids: &[i32]) -> Result<u8> {
    let output = Command::new("ps").args(options).output().context(|| "ps")?;
    if !output.status.success() {
        return Err(Error::new(
            String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or("it failed").to_owned(),
        )
        .context("ps"));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines();
    let heading = lines.next().unwrap_or_default();
    let column = heading
        .split_ascii_whitespace()
        .position(|word| word == "PID")
        .ok_or_else(|| Error::new("ps: its table has no column PID"))?;
    let mut kept = format!("{heading}\n");
    for line in lines.filter(|line| {
        line.split_ascii_whitespace()
            .nth(column)
            .and_then(|pid| pid.parse().ok())
            .is_some_and(|pid| pids.contains(&pid))
    }) {
        kept += &format!("{line}\n");
    }
    print_text(&kept)?;
    Ok(SUCCESS)
}

/// A line of the table: what proc(5) says of a process; nothing if it has gone.
fn process(pid: i32) -> Option<[String; 6]> {
    let read = |name: &str| {
        std::fs::read(format!("/proc/{pid}/{name}"))
            .ok()
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    let stat = read("stat")?;
    let (front, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    let seconds = (number(11) + number(12)) / ticks;
    let uid = read("status")?
        .lines()
        .find_map(|line| line.strip_prefix("Uid:")?.split_ascii_whitespace().next().map(String::from))?;
    let command = read("cmdline")?.trim_end_matches('\0').replace('\0', " ");
    let command = if command.is_empty() { format!("[{}]", front.split_once('(')?.1) } else { command };
    let device = number(4);
    let terminal = match (device >> 8 & 0xfff, (device & 0xff) | (device >> 12 & 0xf_ff00)) {
        (0, _) => "?".to_owned(),
        (136..=143, minor) => format!("pts/{minor}"),
        (major, minor) => format!("{major}:{minor}"),
    };
    let time = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    Some([uid, pid.to_string(), number(1).to_string(), terminal, time, output::table::harmless(&command)])
}

/// What `stats` takes.
#[derive(Debug, clap::Args)]
pub struct Stats {
    /// Containers; all that run if none is named
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
    /// Also those that do not run
    #[arg(long, short)]
    all: bool,
    /// Print once and end
    #[arg(long)]
    no_stream: bool,
    /// Print whole IDs
    #[arg(long)]
    no_trunc: bool,
    /// Seconds between two prints
    #[arg(long, short, value_name = "SECONDS", default_value_t = 1)]
    interval: u64,
    /// A template, or json
    #[arg(long, value_name = "TEMPLATE")]
    format: Option<String>,
}

/// `stats`.
pub fn stats(invocation: &Invocation, arguments: Stats) -> Result<u8> {
    let store = invocation.store()?;
    let containers = Containers::open(&store)?;
    let terminal = rustix::termios::isatty(rustix::stdio::stdout());
    loop {
        let chosen: Vec<Container> = match arguments.names.is_empty() {
            true => containers
                .readable(arguments.all)?
                .list
                .into_iter()
                .filter(|(.., now)| arguments.all || now.lives())
                .map(|(container, ..)| container)
                .collect(),
            false => arguments.names.iter().map(|name| containers.find(name)).collect::<Result<_>>()?,
        };
        let mut first = Vec::new();
        for container in chosen {
            if let Some(usage) = sample(&container, &arguments)? {
                first.push((container, Instant::now(), usage.cpu_ns));
            }
        }
        std::thread::sleep(SAMPLE);
        let mut rows = Vec::new();
        for (container, since, before) in first {
            let Some(usage) = sample(&container, &arguments)? else { continue };
            let elapsed = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1);
            let share = usage.cpu_ns.saturating_sub(before) * 10_000 / elapsed;
            rows.push(stats_row(&container, &usage, share, arguments.no_trunc));
        }
        if terminal && !arguments.no_stream {
            print_text("\x1b[H\x1b[2J")?;
        }
        let columns = [
            ("ID", "ID"),
            ("NAME", "Name"),
            ("CPU %", "CPUPerc"),
            ("MEM USAGE / LIMIT", "MemUsage"),
            ("MEM %", "MemPerc"),
            ("BLOCK IO", "BlockIO"),
            ("PIDS", "PIDs"),
        ];
        output::print(
            &rows,
            &columns,
            &Style { format: arguments.format.as_deref(), quiet: None, no_heading: false },
        )?;
        if arguments.no_stream {
            return Ok(SUCCESS);
        }
        std::thread::sleep(Duration::from_secs(arguments.interval));
    }
}

/// What a container uses. Nothing for one that was not named and has ended meanwhile.
fn sample(container: &Container, arguments: &Stats) -> Result<Option<Usage>> {
    let (state, now) = container.now()?;
    if !now.lives() {
        return match (arguments.all, arguments.names.is_empty()) {
            (true, _) => Ok(Some(Usage::default())),
            (false, true) => Ok(None),
            (false, false) => running(container).map(|()| None),
        };
    }
    if !status::has_cgroup(container)? {
        return Ok(Some(processes::usage(&processes::of(state.pid))));
    }
    let cgroup = Cgroup::of(state.pid, &container.record.id);
    Ok(Some(cgroup.map(|cgroup| cgroup.usage()).unwrap_or_default()))
}

fn stats_row(container: &Container, usage: &Usage, cpu: u64, whole: bool) -> Value {
    let total = rustix::system::sysinfo().totalram;
    #[allow(clippy::unnecessary_cast)]
    let total = total as u64;
    let limit = usage.memory_limit.unwrap_or(total).min(total);
    let percent = |hundredths: u64| format!("{}.{:02}%", hundredths / 100, hundredths % 100);
    let record = &container.record;
    json!({
        "ID": if whole { &record.id } else { &record.id[..12] },
        "Container": record.id,
        "Name": record.name,
        "CPUPerc": percent(cpu),
        "MemUsage": format!("{} / {}", units::size(usage.memory_bytes), units::size(limit)),
        "MemPerc": percent(usage.memory_bytes.saturating_mul(10_000) / limit.max(1)),
        "NetIO": "-- / --",
        "BlockIO": format!("{} / {}", units::size(usage.read_bytes), units::size(usage.written_bytes)),
        "PIDs": usage.tasks,
    })
}

/// What `update` takes.
#[derive(Debug, clap::Args)]
pub struct Update {
    /// Containers
    #[arg(value_name = "CONTAINER", required = true)]
    names: Vec<String>,
    #[command(flatten)]
    limits: Limits,
    /// no, on-failure[:N], always, unless-stopped
    #[arg(long, value_name = "POLICY")]
    restart: Option<String>,
}

/// `update`: of a container that runs at once, and for the time it is started again.
pub fn update(invocation: &Invocation, arguments: Update) -> Result<u8> {
    let limits = arguments.limits.meant()?;
    let restart = arguments.restart.as_deref().map(parse::restart).transpose().context(|| "--restart")?;
    for_each(invocation, &arguments.names, false, |containers, container| {
        let _guard = container.lock()?;
        let mut container = container.clone();
        containers.reread(&mut container)?;
        let options = &mut container.record.options;
        if restart.is_some_and(|restart| restart != crate::container::options::Restart::No) && options.remove
        {
            return Err(Error::new("--restart contradicts --rm").context(container.place()));
        }
        options.restart = restart.unwrap_or(options.restart);
        let facts = facts::of_host(&crate::container::options::Options::default())?;
        if let [first, ..] = resources::ignored(&limits, &facts)[..] {
            return Err(Error::new(format!(
                "{first}: no cgroup controller for it is delegated to this user"
            ))
            .context(container.place()));
        }
        merge(&mut options.resources, &limits);
        let changed = resources::changed(&limits, &options.resources, &facts);
        if matches!(container.now()?.1, Status::Running | Status::Paused)
            && changed.as_object().is_some_and(|fields| !fields.is_empty())
        {
            let text = serde_json::to_vec(&changed).map_err(|error| Error::new(error.to_string()))?;
            let runtime = status::runtime(containers, &container)?;
            runtime
                .call(&["update", "--resources", "-", &container.record.id], Some(&text))
                .context(|| container.place())?;
        }
        containers.rewrite(&container)
    })
}

fn merge(old: &mut crate::container::options::Resources, new: &crate::container::options::Resources) {
    let new = new.clone();
    old.memory = new.memory.or(old.memory);
    old.memory_swap = new.memory_swap.or(old.memory_swap);
    old.memory_reservation = new.memory_reservation.or(old.memory_reservation);
    old.cpu_shares = new.cpu_shares.or(old.cpu_shares);
    old.pids = new.pids.or(old.pids);
    old.blkio_weight = new.blkio_weight.or(old.blkio_weight);
    if new.cpu_millis.is_some() {
        (old.cpu_millis, old.cpu_period, old.cpu_quota) = (new.cpu_millis, None, None);
    } else if new.cpu_period.is_some() || new.cpu_quota.is_some() {
        (old.cpu_millis, old.cpu_period, old.cpu_quota) =
            (None, new.cpu_period.or(old.cpu_period), new.cpu_quota.or(old.cpu_quota));
    }
    for (old, new) in [(&mut old.cpuset_cpus, new.cpuset_cpus), (&mut old.cpuset_mems, new.cpuset_mems)] {
        if !new.is_empty() {
            *old = new;
        }
    }
}

/// What `port` takes.
#[derive(Debug, clap::Args)]
pub struct Port {
    /// The container
    #[arg(value_name = "CONTAINER")]
    name: String,
    /// PORT[/PROTOCOL]
    #[arg(value_name = "PORT")]
    port: Option<String>,
}

/// `port`: nothing is published without networks of our own.
pub fn port(invocation: &Invocation, arguments: Port) -> Result<u8> {
    let store = invocation.store()?;
    let container = Containers::open(&store)?.find(&arguments.name)?;
    match arguments.port {
        Some(port) => Err(Error::new(format!("port {port} is not published")).context(container.place())),
        None => Ok(SUCCESS),
    }
}
