//! Health checks: the monitor runs a program in the container now and then, and counts. What it found is in the bundle's
//! `health.json`, in docker's words. No timer of systemd, no daemon.

use crate::container::options::{Health as Check, OnUnhealthy};
use crate::container::program;
use crate::container::record::{Container, write_loose};
use crate::error::Result;
use crate::runtime::Runtime;
use crate::store::disk;
use crate::sys::process;
use crate::time;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// The file with the process to run, which the start has written.
pub const PROCESS: &str = "health-process.json";
const REPORT: &str = "health.json";
const PID: &str = "health-pid";
/// What is kept of a check's output, and how many checks.
const MAX_OUTPUT: usize = 4096;
const MAX_LOG: usize = 5;

/// What is known of a container's health, as docker's JSON has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Report {
    /// `starting`, `healthy` or `unhealthy`.
    pub status: String,
    /// Failures in a row.
    pub failing_streak: u32,
    /// The last checks, the newest last.
    pub log: Vec<Entry>,
}

/// One check.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Entry {
    /// When it began.
    pub start: String,
    /// When it ended.
    pub end: String,
    /// How; -1 if it took too long.
    pub exit_code: i32,
    /// The front of what it printed.
    pub output: String,
}

/// The last report of a container that runs.
///
/// # Errors
/// Fails if it cannot be read.
pub fn report(run: &Path) -> Result<Option<Report>> {
    let bytes = disk::read_small(&run.join(REPORT), 1 << 20)?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// What runs the checks.
#[derive(Debug)]
pub struct Health<'a> {
    check: Option<Check>,
    run: &'a Path,
    id: &'a str,
    runtime: Runtime,
    begun: Instant,
    next: Instant,
    running: Option<Running>,
    report: Report,
}

#[derive(Debug)]
struct Running {
    child: Child,
    pidfd: OwnedFd,
    output: OwnedFd,
    text: Vec<u8>,
    start: u64,
    deadline: Instant,
    late: bool,
    code: Option<i32>,
}

impl<'a> Health<'a> {
    /// Begins with a container that has just been started.
    pub fn begin(check: Option<Check>, run: &'a Path, id: &'a str, runtime: &Runtime) -> Self {
        let now = Instant::now();
        let first = check.as_ref().map_or(Duration::ZERO, |check| match check.start_period_ms {
            0 => Duration::from_millis(check.interval_ms),
            _ => Duration::from_millis(check.start_interval_ms),
        });
        let report = Report { status: "starting".into(), ..Report::default() };
        let health = Self {
            check,
            run,
            id,
            runtime: runtime.clone(),
            begun: now,
            next: now + first,
            running: None,
            report,
        };
        if health.check.is_some() {
            health.write();
        }
        health
    }

    fn write(&self) {
        // A full disk must not stop a container.
        let _best_effort =
            write_loose(self.run, REPORT, &serde_json::to_vec(&self.report).unwrap_or_default());
    }

    /// The process of the check that runs, if one does.
    pub fn pid(&self) -> Option<Pid> {
        self.running.as_ref().and_then(|running| pid_of(&running.child).ok())
    }

    /// Hears how the process of the check has ended.
    pub fn ended(&mut self, code: i32) {
        if let Some(running) = &mut self.running {
            running.code = Some(code);
        }
    }

    /// How long until something is to be done.
    pub fn next(&self) -> Option<Duration> {
        self.check.as_ref()?;
        let next = self.running.as_ref().map_or(self.next, |running| running.deadline);
        Some(next.saturating_duration_since(Instant::now()))
    }

    /// The next check is due now.
    pub fn hurry(&mut self) {
        self.next = Instant::now();
    }

    /// What to wait for.
    pub fn add_sources<'b>(&'b self, sources: &mut Vec<PollFd<'b>>) {
        if let Some(running) = &self.running {
            sources.push(PollFd::new(&running.pidfd, PollFlags::IN));
            sources.push(PollFd::new(&running.output, PollFlags::IN));
        }
    }

    /// Begins or ends a check where it is time; what is to be done with a container that has just become unhealthy.
    pub fn look(&mut self, container: &Container) -> Option<OnUnhealthy> {
        let check = self.check.clone()?;
        let now = Instant::now();
        let Some(running) = &mut self.running else {
            if now >= self.next && !matches!(disk::read_small(&container.run.join("paused"), 16), Ok(Some(_)))
            {
                self.running = self.start(&check);
                self.next = now + self.pause(&check);
            }
            return None;
        };
        running.read();
        if now >= running.deadline {
            running.late = true;
            running.deadline = now + Duration::from_secs(1);
            kill_inside(self.run, &mut running.child);
        }
        let code = running.code?;
        running.read();
        let code = if running.late { -1 } else { code };
        let output = match running.late {
            true => format!("health check exceeded its timeout ({} ms)", check.timeout_ms),
            false => String::from_utf8_lossy(&running.text).into_owned(),
        };
        let entry = Entry {
            start: time::rfc3339(running.start),
            end: time::rfc3339(time::now()),
            exit_code: code,
            output,
        };
        self.running = None;
        let was_unhealthy = self.report.status == "unhealthy";
        self.count(&check, entry);
        self.next = Instant::now() + self.pause(&check);
        self.write();
        (self.report.status == "unhealthy" && !was_unhealthy).then_some(check.on_failure)
    }

    fn count(&mut self, check: &Check, entry: Entry) {
        let in_start_period = self.begun.elapsed() < Duration::from_millis(check.start_period_ms);
        if entry.exit_code == 0 {
            self.report.status = "healthy".into();
            self.report.failing_streak = 0;
        } else if !(in_start_period && self.report.status == "starting") {
            self.report.failing_streak += 1;
            if self.report.failing_streak >= check.retries {
                self.report.status = "unhealthy".into();
            }
        }
        self.report.log.push(entry);
        let surplus = self.report.log.len().saturating_sub(MAX_LOG);
        self.report.log.drain(..surplus);
    }

    fn pause(&self, check: &Check) -> Duration {
        let starting = self.report.status == "starting"
            && self.begun.elapsed() < Duration::from_millis(check.start_period_ms);
        Duration::from_millis(if starting { check.start_interval_ms } else { check.interval_ms })
    }

    fn start(&mut self, check: &Check) -> Option<Running> {
        let _from_the_last = std::fs::remove_file(self.run.join(PID));
        let started = || -> Result<Running> {
            let (output, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
            let flags = rustix::fs::fcntl_getfl(&output)?;
            rustix::fs::fcntl_setfl(&output, flags | rustix::fs::OFlags::NONBLOCK)?;
            let (process, pid) = (self.run.join(PROCESS), self.run.join(PID));
            let words = [
                OsStr::new("--process"),
                process.as_os_str(),
                OsStr::new("--pid-file"),
                pid.as_os_str(),
                OsStr::new(self.id),
            ];
            let mut command = self.runtime.exec(&self.run.join("health-log.json"), &words);
            command.stdin(Stdio::null()).stdout(theirs.try_clone()?).stderr(theirs);
            let mut child = command.spawn()?;
            let pidfd =
                pid_of(&child).and_then(|pid| pidfd_open(pid, PidfdFlags::empty())).inspect_err(|_| {
                    // Nobody would see its end, or its time being over.
                    let (_ended, _reaped) = (child.kill(), child.wait());
                })?;
            let deadline = Instant::now() + Duration::from_millis(check.timeout_ms);
            Ok(Running {
                child,
                pidfd,
                output,
                text: Vec::new(),
                start: time::now(),
                deadline,
                late: false,
                code: None,
            })
        };
        match started() {
            Ok(running) => Some(running),
            Err(error) => {
                let now = time::rfc3339(time::now());
                self.count(
                    check,
                    Entry { start: now.clone(), end: now, exit_code: -1, output: error.to_string() },
                );
                self.write();
                None
            }
        }
    }

    /// Lets go of a check whose container has ended.
    pub fn abandon(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ended = running.child.kill();
            let _reaped = running.child.wait();
        }
    }
}

fn pid_of(child: &Child) -> rustix::io::Result<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)
}

/// Ends the check's own process, not only the runtime that waits for it.
fn kill_inside(run: &Path, child: &mut Child) {
    let inside = || {
        let pid = program::written_pid(&run.join(PID)).ok()??;
        let held = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        // Its number may have become somebody else's before it was held.
        let is_its_own =
            process::parent(pid.as_raw_nonzero().get()) == Some(pid_of(child).ok()?.as_raw_nonzero().get());
        is_its_own.then(|| pidfd_send_signal(&held, Signal::KILL).ok()).flatten()
    };
    if inside().is_none() {
        let _has_ended = child.kill();
    }
}

impl Running {
    /// Reads what there is, and keeps the front of it.
    fn read(&mut self) {
        let mut buffer = [0; 1024];
        while let Ok(length @ 1..) = rustix::io::read(&self.output, &mut buffer) {
            let room = MAX_OUTPUT.saturating_sub(self.text.len());
            self.text.extend_from_slice(&buffer[..length.min(room)]);
        }
    }
}
