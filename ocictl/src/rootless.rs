//! Without root: a user namespace in which the caller is root over the ids that /etc/subuid and /etc/subgid give him
//! (subuid(5), newuidmap(1)), and a mount namespace in which he may mount. Files of images then have the owners that they should.

use crate::error::{Context, Error, Result};
use crate::sys;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::Pid;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;
use std::process::{Command, Stdio};

/// Below the run directory: a file for each process of ours in the namespace, named by its number, with its start and the namespace's
/// number. It is read under a lock; nobody keeps the namespace but those who work in it.
const FOLDER: &str = "namespace";
/// A container's program may be in a namespace below ours.
const MAX_NESTED: usize = 4;

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

/// Rows of ids of our namespace: the first of each, what that is outside, and how many there are. `kind` is `uid` or `gid`.
pub fn map(kind: &str) -> Vec<(u32, u32, u32)> {
    let map = std::fs::read_to_string(format!("/proc/self/{kind}_map")).unwrap_or_default();
    let row = |line: &str| {
        let mut words = line.split_ascii_whitespace().map(|word| word.parse().ok());
        Some((words.next()??, words.next()??, words.next()??))
    };
    map.lines().filter_map(row).collect()
}

/// The caller's user id, as it is outside of the namespace that we may have made.
pub fn caller() -> u32 {
    let own = rustix::process::geteuid().as_raw();
    let rows = map("uid").into_iter();
    rows.filter(|(first, _, count)| own >= *first && own - first < *count)
        .map(|(first, outside, _)| outside.saturating_add(own - first))
        .next()
        .unwrap_or(own)
}

/// Whether an id is one of ours.
pub fn is_mapped(kind: &str, id: u32) -> bool {
    map(kind).into_iter().any(|(first, _, count)| id >= first && id - first < count)
}

/// First id and number of each range that a file like `/etc/subuid` gives to a user of this name.
pub fn subordinates(file: &str, name: &str) -> Vec<(u32, u32)> {
    ranges(&std::fs::read_to_string(file).unwrap_or_default(), Some(name), None)
}

/// Whether supplementary groups can be set: not by a user who has mapped himself alone (user_namespaces(7)).
pub fn may_set_groups() -> bool {
    std::fs::read_to_string("/proc/self/setgroups").is_ok_and(|text| text.trim() == "allow")
}

/// Enters such a namespace: the one that processes of ours are in already, so that what one command starts the next can look into;
/// else a new one. The process must have one thread. `runroot` is where the processes of the namespace are written down.
///
/// # Errors
/// Says what the kernel or newuidmap refused.
pub fn enter(runroot: &Path) -> Result<()> {
    let place = || "user namespace";
    let folder = runroot.join(FOLDER);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .context(|| format!("create directory {}", folder.display()))?;
    let lock = rustix::fs::open(
        folder.join("lock"),
        OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::RUSR | Mode::WUSR,
    )?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).context(place)?;
    if join(&folder) {
        sys::process::unshare_mounts().context(place)?;
    } else {
        make().context(place)?;
    }
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).context(place)?;
    remember(runroot, rustix::process::getpid())
}

/// Writes down that a process of ours is in our namespace, so that later commands find their way there.
///
/// # Errors
/// Fails if it cannot be written.
pub fn remember(runroot: &Path, pid: Pid) -> Result<()> {
    let number = pid.as_raw_nonzero().get();
    let Some(start) = sys::process::start_time(number) else { return Ok(()) };
    let namespace = std::fs::metadata("/proc/self/ns/user").context(|| "user namespace")?.ino();
    let path = runroot.join(FOLDER).join(number.to_string());
    let aside = runroot.join(FOLDER).join(format!(".{number}"));
    let written = std::fs::write(&aside, format!("{start} {namespace}\n"))
        .and_then(|()| std::fs::rename(&aside, &path));
    match written {
        // Nobody has entered a namespace: our root is the machine's, or was given to us by somebody else.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        written => written.context(|| format!("write {}", path.display())),
    }
}

/// Takes back what [`remember`] has written, when the process is about to end.
pub fn forget(runroot: &Path, pid: Pid) {
    // Whoever reads it sees that the process has gone, and removes it.
    let _seen_by_the_next = std::fs::remove_file(runroot.join(FOLDER).join(pid.as_raw_nonzero().to_string()));
}

/// Joins the namespace of a process that was written down and lives; what was written of others is removed.
fn join(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Ok(pid) = name.parse::<i32>() else { continue };
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let mut words = text.split_ascii_whitespace().map(|word| word.parse::<u64>().ok());
        let (start, wanted) = (words.next().flatten(), words.next().flatten());
        if start.is_none() || sys::process::start_time(pid) != start {
            let _somebody_else_did = std::fs::remove_file(&path);
        } else if namespace_of(pid, wanted).is_some_and(|namespace| {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::User)).is_ok()
        }) {
            return true;
        }
    }
    false
}

/// The namespace with this number: that of a process, or one above it.
fn namespace_of(pid: i32, wanted: Option<u64>) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let mut namespace = rustix::fs::open(format!("/proc/{pid}/ns/user"), flags, Mode::empty()).ok()?;
    for _ in 0..MAX_NESTED {
        if Some(rustix::fs::fstat(&namespace).ok()?.st_ino) == wanted {
            return Some(namespace);
        }
        namespace = sys::process::parent_namespace(&namespace).ok()?;
    }
    None
}

/// Makes a new one, with all ids that the caller has.
fn make() -> Result<()> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let name = user_name(uid);
    let ranges = |file: &str, id: u32| {
        ranges(&std::fs::read_to_string(file).unwrap_or_default(), name.as_deref(), Some(id))
    };
    let (uids, gids) = (ranges("/etc/subuid", uid), ranges("/etc/subgid", uid));
    // The ids are mapped from outside, by a process that is there already and waits for the namespace.
    let helper =
        if uids.is_empty() || gids.is_empty() { None } else { Some(Helper::start(uid, &uids, gid, &gids)?) };
    sys::own_user_namespace().map_err(|errno| {
        let error = Error::from(errno);
        match errno {
            Errno::PERM | Errno::NOSPC => error.hint("user namespaces are forbidden here: see sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces"),
            _ => error,
        }
    })?;
    match helper {
        Some(helper) => helper.map(),
        None => map_alone(uid, gid),
    }
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
fn ranges(text: &str, name: Option<&str>, uid: Option<u32>) -> Vec<(u32, u32)> {
    let of_line = |line: &str| {
        let fields: Vec<&str> = line.trim().split(':').collect();
        let [owner, first, count] = fields[..] else { return None };
        let is_ours = Some(owner) == name || uid.is_some_and(|uid| owner.parse() == Ok(uid));
        let (first, count) = (first.parse::<u32>().ok()?, count.parse::<u32>().ok()?);
        (is_ours && count > 0 && first.checked_add(count).is_some()).then_some((first, count))
    };
    text.lines().filter_map(of_line).collect()
}

/// The cgroup that this process is in, of version 2; nothing where there is none.
///
/// # Errors
/// Fails if `/proc` cannot be read.
pub fn own_cgroup() -> Result<Option<String>> {
    let text = std::fs::read_to_string("/proc/self/cgroup").context(|| "read /proc/self/cgroup")?;
    Ok(text.lines().find_map(|line| line.strip_prefix("0::")).map(String::from))
}

/// The cgroup of the user's own systemd that a cgroup lies in, if it lies in one.
pub fn service_around(cgroup: &str) -> Option<String> {
    let is_service = |part: &str| part.starts_with("user@") && part.ends_with(".service");
    let place = cgroup.split('/').position(is_service)?;
    Some(cgroup.split('/').take(place + 1).collect::<Vec<_>>().join("/"))
}

/// Whether this process is in a unit of the user's own systemd, and not in a session of the machine's.
pub fn is_among_own_units() -> bool {
    own_cgroup().is_ok_and(|own| own.as_deref().and_then(service_around).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_given_by_name_or_number() {
        let text = "# note\nanna:100000:65536\n1000:200000:10\nbert:300000:65536\nanna:x:1\nanna:4294967295:9\nanna:5:0\n";
        assert_eq!(ranges(text, Some("anna"), Some(1000)), [(100_000, 65_536), (200_000, 10)]);
        assert_eq!(ranges(text, None, Some(7)), []);
    }

    #[test]
    fn the_users_systemd_is_found_around_a_cgroup() {
        let service = "/user.slice/user-7.slice/user@7.service";
        assert_eq!(service_around(&format!("{service}/app.slice/x.scope")).as_deref(), Some(service));
        assert_eq!(service_around(service).as_deref(), Some(service));
        for outside in ["/", "/user.slice/user-7.slice/session-1.scope", "/system.slice/user@x.service.d/a"] {
            assert_eq!(service_around(outside), None, "{outside}");
        }
    }
}
