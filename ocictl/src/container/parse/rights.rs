//! `--cap-add`, `--device`, `--security-opt`.

use super::Surroundings;
use crate::container::options::{Device, Security};
use crate::error::{Error, Result};

/// `/dev/sda`, `/dev/sda:/dev/xvda`, `/dev/sda:/dev/xvda:rw`.
///
/// # Errors
/// Names what is wrong.
pub fn device(text: &str) -> Result<Device> {
    let parts: Vec<&str> = text.split(':').collect();
    let is_access = |word: &str| !word.is_empty() && word.bytes().all(|letter| b"rwm".contains(&letter));
    let (source, target, access) = match parts[..] {
        [source] => (source, source, "rwm"),
        [source, access] if is_access(access) => (source, source, access),
        [source, target] => (source, target, "rwm"),
        [source, target, access] => (source, target, access),
        _ => return Err(Error::new(format!("\"{text}\" has more than three parts"))),
    };
    if !is_access(access) {
        return Err(Error::new(format!("\"{text}\": \"{access}\" is no access; it is made of r, w and m")));
    }
    for path in [source, target] {
        if !path.starts_with('/') {
            return Err(Error::new(format!("\"{text}\": \"{path}\" is not an absolute path")));
        }
    }
    Ok(Device { source: source.into(), target: target.into(), access: access.into() })
}

/// A capability as the kernel's headers name it; `all` for each there is.
///
/// # Errors
/// Names the word.
pub fn capability(text: &str) -> Result<String> {
    let upper = text.to_ascii_uppercase();
    if upper == "ALL" {
        return Ok(upper);
    }
    let name = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
    match crate::container::spec::capabilities::ALL.contains(&name.as_str()) {
        true => Ok(name),
        false => Err(Error::new(format!("\"{text}\" is no capability"))),
    }
}

/// `--security-opt`.
///
/// # Errors
/// Names what is wrong, and a profile that cannot be read.
pub fn security_option(text: &str, security: &mut Security, surroundings: &dyn Surroundings) -> Result<()> {
    let (key, value) = text.split_once(['=', ':']).unwrap_or((text, ""));
    match (key, value) {
        ("no-new-privileges", "" | "true") => security.no_new_privileges = true,
        ("no-new-privileges", "false") => security.no_new_privileges = false,
        // The last word counts.
        ("seccomp", "unconfined") => (security.seccomp, security.seccomp_unconfined) = (None, true),
        ("seccomp", "builtin" | "default") => (security.seccomp, security.seccomp_unconfined) = (None, false),
        ("seccomp", path) if !path.is_empty() => {
            let profile = surroundings.read(path)?;
            let value: serde_json::Value = serde_json::from_str(&profile)
                .map_err(|error| Error::new(format!("seccomp profile {path}: {error}")))?;
            if value.get("defaultAction").is_none() {
                return Err(Error::new(format!("seccomp profile {path}: it has no defaultAction")));
            }
            (security.seccomp, security.seccomp_unconfined) = (Some(profile), false);
        }
        ("apparmor", profile) if !profile.is_empty() => security.apparmor = profile.into(),
        ("label", "disable") => security.selinux = String::new(),
        ("label", label) if label.split(':').count() >= 4 => security.selinux = label.into(),
        ("mask", paths) if !paths.is_empty() => security.mask.extend(paths.split(':').map(String::from)),
        ("unmask", paths) if !paths.is_empty() => security.unmask.extend(paths.split(':').map(String::from)),
        ("proc-opts", words) if !words.is_empty() => {
            for word in words.split(',') {
                let (key, value) = word.split_once('=').unwrap_or((word, ""));
                let is_known = match key {
                    "hidepid" => matches!(
                        value,
                        "0" | "1" | "2" | "4" | "off" | "noaccess" | "invisible" | "ptraceable"
                    ),
                    "subset" => value == "pid",
                    "gid" => value.parse::<u32>().is_ok(),
                    _ => false,
                };
                if !is_known {
                    return Err(Error::new(format!(
                        "\"{word}\" is none of hidepid=MODE, gid=GROUP, subset=pid"
                    )));
                }
                security.proc_options.push(word.into());
            }
        }
        ("systempaths", "unconfined") => security.unmask.push("ALL".into()),
        _ => {
            return Err(Error::new(format!(
                "\"{text}\" is none of no-new-privileges, seccomp=FILE|unconfined, apparmor=PROFILE, label=LABEL|disable, mask=PATH, unmask=PATH|ALL, proc-opts=OPTIONS"
            )));
        }
    }
    Ok(())
}
