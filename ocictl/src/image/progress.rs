//! What is told while something takes time; whoever shows it decides how.

use crate::registry::download::Transfer;
use std::sync::Arc;

/// Hears of what goes on. Called from several threads.
pub trait Progress: Sync {
    /// A step, in a sentence.
    fn say(&self, line: &str);
    /// Something that whoever wants to hear of nothing must know, in a sentence.
    fn warn(&self, line: &str);
    /// A transfer of `total` bytes begins; `name` tells it from others.
    fn begin(&self, name: &str, total: u64, transfer: &Arc<Transfer>);
    /// It has ended; how, in a word or two.
    fn end(&self, name: &str, how: &str);
}

/// Nobody wants to know.
#[derive(Debug)]
pub struct Silent;

impl Progress for Silent {
    fn say(&self, _: &str) {}
    fn warn(&self, _: &str) {}
    fn begin(&self, _: &str, _: u64, _: &Arc<Transfer>) {}
    fn end(&self, _: &str, _: &str) {}
}
