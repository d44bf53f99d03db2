//! `healthcheck run`: a check at once, which the monitor makes and counts as each of its own.

use super::super::{Invocation, SUCCESS, print_text};
use crate::container::calling::{self, Answer};
use crate::container::monitor::health_report;
use crate::container::record::{Container, Status};
use crate::container::{Containers, wire};
use crate::error::{Error, Result};
use std::time::{Duration, Instant};

/// What `healthcheck run` takes.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// The container
    #[arg(value_name = "CONTAINER")]
    name: String,
}

/// `healthcheck run`: 0 if it is well; 1, and a word, if not.
pub fn run(invocation: &Invocation, arguments: Run) -> Result<u8> {
    let store = invocation.store()?;
    let found = Containers::open(&store)?.find(&arguments.name);
    // 1 is the word of the check itself.
    if found.and_then(|container| check(&container)).map_err(|error| error.exit_code(125))? {
        return Ok(SUCCESS);
    }
    print_text("unhealthy\n")?;
    Ok(1)
}

/// Has the monitor check, and waits for what it writes down.
fn check(container: &Container) -> Result<bool> {
    let fault = |words: String| Error::new(words).context(container.place());
    let Some(check) = &container.record.options.health else {
        return Err(fault("it has no health check".into()));
    };
    match container.now()?.1 {
        Status::Running => {}
        status => return Err(fault(format!("it is {}, not running", status.name()))),
    }
    let last = || Ok::<_, Error>(health_report(&container.run)?.unwrap_or_default().log.pop());
    let before = last()?;
    match calling::ask(container, wire::kind::CHECK)? {
        Answer::Heard(_) => {}
        Answer::Silent(_) => return Err(calling::silent(container)),
        Answer::Nobody => return Err(calling::alone(container, "nobody asks for its health any more")),
    }
    // Another check may run already; its time comes first.
    let most = Duration::from_millis(check.timeout_ms).saturating_mul(2).saturating_add(calling::LAST_WORDS);
    let begun = Instant::now();
    while begun.elapsed() < most {
        if let Some(entry) = last()?.filter(|entry| Some(entry) != before.as_ref()) {
            return Ok(entry.exit_code == 0);
        }
        if container.now()?.1 != Status::Running {
            return Err(fault("it has ended meanwhile".into()));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err(calling::silent(container))
}
