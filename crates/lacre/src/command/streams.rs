//! Names of kinds, counts and times of streams and snapshots, the same in every command.

use jiff::Timestamp;
use lacre_format::{
    ids::Millis,
    root::{Shape, Stream, StreamKind},
};
use lacre_repo::op::{backup::StreamSummary, snapshots::SnapshotState as State};

use crate::output::{BackupStream, SnapshotState, StreamEntry};

/// The word for what a stream holds.
pub(super) fn kind_name(kind: StreamKind, shape: Shape) -> &'static str {
    match (kind, shape) {
        (StreamKind::Table, _) => "table",
        (StreamKind::LargeObjects, _) => "blobs",
        (StreamKind::ArchiveToc, _) => "toc",
        (StreamKind::Framing, _) => "framing",
        (StreamKind::Globals, _) => "globals",
        (StreamKind::Sql, _) => "sql",
        (StreamKind::Opaque, Shape::Bytes) => "bytes",
        (StreamKind::Opaque, _) => "lines",
    }
}

/// Rows, where a stream has any: of tables, and lines of text.
pub(super) fn rows_of(kind: StreamKind, shape: Shape, rows: u64) -> Option<u64> {
    match kind {
        StreamKind::Table => Some(rows),
        StreamKind::Opaque | StreamKind::Sql if shape != Shape::Bytes => Some(rows),
        _ => None,
    }
}

/// A stream as `backup` reports it.
pub(super) fn of_backup(summary: &StreamSummary) -> BackupStream {
    BackupStream {
        name: summary.name.clone(),
        kind: kind_name(summary.kind, summary.shape).to_owned(),
        rows: rows_of(summary.kind, summary.shape, summary.rows),
        bytes: summary.bytes,
    }
}

/// A stream as `ls` lists it.
pub(super) fn of_snapshot(stream: &Stream) -> StreamEntry {
    StreamEntry {
        name: stream.name.clone(),
        kind: kind_name(stream.kind, stream.shape).to_owned(),
        rows: rows_of(stream.kind, stream.shape, stream.rows),
        bytes: stream.bytes,
    }
}

/// The state of a snapshot as JSON spells it.
pub(super) fn state(state: State) -> SnapshotState {
    match state {
        State::Live => SnapshotState::Live,
        State::Forgotten => SnapshotState::Forgotten,
        State::Pending => SnapshotState::Pending,
        State::Void | State::Erased => SnapshotState::Erased,
    }
}

/// A moment of the format as a timestamp; one beyond the calendar is shown as its end.
pub(super) fn moment(at: Millis) -> Timestamp {
    Timestamp::from_millisecond(at.0).unwrap_or(if at.0 < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// The moment in RFC 3339, UTC, for JSON.
pub(super) fn rfc3339(at: Millis) -> String {
    moment(at).to_string()
}
