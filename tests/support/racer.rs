//! Who swaps two names as quickly as it can, so that whoever resolves one of them meets the other.

use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Swaps until it is dropped, also when the test fails.
pub struct Racer {
    ended: Arc<AtomicBool>,
    swaps: Arc<AtomicUsize>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Racer {
    /// Begins to swap these two, which are on one file system.
    pub fn between(one: PathBuf, other: PathBuf) -> Self {
        let (ended, swaps) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (end, count) = (Arc::clone(&ended), Arc::clone(&swaps));
        let thread = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                // A name may be missing for a moment: what is copied over is unlinked first.
                if renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).is_ok() {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self { ended, swaps, thread: Some(thread) }
    }

    /// How often they were swapped so far.
    pub fn swaps(&self) -> usize {
        self.swaps.load(Ordering::Relaxed)
    }
}

impl Drop for Racer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ended = self.thread.take().map(std::thread::JoinHandle::join);
    }
}
