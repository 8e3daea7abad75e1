//! A bill: what a month of one store costs.
//!
//! In: prices, and what is kept, asked and read in a month. Out: amounts. Pure arithmetic.

use crate::config::prices::Price;

/// Requests are priced by the thousand.
const REQUESTS_PRICED: f64 = 1_000.0;
/// Days of a month, on average.
pub const MONTH_DAYS: f64 = 365.25 / 12.0;

/// Requests of a month, or of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Requests {
    /// Writes.
    pub put: f64,
    /// Reads.
    pub get: f64,
    /// Listings.
    pub list: f64,
}

impl Requests {
    /// So many times these.
    #[must_use]
    pub fn times(self, count: f64) -> Requests {
        Requests { put: self.put * count, get: self.get * count, list: self.list * count }
    }

    /// These and others.
    #[must_use]
    pub fn and(self, other: Requests) -> Requests {
        Requests { put: self.put + other.put, get: self.get + other.get, list: self.list + other.list }
    }
}

/// A month of one store.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Bytes kept, on average.
    pub bytes: f64,
    /// Byte-days that are billed although what was there is deleted, at a minimum of one day; see [`Price::storage_days_min`].
    pub early: f64,
    /// Requests.
    pub requests: Requests,
    /// Bytes that leave.
    pub egress: f64,
}

/// What a month of one store costs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bill {
    /// Keeping.
    pub storage: f64,
    /// Requests.
    pub requests: f64,
    /// What leaves.
    pub egress: f64,
    /// Whatever is used.
    pub fee: f64,
}

impl Bill {
    /// Everything.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.storage + self.requests + self.egress + self.fee
    }

    /// Each part rounded to so many digits, so that their sum is what a person finds who adds them up.
    #[must_use]
    pub fn rounded(&self, digits: Digits) -> Bill {
        Bill {
            storage: digits.round(self.storage),
            requests: digits.round(self.requests),
            egress: digits.round(self.egress),
            fee: digits.round(self.fee),
        }
    }
}

/// How many digits after the point every amount of one bill has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digits(u8);

impl Digits {
    /// Hundredths, as money is paid.
    pub const CENTS: Digits = Digits(2);
    /// For bills that would be nothing but zeros in hundredths.
    pub const SMALL: Digits = Digits(4);
    /// For documents that programs read.
    pub const FINE: Digits = Digits(6);

    /// How many they are.
    #[must_use]
    pub fn count(self) -> usize {
        usize::from(self.0)
    }

    /// The amount to the nearest last digit.
    #[must_use]
    pub fn round(self, amount: f64) -> f64 {
        let parts = 10_f64.powi(i32::from(self.0));
        (amount * parts).round() / parts
    }
}

impl Price {
    /// The bill of a month.
    #[must_use]
    pub fn bill(&self, load: &Load) -> Bill {
        let unit = self.unit_bytes.max(1) as f64;
        let beyond = |used: f64, free: f64| (used - free).max(0.0);
        let priced = |count: f64, free: u32, price: f64| beyond(count, f64::from(free)) / REQUESTS_PRICED * price;
        let kept = load.bytes + load.early / MONTH_DAYS;
        let free_egress = self.free_egress as f64 + self.free_egress_share * load.bytes;
        Bill {
            storage: beyond(kept, self.free_storage as f64) / unit * self.storage,
            requests: priced(load.requests.put, self.free_put, self.put)
                + priced(load.requests.get, self.free_get, self.get)
                + priced(load.requests.list, self.free_list, self.list),
            egress: beyond(load.egress, free_egress) / unit * self.egress,
            fee: self.fee,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Load, MONTH_DAYS, Requests};
    use crate::config::prices::Price;

    const GB: f64 = 1e9;

    fn price() -> Price {
        Price { storage: 0.02, unit_bytes: 1_000_000_000, put: 0.005, egress: 0.09, ..Price::default() }
    }

    fn near(found: f64, wanted: f64) {
        assert!((found - wanted).abs() < 1e-9, "{found} instead of {wanted}");
    }

    #[test]
    fn each_part_is_priced_and_what_is_free_is_left_out() {
        let load = Load {
            bytes: 100.0 * GB,
            early: 0.0,
            requests: Requests { put: 3_000.0, get: 1e6, list: 1e6 },
            egress: 20.0 * GB,
        };
        let bill = price().bill(&load);
        near(bill.storage, 2.0);
        near(bill.requests, 0.015);
        near(bill.egress, 1.8);
        near(bill.total(), 3.815);
        let free = Price {
            free_storage: 40_000_000_000,
            free_put: 1_000,
            free_egress_share: 0.15,
            free_egress: 1_000_000_000,
            fee: 1.0,
            ..price()
        };
        let bill = free.bill(&load);
        near(bill.storage, 1.2);
        near(bill.requests, 0.01);
        near(bill.egress, 4.0 * 0.09);
        near(bill.fee, 1.0);
        near(free.bill(&Load::default()).total(), 1.0);
    }

    #[test]
    fn what_is_deleted_too_early_is_billed_on() {
        let load = Load { bytes: 0.0, early: 10.0 * GB * MONTH_DAYS, ..Load::default() };
        near(price().bill(&load).storage, 0.2);
    }
}
