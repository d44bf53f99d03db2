//! The man pages and completions know every verb and every option, and those who read them find nothing wrong.

use clap::{Arg, Command};
use std::fs;
use std::path::PathBuf;
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
    assert_eq!(pages.len(), grammar.get_subcommands().filter(|verb| !verb.is_hide_set()).count() + 1);
}

#[test]
fn every_page_is_complete() {
    for (name, source) in pages() {
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
    let pages: Vec<PathBuf> =
        fs::read_dir(directory.0.join("man/man8")).unwrap().map(|entry| entry.unwrap().path()).collect();
    for page in pages {
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
    let grammar = manual::grammar();
    let completions = manual::completions();
    for (path, script) in &completions {
        let dash = if path.extension().is_some_and(|end| end == "fish") { "-l " } else { "--" };
        let verbs = grammar.get_subcommands().filter(|verb| !verb.is_hide_set());
        let options_of = |command: &Command| {
            command
                .get_arguments()
                .filter(is_listed)
                .filter_map(|option| option.get_long().map(str::to_owned))
                .collect::<Vec<_>>()
        };
        for verb in verbs {
            assert!(script.contains(verb.get_name()), "{}: {}", path.display(), verb.get_name());
            for option in options_of(verb).into_iter().chain(options_of(&grammar)) {
                assert!(script.contains(&format!("{dash}{option}")), "{}: --{option}", path.display());
            }
        }
    }
    let directory = write("completions", completions.clone());
    for (path, _) in completions {
        let path = directory.0.join(path);
        let file = path.to_str().unwrap();
        let (shell, words): (&str, Vec<String>) = match path.extension().and_then(|end| end.to_str()) {
            Some("fish") => (
                "fish",
                vec!["--no-config".into(), "-c".into(), format!("source {file}; complete -C 'corten st'")],
            ),
            _ if file.contains("zsh") => (
                "zsh",
                vec![
                    "-f".into(),
                    "-c".into(),
                    format!(
                        "fpath=({} $fpath); autoload -Uz compinit; compinit -D; autoload -Uz +X _corten; print start $_comps[corten]",
                        path.parent().unwrap().display()
                    ),
                ],
            ),
            _ => (
                "bash",
                vec![
                    "--norc".into(),
                    "-c".into(),
                    format!(
                        "source {file}; COMP_WORDS=(corten st); COMP_CWORD=1; _corten corten st corten; echo ${{COMPREPLY[@]}}"
                    ),
                ],
            ),
        };
        if !has(shell) {
            continue;
        }
        let output = process::Command::new(shell).args(words).env("HOME", &directory.0).output().unwrap();
        let (said, answer) =
            (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
        assert!(output.status.success() && said.is_empty(), "{shell}: {said}");
        assert!(answer.contains("start"), "{shell}: {answer}");
    }
}
