//! The structure key: seals what everyone but the store may know (where frames lie, which are used, labels).
//!
//! It has no part in erasure. Each object gets a key of its own, `DK(label, K_str | salt | repository)`, with a fresh salt
//! stored beside the ciphertext.

use lacre_format::{
    ids::{RepositoryId, Salt, SnapshotId, Token},
    root::Secret32,
    segment::Salted,
};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    aead::{self, NotAuthentic, Suite},
    entropy::{self, EntropyError},
    labels::{self, Label, magic},
};

/// The repository's structure key.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct StructureKey([u8; 32]);

/// What is sealed with the structure key, and what its ciphertext is bound to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Structure {
    /// A pack's footer.
    Footer,
    /// An index segment.
    Segment,
    /// A snapshot's reach map.
    Reach(SnapshotId),
    /// A snapshot's label.
    Label(SnapshotId),
    /// The job named in a session.
    SessionJob(SnapshotId),
    /// What a run did.
    Run(Token),
    /// The jobs an erasure of a person is about.
    PersonJobs(Token),
    /// The account of an erasure of a person.
    PersonAccount(Token),
    /// The rules of retention in a policy.
    Retention,
}

impl Structure {
    fn label(self) -> Label {
        match self {
            Self::Footer => Label::PackFooter,
            Self::Segment => Label::Segment,
            Self::Reach(_) => Label::Reach,
            Self::Label(_) => Label::Annotation,
            Self::SessionJob(_) => Label::SessionJob,
            Self::Run(_) => Label::Run,
            Self::PersonJobs(_) => Label::PersonJobs,
            Self::PersonAccount(_) => Label::PersonAccount,
            Self::Retention => Label::Retention,
        }
    }

    fn aad(self, repository: RepositoryId) -> Vec<u8> {
        let of = |snapshot: SnapshotId| Some(*snapshot.as_bytes());
        let (magic, id) = match self {
            Self::Footer => (magic::FOOTER, None),
            Self::Segment => (magic::SEGMENT, None),
            Self::Reach(snapshot) => (magic::REACH, of(snapshot)),
            Self::Label(snapshot) => (magic::LABEL, of(snapshot)),
            Self::SessionJob(snapshot) => (magic::SESSION_JOB, of(snapshot)),
            Self::Run(run) => (magic::RUN, Some(*run.as_bytes())),
            Self::PersonJobs(erasure) => (magic::PERSON_JOBS, Some(*erasure.as_bytes())),
            Self::PersonAccount(erasure) => (magic::PERSON_ACCOUNT, Some(*erasure.as_bytes())),
            Self::Retention => (magic::RETENTION, None),
        };
        let mut aad = magic.to_vec();
        aad.extend_from_slice(repository.as_bytes());
        if let Some(id) = id {
            aad.extend_from_slice(&id);
        }
        aad
    }
}

impl StructureKey {
    /// Draws a new key.
    ///
    /// # Errors
    /// [`EntropyError`] when the operating system gives no random bytes.
    pub fn generate() -> Result<Self, EntropyError> {
        entropy::secret().map(|bytes| Self(*bytes))
    }

    /// Takes the key from a key file or an opened root.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(*bytes)
    }

    /// The key for a key file.
    #[must_use]
    pub fn to_key_file(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0)
    }

    /// The key for a root.
    #[must_use]
    pub fn to_root(&self) -> Secret32 {
        Secret32::from_bytes(self.0)
    }

    /// Seals an object of the repository.
    ///
    /// # Errors
    /// [`EntropyError`] when the operating system gives no random bytes.
    pub fn seal(
        &self,
        structure: Structure,
        repository: RepositoryId,
        plaintext: &[u8],
    ) -> Result<Salted, EntropyError> {
        let salt = entropy::salt()?;
        let key = self.key(structure, repository, salt);
        let mut ciphertext = plaintext.to_vec();
        aead::seal_once(Suite::Aes256Gcm, &key, &structure.aad(repository), &mut ciphertext);
        Ok(Salted { salt, ciphertext })
    }

    /// Opens an object of the repository.
    ///
    /// # Errors
    /// [`NotAuthentic`] when it is damaged, of another kind, snapshot or repository.
    pub fn open(
        &self,
        structure: Structure,
        repository: RepositoryId,
        salt: Salt,
        ciphertext: &[u8],
    ) -> Result<Vec<u8>, NotAuthentic> {
        let key = self.key(structure, repository, salt);
        let mut message = ciphertext.to_vec();
        let length = aead::open_once(Suite::Aes256Gcm, &key, &structure.aad(repository), &mut message)?.len();
        message.truncate(length);
        Ok(message)
    }

    fn key(&self, structure: Structure, repository: RepositoryId, salt: Salt) -> Zeroizing<[u8; 32]> {
        labels::derive(structure.label(), &[&self.0, salt.as_bytes(), repository.as_bytes()])
    }
}
