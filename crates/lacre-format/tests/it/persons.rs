//! Values of erasing a person, for the golden vectors.

use lacre_format::{
    erasure::{
        ErasedRows, ErasedSnapshot, ErasedTable, ErasureKind, PersonAccount, PersonEvidence, PersonIntent, Receipt,
        Rewritten, Successor, TraceCount,
    },
    ids::JobName,
    log::Event,
    root::Secret32,
    suppression::Suppression,
};

use crate::values::{ERASURE, GENERATION, NEXT, OTHER_SNAPSHOT, SALT, SNAPSHOT, TAKEN, digest};

const REPLACED: Successor = Successor { old: SNAPSHOT, new: OTHER_SNAPSHOT };

/// Events of erasing a person.
pub(crate) fn events() -> Vec<(&'static str, Event)> {
    let intent = PersonIntent {
        id: ERASURE,
        salt: SALT,
        jobs: vec![0x1f; 24],
        reason: "art17".to_owned(),
        request: Some(digest(0xdb)),
        not_before: Some(TAKEN),
        approvals: None,
    };
    let rewritten = Rewritten {
        id: ERASURE,
        snapshots: vec![REPLACED],
        salt: SALT,
        account: vec![0x2f; 24],
        digest: digest(0xdc),
        held: vec![SNAPSHOT],
    };
    vec![("event-person-intent", Event::PersonIntent(intent)), ("event-rewritten", Event::Rewritten(rewritten))]
}

/// A receipt for the erasure of a person.
pub(crate) fn receipt() -> Event {
    let receipt = Receipt {
        erasure: ERASURE,
        kind: ErasureKind::Person,
        complete: true,
        snapshots: vec![ErasedSnapshot { snapshot: SNAPSHOT, commitment: digest(0xd4) }],
        from: GENERATION,
        to: NEXT,
        bundle: digest(0xd8),
        cells: Vec::new(),
        kits: Vec::new(),
        pending: Vec::new(),
        declared: Vec::new(),
        bytes_dead: 4096,
        bytes_shared: 65_536,
        reason: "art17".to_owned(),
        request: None,
        intended: TAKEN,
        signed: TAKEN,
        person: Some(PersonEvidence { unseen: 7, accounts: vec![digest(0xdc)], successors: vec![REPLACED] }),
        physical: None,
    };
    Event::Receipt(Box::new(receipt))
}

pub(crate) fn account() -> PersonAccount {
    let table = ErasedTable {
        table: "app.invoices".to_owned(),
        removed: 0,
        changed: 2,
        kept: 3,
        bases: vec!["LGPD art. 16, I".to_owned()],
    };
    let trace = TraceCount {
        place: "app.notes".to_owned(),
        column: Some("body".to_owned()),
        identifier: "email".to_owned(),
        form: "raw".to_owned(),
        count: 1,
    };
    PersonAccount {
        salt: SALT,
        erasure: ERASURE,
        jobs: vec![JobName::parse("astro").unwrap()],
        subject: "user".to_owned(),
        rules: digest(0xdd),
        tables: vec![table],
        snapshots: vec![ErasedRows { old: SNAPSHOT, new: OTHER_SNAPSHOT, removed: 50, changed: 2 }],
        traces: vec![trace],
        unsearched: vec!["name: TooShort".to_owned()],
    }
}

pub(crate) fn suppression() -> Suppression {
    Suppression {
        erasure: ERASURE,
        subject: "user".to_owned(),
        rules: "version = 1\n".to_owned(),
        key: Secret32::from_bytes([0x3f; 32]),
        keys: vec![digest(0xde)],
        identifiers: vec![digest(0xdf)],
    }
}
