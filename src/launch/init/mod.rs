//! Init: the child of the clone. It walks the steps of the plan with straight-line system calls.
//!
//! Nothing here parses, looks up, logs or allocates; what fails goes back to the parent as a few bytes, and init exits.

mod console;
mod devices;
mod handover;
mod hooks;
mod identity;
mod live;
mod mounts;
mod namespaces;
mod rootfs;
mod scheduling;
mod stdio;

pub(super) use namespaces::{CGROUP, join_all, join_process, not_dumpable};
pub(super) use scheduling::{set_io_priority, set_scheduler};

use crate::launch::prepared::Prepared;
use crate::launch::protocol::{self, Failure, Fault, Reason, Report};
use crate::plan::Plan;
use crate::plan::step::Action;
use crate::sys::clone;
use crate::sys::procfs::Procfs;
use crate::sys::rootfs::Rootfs;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::Signal;

/// Descriptors that the parent opened for init.
#[derive(Debug)]
pub struct Descriptors {
    /// The runtime's end of the socket, which init closes first.
    pub runtime_end: Option<OwnedFd>,
    /// The runtime's own procfs.
    pub procfs: Option<Procfs>,
    /// The `tasks` file of each cgroup v1 hierarchy.
    pub tasks: Vec<OwnedFd>,
    /// The namespaces to join, in the order of the plan.
    pub joins: Vec<OwnedFd>,
    /// The process whose namespaces are joined.
    pub target: Option<OwnedFd>,
    /// Where the pty's master goes.
    pub console: Option<OwnedFd>,
    /// Clones of the sources of bind mounts, in the order of the plan, where they are needed.
    pub source_clones: Vec<Option<OwnedFd>>,
    /// The socket on which `start` is awaited.
    pub listener: Option<OwnedFd>,
    /// The locked file whose close on exec says that the program runs.
    pub marker: Option<OwnedFd>,
}

/// The state of the walk.
struct Init<'a> {
    plan: &'a Plan,
    prepared: &'a mut Prepared,
    descriptors: Descriptors,
    /// Whom to report to: the runtime that created us, then the one that starts us.
    channel: OwnedFd,
    /// The container's root file system, once it is taken.
    rootfs: Option<Rootfs>,
    /// Where it is reached from outside, for what mount(2) puts on top of it.
    rootfs_path: Option<&'a std::ffi::CStr>,
    /// The directory of the last device or link, so that `/dev` is resolved once.
    directory: Option<(&'a std::ffi::CStr, OwnedFd)>,
    /// The one empty file system over all masked directories.
    mask: Option<OwnedFd>,
    /// The slave of the console.
    terminal: Option<OwnedFd>,
    /// Whether the old root shares its mounts with the host, so that it must be cut off before it is detached.
    shared_host: bool,
    /// Whether the user namespace that was joined denies setgroups(2).
    groups_denied: bool,
    /// Whether the working directory must be tried again as the user.
    retry_cwd: bool,
    /// Which candidate is the program.
    program: usize,
    /// The umask that hooks get until the container's own is set; nothing while it is that of the process anyway.
    callers_umask: Option<Mode>,
    /// How many hooks have run.
    hooks_run: usize,
    /// Which step is being taken.
    step: u16,
}

/// Becomes the container's first process; never returns to the caller's code.
pub fn run(plan: &Plan, prepared: &mut Prepared, mut descriptors: Descriptors, channel: OwnedFd) -> ! {
    drop(descriptors.runtime_end.take());
    let mut init = Init {
        plan,
        prepared,
        descriptors,
        channel,
        rootfs: None,
        rootfs_path: None,
        directory: None,
        mask: None,
        terminal: None,
        shared_host: false,
        groups_denied: false,
        retry_cwd: false,
        program: 0,
        callers_umask: None,
        hooks_run: 0,
        step: 0,
    };
    init.walk();
    clone::exit(1)
}

impl<'a> Init<'a> {
    /// Takes every step in order; the first failure is reported.
    fn walk(&mut self) {
        // A second net below the socket: the kernel ends us with the runtime. A change of user ids clears it again.
        let _best_effort = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
        let steps = &self.plan.steps;
        for (index, step) in steps.iter().enumerate() {
            self.step = index as u16;
            if let Err(fault) = self.act(&step.action) {
                let failure = Failure { step: self.step, fault };
                self.put_back();
                protocol::send(self.channel.as_fd(), &Report::Failed(failure));
                return;
            }
        }
    }

    /// Takes one step.
    fn act(&mut self, action: &'a Action) -> Result<(), Fault> {
        match action {
            // A process in between has done so, and we inherited it.
            Action::OomScoreAdj(_) if self.plan.namespaces.middle => Ok(()),
            Action::OomScoreAdj(value) => self.write_proc(c"self/oom_score_adj", value),
            Action::JoinCgroups => self.join_cgroups(),
            Action::JoinNamespaces => self.join_namespaces(),
            Action::AwaitIdMaps | Action::NetDevices | Action::RuntimeHooks | Action::Ready => {
                self.meet_runtime(action)
            }
            Action::NamespaceRoot { drop_groups } => self.become_root(*drop_groups),
            Action::NotDumpable => namespaces::not_dumpable(),
            Action::IpcNamespace => namespaces::unshare(libc::CLONE_NEWIPC as u32),
            Action::CgroupNamespace => namespaces::unshare(libc::CLONE_NEWCGROUP as u32),
            Action::Session => identity::new_session(),
            Action::Keyring { name, permissions } => identity::join_keyring(name, *permissions),
            Action::Hostname(name) => Ok(rustix::system::sethostname(name)?),
            Action::Domainname(name) => Ok(crate::sys::domainname::set(name)?),
            Action::Loopback => Ok(crate::sys::interface::loopback_up()?),
            Action::Hook(hook) => self.run_hook(hook),
            Action::Sysctl { file, value } => self.write_proc(file, value),
            Action::ExecLabel { files, value } => self.write_label(files, value),
            Action::ResetAffinity => namespaces::reset_affinity(),
            Action::Scheduler(scheduler) => Ok(set_scheduler(None, scheduler)?),
            Action::IoPriority(priority) => Ok(set_io_priority(None, *priority)?),
            Action::MemoryPolicy(policy) => Ok(scheduling::set_memory_policy(policy)?),
            Action::Affinity { mask, .. } => Ok(crate::sys::affinity::allow(mask)?),
            Action::Personality(domain) => Ok(crate::sys::personality::set(*domain)?),
            Action::Umask(mask) => self.set_umask(*mask),
            Action::BoundingSet { keep } => identity::drop_bounding(*keep),
            Action::WorkingDirectory(cwd) => self.change_directory(cwd),
            Action::User { uid, gid, groups, cwd } => self.become_user(*uid, *gid, groups.as_deref(), cwd),
            Action::Capabilities(sets) => identity::set_capabilities(sets),
            Action::NoNewPrivileges => Ok(rustix::thread::set_no_new_privs(true)?),
            Action::Home { uid } => self.find_home(*uid),
            Action::FindProgram => self.find_program(),
            Action::ResetSignals => Ok(crate::sys::signals::reset(self.prepared.ignored_signals)?),
            Action::CloseDescriptors { from } => self.close_descriptors(*from),
            Action::AwaitStart => self.await_start(),
            Action::Rlimit(limit) => {
                Ok(crate::sys::limits::set(None, limit.resource, limit.soft, limit.hard)?)
            }
            Action::Seccomp => self.load_filter(),
            Action::Execute => self.execute(),
            _ => self.act_on_tree(action),
        }
    }

    /// Takes one step on the file tree.
    fn act_on_tree(&mut self, action: &'a Action) -> Result<(), Fault> {
        match action {
            Action::HostPropagation(flags) => Ok(crate::sys::mount::set_propagation(c"/", *flags)?),
            Action::PrivateParent(path) => self.make_parent_private(path),
            Action::Rootfs { path, attach } => self.take_rootfs(path, *attach),
            Action::Mount(mount) => self.mount(mount),
            Action::Unmount(target) => self.unmount(target),
            Action::MountAttributes { target, set } => self.set_mount_attributes(target, *set),
            Action::Device(device) => self.make_device(device),
            Action::Symlink(link) => self.make_link(link),
            Action::Console { size, on_dev_console } => self.open_console(*size, *on_dev_console),
            Action::Directory(path) => self.make_directory(path),
            Action::Mask(target) => self.mask(target),
            Action::ReadonlyPath(target) => self.make_readonly(target),
            Action::ReadonlyRoot => self.make_root_readonly(),
            Action::Pivot => self.pivot(),
            Action::MoveRoot => self.move_root(),
            Action::Chroot => self.chroot(),
            Action::RootPropagation(flags) => Ok(crate::sys::mount::set_propagation(c"/", *flags)?),
            // The two matches name every action; a new one is added to one of them.
            _ => Err(Errno::NOSYS.into()),
        }
    }

    /// Tells the runtime where we are, if it must know, and waits until it lets us go on. When it is gone, so are we.
    fn meet_runtime(&mut self, action: &Action) -> Result<(), Fault> {
        match action {
            Action::NetDevices => protocol::send(self.channel.as_fd(), &Report::NetDevices),
            Action::RuntimeHooks => protocol::send(self.channel.as_fd(), &Report::Hooks),
            Action::Ready => {
                // From here on the socket alone ties us to the runtime: it may end once it has let us go on.
                rustix::process::set_parent_process_death_signal(None)?;
                protocol::send(self.channel.as_fd(), &Report::Ready);
            }
            _ => {}
        }
        if !protocol::await_go(self.channel.as_fd()) {
            self.put_back();
            clone::exit(1);
        }
        Ok(())
    }

    fn write_proc(&self, file: &std::ffi::CStr, value: &[u8]) -> Result<(), Fault> {
        let Some(procfs) = &self.descriptors.procfs else { return Err(Errno::BADF.into()) };
        Ok(procfs.write(file, value)?)
    }

    /// The root file system, which the plan takes before it is used.
    fn rootfs(&self) -> Result<&Rootfs, Fault> {
        self.rootfs.as_ref().ok_or(Reason::Target.fault(Errno::NOENT))
    }
}
