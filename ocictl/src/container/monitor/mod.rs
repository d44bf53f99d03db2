//! The monitor: one small process for each running container. It starts the program by the OCI runtime, carries its streams, keeps its
//! exit code, starts it again where that was asked for, and asks it how it is.
//!
//! ```text
//!              ┌ status: how the start went ─▶ whoever started it
//! run, start ──┤
//!              └ a first client's socket          attach, stop ──▶ RUNROOT/containers/ID/attach
//!                                                                       │
//! monitor: poll( streams of the program · its pidfd · clients · socket · health check ) ── one thread, no growing buffer
//! ```
//!
//! It is born in the mount namespace in which the root was mounted; all that is left of a killed monitor is a container without one, which
//! every command sees by the lock, and handles.

mod clients;
mod health;
pub mod log;
pub mod session;
mod streams;

use super::cgroup::Cgroup;
use super::options::{OnUnhealthy, Restart};
use super::record::{self, Container, Phase, State, write_state};
use super::{Containers, bundle, program, status, wire};
use crate::error::{Context, Error, Result};
use crate::paths::Paths;
use crate::rootless;
use crate::runtime::{Launch, Runtime};
use crate::store::Store;
use crate::store::lock::Lock;
use crate::sys;
use crate::time;
use clients::{Clients, Input, Nowhere};
use health::Health;
pub use health::{PROCESS as HEALTH_PROCESS, Report as HealthReport, report as health_report};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::SocketType;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, pidfd_open, pidfd_send_signal, wait,
};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};
use streams::Streams;

/// Between two runs at first; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(60);
/// A run of this length makes the pauses short again.
const GOOD_RUN: Duration = Duration::from_secs(10);
/// How long a client that takes nothing may keep a container that has ended.
const LINGER: Duration = Duration::from_secs(10);
/// The same for one that somebody has stopped, and waits for.
const LINGER_STOPPED: Duration = Duration::from_secs(1);
/// A container that was given less memory may not get as far as its program.
const ROOM: i64 = 6 << 20;
/// What the one who starts a monitor hears first when all went well; else it is a [`Refusal`] as JSON.
pub const STARTED: u8 = b'+';

/// Why a start failed, on its way to whoever asked for it.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Refusal {
    /// The sentence.
    pub message: String,
    /// What may help.
    pub hint: Option<String>,
    /// The exit code.
    pub code: u8,
}

/// `ocictl monitor`: stdin is where it tells how the start went, stdout the first client's socket, if there is one.
pub fn main(paths: &Paths, id: &str) -> u8 {
    let (status, first) = match become_supervisor(paths) {
        Ok(ends) => ends,
        Err(error) => {
            refuse(rustix::stdio::stdin(), &error);
            return 1;
        }
    };
    match prepare(paths, id, first) {
        Ok(mut monitor) => {
            monitor.status = Some(status);
            match monitor.run() {
                Ok(()) => 0,
                Err(_told) => 1,
            }
        }
        Err(error) => {
            refuse(&status, &error);
            1
        }
    }
}

fn refuse(status: impl AsFd, error: &Error) {
    let refusal =
        Refusal { message: error.to_string(), hint: error.hint_text().map(String::from), code: error.code() };
    // Whoever asked may have gone; then nobody wants to know.
    let _nobody_listens = rustix::io::write(status, &serde_json::to_vec(&refusal).unwrap_or_default());
}

struct Monitor {
    container: Container,
    containers_paths: Paths,
    runtime: Runtime,
    status: Option<OwnedFd>,
    listener: OwnedFd,
    clients: Clients,
    state: State,
    log: log::Writer,
    _lock: Lock,
}

/// What there is to be done for a program that has ended.
struct Rest {
    /// Whether something it printed was carried.
    moved: bool,
    /// How many sources have something.
    ready: usize,
    /// Whether a client has not taken what it was sent.
    owed: bool,
    /// Whether somebody waits for the end.
    wanted: bool,
}

impl Rest {
    /// Whether nothing is. What outlives a program that has no pid namespace of its own may print without end.
    fn is_over(&self, since: Instant, streams: &Streams) -> bool {
        since.elapsed() > if self.wanted { LINGER_STOPPED } else { LINGER }
            || (!self.moved && !self.owed && (self.ready == 0 || streams.is_empty()))
    }
}

/// What made [`Monitor::supervise`] return.
struct End {
    code: i32,
    oom_killed: bool,
    start_anew: bool,
}

/// Parts this process from whoever started it: it leads a session, hears of the processes below it, and its standard streams lead nowhere.
/// What stdin and stdout were comes back: where to tell how the start went, and the first client's socket.
fn become_supervisor(paths: &Paths) -> Result<(OwnedFd, OwnedFd)> {
    let _already_leads_a_session = rustix::process::setsid();
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let status = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let first = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
    let null = rustix::fs::open(
        "/dev/null",
        rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    rootless::remember(&paths.runroot, rustix::process::getpid())?;
    Ok((status, first))
}

fn prepare(paths: &Paths, id: &str, first: OwnedFd) -> Result<Monitor> {
    let store = Store::open(paths)?;
    let containers = Containers::open(&store)?;
    let container = containers.by_id(id)?.ok_or_else(|| super::no_such(id))?;
    let place = container.place();
    let runtime = Runtime::choose(&container.record.options.runtime, containers.runroot())?;
    let lock = Lock::wait(&container.directory.join("monitor"))?;
    let listener = wire::listen(&container.run, "attach", SocketType::SEQPACKET)?;
    let log = log::Writer::open(&container.record.options.log, &container.directory).context(|| place)?;
    let mut clients = Clients::default();
    if is_socket(&first) {
        clients.add_attached(first);
    }
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let state = State {
        boot: record::boot(),
        monitor: own,
        monitor_start: record::start_time(own).unwrap_or_default(),
        ..State::default()
    };
    Ok(Monitor {
        container,
        containers_paths: paths.clone(),
        runtime,
        status: None,
        listener,
        clients,
        state,
        log,
        _lock: lock,
    })
}

fn is_socket(descriptor: &OwnedFd) -> bool {
    rustix::fs::fstat(descriptor)
        .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Socket)
}

impl Monitor {
    /// The container's life: runs until it is over for good.
    fn run(&mut self) -> Result<()> {
        let mut pause = FIRST_PAUSE;
        let result = loop {
            let begun = Instant::now();
            let end = match self.once() {
                Ok(end) => end,
                Err(error) if self.state.restarts == 0 && self.state.started == 0 => break Err(error),
                Err(error) => {
                    self.state.error = error.to_string();
                    let end = End { code: i32::from(error.code()), oom_killed: false, start_anew: false };
                    self.note(&end);
                    end
                }
            };
            self.state.pid = 0;
            if begun.elapsed() >= GOOD_RUN {
                pause = FIRST_PAUSE;
            }
            if self.clients.stop_is_wanted() || !(end.start_anew || self.starts_again(end.code)) {
                break Ok(());
            }
            self.state.phase = Phase::Restarting;
            self.write_state();
            if self.wait(pause) {
                break Ok(());
            }
            pause = (pause * 2).min(LAST_PAUSE);
            self.state.restarts += 1;
        };
        self.finish(result)
    }

    /// The last things: the state is written, the bundle goes, and with `--rm` the container; then the clients hear of it.
    fn finish(&mut self, result: Result<()>) -> Result<()> {
        self.state.stopped = self.clients.stop_is_wanted();
        self.state.phase = Phase::Exited;
        if let Err(error) = &result {
            self.state.phase = Phase::Created;
            self.state.error = error.to_string();
            self.state.exit_code = i32::from(error.code());
        }
        self.write_state();
        let cleared = bundle::clear(&self.container.run);
        if let (Ok(()), Err(error)) = (&result, &cleared) {
            self.state.error = error.to_string();
            self.write_state();
        }
        let cleared = cleared.and(self.erase());
        if let (Err(error), Some(status)) = (&result, self.status.take()) {
            refuse(status, error);
        }
        rootless::forget(&self.containers_paths.runroot, rustix::process::getpid());
        self.clients.tell_exit(self.state.exit_code);
        result.and(cleared)
    }

    /// With `--rm` a container goes with its end.
    fn erase(&self) -> Result<()> {
        if self.container.record.options.remove {
            let store = Store::open(&self.containers_paths)?;
            Containers::open(&store)?.erase(&self.container, true)?;
        }
        Ok(())
    }

    fn write_state(&self) {
        // A full disk must not stop a container; what is true is asked of the kernel.
        let _best_effort = write_state(&self.container.directory, &self.state);
    }

    fn note(&mut self, end: &End) {
        self.state.exit_code = end.code;
        self.state.oom_killed = end.oom_killed;
        self.state.finished = time::now();
    }

    /// One run of the program, from start to end.
    fn once(&mut self) -> Result<End> {
        let run = self.container.run.clone();
        let options = &self.container.record.options;
        self.state.phase = Phase::Starting;
        self.write_state();
        let (mut streams, stdio) = Streams::open(options.tty, options.interactive, &run)?;
        let console = options.tty.then_some(streams::CONSOLE);
        let id = self.container.record.id.clone();
        self.runtime
            .run(Launch { id: &id, bundle: &run, console, stdio })
            .map_err(|error| with_too_little(error, options.resources.memory))?;
        let started = self.started(&mut streams, &run);
        let (pid, pidfd) = match started {
            Ok(started) => started,
            Err(error) => {
                self.runtime.delete(&id)?;
                return Err(error);
            }
        };
        // Without a cgroup of its own it is in one whose other processes are no concern of ours.
        let has_cgroup = status::has_cgroup(&self.container).unwrap_or(false);
        let cgroup = has_cgroup.then(|| Cgroup::of(pid.as_raw_nonzero().get(), &id)).flatten();
        let mut health =
            Health::begin(self.container.record.options.health.clone(), &run, &id, &self.runtime);
        let mut end = self.supervise(pid, &pidfd, &mut streams, &mut health);
        end.oom_killed = cgroup.is_some_and(|cgroup| cgroup.oom_kills() > 0);
        rootless::forget(&self.containers_paths.runroot, pid);
        // At once: that the program has ended is seen by everybody.
        self.note(&end);
        self.write_state();
        if let Err(error) = self.runtime.delete(&id) {
            // How the program ended is true all the same.
            self.state.error = error.to_string();
        }
        let _not_frozen_any_more = std::fs::remove_file(run.join("paused"));
        Ok(end)
    }

    /// What is done between the start and the first wait: the pid is written down, and whoever asked is told.
    fn started(&mut self, streams: &mut Streams, run: &Path) -> Result<(Pid, OwnedFd)> {
        let pid = program::written_pid(&run.join("pid"))?;
        let pid = pid.ok_or_else(|| Error::new("the runtime has written no pid").exit_code(125))?;
        let pidfd =
            pidfd_open(pid, PidfdFlags::empty()).context(|| format!("process {}", pid.as_raw_nonzero()))?;
        rootless::remember(&self.containers_paths.runroot, pid)?;
        streams.take_terminal()?;
        self.state.pid = pid.as_raw_nonzero().get();
        // A program that has ended already is not reaped yet: nobody else has its number.
        self.state.pid_start = record::start_time(self.state.pid).unwrap_or_default();
        self.state.started = time::now();
        self.state.error.clear();
        self.state.phase = Phase::Running;
        self.write_state();
        if let Some(status) = self.status.take() {
            let _nobody_listens = rustix::io::write(status, &[STARTED]);
        }
        Ok((pid, pidfd))
    }

    /// Carries streams and answers clients until the program has ended and all that it printed was carried on.
    fn supervise(&mut self, pid: Pid, pidfd: &OwnedFd, streams: &mut Streams, health: &mut Health) -> End {
        let mut end = End { code: 255, oom_killed: false, start_anew: false };
        let mut ended: Option<Instant> = None;
        let mut kill_at: Option<Instant> = None;
        loop {
            let mut sources = Vec::with_capacity(8 + self.clients.len());
            if ended.is_none() {
                sources.push(PollFd::new(pidfd, PollFlags::IN));
            }
            if !self.clients.is_full() {
                sources.push(PollFd::new(&self.listener, PollFlags::IN));
            }
            health.add_sources(&mut sources);
            streams.add_sources(&mut sources, self.clients.owe());
            self.clients.add_sources(&mut sources, streams.is_full());
            let timeout = match (ended, self.clients.owe()) {
                (Some(_), true) => Some(Duration::from_millis(100)),
                (Some(_), false) => Some(Duration::ZERO),
                (None, _) => {
                    let patience = kill_at.map(|moment| moment.saturating_duration_since(Instant::now()));
                    health.next().into_iter().chain(streams.next()).chain(patience).min()
                }
            };
            let ready = poll(&mut sources, timeout);
            drop(sources);
            // Also processes of the container come to us whose parent has ended, where it has no pid namespace of its own.
            while let Ok(Some((reaped, status))) = wait(WaitOptions::NOHANG) {
                if reaped == pid {
                    end.code = code_of(status);
                    ended = Some(Instant::now());
                } else if health.pid() == Some(reaped) {
                    health.ended(code_of(status));
                }
            }
            self.clients.accept(&self.listener);
            let moved = streams.carry(&mut self.clients, &mut self.log);
            self.clients.serve(streams);
            if self.clients.take_check() {
                health.hurry();
            }
            if let Some(action) = health.look(&self.container) {
                kill_at = self.act(action, pidfd, &mut end);
            }
            if kill_at.is_some_and(|moment| moment <= Instant::now()) {
                let _has_ended_already = pidfd_send_signal(pidfd, Signal::KILL);
                kill_at = None;
            }
            let rest = Rest { moved, ready, owed: self.clients.owe(), wanted: self.clients.stop_is_wanted() };
            if ended.is_some_and(|since| rest.is_over(since, streams)) {
                health.abandon();
                return end;
            }
        }
    }

    /// What an unhealthy container's owner has asked for; when its program is to be killed.
    fn act(&mut self, action: OnUnhealthy, pidfd: &OwnedFd, end: &mut End) -> Option<Instant> {
        match action {
            OnUnhealthy::None => return None,
            OnUnhealthy::Kill => {}
            OnUnhealthy::Restart => end.start_anew = true,
            OnUnhealthy::Stop => {
                self.clients.want_stop();
                let signal = status::stop_signal(&self.container).unwrap_or(libc::SIGTERM);
                let _has_ended_already = sys::process::send_signal(pidfd, signal);
                return Some(Instant::now() + status::patience(&self.container));
            }
        }
        Some(Instant::now())
    }

    fn starts_again(&self, code: i32) -> bool {
        // It may have been updated since.
        let record = record::read_record(&self.container.directory).ok().flatten();
        let policy =
            record.as_ref().map_or(self.container.record.options.restart, |record| record.options.restart);
        match policy {
            Restart::No => false,
            Restart::OnFailure(most) => code != 0 && (most == 0 || self.state.restarts < most),
            Restart::Always | Restart::UnlessStopped => true,
        }
    }

    /// Waits between two runs; `true` if somebody wants it stopped.
    fn wait(&mut self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.clients.stop_is_wanted() {
                return self.clients.stop_is_wanted();
            }
            let mut sources = Vec::with_capacity(1 + self.clients.len());
            if !self.clients.is_full() {
                sources.push(PollFd::new(&self.listener, PollFlags::IN));
            }
            self.clients.add_sources(&mut sources, true);
            poll(&mut sources, Some(left));
            drop(sources);
            self.clients.accept(&self.listener);
            self.clients.serve(&mut Nowhere);
        }
    }
}

/// Waits for one of the sources; how many are ready.
fn poll(sources: &mut [PollFd<'_>], timeout: Option<Duration>) -> usize {
    match status::poll(sources, timeout) {
        Ok(ready) => ready,
        Err(Errno::INTR) => 1,
        // Out of memory for a moment: not a reason to spin.
        Err(_) => {
            std::thread::sleep(Duration::from_millis(100));
            1
        }
    }
}

/// A runtime, or the program's init, that has no room to start in is killed, and looks as if it had crashed.
fn with_too_little(error: Error, memory: Option<i64>) -> Error {
    match memory.filter(|bytes| (1..ROOM).contains(bytes)) {
        Some(bytes) => error.hint(format!(
            "--memory {bytes}: so few bytes may be too little to start a container in, and the kernel then ends it; docker asks for 6m at least"
        )),
        None => error,
    }
}

/// As shells count: an exit code, or 128 and the signal.
fn code_of(status: WaitStatus) -> i32 {
    let signal = status.terminating_signal().map(|signal| 128 + signal);
    status.exit_status().or(signal).unwrap_or(255)
}
