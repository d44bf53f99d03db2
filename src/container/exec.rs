//! `exec`: one more process in a container that runs.
//!
//! It is init's way with another plan: the same child walks the steps, and what it needs the container left in its state.
//! Nothing of it stays: no record, no cgroup, and no process that the caller does not know of.

use crate::cgroup;
use crate::container::agent::{self, Introduction};
use crate::container::birth::{self, Birth};
use crate::container::foreground::{self, Foreground};
use crate::container::pidfd_socket::Receivers;
use crate::container::process::{Cloned, Process};
use crate::container::{Container, console_socket, pid_file, resctrl};
use crate::error::{Context, Error, Result};
use crate::host::Host;
use crate::launch;
use crate::launch::prepared::Prepared;
use crate::launch::protocol::Report;
use crate::launch::spawn::{Init, Sockets, TakeIn};
use crate::log::Log;
use crate::plan::Plan;
use crate::plan::cgroup::Location;
use crate::plan::exec::{Entry, Wishes};
use crate::plan::namespaces::Known;
use crate::spec::linux::NamespaceKind;
use crate::spec::{self, State, Status};
use crate::sys::affinity;
use crate::sys::procfs::Procfs;
use rustix::fd::AsFd;
use rustix::process::DumpableBehavior;
use std::path::Path;

/// What the caller asks for.
#[derive(Debug)]
pub struct Request<'a> {
    /// What the process is to be.
    pub wishes: Wishes,
    /// What is odd about its document.
    pub warnings: Vec<String>,
    /// `--cgroup`.
    pub cgroups: &'a [String],
    /// `--ignore-paused`.
    pub ignore_paused: bool,
    /// `--detach`: leave the process alone once its program runs.
    pub detach: bool,
    /// `--pid-file`, absolute.
    pub pid_file: Option<&'a Path>,
    /// `--console-socket`, absolute.
    pub console_socket: Option<&'a Path>,
    /// `--pidfd-socket`, absolute.
    pub pidfd_socket: Option<&'a Path>,
    /// `--preserve-fds`.
    pub extra_descriptors: u32,
    /// Where warnings go.
    pub log: &'a Log,
}

/// Runs a program in the container; in the foreground until it ends.
///
/// # Errors
/// A container that does not run; the first step that failed. The exit code is that of the program, or 128 and the signal
/// that ended it.
pub fn exec(container: &Container, request: Request<'_>) -> Result<u8> {
    let init = check_status(container, request.ignore_paused)?;
    enter(container, &init, request).map_err(|error| match container.record.init_has_ended() {
        // It went away under our hands: that is the reason, whatever the step that noticed it.
        Ok(true) => stopped(),
        _ => error,
    })
}

fn stopped() -> Error {
    Error::new("cannot exec in a stopped container")
}

/// The container's init, if the container's state allows it.
fn check_status(container: &Container, ignore_paused: bool) -> Result<Process> {
    match container.status()? {
        Status::Created | Status::Running => {}
        Status::Paused if ignore_paused => {}
        Status::Paused => {
            let words = "cannot exec in a paused container (use --ignore-paused to override)";
            return Err(Error::new(words));
        }
        Status::Creating => return Err(Error::new("cannot exec in a container that is being created")),
        Status::Stopped => return Err(stopped()),
    }
    container.record.process.ok_or_else(stopped)
}

fn enter(container: &Container, init: &Process, request: Request<'_>) -> Result<u8> {
    let target = init.open()?.ok_or_else(stopped)?;
    let known = Known { pid: init.pid, by_pidfd: target.pidfd().is_some() };
    let (detach, pid_file, console_socket) = (request.detach, request.pid_file, request.console_socket);
    let receivers = Receivers::of_exec(request.pidfd_socket)?;
    let decided = Decided::new(container, known, request)?;
    let plan = &decided.plan;
    console_socket::check(plan.terminal, console_socket, detach)?;
    let mut foreground = if detach { None } else { Some(Foreground::prepare(false)?) };
    let (console, master) = match console_socket::connect(console_socket)? {
        None if plan.terminal => foreground::console_pair().map(|(here, there)| (Some(there), Some(here)))?,
        console => (console, None),
    };
    let sockets = Sockets { target: Some(target), console, ..Sockets::default() };
    let mut process = decided.launch(sockets)?;
    if let (Some(foreground), Some(master)) = (foreground.as_mut(), &master) {
        foreground.attach(master)?;
    }
    receivers.send(process.pidfd.as_fd())?;
    decided.execute(container, &process)?;
    // Only now: whoever finds the file knows that what happens from here on is the program's affair.
    if let Some(path) = pid_file {
        pid_file::write(path, process.pid.as_raw_nonzero().get())?;
    }
    process.release();
    match foreground {
        Some(foreground) => foreground.attend((process.pid, process.pidfd.as_fd()), None),
        None => Ok(0),
    }
}

/// All that is known before anything is done.
struct Decided {
    plan: Plan,
    host: Host,
    procfs: Procfs,
    /// The cgroup of the process.
    cgroup: Location,
    /// Where the runtime runs until then.
    initial: Option<spec::NumberList>,
    /// Directories below resctrl that it belongs into.
    resctrl: Vec<String>,
}

impl Decided {
    fn new(container: &Container, init: Known, request: Request<'_>) -> Result<Self> {
        let mut template = container.directory.read_template()?;
        let resctrl = std::mem::take(&mut template.resctrl);
        let own = template.process.take().map(std::borrow::Cow::into_owned);
        let process = request.wishes.process(own);
        let mut warnings = request.warnings;
        spec::validate::process("process.", &process, &mut warnings)?;
        let procfs = Procfs::open().context(|| "/proc")?;
        let host = Host::probe_caller(&procfs)?;
        let cgroup = match request.cgroups {
            [] => cgroup::for_exec(&container.record.cgroup, init.pid)?,
            wanted => {
                let below = container.record.cgroup.clone().below(wanted)?;
                cgroup::check_there(&below)?;
                below
            }
        };
        let joins_user = template.namespaces.contains(&NamespaceKind::User);
        let entry = Entry {
            id: &container.record.id,
            init,
            rootfs: &container.record.rootfs,
            cgroup: cgroup.clone(),
            in_user_namespace: joins_user && shares_user_namespace(init.pid)?,
            extra_descriptors: request.extra_descriptors,
            process: &process,
        };
        let plan = Plan::exec(entry, template, &host)?;
        for warning in warnings.iter().chain(&plan.warnings) {
            request.log.warning(warning)?;
        }
        let initial = process.exec_cpu_affinity.and_then(|affinity| affinity.initial);
        Ok(Self { plan, host, procfs, cgroup, initial, resctrl })
    }

    /// Makes the process and goes with it to the point where all is prepared.
    fn launch(&self, sockets: Sockets) -> Result<Init> {
        if let Some(list) = &self.initial {
            let context = || format!("process.execCPUAffinity.initial: allow the processors {list}");
            affinity::allow(&list.mask()).context(context)?;
        }
        if self.host.privileged() {
            // The child is born in the pid namespace of the container, seen by it before its first step.
            rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
                .context(|| "forbid to be traced")?;
        }
        let (plan, cgroup) = (&self.plan, &cgroup::open(&self.cgroup));
        let no_hooks = |_: &_| (Vec::new(), Vec::new());
        let mut prepared = Prepared::new(plan, self.host.ignored_signals, self.host.new_mount_api, no_hooks);
        let mut adopt = |pid| cgroup.adopt(pid);
        let is_beyond_reach = !self.host.privileged() && cgroup.is_beyond_reach()?;
        let around = is_beyond_reach.then_some(TakeIn(&mut adopt));
        let birth = Birth { plan, cgroup, around, procfs: &self.procfs, document: None, interrupts: None };
        let (process, report) = birth.give(&mut prepared, sockets)?;
        match report {
            Some(Report::Ready) => {}
            Some(report) => return Err(birth::unexpected(plan, report)),
            None => return Err(birth::died(&process, "the process")),
        }
        launch::outside::take(plan, process.pid, &self.procfs)?;
        resctrl::attach(&self.resctrl, process.pid)?;
        Ok(process)
    }

    /// Lets it go on until its program runs, or cannot.
    fn execute(&self, container: &Container, process: &Init) -> Result<()> {
        let introduction = match &self.plan.listener {
            Some(listener) => Some(Introduction {
                listener,
                process: process.pidfd.as_fd(),
                pid: process.pid.as_raw_nonzero().get(),
                state: State { rootfs: None, created: None, owner: None, ..container.state()? },
            }),
            None => None,
        };
        process.go()?;
        let silenced = self.plan.may_be_silenced().then_some(Cloned::child(process.pid));
        match agent::attend(process.socket(), introduction, silenced)? {
            Some(failure) => Err(launch::failure(&self.plan, &failure)),
            None => Ok(()),
        }
    }
}

/// Whether we are in the user namespace of init.
pub(super) fn shares_user_namespace(init: i32) -> Result<bool> {
    let inode = |of: &str| {
        let path = format!("/proc/{of}/ns/user");
        rustix::fs::stat(path.as_str()).map(|stat| stat.st_ino).context(|| path)
    };
    Ok(inode("self")? == inode(&init.to_string())?)
}
