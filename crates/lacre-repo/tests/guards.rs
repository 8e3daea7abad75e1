//! Guards of an erasure: a second admin's signature, and what it binds.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test that cannot go on fails")]

mod support;

use lacre_format::{
    codec,
    erasure::Approval,
    ids::{Digest, HomeId, Millis, SnapshotId, Token},
    log::{Event, LogEntry},
    name::{Named, ObjectName},
    object::Kind,
    policy::{HomeEntry, Role},
    root::Shape,
};
use lacre_repo::{
    Error, Repository,
    home::{Home, Signer},
    op::{
        erase::{EraseReason, ErasureState, LastVerified},
        init::{CreateOptions, KitChoice},
        keys::ReadKeys,
        rotate::{Adoption, RotateOptions, RotationReport, RotationState},
    },
    store::Store,
};
use lacre_seal::sign::SigningKey;
use support::{Bench, read, rows};
use tempfile::TempDir;

struct Two {
    bench: Bench,
    /// The other admin's home.
    second: TempDir,
    made: Vec<(SnapshotId, Vec<u8>)>,
}

impl Two {
    /// A repository with three nights, one cell and two admins.
    fn new() -> Self {
        let options = CreateOptions { kit: KitChoice::None, ..Bench::options() };
        let bench = Bench::with_options(tempfile::tempdir().unwrap(), Store::memory(), options);
        let second = tempfile::tempdir().unwrap();
        let signer = Signer { home: HomeId::new([0x5a; 16]), key: SigningKey::generate().unwrap() };
        let structure = bench.repository.home().structure_key().unwrap();
        let home = Home::open(second.path()).unwrap().repository(bench.repository.id()).unwrap();
        home.keep_admin(&signer, &structure).unwrap();
        publish(&bench, |policy| {
            let like = policy.homes[0].clone();
            let entry = HomeEntry { home: signer.home, key: signer.key.public(), label: "second".to_owned(), ..like };
            assert_eq!(entry.role, Role::Admin);
            policy.homes.push(entry);
        });
        let night = |number: u64| {
            bench.clock.advance_hours(24);
            let data = rows(1_200 + number * 20, 7);
            (bench.backup("app", &[("t", Shape::Rows, &data)]).snapshot, data)
        };
        let made = (0..3).map(night).collect();
        Self { bench, second, made }
    }

    fn other(&self) -> Repository {
        let home = Home::open(self.second.path()).unwrap();
        Repository::open(self.bench.store.clone(), &home, self.bench.clock.clone()).unwrap()
    }

    fn intend(&self, snapshot: SnapshotId) -> Token {
        let plan = self.bench.repository.plan_erase(&[snapshot], LastVerified::Keep).unwrap();
        self.bench.repository.intend_erase(&plan, &EraseReason::default()).unwrap()
    }

    fn rotate(&self) -> RotationReport {
        self.bench.reopen().rotate(&RotateOptions::default(), &ReadKeys::default()).unwrap()
    }

    fn pending(&self) -> Vec<String> {
        let status = self.bench.reopen().erasures().unwrap().pop().unwrap();
        status.pending.into_iter().map(|item| item.item).collect()
    }
}

/// Publishes a policy as the first admin.
fn publish(bench: &Bench, change: impl FnOnce(&mut lacre_format::policy::Policy)) {
    let view = bench.repository.view().unwrap();
    let mut policy = view.policy.clone();
    (policy.number, policy.previous) = (policy.number + 1, Some(view.policy_digest));
    change(&mut policy);
    let admin = bench.repository.home().admin_key().unwrap();
    let payload = codec::to_cbor(&policy);
    let object = admin.key.sign(Kind::Policy, bench.repository.id(), admin.home, payload).encode(Kind::Policy);
    let name = ObjectName::of(&Named::Policy(policy.number, digest(&object)));
    let _created = bench.store.put_new(&name, object.into()).unwrap();
}

fn digest(bytes: &[u8]) -> Digest {
    Digest::new(*blake3::hash(bytes).as_bytes())
}

/// An entry that a home appends to its log.
fn append(bench: &Bench, signer: &Signer, event: &Event) {
    let view = bench.reopen().view().unwrap();
    let last = view.heads.iter().find(|head| head.home == signer.home);
    let (kind, body) = event.encode();
    let entry = LogEntry {
        repository: bench.repository.id(),
        home: signer.home,
        seq: last.map_or(0, |head| head.seq + 1),
        previous: last.map(|head| head.digest),
        at: Millis(view.policy.signed_at.0 + 400 * 3_600_000),
        kind,
        body: body.into(),
    };
    let payload = codec::to_cbor(&entry);
    let object = signer.key.sign(Kind::LogEntry, bench.repository.id(), signer.home, payload).encode(Kind::LogEntry);
    let name = ObjectName::of(&Named::Log(signer.home, entry.seq, digest(&object)));
    let _created = bench.store.put_new(&name, object.into()).unwrap();
}

#[test]
fn nothing_is_destroyed_before_another_admin_has_approved() {
    let two = Two::new();
    let (victim, _) = two.made[0].clone();
    assert!(matches!(two.bench.repository.require_approvals(2), Err(Error::Refused { .. })), "there is one other");
    two.bench.repository.require_approvals(1).unwrap();
    let erasure = two.intend(victim);
    assert_eq!(two.pending(), ["approval"]);
    let report = two.rotate();
    assert!(
        report.dropped.is_empty() && report.state == RotationState::Closed,
        "the seal may change, the snapshot stays"
    );
    assert!(matches!(read(&two.bench.reopen(), victim, &two.bench.keys(), "t"), Ok(data) if data == two.made[0].1));
    // One's own approval is none, and an unknown erasure cannot be approved.
    assert!(matches!(two.bench.repository.approve_erase(erasure), Err(Error::Refused { .. })));
    assert!(matches!(two.other().approve_erase(Token::new([9; 16])), Err(Error::Usage { .. })));
    assert!(two.rotate().dropped.is_empty());
    two.other().approve_erase(erasure).unwrap();
    assert_eq!(two.pending(), ["rotation"]);
    assert_eq!(two.rotate().dropped, [victim]);
    let status = two.bench.reopen().erasures().unwrap().pop().unwrap();
    assert_ne!(status.state, ErasureState::Pending);
    assert!(matches!(read(&two.bench.reopen(), victim, &two.bench.keys(), "t"), Err(Error::Erased { .. })));
}

#[test]
fn an_approval_binds_the_signed_intent_and_counts_only_from_an_admin() {
    let two = Two::new();
    two.bench.repository.require_approvals(1).unwrap();
    let erasure = two.intend(two.made[0].0);
    let view = two.bench.reopen().view().unwrap();
    let intent = view.ledger.standing_intents().next().unwrap().place.digest;
    let writer = two.bench.repository.home().writer_keys().unwrap().signer;
    append(&two.bench, &writer, &Event::Approval(Approval { id: erasure, intent }));
    assert_eq!(two.pending(), ["approval"], "a writer approves nothing");
    let findings = two.bench.reopen().view().unwrap().findings;
    assert!(findings.iter().any(|finding| finding.what.contains("role does not allow")), "{findings:?}");
    let second = two.other().home().admin_key().unwrap();
    append(&two.bench, &second, &Event::Approval(Approval { id: erasure, intent: digest(b"another intent") }));
    assert_eq!(two.pending(), ["approval"], "what was read is what is approved");
    append(&two.bench, &second, &Event::Approval(Approval { id: erasure, intent }));
    append(&two.bench, &second, &Event::Approval(Approval { id: erasure, intent }));
    assert_eq!(two.pending(), ["rotation"]);
}

#[test]
fn what_was_signed_under_the_guard_keeps_waiting_when_it_is_lifted() {
    let two = Two::new();
    two.bench.repository.require_approvals(1).unwrap();
    let erasure = two.intend(two.made[0].0);
    two.bench.repository.require_approvals(0).unwrap();
    assert_eq!(two.bench.reopen().view().unwrap().policy.approvals, None);
    assert!(two.rotate().dropped.is_empty());
    assert_eq!(two.pending(), ["approval"]);
    two.other().approve_erase(erasure).unwrap();
    assert_eq!(two.rotate().dropped, [two.made[0].0]);
    // Signed without the guard, it waits for nobody; with the guard raised later, it does.
    two.intend(two.made[1].0);
    assert_eq!(two.pending(), ["rotation"]);
    two.bench.repository.require_approvals(1).unwrap();
    assert_eq!(two.pending(), ["approval"]);
}

#[test]
fn a_dead_admins_claim_is_put_in_doubt_then_decided() {
    let two = Two::new();
    // The second admin claims and dies: no cell answers, so that it gets no further.
    let cell = two.bench.report.cells[0].strip_prefix("file:").unwrap().to_owned();
    let aside = format!("{cell}.aside");
    std::fs::rename(&cell, &aside).unwrap();
    let died = two.other().rotate(&RotateOptions::default(), &ReadKeys::default());
    assert!(matches!(died, Err(Error::NoSeal { .. })), "{died:?}");
    std::fs::rename(&aside, &cell).unwrap();
    let refused = two.bench.reopen().rotate(&RotateOptions::default(), &ReadKeys::default()).unwrap_err();
    assert!(matches!(&refused, Error::Overtaken { why } if why.contains("--adopt")), "{refused}");
    let options = RotateOptions { adoption: Adoption::TakeOver, ..RotateOptions::default() };
    let report = two.bench.reopen().rotate(&options, &ReadKeys::default()).unwrap();
    assert_eq!(report.state, RotationState::Closed);
    let claims = two.bench.reopen().view().unwrap().ledger.claims;
    let outcomes: Vec<_> = claims.iter().map(|state| state.outcome.unwrap()).collect();
    use lacre_format::erasure::ClaimOutcome::{Closed, Voided};
    assert_eq!(outcomes, [Voided, Closed]);
    // What was adopted names the claim whose place it took.
    assert_eq!(claims[1].claim.adopts, Some(claims[0].claim.id));
    for (snapshot, data) in &two.made {
        assert_eq!(two.bench.read(*snapshot, "t"), *data);
    }
}
