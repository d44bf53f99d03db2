//! Volumes that are more than a directory: `volume create --opt type=tmpfs`. What their options say is mounted when a container starts, in
//! the mount namespace that its monitor holds, and ends with the last of these: nothing shows on the host, and nothing is left behind.
//!
//! ```text
//! first container ─▶ mount(2) in its own mounts          second ─▶ a clone of the first one's mount: both see the same memory
//! ```

use super::options::MountKind;
use super::record::{Container, held};
use super::root::in_mounts_of;
use super::{Containers, remove};
use crate::error::{Context, Error, Result};
use crate::store::disk;
use crate::volume::Volume;
use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MoveMountFlags, OpenTreeFlags, mount_bind, mount_remount, move_mount, open_tree,
};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// What the options of a volume mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meant {
    what: What,
    flags: MountFlags,
    /// The same, in words.
    words: Vec<String>,
    /// What the file system itself is told.
    data: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Memory,
    Directory(String),
    Device { kind: String, device: String },
}

impl Meant {
    /// Reads `type`, `device` and `o`; nothing if none of them was given.
    ///
    /// # Errors
    /// Names the key or the word that cannot be meant.
    pub fn read(options: &BTreeMap<String, String>) -> Result<Option<Self>> {
        if let Some(key) = options.keys().find(|key| !matches!(key.as_str(), "type" | "device" | "o")) {
            return Err(Error::new(format!("\"{key}\" is none of type, device, o")));
        }
        if options.is_empty() {
            return Ok(None);
        }
        let of = |key: &str| options.get(key).map(String::as_str).unwrap_or_default();
        let (mut flags, mut data, mut binds) = (MountFlags::empty(), Vec::new(), false);
        let mut words = Vec::new();
        for word in of("o").split(',').filter(|word| !word.is_empty()) {
            match (word, flag(word)) {
                ("bind" | "rbind", _) => binds = true,
                (word, Some((flag, on))) => {
                    flags.set(flag, on);
                    words.extend((!flag.is_empty()).then(|| word.to_owned()));
                }
                (word, None) => data.push(word),
            }
        }
        let device = of("device").to_owned();
        let needs = |what: &str| match device.as_str() {
            "" => Err(Error::new(format!("device: {what} needs one"))),
            _ => Ok(device.clone()),
        };
        let what = match of("type") {
            "tmpfs" => What::Memory,
            "" | "none" | "bind" if binds || of("type") == "bind" => {
                if let Some(word) = data.first() {
                    return Err(Error::new(format!("o: a directory that is bound has no option \"{word}\"")));
                }
                let device = needs("a directory that is bound")?;
                if !device.starts_with('/') {
                    return Err(Error::new(format!("device: \"{device}\" is not an absolute path")));
                }
                What::Directory(device)
            }
            "" => {
                return Err(Error::new(
                    "type: it is missing; such are tmpfs, ext4, nfs, or none with o=bind",
                ));
            }
            kind => What::Device { kind: kind.into(), device: needs(kind)? },
        };
        Ok(Some(Self { what, flags, words, data: data.join(",") }))
    }

    /// Mounts it.
    fn mount(&self, target: &Path) -> Result<()> {
        let data = CString::new(self.data.as_str()).map_err(|_| Error::new("o: a NUL is in it"))?;
        match &self.what {
            What::Memory => {
                let place = || format!("mount tmpfs ({})", self.data);
                rustix::mount::mount("tmpfs", target, "tmpfs", self.flags, data.as_c_str()).context(place)
            }
            What::Directory(path) => {
                mount_bind(path, target).context(|| format!("bind {path}"))?;
                let change = MountFlags::BIND | self.flags;
                match self.flags.is_empty() {
                    true => Ok(()),
                    false => mount_remount(target, change, c"").context(|| format!("bind {path}")),
                }
            }
            What::Device { kind, device } => {
                let place = || format!("mount {kind} {device} ({})", self.data);
                rustix::mount::mount(device, target, kind, self.flags, data.as_c_str()).context(place)
            }
        }
    }
}

/// A word of mount(8) that the kernel takes as a flag, and whether it is set or taken away.
fn flag(word: &str) -> Option<(MountFlags, bool)> {
    Some(match word {
        "ro" => (MountFlags::RDONLY, true),
        "rw" => (MountFlags::RDONLY, false),
        "nosuid" => (MountFlags::NOSUID, true),
        "suid" => (MountFlags::NOSUID, false),
        "nodev" => (MountFlags::NODEV, true),
        "dev" => (MountFlags::NODEV, false),
        "noexec" => (MountFlags::NOEXEC, true),
        "exec" => (MountFlags::NOEXEC, false),
        "noatime" => (MountFlags::NOATIME, true),
        "nodiratime" => (MountFlags::NODIRATIME, true),
        "relatime" => (MountFlags::RELATIME, true),
        "sync" => (MountFlags::SYNCHRONOUS, true),
        "defaults" | "copy" | "nocopy" => (MountFlags::empty(), true),
        _ => return None,
    })
}

/// A volume that is mounted for a container.
#[derive(Debug)]
pub struct Mounted {
    /// Where.
    pub path: PathBuf,
    /// What the mount in the container is to be, too.
    pub words: Vec<String>,
    /// Whether it is memory that no other container has.
    pub is_fresh: bool,
}

/// Mounts a volume for a container that is being started, at a place of its own; nothing for a plain directory. Whoever calls this holds the volume's lock until the container's monitor is there.
///
/// # Errors
/// Says what the kernel refused.
pub fn mount(
    containers: &Containers<'_>,
    container: &Container,
    volume: &Volume,
    index: usize,
) -> Result<Option<Mounted>> {
    let Some(meant) = Meant::read(&volume.record.options)? else { return Ok(None) };
    let target = place(container, index);
    disk::make_directory(&target)?;
    if meant.what == What::Memory {
        for other in remove::users(containers, &volume.name)? {
            if other.record.id != container.record.id
                && let Some(tree) = of_other(&other, &volume.name)?
            {
                let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
                move_mount(&tree, "", CWD, &target, flags).context(|| other.place())?;
                return Ok(Some(Mounted { path: target, words: meant.words, is_fresh: false }));
            }
        }
    }
    meant.mount(&target)?;
    let is_fresh = meant.what == What::Memory;
    Ok(Some(Mounted { path: target, words: meant.words, is_fresh }))
}

fn place(container: &Container, index: usize) -> PathBuf {
    container.run.join("mounts").join(index.to_string())
}

/// The mount of a volume that another container has, if one looks after that.
fn of_other(other: &Container, volume: &str) -> Result<Option<OwnedFd>> {
    let state = other.state()?;
    let index = other.record.options.mounts.iter().position(
        |mount| matches!(&mount.kind, MountKind::Volume(name) | MountKind::Anonymous(name) if name == volume),
    );
    let monitor = held(state.monitor, state.monitor_start, &state.boot)?;
    let (Some(index), Some(_held), true) = (index, monitor, other.is_monitored()) else { return Ok(None) };
    let path = place(other, index);
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let cloned = in_mounts_of(state.monitor, || open_tree(CWD, &path, flags));
    match cloned {
        // It has ended in this moment, and the memory with it.
        Err(_) | Ok(Err(_)) if !other.is_monitored() => Ok(None),
        cloned => cloned?.map(Some).context(|| other.place()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &[(&str, &str)]) -> Result<Option<Meant>> {
        let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Meant::read(&options)
    }

    #[test]
    fn options_mean_a_mount() {
        assert_eq!(read(&[]).expect("none"), None);
        let tmpfs = read(&[("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m,nodev,ro,rw")]);
        let words = ["nodev", "ro", "rw"].map(String::from).to_vec();
        let wanted = Meant { what: What::Memory, flags: MountFlags::NODEV, words, data: "size=1m".into() };
        assert_eq!(tmpfs.expect("memory"), Some(wanted));
        let bound = read(&[("type", "none"), ("device", "/d"), ("o", "bind,ro")]).expect("a directory");
        assert_eq!(bound.expect("one").what, What::Directory("/d".into()));
        let disk = read(&[("type", "ext4"), ("device", "/dev/x")]).expect("a device").expect("one");
        assert_eq!(disk.what, What::Device { kind: "ext4".into(), device: "/dev/x".into() });
        for (options, why) in [
            (&[("size", "1m")][..], "\"size\" is none of type, device, o"),
            (&[("o", "bind")], "device: a directory that is bound needs one"),
            (&[("type", "none"), ("o", "bind"), ("device", "d")], "device: \"d\" is not an absolute path"),
            (
                &[("type", "none"), ("o", "bind,size=1"), ("device", "/d")],
                "o: a directory that is bound has no option \"size=1\"",
            ),
            (&[("type", "ext4")], "device: ext4 needs one"),
            (&[("device", "/d")], "type: it is missing; such are tmpfs, ext4, nfs, or none with o=bind"),
        ] {
            assert_eq!(read(options).expect_err(why).to_string(), why);
        }
    }
}
