//! Signals as a descriptor and by number, namespaces, and which process a number means.

use rustix::io::Errno;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Keeps signals from being delivered to this process, and to what it starts: see [`unblock_in_child`].
///
/// # Errors
/// As sigprocmask(2).
pub fn block_signals(signals: &[i32]) -> rustix::io::Result<()> {
    let set = set_of(signals);
    // SAFETY: `set` was filled by sigemptyset and sigaddset and lives through the call; the old mask is not asked for.
    match unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(last_errno()),
    }
}

/// Lets what `command` starts have no signal blocked, whatever is here.
pub fn unblock_in_child(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    let none = set_of(&[]);
    let unblock = move || {
        // SAFETY: `none` was filled by sigemptyset and lives in the closure; the old mask is not asked for.
        match unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: between fork and exec this makes one system call; it allocates nothing and takes no lock.
    unsafe { command.pre_exec(unblock) };
}

/// A descriptor that gives these signals as they come, once they are blocked (signalfd(2)).
///
/// # Errors
/// As signalfd(2).
pub fn signal_descriptor(signals: &[i32]) -> rustix::io::Result<OwnedFd> {
    let set = set_of(signals);
    // SAFETY: `set` lives through the call; -1 asks for a new descriptor.
    let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    if fd < 0 {
        return Err(last_errno());
    }
    // SAFETY: the kernel has just made this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The next signal of a descriptor from [`signal_descriptor`], if one has come.
pub fn next_signal(descriptor: &OwnedFd) -> Option<i32> {
    let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
    let size = size_of::<libc::signalfd_siginfo>();
    // SAFETY: `info` has room for `size` bytes, which the kernel writes as a whole or not at all.
    let length = unsafe { libc::read(descriptor.as_raw_fd(), info.as_mut_ptr().cast(), size) };
    if usize::try_from(length) != Ok(size) {
        return None;
    }
    // SAFETY: all of it was zeroed and then written, and every pattern of bits is a value of the type.
    let info = unsafe { info.assume_init() };
    i32::try_from(info.ssi_signo).ok()
}

/// Puts this process into a mount namespace of its own (unshare(2)).
///
/// # Errors
/// As unshare(2).
pub fn unshare_mounts() -> rustix::io::Result<()> {
    // SAFETY: CLONE_NEWNS changes what paths lead to and no memory; the program has one thread where this is called.
    match unsafe { libc::unshare(libc::CLONE_NEWNS) } {
        0 => Ok(()),
        _ => Err(last_errno()),
    }
}

/// Closes files in a process of their own, for which nobody waits: freeing what a file without a name holds, and what of it is in
/// memory, takes its last holder a millisecond for each twenty megabytes. Where there can be no such process, they are closed here.
pub fn close_apart(files: Vec<OwnedFd>) {
    let Ok((gate, _open_until_ours_are_closed)) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
    else {
        return;
    };
    let mut held: Vec<i32> = files.iter().chain([&gate]).map(AsRawFd::as_raw_fd).collect();
    held.sort_unstable();
    // SAFETY: what the child does until its end are system calls and steps through `held`, which it only borrows: it allocates and
    // frees nothing, and takes no lock, so that nothing matters that other threads may have held when it was made.
    if unsafe { libc::fork() } == 0 {
        // Somebody may wait for the end of our output, for a lock, or for the directory that we are in.
        let mut from = 0;
        for &fd in &held {
            close_range(from, fd - 1);
            from = fd + 1;
        }
        close_range(from, i32::MAX);
        // SAFETY: the path is a literal that ends with a NUL; nobody else's directory changes by it.
        unsafe { libc::chdir(c"/".as_ptr()) };
        let _until_we_are_the_last = rustix::io::read(&gate, &mut [0u8]);
        // SAFETY: it ends this process at once; the descriptors go with it, and no destructor runs twice.
        unsafe { libc::_exit(0) };
    }
    drop(files);
}

/// Closes the descriptors from the first to the last (close_range(2), Linux 5.9).
fn close_range(first: i32, last: i32) {
    if first <= last {
        // SAFETY: only called where nobody uses these descriptors any more, in a process that is going to end.
        unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    }
}

/// Sends a signal by its number, those of real time included, to a held process (pidfd_send_signal(2)).
///
/// # Errors
/// As pidfd_send_signal(2).
pub fn send_signal(pidfd: &OwnedFd, number: i32) -> rustix::io::Result<()> {
    // SAFETY: the descriptor is open, and without a siginfo_t the kernel reads no memory.
    let sent = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            number,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    match sent {
        0 => Ok(()),
        _ => Err(last_errno()),
    }
}

/// Sends a signal to a child that is not reaped yet; one that has ended hears nothing.
pub fn kill(child: rustix::process::Pid, number: i32) {
    // SAFETY: kill reads no memory; the number is checked by the kernel.
    unsafe { libc::kill(child.as_raw_nonzero().get(), number) };
}

/// When a process was started, in ticks since boot; nothing if it is gone or has ended (proc_pid_stat(5), field 22).
pub fn start_time(pid: i32) -> Option<u64> {
    let fields = stat(pid)?;
    let mut fields = fields.split(' ');
    let alive = !matches!(fields.next()?, "Z" | "X");
    alive.then(|| fields.nth(18)?.parse().ok()).flatten()
}

/// What a process does, by a letter: `T` stopped by a signal (proc_pid_stat(5), field 3).
pub fn letter(pid: i32) -> Option<char> {
    stat(pid)?.chars().next()
}

/// The parent of a process (proc_pid_stat(5), field 4).
pub fn parent(pid: i32) -> Option<i32> {
    stat(pid)?.split(' ').nth(1)?.parse().ok()
}

/// The fields of a process's `stat` behind its name.
fn stat(pid: i32) -> Option<String> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything.
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    Some(std::str::from_utf8(stat.get(end + 2..)?).ok()?.to_owned())
}

/// The user namespace that the namespace behind a descriptor was made in (ioctl_ns(2)).
///
/// # Errors
/// `EPERM`: it is not one of ours.
pub fn parent_namespace(namespace: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    /// `NS_GET_PARENT` of linux/nsfs.h.
    const NS_GET_PARENT: u64 = 0xb702;
    // The type of the request differs between C libraries.
    #[allow(clippy::unnecessary_cast)]
    let request = NS_GET_PARENT as _;
    // SAFETY: the request takes no argument and touches no memory of ours.
    let fd = unsafe { libc::ioctl(namespace.as_raw_fd(), request) };
    if fd < 0 {
        return Err(last_errno());
    }
    // SAFETY: the kernel has just made this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn set_of(signals: &[i32]) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the pointer is valid for the one set that sigemptyset writes.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: sigemptyset has filled it.
    let mut set = unsafe { set.assume_init() };
    for signal in signals {
        // SAFETY: `set` is a filled set; an unknown number is refused and changes nothing.
        unsafe { libc::sigaddset(&raw mut set, *signal) };
    }
    set
}

fn last_errno() -> Errno {
    Errno::from_raw_os_error(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}
