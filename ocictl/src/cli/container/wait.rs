//! `wait`: until containers have ended, or are what was asked for.

use super::super::{Invocation, SUCCESS, print_text};
use super::limits::one;
use crate::container::monitor::health_report;
use crate::container::record::{Container, Phase, Status, is_stopped};
use crate::container::{Containers, calling, parse, status};
use crate::error::{Error, Result};
use std::time::Duration;

/// Between two looks unless something else was typed, as podman has it.
const PAUSE: Duration = Duration::from_millis(250);
/// What is printed for a container that has not ended.
const NO_CODE: i32 = -1;

/// What `wait` takes.
#[derive(Debug, clap::Args)]
pub struct Wait {
    /// Containers
    #[arg(value_name = "CONTAINER", required = true)]
    names: Vec<String>,
    /// What to wait for, the first of several: stopped (exited, not-running), running, paused, created, healthy, unhealthy, removed
    #[arg(long, value_name = "CONDITION", value_delimiter = ',')]
    condition: Vec<String>,
    /// Time between two looks where the condition is not the end
    #[arg(long, short, value_name = "DURATION")]
    interval: Option<String>,
    /// A container that is not there is no error: -1 is printed
    #[arg(long)]
    ignore: bool,
}

/// What a container may be waited to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Stopped,
    Running,
    Paused,
    Created,
    Healthy,
    Unhealthy,
    Removed,
}

/// `wait`: prints the exit code of each, -1 for one that has not ended.
pub fn wait(invocation: &Invocation, arguments: Wait) -> Result<u8> {
    let conditions = arguments.condition.iter().map(|word| condition(word)).collect::<Result<Vec<_>>>()?;
    // podman takes a plain number for milliseconds.
    let duration = |text: &str| match text.parse::<u64>() {
        Ok(millis) => Ok(millis.saturating_mul(1_000_000)),
        Err(_) => parse::duration(text),
    };
    let pause = one("--interval", &arguments.interval, duration)?.map_or(PAUSE, Duration::from_nanos);
    let store = invocation.store()?;
    let containers = Containers::open(&store)?;
    super::super::for_each(&arguments.names, |name| {
        let container = match containers.look_up(name)? {
            None if arguments.ignore => return print_text(&format!("{NO_CODE}\n")),
            _ => containers.find(name)?,
        };
        let ends = conditions.is_empty() || conditions == [Condition::Stopped];
        let code = match ends {
            true => end_of(&containers, &container)?,
            // Nobody is asked to look more often than the kernel can tell.
            false => until(&containers, &container, &conditions, pause.max(Duration::from_millis(1)))?,
        };
        print_text(&format!("{code}\n"))
    })?;
    Ok(SUCCESS)
}

fn condition(word: &str) -> Result<Condition> {
    Ok(match word {
        "stopped" | "exited" | "not-running" => Condition::Stopped,
        "running" => Condition::Running,
        "paused" => Condition::Paused,
        "created" | "configured" => Condition::Created,
        "healthy" => Condition::Healthy,
        "unhealthy" => Condition::Unhealthy,
        "removed" => Condition::Removed,
        word => {
            return Err(Error::new(format!(
                "--condition: \"{word}\" is none of stopped, exited, not-running, running, paused, created, healthy, unhealthy, removed"
            ))
            .exit_code(125));
        }
    })
}

/// Waits for a container's end, and gives its exit code: the monitor tells it, also where the container goes with its end.
fn end_of(containers: &Containers<'_>, container: &Container) -> Result<i32> {
    if let Some(code) = status::end(container)? {
        return Ok(code);
    }
    if let Some(program) = status::program(container)? {
        status::wait(&program, None);
    }
    status::settle(containers, container, false)?;
    Ok(container.state()?.exit_code)
}

/// Looks now and then whether one of the conditions is met.
fn until(
    containers: &Containers<'_>,
    container: &Container,
    conditions: &[Condition],
    pause: Duration,
) -> Result<i32> {
    let asks_health =
        conditions.iter().all(|condition| matches!(condition, Condition::Healthy | Condition::Unhealthy));
    if asks_health && container.record.options.health.is_none() {
        return Err(Error::new("it has no health check").context(container.place()).exit_code(125));
    }
    let mut code = NO_CODE;
    loop {
        if containers.by_id(&container.record.id)?.is_none() {
            return match conditions.contains(&Condition::Removed) || conditions.contains(&Condition::Stopped)
            {
                true => Ok(code),
                false => Err(crate::container::no_such(&container.record.name)),
            };
        }
        let (state, now) = container.now()?;
        let is_told = state.phase == Phase::Exited || is_stopped(&state) || !container.is_monitored();
        if now == Status::Exited && !is_told {
            // Its monitor is about to write down how.
            std::thread::sleep(pause);
            continue;
        }
        let report = health_report(&container.run)?.unwrap_or_default();
        let is_met = |condition: &Condition| match condition {
            Condition::Stopped => now == Status::Exited,
            Condition::Running => now == Status::Running,
            Condition::Paused => now == Status::Paused,
            Condition::Created => now == Status::Created,
            Condition::Healthy => now.lives() && report.status == "healthy",
            Condition::Unhealthy => now.lives() && report.status == "unhealthy",
            Condition::Removed => false,
        };
        code = if now == Status::Exited { state.exit_code } else { NO_CODE };
        if conditions.iter().any(is_met) {
            return Ok(code);
        }
        if asks_health && now.lives() && !container.is_monitored() {
            return Err(calling::alone(container, "nobody asks for its health any more").exit_code(125));
        }
        if asks_health && now == Status::Exited {
            return Err(Error::new("it has ended, and its health is asked for no more")
                .context(container.place())
                .exit_code(125));
        }
        std::thread::sleep(pause);
    }
}
