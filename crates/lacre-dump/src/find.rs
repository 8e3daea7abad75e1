//! Finding rows by the values of columns.
//!
//! Comes in: a table's columns, conditions as a person types them, COPY text. Goes out: the rows that match, whole and in order. Values are
//! compared as their type spells them (`007` finds the number 7, a UUID in capitals its row). Must not know: where rows come from.

use memchr::memmem;

use crate::{
    copy::{self, Identifier},
    schema::{Canon, Table},
};

/// A column must have a value, or be NULL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The column.
    pub column: Identifier,
    /// Its value, as SQL shows it; nothing for NULL.
    pub value: Option<Vec<u8>>,
}

/// The line that ends a table's rows.
const END_MARKER: &[u8] = b"\\.\n";

/// A condition names a column that the table does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no column {column}; the columns are {known}")]
pub struct NoSuchColumn {
    /// The name as typed.
    pub column: String,
    /// The columns there are.
    pub known: String,
}

/// Looks for rows that meet every condition.
#[derive(Debug)]
pub struct Finder {
    tests: Vec<Test>,
    /// Fields of every row: what has another number of them is what ends the rows.
    fields: usize,
    /// Bytes that every match contains: rows without them are not even taken apart.
    needle: Option<memmem::Finder<'static>>,
}

#[derive(Debug)]
struct Test {
    field: usize,
    canon: Canon,
    value: Option<Vec<u8>>,
}

impl Finder {
    /// Prepares a search in rows whose fields are `columns`; the table, where its definition is known, tells how values are spelled.
    ///
    /// # Errors
    /// [`NoSuchColumn`].
    pub fn new(columns: &[Identifier], table: Option<&Table>, wanted: &[Condition]) -> Result<Finder, NoSuchColumn> {
        let mut tests = Vec::new();
        for condition in wanted {
            let found = columns.iter().position(|column| *column == condition.column);
            let field = found.ok_or_else(|| NoSuchColumn {
                column: condition.column.to_string(),
                known: columns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            })?;
            let column = table.and_then(|table| table.column(&condition.column));
            let canon = column.map_or(Canon::Exact, |column| column.type_name.canon());
            let value = condition.value.as_ref().map(|value| canon.apply(value).into_owned());
            tests.push(Test { field, canon, value });
        }
        let longest = tests.iter().filter_map(Test::needle).max_by_key(Vec::len);
        let needle = longest.map(|needle| memmem::Finder::new(&needle).into_owned());
        // A row of a table without columns is an empty line, which reads as one field.
        Ok(Finder { tests, fields: columns.len().max(1), needle })
    }

    /// The rows of `content`, which holds whole rows and perhaps their end marker, that meet every condition, with their newlines.
    #[must_use]
    pub fn find<'c>(&self, content: &'c [u8]) -> Vec<&'c [u8]> {
        let content = before_end_marker(content);
        let Some(needle) = &self.needle else {
            let all = content.split_inclusive(|byte| *byte == b'\n');
            return all.filter(|row| self.matches(row)).collect();
        };
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(at) = content.get(from..).and_then(|rest| needle.find(rest)).map(|at| from + at) {
            let start = memchr::memrchr(b'\n', &content[..at]).map_or(0, |before| before + 1);
            let end = memchr::memchr(b'\n', &content[at..]).map_or(content.len(), |after| at + after + 1);
            let row = &content[start..end];
            if self.matches(row) {
                found.push(row);
            }
            from = end;
        }
        found
    }

    fn matches(&self, row: &[u8]) -> bool {
        let row = row.strip_suffix(b"\n").unwrap_or(row);
        let fields: Vec<copy::Field<'_>> = copy::fields(row).collect();
        fields.len() == self.fields
            && self.tests.iter().all(|test| fields.get(test.field).is_some_and(|field| test.holds(*field)))
    }
}

/// What stands before the line that ends a table's rows in the archive; no value of a row is written as that line is.
fn before_end_marker(content: &[u8]) -> &[u8] {
    if content.starts_with(END_MARKER) {
        return &[];
    }
    let line = [b"\n", END_MARKER].concat();
    memmem::find(content, &line).and_then(|at| content.get(..=at)).unwrap_or(content)
}

impl Test {
    fn holds(&self, field: copy::Field<'_>) -> bool {
        match (field.value(), &self.value) {
            (None, None) => true,
            (Some(found), Some(wanted)) => self.canon.apply(&found).as_ref() == wanted.as_slice(),
            _ => false,
        }
    }

    /// What a row must contain to hold the value, where its type has one spelling only.
    fn needle(&self) -> Option<Vec<u8>> {
        let value = self.value.as_ref().filter(|value| !value.is_empty())?;
        match self.canon {
            Canon::Exact => {
                let mut escaped = Vec::new();
                copy::escape(value, &mut escaped);
                Some(escaped)
            }
            // A number's shortest spelling is part of all others.
            Canon::Number if value.iter().all(u8::is_ascii_digit) => Some(value.clone()),
            Canon::Uuid if value.len() == 32 => {
                let parts = [&value[..8], &value[8..12], &value[12..16], &value[16..20], &value[20..]];
                Some(parts.join(&b'-'))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &[u8] = b"1\tana\t\\N\n12\ttab\\there\t\n21\tana maria\tx\n";

    fn columns() -> Vec<Identifier> {
        ["id", "name", "note"].map(Identifier::new).to_vec()
    }

    fn found(column: &str, value: Option<&str>) -> Vec<Vec<u8>> {
        let value = value.map(|value| value.as_bytes().to_vec());
        let condition = Condition { column: Identifier::new(column), value };
        let finder = Finder::new(&columns(), None, &[condition]).unwrap();
        finder.find(ROWS).into_iter().map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn whole_values_count_and_null_is_none_of_them() {
        assert_eq!(found("id", Some("1")), [b"1\tana\t\\N\n".to_vec()]);
        assert_eq!(found("name", Some("ana")).len(), 1);
        assert_eq!(found("name", Some("tab\there")).len(), 1);
        assert_eq!(found("note", None), [b"1\tana\t\\N\n".to_vec()]);
        assert_eq!(found("note", Some("")), [b"12\ttab\\there\t\n".to_vec()]);
        assert_eq!(found("note", Some("\\N")), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn what_ends_the_rows_is_no_row() {
        let none = Finder::new(&columns(), None, &[]).unwrap();
        let ended = [ROWS, b"\\.\n\n\n"].concat();
        assert_eq!(none.find(&ended).len(), 3);
        // The marker's own lines may come apart from it.
        assert!(none.find(b"\\.\n\n\n").is_empty() && none.find(b"\n\n").is_empty());
        // In a table of one column an empty line is an empty text, and a text of the marker's is written otherwise.
        let one = Finder::new(&[Identifier::new("a")], None, &[]).unwrap();
        assert_eq!(one.find(b"x\n\n\\\\.\n\\.\n\n\n"), [&b"x\n"[..], b"\n", b"\\\\.\n"]);
        let empty = Condition { column: Identifier::new("id"), value: Some(Vec::new()) };
        assert!(Finder::new(&columns(), None, &[empty]).unwrap().find(&ended).is_empty());
        // A table without columns has rows, too.
        assert_eq!(Finder::new(&[], None, &[]).unwrap().find(b"\n\n\\.\n\n\n").len(), 2);
    }

    #[test]
    fn every_condition_must_hold_and_columns_must_be_there() {
        let condition = |column: &str, value: &str| Condition {
            column: Identifier::new(column),
            value: Some(value.as_bytes().to_vec()),
        };
        let both = [condition("id", "21"), condition("note", "x")];
        assert_eq!(Finder::new(&columns(), None, &both).unwrap().find(ROWS).len(), 1);
        let one = [condition("id", "21"), condition("note", "y")];
        assert!(Finder::new(&columns(), None, &one).unwrap().find(ROWS).is_empty());
        let error = Finder::new(&columns(), None, &[condition("idd", "1")]).unwrap_err();
        assert_eq!(error.to_string(), "there is no column idd; the columns are id, name, note");
        assert_eq!(Finder::new(&columns(), None, &[]).unwrap().find(ROWS).len(), 3);
    }
}
