//! Which namespaces init gets: new ones, joined ones, and whether a process in between is forced.
//!
//! namespaces(7), clone(2), setns(2), user_namespaces(7), time_namespaces(7); config-linux.md, "Namespaces".

use crate::error::{Error, Result};
use crate::host::Host;
use crate::plan::Place;
use crate::plan::step::{Action, Step};
use crate::spec::linux::{IdMapping, Linux, NamespaceKind};
use std::ffi::CString;
use std::fmt::Write;

/// The namespaces of init and the way to them.
#[derive(Debug, Clone, Default)]
pub struct Namespaces {
    /// `CLONE_NEW*` of the clone that makes init. Without the cgroup namespace: init makes that one itself when it is in
    /// its cgroups, or it would see the runtime's cgroup as its root.
    pub create: u64,
    /// `CLONE_NEW*` of those that init makes itself once it is root of its user namespace: the ipc namespace, since the root of
    /// its message queues belongs to whoever makes it, who before that is an id without a mapping.
    pub create_as_root: u64,
    /// Namespaces that are joined by path.
    pub join: Vec<Join>,
    /// `CLONE_NEW*` of the namespaces that are joined all at once, by the pidfd of a process that is in them.
    pub of_process: u64,
    /// The id maps of a new user namespace.
    pub id_maps: Option<IdMaps>,
    /// The `uid_map` and the `gid_map` that a user namespace which is joined must have, where the configuration gives them.
    pub expected_maps: Option<(String, String)>,
    /// The text for `/proc/self/timens_offsets`, in a new time namespace.
    pub time_offsets: Option<String>,
    /// Whether a process in between must join a user namespace before it can make what init needs.
    pub middle: bool,
}

/// A process whose namespaces are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Its pid, for the files of its namespaces.
    pub pid: i32,
    /// Whether the runtime holds its pidfd.
    pub by_pidfd: bool,
}

/// A namespace to join.
#[derive(Debug, Clone)]
pub struct Join {
    /// Which kind of namespace must be found at the path.
    pub kind: NamespaceKind,
    /// A file such as `/proc/PID/ns/net`.
    pub path: CString,
    /// Whether it must not be the runtime's own namespace: a sysctl would change the host (CVE-2022-0532).
    pub not_own: bool,
    /// Where the path stands.
    pub place: Place,
}

/// The id maps of a new user namespace, as user_namespaces(7) wants them written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMaps {
    /// Lines of `container host size` for `uid_map`.
    pub uid: String,
    /// The same for `gid_map`.
    pub gid: String,
    /// Who writes them.
    pub writer: MapWriter,
}

/// Who may write an id map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapWriter {
    /// The runtime itself, with `CAP_SETUID` and `CAP_SETGID`.
    Privileged,
    /// The runtime itself, its own id alone and with setgroups(2) denied.
    OwnId,
    /// The set-user-id programs newuidmap(1) and newgidmap(1), by `/etc/subuid` and `/etc/subgid`.
    Helpers,
}

impl Namespaces {
    /// Decides how init reaches the namespaces of the `linux` section.
    ///
    /// # Errors
    /// A path with a NUL byte; a user without privileges and without a user namespace.
    pub fn decide(linux: &Linux, host: &Host) -> Result<Self> {
        let mut namespaces = Self::default();
        for (index, namespace) in linux.namespaces.iter().enumerate() {
            match &namespace.path {
                Some(path) => {
                    let place = Place::element("linux.namespaces", index);
                    let path = CString::new(path.as_str())
                        .map_err(|_| Error::new(format!("{place}.path: {path:?} holds a NUL byte")))?;
                    namespaces.join.push(Join {
                        kind: namespace.kind,
                        path,
                        not_own: changed_by_sysctl(namespace.kind, linux),
                        place,
                    });
                }
                None if namespace.kind == NamespaceKind::Cgroup => {}
                None => namespaces.create |= clone_flag(namespace.kind),
            }
        }

        if namespaces.separates(NamespaceKind::User) {
            namespaces.create_as_root = namespaces.create & clone_flag(NamespaceKind::Ipc);
            namespaces.create &= !namespaces.create_as_root;
        }
        if namespaces.creates(NamespaceKind::User) {
            namespaces.id_maps = Some(IdMaps::decide(linux, host));
        }
        if namespaces.joins(NamespaceKind::User) && !linux.uid_mappings.is_empty() {
            namespaces.expected_maps = Some((map_text(&linux.uid_mappings), map_text(&linux.gid_mappings)));
        }
        if namespaces.creates(NamespaceKind::Time) && !linux.time_offsets.is_empty() {
            namespaces.time_offsets = Some(time_offsets(linux));
        }
        namespaces.middle = namespaces.forces_middle(host);
        Ok(namespaces)
    }

    /// Decides how a process reaches namespaces of another one, the init of a container that runs: at once by its pidfd
    /// (Linux 5.8, which is there where all of the new mount API is), else by the files below its `/proc/PID/ns`.
    pub fn of_process(kinds: &[NamespaceKind], Known { pid, by_pidfd }: Known, host: &Host) -> Self {
        let mut namespaces = Self::default();
        if by_pidfd && host.new_mount_api {
            namespaces.of_process = kinds.iter().fold(0, |flags, kind| flags | clone_flag(*kind));
        } else {
            namespaces.join = kinds.iter().map(|kind| Join::of_process(*kind, pid)).collect();
        }
        namespaces.middle = namespaces.forces_middle(host);
        namespaces
    }

    /// Whether a namespace of that kind is made anew.
    pub fn creates(&self, kind: NamespaceKind) -> bool {
        (self.create | self.create_as_root) & clone_flag(kind) != 0
    }

    /// Whether a namespace of that kind is joined.
    pub fn joins(&self, kind: NamespaceKind) -> bool {
        self.of_process & clone_flag(kind) != 0 || self.join.iter().any(|join| join.kind == kind)
    }

    /// Whether the caller may do what is decided; a plan is printed for everybody.
    ///
    /// # Errors
    /// What an ordinary user cannot do, with its place.
    pub fn check_rights(&self, host: &Host) -> Result<()> {
        if host.privileged() {
            return Ok(());
        }
        if self.create != 0 && !self.separates(NamespaceKind::User) {
            return Err(Error::new("linux.namespaces: user: missing, and without root the others need it"));
        }
        if self.time_offsets.is_some() {
            return Err(Error::new("linux.timeOffsets: only root can set them before a process is inside"));
        }
        Ok(())
    }

    /// Whether setgroups(2) is allowed, as far as it is known before init is in its namespaces.
    pub fn groups_allowed(&self, host: &Host) -> bool {
        match &self.id_maps {
            Some(maps) => maps.writer != MapWriter::OwnId && !host.groups_denied,
            None => !host.groups_denied,
        }
    }

    /// The capabilities that init can have: all of its own user namespace, else the caller's.
    pub fn available_capabilities(&self, host: &Host) -> u64 {
        if self.separates(NamespaceKind::User) { u64::MAX } else { host.capabilities }
    }

    /// Whether init ends up in another namespace of that kind than the runtime's.
    pub fn separates(&self, kind: NamespaceKind) -> bool {
        self.creates(kind) || self.joins(kind)
    }

    /// A new namespace belongs to the user namespace of whoever makes it, and there is no way back out of a user namespace:
    /// when one is joined and others are new, a process in between joins it and makes init. As root of the machine the runtime
    /// enters a pid or time namespace, which shows only in children, and goes back without another process. Who is root of a
    /// user namespace alone cannot go back: the namespace that he came from is not his.
    fn forces_middle(&self, host: &Host) -> bool {
        let for_children = self.joins(NamespaceKind::Pid) || self.joins(NamespaceKind::Time);
        let no_way_back = host.in_user_namespace || (self.joins(NamespaceKind::User) && !host.privileged());
        (self.joins(NamespaceKind::User) && self.create != 0) || (for_children && no_way_back)
    }

    /// The steps of init into its namespaces.
    pub fn steps(&self, linux: &Linux, groups_denied: bool) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.id_maps.is_none() {
            steps.push(Step::own(Action::NotDumpable));
        }
        if self.of_process != 0 || !self.join.is_empty() {
            steps.push(Step::of(Place::property("linux.namespaces"), Action::JoinNamespaces));
        }
        if let Some(maps) = &self.id_maps {
            steps.push(Step::own(Action::AwaitIdMaps));
            steps.push(Step::own(Action::NotDumpable));
            let drop_groups = maps.writer != MapWriter::OwnId && !groups_denied;
            steps.push(Step::own(Action::NamespaceRoot { drop_groups }));
        } else if self.joins(NamespaceKind::User) {
            steps.push(Step::own(Action::NamespaceRoot { drop_groups: true }));
        }
        let new = |kind| linux.namespaces.iter().position(|one| one.kind == kind && one.path.is_none());
        let place = |index| Place::element("linux.namespaces", index);
        if self.create_as_root != 0 {
            let place = new(NamespaceKind::Ipc).map_or(Place::NONE, place);
            steps.push(Step::of(place, Action::IpcNamespace));
        }
        if let Some(index) = new(NamespaceKind::Cgroup) {
            steps.push(Step::of(place(index), Action::CgroupNamespace));
        }
        steps
    }
}

/// Whether one of the sysctls belongs to namespaces of that kind.
fn changed_by_sysctl(kind: NamespaceKind, linux: &Linux) -> bool {
    let belongs = |name: &String| match kind {
        NamespaceKind::Network => name.starts_with("net"),
        NamespaceKind::Uts => name.ends_with("domainname"),
        NamespaceKind::Ipc => name.starts_with("kernel") || name.starts_with("fs"),
        NamespaceKind::User => name.starts_with("user"),
        _ => false,
    };
    linux.sysctl.keys().any(belongs)
}

impl Join {
    fn of_process(kind: NamespaceKind, pid: i32) -> Self {
        let path = CString::new(format!("/proc/{pid}/ns/{}", file_name(kind))).unwrap_or_default();
        Self { kind, path, not_own: false, place: Place::property("linux.namespaces") }
    }
}

/// What the kernel calls a kind below `/proc/PID/ns`.
pub fn file_name(kind: NamespaceKind) -> &'static str {
    match kind {
        NamespaceKind::Network => "net",
        NamespaceKind::Mount => "mnt",
        other => other.word(),
    }
}

/// The `CLONE_NEW*` flag of a kind of namespace.
pub fn clone_flag(kind: NamespaceKind) -> u64 {
    let flag = match kind {
        NamespaceKind::Pid => libc::CLONE_NEWPID,
        NamespaceKind::Network => libc::CLONE_NEWNET,
        NamespaceKind::Mount => libc::CLONE_NEWNS,
        NamespaceKind::Ipc => libc::CLONE_NEWIPC,
        NamespaceKind::Uts => libc::CLONE_NEWUTS,
        NamespaceKind::User => libc::CLONE_NEWUSER,
        NamespaceKind::Cgroup => libc::CLONE_NEWCGROUP,
        NamespaceKind::Time => libc::CLONE_NEWTIME,
    };
    flag as u64
}

impl IdMaps {
    fn decide(linux: &Linux, host: &Host) -> Self {
        let own =
            |mappings: &[IdMapping], id: u32| matches!(mappings, [one] if one.size == 1 && one.host_id == id);
        let writer = if host.privileged() {
            MapWriter::Privileged
        } else if own(&linux.uid_mappings, host.uid) && own(&linux.gid_mappings, host.gid) {
            MapWriter::OwnId
        } else {
            MapWriter::Helpers
        };
        Self { uid: map_text(&linux.uid_mappings), gid: map_text(&linux.gid_mappings), writer }
    }
}

/// Mappings as lines of `container host size`.
pub fn map_text(mappings: &[IdMapping]) -> String {
    mappings.iter().fold(String::new(), |mut text, mapping| {
        let _infallible = writeln!(text, "{} {} {}", mapping.container_id, mapping.host_id, mapping.size);
        text
    })
}

fn time_offsets(linux: &Linux) -> String {
    linux.time_offsets.iter().fold(String::new(), |mut text, (clock, offset)| {
        let _infallible = writeln!(text, "{clock} {} {}", offset.secs, offset.nanosecs);
        text
    })
}
