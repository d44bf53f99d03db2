//! The whole grammar as one, for the man pages and the completions. No command waits for it to be built.

use super::{FAMILIES, Verb, globals};
use clap::Command;

/// The program with its families, their verbs, and the short forms of verbs beside the families.
pub fn grammar() -> Command {
    let mut program = globals()
        .about("A daemonless container engine on OCI runtimes")
        .allow_external_subcommands(false)
        .mut_arg("help", |help| help.help("Print help"));
    for family in FAMILIES {
        let verbs = family.verbs.iter().map(|verb| command(verb, verb.name, verb.aliases));
        let group =
            Command::new(family.name).about(family.about).visible_aliases(family.aliases.iter().copied());
        program = program.subcommand(group.disable_help_subcommand(true).subcommands(verbs));
    }
    let short = FAMILIES.iter().flat_map(|family| family.verbs).filter_map(|verb| {
        let (name, aliases) = verb.short.split_first()?;
        Some(command(verb, name, aliases))
    });
    program.subcommands(short)
}

/// What each short form stands for: the form, the family and the verb.
pub fn short_forms() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let verbs = FAMILIES.into_iter().flat_map(|family| family.verbs.iter().map(|verb| (family.name, verb)));
    verbs.flat_map(|(family, verb)| verb.short.iter().map(move |short| (*short, family, verb.name)))
}

fn command(verb: &Verb, name: &'static str, aliases: &[&'static str]) -> Command {
    verb.command(name.to_owned()).visible_aliases(aliases.iter().copied())
}
