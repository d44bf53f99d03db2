//! The runtime under test: one verb a call, with its outputs, its exit code and a deadline.
//!
//! Outputs go to files, not pipes: a created container keeps them open, and nobody must wait for it.

use super::Bundle;
#[cfg(test)]
use super::without::spawn;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::Value;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The longest that anything may take before the test fails.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// The binary under test: `$RUNTIME`, else the corten that cargo has just built (which the conformance suite, a crate of
/// its own, has not).
pub fn program() -> PathBuf {
    let named = std::env::var_os("RUNTIME").map(PathBuf::from);
    named
        .or_else(|| option_env!("CARGO_BIN_EXE_corten").map(PathBuf::from))
        .expect("RUNTIME names the runtime")
}

/// Whether the binary under test is not corten.
pub fn is_peer() -> bool {
    !program().file_name().unwrap().to_string_lossy().starts_with("corten")
}

/// True on a peer, after saying why the rule does not hold there: the test returns. `NO_SKIP=1` runs it all the same,
/// to prove that the test can fail.
pub fn skip_on_peer(reason: &str) -> bool {
    let skip = is_peer() && std::env::var_os("NO_SKIP").is_none();
    if skip {
        eprintln!("skipped: on {}: {reason}", program().display());
    }
    skip
}

/// The wrapper of [`Bundle::command_under`] that is a shell script in a mount namespace of its own: `"$@"` is the runtime, and
/// what fails ends it.
pub fn private_mounts(script: &str) -> [&str; 9] {
    ["unshare", "--mount", "--propagation", "private", "sh", "-e", "-c", script, "sh"]
}

/// How a call of the runtime (or of anything else) ended.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; `None` if it was killed by a signal.
    pub code: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// Standard output at the time it ended.
    pub stdout: String,
    /// Standard error at the time it ended.
    pub stderr: String,
    /// Where a container that is still running goes on writing.
    pub files: (PathBuf, PathBuf),
}

impl Outcome {
    /// Asserts exit code 0.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    /// Asserts exit code 1 and that the error holds the words.
    #[track_caller]
    pub fn fails(self, words: &str) -> Self {
        self.fails_with(1, words)
    }

    /// Asserts the exit code (255 for `exec`) and that the error holds the words.
    #[track_caller]
    pub fn fails_with(self, code: i32, words: &str) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        assert!(self.says().contains(words), "{words:?} is not in {self:#?}");
        self
    }

    /// Standard error; a peer's log format quotes the message, which is undone.
    pub fn says(&self) -> String {
        if is_peer() { self.stderr.replace("\\\"", "\"").replace("\\\\", "\\") } else { self.stderr.clone() }
    }

    /// Standard output with what the container has written since.
    pub fn later_stdout(&self) -> String {
        read_lossy(&self.files.0)
    }
}

/// Starts a command.
#[cfg(not(test))]
fn spawn(command: &mut Command) -> std::io::Result<Child> {
    command.spawn()
}

/// A null device that is nowhere in the file tree any more. Only root can make one, and lose the machine's.
fn own_null() -> Option<&'static File> {
    static NULL: OnceLock<Option<File>> = OnceLock::new();
    let make = || {
        let path = std::env::temp_dir().join(format!("corten-null-{}", std::process::id()));
        let (kind, mode) = (rustix::fs::FileType::CharacterDevice, rustix::fs::Mode::from_raw_mode(0o666));
        rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, rustix::fs::makedev(1, 3)).ok()?;
        let null = File::open(&path);
        fs::remove_file(&path).expect("the device that was just made");
        null.ok()
    };
    NULL.get_or_init(make).as_ref()
}

fn read_lossy(path: &PathBuf) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()
}

impl Bundle {
    /// `RUNTIME --root STATE ARGUMENTS…` from the bundle's parent directory, with the test's mark in the environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_under(&[], arguments)
    }

    /// The same below a wrapper such as `strace …` or `sh -c 'exec 3</x; exec "$@"' sh`.
    pub fn command_under(&self, wrapper: &[&str], arguments: &[&str]) -> Command {
        let runtime = self.runtime.clone().into_os_string();
        let mut words = wrapper.iter().map(|word| (*word).into()).chain([runtime]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).arg("--root").arg(self.root()).args(arguments);
        command.env("CORTENTEST", &self.id).current_dir(&self.dir).stdin(self.nothing_to_read());
        command
    }

    /// A shell script with the v2 tree alone in place, in a mount namespace of its own; `"$@"` is the runtime, `$ID` the container,
    /// `$c` its cgroup.
    pub fn script_on_v2(&self, script: &str) -> Command {
        self.write_config();
        let script = format!("mount -t cgroup2 cgroup2 /sys/fs/cgroup; c=/sys/fs/cgroup/$ID; {script}");
        let mut command = self.command_under(&private_mounts(&script), &[]);
        command.env("ID", &self.id);
        command
    }

    /// `/dev/null`; for a peer a device of the test's own, since crun gives the container's user what its program reads from.
    fn nothing_to_read(&self) -> Stdio {
        if self.runtime.file_name().is_some_and(|name| name == "corten") {
            return Stdio::null();
        }
        own_null().map_or_else(Stdio::null, |null| null.try_clone().expect("a descriptor").into())
    }

    /// Runs a command to its end.
    pub fn finish(&self, command: &mut Command) -> Outcome {
        self.begin(command).finish()
    }

    /// Starts a command whose outputs are kept.
    pub fn begin(&self, command: &mut Command) -> Running {
        let files = self.output_files();
        command.stdout(File::create(&files.0).unwrap()).stderr(File::create(&files.1).unwrap());
        let child = spawn(command).unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Running { child, files, what: format!("{command:?}") }
    }

    /// One verb, its options and operands.
    pub fn call(&self, arguments: &[&str]) -> Outcome {
        self.finish(&mut self.command(arguments))
    }

    /// `create`, with `config.json` as it stands now and a pid file.
    pub fn create(&self) -> Outcome {
        self.create_with(&[])
    }

    /// `create` with more options.
    pub fn create_with(&self, options: &[&str]) -> Outcome {
        self.finish(&mut self.create_command(options))
    }

    /// The command line of `create`, not yet run.
    pub fn create_command(&self, options: &[&str]) -> Command {
        self.write_config();
        let pid_file = self.pid_file();
        let fixed = ["create", "--bundle", "bundle", "--pid-file", &pid_file];
        self.command(&[&fixed, options, &[self.id.as_str()]].concat())
    }

    /// Begins `create` and holds it in a hook, so that the container is being created until [`Bundle::let_go`].
    #[track_caller]
    pub fn begin_create(&mut self) -> Running {
        let (reached, go) = (self.dir.join("reached"), self.dir.join("go"));
        let body = format!("touch {reached:?}; while [ ! -e {go:?} ]; do sleep 0.01; done");
        let path = self.host_script("hold", &body);
        self.push("/hooks/createRuntime", serde_json::json!({ "path": path }));
        let running = self.begin(&mut self.create_command(&[]));
        eventually(|| fs::exists(&reached).unwrap(), || "the hook runs".to_owned());
        running
    }

    /// Lets the `create` of [`Bundle::begin_create`] go on.
    pub fn let_go(&self) {
        fs::write(self.dir.join("go"), "").unwrap();
    }

    /// `run` in the foreground to its end.
    pub fn run(&self) -> Outcome {
        self.run_with(&[])
    }

    /// `run` with options (`--detach`, `--keep` …).
    pub fn run_with(&self, options: &[&str]) -> Outcome {
        self.finish(&mut self.run_command(options))
    }

    /// The command line of `run`, not yet run.
    pub fn run_command(&self, options: &[&str]) -> Command {
        self.write_config();
        let pid_file = self.pid_file();
        let fixed = ["run", "--bundle", "bundle", "--pid-file", &pid_file];
        self.command(&[&fixed, options, &[self.id.as_str()]].concat())
    }

    /// `run` in a mount namespace of its own, prepared by a shell script: the host's table stays as it is.
    pub fn run_in_private_mounts(&self, prepare: &str) -> Outcome {
        self.write_config();
        let script = format!("{prepare}; exec \"$@\"");
        let words = ["run", "--bundle", "bundle", &self.id];
        self.finish(&mut self.command_under(&private_mounts(&script), &words))
    }

    /// `run` where a v2 tree alone is mounted, as on most of today's machines.
    pub fn run_on_v2(&self) -> Outcome {
        self.run_in_private_mounts("mount -t cgroup2 cgroup2 /sys/fs/cgroup")
    }

    /// Runs a shell script in the container and returns its standard output; it must exit 0.
    #[track_caller]
    pub fn payload(&mut self, script: &str) -> String {
        self.script(script);
        self.run().ok().stdout
    }

    /// `start`.
    pub fn start(&self) -> Outcome {
        self.call(&["start", &self.id])
    }

    /// `exec FLAGS… ID COMMAND…`.
    pub fn exec(&self, flags: &[&str], command: &[&str]) -> Outcome {
        self.finish(&mut self.exec_command(flags, command))
    }

    /// The command line of `exec`, not yet run.
    pub fn exec_command(&self, flags: &[&str], command: &[&str]) -> Command {
        self.command(&[&["exec"], flags, &[self.id.as_str()], command].concat())
    }

    /// `exec` of a shell script that must exit 0: its standard output.
    #[track_caller]
    pub fn exec_sh(&self, flags: &[&str], script: &str) -> String {
        self.exec(flags, &["sh", "-c", script]).ok().stdout
    }

    /// Runs the container in the background, as the place for `exec`.
    #[track_caller]
    pub fn run_detached(&self) {
        self.run_with(&["--detach"]).ok();
    }

    /// `kill` with a signal by name or number.
    pub fn kill(&self, signal: &str) -> Outcome {
        self.call(&["kill", &self.id, signal])
    }

    /// `delete`.
    pub fn delete(&self) -> Outcome {
        self.call(&["delete", &self.id])
    }

    /// `delete --force`.
    pub fn delete_force(&self) -> Outcome {
        self.call(&["delete", "--force", &self.id])
    }

    /// `state`, parsed.
    #[track_caller]
    pub fn state(&self) -> Value {
        serde_json::from_str(&self.call(&["state", &self.id]).ok().stdout).unwrap()
    }

    /// The status that `state` tells.
    #[track_caller]
    pub fn status(&self) -> String {
        self.state()["status"].as_str().unwrap().to_owned()
    }

    /// Where `create` and `run` write init's pid: an absolute path, since crun takes a relative one from the bundle.
    pub fn pid_file(&self) -> String {
        self.dir.join("pid").display().to_string()
    }

    /// Init's pid from the pid file.
    pub fn pid(&self) -> i32 {
        fs::read_to_string(self.dir.join("pid")).unwrap().parse().unwrap()
    }

    /// Waits until the process is dead; a zombie is dead.
    #[track_caller]
    pub fn await_death(&self, pid: i32) {
        assert!(dies_within(pid, DEADLINE), "process {pid} is still there after {DEADLINE:?}");
    }

    /// `kill KILL`, the end of init, `delete`.
    #[track_caller]
    pub fn kill_and_delete(&self) {
        let pid = self.pid();
        self.kill("KILL").ok();
        self.await_death(pid);
        self.delete().ok();
    }

    /// Waits for a container that ends by itself and deletes it.
    #[track_caller]
    pub fn await_and_delete(&self) {
        self.await_death(self.pid());
        self.delete().ok();
    }
}

/// A started command; its end is waited for with a deadline.
#[derive(Debug)]
pub struct Running {
    child: Child,
    files: (PathBuf, PathBuf),
    what: String,
}

impl Running {
    /// The pid of the command.
    pub fn pid(&self) -> i32 {
        Pid::from_child(&self.child).as_raw_pid()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// What it has written so far.
    pub fn stdout(&self) -> String {
        read_lossy(&self.files.0)
    }

    /// Waits until its standard output holds the words.
    #[track_caller]
    pub fn await_stdout(&self, words: &str) {
        eventually(|| self.stdout().contains(words), || format!("{words:?} in {:?}", self.stdout()));
    }

    /// Waits for its end, and kills it at the deadline.
    #[track_caller]
    pub fn finish(mut self) -> Outcome {
        let status = self.wait();
        let (stdout, stderr) = (read_lossy(&self.files.0), read_lossy(&self.files.1));
        Outcome { code: status.code(), signal: status.signal(), stdout, stderr, files: self.files.clone() }
    }

    fn wait(&mut self) -> ExitStatus {
        if !dies_within(self.pid(), DEADLINE) {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
            panic!("{} hung; stderr: {}", self.what, read_lossy(&self.files.1));
        }
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    /// A test that fails half-way waits for what it has started, too.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether the process ends in time. One that does not exist has ended.
pub fn dies_within(pid: i32, time: Duration) -> bool {
    let Ok(pidfd) = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()) else { return true };
    readable_within(&pidfd, time)
}

/// Whether there is something to read, or to accept, in time.
pub fn readable_within(descriptor: impl AsFd, time: Duration) -> bool {
    let timeout =
        Timespec { tv_sec: i64::try_from(time.as_secs()).unwrap(), tv_nsec: i64::from(time.subsec_nanos()) };
    poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&timeout)).unwrap() == 1
}

/// Waits until something holds; `what` tells the failed test what did not.
#[track_caller]
pub fn eventually(mut holds: impl FnMut() -> bool, what: impl Fn() -> String) {
    let end = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < end, "after {DEADLINE:?} still not: {}", what());
        std::thread::sleep(Duration::from_millis(2));
    }
}
