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
use crate::store::mount::change_bind;
use crate::volume::Volume;
use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MoveMountFlags, OpenTreeFlags, mount_bind, mount_bind_recursive, move_mount, open_tree,
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
    /// Flags that are taken away.
    taken: MountFlags,
    /// Both, in words.
    words: Vec<String>,
    /// What the file system itself is told.
    data: String,
    /// Whether fresh memory is filled with what the image has there.
    copy_up: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Memory,
    Directory { path: String, recursive: bool },
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
        let (mut flags, mut taken) = (MountFlags::empty(), MountFlags::empty());
        let (mut data, mut binds, mut recursive, mut copy) = (Vec::new(), false, false, None);
        let mut words = Vec::new();
        for word in of("o").split(',').filter(|word| !word.is_empty()) {
            match (word, flag(word)) {
                ("bind" | "rbind", _) => (binds, recursive) = (true, word == "rbind"),
                ("copy" | "nocopy", _) => copy = Some(word == "copy"),
                (word, Some((flag, on))) => {
                    flags.set(flag, on);
                    taken.set(flag, !on);
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
                let sync = flags.contains(MountFlags::SYNCHRONOUS).then_some("sync");
                if let Some(word) = data.first().copied().or(sync) {
                    return Err(Error::new(format!("o: a directory that is bound has no option \"{word}\"")));
                }
                let device = needs("a directory that is bound")?;
                if !device.starts_with('/') {
                    return Err(Error::new(format!("device: \"{device}\" is not an absolute path")));
                }
                What::Directory { path: device, recursive }
            }
            "" => {
                return Err(Error::new(
                    "type: it is missing; such are tmpfs, ext4, nfs, or none with o=bind",
                ));
            }
            kind => What::Device { kind: kind.into(), device: needs(kind)? },
        };
        if what != What::Memory && copy == Some(true) {
            return Err(Error::new("o: copy: what the image has in its place fills memory alone"));
        }
        let copy_up = copy.unwrap_or(true);
        Ok(Some(Self { what, flags, taken, words, data: data.join(","), copy_up }))
    }

    /// Mounts it.
    fn mount(&self, target: &Path) -> Result<()> {
        let data = CString::new(self.data.as_str()).map_err(|_| Error::new("o: a NUL is in it"))?;
        match &self.what {
            What::Memory => {
                let place = || format!("mount tmpfs ({})", self.data);
                rustix::mount::mount("tmpfs", target, "tmpfs", self.flags, data.as_c_str()).context(place)
            }
            What::Directory { path, recursive } => {
                let bind = if *recursive { mount_bind_recursive } else { mount_bind };
                let place = || format!("bind {path}");
                bind(path, target).context(place)?;
                match self.flags.is_empty() {
                    true => Ok(()),
                    false => change_bind(target, self.flags, self.taken).context(place),
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
        "defaults" => (MountFlags::empty(), true),
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
    /// Whether it may be filled with what the image has there.
    pub copy_up: bool,
}

/// Mounts a volume for a container that is being started, at a place of its own; nothing for a plain directory. Whoever calls this holds the
/// volume's lock until the container's monitor is there, and mounts the container's volumes in their order.
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
    let mounted = |is_fresh| Mounted {
        path: target.clone(),
        words: meant.words.clone(),
        is_fresh,
        copy_up: meant.copy_up,
    };
    if meant.what == What::Memory {
        if let Some(first) = first_place(container, &volume.name).filter(|first| *first < index) {
            let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
            attach(&open_tree(CWD, place(container, first), flags)?, &target)?;
            return Ok(Some(mounted(false)));
        }
        for other in remove::users(containers, &volume.name)? {
            if other.record.id != container.record.id
                && let Some(tree) = of_other(&other, &volume.name)?
            {
                attach(&tree, &target).context(|| other.place())?;
                return Ok(Some(mounted(false)));
            }
        }
    }
    meant.mount(&target)?;
    Ok(Some(mounted(meant.what == What::Memory)))
}

fn place(container: &Container, index: usize) -> PathBuf {
    container.run.join("mounts").join(index.to_string())
}

fn attach(tree: &OwnedFd, target: &Path) -> Result<()> {
    Ok(move_mount(tree, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

/// Which of a container's mounts has a volume first.
fn first_place(container: &Container, volume: &str) -> Option<usize> {
    container.record.options.mounts.iter().position(
        |mount| matches!(&mount.kind, MountKind::Volume(name) | MountKind::Anonymous(name) if name == volume),
    )
}

/// The mount of a volume that another container has, if one looks after that.
fn of_other(other: &Container, volume: &str) -> Result<Option<OwnedFd>> {
    let state = other.state()?;
    let index = first_place(other, volume);
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
        let wanted = Meant {
            what: What::Memory,
            flags: MountFlags::NODEV,
            taken: MountFlags::RDONLY,
            words,
            data: "size=1m".into(),
            copy_up: true,
        };
        assert_eq!(tmpfs.expect("memory"), Some(wanted));
        let bound = read(&[("type", "none"), ("device", "/d"), ("o", "bind,ro")]).expect("a directory");
        assert_eq!(bound.expect("one").what, What::Directory { path: "/d".into(), recursive: false });
        let tree = read(&[("type", "none"), ("device", "/d"), ("o", "rbind,nocopy")]).expect("a directory");
        assert_eq!(tree.expect("one").what, What::Directory { path: "/d".into(), recursive: true });
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
            (
                &[("type", "none"), ("o", "bind,sync"), ("device", "/d")],
                "o: a directory that is bound has no option \"sync\"",
            ),
            (
                &[("type", "none"), ("o", "bind,copy"), ("device", "/d")],
                "o: copy: what the image has in its place fills memory alone",
            ),
            (&[("type", "ext4")], "device: ext4 needs one"),
            (&[("device", "/d")], "type: it is missing; such are tmpfs, ext4, nfs, or none with o=bind"),
        ] {
            assert_eq!(read(options).expect_err(why).to_string(), why);
        }
    }
}
