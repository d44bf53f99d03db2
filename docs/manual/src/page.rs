//! A page of the runtime: what the grammar knows and what its text tells, in the order of man-pages(7). Those of the engine are put
//! together of the same parts.

use crate::roff::{Manual, RUNTIME, Roff, bold, escape, italic};
use crate::text::Text;
use clap::{Arg, ArgAction, Command};

/// The sections that a text may have, in their order; the grammar's stand after the first.
pub const SECTIONS: [&str; 8] =
    ["DESCRIPTION", "EXIT STATUS", "ENVIRONMENT", "FILES", "NOTES", "SECURITY", "EXAMPLES", "SEE ALSO"];

/// The page of the program: its name and source.
pub fn of_program(grammar: &Command, text: &Text) -> (String, String) {
    let mut roff = begin(&RUNTIME, "corten", grammar);
    roff.section("SYNOPSIS");
    roff.raw(&format!("{} [{}] {} [{}]", bold("corten"), italic("OPTION..."), italic("VERB"), italic("...")));
    roff.section(SECTIONS[0]);
    roff.blocks(text.section(SECTIONS[0]).unwrap_or_default());
    roff.section("VERBS");
    for verb in verbs(grammar) {
        let page = format!("corten-{}", verb.get_name());
        let about = sentence(&verb.get_about().map(ToString::to_string).unwrap_or_default());
        let aliases =
            verb.get_visible_aliases().map(|alias| format!(", {}", bold(alias))).collect::<String>();
        roff.tagged(&(bold(verb.get_name()) + &aliases), &format!("{about} See *{page}*(8)."));
    }
    options(&mut roff, &RUNTIME, grammar);
    after(&mut roff, text, &Text::default());
    roff.section("SEE ALSO");
    let mut names: Vec<String> = verbs(grammar).map(|verb| format!("corten-{}", verb.get_name())).collect();
    names.sort();
    see_also(&mut roff, &RUNTIME, &names.iter().map(String::as_str).collect::<Vec<_>>(), text);
    ("corten".to_owned(), roff.finish())
}

/// The page of a verb: its name and source.
pub fn of_verb(verb: &Command, text: &Text, common: &Text) -> (String, String) {
    let name = format!("corten-{}", verb.get_name());
    let mut roff = begin(&RUNTIME, &name, verb);
    roff.section("SYNOPSIS");
    let usages: String = operands(verb).map(|operand| format!(" {}", usage(operand))).collect();
    let has_options = shown(verb).next().is_some();
    let options_word = if has_options { format!(" [{}]", italic("OPTION...")) } else { String::new() };
    roff.raw(&format!(
        "{} [{}] {}{options_word}{usages}",
        bold("corten"),
        italic("GLOBAL-OPTION..."),
        bold(verb.get_name())
    ));
    roff.section(SECTIONS[0]);
    roff.blocks(text.section(SECTIONS[0]).unwrap_or_default());
    if operands(verb).next().is_some() {
        roff.section("OPERANDS");
        operands(verb).for_each(|operand| roff.tagged(&usage(operand), &help(operand)));
    }
    options(&mut roff, &RUNTIME, verb);
    after(&mut roff, text, common);
    roff.section("SEE ALSO");
    see_also(&mut roff, &RUNTIME, &["corten"], text);
    (name, roff.finish())
}

fn verbs(grammar: &Command) -> impl Iterator<Item = &Command> {
    grammar.get_subcommands().filter(|verb| !verb.is_hide_set())
}

/// The head of a page, and what it is about.
pub(crate) fn begin(manual: &Manual, name: &str, command: &Command) -> Roff {
    let mut roff = Roff::page(name, manual);
    roff.section("NAME");
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    roff.raw(&format!("{} \\- {}", escape(name), escape(&lower(about.trim_end_matches('.')))));
    roff
}

/// The sections after the options: the text's own, and those that are common to all verbs.
pub(crate) fn after(roff: &mut Roff, text: &Text, common: &Text) {
    for title in &SECTIONS[1..SECTIONS.len() - 1] {
        let Some(blocks) = text.section(title).or(common.section(title)) else { continue };
        roff.section(title);
        roff.blocks(blocks);
    }
}

/// The last section: pages of the manual, then what the text names.
pub(crate) fn see_also(roff: &mut Roff, manual: &Manual, pages: &[&str], text: &Text) {
    let section = manual.section;
    let own = pages.iter().map(|page| format!("{}({section})", bold(page))).collect::<Vec<_>>().join(",\n");
    roff.raw(&own);
    if let Some(blocks) = text.section("SEE ALSO") {
        roff.blocks(blocks);
    }
}

/// The options of a command that are shown, but for those that it has from the program.
pub(crate) fn shown(command: &Command) -> impl Iterator<Item = &Arg> {
    let is_program = command.has_subcommands();
    command.get_arguments().filter(move |argument| {
        let inherited = argument.is_global_set() && !is_program;
        !argument.is_positional() && !argument.is_hide_set() && !inherited
    })
}

/// The operands of a command.
pub(crate) fn operands(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|argument| argument.is_positional() && !argument.is_hide_set())
}

/// The section of the options.
pub(crate) fn options(roff: &mut Roff, manual: &Manual, command: &Command) {
    roff.section("OPTIONS");
    for option in shown(command) {
        roff.tagged(&tag(option), &help(option));
    }
    if !command.has_subcommands() {
        roff.raw(".PP");
        let Manual { program, section, .. } = manual;
        let place = if manual.program == "corten" { "before or behind" } else { "before" };
        roff.words(&format!("The options of *{program}*({section}) may stand {place} the verb."));
    }
}

/// `-b, --bundle DIR`.
fn tag(option: &Arg) -> String {
    let names = option.get_short().map(|short| format!("-{short}")).into_iter();
    let names: Vec<String> =
        names.chain(option.get_long().map(|long| format!("--{long}"))).map(|name| bold(&name)).collect();
    let takes_value = matches!(option.get_action(), ArgAction::Set | ArgAction::Append);
    let value =
        option.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect::<Vec<_>>();
    let value = value.join(" ");
    let optional = option.get_num_args().is_some_and(|count| count.min_values() == 0);
    match (takes_value, optional) {
        (false, _) => names.join(", "),
        (true, false) => format!("{} {}", names.join(", "), italic(&value)),
        (true, true) => format!("{}[{}{}]", names.join(", "), bold("="), italic(&value)),
    }
}

/// How an operand stands in a synopsis.
pub(crate) fn usage(operand: &Arg) -> String {
    let names = operand.get_value_names().unwrap_or_default();
    let many = operand.get_num_args().is_some_and(|count| count.max_values() > 1);
    let last = names.len().saturating_sub(1);
    let word = |(index, name): (usize, &clap::builder::Str)| {
        let dots = if many && index == last { "..." } else { "" };
        let word = italic(&name.to_uppercase().replace(['[', ']'], "")) + dots;
        // Of several words of one operand only the first must be there.
        if operand.is_required_set() && index == 0 { word } else { format!("[{word}]") }
    };
    names.iter().enumerate().map(word).collect::<Vec<_>>().join(" ")
}

/// The help as sentences, with the words that are possible and the default.
pub(crate) fn help(argument: &Arg) -> String {
    let mut help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    if matches!(argument.get_action(), ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong) {
        return "Print a summary of the options.".to_owned();
    }
    let default_in_words = help.find("[default: ").map(|start| help.split_off(start));
    let mut sentences = vec![sentence(help.trim_end_matches([' ', '.']))];
    let words: Vec<String> =
        argument.get_possible_values().iter().map(|word| format!("*{}*", word.get_name())).collect();
    let takes_value = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    if takes_value && !words.is_empty() {
        sentences.push(format!("One of {}.", words.join(", ")));
    }
    if !argument.is_positional() && matches!(argument.get_action(), ArgAction::Append) {
        sentences.push("May be given several times.".to_owned());
    }
    let defaults: Vec<String> =
        argument.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    if let Some(words) = default_in_words {
        let words = words.trim_start_matches("[default: ").trim_end_matches(['.', ']']);
        sentences.push(format!("Default: {words}."));
    } else if defaults == ["."] {
        sentences.push("Default: the working directory.".to_owned());
    } else if takes_value && !defaults.is_empty() {
        sentences.push(format!("Default: *{}*.", defaults.join(" ")));
    }
    sentences.join("\n")
}

/// With a full stop.
pub(crate) fn sentence(words: &str) -> String {
    if words.ends_with('.') { words.to_owned() } else { format!("{words}.") }
}

/// Not beginning with a capital letter, unless that is a word of capitals.
fn lower(words: &str) -> String {
    let mut letters = words.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() || second == ' ' => {
            first.to_lowercase().collect::<String>() + letters.as_str()
        }
        _ => words.to_owned(),
    }
}
