//! The options of `run` and `create`, as typed, and what they mean.

use super::Caller;
use crate::container::create::Request;
use crate::container::options::{
    Dns, HealthTyped, Log, Namespace, Namespaces, Options, Resources, Security, Typed,
};
use crate::container::{parse, userns};
use crate::error::{Context, Error, Result};
use std::collections::BTreeMap;

/// What `run` and `create` take in front of the image.
#[derive(Debug, clap::Args)]
#[command(next_line_help = false)]
pub struct Shape {
    /// Name the container
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The first word is a directory, not an image; DIR:O keeps it unchanged
    #[arg(long)]
    pub rootfs: bool,
    /// Fetch the image: always, missing, newer or never
    #[arg(long, value_name = "WHEN", default_value = "missing", num_args = 0..=1, require_equals = true, default_missing_value = "always")]
    pub pull: String,
    /// OS/ARCH[/VARIANT] of the image
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<String>,
    /// Write the ID to a file that is not there yet
    #[arg(long, value_name = "FILE")]
    pub cidfile: Option<String>,
    /// Give it a terminal
    #[arg(long, short)]
    tty: bool,
    /// Let stdin be written to
    #[arg(long, short)]
    interactive: bool,
    /// Remove it, and its unnamed volumes, when it has ended
    #[arg(long)]
    rm: bool,
    /// The program, in place of the image's
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,
    /// NAME=VALUE, or NAME to take the caller's value
    #[arg(long, short, value_name = "VARIABLE")]
    env: Vec<String>,
    /// A file of variables, one a line
    #[arg(long, value_name = "FILE")]
    env_file: Vec<String>,
    /// USER[:GROUP], by name or number
    #[arg(long, short, value_name = "USER")]
    user: Option<String>,
    /// A supplementary group
    #[arg(long, value_name = "GROUP")]
    group_add: Vec<String>,
    /// The working directory
    #[arg(long, short, value_name = "DIR")]
    workdir: Option<String>,
    /// The host name
    #[arg(long, short = 'h', value_name = "NAME")]
    hostname: Option<String>,
    /// The NIS domain
    #[arg(long, value_name = "NAME")]
    domainname: Option<String>,
    /// NAME:ADDRESS for /etc/hosts
    #[arg(long, value_name = "HOST")]
    add_host: Vec<String>,
    /// A name server
    #[arg(long, value_name = "ADDRESS")]
    dns: Vec<String>,
    /// A search domain
    #[arg(long, value_name = "DOMAIN")]
    dns_search: Vec<String>,
    /// An option of the resolver
    #[arg(long, alias = "dns-opt", value_name = "OPTION")]
    dns_option: Vec<String>,
    /// KEY=VALUE, for people and filters
    #[arg(long, short, value_name = "LABEL")]
    label: Vec<String>,
    /// A file of labels, one a line
    #[arg(long, value_name = "FILE")]
    label_file: Vec<String>,
    /// KEY=VALUE, for the runtime
    #[arg(long, value_name = "ANNOTATION")]
    annotation: Vec<String>,
    /// SOURCE:TARGET[:OPTIONS]: a directory or a volume
    #[arg(long, short, value_name = "VOLUME")]
    volume: Vec<String>,
    /// type=bind|volume|tmpfs,source=…,target=…
    #[arg(long, value_name = "MOUNT")]
    mount: Vec<String>,
    /// TARGET[:OPTIONS]: memory
    #[arg(long, value_name = "TMPFS")]
    tmpfs: Vec<String>,
    /// The mounts of another container
    #[arg(long, value_name = "CONTAINER[:ro]")]
    volumes_from: Vec<String>,
    /// Keep the root as it is
    #[arg(long)]
    read_only: bool,
    /// Give a read-only root a fresh /tmp, /var/tmp and /run
    #[arg(long, value_name = "BOOL", default_value = "true", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    read_only_tmpfs: bool,
    /// Size of /dev/shm
    #[arg(long, value_name = "SIZE")]
    shm_size: Option<String>,
    /// A device of the host: SOURCE[:TARGET][:rwm]
    #[arg(long, value_name = "DEVICE")]
    device: Vec<String>,
    /// Put a small init in front that reaps
    #[arg(long)]
    init: bool,
    #[command(flatten)]
    security: SecurityTyped,
    #[command(flatten)]
    namespaces: NamespacesTyped,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    life: Life,
    /// The OCI runtime, by name or path
    #[arg(long, value_name = "RUNTIME")]
    runtime: Option<String>,
}

#[derive(Debug, clap::Args)]
struct SecurityTyped {
    /// Give it everything the caller may do
    #[arg(long)]
    privileged: bool,
    /// Add a capability
    #[arg(long, value_name = "CAPABILITY", value_delimiter = ',')]
    cap_add: Vec<String>,
    /// Take a capability away
    #[arg(long, value_name = "CAPABILITY", value_delimiter = ',')]
    cap_drop: Vec<String>,
    /// Let set-id programs and file capabilities give privileges, as sudo and su need
    #[arg(long)]
    allow_new_privileges: bool,
    /// no-new-privileges=BOOL, seccomp=FILE, apparmor=PROFILE, unmask=PATH, proc-opts=OPTIONS, …
    #[arg(long, value_name = "OPTION")]
    security_opt: Vec<String>,
    /// KEY=VALUE, a kernel parameter
    #[arg(long, value_name = "SYSCTL")]
    sysctl: Vec<String>,
    /// The file mode creation mask
    #[arg(long, value_name = "MASK")]
    umask: Option<String>,
}

#[derive(Debug, clap::Args)]
struct NamespacesTyped {
    /// none, host, container:NAME, ns:PATH
    #[arg(long, visible_alias = "net", value_name = "NETWORK", default_value = "none")]
    network: String,
    /// host, container:NAME, ns:PATH
    #[arg(long, value_name = "NAMESPACE", default_value = "private")]
    pid: String,
    /// host, container:NAME, ns:PATH
    #[arg(long, value_name = "NAMESPACE", default_value = "private")]
    ipc: String,
    /// host, container:NAME, ns:PATH
    #[arg(long, value_name = "NAMESPACE", default_value = "private")]
    uts: String,
    /// host, private, container:NAME, ns:PATH
    #[arg(long, value_name = "NAMESPACE", default_value = "private")]
    cgroupns: String,
    /// host, private, keep-id[:uid=N,gid=N], nomap, auto[:size=N], container:NAME, ns:PATH
    #[arg(long, value_name = "NAMESPACE")]
    userns: Option<String>,
    /// CONTAINER:HOST[:COUNT]: which uids it has
    #[arg(long, value_name = "MAP")]
    uidmap: Vec<String>,
    /// CONTAINER:HOST[:COUNT]: which gids it has
    #[arg(long, value_name = "MAP")]
    gidmap: Vec<String>,
    /// Needs a network that this version does not have
    #[arg(long, short, value_name = "PORT")]
    publish: Vec<String>,
    /// As --publish
    #[arg(long, short = 'P')]
    publish_all: bool,
    /// Accepted for docker
    #[arg(long, value_name = "PORT")]
    expose: Vec<String>,
}

/// Limits, which `update` takes, too.
#[derive(Debug, clap::Args)]
pub struct Limits {
    /// Bytes of memory
    #[arg(long, short, value_name = "SIZE")]
    memory: Option<String>,
    /// Bytes of memory and swap; -1 for any
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    memory_swap: Option<String>,
    /// Bytes that are taken back last
    #[arg(long, value_name = "SIZE")]
    memory_reservation: Option<String>,
    /// How many CPUs it may use
    #[arg(long, value_name = "NUMBER")]
    cpus: Option<String>,
    /// Microseconds of a period
    #[arg(long, value_name = "US")]
    cpu_period: Option<u64>,
    /// Microseconds of a period that it may run
    #[arg(long, value_name = "US", allow_hyphen_values = true)]
    cpu_quota: Option<i64>,
    /// Weight against others, 1024 by default
    #[arg(long, short = 'c', value_name = "WEIGHT")]
    cpu_shares: Option<u64>,
    /// CPUs to run on: 0-2,4
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// Memory nodes to use
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// Processes; -1 for any
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pids_limit: Option<i64>,
    /// Weight of its input and output, 10 to 1000
    #[arg(long, value_name = "WEIGHT")]
    blkio_weight: Option<u16>,
}

#[derive(Debug, clap::Args)]
struct Life {
    /// A limit of a process: nofile=1024:2048
    #[arg(long, value_name = "LIMIT")]
    ulimit: Vec<String>,
    /// Let it wait when memory runs out
    #[arg(long)]
    oom_kill_disable: bool,
    /// How soon the kernel ends it when memory runs out
    #[arg(long, value_name = "SCORE", allow_hyphen_values = true)]
    oom_score_adj: Option<i32>,
    /// The cgroup in which its own is made
    #[arg(long, value_name = "CGROUP")]
    cgroup_parent: Option<String>,
    /// no, on-failure[:N], always, unless-stopped
    #[arg(long, value_name = "POLICY", default_value = "no")]
    restart: String,
    /// The signal that asks it to end
    #[arg(long, value_name = "SIGNAL")]
    stop_signal: Option<String>,
    /// Seconds between that and SIGKILL
    #[arg(long, value_name = "SECONDS")]
    stop_timeout: Option<u64>,
    /// How to find out whether it is well; none for not at all
    #[arg(long, value_name = "COMMAND")]
    health_cmd: Option<String>,
    /// Time between two checks
    #[arg(long, value_name = "DURATION")]
    health_interval: Option<String>,
    /// Time after which a check has failed
    #[arg(long, value_name = "DURATION")]
    health_timeout: Option<String>,
    /// Time at the start in which failures do not count
    #[arg(long, value_name = "DURATION")]
    health_start_period: Option<String>,
    /// Time between two checks while starting
    #[arg(long, value_name = "DURATION")]
    health_start_interval: Option<String>,
    /// Failures in a row until it counts as unhealthy
    #[arg(long, value_name = "NUMBER")]
    health_retries: Option<u32>,
    /// What happens then: none, kill, restart, stop
    #[arg(long, value_name = "ACTION", default_value = "none")]
    health_on_failure: String,
    /// No health check
    #[arg(long)]
    no_healthcheck: bool,
    /// k8s-file, json-file or none
    #[arg(long, value_name = "DRIVER", default_value = "k8s-file")]
    log_driver: String,
    /// max-size=SIZE, max-file=N, path=FILE
    #[arg(long, value_name = "OPTION")]
    log_opt: Vec<String>,
}

impl Shape {
    /// What was asked for; the image is looked up by the caller.
    ///
    /// # Errors
    /// Names the option and its word.
    pub fn request(self, command: Vec<String>, rootfs: Option<&str>) -> Result<Request> {
        let caller = Caller;
        let users = self.namespaces.users()?;
        let options = Options {
            env: environment(&self.env_file, &self.env)?,
            user: self.user.unwrap_or_default(),
            groups: self.group_add,
            workdir: self.workdir.unwrap_or_default(),
            hostname: checked_hostname(self.hostname.unwrap_or_default())?,
            domainname: self.domainname.unwrap_or_default(),
            hosts: each("--add-host", &self.add_host, parse::host)?,
            dns: resolver(Dns { servers: self.dns, search: self.dns_search, options: self.dns_option })?,
            tty: self.tty,
            interactive: self.interactive,
            remove: self.rm,
            labels: pairs(&[from_files(&self.label_file)?, self.label].concat()),
            annotations: pairs(&self.annotation),
            security: security(&self.security)?,
            resources: Resources { oom_kill_disable: self.life.oom_kill_disable, ..self.limits.meant()? },
            ulimits: each("--ulimit", &self.life.ulimit, parse::ulimit)?,
            devices: each("--device", &self.device, parse::device)?,
            mounts: [
                each("--mount", &self.mount, |text| parse::mount(text, &caller))?,
                each("--volume", &self.volume, |text| parse::volume(text, &caller))?,
                each("--tmpfs", &self.tmpfs, parse::tmpfs)?,
            ]
            .concat(),
            read_only: self.read_only,
            read_only_tmpfs: self.read_only_tmpfs,
            shm_bytes: self
                .shm_size
                .as_deref()
                .map(parse::bytes)
                .transpose()
                .context(|| "--shm-size")?
                .unwrap_or(0),
            init: self.init,
            namespaces: self.namespaces.meant()?,
            sysctls: pairs(&self.security.sysctl),
            umask: self.security.umask.as_deref().map(umask).transpose()?,
            oom_score: self.life.oom_score_adj,
            cgroup_parent: self.life.cgroup_parent.clone().unwrap_or_default(),
            stop_signal: self.life.stop_signal.clone().unwrap_or_default(),
            stop_timeout: self.life.stop_timeout,
            restart: parse::restart(&self.life.restart).context(|| "--restart")?,
            log: self.life.log()?,
            rootfs: rootfs.map(|text| parse::rootfs(text, &caller)),
            runtime: self.runtime.unwrap_or_default(),
            ..Options::default()
        };
        let entrypoint = self
            .entrypoint
            .map(|text| serde_json::from_str::<Vec<String>>(&text).unwrap_or_else(|_| vec![text]));
        let typed = Typed { entrypoint, command, health: self.life.health()? };
        Ok(Request {
            name: self.name.unwrap_or_default(),
            options,
            typed,
            image: None,
            users,
            volumes_from: self.volumes_from,
        })
    }
}

fn each<T>(option: &str, words: &[String], parse: impl Fn(&str) -> Result<T>) -> Result<Vec<T>> {
    words.iter().map(|word| parse(word).map_err(|error| error.context(option).exit_code(125))).collect()
}

fn pairs(words: &[String]) -> BTreeMap<String, String> {
    let split = |word: &String| match word.split_once('=') {
        Some((key, value)) => (key.to_owned(), value.to_owned()),
        None => (word.clone(), String::new()),
    };
    words.iter().map(split).collect()
}

/// Each becomes a word of /etc/resolv.conf.
fn resolver(dns: Dns) -> Result<Dns> {
    let bad = |option: &str, word: &str, what: &str| {
        Err(Error::new(format!("--{option}: \"{word}\" is no {what}")).exit_code(125))
    };
    if let Some(word) = dns.servers.iter().find(|word| word.parse::<std::net::IpAddr>().is_err()) {
        return bad("dns", word, "IP address");
    }
    let odd = |word: &&String| word.is_empty() || !word.bytes().all(|letter| letter.is_ascii_graphic());
    for (option, words, what) in
        [("dns-search", &dns.search, "domain"), ("dns-option", &dns.options, "option of a resolver")]
    {
        if let Some(word) = words.iter().find(odd) {
            return bad(option, word, what);
        }
    }
    Ok(dns)
}

fn checked_hostname(name: String) -> Result<String> {
    // It becomes a word of /etc/hosts.
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
    match name.len() > 64 || !name.chars().all(plain) {
        true => Err(Error::new(format!("--hostname: \"{name}\" is no host name")).exit_code(125)),
        false => Ok(name),
    }
}

fn umask(text: &str) -> Result<u32> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mask| *mask <= 0o777)
        .ok_or_else(|| Error::new(format!("--umask: \"{text}\" is no octal number up to 777")).exit_code(125))
}

/// The lines of files, without comments.
fn from_files(files: &[String]) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file).context(|| file.clone())?;
        lines.extend(
            text.lines()
                .map(str::trim_start)
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
                .map(String::from),
        );
    }
    Ok(lines)
}

/// Variables of files, then those that were typed; a bare name takes the caller's value, `PREFIX*` all that begin so.
pub fn environment(files: &[String], typed: &[String]) -> Result<Vec<String>> {
    let mut list = Vec::new();
    for word in from_files(files).context(|| "--env-file")?.iter().chain(typed) {
        match (word.contains('='), word.strip_suffix('*')) {
            (true, _) if !word.starts_with('=') => list.push(word.clone()),
            (true, _) => return Err(Error::new(format!("--env: \"{word}\" has no name")).exit_code(125)),
            (false, Some(prefix)) => {
                list.extend(
                    std::env::vars()
                        .filter(|(name, _)| name.starts_with(prefix))
                        .map(|(name, value)| format!("{name}={value}")),
                );
            }
            (false, None) => list.extend(std::env::var(word).ok().map(|value| format!("{word}={value}"))),
        }
    }
    Ok(list)
}

fn security(typed: &SecurityTyped) -> Result<Security> {
    let mut security = Security {
        privileged: typed.privileged,
        no_new_privileges: !(typed.privileged || typed.allow_new_privileges),
        add: each("--cap-add", &typed.cap_add, parse::capability)?,
        drop: each("--cap-drop", &typed.cap_drop, parse::capability)?,
        ..Security::default()
    };
    for word in &typed.security_opt {
        parse::security_option(word, &mut security, &Caller)
            .map_err(|error| error.context("--security-opt").exit_code(125))?;
    }
    Ok(security)
}

impl NamespacesTyped {
    fn users(&self) -> Result<userns::Typed> {
        Ok(userns::Typed {
            namespace: self
                .userns
                .as_deref()
                .map(parse::user_namespace)
                .transpose()
                .map_err(|error| error.context("--userns").exit_code(125))?,
            uids: each("--uidmap", &self.uidmap, parse::id_map)?,
            gids: each("--gidmap", &self.gidmap, parse::id_map)?,
            has_user: false,
        })
    }

    fn meant(&self) -> Result<Namespaces> {
        if self.publish_all || !self.publish.is_empty() {
            return Err(Error::new(
                "--publish: this version has no network that ports could be published from",
            )
            .hint("with --network host, the program's ports are the host's")
            .exit_code(125));
        }
        let namespace = |option: &str, text: &str| {
            parse::namespace(text).map_err(|error| error.context(option.to_owned()).exit_code(125))
        };
        Ok(Namespaces {
            network: parse::network(&self.network)
                .map_err(|error| error.context("--network").exit_code(125))?,
            pid: namespace("--pid", &self.pid)?,
            ipc: namespace("--ipc", &self.ipc)?,
            uts: namespace("--uts", &self.uts)?,
            cgroup: namespace("--cgroupns", &self.cgroupns)?,
            user: Namespace::Host,
        })
    }
}

impl Limits {
    /// What they mean.
    ///
    /// # Errors
    /// Names the option and its word.
    pub fn meant(&self) -> Result<Resources> {
        let bytes = |option: &str, text: &Option<String>| {
            let parsed = text.as_deref().map(parse::bytes_or_any).transpose();
            parsed.map_err(|error| error.context(option.to_owned()).exit_code(125))
        };
        if self.cpus.is_some() && (self.cpu_period.is_some() || self.cpu_quota.is_some()) {
            return Err(
                Error::new("--cpus and --cpu-period or --cpu-quota say the same thing twice").exit_code(125)
            );
        }
        Ok(Resources {
            memory: bytes("--memory", &self.memory)?,
            memory_swap: bytes("--memory-swap", &self.memory_swap)?,
            memory_reservation: bytes("--memory-reservation", &self.memory_reservation)?,
            oom_kill_disable: false,
            cpu_millis: self
                .cpus
                .as_deref()
                .map(parse::cpus)
                .transpose()
                .map_err(|error| error.context("--cpus").exit_code(125))?
                .filter(|millis| *millis > 0),
            cpu_period: self.cpu_period,
            cpu_quota: self.cpu_quota,
            cpu_shares: self.cpu_shares,
            cpuset_cpus: self.cpuset_cpus.clone().unwrap_or_default(),
            cpuset_mems: self.cpuset_mems.clone().unwrap_or_default(),
            pids: self.pids_limit,
            blkio_weight: self.blkio_weight,
        })
    }
}

impl Life {
    fn log(&self) -> Result<Log> {
        let driver = parse::log_driver(&self.log_driver)
            .map_err(|error| error.context("--log-driver").exit_code(125))?;
        let mut log = Log { driver, ..Log::default() };
        for word in &self.log_opt {
            parse::log_option(word, &mut log, &Caller)
                .map_err(|error| error.context("--log-opt").exit_code(125))?;
        }
        Ok(log)
    }

    fn health(&self) -> Result<HealthTyped> {
        let duration = |option: &str, text: &Option<String>| {
            text.as_deref()
                .map(parse::duration)
                .transpose()
                .map_err(|error| error.context(option.to_owned()).exit_code(125))
        };
        Ok(HealthTyped {
            command: self.health_cmd.clone(),
            interval: duration("--health-interval", &self.health_interval)?,
            timeout: duration("--health-timeout", &self.health_timeout)?,
            start_period: duration("--health-start-period", &self.health_start_period)?,
            start_interval: duration("--health-start-interval", &self.health_start_interval)?,
            retries: self.health_retries,
            on_failure: parse::on_unhealthy(&self.health_on_failure)
                .map_err(|error| error.context("--health-on-failure").exit_code(125))?,
            off: self.no_healthcheck,
        })
    }
}
