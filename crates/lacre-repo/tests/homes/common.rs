//! Keys of several machines in one test, and objects signed by whoever holds them.

use std::sync::Arc;

use lacre_format::{
    codec,
    header::{Header, SnapshotObject},
    ids::{Digest, HomeId, JobName, Millis, SnapshotId},
    log::{Event, LogEntry},
    name::{Named, ObjectName},
    object::Kind,
    policy::{HomeEntry, Policy, Role},
    root::{Shape, StreamKind},
};
use lacre_repo::{
    Error, Finding, Repository, Silent,
    home::Home,
    op::{
        backup::{Backup, BackupOptions, Rows, SourceFacts, StreamSpec},
        join,
    },
    store::PutOutcome,
    view::View,
};
use lacre_seal::sign::SigningKey;

use crate::support::Bench;

/// A machine's signing identity, held by the test.
pub(crate) struct Machine {
    pub(crate) home: HomeId,
    pub(crate) key: SigningKey,
}

impl Machine {
    pub(crate) fn new(number: u8) -> Self {
        Self { home: HomeId::new([number; 16]), key: SigningKey::from_seed(&[number; 32]) }
    }

    pub(crate) fn entry(&self, role: Role) -> HomeEntry {
        let label = format!("machine {}", self.home.short());
        HomeEntry { home: self.home, key: self.key.public(), role, label, revoked_at: None, revoked: None }
    }

    /// Puts an entry into this machine's log, after the newest one that anybody sees.
    pub(crate) fn say(&self, bench: &Bench, event: &Event) -> ObjectName {
        let view = bench.repository.view().unwrap();
        let last = view.heads.iter().find(|head| head.home == self.home);
        self.say_after(bench, event, last.map(|head| (head.seq, head.digest)))
    }

    pub(crate) fn say_after(&self, bench: &Bench, event: &Event, last: Option<(u32, Digest)>) -> ObjectName {
        self.say_at(bench, event, last, Millis(bench.now()))
    }

    /// The same, dated as its signer likes.
    pub(crate) fn say_at(&self, bench: &Bench, event: &Event, last: Option<(u32, Digest)>, at: Millis) -> ObjectName {
        let (kind, body) = event.encode();
        let entry = LogEntry {
            repository: bench.repository.id(),
            home: self.home,
            seq: last.map_or(0, |(seq, _)| seq + 1),
            previous: last.map(|(_, digest)| digest),
            at,
            kind,
            body: body.into(),
        };
        let object = self.sign(bench, Kind::LogEntry, codec::to_cbor(&entry));
        put(bench, &Named::Log(self.home, entry.seq, digest(&object)), object)
    }

    pub(crate) fn sign(&self, bench: &Bench, kind: Kind, payload: Vec<u8>) -> Vec<u8> {
        self.key.sign(kind, bench.repository.id(), self.home, payload).encode(kind)
    }

    /// A snapshot object like another's, signed by this machine under an id of its own.
    pub(crate) fn snapshot_like(
        &self,
        bench: &Bench,
        like: SnapshotId,
        as_id: SnapshotId,
        change: impl FnOnce(&mut Header),
    ) -> ObjectName {
        let object = bench.store.get(&ObjectName::of(&Named::Snapshot(like)), 1 << 20).unwrap();
        let object = SnapshotObject::decode(&object).unwrap();
        let mut header = object.header().unwrap();
        (header.snapshot, header.home, header.seq, header.previous) = (as_id, self.home, 0, None);
        change(&mut header);
        let signed = self.key.sign(Kind::Snapshot, header.repository, self.home, codec::to_cbor(&header));
        put(bench, &Named::Snapshot(as_id), SnapshotObject { signed, ..object }.encode())
    }
}

pub(crate) fn digest(bytes: &[u8]) -> Digest {
    Digest::new(*blake3::hash(bytes).as_bytes())
}

pub(crate) fn put(bench: &Bench, named: &Named, bytes: Vec<u8>) -> ObjectName {
    let name = ObjectName::of(named);
    assert_eq!(bench.store.put_new(&name, bytes.into()).unwrap(), PutOutcome::Created);
    name
}

/// The repository's own admin, as a machine of the test.
pub(crate) fn admin(bench: &Bench) -> Machine {
    let signer = bench.repository.home().admin_key().unwrap();
    Machine { home: signer.home, key: signer.key }
}

/// The writer of the bench.
pub(crate) fn writer(bench: &Bench) -> Machine {
    let signer = bench.repository.home().writer_keys().unwrap().signer;
    Machine { home: signer.home, key: signer.key }
}

/// Publishes the policy after the newest one, signed by anybody.
pub(crate) fn publish(bench: &Bench, by: &Machine, change: impl FnOnce(&mut Policy)) -> Digest {
    let view = bench.repository.view().unwrap();
    publish_after(bench, by, (&view.policy, view.policy_digest), change)
}

pub(crate) fn publish_after(
    bench: &Bench,
    by: &Machine,
    (before, before_digest): (&Policy, Digest),
    change: impl FnOnce(&mut Policy),
) -> Digest {
    let mut policy = before.clone();
    policy.number += 1;
    policy.previous = Some(before_digest);
    change(&mut policy);
    let object = by.sign(bench, Kind::Policy, codec::to_cbor(&policy));
    let name_digest = digest(&object);
    put(bench, &Named::Policy(policy.number, name_digest), object);
    name_digest
}

/// What a view finds about one object.
pub(crate) fn about<'v>(view: &'v View, object: &str) -> Vec<&'v Finding> {
    view.findings.iter().filter(|finding| finding.object == object).collect()
}

pub(crate) fn view(repository: &Repository) -> View {
    repository.view().unwrap()
}

/// A second machine's state directory, beside the bench's.
pub(crate) fn host(bench: &Bench, name: &str) -> Home {
    Home::open(&bench.directory.path().join(name)).unwrap()
}

/// A machine that asked, was answered and joined.
pub(crate) fn enrol(bench: &Bench, name: &str, role: Role) -> Repository {
    let home = host(bench, name);
    let asked = join::ask(&home, name).unwrap();
    let enrolled = bench.repository.enrol(&asked.text, role, None, "/anywhere").unwrap();
    let token = join::read_token(&enrolled.token).unwrap();
    join::join(bench.store.clone(), &home, &token, bench.clock.clone()).unwrap().0
}

/// The id under which a machine writes.
pub(crate) fn id_of(repository: &Repository) -> HomeId {
    repository.home().writer_keys().unwrap().signer.home
}

/// The keys of a machine that joined, held by the test as a thief would.
pub(crate) fn stolen(repository: &Repository) -> Machine {
    let signer = repository.home().writer_keys().unwrap().signer;
    Machine { home: signer.home, key: signer.key }
}

/// An open session with a table fed into it, not committed.
pub(crate) fn open<'r>(repository: &'r Repository, table: &[u8]) -> Backup<'r> {
    let job = JobName::parse("app").unwrap();
    let mut backup = repository.begin_backup(&job, BackupOptions::default(), Arc::new(Silent)).unwrap();
    let (name, shape) = ("t".to_owned(), Shape::Rows);
    let spec = StreamSpec { name, kind: StreamKind::Opaque, shape, dump_id: None, expected_bytes: None };
    let mut stream = backup.stream(spec).unwrap();
    stream.push(table).unwrap();
    stream.finish(Rows::default()).unwrap();
    backup
}

pub(crate) fn commit(backup: Backup<'_>) -> Result<SnapshotId, Error> {
    let facts = SourceFacts { kind: "command".to_owned(), ..SourceFacts::default() };
    backup.commit(facts).map(|report| report.snapshot)
}
