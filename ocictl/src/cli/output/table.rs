//! Columns that line up. What a name of others could do to a terminal is written as an escape.

/// Rows of text in the making.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with a first line; none if it has no cells.
    pub fn new(headings: impl IntoIterator<Item = String>) -> Self {
        let headings: Vec<String> = headings.into_iter().collect();
        Self { rows: if headings.is_empty() { Vec::new() } else { vec![headings] } }
    }

    /// Adds a line.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| harmless(&cell)).collect());
    }

    /// The lines, each cell but the last padded.
    pub fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line += cell;
                line.extend(std::iter::repeat_n(' ', width + 2 - cell.chars().count()));
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }
}

/// Text without control characters.
pub fn harmless(text: &str) -> String {
    text.chars()
        .flat_map(|letter| {
            if letter.is_control() { letter.escape_default().collect::<Vec<_>>() } else { vec![letter] }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_line_up_and_cannot_steer_a_terminal() {
        let mut table = Table::new(["NAME".into(), "ID".into()]);
        table.row(["a\u{1b}[2J".into(), "1".into()]);
        table.row(["é".into(), "2".into()]);
        assert_eq!(table.text(), "NAME        ID\na\\u{1b}[2J  1\né           2\n");
    }
}
