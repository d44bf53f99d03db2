//! The entry of the `corten` program, without what Rust's runtime does at every start: it installs an alternate stack and
//! handlers of faults, twelve system calls for a process that makes two hundred.
//!
//! What it does for safety is done here, too: stdin, stdout and stderr are open, or the next file that is opened would
//! become one of them, SIGPIPE is an error of write(2) instead of the end, and children wait to be asked how they ended, also
//! where the caller ignores SIGCHLD. A container gets the default of both.

use rustix::event::{PollFd, PollFlags, Timespec};
use std::ffi::{CStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStringExt;

/// Declares `main` as C knows it and hands the arguments to a function that returns the exit code.
#[macro_export]
macro_rules! entry_point {
    ($run:path) => {
        /// The entry that libc calls.
        #[allow(unsafe_code)]
        // SAFETY: the only symbol of this name in the program, with the signature that libc calls.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn main(
            count: core::ffi::c_int,
            arguments: *const *const core::ffi::c_char,
        ) -> core::ffi::c_int {
            // SAFETY: these are the very arguments of main.
            let typed = unsafe { $crate::sys::entry::begin(count, arguments) };
            core::ffi::c_int::from($run(typed))
        }
    };
}

pub use entry_point;

/// Makes the process fit for work and collects its arguments.
///
/// # Safety
/// `arguments` points to `count` C strings that live as long as the process, as libc passes them to `main`.
pub unsafe fn begin(count: c_int, arguments: *const *const c_char) -> Vec<OsString> {
    open_stdio();
    // SAFETY: SIG_IGN is a valid disposition of SIGPIPE.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    // SAFETY: SIG_DFL is a valid disposition of SIGCHLD.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    let count = usize::try_from(count).unwrap_or(0);
    (0..count)
        .map(|index| {
            // SAFETY: the caller promises `count` pointers, so this one lies in the array.
            let place = unsafe { arguments.add(index) };
            // SAFETY: as above.
            let argument = unsafe { *place };
            // SAFETY: the caller promises that each is a C string.
            let argument = unsafe { CStr::from_ptr(argument) };
            OsString::from_vec(argument.to_bytes().to_vec())
        })
        .collect()
}

/// Opens `/dev/null` in the place of each standard stream that is closed.
fn open_stdio() {
    let mut streams = [
        PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::empty()),
        PollFd::from_borrowed_fd(rustix::stdio::stdout(), PollFlags::empty()),
        PollFd::from_borrowed_fd(rustix::stdio::stderr(), PollFlags::empty()),
    ];
    if rustix::event::poll(&mut streams, Some(&Timespec::default())).is_err() {
        return;
    }
    for closed in streams.iter().filter(|stream| stream.revents().contains(PollFlags::NVAL)) {
        let _lowest_free_is_this_one = closed;
        if let Ok(null) = rustix::fs::open(c"/dev/null", rustix::fs::OFlags::RDWR, rustix::fs::Mode::empty())
        {
            std::mem::forget(null);
        }
    }
}
