//! The processes of a container that has no cgroup of its own, as one of an ordinary user may have none: who they are and what they use,
//! by proc(5).

use std::collections::{BTreeMap, BTreeSet};

/// What processes use together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time of those that live, in nanoseconds.
    pub cpu_ns: u64,
    /// Bytes of memory; what several share is counted once.
    pub memory_bytes: u64,
    /// The most of it, where there is a limit.
    pub memory_limit: Option<u64>,
    /// Threads.
    pub tasks: u64,
    /// Bytes read from disks.
    pub read_bytes: u64,
    /// Bytes written to disks.
    pub written_bytes: u64,
}

/// The first process of a container, those in its pid namespace if that is not ours, and all that these have started.
pub fn of(first: i32) -> Vec<i32> {
    let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let own = namespace("self");
    let theirs = namespace(&first.to_string()).filter(|theirs| Some(theirs) != own.as_ref());
    let mut parents = BTreeMap::new();
    let mut found = BTreeSet::from([first]);
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        if let Some(parent) = fields(pid).and_then(|fields| i32::try_from(fields[1]).ok()) {
            parents.insert(pid, parent);
        }
        if theirs.is_some() && namespace(&pid.to_string()) == theirs {
            found.insert(pid);
        }
    }
    loop {
        let before = found.len();
        found.extend(
            parents
                .iter()
                .filter(|(_, parent)| found.contains(parent))
                .map(|(pid, _)| *pid)
                .collect::<Vec<_>>(),
        );
        if found.len() == before {
            return found.into_iter().filter(|pid| parents.contains_key(pid)).collect();
        }
    }
}

/// What these processes use.
pub fn usage(pids: &[i32]) -> Usage {
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    let mut sum = Usage::default();
    for pid in pids {
        let Some(fields) = fields(*pid) else { continue };
        sum.cpu_ns += (fields[11] + fields[12]).saturating_mul(1_000_000_000 / ticks);
        sum.tasks += fields[17];
        sum.memory_bytes += number(*pid, "smaps_rollup", "Pss:").saturating_mul(1024);
        sum.read_bytes += number(*pid, "io", "read_bytes:");
        sum.written_bytes += number(*pid, "io", "write_bytes:");
    }
    sum
}

/// The numbers of `stat` from the state on, which counts as 0: proc_pid_stat(5), field 3 is the first.
fn fields(pid: i32) -> Option<Vec<u64>> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let text = std::str::from_utf8(stat.get(end + 2..)?).ok()?;
    let fields: Vec<u64> = text.split_ascii_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
    (fields.len() > 20).then_some(fields)
}

/// The number behind a word of a file; 0 if it cannot be read.
fn number(pid: i32, file: &str, word: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix(word)?.split_ascii_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_has_started_is_its_own() {
        let mut shell =
            std::process::Command::new("sh").args(["-c", "sleep 100 & wait"]).spawn().expect("sh starts");
        let pid = i32::try_from(shell.id()).expect("a pid");
        let mut list = Vec::new();
        for _ in 0..500 {
            list = of(pid);
            if list.len() == 2 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let used = usage(&list);
        for pid in list.iter().rev() {
            let _ends = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
        }
        shell.wait().expect("it ends");
        assert_eq!(list.len(), 2);
        assert_eq!(used.tasks, 2);
        assert!(used.memory_bytes > 0);
    }
}
