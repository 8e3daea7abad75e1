//! Restores by people: choosing on a terminal, the plan, the safety snapshot, questions before anything is shown.
//!
//! `script` gives the program a terminal of its own; what is typed comes through it.

use std::fs;
use std::process::Stdio;

use super::snapshots;
use crate::support::cluster::Cluster;
use crate::support::sandbox::{Outcome, Sandbox};

/// A database `d` with a snapshot, then changed; and the configuration that names it.
fn ready() -> (Cluster, Sandbox) {
    let cluster = Cluster::start();
    cluster.create_database("d");
    cluster.sql("d", "create table t as select generate_series(1, 10) n");
    let mut sandbox = Sandbox::with_tools_of(&cluster);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    let config = format!("[[job]]\nname = \"d\"\npostgres = \"{}\"\n", cluster.url("d"));
    fs::write(sandbox.path("lacre.toml"), config).unwrap();
    let path = sandbox.path("lacre.toml");
    sandbox.set("LACRE_CONFIG", &path).set("TERM", "xterm");
    sandbox.run(&["backup", "d"]).exits(0);
    cluster.sql("d", "insert into t values (11)");
    (cluster, sandbox)
}

/// Runs the binary on a terminal and types this into it; then the terminal is closed.
fn typed(sandbox: &Sandbox, arguments: &[&str], input: &str) -> Outcome {
    let line = [&[env!("CARGO_BIN_EXE_lacre")], arguments].concat().join(" ");
    let mut child = sandbox
        .program("script", &["--quiet", "--return", "--command", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
    Outcome::of(child, arguments)
}

#[test]
fn a_snapshot_and_a_place_are_chosen_on_a_terminal() {
    let (cluster, sandbox) = ready();
    let run = typed(&sandbox, &["restore"], "1\ncopy\nbeside\n").exits(0);
    assert!(run.text().contains("Which one") && run.text().contains("plan: snapshot"), "{}", run.text());
    assert_eq!(cluster.sql("beside", "select count(*) from t"), "10");
    assert_eq!(cluster.sql("d", "select count(*) from t"), "11");
    // In its place: the name is typed, what is replaced is kept and saved.
    typed(&sandbox, &["restore"], "1\nswap\nwrong\nd\n").exits(0);
    assert_eq!(cluster.sql("d", "select count(*) from t"), "10");
    let list = sandbox.run(&["snapshots", "--json"]).exits(0).json();
    let saved = list["snapshots"].as_array().unwrap().iter().find(|row| row["job"] == "d.before-restore").unwrap();
    assert_eq!(saved["rows"], 11);
    let kept = cluster.sql("postgres", "select datname from pg_database where datname like 'd\\_before\\_%'");
    assert_eq!(cluster.sql(&kept, "select count(*) from t"), "11");
    // Neither does it become what `latest` of the job means.
    assert_eq!(sandbox.run(&["show", "latest:d", "--json"]).exits(0).json()["job"], "d");
}

#[test]
fn a_terminal_that_closes_in_the_middle_loses_nothing() {
    let (cluster, sandbox) = ready();
    for input in ["", "1\n", "1\nswap\n", "7\n7\n7\n", "1\nnot a url at all:\n"] {
        let run = typed(&sandbox, &["restore"], input);
        assert!(matches!(run.status.code(), Some(2 | 15 | 130)), "{input:?}: {:?}\n{}", run.status, run.text());
    }
    assert_eq!(cluster.sql("d", "select count(*) from t"), "11");
    assert_eq!(cluster.sql("postgres", "select count(*) from pg_database where datname like '%lacre%'"), "0");
    assert_eq!(snapshots(&sandbox, "live").len(), 1);
    // Without a terminal nothing is asked.
    let refused = sandbox.run(&["restore"]).exits(2);
    assert!(refused.stderr.contains("no terminal"), "{}", refused.stderr);
}

#[test]
fn a_database_that_fails_its_questions_is_not_shown() {
    let (cluster, sandbox) = ready();
    let mut config = fs::read_to_string(sandbox.path("lacre.toml")).unwrap();
    config.push_str(
        "[job.drill]\ncritical = [\"select count(*) > 10 from t\"]\n\
         [hooks]\nbefore_restore = [[\"touch\", \"before\"]]\nafter_restore = [[\"touch\", \"after\"]]\n",
    );
    fs::write(sandbox.path("lacre.toml"), config).unwrap();
    let swap = ["restore", "latest:d", "--to", &cluster.url("d"), "--swap", "--yes"];
    let refused = sandbox.run(&swap).exits(15);
    assert!(refused.stderr.contains("select count(*) > 10 from t"), "{}", refused.stderr);
    assert_eq!(cluster.sql("d", "select count(*) from t"), "11");
    assert!(sandbox.path("before").exists() && sandbox.path("after").exists());
    sandbox.run(&[&swap[..], &["--no-smoke", "--no-safety-snapshot", "--no-hooks"]].concat()).exits(0);
    assert_eq!(cluster.sql("d", "select count(*) from t"), "10");
    let jobs = sandbox.run(&["snapshots", "--job", "d.before-restore", "--json"]).exits(0).json();
    assert_eq!(jobs["snapshots"].as_array().unwrap().len(), 1, "only the first swap saved what it was to replace");
}

#[test]
fn the_plan_tells_the_time_by_earlier_drills() {
    let (cluster, sandbox) = ready();
    let to = cluster.url("one");
    let before = sandbox.run(&["restore", "latest:d", "--to", &to, "--create"]).exits(0);
    assert!(before.stderr.contains("is not known: no drill"), "{}", before.stderr);
    sandbox.run(&["drill", "d", "--server", &cluster.url("postgres")]).exits(0);
    let to = cluster.url("two");
    let after = sandbox.run(&["restore", "latest:d", "--to", &to, "--create"]).exits(0);
    assert!(after.stderr.contains("by the last drill"), "{}", after.stderr);
    cluster.sql("postgres", "create role gone; grant gone to postgres");
    cluster.sql("d", "alter table t owner to gone");
    sandbox.run(&["backup", "d"]).exits(0);
    cluster.sql("d", "alter table t owner to postgres");
    cluster.sql("postgres", "drop role gone");
    let to = cluster.url("three");
    let told = sandbox.run(&["restore", "latest:d", "--to", &to, "--create"]).exits(3);
    assert!(told.stderr.contains("role \"gone\" owns objects"), "{}", told.stderr);
}

/// Runs a line of the shell on a terminal and presses Ctrl-C once this was said.
fn interrupted_at(sandbox: &Sandbox, line: &str, said: &str) -> String {
    use std::io::{Read as _, Write as _};
    let line = line.replace("lacre ", &format!("{} ", env!("CARGO_BIN_EXE_lacre")));
    // The shell ignores the signal while it waits, and tells how the command ended and what the terminal is like then.
    let line = format!("trap : INT; {line}; echo \"ended $?\"; stty -a");
    let mut child = sandbox
        .program("script", &["--quiet", "--return", "--command", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut keys, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (mut shown, mut some, mut pressed) = (Vec::new(), [0; 4096], false);
    loop {
        let length = screen.read(&mut some).unwrap();
        if length == 0 {
            break;
        }
        shown.extend_from_slice(&some[..length]);
        if !pressed && String::from_utf8_lossy(&shown).contains(said) {
            keys.write_all(b"\x03").unwrap();
            keys.flush().unwrap();
            pressed = true;
        }
    }
    drop(keys);
    child.wait().unwrap();
    String::from_utf8_lossy(&shown).into_owned()
}

#[test]
fn the_first_interrupt_at_a_question_ends_it() {
    let sandbox = Sandbox::new();
    sandbox.run(&["init", "--kit-file", sandbox.path("kit").to_str().unwrap()]).exits(0);
    let asked = interrupted_at(&sandbox, "lacre kit ack 1", "The four words");
    assert!(asked.contains("ended 130") && asked.contains("interrupted at a question"), "{asked}");
    // A terminal that hides what is typed shows it again.
    let init = format!("lacre --repo {} init --no-kit --passphrase", sandbox.path("other").display());
    let hidden = interrupted_at(&sandbox, &init, "New passphrase");
    assert!(hidden.contains("ended 130") && hidden.contains(" echo ") && !hidden.contains("-echo "), "{hidden}");
    assert!(!sandbox.path("other/lacre.json").exists());
}

#[test]
fn a_kit_that_cannot_be_written_is_not_on_record() {
    let sandbox = Sandbox::new();
    let nowhere = sandbox.path("no/such/folder/kit");
    let refused = sandbox.run(&["init", "--kit-file", nowhere.to_str().unwrap()]).exits(1);
    assert!(refused.stderr.contains("nothing was made"), "{}", refused.stderr);
    sandbox.run(&["init", "--no-kit"]).exits(0);
    let refused = sandbox.run(&["kit", "issue", "--kit-file", nowhere.to_str().unwrap()]).exits(1);
    assert!(refused.stderr.contains("nothing was made"), "{}", refused.stderr);
    let written =
        sandbox.run(&["kit", "issue", "--kit-file", sandbox.path("kit").to_str().unwrap(), "--json"]).exits(0);
    assert_eq!(written.json()["kit"], 1);
}

#[test]
fn tables_are_added_and_nothing_else_is_asked_for() {
    let (cluster, sandbox) = ready();
    let url = cluster.url("d");
    let add = ["restore", "latest:d", "--to", &url, "--table", "public.t"];
    let asked = sandbox.run(&add).exits(15);
    assert!(asked.stderr.contains("nothing that is there is changed"), "{}", asked.stderr);
    assert!(!asked.stderr.contains("replaced") && !asked.stderr.contains("about 0 B"), "{}", asked.stderr);
    let there = sandbox.run(&[&add[..], &["--yes"]].concat()).exits(15);
    assert!(there.stderr.contains("--into-schema"), "{}", there.stderr);
    let added = sandbox.run(&[&add[..], &["--into-schema", "lost", "--yes"]].concat()).exits(0);
    assert!(added.text().contains("table public.t is added to d, into schema lost in "), "{}", added.text());
    assert_eq!(cluster.sql("d", "select (select count(*) from t), (select count(*) from lost.t)"), "11\t10");
}
