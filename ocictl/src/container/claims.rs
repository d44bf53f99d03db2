//! What an image says of how it wants to be run (image-spec, config.md), looked at before a container is made of it. The document is
//! hostile: what makes no sense is refused by its name, so that nothing further down has to wonder what it may mean.

use crate::error::{Error, Result};
use crate::oci::{Config, Healthcheck};

/// What the kernel takes of one variable, or of one word of a command line (execve(2)).
const MAX_WORD: usize = 128 << 10;
/// What all of them may be together.
const MAX_WORDS: usize = 512 << 10;
/// Variables are merged with what was typed; no program wants so many.
const MAX_VARIABLES: usize = 4096;
/// A health check is a process each time; an image must not make a machine busy with them.
const SHORTEST_INTERVAL_NS: i64 = 100_000_000;

/// Refuses a configuration that no honest image has.
///
/// # Errors
/// Names the field and its value.
pub fn check(config: &Config) -> Result<()> {
    for (field, text) in
        [("User", &config.user), ("WorkingDir", &config.working_dir), ("StopSignal", &config.stop_signal)]
    {
        match text.chars().any(|letter| letter == '\0' || (field != "WorkingDir" && letter.is_control())) {
            true => return Err(bad(field, text, "a control character is in it")),
            false => word(field, text)?,
        }
    }
    variables(&config.env)?;
    let words = config.entrypoint.iter().chain(&config.cmd);
    if words.clone().map(String::len).sum::<usize>() > MAX_WORDS {
        return Err(bad("Cmd", "", "more than 512 KiB"));
    }
    for text in words {
        word("Cmd", text)?;
    }
    config.volumes.keys().try_for_each(|target| volume(target))?;
    config.exposed_ports.keys().try_for_each(|text| port(text))?;
    config.healthcheck.as_ref().map_or(Ok(()), health)
}

/// A value that makes no sense; what of it is shown cannot steer a terminal.
fn bad(field: &str, text: &str, why: &str) -> Error {
    let shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    Error::new(format!("the image's {field} \"{shown}\": {why}"))
}

fn word(field: &str, text: &str) -> Result<()> {
    if text.contains('\0') {
        return Err(bad(field, text, "a NUL is in it"));
    }
    match text.len() >= MAX_WORD {
        true => Err(bad(field, text, "128 KiB or longer, which the kernel does not take")),
        false => Ok(()),
    }
}

/// Each is `NAME=VALUE`: a name alone would mean the caller's own variable to some (CVE-2026-57231).
fn variables(list: &[String]) -> Result<()> {
    if list.len() > MAX_VARIABLES || list.iter().map(String::len).sum::<usize>() > MAX_WORDS {
        let most = format!("{} of them; the most are {MAX_VARIABLES}, of 512 KiB together", list.len());
        return Err(bad("Env", "", &most));
    }
    for text in list {
        word("Env", text)?;
        if text.split_once('=').is_none_or(|(name, _)| name.is_empty()) {
            return Err(bad("Env", text, "it is not NAME=VALUE"));
        }
    }
    Ok(())
}

fn volume(target: &str) -> Result<()> {
    word("Volumes", target)?;
    let plain = target.starts_with('/')
        && !target.split('/').any(|part| part == "..")
        && target.split('/').any(|part| !matches!(part, "" | "."));
    if plain { Ok(()) } else { Err(bad("Volumes", target, "it is no plain absolute path")) }
}

/// `8080`, `53/udp`, `8000-8010/tcp`.
///
/// # Errors
/// Names what is no port.
pub fn port(text: &str) -> Result<()> {
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let number = |text: &str| match text.bytes().all(|digit| digit.is_ascii_digit()) {
        true => text.parse::<u16>().ok().filter(|port| *port > 0),
        false => None,
    };
    match (number(first), number(last), protocol) {
        (Some(first), Some(last), "tcp" | "udp" | "sctp") if first <= last => Ok(()),
        _ => Err(bad("ExposedPorts", text, "it is no PORT[-PORT][/tcp|udp|sctp] from 1 to 65535")),
    }
}

fn health(check: &Healthcheck) -> Result<()> {
    let times = [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
        ("Retries", check.retries),
    ];
    for (name, value) in times {
        let shortest = if name.ends_with("Interval") { SHORTEST_INTERVAL_NS } else { 0 };
        if value < 0 || (value > 0 && value < shortest) {
            let why = if value < 0 { "it is negative" } else { "it is shorter than 100 ms" };
            return Err(bad(&format!("Healthcheck.{name}"), &value.to_string(), why));
        }
    }
    match check.test.first().map(String::as_str) {
        None | Some("NONE" | "CMD" | "CMD-SHELL" | "") => {
            check.test.iter().try_for_each(|text| word("Healthcheck.Test", text))
        }
        Some(kind) => Err(bad("Healthcheck.Test", kind, "it is none of NONE, CMD, CMD-SHELL")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_named() {
        let parse = |text: &str| serde_json::from_str::<Config>(text).expect("JSON");
        for (text, wanted) in [
            (r#"{"User":"a\nb"}"#, r#"User "a\nb": a control character"#),
            (r#"{"WorkingDir":"/a\u0000b"}"#, r#"WorkingDir "/a\0b": a control character"#),
            (r#"{"Env":["FOO"]}"#, r#"Env "FOO": it is not NAME=VALUE"#),
            (r#"{"Env":["=x"]}"#, r#"Env "=x": it is not NAME=VALUE"#),
            (r#"{"Cmd":["a\u0000"]}"#, r#"Cmd "a\0": a NUL"#),
            (r#"{"Volumes":{"/../../etc":{}}}"#, r#"Volumes "/../../etc": it is no plain absolute path"#),
            (r#"{"Volumes":{"/":{}}}"#, "no plain absolute path"),
            (r#"{"Volumes":{"data":{}}}"#, "no plain absolute path"),
            (r#"{"ExposedPorts":{"99999/tcp":{}}}"#, r#"ExposedPorts "99999/tcp": it is no PORT"#),
            (r#"{"ExposedPorts":{"+1":{}}}"#, "it is no PORT"),
            (r#"{"ExposedPorts":{"9-8":{}}}"#, "it is no PORT"),
            (r#"{"Healthcheck":{"Interval":1}}"#, r#"Healthcheck.Interval "1": it is shorter"#),
            (r#"{"Healthcheck":{"Retries":-1}}"#, r#"Healthcheck.Retries "-1": it is negative"#),
            (r#"{"Healthcheck":{"Test":["EXEC","x"]}}"#, r#"Healthcheck.Test "EXEC": it is none of"#),
        ] {
            let said = check(&parse(text)).expect_err(text).to_string();
            assert!(said.contains(wanted), "{text}: {said}");
        }
        let honest = r#"{"User":"web:web","WorkingDir":"/srv","Env":["A=","B=c=d"],"Cmd":["sh"],"Volumes":{"/data":{}},
            "ExposedPorts":{"80":{},"53/udp":{},"8000-8010/tcp":{}},
            "Healthcheck":{"Test":["CMD","true"],"Interval":1000000000,"Retries":3}}"#;
        check(&parse(honest)).expect("an honest one");
    }
}
