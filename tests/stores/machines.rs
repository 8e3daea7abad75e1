//! Several machines on one bucket, each with its own store key and nothing more than its policy gives.

use lacre_test_bucket::{BUCKET_PLAIN, Key, Weed};

use super::{in_bucket, night};
use crate::support::sandbox::Sandbox;

/// Asks, is answered, joins; the machine finds the bucket by its token.
fn joins(admin: &Sandbox, machine: &mut Sandbox, label: &str, role: &str) {
    machine.unset("LACRE_REPO");
    let asked = machine.run(&["key", "request", "--label", label, "--json"]).exits(0).json();
    let request = asked["request"].as_str().unwrap();
    let enrolled = admin.run(&["key", "enrol-writer", request, "--role", role, "--yes", "--json"]).exits(0).json();
    let joined = machine.run(&["key", "join", enrolled["token"].as_str().unwrap(), "--json"]).exits(0).json();
    assert!(joined["url"].as_str().unwrap().starts_with("s3://"), "the token names the bucket: {joined}");
    machine.set("LACRE_REPO", joined["url"].as_str().unwrap());
}

#[test]
fn each_machine_works_with_its_own_store_key_and_a_revoked_one_is_refused() {
    let Some(weed) = Weed::start() else { return };
    let admin = in_bucket(weed.port(), BUCKET_PLAIN, "lacre", Key::Admin);
    admin.run(&["init", "--no-kit"]).exits(0);
    let mut db = in_bucket(weed.port(), BUCKET_PLAIN, "lacre", Key::Backup);
    joins(&admin, &mut db, "db2", "writer");
    for number in [1, 2, 3] {
        std::fs::write(db.path("dump"), night(number)).unwrap();
        db.run(&["backup", "--file", "a=dump"]).exits(0);
    }
    // Its key may write to its log, so it forgets within the rules, and nothing is deleted by it.
    admin.run(&["key", "delegate", "--keep-last", "2", "--min-verified", "0"]).exits(0);
    let forgotten = db.run(&["forget", "--json"]).exits(0).json();
    assert_eq!(forgotten["forgotten"].as_array().unwrap().len(), 1, "{forgotten}");
    let mut keeper = in_bucket(weed.port(), BUCKET_PLAIN, "lacre", Key::Maintenance);
    joins(&admin, &mut keeper, "keeper", "maintenance");
    keeper.run(&["repo", "prune"]).exits(0);
    keeper.run(&["repo", "check"]).exits(0);
    admin.run(&["key", "revoke-writer", "db2", "--yes"]).exits(0);
    let refused = db.run(&["backup", "--file", "a=dump"]).exits(15);
    assert!(refused.stderr.contains("was revoked"), "{}", refused.stderr);
    // Whatever else lands in the bucket counts for nothing.
    let forged = format!("many/snap/{}", "ee".repeat(16));
    assert_eq!(weed.client(Key::Root).put(BUCKET_PLAIN, &forged, b"rubbish").status, 200);
    assert!(admin.run(&["cat", "latest:a", "data"]).exits(0).stdout == night(3));
    let listed = admin.run(&["snapshots", "--json"]);
    assert!(!listed.text().contains(&"ee".repeat(16)), "{}", listed.text());
}
