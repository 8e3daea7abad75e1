//! The one place where this driver and the vault know each other.
//!
//! In: an open backup session, or an opened snapshot. Out: the driver's [`DumpSink`] and [`SnapshotSource`] over it, its findings in the
//! vault's words, and the vault's error inside one of the driver's.

use std::{collections::BTreeMap, io::Write, sync::Arc};

use lacre_format::root::{Shape, StreamKind as Stored};
use lacre_repo::{
    Monitor,
    op::{
        backup::{self, Backup, StreamWriter},
        read::Snapshot,
    },
};

use super::{
    dump::{BoxError, DumpSink, Rows, StreamKind, StreamSpec},
    error::Error,
    report::{Finding, Severity},
    restore::{SnapshotSource, StreamRef},
};

/// A dump on its way into a backup session. The session's owner commits after [`super::dump::Source::dump`] returned well, else abandons.
pub struct VaultSink<'b, 'r> {
    backup: &'b mut Backup<'r>,
}

impl<'b, 'r> VaultSink<'b, 'r> {
    /// Sends streams to this session.
    pub fn new(backup: &'b mut Backup<'r>) -> Self {
        Self { backup }
    }
}

impl DumpSink for VaultSink<'_, '_> {
    type Stream = StreamWriter;

    fn open(&mut self, spec: StreamSpec) -> Result<StreamWriter, BoxError> {
        let (kind, shape) = stored(&spec.kind);
        let dump_id = spec.dump_id.map(u32::try_from).transpose()?;
        let spec = backup::StreamSpec { name: spec.name, kind, shape, dump_id, expected_bytes: spec.expected_bytes };
        Ok(self.backup.stream(spec)?)
    }

    fn close(&mut self, stream: StreamWriter, rows: Rows) -> Result<(), BoxError> {
        stream.finish(backup::Rows { count: rows.count, digest: rows.digest })?;
        Ok(())
    }
}

/// How a stream is recorded and cut.
fn stored(kind: &StreamKind) -> (Stored, Shape) {
    match kind {
        StreamKind::Toc => (Stored::ArchiveToc, Shape::Bytes),
        StreamKind::Table => (Stored::Table, Shape::Rows),
        StreamKind::LargeObjects => (Stored::LargeObjects, Shape::Bytes),
        StreamKind::Framing => (Stored::Framing, Shape::Bytes),
        StreamKind::Globals => (Stored::Globals, Shape::Lines),
        StreamKind::Opaque => (Stored::Opaque, Shape::Bytes),
    }
}

/// A snapshot of the vault as a source of a restore.
pub struct VaultSource<'s> {
    snapshot: &'s Snapshot<'s>,
    streams: Vec<StreamRef>,
    monitor: Arc<dyn Monitor>,
}

impl<'s> VaultSource<'s> {
    /// Looks at a snapshot's streams; those of other drivers are left out. The monitor hears every byte that is read.
    pub fn new(snapshot: &'s Snapshot<'s>, monitor: Arc<dyn Monitor>) -> Self {
        let streams = snapshot.streams().iter().filter_map(|stream| {
            let kind = match stream.kind {
                Stored::ArchiveToc => StreamKind::Toc,
                Stored::Table => StreamKind::Table,
                Stored::LargeObjects => StreamKind::LargeObjects,
                Stored::Framing => StreamKind::Framing,
                Stored::Globals => StreamKind::Globals,
                Stored::Opaque => StreamKind::Opaque,
                Stored::Sql => return None,
            };
            let count = (kind == StreamKind::Table).then_some(stream.rows);
            let digest = stream.row_digest.as_ref().and_then(|lanes| lanes.as_slice().try_into().ok());
            let dump_id = stream.dump_id.and_then(|id| i32::try_from(id).ok());
            Some(StreamRef {
                name: stream.name.clone(),
                kind,
                dump_id,
                bytes: stream.bytes,
                rows: Rows { count, digest },
            })
        });
        Self { snapshot, streams: streams.collect(), monitor }
    }
}

impl SnapshotSource for VaultSource<'_> {
    fn short_id(&self) -> String {
        self.snapshot.id().short()
    }

    fn facts(&self) -> &BTreeMap<String, String> {
        self.snapshot.facts()
    }

    fn streams(&self) -> &[StreamRef] {
        &self.streams
    }

    fn read(&self, stream: &StreamRef, sink: &mut dyn Write) -> Result<(), BoxError> {
        let found = self.snapshot.stream(&stream.name)?;
        self.snapshot.read(found, sink, self.monitor.as_ref())?;
        Ok(())
    }
}

impl From<Finding> for lacre_repo::Finding {
    fn from(finding: Finding) -> Self {
        let severity = match finding.severity {
            Severity::Note => lacre_repo::Severity::Note,
            Severity::Warning => lacre_repo::Severity::Warning,
            Severity::Damage => lacre_repo::Severity::Damage,
        };
        Self::new(severity, finding.what, finding.object, finding.advice)
    }
}

/// The vault's own error inside one of the driver's, when the driver only stopped because of it; else the driver's error again.
///
/// # Errors
/// The driver's error when it has a cause of its own.
pub fn vault_error(error: Error) -> Result<Box<lacre_repo::Error>, Error> {
    match error {
        Error::Sink { target, source } => source.downcast().map_err(|source| Error::Sink { target, source }),
        Error::Source { stream, source } => source.downcast().map_err(|source| Error::Source { stream, source }),
        other => Err(other),
    }
}
