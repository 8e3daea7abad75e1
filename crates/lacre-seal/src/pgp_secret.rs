//! OpenPGP secret keys as identities.
//!
//! In: key files, passphrases, messages. Out: payloads. This module must not know what a payload is, and reads no clock:
//! what was once wrapped must open for ever, so messages are judged by the rules of a fixed day and an expired key still
//! decrypts.

use std::cell::Cell;
use std::io::Read as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use secrecy::{ExposeSecret as _, SecretString};
use sequoia_openpgp as openpgp;
use zeroize::Zeroizing;

use openpgp::cert::CertParser;
use openpgp::crypto::{KeyPair, Password, SessionKey};
use openpgp::packet::key::{SecretKeyMaterial, SecretParts, UnspecifiedRole};
use openpgp::packet::{Key, PKESK, SKESK};
use openpgp::parse::Parse as _;
use openpgp::parse::stream::{DecryptionHelper, DecryptorBuilder, MessageStructure, VerificationHelper};
use openpgp::policy::StandardPolicy;
use openpgp::types::SymmetricAlgorithm;
use openpgp::{Cert, KeyHandle};

use crate::pgp::{armor_blocks, chain, label_of};

/// Certificates that one key file may hold.
const KEYS_MAX: usize = 64;

/// Decryptions that one message may cost: it can list many session keys that name nobody.
const TRIES_MAX: usize = 1024;

/// The day by whose rules messages are judged: 2026-01-01.
const RULES_OF: Duration = Duration::from_secs(1_767_225_600);

/// Why a secret key file was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PgpSecretError {
    /// The bytes are no OpenPGP key.
    #[error("not an OpenPGP secret key: {reason}")]
    Malformed {
        /// What the parser said.
        reason: String,
    },
    /// The file holds a public key only.
    #[error("the file holds only the public key of {label}; export the secret key, or let gpg decrypt")]
    PublicOnly {
        /// Whose key it is.
        label: String,
    },
    /// The secret lies on a smart card or in a form that only the program that wrote it can use.
    #[error("the secret key of {label} is not in the file, perhaps on a card; let gpg decrypt")]
    Elsewhere {
        /// Whose key it is.
        label: String,
    },
    /// The passphrase fits no key of the file.
    #[error("the passphrase does not unlock the OpenPGP key")]
    WrongPassphrase,
    /// More keys than a file may hold.
    #[error("the file holds more than {KEYS_MAX} OpenPGP keys")]
    TooMany,
}

/// Why a message could not be decrypted with a key that it names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PgpOpenError {
    /// The message is malformed, truncated or changed.
    #[error("the OpenPGP message is damaged: {reason}")]
    Damaged {
        /// What the library said.
        reason: String,
    },
    /// The message holds more than the caller allows.
    #[error("the OpenPGP message holds more than {limit_bytes} bytes")]
    TooLong {
        /// The limit in bytes.
        limit_bytes: usize,
    },
}

/// The decryption keys of one OpenPGP key.
///
/// The secrets are kept encrypted in memory by the library and wiped when they are dropped.
pub struct PgpIdentity {
    label: String,
    keys: Vec<KeyPair>,
}

/// OpenPGP keys whose secrets are protected by a passphrase.
pub(crate) struct LockedPgp {
    certs: Vec<Cert>,
}

/// What a key file holds.
pub(crate) enum PgpKeyFile {
    Open(Vec<PgpIdentity>),
    Locked(LockedPgp),
}

/// Reads a file of secret keys, armored or binary.
pub(crate) fn parse(bytes: &[u8]) -> Result<PgpKeyFile, PgpSecretError> {
    let mut certs = Vec::new();
    for block in armor_blocks(bytes) {
        let parser = CertParser::from_bytes(block).map_err(|error| malformed(&error))?;
        for cert in parser {
            if certs.len() == KEYS_MAX {
                return Err(PgpSecretError::TooMany);
            }
            certs.push(cert.map_err(|error| malformed(&error))?);
        }
    }
    let Some(first) = certs.first() else {
        return Err(PgpSecretError::Malformed { reason: "no key found".to_owned() });
    };
    if !certs.iter().any(Cert::is_tsk) {
        return Err(PgpSecretError::PublicOnly { label: label_of(first) });
    }
    if !certs.iter().flat_map(secret_keys).any(|key| is_present(&key)) {
        return Err(PgpSecretError::Elsewhere { label: label_of(first) });
    }
    let open: Vec<PgpIdentity> = certs.iter().filter_map(|cert| PgpIdentity::unlock(cert, None)).collect();
    if open.is_empty() { Ok(PgpKeyFile::Locked(LockedPgp { certs })) } else { Ok(PgpKeyFile::Open(open)) }
}

impl LockedPgp {
    /// Whose key it is.
    pub(crate) fn label(&self) -> String {
        self.certs.first().map(label_of).unwrap_or_default()
    }

    /// Unlocks every key that the passphrase fits.
    pub(crate) fn unlock(&self, passphrase: &SecretString) -> Result<Vec<PgpIdentity>, PgpSecretError> {
        let password = Password::from(passphrase.expose_secret());
        let open: Vec<PgpIdentity> =
            self.certs.iter().filter_map(|cert| PgpIdentity::unlock(cert, Some(&password))).collect();
        if open.is_empty() { Err(PgpSecretError::WrongPassphrase) } else { Ok(open) }
    }
}

impl PgpIdentity {
    /// Takes the decryption keys of a certificate that are in the clear or that the password unlocks.
    fn unlock(cert: &Cert, password: Option<&Password>) -> Option<Self> {
        let mut keys = Vec::new();
        for key in secret_keys(cert) {
            let key = match (key.has_unencrypted_secret(), password) {
                (true, _) => key,
                (false, Some(password)) => match key.decrypt_secret(password) {
                    Ok(key) => key,
                    // Another password, or a secret that is not in the file: the other keys may still fit.
                    Err(_) => continue,
                },
                (false, None) => continue,
            };
            if let Ok(pair) = key.into_keypair() {
                keys.push(pair);
            }
        }
        if keys.is_empty() { None } else { Some(PgpIdentity { label: label_of(cert), keys }) }
    }

    /// The fingerprint and the primary user id.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Decrypts a message; `None` means that it is encrypted to other keys.
    ///
    /// The message is decrypted and its integrity verified in full before the first byte is returned.
    pub(crate) fn open(&self, message: &[u8], limit_bytes: usize) -> Option<Result<Zeroizing<Vec<u8>>, PgpOpenError>> {
        let matched = Cell::new(false);
        let policy = StandardPolicy::at(UNIX_EPOCH + RULES_OF);
        let rules: SystemTime = UNIX_EPOCH + RULES_OF;
        let helper = Opener { keys: &self.keys, matched: &matched };
        let built = DecryptorBuilder::from_bytes(message)
            .map(|builder| builder.buffer_size(limit_bytes.saturating_add(1)))
            .and_then(|builder| builder.with_policy(&policy, rules, helper));
        let reader = match built {
            Ok(reader) => reader,
            Err(error) if !matched.get() && is_for_others(&error) => return None,
            Err(error) => return Some(Err(PgpOpenError::Damaged { reason: chain(&error) })),
        };
        let mut payload = Zeroizing::new(Vec::with_capacity(limit_bytes.saturating_add(1)));
        let limit = u64::try_from(limit_bytes).unwrap_or(u64::MAX).saturating_add(1);
        match reader.take(limit).read_to_end(&mut payload) {
            Err(error) => Some(Err(PgpOpenError::Damaged { reason: error.to_string() })),
            Ok(_) if payload.len() > limit_bytes => Some(Err(PgpOpenError::TooLong { limit_bytes })),
            Ok(_) => Some(Ok(payload)),
        }
    }
}

/// Finds the session key of a message among our keys.
struct Opener<'a> {
    keys: &'a [KeyPair],
    matched: &'a Cell<bool>,
}

impl DecryptionHelper for Opener<'_> {
    fn decrypt(
        &mut self,
        pkesks: &[PKESK],
        _skesks: &[SKESK],
        algorithm: Option<SymmetricAlgorithm>,
        try_session_key: &mut dyn FnMut(Option<SymmetricAlgorithm>, &SessionKey) -> bool,
    ) -> openpgp::Result<Option<Cert>> {
        let mut tries = 0;
        for pkesk in pkesks {
            for pair in self.keys {
                let handle = KeyHandle::from(pair.public().fingerprint());
                let named = pkesk.recipient();
                if named.as_ref().is_some_and(|name| !name.aliases(&handle)) {
                    continue;
                }
                if tries == TRIES_MAX {
                    return Err(openpgp::Error::MalformedMessage("too many session keys".to_owned()).into());
                }
                tries += 1;
                // A message that names no recipient has to be tried; one that names this key is for us.
                self.matched.set(self.matched.get() || named.is_some());
                let opened = pkesk.decrypt(&mut pair.clone(), algorithm);
                if opened.is_some_and(|(algorithm, session_key)| try_session_key(algorithm, &session_key)) {
                    self.matched.set(true);
                    return Ok(None);
                }
            }
        }
        Err(openpgp::Error::MissingSessionKey("no key of this identity fits".to_owned()).into())
    }
}

impl VerificationHelper for Opener<'_> {
    fn get_certs(&mut self, _ids: &[KeyHandle]) -> openpgp::Result<Vec<Cert>> {
        Ok(Vec::new())
    }

    /// Signatures are not asked for: what makes a payload genuine is the commitment in the signed snapshot header.
    fn check(&mut self, _structure: MessageStructure<'_>) -> openpgp::Result<()> {
        Ok(())
    }
}

fn is_for_others(error: &openpgp::anyhow::Error) -> bool {
    matches!(error.downcast_ref::<openpgp::Error>(), Some(openpgp::Error::MissingSessionKey(_)))
}

/// The secret keys of a certificate whose algorithm can decrypt.
fn secret_keys(cert: &Cert) -> Vec<Key<SecretParts, UnspecifiedRole>> {
    let can_decrypt = cert.keys().secret().map(|key| key.key().clone());
    can_decrypt.filter(|key| key.pk_algo().for_encryption()).collect()
}

/// Whether the secret is in the file at all, as opposed to a stub for a card.
fn is_present(key: &Key<SecretParts, UnspecifiedRole>) -> bool {
    match key.secret() {
        SecretKeyMaterial::Unencrypted(_) => true,
        SecretKeyMaterial::Encrypted(secret) => secret.s2k().is_supported(),
    }
}

fn malformed(error: &openpgp::anyhow::Error) -> PgpSecretError {
    PgpSecretError::Malformed { reason: chain(error) }
}
