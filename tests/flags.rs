//! Every verb and every flag of the grammar has a row in `docs/flags.md`, which names the test that would fail if the flag were
//! read and then ignored. That it would is what `make flags` shows.

use clap::{Arg, ArgAction, Command};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const TABLE: &str = include_str!("../docs/flags.md");

/// A verb, empty for the program itself, and one of its flags as it is typed, empty for the verb itself.
type Key = (String, String);

/// The rows: what they are about, and how it is shown.
fn rows() -> Vec<(Key, String)> {
    let cells = |line: &str| -> Vec<String> {
        let line = line.replace("\\|", "\0");
        line.trim_matches('|').split('|').map(|cell| cell.trim().replace('\0', "|")).collect()
    };
    let rows = TABLE.lines().skip_while(|line| !line.starts_with("|---")).skip(1).map(cells);
    rows.map(|row| {
        assert_eq!(row.len(), 3, "{row:?}");
        ((row[0].clone(), row[1].trim_matches('`').to_owned()), row[2].clone())
    })
    .collect()
}

/// A flag as it is typed: `-b --bundle DIR`.
fn typed(flag: &Arg) -> String {
    let short = flag.get_short().map(|letter| format!("-{letter}"));
    let long = flag.get_long().map(|word| format!("--{word}"));
    let takes_value = matches!(flag.get_action(), ArgAction::Set | ArgAction::Append);
    let value = takes_value.then(|| flag.get_value_names().unwrap_or_default().join(" "));
    let may_lack_value = flag.get_num_args().is_some_and(|count| count.min_values() == 0);
    let value = value.map(|name| if may_lack_value { format!("[{name}]") } else { name });
    [short, long, value].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// All that can be said, and of each flag what is told of it.
fn grammar() -> BTreeMap<Key, String> {
    let mut grammar = corten::cli::grammar();
    grammar.build();
    let mut all = BTreeMap::new();
    let mut add = |verb: &str, command: &Command, inherits: bool| {
        for flag in command.get_arguments().filter(|argument| !argument.is_positional()) {
            // What a verb has from the program stands there.
            if inherits && (flag.is_global_set() || flag.get_id() == "help") {
                continue;
            }
            let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
            all.insert((verb.to_owned(), typed(flag)), help);
        }
    };
    add("", &grammar, false);
    for verb in grammar.get_subcommands() {
        add(verb.get_name(), verb, true);
    }
    all.extend(
        grammar.get_subcommands().map(|verb| ((verb.get_name().to_owned(), String::new()), String::new())),
    );
    all
}

/// The file and the name of each test that a row links to.
fn links(shown: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for link in shown.split("[`").skip(1) {
        let (name, rest) = link.split_once("`](../").expect("a link to a test");
        all.push((rest.split(')').next().unwrap().to_owned(), name.to_owned()));
    }
    all
}

#[test]
fn every_flag_of_the_grammar_has_a_row_and_every_row_a_flag() {
    let known = grammar();
    let listed: BTreeSet<Key> = rows().into_iter().map(|(key, _)| key).collect();
    assert_eq!(listed.len(), rows().len(), "a row is there twice");
    let missing: Vec<&Key> = known.keys().filter(|key| !listed.contains(key)).collect();
    let unknown: Vec<&Key> = listed.iter().filter(|key| !known.contains_key(key)).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "without a row: {missing:?}; no flag: {unknown:?}");
}

#[test]
fn every_row_names_a_test_that_is_there_or_says_why_nothing_is_to_be_seen() {
    let known = grammar();
    for (key, shown) in rows() {
        let links = links(&shown);
        if links.is_empty() {
            // Only what says so itself may do nothing.
            let reason = shown.strip_prefix("*accepted*: ").unwrap_or_else(|| panic!("{key:?}: no test"));
            assert!(reason.len() > 10, "{key:?}: why?");
            let help = &known[&key];
            assert!(
                help.starts_with("Accepted") || key == ("create".into(), "--no-subreaper".into()),
                "{key:?}: {help}"
            );
        }
        for (file, name) in links {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&file);
            let source = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
            let is_there = source.contains(&format!("#[test]\nfn {name}() {{"));
            assert!(is_there, "{key:?}: {file} has no test {name}");
        }
    }
}
