//! The documents of `copy` and `repo adopt`.

use serde::Serialize;

use super::{CheckFinding, Document, Field, FindingEntry};

const fn field(name: &'static str, help: &'static str) -> Field {
    Field { name, help }
}

/// A copy that was brought up to date, or not.
#[derive(Clone, Debug, Serialize)]
pub struct CopySyncEntry {
    /// Its name.
    pub name: String,
    /// How it stands now.
    pub state: String,
    /// Packs sent.
    pub packs_sent: u64,
    /// Bytes of all objects sent.
    pub bytes_sent: u64,
    /// Objects sent.
    pub objects_sent: u64,
    /// Objects deleted because an executed prune deleted them.
    pub objects_deleted: u64,
    /// Live snapshots it lacks.
    pub lag_snapshots: u64,
    /// When this host last left it complete, RFC 3339, UTC, or null.
    pub last_sync: Option<String>,
    /// Findings: severity, what, object, advice.
    pub findings: Vec<FindingEntry>,
}

/// What every copy was sent.
#[derive(Clone, Debug, Serialize)]
pub struct CopySyncResult {
    /// One entry for each copy.
    pub copies: Vec<CopySyncEntry>,
}

impl Document for CopySyncResult {
    const COMMAND: &'static str = "copy sync";
    const FIELDS: &'static [Field] = &[field(
        "copies",
        "Copies: name, state (current, behind, old-generation, empty, missing, unreachable, ahead, forked, foreign), packs_sent, bytes_sent, objects_sent, objects_deleted, lag_snapshots, last_sync, findings.",
    )];
}

/// A copy beside its repository.
#[derive(Clone, Debug, Serialize)]
pub struct CopyEntry {
    /// Its name.
    pub name: String,
    /// How it stands.
    pub state: String,
    /// Live snapshots it lacks.
    pub lag_snapshots: u64,
    /// Objects it lacks.
    pub lag_objects: u64,
    /// How many of them are log entries.
    pub lag_records: u64,
    /// Their bytes.
    pub lag_bytes: u64,
    /// Number of the newest seal generation whose bundle it holds, or null.
    pub generation: Option<u32>,
    /// When this host last left it complete, RFC 3339, UTC, or null.
    pub last_sync: Option<String>,
    /// Findings: severity, what, object, advice.
    pub findings: Vec<FindingEntry>,
}

/// How every copy stands.
#[derive(Clone, Debug, Serialize)]
pub struct CopyListResult {
    /// One entry for each copy.
    pub copies: Vec<CopyEntry>,
}

impl Document for CopyListResult {
    const COMMAND: &'static str = "copy list";
    const FIELDS: &'static [Field] = &[field(
        "copies",
        "Copies: name, state, lag_snapshots, lag_objects, lag_records (log entries among them), lag_bytes, generation, last_sync, findings.",
    )];
}

/// A copy that was audited by itself.
#[derive(Clone, Debug, Serialize)]
pub struct CopyVerifyEntry {
    /// Its name.
    pub name: String,
    /// How it stands beside the repository.
    pub state: String,
    /// Live snapshots it lacks.
    pub lag_snapshots: u64,
    /// Packs in it.
    pub packs: u64,
    /// Packs that were read and hashed.
    pub packs_read: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Findings: severity, what, object, advice.
    pub findings: Vec<CheckFinding>,
}

/// What the audits found.
#[derive(Clone, Debug, Serialize)]
pub struct CopyVerifyResult {
    /// One entry for each copy.
    pub copies: Vec<CopyVerifyEntry>,
}

impl Document for CopyVerifyResult {
    const COMMAND: &'static str = "copy verify";
    const FIELDS: &'static [Field] =
        &[field("copies", "Copies: name, state, lag_snapshots, packs, packs_read, bytes_read, findings.")];
}

/// A copy that became the repository, or would.
#[derive(Clone, Debug, Serialize)]
pub struct AdoptResult {
    /// Whether this was only the plan.
    pub dry_run: bool,
    /// Number of the policy that makes it the repository.
    pub policy: u32,
    /// Number of the newest policy known before.
    pub from: u32,
    /// Number of the seal generation.
    pub generation: u32,
    /// Live snapshots that are kept.
    pub snapshots: u64,
    /// Signed records this host brings that the copy had not heard of.
    pub brought: u32,
    /// Snapshots that this host knows and the copy does not hold, hexadecimal.
    pub lost: Vec<String>,
    /// Snapshots of the copy that the newer seal this host leads to has no key entry of, hexadecimal.
    pub closed: Vec<String>,
    /// Backups that were under way, hexadecimal.
    pub sessions: Vec<String>,
    /// Erasures that are decided and not carried out.
    pub erasures: Vec<String>,
    /// Why an erasure may be missing; without --accept-unseen each refuses.
    pub unseen: Vec<String>,
    /// Losses and findings: severity, what, object, advice.
    pub findings: Vec<FindingEntry>,
}

impl Document for AdoptResult {
    const COMMAND: &'static str = "repo adopt";
    const FIELDS: &'static [Field] = &[
        field("dry_run", "Whether this was only the plan."),
        field("policy", "Number of the policy that makes it the repository."),
        field("from", "Number of the newest policy known before."),
        field("generation", "Number of the seal generation."),
        field("snapshots", "Live snapshots that are kept."),
        field("brought", "Signed records this host brings that the copy had not heard of."),
        field("lost", "Snapshots that this host knows and the copy does not hold, hexadecimal."),
        field(
            "closed",
            "Snapshots of the copy that the newer seal this host leads to has no key entry of, hexadecimal.",
        ),
        field("sessions", "Backups that were under way, hexadecimal."),
        field("erasures", "Erasures that are decided and not carried out."),
        field("unseen", "Why an erasure may be missing; without --accept-unseen each refuses."),
        field("findings", "Losses and findings: severity, what, object, advice."),
    ];
}
