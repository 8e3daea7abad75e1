//! What others put into the store: unsigned markers, claims without a right, packs that claim the births of others.

use lacre_format::{
    codec,
    gc::GcPlan,
    ids::{Digest, HomeId, Millis, PackId, PackName, PlanId, SnapshotId},
    name::{Named, ObjectName},
    object::{self, Kind as ObjectKind},
    pack::{Birth, Footer, PACK_BYTES_MAX, TRAILER_BYTES, Trailer},
    root::Shape,
    segment::{Segment, SegmentPack},
    session::{Void, VoidStage},
};
use lacre_repo::{Severity, op::prune::PruneState};
use lacre_seal::{sign::SigningKey, structure::Structure};

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
    // An audit calls it damage, because it cannot know whose it was; it is out of the way for what follows.
    let garbage = ObjectName::of(&Named::Session(session)).to_string();
    std::fs::remove_file(bench.directory.path().join("repository").join(garbage)).unwrap();
    let live = [(made[1], night(1, ROWS)), (made[2], night(2, ROWS))].into();
    whole(&bench, &live, "after forged markers");
    // And the next night is not kept from building on the last one.
    let next = bench.backup("app", &[("t", Shape::Rows, &night(3, ROWS))]);
    assert!(next.chunks_new < next.chunks, "{next:?}");
    assert!(next.findings.iter().all(|finding| finding.severity < Severity::Damage), "{:?}", next.findings);
}

/// The footer of a stored pack, as any writer can read it.
fn footer_of(bench: &Bench, name: &str) -> Footer {
    let bytes = bench.store.get(&ObjectName::parse(name).unwrap().0, PACK_BYTES_MAX).unwrap();
    let (before, tail) = bytes.split_at(bytes.len() - TRAILER_BYTES);
    let trailer = Trailer::decode(tail, bytes.len() as u64).unwrap();
    let key = bench.repository.home().structure_key().unwrap();
    let sealed = &before[trailer.footer_start as usize..];
    let plaintext = key.open(Structure::Footer, bench.repository.id(), trailer.salt, sealed).unwrap();
    Footer::decode(&plaintext).unwrap()
}

/// Stores a pack of garbage with any footer, as whoever holds a writer's keys can.
fn put_forged(bench: &Bench, footer: &Footer) -> String {
    let length = footer.frames.iter().map(|frame| frame.offset + frame.bytes).max().unwrap_or(8);
    let mut object = object::start(ObjectKind::Pack).to_vec();
    object.resize(length as usize, 0x5a);
    let key = bench.repository.home().structure_key().unwrap();
    let sealed = key.seal(Structure::Footer, bench.repository.id(), &footer.encode()).unwrap();
    object.extend_from_slice(&sealed.ciphertext);
    object.extend_from_slice(&Trailer::encode(sealed.salt, u32::try_from(sealed.ciphertext.len()).unwrap()));
    let named = Named::Pack(PackName::new(*blake3::hash(&object).as_bytes()));
    put(bench, &named, object);
    ObjectName::of(&named).to_string()
}

#[test]
fn a_pack_that_claims_frames_born_elsewhere_is_not_believed() {
    let bench = Bench::new();
    let made: Vec<_> = (0..3).map(|n| bench.backup("app", &[("t", Shape::Rows, &night(n, ROWS))]).snapshot).collect();
    let mut forged = Vec::new();
    for (number, name) in names(&bench, "packs").into_iter().enumerate() {
        let mut footer = footer_of(&bench, &name);
        for (slot, frame) in (0u32..).zip(&mut footer.frames) {
            frame.born = Some(Birth { pack: footer.pack, slot });
        }
        footer.pack = PackId::new([number as u8 + 1; 12]);
        forged.push(put_forged(&bench, &footer));
    }
    bench.repository.forget_one(made[0]).unwrap();
    bench.repository.forget_one(made[1]).unwrap();
    let report = prune(&bench.repository);
    assert_eq!(report.state, PruneState::Done, "{report:?}");
    assert!(report.packs_written > 0, "{report:?}");
    for name in &forged {
        assert!(report.findings.iter().any(|finding| finding.object == *name), "{name}: {:?}", report.findings);
        assert!(!names(&bench, "packs").contains(name), "{name} holds nothing that counts");
    }
    whole(&bench, &[(made[2], night(2, ROWS))].into(), "after forged claims");
    assert_eq!(bench.check_all().findings, []);
}

#[test]
fn a_pack_that_claims_anothers_birth_name_displaces_nothing_and_stays_out_of_repacking() {
    let bench = Bench::new();
    let made: Vec<_> = (0..3).map(|n| bench.backup("app", &[("t", Shape::Rows, &night(n, ROWS))]).snapshot).collect();
    let honest = names(&bench, "packs");
    let forged: Vec<String> = honest.iter().map(|name| put_forged(&bench, &footer_of(&bench, name))).collect();
    bench.repository.forget_one(made[0]).unwrap();
    bench.repository.forget_one(made[1]).unwrap();
    let report = prune(&bench.repository);
    assert_eq!(report.packs_written, 0, "nobody knows which is right: {report:?}");
    assert!(report.findings.iter().any(|finding| finding.what.contains("claim one birth name")), "{report:?}");
    whole(&bench, &[(made[2], night(2, ROWS))].into(), "beside forged twins");
    // What no snapshot needs goes all the same; what one needs stays with its twin.
    let after = names(&bench, "packs");
    let kept = honest.iter().zip(&forged).filter(|(honest, forged)| after.contains(honest) || after.contains(forged));
    assert!(kept.clone().count() > 0, "the live snapshot needs some");
    for (honest, forged) in kept {
        assert!(after.contains(honest), "{honest} is the one that can be read, {forged} its twin");
    }
    let findings = bench.check_all().findings;
    // The forger gave its packs no parity.
    let of_parity =
        |finding: &lacre_repo::Finding| (finding.severity, finding.object.as_str()) == (Severity::Note, "parity");
    let expected = |finding: &lacre_repo::Finding| finding.severity == Severity::Warning || of_parity(finding);
    assert!(findings.iter().all(expected), "{findings:?}");
}

#[test]
fn a_segment_that_lies_about_a_pack_condemns_nothing() {
    let bench = Bench::new();
    let made: Vec<_> = (0..2).map(|n| bench.backup("app", &[("t", Shape::Rows, &night(n, ROWS))]).snapshot).collect();
    // A writer's key signs a segment that gives every pack a birth name nobody uses.
    let packs = names(&bench, "packs").into_iter().map(|name| {
        let footer = Footer { pack: PackId::new([0xee; 12]), ..footer_of(&bench, &name) };
        let bytes = bench.store.get(&ObjectName::parse(&name).unwrap().0, PACK_BYTES_MAX).unwrap().len() as u64;
        let name = PackName::parse(name.rsplit('/').next().unwrap()).unwrap();
        SegmentPack { name, bytes, footer: footer.encode().into() }
    });
    let segment = Segment { packs: packs.collect() };
    let keys = bench.repository.home().writer_keys().unwrap();
    let sealed = keys.structure.seal(Structure::Segment, bench.repository.id(), &codec::to_cbor(&segment)).unwrap();
    let home = keys.signer.home;
    let signed = keys.signer.key.sign(ObjectKind::Segment, bench.repository.id(), home, codec::to_cbor(&sealed));
    let object = signed.encode(ObjectKind::Segment);
    let digest = Digest::new(*blake3::hash(&object).as_bytes());
    put(&bench, &Named::Segment(digest), object);
    bench.repository.forget_one(made[0]).unwrap();
    // A host that knows nothing yet reads both kinds of segments, in whatever order.
    let rebuilt = bench.repository.rebuild().unwrap();
    assert!(rebuilt.findings.iter().any(|finding| finding.what.contains("otherwise")), "{rebuilt:?}");
    prune(&bench.repository);
    whole(&bench, &[(made[1], night(1, ROWS))].into(), "after a lying segment");
    prune(&bench.repository);
    whole(&bench, &[(made[1], night(1, ROWS))].into(), "after another prune");
}
