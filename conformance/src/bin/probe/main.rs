//! What runs inside of the containers of the suite, and as their hooks: a static program that carries out the steps named
//! by its arguments and prints what came of each as one line of JSON.
//!
//! A step is a verb and its words in one argument (`read /proc/self/status`). Its line is `{"value": …}`, or `{"errno": …}`
//! where the kernel refused.
#![allow(clippy::disallowed_methods)] // These guard the runtime; a payload does as payloads do.

mod hook;
mod identity;
mod steps;
mod sys;

use serde_json::{Value, json};
use std::io::{self, Write};

/// What the kernel refused, or a step that nobody knows (EINVAL).
type Answer = io::Result<Value>;

fn main() {
    // A payload that is pid 1 and asks about a signal must block it before anybody sends it.
    for step in std::env::args().skip(1) {
        let line = match steps::take(&step) {
            Ok(value) => json!({ "value": value }),
            Err(error) => json!({ "errno": error.raw_os_error().unwrap_or(0), "error": error.to_string() }),
        };
        // Standard output may be closed or full: the suite sees a missing line.
        let _ = writeln!(io::stdout(), "{line}");
        let _ = io::stdout().flush();
    }
}
