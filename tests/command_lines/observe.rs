//! One command line under one runtime, and what came of it.

use crate::support::Bundle;
use crate::support::runtime::{dies_within, program};
use crate::table::{Line, State};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

/// A runtime that lines are given to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Corten,
    Runc,
    Crun,
}

impl Peer {
    fn program(self) -> PathBuf {
        match self {
            Self::Corten => program(),
            Self::Runc => "/usr/sbin/runc".into(),
            Self::Crun => "/usr/bin/crun".into(),
        }
    }

    /// How it is called. crun refuses machines that have controllers on cgroup v1 and the v2 tree, so that is hidden from it.
    fn command(self) -> Command {
        let hidden = "/sys/fs/cgroup/unified";
        if self != Self::Crun || !Path::new(hidden).exists() {
            return Command::new(self.program());
        }
        let script = format!("umount {hidden}; mount -t tmpfs none {hidden}; exec \"$@\"");
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-e", "-c", &script, "sh"])
            .arg(self.program());
        command
    }

    /// Whether this machine has it, in the version that the table is about: Debian 12's.
    pub fn is_here(self) -> bool {
        static HERE: [OnceLock<bool>; 3] = [const { OnceLock::new() }; 3];
        *HERE[self as usize].get_or_init(|| {
            let told = Command::new(self.program()).arg("--version").output();
            let told =
                told.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
            let version = match self {
                Self::Corten => "corten version",
                Self::Runc => "runc version 1.1.5",
                Self::Crun => "crun version 1.8.1",
            };
            let here = told.starts_with(version);
            if !here {
                eprintln!(
                    "skipped: {version} is not here, there is {:?}",
                    told.lines().next().unwrap_or("none")
                );
            }
            here
        })
    }
}

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Nothing went wrong.
    None,
    /// The line itself: an unknown verb or flag, too few or too many operands, a value that the flag cannot have.
    Usage,
    /// An id that no container can have.
    BadId,
    /// No container has the id.
    Unknown,
    /// Another container has it.
    Taken,
    /// The container has ended, or does not run.
    NotRunning,
    /// It is in another state than the verb needs.
    WrongState,
    /// There is no signal of that name.
    NoSignal,
    /// A terminal and the flags about it do not go together.
    Terminal,
    /// What the program is to be: its arguments, environment, ids, directory, capabilities.
    Process,
    /// The program cannot be run.
    Program,
    /// The program ran and failed, with its own words or none.
    Inside,
    /// A cgroup that is not there.
    Cgroup,
    /// A file is missing, or is not what it should be.
    File,
    /// A limit that the kernel, or the container, refuses.
    Limit,
    /// Something that is in no class, so that it cannot be compared: an error of the test.
    Other,
}

/// Phrases by which a class is known, the more telling first.
const PHRASES: &[(Class, &[&str])] = &[
    (Class::File, &["`config.json` already exists"]),
    (
        Class::BadId,
        &[
            "invalid container id format",
            "invalid id format",
            "invalid character",
            "container id cannot",
            "is no container id",
        ],
    ),
    (Class::Taken, &["already exists", "given id"]),
    (Class::NoSignal, &["unknown signal", "invalid signal", "no signal", "unknown signal name"]),
    (Class::Terminal, &["console", "tty", "terminal", "tcgetattr"]),
    (Class::Inside, &["sleep: "]),
    (Class::Cgroup, &["it has vanished", "nowhere: it does not exist", "to cgroups"]),
    (
        Class::Usage,
        &[
            "incorrect usage",
            "flag provided",
            "flag needs",
            "requires",
            "unexpected argument",
            "unrecognized",
            "required arguments",
            "invalid value",
            "a value is required",
            "no help topic",
            "unknown option",
            "unrecognized option",
            "unknown command",
            "invalid argument --",
            "please specify",
            "no command",
            "too many",
            "wants",
            "usage:",
            "invalid log-format",
            "unknown log format",
            "invalid option",
            "unknown log-format",
            "invalid rootless",
            "invalid bool",
            "needs a",
            "invalid format",
            "must be relative",
            "must be greater than 0",
            "doesn't allow an argument",
        ],
    ),
    (
        Class::Process,
        &[
            "process.args",
            "process args",
            "process.env",
            "environment variable",
            "--user",
            "as int for uid",
            "as int for gid",
            "userspec",
            "--additional-gids",
            "no capability",
            "cwd: missing",
            "cwd property",
        ],
    ),
    (
        Class::Unknown,
        &[
            "does not exist",
            "no such container",
            "error opening file `",
            "cannot open status",
            "cannot open directory",
        ],
    ),
    (
        Class::WrongState,
        &[
            "cannot start",
            "cannot be checkpointed",
            "already running",
            "not stopped",
            "not paused",
            "already paused",
            "paused container",
            "is paused",
            "still running",
            "cannot pause",
            "cannot resume",
            "not in the created state",
            "the container is not",
            "not in `created`",
        ],
    ),
    (
        Class::NotRunning,
        &[
            "not running",
            "no such process",
            "process already finished",
            "stopped container",
            "has stopped",
            "is stopped",
            "has ended",
            "kill container",
        ],
    ),
    (Class::Program, &["executable file", "open executable", "exec:", "executable path", "exec format"]),
    (
        Class::Limit,
        &[
            "limit",
            "cpu",
            "memory",
            "numerical",
            "out of range",
            "invalid argument",
            "pids",
            "blkio",
            "weight",
        ],
    ),
    (
        Class::File,
        &[
            "no such file",
            ": missing",
            "not found",
            "not a directory",
            "is a directory",
            "config.json",
            "cannot create state directory",
            "permission denied",
            "file exists",
            "unexpected end",
            "parse",
        ],
    ),
];

impl Class {
    fn of(code: Option<i32>, message: &str) -> Self {
        if code == Some(0) {
            return Self::None;
        }
        if message.is_empty() {
            return Self::Inside;
        }
        let lines = message.lines().filter(|line| !line.starts_with("  hint: "));
        let message = lines.collect::<Vec<_>>().join("\n").to_lowercase();
        let known = PHRASES.iter().find(|(_, phrases)| phrases.iter().any(|phrase| message.contains(phrase)));
        known.map_or(Self::Other, |(class, _)| *class)
    }
}

/// What came of a line.
#[derive(Debug)]
pub struct Observed {
    pub code: Option<i32>,
    pub class: Class,
    /// The keys of what was printed, where that is JSON.
    keys: BTreeSet<String>,
    /// Which files are there afterwards, and what they look like.
    files: Vec<&'static str>,
    said: String,
}

impl Observed {
    /// Whether it is the same; but crun says 64 of a line that cannot be understood, as argp has it.
    pub fn same(&self, other: &Self) -> bool {
        let code = |observed: &Self| match (observed.code, observed.class) {
            (Some(64), Class::Usage) => Some(1),
            (code, _) => code,
        };
        (code(self), self.class, &self.keys, &self.files)
            == (code(other), other.class, &other.keys, &other.files)
    }
}

impl fmt::Display for Observed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said: String = self.said.trim().chars().take(160).collect();
        write!(out, "{:?} {:?} {:?} {:?} {:?}", self.code, self.class, self.keys, self.files, said)
    }
}

/// Brings a container of a runtime into a state, gives it the line, and takes all away again.
pub fn observe(peer: Peer, line: &Line) -> Observed {
    let mut bundle = Bundle::sh("trap 'exit 7' TERM; sleep 100 & wait");
    if line.words.contains("quick") {
        bundle.script("exit 3");
    }
    bundle.write_config();
    let run = |words: &[&str]| call(peer, &bundle, words);
    prepare(line.state, &bundle, &run);
    let words = line.words(&bundle);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (code, stdout, said) = run(&words);
    let observed = Observed {
        code,
        class: Class::of(code, &said),
        keys: keys(&stdout),
        files: files(&bundle.dir),
        said: if said.is_empty() { stdout } else { said },
    };
    // Also what came into being under a name that a runtime should have refused.
    for id in run(&["list", "-q"]).1.lines() {
        run(&["delete", "--force", id]);
    }
    observed
}

/// The exit code of a call, its stdout and its stderr.
type Answer = (Option<i32>, String, String);

fn prepare(state: State, bundle: &Bundle, run: &dyn Fn(&[&str]) -> Answer) {
    let id = bundle.id.as_str();
    let done = |words: &[&str]| {
        let (code, _, said) = run(words);
        assert_eq!(code, Some(0), "{words:?}: {said}");
    };
    if state == State::Unknown {
        return;
    }
    done(&["create", "--bundle", "bundle", "--pid-file", bundle.dir.join("init.pid").to_str().unwrap(), id]);
    if state == State::Created {
        return;
    }
    done(&["start", id]);
    match state {
        State::Paused => done(&["pause", id]),
        State::Stopped => {
            let pid = fs::read_to_string(bundle.dir.join("init.pid")).unwrap().trim().parse().unwrap();
            done(&["kill", id, "KILL"]);
            assert!(dies_within(pid, Duration::from_secs(20)));
        }
        _ => {}
    }
}

/// Calls a runtime.
fn call(peer: Peer, bundle: &Bundle, words: &[&str]) -> Answer {
    let file = |name: &str| bundle.dir.join(name);
    fs::write(file("in"), r#"{"pids": {"limit": 64}}"#).unwrap();
    let mut command = peer.command();
    command
        .arg("--root")
        .arg(bundle.root())
        .args(words)
        .env("CORTENTEST", &bundle.id)
        .current_dir(&bundle.dir);
    command.stdin(File::open(file("in")).unwrap());
    command.stdout(File::create(file("io/out")).unwrap()).stderr(File::create(file("io/err")).unwrap());
    let mut child = command.spawn().unwrap();
    if !dies_within(child.id() as i32, Duration::from_secs(20)) {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    let read = |name: &str| String::from_utf8_lossy(&fs::read(file(name)).unwrap()).into_owned();
    (status.code(), read("io/out"), read("io/err"))
}

/// The keys of a JSON document, two levels deep.
fn keys(text: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let Ok(document) = serde_json::from_str::<Value>(text) else { return all };
    // crun tells in `state` what it asked of systemd.
    let own = "systemd-scope";
    let first = if document.is_array() { &document[0] } else { &document };
    for (key, value) in first.as_object().into_iter().flatten().filter(|(key, _)| *key != own) {
        all.insert(key.clone());
        for (below, _) in value.as_object().into_iter().flatten() {
            // Annotations of `features` have each runtime's own names.
            if key != "annotations" {
                all.insert(format!("{key}.{below}"));
            }
        }
    }
    all
}

/// The files that a line may write.
fn files(dir: &Path) -> Vec<&'static str> {
    let mut all = Vec::new();
    if let Ok(text) = fs::read_to_string(dir.join("out.pid")) {
        all.push(if text.parse::<i32>().is_ok() { "a pid" } else { "no pid" });
    }
    if let Ok(text) = fs::read_to_string(dir.join("log")) {
        let entry = text.lines().next().and_then(|line| serde_json::from_str::<Value>(line).ok());
        let has = |key: &str| entry.as_ref().is_some_and(|entry| entry[key].is_string());
        all.push(match entry {
            None if text.is_empty() => "an empty log",
            None => "a log of text",
            Some(_) if has("level") && has("msg") && has("time") => "a log of JSON",
            Some(_) => "a log of other JSON",
        });
    }
    if dir.join("config.json").exists() {
        all.push("a config.json");
    }
    all
}
