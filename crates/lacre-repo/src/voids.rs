//! Voids as the store tells them: a session is void only by the signature of a maintenance or admin home.
//!
//! In: objects below `void/`. Out: which sessions are void or about to be, in the view; everything else is a finding.

use lacre_format::{
    codec,
    ids::SnapshotId,
    name::{Named, ObjectName},
    object::Kind,
    session::{SESSION_BYTES_MAX, Session, Void, VoidStage},
    signed::Signed,
};
use lacre_seal::sign;

use crate::{
    catalog::Catalog,
    error::Error,
    monitor::{Finding, Severity},
    store::{Listing, Store},
    view::{Source, View, bounded, fetch, fetch_listed, foreign_name, of_the_object},
};

/// Who gave a void.
enum By {
    /// A maintenance or admin home.
    Maintenance,
    /// The home that opened the session: it only says that it gave up.
    ItsWriter,
}

impl View {
    /// A session is void only by the word of a maintenance or admin home (rules 1 and 11).
    pub(crate) fn read_voids(&mut self, source: &Source<'_>, listing: &Listing) -> Result<(), Error> {
        for object in bounded(listing.below("void").collect())? {
            let (name, snapshot, stage) = match ObjectName::parse(&object.name) {
                Some((name, Named::Void(snapshot))) => (name, snapshot, VoidStage::Final),
                Some((name, Named::VoidIntent(snapshot))) => (name, snapshot, VoidStage::Intent),
                _ => {
                    self.findings.push(foreign_name(&object.name));
                    continue;
                }
            };
            match source.judged(&name, || self.read_void(source, &name, object.bytes, snapshot, stage)) {
                Ok(By::ItsWriter) => {
                    self.void_intents.insert(snapshot);
                    self.given_up.insert(snapshot);
                }
                Ok(By::Maintenance) if stage == VoidStage::Final => drop(self.voided.insert(snapshot)),
                Ok(By::Maintenance) => drop(self.void_intents.insert(snapshot)),
                Err(error) if of_the_object(&error) => {
                    let advice = "it is ignored; somebody else can write to the store";
                    self.findings.push(Finding::new(Severity::Warning, error.to_string(), name, advice));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn read_void(
        &self,
        source: &Source<'_>,
        name: &ObjectName,
        listed: u64,
        snapshot: SnapshotId,
        stage: VoidStage,
    ) -> Result<By, Error> {
        let bytes = fetch_listed(source.store, source.catalog, name, listed, SESSION_BYTES_MAX)?;
        let signed = Signed::decode(Kind::Void, &bytes).map_err(|error| Error::format(name, error))?;
        let refused = match self.may_void(name, &signed, snapshot, stage) {
            Ok(()) => return Ok(By::Maintenance),
            Err(refused) => refused,
        };
        if stage == VoidStage::Intent && self.gives_up(source.store, source.catalog, name, &signed, snapshot)? {
            return Ok(By::ItsWriter);
        }
        Err(refused)
    }

    /// Whether a writer says of its own session that it is to be voided. It can only give the intent: what it has committed stays, and a
    /// stolen writer's key takes nothing away.
    pub(crate) fn gives_up(
        &self,
        store: &Store,
        catalog: &Catalog,
        name: &ObjectName,
        signed: &Signed,
        snapshot: SnapshotId,
    ) -> Result<bool, Error> {
        // Not the right of its role: what a writer may say of its own session takes nothing away.
        let home = self.home(signed.home).filter(|home| !home.is_revoked());
        let Some(home) = home else { return Ok(false) };
        if sign::verify(&home.key, Kind::Void, self.repository, signed).is_err() {
            return Ok(false);
        }
        let void: Void = codec::from_cbor("void", &signed.payload).map_err(|error| Error::format(name, error))?;
        if void.repository != self.repository || void.snapshot != snapshot || void.stage != VoidStage::Intent {
            return Ok(false);
        }
        let session_name = ObjectName::of(&Named::Session(snapshot));
        let bytes = match fetch(store, catalog, &session_name, SESSION_BYTES_MAX) {
            Ok(bytes) => bytes,
            // Whose it was is known no more, and nothing depends on it any more.
            Err(Error::Store(error)) if error.is_not_found() => return Ok(true),
            Err(error) => return Err(error),
        };
        let Ok(opened) = Signed::decode(Kind::Session, &bytes) else { return Ok(false) };
        let session = codec::from_cbor::<Session>("session", &opened.payload);
        let is_its_own = session.is_ok_and(|session| session.snapshot == snapshot && session.home == signed.home);
        Ok(is_its_own && opened.home == signed.home && self.verify(Kind::Session, &session_name, &opened).is_ok())
    }

    /// Whether a signed object is a void that its signer may give.
    pub(crate) fn may_void(
        &self,
        name: &ObjectName,
        signed: &Signed,
        snapshot: SnapshotId,
        stage: VoidStage,
    ) -> Result<(), Error> {
        self.verify(Kind::Void, name, signed)?;
        self.stands(Kind::Void, name, signed)?;
        let void: Void = codec::from_cbor("void", &signed.payload).map_err(|error| Error::format(name, error))?;
        if void.repository == self.repository && void.snapshot == snapshot && void.stage == stage {
            Ok(())
        } else {
            Err(Error::damaged(name, "it is another session's void"))
        }
    }
}
