//! The system calls that rustix lacks. All the `unsafe` of this crate stands here.
#![allow(unsafe_code)]

use crate::{Answer, steps::c_string};
use serde_json::{Value, json};
use std::io;
use std::mem::MaybeUninit;

/// The result of a system call, or its errno.
fn checked(result: libc::c_long) -> io::Result<i64> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// mknod(2) of `c`, `b` or `p`.
pub fn mknod(path: &str, kind: &str, major: u32, minor: u32) -> Answer {
    let kind = match kind {
        "c" => libc::S_IFCHR,
        "b" => libc::S_IFBLK,
        _ => libc::S_IFIFO,
    };
    let path = c_string(path)?;
    // SAFETY: `path` is a C string that outlives the call; the kernel writes nothing.
    let result = unsafe { libc::mknod(path.as_ptr(), kind | 0o666, libc::makedev(major, minor)) };
    checked(result.into()).map(|_| Value::Null)
}

/// Any system call by its number, with up to six plain numbers: what a filter makes of it.
pub fn call(words: &[i64]) -> Answer {
    let word = |index: usize| words.get(index).copied().unwrap_or(0);
    // SAFETY: the suite passes only calls whose arguments are numbers, or null for a pointer, which the kernel refuses.
    let result = unsafe { libc::syscall(word(0), word(1), word(2), word(3), word(4), word(5), word(6)) };
    checked(result).map(Value::from)
}

/// A set of one signal.
/// The seconds of a clock. rustix's call panics where the vDSO lacks getcpu (user-mode Linux).
pub fn seconds(clock: libc::clockid_t) -> io::Result<i64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec of our own that the call fills.
    checked(unsafe { libc::clock_gettime(clock, &raw mut time) }.into())?;
    Ok(time.tv_sec)
}

fn set_of(signal: i32) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the pointer is valid and ours; sigemptyset(3) fills the whole set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: filled by the call above.
    let mut set = unsafe { set.assume_init() };
    // SAFETY: `set` was initialised above; a number that is no signal is refused.
    unsafe { libc::sigaddset(&raw mut set, signal) };
    set
}

/// Blocks the signal and waits until somebody sends it: its number.
pub fn wait_for(signal: i32) -> Answer {
    let set = set_of(signal);
    // SAFETY: `set` is initialised and only read; no old mask is asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
    let mut got = 0;
    // SAFETY: `set` is initialised and only read; `got` is a valid place for one number.
    let result = unsafe { libc::sigwait(&raw const set, &raw mut got) };
    if result == 0 { Ok(got.into()) } else { Err(io::Error::from_raw_os_error(result)) }
}

/// Blocks the signal, says so by making a file, and waits for it.
pub fn mark_and_wait(path: &str, signal: i32) -> Answer {
    let set = set_of(signal);
    // SAFETY: `set` is initialised and only read; no old mask is asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
    std::fs::write(path, "ready")?;
    wait_for(signal)
}

/// Policy, priority, nice value and I/O priority of this process.
pub fn scheduling() -> Answer {
    let mut priority: libc::c_int = 0;
    // SAFETY: `priority` is a valid place for what sched_getparam(2) writes: one number.
    let result = unsafe { libc::syscall(libc::SYS_sched_getparam, 0, &raw mut priority) };
    checked(result)?;
    // SAFETY: sched_getscheduler(2) takes a number alone.
    let policy = checked(unsafe { libc::syscall(libc::SYS_sched_getscheduler, 0) })?;
    // SAFETY: getpriority(2) takes numbers alone; the kernel answers 20 - nice.
    let nice = 20 - checked(unsafe { libc::syscall(libc::SYS_getpriority, libc::PRIO_PROCESS, 0) })?;
    // SAFETY: ioprio_get(2) takes numbers alone (1: a process; 0: this one).
    let io = checked(unsafe { libc::syscall(libc::SYS_ioprio_get, 1, 0) })?;
    Ok(json!({
        "policy": policy & 0xff,
        "priority": priority,
        "nice": nice,
        "io_class": io >> 13,
        "io_priority": io & 7,
    }))
}

/// The memory policy of this process: mode (with its flags) and the first word of its nodes.
pub fn memory_policy() -> Answer {
    let mut mode: libc::c_int = 0;
    let mut nodes = [0_u64; 16];
    // SAFETY: `mode` and `nodes` are valid places; the kernel writes one number and at most 1024 bits.
    let result = unsafe {
        libc::syscall(libc::SYS_get_mempolicy, &raw mut mode, nodes.as_mut_ptr(), 1024_u64, 0_u64, 0_u64)
    };
    checked(result).map(|_| json!({ "mode": mode, "nodes": nodes[0] }))
}
