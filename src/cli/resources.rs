//! pause, resume: what a container may use of the machine, now.

use super::grammar::{Arguments, Pause, Resume};
use super::open;
use crate::container::pause;
use crate::error::Result;

/// Pauses a container.
pub fn pause(arguments: &Arguments, typed: &Pause) -> Result<u8> {
    pause::pause(&open(arguments, &typed.id)?, typed.reclaim)?;
    Ok(0)
}

/// Lets a paused container go on.
pub fn resume(arguments: &Arguments, typed: &Resume) -> Result<u8> {
    pause::resume(&open(arguments, &typed.id)?)?;
    Ok(0)
}
