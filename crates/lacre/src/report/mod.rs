//! The report: one page about a repository, for the people who run it and for those who ask them.
//!
//! In: [`Facts`], gathered from one look at the store. Out: one HTML document that needs nothing besides itself: no script, no font, no
//! picture from elsewhere, and a policy that forbids all of them. It asks nothing, opens nothing and decrypts nothing: what `status` and
//! `snapshots` may show without an identity is all there is in it.

mod audit;
mod checklist;
mod checks;
mod copies;
mod cost;
mod drills;
mod erasures;
mod frame;
mod growth;
pub mod html;
mod keys;
pub mod live;
mod overview;
mod plot;
mod retention;
mod runs;
mod series;
mod timeline;

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use lacre_format::ids::{Millis, SnapshotId};
use lacre_repo::op::{
    copy::CopyStatus, forget::ForgetPlan, homes::HomeRow, snapshots::SnapshotRow, stats::Stored, status::Status,
};

use self::html::{Markup, html};
pub use self::{
    checklist::{Answer, Item, checklist},
    frame::{Kind, policy},
};
use crate::{
    cli::value::StoreUrl,
    config::{Settings, prices::Prices},
    cost::Cost,
    lang::Lang,
    status::{Report as Verdict, disk::Space},
};

/// Everything the page is made of.
pub struct Facts<'a> {
    /// The language.
    pub lang: Lang,
    /// The zone its times are written in.
    pub zone: TimeZone,
    /// Histories begin here; none: at the beginning.
    pub since: Option<Timestamp>,
    /// What the repository says.
    pub status: &'a Status,
    /// How much lies in its store.
    pub stored: &'a Stored,
    /// The settings of this host.
    pub settings: &'a Settings,
    /// Every check of `lacre status`.
    pub verdict: &'a Verdict,
    /// What each snapshot is kept for; none on a host that cannot read which job one is of.
    pub retention: Option<&'a ForgetPlan>,
    /// How the copies stand.
    pub copies: &'a [CopyStatus],
    /// The machines of the policy.
    pub homes: &'a [HomeRow],
    /// The disk of a repository in a folder.
    pub disk: Option<Space>,
    /// The repository's id.
    pub repository: String,
    /// Where it lies.
    pub place: &'a StoreUrl,
    /// This host.
    pub host: String,
    /// What it costs, where a table of prices says so.
    pub cost: Option<(&'a Prices, &'a Cost)>,
}

impl Facts<'_> {
    /// When the store was looked at.
    pub fn now(&self) -> Timestamp {
        self.status.now
    }

    /// The one of two sentences that is in the page's language.
    fn say<T>(&self, en: T, pt: T) -> T {
        self.lang.pick(en, pt)
    }

    fn is_in(&self, at: Millis) -> bool {
        self.since.is_none_or(|since| moment(at) >= since)
    }

    /// The snapshots of the time the page is about, oldest first.
    fn rows(&self) -> impl DoubleEndedIterator<Item = &SnapshotRow> {
        self.status.rows.iter().filter(|row| self.is_in(row.taken))
    }

    /// A moment, for people and for programs.
    fn time(&self, at: Timestamp) -> Markup {
        let mut out = Markup::new();
        html!(out, "<time datetime=\"", at.to_string(), "\">", self.lang.time(at, &self.zone), "</time>");
        out
    }

    /// A moment and how long ago it was.
    fn time_and_ago(&self, at: Timestamp) -> Markup {
        let mut out = self.time(at);
        html!(out, " <small>", self.lang.ago(at, self.now()), "</small>");
        out
    }

    /// Whether a moment is not longer ago than this.
    fn is_within(&self, at: Timestamp, limit: Duration) -> bool {
        let limit = SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX);
        self.now().duration_since(at) <= limit
    }

    /// The job of each snapshot, as far as this host can read it.
    fn job_of(&self) -> BTreeMap<SnapshotId, String> {
        let job = |row: &SnapshotRow| Some((row.snapshot, row.label.as_ref()?.job.to_string()));
        self.status.rows.iter().filter_map(job).collect()
    }

    /// Whether this host can read which job a snapshot is of.
    fn reads_labels(&self) -> bool {
        self.status.rows.iter().all(|row| row.label.is_some())
    }
}

/// A moment of the format; one beyond the calendar is shown as its end.
fn moment(at: Millis) -> Timestamp {
    Timestamp::from_millisecond(at.0).unwrap_or(if at.0 < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// A count as a share of another; 0 of 0 is nothing.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The first part of an id, as people read and type it.
fn short(id: &str) -> Markup {
    let mut out = Markup::new();
    html!(out, "<code class=\"id\" title=\"", id, "\">", crate::vault::short(id), "</code>");
    out
}

/// A mark with a word: colour alone says nothing to many, and nothing on paper.
fn pill(tone: Tone, word: &str) -> Markup {
    let mut out = Markup::new();
    out.raw(match tone {
        Tone::Good => "<span class=\"pill good\">",
        Tone::Mind => "<span class=\"pill mind\">",
        Tone::Bad => "<span class=\"pill bad\">",
        Tone::Calm => "<span class=\"pill\">",
    });
    html!(out, word, "</span>");
    out
}

/// How something is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tone {
    Good,
    Mind,
    Bad,
    Calm,
}

/// The whole page. The number is drawn at random for it: what carries it may style the page, or move it, and nothing else may.
pub fn page(facts: &Facts<'_>, kind: Kind<'_>, nonce: &str) -> String {
    frame::document(facts, kind, nonce)
}

/// What stands between head and foot.
fn body(facts: &Facts<'_>) -> Markup {
    let mut out = Markup::new();
    let sections = [
        overview::attention(facts),
        overview::jobs(facts),
        timeline::section(facts),
        growth::section(facts),
        drills::section(facts),
        checks::section(facts),
        runs::section(facts),
        retention::section(facts),
        erasures::section(facts),
        keys::section(facts),
        copies::section(facts),
        cost::section(facts),
        audit::section(facts),
        checklist::section(facts),
        retention::appendix(facts),
    ];
    for section in sections {
        out.add(&section);
    }
    out
}

/// A section with its heading; nothing where there is nothing in it.
fn section(id: &'static str, title: &str, body: &Markup) -> Markup {
    let mut out = Markup::new();
    if !body.is_empty() {
        html!(out, "<section id=\"", id, "\" aria-labelledby=\"", id, "-h\"><h2 id=\"", id, "-h\">", title, "</h2>");
        html!(out, body, "</section>");
    }
    out
}

/// A sentence that stands alone; what is to be typed stands between backquotes in it.
fn note(text: &str) -> Markup {
    let mut out = Markup::new();
    out.raw("<p class=\"note\">");
    for (number, part) in text.split('`').enumerate() {
        if number % 2 == 1 { out.add(&html::code(part)) } else { out.add(part) }
    }
    out.raw("</p>");
    out
}

/// A table that is opened by who wants the numbers behind a plot.
fn behind(facts: &Facts<'_>, table: &html::Table) -> Markup {
    let mut out = Markup::new();
    let summary = facts.say("The numbers as a table", "Os números em tabela");
    html!(out, "<details><summary>", summary, "</summary>", table.markup(), "</details>");
    out
}
