//! Old dumps taken in: dates, compression of every kind, damage, the same file again.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde_json::Value;

use super::snapshots;
use crate::support::cluster::{Cluster, comparable};
use crate::support::sample;
use crate::support::sandbox::Sandbox;

fn ready_with(cluster: &Cluster) -> Sandbox {
    let sandbox = Sandbox::with_tools_of(cluster);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    sandbox
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn list<'d>(document: &'d Value, name: &str) -> &'d Vec<Value> {
    document[name].as_array().unwrap()
}

#[test]
fn compressed_archives_share_what_they_share_and_restore_as_databases() {
    let cluster = Cluster::start();
    sample::create(&cluster, "astro", 1);
    let sandbox = ready_with(&cluster);
    // The old script's own way: compressed as far as it goes, and named as what it is not.
    let one = cluster.dump("astro", &["-Fc", "-Z9"]);
    let before = comparable(&cluster.dump("astro", &[]));
    sample::day(&cluster, "astro", 1);
    let two = cluster.dump("astro", &["-Fc", "-Z9"]);
    fs::write(sandbox.path("a.sql.gz"), &one).unwrap();
    fs::write(sandbox.path("b.sql.gz"), gzip(&two)).unwrap();
    let import = |file: &str, time: &str| {
        let run = sandbox.run(&["import", file, "--time", time, "--json"]).exits(0);
        list(&run.json(), "imported")[0].clone()
    };
    let first = import("a.sql.gz", "2026-01-10T03:00");
    let second = import("b.sql.gz", "2026-01-11T03:00");
    assert_eq!((&first["job"], &first["time_from"]), (&"astro".into(), &"--time".into()));
    // 03:00 in São Paulo.
    assert_eq!(first["time"], "2026-01-10T06:00:00Z");
    let number = |document: &Value, name: &str| document[name].as_u64().unwrap();
    assert!(number(&first, "bytes_read") > 3 * one.len() as u64, "it was not inflated");
    assert!(number(&second, "bytes_new") * 3 < number(&second, "bytes_read"), "{second}");
    let oldest = snapshots(&sandbox, "live").remove(0);
    assert_eq!(first["snapshot"], oldest.as_str());
    let named = sandbox.run(&["restore", "astro@2026-01-10", "--to", &cluster.url("back"), "--create"]);
    assert!(named.exits(0).text().contains("every row compared"));
    assert!(comparable(&cluster.dump("back", &[])) == before);
    // What comes out for stock tools is an archive they read.
    sandbox.run(&["restore", &oldest, "--to-file", "back.dump"]).exits(0);
    let script = cluster.client("pg_restore").args(["-f", "-"]).arg(sandbox.path("back.dump")).output().unwrap();
    assert!(script.status.success());
    assert!(comparable(&script.stdout) == comparable(&cluster.dump("back", &[])));
    sandbox.run(&["check", "--level", "5"]).exits(0);
}

#[test]
fn the_same_file_again_is_known_and_a_torn_one_is_refused() {
    let cluster = Cluster::start();
    cluster.create_database("d");
    cluster.sql("d", "create table t as select n, md5(n::text) from generate_series(1, 5000) n");
    let sandbox = ready_with(&cluster);
    let archive = cluster.dump("d", &["-Fc"]);
    let plain = cluster.dump("d", &[]);
    let write = |name: &str, bytes: &[u8]| fs::write(sandbox.path(name), bytes).unwrap();
    write("d_20260301_030000.dump", &archive);
    write("d_20260302_030000.sql.gz", &gzip(&plain));
    write("d_2026-03-03_03-00.sql.zst", &zstd::encode_all(plain.as_slice(), 3).unwrap());
    let packed = gzip(&plain);
    write("torn_20260304.sql.gz", &packed[..packed.len() / 2]);
    write("torn_20260305.dump", &archive[..archive.len() / 2]);
    write("torn_20260306.sql", &plain[..plain.len() / 2]);
    write("no_dump.txt", b"");
    let files = [
        "torn_20260306.sql",
        "d_2026-03-03_03-00.sql.zst",
        "torn_20260305.dump",
        "d_20260302_030000.sql.gz",
        "torn_20260304.sql.gz",
        "d_20260301_030000.dump",
        "no_dump.txt",
    ];
    let line = |more: &[&'static str]| [&["import"], &files[..], &["--job", "d", "--json"], more].concat();
    let planned = sandbox.run(&line(&["--dry-run"])).exits(0).json();
    assert!(list(&planned, "imported").len() >= 3 && snapshots(&sandbox, "live").is_empty());
    let document = sandbox.run(&line(&[])).exits(3).json();
    let times: Vec<&str> = list(&document, "imported").iter().map(|file| file["time"].as_str().unwrap()).collect();
    assert_eq!(times.len(), 3, "{document}");
    assert_eq!(times[..2], ["2026-03-02T06:00:00Z", "2026-03-03T06:00:00Z"], "by their names");
    // The header tells the time of another zone, later than the file itself.
    assert_eq!(list(&document, "imported")[2]["time_from"], "file");
    assert_eq!(list(&document, "failures").len(), 4);
    assert!(list(&document, "failures").iter().all(|failure| failure["exit"] == 14), "{document}");
    let again = sandbox.run(&line(&[])).exits(3).json();
    assert_eq!((list(&again, "imported").len(), list(&again, "skipped").len()), (0, 3));
    assert_eq!(snapshots(&sandbox, "live").len(), 3);
    // Known by what is sealed, and by nothing outside it.
    let digest = blake3::hash(&archive).to_hex().to_string();
    for folder in [sandbox.repository(), sandbox.home()] {
        assert!(!holds(&folder, digest.as_bytes()) && !holds(&folder, blake3::hash(&archive).as_bytes()));
    }
    let text = sandbox.run(&["cat", "d@2026-03-02", "data"]).exits(0).stdout;
    assert!(text == plain);
}

fn holds(folder: &Path, needle: &[u8]) -> bool {
    let files = crate::support::sandbox::files_under(folder);
    files.iter().any(|file| memchr::memmem::find(&fs::read(file).unwrap(), needle).is_some())
}

#[test]
fn an_import_of_an_older_day_leaves_the_nightly_runs_alone() {
    let cluster = Cluster::start();
    cluster.create_database("d");
    cluster.sql("d", "create table t as select n, md5(n::text) from generate_series(1, 20000) n");
    let sandbox = ready_with(&cluster);
    fs::write(sandbox.path("old.dump"), cluster.dump("d", &["-Fc"])).unwrap();
    let night = || sandbox.run(&["backup", "--postgres", &cluster.url("d"), "--json"]).exits(0).json();
    let first = night();
    sandbox.run(&["import", "old.dump", "--time", "2026-02-01T03:00"]).exits(0);
    let second = night();
    let new = |document: &Value| document["bytes_new"].as_u64().unwrap();
    assert!(new(&second) * 4 < new(&first), "the night after an import stores everything again: {second}");
    let latest = sandbox.run(&["show", "latest:d", "--json"]).exits(0).json();
    assert_eq!(latest["snapshot"], second["snapshot"], "an old day is not the latest");
}

#[test]
fn what_an_import_cannot_know_it_asks_for() {
    let cluster = Cluster::start();
    cluster.create_database("d");
    let sandbox = ready_with(&cluster);
    fs::write(sandbox.path("plain.sql"), cluster.dump("d", &[])).unwrap();
    let nameless = sandbox.run(&["import", "plain.sql"]).exits(2);
    assert!(nameless.stderr.contains("--job"), "{}", nameless.stderr);
    sandbox.run(&["import", "plain.sql", "--job", "d", "--time", "yesterday"]).exits(2);
    sandbox.run(&["import", "plain.sql", "--job", "d", "--time", "2999-01-01T00:00"]).exits(2);
    sandbox.run(&["import", "plain.sql", "kit", "--job", "d", "--time", "2026-01-01T00:00"]).exits(2);
    sandbox.run(&["import", "nowhere.sql", "--job", "d"]).exits(14);
    fs::remove_file(super::keys_of(&sandbox).join("identity.txt")).unwrap();
    let keyless = sandbox.run(&["import", "plain.sql", "--job", "d"]).exits(12);
    assert!(keyless.stderr.contains("--no-compare"), "{}", keyless.stderr);
    sandbox.run(&["import", "plain.sql", "--job", "d", "--no-compare"]).exits(0);
    assert_eq!(snapshots(&sandbox, "live").len(), 1);
}
