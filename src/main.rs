//! `corten`: start, run, print one error, exit code. Nothing else.

fn main() {}
