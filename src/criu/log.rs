//! What CRIU's log says of a failure: one line of it, and where the rest is.

use crate::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// Puts what the log says in place of an error that says less.
pub(super) fn explain(error: Error, log: &Path) -> Error {
    let hint = format!("the log of criu is {}", log.display());
    let Ok(file) = File::open(log) else { return error };
    match cause(BufReader::new(file).lines().map_while(Result::ok)) {
        Some(line) => Error::new(line).context("criu").hint(hint),
        None => error.hint(hint),
    }
}

/// The first error that is one: what follows are those that it led to, down to "Dumping FAILED". CRIU cannot raise its own
/// limit of descriptors where it has no right to, and goes on.
fn cause(lines: impl Iterator<Item = String>) -> Option<String> {
    lines
        .filter_map(|line| line.split_once("Error (").map(|(_, line)| format!("({line}")))
        .find(|line| !line.contains("Can't setup RLIMIT_NOFILE"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_the_first_error_that_is_one() {
        let log = "(00.01) Warn  (criu/a.c:1): b\n(00.01) Error (criu/util.c:1533): rlimit: Can't setup RLIMIT_NOFILE for self\n\
                   (00.02) Error (criu/mount.c:753): mnt: 110:./x doesn't have a proper root mount\n\
                   (00.03) Error (criu/cr-dump.c:2111): Dumping FAILED.\n";
        let expected = "(criu/mount.c:753): mnt: 110:./x doesn't have a proper root mount";
        assert_eq!(cause(log.lines().map(str::to_owned)).as_deref(), Some(expected));
        assert_eq!(cause(["(00.01) all is well".to_owned()].into_iter()), None);
    }
}
