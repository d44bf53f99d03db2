//! The runtime under test, and what it says of itself.

use crate::play;
use crate::support::runtime::program;
use serde_json::Value;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// A runtime by its path.
#[derive(Debug)]
pub struct Subject {
    /// The program.
    pub path: PathBuf,
    /// The program's name, by which `deviations.tsv` knows it.
    pub name: String,
    /// The first line of `--version`.
    pub version: String,
    /// The minor version of the specification 1.x that it says it knows.
    pub minor: u32,
}

impl Subject {
    /// Asks the runtime that `$RUNTIME` names.
    ///
    /// # Errors
    /// No `$RUNTIME`, or one that does not run.
    pub fn ask() -> Result<Self, String> {
        if std::env::var_os("RUNTIME").is_none() {
            return Err("RUNTIME=/path/to/runtime names what is judged".to_owned());
        }
        let path = program();
        let output = Command::new(&path).arg("--version").stdin(Stdio::null()).output();
        let output = output.map_err(|error| format!("RUNTIME={}: {error}", path.display()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let spec = text.lines().find_map(|line| line.strip_prefix("spec: ")).map(str::to_owned);
        let told = features().and_then(|found| found["ociVersionMax"].as_str().map(str::to_owned)).or(spec);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self {
            path,
            name,
            version: text.lines().next().unwrap_or_default().to_owned(),
            minor: told.as_deref().and_then(minor).unwrap_or(0),
        })
    }
}

/// Runs this program again where the unified tree beside the v1 hierarchies is hidden, if the runtime cannot stand the two
/// together (crun 1.8). Returns where it can.
///
/// # Errors
/// The program cannot be run again.
pub fn hide_hybrid_tree() -> Result<(), String> {
    const TREE: &str = "/sys/fs/cgroup/unified";
    let bundle = play::bundle(&[]);
    let outcome = bundle.create();
    bundle.delete_force();
    if outcome.code == Some(0) || !outcome.stderr.contains("hybrid") {
        return Ok(());
    }
    drop(bundle);
    eprintln!("note: {} refuses hybrid cgroups; it is judged without {TREE}", program().display());
    // crun makes directories there even so: the tmpfs takes them.
    let script = format!("umount {TREE}; mount -t tmpfs none {TREE}; exec \"$@\"");
    let own = std::env::current_exe().map_err(|error| format!("the suite's own path: {error}"))?;
    let error = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-e", "-c", &script, "sh"])
        .arg(own)
        .args(std::env::args_os().skip(1))
        .exec();
    Err(format!("unshare: {error}"))
}

/// The minor version of `1.MINOR.PATCH`.
fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("1.")?.split('.').next()?.parse().ok()
}

/// The runtime's features document, if it has one.
pub fn features() -> Option<&'static Value> {
    static FEATURES: OnceLock<Option<Value>> = OnceLock::new();
    let ask = || {
        let output = Command::new(program()).arg("features").stdin(Stdio::null()).output().ok()?;
        output.status.success().then(|| serde_json::from_slice(&output.stdout).ok())?
    };
    FEATURES.get_or_init(ask).as_ref()
}

#[cfg(test)]
mod tests {
    use super::minor;

    #[test]
    fn minor_version_is_the_second_number() {
        assert_eq!(minor("1.3.0"), Some(3));
        assert_eq!(minor("1.0.2-dev"), Some(0));
        assert_eq!(minor("2.0.0"), None);
    }
}
