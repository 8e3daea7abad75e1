//! Documents of the report: what was written, and the checklist with its answers; how a dashboard ended.

use serde::Serialize;

use super::{Document, Field};

const fn field(name: &'static str, help: &'static str) -> Field {
    Field { name, help }
}

/// A report.
#[derive(Clone, Debug, Serialize)]
pub struct ReportResult {
    /// Where the page was written.
    pub html: Option<String>,
    /// Its language.
    pub lang: String,
    /// Whether every check holds that must.
    pub ok: bool,
    /// When the store was looked at.
    pub time: String,
    /// Where histories begin.
    pub since: Option<String>,
    /// Snapshots shown.
    pub snapshots: u64,
    /// Runs shown.
    pub runs: u64,
    /// Drills shown.
    pub drills: u64,
    /// Erasures that are not complete.
    pub erasures_open: u64,
    /// The checklist.
    pub checklist: Vec<ChecklistEntry>,
}

impl Document for ReportResult {
    const COMMAND: &'static str = "report";
    const FIELDS: &'static [Field] = &[
        field("html", "File the page was written into; null without --html."),
        field("lang", "Language of the page and of the checklist: en, pt-BR."),
        field("ok", "Whether every check of lacre status holds that must."),
        field("time", "When the store was looked at."),
        field("since", "Where histories begin; null: at the beginning."),
        field("snapshots", "Snapshots since then, whatever their state."),
        field("runs", "Runs on record since then."),
        field("drills", "Drills on record since then."),
        field("erasures_open", "Erasures that are pending or interim."),
        field(
            "checklist",
            "The quarterly checklist: question, answer (yes, no, person), evidence, command (null: nothing to do).",
        ),
    ];
}

/// One question of the checklist.
#[derive(Clone, Debug, Serialize)]
pub struct ChecklistEntry {
    /// The question.
    pub question: String,
    /// yes, no, person.
    pub answer: String,
    /// What the answer rests on.
    pub evidence: String,
    /// What to type next.
    pub command: Option<String>,
}

/// How a dashboard ended.
#[derive(Clone, Debug, Serialize)]
pub struct DashboardResult {
    /// Looks at the store.
    pub looks: u64,
    /// Looks of them that failed.
    pub looks_failed: u64,
}

impl Document for DashboardResult {
    const COMMAND: &'static str = "dashboard";
    const FIELDS: &'static [Field] =
        &[field("looks", "Looks at the store."), field("looks_failed", "Looks of them that failed.")];
}
