//! `linux.namespaces` and what belongs to a kind of namespace: id maps and clock offsets (config-linux.md).

use super::{absolute, id_maps, wrong};
use crate::error::Result;
use crate::spec::linux::{Linux, NamespaceKind};

const NANOSECONDS: u32 = 1_000_000_000;

pub(super) fn namespaces(linux: &Linux, warnings: &mut Vec<String>) -> Result<()> {
    for (index, namespace) in linux.namespaces.iter().enumerate() {
        if linux.namespaces[..index].iter().any(|earlier| earlier.kind == namespace.kind) {
            let what = format!("\"{}\" is listed twice", namespace.kind);
            return Err(wrong(format_args!("linux.namespaces[{index}]"), what));
        }
        if let Some(path) = &namespace.path {
            absolute(path, || format!("linux.namespaces[{index}].path"))?;
        }
    }
    user(linux, warnings)?;
    time(linux)
}

/// Maps are for a new user namespace. containerd and CRI-O repeat them for one that is joined: whether they are the same
/// is asked when it is joined.
fn user(linux: &Linux, warnings: &mut Vec<String>) -> Result<()> {
    let maps = [("linux.uidMappings", &linux.uid_mappings), ("linux.gidMappings", &linux.gid_mappings)];
    let namespace = linux.namespace(NamespaceKind::User);
    let is_new = namespace.is_some_and(|namespace| namespace.path.is_none());
    let mut given = false;
    for (place, map) in maps {
        if is_new && map.is_empty() {
            return Err(wrong(place, "missing, but a new user namespace needs it"));
        }
        if namespace.is_none() && !map.is_empty() {
            return Err(wrong(place, "needs a user namespace"));
        }
        id_maps::id_map(place, map)?;
        given |= !map.is_empty();
    }
    if given && !is_new {
        warnings.push(
            "linux.uidMappings, linux.gidMappings: the user namespace is joined by its path, and must have these maps"
                .to_owned(),
        );
    }
    Ok(())
}

/// The kernel takes offsets only before a task is in the time namespace, so they are for a new one.
fn time(linux: &Linux) -> Result<()> {
    if linux.time_offsets.is_empty() {
        return Ok(());
    }
    match linux.namespace(NamespaceKind::Time) {
        None => return Err(wrong("linux.timeOffsets", "needs a time namespace")),
        Some(namespace) if namespace.path.is_some() => {
            return Err(wrong(
                "linux.timeOffsets",
                "the time namespace is joined by its path, which has its own",
            ));
        }
        Some(_) => {}
    }
    for (clock, offset) in &linux.time_offsets {
        if offset.nanosecs >= NANOSECONDS {
            let what = format!("{} is not below {NANOSECONDS}", offset.nanosecs);
            return Err(wrong(format_args!("linux.timeOffsets.{clock}.nanosecs"), what));
        }
    }
    Ok(())
}
