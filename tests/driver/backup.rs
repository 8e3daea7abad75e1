//! What a dump brings home.

use lacre::driver::postgres::dump::StreamKind;
use lacre::driver::postgres::report::Severity;
use lacre::driver::postgres::restore::archive;
use lacre::driver::postgres::tools::Version;

use super::memory::{dump, target};
use crate::support::cluster::Cluster;

#[test]
fn a_dump_is_taken_apart_and_comes_back_byte_for_byte() {
    let cluster = Cluster::start();
    cluster.create_database("d");
    cluster.sql("d", "create table a as select n, md5(n::text) as m from generate_series(1, 20000) n; create table empty(); select lo_from_bytea(77, convert_to('a line' || chr(10), 'UTF8'))");
    let (memory, report) = dump(&target(&cluster.socket_url("d"))).unwrap();
    assert_eq!(report.tables, 2);
    assert_eq!(memory.rows("public.a"), 20_000);
    assert_eq!(memory.rows("public.empty"), 0);
    let mut archive_bytes = Vec::new();
    let written = archive::write(&memory, &mut archive_bytes).unwrap();
    assert_eq!(written.blake3, report.archive_blake3);
    assert_eq!(written.bytes, report.archive_bytes);
    assert!(archive_bytes.starts_with(b"PGDMP"));
    let path = cluster.sockets().join("x.dump");
    std::fs::write(&path, &archive_bytes).unwrap();
    cluster.create_database("again");
    let restored = cluster.client("pg_restore").args(["-d", "again", "--exit-on-error"]).arg(&path).output().unwrap();
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    assert_eq!(cluster.tables("again"), cluster.tables("d"));
}

#[test]
fn the_source_is_described() {
    let cluster = Cluster::start();
    cluster.sql(
        "postgres",
        "create role app login; create database d owner app connection limit 7; alter database d set search_path to \"$user\", 'My Schema', public; \
         comment on database d is 'it''s mine'; alter role app in database d set work_mem to '7MB'; grant create on database d to app with grant option",
    );
    let (memory, report) = dump(&target(&cluster.url("d"))).unwrap();
    let facts = &memory.facts;
    let get = |name: &str| facts.get(name).map(String::as_str).unwrap_or_default();
    assert_eq!(get("database.name"), "d");
    assert_eq!(get("database.owner"), "app");
    assert_eq!(get("database.encoding"), "UTF8");
    assert_eq!(get("database.connection_limit"), "7");
    assert_eq!(get("database.comment"), "it's mine");
    assert!(get("database.settings").contains("work_mem"));
    assert!(get("database.settings").contains("My Schema"));
    assert!(get("database.extensions").contains("plpgsql"));
    assert_eq!(get("setting.wal_level"), "minimal");
    assert_eq!(get("exit_status"), "0");
    assert_eq!(
        Version::parse(get("client.version")).unwrap().major,
        Version::parse(get("server.version")).unwrap().major
    );
    assert!(report.findings.iter().all(|finding| finding.severity == Severity::Note), "{:?}", report.findings);
    let globals = String::from_utf8_lossy(memory.bytes("globals")).into_owned();
    assert!(globals.contains("CREATE ROLE app;"), "{globals}");
}

#[test]
fn without_superuser_roles_come_without_passwords_and_that_is_a_note() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "create role app login password 'secret'; create database d owner app");
    let url = cluster.url("d").replace("postgres@", "app:secret@");
    let (memory, report) = dump(&target(&url)).unwrap();
    assert!(memory.streams.iter().any(|stream| stream.kind == StreamKind::Globals));
    assert!(!String::from_utf8_lossy(memory.bytes("globals")).contains("SCRAM-SHA"));
    let note = report.findings.iter().find(|finding| finding.object == "globals").unwrap();
    assert_eq!(note.severity, Severity::Note);
    assert!(report.findings.iter().all(|finding| finding.severity == Severity::Note), "{:?}", report.findings);
}

#[test]
fn role_and_database_settings_do_not_change_the_bytes_of_rows() {
    let cluster = Cluster::start();
    cluster.create_database("d");
    cluster.sql("d", "create table t as select timestamptz '2026-11-22 12:00+00' as at, '\\x00ff'::bytea as b, 0.1::float8 as f, interval '1 day 2 hours' as i, date '2026-11-22' as d");
    let (before, _) = dump(&target(&cluster.url("d"))).unwrap();
    cluster.sql("postgres", "alter database d set timezone to 'Asia/Kathmandu'; alter database d set bytea_output to escape; alter database d set datestyle to 'german'; alter role postgres set intervalstyle to iso_8601; alter role postgres set extra_float_digits to -5");
    let (after, _) = dump(&target(&cluster.url("d"))).unwrap();
    assert_eq!(before.bytes("public.t"), after.bytes("public.t"));
}
