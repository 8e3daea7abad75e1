//! The document of `cost`.

use serde::Serialize;

use super::{Document, Field, FindingEntry};

const fn field(name: &'static str, help: &'static str) -> Field {
    Field { name, help }
}

/// What all of it costs.
#[derive(Clone, Debug, Serialize)]
pub struct CostResult {
    /// Currency of every amount.
    pub currency: String,
    /// Day of the prices.
    pub prices_of: String,
    /// Where they come from.
    pub source: Option<String>,
    /// Stores.
    pub stores: Vec<CostEntry>,
    /// A month as it is.
    pub month: f64,
    /// The twelve months to come.
    pub months: Vec<f64>,
    /// Their sum.
    pub year: f64,
    /// Bytes the jobs add in a month.
    pub bytes_added_month: Option<u64>,
    /// Findings.
    pub findings: Vec<FindingEntry>,
}

impl Document for CostResult {
    const COMMAND: &'static str = "cost";
    const FIELDS: &'static [Field] = &[
        field("currency", "Currency of every amount."),
        field("prices_of", "Day the prices were looked up."),
        field("source", "Where the prices come from, or null."),
        field(
            "stores",
            "Stores, the repository first: name, place, bytes, objects, priced, storage, requests, egress, fee, month, restore, months.",
        ),
        field("month", "What a month costs as it is now, all stores together."),
        field("months", "What each of the twelve months to come costs, from the one that begins now."),
        field("year", "Their sum."),
        field(
            "bytes_added_month",
            "Bytes that backups add in a month before anything is forgotten, or null when it is too early to tell.",
        ),
        field("findings", "Findings: severity, what, object, advice. Old prices are one."),
    ];
}

/// What one store costs.
#[derive(Clone, Debug, Serialize)]
pub struct CostEntry {
    /// The copy's name, or repository.
    pub name: String,
    /// Where it lies.
    pub place: String,
    /// Bytes in it.
    pub bytes: u64,
    /// Objects in it.
    pub objects: u64,
    /// Whether a price is known for it.
    pub priced: bool,
    /// Keeping, a month.
    pub storage: f64,
    /// Requests, a month.
    pub requests: f64,
    /// What leaves, a month.
    pub egress: f64,
    /// Whatever is used, a month.
    pub fee: f64,
    /// All of it.
    pub month: f64,
    /// What reading everything once costs.
    pub restore: f64,
    /// Months to come: bytes, total.
    pub months: Vec<CostMonth>,
}

/// A month to come.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CostMonth {
    /// Bytes kept on average.
    pub bytes: u64,
    /// What it costs.
    pub total: f64,
}
