//! The document of `repo prune`.

use serde::Serialize;

use super::{Document, Field, FindingEntry};

const fn field(name: &'static str, help: &'static str) -> Field {
    Field { name, help }
}

/// A pack in a plan.
#[derive(Clone, Debug, Serialize)]
pub struct PrunePack {
    /// Name, hexadecimal.
    pub pack: String,
    /// Length.
    pub bytes: u64,
    /// Frames in it.
    pub frames: u64,
    /// Frames of them that are needed.
    pub frames_needed: u64,
    /// Bytes that nothing needs.
    pub bytes_dead: u64,
    /// Who needs it, or why it is left alone.
    pub why: String,
}

/// A session that has to end first.
#[derive(Clone, Debug, Serialize)]
pub struct WaitingEntry {
    /// Id of the snapshot it would make, hexadecimal.
    pub session: String,
    /// Home that opened it.
    pub home: String,
    /// When, by the store's clock, RFC 3339, UTC.
    pub opened: String,
    /// Why it is waited for.
    pub why: String,
}

/// What was, or would be, given back.
#[derive(Clone, Debug, Serialize)]
pub struct PruneResult {
    /// Whether this was only the plan.
    pub dry_run: bool,
    /// nothing, planned (with --dry-run), done or pending.
    pub state: String,
    /// Snapshots reclaimed.
    pub snapshots: u64,
    /// Packs in the store before.
    pub packs: u64,
    /// Bytes of packs before.
    pub bytes_packs: u64,
    /// Bytes of them that nothing needed.
    pub bytes_dead: u64,
    /// Packs deleted.
    pub packs_deleted: u64,
    /// Packs of them of which something was copied first.
    pub packs_repacked: u64,
    /// Bytes of the deleted packs.
    pub bytes_deleted: u64,
    /// Bytes written for what was copied.
    pub bytes_written: u64,
    /// The difference.
    pub bytes_freed: u64,
    /// Objects of all kinds deleted.
    pub objects_deleted: u64,
    /// Packs that go.
    pub delete: Vec<PrunePack>,
    /// Packs that are thinned.
    pub repack: Vec<PrunePack>,
    /// Packs that stay with dead bytes.
    pub kept: Vec<PrunePack>,
    /// Why not everything that is dead enough is repacked.
    pub held_back: Option<String>,
    /// Sessions that have to end first.
    pub waiting: Vec<WaitingEntry>,
    /// Findings: severity, what, object, advice.
    pub findings: Vec<FindingEntry>,
}

impl Document for PruneResult {
    const COMMAND: &'static str = "repo prune";
    const FIELDS: &'static [Field] = &[
        field("dry_run", "Whether this was only the plan."),
        field("state", "nothing, planned (with --dry-run), done or pending."),
        field("snapshots", "Snapshots reclaimed."),
        field("packs", "Packs in the store before."),
        field("bytes_packs", "Bytes of packs before."),
        field("bytes_dead", "Bytes of them that nothing needed."),
        field("packs_deleted", "Packs deleted."),
        field("packs_repacked", "Packs of them of which something was copied first."),
        field("bytes_deleted", "Bytes of the deleted packs."),
        field("bytes_written", "Bytes written for what was copied."),
        field("bytes_freed", "The difference."),
        field("objects_deleted", "Objects of all kinds deleted."),
        field("delete", "Packs that go: pack, bytes, frames, frames_needed, bytes_dead, why."),
        field("repack", "Packs that are thinned, likewise."),
        field("kept", "With --dry-run: packs that stay with dead bytes, likewise."),
        field("held_back", "Why not everything that is dead enough is repacked, or null."),
        field("waiting", "Sessions that have to end first: session, home, opened, why."),
        field("findings", "Findings: severity, what, object, advice."),
    ];
}
