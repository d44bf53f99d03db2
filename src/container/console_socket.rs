//! `--console-socket`: where the terminal of a new process goes.

use crate::container::unix_socket;
use crate::error::{Error, Result};
use rustix::fd::OwnedFd;
use std::path::Path;

/// A terminal must end somewhere, and a console socket must have something to send.
///
/// # Errors
/// Runc's words for each case.
pub fn check(terminal: bool, socket: Option<&Path>, detached: bool) -> Result<()> {
    match (terminal, socket) {
        (true, None) if detached => {
            Err(Error::new("cannot allocate tty if corten will detach without setting console socket"))
        }
        (false, Some(_)) => {
            Err(Error::new("cannot use console socket if corten will not detach or allocate tty"))
        }
        (true, Some(_)) if !detached => {
            Err(Error::new("cannot use console socket if corten will not detach or allocate tty"))
        }
        (true, None) if !rustix::termios::isatty(rustix::stdio::stdin()) => {
            Err(Error::new("process.terminal: standard input is not a terminal")
                .hint("use --detach with --console-socket"))
        }
        _ => Ok(()),
    }
}

/// Connects to `--console-socket`, if there is one.
///
/// # Errors
/// Those of connect(2).
pub fn connect(path: Option<&Path>) -> Result<Option<OwnedFd>> {
    let connect = |path: &Path| {
        unix_socket::connect_stream(path)
            .map_err(|error| error.context(format!("--console-socket {}", path.display())))
    };
    path.map(connect).transpose()
}
