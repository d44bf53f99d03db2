//! The words of options made into values: `512m`, `1m30s`, `nofile=1024:2048`, `./src:/app:ro`, `type=bind,…`. Pure; each error names
//! the word that is wrong, the caller adds the option's name.

use super::options::{
    Device, Log, LogDriver, Mount, MountKind, Namespace, OnUnhealthy, Restart, Rootfs, Security, Ulimit,
};
use crate::error::{Error, Result};

/// What a relative path, or a profile's file, is read with: the caller's directory and its files.
pub trait Surroundings {
    /// An absolute path for one that is relative to the caller's directory.
    fn absolute(&self, path: &str) -> String;
    /// The content of a file.
    ///
    /// # Errors
    /// Names the file.
    fn read(&self, path: &str) -> Result<String>;
}

/// Bytes: `1048576`, `512k`, `64m`, `2gb`, `1.5g`, `1GiB`.
///
/// # Errors
/// Names the text.
pub fn bytes(text: &str) -> Result<u64> {
    let bad = || Error::new(format!("\"{text}\" is no size; such are 1048576, 512k, 64m, 2g"));
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let shift = match unit.trim() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(bad()),
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(1 << shift).filter(|bytes| *bytes <= i64::MAX as u64).ok_or_else(bad);
    }
    let (whole, part) = number.split_once('.').ok_or_else(bad)?;
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| bad())? };
    let scale = 10u64
        .checked_pow(u32::try_from(part.len()).map_err(|_| bad())?)
        .filter(|scale| *scale <= 1_000_000)
        .ok_or_else(bad)?;
    let part: u64 = part.parse().map_err(|_| bad())?;
    whole
        .checked_mul(1 << shift)
        .and_then(|bytes| bytes.checked_add((part << shift) / scale))
        .filter(|bytes| *bytes <= i64::MAX as u64)
        .ok_or_else(bad)
}

/// Bytes, or -1 for any number of them.
///
/// # Errors
/// As [`bytes`].
pub fn bytes_or_any(text: &str) -> Result<i64> {
    if text == "-1" {
        return Ok(-1);
    }
    Ok(i64::try_from(bytes(text)?).unwrap_or(i64::MAX))
}

/// Nanoseconds, as Go writes durations: `30s`, `1m30s`, `500ms`, `1.5h`, `0`.
///
/// # Errors
/// Names the text.
pub fn duration(text: &str) -> Result<u64> {
    let bad = || Error::new(format!("\"{text}\" is no duration; such are 500ms, 30s, 1m30s, 2h"));
    if text == "0" {
        return Ok(0);
    }
    let mut rest = text;
    let mut total = 0u64;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').ok_or_else(bad)?;
        let (number, after) = rest.split_at(digits);
        let letters =
            after.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let nanos: u64 = match unit {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err(bad()),
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let whole: u64 = whole.parse().map_err(|_| bad())?;
        let scale = 10u64
            .checked_pow(u32::try_from(part.len()).map_err(|_| bad())?)
            .filter(|scale| *scale <= 1_000_000)
            .ok_or_else(bad)?;
        let part: u64 = part.parse().map_err(|_| bad())?;
        let value =
            whole.checked_mul(nanos).and_then(|value| value.checked_add((nanos / scale).checked_mul(part)?));
        total = value.and_then(|value| total.checked_add(value)).ok_or_else(bad)?;
        rest = after;
    }
    if text.is_empty() { Err(bad()) } else { Ok(total) }
}

/// CPUs in thousandths: `1.5`, `0.25`, `2`.
///
/// # Errors
/// Names the text.
pub fn cpus(text: &str) -> Result<u64> {
    let bad = || Error::new(format!("\"{text}\" is no number of CPUs; such are 0.5, 2"));
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 9 || (whole.is_empty() && part.is_empty()) {
        return Err(bad());
    }
    let number = |text: &str| if text.is_empty() { Ok(0) } else { text.parse::<u64>().map_err(|_| bad()) };
    let part = number(&format!("{part:0<3}")[..3])?;
    number(whole)?.checked_mul(1000).and_then(|whole| whole.checked_add(part)).ok_or_else(bad)
}

/// `nofile=1024:2048`, `core=-1`, `nproc=unlimited`; `host` for all that the caller has.
///
/// # Errors
/// Names what is wrong.
pub fn ulimit(text: &str) -> Result<Ulimit> {
    const NAMES: [&str; 16] = [
        "as",
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ];
    let bad = |why: &str| Error::new(format!("\"{text}\": {why}; such are nofile=1024:2048, core=-1"));
    let (name, value) = text.split_once('=').ok_or_else(|| bad("a name and a limit are needed"))?;
    let name = name.to_ascii_lowercase();
    let name = name.strip_prefix("rlimit_").unwrap_or(&name);
    if !NAMES.contains(&name) {
        return Err(bad(&format!("no limit is named \"{name}\"")));
    }
    let limit = |word: &str| match word {
        "unlimited" | "infinity" | "-1" => Ok(-1),
        word => word
            .parse::<i64>()
            .ok()
            .filter(|limit| *limit >= 0)
            .ok_or_else(|| bad(&format!("\"{word}\" is no limit"))),
    };
    let (soft, hard) = value.split_once(':').unwrap_or((value, value));
    let (soft, hard) = (limit(soft)?, limit(hard)?);
    if hard != -1 && (soft == -1 || soft > hard) {
        return Err(bad("the soft limit is above the hard one"));
    }
    Ok(Ulimit { name: name.into(), soft, hard })
}

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

/// A name of a volume or a container: a letter or digit, then also `_.-`.
pub fn is_name(text: &str) -> bool {
    let mut letters = text.bytes();
    letters.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && letters.all(|letter| letter.is_ascii_alphanumeric() || b"_.-".contains(&letter))
        && text.len() <= 255
}

/// `-v`: `SOURCE:TARGET[:OPTIONS]`, where a source that has no slash is a volume, or `TARGET` alone for an anonymous one.
///
/// # Errors
/// Names what is wrong.
pub fn volume(text: &str, surroundings: &dyn Surroundings) -> Result<Mount> {
    let bad = |why: String| Error::new(format!("\"{text}\": {why}"));
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts[..] {
        [target] => ("", target, ""),
        [source, target] => (source, target, ""),
        [source, target, options] => (source, target, options),
        _ => return Err(bad("it has more than three parts".into())),
    };
    if parts.len() > 1 && source.is_empty() {
        return Err(bad("its source is empty".into()));
    }
    let target = check_target(text, target)?;
    let mut mount = Mount { kind: MountKind::Tmpfs, target, options: Vec::new(), copy_up: true };
    let mut overlay = false;
    for word in options.split(',').filter(|word| !word.is_empty()) {
        match word {
            "O" => overlay = true,
            "z" | "Z" => mount.options.push(word.into()),
            "U" => return Err(bad(
                "U (changing owners) is not supported; an id-mapped mount (idmap) shows other owners without"
                    .into(),
            )),
            "nocopy" => mount.copy_up = false,
            "copy" | "rw" | "cached" | "delegated" | "consistent" => {}
            word => mount.options.push(mount_word(word).map_err(bad)?),
        }
    }
    mount.kind = match source {
        "" => MountKind::Anonymous(String::new()),
        path if path.starts_with(['/', '.', '~']) || path.contains('/') => {
            let path = surroundings.absolute(path);
            if overlay { MountKind::Overlay(path) } else { MountKind::Bind(path) }
        }
        name if is_name(name) => MountKind::Volume(name.into()),
        name => return Err(bad(format!("\"{name}\" is no name of a volume"))),
    };
    if overlay && !matches!(mount.kind, MountKind::Overlay(_)) {
        return Err(bad("O needs a directory of the host".into()));
    }
    Ok(mount)
}

/// `--mount`: `type=bind|volume|tmpfs,source=…,target=…[,readonly][,…]`; without a type it is a volume.
///
/// # Errors
/// Names what is wrong.
pub fn mount(text: &str, surroundings: &dyn Surroundings) -> Result<Mount> {
    let bad = |why: String| Error::new(format!("\"{text}\": {why}"));
    let (mut kind, mut source, mut target) = ("volume", "", "");
    let mut options = Vec::new();
    let mut copy_up = true;
    for field in text.split(',').filter(|field| !field.is_empty()) {
        let (key, value) = field.split_once('=').unwrap_or((field, ""));
        let on = || match value {
            "" | "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(bad(format!("{key}={value}: neither true nor false"))),
        };
        match key {
            "type" => kind = value,
            "source" | "src" => source = value,
            "target" | "destination" | "dst" => target = value,
            "readonly" | "ro" => options.extend(on()?.then(|| "ro".to_owned())),
            "bind-propagation" => options.push(mount_word(value).map_err(bad)?),
            "bind-nonrecursive" => options.extend(on()?.then(|| "bind".to_owned())),
            "tmpfs-size" => options.push(format!("size={}", bytes(value)?)),
            "tmpfs-mode" => options.push(format!("mode={value}")),
            "volume-nocopy" => copy_up = !on()?,
            "consistency" => {}
            "relabel" => options.push(match value {
                "shared" => "z".into(),
                "private" => "Z".into(),
                _ => return Err(bad(format!("relabel={value}: neither shared nor private"))),
            }),
            _ if value.is_empty() => options.push(mount_word(key).map_err(bad)?),
            _ => return Err(bad(format!("\"{key}\" is no key of --mount"))),
        }
    }
    let target = check_target(text, target)?;
    let kind = match (kind, source) {
        ("bind", "") => return Err(bad("a bind mount needs a source".into())),
        ("bind", path) => MountKind::Bind(surroundings.absolute(path)),
        ("volume", "") => MountKind::Anonymous(String::new()),
        ("volume", name) if is_name(name) => MountKind::Volume(name.into()),
        ("volume", name) => return Err(bad(format!("\"{name}\" is no name of a volume"))),
        ("tmpfs", "") => MountKind::Tmpfs,
        ("tmpfs", _) => return Err(bad("memory has no source".into())),
        (kind, _) => return Err(bad(format!("type \"{kind}\" is none of bind, volume, tmpfs"))),
    };
    Ok(Mount { kind, target, options, copy_up })
}

/// `--tmpfs`: `TARGET[:OPTIONS]`.
///
/// # Errors
/// Names what is wrong.
pub fn tmpfs(text: &str) -> Result<Mount> {
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    let target = check_target(text, target)?;
    let mut words = Vec::new();
    for word in options.split(',').filter(|word| !word.is_empty()) {
        match word.split_once('=') {
            Some(("size", size)) if !size.ends_with('%') => words.push(format!("size={}", bytes(size)?)),
            Some(("size" | "mode" | "uid" | "gid" | "nr_inodes" | "nr_blocks", _)) => words.push(word.into()),
            None => words.push(mount_word(word).map_err(|why| Error::new(format!("\"{text}\": {why}")))?),
            Some(_) => return Err(Error::new(format!("\"{text}\": \"{word}\" is no option of memory"))),
        }
    }
    Ok(Mount { kind: MountKind::Tmpfs, target, options: words, copy_up: false })
}

fn check_target(text: &str, target: &str) -> Result<String> {
    if !target.starts_with('/') {
        return Err(Error::new(format!("\"{text}\": the target \"{target}\" is not an absolute path")));
    }
    if target.split('/').all(|part| matches!(part, "" | ".")) || target.split('/').any(|part| part == "..") {
        return Err(Error::new(format!("\"{text}\": nothing can be mounted on \"{target}\"")));
    }
    Ok(target.trim_end_matches('/').to_owned())
}

/// A word of mount(8) that a container may be given.
fn mount_word(word: &str) -> std::result::Result<String, String> {
    const WORDS: [&str; 24] = [
        "ro",
        "rw",
        "rro",
        "nosuid",
        "suid",
        "nodev",
        "dev",
        "noexec",
        "exec",
        "noatime",
        "atime",
        "nodiratime",
        "relatime",
        "strictatime",
        "bind",
        "rbind",
        "private",
        "rprivate",
        "slave",
        "rslave",
        "unbindable",
        "runbindable",
        "idmap",
        "sync",
    ];
    match word {
        "shared" | "rshared" => Err(format!(
            "\"{word}\" cannot be: what a container mounts stays in its monitor's mount namespace; rslave brings the host's mounts in"
        )),
        word if WORDS.contains(&word) => Ok(word.into()),
        word => Err(format!("\"{word}\" is no option of a mount")),
    }
}

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

/// `--rootfs`: a directory, with `:O` for changes that go with the container.
pub fn rootfs(text: &str, surroundings: &dyn Surroundings) -> Rootfs {
    match text.strip_suffix(":O") {
        Some(path) => Rootfs { path: surroundings.absolute(path), overlay: true },
        None => Rootfs { path: surroundings.absolute(text), overlay: false },
    }
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
    match super::spec::capabilities::ALL.contains(&name.as_str()) {
        true => Ok(name),
        false => Err(Error::new(format!("\"{text}\" is no capability"))),
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

/// `--security-opt`.
///
/// # Errors
/// Names what is wrong, and a profile that cannot be read.
pub fn security_option(text: &str, security: &mut Security, surroundings: &dyn Surroundings) -> Result<()> {
    let (key, value) = text.split_once(['=', ':']).unwrap_or((text, ""));
    match (key, value) {
        ("no-new-privileges", "" | "true") => security.no_new_privileges = true,
        ("no-new-privileges", "false") => security.no_new_privileges = false,
        ("seccomp", "unconfined") => security.seccomp_unconfined = true,
        ("seccomp", "builtin" | "default") => (security.seccomp, security.seccomp_unconfined) = (None, false),
        ("seccomp", path) if !path.is_empty() => {
            let profile = surroundings.read(path)?;
            let value: serde_json::Value = serde_json::from_str(&profile)
                .map_err(|error| Error::new(format!("seccomp profile {path}: {error}")))?;
            if value.get("defaultAction").is_none() {
                return Err(Error::new(format!("seccomp profile {path}: it has no defaultAction")));
            }
            security.seccomp = Some(profile);
        }
        ("apparmor", profile) if !profile.is_empty() => security.apparmor = profile.into(),
        ("label", "disable") => security.selinux = String::new(),
        ("label", label) if label.split(':').count() >= 4 => security.selinux = label.into(),
        ("mask", paths) if !paths.is_empty() => security.mask.extend(paths.split(':').map(String::from)),
        ("unmask", paths) if !paths.is_empty() => security.unmask.extend(paths.split(':').map(String::from)),
        ("systempaths", "unconfined") => security.unmask.push("ALL".into()),
        _ => {
            return Err(Error::new(format!(
                "\"{text}\" is none of no-new-privileges, seccomp=FILE|unconfined, apparmor=PROFILE, label=LABEL|disable, mask=PATH, unmask=PATH|ALL"
            )));
        }
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

/// A signal by number or name, with or without `SIG`.
///
/// # Errors
/// Names the word.
pub fn signal(text: &str) -> Result<i32> {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
        "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
        "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    let bad = || Error::new(format!("\"{text}\" is no signal"));
    if let Ok(number) = text.parse::<i32>() {
        return Some(number).filter(|number| (1..=64).contains(number)).ok_or_else(bad);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(index) = NAMES.iter().position(|known| *known == name) {
        return Ok(i32::try_from(index).unwrap_or(0) + 1);
    }
    let real_time = |prefix: &str| {
        name.strip_prefix(prefix)
            .and_then(|rest| if rest.is_empty() { Some(0) } else { rest.parse::<i32>().ok() })
    };
    let number = match (name, real_time("RTMIN"), real_time("RTMAX")) {
        ("POLL", ..) => 29,
        ("CLD", ..) => 17,
        (_, Some(offset), _) => 34 + offset,
        (_, _, Some(offset)) => 64 + offset,
        _ => return Err(bad()),
    };
    Some(number).filter(|number| (34..=64).contains(number) || matches!(number, 17 | 29)).ok_or_else(bad)
}

/// Detach keys: `ctrl-p,ctrl-q`, `a`, `ctrl-@`; the bytes they send.
///
/// # Errors
/// Names the word.
pub fn detach_keys(text: &str) -> Result<Vec<u8>> {
    text.split(',')
        .filter(|word| !word.is_empty())
        .map(|word| match word.strip_prefix("ctrl-").map(str::as_bytes) {
            Some([letter @ b'a'..=b'z']) => Ok(letter - b'a' + 1),
            Some([letter @ (b'@' | b'[' | b'\\' | b']' | b'^' | b'_')]) => Ok(letter - b'@'),
            None if word.len() == 1 && word.is_ascii() => Ok(word.as_bytes()[0]),
            _ => Err(Error::new(format!("\"{word}\" is no key; such are a, ctrl-p, ctrl-\\"))),
        })
        .collect()
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
