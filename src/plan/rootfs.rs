//! The container's view of the file tree: the root file system, its mounts, `/dev`, and the way in.
//!
//! config.md, "Root" and "Mounts"; config-linux.md, "Default Devices", "Rootfs Mount Propagation"; pivot_root(2).

use crate::error::{Error, Result};
use crate::plan::mounts::{self, Context};
use crate::plan::namespaces::Namespaces;
use crate::plan::step::{Action, Attach, Device, Step, Symlink};
use crate::plan::step::{Mount, SourceClone};
use crate::plan::{Options, Place, cgroup_mounts, notify, process};
use crate::spec::linux::Propagation::{self, Private, RPrivate};
use crate::spec::linux::{DeviceKind, NamespaceKind};
use crate::spec::{self, Spec};
use std::ffi::CString;

/// Default devices (config-linux.md): name, major, minor.
const DEFAULT_DEVICES: &[(&str, u32, u32)] =
    &[("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// Default symlinks of `/dev` (runtime-linux.md).
const LINKS: &[(&str, &str)] = &[
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// The parts that the decisions on the tree look at.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The whole configuration.
    pub spec: &'a Spec,
    /// The caller's wishes.
    pub options: &'a Options<'a>,
    /// How init reaches its namespaces.
    pub namespaces: &'a Namespaces,
    /// The context of every mount.
    pub context: Context<'a>,
}

impl Parts<'_> {
    /// Where init is born: in the root file system, if a directory above it may be closed to init. In a mount namespace of its own the
    /// working directory is the same place of its own tree.
    ///
    /// # Errors
    /// A NUL byte in the path.
    pub fn birthplace(&self) -> Result<Option<CString>> {
        let separates =
            self.namespaces.separates(NamespaceKind::User) && self.namespaces.creates(NamespaceKind::Mount);
        separates.then(|| self.root_path()).transpose()
    }

    /// The steps up to the hooks: the tree stands below the root file system, nothing is entered yet.
    ///
    /// # Errors
    /// What [`Mount::decide`] refuses, and mounts that root of a user namespace cannot make, for want of a mount namespace.
    pub fn build(&self, clones: &mut Vec<SourceClone>) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        match (self.namespaces.separates(NamespaceKind::Mount), self.first_mount()) {
            (true, _) => self.attach_root(&mut steps)?,
            (false, first) => {
                let attach = if first.is_some() { Attach::PrivateClone } else { Attach::Nothing };
                if let Some(place) = first.filter(|_| self.namespaces.separates(NamespaceKind::User)) {
                    return Err(Error::new(format!("{place}: needs a mount namespace")));
                }
                let root = Action::Rootfs { path: self.root_path()?, attach };
                steps.push(Step::of(Place::property("root.path"), root));
                if attach == Attach::Nothing {
                    return Ok(steps);
                }
            }
        }
        for (index, mount) in self.spec.mounts.iter().enumerate() {
            let place = Place::element("mounts", index);
            if mount.type_.as_deref() == Some("cgroup") && !is_bind(mount) {
                cgroup_mounts::expand(&mut steps, mount, &place, &self.context)?;
            } else {
                let mount = Mount::decide(mount, &place, &self.context, clones)?;
                steps.push(Step::of(place, Action::Mount(Box::new(mount))));
            }
        }
        if let Some(directory) = &self.options.notify {
            steps.push(notify::mount(directory, self.namespaces, self.context.host, clones)?);
        }
        if !mounts::binds_dev(&self.spec.mounts) {
            self.devices(&mut steps)?;
            self.links(&mut steps);
        }
        if let Some(process) = self.spec.process.as_ref().filter(|process| process.terminal) {
            steps.push(process::console(process, true));
        }
        Ok(steps)
    }

    /// The steps after the hooks: what is hidden, and the way in.
    ///
    /// # Errors
    /// A NUL byte in a path; `--no-pivot` with a propagation that only pivot_root can give.
    pub fn enter(&self) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        if let Some(process) = &self.spec.process {
            let cwd = mounts::c_string(&mounts::target_of(&process.cwd), &Place::property("process"), "cwd")?;
            if !cwd.is_empty() {
                steps.push(Step::of(Place::property("process.cwd"), Action::Directory(cwd)));
            }
        }
        if !self.namespaces.separates(NamespaceKind::Mount) {
            if self.spec.root.readonly {
                steps.push(Step::of(Place::property("root.readonly"), Action::ReadonlyRoot));
            }
            steps.push(Step::own(Action::Chroot));
            return Ok(steps);
        }
        let linux = &self.spec.linux;
        for (index, path) in linux.readonly_paths.iter().enumerate() {
            let place = Place::element("linux.readonlyPaths", index);
            let target = mounts::c_string(&mounts::target_of(path), &place, "")?;
            // What covers the root is not what is entered: there the root itself is made read-only.
            let action = if target.is_empty() { Action::ReadonlyRoot } else { Action::ReadonlyPath(target) };
            steps.push(Step::of(place, action));
        }
        for (index, path) in linux.masked_paths.iter().enumerate() {
            let place = Place::element("linux.maskedPaths", index);
            let target = mounts::c_string(&mounts::target_of(path), &place, "")?;
            if target.is_empty() {
                return Err(Error::new(format!("{place}: the root itself cannot be masked")));
            }
            steps.push(Step::of(place, Action::Mask(target)));
        }
        if self.spec.root.readonly {
            steps.push(Step::of(Place::property("root.readonly"), Action::ReadonlyRoot));
        }
        if self.namespaces.joins(NamespaceKind::Mount) {
            // To pivot would take the root away from everybody else in that namespace.
            steps.push(Step::own(Action::Chroot));
            return Ok(steps);
        }
        if self.options.no_pivot && matches!(linux.rootfs_propagation, Some(Private | RPrivate)) {
            // The old root stays reachable below; private, it would keep the host's file systems busy for ever.
            let problem = "private is not safe without pivot_root, leave --no-pivot out";
            return Err(Error::new(problem).context("linux.rootfsPropagation"));
        }
        steps.push(Step::own(if self.options.no_pivot { Action::MoveRoot } else { Action::Pivot }));
        // Slave and private were given to the whole tree before; these two cannot be had before the pivot. The mounts
        // below have the propagation of their own options.
        if let Some(propagation) = linux.rootfs_propagation {
            let flags = propagation_flags(propagation) & !libc::MS_REC;
            if matches!(flags, libc::MS_SHARED | libc::MS_UNBINDABLE) {
                let action = Action::RootPropagation(flags);
                steps.push(Step::of(Place::property("linux.rootfsPropagation"), action));
            }
        }
        Ok(steps)
    }

    /// The first thing that is mounted, or changes a mount: in an inherited mount namespace it needs a clone of the root to
    /// stand on, which is taken down with the container.
    fn first_mount(&self) -> Option<Place> {
        if !self.spec.mounts.is_empty() {
            return Some(Place::element("mounts", 0));
        }
        if self.spec.root.readonly {
            return Some(Place::property("root.readonly"));
        }
        let terminal = self.spec.process.as_ref().is_some_and(|process| process.terminal);
        terminal.then(|| Place::property("process.terminal"))
    }

    /// Cuts the tree off from the host's, and puts the root file system on itself so that it can become `/`.
    fn attach_root(&self, steps: &mut Vec<Step>) -> Result<()> {
        let place = Place::property("linux.rootfsPropagation");
        let path = self.root_path()?;
        if self.namespaces.joins(NamespaceKind::Mount) {
            // The tree is others', too: it keeps its propagation.
            steps
                .push(Step::of(Place::property("root.path"), Action::Rootfs { path, attach: Attach::Clone }));
            return Ok(());
        }
        match self.spec.linux.rootfs_propagation {
            // A shared root must stay in the host's peer group, or what the container mounts would not be seen there.
            Some(Propagation::Shared | Propagation::RShared) => {
                steps.push(Step::of(place, Action::PrivateParent(path.clone())));
            }
            Some(Propagation::Private | Propagation::RPrivate) => {
                steps.push(Step::of(place, Action::HostPropagation(libc::MS_PRIVATE | libc::MS_REC)));
            }
            _ => steps.push(Step::own(Action::HostPropagation(libc::MS_SLAVE | libc::MS_REC))),
        }
        steps.push(Step::of(Place::property("root.path"), Action::Rootfs { path, attach: Attach::Clone }));
        Ok(())
    }

    fn root_path(&self) -> Result<CString> {
        let path = mounts::rootfs_path(self.options.bundle, &self.spec.root.path);
        mounts::c_string(&path.to_string_lossy(), &Place::property("root"), "path")
    }

    /// The default devices, each replaced by an entry of `linux.devices` with its path, then the other entries.
    fn devices(&self, steps: &mut Vec<Step>) -> Result<()> {
        let listed = &self.spec.linux.devices;
        let bind = self.namespaces.separates(NamespaceKind::User);
        for (name, major, minor) in DEFAULT_DEVICES {
            if listed.iter().any(|device| mounts::target_of(&device.path) == format!("dev/{name}")) {
                continue;
            }
            let device = Device {
                parent: c"dev".to_owned(),
                name: CString::new(*name).unwrap_or_default(),
                mode: libc::S_IFCHR | 0o666,
                device: (*major, *minor),
                owner: (0, 0),
                host_path: CString::new(format!("/dev/{name}")).unwrap_or_default(),
                bind,
            };
            steps.push(Step::own(Action::Device(device)));
        }
        for (index, device) in listed.iter().enumerate() {
            let place = Place::element("linux.devices", index);
            let device = listed_device(device, &place, bind)?;
            if device.name.as_bytes() == b"ptmx" && device.parent.as_c_str() == c"dev" {
                continue;
            }
            steps.push(Step::of(place, Action::Device(device)));
        }
        Ok(())
    }

    fn links(&self, steps: &mut Vec<Step>) {
        let link = |name: &str, target: &str, replace| {
            Step::own(Action::Symlink(Symlink {
                parent: c"dev".to_owned(),
                name: CString::new(name).unwrap_or_default(),
                target: CString::new(target).unwrap_or_default(),
                replace,
            }))
        };
        steps.extend(LINKS.iter().map(|(name, target)| link(name, target, false)));
        if self.context.host.has_kcore {
            steps.push(link("core", "/proc/kcore", false));
        }
        steps.push(link("ptmx", "pts/ptmx", true));
    }
}

fn is_bind(mount: &spec::Mount) -> bool {
    mount.options.iter().any(|word| word == "bind" || word == "rbind")
}

fn listed_device(device: &spec::Device, place: &Place, bind: bool) -> Result<Device> {
    let target = mounts::target_of(&device.path);
    let (parent, name) = target.rsplit_once('/').unwrap_or(("", &target));
    if name.is_empty() {
        return Err(Error::new(format!("{place}.path: {:?} names no file", device.path)));
    }
    let kind = match device.kind {
        DeviceKind::Char | DeviceKind::Unbuffered => libc::S_IFCHR,
        DeviceKind::Block => libc::S_IFBLK,
        DeviceKind::Fifo => libc::S_IFIFO,
    };
    let number = |value: Option<i64>, what: &str| {
        let Some(value) = value.filter(|_| device.kind != DeviceKind::Fifo) else { return Ok(0) };
        u32::try_from(value).map_err(|_| Error::new(format!("{place}.{what}: {value} is no device number")))
    };
    Ok(Device {
        parent: mounts::c_string(parent, place, "path")?,
        name: mounts::c_string(name, place, "path")?,
        mode: kind | device.file_mode.map_or(0o666, |mode| mode & 0o7777),
        device: (number(device.major, "major")?, number(device.minor, "minor")?),
        owner: (device.uid, device.gid),
        host_path: mounts::c_string(&device.path, place, "path")?,
        bind: bind && device.kind != DeviceKind::Fifo,
    })
}

/// The `MS_*` flags of a propagation.
pub fn propagation_flags(propagation: Propagation) -> u64 {
    match propagation {
        Propagation::Shared => libc::MS_SHARED,
        Propagation::Slave => libc::MS_SLAVE,
        Propagation::Private => libc::MS_PRIVATE,
        Propagation::Unbindable => libc::MS_UNBINDABLE,
        Propagation::RShared => libc::MS_SHARED | libc::MS_REC,
        Propagation::RSlave => libc::MS_SLAVE | libc::MS_REC,
        Propagation::RPrivate => libc::MS_PRIVATE | libc::MS_REC,
        Propagation::RUnbindable => libc::MS_UNBINDABLE | libc::MS_REC,
    }
}
