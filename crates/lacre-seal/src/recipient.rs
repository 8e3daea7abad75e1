//! Recipients: the public keys of the people who may read snapshots.
//!
//! In: text, certificates, or records of the policy object. Out: a [`Recipient`], its label, its record, its validity.
//! This module must not know any secret, and reads neither files nor the clock: the caller passes the time.

use std::fmt;
use std::str::FromStr as _;
use std::time::SystemTime;

use crate::bech::{self, BechError};
use crate::pgp::{PgpError, PgpRecipient};
use crate::pq::{self, PqKeyError, PqRecipient};

/// The most recipients that one snapshot is wrapped to.
pub const RECIPIENTS_MAX: usize = 64;

/// Bytes of a classic age recipient.
pub const X25519_BYTES: usize = 32;

const X25519_PREFIX: &str = "age";

/// Characters of a classic age recipient.
const X25519_TEXT_CHARS: usize = 62;

/// Record kinds as stored in the policy object; never reused.
const RECORD_X25519: u8 = 1;
const RECORD_PQ: u8 = 2;
const RECORD_PGP: u8 = 3;

/// Why a recipient was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecipientError {
    /// The text is no recipient of a known kind.
    #[error("not a recipient: expected age1..., age1pq1... or an OpenPGP certificate")]
    Unknown,
    /// The text is a secret key; it must not be spread.
    #[error("this is a secret key, not a recipient; give the matching age1... string instead")]
    SecretKey,
    /// An SSH key, which this program does not use.
    #[error("SSH keys cannot be recipients; make an age key")]
    Ssh,
    /// A plugin recipient of age, which this program does not use.
    #[error("age plugin recipients are not supported")]
    Plugin,
    /// The `age1...` string is damaged.
    #[error("malformed age recipient: {0}")]
    Text(#[source] BechError),
    /// The `age1...` key is a point that gives no secrecy.
    #[error("the age recipient is not a usable X25519 key")]
    Weak,
    /// The `age1pq1...` key is damaged.
    #[error("malformed post-quantum age recipient: {0}")]
    Pq(#[source] PqKeyError),
    /// The certificate is damaged or must not be used.
    #[error(transparent)]
    Pgp(#[from] PgpError),
    /// The record of a policy is of an unknown kind.
    #[error("a recipient record has the unknown kind {kind}; a newer version wrote it")]
    RecordKind {
        /// The kind byte.
        kind: u8,
    },
    /// The record of a policy has the wrong length.
    #[error("a recipient record of kind {kind} has {length} bytes")]
    RecordLength {
        /// The kind byte.
        kind: u8,
        /// Bytes of the record.
        length: usize,
    },
}

/// What kind of key a recipient has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecipientKind {
    /// A classic age key (X25519); also the public half of a passphrase.
    AgeX25519,
    /// A hybrid post-quantum age key (ML-KEM-768 with X25519).
    AgePq,
    /// An OpenPGP certificate.
    OpenPgp,
}

impl fmt::Display for RecipientKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RecipientKind::AgeX25519 => "age",
            RecipientKind::AgePq => "age post-quantum",
            RecipientKind::OpenPgp => "OpenPGP",
        })
    }
}

/// A classic age public key.
#[derive(Clone)]
pub struct X25519Recipient {
    bytes: [u8; X25519_BYTES],
    key: age::x25519::Recipient,
}

impl X25519Recipient {
    /// Takes the 32 bytes of a public key; points of low order are refused.
    pub fn from_bytes(bytes: &[u8; X25519_BYTES]) -> Result<Self, RecipientError> {
        if !pq::contributes(bytes) {
            return Err(RecipientError::Weak);
        }
        let text = bech::encode(X25519_PREFIX, bytes);
        let key = age::x25519::Recipient::from_str(&text).map_err(|_| RecipientError::Weak)?;
        Ok(X25519Recipient { bytes: *bytes, key })
    }

    fn parse(text: &str) -> Result<Self, RecipientError> {
        let decoded = bech::decode(text, X25519_PREFIX, X25519_BYTES).map_err(RecipientError::Text)?;
        let mut bytes = [0u8; X25519_BYTES];
        bytes.copy_from_slice(&decoded);
        Self::from_bytes(&bytes)
    }

    pub(crate) fn age(&self) -> &age::x25519::Recipient {
        &self.key
    }
}

impl PartialEq for X25519Recipient {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for X25519Recipient {}

impl fmt::Display for X25519Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.key.fmt(f)
    }
}

impl fmt::Debug for X25519Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "X25519Recipient({self})")
    }
}

/// Whether and until when a recipient can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validity {
    /// When the last usable key of a certificate expires; age keys never do.
    pub expires: Option<SystemTime>,
    /// Keys of the certificate that are not used, each with the rule that excludes it.
    pub excluded: Vec<String>,
}

/// A public key to which snapshot keys are wrapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipient {
    /// A classic age key.
    AgeX25519(X25519Recipient),
    /// A hybrid post-quantum age key.
    AgePq(PqRecipient),
    /// An OpenPGP certificate.
    OpenPgp(PgpRecipient),
}

impl Recipient {
    /// Parses `age1...` or `age1pq1...`; white space around it is ignored.
    ///
    /// Certificates come as files and go through [`Recipient::from_openpgp_cert`].
    pub fn parse(text: &str) -> Result<Self, RecipientError> {
        let text = text.trim();
        let lower: String = text.chars().take(16).collect::<String>().to_ascii_lowercase();
        if lower.starts_with("age-secret-key-") {
            return Err(RecipientError::SecretKey);
        }
        if lower.starts_with("ssh-") || lower.starts_with("ecdsa-sha2-") {
            return Err(RecipientError::Ssh);
        }
        if lower.starts_with("age1pq1") {
            return PqRecipient::parse(text).map(Recipient::AgePq).map_err(RecipientError::Pq);
        }
        if !lower.starts_with("age1") {
            return Err(RecipientError::Unknown);
        }
        // The separator is the last `1`; what stands before it names the plugin, if there is one.
        let plain = text.rfind('1') == Some(X25519_PREFIX.len());
        if plain || text.len() == X25519_TEXT_CHARS {
            X25519Recipient::parse(text).map(Recipient::AgeX25519)
        } else {
            Err(RecipientError::Plugin)
        }
    }

    /// Reads one or several certificates, armored or binary; secret parts are dropped.
    ///
    /// A certificate that is well formed but expired or revoked is returned as well: [`Recipient::check`] says so.
    pub fn from_openpgp_cert(bytes: &[u8]) -> Result<Vec<Self>, RecipientError> {
        let certs = PgpRecipient::parse_all(bytes)?;
        Ok(certs.into_iter().map(Recipient::OpenPgp).collect())
    }

    /// The kind of key.
    pub fn kind(&self) -> RecipientKind {
        match self {
            Recipient::AgeX25519(_) => RecipientKind::AgeX25519,
            Recipient::AgePq(_) => RecipientKind::AgePq,
            Recipient::OpenPgp(_) => RecipientKind::OpenPgp,
        }
    }

    /// A name for people: a shortened age string, or the fingerprint and the primary user id without control characters.
    pub fn label(&self) -> String {
        match self {
            Recipient::AgeX25519(key) => key.to_string(),
            Recipient::AgePq(key) => shorten(&key.to_string()),
            Recipient::OpenPgp(cert) => cert.label().to_owned(),
        }
    }

    /// The complete public text of an age recipient, or the fingerprint of a certificate.
    pub fn to_text(&self) -> String {
        match self {
            Recipient::AgeX25519(key) => key.to_string(),
            Recipient::AgePq(key) => key.to_string(),
            Recipient::OpenPgp(cert) => cert.fingerprint(),
        }
    }

    /// The form in which the policy object keeps a recipient: a kind and its bytes.
    pub fn to_record(&self) -> (u8, Vec<u8>) {
        match self {
            Recipient::AgeX25519(key) => (RECORD_X25519, key.bytes.to_vec()),
            Recipient::AgePq(key) => (RECORD_PQ, key.as_bytes().to_vec()),
            Recipient::OpenPgp(cert) => (RECORD_PGP, cert.record().to_vec()),
        }
    }

    /// Reads a record of the policy object.
    pub fn from_record(kind: u8, bytes: &[u8]) -> Result<Self, RecipientError> {
        match kind {
            RECORD_X25519 => {
                let fixed: &[u8; X25519_BYTES] =
                    bytes.try_into().map_err(|_| RecipientError::RecordLength { kind, length: bytes.len() })?;
                X25519Recipient::from_bytes(fixed).map(Recipient::AgeX25519)
            }
            RECORD_PQ if bytes.len() != pq::PUBLIC_BYTES => {
                Err(RecipientError::RecordLength { kind, length: bytes.len() })
            }
            RECORD_PQ => PqRecipient::from_bytes(bytes).map(Recipient::AgePq).map_err(RecipientError::Pq),
            RECORD_PGP => Ok(Recipient::OpenPgp(PgpRecipient::from_record(bytes)?)),
            _ => Err(RecipientError::RecordKind { kind }),
        }
    }

    /// Whether snapshots can be wrapped to this recipient at a point in time.
    ///
    /// age keys are always valid. Of a certificate the error names what is wrong: expired, revoked, not yet valid,
    /// refused by a rule, or without a key that can encrypt.
    pub fn check(&self, now: SystemTime) -> Result<Validity, RecipientError> {
        match self {
            Recipient::AgeX25519(_) | Recipient::AgePq(_) => Ok(Validity { expires: None, excluded: Vec::new() }),
            Recipient::OpenPgp(cert) => Ok(cert.check(now)?),
        }
    }
}

/// The first and last characters of a long key.
fn shorten(text: &str) -> String {
    let head: String = text.chars().take(15).collect();
    let tail: String = text.chars().skip(text.chars().count().saturating_sub(8)).collect();
    format!("{head}...{tail}")
}
