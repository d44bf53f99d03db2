//! Where things are: what lasts (`--root`) and what ends with the machine's uptime (`--runroot`).

use crate::error::{Error, Result};
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

/// The two directories that everything of ours is below.
#[derive(Debug, Clone)]
pub struct Paths {
    /// Images, layers, containers, volumes: `/var/lib/ocictl`, or `$XDG_DATA_HOME/ocictl` without root.
    pub root: PathBuf,
    /// What need not survive a reboot: `/run/ocictl`, or `$XDG_RUNTIME_DIR/ocictl` without root.
    pub runroot: PathBuf,
}

impl Paths {
    /// What was given on the command line, else `OCICTL_ROOT` and `OCICTL_RUNROOT`, else the places of the caller's kind.
    ///
    /// # Errors
    /// Fails for an ordinary user who has neither the variables nor a home, and for a path that is not absolute.
    pub fn choose(root: Option<PathBuf>, runroot: Option<PathBuf>) -> Result<Self> {
        let is_root = rustix::process::geteuid().is_root();
        let root = match root.or_else(|| variable("OCICTL_ROOT").map(PathBuf::from)) {
            Some(root) => root,
            None if is_root => PathBuf::from("/var/lib/ocictl"),
            None => match (variable("XDG_DATA_HOME"), variable("HOME")) {
                (Some(data), _) => PathBuf::from(data).join("ocictl"),
                (None, Some(home)) => PathBuf::from(home).join(".local/share/ocictl"),
                (None, None) => return Err(homeless("root", "HOME")),
            },
        };
        let runroot = match runroot.or_else(|| variable("OCICTL_RUNROOT").map(PathBuf::from)) {
            Some(runroot) => runroot,
            None if is_root => PathBuf::from("/run/ocictl"),
            None => match variable("XDG_RUNTIME_DIR") {
                Some(runtime) => PathBuf::from(runtime).join("ocictl"),
                None => return Err(homeless("runroot", "XDG_RUNTIME_DIR")),
            },
        };
        for (name, path) in [("root", &root), ("runroot", &runroot)] {
            if !path.is_absolute() {
                return Err(Error::new(format!("--{name}: \"{}\" is not an absolute path", path.display())));
            }
        }
        Ok(Self { root, runroot })
    }
}

fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

fn homeless(option: &str, variable: &str) -> Error {
    Error::new(format!("no directory for --{option}: {variable} is not set"))
        .hint(format!("set {variable}, or give --{option}"))
}
