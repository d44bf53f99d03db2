//! `--pidfd-socket`: who follows a process by its pidfd, which cannot be another's, gets it before the program runs.
//!
//! runc's form: one message, the pidfd with the name of the kind of process. crun's annotation `run.oci.pidfd_receiver` asks
//! for the same with a blank for the name.

use crate::container::unix_socket;
use crate::error::{Context, Error, Result};
use crate::sys::terminal;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::collections::BTreeMap;
use std::path::Path;

/// crun's annotation.
const ANNOTATION: &str = "run.oci.pidfd_receiver";

/// Those who get the pidfd, connected before anything is made.
#[derive(Debug, Default)]
pub struct Receivers(Vec<Receiver>);

#[derive(Debug)]
struct Receiver {
    socket: OwnedFd,
    payload: &'static str,
    name: String,
}

impl Receivers {
    /// Those of a container's init.
    ///
    /// # Errors
    /// Those of connect(2).
    pub fn of_init(socket: Option<&Path>, annotations: &BTreeMap<String, String>) -> Result<Self> {
        let mut receivers = Self::default();
        receivers.add(socket, "standard", "--pidfd-socket")?;
        let annotated = annotations.get(ANNOTATION).map(Path::new);
        receivers.add(annotated, " ", "config.json: annotations.run.oci.pidfd_receiver:")?;
        Ok(receivers)
    }

    /// Those of a process that `exec` brings in.
    ///
    /// # Errors
    /// Those of connect(2).
    pub fn of_exec(socket: Option<&Path>) -> Result<Self> {
        let mut receivers = Self::default();
        receivers.add(socket, "setns", "--pidfd-socket")?;
        Ok(receivers)
    }

    fn add(&mut self, path: Option<&Path>, payload: &'static str, asked: &str) -> Result<()> {
        let Some(path) = path else { return Ok(()) };
        let name = format!("{asked} {}", path.display());
        let socket = unix_socket::connect_stream(path).map_err(|error| error.context(name.as_str()))?;
        self.0.push(Receiver { socket, payload, name });
        Ok(())
    }

    /// Sends it.
    ///
    /// # Errors
    /// A receiver that has gone away.
    pub fn send(self, pidfd: BorrowedFd<'_>) -> Result<()> {
        for Receiver { socket, payload, name } in self.0 {
            let sent = terminal::send_descriptor(socket.as_fd(), payload.as_bytes(), pidfd);
            if sent.context(|| name.as_str())? != payload.len() {
                return Err(Error::new("the message was cut").context(name));
            }
        }
        Ok(())
    }
}
