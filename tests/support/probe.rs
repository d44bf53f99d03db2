//! Reading what a payload prints: `KEY=value` lines, fields of `/proc/self/status`, lines of `mountinfo`.

use std::collections::BTreeMap;

/// A shell script that prints all that can be seen from inside a container: `KEY=value` lines and files of `/proc`.
pub const SCRIPT: &str = include_str!("probe.sh");

/// The `KEY=value` lines of an output.
pub fn values(output: &str) -> BTreeMap<&str, &str> {
    output.lines().filter_map(|line| line.split_once('=')).collect()
}

/// The lines between `BEGIN NAME` and `END NAME`: a file that [`SCRIPT`] prints whole.
pub fn whole<'a>(output: &'a str, name: &str) -> Vec<&'a str> {
    let (begin, end) = (format!("BEGIN {name}"), format!("END {name}"));
    output.lines().skip_while(|line| **line != begin).skip(1).take_while(|line| **line != end).collect()
}

/// A field of `/proc/self/status` in an output.
#[track_caller]
pub fn status<'a>(output: &'a str, field: &str) -> &'a str {
    let value = output.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {field} in {output}")).trim()
}

/// One line of `/proc/self/mountinfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The root of the mount within its file system.
    pub root: String,
    /// The mount point.
    pub point: String,
    /// The mount's own options: `ro`, `nosuid` …
    pub options: Vec<String>,
    /// Propagation: `shared:N`, `master:N`, `unbindable`; none is private.
    pub propagation: Vec<String>,
    /// The file system's type.
    pub kind: String,
    /// The file system's options.
    pub super_options: Vec<String>,
}

impl Mount {
    /// Whether the mount has the option.
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|have| have == option)
    }

    /// Whether the file system has the option.
    pub fn super_has(&self, option: &str) -> bool {
        self.super_options.iter().any(|have| have == option)
    }

    /// `shared`, `slave`, `shared slave`, `unbindable` or `private`.
    pub fn propagation(&self) -> String {
        let has = |name: &str| self.propagation.iter().any(|field| field.starts_with(name));
        let mut words = Vec::new();
        for (field, word) in [("shared", "shared"), ("master", "slave"), ("unbindable", "unbindable")] {
            if has(field) {
                words.push(word);
            }
        }
        if words.is_empty() { "private".to_owned() } else { words.join(" ") }
    }
}

/// Parses the `mountinfo` in an output; the last mount on a point is the visible one.
pub fn mounts(output: &str) -> Vec<Mount> {
    output.lines().filter_map(parse_mount).collect()
}

/// The visible mount on a point.
#[track_caller]
pub fn mount(output: &str, point: &str) -> Mount {
    let found = mounts(output).into_iter().rfind(|mount| mount.point == point);
    found.unwrap_or_else(|| panic!("nothing is mounted on {point} in {output}"))
}

fn parse_mount(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let left: Vec<&str> = left.split(' ').collect();
    let right: Vec<&str> = right.split(' ').collect();
    let list = |text: &str| text.split(',').map(str::to_owned).collect();
    Some(Mount {
        root: (*left.get(3)?).to_owned(),
        point: (*left.get(4)?).to_owned(),
        options: list(left.get(5)?),
        propagation: left[6..].iter().map(|field| (*field).to_owned()).collect(),
        kind: (*right.first()?).to_owned(),
        super_options: list(right.get(2)?),
    })
}
