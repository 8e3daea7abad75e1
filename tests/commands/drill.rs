//! Rehearsed restores: what passes, what does not, what is left behind, and what is never made.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::Value;

use super::snapshots;
use crate::support::cluster::{Cluster, test_dir};
use crate::support::sample;
use crate::support::sandbox::Sandbox;
use crate::support::versions::Other;

fn ready_with(cluster: &Cluster, database: &str) -> Sandbox {
    let sandbox = Sandbox::with_tools_of(cluster);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    sandbox.run(&["backup", "--postgres", &cluster.url(database)]).exits(0);
    sandbox
}

/// The databases of a server whose names begin as those of drills do.
fn scratch_databases(cluster: &Cluster) -> String {
    cluster.sql("postgres", "select string_agg(datname, ',') from pg_database where datname like 'lacre%'")
}

fn result<'a>(document: &'a Value, check: &str) -> &'a str {
    let checks = document["checks"].as_array().unwrap();
    let found = checks.iter().find(|row| row["name"] == check);
    found.unwrap_or_else(|| panic!("no check {check} in {checks:?}"))["result"].as_str().unwrap()
}

fn says(document: &Value, text: &str) -> bool {
    document["findings"].as_array().unwrap().iter().any(|finding| finding.to_string().contains(text))
}

#[test]
fn a_drill_compares_everything_goes_on_record_and_leaves_nothing() {
    let cluster = Cluster::start();
    sample::create(&cluster, "astro", 1);
    let sandbox = ready_with(&cluster, "astro");
    let config = format!(
        "[drill]\nserver = \"{}\"\ncritical = [\"select count(*) > 0 from app.users\"]\n\
         [[job]]\nname = \"astro\"\npostgres = \"{}\"\n[job.drill]\ncritical = [\"select true\"]\n",
        cluster.url("postgres"),
        cluster.url("astro")
    );
    fs::write(sandbox.path("lacre.toml"), config).unwrap();
    let document = sandbox.run(&["--config", "lacre.toml", "drill", "astro", "--json"]).exits(0).json();
    assert_eq!((&document["passed"], &document["recorded"]), (&true.into(), &true.into()));
    let tables = document["tables"].as_array().unwrap();
    assert!(tables.len() > 10 && tables.iter().all(|table| table["rows"] == table["expected"]));
    assert!(document["rto_ms"].as_u64().unwrap() > 0);
    assert!(document["rto_ms"].as_u64() <= document["duration_ms"].as_u64());
    for check in ["rows", "large objects", "definitions", "foreign keys", "indexes", "amcheck", "critical: select true"]
    {
        assert_eq!(result(&document, check), "passed", "{check}");
    }
    assert_eq!(result(&document, "critical: select count(*) > 0 from app.users"), "passed");
    assert_eq!(scratch_databases(&cluster), "");
    // A drill that passed is a check of level 6: the snapshot counts as verified.
    let plan = sandbox.run(&["forget", "--keep-yearly", "1", "--dry-run", "--json"]).exits(0).json();
    assert!(plan["kept"][0]["reasons"].to_string().contains("verified"), "{plan}");
    let again = sandbox.run(&["--config", "lacre.toml", "drill"]).exits(0).text();
    assert!(again.contains("passed: recovered in") && again.contains("(last time"), "{again}");
}

#[test]
fn a_snapshot_that_breaks_its_own_rules_does_not_pass() {
    let cluster = Cluster::start();
    cluster.create_database("d");
    cluster.sql(
        "d",
        "create table parent (id int primary key); create table child (parent int references parent); \
         insert into parent values (1); set session_replication_role = replica; insert into child values (1), (2)",
    );
    let sandbox = ready_with(&cluster, "d");
    let server = cluster.url("postgres");
    let document = sandbox.run(&["drill", "--server", &server, "--json"]).exits(4).json();
    assert_eq!(document["passed"], false);
    assert_eq!((result(&document, "rows"), result(&document, "foreign keys")), ("passed", "failed"));
    assert_eq!(result(&document, "definitions"), "failed");
    assert_eq!(scratch_databases(&cluster), "");
    cluster.sql("d", "delete from child where parent = 2");
    sandbox.run(&["backup", "--postgres", &cluster.url("d")]).exits(0);
    let asks =
        |query: &str| fs::write(sandbox.path("lacre.toml"), format!("[drill]\ncritical = [{query:?}]\n")).unwrap();
    for query in ["select count(*) > 100 from child", "select 'the secret value'", "select * from nothing_like_it"] {
        asks(query);
        let run = sandbox.run(&["--config", "lacre.toml", "drill", "--server", &server, "--json"]).exits(4);
        assert_eq!(result(&run.json(), &format!("critical: {query}")), "failed");
        assert!(!run.json()["checks"].to_string().replace(query, "").contains("the secret value"));
    }
    asks("delete from child returning true");
    sandbox.run(&["--config", "lacre.toml", "drill", "--server", &server]).exits(4);
    sandbox.run(&["drill", "--server", &server]).exits(0);
    let plan = sandbox.run(&["forget", "--keep-yearly", "1", "--dry-run", "--json"]).exits(0).json();
    assert!(!plan["forgotten"].to_string().contains("verified"));
    assert_eq!(plan["forgotten"].as_array().unwrap().len(), 1, "the snapshot that never passed is not verified");
}

#[test]
fn damage_in_the_store_is_a_drill_that_does_not_pass() {
    let cluster = Cluster::start();
    cluster.create_database("d");
    cluster.sql("d", "create table t as select n, md5(n::text) from generate_series(1, 20000) n");
    let sandbox = ready_with(&cluster, "d");
    let packs = crate::support::sandbox::files_under(&sandbox.repository().join("packs"));
    let largest = packs.iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = fs::read(largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::set_permissions(largest, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(largest, bytes).unwrap();
    // Parity would put it right on the way.
    fs::remove_dir_all(sandbox.repository().join("parity")).unwrap();
    let document = sandbox.run(&["drill", "--server", &cluster.url("postgres"), "--json"]).exits(4).json();
    assert_eq!((&document["passed"], &document["rto_ms"]), (&false.into(), &0.into()));
    assert_eq!((result(&document, "restore"), &document["recorded"]), ("failed", &true.into()));
    assert_eq!(scratch_databases(&cluster), "");
}

#[test]
fn without_a_server_one_is_made_and_thrown_away() {
    let cluster = Cluster::start();
    sample::create(&cluster, "astro", 1);
    let sandbox = ready_with(&cluster, "astro");
    // The server's account has to reach its folder.
    fs::set_permissions(sandbox.path(""), fs::Permissions::from_mode(0o711)).unwrap();
    fs::create_dir(sandbox.path("t")).unwrap();
    fs::set_permissions(sandbox.path("t"), fs::Permissions::from_mode(0o711)).unwrap();
    let folder = sandbox.path("t");
    fs::write(sandbox.path("lacre.toml"), format!("[drill]\nfolder = {folder:?}\n")).unwrap();
    let drill = ["--config", "lacre.toml", "drill", "--json"];
    let document = sandbox.run(&drill).exits(0).json();
    assert_eq!((&document["passed"], &document["server"]), (&true.into(), &"throw-away".into()));
    assert_eq!((result(&document, "definitions"), result(&document, "amcheck")), ("passed", "passed"));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    let mut after = Duration::from_millis(400);
    let left = (0..40).any(|_| {
        sandbox.run_killed(&["--config", "lacre.toml", "drill"], after);
        after += Duration::from_millis(150);
        fs::read_dir(&folder).unwrap().count() > 0
    });
    assert!(left, "no killed drill left a server");
    let document = sandbox.run(&drill).exits(0).json();
    assert!(says(&document, "an earlier drill was killed"), "{document}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn a_killed_drill_is_cleaned_up_by_the_next_and_nothing_else_is() {
    let cluster = Cluster::start();
    sample::create(&cluster, "astro", 2);
    let sandbox = ready_with(&cluster, "astro");
    let server = cluster.url("postgres");
    cluster.sql("postgres", "create database lacre_drill_11111111_22222222");
    cluster.sql("postgres", "create database lacre_drill_mine; comment on database lacre_drill_mine is 'kept'");
    let others = "lacre_drill_11111111_22222222,lacre_drill_mine";
    let mut after = Duration::from_millis(300);
    let left = (0..60).find_map(|_| {
        sandbox.run_killed(&["drill", "--server", &server], after);
        after += Duration::from_millis(50);
        let sql = "select datname from pg_database where datname ~ '^lacre_drill_' and datname !~ '(22222222|mine)$'";
        Some(cluster.sql("postgres", sql)).filter(|name| !name.is_empty())
    });
    let left = left.expect("no killed drill left a database");
    let document = sandbox.run(&["drill", "--server", &server, "--json"]).exits(0).json();
    assert!(says(&document, "an earlier drill was killed"), "{document}");
    assert_eq!(scratch_databases(&cluster), others);
    // A database that only has the name is somebody's.
    cluster.sql("postgres", &format!("create database {left}"));
    cluster.sql(&left, "create table kept as select 1 n");
    let refused = sandbox.run(&["drill", "--server", &server]).exits(15);
    assert!(refused.stderr.contains(&left), "{}", refused.stderr);
    assert_eq!(cluster.sql(&left, "select n from kept"), "1");
}

#[test]
fn nothing_is_made_that_would_act_elsewhere() {
    let folder = test_dir("cron");
    let extension = folder.path().join("extension");
    fs::create_dir(&extension).unwrap();
    // As pg_cron: jobs are rows of the extension's own table, which a dump carries.
    let script = "create schema cron; create table cron.job (jobid int, command text); \
                  select pg_catalog.pg_extension_config_dump('cron.job', '');";
    fs::write(extension.join("pg_cron.control"), "default_version = '1.6'\nrelocatable = false\n").unwrap();
    fs::write(extension.join("pg_cron--1.6.sql"), script).unwrap();
    for path in [folder.path(), &extension] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("$system:{}", folder.path().display());
    let cluster = Cluster::start_of(Other::Eighteen.programs(), &[("extension_control_path", &path)]);
    cluster.create_database("d");
    cluster.sql(
        "d",
        "create extension pg_cron; insert into cron.job values (1, 'delete from t'), (2, 'select 1'); \
         create table t as select generate_series(1, 50) n; create materialized view v as select count(*) from t; \
         create foreign data wrapper w; create server elsewhere foreign data wrapper w; \
         create user mapping for postgres server elsewhere options (password 'hunter2'); \
         create function loud() returns event_trigger language plpgsql as 'begin raise exception ''loud''; end'; \
         create publication p for table t; \
         create subscription s connection 'host=127.0.0.1 port=1' publication p with (connect = false); \
         create event trigger e on ddl_command_end execute function loud()",
    );
    let sandbox = ready_with(&cluster, "d");
    let document = sandbox.run(&["drill", "--server", &cluster.url("postgres"), "--json"]).exits(0).json();
    for what in ["event trigger", "subscription", "publication", "user mapping", "extension pg_cron", "refreshes"] {
        assert!(says(&document, &format!("left out of the drill: {what}")), "{what}: {document}");
    }
    // A database with a subscription in it could not have been dropped.
    assert_eq!(scratch_databases(&cluster), "");
    let rows = &document["checks"].as_array().unwrap()[0];
    assert!(rows["what"].as_str().unwrap().contains("1 more not loaded"), "{rows}");
}

#[test]
fn what_stands_in_a_drills_way_is_said() {
    let cluster = Cluster::start();
    cluster.create_database("d");
    cluster.sql("d", "create table t as select generate_series(1, 10) n");
    let sandbox = ready_with(&cluster, "d");
    sandbox.run_with_input(&["backup", "--stdin", "words"], b"text\n").exits(0);
    sandbox.run(&["drill", "d", "--server", "postgres://x@127.0.0.1:1/x"]).exits(13);
    sandbox.run(&["drill", "words"]).exits(2);
    sandbox.run(&["drill", "d", "--snapshot", "latest:words"]).exits(2);
    sandbox.run(&["drill", "unknown"]).exits(10);
    // sysfs never has a free block.
    fs::write(sandbox.path("lacre.toml"), "[drill]\nfolder = \"/sys\"\n").unwrap();
    let full = sandbox.run(&["--config", "lacre.toml", "drill", "d"]).exits(15);
    assert!(full.stderr.contains("not enough room"), "{}", full.stderr);
    cluster.sql("postgres", "create role weak login");
    let weak = format!("postgres://weak@127.0.0.1:{}/postgres", cluster.port());
    let refused = sandbox.run(&["drill", "d", "--server", &weak]).exits(15);
    assert!(refused.stderr.contains("create databases"), "{}", refused.stderr);
    let role = "create role drill login createdb";
    cluster.sql("postgres", role);
    let plain = format!("postgres://drill@127.0.0.1:{}/postgres", cluster.port());
    let document = sandbox.run(&["drill", "d", "--server", &plain, "--json"]).exits(0).json();
    assert_eq!((result(&document, "amcheck"), result(&document, "rows")), ("skipped", "passed"));
    let forgotten = snapshots(&sandbox, "live").remove(0);
    sandbox.run(&["forget", "--job", "d", "--keep-within", "1h", "--dry-run"]).exits(0);
    sandbox.run(&["drill", "--snapshot", &forgotten, "--server", &plain]).exits(0);
    assert_eq!(scratch_databases(&cluster), "");
}
