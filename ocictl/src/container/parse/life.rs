//! Namespaces, restart policies, logs, names of hosts.

use super::{Surroundings, bytes_or_any};
use crate::container::options::{Log, LogDriver, Namespace, OnUnhealthy, Restart};
use crate::error::{Error, Result};

/// `--network`, `--pid`, …: `host`, `private`, `container:NAME`, `ns:PATH`.
///
/// # Errors
/// Names what is wrong.
pub fn namespace(text: &str) -> Result<Namespace> {
    match text.split_once(':') {
        None if text == "host" => Ok(Namespace::Host),
        None if matches!(text, "private" | "none" | "shareable" | "") => Ok(Namespace::Private),
        Some(("container", name)) if !name.is_empty() => Ok(Namespace::Container(name.into())),
        Some(("ns", path)) if path.starts_with('/') => Ok(Namespace::Path(path.into())),
        _ => Err(Error::new(format!("\"{text}\" is none of host, private, container:NAME, ns:PATH"))),
    }
}

/// `--network` as far as there are networks: `none`, `host`, `container:NAME`, `ns:PATH`.
///
/// # Errors
/// Names what is wrong.
pub fn network(text: &str) -> Result<Namespace> {
    match text {
        "bridge" | "default" | "pasta" | "slirp4netns" => {
            Err(Error::new(format!("\"{text}\": this version knows none, host, container:NAME and ns:PATH")))
        }
        "private" | "shareable" | "" => {
            Err(Error::new(format!("\"{text}\" is none of none, host, container:NAME, ns:PATH")))
        }
        text => namespace(text).map_err(|_| {
            Error::new(format!(
                "\"{text}\" is no network: this version knows none, host, container:NAME and ns:PATH"
            ))
        }),
    }
}

/// `--restart`.
///
/// # Errors
/// Names what is wrong.
pub fn restart(text: &str) -> Result<Restart> {
    match text.split_once(':') {
        None => match text {
            "no" | "" => Ok(Restart::No),
            "on-failure" => Ok(Restart::OnFailure(0)),
            "always" => Ok(Restart::Always),
            "unless-stopped" => Ok(Restart::UnlessStopped),
            _ => Err(Error::new(format!("\"{text}\" is none of no, on-failure[:N], always, unless-stopped"))),
        },
        Some(("on-failure", number)) => {
            let number =
                number.parse().map_err(|_| Error::new(format!("\"{text}\": \"{number}\" is no number")))?;
            Ok(Restart::OnFailure(number))
        }
        Some(_) => Err(Error::new(format!("\"{text}\": only on-failure has a number"))),
    }
}

/// `--log-driver`.
///
/// # Errors
/// Names the word.
pub fn log_driver(text: &str) -> Result<LogDriver> {
    match text {
        "k8s-file" | "" => Ok(LogDriver::K8sFile),
        "json-file" | "local" => Ok(LogDriver::JsonFile),
        "none" | "passthrough-none" => Ok(LogDriver::None),
        _ => Err(Error::new(format!("\"{text}\" is none of k8s-file, json-file, none"))),
    }
}

/// `--log-opt`: `max-size=10m`, `max-file=3`, `path=FILE`.
///
/// # Errors
/// Names what is wrong.
pub fn log_option(text: &str, log: &mut Log, surroundings: &dyn Surroundings) -> Result<()> {
    let (key, value) =
        text.split_once('=').ok_or_else(|| Error::new(format!("\"{text}\" is not KEY=VALUE")))?;
    match key {
        "max-size" => log.max_bytes = bytes_or_any(value)?.max(0).unsigned_abs(),
        "max-file" => {
            let number = value.parse().ok().filter(|number| (1..=1000).contains(number));
            log.max_files = number
                .ok_or_else(|| Error::new(format!("max-file: \"{value}\" is not between 1 and 1000")))?;
        }
        "path" => log.path = surroundings.absolute(value),
        _ => return Err(Error::new(format!("\"{key}\" is none of max-size, max-file, path"))),
    }
    Ok(())
}

/// `--add-host NAME:ADDRESS`.
///
/// # Errors
/// Names what is wrong.
pub fn host(text: &str) -> Result<(String, String)> {
    let (name, address) =
        text.split_once([':', '=']).ok_or_else(|| Error::new(format!("\"{text}\" is not NAME:ADDRESS")))?;
    let bare = address.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<std::net::IpAddr>().is_err() {
        return Err(Error::new(format!("\"{text}\": \"{address}\" is no IP address")));
    }
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(Error::new(format!("\"{text}\": \"{name}\" is no host name")));
    }
    Ok((name.into(), bare.into()))
}

/// `--health-on-failure`.
///
/// # Errors
/// Names the word.
pub fn on_unhealthy(text: &str) -> Result<OnUnhealthy> {
    match text {
        "none" => Ok(OnUnhealthy::None),
        "kill" => Ok(OnUnhealthy::Kill),
        "restart" => Ok(OnUnhealthy::Restart),
        "stop" => Ok(OnUnhealthy::Stop),
        _ => Err(Error::new(format!("\"{text}\" is none of none, kill, restart, stop"))),
    }
}
