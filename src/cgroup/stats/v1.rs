//! The files of cgroup v1; see the kernel's `admin-guide/cgroup-v1/`.

use super::text::{devices, numbers, ranges, table};
use super::{
    BlockIo, BlockIoEntry, Cpu, CpuUsage, Cpuset, Files, Hugetlb, Memory, MemoryEntry, Pids, Stats,
    Throttling,
};

/// A clock tick of `cpuacct.stat` in nanoseconds: `USER_HZ` is 100 on every architecture but Alpha.
const TICK: u64 = 10_000_000;

pub(super) fn read(files: &Files) -> Stats {
    Stats {
        cpu: cpu(files),
        cpuset: cpuset(files),
        memory: memory(files),
        pids: pids(files),
        blkio: block_io(files),
        hugetlb: files.page_sizes("usage_in_bytes").into_iter().map(|size| hugetlb(files, size)).collect(),
        rdma: None,
    }
}

fn cpu(files: &Files) -> Cpu {
    let throttling = table(&files.text("cpu", "cpu.stat"));
    let ticks = table(&files.text("cpuacct", "cpuacct.stat"));
    let of =
        |table: &std::collections::BTreeMap<String, u64>, name| table.get(name).copied().unwrap_or_default();
    // A header, then `CPU USER SYSTEM` in each line.
    let all = files.text("cpuacct", "cpuacct.usage_all");
    let rows: Vec<Vec<u64>> = all.lines().skip(1).map(numbers).filter(|row| row.len() == 3).collect();
    Cpu {
        usage: CpuUsage {
            total: files.number("cpuacct", "cpuacct.usage"),
            percpu: numbers(&files.text("cpuacct", "cpuacct.usage_percpu")),
            percpu_kernel: rows.iter().map(|row| row[2]).collect(),
            percpu_user: rows.iter().map(|row| row[1]).collect(),
            kernel: of(&ticks, "system") * TICK,
            user: of(&ticks, "user") * TICK,
        },
        throttling: Throttling {
            periods: of(&throttling, "nr_periods"),
            throttled_periods: of(&throttling, "nr_throttled"),
            throttled_time: of(&throttling, "throttled_time"),
        },
        psi: None,
    }
}

fn cpuset(files: &Files) -> Cpuset {
    let number = |file| files.number("cpuset", file);
    Cpuset {
        cpus: ranges(&files.text("cpuset", "cpuset.cpus")),
        cpu_exclusive: number("cpuset.cpu_exclusive"),
        mems: ranges(&files.text("cpuset", "cpuset.mems")),
        mem_hardwall: number("cpuset.mem_hardwall"),
        mem_exclusive: number("cpuset.mem_exclusive"),
        memory_migrate: number("cpuset.memory_migrate"),
        memory_spread_page: number("cpuset.memory_spread_page"),
        memory_spread_slab: number("cpuset.memory_spread_slab"),
        memory_pressure: number("cpuset.memory_pressure"),
        sched_load_balance: number("cpuset.sched_load_balance"),
        sched_relax_domain_level: files
            .text("cpuset", "cpuset.sched_relax_domain_level")
            .trim()
            .parse()
            .unwrap_or_default(),
    }
}

fn memory(files: &Files) -> Memory {
    let entry = |kind: &str| {
        let number = |what: &str| files.number("memory", &format!("memory.{kind}{what}"));
        MemoryEntry {
            limit: number("limit_in_bytes"),
            usage: number("usage_in_bytes"),
            max: number("max_usage_in_bytes"),
            failcnt: number("failcnt"),
        }
    };
    let raw = table(&files.text("memory", "memory.stat"));
    Memory {
        cache: raw.get("cache").copied().unwrap_or_default(),
        usage: entry(""),
        swap: entry("memsw."),
        kernel: entry("kmem."),
        kernel_tcp: entry("kmem.tcp."),
        raw,
        psi: None,
    }
}

fn pids(files: &Files) -> Pids {
    let limit = files.number("pids", "pids.max");
    Pids { current: files.number("pids", "pids.current"), limit: if limit == u64::MAX { 0 } else { limit } }
}

/// The schedulers count most; bytes and operations are counted above them, too, whichever it is.
fn block_io(files: &Files) -> BlockIo {
    let read = |prefixes: &[&str], what: &str| -> Vec<BlockIoEntry> {
        let files = prefixes.iter().map(|prefix| files.text("blkio", &format!("blkio.{prefix}{what}")));
        files.map(|text| devices(&text)).find(|entries| !entries.is_empty()).unwrap_or_default()
    };
    let scheduler = ["bfq.", ""];
    let any = ["bfq.", "", "throttle."];
    BlockIo {
        io_service_bytes_recursive: read(&any, "io_service_bytes_recursive"),
        io_serviced_recursive: read(&any, "io_serviced_recursive"),
        io_queued_recursive: read(&scheduler, "io_queued_recursive"),
        io_service_time_recursive: read(&scheduler, "io_service_time_recursive"),
        io_wait_time_recursive: read(&scheduler, "io_wait_time_recursive"),
        io_merged_recursive: read(&scheduler, "io_merged_recursive"),
        io_time_recursive: read(&scheduler, "time_recursive"),
        sectors_recursive: read(&scheduler, "sectors_recursive"),
        psi: None,
    }
}

fn hugetlb(files: &Files, size: String) -> (String, Hugetlb) {
    let number = |what: &str| files.number("hugetlb", &format!("hugetlb.{size}.{what}"));
    let entry = Hugetlb {
        usage: number("usage_in_bytes"),
        max: number("max_usage_in_bytes"),
        failcnt: number("failcnt"),
    };
    (size, entry)
}
