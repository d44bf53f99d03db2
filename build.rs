//! Puts the commit that is built into the binary, for `--version`, and leaves out of the static one what nobody reads.

use std::process::Command;

fn main() {
    let commit =
        std::env::var("CORTEN_COMMIT").ok().or_else(described).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo:rustc-env=CORTEN_COMMIT={commit}");
    println!("cargo:rerun-if-env-changed=CORTEN_COMMIT");
    println!("cargo:rerun-if-changed=.git/HEAD");
    println!("cargo:rerun-if-changed=link.ld");
    if std::env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|environment| environment == "musl") {
        let directory = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo:rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
        println!("cargo:rustc-link-arg-bins=-Wl,-T,{directory}/link.ld");
    }
}

/// The commit as git names it; nothing outside of a checkout.
fn described() -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let commit = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !commit.is_empty()).then_some(commit)
}
