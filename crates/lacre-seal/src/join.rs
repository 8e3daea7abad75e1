//! Joining: the structure key on its way to a new machine, sealed to a key that was born there and is used once.
//!
//! In: a repository, a home and the structure key, or what was sealed of them. Out: an age file to one hybrid key, or the structure
//! key. Whoever sees it on the way learns nothing; that it is the right one is for an admin's signature to say.

use lacre_format::ids::{HomeId, RepositoryId};
use zeroize::Zeroizing;

use crate::{
    outer::{SealError, SealPublic, SealSeed},
    structure::StructureKey,
    words,
};

const MAGIC: &[u8; 4] = b"LJS1";
const PAYLOAD_BYTES: usize = 4 + RepositoryId::LEN + HomeId::LEN + 32;
/// Bytes of a fingerprint that two people compare: 64 bits, which nobody can search for while they talk.
const FINGERPRINT_BYTES: usize = 8;

/// Why a structure key did not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// It is sealed to another machine's request, or damaged.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// What was sealed is not a structure key for this machine.
    #[error("what it carries is not this repository's structure key for this machine")]
    Foreign,
}

/// Seals the structure key to a new machine's one-time key.
///
/// # Errors
/// [`SealError`] when the system gives no random bytes.
pub fn seal_structure(
    to: &SealPublic,
    repository: RepositoryId,
    home: HomeId,
    structure: &StructureKey,
) -> Result<Vec<u8>, SealError> {
    let mut payload = Zeroizing::new(Vec::with_capacity(PAYLOAD_BYTES));
    payload.extend_from_slice(MAGIC);
    payload.extend_from_slice(repository.as_bytes());
    payload.extend_from_slice(home.as_bytes());
    payload.extend_from_slice(structure.to_key_file().as_slice());
    to.seal(&payload)
}

/// Opens the structure key on the machine that asked for it.
///
/// # Errors
/// [`JoinError`] when it was sealed to another key, or for another repository or home.
pub fn open_structure(
    seed: &SealSeed,
    repository: RepositoryId,
    home: HomeId,
    sealed: &[u8],
) -> Result<StructureKey, JoinError> {
    let payload = seed.open(sealed, PAYLOAD_BYTES)?;
    let rest = payload.strip_prefix(MAGIC.as_slice()).ok_or(JoinError::Foreign)?;
    let rest = rest.strip_prefix(repository.as_bytes().as_slice()).ok_or(JoinError::Foreign)?;
    let rest = rest.strip_prefix(home.as_bytes().as_slice()).ok_or(JoinError::Foreign)?;
    let key = <&[u8; 32]>::try_from(rest).map_err(|_| JoinError::Foreign)?;
    Ok(StructureKey::from_bytes(key))
}

/// Eight words for some signed bytes, for two people to compare over another way than the bytes came.
#[must_use]
pub fn fingerprint(signed: &[u8]) -> String {
    let digest = blake3::hash(signed);
    let words: Vec<&str> = digest.as_bytes().iter().take(FINGERPRINT_BYTES).map(|byte| words::word(*byte)).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPOSITORY: RepositoryId = RepositoryId::new([1; 16]);
    const HOME: HomeId = HomeId::new([2; 16]);

    #[test]
    fn the_structure_key_opens_on_the_machine_that_asked_and_for_nothing_else() {
        let (seed, other) = (SealSeed::generate().unwrap(), SealSeed::generate().unwrap());
        let structure = StructureKey::generate().unwrap();
        let sealed = seal_structure(&seed.public(), REPOSITORY, HOME, &structure).unwrap();
        let opened = open_structure(&seed, REPOSITORY, HOME, &sealed).unwrap();
        assert_eq!(opened.to_key_file().as_slice(), structure.to_key_file().as_slice());
        let foreign = [
            open_structure(&other, REPOSITORY, HOME, &sealed),
            open_structure(&seed, RepositoryId::new([3; 16]), HOME, &sealed),
            open_structure(&seed, REPOSITORY, HomeId::new([3; 16]), &sealed),
            open_structure(&seed, REPOSITORY, HOME, &seed.public().seal(b"LJS1").unwrap()),
        ];
        assert!(foreign.iter().all(Result::is_err));
        for at in (0..sealed.len()).step_by(97) {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(open_structure(&seed, REPOSITORY, HOME, &changed).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_fingerprint_is_eight_words_of_the_bytes() {
        assert_eq!(fingerprint(b"one").split(' ').count(), 8);
        assert_eq!(fingerprint(b"one"), fingerprint(b"one"));
        assert_ne!(fingerprint(b"one"), fingerprint(b"two"));
    }
}
