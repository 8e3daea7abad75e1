//! `lacre cost`: what keeping backups costs, now and in the months to come.

use std::io;

use jiff::Timestamp;
use lacre_format::ids::JobName;
use lacre_repo::retention::Rules;

use super::{findings, forget};
use crate::{
    cli::CostArgs,
    config::{
        Settings,
        prices::{Prices, REPOSITORY},
    },
    cost::{self, Cost, Evidence, Listed, StoreCost, bill::Digits},
    error::{CliError, Kind},
    exit::Exit,
    human,
    invocation::Invocation,
    output::{CostEntry, CostMonth, CostResult},
    term::{
        page::{self, Lead, Page},
        table::{Align, Table},
    },
    vault::{Making, Vault, copy_at},
};

/// Shows what a month costs: exit 3 when prices are old or missing.
///
/// # Errors
/// [`Kind::Configuration`] without prices; those of the vault.
pub(super) fn run(invocation: &Invocation, args: &CostArgs) -> Result<Exit, CliError> {
    let settings = invocation.settings()?;
    let prices = settings.prices.clone().ok_or_else(no_prices)?;
    let cost = match (args.per_night, args.nights) {
        (Some(nightly), Some(nights)) if !prices.stores.is_empty() => {
            cost::supposed(&settings, &prices, nightly, nights, Timestamp::now())
        }
        (Some(_), _) => return Err(no_prices()),
        _ => estimate(&Vault::with(invocation, settings)?, &prices)?,
    };
    let document = document(&prices, &cost.rounded(Digits::FINE));
    invocation.print(&document, |out| {
        write(&prices, &cost, out)?;
        findings::write(&cost.findings, out)
    })?;
    Ok(findings::exit(&cost.findings))
}

fn no_prices() -> CliError {
    CliError::new(Kind::Configuration, "lacre.toml has no prices to count with")
        .hint("write [prices] with currency and date and a [price.repository]; docs/COST.md has tables to begin with")
}

/// What this repository and its copies cost: one listing of each besides a look at the status.
///
/// # Errors
/// Those of the vault; a copy that cannot be listed is a finding.
pub(super) fn estimate(vault: &Vault, prices: &Prices) -> Result<Cost, CliError> {
    let status = vault.repository.status().map_err(|error| vault.explain(error))?;
    let own = vault.repository.store().list("").map_err(|error| vault.explain(error.into()))?;
    let place = vault.place.to_string();
    let mut stores = vec![Listed { name: REPOSITORY.to_owned(), place, objects: Ok(own.objects) }];
    if copy_at(&vault.place, &vault.settings).is_none() {
        stores.extend(copies(vault)?);
    }
    let rules = |job: &str| rules_of(&vault.settings, job);
    Ok(Cost::of(&Evidence { settings: &vault.settings, prices, status: &status, stores, rules: &rules }))
}

fn rules_of(settings: &Settings, job: &str) -> Rules {
    JobName::parse(job).map(|job| forget::configured(settings, &job)).unwrap_or_default()
}

fn copies(vault: &Vault) -> Result<Vec<Listed>, CliError> {
    let opened = vault.open_copies(None, Making::Never)?;
    let place = |name: &str| {
        let known = vault.settings.copies.iter().find(|copy| copy.name.as_str() == name);
        known.map(|copy| copy.url.to_string()).unwrap_or_default()
    };
    let mut listed: Vec<Listed> = std::thread::scope(|scope| {
        let asked: Vec<_> = opened.places.iter().map(|copy| (copy, scope.spawn(|| copy.store.list("")))).collect();
        asked
            .into_iter()
            .map(|(copy, listing)| {
                let objects = match listing.join() {
                    Ok(Ok(listing)) => Ok(listing.objects),
                    Ok(Err(error)) => Err(error.to_string()),
                    Err(_) => Err("its thread ended".to_owned()),
                };
                Listed { name: copy.name.clone(), place: place(&copy.name), objects }
            })
            .collect()
    });
    listed.extend(opened.closed.into_iter().map(|closed| {
        let why =
            closed.findings.first().map_or_else(|| closed.state.name().to_owned(), |finding| finding.what.clone());
        Listed { place: place(&closed.name), name: closed.name, objects: Err(why) }
    }));
    Ok(listed)
}

/// A sum of rounded amounts, without what adding them up leaves behind the last digit.
fn parts(amount: f64) -> f64 {
    Digits::FINE.round(amount)
}

fn document(prices: &Prices, cost: &Cost) -> CostResult {
    CostResult {
        currency: prices.currency.clone(),
        prices_of: prices.date.to_string(),
        source: prices.source.clone(),
        stores: cost.stores.iter().map(entry).collect(),
        month: parts(cost.month()),
        months: cost.months.iter().map(|month| parts(*month)).collect(),
        year: parts(cost.year()),
        bytes_added_month: cost.added.map(human::whole),
        findings: findings::entries(&cost.findings),
    }
}

fn entry(store: &StoreCost) -> CostEntry {
    let bill = store.bill.unwrap_or_default();
    CostEntry {
        name: store.name.clone(),
        place: store.place.clone(),
        bytes: store.bytes,
        objects: store.objects,
        priced: store.bill.is_some(),
        storage: parts(bill.storage),
        requests: parts(bill.requests),
        egress: parts(bill.egress),
        fee: parts(bill.fee),
        month: parts(bill.total()),
        restore: parts(store.restore),
        months: store
            .months
            .iter()
            .map(|month| CostMonth { bytes: human::whole(month.bytes), total: parts(month.total) })
            .collect(),
    }
}

fn write(prices: &Prices, cost: &Cost, out: &mut dyn Page) -> io::Result<()> {
    let digits = cost.digits();
    let (cost, amount) = (cost.rounded(digits), |amount: f64| human::amount(amount, digits));
    let mut table = Table::new(&[
        ("store", Align::Left),
        ("stored", Align::Right),
        ("storage", Align::Right),
        ("requests", Align::Right),
        ("egress", Align::Right),
        ("fee", Align::Right),
        ("a month", Align::Right),
        ("in a year", Align::Right),
        ("one restore", Align::Right),
    ])
    .lowers("fee")
    .lowers("egress")
    .lowers("requests")
    .lowers("storage");
    for store in &cost.stores {
        let mut row = vec![store.name.clone(), human::bytes(store.bytes)];
        if let Some(bill) = store.bill {
            let last = store.months.last().map_or(0.0, |month| month.total);
            let all = [bill.storage, bill.requests, bill.egress, bill.fee, bill.total(), last, store.restore];
            row.extend(all.map(amount));
        } else {
            row.push("no price".to_owned());
        }
        table.row(row);
    }
    table.write(out)?;
    let (currency, month, year) = (&prices.currency, amount(cost.month()), amount(cost.year()));
    writeln!(out, "a month: {currency} {month}; the twelve months to come: {currency} {year}")?;
    if let Some(added) = cost.added {
        writeln!(out, "backups add {} a month before anything is forgotten", human::bytes(human::whole(added)))?;
    }
    let source = prices.source.as_ref().map_or_else(String::new, |source| format!(", {source}"));
    page::sentence(out, Lead::plain(""), &format!("prices of {}{source}: check yours", prices.date))
}
