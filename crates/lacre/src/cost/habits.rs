//! How often a store is asked: what nights, copies, looks at the status, audits and drills need in a month.
//!
//! In: what was stored lately, the runs and drills on record, the schedule. Out: requests and bytes read of a month. Writes are counted from what
//! lies there; what leaves no trace is taken from what the requests of each command were measured to be.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lacre_repo::{op::status::Status, store::ObjectMeta};

use super::bill::{MONTH_DAYS, Requests};
use crate::{
    config::{Settings, operate::TaskKind},
    schedule::{self, cron::Cron},
};

/// How far back habits are looked at.
const WINDOW: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Bytes of a pack.
const PACK_BYTES: f64 = 16.0 * 1024.0 * 1024.0;
/// Objects of one page of a listing.
const PAGE_OBJECTS: f64 = 1_000.0;
/// Small objects that a night writes beside its packs: session, reach map, index, key entry, snapshot, end, and the record of the run.
const NIGHT_SMALL: f64 = 7.0;
/// Listings of a night, and reads besides those of what it wrote itself; with the writes they are the fifteen of `docs/STORES.md`.
const NIGHT_LISTS: f64 = 3.0;
const NIGHT_READS: f64 = 2.0;
/// Listings of bringing a copy up to date: of the copy, and of the repository's snapshots and all of it.
const SYNC_LISTS_COPY: f64 = 1.0;
const SYNC_LISTS_REPOSITORY: f64 = 2.0;
/// Most times a month a task of the schedule is counted: every minute.
const TIMES_MAX: usize = 45_000;

/// What happens in a month.
pub(super) struct Habits {
    /// Nights.
    nights: f64,
    /// Writes of one night.
    written: f64,
    /// Small objects among them, which are read back.
    small: f64,
    /// Bytes of one night.
    night_bytes: f64,
    /// Pages of a whole listing.
    pages: f64,
    /// Copies.
    copies: f64,
    /// Looks at the status.
    looks: f64,
    /// Audits.
    audits: f64,
    /// Bytes that drills read.
    drilled: f64,
    /// What a byte of a source becomes when nothing of it is there yet.
    pub(super) squeezed: f64,
}

impl Habits {
    /// Habits as the store and the logs show them.
    pub(super) fn of(settings: &Settings, status: &Status, objects: &[ObjectMeta], now: Timestamp) -> Habits {
        let from = now.checked_sub(WINDOW).unwrap_or(Timestamp::MIN);
        let recent: Vec<&ObjectMeta> = objects.iter().filter(|object| object.modified >= from).collect();
        let snapshots = recent.iter().filter(|object| object.name.starts_with("snap/")).count();
        let packs = recent.iter().filter(|object| object.name.starts_with("packs/")).count();
        let per_night = |count: usize| if snapshots == 0 { 0.0 } else { count as f64 / snapshots as f64 };
        let taken = |row: &&lacre_repo::op::snapshots::SnapshotRow| row.taken.0 >= from.as_millisecond();
        let dated = status.rows.iter().filter(taken).count();
        let span = status.rows.first().map_or(0.0, |row| {
            let first = Timestamp::from_millisecond(row.taken.0).unwrap_or(now).max(from);
            now.duration_since(first).as_secs_f64() / 86_400.0
        });
        // A repository of a day says nothing about a month yet: one night a day is assumed.
        let nights = if span < 1.0 { MONTH_DAYS } else { dated as f64 / span * MONTH_DAYS };
        let stored: u64 = recent.iter().map(|object| object.bytes).sum();
        let squeezed = squeezed(status, objects);
        let drilled: f64 = status
            .drills
            .iter()
            .filter(|drill| drill.at.0 >= from.as_millisecond())
            .map(|drill| drill.record.bytes as f64 * squeezed)
            .sum();
        let night_bytes = if snapshots == 0 { 0.0 } else { stored as f64 / snapshots as f64 };
        Habits {
            nights,
            written: per_night(recent.len()),
            small: per_night(recent.len() - packs),
            night_bytes,
            pages: (objects.len() as f64 / PAGE_OBJECTS).ceil().max(1.0),
            copies: settings.copies.len() as f64,
            looks: times(settings, TaskKind::Status, now),
            audits: times(settings, TaskKind::Check, now),
            drilled,
            squeezed,
        }
    }

    /// Habits of somebody who adds so many bytes every night.
    pub(super) fn supposed(settings: &Settings, nightly: u64, kept: f64, now: Timestamp) -> Habits {
        let packs = (nightly as f64 / PACK_BYTES).ceil();
        Habits {
            nights: MONTH_DAYS,
            written: packs + NIGHT_SMALL,
            small: NIGHT_SMALL,
            night_bytes: nightly as f64,
            pages: ((kept / PACK_BYTES) / PAGE_OBJECTS).ceil().max(1.0),
            copies: settings.copies.len() as f64,
            looks: times(settings, TaskKind::Status, now),
            audits: times(settings, TaskKind::Check, now),
            drilled: 0.0,
            squeezed: 1.0,
        }
    }

    /// A month of the repository: requests, and bytes that leave.
    pub(super) fn repository(&self) -> (Requests, f64) {
        let night = Requests { put: self.written, get: self.small + NIGHT_READS, list: NIGHT_LISTS * self.pages };
        // A copy is brought what is new, which is read here.
        let sync = Requests { put: 0.0, get: self.written + 1.0, list: SYNC_LISTS_REPOSITORY * self.pages };
        let drills = Requests { get: reads_of(self.drilled), ..Requests::default() };
        let requests =
            night.times(self.nights).and(sync.times(self.nights * self.copies)).and(self.looked()).and(drills);
        (requests, self.night_bytes * self.nights * self.copies + self.drilled)
    }

    /// A month of a copy.
    pub(super) fn copy(&self) -> (Requests, f64) {
        let sync = Requests { put: self.written, get: 1.0, list: SYNC_LISTS_COPY * self.pages };
        let looks = Requests { put: 0.0, get: 1.0, list: self.pages }.times(self.looks);
        (sync.times(self.nights).and(looks), 0.0)
    }

    /// What looks at the status and audits ask.
    fn looked(&self) -> Requests {
        Requests { put: 0.0, get: 1.0, list: self.pages }.times(self.looks + self.audits)
    }
}

/// Reads that so many bytes of packs take.
pub(super) fn reads_of(bytes: f64) -> f64 {
    (bytes / PACK_BYTES).ceil()
}

/// What lies in packs beside what the newest snapshot of each job is long: never more than one byte for one.
fn squeezed(status: &Status, objects: &[ObjectMeta]) -> f64 {
    let packs: u64 = objects.iter().filter(|object| object.name.starts_with("packs/")).map(|object| object.bytes).sum();
    let mut newest = std::collections::BTreeMap::new();
    for label in status.rows.iter().filter_map(|row| row.label.as_ref()) {
        newest.insert(label.job.as_str(), label.bytes);
    }
    let whole: u64 = newest.values().sum();
    if whole == 0 { 1.0 } else { (packs as f64 / whole as f64).min(1.0) }
}

/// How often the schedule starts a task in a month.
fn times(settings: &Settings, task: TaskKind, now: Timestamp) -> f64 {
    let plan = &settings.operate.schedule;
    let Some((_, expression)) = plan.tasks.iter().find(|(kind, _)| *kind == task) else { return 0.0 };
    let (Ok(cron), Ok(zone)) = (Cron::parse(expression), schedule::zone(plan.time_zone.as_deref())) else { return 0.0 };
    let month = Duration::from_secs_f64(MONTH_DAYS * 86_400.0);
    let Ok(end) = now.checked_add(month) else { return 0.0 };
    let mut at = now;
    let mut count = 0.0;
    for _ in 0..TIMES_MAX {
        match cron.after(at, &zone).filter(|next| *next <= end) {
            Some(next) => at = next,
            None => break,
        }
        count += 1.0;
    }
    count
}
