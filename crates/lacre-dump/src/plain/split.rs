//! Splitting the plain SQL of `pg_dump` at its COPY blocks.
//!
//! Comes in: the dump, in pieces cut anywhere. Goes out: [`Piece`]s; the bytes in them, joined in order, are the dump.
//! A block is believed only where `pg_dump` announces one: after its comment `-- Data for Name:`. Text within functions or strings that
//! happens to look like COPY is left alone.

use crate::copy::CopyStatement;
use crate::limits::COPY_STATEMENT_BYTES_MAX;

/// A part of a plain dump.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// SQL, including `COPY` statements and the end markers of their rows.
    Sql(&'a [u8]),
    /// The rows of a table begin.
    CopyBegin(&'a CopyStatement),
    /// Rows, with their newlines.
    Rows(&'a [u8]),
    /// The rows end; the end marker follows as SQL.
    CopyEnd,
}

/// How many bytes of a line decide what it is.
const LINE_HEAD_BYTES: usize = 32;
const MARKER: &[u8; 3] = b"\\.\n";

/// Splits a dump that is pushed piece by piece.
#[derive(Debug, Default)]
pub struct Splitter {
    state: State,
    /// The beginning of the current line of SQL.
    line_head: Vec<u8>,
    /// A `COPY` statement that is not complete yet.
    statement: Vec<u8>,
    /// What may be the beginning of the end marker: at most two bytes at the start of a line of rows.
    held: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Sql,
    /// After the comment that announces data, until the statement.
    Announced,
    /// Within lines that may be a `COPY` statement.
    Statement,
    /// Within rows, at the start of a line.
    RowStart,
    /// Within a row.
    Row,
}

impl Splitter {
    /// Splits a dump from its beginning.
    #[must_use]
    pub fn new() -> Splitter {
        Splitter::default()
    }

    /// Takes the next bytes and tells `sink` the pieces in them.
    pub fn push(&mut self, mut bytes: &[u8], sink: &mut impl FnMut(Piece<'_>)) {
        while !bytes.is_empty() {
            bytes = match self.state {
                State::Sql | State::Announced | State::Statement => self.sql(bytes, sink),
                State::RowStart => self.row_start(bytes, sink),
                State::Row => self.row(bytes, sink),
            };
        }
    }

    /// Ends the dump; tells whether it ended within the rows of a table.
    pub fn finish(self, sink: &mut impl FnMut(Piece<'_>)) -> bool {
        if !self.held.is_empty() {
            sink(Piece::Rows(&self.held));
        }
        matches!(self.state, State::RowStart | State::Row)
    }

    /// Passes SQL on up to the end of a `COPY` statement or of the bytes.
    fn sql<'b>(&mut self, bytes: &'b [u8], sink: &mut impl FnMut(Piece<'_>)) -> &'b [u8] {
        let mut from = 0;
        while let Some(found) = memchr::memchr(b'\n', &bytes[from..]) {
            let end = from + found;
            self.part_of_line(&bytes[from..end]);
            from = end + 1;
            if let Some(statement) = self.line_end() {
                sink(Piece::Sql(&bytes[..from]));
                sink(Piece::CopyBegin(&statement));
                self.state = State::RowStart;
                return &bytes[from..];
            }
        }
        self.part_of_line(&bytes[from..]);
        sink(Piece::Sql(bytes));
        &[]
    }

    fn part_of_line(&mut self, part: &[u8]) {
        let room = LINE_HEAD_BYTES - self.line_head.len();
        self.line_head.extend_from_slice(&part[..room.min(part.len())]);
        if self.state == State::Announced && self.line_head.starts_with(b"COPY ") {
            // The line's head was gathered before it was known to be a statement; what is longer than the head came in this part.
            self.state = State::Statement;
            self.statement.clear();
            let before = self.line_head.len().saturating_sub(room.min(part.len()));
            self.statement.extend_from_slice(&self.line_head[..before]);
        }
        if self.state == State::Statement {
            if self.statement.len() + part.len() > COPY_STATEMENT_BYTES_MAX {
                self.state = State::Sql;
                self.statement = Vec::new();
            } else {
                self.statement.extend_from_slice(part);
            }
        }
    }

    /// Ends a line of SQL; gives the statement if rows follow.
    fn line_end(&mut self) -> Option<CopyStatement> {
        let head = std::mem::take(&mut self.line_head);
        let mut statement = None;
        self.state = match self.state {
            State::Statement => {
                statement = CopyStatement::parse(&self.statement);
                self.statement.push(b'\n'); // a quoted name may go on
                if statement.is_some() { State::RowStart } else { State::Statement }
            }
            _ if head.starts_with(b"-- Data for Name: ") => State::Announced,
            State::Announced if head.is_empty() || head == b"--" || head.starts_with(b"ALTER TABLE ") => {
                State::Announced
            }
            _ => State::Sql,
        };
        self.line_head = head;
        self.line_head.clear();
        statement
    }

    /// At the start of a line of rows: the end marker, or a row.
    fn row_start<'b>(&mut self, bytes: &'b [u8], sink: &mut impl FnMut(Piece<'_>)) -> &'b [u8] {
        let mut taken = 0;
        while self.held.len() < MARKER.len() && bytes.get(taken) == Some(&MARKER[self.held.len()]) {
            self.held.push(MARKER[self.held.len()]);
            taken += 1;
        }
        let rest = &bytes[taken..];
        if self.held == MARKER {
            sink(Piece::CopyEnd);
            sink(Piece::Sql(MARKER));
            self.held.clear();
            self.state = State::Sql;
        } else if !rest.is_empty() {
            self.state = State::Row;
            if taken == self.held.len() {
                self.held.clear();
                return self.row(bytes, sink);
            }
            let held = std::mem::take(&mut self.held);
            sink(Piece::Rows(&held));
        }
        rest
    }

    /// Within a row: passes rows on up to the start of a line that may be the end marker.
    fn row<'b>(&mut self, bytes: &'b [u8], sink: &mut impl FnMut(Piece<'_>)) -> &'b [u8] {
        let marker_line = memchr::memmem::find(bytes, b"\n\\.\n").map(|at| at + 1);
        let (rows, rest) = match marker_line {
            Some(at) => bytes.split_at(at),
            None => {
                // The last bytes may be the beginning of the end marker's line.
                let line =
                    [&b"\n\\."[..], b"\n\\"].iter().find(|start| bytes.ends_with(start)).map_or(0, |s| s.len() - 1);
                bytes.split_at(bytes.len() - line)
            }
        };
        self.state = if rows.ends_with(b"\n") { State::RowStart } else { State::Row };
        sink(Piece::Rows(rows));
        rest
    }
}
