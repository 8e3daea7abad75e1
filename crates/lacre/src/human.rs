//! Sizes, durations, rates and times as people write and read them.
//!
//! In: text from flags and configuration, numbers from results. Out: the other of the two. Pure functions.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo, Timestamp, Zoned, tz::TimeZone};

use crate::cost::bill::Digits;

/// Parses a size such as `64MiB`, `1.5 GB` or plain bytes.
///
/// # Errors
/// A sentence saying what would be accepted.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let size: bytesize::ByteSize =
        text.trim().parse().map_err(|_| format!("'{text}' is not a size; write for example 100KiB, 64MiB or 5GiB"))?;
    Ok(size.as_u64())
}

/// Parses a rate such as `50MiB/s`; the `/s` may be left out.
///
/// # Errors
/// A sentence saying what would be accepted, also for a rate of zero.
pub fn parse_rate(text: &str) -> Result<u64, String> {
    let size = text.trim();
    let rate = parse_bytes(size.strip_suffix("/s").unwrap_or(size))
        .map_err(|_| format!("'{text}' is not a rate; write for example 50MiB/s"))?;
    if rate != 0 && size.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("'{text}' has no unit; write {size}MiB/s, or {size}B/s if bytes are meant"));
    }
    if rate == 0 {
        return Err("a rate of 0 would never finish; leave the key out for no limit".to_owned());
    }
    Ok(rate)
}

/// Parses a calendar span such as `26h`, `8d`, `3mo` or `1y6mo`; nothing negative.
///
/// # Errors
/// A sentence saying what would be accepted.
pub fn parse_span(text: &str) -> Result<Span, String> {
    let fail = || format!("'{text}' is not a time span; write for example 90s, 30m, 26h, 8d, 2w, 3mo or 1y");
    let span: Span = text.trim().parse().map_err(|_| fail())?;
    if span.is_negative() || span.is_zero() { Err(fail()) } else { Ok(span) }
}

/// Parses a duration such as `26h` or `8d` (a day is 24 hours); months and years are refused because their length differs.
///
/// # Errors
/// A sentence saying what would be accepted.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let span = parse_span(text)?;
    let signed = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| format!("'{text}' has no fixed length; write it in days, for example 30d"))?;
    Duration::try_from(signed).map_err(|_| format!("'{text}' is too long"))
}

/// Parses a duration as [`parse_duration`] does, or `0s`.
///
/// # Errors
/// A sentence saying what would be accepted.
pub fn parse_patience(text: &str) -> Result<Duration, String> {
    if text.trim().trim_end_matches(|unit: char| unit.is_ascii_alphabetic()) == "0" {
        return Ok(Duration::ZERO);
    }
    parse_duration(text)
}

/// Parses a share such as `20%`; more than all is allowed, less than nothing is not.
///
/// # Errors
/// A sentence saying what would be accepted.
pub fn parse_percent(text: &str) -> Result<f64, String> {
    let fail = || format!("'{text}' is not a share; write for example 20%");
    let number: f64 = text.trim().strip_suffix('%').ok_or_else(fail)?.trim().parse().map_err(|_| fail())?;
    if number.is_finite() && (0.0..=100_000.0).contains(&number) { Ok(number / 100.0) } else { Err(fail()) }
}

/// Shows a fraction as a share: `20%`, `12.5%`.
pub fn percent(share: f64) -> String {
    let tenths = (share * 1000.0).round() / 10.0;
    format!("{tenths}%")
}

/// Shows a size in binary units with one decimal: `0 B`, `1.5 KiB`, `12.3 GiB`.
pub fn bytes(count: u64) -> String {
    bytesize::ByteSize::b(count).display().iec().to_string()
}

/// Shows an amount of money without its currency, with all the digits of its bill: `1,234.50`.
pub fn amount(amount: f64, digits: Digits) -> String {
    let text = format!("{amount:.*}", digits.count());
    let (whole, parts) = text.split_once('.').unwrap_or((&text, ""));
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), count);
    format!("{whole}.{parts}")
}

/// Shows a count with thin groups of three digits, the way people read large numbers: `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// Shows how many things there are: `1 snapshot`, `1,234 snapshots`.
pub fn things(number: impl TryInto<u64>, [one, many]: [&str; 2]) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// Shows a duration with its two largest units: `0.4 s`, `12.3 s`, `3 m 05 s`, `2 h 07 m`, `3 d 4 h`.
pub fn duration(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        0..60 => format!("{}.{} s", seconds, length.subsec_millis() / 100),
        60..3600 => format!("{} m {:02} s", seconds / 60, seconds % 60),
        3600..86400 => format!("{} h {:02} m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86400, seconds % 86400 / 3600),
    }
}

/// Shows a moment in the local time zone, to the second, with its offset from UTC: `2026-11-20 03:00:12 -03`.
pub fn time(moment: Timestamp) -> String {
    time_in(moment, TimeZone::system())
}

fn time_in(moment: Timestamp, zone: TimeZone) -> String {
    Zoned::new(moment, zone).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}

/// Shows how long ago a moment was, coarsely: `just now`, `14 minutes ago`, `26 hours ago`, `8 days ago`.
pub fn ago(moment: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(moment).as_secs();
    let (number, unit) = match seconds {
        i64::MIN..0 => return "in the future".to_owned(),
        0..60 => return "just now".to_owned(),
        60..3600 => (seconds / 60, "minute"),
        3600..172_800 => (seconds / 3600, "hour"),
        _ => (seconds / 86400, "day"),
    };
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {unit}{plural} ago")
}

/// An estimate as a whole number: below nothing it is nothing, and beyond all numbers the greatest one.
#[must_use]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the conversion saturates, and estimates have no finer meaning"
)]
pub fn whole(estimate: f64) -> u64 {
    estimate as u64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::{Timestamp, tz::TimeZone};

    use super::{Digits, ago, bytes, count, duration, parse_bytes, parse_duration, parse_rate, parse_span, time_in};

    #[test]
    fn sizes_parse_in_both_unit_systems() {
        assert_eq!(parse_bytes("102400"), Ok(102_400));
        assert_eq!(parse_bytes("100KiB"), Ok(102_400));
        assert_eq!(parse_bytes("64MiB"), Ok(64 << 20));
        assert_eq!(parse_bytes("5 GiB"), Ok(5 << 30));
        assert_eq!(parse_bytes("1kB"), Ok(1000));
        for bad in ["", "MiB", "12 parsecs", "-5"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_rate("50MiB/s"), Ok(50 << 20));
        assert!(parse_rate("0").is_err());
        assert!(parse_rate("50").unwrap_err().contains("50MiB/s"));
        assert_eq!(parse_rate("50B/s"), Ok(50));
    }

    #[test]
    fn durations_parse_with_days_of_24_hours() {
        assert_eq!(parse_duration("26h"), Ok(Duration::from_secs(26 * 3600)));
        assert_eq!(parse_duration("8d"), Ok(Duration::from_secs(8 * 86400)));
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_duration("2w"), Ok(Duration::from_secs(14 * 86400)));
        assert!(parse_duration("3mo").unwrap_err().contains("in days"));
        assert!(parse_span("3mo").is_ok());
        for bad in ["", "26", "h", "-1h", "0s", "1 fortnight"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!((bytes(0), bytes(1536), bytes(1 << 30)), ("0 B".into(), "1.5 KiB".into(), "1.0 GiB".into()));
        assert_eq!(
            (count(0), count(999), count(1000), count(1_234_567)),
            ("0".into(), "999".into(), "1,000".into(), "1,234,567".into())
        );
        let shown: Vec<String> =
            [400, 12_300, 185_000, 7_620_000, 273_600_000].map(|ms| duration(Duration::from_millis(ms))).into();
        assert_eq!(shown, ["0.4 s", "12.3 s", "3 m 05 s", "2 h 07 m", "3 d 4 h"]);
    }

    #[test]
    fn one_is_not_many() {
        let names = ["copy", "copies"];
        let shown: Vec<String> = [0_usize, 1, 2, 1000].into_iter().map(|number| super::things(number, names)).collect();
        assert_eq!(shown, ["0 copies", "1 copy", "2 copies", "1,000 copies"]);
    }

    #[test]
    fn times_are_local_with_their_offset() {
        let moment: Timestamp = "2026-11-20T03:00:12Z".parse().unwrap();
        assert_eq!(time_in(moment, TimeZone::fixed(jiff::tz::offset(-3))), "2026-11-20 00:00:12 -03");
        let later = |text: &str| ago(moment, text.parse().unwrap());
        assert_eq!(later("2026-11-20T03:00:40Z"), "just now");
        assert_eq!(later("2026-11-20T03:14:40Z"), "14 minutes ago");
        assert_eq!(later("2026-11-21T05:00:12Z"), "26 hours ago");
        assert_eq!(later("2026-11-28T05:00:12Z"), "8 days ago");
        assert_eq!(later("2026-11-19T05:00:12Z"), "in the future");
    }

    #[test]
    fn amounts_of_one_bill_have_the_same_digits() {
        let shown = |digits| [0.0, 0.0026, 0.0964, 1_234_567.5].map(|amount| super::amount(amount, digits));
        assert_eq!(shown(Digits::CENTS), ["0.00", "0.00", "0.10", "1,234,567.50"]);
        assert_eq!(shown(Digits::SMALL), ["0.0000", "0.0026", "0.0964", "1,234,567.5000"]);
    }
}
