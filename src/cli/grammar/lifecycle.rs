//! The words of `create`, `run`, `start`, `kill` and `delete`.

use clap::Args;
use std::path::PathBuf;

/// What create and run have in common.
#[derive(Debug, Args)]
pub struct Create {
    /// The id of the new container.
    pub id: String,
    /// The bundle: the directory with config.json.
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub bundle: PathBuf,
    /// Another file than the bundle's config.json.
    #[arg(short = 'f', long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A socket that gets the terminal's master.
    #[arg(long, value_name = "SOCKET")]
    pub console_socket: Option<PathBuf>,
    /// A socket that gets a pidfd of init before its program runs.
    #[arg(long, value_name = "SOCKET")]
    pub pidfd_socket: Option<PathBuf>,
    /// A file that gets the pid.
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// Move the root instead of pivoting, for hosts on a ramfs.
    #[arg(long)]
    pub no_pivot: bool,
    /// Keep the caller's session keyring.
    #[arg(long)]
    pub no_new_keyring: bool,
    /// Pass so many descriptors after stderr on to the program.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub preserve_fds: u32,
    /// Do not adopt the processes that the container leaves behind. Only a run in the foreground would.
    #[arg(long)]
    pub no_subreaper: bool,
}

/// `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// What it shares with create.
    #[command(flatten)]
    pub create: Create,
    /// Leave the container alone once its program runs.
    #[arg(short, long)]
    pub detach: bool,
    /// Do not delete the container when it has ended.
    #[arg(long)]
    pub keep: bool,
}

/// `start`.
#[derive(Debug, Args)]
pub struct Start {
    /// The container.
    pub id: String,
}

/// `kill`.
#[derive(Debug, Args)]
pub struct Kill {
    /// The container.
    pub id: String,
    /// The signal, by name or number [default: the image's stop signal, or SIGTERM].
    pub signal: Option<String>,
    /// Signal every process of the container.
    #[arg(short, long)]
    pub all: bool,
    /// The id is a regular expression: signal every container whose id it matches.
    #[arg(short, long)]
    pub regex: bool,
}

/// `delete`.
#[derive(Debug, Args)]
pub struct Delete {
    /// The container.
    pub id: String,
    /// End it first when it runs; a container that does not exist is no error.
    #[arg(short, long)]
    pub force: bool,
    /// The id is a regular expression: delete every container whose id it matches.
    #[arg(short, long)]
    pub regex: bool,
}
