//! Cron expressions: five fields, read as cron reads them, and the next moment they name in a time zone.
//!
//! In: text. Out: the fields as sets, and moments. When both the day of the month and the day of the week are restricted, either is
//! enough, as in every cron. A time that a change of the clock leaves out happens as much later as the clock jumped; one that comes twice
//! happens once.

use jiff::{Span, Timestamp, ToSpan as _, civil, tz::TimeZone};

/// Days that are looked at for the next moment: an expression that names none in eight years (two leap days apart) never happens.
const DAYS_MAX: u32 = 8 * 366 + 2;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A cron expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    /// As it was written, with the names of whole expressions spelled out.
    text: String,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether both kinds of day are restricted, so that either is enough.
    either_day: bool,
}

/// What a field may hold.
struct Field {
    what: &'static str,
    from: u8,
    to: u8,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { what: "minute", from: 0, to: 59, names: &[] },
    Field { what: "hour", from: 0, to: 23, names: &[] },
    Field { what: "day of the month", from: 1, to: 31, names: &[] },
    Field { what: "month", from: 1, to: 12, names: &MONTHS },
    Field { what: "day of the week", from: 0, to: 7, names: &WEEKDAYS },
];

impl Cron {
    /// Reads an expression.
    ///
    /// # Errors
    /// A sentence that names the field and what it may hold; also for an expression that never happens, such as February 30.
    pub fn parse(text: &str) -> Result<Cron, String> {
        let spelled = spell_out(text.trim())?;
        let fields: Vec<&str> = spelled.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(format!(
                "{text:?} has {} fields; a cron expression has five: minute hour day month weekday, for example \"0 3 * * *\"",
                fields.len()
            ));
        };
        let sets = [
            set(minute, &FIELDS[0])?,
            set(hour, &FIELDS[1])?,
            set(day, &FIELDS[2])?,
            set(month, &FIELDS[3])?,
            set(weekday, &FIELDS[4])?,
        ];
        let [minutes, hours, days, months, weekdays] = sets;
        // Sunday is 0 and 7.
        let weekdays = (weekdays | (weekdays >> 7)) & 0x7f;
        let either_day = !day.starts_with('*') && !weekday.starts_with('*');
        let cron = Cron { text: fields.join(" "), minutes, hours, days, months, weekdays, either_day };
        match cron.after(Timestamp::UNIX_EPOCH, &TimeZone::UTC) {
            Some(_) => Ok(cron),
            None => Err(format!("{text:?} never happens: no such day exists")),
        }
    }

    /// The five fields.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first moment after another one.
    pub fn after(&self, moment: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let start = zone.to_datetime(moment);
        let mut date = start.date();
        for _ in 0..DAYS_MAX {
            if self.names_day(date) {
                let times =
                    members(self.hours).flat_map(|hour| members(self.minutes).map(move |minute| (hour, minute)));
                for (hour, minute) in times {
                    let time = civil::Time::new(hour, minute, 0, 0).ok()?;
                    // A time the clock jumps over is moved by the jump, one that comes twice is taken as its first.
                    let at = zone.to_ambiguous_timestamp(date.to_datetime(time)).compatible().ok()?;
                    if at > moment {
                        return Some(at);
                    }
                }
            }
            date = date.checked_add(Span::new().days(1)).ok()?;
        }
        None
    }

    /// The last moment at or before another one, looked for no further back than so many days.
    pub fn before(&self, moment: Timestamp, zone: &TimeZone, days: i64) -> Option<Timestamp> {
        let mut candidate = self.after(moment.checked_sub((days * 24).hours()).ok()?, zone)?;
        let mut last = None;
        while candidate <= moment {
            last = Some(candidate);
            candidate = self.after(candidate, zone)?;
        }
        last
    }

    /// The same for systemd: one expression, or two where either day is enough.
    pub fn calendars(&self, zone: Option<&str>) -> Vec<String> {
        let list = |set: u64, from: i8, to: i8| {
            if members(set).count() == usize::try_from(to - from + 1).unwrap_or_default() {
                return "*".to_owned();
            }
            members(set).map(|number| format!("{number:02}")).collect::<Vec<_>>().join(",")
        };
        let time = format!("{}:{}:00", list(self.hours, 0, 23), list(self.minutes, 0, 59));
        let suffix = zone.map_or_else(String::new, |zone| format!(" {zone}"));
        let (months, days) = (list(self.months, 1, 12), list(self.days, 1, 31));
        let names: Vec<&str> = members(self.weekdays)
            .filter_map(|day| {
                ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"].get(usize::try_from(day).ok()?).copied()
            })
            .collect();
        let weekdays = if names.len() == 7 { String::new() } else { format!("{} ", names.join(",")) };
        let on = |weekdays: &str, days: &str| format!("{weekdays}*-{months}-{days} {time}{suffix}");
        if self.either_day { vec![on("", &days), on(&weekdays, "*")] } else { vec![on(&weekdays, &days)] }
    }

    fn names_day(&self, date: civil::Date) -> bool {
        let has = |set: u64, number: i8| u32::try_from(number).is_ok_and(|number| set & (1 << number) != 0);
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        has(self.months, date.month()) && if self.either_day { day || weekday } else { day && weekday }
    }
}

/// The names of whole expressions.
fn spell_out(text: &str) -> Result<String, String> {
    Ok(match text.to_ascii_lowercase().as_str() {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        every if every.starts_with("@every ") => return every_so_often(every),
        named if named.starts_with('@') => {
            return Err(format!(
                "{text:?} is not a schedule; write @hourly, @daily, @weekly, @monthly, @yearly or five fields"
            ));
        }
        _ => text,
    }
    .to_owned())
}

/// `@every 6h`, as the scheduler of the old container wrote it; only what divides an hour or a day has a place on a clock.
fn every_so_often(text: &str) -> Result<String, String> {
    let length = text.trim_start_matches("@every ").trim();
    let fail = || format!("{text:?} has no fixed times; write for example \"@every 30m\" or \"@every 6h\"");
    let duration = crate::human::parse_duration(length).map_err(|_| fail())?;
    let minutes = duration.as_secs() / 60;
    match (duration.as_secs() % 60, minutes) {
        (0, 1..60) if 60 % minutes == 0 => Ok(format!("*/{minutes} * * * *")),
        (0, 60..=1440) if minutes % 60 == 0 && 24 % (minutes / 60) == 0 => match minutes / 60 {
            24 => Ok("0 0 * * *".to_owned()),
            hours => Ok(format!("0 */{hours} * * *")),
        },
        _ => Err(fail()),
    }
}

fn set(text: &str, field: &Field) -> Result<u64, String> {
    let mut set = 0_u64;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                let step: u8 = step.parse().ok().filter(|step| *step > 0).ok_or_else(|| wrong(part, field))?;
                (range, step)
            }
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (field.from, if field.to == 7 { 6 } else { field.to }),
            Some((from, to)) => (
                number(from, field).ok_or_else(|| wrong(part, field))?,
                number(to, field).ok_or_else(|| wrong(part, field))?,
            ),
            None => {
                let from = number(range, field).ok_or_else(|| wrong(part, field))?;
                // `5/15` is every fifteenth from 5 on.
                (from, if part.contains('/') { field.to } else { from })
            }
        };
        if from > to {
            return Err(format!("{}, and {from} comes after {to}", wrong(part, field)));
        }
        (from..=to).step_by(usize::from(step)).for_each(|number| set |= 1 << number);
    }
    Ok(set)
}

fn number(text: &str, field: &Field) -> Option<u8> {
    let small = text.to_ascii_lowercase();
    if let Some(at) = field.names.iter().position(|name| *name == small) {
        return u8::try_from(at).ok()?.checked_add(field.from);
    }
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && (field.from..=field.to).contains(number))
}

fn wrong(part: &str, field: &Field) -> String {
    format!("{part:?} is no {}: it goes from {} to {}", field.what, field.from, field.to)
}

/// The numbers in a set, ascending.
fn members(set: u64) -> impl Iterator<Item = i8> + Clone {
    (0..60_i8).filter(move |number| set & (1 << number) != 0)
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, tz::TimeZone};

    use super::Cron;

    /// The next moments of an expression, local, after a local time.
    #[track_caller]
    fn next(expression: &str, zone: &str, from: &str, expected: &[&str]) {
        let cron = Cron::parse(expression).unwrap();
        let zone = TimeZone::get(zone).unwrap();
        let from: jiff::civil::DateTime = from.parse().unwrap();
        let mut moment: Timestamp = zone.to_ambiguous_timestamp(from).compatible().unwrap();
        for expected in expected {
            moment = cron.after(moment, &zone).unwrap();
            let shown = moment.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M %z").to_string();
            assert_eq!(shown, *expected, "{expression}");
        }
    }

    #[test]
    fn fields_mean_what_cron_means() {
        let utc = |expression, from, expected: &[&str]| next(expression, "UTC", from, expected);
        utc("0 3 * * *", "2026-11-20T03:00", &["2026-11-21 03:00 +0000", "2026-11-22 03:00 +0000"]);
        utc(
            "*/20 9-10 * * *",
            "2026-11-20T09:10",
            &["2026-11-20 09:20 +0000", "2026-11-20 09:40 +0000", "2026-11-20 10:00 +0000"],
        );
        utc(
            "5/25 0 * * *",
            "2026-11-20T00:00",
            &["2026-11-20 00:05 +0000", "2026-11-20 00:30 +0000", "2026-11-20 00:55 +0000"],
        );
        utc("0 0 1 jan,JUL *", "2026-11-20T00:00", &["2027-01-01 00:00 +0000", "2027-07-01 00:00 +0000"]);
        utc("30 4 * * 7", "2026-11-20T00:00", &["2026-11-22 04:30 +0000"]);
        utc("30 4 * * sun", "2026-11-20T00:00", &["2026-11-22 04:30 +0000"]);
        utc("0 12 * * mon-fri", "2026-11-20T13:00", &["2026-11-23 12:00 +0000"]);
        utc("0 0 29 2 *", "2026-11-20T00:00", &["2028-02-29 00:00 +0000", "2032-02-29 00:00 +0000"]);
        // Either day is enough when both are restricted.
        utc(
            "0 0 13 * fri",
            "2026-11-08T00:00",
            &[
                "2026-11-13 00:00 +0000",
                "2026-11-20 00:00 +0000",
                "2026-11-27 00:00 +0000",
                "2026-12-04 00:00 +0000",
                "2026-12-11 00:00 +0000",
                "2026-12-13 00:00 +0000",
            ],
        );
        utc("@weekly", "2026-11-20T00:00", &["2026-11-22 00:00 +0000"]);
        utc("@every 6h", "2026-11-20T01:00", &["2026-11-20 06:00 +0000"]);
    }

    #[test]
    fn a_night_with_a_change_of_the_clock_has_one_run() {
        // New York leaves out 02:30 on 8 March and has 01:30 twice on 1 November.
        let zone = "America/New_York";
        next("30 2 * * *", zone, "2026-03-07T12:00", &["2026-03-08 03:30 -0400", "2026-03-09 02:30 -0400"]);
        next("30 1 * * *", zone, "2026-10-31T12:00", &["2026-11-01 01:30 -0400", "2026-11-02 01:30 -0500"]);
        next("0 3 * * *", "America/Sao_Paulo", "2026-11-20T12:00", &["2026-11-21 03:00 -0300"]);
    }

    #[test]
    fn the_last_moment_is_found_too() {
        let cron = Cron::parse("0 3 * * *").unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let before = cron.before(at("2026-11-20T02:59:59Z"), &TimeZone::UTC, 3);
        assert_eq!(before, Some(at("2026-11-19T03:00:00Z")));
        assert_eq!(cron.before(at("2026-11-20T03:00:00Z"), &TimeZone::UTC, 3), Some(at("2026-11-20T03:00:00Z")));
        assert_eq!(Cron::parse("0 0 1 1 *").unwrap().before(at("2026-11-20T03:00:00Z"), &TimeZone::UTC, 3), None);
    }

    #[test]
    fn systemd_is_told_the_same() {
        let calendars = |text: &str, zone| Cron::parse(text).unwrap().calendars(zone);
        assert_eq!(calendars("0 3 * * *", Some("America/Sao_Paulo")), ["*-*-* 03:00:00 America/Sao_Paulo"]);
        assert_eq!(calendars("15 * * * *", None), ["*-*-* *:15:00"]);
        assert_eq!(calendars("0 5 * * 0", None), ["Sun *-*-* 05:00:00"]);
        assert_eq!(calendars("*/30 1 1,15 1-3 *", None), ["*-01,02,03-01,15 01:00,30:00"]);
        assert_eq!(calendars("0 0 13 * fri", None), ["*-*-13 00:00:00", "Fri *-*-* 00:00:00"]);
    }

    #[test]
    fn mistakes_name_the_field() {
        let fails = |text: &str, why: &str| {
            let error = Cron::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        };
        fails("0 3 * *", "4 fields");
        fails("60 3 * * *", "\"60\" is no minute: it goes from 0 to 59");
        fails("0 24 * * *", "hour");
        fails("0 3 0 * *", "day of the month");
        fails("0 3 * 13 *", "month");
        fails("0 3 * * 8", "day of the week");
        fails("0 3 * * frie", "day of the week");
        fails("*/0 * * * *", "minute");
        fails("20-10 * * * *", "20 comes after 10");
        fails("0 0 30 2 *", "never happens");
        fails("@fortnightly", "@weekly");
        fails("@every 7m", "no fixed times");
        fails("+5 * * * *", "minute");
        fails("", "0 fields");
    }
}
