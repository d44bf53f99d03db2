//! What is mounted over a container's root, on the host's side: volumes are made and filled, overlays mounted.

use super::copying::{self, Owner, Rules};
use super::ids::Ids;
use super::options::{Mount, MountKind, is_shared};
use super::record::Container;
use super::root::Root;
use super::rootfs::{put_together, writable};
use super::spec::Source;
use super::spec::users::Identity;
use super::{Containers, mounted_volumes, shifted};
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::store::disk;
use crate::store::lock::Lock;
use crate::store::mount::overlay;
use crate::volume::Volumes;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags, statx};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The host paths of the mounts, in their order; volumes are made and filled, overlays mounted.
///
/// # Errors
/// Names the mount.
pub fn sources(
    containers: &Containers<'_>,
    container: &Container,
    root: &Root,
    identity: &Identity,
    shared: &Shared,
) -> Result<Vec<Source>> {
    let volumes = Volumes::open(containers.store)?;
    let ids = container.record.options.ids.as_ref();
    let outside =
        ids.map_or((identity.uid, identity.gid), |ids| ids.owner_outside(identity.uid, identity.gid));
    let mut sources = Vec::new();
    for (index, mount) in container.record.options.mounts.iter().enumerate() {
        let place = || format!("mount on {}", mount.target);
        let source: Source = match &mount.kind {
            MountKind::Tmpfs => Source::default(),
            MountKind::Bind(_) if shared.contains_key(&index) => {
                let target = container.run.join("mounts").join(index.to_string());
                disk::make_directory(&target)?;
                let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
                move_mount(&shared[&index], "", CWD, &target, flags).context(place)?;
                text(&target)?.into()
            }
            MountKind::Image(_, used) => {
                let layers = used.as_ref().map(|used| used.layers.as_slice()).unwrap_or_default();
                text(&image(containers, container, index, layers, mount).context(place)?)?.into()
            }
            MountKind::Bind(path) => {
                std::fs::symlink_metadata(path)
                    .context(|| path.clone())
                    .context(place)
                    .map_err(|error| error.exit_code(125))?;
                path.clone().into()
            }
            MountKind::Volume(name) | MountKind::Anonymous(name) => {
                let wanted = Wanted { containers, container, root, mount, index };
                wanted.source(&volumes, name).context(|| format!("volume {name}"))?
            }
            MountKind::Overlay(path) => {
                let target = container.run.join("mounts").join(index.to_string());
                disk::make_directory(&target)?;
                let layer = container.directory.join("overlays").join(index.to_string());
                let lower = [PathBuf::from(path)];
                overlay(&lower, Some(&writable(&layer, &lower, &container.run)?), &target).context(place)?;
                text(&target)?.into()
            }
        };
        if mount.options.iter().any(|word| word == "U") && !source.path.is_empty() {
            give(Path::new(&source.path), outside).context(|| format!("{}: U", mount.target))?;
        }
        sources.push(source);
    }
    Ok(sources)
}

/// A volume that a container is to have.
struct Wanted<'a> {
    containers: &'a Containers<'a>,
    container: &'a Container,
    root: &'a Root,
    mount: &'a Mount,
    index: usize,
}

impl Wanted<'_> {
    /// Makes, mounts and fills it, as far as that was not done before.
    fn source(&self, volumes: &Volumes, name: &str) -> Result<Source> {
        let Self { containers, container, root, mount, index } = *self;
        let ids = container.record.options.ids.as_ref();
        let volume = volumes.ensure(name, mount.kind.is_anonymous())?;
        let mounted = mounted_volumes::mount(containers, container, &volume, index)?;
        // One that is shown with mapped ids has them as they are in the container.
        let is_mapped = mount.options.iter().any(|word| word == "idmap");
        let copy_up = mount.copy_up && mounted.as_ref().is_none_or(|mounted| mounted.copy_up);
        let from = (copy_up && !(is_mapped && ids.is_some())).then_some(root);
        let owner = ids.filter(|_| !is_mapped).map_or((0, 0), Ids::root);
        match &mounted {
            Some(mounted) if mounted.is_fresh => fill_memory(&mounted.path, from, &mount.target, owner)?,
            None if !volume.record.used => fill(volumes, name, from, &mount.target, owner)?,
            _ => {}
        }
        let (data, words) =
            mounted.map_or_else(|| (volume.data(), Vec::new()), |mounted| (mounted.path, mounted.words));
        let path = match mount.subpath.as_str() {
            "" => text(&data)?,
            path => part(&data, path)?,
        };
        Ok(Source { path, words })
    }
}

/// Directories of the host that a container shares its mounts with, by the number of the mount.
pub type Shared = BTreeMap<usize, OwnedFd>;

/// Takes hold of them as they are in the host's mount namespace: there, what is mounted in them is seen.
///
/// # Errors
/// Names the one whose mount is not shared on the host either.
pub fn shared(container: &Container) -> Result<Shared> {
    let mut trees = BTreeMap::new();
    for (index, mount) in container.record.options.mounts.iter().enumerate() {
        let MountKind::Bind(path) = &mount.kind else { continue };
        let Some(word) = mount.options.iter().find(|word| is_shared(word)) else { continue };
        let place = || format!("mount on {}: {word}: {path}", mount.target);
        let flags =
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
        if !is_on_shared_mount(Path::new(path)).context(place)? {
            return Err(Error::new("it is not on a shared mount of the host").context(place()));
        }
        trees.insert(index, open_tree(CWD, path.as_str(), flags).context(place)?);
    }
    Ok(trees)
}

/// Whether the mount that a path lies on has peers (proc_pid_mountinfo(5), `shared:`).
fn is_on_shared_mount(path: &Path) -> Result<bool> {
    let stat = statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID)?;
    let table = std::fs::read_to_string("/proc/self/mountinfo")?;
    Ok(table.lines().any(|line| {
        let mut fields = line.split(' ');
        let is_it = fields.next().and_then(|id| id.parse().ok()) == Some(stat.stx_mnt_id);
        is_it && fields.skip(5).take_while(|field| *field != "-").any(|field| field.starts_with("shared:"))
    }))
}

/// Mounts an image; where. Only with `rw` there is a layer for changes, which goes with the container.
fn image(
    containers: &Containers<'_>,
    container: &Container,
    index: usize,
    layers: &[Digest],
    mount: &Mount,
) -> Result<PathBuf> {
    let target = container.run.join("mounts").join(index.to_string());
    disk::make_directory(&target)?;
    let ids = container.record.options.ids.as_ref();
    let mut lower = shifted::lower_directories(containers.store, layers, ids)?;
    let layer = container.directory.join("overlays").join(index.to_string());
    let layer = mount.options.iter().any(|word| word == "rw").then_some(layer.as_path());
    if layer.is_none() {
        // overlayfs wants two directories where nothing is written.
        let empty = container.run.join("empty");
        disk::make_directory(&empty)?;
        lower.insert(0, empty);
    }
    put_together(container, lower, layer, &target)?;
    Ok(target)
}

/// A directory or file in a volume, whose symlinks lead nowhere outside of it.
fn part(data: &Path, path: &str) -> Result<String> {
    let place = || format!("subpath {path}");
    let found = Root::open(data)?.open_at(path, OFlags::PATH, Mode::empty()).context(place)?;
    let path = std::fs::read_link(format!("/proc/self/fd/{}", found.as_raw_fd())).context(place)?;
    text(&path)
}

/// Makes all in a tree the program's user's.
fn give(source: &Path, (uid, gid): (u32, u32)) -> Result<()> {
    /// Nobody means these: a machine whose own directories belong to another does not boot any more.
    const SYSTEM: [&str; 16] = [
        "/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/proc", "/root", "/run", "/sbin",
        "/sys", "/usr", "/var", "/var/lib",
    ];
    let real = std::fs::canonicalize(source).context(|| source.display().to_string())?;
    if SYSTEM.iter().any(|path| real == Path::new(path)) {
        return Err(Error::new(format!("{} is the machine's own, and stays so", real.display())));
    }
    copying::give(&real, uid, gid)
}

/// The locks of the container's volumes that have to be mounted, in the order of their names; held until its monitor is there, so that
/// others find the mounts.
///
/// # Errors
/// Fails if a volume cannot be read.
pub fn locks(containers: &Containers<'_>, container: &Container) -> Result<Vec<Lock>> {
    let volumes = Volumes::open(containers.store)?;
    let mut names: Vec<&String> = Vec::new();
    for mount in &container.record.options.mounts {
        if let MountKind::Volume(name) | MountKind::Anonymous(name) = &mount.kind
            && volumes.get(name)?.is_some_and(|volume| !volume.record.options.is_empty())
        {
            names.push(name);
        }
    }
    names.sort();
    names.dedup();
    let locks = names.into_iter().filter_map(|name| volumes.get(name).transpose());
    locks.map(|volume| volume?.lock()).collect()
}

/// Fills fresh memory with what the image has in its place.
fn fill_memory(path: &Path, root: Option<&Root>, target: &str, owner: (u32, u32)) -> Result<()> {
    match what_is_there(root, target) {
        Some(source) => copying::fill(&source, &disk::open_directory(path)?, Rules::all(Owner::Keep)),
        None if owner != (0, 0) => Ok(std::os::unix::fs::chown(path, Some(owner.0), Some(owner.1))?),
        None => Ok(()),
    }
}

fn what_is_there(root: Option<&Root>, target: &str) -> Option<OwnedFd> {
    let root = root.filter(|root| root.is_directory(target) == Some(true))?;
    root.open_at(target, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).ok()
}

/// Fills a volume that is used for the first time with what the image has in its place; where it has nothing, the volume is `owner`'s.
fn fill(volumes: &Volumes, name: &str, root: Option<&Root>, target: &str, owner: (u32, u32)) -> Result<()> {
    let Some(volume) = volumes.get(name)? else { return Err(Error::new("it was removed in this moment")) };
    let _guard = volume.lock()?;
    let Some(mut volume) = volumes.get(name)?.filter(|volume| !volume.record.used) else { return Ok(()) };
    let is_empty = std::fs::read_dir(volume.data())?.next().is_none();
    match what_is_there(root.filter(|_| is_empty), target) {
        Some(source) => {
            let aside = volume.aside()?;
            copying::fill(&source, &disk::open_directory(&aside)?, Rules::all(Owner::Keep))?;
            volume.settle(Some(&aside))
        }
        None => {
            if is_empty && owner != (0, 0) {
                std::os::unix::fs::chown(volume.data(), Some(owner.0), Some(owner.1))?;
            }
            volume.settle(None)
        }
    }
}

/// A path as JSON takes it.
///
/// # Errors
/// Fails for one that is not UTF-8.
pub fn text(path: &Path) -> Result<String> {
    path.to_str().map(String::from).ok_or_else(|| Error::new(format!("\"{}\" is not UTF-8", path.display())))
}
