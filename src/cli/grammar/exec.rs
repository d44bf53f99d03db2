//! The words of `exec`.

use clap::Args;
use std::path::PathBuf;

/// `exec`. Flags end at the id, so that those of the command are its own.
#[derive(Debug, Args)]
pub struct Exec {
    /// The container, then the program and its arguments.
    #[arg(required = true, trailing_var_arg = true, value_names = ["ID", "COMMAND"])]
    words: Vec<String>,
    /// A JSON file with the process; what else is typed goes over it.
    #[arg(short, long, value_name = "FILE")]
    pub process: Option<PathBuf>,
    /// Give it a terminal.
    #[arg(short, long)]
    pub tty: bool,
    /// A socket that gets the terminal's master.
    #[arg(long, value_name = "SOCKET")]
    pub console_socket: Option<PathBuf>,
    /// A socket that gets a pidfd of the process before its program runs.
    #[arg(long, value_name = "SOCKET")]
    pub pidfd_socket: Option<PathBuf>,
    /// Leave the process alone once its program runs.
    #[arg(short, long)]
    pub detach: bool,
    /// A file that gets the pid.
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// The working directory.
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<String>,
    /// Add a variable to the environment.
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Run as this user, in numbers.
    #[arg(short, long, value_name = "UID[:GID]", allow_hyphen_values = true)]
    pub user: Option<String>,
    /// Add a supplementary group.
    #[arg(short = 'g', long, value_name = "GID", allow_hyphen_values = true)]
    pub additional_gids: Vec<String>,
    /// Add a capability to the bounding, effective and permitted sets.
    #[arg(short, long, value_name = "CAPABILITY")]
    pub cap: Vec<String>,
    /// The process can never gain privileges.
    #[arg(long)]
    pub no_new_privs: bool,
    /// Enter this AppArmor profile.
    #[arg(long, value_name = "PROFILE")]
    pub apparmor: Option<String>,
    /// Run with this SELinux label.
    #[arg(long, value_name = "LABEL")]
    pub process_label: Option<String>,
    /// Run in a sub-cgroup of the container's that exists.
    #[arg(long, value_name = "[CONTROLLER:]PATH")]
    pub cgroup: Vec<String>,
    /// Do it in a paused container, too.
    #[arg(long)]
    pub ignore_paused: bool,
    /// Pass so many descriptors after stderr on to the program.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub preserve_fds: u32,
    /// Accepted for callers of old runtimes.
    #[arg(long, hide = true)]
    no_subreaper: bool,
}

impl Exec {
    /// The container.
    pub fn id(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// The program and its arguments.
    pub fn command(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }
}
