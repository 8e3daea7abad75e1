//! A page of text: what results are written on, and how wide it is when a person looks at it.
//!
//! In: a writer and, on a terminal, its width. Out: sentences that end before the edge. On a pipe a line stays one line, so that what
//! looks for a word finds all that is said of it. It must not know what is written.

use std::{
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
};

use owo_colors::OwoColorize as _;

/// The width of a terminal that does not say how wide it is.
const COLUMNS_UNKNOWN: usize = 80;

/// Nothing is laid out for less: below, the terminal itself breaks the lines.
const COLUMNS_MIN: usize = 40;

/// How far the rest of a sentence is moved in.
const CONTINUED: usize = 2;

/// What holds words of a command together.
const QUOTES: [char; 2] = ['"', '\''];

/// Words that may follow `lacre` in a command before its first flag, name or address.
const COMMAND_WORDS: usize = 3;

/// Text for people.
pub trait Page: Write {
    /// Columns of the terminal; none when nobody looks.
    fn columns(&self) -> Option<usize>;
}

/// What becomes of a line that is wider than the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// It goes on below, moved in: sentences.
    Folded,
    /// It is left to the terminal: what is copied, or read by programs as it stands.
    AsTheyAre,
}

/// A writer together with the width of the terminal behind it.
#[derive(Debug)]
pub struct Sheet<W> {
    writer: W,
    columns: Option<usize>,
    lines: Lines,
    /// A line that has not ended yet.
    line: Vec<u8>,
}

impl<W: Write> Sheet<W> {
    /// Takes a writer for a page of this width.
    pub fn new(writer: W, columns: Option<usize>, lines: Lines) -> Sheet<W> {
        Sheet { writer, columns, lines, line: Vec::new() }
    }

    /// Writes a line that ended; one with colours was laid out by whoever coloured it.
    fn write_line(&mut self, columns: usize) -> io::Result<()> {
        let line = std::mem::take(&mut self.line);
        let text = std::str::from_utf8(&line).ok().map(|text| text.trim_end_matches('\n'));
        let Some(text) = text.filter(|text| width(text) > columns && !text.contains('\u{1b}')) else {
            return self.writer.write_all(&line);
        };
        let said = text.trim_start_matches(' ');
        let indent = text.len() - said.len();
        let below = indent + CONTINUED;
        for (at, part) in fold(said, columns.saturating_sub(below).max(1)).iter().enumerate() {
            writeln!(self.writer, "{:1$}{part}", "", if at == 0 { indent } else { below })?;
        }
        Ok(())
    }
}

impl<W: Write> Write for Sheet<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(columns) = self.columns.filter(|_| self.lines == Lines::Folded) else {
            return self.writer.write(bytes);
        };
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.write_line(columns)?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.line);
        self.writer.write_all(&line)?;
        self.writer.flush()
    }
}

impl<W: Write> Page for Sheet<W> {
    fn columns(&self) -> Option<usize> {
        self.columns
    }
}

/// What is collected in memory is looked at by nobody.
impl Page for Vec<u8> {
    fn columns(&self) -> Option<usize> {
        None
    }
}

/// Columns of a terminal, and none of anything else.
pub fn columns(stream: &(impl IsTerminal + AsFd)) -> Option<usize> {
    if !stream.is_terminal() {
        return None;
    }
    let told = rustix::termios::tcgetwinsize(stream).map_or(0, |size| usize::from(size.ws_col));
    Some(if told == 0 { COLUMNS_UNKNOWN } else { told.max(COLUMNS_MIN) })
}

/// Writes a sentence after a coloured or plain lead; what does not fit goes on below its beginning.
///
/// # Errors
/// Those of the writer.
pub fn sentence(page: &mut dyn Page, lead: Lead<'_>, text: &str) -> io::Result<()> {
    let indent = lead.columns;
    let Some(columns) = page.columns() else {
        return writeln!(page, "{}{text}", lead.shown);
    };
    let room = columns.saturating_sub(indent).max(1);
    for (at, line) in text.split('\n').flat_map(|line| fold(line, room)).enumerate() {
        if at == 0 {
            writeln!(page, "{}{line}", lead.shown)?;
        } else {
            writeln!(page, "{:indent$}{line}", "")?;
        }
    }
    Ok(())
}

/// Writes what to do next, this many columns from the edge.
///
/// # Errors
/// Those of the writer.
pub fn hint(page: &mut dyn Page, indent: usize, text: &str) -> io::Result<()> {
    let word = "hint:";
    let shown = format!("{:indent$}{} ", "", word.cyan());
    sentence(page, Lead { shown: &shown, columns: indent + width(word) + 1 }, text)
}

/// What stands before a sentence, and how many columns it takes: colours take none.
#[derive(Clone, Copy, Debug)]
pub struct Lead<'a> {
    /// What is written.
    pub shown: &'a str,
    /// Columns of it.
    pub columns: usize,
}

impl<'a> Lead<'a> {
    /// A lead without colours, with the space after it.
    pub fn plain(text: &'a str) -> Lead<'a> {
        Lead { shown: text, columns: width(text) }
    }

    /// Spaces only.
    pub fn indent(columns: usize) -> Lead<'static> {
        const SPACES: &str = "                                        ";
        let shown = SPACES.get(..columns).unwrap_or(SPACES);
        Lead { shown, columns: shown.len() }
    }
}

/// Columns that a text takes.
pub fn width(text: &str) -> usize {
    text.chars().count()
}

/// Breaks a text between its words into lines of at most this many columns; a command, and a word that is longer, stays whole.
pub fn fold(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for piece in pieces(text) {
        if !line.is_empty() && width(&line) + width(piece.trim_end()) > columns {
            lines.push(line.trim_end().to_owned());
            line.clear();
        }
        line.push_str(piece);
    }
    lines.push(line.trim_end().to_owned());
    lines
}

/// The widest part of a text that is never broken, in columns.
pub fn widest_piece(text: &str) -> usize {
    pieces(text).into_iter().map(|piece| width(piece.trim_end())).max().unwrap_or(0)
}

/// Cuts a text into what must stay on one line, each with the spaces after it.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut command = Command::default();
    let mut words = text.split_inclusive(' ').peekable();
    let mut end = 0;
    while let Some(word) = words.next() {
        end += word.len();
        command.read(word.trim_end());
        let next = words.peek().copied().unwrap_or_default();
        // A space after a space belongs to the piece that ends there.
        if next == " " || command.goes_on(next.trim_end()) {
            continue;
        }
        pieces.push(&text[start..end]);
        start = end;
    }
    if start < end {
        pieces.push(&text[start..end]);
    }
    pieces
}

/// How far a command has been read: a person copies it in one go.
#[derive(Debug, Default)]
struct Command {
    inside: bool,
    quoted: bool,
    flagged: bool,
    words: usize,
}

impl Command {
    fn read(&mut self, word: &str) {
        if !self.inside && word.trim_start_matches(['(', '`', '\'', '"']) == "lacre" {
            *self = Command { inside: true, ..Command::default() };
            return;
        }
        if !self.inside {
            return;
        }
        self.words += 1;
        let word_ends = word.trim_end_matches([',', ';', ':', ')', '`']);
        let (opens, closes) = (word.starts_with(QUOTES), word_ends.ends_with(QUOTES));
        self.quoted = if self.quoted { !closes } else { opens && !closes };
        self.flagged = word.starts_with('-');
        if !self.quoted && (word.is_empty() || word.ends_with([',', ';', ':', ')', '`'])) {
            self.inside = false;
        }
    }

    fn goes_on(&self, next: &str) -> bool {
        let plain = next.chars().all(|character| character.is_ascii_lowercase());
        self.inside
            && !next.is_empty()
            && (self.quoted || self.flagged || !plain || self.words < COMMAND_WORDS)
            && !next.starts_with('(')
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::{Lead, Lines, Sheet, fold, sentence, widest_piece};

    #[test]
    fn words_are_kept_whole_and_so_are_commands() {
        assert_eq!(fold("one two three", 7), ["one two", "three"]);
        assert_eq!(fold("unbreakable", 4), ["unbreakable"]);
        assert_eq!(fold("", 4), [""]);
        let advice = "it is overdue: lacre backup shop --tag \"by hand\" takes one, then look again";
        assert_eq!(
            fold(advice, 30),
            ["it is overdue:", "lacre backup shop --tag \"by hand\"", "takes one, then look again"]
        );
        assert_eq!(
            fold("run lacre repo check --read-data=10%, and wait", 34),
            ["run", "lacre repo check --read-data=10%,", "and wait"]
        );
        assert_eq!(
            fold("lacre 0.1.0 prints them with this repository's own names", 30),
            ["lacre 0.1.0 prints them with", "this repository's own names"]
        );
        assert_eq!(widest_piece("see lacre restore latest:astro --to postgres://db/astro now"), 51);
    }

    #[test]
    fn a_long_line_goes_on_below_moved_in() {
        let shown = |columns, lines| {
            let mut sheet = Sheet::new(Vec::new(), columns, lines);
            write!(sheet, "short\n  nothing to do: ").unwrap();
            writeln!(sheet, "nothing of it is worth a rewrite").unwrap();
            sheet.flush().unwrap();
            String::from_utf8(sheet.writer).unwrap()
        };
        let whole = "short\n  nothing to do: nothing of it is worth a rewrite\n";
        assert_eq!(shown(None, Lines::Folded), whole);
        assert_eq!(shown(Some(30), Lines::AsTheyAre), whole);
        assert_eq!(shown(Some(60), Lines::Folded), whole);
        assert_eq!(shown(Some(30), Lines::Folded), "short\n  nothing to do: nothing of\n    it is worth a rewrite\n");
    }

    #[test]
    fn a_sentence_goes_on_below_its_beginning_only_on_a_terminal() {
        let text = "the last drill is older than it should be";
        let mut narrow = Sheet::new(Vec::new(), Some(30), Lines::AsTheyAre);
        sentence(&mut narrow, Lead::plain("warning: "), text).unwrap();
        let shown = String::from_utf8(narrow.writer).unwrap();
        assert_eq!(shown, "warning: the last drill is\n         older than it should\n         be\n");
        let mut piped = Vec::new();
        sentence(&mut piped, Lead::plain("warning: "), text).unwrap();
        assert_eq!(String::from_utf8(piped).unwrap(), format!("warning: {text}\n"));
    }
}
