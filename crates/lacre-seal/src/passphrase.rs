//! Passphrases as recipients, without a secret on the hosts that back up.
//!
//! In: a passphrase. Out: an ordinary classic age recipient, and its identity encrypted under the passphrase. Only the
//! recipient is needed to back up; the encrypted identity lies in the policy object. This module must not know where.
//!
//! Source: c2sp.org/age, "The scrypt recipient type". The encrypted identity is an ordinary passphrase-protected age
//! identity file, so any age tool opens it.

use secrecy::{ExposeSecret as _, SecretString};

use crate::age_file::{self, AgeFileError, AgeSealError};
use crate::identity::{Identity, IdentityError, IdentityFile, LockedIdentity};
use crate::recipient::Recipient;

/// Base-two logarithm of the scrypt work factor of what we write: 32 MiB of memory for a moment.
pub const WORK_LOG: u8 = 15;

/// The largest logarithm that is accepted when opening: 1 GiB of memory.
pub const WORK_LOG_MAX: u8 = 20;

/// The largest encrypted identity of a policy, in bytes.
pub const ENCRYPTED_IDENTITY_BYTES_MAX: usize = 4096;

/// Why a passphrase recipient could not be made or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PassphraseError {
    /// Nothing was typed.
    #[error("the passphrase is empty")]
    Empty,
    /// The passphrase does not fit.
    #[error("the passphrase is wrong")]
    Wrong,
    /// The encrypted identity is larger than any that this program writes.
    #[error("the encrypted identity has {length} bytes, more than {ENCRYPTED_IDENTITY_BYTES_MAX}")]
    TooLong {
        /// Its size in bytes.
        length: usize,
    },
    /// The encrypted identity is damaged, or asks for too much work.
    #[error("the encrypted identity cannot be opened: {0}")]
    File(#[source] AgeFileError),
    /// The encrypted identity holds something else than one age key.
    #[error("the encrypted identity does not hold exactly one age key")]
    Content,
    /// The key could not be made.
    #[error("cannot make a passphrase recipient: {0}")]
    Generate(#[source] IdentityError),
    /// The identity could not be encrypted.
    #[error("cannot make a passphrase recipient: {0}")]
    Seal(#[source] AgeSealError),
}

/// Makes a recipient for a passphrase, and its identity encrypted under that passphrase.
pub fn new_passphrase_recipient(passphrase: &SecretString) -> Result<(Recipient, Vec<u8>), PassphraseError> {
    if passphrase.expose_secret().is_empty() {
        return Err(PassphraseError::Empty);
    }
    let (secret, recipient) = Identity::generate_x25519().map_err(PassphraseError::Generate)?;
    let encrypted = encrypt_secret(secret.expose(), passphrase)?;
    Ok((recipient, encrypted))
}

/// Encrypts the text of a secret key under a passphrase, as a passphrase-protected identity file.
fn encrypt_secret(secret: &str, passphrase: &SecretString) -> Result<Vec<u8>, PassphraseError> {
    let mut key = age::scrypt::Recipient::new(SecretString::from(passphrase.expose_secret().to_owned()));
    key.set_work_factor(WORK_LOG);
    let mut line = zeroize::Zeroizing::new(String::with_capacity(secret.len() + 1));
    line.push_str(secret);
    line.push('\n');
    age_file::seal(&[&key], line.as_bytes()).map_err(PassphraseError::Seal)
}

/// Opens the encrypted identity of a passphrase recipient; a wrong passphrase is [`PassphraseError::Wrong`].
pub fn open_passphrase_identity(encrypted: &[u8], passphrase: &SecretString) -> Result<Identity, PassphraseError> {
    if encrypted.len() > ENCRYPTED_IDENTITY_BYTES_MAX {
        return Err(PassphraseError::TooLong { length: encrypted.len() });
    }
    let locked: LockedIdentity = match IdentityFile::parse(encrypted) {
        Ok(IdentityFile::Locked(locked)) => locked,
        Ok(IdentityFile::Open(_)) => return Err(PassphraseError::Content),
        Err(error) => return Err(from_identity_error(error)),
    };
    let mut identities = locked.unlock(passphrase).map_err(from_identity_error)?;
    match (identities.pop(), identities.is_empty()) {
        (Some(identity @ (Identity::AgeX25519(_) | Identity::AgePq(_))), true) => Ok(identity),
        _ => Err(PassphraseError::Content),
    }
}

fn from_identity_error(error: IdentityError) -> PassphraseError {
    match error {
        IdentityError::WrongPassphrase => PassphraseError::Wrong,
        IdentityError::Age(error) => PassphraseError::File(error),
        IdentityError::NotPassphrase => PassphraseError::File(AgeFileError::Header),
        _ => PassphraseError::Content,
    }
}
