//! The root of the state: which directory holds those of all containers, and which containers there are.

use crate::error::{Context, Error, Result};
use rustix::fs::{AtFlags, CWD};
use rustix::io::Errno;
use std::path::{Component, Path, PathBuf};

/// The directory below a container's own that its program finds in `/run/notify`.
pub(super) const NOTIFY: &str = "notify";

/// What the names of directories begin with before the container exists and when it is deleted; no id looks like them.
const PRIVATE: char = '@';

/// The private name of a container's directory.
pub(super) fn private(id: &str) -> String {
    format!("{PRIVATE}{id}")
}

/// `--root`: the directory of all containers.
#[derive(Debug, Clone)]
pub struct Root {
    path: PathBuf,
    /// Whether the user named it, so that it must exist when it is listed.
    explicit: bool,
    /// Whether it is below the user's runtime directory.
    own: bool,
}

impl Root {
    /// The root that the user named, or that of the machine or of the user.
    ///
    /// # Errors
    /// `/` itself, or an ordinary user without `XDG_RUNTIME_DIR`.
    pub fn choose(named: Option<&Path>) -> Result<Self> {
        if let Some(path) = named {
            let path = std::path::absolute(path).context(|| format!("--root {}", path.display()))?;
            let path = normalised(path);
            if path == Path::new("/") {
                return Err(Error::new("--root: / cannot hold the state of containers"));
            }
            return Ok(Self { path, explicit: true, own: false });
        }
        let own = || {
            let path = std::env::var_os("XDG_RUNTIME_DIR").filter(|path| !path.is_empty())?;
            Some(Path::new(&path).join("corten"))
        };
        if rustix::process::geteuid().is_root() && !in_foreign_user_namespace() {
            return Ok(Self { path: PathBuf::from("/run/corten"), explicit: false, own: false });
        }
        match own() {
            Some(path) => Ok(Self { path, explicit: false, own: true }),
            None if rustix::process::geteuid().is_root() => {
                Ok(Self { path: PathBuf::from("/run/corten"), explicit: false, own: false })
            }
            None => Err(Error::new("XDG_RUNTIME_DIR is not set").hint("name a directory with --root")),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the program of a container of that id finds the socket on which it tells that it is ready.
    pub fn notify_directory(&self, id: &str) -> PathBuf {
        self.path.join(id).join(NOTIFY)
    }

    /// Whether there is anything of that name.
    ///
    /// # Errors
    /// Those of stat(2).
    pub fn exists(&self, id: &str) -> Result<bool> {
        let path = self.path.join(id);
        match rustix::fs::statat(CWD, &path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(Error::from(errno).context(path.display().to_string())),
        }
    }

    /// The ids of all containers, sorted.
    ///
    /// # Errors
    /// A root that was named and does not exist, or cannot be read.
    pub fn ids(&self) -> Result<Vec<String>> {
        let mut ids = self.directories()?;
        ids.retain(|id| crate::spec::validate::valid_id(id).is_ok());
        ids.sort();
        Ok(ids)
    }

    /// The ids that have a directory of the private name.
    ///
    /// # Errors
    /// As [`Root::ids`].
    pub fn private_ids(&self) -> Result<Vec<String>> {
        let directories = self.directories()?.into_iter();
        Ok(directories.filter_map(|name| name.strip_prefix(PRIVATE).map(String::from)).collect())
    }

    fn directories(&self) -> Result<Vec<String>> {
        let context = || format!("--root {}", self.path.display());
        let entries = match std::fs::read_dir(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !self.explicit => {
                return Ok(Vec::new());
            }
            answer => answer.context(context)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.context(context)?;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        Ok(names)
    }

    /// Makes it, with all above it.
    ///
    /// # Errors
    /// Those of mkdir(2).
    pub fn make(&self) -> Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        // What has the sticky bit is not cleared away when it is old (XDG base directory specification, XDG_RUNTIME_DIR).
        let mode = if self.own { 0o1700 } else { 0o700 };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(mode)
            .create(&self.path)
            .context(|| format!("--root {}", self.path.display()))
    }
}

/// Root of a user namespace whose name is not root, as rootless podman runs us.
fn in_foreign_user_namespace() -> bool {
    crate::host::in_user_namespace() && std::env::var_os("USER").is_none_or(|user| user != "root")
}

/// `..` resolved: as the kernel does where it can, else by the letter.
#[expect(clippy::disallowed_methods, reason = "--root is the caller's path, not a container's")]
fn normalised(path: PathBuf) -> PathBuf {
    if !path.components().any(|part| part == Component::ParentDir) {
        return path;
    }
    std::fs::canonicalize(&path).unwrap_or_else(|_| {
        path.components().fold(PathBuf::new(), |mut path, part| {
            if part == Component::ParentDir {
                path.pop();
            } else {
                path.push(part);
            }
            path
        })
    })
}
