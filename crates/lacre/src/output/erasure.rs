//! The JSON documents of erasures, rotations and receipts.

use serde::{Deserialize, Serialize};

use super::{Document, Field};
use crate::term::page::Lines;

const fn field(name: &'static str, help: &'static str) -> Field {
    Field { name, help }
}

/// One snapshot of an erasure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedEntry {
    /// Id of the erased snapshot, hexadecimal.
    pub old: String,
    /// Id of its successor without the person's rows, or null.
    pub new: Option<String>,
    /// Rows left out of the successor, or null for a whole snapshot.
    pub rows_removed: Option<u64>,
}

/// Something an erasure waits for.
#[derive(Clone, Debug, Serialize)]
pub struct PendingEntry {
    /// What, as `erase attest` takes it.
    pub item: String,
    /// What is the matter.
    pub what: String,
    /// The command that settles it.
    pub command: String,
}

/// What an erasure of a person does to a table, over all snapshots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedTableEntry {
    /// Table.
    pub table: String,
    /// Rows removed.
    pub removed: u64,
    /// Rows changed.
    pub changed: u64,
    /// Rows kept as they are.
    pub kept: u64,
    /// Why they are kept.
    pub bases: Vec<String>,
}

/// Traces of a person in what survives; never a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceEntry {
    /// Table or stream.
    pub place: String,
    /// Column, or null.
    pub column: Option<String>,
    /// Column of the person's own row the identifier belongs to.
    pub identifier: String,
    /// Form it was found in.
    pub form: String,
    /// How often.
    pub count: u64,
}

/// An erasure, or what it would do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct EraseResult {
    /// Id of the erasure, hexadecimal; null for a dry run.
    pub erasure: Option<String>,
    /// Snapshots.
    pub snapshots: Vec<ErasedEntry>,
    /// planned, nothing (of a person: found nowhere, nothing signed), pending, interim, complete or cancelled.
    pub state: String,
    /// What it waits for.
    pub pending: Vec<PendingEntry>,
    /// Receipt file, or null.
    pub receipt: Option<String>,
    /// Stored bytes that die.
    pub bytes_dead: u64,
    /// Stored bytes that stay readable because survivors share them.
    pub bytes_shared: u64,
    /// Open backups of the same jobs, not included: snapshot ids.
    pub in_flight: Vec<String>,
    /// Hosts whose next backup the erasure waits for.
    pub writers: Vec<String>,
    /// Forgotten snapshots that die with the same change of the seal.
    pub forgotten: u64,
    /// Salt of the request's hash, hexadecimal, or null: keep it with the request.
    pub request_salt: Option<String>,
    /// Of a person: tables with rows of theirs.
    pub tables: Vec<ErasedTableEntry>,
    /// Of a person: traces that are left.
    pub traces: Vec<TraceEntry>,
    /// Of a person: identifiers that were not searched for, by their columns.
    pub unsearched: Vec<String>,
    /// Of a person: held snapshots, which keep the person until they are released.
    pub held: Vec<String>,
    /// Of a person: what to look at before it is carried out.
    pub cautions: Vec<String>,
    /// Of a person: plaintext bytes searched, each stored piece once.
    pub bytes_read: u64,
    /// Of a person: bytes added to the store.
    pub bytes_written: u64,
}

impl Document for EraseResult {
    const COMMAND: &'static str = "erase snapshot, erase job, erase person";
    const FIELDS: &'static [Field] = &[
        field("erasure", "Id of the erasure, hexadecimal; null for a dry run."),
        field("snapshots", "Snapshots: old, new, rows_removed."),
        field(
            "state",
            "planned, nothing (of a person: found nowhere, nothing signed), pending, interim, complete or cancelled.",
        ),
        field("pending", "What it waits for: item, what, command."),
        field("receipt", "Receipt file, or null."),
        field("bytes_dead", "Stored bytes that die."),
        field("bytes_shared", "Stored bytes that stay readable because survivors share them."),
        field("in_flight", "Open backups of the same jobs, not included: snapshot ids."),
        field("writers", "Hosts whose next backup the erasure waits for."),
        field("forgotten", "Forgotten snapshots that die with the same change of the seal."),
        field("request_salt", "Salt of the request's hash, hexadecimal, or null: keep it with the request."),
        field("tables", "Of a person, tables with rows of theirs: table, removed, changed, kept, bases."),
        field("traces", "Of a person, traces that are left: place, column, identifier, form, count; never a value."),
        field("unsearched", "Of a person, identifiers that were not searched for, by their columns."),
        field("held", "Of a person, held snapshots, which keep the person until they are released."),
        field("cautions", "Of a person, what to look at before it is carried out."),
        field("bytes_read", "Of a person, plaintext bytes searched, each stored piece once."),
        field("bytes_written", "Of a person, bytes added to the store."),
    ];
}

/// One erasure as it stands.
#[derive(Clone, Debug, Serialize)]
pub struct ErasureEntry {
    /// Id, hexadecimal.
    pub erasure: String,
    /// When the intent was signed, RFC 3339, UTC.
    pub time: String,
    /// Snapshot ids.
    pub snapshots: Vec<String>,
    /// pending, interim, complete or cancelled.
    pub state: String,
    /// What it waits for.
    pub pending: Vec<PendingEntry>,
    /// Items an admin vouched for.
    pub declared: Vec<String>,
    /// Receipt file written now, or null.
    pub receipt: Option<String>,
}

/// All erasures.
#[derive(Clone, Debug, Serialize)]
pub struct ErasuresResult {
    /// Erasures, oldest first.
    pub erasures: Vec<ErasureEntry>,
}

impl Document for ErasuresResult {
    const COMMAND: &'static str = "erase status, erase resume, erase cancel, erase approve, erase attest";
    const FIELDS: &'static [Field] =
        &[field("erasures", "Erasures, oldest first: erasure, time, snapshots, state, pending, declared, receipt.")];
}

/// A change of the seal.
#[derive(Clone, Debug, Serialize)]
pub struct RotateResult {
    /// Generation before.
    pub from: u32,
    /// Generation now.
    pub to: u32,
    /// Key entries carried over.
    pub carried: u32,
    /// Snapshots left behind, hexadecimal.
    pub dropped: Vec<String>,
    /// closed, pending, not_due, or by_hand where it is due and cannot happen without a person.
    pub state: String,
    /// What it waits for.
    pub pending: Vec<PendingEntry>,
    /// When the next change is due by `rotate_every`, RFC 3339, UTC, or null.
    pub due: Option<String>,
}

impl Document for RotateResult {
    const COMMAND: &'static str = "seal rotate";
    const FIELDS: &'static [Field] = &[
        field("from", "Seal generation before."),
        field("to", "Seal generation now."),
        field("carried", "Key entries carried over."),
        field("dropped", "Snapshots left behind, hexadecimal."),
        field("state", "closed, pending, not_due, or by_hand where it is due and cannot happen without a person."),
        field("pending", "What it waits for: item, what, command."),
        field("due", "When the next change is due by rotate_every, RFC 3339, UTC, or null."),
    ];
}

/// A trial of everything at hand on erased snapshots.
#[derive(Clone, Debug, Serialize)]
pub struct ProveResult {
    /// Erased snapshots that were tried.
    pub snapshots: u64,
    /// Identities at hand.
    pub identities: u64,
    /// Seals at hand.
    pub seals: u64,
    /// Bundles and inbox objects found.
    pub objects: u64,
    /// Openings tried.
    pub tried: u64,
    /// Openings that gave an erased snapshot's key.
    pub succeeded: u64,
    /// Snapshots that opened, hexadecimal.
    pub opened: Vec<String>,
}

impl Document for ProveResult {
    const COMMAND: &'static str = "erase prove";
    const FIELDS: &'static [Field] = &[
        field("snapshots", "Erased snapshots that were tried."),
        field("identities", "Identities at hand."),
        field("seals", "Seals at hand."),
        field("objects", "Bundles and inbox objects found."),
        field("tried", "Openings tried."),
        field("succeeded", "Openings that gave an erased snapshot's key."),
        field("opened", "Snapshots that opened, hexadecimal."),
    ];
}

/// What a receipt says, readable; the signed object beside it is what counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptText {
    /// Erasure, hexadecimal.
    pub erasure: String,
    /// complete or interim.
    pub state: String,
    /// Snapshots with the commitment to their keys, hexadecimal.
    pub snapshots: Vec<ReceiptSnapshot>,
    /// Generation that was destroyed.
    pub from: String,
    /// Generation that follows it.
    pub to: String,
    /// BLAKE3 of the bundle of survivors.
    pub bundle: String,
    /// What became of every cell.
    pub cells: Vec<ReceiptCell>,
    /// Kits of destroyed generations.
    pub kits: Vec<ReceiptKit>,
    /// What is pending.
    pub pending: Vec<String>,
    /// What an admin declared.
    pub declared: Vec<String>,
    /// What copies still hold that is sealed to destroyed generations.
    #[serde(default)]
    pub physical: Vec<String>,
    /// Stored bytes that died.
    pub bytes_dead: u64,
    /// Stored bytes that survivors share.
    pub bytes_shared: u64,
    /// Reason code.
    pub reason: String,
    /// Hash of salt and reference of the request, or null.
    pub request: Option<String>,
    /// When the intent was signed, RFC 3339, UTC.
    pub intended: String,
    /// When the receipt was signed, RFC 3339, UTC.
    pub signed: String,
    /// Of the erasure of a person: what it was about, or null.
    #[serde(default)]
    pub person: Option<ReceiptPerson>,
}

/// What a receipt says of the erasure of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptPerson {
    /// It was about everything of its jobs that had not seen this entry of the signer's log.
    pub unseen: u32,
    /// BLAKE3 of each account, hexadecimal.
    pub accounts: Vec<String>,
    /// Which snapshot replaces which.
    pub successors: Vec<ReceiptSuccessor>,
}

/// A snapshot and its successor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptSuccessor {
    /// Erased snapshot.
    pub old: String,
    /// The same without the person.
    pub new: String,
}

/// The account of an erasure of a person: names of tables and numbers. The log holds its hash only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptAccount {
    /// Jobs.
    pub jobs: Vec<String>,
    /// Kind of person.
    pub subject: String,
    /// BLAKE3 of the rules file.
    pub rules: String,
    /// Tables.
    pub tables: Vec<ErasedTableEntry>,
    /// Snapshots: old, new, rows_removed.
    pub snapshots: Vec<ErasedEntry>,
    /// Traces that were allowed.
    pub traces: Vec<TraceEntry>,
    /// Identifiers that were not searched for.
    pub unsearched: Vec<String>,
    /// The account as it was hashed, hexadecimal.
    pub object: String,
}

/// A snapshot on a receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptSnapshot {
    /// Id.
    pub snapshot: String,
    /// Commitment to its key.
    pub commitment: String,
}

/// A cell on a receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptCell {
    /// The cell.
    pub cell: String,
    /// The generation it forgot.
    pub generation: String,
    /// How.
    pub evidence: String,
}

/// A kit on a receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptKit {
    /// Its number.
    pub kit: u32,
    /// The generation on it.
    pub generation: String,
    /// Whether an admin attested that it is destroyed.
    pub destroyed: bool,
}

/// A receipt file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReceiptResult {
    /// Repository, hexadecimal.
    pub repository: String,
    /// Who signed it: home id, hexadecimal.
    pub signer: String,
    /// Its number in that home's log.
    pub entry: u32,
    /// What it says.
    pub receipt: ReceiptText,
    /// The signed log entry, hexadecimal.
    pub signed_object: String,
    /// Of the erasure of a person: its accounts.
    #[serde(default)]
    pub accounts: Vec<ReceiptAccount>,
}

impl Document for ReceiptResult {
    const COMMAND: &'static str = "receipt show, receipt verify, and receipt files";
    const LINES: Lines = Lines::AsTheyAre;
    const FIELDS: &'static [Field] = &[
        field("repository", "Repository, hexadecimal."),
        field("signer", "Home that signed it, hexadecimal."),
        field("entry", "Its number in that home's log."),
        field(
            "receipt",
            "What it says: erasure, state, snapshots, from, to, bundle, cells, kits, pending, declared, physical, bytes_dead, bytes_shared, reason, request, intended, signed, person.",
        ),
        field("signed_object", "The signed log entry, hexadecimal: what `receipt verify` proves."),
        field(
            "accounts",
            "Of the erasure of a person: jobs, subject, rules, tables, snapshots, traces, unsearched, object; the receipt holds the hash of each object.",
        ),
    ];
}
