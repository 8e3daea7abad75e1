//! Voiding a session in two steps: say so, look for its snapshot, and only then do it (rule 11).
//!
//! The writer stores its snapshot before it reads voids, and this stores its intent before it looks for the snapshot: one of the two
//! sees the other, so no acknowledged snapshot is ever void.

use bytes::Bytes;
use lacre_format::{
    codec,
    header::SNAPSHOT_BYTES_MAX,
    ids::{Millis, SnapshotId},
    name::{Named, ObjectName},
    object::Kind,
    session::{SESSION_BYTES_MAX, Void, VoidStage},
    signed::Signed,
};

use crate::{
    error::Error,
    home::Signer,
    repository::Repository,
    store::StoreError,
    view::{View, is_strange},
};

/// How an attempt to void a session ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Voided {
    /// The session is void: no snapshot of it will ever count.
    Final,
    /// Its snapshot is there after all, so the session ended well.
    Cancelled,
    /// The name of the intent is taken by something nobody may believe; the session stays open.
    Blocked,
}

impl Repository {
    /// Voids a session, unless its snapshot is there. Repeating it after a crash is safe.
    ///
    /// # Errors
    /// Errors of the store.
    pub(crate) fn void_session(&self, view: &View, signer: &Signer, snapshot: SnapshotId) -> Result<Voided, Error> {
        let intent = ObjectName::of(&Named::VoidIntent(snapshot));
        if !self.put_void(view, signer, snapshot, VoidStage::Intent, &intent)? {
            return Ok(Voided::Blocked);
        }
        if self.is_committed(snapshot)? {
            return Ok(Voided::Cancelled);
        }
        let last = ObjectName::of(&Named::Void(snapshot));
        let done = self.put_void(view, signer, snapshot, VoidStage::Final, &last)?;
        Ok(if done { Voided::Final } else { Voided::Blocked })
    }

    /// Gives up a session that a dead run of this home left open: nobody can acknowledge its snapshot from here on, not even a clone with the
    /// same keys. `true` when its snapshot is there after all. Whoever may void finishes it; a writer's own key must not be able to.
    ///
    /// # Errors
    /// Errors of the store.
    pub(crate) fn give_up_session(&self, signer: &Signer, snapshot: SnapshotId) -> Result<bool, Error> {
        let name = ObjectName::of(&Named::VoidIntent(snapshot));
        let at = Millis(self.clock().now().as_millisecond());
        let void = Void { repository: self.id(), snapshot, at, stage: VoidStage::Intent };
        let signed = signer.key.sign(Kind::Void, self.id(), signer.home, codec::to_cbor(&void));
        // What lies there already says the same, or stops nobody: then this run's own end is missing and prune decides.
        let _whatever_lies_there = self.store().put_new(&name, Bytes::from(signed.encode(Kind::Void)))?;
        self.is_committed(snapshot)
    }

    /// Whether something lies under a snapshot's name that may be one. What is longer than any is none, and its writer cannot store its own
    /// there: it reads back what lies under the name.
    fn is_committed(&self, snapshot: SnapshotId) -> Result<bool, Error> {
        let stored = self.store().get(&ObjectName::of(&Named::Snapshot(snapshot)), SNAPSHOT_BYTES_MAX);
        match stored.map_err(Error::from) {
            Ok(_) => Ok(true),
            Err(Error::Store(StoreError::NotFound { .. })) => Ok(false),
            Err(error) if is_strange(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether a void that everybody believes lies under the name now.
    fn put_void(
        &self,
        view: &View,
        signer: &Signer,
        snapshot: SnapshotId,
        stage: VoidStage,
        name: &ObjectName,
    ) -> Result<bool, Error> {
        let at = Millis(self.clock().now().as_millisecond());
        let void = Void { repository: self.id(), snapshot, at, stage };
        let signed = signer.key.sign(Kind::Void, self.id(), signer.home, codec::to_cbor(&void));
        let put = self.store().put_new(name, Bytes::from(signed.encode(Kind::Void)));
        // An earlier attempt's, another maintainer's, or somebody else's: what lies there counts.
        let stored = match (put, self.store().get(name, SESSION_BYTES_MAX)) {
            (Err(error), _) if self.store().local_path().is_some() => return Err(error.into()),
            (_, Ok(stored)) => stored,
            (_, Err(StoreError::TooLarge { .. })) => return Ok(false),
            (Err(error), _) | (Ok(_), Err(error)) => return Err(error.into()),
        };
        let Ok(signed) = Signed::decode(Kind::Void, &stored) else { return Ok(false) };
        if view.may_void(name, &signed, snapshot, stage).is_ok() {
            return Ok(true);
        }
        // Its own writer's intent does as well as ours: everybody has to look for the snapshot after it.
        let by_writer = stage == VoidStage::Intent
            && view.gives_up(self.store(), &*self.catalog()?, name, &signed, snapshot).unwrap_or(false);
        Ok(by_writer)
    }
}
