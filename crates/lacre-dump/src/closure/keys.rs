//! Sets of keys, shared by all snapshots of an erasure, and what each snapshot says of them.
//!
//! Comes in: canonical bytes of keys. Goes out: small numbers for them. Must not know: rows or rules.

use std::collections::HashMap;
use std::sync::Arc;

use super::{ClosureError, Shape};
use crate::copy::Identifier;
use crate::limits::{KEY_BYTES_TOTAL_MAX, KEYS_MAX};
use crate::personal::Personal;
use crate::schema::{Canon, TableName};

/// Whose rows give the keys of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The table's own rows (and its partitions'), as a foreign key sees them.
    Own,
    /// Those of its heirs, too, as a query sees them.
    WithHeirs,
}

/// What a set of keys is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SetName {
    /// The table referred to.
    pub table: TableName,
    /// Its columns and how their values are compared.
    pub columns: Vec<(Identifier, Canon)>,
    /// Whose rows give keys.
    pub scope: Scope,
}

/// The number of a set within its [`KeyBook`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SetId(pub(super) usize);

/// The number of a shape within its [`KeyBook`]: equal shapes, of whatever table or snapshot, have one number. Together with what the bytes of a run
/// are, it says which findings are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShapeId(usize);

/// What a snapshot says of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Mark {
    /// Nothing: it is some other snapshot's.
    #[default]
    None,
    /// Its row belongs to the person and stays.
    Belongs,
    /// Its row is deleted.
    Deleted,
}

/// All keys of an erasure, over all its snapshots.
#[derive(Debug, Default)]
pub struct KeyBook {
    names: HashMap<SetName, SetId>,
    sets: Vec<KeySet>,
    bytes: usize,
    keys: usize,
    shapes: HashMap<Arc<Shape>, ShapeId>,
}

#[derive(Debug)]
struct KeySet {
    name: SetName,
    ids: HashMap<Personal, u32>,
    /// A bit for each value that may be a key; what has no bit is none.
    bloom: Box<[u64; BLOOM_WORDS]>,
}

const BLOOM_WORDS: usize = 512;

/// Which bit a value has: its length, its first and its last eight bytes, multiplied and folded.
fn bloom_bit(value: &[u8]) -> (usize, u64) {
    let (head, last) = match (value.first_chunk::<8>(), value.last_chunk::<8>()) {
        (Some(head), Some(last)) => (u64::from_le_bytes(*head), u64::from_le_bytes(*last)),
        _ => (value.iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte)), 0),
    };
    let length = u64::try_from(value.len()).unwrap_or(0);
    let mixed = (head ^ last.rotate_left(29) ^ length).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let word = usize::try_from(mixed >> 55).unwrap_or(0) % BLOOM_WORDS;
    (word, 1 << ((mixed >> 49) & 63))
}

impl KeyBook {
    /// An empty book.
    #[must_use]
    pub fn new() -> KeyBook {
        KeyBook::default()
    }

    /// The number of a set, which is added if it is new.
    pub fn set(&mut self, name: &SetName) -> SetId {
        if let Some(id) = self.names.get(name) {
            return *id;
        }
        let id = SetId(self.sets.len());
        self.names.insert(name.clone(), id);
        self.sets.push(KeySet { name: name.clone(), ids: HashMap::new(), bloom: Box::new([0; BLOOM_WORDS]) });
        id
    }

    /// The number of a shape, which is added if it is new, and the shape as it is kept.
    pub(super) fn shape(&mut self, shape: Shape) -> (ShapeId, Arc<Shape>) {
        if let Some((known, id)) = self.shapes.get_key_value(&shape) {
            return (*id, Arc::clone(known));
        }
        let (id, shape) = (ShapeId(self.shapes.len()), Arc::new(shape));
        self.shapes.insert(Arc::clone(&shape), id);
        (id, shape)
    }

    /// What a set is of.
    ///
    /// # Panics
    /// If the number is of another book.
    #[must_use]
    pub fn name(&self, set: SetId) -> &SetName {
        &self.sets[set.0].name
    }

    /// How many keys a set has.
    #[must_use]
    pub fn len(&self, set: SetId) -> u32 {
        self.sets.get(set.0).map_or(0, |set| u32::try_from(set.ids.len()).unwrap_or(u32::MAX))
    }

    /// Whether there are no keys at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys == 0
    }

    /// The number of a key in its set.
    #[must_use]
    pub fn find(&self, set: SetId, key: &[u8]) -> Option<u32> {
        let set = self.sets.get(set.0)?;
        let (word, bit) = bloom_bit(key);
        if set.bloom[word] & bit == 0 {
            return None;
        }
        set.ids.get(key).copied()
    }

    /// The keys of a set, in no particular order.
    pub(crate) fn keys(&self, set: SetId) -> impl Iterator<Item = &[u8]> {
        self.sets.get(set.0).into_iter().flat_map(|set| set.ids.keys().map(Personal::expose))
    }

    /// Adds a key and gives its number.
    ///
    /// # Errors
    /// Too many keys.
    pub fn insert(&mut self, set: SetId, key: &Personal) -> Result<u32, ClosureError> {
        let (bytes, keys) = (self.bytes, self.keys);
        let Some(set) = self.sets.get_mut(set.0) else { return Ok(0) };
        if let Some(known) = set.ids.get(key) {
            return Ok(*known);
        }
        if keys >= KEYS_MAX {
            return Err(ClosureError::TooManyKeys { table: set.name.table.to_string(), max: KEYS_MAX });
        }
        if bytes + key.len() > KEY_BYTES_TOTAL_MAX {
            return Err(ClosureError::TooManyKeyBytes(KEY_BYTES_TOTAL_MAX));
        }
        let id = u32::try_from(set.ids.len()).unwrap_or(u32::MAX);
        let (word, bit) = bloom_bit(key.expose());
        set.bloom[word] |= bit;
        set.ids.insert(key.clone(), id);
        self.bytes = bytes + key.len();
        self.keys = keys + 1;
        Ok(id)
    }
}

/// What one snapshot says of the keys of a book.
#[derive(Debug, Clone, Default)]
pub struct Marks {
    sets: Vec<SetMarks>,
}

#[derive(Debug, Clone, Default)]
struct SetMarks {
    marks: Vec<Mark>,
    /// Grows whenever a mark does.
    version: u64,
    /// One more than the largest number of a marked key.
    end: u32,
}

impl Marks {
    /// What is said of a key.
    #[must_use]
    pub fn get(&self, set: SetId, key: u32) -> Mark {
        let at = usize::try_from(key).unwrap_or(usize::MAX);
        self.sets.get(set.0).and_then(|set| set.marks.get(at)).copied().unwrap_or_default()
    }

    /// Raises what is said of a key; it never falls.
    pub(super) fn raise(&mut self, set: SetId, key: u32, mark: Mark) {
        let at = usize::try_from(key).unwrap_or(usize::MAX);
        if self.sets.len() <= set.0 {
            self.sets.resize_with(set.0 + 1, SetMarks::default);
        }
        let set = &mut self.sets[set.0];
        if set.marks.len() <= at {
            set.marks.resize(at.saturating_add(1).min(KEYS_MAX), Mark::None);
        }
        if let Some(known) = set.marks.get_mut(at).filter(|known| **known < mark) {
            *known = mark;
            set.version += 1;
            set.end = set.end.max(key.saturating_add(1));
        }
    }

    /// How often something new was said of a set's keys.
    pub(super) fn version(&self, set: SetId) -> u64 {
        self.sets.get(set.0).map_or(0, |set| set.version)
    }

    /// One more than the largest number of a key of the set that this snapshot knows.
    pub(super) fn end(&self, set: SetId) -> u32 {
        self.sets.get(set.0).map_or(0, |set| set.end)
    }

    /// How many keys of a set are marked as deleted.
    #[must_use]
    pub fn deleted(&self, set: SetId) -> usize {
        self.sets.get(set.0).map_or(0, |set| set.marks.iter().filter(|mark| **mark == Mark::Deleted).count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_and_marks_only_rise() {
        let mut book = KeyBook::new();
        let name = SetName {
            table: TableName { schema: Identifier::new("a"), table: Identifier::new("t") },
            columns: vec![(Identifier::new("id"), Canon::Number)],
            scope: Scope::Own,
        };
        let set = book.set(&name);
        assert_eq!(book.set(&name), set);
        for number in 0..5000u32 {
            let key = Personal::new(format!("key {number}"));
            assert_eq!(book.insert(set, &key), Ok(number));
            assert_eq!(book.insert(set, &key), Ok(number));
        }
        assert_eq!((book.len(set), book.find(set, b"key 77"), book.find(set, b"key 5000")), (5000, Some(77), None));
        let mut marks = Marks::default();
        assert_eq!((marks.get(set, 7), marks.version(set)), (Mark::None, 0));
        marks.raise(set, 7, Mark::Deleted);
        marks.raise(set, 7, Mark::Belongs);
        assert_eq!((marks.get(set, 7), marks.version(set), marks.end(set)), (Mark::Deleted, 1, 8));
        assert!(!format!("{book:?}").contains("key 77"));
    }

    #[test]
    fn bytes_are_bounded() {
        let mut book = KeyBook::new();
        let table = TableName { schema: Identifier::new("a"), table: Identifier::new("t") };
        let set = book.set(&SetName { table, columns: Vec::new(), scope: Scope::Own });
        let large = Personal::new(vec![b'x'; KEY_BYTES_TOTAL_MAX]);
        assert!(book.insert(set, &large).is_ok());
        assert_eq!(book.insert(set, &Personal::new("y")), Err(ClosureError::TooManyKeyBytes(KEY_BYTES_TOTAL_MAX)));
    }
}
