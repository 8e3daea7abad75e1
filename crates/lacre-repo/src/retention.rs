//! Which snapshots to keep: a pure function of a job's snapshots, the rules, a time and a time zone.
//!
//! It decides and gives reasons; it deletes nothing and reads no clock. Rules only ever add snapshots to the kept ones. Without any
//! rule everything is kept, so that a mistyped or missing rule can never forget a history.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp, Zoned};

#[cfg(test)]
mod tests;

/// How far a snapshot may lie in the future before its time is not believed.
pub const FUTURE_TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// What the choice needs to know of a snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidate<I> {
    /// The snapshot.
    pub id: I,
    /// Its job; each job is judged by itself.
    pub job: String,
    /// When it was made.
    pub time: Timestamp,
    /// Whether a person holds it.
    pub hold: Hold,
    /// Whether a check of it counts.
    pub verification: Verification,
    /// The operator's tags.
    pub tags: Vec<String>,
}

/// Whether a person forbids forgetting a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hold {
    /// Nobody does.
    Free,
    /// Somebody does.
    Held,
}

/// Whether a snapshot is known to be restorable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verification {
    /// It is not known.
    Unverified,
    /// A check of it was recorded and counts.
    Verified,
}

/// The keep rules of a job; zero and `None` switch a rule off.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Keep the last so many.
    pub last: u32,
    /// Keep the last one of each of the last so many hours that have any.
    pub hourly: u32,
    /// The same for local days.
    pub daily: u32,
    /// The same for ISO weeks.
    pub weekly: u32,
    /// The same for months.
    pub monthly: u32,
    /// The same for years.
    pub yearly: u32,
    /// Keep everything at most this much older than the job's newest snapshot, by the local calendar.
    pub within: Option<Span>,
    /// Keep everything with one of these tags.
    pub tags: Vec<String>,
    /// Never forget the last so many verified ones. This is a floor under the rules, no rule.
    pub verified_min: u32,
}

impl Rules {
    /// Whether no rule is set, and so everything is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let counts = [self.last, self.hourly, self.daily, self.weekly, self.monthly, self.yearly];
        let within = self.within.is_none_or(|span| span.is_zero() || span.is_negative());
        counts.iter().all(|count| *count == 0) && within && self.tags.is_empty()
    }
}

/// Why a snapshot is kept.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// A person holds it.
    Held,
    /// No rule is set.
    NoRules,
    /// It is the newest of its job, which is never forgotten.
    Newest,
    /// It is one of the last so many.
    Last {
        /// Its place, from 1 for the newest.
        nth: u32,
        /// How many the rule keeps.
        of: u32,
    },
    /// It is the last one of a calendar period.
    Period {
        /// Which kind of period.
        unit: Unit,
        /// The period, e.g. `2026-11-20` or `2026-W47`.
        period: String,
    },
    /// It is recent enough.
    Within {
        /// The rule, e.g. `P14D`.
        span: String,
    },
    /// It has a tag that is kept.
    Tag {
        /// The tag.
        tag: String,
    },
    /// It is one of the last so many verified ones.
    Verified {
        /// How many are never forgotten.
        of: u32,
    },
    /// It is dated in the future: its time cannot be judged.
    Future,
}

/// A kind of calendar period.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Unit {
    /// Hours of the local day.
    Hourly,
    /// Local days.
    Daily,
    /// ISO 8601 weeks.
    Weekly,
    /// Months.
    Monthly,
    /// Years.
    Yearly,
}

impl fmt::Display for Unit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Yearly => "yearly",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held => out.write_str("held"),
            Self::NoRules => out.write_str("no rules"),
            Self::Newest => out.write_str("newest"),
            Self::Last { nth, of } => write!(out, "last {nth} of {of}"),
            Self::Period { unit, period } => write!(out, "{unit} {period}"),
            Self::Within { span } => write!(out, "within {span}"),
            Self::Tag { tag } => write!(out, "tag {tag}"),
            Self::Verified { of: 1 } => out.write_str("the last verified"),
            Self::Verified { of } => write!(out, "one of the last {of} verified"),
            Self::Future => out.write_str("dated in the future"),
        }
    }
}

/// A snapshot that stays, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept<I> {
    /// The snapshot.
    pub id: I,
    /// All reasons, never none.
    pub reasons: Vec<Reason>,
}

/// The verdict on all snapshots; every one is in exactly one of the first two lists.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Choice<I> {
    /// The snapshots that stay, by job and then newest first.
    pub kept: Vec<Kept<I>>,
    /// The snapshots to forget, in the same order.
    pub forgotten: Vec<I>,
    /// Kept snapshots whose time lies more than [`FUTURE_TOLERANCE`] ahead: findings, since somebody's clock is wrong.
    pub future: Vec<I>,
}

/// Judges snapshots by rules, each job by itself.
///
/// Periods are those of `zone`. A period's newest snapshot is the one kept. Snapshots from the future are kept and displace no other.
#[must_use]
pub fn choose<I: Copy + Ord>(candidates: &[Candidate<I>], rules: &Rules, now: Timestamp, zone: &TimeZone) -> Choice<I> {
    let mut jobs: BTreeMap<&str, Vec<&Candidate<I>>> = BTreeMap::new();
    for candidate in candidates {
        jobs.entry(&candidate.job).or_default().push(candidate);
    }
    let mut choice = Choice { kept: Vec::new(), forgotten: Vec::new(), future: Vec::new() };
    for snapshots in jobs.values_mut() {
        snapshots.sort_by_key(|candidate| std::cmp::Reverse((candidate.time, candidate.id)));
        judge(snapshots, rules, now, zone, &mut choice);
    }
    choice
}

/// Judges one job's snapshots, given newest first.
fn judge<I: Copy + Ord>(
    snapshots: &[&Candidate<I>],
    rules: &Rules,
    now: Timestamp,
    zone: &TimeZone,
    choice: &mut Choice<I>,
) {
    let horizon = now.checked_add(FUTURE_TOLERANCE).unwrap_or(Timestamp::MAX);
    let past = snapshots.partition_point(|candidate| candidate.time > horizon);
    let (future, present) = snapshots.split_at(past);
    for candidate in future {
        choice.future.push(candidate.id);
        let mut reasons = vec![Reason::Future];
        reasons.extend((candidate.hold == Hold::Held).then_some(Reason::Held));
        choice.kept.push(Kept { id: candidate.id, reasons });
    }
    let mut reasons: Vec<BTreeSet<Reason>> = vec![BTreeSet::new(); present.len()];
    let mut give = |at: usize, reason: Reason| {
        if let Some(set) = reasons.get_mut(at) {
            set.insert(reason);
        }
    };
    keep_singly(present, rules, zone, &mut give);
    keep_periods(present, rules, zone, &mut give);
    for (candidate, reasons) in present.iter().zip(reasons) {
        if reasons.is_empty() {
            choice.forgotten.push(candidate.id);
        } else {
            choice.kept.push(Kept { id: candidate.id, reasons: reasons.into_iter().collect() });
        }
    }
}

/// The reasons that need no calendar period.
fn keep_singly<I>(present: &[&Candidate<I>], rules: &Rules, zone: &TimeZone, give: &mut dyn FnMut(usize, Reason)) {
    let oldest_within = present.first().and_then(|newest| oldest_within(newest.time, rules.within, zone));
    let mut verified = 0;
    for (at, candidate) in present.iter().enumerate() {
        let nth = u32::try_from(at).unwrap_or(u32::MAX).saturating_add(1);
        if candidate.hold == Hold::Held {
            give(at, Reason::Held);
        }
        if rules.is_empty() {
            give(at, Reason::NoRules);
        }
        if nth == 1 {
            give(at, Reason::Newest);
        }
        if nth <= rules.last {
            give(at, Reason::Last { nth, of: rules.last });
        }
        if let (Some(oldest), Some(span)) = (oldest_within, rules.within)
            && candidate.time >= oldest
        {
            give(at, Reason::Within { span: span.to_string() });
        }
        for tag in rules.tags.iter().filter(|tag| candidate.tags.contains(tag)) {
            give(at, Reason::Tag { tag: tag.clone() });
        }
        if candidate.verification == Verification::Verified && verified < rules.verified_min {
            verified += 1;
            give(at, Reason::Verified { of: rules.verified_min });
        }
    }
}

/// The newest snapshot of each of the last periods that have any.
fn keep_periods<I>(present: &[&Candidate<I>], rules: &Rules, zone: &TimeZone, give: &mut dyn FnMut(usize, Reason)) {
    let units = [
        (Unit::Hourly, rules.hourly),
        (Unit::Daily, rules.daily),
        (Unit::Weekly, rules.weekly),
        (Unit::Monthly, rules.monthly),
        (Unit::Yearly, rules.yearly),
    ];
    for (unit, count) in units {
        let mut left = count;
        let mut previous = None;
        for (at, candidate) in present.iter().enumerate() {
            if left == 0 {
                break;
            }
            let period = Some(period(unit, &candidate.time.to_zoned(zone.clone())));
            if period != previous {
                left -= 1;
                give(at, Reason::Period { unit, period: period.clone().unwrap_or_default() });
                previous = period;
            }
        }
    }
}

/// The period a time falls into. The two hours that share a number when clocks are put back differ by their offset.
fn period(unit: Unit, time: &Zoned) -> String {
    let date = time.date();
    match unit {
        Unit::Hourly => format!("{date} {:02}h{}", time.hour(), time.offset()),
        Unit::Daily => date.to_string(),
        Unit::Weekly => {
            let week = date.iso_week_date();
            format!("{:04}-W{:02}", week.year(), week.week())
        }
        Unit::Monthly => format!("{:04}-{:02}", date.year(), date.month()),
        Unit::Yearly => format!("{:04}", date.year()),
    }
}

/// The oldest time that is still within a span of the newest snapshot. Measured from there and not from now, so that a clock that
/// jumps ahead forgets nothing.
fn oldest_within(newest: Timestamp, span: Option<Span>, zone: &TimeZone) -> Option<Timestamp> {
    let span = span.filter(|span| !span.is_zero() && !span.is_negative())?;
    let oldest = newest.to_zoned(zone.clone()).checked_sub(span);
    Some(oldest.map_or(Timestamp::MIN, |time| time.timestamp()))
}
