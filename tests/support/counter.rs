//! A container that counts in a file, so that one sees whether it stands still.

use super::{Bundle, runtime};
use std::fs;

/// A container that counts every few milliseconds.
pub fn bundle() -> Bundle {
    Bundle::sh("n=0; while :; do n=$((n+1)); echo $n > /n; usleep 2000; done")
}

/// What it has counted to.
pub fn count(bundle: &Bundle) -> String {
    fs::read_to_string(bundle.rootfs().join("n")).unwrap_or_default()
}

/// Waits until it has counted on.
#[track_caller]
pub fn await_progress(bundle: &Bundle) {
    let before = count(bundle);
    runtime::eventually(|| count(bundle) != before, || format!("progress beyond {before:?}"));
}
