//! Where things are: what lasts (`--root`) and what ends with the machine's uptime (`--runroot`).

use crate::error::{Error, Result};
use std::env;
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The two directories that everything of ours is below.
#[derive(Debug, Clone)]
pub struct Paths {
    /// Images, layers, containers, volumes: `/var/lib/ocictl`, or `$XDG_DATA_HOME/ocictl` without root.
    pub root: PathBuf,
    /// What need not survive a reboot: `/run/ocictl`, or without root `$XDG_RUNTIME_DIR/ocictl`, `/run/user/UID/ocictl`, `/tmp/ocictl-UID`.
    pub runroot: PathBuf,
}

impl Paths {
    /// What was given on the command line, else `OCICTL_ROOT` and `OCICTL_RUNROOT`, else the places of the caller's kind.
    ///
    /// # Errors
    /// Fails for an ordinary user without a home or a directory of his own below `/tmp`, and for a path that is not absolute.
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
                None => without_session(rustix::process::geteuid().as_raw())?,
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

/// The run directory of a user who did not come by a login that sets XDG_RUNTIME_DIR (su(1), cron(8)): the one of his session, if he has
/// one, else one below `/tmp`, which must be his alone.
fn without_session(uid: u32) -> Result<PathBuf> {
    let is_his = |path: &Path| {
        std::fs::symlink_metadata(path)
            .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == uid && metadata.mode() & 0o077 == 0)
    };
    let session = PathBuf::from(format!("/run/user/{uid}"));
    if is_his(&session) {
        return Ok(session.join("ocictl"));
    }
    let own = PathBuf::from(format!("/tmp/ocictl-{uid}"));
    match DirBuilder::new().mode(0o700).create(&own) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(Error::from(error).context(format!("create directory {}", own.display())));
        }
        _ => {}
    }
    match is_his(&own) {
        true => Ok(own),
        false => Err(Error::new(format!("{}: it is no directory of yours alone", own.display()))
            .hint("set XDG_RUNTIME_DIR, or give --runroot")),
    }
}

fn homeless(option: &str, variable: &str) -> Error {
    Error::new(format!("no directory for --{option}: {variable} is not set"))
        .hint(format!("set {variable}, or give --{option}"))
}
