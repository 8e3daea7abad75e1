//! Appending to a home's log.

use lacre_format::{
    codec,
    ids::{Digest, Millis},
    log::{Event, LogEntry},
    name::{Named, ObjectName},
    object::Kind,
};
use minicbor::bytes::ByteVec;

use crate::{error::Error, files::LockFile, home::Signer, limits::LOCK_PATIENCE, repository::Repository};

impl Repository {
    /// Appends an event to a home's log, right after the entry this host sees as its newest.
    ///
    /// # Errors
    /// Errors of the store.
    pub(crate) fn append(&self, signer: &Signer, event: &Event) -> Result<(), Error> {
        let _turn = LockFile::acquire_within(&self.home().directory().join("log.lock"), LOCK_PATIENCE)?;
        let view = self.view()?;
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
        self.put(&ObjectName::of(&Named::Log(signer.home, entry.seq, digest)), object)
    }
}
