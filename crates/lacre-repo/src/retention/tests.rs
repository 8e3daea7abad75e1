use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp, ToSpan};
use proptest::prelude::*;

use super::{Candidate, Choice, Hold, Rules, Verification, choose};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn snapshot(id: u32, time: &str) -> Candidate<u32> {
    Candidate {
        id,
        job: "app".to_owned(),
        time: at(time),
        hold: Hold::Free,
        verification: Verification::Unverified,
        tags: Vec::new(),
    }
}

/// Snapshots every night at 03:30 UTC up to the given day, number 1 the newest.
fn nightly(count: u32, last: &str) -> Vec<Candidate<u32>> {
    let last = at(&format!("{last}T03:30:00Z"));
    (0..count)
        .map(|age| {
            let time = last - SignedDuration::from_hours(24 * i64::from(age));
            Candidate { time, ..snapshot(age + 1, "2026-01-01T00:00:00Z") }
        })
        .collect()
}

/// The kept ones as lines of text.
fn told(choice: &Choice<u32>) -> Vec<String> {
    let reasons = |reasons: &[super::Reason]| reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    choice.kept.iter().map(|kept| format!("{}: {}", kept.id, reasons(&kept.reasons))).collect()
}

fn judged(snapshots: &[Candidate<u32>], rules: &Rules) -> Choice<u32> {
    choose(snapshots, rules, at("2026-11-22T12:00:00Z"), &TimeZone::UTC)
}

fn kept(choice: &Choice<u32>) -> BTreeSet<u32> {
    choice.kept.iter().map(|kept| kept.id).collect()
}

#[test]
fn no_rules_keep_everything() {
    let choice = judged(&nightly(3, "2026-11-22"), &Rules { verified_min: 2, ..Rules::default() });
    assert_eq!(told(&choice), ["1: no rules, newest", "2: no rules", "3: no rules"]);
    assert!(choice.forgotten.is_empty());
    let zero_span = Rules { within: Some(Span::new()), ..Rules::default() };
    assert!(zero_span.is_empty());
    assert!(Rules { within: Some(-(1.day())), ..Rules::default() }.is_empty());
}

#[test]
fn the_classic_rules_give_all_reasons() {
    let rules = Rules { last: 3, daily: 5, weekly: 3, monthly: 2, yearly: 1, ..Rules::default() };
    let choice = judged(&nightly(60, "2026-11-22"), &rules);
    assert_eq!(
        told(&choice),
        [
            "1: newest, last 1 of 3, daily 2026-11-22, weekly 2026-W47, monthly 2026-11, yearly 2026",
            "2: last 2 of 3, daily 2026-11-21",
            "3: last 3 of 3, daily 2026-11-20",
            "4: daily 2026-11-19",
            "5: daily 2026-11-18",
            "8: weekly 2026-W46",
            "15: weekly 2026-W45",
            "23: monthly 2026-10",
        ]
    );
    assert_eq!(choice.forgotten.len(), 52);
    assert!(choice.future.is_empty());
}

#[test]
fn a_period_keeps_its_newest_and_gaps_do_not_count() {
    let snapshots = [
        snapshot(1, "2026-11-22T03:00:00Z"),
        snapshot(2, "2026-11-20T23:59:59Z"),
        snapshot(3, "2026-11-20T00:00:00Z"),
        snapshot(4, "2026-11-02T05:00:00Z"),
    ];
    let choice = judged(&snapshots, &Rules { daily: 3, ..Rules::default() });
    assert_eq!(told(&choice), ["1: newest, daily 2026-11-22", "2: daily 2026-11-20", "4: daily 2026-11-02"]);
    assert_eq!(choice.forgotten, [3]);
}

#[test]
fn days_are_local_days() {
    let snapshots = [snapshot(1, "2026-11-22T02:30:00Z"), snapshot(2, "2026-11-21T23:30:00Z")];
    let rules = Rules { daily: 5, ..Rules::default() };
    let now = at("2026-11-22T12:00:00Z");
    assert_eq!(choose(&snapshots, &rules, now, &TimeZone::UTC).kept.len(), 2);
    let choice = choose(&snapshots, &rules, now, &zone("America/Sao_Paulo"));
    assert_eq!(told(&choice), ["1: newest, daily 2026-11-21"]);
}

#[test]
fn the_repeated_hour_is_two_hours() {
    // Berlin puts the clock back at 2026-10-25 03:00 to 02:00: both snapshots say 02:30.
    let snapshots = [snapshot(1, "2026-10-25T01:30:00Z"), snapshot(2, "2026-10-25T00:30:00Z")];
    let rules = Rules { hourly: 9, daily: 9, ..Rules::default() };
    let choice = choose(&snapshots, &rules, at("2026-11-22T12:00:00Z"), &zone("Europe/Berlin"));
    assert_eq!(told(&choice), ["1: newest, hourly 2026-10-25 02h+01, daily 2026-10-25", "2: hourly 2026-10-25 02h+02"]);
}

#[test]
fn days_of_23_and_25_hours_are_one_day_each() {
    for (first, last, day) in [
        ("2026-03-28T23:00:00Z", "2026-03-29T21:59:59Z", "2026-03-29"),
        ("2026-10-24T22:00:00Z", "2026-10-25T22:59:59Z", "2026-10-25"),
    ] {
        let snapshots = [snapshot(1, last), snapshot(2, first)];
        let rules = Rules { daily: 9, ..Rules::default() };
        let choice = choose(&snapshots, &rules, at("2026-11-22T12:00:00Z"), &zone("Europe/Berlin"));
        assert_eq!(told(&choice), [format!("1: newest, daily {day}")]);
        assert_eq!(choice.forgotten, [2]);
    }
}

#[test]
fn weeks_are_iso_weeks_across_the_year() {
    let snapshots = [
        snapshot(1, "2027-01-04T03:00:00Z"),
        snapshot(2, "2027-01-03T03:00:00Z"),
        snapshot(3, "2026-12-28T03:00:00Z"),
        snapshot(4, "2026-12-27T03:00:00Z"),
    ];
    let rules = Rules { weekly: 9, ..Rules::default() };
    let choice = choose(&snapshots, &rules, at("2027-01-05T12:00:00Z"), &TimeZone::UTC);
    assert_eq!(told(&choice), ["1: newest, weekly 2027-W01", "2: weekly 2026-W53", "4: weekly 2026-W52"]);
}

#[test]
fn within_counts_from_the_newest_by_the_calendar() {
    let snapshots =
        [snapshot(1, "2026-03-31T03:00:00Z"), snapshot(2, "2026-02-28T03:00:00Z"), snapshot(3, "2026-02-28T02:59:59Z")];
    let rules = Rules { within: Some(1.month()), ..Rules::default() };
    for now in ["2026-03-31T04:00:00Z", "2036-03-31T04:00:00Z"] {
        let choice = choose(&snapshots, &rules, at(now), &TimeZone::UTC);
        assert_eq!(told(&choice), ["1: newest, within P1M", "2: within P1M"]);
        assert_eq!(choice.forgotten, [3]);
    }
    let forever = Rules { within: Some(Span::new().years(15_000)), ..Rules::default() };
    assert_eq!(judged(&nightly(9, "2026-11-22"), &forever).kept.len(), 9);
}

#[test]
fn held_tagged_and_verified_stay() {
    let mut snapshots = nightly(10, "2026-11-22");
    snapshots[9].hold = Hold::Held;
    snapshots[8].tags = vec!["before-upgrade".to_owned(), "x".to_owned()];
    for old in [4, 5, 6] {
        snapshots[old].verification = Verification::Verified;
    }
    let rules = Rules {
        last: 1,
        tags: vec!["before-upgrade".to_owned(), "unused".to_owned()],
        verified_min: 2,
        ..Rules::default()
    };
    assert_eq!(
        told(&judged(&snapshots, &rules)),
        [
            "1: newest, last 1 of 1",
            "5: one of the last 2 verified",
            "6: one of the last 2 verified",
            "9: tag before-upgrade",
            "10: held",
        ]
    );
}

#[test]
fn the_future_is_a_finding_and_displaces_none() {
    let mut snapshots = nightly(4, "2026-11-22");
    snapshots.push(snapshot(90, "2031-01-01T00:00:00Z"));
    snapshots.push(snapshot(91, "2026-11-22T12:05:01Z"));
    snapshots.push(snapshot(92, "2026-11-22T12:05:00Z"));
    snapshots[4].hold = Hold::Held;
    let choice = judged(&snapshots, &Rules { last: 2, ..Rules::default() });
    assert_eq!(
        told(&choice),
        ["90: dated in the future, held", "91: dated in the future", "92: newest, last 1 of 2", "1: last 2 of 2"]
    );
    assert_eq!(choice.future, [90, 91]);
    assert_eq!(choice.forgotten, [2, 3, 4]);
}

#[test]
fn a_clock_that_is_wrong_by_ten_years_forgets_nothing_more() {
    let snapshots = nightly(30, "2026-11-22");
    let rules = Rules { daily: 7, within: Some(14.days()), ..Rules::default() };
    let right = kept(&judged(&snapshots, &rules));
    for now in ["2016-11-22T12:00:00Z", "2036-11-22T12:00:00Z"] {
        let wrong = kept(&choose(&snapshots, &rules, at(now), &TimeZone::UTC));
        assert!(wrong.is_superset(&right), "{now}");
    }
}

#[test]
fn jobs_are_judged_by_themselves() {
    let mut snapshots = nightly(4, "2026-11-22");
    snapshots[2].job = "other".to_owned();
    snapshots[3].job = "other".to_owned();
    let choice = judged(&snapshots, &Rules { last: 1, ..Rules::default() });
    assert_eq!(told(&choice), ["1: newest, last 1 of 1", "3: newest, last 1 of 1"]);
    assert_eq!(choice.forgotten, [2, 4]);
}

#[test]
fn nothing_at_all_is_no_trouble() {
    let choice = judged(&[], &Rules { last: 1, ..Rules::default() });
    assert_eq!((choice.kept.len(), choice.forgotten.len(), choice.future.len()), (0, 0, 0));
}

fn any_snapshots() -> impl Strategy<Value = Vec<Candidate<u32>>> {
    let one = (0_i64..40_000, any::<[bool; 4]>());
    prop::collection::vec(one, 0..60).prop_map(|facts| {
        let newest = at("2026-11-22T12:30:00Z");
        let build = |(id, (hours, [held, verified, tagged, other])): (usize, (i64, [bool; 4]))| Candidate {
            id: u32::try_from(id).unwrap(),
            job: if other { "other" } else { "app" }.to_owned(),
            time: newest - SignedDuration::from_hours(hours * hours / 40_000),
            hold: if held && id % 5 == 0 { Hold::Held } else { Hold::Free },
            verification: if verified { Verification::Verified } else { Verification::Unverified },
            tags: if tagged && id % 3 == 0 { vec!["keep".to_owned()] } else { Vec::new() },
        };
        facts.into_iter().enumerate().map(build).collect()
    })
}

fn any_rules() -> impl Strategy<Value = Rules> {
    let counts = prop::array::uniform6(prop_oneof![Just(0_u32), 1_u32..12]);
    (counts, prop::option::of(0_i64..400), any::<bool>(), 0_u32..4).prop_map(|(counts, days, tagged, verified_min)| {
        let [last, hourly, daily, weekly, monthly, yearly] = counts;
        Rules {
            last,
            hourly,
            daily,
            weekly,
            monthly,
            yearly,
            within: days.map(|days| Span::new().days(days)),
            tags: if tagged { vec!["keep".to_owned()] } else { Vec::new() },
            verified_min,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn choices_keep_their_promises(snapshots in any_snapshots(), rules in any_rules(), berlin in any::<bool>()) {
        let zone = if berlin { zone("Europe/Berlin") } else { TimeZone::UTC };
        let now = at("2026-11-22T12:00:00Z");
        let choice = choose(&snapshots, &rules, now, &zone);
        let stays = kept(&choice);
        let goes: BTreeSet<u32> = choice.forgotten.iter().copied().collect();
        prop_assert_eq!(stays.len() + goes.len(), snapshots.len());
        prop_assert!(stays.is_disjoint(&goes));
        prop_assert!(choice.kept.iter().all(|kept| !kept.reasons.is_empty()));
        for job in ["app", "other"] {
            let of_job: Vec<_> = snapshots.iter().filter(|snapshot| snapshot.job == job).collect();
            if let Some(newest) = of_job.iter().max_by_key(|snapshot| snapshot.time) {
                prop_assert!(of_job.iter().any(|one| one.time == newest.time && stays.contains(&one.id)));
            }
            let mut verified: Vec<_> =
                of_job.iter().filter(|snapshot| snapshot.verification == Verification::Verified).collect();
            verified.sort_by_key(|snapshot| std::cmp::Reverse((snapshot.time, snapshot.id)));
            let floor = usize::try_from(rules.verified_min).unwrap();
            prop_assert!(verified.iter().take(floor).all(|snapshot| stays.contains(&snapshot.id)));
        }
        prop_assert!(snapshots.iter().all(|one| one.hold == Hold::Free || stays.contains(&one.id)));
        if rules.is_empty() {
            prop_assert!(goes.is_empty());
        }
        // Idempotent: judging the kept ones again forgets none.
        let left: Vec<_> = snapshots.iter().filter(|snapshot| stays.contains(&snapshot.id)).cloned().collect();
        prop_assert_eq!(choose(&left, &rules, now, &zone).forgotten, Vec::<u32>::new());
        // Order of input does not matter.
        let reversed: Vec<_> = snapshots.iter().rev().cloned().collect();
        prop_assert_eq!(choose(&reversed, &rules, now, &zone), choice);
    }

    /// A wish to forget is judged again by every reader, also once a part of what it took is reclaimed: that brings nothing back and takes
    /// nothing more.
    #[test]
    fn what_is_forgotten_may_be_gone(snapshots in any_snapshots(), rules in any_rules(), gone in any::<u64>()) {
        let choice = judged(&snapshots, &rules);
        let is_gone = |id: u32| choice.forgotten.contains(&id) && gone >> (id % 64) & 1 == 1;
        let left: Vec<_> = snapshots.iter().filter(|snapshot| !is_gone(snapshot.id)).cloned().collect();
        let again = judged(&left, &rules);
        prop_assert_eq!(&again.kept, &choice.kept);
        let waiting: Vec<u32> = choice.forgotten.iter().copied().filter(|id| !is_gone(*id)).collect();
        prop_assert_eq!(again.forgotten, waiting);
    }

    #[test]
    fn another_rule_never_forgets_more(snapshots in any_snapshots(), rules in any_rules(), more in any_rules()) {
        prop_assume!(!rules.is_empty());
        let both = Rules {
            last: rules.last.max(more.last),
            hourly: rules.hourly.max(more.hourly),
            daily: rules.daily.max(more.daily),
            weekly: rules.weekly.max(more.weekly),
            monthly: rules.monthly.max(more.monthly),
            yearly: rules.yearly.max(more.yearly),
            within: rules.within.or(more.within),
            tags: rules.tags.iter().chain(&more.tags).cloned().collect(),
            verified_min: rules.verified_min.max(more.verified_min),
        };
        prop_assert!(kept(&judged(&snapshots, &both)).is_superset(&kept(&judged(&snapshots, &rules))));
    }
}
