//! Words of errnos that differ among runtimes.

use super::is_peer;

/// What is said of something that is not there, and is no command.
pub fn missing() -> &'static str {
    if is_peer() { "no such file or directory" } else { "missing" }
}
