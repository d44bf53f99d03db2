//! Runs the tests, some at a time, and makes a verdict of how each ended.

use crate::cases::Case;
use crate::clauses::{Book, Clause};
use crate::interrupt;
use crate::subject::Subject;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The runtime does what the clause says.
    Passed,
    /// It does not: what was seen.
    Failed(String),
    /// It does not, on purpose: why.
    Deviates(String),
    /// It could not be tried here: why.
    Skipped(String),
}

/// A clause with its verdict.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The clause.
    pub clause: Clause,
    /// The verdict.
    pub verdict: Verdict,
    /// How long it took.
    pub time: Duration,
}

/// Ends a test that cannot be tried here.
struct Skip(String);

/// Ends the test: what it needs is not there.
pub fn skip(reason: &str) -> ! {
    panic::panic_any(Skip(reason.to_owned()))
}

thread_local! {
    /// What the test of this thread panicked with, and where.
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs all clauses that have a test and whose id holds one of the words (all without words).
pub fn run(book: &Book, cases: &[Case], subject: &Subject, words: &[String], jobs: usize) -> Vec<Outcome> {
    panic::set_hook(Box::new(|info| {
        let place =
            info.location().map(|place| format!("{}:{}: ", place.file(), place.line())).unwrap_or_default();
        let payload = info.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or(payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("not a message");
        SAID.with_borrow_mut(|said| {
            // The first panic is the cause; what the leak check says behind it comes second.
            if said.is_empty() {
                *said = format!("{place}{text}");
            }
        });
    }));
    let wanted = |clause: &&Clause| {
        clause.untested.is_none()
            && (words.is_empty() || words.iter().any(|word| clause.id.contains(word.as_str())))
    };
    let clauses: Vec<&Clause> = book.clauses.iter().filter(wanted).collect();
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while interrupt::asked().is_none()
                    && let Some(clause) = clauses.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let case = cases.iter().find(|(id, _)| *id == clause.id).expect("a clause with a test");
                    let outcome = one(book, subject, clause, case.1);
                    outcomes.lock().expect("no test holds the lock").push(outcome);
                }
            });
        }
    });
    let _ = panic::take_hook();
    let mut outcomes = outcomes.into_inner().expect("all threads have ended");
    let place = |outcome: &Outcome| clauses.iter().position(|clause| clause.id == outcome.clause.id);
    outcomes.sort_by_key(place);
    outcomes
}

fn one(book: &Book, subject: &Subject, clause: &Clause, test: fn()) -> Outcome {
    SAID.with_borrow_mut(String::clear);
    let begin = Instant::now();
    let end = panic::catch_unwind(AssertUnwindSafe(test));
    let time = begin.elapsed();
    let verdict = verdict(end, book.deviation(clause.id, &subject.name), clause, subject);
    Outcome { clause: clause.clone(), verdict, time }
}

fn verdict(
    end: std::thread::Result<()>,
    deviation: Option<&str>,
    clause: &Clause,
    subject: &Subject,
) -> Verdict {
    let Err(payload) = end else {
        // A row that is no longer true hides the next failure.
        return match deviation {
            Some(_) if subject.name == "corten" => {
                Verdict::Failed("passes; take its row from deviations.tsv".to_owned())
            }
            _ => Verdict::Passed,
        };
    };
    if let Some(Skip(reason)) = payload.downcast_ref() {
        return Verdict::Skipped(reason.clone());
    }
    if let Some(reason) = deviation {
        return Verdict::Deviates(reason.to_owned());
    }
    if clause.since > subject.minor {
        return Verdict::Skipped(format!(
            "came with 1.{}, and the runtime knows 1.{}",
            clause.since, subject.minor
        ));
    }
    Verdict::Failed(SAID.with_borrow(Clone::clone))
}

/// Whether none has failed.
pub fn passed(outcomes: &[Outcome]) -> bool {
    !outcomes.iter().any(|outcome| matches!(outcome.verdict, Verdict::Failed(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(test: fn(), id: &str, name: &str, minor: u32) -> Verdict {
        let book = Book::load().unwrap();
        let subject = Subject { path: name.into(), name: name.to_owned(), version: String::new(), minor };
        let clause = book.clauses.iter().find(|clause| clause.id == id).unwrap();
        one(&book, &subject, clause, test).verdict
    }

    #[test]
    fn verdict_follows_from_how_the_test_ended() {
        assert_eq!(judged(|| (), "kill/stopped", "corten", 3), Verdict::Passed);
        assert_eq!(
            judged(|| skip("no disk"), "kill/stopped", "corten", 3),
            Verdict::Skipped("no disk".into())
        );
        assert!(matches!(judged(|| panic!("no"), "kill/stopped", "corten", 3), Verdict::Failed(_)));
    }

    #[test]
    fn failure_at_a_clause_that_is_younger_than_the_runtime_is_skipped() {
        let verdict = judged(|| panic!("no"), "net-devices/up", "runc", 0);
        assert!(
            matches!(&verdict, Verdict::Skipped(why) if why.starts_with("came with 1.3, ")),
            "{verdict:?}"
        );
        assert!(matches!(judged(|| panic!("no"), "net-devices/up", "runc", 3), Verdict::Failed(_)));
    }

    #[test]
    fn known_deviation_is_no_failure_and_a_stale_row_is_one() {
        assert!(matches!(judged(|| panic!("no"), "delete/created", "corten", 3), Verdict::Deviates(_)));
        assert!(matches!(judged(|| (), "delete/created", "corten", 3), Verdict::Failed(_)));
    }
}
