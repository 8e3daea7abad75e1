//! The rows that are left.
//!
//! Comes in: the rows that were searched, in pieces, and a verdict. Goes out: the surviving bytes; rows without a fate are the same byte by byte.
//! Must not know: why a row has its fate.

use zeroize::Zeroize;

use super::verdict::{Fate, Verdict};
use super::{SelectError, json};
use crate::closure::{Change, Edit};
use crate::copy::{escape, fields};
use crate::limits::JSON_BYTES_MAX;

/// What was written of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Bytes that came in.
    pub bytes_in: u64,
    /// Bytes that went out.
    pub bytes_out: u64,
    /// Rows that went away.
    pub deleted: u64,
    /// Rows that changed.
    pub changed: u64,
}

/// Rewrites one run of rows.
#[derive(Debug)]
pub struct Rewriter<'v> {
    fates: &'v [(u64, Fate)],
    /// The row the next byte belongs to.
    row: u64,
    mode: Mode<'v>,
    /// Whether bytes of a row with a fate were seen, and not its end.
    is_within: bool,
    written: Written,
}

#[derive(Debug)]
enum Mode<'v> {
    /// At the start of a row, or within one that stays.
    Copy,
    /// Within a row that goes away.
    Skip,
    /// Within a row that changes.
    Edit(Editor<'v>),
}

#[derive(Debug)]
struct Editor<'v> {
    edits: &'v [Edit],
    field: usize,
    is_escaped: bool,
    /// The raw JSON of the field, if that is what changes.
    held: Vec<u8>,
}

impl<'v> Rewriter<'v> {
    /// Begins a run.
    #[must_use]
    pub fn new(verdict: &'v Verdict) -> Rewriter<'v> {
        let mut rewriter =
            Rewriter { fates: &verdict.fates, row: 0, mode: Mode::Copy, is_within: false, written: Written::default() };
        rewriter.begin_row();
        rewriter
    }

    /// Takes the next piece and appends what is left of it; what is not decided yet comes with a later piece.
    ///
    /// # Errors
    /// JSON that cannot be edited.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), SelectError> {
        let before = out.len();
        let mut rest = piece;
        while !rest.is_empty() {
            self.is_within = !matches!(self.mode, Mode::Copy);
            let taken = match &mut self.mode {
                Mode::Copy => self.copy(rest, out),
                Mode::Skip => self.skip(rest),
                Mode::Edit(editor) => {
                    let (taken, is_over) = editor.push(self.row, rest, out)?;
                    if is_over {
                        self.end_row();
                    }
                    taken
                }
            };
            rest = &rest[taken..];
        }
        self.written.bytes_in += length(piece.len());
        self.written.bytes_out += length(out.len() - before);
        Ok(())
    }

    /// Ends the run.
    ///
    /// # Errors
    /// JSON that cannot be edited, and a run that has fewer rows than the verdict speaks of.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<Written, SelectError> {
        let before = out.len();
        if self.is_within {
            if let Mode::Edit(editor) = &mut self.mode {
                editor.end_field(self.row, out)?;
            }
            self.end_row();
        }
        self.written.bytes_out += length(out.len() - before);
        match self.fates.last() {
            Some((wanted, _)) => Err(SelectError::OtherRows { found: self.row, wanted: *wanted + 1 }),
            None => Ok(self.written),
        }
    }

    /// Copies up to the next row with a fate; gives how many bytes were taken.
    fn copy(&mut self, rest: &[u8], out: &mut Vec<u8>) -> usize {
        let Some((next, _)) = self.fates.first() else {
            out.extend_from_slice(rest);
            return rest.len();
        };
        let mut taken = rest.len();
        for end in memchr::memchr_iter(b'\n', rest) {
            self.row += 1;
            if self.row == *next {
                taken = end + 1;
                break;
            }
        }
        out.extend_from_slice(&rest[..taken]);
        self.begin_row();
        taken
    }

    fn skip(&mut self, rest: &[u8]) -> usize {
        let Some(end) = memchr::memchr(b'\n', rest) else { return rest.len() };
        self.end_row();
        end + 1
    }

    /// Takes up the fate of the row that begins, if it has one.
    fn begin_row(&mut self) {
        self.mode = match self.fates.first() {
            Some((row, fate)) if *row == self.row => match fate {
                Fate::Delete => Mode::Skip,
                Fate::Edit(edits) => Mode::Edit(Editor { edits, field: 0, is_escaped: false, held: Vec::new() }),
            },
            _ => Mode::Copy,
        };
    }

    /// Ends a row that had a fate.
    fn end_row(&mut self) {
        match self.mode {
            Mode::Skip => self.written.deleted += 1,
            Mode::Edit(_) => self.written.changed += 1,
            Mode::Copy => {}
        }
        self.fates = self.fates.get(1..).unwrap_or_default();
        self.row += 1;
        self.is_within = false;
        self.begin_row();
    }
}

impl Editor<'_> {
    fn change(&self) -> Option<&Change> {
        self.edits.iter().find(|edit| edit.field == self.field).map(|edit| &edit.change)
    }

    /// Takes bytes of the row, at most to its end; gives how many, and whether that was the end.
    fn push(&mut self, row: u64, rest: &[u8], out: &mut Vec<u8>) -> Result<(usize, bool), SelectError> {
        let mut at = 0;
        while let Some(byte) = rest.get(at) {
            if self.is_escaped {
                self.is_escaped = false;
                self.keep(row, &rest[at..=at], out)?;
                at += 1;
                continue;
            }
            match byte {
                b'\t' | b'\n' => {
                    self.end_field(row, out)?;
                    out.push(*byte);
                    at += 1;
                    if *byte == b'\n' {
                        return Ok((at, true));
                    }
                    self.field += 1;
                }
                b'\\' => {
                    self.is_escaped = true;
                    self.keep(row, &rest[at..=at], out)?;
                    at += 1;
                }
                _ => {
                    let end = memchr::memchr3(b'\t', b'\n', b'\\', &rest[at..]).map_or(rest.len(), |found| at + found);
                    self.keep(row, &rest[at..end], out)?;
                    at = end;
                }
            }
        }
        Ok((at, false))
    }

    fn keep(&mut self, row: u64, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), SelectError> {
        match self.change() {
            None => out.extend_from_slice(bytes),
            Some(Change::Null | Change::Text(_)) => {}
            Some(Change::JsonNull(_) | Change::JsonRemove(_)) => {
                if self.held.len() + bytes.len() > JSON_BYTES_MAX {
                    return Err(SelectError::LargeJson { row, field: self.field, max: JSON_BYTES_MAX });
                }
                self.held.extend_from_slice(bytes);
            }
        }
        Ok(())
    }

    fn end_field(&mut self, row: u64, out: &mut Vec<u8>) -> Result<(), SelectError> {
        match self.change() {
            None => {}
            Some(Change::Null) => out.extend_from_slice(b"\\N"),
            Some(Change::Text(text)) => escape(text, out),
            Some(Change::JsonNull(_) | Change::JsonRemove(_)) => self.end_json(row, out)?,
        }
        self.held.zeroize();
        Ok(())
    }

    /// Writes the JSON that was held, with all that changes in it.
    fn end_json(&self, row: u64, out: &mut Vec<u8>) -> Result<(), SelectError> {
        let Some(value) = fields(&self.held).next().and_then(|field| field.value()) else {
            out.extend_from_slice(&self.held);
            return Ok(());
        };
        let mut text: Option<Vec<u8>> = None;
        for edit in self.edits.iter().filter(|edit| edit.field == self.field) {
            let (paths, editing) = match &edit.change {
                Change::JsonNull(paths) => (paths, json::Editing::Null),
                Change::JsonRemove(paths) => (paths, json::Editing::Remove),
                Change::Null | Change::Text(_) => continue,
            };
            let current = text.as_deref().unwrap_or(&value);
            let edited = json::edit(current, paths, editing);
            let edited = edited.map_err(|_| SelectError::NotJson { row, field: self.field })?;
            text = edited.or(text);
        }
        match text {
            Some(text) => escape(&text, out),
            None => out.extend_from_slice(&self.held),
        }
        Ok(())
    }
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
