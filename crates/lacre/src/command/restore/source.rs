//! A snapshot of the vault as the PostgreSQL driver reads it.

use std::{collections::BTreeMap, io::Write};

use lacre_format::root::{Stream, StreamKind};
use lacre_repo::op::read::Snapshot;

use crate::{
    driver::postgres::{
        dump::{self, BoxError, Rows},
        restore::{SnapshotSource, StreamRef},
    },
    vault::Watching,
};

/// An open snapshot; reading a stream verifies it.
pub(super) struct Streams<'a> {
    snapshot: &'a Snapshot<'a>,
    streams: Vec<StreamRef>,
    watching: Watching,
}

impl<'a> Streams<'a> {
    /// Describes the snapshot's streams to the driver.
    pub(super) fn new(snapshot: &'a Snapshot<'a>, watching: Watching) -> Streams<'a> {
        Streams { snapshot, streams: snapshot.streams().iter().map(describe).collect(), watching }
    }
}

fn describe(stream: &Stream) -> StreamRef {
    let kind = match stream.kind {
        StreamKind::Table => dump::StreamKind::Table,
        StreamKind::LargeObjects => dump::StreamKind::LargeObjects,
        StreamKind::ArchiveToc => dump::StreamKind::Toc,
        StreamKind::Framing => dump::StreamKind::Framing,
        StreamKind::Globals => dump::StreamKind::Globals,
        StreamKind::Opaque | StreamKind::Sql => dump::StreamKind::Opaque,
    };
    let is_table = stream.kind == StreamKind::Table;
    let digest = stream.row_digest.as_ref().and_then(|lanes| <[u64; 4]>::try_from(lanes.as_slice()).ok());
    StreamRef {
        name: stream.name.clone(),
        kind,
        dump_id: stream.dump_id.and_then(|id| i32::try_from(id).ok()),
        bytes: stream.bytes,
        rows: Rows { count: is_table.then_some(stream.rows), digest: digest.filter(|_| is_table) },
    }
}

impl SnapshotSource for Streams<'_> {
    fn short_id(&self) -> String {
        crate::vault::short(&self.snapshot.id().to_string()).to_owned()
    }

    fn facts(&self) -> &BTreeMap<String, String> {
        self.snapshot.facts()
    }

    fn streams(&self) -> &[StreamRef] {
        &self.streams
    }

    fn read(&self, stream: &StreamRef, sink: &mut dyn Write) -> Result<(), BoxError> {
        let found = self.snapshot.stream(&stream.name)?;
        self.snapshot.read(found, sink, &self.watching)?;
        Ok(())
    }
}
