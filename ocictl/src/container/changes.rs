//! What a container has changed of what is below its layer: a walk of the overlay's upper directory.

use super::Containers;
use super::options::MountKind;
use super::record::Container;
use super::root::Root;
use super::start::{PrivateMounts, lower};
use crate::archive::write::is_whiteout;
use crate::error::{Context, Error, Result};
use crate::store::disk;
use crate::store::mount::overlay;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What the runtime makes as places to mount on; empty, it is no change of the program's.
const MOUNT_POINTS: [&str; 12] = [
    "/dev",
    "/dev/pts",
    "/dev/shm",
    "/dev/mqueue",
    "/proc",
    "/sys",
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/run/.containerenv",
    "/dev/console",
    "/sys/fs/cgroup",
];
const MAX_DEPTH: usize = 1000;

/// The changes, by path: `A` added, `C` changed, `D` deleted.
///
/// # Errors
/// Fails for a container whose root is a directory of the host, which has no layer.
pub fn of(containers: &Containers<'_>, container: &Container) -> Result<Vec<(char, String)>> {
    if container.record.options.rootfs.as_ref().is_some_and(|rootfs| !rootfs.overlay) {
        return Err(Error::new("its root is a directory of the host; changes are not kept apart")
            .context(container.place()));
    }
    let upper = container.directory.join("layer/upper");
    if std::fs::symlink_metadata(&upper).is_err() {
        return Ok(Vec::new());
    }
    let mut own: Vec<String> = MOUNT_POINTS.iter().map(|path| (*path).to_owned()).collect();
    own.extend(
        container
            .record
            .options
            .mounts
            .iter()
            .filter(|mount| mount.kind != MountKind::Overlay(String::new()))
            .map(|mount| mount.target.clone()),
    );
    let lower = lower(containers, container)?;
    let namespace = PrivateMounts::enter()?;
    let below = containers.runroot().join(format!("diff-{}", disk::random()));
    let walked = || -> Result<Vec<(char, String)>> {
        let root = match lower.as_slice() {
            [] => None,
            [only] => Some(Root::open(only)?),
            several => {
                disk::make_directory(&below)?;
                overlay(several, None, &below)?;
                Some(Root::open(&below)?)
            }
        };
        let mut found = Vec::new();
        walk(&disk::open_directory(&upper)?, "", &Below { root, own }, &mut found, 0)?;
        found.sort_by(|(_, one), (_, other)| one.cmp(other));
        Ok(found)
    };
    let walked = walked();
    let _not_mounted = rustix::mount::unmount(&below, rustix::mount::UnmountFlags::DETACH);
    disk::remove_tree(&below)?;
    namespace.leave()?;
    walked
}

struct Below {
    root: Option<Root>,
    own: Vec<String>,
}

impl Below {
    fn has(&self, path: &str) -> bool {
        self.root
            .as_ref()
            .is_some_and(|root| root.open_at(path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty()).is_ok())
    }
}

fn walk(
    folder: &OwnedFd,
    place: &str,
    below: &Below,
    found: &mut Vec<(char, String)>,
    depth: usize,
) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Error::new(format!("it is more than {MAX_DEPTH} directories deep")).context(place));
    }
    for entry in rustix::fs::Dir::read_from(folder)? {
        let entry = entry?;
        let name = std::ffi::OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        let path = format!("{place}/{}", name.to_string_lossy());
        let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if is_whiteout(&stat) {
            found.push(('D', path));
            continue;
        }
        let was_there = below.has(&path);
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let before = found.len();
        if is_directory {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let inner =
                rustix::fs::openat(folder, Path::new(name), flags, Mode::empty()).context(|| path.clone())?;
            walk(&inner, &path, below, found, depth + 1)?;
        }
        let empty = if is_directory { found.len() == before } else { stat.st_size == 0 };
        let leads_to_mount =
            is_directory && empty && below.own.iter().any(|own| own.starts_with(&format!("{path}/")));
        if empty && (below.own.contains(&path) || leads_to_mount) {
            continue;
        }
        found.push((if was_there { 'C' } else { 'A' }, path));
    }
    Ok(())
}
