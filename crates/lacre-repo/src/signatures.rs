//! Signatures this process has verified already.
//!
//! An operation looks at the store many times over, because others write to it meanwhile, and every look judges every snapshot anew. Whether
//! a signature is good depends on the key, on what was signed and on the signature, and on nothing else; so what was good once is not computed
//! again while all three are the same, byte for byte. Nothing is kept when the process ends, and what was not good is never kept.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use lacre_format::{
    ids::{Digest, PublicKey, RepositoryId},
    object::Kind,
    signed::Signed,
};
use lacre_seal::sign::{self, BadSignature};

use crate::view::digest;

/// Most signatures that are remembered: 4 MiB.
const REMEMBERED_MAX: usize = 1 << 16;

/// What was verified.
#[derive(Default, Debug)]
pub(crate) struct Signatures {
    good: Mutex<HashSet<Digest>>,
}

impl Signatures {
    /// As [`sign::verify`].
    pub(crate) fn verify(
        &self,
        key: &PublicKey,
        kind: Kind,
        repository: RepositoryId,
        signed: &Signed,
    ) -> Result<(), BadSignature> {
        let mut all = Signed::message(kind, repository, signed.home, &signed.payload);
        // Both have a fixed length, so one sequence of bytes is one such triple.
        all.extend_from_slice(signed.signature.as_bytes());
        all.extend_from_slice(key.as_bytes());
        let name = digest(&all);
        if self.good.lock().unwrap_or_else(PoisonError::into_inner).contains(&name) {
            return Ok(());
        }
        sign::verify(key, kind, repository, signed)?;
        let mut good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        if good.len() < REMEMBERED_MAX {
            good.insert(name);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use lacre_format::ids::HomeId;
    use lacre_seal::sign::SigningKey;

    use super::*;

    #[test]
    fn what_was_good_once_says_nothing_of_anything_else() {
        let (signatures, repository) = (Signatures::default(), RepositoryId::new([1; 16]));
        let (ours, theirs) = (SigningKey::from_seed(&[2; 32]), SigningKey::from_seed(&[3; 32]));
        let signed = ours.sign(Kind::Snapshot, repository, HomeId::new([4; 16]), b"a header".to_vec());
        for _ in 0..2 {
            assert_eq!(signatures.verify(&ours.public(), Kind::Snapshot, repository, &signed), Ok(()));
        }
        let bad = |key: &PublicKey, kind, repository, signed: &Signed| {
            // Twice: what was refused is refused again.
            (0..2).all(|_| signatures.verify(key, kind, repository, signed).is_err())
        };
        assert!(bad(&theirs.public(), Kind::Snapshot, repository, &signed));
        assert!(bad(&ours.public(), Kind::LogEntry, repository, &signed));
        assert!(bad(&ours.public(), Kind::Snapshot, RepositoryId::new([9; 16]), &signed));
        let other_home = Signed { home: HomeId::new([5; 16]), ..signed.clone() };
        assert!(bad(&ours.public(), Kind::Snapshot, repository, &other_home));
        let other_payload = Signed { payload: b"a Header".to_vec(), ..signed.clone() };
        assert!(bad(&ours.public(), Kind::Snapshot, repository, &other_payload));
        let foreign = theirs.sign(Kind::Snapshot, repository, signed.home, signed.payload.clone());
        assert!(bad(
            &ours.public(),
            Kind::Snapshot,
            repository,
            &Signed { signature: foreign.signature, ..signed.clone() }
        ));
        assert_eq!(signatures.good.lock().unwrap().len(), 1);
    }
}
