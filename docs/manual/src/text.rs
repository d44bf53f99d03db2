//! The texts of `pages/`: sections of paragraphs, tagged paragraphs and examples.
//!
//! ```text
//! # SECTION
//! A paragraph with *bold* words, which are typed as they stand, and <italic> ones, for which something else is put.
//!
//! = tag
//! What is said of it.
//!
//!     an example, indented by four
//! ```

/// A text.
#[derive(Debug, Default)]
pub struct Text {
    sections: Vec<(String, Vec<Block>)>,
}

/// A part of a section.
#[derive(Debug, PartialEq, Eq)]
pub enum Block {
    /// Words.
    Paragraph(String),
    /// Words about something.
    Tagged(String, String),
    /// Lines as they stand.
    Example(Vec<String>),
}

impl Text {
    /// Reads a text.
    pub fn parse(source: &str) -> Self {
        let mut text = Self::default();
        let mut is_new = true;
        for line in source.lines() {
            match (line.strip_prefix("# "), text.sections.last_mut()) {
                (Some(title), _) => {
                    text.sections.push((title.to_owned(), Vec::new()));
                    is_new = true;
                }
                (None, Some((_, blocks))) => {
                    add_line(blocks, line, is_new);
                    is_new = line.is_empty();
                }
                (None, None) => {}
            }
        }
        text
    }

    /// The blocks of a section, if it is there.
    pub fn section(&self, title: &str) -> Option<&[Block]> {
        self.sections.iter().find(|(name, _)| name == title).map(|(_, blocks)| blocks.as_slice())
    }

    /// The titles of the sections, in order.
    pub fn titles(&self) -> impl Iterator<Item = &str> {
        self.sections.iter().map(|(title, _)| title.as_str())
    }
}

fn add_line(blocks: &mut Vec<Block>, line: &str, is_new: bool) {
    if line.is_empty() {
        // Within an example it is a line of that, unless something else follows.
        if let Some(Block::Example(lines)) = blocks.last_mut() {
            lines.push(String::new());
        }
        return;
    }
    if let Some(code) = line.strip_prefix("    ") {
        match blocks.last_mut() {
            Some(Block::Example(lines)) => lines.push(code.to_owned()),
            _ => blocks.push(Block::Example(vec![code.to_owned()])),
        }
        return;
    }
    if let Some(tag) = line.strip_prefix("= ") {
        blocks.push(Block::Tagged(tag.to_owned(), String::new()));
        return;
    }
    match blocks.last_mut() {
        Some(Block::Paragraph(words)) if !is_new => {
            words.push('\n');
            words.push_str(line);
        }
        Some(Block::Tagged(_, words)) if !is_new => {
            if !words.is_empty() {
                words.push('\n');
            }
            words.push_str(line);
        }
        _ => blocks.push(Block::Paragraph(line.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_sections_of_blocks() {
        let text = Text::parse("# A\none\ntwo\n\n= *x*\nsaid\n\n    $ run\n\n    more\n\nend\n# B\nlast\n");
        let example = Block::Example(vec!["$ run".into(), String::new(), "more".into(), String::new()]);
        assert_eq!(
            text.section("A").unwrap(),
            [
                Block::Paragraph("one\ntwo".into()),
                Block::Tagged("*x*".into(), "said".into()),
                example,
                Block::Paragraph("end".into())
            ]
        );
        assert_eq!(text.titles().collect::<Vec<_>>(), ["A", "B"]);
    }
}
