//! An erasure of a person that does not run through at once: guards, interruptions, holds; and what is said of it meanwhile.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use super::person::{Nights, SQL, assert_as_postgres_left_it, nights, states, texts, with};
use crate::support::sandbox::{Sandbox, files_under, leaks};

/// The one erasure there is, as `erase status` shows it.
fn status(sandbox: &Sandbox) -> Value {
    let all = sandbox.run(&["erase", "status", "--json"]);
    let all = all.json();
    assert_eq!(all["erasures"].as_array().unwrap().len(), 1, "{all}");
    all["erasures"][0].clone()
}

fn items(erasure: &Value) -> Vec<String> {
    texts(&erasure["pending"], "item")
}

/// The configuration of a sandbox, beside the repository it works on.
fn configure(sandbox: &mut Sandbox, more: &str) {
    let file = sandbox.path("lacre.toml");
    fs::write(&file, format!("repository = {:?}\n{more}", sandbox.repository().to_str().unwrap())).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    sandbox.set("LACRE_CONFIG", &file).unset("LACRE_REPO");
}

fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The night after, from a database without the person; then whatever waits is settled.
fn assert_completes(nights: &Nights) -> Value {
    nights.cluster.sql("d", SQL);
    nights.sandbox.run(&["backup", "--postgres", &nights.cluster.url("d")]).exits(0);
    let resumed = nights.sandbox.run(&["erase", "resume", "--json"]).exits(0).json();
    assert_eq!(resumed["erasures"][0]["state"], "complete", "{resumed}");
    resumed
}

#[test]
fn a_second_admin_approves_and_a_cool_down_ends_before_a_person_is_gone() {
    let nights = nights(2);
    let admin = &nights.sandbox;
    let mut other = Sandbox::new();
    other.unset("LACRE_REPO");
    let asked = other.run(&["key", "request", "--label", "second", "--json"]).exits(0).json();
    let request = asked["request"].as_str().unwrap();
    let enrolled = admin.run(&["key", "enrol-writer", request, "--role", "admin", "--yes", "--json"]).exits(0).json();
    let joined = other.run(&["key", "join", enrolled["token"].as_str().unwrap(), "--json"]).exits(0).json();
    other.set("LACRE_REPO", joined["url"].as_str().unwrap());
    admin.run(&["erase", "guard", "--approvals", "1"]).exits(0);

    let begun = admin.run(&with(&["--yes", "--not-before", "2099-01-01T00:00:00Z", "--json"])).exits(5).json();
    let id = begun["erasure"].as_str().unwrap();
    assert_eq!(
        (begun["state"].as_str(), items(&begun)),
        (Some("pending"), vec!["approval".to_owned(), "cool-down".to_owned()])
    );
    let generation =
        |sandbox: &Sandbox| sandbox.run(&["seal", "status", "--json"]).exits(0).json()["generation"].as_u64();
    assert_eq!(generation(admin), Some(0), "nothing is destroyed for an erasure that waits");
    // The one who asked cannot approve, and lowering the guard afterwards does not help.
    admin.run(&["erase", "approve", &id[..8]]).exits(15);
    admin.run(&["erase", "guard", "--approvals", "0"]).exits(0);
    assert_eq!(items(&status(admin)), ["approval", "cool-down"]);
    admin.run(&["erase", "resume"]).exits(5);
    // The same command again goes on with the same erasure, and waits as well.
    let again = admin.run(&with(&["--yes", "--json"])).exits(5).json();
    assert_eq!((again["erasure"].as_str(), again["state"].as_str()), (Some(id), Some("pending")));
    assert_eq!(states(admin).len(), 4, "no snapshot is made a second time");
    assert_eq!(generation(admin), Some(0));
    // Approved, it still cools down.
    let approved = other.run(&["erase", "approve", &id[..8], "--json"]).exits(5).json();
    assert_eq!(items(&approved["erasures"][0]), ["cool-down"]);
    let what = approved["erasures"][0]["pending"][0]["what"].as_str().unwrap();
    assert!(what.contains("2099-01-01"), "{what}");
    admin.run(&["erase", "resume"]).exits(5);
    assert_eq!(generation(admin), Some(0));
    assert_eq!(status(admin)["state"], "pending");
    // Until then it can be given up, and is asked for anew without a cool-down.
    admin.run(&["erase", "cancel", &id[..8]]).exits(0);
    assert_eq!(super::snapshots(admin, "live"), nights.ids);
    admin.run(&["erase", "guard", "--approvals", "1"]).exits(0);
    let begun = admin.run(&with(&["--yes", "--json"])).exits(5).json();
    assert_eq!(items(&begun), ["approval"]);
    let second = begun["erasure"].as_str().unwrap();
    other.run(&["erase", "approve", &second[..8]]).exits(5);
    let resumed = admin.run(&["erase", "resume", "--json"]).exits(5).json();
    let erasures = resumed["erasures"].as_array().unwrap();
    assert_eq!(texts(&resumed["erasures"], "state"), ["cancelled", "interim"]);
    assert_eq!(erasures[1]["erasure"], second);
    assert_as_postgres_left_it(&nights, begun["snapshots"][1]["new"].as_str().unwrap(), 1);
    for old in &nights.ids {
        admin.run(&["restore", old, "--stdout"]).exits(15);
    }
}

#[test]
fn an_erasure_that_died_before_it_said_whom_is_given_up_by_the_next_or_said_again() {
    let mut nights = nights(2);
    // The process dies right after its intent was signed, before a list lies beside any snapshot.
    let hook = nights.sandbox.path("hook");
    let told = nights.sandbox.path("told");
    script(&hook, &format!("cat >> {}; kill -9 $PPID", told.display()));
    configure(&mut nights.sandbox, &format!("[hooks]\non_erase_intent = [[{hook:?}]]\n"));
    let sandbox = &nights.sandbox;
    assert!(sandbox.run(&with(&["--yes"])).was_killed());
    let event: Value = serde_json::from_str(&fs::read_to_string(&told).unwrap()).unwrap();
    assert_eq!(event["event"], "erase_intent");
    let said: Vec<&str> = event.as_object().unwrap().keys().map(String::as_str).collect();
    let known = ["bytes_dead", "bytes_shared", "erasure", "event", "repository", "schema", "snapshots"];
    assert!(said.iter().all(|key| known.contains(key)), "{event}");
    let first = status(sandbox);
    assert_eq!((first["state"].as_str(), items(&first)), (Some("pending"), vec!["rewrite".to_owned()]));
    assert!(first["pending"][0]["command"].as_str().unwrap().starts_with("lacre erase resume"), "{first}");
    // Plainly not erased, and handed out only knowingly.
    let refused = sandbox.run(&["restore", &nights.ids[0], "--stdout"]).exits(15);
    assert!(refused.stderr.contains("--accept-erasing"), "{}", refused.stderr);
    // Nothing in the store says whom it is about: the command to type is said, nothing is done.
    let waits = sandbox.run(&["erase", "resume", "--json"]).exits(5);
    assert!(
        waits.stderr.contains("lacre erase resume --rules FILE --subject NAME --key-file FILE"),
        "{}",
        waits.stderr
    );
    assert_eq!(items(&waits.json()["erasures"][0]), ["rewrite"]);
    let again = ["erase", "resume", "--rules", "rules.toml", "--subject", "user", "--key-file", "key", "--json"];
    let resumed = sandbox.run(&again).exits(5).json();
    assert_eq!(
        (&resumed["erasures"][0]["erasure"], &resumed["erasures"][0]["state"]),
        (&first["erasure"], &"interim".into())
    );
    let new = super::snapshots(sandbox, "live");
    for (night, snapshot) in new.iter().enumerate() {
        assert_as_postgres_left_it(&nights, snapshot, night);
    }
    // Where nobody waits, a person cannot be named.
    let idle = sandbox.run(&again).exits(2).json();
    assert!(idle["error"].to_string().contains("lacre erase person"), "{idle}");
    assert_completes(&nights);
}

#[test]
fn the_same_command_gives_up_what_died_nameless_and_asks_anew() {
    let mut nights = nights(2);
    let hook = nights.sandbox.path("hook");
    script(&hook, "kill -9 $PPID");
    configure(&mut nights.sandbox, &format!("[hooks]\non_erase_intent = [[{hook:?}]]\n"));
    assert!(nights.sandbox.run(&with(&["--yes"])).was_killed());
    configure(&mut nights.sandbox, "");
    let erased = nights.sandbox.run(&with(&["--yes", "--json"])).exits(5);
    assert!(erased.stderr.contains("given up"), "{}", erased.stderr);
    assert_as_postgres_left_it(&nights, erased.json()["snapshots"][0]["new"].as_str().unwrap(), 0);
    let all = nights.sandbox.run(&["erase", "status", "--json"]).exits(5).json();
    assert_eq!(texts(&all["erasures"], "state"), ["cancelled", "interim"]);
}

#[test]
fn a_held_night_that_is_released_is_erased_by_resume_alone() {
    let nights = nights(2);
    let sandbox = &nights.sandbox;
    sandbox.run(&["hold", &nights.ids[0], "--reason", "court"]).exits(0);
    let erased = sandbox.run(&with(&["--yes", "--json"])).exits(5).json();
    // Held, it waits, and resume does not touch it.
    sandbox.run(&["erase", "resume"]).exits(5);
    assert!(items(&status(sandbox)).contains(&format!("hold:{}", nights.ids[0])));
    sandbox.run(&["release", &nights.ids[0]]).exits(0);
    assert!(items(&status(sandbox)).contains(&format!("rewrite:{}", nights.ids[0])));
    // The key is not given again: tokens beside the snapshot say whose rows they are.
    fs::remove_file(sandbox.path("key")).unwrap();
    fs::remove_file(sandbox.path("rules.toml")).unwrap();
    let resumed = sandbox.run(&["erase", "resume", "--json"]).exits(5).json();
    assert_eq!(resumed["erasures"][0]["erasure"], erased["erasure"]);
    assert_eq!(resumed["erasures"][0]["state"], "interim");
    let live = super::snapshots(sandbox, "live");
    assert_eq!(live.len(), 2);
    assert_as_postgres_left_it(&nights, &live[0], 0);
    assert!(
        !sandbox.repository().join("suppress").exists()
            || files_under(&sandbox.repository().join("suppress")).is_empty()
    );
    assert_completes(&nights);
}

#[test]
fn identifiers_that_only_the_request_knew_have_to_be_said_again() {
    let nights = nights(2);
    let sandbox = &nights.sandbox;
    sandbox.run(&["hold", &nights.ids[0], "--reason", "court"]).exits(0);
    fs::write(sandbox.path("old"), "email=old@mail.example\n").unwrap();
    sandbox.run(&with(&["--identifier-file", "old", "--yes"])).exits(5);
    sandbox.run(&["release", &nights.ids[0]]).exits(0);
    let waits = sandbox.run(&["erase", "resume"]).exits(5);
    assert!(waits.stderr.contains("--rules FILE --subject user --key-file FILE"), "{}", waits.stderr);
    assert!(!waits.stderr.contains("old@"), "{}", waits.stderr);
    // Somebody else's key goes on with nothing.
    fs::write(sandbox.path("other"), "1\t43\n").unwrap();
    let again = ["erase", "resume", "--rules", "rules.toml", "--subject", "user"];
    let other = sandbox.run(&[&again[..], &["--key-file", "other"]].concat()).exits(2);
    assert!(other.stderr.contains("no erasure that waits is about that person"), "{}", other.stderr);
    sandbox.run(&[&again[..], &["--key-file", "key", "--identifier-file", "old"]].concat()).exits(5);
    assert_as_postgres_left_it(&nights, &super::snapshots(sandbox, "live")[0], 0);
}

#[test]
fn nothing_of_the_person_lies_in_any_file_or_is_said_and_the_receipt_names_tables_only() {
    let mut nights = nights(2);
    configure(&mut nights.sandbox, "");
    let sandbox = &nights.sandbox;
    let mut said = String::new();
    for arguments in [with(&["--dry-run"]), with(&["--yes", "--reason", "art17", "--request", "TICKET-812"])] {
        said.push_str(&sandbox.run(&arguments).text());
    }
    nights.cluster.sql("d", SQL);
    for arguments in [
        vec!["backup", "--postgres", &nights.cluster.url("d")],
        vec!["erase", "resume"],
        vec!["erase", "status", "--json"],
        vec!["snapshots"],
    ] {
        said.push_str(&sandbox.run(&arguments).text());
    }
    // Her values in the spellings a careless program would keep, and the reference of the request.
    let hidden = [
        "user42@mail.example",
        "USER42@MAIL",
        "Name of 42",
        "Holder 42",
        "TICKET-812",
        "757365723432406d61696c",
        "dXNlcjQyQG1haWw",
    ];
    for hidden in hidden.iter().filter(|hidden| **hidden != "TICKET-812") {
        assert!(!said.contains(hidden), "{hidden} was said: {said}");
    }
    assert_eq!(leaks(&sandbox.home(), &hidden), Vec::<String>::new());
    assert_eq!(leaks(&sandbox.repository(), &hidden), Vec::<String>::new());
    let receipts = super::keys_of(sandbox).join("receipts");
    let receipt = fs::read_to_string(files_under(&receipts).first().unwrap()).unwrap();
    let document: Value = serde_json::from_str(&receipt).unwrap();
    assert_eq!(
        (document["receipt"]["state"].as_str(), document["receipt"]["reason"].as_str()),
        (Some("complete"), Some("art17"))
    );
    assert_eq!(document["receipt"]["pending"].as_array().unwrap().len(), 0);
    assert_eq!(document["receipt"]["request"].as_str().unwrap().len(), 64, "a salted hash, not the reference");
    let columns: Vec<&str> = texts_of(&document["accounts"][0]["tables"]);
    assert!(columns.iter().all(|table| table.starts_with("app.")), "{columns:?}");
}

fn texts_of(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|entry| entry["table"].as_str().unwrap()).collect()
}

#[test]
fn every_thing_that_is_pending_comes_with_its_command() {
    let nights = nights(2);
    let sandbox = &nights.sandbox;
    sandbox.run(&["kit", "issue", "--kit-file", "old-kit"]).exits(0);
    sandbox.run(&["hold", &nights.ids[0], "--reason", "court"]).exits(0);
    sandbox.run(&with(&["--yes"])).exits(5);
    let interim = status(sandbox);
    let host = |item: &str| item.split(':').next().unwrap().to_owned();
    let kinds: Vec<String> = items(&interim).iter().map(|item| host(item)).collect();
    for kind in ["hold", "kit", "writer"] {
        assert!(kinds.contains(&kind.to_owned()), "{kind}: {interim}");
    }
    for pending in interim["pending"].as_array().unwrap() {
        let (what, command) = (pending["what"].as_str().unwrap(), pending["command"].as_str().unwrap());
        assert!(!what.is_empty() && command.contains("lacre "), "{pending}");
    }
    // Told one after the other, nothing is left.
    sandbox.run(&["release", &nights.ids[0]]).exits(0);
    sandbox.run(&["erase", "resume"]).exits(5);
    for pending in status(sandbox)["pending"].as_array().unwrap() {
        let item = pending["item"].as_str().unwrap();
        if let Some(number) = item.strip_prefix("kit:") {
            sandbox.run(&["kit", "ack", number, "--destroyed"]).exits(0);
        }
    }
    assert_completes(&nights);
    assert_eq!(items(&status(sandbox)), Vec::<String>::new());
}

#[test]
fn a_restore_that_began_before_the_intent_does_not_show_the_person() {
    let mut nights = nights(2);
    let (first, url) = (nights.ids[0].clone(), nights.cluster.url("back"));
    // Held, so that it is covered and counts as long as it is.
    nights.sandbox.run(&["hold", &first, "--reason", "court"]).exits(0);
    let lacre = env!("CARGO_BIN_EXE_lacre");
    let hook = nights.sandbox.path("hook");
    let erase = with(&["--yes"]).join(" ");
    script(&hook, &format!("{lacre} {erase} >told 2>&1; test $? = 5"));
    configure(&mut nights.sandbox, &format!("[hooks]\nbefore_restore = [[{:?}]]\n", hook.to_str().unwrap()));
    let refused = nights.sandbox.run(&["restore", &first, "--to", &url, "--create"]).exits(15);
    assert!(
        refused.stderr.contains("was removed") && refused.stderr.contains("run the restore again"),
        "{}",
        refused.stderr
    );
    // Neither under its name nor beside it.
    let made = nights.cluster.sql("postgres", "select count(*) from pg_database where datname like 'back%'");
    assert_eq!(made, "0");
    // Again, it is handed out without the person; and one that already leaves them out is shown.
    nights.sandbox.run(&["restore", &first, "--to", &url, "--create"]).exits(15);
    nights.sandbox.run(&["restore", &first, "--to", &url, "--create", "--accept-erasing", "--no-hooks"]).exits(0);
    assert_eq!(nights.cluster.tables("back"), nights.cluster.tables("want0"));
}

#[test]
fn a_night_whose_root_row_is_gone_is_handed_out_without_the_rows_that_still_name_the_person() {
    let nights = nights(1);
    let sandbox = &nights.sandbox;
    // The account was closed by hand; what refers to it by no foreign key stayed.
    nights.cluster.sql("d", "delete from app.users where tenant = 0 and id = 42");
    let made = sandbox.run(&["backup", "--postgres", &nights.cluster.url("d"), "--json"]).exits(0).json();
    let later = made["snapshot"].as_str().unwrap();
    let left =
        "select count(*) from app.audit where payload->'actor'->>'tenant' = '0' and payload->'actor'->>'id' = '42'";
    assert_ne!(nights.cluster.sql("d", left), "0");
    sandbox.run(&["hold", later, "--reason", "court"]).exits(0);
    sandbox.run(&with(&["--yes"])).exits(5);
    let url = nights.cluster.url("held");
    sandbox.run(&["restore", later, "--to", &url, "--create", "--accept-erasing"]).exits(0);
    assert_eq!(nights.cluster.sql("held", left), "0");
    assert_eq!(nights.cluster.sql("held", "select count(*) from app.notes"), "500");
}
