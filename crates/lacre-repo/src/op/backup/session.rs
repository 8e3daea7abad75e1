//! The flag of a run: its session, written before anything is read (protocol rule 2), and its end.
//!
//! In: who signs and what the run is about. Out: signed objects in the store.

use bytes::Bytes;
use lacre_format::{
    codec,
    ids::{Digest, JobName, Millis, SnapshotId},
    name::{Named, ObjectName},
    object::Kind,
    session::{Outcome, Session, SessionEnd},
};
use lacre_seal::{entropy, structure::Structure};

use crate::{error::Error, home::Signer, repository::Repository};

/// Writes a session and gives the hash of its object.
pub(crate) fn put_session(
    repository: &Repository,
    signer: &Signer,
    job: &JobName,
    snapshot: SnapshotId,
    base: Option<SnapshotId>,
) -> Result<Digest, Error> {
    let structure = repository.structure()?;
    let sealed = structure.seal(Structure::SessionJob(snapshot), repository.id(), job.as_str().as_bytes())?;
    let session = Session {
        repository: repository.id(),
        snapshot,
        home: signer.home,
        opened: Millis(repository.clock().now().as_millisecond()),
        base,
        token: entropy::token()?,
        job_salt: sealed.salt,
        job: sealed.ciphertext,
    };
    let signed = signer.key.sign(Kind::Session, repository.id(), signer.home, codec::to_cbor(&session));
    let object = signed.encode(Kind::Session);
    let digest = Digest::new(*blake3::hash(&object).as_bytes());
    match repository.put(&ObjectName::of(&Named::Session(snapshot)), object) {
        // It was stored and is gone: this process slept so long that its session was voided and collected.
        Err(Error::Store(error)) if error.is_not_found() => {
            Err(Error::Overtaken { why: "the session was voided before it had begun".to_owned() })
        }
        stored => stored.map(|()| digest),
    }
}

/// Says how a session ended.
pub(crate) fn put_end(
    repository: &Repository,
    signer: &Signer,
    snapshot: SnapshotId,
    outcome: Outcome,
) -> Result<(), Error> {
    let end = SessionEnd {
        repository: repository.id(),
        snapshot,
        home: signer.home,
        ended: Millis(repository.clock().now().as_millisecond()),
        outcome,
    };
    let signed = signer.key.sign(Kind::SessionEnd, repository.id(), signer.home, codec::to_cbor(&end));
    let name = ObjectName::of(&Named::SessionEnd(snapshot));
    repository.store().put_new(&name, Bytes::from(signed.encode(Kind::SessionEnd))).map(drop)?;
    Ok(())
}
