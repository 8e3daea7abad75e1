//! Random values of every object.

use core::fmt;

use super::values;
use lacre_format::{
    frame::{LEVEL_MAX, RAW_BYTES_MAX},
    gc::{GcPlan, GcStage, GcStep, Reclaimed},
    header::{ChainHead, Header, Label, SnapshotObject, StreamCut},
    ids::{
        Digest, GenerationId, HomeId, JobName, Millis, PackId, PackName, PlanId, PublicKey, RepositoryId, Salt,
        Signature, SnapshotId, StreamTag, Token,
    },
    keyring::{Bundle, BundleList, InnerWrap, KeyEntry, KeyEnvelope, WrapKind},
    log::{CheckRecord, DrillRecord, Event, KitRecord, Late, LogEntry, Named, ProbeRecord, PruneRecord, RestoreRecord},
    node::{Capability, Entry, Node},
    pack::{Birth, Footer, FrameEntry, PACK_BYTES_MAX, SLOTS_MAX},
    policy::{Adopted, CellEntry, Holders, HomeEntry, KitState, Policy, RecipientEntry, Revocation, Role},
    root::{Root, Secret32, Shape, Stream, StreamKind, Top},
    run::{RunDetails, RunJob, RunRecord},
    segment::{Salted, Segment, SegmentPack},
    session::{Outcome, Session, SessionEnd},
    signed::Signed,
};
use proptest::{collection::vec, option, prelude::*, sample::select};

/// A value that carries secrets and therefore has no `Debug` of its own.
#[derive(Clone)]
pub(crate) struct Hidden<T>(pub(crate) T);

impl<T> fmt::Debug for Hidden<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("(hidden)")
    }
}

fn open<T>(hidden: Hidden<T>) -> T {
    hidden.0
}

macro_rules! ids {
    ($($name:ident: $id:ident),* $(,)?) => {
        $(pub(crate) fn $name() -> impl Strategy<Value = $id> {
            any::<[u8; $id::LEN]>().prop_map($id::new)
        })*
    };
}

ids!(
    repository: RepositoryId,
    snapshot: SnapshotId,
    home: HomeId,
    pack: PackId,
    pack_name: PackName,
    token: Token,
    plan: PlanId,
    digest: Digest,
    public_key: PublicKey,
    salt: Salt,
    stream_tag: StreamTag,
);

fn signature() -> impl Strategy<Value = Signature> {
    any::<[[u8; 32]; 2]>().prop_map(|[first, second]| {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&first);
        bytes[32..].copy_from_slice(&second);
        Signature::new(bytes)
    })
}

pub(crate) fn generation() -> impl Strategy<Value = GenerationId> {
    any::<(u32, [u8; 8])>().prop_map(|(number, hash)| GenerationId { number, hash })
}

pub(crate) fn job() -> impl Strategy<Value = JobName> {
    let letter = select(b"abcxyz0189._-".to_vec());
    let text = vec(letter, 1..=64).prop_map(|bytes| String::from_utf8(bytes).unwrap());
    text.prop_filter_map("only dots", |text| JobName::parse(&text).ok())
}

fn millis() -> impl Strategy<Value = Millis> {
    any::<i64>().prop_map(Millis)
}

fn text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..12).prop_map(|chars| chars.into_iter().collect())
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..40)
}

fn chain_head() -> impl Strategy<Value = ChainHead> {
    (home(), any::<u32>(), digest()).prop_map(|(home, seq, digest)| ChainHead { home, seq, digest })
}

pub(crate) fn signed() -> impl Strategy<Value = Signed> {
    (home(), bytes(), signature()).prop_map(|(home, payload, signature)| Signed { home, payload, signature })
}

pub(crate) fn snapshot_object() -> impl Strategy<Value = SnapshotObject> {
    (signed(), bytes()).prop_map(|(signed, root)| SnapshotObject { signed, root })
}

pub(crate) fn header() -> impl Strategy<Value = Header> {
    let who = (repository(), snapshot(), home(), any::<u32>(), option::of(digest()), millis(), millis());
    let under = (
        digest(),
        option::of(snapshot()),
        vec(chain_head(), 0..4),
        any::<u32>(),
        generation(),
        token(),
        digest(),
        digest(),
    );
    let derived = (option::of(snapshot()), vec(chain_head(), 0..4), option::of(token()));
    let what = (digest(), digest(), vec(digest(), 0..4), salt(), bytes(), derived);
    (who, under, what).prop_map(|(who, under, what)| {
        let (repository, snapshot, home, seq, previous, taken, committed) = who;
        let (session, base, seen, policy, generation, token, key_entry, key_commitment) = under;
        let (root, reach, segments, label_salt, label, (derived_from, opened, erasure)) = what;
        Header {
            repository,
            snapshot,
            home,
            seq,
            previous,
            taken,
            committed,
            session,
            base,
            seen,
            policy,
            generation,
            token,
            key_entry,
            key_commitment,
            root,
            reach,
            segments,
            label_salt,
            label,
            derived_from,
            opened,
            erasure,
        }
    })
}

pub(crate) fn label() -> impl Strategy<Value = Label> {
    let cut = (stream_tag(), any::<u8>(), any::<u32>(), any::<u64>())
        .prop_map(|(stream, version, target_bytes, bytes)| StreamCut { stream, version, target_bytes, bytes });
    let counts = any::<(u64, u64, u32, u64)>();
    (job(), counts, vec(cut, 0..4), vec(text(), 0..4)).prop_map(|(job, (bytes, rows, streams, stored), cuts, tags)| {
        Label { job, bytes, rows, streams, cuts, tags, stored }
    })
}

fn top() -> impl Strategy<Value = Hidden<Top>> {
    (any::<[u8; 32]>(), pack(), any::<u32>(), any::<u8>(), any::<u32>()).prop_map(
        |(capability, pack, slot, level, raw_bytes)| {
            Hidden(Top { capability: Capability::from_bytes(capability), pack, slot, level, raw_bytes })
        },
    )
}

fn stream() -> impl Strategy<Value = Hidden<Stream>> {
    let kind = select(vec![
        StreamKind::Table,
        StreamKind::LargeObjects,
        StreamKind::ArchiveToc,
        StreamKind::Framing,
        StreamKind::Globals,
        StreamKind::Opaque,
        StreamKind::Sql,
    ]);
    let shape = select(vec![Shape::Rows, Shape::Lines, Shape::Bytes]);
    let what = (text(), kind, shape, any::<(u64, u64, u64)>(), digest());
    let rest = (
        option::of(vec(any::<u64>(), 4)),
        option::of(top()),
        vec(top(), 0..3),
        any::<(u8, u32)>(),
        option::of(any::<u32>()),
        option::of(digest()),
    );
    (what, rest).prop_map(|(what, rest)| {
        let (name, kind, shape, (bytes, rows, chunks), blake3) = what;
        let (row_digest, top, dictionaries, cut, dump_id, rewritten) = rest;
        let (top, dictionaries) = (top.map(open), dictionaries.into_iter().map(open).collect());
        Hidden(Stream {
            name,
            kind,
            shape,
            bytes,
            rows,
            blake3,
            row_digest,
            top,
            dictionaries,
            cut,
            dump_id,
            chunks,
            rewritten,
        })
    })
}

pub(crate) fn root() -> impl Strategy<Value = Hidden<Root>> {
    let facts = prop::collection::btree_map(text(), text(), 0..5);
    let streams = vec(stream(), 0..4);
    let what = (repository(), snapshot(), job(), millis(), text(), facts);
    (what, streams, any::<[[u8; 32]; 2]>()).prop_map(|(what, streams, [structure, stream])| {
        let (repository, snapshot, job, taken, source, facts) = what;
        Hidden(Root {
            repository,
            snapshot,
            job,
            taken,
            source,
            facts,
            streams: streams.into_iter().map(open).collect(),
            structure_key: Secret32::from_bytes(structure),
            stream_secret: Secret32::from_bytes(stream),
        })
    })
}

pub(crate) fn key_entry() -> impl Strategy<Value = KeyEntry> {
    let kind = select(vec![WrapKind::AgeX25519, WrapKind::AgePq, WrapKind::OpenPgp]);
    let wrap = (kind, bytes()).prop_map(|(kind, bytes)| InnerWrap { kind, bytes });
    (repository(), snapshot(), any::<u32>(), digest(), vec(wrap, 0..4)).prop_map(
        |(repository, snapshot, policy, key_commitment, wraps)| KeyEntry {
            repository,
            snapshot,
            policy,
            key_commitment,
            wraps,
        },
    )
}

pub(crate) fn key_envelope() -> impl Strategy<Value = KeyEnvelope> {
    (snapshot(), generation(), digest(), bytes()).prop_map(|(snapshot, generation, entry, sealed)| KeyEnvelope {
        snapshot,
        generation,
        entry,
        sealed,
    })
}

pub(crate) fn bundle() -> impl Strategy<Value = Bundle> {
    (repository(), generation(), vec(bytes(), 0..4)).prop_map(|(repository, generation, entries)| Bundle {
        repository,
        generation,
        entries: entries.into_iter().map(Into::into).collect(),
    })
}

pub(crate) fn bundle_list() -> impl Strategy<Value = BundleList> {
    (generation(), digest(), vec((snapshot(), digest()), 0..4)).prop_map(|(generation, bundle, entries)| BundleList {
        generation,
        bundle,
        entries,
    })
}

pub(crate) fn policy() -> impl Strategy<Value = Policy> {
    let recipient = (any::<u8>(), bytes(), text(), option::of(bytes())).prop_map(|(kind, bytes, label, locked)| {
        RecipientEntry { kind, bytes, label, locked_identity: locked.map(Into::into) }
    });
    let role = select(vec![Role::Writer, Role::Maintenance, Role::Admin]);
    let heads = || vec(chain_head(), 0..3);
    let revoked = (millis(), heads(), heads(), vec(digest(), 0..3))
        .prop_map(|(at, twins, snapshots, objects)| Revocation { at, twins, snapshots, objects });
    let entry = (home(), public_key(), role, text(), option::of(chain_head()), option::of(revoked)).prop_map(
        |(home, key, role, label, revoked_at, revoked)| HomeEntry { home, key, role, label, revoked_at, revoked },
    );
    let cell = (text(), text(), option::of(text())).prop_map(|(name, host, holder)| CellEntry { name, host, holder });
    let what = (repository(), any::<u32>(), option::of(digest()), millis(), vec(recipient, 0..3), generation());
    let adopted = (any::<u32>(), any::<u32>(), millis()).prop_map(|(policy, from, at)| Adopted { policy, from, at });
    let more = (option::of(millis()), any::<Option<u32>>(), option::of(adopted));
    let counts = (any::<u32>(), option::of(token()), option::of(salted()), any::<Option<u32>>(), more);
    let who = (bytes(), vec(entry, 0..3), vec(cell, 0..3), any::<bool>(), vec(chain_head(), 0..3), counts);
    (what, who).prop_map(|(what, who)| {
        let (repository, number, previous, signed_at, recipients, generation) = what;
        let (seal_public, homes, cells, two, heads, (min_verified, claim, retention, rewrap_below, more)) = who;
        let (sealed_at, approvals, adopted) = more;
        let holders = if two { Holders::Two } else { Holders::Single };
        Policy {
            repository,
            number,
            previous,
            signed_at,
            recipients,
            generation,
            seal_public,
            homes,
            cells,
            holders,
            heads,
            min_verified,
            retention,
            rewrap_below,
            claim,
            adopted,
            sealed_at,
            approvals,
        }
    })
}

pub(crate) fn event() -> impl Strategy<Value = Event> {
    let named = || (vec(snapshot(), 0..4), text()).prop_map(|(snapshots, reason)| Named { snapshots, reason });
    let check = (any::<u8>(), vec(snapshot(), 0..4), any::<(u64, u64, u64)>()).prop_map(
        |(level, snapshots, (packs, bytes_read, findings))| {
            Event::Check(CheckRecord { level, snapshots, packs, bytes_read, findings })
        },
    );
    let state = select(vec![KitState::Issued, KitState::Acknowledged, KitState::Destroyed]);
    let kit = (any::<u32>(), generation(), state, any::<Option<[u8; 4]>>()).prop_map(
        |(number, generation, state, identity)| Event::Kit(KitRecord { number, generation, state, identity }),
    );
    let restore = (snapshot(), any::<bool>(), option::of(token()))
        .prop_map(|(snapshot, ended, restore)| Event::Restore(RestoreRecord { snapshot, ended, restore }));
    let probe = (any::<[u8; 4]>(), any::<u32>(), any::<bool>(), any::<Option<i64>>()).prop_map(
        |([conditional, versioning, object_lock, deletes], lock_days, consistent, skew_ms)| {
            Event::Probe(ProbeRecord { conditional, versioning, object_lock, lock_days, consistent, deletes, skew_ms })
        },
    );
    let counts = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>());
    let prune =
        (plan(), counts).prop_map(|(plan, (snapshots, packs_deleted, packs_written, bytes_deleted, bytes_written))| {
            Event::Prune(PruneRecord { plan, snapshots, packs_deleted, packs_written, bytes_deleted, bytes_written })
        });
    let times = (any::<[u64; 4]>(), any::<[u32; 2]>(), any::<u8>());
    let drill = (snapshot(), any::<bool>(), times).prop_map(
        |(snapshot, passed, ([rto_ms, duration_ms, tables, bytes], [checks, failed], place))| {
            Event::Drill(DrillRecord { snapshot, passed, rto_ms, duration_ms, tables, bytes, checks, failed, place })
        },
    );
    let run = (token(), millis(), millis(), any::<u8>(), salt(), bytes()).prop_map(
        |(id, started, ended, exit, salt, details)| Event::Run(RunRecord { id, started, ended, exit, salt, details }),
    );
    prop_oneof![
        drill,
        chain_head().prop_map(|entry| Event::Late(Late { entry })),
        named().prop_map(Event::Forget),
        named().prop_map(Event::Unforget),
        named().prop_map(Event::Hold),
        named().prop_map(Event::Release),
        check,
        kit,
        restore,
        probe,
        select(values::events()).prop_map(|(_, event)| event),
        prune,
        run,
    ]
}

pub(crate) fn run_details() -> impl Strategy<Value = RunDetails> {
    let times = (millis(), millis());
    let job = (job(), option::of(snapshot()), any::<u8>(), times, any::<u64>(), any::<u32>(), any::<bool>()).prop_map(
        |(job, snapshot, exit, (started, ended), stored, findings, held_back)| RunJob {
            job,
            snapshot,
            exit,
            started,
            ended,
            stored,
            findings,
            held_back,
        },
    );
    (vec(job, 0..4), any::<u64>(), any::<u32>(), any::<u32>(), any::<u32>()).prop_map(
        |(jobs, forgotten, copies, copies_failed, findings)| RunDetails {
            jobs,
            forgotten,
            copies,
            copies_failed,
            findings,
        },
    )
}

pub(crate) fn log_entry() -> impl Strategy<Value = LogEntry> {
    let what = (repository(), home(), any::<u32>(), option::of(digest()), millis());
    (what, any::<u32>(), bytes()).prop_map(|((repository, home, seq, previous, at), kind, body)| LogEntry {
        repository,
        home,
        seq,
        previous,
        at,
        kind,
        body: body.into(),
    })
}

pub(crate) fn session() -> impl Strategy<Value = Session> {
    (repository(), snapshot(), home(), millis(), option::of(snapshot()), token(), salt(), bytes()).prop_map(
        |(repository, snapshot, home, opened, base, token, job_salt, job)| Session {
            repository,
            snapshot,
            home,
            opened,
            base,
            token,
            job_salt,
            job,
        },
    )
}

pub(crate) fn session_end() -> impl Strategy<Value = SessionEnd> {
    (repository(), snapshot(), home(), millis(), any::<bool>()).prop_map(
        |(repository, snapshot, home, ended, committed)| {
            let outcome = if committed { Outcome::Committed } else { Outcome::Abandoned };
            SessionEnd { repository, snapshot, home, ended, outcome }
        },
    )
}

pub(crate) fn gc_plan() -> impl Strategy<Value = GcPlan> {
    let gone = (snapshot(), home(), any::<u32>(), digest(), millis(), option::of(digest())).prop_map(
        |(snapshot, home, seq, digest, taken, previous)| Reclaimed { snapshot, home, seq, digest, taken, previous },
    );
    let packs = || vec(pack_name(), 0..3);
    let who = (repository(), plan(), millis());
    let lists =
        (packs(), packs(), packs(), vec(gone, 0..3), vec(snapshot(), 0..3), vec(digest(), 0..3), vec(digest(), 0..3));
    (who, lists).prop_map(|((repository, plan, made), lists)| {
        let (delete, repack, outputs, snapshots, sessions, segments, merged) = lists;
        GcPlan { repository, plan, made, delete, repack, outputs, snapshots, sessions, segments, merged }
    })
}

pub(crate) fn gc_step() -> impl Strategy<Value = GcStep> {
    let stage = select(vec![GcStage::Claim, GcStage::Waits, GcStage::Decided, GcStage::Done]);
    let lists = (vec(snapshot(), 0..3), vec(pack_name(), 0..3), vec(snapshot(), 0..3));
    (repository(), plan(), millis(), stage, lists).prop_map(
        |(repository, plan, at, stage, (sessions, packs, snapshots))| GcStep {
            repository,
            plan,
            at,
            stage,
            sessions,
            packs,
            snapshots,
        },
    )
}

pub(crate) fn segment() -> impl Strategy<Value = Segment> {
    let pack = (pack_name(), any::<u64>(), bytes()).prop_map(|(name, bytes, footer)| SegmentPack {
        name,
        bytes,
        footer: footer.into(),
    });
    vec(pack, 0..4).prop_map(|packs| Segment { packs })
}

pub(crate) fn salted() -> impl Strategy<Value = Salted> {
    (salt(), bytes()).prop_map(|(salt, ciphertext)| Salted { salt, ciphertext })
}

fn birth() -> impl Strategy<Value = Birth> {
    (pack(), 0..SLOTS_MAX).prop_map(|(pack, slot)| Birth { pack, slot })
}

pub(crate) fn footer() -> impl Strategy<Value = Footer> {
    let last = u32::try_from(PACK_BYTES_MAX).unwrap();
    let frame =
        (0..=last, any::<u32>(), 0..=LEVEL_MAX, option::of(birth())).prop_map(move |(offset, bytes, level, born)| {
            FrameEntry { offset, bytes: bytes % (last - offset + 1), level, born }
        });
    (pack(), vec(frame, 0..20)).prop_map(|(pack, frames)| Footer { pack, frames })
}

pub(crate) fn node() -> impl Strategy<Value = Hidden<Node>> {
    let entry = (any::<[u8; 32]>(), 0..5u8, 0..SLOTS_MAX, 0..=RAW_BYTES_MAX, 0..=16u32).prop_map(
        |(capability, pack, slot, raw_bytes, dictionary)| {
            let birth = Birth { pack: PackId::new([pack; 12]), slot };
            Hidden(Entry { capability: Capability::from_bytes(capability), birth, raw_bytes, dictionary })
        },
    );
    (1..=LEVEL_MAX, vec(entry, 1..40))
        .prop_map(|(level, entries)| Hidden(Node { level, entries: entries.into_iter().map(open).collect() }))
}
