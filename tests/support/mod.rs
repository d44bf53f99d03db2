//! The life-cycle tests' harness: a bundle on disk, the runtime under test as a black box, and the leak check that ends
//! every test.
//!
//! `RUNTIME=/usr/sbin/runc cargo test --test lifecycle` runs the same tests against a peer: what fails there too is a
//! wrong test. Where corten differs by design the test states our rule and is skipped on the peer with the reason.

// Every test file is a crate of its own that uses its part of the harness.
#![allow(dead_code)]

pub mod bundle;
pub mod canary;
pub mod cgroups;
pub mod counter;
pub mod criu;
pub mod devices;
pub mod elf;
pub mod errno;
pub mod holder;
pub mod leaks;
pub mod messenger;
pub mod probe;
pub mod profiles;
pub mod racer;
pub mod runtime;
pub mod systemd;
pub mod terminal;
// Of tests alone: it needs libseccomp, which a program that is given away cannot bring.
#[cfg(test)]
pub mod without;

#[allow(unused_imports)]
pub use bundle::Bundle;
#[allow(unused_imports)]
pub use runtime::{Outcome, is_peer, skip_on_peer};
