//! What the backups cost, where a table of prices says so: this page only shows it.

use super::{
    Facts,
    html::{Markup, Table, html},
    section as sectioned,
};
use crate::config::prices::REPOSITORY;

/// The section; nothing where there is no table of prices.
pub(super) fn section(facts: &Facts<'_>) -> Markup {
    let Some((prices, cost)) = facts.cost.filter(|(_, cost)| !cost.stores.is_empty()) else { return Markup::new() };
    let digits = cost.digits();
    let cost = cost.rounded(digits);
    let amount = |amount: f64| facts.lang.amount(&prices.currency, amount, digits);
    let mut table = Table::new(facts.say("Each month", "Por mês"))
        .text(facts.say("place", "lugar"))
        .number(facts.say("stored", "guardado"))
        .number(facts.say("storage", "armazenamento"))
        .number(facts.say("requests", "requisições"))
        .number(facts.say("egress", "saída"))
        .number(facts.say("fee", "taxa"))
        .number("total")
        .number(facts.say("in a year", "em um ano"));
    for store in &cost.stores {
        let unpriced = || facts.say("no price", "sem preço").to_owned();
        let billed = |part: Option<f64>| Markup::text(part.map_or_else(unpriced, amount));
        table.row([
            Markup::text(if store.name == REPOSITORY { facts.say("repository", "repositório") } else { &store.name }),
            Markup::text(facts.lang.bytes(store.bytes)),
            billed(store.bill.map(|bill| bill.storage)),
            billed(store.bill.map(|bill| bill.requests)),
            billed(store.bill.map(|bill| bill.egress)),
            billed(store.bill.map(|bill| bill.fee)),
            billed(store.bill.map(|bill| bill.total())),
            billed(store.bill.and_then(|_| store.months.last()).map(|month| month.total)),
        ]);
    }
    let mut body = table.markup();
    html!(
        body,
        "<p>",
        facts.say("In all: ", "Ao todo: "),
        amount(cost.month()),
        " · ",
        facts.say("the twelve months to come: ", "os próximos doze meses: ")
    );
    let source = prices.source.as_ref().map(|source| format!(", {source}"));
    html!(
        body,
        amount(cost.year()),
        " · ",
        facts.say("prices of ", "preços de "),
        facts.lang.date(prices.date),
        source,
        "</p>"
    );
    sectioned("cost", facts.say("Cost", "Custo"), &body)
}
