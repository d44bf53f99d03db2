//! Writes the man pages and the completions into a directory: `manual DIRECTORY`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

fn main() -> ExitCode {
    let Some(directory) = env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("manual: name a directory");
        return ExitCode::FAILURE;
    };
    match write(&directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("manual: {}: {error}", directory.display());
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a directory that the caller named for it, and no container's")]
fn write(directory: &Path) -> io::Result<()> {
    let files = manual::pages().map_err(io::Error::other)?.into_iter().chain(manual::completions());
    for (path, text) in files {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().unwrap_or(directory))?;
        fs::write(path, text)?;
    }
    Ok(())
}
