//! Several machines on one repository, typed by hand: two homes, one folder.

use std::fs;

use super::lines;
use crate::support::sandbox::{Sandbox, files_under};

/// The admin's machine, with a repository and one snapshot of its own job.
fn site() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.run(&["init", "--no-kit"]).exits(0);
    fs::write(sandbox.path("dump"), lines(2_000)).unwrap();
    sandbox.run(&["backup", "--file", "own=dump"]).exits(0);
    sandbox
}

/// A machine that knows no repository.
fn machine() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.unset("LACRE_REPO");
    fs::write(sandbox.path("dump"), lines(2_000)).unwrap();
    sandbox
}

/// Asks, is answered, joins, as a person carries the two texts over. From then on the machine knows its repository.
fn joins(admin: &Sandbox, machine: &mut Sandbox, label: &str, role: &str) {
    let asked = machine.run(&["key", "request", "--label", label, "--json"]).exits(0).json();
    let request = asked["request"].as_str().unwrap();
    let enrolled = admin.run(&["key", "enrol-writer", request, "--role", role, "--yes", "--json"]).exits(0).json();
    assert_eq!((enrolled["label"].as_str(), enrolled["role"].as_str()), (Some(label), Some(role)));
    let joined = machine.run(&["key", "join", enrolled["token"].as_str().unwrap(), "--json"]).exits(0).json();
    assert_eq!(joined["home"], enrolled["home"]);
    machine.set("LACRE_REPO", joined["url"].as_str().unwrap());
}

#[test]
fn two_machines_from_the_request_to_the_revocation() {
    let (admin, mut db) = (site(), machine());
    joins(&admin, &mut db, "db2", "writer");
    let made = db.run(&["backup", "--file", "app=dump", "--json"]).exits(0).json();
    let made = made["snapshot"].as_str().unwrap();
    let listed = admin.run(&["key", "list", "--json"]).exits(0).json();
    let homes = listed["homes"].as_array().unwrap();
    let row = homes.iter().find(|home| home["label"] == "db2").unwrap();
    assert_eq!((&row["role"], &row["state"], &row["snapshots"]), (&"writer".into(), &"enrolled".into(), &1.into()));
    assert!(row["last_snapshot"].as_str().unwrap().ends_with('Z') && row["this_host"] == false, "{row}");
    assert_eq!((&listed["policy"], &listed["pinned"]), (&1.into(), &1.into()));
    let own = db.run(&["key", "list", "--json"]).exits(0).json();
    assert_eq!(own["held_here"], serde_json::json!(["writer"]));
    // It can neither read nor rule.
    db.run(&["restore", made, "--stdout"]).exits(12);
    db.run(&["hold", made]).exits(12);
    db.run(&["repo", "prune"]).exits(12);
    assert!(admin.run(&["cat", made, "data"]).exits(0).stdout == lines(2_000));
    // Nobody agreed: nothing happens.
    admin.run(&["key", "revoke-writer", "db2"]).exits(15);
    let revoked = admin.run(&["key", "revoke-writer", "db2", "--yes", "--json"]).exits(0).json();
    assert_eq!((&revoked["snapshots"], &revoked["policy"]), (&1.into(), &2.into()));
    let refused = db.run(&["backup", "--file", "app=dump"]).exits(15);
    assert!(refused.stderr.contains("was revoked"), "{}", refused.stderr);
    assert!(admin.run(&["cat", made, "data"]).exits(0).stdout == lines(2_000));
    let listed = admin.run(&["key", "list", "--json"]).exits(0).json();
    let row = listed["homes"].as_array().unwrap().iter().find(|home| home["label"] == "db2").unwrap();
    assert_eq!((&row["state"], row["revoked"].is_string()), (&"revoked".into(), true));
    assert!(admin.run(&["key", "list"]).exits(0).text().contains("revoked"));
    admin.run(&["check", "--read-data"]).exits(0);
}

#[test]
fn texts_travel_by_file_and_pipe_and_a_wrong_one_is_a_usage_error() {
    let (admin, db) = (site(), machine());
    let asked = db.run(&["key", "request", "--label", "db2", "--out", "request"]).exits(0);
    let words = asked.text().lines().find(|line| line.contains("these words")).unwrap().to_owned();
    let request = fs::read(db.path("request")).unwrap();
    let broken: String = String::from_utf8(request.clone()).unwrap().replacen('Q', "R", 1);
    admin.run_with_input(&["key", "enrol-writer", "-", "--yes"], broken.as_bytes()).exits(2);
    let unconfirmed = admin.run_with_input(&["key", "enrol-writer", "-"], &request).exits(15);
    let shown = words.rsplit_once(": ").unwrap().1;
    assert!(unconfirmed.stderr.contains(shown), "both machines show {shown}: {}", unconfirmed.stderr);
    admin.run_with_input(&["key", "enrol-writer", "-", "--yes", "--out", "token"], &request).exits(0);
    fs::copy(admin.path("token"), db.path("token")).unwrap();
    db.run(&["key", "join", "lacre-join-AAAA"]).exits(2);
    db.run(&["key", "join", "nowhere"]).exits(2);
    db.run(&["key", "join", "token"]).exits(0);
    db.run(&["key", "join", "token"]).exits(15);
    let other = machine();
    fs::copy(admin.path("token"), other.path("token")).unwrap();
    let refused = other.run(&["key", "join", "token"]).exits(15);
    assert!(refused.stderr.contains("another machine"), "{}", refused.stderr);
    for path in files_under(&db.home()) {
        assert!(!path.to_string_lossy().contains("joining"), "the one-time key is left: {}", path.display());
    }
}

#[test]
fn a_maintenance_home_prunes_and_checks_and_makes_no_backups() {
    let (admin, mut keeper) = (site(), machine());
    joins(&admin, &mut keeper, "keeper", "maintenance");
    keeper.run(&["backup", "--file", "own=dump"]).exits(12);
    keeper.run(&["repo", "prune"]).exits(0);
    keeper.run(&["repo", "check"]).exits(0);
    let again = keeper.run(&["key", "list", "--json"]).exits(0).json();
    assert_eq!(again["held_here"], serde_json::json!(["maintenance"]));
    // With the identity at hand it proves the data, and its word counts as another home's.
    let identity = super::keys_of(&admin).join("identity.txt");
    keeper.run(&["--identity", identity.to_str().unwrap(), "repo", "check", "--read-data"]).exits(0);
}

#[test]
fn a_machine_forgets_its_own_by_the_rules_the_admin_publishes() {
    let (admin, mut db) = (site(), machine());
    joins(&admin, &mut db, "db2", "writer");
    for _ in 0..3 {
        db.run(&["backup", "--file", "app=dump"]).exits(0);
    }
    db.run(&["forget", "--keep-last", "1"]).exits(12);
    admin.run(&["key", "delegate"]).exits(2);
    let published =
        admin.run(&["key", "delegate", "--keep-last", "2", "--min-verified", "0", "--json"]).exits(0).json();
    assert_eq!(published["delegated"][0]["rules"], "last 2");
    assert_eq!(published["zone"], "America/Sao_Paulo");
    let forgotten = db.run(&["forget", "--keep-last", "1", "--json"]).exits(0).json();
    assert_eq!(forgotten["forgotten"].as_array().unwrap().len(), 1, "the policy keeps two: {forgotten}");
    let states = |sandbox: &Sandbox| {
        let rows = sandbox.run(&["snapshots", "--json"]).exits(0).json();
        let states = rows["snapshots"].as_array().unwrap().iter().map(|row| row["state"].as_str().unwrap().to_owned());
        states.filter(|state| state == "live").count()
    };
    assert_eq!((states(&admin), states(&db)), (3, 3), "two of db2's and the admin's own");
    let listed = db.run(&["key", "list", "--json"]).exits(0).json();
    assert_eq!(listed["delegated"][0]["rules"], "last 2");
    admin.run(&["key", "delegate", "--none"]).exits(0);
    db.run(&["forget", "--keep-last", "1"]).exits(12);
}

#[test]
fn readers_come_and_go() {
    let admin = site();
    // A second person's key pair, made by another repository's init.
    let mut other = Sandbox::new();
    other.run(&["init", "--no-kit"]).exits(0);
    let identity = super::keys_of(&other).join("identity.txt");
    let text = fs::read_to_string(&identity).unwrap();
    let public = text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap().to_owned();
    other.set("LACRE_REPO", admin.repository());
    let reads = |name: &str| other.run(&["--identity", identity.to_str().unwrap(), "cat", name, "data"]);
    let added = admin.run(&["key", "add-recipient", &public, "--json"]).exits(0).json();
    assert_eq!((&added["older"], &added["rewrapped"]), (&1.into(), &0.into()));
    reads("latest").exits(12);
    let shown = admin.run(&["key", "add-recipient", "--rewrap"]).exits(0).text();
    assert!(shown.contains("1 older snapshot was wrapped"), "{shown}");
    reads("latest").exits(0);
    admin.run(&["key", "add-recipient", &public]).exits(15);
    admin.run(&["key", "add-recipient"]).exits(2);
    admin.run(&["key", "remove-recipient", &public]).exits(15);
    let removed = admin.run(&["key", "remove-recipient", &public, "--yes", "--json"]).exits(0).json();
    assert_eq!(removed["state"], "complete", "{removed}");
    reads("latest").exits(12);
    assert!(admin.run(&["cat", "latest", "data"]).exits(0).stdout == lines(2_000));
    let receipt = removed["receipt"].as_str().unwrap();
    assert!(admin.run(&["receipt", "show", receipt]).exits(0).text().contains("complete"));
    let listed = admin.run(&["key", "list", "--json"]).exits(0).json();
    assert_eq!((listed["recipients"].as_array().unwrap().len(), &listed["removals"]), (1, &serde_json::json!([])));
}
