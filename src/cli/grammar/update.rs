//! The words of `update`.

use crate::cli::quantity;
use clap::Args;

/// `update`.
#[derive(Debug, Args)]
pub struct Update {
    /// The container.
    pub id: String,
    /// Read the limits from a file, or with - from standard input, as JSON of linux.resources; all other options are
    /// ignored then.
    #[arg(short, long, value_name = "FILE|-")]
    pub resources: Option<String>,
    /// Weight of block input and output, 10 to 1000.
    #[arg(long, value_name = "WEIGHT")]
    pub blkio_weight: Option<u16>,
    /// Length of a period of processor time, in microseconds.
    #[arg(long, value_name = "US")]
    pub cpu_period: Option<u64>,
    /// Processor time in each period, in microseconds; -1 for no limit.
    #[arg(long, value_name = "US", allow_hyphen_values = true)]
    pub cpu_quota: Option<i64>,
    /// Unused processor time that may be saved up, in microseconds.
    #[arg(long, value_name = "US")]
    pub cpu_burst: Option<u64>,
    /// Relative share of processor time.
    #[arg(long, value_name = "SHARES")]
    pub cpu_share: Option<u64>,
    /// Length of a period of realtime, in microseconds.
    #[arg(long, value_name = "US")]
    pub cpu_rt_period: Option<u64>,
    /// Realtime in each period, in microseconds.
    #[arg(long, value_name = "US", allow_hyphen_values = true)]
    pub cpu_rt_runtime: Option<i64>,
    /// Processors, as a list of ranges.
    #[arg(long, value_name = "LIST")]
    pub cpuset_cpus: Option<String>,
    /// Memory nodes, as a list of ranges.
    #[arg(long, value_name = "LIST")]
    pub cpuset_mems: Option<String>,
    /// 1 to run only when nobody else wants to, 0 for the default.
    #[arg(long, value_name = "0|1", allow_hyphen_values = true)]
    pub cpu_idle: Option<i64>,
    /// Limit of memory, as 512m; -1 for none.
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true, value_parser = quantity::limit)]
    pub memory: Option<i64>,
    /// Soft limit of memory.
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true, value_parser = quantity::limit)]
    pub memory_reservation: Option<i64>,
    /// Limit of memory and swap together; -1 for none.
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true, value_parser = quantity::limit)]
    pub memory_swap: Option<i64>,
    /// Accepted for callers of old runtimes.
    #[arg(long, hide = true, value_name = "BYTES", allow_hyphen_values = true, value_parser = quantity::limit)]
    pub kernel_memory: Option<i64>,
    /// Accepted for callers of old runtimes.
    #[arg(long, hide = true, value_name = "BYTES", allow_hyphen_values = true, value_parser = quantity::limit)]
    pub kernel_memory_tcp: Option<i64>,
    /// The most tasks there may be; -1 for no limit.
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub pids_limit: Option<i64>,
    /// Share of the cache, as Intel RDT words it.
    #[arg(long, value_name = "SCHEMA")]
    pub l3_cache_schema: Option<String>,
    /// Share of the memory's bandwidth, as Intel RDT words it.
    #[arg(long, value_name = "SCHEMA")]
    pub mem_bw_schema: Option<String>,
}
