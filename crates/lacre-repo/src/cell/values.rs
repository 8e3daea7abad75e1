//! Cells that are named values: one value for each generation in a bucket or with a command, each under a name of its own.
//!
//! In: slots and names. Out: what is kept, what could not be read, and proof that something is gone. A name holds the generation, so that a
//! hidden version of a value counts although nobody can read it without more rights. It must not know policies.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use lacre_format::{
    ids::{GenerationId, RepositoryId, Token},
    name::ObjectName,
};
use lacre_seal::cell::{SLOT_BYTES, SealedSlot, Slot, decode_slot};
use zeroize::{Zeroize, Zeroizing};

use super::{CellAnswer, CellError, CellReach, CellVerb};
use crate::{
    limits::{CELL_LISTING_BYTES_MAX, CELL_VALUES_MAX},
    monitor::things,
    store::{Deletion, PutOutcome, Store, StoreError},
};

/// The folder of a cell in its bucket.
const FOLDER: &str = "seal";

/// The name of one value: `<repository>.<generation>.<token>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct ValueName {
    pub(super) repository: RepositoryId,
    pub(super) generation: GenerationId,
    token: Token,
}

impl ValueName {
    pub(super) fn new(repository: RepositoryId, generation: GenerationId, token: Token) -> Self {
        Self { repository, generation, token }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (repository, generation, token) = (parts.next()?, parts.next()?, parts.next()?);
        let name = Self {
            repository: RepositoryId::parse(repository).ok()?,
            generation: GenerationId::parse(generation).ok()?,
            token: Token::parse(token).ok()?,
        };
        (name.text() == text).then_some(name)
    }

    fn text(&self) -> String {
        format!("{}.{}.{}", self.repository, self.generation, self.token)
    }

    fn object(&self) -> Result<ObjectName, CellError> {
        ObjectName::from_path(&format!("{FOLDER}/{}", self.text()))
            .map_err(|_| CellError::Untrue("a value's name is no object name".to_owned()))
    }
}

/// Where the values are.
pub(super) enum Values {
    /// In a bucket.
    Bucket(Store),
    /// With a command.
    Command {
        /// The command and its own arguments.
        words: Vec<String>,
        /// What may start it.
        reach: Arc<dyn CellReach>,
    },
}

impl Values {
    /// The names of all values, those among them of which only a hidden version is left.
    pub(super) fn names(&self) -> Result<BTreeSet<ValueName>, CellError> {
        let texts: Vec<String> = match self {
            Self::Bucket(store) => {
                let below = |name: &String| name.strip_prefix(FOLDER)?.strip_prefix('/').map(str::to_owned);
                store.names_kept(FOLDER)?.iter().filter_map(below).collect()
            }
            Self::Command { words, reach } => match reach.command(words, CellVerb::List, None, b"")? {
                CellAnswer::Done(output) => lines(&output)?,
                CellAnswer::NoValue => return Err(CellError::Command("it does not list its values".to_owned())),
            },
        };
        if texts.len() > CELL_VALUES_MAX {
            return Err(CellError::Command(format!("it holds {} values, more than {CELL_VALUES_MAX}", texts.len())));
        }
        Ok(texts.iter().filter_map(|text| ValueName::parse(text)).collect())
    }

    /// Reads a value: nothing when there is none to be read, although a hidden version may exist.
    pub(super) fn get(&self, name: &ValueName) -> Result<Option<Slot>, CellError> {
        match self {
            Self::Bucket(store) => match store.get(&name.object()?, SLOT_BYTES as u64) {
                Ok(bytes) => Ok(Some(fitting(name, decode_slot(&bytes)))),
                Err(StoreError::TooLarge { .. }) => Ok(Some(Slot::Damaged)),
                Err(error) if error.is_not_found() => Ok(None),
                Err(error) => Err(error.into()),
            },
            Self::Command { words, reach } => match reach.command(words, CellVerb::Get, Some(&name.text()), b"")? {
                CellAnswer::Done(output) => {
                    Ok(Some(from_hex(&output).map_or(Slot::Damaged, |slot| fitting(name, decode_slot(&slot)))))
                }
                CellAnswer::NoValue => Ok(None),
            },
        }
    }

    /// Keeps a value under a new name and reads it back.
    pub(super) fn put(&self, name: &ValueName, slot: &[u8]) -> Result<(), CellError> {
        match self {
            Self::Bucket(store) => {
                // Whatever answer got lost, what is read back counts.
                let put = store.put_new(&name.object()?, Bytes::copy_from_slice(slot));
                match (put, self.get(name)?) {
                    (Ok(PutOutcome::Created | PutOutcome::AlreadyExists) | Err(_), Some(Slot::Full(_))) => {}
                    (Err(error), _) => return Err(error.into()),
                    (Ok(_), _) => return Err(CellError::Untrue("what was put does not read back".to_owned())),
                }
            }
            Self::Command { words, reach } => {
                let text = to_hex(slot);
                if let CellAnswer::NoValue = reach.command(words, CellVerb::Put, Some(&name.text()), text.as_bytes())? {
                    return Err(CellError::Command("it does not keep the value".to_owned()));
                }
                if !matches!(self.get(name)?, Some(Slot::Full(_))) {
                    return Err(CellError::Untrue("what was put does not read back".to_owned()));
                }
            }
        }
        if self.names()?.contains(name) {
            Ok(())
        } else {
            Err(CellError::Untrue("what was put is missing in its list".to_owned()))
        }
    }

    /// Destroys values and proves it: none is listed, not even hidden, and none is read any more. Says what was seen.
    pub(super) fn destroy(&self, names: &BTreeSet<ValueName>) -> Result<String, CellError> {
        for name in names {
            match self {
                Self::Bucket(store) => match store.delete(&name.object()?)? {
                    Deletion::Gone => {}
                    Deletion::Hidden => {
                        let why = "it was only hidden: these keys may not delete its versions";
                        return Err(CellError::Untrue(why.to_owned()));
                    }
                    Deletion::Pending { until } => {
                        let until = until.map_or_else(|| "somebody lifts a hold".to_owned(), |until| until.to_string());
                        return Err(CellError::Untrue(format!("the bucket keeps it until {until}")));
                    }
                },
                Self::Command { words, reach } => {
                    drop(reach.command(words, CellVerb::Destroy, Some(&name.text()), b"")?);
                }
            }
        }
        let listed = self.names()?;
        for name in names {
            if listed.contains(name) {
                return Err(CellError::Untrue("it still lists what it was told to destroy".to_owned()));
            }
            if self.get(name)?.is_some() {
                return Err(CellError::Untrue("it still returns what it was told to destroy".to_owned()));
            }
        }
        let values = things(names.len(), ["value", "values"]);
        Ok(match self {
            Self::Bucket(_) => format!(
                "{values} deleted with every version, listed and read as gone; what the provider keeps beyond its interface is its own promise"
            ),
            Self::Command { .. } => format!(
                "{values} destroyed by its command, listed and read as gone; that nothing else keeps them is the command's promise"
            ),
        })
    }
}

/// A value counts only under the name it was made for: a copy of an old one under a newer name is damage.
fn fitting(name: &ValueName, slot: Slot) -> Slot {
    match slot {
        Slot::Full(SealedSlot { repository, generation, seed })
            if repository == name.repository && generation == name.generation =>
        {
            Slot::Full(SealedSlot { repository, generation, seed })
        }
        _ => Slot::Damaged,
    }
}

fn lines(output: &[u8]) -> Result<Vec<String>, CellError> {
    if output.len() > CELL_LISTING_BYTES_MAX {
        return Err(CellError::Command("its list is too long".to_owned()));
    }
    let text = core::str::from_utf8(output).map_err(|_| CellError::Command("its list is no text".to_owned()))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// A slot as commands keep it: its bytes without the zeros at the end, in hexadecimal, and a line feed.
fn to_hex(slot: &[u8]) -> Zeroizing<String> {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let end = slot.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let mut text = Zeroizing::new(String::with_capacity(2 * SLOT_BYTES + 1));
    for byte in slot.iter().take(end) {
        text.push(DIGITS[usize::from(byte >> 4)]);
        text.push(DIGITS[usize::from(byte & 0xf)]);
    }
    text.push('\n');
    text
}

/// Reads what [`to_hex`] wrote; white space at either end does not matter.
fn from_hex(output: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let text = output.trim_ascii();
    if text.is_empty() || !text.len().is_multiple_of(2) || text.len() > 2 * SLOT_BYTES {
        return None;
    }
    let mut slot = Zeroizing::new(vec![0; SLOT_BYTES]);
    for (byte, pair) in slot.iter_mut().zip(text.chunks_exact(2)) {
        let mut digits = [0u8; 2];
        for (digit, char) in digits.iter_mut().zip(pair) {
            *digit = u8::try_from(char::from(*char).to_digit(16)?).ok()?;
        }
        *byte = digits[0] << 4 | digits[1];
        digits.zeroize();
    }
    Some(slot)
}

#[cfg(test)]
mod tests {
    use lacre_format::ids::{GenerationId, RepositoryId, Token};
    use lacre_seal::cell::SLOT_BYTES;

    use super::{ValueName, from_hex, lines, to_hex};

    #[test]
    fn names_hold_a_generation_and_nothing_else_is_one() {
        let generation = GenerationId { number: 7, hash: [0xa9; 8] };
        let name = ValueName::new(RepositoryId::new([0xb1; 16]), generation, Token::new([0xc2; 16]));
        assert_eq!(ValueName::parse(&name.text()), Some(name.clone()));
        for text in ["", "a.b.c", &name.text().to_uppercase(), &format!("{}.x", name.text())] {
            assert!(ValueName::parse(text).is_none(), "{text}");
        }
        assert!(name.object().unwrap().as_str().starts_with("seal/"));
    }

    #[test]
    fn values_survive_being_text_and_garbage_is_no_value() {
        let mut slot = vec![0; SLOT_BYTES];
        slot[..4].copy_from_slice(&[0x1a, 0, 0xff, 0x10]);
        let text = to_hex(&slot);
        assert_eq!(text.as_str(), "1a00ff10\n");
        assert_eq!(from_hex(format!("  {}", text.as_str()).as_bytes()).unwrap().as_slice(), slot);
        for garbage in [&b""[..], b"1", b"zz", &b"00".repeat(SLOT_BYTES + 1)] {
            assert!(from_hex(garbage).is_none());
        }
        assert_eq!(lines(b" a \n\nb").unwrap(), ["a", "b"]);
        assert!(lines(&[0xff]).is_err());
    }
}
