//! Each part of an archive to a stream of its own, while it is being written.
//!
//! In: the archive's bytes. Out: streams in the sink, rows counted and digested on the way. The archive's own crate proves that the parts
//! make the same bytes again; here they only find their places.

use std::{collections::BTreeMap, io::Read, io::Write};

use lacre_dump::{
    archive::{self, ArchiveReader, Event as Piece, Kind, Toc},
    copy::RowCounter,
};

use super::{
    dump::{Archived, DumpSink, Rows, StreamKind, StreamSpec, Taken, Work, count, table_names},
    report::Event,
};

/// The stream of a table of contents that an archive has a second time, at its end.
pub(super) const APPENDED: &str = "toc.appended";

/// A stream being filled.
struct Current<T> {
    stream: T,
    rows: Option<RowCounter>,
}

/// Where an archive's parts have got to.
struct Demux<'w, 'a, S: DumpSink> {
    work: &'w mut Work<'a, S>,
    framing: Option<S::Stream>,
    current: Option<Current<S::Stream>>,
    names: BTreeMap<i32, String>,
    expected: BTreeMap<i32, u64>,
    archived: Archived,
}

/// Sends each part of an archive to its own stream.
pub(super) fn streams<S: DumpSink>(work: &mut Work<'_, S>, from: impl Read) -> Result<Archived, Taken> {
    let archived = Archived { bytes: 0, blake3: [0; 32], tables: 0, version: String::new(), form: "streams" };
    let mut demux =
        Demux { work, framing: None, current: None, names: BTreeMap::new(), expected: BTreeMap::new(), archived };
    let mut reader = ArchiveReader::new(from);
    loop {
        let piece = reader.next_event().map_err(|error| demux.archive_error(error))?;
        match piece {
            Some(Piece::Toc(toc)) => demux.toc(toc)?,
            Some(Piece::Begin { dump_id, kind }) => demux.begin(dump_id, kind)?,
            Some(Piece::Bytes(piece)) => demux.content(piece)?,
            Some(Piece::End(_)) => demux.end()?,
            Some(Piece::Framing(piece)) => demux.framing(piece)?,
            Some(Piece::Tail(piece)) => demux.tail(piece)?,
            Some(Piece::Finished(summary)) => {
                let Some(stream) = demux.framing.take() else { return Err(demux.out_of_order()) };
                demux.work.close(stream, Rows::default())?;
                return Ok(Archived { bytes: summary.bytes, blake3: summary.blake3, ..demux.archived });
            }
            None => return Err(demux.out_of_order()),
        }
    }
}

impl<S: DumpSink> Demux<'_, '_, S> {
    fn toc(&mut self, toc: &Toc) -> Result<(), Taken> {
        self.archived.version = toc.header().version.to_string();
        self.archived.bytes += count(toc.raw().len());
        self.names = table_names(toc);
        for table in toc.tables() {
            let oid = std::str::from_utf8(table.entry.oid()).ok().and_then(|oid| oid.parse::<u32>().ok());
            if let Some(bytes) = oid.and_then(|oid| self.work.sizes.get(&oid)) {
                self.expected.insert(table.entry.dump_id(), *bytes);
            }
        }
        self.work.store_whole("toc", StreamKind::Toc, toc.raw())?;
        let spec =
            StreamSpec { name: "framing".to_owned(), kind: StreamKind::Framing, dump_id: None, expected_bytes: None };
        self.framing = Some(self.work.open(spec)?);
        Ok(())
    }

    fn begin(&mut self, dump_id: i32, kind: Kind) -> Result<(), Taken> {
        let (name, kind, rows) = match kind {
            Kind::TableData => {
                self.archived.tables += 1;
                let name = self.names.get(&dump_id).cloned().unwrap_or_else(|| format!("data:{dump_id}"));
                (name, StreamKind::Table, Some(RowCounter::copy()))
            }
            Kind::LargeObjects => (format!("blobs:{dump_id}"), StreamKind::LargeObjects, None),
        };
        self.work.watch.event(Event::Stream(name.clone()));
        let spec =
            StreamSpec { name, kind, dump_id: Some(dump_id), expected_bytes: self.expected.get(&dump_id).copied() };
        self.current = Some(Current { stream: self.work.open(spec)?, rows });
        Ok(())
    }

    fn content(&mut self, piece: &[u8]) -> Result<(), Taken> {
        let Some(current) = self.current.as_mut() else { return Err(self.out_of_order()) };
        current.stream.write_all(piece).map_err(|error| self.work.sink_failed(error.into()))?;
        if let Some(rows) = &mut current.rows {
            rows.push(piece);
        }
        self.archived.bytes += count(piece.len());
        self.work.watch.event(Event::Bytes(count(piece.len())));
        Ok(())
    }

    fn end(&mut self) -> Result<(), Taken> {
        let Some(current) = self.current.take() else { return Err(self.out_of_order()) };
        let summary = current.rows.map(RowCounter::finish);
        let rows =
            Rows { count: summary.map(|summary| summary.rows), digest: summary.map(|summary| summary.digest.lanes()) };
        Ok(self.work.close(current.stream, rows)?)
    }

    fn framing(&mut self, piece: &[u8]) -> Result<(), Taken> {
        let Some(stream) = self.framing.as_mut() else { return Err(self.out_of_order()) };
        Ok(stream.write_all(piece).map_err(|error| self.work.sink_failed(error.into()))?)
    }

    fn tail(&mut self, piece: &[u8]) -> Result<(), Taken> {
        self.archived.bytes += count(piece.len());
        Ok(self.work.store_whole(APPENDED, StreamKind::Toc, piece)?)
    }

    fn out_of_order(&self) -> Taken {
        Taken::Garbage { bytes: self.archived.bytes, why: "its parts come out of order".to_owned() }
    }

    fn archive_error(&self, error: archive::Error) -> Taken {
        let bytes = self.archived.bytes;
        match error {
            archive::Error::Truncated { at, .. } => Taken::Early { bytes: at, why: error.to_string() },
            archive::Error::MissingData { .. } => Taken::Early { bytes, why: error.to_string() },
            archive::Error::Read(source) => Taken::Early { bytes, why: source.to_string() },
            other => Taken::Garbage { bytes, why: other.to_string() },
        }
    }
}
