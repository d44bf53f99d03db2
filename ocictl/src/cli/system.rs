//! `ocictl system …`: the store as a whole.

mod df;
mod prune;

use super::output::{self, units};
use super::{Family, Invocation, SUCCESS, for_each, images, print_text, tell, told, verb};
use crate::container::record::Status;
use crate::container::{Containers, facts, start, upkeep};
use crate::error::{Error, Result};
use crate::oci::Platform;
use crate::runtime::Runtime;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The commit that was built; `unknown` where that was no checkout (`build/commit.rs`).
const COMMIT: &str = env!("CORTEN_COMMIT");

/// The family.
pub const FAMILY: Family = Family {
    name: "system",
    aliases: &[],
    about: "Look after the store",
    verbs: &[
        verb!(
            "unshare",
            [],
            short["unshare"],
            "Run a command where an ordinary user is root over his ids",
            Unshare,
            unshare
        ),
        verb!("df", [], short [], "Show what takes space", df::Arguments, df::df),
        verb!("info", [], short["info"], "Tell about this machine and the store", Info, info),
        verb!("prune", [], short [], "Remove what nobody needs", prune::Arguments, prune::prune),
        verb!("check", [], short [], "Say whether everything in the store is whole", Check, check),
        verb!("boot", [], short [], "Start the containers that should run, after the machine has booted", Boot, boot),
        verb!(
            "shutdown",
            [],
            short [],
            "Stop all containers before the machine goes down; those that should run start with `system boot`",
            Shutdown,
            shutdown
        ),
        verb!("version", [], short["version"], "Print the version", Version, version),
    ],
};

#[derive(Debug, clap::Args)]
struct Check {
    /// Read all layers and compare them with their digests
    #[arg(long)]
    deep: bool,
    /// Remove what killed commands have left
    #[arg(long, short)]
    repair: bool,
}

fn check(invocation: &Invocation, arguments: Check) -> Result<u8> {
    let store = invocation.store()?;
    let containers = Containers::open(&store)?;
    if arguments.repair {
        let repaired = upkeep::repair(&containers)?;
        print_text(&format!("Cleared {} containers\n", repaired.cleared))?;
        repaired.failures.iter().for_each(tell);
        let collected = store.collect()?;
        print_text(&format!(
            "Removed {} layers, {} blobs, {} leftovers: {}\n",
            collected.layers.len(),
            collected.blobs,
            collected.leftovers,
            units::size(collected.bytes)
        ))?;
    }
    let mut report = store.check(arguments.deep)?;
    let (checked, faults) = upkeep::check(&containers)?;
    report.checked += checked;
    report.faults.extend(faults);
    for fault in &report.faults {
        print_text(&format!("{fault}\n"))?;
    }
    match report.faults.len() {
        0 => {
            print_text(&format!("{} objects checked, all whole\n", report.checked))?;
            Ok(SUCCESS)
        }
        faults => Err(Error::new(format!("{faults} of {} objects are not whole", report.checked))),
    }
}

#[derive(Debug, clap::Args)]
struct Boot {}

fn boot(invocation: &Invocation, Boot {}: Boot) -> Result<u8> {
    let store = invocation.store()?;
    let containers = Containers::open(&store)?;
    // What one container keeps from being put in order is no reason not to start the others.
    let mut repaired = upkeep::repair(&containers)?;
    let last = repaired.failures.pop();
    repaired.failures.iter().for_each(tell);
    let names: Vec<String> =
        upkeep::to_start(&containers)?.into_iter().map(|container| container.record.name).collect();
    for_each(&names, |name| {
        start::start(&containers, invocation.paths(), &containers.find(name)?, None)?;
        print_text(&format!("{name}\n"))
    })?;
    last.map_or(Ok(SUCCESS), Err)
}

#[derive(Debug, clap::Args)]
struct Shutdown {}

fn shutdown(invocation: &Invocation, Shutdown {}: Shutdown) -> Result<u8> {
    let store = invocation.store()?;
    let containers = Containers::open(&store)?;
    let mut ending = BTreeMap::new();
    // All are asked before any is waited for.
    for container in containers.started()? {
        let name = container.record.name.clone();
        ending.insert(name, upkeep::ask_to_end(&containers, container));
    }
    let names: Vec<String> = ending.keys().cloned().collect();
    for_each(&names, |name| {
        ending.remove(name).map_or(Ok(()), |asked| asked?.finish(&containers))?;
        print_text(&format!("{name}\n"))
    })?;
    Ok(SUCCESS)
}

#[derive(Debug, clap::Args)]
struct Version {
    /// A template, or json
    #[arg(long, short, value_name = "TEMPLATE")]
    format: Option<String>,
}

fn version(_: &Invocation, arguments: Version) -> Result<u8> {
    let platform = Platform::host();
    let own = json!({
        "Name": "ocictl",
        "Version": env!("CARGO_PKG_VERSION"),
        "GitCommit": COMMIT,
        "OsArch": format!("{}/{}", platform.os, platform.architecture),
        "Os": platform.os,
        "Arch": platform.architecture,
    });
    match arguments.format {
        None => {
            let word = |key: &str| output::template::plain(&own[key]);
            print_text(&format!(
                "Client:   {}\nVersion:  {}\nCommit:   {}\nOS/Arch:  {}\n",
                word("Name"),
                word("Version"),
                word("GitCommit"),
                word("OsArch")
            ))?;
        }
        Some(format) if format.trim() == "json" => print_object(&json!({ "Client": own }), &format)?,
        // There is no server: who asks for its version asks whether it would be old enough to matter, and it would be this program.
        Some(format) => {
            let whole = json!({ "Client": own, "Server": own, "Version": own["Version"] });
            print_object(&whole, &format)?;
        }
    }
    Ok(SUCCESS)
}

/// One object as JSON or by a template.
fn print_object(value: &Value, format: &str) -> Result<()> {
    match format.trim() {
        "json" => print_text(&format!("{}\n", output::json(value)?)),
        _ => output::print_objects(std::slice::from_ref(value), Some(format)),
    }
}

#[derive(Debug, clap::Args)]
struct Info {
    /// A template, or json
    #[arg(long, short, value_name = "TEMPLATE")]
    format: Option<String>,
}

fn info(invocation: &Invocation, arguments: Info) -> Result<u8> {
    let store = invocation.store()?;
    let images = images(&store)?;
    let system = rustix::system::uname();
    #[allow(clippy::unnecessary_cast, reason = "it is narrower on other machines")]
    let memory = rustix::system::sysinfo().totalram as u64;
    let text = |words: &std::ffi::CStr| words.to_string_lossy().into_owned();
    let containers = Containers::open(&store)?;
    let statuses: Vec<Status> =
        told(containers.readable(true)?).into_iter().map(|(.., status)| status).collect();
    let of = |wanted: Status| statuses.iter().filter(|status| **status == wanted).count();
    let running = of(Status::Running);
    let paused = of(Status::Paused);
    // One that is not there is no reason to say nothing else.
    let runtime = match Runtime::choose("", containers.runroot()) {
        Ok(runtime) => {
            json!({"name": runtime.binary.file_name().map(|name| name.to_string_lossy()), "path": runtime.binary})
        }
        Err(error) => json!({"error": error.to_string()}),
    };
    let layers = if store.index_is_supported()? { "tars with an EROFS index" } else { "directories" };
    let value: Value = json!({
        "host": {
            "arch": Platform::host().architecture,
            "os": "linux",
            "kernel": text(system.release()),
            "hostname": text(system.nodename()),
            "cgroupVersion": if facts::is_v2() { "v2" } else { "v1" },
            "cpus": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            "memTotal": memory,
            "ociRuntime": runtime,
            "security": {"rootless": !rustix::process::geteuid().is_root() || crate::rootless::in_user_namespace()},
        },
        "store": {
            "graphRoot": store.root(),
            "runRoot": store.runroot()?,
            "containerStore": {
                "number": statuses.len(),
                "running": running,
                "paused": paused,
                "stopped": statuses.len() - running - paused,
            },
            "imageStore": {"number": store.images()?.len()},
            "layers": layers,
        },
        "registries": {"search": images.registries.search},
        "version": {
            "Version": env!("CARGO_PKG_VERSION"),
            "GitCommit": COMMIT,
            "OsArch": format!("linux/{}", Platform::host().architecture),
        },
    });
    match arguments.format {
        None => print_text(&outline(&value, 0))?,
        Some(format) => print_object(&value, &format)?,
    }
    Ok(SUCCESS)
}

/// An object as indented lines.
fn outline(value: &Value, depth: usize) -> String {
    let indent = "  ".repeat(depth);
    let lines = value.as_object().into_iter().flatten().map(|(key, value)| match value {
        Value::Object(_) => format!("{indent}{key}:\n{}", outline(value, depth + 1)),
        other => format!("{indent}{key}: {}\n", output::template::plain(other)),
    });
    lines.collect()
}

#[derive(Debug, clap::Args)]
struct Unshare {
    /// The command and its arguments; the shell if none is given
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<std::ffi::OsString>,
}

/// In there `image mount` shows what it mounts, and files of images have their owners.
fn unshare(invocation: &Invocation, arguments: Unshare) -> Result<u8> {
    use std::os::unix::process::ExitStatusExt;
    if !crate::rootless::is_needed() {
        return Err(Error::new("unshare: you are root already"));
    }
    invocation.store()?;
    let shell = || vec![std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into())];
    let words = if arguments.command.is_empty() { shell() } else { arguments.command };
    let paths = invocation.paths();
    let status = std::process::Command::new(&words[0])
        .args(&words[1..])
        .env("OCICTL_ROOT", &paths.root)
        .env("OCICTL_RUNROOT", &paths.runroot)
        .status()
        .map_err(|error| Error::from(error).context(words[0].to_string_lossy()))?;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Ok(u8::try_from(code).unwrap_or(u8::MAX))
}
