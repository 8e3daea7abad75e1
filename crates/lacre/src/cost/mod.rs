//! What keeping backups costs: each store's month as it is, and the months to come.
//!
//! In: prices of the configuration, what lies in each store, how the jobs have grown, what runs how often. Out: bills. Nothing is read but
//! listings; nothing is written. It must not know how a bill is shown.

pub mod bill;
pub mod forecast;
mod habits;

use jiff::{SignedDuration, Timestamp, Zoned};
use lacre_repo::{Finding, Severity, op::status::Status, retention::Rules, store::ObjectMeta};

use self::{
    bill::{Bill, Digits, Load, MONTH_DAYS, Requests},
    forecast::{MONTHS, Outlook, habit, outlook},
    habits::Habits,
};
use crate::{
    config::{
        Settings,
        prices::{Price, Prices, REPOSITORY},
    },
    human, trend,
};

/// Prices that are older than this are asked for again.
pub const PRICES_AGE_MAX: SignedDuration = SignedDuration::from_hours(180 * 24);

/// What all of it costs.
#[derive(Clone, Debug)]
pub struct Cost {
    /// Each store, the repository first.
    pub stores: Vec<StoreCost>,
    /// What every month to come costs, from the one that begins now.
    pub months: Vec<f64>,
    /// Bytes the jobs add in a month, before anything is forgotten; nothing when that cannot be told yet.
    pub added: Option<f64>,
    /// What could not be told, or should be looked at.
    pub findings: Vec<Finding>,
}

/// What one store costs.
#[derive(Clone, Debug)]
pub struct StoreCost {
    /// The copy's name, or `repository`.
    pub name: String,
    /// Where it lies.
    pub place: String,
    /// Bytes in it.
    pub bytes: u64,
    /// Objects in it.
    pub objects: u64,
    /// A month as it is; nothing for a store without a price.
    pub bill: Option<Bill>,
    /// Bytes kept and what they cost in each month to come.
    pub months: Vec<Month>,
    /// What reading everything once costs, as for a full restore.
    pub restore: f64,
}

/// A month to come.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Month {
    /// Bytes kept on average.
    pub bytes: f64,
    /// What it costs.
    pub total: f64,
}

/// A store as it was listed, or why it was not.
pub struct Listed {
    /// The copy's name, or `repository`.
    pub name: String,
    /// Where it lies.
    pub place: String,
    /// What lies in it.
    pub objects: Result<Vec<ObjectMeta>, String>,
}

/// Everything a cost is made of.
pub struct Evidence<'a> {
    /// The settings.
    pub settings: &'a Settings,
    /// The prices.
    pub prices: &'a Prices,
    /// What the repository says.
    pub status: &'a Status,
    /// Each store, the repository first.
    pub stores: Vec<Listed>,
    /// The keep rules of a job by its name.
    pub rules: &'a dyn Fn(&str) -> Rules,
}

impl Cost {
    /// Adds everything up.
    pub fn of(evidence: &Evidence<'_>) -> Cost {
        let now = evidence.status.now;
        let mut findings = stale(evidence.prices, now).into_iter().collect::<Vec<_>>();
        let own: Vec<ObjectMeta> =
            evidence.stores.first().and_then(|store| store.objects.as_ref().ok()).cloned().unwrap_or_default();
        let habits = Habits::of(evidence.settings, evidence.status, &own, now);
        let mut stores = Vec::new();
        let mut added = None;
        for (at, store) in evidence.stores.iter().enumerate() {
            let objects = match &store.objects {
                Ok(objects) => objects,
                Err(why) => {
                    let what =
                        format!("it could not be listed ({why}); it is billed as if it held what the repository holds");
                    findings.push(Finding::new(Severity::Warning, what, &store.name, "lacre copy list"));
                    &own
                }
            };
            let price = evidence.prices.stores.get(&store.name).copied();
            if price.is_none() && store.place.contains("://") {
                let what = "no price is known for it, so it is not in the sum";
                let advice =
                    format!("write [price.{}] into lacre.toml; docs/COST.md has tables to begin with", store.name);
                findings.push(Finding::new(Severity::Warning, what, &store.name, advice));
            }
            let days_min = price.map_or(0, |price| price.storage_days_min);
            let (outlook, more) = outlooks(evidence, habits.squeezed, days_min);
            added = added.or(more);
            let (requests, egress) = if at == 0 { habits.repository() } else { habits.copy() };
            stores.push(store_cost(store, objects, price, &outlook, requests, egress));
        }
        Cost { months: all_months(&stores), stores, added, findings }
    }

    /// Digits in which people read this bill: more than cents where a month costs less than one unit of the currency.
    #[must_use]
    pub fn digits(&self) -> Digits {
        let month = self.month();
        if month > 0.0 && month < 1.0 { Digits::SMALL } else { Digits::CENTS }
    }

    /// The same with every amount rounded, and every sum made of what was rounded.
    #[must_use]
    pub fn rounded(&self, digits: Digits) -> Cost {
        let month = |month: &Month| Month { total: digits.round(month.total), ..*month };
        let store = |store: &StoreCost| StoreCost {
            bill: store.bill.map(|bill| bill.rounded(digits)),
            months: store.months.iter().map(month).collect(),
            restore: digits.round(store.restore),
            ..store.clone()
        };
        let stores: Vec<StoreCost> = self.stores.iter().map(store).collect();
        Cost { months: all_months(&stores), stores, added: self.added, findings: self.findings.clone() }
    }

    /// What a month costs now.
    #[must_use]
    pub fn month(&self) -> f64 {
        self.stores.iter().filter_map(|store| store.bill).map(|bill| bill.total()).sum()
    }

    /// What the twelve months to come cost.
    #[must_use]
    pub fn year(&self) -> f64 {
        self.months.iter().sum()
    }
}

/// What all stores together cost in each month to come.
fn all_months(stores: &[StoreCost]) -> Vec<f64> {
    (0..MONTHS).map(|month| stores.iter().map(|store| store.month(month)).sum()).collect()
}

impl StoreCost {
    fn month(&self, month: usize) -> f64 {
        self.months.get(month).map_or(0.0, |month| month.total)
    }
}

/// What it would cost to add so many bytes a night and to keep so many nights, in each store that has a price.
pub fn supposed(settings: &Settings, prices: &Prices, nightly: u64, nights: u32, now: Timestamp) -> Cost {
    let bytes = nightly as f64 * f64::from(nights);
    let habits = Habits::supposed(settings, nightly, bytes, now);
    let stores: Vec<StoreCost> = prices
        .stores
        .iter()
        .map(|(name, price)| {
            let (requests, egress) = if name == REPOSITORY { habits.repository() } else { habits.copy() };
            let load = Load { bytes, early: 0.0, requests, egress };
            let bill = price.bill(&load);
            let restore = restore(price, bytes, bytes);
            let place = place_of(settings, name);
            let months = vec![Month { bytes, total: bill.total() }; MONTHS];
            StoreCost {
                name: name.clone(),
                place,
                bytes: human::whole(bytes),
                objects: 0,
                bill: Some(bill),
                months,
                restore,
            }
        })
        .collect();
    let added = Some(nightly as f64 * MONTH_DAYS);
    Cost { months: all_months(&stores), stores, added, findings: stale(prices, now).into_iter().collect() }
}

fn place_of(settings: &Settings, name: &str) -> String {
    let copy = settings.copies.iter().find(|copy| copy.name.as_str() == name).map(|copy| copy.url.to_string());
    let own = || settings.repository.as_ref().map(ToString::to_string).unwrap_or_default();
    copy.unwrap_or_else(own)
}

/// Prices change; old ones are said to be.
fn stale(prices: &Prices, now: Timestamp) -> Option<Finding> {
    let zoned = Zoned::new(now, jiff::tz::TimeZone::system());
    let day = prices.date.to_zoned(zoned.time_zone().clone()).ok()?.timestamp();
    let limit = PRICES_AGE_MAX.as_hours() / 24;
    (now.duration_since(day) > PRICES_AGE_MAX).then(|| {
        let what = format!("they are of {}, more than {limit} days ago", prices.date);
        let source = prices.source.as_ref().map_or_else(String::new, |source| format!(" ({source})"));
        let advice = format!("look them up again{source} and write the day into [prices] date");
        Finding::new(Severity::Warning, what, "prices", advice)
    })
}

/// What every job will add and forget, and what all of them add in a month.
fn outlooks(evidence: &Evidence<'_>, squeezed: f64, days_min: u32) -> (Outlook, Option<f64>) {
    let rows = &evidence.status.rows;
    let mut jobs: Vec<&str> =
        rows.iter().filter_map(|row| row.label.as_ref()).map(|label| label.job.as_str()).collect();
    jobs.sort_unstable();
    jobs.dedup();
    let (mut all, mut added) = (Outlook::default(), None);
    for job in jobs {
        let of_job = trend::of_job(rows, job);
        let Some(habit) = habit(&of_job, squeezed, evidence.status.now) else { continue };
        added = Some(added.unwrap_or_default() + habit.stored * habit.daily * MONTH_DAYS);
        all.add(&outlook(&of_job, habit, &(evidence.rules)(job), days_min, evidence.status.now));
    }
    (all, added)
}

fn store_cost(
    store: &Listed,
    objects: &[ObjectMeta],
    price: Option<Price>,
    outlook: &Outlook,
    requests: Requests,
    egress: f64,
) -> StoreCost {
    let bytes: u64 = objects.iter().map(|object| object.bytes).sum();
    let load = |bytes: f64, early: f64| Load { bytes, early, requests, egress };
    let bill = price.map(|price| price.bill(&load(bytes as f64, 0.0)));
    let month = |month: usize| {
        let kept = (bytes as f64 + outlook.bytes(month)).max(0.0);
        let total = price.map_or(0.0, |price| price.bill(&load(kept, outlook.early(month))).total());
        Month { bytes: kept, total }
    };
    StoreCost {
        name: store.name.clone(),
        place: store.place.clone(),
        bytes,
        objects: u64::try_from(objects.len()).unwrap_or(u64::MAX),
        bill,
        months: (0..MONTHS).map(month).collect(),
        restore: price.map_or(0.0, |price| restore(&price, bytes as f64, bytes as f64)),
    }
}

/// What reading so many bytes once costs, beyond what is free and not used by anything else.
fn restore(price: &Price, kept: f64, read: f64) -> f64 {
    let requests = Requests { get: habits::reads_of(read), ..Requests::default() };
    let with = price.bill(&Load { bytes: kept, early: 0.0, requests, egress: read });
    with.requests + with.egress
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{
        Cost, Month, StoreCost,
        bill::{Bill, Digits},
        stale,
    };
    use crate::{config::prices::Prices, human};

    #[test]
    fn sums_are_those_of_what_is_shown() {
        let store = |storage: f64, requests: f64| {
            let bill = Bill { storage, requests, egress: 0.004, fee: 0.004 };
            StoreCost {
                name: "x".to_owned(),
                place: String::new(),
                bytes: 1,
                objects: 1,
                bill: Some(bill),
                months: vec![Month { bytes: 1.0, total: bill.total() }; 12],
                restore: 0.0,
            }
        };
        for (cost, digits) in [
            (vec![store(0.0964, 0.00752), store(0.00004, 0.00004)], Digits::SMALL),
            (vec![store(7.004, 0.004), store(1.004, 0.004), store(0.014, 0.004)], Digits::CENTS),
        ] {
            let cost = Cost { stores: cost, months: vec![0.0; 12], added: None, findings: Vec::new() };
            assert_eq!(cost.digits(), digits);
            let shown = cost.rounded(digits);
            let read = |amount: f64| human::amount(amount, digits).parse::<f64>().unwrap();
            let mut sum = 0.0;
            for store in &shown.stores {
                let bill = store.bill.unwrap();
                let parts = read(bill.storage) + read(bill.requests) + read(bill.egress) + read(bill.fee);
                assert_eq!(human::amount(parts, digits), human::amount(bill.total(), digits));
                sum += read(bill.total());
            }
            assert_eq!(human::amount(sum, digits), human::amount(shown.month(), digits));
            let year: f64 = shown.months.iter().map(|month| read(*month)).sum();
            assert_eq!(human::amount(year, digits), human::amount(shown.year(), digits));
        }
    }

    #[test]
    fn prices_of_half_a_year_ago_are_looked_up_again() {
        let prices = Prices {
            currency: "USD".to_owned(),
            date: "2026-04-30".parse().unwrap(),
            source: Some("list prices".to_owned()),
            stores: Default::default(),
        };
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert!(stale(&prices, at("2026-10-20T12:00:00Z")).is_none());
        let finding = stale(&prices, at("2026-11-20T12:00:00Z")).unwrap();
        assert!(finding.what.contains("2026-04-30") && finding.advice.contains("list prices"), "{finding:?}");
    }
}
