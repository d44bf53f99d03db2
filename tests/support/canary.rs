//! A host directory that a hostile bundle points at: it must not change in any way.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// A directory tree and what it looked like before.
#[derive(Debug)]
pub struct Canary {
    /// The directory.
    pub dir: PathBuf,
    before: BTreeMap<PathBuf, String>,
}

impl Canary {
    /// Makes the directory `NAME` beside the bundle, with the files a runtime might be led to.
    pub fn new(parent: &Path, name: &str) -> Self {
        let dir = parent.join(name);
        fs::create_dir(&dir).unwrap();
        for file in ["file", "null", "console", "ptmx", "passwd"] {
            fs::write(dir.join(file), format!("host's {file}\n")).unwrap();
        }
        fs::create_dir(dir.join("sub")).unwrap();
        fs::write(dir.join("sub/file"), "host's\n").unwrap();
        let before = look(&dir);
        Self { dir, before }
    }

    /// The directory as a string.
    pub fn path(&self) -> &str {
        self.dir.to_str().unwrap()
    }

    /// Asserts that names, types, inodes, modes, owners and contents are what they were.
    #[track_caller]
    pub fn assert_unchanged(&self) {
        assert_eq!(look(&self.dir), self.before, "the host's {} was changed", self.dir.display());
    }
}

fn look(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut seen = BTreeMap::new();
    visit(dir, &mut seen);
    seen
}

fn visit(path: &Path, seen: &mut BTreeMap<PathBuf, String>) {
    let meta = path.symlink_metadata().unwrap();
    let content = if meta.is_file() { fs::read_to_string(path).unwrap() } else { String::new() };
    let device = meta.file_type().is_char_device() || meta.file_type().is_block_device();
    let text = format!(
        "{:o} {}:{} inode {} device {} {content:?}",
        meta.mode(),
        meta.uid(),
        meta.gid(),
        meta.ino(),
        if device { meta.rdev() } else { 0 }
    );
    seen.insert(path.to_owned(), text);
    if meta.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            visit(&entry.unwrap().path(), seen);
        }
    }
}
