//! The command line: the grammar, and one small function a verb, from what was typed to what is meant to the container.

mod checkpoint;
mod diagnose;
mod exec;
mod features;
mod grammar;
mod info;
mod inspect;
mod lifecycle;
mod quantity;
mod resources;
mod supervision;

use crate::container::Container;
use crate::container::root::Root;
use crate::error::{Error, Result};
use crate::log::{Destination, Format, Log};
use crate::sys::own_binary;
use clap::{CommandFactory, Parser};
use grammar::{Arguments, LogFormat, Verb};
use rustix::io::Errno;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Verbs whose process a container could reach, so that the binary is put out of its reach first.
const ENTERING: [&str; 3] = ["create", "run", "exec"];

/// Runs the command line; the exit code of the process.
pub fn main(mut typed: Vec<OsString>) -> u8 {
    // Before anything else, which would all have to be done again.
    if let Err(error) = protect(&typed) {
        let _nobody_may_listen = writeln!(std::io::stderr(), "{error}");
        return 1;
    }
    spell_out(&mut typed);
    let arguments = match understand(&typed) {
        Ok(arguments) => arguments.spelt_out(),
        Err(error) => return misunderstood(&error, &typed),
    };
    if let Verb::Help(help) = &arguments.verb {
        // The grammar itself answers, as it does behind the verb.
        let words = ["corten"].into_iter().chain(help.verb.as_deref()).chain(["--help"]);
        return Arguments::try_parse_from(words).map_or_else(|answer| misunderstood(&answer, &typed), |_| 0);
    }
    let log = Log {
        destination: arguments.log.as_deref().map(Destination::named).unwrap_or_default(),
        format: match arguments.log_format {
            LogFormat::Text => Format::Text,
            LogFormat::Json => Format::Json,
        },
        level: arguments.level(),
        container: arguments.verb.id().map(str::to_owned),
    };
    if let Err(error) = log.open() {
        return report(&arguments.verb, &error, &Log::default());
    }
    match act(&arguments, &log) {
        Ok(code) => code,
        Err(error) => report(&arguments.verb, &error, &log),
    }
}

/// containerd gives one flag of `restore` with one dash, which Go's parsers take for two.
fn spell_out(typed: &mut [OsString]) {
    let flags = typed.iter_mut().skip_while(|word| *word != "restore");
    for word in flags.filter(|word| *word == "-no-subreaper") {
        *word = "--no-subreaper".into();
    }
}

/// Reads a command line. A switch may be given as `--force=true` and `--force=false`, in all of Go's words for them, and the amount of
/// `--reclaim` as a word of its own: only when clap refuses such a word is it looked at.
fn understand(typed: &[OsString]) -> std::result::Result<Arguments, clap::Error> {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    let mut typed = std::borrow::Cow::Borrowed(typed);
    loop {
        let error = match Arguments::try_parse_from(typed.iter()) {
            Err(error) if error.kind() == ErrorKind::TooManyValues => error,
            Err(error) if error.kind() == ErrorKind::UnknownArgument && join_amount(typed.to_mut()) => {
                continue;
            }
            answer => return answer,
        };
        let (Some(ContextValue::String(switch)), Some(ContextValue::String(value))) =
            (error.get(ContextKind::InvalidArg), error.get(ContextKind::InvalidValue))
        else {
            return Err(error);
        };
        let word = OsString::from(format!("{switch}={value}"));
        match (typed.iter().position(|typed| *typed == word), value.as_str()) {
            (Some(place), "true" | "1" | "t" | "T" | "TRUE" | "True") => {
                typed.to_mut()[place] = switch.into()
            }
            (Some(place), "false" | "0" | "f" | "F" | "FALSE" | "False") => {
                drop(typed.to_mut().remove(place))
            }
            _ => return Err(error),
        }
    }
}

/// Joins the amount of `pause --reclaim` to its option, where it is a word of its own with the container's id behind it.
fn join_amount(typed: &mut Vec<OsString>) -> bool {
    let Some(place) = typed.iter().position(|word| word == "--reclaim") else { return false };
    let is_number = |word: &OsString| word.as_encoded_bytes().first().is_some_and(u8::is_ascii_digit);
    if !typed.get(place + 1).is_some_and(is_number) {
        return false;
    }
    let amount = typed.remove(place + 1);
    typed[place].push("=");
    typed[place].push(amount);
    true
}

/// Tells of a command line that cannot be understood; or prints the help or the version that it asks for. An engine looks
/// into its log also then, so that is found without the grammar.
fn misunderstood(error: &clap::Error, typed: &[OsString]) -> u8 {
    let _nobody_may_listen = error.print();
    if !error.use_stderr() {
        return 0;
    }
    let value = |name: &str| {
        let flag = format!("--{name}");
        let position =
            typed.iter().position(|word| word.to_string_lossy().split('=').next() == Some(&flag))?;
        match typed[position].to_string_lossy().split_once('=') {
            Some((_, value)) => Some(OsString::from(value)),
            None => typed.get(position + 1).cloned(),
        }
    };
    let is_json = value("log-format").is_some_and(|format| format == "json");
    let format = if is_json { Format::Json } else { Format::Text };
    let destination = value("log").as_deref().map(Destination::named).unwrap_or_default();
    let log = Log { destination, format, ..Log::default() };
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    if line.starts_with("a value is required") {
        // By these words podman knows that there is such a flag.
        let _nobody_may_listen = writeln!(std::io::stderr(), "flag needs an argument");
    }
    let _stderr_has_it = log.error(line);
    1
}

/// Puts the binary out of the container's reach. The verb is not known yet: a word that reads like one is enough.
fn protect(typed: &[OsString]) -> Result<()> {
    if !typed.iter().any(|word| ENTERING.iter().any(|verb| word == verb)) {
        return Ok(());
    }
    let environment: Vec<Vec<u8>> = std::env::vars_os()
        .map(|(name, value)| [name.as_bytes(), b"=", &value.into_vec()].concat())
        .collect();
    let arguments = typed.iter().map(|word| word.as_bytes());
    own_binary::protect(arguments, environment.iter().map(Vec::as_slice))
        .map_err(|errno| Error::from(errno).context("protect the runtime's own binary"))
}

fn act(arguments: &Arguments, log: &Log) -> Result<u8> {
    match &arguments.verb {
        Verb::Create(create) => lifecycle::create(arguments, create, log),
        Verb::Run(run) => lifecycle::run(arguments, run, log),
        Verb::Exec(exec) => exec::exec(arguments, exec, log),
        Verb::Start(start) => lifecycle::start(arguments, start),
        Verb::Kill(kill) => lifecycle::kill(arguments, kill),
        Verb::Delete(delete) => lifecycle::delete(arguments, delete, log),
        Verb::State(state) => inspect::state(arguments, state),
        Verb::List(list) => inspect::list(arguments, list),
        Verb::Spec(spec) => inspect::spec(spec),
        Verb::Ps(ps) => inspect::ps(arguments, ps),
        Verb::Update(update) => resources::update(arguments, update, log),
        Verb::Checkpoint(typed) => checkpoint::checkpoint(arguments, typed, log),
        Verb::Restore(typed) => checkpoint::restore(arguments, typed, log),
        Verb::Mounts(typed) => resources::mounts(arguments, typed, log),
        Verb::Features => features::features(),
        Verb::Events(events) => inspect::events(arguments, events),
        Verb::Pause(pause) => resources::pause(arguments, pause),
        Verb::Resume(resume) => resources::resume(arguments, resume),
        Verb::Plan(plan) => diagnose::plan(arguments, plan, log),
        Verb::Info => info::info(arguments),
        // Answered before there is anything to be done.
        Verb::Help(_) => Ok(0),
    }
}

/// The grammar of the command line, from which the man pages and the completions are made.
pub fn grammar() -> clap::Command {
    Arguments::command()
}

/// The container that a verb is about.
fn open(arguments: &Arguments, id: &str) -> Result<Container> {
    Container::open(&Root::choose(arguments.root.as_deref())?, id)
}

/// Tells of the error once on stderr and once in the log; the exit code.
fn report(verb: &Verb, error: &Error, log: &Log) -> u8 {
    let error = error.clone().context(verb.text());
    let mut stderr = std::io::stderr();
    let _nobody_may_listen = writeln!(stderr, "{error}");
    if let Some(hint) = error.hint_text() {
        let _nobody_may_listen = writeln!(stderr, "  hint: {hint}");
    }
    if let Err(failed) = log.error(&error.to_string()) {
        let _nobody_may_listen = writeln!(stderr, "{failed}");
    }
    match error.code() {
        1 => verb.failure_code(),
        code => code,
    }
}

/// Writes the output of a command, unbuffered; a reader that went away is no error.
fn print(text: &str) -> Result<()> {
    print_for_reader(text).map(drop)
}

/// As [`print`]; false when nobody reads any more.
fn print_for_reader(text: &str) -> Result<bool> {
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        match rustix::io::write(rustix::stdio::stdout(), rest) {
            Ok(written) => rest = &rest[written..],
            Err(Errno::INTR) => {}
            Err(Errno::PIPE) => return Ok(false),
            Err(errno) => return Err(Error::from(errno).context("write to stdout")),
        }
    }
    Ok(true)
}
