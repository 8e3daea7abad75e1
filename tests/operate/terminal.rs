//! What commands show on a terminal: no line wider than it, nothing cut, and on a pipe every line complete.
//!
//! `script` gives the program a terminal of its own, `stty` its width.

use super::configure;
use crate::support::cluster::Cluster;
use crate::support::sandbox::{Outcome, Sandbox};

const JOB: &str = "customers-of-the-shop";

/// A site with a database whose names are long, a copy, prices, a cell that cannot be reached soon, and two nights.
fn site() -> (Cluster, Sandbox) {
    let cluster = Cluster::start();
    cluster.create_database("d");
    cluster.sql("d", "create table orders_that_were_paid_in_several_instalments as select generate_series(1, 2000) n");
    let mut sandbox = Sandbox::with_tools_of(&cluster);
    let today = jiff::Zoned::now().date();
    let price = "storage = 0.023\nput = 0.005\nget = 0.0004\negress = 0.09\n";
    let config = format!(
        "[[job]]\nname = \"{JOB}\"\npostgres = \"{}\"\n[[copy]]\nname = \"off-site-in-another-country\"\nurl = \"{}\"\n\
         [drill]\nserver = \"{}\"\ncritical = [\"select count(*) > 0 from orders_that_were_paid_in_several_instalments where n > 0\"]\n\
         [status]\nmax_drill_age = \"8d\"\nmin_count = 30\n[retention]\nkeep_last = 1\n\
         [prices]\ncurrency = \"USD\"\ndate = \"{today}\"\nsource = \"a list\"\n\
         [price.repository]\n{price}[price.off-site-in-another-country]\n{price}",
        cluster.url("d"),
        sandbox.path("a-folder-with-a-long-name-on-another-disk").display(),
        cluster.url("postgres"),
    );
    configure(&sandbox, &config);
    let path = sandbox.path("lacre.toml");
    sandbox.set("LACRE_CONFIG", path).set("TERM", "xterm");
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    for _ in 0..2 {
        sandbox.run(&["backup", JOB]);
        cluster.sql("d", "insert into orders_that_were_paid_in_several_instalments values (7)");
    }
    (cluster, sandbox)
}

/// Runs the binary on a terminal of this many columns; with none, on one that does not say.
fn on_terminal(sandbox: &Sandbox, columns: Option<u16>, arguments: &[&str]) -> Outcome {
    let width = columns.map_or_else(String::new, |columns| format!("stty cols {columns} rows 40; "));
    let line = format!("{width}exec {} {}", env!("CARGO_BIN_EXE_lacre"), arguments.join(" "));
    let child = sandbox.program("script", &["--quiet", "--return", "--command", &line, "/dev/null"]).spawn().unwrap();
    Outcome::of(child, arguments)
}

/// The lines as they stand on the screen, without colours and the marks of what was drawn over.
fn screen(outcome: &Outcome) -> Vec<String> {
    let mut plain = String::new();
    let text = outcome.text();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            characters.find(|end| end.is_ascii_alphabetic());
        } else {
            plain.push(character);
        }
    }
    plain.lines().map(|line| line.rsplit('\r').next().unwrap_or_default().trim_end().to_owned()).collect()
}

/// Asserts that only what must stay whole is wider, alone on its line.
#[track_caller]
fn fits(outcome: &Outcome, columns: usize) -> Vec<String> {
    let lines = screen(outcome);
    let wide = |line: &&String| line.chars().count() > columns;
    let is_command = |line: &str| line.trim_start().trim_start_matches("hint: ").starts_with("lacre ");
    let stays_whole = |line: &String| line.split_whitespace().count() <= 2 || is_command(line);
    let broken: Vec<_> = lines.iter().filter(wide).filter(|line| !stays_whole(line)).collect();
    assert!(broken.is_empty() && !lines.is_empty(), "{}: {broken:#?}\n{lines:#?}", outcome.command);
    lines
}

/// Words of a text, in whatever lines they stand.
fn words(lines: &[String]) -> String {
    lines.iter().flat_map(|line| line.split_whitespace()).collect::<Vec<_>>().join(" ")
}

#[test]
fn no_table_is_wider_than_the_terminal() {
    let (_cluster, sandbox) = site();
    let commands: &[&[&str]] = &[
        &["status"],
        &["status", "--strict"],
        &["snapshots"],
        &["seal", "status"],
        &["seal", "verify"],
        &["copy", "sync"],
        &["copy", "list"],
        &["copy", "verify"],
        &["drill", JOB],
        &["key", "list"],
        &["cost"],
        &["forget", "--dry-run"],
        &["prune", "--dry-run"],
        &["stats"],
        &["doctor"],
        &["config", "check"],
        &["config", "show"],
        &["repo", "check"],
        &["report"],
        &["show", "latest"],
        &["ls", "latest"],
        &["erase", "status"],
        &["backup", JOB],
    ];
    for command in commands {
        fits(&on_terminal(&sandbox, Some(80), command), 80);
    }
    // A terminal that does not say how wide it is, is taken for one of 80 columns; a wide one is used.
    let unknown = screen(&on_terminal(&sandbox, None, &["snapshots"]));
    assert_eq!(unknown, screen(&on_terminal(&sandbox, Some(80), &["snapshots"])));
    let wide = screen(&on_terminal(&sandbox, Some(200), &["snapshots"]));
    assert!(wide[0].contains("age") && !unknown[0].contains("age"), "{wide:#?}\n{unknown:#?}");
}

#[test]
fn a_narrow_terminal_cuts_nothing_and_a_pipe_gets_whole_lines() {
    let (_cluster, sandbox) = site();
    let piped = sandbox.run(&["status", "--strict"]).exits(3).text();
    let narrow = fits(&on_terminal(&sandbox, Some(60), &["status", "--strict"]), 60);
    let document = sandbox.run(&["status", "--strict", "--json"]).exits(3).json();
    for check in document["checks"].as_array().unwrap() {
        let name = check["name"].as_str().unwrap();
        let line = piped.lines().find(|line| line.split_whitespace().nth(1) == Some(name)).unwrap();
        assert!(line.contains(check["limit"].as_str().unwrap_or_default()), "{line}");
        if let Some(advice) = check["advice"].as_str() {
            assert!(piped.lines().any(|line| line == format!("hint: {name}: {advice}")), "{piped}");
            assert!(words(&narrow).contains(&advice.split_whitespace().collect::<Vec<_>>().join(" ")), "{narrow:#?}");
        }
    }
    let listed = sandbox.run(&["snapshots"]).exits(0).text();
    let shown = words(&fits(&on_terminal(&sandbox, Some(60), &["snapshots"]), 60));
    for line in listed.lines().skip(1) {
        let id = line.split_whitespace().next().unwrap();
        let now_or_ago = line.contains(" just now ") || line.contains(" ago ");
        assert!(line.contains(JOB) && now_or_ago && line.ends_with("live"), "{listed}");
        assert!(id.len() == 8 && shown.contains(id), "{shown}");
    }
}
