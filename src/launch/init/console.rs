//! The console: a pty of the container's own devpts, its master sent away, its slave on `/dev/console` and on stdio.
//!
//! runtime-spec config.md, "terminal"; pty(7).

use super::Init;
use crate::launch::binds::clone_tree;
use crate::launch::protocol::{Fault, Reason};
use crate::sys::mount::{self, DescriptorPath};
use crate::sys::rootfs::file_type;
use crate::sys::terminal;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

/// `DEVPTS_SUPER_MAGIC` of linux/magic.h.
const DEVPTS_MAGIC: u64 = 0x1cd1;

/// What the console socket is told beside the descriptor, as runc does.
const MASTER_NAME: &[u8] = b"/dev/ptmx";

impl Init<'_> {
    /// Opens the pair inside the container's devpts, which no name of the image can replace (CVE-2025-52565).
    pub(super) fn open_console(
        &mut self,
        size: Option<(u16, u16)>,
        on_dev_console: bool,
    ) -> Result<(), Fault> {
        let master = self.rootfs()?.open(c"dev/pts/ptmx", OFlags::RDWR | OFlags::NOCTTY)?;
        verify_master(master.as_fd())?;
        rustix::pty::unlockpt(&master)?;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
        terminal::clear_output_translation(&slave)?;
        if let Some((rows, columns)) = size {
            let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
            rustix::termios::tcsetwinsize(&slave, size)?;
        }
        if on_dev_console {
            self.put_on_console(slave.as_fd())?;
        }
        if let Some(socket) = self.descriptors.console.take() {
            terminal::send_descriptor(socket.as_fd(), MASTER_NAME, master.as_fd())?;
        }
        rustix::process::ioctl_tiocsctty(&slave)?;
        self.terminal = Some(slave);
        Ok(())
    }

    /// Binds the slave on `/dev/console`, which is made as a plain file and never through a link (CVE-2026-88264).
    fn put_on_console(&mut self, slave: BorrowedFd<'_>) -> Result<(), Fault> {
        let new_mount_api = self.prepared.new_mount_api;
        let directory = self.directory(c"dev")?;
        let flags = OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::WRONLY | OFlags::NONBLOCK;
        match rustix::fs::openat(directory, c"console", flags | OFlags::EXCL, Mode::from_raw_mode(0o666)) {
            Ok(_) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(Reason::Target.fault(errno)),
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let place = rustix::fs::openat(directory, c"console", flags, Mode::empty())?;
        if file_type(&rustix::fs::fstat(&place)?) == FileType::Symlink {
            return Err(Reason::TargetIsLink.fault(Errno::LOOP));
        }
        if new_mount_api {
            let clone = clone_tree(slave, c"", false)?;
            return Ok(mount::attach(clone.as_fd(), place.as_fd())?);
        }
        let (from, to) = (DescriptorPath::new(slave), DescriptorPath::new(&place));
        Ok(mount::mount_old(Some(from.as_c_str()), to.as_c_str(), c"", libc::MS_BIND, None)?)
    }

    /// Puts the slave on stdin, stdout and stderr, owned by the user.
    pub(super) fn use_terminal(&mut self, uid: u32) -> Result<(), Fault> {
        let Some(slave) = self.terminal.take() else { return Ok(()) };
        let slave: OwnedFd = slave;
        rustix::fs::fchown(&slave, Some(rustix::fs::Uid::from_raw(uid)), None)?;
        rustix::stdio::dup2_stdin(&slave)?;
        rustix::stdio::dup2_stdout(&slave)?;
        rustix::stdio::dup2_stderr(&slave)?;
        Ok(())
    }
}

/// Whether the file is the multiplexer of a devpts and nothing that an image put there.
fn verify_master(file: BorrowedFd<'_>) -> Result<(), Fault> {
    let stat = rustix::fs::fstat(file)?;
    let device = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
    let devpts = rustix::fs::fstatfs(file)?.f_type as u64 == DEVPTS_MAGIC;
    if devpts && file_type(&stat) == FileType::CharacterDevice && device == terminal::PTMX_DEVICE {
        Ok(())
    } else {
        Err(Reason::WrongDevice.fault(Errno::NODEV))
    }
}
