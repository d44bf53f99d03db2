//! `mounts[]` as calls of the mount API: what to mount, with which flags and parameters, on which place below the root.
//!
//! config.md, "Mounts"; fsopen(2), fsconfig(2), open_tree(2), move_mount(2), mount_setattr(2), mount(2).

use crate::error::{Error, Result};
use crate::host::Host;
use crate::plan::cgroup::Location;
use crate::plan::mount_options::{Attributes, Options, attribute, needs_mount_setattr, old_flags};
use crate::plan::namespaces::map_text;
use crate::plan::step::{Bind, Fallback, Filesystem, Ids, Kind, MapTexts, Mount, Parameter, SourceClone};
use crate::plan::{Options as PlanOptions, Place};
use crate::spec::{self, linux::IdMapping};
use std::ffi::CString;
use std::path::Path;

/// Files below `/proc` that lxcfs replaces, as runc allows them.
const PROC_FILES: &[&str] = &[
    "cpuinfo",
    "diskstats",
    "loadavg",
    "meminfo",
    "slabinfo",
    "stat",
    "swaps",
    "sys/crypto/fips_enabled",
    "sys/kernel/ns_last_pid",
    "uptime",
];

/// Flags of a superblock that only mount(2) can set.
const NO_PARAMETER: &[&str] = &["iversion", "silent"];

impl Mount {
    /// Decides an entry of `mounts`. An id-mapped one adds its clone to `clones`.
    ///
    /// # Errors
    /// Options that contradict one another, a mount over `/proc`, a NUL byte.
    pub fn decide(
        mount: &spec::Mount,
        place: &Place,
        context: &Context<'_>,
        clones: &mut Vec<SourceClone>,
    ) -> Result<Self> {
        let options = Options::parse(&mount.options);
        let target = target_of(&mount.destination);
        let covers = below_proc(&target);
        let is_bind = options.bind.is_some();
        if let Some(rest) = covers.filter(|rest| !rest.is_empty())
            && !PROC_FILES.contains(&rest)
        {
            return Err(Error::new(format!("{place}.destination: {:?} is inside /proc", mount.destination)));
        }
        if covers == Some("") && !is_bind && mount.type_.as_deref() != Some("proc") {
            return Err(Error::new(format!("{place}.destination: only a procfs may be mounted on /proc")));
        }
        if !context.host.new_mount_api {
            refuse_what_needs_mount_setattr(mount, place)?;
        }
        let kind = if is_bind {
            Kind::Bind(bind(mount, place, context, &options, covers == Some(""), clones)?)
        } else if options.remount {
            Kind::Remount {
                flags: options.superblock_flags,
                data: c_string(&options.data.join(","), place, "options")?,
            }
        } else {
            Kind::Filesystem(filesystem(mount, place, context, &options)?)
        };
        Ok(Self {
            target: c_string(&target, place, "destination")?,
            kind,
            attributes: options.attributes,
            recursive: options.recursive,
            propagation: options.propagation,
            may_cover_proc: covers.is_some(),
        })
    }

    /// A file system that the runtime mounts of its own accord.
    pub fn own(target: &str, filesystem: Filesystem, set: u64) -> Self {
        Self {
            target: CString::new(target).unwrap_or_default(),
            kind: Kind::Filesystem(filesystem),
            attributes: Attributes { set, ..Attributes::default() },
            recursive: Attributes::default(),
            propagation: Vec::new(),
            may_cover_proc: false,
        }
    }
}

/// What the decision on a mount depends on beside the mount itself.
#[derive(Debug)]
pub struct Context<'a> {
    /// The machine.
    pub host: &'a Host,
    /// The bundle and the caller's wishes.
    pub options: &'a PlanOptions<'a>,
    /// `linux.mountLabel`.
    pub label: Option<&'a str>,
    /// The container's own id maps, for `idmap` without maps.
    pub id_maps: (&'a [IdMapping], &'a [IdMapping]),
    /// Whether it joins a user namespace, whose maps need not be given.
    pub joins_user_namespace: bool,
    /// Whether init is in another user namespace than the runtime.
    pub separates_user_namespace: bool,
    /// The container's cgroup in each hierarchy.
    pub cgroups: &'a Location,
    /// Whether the container has a cgroup namespace of its own.
    pub cgroup_namespace: bool,
}

/// A destination as a path below the root: no leading slash, no empty and no `.` components, `..` answered by the text.
pub fn target_of(destination: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in destination.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// What of a target lies below `/proc`; the empty string for `/proc` itself.
fn below_proc(target: &str) -> Option<&str> {
    let rest = target.strip_prefix("proc")?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

/// mount(2) changes one mount and maps no ids.
fn refuse_what_needs_mount_setattr(mount: &spec::Mount, place: &Place) -> Result<()> {
    let asked = mount.options.iter().map(String::as_str).find(|word| needs_mount_setattr(word));
    match asked.or((!mount.uid_mappings.is_empty()).then_some("idmap")) {
        Some(word) => Err(Error::new(format!(
            "{place}.options: {word:?} needs mount_setattr(2), which this kernel lacks; it came with Linux 5.12"
        ))),
        None => Ok(()),
    }
}

fn bind(
    mount: &spec::Mount,
    place: &Place,
    context: &Context<'_>,
    options: &Options<'_>,
    must_be_proc: bool,
    clones: &mut Vec<SourceClone>,
) -> Result<Bind> {
    // A value is meant for a file system, and there is none to be made: `left_out` tells so. A bare word may be a flag that was
    // misspelt, and a volume would come out executable.
    if let Some(word) = options.data.iter().find(|word| !word.contains('=')) {
        return Err(Error::new(format!(
            "{place}.options: {word:?}: bind mounts cannot have any filesystem-specific options applied"
        )));
    }
    let Some(source) = mount.source.as_deref() else {
        return Err(Error::new(format!("{place}.source: a bind mount needs a source")));
    };
    let source = context.options.bundle.join(source);
    let source = c_string(&source.to_string_lossy(), place, "source")?;
    let recursive = options.bind == Some(true);
    let mut bind = Bind { source, or_source: None, recursive, clone: None, id_mapped: false, must_be_proc };
    if options.id_map.is_some() || !mount.uid_mappings.is_empty() {
        let maps = if mount.uid_mappings.is_empty() {
            context.id_maps
        } else {
            (mount.uid_mappings.as_slice(), mount.gid_mappings.as_slice())
        };
        let given = !maps.0.is_empty() && !maps.1.is_empty();
        if !given && !context.joins_user_namespace {
            return Err(Error::new(format!(
                "{place}.options: idmap needs uidMappings and gidMappings, its own or the container's"
            )));
        }
        bind.clone = Some(clones.len());
        bind.id_mapped = true;
        clones.push(SourceClone {
            source: bind.source.clone(),
            recursive,
            map_recursive: options.id_map == Some(true),
            ids: match given {
                true => Ids::Mapped(MapTexts { uid: map_text(maps.0), gid: map_text(maps.1) }),
                false => Ids::OfJoined,
            },
            only_if_closed: false,
            place: place.clone(),
        });
    } else if context.separates_user_namespace && context.host.privileged() && context.host.new_mount_api {
        bind.clone = Some(clones.len());
        clones.push(SourceClone {
            source: bind.source.clone(),
            recursive,
            map_recursive: false,
            ids: Ids::AsTheyAre,
            only_if_closed: true,
            place: place.clone(),
        });
    }
    Ok(bind)
}

/// What is told of options that have no meaning on a bind mount, where the kernel does not look at them.
pub fn left_out(mounts: &[spec::Mount]) -> impl Iterator<Item = String> {
    mounts.iter().enumerate().filter_map(|(index, mount)| {
        let words = for_file_systems(mount)?;
        Some(format!("mounts[{index}].options: {words:?} is left out, a bind mount makes no file system"))
    })
}

/// The options of a bind mount that only a file system has.
pub(super) fn for_file_systems(mount: &spec::Mount) -> Option<String> {
    let options = Options::parse(&mount.options);
    (options.bind.is_some() && !options.data.is_empty()).then(|| options.data.join(","))
}

fn filesystem(
    mount: &spec::Mount,
    place: &Place,
    context: &Context<'_>,
    options: &Options<'_>,
) -> Result<Filesystem> {
    let Some(kind) = mount.type_.as_deref() else {
        return Err(Error::new(format!("{place}.type: a mount that is no bind mount needs a type")));
    };
    if options.id_map.is_some() || !mount.uid_mappings.is_empty() {
        return Err(Error::new(format!("{place}: only bind mounts can be id-mapped")));
    }
    if options.copy_up && kind != "tmpfs" {
        return Err(Error::new(format!("{place}.options: tmpcopyup is for tmpfs, not for {kind:?}")));
    }
    // The attribute is set on the mount; the superblock is read-only too, as mount(2) would have it, unless it must
    // still be written to.
    let read_only = options.attributes.set & attribute::RDONLY != 0 && !options.copy_up;
    let label = context.label.filter(|_| !matches!(kind, "proc" | "sysfs" | "mqueue"));
    let mut filesystem = Filesystem {
        kind: c_string(kind, place, "type")?,
        source: c_string(mount.source.as_deref().unwrap_or(kind), place, "source")?,
        // fsconfig(2) has no generic word for these two.
        old_call: !context.host.new_mount_api
            || options.superblock.iter().any(|key| NO_PARAMETER.contains(key)),
        parameters: Vec::new(),
        flags: 0,
        data: CString::default(),
        inherit_mode: kind == "tmpfs" && !options.data.iter().any(|word| word.starts_with("mode=")),
        copy_up: options.copy_up,
        plain_target: matches!(kind, "proc" | "sysfs"),
        label: context
            .label
            .filter(|_| kind == "mqueue")
            .map(|label| c_string(label, place, "mountLabel"))
            .transpose()?,
        fallback: (kind == "sysfs").then(|| Fallback::to_host(c"/sys".to_owned(), false)),
    };
    if !filesystem.old_call {
        let flags = options.superblock.iter().copied().chain(read_only.then_some("ro"));
        filesystem.parameters = flags.map(|flag| parameter(flag, place)).collect::<Result<_>>()?;
        for word in &options.data {
            filesystem.parameters.push(parameter(word, place)?);
        }
    } else {
        let mut attributes = options.attributes.set;
        if options.copy_up {
            attributes &= !attribute::RDONLY;
        }
        filesystem.flags = options.superblock_flags | old_flags(attributes);
        filesystem.data = c_string(&options.data.join(","), place, "options")?;
    }
    filesystem.set_context(label, place)?;
    Ok(filesystem)
}

impl Filesystem {
    /// Adds the SELinux context of all files in it, if there is a label.
    pub(super) fn set_context(&mut self, label: Option<&str>, place: &Place) -> Result<()> {
        let Some(label) = label else { return Ok(()) };
        if !self.old_call {
            self.parameters.push(parameter(&format!("context={label}"), place)?);
            return Ok(());
        }
        // Labels hold commas: quoted, or mount(2) would cut them.
        let data = self.data.to_string_lossy();
        let comma = if data.is_empty() { "" } else { "," };
        self.data = c_string(&format!("{data}{comma}context=\"{label}\""), place, "options")?;
        Ok(())
    }
}

/// A parameter from a word: `size=64k`, or `noswap`, which has no value.
fn parameter(word: &str, place: &Place) -> Result<Parameter> {
    let (key, value) = match word.split_once('=') {
        Some((key, value)) => (key, Some(c_string(value, place, "options")?)),
        None => (word, None),
    };
    Ok(Parameter { key: c_string(key, place, "options")?, value })
}

/// A C string of a value of `config.json`.
pub(super) fn c_string(text: &str, place: &Place, property: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::new(format!("{place}.{property}: {text:?} holds a NUL byte")))
}

/// Whether `/dev` of the container is a part of the host's tree, so that nothing is made in it.
pub fn binds_dev(mounts: &[spec::Mount]) -> bool {
    mounts
        .iter()
        .any(|mount| target_of(&mount.destination) == "dev" && Options::parse(&mount.options).bind.is_some())
}

/// The path of the root file system: as it is, or below the bundle.
pub fn rootfs_path(bundle: &Path, path: &str) -> std::path::PathBuf {
    bundle.join(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_paths_below_the_root() {
        for (destination, target) in
            [("/proc", "proc"), ("/", ""), ("data", "data"), ("/a//b/./c/", "a/b/c"), ("/a/../../etc", "etc")]
        {
            assert_eq!(target_of(destination), target, "{destination}");
        }
    }

    #[test]
    fn only_whole_components_are_below_proc() {
        assert_eq!(below_proc("proc"), Some(""));
        assert_eq!(below_proc("proc/cpuinfo"), Some("cpuinfo"));
        assert_eq!(below_proc("processes"), None);
    }
}
