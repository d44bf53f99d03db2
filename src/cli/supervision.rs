//! What callers pass on to the program: descriptors, and what a supervisor such as systemd tells by the environment: sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3).

use crate::container::notify::Supervisor;
use crate::error::{Error, Result};
use std::env;

/// What the environment says.
#[derive(Debug)]
pub struct Supervision {
    /// `LISTEN_FDS`: how many sockets are passed to us.
    pub sockets: u32,
    /// `NOTIFY_SOCKET`.
    pub supervisor: Option<Supervisor>,
}

impl Supervision {
    /// Reads the environment. Sockets that are meant for another process are not ours to pass on.
    ///
    /// # Errors
    /// `NOTIFY_SOCKET` names no socket.
    pub fn read() -> Result<Self> {
        let ours = number("LISTEN_PID") == Some(own_pid());
        let sockets = if ours { number("LISTEN_FDS").unwrap_or(0) } else { 0 };
        let supervisor = match env::var("NOTIFY_SOCKET") {
            Ok(name) => Supervisor::named(&name)?,
            Err(env::VarError::NotPresent) => None,
            Err(_) => return Err(Error::new("NOTIFY_SOCKET: not UTF-8")),
        };
        Ok(Self { sockets: u32::try_from(sockets).unwrap_or(u32::MAX), supervisor })
    }

    /// What tells the program of its sockets. It is the first process, where it has a pid namespace of its own.
    pub fn sockets_environment(&self) -> Vec<String> {
        if self.sockets == 0 {
            return Vec::new();
        }
        let mut environment = vec![format!("LISTEN_FDS={}", self.sockets), "LISTEN_PID=1".to_owned()];
        environment.extend(env::var("LISTEN_FDNAMES").ok().map(|names| format!("LISTEN_FDNAMES={names}")));
        environment
    }

    /// What tells the program how often its supervisor wants to hear of it. Only who passes its words on may promise that.
    pub fn watchdog(&self) -> Option<String> {
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == own_pid());
        let interval_us = number("WATCHDOG_USEC").filter(|_| ours && self.supervisor.is_some())?;
        Some(format!("WATCHDOG_USEC={interval_us}"))
    }
}

/// Every descriptor that the program is promised must be open: another one of ours would take its place.
///
/// # Errors
/// One is not.
pub fn check_open(asked: &str, count: u32) -> Result<()> {
    for number in 3..3 + u64::from(count) {
        if !crate::sys::directory::is_open(number) {
            return Err(Error::new(format!("{asked}: descriptor {number} is not open")));
        }
    }
    Ok(())
}

fn own_pid() -> u64 {
    std::process::id().into()
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}
