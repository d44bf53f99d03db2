//! The words of `plan` and `help`.

use clap::Args;
use std::path::PathBuf;

/// `plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// The id of the container that would be created.
    #[arg(default_value = "container")]
    pub id: String,
    /// The bundle: the directory with config.json.
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub bundle: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `help`.
#[derive(Debug, Args)]
pub struct Help {
    /// The verb.
    pub verb: Option<String>,
}
