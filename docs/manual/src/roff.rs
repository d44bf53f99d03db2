//! roff, as man(7) wants it.

use crate::text::Block;

/// The manual that a page belongs to.
#[derive(Debug)]
pub struct Manual {
    /// The program.
    pub program: &'static str,
    /// The section of the system's manual.
    pub section: u8,
    /// What that section is about.
    pub title: &'static str,
}

/// That of the runtime.
pub const RUNTIME: Manual = Manual { program: "corten", section: 8, title: "System administration" };

/// That of the engine.
pub const ENGINE: Manual = Manual { program: "ocictl", section: 1, title: "User commands" };

/// A page in the making.
#[derive(Debug)]
pub struct Roff(String);

impl Roff {
    /// The head of a page of a manual.
    pub fn page(name: &str, manual: &Manual) -> Self {
        let name = name.to_uppercase();
        let Manual { program, section, title } = manual;
        let version = env!("CARGO_PKG_VERSION");
        let mut roff = Self(String::new());
        roff.line(&format!(
            ".TH \"{}\" \"{section}\" \"\" \"{program} {version}\" \"{title}\"",
            escape(&name)
        ));
        // Neither hyphens nor stretched lines: names of options stay whole.
        roff.line(".nh");
        roff.line(".ad l");
        roff
    }

    /// The source.
    pub fn finish(self) -> String {
        self.0
    }

    /// A section's title.
    pub fn section(&mut self, title: &str) {
        self.line(&format!(".SH \"{}\"", escape(title)));
    }

    /// Words in the text's own markup.
    pub fn words(&mut self, words: &str) {
        for line in words.lines() {
            self.line(&protect(&markup(line)));
        }
    }

    /// A paragraph under a tag that is roff already.
    pub fn tagged(&mut self, tag: &str, words: &str) {
        self.line(".TP");
        self.line(&protect(tag));
        self.words(words);
    }

    /// Blocks of a text.
    pub fn blocks(&mut self, blocks: &[Block]) {
        for block in blocks {
            match block {
                Block::Paragraph(words) => {
                    self.line(".PP");
                    self.words(words);
                }
                Block::Tagged(tag, words) => self.tagged(&markup(tag), words),
                Block::Example(lines) => self.example(lines),
            }
        }
    }

    fn example(&mut self, lines: &[String]) {
        let end = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
        self.line(".PP");
        self.line(".RS 4");
        self.line(".nf");
        for line in &lines[..end] {
            self.line(&protect(&escape(line)));
        }
        self.line(".fi");
        self.line(".RE");
    }

    /// A line of roff.
    pub fn raw(&mut self, line: &str) {
        self.line(line);
    }

    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }
}

/// Text as it stands: a backslash is none of roff's, and a minus is one that can be copied.
pub fn escape(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('"', "\\(dq").replace('\'', "\\(aq")
}

/// Bold.
pub fn bold(text: &str) -> String {
    format!("\\fB{}\\fR", escape(text))
}

/// Italic.
pub fn italic(text: &str) -> String {
    format!("\\fI{}\\fR", escape(text))
}

/// `*bold*` and `<italic>`.
fn markup(text: &str) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(['*', '<']) {
        let close = if rest[start..].starts_with('*') { '*' } else { '>' };
        let Some(length) = rest[start + 1..].find(close) else { break };
        let word = &rest[start + 1..start + 1 + length];
        result += &escape(&rest[..start]);
        result += &if close == '*' { bold(word) } else { italic(word) };
        rest = &rest[start + length + 2..];
    }
    result + &escape(rest)
}

/// A line that begins like a request is none.
fn protect(line: &str) -> String {
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_fonts_and_the_rest_is_as_it_stands() {
        for (text, expected) in [
            ("*--all* <ID>", "\\fB\\-\\-all\\fR \\fIID\\fR"),
            ("a\\b \"c\" 'd'", "a\\eb \\(dqc\\(dq \\(aqd\\(aq"),
            ("3 < 4", "3 < 4"),
        ] {
            assert_eq!(markup(text), expected, "{text}");
        }
        assert_eq!(protect(".x"), "\\&.x");
    }
}
