//! The probe as a hook: it appends what it was given and where it stood to a file, one line of JSON a hook.

use crate::{Answer, identity};
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::{self, Read, Write};

/// Reads the state from standard input and records it.
pub fn record(file: &str, name: &str) -> Answer {
    let mut state = String::new();
    io::stdin().read_to_string(&mut state)?;
    let parsed: Value = serde_json::from_str(&state).unwrap_or(Value::Null);
    let line = json!({
        "hook": name,
        "state": parsed,
        "args": std::env::args().collect::<Vec<_>>(),
        "env": std::env::vars().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(),
        "namespaces": identity::namespaces("self")?,
        "init": init(&parsed),
        "mounts": std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default(),
    });
    OpenOptions::new().create(true).append(true).open(file)?.write_all(format!("{line}\n").as_bytes())?;
    Ok(Value::Null)
}

/// What can be seen of the container process: its root (does the bundle stand there?), its program and its namespaces.
fn init(state: &Value) -> Value {
    let Some(pid) = state["pid"].as_i64().filter(|pid| *pid > 0) else { return Value::Null };
    let bundle = state["bundle"].as_str().unwrap_or_default();
    json!({
        "bundle_in_root": std::fs::metadata(format!("/proc/{pid}/root{bundle}/config.json")).is_ok(),
        "command": std::fs::read(format!("/proc/{pid}/cmdline"))
            .map(|words| String::from_utf8_lossy(&words).replace('\0', " ")).unwrap_or_default(),
        "namespaces": identity::namespaces(&pid.to_string()).unwrap_or(Value::Null),
        "mounts": std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default(),
    })
}
