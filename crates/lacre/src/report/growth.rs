//! Growth and deduplication: how large each job is, what each night added to the store, and what it would be without sharing.

use jiff::Timestamp;
use lacre_format::header::Label;
use lacre_repo::op::snapshots::SnapshotState;

use super::{
    Facts, behind,
    html::{Markup, Table, html},
    moment, note,
    plot::{self, Axis, Caption, Point},
    ratio, section as sectioned,
    series::{self, Series},
};

/// The section.
pub(super) fn section(facts: &Facts<'_>) -> Markup {
    let title = facts.say("Growth and deduplication", "Crescimento e deduplicação");
    let jobs: Vec<Series<'_>> =
        series::by_job(facts).into_iter().filter(|job| job.rows.iter().any(|row| row.label.is_some())).collect();
    if jobs.is_empty() {
        if facts.rows().next().is_none() {
            return Markup::new();
        }
        let sealed = "This host cannot read the sizes of snapshots: they are sealed. Make the report on a host that makes backups, or on the admin's.";
        let pt = "Esta máquina não consegue ler os tamanhos dos snapshots: eles estão selados. Gere o relatório em uma máquina que faz backups, ou na do administrador.";
        return sectioned("growth", title, &note(facts.say(sealed, pt)));
    }
    let (from, to) = series::span(facts);
    let axis = Axis { from, to };
    let mut body = together(facts, &axis);
    for (number, job) in jobs.iter().enumerate() {
        body.add(&of_job(facts, &axis, number, job));
    }
    body.add(&behind(facts, &table(facts)));
    sectioned("growth", title, &body)
}

/// The labels of snapshots that are there, oldest first.
fn labels<'a>(facts: &'a Facts<'_>) -> Vec<(Timestamp, &'a Label)> {
    let is_there = |state| matches!(state, SnapshotState::Live | SnapshotState::Forgotten | SnapshotState::Pending);
    facts
        .rows()
        .filter(|row| is_there(row.state))
        .filter_map(|row| Some((moment(row.taken), row.label.as_ref()?)))
        .collect()
}

/// All jobs together: kept whole, and as they are stored.
fn together(facts: &Facts<'_>, axis: &Axis) -> Markup {
    let labels = labels(facts);
    let sums = |of: fn(&Label) -> u64| {
        let mut sum = 0_u64;
        let point = |(at, label): &(Timestamp, &Label)| {
            sum = sum.saturating_add(of(label));
            Point { at: *at, value: sum, says: String::new() }
        };
        labels.iter().map(point).collect::<Vec<Point>>()
    };
    let (whole, stored) = (sums(|label| label.bytes), sums(|label| label.stored));
    let last = |points: &[Point]| points.last().map_or(0, |point| point.value);
    let (of_whole, of_stored) = (last(&whole), last(&stored));
    let title = facts.say("Kept whole, and as stored", "Inteiros, e como são guardados");
    let described = facts.say(
        format!("{} if each were kept whole, {} stored", facts.lang.bytes(of_whole), facts.lang.bytes(of_stored)),
        format!(
            "{} se cada um fosse guardado inteiro, {} guardados",
            facts.lang.bytes(of_whole),
            facts.lang.bytes(of_stored)
        ),
    );
    let caption = Caption { id: "sum".to_owned(), title, description: described };
    let drawing = plot::lines(axis, &caption, &whole, &stored);
    let mut out = Markup::new();
    out.raw("<dl class=\"figures\">");
    let times =
        if of_stored == 0 { "–".to_owned() } else { format!("{} ×", facts.lang.tenth(ratio(of_whole, of_stored))) };
    let figures = [
        (
            facts.lang.bytes(of_whole),
            facts.say("if each snapshot were kept whole", "se cada snapshot fosse guardado inteiro"),
        ),
        (
            facts.lang.bytes(of_stored),
            facts.say("added to the store by these snapshots", "acrescentados ao repositório por eles"),
        ),
        (times, facts.say("less through deduplication and compression", "menos, por deduplicação e compressão")),
        (
            facts.lang.bytes(facts.stored.bytes),
            facts.say("in the store now, everything counted", "no repositório agora, contando tudo"),
        ),
    ];
    for (value, what) in figures {
        html!(out, "<div><dt>", what, "</dt><dd>", value, "</dd></div>");
    }
    out.raw("</dl>");
    let mut labelled = Markup::text(title);
    html!(labelled, " <span class=\"word\"><i class=\"key one\"></i> ", facts.say("whole", "inteiros"), "</span>");
    html!(labelled, " <span class=\"word\"><i class=\"key two\"></i> ", facts.say("stored", "guardados"), "</span>");
    out.add(&framed(facts, axis, &labelled, of_whole, &drawing));
    out
}

fn framed(facts: &Facts<'_>, axis: &Axis, title: &Markup, top: u64, drawing: &Markup) -> Markup {
    plot::framed(title, &facts.lang.bytes(top), drawing, &axis.labels(facts.lang, &facts.zone))
}

/// One job: how large it is, and what each of its nights added.
fn of_job(facts: &Facts<'_>, axis: &Axis, number: usize, job: &Series<'_>) -> Markup {
    let name = job.job.as_deref().unwrap_or("?");
    let points = |of: fn(&Label) -> u64| {
        let point = |row: &&lacre_repo::op::snapshots::SnapshotRow| {
            let (at, value) = (moment(row.taken), of(row.label.as_ref()?));
            let says = format!("{} · {}", facts.lang.time(at, &facts.zone), facts.lang.bytes(value));
            Some(Point { at, value, says })
        };
        job.rows.iter().filter_map(point).collect::<Vec<Point>>()
    };
    let (sizes, added) = (points(|label| label.bytes), points(|label| label.stored));
    let top = |points: &[Point]| points.iter().map(|point| point.value).max().unwrap_or_default();
    let spoken = |points: &[Point]| {
        let nights = facts.lang.things(points.len(), ["snapshot", "snapshots"], ["snapshot", "snapshots"]);
        let newest = points.last().map_or(0, |point| point.value);
        let (most, newest) = (facts.lang.bytes(top(points)), facts.lang.bytes(newest));
        facts.say(
            format!("{nights}, at most {most}, the newest {newest}"),
            format!("{nights}, no máximo {most}, o mais novo {newest}"),
        )
    };
    let (size_title, added_title) = (
        facts.say("Size of each snapshot", "Tamanho de cada snapshot"),
        facts.say("Added to the store", "Acrescentado ao repositório"),
    );
    let drawn = plot::line(
        axis,
        &Caption { id: format!("size{number}"), title: size_title, description: spoken(&sizes) },
        &sizes,
    );
    let bars = plot::bars(
        axis,
        &Caption { id: format!("added{number}"), title: added_title, description: spoken(&added) },
        &added,
    );
    let mut out = Markup::new();
    html!(out, "<div class=\"pair\"><h3>", name, "</h3>");
    html!(out, framed(facts, axis, &Markup::text(size_title), top(&sizes), &drawn));
    html!(out, framed(facts, axis, &Markup::text(added_title), top(&added), &bars), "</div>");
    out
}

fn table(facts: &Facts<'_>) -> Table {
    let mut table = Table::new(facts.say("Sizes by month", "Tamanhos por mês"))
        .text(facts.say("month", "mês"))
        .text("job")
        .number("snapshots")
        .number(facts.say("whole", "inteiros"))
        .number(facts.say("added", "acrescentado"))
        .number(facts.say("share", "parte"));
    for (at, job, month) in series::months(facts) {
        let snapshots = month.live + month.held + month.forgotten + month.pending + month.erased;
        if snapshots == 0 {
            continue;
        }
        table.row([
            Markup::text(facts.lang.month(at, &facts.zone)),
            Markup::text(job),
            Markup::text(facts.lang.count(snapshots)),
            Markup::text(facts.lang.bytes(month.bytes)),
            Markup::text(facts.lang.bytes(month.stored)),
            Markup::text(facts.lang.percent(ratio(month.stored, month.bytes))),
        ]);
    }
    table
}
