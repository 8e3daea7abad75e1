//! Voids as the store tells them: a session is void only by the signature of a maintenance or admin home.
//!
//! In: objects below `void/`. Out: which sessions are void or about to be, in the view; everything else is a finding.

use lacre_format::{
    codec,
    ids::SnapshotId,
    name::{Named, ObjectName},
    object::Kind,
    session::{SESSION_BYTES_MAX, Void, VoidStage},
    signed::Signed,
};

use crate::{
    error::Error,
    monitor::{Finding, Severity},
    store::Listing,
    view::{Source, View, bounded, fetch_listed, foreign_name, of_the_object},
};

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
            match self.read_void(source, &name, object.bytes, snapshot, stage) {
                Ok(()) if stage == VoidStage::Final => drop(self.voided.insert(snapshot)),
                Ok(()) => drop(self.void_intents.insert(snapshot)),
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
    ) -> Result<(), Error> {
        let bytes = fetch_listed(source.store, source.catalog, name, listed, SESSION_BYTES_MAX)?;
        let signed = Signed::decode(Kind::Void, &bytes).map_err(|error| Error::format(name, error))?;
        self.may_void(name, &signed, snapshot, stage)
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
