//! `--volume`, `--mount`, `--tmpfs`, `--rootfs`.

use super::{Surroundings, bytes, is_name};
use crate::container::options::{Mount, MountKind, Rootfs, is_shared};
use crate::error::{Error, Result};

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
    let mut mount =
        Mount { kind: MountKind::Tmpfs, target, options: Vec::new(), copy_up: true, subpath: String::new() };
    let mut overlay = false;
    for word in options.split(',').filter(|word| !word.is_empty()) {
        match word {
            "O" => overlay = true,
            "z" | "Z" | "U" => mount.options.push(word.into()),
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
    check_shared(&mount.kind, &mount.options).map_err(bad)?;
    if overlay && !matches!(mount.kind, MountKind::Overlay(_)) {
        return Err(bad("O needs a directory of the host".into()));
    }
    Ok(mount)
}

/// `--mount`: `type=bind|volume|tmpfs|image,source=…,target=…[,readonly][,…]`; without a type it is a volume.
///
/// # Errors
/// Names what is wrong.
pub fn mount(text: &str, surroundings: &dyn Surroundings) -> Result<Mount> {
    let bad = |why: String| Error::new(format!("\"{text}\": {why}"));
    let (mut kind, mut source, mut target) = ("volume", "", "");
    let mut options = Vec::new();
    let (mut copy_up, mut subpath) = (true, String::new());
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
            "volume-subpath" | "subpath" => subpath = inner_path(value).map_err(bad)?,
            "volume-driver" if matches!(value, "" | "local") => {}
            "volume-driver" => return Err(bad(format!("\"{value}\" is no driver; there is local"))),
            "U" | "chown" => options.extend(on()?.then(|| "U".to_owned())),
            "rw" | "readwrite" => options.push(if on()? { "rw" } else { "ro" }.to_owned()),
            "idmap" => options.extend(on()?.then(|| "idmap".to_owned())),
            "consistency" => {}
            "tmpcopyup" => options.extend(on()?.then(|| "tmpcopyup".to_owned())),
            "notmpcopyup" => {}
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
        ("image", "") => return Err(bad("an image mount needs a source".into())),
        ("image", name) => {
            if !options.iter().any(|word| word == "rw") {
                options.push("ro".into());
            }
            MountKind::Image(name.into(), None)
        }
        ("tmpfs", "") => MountKind::Tmpfs,
        ("tmpfs", _) => return Err(bad("memory has no source".into())),
        (kind, _) => return Err(bad(format!("type \"{kind}\" is none of bind, volume, tmpfs, image"))),
    };
    check_shared(&kind, &options).map_err(bad)?;
    if kind != MountKind::Tmpfs && options.iter().any(|word| word == "tmpcopyup") {
        return Err(bad("tmpcopyup is for type=tmpfs".into()));
    }
    if !(subpath.is_empty() || matches!(kind, MountKind::Volume(_))) {
        return Err(bad("a part can only be mounted of a volume that has a name".into()));
    }
    Ok(Mount { kind, target, options, copy_up, subpath })
}

/// Mounts are shared with the directory of the host that they are made in; nothing else is one.
fn check_shared(kind: &MountKind, options: &[String]) -> std::result::Result<(), String> {
    match (kind, options.iter().find(|word| is_shared(word))) {
        (MountKind::Bind(_), _) | (_, None) => Ok(()),
        (_, Some(word)) => Err(format!("{word} needs a directory of the host")),
    }
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
            None if word == "tmpcopyup" => words.push(word.into()),
            None if word == "notmpcopyup" => {}
            None => words.push(mount_word(word).map_err(|why| Error::new(format!("\"{text}\": {why}")))?),
            Some(_) => return Err(Error::new(format!("\"{text}\": \"{word}\" is no option of memory"))),
        }
    }
    Ok(Mount { kind: MountKind::Tmpfs, target, options: words, copy_up: false, subpath: String::new() })
}

/// A path in a volume.
fn inner_path(text: &str) -> std::result::Result<String, String> {
    match text.split('/').any(|part| part == "..") || text.trim_matches('/').is_empty() {
        true => Err(format!("\"{text}\" is no path in a volume")),
        false => Ok(text.trim_matches('/').to_owned()),
    }
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
    const WORDS: [&str; 26] = [
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
        "shared",
        "rshared",
        "slave",
        "rslave",
        "unbindable",
        "runbindable",
        "idmap",
        "sync",
    ];
    match word {
        word if WORDS.contains(&word) => Ok(word.into()),
        word => Err(format!("\"{word}\" is no option of a mount")),
    }
}

/// `--rootfs`: a directory, with `:O` for changes that go with the container.
pub fn rootfs(text: &str, surroundings: &dyn Surroundings) -> Rootfs {
    match text.strip_suffix(":O") {
        Some(path) => Rootfs { path: surroundings.absolute(path), overlay: true },
        None => Rootfs { path: surroundings.absolute(text), overlay: false },
    }
}
