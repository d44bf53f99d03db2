//! Namespaces to join: a process that sits in new ones.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A process in new namespaces, which go when it is dropped.
#[derive(Debug)]
pub struct Holder(Child);

impl Holder {
    /// One new namespace: its name in `/proc/PID/ns` and the option of unshare(1).
    pub fn of(kind: &str, option: &str) -> Self {
        let root: &[&str] = if kind == "user" { &["--map-root-user"] } else { &[] };
        Self::with(&[&[option], root].concat())
    }

    /// The new namespaces of these options of unshare(1).
    pub fn with(options: &[&str]) -> Self {
        let mut command = Command::new("unshare");
        command.args(options).args(["--fork", "--kill-child", "sh", "-c", "echo up; exec sleep 100"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "up\n");
        Self(child)
    }

    /// The process inside: the child of unshare.
    pub fn pid(&self) -> i32 {
        let pid = self.0.id();
        let child = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        child.trim().parse().unwrap()
    }

    /// The file of one of its namespaces.
    pub fn path(&self, kind: &str) -> String {
        format!("/proc/{}/ns/{kind}", self.pid())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // --kill-child takes the process inside along.
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}
