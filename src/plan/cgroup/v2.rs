//! Resources, which are written in the words of cgroup v1, as the files of cgroup v2; see the kernel's `cgroup-v2.rst`.
//!
//! What has no counterpart is ignored with a warning. The specification asks for an error, but runc ignores it
//! silently, and `docker run --oom-kill-disable` or a compose file with `mem_swappiness` must go on starting.

use super::convert::{
    Amount, Converter, LIMIT, SWAP, amount, any_weight, idle, memory_and_swap, page_size, pids, rdma, weight,
};
use super::{Missing, Write};
use crate::error::{Error, Result};
use crate::plan::Place;
use crate::spec::resources::{BlockIo, Cpu, Memory, Resources};

pub(super) fn convert(resources: &Resources, out: &mut Converter) -> Result<()> {
    if let Some(memory) = &resources.memory {
        self::memory(memory, out)?;
    }
    if let Some(cpu) = &resources.cpu {
        self::cpu(cpu, out)?;
    }
    if let Some(limit) = resources.pids.as_ref().and_then(|pids| pids.limit) {
        out.push(Write::new("pids.max", pids(limit), "linux.resources.pids.limit"))?;
    }
    if let Some(block_io) = &resources.block_io {
        self::block_io(block_io, out)?;
    }
    hugepages(resources, out)?;
    if let Some(network) = &resources.network {
        if network.class_id.is_some_and(|class| class != 0) {
            out.warn("linux.resources.network.classID", "cgroup v2 has no net_cls");
        }
        if !network.priorities.is_empty() {
            out.warn("linux.resources.network.priorities", "cgroup v2 has no net_prio");
        }
    }
    rdma(resources, out)?;
    unified(resources, out)
}

fn memory(memory: &Memory, out: &mut Converter) -> Result<()> {
    let number = |amount| match amount {
        Amount::Max => "max".to_owned(),
        Amount::Bytes(bytes) => bytes.to_string(),
    };
    let (limit, both) = memory_and_swap(memory.limit, memory.swap)?;
    if let Some(both) = both {
        // Here the file limits swap alone. It is missing where there is no swap: then no limit and no swap are met.
        let swap = match (both, limit) {
            (Amount::Bytes(both), Some(Amount::Bytes(limit))) => Amount::Bytes(both - limit),
            _ => Amount::Max,
        };
        let is_met = matches!(swap, Amount::Max | Amount::Bytes(0));
        let missing = if is_met { Missing::Ignore } else { Missing::Fail };
        out.push(Write::new("memory.swap.max", number(swap), SWAP).if_missing(missing))?;
    }
    if let Some(limit) = limit {
        let not_below = (memory.check_before_update && limit != Amount::Max).then_some("memory.current");
        out.push(Write { not_below, ..Write::new("memory.max", number(limit), LIMIT) })?;
    }
    let place = "linux.resources.memory.reservation";
    if let Some(reservation) = amount(memory.reservation, place)? {
        out.push(Write::new("memory.low", number(reservation), place))?;
    }
    let positive = |number: Option<i64>| number.is_some_and(|number| number > 0);
    for (asked, property, reason) in [
        (
            memory.swappiness.is_some_and(|it| it != u64::MAX),
            "swappiness",
            "cgroup v2 has no swappiness of a cgroup",
        ),
        (
            memory.disable_oom_killer == Some(true),
            "disableOOMKiller",
            "cgroup v2 cannot disable the OOM killer",
        ),
        (memory.use_hierarchy == Some(false), "useHierarchy", "cgroup v2 always counts sub-cgroups"),
        (positive(memory.kernel), "kernel", "the kernel no longer limits its memory apart"),
        (positive(memory.kernel_tcp), "kernelTCP", "the kernel no longer limits its memory apart"),
    ] {
        if asked {
            out.warn(&format!("linux.resources.memory.{property}"), reason);
        }
    }
    Ok(())
}

fn cpu(cpu: &Cpu, out: &mut Converter) -> Result<()> {
    let idle = cpu.idle.map(idle).transpose()?;
    if idle == Some(0) {
        out.push(Write::new("cpu.idle", 0, "linux.resources.cpu.idle").if_missing(Missing::Ignore))?;
    }
    match cpu.shares.filter(|&shares| shares != 0) {
        Some(_) if idle == Some(1) => {
            out.warn("linux.resources.cpu.shares", "an idle cgroup has the least weight");
        }
        Some(shares) => {
            out.push(Write::new("cpu.weight", weight_of(shares), "linux.resources.cpu.shares"))?
        }
        None => {}
    }
    if let Some(burst) = cpu.burst {
        // Neither order is always right: the burst may not exceed the old quota, nor the new quota the old burst.
        let missing = if burst == 0 { Missing::Ignore } else { Missing::Fail };
        let write = Write::new("cpu.max.burst", burst, "linux.resources.cpu.burst");
        out.push(write.or_last().if_missing(missing))?;
    }
    let quota = cpu.quota.filter(|&quota| quota != 0);
    let period = cpu.period.filter(|&period| period != 0);
    if quota.is_some() || period.is_some() {
        let place = if quota.is_some() { "linux.resources.cpu.quota" } else { "linux.resources.cpu.period" };
        let quota = quota.filter(|&quota| quota > 0).map_or("max".to_owned(), |quota| quota.to_string());
        out.push(Write::new("cpu.max", format!("{quota} {}", period.unwrap_or(100_000)), place).or_last())?;
    }
    if idle == Some(1) {
        out.push(Write::new("cpu.idle", 1, "linux.resources.cpu.idle"))?;
    }
    if cpu.realtime_runtime.is_some_and(|runtime| runtime != 0) {
        out.warn("linux.resources.cpu.realtimeRuntime", "cgroup v2 does not divide realtime");
    }
    if cpu.realtime_period.is_some_and(|period| period != 0) {
        out.warn("linux.resources.cpu.realtimePeriod", "cgroup v2 does not divide realtime");
    }
    if !cpu.cpus.is_empty() {
        out.push(Write::new("cpuset.cpus", &cpu.cpus, "linux.resources.cpu.cpus"))?;
    }
    if !cpu.mems.is_empty() {
        out.push(Write::new("cpuset.mems", &cpu.mems, "linux.resources.cpu.mems"))?;
    }
    Ok(())
}

/// The weight (1 to 10000, 100 by default) for shares (2 to 262144, 1024 by default): a parabola of the logarithm
/// through the three corresponding points, as runc 1.3.2, crun 1.23 and the kubelet compute it. 7/34 is written as
/// 126/612, which makes the exponents of the three points exact.
pub(super) fn weight_of(shares: u64) -> u64 {
    match shares {
        ..=2 => 1,
        262_144.. => 10_000,
        shares => {
            let log = (shares as f64).log2();
            10f64.powf((log * log + 125.0 * log - 126.0) / 612.0).ceil() as u64
        }
    }
}

/// The weight of `io.weight` (1 to 10000) for one of bfq (10 to 1000).
pub(super) fn io_weight_of(weight: u16) -> u64 {
    1 + (u64::from(weight) - 10) * 9999 / 990
}

/// The raw weight for bfq, where its scheduler is loaded; else the converted one of the io controller.
fn block_io(block_io: &BlockIo, out: &mut Converter) -> Result<()> {
    let place = "linux.resources.blockIO.weight";
    if let Some(weight) = weight(block_io.weight, place)? {
        let missing = Missing::Instead { file: "io.weight", value: io_weight_of(weight).to_string() };
        out.push(Write::new("io.bfq.weight", weight, place).if_missing(missing))?;
    }
    if block_io.leaf_weight.is_some_and(|weight| weight != 0) {
        out.warn("linux.resources.blockIO.leafWeight", "cgroup v2 has no leaf weights");
    }
    for (index, device) in block_io.weight_device.iter().enumerate() {
        let place = Place::element("linux.resources.blockIO.weightDevice", index);
        any_weight(device, &place)?;
        if let Some(weight) = weight(device.weight, &place.to_string())? {
            let number = format!("{}:{}", device.major, device.minor);
            let value = format!("{number} {}", io_weight_of(weight));
            let missing = Missing::Instead { file: "io.weight", value };
            let write = Write::new("io.bfq.weight", format!("{number} {weight}"), place.clone());
            out.push(write.if_missing(missing))?;
        }
        if device.leaf_weight.is_some_and(|weight| weight != 0) {
            out.warn(&format!("{place}.leafWeight"), "cgroup v2 has no leaf weights");
        }
    }
    for (property, key, devices) in [
        ("linux.resources.blockIO.throttleReadBpsDevice", "rbps", &block_io.throttle_read_bps_device),
        ("linux.resources.blockIO.throttleWriteBpsDevice", "wbps", &block_io.throttle_write_bps_device),
        ("linux.resources.blockIO.throttleReadIOPSDevice", "riops", &block_io.throttle_read_iops_device),
        ("linux.resources.blockIO.throttleWriteIOPSDevice", "wiops", &block_io.throttle_write_iops_device),
    ] {
        for (index, device) in devices.iter().enumerate() {
            let rate = if device.rate == 0 { "max".to_owned() } else { device.rate.to_string() };
            let value = format!("{}:{} {key}={rate}", device.major, device.minor);
            out.push(Write::new("io.max", value, Place::element(property, index)))?;
        }
    }
    Ok(())
}

/// The limit of reservations where the kernel has it, and that of page faults.
fn hugepages(resources: &Resources, out: &mut Converter) -> Result<()> {
    for (index, limit) in resources.hugepage_limits.iter().enumerate() {
        let size = page_size(&limit.page_size, index)?;
        let place = Place::element("linux.resources.hugepageLimits", index);
        let rsvd = Write::new(format!("hugetlb.{size}.rsvd.max"), limit.limit, place.clone());
        out.push(rsvd.if_missing(Missing::Ignore))?;
        out.push(Write::new(format!("hugetlb.{size}.max"), limit.limit, place))?;
    }
    Ok(())
}

/// The files as the user names them, last, so that they overrule. The kernel takes one line at a time of files such as
/// `io.max` and ignores the rest of a write without a word, so each line is a write of its own (runc #4186).
fn unified(resources: &Resources, out: &mut Converter) -> Result<()> {
    for (key, value) in &resources.unified {
        let place = Place::dynamic(format!("linux.resources.unified[{key:?}]"));
        if !key.contains('.') || key.starts_with('.') || key.contains(['/', '\0']) {
            return Err(Error::new("must be the name of a file in the cgroup").context(place.to_string()));
        }
        let controller = key.split('.').next().unwrap_or_default();
        let is_there =
            |names: &[String]| controller == "cgroup" || names.iter().any(|name| name == controller);
        if !out.available.is_none_or(is_there) {
            let message = format!("this machine has no cgroup controller {controller}");
            return Err(Error::new(message).context(place.to_string()));
        }
        for line in value.lines().map(str::trim).filter(|line| !line.is_empty()) {
            out.limits.writes.push(Write::new(key.clone(), line, place.clone()));
        }
    }
    Ok(())
}
