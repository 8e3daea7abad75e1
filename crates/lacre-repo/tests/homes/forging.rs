//! Snapshots that a stolen writer key signs about streams it cannot open, as an audit must see them.

use std::time::{Duration, SystemTime};

use lacre_format::{
    codec,
    header::{Header, Label, SnapshotObject},
    ids::{Digest, SnapshotId, Token},
    keyring::KeyEnvelope,
    name::{Named, ObjectName},
    node::Capability,
    object::{Kind, strip_start, with_start},
    root::{Root, Secret32, Shape, Stream},
    segment::Salted,
};
use lacre_repo::{
    Severity, Silent,
    op::{
        check::{CheckOptions, ReadData},
        rolling::Rolling,
    },
};
use lacre_seal::{
    key_entry,
    outer::SealPublic,
    recipient::Recipient,
    root::seal_root,
    secret::SnapshotKey,
    structure::{Structure, StructureKey},
};

use crate::{
    common::{Machine, digest, put, view, writer},
    support::{Bench, all, rows},
};

/// A snapshot in every respect like another one of this writer, but for what its root says of the streams.
fn forge(bench: &Bench, like: SnapshotId, as_id: SnapshotId, change: impl Fn(&mut Stream)) {
    let (thief, repository) = (writer(bench), bench.repository.id());
    let structure = bench.repository.home().writer_keys().unwrap().structure;
    let object = bench.store.get(&ObjectName::of(&Named::Snapshot(like)), 1 << 20).unwrap();
    let mut header = SnapshotObject::decode(&object).unwrap().header().unwrap();
    let key = SnapshotKey::generate(as_id).unwrap();
    let root = seal_root(&key, &root_like(bench, like, as_id, &structure, change));
    let label = structure.open(Structure::Label(like), repository, header.label_salt, &header.label).unwrap();
    let label: Label = codec::from_cbor("label", &label).unwrap();
    let label = structure.seal(Structure::Label(as_id), repository, &codec::to_cbor(&label)).unwrap();
    let before = view(&bench.repository).snapshots[&like].clone();
    header.snapshot = as_id;
    (header.seq, header.previous) = (before.header.seq + 1, Some(before.digest));
    (header.label_salt, header.label) = (label.salt, label.ciphertext);
    header.key_commitment = key.commitment(repository, as_id);
    header.root = digest(&root);
    header.reach = reach_like(bench, like, as_id, &structure);
    enter(bench, &thief, &key, &mut header);
    let signed = thief.key.sign(Kind::Snapshot, repository, thief.home, codec::to_cbor(&header));
    put(bench, &Named::Snapshot(as_id), SnapshotObject { signed, root }.encode());
}

fn root_like(
    bench: &Bench,
    like: SnapshotId,
    as_id: SnapshotId,
    structure: &StructureKey,
    change: impl Fn(&mut Stream),
) -> Root {
    let opened = bench.repository.open_snapshot(like, &bench.keys()).unwrap();
    let mut streams = opened.streams().to_vec();
    streams.iter_mut().for_each(change);
    Root {
        repository: bench.repository.id(),
        snapshot: as_id,
        job: opened.job().clone(),
        taken: opened.taken(),
        source: opened.source().to_owned(),
        facts: opened.facts().clone(),
        streams,
        structure_key: structure.to_root(),
        stream_secret: Secret32::from_bytes([7; 32]),
    }
}

fn reach_like(bench: &Bench, like: SnapshotId, as_id: SnapshotId, structure: &StructureKey) -> Digest {
    let object = bench.store.get(&ObjectName::of(&Named::Reach(like)), 1 << 20).unwrap();
    let salted: Salted = codec::from_cbor("reach", strip_start(Kind::Reach, &object).unwrap()).unwrap();
    let (repository, sealed) = (bench.repository.id(), &salted.ciphertext);
    let reach = structure.open(Structure::Reach(like), repository, salted.salt, sealed).unwrap();
    let sealed = structure.seal(Structure::Reach(as_id), repository, &reach).unwrap();
    let object = with_start(Kind::Reach, &codec::to_cbor(&sealed));
    let hash = digest(&object);
    put(bench, &Named::Reach(as_id), object);
    hash
}

/// A key entry for everybody who may read, as a run makes it.
fn enter(bench: &Bench, thief: &Machine, key: &SnapshotKey, header: &mut Header) {
    let policy = view(&bench.repository).policy;
    let entries = policy.recipients.iter();
    let recipients: Vec<Recipient> =
        entries.map(|entry| Recipient::from_record(entry.kind, &entry.bytes).unwrap()).collect();
    let (repository, snapshot) = (bench.repository.id(), header.snapshot);
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(bench.now()).unwrap());
    let entry = key_entry::make_key_entry(key, repository, snapshot, policy.number, &recipients, now).unwrap();
    let signed = thief.sign(bench, Kind::KeyEntry, codec::to_cbor(&entry));
    let public = SealPublic::from_bytes(&policy.seal_public).unwrap();
    let sealed = public.seal(&signed).unwrap();
    let envelope = KeyEnvelope { snapshot, generation: policy.generation, entry: digest(&signed), sealed };
    header.token = Token::new([9; 16]);
    (header.policy, header.generation, header.key_entry) = (policy.number, policy.generation, digest(&signed));
    let object = thief.sign(bench, Kind::KeyEnvelope, codec::to_cbor(&envelope));
    put(bench, &Named::KeyEntry(policy.generation, snapshot, header.token), object);
}

/// Everything as it was but the right to open the top.
fn with_another_capability(stream: &mut Stream) {
    stream.top.as_mut().unwrap().capability = Capability::from_bytes([0x5a; 32]);
}

/// What is read last within an audit and what is read first.
fn ids() -> [SnapshotId; 2] {
    [SnapshotId::new([0; 16]), SnapshotId::new([0xff; 16])]
}

#[test]
fn a_root_without_the_right_to_open_its_stream_is_damage_whatever_else_it_repeats() {
    for as_id in ids() {
        let bench = Bench::new();
        let made = bench.backup("app", &[("t", Shape::Rows, &rows(500, 1))]).snapshot;
        forge(&bench, made, as_id, with_another_capability);
        let report = bench.check_all();
        assert_eq!(report.snapshots, [made]);
        let object = format!("snapshot {} stream \"t\"", as_id.short());
        let about = report.findings.iter().find(|finding| finding.object == object);
        assert!(about.is_some_and(|finding| finding.severity == Severity::Damage), "{:?}", report.findings);
        assert_eq!(view(&bench.repository).verified.into_iter().collect::<Vec<_>>(), [made]);
    }
}

#[test]
fn what_was_proved_lately_vouches_for_no_root_without_the_right_to_open_it() {
    for as_id in ids() {
        let bench = Bench::new();
        let made = bench.backup("app", &[("t", Shape::Rows, &rows(500, 1))]).snapshot;
        let rolling = Rolling { max_age: Some(Duration::from_secs(24 * 3600)), ..Rolling::default() };
        let check = || bench.repository.check_rolling(&all(), &rolling, &bench.keys(), &Silent).unwrap();
        assert_eq!(check().snapshots, [made]);
        forge(&bench, made, as_id, with_another_capability);
        let report = check();
        assert_eq!(report.snapshots, [made]);
        assert!(report.findings.iter().any(|finding| finding.severity == Severity::Damage), "{:?}", report.findings);
        assert_eq!(view(&bench.repository).verified.into_iter().collect::<Vec<_>>(), [made]);
    }
}

#[test]
fn a_root_that_tells_other_lengths_or_rows_of_a_stream_is_read_by_itself() {
    let changes: [fn(&mut Stream); 3] = [
        |stream| stream.bytes += 1,
        |stream| stream.blake3 = Digest::new([1; 32]),
        |stream| stream.top.as_mut().unwrap().level += 1,
    ];
    for change in changes {
        let bench = Bench::new();
        let made = bench.backup("app", &[("t", Shape::Rows, &rows(500, 1))]).snapshot;
        forge(&bench, made, ids()[0], change);
        let report = bench.check_all();
        assert_eq!(report.snapshots, [made]);
        assert!(report.findings.iter().any(|finding| finding.severity == Severity::Damage), "{:?}", report.findings);
    }
}

#[test]
fn what_is_repeated_truly_is_read_once_and_proved_twice() {
    let bench = Bench::new();
    let made = bench.backup("app", &[("t", Shape::Rows, &rows(500, 1))]).snapshot;
    forge(&bench, made, ids()[0], |_| {});
    let options = CheckOptions { level: None, read_data: ReadData::All, snapshot: None };
    let counted = Counted::default();
    let report = bench.repository.check(&options, &bench.keys(), &counted).unwrap();
    assert_eq!(report.snapshots, [made, ids()[0]]);
    let stream = u64::try_from(rows(500, 1).len()).unwrap();
    let packs: u64 = report.bytes_read;
    assert_eq!(counted.0.load(std::sync::atomic::Ordering::SeqCst), packs + stream);
}

/// Adds up what is said to have been read.
#[derive(Default)]
struct Counted(std::sync::atomic::AtomicU64);

impl lacre_repo::Monitor for Counted {
    fn progress(&self, progress: lacre_repo::Progress) {
        if let lacre_repo::Progress::Bytes(bytes) = progress {
            self.0.fetch_add(bytes, std::sync::atomic::Ordering::SeqCst);
        }
    }

    fn cancelled(&self) -> bool {
        false
    }
}
