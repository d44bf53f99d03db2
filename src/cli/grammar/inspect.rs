//! The words of `state`, `list`, `ps`, `events` and `spec`.

use crate::cli::quantity;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// `state`.
#[derive(Debug, Args)]
pub struct State {
    /// The container.
    pub id: String,
}

/// `list`.
#[derive(Debug, Args)]
pub struct List {
    /// How to print it.
    #[arg(short, long, default_value = "table", value_name = "table|json")]
    pub format: String,
    /// Print the ids alone.
    #[arg(short, long)]
    pub quiet: bool,
}

/// `ps`.
#[derive(Debug, Args)]
pub struct Ps {
    /// How to print them.
    #[arg(short, long, default_value = "table", value_name = "table|json")]
    pub format: String,
    /// The container, and then options for the host's ps [default: -ef].
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_names = ["ID", "PS-OPTION"]
    )]
    pub words: Vec<String>,
}

/// `events`.
#[derive(Debug, Args)]
pub struct Events {
    /// The container.
    pub id: String,
    /// Tell what it uses now, and end.
    #[arg(long)]
    pub stats: bool,
    /// How often to tell what it uses.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = quantity::duration)]
    pub interval: Duration,
}

/// `spec`.
#[derive(Debug, Args)]
pub struct Spec {
    /// The directory that gets the file.
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub bundle: PathBuf,
    /// Another name for the file, below that directory.
    #[arg(short, long, value_name = "FILE", default_value = "config.json")]
    pub file: PathBuf,
    /// For an ordinary user: with a user namespace of his own.
    #[arg(id = "for_user", long = "rootless")]
    pub rootless: bool,
}
