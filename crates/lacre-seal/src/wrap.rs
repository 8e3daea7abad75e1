//! Inner wraps: a small secret encrypted to every recipient.
//!
//! In: recipients and a payload, or wraps and identities. Out: at most one wrap for each kind of recipient, or the
//! payload. This module must not know what the payload is; whoever unwraps one checks it against the signed header.
//!
//! Recipients are grouped because age refuses to mix post-quantum with classic recipients in one file: one age file for
//! the classic keys, one for the hybrid keys, one OpenPGP message for all certificates.

use std::time::SystemTime;

use lacre_format::keyring::{InnerWrap, WrapKind};
use zeroize::Zeroizing;

use crate::age_file::{self, AgeFileError, AgeSealError};
use crate::identity::Identity;
use crate::pgp::{self, PgpError, PgpRecipient};
use crate::pgp_secret::PgpOpenError;
use crate::recipient::{RECIPIENTS_MAX, Recipient};

/// The largest payload, in bytes; in practice it has 68.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024;

/// The largest wrap, in bytes.
pub const WRAP_BYTES_MAX: usize = 512 * 1024;

/// The most wraps of one secret.
pub const WRAPS_MAX: usize = 16;

/// Why a payload could not be wrapped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WrapError {
    /// There is nobody to wrap to.
    #[error("there is no recipient")]
    NoRecipients,
    /// More recipients than are allowed.
    #[error("{count} recipients, more than {RECIPIENTS_MAX}")]
    TooManyRecipients {
        /// How many there are.
        count: usize,
    },
    /// The payload is too large.
    #[error("the payload has {length} bytes, more than {PAYLOAD_BYTES_MAX}")]
    PayloadTooLong {
        /// Its size in bytes.
        length: usize,
    },
    /// The wrap became too large, by certificates with very many keys.
    #[error("the wrap for {kind:?} has {length} bytes, more than {WRAP_BYTES_MAX}")]
    WrapTooLong {
        /// The kind of recipients.
        kind: WrapKind,
        /// Its size in bytes.
        length: usize,
    },
    /// age failed.
    #[error(transparent)]
    Age(#[from] AgeSealError),
    /// A certificate is expired, revoked or refused, or OpenPGP failed.
    #[error(transparent)]
    Pgp(#[from] PgpError),
}

/// Why a wrap that may be for one of the identities could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnwrapError {
    /// More wraps than a writer makes.
    #[error("{count} wraps of one secret, more than {WRAPS_MAX}")]
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// A wrap is larger than a writer makes.
    #[error("the wrap for {kind:?} has {length} bytes, more than {WRAP_BYTES_MAX}")]
    TooLong {
        /// The kind of wrap.
        kind: WrapKind,
        /// Its size in bytes.
        length: usize,
    },
    /// An age file is malformed, changed or cut off.
    #[error("the wrap for {kind:?} is damaged: {source}")]
    Age {
        /// The kind of wrap.
        kind: WrapKind,
        /// What is wrong.
        source: AgeFileError,
    },
    /// An OpenPGP message is malformed, changed or cut off.
    #[error("the OpenPGP wrap cannot be opened by {label}: {source}")]
    OpenPgp {
        /// Whose key it was.
        label: String,
        /// What is wrong.
        source: PgpOpenError,
    },
    /// The program that holds the key reported a failure.
    #[error("{label} cannot decrypt: {reason}")]
    External {
        /// The name of the decryptor.
        label: String,
        /// What it said.
        reason: String,
    },
    /// The external decryptor returned more than a payload.
    #[error("{label} returned {length} bytes, more than {PAYLOAD_BYTES_MAX}")]
    ExternalTooLong {
        /// The name of the decryptor.
        label: String,
        /// How much it returned, in bytes.
        length: usize,
    },
}

/// Encrypts a payload to all the recipients; a recipient that is listed twice counts once.
///
/// Every certificate must be usable at `now`: one that has expired is an error that names it and the day. A caller that
/// prefers to go on without it leaves it out after asking [`Recipient::check`].
pub fn wrap(recipients: &[Recipient], payload: &[u8], now: SystemTime) -> Result<Vec<InnerWrap>, WrapError> {
    if recipients.is_empty() {
        return Err(WrapError::NoRecipients);
    }
    if recipients.len() > RECIPIENTS_MAX {
        return Err(WrapError::TooManyRecipients { count: recipients.len() });
    }
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(WrapError::PayloadTooLong { length: payload.len() });
    }
    let mut classic: Vec<&dyn age::Recipient> = Vec::new();
    let mut hybrid: Vec<&dyn age::Recipient> = Vec::new();
    let mut certs: Vec<&PgpRecipient> = Vec::new();
    for (index, recipient) in recipients.iter().enumerate() {
        if recipients[..index].contains(recipient) {
            continue;
        }
        match recipient {
            Recipient::AgeX25519(key) => classic.push(key.age()),
            Recipient::AgePq(key) => hybrid.push(key),
            Recipient::OpenPgp(cert) => certs.push(cert),
        }
    }
    let mut wraps = Vec::new();
    if !classic.is_empty() {
        wraps.push(InnerWrap { kind: WrapKind::AgeX25519, bytes: age_file::seal(&classic, payload)? });
    }
    if !hybrid.is_empty() {
        wraps.push(InnerWrap { kind: WrapKind::AgePq, bytes: age_file::seal(&hybrid, payload)? });
    }
    if !certs.is_empty() {
        wraps.push(InnerWrap { kind: WrapKind::OpenPgp, bytes: pgp::seal(&certs, payload, now)? });
    }
    match wraps.iter().find(|wrap| wrap.bytes.len() > WRAP_BYTES_MAX) {
        Some(wrap) => Err(WrapError::WrapTooLong { kind: wrap.kind, length: wrap.bytes.len() }),
        None => Ok(wraps),
    }
}

/// Opens the first wrap that one of the identities fits; `None` means that none of the wraps is for any of them.
///
/// All identities are tried on all wraps of their kind, and a wrap that opens wins over one that is damaged. A wrap of a
/// kind for which there is no identity is not looked at. A stanza that was damaged so that it names another recipient
/// cannot be told from another recipient's; the outer seal is what notices that.
pub fn unwrap(wraps: &[InnerWrap], identities: &[Identity]) -> Option<Result<Zeroizing<Vec<u8>>, UnwrapError>> {
    if wraps.len() > WRAPS_MAX {
        return Some(Err(UnwrapError::TooMany { count: wraps.len() }));
    }
    let mut failure = None;
    for wrap in wraps {
        for identity in identities {
            match open_one(wrap, identity) {
                None => {}
                Some(Ok(payload)) => return Some(Ok(payload)),
                Some(Err(error)) => failure = failure.or(Some(error)),
            }
        }
    }
    failure.map(Err)
}

fn open_one(wrap: &InnerWrap, identity: &Identity) -> Option<Result<Zeroizing<Vec<u8>>, UnwrapError>> {
    let kind = wrap.kind;
    if wrap.bytes.len() > WRAP_BYTES_MAX {
        return Some(Err(UnwrapError::TooLong { kind, length: wrap.bytes.len() }));
    }
    match (kind, identity) {
        (WrapKind::AgeX25519, Identity::AgeX25519(key)) => open_age(wrap, key.age()),
        (WrapKind::AgePq, Identity::AgePq(key)) => open_age(wrap, key),
        (WrapKind::OpenPgp, Identity::OpenPgp(key)) => {
            let opened = key.open(&wrap.bytes, PAYLOAD_BYTES_MAX)?;
            Some(opened.map_err(|source| UnwrapError::OpenPgp { label: key.label().to_owned(), source }))
        }
        (WrapKind::OpenPgp, Identity::External(decryptor)) => {
            let label = decryptor.label();
            Some(match decryptor.decrypt(&wrap.bytes)? {
                Ok(payload) if payload.len() > PAYLOAD_BYTES_MAX => {
                    Err(UnwrapError::ExternalTooLong { label, length: payload.len() })
                }
                Ok(payload) => Ok(payload),
                Err(reason) => Err(UnwrapError::External { label, reason }),
            })
        }
        _ => None,
    }
}

fn open_age(wrap: &InnerWrap, key: &dyn age::Identity) -> Option<Result<Zeroizing<Vec<u8>>, UnwrapError>> {
    let opened = age_file::open(&wrap.bytes, &[key], PAYLOAD_BYTES_MAX)?;
    Some(opened.map_err(|source| UnwrapError::Age { kind: wrap.kind, source }))
}
