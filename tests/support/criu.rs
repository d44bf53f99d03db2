//! CRIU for the tests of `checkpoint` and `restore`: one that runs on this kernel, found once.

use super::Bundle;
use super::runtime::Outcome;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The directory of a CRIU for which `criu check` finds nothing wrong; `integration/criu.sh` sees to it.
fn directory() -> Option<&'static PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOUND
        .get_or_init(|| {
            let own = std::env::var_os("CORTEN_CRIU").unwrap_or("/var/cache/corten-criu".into());
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::iter::once(PathBuf::from(own)).chain(std::env::split_paths(&path)).find(|directory| {
                let mut check = Command::new(directory.join("criu"));
                check.arg("check").stdout(Stdio::null()).stderr(Stdio::null());
                check.status().is_ok_and(|status| status.success())
            })
        })
        .as_ref()
}

/// The program; nothing, after saying so, where none runs: the test returns.
pub fn find() -> Option<PathBuf> {
    let found = rustix::process::geteuid().is_root().then(directory).flatten();
    if found.is_none() {
        eprintln!("skipped: no criu runs here (criu check), or the tests run without root");
    }
    found.map(|directory| directory.join("criu"))
}

/// Whether this CRIU can do that on this machine: `criu check --feature`.
pub fn has(feature: &str) -> bool {
    let Some(directory) = directory() else { return false };
    let mut check = Command::new(directory.join("criu"));
    check.args(["check", "--feature", feature]).stdout(Stdio::null()).stderr(Stdio::null());
    check.status().unwrap().success()
}

impl Bundle {
    /// `checkpoint FLAGS… --image-path images ID`, by way of the CRIU that runs here.
    pub fn checkpoint(&self, flags: &[&str]) -> Outcome {
        self.finish(&mut self.checkpoint_command(flags))
    }

    /// The command line of `checkpoint`, not yet run.
    pub fn checkpoint_command(&self, flags: &[&str]) -> Command {
        self.with_criu(&["checkpoint", "--image-path", "images"], flags)
    }

    /// `restore FLAGS… --bundle bundle --image-path images ID`; its input is what the caller has as its.
    pub fn restore(&self, flags: &[&str]) -> Outcome {
        self.finish(&mut self.restore_command(flags))
    }

    /// The command line of `restore`, not yet run.
    pub fn restore_command(&self, flags: &[&str]) -> Command {
        let fixed = ["restore", "--image-path", "images", "--bundle", "bundle", "--pid-file", "pid"];
        self.with_criu(&fixed, flags)
    }

    fn with_criu(&self, fixed: &[&str], flags: &[&str]) -> Command {
        let mut command = self.command(&[fixed, flags, &[self.id.as_str()]].concat());
        find_by_path(&mut command);
        command
    }
}

/// Has a command find that CRIU in its `PATH`.
pub fn find_by_path(command: &mut Command) {
    if let Some(directory) = directory() {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(directory.clone()).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(paths).unwrap());
    }
}
