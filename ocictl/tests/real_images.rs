//! Real images on their way between ocictl, Debian's docker-registry (TLS, a password), podman and skopeo: busybox, Debian with Python in six
//! layers by mmdebstrap, and a gigabyte in 50,000 files. `make engine-test` runs it; it takes minutes, so `make test` does not.

mod engine;
#[path = "support/registry.rs"]
mod registry;

use engine::{Engine, support};
use registry::Registry;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::{goarch, header, run};

/// An image in a registry, and who takes it there and back.
struct Journey {
    engine: Engine,
    registry: Registry,
}

impl Journey {
    fn begin(name: &str) -> Self {
        let engine = Engine::empty(name);
        let registry = Registry::private(&engine.scratch.path).expect("docker-registry is installed");
        let journey = Self { engine, registry };
        let certs = journey.certs();
        journey.engine.ok(&["login", "-u", "user", "-p", "secret", &certs, &journey.registry.host]);
        journey
    }

    fn path(&self, name: &str) -> String {
        self.engine.scratch.join(name).to_str().expect("text").to_owned()
    }

    fn certs(&self) -> String {
        format!("--cert-dir={}", self.path("certs"))
    }

    fn name(&self, tag: &str) -> String {
        format!("{}/real/image:{tag}", self.registry.host)
    }

    fn id(&self, name: &str) -> String {
        self.engine.ok(&["image", "inspect", name, "--format", "{{.Id}}"])
    }

    fn push(&self, from: &str, tag: &str) {
        self.engine.ok(&["push", "-q", &self.certs(), from, &self.name(tag)]);
    }

    fn pull(&self, tag: &str) -> String {
        self.engine.ok(&["pull", "-q", &self.certs(), &self.name(tag)])
    }

    /// Runs a shell line in a container that goes.
    fn sh(&self, image: &str, script: &str) -> String {
        self.engine.ok(&["run", "--rm", image, "sh", "-c", script])
    }

    /// Debian's podman with a store of its own, and our runtime: its own knows no hybrid cgroups, and may not raise limits here.
    fn podman(&self, words: &[&str]) -> String {
        let mut command = Command::new("podman");
        command.args([
            "--root",
            &self.path("podman"),
            "--runroot",
            &self.path("podman-run"),
            "--storage-driver",
            "overlay",
        ]);
        command.args([
            "--cgroup-manager",
            "cgroupfs",
            "--events-backend",
            "none",
            "--tmpdir",
            &self.path("podman-tmp"),
        ]);
        command.arg("--runtime").arg(fs::canonicalize(engine::runtime()).expect("corten is built"));
        said(
            command.args(words).env("HOME", &self.engine.scratch.path).output(),
            &format!("podman {words:?}"),
        )
    }

    fn podman_sh(&self, image: &str, script: &str) -> String {
        self.podman(&[
            "run",
            "--rm",
            "--network=none",
            "--ulimit=nofile=1024:1024",
            "--ulimit=nproc=1024:1024",
            image,
            "sh",
            "-c",
            script,
        ])
    }

    fn skopeo(&self, words: &[&str]) -> String {
        let mut command = Command::new("skopeo");
        command.arg("--insecure-policy").args(words).env("HOME", &self.engine.scratch.path);
        said(command.output(), &format!("skopeo {words:?}"))
    }

    /// To the registry and back, changed by us, changed by podman, and through every kind of archive; `look` prints what must not change.
    fn round(&self, first: &str, look: &str) {
        let wanted = self.sh(first, look);
        assert!(!wanted.is_empty());
        let id = self.id(first);
        self.push(first, "1");
        self.engine.ok(&["rmi", "-a"]);
        assert_eq!(self.pull("1"), id);
        self.engine.ok(&["system", "check", "--deep"]);
        assert_eq!(self.sh(&self.name("1"), look), wanted);
        // We change it.
        self.engine.ok(&[
            "run",
            "--name",
            "c",
            &self.name("1"),
            "sh",
            "-c",
            "echo ours > /ours; rm -f /etc/group; mkdir -p /opt/deep",
        ]);
        self.engine.ok(&["commit", "-q", "-m", "ours", "c", &self.name("2")]);
        self.engine.ok(&["rm", "c"]);
        self.push(&self.name("2"), "2");
        // Podman takes it, runs it, changes it.
        let creds = ["--creds=user:secret", &self.certs()].map(str::to_owned);
        let with = |words: &[&str]| -> String {
            let (verb, rest) = words.split_first().expect("a verb");
            self.podman(&[&[*verb, "-q", &creds[0], &creds[1]], rest].concat())
        };
        let second = self.name("2");
        with(&["pull", &second]);
        assert_eq!(self.podman_sh(&second, look), wanted);
        assert_eq!(
            self.podman_sh(&second, "cat /ours; test -e /etc/group || echo gone; ls -d /opt/deep"),
            "ours\ngone\n/opt/deep"
        );
        self.podman(&[
            "run",
            "--name",
            "p",
            "--network=none",
            "--ulimit=nofile=1024:1024",
            "--ulimit=nproc=1024:1024",
            &second,
            "sh",
            "-c",
            "echo theirs > /theirs; rm /ours",
        ]);
        let third = self.name("3");
        self.podman(&["commit", "-q", "p", &third]);
        self.podman(&["rm", "p"]);
        with(&["push", &third]);
        let changed = self.pull("3");
        assert_eq!(self.sh(&third, "cat /theirs; test -e /ours || echo gone"), "theirs\ngone");
        assert_eq!(self.sh(&third, look), wanted);
        self.archives(&third, &changed);
        self.podman(&["rmi", "-a", "-f"]);
        self.engine.ok(&["rmi", "-a", "-f"]);
        self.engine.ok(&["system", "check"]);
        self.engine.scratch.assert_empty();
        assert!(self.engine.leftovers().is_empty(), "{:?}", self.engine.leftovers());
    }

    /// What one writes, the others read: layouts, archives of OCI and of docker.
    fn archives(&self, name: &str, id: &str) {
        for (format, transport) in
            [("oci-dir", "oci"), ("oci-archive", "oci-archive"), ("docker-archive", "docker-archive")]
        {
            let ours = self.path(&format!("ours-{format}"));
            self.engine.ok(&["save", "--format", format, "-o", &ours, name]);
            let copied = self.path(&format!("copied-{format}"));
            self.skopeo(&[
                "copy",
                "-q",
                &format!("{transport}:{ours}"),
                &format!("{transport}:{copied}:again:1"),
            ]);
            self.podman(&["rmi", "-a", "-f"]);
            if format != "oci-dir" {
                self.podman(&["load", "-q", "-i", &ours]);
                assert_eq!(self.podman(&["images", "-q", "--no-trunc"]), format!("sha256:{id}"), "{format}");
            } else {
                self.podman(&["pull", "-q", &format!("oci:{ours}")]);
            }
            let theirs = self.path(&format!("theirs-{format}"));
            let image = self.podman(&["images", "-q"]);
            self.podman(&["save", "-q", "--format", format, "-o", &theirs, &image]);
            for file in [&copied, &theirs] {
                self.engine.ok(&["rmi", "-a", "-f"]);
                self.engine.ok(&["load", "-q", "-i", file]);
                assert_eq!(self.engine.ok(&["images", "-q", "--no-trunc"]), format!("sha256:{id}"), "{file}");
            }
            self.engine.ok(&["tag", id, name]);
            for file in [ours, copied, theirs] {
                run("rm", &["-rf", &file]);
            }
        }
    }
}

fn said(output: std::io::Result<Output>, what: &str) -> String {
    let output = output.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// An OCI layout of layers that are files.
fn layout(directory: &Path, name: &str, layers: &[PathBuf]) {
    let blobs = directory.join("blobs/sha256");
    fs::create_dir_all(&blobs).expect("a directory");
    let digest = |path: &Path| {
        let line = run("sha256sum", &["-b", path.to_str().expect("text")]);
        String::from_utf8_lossy(&line[..64]).into_owned()
    };
    let put = |value: &Value, kind: &str| {
        let path = blobs.join("new");
        fs::write(&path, value.to_string()).expect("written");
        let (digest, size) = (digest(&path), value.to_string().len());
        fs::rename(&path, blobs.join(&digest)).expect("renamed");
        json!({ "mediaType": format!("application/vnd.oci.image.{kind}.v1+json"), "digest": format!("sha256:{digest}"), "size": size })
    };
    let mut descriptors = Vec::new();
    for layer in layers {
        let digest = digest(layer);
        let size = fs::metadata(layer).expect("a layer").len();
        fs::rename(layer, blobs.join(&digest)).expect("renamed");
        descriptors.push(json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": format!("sha256:{digest}"), "size": size }));
    }
    let ids: Vec<&Value> = descriptors.iter().map(|layer| &layer["digest"]).collect();
    let config = json!({
        "architecture": goarch(), "os": "linux", "config": { "Cmd": ["/bin/sh"], "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"] },
        "rootfs": { "type": "layers", "diff_ids": ids },
        "history": layers.iter().map(|_| json!({ "created_by": "by hand" })).collect::<Vec<_>>(),
    });
    let config = put(&config, "config");
    let manifest = json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": descriptors });
    let mut manifest = put(&manifest, "manifest");
    manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
    fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("written");
    fs::write(
        directory.join("index.json"),
        json!({ "schemaVersion": 2, "manifests": [manifest] }).to_string(),
    )
    .expect("written");
}

#[test]
#[ignore = "minutes: make engine-test"]
fn busybox_travels() {
    let journey = Journey::begin("real-busybox");
    journey.engine.load("first", &json!({ "Cmd": ["sh"], "Env": ["PATH=/bin"] }));
    journey.round("first", "cat /data/inner/file; stat -c '%u:%g %a' /data /tmp; ls /bin | wc -l");
}

#[test]
#[ignore = "minutes: make engine-test"]
fn debian_with_python_travels() {
    let journey = Journey::begin("real-debian");
    let tar = debian();
    let tar = tar.to_str().expect("text");
    let most = ["./usr/lib/*", "./usr/share/*", "./usr/bin/*", "./usr/sbin/*", "./var/*", "./dev/*"];
    let parts: [Vec<&str>; 6] = [
        most.iter().flat_map(|pattern| ["--exclude", pattern]).collect(),
        vec!["--exclude", "./usr/lib/python3*", "--include", "./usr/lib/*"],
        vec!["--include", "./usr/lib/python3*"],
        vec!["--include", "./usr/share/*"],
        vec!["--include", "./usr/bin/*", "--include", "./usr/sbin/*"],
        vec!["--include", "./var/*"],
    ];
    let mut layers = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let layer = journey.engine.scratch.join(&format!("layer{index}"));
        let source = format!("@{tar}");
        run("bsdtar", &[&["-cf", layer.to_str().expect("text")], &part[..], &[&source]].concat());
        layers.push(layer);
    }
    layout(&journey.engine.scratch.join("layout"), "debian", &layers);
    journey.engine.ok(&["load", "-q", "-i", &journey.path("layout")]);
    run("rm", &["-rf", &journey.path("layout")]);
    let look = "python3 -c 'import json, sqlite3, zlib; print(json.dumps(dict(sum=sum(range(10)))))'; perl -e 'print 6*7, \"\\n\"'; \
        find / -xdev \\( -path /etc/group -o -path /ours -o -path /theirs -o -path '/opt*' -o -path '/etc/hosts' -o -path /etc/hostname \
        -o -path /etc/resolv.conf -o -path /run -o -path '/run/*' -o -path '/dev*' -o -path /proc -o -path /sys -o -path /etc/mtab \\) -prune -o -type f -printf '%p %s %m %U:%G\\n' | sort | sha256sum";
    journey.round("debian", look);
}

/// A fresh Debian with Python, made once.
fn debian() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/engine-test");
    let tar = folder.join("debian.tar");
    if fs::symlink_metadata(&tar).is_err() {
        println!("making a Debian with Python (some minutes, once)");
        fs::create_dir_all(&folder).expect("a directory");
        let aside = folder.join(format!("debian.{}.tar", std::process::id()));
        let words = [
            "--quiet",
            "--mode=root",
            "--variant=minbase",
            "--include=python3",
            "--dpkgopt=force-unsafe-io",
            "bookworm",
        ];
        run("mmdebstrap", &[&words[..], &[aside.to_str().expect("text")]].concat());
        fs::rename(&aside, &tar).expect("renamed");
    }
    tar
}

const FILES: usize = 50_000;
const LARGE: usize = 16;
const LARGE_BYTES: usize = 64 << 20;

/// A tar of many small files, or of some large ones.
fn write_layer(path: &Path, large: bool) {
    let mut out = BufWriter::with_capacity(1 << 20, fs::File::create(path).expect("a file"));
    let mut seed = 1u64;
    // Half of it can be compressed, as of most files.
    let mut piece = vec![0u8; 1 << 20];
    for byte in piece.iter_mut().step_by(2) {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *byte = (seed >> 56) as u8;
    }
    for index in 0..if large { LARGE } else { FILES } {
        let (name, length) = match large {
            true => (format!("large/{index}"), LARGE_BYTES),
            false => (format!("many/{}/{}/file-{index}", index % 50, index / 50 % 20), 100 + index % 400),
        };
        out.write_all(&header(&name, b'0', length as u64, "")).expect("written");
        let mut left = length;
        while left > 0 {
            let now = left.min(piece.len());
            piece[..8].copy_from_slice(&((index * LARGE_BYTES + left) as u64).to_le_bytes());
            out.write_all(&piece[..now]).expect("written");
            left -= now;
        }
        out.write_all(&vec![0; length.next_multiple_of(512) - length]).expect("written");
    }
    out.write_all(&[0; 1024]).expect("written");
    out.flush().expect("written");
}

/// Whatever a container has of its own.
const OWN: &str = "^/etc\\|^/ours\\|^/theirs\\|^/dev\\|^/run\\|^/sys";

#[test]
#[ignore = "minutes: make engine-test"]
fn a_gigabyte_in_fifty_thousand_files_travels() {
    let journey = Journey::begin("real-large");
    let engine = &journey.engine;
    // Stores of ours and of podman, the registry's, and what is on its way between them: less than six at a time.
    let disk = rustix::fs::statvfs(&engine.scratch.path).expect("a file system");
    assert!(
        disk.f_bavail * disk.f_frsize > 8 << 30,
        "this test wants 8 GB in {}",
        engine.scratch.path.display()
    );
    let busybox = engine.scratch.join("busybox.tar");
    fs::write(&busybox, support::tar_of(&engine.tree())).expect("written");
    let layers = [busybox, engine.scratch.join("many.tar"), engine.scratch.join("large.tar")];
    write_layer(&layers[1], false);
    write_layer(&layers[2], true);
    layout(&engine.scratch.join("layout"), "large", &layers);
    engine.ok(&["load", "-q", "-i", &journey.path("layout")]);
    run("rm", &["-rf", &journey.path("layout")]);
    let size = engine.ok(&["image", "inspect", "large", "--format", "{{.Size}}"]);
    assert!(size.parse::<u64>().expect("a size") > 1 << 30);
    let look = format!(
        "find /many -type f | wc -l; cat /large/* | wc -c; sha256sum /large/7 /many/7/0/file-7
         find / -xdev -path /proc -prune -o -type f -print | grep -v '{OWN}' | wc -l"
    );
    let wanted = journey.sh("large", &look);
    assert!(wanted.starts_with(&format!("{FILES}\n{}\n", LARGE * LARGE_BYTES)), "{wanted}");
    journey.push("large", "1");
    let id = journey.id("large");
    engine.ok(&["rmi", "-a"]);
    engine.scratch.assert_empty();
    assert_eq!(journey.pull("1"), id);
    let first = journey.name("1");
    assert_eq!(journey.sh(&first, &look), wanted);
    large_changes_hands(&journey, &first);
    // The other form of a layer holds the same.
    let mut command = engine.command();
    command.env("OCICTL_LAYERS", "directory").args(["pull", "-q", &journey.certs(), &first]);
    assert_eq!(said(command.output(), "pull to directories"), id);
    assert_eq!(journey.sh(&first, &look), wanted);
    engine.ok(&["system", "check", "--deep"]);
    engine.ok(&["rmi", "-a"]);
    engine.scratch.assert_empty();
    assert!(engine.leftovers().is_empty(), "{:?}", engine.leftovers());
}

/// We change the image, podman takes it and changes it, skopeo copies what both have made; nothing stays here.
fn large_changes_hands(journey: &Journey, first: &str) {
    let (engine, [second, third, fourth]) = (&journey.engine, ["2", "3", "4"].map(|tag| journey.name(tag)));
    let script = "rm -r /many/3 /large/3; echo changed > /many/4/0/file-4";
    engine.ok(&["run", "--name", "c", first, "sh", "-c", script]);
    engine.ok(&["commit", "-q", "c", &second]);
    engine.ok(&["rm", "c"]);
    let count = "find /many -type f | wc -l; ls /large | wc -l; cat /many/4/0/file-4";
    let less = format!("{}\n{}\nchanged", FILES - FILES / 50, LARGE - 1);
    assert_eq!(journey.sh(&second, count), less);
    journey.push(&second, "2");
    // Podman.
    let (creds, certs) = ("--creds=user:secret", journey.certs());
    journey.podman(&["pull", "-q", creds, &certs, &second]);
    assert_eq!(journey.podman_sh(&second, count), less);
    let limits = ["--network=none", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"];
    let theirs = [&second, "sh", "-c", "rm -r /many/5; echo theirs > /theirs"];
    journey.podman(&[&["run", "--name", "p"][..], &limits, &theirs].concat());
    journey.podman(&["commit", "-q", "p", &third]);
    journey.podman(&["rm", "p"]);
    journey.podman(&["push", "-q", creds, &certs, &third]);
    journey.podman(&["rmi", "-a", "-f"]);
    let changed = journey.pull("3");
    let count = "find /many -type f | wc -l; ls /large | wc -l; cat /many/4/0/file-4 /theirs";
    let less = format!("{}\n{}\nchanged\ntheirs", FILES - 2 * FILES / 50, LARGE - 1);
    assert_eq!(journey.sh(&third, count), less);
    engine.ok(&["rmi", "-a", "-f"]);
    engine.scratch.assert_empty();
    // Skopeo, from the registry to a layout that we load, and back to the registry from where we pull.
    let layout = format!("oci:{}:copy:1", journey.path("copy"));
    let cert_dir = journey.path("certs");
    let (from, to) = (format!("--src-cert-dir={cert_dir}"), format!("--dest-cert-dir={cert_dir}"));
    let docker = |name: &str| format!("docker://{name}");
    journey.skopeo(&["copy", "-q", "--src-creds=user:secret", &from, &docker(&third), &layout]);
    engine.ok(&["load", "-q", "-i", &journey.path("copy")]);
    assert_eq!(engine.ok(&["images", "-q", "--no-trunc"]), format!("sha256:{changed}"));
    engine.ok(&["rmi", "-a", "-f"]);
    journey.skopeo(&["copy", "-q", "--dest-creds=user:secret", &to, &layout, &docker(&fourth)]);
    run("rm", &["-rf", &journey.path("copy")]);
    assert_eq!(journey.pull("4"), changed);
    assert_eq!(journey.sh(&fourth, count), less);
    engine.ok(&["rmi", "-a", "-f"]);
    engine.scratch.assert_empty();
}
