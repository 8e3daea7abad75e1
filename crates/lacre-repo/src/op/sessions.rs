//! Sessions as the store tells them: which are open, which ended without a snapshot, which are over.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use lacre_format::{
    codec,
    ids::{HomeId, SnapshotId},
    name::{Named, ObjectName},
    object::Kind,
    policy::HomeEntry,
    session::{Outcome, SESSION_BYTES_MAX, Session, SessionEnd},
    signed::Signed,
};

use crate::{
    error::Error,
    monitor::{Finding, Severity},
    repository::Repository,
    store::StoreError,
    view::{View, fetch, foreign_name, is_strange, of_the_object},
};

/// How a session stands that has no believed snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// Its writer may still commit.
    Open,
    /// Its writer gave up, or its key is revoked: nothing more of it can count.
    Abandoned,
    /// Its writer says that it committed, and the snapshot is not there.
    Lost,
}

/// A session without a believed snapshot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unfinished {
    pub(crate) home: HomeId,
    pub(crate) base: Option<SnapshotId>,
    /// When the store wrote its marker, by the store's clock.
    pub(crate) written: Timestamp,
    pub(crate) standing: Standing,
    /// Whether its writer said that it gave up.
    pub(crate) given_up: bool,
}

/// What lies below `session/`, names only.
#[derive(Clone, Debug, Default)]
pub(crate) struct SessionNames {
    open: BTreeMap<SnapshotId, Timestamp>,
    ended: BTreeSet<SnapshotId>,
    findings: Vec<Finding>,
}

/// All sessions at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions {
    /// Sessions that are neither committed nor void.
    pub(crate) unfinished: BTreeMap<SnapshotId, Unfinished>,
    /// Sessions with objects in the store that are void or whose snapshot was reclaimed.
    pub(crate) over: BTreeSet<SnapshotId>,
    pub(crate) findings: Vec<Finding>,
}

impl Sessions {
    pub(crate) fn open(&self) -> impl Iterator<Item = (SnapshotId, &Unfinished)> {
        let open = self.unfinished.iter().filter(|(_, session)| session.standing == Standing::Open);
        open.map(|(snapshot, session)| (*snapshot, session))
    }

    pub(crate) fn with(&self, standing: Standing) -> impl Iterator<Item = SnapshotId> + '_ {
        self.unfinished.iter().filter(move |(_, session)| session.standing == standing).map(|(snapshot, _)| *snapshot)
    }
}

impl Repository {
    /// Lists sessions. The view that judges them is loaded afterwards: a session that ends in between has its snapshot there.
    pub(crate) fn session_names(&self) -> Result<SessionNames, Error> {
        let mut names = SessionNames::default();
        for object in self.store().list("session")?.objects {
            match ObjectName::parse(&object.name) {
                Some((_, Named::Session(snapshot))) => drop(names.open.insert(snapshot, object.modified)),
                Some((_, Named::SessionEnd(snapshot))) => drop(names.ended.insert(snapshot)),
                _ => names.findings.push(foreign_name(&object.name)),
            }
        }
        Ok(names)
    }

    /// Reads the sessions that have no believed snapshot; unsigned ones are findings.
    pub(crate) fn sessions(&self, names: SessionNames, view: &View) -> Result<Sessions, Error> {
        let mut sessions = Sessions { findings: names.findings, ..Sessions::default() };
        let mut seen = BTreeSet::new();
        for (snapshot, written) in names.open {
            seen.insert(snapshot);
            if view.voided.contains(&snapshot) || view.plans.reclaimed.contains_key(&snapshot) {
                sessions.over.insert(snapshot);
                continue;
            }
            if view.snapshots.contains_key(&snapshot) {
                continue;
            }
            let name = ObjectName::of(&Named::Session(snapshot));
            let found = self.read_session(view, &name, snapshot);
            let Some(session) = believed(found, &name, &mut sessions.findings)? else { continue };
            let standing = if view.home(session.home).is_none_or(HomeEntry::is_revoked) {
                // What it says of its end does not matter any more; what is no end of anybody's is named all the same.
                if names.ended.contains(&snapshot) {
                    let name = ObjectName::of(&Named::SessionEnd(snapshot));
                    if let Err(error) = self.read_end(view, &name, snapshot, session.home)
                        && is_strange(&error)
                    {
                        let _none = believed::<SessionEnd>(Err(error), &name, &mut sessions.findings)?;
                    }
                }
                Standing::Abandoned
            } else if names.ended.contains(&snapshot) {
                let name = ObjectName::of(&Named::SessionEnd(snapshot));
                let end = self.read_end(view, &name, snapshot, session.home);
                match believed(end, &name, &mut sessions.findings)? {
                    Some(SessionEnd { outcome: Outcome::Committed, .. }) => Standing::Lost,
                    Some(SessionEnd { outcome: Outcome::Abandoned, .. }) => Standing::Abandoned,
                    None => Standing::Open,
                }
            } else {
                Standing::Open
            };
            let given_up = view.given_up.contains(&snapshot);
            let unfinished = Unfinished { home: session.home, base: session.base, written, standing, given_up };
            sessions.unfinished.insert(snapshot, unfinished);
        }
        for snapshot in names.ended.iter().filter(|snapshot| !seen.contains(*snapshot)) {
            // An end without a beginning: a run that died before its marker was stored.
            let name = ObjectName::of(&Named::SessionEnd(*snapshot));
            let end = self.read_signed(view, &name, Kind::SessionEnd).map(drop);
            let is_ours = believed(end, &name, &mut sessions.findings)?.is_some();
            if is_ours && !view.snapshots.contains_key(snapshot) {
                sessions.over.insert(*snapshot);
            }
        }
        Ok(sessions)
    }

    fn read_session(&self, view: &View, name: &ObjectName, snapshot: SnapshotId) -> Result<Session, Error> {
        let signed = self.read_signed(view, name, Kind::Session)?;
        let session: Session =
            codec::from_cbor("session", &signed.payload).map_err(|error| Error::format(name, error))?;
        let is_its_own = session.home == signed.home && session.snapshot == snapshot;
        if is_its_own && session.repository == self.id() {
            Ok(session)
        } else {
            Err(Error::damaged(name, "it is another session's object"))
        }
    }

    /// Only the home that opened a session may end it.
    fn read_end(
        &self,
        view: &View,
        name: &ObjectName,
        snapshot: SnapshotId,
        home: HomeId,
    ) -> Result<SessionEnd, Error> {
        let signed = self.read_signed(view, name, Kind::SessionEnd)?;
        let end: SessionEnd =
            codec::from_cbor("session end", &signed.payload).map_err(|error| Error::format(name, error))?;
        let is_its_own = signed.home == home && end.home == home && end.snapshot == snapshot;
        if is_its_own && end.repository == self.id() {
            Ok(end)
        } else {
            Err(Error::damaged(name, "it is not the end that the session's own writer signed"))
        }
    }

    fn read_signed(&self, view: &View, name: &ObjectName, kind: Kind) -> Result<Signed, Error> {
        let bytes = fetch(self.store(), &*self.catalog()?, name, SESSION_BYTES_MAX)?;
        let signed = Signed::decode(kind, &bytes).map_err(|error| Error::format(name, error))?;
        view.verify(kind, name, &signed)?;
        Ok(signed)
    }
}

/// What is not believed is a finding; what was deleted since it was listed is nothing.
fn believed<T>(found: Result<T, Error>, name: &ObjectName, findings: &mut Vec<Finding>) -> Result<Option<T>, Error> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Error::Store(StoreError::NotFound { .. })) => Ok(None),
        Err(error) if of_the_object(&error) => {
            let advice = "it is ignored; somebody else can write to the store";
            findings.push(Finding::new(Severity::Warning, error.to_string(), name, advice));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
