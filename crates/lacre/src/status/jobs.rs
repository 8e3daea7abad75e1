//! Checks of each job: age, count, size and trend of its snapshots.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use lacre_repo::{op::snapshots::SnapshotRow, retention::FUTURE_TOLERANCE};

use super::{Check, Evidence, Limit, Report, Weight};
use crate::{
    human,
    metrics::Metric,
    trend::{self, Bounds, Way},
};

/// Judges every job of the configuration; where it names none, those that have snapshots.
pub(super) fn judge(evidence: &Evidence<'_>, report: &mut Report) {
    let rows = &evidence.status.rows;
    let mut names: Vec<String> = evidence.settings.jobs.iter().map(|job| job.name.to_string()).collect();
    if names.is_empty() {
        let found: BTreeSet<String> = rows.iter().filter_map(SnapshotRow::night_of).map(ToString::to_string).collect();
        names.extend(found);
    }
    if !rows.is_empty() && rows.iter().all(|row| row.label.is_none()) {
        let advice = "run this on a host that makes backups, or on the admin's";
        report.checks.push(Check::fine("jobs", "this host cannot read which job a snapshot is of").unless(
            false,
            Weight::Must,
            advice,
        ));
        return;
    }
    for name in names {
        let of_job = trend::of_job(rows, &name);
        age(evidence, report, &name, &of_job);
        count(evidence, report, &name, &of_job);
        if let Some(newest) = of_job.last() {
            size(evidence, report, &name, newest);
            off_trend(evidence, report, &name, &of_job);
            numbers(report, &name, newest);
        }
    }
}

fn taken(row: &SnapshotRow) -> Timestamp {
    Timestamp::from_millisecond(row.taken.0).unwrap_or(Timestamp::MIN)
}

fn age(evidence: &Evidence<'_>, report: &mut Report, name: &str, rows: &[&SnapshotRow]) {
    let (now, limit) = (evidence.now(), evidence.thresholds().max_age);
    let allowed = SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX);
    let fresh = format!("lacre backup {name}    (and look at why it did not run)");
    let check = match rows.last() {
        None => Check::fine(format!("age:{name}"), "no snapshot yet").unless(false, Weight::Must, fresh),
        Some(newest) => {
            let age = now.duration_since(taken(newest));
            let check = Check::fine(format!("age:{name}"), human::ago(taken(newest), now));
            let check = check.number(age.as_secs_f64().max(0.0), "s", Limit::AtMost(limit.as_secs_f64()));
            if age < -FUTURE_TOLERANCE {
                check.unless(false, Weight::Must, "the newest snapshot is dated in the future: check the clocks")
            } else {
                check.unless(age <= allowed, Weight::Must, fresh)
            }
        }
    };
    report.checks.push(check.limit(format!("at most {}", human::duration(limit))));
}

fn count(evidence: &Evidence<'_>, report: &mut Report, name: &str, rows: &[&SnapshotRow]) {
    let limit = evidence.thresholds().min_count;
    let count = rows.len();
    let check = Check::fine(format!("count:{name}"), human::things(count, ["snapshot", "snapshots"]))
        .limit(format!("at least {limit}"))
        .number(count as f64, "", Limit::AtLeast(f64::from(limit)))
        .unless(
            u32::try_from(count).unwrap_or(u32::MAX) >= limit,
            Weight::Must,
            "lacre forget --dry-run    (says why each one is kept; a young job needs a few nights)",
        );
    report.checks.push(check);
    let help = "Live snapshots of a job.";
    report.metrics.push(Metric::new("lacre_snapshots", help, count as f64).with("job", name));
}

fn size(evidence: &Evidence<'_>, report: &mut Report, name: &str, newest: &SnapshotRow) {
    let (limit, bytes) = (evidence.thresholds().min_size, newest.label.as_ref().map_or(0, |label| label.bytes));
    let check = Check::fine(format!("size:{name}"), human::bytes(bytes))
        .limit(format!("at least {}", human::bytes(limit)))
        .number(bytes as f64, "B", Limit::AtLeast(limit as f64))
        .unless(bytes >= limit, Weight::Must, format!("look at what the source gave: lacre ls latest:{name}"));
    report.checks.push(check);
}

fn off_trend(evidence: &Evidence<'_>, report: &mut Report, name: &str, rows: &[&SnapshotRow]) {
    let thresholds = evidence.thresholds();
    let bounds = Bounds { shrink: thresholds.max_shrink, growth: thresholds.max_growth };
    let limit = format!("-{} to +{}", human::percent(bounds.shrink), human::percent(bounds.growth));
    let name_of = format!("trend:{name}");
    let check = match trend::deviation(rows, bounds) {
        None => Check::fine(name_of, "as usual"),
        Some(deviation) => {
            let advice = match deviation.way {
                Way::Shrunk => "look at the source; until then retention forgets nothing of this job",
                Way::Grown => "look at the source and at the room that is left",
            };
            Check::fine(name_of, deviation.what).unless(false, Weight::Must, advice)
        }
    };
    report.checks.push(check.limit(limit));
}

fn numbers(report: &mut Report, name: &str, newest: &SnapshotRow) {
    let at = taken(newest).as_millisecond() as f64 / 1000.0;
    let mut add = |metric: &'static str, help, value| {
        report.metrics.push(Metric::new(metric, help, value).with("job", name));
    };
    add("lacre_backup_last_success_timestamp_seconds", "When the newest snapshot was taken, seconds since 1970.", at);
    let Some(label) = &newest.label else { return };
    add("lacre_snapshot_bytes", "Bytes of the newest snapshot's streams, rounded up.", label.bytes as f64);
    add("lacre_snapshot_rows", "Rows of the newest snapshot.", label.rows as f64);
    add("lacre_snapshot_stored_bytes", "Bytes the newest snapshot added to the store.", label.stored as f64);
}
