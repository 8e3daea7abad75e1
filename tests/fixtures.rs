//! The furniture itself: a test that leans on it must be able to trust it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::support::cluster::{Cluster, comparable, finished};
use crate::support::sample;
use crate::support::sandbox::{Outcome, Sandbox, files_under, leaks};
use crate::support::seed::Seed;

#[test]
fn two_clusters_run_side_by_side_and_know_nothing_of_each_other() {
    let (first, second) = (Cluster::start(), Cluster::start());
    first.create_database("only_first");
    assert!(first.has_database("only_first"));
    assert!(!second.has_database("only_first"));
    assert_ne!(first.port(), second.port());
    assert_ne!(first.sql("postgres", "select pg_postmaster_start_time() || ' ' || pg_backend_pid()"), "");
    let over_tcp = finished(first.client("psql").args([
        "-XAtqc",
        "select current_database(), inet_client_addr()",
        &first.url("only_first"),
    ]));
    assert_eq!(String::from_utf8_lossy(&over_tcp.stdout), "only_first|127.0.0.1\n");
    let over_socket = finished(first.client("psql").args([
        "-XAtqc",
        "select inet_client_addr() is null",
        &first.socket_url("only_first"),
    ]));
    assert_eq!(String::from_utf8_lossy(&over_socket.stdout), "t\n");
}

#[test]
fn a_crashed_cluster_recovers_what_was_committed() {
    let mut cluster = Cluster::start_with(&[("fsync", "on"), ("synchronous_commit", "on")]);
    cluster.create_database("d");
    cluster.sql("d", "create table kept as select generate_series(1, 1000) as n");
    cluster.crash();
    let refused = cluster.client("psql").args(["-Xc", "select 1", "-d", "d"]).output().unwrap();
    assert!(!refused.status.success());
    cluster.restart();
    assert_eq!(cluster.sql("d", "select count(*), sum(n) from kept"), "1000\t500500");
}

#[test]
fn a_dropped_cluster_leaves_no_process_and_no_file() {
    let cluster = Cluster::start();
    let folder = cluster.sockets().parent().unwrap().to_owned();
    let postmaster =
        cluster.sql("postgres", "select pg_read_file('postmaster.pid', 0, 20)").lines().next().unwrap().to_owned();
    assert!(Path::new("/proc").join(&postmaster).exists());
    drop(cluster);
    assert!(!Path::new("/proc").join(&postmaster).exists());
    assert!(!folder.exists());
}

#[test]
fn the_kernel_ends_the_server_when_its_test_is_killed() {
    // Stands for a test process: a shell that starts a server the way the fixture does and is then killed.
    let mut shell = Sandbox::new().program(
        "/bin/sh",
        &["-c", "setpriv --reuid=65534 --regid=65534 --clear-groups --pdeathsig KILL -- sleep 600 & echo $!; wait"],
    );
    if !rustix::process::geteuid().is_root() {
        shell = Sandbox::new().program("/bin/sh", &["-c", "setpriv --pdeathsig KILL -- sleep 600 & echo $!; wait"]);
    }
    let dir = Sandbox::new();
    let mut parent = shell.current_dir(dir.path(".")).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(parent.stdout.take().unwrap()), &mut line).unwrap();
    let command_line = Path::new("/proc").join(line.trim()).join("cmdline");
    // setpriv has become `sleep` once its own arguments are gone.
    while !fs::read(&command_line).unwrap().starts_with(b"sleep") {
        std::thread::yield_now();
    }
    parent.kill().unwrap();
    parent.wait().unwrap();
    // The orphan is killed and reaped by whoever adopts it; a zombie has an empty command line.
    while fs::read(&command_line).is_ok_and(|bytes| !bytes.is_empty()) {
        std::thread::yield_now();
    }
}

#[test]
fn the_sample_is_the_same_every_time_and_a_day_changes_it() {
    let cluster = Cluster::start();
    sample::create(&cluster, "one", 1);
    sample::create(&cluster, "two", 1);
    let before = cluster.tables("one");
    assert_eq!(before, cluster.tables("two"));
    assert_eq!(before["app.users"].rows, 1000);
    assert_eq!(before["app.birth_charts"].rows, 2000);
    assert_eq!(before["odd \"names\".no_columns"].rows, 3);
    assert_eq!(before["odd \"names\".line\\nbreak"].rows, 4);
    assert_eq!(before["large objects"].rows, 2);
    let audit: u64 =
        before.iter().filter(|(name, _)| name.starts_with("app.audit_logs")).map(|(_, facts)| facts.rows).sum();
    assert_eq!(audit, 8000);

    sample::day(&cluster, "one", 1);
    let after = cluster.tables("one");
    for changed in [
        "app.users",
        "app.birth_charts",
        "app.oauth_connections",
        "app.sessions",
        "app.audit_logs_2026_a",
        "app.settings",
        "app.signs",
        "sequences",
    ] {
        assert_ne!(before[changed], after[changed], "{changed}");
    }
    assert_eq!(before["odd \"names\".wide"], after["odd \"names\".wide"]);
    sample::day(&cluster, "two", 1);
    assert_eq!(after, cluster.tables("two"));
}

#[test]
fn the_sample_survives_the_stock_tools_and_every_telltale_is_in_its_dump() {
    let cluster = Cluster::start();
    sample::create(&cluster, "astro", 1);
    sample::day(&cluster, "astro", 1);
    let dir = Sandbox::new();
    let archive = dir.path("astro.dump");
    fs::write(&archive, cluster.dump("astro", &["-Fc", "-Z0"])).unwrap();
    let (tables, plain) = (cluster.tables("astro"), cluster.comparable_dump("astro"));
    assert_eq!(leaks(dir.path(".").as_path(), sample::TELLTALES).len(), sample::TELLTALES.len());

    cluster.sql("postgres", "drop database astro");
    finished(cluster.client("pg_restore").args(["--create", "--exit-on-error", "-d", "postgres"]).arg(&archive));
    assert_eq!(cluster.tables("astro"), tables);
    assert!(cluster.comparable_dump("astro") == plain, "the restored database dumps differently");
}

#[test]
fn one_changed_value_changes_the_digest_and_the_order_of_rows_does_not() {
    let cluster = Cluster::start();
    cluster.create_database("d");
    cluster.sql(
        "d",
        "create table t(a int, the_row text); insert into t select i, 'x' || i from generate_series(1, 100) i",
    );
    let before = cluster.tables("d");
    cluster.sql("d", "create table other as table t; truncate t; insert into t select * from other order by a desc; drop table other");
    assert_eq!(cluster.tables("d"), before);
    cluster.sql("d", "update t set the_row = 'y' where a = 50");
    assert_eq!(cluster.tables("d")["public.t"].rows, 100);
    assert_ne!(cluster.tables("d"), before);
}

#[test]
fn comparable_dumps_ignore_order_inside_a_table_only() {
    let text = |rows: &str| {
        format!("\\restrict abc\n-- head\nCOPY public.t (a) FROM stdin;\n{rows}\\.\n\n\\unrestrict abc\n").into_bytes()
    };
    assert_eq!(comparable(&text("1\n2\n")), comparable(&text("2\n1\n")));
    assert_ne!(comparable(&text("1\n2\n")), comparable(&text("1\n3\n")));
    assert_ne!(comparable(&text("1\n2\n")), comparable(&text("1\n2\n2\n")));
}

#[test]
fn the_sandbox_shows_the_program_nothing_of_the_outside() {
    let mut sandbox = Sandbox::new();
    sandbox.set("LACRE_PROBE", "yes").set_umask("027");
    let child = sandbox.program("/bin/sh", &["-c", "env | sort; umask; pwd; touch made"]).spawn().unwrap();
    let text = Outcome::of(child, &[]).exits(0).text();
    let names: Vec<&str> = text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    assert_eq!(names, ["HOME", "LACRE_HOME", "LACRE_PROBE", "LACRE_REPO", "LC_ALL", "PATH", "PWD", "TZ"]);
    assert!(text.contains("\n0027\n"), "{text}");
    assert_eq!(files_under(&sandbox.path(".")).len(), 1);
    assert_eq!(fs::metadata(sandbox.path("made")).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn the_binary_answers_in_the_sandbox_and_a_killed_run_is_seen_as_killed() {
    let sandbox = Sandbox::new();
    let help = sandbox.run(&["--help"]).exits(0);
    assert!(help.text().contains("lacre"), "{}", help.text());
    assert!(!help.was_killed());
    let wrong = sandbox.run(&["no-such-command"]).exits(2);
    assert!(wrong.stderr.contains("no-such-command"), "{}", wrong.stderr);
    assert!(files_under(&sandbox.path(".")).is_empty(), "asking for help writes nothing");
    let sleeper = sandbox.program("/bin/sleep", &["600"]).spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&sleeper);
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    assert!(Outcome::of(sleeper, &[]).was_killed());
    let outcome = sandbox.run_killed(&["--help"], Duration::ZERO);
    assert!(outcome.was_killed() || outcome.status.success());
}

#[test]
fn a_program_in_the_sandbox_finds_the_tools_of_the_cluster() {
    let cluster = Cluster::start();
    let sandbox = Sandbox::with_tools_of(&cluster);
    let child = sandbox.program("/bin/sh", &["-c", "command -v pg_dump"]).spawn().unwrap();
    assert_eq!(Path::new(Outcome::of(child, &[]).exits(0).text().trim()), cluster.tools().join("pg_dump"));
    let printer = sandbox.program("/bin/echo", &["{\"schema\": 1, \"n\": 2}"]).spawn().unwrap();
    assert_eq!(Outcome::of(printer, &[]).exits(0).json()["n"], 2);
}

#[test]
fn a_seed_gives_the_same_numbers_again() {
    let take = |start| {
        let mut seed = Seed::new(start);
        (seed.bytes(33), seed.index(7), seed.below(1000))
    };
    assert_eq!(take(1), take(1));
    assert_ne!(take(1), take(2));
    assert_eq!(take(3).0.len(), 33);
}
