//! A bundle of its own for every test: a busybox root file system, a `config.json` edited by JSON pointer, a unique id,
//! state root and cgroup path. Dropping it checks that the runtime left nothing behind.

use super::leaks;
use super::runtime::program;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A bundle with everything that its container may touch below one temporary directory.
#[derive(Debug)]
pub struct Bundle {
    /// The container's id, which is also the name of its cgroup and of the temporary directory: unique on the machine.
    pub id: String,
    /// The temporary directory: `bundle/`, `state/` (`--root`) and `io/` (the runtime's outputs).
    pub dir: PathBuf,
    /// What the next verb finds in `config.json`.
    pub config: Value,
    /// The runtime that its verbs call.
    pub runtime: PathBuf,
    calls: AtomicU32,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Bundle {
    /// A bundle whose container prints nothing and exits 0: five namespaces, the default mounts, masks and devices.
    pub fn new() -> Self {
        Self::on(make_rootfs)
    }

    /// The same with another root file system, made by the function at the path that it gets.
    pub fn on(make_rootfs: impl FnOnce(&Path)) -> Self {
        let (id, dir) = fresh_directory();
        make_rootfs(&dir.join("bundle/rootfs"));
        fs::create_dir(dir.join("io")).unwrap();
        let config = default_config(&id);
        Self { id, dir, config, runtime: program(), calls: AtomicU32::new(0) }
    }

    /// A bundle whose container runs a shell script.
    pub fn sh(script: &str) -> Self {
        let mut bundle = Self::new();
        bundle.script(script);
        bundle
    }

    /// A bundle whose container prints `up` and stays until it is killed; SIGTERM makes it print `terminated`.
    pub fn sleeper() -> Self {
        Self::sh("trap 'echo terminated; exit 7' TERM; echo up; sleep 100 & wait")
    }

    /// Sets the arguments to `sh -c SCRIPT`.
    pub fn script(&mut self, script: &str) -> &mut Self {
        self.set("/process/args", json!(["sh", "-c", script]))
    }

    /// Sets the value at a JSON pointer; objects on the way are made.
    pub fn set(&mut self, pointer: &str, value: Value) -> &mut Self {
        let mut place = &mut self.config;
        for key in pointer.split('/').skip(1) {
            place = match place {
                Value::Array(items) => &mut items[key.parse::<usize>().unwrap()],
                other => &mut other[key],
            };
        }
        *place = value;
        self
    }

    /// Removes the member at a JSON pointer.
    pub fn unset(&mut self, pointer: &str) -> &mut Self {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        self.config.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key);
        self
    }

    /// Appends to the array at a JSON pointer, which is made if it is missing.
    pub fn push(&mut self, pointer: &str, value: Value) -> &mut Self {
        if self.config.pointer(pointer).is_none() {
            self.set(pointer, json!([]));
        }
        self.config.pointer_mut(pointer).unwrap().as_array_mut().unwrap().push(value);
        self
    }

    /// Appends a mount.
    pub fn mount(&mut self, destination: &str, kind: &str, source: &str, options: &[&str]) -> &mut Self {
        self.push(
            "/mounts",
            json!({ "destination": destination, "type": kind, "source": source, "options": options }),
        )
    }

    /// Removes the mount on a destination.
    pub fn unmount(&mut self, destination: &str) -> &mut Self {
        let mounts = self.config["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| mount["destination"] != destination);
        self
    }

    /// Replaces or adds a namespace; with a path it is joined.
    pub fn namespace(&mut self, kind: &str, path: Option<&str>) -> &mut Self {
        self.without_namespace(kind);
        let entry = match path {
            Some(path) => json!({ "type": kind, "path": path }),
            None => json!({ "type": kind }),
        };
        self.push("/linux/namespaces", entry)
    }

    /// Takes a namespace out of the list: the container shares the runtime's.
    pub fn without_namespace(&mut self, kind: &str) -> &mut Self {
        let list = self.config["linux"]["namespaces"].as_array_mut().unwrap();
        list.retain(|namespace| namespace["type"] != kind);
        self
    }

    /// Adds a user namespace that maps `size` ids from container id 0 to `host`, and gives the rootfs to them.
    pub fn user_namespace(&mut self, host: u32, size: u32) -> &mut Self {
        let map = json!([{ "containerID": 0, "hostID": host, "size": size }]);
        self.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
        self.chown_rootfs(host);
        self.namespace("user", None)
    }

    /// Gives every file of the rootfs to the uid and gid.
    pub fn chown_rootfs(&self, id: u32) {
        chown_tree(&self.rootfs(), id);
    }

    /// The bundle directory.
    pub fn path(&self) -> PathBuf {
        self.dir.join("bundle")
    }

    /// The root file system.
    pub fn rootfs(&self) -> PathBuf {
        self.dir.join("bundle/rootfs")
    }

    /// The state root, `--root`.
    pub fn root(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// Writes an executable script for the host side (a hook, say) and returns its path.
    pub fn host_script(&self, name: &str, body: &str) -> String {
        let path = self.dir.join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Writes an executable file into the rootfs.
    pub fn executable(&self, path: &str, body: &str) {
        let path = self.rootfs().join(path);
        fs::write(&path, body).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Writes `config.json` as it stands now.
    pub fn write_config(&self) {
        let text = serde_json::to_string_pretty(&self.config).unwrap();
        fs::write(self.path().join("config.json"), text).unwrap();
    }

    /// A fresh pair of files for the outputs of one call.
    pub(super) fn output_files(&self) -> (PathBuf, PathBuf) {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        (self.dir.join(format!("io/{number}.out")), self.dir.join(format!("io/{number}.err")))
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        leaks::settle(self);
    }
}

fn fresh_directory() -> (String, PathBuf) {
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Fixed width: no id is the beginning of another one.
        let id = format!("cortentest-{}-{number:04}", std::process::id());
        let dir = std::env::temp_dir().join(&id);
        if fs::create_dir(&dir).is_ok() {
            fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
            return (id, dir);
        }
    }
}

const APPLETS: &[&str] = &[
    "sh", "cat", "chmod", "chown", "cut", "date", "dd", "df", "echo", "env", "false", "grep", "head",
    "hostname", "id", "ip", "kill", "ln", "ls", "mkdir", "mknod", "mount", "mv", "nproc", "ps", "pwd",
    "readlink", "rm", "sed", "seq", "sleep", "sort", "stat", "stty", "tail", "touch", "tr", "true", "tty",
    "umount", "uname", "usleep", "wc", "xargs",
];

/// A copy of busybox, never a hard link: hostile payloads write to what they run.
fn make_rootfs(rootfs: &Path) {
    for name in ["bin", "dev", "etc", "proc", "root", "sys", "tmp"] {
        fs::create_dir_all(rootfs.join(name)).unwrap();
    }
    fs::copy("/bin/busybox", rootfs.join("bin/busybox")).expect("busybox-static is installed");
    for applet in APPLETS {
        symlink("busybox", rootfs.join("bin").join(applet)).unwrap();
    }
    fs::write(
        rootfs.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n",
    )
    .unwrap();
    fs::write(rootfs.join("etc/group"), "root:x:0:\nuser:x:1000:\n").unwrap();
}

fn chown_tree(path: &Path, id: u32) {
    std::os::unix::fs::lchown(path, Some(id), Some(id)).unwrap();
    if path.symlink_metadata().unwrap().is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            chown_tree(&entry.unwrap().path(), id);
        }
    }
}

fn default_config(id: &str) -> Value {
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": { "uid": 0, "gid": 0 },
            "args": ["true"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "cwd": "/",
            "capabilities": { "bounding": capabilities, "effective": capabilities, "permitted": capabilities },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 }],
            "noNewPrivileges": true
        },
        "root": { "path": "rootfs" },
        "hostname": "corten",
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
              "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] },
            { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
              "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"] },
            { "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
              "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"] },
            { "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
              "options": ["nosuid", "noexec", "nodev"] },
            { "destination": "/sys", "type": "sysfs", "source": "sysfs",
              "options": ["nosuid", "noexec", "nodev", "ro"] }
        ],
        "linux": {
            "cgroupsPath": format!("/{id}"),
            "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
            "namespaces": [
                { "type": "pid" }, { "type": "network" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" }
            ],
            "maskedPaths": ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
        }
    })
}
