//! What the engine's tests share: a store of their own that goes with all of its mounts, the program, and images made by hand.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use ocictl::digest::Digest;
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};

/// A directory with a store of its own.
pub struct Scratch {
    pub path: PathBuf,
    /// The form that layers get; empty for what the program chooses.
    pub layers: &'static str,
}

impl Scratch {
    pub fn new(name: &str) -> Self {
        Self::below(&std::env::temp_dir(), name)
    }

    /// In memory: for tests that write and sync thousands of times.
    pub fn in_memory(name: &str) -> Self {
        Self::below(Path::new("/dev/shm"), name)
    }

    pub fn below(directory: &Path, name: &str) -> Self {
        let path = directory.join(format!("ocictl-{name}-{}", std::process::id()));
        remove(&path);
        fs::create_dir_all(&path).expect("a scratch directory");
        Self { path, layers: "" }
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The program with this store.
    pub fn command(&self) -> Command {
        let program = std::env::var_os("OCICTL").unwrap_or_else(|| env!("CARGO_BIN_EXE_ocictl").into());
        self.command_of(program.as_ref())
    }

    /// This program with this store, and with nothing of the machine's configuration.
    pub fn command_of(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.arg("--root").arg(self.join("root")).arg("--runroot").arg(self.join("run"));
        command
            .env("CONTAINERS_REGISTRIES_CONF", self.registries_conf())
            .env("REGISTRY_AUTH_FILE", self.join("auth.json"));
        command
            .env("HOME", &self.path)
            .env("OCICTL_LAYERS", self.layers)
            .env_remove("XDG_RUNTIME_DIR")
            .stdin(Stdio::null());
        command
    }

    /// A configuration that the machine's does not disturb.
    fn registries_conf(&self) -> PathBuf {
        let path = self.join("registries.conf");
        if fs::symlink_metadata(&path).is_err() {
            fs::write(&path, "unqualified-search-registries = [\"docker.io\"]\n").expect("a configuration");
        }
        path
    }

    pub fn output<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Output {
        self.command().args(arguments).output().expect("ocictl starts")
    }

    /// Runs it and returns what it printed; it must succeed.
    pub fn ok<S: AsRef<OsStr>>(&self, arguments: &[S]) -> String {
        let output = self.output(arguments);
        let words: Vec<_> =
            arguments.iter().map(|word| word.as_ref().to_string_lossy().into_owned()).collect();
        assert!(
            output.status.success(),
            "ocictl {}: {}",
            words.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("text")
    }

    /// Runs it and returns what it said; it must fail.
    pub fn fails<S: AsRef<OsStr>>(&self, arguments: &[S]) -> String {
        let output = self.output(arguments);
        assert!(!output.status.success(), "it should fail: {}", String::from_utf8_lossy(&output.stdout));
        let said = String::from_utf8(output.stderr).expect("text");
        assert!(!said.contains("panicked"), "{said}");
        said
    }

    /// Nothing is left of what was tried: no layer, no blob, nothing half made; and the store is whole.
    pub fn assert_empty(&self) {
        for folder in ["layers", "images", "names", "ingest", "trash", "blobs/sha256"] {
            assert_eq!(files(&self.join("root").join(folder)), Vec::<String>::new(), "{folder}");
        }
        self.ok(&["system", "check"]);
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

fn remove(path: &Path) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    let mut points: Vec<String> = points.map(|point| point.replace("\\040", " ")).collect();
    points.reverse();
    for point in points.into_iter().filter(|point| Path::new(point).starts_with(path)) {
        let _gone = Command::new("umount").arg("-l").arg(&point).status();
    }
    let _nothing_there = fs::remove_dir_all(path);
}

/// The names in a directory, sorted; one that is not there has none.
pub fn files(directory: &Path) -> Vec<String> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => panic!("{}: {error}", directory.display()),
    };
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
    let mut names: Vec<_> = entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Runs a program that must succeed; what it printed.
pub fn run<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> Vec<u8> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A directory as GNU tar sees it.
pub fn tar_of(directory: &Path) -> Vec<u8> {
    run(
        "tar",
        &[
            "--xattrs",
            "--xattrs-include=*",
            "--sort=name",
            "-S",
            "-C",
            directory.to_str().expect("text"),
            "-cf",
            "-",
            ".",
        ],
    )
}

/// The configuration of an image of these layers (uncompressed).
pub fn config(layers: &[Vec<u8>]) -> Value {
    json!({
        "created": "2026-11-01T00:00:00Z", "architecture": goarch(), "os": "linux",
        "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"], "Labels": {"purpose": "test"}},
        "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|layer| Digest::of(layer).to_string()).collect::<Vec<_>>()},
        "history": layers.iter().map(|_| json!({"created": "2026-11-01T00:00:00Z", "created_by": "by hand"})).collect::<Vec<_>>(),
    })
}

pub fn goarch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// A tar of files.
pub fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, content) in files {
        bytes.extend(header(name, b'0', content.len() as u64, ""));
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// A header of the ustar format.
pub fn header(name: &str, kind: u8, size: u64, link: &str) -> [u8; 512] {
    let mut block = [0u8; 512];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(156, &[kind]);
    put(157, link.as_bytes());
    put(257, b"ustar\x0000");
    seal(block)
}

/// A PAX header with these records, for what follows.
pub fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let mut text = String::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let length = (1..)
            .map(|digits| rest + digits)
            .find(|length| length.to_string().len() + rest == *length)
            .expect("a length");
        text += &format!("{length} {key}={value}\n");
    }
    let mut bytes = header("pax", b'x', text.len() as u64, "").to_vec();
    bytes.extend(text.as_bytes());
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// Writes the checksum of a header.
pub fn seal(mut block: [u8; 512]) -> [u8; 512] {
    block[148..156].copy_from_slice(b"        ");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// What `docker save` writes for one image.
pub fn docker_archive(name: &str, layers: &[Vec<u8>]) -> Vec<u8> {
    archive_of(name, config(layers).to_string().as_bytes(), layers)
}

/// The same with this configuration.
pub fn archive_of(name: &str, config: &[u8], layers: &[Vec<u8>]) -> Vec<u8> {
    let config_name = format!("{}.json", Digest::of(config).hex());
    let names: Vec<String> = (0..layers.len()).map(|number| format!("{number}/layer.tar")).collect();
    let manifest = json!([{"Config": config_name, "RepoTags": [name], "Layers": names}]).to_string();
    let mut files: Vec<(&str, &[u8])> =
        names.iter().map(String::as_str).zip(layers.iter().map(Vec::as_slice)).collect();
    files.push((&config_name, config));
    files.push(("manifest.json", manifest.as_bytes()));
    tar(&files)
}

/// A command below another program, whose last words it is: with its own environment, and nothing to read.
pub fn below<S: AsRef<OsStr>>(wrapper: &[S], command: &Command, words: &[&str]) -> Command {
    let (program, options) = wrapper.split_first().expect("a program");
    let mut outer = Command::new(program);
    outer.args(options).arg(command.get_program()).args(command.get_args()).args(words);
    inherit(&mut outer, command);
    outer.stdin(Stdio::null());
    outer
}

/// Gives a command what another one has in its environment, and takes what that one goes without.
pub fn inherit(to: &mut Command, from: &Command) {
    for (name, value) in from.get_envs() {
        match value {
            Some(value) => to.env(name, value),
            None => to.env_remove(name),
        };
    }
}

/// Runs what `plain` would under strace and timeout(1), silently: how timeout ends.
pub fn strace(plain: &Command, timeout: &[&str], options: &[&str], words: &[&str]) -> ExitStatus {
    let mut command = below(&[&["timeout"], timeout, &["strace"], options].concat(), plain, words);
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("strace")
}

/// How often each of these calls was made, by what `strace -c` has counted: name and number; of all calls where these are too few.
pub fn counted(text: &str, names: &[&str], points: usize) -> Vec<(String, usize)> {
    let all = counts(text);
    let of_names: Vec<_> = all.iter().filter(|(name, _)| names.contains(&name.as_str())).cloned().collect();
    if of_names.iter().map(|(_, count)| count).sum::<usize>() >= points { of_names } else { all }
}

fn counts(text: &str) -> Vec<(String, usize)> {
    let mut calls = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if let [_, _, _, count, .., name] = fields[..]
            && !matches!(name, "total" | "exit_group")
            && let Ok(count) = count.parse()
        {
            calls.push((name.to_owned(), count));
        }
    }
    calls
}
