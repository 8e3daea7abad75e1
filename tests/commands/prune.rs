//! Giving space back, from outside: plan, prune, alias, `forget --prune`, what is said and with which exit code.

use std::fs;

use super::{keys_of, lines, ready, snapshots};
use crate::support::sandbox::{Sandbox, files_under};

/// Three nights of a table of which a part changes every night.
fn nights() -> (Sandbox, Vec<Vec<u8>>) {
    let sandbox = ready();
    let mut tables = Vec::new();
    for night in 0..3 {
        let mut text = lines(30_000);
        for line in
            text.split_mut(|byte| *byte == b'\n').skip(night * 11 + 5).step_by(2_000).filter(|line| line.len() > 4)
        {
            let digit = b'0' + u8::try_from(night).unwrap();
            let end = line.len() - 1;
            line[end] = digit;
        }
        fs::write(sandbox.path("dump"), &text).unwrap();
        sandbox.run(&["backup", "--file", "a=dump"]).exits(0);
        tables.push(text);
    }
    (sandbox, tables)
}

#[test]
fn a_prune_is_planned_said_and_done() {
    let (sandbox, tables) = nights();
    let ids = snapshots(&sandbox, "live");
    let nothing = sandbox.run(&["prune", "--json"]).exits(0).json();
    assert_eq!((&nothing["state"], &nothing["packs_deleted"]), (&"nothing".into(), &0.into()));
    sandbox.run(&["forget", "--keep-last", "1"]).exits(0);
    let stats = sandbox.run(&["stats", "--json"]).exits(0).json();
    assert!(stats["bytes_dead"].as_u64().unwrap() > 0, "{stats}");
    assert!(sandbox.run(&["stats"]).exits(0).text().contains("dead:"));
    let all = ["--max-repack", "100%", "--min-dead", "1%", "--min-gain", "0.1%"];
    let before = files_under(&sandbox.repository()).len();
    let plan = sandbox.run(&[&["repo", "prune", "--dry-run", "--json"][..], &all].concat()).exits(0).json();
    assert_eq!(plan["state"], "planned");
    assert_eq!(files_under(&sandbox.repository()).len(), before, "a plan writes nothing");
    let why = plan["repack"][0]["why"].as_str().unwrap();
    assert!(why.contains(&ids[2][..8]), "{why}");
    let shown = sandbox.run(&[&["repo", "prune", "--dry-run"][..], &all].concat()).exits(0).text();
    assert!(shown.contains("repack") && shown.contains("--dry-run"), "{shown}");
    let done = sandbox.run(&[&["repo", "prune", "--json"][..], &all].concat()).exits(0).json();
    assert_eq!((&done["state"], &done["snapshots"]), (&"done".into(), &2.into()));
    assert_eq!((&done["delete"], &done["repack"]), (&plan["delete"], &plan["repack"]), "the plan is what was done");
    assert!(done["bytes_freed"].as_u64().unwrap() > 0, "{done}");
    assert_eq!(sandbox.run(&["stats", "--json"]).exits(0).json()["bytes_dead"], 0);
    assert_eq!(snapshots(&sandbox, "live"), [ids[2].clone()]);
    assert_eq!(snapshots(&sandbox, "forgotten"), Vec::<String>::new());
    let gone = sandbox.run(&["forget", "--undo", &ids[0]]).exits(10);
    assert!(gone.stderr.contains("reclaimed"), "{}", gone.stderr);
    assert!(sandbox.run(&["restore", "latest", "--stdout"]).exits(0).stdout == tables[2]);
    sandbox.run(&["check", "--read-data"]).exits(0);
}

#[test]
fn forget_prunes_at_once_if_asked() {
    let (sandbox, tables) = nights();
    let done = sandbox.run(&["forget", "--keep-last", "1", "--prune", "--json"]).exits(0).json();
    assert_eq!((&done["pruned"]["state"], &done["pruned"]["snapshots"]), (&"done".into(), &2.into()));
    assert_eq!(fs::read_dir(sandbox.repository().join("snap")).unwrap().count(), 1);
    sandbox.run(&["forget", "--keep-last", "1", "--prune", "--dry-run"]).exits(2);
    let text = sandbox.run(&["forget", "--keep-last", "1", "--prune"]).exits(0).text();
    assert!(text.contains("none forgotten") && text.contains("nothing to do"), "{text}");
    assert!(sandbox.run(&["restore", "latest", "--stdout"]).exits(0).stdout == tables[2]);
}

#[test]
fn without_the_key_of_a_maintainer_it_names_the_key() {
    let (sandbox, _) = nights();
    let admin = keys_of(&sandbox).join("admin.key");
    fs::rename(&admin, sandbox.path("admin.key")).unwrap();
    let refused = sandbox.run(&["repo", "prune"]).exits(12);
    assert!(refused.stderr.contains("admin.key"), "{}", refused.stderr);
    sandbox.run(&["repo", "prune", "--dry-run"]).exits(0);
}

#[test]
fn what_is_missing_stops_it_with_a_name_and_advice() {
    let (sandbox, _) = nights();
    let ids = snapshots(&sandbox, "live");
    sandbox.run(&["forget", "--keep-last", "2"]).exits(0);
    fs::remove_file(sandbox.repository().join("reach").join(&ids[1])).unwrap();
    let packs = files_under(&sandbox.repository().join("packs")).len();
    let stopped = sandbox.run(&["repo", "prune"]).exits(4);
    assert!(stopped.stderr.contains(&ids[1]) && stopped.stderr.contains("check"), "{}", stopped.stderr);
    assert_eq!(files_under(&sandbox.repository().join("packs")).len(), packs);
    assert_eq!(sandbox.run(&["stats", "--json"]).exits(0).json()["bytes_dead"], serde_json::Value::Null);
}
