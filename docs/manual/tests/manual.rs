//! The man pages and completions of both programs know every verb and every option, and those who read them find nothing wrong.

use clap::{Arg, Command};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};

/// The pages by name.
fn pages() -> Vec<(String, String)> {
    let name = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    manual::pages().unwrap().into_iter().map(|(path, source)| (name(path), source)).collect()
}

/// The page as a reader has it, without fonts.
fn plain(source: &str) -> String {
    source
        .replace("\\fB", "")
        .replace("\\fI", "")
        .replace("\\fR", "")
        .replace("\\-", "-")
        .replace("\\e", "\\")
}

fn is_listed(argument: &&Arg) -> bool {
    !argument.is_hide_set() && !argument.is_positional()
}

/// The options of a command as they are typed.
fn options(command: &Command) -> Vec<String> {
    let of = |argument: &Arg| {
        let short = argument.get_short().map(|letter| format!("-{letter}"));
        short.into_iter().chain(argument.get_long().map(|name| format!("--{name}"))).collect::<Vec<_>>()
    };
    command.get_arguments().filter(is_listed).flat_map(of).collect()
}

#[test]
fn every_verb_and_option_is_in_its_page() {
    let (grammar, pages) = (manual::grammar(), pages());
    let page = |name: &str| {
        let found = pages.iter().find(|(of, _)| of == name);
        plain(&found.unwrap_or_else(|| panic!("{name} has no page")).1)
    };
    let program = page("corten");
    for option in options(&grammar) {
        assert!(program.contains(&option), "{option} is not in corten.8");
    }
    for verb in grammar.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let name = format!("corten-{}", verb.get_name());
        assert!(program.contains(&format!("{name}(8)")), "{name} is not in corten.8");
        let page = page(&name);
        for option in verb.get_arguments().filter(|argument| !argument.is_global_set()).filter(is_listed) {
            let tag = option.get_long().unwrap();
            let line =
                page.lines().position(|line| line.contains(&format!("--{tag}")) && line.starts_with('-'));
            let told = line.and_then(|line| page.lines().nth(line + 1)).unwrap_or_default();
            assert!(told.len() > 10, "{name}: --{tag} is not told: {told:?}");
            let default =
                option.get_default_values().first().map(|value| value.to_string_lossy().into_owned());
            let takes_value = option.get_num_args().is_some_and(|count| count.takes_values());
            if let (Some(default), true) = (default, takes_value) {
                let words = if default == "." { "the working directory".to_owned() } else { default };
                assert!(page.contains(&format!("Default: {words}.")), "{name}: --{tag}: {words}");
            }
        }
        for operand in verb.get_positionals() {
            for word in operand.get_value_names().unwrap() {
                let word = word.to_uppercase().replace(['[', ']'], "");
                assert!(page.contains(&word), "{name}: {word} is not there");
            }
        }
    }
    let of_runtime = pages.iter().filter(|(name, _)| name.starts_with("corten"));
    assert_eq!(of_runtime.count(), grammar.get_subcommands().filter(|verb| !verb.is_hide_set()).count() + 1);
}

#[test]
fn every_verb_and_option_of_the_engine_is_in_its_page() {
    let (grammar, pages) = (manual::engine_grammar(), pages());
    let page = |name: &str| {
        let found = pages.iter().find(|(of, _)| of == name);
        plain(&found.unwrap_or_else(|| panic!("{name} has no page")).1)
    };
    let program = page("ocictl");
    let mut verbs = 0;
    for family in grammar.get_subcommands() {
        // A short form leads to the page of its verb.
        if !family.has_subcommands() {
            for form in [family.get_name()].into_iter().chain(family.get_visible_aliases()) {
                let link = page(&format!("ocictl-{form}"));
                let target = link.strip_prefix(".so man1/").and_then(|target| target.strip_suffix(".1\n"));
                let target = page(target.unwrap_or_else(|| panic!("{form}: {link}")));
                assert!(target.contains(&format!("ocictl {form}")), "{form}");
            }
            continue;
        }
        for verb in family.get_subcommands() {
            let name = format!("ocictl-{}-{}", family.get_name(), verb.get_name());
            assert!(program.contains(&format!("{name}(1)")), "{name} is not in ocictl.1");
            let page = page(&name);
            let about = verb.get_about().unwrap().to_string();
            assert!(!about.starts_with("What `"), "{name} is about its arguments: {about}");
            for option in options(verb) {
                assert!(page.contains(&option), "{name}: {option}");
            }
            for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "FILES", "SEE ALSO"]
            {
                assert!(page.contains(&format!(".SH \"{section}\"\n")), "{name}.1 has no {section}");
            }
            verbs += 1;
        }
    }
    assert!(verbs > 50, "{verbs}");
}

#[test]
fn every_page_is_complete() {
    for (name, source) in pages().into_iter().filter(|(name, _)| !name.starts_with("ocictl-")) {
        for section in [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "OPTIONS",
            "EXIT STATUS",
            "ENVIRONMENT",
            "FILES",
            "EXAMPLES",
            "SEE ALSO",
        ] {
            let heading = format!(".SH \"{section}\"\n");
            let body = source.split_once(&heading).map(|(_, rest)| rest.split(".SH").next().unwrap_or(rest));
            assert!(body.is_some_and(|body| body.trim().len() > 10), "{name}.8 has nothing under {section}");
        }
        // A name and what it does, on one line, as whatis(1) wants it.
        let line = source.split_once(".SH \"NAME\"\n").unwrap().1.lines().next().unwrap();
        assert!(plain(line).starts_with(&format!("{name} - ")), "{line}");
    }
}

/// Whether a program is here; a machine that lacks it says so.
fn has(program: &str) -> bool {
    let mut command = process::Command::new("sh");
    command.args(["-c", &format!("command -v {program}")]).stdout(Stdio::null());
    let here = command.status().unwrap().success();
    if !here {
        eprintln!("skipped: {program} is not installed");
    }
    here
}

/// Writes files below a directory of the test's own, and gives it back.
fn write(name: &str, files: Vec<(PathBuf, String)>) -> Directory {
    let directory = Directory(std::env::temp_dir().join(format!("cortentest-{name}-{}", process::id())));
    for (path, text) in files {
        let path = directory.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn readers_of_pages_find_nothing_to_warn_of() {
    let directory = write("pages", manual::pages().unwrap());
    let sections = ["man/man8", "man/man1"].map(|section| fs::read_dir(directory.0.join(section)).unwrap());
    let pages: Vec<PathBuf> = sections.into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    // A page that is only a link to another one has nothing to be read.
    let is_link = |page: &PathBuf| fs::read_to_string(page).unwrap().starts_with(".so ");
    for page in pages.into_iter().filter(|page| !is_link(page)) {
        for (program, words) in [
            ("man", &["--warnings", "-E", "UTF-8", "-Tutf8", "-Z", "-l"][..]),
            ("groff", &["-man", "-Kutf8", "-Tutf8", "-ww", "-z"]),
            ("lexgrog", &[]),
        ] {
            if !has(program) {
                continue;
            }
            let mut command = process::Command::new(program);
            let output =
                command.args(words).arg(&page).env("MANROFFSEQ", "").env("LC_ALL", "C.UTF-8").output();
            let output = output.unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.is_empty(), "{program} {}: {said}", page.display());
        }
    }
}

#[test]
fn completions_know_every_verb_and_option_and_load() {
    for (program, grammar, begun, verb) in
        [("corten", manual::grammar(), "st", "start"), ("ocictl", manual::engine_grammar(), "vol", "volume")]
    {
        let of_program = |path: &PathBuf| path.to_str().unwrap().contains(program);
        let completions: Vec<_> =
            manual::completions().into_iter().filter(|(path, _)| of_program(path)).collect();
        assert_eq!(completions.len(), 3);
        for (path, script) in &completions {
            knows_all(&grammar, path, script);
        }
        let directory = write(&format!("completions-{program}"), completions.clone());
        for (path, _) in completions {
            completes(&directory.0.join(path), program, begun, verb);
        }
    }
}

/// Whether a script has each verb and each option.
fn knows_all(grammar: &Command, path: &Path, script: &str) {
    let dash = if path.extension().is_some_and(|end| end == "fish") { "-l " } else { "--" };
    for verb in grammar.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        assert!(script.contains(verb.get_name()), "{}: {}", path.display(), verb.get_name());
        knows_all(verb, path, script);
    }
    for option in grammar.get_arguments().filter(is_listed).filter_map(Arg::get_long) {
        assert!(script.contains(&format!("{dash}{option}")), "{}: --{option}", path.display());
    }
}

/// Whether a shell loads the script without a word, and completes a verb by it.
fn completes(path: &Path, program: &str, begun: &str, verb: &str) {
    let file = path.to_str().unwrap();
    let directory = path.parent().unwrap();
    let (shell, words) = match path.extension().and_then(|end| end.to_str()) {
        Some("fish") => (
            "fish",
            vec!["--no-config", "-c"]
                .into_iter()
                .map(str::to_owned)
                .chain([format!("source {file}; complete -C '{program} {begun}'")])
                .collect(),
        ),
        _ if file.contains("zsh") => (
            "zsh",
            vec![
                "-f".to_owned(),
                "-c".to_owned(),
                format!(
                    "fpath=({} $fpath); autoload -Uz compinit; compinit -D; autoload -Uz +X _{program}; print $_comps[{program}]",
                    directory.display()
                ),
            ],
        ),
        _ => (
            "bash",
            vec![
                "--norc".to_owned(),
                "-c".to_owned(),
                format!(
                    "source {file}; COMP_WORDS=({program} {begun}); COMP_CWORD=1; _{program} {program} {begun} {program}; echo ${{COMPREPLY[@]}}"
                ),
            ],
        ),
    };
    if !has(shell) {
        return;
    }
    let output = process::Command::new(shell).args(words).env("HOME", directory).output().unwrap();
    let (said, answer) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success() && said.is_empty(), "{shell}: {said}");
    // zsh completes in a terminal alone: it knows what is called there.
    let expected = if shell == "zsh" { format!("_{program}") } else { verb.to_owned() };
    assert!(answer.contains(&expected), "{shell}: {answer}");
}
