//! What a cgroup has used: the numbers of `events --stats`, under the names that runc gave them.
//!
//! A controller that is not there leaves zeros, which are left out as runc leaves them out. Times are in nanoseconds, sizes
//! in bytes. `v1` and `v2` read the files of their generation, `text` takes them apart.

mod text;
mod v1;
mod v2;

use super::directory;
use crate::host::cgroup::Mode;
use crate::plan::cgroup::Location;
use rustix::fs::CWD;
use serde::Serialize;
use std::collections::BTreeMap;

/// Everything that is counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Processor time.
    pub cpu: Cpu,
    /// Where it may run and keep its memory.
    pub cpuset: Cpuset,
    /// Memory and swap.
    pub memory: Memory,
    /// Tasks.
    pub pids: Pids,
    /// Block devices.
    pub blkio: BlockIo,
    /// Huge pages, by size: `2MB`.
    pub hugetlb: BTreeMap<String, Hugetlb>,
    /// Remote direct memory access; nothing without an adapter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rdma: Option<Rdma>,
}

/// Processor time.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Cpu {
    /// How much was used.
    pub usage: CpuUsage,
    /// How often the quota was used up.
    pub throttling: Throttling,
    /// Time lost in waiting for a processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// Processor time in nanoseconds; by processor on v1 only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CpuUsage {
    /// All.
    #[serde(skip_serializing_if = "is_zero")]
    pub total: u64,
    /// All, by processor.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu: Vec<u64>,
    /// In the kernel, by processor.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_kernel: Vec<u64>,
    /// In programs, by processor.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_user: Vec<u64>,
    /// In the kernel.
    pub kernel: u64,
    /// In programs.
    pub user: u64,
}

/// How often the quota was used up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Throttling {
    /// Periods in which it ran.
    #[serde(skip_serializing_if = "is_zero")]
    pub periods: u64,
    /// Periods in which it was stopped.
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled_periods: u64,
    /// How long it was stopped, in nanoseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled_time: u64,
}

/// Pressure stall information; see the kernel's accounting/psi.rst.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Pressure {
    /// Some task had to wait.
    pub some: Stalled,
    /// All tasks had to wait.
    pub full: Stalled,
}

/// The part of the time, in percent of the last 10, 60 and 300 seconds, and all of it in microseconds, under the names of the
/// kernel's file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Stalled {
    pub avg10: f64,
    pub avg60: f64,
    pub avg300: f64,
    pub total: u64,
}

/// Processors and memory nodes. The switches are those of v1, under the names of its files; see cgroup-v1/cpusets.rst.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Cpuset {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<u32>,
    pub cpu_exclusive: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mems: Vec<u32>,
    pub mem_hardwall: u64,
    pub mem_exclusive: u64,
    pub memory_migrate: u64,
    pub memory_spread_page: u64,
    pub memory_spread_slab: u64,
    pub memory_pressure: u64,
    pub sched_load_balance: u64,
    pub sched_relax_domain_level: i64,
}

/// Memory and swap.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Memory {
    /// Cached files.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache: u64,
    /// All memory.
    pub usage: MemoryEntry,
    /// Memory and swap together, on v2 too.
    pub swap: MemoryEntry,
    /// The kernel's own.
    pub kernel: MemoryEntry,
    /// The buffers of TCP (v1 only).
    #[serde(rename = "kernelTCP")]
    pub kernel_tcp: MemoryEntry,
    /// `memory.stat`, as it is.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub raw: BTreeMap<String, u64>,
    /// Time lost in waiting for memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// A kind of memory, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct MemoryEntry {
    /// The limit; on v2 the greatest number for none.
    pub limit: u64,
    /// What is used now.
    #[serde(skip_serializing_if = "is_zero")]
    pub usage: u64,
    /// The most that was used.
    #[serde(skip_serializing_if = "is_zero")]
    pub max: u64,
    /// How often the limit was hit.
    pub failcnt: u64,
}

/// Tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Pids {
    /// How many there are.
    #[serde(skip_serializing_if = "is_zero")]
    pub current: u64,
    /// How many there may be; 0 for no limit.
    #[serde(skip_serializing_if = "is_zero")]
    pub limit: u64,
}

/// Block devices; the longer lists are those of v1's schedulers.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockIo {
    /// Bytes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_bytes_recursive: Vec<BlockIoEntry>,
    /// Operations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_serviced_recursive: Vec<BlockIoEntry>,
    /// Operations that wait.
    #[serde(rename = "ioQueueRecursive", skip_serializing_if = "Vec::is_empty")]
    pub io_queued_recursive: Vec<BlockIoEntry>,
    /// Nanoseconds of operations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_time_recursive: Vec<BlockIoEntry>,
    /// Nanoseconds of waiting.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_wait_time_recursive: Vec<BlockIoEntry>,
    /// Operations that were merged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_merged_recursive: Vec<BlockIoEntry>,
    /// Milliseconds of the device.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_time_recursive: Vec<BlockIoEntry>,
    /// Sectors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sectors_recursive: Vec<BlockIoEntry>,
    /// Time lost in waiting for devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// One number of one device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BlockIoEntry {
    /// The device's major number.
    #[serde(skip_serializing_if = "is_zero")]
    pub major: u64,
    /// The device's minor number.
    #[serde(skip_serializing_if = "is_zero")]
    pub minor: u64,
    /// `Read`, `Write`, `Discard`…; empty where it is not told apart.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub op: String,
    /// How much.
    #[serde(skip_serializing_if = "is_zero")]
    pub value: u64,
}

/// Huge pages of one size, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Hugetlb {
    /// What is used now.
    #[serde(skip_serializing_if = "is_zero")]
    pub usage: u64,
    /// The most that was used (v1 only).
    #[serde(skip_serializing_if = "is_zero")]
    pub max: u64,
    /// How often the limit was hit.
    pub failcnt: u64,
}

/// Remote direct memory access.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Rdma {
    /// What may be used.
    #[serde(rename = "rdma_limit")]
    pub limit: Vec<RdmaEntry>,
    /// What is used.
    #[serde(rename = "rdma_current")]
    pub current: Vec<RdmaEntry>,
}

/// One adapter; the greatest numbers are no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RdmaEntry {
    /// Its name.
    pub device: String,
    /// Handles.
    pub hca_handles: u32,
    /// Objects.
    pub hca_objects: u32,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Reads everything.
pub(super) fn read(location: &Location) -> Stats {
    let files = Files { location };
    let mut stats = match location.mode {
        Mode::V2 => v2::read(&files),
        Mode::None | Mode::V1 | Mode::Hybrid => v1::read(&files),
    };
    // The unified tree tells of pressure, beside v1 controllers as well.
    stats.cpu.psi = files.pressure("cpu.pressure");
    stats.memory.psi = files.pressure("memory.pressure");
    stats.blkio.psi = files.pressure("io.pressure");
    stats.rdma = files.rdma();
    stats
}

/// The files of a cgroup, by the controller that they belong to.
struct Files<'a> {
    location: &'a Location,
}

impl Files<'_> {
    /// The directory that has a controller's files, in either generation.
    fn directory(&self, controller: &str) -> Option<&str> {
        let directory = match self.location.mode {
            Mode::V2 => self.location.directories.first(),
            _ => self.location.index_of(controller).map(|index| &self.location.directories[index]),
        };
        directory.map(|directory| directory.path.as_str())
    }

    /// A file's text; empty where there is none.
    fn text(&self, controller: &str, file: &str) -> String {
        let path = self.directory(controller).map(|directory| format!("{directory}/{file}"));
        path.and_then(|path| directory::read(CWD, &path).ok()).unwrap_or_default()
    }

    /// A file's number; 0 where there is none.
    fn number(&self, controller: &str, file: &str) -> u64 {
        text::number(&self.text(controller, file))
    }

    fn pressure(&self, file: &str) -> Option<Pressure> {
        let path = &self.location.unified()?.path;
        directory::read(CWD, &format!("{path}/{file}")).ok().and_then(|content| text::pressure(&content))
    }

    fn rdma(&self) -> Option<Rdma> {
        let entries = |file| text::rdma(&self.text("rdma", file));
        let rdma = Rdma { limit: entries("rdma.max"), current: entries("rdma.current") };
        (rdma != Rdma::default()).then_some(rdma)
    }

    /// The page sizes of which a directory has a file `hugetlb.SIZE.SUFFIX`.
    fn page_sizes(&self, suffix: &str) -> Vec<String> {
        let Some(directory) = self.directory("hugetlb") else { return Vec::new() };
        let names = directory::open(directory).and_then(directory::files).unwrap_or_default();
        let size = |name: &String| {
            let size = name.strip_prefix("hugetlb.")?.strip_suffix(suffix)?.strip_suffix('.')?;
            (!size.contains('.')).then(|| size.to_owned())
        };
        names.iter().filter_map(size).collect()
    }
}
