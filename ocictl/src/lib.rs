//! ocictl, a daemonless container engine: images from registries and archives, and containers by an OCI runtime that it runs.
//!
//! The floors are those of `docs/architecture.md`; `tests/layers.rs` holds them. All state is in small files below one root
//! ([`store`]), each written aside and renamed, so that any process may be killed at any time and several may work at once.

/// What each errno is called: shared like [`error`].
#[path = "../../src/errno.rs"]
pub mod errno;
/// The error of the project, the very file that `corten` compiles: one sentence, one hint, the errno kept.
#[path = "../../src/error.rs"]
pub mod error;

pub mod archive;
pub mod cli;
pub mod container;
pub mod digest;
pub mod given;
pub mod image;
pub mod oci;
pub mod paths;
pub mod reference;
pub mod registry;
pub mod rootless;
pub mod runtime;
pub mod store;
#[allow(unsafe_code)]
pub mod sys;
pub mod time;
pub mod volume;
