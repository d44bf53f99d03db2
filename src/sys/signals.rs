//! signal(7): what a container must not inherit from the caller of the runtime, and what a foreground `run` forwards.

use super::result;
use rustix::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use rustix::io::Errno;
use std::ptr;

/// How many signals Linux has: numbers 1 to 64.
pub const LAST: i32 = 64;

/// The kernel's signal set: one bit a signal, bit 0 is signal 1.
type KernelSet = u64;

/// Sets the dispositions in `ignored` (bit n is signal n + 1) back to the default and unblocks every signal.
///
/// Ignored signals survive execve(2): conmon ignores SIGPIPE, and a container's shell would inherit it.
///
/// # Errors
/// None that a valid set can cause; `SIGKILL` and `SIGSTOP` cannot be ignored and are passed over.
pub fn reset(ignored: u64) -> Result<(), Errno> {
    let mut rest = ignored & !(bit(libc::SIGKILL) | bit(libc::SIGSTOP));
    while rest != 0 {
        let signal = rest.trailing_zeros() as i32 + 1;
        rest &= rest - 1;
        set_default(signal)?;
    }
    set_mask(libc::SIG_SETMASK, 0)
}

/// Blocks every signal that a foreground `run` forwards or waits for, and opens a signalfd(2) that delivers them.
///
/// # Errors
/// `EMFILE`, `ENOMEM`.
pub fn block_all() -> Result<OwnedFd, Errno> {
    // Faults of our own must still end us: blocked, they would loop.
    let faults = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGABRT];
    let set = faults.iter().fold(KernelSet::MAX, |set, signal| set & !bit(*signal));
    set_mask(libc::SIG_SETMASK, set)?;
    open(set)
}

/// Opens a signalfd(2) that delivers some of the signals that are blocked, and leaves the others to wait.
///
/// # Errors
/// `EMFILE`, `ENOMEM`.
pub fn watch(signals: impl IntoIterator<Item = i32>) -> Result<OwnedFd, Errno> {
    open(signals.into_iter().fold(0, |set, signal| set | bit(signal)))
}

/// The number of the next signal that a signalfd(2) of ours delivers, if one has come.
///
/// # Errors
/// Those of read(2).
pub fn next(descriptor: BorrowedFd<'_>) -> Result<Option<i32>, Errno> {
    // The size of signalfd_siginfo, whose first field is the signal's number.
    let mut bytes = [0; 128];
    loop {
        match rustix::io::read(descriptor, &mut bytes) {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(None),
            answer => {
                answer?;
                return Ok(Some(i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])));
            }
        }
    }
}

fn open(set: KernelSet) -> Result<OwnedFd, Errno> {
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: `set` is an 8-byte kernel signal set on this stack; -1 asks for a new descriptor.
    let descriptor = result(unsafe {
        libc::syscall(libc::SYS_signalfd4, -1, &raw const set, size_of::<KernelSet>(), flags)
    })?;
    // SAFETY: signalfd4 returned a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor as RawFd) })
}

/// Sends any signal number, also a real-time one, to the process that `pidfd` stands for.
///
/// # Errors
/// `ESRCH`: the process has ended and was reaped; `EPERM`; `EINVAL`: no such signal.
pub fn send(pidfd: BorrowedFd<'_>, signal: i32) -> Result<(), Errno> {
    use rustix::fd::AsRawFd;
    // SAFETY: takes a descriptor and a number; a null siginfo means that of kill(2); flags must be 0.
    result(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            ptr::null::<libc::siginfo_t>(),
            0,
        )
    })?;
    Ok(())
}

/// Sends any signal number to a child that nobody has reaped yet: until then its pid cannot be another's, so that kill(2)
/// does where a filter above us denies pidfd_send_signal(2).
///
/// # Errors
/// As [`send`].
pub fn send_to_child(pidfd: BorrowedFd<'_>, pid: i32, signal: i32) -> Result<(), Errno> {
    match send(pidfd, signal) {
        Err(Errno::NOSYS) => kill(pid, signal),
        answer => answer,
    }
}

/// Sends any signal number to a process by its pid.
///
/// # Errors
/// `ESRCH`, `EPERM`, `EINVAL`.
pub fn kill(pid: i32, signal: i32) -> Result<(), Errno> {
    // SAFETY: kill takes two numbers.
    result(libc::c_long::from(unsafe { libc::kill(pid, signal) }))?;
    Ok(())
}

/// SIGPIPE ignored, until this is dropped: a write to nobody is an error of write(2), and not the end.
#[derive(Debug)]
pub struct IgnoredPipe {
    before: libc::sighandler_t,
}

impl IgnoredPipe {
    /// Ignores SIGPIPE.
    pub fn begin() -> Self {
        // SAFETY: SIG_IGN is a valid disposition of SIGPIPE.
        let before = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
        Self { before }
    }
}

impl Drop for IgnoredPipe {
    fn drop(&mut self) {
        // SAFETY: `before` is what signal(2) has answered for SIGPIPE: SIG_DFL or SIG_IGN, since nobody installs handlers.
        unsafe { libc::signal(libc::SIGPIPE, self.before) };
    }
}

fn bit(signal: i32) -> KernelSet {
    1 << (signal - 1)
}

fn set_default(signal: i32) -> Result<(), Errno> {
    // The kernel's own struct rather than libc's call: musl keeps signals 32 to 34 to itself and refuses them.
    static DEFAULT: [u64; 4] = [0; 4];
    // SAFETY: DEFAULT is at least the size of the kernel's sigaction on every architecture, and all zeros mean SIG_DFL
    // with an empty mask and no flags; the old action is not asked for.
    result(unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            &raw const DEFAULT,
            ptr::null_mut::<u64>(),
            size_of::<KernelSet>(),
        )
    })?;
    Ok(())
}

fn set_mask(how: i32, set: KernelSet) -> Result<(), Errno> {
    // SAFETY: `set` is an 8-byte kernel signal set on this stack; the old mask is not asked for.
    result(unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            how,
            &raw const set,
            ptr::null_mut::<KernelSet>(),
            size_of::<KernelSet>(),
        )
    })?;
    Ok(())
}
