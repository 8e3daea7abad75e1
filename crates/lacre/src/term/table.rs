//! Tables of text: columns as wide as their widest cell, numbers to the right, and no wider than the terminal they are looked at on.

use std::io;

use super::page::{self, Lead, Page};

/// Where the text of a column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers and sizes.
    Right,
}

/// What a column does on a terminal that is too narrow for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Yield {
    /// It is left out: another column says the same.
    Drop,
    /// It goes to a line of its own below its row.
    Lower,
}

/// What stands between two columns.
const GAP: usize = 2;

/// How far a line below its row is moved in.
const INDENT: usize = 4;

/// A text is not folded to less than this many columns.
const FOLDED_MIN: usize = 16;

/// A table being filled row by row.
#[derive(Debug)]
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    yields: Vec<(&'static str, Yield)>,
    rows: Vec<Vec<String>>,
}

/// How a table is laid out for one page.
#[derive(Debug)]
struct Layout {
    /// Columns side by side, each with its width.
    beside: Vec<(usize, usize)>,
    /// Columns on lines of their own.
    below: Vec<usize>,
}

impl Table {
    /// Makes an empty table with these headings.
    pub fn new(columns: &[(&'static str, Align)]) -> Table {
        Table { columns: columns.to_vec(), yields: Vec::new(), rows: Vec::new() }
    }

    /// Names a column that is left out where the page is too narrow, after those named before it.
    pub fn drops(mut self, heading: &'static str) -> Table {
        self.yields.push((heading, Yield::Drop));
        self
    }

    /// Names a column that goes below its row where the page is too narrow, after those named before it.
    pub fn lowers(mut self, heading: &'static str) -> Table {
        self.yields.push((heading, Yield::Lower));
        self
    }

    /// Adds a row; cells beyond the headings are dropped, missing ones are empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut row: Vec<String> = cells.into_iter().map(|cell| printable(&cell)).collect();
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
    }

    /// Writes headings and rows, no wider than the page; a table without rows writes nothing.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, page: &mut dyn Page) -> io::Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let layout = self.layout(page.columns());
        let headings: Vec<String> = self.columns.iter().map(|(heading, _)| (*heading).to_owned()).collect();
        self.write_beside(&headings, &layout, page)?;
        for row in &self.rows {
            self.write_beside(row, &layout, page)?;
            self.write_below(row, &layout, page)?;
        }
        Ok(())
    }

    /// Gives way column by column until the rest fits: what was named, then a long text by folding it, then whatever is last.
    fn layout(&self, columns: Option<usize>) -> Layout {
        let natural: Vec<usize> = (0..self.columns.len()).map(|column| self.width(column)).collect();
        let mut layout = Layout { beside: natural.into_iter().enumerate().collect(), below: Vec::new() };
        let Some(columns) = columns else { return layout };
        for (heading, how) in &self.yields {
            if layout.width() <= columns {
                return layout;
            }
            let Some(at) = layout.beside.iter().position(|(column, _)| self.columns[*column].0 == *heading) else {
                continue;
            };
            let (column, _) = layout.beside.remove(at);
            if *how == Yield::Lower {
                layout.below.push(column);
            }
        }
        while layout.width() > columns && !self.fold_one(&mut layout, columns) && layout.beside.len() > 1 {
            layout.below.extend(layout.beside.pop().map(|(column, _)| column));
        }
        layout.below.sort_unstable();
        layout
    }

    /// Makes the widest text narrow enough for the rest, unless a word of it would stand out.
    fn fold_one(&self, layout: &mut Layout, columns: usize) -> bool {
        let over = layout.width().saturating_sub(columns);
        let texts = layout.beside.iter_mut().filter(|(column, _)| self.columns[*column].1 == Align::Left);
        let words = |column: usize| self.rows.iter().map(|row| page::widest_piece(&row[column])).max().unwrap_or(0);
        let narrowed = texts.map(|(column, width)| (words(*column), width.saturating_sub(over), width));
        let fitting = narrowed.filter(|(words, narrow, _)| *narrow >= FOLDED_MIN.max(*words));
        let Some((_, narrow, width)) = fitting.max_by_key(|(_, narrow, _)| *narrow) else { return false };
        *width = narrow;
        true
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().map(|row| page::width(&row[column]));
        cells.chain([page::width(self.columns[column].0)]).max().unwrap_or(0)
    }

    /// Writes a row on as many lines as its longest folded text needs.
    fn write_beside(&self, row: &[String], layout: &Layout, page: &mut dyn Page) -> io::Result<()> {
        let cells: Vec<Vec<String>> =
            layout.beside.iter().map(|(column, width)| fitted(&row[*column], *width)).collect();
        let lines = cells.iter().map(Vec::len).max().unwrap_or(0);
        for line in 0..lines {
            let parts = cells.iter().zip(&layout.beside).map(|(cell, (column, width))| {
                let part = cell.get(line).map_or("", String::as_str);
                match self.columns[*column].1 {
                    Align::Left => format!("{part:<width$}"),
                    Align::Right => format!("{part:>width$}"),
                }
            });
            writeln!(page, "{}", parts.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }

    /// Writes what found no place beside the rest, each with its heading.
    fn write_below(&self, row: &[String], layout: &Layout, page: &mut dyn Page) -> io::Result<()> {
        let columns = page.columns().unwrap_or(usize::MAX);
        let mut line = String::new();
        for column in layout.below.iter().copied().filter(|column| !row[*column].is_empty()) {
            let heading = self.columns[column].0;
            let cell = if heading.is_empty() { row[column].clone() } else { format!("{heading}: {}", row[column]) };
            if !line.is_empty() && INDENT + page::width(&line) + GAP + page::width(&cell) > columns {
                page::sentence(page, Lead::indent(INDENT), &line)?;
                line.clear();
            }
            if !line.is_empty() {
                line.push_str("  ");
            }
            line.push_str(&cell);
        }
        if line.is_empty() { Ok(()) } else { page::sentence(page, Lead::indent(INDENT), &line) }
    }
}

impl Layout {
    fn width(&self) -> usize {
        let gaps = GAP * self.beside.len().saturating_sub(1);
        gaps + self.beside.iter().map(|(_, width)| width).sum::<usize>()
    }
}

/// A cell as it is, or folded where it is wider than its column.
fn fitted(cell: &str, width: usize) -> Vec<String> {
    if page::width(cell) <= width { vec![cell.to_owned()] } else { page::fold(cell, width) }
}

/// Makes names from a database safe to show: control characters could move the cursor or recolour the terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::{Align, Table};
    use crate::term::page::{Lines, Sheet};

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

    /// What a page of this width shows.
    fn shown(table: &Table, columns: Option<usize>) -> String {
        let mut out = Vec::new();
        table.write(&mut Sheet::new(&mut out, columns, Lines::AsTheyAre)).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn wide() -> Table {
        let columns = ["snapshot", "time", "age", "state"].map(|heading| (heading, Align::Left));
        let mut table = Table::new(&columns).drops("age").lowers("time");
        table.row(
            ["8f21aa07", "2026-11-20 03:00:12 -03", "14 minutes ago", "live, and nothing else is known of it"]
                .map(str::to_owned),
        );
        table
    }

    #[test]
    fn what_was_named_gives_way_first() {
        let table = wide();
        let line = "8f21aa07  2026-11-20 03:00:12 -03  14 minutes ago  live, and nothing else is known of it";
        assert_eq!(shown(&table, None).lines().nth(1), Some(line));
        assert_eq!(shown(&table, Some(120)), shown(&table, None));
        let dropped = "snapshot  time                     state\n\
                       8f21aa07  2026-11-20 03:00:12 -03  live, and nothing else is known of it\n";
        assert_eq!(shown(&table, Some(80)), dropped);
        let lowered =
            "snapshot  state\n8f21aa07  live, and nothing else is known of it\n    time: 2026-11-20 03:00:12 -03\n";
        assert_eq!(shown(&table, Some(60)), lowered);
        let folded = "snapshot  state\n8f21aa07  live, and nothing else is\n          known of it\n    time: 2026-11-20 03:00:12 -03\n";
        assert_eq!(shown(&table, Some(40)), folded);
    }

    #[test]
    fn a_long_word_gets_a_line_of_its_own_and_is_never_cut() {
        let url = "s3://a-bucket-with-a-long-name/and/a/long/prefix?region=sa-east-1";
        let mut table = Table::new(&[("holder", Align::Left), ("name", Align::Left), ("size", Align::Right)]);
        table.row(["cell".into(), url.into(), "12.0 KiB".into()]);
        let text = format!("holder\ncell\n    name:\n    {url}\n    size: 12.0 KiB\n");
        // It stands out, and a terminal that wraps it leaves it whole to whoever copies it.
        assert_eq!(shown(&table, Some(50)), text);
    }

    #[test]
    fn nothing_is_written_for_no_rows() {
        let mut out = Vec::new();
        Table::new(&[("snapshot", Align::Left)]).write(&mut out).unwrap();
        assert!(out.is_empty());
    }
}
