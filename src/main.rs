//! `corten`: start, run, print one error, exit code. Nothing else.

#![cfg_attr(not(test), no_main)]

use corten::sys::memory::Bump;

/// All memory of the program.
#[global_allocator]
static MEMORY: Bump = Bump::new();

#[cfg(not(test))]
corten::sys::entry::entry_point!(corten::cli::main);
