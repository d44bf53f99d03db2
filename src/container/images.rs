//! Where a checkpoint lies: the directory of its images, and that of CRIU's log.

use crate::criu::message::{Field, Options};
use crate::error::{Context, Error, Result};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// What stdin, stdout and stderr were, as runc tells it: a JSON list of three texts.
const DESCRIPTORS: &str = "descriptors.json";

/// The longest list that is read; ours have some hundred bytes.
const DESCRIPTORS_BYTES: u64 = 1 << 16;

/// Names CRIU's own configuration file; empty for none.
const CONFIG_ANNOTATION: &str = "org.criu.config";
/// What is taken without that: ours, or that of runc.
const CONFIGS: [&str; 2] = ["/etc/criu/corten.conf", "/etc/criu/runc.conf"];

/// The directories, open.
#[derive(Debug)]
pub struct Images {
    directory: OwnedFd,
    path: PathBuf,
    work: Option<(OwnedFd, PathBuf)>,
    /// What was made for this checkpoint, inner ones first.
    made: Vec<PathBuf>,
}

impl Images {
    /// Opens the directories; those that are missing are made where they shall be written to.
    ///
    /// # Errors
    /// One that cannot be made or opened.
    pub fn open(images: &Path, work: Option<&Path>, make: bool) -> Result<Self> {
        let mut made = Vec::new();
        let mut open = |path: &Path, flag: &str, make: bool| -> Result<OwnedFd> {
            let context = || format!("{flag} {}", path.display());
            if make {
                make_all(path, &mut made).context(context)?;
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::openat(CWD, path, flags, Mode::empty()).context(context)
        };
        let directory = open(images, "--image-path", make)?;
        let work = match work {
            Some(path) => Some((open(path, "--work-path", true)?, path.to_owned())),
            None => None,
        };
        made.reverse();
        Ok(Self { directory, path: images.to_owned(), work, made })
    }

    /// Opens them again: CRIU mounts something below one of them, which must be in its own mount namespace.
    ///
    /// # Errors
    /// One is gone.
    pub fn reopen(&mut self) -> Result<()> {
        let open = |path: &Path| {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::openat(CWD, path, flags, Mode::empty()).context(|| path.display().to_string())
        };
        self.directory = open(&self.path)?;
        if let Some((directory, path)) = &mut self.work {
            *directory = open(path)?;
        }
        Ok(())
    }

    /// Tells CRIU of the directories, which it reaches by our descriptors.
    pub fn name(&self, options: &mut Options) {
        options.number(Field::ImagesDirFd, self.directory.as_raw_fd());
        if let Some((work, _)) = &self.work {
            options.number(Field::WorkDirFd, work.as_raw_fd());
        }
    }

    /// Where CRIU writes a log of that name.
    pub fn log(&self, name: &str) -> PathBuf {
        self.work.as_ref().map_or(&self.path, |(_, path)| path).join(name)
    }

    /// Makes sure that the images of `--parent-path`, which is relative, are there.
    ///
    /// # Errors
    /// They are not.
    pub fn check_parent(&self, parent: &str) -> Result<()> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.directory, parent, flags, Mode::empty());
        opened.map(drop).context(|| format!("--parent-path {parent}"))
    }

    /// Keeps what stdio is.
    ///
    /// # Errors
    /// Those of open(2) and write(2).
    pub fn write_descriptors(&self, names: &[String]) -> Result<()> {
        let context = || self.path.join(DESCRIPTORS).display().to_string();
        let text = serde_json::to_vec(names).map_err(|error| Error::new(error.to_string()))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.directory, DESCRIPTORS, flags, Mode::from_raw_mode(0o600));
        File::from(file.context(context)?).write_all(&text).context(context)
    }

    /// What stdio was; nothing where nobody has told.
    ///
    /// # Errors
    /// It cannot be read, or is no list of texts.
    pub fn read_descriptors(&self) -> Result<Vec<String>> {
        let context = || self.path.join(DESCRIPTORS).display().to_string();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.directory, DESCRIPTORS, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(Vec::new()),
            answer => answer.context(context)?,
        };
        let mut bytes = Vec::new();
        File::from(file).take(DESCRIPTORS_BYTES).read_to_end(&mut bytes).context(context)?;
        serde_json::from_slice(&bytes).map_err(|error| Error::new(error.to_string()).context(context()))
    }

    /// After a failure: removes the directories that were made and that nothing is in. What CRIU wrote stays, its log above
    /// all.
    pub fn remove_empty(&self) {
        for path in &self.made {
            let _something_is_in_it = rustix::fs::unlinkat(CWD, path, AtFlags::REMOVEDIR);
        }
    }
}

/// Makes a directory and its parents; notes those that were missing, outer ones first. Only root can list them, but that of a
/// user namespace must be able to open what he is restored from.
fn make_all(path: &Path, made: &mut Vec<PathBuf>) -> rustix::io::Result<()> {
    let mode = Mode::from_raw_mode(0o711);
    match (rustix::fs::mkdir(path, mode), path.parent()) {
        (Err(Errno::NOENT), Some(parent)) => {
            make_all(parent, made)?;
            rustix::fs::mkdir(path, mode)?;
        }
        (Err(Errno::EXIST), _) => return Ok(()),
        (answer, _) => answer?,
    }
    made.push(path.to_owned());
    Ok(())
}

/// CRIU's own configuration file for a container with these annotations; its settings go over ours.
pub fn config(annotations: &BTreeMap<String, String>) -> Option<String> {
    match annotations.get(CONFIG_ANNOTATION) {
        Some(named) => Some(named.clone()).filter(|named| !named.is_empty()),
        None => CONFIGS.into_iter().find(|file| rustix::fs::stat(*file).is_ok()).map(str::to_owned),
    }
}
