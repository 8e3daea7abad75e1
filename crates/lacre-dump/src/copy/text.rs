//! Rows, fields and values of COPY text.

use std::borrow::Cow;

/// The rows in `content`, in order, without their newlines; ends at the end marker if there is one.
///
/// A last line without a newline is a row too. PostgreSQL never writes a raw newline within a row; input made by hand may, after a
/// backslash, and [`splits_a_row`] tells.
#[must_use]
pub fn rows(content: &[u8]) -> Rows<'_> {
    Rows { rest: content }
}

/// Iterator over rows, see [`rows`].
#[derive(Debug, Clone)]
pub struct Rows<'a> {
    rest: &'a [u8],
}

impl<'a> Rows<'a> {
    /// What follows the rows given so far; after the last one, the end marker and whatever is behind it.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let (row, rest) = match memchr::memchr(b'\n', self.rest) {
            Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
            None => (self.rest, &[] as &[u8]),
        };
        if row == b"\\." {
            return None;
        }
        self.rest = rest;
        Some(row)
    }
}

/// Whether the newline after this row belongs to a value, because a backslash stands before it.
///
/// Such a "row" is only the first part of one; nothing that PostgreSQL wrote has any.
#[must_use]
pub fn splits_a_row(row: &[u8]) -> bool {
    let backslashes = row.iter().rev().take_while(|byte| **byte == b'\\').count();
    backslashes % 2 == 1
}

/// The fields of a row; an empty row gives one empty field, which a table without columns does not have.
#[must_use]
pub fn fields(row: &[u8]) -> Fields<'_> {
    Fields { rest: Some(row) }
}

/// Iterator over fields, see [`fields`].
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let row = self.rest?;
        let mut from = 0;
        loop {
            let Some(found) = row.get(from..).and_then(|rest| memchr::memchr2(b'\t', b'\\', rest)) else {
                self.rest = None;
                return Some(Field { raw: row });
            };
            let at = from + found;
            if row[at] == b'\t' {
                self.rest = Some(&row[at + 1..]);
                return Some(Field { raw: &row[..at] });
            }
            from = at + 2; // the byte after a backslash never separates
        }
    }
}

/// One field of a row, still escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    raw: &'a [u8],
}

impl<'a> Field<'a> {
    /// The field as it stands in the row.
    #[must_use]
    pub fn raw(self) -> &'a [u8] {
        self.raw
    }

    /// The field's value; nothing for NULL.
    #[must_use]
    pub fn value(self) -> Option<Cow<'a, [u8]>> {
        if self.raw == b"\\N" { None } else { Some(unescape(self.raw)) }
    }
}

fn unescape(raw: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memchr(b'\\', raw) else { return Cow::Borrowed(raw) };
    let mut value = Vec::with_capacity(raw.len());
    value.extend_from_slice(&raw[..first]);
    let mut rest = &raw[first..];
    while let Some((byte, after)) = rest.split_first() {
        if *byte != b'\\' {
            let end = memchr::memchr(b'\\', rest).unwrap_or(rest.len());
            value.extend_from_slice(&rest[..end]);
            rest = &rest[end..];
            continue;
        }
        // A backslash at the very end says nothing, as in PostgreSQL.
        let Some((code, after)) = after.split_first() else { break };
        let (byte, after) = match code {
            b'b' => (0x08, after),
            b'f' => (0x0c, after),
            b'n' => (b'\n', after),
            b'r' => (b'\r', after),
            b't' => (b'\t', after),
            b'v' => (0x0b, after),
            b'0'..=b'7' => digits::<8>(code - b'0', after, 2),
            b'x' => match after.split_first().and_then(|(digit, after)| Some((hex(*digit)?, after))) {
                Some((digit, after)) => digits::<16>(digit, after, 1),
                None => (b'x', after),
            },
            other => (*other, after),
        };
        value.push(byte);
        rest = after;
    }
    Cow::Owned(value)
}

/// Up to `more` further digits of base `BASE`; only the low eight bits count, as in PostgreSQL.
fn digits<const BASE: u8>(first: u8, mut rest: &[u8], more: u32) -> (u8, &[u8]) {
    let mut byte = first;
    for _ in 0..more {
        let Some((digit, after)) = rest.split_first().and_then(|(digit, after)| Some((hex(*digit)?, after))) else {
            break;
        };
        if digit >= BASE {
            break;
        }
        byte = byte.wrapping_mul(BASE).wrapping_add(digit);
        rest = after;
    }
    (byte, rest)
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Appends a value as PostgreSQL writes it.
pub fn escape(value: &[u8], into: &mut Vec<u8>) {
    for byte in value {
        let code = match byte {
            0x08 => b'b',
            0x0c => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x0b => b'v',
            b'\\' => b'\\',
            plain => {
                into.push(*plain);
                continue;
            }
        };
        into.extend_from_slice(&[b'\\', code]);
    }
}

/// Appends a whole row with its newline; a value of nothing is NULL.
pub fn write_row<'v>(values: impl IntoIterator<Item = Option<&'v [u8]>>, into: &mut Vec<u8>) {
    for (at, value) in values.into_iter().enumerate() {
        if at > 0 {
            into.push(b'\t');
        }
        match value {
            Some(value) => escape(value, into),
            None => into.extend_from_slice(b"\\N"),
        }
    }
    into.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(row: &[u8]) -> Vec<Option<Vec<u8>>> {
        fields(row).map(|field| field.value().map(Cow::into_owned)).collect()
    }

    fn some(value: &[u8]) -> Option<Vec<u8>> {
        Some(value.to_vec())
    }

    #[test]
    fn null_is_the_whole_field_only() {
        assert_eq!(values(b"\\N\t\\\\N\tx\\N\t"), [None, some(b"\\N"), some(b"xN"), some(b"")]);
    }

    #[test]
    fn every_escape_is_understood() {
        assert_eq!(values(b"\\b\\f\\n\\r\\t\\v\\\\"), [some(b"\x08\x0c\n\r\t\x0b\\")]);
        assert_eq!(values(b"\\101\\1012\\7\\08\\x41\\x4g\\xg\\x414\\q\\."), [some(b"AA2\x07\x008A\x04gxgA4q.")]);
        assert_eq!(values(b"\\777"), [some(b"\xff")]);
        assert_eq!(values(b"a\\"), [some(b"a")]);
        assert_eq!(values(b"a\\\tb\tc"), [some(b"a\tb"), some(b"c")]);
    }

    #[test]
    fn rows_end_at_the_end_marker() {
        let mut iter = rows(b"a\n\n\\\\.\n\\.\n\n\n");
        assert_eq!(iter.by_ref().collect::<Vec<_>>(), [&b"a"[..], b"", b"\\\\."]);
        assert_eq!(iter.rest(), b"\\.\n\n\n");
        assert_eq!(rows(b"a\nb").collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(rows(b"").count(), 0);
        assert_eq!(rows(b"\\.").count(), 0);
    }

    #[test]
    fn a_row_split_by_an_escaped_newline_is_told() {
        assert!(splits_a_row(b"a\\"));
        assert!(!splits_a_row(b"a\\\\"));
        assert!(!splits_a_row(b""));
    }
}
