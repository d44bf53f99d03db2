//! A table of differences, `docs/differences.md` or `docs/differences-v2.md`: the documentation and what the test believes are one file.
//!
//! A row is `| value | bundles | corten | runc | crun | why |`. `=` is what corten has, `—` is not there, `*` in a name or value
//! stands for anything. The bundles are a list, or `all` where it is enough that one of them shows it.

use std::cell::RefCell;
use std::collections::BTreeSet;

/// What runc and crun have in place of corten's value.
pub const PEERS: [&str; 2] = ["runc", "crun"];

/// One row.
#[derive(Debug)]
pub struct Row {
    file: &'static str,
    line: usize,
    key: String,
    bundles: Vec<String>,
    ours: String,
    theirs: [String; 2],
    why: String,
    /// Bundles that have shown it, by peer.
    shown: [RefCell<BTreeSet<String>>; 2],
}

/// A difference that was found: of one value in one bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<'a> {
    pub bundle: &'a str,
    pub key: &'a str,
    pub ours: &'a str,
    pub peer: usize,
    pub theirs: &'a str,
}

/// Reads the rows of a Markdown text, which lies in `file`: those whose first cell is code.
pub fn read(file: &'static str, text: &str) -> Vec<Row> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| line.starts_with("| `"))
        .map(|(index, line)| row(file, index + 1, line))
        .collect()
}

fn row(file: &'static str, line: usize, text: &str) -> Row {
    let cells: Vec<String> = text
        .trim_matches('|')
        .replace("\\|", "\u{1}")
        .split('|')
        .map(|cell| cell.trim().replace('\u{1}', "|"))
        .collect();
    assert_eq!(cells.len(), 6, "{file}:{line}: a row has six cells: {cells:?}");
    let value = |cell: &str| {
        let code = cell.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
        code.unwrap_or_else(|| panic!("{file}:{line}: {cell} is not between backticks")).to_owned()
    };
    assert!(!cells[5].is_empty(), "{file}:{line}: a difference has a reason");
    Row {
        file,
        line,
        key: value(&cells[0]),
        bundles: cells[1].split(',').map(|name| name.trim().trim_matches('`').to_owned()).collect(),
        ours: value(&cells[2]),
        theirs: [value(&cells[3]), value(&cells[4])],
        why: cells[5].clone(),
        shown: Default::default(),
    }
}

impl Row {
    /// Whether the row tells of the difference; it is marked as shown.
    pub fn explains(&self, found: &Found) -> bool {
        let theirs = &self.theirs[found.peer];
        let named = self.bundles.iter().any(|name| name == "all" || matches(name, found.bundle));
        let explains = named
            && theirs != "="
            && matches(&self.key, found.key)
            && matches(&self.ours, found.ours)
            && matches(theirs, found.theirs);
        if explains {
            self.shown[found.peer].borrow_mut().insert(found.bundle.to_owned());
        }
        explains
    }

    /// What the row says and no bundle showed, for the peers that were there.
    pub fn stale(&self, peers: &[usize]) -> Vec<String> {
        let mut stale = Vec::new();
        for peer in peers.iter().copied().filter(|peer| self.theirs[*peer] != "=") {
            let shown = self.shown[peer].borrow();
            for name in &self.bundles {
                if !shown.iter().any(|bundle| name == "all" || matches(name, bundle)) {
                    stale.push(format!(
                        "{}:{}: {:?} does not differ from {} in {name}: {}",
                        self.file, self.line, self.key, PEERS[peer], self.why
                    ));
                }
            }
        }
        stale
    }
}

/// Whether a text fits a pattern, in which `*` stands for anything.
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else { return rest.is_empty() };
    for part in between {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}
