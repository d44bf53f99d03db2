//! `events`: what a container uses, now or every few seconds, and when its memory ran out; a line of JSON each.
//!
//! The names are runc's, which its Go callers parse.

use crate::cgroup::{self, OomWatch, Stats};
use crate::container::Container;
use crate::container::network::{self, Interface};
use crate::container::resctrl;
use crate::error::{Context, Error, Result};
use crate::spec::Status;
use crate::sys::held::Held;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde::Serialize;
use std::time::{Duration, Instant};

#[derive(Serialize)]
struct Event<'a> {
    r#type: &'static str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data>,
}

#[derive(Serialize)]
struct Data {
    #[serde(flatten)]
    stats: Stats,
    intel_rdt: resctrl::Stats,
    /// `null` where the container has no network of its own.
    network_interfaces: Option<Vec<Interface>>,
}

/// What the container uses now, as one line.
///
/// # Errors
/// `container not running`.
pub fn stats(container: &Container) -> Result<String> {
    check(container)?;
    stats_line(container)
}

/// Tells every `interval` what the container uses, and at once when its memory ran out, until it has ended or `tell` says
/// that nobody listens.
///
/// # Errors
/// `container not running`; what `tell` says.
pub fn stream(
    container: &Container,
    interval: Duration,
    mut tell: impl FnMut(&str) -> Result<bool>,
) -> Result<()> {
    check(container)?;
    let process = container.record.process.as_ref();
    let Some(init) = process.map_or(Ok(None), |process| process.open())? else { return Ok(()) };
    let mut oom = cgroup::open(&container.record.cgroup).watch_oom()?;
    let mut next = Instant::now() + interval;
    loop {
        let woken = wait(&init, oom.as_ref(), next)?;
        // First of all: it may be why init has ended.
        if woken.by_oom {
            match oom.as_mut().and_then(OomWatch::happened) {
                Some(true) if !tell(&line("oom", container, None)?)? => return Ok(()),
                Some(_) => {}
                None => oom = None,
            }
        }
        if woken.by_init {
            return Ok(());
        }
        if Instant::now() >= next {
            next = Instant::now() + interval;
            if !tell(&stats_line(container)?)? {
                return Ok(());
            }
        }
    }
}

fn check(container: &Container) -> Result<()> {
    match container.status()? {
        Status::Stopped | Status::Creating => Err(Error::new("container not running")),
        _ => Ok(()),
    }
}

fn stats_line(container: &Container) -> Result<String> {
    let network_interfaces = container.record.process.as_ref().and_then(network::interfaces);
    let stats = cgroup::open(&container.record.cgroup).stats();
    // An update may have given it a class meanwhile.
    let directories = container.directory.read_template()?.resctrl;
    let intel_rdt = resctrl::Stats::read(&directories, &container.record.id);
    line("stats", container, Some(Data { stats, intel_rdt, network_interfaces }))
}

fn line(r#type: &'static str, container: &Container, data: Option<Data>) -> Result<String> {
    let event = Event { r#type, id: &container.record.id, data };
    let text = serde_json::to_string(&event).map_err(|error| Error::new(error.to_string()))?;
    Ok(text + "\n")
}

/// How often a process without a pidfd is looked after.
const LOOK: Duration = Duration::from_millis(100);

/// What ended the waiting; neither when it was the time.
struct Woken {
    by_init: bool,
    by_oom: bool,
}

fn wait(init: &Held, oom: Option<&OomWatch>, until: Instant) -> Result<Woken> {
    let mut left = until.saturating_duration_since(Instant::now());
    let mut events: Vec<PollFd<'_>> = oom.map(OomWatch::poll_fd).into_iter().collect();
    match init.pidfd() {
        Some(pidfd) => events.push(PollFd::from_borrowed_fd(pidfd, PollFlags::IN)),
        // Nothing tells of its end: it is looked after.
        None => left = left.min(LOOK),
    }
    let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
    match poll(&mut events, Some(&left)) {
        Ok(_) | Err(Errno::INTR) => {}
        answer => drop(answer.context(|| "poll")?),
    }
    let mut ready = events.iter().map(|event| !event.revents().is_empty());
    let by_oom = oom.is_some() && ready.next() == Some(true);
    let by_init = ready.next().unwrap_or_else(|| init.has_ended());
    Ok(Woken { by_init, by_oom })
}
