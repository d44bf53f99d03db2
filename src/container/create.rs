//! `create` and `run`: the line from `config.json` to a container that waits or runs.

use crate::cgroup::{self, Guard};
use crate::container::agent::{self, Introduction};
use crate::container::birth::{self, Birth};
use crate::container::console_socket;
use crate::container::foreground::{self, Foreground};
use crate::container::interrupts::Interrupts;
use crate::container::notify::{Relay, Supervisor};
use crate::container::pidfd_socket::Receivers;
use crate::container::process::{Cloned, Process};
use crate::container::record::{Record, Stage, Start};
use crate::container::resctrl::Group;
use crate::container::root::Root;
use crate::container::state::Directory;
use crate::container::{Container, delete, pid_file, reservation};
use crate::container::{hooks, host_mounts};
use crate::error::{Context, Error, Result};
use crate::host::Host;
use crate::launch;
use crate::launch::prepared::Prepared;
use crate::launch::protocol::Report;
use crate::launch::spawn::{Init, Sockets, TakeIn};
use crate::launch::{id_maps, net_devices};
use crate::log::Log;
use crate::plan::exec::Template;
use crate::plan::step::Action;
use crate::plan::step::Hook;
use crate::plan::{CgroupManager, Options, Plan};
use crate::spec::linux::NamespaceKind;
use crate::spec::{self, Spec, State, Status};
use crate::sys::procfs::Procfs;
use rustix::fd::AsFd;
use rustix::process::Pid;
use std::path::Path;
use std::time::SystemTime;

/// What the caller asks for.
#[derive(Debug)]
pub struct Request<'a> {
    /// `--root`.
    pub root: &'a Root,
    /// What changes the plan.
    pub options: Options<'a>,
    /// `--config`, in place of the bundle's `config.json`.
    pub config: Option<&'a Path>,
    /// `--pid-file`, absolute.
    pub pid_file: Option<&'a Path>,
    /// `--console-socket`, absolute.
    pub console_socket: Option<&'a Path>,
    /// `--pidfd-socket`, absolute.
    pub pidfd_socket: Option<&'a Path>,
    /// Where warnings go.
    pub log: &'a Log,
}

/// How `run` behaves once the program runs.
#[derive(Debug, Clone, Copy)]
pub struct RunMode<'a> {
    /// `--detach`: leave it alone.
    pub detach: bool,
    /// `--keep`: do not delete it when it ends.
    pub keep: bool,
    /// Who is told what the program tells.
    pub supervisor: Option<&'a Supervisor>,
    /// Not `--no-subreaper`: adopt the processes that it leaves behind.
    pub subreaper: bool,
}

/// Creates a container; init waits for `start`.
///
/// # Errors
/// The first thing that failed, with its place; nothing is left behind.
pub fn create(request: &Request<'_>) -> Result<()> {
    let decided = Decided::new(request)?;
    console_socket::check(decided.plan.terminal, request.console_socket, true)?;
    let receivers = Receivers::of_init(request.pidfd_socket, &decided.spec.annotations)?;
    let directory = reservation::reserve(request.root, request.options.id)?;
    let outcome = Creation::begin(&decided, request, directory).and_then(|mut creation| {
        let sockets = Sockets {
            target: None,
            console: console_socket::connect(request.console_socket)?,
            listener: Some(creation.container.directory.listen()?),
            marker: Some(creation.container.directory.lock_marker()?),
        };
        let mut init = creation.launch(&decided, sockets)?;
        creation.put_on_record(init.pid, request, Stage::Created)?;
        receivers.send(init.pidfd.as_fd())?;
        creation.let_go(&init)?;
        init.release();
        creation.commit()?;
        Ok(())
    });
    outcome.map_err(|error| oom_hint(error, &decided.plan))
}

/// Creates a container and runs its program; in the foreground until it ends.
///
/// # Errors
/// As [`create`]; the exit code is that of the program, or 128 and the signal that ended it.
pub fn run(request: &Request<'_>, mode: RunMode<'_>) -> Result<u8> {
    let decided = Decided::new(request)?;
    if decided.plan.execution.is_none() {
        return Err(Error::new("config.json: process: missing, but run needs it"));
    }
    console_socket::check(decided.plan.terminal, request.console_socket, mode.detach)?;
    let receivers = Receivers::of_init(request.pidfd_socket, &decided.spec.annotations)?;
    let mut foreground = if mode.detach { None } else { Some(Foreground::prepare(mode.subreaper)?) };
    let directory = reservation::reserve(request.root, request.options.id)?;
    let mut creation = Creation::begin(&decided, request, directory)?;
    if foreground.is_some() {
        creation.interrupts = Interrupts::watch(decided.host.ignored_signals)?;
    }
    let (console, master) = match console_socket::connect(request.console_socket)? {
        None if decided.plan.terminal => {
            foreground::console_pair().map(|(here, there)| (Some(there), Some(here)))?
        }
        console => (console, None),
    };
    let sockets = Sockets { console, ..Sockets::default() };
    let mut init = creation.launch(&decided, sockets).map_err(|error| oom_hint(error, &decided.plan))?;
    if let (Some(foreground), Some(master)) = (foreground.as_mut(), &master) {
        foreground.attach(master)?;
    }
    creation.put_on_record(init.pid, request, Stage::Running)?;
    receivers.send(init.pidfd.as_fd())?;
    creation.interrupts.check()?;
    let supervisor = mode.supervisor.filter(|_| decided.plan.notify);
    let relay = supervisor.map(|supervisor| Relay::open(supervisor, &creation.container.directory));
    let relay = relay.transpose()?;
    creation.let_go(&init)?;
    let state = creation.state(Some(init.pid.as_raw_nonzero().get()));
    let introduction = decided.plan.listener.as_ref().map(|listener| Introduction {
        listener,
        process: init.pidfd.as_fd(),
        pid: init.pid.as_raw_nonzero().get(),
        state: state.clone(),
    });
    creation.interrupts.await_word(init.socket())?;
    let silenced = decided.plan.may_be_silenced().then_some(Cloned::child(init.pid));
    let attended = agent::attend(init.socket(), introduction, silenced);
    if let Some(failure) = attended.map_err(|error| creation.explain(error))? {
        return Err(launch::failure(&decided.plan, &failure));
    }
    if decided.plan.has_start_hooks() && Cloned::child(init.pid).never_executed()? {
        return Err(creation.explain(birth::died(&init, "init")));
    }
    creation.run_hooks(&decided.plan.poststart, &state)?;
    init.release();
    creation.commit()?;
    let Some(foreground) = foreground else {
        let pid = init.pid.as_raw_nonzero().get();
        return relay.map_or(Ok(()), |relay| relay.await_ready(pid, init.pidfd.as_fd())).map(|()| 0);
    };
    let code = foreground.attend((init.pid, init.pidfd.as_fd()), relay);
    // Whom nobody attends must not live on.
    if !mode.keep || code.is_err() {
        delete::remove(&mut creation.container, true, request.log)?;
    }
    code
}

/// All that is known before anything is done.
pub(super) struct Decided {
    pub(super) spec: Spec,
    pub(super) plan: Plan,
    host: Host,
    pub(super) procfs: Procfs,
    pub(super) rootfs: String,
    no_new_keyring: bool,
}

impl Decided {
    pub(super) fn new(request: &Request<'_>) -> Result<Self> {
        spec::validate::valid_id(request.options.id)?;
        let loaded = match request.config {
            Some(file) => spec::load_file(file)?,
            None => spec::load(request.options.bundle)?,
        };
        let procfs = Procfs::open().context(|| "/proc")?;
        let mut host = Host::probe(&procfs)?;
        if request.options.cgroup_manager == CgroupManager::Systemd {
            host.ask_for_systemd();
        }
        if loaded.spec.linux.mount_label.is_some() {
            host.ask_for_selinux()?;
        }
        let plan = Plan::new(&loaded.spec, &host, &request.options)
            .and_then(|plan| plan.check_rights(&host).map(|()| plan))
            .map_err(|error| error.context("config.json"))?;
        for warning in loaded.warnings.iter().chain(&plan.warnings).chain(&plan.cgroup.warnings) {
            request.log.warning(warning)?;
        }
        let rootfs = crate::plan::mounts::rootfs_path(request.options.bundle, &loaded.spec.root.path);
        let rootfs = rootfs.to_string_lossy().into_owned();
        let no_new_keyring = request.options.no_new_keyring;
        Ok(Self { spec: loaded.spec, plan, host, procfs, rootfs, no_new_keyring })
    }
}

/// A container in the making. Dropped, it undoes what it did, in reverse, unless it was committed.
pub(super) struct Creation<'a> {
    pub(super) container: Container,
    pub(super) cgroup: Option<Guard>,
    resctrl: Option<Group>,
    log: &'a Log,
    /// Whether init was there, so that its `poststop` hooks are due.
    pub(super) poststop: bool,
    committed: bool,
    /// What may end the making.
    interrupts: Interrupts,
}

impl<'a> Creation<'a> {
    /// Writes the first record, then makes the cgroup (systemd's is made around init) and the class of service. Only then is the container known: whoever
    /// deletes it may kill what is in a cgroup that was found empty, and never what was in one that we have not looked at
    /// yet.
    pub(super) fn begin(decided: &Decided, request: &Request<'a>, directory: Directory) -> Result<Self> {
        let mut creation = Self {
            container: Container { directory, record: first_record(decided, request) },
            cgroup: None,
            resctrl: None,
            log: request.log,
            poststop: false,
            committed: false,
            interrupts: Interrupts::default(),
        };
        if let Some(resctrl) = &decided.plan.resctrl {
            let group = Group::find(resctrl)?;
            creation.container.record.resctrl = group.removed_with_container();
            creation.resctrl = Some(group);
        }
        if decided.plan.mounts_on_host() {
            creation.container.record.host_mount = Some(host_mounts::before(&decided.rootfs)?);
        }
        creation.container.directory.write(&creation.container.record)?;
        let guard = cgroup::create(&decided.plan.cgroup)?;
        let location = guard.manager().location().clone();
        creation.cgroup = Some(guard);
        // Rootless, some hierarchies may not be ours to use.
        if creation.container.record.cgroup != location {
            creation.container.record.cgroup = location;
            creation.container.directory.write(&creation.container.record)?;
        }
        if let Some(group) = &mut creation.resctrl {
            group.make()?;
            group.write_schemata()?;
        }
        if decided.plan.notify {
            creation.container.directory.make_notify_directory()?;
        }
        creation.container.directory.publish()?;
        Ok(creation)
    }

    /// Makes init and goes with it to the point where all is prepared.
    fn launch(&mut self, decided: &Decided, sockets: Sockets) -> Result<Init> {
        self.accompany(decided, sockets).map_err(|error| self.explain(error))
    }

    fn accompany(&mut self, decided: &Decided, sockets: Sockets) -> Result<Init> {
        let plan = &decided.plan;
        let Some(mut guard) = self.cgroup.take() else { return Err(Error::new("no cgroup was made")) };
        let born = self.birth(decided, &mut guard, sockets);
        self.cgroup = Some(guard);
        // Init was there, also when a signal ended the wait for its first word.
        self.poststop = born.as_ref().map_or_else(|error| error.code() > 128, |_| true);
        let (init, mut report) = born?;
        self.container.directory.write_template(&self.template(decided))?;
        if !matches!(report, None | Some(Report::Failed(_))) {
            id_maps::check(&plan.namespaces, init.pid, &decided.procfs)
                .map_err(|error| error.context("config.json"))?;
        }
        loop {
            match report {
                Some(Report::NetDevices) => {
                    net_devices::move_in(&plan.net_devices, init.pid)
                        .map_err(|error| error.context("config.json"))?;
                    init.go()?;
                }
                Some(Report::Hooks) => {
                    let state = self.state(Some(init.pid.as_raw_nonzero().get()));
                    self.run_hooks(&plan.runtime_hooks, &state)?;
                    init.go()?;
                }
                Some(Report::Occupied(step)) => {
                    self.log.warning(&plan.occupied_text(step.into()))?;
                }
                Some(Report::Ready) => {
                    launch::outside::take(plan, init.pid, &decided.procfs)?;
                    if let Some(group) = &self.resctrl {
                        group.attach(init.pid)?;
                    }
                    return Ok(init);
                }
                Some(report) => return Err(birth::unexpected(plan, report)),
                None => return Err(birth::died(&init, "init")),
            }
            report = self.report(&init)?;
        }
    }

    /// Lets init go on from its last meeting with the runtime.
    fn let_go(&self, init: &Init) -> Result<()> {
        init.go().map_err(|error| self.explain(error))
    }

    /// Why the making has failed, where somebody else has deleted the container meanwhile: what failed for that is no news.
    pub(super) fn explain(&self, error: Error) -> Error {
        match self.container.directory.is_deleted() {
            Ok(true) if error.code() <= 128 => Error::new("the container was deleted meanwhile"),
            _ => error,
        }
    }

    /// Waits for the next report of init.
    fn report(&self, init: &Init) -> Result<Option<Report>> {
        self.interrupts.await_word(init.socket())?;
        init.report()
    }

    /// Runs hooks in the runtime's namespaces.
    pub(super) fn run_hooks(&self, hooks: &[Hook], state: &State) -> Result<()> {
        hooks::run(hooks, state, self.interrupts.descriptor()).map_err(|error| self.interrupts.explain(error))
    }

    /// Makes init in its cgroup, or has the cgroup made around it.
    fn birth(
        &self,
        decided: &Decided,
        guard: &mut Guard,
        sockets: Sockets,
    ) -> Result<(Init, Option<Report>)> {
        let (plan, host) = (&decided.plan, &decided.host);
        let state = |hook: &Hook| self.state_around_pid(hook.status);
        let mut prepared = Prepared::new(plan, host.ignored_signals, host.new_mount_api, state);
        let (cgroup, procfs) = (&guard.manager().clone(), &decided.procfs);
        let mut take_in = |pid| guard.take_in(&plan.cgroup, pid);
        let around = cgroup.unit().is_some().then_some(TakeIn(&mut take_in));
        let (document, interrupts) = (Some("config.json"), Some(&self.interrupts));
        Birth { plan, cgroup, around, procfs, document, interrupts }.give(&mut prepared, sockets)
    }

    /// What `exec` will need.
    pub(super) fn template<'b>(&self, decided: &'b Decided) -> Template<'b> {
        let resctrl = self.resctrl.as_ref().map_or_else(Vec::new, Group::directories);
        Template::new(&decided.spec, &decided.plan, decided.no_new_keyring, resctrl)
    }

    /// Makes the container known.
    pub(super) fn put_on_record(&mut self, init: Pid, request: &Request<'_>, stage: Stage) -> Result<()> {
        self.container.record.process = Some(Process::of(init)?);
        self.container.record.stage = stage;
        self.container.directory.write(&self.container.record).map_err(|error| self.explain(error))?;
        if let Some(path) = request.pid_file {
            pid_file::write(path, init.as_raw_nonzero().get())?;
        }
        Ok(())
    }

    /// Puts a process that is not ours by birth into the cgroup and its class of service.
    pub(super) fn take_in(&mut self, decided: &Decided, pid: Pid) -> Result<()> {
        let Some(guard) = &mut self.cgroup else { return Err(Error::new("no cgroup was made")) };
        guard.take_in(&decided.plan.cgroup, pid)?;
        self.resctrl.as_ref().map_or(Ok(()), |group| group.attach(pid))
    }

    /// The state as hooks in the runtime's namespaces read it; each hook has its own status.
    pub(super) fn state(&self, pid: Option<i32>) -> State {
        let record = &self.container.record;
        State::new(&record.id, Status::Creating, pid, &record.bundle, record.annotations.clone())
    }

    /// The same for a hook inside, cut where init writes the pid that the container sees.
    fn state_around_pid(&self, status: Status) -> (Vec<u8>, Vec<u8>) {
        const KEY: &str = "\"pid\":";
        let line = State { status, ..self.state(Some(0)) }.line();
        let cut = line.find(KEY).map_or(line.len(), |start| start + KEY.len());
        let (head, tail) = line.split_at(cut);
        (head.into(), tail.strip_prefix('0').unwrap_or(tail).into())
    }

    /// Keeps the container, and lets others delete it.
    pub(super) fn commit(&mut self) -> Result<()> {
        self.container.directory.unlock()?;
        self.committed = true;
        if let Some(guard) = self.cgroup.take() {
            let _kept = guard.commit();
        }
        if let Some(group) = self.resctrl.take() {
            group.commit();
        }
        Ok(())
    }

    /// Undoes what is ours. A directory that was deleted meanwhile took all with it: what has its name now is another's.
    fn undo(&mut self) -> Result<()> {
        let guard = self.cgroup.take();
        if self.container.directory.is_gone()? {
            self.poststop = false;
            let _another_s = guard.map(Guard::commit);
            return Ok(());
        }
        if let Some(Err(error)) = guard.map(Guard::undo) {
            // Its hooks run when it is deleted.
            self.poststop = false;
            return Err(error.context("the record stays for delete --force"));
        }
        host_mounts::remove(&self.container.record, self.log)?;
        drop(self.resctrl.take());
        reservation::retire(&self.container.directory)
    }
}

impl Drop for Creation<'_> {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        // The error that led here is the one to return; that something is left is told all the same.
        let told = match self.undo() {
            Ok(()) => Ok(()),
            Err(error) => self.log.warning(&format!(
                "undo: {error}{}",
                error.hint_text().map(|hint| format!(" ({hint})")).unwrap_or_default()
            )),
        };
        if self.poststop {
            delete::run_poststop(&self.container.record, self.log);
        }
        drop(told);
    }
}

fn first_record(decided: &Decided, request: &Request<'_>) -> Record {
    let (spec, plan) = (&decided.spec, &decided.plan);
    let first = plan.steps.iter().position(|step| matches!(step.action, Action::AwaitStart));
    let first = first.map_or(plan.steps.len(), |index| index + 1);
    Record {
        id: request.options.id.to_owned(),
        stage: Stage::Creating,
        process: None,
        bundle: request.options.bundle.to_string_lossy().into_owned(),
        rootfs: decided.rootfs.clone(),
        host_mount: None,
        created: now(),
        cgroup: plan.cgroup.location.clone(),
        resctrl: Vec::new(),
        own_pids: plan.namespaces.creates(NamespaceKind::Pid),
        annotations: spec.annotations.clone(),
        poststart: spec.hooks.poststart.clone(),
        poststop: spec.hooks.poststop.clone(),
        mounts: Vec::new(),
        start: Start {
            program: spec.process.as_ref().and_then(|process| process.args.first().cloned()),
            first,
            steps: plan.steps[first..].iter().map(ToString::to_string).collect(),
            listener: plan.listener.clone(),
            silenced: plan.may_be_silenced(),
            hooks: plan.has_start_hooks(),
        },
    }
}

fn now() -> String {
    // Not rustix's clock_gettime, which panics on a kernel whose vDSO lacks getcpu (user-mode Linux).
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    crate::log::timestamp(now.as_secs(), Some(now.subsec_nanos()))
}

/// A memory limit that init itself cannot live under looks like a crash.
fn oom_hint(error: Error, plan: &Plan) -> Error {
    let limit = plan.cgroup.writes.iter().find(|write| write.file.starts_with("memory."));
    match limit {
        Some(write) if error.to_string().contains("ended by signal 9") => error
            .hint(format!("{} {} may be too low for the start of the container", write.place, write.value)),
        _ => error,
    }
}
