//! The options of `run` and `create`, as typed, and what they mean.

use super::Caller;
use super::life::Life;
use super::limits::Limits;
use super::program::{Program, from_files};
use crate::container::create::Request;
use crate::container::options::{Dns, Namespace, Namespaces, Options, Resources, Security, Typed};
use crate::container::{claims, parse, userns};
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
    #[arg(long, value_name = "WHEN", default_value = "missing")]
    pub pull: String,
    /// OS/ARCH[/VARIANT] of the image
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<String>,
    /// Write the ID to a file that is not there yet
    #[arg(long, value_name = "FILE")]
    pub cidfile: Option<String>,
    #[command(flatten)]
    program: Program,
    /// Remove it, and its unnamed volumes, when it has ended
    #[arg(long)]
    rm: bool,
    /// The program, in place of the image's
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,
    /// A supplementary group
    #[arg(long, value_name = "GROUP")]
    group_add: Vec<String>,
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
    /// PORT[/tcp|udp|sctp]: what others may expect it to listen on
    #[arg(long, value_name = "PORT")]
    expose: Vec<String>,
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
            env: self.program.environment()?,
            user: self.program.user.unwrap_or_default(),
            groups: self.group_add,
            workdir: self.program.workdir.unwrap_or_default(),
            hostname: checked_hostname(self.hostname.unwrap_or_default())?,
            domainname: self.domainname.unwrap_or_default(),
            hosts: each("--add-host", &self.add_host, parse::host)?,
            dns: resolver(Dns { servers: self.dns, search: self.dns_search, options: self.dns_option })?,
            tty: self.program.tty,
            interactive: self.program.interactive,
            remove: self.rm,
            labels: pairs("--label", &[from_files(&self.label_file)?, self.label].concat(), false)?,
            annotations: pairs("--annotation", &self.annotation, true)?,
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
            sysctls: pairs("--sysctl", &self.security.sysctl, true)?,
            umask: self.security.umask.as_deref().map(umask).transpose()?,
            oom_score: self.life.oom_score_adj,
            cgroup_parent: self.life.cgroup_parent.clone().unwrap_or_default(),
            stop_signal: self.life.stop_signal.clone().unwrap_or_default(),
            stop_timeout: self.life.stop_timeout,
            restart: parse::restart(&self.life.restart).context(|| "--restart")?,
            log: self.life.log()?,
            rootfs: rootfs.map(|text| parse::rootfs(text, &caller)),
            runtime: self.runtime.unwrap_or_default(),
            exposed: self
                .namespaces
                .expose
                .iter()
                .map(|text| exposed(text))
                .collect::<Result<_>>()
                .context(|| "--expose")?,
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

fn pairs(option: &str, words: &[String], has_value: bool) -> Result<BTreeMap<String, String>> {
    let split = |word: &String| match word.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        None if !has_value && !word.is_empty() => Ok((word.clone(), String::new())),
        _ => {
            let form = if has_value { "KEY=VALUE" } else { "KEY or KEY=VALUE" };
            Err(Error::new(format!("{option}: \"{word}\" is not {form}")).exit_code(125))
        }
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

/// As an image's configuration has it: `80/tcp`.
fn exposed(text: &str) -> Result<String> {
    claims::port(text).map_err(|_| {
        Error::new(format!("\"{text}\" is no PORT[-PORT][/tcp|udp|sctp] from 1 to 65535")).exit_code(125)
    })?;
    Ok(if text.contains('/') { text.to_owned() } else { format!("{text}/tcp") })
}
