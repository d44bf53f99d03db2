//! The plan: every decision of `create` and `run`, and nothing done. Pure: from data to data.
//!
//! What comes out is an ordered list of typed steps with all their C strings, flag words, ids and the seccomp program
//! ready, and what the parent needs beside them. `corten plan` prints it, tests compare it, init walks it.

pub mod annotations;
pub mod cgroup;
mod cgroup_mounts;
pub mod checkpoint;
mod delegation;
mod describe;
mod details;
pub mod devices;
pub mod exec;
pub mod listener;
pub mod live_mounts;
pub mod mount_options;
pub mod mounts;
pub mod namespaces;
pub mod net_devices;
mod notify;
pub mod place;
pub mod process;
pub mod resctrl;
pub mod rootfs;
pub mod scheduling;
mod security;
pub mod step;
pub mod strings;
pub mod text;

pub use place::Place;

use crate::error::{Error, Result};
use crate::host::Host;
use crate::host::cgroup::Cgroups;
use crate::seccomp;
use crate::spec::linux::{NamespaceKind, PersonalityDomain};
use crate::spec::scheduling::MemoryPolicy;
use crate::spec::{Process, Spec, Status};
use listener::Listener;
use namespaces::Namespaces;
use net_devices::NetDevice;
use process::{Execution, Identity};
use resctrl::Resctrl;
use std::ffi::CString;
use std::path::{Path, PathBuf};
use step::{Action, Attach, Cover, Hook, HookEnvironment, SourceClone, Step};

/// What the caller typed, as far as it changes the plan.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    /// The container's id.
    pub id: &'a str,
    /// The bundle, absolute.
    pub bundle: &'a Path,
    /// Whether init waits for `start` (`create`) or goes on at once (`run`).
    pub await_start: bool,
    /// `--no-pivot`.
    pub no_pivot: bool,
    /// `--no-new-keyring`.
    pub no_new_keyring: bool,
    /// How many descriptors after stderr the program gets: `LISTEN_FDS` and `--preserve-fds`.
    pub extra_descriptors: u32,
    /// What a supervisor told us and tells the program: `LISTEN_FDS=…` and `LISTEN_PID=1`, `WATCHDOG_USEC=…`.
    pub extra_environment: Vec<String>,
    /// The host's directory of the socket that the program finds in `NOTIFY_SOCKET`.
    pub notify: Option<PathBuf>,
    /// `--cgroup-manager`, or `--systemd-cgroup`.
    pub cgroup_manager: CgroupManager,
    /// Whether missing cgroup permissions are tolerated: `--rootless`, or an ordinary user.
    pub rootless: bool,
    /// Whether a seccomp program will be loaded; [`Plan::new`] fills it in.
    pub has_seccomp: bool,
}

impl<'a> Options<'a> {
    /// What counts where nothing else was said.
    pub fn plain(id: &'a str, bundle: &'a Path) -> Self {
        Self {
            id,
            bundle,
            await_start: false,
            no_pivot: false,
            no_new_keyring: false,
            extra_descriptors: 0,
            extra_environment: Vec::new(),
            notify: None,
            cgroup_manager: CgroupManager::Cgroupfs,
            rootless: false,
            has_seccomp: false,
        }
    }
}

/// Who makes the container's cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CgroupManager {
    /// The runtime, through the file system.
    #[default]
    Cgroupfs,
    /// systemd.
    Systemd,
    /// Nobody: the container stays in the cgroup of its caller.
    Disabled,
}

/// Every decision, in order.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The container's id.
    pub id: String,
    /// How init reaches its namespaces.
    pub namespaces: Namespaces,
    /// Where it lives in the cgroup trees and what is written there.
    pub cgroup: cgroup::CgroupPlan,
    /// Its class of service below resctrl.
    pub resctrl: Option<resctrl::Resctrl>,
    /// The directory that init is born in: its root file system, which root of a user namespace may not reach by its path.
    pub birthplace: Option<CString>,
    /// Sources of bind mounts that the parent clones before it makes init.
    pub source_clones: Vec<SourceClone>,
    /// What is mounted over masked directories.
    pub cover: Cover,
    /// Network devices that the parent moves in.
    pub net_devices: Vec<NetDevice>,
    /// What init does.
    pub steps: Vec<Step>,
    /// What the runtime does for init once that is ready, since init in its user namespace has no right to.
    pub outside: Vec<Step>,
    /// `prestart` and `createRuntime`, in order.
    pub runtime_hooks: Vec<Hook>,
    /// `poststart`.
    pub poststart: Vec<Hook>,
    /// The program; nothing without `process`.
    pub execution: Option<Execution>,
    /// The compiled filter.
    pub seccomp: Option<seccomp::Program>,
    /// Who answers the calls that the filter notifies of.
    pub listener: Option<listener::Listener>,
    /// Whether init needs a pty.
    pub terminal: bool,
    /// Whether the program finds a socket in `NOTIFY_SOCKET`.
    pub notify: bool,
    /// Whether mounts are put back unless all steps work: in a container that runs.
    pub all_or_none: bool,
    /// What the user should know and what does not stop the container.
    pub warnings: Vec<String>,
}

impl Plan {
    /// Decides everything.
    ///
    /// # Errors
    /// What the machine or the caller's flags do not allow; each error names its place in `config.json`.
    pub fn new(spec: &Spec, host: &Host, options: &Options<'_>) -> Result<Self> {
        let mut options = options.clone();
        let linux = &spec.linux;
        let seccomp = match &linux.seccomp {
            Some(profile) => seccomp::compile(profile, seccomp::Arch::NATIVE)?,
            None => None,
        };
        let listener = match (&linux.seccomp, &seccomp) {
            (Some(profile), Some(program)) => Listener::decide(profile, program)?,
            _ => None,
        };
        if seccomp.as_ref().is_some_and(|program| program.denies_execve) && spec.process.is_some() {
            // Init could not even say so: what it says with is as likely to be denied.
            return Err(Error::new("linux.seccomp: execve is denied, so the program cannot be executed"));
        }
        options.has_seccomp = seccomp.is_some();
        let namespaces = Namespaces::decide(linux, host)?;
        let cgroup = decide_cgroup(spec, host, &options)?;
        let mut plan = Self {
            id: options.id.to_owned(),
            namespaces,
            cgroup,
            resctrl: linux.intel_rdt.as_ref().map(|rdt| Resctrl::decide(rdt, options.id)),
            birthplace: None,
            source_clones: Vec::new(),
            notify: false,
            cover: Cover::new(security::mount_label(linux, host))?,
            net_devices: net_devices::decide(linux),
            steps: Vec::new(),
            outside: Vec::new(),
            runtime_hooks: process::hooks(&spec.hooks.prestart, "hooks.prestart", Status::Created)?,
            poststart: process::hooks(&spec.hooks.poststart, "hooks.poststart", Status::Running)?,
            execution: None,
            seccomp,
            listener,
            terminal: spec.process.as_ref().is_some_and(|process| process.terminal),
            all_or_none: false,
            warnings: Vec::new(),
        };
        notify::decide(&mut plan, &mut options, spec);
        plan.runtime_hooks.extend(process::hooks(
            &spec.hooks.create_runtime,
            "hooks.createRuntime",
            Status::Created,
        )?);
        plan.prepare(spec, host, &options)?;
        plan.hand_over(spec, host, &options)?;
        if plan.steps.len() > usize::from(u16::MAX) {
            return Err(Error::new(format!("{} steps are more than a plan can hold", plan.steps.len())));
        }
        Ok(plan)
    }

    /// The steps of a container that is being created, up to the point where all is prepared.
    fn prepare(&mut self, spec: &Spec, host: &Host, options: &Options<'_>) -> Result<()> {
        let linux = &spec.linux;
        self.join_cgroup(spec.process.as_ref(), Some(Step::own(Action::ResetAffinity)), host);
        self.steps.extend(self.namespaces.steps(linux, host.groups_denied));
        self.steps.extend(process::session(spec, options, host)?);
        if self.namespaces.creates(NamespaceKind::Network) {
            self.steps.push(Step::own(Action::Loopback));
        }
        if !self.net_devices.is_empty() {
            self.steps.push(Step::of(Place::property("linux.netDevices"), Action::NetDevices));
        }
        let parts = rootfs::Parts {
            spec,
            options,
            namespaces: &self.namespaces,
            context: mounts::Context {
                host,
                options,
                label: security::mount_label(linux, host),
                id_maps: (&linux.uid_mappings, &linux.gid_mappings),
                joins_user_namespace: self.namespaces.joins(NamespaceKind::User),
                separates_user_namespace: self.namespaces.separates(NamespaceKind::User),
                cgroups: &self.cgroup.location,
                cgroup_namespace: linux.namespace(NamespaceKind::Cgroup).is_some(),
            },
        };
        self.birthplace = parts.birthplace()?;
        self.steps.extend(parts.build(&mut self.source_clones)?);
        self.warnings.extend(security::label_left_out(linux, host));
        self.warnings.extend(mounts::left_out(&spec.mounts));
        if !self.runtime_hooks.is_empty() {
            self.steps.push(Step::of(Place::property("hooks"), Action::RuntimeHooks));
        }
        let mut hooks =
            process::hooks(&spec.hooks.create_container, "hooks.createContainer", Status::Created)?;
        let bundle = mounts::c_string(&options.bundle.to_string_lossy(), &Place::NONE, "bundle")?;
        // As the hooks outside, which the runtime runs in the bundle.
        hooks.iter_mut().for_each(|hook| hook.directory = Some(bundle.clone()));
        self.steps.extend(hooks.into_iter().map(hook_step));
        self.steps.extend(parts.enter()?);
        self.steps.extend(security::sysctls(spec)?);
        Ok(())
    }

    /// The first steps of a process, with the caller's rights: into the cgroup, and on which processors.
    fn join_cgroup(&mut self, process: Option<&Process>, affinity: Option<Step>, host: &Host) {
        if let Some(value) = process.and_then(|process| process.oom_score_adj) {
            let action = Action::OomScoreAdj(value.to_string().into_bytes());
            let for_runtime = scheduling::is_for_runtime(&self.namespaces, host);
            let steps = if for_runtime { &mut self.outside } else { &mut self.steps };
            steps.push(Step::of(Place::property("process.oomScoreAdj"), action));
        }
        if self.cgroup.is_joined_by_init() {
            self.steps.push(Step::own(Action::JoinCgroups));
        }
        self.steps.extend(affinity);
    }

    /// The last steps: the identity, the wait for the start, the program.
    fn hand_over(&mut self, spec: &Spec, host: &Host, options: &Options<'_>) -> Result<()> {
        let Some(process) = &spec.process else {
            self.steps.push(Step::own(Action::CloseDescriptors { from: 3 }));
            self.report_ready(options);
            return Ok(());
        };
        let personality = spec.linux.personality.as_ref().map(|personality| personality.domain);
        self.schedule(process, spec.linux.memory_policy.as_ref(), host);
        let late = self.become_process(process, personality, host, options)?;
        self.report_ready(options);
        let hooks = &spec.hooks.start_container;
        let mut hooks = process::hooks(hooks, "hooks.startContainer", Status::Created)?;
        for hook in &mut hooks {
            if matches!(hook.environment, HookEnvironment::Callers) {
                hook.environment = HookEnvironment::Programs;
            }
        }
        self.steps.extend(hooks.into_iter().map(hook_step));
        self.execute(process, late);
        Ok(())
    }

    /// When the process gets the CPU and the disk, and where its memory comes from.
    fn schedule(&mut self, process: &Process, memory: Option<&MemoryPolicy>, host: &Host) {
        let for_runtime = scheduling::is_for_runtime(&self.namespaces, host);
        let steps = if for_runtime { &mut self.outside } else { &mut self.steps };
        steps.extend(scheduling::of_process(process));
        self.steps.extend(memory.map(scheduling::of_memory));
    }

    /// Labels, identity and program of a process. The step that comes back is for the very end.
    fn become_process(
        &mut self,
        process: &Process,
        personality: Option<PersonalityDomain>,
        host: &Host,
        options: &Options<'_>,
    ) -> Result<Option<Step>> {
        self.steps.extend(security::labels(process));
        if let Some(domain) = personality {
            let action = Action::Personality(process::personality(domain));
            self.steps.push(Step::of(Place::property("linux.personality"), action));
        }
        self.steps.push(Step::own(Action::CloseDescriptors { from: 3 + options.extra_descriptors }));
        let identity = Identity::decide(process, &self.namespaces, host, options)?;
        if !identity.missing.is_empty() {
            let names = identity.missing.join(", ");
            self.warnings.push(format!("process.capabilities: the caller does not have {names}"));
        }
        self.steps.extend(identity.become_user);
        let execution = Execution::decide(process, &options.extra_environment)?;
        if execution.find_home {
            self.steps.push(Step::own(Action::Home { uid: process.user.uid }));
        }
        self.execution = Some(execution);
        self.steps.push(Step::of(Place::property("process.args"), Action::FindProgram));
        if process.no_new_privileges {
            let place = Place::property("process.noNewPrivileges");
            self.steps.push(Step::of(place, Action::NoNewPrivileges));
        }
        Ok(identity.late)
    }

    /// All is prepared: the runtime is told, and where it is so wished `start` is awaited.
    fn report_ready(&mut self, options: &Options<'_>) {
        self.steps.push(Step::own(Action::ResetSignals));
        self.steps.push(Step::own(Action::Ready));
        if options.await_start {
            self.steps.push(Step::own(Action::AwaitStart));
        }
    }

    /// The program, under its own limits and its filter.
    fn execute(&mut self, process: &Process, late: Option<Step>) {
        self.steps.extend(process::rlimits(process));
        if self.seccomp.is_some() {
            self.steps.push(Step::of(Place::property("linux.seccomp"), Action::Seccomp));
        }
        self.steps.extend(late);
        self.steps.push(Step::of(Place::property("process.args"), Action::Execute));
    }

    /// Whether the caller may do what is decided; a plan is printed for everybody.
    ///
    /// # Errors
    /// What an ordinary user cannot do, with its place.
    pub fn check_rights(&self, host: &Host) -> Result<()> {
        self.namespaces.check_rights(host)?;
        match self.net_devices.first() {
            Some(device) if !host.privileged() => {
                Err(Error::new(format!("{}: only root can move network devices", device.place)))
            }
            _ => Ok(()),
        }
    }

    /// Whether the container's mounts are made in the runtime's own mount namespace.
    pub fn mounts_on_host(&self) -> bool {
        let on_host =
            |step: &Step| matches!(step.action, Action::Rootfs { attach: Attach::PrivateClone, .. });
        self.steps.iter().any(on_host)
    }

    /// The place that a step comes from.
    pub fn place_text(&self, index: usize) -> String {
        self.steps.get(index).map_or_else(String::new, |step| step.place.to_string())
    }

    /// Whether init may be unable to say that the program cannot be executed.
    pub fn may_be_silenced(&self) -> bool {
        self.seccomp.as_ref().is_some_and(|program| program.silences)
    }

    /// Whether hooks run between the start and the program, where init may be killed without a word.
    pub fn has_start_hooks(&self) -> bool {
        let from_start = self.steps.iter().skip_while(|step| !matches!(step.action, Action::Ready));
        from_start.into_iter().any(|step| matches!(step.action, Action::Hook(_)))
    }

    /// What to say of a device in whose place another file is: which, where that is a device of the plan, too.
    pub fn occupied_text(&self, index: usize) -> String {
        let path = |step: &Step| match &step.action {
            Action::Device(device) => Some((device.parent.clone(), device.name.clone())),
            _ => None,
        };
        let own = self.steps.get(index).and_then(path);
        let other = match self.steps.iter().take(index).find(|step| own.is_some() && path(step) == own) {
            None => "another file".to_owned(),
            Some(step) if step.place.is_none() => "the default device".to_owned(),
            Some(step) => format!("that of {}", step.place),
        };
        format!("{}: {other} is there already", self.step_text(index))
    }

    /// What to say of a step that failed: its place and its action.
    pub fn step_text(&self, index: usize) -> String {
        self.steps.get(index).map_or_else(String::new, Step::to_string)
    }
}

fn decide_cgroup(spec: &Spec, host: &Host, options: &Options<'_>) -> Result<cgroup::CgroupPlan> {
    let none = crate::spec::Resources::default();
    // Never by ourselves what systemd was to do.
    let systemd = match (options.cgroup_manager, &host.systemd) {
        (CgroupManager::Cgroupfs | CgroupManager::Disabled, _) => None,
        (CgroupManager::Systemd, Some(manager)) => Some(manager),
        (CgroupManager::Systemd, None) => {
            return Err(Error::new("--systemd-cgroup: nobody has asked for systemd"));
        }
    };
    let disabled = options.cgroup_manager == CgroupManager::Disabled;
    let request = cgroup::Request {
        resources: spec.linux.resources.as_ref().unwrap_or(&none),
        cgroups_path: spec.linux.cgroups_path.as_deref(),
        id: options.id,
        systemd,
        annotations: &spec.annotations,
        // Without a cgroup no device can be filtered.
        rootless: options.rootless || disabled,
        default_devices: annotations::default_device_rules(spec)?,
        owner: delegation::owner(spec),
    };
    if disabled {
        let hint = |error: Error| {
            error.hint("--cgroup-manager disabled: no cgroup is made, so nothing can be limited")
        };
        return cgroup::decide(&request, &Cgroups::none()).map_err(hint);
    }
    cgroup::decide(&request, &host.cgroups)
}

fn hook_step(hook: Hook) -> Step {
    Step::of(hook.place.clone(), Action::Hook(Box::new(hook)))
}
