//! The grammar of the command line: runc's words, and crun's where they add something.

mod checkpoint;
mod deferred;
#[cfg(test)]
mod tests;
mod update;

pub use checkpoint::{CgroupsMode, Checkpoint, Restore, Transfer};
pub use update::Update;

use super::quantity;
use crate::cgroup::Reclaim;
use crate::log::Level;
use crate::plan::CgroupManager;
use clap::{Args, Parser, Subcommand, ValueEnum};
use deferred::Deferred;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// The three lines that callers read: the name and version, the commit, the specification.
const VERSION: &str =
    concat!("version ", env!("CARGO_PKG_VERSION"), "\ncommit: ", env!("CORTEN_COMMIT"), "\nspec: 1.3.0");

/// A low-level OCI runtime: makes containers from bundles.
// An option that is given twice counts as it was given last: engines put theirs behind those of the administrator.
#[derive(Debug, Parser)]
#[command(
    name = "corten",
    version = VERSION,
    disable_help_subcommand = true,
    disable_version_flag = true,
    args_override_self = true
)]
pub struct Arguments {
    /// Print the version.
    #[arg(short = 'v', short_alias = 'V', long, action = clap::ArgAction::Version)]
    version: (),
    /// Where the state of containers is kept [default: /run/corten, or $XDG_RUNTIME_DIR/corten for an ordinary user].
    #[arg(long, global = true, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// What gets the error, too: a file (no symlink, but for those of descriptors, such as /dev/stderr), systemd's journal
    /// (journald:[ID]) or syslog (syslog:[ID]).
    #[arg(long, global = true, value_name = "FILE")]
    pub log: Option<OsString>,
    /// How a log file is written.
    #[arg(long, global = true, value_enum, default_value = "text", value_name = "FORMAT")]
    pub log_format: LogFormat,
    /// What is told: errors alone, or warnings, too [default: warnings on stderr, the error in the log].
    #[arg(long, global = true, value_enum, value_name = "LEVEL", overrides_with = "debug")]
    log_level: Option<LogLevel>,
    /// Write warnings to the log, too: --log-level debug.
    #[arg(long, global = true, overrides_with = "log_level")]
    debug: bool,
    /// Let systemd make the cgroup: --cgroup-manager systemd.
    #[arg(long, global = true, overrides_with = "manager")]
    systemd_cgroup: bool,
    /// Who makes the cgroup [default: cgroupfs].
    #[arg(
        id = "manager",
        long = "cgroup-manager",
        global = true,
        value_enum,
        value_name = "MANAGER",
        overrides_with = "systemd_cgroup"
    )]
    manager: Option<Manager>,
    /// Go on without cgroup permissions: true, false or auto.
    #[arg(id = "tolerate", long = "rootless", value_enum, default_value = "auto", value_name = "WHEN")]
    pub rootless: Rootless,
    /// The program of CRIU [default: criu].
    #[arg(long, global = true, hide = true, value_name = "PATH")]
    pub criu: Option<PathBuf>,
    /// The same in youki's letters.
    #[command(flatten)]
    letters: Letters,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What youki has letters for, before the verb: behind it some are the verb's own.
#[derive(Debug, Args)]
struct Letters {
    /// --root.
    #[arg(id = "letter_root", short = 'r', hide = true, value_name = "DIR")]
    root: Option<PathBuf>,
    /// --log.
    #[arg(id = "letter_log", short = 'l', hide = true, value_name = "FILE")]
    log: Option<OsString>,
    /// --systemd-cgroup.
    #[arg(id = "letter_systemd_cgroup", short = 's', hide = true)]
    systemd_cgroup: bool,
}

impl Arguments {
    /// The same with letters spelt out, where the word itself is not there.
    pub fn spelt_out(mut self) -> Self {
        self.root = self.root.or_else(|| self.letters.root.take());
        self.log = self.log.or_else(|| self.letters.log.take());
        self.systemd_cgroup |= self.letters.systemd_cgroup;
        self
    }

    /// What is told: of two options the last one says it.
    pub fn level(&self) -> Option<Level> {
        match self.log_level {
            None => self.debug.then_some(Level::Warning),
            Some(LogLevel::Error) => Some(Level::Error),
            Some(LogLevel::Warning | LogLevel::Debug) => Some(Level::Warning),
        }
    }

    /// Who makes the cgroup: of two options the last one says it.
    pub fn cgroup_manager(&self) -> CgroupManager {
        match self.manager {
            None if self.systemd_cgroup => CgroupManager::Systemd,
            None | Some(Manager::Cgroupfs) => CgroupManager::Cgroupfs,
            Some(Manager::Systemd) => CgroupManager::Systemd,
            Some(Manager::Disabled) => CgroupManager::Disabled,
        }
    }
}

/// `--cgroup-manager`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Manager {
    /// The runtime, through the file system.
    Cgroupfs,
    /// systemd.
    Systemd,
    /// Nobody: the container stays in its caller's cgroup, and nothing is limited.
    Disabled,
}

/// `--log-level`: crun's words, and those of youki.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogLevel {
    /// Errors.
    Error,
    /// Warnings, too.
    #[value(aliases = ["warn", "info"])]
    Warning,
    /// All there is, which are errors and warnings.
    #[value(alias = "trace")]
    Debug,
}

/// `--log-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line of text a record.
    Text,
    /// A JSON object a record.
    Json,
}

/// `--rootless`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Rootless {
    /// Yes.
    #[value(aliases = ["1", "t", "T", "TRUE", "True"])]
    True,
    /// No.
    #[value(aliases = ["0", "f", "F", "FALSE", "False"])]
    False,
    /// When the caller is no root, or root of a user namespace.
    Auto,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Create a container; its program waits for start.
    Create(Deferred<Create>),
    /// Start the program of a created container.
    Start(Deferred<Start>),
    /// Create a container and run its program.
    Run(Deferred<Run>),
    /// Run another program in a container.
    Exec(Deferred<Exec>),
    /// Print the state of a container as JSON.
    State(Deferred<State>),
    /// Send a signal to a container.
    Kill(Deferred<Kill>),
    /// Delete a stopped container.
    Delete(Deferred<Delete>),
    /// List the containers.
    #[command(visible_alias = "ls")]
    List(Deferred<List>),
    /// Show the processes of a container.
    Ps(Deferred<Ps>),
    /// Tell what a container uses, and when its memory runs out.
    Events(Deferred<Events>),
    /// Stop every process of a container.
    Pause(Deferred<Pause>),
    /// Let a paused container go on.
    Resume(Deferred<Resume>),
    /// Change the limits of a container.
    Update(Box<Deferred<Update>>),
    /// Write a container to files and end it.
    Checkpoint(Box<Deferred<Checkpoint>>),
    /// Make a container from the files of a checkpoint.
    Restore(Box<Deferred<Restore>>),
    /// Add mounts to a container that runs, or remove them.
    Mounts(Deferred<Mounts>),
    /// Print what the runtime knows, as JSON.
    Features,
    /// Write a config.json to begin with.
    Spec(Deferred<Spec>),
    /// Print what create would do, step by step, and do nothing.
    Plan(Deferred<Plan>),
}

impl Verb {
    /// The verb and its object, for errors: `create web1`. What is no id may hold anything and is left to the error itself.
    pub fn text(&self) -> String {
        let verb = self.parts().0;
        self.id().map_or_else(|| verb.to_owned(), |id| format!("{verb} {id}"))
    }

    /// The container that it is about.
    pub fn id(&self) -> Option<&str> {
        self.parts().1.filter(|id| crate::spec::validate::valid_id(id).is_ok())
    }

    /// The exit code when it fails. Those of `exec` below 255 are the program's.
    pub fn failure_code(&self) -> u8 {
        match self {
            Self::Exec(_) => 255,
            _ => 1,
        }
    }

    fn parts(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Create(create) => ("create", Some(&create.id)),
            Self::Start(start) => ("start", Some(&start.id)),
            Self::Run(run) => ("run", Some(&run.create.id)),
            Self::Exec(exec) => ("exec", Some(exec.id())),
            Self::State(state) => ("state", Some(&state.id)),
            Self::Kill(kill) => ("kill", Some(&kill.id)),
            Self::Delete(delete) => ("delete", Some(&delete.id)),
            Self::List(_) => ("list", None),
            Self::Ps(ps) => ("ps", ps.words.first().map(String::as_str)),
            Self::Events(events) => ("events", Some(&events.id)),
            Self::Pause(pause) => ("pause", Some(&pause.id)),
            Self::Resume(resume) => ("resume", Some(&resume.id)),
            Self::Update(update) => ("update", Some(&update.id)),
            Self::Checkpoint(checkpoint) => ("checkpoint", Some(&checkpoint.id)),
            Self::Restore(restore) => ("restore", Some(&restore.id)),
            Self::Mounts(mounts) => ("mounts", Some(&mounts.id)),
            Self::Features => ("features", None),
            Self::Spec(_) => ("spec", None),
            Self::Plan(_) => ("plan", None),
        }
    }
}

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

/// `state`.
#[derive(Debug, Args)]
pub struct State {
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
