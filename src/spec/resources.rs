//! `linux.resources`: what a container may use. The names are the specification's, in snake case.
//!
//! Serves config-linux.md, sections "Allowed Device list" to "Unified". A number that is absent or `null` is `None`:
//! then the kernel's value stays. What a number means (0, -1) is decided in `plan::cgroup`.

use super::lenient::or_default;
use serde::Deserialize;
use std::collections::BTreeMap;

/// `linux.resources`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// The allowed devices, as rules in order.
    #[serde(deserialize_with = "or_default")]
    pub devices: Vec<DeviceRule>,
    /// Memory and swap.
    pub memory: Option<Memory>,
    /// Processor time and placement.
    pub cpu: Option<Cpu>,
    /// The number of tasks.
    pub pids: Option<Pids>,
    /// Block devices.
    #[serde(rename = "blockIO")]
    pub block_io: Option<BlockIo>,
    /// Huge pages, a limit for each page size.
    #[serde(rename = "hugepageLimits", deserialize_with = "or_default")]
    pub hugepage_limits: Vec<HugepageLimit>,
    /// Tags and priorities of network packets (cgroup v1 only).
    pub network: Option<Network>,
    /// Remote direct memory access, by the name of the adapter.
    #[serde(deserialize_with = "or_default")]
    pub rdma: BTreeMap<String, Rdma>,
    /// Files of the unified hierarchy (cgroup v2 only) and what to write to them.
    #[serde(deserialize_with = "or_default")]
    pub unified: BTreeMap<String, String>,
}

/// An entry of `linux.resources.devices`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct DeviceRule {
    /// Whether the rule allows or denies; absent denies.
    #[serde(deserialize_with = "or_default")]
    pub allow: bool,
    /// `a` (all), `c` (char) or `b` (block); absent is all.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    /// The major number; absent or -1 is every one.
    pub major: Option<i64>,
    /// The minor number; absent or -1 is every one.
    pub minor: Option<i64>,
    /// A composition of `r` (read), `w` (write) and `m` (mknod); absent is all three.
    #[serde(deserialize_with = "or_default")]
    pub access: String,
}

/// `linux.resources.memory`; sizes in bytes, -1 for no limit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Memory {
    /// Limit of memory.
    pub limit: Option<i64>,
    /// Soft limit of memory.
    pub reservation: Option<i64>,
    /// Limit of memory and swap together.
    pub swap: Option<i64>,
    /// Limit of kernel memory; the kernel no longer has it.
    pub kernel: Option<i64>,
    /// Limit of the buffers of TCP; not recommended.
    #[serde(rename = "kernelTCP")]
    pub kernel_tcp: Option<i64>,
    /// How eagerly the kernel swaps, 0 to 100.
    pub swappiness: Option<u64>,
    /// Whether tasks wait instead of being killed when memory is exhausted.
    #[serde(rename = "disableOOMKiller")]
    pub disable_oom_killer: Option<bool>,
    /// Whether sub-cgroups count towards the limit.
    pub use_hierarchy: Option<bool>,
    /// Whether a limit below the present usage is refused.
    #[serde(deserialize_with = "or_default")]
    pub check_before_update: bool,
}

/// `linux.resources.cpu`; times in microseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Cpu {
    /// Relative share, 2 to 262144.
    pub shares: Option<u64>,
    /// Run time in each period; -1 for no limit.
    pub quota: Option<i64>,
    /// Unused run time that may be saved up.
    pub burst: Option<u64>,
    /// Length of a period.
    pub period: Option<u64>,
    /// Run time of realtime tasks in each realtime period.
    pub realtime_runtime: Option<i64>,
    /// Length of a realtime period.
    pub realtime_period: Option<u64>,
    /// Processors, as a list of ranges: `0-3,7`.
    #[serde(deserialize_with = "or_default")]
    pub cpus: String,
    /// Memory nodes, as a list of ranges.
    #[serde(deserialize_with = "or_default")]
    pub mems: String,
    /// 1 for `SCHED_IDLE`, 0 for the default.
    pub idle: Option<i64>,
}

/// `linux.resources.pids`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Pids {
    /// The most tasks there may be; -1 for no limit. 0 is a limit.
    pub limit: Option<i64>,
}

/// `linux.resources.blockIO`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BlockIo {
    /// Weight of the cgroup on all devices, 10 to 1000.
    pub weight: Option<u16>,
    /// Weight of the cgroup's own tasks against its sub-cgroups.
    pub leaf_weight: Option<u16>,
    /// Weights for single devices.
    #[serde(deserialize_with = "or_default")]
    pub weight_device: Vec<WeightDevice>,
    /// Bytes read in a second.
    #[serde(deserialize_with = "or_default")]
    pub throttle_read_bps_device: Vec<ThrottleDevice>,
    /// Bytes written in a second.
    #[serde(deserialize_with = "or_default")]
    pub throttle_write_bps_device: Vec<ThrottleDevice>,
    /// Reads in a second.
    #[serde(rename = "throttleReadIOPSDevice", deserialize_with = "or_default")]
    pub throttle_read_iops_device: Vec<ThrottleDevice>,
    /// Writes in a second.
    #[serde(rename = "throttleWriteIOPSDevice", deserialize_with = "or_default")]
    pub throttle_write_iops_device: Vec<ThrottleDevice>,
}

/// An entry of `blockIO.weightDevice`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct WeightDevice {
    /// The device's major number.
    #[serde(deserialize_with = "or_default")]
    pub major: i64,
    /// The device's minor number.
    #[serde(deserialize_with = "or_default")]
    pub minor: i64,
    /// Weight on this device.
    pub weight: Option<u16>,
    /// Weight of the cgroup's own tasks on this device.
    pub leaf_weight: Option<u16>,
}

/// An entry of one of the `blockIO.throttle…` lists.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct ThrottleDevice {
    /// The device's major number.
    #[serde(deserialize_with = "or_default")]
    pub major: i64,
    /// The device's minor number.
    #[serde(deserialize_with = "or_default")]
    pub minor: i64,
    /// Bytes or operations a second; 0 for no limit.
    #[serde(deserialize_with = "or_default")]
    pub rate: u64,
}

/// An entry of `linux.resources.hugepageLimits`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct HugepageLimit {
    /// The page size as the kernel's files name it: `64KB`, `2MB`, `1GB`.
    #[serde(rename = "pageSize", deserialize_with = "or_default")]
    pub page_size: String,
    /// Limit in bytes.
    #[serde(deserialize_with = "or_default")]
    pub limit: u64,
}

/// `linux.resources.network`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Network {
    /// The class that packets are tagged with.
    #[serde(rename = "classID")]
    pub class_id: Option<u32>,
    /// Priorities by interface.
    #[serde(deserialize_with = "or_default")]
    pub priorities: Vec<InterfacePriority>,
}

/// An entry of `linux.resources.network.priorities`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct InterfacePriority {
    /// The interface's name in the runtime's network namespace.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// The priority.
    #[serde(deserialize_with = "or_default")]
    pub priority: u32,
}

/// An entry of `linux.resources.rdma`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Rdma {
    /// The most handles.
    pub hca_handles: Option<u32>,
    /// The most objects.
    pub hca_objects: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_the_same_as_absent_everywhere() {
        let with_null = r#"{"devices": null, "memory": null, "cpu": {"shares": null, "cpus": null}, "pids":
            {"limit": null}, "blockIO": {"weight": null, "weightDevice": null}, "hugepageLimits": null,
            "network": {"classID": null, "priorities": null}, "rdma": null, "unified": null}"#;
        let without = r#"{"cpu": {}, "pids": {}, "blockIO": {}, "network": {}}"#;
        let parse = |text| serde_json::from_str::<Resources>(text).expect("resources");
        assert_eq!(parse(with_null), parse(without));
    }

    #[test]
    fn names_are_the_specifications() {
        let text = r#"{"devices": [{"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"}],
            "memory": {"limit": 1, "kernelTCP": -1, "disableOOMKiller": true, "useHierarchy": false,
                "checkBeforeUpdate": true},
            "cpu": {"realtimeRuntime": 2, "realtimePeriod": 3, "mems": "0"},
            "blockIO": {"leafWeight": 4, "throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 5}]},
            "hugepageLimits": [{"pageSize": "2MB", "limit": 6}],
            "network": {"classID": 7, "priorities": [{"name": "eth0", "priority": 8}]},
            "rdma": {"mlx5_1": {"hcaHandles": 9, "hcaObjects": 10}}, "unified": {"pids.max": "11"}}"#;
        let resources: Resources = serde_json::from_str(text).expect("resources");
        let rule = &resources.devices[0];
        assert_eq!(
            (rule.allow, rule.kind.as_str(), rule.major, rule.access.as_str()),
            (true, "c", Some(10), "rw")
        );
        let memory = resources.memory.expect("memory");
        assert_eq!(
            (memory.limit, memory.kernel_tcp, memory.disable_oom_killer),
            (Some(1), Some(-1), Some(true))
        );
        assert!(memory.check_before_update);
        let cpu = resources.cpu.expect("cpu");
        assert_eq!((cpu.realtime_runtime, cpu.realtime_period, cpu.mems.as_str()), (Some(2), Some(3), "0"));
        let block_io = resources.block_io.expect("blockIO");
        assert_eq!((block_io.leaf_weight, block_io.throttle_read_iops_device[0].rate), (Some(4), 5));
        assert_eq!(resources.hugepage_limits[0].page_size, "2MB");
        assert_eq!(resources.network.expect("network").class_id, Some(7));
        assert_eq!(resources.rdma["mlx5_1"].hca_objects, Some(10));
        assert_eq!(resources.unified["pids.max"], "11");
    }
}
