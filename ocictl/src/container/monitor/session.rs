//! A program that `exec` runs at a terminal: a small process holds the terminal, so that whoever typed may leave by the detach keys and the
//! program runs on. Who goes without leaving (his window was closed) takes the terminal with him.

use super::clients::{Clients, Input};
use super::log::Writer;
use super::streams::{self, Streams};
use super::{Rest, STARTED, become_supervisor, code_of, is_socket, poll, refuse};
use crate::container::options::{Log, LogDriver};
use crate::container::{Containers, program, status};
use crate::error::{Context, Error, Result};
use crate::paths::Paths;
use crate::runtime::{exit_code, last_error};
use crate::store::{Store, disk};
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags, WaitOptions, pidfd_open, wait};
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// The file in a session's directory with the process to run.
pub const PROCESS: &str = "process.json";

/// Where a session of a container has its files; they go with it.
pub fn directory(run: &Path, name: &str) -> PathBuf {
    run.join("exec").join(name)
}

/// `ocictl session`: stdin is where it tells how the start went, stdout the client's socket, if there is one.
pub fn main(paths: &Paths, id: &str, name: &str) -> u8 {
    let (status, first) = match become_supervisor(paths) {
        Ok(ends) => ends,
        Err(error) => {
            refuse(rustix::stdio::stdin(), &error);
            return 1;
        }
    };
    match begin(paths, id, name) {
        Ok(mut session) => {
            // Whoever asked may have gone.
            let _nobody_listens = rustix::io::write(&status, &[STARTED]);
            drop(status);
            let attached = is_socket(&first);
            if attached {
                session.clients.add_attached(first);
            }
            session.carry(attached);
            crate::rootless::forget(&paths.runroot, rustix::process::getpid());
            0
        }
        Err(error) => {
            refuse(&status, &error);
            1
        }
    }
}

struct Session {
    pid: Pid,
    pidfd: OwnedFd,
    streams: Box<Streams>,
    clients: Clients,
    nowhere: Writer,
    folder: PathBuf,
}

fn begin(paths: &Paths, id: &str, name: &str) -> Result<Session> {
    let store = Store::open(paths)?;
    let containers = Containers::open(&store)?;
    let container = containers.by_id(id)?.ok_or_else(|| crate::container::no_such(id))?;
    let folder = directory(&container.run, name);
    let (mut streams, _) = Streams::open(true, true, &folder)?;
    let runtime = status::runtime(&containers, &container)?;
    let (log, process, pid_file) = (folder.join("log.json"), folder.join(PROCESS), folder.join("pid"));
    let words = ["--process", "--pid-file", "--console-socket"].map(OsStr::new);
    let values = [process.as_os_str(), pid_file.as_os_str(), OsStr::new(streams::CONSOLE)];
    let mut arguments: Vec<&OsStr> = vec![OsStr::new("--detach")];
    arguments.extend(words.into_iter().zip(values).flat_map(|(word, value)| [word, value]));
    arguments.push(OsStr::new(id));
    let ended = runtime
        .exec(&log, &arguments)
        .current_dir(&folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context(|| format!("run {}", runtime.binary.display()))?;
    if !ended.success() {
        let words = last_error(&log)
            .unwrap_or_else(|| format!("{} ended with {ended} and said nothing", runtime.binary.display()));
        let code = exit_code(&words);
        return Err(Error::new(words).exit_code(code));
    }
    let pid = program::written_pid(&pid_file)?;
    let pid = pid.ok_or_else(|| Error::new("the runtime has written no pid"))?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).context(|| "the program that was executed")?;
    streams.take_terminal()?;
    let nowhere = Writer::open(&Log { driver: LogDriver::None, ..Log::default() }, &folder)?;
    Ok(Session { pid, pidfd, streams, clients: Clients::default(), nowhere, folder })
}

impl Session {
    /// Carries the terminal until the program has ended, or whoever sat there has gone without leaving it.
    fn carry(mut self, attached: bool) {
        let mut ended: Option<(Instant, i32)> = None;
        loop {
            let mut sources = Vec::with_capacity(4);
            if ended.is_none() {
                sources.push(PollFd::new(&self.pidfd, PollFlags::IN));
            }
            self.streams.add_sources(&mut sources, self.clients.owe());
            self.clients.add_sources(&mut sources, self.streams.is_full());
            let timeout = match ended {
                Some(_) => Some(Duration::from_millis(if self.clients.owe() { 100 } else { 0 })),
                None => self.streams.next(),
            };
            let ready = poll(&mut sources, timeout);
            drop(sources);
            while let Ok(Some((reaped, status))) = wait(WaitOptions::NOHANG) {
                if reaped == self.pid {
                    ended = Some((Instant::now(), code_of(status)));
                }
            }
            let moved = self.streams.carry(&mut self.clients, &mut self.nowhere);
            self.clients.serve(&mut *self.streams);
            match ended {
                Some((since, code)) => {
                    let rest = Rest { moved, ready, owed: self.clients.owe(), wanted: false };
                    if rest.is_over(since, &self.streams) {
                        self.clear();
                        return self.clients.tell_exit(code);
                    }
                }
                // The end of the terminal is the hang-up that a program expects.
                None if attached && self.clients.len() == 0 && !self.clients.has_detached() => {
                    return self.clear();
                }
                None => {}
            }
        }
    }

    fn clear(&self) {
        // They lie in the bundle, and go with the container in any case.
        let _gone_already = disk::remove_tree(&self.folder);
    }
}
