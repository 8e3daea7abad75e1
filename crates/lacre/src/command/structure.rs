//! What the streams of a PostgreSQL archive mean, examined without a server: level 5 of a check.
//!
//! In: a snapshot's streams as they pass. Out: whether every table has the rows that were counted, each with the columns its COPY statement
//! names, in the archive's encoding; whether table of contents and framing speak of the same data. It must not know where bytes lie.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use lacre_dump::{
    archive::{
        Setting, Toc,
        framing::{FramingDecoder, Op},
    },
    copy::RowCounter,
};
use lacre_format::{
    ids::SnapshotId,
    root::{Stream, StreamKind},
};
use lacre_repo::{
    Monitor, Progress,
    op::{
        read::Snapshot,
        rolling::{Examine, Structure},
    },
};

use crate::driver::postgres::limits::TOC_BYTES_MAX;

/// Knows PostgreSQL archives; keeps the table of contents of the snapshot it looked at last.
#[derive(Default)]
pub(super) struct ArchiveStructure {
    last: Mutex<Option<(SnapshotId, Arc<Contents>)>>,
}

/// What a table of contents says of its data.
struct Contents {
    /// Columns of each table's rows, by the entry's number; none where rows are statements.
    columns: BTreeMap<i32, Option<usize>>,
    text: Text,
}

/// What the text of an archive is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Text {
    Utf8,
    /// Some other encoding, which the server checks.
    Other,
}

/// A monitor for reads nobody counts.
struct Silent;

impl Monitor for Silent {
    fn progress(&self, _: Progress) {}

    fn cancelled(&self) -> bool {
        false
    }
}

impl ArchiveStructure {
    fn contents(&self, snapshot: &Snapshot<'_>) -> Result<Option<Arc<Contents>>, String> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = last.as_ref().filter(|(id, _)| *id == snapshot.id()) {
            return Ok(Some(Arc::clone(known)));
        }
        let Some(stream) = snapshot.streams().iter().find(|stream| stream.kind == StreamKind::ArchiveToc) else {
            return Ok(None);
        };
        let bounded = u64::try_from(TOC_BYTES_MAX).is_ok_and(|most| stream.bytes <= most);
        if !bounded {
            return Err(format!("its table of contents is longer than {TOC_BYTES_MAX} bytes"));
        }
        let mut bytes = Vec::new();
        snapshot.read(stream, &mut bytes, &Silent).map_err(|error| error.to_string())?;
        let toc = Toc::parse(&bytes).map_err(|error| format!("its table of contents cannot be read: {error}"))?;
        let columns =
            toc.tables().map(|table| (table.entry.dump_id(), table.copy.as_ref().map(|copy| copy.columns.len())));
        let encoding = toc.setting(Setting::Encoding);
        let contents = Arc::new(Contents {
            columns: columns.collect(),
            text: if encoding.is_none_or(|encoding| encoding == b"UTF8") { Text::Utf8 } else { Text::Other },
        });
        *last = Some((snapshot.id(), Arc::clone(&contents)));
        Ok(Some(contents))
    }
}

impl Structure for ArchiveStructure {
    fn examine<'s>(
        &'s self,
        snapshot: &'s Snapshot<'_>,
        stream: &'s Stream,
    ) -> Result<Option<Box<dyn Examine + 's>>, String> {
        let Some(contents) = self.contents(snapshot)? else { return Ok(None) };
        let id = stream.dump_id.and_then(|id| i32::try_from(id).ok());
        Ok(match stream.kind {
            StreamKind::Table => {
                let columns = id.and_then(|id| contents.columns.get(&id));
                let columns = columns.ok_or("its table of contents has no entry for these rows")?;
                Some(Box::new(TableRows::new(stream, *columns, contents.text)))
            }
            StreamKind::Framing => Some(Box::new(Whole { bytes: Vec::new(), judge: judge_framing(snapshot) })),
            StreamKind::ArchiveToc if stream.name == "toc" => {
                let judge = move |bytes: &[u8]| judge_toc(snapshot, bytes);
                Some(Box::new(Whole { bytes: Vec::new(), judge: Box::new(judge) }))
            }
            _ => None,
        })
    }
}

/// The numbers of entries whose data the snapshot holds.
fn stored(snapshot: &Snapshot<'_>) -> BTreeSet<i32> {
    let holds_data = |stream: &&Stream| matches!(stream.kind, StreamKind::Table | StreamKind::LargeObjects);
    let streams = snapshot.streams().iter().filter(holds_data);
    streams.filter_map(|stream| i32::try_from(stream.dump_id?).ok()).collect()
}

type Judge<'s> = Box<dyn Fn(&[u8]) -> Result<(), String> + 's>;

fn judge_toc(snapshot: &Snapshot<'_>, bytes: &[u8]) -> Result<(), String> {
    let toc = Toc::parse(bytes).map_err(|error| error.to_string())?;
    let announced: BTreeSet<i32> =
        toc.entries().filter(|entry| entry.has_data()).map(|entry| entry.dump_id()).collect();
    agree(&announced, &stored(snapshot), "table of contents")
}

/// The framing names each data set once, and says of every byte of it how it was cut.
fn judge_framing<'s>(snapshot: &'s Snapshot<'_>) -> Judge<'s> {
    Box::new(move |bytes| {
        let mut decoder = FramingDecoder::new(bytes);
        let (mut sets, mut bytes_in, mut has_lines) = (BTreeSet::new(), 0u64, false);
        let mut current = None;
        while let Some(op) = decoder.next_op().map_err(|error| error.to_string())? {
            match op {
                Op::Begin { dump_id, .. } => {
                    current = Some(dump_id);
                    (bytes_in, has_lines) = (0, false);
                    if !sets.insert(dump_id) {
                        return Err(format!("data set {dump_id} begins twice"));
                    }
                }
                Op::Blocks { len, count } => bytes_in = bytes_in.saturating_add(u64::from(len).saturating_mul(count)),
                Op::Lines { .. } => has_lines = true,
                Op::End => {
                    let is_it = |stream: &&Stream| stream.dump_id.and_then(|id| i32::try_from(id).ok()) == current;
                    let length = snapshot.streams().iter().find(is_it).map(|stream| stream.bytes);
                    // Lines are as long as they are; blocks have their length here.
                    let fits =
                        length.is_some_and(|bytes| if has_lines { bytes >= bytes_in } else { bytes == bytes_in });
                    if !fits {
                        return Err(format!("data set {} is of another length", current.unwrap_or_default()));
                    }
                }
                Op::Object { .. } | Op::Finish => {}
            }
        }
        agree(&sets, &stored(snapshot), "framing")
    })
}

fn agree(named: &BTreeSet<i32>, stored: &BTreeSet<i32>, who: &str) -> Result<(), String> {
    match named.symmetric_difference(stored).next() {
        None => Ok(()),
        Some(id) if stored.contains(id) => {
            Err(format!("the {who} does not name the data of entry {id}, which is stored"))
        }
        Some(id) => Err(format!("the {who} names the data of entry {id}, which is not stored")),
    }
}

/// A small stream that is judged whole.
struct Whole<'s> {
    bytes: Vec<u8>,
    judge: Judge<'s>,
}

impl Write for Whole<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len().saturating_add(bytes.len()) > TOC_BYTES_MAX {
            return Err(io::Error::other(format!("it is longer than {TOC_BYTES_MAX} bytes")));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Examine for Whole<'_> {
    fn finish(self: Box<Self>) -> Result<(), String> {
        (self.judge)(&self.bytes)
    }
}

/// A table's rows as they pass: counted, digested, their fields counted, their text read.
struct TableRows<'s> {
    stream: &'s Stream,
    counter: RowCounter,
    /// Fields each row must have; none: rows are statements, of which only the bytes are proved.
    fields: Option<usize>,
    tabs: usize,
    /// The first bytes of the line at hand, to know the end marker.
    head: Vec<u8>,
    is_ended: bool,
    line: u64,
    wrong: Option<String>,
    text: Option<Utf8>,
}

impl<'s> TableRows<'s> {
    fn new(stream: &'s Stream, columns: Option<usize>, text: Text) -> Self {
        Self {
            stream,
            counter: RowCounter::copy(),
            fields: columns.map(|columns| columns.max(1)),
            tabs: 0,
            head: Vec::new(),
            is_ended: false,
            line: 0,
            wrong: None,
            text: (text == Text::Utf8).then(Utf8::default),
        }
    }

    fn count(&mut self, bytes: &[u8]) {
        let Some(fields) = self.fields else { return };
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.is_ended || self.wrong.is_some() {
                return;
            }
            let room = 3_usize.saturating_sub(self.head.len());
            self.head.extend(piece.iter().take(room));
            self.tabs += memchr::memchr_iter(b'\t', piece).count();
            if !piece.ends_with(b"\n") {
                return;
            }
            self.line += 1;
            if self.head == b"\\.\n" {
                self.is_ended = true;
            } else if self.tabs + 1 != fields {
                self.wrong =
                    Some(format!("row {} has {} fields and the table has {fields} columns", self.line, self.tabs + 1));
            }
            self.tabs = 0;
            self.head.clear();
        }
    }
}

impl Write for TableRows<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.counter.push(bytes);
        self.count(bytes);
        if let Some(text) = &mut self.text {
            text.push(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Examine for TableRows<'_> {
    fn finish(self: Box<Self>) -> Result<(), String> {
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        if self.text.is_some_and(|text| !text.is_well()) {
            return Err("its text is not UTF-8, which its archive says it is".to_owned());
        }
        let summary = self.counter.finish();
        if self.fields.is_none() {
            return Ok(());
        }
        if summary.rows != self.stream.rows {
            return Err(format!("it has {} rows where {} were backed up", summary.rows, self.stream.rows));
        }
        let digest = self.stream.row_digest.as_deref().and_then(|lanes| <[u64; 4]>::try_from(lanes).ok());
        if digest.is_some_and(|digest| digest != summary.digest.lanes()) {
            return Err("its rows have another digest than was backed up".to_owned());
        }
        Ok(())
    }
}

/// Reads UTF-8 that comes in pieces.
#[derive(Default)]
struct Utf8 {
    rest: Vec<u8>,
    is_broken: bool,
}

impl Utf8 {
    fn push(&mut self, bytes: &[u8]) {
        if self.is_broken {
            return;
        }
        let mut bytes = bytes;
        while !self.rest.is_empty() {
            // A character that was cut: one byte more at a time, four at the most.
            let Some((first, others)) = bytes.split_first() else { return };
            self.rest.push(*first);
            bytes = others;
            match std::str::from_utf8(&self.rest) {
                Ok(_) => self.rest.clear(),
                Err(error) if error.error_len().is_none() => {}
                Err(_) => {
                    self.is_broken = true;
                    return;
                }
            }
        }
        if let Err(error) = std::str::from_utf8(bytes) {
            match error.error_len() {
                None => self.rest = bytes.get(error.valid_up_to()..).unwrap_or_default().to_vec(),
                Some(_) => self.is_broken = true,
            }
        }
    }

    fn is_well(&self) -> bool {
        !self.is_broken && self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::Utf8;

    #[test]
    fn characters_may_be_cut_anywhere() {
        let text = "ação 🦀 e €\n".as_bytes();
        for cut in 0..text.len() {
            let mut utf8 = Utf8::default();
            utf8.push(&text[..cut]);
            utf8.push(&text[cut..]);
            assert!(utf8.is_well(), "cut at {cut}");
        }
        let mut torn = Utf8::default();
        torn.push(&"é".as_bytes()[..1]);
        assert!(!torn.is_well());
        let mut broken = Utf8::default();
        broken.push(b"a\xffb");
        assert!(!broken.is_well());
    }
}
