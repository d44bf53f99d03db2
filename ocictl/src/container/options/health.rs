//! Health checks: as they were typed, over the image's, with docker's defaults.

use crate::oci::Healthcheck;
use serde::{Deserialize, Serialize};

/// A health check with every default in place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// As it was written: `CMD` or `CMD-SHELL` and the words.
    pub test: Vec<String>,
    /// Milliseconds between two checks.
    pub interval_ms: u64,
    /// Milliseconds after which a check has failed.
    pub timeout_ms: u64,
    /// Milliseconds at the start in which failures do not count.
    pub start_period_ms: u64,
    /// Milliseconds between two checks while starting.
    pub start_interval_ms: u64,
    /// Failures in a row until it counts as unhealthy.
    pub retries: u32,
    /// What happens then.
    pub on_failure: OnUnhealthy,
}

/// What happens to an unhealthy container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnUnhealthy {
    /// It is told, no more.
    #[default]
    None,
    /// It is killed; the restart policy says what follows.
    Kill,
    /// It is started anew.
    Restart,
    /// It is stopped.
    Stop,
}

/// What was typed of a health check, each over the image's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthTyped {
    /// `--health-cmd`: `none`, a JSON list, or a line for the shell.
    pub command: Option<String>,
    /// Nanoseconds each.
    pub interval: Option<u64>,
    /// As above.
    pub timeout: Option<u64>,
    /// As above.
    pub start_period: Option<u64>,
    /// As above.
    pub start_interval: Option<u64>,
    /// Failures in a row.
    pub retries: Option<u32>,
    /// `--health-on-failure`.
    pub on_failure: OnUnhealthy,
    /// `--no-healthcheck`.
    pub off: bool,
}

/// The check that follows from what was typed and the image's; nothing for none.
pub(super) fn health(typed: &HealthTyped, image: Option<&Healthcheck>) -> Option<Health> {
    const MS: u64 = 1_000_000;
    let test = match &typed.command {
        Some(text) => match serde_json::from_str::<Vec<String>>(text) {
            Ok(words)
                if words
                    .first()
                    .is_some_and(|word| matches!(word.as_str(), "CMD" | "CMD-SHELL" | "NONE")) =>
            {
                words
            }
            Ok(words) => [vec!["CMD".to_owned()], words].concat(),
            Err(_) if text == "none" => vec!["NONE".into()],
            Err(_) => vec!["CMD-SHELL".into(), text.clone()],
        },
        None => image.map(|image| image.test.clone()).unwrap_or_default(),
    };
    let command = match test.split_first() {
        Some((kind, words)) if kind == "CMD" => words.to_vec(),
        Some((kind, words)) if kind == "CMD-SHELL" => vec!["/bin/sh".into(), "-c".into(), words.join(" ")],
        _ => Vec::new(),
    };
    if typed.off || command.is_empty() {
        return None;
    }
    let nanos = |typed: Option<u64>, image: Option<i64>, default: u64| {
        // Zero stands for the default, as with docker.
        typed
            .filter(|value| *value > 0)
            .or_else(|| image.and_then(|value| u64::try_from(value).ok()).filter(|value| *value > 0))
            .unwrap_or(default)
    };
    let default = Healthcheck::default();
    let image = image.unwrap_or(&default);
    let interval = nanos(typed.interval, Some(image.interval), 30_000 * MS);
    Some(Health {
        command,
        test,
        interval_ms: interval / MS,
        timeout_ms: nanos(typed.timeout, Some(image.timeout), 30_000 * MS) / MS,
        start_period_ms: nanos(typed.start_period, Some(image.start_period), 0) / MS,
        start_interval_ms: nanos(
            typed.start_interval,
            Some(image.start_interval),
            (5_000 * MS).min(interval),
        ) / MS,
        retries: typed
            .retries
            .filter(|retries| *retries > 0)
            .or(u32::try_from(image.retries).ok().filter(|retries| *retries > 0))
            .unwrap_or(3),
        on_failure: typed.on_failure,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_health_check_has_dockers_defaults_and_what_was_typed_over_the_images() {
        let image = Healthcheck {
            test: strings(&["CMD", "true"]),
            interval: 1_000_000_000,
            ..Healthcheck::default()
        };
        let check = health(&HealthTyped::default(), Some(&image)).expect("the image has one");
        assert_eq!(
            (check.interval_ms, check.timeout_ms, check.retries, check.start_interval_ms),
            (1000, 30_000, 3, 1000)
        );
        let typed =
            HealthTyped { command: Some("exit 1".into()), retries: Some(1), ..HealthTyped::default() };
        let check = health(&typed, Some(&image)).expect("typed");
        assert_eq!(check.command, strings(&["/bin/sh", "-c", "exit 1"]));
        assert_eq!((check.interval_ms, check.retries), (1000, 1));
        for command in ["none", r#"["NONE"]"#] {
            let typed = HealthTyped { command: Some(command.into()), ..HealthTyped::default() };
            assert_eq!(health(&typed, Some(&image)), None);
        }
        assert_eq!(health(&HealthTyped { off: true, ..HealthTyped::default() }, Some(&image)), None);
    }
}
