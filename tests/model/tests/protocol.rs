//! Every scenario explored to its last state, and every rule left out once.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "what the tests share fails them, and wide bounds report what they met"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use lacre_model::Found;
use lacre_model::bounds::{BROKEN, Broken, DEEP, SCENARIOS, scenario};
use lacre_model::invariant::Invariant;
use lacre_model::rules::Rule;
use lacre_model::scenario::Scenario;

const TABLES: &str = "<!-- measured -->\n";

fn page() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/decisions/protocol-model.md")
}

/// The steps of a counterexample, one a line.
fn told(found: &Found<Invariant>) -> String {
    let mut text = String::new();
    for (promise, way) in &found.faults {
        writeln!(text, "{promise:?} is broken:").unwrap();
        for (number, step) in way.iter().enumerate() {
            writeln!(text, "  {:2} {step}", number + 1).unwrap();
        }
    }
    text
}

fn scenario_row(scenario: &Scenario) -> String {
    let found = scenario.explore();
    assert!(found.ended, "{}: the bounds are too wide", scenario.name);
    assert!(found.faults.is_empty(), "{}:\n{}", scenario.name, told(&found));
    format!("| {} | {} | {} |\n", scenario.name, found.states, found.steps)
}

fn explore_broken(broken: &Broken) -> Found<Invariant> {
    let whole = scenario(broken.scenario);
    let without = broken.with.map_or(whole, |also| whole.without(also)).without(broken.rule);
    without.find(broken.breaks)
}

fn broken_row(broken: &Broken) -> String {
    let found = explore_broken(broken);
    let way = found.faults.get(&broken.breaks);
    let steps = way.unwrap_or_else(|| panic!("{:?} left out of {} breaks nothing", broken.rule, broken.scenario)).len();
    let also = broken.with.map_or(String::new(), |also| format!(" and {also:?}"));
    let number = broken.breaks as u8 + 1;
    let (name, states) = (broken.scenario, found.states);
    format!("| {:?}{also} | {name} | I{number} {:?} | {states} | {steps} |\n", broken.rule, broken.breaks)
}

/// The rows of a table must be the ones on the page.
#[track_caller]
fn on_the_page(rows: &[String]) {
    let text = std::fs::read_to_string(page()).unwrap();
    for row in rows {
        assert!(
            text.contains(row.as_str()),
            "the page says something else than\n{row}LACRE_UPDATE_DOCS=1 cargo nextest run -p lacre-model writes it again"
        );
    }
}

#[test]
fn a_person_is_erased_whoever_sleeps_or_dies() {
    let persons = SCENARIOS.iter().filter(|scenario| scenario.name.contains("person"));
    let rows: Vec<String> = persons.map(scenario_row).collect();
    assert_eq!(rows.len(), 5);
    on_the_page(&rows);
}

#[test]
fn every_promise_is_kept_whoever_sleeps_or_dies() {
    let others = SCENARIOS.iter().filter(|scenario| !scenario.name.contains("person"));
    let rows: Vec<String> = others.map(scenario_row).collect();
    assert_eq!(rows.len() + 5, SCENARIOS.len());
    on_the_page(&rows);
}

#[test]
fn no_rule_can_be_left_out() {
    let rows: Vec<String> = BROKEN.iter().map(broken_row).collect();
    on_the_page(&rows);
}

#[test]
fn every_rule_is_left_out_once() {
    let source = include_str!("../src/rules.rs");
    let body = source.split("pub enum Rule {").nth(1).unwrap().split("\n}").next().unwrap();
    let rules: BTreeSet<String> =
        body.lines().filter_map(|line| line.trim().strip_suffix(',')).map(str::to_owned).collect();
    let out: BTreeSet<String> = BROKEN.iter().map(|broken| format!("{:?}", broken.rule)).collect();
    assert_eq!(rules, out);
    assert_eq!(BROKEN.len(), out.len());
}

#[test]
fn a_counterexample_reads_like_a_story() {
    let found = scenario("restore").without(Rule::RestoreRechecks).find(Invariant::ErasedIsDead);
    assert_eq!(
        told(&found),
        "ErasedIsDead is broken:
   1 admin A stores its claim to make generation A
   2 world announces a restore of XA
   3 world opens the key of XA
   4 admin A stores the intent to erase XA
   5 world goes to the last visible step of the restore of XA
"
    );
}

#[test]
fn the_page_lists_what_is_explored() {
    if std::env::var_os("LACRE_UPDATE_DOCS").is_some() {
        let text = std::fs::read_to_string(page()).unwrap();
        let (before, _) = text.split_once(TABLES).unwrap();
        let mut tables = String::from("\n| scenario | states | steps between them |\n|---|---:|---:|\n");
        tables.extend(SCENARIOS.iter().map(scenario_row));
        tables.push_str(
            "\n| left out | scenario | breaks | states until then | steps of the story |\n|---|---|---|---:|---:|\n",
        );
        tables.extend(BROKEN.iter().map(broken_row));
        std::fs::write(page(), format!("{before}{TABLES}{tables}")).unwrap();
    }
    let text = std::fs::read_to_string(page()).unwrap();
    let (_, tables) = text.split_once(TABLES).unwrap();
    let rows = tables.lines().filter(|line| line.starts_with("| ")).count();
    assert_eq!(rows, SCENARIOS.len() + BROKEN.len() + 2, "a row of something that is not explored any more");
}

/// With `LACRE_MODEL_DEEP` the wide bounds are explored; without it one of them only as far as the narrow ones reach.
#[test]
fn wide_bounds_hold_too() {
    if std::env::var_os("LACRE_MODEL_DEEP").is_none() {
        assert!(DEEP.iter().all(|deep| SCENARIOS.iter().all(|scenario| scenario.name != deep.name)));
        return;
    }
    for deep in DEEP {
        println!("{}", scenario_row(deep).trim_end());
    }
}
