//! Reads Rust sources for what they import.
//!
//! The reader knows no types and expands no macros: it sees comments and strings for what they are, leaves out what
//! `#[cfg(test)]` marks, and resolves `crate::`, `self::`, `super::` and the groups of `use`. That is enough to see every
//! import that a reviewer would see.

use std::fs;
use std::path::{Path, PathBuf};

/// A file of `src/` and the module that it is.
pub struct Source {
    /// Below `src/`: `plan/mounts.rs`.
    pub path: String,
    /// `["plan", "mounts"]`; `["plan"]` for `plan/mod.rs`; nothing for `lib.rs`.
    pub module: Vec<String>,
    pub text: String,
}

/// A path that a file names in a `use` or in its code, made absolute: `["crate", "sys", "mount"]`.
pub struct Import {
    /// For a method call, its name alone.
    pub path: Vec<String>,
    pub line: usize,
}

impl Import {
    /// The module of ours that it leads into; `corten::` or `ocictl::` is what `main.rs` says for `crate::`.
    pub fn own_module(&self) -> Option<&str> {
        (matches!(self.path[0].as_str(), "crate" | "corten" | "ocictl") && self.path.len() > 1)
            .then(|| self.path[1].as_str())
    }
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let mut module: Vec<String> = path.trim_end_matches(".rs").split('/').map(String::from).collect();
        if module.last().is_some_and(|last| last == "mod") || module == ["lib"] {
            module.pop();
        }
        Self { path: path.into(), module, text: text.into() }
    }

    pub fn top(&self) -> &str {
        self.module.first().map_or("lib", String::as_str)
    }

    pub fn imports(&self) -> Vec<Import> {
        let tokens = without_tests(tokens(&self.text));
        let mut reader = Reader { tokens: &tokens, at: 0, found: Vec::new() };
        let mut inner: Vec<Option<String>> = Vec::new(); // one entry an open brace; a name where it opens a module
        while reader.at < tokens.len() {
            let module = || self.module.iter().chain(inner.iter().flatten()).cloned().collect::<Vec<_>>();
            match tokens[reader.at].text.as_str() {
                "mod" if reader.text(2) == "{" => {
                    inner.push(Some(reader.text(1).to_string()));
                    reader.at += 3;
                }
                "{" => {
                    inner.push(None);
                    reader.at += 1;
                }
                "}" => {
                    inner.pop();
                    reader.at += 1;
                }
                "use" => {
                    reader.at += 1;
                    let module = module();
                    reader.tree(&[], &module);
                }
                text if is_name(text) && reader.text(1) == "::" && !reader.follows_path() => {
                    let module = module();
                    reader.inline_path(&module);
                }
                "." if is_name(reader.text(1)) && reader.text(2) == "(" => {
                    let method = Import { path: vec![reader.text(1).into()], line: tokens[reader.at].line };
                    reader.found.push(method);
                    reader.at += 2;
                }
                _ => reader.at += 1,
            }
        }
        reader.found
    }
}

/// Walks over tokens and notes the paths it meets.
struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    found: Vec<Import>,
}

impl Reader<'_> {
    fn text(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", |token| &token.text)
    }

    /// Whether the name here continues a path (`<T as X>::name::…`), rather than beginning one.
    fn follows_path(&self) -> bool {
        self.at > 0
            && self.tokens[self.at - 1].text == "::"
            && self.at > 1
            && self.tokens[self.at - 2].text != "use"
    }

    /// `a::b::c` in code: notes it once, as far as it goes.
    fn inline_path(&mut self, module: &[String]) {
        let line = self.tokens[self.at].line;
        let mut path = vec![self.text(0).to_string()];
        self.at += 1;
        while self.text(0) == "::" && is_name(self.text(1)) {
            path.push(self.text(1).to_string());
            self.at += 2;
        }
        self.note(path, module, line);
    }

    /// What follows `use`, and what stands in the braces of a group: `a::{self, b::c as d, e::*}`.
    fn tree(&mut self, prefix: &[String], module: &[String]) {
        let mut path = prefix.to_vec();
        loop {
            let line = self.tokens.get(self.at).map_or(0, |token| token.line);
            match self.text(0) {
                "::" => self.at += 1,
                "{" => {
                    self.at += 1;
                    while !matches!(self.text(0), "}" | "") {
                        self.tree(&path, module);
                        if self.text(0) == "," {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                "as" => self.at += 2,
                "*" => {
                    self.at += 1;
                    self.note(path, module, line);
                    return;
                }
                "self" if !path.is_empty() => {
                    self.at += 1;
                    self.note(path, module, line);
                    return;
                }
                name if is_name(name) => {
                    path.push(name.to_string());
                    self.at += 1;
                    if !matches!(self.text(0), "::" | "as") || (self.text(0) == "as") {
                        if self.text(0) == "as" {
                            self.at += 2;
                        }
                        self.note(path, module, line);
                        return;
                    }
                }
                _ => return,
            }
        }
    }

    /// Makes the path absolute and keeps it.
    fn note(&mut self, path: Vec<String>, module: &[String], line: usize) {
        let mut base = module.to_vec();
        let mut rest = path.as_slice();
        let relative = matches!(rest[0].as_str(), "self" | "super");
        while let [first, more @ ..] = rest {
            match first.as_str() {
                "self" => {}
                "super" => drop(base.pop()),
                _ => break,
            }
            rest = more;
        }
        let path = if relative { [&["crate".to_string()][..], &base, rest].concat() } else { path };
        self.found.push(Import { path, line });
    }
}

pub struct Token {
    pub text: String,
    line: usize,
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Names, `::` and single signs; comments, strings, characters and numbers are left out.
pub fn tokens(text: &str) -> Vec<Token> {
    let bytes: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < bytes.len() {
        let end = match bytes[at] {
            '/' if bytes.get(at + 1) == Some(&'/') => end_of(&bytes, at, |at| bytes[at] == '\n'),
            '/' if bytes.get(at + 1) == Some(&'*') => end_of_block_comment(&bytes, at),
            '"' => end_of_string(&bytes, at),
            '\'' => end_of_quote(&bytes, at),
            first if first.is_alphabetic() || first == '_' => {
                let end = end_of(&bytes, at, |at| !(bytes[at].is_alphanumeric() || bytes[at] == '_'));
                let word: String = bytes[at..end].iter().collect();
                match (word.as_str(), bytes.get(end)) {
                    ("r" | "br" | "cr", Some('"' | '#')) if bytes.get(end + 1) != Some(&'_') => {
                        end_of_raw(&bytes, end)
                    }
                    ("b" | "c", Some('"')) => end_of_string(&bytes, end),
                    ("b", Some('\'')) => end_of_quote(&bytes, end),
                    _ => {
                        found.push(Token { text: word, line });
                        end
                    }
                }
            }
            first if first.is_ascii_digit() => {
                end_of(&bytes, at, |at| !(bytes[at].is_alphanumeric() || bytes[at] == '_'))
            }
            ':' if bytes.get(at + 1) == Some(&':') => {
                found.push(Token { text: "::".into(), line });
                at + 2
            }
            sign => {
                if !sign.is_whitespace() {
                    found.push(Token { text: sign.into(), line });
                }
                at + 1
            }
        };
        line += bytes[at..end].iter().filter(|sign| **sign == '\n').count();
        at = end;
    }
    found
}

fn end_of(bytes: &[char], from: usize, stop: impl Fn(usize) -> bool) -> usize {
    (from + 1..bytes.len()).find(|at| stop(*at)).unwrap_or(bytes.len())
}

fn end_of_block_comment(bytes: &[char], from: usize) -> usize {
    let (mut depth, mut at) = (0, from);
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) if depth == 1 => return at + 2,
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    at
}

fn end_of_string(bytes: &[char], from: usize) -> usize {
    let mut at = from + 1;
    while at < bytes.len() && bytes[at] != '"' {
        at += if bytes[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// A raw string, from its first `#` or `"`; a raw name (`r#type`) ends at once.
fn end_of_raw(bytes: &[char], from: usize) -> usize {
    let hashes = bytes[from..].iter().take_while(|sign| **sign == '#').count();
    if bytes.get(from + hashes) != Some(&'"') {
        return from + hashes;
    }
    let closing: String = ["\"", &"#".repeat(hashes)].concat();
    let ends = |at: usize| bytes[at..].iter().take(closing.len()).collect::<String>() == closing;
    end_of(bytes, from + hashes, ends) + closing.len()
}

/// A character (`'x'`, `'\n'`), or only the quote of a lifetime (`'a`).
fn end_of_quote(bytes: &[char], from: usize) -> usize {
    match (bytes.get(from + 1), bytes.get(from + 2)) {
        (Some('\\'), _) => end_of(bytes, from + 2, |at| bytes[at] == '\'') + 1,
        (Some(_), Some('\'')) => from + 3,
        _ => from + 1,
    }
}

/// Leaves out each item that `#[cfg(test)]` marks, to its `;` or closing brace.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    let mark = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut rest = tokens.into_iter().peekable();
    let mut pending: Vec<Token> = Vec::new();
    while let Some(token) = rest.next() {
        pending.push(token);
        if !mark.starts_with(&pending.iter().map(|token| token.text.as_str()).collect::<Vec<_>>()) {
            kept.append(&mut pending);
        } else if pending.len() == mark.len() {
            pending.clear();
            let mut depth = 0;
            for token in rest.by_ref() {
                match token.text.as_str() {
                    "{" | "(" | "[" => depth += 1,
                    "}" | ")" | "]" => depth -= 1,
                    _ => {}
                }
                if depth == 0 && matches!(token.text.as_str(), "}" | ";") {
                    break;
                }
            }
        }
    }
    kept.append(&mut pending);
    kept
}

/// All files of `src/`, but for the files of modules that only tests have.
pub fn sources() -> Vec<Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = read_tree(&src, &src);
    let only_tests = |file: &Source| file.module.last().is_some_and(|last| last == "tests");
    files.into_iter().filter(|file| !only_tests(file)).collect()
}

pub fn read_tree(root: &Path, directory: &Path) -> Vec<Source> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(directory).expect("src is there").map(|entry| entry.expect("readable").path()).collect();
    entries.sort();
    let mut found = Vec::new();
    for path in entries {
        if path.is_dir() {
            found.extend(read_tree(root, &path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).expect("below src").to_str().expect("UTF-8");
            found.push(Source::new(name, &fs::read_to_string(&path).expect("readable")));
        }
    }
    found
}
