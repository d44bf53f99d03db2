//! The grammar of the command line: runc's words, and crun's where they add something.

mod checkpoint;
mod deferred;
mod diagnose;
mod exec;
mod inspect;
mod lifecycle;
mod resources;
#[cfg(test)]
mod tests;
mod update;

pub use checkpoint::{CgroupsMode, Checkpoint, Restore, Transfer};
pub use diagnose::{Help, Plan};
pub use exec::Exec;
pub use inspect::{Events, List, Ps, Spec, State};
pub use lifecycle::{Create, Delete, Kill, Run, Start};
pub use resources::{Mounts, MountsChange, Pause, Resume};
pub use update::Update;

use crate::log::Level;
use crate::plan::CgroupManager;
use clap::{Args, Parser, Subcommand, ValueEnum};
use deferred::Deferred;
use std::ffi::OsString;
use std::path::PathBuf;

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
    /// Print what this machine offers, for reports of errors.
    Info,
    /// Print the options, or those of a verb: --help.
    #[command(hide = true)]
    Help(Deferred<Help>),
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
            Self::Info => ("info", None),
            Self::Help(_) => ("help", None),
        }
    }
}
