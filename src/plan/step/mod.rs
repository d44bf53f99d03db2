//! The steps of init, in the words of the kernel: everything decided, every C string ready.
//!
//! The child of the clone walks a list of these. A step holds no choice that could have been made here; what it must ask
//! the kernel (does the source exist, which `PATH` entry has the program) it asks by the call that acts.

mod device;
mod mount;
mod process;
mod scheduling;

pub use device::{Device, Symlink};
pub use mount::{
    Attach, Bind, Cover, Fallback, Filesystem, Ids, Kind, MapTexts, Mount, Parameter, SourceClone,
};
pub use process::{Capabilities, Hook, HookEnvironment, Rlimit};
pub use scheduling::{IoPriority, MemoryPolicy, Scheduler};

use crate::plan::Place;
use std::ffi::CString;

/// One step: what to do and where in `config.json` it comes from.
#[derive(Debug, Clone)]
pub struct Step {
    /// Where the step comes from; empty for the runtime's own.
    pub place: Place,
    /// What to do.
    pub action: Action,
}

impl Step {
    /// A step of the runtime's own accord.
    pub fn own(action: Action) -> Self {
        Self { place: Place::NONE, action }
    }

    /// A step that a property of `config.json` asks for.
    pub fn of(place: Place, action: Action) -> Self {
        Self { place, action }
    }
}

/// A system call, or a few that belong together.
#[derive(Debug, Clone)]
pub enum Action {
    /// Writes `/proc/self/oom_score_adj`.
    OomScoreAdj(Vec<u8>),
    /// Writes `0` to the `tasks` file of each cgroup v1 hierarchy, which the parent opened.
    JoinCgroups,
    /// Enters the namespaces of [`Namespaces::join`](crate::plan::namespaces::Namespaces), whose files the parent opened.
    JoinNamespaces,
    /// Waits until the parent has written the id maps of the new user namespace.
    AwaitIdMaps,
    /// Becomes user and group 0 of the user namespace; `drop_groups` where setgroups(2) is allowed.
    NamespaceRoot {
        /// Whether to drop the caller's supplementary groups.
        drop_groups: bool,
    },
    /// Hides this process's memory and files from whoever shares a namespace with it (CVE-2016-9962).
    NotDumpable,
    /// Makes the ipc namespace, now that the process is root of its user namespace.
    IpcNamespace,
    /// Makes the cgroup namespace, now that the process is in its cgroups.
    CgroupNamespace,
    /// setsid(2).
    Session,
    /// Joins a session keyring of the container's own.
    Keyring {
        /// `_ses.<id>`.
        name: CString,
        /// Permissions to add to the possessor's.
        permissions: u32,
    },
    /// sethostname(2).
    Hostname(Vec<u8>),
    /// setdomainname(2).
    Domainname(Vec<u8>),
    /// Brings `lo` up in the new network namespace.
    Loopback,
    /// Hands over to the parent, which moves the network devices of [`Plan::net_devices`](crate::plan::Plan) in.
    NetDevices,
    /// Changes the propagation of the whole mount tree that was copied from the host: `MS_*`.
    HostPropagation(u64),
    /// Makes the mount that holds the root file system private, which pivot_root(2) demands.
    PrivateParent(CString),
    /// Takes a directory as the root file system.
    Rootfs {
        /// The directory on the host.
        path: CString,
        /// What is put on it.
        attach: Attach,
    },
    /// A mount of `config.json`, or one that the runtime makes for it.
    Mount(Box<Mount>),
    /// Takes away what is mounted at a place below the root file system.
    Unmount(CString),
    /// Changes attributes of what is mounted at a place: `MOUNT_ATTR_*` to set.
    MountAttributes {
        /// The place below the root file system.
        target: CString,
        /// `MOUNT_ATTR_*`.
        set: u64,
    },
    /// Makes a device node, or binds the host's.
    Device(Device),
    /// Makes a symlink of `/dev`.
    Symlink(Symlink),
    /// Opens the pty pair and sends the master away.
    Console {
        /// Rows and columns, when given.
        size: Option<(u16, u16)>,
        /// Whether the slave becomes the container's `/dev/console`: that of init alone.
        on_dev_console: bool,
    },
    /// Makes a directory and its parents where they are missing: the working directory.
    Directory(CString),
    /// Hands over to the parent, which runs `prestart` and `createRuntime`.
    RuntimeHooks,
    /// Runs a `createContainer` or `startContainer` hook.
    Hook(Box<Hook>),
    /// Hides a path: a directory under an empty read-only file system, a file under `/dev/null`.
    Mask(CString),
    /// Makes a path read-only.
    ReadonlyPath(CString),
    /// Makes the root mount read-only; mounts below it are not touched.
    ReadonlyRoot,
    /// pivot_root(2) into the root file system and detaches the old root.
    Pivot,
    /// Moves the root file system to `/` and chroots: `--no-pivot`.
    MoveRoot,
    /// chroot(2) alone: no mount namespace of the container's own.
    Chroot,
    /// Changes the propagation of the container's root mount, `MS_*`.
    RootPropagation(u64),
    /// Writes a file below `/proc/sys`.
    Sysctl {
        /// The path below `/proc`.
        file: CString,
        /// What to write.
        value: Vec<u8>,
    },
    /// Writes a label for the next execve(2); `files` are tried in turn where the kernel lacks one.
    ExecLabel {
        /// Paths below `/proc`.
        files: &'static [&'static std::ffi::CStr],
        /// The value as the file takes it.
        value: Vec<u8>,
    },
    /// umask(2).
    Umask(u32),
    /// Drops every capability that is not in `keep` from the bounding set.
    BoundingSet {
        /// A bit for each capability.
        keep: u64,
    },
    /// Allows every processor again: the caller's affinity is not the container's.
    ResetAffinity,
    /// sched_setattr(2).
    Scheduler(Box<Scheduler>),
    /// ioprio_set(2) on the process group.
    IoPriority(IoPriority),
    /// set_mempolicy(2).
    MemoryPolicy(Box<MemoryPolicy>),
    /// sched_setaffinity(2).
    Affinity {
        /// The processors as the user wrote them.
        list: String,
        /// A bit for each.
        mask: Vec<u64>,
    },
    /// personality(2).
    Personality(u32),
    /// Changes to the working directory; where that is not permitted, `User` tries again as the user.
    WorkingDirectory(CString),
    /// setgroups(2), setresgid(2), setresuid(2), with the permitted capabilities kept.
    User {
        /// User id in the container.
        uid: u32,
        /// Group id in the container.
        gid: u32,
        /// Supplementary group ids; nothing where setgroups(2) is not allowed.
        groups: Option<Vec<u32>>,
        /// The working directory to try again.
        cwd: CString,
    },
    /// Sets the capability sets.
    Capabilities(Capabilities),
    /// prctl(`PR_SET_NO_NEW_PRIVS`).
    NoNewPrivileges,
    /// Looks the user's home directory up in the container's `/etc/passwd` for `HOME`.
    Home {
        /// Whose.
        uid: u32,
    },
    /// Finds the program: which of [`Execution::candidates`](crate::plan::process::Execution) is executable.
    FindProgram,
    /// Default signal dispositions, nothing blocked.
    ResetSignals,
    /// Closes what only the set-up needed, and marks every descriptor from this one on close-on-exec: nothing of the host's
    /// is left that the working directory or the program could be reached by.
    CloseDescriptors {
        /// The first one that the program does not get.
        from: u32,
    },
    /// Tells the parent that all is prepared and waits until the container is on record.
    Ready,
    /// Waits for `corten start`.
    AwaitStart,
    /// Sets a resource limit of the process; hard limits that rise were raised by the parent.
    Rlimit(Rlimit),
    /// Loads the seccomp program.
    Seccomp,
    /// execve(2).
    Execute,
}
