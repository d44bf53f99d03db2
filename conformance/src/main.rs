//! Judges an OCI runtime by the runtime specification 1.3: one test a clause, the runtime a black box that is named by its
//! path. Nothing of corten is linked, so what passes here passes for any runtime.
//!
//! `clauses.tsv` holds the clauses, `src/cases/` a test for each that a runtime can be held to, `deviations.tsv` where a
//! runtime departs from the text on purpose. `docs/conformance.md` tells how it is used.
#![allow(clippy::disallowed_methods)] // These guard the runtime against containers; a tester looks from outside.

mod cases;
mod clauses;
mod compare;
mod interrupt;
mod play;
mod report;
mod runner;
mod schema;
mod subject;
#[path = "../../tests/support/mod.rs"]
mod support;

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;

/// Judges the OCI runtime that $RUNTIME names by the runtime specification: one test a clause.
#[derive(Debug, Parser)]
#[command(name = "corten-conformance")]
struct Arguments {
    /// Run only clauses whose id holds one of these words
    words: Vec<String>,
    /// Write the results as TAP
    #[arg(long, value_name = "FILE")]
    tap: Option<PathBuf>,
    /// Write the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Run the suite against these too and print the results side by side
    #[arg(long, value_name = "RUNTIME", num_args = 1)]
    compare: Vec<PathBuf>,
    /// The specification's schema/ directory, instead of the one of 1.3.0 that is built in
    #[arg(long, value_name = "DIR")]
    schema: Option<PathBuf>,
    /// How many tests run at a time (default: the number of processors)
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Print the clauses with their tests and run nothing
    #[arg(long)]
    list: bool,
    /// Print the whole message of each failure
    #[arg(long)]
    verbose: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match judge(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("corten-conformance: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether no test failed, and none is doubtful by what a peer does.
fn judge(arguments: &Arguments) -> Result<bool, String> {
    let book = clauses::Book::load()?;
    if !arguments.list && !rustix::process::geteuid().is_root() {
        return Err("containers of the suite need root".to_owned());
    }
    let cases = cases::all();
    book.matches(&cases)?;
    if arguments.list {
        report::list(&book);
        return Ok(true);
    }
    let schemas = match &arguments.schema {
        Some(dir) => schema::Schemas::read(dir)?,
        None => schema::Schemas::built_in()?,
    };
    schema::install(schemas);
    let subject = subject::Subject::ask()?;
    subject::hide_hybrid_tree()?;
    interrupt::watch();
    let jobs = arguments.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let results = runner::run(&book, &cases, &subject, &arguments.words, jobs);
    if let Some(signal) = interrupt::asked() {
        return Err(format!("ended by signal {signal} after {} tests", results.len()));
    }
    if let Some(path) = &arguments.tap {
        report::write(path, &report::tap(&results))?;
    }
    if let Some(path) = &arguments.junit {
        report::write(path, &report::junit(&subject, &results))?;
    }
    report::print(&subject, &results, arguments.verbose);
    let mut sound = true;
    if !arguments.compare.is_empty() {
        let mut same = arguments.words.clone();
        if let Some(dir) = &arguments.schema {
            same.push(format!("--schema={}", dir.display()));
        }
        sound = compare::beside(&book, &subject, &results, &arguments.compare, &same)?;
    }
    Ok(runner::passed(&results) && sound)
}
