use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    BackupResult, BackupStream, CheckFinding, CheckResult, Document, FindingEntry, ForgetResult, ForgottenEntry,
    InitResult, KeptEntry, RestoreResult, RestoreToBytesResult, RestoredTable, ShowResult, SnapshotEntry,
    SnapshotState, SnapshotsResult, all, to_json,
};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Prints a document and compares its fields with the contract and with its own list.
#[track_caller]
fn check<D: Document>(document: &D, contract: &[&str]) -> Value {
    let value: Value = serde_json::from_str(&to_json(document)).unwrap();
    assert_eq!(value["schema"], 1);
    let listed: Vec<&str> = std::iter::once("schema").chain(D::FIELDS.iter().map(|field| field.name)).collect();
    assert_eq!(keys(&value), listed, "{}", D::COMMAND);
    for name in contract {
        assert!(listed.contains(name), "{}: {name}", D::COMMAND);
    }
    value
}

fn finding() -> FindingEntry {
    FindingEntry { severity: "note".into(), what: "w".into(), object: "o".into(), advice: "a".into() }
}

#[test]
fn backup_has_the_fields_of_the_contract_and_no_digest() {
    let streams = vec![BackupStream { name: "public.users".into(), kind: "table".into(), rows: Some(3), bytes: 30 }];
    let document = BackupResult {
        snapshot: "8f".into(),
        job: "astro".into(),
        streams,
        bytes_read: 30,
        bytes_new: 30,
        bytes_stored: 20,
        chunks: 1,
        chunks_new: 1,
        duration_ms: 5,
        source_ms: 4,
        peak_memory_bytes: 1,
        copies: Vec::new(),
        findings: vec![finding()],
        run: None,
    };
    let contract = [
        "snapshot",
        "job",
        "streams",
        "bytes_read",
        "bytes_new",
        "bytes_stored",
        "chunks",
        "chunks_new",
        "duration_ms",
        "source_ms",
        "peak_memory_bytes",
        "findings",
        "run",
    ];
    let value = check(&document, &contract);
    assert_eq!(keys(&value["streams"][0]), ["name", "kind", "rows", "bytes"]);
    assert_eq!(keys(&value["findings"][0]), ["severity", "what", "object", "advice"]);
    assert!(!value.to_string().contains("blake3") && !value.to_string().contains("digest"));
}

#[test]
fn init_restore_and_check_have_the_fields_of_the_contract() {
    let init = InitResult {
        repository: "r".into(),
        identity_file: None,
        kit_file: None,
        identity_sheet_file: None,
        cells: vec![],
    };
    assert_eq!(
        check(&init, &["repository", "identity_file", "kit_file", "identity_sheet_file", "cells"])["kit_file"],
        Value::Null
    );
    let tables = vec![RestoredTable { name: "a".into(), rows: 1, expected: 1 }];
    let restore = RestoreResult {
        database: "d".into(),
        kept_database: None,
        tables,
        verified: true,
        duration_ms: 1,
        findings: vec![],
    };
    let value = check(&restore, &["database", "tables", "verified", "duration_ms"]);
    assert_eq!(keys(&value["tables"][0]), ["name", "rows", "expected"]);
    check(&RestoreToBytesResult { bytes: 1, blake3: "b".into() }, &["bytes", "blake3"]);
    let findings =
        vec![CheckFinding { severity: "damage".into(), what: "w".into(), object: "o".into(), advice: "a".into() }];
    let audit = CheckResult { level: 4, packs: 1, bytes_read: 1, findings, not_proved: vec![] };
    let value = check(&audit, &["level", "packs", "bytes_read", "findings"]);
    assert_eq!(keys(&value["findings"][0]), ["severity", "what", "object", "advice"]);
}

#[test]
fn lists_have_the_fields_of_the_contract() {
    let entry = SnapshotEntry {
        snapshot: "8f".into(),
        job: "astro".into(),
        time: "2026-11-20T03:00:00Z".into(),
        bytes: Some(1),
        rows: None,
        state: SnapshotState::Live,
        held: false,
    };
    let value = check(&SnapshotsResult { snapshots: vec![entry] }, &["snapshots"]);
    assert_eq!(keys(&value["snapshots"][0])[..6], ["snapshot", "job", "time", "bytes", "rows", "state"]);
    assert_eq!(value["snapshots"][0]["state"], "live");
    let text = |text: &str| text.to_owned();
    let kept = vec![KeptEntry { snapshot: text("a"), job: text("j"), time: text("t"), reasons: vec![text("daily")] }];
    let forgotten = vec![ForgottenEntry { snapshot: text("b"), job: text("j"), time: text("t") }];
    let value = check(&ForgetResult { dry_run: true, kept, forgotten, pruned: None }, &["kept", "forgotten"]);
    assert_eq!(value["kept"][0]["reasons"][0], "daily");
}

#[test]
fn a_sealed_snapshot_says_so() {
    let show = ShowResult {
        snapshot: "8f".into(),
        job: "astro".into(),
        time: "t".into(),
        state: SnapshotState::Pending,
        held: true,
        home: "h".into(),
        generation: 1,
        sealed: true,
        source: None,
        facts: BTreeMap::new(),
        tags: vec![],
        streams: vec![],
        findings: vec![],
    };
    let value = check(&show, &["sealed"]);
    assert_eq!((value["sealed"].as_bool(), value["state"].as_str()), (Some(true), Some(SnapshotState::Pending.name())));
}

#[test]
fn every_document_and_field_is_explained_once() {
    for (command, fields) in all() {
        assert!(!fields.is_empty(), "{command}");
        for (at, field) in fields.iter().enumerate() {
            assert!(field.help.ends_with('.'), "{command}.{}", field.name);
            assert!(fields[..at].iter().all(|earlier| earlier.name != field.name), "{command}.{}", field.name);
        }
    }
}
