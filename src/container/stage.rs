//! Where a container is restored: a mount namespace of the runtime's own, in which CRIU finds the root file system as a
//! mount point, with all places that something is mounted on, and what it is to bind there.
//!
//! ```text
//! ROOT            a tmpfs over the state of all containers, which nobody in here needs
//!  ├── root       the root file system
//!  ├── null       the host's /dev/null, which hides files
//!  ├── 1          the first bind mount, with its attributes
//!  …
//! ```
//!
//! The attributes are set here, since CRIU (4.1) loses them where two mounts of one file system have the same: it would give
//! a container its read-only volumes writable. Nobody else sees these mounts, and they go with the last process in the
//! namespace: whatever becomes of us, the host keeps none. Root of a user namespace must find the way, hence the place and mode.

use crate::container::root::Root;
use crate::error::{Context, Error, Result};
use crate::host::mounts::{self, below};
use crate::launch::{binds, source_clone};
use crate::plan::Plan;
use crate::plan::checkpoint::NULL;
use crate::plan::mount_options::{Attributes, attribute};
use crate::plan::step::{Action, Bind, Kind, Step};
use crate::sys::mount::{self, DescriptorPath};
use crate::sys::namespace;
use crate::sys::procfs::Procfs;
use crate::sys::rootfs::{Missing, Rootfs, is_directory};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

const MOUNTS: u32 = libc::CLONE_NEWNS as u32;

/// The namespace, which we are in until [`Stage::leave`].
#[derive(Debug)]
pub struct Stage {
    /// Our own mount namespace and working directory.
    own: (OwnedFd, OwnedFd),
    path: PathBuf,
}

/// A bind mount of the plan.
struct Source<'a> {
    bind: Option<&'a Bind>,
    path: &'a CString,
    recursive: bool,
    attributes: Attributes,
    below: Attributes,
}

impl Stage {
    /// Enters a new mount namespace and makes the stage in it.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn enter(root: &Root) -> Result<Self> {
        let open = |path: &str| {
            rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                .context(|| path.to_owned())
        };
        let own = (open("/proc/self/ns/mnt")?, open(".")?);
        let stage = Self { own, path: root.path().to_owned() };
        namespace::unshare(MOUNTS).context(|| "make a mount namespace")?;
        let mounted = mount::set_propagation(c"/", libc::MS_SLAVE | libc::MS_REC).and_then(|()| {
            let path = CString::new(stage.path.as_os_str().as_bytes()).unwrap_or_default();
            mount::mount_old(Some(c"tmpfs"), &path, c"tmpfs", 0, Some(c"mode=711"))
        });
        match mounted.context(|| "the mounts for criu") {
            Ok(()) => Ok(stage),
            Err(error) => stage.leave().and(Err(error)),
        }
    }

    /// Where the root file system is.
    pub fn root(&self) -> PathBuf {
        self.path.join("root")
    }

    /// Makes the places of all mounts where they are missing, in the order in which `create` would, but none below a file
    /// system of the container's own, which CRIU fills; and puts up what is bound. By which name the images know it, and
    /// where it is.
    ///
    /// # Errors
    /// A place that cannot be made, a source that does not exist; each with its place in `config.json`.
    pub fn prepare(&self, plan: &Plan, rootfs: &str, procfs: &Procfs) -> Result<Vec<(String, String)>> {
        let rootfs = CString::new(rootfs).unwrap_or_default();
        let root = || binds::clone_tree(CWD, &rootfs, true).context(|| "root.path");
        let null = binds::clone_tree(CWD, c"/dev/null", false).context(|| NULL)?;
        let set = attribute::RDONLY | attribute::NOSUID | attribute::NOEXEC;
        let hidden = Attributes { set, ..Attributes::default() };
        binds::set_attributes(null.as_fd(), &hidden, false).context(|| NULL)?;
        self.put("null", null.as_fd())?;
        self.put("root", root()?.as_fd())?;
        let (mut names, mut filled) = (vec![("null".to_owned(), NULL.to_owned())], Vec::new());
        for step in &plan.steps {
            let Some((target, source)) = place_of(step) else { continue };
            let context = || step.to_string();
            let is_filled = |whole: &String| below(&target, whole).is_some_and(|rest| !rest.is_empty());
            let is_below = filled.iter().any(is_filled);
            let tree =
                source.as_ref().map(|source| source.tree(plan, procfs).context(context)).transpose()?;
            let mut name = target.clone();
            if !is_below {
                name = self.make_place(&target, tree.as_ref()).context(context)?;
            }
            let (Some(source), Some(tree)) = (source, tree) else {
                filled.push(target);
                continue;
            };
            binds::set_attributes(tree.as_fd(), &source.attributes.exactly(), false).context(context)?;
            binds::set_attributes(tree.as_fd(), &source.below, true).context(context)?;
            let number = names.len().to_string();
            self.put(&number, tree.as_fd()).context(context)?;
            names.push((number, name));
        }
        // What was mounted to make places, CRIU mounts itself.
        rustix::mount::unmount(self.root(), UnmountFlags::DETACH).context(|| "root.path: unmount")?;
        self.put("root", root()?.as_fd())?;
        self.name_all(&names)
    }

    /// Makes the place of a mount, as a directory or a file as its source is; what comes later may lie in the source, so
    /// that is mounted there. The place by its real path in the container.
    fn make_place(&self, target: &str, tree: Option<&OwnedFd>) -> Result<String> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = self.root();
        let rootfs = Rootfs::new(rustix::fs::openat(CWD, &root, flags, Mode::empty())?);
        let missing = match tree {
            Some(tree) if !is_directory(tree.as_fd())? => Missing::File,
            _ => Missing::Directory,
        };
        let place = rootfs.ensure(&CString::new(target).unwrap_or_default(), missing)?;
        let real = rustix::fs::readlink(DescriptorPath::new(&place).as_c_str(), Vec::new())?;
        if let Some(tree) = tree {
            let copy = binds::clone_tree(tree.as_fd(), c"", true)?;
            mount::attach(copy.as_fd(), place.as_fd())?;
        }
        let real = real.to_string_lossy().into_owned();
        Ok(below(&real, &root.to_string_lossy()).map_or(target.to_owned(), str::to_owned))
    }

    /// Puts a tree of mounts up under a name.
    fn put(&self, name: &str, tree: BorrowedFd<'_>) -> Result<()> {
        let path = self.path.join(name);
        let place = || -> Result<OwnedFd> {
            let mode = Mode::from_raw_mode(0o700);
            if is_directory(tree)? {
                let _there_already = rustix::fs::mkdir(&path, mode);
            } else {
                rustix::fs::openat(CWD, &path, OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC, mode)?;
            }
            Ok(rustix::fs::openat(CWD, &path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
        };
        let put = place().and_then(|place| Ok(mount::attach(tree, place.as_fd())?));
        put.context(|| path.display().to_string())
    }

    /// All that is mounted on the stage, also what came along with a tree: by its name, and where it is.
    fn name_all(&self, names: &[(String, String)]) -> Result<Vec<(String, String)>> {
        let text = std::fs::read_to_string("/proc/self/mountinfo").context(|| "/proc/self/mountinfo")?;
        let stage = self.path.to_string_lossy();
        let name = |mount: mounts::Mount| {
            let below_stage = below(&mount.point, &stage)?.strip_prefix('/')?;
            let (first, rest) = below_stage.split_at(below_stage.find('/').unwrap_or(below_stage.len()));
            let name = match names.iter().find(|(number, _)| number == first) {
                Some((_, name)) => format!("{name}{rest}"),
                None => rest.to_owned(),
            };
            (!name.is_empty()).then_some((name, mount.point))
        };
        Ok(mounts::parse(&text).into_iter().filter_map(name).collect())
    }

    /// Returns to where we were.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn leave(self) -> Result<()> {
        let (namespace, directory) = self.own;
        namespace::enter(namespace.as_fd(), MOUNTS).context(|| "return to the own mount namespace")?;
        rustix::process::fchdir(&directory).context(|| "return to the working directory")
    }
}

impl Source<'_> {
    /// A detached clone of it, its ids mapped where that is asked for.
    fn tree(&self, plan: &Plan, procfs: &Procfs) -> Result<OwnedFd> {
        let clone = self.bind.and_then(|bind| plan.source_clones.get(bind.clone?));
        match clone.filter(|clone| !clone.only_if_closed) {
            Some(mapped) => source_clone::clone(mapped, plan, &[], procfs),
            None => {
                let clone = |path| binds::clone_tree(CWD, path, self.recursive);
                let or_source = self.bind.and_then(|bind| bind.or_source.as_ref());
                let tree = match (clone(self.path), or_source) {
                    (Err(Errno::NOENT), Some(other)) => clone(other),
                    (tree, _) => tree,
                };
                tree.map_err(|errno| match errno {
                    Errno::NOENT => Error::new("the source does not exist"),
                    errno => Error::from(errno),
                })
            }
        }
    }
}

/// Where a step mounts something, as an absolute path in the container, and what if it is a bind mount.
fn place_of(step: &Step) -> Option<(String, Option<Source<'_>>)> {
    match &step.action {
        Action::Mount(mount) if !mount.target.is_empty() => {
            let source = match &mount.kind {
                Kind::Bind(bind) => Some(Source {
                    bind: Some(bind),
                    path: &bind.source,
                    recursive: bind.recursive,
                    attributes: mount.attributes,
                    below: mount.recursive,
                }),
                Kind::Filesystem(_) => None,
                Kind::Remount { .. } => return None,
            };
            Some((format!("/{}", mount.target.to_string_lossy()), source))
        }
        Action::Device(device) if device.bind => {
            let target = format!("/{}/{}", device.parent.to_string_lossy(), device.name.to_string_lossy());
            let (attributes, below) = (Attributes::default(), Attributes::default());
            let source = Source { bind: None, path: &device.host_path, recursive: false, attributes, below };
            Some((target, Some(source)))
        }
        _ => None,
    }
}
