//! A PostgreSQL database from backup to restore, through the binary.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{ready, snapshots};
use crate::support::cluster::{Cluster, comparable, test_dir};
use crate::support::sample;
use crate::support::sandbox::{Sandbox, leaks};
use crate::support::versions::Other;

fn ready_with(cluster: &Cluster) -> Sandbox {
    let sandbox = Sandbox::with_tools_of(cluster);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    sandbox
}

#[test]
fn two_nights_a_check_a_lost_database_and_back() {
    let cluster = Cluster::start();
    sample::create(&cluster, "astro", 1);
    let sandbox = ready_with(&cluster);
    let url = cluster.url("astro");
    let first = sandbox.run(&["backup", "--postgres", &url, "--json"]).exits(0).json();
    assert_eq!(first["job"], "astro");
    let streams = first["streams"].as_array().unwrap();
    let kinds: BTreeSet<&str> = streams.iter().map(|stream| stream["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, BTreeSet::from(["blobs", "framing", "globals", "table", "toc"]));
    assert!(!first.to_string().contains("blake3"), "a digest of plaintext is printed");
    let before = cluster.comparable_dump("astro");
    sample::day(&cluster, "astro", 1);
    let second = sandbox.run(&["backup", "--postgres", &url, "--json"]).exits(0).json();
    assert!(second["bytes_new"].as_u64() < second["bytes_read"].as_u64());
    let after = cluster.comparable_dump("astro");
    sandbox.run(&["check", "--read-data"]).exits(0);
    assert_eq!(leaks(&sandbox.repository(), sample::TELLTALES), Vec::<String>::new());
    cluster.sql("postgres", "drop database astro");
    sandbox.run(&["restore", "latest", "--to", &url]).exits(2);
    let restored = sandbox.run(&["restore", "latest", "--to", &url, "--create", "--json"]).exits(0).json();
    assert_eq!((&restored["database"], &restored["verified"]), (&"astro".into(), &true.into()));
    assert!(restored["tables"].as_array().unwrap().iter().all(|table| table["rows"] == table["expected"]));
    assert!(cluster.comparable_dump("astro") == after);
    let tables = cluster.tables("astro");
    let oldest = &snapshots(&sandbox, "live")[0];
    sandbox.run(&["restore", oldest, "--to", &url, "--create"]).exits(15);
    sandbox.run(&["restore", oldest, "--to", &url, "--swap"]).exits(15);
    let swapped = sandbox.run(&["restore", oldest, "--to", &url, "--swap", "--yes", "--json"]).exits(0).json();
    assert!(cluster.comparable_dump("astro") == before);
    let kept = swapped["kept_database"].as_str().unwrap();
    assert_eq!(cluster.tables(kept), tables);
}

#[test]
fn the_archive_comes_back_as_pg_dump_wrote_it() {
    let cluster = Cluster::start();
    sample::create(&cluster, "astro", 1);
    let sandbox = ready_with(&cluster);
    sandbox.run(&["backup", "--postgres", &cluster.url("astro"), "nightly"]).exits(0);
    let shown = sandbox.run(&["show", "latest:nightly", "--json"]).exits(0).json();
    let written = sandbox.run(&["restore", "latest:nightly", "--to-file", "astro.dump", "--json"]).exits(0).json();
    assert_eq!(written["blake3"], shown["facts"]["archive.blake3"]);
    let bytes = fs::read(sandbox.path("astro.dump")).unwrap();
    assert!(bytes.starts_with(b"PGDMP"));
    assert_eq!(written["blake3"], blake3::hash(&bytes).to_hex().as_str());
    assert!(sandbox.run(&["restore", "latest", "--stdout"]).exits(0).stdout == bytes);
    let script = cluster.client("pg_restore").args(["-f", "-"]).arg(sandbox.path("astro.dump")).output().unwrap();
    assert!(script.status.success());
    assert!(comparable(&script.stdout) == comparable(&cluster.dump("astro", &[])));
    let globals = sandbox.run(&["cat", "latest", "globals"]).exits(0).text();
    assert!(globals.contains("CREATE ROLE"), "{globals}");
}

#[test]
fn hooks_run_around_a_restore_and_a_failing_one_stops_it() {
    let cluster = Cluster::start();
    cluster.create_database("d");
    cluster.sql("d", "create table t as select generate_series(1, 10) n");
    let sandbox = ready_with(&cluster);
    sandbox.run(&["backup", "--postgres", &cluster.url("d")]).exits(0);
    let config = |before: &str| {
        format!("[hooks]\nbefore_restore = [[\"{before}\", \"before\"]]\nafter_restore = [[\"touch\", \"after\"]]\n")
    };
    fs::write(sandbox.path("lacre.toml"), config("touch")).unwrap();
    let to = cluster.url("one");
    sandbox.run(&["--config", "lacre.toml", "restore", "latest", "--to", &to, "--create"]).exits(0);
    assert!(sandbox.path("before").exists() && sandbox.path("after").exists());
    fs::remove_file(sandbox.path("after")).unwrap();
    fs::write(sandbox.path("lacre.toml"), config("false")).unwrap();
    let to = cluster.url("two");
    sandbox.run(&["--config", "lacre.toml", "restore", "latest", "--to", &to, "--create"]).exits(1);
    assert!(!cluster.has_database("two") && sandbox.path("after").exists());
    sandbox.run(&["--config", "lacre.toml", "restore", "latest", "--to", &to, "--create", "--no-hooks"]).exits(0);
    assert_eq!(cluster.sql("two", "select count(*) from t"), "10");
}

#[test]
fn a_database_that_cannot_be_dumped_is_a_failed_source() {
    let cluster = Cluster::start();
    let sandbox = ready_with(&cluster);
    sandbox.run(&["backup", "--postgres", &cluster.url("nowhere")]).exits(14);
    sandbox.run(&["backup", "--postgres", "postgres://x@127.0.0.1:1/x"]).exits(14);
    assert!(snapshots(&sandbox, "live").is_empty());
    let plain = ready();
    plain.run_with_input(&["backup", "--stdin", "a"], b"text\n").exits(0);
    plain.run(&["restore", "latest", "--to", &cluster.url("x"), "--create"]).exits(2);
}

#[test]
fn a_role_that_row_security_hides_rows_from_makes_no_snapshot() {
    let cluster = Cluster::start();
    cluster.create_database("d");
    cluster.sql(
        "d",
        "create role reader login; create table secret as select n, 'x' owner from generate_series(1, 10) n; \
         alter table secret enable row level security; create policy own on secret using (owner = current_user); \
         grant select on secret to reader",
    );
    let sandbox = ready_with(&cluster);
    let url = format!("postgres://reader@127.0.0.1:{}/d", cluster.port());
    let refused = sandbox.run(&["backup", "--postgres", &url]).exits(14);
    assert!(refused.stderr.contains("row-level security"), "{}", refused.stderr);
    assert_eq!(snapshots(&sandbox, "live"), Vec::<String>::new());
}

#[test]
fn rows_in_an_extensions_configuration_tables_come_back() {
    let folder = test_dir("extension");
    let extension = folder.path().join("extension");
    fs::create_dir(&extension).unwrap();
    let script = "create table dials (name text primary key, value int, standard bool default false); \
                  insert into dials values ('speed', 1, true); \
                  select pg_catalog.pg_extension_config_dump('dials', 'where not standard');";
    fs::write(extension.join("dials.control"), "default_version = '1.0'\nrelocatable = false\nschema = public\n")
        .unwrap();
    fs::write(extension.join("dials--1.0.sql"), script).unwrap();
    for path in [folder.path(), &extension] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("$system:{}", folder.path().display());
    let cluster = Cluster::start_of(Other::Eighteen.programs(), &[("extension_control_path", &path)]);
    cluster.create_database("d");
    cluster.sql("d", "create extension dials; insert into dials values ('mine', 7), ('yours', 8)");
    let sandbox = ready_with(&cluster);
    let url = cluster.url("d");
    let document = sandbox.run(&["backup", "--postgres", &url, "--json"]).exits(0).json();
    let streams = document["streams"].as_array().unwrap();
    let dials = streams.iter().find(|stream| stream["name"] == "public.dials").unwrap();
    assert_eq!(dials["rows"], 2, "only the rows that are not the extension's own");
    let rows = "select string_agg(name || value, ',' order by name) from dials";
    let before = cluster.sql("d", rows);
    cluster.sql("postgres", "drop database d");
    sandbox.run(&["restore", "latest", "--to", &url, "--create"]).exits(0);
    assert_eq!(cluster.sql("d", rows), before);
    assert_eq!(before, "mine7,speed1,yours8");
}

#[test]
fn a_note_about_the_client_programs_is_said_once() {
    let cluster = Cluster::start();
    cluster.create_database("d");
    cluster.sql("d", "create table t as select generate_series(1, 10) n");
    let mut sandbox = Sandbox::with_tools_of(&cluster);
    // Programs that say they are of the first minor version: every branch has fixed something since.
    let old = sandbox.path("old");
    fs::create_dir(&old).unwrap();
    let said = std::process::Command::new(cluster.tools().join("pg_dump")).arg("--version").output().unwrap();
    let version = String::from_utf8(said.stdout).unwrap();
    let major = version.split(' ').nth(2).unwrap().split('.').next().unwrap();
    for program in ["pg_dump", "pg_dumpall", "pg_restore", "psql"] {
        let real = cluster.tools().join(program);
        let text = format!(
            "#!/bin/sh\n[ \"$1\" != --version ] || {{ echo '{program} (PostgreSQL) {major}.1'; exit; }}\nexec '{}' \"$@\"\n",
            real.display()
        );
        fs::write(old.join(program), text).unwrap();
        fs::set_permissions(old.join(program), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let link = sandbox.path("link");
    std::os::unix::fs::symlink(&old, &link).unwrap();
    sandbox.set("LACRE_PG_BIN", format!("{}:{}", old.display(), link.display()));
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    let note = format!("PostgreSQL client programs in {}: version {major}.1", old.display());
    let (from, to) = (cluster.url("d"), cluster.url("new"));
    let first = sandbox.run(&["backup", "--postgres", &from]).exits(0);
    assert_eq!((first.text() + &first.stderr).matches(&note).count(), 1, "{}", first.text());
    let second = sandbox.run(&["backup", "--postgres", &from]).exits(0);
    assert!(!(second.text() + &second.stderr).contains("client programs"), "{}", second.text());
    // Programs that read the document hear it each time.
    let third = sandbox.run(&["backup", "--postgres", &from, "--json"]).exits(0).json();
    assert!(third["findings"].to_string().contains("client programs"), "{third:#}");
    let notes = fs::read_dir(sandbox.home()).unwrap().map(|entry| entry.unwrap().path());
    notes
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("told-"))
        .for_each(|path| fs::remove_file(path).unwrap());
    // A restore says it in its plan, and not again at its end.
    let restored = sandbox.run(&["restore", "latest:d", "--to", &to, "--create"]).exits(0);
    assert_eq!(
        (restored.text() + &restored.stderr).matches(&note).count(),
        1,
        "{}{}",
        restored.text(),
        restored.stderr
    );
}
