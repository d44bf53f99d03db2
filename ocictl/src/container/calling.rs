//! Calling a monitor. It answers at once; one that does not (it was stopped by SIGSTOP, a debugger holds it, it hangs at a disk) is done
//! without, like one that has died. Where its work is done in its place it is ended first, so that it can never take that up again.

use super::program;
use super::record::{Container, Phase, State, held, is_stopped, lives};
use super::wire::{self, CHUNK, kind};
use crate::error::{Context, Error, Result};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// How long a monitor may take to say that it has heard; it is busy for some milliseconds where its program begins or ends.
pub const ANSWER: Duration = Duration::from_secs(2);
/// What is left for a monitor to do when its program has ended; it is alone with that.
pub const LAST_WORDS: Duration = Duration::from_secs(10);
/// One that the kernel shows as stopped is not waited for longer than that.
const A_MOMENT: Duration = Duration::from_secs(1);
/// It may be removing a container with many files.
const LONG_WORK: Duration = Duration::from_secs(60);

/// What came of a call.
#[derive(Debug)]
pub enum Answer {
    /// No monitor listens.
    Nobody,
    /// It has not answered, but may hear what was said when it goes on; there is no socket if too many have called before.
    Silent(Option<OwnedFd>),
    /// It has heard.
    Heard(OwnedFd),
}

/// Calls a container's monitor with a request, and waits for its answer no longer than [`ANSWER`].
///
/// # Errors
/// Fails if it cannot be called for other reasons.
pub fn ask(container: &Container, request: u8) -> Result<Answer> {
    let socket = match wire::call(&container.run, "attach", ANSWER) {
        Ok(Some(socket)) => socket,
        Ok(None) => return Ok(Answer::Nobody),
        Err(error) if error.errno() == Some(libc::EAGAIN) => return Ok(Answer::Silent(None)),
        Err(error) => return Err(error),
    };
    if wire::send(&socket, request, &[], true).is_err() {
        return Ok(Answer::Nobody);
    }
    let mut buffer = [0; CHUNK + 1];
    Ok(match wire::receive(&socket, &mut buffer, true) {
        Ok(Some((kind::HEARD, _))) => Answer::Heard(socket),
        Ok(Some((kind::FULL, _))) => {
            return Err(Error::new("too many are attached to it or wait for it")
                .context(container.place())
                .exit_code(125));
        }
        Err(Errno::AGAIN) => Answer::Silent(Some(socket)),
        _ => Answer::Nobody,
    })
}

/// That a monitor does not answer, and what helps.
pub fn silent(container: &Container) -> Error {
    let (who, way) = match container.state() {
        Ok(State { monitor: monitor @ 1.., .. }) => (
            format!(" (process {monitor})"),
            format!("if it was stopped, `kill -CONT {monitor}` lets it go on; "),
        ),
        _ => (String::new(), String::new()),
    };
    Error::new(format!("its monitor{who} does not answer"))
        .context(container.place())
        .hint(format!("{way}`ocictl stop` and `ocictl rm -f` do without it"))
        .exit_code(125)
}

/// That the monitor of a container that runs has died, what follows from that, and what helps.
pub fn alone(container: &Container, so: &str) -> Error {
    Error::new(format!("it runs, but its monitor has died: {so}")).context(container.place()).hint(
        "`ocictl exec` runs another program in it; `ocictl restart` ends it and gives it a monitor again",
    )
}

/// Waits until a container's monitor has ended, and ends one that does not do its work. With `patient`, one that starts its program is not
/// ended, and no longer waited for when that runs.
///
/// # Errors
/// Says that it is being started, or that the monitor cannot be ended.
pub fn outlast(container: &Container, patient: bool) -> Result<()> {
    let begun = Instant::now();
    let mut pause = Duration::from_micros(500);
    let first = container.state()?;
    while container.is_monitored() {
        let state = container.state()?;
        if (state.monitor, state.monitor_start) != (first.monitor, first.monitor_start) {
            // Somebody has started it anew.
            return Ok(());
        }
        if patient && state.phase == Phase::Running && lives(&state) {
            return Ok(());
        }
        let is_stopped = is_stopped(&state);
        let starts = patient && matches!(state.phase, Phase::Starting | Phase::Restarting) && !is_stopped;
        if starts && begun.elapsed() > LAST_WORDS {
            return Err(Error::new("it is being started").context(container.place()));
        }
        // One that is at work may be removing much, or be kept by a client that takes nothing.
        if begun.elapsed() > if is_stopped { A_MOMENT } else { LONG_WORK } {
            return end(container, &state);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    Ok(())
}

/// Ends a monitor.
fn end(container: &Container, state: &State) -> Result<()> {
    let place = || container.place();
    let stays = || Error::new("its monitor does not answer, and cannot be ended").context(place());
    match held(state.monitor, state.monitor_start, &state.boot).context(place)? {
        Some(monitor) => {
            program::signal(container, &monitor, libc::SIGKILL)?;
            // The lock goes with its descriptors, shortly before it counts as ended.
            let gone = program::wait(&monitor, Some(LAST_WORDS)) && !container.is_monitored();
            if gone { Ok(()) } else { Err(stays()) }
        }
        None if container.is_monitored() => Err(stays()),
        None => Ok(()),
    }
}

/// Looks out, for somebody who waits for a monitor's word, for the program whose end that monitor tells nothing of.
#[derive(Debug)]
pub struct Vigil<'a> {
    container: &'a Container,
    sight: Sight,
}

#[derive(Debug)]
enum Sight {
    /// The program runs: there is nothing to wait for.
    Runs(OwnedFd),
    /// It has ended, and the monitor was asked.
    Asked(Instant),
    /// The monitor is there: it may be between two runs.
    Answered(Instant),
}

impl<'a> Vigil<'a> {
    /// Begins to look.
    ///
    /// # Errors
    /// Fails if the container's state cannot be read.
    pub fn begin(container: &'a Container) -> Result<Self> {
        let sight = program::program(container)?.map_or_else(|| Sight::Answered(Instant::now()), Sight::Runs);
        Ok(Self { container, sight })
    }

    /// What to wait for beside the monitor's socket.
    pub fn source(&self) -> Option<PollFd<'_>> {
        match &self.sight {
            Sight::Runs(program) => Some(PollFd::new(program, PollFlags::IN)),
            _ => None,
        }
    }

    /// When to look again though nothing has come.
    pub fn next(&self) -> Option<Duration> {
        match self.sight {
            Sight::Runs(_) => None,
            _ => Some(A_MOMENT / 4),
        }
    }

    /// To be called when something has come, or the time has. `heard`: whether the monitor has said anything.
    ///
    /// # Errors
    /// Says that the monitor does not answer.
    pub fn look(&mut self, socket: &OwnedFd, heard: bool) -> Result<()> {
        match &self.sight {
            Sight::Runs(program) if program::wait(program, Some(Duration::ZERO)) => self.ask(socket),
            Sight::Asked(_) if heard => self.sight = Sight::Answered(Instant::now()),
            Sight::Asked(since) if since.elapsed() > A_MOMENT => {
                let stopped = is_stopped(&self.container.state()?);
                if stopped || since.elapsed() > LONG_WORK {
                    return Err(silent(self.container));
                }
            }
            Sight::Answered(since) if since.elapsed() > A_MOMENT => match program::program(self.container)? {
                Some(program) => self.sight = Sight::Runs(program),
                None => self.ask(socket),
            },
            _ => {}
        }
        Ok(())
    }

    fn ask(&mut self, socket: &OwnedFd) {
        // One that has gone is told of by the end of its socket.
        let _gone = wire::send(socket, kind::WAIT, &[], false);
        self.sight = Sight::Asked(Instant::now());
    }
}
