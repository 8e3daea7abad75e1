//! Documents of what runs by itself: the run of a night, `status`, `schedule`, `daemon`.

use serde::Serialize;

use super::{Document, Field, FindingEntry};
use crate::term::page::Lines;

const fn field(name: &'static str, help: &'static str) -> Field {
    Field { name, help }
}

/// The run of a night, inside the document of `backup`.
#[derive(Clone, Debug, Serialize)]
pub struct RunEntry {
    /// Id of the run, a UUID.
    pub run: String,
    /// Wall time, milliseconds.
    pub duration_ms: u64,
    /// Snapshots forgotten by their rules.
    pub forgotten: u64,
    /// Jobs whose retention was held back: job, why.
    pub held_back: Vec<HeldBackEntry>,
    /// Who was told: channel, ok, what.
    pub notifications: Vec<NotificationEntry>,
    /// Findings of everything that is no job.
    pub findings: Vec<FindingEntry>,
}

/// A job whose retention was held back.
#[derive(Clone, Debug, Serialize)]
pub struct HeldBackEntry {
    /// Job.
    pub job: String,
    /// Why.
    pub why: String,
}

/// What became of telling somebody.
#[derive(Clone, Debug, Serialize)]
pub struct NotificationEntry {
    /// healthchecks, email, webhook NAME, command NAME.
    pub channel: String,
    /// Whether it arrived.
    pub ok: bool,
    /// Why not.
    pub what: Option<String>,
}

/// What a monitor asks.
#[derive(Clone, Debug, Serialize)]
pub struct StatusResult {
    /// Whether every check holds that must; with --strict every check.
    pub ok: bool,
    /// Checks: name, ok, value, limit, advice.
    pub checks: Vec<StatusCheck>,
    /// Who was told with --notify: channel, ok, what.
    pub notifications: Vec<NotificationEntry>,
}

impl Document for StatusResult {
    const COMMAND: &'static str = "status";
    const FIELDS: &'static [Field] = &[
        field("ok", "Whether every check holds that must; with --strict every check."),
        field("checks", "Checks: name, ok, strict (whether only --strict minds), value, limit, advice."),
        field("notifications", "Who was told with --notify: channel, ok, what."),
    ];
}

/// One check.
#[derive(Clone, Debug, Serialize)]
pub struct StatusCheck {
    /// Its stable name, for example age:astro.
    pub name: String,
    /// Whether it holds.
    pub ok: bool,
    /// Whether only --strict minds when it does not.
    pub strict: bool,
    /// What was found.
    pub value: String,
    /// What it is held against.
    pub limit: Option<String>,
    /// What to do.
    pub advice: Option<String>,
}

/// Units or crontab lines.
#[derive(Clone, Debug, Serialize)]
pub struct ScheduleResult {
    /// Files: name, text.
    pub files: Vec<ScheduleFile>,
}

impl Document for ScheduleResult {
    const COMMAND: &'static str = "schedule systemd, schedule cron";
    const LINES: Lines = Lines::AsTheyAre;
    const FIELDS: &'static [Field] =
        &[field("files", "Units, or one crontab: name, text. With --dir they were written there.")];
}

/// A file.
#[derive(Clone, Debug, Serialize)]
pub struct ScheduleFile {
    /// Its name.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// How a daemon ended.
#[derive(Clone, Debug, Serialize)]
pub struct DaemonResult {
    /// Commands started.
    pub started: u64,
    /// Commands of them that failed.
    pub failed: u64,
}

impl Document for DaemonResult {
    const COMMAND: &'static str = "daemon";
    const FIELDS: &'static [Field] =
        &[field("started", "Commands it started."), field("failed", "Commands of them that failed.")];
}
