//! `ocictl`: start, run, print one error, exit code. Nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(ocictl::cli::main(std::env::args_os().collect()))
}
