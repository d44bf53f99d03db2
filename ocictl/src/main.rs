//! `ocictl`, the container engine of the corten workspace.
//!
//! It has its version only so far; images and containers are the work of its own issue.

use clap::Parser;

/// A daemonless container engine on OCI runtimes.
#[derive(Debug, Parser)]
#[command(name = "ocictl", version)]
struct Arguments {}

fn main() {
    let Arguments {} = Arguments::parse();
}
