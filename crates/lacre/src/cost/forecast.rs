//! What will be kept: each job's nights go on as they did lately, and its keep rules forget as they will.
//!
//! In: the snapshots of a job, its rules, a moment. Out: bytes kept day by day. A forgotten snapshot gives back what its night stored, less
//! what its source grew by: that part is still in the snapshots after it. A pure function.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use lacre_repo::{
    op::snapshots::{SnapshotRow, SnapshotState},
    retention::{Candidate, Hold, Rules, Verification, choose},
};

/// How many months are looked ahead.
pub const MONTHS: usize = 12;
/// Days of a forecast: so many average months.
const DAYS: i64 = 366;
/// How far back habits are looked at.
const WINDOW: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Most snapshots a day that are played through; of more, several count as one.
const DAILY_MAX: f64 = 24.0;

/// What a job does lately.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Habit {
    /// Snapshots a day.
    pub daily: f64,
    /// Bytes one of them stores.
    pub stored: f64,
    /// Of these, what its source grew by.
    pub grown: f64,
}

/// One day to come.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Day {
    /// Bytes more than today; fewer when more is forgotten than made.
    pub bytes: f64,
    /// The byte-days by which what is deleted falls short of a minimum age, for [`Outlook::early`].
    young: f64,
}

/// What is to come.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outlook {
    days: Vec<Day>,
}

/// What a job did lately; nothing when it has fewer than two snapshots to tell it by.
pub fn habit(rows: &[&SnapshotRow], squeezed: f64, now: Timestamp) -> Option<Habit> {
    let from = now.checked_sub(WINDOW).ok()?;
    let recent: Vec<(Timestamp, u64, u64)> = rows
        .iter()
        .filter_map(|row| {
            let (at, label) = (Timestamp::from_millisecond(row.taken.0).ok()?, row.label.as_ref()?);
            (at >= from && at <= now).then_some((at, label.stored, label.bytes))
        })
        .collect();
    let ((first, _, bytes), (last, _, newest)) = (*recent.first()?, *recent.last()?);
    let days = last.duration_since(first).as_secs_f64() / 86_400.0;
    let nights = recent.len().checked_sub(1).filter(|nights| *nights > 0)? as f64;
    if days <= 0.0 {
        return None;
    }
    // The first one of the window may have stored everything.
    let stored = recent.iter().skip(1).map(|(_, stored, _)| *stored as f64).sum::<f64>() / nights;
    let grown = ((newest as f64 - bytes as f64) / nights * squeezed).clamp(0.0, stored);
    let daily = nights / days;
    let several = (daily / DAILY_MAX).max(1.0);
    Some(Habit { daily: daily / several, stored: stored * several, grown: grown * several })
}

/// Plays a year: every day the job's snapshots are made and its rules forget.
pub fn outlook(rows: &[&SnapshotRow], habit: Habit, rules: &Rules, days_min: u32, now: Timestamp) -> Outlook {
    let zone = TimeZone::system();
    let mut kept: BTreeMap<u64, Candidate<u64>> = BTreeMap::new();
    let mut next = 0;
    let mut add = |kept: &mut BTreeMap<u64, Candidate<u64>>, time, hold, verification| {
        let candidate = Candidate { id: next, job: String::new(), time, hold, verification, tags: Vec::new() };
        kept.insert(next, candidate);
        next += 1;
    };
    for row in rows.iter().filter(|row| row.state == SnapshotState::Live) {
        let Ok(time) = Timestamp::from_millisecond(row.taken.0) else { continue };
        let hold = if row.held.is_some() { Hold::Held } else { Hold::Free };
        let verification = if row.verified { Verification::Verified } else { Verification::Unverified };
        add(&mut kept, time, hold, verification);
    }
    let freed = (habit.stored - habit.grown).max(0.0);
    let (mut outlook, mut bytes, mut owed) = (Outlook::default(), 0.0, 0.0);
    for day in 1..=DAYS {
        let Ok(today) = now.checked_add(SignedDuration::from_hours(24 * day)) else { break };
        owed += habit.daily;
        while owed >= 1.0 {
            owed -= 1.0;
            let back = SignedDuration::from_secs_f64(owed / habit.daily.max(1.0) * 86_400.0);
            add(&mut kept, today - back, Hold::Free, Verification::Unverified);
            bytes += habit.stored;
        }
        let mut ended = Day::default();
        let forgotten = if rules.is_empty() {
            Vec::new()
        } else {
            let candidates: Vec<Candidate<u64>> = kept.values().cloned().collect();
            choose(&candidates, rules, today, &zone).forgotten
        };
        for id in forgotten {
            let Some(gone) = kept.remove(&id) else { continue };
            let age = today.duration_since(gone.time).as_secs_f64() / 86_400.0;
            bytes -= freed;
            ended.young += freed * (f64::from(days_min) - age).max(0.0);
        }
        outlook.days.push(Day { bytes, ..ended });
    }
    outlook
}

impl Outlook {
    /// Adds another job's.
    pub fn add(&mut self, other: &Outlook) {
        self.days.resize(self.days.len().max(other.days.len()), Day::default());
        for (day, more) in self.days.iter_mut().zip(&other.days) {
            day.bytes += more.bytes;
            day.young += more.young;
        }
    }

    /// Bytes more than today on average of a month, from 0 for the one that begins now.
    pub fn bytes(&self, month: usize) -> f64 {
        let days = self.month(month);
        if days.is_empty() { 0.0 } else { days.iter().map(|day| day.bytes).sum::<f64>() / days.len() as f64 }
    }

    /// Byte-days of a month that are billed after the end of what was deleted too young.
    pub fn early(&self, month: usize) -> f64 {
        self.month(month).iter().map(|day| day.young).sum()
    }

    fn month(&self, month: usize) -> &[Day] {
        let at = |month: usize| (self.days.len() * month / MONTHS).min(self.days.len());
        &self.days[at(month)..at(month + 1)]
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use lacre_repo::retention::Rules;

    use super::{Habit, MONTHS, Outlook, outlook};

    fn now() -> Timestamp {
        "2026-11-20T03:00:00Z".parse().unwrap()
    }

    fn played(habit: Habit, rules: &Rules, days_min: u32) -> Outlook {
        outlook(&[], habit, rules, days_min, now())
    }

    #[test]
    fn what_is_kept_grows_until_the_rules_forget_as_much_as_is_made() {
        let habit = Habit { daily: 1.0, stored: 10.0, grown: 0.0 };
        let rules = Rules { daily: 30, ..Rules::default() };
        let outlook = played(habit, &rules, 0);
        // Thirty nights are kept from the second month on.
        assert!(outlook.bytes(0) > 100.0 && outlook.bytes(0) < 200.0, "{}", outlook.bytes(0));
        assert!((outlook.bytes(2) - 300.0).abs() < 1.0 && (outlook.bytes(MONTHS - 1) - 300.0).abs() < 1.0);
        // Without rules nothing is ever forgotten.
        let all = played(habit, &Rules::default(), 0);
        assert!(all.bytes(MONTHS - 1) > 3_400.0, "{}", all.bytes(MONTHS - 1));
        assert_eq!(all.early(3), 0.0);
    }

    #[test]
    fn what_a_source_grows_by_stays() {
        let habit = Habit { daily: 1.0, stored: 10.0, grown: 4.0 };
        let outlook = played(habit, &Rules { daily: 30, ..Rules::default() }, 0);
        let yearly = outlook.bytes(MONTHS - 1) - outlook.bytes(2);
        assert!((yearly - 4.0 * 30.5 * 9.0).abs() < 10.0, "{yearly}");
    }

    #[test]
    fn a_minimum_of_days_is_billed_for_what_goes_earlier() {
        let habit = Habit { daily: 1.0, stored: 10.0, grown: 0.0 };
        let rules = Rules { daily: 10, ..Rules::default() };
        // Each day ten bytes of ten days go, twenty days too early.
        let outlook = played(habit, &rules, 30);
        assert!((outlook.early(6) / 30.5 - 200.0).abs() < 12.0, "{}", outlook.early(6) / 30.5);
        assert_eq!(played(habit, &rules, 5).early(6), 0.0);
    }

    #[test]
    fn several_a_day_are_several_a_day() {
        let rules = Rules { last: 48, ..Rules::default() };
        let outlook = played(Habit { daily: 24.0, stored: 1.0, grown: 0.0 }, &rules, 0);
        assert!((outlook.bytes(5) - 48.0).abs() < 0.5, "{}", outlook.bytes(5));
    }
}
