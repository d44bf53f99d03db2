//! The table of docs/ocictl-security.md and the tests belong together: each row has tests, each test that it names is there, and each
//! test that is named after a row stands in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// How many rows each letter has.
const ROWS: [(char, u32); 6] = [('D', 12), ('F', 8), ('G', 9), ('H', 10), ('I', 11), ('K', 6)];

#[test]
fn each_row_has_its_tests_and_each_test_its_row() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(here.join("../docs/ocictl-security.md")).expect("the table");
    let mut rows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| {
        line.starts_with("| ") && line.chars().nth(3).is_some_and(|digit| digit.is_ascii_digit())
    }) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let tests = cells.last().expect("cells").split('`').skip(1).step_by(2).map(String::from).collect();
        assert!(rows.insert(cells[0].to_owned(), tests).is_none(), "row {} stands twice", cells[0]);
    }
    let wanted: BTreeSet<String> = ROWS
        .iter()
        .flat_map(|(letter, count)| (1..=*count).map(move |number| format!("{letter}{number}")))
        .collect();
    assert_eq!(rows.keys().cloned().collect::<BTreeSet<_>>(), wanted);
    let tests = tests_of(&here.join("tests"));
    for (row, named) in &rows {
        assert!(!named.is_empty(), "row {row} has no test");
        for test in named {
            assert!(tests.contains(test), "row {row}: there is no test {test}");
            assert!(rows_of(test).contains(row), "row {row}: {test} is not named after it");
        }
    }
    for test in &tests {
        for row in rows_of(test) {
            assert!(
                rows.get(&row).is_some_and(|named| named.contains(test)),
                "{test} does not stand in row {row}"
            );
        }
    }
}

/// The rows that a test is named after: `g7_g8_…` after two.
fn rows_of(test: &str) -> Vec<String> {
    let is_row = |word: &&str| {
        word.len() > 1
            && "dfghik".contains(&word[..1])
            && word[1..].bytes().all(|digit| digit.is_ascii_digit())
    };
    test.split('_').take_while(is_row).map(str::to_ascii_uppercase).collect()
}

/// The names of all tests in a directory.
fn tests_of(folder: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut left: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(
                fs::read_dir(&path).expect("a directory").map(|entry| entry.expect("an entry").path()),
            );
        } else if path.extension().is_some_and(|name| name == "rs") {
            let text = fs::read_to_string(&path).expect("text");
            let behind = text.split("#[test]").skip(1);
            names.extend(
                behind.filter_map(|rest| rest.split("fn ").nth(1)?.split('(').next().map(String::from)),
            );
        }
    }
    names
}
