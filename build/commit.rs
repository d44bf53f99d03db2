//! The commit that is built, for the build scripts of both programs: `CORTEN_COMMIT` where a packager says it, else git's word, else `unknown`.

use std::process::Command;

/// Puts it into the environment of the compiler.
pub fn tell() {
    let commit =
        std::env::var("CORTEN_COMMIT").ok().or_else(described).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo:rustc-env=CORTEN_COMMIT={commit}");
    println!("cargo:rerun-if-env-changed=CORTEN_COMMIT");
    // What every commit and checkout writes to, in a worktree too; one that is not there would build all anew each time.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo:rerun-if-changed={log}");
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
