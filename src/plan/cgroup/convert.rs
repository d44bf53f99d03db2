//! What the conversions of both generations share: where a write goes, and what the numbers mean.

use super::{Limits, Missing, Write};
use crate::error::{Error, Result};
use crate::host::cgroup::Mode;
use crate::plan::Place;
use crate::plan::cgroup::Location;
use crate::spec::resources::{Resources, WeightDevice};

/// Collects writes and finds the directory of each.
pub(super) struct Converter<'a> {
    pub(super) location: &'a Location,
    /// The controllers of the unified hierarchy, where they are known.
    pub(super) available: Option<&'a [String]>,
    pub(super) limits: Limits,
}

impl Converter<'_> {
    /// Takes a write on. One that limits nothing (`pids.limit` of -1) is met where its controller or its file does not
    /// exist.
    pub(super) fn push(&mut self, mut write: Write) -> Result<()> {
        let directory = match self.location.mode {
            Mode::V2 => self
                .available
                .is_none_or(|names| names.iter().any(|name| name == write.controller()))
                .then_some(0),
            _ => self.location.index_of(write.controller()),
        };
        match directory {
            Some(index) => write.directory = index,
            None if write.is_no_limit() => return Ok(()),
            None => {
                let message = format!("this machine has no cgroup controller {}", write.controller());
                let error = Error::new(message).context(write.place.to_string());
                return Err(error.hint("see /proc/cgroups, and cgroup_disable= on the kernel's command line"));
            }
        }
        if write.is_no_limit() {
            write.missing = Missing::Ignore;
        }
        self.limits.writes.push(write);
        Ok(())
    }

    /// Says that a property is ignored, and why.
    pub(super) fn warn(&mut self, place: &str, reason: &str) {
        self.limits.warnings.push(format!("{place} is ignored: {reason}"));
    }
}

/// An amount as the memory controllers know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Amount {
    /// No limit.
    Max,
    /// A limit in bytes.
    Bytes(u64),
}

/// Reads a size: absent and 0 leave the kernel's value, -1 is no limit.
pub(super) fn amount(value: Option<i64>, place: &'static str) -> Result<Option<Amount>> {
    match value {
        None | Some(0) => Ok(None),
        Some(-1) => Ok(Some(Amount::Max)),
        Some(bytes) => {
            match u64::try_from(bytes) {
                Ok(bytes) => Ok(Some(Amount::Bytes(bytes))),
                Err(_) => Err(Error::new(format!("must be a size in bytes or -1 for no limit, not {bytes}"))
                    .context(place)),
            }
        }
    }
}

pub(super) const LIMIT: &str = "linux.resources.memory.limit";
pub(super) const SWAP: &str = "linux.resources.memory.swap";

/// The limits of memory and of memory with swap, with what both generations ask of the pair: swap needs a memory limit
/// and is not below it, and memory without limit has swap without limit.
pub(super) fn memory_and_swap(
    limit: Option<i64>,
    swap: Option<i64>,
) -> Result<(Option<Amount>, Option<Amount>)> {
    let (limit, swap) = (amount(limit, LIMIT)?, amount(swap, SWAP)?);
    let problem = match (limit, swap) {
        (Some(Amount::Max), None) => return Ok((limit, Some(Amount::Max))),
        (None, Some(Amount::Bytes(_))) => {
            "needs memory.limit: it is the limit of memory and swap together".to_owned()
        }
        (Some(Amount::Max), Some(Amount::Bytes(_))) => "cannot be a size while memory.limit is -1".to_owned(),
        (Some(Amount::Bytes(limit)), Some(Amount::Bytes(both))) if both < limit => {
            format!("memory and swap together ({both}) cannot be below memory.limit ({limit})")
        }
        _ => return Ok((limit, swap)),
    };
    Err(Error::new(problem).context(SWAP))
}

/// The value of `pids.max`. 0 is a real limit; it is written as 1, which is the container itself, as runc does.
pub(super) fn pids(limit: i64) -> String {
    match limit {
        ..0 => "max".to_owned(),
        0 => "1".to_owned(),
        limit => limit.to_string(),
    }
}

/// Checks `cpu.idle`.
pub(super) fn idle(value: i64) -> Result<i64> {
    if matches!(value, 0 | 1) {
        return Ok(value);
    }
    Err(Error::new(format!("must be 0 or 1, not {value}")).context("linux.resources.cpu.idle"))
}

/// Checks a weight of `blockIO`; absent and 0 leave the kernel's value.
pub(super) fn weight(value: Option<u16>, place: &str) -> Result<Option<u16>> {
    match value {
        None | Some(0) => Ok(None),
        Some(10..=1000) => Ok(value),
        Some(weight) => Err(Error::new(format!("must be from 10 to 1000, not {weight}")).context(place)),
    }
}

/// Checks that an entry of `weightDevice` says anything (config-linux.md, "Block IO").
pub(super) fn any_weight(device: &WeightDevice, place: &Place) -> Result<()> {
    if device.weight.is_none() && device.leaf_weight.is_none() {
        return Err(Error::new("needs weight or leafWeight").context(place.to_string()));
    }
    Ok(())
}

/// Checks a page size, which becomes a part of a file's name.
pub(super) fn page_size(size: &str, index: usize) -> Result<&str> {
    let digits = size.trim_end_matches("B").trim_end_matches(['K', 'M', 'G']);
    let is_size =
        size.len() == digits.len() + 2 && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if is_size {
        return Ok(size);
    }
    let place = Place::element("linux.resources.hugepageLimits", index);
    Err(Error::new(format!("must be a size such as 2MB, not {size:?}")).context(format!("{place}.pageSize")))
}

/// The line of `rdma.max` for an adapter; the file is the same in both generations.
pub(super) fn rdma(resources: &Resources, out: &mut Converter) -> Result<()> {
    for (adapter, limit) in &resources.rdma {
        let place = Place::dynamic(format!("linux.resources.rdma.{adapter}"));
        let handles = limit.hca_handles.map(|number| format!(" hca_handle={number}"));
        let objects = limit.hca_objects.map(|number| format!(" hca_object={number}"));
        if adapter.is_empty() || adapter.contains(['\n', ' ']) || (handles.is_none() && objects.is_none()) {
            let problem = "needs the adapter's name and one of hcaHandles and hcaObjects";
            return Err(Error::new(problem).context(place.to_string()));
        }
        let value = format!("{adapter}{}{}", handles.unwrap_or_default(), objects.unwrap_or_default());
        out.push(Write::new("rdma.max", value, place))?;
    }
    Ok(())
}
