//! One of every event of a log, and what is in them.

use super::*;

/// One event of every kind this version knows, with the name of its vector.
pub(crate) fn events() -> Vec<(&'static str, Event)> {
    let named = |reason: &str| Named { snapshots: vec![SNAPSHOT, OTHER_SNAPSHOT], reason: reason.to_owned() };
    let check = CheckRecord { level: 4, snapshots: vec![SNAPSHOT], packs: 12, bytes_read: 200_000_000, findings: 0 };
    let state = KitState::Acknowledged;
    let kit = KitRecord { number: 1, generation: GENERATION, state, identity: Some([0xdb, 1, 2, 3]) };
    let prune = PruneRecord {
        plan: PLAN,
        snapshots: 5,
        packs_deleted: 12,
        packs_written: 2,
        bytes_deleted: 200_000_000,
        bytes_written: 20_000_000,
    };
    let drill = DrillRecord {
        snapshot: SNAPSHOT,
        passed: true,
        rto_ms: 93_000,
        duration_ms: 101_500,
        tables: 20,
        bytes: lacre_format::frame::padme(200_000_000),
        checks: 6,
        failed: 0,
        place: 1,
    };
    vec![
        ("event-drill", Event::Drill(drill)),
        ("event-forget", Event::Forget(named("keep-daily 7"))),
        ("event-unforget", Event::Unforget(named("still needed"))),
        ("event-hold", Event::Hold(named("audit 2026"))),
        ("event-release", Event::Release(named("audit ended"))),
        ("event-check", Event::Check(check)),
        ("event-kit", Event::Kit(kit)),
        ("event-restore", Event::Restore(RestoreRecord { snapshot: SNAPSHOT, ended: true, restore: None })),
        ("event-prune", Event::Prune(prune)),
        ("event-adopt", Event::Adopt(adoption())),
        ("event-run", Event::Run(run_record())),
        ("event-late", Event::Late(Late { entry: ChainHead { home: HOME, seq: 24, digest: digest(0x24) } })),
        ("event-revoking", Event::Revoking(Revoking { home: HOME })),
        (
            "event-recipient-removed",
            Event::RecipientRemoved(RecipientRemoved { id: ERASURE, policy: 3, recipient: digest(0xdf) }),
        ),
        ("event-rewrapped", Event::Rewrapped(Rewrapped { to: NEXT, below: 3, wrapped: 29, left: vec![SNAPSHOT] })),
        ("event-repair", Event::Repair(repair())),
        (
            "event-loss",
            Event::Loss(LossRecord {
                snapshots: vec![Incomplete { snapshot: SNAPSHOT, frames: 120 }],
                packs: vec![PackName::new([0x88; 32])],
                findings: vec![[0xf1; 16].into()],
            }),
        ),
        (
            "event-probe",
            Event::Probe(ProbeRecord {
                conditional: 1,
                versioning: 2,
                object_lock: 3,
                lock_days: 30,
                consistent: true,
                deletes: 3,
                skew_ms: Some(-1500),
            }),
        ),
    ]
    .into_iter()
    .chain(erasure_events())
    .chain(persons::events())
    .collect()
}

pub(crate) const CLAIM: Token = Token::new([0x61; 16]);
pub(crate) const ERASURE: Token = Token::new([0x62; 16]);
pub(crate) const NEXT: GenerationId = GenerationId { number: 4, hash: [9, 8, 7, 6, 5, 4, 3, 2] };

/// The receipt of an erasure that is not complete.
fn receipt(destroyed: Destroyed, lost: Attestation) -> Receipt {
    Receipt {
        erasure: ERASURE,
        kind: ErasureKind::Snapshots,
        complete: false,
        snapshots: vec![ErasedSnapshot { snapshot: SNAPSHOT, commitment: digest(0xd4) }],
        from: GENERATION,
        to: NEXT,
        bundle: digest(0xd8),
        cells: vec![destroyed],
        kits: vec![KitEvidence { number: 1, generation: GENERATION, destroyed: false }],
        pending: vec!["kit:2: not destroyed".to_owned()],
        declared: vec![lost],
        bytes_dead: 4096,
        bytes_shared: 65_536,
        reason: "art17".to_owned(),
        request: Some(digest(0xdb)),
        intended: TAKEN,
        signed: TAKEN,
        physical: None,
        person: None,
    }
}

/// Events of changing the seal and of erasing.
fn erasure_events() -> Vec<(&'static str, Event)> {
    let destroyed = Destroyed {
        claim: CLAIM,
        cell: "file:/srv/seal.cell".to_owned(),
        generation: GENERATION,
        evidence: "1 slot overwritten".to_owned(),
    };
    let lost = Attestation { item: "kit:1".to_owned(), state: Declared::Lost, generation: None };
    let gone = Attestation {
        item: "cell:file:/srv/seal.cell".to_owned(),
        state: Declared::Destroyed,
        generation: Some(GENERATION),
    };
    let receipt = receipt(destroyed.clone(), lost.clone());
    let intent = EraseIntent {
        id: ERASURE,
        snapshots: vec![SNAPSHOT],
        reason: "art17".to_owned(),
        request: Some(digest(0xdb)),
        not_before: Some(TAKEN),
        approvals: None,
    };
    let guarded = EraseIntent { approvals: Some(1), ..intent.clone() };
    let pointer = PointerRecord {
        number: 2,
        state: KitState::Issued,
        words: [0xdc, 1, 2, 3],
        cells: vec!["s3://astro-seal/seal?region=eu-west-1&credentials=seal".to_owned()],
    };
    let rotated = Rotated {
        claim: CLAIM,
        from: GENERATION,
        to: NEXT,
        policy: 3,
        bundle: digest(0xd8),
        carried: 30,
        dropped: vec![SNAPSHOT],
    };
    vec![
        (
            "event-claim",
            Event::Claim(Claim { id: CLAIM, from: GENERATION, purpose: Purpose::Erase, adopts: Some(ERASURE) }),
        ),
        ("event-claim-end", Event::ClaimEnd(ClaimEnd { id: CLAIM, outcome: ClaimOutcome::Closed })),
        ("event-erase-intent", Event::EraseIntent(intent)),
        ("event-rotated", Event::Rotated(rotated)),
        ("event-destroyed", Event::Destroyed(destroyed)),
        ("event-attestation", Event::Attestation(lost)),
        (
            "event-restore-named",
            Event::Restore(RestoreRecord { ended: false, snapshot: SNAPSHOT, restore: Some(CLAIM) }),
        ),
        ("event-attestation-of-a-cell", Event::Attestation(gone)),
        ("event-receipt", Event::Receipt(Box::new(receipt))),
        ("event-erase-intent-guarded", Event::EraseIntent(guarded)),
        ("event-pointer", Event::Pointer(pointer)),
        ("event-approval", Event::Approval(Approval { id: ERASURE, intent: digest(0xdd) })),
        ("event-intent-end", Event::IntentEnd(IntentEnd { id: ERASURE })),
    ]
}

/// A receipt that names what a copy still holds.
pub(crate) fn receipt_with_copies() -> Receipt {
    let receipt = erasure_events().into_iter().find_map(|(_, event)| match event {
        Event::Receipt(receipt) => Some(*receipt),
        _ => None,
    });
    let lines = vec!["copy offsite: 12 objects sealed to generation 3".to_owned()];
    Receipt { physical: Some(Physical { lines }), ..receipt.unwrap() }
}

fn repair() -> RepairRecord {
    RepairRecord { fetched: 2, corrected: 1, rebuilt: 1, bytes: 33_000_000, left: 1 }
}
