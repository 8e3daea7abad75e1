//! `lacre status`: every check, one line for Nagios, or metrics; and, when asked, who is told.

use std::io;

use lacre_repo::op::status::Status;

use super::{backup, drill_tell::SUBJECT as DRILL, operate};
use crate::{
    cli::StatusArgs,
    config::operate::{Notify, Occasion},
    error::CliError,
    exit::Exit,
    human,
    invocation::Invocation,
    metrics,
    notify::{Delivery, Message, announce, healthchecks::Pings, memory::Memory},
    output::{NotificationEntry, StatusCheck, StatusResult},
    run::{Run, journal::Level},
    status::{self, Check, Report, Verdict, Weight},
    term::{
        page::{self, Page},
        table::{Align, Table},
    },
    vault::Vault,
};

/// What every subject of a check begins with.
const STALE: &str = "check:";
/// The subject of a repository that cannot be looked at.
const UNSEEN: &str = "status";

/// Judges the repository: exit 3 when something is overdue, 4 for damage.
///
/// # Errors
/// Those of the vault; a monitor takes them for unknown.
pub(super) fn run(invocation: &Invocation, args: &StatusArgs) -> Result<Exit, CliError> {
    let settings = invocation.settings()?;
    let run = Run::begin(&settings)?;
    let seen = Vault::with(invocation, settings.clone()).and_then(|vault| {
        let status = operate::look(&vault)?;
        Ok((operate::judge(&vault, &status), status, vault))
    });
    let (report, status, vault) = match seen {
        Ok(seen) => seen,
        Err(error) => {
            if args.notify {
                announce::warn(invocation, &tell_unseen(invocation, &settings, &run, &error));
            }
            return unseen(invocation, args, error);
        }
    };
    let from = if args.strict { Weight::Should } else { Weight::Must };
    let deliveries = if args.notify { tell(invocation, &vault, &run, &report, &status, from) } else { Vec::new() };
    announce::warn(invocation, &deliveries);
    if let Err(why) = operate::write_metrics(&vault.settings, &report) {
        invocation.terminal.warn(&format!("the metrics could not be written: {why}"));
    }
    if args.nagios {
        let (line, code) = status::nagios(&report);
        invocation.terminal.result(|out| writeln!(out, "{line}"))?;
        return Ok(nagios_exit(code));
    }
    if args.prometheus {
        invocation.terminal.result(|out| out.write_all(metrics::text(&report.metrics).as_bytes()))?;
        return Ok(exit(&report, from));
    }
    let document = StatusResult {
        ok: report.is_good(from),
        checks: report.checks.iter().map(entry).collect(),
        notifications: deliveries.iter().map(notification).collect(),
    };
    invocation.print(&document, |out| write(&report, from, out))?;
    Ok(exit(&report, from))
}

fn exit(report: &Report, from: Weight) -> Exit {
    if !report.is_good(Weight::Damage) {
        Exit::Damage
    } else if report.is_good(from) {
        Exit::Done
    } else {
        Exit::Findings
    }
}

/// The codes of Nagios are numbers of ours with other meanings.
fn nagios_exit(code: u8) -> Exit {
    match code {
        0 => Exit::Done,
        1 => Exit::Failed,
        2 => Exit::Usage,
        _ => Exit::Findings,
    }
}

/// A repository that cannot be looked at.
fn unseen(invocation: &Invocation, args: &StatusArgs, error: CliError) -> Result<Exit, CliError> {
    if !args.nagios {
        return Err(error);
    }
    let line = error.message().replace(['|', '\n'], " ");
    invocation.terminal.result(|out| writeln!(out, "LACRE CRITICAL - {line}"))?;
    Ok(nagios_exit(2))
}

fn entry(check: &Check) -> StatusCheck {
    StatusCheck {
        name: check.name.clone(),
        ok: check.ok,
        strict: check.weight == Weight::Should,
        value: check.value.clone(),
        limit: check.limit.clone(),
        advice: check.advice.clone(),
    }
}

fn notification(delivery: &Delivery) -> NotificationEntry {
    NotificationEntry { channel: delivery.channel.clone(), ok: delivery.is_good(), what: delivery.failure.clone() }
}

fn write(report: &Report, from: Weight, out: &mut dyn Page) -> io::Result<()> {
    let mut table =
        Table::new(&[("", Align::Left), ("check", Align::Left), ("value", Align::Left), ("limit", Align::Left)]);
    for check in &report.checks {
        let mark = match (check.ok, check.weight >= from) {
            (true, _) => "ok",
            (false, true) => "!!",
            (false, false) => "--",
        };
        let limit = check.limit.clone().unwrap_or_default();
        table.row([mark.to_owned(), check.name.clone(), check.value.clone(), limit]);
    }
    table.write(out)?;
    for check in report.failing(Weight::Should) {
        if let Some(advice) = &check.advice {
            page::hint(out, 0, &format!("{}: {advice}", check.name))?;
        }
    }
    let (failing, later) = (report.failing(from).count(), report.failing(Weight::Should).count());
    match (failing, later) {
        (0, 0) => writeln!(out, "all is well"),
        (0, later) => writeln!(out, "all is well; {later} more under --strict"),
        (failing, _) => {
            let checks = human::things(report.checks.len(), ["check", "checks"]);
            writeln!(out, "{failing} of {checks} {}", if failing == 1 { "fails" } else { "fail" })
        }
    }
}

/// Tells what is overdue and what is not any more, each once; and pings the check that watches this very look.
fn tell(
    invocation: &Invocation,
    vault: &Vault,
    run: &Run,
    report: &Report,
    status: &Status,
    from: Weight,
) -> Vec<Delivery> {
    let notify = &vault.settings.operate.notify;
    let mut memory = announce::memory(&vault.settings);
    let mut deliveries = Vec::new();
    let seen = Message {
        text: "The repository can be looked at.".to_owned(),
        ..message(run, Occasion::Recovery, "lacre status works again")
    };
    deliveries.extend(announce::right(notify, &mut memory, UNSEEN, &seen));
    for check in &report.checks {
        let subject = subject(check);
        let title = |word: &str| format!("{} on {}: {word}", check.name, backup::host());
        if check.ok || check.weight < from {
            let fine = Message { text: check.value.clone(), ..message(run, Occasion::Recovery, &title("fine again")) };
            deliveries.extend(announce::right(notify, &mut memory, &subject, &fine));
            continue;
        }
        run.journal.note(Level::Warning, "status", &format!("{}: {}", check.name, check.value), &[]);
        let limit = check.limit.as_ref().map_or_else(String::new, |limit| format!(" ({limit})"));
        let advice = check.advice.as_ref().map_or_else(String::new, |advice| format!("\n\nhint: {advice}"));
        let occasion = if is_drill(check) { Occasion::Drill } else { Occasion::Stale };
        let text = format!("{}{limit}{advice}", check.value);
        let bad = Message { text, ..message(run, occasion, &title(&check.value)) };
        deliveries.extend(announce::wrong(notify, &mut memory, &subject, &bad));
    }
    forget_gone(&mut memory, report);
    deliveries.extend(backup::tell_erasures(notify, &mut memory, status));
    announce::keep(invocation, &memory);
    deliveries.extend(verdict(notify, run, report.is_good(from).into(), &summary(report, from)));
    deliveries
}

fn is_drill(check: &Check) -> bool {
    check.name == "drill" || check.name.starts_with(DRILL)
}

/// What a drill that failed told by itself is not told again by whoever looks at the status.
fn subject(check: &Check) -> String {
    if is_drill(check) { check.name.clone() } else { format!("{STALE}{}", check.name) }
}

/// A check that is not made any more, of a job that was removed, is nobody's trouble.
fn forget_gone(memory: &mut Memory, report: &Report) {
    for subject in memory.beginning_with(STALE) {
        if !report.checks.iter().any(|check| subject.strip_prefix(STALE) == Some(check.name.as_str())) {
            memory.right(&subject);
        }
    }
}

fn message(run: &Run, occasion: Occasion, title: &str) -> Message {
    Message {
        occasion,
        title: title.to_owned(),
        text: String::new(),
        detail: None,
        run: Some(run.name()),
        exit: None,
        took: None,
    }
}

fn summary(report: &Report, from: Weight) -> String {
    let line = |check: &Check| format!("{}: {}\n", check.name, check.value);
    let failing: String = report.failing(from).map(line).collect();
    if failing.is_empty() {
        format!("{}\n", human::things(report.checks.len(), ["check holds", "checks hold"]))
    } else {
        failing
    }
}

fn verdict(notify: &Notify, run: &Run, verdict: Verdict, summary: &str) -> Option<Delivery> {
    let pings = notify.healthchecks.as_ref().and_then(|checks| Pings::of_status(checks, &run.name()));
    pings.map(|mut pings| pings.verdict(verdict, summary))
}

/// Tells that the repository cannot even be looked at.
fn tell_unseen(
    invocation: &Invocation,
    settings: &crate::config::Settings,
    run: &Run,
    error: &CliError,
) -> Vec<Delivery> {
    let notify = &settings.operate.notify;
    let exit = error.kind().exit();
    let title = format!("lacre status on {} cannot see the repository (exit {})", backup::host(), exit.code());
    let text = format!("{}.\n\nhint: lacre status", exit.meaning());
    let bad =
        Message { text, detail: Some(error.message()), exit: Some(exit), ..message(run, Occasion::Stale, &title) };
    let mut memory = announce::memory(settings);
    let mut deliveries = announce::wrong(notify, &mut memory, UNSEEN, &bad);
    announce::keep(invocation, &memory);
    deliveries.extend(verdict(notify, run, Verdict::Bad, &title));
    deliveries
}
