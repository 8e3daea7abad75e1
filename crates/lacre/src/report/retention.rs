//! Retention: the rules, what each snapshot is kept for, what goes next, and what is held; at the end, every snapshot.

use std::collections::BTreeMap;

use lacre_format::ids::SnapshotId;
use lacre_repo::{
    op::snapshots::SnapshotRow,
    retention::{Reason, Unit},
};

use super::{
    Facts, Tone,
    html::{Markup, Table, code, html},
    moment, note, pill, section as sectioned, short, timeline,
};
use crate::config::Retention;

/// How many snapshots that go next are named.
const GOING_MAX: usize = 50;

/// The section.
pub(super) fn section(facts: &Facts<'_>) -> Markup {
    let mut body = Markup::new();
    body.add(&rules(facts).markup());
    let floor = facts.status.view.policy.min_verified;
    let mut told = match floor {
        1 => facts.say(
            "The newest verified snapshot of a job is never forgotten, and neither is the newest of all.".to_owned(),
            "O snapshot verificado mais novo de um job nunca é esquecido, nem o mais novo de todos.".to_owned(),
        ),
        _ => facts.say(
            format!(
                "The newest {floor} verified snapshots of a job are never forgotten, and neither is the newest of all."
            ),
            format!(
                "Os {floor} snapshots verificados mais novos de um job nunca são esquecidos, nem o mais novo de todos."
            ),
        ),
    };
    if facts.status.view.policy.retention.is_some() {
        let en = " Machines without the admin key may forget within the rules of the signed policy.";
        let pt = " Máquinas sem a chave de administração podem esquecer dentro das regras da política assinada.";
        told.push_str(facts.say(en, pt));
    }
    html!(body, "<p>", told, "</p>");
    match facts.retention {
        None => {
            let en = "This host cannot read which job a snapshot is of, so it cannot say what one is kept for.";
            let pt =
                "Esta máquina não consegue ler de que job é um snapshot, então não pode dizer por que um é mantido.";
            body.add(&note(facts.say(en, pt)));
        }
        Some(plan) => {
            let kept = facts.lang.things(
                plan.kept.len(),
                ["snapshot stays", "snapshots stay"],
                ["snapshot fica", "snapshots ficam"],
            );
            let going = facts.lang.things(plan.forgotten.len(), ["goes", "go"], ["sai", "saem"]);
            body.add(&kept_for(facts).markup());
            let told = facts.say(
                format!("By these rules {kept} and {going} at the next run."),
                format!("Por estas regras, {kept} e {going} na próxima execução."),
            );
            html!(body, "<p>", told);
            for (number, snapshot) in plan.forgotten.iter().take(GOING_MAX).enumerate() {
                body.raw(if number == 0 { " " } else { ", " });
                body.add(&short(&snapshot.to_string()));
            }
            if plan.forgotten.len() > GOING_MAX {
                body.raw(", …");
            }
            body.raw("</p>");
        }
    }
    body.add(&held(facts));
    sectioned("retention", facts.say("Retention", "Retenção"), &body)
}

/// The rules of each job of the configuration, and those for all others.
fn rules(facts: &Facts<'_>) -> Table {
    let mut table =
        Table::new(facts.say("What is kept", "O que é mantido")).text("job").text(facts.say("rules", "regras"));
    for job in facts.settings.jobs.iter().filter(|job| job.retention.is_some()) {
        let own = job.retention.as_ref().unwrap_or(&facts.settings.retention);
        table.row([Markup::text(job.name.to_string()), Markup::text(words(facts, own))]);
    }
    let others = if table.is_empty() {
        facts.say("every job", "todos os jobs")
    } else {
        facts.say("every other job", "todos os outros")
    };
    table.row([Markup::text(others), Markup::text(words(facts, &facts.settings.retention))]);
    table
}

/// Rules as a sentence.
pub(super) fn words(facts: &Facts<'_>, rules: &Retention) -> String {
    if rules.keeps_everything() {
        return facts.say("everything is kept: no rule is set", "tudo é mantido: nenhuma regra definida").to_owned();
    }
    let counts = [
        (rules.keep_last, facts.say("last", "últimos")),
        (rules.keep_hourly, facts.say("hourly", "de hora em hora")),
        (rules.keep_daily, facts.say("daily", "diários")),
        (rules.keep_weekly, facts.say("weekly", "semanais")),
        (rules.keep_monthly, facts.say("monthly", "mensais")),
        (rules.keep_yearly, facts.say("yearly", "anuais")),
    ];
    let mut words: Vec<String> = counts
        .iter()
        .filter_map(|(count, word)| count.filter(|count| *count > 0).map(|count| format!("{count} {word}")))
        .collect();
    words.extend(rules.keep_within.map(|span| format!("{} {span}", facts.say("all within", "todos de até"))));
    words.join(", ")
}

/// One reason in words.
fn reason(facts: &Facts<'_>, reason: &Reason) -> String {
    let pt = match reason {
        Reason::Held => "retido".to_owned(),
        Reason::NoRules => "sem regras".to_owned(),
        Reason::Newest => "o mais novo".to_owned(),
        Reason::Last { nth, of } => format!("{nth}º dos últimos {of}"),
        Reason::Period { unit, period } => format!("{} {period}", unit_name(*unit)),
        Reason::Within { span } => format!("dentro de {span}"),
        Reason::Tag { tag } => format!("etiqueta {tag}"),
        Reason::Verified { of: 1 } => "o último verificado".to_owned(),
        Reason::Verified { of } => format!("um dos últimos {of} verificados"),
        Reason::Future => "datado no futuro".to_owned(),
        _ => reason.to_string(),
    };
    facts.say(reason.to_string(), pt)
}

fn unit_name(unit: Unit) -> &'static str {
    match unit {
        Unit::Hourly => "hora",
        Unit::Daily => "dia",
        Unit::Weekly => "semana",
        Unit::Monthly => "mês",
        Unit::Yearly => "ano",
    }
}

/// How many snapshots each kind of reason keeps.
fn kept_for(facts: &Facts<'_>) -> Table {
    let kind = |reason: &Reason| match reason {
        Reason::Held => (0, facts.say("held by a person", "retido por alguém")),
        Reason::Newest => (1, facts.say("the newest of its job", "o mais novo do job")),
        Reason::Last { .. } => (2, facts.say("last", "últimos")),
        Reason::Period { unit: Unit::Hourly, .. } => (3, facts.say("hourly", "de hora em hora")),
        Reason::Period { unit: Unit::Daily, .. } => (4, facts.say("daily", "diários")),
        Reason::Period { unit: Unit::Weekly, .. } => (5, facts.say("weekly", "semanais")),
        Reason::Period { unit: Unit::Monthly, .. } => (6, facts.say("monthly", "mensais")),
        Reason::Period { unit: Unit::Yearly, .. } => (7, facts.say("yearly", "anuais")),
        Reason::Within { .. } => (8, facts.say("recent enough", "recentes")),
        Reason::Tag { .. } => (9, facts.say("by its tag", "pela etiqueta")),
        Reason::Verified { .. } => (10, facts.say("one of the last verified", "um dos últimos verificados")),
        Reason::NoRules => (11, facts.say("no rule is set", "nenhuma regra definida")),
        Reason::Future => (12, facts.say("dated in the future", "datado no futuro")),
        _ => (13, facts.say("other", "outra")),
    };
    let mut counts: BTreeMap<(u8, &str), u64> = BTreeMap::new();
    for reason in facts.retention.iter().flat_map(|plan| &plan.kept).flat_map(|kept| &kept.reasons) {
        *counts.entry(kind(reason)).or_default() += 1;
    }
    let caption = facts.say(
        "What snapshots are kept for; one may be kept for several",
        "Por que são mantidos; um pode ser por vários motivos",
    );
    let mut table = Table::new(caption).text(facts.say("reason", "motivo")).number("snapshots");
    for ((_, name), count) in counts {
        table.row([Markup::text(name), Markup::text(facts.lang.count(count))]);
    }
    table
}

/// Snapshots somebody holds, and why.
fn held(facts: &Facts<'_>) -> Markup {
    let rows: Vec<&SnapshotRow> = facts.status.rows.iter().filter(|row| row.held.is_some()).collect();
    if rows.is_empty() {
        return Markup::new();
    }
    let mut table =
        Table::new(facts.say(
            "Held: no rule and no erasure touches these",
            "Retidos: nenhuma regra e nenhum apagamento toca nestes",
        ))
        .text("snapshot")
        .text("job")
        .text(facts.say("taken", "tirado"))
        .text(facts.say("reason", "motivo"))
        .text(facts.say("to end it", "para encerrar"));
    for row in rows {
        let id = row.snapshot.to_string();
        table.row([
            short(&id),
            Markup::text(row.label.as_ref().map_or_else(|| "?".to_owned(), |label| label.job.to_string())),
            facts.time(moment(row.taken)),
            Markup::text(row.held.clone()),
            code(&format!("lacre release {}", crate::vault::short(&id))),
        ]);
    }
    table.markup()
}

/// Every snapshot of the page's time, newest first.
pub(super) fn appendix(facts: &Facts<'_>) -> Markup {
    let reasons: BTreeMap<SnapshotId, &Vec<Reason>> =
        facts.retention.iter().flat_map(|plan| &plan.kept).map(|kept| (kept.id, &kept.reasons)).collect();
    let mut table = Table::new(facts.say("Every snapshot, newest first", "Todos os snapshots, os mais novos primeiro"))
        .text("snapshot")
        .text("job")
        .text(facts.say("taken", "tirado"))
        .number(facts.say("size", "tamanho"))
        .number(facts.say("rows", "linhas"))
        .number(facts.say("added", "acrescentado"))
        .text(facts.say("state", "estado"))
        .text(facts.say("kept for, tags", "mantido por, etiquetas"));
    for row in facts.rows().rev() {
        let label = row.label.as_ref();
        let mut why = Markup::new();
        let kept =
            reasons.get(&row.snapshot).map(|reasons| reasons.iter().map(|one| reason(facts, one)).collect::<Vec<_>>());
        why.add(&kept.unwrap_or_default().join(", "));
        for tag in label.iter().flat_map(|label| &label.tags) {
            html!(why, " <span class=\"tag\">", tag, "</span>");
        }
        let mut state = Markup::text(timeline::state(facts, row));
        if row.verified {
            html!(state, " ", pill(Tone::Good, facts.say("verified", "verificado")));
        }
        table.row([
            short(&row.snapshot.to_string()),
            Markup::text(label.map_or_else(|| "?".to_owned(), |label| label.job.to_string())),
            facts.time(moment(row.taken)),
            Markup::text(label.map(|label| facts.lang.bytes(label.bytes))),
            Markup::text(label.map(|label| facts.lang.count(label.rows))),
            Markup::text(label.map(|label| facts.lang.bytes(label.stored))),
            state,
            why,
        ]);
    }
    if table.is_empty() {
        return Markup::new();
    }
    sectioned("snapshots", facts.say("Every snapshot", "Todos os snapshots"), &table.markup())
}
