//! From the plan to a process: the parent's side of the clone ([`spawn`]), the child's side ([`init`]) and the wire
//! between them ([`protocol`]).

pub mod binds;
mod detour;
pub mod hook;
pub mod id_maps;
pub mod init;
pub mod net_devices;
pub mod outside;
pub mod prepared;
pub mod protocol;
pub mod source_clone;
pub mod spawn;
mod words;

pub use words::{failure, start_failure};
