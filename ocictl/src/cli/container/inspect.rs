//! `container inspect`: docker's JSON, with podman's names where they have more.

use super::super::output;
use super::super::{Invocation, SUCCESS};
use crate::container::ids::{Ids, Range};
use crate::container::monitor::{health_report, log};
use crate::container::options::{MountKind, Namespace, Options, Restart};
use crate::container::record::{Container, Status};
use crate::container::{Containers, spec};
use crate::error::{Error, Result};
use crate::runtime;
use crate::time;
use crate::volume::Volumes;
use serde_json::{Map, Value, json};

/// What `inspect` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Containers
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
    /// A template
    #[arg(long, short, value_name = "TEMPLATE")]
    format: Option<String>,
    /// Print the size of what it has written, too
    #[arg(long, short)]
    size: bool,
}

/// What the short form takes.
#[derive(Debug, clap::Args)]
pub struct Any {
    /// Containers, images or volumes
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// A template
    #[arg(long, short, value_name = "TEMPLATE")]
    format: Option<String>,
    /// Print the size of what a container has written, too
    #[arg(long, short)]
    size: bool,
    /// container, image or volume
    #[arg(long = "type", short, value_name = "KIND", default_value = "all", value_parser = ["all", "container", "image", "volume"])]
    kind: String,
}

/// `inspect`: what is known of a container, else of an image, else of a volume.
pub fn any(invocation: &Invocation, arguments: Any) -> Result<u8> {
    let store = invocation.store()?;
    let containers = Containers::open(&store)?;
    let mut objects = Vec::new();
    let result = super::super::for_each(&arguments.names, |name| {
        let wants = |kind: &str| arguments.kind == "all" || arguments.kind == kind;
        objects.push(if wants("container") && containers.look_up(name)?.is_some() {
            object(invocation, name, arguments.size)?
        } else if wants("image") && super::super::images(&store)?.find(name)?.is_some() {
            super::super::image::object(&super::super::images(&store)?.resolve(name)?)
        } else if wants("volume") && Volumes::open(&store)?.get(name)?.is_some() {
            super::super::volume::named(&store, name)?
        } else {
            return Err(Error::new(format!(
                "no such {}",
                if arguments.kind == "all" { "object" } else { &arguments.kind }
            ))
            .context(name));
        });
        Ok(())
    });
    output::print_objects(&objects, arguments.format.as_deref())?;
    result.map(|()| SUCCESS)
}

/// `container inspect`.
pub fn inspect(invocation: &Invocation, arguments: Arguments) -> Result<u8> {
    if arguments.names.is_empty() {
        return Err(Error::new("no container is named").exit_code(125));
    }
    let mut objects = Vec::new();
    let result = super::super::for_each(&arguments.names, |name| {
        objects.push(object(invocation, name, arguments.size)?);
        Ok(())
    });
    output::print_objects(&objects, arguments.format.as_deref())?;
    result.map(|()| SUCCESS)
}

/// One container.
///
/// # Errors
/// Fails if there is no such container.
pub fn object(invocation: &Invocation, name: &str, size: bool) -> Result<Value> {
    let store = invocation.store()?;
    let containers = Containers::open(&store)?;
    let container = containers.find(name)?;
    let (record, options) = (&container.record, &container.record.options);
    let (program, arguments) =
        options.arguments.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    let mut value = json!({
        "Id": record.id,
        "Created": time::rfc3339(record.created),
        "Path": program,
        "Args": arguments,
        "State": state(&container)?,
        "Image": record.image.as_ref().map_or(String::new(), |image| image.id.to_string()),
        "ImageName": record.image.as_ref().map_or("", |image| &image.name),
        "Rootfs": options.rootfs.as_ref().map_or("", |rootfs| &rootfs.path),
        "ResolvConfPath": container.run.join("resolv.conf"),
        "HostnamePath": container.run.join("hostname"),
        "HostsPath": container.run.join("hosts"),
        "LogPath": log::path(&options.log, &container.directory),
        "StaticDir": container.directory,
        "OCIConfigPath": container.run.join("config.json"),
        "OCIRuntime": runtime_of(options),
        "Name": record.name,
        "RestartCount": container.state()?.restarts,
        "Driver": "overlay",
        "MountLabel": "",
        "ProcessLabel": options.security.selinux,
        "AppArmorProfile": options.security.apparmor,
        "BoundingCaps": spec::capabilities::bounding(&options.security),
        "EffectiveCaps": spec::capabilities::bounding(&options.security),
        "HostConfig": host_config(options),
        "GraphDriver": { "Name": "overlay", "Data": { "UpperDir": container.directory.join("layer/upper"), "WorkDir": container.directory.join("layer/work") } },
        "Mounts": mounts(&containers, options)?,
        "Config": config(&container),
        "NetworkSettings": { "Ports": {}, "IPAddress": "", "Gateway": "", "MacAddress": "", "Networks": {}, "SandboxKey": "" },
        "Namespace": "",
        "IsInfra": false,
    });
    if size {
        value["SizeRw"] = super::written_bytes(&container).into();
    }
    Ok(value)
}

fn state(container: &Container) -> Result<Value> {
    let (state, status) = container.now()?;
    let mut value = json!({
        "OciVersion": "1.0.2",
        "Status": status.name(),
        "Running": status.lives(),
        "Paused": status == Status::Paused,
        "Restarting": status == Status::Restarting,
        "OOMKilled": state.oom_killed,
        "Dead": false,
        "Pid": if status.lives() { state.pid } else { 0 },
        "ConmonPid": if container.is_monitored() { state.monitor } else { 0 },
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": time::rfc3339(state.started),
        "FinishedAt": time::rfc3339(state.finished),
    });
    if container.record.options.health.is_some() {
        let report = health_report(&container.run)?.unwrap_or_default();
        value["Health"] = serde_json::to_value(report).unwrap_or_default();
    }
    Ok(value)
}

fn namespace(namespace: &Namespace, private: &str) -> String {
    match namespace {
        Namespace::Private => private.to_owned(),
        Namespace::Host => "host".to_owned(),
        Namespace::Container(id) => format!("container:{id}"),
        Namespace::Path(path) => format!("ns:{path}"),
    }
}

fn id_maps(options: &Options, kind: impl Fn(&Ids) -> &Vec<Range>) -> Vec<String> {
    let ranges = options.ids.as_ref().map(kind).into_iter().flatten();
    ranges.map(|range| format!("{}:{}:{}", range.inside, range.outside, range.count)).collect()
}

/// Those of older versions have none of their own.
fn runtime_of(options: &Options) -> String {
    if options.runtime.is_empty() { runtime::default() } else { options.runtime.clone() }
}

fn host_config(options: &Options) -> Value {
    let (resources, chosen, security) = (&options.resources, &options.namespaces, &options.security);
    let most = if let Restart::OnFailure(most) = options.restart { most } else { 0 };
    let mut words = Vec::new();
    if security.no_new_privileges {
        words.push("no-new-privileges".to_owned());
    }
    if security.seccomp_unconfined {
        words.push("seccomp=unconfined".to_owned());
    }
    if !security.apparmor.is_empty() {
        words.push(format!("apparmor={}", security.apparmor));
    }
    let binds = options.mounts.iter().filter_map(|mount| {
        let source = match &mount.kind {
            MountKind::Bind(source) | MountKind::Overlay(source) | MountKind::Volume(source) => source,
            MountKind::Image(name, _) => name,
            MountKind::Anonymous(_) | MountKind::Tmpfs => return None,
        };
        let words =
            if mount.options.is_empty() { String::new() } else { format!(":{}", mount.options.join(",")) };
        Some(format!("{source}:{}{words}", mount.target))
    });
    let tmpfs: Map<String, Value> = options
        .mounts
        .iter()
        .filter(|mount| mount.kind == MountKind::Tmpfs)
        .map(|mount| (mount.target.clone(), mount.options.join(",").into()))
        .collect();
    let ulimits: Vec<Value> = options
        .ulimits
        .iter()
        .map(|limit| json!({ "Name": limit.name, "Soft": limit.soft, "Hard": limit.hard }))
        .collect();
    let devices: Vec<Value> = options
        .devices
        .iter()
        .map(|device| json!({ "PathOnHost": device.source, "PathInContainer": device.target, "CgroupPermissions": device.access }))
        .collect();
    let hosts: Vec<String> =
        options.hosts.iter().map(|(name, address)| format!("{name}:{address}")).collect();
    let mut value = json!({
        "Binds": binds.collect::<Vec<_>>(),
        "LogConfig": { "Type": options.log.driver.name(), "Config": Value::Null, "Path": options.log.path, "Size": options.log.max_bytes },
        "NetworkMode": namespace(&chosen.network, "none"),
        "PortBindings": {},
        "RestartPolicy": { "Name": options.restart.name(), "MaximumRetryCount": most },
        "AutoRemove": options.remove,
        "CapAdd": security.add,
        "CapDrop": security.drop,
        "CgroupnsMode": namespace(&chosen.cgroup, "private"),
        "CgroupParent": options.cgroup_parent,
        "Dns": options.dns.servers,
        "DnsOptions": options.dns.options,
        "DnsSearch": options.dns.search,
        "ExtraHosts": hosts,
        "GroupAdd": options.groups,
        "IpcMode": namespace(&chosen.ipc, "private"),
        "PidMode": namespace(&chosen.pid, "private"),
        "UTSMode": namespace(&chosen.uts, "private"),
        "UsernsMode": namespace(&chosen.user, if options.ids.is_some() { "private" } else { "host" }),
        "IDMappings": {
            "UidMap": id_maps(options, |ids| &ids.uids),
            "GidMap": id_maps(options, |ids| &ids.gids),
        },
        "OomScoreAdj": options.oom_score.unwrap_or(0),
        "Privileged": security.privileged,
        "ReadonlyRootfs": options.read_only,
        "SecurityOpt": words,
        "Tmpfs": tmpfs,
        "ShmSize": if options.shm_bytes == 0 { 64 << 20 } else { options.shm_bytes },
        "Sysctls": options.sysctls,
        "Runtime": runtime_of(options),
    });
    let limits = json!({
        "Memory": resources.memory.unwrap_or(0),
        "MemorySwap": resources.memory_swap.unwrap_or(0),
        "MemoryReservation": resources.memory_reservation.unwrap_or(0),
        "NanoCpus": resources.cpu_millis.unwrap_or(0) * 1_000_000,
        "CpuShares": resources.cpu_shares.unwrap_or(0),
        "CpuPeriod": resources.cpu_period.unwrap_or(0),
        "CpuQuota": resources.cpu_quota.unwrap_or(0),
        "CpusetCpus": resources.cpuset_cpus,
        "CpusetMems": resources.cpuset_mems,
        "PidsLimit": resources.pids.unwrap_or(2048),
        "BlkioWeight": resources.blkio_weight.unwrap_or(0),
        "OomKillDisable": resources.oom_kill_disable,
        "Devices": devices,
        "Ulimits": ulimits,
        "Init": options.init,
    });
    if let (Some(value), Value::Object(limits)) = (value.as_object_mut(), limits) {
        value.extend(limits);
    }
    value
}

fn config(container: &Container) -> Value {
    let (record, options) = (&container.record, &container.record.options);
    let length = options.entrypoint_length.min(options.arguments.len());
    let ports: Map<String, Value> = options.exposed.iter().map(|port| (port.clone(), json!({}))).collect();
    let mut value = json!({
        "Hostname": spec::hostname(options, &record.id),
        "Domainname": options.domainname,
        "User": options.user,
        "AttachStdin": false,
        "AttachStdout": false,
        "AttachStderr": false,
        "ExposedPorts": ports,
        "Tty": options.tty,
        "OpenStdin": options.interactive,
        "StdinOnce": false,
        "Env": options.env,
        "Cmd": &options.arguments[length..],
        "Entrypoint": &options.arguments[..length],
        "Image": record.image.as_ref().map_or("", |image| &image.name),
        "WorkingDir": if options.workdir.is_empty() { "/" } else { &options.workdir },
        "Labels": options.labels,
        "Annotations": options.annotations,
        "StopSignal": if options.stop_signal.is_empty() { "SIGTERM" } else { &options.stop_signal },
        "StopTimeout": options.stop_timeout.unwrap_or(10),
        "Umask": format!("{:04o}", options.umask.unwrap_or(0o22)),
    });
    if let Some(health) = &options.health {
        value["Healthcheck"] = json!({
            "Test": health.test,
            "Interval": health.interval_ms * 1_000_000,
            "Timeout": health.timeout_ms * 1_000_000,
            "StartPeriod": health.start_period_ms * 1_000_000,
            "StartInterval": health.start_interval_ms * 1_000_000,
            "Retries": health.retries,
        });
    }
    value
}

fn mounts(containers: &Containers<'_>, options: &Options) -> Result<Value> {
    let volumes = Volumes::open(containers.store)?;
    let mut list = Vec::new();
    for mount in &options.mounts {
        let (kind, name, source) = match &mount.kind {
            MountKind::Bind(path) => ("bind", "", path.clone()),
            MountKind::Overlay(path) => ("overlay", "", path.clone()),
            MountKind::Image(name, _) => ("image", "", name.clone()),
            MountKind::Tmpfs => ("tmpfs", "", String::new()),
            MountKind::Volume(name) | MountKind::Anonymous(name) => {
                let data = volumes.get(name)?.map(|volume| volume.data().to_string_lossy().into_owned());
                ("volume", name.as_str(), data.unwrap_or_default())
            }
        };
        list.push(json!({
            "Type": kind,
            "Name": name,
            "Source": source,
            "Destination": mount.target,
            "Driver": if kind == "volume" { "local" } else { "" },
            "Mode": mount.options.join(","),
            "Options": mount.options,
            "RW": !mount.options.iter().any(|word| matches!(word.as_str(), "ro" | "rro")),
            "Propagation": mount.options.iter().find(|word| word.ends_with("slave") || word.ends_with("private")).map_or("rprivate", String::as_str),
        }));
    }
    Ok(Value::Array(list))
}
