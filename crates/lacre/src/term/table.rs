//! Tables of text: columns as wide as their widest cell, numbers to the right.

use std::io::{self, Write};

/// Where the text of a column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers and sizes.
    Right,
}

/// A table being filled row by row.
#[derive(Debug)]
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Makes an empty table with these headings.
    pub fn new(columns: &[(&'static str, Align)]) -> Table {
        Table { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; cells beyond the headings are dropped, missing ones are empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut row: Vec<String> = cells.into_iter().map(|cell| printable(&cell)).collect();
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
    }

    /// Writes headings and rows; a table without rows writes nothing.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let widths: Vec<usize> =
            self.columns.iter().enumerate().map(|(at, (heading, _))| self.width(at, heading)).collect();
        let headings: Vec<String> = self.columns.iter().map(|(heading, _)| (*heading).to_owned()).collect();
        for row in std::iter::once(&headings).chain(&self.rows) {
            writeln!(out, "{}", self.line(row, &widths).trim_end())?;
        }
        Ok(())
    }

    fn width(&self, column: usize, heading: &str) -> usize {
        self.rows.iter().map(|row| row[column].chars().count()).chain([heading.chars().count()]).max().unwrap_or(0)
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let cells = row.iter().zip(widths).zip(&self.columns).map(|((cell, width), (_, align))| match align {
            Align::Left => format!("{cell:<width$}"),
            Align::Right => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ")
    }
}

/// Makes names from a database safe to show: control characters could move the cursor or recolour the terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::{Align, Table};

    #[test]
    fn columns_line_up_and_control_characters_do_not_pass() {
        let mut table = Table::new(&[("snapshot", Align::Left), ("rows", Align::Right), ("state", Align::Left)]);
        table.row(["8f21".into(), "1,234".into(), "live".into()]);
        table.row(["a\u{1b}[31m".into(), "7".into()]);
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "snapshot   rows  state\n8f21      1,234  live\na\u{fffd}[31m        7\n");
    }

    #[test]
    fn nothing_is_written_for_no_rows() {
        let mut out = Vec::new();
        Table::new(&[("snapshot", Align::Left)]).write(&mut out).unwrap();
        assert!(out.is_empty());
    }
}
