//! The mount table of a process: `/proc/PID/mountinfo`, proc_pid_mountinfo(5).

use super::cgroup::unescape;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Its number, which descriptors tell in `/proc/PID/fdinfo/N` too.
    pub id: u64,
    /// The number of the mount that it stands on.
    pub parent: u64,
    /// The device number of its file system, as text.
    pub device: String,
    /// The directory of the file system that it shows.
    pub root: String,
    /// Where, seen from the root of the process.
    pub point: String,
    /// Its own options, with commas.
    pub options: String,
    /// The type of the file system.
    pub kind: String,
}

/// The table of that text, in order.
pub fn parse(text: &str) -> Vec<Mount> {
    text.lines().filter_map(line).collect()
}

/// Takes a line apart: `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`.
fn line(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut fields = left.split(' ');
    Some(Mount {
        id: fields.next()?.parse().ok()?,
        parent: fields.next()?.parse().ok()?,
        device: fields.next()?.to_owned(),
        root: unescape(fields.next()?),
        point: unescape(fields.next()?),
        options: fields.next()?.to_owned(),
        kind: right.split(' ').next()?.to_owned(),
    })
}

/// What of `path` lies at or below `directory`: nothing, or what begins with a slash; `None` where it lies elsewhere.
pub fn below<'a>(path: &'a str, directory: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(directory.trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart() {
        let text =
            "36 35 98:0 /a\\040b /mnt\\011x rw,noatime master:1 shared:2 - ext3 /dev/root rw\nnonsense\n";
        let expected = Mount {
            id: 36,
            parent: 35,
            device: "98:0".into(),
            root: "/a b".into(),
            point: "/mnt\tx".into(),
            options: "rw,noatime".into(),
            kind: "ext3".into(),
        };
        assert_eq!(parse(text), [expected]);
    }

    #[test]
    fn only_whole_names_are_below() {
        for (path, directory, rest) in [
            ("/a/b", "/a", Some("/b")),
            ("/a", "/a", Some("")),
            ("/ab", "/a", None),
            ("/x", "/", Some("/x")),
            ("/", "/", Some("/")),
        ] {
            assert_eq!(below(path, directory), rest, "{path} {directory}");
        }
    }
}
