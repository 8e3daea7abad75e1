//! What a stream is by its first bytes, and whether its last bytes are the ones that format ends with.

use std::fmt;

use memchr::memmem;

use crate::limits::{SNIFF_HEAD_BYTES, SNIFF_TAIL_BYTES};

/// What a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Nothing at all.
    Empty,
    /// A PostgreSQL archive; see [`crate::archive::sniff`] for whether it can be taken apart.
    PostgresArchive,
    /// The plain SQL of `pg_dump`.
    PostgresPlain,
    /// The plain SQL of `pg_dumpall`.
    PostgresCluster,
    /// The SQL of `mysqldump` or `mariadb-dump`.
    Mysql,
    /// The SQL of `sqlite3 .dump`.
    Sqlite,
    /// Other text in lines: CSV, JSON lines, SQL of another tool.
    Lines,
    /// Bytes already compressed or encrypted, with the name of what did it.
    Packed(&'static str),
    /// Any other bytes.
    Binary,
}

impl Format {
    /// Whether the stream is best cut at line ends.
    #[must_use]
    pub const fn is_lines(self) -> bool {
        matches!(self, Format::PostgresPlain | Format::PostgresCluster | Format::Mysql | Format::Sqlite | Format::Lines)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Empty => "nothing",
            Format::PostgresArchive => "a PostgreSQL archive",
            Format::PostgresPlain => "a plain pg_dump",
            Format::PostgresCluster => "a plain pg_dumpall",
            Format::Mysql => "a MySQL or MariaDB dump",
            Format::Sqlite => "an SQLite dump",
            Format::Lines => "lines of text",
            Format::Packed(name) => name,
            Format::Binary => "binary data",
        })
    }
}

/// The first bytes of formats that gain nothing from compression or deduplication.
const PACKED: [(&[u8], &str); 9] = [
    (b"\x1f\x8b", "gzip data"),
    (b"\x28\xb5\x2f\xfd", "zstd data"),
    (b"\xfd7zXZ\x00", "xz data"),
    (b"BZh", "bzip2 data"),
    (b"\x04\x22\x4d\x18", "lz4 data"),
    (b"PK\x03\x04", "a zip file"),
    (b"age-encryption.org/", "an age file"),
    (b"-----BEGIN AGE ENCRYPTED FILE-----", "an age file"),
    (b"-----BEGIN PGP MESSAGE-----", "an OpenPGP message"),
];

/// Tells what a stream is from its first bytes; [`SNIFF_HEAD_BYTES`] of them, or all if there are fewer, give the best answer.
#[must_use]
pub fn sniff(head: &[u8]) -> Format {
    let head = &head[..head.len().min(SNIFF_HEAD_BYTES)];
    if head.is_empty() {
        return Format::Empty;
    }
    if head.starts_with(b"PGDMP") {
        return Format::PostgresArchive;
    }
    if let Some((_, name)) = PACKED.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Format::Packed(name);
    }
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end).filter(|line| !line.is_empty());
    let first: [&[u8]; 4] = std::array::from_fn(|_| lines.next().unwrap_or_default());
    match first {
        [b"--", b"-- PostgreSQL database dump", ..] => return Format::PostgresPlain,
        [b"--", b"-- PostgreSQL database cluster dump", ..] => return Format::PostgresCluster,
        [b"PRAGMA foreign_keys=OFF;", b"BEGIN TRANSACTION;", ..] => return Format::Sqlite,
        _ => {}
    }
    if first.iter().any(|line| line.starts_with(b"-- MySQL dump ") || line.starts_with(b"-- MariaDB dump ")) {
        return Format::Mysql;
    }
    if is_text(head) { Format::Lines } else { Format::Binary }
}

/// Text has line ends, no NUL, and hardly any other control characters; its encoding does not matter.
fn is_text(head: &[u8]) -> bool {
    let odd = |byte: &&u8| matches!(**byte, 0x01..=0x08 | 0x0e..=0x1a | 0x1c..=0x1f | 0x7f);
    let has_lines = head.len() < SNIFF_HEAD_BYTES || memchr::memchr(b'\n', head).is_some();
    has_lines && memchr::memchr(0, head).is_none() && head.iter().filter(odd).count() * 200 <= head.len()
}

/// Whether a stream ended as its format must.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The last bytes are the ones a complete dump of this format ends with.
    Complete,
    /// They are not; the text says what is missing.
    Incomplete(&'static str),
    /// The format has no end that could be recognised here.
    Unknown,
}

/// Watches a stream for its first and last bytes.
#[derive(Debug, Clone, Default)]
pub struct EndCheck {
    head: Vec<u8>,
    tail: Vec<u8>,
    bytes: u64,
}

impl EndCheck {
    /// Watches a stream from its beginning.
    #[must_use]
    pub fn new() -> EndCheck {
        EndCheck::default()
    }

    /// Takes the next piece.
    pub fn push(&mut self, piece: &[u8]) {
        self.bytes = self.bytes.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        let room = SNIFF_HEAD_BYTES - self.head.len();
        self.head.extend_from_slice(&piece[..room.min(piece.len())]);
        let recent = &piece[piece.len().saturating_sub(SNIFF_TAIL_BYTES)..];
        let surplus = (self.tail.len() + recent.len()).saturating_sub(SNIFF_TAIL_BYTES);
        self.tail.drain(..surplus.min(self.tail.len()));
        self.tail.extend_from_slice(recent);
    }

    /// What the stream is, as far as it was seen.
    #[must_use]
    pub fn format(&self) -> Format {
        sniff(&self.head)
    }

    /// Bytes seen.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What the stream was and whether it ended as it should.
    #[must_use]
    pub fn finish(&self) -> (Format, Verdict) {
        let format = self.format();
        let verdict = match format {
            Format::Empty => Verdict::Incomplete("there is nothing in it"),
            Format::PostgresPlain if self.ends_with_note(b"-- PostgreSQL database dump complete") => Verdict::Complete,
            Format::PostgresPlain => Verdict::Incomplete("the line \"PostgreSQL database dump complete\" is missing"),
            Format::PostgresCluster if self.ends_with_note(b"-- PostgreSQL database cluster dump complete") => {
                Verdict::Complete
            }
            Format::PostgresCluster => {
                Verdict::Incomplete("the line \"PostgreSQL database cluster dump complete\" is missing")
            }
            Format::Mysql if self.ends_with_note(b"-- Dump completed") => Verdict::Complete,
            Format::Mysql => Verdict::Incomplete("the line \"Dump completed\" is missing"),
            Format::Sqlite if self.tail.ends_with(b"\nCOMMIT;\n") => Verdict::Complete,
            Format::Sqlite => Verdict::Incomplete("the last line is not COMMIT"),
            Format::PostgresArchive | Format::Lines | Format::Packed(_) | Format::Binary => Verdict::Unknown,
        };
        (format, verdict)
    }

    /// Whether a line beginning with `note` is followed only by empty comments, empty lines and `\unrestrict`, to the last line's end.
    fn ends_with_note(&self, note: &[u8]) -> bool {
        let Some(at) = memmem::rfind(&self.tail, note) else { return false };
        let starts_line = at == 0 || self.tail[at - 1] == b'\n';
        if !starts_line || !self.tail.ends_with(b"\n") {
            return false;
        }
        let after = self.tail[at..].split(|byte| *byte == b'\n').skip(1).map(<[u8]>::trim_ascii_end);
        let allowed = |line: &[u8]| line.is_empty() || line == b"--" || line.starts_with(b"\\unrestrict ");
        after.into_iter().all(allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &[u8]) -> (Format, Verdict) {
        let mut whole = EndCheck::new();
        whole.push(text);
        for size in [1, 5, 4096] {
            let mut pieces = EndCheck::new();
            text.chunks(size).for_each(|piece| pieces.push(piece));
            assert_eq!(pieces.finish(), whole.finish());
            assert_eq!(pieces.bytes(), whole.bytes());
        }
        whole.finish()
    }

    #[test]
    fn a_plain_dump_must_say_it_is_complete() {
        let dump =
            b"--\n-- PostgreSQL database dump\n--\n\nSELECT 1;\n\n--\n-- PostgreSQL database dump complete\n--\n\n";
        assert_eq!(check(dump), (Format::PostgresPlain, Verdict::Complete));
        let restricted = [&dump[..], b"\\unrestrict abc\n\n"].concat();
        assert_eq!(check(&restricted).1, Verdict::Complete);
        for end in [dump.len() - 6, dump.len() - 30, 40] {
            assert!(matches!(check(&dump[..end]).1, Verdict::Incomplete(_)), "cut at {end}");
        }
        let more = [&dump[..], b"SELECT 2;\n"].concat();
        assert!(matches!(check(&more).1, Verdict::Incomplete(_)));
    }

    #[test]
    fn a_cluster_dump_ends_with_its_own_line() {
        let part = b"--\n-- PostgreSQL database cluster dump\n--\n\n--\n-- PostgreSQL database dump complete\n--\n\n";
        assert!(matches!(check(part), (Format::PostgresCluster, Verdict::Incomplete(_))));
        let whole = [&part[..], b"--\n-- PostgreSQL database cluster dump complete\n--\n\n"].concat();
        assert_eq!(check(&whole).1, Verdict::Complete);
    }

    #[test]
    fn a_mysql_dump_says_when_it_completed() {
        let head = b"/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump 10.19-11.4.2-MariaDB, for Linux (x86_64)\n--\n";
        assert!(matches!(check(head), (Format::Mysql, Verdict::Incomplete(_))));
        let dated = [&head[..], b"INSERT;\n-- Dump completed on 2026-11-22  1:02:03\n"].concat();
        assert_eq!(check(&dated), (Format::Mysql, Verdict::Complete));
        let undated = [&b"-- MySQL dump 10.13  Distrib 8.4.0\n"[..], b"-- Dump completed\n"].concat();
        assert_eq!(check(&undated), (Format::Mysql, Verdict::Complete));
        assert!(matches!(check(&dated[..dated.len() - 1]).1, Verdict::Incomplete(_)));
    }

    #[test]
    fn other_streams_are_told_apart() {
        assert_eq!(check(b""), (Format::Empty, Verdict::Incomplete("there is nothing in it")));
        assert_eq!(check(b"PGDMP\x01\x0e\x00").0, Format::PostgresArchive);
        assert_eq!(check(b"a,b\n1,2\n"), (Format::Lines, Verdict::Unknown));
        assert_eq!(check("nome,cidade\nJoão,São Paulo\n".as_bytes()).0, Format::Lines);
        assert_eq!(check(b"J\xe3o\n\x1b[0m\n").0, Format::Lines);
        assert_eq!(check(b"\x1f\x8b\x08\x00").0, Format::Packed("gzip data"));
        assert_eq!(check(b"SQLite format 3\x00").0, Format::Binary);
        assert_eq!(check(&vec![b'a'; SNIFF_HEAD_BYTES + 1]).0, Format::Binary);
        assert_eq!(
            check(b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCOMMIT;\n"),
            (Format::Sqlite, Verdict::Complete)
        );
    }
}
