//! The last steps: find the program, wait for the start, put up the filter, execute.

use super::Init;
use crate::launch::protocol::{self, Detail, Fault, Reason, Report};
use crate::sys::clone;
use crate::sys::exec::execve;
use rustix::fd::{AsFd, IntoRawFd};
use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::SocketFlags;
use std::ffi::CStr;

/// What of the container's `/etc/passwd` is read at most: an image may hold anything there (CVE-2026-47262).
const PASSWD_LIMIT: usize = 10 << 20;

impl Init<'_> {
    /// Finds which candidate the user may execute, so that a missing program fails `create` and not `start`.
    pub(super) fn find_program(&mut self) -> Result<(), Fault> {
        let Some(execution) = &self.plan.execution else { return Ok(()) };
        let mut answer = Errno::NOENT;
        for (index, candidate) in execution.candidates.iter().enumerate() {
            match check_program(candidate) {
                Ok(()) => {
                    self.program = index;
                    return Ok(());
                }
                Err(errno) => answer = errno,
            }
        }
        let reason = if execution.searched { Reason::NotInPath } else { Reason::Program };
        Err(reason.fault(answer))
    }

    /// Looks the user's home up in the container's passwd file and puts it into the environment; `/` stays when he has
    /// none.
    pub(super) fn find_home(&mut self, uid: u32) -> Result<(), Fault> {
        let Some(room) = self.prepared.home.take() else { return Ok(()) };
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let Ok(file) = rustix::fs::openat(CWD, c"/etc/passwd", flags, Mode::empty()) else { return Ok(()) };
        if crate::sys::rootfs::file_type(&rustix::fs::fstat(&file)?) != FileType::RegularFile {
            return Ok(());
        }
        let mut lines = Lines::default();
        let mut read = 0;
        while read < PASSWD_LIMIT && !lines.ended {
            let Ok(length) = lines.fill(file.as_fd()) else { return Ok(()) };
            read += length;
            while let Some(line) = lines.next() {
                if let Some(home) = home_of(line, uid) {
                    if let Some(entry) = write_home(room, home) {
                        self.prepared.use_home(entry);
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Closes what leads out of the container now, and the rest when the program is executed.
    pub(super) fn close_descriptors(&mut self, from: u32) -> Result<(), Fault> {
        super::stdio::reopen_null()?;
        self.rootfs = None;
        self.directory = None;
        self.mask = None;
        self.descriptors.source_clones.clear();
        let Some(procfs) = self.descriptors.procfs.take() else { return Err(Errno::BADF.into()) };
        // What stays is ours until the program is executed: close-on-exec, every one.
        let kept = [
            Some(self.channel.as_fd()),
            self.descriptors.listener.as_ref().map(AsFd::as_fd),
            self.descriptors.marker.as_ref().map(AsFd::as_fd),
            self.terminal.as_ref().map(AsFd::as_fd),
        ];
        Ok(crate::sys::directory::close_all_but(from, kept, procfs)?)
    }

    /// Waits for `start`, whose connection takes the place of the socket to the creator.
    pub(super) fn await_start(&mut self) -> Result<(), Fault> {
        let Some(listener) = self.descriptors.listener.take() else { return Err(Errno::BADF.into()) };
        loop {
            match rustix::net::accept_with(&listener, SocketFlags::CLOEXEC) {
                Ok(connection) => {
                    self.channel = connection;
                    protocol::send(self.channel.as_fd(), &Report::Accepted);
                    return Ok(());
                }
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Puts the process under the filter; from here on only what the profile allows can be called. What a filter notifies
    /// of waits for the agent, who must be there before the program.
    pub(super) fn load_filter(&mut self) -> Result<(), Fault> {
        let Some((program, flags)) = &self.prepared.filter else { return Ok(()) };
        let Some(listener) = crate::sys::filter::load(program, *flags)? else { return Ok(()) };
        // Left open: execve(2) closes it, and the filter may not allow us to.
        match protocol::hand_over_listener(self.channel.as_fd(), listener.into_raw_fd()) {
            Ok(true) => Ok(()),
            Ok(false) => clone::exit(1),
            Err(errno) => {
                let detail = Detail::new(b"hand over the listener");
                Err(Fault { detail, ..Reason::Kernel.fault(errno) })
            }
        }
    }

    /// Becomes the program.
    pub(super) fn execute(&mut self) -> Result<(), Fault> {
        let Some(execution) = &self.plan.execution else { clone::exit(0) };
        let Some(program) = execution.candidates.get(self.program) else { return Err(Errno::NOENT.into()) };
        let errno = execve(program, &self.prepared.arguments, &self.prepared.environment);
        Err(Reason::Program.fault(errno))
    }
}

/// Whether the user may execute a file: by his effective ids, and it must not be a directory.
fn check_program(path: &CStr) -> Result<(), Errno> {
    let stat = rustix::fs::stat(path)?;
    if crate::sys::rootfs::file_type(&stat) == FileType::Directory {
        return Err(Errno::ISDIR);
    }
    match rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS) {
        // faccessat2(2) is of Linux 5.8; what execve(2) says later is what counts.
        Err(Errno::NOSYS) => Ok(()),
        answer => answer,
    }
}

/// The home directory in a line of passwd(5), if the line is that user's.
fn home_of(line: &[u8], uid: u32) -> Option<&[u8]> {
    let mut fields = line.split(|byte| *byte == b':');
    let number = fields.nth(2)?;
    let number: u32 = std::str::from_utf8(number).ok()?.parse().ok()?;
    let home = fields.nth(2)?;
    (number == uid && !home.is_empty()).then_some(home)
}

/// Writes `HOME=…` into the room that the parent left for it.
fn write_home(room: &'static mut [u8; 4096], home: &[u8]) -> Option<&'static CStr> {
    const NAME: &[u8] = b"HOME=";
    let end = NAME.len() + home.len();
    room.get_mut(..NAME.len())?.copy_from_slice(NAME);
    room.get_mut(NAME.len()..end)?.copy_from_slice(home);
    CStr::from_bytes_until_nul(room).ok().filter(|entry| entry.to_bytes().len() == end)
}

/// A file cut into lines on a fixed buffer; a line that does not fit is passed over.
struct Lines {
    buffer: [u8; 4096],
    start: usize,
    end: usize,
    /// Whether the rest of an overlong line must be skipped.
    skipping: bool,
    ended: bool,
}

impl Default for Lines {
    fn default() -> Self {
        Self { buffer: [0; 4096], start: 0, end: 0, skipping: false, ended: false }
    }
}

impl Lines {
    /// Reads on; the start of a line that is not complete yet is kept.
    fn fill(&mut self, file: rustix::fd::BorrowedFd<'_>) -> Result<usize, Errno> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end == self.buffer.len() {
            self.skipping = true;
            self.end = 0;
        }
        let length = rustix::io::read(file, &mut self.buffer[self.end..])?;
        self.end += length;
        self.ended = length == 0;
        Ok(length)
    }

    /// The next complete line; the last one needs no newline.
    fn next(&mut self) -> Option<&[u8]> {
        loop {
            let rest = &self.buffer[self.start..self.end];
            let (length, step) = match rest.iter().position(|byte| *byte == b'\n') {
                Some(newline) => (newline, newline + 1),
                None if self.ended && !rest.is_empty() => (rest.len(), rest.len()),
                None => return None,
            };
            let start = self.start;
            self.start += step;
            if !std::mem::take(&mut self.skipping) {
                return Some(&self.buffer[start..start + length]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn lookup(text: &[u8], uid: u32) -> Option<Vec<u8>> {
        let path = std::env::temp_dir().join(format!("cortentest-passwd-{}-{uid}", std::process::id()));
        std::fs::File::create(&path).unwrap().write_all(text).unwrap();
        let file = std::fs::File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let mut lines = Lines::default();
        while !lines.ended {
            lines.fill(file.as_fd()).unwrap();
            while let Some(line) = lines.next() {
                if let Some(home) = home_of(line, uid) {
                    return Some(home.to_vec());
                }
            }
        }
        None
    }

    #[test]
    fn the_home_of_a_user_is_found_by_number() {
        let mut text = b"root:x:0:0:root:/root:/bin/sh\n1000:x:0:0::/fake:/bin/sh\n".to_vec();
        text.extend([b'x'; 9000]);
        text.extend(b":x:7:7::/overlong:\nuser:x:1000:1000::/home/user:/bin/sh\nlast:x:5:5::/last:/bin/sh");
        assert_eq!(lookup(&text, 0).unwrap(), b"/root");
        assert_eq!(lookup(&text, 1000).unwrap(), b"/home/user");
        assert_eq!(lookup(&text, 5).unwrap(), b"/last");
        assert_eq!(lookup(&text, 7), None);
        assert_eq!(lookup(&text, 9), None);
    }
}
