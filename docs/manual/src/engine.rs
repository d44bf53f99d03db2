//! The pages of ocictl: one of the program, one a verb by its family, and one a short form that leads to it. What its verbs do is told by
//! the grammar alone, which has a line for each option.

use crate::page::{SECTIONS, after, begin, help, operands, options, see_also, sentence, shown, usage};
use crate::roff::{ENGINE, Roff, bold, italic};
use crate::text::Text;
use clap::Command;

const TEXT: &str = include_str!("../pages/ocictl.txt");
const COMMON: &str = include_str!("../pages/ocictl-common.txt");

/// All pages: their names and sources.
pub fn pages(grammar: &Command) -> Vec<(String, String)> {
    let common = Text::parse(COMMON);
    let mut pages = vec![of_program(grammar, &Text::parse(TEXT))];
    for family in families(grammar) {
        pages.extend(family.get_subcommands().map(|verb| of_verb(family, verb, &common)));
    }
    pages.extend(ocictl::cli::short_forms().map(|(short, family, verb)| {
        (format!("ocictl-{short}"), format!(".so man1/ocictl-{family}-{verb}.1\n"))
    }));
    pages
}

/// The commands that have verbs; the others are short forms.
fn families(grammar: &Command) -> impl Iterator<Item = &Command> {
    grammar.get_subcommands().filter(|command| command.has_subcommands())
}

fn of_program(grammar: &Command, text: &Text) -> (String, String) {
    let mut roff = begin(&ENGINE, "ocictl", grammar);
    roff.section("SYNOPSIS");
    roff.raw(&format!("{} [{}] {} [{}]", bold("ocictl"), italic("OPTION..."), italic("VERB"), italic("...")));
    roff.section(SECTIONS[0]);
    roff.blocks(text.section(SECTIONS[0]).unwrap_or_default());
    for family in families(grammar) {
        roff.section(&family.get_name().to_uppercase());
        let about = family.get_about().map(ToString::to_string).unwrap_or_default();
        roff.words(&sentence(&about));
        for verb in family.get_subcommands() {
            tell_verb(&mut roff, family, verb);
        }
    }
    options(&mut roff, &ENGINE, grammar);
    after(&mut roff, text, &Text::default());
    roff.section("SEE ALSO");
    see_also(&mut roff, &ENGINE, &[], text);
    ("ocictl".to_owned(), roff.finish())
}

fn tell_verb(roff: &mut Roff, family: &Command, verb: &Command) {
    let name = format!("{} {}", family.get_name(), verb.get_name());
    let tags: Vec<String> =
        [name].into_iter().chain(short_of(family, verb)).map(|words| bold(&words)).collect();
    let about = sentence(&verb.get_about().map(ToString::to_string).unwrap_or_default());
    roff.tagged(&tags.join(", "), &format!("{about} See *{}*(1).", page_of(family, verb)));
}

fn of_verb(family: &Command, verb: &Command, common: &Text) -> (String, String) {
    let name = page_of(family, verb);
    let mut roff = begin(&ENGINE, &name, verb);
    roff.section("SYNOPSIS");
    let has_options = shown(verb).next().is_some();
    let options_word = if has_options { format!(" [{}]", italic("OPTION...")) } else { String::new() };
    let operand_words: String = operands(verb).map(|operand| format!(" {}", usage(operand))).collect();
    let forms =
        [format!("{} {}", family.get_name(), verb.get_name())].into_iter().chain(short_of(family, verb));
    for (index, form) in forms.enumerate() {
        if index > 0 {
            roff.raw(".br");
        }
        let words = bold(&format!("ocictl {form}"));
        roff.raw(&format!("{words}{options_word}{operand_words}"));
    }
    roff.section(SECTIONS[0]);
    let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
    roff.words(&sentence(&about));
    let aliases: Vec<String> = verb.get_visible_aliases().map(|alias| format!("*{alias}*")).collect();
    if !aliases.is_empty() {
        roff.words(&format!("Also called {}.", aliases.join(", ")));
    }
    if operands(verb).next().is_some() {
        roff.section("OPERANDS");
        operands(verb).for_each(|operand| roff.tagged(&usage(operand), &help(operand)));
    }
    options(&mut roff, &ENGINE, verb);
    after(&mut roff, common, &Text::default());
    roff.section("SEE ALSO");
    see_also(&mut roff, &ENGINE, &["ocictl"], common);
    (name, roff.finish())
}

fn page_of(family: &Command, verb: &Command) -> String {
    format!("ocictl-{}-{}", family.get_name(), verb.get_name())
}

fn short_of(family: &Command, verb: &Command) -> impl Iterator<Item = String> {
    let (family, verb) = (family.get_name().to_owned(), verb.get_name().to_owned());
    let of_it = move |form: &(&str, &str, &str)| form.1 == family && form.2 == verb;
    ocictl::cli::short_forms().filter(of_it).map(|(short, ..)| short.to_owned())
}
