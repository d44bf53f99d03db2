//! The small init of `--init`: this very program, called by another name inside a container. It starts the container's program, passes signals
//! on, and reaps what others leave; it ends as that program ends.

use crate::sys;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, WaitOptions, wait};
use std::ffi::OsString;
use std::process::Command;

/// The name it is called by.
pub const NAME: &str = "oci-init";
/// Faults of this program itself stay deadly; SIGKILL and SIGSTOP cannot be held.
const NOT_PASSED: [i32; 8] = [
    libc::SIGKILL,
    libc::SIGSTOP,
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGABRT,
    libc::SIGTRAP,
];

/// Whether the init that is this process holds signals by now: what comes before is forgotten by the kernel.
pub fn is_ready(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let held = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
    let held = held.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    held & (1 << (libc::SIGTERM - 1)) != 0
}

/// Runs `[--] PROGRAM ARGUMENT…` to its end; gives its exit code.
pub fn main(arguments: &[OsString]) -> u8 {
    let arguments = arguments.strip_prefix(&[OsString::from("--")]).unwrap_or(arguments);
    let Some((program, rest)) = arguments.split_first() else {
        eprintln!("{NAME}: no program is given");
        return 127;
    };
    // Before there is a child: the kernel forgets a signal to the first process of a container that neither handles nor holds it.
    let signals: Vec<i32> = (1..=31)
        .filter(|signal| !NOT_PASSED.contains(signal))
        .chain(libc::SIGRTMIN()..=libc::SIGRTMAX())
        .collect();
    let descriptor =
        sys::process::block_signals(&signals).and_then(|()| sys::process::signal_descriptor(&signals));
    let descriptor = match descriptor {
        Ok(descriptor) => descriptor,
        Err(errno) => {
            eprintln!("{NAME}: signals: {errno}");
            return 125;
        }
    };
    let mut command = Command::new(program);
    sys::process::unblock_in_child(command.args(rest));
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("{NAME}: exec: {program:?}: {error}");
            return if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 };
        }
    };
    let Some(child) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else { return 125 };
    loop {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == child {
                let signal = status.terminating_signal().map(|signal| 128 + signal);
                return u8::try_from(status.exit_status().or(signal).unwrap_or(255)).unwrap_or(255);
            }
        }
        let _interrupted = rustix::event::poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], None);
        while let Some(signal) = sys::process::next_signal(&descriptor) {
            if signal != libc::SIGCHLD {
                sys::process::kill(child, signal);
            }
        }
    }
}
