//! A table of text with aligned columns and no lines. Control characters in cells are shown, not sent: names and answers come
//! from others and must not drive the terminal.

/// A table that is built row by row.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
    right: Vec<usize>,
}

impl Table {
    /// A table with a heading.
    pub fn new(heading: &[&str]) -> Self {
        let mut table = Self::default();
        table.row(heading.iter().map(|&cell| cell.to_owned()));
        table
    }

    /// Aligns these columns to the right, for numbers.
    #[must_use]
    pub fn right(mut self, columns: &[usize]) -> Self {
        self.right = columns.to_vec();
        self
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| in_cell(&cell)).collect());
    }

    /// The table as text, each row with its newline.
    pub fn render(&self) -> String {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.rows {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let pad = " ".repeat(width - cell.chars().count());
                let parts = if self.right.contains(&column) { [&pad, cell] } else { [cell, &pad] };
                line.extend(parts.map(String::as_str));
                line.push_str("  ");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Text for one cell: a newline would break the table.
fn in_cell(text: &str) -> String {
    super::printable(text).replace('\n', "\\n").replace('\t', "\\t")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_escapes_do_not_get_through() {
        let mut table = Table::new(&["NAME", "COUNT"]).right(&[1]);
        table.row(["a\x1b[2J".to_owned(), "7".to_owned()]);
        table.row(["long name here".to_owned(), "1234567".to_owned()]);
        assert_eq!(
            table.render(),
            "NAME              COUNT\na\\u{1b}[2J            7\nlong name here  1234567\n"
        );
    }
}
