//! The life of a container as typed: its end, its restarts, its health, its log.

use super::Caller;
use super::limits::one;
use crate::container::options::{HealthTyped, Log};
use crate::container::parse;
use crate::error::{Error, Result};

/// What becomes of a container in its life.
#[derive(Debug, clap::Args)]
pub(super) struct Life {
    /// A limit of a process: nofile=1024:2048
    #[arg(long, value_name = "LIMIT")]
    pub(super) ulimit: Vec<String>,
    /// Let it wait when memory runs out
    #[arg(long)]
    pub(super) oom_kill_disable: bool,
    /// How soon the kernel ends it when memory runs out
    #[arg(long, value_name = "SCORE", allow_hyphen_values = true, value_parser = clap::value_parser!(i32).range(-1000..=1000))]
    pub(super) oom_score_adj: Option<i32>,
    /// The cgroup in which its own is made
    #[arg(long, value_name = "CGROUP")]
    pub(super) cgroup_parent: Option<String>,
    /// no, on-failure[:N], always, unless-stopped
    #[arg(long, value_name = "POLICY", default_value = "no")]
    pub(super) restart: String,
    /// The signal that asks it to end
    #[arg(long, value_name = "SIGNAL")]
    pub(super) stop_signal: Option<String>,
    /// Seconds between that and SIGKILL
    #[arg(long, value_name = "SECONDS")]
    pub(super) stop_timeout: Option<u64>,
    /// How to find out whether it is well; none for not at all
    #[arg(long, value_name = "COMMAND")]
    health_cmd: Option<String>,
    /// Time between two checks
    #[arg(long, value_name = "DURATION")]
    health_interval: Option<String>,
    /// Time after which a check has failed
    #[arg(long, value_name = "DURATION")]
    health_timeout: Option<String>,
    /// Time at the start in which failures do not count
    #[arg(long, value_name = "DURATION")]
    health_start_period: Option<String>,
    /// Time between two checks while starting
    #[arg(long, value_name = "DURATION")]
    health_start_interval: Option<String>,
    /// Failures in a row until it counts as unhealthy
    #[arg(long, value_name = "NUMBER")]
    health_retries: Option<u32>,
    /// What happens then: none, kill, restart, stop
    #[arg(long, value_name = "ACTION", default_value = "none")]
    health_on_failure: String,
    /// No health check
    #[arg(long)]
    no_healthcheck: bool,
    /// k8s-file, json-file or none
    #[arg(long, value_name = "DRIVER", default_value = "k8s-file")]
    log_driver: String,
    /// max-size=SIZE, max-file=N, path=FILE
    #[arg(long, value_name = "OPTION")]
    log_opt: Vec<String>,
}

impl Life {
    /// What happens to what it prints.
    ///
    /// # Errors
    /// Names the option and its word.
    pub(super) fn log(&self) -> Result<Log> {
        let driver = parse::log_driver(&self.log_driver)
            .map_err(|error| error.context("--log-driver").exit_code(125))?;
        let mut log = Log { driver, ..Log::default() };
        for word in &self.log_opt {
            parse::log_option(word, &mut log, &Caller)
                .map_err(|error| error.context("--log-opt").exit_code(125))?;
        }
        Ok(log)
    }

    /// What was typed of its health check.
    ///
    /// # Errors
    /// Names the option and its word.
    pub(super) fn health(&self) -> Result<HealthTyped> {
        let duration = |option: &str, text: &Option<String>| one(option, text, parse::duration);
        let typed = [
            ("--health-cmd", self.health_cmd.is_some()),
            ("--health-interval", self.health_interval.is_some()),
            ("--health-timeout", self.health_timeout.is_some()),
            ("--health-start-period", self.health_start_period.is_some()),
            ("--health-start-interval", self.health_start_interval.is_some()),
            ("--health-retries", self.health_retries.is_some()),
        ];
        if let Some((option, _)) = typed.iter().find(|(_, typed)| self.no_healthcheck && *typed) {
            return Err(
                Error::new(format!("--no-healthcheck and {option} exclude each other")).exit_code(125)
            );
        }
        Ok(HealthTyped {
            command: self.health_cmd.clone(),
            interval: duration("--health-interval", &self.health_interval)?,
            timeout: duration("--health-timeout", &self.health_timeout)?,
            start_period: duration("--health-start-period", &self.health_start_period)?,
            start_interval: duration("--health-start-interval", &self.health_start_interval)?,
            retries: self.health_retries,
            on_failure: parse::on_unhealthy(&self.health_on_failure)
                .map_err(|error| error.context("--health-on-failure").exit_code(125))?,
            off: self.no_healthcheck,
        })
    }
}
