//! Without root: a user namespace in which the caller is root over the ids that /etc/subuid and /etc/subgid give him
//! (subuid(5), newuidmap(1)), and a mount namespace in which he may mount. Files of images then have the owners that they should.

use crate::error::{Context, Error, Result};
use crate::sys;
use rustix::mount::{MountPropagationFlags, mount_change};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

/// The hidden word that makes the program map the ids of another process; see [`map_ids`].
pub const MAP_IDS: &str = "__map-ids";

/// Whether the caller is an ordinary user who is not root of a namespace yet.
pub fn is_needed() -> bool {
    !rustix::process::geteuid().is_root()
}

/// Whether our root is not the machine's: then overlayfs keeps its marks in `user.overlay.*`.
pub fn in_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_ascii_whitespace().collect::<Vec<_>>() != ["0", "0", "4294967295"]
}

/// Enters such a namespace. The process must have one thread.
///
/// # Errors
/// Says what the kernel or newuidmap refused.
pub fn enter() -> Result<()> {
    let place = || "user namespace";
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let name = user_name(uid);
    let ranges =
        |file: &str, id: u32| ranges(&std::fs::read_to_string(file).unwrap_or_default(), name.as_deref(), id);
    let (uids, gids) = (ranges("/etc/subuid", uid), ranges("/etc/subgid", uid));
    // The ids are mapped from outside, by a process that is there already and waits for the namespace.
    let helper = if uids.is_empty() || gids.is_empty() {
        None
    } else {
        Some(Helper::start(uid, &uids, gid, &gids).context(place)?)
    };
    sys::own_user_namespace().context(place).map_err(|error| match error.errno() {
        Some(libc::EPERM | libc::ENOSPC) => error.hint("user namespaces are forbidden here: see sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces"),
        _ => error,
    })?;
    match helper {
        Some(helper) => helper.map().context(place)?,
        None => map_alone(uid, gid).context(place)?,
    }
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).context(place)?;
    Ok(())
}

/// One id, mapped to root: what an ordinary user may do by himself.
fn map_alone(uid: u32, gid: u32) -> Result<()> {
    let write = |name: &str, text: String| {
        std::fs::write(format!("/proc/self/{name}"), text).context(|| name.to_owned())
    };
    write("setgroups", "deny".into())?;
    write("uid_map", format!("0 {uid} 1"))?;
    write("gid_map", format!("0 {gid} 1"))
}

/// A process outside of the namespace.
struct Helper {
    child: std::process::Child,
}

impl Helper {
    fn start(uid: u32, uids: &[(u32, u32)], gid: u32, gids: &[(u32, u32)]) -> Result<Self> {
        let map = |id: u32, ranges: &[(u32, u32)]| {
            let mut inside = 1u64;
            let mut words = format!("0 {id} 1");
            for (first, count) in ranges {
                words += &format!(" {inside} {first} {count}");
                inside += u64::from(*count);
            }
            words
        };
        let pid = std::process::id().to_string();
        let child = Command::new("/proc/self/exe")
            .args([MAP_IDS, &pid, &map(uid, uids), &map(gid, gids)])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        Ok(Self { child })
    }

    fn map(mut self) -> Result<()> {
        if let Some(mut stdin) = self.child.stdin.take() {
            stdin.write_all(b"x")?;
        }
        let output = self.child.wait_with_output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(Error::new(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

/// What the helper does: waits for a byte, then has newuidmap and newgidmap map the ids of a process.
///
/// # Errors
/// Says what they refused.
pub fn map_ids(words: &[OsString]) -> Result<()> {
    let [pid, uids, gids] = words else { return Err(Error::new(format!("{MAP_IDS} is for ocictl itself"))) };
    if std::io::stdin().read(&mut [0])? == 0 {
        return Ok(()); // Whoever started us has given up.
    }
    for (program, map) in [("newuidmap", uids), ("newgidmap", gids)] {
        let words = map.to_string_lossy().split(' ').map(str::to_owned).collect::<Vec<_>>();
        let output =
            Command::new(program).arg(pid).args(words).stdin(Stdio::null()).output().context(|| program)?;
        if !output.status.success() {
            return Err(Error::new(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
    }
    Ok(())
}

fn user_name(uid: u32) -> Option<String> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.get(2)?.parse() == Ok(uid)).then(|| fields[0].to_owned())
    })
}

/// First id and number of each range that a file gives to a user, by name or number.
fn ranges(text: &str, name: Option<&str>, uid: u32) -> Vec<(u32, u32)> {
    let of_line = |line: &str| {
        let fields: Vec<&str> = line.trim().split(':').collect();
        let [owner, first, count] = fields[..] else { return None };
        let is_ours = Some(owner) == name || owner.parse() == Ok(uid);
        let (first, count) = (first.parse::<u32>().ok()?, count.parse::<u32>().ok()?);
        (is_ours && count > 0 && first.checked_add(count).is_some()).then_some((first, count))
    };
    text.lines().filter_map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_given_by_name_or_number() {
        let text = "# note\nanna:100000:65536\n1000:200000:10\nbert:300000:65536\nanna:x:1\nanna:4294967295:9\nanna:5:0\n";
        assert_eq!(ranges(text, Some("anna"), 1000), [(100_000, 65_536), (200_000, 10)]);
        assert_eq!(ranges(text, None, 7), []);
    }
}
