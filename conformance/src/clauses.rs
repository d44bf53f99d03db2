//! The clauses and the deviations: data, read from the two tables beside the sources.

use crate::cases::Case;
use std::collections::BTreeSet;

/// One clause of the specification.
#[derive(Debug, Clone)]
pub struct Clause {
    /// Its name here: `kill/stopped`.
    pub id: &'static str,
    /// The page and its section: `runtime.md#kill`.
    pub section: &'static str,
    /// `MUST`, `MUST NOT` or `REQUIRED`.
    pub level: &'static str,
    /// The minor version of 1.x with which it came.
    pub since: u32,
    /// What it says, in our words.
    pub words: &'static str,
    /// Why it has no test: the kind of reason, a colon, the reason.
    pub untested: Option<&'static str>,
}

/// A clause that a runtime does not follow, on purpose.
#[derive(Debug, Clone)]
pub struct Deviation {
    /// The clause.
    pub id: &'static str,
    /// The runtime's program name.
    pub runtime: &'static str,
    /// Who relies on it, or what else stands against the text.
    pub reason: &'static str,
}

/// Both tables.
#[derive(Debug)]
pub struct Book {
    /// The clauses in the order of the specification.
    pub clauses: Vec<Clause>,
    /// The deviations.
    pub deviations: Vec<Deviation>,
}

impl Book {
    /// Reads both tables.
    ///
    /// # Errors
    /// A row that is malformed, with its line.
    pub fn load() -> Result<Self, String> {
        let clauses = rows("clauses.tsv", include_str!("../clauses.tsv"), clause)?;
        let deviations = rows("deviations.tsv", include_str!("../deviations.tsv"), deviation)?;
        Ok(Self { clauses, deviations })
    }

    /// Checks that every clause has a test or a reason, and every test and deviation a clause.
    ///
    /// # Errors
    /// All that does not fit, by name.
    pub fn matches(&self, cases: &[Case]) -> Result<(), String> {
        let wanted: BTreeSet<_> =
            self.clauses.iter().filter(|clause| clause.untested.is_none()).map(|c| c.id).collect();
        let there: BTreeSet<_> = cases.iter().map(|(id, _)| *id).collect();
        let mut wrong = Vec::new();
        wrong.extend(wanted.difference(&there).map(|id| format!("clause {id} has no test")));
        wrong.extend(there.difference(&wanted).map(|id| format!("test {id} has no clause")));
        if there.len() != cases.len() {
            wrong.push("two tests have one clause".to_owned());
        }
        if self.clauses.iter().map(|clause| clause.id).collect::<BTreeSet<_>>().len() != self.clauses.len() {
            wrong.push("two clauses have one id".to_owned());
        }
        wrong.extend(
            self.deviations
                .iter()
                .filter(|row| !wanted.contains(row.id))
                .map(|row| format!("deviation {} has no clause", row.id)),
        );
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    }

    /// Why the runtime does not follow the clause, if that is on purpose.
    pub fn deviation(&self, id: &str, runtime: &str) -> Option<&'static str> {
        self.deviations.iter().find(|row| row.id == id && row.runtime == runtime).map(|row| row.reason)
    }
}

fn rows<T>(
    file: &str,
    text: &'static str,
    row: impl Fn(&[&'static str]) -> Option<T>,
) -> Result<Vec<T>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(index, line)| {
            let cells: Vec<&str> = line.split('\t').collect();
            row(&cells).ok_or_else(|| format!("{file}:{}: malformed: {line:?}", index + 1))
        })
        .collect()
}

fn clause(cells: &[&'static str]) -> Option<Clause> {
    let (&[id, section, level, since, words], rest) = cells.split_first_chunk::<5>()?;
    if !section.contains(".md#") || !["MUST", "MUST NOT", "REQUIRED"].contains(&level) || rest.len() > 1 {
        return None;
    }
    let since = since.strip_prefix("1.")?.parse().ok()?;
    let untested = rest.first().copied();
    if untested.is_some_and(|reason| !reason.contains(':')) {
        return None;
    }
    Some(Clause { id, section, level, since, words, untested })
}

fn deviation(cells: &[&'static str]) -> Option<Deviation> {
    let &[id, runtime, reason] = cells else { return None };
    Some(Deviation { id, runtime, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_clause_has_a_test_or_a_reason() {
        let book = Book::load().unwrap();
        book.matches(&crate::cases::all()).unwrap();
        assert!(book.clauses.iter().filter(|clause| clause.untested.is_none()).count() >= 150);
    }

    #[test]
    fn malformed_rows_are_told_with_their_line() {
        let error = rows("x.tsv", "# head\nid\tpage.md#part\tSHOULD\t1.0\twords\n", clause).unwrap_err();
        assert!(error.starts_with("x.tsv:2: "), "{error}");
    }

    #[test]
    fn what_does_not_fit_together_is_told_by_name() {
        let book = Book::load().unwrap();
        let error = book.matches(&[("no/such-clause", || ())]).unwrap_err();
        assert!(error.contains("clause kill/stopped has no test"), "{error}");
        assert!(error.contains("test no/such-clause has no clause"), "{error}");
    }
}
