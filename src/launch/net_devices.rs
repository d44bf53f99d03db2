//! Moves network devices into the container: down, over with the new name, the addresses again, up.
//!
//! config-linux.md, "Network Devices". The parent does it while init waits, with a socket in either namespace. Nothing is
//! ever moved back: when the namespace ends, the kernel returns physical devices by itself. So all that can be judged
//! before the first move is.

use crate::error::{Context, Error, Result};
use crate::plan::net_devices::NetDevice;
use crate::sys::namespace;
use crate::sys::netlink::Socket;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;

/// Moves the devices into the network namespace of `init`.
///
/// # Errors
/// A device that does not exist or cannot be moved, a name that is taken; each with its place.
pub fn move_in(devices: &[NetDevice], init: Pid) -> Result<()> {
    let here = Socket::open().context(|| "open a netlink socket")?;
    let indexes = devices
        .iter()
        .map(|device| here.index_of(&device.name).context(|| device.place.to_string()))
        .collect::<Result<Vec<_>>>()?;
    let namespace = open(&format!("/proc/{}/ns/net", init.as_raw_nonzero()))?;
    let there = socket_in(&namespace)?;
    for device in devices {
        free_name(&there, device)?;
    }
    for (device, index) in devices.iter().zip(indexes) {
        Move { here: &here, there: &there, namespace: &namespace, device }.carry_out(index)?;
    }
    Ok(())
}

/// A socket in another network namespace; afterwards we are back in our own.
fn socket_in(namespace: &OwnedFd) -> Result<Socket> {
    const NETWORK: u32 = libc::CLONE_NEWNET as u32;
    let own = open("/proc/self/ns/net")?;
    let (ours, theirs) = (rustix::fs::fstat(&own), rustix::fs::fstat(namespace));
    let same = |a: rustix::fs::Stat, b: rustix::fs::Stat| (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino);
    if same(ours.context(|| "the own network namespace")?, theirs.context(|| "init's network namespace")?) {
        return Err(Error::new("the network namespace is the runtime's own").context("linux.netDevices"));
    }
    namespace::enter(namespace.as_fd(), NETWORK).context(|| "enter the network namespace of init")?;
    let socket = Socket::open();
    namespace::enter(own.as_fd(), NETWORK).context(|| "return to the own network namespace")?;
    socket.context(|| "open a netlink socket in the container")
}

/// A namespace's file; these links of `/proc` are magic, which [`Procfs`](crate::sys::procfs::Procfs) refuses to follow.
fn open(path: &str) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty()).context(|| path.to_owned())
}

/// The name that a device gets in the container; `%d` becomes the first number that is free.
fn free_name(there: &Socket, device: &NetDevice) -> Result<String> {
    let is_free = |name: &str| match there.index_of(name) {
        Ok(_) => Ok(false),
        Err(Errno::NODEV) => Ok(true),
        Err(errno) => Err(Error::from(errno).context(device.place.to_string())),
    };
    let taken = || Error::new(format!("{:?} is taken in the container", device.new_name));
    let Some((head, tail)) = device.new_name.split_once("%d") else {
        return match is_free(&device.new_name)? {
            true => Ok(device.new_name.clone()),
            false => Err(taken().context(device.place.to_string())),
        };
    };
    let names = (0_u32..).map(|number| format!("{head}{number}{tail}"));
    for name in names.take_while(|name| name.len() < libc::IFNAMSIZ) {
        if is_free(&name)? {
            return Ok(name);
        }
    }
    Err(taken().context(device.place.to_string()))
}

/// One device on its way.
struct Move<'a> {
    here: &'a Socket,
    there: &'a Socket,
    namespace: &'a OwnedFd,
    device: &'a NetDevice,
}

impl Move<'_> {
    fn carry_out(&self, index: u32) -> Result<()> {
        let place = || self.device.place.to_string();
        // Read first: a device that is down has lost its IPv6 addresses, one that has moved all of them.
        let addresses = self.here.addresses(index).context(|| "read its addresses").context(place)?;
        let name = free_name(self.there, self.device)?;
        self.here.set_up(index, false).context(|| "set it down").context(place)?;
        self.here.move_to(index, self.namespace.as_fd(), &name).map_err(|errno| {
            let error = Error::from(errno).context(format!("move it into the container as {name:?}"));
            let error = error.context(place());
            match errno {
                Errno::INVAL => error.hint("some devices, such as lo, belong to their network namespace"),
                _ => error,
            }
        })?;
        let index = self.there.index_of(&name).context(|| format!("find {name:?}")).context(place)?;
        for address in addresses.iter().filter(|address| address.is_permanent_and_global()) {
            self.there
                .add_address(index, address)
                .map_err(|errno| no_address(errno, address.family).context(place()))?;
        }
        self.there.set_up(index, true).context(|| "set it up").context(place)
    }
}

fn no_address(errno: Errno, family: u8) -> Error {
    let six = i32::from(family) == libc::AF_INET6;
    let version = if six { "IPv6" } else { "IPv4" };
    let error = Error::from(errno).context(format!("give it its {version} address again"));
    match errno {
        Errno::ACCESS | Errno::PERM if six => {
            error.hint("IPv6 may be switched off there: net.ipv6.conf.default.disable_ipv6")
        }
        _ => error,
    }
}
