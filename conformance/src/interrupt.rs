//! An interrupt: no test is begun any more, and those that run come to their end and take away what they made.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicI32, Ordering};

static SIGNAL: AtomicI32 = AtomicI32::new(0);

extern "C" fn note(signal: libc::c_int) {
    SIGNAL.store(signal, Ordering::Relaxed);
}

/// Has interrupts noted, where they would end the process.
pub fn watch() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let handler: extern "C" fn(libc::c_int) = note;
        // SAFETY: the handler stores one number in an atomic, which may be done at any point of the program.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
}

/// The signal that asked for the end, if one did.
pub fn asked() -> Option<i32> {
    Some(SIGNAL.load(Ordering::Relaxed)).filter(|signal| *signal != 0)
}
