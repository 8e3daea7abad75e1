//! The JSON documents of keys: recipients, homes, requests and tokens.

use serde::Serialize;

use super::{Document, Field, HomeEntry, PendingEntry, RecipientEntry};

const fn field(name: &'static str, help: &'static str) -> Field {
    Field { name, help }
}

/// Who may read and write.
#[derive(Clone, Debug, Serialize)]
pub struct KeyListResult {
    /// Recipients: kind, recipient, added.
    pub recipients: Vec<RecipientEntry>,
    /// Homes: home, role, this_host, label, state, snapshots, last_snapshot, revoked.
    pub homes: Vec<HomeEntry>,
    /// Private keys this host holds, by kind.
    pub held_here: Vec<String>,
    /// Number of the policy that says so.
    pub policy: u32,
    /// Number of the newest policy this host has pinned: it accepts none before.
    pub pinned: Option<u32>,
    /// What machines without the admin key may forget by: job, rules.
    pub delegated: Vec<DelegatedEntry>,
    /// Removed recipients whose removal is not complete: removal, state, pending.
    pub removals: Vec<RemovalEntry>,
}

impl Document for KeyListResult {
    const COMMAND: &'static str = "key list";
    const FIELDS: &'static [Field] = &[
        field("recipients", "Recipients: kind, recipient, added."),
        field("homes", "Homes: home, role, this_host, label, state, snapshots, last_snapshot, revoked."),
        field("held_here", "Private keys this host holds, by kind."),
        field("policy", "Number of the policy that says so."),
        field("pinned", "Number of the newest policy this host has pinned: it accepts none before."),
        field("delegated", "What machines without the admin key may forget by: job, rules."),
        field("removals", "Removed recipients whose removal is not complete: removal, state, pending."),
    ];
}

/// Delegated rules of one job, or of all others.
#[derive(Clone, Debug, Serialize)]
pub struct DelegatedEntry {
    /// Job, or null for all others.
    pub job: Option<String>,
    /// The rules in words.
    pub rules: String,
}

/// A removal as it stands.
#[derive(Clone, Debug, Serialize)]
pub struct RemovalEntry {
    /// Id, hexadecimal.
    pub removal: String,
    /// pending, interim or complete.
    pub state: String,
    /// What it waits for.
    pub pending: Vec<PendingEntry>,
}

/// A machine that asks.
#[derive(Clone, Debug, Serialize)]
pub struct KeyRequestResult {
    /// The id it will have, hexadecimal.
    pub home: String,
    /// The request for the admin.
    pub request: String,
    /// Eight words that the admin's machine shows as well.
    pub fingerprint: String,
    /// File it was written to, or null.
    pub file: Option<String>,
}

impl Document for KeyRequestResult {
    const COMMAND: &'static str = "key request";
    const FIELDS: &'static [Field] = &[
        field("home", "The id the machine will have, hexadecimal."),
        field("request", "The request for the admin."),
        field("fingerprint", "Eight words that the admin's machine shows as well."),
        field("file", "File it was written to, or null."),
    ];
}

/// A machine that was enrolled.
#[derive(Clone, Debug, Serialize)]
pub struct EnrolResult {
    /// Id, hexadecimal.
    pub home: String,
    /// writer, maintenance or admin.
    pub role: String,
    /// How lists call it.
    pub label: String,
    /// Policy that enrols it.
    pub policy: u32,
    /// Token for the machine.
    pub token: String,
    /// Eight words that the machine shows as well.
    pub fingerprint: String,
    /// File it was written to, or null.
    pub file: Option<String>,
}

impl Document for EnrolResult {
    const COMMAND: &'static str = "key enrol-writer";
    const FIELDS: &'static [Field] = &[
        field("home", "Id, hexadecimal."),
        field("role", "writer, maintenance or admin."),
        field("label", "How lists call it."),
        field("policy", "Policy that enrols it."),
        field("token", "Token for the machine."),
        field("fingerprint", "Eight words that the machine shows as well."),
        field("file", "File it was written to, or null."),
    ];
}

/// A machine that joined.
#[derive(Clone, Debug, Serialize)]
pub struct JoinResult {
    /// Repository, hexadecimal.
    pub repository: String,
    /// Id of this machine, hexadecimal.
    pub home: String,
    /// writer, maintenance or admin.
    pub role: String,
    /// How lists call it.
    pub label: String,
    /// Policy that is pinned.
    pub policy: u32,
    /// Where the repository lies.
    pub url: String,
}

impl Document for JoinResult {
    const COMMAND: &'static str = "key join";
    const FIELDS: &'static [Field] = &[
        field("repository", "Repository, hexadecimal."),
        field("home", "Id of this machine, hexadecimal."),
        field("role", "writer, maintenance or admin."),
        field("label", "How lists call it."),
        field("policy", "Policy that is pinned."),
        field("url", "Where the repository lies."),
    ];
}

/// A machine whose key was revoked.
#[derive(Clone, Debug, Serialize)]
pub struct RevokeResult {
    /// Id, hexadecimal.
    pub home: String,
    /// How lists call it.
    pub label: String,
    /// Policy that revokes it.
    pub policy: u32,
    /// Snapshots of it that count and stay.
    pub snapshots: u64,
}

impl Document for RevokeResult {
    const COMMAND: &'static str = "key revoke-writer";
    const FIELDS: &'static [Field] = &[
        field("home", "Id, hexadecimal."),
        field("label", "How lists call it."),
        field("policy", "Policy that revokes it."),
        field("snapshots", "Snapshots of it that count and stay."),
    ];
}

/// Recipients that were added.
#[derive(Clone, Debug, Serialize)]
pub struct AddRecipientResult {
    /// Recipients.
    pub recipients: Vec<String>,
    /// Policy that names them.
    pub policy: u32,
    /// Snapshots made before, which they cannot read.
    pub older: u64,
    /// Snapshots that were wrapped again, which they can read now.
    pub rewrapped: u64,
}

impl Document for AddRecipientResult {
    const COMMAND: &'static str = "key add-recipient";
    const FIELDS: &'static [Field] = &[
        field("recipients", "Recipients."),
        field("policy", "Policy that names them."),
        field("older", "Snapshots made before, which they cannot read."),
        field("rewrapped", "Snapshots that were wrapped again, which they can read now."),
    ];
}

/// A recipient who was removed.
#[derive(Clone, Debug, Serialize)]
pub struct RemoveRecipientResult {
    /// Id of the removal, hexadecimal.
    pub removal: String,
    /// Recipient.
    pub recipient: String,
    /// First policy without them.
    pub policy: u32,
    /// pending, interim or complete.
    pub state: String,
    /// What it waits for.
    pub pending: Vec<PendingEntry>,
    /// Receipt file, or null.
    pub receipt: Option<String>,
}

impl Document for RemoveRecipientResult {
    const COMMAND: &'static str = "key remove-recipient";
    const FIELDS: &'static [Field] = &[
        field("removal", "Id of the removal, hexadecimal."),
        field("recipient", "Recipient."),
        field("policy", "First policy without them."),
        field("state", "pending, interim or complete."),
        field("pending", "What it waits for: item, what, command."),
        field("receipt", "Receipt file, or null."),
    ];
}

/// Rules that were published or taken back.
#[derive(Clone, Debug, Serialize)]
pub struct DelegateResult {
    /// Policy that carries them.
    pub policy: u32,
    /// Time zone whose days are meant, or null.
    pub zone: Option<String>,
    /// Rules: job, rules.
    pub delegated: Vec<DelegatedEntry>,
}

impl Document for DelegateResult {
    const COMMAND: &'static str = "key delegate";
    const FIELDS: &'static [Field] = &[
        field("policy", "Policy that carries them."),
        field("zone", "Time zone whose days are meant, or null."),
        field("delegated", "Rules: job, rules."),
    ];
}
