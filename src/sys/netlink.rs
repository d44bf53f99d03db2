//! rtnetlink(7): what moving a network device takes. Links are set up, down and into another namespace, addresses are read
//! and added again.
//!
//! Messages are few and flat, so they are put together here; every length that the kernel sends is checked before it is
//! followed.

use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netdevice, socket_with};

/// The kernel's answers to a dump come in packets of at most this size (`NLMSG_GOODSIZE` and its growth in af_netlink.c).
const PACKET: usize = 32 * 1024;

/// How often a dump that met a change is taken again.
const RETRIES: usize = 16;

// linux/netlink.h, linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h.
const HEADER: usize = 16;
const ATTRIBUTE_HEADER: usize = 4;
const ADDRESS_HEADER: usize = 8;
const DUMP_INTERRUPTED: u16 = 0x10;
const IFLA_NET_NS_FD: u16 = 28;
const IFA_LABEL: u16 = 3;
const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;

/// A netlink socket of the network namespace in which it was opened.
#[derive(Debug)]
pub struct Socket {
    socket: OwnedFd,
}

/// An address of a link, as the kernel tells it and takes it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `AF_INET` or `AF_INET6`.
    pub family: u8,
    /// The length of the prefix in bits.
    pub prefix: u8,
    /// `IFA_F_*`.
    pub flags: u32,
    /// `RT_SCOPE_*`.
    pub scope: u8,
    /// The attributes that describe it wherever its link is: its bytes, its peer, broadcast, metric and flags.
    attributes: Vec<u8>,
}

impl Address {
    /// Whether somebody gave it for good (no lease, no privacy address), and it is valid beyond its link.
    pub fn is_permanent_and_global(&self) -> bool {
        self.flags & libc::IFA_F_PERMANENT != 0 && self.scope == libc::RT_SCOPE_UNIVERSE
    }
}

impl Socket {
    /// Opens a socket in the calling thread's network namespace.
    ///
    /// # Errors
    /// Those of socket(2).
    pub fn open() -> Result<Self, Errno> {
        let family = AddressFamily::NETLINK;
        let socket = socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        Ok(Self { socket })
    }

    /// The number of the link of that name in the socket's namespace.
    ///
    /// # Errors
    /// `ENODEV`: there is none.
    pub fn index_of(&self, name: &str) -> Result<u32, Errno> {
        netdevice::name_to_index(&self.socket, name)
    }

    /// Sets a link up or down.
    ///
    /// # Errors
    /// `EPERM`: no `CAP_NET_ADMIN`; what its driver says.
    pub fn set_up(&self, index: u32, up: bool) -> Result<(), Errno> {
        let up = if up { libc::IFF_UP as u32 } else { 0 };
        self.ask(&Request::of_link(index, up, libc::IFF_UP as u32))
    }

    /// Moves a link into another network namespace under a name, in one request.
    ///
    /// # Errors
    /// `EINVAL`: a link that belongs to its namespace, such as `lo`; `EEXIST`: the name is taken there; `EPERM`.
    pub fn move_to(&self, index: u32, namespace: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
        let mut request = Request::of_link(index, 0, 0);
        request.attribute(IFLA_NET_NS_FD, &namespace.as_raw_fd().to_ne_bytes());
        request.attribute(libc::IFLA_IFNAME, &[name.as_bytes(), &[0]].concat());
        self.ask(&request)
    }

    /// The addresses of a link, IPv4 and IPv6.
    ///
    /// # Errors
    /// Those of send(2) and recv(2); `EPROTO` for an answer whose lengths are wrong.
    pub fn addresses(&self, index: u32) -> Result<Vec<Address>, Errno> {
        for _ in 0..RETRIES {
            let mut found = Vec::new();
            let request = Request::new(libc::RTM_GETADDR, libc::NLM_F_DUMP as u16, &[0; ADDRESS_HEADER]);
            let answer = self.exchange(&request, |kind, body| {
                if kind == libc::RTM_NEWADDR
                    && let Some(address) = Address::read(body, index)?
                {
                    found.push(address);
                }
                Ok(())
            });
            match answer {
                Err(Errno::INTR) => {}
                answer => return answer.map(|()| found),
            }
        }
        Err(Errno::AGAIN)
    }

    /// Gives a link an address; one that it has already is fine.
    ///
    /// # Errors
    /// `EPERM` also where IPv6 is switched off on the link; `EINVAL`.
    pub fn add_address(&self, index: u32, address: &Address) -> Result<(), Errno> {
        let flags = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
        let [i0, i1, i2, i3] = index.to_ne_bytes();
        let header = [address.family, address.prefix, 0, address.scope, i0, i1, i2, i3];
        let mut request = Request::new(libc::RTM_NEWADDR, flags | libc::NLM_F_ACK as u16, &header);
        request.bytes.extend_from_slice(&address.attributes);
        match self.ask(&request) {
            Err(Errno::EXIST) => Ok(()),
            answer => answer,
        }
    }

    fn ask(&self, request: &Request) -> Result<(), Errno> {
        self.exchange(request, |_, _| Ok(()))
    }

    /// Sends a request and hands each message of the answer to `take`, until the kernel says that it was the last.
    fn exchange(
        &self,
        request: &Request,
        mut take: impl FnMut(u16, &[u8]) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let bytes = request.finished()?;
        rustix::net::send(&self.socket, &bytes, SendFlags::empty())?;
        let mut packet = vec![0; PACKET];
        let mut interrupted = false;
        loop {
            let (_, length) = rustix::io::retry_on_intr(|| {
                rustix::net::recv(&self.socket, &mut *packet, RecvFlags::TRUNC)
            })?;
            let mut rest = packet.get(..length).ok_or(Errno::PROTO)?;
            while !rest.is_empty() {
                let message = Message::first(rest)?;
                interrupted |= message.flags & DUMP_INTERRUPTED != 0;
                match i32::from(message.kind) {
                    libc::NLMSG_ERROR => return errno_of(message.body),
                    libc::NLMSG_DONE if interrupted => return Err(Errno::INTR),
                    libc::NLMSG_DONE => return errno_of(message.body),
                    _ => take(message.kind, message.body)?,
                }
                rest = rest.get(aligned(message.length)..).unwrap_or_default();
            }
        }
    }
}

/// A message to the kernel in the making.
struct Request {
    bytes: Vec<u8>,
}

impl Request {
    fn new(kind: u16, flags: u16, body: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(flags | libc::NLM_F_REQUEST as u16).to_ne_bytes());
        bytes.extend_from_slice(body);
        Self { bytes }
    }

    /// `RTM_NEWLINK` about a link that exists: `struct ifinfomsg`, and the flags that change.
    fn of_link(index: u32, flags: u32, change: u32) -> Self {
        let words = [0, index, flags, change].map(u32::to_ne_bytes);
        Self::new(libc::RTM_NEWLINK, libc::NLM_F_ACK as u16, words.as_flattened())
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        push_attribute(&mut self.bytes, kind, value);
    }

    /// The bytes with their length in front.
    fn finished(&self) -> Result<Vec<u8>, Errno> {
        let mut bytes = self.bytes.clone();
        let length = u32::try_from(bytes.len()).map_err(|_| Errno::TOOBIG)?;
        bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        Ok(bytes)
    }
}

/// A message of the kernel.
struct Message<'a> {
    kind: u16,
    flags: u16,
    /// With its header.
    length: usize,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    fn first(bytes: &'a [u8]) -> Result<Self, Errno> {
        let length = usize::try_from(word(bytes, 0)?).map_err(|_| Errno::PROTO)?;
        let body = bytes.get(HEADER..length).ok_or(Errno::PROTO)?;
        Ok(Self { kind: half(bytes, 4)?, flags: half(bytes, 6)?, length, body })
    }
}

impl Address {
    /// Reads an `RTM_NEWADDR`; nothing for another link's.
    fn read(body: &[u8], index: u32) -> Result<Option<Self>, Errno> {
        let &[family, prefix, flags, scope, ..] = body else { return Err(Errno::PROTO) };
        if word(body, 4)? != index {
            return Ok(None);
        }
        let mut address = Self { family, prefix, flags: flags.into(), scope, attributes: Vec::new() };
        let mut rest = body.get(ADDRESS_HEADER..).unwrap_or_default();
        while rest.len() >= ATTRIBUTE_HEADER {
            let length = usize::from(half(rest, 0)?);
            let value = rest.get(ATTRIBUTE_HEADER..length).ok_or(Errno::PROTO)?;
            match half(rest, 2)? {
                // The label begins with the old name of the link; lifetimes are those of an address that is not permanent.
                IFA_LABEL | IFA_CACHEINFO => {}
                kind => {
                    if kind == IFA_FLAGS {
                        address.flags = word(value, 0)?;
                    }
                    push_attribute(&mut address.attributes, kind, value);
                }
            }
            rest = rest.get(aligned(length)..).unwrap_or_default();
        }
        Ok(Some(address))
    }
}

fn push_attribute(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = (ATTRIBUTE_HEADER + value.len()) as u16;
    bytes.extend_from_slice(&length.to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(aligned(bytes.len()), 0);
}

/// The verdict of an `NLMSG_ERROR`: zero is an acknowledgement.
fn errno_of(body: &[u8]) -> Result<(), Errno> {
    match word(body, 0)? as i32 {
        0 => Ok(()),
        errno => Err(Errno::from_raw_os_error(errno.wrapping_neg())),
    }
}

/// Messages and attributes begin at multiples of four.
fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

fn word(bytes: &[u8], at: usize) -> Result<u32, Errno> {
    match bytes.get(at..) {
        Some(&[a, b, c, d, ..]) => Ok(u32::from_ne_bytes([a, b, c, d])),
        _ => Err(Errno::PROTO),
    }
}

fn half(bytes: &[u8], at: usize) -> Result<u16, Errno> {
    match bytes.get(at..) {
        Some(&[a, b, ..]) => Ok(u16::from_ne_bytes([a, b])),
        _ => Err(Errno::PROTO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_lo_are_read() {
        let socket = Socket::open().unwrap();
        let lo = socket.index_of("lo").unwrap();
        let found = socket.addresses(lo).unwrap();
        // Where lo is up it has 127.0.0.1/8, permanent and of the host alone.
        for address in found.iter().filter(|address| address.family == libc::AF_INET as u8) {
            assert_eq!((address.prefix, address.scope), (8, libc::RT_SCOPE_HOST));
            assert!(!address.is_permanent_and_global());
        }
        assert_eq!(socket.index_of("no-such-link").unwrap_err(), Errno::NODEV);
    }

    #[test]
    fn an_attribute_longer_than_its_message_is_refused() {
        let mut body = vec![libc::AF_INET as u8, 8, 0, 0, 1, 0, 0, 0];
        push_attribute(&mut body, 2, &[127, 0, 0, 1]);
        let address = Address::read(&body, u32::from_ne_bytes([1, 0, 0, 0])).unwrap().unwrap();
        assert_eq!(address.attributes, body[ADDRESS_HEADER..]);
        for cut in ADDRESS_HEADER + ATTRIBUTE_HEADER..body.len() {
            let read = Address::read(&body[..cut], u32::from_ne_bytes([1, 0, 0, 0]));
            assert_eq!(read, Err(Errno::PROTO), "{cut}");
        }
        // Shorter than its own header, it would be read for ever.
        body[ADDRESS_HEADER..ADDRESS_HEADER + 2].copy_from_slice(&3_u16.to_ne_bytes());
        assert_eq!(Address::read(&body, u32::from_ne_bytes([1, 0, 0, 0])), Err(Errno::PROTO));
    }

    #[test]
    fn a_message_longer_than_its_packet_is_refused() {
        let bytes = Request::of_link(1, 0, 0).finished().unwrap();
        assert_eq!(Message::first(&bytes).unwrap().body.len(), 16);
        for cut in 0..bytes.len() {
            assert!(Message::first(&bytes[..cut]).is_err(), "{cut}");
        }
        let mut short = bytes;
        short[0..4].copy_from_slice(&4_u32.to_ne_bytes());
        assert!(Message::first(&short).is_err());
    }
}
