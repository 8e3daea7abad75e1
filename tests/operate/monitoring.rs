//! The page about monitoring and the files beside it: every command as it stands there, every metric and check that an alert names.

use std::collections::BTreeSet;
use std::fs;

use super::{configure, job, script, site};
use crate::support::sandbox::Sandbox;

const PAGE: &str = include_str!("../../docs/monitoring/README.md");
const ALERTS: &str = include_str!("../../docs/monitoring/alerts.yml");
const NAGIOS: &str = include_str!("../../docs/monitoring/nagios.cfg");

/// Checks that need more than one short day, or a database server.
const LATER: [&str; 2] = ["disk:forecast", "drill(:.+)?"];

/// A repository of two jobs with a copy and metrics, after a night and an audit.
fn watched() -> Sandbox {
    let sandbox = site("", None);
    fs::create_dir(sandbox.path("disk")).unwrap();
    let config = format!(
        "[status]\nmin_count = 1\nmin_size = \"1\"\nmin_free = \"1\"\n[metrics]\ntextfile = \"{}\"\n{}{}[[copy]]\nname = \"usb\"\nurl = \"{}\"\n",
        sandbox.path("lacre.prom").display(),
        job("astro"),
        job("shop"),
        sandbox.path("disk/copy").display()
    );
    configure(&sandbox, &config);
    script(&sandbox, "astro", "seq 20000");
    script(&sandbox, "shop", "seq 300");
    sandbox.run(&["backup"]).exits(0);
    sandbox.run(&["repo", "check", "--read-data"]).exits(0);
    sandbox
}

/// The alternatives of the expressions an alert compares checks with.
fn named_checks() -> BTreeSet<&'static str> {
    let labels = ALERTS.split("check=~\"").chain(ALERTS.split("check!~\"")).skip(1);
    labels
        .filter_map(|rest| rest.split('"').next())
        .filter(|text| !text.contains('\n'))
        .flat_map(|text| text.split('|'))
        .collect()
}

#[test]
fn every_command_of_the_page_does_what_it_says() {
    let sandbox = watched();
    let block = PAGE.split("```sh monitoring\n").nth(1).unwrap().split("```").next().unwrap();
    let mut codes = Vec::new();
    for line in block.lines() {
        let command = line.split('#').next().unwrap().trim().strip_prefix("lacre ").unwrap();
        let run = sandbox.run(&command.split(' ').collect::<Vec<_>>());
        assert!(!run.text().is_empty(), "{command}: {}", run.stderr);
        codes.push(run.status.code().unwrap());
    }
    // The site has one holder of the seal and no kit that was read back.
    assert_eq!(codes, [0, 3, 1, 0]);
    let line = sandbox.run(&["status", "--nagios"]).exits(1).text();
    assert!(line.starts_with("LACRE WARNING - ") && line.lines().count() == 1, "{line}");
    let numbers = line.split(" | ").nth(1).unwrap();
    assert!(numbers.contains("'holders'=1;;2:") && numbers.contains("'copy:usb'=0;;0"), "{numbers}");
    assert!(NAGIOS.contains("lacre status --nagios") && PAGE.contains("nagios.cfg"));
}

#[test]
fn every_alert_is_about_something_that_is_there() {
    let sandbox = watched();
    let metrics = sandbox.run(&["status", "--prometheus"]).exits(0).text();
    let file = fs::read_to_string(sandbox.path("lacre.prom")).unwrap();
    let expressions = ALERTS.lines().filter(|line| line.contains("expr:") || line.trim().starts_with("lacre_"));
    let mut names = BTreeSet::new();
    for line in expressions {
        let words = line.split(|character: char| !(character.is_ascii_lowercase() || character == '_'));
        names.extend(words.filter(|word| word.starts_with("lacre_")));
    }
    assert!(names.len() >= 4, "{names:?}");
    for name in names {
        assert!(metrics.contains(&format!("# TYPE {name} gauge")), "{name} is no metric: {metrics}");
        assert!(file.contains(&format!("# TYPE {name} gauge")), "{name} is not in the file: {file}");
    }
    let checks: Vec<&str> =
        metrics.split("lacre_check_ok{check=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let named = named_checks();
    assert!(named.len() > 8 && LATER.iter().all(|later| named.contains(later)), "{named:?}");
    for name in named.iter().filter(|name| !LATER.contains(name)) {
        let is_it = |check: &&str| name.strip_suffix(".+").map_or(*check == *name, |start| check.starts_with(start));
        assert!(checks.iter().any(is_it), "no check is called {name}: {checks:?}");
    }
    // The page explains each alert.
    for alert in ALERTS.split("- alert: ").skip(1).filter_map(|rest| rest.lines().next()) {
        assert!(PAGE.contains(&format!("| {alert} |")), "{alert} is not explained");
    }
}
