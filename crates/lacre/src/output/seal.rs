//! The JSON documents of the seal, its cells and its kits.

use serde::Serialize;

use super::{Document, Field, SealHolder};
use crate::term::page::Lines;

const fn field(name: &'static str, help: &'static str) -> Field {
    Field { name, help }
}

/// Who holds the seal.
#[derive(Clone, Debug, Serialize)]
pub struct SealStatusResult {
    /// Current seal generation.
    pub generation: u32,
    /// Holders: kind (cell, kit), name, generation, verified, what.
    pub holders: Vec<SealHolder>,
    /// Independent holders that are proved to hold the current generation.
    pub holders_verified: u32,
    /// Printed identity sheets, as holders: they hold no seal, and verified says that one was typed back.
    pub identity_sheets: Vec<SealHolder>,
    /// Printed pointer kits, as holders: they hold no seal, and verified says that one was typed back.
    pub pointer_kits: Vec<SealHolder>,
    /// When the current generation was published, RFC 3339, UTC.
    pub sealed_at: String,
    /// When the next change is due by `rotate_every`, RFC 3339, UTC, or null.
    pub rotation_due: Option<String>,
    /// Why that change does not happen by itself, or null.
    pub rotation_blocked: Option<String>,
    /// Whether enough holders are verified.
    pub ok: bool,
}

impl Document for SealStatusResult {
    const COMMAND: &'static str = "seal status, seal verify";
    const FIELDS: &'static [Field] = &[
        field("generation", "Current seal generation."),
        field("holders", "Holders: kind (cell, kit), name, generation, verified, what."),
        field("holders_verified", "Independent holders that are proved to hold the current generation."),
        field(
            "identity_sheets",
            "Printed identity sheets, as holders: they hold no seal, and verified says that one was typed back.",
        ),
        field(
            "pointer_kits",
            "Printed pointer kits, as holders: they hold no seal, and verified says that one was typed back.",
        ),
        field("sealed_at", "When the current generation was published, RFC 3339, UTC."),
        field("rotation_due", "When the next change is due by rotate_every, RFC 3339, UTC, or null."),
        field("rotation_blocked", "Why that change does not happen by itself, or null."),
        field("ok", "Whether enough holders are verified."),
    ];
}

/// A printed kit.
#[derive(Clone, Debug, Serialize)]
pub struct KitResult {
    /// Number of the kit.
    pub kit: u32,
    /// Seal generation on it; of a pointer kit the current one.
    pub generation: u32,
    /// issued, verified or destroyed.
    pub state: String,
    /// File it was written to, or null.
    pub kit_file: Option<String>,
    /// File with the identity sheet that goes with it, or null.
    pub identity_sheet_file: Option<String>,
}

impl Document for KitResult {
    const COMMAND: &'static str = "kit issue, kit ack";
    const LINES: Lines = Lines::AsTheyAre;
    const FIELDS: &'static [Field] = &[
        field("kit", "Number of the kit."),
        field("generation", "Seal generation on it; of a pointer kit the current one."),
        field("state", "issued, verified or destroyed."),
        field("kit_file", "File it was written to, or null."),
        field("identity_sheet_file", "File with the identity sheet that goes with it, or null."),
    ];
}

/// A cell that came or went.
#[derive(Clone, Debug, Serialize)]
pub struct CellChangeResult {
    /// Cell that was added, or null.
    pub added: Option<String>,
    /// Cell that was taken out, or null.
    pub removed: Option<String>,
    /// What was seen when its generations were destroyed.
    pub destroyed: Vec<String>,
    /// Cells now.
    pub cells: Vec<String>,
    /// Independent holders that are proved to hold the current generation.
    pub holders_verified: u32,
}

impl Document for CellChangeResult {
    const COMMAND: &'static str = "seal add-cell, seal remove-cell, seal move-cell";
    const FIELDS: &'static [Field] = &[
        field("added", "Cell that was added, or null."),
        field("removed", "Cell that was taken out, or null."),
        field("destroyed", "What was seen when its generations were destroyed."),
        field("cells", "Cells now."),
        field("holders_verified", "Independent holders that are proved to hold the current generation."),
    ];
}

/// How erasures are guarded.
#[derive(Clone, Debug, Serialize)]
pub struct GuardResult {
    /// Other admins who have to approve every erasure.
    pub approvals: u32,
}

impl Document for GuardResult {
    const COMMAND: &'static str = "erase guard";
    const FIELDS: &'static [Field] = &[field("approvals", "Other admins who have to approve every erasure.")];
}
