//! One line for Nagios and its kind: a word, what is wrong, and the numbers behind a bar.

use super::{Limit, Report, Weight};

/// How many failing checks are named.
const NAMED_MAX: usize = 5;

/// The line, and the code such monitors expect: 0 fine, 1 warning, 2 critical.
pub fn line(report: &Report) -> (String, u8) {
    let (word, code) = if !report.is_good(Weight::Must) {
        ("CRITICAL", 2)
    } else if !report.is_good(Weight::Should) {
        ("WARNING", 1)
    } else {
        ("OK", 0)
    };
    let mut failing: Vec<_> = report.failing(Weight::Should).collect();
    failing.sort_by_key(|check| std::cmp::Reverse(check.weight));
    let named: Vec<String> =
        failing.iter().take(NAMED_MAX).map(|check| format!("{} {}", check.name, plain(&check.value))).collect();
    let more = failing.len().saturating_sub(NAMED_MAX);
    let said = match (named.is_empty(), more) {
        (true, _) => crate::human::things(report.checks.len(), ["check holds", "checks hold"]),
        (false, 0) => named.join(", "),
        (false, more) => format!("{}, and {more} more", named.join(", ")),
    };
    let numbers: Vec<String> = report
        .checks
        .iter()
        .filter_map(|check| {
            let number = check.number?;
            // A range of such monitors begins at 0 where nothing else is said; one with nothing after its colon has no end.
            let range = match number.limit {
                Limit::AtLeast(limit) => format!("{}:", rounded(limit)),
                Limit::AtMost(limit) => rounded(limit).to_string(),
            };
            Some(format!("'{}'={}{};;{range}", check.name, rounded(number.value), number.unit))
        })
        .collect();
    let numbers = if numbers.is_empty() { String::new() } else { format!(" | {}", numbers.join(" ")) };
    (format!("LACRE {word} - {said}{numbers}"), code)
}

/// A bar would begin the numbers.
fn plain(text: &str) -> String {
    text.replace('|', "/").replace('\n', " ")
}

fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::line;
    use crate::status::{Check, Limit, Report, Weight};

    #[test]
    fn the_word_the_code_and_the_numbers() {
        let age = Check::fine("age:astro", "3 hours ago").number(10_800.0, "s", Limit::AtMost(93_600.0));
        let mut report = Report { checks: vec![age], metrics: Vec::new() };
        assert_eq!(line(&report), ("LACRE OK - 1 check holds | 'age:astro'=10800s;;93600".to_owned(), 0));
        // What may not fall below its limit has a range without an end.
        report.checks.push(Check::fine("holders", "2 cells").number(2.0, "", Limit::AtLeast(2.0)));
        assert_eq!(line(&report).0, "LACRE OK - 2 checks hold | 'age:astro'=10800s;;93600 'holders'=2;;2:");
        report.checks.push(Check::fine("kit", "none|x").unless(false, Weight::Should, "lacre kit issue"));
        assert_eq!(line(&report).0.split(" | ").next(), Some("LACRE WARNING - kit none/x"));
        report.checks.push(Check::fine("disk", "1 B free").unless(false, Weight::Must, "prune"));
        let (text, code) = line(&report);
        assert!(text.starts_with("LACRE CRITICAL - disk 1 B free, kit none/x") && code == 2, "{text}");
    }
}
