//! What to do with a container whose monitor has died or does not answer, and how to signal one whatever became of its monitor.

use super::calling::{self, Answer, LAST_WORDS, Vigil};
pub use super::program::{poll, program, signal, wait};
pub use super::record::UNKNOWN_CODE;
use super::record::{Container, Phase, State, Status, write_state};
use super::wire::{self, kind};
use super::{Containers, bundle, init, parse};
use crate::error::{Context, Error, Result};
use crate::runtime::Runtime;
use crate::store::disk;
use crate::time;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

const MAX_SPECIFICATION: u64 = 16 << 20;
/// Seconds between the stop signal and SIGKILL, as docker and podman have it.
const PATIENCE: u64 = 10;
/// How long an init may take from its execution to the first signal that it hears.
const INIT_STARTS: Duration = Duration::from_secs(2);

/// The runtime of a container.
///
/// # Errors
/// Fails if it is not there any more.
pub fn runtime(containers: &Containers<'_>, container: &Container) -> Result<Runtime> {
    Runtime::choose(&container.record.options.runtime, containers.runroot())
}

/// Tells the monitor that its container is going to be stopped and is not to be started again. One that does not answer hears it when it
/// goes on.
///
/// # Errors
/// Fails if the monitor cannot be called.
pub fn announce_stop(container: &Container) -> Result<()> {
    calling::ask(container, kind::STOP).map(drop)
}

/// Waits until a container has ended for good; its exit code as the monitor tells it. Nothing if there is no monitor, or it dies.
///
/// # Errors
/// Fails if the monitor cannot be called, or tells nothing of the program's end.
pub fn end(container: &Container) -> Result<Option<i32>> {
    let socket = match calling::ask(container, kind::WAIT)? {
        Answer::Nobody => return Ok(None),
        Answer::Silent(None) => return Err(calling::silent(container)),
        Answer::Silent(Some(socket)) | Answer::Heard(socket) => socket,
    };
    let mut vigil = Vigil::begin(container)?;
    let mut buffer = [0; wire::CHUNK + 1];
    loop {
        let mut sources = vec![PollFd::new(&socket, PollFlags::IN)];
        sources.extend(vigil.source());
        match poll(&mut sources, vigil.next()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).context(|| container.place()),
        }
        drop(sources);
        let heard = match wire::receive(&socket, &mut buffer, false) {
            Ok(Some((kind::EXIT, code))) => return Ok(code.try_into().ok().map(i32::from_le_bytes)),
            Ok(Some(_)) => true,
            Err(Errno::AGAIN) => false,
            Ok(None) | Err(_) => return Ok(None),
        };
        vigil.look(&socket, heard)?;
    }
}

/// Waits until the monitor has done what follows the end of its program; does it itself where the monitor has died or does not do it. With
/// `wanted`, somebody has asked for that end.
///
/// # Errors
/// Fails if the monitor cannot be ended or the runtime fails.
pub fn settle(containers: &Containers<'_>, container: &Container, wanted: bool) -> Result<()> {
    calling::outlast(container, !wanted)?;
    // Whoever starts it meanwhile has the lock, and its bundle is his.
    let Some(_guard) = containers.hold(container)? else { return Ok(()) };
    forget(containers, container, wanted)
}

/// As [`settle`], where the caller holds the container's lock.
///
/// # Errors
/// As [`settle`].
pub fn settle_held(containers: &Containers<'_>, container: &Container, wanted: bool) -> Result<()> {
    calling::outlast(container, !wanted)?;
    forget(containers, container, wanted)
}

/// Where a monitor has died, and the caller holds the container's lock: what it left is taken away, and the state says so, and that
/// somebody `stopped` it. Only for a container whose program has ended or will be ended by this.
///
/// # Errors
/// Fails if the runtime fails.
pub fn forget(containers: &Containers<'_>, container: &Container, stopped: bool) -> Result<()> {
    if containers.by_id(&container.record.id)?.is_none() {
        return Ok(());
    }
    let state = container.state()?;
    let died = matches!(state.phase, Phase::Starting | Phase::Running | Phase::Restarting);
    if (died || std::fs::symlink_metadata(&container.run).is_ok()) && !container.is_monitored() {
        runtime(containers, container)?.delete(&container.record.id)?;
        bundle::clear(&container.run)?;
        if died {
            let error = "its monitor has died".to_owned();
            let after = State {
                phase: Phase::Exited,
                pid: 0,
                exit_code: UNKNOWN_CODE,
                finished: time::now(),
                error,
                stopped: stopped || state.stopped,
                ..state.told()
            };
            write_state(&container.directory, &after)?;
        }
    }
    Ok(())
}

/// The signal that asks a container to end.
///
/// # Errors
/// Fails if its record has none that is one.
pub fn stop_signal(container: &Container) -> Result<i32> {
    match container.record.options.stop_signal.as_str() {
        "" => Ok(libc::SIGTERM),
        text => parse::signal(text).context(|| container.place()),
    }
}

/// How long a container is given to end.
pub fn patience(container: &Container) -> Duration {
    Duration::from_secs(container.record.options.stop_timeout.unwrap_or(PATIENCE))
}

/// Asks a container to end, and ends it when the time is over.
///
/// # Errors
/// Fails if it cannot be signalled or does not end.
pub fn stop(
    containers: &Containers<'_>,
    container: &Container,
    number: i32,
    patience: Option<Duration>,
) -> Result<()> {
    let program = ask_to_end(containers, container, number)?;
    finish(containers, container, program, patience)
}

/// The first half of [`stop`]: the program that was asked, if it runs.
///
/// # Errors
/// Fails if it cannot be signalled.
pub fn ask_to_end(
    containers: &Containers<'_>,
    container: &Container,
    number: i32,
) -> Result<Option<OwnedFd>> {
    announce_stop(container)?;
    let program = program(container)?;
    if let Some(program) = &program {
        if container.now()?.1 == Status::Paused {
            resume(containers, container)?;
        }
        if container.record.options.init {
            let pid = container.state()?.pid;
            let until = Instant::now() + INIT_STARTS;
            while !init::is_ready(pid)
                && Instant::now() < until
                && !wait(program, Some(Duration::from_millis(1)))
            {}
        }
        signal(container, program, number)?;
    }
    Ok(program)
}

/// The second half of [`stop`].
///
/// # Errors
/// Fails if the container does not end.
pub fn finish(
    containers: &Containers<'_>,
    container: &Container,
    program: Option<OwnedFd>,
    patience: Option<Duration>,
) -> Result<()> {
    if let Some(program) = program
        && !wait(&program, patience)
    {
        kill(containers, container, &program)?;
    }
    settle(containers, container, true)?;
    if container.record.options.remove {
        erase(containers, container)?;
    }
    Ok(())
}

/// What a monitor that has died has not done: with `--rm`, a container goes with its end.
fn erase(containers: &Containers<'_>, container: &Container) -> Result<()> {
    if containers.by_id(&container.record.id)?.is_none() {
        return Ok(());
    }
    let _guard = container.lock()?;
    if container.now()?.1.lives() || container.is_monitored() {
        return Ok(());
    }
    containers.erase(container, true)
}

/// Ends a container's program and all that it has started.
///
/// # Errors
/// Fails if it does not end.
pub fn kill(containers: &Containers<'_>, container: &Container, program: &OwnedFd) -> Result<()> {
    signal(container, program, libc::SIGKILL)?;
    if !wait(program, Some(Duration::from_millis(500))) {
        // Frozen, or without a pid namespace of its own: the runtime knows its cgroup.
        runtime(containers, container)?.delete(&container.record.id)?;
        if !wait(program, Some(LAST_WORDS)) {
            return Err(Error::new("its program does not end").context(container.place()));
        }
    }
    Ok(())
}

/// Lets a frozen container go on.
///
/// # Errors
/// The runtime's words.
pub fn resume(containers: &Containers<'_>, container: &Container) -> Result<()> {
    runtime(containers, container)?
        .call(&["resume", &container.record.id], None)
        .context(|| container.place())?;
    match std::fs::remove_file(container.run.join("paused")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Whether a running container has a cgroup of its own; without root there may be none.
///
/// # Errors
/// Fails if its specification cannot be read.
pub fn has_cgroup(container: &Container) -> Result<bool> {
    if !crate::rootless::in_user_namespace() {
        return Ok(true);
    }
    let bytes = disk::read_small(&container.run.join("config.json"), MAX_SPECIFICATION)?.unwrap_or_default();
    let config: serde_json::Value = serde_json::from_slice(&bytes)
        .map_err(|error| Error::new(format!("config.json: {error}")).context(container.place()))?;
    Ok(config["linux"]["cgroupsPath"].is_string())
}

/// Freezes a container.
///
/// # Errors
/// The runtime's words; that it has no cgroup.
pub fn pause(containers: &Containers<'_>, container: &Container) -> Result<()> {
    if !has_cgroup(container)? {
        return Err(Error::new("it has no cgroup that could be frozen")
            .context(container.place())
            .hint("without root, a cgroup has to be delegated to the user"));
    }
    runtime(containers, container)?
        .call(&["pause", &container.record.id], None)
        .context(|| container.place())?;
    std::fs::write(container.run.join("paused"), "").context(|| container.place())
}
