//! Servers and clients of other versions: whole databases through the binary, and the pairs that cannot work refused before they begin.

use std::fs;

use super::snapshots;
use crate::support::cluster::Cluster;
use crate::support::sandbox::Sandbox;
use crate::support::versions::Other;

/// A database with something of most kinds that needs no extension.
const PLAIN: &str = "create type mood as enum ('sad', 'ok'); \
    create table parent (id int primary key generated always as identity, m mood default 'ok', doubled int generated always as (7) stored); \
    insert into parent (m) select case when n % 2 = 0 then 'sad' else 'ok' end::mood from generate_series(1, 5000) n; \
    create table child (id bigserial, parent int references parent, at timestamptz default '2026-11-22 01:02:03+00', \"odd \"\"name\" text, b bytea) \
        partition by range (id); \
    create table child_1 partition of child for values from (1) to (2000); \
    create table child_2 partition of child default; \
    insert into child (parent, \"odd \"\"name\", b) select n, repeat('x', n % 50) || E'\\\\\\n', decode(lpad(to_hex(n), 8, '0'), 'hex') from generate_series(1, 4000) n; \
    create view names as select \"odd \"\"name\" from child; \
    create materialized view counts as select m, count(*) from parent group by m; \
    create index on child (at); \
    select lo_from_bytea(0, 'a large object'::bytea);";

fn ready_with(cluster: &Cluster) -> Sandbox {
    let sandbox = Sandbox::with_tools_of(cluster);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    sandbox
}

/// A sandbox that uses client programs of another folder than the cluster's.
fn with_programs(programs: &std::path::Path) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.set("LACRE_PG_BIN", programs);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    sandbox
}

#[test]
fn whole_databases_of_other_versions_come_back() {
    for version in Other::ALL {
        let cluster = Cluster::start_of(version.programs(), &[]);
        cluster.create_database("d");
        cluster.sql("d", PLAIN);
        let sandbox = ready_with(&cluster);
        let url = cluster.url("d");
        sandbox.run(&["backup", "--postgres", &url]).exits(0);
        let shown = sandbox.run(&["show", "latest", "--json"]).exits(0).json();
        let client = shown["facts"]["client.version"].as_str().unwrap().to_owned();
        assert!(client.starts_with(&version.major().to_string()), "{client}");
        let before = cluster.comparable_dump("d");
        cluster.sql("postgres", "drop database d");
        let restored = sandbox.run(&["restore", "latest", "--to", &url, "--create", "--json"]).exits(0).json();
        assert_eq!(restored["verified"], true, "{version:?}");
        assert!(cluster.comparable_dump("d") == before, "{version:?}");
        let again = sandbox.run(&["backup", "--postgres", &url, "--json"]).exits(0).json();
        assert!(
            again["bytes_new"].as_u64().unwrap() * 2 < again["bytes_read"].as_u64().unwrap(),
            "{version:?}: {again}"
        );
    }
}

#[test]
fn a_filled_database_of_postgresql_18_is_swapped_and_its_archive_read_by_stock_tools() {
    let cluster = Cluster::start_of(Other::Eighteen.programs(), &[]);
    cluster.create_database("d");
    cluster.sql("d", PLAIN);
    cluster.sql("d", "create extension citext; create table mail as select 'A@b'::citext as address");
    let sandbox = ready_with(&cluster);
    let url = cluster.url("d");
    sandbox.run(&["backup", "--postgres", &url]).exits(0);
    let before = cluster.comparable_dump("d");
    cluster.sql("d", "delete from child where id % 3 = 0; drop table mail");
    let swap = ["restore", "latest", "--to", &url, "--swap", "--yes", "--json"];
    assert_eq!(sandbox.run(&swap).exits(0).json()["verified"], true);
    assert!(cluster.comparable_dump("d") == before);
    sandbox.run(&["restore", "latest", "--to-file", "d.dump"]).exits(0);
    let listed = cluster.client("pg_restore").arg("--list").arg(sandbox.path("d.dump")).output().unwrap();
    assert!(listed.status.success());
}

#[test]
fn a_client_older_than_the_server_is_refused_before_anything_is_dumped() {
    let server = Cluster::start_of(Other::Eighteen.programs(), &[]);
    server.create_database("d");
    let own = Cluster::start();
    let sandbox = with_programs(own.tools());
    let refused = sandbox.run(&["backup", "--postgres", &server.url("d")]).exits(14);
    for expected in ["18.6", "older", "postgresql-client-18"] {
        assert!(refused.stderr.contains(expected), "{expected}: {}", refused.stderr);
    }
    assert_eq!(snapshots(&sandbox, "live"), Vec::<String>::new());
    let doctor = sandbox.run(&["doctor", "--json"]).json();
    let clients: Vec<&str> = doctor["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["name"] == "PostgreSQL client")
        .map(|check| check["value"].as_str().unwrap())
        .collect();
    assert_eq!(clients.len(), 1, "only what LACRE_PG_BIN names: {clients:?}");
    assert!(clients[0].contains(own.tools().to_str().unwrap()), "{clients:?}");
}

#[test]
fn a_client_newer_than_the_server_saves_and_restores() {
    let cluster = Cluster::start();
    cluster.create_database("d");
    cluster.sql("d", PLAIN);
    let sandbox = with_programs(&Other::Eighteen.programs());
    let url = cluster.url("d");
    sandbox.run(&["backup", "--postgres", &url]).exits(0);
    let before = cluster.comparable_dump("d");
    cluster.sql("postgres", "drop database d");
    let restored = sandbox.run(&["restore", "latest", "--to", &url, "--create", "--json"]).exits(0).json();
    assert_eq!(restored["verified"], true);
    assert!(cluster.comparable_dump("d") == before);
}

#[test]
fn a_snapshot_of_15_restores_into_18_and_the_way_back_is_refused_by_name() {
    let (old, new) = (Cluster::start(), Cluster::start_of(Other::Eighteen.programs(), &[]));
    old.create_database("d");
    old.sql("d", PLAIN);
    let mut sandbox = ready_with(&old);
    sandbox.run(&["backup", "--postgres", &old.url("d")]).exits(0);
    sandbox.set("LACRE_PG_BIN", new.tools());
    let restored = sandbox.run(&["restore", "latest", "--to", &new.url("d"), "--create", "--json"]).exits(0).json();
    assert_eq!(restored["verified"], true);
    let rows = "select count(*), sum(id) from child";
    assert_eq!(new.sql("d", rows), old.sql("d", rows));
    assert_eq!(new.sql("d", "select count(*) from counts"), "2");
    sandbox.run(&["backup", "--postgres", &new.url("d"), "newer"]).exits(0);
    sandbox.set("LACRE_PG_BIN", old.tools());
    let back = sandbox.run(&["restore", "latest:newer", "--to", &old.url("back"), "--create"]);
    assert!(!back.status.success() && back.stderr.contains("postgresql-client-18"), "{}", back.stderr);
    assert!(!old.has_database("back"));
}

/// `pg_dump` 16 and later cannot rewrite the table of contents of a file that the shell opened, and append it once more.
#[test]
fn an_archive_that_18_was_redirected_into_a_file_is_taken_apart_and_comes_back() {
    let cluster = Cluster::start_of(Other::Eighteen.programs(), &[]);
    cluster.create_database("d");
    cluster.sql("d", PLAIN);
    let sandbox = ready_with(&cluster);
    let file = fs::File::create(sandbox.path("dump")).unwrap();
    let dumped = cluster.client("pg_dump").args(["-Fc", "-Z0", "d"]).stdout(file).status().unwrap();
    assert!(dumped.success());
    let archive = fs::read(sandbox.path("dump")).unwrap();
    sandbox.run(&["backup", "--file", "a=dump"]).exits(0);
    assert!(sandbox.run(&["restore", "latest", "--stdout"]).exits(0).stdout == archive);
    let before = cluster.comparable_dump("d");
    cluster.sql("postgres", "drop database d");
    let to = cluster.url("d");
    let restored = sandbox.run(&["restore", "latest", "--to", &to, "--create", "--json"]).exits(0).json();
    assert_eq!(restored["verified"], true);
    assert!(cluster.comparable_dump("d") == before);
}

#[test]
fn a_standby_with_the_snapshot_fault_is_dumped_over_one_connection_and_takes_no_restore() {
    let primary = Cluster::start_with(&[("wal_level", "replica"), ("max_wal_senders", "3")]);
    primary.create_database("d");
    primary.sql("d", "create table t as select generate_series(1, 1000) n");
    let standby = primary.standby();
    assert_eq!(standby.sql("d", "select pg_is_in_recovery(), count(*) from t"), "t\t1000");
    let sandbox = ready_with(&primary);
    let document = sandbox.run(&["backup", "--postgres", &standby.url("d"), "--json"]).exits(0).json();
    let version = primary.sql("d", "show server_version_num").parse::<u32>().unwrap();
    let fixed = version / 10_000 == 15 && version % 10_000 >= 20;
    assert_eq!(document["findings"].to_string().contains("one connection is used"), !fixed, "{}", document["findings"]);
    let refused = sandbox.run(&["restore", "latest", "--to", &standby.url("new"), "--create"]);
    assert!(!refused.status.success() && refused.stderr.contains("standby"), "{}", refused.stderr);
    let restored =
        sandbox.run(&["restore", "latest", "--to", &primary.url("new"), "--create", "--json"]).exits(0).json();
    assert_eq!(restored["verified"], true);
}
