//! What people and machines read: lines and a sum on standard output, TAP, JUnit.

use crate::clauses::Book;
use crate::runner::{Outcome, Verdict};
use crate::subject::Subject;
use std::fmt::Write;
use std::path::Path;

/// Passed, failed, skipped, deviating.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// Tests that passed.
    pub passed: usize,
    /// Tests that failed.
    pub failed: usize,
    /// Tests that could not be tried here.
    pub skipped: usize,
    /// Clauses that the runtime does not follow on purpose.
    pub deviates: usize,
}

impl Sum {
    /// Counts.
    pub fn of(outcomes: &[Outcome]) -> Self {
        let mut sum = Self::default();
        for outcome in outcomes {
            match outcome.verdict {
                Verdict::Passed => sum.passed += 1,
                Verdict::Failed(_) => sum.failed += 1,
                Verdict::Skipped(_) => sum.skipped += 1,
                Verdict::Deviates(_) => sum.deviates += 1,
            }
        }
        sum
    }
}

impl std::fmt::Display for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { passed, failed, skipped, deviates } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped, {deviates} deviate on purpose")
    }
}

/// Everything that did not simply pass, then the sum.
pub fn print(subject: &Subject, outcomes: &[Outcome], verbose: bool) {
    for outcome in outcomes {
        let (word, reason) = match &outcome.verdict {
            Verdict::Passed => continue,
            Verdict::Failed(said) => ("FAILED  ", said),
            Verdict::Skipped(reason) => ("skipped ", reason),
            Verdict::Deviates(reason) => ("deviates", reason),
        };
        println!(
            "{word} {} ({} {}): {}",
            outcome.clause.id, outcome.clause.section, outcome.clause.level, outcome.clause.words
        );
        let lines = if verbose { usize::MAX } else { 6 };
        for line in reason.lines().take(lines) {
            println!("         {line}");
        }
    }
    println!("conformance {} ({}): {}", subject.path.display(), subject.version, Sum::of(outcomes));
}

/// All clauses, each with its section and whether it is tested.
pub fn list(book: &Book) {
    for clause in &book.clauses {
        let reason = clause.untested.map(|reason| format!(" (no test: {reason})")).unwrap_or_default();
        println!(
            "{}\t{}\t{}\t1.{}\t{}{reason}",
            clause.id, clause.section, clause.level, clause.since, clause.words
        );
    }
    let tested = book.clauses.iter().filter(|clause| clause.untested.is_none()).count();
    println!("{} clauses, {tested} with a test", book.clauses.len());
}

/// The Test Anything Protocol, version 13; a deviation is a TODO.
pub fn tap(outcomes: &[Outcome]) -> String {
    let mut text = format!("TAP version 13\n1..{}\n", outcomes.len());
    for (index, outcome) in outcomes.iter().enumerate() {
        let name = format!(
            "{} - {} {}: {}",
            index + 1,
            outcome.clause.id,
            outcome.clause.section,
            outcome.clause.words
        );
        // A `#` begins a directive.
        let name = name.replace('#', "\\#");
        let _ = match &outcome.verdict {
            Verdict::Passed => writeln!(text, "ok {name}"),
            Verdict::Skipped(reason) => writeln!(text, "ok {name} # SKIP {}", one_line(reason)),
            Verdict::Deviates(reason) => writeln!(text, "not ok {name} # TODO {}", one_line(reason)),
            Verdict::Failed(said) => {
                let lines: Vec<String> = said.lines().map(|line| format!("    {line}")).collect();
                writeln!(text, "not ok {name}\n  ---\n  message: |\n{}\n  ...", lines.join("\n"))
            }
        };
    }
    text
}

fn one_line(text: &str) -> String {
    text.replace('\n', " ").replace('#', "\\#")
}

/// JUnit's XML: a suite, a case a clause; a deviation is skipped with its reason.
pub fn junit(subject: &Subject, outcomes: &[Outcome]) -> String {
    let sum = Sum::of(outcomes);
    let seconds: f64 = outcomes.iter().map(|outcome| outcome.time.as_secs_f64()).sum();
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" \
         skipped=\"{}\" errors=\"0\" time=\"{seconds:.3}\">\n",
        escape(&subject.version),
        outcomes.len(),
        sum.failed,
        sum.skipped + sum.deviates,
    );
    for outcome in outcomes {
        let _ = write!(
            text,
            "<testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\">",
            escape(outcome.clause.section),
            escape(&format!("{}: {}", outcome.clause.id, outcome.clause.words)),
            outcome.time.as_secs_f64(),
        );
        let _ = match &outcome.verdict {
            Verdict::Passed => Ok(()),
            Verdict::Skipped(reason) => write!(text, "<skipped message=\"{}\"/>", escape(reason)),
            Verdict::Deviates(reason) => write!(text, "<skipped message=\"deviates: {}\"/>", escape(reason)),
            Verdict::Failed(said) => write!(text, "<failure>{}</failure>", escape(said)),
        };
        text.push_str("</testcase>\n");
    }
    text.push_str("</testsuite>\n</testsuites>\n");
    text
}

/// XML's five, and nothing of the control characters that XML cannot hold.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\n' | '\t' => escaped.push(letter),
            letter if letter.is_control() => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// Writes a report.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn outcomes() -> Vec<Outcome> {
        let book = Book::load().unwrap();
        let verdicts = [
            Verdict::Passed,
            Verdict::Failed("a <b>\nsaid \u{1b}[1m&".to_owned()),
            Verdict::Skipped("no disk".to_owned()),
            Verdict::Deviates("clients # rely".to_owned()),
        ];
        let clauses = book.clauses.into_iter().filter(|clause| clause.untested.is_none());
        let outcome = |(clause, verdict)| Outcome { clause, verdict, time: Duration::from_millis(5) };
        clauses.zip(verdicts).map(outcome).collect()
    }

    #[test]
    fn tap_has_a_line_for_each_with_its_directive() {
        let text = tap(&outcomes());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], ["TAP version 13", "1..4"]);
        assert!(lines[2].starts_with("ok 1 - "), "{text}");
        assert!(lines[3].starts_with("not ok 2 - ") && !lines[3].contains(" # "), "{text}");
        assert!(text.contains("\n    a <b>\n"), "{text}");
        assert!(text.contains(" # SKIP no disk\n") && text.contains(" # TODO clients \\# rely\n"), "{text}");
    }

    #[test]
    fn junit_counts_and_escapes() {
        let subject = Subject { path: "x".into(), name: "x".into(), version: "x \"1\"".into(), minor: 3 };
        let text = junit(&subject, &outcomes());
        assert!(text.contains("name=\"x &quot;1&quot;\" tests=\"4\" failures=\"1\" skipped=\"2\""), "{text}");
        assert!(text.contains("<failure>a &lt;b&gt;\nsaid \u{fffd}[1m&amp;</failure>"), "{text}");
    }

    #[test]
    fn sum_counts_each_verdict() {
        assert_eq!(Sum::of(&outcomes()).to_string(), "1 passed, 1 failed, 1 skipped, 1 deviate on purpose");
    }
}
