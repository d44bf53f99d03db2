//! The state on disk: one directory a container below `--root` (`root.rs`), with one small record, written and renamed.
//!
//! ```text
//! ROOT/ID/state.json   the record
//!         exec.json    what `exec` needs
//!         start.sock   where init awaits `start`
//!         init.lock    locked by init until it executes the program: the kernel tells `created` from `running`
//!         deleted      whoever makes the container hears by it why it has failed
//!         notify/      what the program finds in /run/notify, with notify.sock while somebody hears it
//! ```
//!
//! How the directory comes and goes is in `reservation.rs`.

use crate::container::record::Record;
use crate::container::root::{NOTIFY, Root, private};
use crate::container::unix_socket;
use crate::error::{Context, Error, Result};
use crate::plan::exec::Template;
use crate::spec;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use rustix::net::SocketType;
use serde::Serialize;
use std::io::Read;
use std::path::{Path, PathBuf};

const RECORD: &str = "state.json";
const NEW_RECORD: &str = ".state.json";
const TEMPLATE: &str = "exec.json";
const NEW_TEMPLATE: &str = ".exec.json";
const SOCKET: &str = "start.sock";
const MARKER: &str = "init.lock";
const DELETED: &str = "deleted";
const NOTIFY_SOCKET: &str = "notify.sock";

/// The longest record that is read. Most have a few thousand bytes, but they repeat parts of a config.json, which may have 16 MiB.
const RECORD_BYTES: u64 = 1 << 26;

/// The directory of one container.
///
/// Whoever changes what it stands for holds its lock: the creator until it is done, then one deleter at a time.
#[derive(Debug)]
pub struct Directory {
    root: Root,
    id: String,
    fd: OwnedFd,
}

impl Directory {
    /// That of a container; nothing when it does not exist.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn find(root: &Root, id: &str) -> Result<Option<Self>> {
        Self::open(root, id, id)
    }

    /// Makes and locks one of the private name; nothing when somebody else has it.
    ///
    /// # Errors
    /// It or the root cannot be made.
    pub fn try_make(root: &Root, id: &str) -> Result<Option<Self>> {
        let path = root.path().join(private(id));
        let mode = Mode::from_raw_mode(0o711);
        let made = match rustix::fs::mkdir(&path, mode) {
            Err(Errno::NOENT) => {
                root.make()?;
                rustix::fs::mkdir(&path, mode)
            }
            answer => answer,
        };
        match made {
            Ok(()) => Self::leftover(root, id),
            Err(Errno::EXIST) => Ok(None),
            Err(errno) => Err(Error::from(errno).context(path.display().to_string())),
        }
    }

    /// That of the private name, locked; nothing when there is none or its owner lives.
    ///
    /// # Errors
    /// Those of open(2) and flock(2).
    pub fn leftover(root: &Root, id: &str) -> Result<Option<Self>> {
        let Some(directory) = Self::open(root, &private(id), id)? else { return Ok(None) };
        let is_ours = directory.try_lock()? && directory.is_at(&directory.private_path())?;
        Ok(is_ours.then_some(directory))
    }

    fn open(root: &Root, name: &str, id: &str) -> Result<Option<Self>> {
        let path = root.path().join(name);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(CWD, &path, flags, Mode::empty()) {
            Ok(fd) => Ok(Some(Self { root: root.clone(), id: id.to_owned(), fd })),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::from(errno).context(path.display().to_string())),
        }
    }

    /// The root that it is below.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The id that it is for.
    pub fn id(&self) -> &str {
        &self.id
    }

    fn path(&self) -> PathBuf {
        self.root.path().join(&self.id)
    }

    fn private_path(&self) -> PathBuf {
        self.root.path().join(private(&self.id))
    }

    /// The record; nothing when there is none.
    ///
    /// # Errors
    /// It cannot be read; it is no regular file, or none of ours.
    pub fn read(&self) -> Result<Option<Record>> {
        let Some(bytes) = self.read_file(RECORD)? else { return Ok(None) };
        let record = serde_json::from_slice(&bytes).map_err(|error| Error::new(error.to_string()));
        record.map(Some).context(|| self.path().join(RECORD).display().to_string())
    }

    /// Writes the record: a reader sees the old one or the new one, whole.
    ///
    /// # Errors
    /// It cannot be written, or the directory was removed meanwhile.
    pub fn write(&self, record: &Record) -> Result<()> {
        self.write_json(NEW_RECORD, record)?;
        rustix::fs::renameat(&self.fd, NEW_RECORD, &self.fd, RECORD)
            .context(|| self.path().join(RECORD).display().to_string())
    }

    /// What `exec` needs. It is there before the record says that the container is created.
    ///
    /// # Errors
    /// It cannot be read, or its creator wrote none.
    pub fn read_template(&self) -> Result<Template<'static>> {
        let missing = || Error::new("the container was created by a version of corten without exec");
        let bytes = self.read_file(TEMPLATE)?.ok_or_else(missing)?;
        spec::own_document(&bytes).context(|| self.path().join(TEMPLATE).display().to_string())
    }

    /// Writes what `exec` needs, once.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_template(&self, template: &Template<'_>) -> Result<()> {
        self.write_json(TEMPLATE, template)
    }

    /// Writes it once more: an `exec` meanwhile reads the old one or the new one, whole.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn rewrite_template(&self, template: &Template<'_>) -> Result<()> {
        self.write_json(NEW_TEMPLATE, template)?;
        rustix::fs::renameat(&self.fd, NEW_TEMPLATE, &self.fd, TEMPLATE)
            .context(|| self.path().join(TEMPLATE).display().to_string())
    }

    fn read_file(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let context = || self.path().join(name).display().to_string();
        // What lies there may be a FIFO, on which a reader would wait for ever.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            answer => answer.context(context)?,
        };
        let stat = rustix::fs::fstat(&file).context(context)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Error::new("not a regular file").context(context()));
        }
        let mut bytes = Vec::with_capacity(2048);
        let length =
            std::fs::File::from(file).take(RECORD_BYTES + 1).read_to_end(&mut bytes).context(context)?;
        if length as u64 > RECORD_BYTES {
            return Err(Error::new(format!("longer than {RECORD_BYTES} bytes")).context(context()));
        }
        Ok(Some(bytes))
    }

    fn write_json(&self, name: &str, document: &impl Serialize) -> Result<()> {
        let context = || self.path().join(name).display().to_string();
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
        unix_socket::listen(self.fd.as_fd(), SOCKET)
            .context(|| self.path().join(SOCKET).display().to_string())
    }

    /// Connects to the waiting init; nothing when nobody waits.
    ///
    /// # Errors
    /// Those of connect(2).
    pub fn connect(&self) -> Result<Option<OwnedFd>> {
        match unix_socket::connect(self.fd.as_fd(), SOCKET, SocketType::SEQPACKET) {
            Ok(socket) => Ok(Some(socket)),
            Err(error) if matches!(error.errno(), Some(libc::ECONNREFUSED | libc::ENOENT)) => Ok(None),
            Err(error) => Err(error.context(self.path().join(SOCKET).display().to_string())),
        }
    }

    /// Makes the directory in which the program finds the socket for what it tells.
    ///
    /// # Errors
    /// Those of mkdir(2).
    pub fn make_notify_directory(&self) -> Result<()> {
        let context = || self.path().join(NOTIFY).display().to_string();
        rustix::fs::mkdirat(&self.fd, NOTIFY, Mode::from_raw_mode(0o755)).context(context)?;
        // Whatever the umask: the program's user must get in.
        rustix::fs::chmodat(&self.fd, NOTIFY, Mode::from_raw_mode(0o755), AtFlags::empty()).context(context)
    }

    /// Whether the container was created with such a directory.
    ///
    /// # Errors
    /// Those of stat(2).
    pub fn has_notify_directory(&self) -> Result<bool> {
        match rustix::fs::statat(&self.fd, NOTIFY, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(Error::from(errno).context(self.path().join(NOTIFY).display().to_string())),
        }
    }

    /// The socket in it.
    ///
    /// # Errors
    /// Those of open(2) and bind(2).
    pub fn listen_for_notifications(&self) -> Result<OwnedFd> {
        let context = || self.path().join(NOTIFY).join(NOTIFY_SOCKET).display().to_string();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(&self.fd, NOTIFY, flags, Mode::empty()).context(context)?;
        // One that nobody hears any more is in the way.
        match rustix::fs::unlinkat(&directory, NOTIFY_SOCKET, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(Error::from(errno).context(context())),
        }
        unix_socket::bind_datagram(directory.as_fd(), NOTIFY_SOCKET).context(context)
    }

    /// The file whose lock init holds until it executes the program: the kernel lets go of it at that very moment.
    ///
    /// # Errors
    /// Those of open(2) and flock(2).
    pub fn lock_marker(&self) -> Result<OwnedFd> {
        let context = || self.path().join(MARKER).display().to_string();
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
        let context = || self.path().join(MARKER).display().to_string();
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
        let context = || self.path().display().to_string();
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

    /// Locks the directory itself, until [`Directory::unlock`] or the end of this process and of an init that has not yet
    /// closed what it inherited; false when somebody else has it.
    ///
    /// # Errors
    /// Those of flock(2).
    pub fn try_lock(&self) -> Result<bool> {
        match rustix::fs::flock(&self.fd, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => Ok(false),
            answer => answer.map(|()| true).context(|| self.path().display().to_string()),
        }
    }

    /// Lets go of the lock, also for an init that shares it.
    ///
    /// # Errors
    /// Those of flock(2).
    pub fn unlock(&self) -> Result<()> {
        rustix::fs::flock(&self.fd, FlockOperation::Unlock).context(|| self.path().display().to_string())
    }

    /// Whether it was removed; its name may be another's by now. By the inode, which cannot be another's while we have it
    /// open: not every file system counts the links of a directory.
    ///
    /// # Errors
    /// Those of stat(2).
    pub fn is_gone(&self) -> Result<bool> {
        Ok(!self.is_at(&self.path())? && !self.is_at(&self.private_path())?)
    }

    /// Tells whoever makes the container that it is being deleted.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn mark_deleted(&self) -> Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.fd, DELETED, flags, Mode::from_raw_mode(0o600)) {
            // Its maker has removed it already.
            Ok(_) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(Error::from(errno).context(self.path().join(DELETED).display().to_string())),
        }
    }

    /// Whether somebody else deletes or has deleted it.
    ///
    /// # Errors
    /// Those of stat(2).
    pub fn is_deleted(&self) -> Result<bool> {
        match rustix::fs::statat(&self.fd, DELETED, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => self.is_gone(),
            Err(errno) => Err(Error::from(errno).context(self.path().join(DELETED).display().to_string())),
        }
    }

    fn is_at(&self, path: &Path) -> Result<bool> {
        let context = || path.display().to_string();
        let own = rustix::fs::fstat(&self.fd).context(context)?;
        match rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(there) => Ok((own.st_dev, own.st_ino) == (there.st_dev, there.st_ino)),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(Error::from(errno).context(context())),
        }
    }

    /// Gives it the name of the id: the container exists.
    ///
    /// # Errors
    /// `container with given ID already exists`.
    pub fn publish(&self) -> Result<()> {
        match rename(&self.private_path(), &self.path()) {
            Err(Errno::EXIST) => Err(Error::new("container with given ID already exists")),
            answer => answer.context(|| self.path().display().to_string()),
        }
    }

    /// Gives it the private name: the container exists no more. False when that name is taken.
    ///
    /// # Errors
    /// Those of rename(2).
    pub fn hide(&self) -> Result<bool> {
        if self.is_at(&self.private_path())? {
            return Ok(true);
        }
        match rename(&self.path(), &self.private_path()) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(errno) => Err(Error::from(errno).context(self.path().display().to_string())),
        }
    }

    /// Removes a directory that has no record, if it is empty: then nobody loses anything.
    ///
    /// # Errors
    /// Those of rmdir(2).
    pub fn remove_empty(&self) -> Result<()> {
        match rustix::fs::rmdir(self.path()) {
            Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY) => Ok(()),
            Err(errno) => Err(Error::from(errno).context(self.path().display().to_string())),
        }
    }

    /// Whether it holds nothing but what we put there.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn is_all_ours(&self) -> Result<bool> {
        let context = || self.path().display().to_string();
        for entry in rustix::fs::Dir::read_from(&self.fd).context(context)? {
            let name = entry.context(context)?.file_name().to_owned();
            let ours =
                [".", "..", SOCKET, MARKER, NEW_TEMPLATE, TEMPLATE, NEW_RECORD, RECORD, NOTIFY, DELETED];
            if !ours.iter().any(|ours| ours.as_bytes() == name.as_bytes()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Removes the directory, which has the private name.
    ///
    /// # Errors
    /// What remains cannot be removed.
    pub fn remove(&self) -> Result<()> {
        let path = self.private_path();
        for name in [SOCKET, MARKER, TEMPLATE, NEW_RECORD, RECORD] {
            self.remove_entry(name)?;
        }
        let mut removed = rustix::fs::rmdir(&path);
        if removed == Err(Errno::NOTEMPTY) {
            // Few containers have them: most are spared the questions.
            self.remove_entry(NEW_TEMPLATE)?;
            self.remove_entry(DELETED)?;
            self.remove_entry(&format!("{NOTIFY}/{NOTIFY_SOCKET}"))?;
            self.remove_entry(NOTIFY)?;
            removed = rustix::fs::rmdir(&path);
        }
        match removed {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(Error::from(errno).context(path.display().to_string())),
        }
    }

    fn remove_entry(&self, name: &str) -> Result<()> {
        let removed = match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Err(Errno::ISDIR) => rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR),
            answer => answer,
        };
        match removed {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => {
                Err(Error::from(errno).context(self.private_path().join(name).display().to_string()))
            }
        }
    }
}

/// Never replaces; a file system that cannot promise that is given a plain rename(2), which replaces only what is empty.
fn rename(from: &Path, to: &Path) -> rustix::io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => match rustix::fs::rename(from, to) {
            Err(Errno::NOTEMPTY) => Err(Errno::EXIST),
            answer => answer,
        },
        answer => answer,
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
