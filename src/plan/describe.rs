//! Steps in words: the lines of `corten plan` and the objects of error messages.

use crate::plan::mount_options::{self, Attributes, attribute};
use crate::plan::step::{
    Action, Capabilities, Device, Filesystem, Hook, IoPriority, Kind, MemoryPolicy, Mount, Parameter,
    Scheduler, Step,
};
use crate::spec::capabilities;
use crate::spec::scheduling::SchedulerPolicy;
use std::ffi::CStr;
use std::fmt::{self, Display, Formatter};

impl Display for Step {
    /// `mounts[3]: bind "/srv/data" on "/data" (ro)`; without a place the action alone.
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        if !self.place.is_none() {
            write!(out, "{}: ", self.place)?;
        }
        self.action.fmt(out)
    }
}

impl Display for Action {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::OomScoreAdj(value) => write!(out, "set oom_score_adj to {}", bytes(value)),
            Self::JoinCgroups => out.write_str("join the cgroups"),
            Self::JoinNamespaces => out.write_str("join the namespaces"),
            Self::AwaitIdMaps => out.write_str("wait for the id maps"),
            Self::NamespaceRoot { drop_groups } => {
                let groups = if *drop_groups { "without groups" } else { "groups as they are" };
                write!(out, "become root of the user namespace, {groups}")
            }
            Self::NotDumpable => out.write_str("forbid others to trace init"),
            Self::IpcNamespace => out.write_str("make the ipc namespace"),
            Self::CgroupNamespace => out.write_str("make the cgroup namespace"),
            Self::Session => out.write_str("make a session"),
            Self::Keyring { name, .. } => write!(out, "join session keyring {}", path(name)),
            Self::Hostname(name) => write!(out, "set hostname to \"{}\"", bytes(name)),
            Self::Domainname(name) => write!(out, "set domainname to \"{}\"", bytes(name)),
            Self::Loopback => out.write_str("bring lo up"),
            Self::NetDevices => out.write_str("wait for the network devices"),
            Self::Home { uid } => write!(out, "look up the home of user {uid}"),
            Self::ResetSignals => out.write_str("reset the signals"),
            Self::CloseDescriptors { from } => write!(out, "close descriptors from {from} on"),
            Self::Ready => out.write_str("report ready"),
            Self::AwaitStart => out.write_str("wait for start"),
            Self::RuntimeHooks => out.write_str("wait for the hooks in the runtime's namespaces"),
            Self::Hook(hook) => hook.fmt(out),
            Self::Rlimit(limit) => {
                write!(out, "set {} to {}:{}", limit.kind, bound(limit.soft), bound(limit.hard))
            }
            Self::Seccomp => out.write_str("load the seccomp program"),
            Self::FindProgram => out.write_str("find the program"),
            Self::Execute => out.write_str("execute the program"),
            _ => self.fmt_tree(out),
        }
    }
}

impl Action {
    /// The actions on the file tree and on the identity.
    fn fmt_tree(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::HostPropagation(flags) => {
                write!(out, "make the mounts copied from the host {}", propagation(*flags))
            }
            Self::PrivateParent(root) => write!(out, "make the mount that holds {} private", path(root)),
            Self::Rootfs { path: root, .. } => write!(out, "take {} as root file system", path(root)),
            Self::Mount(mount) => mount.fmt(out),
            Self::MountAttributes { target, set } => {
                write!(out, "make {} {}", inside(target), names(*set))
            }
            Self::Unmount(target) => write!(out, "unmount {}", inside(target)),
            Self::Device(device) => device.fmt(out),
            Self::Symlink(link) => {
                write!(out, "link {} to {}", below(&link.parent, &link.name), path(&link.target))
            }
            Self::Console { size: None, .. } => out.write_str("open the console"),
            Self::Console { size: Some((rows, columns)), .. } => {
                write!(out, "open the console, {rows} rows and {columns} columns")
            }
            Self::Directory(directory) => write!(out, "make directory {}", inside(directory)),
            Self::Mask(target) => write!(out, "mask {}", inside(target)),
            Self::ReadonlyPath(target) => write!(out, "make {} read-only", inside(target)),
            Self::ReadonlyRoot => out.write_str("make the root read-only"),
            Self::Pivot => out.write_str("pivot into the root file system"),
            Self::MoveRoot => out.write_str("move the root file system to / and chroot"),
            Self::Chroot => out.write_str("chroot into the root file system"),
            Self::RootPropagation(flags) => write!(out, "make the root {}", propagation(*flags)),
            Self::Sysctl { file, value } => write!(out, "write \"{}\" to /proc/{}", bytes(value), text(file)),
            Self::ExecLabel { value, .. } => match value.strip_prefix(b"exec ") {
                Some(profile) => write!(out, "set AppArmor profile \"{}\" for the program", bytes(profile)),
                None => write!(out, "set SELinux label \"{}\" for the program", bytes(value)),
            },
            Self::Umask(mask) => write!(out, "set umask to {mask:04o}"),
            Self::BoundingSet { keep } => write!(out, "keep bounding capabilities {}", Set(*keep)),
            Self::WorkingDirectory(cwd) => write!(out, "change directory to {}", path(cwd)),
            Self::User { uid, gid, groups, .. } => {
                write!(out, "become user {uid}, group {gid}")?;
                match groups.as_deref() {
                    Some([]) => out.write_str(", no other groups"),
                    Some(groups) => write!(out, ", groups {groups:?}"),
                    None => out.write_str(", groups as they are"),
                }
            }
            Self::Capabilities(sets) => sets.fmt(out),
            Self::ResetAffinity => out.write_str("allow every processor"),
            Self::Scheduler(scheduler) => scheduler.fmt(out),
            Self::IoPriority(priority) => priority.fmt(out),
            Self::MemoryPolicy(policy) => policy.fmt(out),
            Self::Affinity { list, .. } => write!(out, "allow the processors {list}"),
            Self::Personality(domain) => write!(out, "set personality {domain:#x}"),
            Self::NoNewPrivileges => out.write_str("forbid new privileges"),
            _ => Ok(()),
        }
    }
}

impl Display for Mount {
    /// `bind "/srv/data" on "/data" (ro,nosuid)`, `mount ext4 "/dev/sdb1" on "/data"`.
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        match &self.kind {
            Kind::Bind(bind) => {
                let verb = if bind.recursive { "rbind" } else { "bind" };
                write!(out, "{verb} {} on {}", path(&bind.source), inside(&self.target))?;
                words.extend(bind.id_mapped.then(|| "idmap".to_owned()));
            }
            Kind::Filesystem(filesystem) => {
                write!(out, "mount {}", text(&filesystem.kind))?;
                if let Some(source) = filesystem.telling_source() {
                    write!(out, " {}", path(source))?;
                }
                write!(out, " on {}", inside(&self.target))?;
                words.extend(filesystem.words());
            }
            Kind::Remount { flags, data } => {
                write!(out, "remount {}", inside(&self.target))?;
                words.extend(mount_options::superblock_names(*flags).map(str::to_owned));
                words.extend((!data.is_empty()).then(|| text(data)));
            }
        }
        let mut options = self.attributes.words("");
        options.extend(self.recursive.words("r"));
        options.extend(words);
        options.extend(self.propagation.iter().map(|flags| propagation(*flags).to_owned()));
        if options.is_empty() {
            return Ok(());
        }
        write!(out, " ({})", options.join(","))
    }
}

impl Filesystem {
    /// The source, unless it only repeats the type or stands for nothing, as most file systems have it.
    fn telling_source(&self) -> Option<&CStr> {
        let source = self.source.as_c_str();
        let repeats = self.kind.to_bytes().starts_with(source.to_bytes());
        (!repeats && source != c"none").then_some(source)
    }

    fn words(&self) -> Vec<String> {
        let parameter = |Parameter { key, value }: &Parameter| match value {
            Some(value) => format!("{}={}", text(key), text(value)),
            None => text(key),
        };
        let mut words: Vec<String> = self
            .parameters
            .iter()
            .filter(|parameter| parameter.key.as_c_str() != c"ro")
            .map(parameter)
            .chain(mount_options::superblock_names(self.flags).map(str::to_owned))
            .collect();
        words.extend((!self.data.is_empty()).then(|| text(&self.data)));
        words.extend(self.copy_up.then(|| "tmpcopyup".to_owned()));
        words.extend(self.label.iter().map(|label| format!("label={}", text(label))));
        words
    }
}

/// Attributes with the option that sets and the one that clears each.
const ATTRIBUTES: &[(u64, &str, &str)] = &[
    (attribute::RDONLY, "ro", "rw"),
    (attribute::NOSUID, "nosuid", "suid"),
    (attribute::NODEV, "nodev", "dev"),
    (attribute::NOEXEC, "noexec", "exec"),
    (attribute::NOATIME, "noatime", "atime"),
    (attribute::STRICTATIME, "strictatime", "nostrictatime"),
    (attribute::NODIRATIME, "nodiratime", "diratime"),
    (attribute::NOSYMFOLLOW, "nosymfollow", "symfollow"),
];

impl Attributes {
    fn words(&self, prefix: &str) -> Vec<String> {
        let set = ATTRIBUTES.iter().filter(|(bit, ..)| self.set & bit != 0).map(|(_, name, _)| name);
        let access_time = self.clear & attribute::ATIME != 0;
        let cleared = ATTRIBUTES
            .iter()
            .filter(|(bit, ..)| self.clear & bit != 0 && bit & attribute::ATIME == 0)
            .map(|(.., name)| name);
        let relatime = (access_time && self.set & attribute::ATIME == 0).then_some(&"relatime");
        set.chain(cleared).chain(relatime).map(|name| format!("{prefix}{name}")).collect()
    }
}

impl Display for Device {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        if self.bind {
            return write!(out, "bind {} on {}", path(&self.host_path), below(&self.parent, &self.name));
        }
        let kind = match self.mode & libc::S_IFMT {
            libc::S_IFBLK => 'b',
            libc::S_IFIFO => 'p',
            _ => 'c',
        };
        let number = match self.device {
            _ if kind == 'p' => String::new(),
            (major, minor) => format!(" {major}:{minor}"),
        };
        let mode = self.mode & 0o7777;
        write!(out, "make device {} {kind}{number} {mode:04o}", below(&self.parent, &self.name))?;
        match self.owner {
            (0, 0) => Ok(()),
            (uid, gid) => write!(out, " {uid}:{gid}"),
        }
    }
}

impl Display for Hook {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "run {}", path(&self.path))
    }
}

impl Display for Capabilities {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str("set capabilities: ")?;
        match (self.effective, self.permitted) {
            (same, permitted) if same == permitted => write!(out, "effective and permitted {}", Set(same))?,
            (effective, permitted) => {
                write!(out, "effective {}, permitted {}", Set(effective), Set(permitted))?;
            }
        }
        write!(out, ", inheritable {}, ambient {}", Set(self.inheritable), Set(self.ambient))
    }
}

impl Display for Scheduler {
    /// `set SCHED_FIFO priority 7 (SCHED_FLAG_RESET_ON_FORK)`.
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "set {}", self.policy)?;
        match self.policy {
            SchedulerPolicy::Other | SchedulerPolicy::Batch => write!(out, " nice {}", self.nice)?,
            SchedulerPolicy::Fifo | SchedulerPolicy::Rr => write!(out, " priority {}", self.priority)?,
            SchedulerPolicy::Deadline => {
                let (runtime, deadline, period) = (self.runtime_ns, self.deadline_ns, self.period_ns);
                write!(out, " runtime {runtime} deadline {deadline} period {period} ns")?;
            }
            SchedulerPolicy::Iso | SchedulerPolicy::Idle => {}
        }
        flags(out, &self.flags)
    }
}

impl Display for IoPriority {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "set {} {}", self.class, self.level)
    }
}

impl Display for MemoryPolicy {
    /// `set MPOL_BIND of nodes 0-3 (MPOL_F_STATIC_NODES)`.
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "set {}", self.mode)?;
        if let Some(nodes) = &self.nodes {
            write!(out, " of nodes {nodes}")?;
        }
        flags(out, &self.flags)
    }
}

fn flags(out: &mut Formatter<'_>, flags: &[impl Display]) -> fmt::Result {
    let words: Vec<String> = flags.iter().map(ToString::to_string).collect();
    if words.is_empty() { Ok(()) } else { write!(out, " ({})", words.join(",")) }
}

/// A set of capabilities by name: `[chown,kill]`.
struct Set(u64);

impl Display for Set {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let names = capabilities::NAMES.iter().enumerate().filter(|(number, _)| self.0 >> number & 1 == 1);
        let names: Vec<String> =
            names.map(|(_, name)| name.trim_start_matches("CAP_").to_lowercase()).collect();
        write!(out, "[{}]", names.join(","))
    }
}

/// The words for propagation flags.
fn propagation(flags: u64) -> &'static str {
    let recursive = flags & libc::MS_REC != 0;
    match (flags & !libc::MS_REC, recursive) {
        (libc::MS_SHARED, false) => "shared",
        (libc::MS_SHARED, true) => "rshared",
        (libc::MS_SLAVE, false) => "slave",
        (libc::MS_SLAVE, true) => "rslave",
        (libc::MS_PRIVATE, false) => "private",
        (libc::MS_PRIVATE, true) => "rprivate",
        (libc::MS_UNBINDABLE, false) => "unbindable",
        _ => "runbindable",
    }
}

/// A limit in its unit.
fn bound(limit: u64) -> String {
    if limit == u64::MAX { "unlimited".to_owned() } else { limit.to_string() }
}

fn names(set: u64) -> String {
    Attributes { set, ..Attributes::default() }.words("").join(",")
}

/// A path of the container as the user wrote it: absolute, quoted.
fn inside(target: &CStr) -> String {
    format!("\"/{}\"", target.to_string_lossy())
}

fn below(parent: &CStr, name: &CStr) -> String {
    let (parent, name) = (parent.to_string_lossy(), name.to_string_lossy());
    if parent.is_empty() { format!("\"/{name}\"") } else { format!("\"/{parent}/{name}\"") }
}

fn path(path: &CStr) -> String {
    format!("\"{}\"", path.to_string_lossy())
}

fn text(text: &CStr) -> String {
    text.to_string_lossy().into_owned()
}

fn bytes(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
