//! Prices, settled: what each store costs, and of which day the prices are.
//!
//! In: a valid document. Out: plain values. It must not know what is stored.

use std::collections::BTreeMap;

use jiff::civil::Date;
use toml::de::DeValue;

use super::{
    document::{Document, Problem, Section, Value},
    settle::{as_amount, as_bytes, as_count, as_share, as_text, get},
    suggest,
};

/// The name of the repository among the stores.
pub const REPOSITORY: &str = "repository";
/// What providers call a GB, in bytes.
const UNITS: [(&str, u64); 2] = [("GB", 1_000_000_000), ("GiB", 1 << 30)];
/// The highest price that is believed.
const AMOUNT_MAX: f64 = 1e9;

/// Prices of one day.
#[derive(Clone, Debug, PartialEq)]
pub struct Prices {
    /// Their currency.
    pub currency: String,
    /// Their day.
    pub date: Date,
    /// Where they come from.
    pub source: Option<String>,
    /// What each store costs, by the name of a copy or [`REPOSITORY`].
    pub stores: BTreeMap<String, Price>,
}

/// What one store costs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Price {
    /// A unit kept for a month.
    pub storage: f64,
    /// Bytes of a unit.
    pub unit_bytes: u64,
    /// Days an object is billed for at least.
    pub storage_days_min: u32,
    /// 1,000 writes.
    pub put: f64,
    /// 1,000 reads.
    pub get: f64,
    /// 1,000 listings.
    pub list: f64,
    /// A unit that leaves.
    pub egress: f64,
    /// Every month.
    pub fee: f64,
    /// Bytes that are kept for nothing.
    pub free_storage: u64,
    /// Bytes a month that leave for nothing.
    pub free_egress: u64,
    /// Bytes a month that leave for nothing, as a share of what is kept.
    pub free_egress_share: f64,
    /// Writes a month for nothing.
    pub free_put: u32,
    /// Reads a month for nothing.
    pub free_get: u32,
    /// Listings a month for nothing.
    pub free_list: u32,
}

/// Settles the tables; nothing without `[prices]`.
pub(super) fn settle(document: &Document) -> Option<Prices> {
    let prices = document.of("prices").next();
    Some(Prices {
        currency: get(prices, "currency", as_text)?,
        date: get(prices, "date", as_text)?.parse().ok()?,
        source: get(prices, "source", as_text),
        stores: document.of("price").map(|section| (section.label.clone(), price(section))).collect(),
    })
}

fn price(section: &Section) -> Price {
    let amount = |name| get(Some(section), name, as_amount).unwrap_or_default();
    let count = |name| get(Some(section), name, as_count).unwrap_or_default();
    let bytes = |name| get(Some(section), name, as_bytes).unwrap_or_default();
    let unit = get(Some(section), "unit", as_text);
    let named = UNITS.iter().find(|(name, _)| unit.as_deref() == Some(*name)).unwrap_or(&UNITS[0]);
    Price {
        storage: amount("storage"),
        unit_bytes: named.1,
        storage_days_min: count("storage_days_min"),
        put: amount("put"),
        get: amount("get"),
        list: amount("list"),
        egress: amount("egress"),
        fee: amount("fee"),
        free_storage: bytes("free_storage"),
        free_egress: bytes("free_egress"),
        free_egress_share: get(Some(section), "free_egress_share", as_share).unwrap_or_default(),
        free_put: count("free_put"),
        free_get: count("free_get"),
        free_list: count("free_list"),
    }
}

/// Finds what would make a bill mean something else than its writer meant.
pub(super) fn structure(document: &Document, problems: &mut Vec<Problem>) {
    let prices = document.of("prices").next();
    if let Some(section) = prices {
        for name in ["currency", "date"] {
            super::check::required(section, name, problems);
        }
        if let Some(entry) = section.entries.get("date")
            && let Value::Text(text) = &entry.value
            && text.parse::<Date>().is_err()
        {
            let what = format!("prices.date: {text:?} is no day");
            problems.push(Problem::error(Some(entry.place), what, "write it as 2026-04-30"));
        }
    }
    let copies = document.of("copy").filter_map(|section| get(Some(section), "name", super::settle::as_job_name));
    let known: Vec<String> = copies.map(|name| name.to_string()).chain([REPOSITORY.to_owned()]).collect();
    for section in document.of("price") {
        if prices.is_none() {
            let fix = "add [prices] with currency and date: a price without a day is soon wrong";
            problems.push(Problem::error(Some(section.place), format!("[{}] has no day", section.title()), fix));
        }
        if !known.contains(&section.label) {
            let what = format!("[{}]: there is no such store", section.title());
            let fix = match suggest::nearest(&section.label, known.iter().map(String::as_str)) {
                Some(near) => format!("did you mean [price.{near}]?"),
                None => format!("write [price.NAME] with one of: {}", known.join(", ")),
            };
            problems.push(Problem::error(Some(section.place), what, fix));
        }
        if let Some(entry) = section.entries.get("unit")
            && let Value::Text(text) = &entry.value
            && UNITS.iter().all(|(name, _)| name != text)
        {
            let what = format!("{}.unit: {text:?} is no unit", section.title());
            problems.push(Problem::error(Some(entry.place), what, "write \"GB\" or \"GiB\""));
        }
    }
}

/// Reads a price: a number, or a number as a text.
pub(super) fn amount(value: &DeValue<'_>) -> Result<(Value, String), String> {
    let text = match value {
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::String(text) => text.trim().to_owned(),
        _ => return Err(format!("it is of type {}", value.type_str())),
    };
    Ok((amount_of(&text)?, text))
}

/// Reads a price from text.
pub(super) fn amount_of(text: &str) -> Result<Value, String> {
    let number: f64 = text.parse().map_err(|_| format!("'{text}' is no price; write for example 0.023"))?;
    if number.is_finite() && (0.0..=AMOUNT_MAX).contains(&number) {
        Ok(Value::Amount(number))
    } else {
        Err(format!("'{text}' is no price: it is below 0 or beyond any"))
    }
}

#[cfg(test)]
mod tests {
    use super::{REPOSITORY, settle};
    use crate::config::{check, document::Document};

    const DAY: &str = "[prices]\ncurrency = 'USD'\ndate = '2026-04-30'\n";

    #[test]
    fn prices_settle_with_what_is_not_written_at_nothing() {
        let text = format!(
            "{DAY}[price.repository]\nstorage = 0.023\nunit = 'GiB'\nput = '0.005'\nfee = 4\nfree_egress = '100GB'\n"
        );
        let document = Document::parse(&text);
        assert_eq!((document.problems(), check::structure(&document).len()), (&[][..], 0));
        let prices = settle(&document).unwrap();
        let price = prices.stores[REPOSITORY];
        assert_eq!((price.storage, price.put, price.fee, price.list), (0.023, 0.005, 4.0, 0.0));
        assert_eq!((price.unit_bytes, price.free_egress), (1 << 30, 100_000_000_000));
        assert!(settle(&Document::parse("")).is_none());
    }

    #[test]
    fn a_price_that_nobody_could_use_is_named() {
        let finds = |text: &str, what: &str, fix: &str| {
            let document = Document::parse(text);
            let all: Vec<_> = document.problems().iter().cloned().chain(check::structure(&document)).collect();
            assert!(all.iter().any(|problem| problem.what.contains(what) && problem.fix.contains(fix)), "{all:?}");
        };
        finds("[price.repository]\nstorage = 1", "has no day", "[prices]");
        finds(&format!("{DAY}[price.repositry]\nstorage = 1"), "no such store", "price.repository");
        finds(&format!("{DAY}[price.tape]\nstorage = 1"), "no such store", "one of: repository");
        finds(&format!("{DAY}[price.repository]\nunit = 'TB'"), "no unit", "GiB");
        finds(&format!("{DAY}[price.repository]\nstorage = -1"), "below 0", "decimal");
        finds(&format!("{DAY}[price.repository]\nstorage = 'cheap'"), "no price", "0.023");
        finds("[prices]\ncurrency = 'USD'\ndate = 'April'", "no day", "2026-04-30");
        finds("[prices]\ncurrency = 'USD'", "has no date", "date");
    }
}
