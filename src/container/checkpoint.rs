//! `checkpoint`: CRIU writes the processes of a container to files; afterwards it is gone, unless it shall go on.

use crate::cgroup;
use crate::container::images::{self, Images};
use crate::container::process::{Process, is_stopped};
use crate::container::{Container, delete};
use crate::criu::message::{Field, Kind, Options};
use crate::criu::{self, Criu};
use crate::error::{Context, Error, Result};
use crate::host::mounts::{self, Mount};
use crate::log::Log;
use crate::plan::checkpoint::{self as plan, DUMP_LOG, Dump};
use crate::plan::namespaces::file_name;
use crate::spec::Status;
use crate::spec::linux::NamespaceKind;
use rustix::fd::OwnedFd;
use rustix::fs::FileType;
use std::path::Path;

/// What the caller asks for.
#[derive(Debug)]
pub struct Request<'a> {
    /// `--image-path`, absolute.
    pub images: &'a Path,
    /// `--work-path`, absolute.
    pub work: Option<&'a Path>,
    /// `--parent-path`, relative to the images.
    pub parent: Option<&'a str>,
    /// `--criu`: the program.
    pub criu: Option<&'a Path>,
    /// What is for CRIU alone.
    pub options: Options,
    /// `--leave-running`.
    pub leave_running: bool,
    /// `--pre-dump`: memory alone, and the container goes on.
    pub pre_dump: bool,
    /// `--lazy-pages`: CRIU stays and serves the memory.
    pub lazy_pages: bool,
    /// `--status-fd`: hears when it does.
    pub status: Option<OwnedFd>,
    /// Where warnings go.
    pub log: &'a Log,
}

/// Writes the container to files.
///
/// # Errors
/// A container in another state; what CRIU says. Then the container goes on as before.
pub fn checkpoint(container: &mut Container, mut request: Request<'_>) -> Result<()> {
    check(container)?;
    let lock = container.directory.lock()?;
    if let Some(added) = container.record.mounts.iter().find(|added| added.bind) {
        return Err(Error::new(format!(
            "{:?} was added on {:?}, where no restore would find it",
            added.source, added.destination
        ))
        .hint("take it away with mounts remove"));
    }
    let images = Images::open(request.images, request.work, true)?;
    if let Err(error) = dump(container, &mut request, &images) {
        images.remove_empty();
        return Err(error);
    }
    drop(lock);
    if request.pre_dump || request.leave_running {
        return Ok(());
    }
    delete::remove(container, true, request.log)
}

fn check(container: &Container) -> Result<()> {
    match container.status()? {
        Status::Running | Status::Paused => {}
        status => return Err(Error::new(format!("container cannot be checkpointed in {status} state"))),
    }
    root_only()
}

/// CRIU without root needs more than a container of an ordinary user has.
///
/// # Errors
/// The caller is not root.
pub(super) fn root_only() -> Result<()> {
    match rustix::process::geteuid().is_root() {
        true => Ok(()),
        false => Err(Error::new("only root can checkpoint and restore containers")),
    }
}

fn dump(container: &Container, request: &mut Request<'_>, images: &Images) -> Result<()> {
    let record = &container.record;
    let Some(init) = record.process else { return Err(Error::new("container not running")) };
    let mut typed = std::mem::take(&mut request.options);
    images.name(&mut typed);
    if let Some(parent) = request.parent {
        images.check_parent(parent)?;
        typed.text(Field::ParentImg, parent);
    }
    if request.pre_dump || request.parent.is_some() {
        typed.flag(Field::TrackMem);
    }
    let cgroup = cgroup::open(&record.cgroup);
    let seen = Seen::look(container, &init)?;
    let options = plan::dump(
        typed,
        &Dump {
            pid: init.pid,
            rootfs: &record.rootfs,
            freezer: if can_be_frozen(&cgroup)? { record.cgroup.freezer() } else { None },
            joined: &seen.joined,
            mounts: &seen.mounts,
            host: &seen.host,
            own_cgroups: seen.own_cgroups,
            files: &seen.files,
            config: images::config(&record.annotations),
        },
    );
    let criu = Criu::start(request.criu, false, &[])?;
    check_features(&criu, request)?;
    if !request.pre_dump {
        images.write_descriptors(&seen.stdio)?;
    }
    let was_frozen = cgroup.is_frozen()?;
    let kind = if request.pre_dump { Kind::PreDump } else { Kind::Dump };
    let asked = criu::Request { kind, options: &options, log: &images.log(DUMP_LOG) };
    let mut status = request.status.take();
    let dumped = criu.perform(&asked, |notice| match (notice.script.as_str(), status.take()) {
        ("status-ready", Some(status)) => {
            rustix::io::write(&status, &[0]).map(drop).context(|| "--status-fd")
        }
        (_, kept) => {
            status = kept;
            Ok(())
        }
    });
    if dumped.is_err() && !was_frozen && cgroup.is_frozen()? {
        // A CRIU that was killed has not done it.
        cgroup.thaw()?;
    }
    dumped.map(drop)
}

/// Whether CRIU can stop the processes by the freezer. In that of v1 it waits for one that is stopped already without end (CRIU 4.1);
/// it then stops each by itself.
fn can_be_frozen(cgroup: &cgroup::Manager) -> Result<bool> {
    if cgroup.location().index_of("freezer").is_none() {
        return Ok(true);
    }
    for pid in cgroup.pids()? {
        if is_stopped(pid)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Some of it a kernel may not have: better said before than somewhere in a log.
fn check_features(criu: &Criu, request: &Request<'_>) -> Result<()> {
    if !request.pre_dump && !request.lazy_pages {
        return Ok(());
    }
    let (tracks_memory, has_lazy_pages) = criu.features()?;
    if request.pre_dump && !tracks_memory {
        return Err(Error::new("--pre-dump: criu cannot track changes of memory here")
            .hint("the kernel must have CONFIG_MEM_SOFT_DIRTY"));
    }
    if request.lazy_pages && !has_lazy_pages {
        return Err(Error::new("--lazy-pages: criu cannot restore memory lazily here")
            .hint("the kernel must have CONFIG_USERFAULTFD"));
    }
    Ok(())
}

/// What the container is made of now.
struct Seen {
    mounts: Vec<Mount>,
    host: Vec<Mount>,
    joined: Vec<(NamespaceKind, u64)>,
    own_cgroups: bool,
    /// What stdin, stdout and stderr are.
    stdio: Vec<String>,
    /// Those of them that are files of the host.
    files: Vec<String>,
}

impl Seen {
    fn look(container: &Container, init: &Process) -> Result<Self> {
        let pid = init.pid.to_string();
        let mounts = mounts::parse(&read(&format!("/proc/{pid}/mountinfo"))?);
        let mut joined = container.directory.read_template()?.joined;
        joined.retain(|kind| plan::stays(*kind));
        let joined =
            joined.into_iter().map(|kind| Ok((kind, namespace(&pid, kind)?))).collect::<Result<_>>()?;
        let own_cgroups =
            namespace(&pid, NamespaceKind::Cgroup)? != namespace("self", NamespaceKind::Cgroup)?;
        let (mut stdio, mut files) = (Vec::new(), Vec::new());
        for number in 0..3 {
            let file = file_of_host(&pid, number, &mounts)?;
            stdio.push(match &file {
                Some(file) => file.clone(),
                None => link(&format!("/proc/{pid}/fd/{number}")),
            });
            files.extend(file.filter(|file| !files.contains(file)));
        }
        let host = mounts::parse(&read("/proc/self/mountinfo")?);
        Ok(Self { mounts, host, joined, own_cgroups, stdio, files })
    }
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(path).context(|| path)
}

fn link(path: &str) -> String {
    rustix::fs::readlink(path, Vec::new())
        .map_or_else(|_| String::new(), |link| String::from_utf8_lossy(link.as_bytes()).into_owned())
}

/// The inode of a namespace.
fn namespace(pid: &str, kind: NamespaceKind) -> Result<u64> {
    let path = format!("/proc/{pid}/ns/{}", file_name(kind));
    rustix::fs::stat(path.as_str()).map(|stat| stat.st_ino).context(|| path)
}

/// What CRIU calls the file behind a descriptor that no mount of the container leads to: a log, say. Pipes, sockets and
/// terminals it knows otherwise.
fn file_of_host(pid: &str, number: i32, mounts: &[Mount]) -> Result<Option<String>> {
    let Ok(stat) = rustix::fs::stat(format!("/proc/{pid}/fd/{number}")) else { return Ok(None) };
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    let text = read(&format!("/proc/{pid}/fdinfo/{number}"))?;
    let id = text.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse::<u64>().ok());
    let id = id.filter(|id| !mounts.iter().any(|mount| mount.id == *id));
    Ok(id.map(|id| format!("file[{id:x}:{:x}]", stat.st_ino)))
}
