//! Rollups: small objects of the store, byte for byte and many in one, so that a machine that comes from afar reads one instead of thousands.
//!
//! A rollup is a cache that lies in the store. Nobody signs it and nobody believes it: what is taken out of it is judged exactly as if it
//! had been read under its own name, only names that a listing shows are taken, and everything works without any. Its own name holds its
//! hash, so damage is seen, and how many objects it holds, so that what is not in it can be counted without reading it.

use crate::{
    codec::{Cursor, put_varint},
    error::FormatError,
    name::{Named, ObjectName},
    object::{self, Kind},
};

/// Longest object that is rolled up: policies, log entries, headers, voids, plans.
pub const ROLLED_BYTES_MAX: u64 = 64 * 1024;
/// A rollup is closed when it holds this much.
pub const ROLLUP_FULL_BYTES: usize = 4 * 1024 * 1024;
/// Largest rollup object: a full one, one object more, and its start.
pub const ROLLUP_BYTES_MAX: u64 = 4 * 1024 * 1024 + 128 * 1024;
/// Longest name in a rollup.
const NAME_BYTES_MAX: u32 = 256;

/// Whether objects of this kind are rolled up: those that every reader needs and nobody changes.
#[must_use]
pub const fn is_rolled_up(named: &Named) -> bool {
    matches!(
        named,
        Named::Policy(..)
            | Named::Log(..)
            | Named::Snapshot(_)
            | Named::VoidIntent(_)
            | Named::Void(_)
            | Named::GcClaim(_)
            | Named::GcPlan(_)
            | Named::GcWaits(_)
            | Named::GcDecided(_)
            | Named::GcDone(_)
    )
}

/// A rollup that is being made.
pub struct Builder {
    object: Vec<u8>,
    count: u32,
}

impl Default for Builder {
    fn default() -> Self {
        Self { object: object::start(Kind::Rollup).to_vec(), count: 0 }
    }
}

impl Builder {
    /// Appends an object; names come in ascending order.
    pub fn push(&mut self, name: &ObjectName, bytes: &[u8]) {
        put_varint(&mut self.object, u64::try_from(name.as_str().len()).unwrap_or(u64::MAX));
        self.object.extend_from_slice(name.as_str().as_bytes());
        put_varint(&mut self.object, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.object.extend_from_slice(bytes);
        self.count = self.count.saturating_add(1);
    }

    /// How many objects it holds.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Whether it holds as much as one should.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.object.len() >= ROLLUP_FULL_BYTES
    }

    /// The object.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.object
    }
}

/// Reads a rollup: its objects, by name in ascending order.
///
/// # Errors
/// [`FormatError`] for another kind, a name that is none, is not rolled up or is out of order, an object that is too long or cut off.
pub fn decode(bytes: &[u8]) -> Result<Vec<(ObjectName, &[u8])>, FormatError> {
    let what = Kind::Rollup.name();
    let mut cursor = Cursor::new(what, object::strip_start(Kind::Rollup, bytes)?);
    let mut objects: Vec<(ObjectName, &[u8])> = Vec::new();
    while cursor.left() > 0 {
        let length = cursor.bounded(NAME_BYTES_MAX)?;
        let name = core::str::from_utf8(cursor.take(usize::try_from(length).unwrap_or(usize::MAX))?).ok();
        let parsed = name.and_then(ObjectName::parse).filter(|(_, named)| is_rolled_up(named));
        let Some((name, _)) = parsed else { return Err(FormatError::malformed(what, "a name that is not rolled up")) };
        if objects.last().is_some_and(|(last, _)| *last >= name) {
            return Err(FormatError::malformed(what, "names are not in order"));
        }
        let length = cursor.bounded(u32::try_from(ROLLED_BYTES_MAX).unwrap_or(u32::MAX))?;
        objects.push((name, cursor.take(usize::try_from(length).unwrap_or(usize::MAX))?));
    }
    Ok(objects)
}
