//! `mounts` (config.md, "Mounts"). The options themselves are read in the plan.

use super::{id_maps, wrong};
use crate::error::Result;
use crate::spec::Spec;
use crate::spec::linux::NamespaceKind;
use crate::spec::mounts::Mount;

pub(super) fn mounts(spec: &Spec, warnings: &mut Vec<String>) -> Result<()> {
    let has_user_namespace = spec.linux.namespace(NamespaceKind::User).is_some();
    list(&spec.mounts, has_user_namespace, warnings)
}

/// Mounts without a configuration around them.
///
/// # Errors
/// As those of a configuration.
pub fn mounts_alone(mounts: &[Mount]) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    list(mounts, false, &mut warnings).map(|()| warnings)
}

fn list(mounts: &[Mount], has_user_namespace: bool, warnings: &mut Vec<String>) -> Result<()> {
    for (index, mount) in mounts.iter().enumerate() {
        let destination = &mount.destination;
        if destination.is_empty() {
            return Err(wrong(format_args!("mounts[{index}].destination"), "missing"));
        }
        if !destination.starts_with('/') {
            warnings.push(format!(
                "mounts[{index}].destination: {destination:?} is not absolute (deprecated), taken as \"/{destination}\""
            ));
        }
        id_mapped(index, mount, has_user_namespace)?;
    }
    Ok(())
}

/// The two maps come together, and `idmap` without them means the container's own, if it has a user namespace.
fn id_mapped(index: usize, mount: &Mount, has_user_namespace: bool) -> Result<()> {
    let (uids, gids) = (&mount.uid_mappings, &mount.gid_mappings);
    let missing = match (uids.is_empty(), gids.is_empty()) {
        (true, false) => Some(("uidMappings", "gidMappings")),
        (false, true) => Some(("gidMappings", "uidMappings")),
        _ => None,
    };
    if let Some((missing, given)) = missing {
        return Err(wrong(
            format_args!("mounts[{index}].{missing}"),
            format_args!("missing, but {given} is given"),
        ));
    }
    id_maps::id_map(format_args!("mounts[{index}].uidMappings"), uids)?;
    id_maps::id_map(format_args!("mounts[{index}].gidMappings"), gids)?;
    let option = mount.options.iter().find(|option| matches!(name(option), "idmap" | "ridmap"));
    match option {
        // Left out, the files would come out with other owners than were asked for. Podman gives the maps as properties, too.
        Some(option) if uids.is_empty() && option.contains('=') => {
            let what =
                format!("{option:?} is crun's alone; the maps are given as uidMappings and gidMappings");
            Err(wrong(format_args!("mounts[{index}].options"), what))
        }
        Some(option) if uids.is_empty() && !has_user_namespace => {
            let what = format!("{option:?} needs uidMappings and gidMappings, or a user namespace");
            Err(wrong(format_args!("mounts[{index}].options"), what))
        }
        _ => Ok(()),
    }
}

/// An option without its value.
fn name(option: &str) -> &str {
    option.split_once('=').map_or(option, |(name, _value)| name)
}
