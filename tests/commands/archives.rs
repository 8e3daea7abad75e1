//! Archives that somebody else's `pg_dump -Fc` wrote: taken apart like our own dumps, and refused or kept whole where that is right.

use std::fs;

use super::snapshots;
use crate::support::cluster::Cluster;
use crate::support::sample;
use crate::support::sandbox::Sandbox;

/// A cluster with the sample application, a sandbox with a repository, and the archive of the database in `dump`.
fn with_archive(arguments: &[&str]) -> (Cluster, Sandbox, Vec<u8>) {
    let cluster = Cluster::start();
    sample::create(&cluster, "astro", 1);
    let sandbox = Sandbox::with_tools_of(&cluster);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    let archive = cluster.dump("astro", &[&["-Fc"], arguments].concat());
    fs::write(sandbox.path("dump"), &archive).unwrap();
    (cluster, sandbox, archive)
}

fn kinds(document: &serde_json::Value) -> Vec<&str> {
    let mut kinds: Vec<&str> =
        document["streams"].as_array().unwrap().iter().map(|stream| stream["kind"].as_str().unwrap()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

#[test]
fn an_archive_from_a_file_a_command_or_a_pipe_is_taken_apart() {
    let (cluster, sandbox, archive) = with_archive(&["-Z0"]);
    let file = sandbox.run(&["backup", "--file", "a=dump", "--json"]).exits(0).json();
    assert_eq!(kinds(&file), ["blobs", "framing", "table", "toc"]);
    let users = |document: &serde_json::Value| {
        let streams = document["streams"].as_array().unwrap().clone();
        streams.into_iter().find(|stream| stream["name"] == "app.users").unwrap()["rows"].clone()
    };
    assert_eq!(users(&file).to_string(), cluster.sql("astro", "select count(*) from app.users"));
    let command = sandbox.run(&["--json", "backup", "--command", "b", "--", "cat", "dump"]).exits(0).json();
    let piped = sandbox.run_with_input(&["backup", "--stdin", "c", "--json"], &archive).exits(0).json();
    for (job, document) in [("a", &file), ("b", &command), ("c", &piped)] {
        assert_eq!(document["streams"], file["streams"], "{job}");
        let name = format!("latest:{job}");
        assert!(sandbox.run(&["restore", &name, "--stdout"]).exits(0).stdout == archive, "{job}");
    }
    let again = sandbox.run(&["backup", "--file", "a=dump", "--json"]).exits(0).json();
    assert_eq!(again["chunks_new"], 0);
    sandbox.run(&["check", "--read-data"]).exits(0);

    let before = cluster.tables("astro");
    let to = cluster.url("astro");
    let swapped = ["restore", "latest:c", "--to", &to, "--swap", "--yes", "--json"];
    assert_eq!(sandbox.run(&swapped).exits(0).json()["verified"], true);
    // Not its own settings and comment: the archive has them for pg_restore --create alone, and a note said so.
    assert_eq!(cluster.tables("astro"), before);
    cluster.sql("postgres", "create database other");
    let one = ["restore", "latest:b", "--to", &cluster.url("other"), "--table", "app.users", "--json"];
    // Foreign keys of tables that were not chosen are left out, and said so.
    let restored = sandbox.run(&one).exits(3).json();
    assert_eq!(restored["tables"].as_array().unwrap().len(), 1);
    assert_eq!(restored["tables"][0]["rows"].to_string(), cluster.sql("other", "select count(*) from app.users"));
}

#[test]
fn an_archive_is_stored_once_however_it_comes_and_unchanged_tables_with_it() {
    let (cluster, sandbox, _) = with_archive(&["-Z0"]);
    let first = sandbox.run(&["backup", "--file", "a=dump", "--json"]).exits(0).json();
    sample::day(&cluster, "astro", 1);
    fs::write(sandbox.path("dump"), cluster.dump("astro", &["-Fc", "-Z0"])).unwrap();
    let second = sandbox.run(&["backup", "--file", "a=dump", "--json"]).exits(0).json();
    let (read, new) = (second["bytes_read"].as_u64().unwrap(), second["bytes_new"].as_u64().unwrap());
    assert!(new * 2 < read && first["bytes_new"].as_u64().unwrap() * 10 > read * 9, "{new} of {read} bytes are new");
}

#[test]
fn an_archive_that_is_compressed_inside_is_one_stream_and_said_so() {
    let (_cluster, sandbox, archive) = with_archive(&["-Z6"]);
    let document = sandbox.run(&["backup", "--file", "a=dump", "--json"]).exits(0).json();
    assert_eq!(kinds(&document), ["bytes"]);
    let finding = &document["findings"][0];
    assert_eq!((&finding["severity"], &finding["object"]), (&"note".into(), &"data".into()));
    assert!(finding["what"].as_str().unwrap().contains("compressed"), "{finding}");
    assert!(finding["advice"].as_str().unwrap().contains("-Z0"), "{finding}");
    assert!(sandbox.run(&["restore", "latest", "--stdout"]).exits(0).stdout == archive);
    let refused = sandbox.run(&["restore", "latest", "--to", "postgres://127.0.0.1:1/x"]).exits(2);
    assert!(refused.stderr.contains("--to-file"), "{}", refused.stderr);
}

#[test]
fn an_archive_of_an_unknown_version_is_kept_whole_with_a_finding() {
    let (_cluster, sandbox, mut archive) = with_archive(&["-Z0"]);
    archive[6] = 99;
    fs::write(sandbox.path("dump"), &archive).unwrap();
    let document = sandbox.run(&["backup", "--file", "a=dump", "--json"]).exits(3).json();
    assert_eq!(kinds(&document), ["bytes"]);
    assert!(document["findings"][0]["what"].as_str().unwrap().contains("1.99"), "{}", document["findings"]);
    assert!(sandbox.run(&["restore", "latest", "--stdout"]).exits(0).stdout == archive);
}

#[test]
fn an_archive_that_is_cut_off_or_malformed_is_no_snapshot() {
    let (_cluster, sandbox, archive) = with_archive(&["-Z0"]);
    for cut in [archive.len() - 1, archive.len() / 2, 70_000, 3_000, 20] {
        fs::write(sandbox.path("cut"), &archive[..cut]).unwrap();
        let said = sandbox.run(&["backup", "--file", "a=cut"]).exits(14).stderr;
        assert!(said.contains("nothing was committed"), "cut at {cut}: {said}");
        let said = sandbox.run_with_input(&["backup", "--stdin", "a"], &archive[..cut]).exits(14).stderr;
        assert!(said.contains("nothing was committed"), "cut at {cut}: {said}");
    }
    fs::write(sandbox.path("longer"), [&archive[..], b"and more"].concat()).unwrap();
    let said = sandbox.run(&["backup", "--file", "a=longer"]).exits(14).stderr;
    assert!(said.contains("malformed") && said.contains("hint:"), "{said}");
    // The program fails after it wrote a whole archive: its exit status decides.
    let failing = ["backup", "--command", "a", "--", "sh", "-c", "cat dump; exit 3"];
    assert!(sandbox.run(&failing).exits(14).stderr.contains("ended with exit status 3"));
    assert_eq!(snapshots(&sandbox, "live"), Vec::<String>::new());
    sandbox.run(&["check", "--read-data"]).exits(0);
}

#[test]
fn an_archive_of_insert_statements_comes_back_as_a_file_only() {
    let (cluster, sandbox, archive) = with_archive(&["-Z0", "--inserts"]);
    let document = sandbox.run(&["backup", "--file", "a=dump", "--json"]).exits(0).json();
    assert!(document["findings"].to_string().contains("statements"), "{}", document["findings"]);
    let refused = sandbox.run(&["restore", "latest", "--to", &cluster.url("new"), "--create"]);
    assert!(!refused.status.success() && refused.stderr.contains("--to-file"), "{}", refused.stderr);
    assert!(!cluster.has_database("new"));
    assert!(sandbox.run(&["restore", "latest", "--stdout"]).exits(0).stdout == archive);
}

#[test]
fn what_an_archive_says_of_its_database_is_restored_with_it() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "create role keeper");
    cluster.sql("postgres", "create database latin template template0 encoding 'LATIN1' locale 'C' owner keeper");
    cluster.sql("latin", "set client_encoding to utf8; create table t as select 'São Paulo' as city");
    cluster.sql("postgres", "alter database latin set work_mem to '7MB'");
    let sandbox = Sandbox::with_tools_of(&cluster);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    fs::write(sandbox.path("dump"), cluster.dump("latin", &["-Fc", "-Z0"])).unwrap();
    let document = sandbox.run(&["backup", "--file", "a=dump", "--json"]).exits(0).json();
    assert!(document["findings"].to_string().contains("settings, rights or comment"), "{}", document["findings"]);
    cluster.sql("postgres", "drop database latin");
    sandbox.run(&["restore", "latest", "--to", &cluster.url("latin"), "--create"]).exits(0);
    let made = "select pg_encoding_to_char(encoding), datcollate, pg_get_userbyid(datdba) from pg_database where datname = 'latin'";
    assert_eq!(cluster.sql("postgres", made), "LATIN1\tC\tkeeper");
    assert_eq!(cluster.sql("latin", "set client_encoding to utf8; select city from t"), "São Paulo");
}
