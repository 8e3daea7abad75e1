//! Erasures: what was to be forgotten for good, how far each has come, and the command that settles what it waits for.

use std::collections::BTreeSet;

use lacre_format::ids::Token;
use lacre_repo::op::erase::{ErasureState, ErasureStatus};

use super::{
    Facts, Tone, checks,
    html::{Markup, Table, html},
    moment, note, pill, section as sectioned, short,
};

/// Whether something of an erasure is still open.
pub(super) fn is_open(erasure: &ErasureStatus) -> bool {
    matches!(erasure.state, ErasureState::Pending | ErasureState::Interim)
}

/// The state of an erasure as a mark.
fn state(facts: &Facts<'_>, erasure: &ErasureStatus) -> Markup {
    match erasure.state {
        ErasureState::Pending => pill(Tone::Bad, facts.say("pending", "pendente")),
        ErasureState::Interim => pill(Tone::Mind, facts.say("interim", "provisório")),
        ErasureState::Complete => pill(Tone::Good, facts.say("complete", "completo")),
        ErasureState::Cancelled => pill(Tone::Calm, facts.say("cancelled", "cancelado")),
    }
}

/// The section.
pub(super) fn section(facts: &Facts<'_>) -> Markup {
    let title = facts.say("Erasures", "Apagamentos");
    let shown = |erasure: &&ErasureStatus| is_open(erasure) || facts.is_in(erasure.intended);
    let erasures: Vec<&ErasureStatus> = facts.status.erasures.iter().filter(shown).collect();
    if erasures.is_empty() {
        let en = "Nothing was erased, and nobody asked for it.";
        return sectioned("erasures", title, &note(facts.say(en, "Nada foi apagado, e ninguém pediu.")));
    }
    let ledger = &facts.status.view.ledger;
    let persons: BTreeSet<Token> =
        ledger.intents.iter().filter(|intent| intent.person.is_some()).map(|intent| intent.record.id).collect();
    let receipts: BTreeSet<Token> = ledger.receipts.iter().map(|(_, receipt)| receipt.erasure).collect();
    let mut table = Table::new(facts.say("Erasures, newest first", "Apagamentos, os mais novos primeiro"))
        .text(facts.say("erasure", "apagamento"))
        .text(facts.say("signed", "assinado"))
        .text(facts.say("of", "de"))
        .number("snapshots")
        .text(facts.say("state", "estado"))
        .text(facts.say("receipt", "recibo"));
    for erasure in erasures.iter().rev() {
        let whom = if persons.contains(&erasure.erasure) {
            facts.say("a person", "uma pessoa")
        } else {
            facts.say("whole snapshots", "snapshots inteiros")
        };
        let receipt = if receipts.contains(&erasure.erasure) { facts.say("written", "emitido") } else { "–" };
        table.row([
            short(&erasure.erasure.to_string()),
            facts.time(moment(erasure.intended)),
            Markup::text(whom),
            Markup::text(facts.lang.count(u64::try_from(erasure.snapshots.len()).unwrap_or(u64::MAX))),
            state(facts, erasure),
            Markup::text(receipt),
        ]);
    }
    let mut body = table.markup();
    body.add(&waiting(facts, &erasures));
    body.add(&declared(facts, &erasures));
    let en = "Who was erased, and by which key, stands nowhere in the repository; the receipt and your own file of the request say it.";
    let pt = "Quem foi apagado, e por qual chave, não consta em lugar nenhum do repositório; o recibo e o seu próprio registro do pedido o dizem.";
    body.add(&note(facts.say(en, pt)));
    sectioned("erasures", title, &body)
}

/// What open erasures wait for.
fn waiting(facts: &Facts<'_>, erasures: &[&ErasureStatus]) -> Markup {
    let mut table = Table::new(
        facts.say("What they wait for, and the command that settles it", "O que eles esperam, e o comando que resolve"),
    )
    .text(facts.say("erasure", "apagamento"))
    .text("item")
    .text(facts.say("what is the matter", "o que falta"))
    .text(facts.say("do", "faça"));
    for erasure in erasures {
        for pending in &erasure.pending {
            let mut what = Markup::new();
            html!(what, "<span lang=\"en\">", pending.what, "</span>");
            table.row([
                short(&erasure.erasure.to_string()),
                Markup::text(&pending.item),
                what,
                checks::advice(&pending.command),
            ]);
        }
    }
    if table.is_empty() { Markup::new() } else { table.markup() }
}

/// What an admin vouched for, because nothing can prove it.
fn declared(facts: &Facts<'_>, erasures: &[&ErasureStatus]) -> Markup {
    let mut table =
        Table::new(facts.say("Declared by an admin, not proven", "Declarado por um administrador, não provado"))
            .text(facts.say("erasure", "apagamento"))
            .text("item")
            .text(facts.say("declared as", "declarado como"));
    for erasure in erasures {
        for declared in &erasure.declared {
            let state = match declared.state {
                lacre_format::erasure::Declared::Destroyed => facts.say("destroyed", "destruído"),
                lacre_format::erasure::Declared::Lost => facts.say("lost", "perdido"),
            };
            table.row([short(&erasure.erasure.to_string()), Markup::text(&declared.item), Markup::text(state)]);
        }
    }
    if table.is_empty() { Markup::new() } else { table.markup() }
}
