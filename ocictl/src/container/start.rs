//! Starting a container: in a mount namespace of its own, its root is mounted, `config.json` written, and the monitor started, which
//! inherits that namespace. Nothing of it shows on the host, and all of it ends with the last process in it.
//!
//! ```text
//! layers (host) ─▶ unshare(mounts) ─▶ overlay ─▶ volumes ─▶ facts ─▶ config.json ─▶ monitor ─▶ back to the host's mounts
//! ```

use super::monitor::{self, Refusal};
use super::record::{Container, Status};
use super::root::Root;
use super::rootfs::mount_root;
use super::sources::{Shared, locks, shared, sources, text};
use super::spec::{self, Facts, users};
use super::{Containers, MAX_ACCOUNTS, bundle, calling, facts, shifted};
use crate::error::{Context, Error, Result};
use crate::paths::Paths;
use crate::store::disk;
use crate::store::lock::Lock;
use crate::sys;
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::cmp::Ordering;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Starts a container that does not run. `client` is the monitor's end of a pair of sockets: whoever holds the other end is attached
/// from the first byte on.
///
/// # Errors
/// The runtime's words if it refuses; nothing runs then, and nothing is mounted.
pub fn start(
    containers: &Containers<'_>,
    paths: &Paths,
    container: &Container,
    client: Option<OwnedFd>,
) -> Result<()> {
    start_held(containers, paths, container, client, container.lock()?)
}

/// As [`start`], for who holds the container's lock.
///
/// # Errors
/// As [`start`].
pub fn start_held(
    containers: &Containers<'_>,
    paths: &Paths,
    container: &Container,
    client: Option<OwnedFd>,
    _guard: Lock,
) -> Result<()> {
    let runs = || container.now().map(|(_, status)| status.lives() || status == Status::Restarting);
    if runs()? {
        return Ok(());
    }
    // A monitor that is about to end has written its state already.
    calling::outlast(container, true)?;
    if runs()? {
        return Ok(());
    }
    if containers.by_id(&container.record.id)?.is_none() {
        return Err(super::no_such(&container.record.name));
    }
    super::status::forget(containers, container, false)?;
    let started = begin(containers, paths, container, client);
    if started.is_err() && container.record.options.remove {
        containers.erase(container, true)?;
    }
    started
}

fn begin(
    containers: &Containers<'_>,
    paths: &Paths,
    container: &Container,
    client: Option<OwnedFd>,
) -> Result<()> {
    let lower = lower(containers, container)?;
    // While the mounts are the host's own.
    let shared = shared(container)?;
    let namespace = PrivateMounts::enter()?;
    let locks = locks(containers, container);
    let prepared = locks.and_then(|locks| prepare(containers, container, &lower, &shared).map(|()| locks));
    let started = prepared.and_then(|_locks| supervise("monitor", paths, container, &[], client));
    if started.is_err() {
        // A monitor has done so already, in the same mounts.
        bundle::clear(&container.run)?;
    }
    namespace.leave()?;
    started
}

/// A mount namespace of our own, and the way back.
#[derive(Debug)]
pub struct PrivateMounts {
    outside: OwnedFd,
    directory: OwnedFd,
}

impl PrivateMounts {
    /// Enters a new one: what the host mounts shows in it, what is mounted in it shows nowhere else.
    ///
    /// # Errors
    /// Fails without the privilege.
    pub fn enter() -> Result<Self> {
        let open = |path: &str| rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let outside = open("/proc/self/ns/mnt")?;
        let directory = open(".").or_else(|_| open("/"))?;
        sys::process::unshare_mounts().context(|| "make a mount namespace")?;
        mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::DOWNSTREAM)
            .context(|| "make the mounts slaves of the host's")?;
        Ok(Self { outside, directory })
    }

    /// Goes back.
    ///
    /// # Errors
    /// As setns(2).
    pub fn leave(self) -> Result<()> {
        move_into_link_name_space(self.outside.as_fd(), Some(LinkNameSpaceType::Mount))
            .context(|| "go back to the host's mounts")?;
        Ok(rustix::process::fchdir(&self.directory)?)
    }
}

/// What to do with a container's root, whether it runs or not.
///
/// # Errors
/// Fails if the root cannot be mounted, or as `act` does.
pub fn with_root<T>(
    containers: &Containers<'_>,
    container: &Container,
    act: impl FnOnce(&Root) -> Result<T>,
) -> Result<T> {
    if let Some(root) = living_root(container)? {
        return act(&root);
    }
    let guard = container.lock()?;
    calling::outlast(container, true)?;
    // Somebody may have started it before the lock was ours.
    if let Some(root) = living_root(container)? {
        drop(guard);
        return act(&root);
    }
    let lower = lower(containers, container)?;
    let namespace = PrivateMounts::enter()?;
    let done = mount_root(container, &lower).and_then(|path| act(&Root::open(&path)?));
    bundle::clear(&container.run)?;
    namespace.leave()?;
    done
}

/// As [`with_root`] for the roots of two containers, which may be the same one.
///
/// # Errors
/// As [`with_root`].
pub fn with_roots<T>(
    containers: &Containers<'_>,
    (one, other): (&Container, &Container),
    act: impl FnOnce(&Root, &Root) -> Result<T>,
) -> Result<T> {
    // On the host, where they stay; in the namespace of the first they would go with that.
    for container in [one, other] {
        lower(containers, container)?;
    }
    match one.record.id.cmp(&other.record.id) {
        Ordering::Equal => with_root(containers, one, |root| act(root, root)),
        // Always in the same order, so that two copies in opposite directions do not wait for each other.
        Ordering::Less => {
            with_root(containers, one, |first| with_root(containers, other, |second| act(first, second)))
        }
        Ordering::Greater => {
            with_root(containers, other, |second| with_root(containers, one, |first| act(first, second)))
        }
    }
}

/// The root of a container that runs.
fn living_root(container: &Container) -> Result<Option<Root>> {
    match container.now()? {
        (state, status) if status.lives() => {
            Root::open(&PathBuf::from(format!("/proc/{}/root", state.pid))).map(Some)
        }
        (_, Status::Restarting) => {
            Err(Error::new("it is about to be started again, and its root in its monitor's hands")
                .context(container.place())
                .hint("stop it, or try again when it runs"))
        }
        _ => Ok(None),
    }
}

/// What is below the layer that a container writes to, the bottom first; mounted on the host.
///
/// # Errors
/// Fails if a layer cannot be mounted.
pub fn lower(containers: &Containers<'_>, container: &Container) -> Result<Vec<PathBuf>> {
    let options = &container.record.options;
    match (&container.record.image, &options.rootfs) {
        (Some(image), _) => shifted::lower_directories(containers.store, &image.layers, options.ids.as_ref()),
        (None, Some(rootfs)) => Ok(vec![PathBuf::from(&rootfs.path)]),
        (None, None) => Ok(Vec::new()),
    }
}

fn prepare(
    containers: &Containers<'_>,
    container: &Container,
    lower: &[PathBuf],
    shared: &Shared,
) -> Result<()> {
    let (run, options) = (&container.run, &container.record.options);
    disk::make_directory(run)?;
    let path = mount_root(container, lower)?;
    let root = Root::open(&path)?;
    let accounts = |name: &str| root.text(name, MAX_ACCOUNTS);
    let identity =
        users::identify(&options.user, &options.groups, &accounts("/etc/passwd")?, &accounts("/etc/group")?)
            .map_err(|error| error.context(container.place()).exit_code(126))?;
    let identity = facts::attainable(identity, options).context(|| container.place())?;
    // In a user namespace of its own the directory is its root's, and the runtime makes it.
    if !options.workdir.is_empty() && options.ids.is_none() {
        root.make_directories(&options.workdir).context(|| "working directory")?;
    }
    let sources = sources(containers, container, &root, &identity, shared)?;
    let mut facts = Facts {
        id: container.record.id.clone(),
        root: text(&path)?,
        identity,
        sources,
        ..facts::of_host(options)?
    };
    facts.cgroup = facts::cgroup(options, &facts.id, containers.runroot())?;
    facts.namespaces = facts::namespaces(containers, options)?;
    facts.files = facts::files(containers, container)?;
    let config = spec::config(options, &facts);
    write_json(&run.join("config.json"), &config)?;
    // What `exec` begins with; the health check is such a process.
    let process = spec::process_of(options, &facts, &[], false);
    write_json(&run.join("process.json"), &process)?;
    if let Some(health) = &options.health {
        let process = spec::process_of(options, &facts, &health.command, false);
        write_json(&run.join(monitor::HEALTH_PROCESS), &process)?;
    }
    Ok(())
}

fn write_json(path: &Path, value: &serde_json::Value) -> Result<()> {
    let place = || format!("write {}", path.display());
    let bytes = serde_json::to_vec(value).map_err(|error| Error::new(error.to_string())).context(place)?;
    std::fs::write(path, bytes).context(place)
}

/// Starts a supervisor of ours (`monitor`, `session`) and waits until it says how the start went.
///
/// # Errors
/// What it says.
pub fn supervise(
    verb: &str,
    paths: &Paths,
    container: &Container,
    words: &[&str],
    client: Option<OwnedFd>,
) -> Result<()> {
    let (hear, tell) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("ocictl")
        .arg(verb)
        .arg(&paths.root)
        .arg(&paths.runroot)
        .arg(&container.record.id)
        .args(words);
    command.stdin(Stdio::from(tell)).stderr(Stdio::null()).current_dir("/");
    command.stdout(client.map_or_else(Stdio::null, Stdio::from));
    let mut child = command.spawn().context(|| format!("start the {verb}"))?;
    // Our copies of its descriptors go with the command.
    drop(command);
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut std::fs::File::from(hear), &mut answer)?;
    match answer.as_slice() {
        [monitor::STARTED] => Ok(()),
        [] => {
            let ended = child.wait().context(|| "wait for a supervisor")?;
            Err(Error::new(format!("its {verb} has ended with {ended} and said nothing"))
                .context(container.place()))
        }
        answer => {
            let refusal: Refusal =
                serde_json::from_slice(answer).map_err(|error| Error::new(error.to_string()))?;
            let _reaped = child.wait();
            let mut error = Error::new(refusal.message).exit_code(refusal.code);
            if let Some(hint) = refusal.hint {
                error = error.hint(hint);
            }
            Err(error)
        }
    }
}
