//! What was seen of one container, inside and outside, as named values in which nothing is left that must differ: pids, inode
//! numbers, temporary paths.

use super::support::{Bundle, cgroups, probe};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Fields of `/proc/PID/status` that the runtime decides.
const STATUS: [&str; 17] = [
    "Umask",
    "Uid",
    "Gid",
    "Groups",
    "SigBlk",
    "SigIgn",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
    "Seccomp",
    "Seccomp_filters",
    "Speculation_Store_Bypass",
    "Cpus_allowed_list",
    "Mems_allowed_list",
];

/// Files of cgroups that count instead of limit, by a part of their name.
const COUNTERS: [&str; 19] = [
    "stat",
    "usage",
    "procs",
    "tasks",
    "pressure",
    "event",
    "failcnt",
    "numa",
    "slabinfo",
    "io_service",
    "io_merged",
    "io_queued",
    "io_wait",
    "sectors",
    "time",
    "force_empty",
    "current",
    "peak",
    "threads",
];

/// Named values.
#[derive(Debug, Default)]
pub struct Sight {
    /// The values by their names.
    pub values: BTreeMap<String, String>,
    /// What is replaced in each value, longest first.
    names: Vec<(String, &'static str)>,
}

impl Sight {
    /// Nothing seen yet of a container of the bundle, which may join the namespaces of a holder.
    pub fn new(bundle: &Bundle) -> Self {
        let names = vec![(bundle.dir.to_str().unwrap().to_owned(), "DIR"), (bundle.id.clone(), "ID")];
        Self { values: BTreeMap::new(), names }
    }

    /// Some values as they are.
    pub fn of(values: &[(&str, &str)]) -> Self {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { values, names: Vec::new() }
    }

    /// Notes a value.
    pub fn put(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let (mut name, mut value) = (name.into(), value.into());
        for (from, to) in &self.names {
            value = value.replace(from, to);
            name = name.replace(from, to);
        }
        self.values.insert(name, value.trim().to_owned());
    }

    /// What the payload has printed; `holder` is the process whose namespaces may have been joined.
    pub fn inside(&mut self, output: &str, holder: Option<i32>) {
        let mut in_file = false;
        for line in output.lines() {
            match line.split_once(' ') {
                Some(("BEGIN", _)) => in_file = true,
                Some(("END", _)) => in_file = false,
                _ if in_file => {}
                _ => {
                    if let Some((name, value)) = line.split_once('=') {
                        let value = plain(name, value, &self.names[1].0, holder);
                        self.put(name, value);
                    }
                }
            }
        }
        let status = probe::whole(output, "status");
        for field in
            status.iter().filter_map(|line| line.split_once(':')).filter(|(name, _)| STATUS.contains(name))
        {
            self.put(field.0, field.1.trim().replace('\t', " "));
        }
        for line in probe::whole(output, "limits").iter().skip(1) {
            let (name, limits) = line.split_at(26.min(line.len()));
            self.put(name.trim(), limits.split_whitespace().take(2).collect::<Vec<_>>().join(" "));
        }
        for line in probe::whole(output, "cgroup") {
            let parts: Vec<&str> = line.splitn(3, ':').collect();
            self.put(format!("cgroup {}", parts[1]), parts[2]);
        }
        self.mounts(&probe::whole(output, "mountinfo").join("\n"));
    }

    /// The mounts, each by its point, and their order.
    fn mounts(&mut self, table: &str) {
        let mounts = probe::mounts(table);
        let mut at: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for mount in &mounts {
            // What a file system of the machine was mounted with is not the runtime's doing.
            let ours = ["tmpfs", "proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2"]
                .contains(&mount.kind.as_str());
            let data = if ours { mount.super_options.join(",") } else { "…".to_owned() };
            let options = mount.options.join(",");
            let text = format!("{} {} {options} {} {data}", mount.kind, mount.root, mount.propagation());
            at.entry(mount.point.clone()).or_default().push(text);
        }
        for (point, texts) in &at {
            self.hide_owners_of_the_machine(point, texts);
        }
        for (point, texts) in at {
            self.put(format!("mount {point}"), texts.join(" under "));
        }
    }

    /// What is bound from the machine's `/dev` has the owner that it has there, which is nobody's doing here.
    fn hide_owners_of_the_machine(&mut self, point: &str, texts: &[String]) {
        let is_there = |name: &str| name == point || (point == "/dev" && name.starts_with("/dev/"));
        if !texts.last().is_some_and(|text| text.starts_with("devtmpfs")) {
            return;
        }
        for (name, value) in &mut self.values {
            if name.strip_prefix("device ").is_some_and(is_there) && value.starts_with("character") {
                let words: Vec<&str> = value.split(' ').collect();
                *value = [&words[..4], &["its owner"], &words[5..]].concat().join(" ");
            }
        }
    }

    /// The files of the container's cgroups that are not counters, while it is there.
    pub fn cgroups(&mut self, pid: i32) {
        let table = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        for (point, controllers) in cgroups::hierarchies() {
            let label = point.file_name().unwrap().to_str().unwrap();
            let is_this = |line: &&str| {
                let names = line.split(':').nth(1).unwrap();
                names.is_empty() == controllers.is_empty()
                    && (names.is_empty()
                        || names.split(',').any(|name| controllers.iter().any(|have| have == name)))
            };
            let Some(line) = table.lines().find(is_this) else { continue };
            let path = line.splitn(3, ':').nth(2).unwrap();
            self.files_of_cgroup(label, &point.join(path.trim_start_matches('/')));
        }
    }

    fn files_of_cgroup(&mut self, label: &str, dir: &Path) {
        let Ok(entries) = fs::read_dir(dir) else { return };
        for entry in entries.map(Result::unwrap).filter(|entry| entry.file_type().unwrap().is_file()) {
            let name = entry.file_name().into_string().unwrap();
            if COUNTERS.iter().any(|part| name.contains(part)) {
                continue;
            }
            if let Ok(text) = fs::read_to_string(entry.path()) {
                let mut lines: Vec<&str> = text.lines().collect();
                lines.sort_unstable();
                self.put(format!("file {label}/{name}"), lines.join(";"));
            }
        }
    }

    /// The files of the root file system as the host sees them: what the runtime has made and left there.
    pub fn rootfs(&mut self, bundle: &Bundle) {
        let mut found = Vec::new();
        list(&bundle.rootfs(), Path::new("/"), &mut found);
        for (path, text) in found {
            self.put(format!("left {path}"), text);
        }
    }
}

/// A value without what must differ from one run to the next.
fn plain(name: &str, value: &str, id: &str, holder: Option<i32>) -> String {
    if let Some(kind) = name.strip_prefix("namespace ") {
        return whose(kind, value, holder).to_owned();
    }
    if name == "keyrings" {
        // Of others, too, which come and go.
        return value.split(' ').filter(|name| name.contains(id)).collect::<Vec<_>>().join(" ");
    }
    if name == "uptime" {
        return format!("{} days", value.parse::<i64>().unwrap_or_default() / 86_400);
    }
    match value.split_once(":[") {
        Some((kind, _)) if name.starts_with("descriptor") => format!("{kind}:[N]"),
        _ => value.to_owned(),
    }
}

/// Whose a namespace is: the host's, the holder's, or a new one.
fn whose(kind: &str, link: &str, holder: Option<i32>) -> &'static str {
    let of = |pid: i32| {
        fs::read_link(format!("/proc/{pid}/ns/{kind}")).is_ok_and(|target| target.as_os_str() == link)
    };
    if link.is_empty() {
        "unseen"
    } else if of(std::process::id().try_into().unwrap()) {
        "the host's"
    } else if holder.is_some_and(of) {
        "joined"
    } else {
        "new"
    }
}

fn list(dir: &Path, shown: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let meta = entry.metadata().unwrap();
        let path = shown.join(entry.file_name());
        let kind = if meta.is_dir() {
            "directory"
        } else if meta.is_symlink() {
            "link"
        } else {
            "file"
        };
        let text = format!("{kind} {:o} {}:{}", meta.mode() & 0o7777, meta.uid(), meta.gid());
        found.push((path.display().to_string(), text));
        if meta.is_dir() && path != Path::new("/bin") {
            list(&entry.path(), &path, found);
        }
    }
}

/// A member of a document as text that does not depend on the order of its keys.
pub fn member_text(value: &Value) -> String {
    match value.as_object() {
        Some(object) => serde_json::to_string(&object.iter().collect::<BTreeMap<_, _>>()).unwrap(),
        None => value.to_string(),
    }
}
