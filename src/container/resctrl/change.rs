//! `update` of the share of caches and memory bandwidth: other lines for the class of a container that exists, and a class of its
//! own for one that has none. All of it is taken back when another limit of the same update is refused.

use super::{Group, attach};
use crate::error::{Context, Result};
use crate::plan::resctrl::Resctrl;
use rustix::process::Pid;
use std::path::Path;

/// A change of a class. Dropped, it is taken back, unless it was kept.
#[derive(Debug)]
pub struct Change {
    group: Group,
    /// The lines that were there.
    former: Vec<String>,
    kept: bool,
}

impl Change {
    /// Finds the class of a container by its directories below resctrl; a container that has none will get one. Nothing is
    /// changed yet.
    ///
    /// # Errors
    /// No resctrl is mounted; the lines of the class cannot be read.
    pub fn find(plan: &Resctrl, directories: &[String]) -> Result<Self> {
        Self::of(Group::find(plan)?, directories)
    }

    fn of(group: Group, directories: &[String]) -> Result<Self> {
        let group = match directories {
            [] => group,
            [class, monitoring @ ..] => group.at(class, monitoring.first()),
        };
        let former = if group.found { group.current()? } else { Vec::new() };
        Ok(Self { group, former, kept: false })
    }

    /// The directory that is made, and that goes with the container; none where there is a class already.
    pub fn made(&self) -> Vec<String> {
        self.group.removed_with_container()
    }

    /// The directories of the class.
    pub fn directories(&self) -> Vec<String> {
        self.group.directories()
    }

    /// Makes the class where there is none, and writes the lines.
    ///
    /// # Errors
    /// What the processor cannot do, with the kernel's words.
    pub fn write(&mut self) -> Result<()> {
        if !self.group.found {
            self.group.make()?;
        }
        self.group.write_schemata()
    }

    /// Takes processes with all their threads in, as often as new ones are listed: what they fork is in the class with them.
    ///
    /// # Errors
    /// Those of `list`; what the kernel refuses.
    pub fn take_in(&self, list: impl Fn() -> Result<Vec<Pid>>) -> Result<()> {
        let directories = self.directories();
        let mut known = Vec::new();
        loop {
            let threads = list()?.into_iter().map(threads).collect::<Result<Vec<_>>>()?.concat();
            let new: Vec<Pid> = threads.into_iter().filter(|thread| !known.contains(thread)).collect();
            if new.is_empty() {
                return Ok(());
            }
            for thread in &new {
                match attach(&directories, *thread) {
                    Err(error) if error.errno() == Some(libc::ESRCH) => {}
                    answer => answer?,
                }
            }
            known.extend(new);
        }
    }

    /// Keeps it.
    pub fn keep(mut self) {
        self.kept = true;
        self.group.made.clear();
    }
}

impl Drop for Change {
    /// Best effort: the error that led here is the one to report. A class that was made goes with the group.
    fn drop(&mut self) {
        if !self.kept && self.group.found {
            let _the_first_error_counts = self.group.put_back(&self.former);
        }
    }
}

/// The threads of a process; none of one that has ended.
fn threads(pid: Pid) -> Result<Vec<Pid>> {
    let path = format!("/proc/{}/task", pid.as_raw_nonzero());
    let entries = match std::fs::read_dir(Path::new(&path)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        answer => answer.context(|| path)?,
    };
    let number = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw);
    // An entry that vanishes while it is read is a thread that has ended.
    Ok(entries.filter_map(|entry| entry.ok().and_then(number)).collect())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Fake, plan};
    use super::*;

    fn change(fake: &Fake, json: &str, directories: &[String]) -> Change {
        Change::of(Group::below(fake.root(), &plan(json)).unwrap(), directories).unwrap()
    }

    const WANTED: &str = r#"{"l3CacheSchema": "L3:0=f", "memBwSchema": "MB:0=20"}"#;

    #[test]
    fn class_of_the_container_gets_the_lines_or_has_its_own_again() {
        let fake = Fake::new("update");
        fake.fill("gold");
        // The fake file is overwritten from its begin, as long as it is: the kernel's would take line by line.
        let before = "    L3:0=ff\n    MB:0=90\n";
        fake.write("gold/schemata", before);
        let directories = [fake.root().join("gold").to_str().unwrap().to_owned()];
        let mut one = change(&fake, WANTED, &directories);
        assert_eq!((one.made(), one.directories()), (Vec::new(), directories.to_vec()));
        one.write().unwrap();
        assert!(fake.read("gold/schemata").starts_with("L3:0=f\nMB:0=20\n"));
        one.keep();
        assert!(fake.read("gold/schemata").starts_with("L3:0=f\nMB:0=20\n"));

        fake.write("gold/schemata", before);
        let mut other = change(&fake, WANTED, &directories);
        other.write().unwrap();
        drop(other);
        assert!(fake.read("gold/schemata").starts_with("L3:0=ff\nMB:0=90\n"));
    }

    #[test]
    fn container_without_a_class_gets_one_or_has_none_again() {
        let fake = Fake::new("update-own");
        let own = fake.root().join("web1").to_str().unwrap().to_owned();
        for keep in [false, true] {
            let mut change = change(&fake, WANTED, &[]);
            assert_eq!((change.made(), change.directories()), (vec![own.clone()], vec![own.clone()]));
            // The kernel would fill it as soon as it is made.
            assert!(change.write().is_err());
            assert!(fake.root().join("web1").exists());
            if keep {
                fake.fill("web1");
                change.group.write_schemata().unwrap();
                let me = rustix::process::getpid();
                change.take_in(|| Ok(vec![me])).unwrap();
                assert_eq!(fake.read("web1/schemata"), "L3:0=f\nMB:0=20\n");
                assert!(!fake.read("web1/tasks").is_empty());
                change.keep();
            } else {
                drop(change);
            }
            assert_eq!(fake.root().join("web1").exists(), keep);
        }
    }

    #[test]
    fn all_threads_of_a_process_are_taken_in_once() {
        let fake = Fake::new("update-threads");
        fake.fill("gold");
        let directories = [fake.root().join("gold").to_str().unwrap().to_owned()];
        let change = change(&fake, WANTED, &directories);
        let asked = std::cell::Cell::new(0);
        change
            .take_in(|| {
                asked.set(asked.get() + 1);
                Ok(vec![rustix::process::getpid()])
            })
            .unwrap();
        assert!(asked.get() >= 2, "it looks again");
        let ended = Pid::from_raw(i32::MAX).unwrap();
        assert!(threads(ended).unwrap().is_empty());
        assert!(threads(rustix::process::getpid()).unwrap().contains(&rustix::thread::gettid()));
    }
}
