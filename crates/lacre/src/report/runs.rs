//! Runs: what the nights did, and every one that failed.

use std::collections::BTreeMap;

use lacre_format::ids::HomeId;
use lacre_repo::op::run::Run;

use super::{
    Facts, Tone, behind,
    html::{Markup, Table, html},
    moment, note, pill, section as sectioned,
};
use crate::{daemon::is_bad, exit::Exit};

/// How many runs are listed.
const RUNS_MAX: usize = 60;
/// How many failed runs are listed.
const FAILED_MAX: usize = 60;

/// Runs since a moment: how many there were, how many failed, how many had findings.
pub(super) fn counts<'a>(runs: impl Iterator<Item = &'a Run>) -> (usize, usize, usize) {
    runs.fold((0, 0, 0), |(all, failed, odd), run| {
        let exit = run.frame.exit;
        (all + 1, failed + usize::from(is_bad(exit)), odd + usize::from(exit == Exit::Findings.code()))
    })
}

/// The section.
pub(super) fn section(facts: &Facts<'_>) -> Markup {
    let title = facts.say("Runs", "Execuções");
    let runs: Vec<&Run> = facts.status.runs.iter().filter(|run| facts.is_in(run.frame.ended)).collect();
    if runs.is_empty() {
        let en = "No run is on record: `lacre backup` without arguments is the whole night and records itself.";
        let pt = "Nenhuma execução registrada: `lacre backup` sem argumentos é a noite inteira e se registra.";
        return sectioned("runs", title, &note(facts.say(en, pt)));
    }
    let (all, failed, odd) = counts(runs.iter().copied());
    let mut body = Markup::new();
    let told = [
        facts.lang.things(all, ["on record", "on record"], ["registrada", "registradas"]),
        facts.lang.things(failed, ["failed", "failed"], ["falhou", "falharam"]),
        facts.lang.things(odd, ["with findings", "with findings"], ["com achados", "com achados"]),
    ]
    .join(", ");
    html!(body, "<p>", told, ".</p>");
    let names: BTreeMap<HomeId, String> =
        facts.homes.iter().map(|row| (row.entry.home, row.entry.label.clone())).collect();
    if failed > 0 {
        let caption = facts.say("Runs that failed, newest first", "Execuções que falharam, as mais novas primeiro");
        let bad = runs.iter().rev().filter(|run| is_bad(run.frame.exit)).take(FAILED_MAX);
        body.add(&table(facts, caption, &names, bad.copied()).markup());
    }
    let caption = facts.say("The newest runs", "As execuções mais novas");
    body.add(&behind(facts, &table(facts, caption, &names, runs.iter().rev().take(RUNS_MAX).copied())));
    sectioned("runs", title, &body)
}

fn table<'a>(
    facts: &Facts<'_>,
    caption: &str,
    names: &BTreeMap<HomeId, String>,
    runs: impl Iterator<Item = &'a Run>,
) -> Table {
    let mut table = Table::new(caption)
        .text(facts.say("ended", "fim"))
        .text(facts.say("machine", "máquina"))
        .text("")
        .number(facts.say("took", "duração"))
        .text(facts.say("jobs that failed", "jobs que falharam"))
        .number(facts.say("forgotten", "esquecidos"))
        .number(facts.say("copies behind", "cópias atrasadas"));
    for run in runs {
        let (started, ended) = (moment(run.frame.started), moment(run.frame.ended));
        let took = std::time::Duration::try_from(ended.duration_since(started)).unwrap_or_default();
        let exit = run.frame.exit;
        let tone = match exit {
            _ if is_bad(exit) => Tone::Bad,
            0 => Tone::Good,
            _ => Tone::Mind,
        };
        let failed = run.details.as_ref().map(|details| {
            let bad = details.jobs.iter().filter(|job| is_bad(job.exit));
            bad.map(|job| format!("{} (exit {})", job.job, job.exit)).collect::<Vec<_>>().join(", ")
        });
        let count =
            |of: fn(&lacre_format::run::RunDetails) -> u64| run.details.as_ref().map(|all| facts.lang.count(of(all)));
        table.row([
            facts.time(ended),
            Markup::text(names.get(&run.home).map_or_else(|| run.home.to_string(), Clone::clone)),
            pill(tone, &format!("exit {exit}")),
            Markup::text(facts.lang.duration(took)),
            Markup::text(failed.unwrap_or_else(|| facts.say("sealed here", "selado aqui").to_owned())),
            Markup::text(count(|details| details.forgotten)),
            Markup::text(count(|details| u64::from(details.copies_failed))),
        ]);
    }
    table
}
