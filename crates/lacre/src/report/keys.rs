//! Keys and holders: who may read, what may still be read, and which machines may do what.

use std::time::{Duration, UNIX_EPOCH};

use lacre_format::{
    ids::Millis,
    log::KitRecord,
    policy::{Holders, KitState, RecipientEntry, Role},
};
use lacre_repo::op::homes::HomeRow;
use lacre_seal::recipient::{Recipient, RecipientKind};

use super::{
    Facts, Tone,
    html::{Markup, Table, html},
    moment, pill, section as sectioned, short,
};

/// The section.
pub(super) fn section(facts: &Facts<'_>) -> Markup {
    let seal = &facts.status.seal;
    let mut body = Markup::new();
    let since = facts.lang.day(moment(seal.sealed_at), &facts.zone);
    let promised = match seal.holders {
        Holders::Two => facts.say("two independent holders are required", "dois detentores independentes são exigidos"),
        Holders::Single => facts.say(
            "a single holder is declared: if it is lost, so is every backup",
            "um único detentor foi declarado: se ele se perder, perdem-se todos os backups",
        ),
    };
    let told = facts.say(
        format!(
            "Seal generation {}, since {since}; {promised}, {} known to hold it.",
            seal.generation.number, seal.holders_verified
        ),
        format!(
            "Geração {} do lacre, desde {since}; {promised}, {} sabidamente o guardam.",
            seal.generation.number, seal.holders_verified
        ),
    );
    html!(body, "<p>", told, "</p>", holders(facts).markup(), recipients(facts).markup(), homes(facts).markup());
    sectioned("keys", facts.say("Keys and holders", "Chaves e detentores"), &body)
}

/// Cells, kits and sheets.
fn holders(facts: &Facts<'_>) -> Table {
    let seal = &facts.status.seal;
    let mut table = Table::new(facts.say("Who holds the seal", "Quem guarda o lacre"))
        .text(facts.say("holder", "detentor"))
        .text(facts.say("name", "nome"))
        .text(facts.say("lost together with", "perde-se junto com"))
        .text(facts.say("state", "estado"));
    for cell in &seal.cells {
        let state = match (cell.reachable, cell.holds) {
            (true, true) => pill(Tone::Good, facts.say("holds the current seal", "guarda o lacre atual")),
            (true, false) => pill(Tone::Bad, facts.say("does not hold the current seal", "não guarda o lacre atual")),
            (false, _) => pill(Tone::Calm, facts.say("not reached from this host", "não alcançada desta máquina")),
        };
        let name = Markup::text(&cell.name);
        table.row([Markup::text(facts.say("cell", "célula")), name, Markup::text(&cell.holder), state]);
    }
    for (at, kit) in &seal.kits {
        let is_current = kit.generation == seal.generation;
        let state = sheet_state(facts, kit.state, if is_current { Seal::Current } else { Seal::Older });
        table.row(sheet_row(facts, "kit", (*at, kit), state));
    }
    for (at, pointer) in &seal.pointers {
        let cells = facts.lang.things(pointer.cells.len(), ["cell", "cells"], ["célula", "células"]);
        let name =
            facts.say(format!("{} (leads to {cells})", pointer.number), format!("{} (leva a {cells})", pointer.number));
        let state = sheet_state(facts, pointer.state, Seal::Current);
        let kind = Markup::text(facts.say("pointer kit", "kit indicador"));
        table.row([kind, Markup::text(name), facts.time(moment(*at)), state]);
    }
    for (at, sheet) in &seal.identity_sheets {
        let state = sheet_state(facts, sheet.state, Seal::Current);
        table.row(sheet_row(
            facts,
            facts.say("identity sheet (not the seal)", "folha da identidade (não o lacre)"),
            (*at, sheet),
            state,
        ));
    }
    table
}

fn sheet_row(facts: &Facts<'_>, kind: &str, (at, sheet): (Millis, &KitRecord), state: Markup) -> [Markup; 4] {
    let paper = Markup::text(facts.say("its paper", "o papel"));
    let mut state = state;
    html!(state, " <small>", facts.lang.day(moment(at), &facts.zone), "</small>");
    [Markup::text(kind), Markup::text(sheet.number), paper, state]
}

/// Which seal a sheet is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Seal {
    Current,
    Older,
}

fn sheet_state(facts: &Facts<'_>, state: KitState, seal: Seal) -> Markup {
    match (state, seal) {
        (KitState::Destroyed, _) => pill(Tone::Calm, facts.say("destroyed", "destruído")),
        (_, Seal::Older) => pill(Tone::Mind, facts.say("of an older seal", "de um lacre anterior")),
        (KitState::Acknowledged, Seal::Current) => pill(Tone::Good, facts.say("read back", "conferido")),
        (KitState::Issued, Seal::Current) => {
            pill(Tone::Mind, facts.say("printed, never read back", "impresso, nunca conferido"))
        }
    }
}

/// Who may read.
fn recipients(facts: &Facts<'_>) -> Table {
    let mut table = Table::new(facts.say("Who may read (with the seal)", "Quem pode ler (com o lacre)"))
        .text(facts.say("recipient", "destinatário"))
        .text(facts.say("kind", "tipo"))
        .text(facts.say("valid", "validade"));
    for entry in &facts.status.recipients {
        let recipient = Recipient::from_record(entry.kind, &entry.bytes).ok();
        let mut name = Markup::new();
        html!(name, "<span class=\"long\">", entry.label, "</span>");
        table.row([name, Markup::text(kind(facts, entry, recipient.as_ref())), validity(facts, recipient.as_ref())]);
    }
    table
}

fn kind(facts: &Facts<'_>, entry: &RecipientEntry, recipient: Option<&Recipient>) -> String {
    match recipient.map(Recipient::kind) {
        _ if entry.locked_identity.is_some() => facts.say("passphrase", "frase-senha").to_owned(),
        Some(kind) => kind.to_string(),
        None => "?".to_owned(),
    }
}

/// Certificates end; age keys do not.
fn validity(facts: &Facts<'_>, recipient: Option<&Recipient>) -> Markup {
    let never = || Markup::text(facts.say("does not expire", "não expira"));
    let Some(recipient) = recipient.filter(|recipient| recipient.kind() == RecipientKind::OpenPgp) else {
        return never();
    };
    let now = UNIX_EPOCH + Duration::from_secs(u64::try_from(facts.now().as_second()).unwrap_or_default());
    match recipient.check(now).map(|validity| validity.expires) {
        Ok(None) => never(),
        Ok(Some(at)) => {
            let left = at.duration_since(now).map_or(0, |left| left.as_secs() / 86_400);
            let days = facts.lang.things(left, ["day left", "days left"], ["dia", "dias"]);
            let told = facts.say(days.clone(), format!("{} {days}", if left == 1 { "falta" } else { "faltam" }));
            let is_long = left >= u64::from(facts.settings.operate.status.min_key_days);
            pill(if is_long { Tone::Good } else { Tone::Bad }, &told)
        }
        Err(error) => {
            let mut out = pill(Tone::Bad, facts.say("cannot be used", "não pode ser usado"));
            html!(out, " <span lang=\"en\">", error.to_string(), "</span>");
            out
        }
    }
}

/// The machines of the policy.
fn homes(facts: &Facts<'_>) -> Table {
    let mut table = Table::new(facts.say("Machines and what each may do", "Máquinas e o que cada uma pode fazer"))
        .text(facts.say("machine", "máquina"))
        .text("id")
        .text(facts.say("role", "papel"))
        .number("snapshots")
        .text(facts.say("newest", "mais novo"))
        .text(facts.say("state", "estado"));
    for row in facts.homes {
        table.row([
            Markup::text(&row.entry.label),
            short(&row.entry.home.to_string()),
            Markup::text(role(facts, row.entry.role)),
            Markup::text(facts.lang.count(u64::try_from(row.snapshots).unwrap_or(u64::MAX))),
            row.last_snapshot.map(|at| facts.time(moment(at))).unwrap_or_else(|| Markup::text("–")),
            standing(facts, row),
        ]);
    }
    table
}

fn role(facts: &Facts<'_>, role: Role) -> &'static str {
    match role {
        Role::Admin => facts.say("admin: everything", "admin: tudo"),
        Role::Writer => facts.say("writer: makes snapshots, reads none", "writer: faz snapshots, não lê nenhum"),
        Role::Maintenance => facts.say("maintenance: cleans up and checks", "maintenance: limpa e verifica"),
    }
}

fn standing(facts: &Facts<'_>, row: &HomeRow) -> Markup {
    match (&row.entry.revoked, row.revoking) {
        (Some(pins), _) => {
            let day = facts.lang.day(moment(pins.at), &facts.zone);
            pill(Tone::Calm, &facts.say(format!("revoked {day}"), format!("revogada {day}")))
        }
        (None, _) if row.entry.is_revoked() => pill(Tone::Calm, facts.say("revoked", "revogada")),
        (None, true) => pill(Tone::Mind, facts.say("being revoked", "sendo revogada")),
        (None, false) => pill(Tone::Good, facts.say("enrolled", "inscrita")),
    }
}
