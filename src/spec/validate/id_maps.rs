//! Id maps, of the user namespace and of id-mapped mounts: what the kernel would refuse with nothing but EINVAL
//! (user_namespaces(7), "Defining user and group ID mappings").

use super::wrong;
use crate::error::Result;
use crate::spec::linux::IdMapping;
use std::fmt::Display;

/// How many ranges a map may have (`UID_GID_MAP_MAX_EXTENTS`).
const MAX_RANGES: usize = 340;

/// Judges one map; `place` is its property.
pub(super) fn id_map(place: impl Display, map: &[IdMapping]) -> Result<()> {
    if map.len() > MAX_RANGES {
        let what = format!("{} ranges are more than the kernel's {MAX_RANGES}", map.len());
        return Err(wrong(place, what));
    }
    for (index, range) in map.iter().enumerate() {
        if range.size == 0 {
            return Err(wrong(format_args!("{place}[{index}].size"), "must not be 0"));
        }
        for (side, first) in [("containerID", range.container_id), ("hostID", range.host_id)] {
            if u64::from(first) + u64::from(range.size) > u64::from(u32::MAX) {
                let what = format!("{first} and the {} ids from it on go beyond 4294967294", range.size);
                return Err(wrong(format_args!("{place}[{index}].{side}"), what));
            }
        }
        if let Some(other) = map[..index].iter().position(|earlier| overlap(earlier, range)) {
            return Err(wrong(
                format_args!("{place}[{index}]"),
                format_args!("overlaps with {place}[{other}]"),
            ));
        }
    }
    Ok(())
}

fn overlap(one: &IdMapping, other: &IdMapping) -> bool {
    let meet = |a: u32, b: u32| a < b.saturating_add(other.size) && b < a.saturating_add(one.size);
    meet(one.container_id, other.container_id) || meet(one.host_id, other.host_id)
}
