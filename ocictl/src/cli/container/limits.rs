//! Limits as typed, and what they mean: of `run` and `create`, and of `update`.

use crate::container::options::Resources;
use crate::container::parse;
use crate::error::{Error, Result};

/// The kernel counts memory by pages; what is less is no memory at all.
const A_PAGE: i64 = 4096;

/// Limits, which `update` takes, too.
#[derive(Debug, clap::Args)]
pub struct Limits {
    /// Bytes of memory
    #[arg(long, short, value_name = "SIZE")]
    memory: Option<String>,
    /// Bytes of memory and swap; -1 for any
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    memory_swap: Option<String>,
    /// Bytes that are taken back last
    #[arg(long, value_name = "SIZE")]
    memory_reservation: Option<String>,
    /// How many CPUs it may use
    #[arg(long, value_name = "NUMBER")]
    cpus: Option<String>,
    /// Microseconds of a period
    #[arg(long, value_name = "US")]
    cpu_period: Option<u64>,
    /// Microseconds of a period that it may run
    #[arg(long, value_name = "US", allow_hyphen_values = true)]
    cpu_quota: Option<i64>,
    /// Weight against others, 1024 by default
    #[arg(long, short = 'c', value_name = "WEIGHT")]
    cpu_shares: Option<u64>,
    /// CPUs to run on: 0-2,4
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// Memory nodes to use
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// Processes; -1 for any
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pids_limit: Option<i64>,
    /// Weight of its input and output, 10 to 1000
    #[arg(long, value_name = "WEIGHT", value_parser = clap::value_parser!(u16).range(10..=1000))]
    blkio_weight: Option<u16>,
}

impl Limits {
    /// What they mean.
    ///
    /// # Errors
    /// Names the option and its word.
    pub fn meant(&self) -> Result<Resources> {
        let bytes = |option: &str, text: &Option<String>| one(option, text, parse::bytes_or_any);
        let memory = bytes("--memory", &self.memory)?;
        if let Some(few) = memory.filter(|bytes| (1..A_PAGE).contains(bytes)) {
            let sentence = format!(
                "--memory: {few} bytes are less than a page of memory, {A_PAGE}; such sizes are 64m, 2g"
            );
            return Err(Error::new(sentence).exit_code(125));
        }
        if self.cpus.is_some() && (self.cpu_period.is_some() || self.cpu_quota.is_some()) {
            return Err(
                Error::new("--cpus and --cpu-period or --cpu-quota say the same thing twice").exit_code(125)
            );
        }
        Ok(Resources {
            memory,
            memory_swap: bytes("--memory-swap", &self.memory_swap)?,
            memory_reservation: bytes("--memory-reservation", &self.memory_reservation)?,
            oom_kill_disable: false,
            cpu_millis: one("--cpus", &self.cpus, parse::cpus)?.filter(|millis| *millis > 0),
            cpu_period: self.cpu_period,
            cpu_quota: self.cpu_quota,
            cpu_shares: self.cpu_shares,
            cpuset_cpus: self.cpuset_cpus.clone().unwrap_or_default(),
            cpuset_mems: self.cpuset_mems.clone().unwrap_or_default(),
            pids: self.pids_limit,
            blkio_weight: self.blkio_weight,
        })
    }
}

/// What one word of an option means, if it was typed.
///
/// # Errors
/// Names the option and its word.
pub(super) fn one<T>(
    option: &str,
    text: &Option<String>,
    parse: impl Fn(&str) -> Result<T>,
) -> Result<Option<T>> {
    let parsed = text.as_deref().map(parse).transpose();
    parsed.map_err(|error| error.context(option.to_owned()).exit_code(125))
}
