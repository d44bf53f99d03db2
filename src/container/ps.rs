//! `ps`: the processes of a container, as their pids or as the host's ps(1) shows them.

use crate::cgroup;
use crate::container::Container;
use crate::error::{Context, Error, Result};
use std::process::{Command, Stdio};

/// What ps(1) is asked for unless the user says otherwise.
const OPTIONS: [&str; 1] = ["-ef"];

/// The pids of all processes of the container, sorted; none when it has ended.
///
/// # Errors
/// A container without a cgroup, which alone tells whose a process is; what the kernel refuses.
pub fn pids(container: &Container) -> Result<Vec<i32>> {
    let cgroup = cgroup::open(&container.record.cgroup);
    if cgroup.location().directories.is_empty() {
        return Err(Error::new("the container has no cgroup, which would tell its processes"));
    }
    let mut pids: Vec<i32> = cgroup.pids()?.into_iter().map(|pid| pid.as_raw_nonzero().get()).collect();
    pids.sort_unstable();
    pids.dedup();
    Ok(pids)
}

/// The lines of ps(1), called with these options, that are about processes of the container, below the header.
///
/// # Errors
/// As [`pids`]; ps(1) fails, or does not print pids.
pub fn table(container: &Container, options: &[String]) -> Result<String> {
    // First the list, then its description: a process that is listed may have ended, but none is left out.
    let pids = pids(container)?;
    let mut command = Command::new("ps");
    if options.is_empty() {
        command.args(OPTIONS);
    } else {
        command.args(options);
    }
    let output = command.stdin(Stdio::null()).output().context(|| "ps")?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(Error::new(format!("{}: {}", output.status, words.trim())).context("ps"));
    }
    filter(&String::from_utf8_lossy(&output.stdout), &pids)
}

/// Keeps the header and the lines whose field in the column `PID` is one of the pids.
fn filter(text: &str, pids: &[i32]) -> Result<String> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let header = lines.next().unwrap_or_default();
    let Some(column) = header.split_whitespace().position(|title| title == "PID") else {
        return Err(Error::new("couldn't find PID field in ps output").hint("let it print one: -o pid,comm"));
    };
    let mut kept = format!("{header}\n");
    for line in lines {
        let pid =
            line.split_whitespace().nth(column).and_then(|field| field.parse().ok()).ok_or_else(|| {
                let error = Error::new(format!("unable to parse pid: {:?}", line.trim()));
                error.hint("a column before PID must not hold spaces")
            })?;
        if pids.contains(&pid) {
            kept += line;
            kept.push('\n');
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_by_the_pid_column_alone() {
        let text = "UID        PID  PPID CMD\nroot         7     1 a 8\nroot         8     7 b\n\nroot         9     8 c\n";
        assert_eq!(
            filter(text, &[8, 10]).unwrap(),
            "UID        PID  PPID CMD\nroot         8     7 b\n",
            "neither a parent nor an argument counts"
        );
        assert_eq!(filter(text, &[]).unwrap(), "UID        PID  PPID CMD\n");
    }

    #[test]
    fn output_that_tells_no_pids_is_an_error() {
        for (text, words) in [
            ("COMMAND\nsh\n", "couldn't find PID field in ps output"),
            ("", "couldn't find PID field in ps output"),
            ("COMMAND PID\nsh -c x 7\n", "unable to parse pid: \"sh -c x 7\""),
        ] {
            assert_eq!(filter(text, &[7]).unwrap_err().to_string(), words);
        }
    }
}
