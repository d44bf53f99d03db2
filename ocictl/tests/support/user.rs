//! An ordinary user: uid 4711, with ids of his own bound over /etc/subuid in a mount namespace of the test, or without.

use super::support::{Scratch, run};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const USER: &str = "4711:4711";

/// What root does before, in a mount namespace of its own: `$1` is ocictl, `$2` the directory, `$3` what the user runs, `$4` corten.
const BEFORE: &str = r#"
    touch /etc/subuid /etc/subgid; echo user:x:4711:4711::/:/bin/sh > "$2/passwd"
    mount --bind "$2/sub" /etc/subuid; mount --bind "$2/sub" /etc/subgid; mount --bind "$2/passwd" /etc/passwd
    cp "$1" "$2/ocictl"; chmod 755 "$2/ocictl"
    [ ! -e "$4" ] || cp -L "$4" "$2/corten"
"#;
const BECOME: &str = r#"
    exec env -u XDG_RUNTIME_DIR HOME="$2" PATH="$2:$PATH" OCICTL_ROOT="$2/root" OCICTL_RUNROOT="$2/run" CONTAINERS_REGISTRIES_CONF=/dev/null \
        setpriv --reuid 4711 --regid 4711 --clear-groups sh -ec "cd \"\$2\"; $3" sh "$2/ocictl" "$2"
"#;

/// Runs a script as the user, with `ocictl` as `$1` (and in `PATH`) and the directory as `$2`; what it printed.
pub fn as_user(scratch: &Scratch, with_ids: bool, script: &str) -> Option<String> {
    as_user_after(scratch, with_ids, "", script)
}

/// The same after root has prepared something.
pub fn as_user_after(scratch: &Scratch, with_ids: bool, prepare: &str, script: &str) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: to become another user needs root");
        return None;
    }
    let sub = scratch.join("sub");
    fs::write(&sub, if with_ids { "4711:500000:65536\n" } else { "" }).expect("written");
    let program = std::env::var_os("OCICTL").unwrap_or_else(|| env!("CARGO_BIN_EXE_ocictl").into());
    let built = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../bin/corten");
    let runtime = std::env::var_os("RUNTIME").map_or(built, PathBuf::from);
    run("chown", &["-R", USER, scratch.path.to_str().expect("text")]);
    let outer = [BEFORE, prepare, BECOME].concat();
    let output = Command::new("unshare")
        .args(["-m", "sh", "-ec", &outer, "sh"])
        .arg(program)
        .arg(&scratch.path)
        .arg(script)
        .arg(runtime)
        .stdin(Stdio::null())
        .output()
        .expect("unshare");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}
