//! The man pages and the completions of corten and of ocictl, made from the grammars of their command lines.
//!
//! What the grammar knows (synopsis, options, defaults) is taken from it; what it does not know (why, what else, examples) stands in
//! `pages/`, one text for each verb.

mod engine;
mod page;
mod roff;
mod text;

use clap::Command;
use clap_complete::Shell;
use std::path::PathBuf;
use text::Text;

/// The texts: the verb, and what is told of it. `corten` itself is the first.
const TEXTS: &[(&str, &str)] = &[
    ("corten", include_str!("../pages/corten.txt")),
    ("create", include_str!("../pages/create.txt")),
    ("start", include_str!("../pages/start.txt")),
    ("run", include_str!("../pages/run.txt")),
    ("exec", include_str!("../pages/exec.txt")),
    ("state", include_str!("../pages/state.txt")),
    ("kill", include_str!("../pages/kill.txt")),
    ("delete", include_str!("../pages/delete.txt")),
    ("list", include_str!("../pages/list.txt")),
    ("ps", include_str!("../pages/ps.txt")),
    ("events", include_str!("../pages/events.txt")),
    ("pause", include_str!("../pages/pause.txt")),
    ("resume", include_str!("../pages/resume.txt")),
    ("update", include_str!("../pages/update.txt")),
    ("checkpoint", include_str!("../pages/checkpoint.txt")),
    ("restore", include_str!("../pages/restore.txt")),
    ("mounts", include_str!("../pages/mounts.txt")),
    ("features", include_str!("../pages/features.txt")),
    ("spec", include_str!("../pages/spec.txt")),
    ("plan", include_str!("../pages/plan.txt")),
    ("info", include_str!("../pages/info.txt")),
];

/// What every verb's page says where its own text does not.
const COMMON: &str = include_str!("../pages/common.txt");

/// The man pages: where each is installed below `share`, and its source.
///
/// # Errors
/// A verb without a text, or a text without a verb.
pub fn pages() -> Result<Vec<(PathBuf, String)>, String> {
    let grammar = grammar();
    let common = Text::parse(COMMON);
    for (name, _) in TEXTS.iter().skip(1) {
        if grammar.find_subcommand(name).is_none() {
            return Err(format!("pages/{name}.txt: there is no such verb"));
        }
    }
    let mut pages = vec![page::of_program(&grammar, &text("corten")?)];
    for verb in grammar.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        pages.push(page::of_verb(verb, &text(verb.get_name())?, &common));
    }
    let path = |name: &str, section: u8| PathBuf::from(format!("man/man{section}/{name}.{section}"));
    let of_engine =
        engine::pages(&engine_grammar()).into_iter().map(|(name, source)| (path(&name, 1), source));
    Ok(pages.into_iter().map(|(name, source)| (path(&name, 8), source)).chain(of_engine).collect())
}

/// The completions: where each is installed below `share`, and the script.
pub fn completions() -> Vec<(PathBuf, String)> {
    let mut scripts = Vec::new();
    for (program, grammar) in
        [("corten", corten::cli::grammar as fn() -> Command), ("ocictl", ocictl::cli::grammar)]
    {
        for (shell, path) in [
            (Shell::Bash, format!("bash-completion/completions/{program}")),
            (Shell::Zsh, format!("zsh/site-functions/_{program}")),
            (Shell::Fish, format!("fish/vendor_completions.d/{program}.fish")),
        ] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut grammar(), program, &mut script);
            scripts.push((path.into(), String::from_utf8_lossy(&script).into_owned()));
        }
    }
    scripts
}

/// The grammar with all that clap adds to it.
pub fn grammar() -> Command {
    let mut grammar = corten::cli::grammar();
    grammar.build();
    grammar
}

/// That of the engine.
pub fn engine_grammar() -> Command {
    let mut grammar = ocictl::cli::grammar();
    grammar.build();
    grammar
}

fn text(name: &str) -> Result<Text, String> {
    let found = TEXTS.iter().find(|(of, _)| *of == name);
    let (_, source) = found.ok_or_else(|| format!("pages/{name}.txt: missing"))?;
    let text = Text::parse(source);
    if let Some(title) = text.titles().find(|title| !page::SECTIONS.contains(title)) {
        return Err(format!("pages/{name}.txt: no page has a section {title:?}"));
    }
    Ok(text)
}
