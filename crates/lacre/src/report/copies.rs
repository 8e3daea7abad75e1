//! Three copies, two kinds of storage, one elsewhere: how that stands, as far as a configuration can say it.

use std::collections::BTreeSet;

use lacre_repo::op::copy::{CopyState, CopyStatus};

use super::{
    Facts, Tone, checks,
    html::{Markup, Table, code, html},
    moment, note, pill, section as sectioned,
};
use crate::cli::value::StoreUrl;

/// Whether a copy has every snapshot. The record of the run that brought it there is written after that, so a night leaves a copy behind
/// by a few bytes, and by no snapshot.
pub(super) fn holds_all(copy: &CopyStatus) -> bool {
    match copy.state {
        CopyState::Current => true,
        CopyState::Behind => copy.lag_snapshots == 0,
        _ => false,
    }
}

/// Copies that hold everything, of those that are configured.
fn current(facts: &Facts<'_>) -> usize {
    facts.copies.iter().filter(|copy| holds_all(copy)).count()
}

/// The figure under the head of the page.
pub(super) fn figure(facts: &Facts<'_>) -> String {
    if facts.copies.is_empty() { "0".to_owned() } else { format!("{} / {}", current(facts), facts.copies.len()) }
}

/// What stands below it.
pub(super) fn figure_note(facts: &Facts<'_>) -> String {
    let (en, pt) =
        if facts.copies.is_empty() { ("none configured", "nenhuma configurada") } else { ("current", "em dia") };
    facts.say(en, pt).to_owned()
}

/// The rule of three, two, one, counted.
pub(super) struct Rule {
    /// The living data, the repository and every copy that holds everything.
    pub(super) copies: usize,
    /// Kinds of storage among repository and those copies: this machine's disks, each provider.
    pub(super) kinds: usize,
    /// Of those, how many are not on this machine.
    pub(super) elsewhere: usize,
}

impl Rule {
    /// Counts what is there.
    pub(super) fn of(facts: &Facts<'_>) -> Rule {
        let is_current = |name: &str| facts.copies.iter().any(|copy| copy.name == name && holds_all(copy));
        let copies = facts.settings.copies.iter().filter(|copy| is_current(copy.name.as_str())).map(|copy| &copy.url);
        let places: Vec<&StoreUrl> = std::iter::once(facts.place).chain(copies).collect();
        let kinds: BTreeSet<String> = places.iter().map(|place| kind(place)).collect();
        let elsewhere = places.iter().filter(|place| matches!(place, StoreUrl::Remote(_))).count();
        Rule { copies: places.len() + 1, kinds: kinds.len(), elsewhere }
    }

    /// Whether all three hold.
    pub(super) fn holds(&self) -> bool {
        self.copies >= 3 && self.kinds >= 2 && self.elsewhere >= 1
    }
}

/// What a place is lost together with: a disk of this machine, or a provider.
fn kind(place: &StoreUrl) -> String {
    match place {
        StoreUrl::Folder(_) | StoreUrl::Memory => "folder".to_owned(),
        StoreUrl::Remote(url) => url.scheme().unwrap_or("remote").to_owned(),
    }
}

/// The state of a copy in words.
fn state(facts: &Facts<'_>, copy: &CopyStatus) -> Markup {
    let (tone, en, pt) = match copy.state {
        CopyState::Behind if holds_all(copy) => (Tone::Good, "current", "em dia"),
        CopyState::Current => (Tone::Good, "current", "em dia"),
        CopyState::Behind => (Tone::Mind, "behind", "atrasada"),
        CopyState::OldGeneration => (Tone::Bad, "holds an older seal", "com um lacre anterior"),
        CopyState::Empty => (Tone::Bad, "empty", "vazia"),
        CopyState::Missing => (Tone::Bad, "missing", "sumiu"),
        CopyState::Unreachable => (Tone::Bad, "unreachable", "inalcançável"),
        CopyState::Ahead => (Tone::Bad, "ahead", "adiantada"),
        CopyState::Forked => (Tone::Bad, "forked", "bifurcada"),
        CopyState::Foreign => (Tone::Bad, "something else lies there", "há outra coisa lá"),
    };
    pill(tone, facts.say(en, pt))
}

/// The section.
pub(super) fn section(facts: &Facts<'_>) -> Markup {
    let mut body = rule(facts);
    if facts.copies.is_empty() {
        let en = "No copy is configured: one fire, one provider or one stolen key takes every backup. A [[copy]] in lacre.toml is a second place.";
        let pt = "Nenhuma cópia configurada: um incêndio, um provedor ou uma chave roubada leva todos os backups. Um [[copy]] no lacre.toml é um segundo lugar.";
        body.add(&note(facts.say(en, pt)));
    } else {
        body.add(&table(facts).markup());
        body.add(&findings(facts));
    }
    sectioned("copies", facts.say("Three copies", "Três cópias"), &body)
}

fn rule(facts: &Facts<'_>) -> Markup {
    let rule = Rule::of(facts);
    let lines = [
        (
            rule.copies >= 3,
            3_u32,
            rule.copies,
            facts.say("copies of the data, the living database among them", "cópias dos dados, contando o banco vivo"),
        ),
        (
            rule.kinds >= 2,
            2,
            rule.kinds,
            facts.say("kinds of storage for the backups", "tipos de armazenamento dos backups"),
        ),
        (rule.elsewhere >= 1, 1, rule.elsewhere, facts.say("of them elsewhere", "deles em outro lugar")),
    ];
    let mut out = Markup::new();
    out.raw("<ol class=\"rule\">");
    for (holds, wanted, found, what) in lines {
        let tone = if holds { Tone::Good } else { Tone::Mind };
        html!(out, "<li><b>", wanted, "</b> ", what, " ", pill(tone, &found.to_string()), "</li>");
    }
    out.raw("</ol>");
    out
}

fn table(facts: &Facts<'_>) -> Table {
    let mut table = Table::new(facts.say("Where the backups lie", "Onde estão os backups"))
        .text(facts.say("place", "lugar"))
        .text("URL")
        .text(facts.say("state", "estado"))
        .number(facts.say("snapshots behind", "snapshots a enviar"))
        .text(facts.say("last sync", "última sincronização"))
        .text("");
    let here = pill(Tone::Good, facts.say("looked at just now", "vista agora"));
    table.row([Markup::text(facts.say("repository", "repositório")), Markup::text(facts.place.to_string()), here]);
    for copy in facts.copies {
        let url = facts.settings.copies.iter().find(|known| known.name.as_str() == copy.name);
        table.row([
            Markup::text(&copy.name),
            Markup::text(url.map(|known| known.url.to_string())),
            state(facts, copy),
            Markup::text(facts.lang.count(copy.lag_snapshots)),
            copy.synced
                .map(|at| facts.time_and_ago(moment(at)))
                .unwrap_or_else(|| Markup::text(facts.say("never", "nunca"))),
            next(copy),
        ]);
    }
    table
}

/// The command that brings a copy up to date, where one does.
fn next(copy: &CopyStatus) -> Markup {
    let is_simple = matches!(copy.state, CopyState::Behind | CopyState::OldGeneration | CopyState::Empty);
    if is_simple && !holds_all(copy) { code(&format!("lacre copy sync {}", copy.name)) } else { Markup::new() }
}

fn findings(facts: &Facts<'_>) -> Markup {
    let mut out = Markup::new();
    let found = facts.copies.iter().flat_map(|copy| copy.findings.iter().map(move |finding| (&copy.name, finding)));
    for (name, finding) in found {
        html!(
            out,
            "<li><b>",
            name,
            "</b>: <span lang=\"en\">",
            finding.what,
            "</span>; ",
            checks::advice(&finding.advice),
            "</li>"
        );
    }
    if out.is_empty() {
        return out;
    }
    let mut list = Markup::new();
    html!(list, "<ul class=\"findings\">", out, "</ul>");
    list
}
