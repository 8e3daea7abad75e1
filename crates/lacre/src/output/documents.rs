//! The documents themselves: one struct per command, its field list beside it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Document, Field,
    backup::{BackupResult, BackupsResult},
    copies::{AdoptResult, CopyListResult, CopySyncResult, CopyVerifyResult},
    cost::CostResult,
    drill::DrillResult,
    entries::{
        CheckFinding, ConfigProblem, ConfigSetting, DoctorCheck, FindingEntry, ForgottenEntry, JobStats, KeptEntry,
        RestoredTable, ShowStream, SnapshotEntry, SnapshotState, StreamEntry,
    },
    erasure::{EraseResult, ErasuresResult, ProveResult, ReceiptResult, RotateResult},
    import::ImportResult,
    keys::{
        AddRecipientResult, DelegateResult, EnrolResult, JoinResult, KeyListResult, KeyRequestResult,
        RemoveRecipientResult, RevokeResult,
    },
    operate::{DaemonResult, ScheduleResult, StatusResult},
    prune::PruneResult,
    repair::RepairResult,
    report::{DashboardResult, ReportResult},
    rows::{DiffResult, HistoryResult, RecoverResult, RowsResult, SpotResult},
    runbook::RunbookResult,
    seal::{CellChangeResult, GuardResult, KitResult, SealStatusResult},
};
use crate::term::page::Lines;

const fn field(name: &'static str, help: &'static str) -> Field {
    Field { name, help }
}

/// A new repository.
#[derive(Clone, Debug, Serialize)]
pub struct InitResult {
    /// Id of the repository, hexadecimal.
    pub repository: String,
    /// File with the identity that was made, or null when recipients were given.
    pub identity_file: Option<String>,
    /// File with the recovery kit, or null when it was printed or not wanted.
    pub kit_file: Option<String>,
    /// File with the identity sheet that goes with the kit, or null.
    pub identity_sheet_file: Option<String>,
    /// Seal cells that were written and read back.
    pub cells: Vec<String>,
}

impl Document for InitResult {
    const COMMAND: &'static str = "init";
    const LINES: Lines = Lines::AsTheyAre;
    const FIELDS: &'static [Field] = &[
        field("repository", "Id of the repository, hexadecimal."),
        field("identity_file", "File with the identity that was made, or null when recipients were given."),
        field("kit_file", "File with the recovery kit, or null when it was printed or not wanted."),
        field("identity_sheet_file", "File with the identity sheet that goes with the kit, or null."),
        field("cells", "Seal cells that were written and read back."),
    ];
}

/// All snapshots, newest last.
#[derive(Clone, Debug, Serialize)]
pub struct SnapshotsResult {
    /// Snapshots: snapshot, job, time (RFC 3339, UTC), bytes, rows, state (live, forgotten, erased, pending), held.
    pub snapshots: Vec<SnapshotEntry>,
}

impl Document for SnapshotsResult {
    const COMMAND: &'static str = "snapshots";
    const FIELDS: &'static [Field] = &[field(
        "snapshots",
        "Snapshots: snapshot, job, time (RFC 3339, UTC), bytes, rows, state (live, forgotten, erased, pending), held.",
    )];
}

/// One snapshot.
#[derive(Clone, Debug, Serialize)]
pub struct ShowResult {
    /// Id of the snapshot, hexadecimal.
    pub snapshot: String,
    /// Name of the job.
    pub job: String,
    /// When it was taken, RFC 3339, UTC.
    pub time: String,
    /// live, forgotten, erased or pending.
    pub state: SnapshotState,
    /// Whether a legal hold is on it.
    pub held: bool,
    /// Home that wrote it.
    pub home: String,
    /// Seal generation its key entry is sealed to.
    pub generation: u32,
    /// True when no identity opened it; the fields below are then null or empty.
    pub sealed: bool,
    /// Kind of the source.
    pub source: Option<String>,
    /// Source facts: versions, database, owner, encoding, settings, extensions.
    pub facts: BTreeMap<String, String>,
    /// Labels.
    pub tags: Vec<String>,
    /// Streams: name, kind, rows, bytes, blake3, row_digest.
    pub streams: Vec<ShowStream>,
    /// Findings of the backup.
    pub findings: Vec<FindingEntry>,
}

impl Document for ShowResult {
    const COMMAND: &'static str = "show";
    const LINES: Lines = Lines::AsTheyAre;
    const FIELDS: &'static [Field] = &[
        field("snapshot", "Id of the snapshot, hexadecimal."),
        field("job", "Name of the job."),
        field("time", "When it was taken, RFC 3339, UTC."),
        field("state", "live, forgotten, erased or pending."),
        field("held", "Whether a legal hold is on it."),
        field("home", "Home that wrote it."),
        field("generation", "Seal generation its key entry is sealed to."),
        field("sealed", "True when no identity opened it; the fields below are then null or empty."),
        field("source", "Kind of the source."),
        field("facts", "Source facts: versions, database, owner, encoding, settings, extensions."),
        field("tags", "Labels."),
        field("streams", "Streams: name, kind, rows, bytes, blake3, row_digest."),
        field("findings", "Findings of the backup."),
    ];
}

/// The streams of a snapshot.
#[derive(Clone, Debug, Serialize)]
pub struct LsResult {
    /// Id of the snapshot, hexadecimal.
    pub snapshot: String,
    /// Streams: name, kind, rows, bytes.
    pub streams: Vec<StreamEntry>,
}

impl Document for LsResult {
    const COMMAND: &'static str = "ls";
    const FIELDS: &'static [Field] =
        &[field("snapshot", "Id of the snapshot, hexadecimal."), field("streams", "Streams: name, kind, rows, bytes.")];
}

/// A restored database.
#[derive(Clone, Debug, Serialize)]
pub struct RestoreResult {
    /// Database that holds the data now.
    pub database: String,
    /// Name under which the old database was kept, with --swap.
    pub kept_database: Option<String>,
    /// Tables: name, rows, expected.
    pub tables: Vec<RestoredTable>,
    /// Whether rows and digests of every table are those of the snapshot.
    pub verified: bool,
    /// Wall time, milliseconds.
    pub duration_ms: u64,
    /// Findings: severity, what, object, advice.
    pub findings: Vec<FindingEntry>,
}

impl Document for RestoreResult {
    const COMMAND: &'static str = "restore --to";
    const FIELDS: &'static [Field] = &[
        field("database", "Database that holds the data now."),
        field("kept_database", "Name under which the old database was kept, with --swap."),
        field("tables", "Tables: name, rows, expected."),
        field("verified", "Whether rows and digests of every table are those of the snapshot."),
        field("duration_ms", "Wall time, milliseconds."),
        field("findings", "Findings: severity, what, object, advice."),
    ];
}

/// A restored archive or stream.
#[derive(Clone, Debug, Serialize)]
pub struct RestoreToBytesResult {
    /// Bytes written.
    pub bytes: u64,
    /// BLAKE3 of them, as recorded when they were backed up and proved now.
    pub blake3: String,
}

impl Document for RestoreToBytesResult {
    const COMMAND: &'static str = "restore --to-file, --to-command";
    const FIELDS: &'static [Field] = &[
        field("bytes", "Bytes written."),
        field("blake3", "BLAKE3 of them, as recorded when they were backed up and proved now."),
    ];
}

/// An audit.
#[derive(Clone, Debug, Serialize)]
pub struct CheckResult {
    /// Highest level that was proved, 1 to 5.
    pub level: u8,
    /// Packs that were looked at.
    pub packs: u64,
    /// Bytes read from the store.
    pub bytes_read: u64,
    /// Findings: severity (note, warning, damage), what, object, advice.
    pub findings: Vec<CheckFinding>,
    /// What this run could not or did not prove, and what would.
    pub not_proved: Vec<String>,
}

impl Document for CheckResult {
    const COMMAND: &'static str = "repo check";
    const FIELDS: &'static [Field] = &[
        field("level", "Highest level that was proved, 1 to 5."),
        field("packs", "Packs that were looked at."),
        field("bytes_read", "Bytes read from the store."),
        field("findings", "Findings: severity (note, warning, damage), what, object, advice."),
        field("not_proved", "What this run could not or did not prove, and what would."),
    ];
}

/// Sizes and counts.
#[derive(Clone, Debug, Serialize)]
pub struct StatsResult {
    /// Live snapshots.
    pub snapshots: u64,
    /// Jobs that have a live snapshot.
    pub jobs: u64,
    /// Objects in the store.
    pub objects: u64,
    /// Packs in the store.
    pub packs: u64,
    /// Bytes of all objects.
    pub bytes_stored: u64,
    /// Per job: job, snapshots, bytes.
    pub per_job: Vec<JobStats>,
    /// Bytes of packs.
    pub bytes_packs: u64,
    /// Bytes of everything else.
    pub bytes_metadata: u64,
    /// Bytes in packs that nothing needs, or null where that cannot be known.
    pub bytes_dead: Option<u64>,
    /// Bytes of packs that the next prune deletes as they are, or null.
    pub bytes_reclaimable: Option<u64>,
    /// Dead bytes per hundred bytes of packs, or null.
    pub dead_percent: Option<u64>,
    /// Bytes that live snapshots would have without deduplication and compression.
    pub bytes_referenced: u64,
    /// Chunks stored.
    pub chunks: u64,
    /// Time of the oldest live snapshot, RFC 3339, UTC.
    pub oldest: Option<String>,
    /// Time of the newest live snapshot, RFC 3339, UTC.
    pub newest: Option<String>,
}

impl Document for StatsResult {
    const COMMAND: &'static str = "repo stats";
    const FIELDS: &'static [Field] = &[
        field("snapshots", "Live snapshots."),
        field("jobs", "Jobs that have a live snapshot."),
        field("objects", "Objects in the store."),
        field("packs", "Packs in the store."),
        field("bytes_stored", "Bytes of all objects."),
        field("per_job", "Per job: job, snapshots, bytes."),
        field("bytes_packs", "Bytes of packs."),
        field("bytes_metadata", "Bytes of everything else."),
        field("bytes_dead", "Bytes in packs that nothing needs, or null where that cannot be known."),
        field("bytes_reclaimable", "Bytes of packs that the next prune deletes as they are, or null."),
        field("dead_percent", "Dead bytes per hundred bytes of packs, or null."),
        field("bytes_referenced", "Bytes that live snapshots would have without deduplication and compression."),
        field("chunks", "Chunks stored."),
        field("oldest", "Time of the oldest live snapshot, RFC 3339, UTC."),
        field("newest", "Time of the newest live snapshot, RFC 3339, UTC."),
    ];
}

/// Rebuilt caches.
#[derive(Clone, Debug, Serialize)]
pub struct RebuildResult {
    /// Objects listed.
    pub objects: u64,
    /// Packs whose contents are known again.
    pub packs: u64,
    /// Chunks whose place is known again.
    pub chunks: u64,
    /// Wall time, milliseconds.
    pub duration_ms: u64,
    /// Findings: severity, what, object, advice.
    pub findings: Vec<FindingEntry>,
}

impl Document for RebuildResult {
    const COMMAND: &'static str = "repo rebuild";
    const FIELDS: &'static [Field] = &[
        field("objects", "Objects listed."),
        field("packs", "Packs whose contents are known again."),
        field("chunks", "Chunks whose place is known again."),
        field("duration_ms", "Wall time, milliseconds."),
        field("findings", "Findings: severity, what, object, advice."),
    ];
}

/// What the rules kept and forgot.
#[derive(Clone, Debug, Serialize)]
pub struct ForgetResult {
    /// Whether this was only the plan.
    pub dry_run: bool,
    /// Kept: snapshot, job, time, reasons.
    pub kept: Vec<KeptEntry>,
    /// Forgotten: snapshot, job, time.
    pub forgotten: Vec<ForgottenEntry>,
    /// With `--prune`: the document of `repo prune`, without `schema`.
    pub pruned: Option<PruneResult>,
}

impl Document for ForgetResult {
    const COMMAND: &'static str = "forget";
    const FIELDS: &'static [Field] = &[
        field("dry_run", "Whether this was only the plan."),
        field("kept", "Kept: snapshot, job, time, reasons."),
        field("forgotten", "Forgotten: snapshot, job, time."),
        field("pruned", "With `--prune`: the document of `repo prune`, without `schema`."),
    ];
}

/// A snapshot brought back.
#[derive(Clone, Debug, Serialize)]
pub struct UndoResult {
    /// Id of the snapshot, hexadecimal.
    pub snapshot: String,
    /// Its state now.
    pub state: SnapshotState,
}

impl Document for UndoResult {
    const COMMAND: &'static str = "forget --undo";
    const FIELDS: &'static [Field] =
        &[field("snapshot", "Id of the snapshot, hexadecimal."), field("state", "Its state now.")];
}

/// A hold set or ended.
#[derive(Clone, Debug, Serialize)]
pub struct HoldResult {
    /// Id of the snapshot, hexadecimal.
    pub snapshot: String,
    /// Whether a legal hold is on it now.
    pub held: bool,
}

impl Document for HoldResult {
    const COMMAND: &'static str = "hold, release";
    const FIELDS: &'static [Field] =
        &[field("snapshot", "Id of the snapshot, hexadecimal."), field("held", "Whether a legal hold is on it now.")];
}

/// The mistakes in the configuration.
#[derive(Clone, Debug, Serialize)]
pub struct ConfigCheckResult {
    /// File that was checked, or null when there is none.
    pub file: Option<String>,
    /// Whether commands accept the file.
    pub ok: bool,
    /// Problems: severity (note, warning, error), line, column, what, fix.
    pub problems: Vec<ConfigProblem>,
}

impl Document for ConfigCheckResult {
    const COMMAND: &'static str = "config check";
    const FIELDS: &'static [Field] = &[
        field("file", "File that was checked, or null when there is none."),
        field("ok", "Whether commands accept the file."),
        field("problems", "Problems: severity (note, warning, error), line, column, what, fix."),
    ];
}

/// The settled values.
#[derive(Clone, Debug, Serialize)]
pub struct ConfigShowResult {
    /// File that was read, or null when there is none.
    pub file: Option<String>,
    /// Settings: key, value as it would be written (passwords hidden), origin.
    pub settings: Vec<ConfigSetting>,
}

impl Document for ConfigShowResult {
    const COMMAND: &'static str = "config show";
    const LINES: Lines = Lines::AsTheyAre;
    const FIELDS: &'static [Field] = &[
        field("file", "File that was read, or null when there is none."),
        field("settings", "Settings: key, value as it would be written (passwords hidden), origin."),
    ];
}

/// A converted .env file.
#[derive(Clone, Debug, Serialize)]
pub struct FromEnvResult {
    /// Text of the lacre.toml.
    pub toml: String,
    /// What was not understood or not copied.
    pub warnings: Vec<String>,
}

impl Document for FromEnvResult {
    const COMMAND: &'static str = "config from-env";
    const LINES: Lines = Lines::AsTheyAre;
    const FIELDS: &'static [Field] =
        &[field("toml", "Text of the lacre.toml."), field("warnings", "What was not understood or not copied.")];
}

/// The state of this host.
#[derive(Clone, Debug, Serialize)]
pub struct DoctorResult {
    /// Whether nothing should be changed.
    pub ok: bool,
    /// Checks: name, ok, value, advice.
    pub checks: Vec<DoctorCheck>,
}

impl Document for DoctorResult {
    const COMMAND: &'static str = "doctor";
    const FIELDS: &'static [Field] =
        &[field("ok", "Whether nothing should be changed."), field("checks", "Checks: name, ok, value, advice.")];
}

/// Written man pages.
#[derive(Clone, Debug, Serialize)]
pub struct ManResult {
    /// Files that were written.
    pub files: Vec<String>,
}

impl Document for ManResult {
    const COMMAND: &'static str = "man";
    const LINES: Lines = Lines::AsTheyAre;
    const FIELDS: &'static [Field] = &[field("files", "Files that were written.")];
}

/// Command and fields of every document, in the order of the reference.
pub(super) fn all() -> Vec<(&'static str, &'static [Field])> {
    fn entry<D: Document>() -> (&'static str, &'static [Field]) {
        (D::COMMAND, D::FIELDS)
    }
    vec![
        entry::<InitResult>(),
        entry::<BackupResult>(),
        entry::<BackupsResult>(),
        entry::<ImportResult>(),
        entry::<SnapshotsResult>(),
        entry::<ShowResult>(),
        entry::<LsResult>(),
        entry::<RestoreResult>(),
        entry::<RestoreToBytesResult>(),
        entry::<RowsResult>(),
        entry::<DiffResult>(),
        entry::<HistoryResult>(),
        entry::<RecoverResult>(),
        entry::<SpotResult>(),
        entry::<DrillResult>(),
        entry::<CheckResult>(),
        entry::<StatsResult>(),
        entry::<RebuildResult>(),
        entry::<RepairResult>(),
        entry::<PruneResult>(),
        entry::<AdoptResult>(),
        entry::<CopySyncResult>(),
        entry::<CopyListResult>(),
        entry::<CopyVerifyResult>(),
        entry::<ForgetResult>(),
        entry::<UndoResult>(),
        entry::<HoldResult>(),
        entry::<SealStatusResult>(),
        entry::<RotateResult>(),
        entry::<EraseResult>(),
        entry::<ErasuresResult>(),
        entry::<ProveResult>(),
        entry::<ReceiptResult>(),
        entry::<KitResult>(),
        entry::<CellChangeResult>(),
        entry::<GuardResult>(),
        entry::<KeyListResult>(),
        entry::<KeyRequestResult>(),
        entry::<EnrolResult>(),
        entry::<JoinResult>(),
        entry::<RevokeResult>(),
        entry::<AddRecipientResult>(),
        entry::<RemoveRecipientResult>(),
        entry::<DelegateResult>(),
        entry::<ConfigCheckResult>(),
        entry::<ConfigShowResult>(),
        entry::<FromEnvResult>(),
        entry::<StatusResult>(),
        entry::<CostResult>(),
        entry::<ReportResult>(),
        entry::<DashboardResult>(),
        entry::<ScheduleResult>(),
        entry::<DaemonResult>(),
        entry::<DoctorResult>(),
        entry::<RunbookResult>(),
        entry::<ManResult>(),
    ]
}
