//! An erasure of a person beside others who work in the same repository: a collector, a second admin, a rotation.

use lacre_format::{
    codec,
    erasure::{ClaimOutcome, Successor},
    ids::{Digest, HomeId, Token},
    name::{Named, ObjectName},
    object::Kind,
    policy::HomeEntry,
};
use lacre_repo::{
    home::Signer,
    op::{
        erase::{
            EraseReason,
            person::{Figures, Memo, Rewrite},
        },
        snapshots::SnapshotRow,
    },
};
use lacre_seal::sign::SigningKey;

use super::{
    support::person::{Leave, account, look},
    *,
};

/// A second admin, on a machine of their own.
struct Second {
    directory: tempfile::TempDir,
}

impl Second {
    fn enrol(bench: &Bench, number: u8) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let signer = Signer { home: HomeId::new([number; 16]), key: SigningKey::generate().unwrap() };
        let structure = bench.repository.home().structure_key().unwrap();
        let home = Home::open(directory.path()).unwrap().repository(bench.repository.id()).unwrap();
        home.keep_admin(&signer, &structure).unwrap();
        let view = bench.repository.view().unwrap();
        let mut policy = view.policy.clone();
        (policy.number, policy.previous) = (policy.number + 1, Some(view.policy_digest));
        let like = policy.homes[0].clone();
        policy.homes.push(HomeEntry {
            home: signer.home,
            key: signer.key.public(),
            label: "second".to_owned(),
            ..like
        });
        let admin = bench.repository.home().admin_key().unwrap();
        let object = admin.key.sign(Kind::Policy, bench.repository.id(), admin.home, codec::to_cbor(&policy));
        let object = object.encode(Kind::Policy);
        let digest = Digest::new(*blake3::hash(&object).as_bytes());
        let name = ObjectName::of(&Named::Policy(policy.number, digest));
        let _created = bench.store.put_new(&name, object.into()).unwrap();
        Self { directory }
    }

    fn open(&self, bench: &Bench) -> Repository {
        let home = Home::open(self.directory.path()).unwrap();
        Repository::open(bench.store.clone(), &home, bench.clock.clone()).unwrap()
    }
}

/// An erasure on its way.
struct Under<'r> {
    erasure: Token,
    rewrite: Rewrite<'r>,
    memo: Memo,
    figures: Vec<Figures>,
    held: Vec<SnapshotRow>,
}

fn leave() -> Leave {
    Leave { person: PERSON, rewritten: 0 }
}

impl<'r> Under<'r> {
    fn intend(repository: &Repository) -> Token {
        let scope = repository.scope_person(&[]).unwrap();
        repository.intend_person(&scope, &EraseReason::default()).unwrap()
    }

    /// Everything before the sessions of the successors are opened.
    fn look(repository: &'r Repository, erasure: Token, keys: &ReadKeys) -> Self {
        let scope = repository.scope_intended(erasure).unwrap();
        let mut rewrite = repository.open_covered(&scope.covered, keys, Arc::new(Silent)).unwrap();
        let mut memo = Memo::default();
        let (_, figures) = look(&mut rewrite, &PERSON, &mut memo).unwrap();
        Self { erasure, rewrite, memo, figures, held: scope.held }
    }

    fn rebuild(&mut self) -> Result<Vec<Successor>, Error> {
        for (at, figures) in self.figures.clone().into_iter().enumerate() {
            self.rewrite.rebuild(at, 0, &self.memo, &mut leave(), figures)?;
        }
        self.rewrite.commit().map(|made| made.successors)
    }

    fn record(&self, repository: &Repository, made: &[Successor]) -> Result<(), Error> {
        repository.record_rewritten(made, &self.held, &account(self.erasure))
    }
}

fn assert_as_they_were(bench: &Bench, made: &[(SnapshotId, Vec<u8>)]) {
    let live = in_state(&bench.reopen(), SnapshotState::Live);
    assert_eq!(live, made.iter().map(|night| night.0).collect::<Vec<_>>());
    for (old, data) in made {
        assert!(read(&bench.reopen(), *old, &bench.keys(), "t").unwrap() == *data);
    }
}

/// Whatever has an open session or is void is an old enough object for whoever looks at this time.
fn collect(repository: &Repository) {
    let options = PruneOptions {
        economy: Economy { gain_percent_min: 0.0, dead_percent_min: 0.1, repack_percent_max: 100.0 },
        skew_max: Duration::MAX,
        void_after: Duration::ZERO,
        ..PruneOptions::default()
    };
    repository.prune(&options, &Silent).unwrap();
}

#[test]
fn a_run_that_slept_until_its_sessions_were_voided_records_nothing() {
    for packs_are_there in [false, true] {
        let bench = alone();
        let made = nights(&bench, 0..3);
        let second = Second::enrol(&bench, 0x5a);
        // Something to collect, so that the other admin's collection has sessions to wait for.
        let garbage = bench.backup("other", &[("t", Shape::Rows, &support::rows(900, 9))]).snapshot;
        let erasure = Under::intend(&bench.repository);
        bench.repository.forget_one(garbage).unwrap();
        let mut under = Under::look(&bench.repository, erasure, &bench.keys());
        under.rewrite.begin(erasure).unwrap();
        if packs_are_there {
            for (at, figures) in under.figures.clone().into_iter().enumerate() {
                under.rewrite.rebuild(at, 0, &under.memo, &mut leave(), figures).unwrap();
            }
        }
        bench.clock.set_ahead_hours(24 * 400);
        collect(&second.open(&bench));
        let voids = bench.store.list("void").unwrap().objects.len();
        assert_eq!(voids, 6, "an intent and a void for each session");
        let refused = if packs_are_there { under.rewrite.commit().map(drop) } else { under.rebuild().map(drop) };
        let refused = refused.unwrap_err();
        assert!(matches!(&refused, Error::Overtaken { why } if why.contains("voided")), "{refused}");
        drop(under);
        assert_as_they_were(&bench, &made);
        assert_eq!(rotate(&bench.reopen()), RotationState::Closed);
        assert_as_they_were(&bench, &made);
        // Run again it finds everything, and ends.
        rewrite(&bench.reopen(), &bench.keys()).unwrap();
        assert_eq!(rotate(&bench.reopen()), RotationState::Closed);
        assert_without(&bench, &made);
        assert_sound(&bench);
    }
}

#[test]
fn successors_that_were_voided_after_their_commit_are_not_recorded() {
    let bench = alone();
    let made = nights(&bench, 0..2);
    let erasure = Under::intend(&bench.repository);
    let mut under = Under::look(&bench.repository, erasure, &bench.keys());
    under.rewrite.begin(erasure).unwrap();
    let successors = under.rebuild().unwrap();
    let admin = bench.repository.home().admin_key().unwrap();
    let void = lacre_format::session::Void {
        repository: bench.repository.id(),
        snapshot: successors[0].new,
        at: lacre_format::ids::Millis(0),
        stage: lacre_format::session::VoidStage::Final,
    };
    let object = admin.key.sign(Kind::Void, bench.repository.id(), admin.home, codec::to_cbor(&void));
    let name = ObjectName::of(&Named::Void(successors[0].new));
    let _created = bench.store.put_new(&name, object.encode(Kind::Void).into()).unwrap();
    let refused = under.record(&bench.repository, &successors).unwrap_err();
    assert!(matches!(&refused, Error::Overtaken { why } if why.contains("does not count any more")), "{refused}");
    assert_as_they_were(&bench, &made);
    let claims = bench.reopen().view().unwrap().ledger.claims;
    assert_eq!(claims.last().unwrap().outcome, Some(ClaimOutcome::Withdrawn), "nobody else is kept from working");
}

/// Two admins of whom each has intended, begun and committed before either records.
fn both_begin(later_first: Order) {
    let bench = alone();
    let made = nights(&bench, 0..2);
    // Erasures are carried out in the order of their homes: this one stands before, or behind, the first admin's.
    let own = bench.repository.home().admin_key().unwrap().home;
    let number = if own.as_bytes()[0] >= 0x80 { 0x01 } else { 0xfe };
    let second = Second::enrol(&bench, number);
    let other = second.open(&bench);
    let second_is_first = number == 0x01;
    let (early, late) = if second_is_first { (&other, &bench.repository) } else { (&bench.repository, &other) };
    // The one that comes behind passes its begin before the other is intended; after that the other passes, too.
    let b = Under::intend(late);
    let mut b = Under::look(late, b, &bench.keys());
    b.rewrite.begin(b.erasure).unwrap();
    let a = Under::intend(early);
    let mut a = Under::look(early, a, &bench.keys());
    a.rewrite.begin(a.erasure).unwrap();
    let (of_a, of_b) = (a.rebuild().unwrap(), b.rebuild().unwrap());
    if later_first == Order::Late {
        assert!(matches!(b.record(late, &of_b), Err(Error::Refused { .. })), "the other one comes first");
    }
    a.record(early, &of_a).unwrap();
    let refused = b.record(late, &of_b).unwrap_err();
    assert!(matches!(&refused, Error::Overtaken { why } if why.contains("run it again")), "{refused}");
    drop((a, b));
    assert_without(&bench, &made);
    assert_eq!(rotate(&bench.reopen()), RotationState::Closed);
    assert_without(&bench, &made);
    // The other erasure goes on, over the successors of the first.
    let again = if second_is_first { bench.reopen() } else { second.open(&bench) };
    rewrite(&again, &bench.keys()).unwrap();
    assert_eq!(rotate(&bench.reopen()), RotationState::Closed);
    assert_without(&bench, &made);
    assert_sound(&bench);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Early,
    Late,
}

#[test]
fn of_two_erasures_that_were_begun_beside_each_other_one_is_recorded() {
    both_begin(Order::Early);
    both_begin(Order::Late);
}

#[test]
fn a_snapshot_that_was_forgotten_while_it_was_rewritten_does_not_come_back() {
    let bench = alone();
    let made = nights(&bench, 0..2);
    let erasure = Under::intend(&bench.repository);
    let mut under = Under::look(&bench.repository, erasure, &bench.keys());
    under.rewrite.begin(erasure).unwrap();
    let successors = under.rebuild().unwrap();
    bench.reopen().forget_one(made[0].0).unwrap();
    let refused = under.record(&bench.repository, &successors).unwrap_err();
    assert!(matches!(&refused, Error::Overtaken { why } if why.contains("forgotten or erased")), "{refused}");
    drop(under);
    rewrite(&bench.reopen(), &bench.keys()).unwrap();
    assert_eq!(rotate(&bench.reopen()), RotationState::Closed);
    assert_without(&bench, &made[1..]);
}

/// Says that a process has ended, also when it panics.
struct EndAtDrop<'a>(&'a Schedule);

impl Drop for EndAtDrop<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[test]
fn an_erasure_is_given_up_before_a_rotation_left_its_snapshots_behind_or_not_at_all() {
    let (mut given_up, mut refused) = (0, 0);
    for requests in 0.. {
        let bench = alone();
        let made = nights(&bench, 0..1);
        let done = rewrite(&bench.repository, &bench.keys()).unwrap();
        let second = Second::enrol(&bench, 0x5a);
        let schedule = Arc::new(Schedule::after(requests));
        let (ended, outcome, rotated) = std::thread::scope(|scope| {
            let rotation = scope.spawn(|| {
                let _end = EndAtDrop(&schedule);
                let repository = bench.reopen_over(bench.store.with_schedule(Arc::clone(&schedule)));
                repository.rotate(&RotateOptions::default(), &ReadKeys::default())
            });
            let stand = schedule.stand();
            let outcome = second.open(&bench).cancel_erase(done.erasure);
            schedule.release();
            (stand == Stand::Ended, outcome, rotation.join().unwrap())
        });
        assert!(rotated.is_ok() || matches!(rotated, Err(Error::Overtaken { .. })), "{requests}: {rotated:?}");
        assert_eq!(rotate(&bench.reopen()), RotationState::Closed, "{requests}");
        match outcome {
            Ok(()) => {
                given_up += 1;
                assert_as_they_were(&bench, &made);
            }
            Err(error) => {
                refused += 1;
                assert!(matches!(error, Error::Overtaken { .. } | Error::Refused { .. }), "{requests}: {error}");
                assert_without(&bench, &made);
            }
        }
        if ended {
            break;
        }
    }
    assert!(given_up > 3 && refused > 3, "{given_up} given up, {refused} refused");
}
