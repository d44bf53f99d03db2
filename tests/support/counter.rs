//! A container that counts in a file, so that one sees whether it stands still.

use super::{Bundle, runtime};
use std::fs;

/// A container that counts every few milliseconds.
pub fn bundle() -> Bundle {
    Bundle::sh("n=0; while :; do n=$((n+1)); echo $n > /n; usleep 2000; done")
}

/// One whose count goes over a TCP connection inside.
pub fn over_tcp() -> Bundle {
    let script = "sleep 1000 | nc -l -p 77 > /n & usleep 300000; n=0; \
                  while :; do n=$((n+1)); echo $n; usleep 2000; done | nc 127.0.0.1 77";
    let bundle = Bundle::sh(script);
    std::os::unix::fs::symlink("busybox", bundle.rootfs().join("bin/nc")).unwrap();
    bundle
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
