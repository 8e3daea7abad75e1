//! Appending to a home's log.

use lacre_format::{
    codec,
    header::ChainHead,
    ids::{Digest, Millis, SnapshotId},
    log::{Event, LogEntry, RestoreRecord},
    name::{Named, ObjectName},
    object::Kind,
};
use minicbor::bytes::ByteVec;

use crate::{error::Error, files::LockFile, home::Signer, limits::LOCK_PATIENCE, repository::Repository};

impl Repository {
    /// Records that a restore began, so that an erasure waits for it. `false` on a host that can sign nothing, and from a copy, in which
    /// nothing is recorded.
    ///
    /// # Errors
    /// Errors of the store; a restore with a key that may only read goes on without the record.
    pub fn record_restore_begun(&self, snapshot: SnapshotId) -> Result<bool, Error> {
        self.record_restore(RestoreRecord { snapshot, ended: false })
    }

    /// Records that a restore ended, well or not.
    ///
    /// # Errors
    /// As [`Repository::record_restore_begun`].
    pub fn record_restore_ended(&self, snapshot: SnapshotId) -> Result<bool, Error> {
        self.record_restore(RestoreRecord { snapshot, ended: true })
    }

    fn record_restore(&self, record: RestoreRecord) -> Result<bool, Error> {
        if self.is_copy() {
            return Ok(false);
        }
        let Some(signer) = self.speaker() else { return Ok(false) };
        match self.append(&signer, &Event::Restore(record)) {
            Ok(()) => Ok(true),
            // Reading needs no standing, only the record does.
            Err(Error::Refused { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The key that speaks for this host: the admin's where it is at hand, else the writer's, else that of a maintenance home.
    pub(crate) fn speaker(&self) -> Option<Signer> {
        let home = self.home();
        let other = || home.writer_keys().or_else(|_| home.maintenance_keys()).map(|keys| keys.signer);
        home.admin_key().or_else(|_| other()).ok()
    }

    /// Appends an event to a home's log, right after the entry this host sees as its newest.
    ///
    /// # Errors
    /// Errors of the store.
    pub(crate) fn append(&self, signer: &Signer, event: &Event) -> Result<(), Error> {
        let _turn = LockFile::acquire_within(&self.home().directory().join("log.lock"), LOCK_PATIENCE)?;
        let view = self.view()?;
        if !view.may_sign(signer.home) {
            // Nobody would believe it: better said now than found out when it is needed.
            let why = "this host's key was revoked, or is not enrolled in the repository's policy";
            return Err(Error::Refused { why: why.to_owned() });
        }
        let last = view.heads.iter().find(|head| head.home == signer.home);
        let (kind, body) = event.encode();
        let entry = LogEntry {
            repository: self.id(),
            home: signer.home,
            seq: last.map_or(0, |head| head.seq.saturating_add(1)),
            previous: last.map(|head| head.digest),
            at: Millis(self.clock().now().as_millisecond()),
            kind,
            body: ByteVec::from(body),
        };
        let signed = signer.key.sign(Kind::LogEntry, self.id(), signer.home, codec::to_cbor(&entry));
        let object = signed.encode(Kind::LogEntry);
        let digest = Digest::new(*blake3::hash(&object).as_bytes());
        let name = ObjectName::of(&Named::Log(signer.home, entry.seq, digest));
        self.put(&name, object.clone())?;
        // What this host signed it remembers: should the store be lost, a copy that never heard of it can be told.
        match self.home().keep_log_head(&ChainHead { home: signer.home, seq: entry.seq, digest }) {
            Err(Error::File(error)) if error.is_no_room() => tracing::warn!(%error, "the entry's number is not kept"),
            kept => kept?,
        }
        self.remember(&name, &object);
        Ok(())
    }
}
