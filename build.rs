//! Puts the commit that is built into the binary, for `--version`, and leaves out of the static one what nobody reads.

use std::process::Command;

fn main() {
    let commit =
        std::env::var("CORTEN_COMMIT").ok().or_else(described).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo:rustc-env=CORTEN_COMMIT={commit}");
    println!("cargo:rerun-if-env-changed=CORTEN_COMMIT");
    // What every commit and checkout writes to, in a worktree too; one that is not there would build all anew each time.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo:rerun-if-changed={log}");
    }
    println!("cargo:rerun-if-changed=link.ld");
    if std::env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|environment| environment == "musl") {
        let directory = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo:rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
        println!("cargo:rustc-link-arg-bins=-Wl,-T,{directory}/link.ld");
    }
}

/// The commit as git names it; nothing outside of a checkout.
fn described() -> Option<String> {
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(words: &[&str]) -> Option<String> {
    let output = Command::new("git").args(words).output().ok()?;
    let answer = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !answer.is_empty()).then_some(answer)
}
