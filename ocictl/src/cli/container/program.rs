//! What `run`, `create` and `exec` take of the program alike: its terminal, variables, user and directory.

use crate::error::{Error, Result};
use crate::given;
use clap::ArgMatches;
use std::ffi::OsString;

/// The options.
#[derive(Debug, clap::Args)]
pub struct Program {
    /// Give it a terminal
    #[arg(long, short)]
    pub tty: bool,
    /// Let stdin be written to
    #[arg(long, short)]
    pub interactive: bool,
    /// NAME=VALUE, or NAME to take the caller's value
    #[arg(long, short, value_name = "VARIABLE")]
    env: Vec<String>,
    /// A file of variables, one a line
    #[arg(long, value_name = "FILE")]
    env_file: Vec<String>,
    /// USER[:GROUP], by name or number
    #[arg(long, short, value_name = "USER")]
    pub user: Option<String>,
    /// The working directory
    #[arg(long, short, value_name = "DIR")]
    pub workdir: Option<String>,
}

/// The program and its arguments, behind the first word.
///
/// # Errors
/// Names a word that is not UTF-8, which JSON has no place for.
pub fn words_of(behind: &ArgMatches) -> Result<Vec<String>> {
    let words = behind.get_many::<OsString>("").into_iter().flatten();
    let text = |word: &OsString| {
        word.to_str()
            .map(String::from)
            .ok_or_else(|| Error::new(format!("{word:?} is not UTF-8")).exit_code(125))
    };
    words.map(text).collect()
}

impl Program {
    /// Variables of files, then those that were typed; a bare name takes the caller's value, `PREFIX*` all that begin so.
    ///
    /// # Errors
    /// Names the file, or the word that has no name.
    pub fn environment(&self) -> Result<Vec<String>> {
        let mut list = Vec::new();
        let of_files =
            from_files(&self.env_file).map_err(|error| error.context("--env-file").exit_code(125))?;
        for word in of_files.iter().chain(&self.env) {
            match (word.contains('='), word.strip_suffix('*')) {
                (true, _) if !word.starts_with('=') => list.push(word.clone()),
                (true, _) => return Err(Error::new(format!("--env: \"{word}\" has no name")).exit_code(125)),
                (false, Some(prefix)) => {
                    list.extend(
                        std::env::vars_os()
                            .filter_map(|(name, value)| {
                                Some((name.into_string().ok()?, value.into_string().ok()?))
                            })
                            .filter(|(name, _)| name.starts_with(prefix))
                            .map(|(name, value)| format!("{name}={value}")),
                    );
                }
                (false, None) => list.extend(std::env::var(word).ok().map(|value| format!("{word}={value}"))),
            }
        }
        Ok(list)
    }
}

/// The lines of files, without comments.
pub(super) fn from_files(files: &[String]) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for file in files {
        let text = given::text(std::path::Path::new(file), given::MAX_FILE)?;
        lines.extend(
            text.lines()
                .map(str::trim_start)
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
                .map(String::from),
        );
    }
    Ok(lines)
}
