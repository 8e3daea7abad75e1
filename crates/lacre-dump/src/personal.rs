//! Values that belong to a person, in types that do not show them.
//!
//! Comes in: keys and identifiers. Goes out: the same bytes to whoever compares them. Memory is overwritten when a value is dropped, `Debug`
//! says only how long it is, and no error of this crate holds one.

use std::borrow::Borrow;
use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::copy::Identifier;
use crate::schema::{Canon, TableName};

/// Bytes that belong to a person.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Zeroize, ZeroizeOnDrop)]
pub struct Personal(Vec<u8>);

impl Personal {
    /// Takes bytes over.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Personal {
        Personal(bytes.into())
    }

    /// The bytes; for comparing, hashing and sealing, not for showing.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Personal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Personal({} bytes)", self.0.len())
    }
}

impl Borrow<[u8]> for Personal {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// Whom an erasure is about, as the request names them.
#[derive(Debug, Clone, Default)]
pub struct Subject {
    /// Values of the root's key, one for each of its columns.
    pub keys: Vec<Vec<Personal>>,
    /// Identifiers by the column of the root they belong to: an e-mail address, a taxpayer number. They are searched for afterwards, and
    /// found in tables whose rules refer to that column.
    pub identifiers: Vec<(Identifier, Personal)>,
}

/// Writes the canonical bytes of some values in one form: a single value as it is, several with their lengths before them.
pub(crate) fn tuple<'v>(parts: impl ExactSizeIterator<Item = &'v [u8]>, into: &mut Vec<u8>) {
    let is_single = parts.len() == 1;
    for part in parts {
        if !is_single {
            into.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
        }
        into.extend_from_slice(part);
    }
}

/// The normal form of a value in a table, which suppression tokens are made of by whoever holds the key for it.
///
/// Four length-prefixed parts (schema, table, columns joined by a zero byte, canonical values with their own lengths), each length four bytes
/// little-endian. Two spellings of one value (`1.0` and `1` in a `numeric`, both cases of a `citext`) give the same bytes; the same value in
/// another table or column gives others.
///
/// Nothing if there are not as many values as columns.
#[must_use]
pub fn suppression_form(table: &TableName, columns: &[(Identifier, Canon)], values: &[Personal]) -> Option<Personal> {
    if columns.len() != values.len() {
        return None;
    }
    let names = columns.iter().map(|(name, _)| name.as_bytes()).collect::<Vec<_>>().join(&0);
    let mut inner = Vec::new();
    for ((_, canon), value) in columns.iter().zip(values) {
        prefixed(&canon.apply(value.expose()), &mut inner);
    }
    let mut form = Vec::new();
    for part in [table.schema.as_bytes(), table.table.as_bytes(), &names, &inner] {
        prefixed(part, &mut form);
    }
    inner.zeroize();
    Some(Personal(form))
}

fn prefixed(part: &[u8], into: &mut Vec<u8>) {
    into.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
    into.extend_from_slice(part);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(table: &str, column: &str, canon: Canon, value: &str) -> Vec<u8> {
        let table = TableName { schema: Identifier::new("app"), table: Identifier::new(table) };
        let form = suppression_form(&table, &[(Identifier::new(column), canon)], &[Personal::new(value)]);
        form.unwrap().expose().to_vec()
    }

    #[test]
    fn values_do_not_show() {
        let subject = Subject {
            keys: vec![vec![Personal::new("31337")]],
            identifiers: vec![(Identifier::new("email"), Personal::new("ana@x.example"))],
        };
        let shown = format!("{subject:?}");
        assert!(!shown.contains("31337") && !shown.contains("ana@") && shown.contains("5 bytes"), "{shown}");
    }

    #[test]
    fn one_value_has_one_form_and_no_other_has_it() {
        assert_eq!(form("t", "c", Canon::Number, "1.0"), form("t", "c", Canon::Number, "1"));
        assert_eq!(
            form("t", "c", Canon::Exact, "v"),
            b"\x03\0\0\0app\x01\0\0\0t\x01\0\0\0c\x05\0\0\0\x01\0\0\0v",
            "the form is stored and must not change"
        );
        let others =
            [form("t", "c", Canon::Exact, "v"), form("tc", "", Canon::Exact, "v"), form("t", "cv", Canon::Exact, "")];
        assert!(others[0] != others[1] && others[0] != others[2] && others[1] != others[2]);
        let table = TableName { schema: Identifier::new("app"), table: Identifier::new("t") };
        assert!(suppression_form(&table, &[], &[Personal::new("v")]).is_none());
    }
}
