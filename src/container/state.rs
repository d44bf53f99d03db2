//! The state on disk: one directory a container below `--root`, with one small record, written and renamed.
//!
//! ```text
//! ROOT/ID/state.json   the record
//!         exec.json    what `exec` needs
//!         start.sock   where init awaits `start`
//!         init.lock    locked by init until it executes the program: the kernel tells `created` from `running`
//! ```

use crate::container::record::Record;
use crate::container::unix_socket;
use crate::error::{Context, Error, Result};
use crate::plan::exec::Template;
use crate::spec;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::SocketType;
use serde::Serialize;
use std::io::Read;
use std::path::{Path, PathBuf};

const RECORD: &str = "state.json";
const NEW_RECORD: &str = ".state.json";
const TEMPLATE: &str = "exec.json";
const SOCKET: &str = "start.sock";
const MARKER: &str = "init.lock";

/// `--root`: the directory of all containers.
#[derive(Debug, Clone)]
pub struct Root {
    path: PathBuf,
    /// Whether the user named it, so that it must exist when it is listed.
    explicit: bool,
}

impl Root {
    /// The root that the user named, or that of the machine or of the user.
    ///
    /// # Errors
    /// `/` itself, or an ordinary user without `XDG_RUNTIME_DIR`.
    pub fn choose(named: Option<&Path>) -> Result<Self> {
        if let Some(path) = named {
            let path = std::path::absolute(path).context(|| format!("--root {}", path.display()))?;
            if path == Path::new("/") {
                return Err(Error::new("--root: / cannot hold the state of containers"));
            }
            return Ok(Self { path, explicit: true });
        }
        let own = || {
            let path = std::env::var_os("XDG_RUNTIME_DIR").filter(|path| !path.is_empty())?;
            Some(Path::new(&path).join("corten"))
        };
        if rustix::process::geteuid().is_root() && !in_foreign_user_namespace() {
            return Ok(Self { path: PathBuf::from("/run/corten"), explicit: false });
        }
        match own() {
            Some(path) => Ok(Self { path, explicit: false }),
            None if rustix::process::geteuid().is_root() => {
                Ok(Self { path: PathBuf::from("/run/corten"), explicit: false })
            }
            None => Err(Error::new("XDG_RUNTIME_DIR is not set").hint("name a directory with --root")),
        }
    }

    /// The directory of a container; nothing when it does not exist.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn directory(&self, id: &str) -> Result<Option<Directory>> {
        let path = self.path.join(id);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(CWD, &path, flags, Mode::empty()) {
            Ok(fd) => Ok(Some(Directory { path, fd })),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::from(errno).context(path.display().to_string())),
        }
    }

    /// Makes the directory of a new container.
    ///
    /// # Errors
    /// `container with given ID already exists`; the root cannot be made.
    pub fn make(&self, id: &str) -> Result<Directory> {
        let path = self.path.join(id);
        let mode = Mode::from_raw_mode(0o711);
        let made = match rustix::fs::mkdir(&path, mode) {
            Err(Errno::NOENT) => {
                self.make_root()?;
                rustix::fs::mkdir(&path, mode)
            }
            answer => answer,
        };
        match made {
            Ok(()) => {}
            Err(Errno::EXIST) => return Err(Error::new("container with given ID already exists")),
            Err(errno) => return Err(Error::from(errno).context(path.display().to_string())),
        }
        self.directory(id)?.ok_or_else(|| Error::new(format!("{}: vanished", path.display())))
    }

    /// The ids of all containers, sorted.
    ///
    /// # Errors
    /// A root that was named and does not exist, or cannot be read.
    pub fn ids(&self) -> Result<Vec<String>> {
        let context = || format!("--root {}", self.path.display());
        let entries = match std::fs::read_dir(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !self.explicit => {
                return Ok(Vec::new());
            }
            answer => answer.context(context)?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry.context(context)?;
            let id = entry.file_name().to_string_lossy().into_owned();
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_directory && crate::spec::validate::valid_id(&id).is_ok() {
                ids.push(id);
            }
        }
        ids.sort();
        Ok(ids)
    }

    fn make_root(&self) -> Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path)
            .context(|| format!("--root {}", self.path.display()))
    }
}

/// Root of a user namespace whose name is not root, as rootless podman runs us.
fn in_foreign_user_namespace() -> bool {
    crate::host::in_user_namespace() && std::env::var_os("USER").is_some_and(|user| user != "root")
}

/// The directory of one container.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    fd: OwnedFd,
}

impl Directory {
    /// The record; nothing when its writer was killed before the first one was complete.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self) -> Result<Option<Record>> {
        let Some(bytes) = self.read_file(RECORD)? else { return Ok(None) };
        let record = serde_json::from_slice(&bytes).map_err(|error| Error::new(error.to_string()));
        record.map(Some).context(|| self.path.join(RECORD).display().to_string())
    }

    /// Writes the record: a reader sees the old one or the new one, whole.
    ///
    /// # Errors
    /// It cannot be written, or the directory was removed meanwhile.
    pub fn write(&self, record: &Record) -> Result<()> {
        self.write_json(NEW_RECORD, record)?;
        rustix::fs::renameat(&self.fd, NEW_RECORD, &self.fd, RECORD)
            .context(|| self.path.join(RECORD).display().to_string())
    }

    /// What `exec` needs. It is there before the record says that the container is created.
    ///
    /// # Errors
    /// It cannot be read, or its creator wrote none.
    pub fn read_template(&self) -> Result<Template<'static>> {
        let missing = || Error::new("the container was created by a version of corten without exec");
        let bytes = self.read_file(TEMPLATE)?.ok_or_else(missing)?;
        spec::own_document(&bytes).context(|| self.path.join(TEMPLATE).display().to_string())
    }

    /// Writes what `exec` needs, once.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_template(&self, template: &Template<'_>) -> Result<()> {
        self.write_json(TEMPLATE, template)
    }

    fn read_file(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let context = || self.path.join(name).display().to_string();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            answer => answer.context(context)?,
        };
        let mut bytes = Vec::with_capacity(2048);
        std::fs::File::from(file).read_to_end(&mut bytes).context(context)?;
        Ok(Some(bytes))
    }

    fn write_json(&self, name: &str, document: &impl Serialize) -> Result<()> {
        let context = || self.path.join(name).display().to_string();
        let text =
            serde_json::to_vec(document).map_err(|error| Error::new(error.to_string()).context(context()))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.fd, name, flags, Mode::from_raw_mode(0o600)).context(context)?;
        write_all(file.as_fd(), &text).context(context)
    }

    /// The socket on which init awaits `start`.
    ///
    /// # Errors
    /// Those of bind(2).
    pub fn listen(&self) -> Result<OwnedFd> {
        unix_socket::listen(self.fd.as_fd(), SOCKET).context(|| self.path.join(SOCKET).display().to_string())
    }

    /// Connects to the waiting init; nothing when nobody waits.
    ///
    /// # Errors
    /// Those of connect(2).
    pub fn connect(&self) -> Result<Option<OwnedFd>> {
        match unix_socket::connect(self.fd.as_fd(), SOCKET, SocketType::SEQPACKET) {
            Ok(socket) => Ok(Some(socket)),
            Err(error) if matches!(error.errno(), Some(libc::ECONNREFUSED | libc::ENOENT)) => Ok(None),
            Err(error) => Err(error.context(self.path.join(SOCKET).display().to_string())),
        }
    }

    /// The file whose lock init holds until it executes the program: the kernel lets go of it at that very moment.
    ///
    /// # Errors
    /// Those of open(2) and flock(2).
    pub fn lock_marker(&self) -> Result<OwnedFd> {
        let context = || self.path.join(MARKER).display().to_string();
        let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file =
            rustix::fs::openat(&self.fd, MARKER, flags, Mode::from_raw_mode(0o600)).context(context)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).context(context)?;
        Ok(file)
    }

    /// Whether init still holds the marker.
    ///
    /// # Errors
    /// Those of open(2) and flock(2).
    pub fn is_waiting(&self) -> Result<bool> {
        let context = || self.path.join(MARKER).display().to_string();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.fd, MARKER, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(false),
            answer => answer.context(context)?,
        };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
            Err(Errno::WOULDBLOCK) => Ok(true),
            answer => answer.map(|()| false).context(context),
        }
    }

    /// Keeps other verbs that ask for the same from running meanwhile, for as long as the descriptor is open.
    ///
    /// # Errors
    /// Those of open(2) and flock(2).
    pub fn lock(&self) -> Result<OwnedFd> {
        let context = || self.path.display().to_string();
        // A descriptor of its own: the lock of one that is shared would be shared, too.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let lock = rustix::fs::openat(&self.fd, ".", flags, Mode::empty()).context(context)?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).context(context)?;
        Ok(lock)
    }

    /// The user who made the container; root where the directory is gone.
    pub fn owner(&self) -> u32 {
        rustix::fs::fstat(&self.fd).map_or(0, |stat| stat.st_uid)
    }

    /// Removes the directory, the record last but for the directory itself. What is gone already is fine.
    ///
    /// # Errors
    /// What remains cannot be removed.
    pub fn remove(&self) -> Result<()> {
        for name in [SOCKET, MARKER, TEMPLATE, NEW_RECORD, RECORD] {
            match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => {
                    return Err(Error::from(errno).context(self.path.join(name).display().to_string()));
                }
            }
        }
        match rustix::fs::rmdir(&self.path) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(Error::from(errno).context(self.path.display().to_string())),
        }
    }
}

fn write_all(file: rustix::fd::BorrowedFd<'_>, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Err(Errno::INTR) => {}
            answer => bytes = &bytes[answer?..],
        }
    }
    Ok(())
}
