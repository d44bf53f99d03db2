//! One container's life: created, started, joined by `exec`, signalled, deleted.

mod agent;
mod birth;
pub mod checkpoint;
mod console;
mod console_socket;
pub mod create;
pub mod delete;
pub mod events;
pub mod exec;
mod foreground;
mod hooks;
mod host_mounts;
mod images;
mod interrupts;
pub mod mounts;
mod network;
pub mod notify;
pub mod pause;
mod pid_file;
mod pidfd_socket;
pub mod process;
pub mod ps;
pub mod record;
mod resctrl;
pub mod reservation;
pub mod restore;
pub mod root;
pub mod signal;
mod stage;
pub mod start;
pub mod state;
pub mod unix_socket;
pub mod update;

use crate::cgroup;
use crate::error::{Error, Result};
use crate::spec::Status;
use process::Liveness;
use record::{Record, Stage};
use root::Root;
use state::Directory;

/// A container on record.
#[derive(Debug)]
pub struct Container {
    /// Its directory below the root.
    pub directory: Directory,
    /// What the record says.
    pub record: Record,
}

impl Container {
    /// Opens the container of that id.
    ///
    /// # Errors
    /// `container does not exist`; a record that cannot be read.
    pub fn open(root: &Root, id: &str) -> Result<Self> {
        crate::spec::validate::valid_id(id)?;
        Self::find(root, id)?.ok_or_else(|| Error::new("container does not exist"))
    }

    /// The container of that id; nothing when there is none. A directory without a record is none.
    ///
    /// # Errors
    /// A record that cannot be read.
    pub fn find(root: &Root, id: &str) -> Result<Option<Self>> {
        let Some(directory) = Directory::find(root, id)? else { return Ok(None) };
        Ok(directory.read()?.map(|record| Self { directory, record }))
    }

    /// What the kernel says of its state, now.
    ///
    /// # Errors
    /// A freezer that cannot be read.
    pub fn status(&self) -> Result<Status> {
        let Some(process) = &self.record.process else { return Ok(Status::Creating) };
        if process.liveness()? == Liveness::Ended {
            return Ok(Status::Stopped);
        }
        if self.record.stage == Stage::Creating {
            return Ok(Status::Creating);
        }
        if cgroup::open(&self.record.cgroup).is_frozen()? {
            return Ok(Status::Paused);
        }
        let waits = self.record.stage == Stage::Created && self.directory.is_waiting()?;
        Ok(if waits { Status::Created } else { Status::Running })
    }

    /// The state document.
    ///
    /// # Errors
    /// As [`Container::status`].
    pub fn state(&self) -> Result<crate::spec::State> {
        let status = self.status()?;
        let pid = match status {
            Status::Stopped => 0,
            _ => self.record.process.as_ref().map_or(0, |process| process.pid),
        };
        let record = &self.record;
        let annotations = record.annotations.clone();
        Ok(crate::spec::State {
            rootfs: Some(record.rootfs.clone()),
            created: Some(record.created.clone()),
            owner: Some(String::new()),
            ..crate::spec::State::new(&record.id, status, Some(pid), &record.bundle, annotations)
        })
    }
}
