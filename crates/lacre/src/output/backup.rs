//! The documents of `backup`.

use serde::Serialize;

use super::{BackupStream, Document, Field, FindingEntry, JobFailure, RunEntry, copies::CopySyncEntry};

const fn field(name: &'static str, help: &'static str) -> Field {
    Field { name, help }
}

/// One committed snapshot.
#[derive(Clone, Debug, Serialize)]
pub struct BackupResult {
    /// Id of the snapshot, hexadecimal.
    pub snapshot: String,
    /// Name of the job.
    pub job: String,
    /// Streams: name, kind, rows, bytes. No digests: no function of plaintext leaves the snapshot.
    pub streams: Vec<BackupStream>,
    /// Bytes the source gave.
    pub bytes_read: u64,
    /// Bytes of them that no earlier snapshot held, before compression.
    pub bytes_new: u64,
    /// Bytes written to the store, all objects counted.
    pub bytes_stored: u64,
    /// Chunks the snapshot consists of.
    pub chunks: u64,
    /// Chunks of them that were stored now.
    pub chunks_new: u64,
    /// Wall time, milliseconds.
    pub duration_ms: u64,
    /// Wall time until the source ended, milliseconds.
    pub source_ms: u64,
    /// Peak resident memory of lacre, bytes.
    pub peak_memory_bytes: u64,
    /// Copies that were brought up to date afterwards.
    pub copies: Vec<CopySyncEntry>,
    /// Findings: severity, what, object, advice.
    pub findings: Vec<FindingEntry>,
    /// The run of a night: run, duration_ms, forgotten, held_back, notifications, findings.
    pub run: Option<RunEntry>,
}

impl Document for BackupResult {
    const COMMAND: &'static str = "backup";
    const FIELDS: &'static [Field] = &[
        field("snapshot", "Id of the snapshot, hexadecimal."),
        field("job", "Name of the job."),
        field("streams", "Streams: name, kind, rows, bytes. No digests: no function of plaintext leaves the snapshot."),
        field("bytes_read", "Bytes the source gave."),
        field("bytes_new", "Bytes of them that no earlier snapshot held, before compression."),
        field("bytes_stored", "Bytes written to the store, all objects counted."),
        field("chunks", "Chunks the snapshot consists of."),
        field("chunks_new", "Chunks of them that were stored now."),
        field("duration_ms", "Wall time, milliseconds."),
        field("source_ms", "Wall time until the source ended, milliseconds."),
        field("peak_memory_bytes", "Peak resident memory of lacre, bytes."),
        field("copies", "Copies that were brought up to date afterwards, as `copy sync` says them."),
        field("findings", "Findings: severity, what, object, advice."),
        field("run", "The run of a night with one job, with the fields of several jobs' run; else null."),
    ];
}

/// The snapshots of several jobs taken by one command.
#[derive(Clone, Debug, Serialize)]
pub struct BackupsResult {
    /// One document of `backup` per snapshot, without `schema`.
    pub backups: Vec<BackupResult>,
    /// Jobs that failed: job, kind, message, hint, exit.
    pub failures: Vec<JobFailure>,
    /// Copies that were brought up to date after the last job.
    pub copies: Vec<CopySyncEntry>,
    /// The run of a night: run, duration_ms, forgotten, held_back, notifications, findings.
    pub run: Option<RunEntry>,
}

impl Document for BackupsResult {
    const COMMAND: &'static str = "backup of several jobs";
    const FIELDS: &'static [Field] = &[
        field("backups", "One document of `backup` per snapshot, without `schema`."),
        field("failures", "Jobs that failed: job, kind, message, hint, exit."),
        field("copies", "Copies that were brought up to date after the last job, as `copy sync` says them."),
        field("run", "The run of a night: run, duration_ms, forgotten, held_back, notifications, findings; else null."),
    ];
}
