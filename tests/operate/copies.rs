//! What `status` says of copies: behind, gone, out of reach, left with an old seal, somebody else's; one listing of each and no more.

use std::fs;
use std::path::PathBuf;

use lacre_test_bucket::{BUCKET_PLAIN, BUCKET_VERSIONED, Key, Kind, Proxy, Record, Weed};

use super::{check, configure, job, script, site};
use crate::stores::in_bucket;
use crate::support::sandbox::Sandbox;

const EASY: &str = "[status]\nmin_count = 1\nmin_size = \"1\"\nmin_free = \"1\"\n";

fn copy(name: &str, url: &str) -> String {
    format!("[[copy]]\nname = \"{name}\"\nurl = \"{url}\"\n")
}

/// A site with a repository, a job and a copy in a folder, after one night.
fn with_copy() -> (Sandbox, PathBuf) {
    let sandbox = site(&format!("{EASY}{}", job("astro")), None);
    fs::create_dir(sandbox.path("disk")).unwrap();
    let place = sandbox.path("disk/copy");
    configure(&sandbox, &format!("{EASY}{}{}", job("astro"), copy("disk", place.to_str().unwrap())));
    script(&sandbox, "astro", "seq 20000");
    (sandbox, place)
}

#[track_caller]
fn fails(sandbox: &Sandbox, said: &str) -> String {
    let document = sandbox.run(&["status", "--json"]).exits(3).json();
    let check = check(&document, "copy:disk");
    assert_eq!((&check["ok"], &check["strict"]), (&false.into(), &false.into()), "{check}");
    assert!(check["value"].as_str().unwrap().contains(said), "{check}");
    check["advice"].as_str().unwrap().to_owned()
}

#[test]
fn a_copy_that_is_behind_fails_beyond_the_limit() {
    let (sandbox, _) = with_copy();
    sandbox.run(&["backup"]).exits(0);
    let document = sandbox.run(&["status", "--json"]).exits(0).json();
    let fine = check(&document, "copy:disk");
    assert_eq!((&fine["ok"], &fine["limit"]), (&true.into(), &"at most 0 snapshots behind".into()));
    assert!(fine["value"].as_str().unwrap().starts_with("holds every snapshot, brought up to date"), "{fine}");
    // The record of the night is written when the copies are done.
    let listed = sandbox.run(&["copy", "list", "--json"]).exits(3).json()["copies"][0].clone();
    let lag = ["lag_snapshots", "lag_objects", "lag_records"].map(|field| listed[field].as_u64().unwrap());
    assert_eq!((listed["state"].as_str(), lag), (Some("behind"), [0, 1, 1]));
    let text = sandbox.run(&["copy", "list"]).exits(3).text();
    assert!(text.contains("1 record ") && !text.contains("snapshot"), "{text}");
    for lag in 1..3 {
        sandbox.run(&["backup", "--no-copies"]).exits(0);
        let said = if lag == 1 { "1 snapshot behind".to_owned() } else { format!("{lag} snapshots behind") };
        assert_eq!(fails(&sandbox, &said), "lacre copy sync disk");
    }
    sandbox.run(&["status", "--set", "status.max_copy_lag=2"]).exits(0);
    sandbox.run(&["status", "--set", "status.max_copy_lag=1"]).exits(3);
    let line = sandbox.run(&["status", "--nagios"]).exits(2).text();
    assert!(
        line.starts_with("LACRE CRITICAL - copy:disk 2 snapshots behind") && line.contains("'copy:disk'=2;;0"),
        "{line}"
    );
    let text = sandbox.run(&["status", "--prometheus"]).exits(3).text();
    assert!(
        text.contains("lacre_copy_lag_snapshots{copy=\"disk\"} 2\n")
            && text.contains("lacre_copy_reachable{copy=\"disk\"} 1\n")
    );
    assert!(
        text.contains("lacre_copy_synced_timestamp_seconds{copy=\"disk\"} ")
            && text.contains("lacre_check_ok{check=\"copy:disk\"} 0\n")
    );
    sandbox.run(&["copy", "sync"]).exits(0);
    sandbox.run(&["status"]).exits(0);
    // What is looked at as a copy has no copies of its own.
    let place = sandbox.path("disk/copy");
    let document = sandbox.run(&["--repo", place.to_str().unwrap(), "status", "--json"]).json();
    assert!(!document["checks"].to_string().contains("copy:"), "{document:#}");
}

#[test]
fn a_copy_that_was_never_made_or_is_gone_or_is_not_ours_is_named() {
    let (sandbox, place) = with_copy();
    sandbox.run(&["backup", "--no-copies"]).exits(0);
    assert_eq!(fails(&sandbox, "nothing was ever copied"), "lacre copy sync disk");
    sandbox.run(&["copy", "sync"]).exits(0);
    let aside = sandbox.path("aside");
    fs::rename(&place, &aside).unwrap();
    assert!(fails(&sandbox, "missing: a copy was in").contains("mount its disk"));
    let text = sandbox.run(&["status", "--prometheus"]).exits(3).text();
    assert!(text.contains("lacre_copy_reachable{copy=\"disk\"} 0\n") && !text.contains("lacre_copy_lag"), "{text}");
    let other = Sandbox::new();
    other.run(&["init", "--kit-file", "kit"]).exits(0);
    fs::rename(other.repository(), &place).unwrap();
    assert!(fails(&sandbox, "foreign: another repository").contains("place of its own"));
}

#[test]
fn a_copy_that_missed_a_change_of_the_seal_is_named() {
    let (sandbox, place) = with_copy();
    sandbox.run(&["backup"]).exits(0);
    let aside = sandbox.path("aside");
    fs::rename(&place, &aside).unwrap();
    // The new kit is not printed, so the change is pending; what is published is published.
    sandbox.run(&["seal", "rotate"]).exits(5);
    fs::rename(&aside, &place).unwrap();
    assert_eq!(fails(&sandbox, "holds an old seal"), "lacre copy sync disk");
    sandbox.run(&["copy", "sync"]).exits(0);
    let document = sandbox.run(&["status", "--json"]).json();
    assert_eq!(check(&document, "copy:disk")["ok"], true, "{document:#}");
}

#[test]
fn a_snapshot_that_only_the_copy_holds_is_named_and_damage_of_it_is_damage() {
    let (sandbox, place) = with_copy();
    sandbox.run(&["backup"]).exits(0);
    sandbox.run(&["backup"]).exits(0);
    let names = |folder: PathBuf| -> Vec<PathBuf> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    // A file of the copy that was cut is found by its length alone.
    let cut = names(place.join("snap")).remove(0);
    let bytes = fs::read(&cut).unwrap();
    fs::remove_file(&cut).unwrap();
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let document = sandbox.run(&["status", "--json"]).exits(4).json();
    assert!(check(&document, "copy:disk")["value"].as_str().unwrap().contains("bytes under this name"), "{document:#}");
    fs::remove_file(&cut).unwrap();
    fs::write(&cut, &bytes).unwrap();
    // The repository lost a snapshot that the copy still has.
    let lost = sandbox.repository().join("snap").join(cut.file_name().unwrap());
    fs::remove_file(lost).unwrap();
    let document = sandbox.run(&["status", "--json"]).json();
    let ahead = check(&document, "copy:disk");
    assert!(
        ahead["ok"] == false && ahead["value"].as_str().unwrap().starts_with("ahead: it holds snapshot"),
        "{ahead}"
    );
}

#[test]
fn a_look_is_one_listing_of_each_store_and_a_bucket_that_is_gone_holds_up_nothing() {
    let (Some(weed), Some(far)) = (Weed::start(), Weed::start()) else { return };
    let (near, proxy) = (Proxy::before(weed.port()), Proxy::before(far.port()));
    let mut sandbox = in_bucket(near.port(), BUCKET_PLAIN, "lacre", Key::Root);
    let url = |bucket: &str, port: u16| format!("s3://{bucket}/copy?endpoint=http://127.0.0.1:{port}");
    let config = format!(
        "{EASY}[limits]\npatience = \"2s\"\n{}{}",
        copy("near", &url(BUCKET_VERSIONED, near.port())),
        copy("far", &url(BUCKET_PLAIN, proxy.port()))
    );
    configure(&sandbox, &config);
    let path = sandbox.path("lacre.toml");
    sandbox.set("LACRE_CONFIG", path);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    for number in 0..3 {
        sandbox.run_with_input(&["backup", "--stdin", "astro"], format!("{number}\n").repeat(3000).as_bytes()).exits(0);
    }
    sandbox.run(&["status"]);
    let asked = |records: &[Record], bucket: &str| -> (usize, usize) {
        let of_bucket = records.iter().filter(|record| record.target.starts_with(&format!("/{bucket}")));
        let (lists, others): (Vec<&Record>, Vec<&Record>) = of_bucket.partition(|record| record.kind == Kind::List);
        (lists.len(), others.len())
    };
    near.forget();
    proxy.forget();
    let document = sandbox.run(&["status", "--json"]).json();
    for name in ["copy:near", "copy:far"] {
        assert_eq!(check(&document, name)["ok"], true, "{document:#}");
    }
    // Besides the listing, lacre.json of each says whose store it is.
    assert_eq!(asked(&near.records(), BUCKET_PLAIN), (1, 1), "{:?}", near.records());
    assert_eq!(asked(&near.records(), BUCKET_VERSIONED), (1, 1), "{:?}", near.records());
    assert_eq!(asked(&proxy.records(), BUCKET_PLAIN), (1, 1), "{:?}", proxy.records());
    drop((proxy, far));
    let document = sandbox.run(&["status", "--json"]).exits(3).json();
    assert_eq!(check(&document, "copy:near")["ok"], true, "{document:#}");
    let gone = check(&document, "copy:far");
    assert!(gone["ok"] == false && gone["value"].as_str().unwrap().starts_with("unreachable: "), "{gone}");
}
