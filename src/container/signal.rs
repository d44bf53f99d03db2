//! `kill`: a signal to the container.

use crate::cgroup;
use crate::container::Container;
use crate::error::{Context, Error, Result};
use crate::spec::Status;
use crate::sys::held::Held;
use rustix::io::Errno;

/// Names and numbers of signal(7), as every architecture but MIPS, SPARC, Alpha and PA-RISC has them.
const NAMES: &[(&str, i32)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// The real-time signals that programs may use, as glibc counts them.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// What an image says its program is to be stopped with (image specification, "Annotations"), as engines pass it on.
const STOP_SIGNAL: &str = "org.opencontainers.image.stopSignal";

/// The signal that the container's image asks to be stopped with; `SIGTERM` where it does not say.
///
/// # Errors
/// `unknown signal "X"`, with the annotation.
pub fn of_image(container: &Container) -> Result<i32> {
    match container.record.annotations.get(STOP_SIGNAL) {
        Some(text) => parse(text).map_err(|error| error.context(format!("annotations[{STOP_SIGNAL:?}]"))),
        None => Ok(libc::SIGTERM),
    }
}

/// The number of a signal by its name, with or without `SIG`, or by its number; 0 asks whether there is a process.
///
/// # Errors
/// `unknown signal "X"`.
pub fn parse(text: &str) -> Result<i32> {
    let unknown = || Error::new(format!("unknown signal {text:?}"));
    if let Ok(number) = text.parse::<i32>() {
        return (0..=crate::sys::signals::LAST).contains(&number).then_some(number).ok_or_else(unknown);
    }
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some((_, number)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Ok(*number);
    }
    real_time(name).ok_or_else(unknown)
}

/// `RTMIN`, `RTMIN+3`, `RTMAX-1`.
fn real_time(name: &str) -> Option<i32> {
    let offset = |rest: &str, sign: char| match rest {
        "" => Some(0),
        rest => rest.strip_prefix(sign)?.parse::<i32>().ok(),
    };
    let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(rest), _) => RTMIN.checked_add(offset(rest, '+')?)?,
        (_, Some(rest)) => RTMAX.checked_sub(offset(rest, '-')?)?,
        _ => return None,
    };
    (RTMIN..=RTMAX).contains(&number).then_some(number)
}

/// Sends a signal to init; with `all` to every process of the container. SIGKILL without a pid namespace of its own always
/// means all: nothing else would end the rest.
///
/// # Errors
/// `container not running`.
pub fn kill(container: &Container, number: i32, all: bool) -> Result<()> {
    let ended = || Error::new("container not running");
    let status = container.status()?;
    // No signal has an effect before the container is created (runtime.md, "Kill"); `delete --force` ends its making.
    if status == Status::Creating {
        return Err(ended());
    }
    if all || (number == libc::SIGKILL && !container.record.own_pids) {
        if number == libc::SIGKILL {
            return kill_all(container);
        }
        return signal_all(container, number);
    }
    let reached = match &container.record.process {
        Some(process) if status != Status::Stopped => process.signal(number)?,
        _ => false,
    };
    if !reached {
        return Err(ended());
    }
    if number == libc::SIGKILL && status == Status::Paused {
        // A frozen process of cgroup v1 dies only when it goes on.
        cgroup::open(&container.record.cgroup).thaw()?;
    }
    Ok(())
}

/// Kills every process of the container; one that is paused goes on so that it can die.
///
/// # Errors
/// What the kernel refuses.
pub fn kill_all(container: &Container) -> Result<()> {
    if let Some(process) = &container.record.process {
        process.signal(libc::SIGKILL)?;
    }
    cgroup::open(&container.record.cgroup).kill_all()
}

/// Signals init, which a container without a cgroup has too, and every other process in the cgroup.
fn signal_all(container: &Container, number: i32) -> Result<()> {
    let init = container.record.process.as_ref();
    if let Some(init) = init {
        init.signal(number)?;
    }
    let cgroup = cgroup::open(&container.record.cgroup);
    let mut others = Vec::new();
    for pid in cgroup.pids()? {
        if init.is_some_and(|init| init.pid == pid.as_raw_nonzero().get()) {
            continue;
        }
        let held = Held::open(pid).context(|| format!("process {}", pid.as_raw_nonzero()))?;
        others.extend(held.map(|held| (pid, held)));
    }
    if others.is_empty() {
        return Ok(());
    }
    // Who is listed again, now that its pid cannot change its meaning, is the one that was listed.
    let still = cgroup.pids()?;
    for (pid, held) in others.iter().filter(|(pid, _)| still.contains(pid)) {
        match held.signal(number) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(errno) => return Err(Error::from(errno).context(format!("signal {number} to {pid:?}"))),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_known_by_name_and_number() {
        for (text, number) in [
            ("15", 15),
            ("0", 0),
            ("TERM", 15),
            ("SIGTERM", 15),
            ("sigkill", 9),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
            ("RTMIN", 34),
            ("64", 64),
        ] {
            assert_eq!(parse(text).unwrap(), number, "{text}");
        }
        for text in ["", "65", "-9", "NOPE", "RTMIN+31", "RTMIN3", "9x"] {
            assert_eq!(parse(text).unwrap_err().to_string(), format!("unknown signal {text:?}"));
        }
    }
}
