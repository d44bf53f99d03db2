//! Which cgroup hierarchies this machine has, where they are mounted and where this process is in them.
//!
//! Asked once and cheaply: on a pure cgroup v2 machine one statfs(2) and two small files, no mount table. On cgroup v1
//! the hierarchies of `/proc/self/cgroup` are matched with the mounts of `/proc/self/mountinfo`. See cgroups(7).

use crate::error::{Context, Result};
use rustix::fs::{CWD, Mode as FileMode, OFlags, StatFs};
use serde::{Deserialize, Serialize};

/// Where distributions mount the hierarchies.
const ROOT: &str = "/sys/fs/cgroup";

/// `CGROUP2_SUPER_MAGIC` of `linux/magic.h`.
const CGROUP2_MAGIC: u64 = 0x6367_7270;

/// Which generation of cgroups rules the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// No hierarchy is mounted.
    None,
    /// Cgroup v1 only: one hierarchy a controller.
    V1,
    /// Cgroup v1, and beside it a unified tree that only groups processes.
    Hybrid,
    /// Cgroup v2 only: one hierarchy for all.
    V2,
}

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// The controllers: of v1 those bound to it (`name=systemd` for a named one), of v2 those its root offers.
    pub controllers: Vec<String>,
    /// Absolute path of the mount point.
    pub mount: String,
    /// This process' own cgroup, an absolute path below the mount point; `/` for the mount point itself.
    pub own: String,
    /// Whether it is the unified (v2) one.
    pub unified: bool,
}

impl Hierarchy {
    /// This process' own cgroup as an absolute path on the host.
    pub fn own_directory(&self) -> String {
        format!("{}{}", self.mount.trim_end_matches('/'), self.own.trim_end_matches('/'))
    }
}

/// What the machine offers; the unified hierarchy, if there is one, is the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroups {
    /// The generation, decided here once for all.
    pub mode: Mode,
    /// Every mounted hierarchy.
    pub hierarchies: Vec<Hierarchy>,
}

impl Cgroups {
    /// A machine without any.
    pub fn none() -> Self {
        Self { mode: Mode::None, hierarchies: Vec::new() }
    }

    /// Asks the machine.
    ///
    /// # Errors
    /// When `/proc/self/cgroup` or, where it is needed, `/proc/self/mountinfo` cannot be read.
    pub fn probe() -> Result<Self> {
        let own = read("/proc/self/cgroup")?;
        let mut found = if is_v2() {
            let hierarchy = Hierarchy {
                controllers: Vec::new(),
                mount: ROOT.to_owned(),
                own: parse_own(&own)
                    .find(|line| line.controllers.is_empty())
                    .map_or("/", |line| line.path)
                    .to_owned(),
                unified: true,
            };
            Self { mode: Mode::V2, hierarchies: vec![hierarchy] }
        } else {
            Self::parse(&own, &read("/proc/self/mountinfo")?)
        };
        if found.mode == Mode::V2 {
            let unified = &mut found.hierarchies[0];
            unified.controllers = words(&read(&format!("{}/cgroup.controllers", unified.mount))?);
        }
        Ok(found)
    }

    /// Matches the text of `/proc/self/cgroup` with that of `/proc/self/mountinfo`: what [`Cgroups::probe`] does where
    /// the mount table is needed. The controllers of a unified hierarchy are in neither and stay empty.
    pub fn parse(own: &str, mountinfo: &str) -> Self {
        let table: Vec<Place> = mountinfo.lines().filter_map(parse_place).collect();
        let shown = |mount: &Mount| !is_covered(&mount.place, &table);
        let mounts: Vec<Mount> = mountinfo.lines().filter_map(parse_mount).filter(shown).collect();
        let mut hierarchies = Vec::new();
        let mut unified = None;
        for line in parse_own(own) {
            let Some(mount) = best_mount(&mounts, &line) else { continue };
            let hierarchy = Hierarchy {
                controllers: line
                    .controllers
                    .split(',')
                    .filter(|name| !name.is_empty())
                    .map(str::to_owned)
                    .collect(),
                mount: mount.point.clone(),
                own: below(&mount.root, line.path),
                unified: mount.unified,
            };
            if mount.unified { unified = Some(hierarchy) } else { hierarchies.push(hierarchy) }
        }
        let mode = match (hierarchies.is_empty(), unified.is_some()) {
            (true, false) => Mode::None,
            (true, true) => Mode::V2,
            (false, false) => Mode::V1,
            (false, true) => Mode::Hybrid,
        };
        hierarchies.extend(unified);
        Self { mode, hierarchies }
    }
}

/// Whether the machine has cgroup v2 alone, at the usual place.
pub fn is_v2() -> bool {
    rustix::fs::statfs(ROOT).is_ok_and(|stat: StatFs| stat.f_type as u64 == CGROUP2_MAGIC)
}

/// A line of `/proc/self/cgroup`: `4:memory:/user.slice`.
struct Own<'a> {
    controllers: &'a str,
    path: &'a str,
}

fn parse_own(text: &str) -> impl Iterator<Item = Own<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':');
        let _id = fields.next()?;
        Some(Own { controllers: fields.next()?, path: fields.next()? })
    })
}

/// Where a mount of `/proc/self/mountinfo` stands: its id, that of the mount it is on, and its escaped mount point.
#[derive(Clone, Copy)]
struct Place<'a> {
    id: &'a str,
    parent: &'a str,
    point: &'a str,
}

fn parse_place(line: &str) -> Option<Place<'_>> {
    let mut fields = line.split(' ');
    let (id, parent) = (fields.next()?, fields.next()?);
    Some(Place { id, parent, point: fields.nth(2)? })
}

/// Whether a path no longer leads to the mount: another one is on it, or on a directory above it. The table lists both.
fn is_covered(place: &Place, table: &[Place]) -> bool {
    let on_top = |other: &&Place| other.parent == place.id && other.point == place.point;
    if table.iter().any(|other| on_top(&other)) {
        return true;
    }
    let mut place = *place;
    // A mount on a directory above that was there before would be the parent.
    for _ in 0..table.len() {
        let above = |other: &Place| {
            let below = place.point.strip_prefix(other.point).is_some_and(|rest| rest.starts_with('/'));
            other.id != place.id && other.parent == place.parent && below
        };
        if table.iter().any(above) {
            return true;
        }
        let Some(parent) = table.iter().find(|other| other.id == place.parent && other.id != place.id) else {
            return false;
        };
        place = *parent;
    }
    false
}

/// A cgroup mount of `/proc/self/mountinfo`.
struct Mount<'a> {
    place: Place<'a>,
    root: String,
    point: String,
    unified: bool,
    options: String,
}

/// Takes a line apart: `33 31 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu`; see proc_pid_mountinfo(5).
fn parse_mount(line: &str) -> Option<Mount<'_>> {
    let (left, right) = line.split_once(" - ")?;
    let mut right = right.split(' ');
    let unified = match right.next()? {
        "cgroup" => false,
        "cgroup2" => true,
        _ => return None,
    };
    let mut left = left.split(' ').skip(3);
    let root = unescape(left.next()?);
    let point = unescape(left.next()?);
    Some(Mount { place: parse_place(line)?, root, point, unified, options: right.nth(1)?.to_owned() })
}

/// The mount of a hierarchy: below the usual root if there is one, since a bind mount elsewhere may come first.
fn best_mount<'a>(mounts: &'a [Mount<'a>], line: &Own) -> Option<&'a Mount<'a>> {
    let shows = |mount: &&Mount| {
        if line.controllers.is_empty() {
            return mount.unified;
        }
        let has = |name: &str| mount.options.split(',').any(|option| option == name);
        !mount.unified && line.controllers.split(',').all(has)
    };
    mounts.iter().filter(shows).find(|mount| mount.point.starts_with(ROOT)).or(mounts.iter().find(shows))
}

/// The own cgroup seen from the mount point. A mount that shows another part of the tree (a container that is given
/// its parent's cgroup file system) leaves the mount point as the only known place.
fn below(root: &str, path: &str) -> String {
    if root == "/" && !path.starts_with("/..") {
        return path.to_owned();
    }
    match path.strip_prefix(root) {
        Some(rest) if rest.starts_with('/') && root != "/" => rest.to_owned(),
        _ => "/".to_owned(),
    }
}

/// Undoes the octal escapes of the mount table: `\040` is a space.
pub(super) fn unescape(field: &str) -> String {
    if !field.contains('\\') {
        return field.to_owned();
    }
    let (mut bytes, mut rest) = (Vec::with_capacity(field.len()), field.as_bytes());
    while let Some((&first, tail)) = rest.split_first() {
        let octal =
            tail.get(..3).filter(|_| first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

/// Reads a whole file with no call more than it takes.
pub(super) fn read(path: &str) -> Result<String> {
    let read = || -> rustix::io::Result<Vec<u8>> {
        let file = rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, FileMode::empty())?;
        let (mut bytes, mut buffer) = (Vec::new(), [0u8; 8192]);
        loop {
            match rustix::io::retry_on_intr(|| rustix::io::read(&file, &mut buffer))? {
                0 => return Ok(bytes),
                count => bytes.extend_from_slice(&buffer[..count]),
            }
        }
    };
    let bytes = read().context(|| format!("read {path}"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID_OWN: &str = "9:name=systemd:/\n4:memory:/process_api/16e6\n1:cpu,cpuacct:/\n0::/\n";
    const HYBRID_MOUNTS: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
99 23 0:30 /x /mnt/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct
32 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,release_agent=/x,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    fn hierarchy(controllers: &[&str], mount: &str, own: &str) -> Hierarchy {
        let controllers: Vec<String> = controllers.iter().map(|&name| name.to_owned()).collect();
        let unified = controllers.is_empty();
        Hierarchy { controllers, mount: mount.to_owned(), own: own.to_owned(), unified }
    }

    #[test]
    fn hybrid_lists_every_v1_hierarchy_and_the_unified_one_last() {
        let found = Cgroups::parse(HYBRID_OWN, HYBRID_MOUNTS);
        assert_eq!(found.mode, Mode::Hybrid);
        let expected = [
            hierarchy(&["name=systemd"], "/sys/fs/cgroup/systemd", "/"),
            hierarchy(&["memory"], "/sys/fs/cgroup/memory", "/process_api/16e6"),
            hierarchy(&["cpu", "cpuacct"], "/sys/fs/cgroup/cpu,cpuacct", "/"),
            hierarchy(&[], "/sys/fs/cgroup/unified", "/"),
        ];
        assert_eq!(found.hierarchies, expected);
    }

    #[test]
    fn modes_follow_from_what_is_mounted() {
        let v2_elsewhere = "41 31 0:38 / /mnt/my\\040cgroups rw - cgroup2 cgroup2 rw\n";
        let found = Cgroups::parse("1:cpu:/\n0::/a/b\n", v2_elsewhere);
        assert_eq!(
            (found.mode, &found.hierarchies),
            (Mode::V2, &vec![hierarchy(&[], "/mnt/my cgroups", "/a/b")])
        );
        let v1 = "32 31 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
        assert_eq!(Cgroups::parse("1:cpu:/\n0::/\n", v1).mode, Mode::V1);
        assert_eq!(Cgroups::parse("0::/\n", "").mode, Mode::None);
    }

    #[test]
    fn hierarchy_that_another_mount_covers_is_not_there() {
        let on_it = format!("{HYBRID_MOUNTS}50 41 0:50 / /sys/fs/cgroup/unified rw - tmpfs none rw\n");
        assert_eq!(Cgroups::parse(HYBRID_OWN, &on_it).mode, Mode::V1);
        // A tmpfs on all of them, and one hierarchy mounted anew.
        let above = format!(
            "{HYBRID_MOUNTS}50 31 0:50 / /sys/fs/cgroup rw - tmpfs none rw\n\
             51 50 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        );
        let found = Cgroups::parse(HYBRID_OWN, &above);
        assert_eq!(found.mode, Mode::V1);
        let names: Vec<_> = found.hierarchies.iter().map(|hierarchy| hierarchy.mount.as_str()).collect();
        // /mnt/cpu stands elsewhere and is not covered.
        assert_eq!(names, ["/sys/fs/cgroup/memory", "/mnt/cpu"]);
    }

    #[test]
    fn the_own_cgroup_is_seen_from_the_mount_point() {
        for (root, path, expected) in [
            ("/", "/a/b", "/a/b"),
            ("/docker/1", "/docker/1/x", "/x"),
            ("/docker/1", "/docker/1", "/"),
            ("/docker/1", "/docker/12", "/"),
            ("/", "/../..", "/"),
            ("/..", "/", "/"),
        ] {
            assert_eq!(below(root, path), expected, "{root} {path}");
        }
    }

    #[test]
    fn this_machine_can_be_probed() {
        let found = Cgroups::probe().expect("probe");
        assert!(found.hierarchies.iter().all(|hierarchy| hierarchy.mount.starts_with('/')), "{found:?}");
    }
}
