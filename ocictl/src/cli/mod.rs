//! The command line: families of verbs, one file a family, and one small function a verb.
//!
//! A verb's grammar is built when the verb was typed and not before: clap takes longer to build the grammar of all verbs than
//! `ocictl version` may take as a whole. So the words in front of the verb are read by a grammar of their own, the verb is
//! found in a table, and only its arguments are parsed.

pub mod container;
mod grammar;
mod image;
pub mod output;
mod registry;
mod system;
mod volume;

use crate::container::record::{Container, State, Status};
use crate::container::{Readable, idmap};
use crate::error::{Error, Result};
use crate::image::Images;
use crate::paths::Paths;
use crate::rootless;
use crate::store::Store;
use clap::{Arg, ArgAction, ArgMatches, Command};
pub use grammar::{grammar, short_forms};
use output::table::harmless;
use std::ffi::OsString;
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;

/// Exit codes of verbs that succeed; errors carry their own.
pub const SUCCESS: u8 = 0;

/// A group of verbs: `ocictl image …`.
#[derive(Debug)]
pub struct Family {
    /// What is typed.
    pub name: &'static str,
    /// What else may be typed.
    pub aliases: &'static [&'static str],
    /// One line of help.
    pub about: &'static str,
    /// Its verbs.
    pub verbs: &'static [Verb],
}

/// A verb.
#[derive(Debug, Clone, Copy)]
pub struct Verb {
    /// What is typed.
    pub name: &'static str,
    /// What else may be typed.
    pub aliases: &'static [&'static str],
    /// What may be typed without the family: `pull` for `image pull`.
    pub short: &'static [&'static str],
    /// One line of help.
    pub about: &'static str,
    /// Adds its arguments to a command.
    pub grammar: fn(Command) -> Command,
    /// Does it.
    pub run: fn(&Invocation, &ArgMatches) -> Result<u8>,
}

impl Verb {
    /// Its grammar under a name. What it is about stands in the table: its arguments have words of their own.
    fn command(&self, name: String) -> Command {
        (self.grammar)(Command::new(name)).about(self.about)
    }
}

/// A verb of a struct of arguments (`clap::Args`) and a function `fn(&Invocation, Arguments) -> Result<u8>`.
macro_rules! verb {
    ($name:literal, $aliases:expr, short $short:expr, $about:literal, $arguments:ty, $run:path) => {
        $crate::cli::Verb {
            name: $name,
            aliases: &$aliases,
            short: &$short,
            about: $about,
            grammar: <$arguments as clap::Args>::augment_args,
            run: |invocation, matches| {
                let arguments = <$arguments as clap::FromArgMatches>::from_arg_matches(matches)
                    .map_err(|error| $crate::error::Error::new(error.to_string()))?;
                $run(invocation, arguments)
            },
        }
    };
}
pub(crate) use verb;

/// All families, in the order of the help.
const FAMILIES: [&Family; 6] = [
    &container::FAMILY,
    &container::HEALTHCHECK,
    &volume::FAMILY,
    &image::FAMILY,
    &registry::FAMILY,
    &system::FAMILY,
];

/// What was typed in front of the verb, and what verbs work with.
#[derive(Debug)]
pub struct Invocation {
    paths: Paths,
}

impl Invocation {
    /// Opens the store; an ordinary user becomes root of a user namespace of his own on the way, since what images hold belongs to
    /// others too. Call it before there is a second thread.
    ///
    /// # Errors
    /// As [`Store::open`] and [`rootless::enter`].
    pub fn store(&self) -> Result<Store> {
        if rootless::is_needed() {
            rootless::enter(&self.paths.runroot)?;
        }
        Store::open(&self.paths)
    }

    /// Where everything is.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }
}

/// Runs the command line; the exit code of the process.
pub fn main(typed: Vec<OsString>) -> u8 {
    if let Some(code) = hidden(&typed) {
        return code;
    }
    match act(typed) {
        Ok(code) => code,
        // Help and the version.
        Err(Failure::Usage(text)) if !text.use_stderr() => {
            let _nobody_may_listen = text.print();
            SUCCESS
        }
        Err(failure) => {
            let error = match failure {
                Failure::Usage(error) => misunderstood(&error),
                Failure::Error(error) => error,
            };
            tell(&error);
            error.code()
        }
    }
}

/// What clap says, as a line of ours: its first paragraph, and the tip of another.
fn misunderstood(error: &clap::Error) -> Error {
    let text = error.to_string();
    let (first, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
    let words = first.split_whitespace().collect::<Vec<_>>().join(" ");
    let said = Error::new(words.strip_prefix("error: ").unwrap_or(&words)).exit_code(125);
    let tip = rest.lines().find_map(|line| line.trim().strip_prefix("tip: "));
    let usage = rest.lines().find_map(|line| line.strip_prefix("Usage: "));
    match (tip, usage) {
        (Some(tip), _) => said.hint(tip),
        (None, Some(usage)) => said.hint(format!("usage: {usage}")),
        (None, None) => said,
    }
}

/// Prints an error and what may help.
fn tell(error: &Error) {
    let mut stderr = std::io::stderr();
    // Words of registries, images and programs are among ours.
    let _nobody_may_listen = writeln!(stderr, "Error: {}", harmless(&error.to_string()));
    if let Some(hint) = error.hint_text() {
        let _nobody_may_listen = writeln!(stderr, "  hint: {}", harmless(hint));
    }
}

/// What this program is when it calls itself: the monitor of a container, a terminal's session, or the small init. None is for people, and all
/// are to be quick and small, so no grammar is built for them.
fn hidden(typed: &[OsString]) -> Option<u8> {
    let own = std::path::Path::new(typed.first()?).file_name()?;
    if own == container::INIT_NAME {
        return Some(container::init(&typed[1..]));
    }
    match typed {
        [_, verb, root, runroot, id] if verb == "monitor" => {
            Some(container::monitor(&Paths { root: root.into(), runroot: runroot.into() }, id.to_str()?))
        }
        [_, verb, root, runroot, id, name] if verb == "session" => Some(container::session(
            &Paths { root: root.into(), runroot: runroot.into() },
            id.to_str()?,
            name.to_str()?,
        )),
        _ => None,
    }
}

/// Why a command line did nothing.
enum Failure {
    /// It was not understood, or asked for help.
    Usage(clap::Error),
    /// It failed.
    Error(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        Self::Usage(error)
    }
}

fn act(typed: Vec<OsString>) -> std::result::Result<u8, Failure> {
    if typed.get(1).is_some_and(|word| word == rootless::MAP_IDS) {
        rootless::map_ids(&typed[2..])?;
        return Ok(SUCCESS);
    }
    if typed.get(1).is_some_and(|word| word == idmap::HOLD) {
        idmap::hold(&typed[2..])?;
        return Ok(SUCCESS);
    }
    let globals = globals().try_get_matches_from(typed)?;
    let path = |name: &str| globals.get_one::<PathBuf>(name).cloned();
    let words = match globals.subcommand() {
        Some((first, rest)) => {
            let rest = rest.get_many::<OsString>("").into_iter().flatten().cloned();
            std::iter::once(OsString::from(first)).chain(rest).collect()
        }
        None => vec![OsString::from("--help")],
    };
    let (verb, name, arguments) = match find(&words) {
        Found::Verb(verb, name, arguments) => (verb, name, arguments),
        Found::Help(text) => {
            print_text(&text)?;
            return Ok(SUCCESS);
        }
        Found::Nothing(error) => return Err(error.into()),
    };
    let command = verb.command(name.clone()).no_binary_name(true).bin_name(name);
    let matches = command.try_get_matches_from(arguments)?;
    let invocation = Invocation { paths: Paths::choose(path("root"), path("runroot"))? };
    let was_ordinary = rootless::is_needed();
    let done = (verb.run)(&invocation, &matches);
    if was_ordinary {
        rootless::forget(&invocation.paths.runroot, rustix::process::getpid());
    }
    Ok(done?)
}

/// What may stand in front of the verb.
fn globals() -> Command {
    let path = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("DIR")
            .value_parser(clap::value_parser!(PathBuf))
            .help(help)
            .action(ArgAction::Set)
    };
    Command::new("ocictl")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .arg(path("root", "Directory for what lasts: images, containers, volumes"))
        .arg(path("runroot", "Directory for what need not survive a reboot"))
        .arg(Arg::new("help").long("help").short('h').action(ArgAction::SetTrue))
        .allow_external_subcommands(true)
        .external_subcommand_value_parser(clap::value_parser!(OsString))
}

enum Found {
    Verb(&'static Verb, String, Vec<OsString>),
    Help(String),
    Nothing(Error),
}

/// Finds the verb: a short form, or a family and a verb of it.
fn find(words: &[OsString]) -> Found {
    let word = |index: usize| words.get(index).and_then(|word| word.to_str()).unwrap_or_default();
    let first = word(0);
    // `help VERB` is `VERB --help`.
    if first == "help" && !matches!(word(1), "" | "--help" | "-h") {
        return help_on(&words[1..]);
    }
    if matches!(first, "" | "help" | "--help" | "-h") {
        return Found::Help(help());
    }
    for family in FAMILIES {
        if let Some(verb) = family.verbs.iter().find(|verb| verb.short.contains(&first)) {
            return Found::Verb(verb, format!("ocictl {first}"), words[1..].to_vec());
        }
    }
    let Some(family) =
        FAMILIES.into_iter().find(|family| family.name == first || family.aliases.contains(&first))
    else {
        return Found::Nothing(
            Error::new(format!("\"{first}\" is no command of ocictl"))
                .hint("`ocictl --help` lists them")
                .exit_code(125),
        );
    };
    let second = word(1);
    if second == "help" && !matches!(word(2), "" | "--help" | "-h") {
        return help_on(&[&words[..1], &words[2..]].concat());
    }
    if matches!(second, "" | "help" | "--help" | "-h") {
        return Found::Help(family_help(family));
    }
    match family.verbs.iter().find(|verb| verb.name == second || verb.aliases.contains(&second)) {
        Some(verb) => Found::Verb(verb, format!("ocictl {} {}", family.name, verb.name), words[2..].to_vec()),
        None => {
            let error = Error::new(format!("\"{second}\" is no command of `ocictl {}`", family.name));
            Found::Nothing(error.hint(format!("`ocictl {} --help` lists them", family.name)).exit_code(125))
        }
    }
}

/// The help of a verb or a family; words behind it are not looked at.
fn help_on(words: &[OsString]) -> Found {
    match find(words) {
        Found::Verb(verb, name, _) => Found::Verb(verb, name, vec!["--help".into()]),
        other => other,
    }
}

fn help() -> String {
    let mut text = String::from(
        "A daemonless container engine on OCI runtimes\n\nUsage: ocictl [OPTIONS] COMMAND [ARGUMENTS]...\n\nFamilies:\n",
    );
    for family in FAMILIES {
        text += &format!("  {:<12} {}\n", family.name, family.about);
    }
    text += "\nShort forms:\n";
    for family in FAMILIES {
        for verb in family.verbs.iter().filter(|verb| !verb.short.is_empty()) {
            text += &format!("  {:<12} {}\n", verb.short.join(", "), verb.about);
        }
    }
    text += "\nOptions:\n  --root DIR     Directory for what lasts: images, containers, volumes\n  --runroot DIR  Directory for what need not survive a reboot\n  -h, --help     Print help; `ocictl COMMAND --help` tells of one command\n  -V, --version  Print the version\n";
    text
}

fn family_help(family: &Family) -> String {
    let mut text =
        format!("{}\n\nUsage: ocictl {} COMMAND [ARGUMENTS]...\n\nCommands:\n", family.about, family.name);
    for verb in family.verbs {
        text += &format!("  {:<12} {}\n", verb.name, verb.about);
    }
    text
}

/// Prints text; a reader who has gone away is no error of ours.
///
/// # Errors
/// Fails if standard output cannot be written for another reason.
pub fn print_text(text: &str) -> Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

/// Says what is no reason to fail.
pub fn warn(text: &str) {
    let _nobody_may_listen = writeln!(std::io::stderr(), "Warning: {}", harmless(text));
}

/// Tells of containers that cannot be read, a line each, and gives the others.
fn told(readable: Readable) -> Vec<(Container, State, Status)> {
    for fault in &readable.faults {
        warn(&match fault.hint_text() {
            Some(hint) => format!("{fault} ({hint})"),
            None => fault.to_string(),
        });
    }
    readable.list
}

/// Asks before something is removed; without a terminal there is nobody to ask.
///
/// # Errors
/// Fails if nobody can be asked.
pub fn confirmed(what: &str) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Err(Error::new(format!("this removes {what}, and standard input is no terminal to ask at"))
            .hint("say --force"));
    }
    write!(std::io::stderr(), "WARNING! This will remove {what}. Are you sure you want to continue? [y/N] ")?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Does something for each of several names: all are tried and each failure is told.
///
/// # Errors
/// The last failure, with the first one's exit code; those before it are printed.
pub fn for_each(names: &[String], mut act: impl FnMut(&str) -> Result<()>) -> Result<()> {
    let mut failed: Option<Error> = None;
    for name in names {
        if let Err(error) = act(name) {
            failed = Some(match failed {
                None => error,
                Some(before) => {
                    tell(&before);
                    error.exit_code(before.code())
                }
            });
        }
    }
    failed.map_or(Ok(()), Err)
}

/// The images of a store, for verbs.
///
/// # Errors
/// As [`Images::open`].
pub fn images(store: &Store) -> Result<Images<'_>> {
    Images::open(store)
}
