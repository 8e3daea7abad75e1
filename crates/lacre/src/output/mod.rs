//! The JSON documents the commands print: names and fields are the contract of `docs/CLI.md`.
//!
//! In: plain values. Out: one versioned document per command. These structs exist for printing only; nothing inside Lacre is
//! serialized by deriving. No plaintext digest, key or value of a database ever has a field here.

mod backup;
mod copies;
mod cost;
mod documents;
mod drill;
mod entries;
mod erasure;
mod import;
mod keys;
mod operate;
mod prune;
mod repair;
mod report;
mod rows;
mod runbook;
mod seal;

use serde::Serialize;

use crate::term::page::Lines;

pub use self::{
    backup::{BackupResult, BackupsResult},
    copies::{
        AdoptResult, CopyEntry, CopyListResult, CopySyncEntry, CopySyncResult, CopyVerifyEntry, CopyVerifyResult,
    },
    cost::{CostEntry, CostMonth, CostResult},
    documents::{
        CheckResult, ConfigCheckResult, ConfigShowResult, DoctorResult, ForgetResult, FromEnvResult, HoldResult,
        InitResult, LsResult, ManResult, RebuildResult, RestoreResult, RestoreToBytesResult, ShowResult,
        SnapshotsResult, StatsResult, UndoResult,
    },
    drill::{DrillCheck, DrillResult},
    entries::{
        BackupStream, CheckFinding, ConfigProblem, ConfigSetting, DoctorCheck, FindingEntry, ForgottenEntry, HomeEntry,
        JobFailure, JobStats, KeptEntry, RecipientEntry, RestoredTable, SealHolder, ShowStream, SnapshotEntry,
        SnapshotState, StreamEntry,
    },
    erasure::{
        EraseResult, ErasedEntry, ErasedTableEntry, ErasureEntry, ErasuresResult, PendingEntry, ProveResult,
        ReceiptAccount, ReceiptCell, ReceiptKit, ReceiptPerson, ReceiptResult, ReceiptSnapshot, ReceiptSuccessor,
        ReceiptText, RotateResult, TraceEntry,
    },
    import::{ImportResult, ImportedFile, RefusedFile, SkippedFile},
    keys::{
        AddRecipientResult, DelegateResult, DelegatedEntry, EnrolResult, JoinResult, KeyListResult, KeyRequestResult,
        RemovalEntry, RemoveRecipientResult, RevokeResult,
    },
    operate::{
        DaemonResult, HeldBackEntry, NotificationEntry, RunEntry, ScheduleFile, ScheduleResult, StatusCheck,
        StatusResult,
    },
    prune::{PrunePack, PruneResult, WaitingEntry},
    repair::{IncompleteEntry, LostStreamEntry, MendedEntry, RepairResult, StretchEntry},
    report::{ChecklistEntry, DashboardResult, ReportResult},
    rows::{
        DiffResult, HistoryResult, RecoverResult, RowDifference, RowVersion, RowsResult, SpotResult, SpotTable,
        TableDifference,
    },
    runbook::{RunbookBlock, RunbookResult},
    seal::{CellChangeResult, GuardResult, KitResult, SealStatusResult},
};

/// The version of every JSON document; fields may be added without changing it.
pub const SCHEMA: u32 = 1;

/// One field of a document, for the reference.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it holds, with its unit.
    pub help: &'static str,
}

/// A command's result.
pub trait Document: Serialize {
    /// The commands that print it, as they are typed.
    const COMMAND: &'static str;
    /// Its fields in order, without `schema`.
    const FIELDS: &'static [Field];
    /// How its text is written on a terminal.
    const LINES: Lines = Lines::Folded;
}

#[derive(Serialize)]
struct Versioned<'a, D: Serialize> {
    schema: u32,
    #[serde(flatten)]
    document: &'a D,
}

/// Turns a document into its text, with a line end.
pub fn to_json(document: &impl Document) -> String {
    let versioned = Versioned { schema: SCHEMA, document };
    let mut text = serde_json::to_string_pretty(&versioned).expect("a document of texts and numbers is always JSON");
    text.push('\n');
    text
}

/// Command and fields of every document, for the reference.
pub fn all() -> Vec<(&'static str, &'static [Field])> {
    documents::all()
}

#[cfg(test)]
mod tests;
