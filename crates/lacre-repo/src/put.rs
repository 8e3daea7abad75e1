//! Objects on their way into the store, and the proof that they are there.
//!
//! In: a name and bytes. Out: that these bytes lie under that name, whatever answer was lost on the way. It must not know what they mean.

use bytes::Bytes;
use lacre_format::name::ObjectName;

use crate::{
    error::Error,
    repository::{Repository, place},
    store::PutOutcome,
};

impl Repository {
    /// Stores an object and proves it is there by reading it back: whatever answer got lost, what counts is what is stored.
    pub(crate) fn put(&self, name: &ObjectName, object: Vec<u8>) -> Result<(), Error> {
        self.refuse_in_copy()?;
        let bytes = Bytes::from(object);
        let length = bytes.len() as u64;
        let outcome = self.store().put_new(name, bytes.clone());
        let stored = match (outcome, self.store().get(name, length)) {
            // On this machine no answer gets lost: an error means that the object may not survive a power cut, although it reads back.
            (Err(error), _) if self.store().local_path().is_some() => return Err(error.into()),
            (_, Ok(stored)) => stored,
            (Err(error), _) | (_, Err(error)) => return Err(error.into()),
        };
        if stored == bytes { Ok(()) } else { Err(Error::damaged(name, "other bytes are stored under this name")) }
    }

    /// Stores an object that says nothing by itself (an index, a reach map, a session's end): it is read back only when the store's
    /// answer left a doubt.
    pub(crate) fn put_plain(&self, name: &ObjectName, object: Vec<u8>) -> Result<(), Error> {
        self.refuse_in_copy()?;
        let bytes = Bytes::from(object);
        match self.store().put_new(name, bytes.clone()) {
            Ok(PutOutcome::Created) => Ok(()),
            Err(error) if self.store().local_path().is_some() || !error.is_transient() => Err(error.into()),
            doubtful => match self.store().get(name, bytes.len() as u64) {
                Ok(stored) if stored == bytes => Ok(()),
                Ok(_) => Err(Error::damaged(name, "other bytes are stored under this name")),
                Err(read) => Err(doubtful.err().unwrap_or(read).into()),
            },
        }
    }

    /// As [`Repository::put`], for objects whose name is taken only by themselves.
    pub(crate) fn put_fresh(&self, name: &ObjectName, object: Vec<u8>) -> Result<(), Error> {
        self.refuse_in_copy()?;
        let taken = || Error::AlreadyThere { place: place(self.store()) };
        let bytes = Bytes::from(object);
        match self.store().put_new(name, bytes.clone())? {
            PutOutcome::AlreadyExists => Err(taken()),
            // A store without conditions may have taken another's write right after ours.
            PutOutcome::Created if self.store().local_path().is_none() => {
                let stored = self.store().get(name, bytes.len() as u64);
                if stored? == bytes { Ok(()) } else { Err(taken()) }
            }
            PutOutcome::Created => Ok(()),
        }
    }
}
