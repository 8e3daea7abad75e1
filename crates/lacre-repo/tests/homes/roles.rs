//! Each event and each object from each role: believed exactly where the table says, reported everywhere else.

use lacre_format::{
    authority::Authority,
    codec,
    erasure::{
        Attestation, Claim, ClaimEnd, ClaimOutcome, Declared, Destroyed, EraseIntent, ErasureKind, IntentEnd, Purpose,
        Receipt, Rotated,
    },
    gc::{GcPlan, GcStage, GcStep},
    ids::{Digest, GenerationId, Millis, PlanId, SnapshotId, Token},
    keyring::BundleList,
    log::{
        CheckRecord, Event, KitRecord, Named as NamedSnapshots, ProbeRecord, PruneRecord, RecipientRemoved,
        RestoreRecord, Revoking, Rewrapped,
    },
    name::{Named, ObjectName},
    object::Kind,
    policy::{KitState, Role},
    root::Shape,
    session::{Void, VoidStage},
};
use lacre_repo::{Severity, op::snapshots::SnapshotState};

use crate::{
    common::{Machine, about, admin, publish, put, view, writer},
    support::{Bench, rows},
};

const ROLES: [Role; 3] = [Role::Writer, Role::Maintenance, Role::Admin];
const CLAIM: Token = Token::new([0x61; 16]);
const GENERATION: GenerationId = GenerationId { number: 7, hash: [7; 8] };

fn receipt() -> Receipt {
    Receipt {
        erasure: CLAIM,
        kind: ErasureKind::Snapshots,
        complete: true,
        snapshots: Vec::new(),
        from: GENERATION,
        to: GENERATION,
        bundle: Digest::new([1; 32]),
        cells: Vec::new(),
        kits: Vec::new(),
        pending: Vec::new(),
        declared: Vec::new(),
        bytes_dead: 0,
        bytes_shared: 0,
        reason: String::new(),
        request: None,
        intended: Millis(0),
        signed: Millis(0),
        person: None,
        physical: None,
    }
}

/// One of each event, about one snapshot and one home.
fn events(snapshot: SnapshotId, home: lacre_format::ids::HomeId) -> Vec<Event> {
    let named = || NamedSnapshots { snapshots: vec![snapshot], reason: "test".to_owned() };
    let rotated = Rotated {
        claim: CLAIM,
        from: GENERATION,
        to: GENERATION,
        policy: 9,
        bundle: Digest::new([1; 32]),
        carried: 0,
        dropped: vec![snapshot],
    };
    let destroyed =
        Destroyed { claim: CLAIM, cell: "file:/x".to_owned(), generation: GENERATION, evidence: String::new() };
    let intent = EraseIntent {
        id: CLAIM,
        snapshots: vec![snapshot],
        reason: String::new(),
        request: None,
        not_before: None,
        approvals: None,
    };
    let probe = ProbeRecord {
        conditional: 1,
        versioning: 1,
        object_lock: 1,
        lock_days: 0,
        consistent: true,
        deletes: 1,
        skew_ms: None,
    };
    let prune = PruneRecord {
        plan: PlanId::new([9; 16]),
        snapshots: 0,
        packs_deleted: 0,
        packs_written: 0,
        bytes_deleted: 0,
        bytes_written: 0,
    };
    vec![
        Event::Forget(named()),
        Event::Unforget(named()),
        Event::Hold(named()),
        Event::Release(named()),
        Event::Check(CheckRecord { level: 4, snapshots: vec![snapshot], packs: 0, bytes_read: 0, findings: 0 }),
        Event::Kit(KitRecord { number: 9, generation: GENERATION, state: KitState::Acknowledged, identity: None }),
        Event::Restore(RestoreRecord { snapshot, ended: false, restore: None }),
        Event::Probe(probe),
        Event::Claim(Claim { id: CLAIM, from: GENERATION, purpose: Purpose::Rotate, adopts: None }),
        Event::ClaimEnd(ClaimEnd { id: CLAIM, outcome: ClaimOutcome::Voided }),
        Event::EraseIntent(intent),
        Event::Rotated(rotated),
        Event::Destroyed(destroyed),
        Event::Attestation(Attestation { item: "kit:9".to_owned(), state: Declared::Lost, generation: None }),
        Event::Receipt(Box::new(receipt())),
        Event::IntentEnd(IntentEnd { id: CLAIM }),
        Event::Prune(prune),
        Event::Revoking(Revoking { home }),
        Event::RecipientRemoved(RecipientRemoved { id: CLAIM, policy: 9, recipient: Digest::new([1; 32]) }),
        Event::Rewrapped(Rewrapped { to: GENERATION, below: 9, wrapped: 0, left: Vec::new() }),
    ]
}

/// A bench with one snapshot, and a machine of each role besides the ones that `init` made.
fn site() -> (Bench, SnapshotId, [Machine; 3]) {
    let bench = Bench::new();
    let made = bench.backup("app", &[("t", Shape::Rows, &rows(200, 1))]).snapshot;
    let machines = [1, 2, 3].map(Machine::new);
    publish(&bench, &admin(&bench), |policy| {
        policy.homes.extend(machines.iter().zip(ROLES).map(|(machine, role)| machine.entry(role)));
    });
    (bench, made, machines)
}

#[test]
fn an_event_is_believed_only_of_a_home_whose_role_allows_it() {
    let count = events(SnapshotId::new([0; 16]), writer(&Bench::in_memory()).home).len();
    let (bench, made, machines) = site();
    let mut refused = 0;
    for (machine, role) in machines.iter().zip(ROLES) {
        for event in events(made, machines[0].home) {
            let name = machine.say(&bench, &event);
            let seen = view(&bench.repository);
            let object: String = name.as_str().chars().take("log/".len() + 32 + 1 + 8).collect();
            let what: Vec<&str> = about(&seen, &object).iter().map(|finding| finding.what.as_str()).collect();
            let allowed = Authority::of_event(&event).admits(role);
            let is_forget = matches!(event, Event::Forget(_)) && role != Role::Admin;
            let expected: &[&str] = match (allowed, is_forget) {
                // The policy of the bench delegates nothing.
                (_, true) => &["a forget, and the policy leaves retention to admins alone"],
                (true, false) => &[],
                (false, false) => &["an event that its signer's role does not allow"],
            };
            assert_eq!(what, expected, "{role:?} {event:?}");
            refused += usize::from(!allowed);
            if role != Role::Admin {
                assert!(seen.is_live(made), "{role:?} {event:?}");
                assert_eq!((seen.held.len(), seen.ledger.claims.len(), seen.revoking.len()), (0, 0, 0), "{event:?}");
            }
        }
    }
    // Of all events four are any home's (one of them by rules), two are maintenance's too.
    assert_eq!(refused, (count - 3) + (count - 5));
}

#[test]
fn a_check_counts_only_of_another_home_that_may_check() {
    let (bench, made, machines) = site();
    let check = |level| CheckRecord { level, snapshots: vec![made], packs: 0, bytes_read: 0, findings: 0 };
    writer(&bench).say(&bench, &Event::Check(check(6)));
    machines[0].say(&bench, &Event::Check(check(6)));
    machines[1].say(&bench, &Event::Check(check(3)));
    assert!(view(&bench.repository).verified.is_empty());
    machines[1].say(&bench, &Event::Check(check(4)));
    assert!(view(&bench.repository).verified.contains(&made));
}

#[test]
fn nobody_ends_the_restore_of_another() {
    let (bench, made, machines) = site();
    let restore = |ended| Event::Restore(RestoreRecord { snapshot: made, ended, restore: None });
    machines[1].say(&bench, &restore(false));
    machines[0].say(&bench, &restore(true));
    assert!(view(&bench.repository).ledger.restoring.contains_key(&made));
    machines[1].say(&bench, &restore(true));
    assert!(!view(&bench.repository).ledger.restoring.contains_key(&made));
}

/// The objects outside of logs, signed by one machine.
fn objects(bench: &Bench, made: SnapshotId, by: &Machine, number: u8) -> Vec<(Kind, ObjectName)> {
    let repository = bench.repository.id();
    let plan = PlanId::new([number; 16]);
    let void = Void { repository, snapshot: made, at: Millis(0), stage: VoidStage::Final };
    let claim = GcStep {
        repository,
        plan,
        at: Millis(0),
        stage: GcStage::Decided,
        sessions: Vec::new(),
        packs: Vec::new(),
        snapshots: Vec::new(),
    };
    let condemns = GcPlan {
        repository,
        plan,
        made: Millis(0),
        delete: Vec::new(),
        repack: Vec::new(),
        outputs: Vec::new(),
        snapshots: Vec::new(),
        sessions: Vec::new(),
        segments: Vec::new(),
        merged: Vec::new(),
    };
    let void = by.sign(bench, Kind::Void, codec::to_cbor(&void));
    let step = by.sign(bench, Kind::GcStep, codec::to_cbor(&claim));
    let condemns = by.sign(bench, Kind::GcPlan, codec::to_cbor(&condemns));
    let snapshot = SnapshotId::new([number; 16]);
    vec![
        (Kind::Void, put(bench, &Named::Void(made), void)),
        (Kind::GcStep, put(bench, &Named::GcDecided(plan), step)),
        (Kind::GcPlan, put(bench, &Named::GcPlan(plan), condemns)),
        (Kind::Snapshot, by.snapshot_like(bench, made, snapshot, |_| {})),
    ]
}

#[test]
fn an_object_is_believed_only_of_a_home_whose_role_allows_it() {
    for (number, role) in (1u8..).zip(ROLES) {
        let (bench, made, machines) = site();
        for (kind, name) in objects(&bench, made, &machines[usize::from(number) - 1], number) {
            let seen = view(&bench.repository);
            let findings = about(&seen, name.as_str());
            let allowed = Authority::of_object(kind).admits(role);
            let refused = findings.iter().any(|finding| finding.what.contains("role does not allow it"));
            assert_eq!(refused, !allowed, "{role:?} {kind:?}: {findings:?}");
            // What lacks standing is no damage: nothing that was there before is less than it was.
            assert!(findings.iter().all(|finding| finding.severity <= Severity::Warning), "{findings:?}");
        }
        let seen = view(&bench.repository);
        assert_eq!(seen.voided.contains(&made), role != Role::Writer, "{role:?}");
        assert_eq!(seen.snapshots.contains_key(&SnapshotId::new([number; 16])), role != Role::Maintenance, "{role:?}");
        assert_eq!(seen.plans.known.len(), usize::from(role != Role::Writer), "{role:?}");
    }
}

#[test]
fn a_list_of_entries_is_believed_of_an_admin_alone() {
    let (bench, _, machines) = site();
    let generation = view(&bench.repository).policy.generation;
    let path = bench.directory.path().join("repository").join(ObjectName::of(&Named::BundleList(generation)).as_str());
    let list = BundleList { generation, bundle: Digest::new([0; 32]), entries: Vec::new() };
    for machine in &machines[..2] {
        std::fs::write(&path, machine.sign(&bench, Kind::BundleList, codec::to_cbor(&list))).unwrap();
        let refused = bench.repository.rotate(&lacre_repo::op::rotate::RotateOptions::default(), &bench.keys());
        let error = refused.unwrap_err();
        assert!(error.to_string().contains("role does not allow it"), "{error}");
    }
}

#[test]
fn an_unknown_signers_snapshot_is_reported_and_displaces_none() {
    let (bench, made, _) = site();
    let stranger = Machine::new(9);
    let forged = SnapshotId::new([0xee; 16]);
    let name = stranger.snapshot_like(&bench, made, forged, |header| header.taken.0 += 1_000);
    let listed = bench.repository.snapshots().unwrap();
    assert_eq!(listed.rows.len(), 1);
    assert_eq!(listed.rows[0].state, SnapshotState::Live);
    let finding = listed.findings.iter().find(|finding| finding.object == name.as_str()).unwrap();
    assert_eq!(finding.severity, Severity::Warning, "{finding:?}");
    assert!(finding.what.contains("its signer is in no policy"), "{finding:?}");
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    assert_eq!(bench.repository.resolve("latest", &now).unwrap(), made);
    let asked = bench.repository.resolve("eeee", &now).unwrap_err();
    assert!(asked.to_string().contains("its signer is in no policy"), "{asked}");
    // The next night builds on the snapshot that is there, and nothing stops a collection.
    let next = bench.backup("app", &[("t", Shape::Rows, &rows(200, 1))]);
    assert_eq!(next.chunks_new, 0);
}
