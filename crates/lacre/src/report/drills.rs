//! Drills: restores that were rehearsed, whether they passed, and how long a recovery takes.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use lacre_format::{ids::Millis, log::DrillRecord};

use super::{
    Facts, Tone, behind,
    html::{Markup, Table, html},
    moment, note, pill,
    plot::{self, Axis, Caption, Point},
    section as sectioned, series, short,
};

/// The section.
pub(super) fn section(facts: &Facts<'_>) -> Markup {
    let title = facts.say("Drills and recovery times", "Ensaios e tempos de recuperação");
    let drills: Vec<&(Millis, DrillRecord)> = of_time(facts).collect();
    if drills.is_empty() {
        let en = "No drill is on record: nobody has proved that these backups restore. `lacre drill` restores the newest snapshot into a scratch database, compares every row and measures the time.";
        let pt = "Nenhum ensaio registrado: ninguém provou que estes backups restauram. `lacre drill` restaura o snapshot mais novo em um banco descartável, compara cada linha e mede o tempo.";
        return sectioned("drills", title, &note(facts.say(en, pt)));
    }
    let mut body = Markup::new();
    let passed: Vec<Point> = drills
        .iter()
        .filter(|(_, record)| record.passed)
        .map(|(at, record)| {
            let says = format!("{} · {}", facts.lang.time(moment(*at), &facts.zone), time_of(facts, record.rto_ms));
            Point { at: moment(*at), value: record.rto_ms, says }
        })
        .collect();
    let (from, to) = series::span(facts);
    let axis = Axis { from: drills.first().map_or(from, |(at, _)| moment(*at).min(from)), to };
    let name = facts.say("Recovery time of each drill that passed", "Tempo de recuperação de cada ensaio aprovado");
    if let Some(newest) = passed.last() {
        let most = passed.iter().map(|point| point.value).max().unwrap_or_default();
        let description = facts.say(
            format!(
                "{} drills passed, at most {}, the last {}",
                passed.len(),
                time_of(facts, most),
                time_of(facts, newest.value)
            ),
            format!(
                "{} ensaios aprovados, no máximo {}, o último {}",
                passed.len(),
                time_of(facts, most),
                time_of(facts, newest.value)
            ),
        );
        let drawing = plot::line(&axis, &Caption { id: "rto".to_owned(), title: name, description }, &passed);
        let labels = axis.labels(facts.lang, &facts.zone);
        body.add(&plot::framed(&Markup::text(name), &time_of(facts, most), &drawing, &labels));
    }
    let table = table(facts, &drills);
    if drills.len() > 12 {
        body.add(&behind(facts, &table));
    } else {
        html!(body, table.markup());
    }
    sectioned("drills", title, &body)
}

fn of_time<'a>(facts: &'a Facts<'_>) -> impl DoubleEndedIterator<Item = &'a (Millis, DrillRecord)> {
    facts.status.view.ledger.drills.iter().filter(|(at, _)| facts.is_in(*at))
}

/// The newest drill of all time that passed.
pub(super) fn last_passed<'a>(facts: &'a Facts<'_>) -> Option<(Timestamp, &'a DrillRecord)> {
    let drills = &facts.status.view.ledger.drills;
    drills.iter().rev().find(|(_, record)| record.passed).map(|(at, record)| (moment(*at), record))
}

/// The newest drill of each job, by name.
pub(super) fn by_job<'a>(facts: &'a Facts<'_>) -> BTreeMap<String, (Timestamp, &'a DrillRecord)> {
    let jobs = facts.job_of();
    let named =
        |(at, record): &'a (Millis, DrillRecord)| Some((jobs.get(&record.snapshot)?.clone(), (moment(*at), record)));
    facts.status.view.ledger.drills.iter().filter_map(named).collect()
}

/// A time as a drill measured it.
pub(super) fn time_of(facts: &Facts<'_>, ms: u64) -> String {
    facts.lang.duration(Duration::from_millis(ms))
}

/// The newest recovery time, and when it was measured.
pub(super) fn newest(facts: &Facts<'_>) -> (String, String) {
    match last_passed(facts) {
        Some((at, record)) => {
            let ago = facts.lang.ago(at, facts.now());
            (time_of(facts, record.rto_ms), facts.say(format!("drill {ago}"), format!("ensaio {ago}")))
        }
        None => (facts.say("not measured", "não medido").to_owned(), "lacre drill".to_owned()),
    }
}

fn table(facts: &Facts<'_>, drills: &[&(Millis, DrillRecord)]) -> Table {
    let jobs = facts.job_of();
    let mut table =
        Table::new(facts.say("Drills on record, newest first", "Ensaios registrados, os mais novos primeiro"))
            .text(facts.say("when", "quando"))
            .text("job")
            .text("snapshot")
            .text("")
            .number(facts.say("recovery", "recuperação"))
            .number(facts.say("whole drill", "ensaio inteiro"))
            .number(facts.say("tables", "tabelas"))
            .number(facts.say("size", "tamanho"))
            .number(facts.say("checks failed", "testes falhos"))
            .text(facts.say("where", "onde"));
    for (at, record) in drills.iter().rev() {
        let verdict = if record.passed {
            pill(Tone::Good, facts.say("passed", "aprovado"))
        } else {
            pill(Tone::Bad, facts.say("did not pass", "reprovado"))
        };
        let place = if record.place == 1 {
            facts.say("a named server", "servidor indicado")
        } else {
            facts.say("a throw-away server", "servidor descartável")
        };
        table.row([
            facts.time(moment(*at)),
            Markup::text(jobs.get(&record.snapshot).map_or("?", String::as_str)),
            short(&record.snapshot.to_string()),
            verdict,
            Markup::text(if record.rto_ms == 0 { "–".to_owned() } else { time_of(facts, record.rto_ms) }),
            Markup::text(time_of(facts, record.duration_ms)),
            Markup::text(facts.lang.count(record.tables)),
            Markup::text(facts.lang.bytes(record.bytes)),
            Markup::text(format!("{} / {}", record.failed, record.checks)),
            Markup::text(place),
        ]);
    }
    table
}
