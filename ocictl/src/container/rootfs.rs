//! The root of a container: the overlay of its image's layers, or of a directory, with the layer that takes its changes.
//!
//! **A patchwork.** Without root, overlayfs refuses a directory below which something is mounted: in the user's mount namespace these mounts
//! are locked, and what they hide must stay hidden. Then the root is memory, in which each directory that hides nothing is an
//! overlay of its own. As in one overlay of the whole, what is mounted below is not there: its place is empty.

use super::copying::{self, Owner, Rules};
use super::idmap::Mapped;
use super::record::Container;
use crate::error::{Context, Error, Result};
use crate::rootless::in_user_namespace;
use crate::store::disk;
use crate::store::mount::{Writable, change_bind, mount_points, overlay};
use rustix::fs::Access;
use rustix::mount::{MountFlags, mount_bind};
use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Files of a patchwork that are no larger are copied; others are there read-only.
const COPIED_BYTES: u64 = 1 << 20;

/// Mounts the root; where it is.
///
/// # Errors
/// Names the directory, and says what the kernel refused.
pub fn mount_root(container: &Container, lower: &[PathBuf]) -> Result<PathBuf> {
    let rootfs = container.record.options.rootfs.as_ref();
    let lower = match rootfs {
        Some(rootfs) if !rootfs.overlay => {
            let path = PathBuf::from(&rootfs.path);
            return match std::fs::metadata(&path).context(|| format!("rootfs {}", rootfs.path))?.is_dir() {
                true => Ok(path),
                false => Err(Error::new("it is no directory").context(format!("rootfs {}", rootfs.path))),
            };
        }
        _ => lower.to_vec(),
    };
    let target = container.run.join("rootfs");
    disk::make_directory(&target)?;
    if let (Some(rootfs), true) = (rootfs, in_user_namespace()) {
        let points = mounted_below(Path::new(&rootfs.path))?;
        if !points.is_empty() {
            memory(&target, c"mode=755").context(|| container.place())?;
            let scratch = container.run.join("scratch");
            disk::make_directory(&scratch)?;
            memory(&scratch, c"mode=700").context(|| container.place())?;
            Patchwork { points, scratch, pieces: 0 }
                .sew(Path::new(&rootfs.path), &target)
                .context(|| format!("rootfs {}", rootfs.path))?;
            return Ok(target);
        }
    }
    let empty = container.run.join("empty");
    let lower = match lower.is_empty() {
        // An image of no layers (`FROM scratch`).
        true => {
            disk::make_directory(&empty)?;
            vec![empty]
        }
        false => lower,
    };
    let layer = place_of_changes(&container.directory.join("layer"), &lower, &container.run)?;
    put_together(container, lower, Some(&layer), &target).context(|| container.place())?;
    Ok(target)
}

/// Mounts an overlay of layers as the container sees them; `layer` takes the changes, and without one there are none.
///
/// # Errors
/// Says what the kernel refused.
pub fn put_together(
    container: &Container,
    lower: Vec<PathBuf>,
    layer: Option<&Path>,
    target: &Path,
) -> Result<()> {
    let ids = container.record.options.ids.as_ref().filter(|_| !in_user_namespace());
    let mut mapped = ids.map(|ids| Mapped::new(ids, container.run.join("mapped"))).transpose()?;
    let lower = match &mut mapped {
        // Without root the layers are mapped already (`shifted`). What is changed has the ids of outside.
        Some(mapped) => lower.iter().map(|path| mapped.show(path)).collect::<Result<Vec<_>>>()?,
        None => lower,
    };
    let writable = layer.map(|layer| writable_at(layer, &lower)).transpose()?;
    overlay(&lower, writable.as_ref(), target)
}

fn memory(target: &Path, options: &std::ffi::CStr) -> Result<()> {
    rustix::mount::mount("tmpfs", target, "tmpfs", MountFlags::empty(), options)
        .context(|| format!("mount {}", target.display()))
}

/// Where changes of an overlay go that is not mapped.
///
/// # Errors
/// As [`place_of_changes`].
pub fn writable(layer: &Path, lower: &[PathBuf], run: &Path) -> Result<Writable> {
    writable_at(&place_of_changes(layer, lower, run)?, lower)
}

/// Where changes go: below the container's directory; in memory where that lies in the very tree that is below it, which overlayfs
/// refuses.
///
/// # Errors
/// Names the directory that cannot be made.
fn place_of_changes(layer: &Path, lower: &[PathBuf], run: &Path) -> Result<PathBuf> {
    if !lower.iter().any(|path| layer.starts_with(path) && same_file_system(path, layer)) {
        return Ok(layer.to_owned());
    }
    let layer = run.join("scratch");
    disk::make_directory(&layer)?;
    memory(&layer, c"mode=700")?;
    Ok(layer)
}

/// The directories of changes in `layer`; new ones show what the topmost of `lower` does.
///
/// # Errors
/// Names the directory that cannot be made.
pub fn writable_at(layer: &Path, lower: &[PathBuf]) -> Result<Writable> {
    let writable = Writable { upper: layer.join("upper"), work: layer.join("work") };
    if std::fs::symlink_metadata(&writable.upper).is_err() {
        disk::make_directory(&writable.upper)?;
        // The root is the program's: it may run as anybody.
        std::fs::set_permissions(&writable.upper, Permissions::from_mode(0o755))?;
        if let Some(top) = lower.last() {
            like(top, &writable.upper)?;
        }
    }
    disk::make_directory(&writable.work)?;
    Ok(writable)
}

/// The upper directory is what the root shows: owner and mode of the topmost layer's.
fn like(lower: &Path, upper: &Path) -> Result<()> {
    let metadata = std::fs::metadata(lower).context(|| format!("look at {}", lower.display()))?;
    match std::os::unix::fs::chown(upper, Some(metadata.uid()), Some(metadata.gid())) {
        // Without root, the owner of a directory of the host may be nobody whom we know.
        Err(error) if !matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EPERM)) => {
            return Err(error.into());
        }
        _ => {}
    }
    Ok(std::fs::set_permissions(upper, metadata.permissions())?)
}

fn same_file_system(one: &Path, other: &Path) -> bool {
    let device = |path: &Path| {
        path.ancestors().find_map(|path| std::fs::metadata(path).ok()).map(|metadata| metadata.dev())
    };
    device(one) == device(other)
}

/// The places below a directory on which something is mounted (proc_pid_mountinfo(5)).
fn mounted_below(directory: &Path) -> Result<BTreeSet<PathBuf>> {
    let directory = std::fs::canonicalize(directory).context(|| format!("rootfs {}", directory.display()))?;
    let points = mount_points()?.into_iter();
    Ok(points.filter(|point| point.starts_with(&directory) && *point != directory).collect())
}

struct Patchwork {
    points: BTreeSet<PathBuf>,
    scratch: PathBuf,
    pieces: usize,
}

impl Patchwork {
    /// Shows in `into` what is in the directory `lower`.
    fn sew(&mut self, lower: &Path, into: &Path) -> Result<()> {
        for entry in std::fs::read_dir(lower).context(|| format!("list {}", lower.display()))? {
            let entry = entry?;
            let (from, to) = (entry.path(), into.join(entry.file_name()));
            let place = || from.display().to_string();
            let metadata = entry.metadata().context(place)?;
            let kind = metadata.file_type();
            let is_point = self.points.contains(&from);
            if kind.is_dir() {
                std::fs::create_dir(&to).context(place)?;
                if !is_point && !self.points.iter().any(|point| point.starts_with(&from)) {
                    self.piece(&from, &to).context(place)?;
                    continue;
                }
                // What the user may not look into is empty to him.
                if !is_point && rustix::fs::access(&from, Access::READ_OK | Access::EXEC_OK).is_ok() {
                    self.sew(&from, &to)?;
                }
                std::fs::set_permissions(&to, metadata.permissions()).context(place)?;
            } else if kind.is_symlink() {
                symlink(std::fs::read_link(&from).context(place)?, &to).context(place)?;
            } else if kind.is_file() {
                let shown = if is_point { None } else { Some(metadata.len()) };
                file(&from, &to, shown).context(place)?;
            }
        }
        Ok(())
    }

    fn piece(&mut self, from: &Path, to: &Path) -> Result<()> {
        self.pieces += 1;
        let lower = [from.to_owned()];
        let writable = writable_at(&self.scratch.join(self.pieces.to_string()), &lower)?;
        overlay(&lower, Some(&writable), to)
    }
}

/// A file of so many bytes, or what stands for one that is hidden.
fn file(from: &Path, to: &Path, bytes: Option<u64>) -> Result<()> {
    let readable = rustix::fs::access(from, Access::READ_OK).is_ok();
    match bytes.filter(|_| readable) {
        Some(bytes) if bytes <= COPIED_BYTES => {
            let open = |path: Option<&Path>| disk::open_directory(path.unwrap_or(Path::new("/")));
            let name = |path: &Path| PathBuf::from(path.file_name().unwrap_or_default());
            let (source, target) = (open(from.parent())?, open(to.parent())?);
            copying::copy(&source, &name(from), &target, &name(to), Rules::all(Owner::Set(0, 0)))
        }
        Some(_) => {
            disk::create(to)?;
            mount_bind(from, to)?;
            change_bind(to, MountFlags::RDONLY, MountFlags::empty())
        }
        None => {
            disk::create(to)?;
            let mode = if bytes.is_some() { 0 } else { 0o644 };
            Ok(std::fs::set_permissions(to, Permissions::from_mode(mode))?)
        }
    }
}
