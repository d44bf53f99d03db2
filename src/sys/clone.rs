//! clone3(2): the one way in which the runtime makes a process, and clone(2) where a filter above us denies it.

use super::{namespace, result};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;
use std::ffi::CStr;

/// What the new process gets of its own, and where it is born.
#[derive(Debug, Default)]
pub struct Request<'fd> {
    /// `CLONE_*` flags: new namespaces, `CLONE_PARENT`.
    pub flags: u64,
    /// The cgroup v2 directory that the child is born in (`CLONE_INTO_CGROUP`, Linux 5.7).
    pub cgroup: Option<BorrowedFd<'fd>>,
}

/// Which side of the clone the caller finds itself on.
#[derive(Debug)]
pub enum Side {
    /// The caller goes on: the child's pid and a descriptor that cannot be confused by pid reuse.
    Parent {
        /// The child as the caller's pid namespace numbers it.
        pid: Pid,
        /// The child's pidfd, close-on-exec.
        pidfd: OwnedFd,
    },
    /// The new process, with a copy of all memory.
    Child,
}

/// Makes a process that shares nothing with the caller but open files.
///
/// The caller must be single-threaded: a lock that another thread holds stays locked in the child for ever. The
/// runtime never starts a thread, and `launch` asserts it.
///
/// # Errors
/// `EPERM`: a namespace needs privileges; `ENOSPC`: a limit in `user.max_*_namespaces`; `E2BIG`: a cgroup to be born in, which
/// Linux before 5.7 and clone(2) do not know; `ENOSYS`: a new time namespace without clone3(2) and without root.
pub fn clone3(request: &Request<'_>) -> Result<Side, Errno> {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let mut pidfd: RawFd = -1;
    let mut flags = request.flags | libc::CLONE_PIDFD as u64;
    if request.cgroup.is_some() {
        flags |= CLONE_INTO_CGROUP;
    }
    let arguments = libc::clone_args {
        flags,
        pidfd: (&raw mut pidfd).expose_provenance() as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: if flags & libc::CLONE_PARENT as u64 == 0 { libc::SIGCHLD as u64 } else { 0 },
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: request.cgroup.map_or(0, |fd| fd.as_raw_fd() as u64),
    };
    // SAFETY: `arguments` is a complete clone_args that lives across the call; `pidfd` is a c_int that the kernel
    // writes in the parent before the call returns. Without CLONE_VM the child runs on a copy of this stack.
    let answer = result(unsafe {
        libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<libc::clone_args>())
    });
    let pid = match answer {
        Err(Errno::NOSYS) => clone(flags, &mut pidfd)?,
        answer => answer?,
    };
    match Pid::from_raw(pid as i32) {
        None => Ok(Side::Child),
        Some(pid) => {
            // SAFETY: the kernel stored a new descriptor that nobody else knows in `pidfd` (CLONE_PIDFD).
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Side::Parent { pid, pidfd })
        }
    }
}

/// The same by clone(2), whose flags have 32 bits, with the signal in the lowest eight: so it has none for a time namespace.
/// That the caller makes for its children, if it has not done so for its offsets, and goes back into its own; a process in
/// between, which makes its own brother, need not.
fn clone(flags: u64, pidfd: &mut RawFd) -> Result<libc::c_long, Errno> {
    const TIME: u32 = libc::CLONE_NEWTIME as u32;
    let Ok(flags) = u32::try_from(flags) else { return Err(Errno::TOOBIG) };
    if flags & TIME == 0 || has_time_namespace_for_children()? {
        return clone_2(flags & !TIME, pidfd);
    }
    if flags & libc::CLONE_PARENT as u32 != 0 {
        namespace::unshare(TIME)?;
        return clone_2(flags & !TIME, pidfd);
    }
    let own = rustix::fs::open(c"/proc/self/ns/time", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    // The way back first: who is root of a user namespace alone has none.
    namespace::enter(own.as_fd(), TIME).and_then(|()| namespace::unshare(TIME)).map_err(|_| Errno::NOSYS)?;
    let answer = clone_2(flags & !TIME, pidfd);
    if answer != Ok(0) {
        namespace::enter(own.as_fd(), TIME)?;
    }
    answer
}

/// Whether the caller's children are born in another time namespace than its own.
fn has_time_namespace_for_children() -> Result<bool, Errno> {
    let inode = |path: &CStr| rustix::fs::stat(path).map(|stat| stat.st_ino);
    Ok(inode(c"/proc/self/ns/time")? != inode(c"/proc/self/ns/time_for_children")?)
}

fn clone_2(flags: u32, pidfd: &mut RawFd) -> Result<libc::c_long, Errno> {
    let flags = libc::c_ulong::from(flags | libc::SIGCHLD as u32);
    let same_stack: libc::c_ulong = 0;
    // s390x has the first two the other way round (CONFIG_CLONE_BACKWARDS2).
    let [first, second] = if cfg!(target_arch = "s390x") { [same_stack, flags] } else { [flags, same_stack] };
    // SAFETY: without CLONE_VM the child runs on a copy of this stack; `pidfd` is a c_int that the kernel writes in the parent
    // before the call returns (CLONE_PIDFD); none of the flags asks for the arguments behind it.
    result(unsafe { libc::syscall(libc::SYS_clone, first, second, &raw mut *pidfd, 0, 0) })
}

/// Ends the process at once, without destructors or buffers: the only way in which a child of [`clone3`] may end. Below a filter
/// that denies even that (libc's call would be repeated for ever), a fault ends it.
#[expect(clippy::disallowed_methods, reason = "nobody is left who could print anything")]
pub fn exit(code: i32) -> ! {
    // SAFETY: exit_group takes any number.
    unsafe { libc::syscall(libc::SYS_exit_group, code) };
    std::process::abort()
}
