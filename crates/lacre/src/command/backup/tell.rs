//! Who is told of a night: the end of its run, a first failure, a recovery, and erasures that somebody signed.
//!
//! In: what a night did. Out: deliveries. Chats and pings hear counts and kinds of failures; what a source said goes to mail and programs.

use lacre_format::ids::Token;
use lacre_repo::{ledger::Intent, op::status::Status};

use super::nightly::Report;
use crate::{
    config::{
        Settings,
        operate::{Notify, Occasion},
    },
    error::{CliError, Kind},
    exit::Exit,
    human,
    invocation::Invocation,
    notify::{Delivery, Message, announce, deliver, healthchecks::Pings, memory::Memory, push},
    run::Run,
    vault::{Vault, short},
};

/// The subject of runs.
const RUN: &str = "run";

/// Tells of a run that could not begin. One that only came too early is no failure: the run before it speaks for itself.
pub(super) fn not_begun(
    invocation: &Invocation,
    settings: &Settings,
    run: &Run,
    mut pings: Option<&mut Pings<'_>>,
    error: &CliError,
) {
    let exit = error.kind().exit();
    let title = format!("the backup on {} could not begin (exit {})", host(), exit.code());
    let message = Message {
        occasion: Occasion::Failure,
        title: title.clone(),
        text: format!("{}.\n\nhint: lacre backup    (says what to do)", exit.meaning()),
        detail: Some(said(error)),
        run: Some(run.name()),
        exit: Some(exit),
        took: Some(run.took()),
    };
    let mut deliveries = Vec::new();
    if error.kind() == Kind::Conflict {
        deliveries.extend(pings.as_mut().map(|pings| pings.log(&title)));
    } else {
        deliveries.extend(pings.as_mut().map(|pings| pings.end(exit, &title, &run.journal.tail())));
        deliveries.extend(push(&settings.operate.notify, &message));
        let mut memory = announce::memory(settings);
        deliveries.extend(announce::wrong(&settings.operate.notify, &mut memory, RUN, &message));
        announce::keep(invocation, &memory);
    }
    announce::warn(invocation, &deliveries);
}

/// Tells how a run ended.
pub(super) fn ended(
    invocation: &Invocation,
    vault: &Vault,
    run: &Run,
    mut pings: Option<&mut Pings<'_>>,
    report: &Report,
    status: Option<&Status>,
) -> Vec<Delivery> {
    let notify = &vault.settings.operate.notify;
    if notify.is_empty() {
        return Vec::new();
    }
    let message = summary(run, report);
    let exit = report.exit();
    let mut deliveries = Vec::new();
    deliveries.extend(
        pings
            .as_mut()
            .map(|pings| pings.end(exit, &format!("{}\n{}", message.title, message.text), &run.journal.tail())),
    );
    deliveries.extend(push(notify, &message));
    let mut memory = announce::memory(&vault.settings);
    if report.failed().next().is_some() {
        deliveries.extend(announce::wrong(notify, &mut memory, RUN, &message));
    } else {
        let again =
            Message { occasion: Occasion::Recovery, title: format!("{}, again", message.title), ..message.clone() };
        deliveries.extend(announce::right(notify, &mut memory, RUN, &again));
        deliveries.extend(deliver(notify, &message));
    }
    if let Some(status) = status {
        deliveries.extend(erasures(notify, &mut memory, status));
    }
    announce::keep(invocation, &memory);
    deliveries
}

/// What a run did, in counts and exit codes.
fn summary(run: &Run, report: &Report) -> Message {
    let (all, failed) = (report.jobs.len(), report.failed().count());
    let exit = report.exit();
    let title = match (failed, all) {
        (0, all) => format!("backup of {} on {} done", human::things(all, ["job", "jobs"]), host()),
        (failed, all) => {
            let jobs = human::things(all, ["job", "jobs"]);
            format!("backup on {}: {failed} of {jobs} failed (exit {})", host(), exit.code())
        }
    };
    let line = |ended: &super::nightly::Ended| match &ended.result {
        Ok((document, found)) if found.is_empty() => format!("{}: snapshot {}", ended.job, short(&document.snapshot)),
        Ok((document, found)) => {
            let findings = human::things(found.len(), ["finding", "findings"]);
            format!("{}: snapshot {}, {findings}", ended.job, short(&document.snapshot))
        }
        Err(error) => {
            let exit = error.kind().exit();
            format!("{}: FAILED, {} (exit {})", ended.job, exit.meaning(), exit.code())
        }
    };
    let mut lines: Vec<String> = report.jobs.iter().map(line).collect();
    if report.forgotten > 0 {
        lines.push(format!("{} forgotten", human::things(report.forgotten, ["snapshot", "snapshots"])));
    }
    if !report.findings.is_empty() {
        lines.push(format!("{} besides", human::things(report.findings.len(), ["finding", "findings"])));
    }
    if let Some((ended, _)) = report.failed().next() {
        lines.push(format!("\nhint: lacre backup {}    (shows why)", ended.job));
    }
    let details: Vec<String> =
        report.failed().map(|(ended, error)| format!("{}: {}", ended.job, said(error))).collect();
    Message {
        occasion: if failed > 0 { Occasion::Failure } else { Occasion::Success },
        title,
        text: lines.join("\n"),
        detail: (!details.is_empty()).then(|| details.join("\n\n")),
        run: Some(run.name()),
        exit: Some(exit),
        took: Some(run.took()),
    }
}

/// An error with its hints, for those who may know what a source said.
fn said(error: &CliError) -> String {
    let hints: Vec<String> = error.hints().iter().map(|hint| format!("hint: {hint}")).collect();
    if hints.is_empty() { error.message() } else { format!("{}\n{}", error.message(), hints.join("\n")) }
}

/// The name of this machine.
pub(crate) fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "this host".to_owned() } else { name.to_owned() }
}

/// Tells of erasures that were signed since the last look, on whichever machine: whoever stole the admin's key would begin with one.
pub(crate) fn erasures(notify: &Notify, memory: &mut Memory, status: &Status) -> Vec<Delivery> {
    let subject = |id: Token| format!("erasure:{id}");
    let mut deliveries = Vec::new();
    let first_look = memory.is_new();
    for erasure in &status.erasures {
        let subject = subject(erasure.erasure);
        let is_open = !erasure.pending.is_empty();
        if memory.was_told(&subject) {
            continue;
        }
        // What was over before anybody looked is no news.
        if first_look && !is_open {
            memory.wrong(&subject);
            memory.heard(&subject);
            continue;
        }
        let id = erasure.erasure.to_string();
        let of_person = |intent: &&Intent| intent.record.id == erasure.erasure && intent.person.is_some();
        let what = match (status.view.ledger.intents.iter().any(|intent| of_person(&intent)), erasure.snapshots.len()) {
            (true, _) => "the erasure of a person".to_owned(),
            (false, count) => format!("an erasure of {}", human::things(count, ["snapshot", "snapshots"])),
        };
        let message = Message {
            occasion: Occasion::Erasure,
            title: format!("somebody signed {what}"),
            text: format!(
                "Erasure {} is {}. If you did not expect it, the admin's key is in other hands.\n\nhint: lacre erase status {}\nhint: lacre erase cancel {}    (as long as its new seal is not published)",
                short(&id),
                erasure.state.name(),
                short(&id),
                short(&id)
            ),
            detail: None,
            run: None,
            exit: Some(Exit::ErasurePending),
            took: None,
        };
        deliveries.extend(announce::wrong(notify, memory, &subject, &message));
    }
    deliveries
}
