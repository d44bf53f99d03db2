//! The words of options made into values: `512m`, `1m30s`, `nofile=1024:2048`, `./src:/app:ro`, `type=bind,…`. Pure; each error names
//! the word that is wrong, the caller adds the option's name.

mod life;
mod mounts;
mod rights;
mod users;
mod values;

use crate::error::Result;
pub use life::{host, log_driver, log_option, namespace, network, on_unhealthy, restart};
pub use mounts::{mount, rootfs, tmpfs, volume};
pub use rights::{capability, device, security_option};
pub use users::{id_map, user_namespace};
pub use values::{bytes, bytes_or_any, cpus, detach_keys, duration, is_name, signal, ulimit};

/// What a relative path, or a profile's file, is read with: the caller's directory and its files.
pub trait Surroundings {
    /// An absolute path for one that is relative to the caller's directory.
    fn absolute(&self, path: &str) -> String;
    /// The content of a file.
    ///
    /// # Errors
    /// Names the file.
    fn read(&self, path: &str) -> Result<String>;
}

#[cfg(test)]
mod tests;
