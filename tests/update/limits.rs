//! What the kernel shows of a container's limits, in the same words for both generations of cgroups.

use crate::support::{Bundle, cgroups};
use std::fs;
use std::path::PathBuf;

/// How a limit that is none is shown here.
pub const NONE: u64 = u64::MAX;

/// The limits of a container; those of memory in bytes, times in microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub memory: u64,
    /// Memory and swap together.
    pub swap: u64,
    pub reservation: u64,
    pub shares: u64,
    pub quota: u64,
    pub period: u64,
    pub burst: u64,
    pub idle: u64,
    pub cpus: String,
    pub mems: String,
    pub pids: u64,
}

/// How many shares are shown for so many that were asked for: cgroup v2 has weights.
pub fn shares(asked: u64) -> u64 {
    if cgroups::v1("cpu").is_some() {
        return asked;
    }
    let log = (asked as f64).log2();
    10f64.powf((log * log + 125.0 * log - 126.0) / 612.0).ceil() as u64
}

/// The reservation that is shown for one that was asked for: newer kernels keep none on v1.
pub fn reservation(asked: u64) -> u64 {
    if cgroups::v1("memory").is_some() && !cgroups::keeps_soft_limits() { NONE } else { asked }
}

/// The shares that an idle cgroup shows; on v2 older kernels show 0, which is made 1 in [`shown`].
pub fn idle_shares() -> u64 {
    if cgroups::v1("cpu").is_some() { 3 } else { 1 }
}

/// Reads all limits.
#[track_caller]
pub fn shown(bundle: &Bundle) -> Shown {
    if cgroups::v1("memory").is_some() { v1(bundle) } else { v2(bundle) }
}

fn v1(bundle: &Bundle) -> Shown {
    let read = |controller: &str, file: &str| {
        let path: PathBuf = cgroups::v1(controller).unwrap().join(&bundle.id).join(file);
        fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
    };
    let limit = |controller: &str, file: &str| number(&read(controller, file));
    Shown {
        memory: limit("memory", "memory.limit_in_bytes"),
        swap: limit("memory", "memory.memsw.limit_in_bytes"),
        reservation: limit("memory", "memory.soft_limit_in_bytes"),
        shares: limit("cpu", "cpu.shares"),
        quota: limit("cpu", "cpu.cfs_quota_us"),
        period: limit("cpu", "cpu.cfs_period_us"),
        burst: limit("cpu", "cpu.cfs_burst_us"),
        idle: limit("cpu", "cpu.idle"),
        cpus: read("cpuset", "cpuset.cpus"),
        mems: read("cpuset", "cpuset.mems"),
        pids: limit("pids", "pids.max"),
    }
}

fn v2(bundle: &Bundle) -> Shown {
    let read = |file: &str| {
        let path = PathBuf::from("/sys/fs/cgroup").join(&bundle.id).join(file);
        fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
    };
    let limit = |file: &str| number(&read(file));
    let (memory, swap, cpu) = (limit("memory.max"), limit("memory.swap.max"), read("cpu.max"));
    let (quota, period) = cpu.split_once(' ').unwrap();
    Shown {
        memory,
        swap: memory.saturating_add(swap),
        reservation: limit("memory.low"),
        shares: limit("cpu.weight").max(1),
        quota: number(quota),
        period: number(period),
        burst: limit("cpu.max.burst"),
        idle: limit("cpu.idle"),
        cpus: read("cpuset.cpus"),
        mems: read("cpuset.mems"),
        pids: limit("pids.max"),
    }
}

/// Reads a number; one that is no limit in its generation is [`NONE`], one that is not there 0.
fn number(text: &str) -> u64 {
    match text {
        "max" | "-1" => NONE,
        "" => 0,
        text => match text.parse::<u64>().unwrap() {
            bytes if bytes > i64::MAX as u64 - (1 << 16) => NONE,
            bytes => bytes,
        },
    }
}
