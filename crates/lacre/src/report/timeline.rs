//! The timeline: every snapshot of every job where it lies in time, in what state it is, and what failed.

use lacre_repo::op::snapshots::{SnapshotRow, SnapshotState};

use super::{
    Facts, behind,
    html::{Markup, Table, html},
    moment, note,
    plot::{self, Axis, Caption},
    section as sectioned, series,
};

/// Above this many marks in a lane they are drawn smaller.
const MARKS_MIDDLE: usize = 90;
/// Above this many, smaller still.
const MARKS_MANY: usize = 300;

/// The section.
pub(super) fn section(facts: &Facts<'_>) -> Markup {
    let title = facts.say("Timeline", "Linha do tempo");
    let jobs = series::by_job(facts);
    let failures = series::failures(facts);
    if jobs.iter().all(|job| job.rows.is_empty()) && failures.is_empty() {
        return sectioned("timeline", title, &note(facts.say("No snapshots yet.", "Ainda não há snapshots.")));
    }
    let (from, to) = series::span(facts);
    let axis = Axis { from, to };
    let mut lanes = Markup::new();
    for (number, job) in jobs.iter().enumerate() {
        let own: Vec<_> = failures.iter().filter(|failure| failure.job.is_some() && failure.job == job.job).collect();
        let name = job.job.as_deref().unwrap_or("?");
        lanes.add(&lane(facts, &axis, (number, name), &job.rows, &own));
    }
    let others: Vec<_> = failures
        .iter()
        .filter(|failure| failure.job.is_none() || !jobs.iter().any(|job| job.job == failure.job))
        .collect();
    if !others.is_empty() {
        lanes.add(&lane(facts, &axis, (jobs.len(), facts.say("runs", "execuções")), &[], &others));
    }
    let mut body = Markup::new();
    html!(body, "<figure class=\"timeline\">", lanes, "<div class=\"lane foot\"><span></span>");
    html!(body, axis.labels(facts.lang, &facts.zone), "</div>", legend(facts, &jobs), "</figure>");
    body.add(&behind(facts, &table(facts)));
    sectioned("timeline", title, &body)
}

/// Where marks lie in a lane.
const RAIL_Y: u8 = 12;
/// Where a snapshot lies whose successor has its place: both are of the same moment.
const UNDER_Y: u8 = 21;

fn is_erased(row: &SnapshotRow) -> bool {
    matches!(row.state, SnapshotState::Void | SnapshotState::Erased)
}

/// Whether another snapshot of the same lane and moment took the place of this one, as when a person was erased from it.
fn is_replaced(row: &SnapshotRow, lane: &[&SnapshotRow]) -> bool {
    is_erased(row) && lane.iter().any(|other| other.taken == row.taken && !is_erased(other))
}

/// Whether a mark is hollow or has something around it.
fn is_ring(class: &str) -> bool {
    matches!(class, "held" | "forgotten" | "erased" | "erased under")
}

/// How marks look and what they say.
fn mark(row: &SnapshotRow) -> (&'static str, &'static str, &'static str) {
    match (row.state, row.held.is_some()) {
        (SnapshotState::Live, true) => ("held", "held", "retido"),
        (SnapshotState::Live, false) => ("live", "live", "vivo"),
        (SnapshotState::Forgotten, _) => ("forgotten", "forgotten", "esquecido"),
        (SnapshotState::Pending, _) => ("pending", "erasure pending", "apagamento pendente"),
        (SnapshotState::Void | SnapshotState::Erased, _) => ("erased", "erased", "apagado"),
    }
}

/// The state of a snapshot in words.
pub(super) fn state(facts: &Facts<'_>, row: &SnapshotRow) -> &'static str {
    let (_, en, pt) = mark(row);
    facts.say(en, pt)
}

fn lane(
    facts: &Facts<'_>,
    axis: &Axis,
    (number, name): (usize, &str),
    rows: &[&SnapshotRow],
    failures: &[&series::Failure],
) -> Markup {
    let snapshots = facts.lang.things(rows.len(), ["snapshot", "snapshots"], ["snapshot", "snapshots"]);
    let failed = facts.lang.things(failures.len(), ["failure", "failures"], ["falha", "falhas"]);
    let between = format!("{} – {}", facts.lang.day(axis.from, &facts.zone), facts.lang.day(axis.to, &facts.zone));
    let caption =
        Caption { id: format!("lane{number}"), title: name, description: format!("{snapshots}, {failed}, {between}") };
    let size = if rows.len() <= MARKS_MIDDLE {
        "marks"
    } else if rows.len() <= MARKS_MANY {
        "marks middle"
    } else {
        "marks many"
    };
    let mut out = Markup::new();
    html!(out, "<div class=\"lane\"><span class=\"name\">", name, "</span><div class=\"", size, "\">");
    html!(out, plot::begin(&caption, 24), "<path class=\"rail\" d=\"M0,12H1000\"/>");
    // What is still there is drawn last, so that nothing that went covers it.
    let (gone, here): (Vec<_>, Vec<_>) = rows.iter().copied().partition(|row| is_erased(row));
    for row in gone.into_iter().chain(here) {
        let (class, en, pt) = mark(row);
        let (class, y) = if is_replaced(row, rows) { ("erased under", UNDER_Y) } else { (class, RAIL_Y) };
        let x = axis.x(moment(row.taken));
        if is_ring(class) {
            html!(out, "<path class=\"m rim ", class, "\" d=\"M", x, ",", y, "h.01\"/>");
            html!(out, "<path class=\"m gap ", class, "\" d=\"M", x, ",", y, "h.01\"/>");
        }
        html!(out, "<path class=\"m core ", class, "\" d=\"M", x, ",", y, "h.01\"><title>");
        html!(out, facts.lang.time(moment(row.taken), &facts.zone), " · ", facts.say(en, pt));
        if y == UNDER_Y {
            html!(out, facts.say(", replaced by its successor", ", substituído por seu sucessor"));
        }
        if let Some(label) = &row.label {
            html!(out, " · ", facts.lang.bytes(label.bytes));
        }
        out.raw("</title></path>");
    }
    for failure in failures {
        html!(out, "<path class=\"failed\" d=\"M", axis.x(failure.at), ",1V23\"><title>");
        html!(
            out,
            facts.lang.time(failure.at, &facts.zone),
            " · ",
            facts.say("failed", "falhou"),
            ", exit ",
            failure.exit
        );
        out.raw("</title></path>");
    }
    out.raw("</svg></div></div>");
    out
}

fn legend(facts: &Facts<'_>, jobs: &[series::Series<'_>]) -> Markup {
    let words = [
        ("live", "live", "vivo"),
        ("held", "held", "retido"),
        ("forgotten", "forgotten, not yet reclaimed", "esquecido, ainda não recolhido"),
        ("pending", "erasure pending", "apagamento pendente"),
        ("erased", "erased", "apagado"),
    ];
    let mut out = Markup::new();
    out.raw("<ul class=\"legend\">");
    for (class, en, pt) in words {
        out.raw("<li><svg viewBox=\"0 0 20 20\" aria-hidden=\"true\">");
        if is_ring(class) {
            html!(
                out,
                "<path class=\"m rim ",
                class,
                "\" d=\"M10,10h.01\"/><path class=\"m gap ",
                class,
                "\" d=\"M10,10h.01\"/>"
            );
        }
        html!(out, "<path class=\"m core ", class, "\" d=\"M10,10h.01\"/></svg>", facts.say(en, pt), "</li>");
    }
    if jobs.iter().any(|job| job.rows.iter().any(|row| is_replaced(row, &job.rows))) {
        out.raw("<li><svg viewBox=\"0 0 20 20\" aria-hidden=\"true\"><path class=\"m core live\" d=\"M10,7h.01\"/>");
        out.raw("<path class=\"m rim erased under\" d=\"M10,16h.01\"/><path class=\"m gap erased under\" d=\"M10,16h.01\"/></svg>");
        html!(out, facts.say("erased, its successor above", "apagado, com o sucessor acima"), "</li>");
    }
    out.raw("<li><svg viewBox=\"0 0 20 20\" aria-hidden=\"true\"><path class=\"failed\" d=\"M10,2V18\"/></svg>");
    html!(out, facts.say("a run that failed", "execução que falhou"), "</li></ul>");
    out
}

fn table(facts: &Facts<'_>) -> Table {
    let mut table = Table::new(facts.say("Snapshots by month", "Snapshots por mês"))
        .text(facts.say("month", "mês"))
        .text("job")
        .number(facts.say("live", "vivos"))
        .number(facts.say("held", "retidos"))
        .number(facts.say("forgotten", "esquecidos"))
        .number(facts.say("erasure pending", "a apagar"))
        .number(facts.say("erased", "apagados"))
        .number(facts.say("failed", "falhas"));
    for (at, job, month) in series::months(facts) {
        let counts = [month.live, month.held, month.forgotten, month.pending, month.erased, month.failed];
        let head = [Markup::text(facts.lang.month(at, &facts.zone)), Markup::text(job)];
        table.row(head.into_iter().chain(counts.iter().map(|count| Markup::text(facts.lang.count(*count)))));
    }
    table
}
