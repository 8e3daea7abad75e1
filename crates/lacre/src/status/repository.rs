//! Checks of the repository: runs, audits, disk, seal and kit, certificates, erasures, what is not believed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, UNIX_EPOCH},
};

use jiff::{SignedDuration, Timestamp};
use lacre_format::{ids::Millis, policy::KitState};
use lacre_repo::{Finding, Severity, op::erase::ErasureState};
use lacre_seal::recipient::{Recipient, RecipientKind};

use super::{Check, Evidence, Limit, Report, Weight, disk};
use crate::{config::operate::Thresholds, exit::Exit, human, metrics::Metric, vault::short};

/// Days, as they are counted.
const DAYS: [&str; 2] = ["day", "days"];

/// The levels of an audit whose age is watched: every byte of every object, and snapshots that were opened.
const LEVELS: [u8; 2] = [2, 4];

/// Judges the repository as a whole.
pub(super) fn judge(evidence: &Evidence<'_>, report: &mut Report) {
    last_run(evidence, report);
    audits(evidence, report);
    disk_space(evidence, report);
    seal(evidence, report);
    certificates(evidence, report);
    erasures(evidence, report);
    belief(evidence, report);
}

pub(super) fn moment(at: Millis) -> Timestamp {
    Timestamp::from_millisecond(at.0).unwrap_or(Timestamp::MIN)
}

pub(super) fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}

/// The newest run of each host, the worst of them.
fn last_run(evidence: &Evidence<'_>, report: &mut Report) {
    let mut newest = BTreeMap::new();
    for run in &evidence.status.runs {
        newest.insert(run.home, run);
    }
    let is_bad = |exit: u8| exit != Exit::Done.code() && exit != Exit::Findings.code();
    let worst = newest.values().max_by_key(|run| (is_bad(run.frame.exit), run.frame.ended));
    let Some(run) = worst else { return };
    let ended = moment(run.frame.ended);
    let value = format!("exit {}, {}", run.frame.exit, human::ago(ended, evidence.now()));
    let advice = "lacre backup    (its message names what to do)";
    report.checks.push(Check::fine("run", value).limit("exit 0 or 3").unless(
        !is_bad(run.frame.exit),
        Weight::Must,
        advice,
    ));
    let took = ended.duration_since(moment(run.frame.started)).as_secs_f64();
    let mut add = |name: &'static str, help, value| report.metrics.push(Metric::new(name, help, value));
    add("lacre_run_last_timestamp_seconds", "When the last run ended, seconds since 1970.", seconds(ended));
    add("lacre_run_last_exit", "Exit code of the last run.", f64::from(run.frame.exit));
    add("lacre_run_last_duration_seconds", "How long the last run took, seconds.", took);
}

/// The last audit, and when each level was last proved.
fn audits(evidence: &Evidence<'_>, report: &mut Report) {
    let checks = &evidence.status.checks;
    if let Some((at, record)) = checks.last() {
        let value = format!(
            "{} at level {}, {}",
            human::things(record.findings, ["finding", "findings"]),
            record.level,
            human::ago(moment(*at), evidence.now())
        );
        let advice = "lacre repo check    (lists them again with what to do)";
        report.checks.push(Check::fine("integrity", value).limit("no findings").unless(
            record.findings == 0,
            Weight::Must,
            advice,
        ));
    }
    let limit = evidence.thresholds().max_check_age;
    for level in LEVELS {
        let last = checks.iter().rev().find(|(_, record)| record.level >= level).map(|(at, _)| moment(*at));
        let command =
            if level == 2 { "lacre repo check --read-data" } else { "lacre repo check --read-data --identity FILE" };
        let check = aged(&format!("check:{level}"), last, limit, evidence.now(), command);
        report.checks.push(check);
        if let Some(at) = last {
            let help = "When an audit last proved at least this level, seconds since 1970.";
            let metric = Metric::new("lacre_check_last_timestamp_seconds", help, seconds(at));
            report.metrics.push(metric.with("level", level.to_string()));
        }
    }
}

/// Something that should be done every so often.
pub(super) fn aged(name: &str, last: Option<Timestamp>, limit: Duration, now: Timestamp, command: &str) -> Check {
    let allowed = SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX);
    let shown = last.map_or_else(|| "never".to_owned(), |at| human::ago(at, now));
    let check = Check::fine(name, shown).limit(format!("at most {}", human::duration(limit)));
    let check = match last {
        Some(at) => check.number(now.duration_since(at).as_secs_f64(), "s", Limit::AtMost(limit.as_secs_f64())),
        None => check,
    };
    check.unless(last.is_some_and(|at| now.duration_since(at) <= allowed), Weight::Should, command)
}

fn disk_space(evidence: &Evidence<'_>, report: &mut Report) {
    let Some(space) = evidence.disk else { return };
    let Thresholds { min_free, min_days_to_full, .. } = *evidence.thresholds();
    let value = format!("{} free of {}", human::bytes(space.free), human::bytes(space.total));
    let advice = "lacre repo prune --dry-run    (says what can be given back)";
    report.checks.push(
        Check::fine("disk", value)
            .limit(format!("at least {} free", human::bytes(min_free)))
            .number(space.free as f64, "B", Limit::AtLeast(min_free as f64))
            .unless(space.free >= min_free, Weight::Must, advice),
    );
    report.metrics.push(Metric::new(
        "lacre_disk_free_bytes",
        "Free bytes on the repository's disk.",
        space.free as f64,
    ));
    if let Some(days) = disk::days_to_full(&evidence.status.rows, space.free, evidence.now()) {
        let limit = f64::from(min_days_to_full);
        report.checks.push(
            Check::fine("disk:forecast", disk::forecast(days))
                .limit(format!("at least {}", human::things(min_days_to_full, DAYS)))
                .number(disk::foreseen(days), "", Limit::AtLeast(limit))
                .unless(days >= limit, Weight::Must, advice),
        );
        let help = "Days until the repository's disk is full, ten years at most.";
        report.metrics.push(Metric::new("lacre_disk_full_days", help, disk::foreseen(days)));
    }
}

fn seal(evidence: &Evidence<'_>, report: &mut Report) {
    let seal = &evidence.status.seal;
    let damage = worst(&seal.findings, Severity::Damage);
    let value = format!("generation {}", seal.generation.number);
    let check = match damage {
        Some(finding) => Check::fine("seal", &finding.what).unless(false, Weight::Damage, &finding.advice),
        None => Check::fine("seal", value),
    };
    report.checks.push(check);
    // Two cells in one place are one holder.
    let independent: BTreeSet<&str> =
        seal.cells.iter().filter(|cell| cell.holds).map(|cell| cell.holder.as_str()).collect();
    let cells = independent.len();
    let current = seal.kits.iter().filter(|(_, kit)| kit.generation == seal.generation);
    let (acknowledged, issued): (Vec<_>, Vec<_>) = current
        .filter(|(_, kit)| kit.state != KitState::Destroyed)
        .partition(|(_, kit)| kit.state == KitState::Acknowledged);
    // A cell of another host cannot be seen from here; that is no reason to call it lost.
    let elsewhere = seal.cells.iter().filter(|cell| !cell.reachable).count();
    let holders = cells + acknowledged.len();
    let kits = human::things(acknowledged.len(), ["kit", "kits"]);
    let held = format!("{}, {kits}", human::things(cells, ["cell", "cells"]));
    let value = match elsewhere {
        0 => held,
        _ => {
            let others = human::things(elsewhere, ["cell of another host", "cells of other hosts"]);
            format!("{held}, {others} not seen from here")
        }
    };
    let advice = "print a kit and type its checksum back: lacre kit issue, then lacre kit ack NUMBER";
    report.checks.push(
        Check::fine("holders", value).limit("at least 2").number(holders as f64, "", Limit::AtLeast(2.0)).unless(
            holders + elsewhere >= 2,
            Weight::Should,
            advice,
        ),
    );
    report.metrics.push(Metric::new(
        "lacre_seal_holders",
        "Holders of the current seal known to be good.",
        holders as f64,
    ));
    let kit = match (acknowledged.first(), issued.first()) {
        (Some((_, kit)), _) => Check::fine("kit", format!("kit {} was read back", kit.number)),
        (None, Some((_, kit))) => Check::fine("kit", format!("kit {} was printed and never read back", kit.number))
            .unless(false, Weight::Should, format!("lacre kit ack {}", kit.number)),
        (None, None) => {
            Check::fine("kit", "no kit of the current generation").unless(false, Weight::Should, "lacre kit issue")
        }
    };
    report.checks.push(kit);
}

pub(super) fn worst(findings: &[Finding], from: Severity) -> Option<&Finding> {
    findings.iter().filter(|finding| finding.severity >= from).max_by_key(|finding| finding.severity)
}

/// OpenPGP certificates end; age recipients do not.
fn certificates(evidence: &Evidence<'_>, report: &mut Report) {
    let days_min = evidence.thresholds().min_key_days;
    let now = UNIX_EPOCH + Duration::from_secs(u64::try_from(evidence.now().as_second()).unwrap_or_default());
    for entry in &evidence.status.recipients {
        let Ok(recipient) = Recipient::from_record(entry.kind, &entry.bytes) else { continue };
        if recipient.kind() != RecipientKind::OpenPgp {
            continue;
        }
        let fingerprint = entry.label.split_whitespace().next().unwrap_or(&entry.label);
        let name = format!("key:{}", short(fingerprint).to_lowercase());
        let advice = "extend the certificate and add it again: lacre key add-recipient";
        let check = match recipient.check(now).map(|validity| validity.expires) {
            Ok(None) => Check::fine(name, "does not expire"),
            Ok(Some(at)) => {
                let left = at.duration_since(now).map_or(0.0, |left| left.as_secs_f64() / 86_400.0);
                let help = "Days until a recipient's certificate expires.";
                let metric = Metric::new("lacre_key_days_left", help, left.floor());
                report.metrics.push(metric.with("recipient", short(fingerprint).to_lowercase()));
                Check::fine(name, format!("expires in {}", human::things(human::whole(left.round()), DAYS)))
                    .number(left, "", Limit::AtLeast(f64::from(days_min)))
                    .unless(left >= f64::from(days_min), Weight::Must, advice)
            }
            Err(error) => Check::fine(name, error.to_string()).unless(false, Weight::Must, advice),
        };
        report.checks.push(check.limit(format!("at least {}", human::things(days_min, DAYS))));
    }
}

fn erasures(evidence: &Evidence<'_>, report: &mut Report) {
    let is_open = |state: ErasureState| matches!(state, ErasureState::Pending | ErasureState::Interim);
    let open: Vec<_> = evidence.status.erasures.iter().filter(|erasure| is_open(erasure.state)).collect();
    let value = match open.first() {
        None => "none pending".to_owned(),
        Some(first) => {
            let waits = first.pending.first().map_or_else(String::new, |pending| format!(": {}", pending.what));
            format!("{} pending{waits}", open.len())
        }
    };
    let advice = open
        .iter()
        .flat_map(|erasure| &erasure.pending)
        .next()
        .map_or("lacre erase status", |pending| &pending.command);
    let check = Check::fine("erasures", value).limit("none pending").number(open.len() as f64, "", Limit::AtMost(0.0));
    report.checks.push(check.unless(open.is_empty(), Weight::Should, advice));
    report.metrics.push(Metric::new("lacre_erasures_pending", "Erasures that are not complete.", open.len() as f64));
}

/// What lies in the store and is not believed.
fn belief(evidence: &Evidence<'_>, report: &mut Report) {
    let findings = &evidence.status.findings;
    let check = match worst(findings, Severity::Warning) {
        None => Check::fine("store", "nothing that does not belong there"),
        Some(finding) => {
            let weight = if finding.severity == Severity::Damage { Weight::Damage } else { Weight::Must };
            Check::fine("store", format!("{}: {}", finding.object, finding.what)).unless(false, weight, &finding.advice)
        }
    };
    report.checks.push(check.limit("nothing"));
}
