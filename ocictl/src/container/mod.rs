//! Containers: what they are to be ([`options`], [`spec`]), where they are kept, and their lives.
//!
//! ```text
//! ROOT/containers/ID/container.json      what it is to be
//! ROOT/containers/ID/state.json          what became of it when it ran last
//! ROOT/containers/ID/lock, monitor       held by whoever changes it; held by its monitor
//! ROOT/containers/ID/layer/{upper,work}  what it has changed of its image
//! ROOT/containers/ID/ctr.log             what it has printed
//! ROOT/container-names/NAME              a link that says ID
//! ROOT/container-aside/ID                one that is being made or removed
//! RUNROOT/containers/ID/                 the bundle: config.json, the mount point of the root, sockets; there while it runs
//! ```
//!
//! A container appears and vanishes by one rename. Its root is mounted in a mount namespace that its monitor and its program hold, so
//! no mount outlives them. What a killed process leaves in `container-aside` goes with the next command that makes or removes one.

mod aside;
pub mod attach;
pub mod bundle;
pub mod calling;
pub mod cgroup;
pub mod changes;
pub mod claims;
pub mod commit;
pub mod copying;
pub mod create;
pub mod delegation;
pub mod extract;
pub mod facts;
pub mod idmap;
pub mod ids;
pub mod init;
pub mod monitor;
pub mod mounted_volumes;
pub mod names;
pub mod options;
pub mod parse;
pub mod processes;
pub mod program;
pub mod record;
pub mod remove;
pub mod root;
pub mod rootfs;
pub mod shifted;
pub mod sources;
pub mod spec;
pub mod start;
pub mod status;
pub mod upkeep;
pub mod userns;
pub mod wire;

use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::store::images::Pin;
use crate::store::lock::{self, Lock};
use crate::store::{Store, disk};
use options::MountKind;
use record::{Container, Record, State, Status, read_record};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// An image's `/etc/passwd` and `/etc/group` are no larger, or hostile.
pub(crate) const MAX_ACCOUNTS: u64 = 4 << 20;

/// In the directory of a container that is being removed: what it had of volumes that nobody named goes with it.
const VOLUMES_TOO: &str = "volumes-too";

/// The key of a container's pin on its image.
pub fn pin_key(id: &str) -> String {
    format!("container/{id}")
}

/// The pins of a container on images that it mounts.
fn mount_pins(record: &Record) -> impl Iterator<Item = (String, &Digest)> {
    record.options.mounts.iter().enumerate().filter_map(|(index, mount)| match &mount.kind {
        MountKind::Image(_, Some(image)) => Some((format!("{}/{index}", pin_key(&record.id)), &image.id)),
        _ => None,
    })
}

/// What can be read of containers.
#[derive(Debug, Default)]
pub struct Readable {
    /// Each with what became of it and what is true of it now.
    pub list: Vec<(Container, State, Status)>,
    /// What is wrong with others, a sentence each.
    pub faults: Vec<Error>,
}

/// The containers of a store.
#[derive(Debug)]
pub struct Containers<'a> {
    /// Where their images are.
    pub store: &'a Store,
    runroot: PathBuf,
}

impl<'a> Containers<'a> {
    /// Opens them, and makes the directories if they are not there.
    ///
    /// # Errors
    /// Fails if a directory cannot be made.
    pub fn open(store: &'a Store) -> Result<Self> {
        let runroot = store.runroot()?.to_owned();
        let containers = Self { store, runroot };
        for path in [
            containers.folder(),
            containers.names_folder(),
            containers.aside_folder(),
            containers.run_folder(),
        ] {
            if std::fs::symlink_metadata(&path).is_err() {
                disk::make_directory(&path)?;
            }
        }
        Ok(containers)
    }

    fn folder(&self) -> PathBuf {
        self.store.root().join("containers")
    }

    fn names_folder(&self) -> PathBuf {
        self.store.root().join("container-names")
    }

    fn aside_folder(&self) -> PathBuf {
        self.store.root().join("container-aside")
    }

    fn run_folder(&self) -> PathBuf {
        self.runroot.join("containers")
    }

    /// What need not survive a reboot.
    pub fn runroot(&self) -> &Path {
        &self.runroot
    }

    fn container(&self, record: Record) -> Container {
        Container {
            directory: self.folder().join(&record.id),
            run: self.run_folder().join(&record.id),
            record,
        }
    }

    /// The container with this whole ID. Whoever may write to the store may put a link there, or a record of something else: neither is followed.
    ///
    /// # Errors
    /// Fails if its record cannot be read, or is another's.
    pub fn by_id(&self, id: &str) -> Result<Option<Container>> {
        if !is_id(id) {
            return Ok(None);
        }
        let directory = self.folder().join(id);
        let place = || format!("container {}: {}", &id[..12], directory.display());
        if std::fs::symlink_metadata(&directory).is_ok_and(|found| found.is_symlink()) {
            return Err(Error::new("it is a link, and no directory of a container").context(place()));
        }
        let Some(record) = read_record(&directory)? else { return Ok(None) };
        if record.id != id || !parse::is_name(&record.name) {
            return Err(Error::new("its record is that of another").context(place()));
        }
        Ok(Some(self.container(record)))
    }

    /// The container that somebody means by a name, an ID or the front of one.
    ///
    /// # Errors
    /// Fails if there is none, or several.
    pub fn find(&self, text: &str) -> Result<Container> {
        self.look_up(text)?.ok_or_else(|| no_such(text))
    }

    /// As [`Containers::find`], with nothing for one that is not there.
    ///
    /// # Errors
    /// Fails if there are several, or one cannot be read.
    pub fn look_up(&self, text: &str) -> Result<Option<Container>> {
        let text = text.strip_prefix('/').unwrap_or(text);
        if !parse::is_name(text) {
            return Ok(None);
        }
        if let Ok(id) = std::fs::read_link(self.names_folder().join(text))
            && let Some(id) = id.to_str()
            && let Some(found) = self.by_id(id)?
        {
            return Ok(Some(found));
        }
        if text.len() == 64 {
            return self.by_id(text);
        }
        let mut found: Vec<String> = self.ids()?.into_iter().filter(|id| id.starts_with(text)).collect();
        match (found.pop(), found.len()) {
            (None, _) => Ok(None),
            (Some(id), 0) => self.by_id(&id),
            (Some(id), _) => Err(Error::new(format!(
                "it is the front of the IDs of several containers: {}, {}",
                &id[..12],
                &found[0][..12]
            ))
            .context(format!("container {text}"))),
        }
    }

    /// The IDs of all containers.
    ///
    /// # Errors
    /// Fails if the directory cannot be read.
    pub fn ids(&self) -> Result<Vec<String>> {
        disk::names(&self.folder())
    }

    /// All containers.
    ///
    /// # Errors
    /// Fails if one cannot be read.
    pub fn list(&self) -> Result<Vec<Container>> {
        self.load(self.ids()?)
    }

    /// Those that may be running: a monitor has made a directory for them.
    ///
    /// # Errors
    /// Fails if one cannot be read.
    pub fn started(&self) -> Result<Vec<Container>> {
        self.load(disk::names(&self.run_folder())?)
    }

    /// Those containers, all or those that may be running, of which record and state can be read, with what they say; and what is wrong with the
    /// others. For who looks: whoever takes something away has to know all.
    ///
    /// # Errors
    /// Fails if the directory cannot be read.
    pub fn readable(&self, all: bool) -> Result<Readable> {
        let ids = if all { self.ids()? } else { disk::names(&self.run_folder())? };
        let mut found = Readable::default();
        for id in ids {
            let container = match self.by_id(&id) {
                Ok(Some(container)) => container,
                Ok(None) => continue,
                Err(error) => {
                    found.faults.push(error);
                    continue;
                }
            };
            match container.now() {
                Ok((state, status)) => {
                    if let Some(error) = container.lost(&state) {
                        found.faults.push(error);
                    }
                    found.list.push((container, state, status));
                }
                Err(error) => {
                    let hint = format!("`ocictl rm -f {}` removes it", container.record.name);
                    found.faults.push(error.context(container.place()).hint(hint));
                }
            }
        }
        Ok(found)
    }

    fn load(&self, ids: Vec<String>) -> Result<Vec<Container>> {
        let mut list = Vec::new();
        for id in ids {
            // One that was removed since the listing is not there any more, and that is all.
            list.extend(self.by_id(&id)?);
        }
        Ok(list)
    }

    /// Puts a new container in its place, with a name: its own, or one that is made up. Its lock is held: nobody prunes what is about to be
    /// started.
    ///
    /// # Errors
    /// Fails if another container has the name, or nothing can be written.
    pub fn add(&self, mut record: Record, lasting: bool) -> Result<(Container, Lock)> {
        let aside = self.aside_folder().join(&record.id);
        let guard = {
            let _no_sweep_between = Lock::wait(&self.aside_folder().join(".lock"))?;
            self.sweep_if_possible();
            disk::make_directory(&aside)?;
            Lock::wait(&aside.join("lock"))?
        };
        if let Some(image) = &record.image {
            let pin = Pin { owner: format!("container {}", &record.id[..12]), image: image.id.clone() };
            if let Err(error) = self.store.pin(&pin_key(&record.id), &pin) {
                disk::remove_tree(&aside)?;
                return Err(error);
            }
        }
        let made_up = record.name.is_empty();
        for attempt in 0.. {
            if made_up {
                let random = u64::from_str_radix(&disk::random(), 16).unwrap_or_default();
                record.name = names::from(random);
                if attempt > 20 {
                    record.name = format!("{}_{}", record.name, random % 1000);
                }
            }
            match self.claim(&record.name, &record.id) {
                Ok(()) => break,
                Err(error) if made_up && attempt < 1000 && error.errno() == Some(libc::EEXIST) => {}
                Err(error) => {
                    self.store.unpin(&pin_key(&record.id))?;
                    disk::remove_tree(&aside)?;
                    return Err(match error.errno() {
                        Some(libc::EEXIST) => self.name_taken(&record.name),
                        _ => error.context(format!("name {}", record.name)),
                    });
                }
            }
        }
        let bytes = serde_json::to_vec(&record).map_err(|error| Error::new(error.to_string()))?;
        let write = if lasting { disk::write_whole } else { record::write_loose };
        let pinned = || {
            mount_pins(&record).try_for_each(|(key, image)| {
                let owner = format!("container {}", &record.id[..12]);
                self.store.pin(&key, &Pin { owner, image: image.clone() })
            })
        };
        // With the record there, whoever clears up after us knows the pins.
        let state = || record::write_state(&aside, &State::default());
        let done = write(&aside, "container.json", &bytes)
            .and_then(|()| state())
            .and_then(|()| pinned())
            .and_then(|()| {
                std::fs::rename(&aside, self.folder().join(&record.id))
                    .context(|| format!("container {}", record.name))
            });
        if let Err(error) = done {
            drop(guard);
            self.unclaim(&record.name, &record.id)?;
            self.unpin(&record)?;
            disk::remove_tree(&aside)?;
            return Err(error);
        }
        Ok((self.container(record), guard))
    }

    fn unpin(&self, record: &Record) -> Result<()> {
        if record.image.is_some() {
            self.store.unpin(&pin_key(&record.id))?;
        }
        mount_pins(record).try_for_each(|(key, _)| self.store.unpin(&key))
    }

    fn name_taken(&self, name: &str) -> Error {
        let owner = std::fs::read_link(self.names_folder().join(name)).unwrap_or_default();
        let owner = owner.to_string_lossy();
        Error::new(format!("the name is in use by container {}", &owner[..owner.len().min(12)]))
            .context(format!("name {name}"))
            .hint("remove or rename that container, or choose another name")
            .exit_code(125)
    }

    /// Makes a name stand for an ID; a link of somebody who died before he had a container is taken over.
    fn claim(&self, name: &str, id: &str) -> Result<()> {
        let link = self.names_folder().join(name);
        match symlink(id, &link) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                let owner = std::fs::read_link(&link).unwrap_or_default();
                let owner = owner.to_string_lossy().into_owned();
                if self.is_there(&owner) {
                    return Err(Error::from(error));
                }
                self.unclaim(name, &owner)?;
                symlink(id, &link).map_err(Error::from)
            }
            result => result.map_err(Error::from),
        }
    }

    /// Whether a container is there or somebody alive is making it.
    fn is_there(&self, id: &str) -> bool {
        let lock = self.aside_folder().join(id).join("lock");
        std::fs::symlink_metadata(self.folder().join(id)).is_ok()
            || (std::fs::symlink_metadata(&lock).is_ok() && matches!(lock::is_held(&lock), Ok(true)))
            // It may have got there between the two looks.
            || std::fs::symlink_metadata(self.folder().join(id)).is_ok()
    }

    /// Gives a container whose name was lost its name again, if nobody else has it.
    ///
    /// # Errors
    /// Fails if the link cannot be made.
    pub fn reclaim(&self, container: &Container) -> Result<()> {
        self.claim(&container.record.name, &container.record.id)
    }

    fn unclaim(&self, name: &str, id: &str) -> Result<()> {
        let link = self.names_folder().join(name);
        match std::fs::read_link(&link) {
            Ok(owner) if owner.as_os_str() == id => {
                std::fs::remove_file(&link).context(|| format!("name {name}"))
            }
            _ => Ok(()),
        }
    }

    /// Gives a container another name.
    ///
    /// # Errors
    /// Fails if another container has it.
    pub fn rename(&self, container: &mut Container, name: &str) -> Result<()> {
        if !parse::is_name(name) {
            return Err(bad_name(name));
        }
        let _guard = container.lock()?;
        self.reread(container)?;
        self.claim(name, &container.record.id).map_err(|error| match error.errno() {
            Some(libc::EEXIST) => self.name_taken(name),
            _ => error,
        })?;
        let old = std::mem::replace(&mut container.record.name, name.to_owned());
        self.rewrite(container)?;
        self.unclaim(&old, &container.record.id)
    }

    /// Takes a container's lock; nothing if the container is gone.
    ///
    /// # Errors
    /// Fails if one that is there cannot be locked.
    pub fn hold(&self, container: &Container) -> Result<Option<Lock>> {
        match container.lock() {
            Err(_) if self.by_id(&container.record.id)?.is_none() => Ok(None),
            guard => guard.map(Some),
        }
    }

    /// Reads a record again, which others may have changed. The caller holds the container's lock.
    ///
    /// # Errors
    /// Fails if it is gone or cannot be read.
    pub fn reread(&self, container: &mut Container) -> Result<()> {
        container.record =
            self.by_id(&container.record.id)?.ok_or_else(|| no_such(&container.record.name))?.record;
        Ok(())
    }

    /// Writes a changed record. The caller holds the container's lock.
    ///
    /// # Errors
    /// Fails if it cannot be written.
    pub fn rewrite(&self, container: &Container) -> Result<()> {
        let bytes = serde_json::to_vec(&container.record).map_err(|error| Error::new(error.to_string()))?;
        disk::write_whole(&container.directory, "container.json", &bytes)
    }

    /// Takes a container that does not run off the disk, and with `volumes` those that nobody named: of several who try, one does it.
    ///
    /// # Errors
    /// Fails if something cannot be removed.
    pub fn erase(&self, container: &Container, volumes: bool) -> Result<()> {
        let id = &container.record.id;
        if volumes && container.record.options.mounts.iter().any(|mount| mount.kind.is_anonymous()) {
            // For whoever goes on where we are killed. On a full disk there is no room for it, and this is what makes room.
            let _best_effort = std::fs::write(container.directory.join(VOLUMES_TOO), "");
        }
        let aside = self.aside_folder().join(id);
        let guard = Lock::attempt(&container.directory.join("lock"));
        match std::fs::rename(&container.directory, &aside) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            result => result.context(|| container.place())?,
        }
        self.unclaim(&container.record.name, id)?;
        self.unpin(&container.record)?;
        disk::remove_tree(&container.run)?;
        drop(guard);
        if volumes {
            remove::unnamed_volumes(self, &container.record)?;
        }
        disk::remove_tree(&aside)
    }
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

/// A new ID.
pub fn new_id() -> String {
    (0..4).map(|_| disk::random()).collect()
}

/// What is said of a name that is none.
pub fn bad_name(name: &str) -> Error {
    Error::new(format!("\"{name}\" is no name: such are letters, digits, and _.- after the first"))
        .exit_code(125)
}

/// What is said of a container that is not there.
pub fn no_such(text: &str) -> Error {
    Error::new("no such container").context(format!("container {text}")).hint("`ocictl ps -a` lists all")
}
