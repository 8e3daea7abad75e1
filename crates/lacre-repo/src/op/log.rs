//! Appending to a home's log.

use lacre_format::{
    codec,
    header::ChainHead,
    ids::{Digest, Millis, SnapshotId, Token},
    log::{Event, Late, LogEntry, RestoreRecord},
    name::{Named, ObjectName},
    object::Kind,
};
use lacre_seal::entropy;
use minicbor::bytes::ByteVec;

use crate::{
    error::Error,
    files::{FileError, LockFile},
    home::{Signer, Untold},
    limits::LOCK_PATIENCE,
    repository::Repository,
    store::{Cause, StoreError},
    view::View,
};

/// Where a restore is on record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RestoreOnRecord {
    /// In the repository's log, where every admin sees it.
    InLog(Token),
    /// In this home alone: it read a copy, or the log took nothing. The log is told with the next thing this host writes there.
    InHome(Token),
    /// Nowhere: this host can sign nothing that anybody would believe.
    Nowhere,
}

impl Repository {
    /// Records that a restore began, so that an erasure waits for it.
    ///
    /// # Errors
    /// [`Error::File`] when this home takes no note of it; the restore may go on without the record.
    pub fn record_restore_begun(&self, snapshot: SnapshotId) -> Result<RestoreOnRecord, Error> {
        let Some(signer) = self.speaker() else { return Ok(RestoreOnRecord::Nowhere) };
        let restore = entropy::token()?;
        if self.log_takes_nothing() {
            return self.note_restore(snapshot, restore, Untold::Begin);
        }
        match self.append(&signer, &Event::Restore(RestoreRecord { snapshot, ended: false, restore: Some(restore) })) {
            Ok(()) => Ok(RestoreOnRecord::InLog(restore)),
            // Reading needs no standing, only the record does.
            Err(Error::Refused { .. }) => Ok(RestoreOnRecord::Nowhere),
            Err(Error::Store(error)) => {
                self.learn_refusal(&error)?;
                self.note_restore(snapshot, restore, Untold::Begin)
            }
            Err(error) => Err(error),
        }
    }

    /// Records that a restore ended, well or not.
    ///
    /// # Errors
    /// As [`Repository::record_restore_begun`].
    pub fn record_restore_ended(&self, snapshot: SnapshotId, begun: RestoreOnRecord) -> Result<(), Error> {
        match begun {
            RestoreOnRecord::Nowhere => Ok(()),
            RestoreOnRecord::InLog(restore) => self.end_restore(snapshot, Some(restore)),
            RestoreOnRecord::InHome(token) => {
                self.home().renote_restore(token, |untold| Some(untold.ended()))?;
                self.home().forget_old_restores()?;
                self.tell_restores()
            }
        }
    }

    /// Records the end of restores of a snapshot that this host left open when it was killed.
    ///
    /// # Errors
    /// Errors of the store; [`Error::File`].
    pub fn end_left_restores(&self, snapshot: SnapshotId) -> Result<(), Error> {
        for noted in self.home().noted_restores()?.iter().filter(|noted| noted.snapshot == snapshot) {
            self.home().renote_restore(noted.token, |untold| Some(untold.ended()))?;
        }
        self.tell_restores()?;
        let Some(signer) = self.speaker().filter(|_| !self.log_takes_nothing()) else { return Ok(()) };
        let view = self.view()?;
        let mut open = view.ledger.restoring.get(&snapshot).into_iter().flatten();
        match open.find(|open| open.home == signer.home) {
            Some(open) => self.end_restore(snapshot, open.restore),
            None => Ok(()),
        }
    }

    /// Tells the log of restores that only this home knows of. Also done whenever this host appends anything.
    ///
    /// # Errors
    /// Errors of the store; [`Error::File`].
    pub fn tell_restores(&self) -> Result<(), Error> {
        match self.speaker().filter(|_| !self.log_takes_nothing()) {
            Some(signer) => self.tell(&signer),
            None => Ok(()),
        }
    }

    fn tell(&self, signer: &Signer) -> Result<(), Error> {
        let untold = self.home().noted_restores()?;
        if untold.iter().all(|noted| noted.untold == Untold::Nothing) {
            return Ok(());
        }
        let _turn = match LockFile::acquire(&self.home().directory().join("restores-told.lock")) {
            Ok(turn) => turn,
            // Another process of this host is telling it.
            Err(FileError::Locked { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for noted in self.home().noted_restores()? {
            let restore = Some(noted.token);
            let said = |ended| Event::Restore(RestoreRecord { snapshot: noted.snapshot, ended, restore });
            // Told before it is noted: dying in between leaves a restore open that a person has to vouch for, and loses none.
            if matches!(noted.untold, Untold::Begin | Untold::Both) {
                self.append_one(signer, &said(false))?;
                self.home().renote_restore(noted.token, Untold::told_of_begin)?;
            }
            if matches!(noted.untold, Untold::End | Untold::Both) {
                self.append_one(signer, &said(true))?;
                self.home().renote_restore(noted.token, |_| None)?;
            }
        }
        Ok(())
    }

    fn end_restore(&self, snapshot: SnapshotId, restore: Option<Token>) -> Result<(), Error> {
        let Some(signer) = self.speaker() else { return Ok(()) };
        match self.append(&signer, &Event::Restore(RestoreRecord { snapshot, ended: true, restore })) {
            Ok(()) | Err(Error::Refused { .. }) => Ok(()),
            // Nobody shall wait for a restore that ended, only because the store was away just then.
            Err(Error::Store(error)) => {
                self.learn_refusal(&error)?;
                // One without a name was begun by an older version, and stays open until somebody vouches for it.
                restore.map_or(Ok(()), |restore| self.note_restore(snapshot, restore, Untold::End).map(drop))
            }
            Err(error) => Err(error),
        }
    }

    fn note_restore(&self, snapshot: SnapshotId, restore: Token, untold: Untold) -> Result<RestoreOnRecord, Error> {
        self.home().note_restore(snapshot, restore, untold)?;
        Ok(RestoreOnRecord::InHome(restore))
    }

    /// Whether nothing can be recorded where this reads: it is a copy, or a store that these keys only read.
    fn log_takes_nothing(&self) -> bool {
        self.is_copy()
            || self.store().is_read_only()
            || self.store().key_mark().is_some_and(|keys| self.home().was_refused(keys))
    }

    fn learn_refusal(&self, error: &StoreError) -> Result<(), Error> {
        match (error, self.store().key_mark()) {
            (StoreError::Remote { cause: Cause::NotAllowed, .. }, Some(keys)) => self.home().keep_refusal(keys),
            _ => Ok(()),
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
        if let Err(error) = self.tell(signer) {
            // It is told with the next entry; this one matters more.
            tracing::warn!(%error, "the log was not told of restores that this home knows of");
        }
        self.append_one(signer, event)
    }

    fn append_one(&self, signer: &Signer, event: &Event) -> Result<(), Error> {
        let _turn = LockFile::acquire_within(&self.home().directory().join("log.lock"), LOCK_PATIENCE)?;
        let mut view = self.view()?;
        for head in view.twins.own.clone().into_iter().filter(|head| head.home == signer.home) {
            self.append_to(&view, signer, &Event::Late(Late { entry: head }))?;
            self.home().forget_sent(&head)?;
            view = self.view()?;
        }
        self.append_to(&view, signer, event)
    }

    /// Appends an event after what a view says is the newest entry of its signer's log. Whoever calls it keeps others of this host away.
    pub(crate) fn append_to(&self, view: &View, signer: &Signer, event: &Event) -> Result<(), Error> {
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
        let head = ChainHead { home: signer.home, seq: entry.seq, digest };
        // A request may land after this process has ended. Then the next entry has its number, and only this host knows why.
        let may_be_late = self.store().local_path().is_none();
        if may_be_late {
            match self.home().note_sent(&head) {
                Err(Error::File(error)) if error.is_no_room() => tracing::warn!(%error, "what is sent is not noted"),
                noted => noted?,
            }
        }
        let put = self.put(&name, object.clone());
        if may_be_late && put.as_ref().err().is_none_or(|error| !is_in_doubt(error)) {
            self.home().forget_sent(&head)?;
        }
        put?;
        self.home().forget_refusal()?;
        // What this host signed it remembers: should the store be lost, a copy that never heard of it can be told.
        match self.home().keep_log_head(&head) {
            Err(Error::File(error)) if error.is_no_room() => tracing::warn!(%error, "the entry's number is not kept"),
            kept => kept?,
        }
        self.remember(&name, &object);
        Ok(())
    }
}

/// Whether a request that ended so may still be carried out.
fn is_in_doubt(error: &Error) -> bool {
    matches!(error, Error::Store(error) if error.is_transient() || error.is_not_found())
}
