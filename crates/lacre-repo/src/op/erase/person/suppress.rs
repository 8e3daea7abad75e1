//! Suppression lists in the store: beside each covered snapshot, as long as it can be restored with the person in it.
//!
//! In: a list, and the key of the snapshot it is for. Out: `suppress/<sid>-<erasure>`, or what it says. Only tokens are in it; whoever opens
//! it could read the snapshot itself.

use std::collections::BTreeSet;

use lacre_format::{
    codec,
    ids::{SnapshotId, Token},
    name::{Named, ObjectName},
    object::{self, Kind},
    segment::Salted,
    suppression::{SUPPRESSION_BYTES_MAX, Suppression},
};
use lacre_seal::suppression::{open_suppression, seal_suppression};

use super::Rewrite;
use crate::{error::Error, op::keys::ReadKeys, pack::salted_object, repository::Repository, view::View};

/// The list of one erasure, opened.
pub struct OpenList {
    /// The erasure.
    pub erasure: Token,
    /// Whom it is about, in tokens.
    pub list: Suppression,
}

impl Rewrite<'_> {
    /// Stores a list beside a snapshot; one that is there already stays.
    ///
    /// # Errors
    /// Errors of the store.
    pub fn suppress(&self, at: usize, list: &Suppression) -> Result<(), Error> {
        let covered = &self.covered[at];
        let snapshot = covered.root.snapshot;
        let name = ObjectName::of(&Named::Suppression(snapshot, list.erasure));
        if self.repository.store().list("suppress")?.objects.iter().any(|object| object.name == name.as_str()) {
            return Ok(());
        }
        let sealed = seal_suppression(&covered.key, self.repository.id(), snapshot, list)?;
        self.repository.put(&name, salted_object(Kind::Suppression, &sealed))
    }
}

impl Repository {
    /// Every list that stands for a snapshot: it may be handed out only without these persons.
    ///
    /// # Errors
    /// [`Error::Refused`] when an erasure covers the snapshot and its list is not there; [`Error::NoIdentity`] and the like.
    pub fn suppressions(&self, snapshot: SnapshotId, keys: &ReadKeys) -> Result<Vec<OpenList>, Error> {
        let view = self.view()?;
        let mut lists = Vec::new();
        for erasure in view.persons.covered.get(&snapshot).into_iter().flatten() {
            lists.push(self.suppression(&view, snapshot, *erasure, keys)?);
        }
        Ok(lists)
    }

    /// The list of an erasure, from whichever covered snapshot has one that opens.
    ///
    /// # Errors
    /// [`Error::Refused`] when there is none.
    pub fn suppression_of(&self, erasure: Token, keys: &ReadKeys) -> Result<OpenList, Error> {
        let view = self.view()?;
        let mut refused = None;
        for (snapshot, _) in view.persons.covered.iter().filter(|(_, erasures)| erasures.contains(&erasure)) {
            match self.suppression(&view, *snapshot, erasure, keys) {
                Ok(list) => return Ok(list),
                Err(error) => drop(refused.get_or_insert(error)),
            }
        }
        let none = || Error::Refused { why: format!("nothing says any more whom erasure {erasure} is about") };
        Err(refused.unwrap_or_else(none))
    }

    /// The erasures that have a list somewhere.
    pub(super) fn listed_persons(&self) -> Result<BTreeSet<Token>, Error> {
        let objects = self.store().list("suppress")?.objects;
        let erasure = |name: &str| match ObjectName::parse(name) {
            Some((_, Named::Suppression(_, erasure))) => Some(erasure),
            _ => None,
        };
        Ok(objects.iter().filter_map(|object| erasure(&object.name)).collect())
    }

    fn suppression(
        &self,
        view: &View,
        snapshot: SnapshotId,
        erasure: Token,
        keys: &ReadKeys,
    ) -> Result<OpenList, Error> {
        let name = ObjectName::of(&Named::Suppression(snapshot, erasure));
        let bytes = match self.store().get(&name, SUPPRESSION_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => {
                let why = format!(
                    "a person is being erased from snapshot {}, and it is not known yet whom it must be handed out without: run the same `lacre erase person` again, or give erasure {erasure} up",
                    snapshot.short()
                );
                return Err(Error::Refused { why });
            }
            Err(error) => return Err(error.into()),
        };
        let known = view.snapshots.get(&snapshot).ok_or(Error::NoSnapshot { name: snapshot.to_string() })?;
        let key = self.snapshot_key(view, &self.seals(view, keys)?, keys, &known.header)?;
        let body = object::strip_start(Kind::Suppression, &bytes).map_err(|error| Error::format(&name, error))?;
        let sealed: Salted = codec::from_cbor("suppression list", body).map_err(|error| Error::format(&name, error))?;
        let list = open_suppression(&key, self.id(), snapshot, erasure, &sealed)
            .map_err(|error| Error::damaged(&name, error.to_string()))?;
        Ok(OpenList { erasure, list })
    }

    /// Deletes the lists of snapshots that are erased, and of erasures that were given up; what is left of them in copies opens with the
    /// erased snapshots' keys alone.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] without the admin key; errors of the store.
    pub fn drop_suppressions(&self) -> Result<u64, Error> {
        drop(self.home().admin_key()?);
        let view = self.view()?;
        let mut deleted = 0;
        for object in self.store().list("suppress")?.objects {
            let Some((name, Named::Suppression(snapshot, erasure))) = ObjectName::parse(&object.name) else { continue };
            let stands = view.persons.covered.get(&snapshot).is_some_and(|erasures| erasures.contains(&erasure));
            let is_known = view.ledger.intents.iter().any(|intent| intent.record.id == erasure);
            if !stands && is_known {
                self.store().delete(&name)?;
                deleted += 1;
            }
        }
        Ok(deleted)
    }
}
