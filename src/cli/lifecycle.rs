//! create, run, start, kill, delete: from what was typed to what is meant.

use super::grammar::{Arguments, Create, Delete, Kill, Rootless, Run, Start};
use super::open;
use super::supervision::{Supervision, check_open};
use crate::container::create::{self, Request, RunMode};
use crate::container::root::Root;
use crate::container::state::Directory;
use crate::container::{Container, delete, reservation, signal, start};
use crate::error::{Context, Error, Result};
use crate::log::Log;
use crate::plan::Options;
use crate::sys::regex::Regex;
use std::ffi::CString;
use std::path::{Component, Path, PathBuf};

/// Creates a container.
pub fn create(arguments: &Arguments, typed: &Create, log: &Log) -> Result<u8> {
    let meant = Meant::new(arguments, typed)?;
    create::create(&meant.request(arguments, typed, true, log)?)?;
    Ok(0)
}

/// Runs a container.
pub fn run(arguments: &Arguments, typed: &Run, log: &Log) -> Result<u8> {
    let meant = Meant::new(arguments, &typed.create)?;
    let mode = RunMode {
        detach: typed.detach,
        keep: typed.keep,
        supervisor: meant.supervision.supervisor.as_ref(),
        subreaper: !typed.create.no_subreaper,
    };
    let mut request = meant.request(arguments, &typed.create, false, log)?;
    if !typed.detach {
        request.options.extra_environment.extend(meant.supervision.watchdog());
    }
    create::run(&request, mode)
}

/// Starts a created container.
pub fn start(arguments: &Arguments, typed: &Start) -> Result<u8> {
    start::start(&open(arguments, &typed.id)?, Supervision::read()?.supervisor.as_ref())?;
    Ok(0)
}

/// Signals a container.
pub fn kill(arguments: &Arguments, typed: &Kill) -> Result<u8> {
    let number = typed.signal.as_deref().map(signal::parse).transpose()?;
    let kill = |container: &mut Container| {
        let number = number.map_or_else(|| signal::of_image(container), Ok)?;
        signal::kill(container, number, typed.all)
    };
    if typed.regex {
        return each(arguments, &typed.id, kill);
    }
    kill(&mut open(arguments, &typed.id)?)?;
    Ok(0)
}

/// Deletes a container.
pub fn delete(arguments: &Arguments, typed: &Delete, log: &Log) -> Result<u8> {
    if typed.regex {
        return each(arguments, &typed.id, |container| delete::delete(container, typed.force, log));
    }
    let root = Root::choose(arguments.root.as_deref())?;
    crate::spec::validate::valid_id(&typed.id)?;
    if typed.force {
        force(&root, &typed.id, log)?;
    } else {
        delete::delete(&mut Container::open(&root, &typed.id)?, false, log)?;
    }
    Ok(0)
}

/// Deletes whatever there is of that id: nothing, half a container, or one whose record is torn.
fn force(root: &Root, id: &str, log: &Log) -> Result<()> {
    reservation::clear(root, id)?;
    let Some(directory) = Directory::find(root, id)? else { return Ok(()) };
    match directory.read() {
        Ok(Some(record)) => delete::delete(&mut Container { directory, record }, true, log),
        Ok(None) => directory.remove_empty(),
        Err(error) => delete::discard(&directory, &error, log),
    }
}

/// Does it to every container whose id matches, whatever becomes of the others; then tells of all that failed.
fn each(arguments: &Arguments, expression: &str, act: impl Fn(&mut Container) -> Result<()>) -> Result<u8> {
    let regex = Regex::new(expression)
        .ok_or_else(|| Error::new(format!("{expression:?} is no regular expression")).context("--regex"))?;
    let root = Root::choose(arguments.root.as_deref())?;
    let mut failed = Vec::new();
    for id in root.ids()? {
        let matches = CString::new(id.as_str()).is_ok_and(|id| regex.is_match(&id));
        // One that has vanished since it was listed is no loss.
        if !matches {
            continue;
        }
        let done =
            Container::find(&root, &id).and_then(|found| found.map_or(Ok(()), |mut found| act(&mut found)));
        if let Err(error) = done {
            failed.push(error.context(id).to_string());
        }
    }
    if failed.is_empty() { Ok(0) } else { Err(Error::new(failed.join("; "))) }
}

/// Paths made absolute: the caller's directory is not the container's.
struct Meant {
    root: Root,
    bundle: PathBuf,
    pid_file: Option<PathBuf>,
    console_socket: Option<PathBuf>,
    pidfd_socket: Option<PathBuf>,
    supervision: Supervision,
}

impl Meant {
    fn new(arguments: &Arguments, typed: &Create) -> Result<Self> {
        let optional =
            |path: &Option<PathBuf>, flag| path.as_deref().map(|path| absolute(path, flag)).transpose();
        Ok(Self {
            root: Root::choose(arguments.root.as_deref())?,
            bundle: bundle(&typed.bundle)?,
            pid_file: optional(&typed.pid_file, "--pid-file")?,
            console_socket: optional(&typed.console_socket, "--console-socket")?,
            pidfd_socket: optional(&typed.pidfd_socket, "--pidfd-socket")?,
            supervision: Supervision::read()?,
        })
    }

    fn request<'a>(
        &'a self,
        arguments: &Arguments,
        typed: &'a Create,
        await_start: bool,
        log: &'a Log,
    ) -> Result<Request<'a>> {
        check_open("LISTEN_FDS", self.supervision.sockets)?;
        let extra_descriptors = self.supervision.sockets.saturating_add(typed.preserve_fds);
        check_open("--preserve-fds", extra_descriptors)?;
        let supervisor = self.supervision.supervisor.as_ref();
        Ok(Request {
            root: &self.root,
            options: Options {
                await_start,
                no_pivot: typed.no_pivot,
                no_new_keyring: typed.no_new_keyring,
                extra_descriptors,
                extra_environment: self.supervision.sockets_environment(),
                notify: supervisor.map(|_| self.root.notify_directory(&typed.id)),
                cgroup_manager: arguments.cgroup_manager(),
                rootless: rootless(arguments.rootless),
                ..Options::plain(&typed.id, &self.bundle)
            },
            config: typed.config.as_deref(),
            pid_file: self.pid_file.as_deref(),
            console_socket: self.console_socket.as_deref(),
            pidfd_socket: self.pidfd_socket.as_deref(),
            log,
        })
    }
}

/// The bundle by its real path, as hooks and `state` tell it.
pub(super) fn bundle(typed: &Path) -> Result<PathBuf> {
    let context = || format!("--bundle {}", typed.display());
    let dotted = |path: &Path| path.components().any(|part| matches!(part, Component::ParentDir));
    let path = std::path::absolute(typed).context(context)?;
    #[expect(clippy::disallowed_methods, reason = "the caller's directory, and no part of a container's")]
    let path = if dotted(&path) { path.canonicalize().context(context)? } else { path };
    match path.to_str() {
        Some(_) => Ok(path),
        None => Err(Error::new("is not UTF-8, which a state document must be").context(context())),
    }
}

/// A path in the caller's directory, which is not the container's.
pub(super) fn absolute(path: &Path, flag: &str) -> Result<PathBuf> {
    std::path::absolute(path).context(|| format!("{flag} {}", path.display()))
}

/// Whether missing cgroup permissions are tolerated.
pub(super) fn rootless(wanted: Rootless) -> bool {
    match wanted {
        Rootless::True => true,
        Rootless::False => false,
        Rootless::Auto => !rustix::process::geteuid().is_root() || in_user_namespace(),
    }
}

fn in_user_namespace() -> bool {
    crate::host::in_user_namespace()
}
