//! One fixed value of every object; their encodings are the golden vectors and the examples of `docs/FORMAT.md`.

mod events;

use std::collections::BTreeMap;

use lacre_format::{
    codec,
    erasure::{
        Approval, Attestation, Claim, ClaimEnd, ClaimOutcome, Declared, Destroyed, EraseIntent, ErasedSnapshot,
        ErasureKind, IntentEnd, KitEvidence, Physical, Purpose, Receipt, Rotated,
    },
    frame::{Codec, encode_body},
    gc::{GcPlan, GcStage, GcStep, Reclaimed},
    header::{ChainHead, Header, Label, SnapshotObject, StreamCut},
    ids::{
        Digest, GenerationId, HomeId, JobName, Millis, PackId, PackName, PlanId, PublicKey, RepositoryId, Salt,
        Signature, SnapshotId, StreamTag, Token,
    },
    join::{Join, JoinGrant, JoinRequest},
    keyring::{Bundle, BundleList, InnerWrap, KeyEntry, KeyEnvelope, WrapKind, encode_bundle_object},
    log::{
        AdoptRecord, CheckRecord, DrillRecord, Event, Incomplete, KitRecord, Late, LogEntry, LossRecord, Named,
        PointerRecord, ProbeRecord, PruneRecord, RecipientRemoved, RepairRecord, RestoreRecord, Revoking, Rewrapped,
    },
    manifest::Manifest,
    node::{Capability, Entry, Node},
    object::{Kind, with_start},
    pack::{Birth, Footer, FrameEntry, Trailer},
    parity::ParityHeader,
    policy::{
        Adopted, CellEntry, Holders, HomeEntry, KeepRules, KitState, Policy, RecipientEntry, Retention, Revocation,
        Role, SEAL_PUBLIC_BYTES,
    },
    reach::{Reach, RebuiltReach},
    root::{Root, Secret32, Shape, Stream, StreamKind, Top},
    run::{RunDetails, RunJob, RunRecord},
    segment::{Salted, Segment, SegmentPack},
    session::{Outcome, Session, SessionEnd},
    signed::Signed,
};

pub(crate) use self::events::{CLAIM, ERASURE, NEXT, events, receipt_with_copies};
use crate::persons;

pub(crate) const REPOSITORY: RepositoryId = RepositoryId::new([0x11; 16]);
pub(crate) const SNAPSHOT: SnapshotId = SnapshotId::new([0x22; 16]);
pub(crate) const OTHER_SNAPSHOT: SnapshotId = SnapshotId::new([0x23; 16]);
pub(crate) const HOME: HomeId = HomeId::new([0x33; 16]);
pub(crate) const PLAN: PlanId = PlanId::new([0x66; 16]);
pub(crate) const TOKEN: Token = Token::new([0x44; 16]);
pub(crate) const SALT: Salt = Salt::new([0x55; 16]);
pub(crate) const PACK: PackId = PackId::new([0xa1; 12]);
pub(crate) const OTHER_PACK: PackId = PackId::new([0xb2; 12]);
pub(crate) const GENERATION: GenerationId = GenerationId { number: 3, hash: [1, 2, 3, 4, 5, 6, 7, 8] };
/// 2026-11-22T02:00:00Z.
pub(crate) const TAKEN: Millis = Millis(1_795_312_800_000);
const COMMITTED: Millis = Millis(1_795_312_860_000);

pub(crate) fn digest(byte: u8) -> Digest {
    Digest::new([byte; 32])
}

pub(crate) fn job() -> JobName {
    JobName::parse("orders").unwrap()
}

pub(crate) fn manifest() -> Manifest {
    Manifest { repository: REPOSITORY, admin: PublicKey::new([0xad; 32]), nonce: SALT }
}

pub(crate) fn frame_body() -> Vec<u8> {
    let mut body = Vec::new();
    let plaintext = b"1\tAda\t\\N\n2\tGrace\t1906-12-09\n";
    encode_body(Codec::Raw, plaintext.len(), plaintext, &mut body).unwrap();
    body
}

pub(crate) fn footer() -> Footer {
    Footer {
        pack: PACK,
        frames: vec![
            FrameEntry { offset: 300, bytes: 128, level: 0, born: None },
            FrameEntry { offset: 8, bytes: 292, level: 0, born: Some(Birth { pack: OTHER_PACK, slot: 7 }) },
            FrameEntry { offset: 428, bytes: 1000, level: 1, born: None },
        ],
    }
}

pub(crate) fn entry(byte: u8, pack: PackId, slot: u32, raw_bytes: u32, dictionary: u32) -> Entry {
    Entry { capability: Capability::from_bytes([byte; 32]), birth: Birth { pack, slot }, raw_bytes, dictionary }
}

pub(crate) fn node() -> Node {
    Node {
        level: 1,
        entries: vec![
            entry(0xc0, OTHER_PACK, 7, 4096, 0),
            entry(0xc1, PACK, 0, 300, 1),
            entry(0xc2, OTHER_PACK, 8, 16_384, 0),
        ],
    }
}

pub(crate) fn reach() -> Reach {
    let mut reach = Reach::default();
    for (pack, slot) in [(PACK, 0), (PACK, 1), (PACK, 2), (OTHER_PACK, 7), (OTHER_PACK, 300)] {
        reach.insert(Birth { pack, slot });
    }
    reach
}

pub(crate) fn signed(payload: Vec<u8>) -> Signed {
    Signed { home: HOME, payload, signature: Signature::new([0x5a; 64]) }
}

pub(crate) fn header() -> Header {
    Header {
        repository: REPOSITORY,
        snapshot: SNAPSHOT,
        home: HOME,
        seq: 41,
        previous: Some(digest(0xd0)),
        taken: TAKEN,
        committed: COMMITTED,
        session: digest(0xd1),
        base: Some(OTHER_SNAPSHOT),
        seen: vec![ChainHead { home: HOME, seq: 5, digest: digest(0xd2) }],
        policy: 2,
        generation: GENERATION,
        token: TOKEN,
        key_entry: digest(0xd3),
        key_commitment: digest(0xd4),
        root: digest(0xd5),
        reach: digest(0xd6),
        segments: vec![digest(0xd7)],
        label_salt: SALT,
        label: vec![0x1a; 24],
        derived_from: None,
        opened: vec![],
        erasure: None,
    }
}

pub(crate) fn label() -> Label {
    Label {
        job: job(),
        bytes: 1_048_576,
        rows: 12_000,
        streams: 2,
        cuts: vec![StreamCut { stream: StreamTag::new([0x77; 8]), version: 1, target_bytes: 4096, bytes: 1_015_808 }],
        tags: vec!["before-upgrade".to_owned()],
        stored: 40_000,
    }
}

pub(crate) fn snapshot_object() -> SnapshotObject {
    SnapshotObject { signed: signed(codec::to_cbor(&header())), root: vec![0x0f; 32] }
}

pub(crate) fn top(byte: u8) -> Top {
    Top { capability: Capability::from_bytes([byte; 32]), pack: PACK, slot: 2, level: 1, raw_bytes: 134 }
}

pub(crate) fn stream() -> Stream {
    Stream {
        name: "public.users".to_owned(),
        kind: StreamKind::Table,
        shape: Shape::Rows,
        bytes: 1_000_000,
        rows: 12_000,
        blake3: digest(0xb3),
        row_digest: Some(vec![1, 2, 3, u64::MAX]),
        top: Some(top(0xc3)),
        dictionaries: Vec::new(),
        cut: (1, 4096),
        dump_id: Some(3051),
        chunks: 251,
        rewritten: None,
    }
}

pub(crate) fn root() -> Root {
    let facts = [("database.name", "orders"), ("server.version", "15.18")];
    Root {
        repository: REPOSITORY,
        snapshot: SNAPSHOT,
        job: job(),
        taken: TAKEN,
        source: "postgres".to_owned(),
        facts: facts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>(),
        streams: vec![stream()],
        structure_key: Secret32::from_bytes([0xe1; 32]),
        stream_secret: Secret32::from_bytes([0xe2; 32]),
    }
}

pub(crate) fn key_entry() -> KeyEntry {
    KeyEntry {
        repository: REPOSITORY,
        snapshot: SNAPSHOT,
        policy: 2,
        key_commitment: digest(0xd4),
        wraps: vec![InnerWrap { kind: WrapKind::AgeX25519, bytes: b"age-encryption.org/v1\n".to_vec() }],
    }
}

pub(crate) fn key_envelope() -> KeyEnvelope {
    KeyEnvelope {
        snapshot: SNAPSHOT,
        generation: GENERATION,
        entry: digest(0xd3),
        sealed: b"age-encryption.org/v1\n".to_vec(),
    }
}

pub(crate) fn bundle() -> Bundle {
    let object = signed(codec::to_cbor(&key_entry())).encode(Kind::KeyEntry);
    Bundle { repository: REPOSITORY, generation: GENERATION, entries: vec![object.into()] }
}

pub(crate) fn bundle_list() -> BundleList {
    BundleList { generation: GENERATION, bundle: digest(0xd8), entries: vec![(SNAPSHOT, digest(0xd3))] }
}

pub(crate) fn policy() -> Policy {
    Policy {
        repository: REPOSITORY,
        number: 2,
        previous: Some(digest(0xd9)),
        signed_at: TAKEN,
        recipients: vec![RecipientEntry {
            kind: 1,
            bytes: vec![0x91; 32],
            label: "ops".to_owned(),
            locked_identity: Some(b"age-encryption.org/v1\n".to_vec().into()),
        }],
        generation: GENERATION,
        seal_public: vec![0x92; SEAL_PUBLIC_BYTES],
        homes: vec![HomeEntry {
            home: HOME,
            key: PublicKey::new([0x93; 32]),
            role: Role::Writer,
            label: "db1".to_owned(),
            revoked_at: Some(ChainHead { home: HOME, seq: 9, digest: digest(0xda) }),
            revoked: None,
        }],
        cells: vec![CellEntry { name: "file:/srv/seal.cell".to_owned(), host: "vault1".to_owned(), holder: None }],
        holders: Holders::Two,
        heads: vec![ChainHead { home: HOME, seq: 9, digest: digest(0xda) }],
        min_verified: 1,
        retention: None,
        rewrap_below: None,
        claim: Some(CLAIM),
        adopted: None,
        sealed_at: None,
        approvals: None,
    }
}

/// The policy that makes a copy the repository.
pub(crate) fn policy_adopted() -> Policy {
    Policy { number: 1002, adopted: Some(Adopted { policy: 1002, from: 2, at: TAKEN }), ..policy() }
}

pub(crate) fn adoption() -> AdoptRecord {
    AdoptRecord { policy: 1002, lost: vec![OTHER_SNAPSHOT], brought: 3, vouched: false }
}

/// A policy with what came after the first ones: cells elsewhere, a time of its own for the seal, approvals of erasures.
pub(crate) fn policy_with_cells() -> Policy {
    let cell = |name: &str, holder: &str| CellEntry {
        name: name.to_owned(),
        host: "vault1".to_owned(),
        holder: Some(holder.to_owned()),
    };
    Policy {
        cells: vec![
            cell("s3://astro-seal/seal?region=eu-west-1&credentials=seal", "bucket:0011223344556677"),
            cell("exec:/usr/local/bin/seal-vault", "vault"),
        ],
        sealed_at: Some(TAKEN),
        approvals: Some(1),
        ..policy()
    }
}

pub(crate) fn run_record() -> RunRecord {
    RunRecord {
        id: Token::new([0x67; 16]),
        started: TAKEN,
        ended: Millis(TAKEN.0 + 95_000),
        exit: 14,
        salt: SALT,
        details: vec![0x1e; 24],
    }
}

pub(crate) fn run_details() -> RunDetails {
    let job = |name: &str, snapshot, exit| RunJob {
        job: JobName::parse(name).unwrap(),
        snapshot,
        exit,
        started: TAKEN,
        ended: Millis(TAKEN.0 + 40_000),
        stored: 1_234_567,
        findings: 1,
        held_back: snapshot.is_some(),
    };
    let jobs = vec![job("astro", Some(SNAPSHOT), 3), job("shop", None, 14)];
    RunDetails { jobs, forgotten: 2, copies: 1, copies_failed: 1, findings: 3 }
}

/// A policy with a revoked home, rules of retention and a reader who was removed.
pub(crate) fn policy_revoked() -> Policy {
    let mut policy = policy();
    policy.homes[0].revoked = Some(Revocation {
        at: TAKEN,
        twins: vec![ChainHead { home: HOME, seq: 9, digest: digest(0xdb) }],
        snapshots: vec![ChainHead { home: HOME, seq: 41, digest: digest(0xdc) }],
        objects: vec![digest(0xdd)],
    });
    policy.retention = Some(salted());
    policy.rewrap_below = Some(2);
    policy
}

pub(crate) fn retention() -> Retention {
    let all = KeepRules {
        job: None,
        last: 1,
        hourly: 2,
        daily: 30,
        weekly: 4,
        monthly: 6,
        yearly: 7,
        within: Some("P14D".to_owned()),
        verified_min: 3,
    };
    let job = JobName::parse("app").unwrap();
    let rules = vec![KeepRules { job: Some(job), daily: 7, ..KeepRules::default() }, all];
    Retention { zone: "America/Sao_Paulo".to_owned(), rules }
}

pub(crate) fn join_request() -> JoinRequest {
    let (key, sealed_to) = (PublicKey::new([0x93; 32]), vec![0x92; SEAL_PUBLIC_BYTES]);
    JoinRequest { home: HOME, key, sealed_to, label: "db2".to_owned() }
}

pub(crate) fn join_grant() -> JoinGrant {
    JoinGrant {
        repository: REPOSITORY,
        admin: PublicKey::new([0x94; 32]),
        url: "s3://astro-backups/lacre".to_owned(),
        home: HOME,
        key: PublicKey::new([0x93; 32]),
        role: Role::Writer,
        policy: 3,
        policy_digest: digest(0xde),
        sealed: vec![0x1e; 48],
    }
}

pub(crate) fn log_entry() -> LogEntry {
    let named = Named { snapshots: vec![SNAPSHOT, OTHER_SNAPSHOT], reason: "keep-daily 7".to_owned() };
    let (kind, body) = Event::Forget(named).encode();
    LogEntry {
        repository: REPOSITORY,
        home: HOME,
        seq: 6,
        previous: Some(digest(0xd2)),
        at: TAKEN,
        kind,
        body: body.into(),
    }
}

pub(crate) fn session() -> Session {
    Session {
        repository: REPOSITORY,
        snapshot: SNAPSHOT,
        home: HOME,
        opened: TAKEN,
        base: Some(OTHER_SNAPSHOT),
        token: TOKEN,
        job_salt: SALT,
        job: vec![0x1b; 22],
    }
}

pub(crate) fn session_end() -> SessionEnd {
    SessionEnd { repository: REPOSITORY, snapshot: SNAPSHOT, home: HOME, ended: COMMITTED, outcome: Outcome::Committed }
}

pub(crate) fn gc_plan() -> GcPlan {
    let pack = |byte| vec![PackName::new([byte; 32])];
    let gone =
        Reclaimed { snapshot: SNAPSHOT, home: HOME, seq: 41, digest: digest(0xd0), taken: TAKEN, previous: None };
    GcPlan {
        repository: REPOSITORY,
        plan: PLAN,
        made: TAKEN,
        delete: pack(0x88),
        repack: pack(0x89),
        outputs: pack(0x8a),
        snapshots: vec![gone],
        sessions: vec![OTHER_SNAPSHOT],
        segments: vec![digest(0xd7)],
        merged: vec![digest(0xd8)],
    }
}

pub(crate) fn gc_step() -> GcStep {
    GcStep {
        repository: REPOSITORY,
        plan: PLAN,
        at: TAKEN,
        stage: GcStage::Decided,
        sessions: Vec::new(),
        packs: vec![PackName::new([0x88; 32])],
        snapshots: vec![SNAPSHOT],
    }
}

pub(crate) fn parity_header() -> ParityHeader {
    ParityHeader {
        pack: PackName::new([0x88; 32]),
        pack_bytes: 100,
        shard_bytes: 64,
        recovery: 1,
        checks: vec![[0xc1; 16], [0xc2; 16], [0xc3; 16]],
    }
}

pub(crate) fn parity() -> Vec<u8> {
    parity_header().object([0xc0; 16], &[0x1e; 64])
}

pub(crate) fn rebuilt_reach() -> RebuiltReach {
    RebuiltReach { repository: REPOSITORY, snapshot: SNAPSHOT, made: COMMITTED, salt: SALT, map: vec![0x1c; 32] }
}

pub(crate) fn segment() -> Segment {
    let pack = SegmentPack { name: PackName::new([0x88; 32]), bytes: 1513, footer: footer().encode().into() };
    Segment { packs: vec![pack] }
}

pub(crate) fn salted() -> Salted {
    Salted { salt: SALT, ciphertext: vec![0x1c; 32] }
}

/// Every golden vector: its name, its bytes, and the decoder of `lacre_format::exercise` that reads it.
pub(crate) fn all() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let trailer = Trailer::encode(SALT, 57);
    let mut all = vec![
        ("manifest", manifest().encode().into_bytes(), "manifest"),
        ("frame-body", frame_body(), "frame_body"),
        ("pack-footer", footer().encode(), "pack_footer"),
        ("pack-trailer", trailer.to_vec(), ""),
        ("node", node().encode(), "node"),
        ("reach", reach().encode(), "reach"),
        ("sealed-object", with_start(Kind::Reach, &codec::to_cbor(&salted())), "signed"),
        ("segment", codec::to_cbor(&segment()), "segment"),
        ("signed-object", signed(codec::to_cbor(&session_end())).encode(Kind::SessionEnd), "signed"),
        ("signed-message", Signed::message(Kind::SessionEnd, REPOSITORY, HOME, &codec::to_cbor(&session_end())), ""),
        ("header", codec::to_cbor(&header()), "snapshot"),
        ("label", codec::to_cbor(&label()), "label"),
        ("run-details", codec::to_cbor(&run_details()), "run_details"),
        ("snapshot-object", snapshot_object().encode(), "snapshot"),
        ("root", codec::to_cbor(&root()), "root"),
        ("key-entry", codec::to_cbor(&key_entry()), "key_entry"),
        ("key-envelope", codec::to_cbor(&key_envelope()), "key_entry"),
        ("bundle", codec::to_cbor(&bundle()), "bundle"),
        ("bundle-list", codec::to_cbor(&bundle_list()), "bundle"),
        ("bundle-object", encode_bundle_object(GENERATION, &[0x1d; 48]), "bundle"),
        ("policy", codec::to_cbor(&policy()), "policy"),
        ("policy-adopted", codec::to_cbor(&policy_adopted()), "policy"),
        ("receipt-copies", codec::to_cbor(&receipt_with_copies()), ""),
        ("policy-cells", codec::to_cbor(&policy_with_cells()), "policy"),
        ("policy-revoked", codec::to_cbor(&policy_revoked()), "policy"),
        ("retention", codec::to_cbor(&retention()), "policy"),
        ("join-request", codec::to_cbor(&Join::Request(join_request())), "policy"),
        ("join-grant", codec::to_cbor(&Join::Grant(Box::new(join_grant()))), "policy"),
        ("log-entry", codec::to_cbor(&log_entry()), "log_entry"),
        ("session", codec::to_cbor(&session()), "session"),
        ("session-end", codec::to_cbor(&session_end()), "session"),
        ("gc-plan", codec::to_cbor(&gc_plan()), "gc"),
        ("gc-step", codec::to_cbor(&gc_step()), "gc"),
        ("parity", parity(), "parity"),
        ("rollup", crate::rollup::rollup(), "rollup"),
        ("rebuilt-reach", codec::to_cbor(&rebuilt_reach()), "rebuilt_reach"),
        ("person-account", codec::to_cbor(&persons::account()), "log_entry"),
        ("suppression", codec::to_cbor(&persons::suppression()), "key_entry"),
    ];
    all.push(("event-person-receipt", persons::receipt().encode().1, ""));
    for (name, event) in events() {
        let (kind, body) = event.encode();
        let entry = LogEntry { kind, body: body.into(), ..log_entry() };
        all.push((name, entry.body.to_vec(), ""));
    }
    all
}
