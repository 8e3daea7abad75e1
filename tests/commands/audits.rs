//! Audits that look into archives, and go on from night to night.

use super::snapshots;
use crate::support::cluster::Cluster;
use crate::support::sample;
use crate::support::sandbox::Sandbox;

#[test]
fn an_audit_reads_archives_without_a_server_and_remembers_what_it_proved() {
    let cluster = Cluster::start();
    sample::create(&cluster, "astro", 1);
    let sandbox = Sandbox::with_tools_of(&cluster);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    let night = || sandbox.run(&["backup", "--postgres", &cluster.url("astro")]).exits(0);
    night();
    let audit = |arguments: &[&str]| sandbox.run(&[&["check", "--json"], arguments].concat()).exits(0).json();
    assert_eq!(audit(&[])["level"], 4, "without data nothing is said of rows");
    let whole = audit(&["--read-data"]);
    assert_eq!(whole["level"], 5);
    let bytes = |document: &serde_json::Value| document["bytes_read"].as_u64().unwrap();
    assert!(bytes(&whole) > 0);
    // Everything was proved a moment ago.
    let fresh = audit(&["--max-age", "30d"]);
    assert_eq!((&fresh["level"], bytes(&fresh)), (&5.into(), 0));
    sample::day(&cluster, "astro", 1);
    night();
    let grown = audit(&["--max-age", "30d"]);
    assert!(bytes(&grown) > 0 && bytes(&grown) < bytes(&whole), "only what is new is read");
    assert_eq!(grown["level"], 5);
    // A cache that is gone forgets what was proved, and everything is read again.
    for file in ["catalog.db", "catalog.db-wal", "catalog.db-shm"] {
        drop(std::fs::remove_file(super::keys_of(&sandbox).join(file)));
    }
    let again = audit(&["--max-age", "30d"]);
    assert!(bytes(&again) > bytes(&whole), "{again}");
    // All snapshots were proved by the admin's key: the rules keep the last three of them.
    let plan = sandbox.run(&["forget", "--keep-yearly", "1", "--dry-run", "--json"]).exits(0).json();
    assert_eq!(plan["kept"].as_array().unwrap().len(), snapshots(&sandbox, "live").len());
}

#[test]
fn damage_is_found_by_an_audit_in_turns() {
    let sandbox = super::ready();
    sandbox.run_with_input(&["backup", "--stdin", "a"], &super::lines(40_000)).exits(0);
    sandbox.run(&["check", "--max-age", "30d"]).exits(0);
    sandbox.run_with_input(&["backup", "--stdin", "b"], &super::lines(60_000)[400_000..]).exits(0);
    let packs = crate::support::sandbox::files_under(&sandbox.repository().join("packs"));
    let newest = packs.iter().max_by_key(|path| std::fs::metadata(path).unwrap().modified().unwrap()).unwrap();
    let mut bytes = std::fs::read(newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(newest, bytes).unwrap();
    let found = sandbox.run(&["check", "--max-age", "30d", "--json"]).exits(4).json();
    assert!(found["findings"].to_string().contains("damage"), "{found}");
}
