//! Taking archives apart and putting them together, for all tests.

use std::collections::BTreeMap;
use std::io::{self, Read};

use lacre_dump::archive::{ArchiveReader, Error, Event, Kind, SetSummary, Summary, Toc, write_archive};

/// An archive taken apart.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) toc: Toc,
    pub(crate) framing: Vec<u8>,
    pub(crate) content: BTreeMap<i32, Vec<u8>>,
    pub(crate) sets: Vec<SetSummary>,
    pub(crate) tail: Vec<u8>,
    pub(crate) summary: Summary,
}

/// A reader that gives at most so many bytes at once.
pub(crate) struct Trickle<'a> {
    pub(crate) rest: &'a [u8],
    pub(crate) step: usize,
}

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let step = self.step.min(buffer.len());
        self.rest.read(&mut buffer[..step])
    }
}

/// Takes an archive apart, checking the order of events.
pub(crate) fn take_apart(input: impl Read) -> Result<Parts, Error> {
    let mut reader = ArchiveReader::new(input);
    let mut toc = None;
    let (mut framing, mut tail) = (Vec::new(), Vec::new());
    let mut content = BTreeMap::new();
    let mut sets = Vec::new();
    let mut open: Option<(i32, Kind, Vec<u8>)> = None;
    let mut summary = None;
    while let Some(event) = reader.next_event()? {
        assert!(summary.is_none(), "nothing follows the end");
        match event {
            Event::Toc(read) => assert!(toc.replace(read.clone()).is_none()),
            Event::Begin { dump_id, kind } => {
                assert!(toc.is_some() && open.is_none());
                open = Some((dump_id, kind, Vec::new()));
            }
            Event::Bytes(bytes) => {
                assert!(!bytes.is_empty() && bytes.len() <= lacre_dump::limits::READ_BYTES);
                open.as_mut().unwrap().2.extend_from_slice(bytes);
            }
            Event::End(set) => {
                let (dump_id, kind, bytes) = open.take().unwrap();
                assert_eq!((dump_id, kind, bytes.len() as u64), (set.dump_id, set.kind, set.bytes));
                assert_eq!(set.copy_ended, kind == Kind::TableData && bytes.ends_with(b"\\.\n\n\n"));
                assert!(content.insert(dump_id, bytes).is_none());
                sets.push(set);
            }
            Event::Framing(bytes) => {
                assert!(!bytes.is_empty());
                framing.extend_from_slice(bytes);
            }
            Event::Tail(bytes) => {
                assert!(!bytes.is_empty() && tail.is_empty());
                tail.extend_from_slice(bytes);
            }
            Event::Finished(finished) => summary = Some(finished),
        }
    }
    Ok(Parts { toc: toc.unwrap(), framing, content, sets, tail, summary: summary.unwrap() })
}

/// Puts an archive together again, from its table of contents as it would have been stored.
pub(crate) fn put_together(parts: &Parts) -> Result<Vec<u8>, Error> {
    let toc = Toc::parse(parts.toc.raw())?;
    let archive = write_archive(Vec::new(), &toc, parts.framing.as_slice(), |set| {
        let rest = parts.content.get(&set.dump_id).ok_or(io::ErrorKind::NotFound)?;
        Ok(Trickle { rest, step: 1000 })
    })?;
    Ok([archive, parts.tail.clone()].concat())
}

/// Takes an archive apart and together, and checks that it is the same.
pub(crate) fn check_round_trip(archive: &[u8]) -> Parts {
    let parts = take_apart(archive).unwrap();
    assert_eq!(parts.summary.bytes, archive.len() as u64);
    assert_eq!(parts.summary.blake3, *blake3::hash(archive).as_bytes());
    assert_eq!(parts.summary.sets, parts.sets.len() as u64);
    assert_eq!(parts.summary.content_bytes, parts.content.values().map(|bytes| bytes.len() as u64).sum::<u64>());
    assert!(put_together(&parts).unwrap() == archive, "the archive differs after a round trip");
    parts
}
