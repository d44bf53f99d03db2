//! `restore`: a container from the files of a checkpoint. It is made as by `run`, but for its processes, which CRIU makes.

use crate::container::checkpoint::root_only;
use crate::container::create::{self, Creation, Decided, RunMode};
use crate::container::foreground::Foreground;
use crate::container::images::{self, Images};
use crate::container::record::Stage as Reached;
use crate::container::stage::Stage;
use crate::container::{console_socket, delete, reservation};
use crate::criu::message::{Kind, Options};
use crate::criu::{self, Criu, Notice};
use crate::error::{Context, Error, Result};
use crate::launch::net_devices;
use crate::plan::checkpoint::{self as plan, RESTORE_LOG, Restore};
use crate::plan::step::Action;
use crate::spec::linux::NamespaceKind;
use crate::sys::{interface, namespace, terminal};
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::{Pid, PidfdFlags};
use std::path::Path;

/// What the caller asks for.
#[derive(Debug)]
pub struct Request<'a> {
    /// What it has in common with `create`.
    pub create: create::Request<'a>,
    /// How it behaves once the program runs.
    pub mode: RunMode<'a>,
    /// `--image-path`, absolute.
    pub images: &'a Path,
    /// `--work-path`, absolute.
    pub work: Option<&'a Path>,
    /// `--criu`: the program.
    pub criu: Option<&'a Path>,
    /// What is for CRIU alone.
    pub options: Options,
}

/// Restores a container; in the foreground until it ends.
///
/// # Errors
/// As `run`; what CRIU says. Nothing of the container is left then. The exit code is that of the program, or 128 and the
/// signal that ended it.
pub fn restore(mut request: Request<'_>) -> Result<u8> {
    root_only()?;
    let decided = Decided::new(&request.create)?;
    let namespaces = &decided.spec.linux.namespaces;
    plan::check_namespaces(namespaces).map_err(|error| error.context("config.json"))?;
    let mode = request.mode;
    console_socket::check(decided.plan.terminal, request.create.console_socket, mode.detach)?;
    let mut images = Images::open(request.images, request.work, false)?;
    let inherited = Inherited::open(&decided, &images)?;
    let mut foreground = if mode.detach { None } else { Some(Foreground::prepare(mode.subreaper)?) };
    let directory = reservation::reserve(request.create.root, request.create.options.id)?;
    let mut creation = Creation::begin(&decided, &request.create, directory)?;
    let options = std::mem::take(&mut request.options);
    let mut revival = Revival { decided: &decided, request: &request, master: None, creation: &mut creation };
    let revived = revival.revive(options, &mut images, &inherited);
    let master = revival.master.take();
    let init = revived.map_err(|error| creation.explain(error))?;
    let pidfd = rustix::process::pidfd_open(init, PidfdFlags::empty())
        .context(|| "pidfd_open of the restored init")?;
    creation.commit()?;
    let Some(mut foreground) = foreground.take() else { return Ok(0) };
    if let Some(master) = master {
        foreground.attach_master(master)?;
    }
    let code = foreground.attend((init, pidfd.as_fd()), None);
    if !mode.keep || code.is_err() {
        delete::remove(&mut creation.container, true, request.create.log)?;
    }
    code
}

/// Descriptors that CRIU gives to the restored processes: by their names in the images.
struct Inherited {
    names: Vec<(String, i32)>,
    /// Those of them that are ours; the others are stdio.
    namespaces: Vec<OwnedFd>,
}

impl Inherited {
    fn open(decided: &Decided, images: &Images) -> Result<Self> {
        let stdio = images.read_descriptors()?.into_iter().zip(0..3);
        let mut names: Vec<(String, i32)> =
            stdio.filter(|(name, _)| name.starts_with("pipe:") || name.starts_with("file[")).collect();
        let mut namespaces = Vec::new();
        for (index, one) in decided.spec.linux.namespaces.iter().enumerate() {
            let Some(path) = one.path.as_ref().filter(|_| plan::stays(one.kind)) else { continue };
            let file = rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                .context(|| format!("config.json: linux.namespaces[{index}].path: {path}"))?;
            names.push((plan::external_key(one.kind).to_owned(), file.as_raw_fd()));
            namespaces.push(file);
        }
        Ok(Self { names, namespaces })
    }
}

/// CRIU at work on a container in the making.
struct Revival<'a, 'b> {
    decided: &'a Decided,
    request: &'a Request<'b>,
    /// The terminal, where nobody waits for it at a socket.
    master: Option<OwnedFd>,
    creation: &'a mut Creation<'b>,
}

impl Revival<'_, '_> {
    /// Has the processes made: the init, which is our child.
    fn revive(&mut self, typed: Options, images: &mut Images, inherited: &Inherited) -> Result<Pid> {
        let decided = self.decided;
        let stage = Stage::enter(self.request.create.root)?;
        let root = stage.root().to_string_lossy().into_owned();
        let prepared = stage.prepare(&decided.plan, &decided.rootfs, &decided.procfs).and_then(|mounts| {
            images.reopen()?;
            let descriptors: Vec<_> = inherited.namespaces.iter().map(AsFd::as_fd).collect();
            Ok((mounts, Criu::start(self.request.criu, true, &descriptors)?))
        });
        let left = stage.leave();
        let (mounts, criu) = prepared.and_then(|prepared| left.map(|()| prepared))?;
        let pid = Pid::from_raw(criu.pid()).ok_or_else(|| Error::new("criu has no pid"))?;
        // What it makes is born where it is.
        self.creation.take_in(decided, pid)?;
        self.creation.poststop = true;
        let mut typed = typed;
        images.name(&mut typed);
        let restore = Restore {
            root: &root,
            mounts: &mounts,
            namespaces: &decided.spec.linux.namespaces,
            inherited: &inherited.names,
            cgroups: &cgroups(criu.pid())?,
            config: images::config(&decided.spec.annotations),
        };
        let options = plan::restore(typed, &restore);
        let log = images.log(RESTORE_LOG);
        let asked = criu::Request { kind: Kind::Restore, options: &options, log: &log };
        let restored = criu.perform(&asked, |notice| self.hear(notice));
        restored?.and_then(Pid::from_raw).ok_or_else(|| Error::new("criu does not tell whom it has restored"))
    }

    /// Does what `create` would do at that point.
    fn hear(&mut self, notice: Notice) -> Result<()> {
        let pid = notice.pid.and_then(Pid::from_raw);
        match (notice.script.as_str(), pid, notice.descriptor) {
            ("setup-namespaces", Some(pid), _) => self.set_up(pid),
            ("post-restore", Some(pid), _) => self.put_on_record(pid),
            ("orphan-pts-master", _, Some(master)) => self.hand_over(master),
            _ => Ok(()),
        }
    }

    /// The namespaces are there, and nothing in them yet.
    fn set_up(&self, pid: Pid) -> Result<()> {
        let plan = &self.decided.plan;
        if plan.steps.iter().any(|step| matches!(step.action, Action::Loopback)) {
            in_network_of(pid, || interface::loopback_up().context(|| "bring lo up"))?;
        }
        if !plan.net_devices.is_empty() {
            net_devices::move_in(&plan.net_devices, pid).map_err(|error| error.context("config.json"))?;
        }
        let state = self.creation.state(Some(pid.as_raw_nonzero().get()));
        self.creation.run_hooks(&plan.runtime_hooks, &state)
    }

    /// The processes are there and do not run yet: none may run that is not on record.
    fn put_on_record(&mut self, pid: Pid) -> Result<()> {
        let mut template = self.creation.template(self.decided);
        // CRIU gives the processes clocks of their own, so that they do not jump.
        let time = |of: &str| rustix::fs::stat(format!("/proc/{of}/ns/time")).map(|stat| stat.st_ino);
        let has_own = time(&pid.as_raw_nonzero().to_string()).ok() != time("self").ok();
        if has_own && !template.namespaces.contains(&NamespaceKind::Time) {
            template.namespaces.push(NamespaceKind::Time);
        }
        self.creation.container.directory.write_template(&template)?;
        self.creation.put_on_record(pid, &self.request.create, Reached::Running)
    }

    fn hand_over(&mut self, master: OwnedFd) -> Result<()> {
        match console_socket::connect(self.request.create.console_socket)? {
            Some(socket) => terminal::send_descriptor(socket.as_fd(), b"/dev/ptmx", master.as_fd())
                .map(drop)
                .context(|| "--console-socket: send the terminal"),
            None => {
                self.master = Some(master);
                Ok(())
            }
        }
    }
}

/// The cgroup of a process in each hierarchy, by the hierarchy's controllers.
fn cgroups(pid: i32) -> Result<Vec<(String, String)>> {
    let path = format!("/proc/{pid}/cgroup");
    let text = std::fs::read_to_string(&path).context(|| path)?;
    let lines = text.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let each = lines.flat_map(|(controllers, path)| {
        controllers.split(',').map(move |controller| (controller.to_owned(), path.to_owned()))
    });
    Ok(each.collect())
}

/// Does something in the network namespace of a process.
fn in_network_of(pid: Pid, act: impl FnOnce() -> Result<()>) -> Result<()> {
    const NETWORK: u32 = libc::CLONE_NEWNET as u32;
    let open = |of: &str| {
        let path = format!("/proc/{of}/ns/net");
        rustix::fs::openat(CWD, &path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).context(|| path)
    };
    let (own, theirs) = (open("self")?, open(&pid.as_raw_nonzero().to_string())?);
    namespace::enter(theirs.as_fd(), NETWORK).context(|| "enter the network namespace")?;
    let done = act();
    namespace::enter(own.as_fd(), NETWORK).context(|| "return to the own network namespace")?;
    done
}
