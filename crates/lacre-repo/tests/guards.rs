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
use support::{
    Bench,
    person::{Person, go_on, rewrite},
    read, rows,
};
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
fn what_nobody_else_has_approved_is_a_survivor_and_its_key_must_be_there() {
    let two = Two::new();
    two.bench.repository.require_approvals(1).unwrap();
    let (victim, _) = two.made[0].clone();
    two.intend(victim);
    let entries = two.bench.store.list("keyring/in").unwrap().objects;
    let entry = entries.iter().find(|object| object.name.contains(&victim.to_string())).unwrap();
    let name = ObjectName::from_path(&entry.name).unwrap();
    let bytes = two.bench.store.get(&name, 1 << 20).unwrap();
    two.bench.store.delete(&name).unwrap();
    let refused = two.bench.reopen().rotate(&RotateOptions::default(), &ReadKeys::default());
    assert!(matches!(&refused, Err(Error::EntryMissing { snapshot }) if *snapshot == victim), "{refused:?}");
    let _created = two.bench.store.put_new(&name, bytes).unwrap();
    assert_eq!(two.rotate().state, RotationState::Closed);
    assert!(matches!(read(&two.bench.reopen(), victim, &two.bench.keys(), "t"), Ok(data) if data == two.made[0].1));
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

/// Whoever has 7 at the end of the first field.
const PERSON: Person = Person {
    is_theirs: |row| row.split(|byte| *byte == b'\t').next().is_some_and(|id| id.ends_with(b"77")),
    key: b"77",
    jobs: &[],
};

#[test]
fn a_person_stays_in_old_snapshots_until_another_admin_has_approved_and_the_cool_down_has_ended() {
    let two = Two::new();
    two.bench.repository.require_approvals(1).unwrap();
    let repository = &two.bench.repository;
    let scope = repository.scope_person(&[]).unwrap();
    let ends = two.bench.now() + 48 * 3_600_000;
    let reason = EraseReason { not_before: Some(Millis(ends)), ..EraseReason::default() };
    let erasure = repository.intend_person(&scope, &reason).unwrap();
    assert_eq!(two.pending(), ["rewrite", "approval", "cool-down"]);
    // It can be approved before its snapshots are made; what is approved is the signed intent, whatever the policy says later.
    two.bench.repository.require_approvals(0).unwrap();
    assert_eq!(two.pending(), ["rewrite", "approval", "cool-down"]);
    let done = go_on(repository, &two.bench.keys(), &PERSON, erasure).unwrap();
    assert_eq!(two.pending(), ["approval", "cool-down"]);
    let old: Vec<SnapshotId> = two.made.iter().map(|night| night.0).collect();
    let still_there = |two: &Two| {
        assert!(two.rotate().dropped.is_empty(), "the seal may change, the snapshots stay");
        for (snapshot, data) in &two.made {
            assert!(read(&two.bench.reopen(), *snapshot, &two.bench.keys(), "t").is_ok_and(|read| read == *data));
        }
    };
    still_there(&two);
    assert!(matches!(repository.approve_erase(erasure), Err(Error::Refused { .. })), "one's own approval is none");
    two.other().approve_erase(erasure).unwrap();
    assert_eq!(two.pending(), ["cool-down"]);
    still_there(&two);
    two.bench.clock.advance_hours(49);
    assert_eq!(two.pending(), ["rotation"]);
    let mut dropped = two.rotate().dropped;
    let mut wanted = old;
    dropped.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(dropped, wanted);
    for (pair, (_, data)) in done.successors.iter().zip(&two.made) {
        assert!(matches!(read(&two.bench.reopen(), pair.old, &two.bench.keys(), "t"), Err(Error::Erased { .. })));
        assert!(two.bench.read(pair.new, "t") == PERSON.without(data));
    }
}

#[test]
fn two_runs_of_one_erasure_make_one_set_of_successors() {
    let two = Two::new();
    let repository = &two.bench.repository;
    let scope = repository.scope_person(&[]).unwrap();
    let erasure = repository.intend_person(&scope, &EraseReason::default()).unwrap();
    // A run that listed before another one recorded finds the snapshots replaced.
    let silent = || std::sync::Arc::new(lacre_repo::Silent);
    let scope = repository.scope_intended(erasure).unwrap();
    let other = two.bench.reopen();
    let mut late = other.open_covered(&scope.covered, &two.bench.keys(), silent()).unwrap();
    let done = go_on(repository, &two.bench.keys(), &PERSON, erasure).unwrap();
    let refused = late.begin(erasure).unwrap_err();
    assert!(matches!(&refused, Error::Overtaken { why } if why.contains("lacre erase resume")), "{refused}");
    assert_eq!(done.successors.len(), 3);
    assert_eq!(repository.rewritten_persons().unwrap(), [erasure]);
    assert!(repository.unfinished_persons().unwrap().is_empty());
    two.rotate();
    assert!(repository.rewritten_persons().unwrap().is_empty());
}

#[test]
fn an_intent_that_says_nothing_of_a_person_is_told_from_one_that_does() {
    let two = Two::new();
    let repository = &two.bench.repository;
    let scope = repository.scope_person(&[]).unwrap();
    let nameless = repository.intend_person(&scope, &EraseReason::default()).unwrap();
    assert_eq!(repository.nameless_persons(&scope.jobs).unwrap(), [nameless]);
    assert!(repository.nameless_persons(&[]).unwrap().is_empty(), "of just these jobs");
    assert!(two.other().nameless_persons(&scope.jobs).unwrap().is_empty(), "another admin's is not ours to give up");
    repository.cancel_erase(nameless).unwrap();
    assert!(repository.nameless_persons(&scope.jobs).unwrap().is_empty());
    let named = rewrite(repository, &two.bench.keys(), &PERSON).unwrap().erasure;
    assert_ne!(named, nameless);
    assert!(repository.nameless_persons(&scope.jobs).unwrap().is_empty());
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
