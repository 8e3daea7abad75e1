//! Identities: the secret keys that open snapshots.
//!
//! In: identity files and passphrases as bytes, or a callback that decrypts elsewhere. Out: an [`Identity`]. This module
//! must not know where a file lies or how a passphrase was asked for, and none of its errors repeats a character of a
//! secret.

use std::str::FromStr as _;

use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::age_file::{self, AgeFileError};
use crate::outer::SealSeed;
use crate::passphrase;
use crate::pgp_secret::{self, LockedPgp, PgpIdentity, PgpKeyFile, PgpSecretError};
use crate::pq::PqIdentity;
use crate::recipient::{Recipient, RecipientKind};

/// The largest identity file that is read, in bytes.
pub const IDENTITY_FILE_BYTES_MAX: usize = 1024 * 1024;

/// The most keys in one identity file.
pub const IDENTITIES_MAX: usize = 256;

const AGE_BINARY: &[u8] = b"age-encryption.org/";
const AGE_ARMOR: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
const PGP_ARMOR: &[u8] = b"-----BEGIN PGP";

/// Why an identity could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file is larger than any sensible one.
    #[error("the identity file has {length} bytes, more than {IDENTITY_FILE_BYTES_MAX}")]
    TooLong {
        /// Its size in bytes.
        length: usize,
    },
    /// No key in the file.
    #[error("the identity file holds no key")]
    Empty,
    /// More keys than a file may hold.
    #[error("the identity file holds more than {IDENTITIES_MAX} keys")]
    TooMany,
    /// A line is no key.
    #[error("line {line} of the identity file {problem}")]
    Line {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: LineProblem,
    },
    /// The file is not text, not an age file and not OpenPGP.
    #[error("the identity file is of no known kind")]
    Unknown,
    /// An age file that is encrypted to a key instead of a passphrase.
    #[error("the identity file is encrypted to a key; decrypt it first")]
    NotPassphrase,
    /// The passphrase is wrong.
    #[error("the passphrase of the identity file is wrong")]
    WrongPassphrase,
    /// The encrypted identity file is damaged.
    #[error("the encrypted identity file cannot be opened: {0}")]
    Age(#[source] AgeFileError),
    /// The armor of the encrypted identity file is damaged.
    #[error("the armor of the encrypted identity file is damaged")]
    Armor,
    /// The OpenPGP key cannot be used.
    #[error(transparent)]
    Pgp(PgpSecretError),
    /// The system gave no random numbers.
    #[error("cannot make a key: {0}")]
    Entropy(#[source] getrandom::Error),
}

/// What is wrong with one line of an identity file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineProblem {
    /// It starts like a secret key, but is mistyped or cut off.
    #[error("is a damaged age secret key")]
    Damaged,
    /// It is a public key.
    #[error("is a recipient, not a secret key")]
    Recipient,
    /// It is a plugin's key.
    #[error("is an age plugin key, which is not supported")]
    Plugin,
    /// It is an SSH key.
    #[error("is an SSH key, which is not supported; make an age key")]
    Ssh,
    /// It is something else.
    #[error("is neither a comment nor an age secret key")]
    Other,
}

/// Decrypts OpenPGP messages with a key that is not in this process: in an agent, or on a card.
pub trait OpenPgpDecryptor: Send + Sync {
    /// Decrypts a binary message; `None` means that it is encrypted to keys that this decryptor does not have.
    fn decrypt(&self, message: &[u8]) -> Option<Result<Zeroizing<Vec<u8>>, String>>;

    /// A name for people.
    fn label(&self) -> String;
}

/// An age secret key as text, for the file or the sheet where it is kept.
pub struct AgeSecretKey {
    text: Zeroizing<String>,
}

impl AgeSecretKey {
    /// Takes the text of a secret key of either kind after checking it.
    pub fn parse(text: &str) -> Result<Self, LineProblem> {
        let text = text.trim();
        Identity::parse_line(text)?;
        let mut upper = Zeroizing::new(String::with_capacity(text.len()));
        upper.push_str(text);
        upper.make_ascii_uppercase();
        Ok(AgeSecretKey { text: upper })
    }

    /// The seed of a seal generation as an age key, for opening sealed objects with other age tools.
    pub fn from_seed(seed: &SealSeed) -> Self {
        AgeSecretKey { text: PqIdentity::from_seed(seed.expose()).to_text() }
    }

    pub(crate) fn from_text(text: Zeroizing<String>) -> Self {
        AgeSecretKey { text }
    }

    /// The `AGE-SECRET-KEY-...` string.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The key as an identity.
    pub fn identity(&self) -> Identity {
        Identity::parse_line(&self.text).expect("the text was checked or made by this crate")
    }

    /// The recipient that belongs to the key.
    pub fn recipient(&self) -> Recipient {
        self.identity().recipient().expect("age identities know their recipient")
    }
}

/// A classic age secret key.
pub struct X25519Identity {
    key: age::x25519::Identity,
}

impl X25519Identity {
    pub(crate) fn age(&self) -> &age::x25519::Identity {
        &self.key
    }
}

/// A secret key that opens what was wrapped to its recipient.
pub enum Identity {
    /// A classic age key.
    AgeX25519(X25519Identity),
    /// A hybrid post-quantum age key.
    AgePq(PqIdentity),
    /// An OpenPGP key in memory.
    OpenPgp(PgpIdentity),
    /// An OpenPGP key elsewhere.
    External(Box<dyn OpenPgpDecryptor>),
}

impl Identity {
    /// Makes a classic age key.
    pub fn generate_x25519() -> Result<(AgeSecretKey, Recipient), IdentityError> {
        let mut bytes = Zeroizing::new([0u8; 32]);
        getrandom::fill(&mut bytes[..]).map_err(IdentityError::Entropy)?;
        let secret = AgeSecretKey::from_text(crate::bech::encode(X25519_SECRET_PREFIX, &bytes[..]));
        let recipient = secret.recipient();
        Ok((secret, recipient))
    }

    /// Makes a hybrid post-quantum age key.
    pub fn generate_pq() -> Result<(AgeSecretKey, Recipient), IdentityError> {
        let key = PqIdentity::generate().map_err(IdentityError::Entropy)?;
        let recipient = Recipient::AgePq(key.to_public());
        Ok((AgeSecretKey::from_text(key.to_text()), recipient))
    }

    /// The recipient of an age identity; OpenPGP identities give `None`.
    pub fn recipient(&self) -> Option<Recipient> {
        match self {
            Identity::AgeX25519(identity) => {
                let text = identity.key.to_public().to_string();
                Some(Recipient::parse(&text).expect("the age crate writes what it reads"))
            }
            Identity::AgePq(identity) => Some(Recipient::AgePq(identity.to_public())),
            Identity::OpenPgp(_) | Identity::External(_) => None,
        }
    }

    /// The kind of recipient that the identity belongs to.
    pub fn kind(&self) -> RecipientKind {
        match self {
            Identity::AgeX25519(_) => RecipientKind::AgeX25519,
            Identity::AgePq(_) => RecipientKind::AgePq,
            Identity::OpenPgp(_) | Identity::External(_) => RecipientKind::OpenPgp,
        }
    }

    /// A public name for people: the recipient, the fingerprint, or what the external decryptor says.
    pub fn label(&self) -> String {
        match self {
            Identity::AgeX25519(_) | Identity::AgePq(_) => {
                self.recipient().map(|recipient| recipient.label()).unwrap_or_default()
            }
            Identity::OpenPgp(key) => key.label().to_owned(),
            Identity::External(decryptor) => decryptor.label(),
        }
    }

    /// Parses one `AGE-SECRET-KEY-...` string of either kind.
    fn parse_line(text: &str) -> Result<Identity, LineProblem> {
        let starts = |prefix: &str| text.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
        if starts("AGE-SECRET-KEY-PQ-1") {
            return PqIdentity::parse(text).map(Identity::AgePq).map_err(|_| LineProblem::Damaged);
        }
        if starts("AGE-SECRET-KEY-1") {
            let key = age::x25519::Identity::from_str(text).map_err(|_| LineProblem::Damaged)?;
            return Ok(Identity::AgeX25519(X25519Identity { key }));
        }
        Err(match text {
            _ if starts("AGE-PLUGIN-") => LineProblem::Plugin,
            _ if starts("AGE1") => LineProblem::Recipient,
            _ if starts("SSH-") || starts("-----BEGIN OPENSSH") => LineProblem::Ssh,
            _ if starts("AGE-SECRET-KEY") => LineProblem::Damaged,
            _ => LineProblem::Other,
        })
    }
}

/// The prefix of classic secret keys.
pub(crate) const X25519_SECRET_PREFIX: &str = "AGE-SECRET-KEY-";

/// What an identity file holds: keys, or keys behind a passphrase.
pub enum IdentityFile {
    /// Keys that can be used at once.
    Open(Vec<Identity>),
    /// Keys that need a passphrase.
    Locked(LockedIdentity),
}

impl IdentityFile {
    /// Reads an age identity file, a passphrase-protected one (binary or armored), or an OpenPGP secret key file.
    pub fn parse(bytes: &[u8]) -> Result<Self, IdentityError> {
        if bytes.len() > IDENTITY_FILE_BYTES_MAX {
            return Err(IdentityError::TooLong { length: bytes.len() });
        }
        let start = bytes.trim_ascii_start();
        if start.is_empty() {
            return Err(IdentityError::Empty);
        }
        if bytes.starts_with(AGE_BINARY) {
            return LockedIdentity::age(bytes.to_vec()).map(IdentityFile::Locked);
        }
        if start.starts_with(AGE_ARMOR) {
            return LockedIdentity::age(dearmor(bytes)?).map(IdentityFile::Locked);
        }
        // Binary OpenPGP packets start with a byte whose highest bit is set; no text file does.
        let binary_pgp = bytes.first().is_some_and(|byte| byte & 0x80 != 0) && std::str::from_utf8(bytes).is_err();
        if start.starts_with(PGP_ARMOR) || binary_pgp {
            return Ok(match pgp_secret::parse(bytes).map_err(IdentityError::Pgp)? {
                PgpKeyFile::Open(keys) => IdentityFile::Open(keys.into_iter().map(Identity::OpenPgp).collect()),
                PgpKeyFile::Locked(keys) => IdentityFile::Locked(LockedIdentity { kind: Locked::Pgp(keys) }),
            });
        }
        let text = std::str::from_utf8(bytes).map_err(|_| IdentityError::Unknown)?;
        parse_lines(text).map(IdentityFile::Open)
    }
}

/// Parses the lines of an age identity file: keys, comments that start with `#`, and empty lines.
fn parse_lines(text: &str) -> Result<Vec<Identity>, IdentityError> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if found.len() == IDENTITIES_MAX {
            return Err(IdentityError::TooMany);
        }
        found.push(Identity::parse_line(line).map_err(|problem| IdentityError::Line { line: index + 1, problem })?);
    }
    if found.is_empty() { Err(IdentityError::Empty) } else { Ok(found) }
}

fn dearmor(bytes: &[u8]) -> Result<Vec<u8>, IdentityError> {
    let mut binary = Vec::new();
    std::io::copy(&mut age::armor::ArmoredReader::new(bytes), &mut binary).map_err(|_| IdentityError::Armor)?;
    Ok(binary)
}

/// Keys behind a passphrase.
pub struct LockedIdentity {
    kind: Locked,
}

enum Locked {
    Age(Vec<u8>),
    Pgp(LockedPgp),
}

impl LockedIdentity {
    fn age(file: Vec<u8>) -> Result<Self, IdentityError> {
        match age::Decryptor::new_buffered(file.as_slice()) {
            Ok(decryptor) if decryptor.is_scrypt() => Ok(LockedIdentity { kind: Locked::Age(file) }),
            Ok(_) => Err(IdentityError::NotPassphrase),
            Err(_) => Err(IdentityError::Age(AgeFileError::Header)),
        }
    }

    /// What to show when asking for the passphrase: whose OpenPGP key it is, if it is one.
    pub fn label(&self) -> Option<String> {
        match &self.kind {
            Locked::Age(_) => None,
            Locked::Pgp(keys) => Some(keys.label()),
        }
    }

    /// Unlocks the keys.
    ///
    /// A wrong passphrase is [`IdentityError::WrongPassphrase`]. A file that asks for more than
    /// [`passphrase::WORK_LOG_MAX`] is refused before any work is done.
    pub fn unlock(&self, passphrase: &SecretString) -> Result<Vec<Identity>, IdentityError> {
        match &self.kind {
            Locked::Age(file) => {
                let text = open_with_passphrase(file, passphrase)?;
                let text = std::str::from_utf8(&text).map_err(|_| IdentityError::Unknown)?;
                parse_lines(text)
            }
            Locked::Pgp(keys) => match keys.unlock(passphrase) {
                Ok(keys) => Ok(keys.into_iter().map(Identity::OpenPgp).collect()),
                Err(PgpSecretError::WrongPassphrase) => Err(IdentityError::WrongPassphrase),
                Err(error) => Err(IdentityError::Pgp(error)),
            },
        }
    }
}

/// Opens an age file that is encrypted to a passphrase, with a bounded work factor.
pub(crate) fn open_with_passphrase(
    file: &[u8],
    passphrase: &SecretString,
) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    let mut key = age::scrypt::Identity::new(SecretString::from(passphrase.expose_secret().to_owned()));
    key.set_max_work_factor(passphrase::WORK_LOG_MAX);
    match age_file::open(file, &[&key], IDENTITY_FILE_BYTES_MAX) {
        Some(Ok(text)) => Ok(text),
        Some(Err(AgeFileError::WrongPassphrase)) => Err(IdentityError::WrongPassphrase),
        Some(Err(error)) => Err(IdentityError::Age(error)),
        None => Err(IdentityError::NotPassphrase),
    }
}
