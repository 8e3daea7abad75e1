//! Checks of the copies: behind, out of reach, left with an old seal, or not what they should be.

use lacre_repo::{
    Severity,
    op::copy::{CopyState, CopyStatus},
};

use super::{
    Check, Evidence, Limit, Report, Running, Weight,
    repository::{moment, seconds, worst},
};
use crate::{human, metrics::Metric};

/// Judges every copy that was asked about.
pub(super) fn judge(evidence: &Evidence<'_>, report: &mut Report) {
    for copy in &evidence.status.copies {
        report.checks.push(check(evidence, copy));
        numbers(report, copy);
    }
}

fn check(evidence: &Evidence<'_>, copy: &CopyStatus) -> Check {
    let most = evidence.thresholds().max_copy_lag;
    let synced = copy.synced.map_or_else(
        || "never brought up to date from here".to_owned(),
        |at| format!("brought up to date {}", human::ago(moment(at), evidence.now())),
    );
    let lag = match copy.lag_snapshots {
        0 => "holds every snapshot".to_owned(),
        lag => format!("{} behind", human::things(lag, ["snapshot", "snapshots"])),
    };
    let named = Check::fine(format!("copy:{}", copy.name), format!("{lag}, {synced}"))
        .limit(format!("at most {} behind", human::things(most, ["snapshot", "snapshots"])))
        .number(copy.lag_snapshots as f64, "", Limit::AtMost(f64::from(most)));
    if let Some(damage) = worst(&copy.findings, Severity::Damage) {
        let what = format!("{}: {}", damage.object, damage.what);
        return Check { value: what, ..named }.unless(false, Weight::Damage, &damage.advice);
    }
    match copy.state {
        CopyState::Current | CopyState::Behind => {
            let is_near = copy.lag_snapshots <= u64::from(most);
            // What the run made is on its way: it says itself when it does not arrive.
            let is_coming = !is_near && evidence.running == Running::UnderWay;
            let value = if is_coming { format!("{lag}, and a run is under way") } else { named.value.clone() };
            let advice = format!("lacre copy sync {}", copy.name);
            Check { value, ..named }.unless(is_near || is_coming, Weight::Must, advice)
        }
        CopyState::OldGeneration => {
            let value = format!("holds an old seal: nothing in it opens with the new one; {synced}");
            let advice = format!("lacre copy sync {}", copy.name);
            Check { value, ..named }.unless(false, Weight::Must, advice)
        }
        _ => wrong(named, copy, &synced),
    }
}

/// A copy that cannot be used as it is; what lies there says why.
fn wrong(named: Check, copy: &CopyStatus, synced: &str) -> Check {
    let finding = copy.findings.iter().max_by_key(|finding| finding.severity);
    let usual = format!("lacre copy list; lacre copy sync {}", copy.name);
    let advice = finding.map_or(usual, |finding| finding.advice.clone());
    let value = match finding {
        Some(finding) => format!("{}: {}; {synced}", copy.state.name(), finding.what),
        None => format!("{}; {synced}", copy.state.name()),
    };
    // How far behind it is cannot be told.
    Check { value, number: None, ..named }.unless(false, Weight::Must, advice)
}

fn numbers(report: &mut Report, copy: &CopyStatus) {
    let mut add = |name: &'static str, help, value| {
        report.metrics.push(Metric::new(name, help, value).with("copy", &copy.name));
    };
    let is_seen = !matches!(copy.state, CopyState::Missing | CopyState::Unreachable);
    add("lacre_copy_reachable", "Whether a copy is there and answers.", if is_seen { 1.0 } else { 0.0 });
    if is_seen {
        add("lacre_copy_lag_snapshots", "Live snapshots a copy lacks.", copy.lag_snapshots as f64);
    }
    if let Some(at) = copy.synced {
        let help = "When this host last left a copy complete, seconds since 1970.";
        add("lacre_copy_synced_timestamp_seconds", help, seconds(moment(at)));
    }
}
