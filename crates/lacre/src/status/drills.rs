//! Checks of the drills: when each database was last restored and found right, and whether the newest rehearsal passed.

use std::{collections::BTreeSet, time::Duration};

use lacre_repo::op::drill::PastDrill;

use super::{
    Check, Evidence, Report, Weight,
    repository::{aged, moment, seconds},
};
use crate::{config::JobSource, human, metrics::Metric};

/// Judges each job that can be rehearsed; where no job is configured, the repository as a whole.
pub(super) fn judge(evidence: &Evidence<'_>, report: &mut Report) {
    let drills = &evidence.status.drills;
    let jobs = &evidence.settings.jobs;
    let mut names: BTreeSet<&str> =
        jobs.iter().filter(|job| matches!(job.source, JobSource::Postgres(_))).map(|job| job.name.as_str()).collect();
    let rehearsed = drills.iter().filter_map(|drill| drill.job.as_ref()).filter(|job| !job.is_safety());
    names.extend(rehearsed.map(|job| job.as_str()));
    for name in &names {
        let of_job = drills.iter().filter(|drill| drill.job.as_ref().is_some_and(|job| job.as_str() == *name));
        one(evidence, report, &format!("drill:{name}"), of_job.collect(), &format!("lacre drill {name}"), Some(name));
    }
    if jobs.is_empty() && names.is_empty() {
        one(evidence, report, "drill", drills.iter().collect(), "lacre drill", None);
    }
}

fn one(
    evidence: &Evidence<'_>,
    report: &mut Report,
    name: &str,
    drills: Vec<&PastDrill>,
    command: &str,
    job: Option<&str>,
) {
    let limit = evidence.thresholds().max_drill_age;
    let passed = drills.iter().rev().find(|drill| drill.record.passed);
    let check = match drills.last().filter(|newest| !newest.record.passed) {
        Some(newest) => {
            let when = human::ago(moment(newest.at), evidence.now());
            let value = format!(
                "the newest drill did not pass: {} of {} failed, {when}",
                newest.record.failed,
                human::things(newest.record.checks, ["check", "checks"])
            );
            let advice = format!("{command}    (says which check failed and why)");
            Check::fine(name, value).limit("it passes").unless(false, Weight::Must, advice)
        }
        None => aged(name, passed.map(|drill| moment(drill.at)), limit, evidence.now(), command),
    };
    report.checks.push(check);
    let Some(passed) = passed else { return };
    let mut add = |metric: &'static str, help, value| {
        let metric = Metric::new(metric, help, value);
        report.metrics.push(job.into_iter().fold(metric, |metric, job| metric.with("job", job)));
    };
    let help = "When a drill last passed, seconds since 1970.";
    add("lacre_drill_last_success_timestamp_seconds", help, seconds(moment(passed.at)));
    let recovery = Duration::from_millis(passed.record.rto_ms).as_secs_f64();
    add("lacre_drill_recovery_seconds", "How long the recovery took in the last drill that passed.", recovery);
}
