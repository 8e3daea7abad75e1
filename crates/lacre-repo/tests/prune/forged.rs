//! What others put into the store: unsigned markers, claims without a right, packs that claim the births of others.

use lacre_format::{
    codec,
    gc::GcPlan,
    ids::{HomeId, Millis, PackName, PlanId, SnapshotId},
    name::{Named, ObjectName},
    object::Kind as ObjectKind,
    root::Shape,
    session::{Void, VoidStage},
};
use lacre_repo::{Severity, op::prune::PruneState};
use lacre_seal::sign::SigningKey;

use crate::{
    common::{names, night, prune, whole},
    support::Bench,
};

const ROWS: u64 = 3_000;

fn put(bench: &Bench, named: &Named, bytes: Vec<u8>) {
    let outcome = bench.store.put_new(&ObjectName::of(named), bytes.into()).unwrap();
    assert_eq!(outcome, lacre_repo::store::PutOutcome::Created);
}

#[test]
fn unsigned_and_unknown_markers_and_plans_change_nothing_and_are_named() {
    let bench = Bench::new();
    let made: Vec<_> = (0..3).map(|n| bench.backup("app", &[("t", Shape::Rows, &night(n, ROWS))]).snapshot).collect();
    let repository = bench.repository.id();
    let stranger = SigningKey::from_seed(&[7; 32]);
    let home = HomeId::new([7; 16]);
    let packs: Vec<PackName> =
        names(&bench, "packs").iter().map(|name| PackName::parse(name.rsplit('/').next().unwrap()).unwrap()).collect();
    // A session nobody opened, a void nobody may give, a plan that condemns everything.
    let session = SnapshotId::new([1; 16]);
    put(&bench, &Named::Session(session), b"not even an object".to_vec());
    let void = Void { repository, snapshot: made[2], at: Millis(0), stage: VoidStage::Final };
    let signed = stranger.sign(ObjectKind::Void, repository, home, codec::to_cbor(&void));
    put(&bench, &Named::Void(made[2]), signed.encode(ObjectKind::Void));
    let id = PlanId::new([9; 16]);
    let plan = GcPlan {
        repository,
        plan: id,
        made: Millis(0),
        delete: packs.clone(),
        repack: Vec::new(),
        outputs: packs,
        snapshots: Vec::new(),
        sessions: made.clone(),
        segments: Vec::new(),
        merged: Vec::new(),
    };
    let signed = stranger.sign(ObjectKind::GcPlan, repository, home, codec::to_cbor(&plan));
    put(&bench, &Named::GcPlan(id), signed.encode(ObjectKind::GcPlan));
    bench.repository.forget_one(made[0]).unwrap();
    let report = prune(&bench.repository);
    assert_eq!((report.state, report.snapshots), (PruneState::Done, 1), "{report:?}");
    for named in [Named::Session(session), Named::Void(made[2]), Named::GcPlan(id)] {
        let name = ObjectName::of(&named);
        assert!(report.findings.iter().any(|finding| finding.object == name.as_str()), "{name}: {:?}", report.findings);
        assert!(names(&bench, "").contains(&name.to_string()), "{name} is not ours to delete");
    }
    let live = [(made[1], night(1, ROWS)), (made[2], night(2, ROWS))].into();
    whole(&bench, &live, "after forged markers");
    // And the next night is not kept from building on the last one.
    let next = bench.backup("app", &[("t", Shape::Rows, &night(3, ROWS))]);
    assert!(next.chunks_new < next.chunks, "{next:?}");
    assert!(next.findings.iter().all(|finding| finding.severity < Severity::Damage), "{:?}", next.findings);
}
