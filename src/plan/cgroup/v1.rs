//! Resources as the files of cgroup v1; see the kernel's `admin-guide/cgroup-v1/` and `scheduler/sched-bwc.rst`.

use super::convert::{
    Amount, Converter, LIMIT, SWAP, amount, any_weight, idle, memory_and_swap, page_size, pids, rdma, weight,
};
use super::{Missing, Write};
use crate::error::{Error, Result};
use crate::plan::Place;
use crate::spec::resources::{BlockIo, Cpu, Memory, Network, Resources};

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
        self::network(network, out)?;
    }
    rdma(resources, out)?;
    match resources.unified.keys().next() {
        Some(key) => {
            let error = Error::new("needs cgroup v2; this machine uses cgroup v1");
            Err(error.context(format!("linux.resources.unified[{key:?}]")))
        }
        None => Ok(()),
    }
}

fn memory(memory: &Memory, out: &mut Converter) -> Result<()> {
    let number = |amount| match amount {
        Amount::Max => "-1".to_owned(),
        Amount::Bytes(bytes) => bytes.to_string(),
    };
    let (limit, swap) = memory_and_swap(memory.limit, memory.swap)?;
    // The kernel keeps the limit with swap at or above the other at all times. Raising both needs the second first.
    if let Some(limit) = limit {
        out.push(Write::new("memory.limit_in_bytes", number(limit), LIMIT).or_last())?;
    }
    if let Some(swap) = swap {
        // The file is missing where swap is not accounted (swapaccount=0, before Linux 5.8): no limit is then met.
        let missing = if swap == Amount::Max { Missing::Ignore } else { Missing::Fail };
        out.push(
            Write::new("memory.memsw.limit_in_bytes", number(swap), SWAP).or_last().if_missing(missing),
        )?;
    }
    let place = "linux.resources.memory.reservation";
    if let Some(reservation) = amount(memory.reservation, place)? {
        out.push(Write::new("memory.soft_limit_in_bytes", number(reservation), place))?;
    }
    // The greatest number is -1 of clients that mean "unset".
    if let Some(swappiness) = memory.swappiness.filter(|&swappiness| swappiness != u64::MAX) {
        let place = "linux.resources.memory.swappiness";
        if swappiness > 100 {
            return Err(Error::new(format!("must be from 0 to 100, not {swappiness}")).context(place));
        }
        out.push(Write::new("memory.swappiness", swappiness, place))?;
    }
    if memory.disable_oom_killer == Some(true) {
        out.push(Write::new("memory.oom_control", 1, "linux.resources.memory.disableOOMKiller"))?;
    }
    if memory.kernel.is_some_and(|limit| limit > 0) {
        out.warn("linux.resources.memory.kernel", "the kernel no longer limits its memory apart");
    }
    if memory.kernel_tcp.is_some_and(|limit| limit > 0) {
        out.warn("linux.resources.memory.kernelTCP", "the kernel no longer limits its memory apart");
    }
    if memory.use_hierarchy == Some(false) {
        out.warn("linux.resources.memory.useHierarchy", "the kernel always counts sub-cgroups");
    }
    Ok(())
}

/// Realtime comes first, while the cgroup is empty. Of period, quota and burst any may have to wait for the others.
fn cpu(cpu: &Cpu, out: &mut Converter) -> Result<()> {
    let nonzero = |number: Option<u64>| number.filter(|&number| number != 0);
    if let Some(period) = nonzero(cpu.realtime_period) {
        out.push(Write::new("cpu.rt_period_us", period, "linux.resources.cpu.realtimePeriod").or_last())?;
    }
    if let Some(runtime) = cpu.realtime_runtime.filter(|&runtime| runtime != 0) {
        out.push(Write::new("cpu.rt_runtime_us", runtime, "linux.resources.cpu.realtimeRuntime").or_last())?;
    }
    let idle = cpu.idle.map(idle).transpose()?;
    if idle == Some(0) {
        out.push(Write::new("cpu.idle", 0, "linux.resources.cpu.idle").if_missing(Missing::Ignore))?;
    }
    match nonzero(cpu.shares) {
        Some(_) if idle == Some(1) => {
            out.warn("linux.resources.cpu.shares", "an idle cgroup has the least share");
        }
        Some(shares) => out.push(Write::new("cpu.shares", shares, "linux.resources.cpu.shares"))?,
        None => {}
    }
    if let Some(burst) = cpu.burst {
        let missing = if burst == 0 { Missing::Ignore } else { Missing::Fail };
        let write = Write::new("cpu.cfs_burst_us", burst, "linux.resources.cpu.burst");
        out.push(write.or_last().if_missing(missing))?;
    }
    if let Some(period) = nonzero(cpu.period) {
        out.push(Write::new("cpu.cfs_period_us", period, "linux.resources.cpu.period").or_last())?;
    }
    if let Some(quota) = cpu.quota.filter(|&quota| quota != 0) {
        out.push(Write::new("cpu.cfs_quota_us", quota.max(-1), "linux.resources.cpu.quota").or_last())?;
    }
    if idle == Some(1) {
        out.push(Write::new("cpu.idle", 1, "linux.resources.cpu.idle"))?;
    }
    if !cpu.cpus.is_empty() {
        out.push(Write::new("cpuset.cpus", &cpu.cpus, "linux.resources.cpu.cpus"))?;
    }
    if !cpu.mems.is_empty() {
        out.push(Write::new("cpuset.mems", &cpu.mems, "linux.resources.cpu.mems"))?;
    }
    Ok(())
}

/// Weights are the bfq scheduler's, or on kernels before 5.0 those of cfq; leaf weights only cfq had.
fn block_io(block_io: &BlockIo, out: &mut Converter) -> Result<()> {
    let place = "linux.resources.blockIO.weight";
    if let Some(weight) = weight(block_io.weight, place)? {
        let missing = Missing::Instead { file: "blkio.weight", value: weight.to_string() };
        out.push(Write::new("blkio.bfq.weight", weight, place).if_missing(missing))?;
    }
    let place = "linux.resources.blockIO.leafWeight";
    if let Some(weight) = weight(block_io.leaf_weight, place)? {
        out.push(Write::new("blkio.leaf_weight", weight, place))?;
    }
    for (index, device) in block_io.weight_device.iter().enumerate() {
        let place = Place::element("linux.resources.blockIO.weightDevice", index);
        any_weight(device, &place)?;
        let text = place.to_string();
        if let Some(weight) = weight(device.weight, &text)? {
            let value = format!("{}:{} {weight}", device.major, device.minor);
            let missing = Missing::Instead { file: "blkio.weight_device", value: value.clone() };
            out.push(Write::new("blkio.bfq.weight_device", value, place.clone()).if_missing(missing))?;
        }
        if let Some(weight) = weight(device.leaf_weight, &text)? {
            let value = format!("{}:{} {weight}", device.major, device.minor);
            out.push(Write::new("blkio.leaf_weight_device", value, place))?;
        }
    }
    for (property, file, devices) in [
        (
            "linux.resources.blockIO.throttleReadBpsDevice",
            "blkio.throttle.read_bps_device",
            &block_io.throttle_read_bps_device,
        ),
        (
            "linux.resources.blockIO.throttleWriteBpsDevice",
            "blkio.throttle.write_bps_device",
            &block_io.throttle_write_bps_device,
        ),
        (
            "linux.resources.blockIO.throttleReadIOPSDevice",
            "blkio.throttle.read_iops_device",
            &block_io.throttle_read_iops_device,
        ),
        (
            "linux.resources.blockIO.throttleWriteIOPSDevice",
            "blkio.throttle.write_iops_device",
            &block_io.throttle_write_iops_device,
        ),
    ] {
        for (index, device) in devices.iter().enumerate() {
            let value = format!("{}:{} {}", device.major, device.minor, device.rate);
            out.push(Write::new(file, value, Place::element(property, index)))?;
        }
    }
    Ok(())
}

/// The limit of reservations where the kernel has it, and that of page faults.
fn hugepages(resources: &Resources, out: &mut Converter) -> Result<()> {
    for (index, limit) in resources.hugepage_limits.iter().enumerate() {
        let size = page_size(&limit.page_size, index)?;
        let place = Place::element("linux.resources.hugepageLimits", index);
        let rsvd = Write::new(format!("hugetlb.{size}.rsvd.limit_in_bytes"), limit.limit, place.clone());
        out.push(rsvd.if_missing(Missing::Ignore))?;
        out.push(Write::new(format!("hugetlb.{size}.limit_in_bytes"), limit.limit, place))?;
    }
    Ok(())
}

fn network(network: &Network, out: &mut Converter) -> Result<()> {
    if let Some(class) = network.class_id.filter(|&class| class != 0) {
        out.push(Write::new("net_cls.classid", class, "linux.resources.network.classID"))?;
    }
    for (index, interface) in network.priorities.iter().enumerate() {
        let value = format!("{} {}", interface.name, interface.priority);
        let place = Place::element("linux.resources.network.priorities", index);
        out.push(Write::new("net_prio.ifpriomap", value, place))?;
    }
    Ok(())
}
