//! corten, a low-level OCI runtime: decide first, then act.
//!
//! `config.json` → [`spec`] → [`plan`] → `launch` (the child that acts) → state. `docs/architecture.md` has the
//! picture; `tests/layers.rs` holds the floors: a module imports only from floors below its own.

pub mod cgroup;
pub mod cli;
pub mod container;
pub mod criu;
pub mod dbus;
pub mod errno;
pub mod error;
pub mod gvariant;
pub mod host;
pub mod launch;
pub mod log;
pub mod plan;
pub mod seccomp;
pub mod spec;
#[allow(unsafe_code)]
pub mod sys;
