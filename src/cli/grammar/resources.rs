//! The words of `pause`, `resume` and `mounts`.

use crate::cgroup::Reclaim;
use crate::cli::quantity;
use clap::{Args, ValueEnum};

/// `pause`.
#[derive(Debug, Args)]
pub struct Pause {
    /// The container.
    pub id: String,
    /// Then give its memory back to the machine: so many bytes, or a part of what it uses.
    #[arg(long, value_name = "BYTES|PERCENT", num_args = 0..=1, require_equals = true,
        default_missing_value = "100%", value_parser = quantity::reclaim)]
    pub reclaim: Option<Reclaim>,
}

/// `resume`.
#[derive(Debug, Args)]
pub struct Resume {
    /// The container.
    pub id: String,
}

/// `mounts`.
#[derive(Debug, Args)]
pub struct Mounts {
    /// What to do.
    #[arg(value_enum, value_name = "add|remove")]
    pub change: MountsChange,
    /// The container.
    pub id: String,
    /// The mounts, as in config.json; - for standard input. To remove them, destinations are enough.
    pub file: String,
}

/// Whether mounts come or go.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum MountsChange {
    /// They come.
    Add,
    /// They go.
    Remove,
}
