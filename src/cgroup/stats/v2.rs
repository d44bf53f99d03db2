//! The files of cgroup v2, under the names of v1's numbers; see the kernel's `cgroup-v2.rst`.

use super::text::{keyed_devices, ranges, table};
use super::{BlockIo, Cpu, CpuUsage, Cpuset, Files, Hugetlb, Memory, MemoryEntry, Pids, Stats, Throttling};

/// A microsecond in nanoseconds.
const MICROSECOND: u64 = 1000;

pub(super) fn read(files: &Files) -> Stats {
    Stats {
        cpu: cpu(files),
        cpuset: Cpuset {
            cpus: ranges(&files.text("cpuset", "cpuset.cpus.effective")),
            mems: ranges(&files.text("cpuset", "cpuset.mems.effective")),
            ..Cpuset::default()
        },
        memory: memory(files),
        pids: pids(files),
        blkio: block_io(files),
        hugetlb: files.page_sizes("current").into_iter().map(|size| hugetlb(files, size)).collect(),
        rdma: None,
    }
}

fn cpu(files: &Files) -> Cpu {
    let stat = table(&files.text("cpu", "cpu.stat"));
    let of = |name| stat.get(name).copied().unwrap_or_default();
    Cpu {
        usage: CpuUsage {
            total: of("usage_usec") * MICROSECOND,
            kernel: of("system_usec") * MICROSECOND,
            user: of("user_usec") * MICROSECOND,
            ..CpuUsage::default()
        },
        throttling: Throttling {
            periods: of("nr_periods"),
            throttled_periods: of("nr_throttled"),
            throttled_time: of("throttled_usec") * MICROSECOND,
        },
        psi: None,
    }
}

fn memory(files: &Files) -> Memory {
    let number = |file| files.number("memory", file);
    let raw = table(&files.text("memory", "memory.stat"));
    let of = |name| raw.get(name).copied().unwrap_or_default();
    let usage = MemoryEntry {
        limit: number("memory.max"),
        usage: number("memory.current"),
        max: number("memory.peak"),
        failcnt: event(files, "memory", "memory.events"),
    };
    // Here the files count swap alone; who reads these names expects it together with memory.
    let swap = MemoryEntry {
        limit: usage.limit.saturating_add(number("memory.swap.max")),
        usage: usage.usage.saturating_add(number("memory.swap.current")),
        max: 0,
        failcnt: event(files, "memory", "memory.swap.events"),
    };
    let kernel = MemoryEntry { usage: of("kernel"), ..MemoryEntry::default() };
    let kernel_tcp = MemoryEntry { usage: of("sock"), ..MemoryEntry::default() };
    Memory { cache: of("file"), usage, swap, kernel, kernel_tcp, raw, psi: None }
}

/// How often a limit was hit: the line `max` of a file of events.
fn event(files: &Files, controller: &str, file: &str) -> u64 {
    table(&files.text(controller, file)).get("max").copied().unwrap_or_default()
}

fn pids(files: &Files) -> Pids {
    let limit = files.number("pids", "pids.max");
    Pids { current: files.number("pids", "pids.current"), limit: if limit == u64::MAX { 0 } else { limit } }
}

fn block_io(files: &Files) -> BlockIo {
    let stat = files.text("io", "io.stat");
    BlockIo {
        io_service_bytes_recursive: keyed_devices(
            &stat,
            &[("rbytes", "Read"), ("wbytes", "Write"), ("dbytes", "Discard")],
        ),
        io_serviced_recursive: keyed_devices(
            &stat,
            &[("rios", "Read"), ("wios", "Write"), ("dios", "Discard")],
        ),
        ..BlockIo::default()
    }
}

fn hugetlb(files: &Files, size: String) -> (String, Hugetlb) {
    let usage = files.number("hugetlb", &format!("hugetlb.{size}.current"));
    let failcnt = event(files, "hugetlb", &format!("hugetlb.{size}.events"));
    (size, Hugetlb { usage, max: 0, failcnt })
}
