//! What a reader wants first: whether all is well, what is to be done, and how each job stands.

use lacre_repo::op::snapshots::{SnapshotRow, SnapshotState};

use super::{
    Facts, Tone, checks, copies, drills,
    html::{Markup, Table, html},
    moment, pill, section as sectioned, short,
};
use crate::{
    status::{Report, Weight},
    trend,
};

/// How it stands in one sentence.
pub(super) fn verdict(facts: &Facts<'_>) -> (Tone, String) {
    let report: &Report = facts.verdict;
    let failing = report.failing(Weight::Must).count();
    let due = report.failing(Weight::Should).count() - failing;
    if !report.is_good(Weight::Damage) {
        (Tone::Bad, facts.say("Stored data are damaged", "Há dados danificados").to_owned())
    } else if failing > 0 {
        let checks = facts.lang.things(failing, ["check fails", "checks fail"], ["teste falha", "testes falham"]);
        (Tone::Bad, checks)
    } else if due > 0 {
        let left = facts.lang.things(due, ["thing is due", "things are due"], ["coisa por fazer", "coisas por fazer"]);
        (Tone::Mind, facts.say(format!("Backups are well; {left}"), format!("Os backups estão em ordem; {left}")))
    } else {
        (Tone::Good, facts.say("All is well", "Está tudo em ordem").to_owned())
    }
}

/// The figures under the head of the page.
pub(super) fn figures(facts: &Facts<'_>) -> Markup {
    let live: Vec<&SnapshotRow> = facts.status.rows.iter().filter(|row| row.state == SnapshotState::Live).collect();
    let newest = live.last().map_or_else(|| "–".to_owned(), |row| facts.lang.ago(moment(row.taken), facts.now()));
    let held = live.iter().filter(|row| row.held.is_some()).count();
    let held = facts.lang.things(held, ["held", "held"], ["retido", "retidos"]);
    let count = u64::try_from(live.len()).unwrap_or(u64::MAX);
    let (rto, drilled) = drills::newest(facts);
    let (audited, level) = match checks::last_at(facts, 2) {
        Some((at, record)) => {
            let level = u32::from(record.level);
            (facts.lang.ago(at, facts.now()), facts.say(format!("level {level}"), format!("nível {level}")))
        }
        None => (facts.say("never", "nunca").to_owned(), "lacre repo check".to_owned()),
    };
    let seal = &facts.status.seal;
    let number = seal.generation.number;
    let generation = facts.say(format!("generation {number}"), format!("geração {number}"));
    let figures = [
        (
            facts.say("Newest snapshot", "Snapshot mais novo"),
            newest,
            facts.say("of all jobs", "de todos os jobs").to_owned(),
        ),
        (facts.say("Snapshots", "Snapshots"), facts.lang.count(count), held),
        (
            facts.say("In the store", "No repositório"),
            facts.lang.bytes(facts.stored.bytes),
            facts.lang.things(
                usize::try_from(facts.stored.packs).unwrap_or(usize::MAX),
                ["pack", "packs"],
                ["pack", "packs"],
            ),
        ),
        (facts.say("Recovery time", "Tempo de recuperação"), rto, drilled),
        (facts.say("Last full audit", "Última verificação completa"), audited, level),
        (facts.say("Copies", "Cópias"), copies::figure(facts), copies::figure_note(facts)),
        (
            facts.say("Holders of the seal", "Detentores do lacre"),
            facts.lang.count(u64::try_from(seal.holders_verified).unwrap_or(u64::MAX)),
            generation,
        ),
    ];
    let mut out = Markup::new();
    out.raw("<dl class=\"cards\">");
    for (what, value, more) in figures {
        html!(out, "<div><dt>", what, "</dt><dd>", value, "<small>", more, "</small></dd></div>");
    }
    out.raw("</dl>");
    out
}

/// What does not hold, the gravest first, each with the next command.
pub(super) fn attention(facts: &Facts<'_>) -> Markup {
    let mut failing: Vec<_> = facts.verdict.failing(Weight::Should).collect();
    failing.sort_by_key(|check| std::cmp::Reverse(check.weight));
    if failing.is_empty() {
        return Markup::new();
    }
    let mut table =
        Table::new(facts.say("What needs attention, and the next command", "O que pede atenção, e o próximo comando"))
            .text(facts.say("what", "o quê"))
            .text("")
            .text(facts.say("found", "encontrado"))
            .text(facts.say("limit", "limite"))
            .text(facts.say("do", "faça"));
    for check in failing {
        table.row([
            Markup::text(checks::title(facts, check)),
            checks::verdict(facts, check),
            checks::value(facts, check),
            checks::limit(facts, check),
            check.advice.as_deref().map(checks::advice).unwrap_or_default(),
        ]);
    }
    sectioned("attention", facts.say("What needs attention", "O que pede atenção"), &table.markup())
}

/// Each job's newest snapshot, and how many there are.
pub(super) fn jobs(facts: &Facts<'_>) -> Markup {
    let mut table = Table::new(facts.say("The newest snapshot of each job", "O snapshot mais novo de cada job"))
        .text("job")
        .text(facts.say("newest", "mais novo"))
        .text("snapshot")
        .number(facts.say("size", "tamanho"))
        .number(facts.say("rows", "linhas"))
        .number(facts.say("added", "acrescentado"))
        .number(facts.say("live", "vivos"))
        .text("");
    for job in super::series::by_job(facts) {
        let Some(name) = job.job else { continue };
        let of_job = trend::of_job(&facts.status.rows, &name);
        let verdict = state(facts, &name);
        let Some(newest) = of_job.last() else {
            let never = Markup::text(facts.say("no snapshot yet", "ainda não há snapshot"));
            let empty = std::iter::repeat_with(Markup::new).take(5);
            table.row([Markup::text(name), never].into_iter().chain(empty).chain([verdict]));
            continue;
        };
        let label = newest.label.as_ref();
        table.row([
            Markup::text(name),
            facts.time_and_ago(moment(newest.taken)),
            short(&newest.snapshot.to_string()),
            Markup::text(label.map(|label| facts.lang.bytes(label.bytes))),
            Markup::text(label.map(|label| facts.lang.count(label.rows))),
            Markup::text(label.map(|label| facts.lang.bytes(label.stored))),
            Markup::text(facts.lang.count(u64::try_from(of_job.len()).unwrap_or(u64::MAX))),
            verdict,
        ]);
    }
    if table.is_empty() {
        return Markup::new();
    }
    sectioned("jobs", "Jobs", &table.markup())
}

/// The worst of a job's own checks.
fn state(facts: &Facts<'_>, job: &str) -> Markup {
    let is_of_job = |name: &str| {
        name.split_once(':').is_some_and(|(kind, of)| of == job && matches!(kind, "age" | "count" | "size" | "trend"))
    };
    let worst = facts.verdict.failing(Weight::Should).find(|check| is_of_job(&check.name));
    match worst {
        None => pill(Tone::Good, facts.say("well", "em ordem")),
        Some(check) => pill(Tone::Bad, &checks::title(facts, check).replacen(&format!("{job}: "), "", 1)),
    }
}
