//! The cgroup side of a container, seen from the host: hierarchies, directories, files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The mounted hierarchies, each with its controllers: `[]` is the v2 tree.
pub fn hierarchies() -> Vec<(PathBuf, Vec<String>)> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mut found = Vec::new();
    for line in table.lines() {
        let (mount, filesystem) = line.split_once(" - ").unwrap();
        let point = PathBuf::from(mount.split(' ').nth(4).unwrap());
        let mut fields = filesystem.split(' ');
        match fields.next().unwrap() {
            "cgroup" => {
                let is_name = |option: &&str| !matches!(*option, "rw" | "ro" | "xattr" | "noprefix");
                let options = fields.nth(1).unwrap().split(',').filter(is_name);
                let options = options.filter(|option| !option.starts_with("release_agent="));
                found.push((point, options.map(str::to_owned).collect()));
            }
            "cgroup2" => found.push((point, Vec::new())),
            _ => {}
        }
    }
    found
}

/// The mount point of a v1 controller, if this machine has it.
pub fn v1(controller: &str) -> Option<PathBuf> {
    let found = hierarchies().into_iter().find(|(_, names)| names.iter().any(|name| name == controller));
    found.map(|(point, _)| point)
}

/// The value of a file of the container's cgroup `/NAME` in a v1 hierarchy, trimmed.
#[track_caller]
pub fn read(controller: &str, name: &str, file: &str) -> String {
    let path = v1(controller).unwrap().join(name).join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.trim().to_owned()
}

/// Whether the kernel keeps soft limits of memory on v1; newer ones (7.3) take any and keep none.
pub fn keeps_soft_limits() -> bool {
    let Some(root) = v1("memory") else { return false };
    static KEPT: OnceLock<bool> = OnceLock::new();
    *KEPT.get_or_init(|| {
        let probe = root.join(format!("cortentest-{}-soft-limit", std::process::id()));
        fs::create_dir(&probe).unwrap();
        let file = probe.join("memory.soft_limit_in_bytes");
        let kept = fs::write(&file, "1048576").and_then(|()| fs::read_to_string(&file));
        fs::remove_dir(&probe).unwrap();
        kept.unwrap().trim() == "1048576"
    })
}

/// The path of a process in a v1 hierarchy (or, for "", in the v2 tree).
pub fn of_process(pid: i32, controller: &str) -> String {
    let table = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let lines = table.lines().map(|line| line.splitn(3, ':').collect::<Vec<_>>());
    let mut paths =
        lines.filter(|line| line[1].split(',').any(|name| name == controller)).map(|line| line[2].to_owned());
    paths.next().unwrap_or_else(|| panic!("no {controller:?} in {table}"))
}

/// Every cgroup directory whose path holds the id, parents before children.
pub fn named(id: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (point, _) in hierarchies() {
        collect(&point, id, &mut found);
    }
    found
}

fn collect(dir: &Path, id: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.filter_map(Result::ok) {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let path = entry.path();
            if path.to_string_lossy().contains(id) {
                found.push(path.clone());
            }
            collect(&path, id, found);
        }
    }
}

/// Thaws whatever carries the id: a frozen process does not die. Best effort.
pub fn thaw(id: &str) {
    for path in named(id) {
        let _ = fs::write(path.join("freezer.state"), "THAWED");
        let _ = fs::write(path.join("cgroup.freeze"), "0");
    }
}
