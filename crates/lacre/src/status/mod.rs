//! What a monitor asks, judged: each check with its value, its limit and the next command to type.
//!
//! In: what the repository and this host say, the operator's thresholds, a time. Out: checks and metrics. Nothing is read or changed
//! here, except that [`disk::space`] asks the kernel.

mod copies;
pub mod disk;
mod drills;
mod jobs;
mod nagios;
mod repository;

use jiff::Timestamp;
use lacre_repo::op::status::Status;

pub use self::nagios::line as nagios;
use crate::{
    config::{Settings, operate::Thresholds},
    metrics::Metric,
};

/// How much a check that fails weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Only `--strict` minds: something that should be done was not done yet.
    Should,
    /// Backups are not as they must be.
    Must,
    /// Stored data are damaged.
    Damage,
}

/// Whether something is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Good,
    /// It is not.
    Bad,
}

impl From<bool> for Verdict {
    fn from(holds: bool) -> Verdict {
        if holds { Verdict::Good } else { Verdict::Bad }
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Its stable name: `age:astro`.
    pub name: String,
    /// Whether all is well.
    pub ok: bool,
    /// How much it weighs when not.
    pub weight: Weight,
    /// What was found.
    pub value: String,
    /// What it is held against.
    pub limit: Option<String>,
    /// What to do; only when not all is well.
    pub advice: Option<String>,
    /// The value and its limit as numbers, with a unit of Nagios (`s`, `B`, `%` or none).
    pub number: Option<Number>,
}

/// A value as a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number {
    /// The value.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// The limit.
    pub limit: Limit,
}

/// Which side of a limit is well.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// Less is wrong.
    AtLeast(f64),
    /// More is wrong.
    AtMost(f64),
}

impl Check {
    /// Makes a check that holds.
    pub fn fine(name: impl Into<String>, value: impl Into<String>) -> Check {
        Check {
            name: name.into(),
            ok: true,
            weight: Weight::Must,
            value: value.into(),
            limit: None,
            advice: None,
            number: None,
        }
    }

    /// Says what it is held against.
    #[must_use]
    pub fn limit(mut self, limit: impl Into<String>) -> Check {
        self.limit = Some(limit.into());
        self
    }

    /// Gives the value as a number.
    #[must_use]
    pub fn number(mut self, value: f64, unit: &'static str, limit: Limit) -> Check {
        self.number = Some(Number { value, unit, limit });
        self
    }

    /// Lets it fail unless a condition holds.
    #[must_use]
    pub fn unless(mut self, holds: impl Into<Verdict>, weight: Weight, advice: impl Into<String>) -> Check {
        if holds.into() == Verdict::Bad {
            self.ok = false;
            self.weight = weight;
            self.advice = Some(advice.into());
        }
        self
    }
}

/// What is judged.
pub struct Evidence<'a> {
    /// What the repository says.
    pub status: &'a Status,
    /// The settings.
    pub settings: &'a Settings,
    /// The disk of a local repository.
    pub disk: Option<disk::Space>,
    /// Whether a run of this host is under way, so that what it made may not have reached every copy yet.
    pub running: Running,
}

/// Whether a run of this host is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Running {
    /// It is.
    UnderWay,
    /// It is not.
    Over,
}

impl Evidence<'_> {
    fn now(&self) -> Timestamp {
        self.status.now
    }

    fn thresholds(&self) -> &Thresholds {
        &self.settings.operate.status
    }
}

/// The verdict.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Every check, in an order that does not change.
    pub checks: Vec<Check>,
    /// The numbers behind them.
    pub metrics: Vec<Metric>,
}

impl Report {
    /// Judges everything.
    pub fn of(evidence: &Evidence<'_>) -> Report {
        let mut report = Report::default();
        jobs::judge(evidence, &mut report);
        repository::judge(evidence, &mut report);
        drills::judge(evidence, &mut report);
        copies::judge(evidence, &mut report);
        for check in &report.checks {
            let help = "Whether a check of lacre status holds.";
            let ok = if check.ok { 1.0 } else { 0.0 };
            report.metrics.push(Metric::new("lacre_check_ok", help, ok).with("check", &check.name));
        }
        let ok = if report.is_good(Weight::Must) { 1.0 } else { 0.0 };
        report.metrics.push(Metric::new("lacre_status_ok", "Whether every check that must hold holds.", ok));
        let build = Metric::new("lacre_build_info", "The version of lacre.", 1.0);
        report.metrics.push(build.with("version", env!("CARGO_PKG_VERSION")));
        let at = evidence.now().as_millisecond() as f64 / 1000.0;
        report.metrics.push(Metric::new(
            "lacre_status_timestamp_seconds",
            "When lacre looked, seconds since 1970.",
            at,
        ));
        report
    }

    /// Whether every check of at least this weight holds.
    pub fn is_good(&self, from: Weight) -> bool {
        self.checks.iter().all(|check| check.ok || check.weight < from)
    }

    /// The checks that fail with at least this weight.
    pub fn failing(&self, from: Weight) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(move |check| !check.ok && check.weight >= from)
    }
}
