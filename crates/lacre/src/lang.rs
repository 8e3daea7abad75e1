//! The two languages of pages, and numbers, sizes, times and durations as they are written in each.
//!
//! In: plain values. Out: text. Both languages of a sentence stand side by side where it is used, so that neither is forgotten.

use std::time::Duration;

use jiff::{Timestamp, Zoned, tz::TimeZone};

use crate::{cost::bill::Digits, human};

/// A language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Brazilian Portuguese.
    #[value(name = "pt-BR", alias = "pt-br", alias = "pt")]
    PtBr,
}

impl Lang {
    /// The language's tag in HTML.
    pub fn tag(self) -> &'static str {
        self.pick("en", "pt-BR")
    }

    /// The one of two that is in this language.
    pub fn pick<T>(self, en: T, pt: T) -> T {
        match self {
            Lang::En => en,
            Lang::PtBr => pt,
        }
    }

    /// A number that counts: `1,234` or `1.234`.
    pub fn count(self, number: u64) -> String {
        let english = human::count(number);
        self.pick(english.clone(), english.replace(',', "."))
    }

    /// A count of things.
    pub fn things(self, number: impl TryInto<u64>, en: [&str; 2], pt: [&str; 2]) -> String {
        let [one, many] = self.pick(en, pt);
        let number = number.try_into().unwrap_or(u64::MAX);
        format!("{} {}", self.count(number), if number == 1 { one } else { many })
    }

    /// A size: `1.5 KiB` or `1,5 KiB`.
    pub fn bytes(self, count: u64) -> String {
        self.comma(human::bytes(count))
    }

    /// A duration with its two largest units.
    pub fn duration(self, length: Duration) -> String {
        let text = human::duration(length);
        let minutes = |text: String| {
            let text = text.replace(" m ", " min ");
            text.strip_suffix(" m").map_or(text.clone(), |hours| format!("{hours} min"))
        };
        self.pick(text.clone(), minutes(self.comma(text)))
    }

    /// An amount of money: `USD 1,234.50` or `USD 1.234,50`.
    pub fn amount(self, currency: &str, amount: f64, digits: Digits) -> String {
        let english = human::amount(amount, digits);
        let other = english.replace(',', " ").replace('.', ",").replace(' ', ".");
        format!("{currency} {}", self.pick(english, other))
    }

    /// A share: `12.5%`.
    pub fn percent(self, share: f64) -> String {
        self.comma(human::percent(share))
    }

    /// A number with one digit after the point.
    pub fn tenth(self, number: f64) -> String {
        self.comma(format!("{number:.1}"))
    }

    fn comma(self, text: String) -> String {
        self.pick(text.clone(), text.replace('.', ","))
    }

    /// A moment to the minute, in a zone.
    pub fn time(self, moment: Timestamp, zone: &TimeZone) -> String {
        self.written(moment, zone, "%Y-%m-%d %H:%M", "%d/%m/%Y %H:%M")
    }

    /// A moment to the minute with its zone.
    pub fn time_with_zone(self, moment: Timestamp, zone: &TimeZone) -> String {
        self.written(moment, zone, "%Y-%m-%d %H:%M %Z", "%d/%m/%Y %H:%M %Z")
    }

    /// A zone: its name where it has one, and its offset.
    pub fn zone(self, moment: Timestamp, zone: &TimeZone) -> String {
        let offset = Zoned::new(moment, zone.clone()).strftime("UTC%:z").to_string();
        zone.iana_name().map_or(offset.clone(), |name| format!("{name}, {offset}"))
    }

    /// A day.
    pub fn day(self, moment: Timestamp, zone: &TimeZone) -> String {
        self.written(moment, zone, "%Y-%m-%d", "%d/%m/%Y")
    }

    /// A day of a calendar.
    pub fn date(self, day: jiff::civil::Date) -> String {
        day.strftime(self.pick("%Y-%m-%d", "%d/%m/%Y")).to_string()
    }

    /// A month.
    pub fn month(self, moment: Timestamp, zone: &TimeZone) -> String {
        self.written(moment, zone, "%Y-%m", "%m/%Y")
    }

    fn written(self, moment: Timestamp, zone: &TimeZone, en: &str, pt: &str) -> String {
        Zoned::new(moment, zone.clone()).strftime(self.pick(en, pt)).to_string()
    }

    /// How long ago a moment was, coarsely.
    pub fn ago(self, moment: Timestamp, now: Timestamp) -> String {
        let english = human::ago(moment, now);
        if self == Lang::En {
            return english;
        }
        let seconds = now.duration_since(moment).as_secs();
        let (number, one, many) = match seconds {
            i64::MIN..0 => return "no futuro".to_owned(),
            0..60 => return "agora mesmo".to_owned(),
            60..3600 => (seconds / 60, "minuto", "minutos"),
            3600..172_800 => (seconds / 3600, "hora", "horas"),
            _ => (seconds / 86400, "dia", "dias"),
        };
        format!("há {number} {}", if number == 1 { one } else { many })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::{Timestamp, tz::TimeZone};

    use super::Lang;
    use crate::cost::bill::Digits;

    #[test]
    fn numbers_and_times_are_written_as_each_language_does() {
        let at: Timestamp = "2026-11-20T03:00:12Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(-3));
        let written = |lang: Lang| {
            [
                lang.count(1_234_567),
                lang.bytes(1536),
                lang.percent(0.125),
                lang.duration(Duration::from_millis(185_400)),
                lang.duration(Duration::from_millis(12_300)),
                lang.duration(Duration::from_secs(7_620)),
                lang.amount("USD", 1234.5, Digits::CENTS),
                lang.time_with_zone(at, &zone),
                lang.month(at, &zone),
                lang.things(1, ["night", "nights"], ["noite", "noites"]),
                lang.things(2, ["night", "nights"], ["noite", "noites"]),
            ]
        };
        assert_eq!(
            written(Lang::En),
            [
                "1,234,567",
                "1.5 KiB",
                "12.5%",
                "3 m 05 s",
                "12.3 s",
                "2 h 07 m",
                "USD 1,234.50",
                "2026-11-20 00:00 -03",
                "2026-11",
                "1 night",
                "2 nights"
            ]
        );
        assert_eq!(
            written(Lang::PtBr),
            [
                "1.234.567",
                "1,5 KiB",
                "12,5%",
                "3 min 05 s",
                "12,3 s",
                "2 h 07 min",
                "USD 1.234,50",
                "20/11/2026 00:00 -03",
                "11/2026",
                "1 noite",
                "2 noites"
            ]
        );
    }

    #[test]
    fn the_past_is_told_in_both() {
        let at: Timestamp = "2026-11-20T03:00:12Z".parse().unwrap();
        let later = |text: &str| Lang::PtBr.ago(at, text.parse().unwrap());
        assert_eq!(later("2026-11-20T03:00:40Z"), "agora mesmo");
        assert_eq!(later("2026-11-20T03:01:40Z"), "há 1 minuto");
        assert_eq!(later("2026-11-21T05:00:12Z"), "há 26 horas");
        assert_eq!(later("2026-11-28T05:00:12Z"), "há 8 dias");
        assert_eq!(later("2026-11-19T05:00:12Z"), "no futuro");
        assert_eq!(Lang::En.ago(at, "2026-11-21T05:00:12Z".parse().unwrap()), "26 hours ago");
    }
}
