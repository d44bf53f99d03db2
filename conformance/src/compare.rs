//! Other runtimes beside the one that is judged: the same program once more for each, and a table of where they differ.

use crate::clauses::Book;
use crate::report::{Sum, write};
use crate::runner::{Outcome, Verdict};
use crate::subject::Subject;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a test must pass on, too, or be suspected: a clause that it does not follow has a row.
const ORACLE: &str = "runc";

/// Runs the suite against the others with these arguments and prints the differences and the sums; whether none of them makes
/// a test, or a row of its own, doubtful.
///
/// # Errors
/// One of them cannot be run.
pub fn beside(
    book: &Book,
    subject: &Subject,
    outcomes: &[Outcome],
    others: &[PathBuf],
    arguments: &[String],
) -> Result<bool, String> {
    let mut columns = vec![(subject.name.clone(), column(outcomes), Sum::of(outcomes))];
    for other in others {
        let name = other.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let (marks, sum) = ask(other, arguments)?;
        columns.push((name, marks, sum));
    }
    print!("\n{:42}", "where they differ");
    for (name, _, _) in &columns {
        print!(" {name:>9}");
    }
    println!();
    for outcome in outcomes {
        let marks: Vec<&str> = columns
            .iter()
            .map(|(_, marks, _)| marks.get(outcome.clause.id).map_or("-", String::as_str))
            .collect();
        if marks.iter().any(|mark| *mark != marks[0]) {
            print!("{:42}", outcome.clause.id);
            for mark in marks {
                print!(" {mark:>9}");
            }
            println!();
        }
    }
    println!();
    for (name, _, sum) in &columns {
        println!("{name:10} {sum}");
    }
    let beside = columns.iter().skip(1).filter(|(name, _, _)| name == ORACLE);
    let doubts: Vec<String> = beside.flat_map(|(name, marks, _)| doubts(book, name, marks)).collect();
    for doubt in &doubts {
        println!("doubtful   {doubt}");
    }
    Ok(doubts.is_empty())
}

/// Tests that fail without a row in `deviations.tsv`, and rows that are no longer true.
fn doubts(book: &Book, name: &str, marks: &BTreeMap<String, String>) -> Vec<String> {
    let doubt = |(id, mark): (&String, &String)| match (mark.as_str(), book.deviation(id, name)) {
        ("FAILED", None) => {
            Some(format!("{id}: {name} fails it and has no row in deviations.tsv: is the test right?"))
        }
        ("passed", Some(_)) => Some(format!("{id}: {name} passes it; take its row from deviations.tsv")),
        _ => None,
    };
    marks.iter().filter_map(doubt).collect()
}

/// One word a clause.
fn column(outcomes: &[Outcome]) -> BTreeMap<String, String> {
    let word = |verdict: &Verdict| match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed(_) => "FAILED",
        Verdict::Skipped(_) => "skipped",
        Verdict::Deviates(_) => "deviates",
    };
    outcomes.iter().map(|outcome| (outcome.clause.id.to_owned(), word(&outcome.verdict).to_owned())).collect()
}

/// The same program with another `$RUNTIME`; its TAP is read back.
fn ask(runtime: &Path, arguments: &[String]) -> Result<(BTreeMap<String, String>, Sum), String> {
    let tap = std::env::temp_dir().join(format!("corten-conformance-{}.tap", std::process::id()));
    write(&tap, "")?;
    let program = std::env::current_exe().map_err(|error| format!("the suite's own path: {error}"))?;
    let status = Command::new(program)
        .args(arguments)
        .arg("--tap")
        .arg(&tap)
        .env("RUNTIME", runtime)
        .stdout(Stdio::null())
        .status()
        .map_err(|error| format!("{}: {error}", runtime.display()))?;
    let text = std::fs::read_to_string(&tap).map_err(|error| format!("{}: {error}", tap.display()))?;
    let _ = std::fs::remove_file(&tap);
    if text.is_empty() {
        return Err(format!("{}: the suite ended with {status}", runtime.display()));
    }
    Ok(parse(&text))
}

fn parse(tap: &str) -> (BTreeMap<String, String>, Sum) {
    let (mut marks, mut sum) = (BTreeMap::new(), Sum::default());
    for line in tap.lines() {
        let Some((verdict, rest)) = line.split_once(" - ") else { continue };
        let Some(id) = rest.split(' ').next() else { continue };
        let (word, count) = if verdict.starts_with("not ok") {
            if rest.contains(" # TODO ") {
                ("deviates", &mut sum.deviates)
            } else {
                ("FAILED", &mut sum.failed)
            }
        } else if verdict.starts_with("ok") {
            if rest.contains(" # SKIP ") {
                ("skipped", &mut sum.skipped)
            } else {
                ("passed", &mut sum.passed)
            }
        } else {
            continue;
        };
        *count += 1;
        marks.insert(id.to_owned(), word.to_owned());
    }
    (marks, sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_without_a_row_and_a_row_without_a_failure_are_doubtful() {
        let book = Book::load().unwrap();
        let told = |id: &str, mark: &str| doubts(&book, "runc", &BTreeMap::from([(id.into(), mark.into())]));
        assert_eq!(told("kill/stopped", "FAILED").len(), 1);
        assert_eq!(told("delete/created", "passed").len(), 1);
        for (id, mark) in
            [("kill/stopped", "passed"), ("kill/stopped", "skipped"), ("delete/created", "deviates")]
        {
            assert_eq!(told(id, mark), Vec::<String>::new(), "{id}");
        }
    }

    #[test]
    fn tap_is_read_back_as_it_was_written() {
        let text = "TAP version 13\n1..4\nok 1 - a/b x: y\nnot ok 2 - a/c x: y\n  ---\n  message: |\n    no - ok 7 - z\n  ...\n\
                    ok 3 - a/d x: y # SKIP w\nnot ok 4 - a/e x: y # TODO v\n";
        let (marks, sum) = parse(text);
        assert_eq!(sum, Sum { passed: 1, failed: 1, skipped: 1, deviates: 1 });
        assert_eq!(marks["a/c"], "FAILED");
        assert_eq!(marks.len(), 4);
    }
}
