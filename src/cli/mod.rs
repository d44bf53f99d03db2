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
pub fn main(typed: Vec<OsString>) -> u8 {
    // Before anything else, which would all have to be done again.
    if let Err(error) = protect(&typed) {
        let _nobody_may_listen = writeln!(std::io::stderr(), "{error}");
        return 1;
    }
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

/// Reads a command line. A switch may be given as `--force=true`, `-f=true` and `--force=false`, in all of Go's words for them, the
/// amount of `--reclaim` as a word of its own, and a flag of `restore` with one dash: only when clap refuses such a word is it
/// looked at, so that what belongs to a program stays as it is.
fn understand(typed: &[OsString]) -> std::result::Result<Arguments, clap::Error> {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    let mut typed = std::borrow::Cow::Borrowed(typed);
    loop {
        let error = match Arguments::try_parse_from(typed.iter()) {
            Err(error) if matches!(error.kind(), ErrorKind::TooManyValues | ErrorKind::UnknownArgument) => {
                error
            }
            answer => return answer,
        };
        let typed = typed.to_mut();
        let rewritten = match (error.get(ContextKind::InvalidArg), error.get(ContextKind::InvalidValue)) {
            (Some(ContextValue::String(switch)), Some(ContextValue::String(value)))
                if error.kind() == ErrorKind::TooManyValues =>
            {
                let refused = format!("{switch}={value}");
                rewrite_switch(typed, |word| *word == *refused)
            }
            _ if error.kind() == ErrorKind::UnknownArgument => {
                rewrite_switch(typed, |word| word.len() > 3 && word.as_bytes()[2] == b'=')
                    || join_amount(typed)
                    || double_the_dash(typed)
            }
            _ => false,
        };
        if !rewritten {
            return Err(error);
        }
    }
}

/// Takes the value from the first word that is meant, or the word away when that is false.
fn rewrite_switch(typed: &mut Vec<OsString>, is_meant: impl Fn(&OsString) -> bool) -> bool {
    let Some(place) = typed.iter().position(is_meant) else { return false };
    let word = typed[place].to_string_lossy().into_owned();
    let Some((switch, value)) = word.split_once('=').filter(|_| word.starts_with('-')) else { return false };
    match value {
        "true" | "1" | "t" | "T" | "TRUE" | "True" => typed[place] = switch.into(),
        "false" | "0" | "f" | "F" | "FALSE" | "False" => drop(typed.remove(place)),
        _ => return false,
    }
    true
}

/// containerd gives one flag of `restore` with one dash, which Go's parsers take for two.
fn double_the_dash(typed: &mut [OsString]) -> bool {
    let flag = typed.iter_mut().skip_while(|word| *word != "restore").find(|word| *word == "-no-subreaper");
    flag.map(|flag| *flag = "--no-subreaper".into()).is_some()
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
/// into its log also then.
fn misunderstood(error: &clap::Error, typed: &[OsString]) -> u8 {
    let _nobody_may_listen = error.print();
    if !error.use_stderr() {
        return 0;
    }
    // As far as the grammar can read it: what stands behind belongs to nobody, or to the program of the container.
    let known = grammar().ignore_errors(true).try_get_matches_from(typed).ok();
    let value = |name: &str| {
        let top = known.as_ref()?;
        let verb = top.subcommand().map(|(_, verb)| verb);
        let levels = verb.into_iter().chain([top]);
        let given = |level: &&clap::ArgMatches| {
            level.value_source(name) == Some(clap::parser::ValueSource::CommandLine)
        };
        levels.filter(given).find_map(|level| level.get_raw(name)?.next_back().map(ToOwned::to_owned))
    };
    let is_json = value("log_format").is_some_and(|format| format == "json");
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
        Verb::List(list) => inspect::list(arguments, list, log),
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
