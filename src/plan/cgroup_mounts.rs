//! A mount of type `cgroup`: what it means in each cgroup mode (config.md, "Mounts"; cgroup_namespaces(7)).
//!
//! On v2 it is the one tree. On v1 and hybrid it is a tmpfs with a mount for each hierarchy below it: of the container's
//! own view with a cgroup namespace, else a bind mount of its cgroup alone.

use crate::error::Result;
use crate::host::cgroup::{Hierarchy, Mode};
use crate::plan::Place;
use crate::plan::cgroup::Directory;
use crate::plan::mount_options::{Options, attribute};
use crate::plan::mounts::{Context, c_string, target_of};
use crate::plan::step::{Action, Step, Symlink};
use crate::plan::step::{Bind, Fallback, Filesystem, Kind, Mount, Parameter};
use crate::spec;
use std::ffi::CString;

/// Adds the steps of one `cgroup` mount.
pub(super) fn expand(
    steps: &mut Vec<Step>,
    mount: &spec::Mount,
    place: &Place,
    context: &Context<'_>,
) -> Result<()> {
    let options = Options::parse(&mount.options);
    let target = target_of(&mount.destination);
    let namespaced = context.cgroup_namespace;
    if matches!(context.host.cgroups.mode, Mode::V2 | Mode::None) {
        let unified = unified(&target, &options, namespaced, place, context)?;
        steps.push(Step::of(place.clone(), Action::Mount(Box::new(unified))));
        return Ok(());
    }
    let flags = attribute::NOSUID | attribute::NODEV | attribute::NOEXEC;
    let new_api = context.host.new_mount_api;
    let mut tmpfs = filesystem(c"tmpfs", c"tmpfs", Some(("mode", "755")), flags, new_api);
    tmpfs.set_context(context.label, place)?;
    let own = Mount::own(&target, tmpfs, flags);
    steps.push(Step::of(place.clone(), Action::Mount(Box::new(own))));
    let mut attributes = options.attributes;
    attributes.set |= flags;
    for hierarchy in context.host.cgroups.hierarchies.iter().filter(|hierarchy| !hierarchy.unified) {
        let name = directory_name(hierarchy);
        let below = format!("{target}/{name}");
        let kind = if namespaced {
            let controllers = hierarchy.controllers.join(",");
            let data =
                controllers.strip_prefix("name=").map_or((controllers.as_str(), ""), |name| ("name", name));
            Kind::Filesystem(filesystem(c"cgroup", c"cgroup", Some(data), attributes.set, new_api))
        } else {
            let source = own_directory(hierarchy, context);
            // A rootless container that may have no cgroup stays in the runtime's.
            let runtimes = context.options.rootless.then(|| hierarchy.own_directory());
            Kind::Bind(Bind {
                source: c_string(&source, place, "source")?,
                or_source: runtimes.map(|path| c_string(&path, place, "source")).transpose()?,
                recursive: false,
                clone: None,
                id_mapped: false,
                must_be_proc: false,
            })
        };
        let one = Mount {
            target: c_string(&below, place, "destination")?,
            kind,
            attributes,
            recursive: options.recursive,
            propagation: options.propagation.clone(),
            may_cover_proc: false,
        };
        steps.push(Step::of(place.clone(), Action::Mount(Box::new(one))));
        // Programs look for each controller by its own name.
        for controller in hierarchy.controllers.iter().filter(|controller| controller.as_str() != name) {
            if !controller.starts_with("name=") {
                let link = link(&target, controller, &name, place)?;
                steps.push(Step::of(place.clone(), Action::Symlink(link)));
            }
        }
    }
    if options.attributes.set & attribute::RDONLY != 0 {
        let action = Action::MountAttributes {
            target: c_string(&target, place, "destination")?,
            set: attribute::RDONLY,
        };
        steps.push(Step::of(place.clone(), action));
    }
    Ok(())
}

/// The tree of cgroup v2; where it cannot be mounted, a bind mount of the host's.
fn unified(
    target: &str,
    options: &Options<'_>,
    namespaced: bool,
    place: &Place,
    context: &Context<'_>,
) -> Result<Mount> {
    let hierarchy = context.host.cgroups.hierarchies.first();
    let fallback =
        hierarchy.map(
            |hierarchy| if namespaced { own_directory(hierarchy, context) } else { hierarchy.mount.clone() },
        );
    let fallback = fallback.map(|path| c_string(&path, place, "source")).transpose()?;
    let new_api = context.host.new_mount_api;
    let mut unified = filesystem(c"cgroup2", c"cgroup", None, options.attributes.set, new_api);
    // A rootless container may have been made without a cgroup.
    let or_nothing = namespaced && context.options.rootless;
    unified.fallback = fallback.map(|source| Fallback::to_host(source, or_nothing));
    Ok(Mount {
        target: c_string(target, place, "destination")?,
        kind: Kind::Filesystem(unified),
        attributes: options.attributes,
        recursive: options.recursive,
        propagation: options.propagation.clone(),
        may_cover_proc: false,
    })
}

/// The container's own directory in a hierarchy.
fn own_directory(hierarchy: &Hierarchy, context: &Context<'_>) -> String {
    let below = format!("{}/", hierarchy.mount);
    let inside = |directory: &&Directory| directory.path.starts_with(&below);
    let found = context.cgroups.directories.iter().find(inside);
    found.map_or_else(|| hierarchy.mount.clone(), |directory| directory.path.clone())
}

fn filesystem(
    kind: &std::ffi::CStr,
    source: &std::ffi::CStr,
    data: Option<(&str, &str)>,
    attributes: u64,
    new_api: bool,
) -> Filesystem {
    let string = |text: &str| CString::new(text).unwrap_or_default();
    let parameter = data.map(|(key, value)| Parameter {
        key: string(key),
        value: (!value.is_empty()).then(|| string(value)),
    });
    let old_data = data.map_or_else(String::new, |(key, value)| {
        if value.is_empty() { key.to_owned() } else { format!("{key}={value}") }
    });
    Filesystem {
        kind: kind.to_owned(),
        source: source.to_owned(),
        // cpu,cpuacct is one word for mount(2) and two parameters for fsconfig(2).
        parameters: if new_api { parameter.map(split_parameter).unwrap_or_default() } else { Vec::new() },
        flags: if new_api { 0 } else { crate::plan::mount_options::old_flags(attributes) },
        data: if new_api { CString::default() } else { string(&old_data) },
        old_call: !new_api,
        inherit_mode: false,
        copy_up: false,
        plain_target: false,
        label: None,
        fallback: None,
    }
}

fn split_parameter(parameter: Parameter) -> Vec<Parameter> {
    if parameter.value.is_some() {
        return vec![parameter];
    }
    let words = parameter.key.to_bytes().split(|byte| *byte == b',');
    words.map(|word| Parameter { key: CString::new(word).unwrap_or_default(), value: None }).collect()
}

/// The directory of a hierarchy below `/sys/fs/cgroup`: that of the host, so that programs find it by habit.
fn directory_name(hierarchy: &Hierarchy) -> String {
    hierarchy.mount.rsplit('/').next().unwrap_or_default().to_owned()
}

fn link(parent: &str, name: &str, target: &str, place: &Place) -> Result<Symlink> {
    Ok(Symlink {
        parent: c_string(parent, place, "destination")?,
        name: c_string(name, place, "destination")?,
        target: c_string(target, place, "destination")?,
        replace: false,
    })
}
