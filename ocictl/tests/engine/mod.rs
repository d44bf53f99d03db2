//! What the tests of containers share: a store with a busybox image, made from the machine's static busybox, and a check at the end that
//! nothing is left.

#![allow(dead_code, reason = "each test binary uses a part of it")]

#[path = "../support/mod.rs"]
pub mod support;

use ocictl::digest::Digest;
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use support::{Scratch, goarch, tar_of};

/// The name of the image.
pub const IMAGE: &str = "busybox";
/// How long to wait for what must come, on a machine with much to do.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A store with the busybox image; when it goes, so does all that it runs.
pub struct Engine {
    pub scratch: Scratch,
}

impl Engine {
    pub fn new(name: &str) -> Self {
        let engine = Self::empty(name);
        engine.load(IMAGE, &json!({ "Cmd": ["sh"], "Env": ["PATH=/bin", "FROM=image"] }));
        engine
    }

    pub fn empty(name: &str) -> Self {
        Self { scratch: Scratch::new(name) }
    }

    /// A directory with the busybox image as an archive, for an ordinary user to load.
    pub fn for_a_user(name: &str) -> Self {
        let engine = Self::empty(name);
        if rustix::process::geteuid().is_root() {
            // A user without subordinate ids has no owners but himself to give.
            support::run("chown", &["-R", "0:0", engine.tree().to_str().expect("text")]);
            engine.load(IMAGE, &json!({ "Cmd": ["sh"], "Env": ["PATH=/bin"] }));
            // What root's kernel can do is no matter of his.
            for folder in ["root", "run"] {
                fs::remove_dir_all(engine.scratch.join(folder)).expect("removed");
            }
        }
        engine
    }

    /// The root of busybox that images are made of.
    pub fn tree(&self) -> PathBuf {
        let rootfs = self.scratch.join("image-root");
        if fs::symlink_metadata(&rootfs).is_err() {
            busybox(&rootfs);
        }
        rootfs
    }

    /// Loads an image of busybox with this `config`.
    pub fn load(&self, name: &str, config: &Value) {
        let rootfs = self.tree();
        let layer = tar_of(&rootfs);
        let config = json!({
            "created": "2026-11-01T00:00:00Z", "architecture": goarch(), "os": "linux", "config": config,
            "rootfs": { "type": "layers", "diff_ids": [Digest::of(&layer).to_string()] },
            "history": [{ "created_by": "by hand" }],
        })
        .to_string();
        let name = format!("docker.io/library/{name}:latest");
        let archive = support::archive_of(&name, config.as_bytes(), &[layer]);
        let file = self.scratch.join("image.tar");
        fs::write(&file, archive).expect("written");
        self.ok(&["load", "-q", "-i", file.to_str().expect("text")]);
    }

    /// The program as it is shipped, where it is built: static, since it is a container's init, too.
    pub fn command(&self) -> Command {
        let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bin/ocictl");
        let program = match (std::env::var_os("OCICTL"), fs::canonicalize(built)) {
            (Some(program), _) => PathBuf::from(program),
            (None, Ok(program)) => program,
            (None, Err(_)) => env!("CARGO_BIN_EXE_ocictl").into(),
        };
        let mut command = self.scratch.command_of(&program);
        command.env("OCICTL_RUNTIME", runtime());
        command
    }

    pub fn output<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Output {
        self.command().args(arguments).output().expect("ocictl starts")
    }

    /// Runs it and returns what it printed; it must succeed.
    pub fn ok<S: AsRef<OsStr>>(&self, arguments: &[S]) -> String {
        let output = self.output(arguments);
        let words: Vec<_> =
            arguments.iter().map(|word| word.as_ref().to_string_lossy().into_owned()).collect();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ocictl {}: {}: {stderr}", words.join(" "), output.status);
        String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
    }

    /// Runs it; the exit code, what it printed and what it said.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> (i32, String, String) {
        let output = self.output(arguments);
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim_end().to_owned();
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    }

    /// Starts it with pipes.
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.command();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("ocictl starts")
    }

    /// What `inspect` says by a template.
    pub fn ask(&self, container: &str, template: &str) -> String {
        self.ok(&["container", "inspect", "--format", template, container])
    }

    pub fn wait_for(&self, container: &str, template: &str, wanted: &str) {
        eventually(&format!("{container}: {template} is {wanted}"), || {
            self.ask(container, template) == wanted
        });
    }

    /// Everything that is left of containers.
    pub fn leftovers(&self) -> Vec<String> {
        let mut left = Vec::new();
        for folder in [
            "root/containers",
            "root/container-names",
            "root/container-aside",
            "root/pins",
            "run/containers",
            "root/volumes",
        ] {
            left.extend(
                support::files(&self.scratch.join(folder))
                    .into_iter()
                    .filter(|name| name != ".lock")
                    .map(|name| format!("{folder}/{name}")),
            );
        }
        let state = self.scratch.join("run/runtime");
        for runtime in support::files(&state) {
            left.extend(
                support::files(&state.join(&runtime)).into_iter().map(|name| format!("runtime/{name}")),
            );
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let here = self.scratch.path.to_str().expect("text").to_owned();
        left.extend(
            mounts
                .lines()
                .filter(|line| line.contains(&here) && !line.contains("/run/layers/"))
                .map(String::from),
        );
        left
    }

    /// Nothing is left of the containers that were.
    pub fn assert_clean(&self) {
        let until = Instant::now() + PATIENCE;
        while !self.leftovers().is_empty() {
            assert!(Instant::now() < until, "left after {PATIENCE:?}: {:?}", self.leftovers());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _nothing_runs = self
            .command()
            .args(["rm", "-a", "-f", "-v"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

/// The OCI runtime under test.
pub fn runtime() -> PathBuf {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bin/corten");
    std::env::var_os("RUNTIME").map_or(built, PathBuf::from)
}

fn busybox(rootfs: &Path) {
    for folder in ["bin", "etc", "root", "tmp", "proc", "sys", "dev", "data/inner"] {
        fs::create_dir_all(rootfs.join(folder)).expect("a directory");
    }
    fs::copy("/bin/busybox", rootfs.join("bin/busybox")).expect("busybox-static is installed");
    let applets = Command::new("/bin/busybox").arg("--list").output().expect("busybox lists").stdout;
    for applet in String::from_utf8_lossy(&applets).lines().filter(|applet| *applet != "busybox") {
        symlink("busybox", rootfs.join("bin").join(applet)).expect("a link");
    }
    fs::write(rootfs.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/data:/bin/sh\n")
        .expect("written");
    fs::write(rootfs.join("etc/group"), "root:x:0:\nweb:x:34:\nadm:x:4:web\n").expect("written");
    fs::write(rootfs.join("data/inner/file"), "of the image\n").expect("written");
    fs::set_permissions(rootfs.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("a mode");
    std::os::unix::fs::chown(rootfs.join("data"), Some(33), Some(34)).expect("an owner");
}

pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "not in {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
