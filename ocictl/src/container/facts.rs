//! What the specification of a container depends on beside its options: the machine, other containers, and the files that are made for it.

use super::ids::Ids;
use super::options::{Device, Namespace, Options};
use super::record::Container;
use super::spec::users::Identity;
use super::spec::{self, Facts, Node};
use super::{Containers, delegation};
use crate::error::{Context, Error, Result};
use crate::rootless;
use crate::runtime::{Runtime, systemd_makes_cgroups};
use rustix::process::{Resource, getrlimit};
use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// statfs(2) says this of cgroup v2.
const CGROUP2_MAGIC: u32 = 0x6367_7270;
const MAX_DEVICES: usize = 4096;

/// What the machine says.
///
/// # Errors
/// Fails if a device is not there.
pub fn of_host(options: &Options) -> Result<Facts> {
    let cgroup_v2 = is_v2();
    let rootless = rootless::in_user_namespace() || !rustix::process::geteuid().is_root();
    let there = |path: &str| std::fs::symlink_metadata(path).is_ok();
    let nofile = getrlimit(Resource::Nofile)
        .maximum
        .map_or(i64::MAX, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
    let mut devices = Vec::new();
    if options.security.privileged {
        all_devices(Path::new("/dev"), 0, &mut devices);
    }
    for device in &options.devices {
        nodes(device, &mut devices)?;
    }
    let init = match options.init {
        true => std::env::current_exe().context(|| "--init: this program")?.to_string_lossy().into_owned(),
        false => String::new(),
    };
    Ok(Facts {
        devices,
        init,
        architecture: rustix::system::uname().machine().to_string_lossy().into_owned(),
        rootless,
        controllers: controllers(options, rootless && cgroup_v2, rootless)?,
        cgroup_v2,
        throttles: throttles(),
        mqueue: there("/dev/mqueue"),
        swap: cgroup_v2 || there("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes"),
        nofile,
        ..Facts::default()
    })
}

/// The directories of the CPUs that count how often they were too hot.
fn throttles() -> Vec<String> {
    let mut found: Vec<String> = std::fs::read_dir("/sys/devices/system/cpu")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("thermal_throttle")))
        .filter(|path| std::fs::symlink_metadata(path).is_ok())
        .filter_map(|path| path.into_os_string().into_string().ok())
        .collect();
    found.sort();
    found
}

/// Whether the cgroups are of version 2.
pub fn is_v2() -> bool {
    rustix::fs::statfs("/sys/fs/cgroup")
        .is_ok_and(|stat| u32::try_from(stat.f_type).is_ok_and(|magic| magic == CGROUP2_MAGIC))
}

/// What can be limited: without root, what was delegated; everything else where a parent was named, which the runtime then speaks of.
fn controllers(options: &Options, delegates: bool, rootless: bool) -> Result<Option<Vec<String>>> {
    if !rootless || !options.cgroup_parent.is_empty() {
        return Ok(None);
    }
    if delegates && systemd_makes_cgroups() {
        return delegation::of_manager().map(Some);
    }
    let found = delegates.then(delegation::find).transpose()?.flatten();
    Ok(Some(found.map(|delegation| delegation.controllers).unwrap_or_default()))
}

/// `linux.cgroupsPath`: systemd's three words, or a path.
///
/// # Errors
/// Fails if the runtime cannot be found.
pub fn cgroup(options: &Options, id: &str, runroot: &Path) -> Result<String> {
    let runtime = Runtime::choose(&options.runtime, runroot)?;
    let parent = options.cgroup_parent.trim_end_matches('/');
    let is_users = rootless::in_user_namespace();
    if parent.is_empty() && is_users && !runtime.uses_systemd() {
        // The runtime goes without, where the user has none of his own.
        return Ok(match is_v2().then(delegation::find).transpose()?.flatten() {
            Some(delegation) => format!("{}/ocictl-{id}", delegation.path.trim_end_matches('/')),
            None => String::new(),
        });
    }
    Ok(match runtime.uses_systemd() {
        true => format!(
            "{}:ocictl:{id}",
            match parent {
                "" if is_users => "user.slice",
                "" => "machine.slice",
                parent => parent,
            }
        ),
        false => format!(
            "{}/ocictl-{id}",
            if parent.is_empty() || parent.starts_with('/') {
                parent.to_owned()
            } else {
                format!("/{parent}")
            }
        ),
    })
}

/// Who runs, as far as the caller may make him: without subordinate ids there is nobody but root, and no groups beside his.
///
/// # Errors
/// Names the id that is not the caller's to give.
pub fn attainable(mut identity: Identity, options: &Options) -> Result<Identity> {
    if let Some(ids) = &options.ids {
        return match ids.outside(identity.uid, identity.gid) {
            Some(_) => Ok(identity),
            None => Err(Error::new(format!(
                "user {}:{} is none of the ids of this container",
                identity.uid, identity.gid
            ))
            .hint("--userns and --uidmap say which it has")
            .exit_code(126)),
        };
    }
    if !rootless::in_user_namespace() {
        return Ok(identity);
    }
    for (kind, id, name) in [("uid", identity.uid, "user"), ("gid", identity.gid, "group")] {
        if !rootless::is_mapped(kind, id) {
            return Err(Error::new(format!("{name} {id} is none of the ids of this user"))
                .hint("more are given in /etc/subuid and /etc/subgid (see subuid(5)); newuidmap(1) must be installed")
                .exit_code(126));
        }
    }
    if options.groups.is_empty() {
        identity.groups.retain(|group| rootless::may_set_groups() && rootless::is_mapped("gid", *group));
    }
    Ok(identity)
}

/// The namespaces of other containers that are to be joined, which have to run.
///
/// # Errors
/// Names the container that does not run.
pub fn namespaces(containers: &Containers<'_>, options: &Options) -> Result<BTreeMap<&'static str, String>> {
    let mut paths = BTreeMap::new();
    for (kind, id) in options.namespaces.of_others() {
        let other = containers.find(id)?;
        let (state, status) = other.now()?;
        if !status.lives() {
            return Err(Error::new("it does not run")
                .context(other.place())
                .context(format!("--{kind} container:{id}")));
        }
        let file = if kind == "network" { "net" } else { kind };
        paths.insert(kind, format!("/proc/{}/ns/{file}", state.pid));
        if kind == "ipc" {
            paths.insert("shm", format!("/proc/{}/root/dev/shm", state.pid));
        }
    }
    Ok(paths)
}

/// Writes the files that are mounted on `/etc`, by their targets.
///
/// # Errors
/// Names the file.
pub fn files(containers: &Containers<'_>, container: &Container) -> Result<BTreeMap<String, String>> {
    let options = &container.record.options;
    let mut files = BTreeMap::new();
    // Who shares a network shares its names, too.
    let shared = match &options.namespaces.network {
        Namespace::Container(id) => Some(containers.find(id)?.run),
        _ => None,
    };
    let own = [
        ("hostname", format!("{}\n", host_name(options, container))),
        ("hosts", hosts(options, container)?),
        ("resolv.conf", resolver(options)?),
    ];
    for (name, content) in own {
        let path = match &shared {
            Some(run) if name != "hostname" && options.hosts.is_empty() => run.join(name),
            _ => {
                let path = container.run.join(name);
                std::fs::write(&path, content).context(|| format!("write {}", path.display()))?;
                if let Some((uid, gid)) = options.ids.as_ref().map(Ids::root) {
                    std::os::unix::fs::chown(&path, Some(uid), Some(gid))
                        .context(|| format!("give away {}", path.display()))?;
                }
                path
            }
        };
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        files.insert(format!("/etc/{name}"), path.to_string_lossy().into_owned());
    }
    Ok(files)
}

fn host_name(options: &Options, container: &Container) -> String {
    match options.namespaces.uts {
        Namespace::Private => spec::hostname(options, &container.record.id).to_owned(),
        _ => rustix::system::uname().nodename().to_string_lossy().into_owned(),
    }
}

fn hosts(options: &Options, container: &Container) -> Result<String> {
    let mut text = match options.namespaces.network {
        Namespace::Host => read_host("/etc/hosts")?,
        _ => "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n".to_owned(),
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for (name, address) in &options.hosts {
        text += &format!("{address}\t{name}\n");
    }
    let name = host_name(options, container);
    if options.namespaces.network != Namespace::Host {
        text += &format!("127.0.0.1\t{name} {}\n", container.record.name);
    }
    Ok(text)
}

fn resolver(options: &Options) -> Result<String> {
    let dns = &options.dns;
    let host = read_host("/etc/resolv.conf")?;
    let mut text = String::new();
    for (key, typed) in [("nameserver", &dns.servers), ("search", &dns.search), ("options", &dns.options)] {
        match (typed.is_empty(), key) {
            (true, _) => {
                for line in host.lines().filter(|line| line.split_ascii_whitespace().next() == Some(key)) {
                    text += &format!("{line}\n");
                }
            }
            (false, "nameserver") => {
                typed.iter().for_each(|server| text += &format!("nameserver {server}\n"))
            }
            (false, key) => text += &format!("{key} {}\n", typed.join(" ")),
        }
    }
    Ok(text)
}

fn read_host(path: &str) -> Result<String> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).context(|| format!("read {path}")),
    }
}

/// A device, or all in a directory.
fn nodes(device: &Device, list: &mut Vec<Node>) -> Result<()> {
    let place = || format!("--device {}", device.source);
    let metadata = std::fs::metadata(&device.source).context(place)?;
    if metadata.is_dir() {
        let before = list.len();
        let mut found = Vec::new();
        all_devices(Path::new(&device.source), 0, &mut found);
        list.extend(found.into_iter().map(|node| Node {
            path: node.path.replacen(&device.source, &device.target, 1),
            access: device.access.clone(),
            ..node
        }));
        return match list.len() > before {
            true => Ok(()),
            false => Err(Error::new("no device is in it").context(place())),
        };
    }
    let node = node(&device.source, &metadata, &device.access)
        .ok_or_else(|| Error::new("it is no device").context(place()))?;
    list.push(Node { path: device.target.clone(), ..node });
    Ok(())
}

fn node(path: &str, metadata: &std::fs::Metadata, access: &str) -> Option<Node> {
    let kind = match metadata.file_type() {
        kind if kind.is_char_device() => 'c',
        kind if kind.is_block_device() => 'b',
        _ => return None,
    };
    let (major, minor) = (rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev()));
    Some(Node {
        source: path.into(),
        path: path.into(),
        kind,
        major,
        minor,
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        access: access.into(),
    })
}

/// All devices below a directory, without those that a container gets of its own.
fn all_devices(folder: &Path, depth: usize, list: &mut Vec<Node>) {
    const OWN: [&str; 11] =
        ["console", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "tty", "urandom"];
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        let Some(text) = path.to_str() else { continue };
        let name = text.rsplit('/').next().unwrap_or_default();
        if (depth == 0 && (OWN.contains(&name) || name == "zero" || name.starts_with(".lxc")))
            || list.len() >= MAX_DEVICES
        {
            continue;
        }
        match std::fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() && depth < 8 => all_devices(&path, depth + 1, list),
            Ok(metadata) => list.extend(node(text, &metadata, "rwm")),
            Err(_) => {}
        }
    }
}
