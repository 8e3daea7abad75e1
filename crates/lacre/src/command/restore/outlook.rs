//! What a restore will do, said before anything is done: how much, where to, how long, what the server lacks.

use std::time::Duration;

use jiff::Timestamp;
use lacre_repo::{
    Finding, Severity,
    op::{drill::PastDrill, read::Snapshot},
};

use super::database::Adds;
use crate::{
    command::findings,
    driver::postgres::restore::{Plan, TargetState},
    human,
    invocation::Invocation,
    term::table::printable,
    vault::{Vault, short},
};

/// Says the plan on stderr, line by line, and gives the notes in it that need not be said again.
pub(super) fn say(
    invocation: &Invocation,
    vault: &Vault,
    snapshot: &Snapshot<'_>,
    plan: &Plan<'_>,
    adds: Option<&Adds>,
) -> Vec<Finding> {
    let terminal = &invocation.terminal;
    let bytes: u64 = snapshot.streams().iter().map(|stream| stream.bytes).sum();
    let taken = Timestamp::from_millisecond(snapshot.taken().0).map_or_else(|_| String::new(), human::time);
    terminal.say(&format!(
        "plan: snapshot {} of {}, taken {taken}, {} of dump",
        short(&snapshot.id().to_string()),
        snapshot.job(),
        human::bytes(bytes)
    ));
    let database = printable(&plan.database);
    let becomes = match &plan.state {
        TargetState::Missing => format!("database {database} is made"),
        TargetState::Empty => format!("database {database} is empty and is filled"),
        TargetState::Filled(contents) => {
            let becomes = adds.map_or_else(
                || "it is replaced and kept under another name".to_owned(),
                |adds| format!("{}, nothing else changes", adds.what()),
            );
            format!("database {database} holds {}; {becomes}", printable(contents))
        }
    };
    terminal.say(&format!("  {becomes}"));
    let free = plan
        .free_bytes
        .map_or_else(|| "free room is not known".to_owned(), |free| format!("{} are free", human::bytes(free)));
    terminal.say(&format!("  the server needs about {}; {free}", human::bytes(plan.needed_bytes)));
    terminal.say(&format!("  {}", time(vault, snapshot, bytes)));
    let found: Vec<Finding> = plan.findings.iter().cloned().map(Into::into).collect();
    for finding in findings::news(&vault.settings, &found) {
        let (object, what) = (printable(&finding.object), printable(&finding.what));
        terminal.say(&format!("  {object}: {what}; {}", printable(&finding.advice)));
    }
    found.into_iter().filter(|finding| finding.severity == Severity::Note).collect()
}

/// How long it will take, by the last drill of the job.
fn time(vault: &Vault, snapshot: &Snapshot<'_>, bytes: u64) -> String {
    let unknown = || "how long it takes is not known: no drill of this job is on record (lacre drill)".to_owned();
    // An estimate is a courtesy: a log that cannot be read is told by who needs it.
    let Ok(past) = vault.repository.drills() else { return unknown() };
    let of_job = |past: &&PastDrill| past.record.passed && past.job.as_ref() == Some(snapshot.job());
    match past.iter().rev().find(of_job) {
        Some(drill) => {
            let (rto, then) = (drill.record.rto_ms, drill.record.bytes);
            let scaled = u128::from(rto) * u128::from(bytes) / u128::from(then.max(1));
            let time = Duration::from_millis(u64::try_from(scaled).unwrap_or(u64::MAX));
            format!("it takes about {}, by the last drill", human::duration(time))
        }
        None => unknown(),
    }
}
