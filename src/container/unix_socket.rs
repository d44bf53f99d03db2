//! Unix sockets at paths of any length: `sun_path` holds 108 bytes, an engine's state directory may be deeper.
//!
//! The socket is named below a descriptor of its directory, `/proc/self/fd/N/name`.

use crate::error::{Context, Error, Result};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Connects to the stream socket at `path`.
///
/// # Errors
/// Those of connect(2).
pub fn connect_stream(path: &Path) -> Result<OwnedFd> {
    connect_at(path, SocketType::STREAM)
}

fn connect_at(path: &Path, kind: SocketType) -> Result<OwnedFd> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(name) = path.file_name() else { return Err(Error::new("names no socket")) };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(CWD, directory, flags, Mode::empty())?;
    connect(directory.as_fd(), &name.to_string_lossy(), kind)
}

/// Connects to the datagram socket at a path, or with `@` of an abstract name, and never waits for it.
///
/// # Errors
/// Those of connect(2).
pub fn connect_datagram(path: &Path) -> Result<OwnedFd> {
    if let Some(name) = path.as_os_str().as_bytes().strip_prefix(b"@") {
        let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        rustix::net::connect(&socket, &SocketAddrUnix::new_abstract_name(name)?)?;
        return Ok(socket);
    }
    connect_at(path, SocketType::DGRAM)
}

/// Connects to the socket `name` in `directory`.
///
/// # Errors
/// `ECONNREFUSED`: nobody listens; otherwise those of connect(2).
pub fn connect(directory: BorrowedFd<'_>, name: &str, kind: SocketType) -> Result<OwnedFd> {
    let socket = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
    rustix::net::connect(&socket, &address(directory, name)?)?;
    Ok(socket)
}

/// Listens on a new socket `name` in `directory`, for packets that stay apart; only its owner may connect.
///
/// # Errors
/// Those of bind(2) and listen(2).
pub fn listen(directory: BorrowedFd<'_>, name: &str) -> Result<OwnedFd> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    // bind(2) takes the file's mode from the socket: without this a umask of 0 lets anybody connect.
    rustix::fs::fchmod(&socket, Mode::from_raw_mode(0o600)).context(|| name)?;
    rustix::net::bind(&socket, &address(directory, name)?).context(|| name)?;
    rustix::net::listen(&socket, 8).context(|| name)?;
    Ok(socket)
}

/// Binds a new datagram socket `name` in `directory`, to which everybody who finds it may send.
///
/// # Errors
/// Those of bind(2).
pub fn bind_datagram(directory: BorrowedFd<'_>, name: &str) -> Result<OwnedFd> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::bind(&socket, &address(directory, name)?).context(|| name)?;
    rustix::fs::chmodat(directory, name, Mode::from_raw_mode(0o777), AtFlags::empty()).context(|| name)?;
    Ok(socket)
}

fn address(directory: BorrowedFd<'_>, name: &str) -> Result<SocketAddrUnix> {
    Ok(SocketAddrUnix::new(format!("/proc/self/fd/{}/{name}", directory.as_raw_fd()))?)
}
