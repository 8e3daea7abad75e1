//! `COPY ... FROM stdin;` statements and SQL identifiers.

use std::fmt;

use crate::limits::{COPY_COLUMNS_MAX, COPY_STATEMENT_BYTES_MAX};

/// A name in SQL, as the bytes it stands for (without quotes).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identifier(Vec<u8>);

impl Identifier {
    /// Takes a name as it is.
    #[must_use]
    pub fn new(name: impl Into<Vec<u8>>) -> Identifier {
        Identifier(name.into())
    }

    /// The name's bytes, in the encoding of the database.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Appends the name in double quotes, which is right for any name.
    pub fn quote(&self, into: &mut Vec<u8>) {
        into.push(b'"');
        for byte in &self.0 {
            if *byte == b'"' {
                into.push(b'"');
            }
            into.push(*byte);
        }
        into.push(b'"');
    }
}

impl fmt::Display for Identifier {
    /// The name for people: not quoted, bytes that are no UTF-8 replaced.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// A `COPY` statement that loads a table from the lines after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyStatement {
    /// The table's schema, if the statement names it.
    pub schema: Option<Identifier>,
    /// The table.
    pub table: Identifier,
    /// The columns in the order of the fields; empty for a table without columns, and where a statement leaves them to the table.
    pub columns: Vec<Identifier>,
}

impl CopyStatement {
    /// Understands the form `COPY [schema.]table [(column, ...)] FROM stdin;`, with any space around it and nothing else.
    ///
    /// Nothing for any other statement, one with options, and one beyond [`COPY_STATEMENT_BYTES_MAX`] or [`COPY_COLUMNS_MAX`].
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<CopyStatement> {
        if text.len() > COPY_STATEMENT_BYTES_MAX {
            return None;
        }
        let mut scan = Scan { rest: text };
        scan.keyword(b"copy")?;
        let first = scan.identifier()?;
        let (schema, table) = if scan.symbol(b'.') { (Some(first), scan.identifier()?) } else { (None, first) };
        let mut columns = Vec::new();
        if scan.symbol(b'(') {
            loop {
                columns.push(scan.identifier()?);
                if columns.len() > COPY_COLUMNS_MAX {
                    return None;
                }
                if !scan.symbol(b',') {
                    break;
                }
            }
            if !scan.symbol(b')') {
                return None;
            }
        }
        scan.keyword(b"from")?;
        scan.keyword(b"stdin")?;
        if !scan.symbol(b';') {
            return None;
        }
        scan.space();
        scan.rest.is_empty().then_some(CopyStatement { schema, table, columns })
    }

    /// The statement with every name quoted, without a newline after it.
    #[must_use]
    pub fn to_sql(&self) -> Vec<u8> {
        let mut sql = b"COPY ".to_vec();
        if let Some(schema) = &self.schema {
            schema.quote(&mut sql);
            sql.push(b'.');
        }
        self.table.quote(&mut sql);
        for (at, column) in self.columns.iter().enumerate() {
            sql.extend_from_slice(if at == 0 { b" (" } else { b", " });
            column.quote(&mut sql);
        }
        if !self.columns.is_empty() {
            sql.push(b')');
        }
        sql.extend_from_slice(b" FROM stdin;");
        sql
    }
}

/// Reads tokens from the front of a text.
struct Scan<'a> {
    rest: &'a [u8],
}

impl Scan<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    fn symbol(&mut self, symbol: u8) -> bool {
        self.space();
        match self.rest.split_first() {
            Some((first, rest)) if *first == symbol => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn keyword(&mut self, lower: &[u8]) -> Option<()> {
        self.space();
        let (word, rest) = self.rest.split_at_checked(lower.len())?;
        let ends = !rest.first().is_some_and(|byte| continues_a_name(*byte));
        (ends && word.eq_ignore_ascii_case(lower)).then(|| self.rest = rest)
    }

    fn identifier(&mut self) -> Option<Identifier> {
        self.space();
        if let Some(quoted) = self.rest.strip_prefix(b"\"") {
            return self.quoted(quoted);
        }
        let len = self.rest.iter().take_while(|byte| continues_a_name(**byte)).count();
        let (name, rest) = self.rest.split_at(len);
        let first = name.first()?;
        if first.is_ascii_digit() || *first == b'$' {
            return None;
        }
        self.rest = rest;
        Some(Identifier(name.to_ascii_lowercase()))
    }

    fn quoted(&mut self, mut rest: &[u8]) -> Option<Identifier> {
        let mut name = Vec::new();
        loop {
            let end = memchr::memchr(b'"', rest)?;
            name.extend_from_slice(&rest[..end]);
            let after = rest.len() - end - 1;
            match rest[end + 1..].strip_prefix(b"\"") {
                Some(more) => {
                    name.push(b'"');
                    rest = more;
                }
                None => {
                    self.rest = self.rest.split_at(self.rest.len() - after).1;
                    return (!name.is_empty()).then_some(Identifier(name));
                }
            }
        }
    }
}

/// Whether `byte` can stand within an unquoted name.
const fn continues_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(columns: &[Identifier]) -> Vec<String> {
        columns.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_forms_pg_dump_writes_are_understood() {
        let copy = CopyStatement::parse(b"COPY public.users (id, \"e-mail\", \"a\"\"b\") FROM stdin;\n").unwrap();
        assert_eq!((copy.schema, copy.table), (Some(Identifier::new("public")), Identifier::new("users")));
        assert_eq!(names(&copy.columns), ["id", "e-mail", "a\"b"]);

        let copy = CopyStatement::parse(b"COPY public.nothing  FROM stdin;\n").unwrap();
        assert!(copy.columns.is_empty());

        let copy =
            CopyStatement::parse("COPY \"S. x\".\"a\nb;) FROM stdin;\" (\"é\", ñandú) FROM stdin;".as_bytes()).unwrap();
        assert_eq!(copy.table, Identifier::new("a\nb;) FROM stdin;"));
        assert_eq!(names(&copy.columns), ["é", "ñandú"]);
        assert_eq!(CopyStatement::parse(&copy.to_sql()), Some(copy));

        let copy = CopyStatement::parse(b"copy Users from STDIN ;").unwrap();
        assert_eq!((copy.schema, copy.table), (None, Identifier::new("users")));
    }

    #[test]
    fn other_statements_are_not() {
        for text in [
            &b""[..],
            b"COPY",
            b"COPY t FROM stdin",
            b"COPY t FROM 'file';",
            b"COPY t () FROM stdin;",
            b"COPY t (a,) FROM stdin;",
            b"COPY t (a FROM stdin;",
            b"COPY \"t FROM stdin;",
            b"COPY \"\" FROM stdin;",
            b"COPY 1t FROM stdin;",
            b"COPY a.b.c FROM stdin;",
            b"COPY t FROM stdin; DROP TABLE t;",
            b"COPYt FROM stdin;",
            b"COPY t FROM stdin WITH (FORMAT csv);",
            b"COPY (SELECT 1) TO stdout;",
        ] {
            assert_eq!(CopyStatement::parse(text), None, "{}", String::from_utf8_lossy(text));
        }
    }
}
