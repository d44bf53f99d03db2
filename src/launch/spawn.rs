//! The parent's side of the clone: opens what init needs, makes it, writes its id maps, hears its reports.

use crate::error::{Context, Error, Result};
use crate::launch::detour::Detour;
use crate::launch::init::{self, Descriptors};
use crate::launch::prepared::Prepared;
use crate::launch::protocol::{self, Detail, Failure, Fault, Report};
use crate::launch::source_clone;
use crate::plan::namespaces::{IdMaps, Join, MapWriter, clone_flag, file_name};
use crate::plan::step::Action;
use crate::plan::{Place, Plan};
use crate::spec::linux::NamespaceKind;
use crate::sys::clone::{self, Request, Side};
use crate::sys::held::Held;
use crate::sys::limits;
use crate::sys::namespace;
use crate::sys::procfs::Procfs;
use crate::sys::signals;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitIdStatus};
use std::ffi::CString;
use std::process::Command;

/// What the caller of [`spawn`] has opened for init.
#[derive(Debug, Default)]
pub struct Sockets {
    /// The process whose namespaces it joins.
    pub target: Option<Held>,
    /// Where the pty's master goes.
    pub console: Option<OwnedFd>,
    /// The socket on which init awaits `start`.
    pub listener: Option<OwnedFd>,
    /// The locked file whose close on exec says that the program runs.
    pub marker: Option<OwnedFd>,
}

/// How init gets into its cgroup.
#[derive(Debug, Default)]
pub struct CgroupEntry<'fd> {
    /// The v2 directory that init is born in.
    pub directory: Option<BorrowedFd<'fd>>,
    /// The v1 `tasks` files that init writes itself into.
    pub tasks: Vec<OwnedFd>,
    /// What takes init in before its first step, where neither of these does.
    pub take_in: Option<TakeIn<'fd>>,
}

/// Moves init, which waits, into its cgroup.
pub struct TakeIn<'a>(pub &'a mut dyn FnMut(Pid) -> Result<()>);

impl std::fmt::Debug for TakeIn<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("TakeIn")
    }
}

impl Sockets {
    /// Second descriptors of all of them, for a second try.
    ///
    /// # Errors
    /// `EMFILE`.
    pub fn try_clone(&self) -> std::io::Result<Self> {
        let clone = |socket: &Option<OwnedFd>| socket.as_ref().map(OwnedFd::try_clone).transpose();
        Ok(Self {
            target: self.target.as_ref().map(Held::try_clone).transpose()?,
            console: clone(&self.console)?,
            listener: clone(&self.listener)?,
            marker: clone(&self.marker)?,
        })
    }
}

/// Init, as the parent knows it. Dropped, it is killed and reaped, unless [`Init::release`] was called.
#[derive(Debug)]
pub struct Init {
    /// Its pid as the runtime's namespace numbers it.
    pub pid: Pid,
    /// Its pidfd.
    pub pidfd: OwnedFd,
    channel: OwnedFd,
    released: bool,
}

impl Init {
    /// The next report of init; nothing when it is gone or has executed its program.
    ///
    /// # Errors
    /// A packet that is none of ours.
    pub fn report(&self) -> Result<Option<Report>> {
        protocol::receive(&self.channel).context(|| "read from init")
    }

    /// The socket to init.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }

    /// Lets init go on.
    ///
    /// # Errors
    /// Init is gone.
    pub fn go(&self) -> Result<()> {
        protocol::go(&self.channel).context(|| "let init go on")
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// Those of pidfd_send_signal(2).
    pub fn signal(&self, number: i32) -> std::result::Result<(), Errno> {
        signals::send_to_child(self.pidfd.as_fd(), self.pid.as_raw_nonzero().get(), number)
    }

    /// Lets init see the end of its socket, and waits until it has put back what it must.
    pub fn abandon(&self) {
        let _may_be_gone = rustix::net::shutdown(&self.channel, rustix::net::Shutdown::Both);
        self.wait();
    }

    /// Leaves init alone from now on: it is on record.
    pub fn release(&mut self) {
        self.released = true;
    }

    /// Whether init, whose socket has ended, was killed.
    pub fn was_killed(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let status = rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), options);
        status.ok().flatten().is_some_and(|status| status.terminating_signal() == Some(libc::SIGKILL))
    }

    /// Whether init has ended.
    fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let status = rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), options);
        status.is_ok_and(|status| status.is_some())
    }

    /// Waits until init has ended: how it did, if it is still ours to ask.
    pub fn wait(&self) -> Option<WaitIdStatus> {
        wait(self.pidfd.as_fd())
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        if !self.released {
            let _may_be_gone = self.signal(libc::SIGKILL);
            self.wait();
        }
    }
}

/// Makes init. It walks its steps at once; its reports are read with [`Init::report`].
///
/// # Errors
/// A namespace's path that is none, what the clone refuses, id maps that cannot be written.
pub fn spawn(
    plan: &Plan,
    prepared: &mut Prepared,
    cgroup: CgroupEntry<'_>,
    sockets: Sockets,
    procfs: Procfs,
) -> Result<Init> {
    if !namespace::is_single_threaded() {
        return Err(Error::new("the runtime has several threads and cannot clone itself"));
    }
    let joins = open_namespaces(plan, sockets.target.as_ref())?;
    let source_clones = plan
        .source_clones
        .iter()
        .map(|mount| source_clone::make(mount, plan, &joins, &procfs))
        .collect::<Result<Vec<_>>>()?;
    let (here, there) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .context(|| "socketpair")?;
    let target = sockets.target.and_then(Held::into_pidfd);
    let detour = Detour::enter(plan, &joins, target.as_ref(), &procfs)?;
    let mut descriptors = Descriptors {
        runtime_end: Some(here),
        procfs: Some(procfs),
        tasks: cgroup.tasks,
        joins,
        target,
        console: sockets.console,
        source_clones,
        listener: sockets.listener,
        marker: sockets.marker,
    };
    let (middle, waits) = (plan.namespaces.middle, cgroup.take_in.is_some());
    let request = Request {
        flags: if middle { 0 } else { plan.namespaces.create },
        cgroup: if middle { None } else { cgroup.directory },
    };
    let birthplace = Birthplace::enter(plan)?;
    let (pid, pidfd) = match clone::clone3(&request) {
        Err(errno) => {
            birthplace.leave()?;
            return Err(explain_clone(plan, errno));
        }
        Ok(Side::Child) if middle => between(plan, prepared, descriptors, there, (cgroup.directory, waits)),
        Ok(Side::Child) if waits && !stand_by(&mut descriptors, &there) => clone::exit(1),
        Ok(Side::Child) => init::run(plan, prepared, descriptors, there),
        Ok(Side::Parent { pid, pidfd }) => (pid, pidfd),
    };
    drop(there);
    birthplace.leave()?;
    detour.leave()?;
    let Some(channel) = descriptors.runtime_end.take() else { return Err(Error::new("no socket to init")) };
    let mut init = Init { pid, pidfd, channel, released: false };
    if middle {
        init = adopt(plan, init)?;
    }
    settle(plan, cgroup.take_in, descriptors.procfs.as_ref(), &init)?;
    Ok(init)
}

/// The working directory that init is born in, and the way back to the runtime's own.
struct Birthplace(Option<OwnedFd>);

impl Birthplace {
    /// Goes there.
    ///
    /// # Errors
    /// No such directory, or the runtime itself may not enter it.
    fn enter(plan: &Plan) -> Result<Self> {
        let Some(directory) = &plan.birthplace else { return Ok(Self(None)) };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let own = rustix::fs::openat(CWD, c".", flags, Mode::empty()).context(|| "working directory")?;
        rustix::process::chdir(directory)
            .context(|| format!("{}: {}", Place::property("root.path"), directory.to_string_lossy()))?;
        Ok(Self(Some(own)))
    }

    /// Goes back.
    ///
    /// # Errors
    /// As fchdir(2).
    fn leave(self) -> Result<()> {
        let Some(own) = self.0 else { return Ok(()) };
        rustix::process::fchdir(own).context(|| "go back to the working directory")
    }
}

/// What is done for init while it waits: its limits, its cgroup, its id maps.
fn settle(plan: &Plan, take_in: Option<TakeIn<'_>>, procfs: Option<&Procfs>, init: &Init) -> Result<()> {
    raise_limits(plan, init.pid)?;
    if let Some(TakeIn(take_in)) = take_in {
        take_in(init.pid)?;
        init.go()?;
    }
    let (Some(maps), Some(procfs)) = (&plan.namespaces.id_maps, procfs) else { return Ok(()) };
    match write_id_maps(maps, init.pid, procfs) {
        // The end of its socket tells the caller.
        Err(_) if init.has_ended() => return Ok(()),
        written => written?,
    }
    init.go()
}

/// Opens the files of the namespaces to join, which may be those of a process that is held.
fn open_namespaces(plan: &Plan, target: Option<&Held>) -> Result<Vec<OwnedFd>> {
    let joins = plan.namespaces.join.iter().map(open_namespace).collect::<Result<Vec<_>>>()?;
    // If it is still there, its pid was its own, and the files that were opened by it are those of the process.
    if !joins.is_empty() && target.is_some_and(Held::has_ended) {
        return Err(Error::from(Errno::SRCH).context("the process whose namespaces are joined"));
    }
    Ok(joins)
}

/// Opens a namespace's file and makes sure that it is one of the kind.
fn open_namespace(join: &Join) -> Result<OwnedFd> {
    let path = || format!("{}.path: {}", join.place, join.path.to_string_lossy());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = rustix::fs::openat(CWD, &join.path, flags, Mode::empty()).context(path)?;
    match namespace::kind(file.as_fd()) {
        Ok(kind) if u64::from(kind) == clone_flag(join.kind) => {}
        _ => return Err(Error::new(format!("{}: is not a namespace of type {}", path(), join.kind))),
    }
    if join.not_own && is_own(join.kind, &file)? {
        return Err(Error::new(format!("{}: is the runtime's own, which linux.sysctl would change", path())));
    }
    Ok(file)
}

/// Whether the file stands for the namespace that the runtime itself is in.
fn is_own(kind: NamespaceKind, file: &OwnedFd) -> Result<bool> {
    let path = format!("/proc/self/ns/{}", file_name(kind));
    let own = rustix::fs::stat(path.as_str()).context(|| path.as_str())?;
    let theirs = rustix::fs::fstat(file).context(|| path.as_str())?;
    Ok((own.st_dev, own.st_ino) == (theirs.st_dev, theirs.st_ino))
}

/// In the child: waits for the runtime's word before the first step; false when the runtime is gone. Its end of the socket must
/// not stay open here, or that would never be seen.
fn stand_by(descriptors: &mut Descriptors, channel: &OwnedFd) -> bool {
    drop(descriptors.runtime_end.take());
    protocol::await_go(channel.as_fd())
}

/// The process in between: joins the user namespace and what else is joined, makes init as its own brother, and goes.
fn between(
    plan: &Plan,
    prepared: &mut Prepared,
    mut descriptors: Descriptors,
    channel: OwnedFd,
    (cgroup, waits): (Option<BorrowedFd<'_>>, bool),
) -> ! {
    match join_between(plan, &descriptors, cgroup) {
        // Not a word before the process in between has said who we are, and not a step before we are in the cgroup.
        Ok(Side::Child)
            if !stand_by(&mut descriptors, &channel) || waits && !stand_by(&mut descriptors, &channel) =>
        {
            clone::exit(1)
        }
        Ok(Side::Child) => init::run(plan, prepared, descriptors, channel),

        Ok(Side::Parent { pid, pidfd }) => {
            protocol::send_born(channel.as_fd(), pid.as_raw_nonzero().get(), pidfd.as_fd());
            clone::exit(0)
        }
        Err(fault) => {
            let joins = |step: &crate::plan::step::Step| {
                matches!(step.action, crate::plan::step::Action::JoinNamespaces)
            };
            let step = plan.steps.iter().position(joins).unwrap_or_default() as u16;
            protocol::send(channel.as_fd(), &Report::Failed(Failure { step, fault }));
            clone::exit(1)
        }
    }
}

/// Goes into the namespaces and makes init there.
fn join_between(
    plan: &Plan,
    descriptors: &Descriptors,
    cgroup: Option<BorrowedFd<'_>>,
) -> std::result::Result<Side, Fault> {
    // Init inherits both: the score, which a process that may not be looked at cannot set, and that nobody inside may look
    // at it from its birth on.
    if let (Some(Action::OomScoreAdj(value)), Some(procfs)) =
        (plan.steps.first().map(|step| &step.action), &descriptors.procfs)
    {
        procfs.write(c"self/oom_score_adj", value)?;
    }
    init::not_dumpable()?;
    if let Some(target) = &descriptors.target {
        init::join_process(plan.namespaces.of_process & !init::CGROUP, target.as_fd())?;
    }
    let kinds = plan.namespaces.join.iter().map(|join| clone_flag(join.kind));
    init::join_all(kinds, &descriptors.joins, init::CGROUP)?;
    set_time_offsets(plan, descriptors.procfs.as_ref())?;
    let flags = plan.namespaces.create | libc::CLONE_PARENT as u64;
    Ok(clone::clone3(&Request { flags, cgroup })?)
}

/// A time namespace takes its offsets before a process is inside: the one in between makes it, for its child, with the rights
/// that it has in the namespaces that it joined.
fn set_time_offsets(plan: &Plan, procfs: Option<&Procfs>) -> std::result::Result<(), Fault> {
    let (Some(offsets), Some(procfs)) = (&plan.namespaces.time_offsets, procfs) else { return Ok(()) };
    let set = || {
        namespace::unshare(libc::CLONE_NEWTIME as u32)?;
        procfs.write(c"self/timens_offsets", offsets.as_bytes())
    };
    set().map_err(|errno| Fault { detail: Detail::new(b"linux.timeOffsets"), ..errno.into() })
}

/// Takes init over from the process in between, which is reaped.
fn adopt(plan: &Plan, mut middle: Init) -> Result<Init> {
    let (report, pidfd) = protocol::receive_born(&middle.channel).context(|| "read from init")?;
    middle.wait();
    middle.released = true;
    match (report, pidfd) {
        (Some(Report::Born(pid)), Some(pidfd)) => {
            let pid = Pid::from_raw(pid).ok_or_else(|| Error::new("init has no pid"))?;
            let channel = middle.channel.try_clone().context(|| "the socket to init")?;
            protocol::go(&channel).context(|| "let init go on")?;

            Ok(Init { pid, pidfd, channel, released: false })
        }
        (Some(Report::Failed(failure)), _) => Err(super::failure(plan, &failure)),
        _ => Err(Error::new("the process that joins the namespaces ended without a word")),
    }
}

/// Raises hard limits of init where the program gets higher ones than the caller has. It must be done while init still has
/// the caller's user ids.
fn raise_limits(plan: &Plan, pid: Pid) -> Result<()> {
    for step in &plan.steps {
        let Action::Rlimit(limit) = &step.action else { continue };
        let (soft, hard) = limits::get(limit.resource).context(|| step.to_string())?;
        if limit.hard <= hard {
            continue;
        }
        limits::set(Some(pid), limit.resource, soft, limit.hard).map_err(|errno| {
            let error = Error::from(errno).context(step.to_string());
            let hint = || format!("to raise a hard limit above the caller's {hard} needs CAP_SYS_RESOURCE");
            if errno == Errno::PERM { error.hint(hint()) } else { error }
        })?;
    }
    Ok(())
}

/// Writes the id maps of init's new user namespace.
fn write_id_maps(maps: &IdMaps, pid: Pid, procfs: &Procfs) -> Result<()> {
    let pid = pid.as_raw_nonzero();
    let write = |file: &str, value: &str| {
        let path = CString::new(format!("{pid}/{file}")).unwrap_or_default();
        procfs.write(&path, value.as_bytes())
    };
    match maps.writer {
        MapWriter::Helpers => {
            run_helper("newuidmap", pid.get(), &maps.uid).context(|| "linux.uidMappings")?;
            run_helper("newgidmap", pid.get(), &maps.gid).context(|| "linux.gidMappings")
        }
        MapWriter::Privileged | MapWriter::OwnId => {
            if maps.writer == MapWriter::OwnId {
                write("setgroups", "deny").context(|| "linux.gidMappings: deny setgroups")?;
            }
            write("uid_map", &maps.uid).context(|| format!("linux.uidMappings: {}", one_line(&maps.uid)))?;
            write("gid_map", &maps.gid).context(|| format!("linux.gidMappings: {}", one_line(&maps.gid)))
        }
    }
}

/// Runs newuidmap(1) or newgidmap(1), which know what `/etc/subuid` and `/etc/subgid` grant.
fn run_helper(program: &str, pid: i32, map: &str) -> Result<()> {
    let output = Command::new(program)
        .arg(pid.to_string())
        .args(map.split_whitespace())
        .output()
        .map_err(Error::from)
        .map_err(|error| error.context(program).hint("install the package uidmap"))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(Error::new(format!("{program} {}: {}", one_line(map), words.trim()))
        .hint("the ranges that a user may map are in /etc/subuid and /etc/subgid"))
}

fn one_line(map: &str) -> String {
    map.trim_end().replace('\n', ", ")
}

fn wait(pidfd: BorrowedFd<'_>) -> Option<WaitIdStatus> {
    loop {
        match rustix::process::waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED) {
            Err(Errno::INTR) => {}
            answer => return answer.ok().flatten(),
        }
    }
}

/// What the clone refuses has causes that its errno does not tell.
fn explain_clone(plan: &Plan, errno: Errno) -> Error {
    let user = plan.namespaces.creates(NamespaceKind::User);
    let error = Error::from(errno).context("make the namespaces of init");
    match errno {
        Errno::NOSPC => error.hint("a limit of user.max_user_namespaces or of a sibling is reached"),
        Errno::PERM if user => error.hint("new user namespaces may be forbidden: see user.max_user_namespaces, \
                                           kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns"),
        Errno::PERM => error.hint("without root, linux.namespaces needs a user namespace"),
        Errno::NOSYS => Error::new("linux.namespaces: without root a new time namespace needs clone3(2), which is missing")
            .hint("it needs Linux 5.6, and no seccomp filter above us that denies it"),
        _ => error,
    }
}
