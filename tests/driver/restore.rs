//! A database comes back as it was.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use lacre::driver::postgres::error::Error;
use lacre::driver::postgres::report::Severity;
use lacre::driver::postgres::restore::{Choice, Comparison, RestoreOptions, TargetState, plan};

use super::memory::{Memory, dump, permissive, quiet, restore, target};
use crate::support::cluster::{Cluster, comparable};

pub(super) const NASTY: &str = include_str!("nasty.sql");

/// A dump of definitions and rows that can be compared: with the database's own properties, without the lines that differ by chance.
pub(super) fn picture(cluster: &Cluster, database: &str) -> String {
    String::from_utf8_lossy(&comparable(&cluster.dump(database, &["--create", "--clean", "--if-exists"]))).into_owned()
}

/// Fails with the first line that differs.
pub(super) fn assert_same(before: &str, after: &str) {
    for (number, (left, right)) in before.lines().zip(after.lines()).enumerate() {
        assert_eq!(left, right, "line {number}");
    }
    assert_eq!(before.lines().count(), after.lines().count());
}

#[test]
fn a_nasty_database_comes_back_the_same_through_a_swap() {
    let cluster = Cluster::start();
    cluster.create_database("nasty");
    cluster.sql("nasty", NASTY);
    cluster.sql(
        "postgres",
        "alter database nasty owner to \"Owner \"\"q\"\"\"; alter database nasty set search_path to \"$user\", 'odd schema', public; \
         alter database nasty set work_mem = '7MB'; alter role reader in database nasty set statement_timeout = '5s'; \
         comment on database nasty is 'it''s nasty'; alter database nasty connection limit 9; \
         revoke temporary on database nasty from public; grant connect, create on database nasty to reader with grant option; \
         alter database nasty set \"my.Odd\" = 'va''l\\ue'",
    );
    let before = picture(&cluster, "nasty");
    let views = "select n from filled_view union all select m from on_top";
    let refreshed = cluster.sql("nasty", views);
    let (memory, report) = dump(&target(&cluster.socket_url("nasty"))).unwrap();
    assert!(report.findings.iter().all(|finding| finding.severity == Severity::Note), "{:?}", report.findings);
    cluster.sql("nasty", "drop table every_text cascade; create table intruder (a int)");
    let options = RestoreOptions { jobs: 3, ..permissive() };
    let report = restore(&target(&cluster.socket_url("nasty")), &memory, options).unwrap();
    assert!(report.findings.iter().all(|finding| finding.severity == Severity::Note), "{:?}", report.findings);
    assert_eq!(report.kept.as_deref(), Some("nasty_before_20261122T231500Z"));
    assert!(report.verified, "{:?}", report.tables);
    assert_same(&before, &picture(&cluster, "nasty"));
    assert_eq!(cluster.sql("nasty", views), refreshed);
    assert_eq!(
        cluster.sql(
            "nasty",
            "select string_agg(length(lo_get(oid))::text, ',' order by oid) from pg_largeobject_metadata"
        ),
        "6,360000,0,20,3000006"
    );
    assert_eq!(cluster.sql("nasty_before_20261122T231500Z", "select count(*) from intruder"), "0");
    assert!(!cluster.has_database("nasty_lacre_0badcafe"));
    let again = restore(
        &target(&cluster.socket_url("a_second_place")),
        &memory,
        RestoreOptions { comparison: Comparison::Counts, ..permissive() },
    )
    .unwrap();
    assert!(!again.verified);
    assert_eq!(again.kept, None);
    assert_same(&before, &picture(&cluster, "a_second_place").replace("a_second_place", "nasty"));
}

#[test]
fn bytes_that_are_no_text_in_any_encoding_come_back() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "create database raw encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C' template template0; create database latin encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' template template0");
    let script = "set client_encoding = 'SQL_ASCII'; create table t (id int, body text); insert into t select n, convert_from(decode(lpad(to_hex(n), 2, '0'), 'hex'), 'SQL_ASCII') || 'x' from generate_series(1, 255) n";
    cluster.sql("raw", script);
    cluster.sql("latin", "set client_encoding = 'UTF8'; create table \"größe\" (\"länge\" text); insert into \"größe\" select chr(n) from generate_series(160, 255) n");
    for (name, rows) in [("raw", 255), ("latin", 96)] {
        let before = comparable(&cluster.dump(name, &["--create"]));
        let (memory, _) = dump(&target(&cluster.socket_url(name))).unwrap();
        let report = restore(&target(&cluster.socket_url(name)), &memory, permissive()).unwrap();
        assert!(report.verified);
        assert_eq!(report.tables.iter().map(|table| table.rows).sum::<u64>(), rows);
        assert!(before == comparable(&cluster.dump(name, &["--create"])), "{name} differs");
    }
}

#[test]
fn columns_that_come_back_in_another_order_still_hold_their_values() {
    let cluster = Cluster::start();
    cluster.create_database("d");
    cluster.sql(
        "d",
        "create table parent (id int, v text); create table child (extra int) inherits (parent); alter table child add column late text; \
         alter table parent add column later int default 5; insert into child values (1, 'v', 2, 'late', 3); alter table child drop column extra",
    );
    let (memory, _) = dump(&target(&cluster.url("d"))).unwrap();
    let report = restore(&target(&cluster.url("new")), &memory, permissive()).unwrap();
    assert!(report.verified);
    assert_eq!(cluster.sql("new", "select id, v, late, later from child"), "1\tv\tlate\t3");
}

#[test]
fn an_empty_database_is_filled_and_not_kept() {
    let cluster = Cluster::start();
    cluster.create_database("d");
    cluster.sql("d", "create table t as select generate_series(1, 10) n");
    let (memory, _) = dump(&target(&cluster.url("d"))).unwrap();
    cluster.create_database("empty");
    let options = RestoreOptions { create: Choice::Refuse, swap: Choice::Refuse, ..permissive() };
    let made = plan(&target(&cluster.url("empty")), &memory, options).unwrap();
    assert_eq!(made.state, TargetState::Empty);
    assert!(made.free_bytes.is_some());
    let report = made.execute(&quiet(), &mut |_| Ok(())).unwrap();
    assert_eq!(report.kept, None);
    assert_eq!(cluster.sql("empty", "select count(*) from t"), "10");
    assert_eq!(
        cluster.sql("postgres", "select string_agg(datname, ',' order by datname) from pg_database"),
        "d,empty,postgres,template0,template1"
    );
}

#[test]
fn a_swap_ends_sessions_only_when_told_and_names_them() {
    let cluster = Cluster::start();
    cluster.create_database("d");
    cluster.sql("d", "create table t as select generate_series(1, 10) n");
    let (memory, _) = dump(&target(&cluster.url("d"))).unwrap();
    let mut application = cluster
        .client("psql")
        .args(["-Xq", "-d", "d"])
        .env("PGAPPNAME", "shop")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    application.stdin.as_mut().unwrap().write_all(b"begin; insert into t values (99);\n").unwrap();
    while cluster
        .sql("postgres", "select count(*) from pg_stat_activity where datname = 'd' and state = 'idle in transaction'")
        == "0"
    {
        std::thread::yield_now();
    }
    // The dump's own connection ends a moment after the dump.
    while cluster.sql("postgres", "select count(*) from pg_stat_activity where datname = 'd'") != "1" {
        std::thread::yield_now();
    }
    let refused =
        restore(&target(&cluster.url("d")), &memory, RestoreOptions { end_sessions: Choice::Refuse, ..permissive() })
            .unwrap_err();
    assert!(matches!(&refused, Error::SessionsConnected { sessions, .. } if sessions.contains("shop")), "{refused}");
    assert!(!cluster.has_database("d_lacre_0badcafe"));
    // Applications come back at once; the rename must win against them.
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopping = Arc::clone(&stop);
    let report = std::thread::scope(|scope| {
        let cluster = &cluster;
        scope.spawn(move || {
            while !stopping.load(Ordering::SeqCst) {
                drop(cluster.client("psql").args(["-Xqc", "select pg_sleep(0.2)", "-d", "d"]).output());
            }
        });
        let report = restore(&target(&cluster.url("d")), &memory, permissive());
        stop.store(true, Ordering::SeqCst);
        report
    })
    .unwrap();
    assert!(report.ended_sessions.iter().any(|session| session.contains("shop")), "{:?}", report.ended_sessions);
    assert_eq!(cluster.sql("d", "select count(*) from t"), "10");
    assert_eq!(cluster.sql("d_before_20261122T231500Z", "select count(*) from t"), "10");
    application.kill().unwrap();
    application.wait().unwrap();
}

#[test]
fn missing_roles_are_findings_and_globals_bring_them() {
    let source = Cluster::start();
    source.sql(
        "postgres",
        "create role app login password 'x'; create role grp; grant grp to app; create database d owner app",
    );
    source.sql(
        "d",
        "create table t (a int); insert into t values (1); alter table t owner to app; grant select on t to grp",
    );
    let (memory, _) = dump(&target(&source.url("d"))).unwrap();
    let other = Cluster::start();
    let report = restore(&target(&other.url("d")), &memory, permissive()).unwrap();
    let warned: Vec<&str> = report
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Warning)
        .map(|finding| finding.object.as_str())
        .collect();
    assert!(warned.contains(&"app"), "{warned:?}");
    assert!(warned.contains(&"TABLE t"), "{warned:?}");
    assert!(warned.contains(&"owner of database d"), "{warned:?}");
    assert_eq!(other.sql("d", "select a from t"), "1");
    let swap = restore(&target(&other.url("d")), &memory, permissive()).unwrap_err();
    assert!(matches!(&swap, Error::Vetoed { why, .. } if why.contains("app")), "{swap}");
    other.sql("postgres", "drop database d_lacre_0badcafe");
    other.sql("postgres", "create role grp superuser");
    let report = restore(
        &target(&other.url("d")),
        &memory,
        RestoreOptions { globals: Choice::Allow, incomplete: Choice::Allow, ..permissive() },
    )
    .unwrap();
    assert_eq!(
        other.sql("postgres", "select rolsuper from pg_roles where rolname = 'grp'"),
        "t",
        "an existing role was changed"
    );
    assert_eq!(other.sql("postgres", "select pg_has_role('app', 'grp', 'member')"), "t");
    assert_eq!(other.sql("d", "select tableowner from pg_tables where tablename = 't'"), "app");
    assert!(
        report.findings.iter().any(|finding| finding.object == "grp" && finding.severity == Severity::Note),
        "{:?}",
        report.findings
    );
}

#[test]
fn an_object_that_cannot_be_made_is_a_finding_with_its_name() {
    let cluster = Cluster::start();
    cluster.create_database("d");
    cluster.sql("d", "create table t (a int); insert into t values (1), (1); create table good (a int primary key)");
    let (mut memory, _) = dump(&target(&cluster.url("d"))).unwrap();
    cluster.sql("d", "delete from t; alter table t add constraint only_one unique (a)");
    let (unique, _) = dump(&target(&cluster.url("d"))).unwrap();
    // Definitions with the constraint, rows that break it: the archive of one evening with the rows of another.
    let at = |memory: &Memory, name: &str| memory.streams.iter().position(|stream| stream.name == name).unwrap();
    let (toc, other) = (at(&memory, "toc"), at(&unique, "toc"));
    memory.contents[toc] = unique.contents[other].clone();
    memory.streams[toc].bytes = unique.streams[other].bytes;
    for name in ["public.t", "public.good"] {
        let (here, there) = (at(&memory, name), at(&unique, name));
        memory.streams[here].dump_id = unique.streams[there].dump_id;
    }
    let report = restore(&target(&cluster.url("new")), &memory, permissive()).unwrap();
    let warning = report.findings.iter().find(|finding| finding.severity == Severity::Warning).unwrap();
    assert_eq!(warning.object, "CONSTRAINT t only_one");
    assert!(warning.what.contains("could not create unique index"), "{warning:?}");
    assert_eq!(cluster.sql("new", "select count(*) from t"), "2");
}

#[test]
fn chosen_tables_enter_a_living_database_in_one_piece() {
    let cluster = Cluster::start();
    cluster.create_database("d");
    cluster.sql(
        "d",
        "create type mood as enum ('a', 'b'); create table users (id serial primary key, m mood, name text unique); \
         create table orders (id int primary key, user_id int references users); create table other (a int); \
         create index by_mood on users (m); comment on table users is 'people'; \
         insert into users (m, name) select 'a', 'u' || n from generate_series(1, 100) n; insert into orders select n, n from generate_series(1, 100) n",
    );
    let (memory, _) = dump(&target(&cluster.url("d"))).unwrap();
    cluster.sql("d", "delete from orders where id > 10; delete from users where id > 10");
    let options = |tables: &[&str], schema: Option<&str>| RestoreOptions {
        tables: tables.iter().map(|table| (*table).to_owned()).collect(),
        into_schema: schema.map(str::to_owned),
        ..permissive()
    };
    let there = restore(&target(&cluster.url("d")), &memory, options(&["users"], None)).unwrap_err();
    assert!(matches!(&there, Error::TablesThere { tables, .. } if tables.contains("users")), "{there}");
    assert!(there.hint().unwrap().contains("--into-schema"));
    let report =
        restore(&target(&cluster.url("d")), &memory, options(&["public.users", "orders"], Some("Rescued rows")))
            .unwrap();
    assert!(report.verified, "{report:?}");
    assert!(report.findings.iter().all(|finding| finding.severity == Severity::Note), "{:?}", report.findings);
    assert_eq!(cluster.sql("d", "select count(*), max(id) from \"Rescued rows\".users"), "100\t100");
    assert_eq!(cluster.sql("d", "select count(*) from \"Rescued rows\".orders"), "100");
    assert_eq!(cluster.sql("d", "select count(*) from users"), "10", "the living table was touched");
    assert_eq!(cluster.sql("d", "insert into \"Rescued rows\".users (m) values ('b') returning id"), "101");
    assert_eq!(cluster.sql("d", "select obj_description('\"Rescued rows\".users'::regclass)"), "people");
    assert_eq!(cluster.sql("d", "select count(*) from pg_indexes where schemaname = 'Rescued rows'"), "4");
    let foreign = "select confrelid::regclass::text from pg_constraint where conrelid = '\"Rescued rows\".orders'::regclass and contype = 'f'";
    assert_eq!(cluster.sql("d", foreign), "\"Rescued rows\".users");
    let alone = restore(&target(&cluster.url("d")), &memory, options(&["orders"], Some("alone"))).unwrap();
    assert_eq!(
        alone.findings.iter().filter(|finding| finding.severity == Severity::Warning).count(),
        1,
        "{:?}",
        alone.findings
    );
    let mut damaged = memory;
    damaged.damaged = Some("public.users".to_owned());
    restore(&target(&cluster.url("d")), &damaged, options(&["users"], Some("broken"))).unwrap_err();
    assert_eq!(cluster.sql("d", "select count(*) from pg_namespace where nspname = 'broken'"), "0");
    let unknown = restore(&target(&cluster.url("d")), &damaged, options(&["user"], None)).unwrap_err();
    assert!(
        matches!(&unknown, Error::TableMissing { close, .. } if close.contains(&"public.users".to_owned())),
        "{unknown}"
    );
    damaged.damaged = None;
    let fresh = restore(&target(&cluster.url("fresh")), &damaged, options(&["users"], None)).unwrap();
    assert_eq!(fresh.tables.len(), 1);
    assert_eq!(cluster.sql("fresh", "select string_agg(relname, ',' order by relname) from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"), "users");
}

#[test]
fn the_side_database_is_filled_in_secret_and_other_restores_are_named() {
    let cluster = Cluster::start();
    cluster.create_database("d");
    cluster.sql("d", "create table t as select generate_series(1, 10) n");
    let (mut memory, _) = dump(&target(&cluster.url("d"))).unwrap();
    cluster.create_database("d_lacre_00000000");
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let seeing = Arc::clone(&seen);
    let (sockets, port, psql) = (cluster.sockets(), cluster.port(), cluster.tools().join("psql"));
    memory.on_read = Some(Box::new(move |name| {
        let names = Command::new(&psql)
            .args([
                "-XAtqc",
                "select string_agg(datname, ',' order by datname) from pg_database where datname like 'd%'",
                "-U",
                "postgres",
                "-d",
                "postgres",
            ])
            .args(["-h", sockets.to_str().unwrap(), "-p", &port.to_string()])
            .output()
            .unwrap();
        if name == "public.t" {
            seeing.lock().unwrap().push(String::from_utf8_lossy(&names.stdout).trim().to_owned());
        }
    }));
    let made = plan(&target(&cluster.url("d")), &memory, permissive()).unwrap();
    assert_eq!(made.leftovers, ["d_lacre_00000000"]);
    assert_eq!(made.side, "d_lacre_0badcafe");
    assert!(made.state.is_filled());
    made.execute(&quiet(), &mut |ready| {
        assert_eq!(ready.side, "d_lacre_0badcafe");
        Ok(())
    })
    .unwrap();
    assert_eq!(*seen.lock().unwrap(), ["d,d_lacre_00000000,d_lacre_0badcafe"]);
}
