//! Several layers at once: coming, going, leaving.

use crate::error::{Error, Result};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The most layers that are worked at at once: enough for a line that a single connection does not fill.
const MAX_THREADS: usize = 4;

/// Does something for each number below `count`, in threads; the first failure ends it.
///
/// # Errors
/// The failure that came first.
pub fn in_parallel(count: usize, work: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
    if count == 1 {
        return work(0);
    }
    let next = AtomicUsize::new(0);
    let failed: Mutex<Option<Error>> = Mutex::new(None);
    let fail = |error: Error| {
        if let Ok(mut failed) = failed.lock() {
            failed.get_or_insert(error);
        }
        next.store(count, Ordering::Relaxed);
    };
    std::thread::scope(|scope| {
        for _ in 0..count.min(MAX_THREADS) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        break;
                    }
                    if let Err(error) = work(index) {
                        fail(error);
                    }
                }
            });
        }
    });
    failed.into_inner().ok().flatten().map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_done_once_and_the_first_failure_ends_it() {
        let done = AtomicUsize::new(0);
        in_parallel(100, |index| {
            done.fetch_add(index + 1, Ordering::Relaxed);
            Ok(())
        })
        .expect("nothing fails");
        assert_eq!(done.into_inner(), 5050);
        let said = in_parallel(100, |index| if index == 7 { Err(Error::new("seven")) } else { Ok(()) });
        assert_eq!(said.expect_err("one fails").to_string(), "seven");
        in_parallel(0, |_| Ok(())).expect("nothing to do");
    }
}
