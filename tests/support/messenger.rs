//! Programs that speak sd_notify(3) from inside a container, made byte by byte as `elf.rs` makes its own; and the supervisor
//! who hears them.

use super::elf::{self, Call};
use super::runtime::DEADLINE;
use rustix::fd::OwnedFd;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// Where the program's data lies.
const DATA: u64 = elf::BASE + 0x8000;

/// A program that tells one message and exits 0 when it was taken, else 1.
pub fn teller(text: &str) -> Vec<u8> {
    let mut program = Program::default();
    let (text, address) = (program.text(text), program.address());
    program.call(44, [3, text.0, text.1, 0, address.0, address.1]); // sendto
    program.exit_by_result();
    program.file()
}

/// A program that sends one end of a pipe along and exits 0 once nobody has that open any more.
pub fn teller_with_pipe(text: &str) -> Vec<u8> {
    let mut program = Program::default();
    let (text, address) = (program.text(text), program.address());
    let ends = program.data(&[0; 8]);
    program.call(293, [ends, 0, 0, 0, 0, 0]); // pipe2: 4 and 5
    let rights = [20u64.to_le_bytes(), [1, 0, 0, 0, 1, 0, 0, 0], [5, 0, 0, 0, 0, 0, 0, 0]].concat();
    let rights = program.data(&rights);
    let vector = program.data(&[text.0.to_le_bytes(), text.1.to_le_bytes()].concat());
    let header = [address.0, address.1, vector, 1, rights, 20, 0].map(u64::to_le_bytes).concat();
    let header = program.data(&header);
    program.call(46, [3, header, 0, 0, 0, 0]); // sendmsg
    program.call(3, [5, 0, 0, 0, 0, 0]); // close
    program.call(0, [4, ends, 1, 0, 0, 0]); // read
    program.exit_by_result();
    program.file()
}

/// Machine code and its data.
struct Program {
    code: Vec<u8>,
    data: Vec<u8>,
}

impl Default for Program {
    /// The socket is descriptor 3: a container's program has three others.
    fn default() -> Self {
        let mut program = Self { code: Vec::new(), data: Vec::new() };
        program.call(41, [1, 2, 0, 0, 0, 0]);
        program
    }
}

impl Program {
    fn call(&mut self, number: u32, arguments: [u64; 6]) {
        elf::system_call(&mut self.code, Call(number, arguments));
    }

    /// Puts bytes into the program; their address.
    fn data(&mut self, bytes: &[u8]) -> u64 {
        let address = DATA + self.data.len() as u64;
        self.data.extend(bytes);
        self.data.resize(self.data.len().next_multiple_of(8), 0);
        address
    }

    fn text(&mut self, text: &str) -> (u64, u64) {
        (self.data(text.as_bytes()), text.len() as u64)
    }

    /// `sockaddr_un` of the socket that the runtime promises.
    fn address(&mut self) -> (u64, u64) {
        let bytes = [&[1, 0][..], b"/run/notify/notify.sock\0"].concat();
        (self.data(&bytes), bytes.len() as u64)
    }

    fn exit_by_result(&mut self) {
        self.code.extend([0x48, 0xc1, 0xe8, 0x3f]); // shr rax, 63
        self.code.extend([0x89, 0xc7]); // mov edi, eax
        self.code.extend([0xb8, 60, 0, 0, 0, 0x0f, 0x05]); // exit
    }

    fn file(self) -> Vec<u8> {
        let mut file = elf::headers(DATA - elf::BASE + self.data.len() as u64);
        file.extend(self.code);
        file.resize((DATA - elf::BASE) as usize, 0);
        file.extend(self.data);
        file
    }
}

/// Who listens at the host's end.
#[derive(Debug)]
pub struct Supervisor(UnixDatagram);

impl Supervisor {
    /// Listens at `path`.
    pub fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self(socket)
    }

    /// The next message and the descriptors that came with it.
    #[track_caller]
    pub fn hear(&self) -> (String, Vec<OwnedFd>) {
        receive(&self.0).expect("a message")
    }

    /// The text of the next message.
    #[track_caller]
    pub fn text(&self) -> String {
        self.hear().0
    }

    /// Asserts that nothing more was told.
    #[track_caller]
    pub fn heard_everything(&self) {
        self.0.set_nonblocking(true).unwrap();
        let heard = receive(&self.0);
        assert!(heard.is_err(), "{heard:?}");
        self.0.set_nonblocking(false).unwrap();
    }
}

/// One message with its descriptors.
pub fn receive(socket: impl AsFd) -> rustix::io::Result<(String, Vec<OwnedFd>)> {
    let mut bytes = [0; 8192];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut buffers = [IoSliceMut::new(&mut bytes)];
    let length = rustix::net::recvmsg(socket, &mut buffers, &mut control, RecvFlags::CMSG_CLOEXEC)?.bytes;
    let mut descriptors = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(came) = part {
            descriptors.extend(came);
        }
    }
    Ok((String::from_utf8_lossy(&bytes[..length]).into_owned(), descriptors))
}
