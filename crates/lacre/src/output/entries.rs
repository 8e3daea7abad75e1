//! The entries that documents list: streams, snapshots, findings, holders.

use serde::Serialize;

/// What became of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotState {
    /// It can be restored.
    Live,
    /// Dropped by `forget`, reclaimable, can be brought back.
    Forgotten,
    /// Its keys are destroyed.
    Erased,
    /// An erasure that covers it is not complete.
    Pending,
}

impl SnapshotState {
    /// Returns the word shown and used in JSON.
    pub fn name(self) -> &'static str {
        match self {
            SnapshotState::Live => "live",
            SnapshotState::Forgotten => "forgotten",
            SnapshotState::Erased => "erased",
            SnapshotState::Pending => "pending",
        }
    }
}

/// One stream of a backup.
#[derive(Clone, Debug, Serialize)]
pub struct BackupStream {
    /// Name.
    pub name: String,
    /// Kind: table, blobs, toc, framing, globals, lines, bytes.
    pub kind: String,
    /// Rows, where the stream has rows.
    pub rows: Option<u64>,
    /// Bytes.
    pub bytes: u64,
}

/// Something a person should know.
#[derive(Clone, Debug, Serialize)]
pub struct FindingEntry {
    /// note, warning or damage.
    pub severity: String,
    /// What was found.
    pub what: String,
    /// On what.
    pub object: String,
    /// What to do.
    pub advice: String,
}

/// One line of the list of snapshots.
#[derive(Clone, Debug, Serialize)]
pub struct SnapshotEntry {
    /// Id, hexadecimal.
    pub snapshot: String,
    /// Job.
    pub job: String,
    /// RFC 3339, UTC.
    pub time: String,
    /// Bytes of all streams.
    pub bytes: Option<u64>,
    /// Rows of all streams.
    pub rows: Option<u64>,
    /// State.
    pub state: SnapshotState,
    /// Whether a legal hold is on it.
    pub held: bool,
}

/// One stream as `ls` lists it.
#[derive(Clone, Debug, Serialize)]
pub struct StreamEntry {
    /// Name.
    pub name: String,
    /// Kind.
    pub kind: String,
    /// Rows, where the stream has rows.
    pub rows: Option<u64>,
    /// Bytes.
    pub bytes: u64,
}

/// One stream with its digests, shown only to who opened the snapshot.
#[derive(Clone, Debug, Serialize)]
pub struct ShowStream {
    /// Name.
    pub name: String,
    /// Kind.
    pub kind: String,
    /// Rows, where the stream has rows.
    pub rows: Option<u64>,
    /// Bytes.
    pub bytes: u64,
    /// BLAKE3, hexadecimal.
    pub blake3: String,
    /// Order-independent digest of its rows, hexadecimal.
    pub row_digest: Option<String>,
}

/// One restored table.
#[derive(Clone, Debug, Serialize)]
pub struct RestoredTable {
    /// Name.
    pub name: String,
    /// Rows in the database now.
    pub rows: u64,
    /// Rows in the snapshot.
    pub expected: u64,
}

/// Something the audit found.
#[derive(Clone, Debug, Serialize)]
pub struct CheckFinding {
    /// note, warning or damage.
    pub severity: String,
    /// What was found.
    pub what: String,
    /// Object of the store, or snapshot.
    pub object: String,
    /// What to do.
    pub advice: String,
}

/// A snapshot that stays, and why.
#[derive(Clone, Debug, Serialize)]
pub struct KeptEntry {
    /// Id, hexadecimal.
    pub snapshot: String,
    /// Job.
    pub job: String,
    /// RFC 3339, UTC.
    pub time: String,
    /// Rules that want it.
    pub reasons: Vec<String>,
}

/// A snapshot that no rule wants.
#[derive(Clone, Debug, Serialize)]
pub struct ForgottenEntry {
    /// Id, hexadecimal.
    pub snapshot: String,
    /// Job.
    pub job: String,
    /// RFC 3339, UTC.
    pub time: String,
}

/// A cell or kit.
#[derive(Clone, Debug, Serialize)]
pub struct SealHolder {
    /// cell or kit.
    pub kind: String,
    /// Where the cell is, or the kit's number.
    pub name: String,
    /// Generation it holds, when known.
    pub generation: Option<u32>,
    /// Whether it is proved to hold the current generation.
    pub verified: bool,
    /// What was found.
    pub what: String,
}

/// Someone who may read.
#[derive(Clone, Debug, Serialize)]
pub struct RecipientEntry {
    /// age, age-pq, passphrase or openpgp.
    pub kind: String,
    /// Public key or fingerprint.
    pub recipient: String,
    /// When it was added, RFC 3339, UTC.
    pub added: Option<String>,
}

/// A machine that may write.
#[derive(Clone, Debug, Serialize)]
pub struct HomeEntry {
    /// Id, hexadecimal.
    pub home: String,
    /// writer, maintenance or admin.
    pub role: String,
    /// Whether it is this machine.
    pub this_host: bool,
    /// The operator's name for it.
    pub label: String,
    /// enrolled, being revoked or revoked.
    pub state: String,
    /// Snapshots of it that count.
    pub snapshots: u64,
    /// When its newest snapshot was taken, RFC 3339, UTC, or null.
    pub last_snapshot: Option<String>,
    /// When its key was revoked, RFC 3339, UTC, or null.
    pub revoked: Option<String>,
}

/// A mistake in the configuration.
#[derive(Clone, Debug, Serialize)]
pub struct ConfigProblem {
    /// note, warning or error.
    pub severity: String,
    /// Line from 1.
    pub line: Option<u64>,
    /// Column from 1, in characters.
    pub column: Option<u64>,
    /// What is wrong.
    pub what: String,
    /// What to write or do instead.
    pub fix: String,
}

/// A settled value.
#[derive(Clone, Debug, Serialize)]
pub struct ConfigSetting {
    /// Dotted name.
    pub key: String,
    /// Value as it would be written; passwords hidden.
    pub value: String,
    /// Flag, environment, file:line:column or default.
    pub origin: String,
}

/// One thing the doctor looked at.
#[derive(Clone, Debug, Serialize)]
pub struct DoctorCheck {
    /// Name.
    pub name: String,
    /// Whether it is fine.
    pub ok: bool,
    /// What was found.
    pub value: String,
    /// What to do when it is not.
    pub advice: Option<String>,
}

/// A job that gave no snapshot.
#[derive(Clone, Debug, Serialize)]
pub struct JobFailure {
    /// Job.
    pub job: String,
    /// Kind of the error, as in error documents.
    pub kind: String,
    /// What failed, on what, why.
    pub message: String,
    /// The next command to type.
    pub hint: Option<String>,
    /// The exit code it would have had alone.
    pub exit: u8,
}

/// The live snapshots of one job.
#[derive(Clone, Debug, Serialize)]
pub struct JobStats {
    /// Job.
    pub job: String,
    /// Live snapshots.
    pub snapshots: u64,
    /// Bytes they would have without deduplication and compression.
    pub bytes: u64,
}
