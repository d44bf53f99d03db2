//! The seam to the OCI runtime: any program that understands runc's command line. It is called as containerd calls it, with `--root`,
//! `--log` and `--log-format json`; what went wrong is read from the log, where it stands as one object.

use crate::error::{Context, Error, Result};
use crate::rootless;
use crate::store::disk;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The runtime that is used unless another is named.
const DEFAULT: &str = "corten";
/// Names another default.
const VARIABLE: &str = "OCICTL_RUNTIME";
const MAX_LOG: u64 = 1 << 20;

/// A runtime and where it keeps its state.
#[derive(Debug, Clone)]
pub struct Runtime {
    /// The program.
    pub binary: PathBuf,
    /// Its `--root`.
    pub root: PathBuf,
    systemd: bool,
}

/// What goes to `run --detach`.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The container.
    pub id: &'a str,
    /// The directory with `config.json`, where `pid` and `log.json` are written, too.
    pub bundle: &'a Path,
    /// A socket in the bundle that gets the terminal's master.
    pub console: Option<&'a str>,
    /// What the program's standard streams are.
    pub stdio: [Stdio; 3],
}

impl Runtime {
    /// Finds a runtime: a path as it is; a name beside this program, then in `PATH`. Nothing means the [`default`].
    ///
    /// # Errors
    /// Says where it was looked for.
    pub fn choose(named: &str, runroot: &Path) -> Result<Self> {
        let binary = if named.is_empty() { find(&default()) } else { find(named) }?;
        let name = binary.file_name().unwrap_or(OsStr::new(DEFAULT));
        let root = runroot.join("runtime").join(name);
        Ok(Self { binary, root, systemd: systemd_makes_cgroups() })
    }

    /// The runtimes that have state below the run root, as far as they are still found.
    ///
    /// # Errors
    /// Fails if the directory cannot be read.
    pub fn with_state(runroot: &Path) -> Result<Vec<Self>> {
        let folder = runroot.join("runtime");
        if !is_directory(&folder) {
            return Ok(Vec::new());
        }
        // The one that is used may be anywhere; others are known by their names alone.
        let found = |name: &String| {
            let of_name = |runtime: &Self| runtime.root == folder.join(name);
            ["", name].into_iter().filter_map(|named| Self::choose(named, runroot).ok()).find(of_name)
        };
        Ok(disk::names(&folder)?.iter().filter_map(found).collect())
    }

    /// The containers that the runtime knows, and those whose making or removal was killed: corten gives these a name of its own.
    ///
    /// # Errors
    /// Fails if its directory cannot be read.
    pub fn known(&self) -> Result<Vec<String>> {
        let mut ids = disk::names(&self.root)?;
        ids.iter_mut().for_each(|name| *name = name.trim_start_matches('@').to_owned());
        ids.retain(|id| id.len() == 64 && id.bytes().all(|digit| digit.is_ascii_hexdigit()));
        Ok(ids)
    }

    /// Whether systemd makes the cgroups.
    pub fn uses_systemd(&self) -> bool {
        self.systemd
    }

    /// The runtime with its global options; the error goes to `log`.
    fn command(&self, log: &Path) -> Command {
        self.with_options(Command::new(&self.binary), Some(log))
    }

    /// Without a log, errors go to stderr.
    fn with_options(&self, mut command: Command, log: Option<&Path>) -> Command {
        command.arg("--root").arg(&self.root);
        if let Some(log) = log {
            command.arg("--log").arg(log).args(["--log-format", "json"]);
        }
        if self.systemd {
            command.arg("--systemd-cgroup");
        }
        command
    }

    /// Makes a container and runs its program; what was its pid is in the bundle's file `pid`.
    ///
    /// # Errors
    /// The runtime's own words, with 127 as exit code where the program is not there, 126 where it cannot be run, else 125.
    pub fn run(&self, launch: Launch<'_>) -> Result<()> {
        let log = launch.bundle.join("log.json");
        remove(&log);
        let mut command = self.command(&log);
        command
            .args(["run", "--detach", "--bundle"])
            .arg(launch.bundle)
            .arg("--pid-file")
            .arg(launch.bundle.join("pid"));
        if let Some(socket) = launch.console {
            command.args(["--console-socket", socket]).current_dir(launch.bundle);
        }
        let [stdin, stdout, stderr] = launch.stdio;
        command.arg(launch.id).stdin(stdin).stdout(stdout).stderr(stderr);
        let status = command
            .status()
            .context(|| format!("run {}", self.binary.display()))
            .map_err(|error| error.exit_code(125))?;
        if status.success() {
            return Ok(());
        }
        if status.signal().is_some() {
            // It was killed, and could not take back what it had begun.
            self.delete(launch.id)?;
        }
        let words = last_error(&log)
            .unwrap_or_else(|| format!("{} ended with {status} and said nothing", self.binary.display()));
        let code = exit_code(&words);
        Err(Error::new(words).exit_code(code))
    }

    /// The runtime as it runs another program in a container, in the foreground; streams and options are the caller's to set.
    pub fn exec(&self, log: &Path, arguments: &[&OsStr]) -> Command {
        let mut command =
            match self.systemd && rootless::in_user_namespace() && !rootless::is_among_own_units() {
                true => {
                    // A user may move processes among his own units only (cgroups(7), "Delegation containment"): so his systemd takes the
                    // runtime in. It becomes the runtime, in the same process.
                    let mut command = Command::new("systemd-run");
                    command.args(["--user", "--scope", "--quiet", "--collect", "--"]).arg(&self.binary);
                    self.with_options(command, Some(log))
                }
                false => self.command(log),
            };
        command.arg("exec").args(arguments);
        command
    }

    /// Runs one of the quick verbs and gives what it printed.
    ///
    /// # Errors
    /// The runtime's own words.
    pub fn call(&self, arguments: &[&str], stdin: Option<&[u8]>) -> Result<Vec<u8>> {
        let mut command = self.with_options(Command::new(&self.binary), None);
        command.args(arguments).stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let place = || format!("run {}", self.binary.display());
        let mut child = command.spawn().context(place)?;
        if let (Some(bytes), Some(mut pipe)) = (stdin, child.stdin.take()) {
            // A runtime that ends without reading says why on stderr.
            let _its_word_counts = std::io::Write::write_all(&mut pipe, bytes);
        }
        let Output { status, stdout, stderr } = child.wait_with_output().context(place)?;
        match status.success() {
            true => Ok(stdout),
            false => {
                let words = String::from_utf8_lossy(&stderr);
                let words = words.trim();
                let words = words
                    .rsplit_once("level=error msg=")
                    .map_or(words, |(_, message)| message.trim_matches('"'));
                Err(match words {
                    "" => {
                        Error::new(format!("{} ended with {status} and said nothing", self.binary.display()))
                    }
                    words => {
                        // A hint may stand below the reason.
                        let reason = words.lines().rfind(|line| !line.starts_with("  hint: "));
                        Error::new(reason.unwrap_or_default().trim_start_matches("error: "))
                    }
                })
            }
        }
    }

    /// Ends and forgets a container; one that is not there is no error.
    ///
    /// # Errors
    /// The runtime's own words.
    pub fn delete(&self, id: &str) -> Result<()> {
        let delete = || match self.call(&["delete", "--force", id], None) {
            Err(error) if error.to_string().contains("does not exist") => Ok(()),
            result => result.map(drop),
        };
        // What one has begun that was killed, the next one ends.
        delete().or_else(|_| delete())
    }
}

/// The runtime that is used unless another is named: `$OCICTL_RUNTIME`, then `corten`.
pub fn default() -> String {
    std::env::var(VARIABLE).ok().filter(|name| !name.is_empty()).unwrap_or_else(|| DEFAULT.to_owned())
}

/// Whether systemd makes the cgroups: the machine's for root, and an ordinary user's own for him, who reaches it where he has logged in
/// (pam_systemd(8) sets XDG_RUNTIME_DIR). On cgroup v1 the latter may not.
pub fn systemd_makes_cgroups() -> bool {
    let there = |path: &Path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
    is_directory(Path::new("/run/systemd/system"))
        && match (rootless::in_user_namespace(), std::env::var_os("XDG_RUNTIME_DIR")) {
            (true, Some(directory)) if !directory.is_empty() => {
                there(&Path::new(&directory).join("systemd/private"))
                    && std::fs::symlink_metadata("/sys/fs/cgroup/cgroup.controllers").is_ok()
            }
            // Root of a container that has a systemd of its own; an ordinary user may not speak to the machine's.
            (true, _) => there(Path::new("/run/systemd/private")),
            (false, _) => rustix::process::geteuid().is_root(),
        }
}

fn find(named: &str) -> Result<PathBuf> {
    if named.contains('/') {
        let path = std::path::absolute(named).context(|| format!("runtime {named}"))?;
        return match is_program(&path) {
            true => Ok(path),
            false => {
                Err(Error::new(format!("runtime {named}: it is no program that can be run")).exit_code(125))
            }
        };
    }
    let own = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.to_owned()));
    let places = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect::<Vec<_>>())
        .unwrap_or_default();
    own.into_iter().chain(places).map(|folder| folder.join(named)).find(|path| is_program(path)).ok_or_else(
        || {
            Error::new(format!("runtime {named}: it is neither beside ocictl nor in PATH"))
                .hint(format!("name another with --runtime or {VARIABLE}"))
                .exit_code(125)
        },
    )
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

fn is_directory(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

fn remove(path: &Path) {
    // What cannot be removed is appended to; the last entry counts.
    let _best_effort = std::fs::remove_file(path);
}

/// The last entry of level `error` in a runtime's JSON log.
pub fn last_error(log: &Path) -> Option<String> {
    let bytes = disk::read_small(log, MAX_LOG).ok().flatten()?;
    let entries = serde_json::Deserializer::from_slice(&bytes).into_iter::<serde_json::Value>();
    let last = entries.map_while(std::result::Result::ok).filter(|entry| entry["level"] == "error").last()?;
    last["msg"].as_str().map(|message| message.trim().to_owned())
}

/// What docker and podman make of a runtime's words: a program that is not there, one that cannot be run, anything else.
pub fn exit_code(words: &str) -> u8 {
    let lower = words.to_lowercase();
    let of_program =
        ["exec: ", "exec \"", "executable", "exec container process"].iter().any(|word| lower.contains(word));
    if of_program && (lower.contains("not found") || lower.contains("no such file or directory")) {
        127
    } else if of_program
        && ["permission denied", "is a directory", "exec format error", "not a directory"]
            .iter()
            .any(|why| lower.contains(why))
    {
        126
    } else {
        125
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_runtimes_have_exit_codes() {
        for (words, code) in [
            ("create x: exec: \"bahs\": executable file not found in $PATH", 127),
            ("executable file `bahs` not found in $PATH: No such file or directory", 127),
            ("run x: exec \"/etc/passwd\": permission denied", 126),
            ("run x: exec \"/etc\": is a directory", 126),
            ("run x: mounts[3]: bind \"/a\" on \"/b\": no such file or directory", 125),
            ("run x: mounts[3]: bind \"/srv/exec\" on \"/b\": no such file or directory", 125),
            ("run x: mounts[3]: mount \"/b\" (nosuid,noexec): permission denied", 125),
            ("", 125),
        ] {
            assert_eq!(exit_code(words), code, "{words}");
        }
    }

    #[test]
    fn a_runtime_that_is_not_there_is_told() {
        for name in ["no-such-runtime", "/no/such/runtime", "/"] {
            let error = Runtime::choose(name, Path::new("/run")).expect_err(name);
            assert!(error.to_string().starts_with(&format!("runtime {name}: ")), "{error}");
            assert_eq!(error.code(), 125);
        }
    }
}
