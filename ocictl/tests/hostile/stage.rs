//! What hostile tests share: an engine with a busybox image, a canary beside it, images and archives made byte by byte, programs that
//! ask the kernel, and what an attack may and may not end with.

use crate::canary::Canary;
use crate::engine::Engine;
use crate::support::{below, goarch, header, pax, seal, tar_of};
use ocictl::digest::Digest;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output};

/// An engine, and a directory of the host that must stay as it is.
pub struct Stage {
    pub engine: Engine,
    pub canary: Canary,
}

impl Stage {
    pub fn new(name: &str) -> Self {
        let engine = Engine::new(&format!("hostile-{name}"));
        let canary = Canary::new(&engine.scratch.path, "canary");
        Self { engine, canary }
    }

    /// Loads an image of busybox, these layers over it, and this configuration.
    pub fn image(&self, name: &str, config: &Value, layers: &[Vec<u8>]) {
        let mut all = vec![tar_of(&self.engine.scratch.join("image-root"))];
        all.extend_from_slice(layers);
        let file = self.engine.scratch.join("hostile.tar");
        fs::write(&file, archive(name, config, &all)).expect("written");
        self.engine.ok(&["load", "-q", "-i", file.to_str().expect("text")]);
    }

    /// It must fail, with one line that says all of these words.
    pub fn refused(&self, arguments: &[&str], wanted: &[&str]) -> String {
        let said = one_error(&self.engine.output(arguments), &format!("ocictl {arguments:?}"));
        for words in wanted {
            assert!(said.contains(words), "ocictl {arguments:?} says {said:?}, not {words:?}");
        }
        said
    }

    /// What an attack leaves: nothing.
    pub fn finish(&self) {
        self.engine.ok(&["rm", "-a", "-f", "-v"]);
        self.canary.assert_unchanged();
        // Monitors of what was killed are still at their last words.
        self.engine.assert_clean();
        self.engine.ok(&["system", "check"]);
    }

    /// A file that the test writes, for `-i`, `-v` and the like.
    pub fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.engine.scratch.join(name);
        fs::write(&path, content).expect("written");
        path.to_str().expect("text").to_owned()
    }

    /// A static program in C, in a directory that containers see as `/probes`.
    pub fn probe(&self, name: &str, source: &str) -> PathBuf {
        let folder = self.engine.scratch.join("probes");
        fs::create_dir_all(&folder).expect("a directory");
        let (code, program) = (folder.join(format!("{name}.c")), folder.join(name));
        fs::write(&code, source).expect("written");
        let words = ["-static", "-O1", "-o"];
        let built = Command::new("gcc").args(words).arg(&program).arg(&code).output().expect("gcc");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        program
    }

    /// `-v` for [`Stage::probe`].
    pub fn probes(&self) -> String {
        format!("{}:/probes:ro", self.engine.scratch.join("probes").display())
    }

    /// Runs it within 256 MB of addresses and a minute (security.md, O4).
    pub fn bounded(&self, arguments: &[&str]) -> Output {
        let bounds = ["timeout", "60", "sh", "-c", "ulimit -v 262144; exec \"$@\"", "sh"];
        let output = below(&bounds, &self.engine.command(), arguments).output().expect("timeout starts");
        assert_ne!(output.status.code(), Some(124), "ocictl {arguments:?} takes more than a minute");
        output
    }
}

/// What it said: it must have failed with one line, and a hint at most.
pub fn one_error(output: &Output, what: &str) -> String {
    let said = String::from_utf8(output.stderr.clone()).expect("text");
    assert!(!output.status.success(), "{what} works: {}{said}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.code().is_some(), "{what} was killed: {}: {said}", output.status);
    let mut lines = said.lines().filter(|line| !line.starts_with("Trying to pull"));
    let first = lines.next().unwrap_or_default();
    let rest: Vec<&str> = lines.collect();
    assert!(
        first.starts_with("Error: ")
            && rest.iter().all(|line| line.starts_with("  hint: "))
            && rest.len() < 2,
        "{what} does not say one line: {said}"
    );
    assert!(!said.bytes().any(|byte| byte < b' ' && byte != b'\n'), "{what} steers the terminal: {said:?}");
    said
}

/// What `docker save` writes for an image of these layers and this `config`.
pub fn archive(name: &str, config: &Value, layers: &[Vec<u8>]) -> Vec<u8> {
    let ids: Vec<String> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
    let document = json!({
        "created": "2026-11-01T00:00:00Z", "architecture": goarch(), "os": "linux", "config": config,
        "rootfs": { "type": "layers", "diff_ids": ids }, "history": [],
    });
    archive_of(name, document.to_string().as_bytes(), layers)
}

/// As [`archive`], with the whole document.
pub fn archive_of(name: &str, document: &[u8], layers: &[Vec<u8>]) -> Vec<u8> {
    crate::support::archive_of(&format!("docker.io/library/{name}:latest"), document, layers)
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("to memory")
}

/// Types of entries of a tar.
pub const FILE: u8 = b'0';
pub const HARD: u8 = b'1';
pub const LINK: u8 = b'2';
pub const CHARACTER: u8 = b'3';
pub const DIRECTORY: u8 = b'5';
pub const FIFO: u8 = b'6';

/// A tar in the making.
#[derive(Default, Clone)]
pub struct Layer {
    bytes: Vec<u8>,
}

impl Layer {
    /// An entry; `text` is what a link leads to, or a file's content.
    pub fn add(self, kind: u8, path: &str, text: &str) -> Self {
        let (link, content) = if kind == FILE { ("", text) } else { (text, "") };
        self.raw(header(path, kind, content.len() as u64, link), content.as_bytes())
    }

    /// An entry with these permission bits.
    pub fn mode(self, kind: u8, path: &str, mode: u32, content: &[u8]) -> Self {
        let mut block = header(path, kind, content.len() as u64, "");
        block[100..108].copy_from_slice(format!("{mode:07o}\0").as_bytes());
        self.raw(seal(block), content)
    }

    /// A device node.
    pub fn device(self, path: &str, major: u32, minor: u32) -> Self {
        let mut block = header(path, CHARACTER, 0, "");
        block[329..337].copy_from_slice(format!("{major:07o}\0").as_bytes());
        block[337..345].copy_from_slice(format!("{minor:07o}\0").as_bytes());
        self.raw(seal(block), &[])
    }

    /// A PAX header for the next entry.
    pub fn pax(mut self, records: &[(&str, &str)]) -> Self {
        self.bytes.extend(pax(records));
        self
    }

    /// A block and what follows it.
    pub fn raw(mut self, block: [u8; 512], content: &[u8]) -> Self {
        self.bytes.extend(block);
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }

    /// The whole tar.
    pub fn end(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 1024, 0);
        self.bytes
    }
}
