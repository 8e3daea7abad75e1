//! OpenPGP certificates as recipients.
//!
//! In: certificates, armored or binary, and payloads. Out: a stripped certificate, its validity, and one OpenPGP message
//! for several certificates. This module must not know any secret key and reads no clock.
//!
//! Which keys count is decided by Sequoia's `StandardPolicy`, evaluated at the time that the caller gives: keys that are
//! too short, too old or bound by a broken hash are left out, and the rule that leaves one out is reported. Messages are
//! binary, not compressed, and use the older integrity protection (SEIPDv1) unless every certificate announces the newer
//! one (RFC 9580): GnuPG 2.2 reads only the older.

use std::fmt;
use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sequoia_openpgp as openpgp;

use openpgp::cert::CertParser;
use openpgp::cert::amalgamation::key::ValidErasedKeyAmalgamation;
use openpgp::cert::amalgamation::{ValidAmalgamation as _, ValidateAmalgamation as _};
use openpgp::packet::Signature;
use openpgp::packet::key::PublicParts;
use openpgp::parse::Parse as _;
use openpgp::policy::StandardPolicy;
use openpgp::serialize::MarshalInto as _;
use openpgp::serialize::stream::{Encryptor, LiteralWriter, Message};
use openpgp::types::{KeyFlags, RevocationStatus};
use openpgp::{Cert, Packet};

use crate::recipient::{RECIPIENTS_MAX, Validity};

/// The largest certificate file that is read, in bytes.
pub const CERT_FILE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The largest stripped certificate that a policy keeps, in bytes.
pub const CERT_RECORD_BYTES_MAX: usize = 64 * 1024;

/// Self-signatures that are kept for each part of a certificate, the newest first.
const SIGNATURES_KEPT: usize = 3;

/// Characters of a user id that are shown.
const USER_ID_CHARS_MAX: usize = 120;

/// Why a certificate was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PgpError {
    /// The bytes are not an OpenPGP certificate.
    #[error("not an OpenPGP certificate: {reason}")]
    Malformed {
        /// What the parser said.
        reason: String,
    },
    /// No certificate in the file.
    #[error("the file holds no OpenPGP certificate")]
    Empty,
    /// The file or certificate is larger than any sensible one.
    #[error("the OpenPGP certificate has {length} bytes, more than {limit_bytes}")]
    TooLong {
        /// Its size in bytes.
        length: usize,
        /// The limit in bytes.
        limit_bytes: usize,
    },
    /// Too many certificates in one file.
    #[error("the file holds more than {RECIPIENTS_MAX} OpenPGP certificates")]
    TooMany,
    /// The certificate, or every key in it that can encrypt, has expired.
    #[error("recipient {label} expired on {}", date(*.on))]
    Expired {
        /// Who it is.
        label: String,
        /// When it expired.
        on: SystemTime,
    },
    /// The certificate was made in the future: a clock is wrong.
    #[error("recipient {label} is valid only from {}; is the clock right?", date(*.from))]
    NotYetValid {
        /// Who it is.
        label: String,
        /// When it was made.
        from: SystemTime,
    },
    /// The owner revoked the certificate.
    #[error("recipient {label} was revoked: {reason}")]
    Revoked {
        /// Who it is.
        label: String,
        /// The reason given in the revocation.
        reason: String,
    },
    /// A rule refuses the whole certificate.
    #[error("recipient {label} is refused: {rule}")]
    Policy {
        /// Who it is.
        label: String,
        /// The rule.
        rule: String,
    },
    /// No key of the certificate can be used to encrypt.
    #[error("recipient {label} has no usable encryption key{}", list(excluded))]
    NoEncryptionKey {
        /// Who it is.
        label: String,
        /// Each key with the rule that excludes it.
        excluded: Vec<String>,
    },
    /// The message could not be made.
    #[error("cannot encrypt to the OpenPGP recipients: {reason}")]
    Encrypt {
        /// What the library said.
        reason: String,
    },
}

fn list(excluded: &[String]) -> String {
    if excluded.is_empty() { String::new() } else { format!(": {}", excluded.join("; ")) }
}

/// The day of a point in time in UTC, as `2026-11-22`.
fn date(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let days = seconds / 86_400;
    // Counting from 0000-03-01 makes the leap day the last of a year; 719 468 days lie before the epoch.
    let shifted = days.saturating_add(719_468);
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era.saturating_add(era.saturating_mul(400)).saturating_add(u64::from(month <= 2));
    format!("{year:04}-{month:02}-{day:02}")
}

/// One certificate, stripped to what encryption needs.
#[derive(Clone)]
pub struct PgpRecipient {
    cert: Box<Cert>,
    record: Vec<u8>,
    label: String,
}

impl PartialEq for PgpRecipient {
    fn eq(&self, other: &Self) -> bool {
        self.record == other.record
    }
}

impl Eq for PgpRecipient {}

impl fmt::Debug for PgpRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PgpRecipient({})", self.label)
    }
}

impl PgpRecipient {
    /// Reads all certificates of a file, armored (one or several blocks) or binary.
    pub fn parse_all(bytes: &[u8]) -> Result<Vec<Self>, PgpError> {
        if bytes.len() > CERT_FILE_BYTES_MAX {
            return Err(PgpError::TooLong { length: bytes.len(), limit_bytes: CERT_FILE_BYTES_MAX });
        }
        let mut found: Vec<Self> = Vec::new();
        for block in armor_blocks(bytes) {
            let parser = CertParser::from_bytes(block).map_err(|error| malformed(&error))?;
            for cert in parser {
                let cert = cert.map_err(|error| malformed(&error))?;
                if found.len() == RECIPIENTS_MAX {
                    return Err(PgpError::TooMany);
                }
                let recipient = Self::strip(&cert)?;
                if !found.contains(&recipient) {
                    found.push(recipient);
                }
            }
        }
        if found.is_empty() { Err(PgpError::Empty) } else { Ok(found) }
    }

    /// Reads the record of a policy: exactly one binary certificate.
    pub fn from_record(bytes: &[u8]) -> Result<Self, PgpError> {
        if bytes.len() > CERT_RECORD_BYTES_MAX {
            return Err(PgpError::TooLong { length: bytes.len(), limit_bytes: CERT_RECORD_BYTES_MAX });
        }
        let cert = Cert::from_bytes(bytes).map_err(|error| malformed(&error))?;
        if cert.is_tsk() {
            return Err(PgpError::Malformed { reason: "a recipient record holds a secret key".to_owned() });
        }
        let label = label_of(&cert);
        Ok(PgpRecipient { cert: Box::new(cert), record: bytes.to_vec(), label })
    }

    /// Keeps the primary key, its newest signatures, one user id and the keys that can encrypt.
    fn strip(cert: &Cert) -> Result<Self, PgpError> {
        let cert = cert.clone().strip_secret_key_material();
        let mut packets: Vec<Packet> = vec![Packet::from(cert.primary_key().key().clone())];
        let primary = cert.primary_key();
        packets.extend(signatures(primary.self_signatures(), primary.self_revocations()));
        if let Some(user_id) = cert.userids().find(|id| Some(id.userid().value()) == main_user_id(&cert).as_deref()) {
            packets.push(Packet::from(user_id.userid().clone()));
            packets.extend(signatures(user_id.self_signatures(), user_id.self_revocations()));
        }
        let encrypting = encryption_flags();
        for subkey in cert.keys().subkeys() {
            let can_encrypt = |sig: &Signature| sig.key_flags().is_some_and(|flags| !(&flags & &encrypting).is_empty());
            if subkey.self_signatures().any(can_encrypt) {
                packets.push(Packet::from(subkey.key().clone()));
                packets.extend(signatures(subkey.self_signatures(), subkey.self_revocations()));
            }
        }
        let stripped = Cert::from_packets(packets.into_iter()).map_err(|error| malformed(&error))?;
        let record = stripped.to_vec().map_err(|error| malformed(&error))?;
        if record.len() > CERT_RECORD_BYTES_MAX {
            return Err(PgpError::TooLong { length: record.len(), limit_bytes: CERT_RECORD_BYTES_MAX });
        }
        let label = label_of(&stripped);
        Ok(PgpRecipient { cert: Box::new(stripped), record, label })
    }

    /// The stripped certificate as a policy keeps it.
    pub fn record(&self) -> &[u8] {
        &self.record
    }

    /// The fingerprint and the primary user id.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The fingerprint in upper-case hexadecimal.
    pub fn fingerprint(&self) -> String {
        self.cert.fingerprint().to_hex()
    }

    /// Says whether the certificate can be used, until when, and which of its keys are left out.
    pub fn check(&self, now: SystemTime) -> Result<Validity, PgpError> {
        let policy = StandardPolicy::at(now);
        let (keys, excluded) = self.usable_keys(&policy, now)?;
        let primary = self.primary_expiry(&policy, now);
        let last = keys.iter().map(ValidErasedKeyAmalgamation::key_expiration_time).reduce(later).flatten();
        let expires = match (primary, last) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Ok(Validity { expires, excluded })
    }

    fn primary_expiry(&self, policy: &StandardPolicy<'_>, now: SystemTime) -> Option<SystemTime> {
        let valid = self.cert.with_policy(policy, now).ok()?;
        valid.primary_key().key_expiration_time()
    }

    /// The keys that encrypt, and for each other key the rule against it.
    fn usable_keys<'a>(
        &'a self,
        policy: &'a StandardPolicy<'a>,
        now: SystemTime,
    ) -> Result<(Vec<ValidErasedKeyAmalgamation<'a, PublicParts>>, Vec<String>), PgpError> {
        self.check_primary(policy, now)?;
        let mut storage = Vec::new();
        let mut transport = Vec::new();
        let mut excluded = Vec::new();
        let mut expired: Option<SystemTime> = None;
        for key in self.cert.keys() {
            let name = key.key().fingerprint().to_hex();
            let valid = match key.with_policy(policy, now) {
                Ok(valid) => valid,
                Err(error) => {
                    excluded.push(format!("{name}: {}", chain(&error)));
                    continue;
                }
            };
            let (for_storage, for_transport) = (valid.for_storage_encryption(), valid.for_transport_encryption());
            if !for_storage && !for_transport {
                continue;
            }
            if let Some(rule) = key_rule(&valid) {
                excluded.push(format!("{name}: {rule}"));
                expired = expired.max(valid.key_expiration_time().filter(|time| *time <= now));
                continue;
            }
            if for_storage { storage.push(valid) } else { transport.push(valid) }
        }
        let keys = if storage.is_empty() { transport } else { storage };
        match (keys.is_empty(), expired) {
            (false, _) => Ok((keys, excluded)),
            (true, Some(on)) => Err(PgpError::Expired { label: self.label.clone(), on }),
            (true, None) => Err(PgpError::NoEncryptionKey { label: self.label.clone(), excluded }),
        }
    }

    /// Checks the certificate as a whole: bound by a good signature, not revoked, alive.
    fn check_primary(&self, policy: &StandardPolicy<'_>, now: SystemTime) -> Result<(), PgpError> {
        let label = || self.label.clone();
        let created = self.cert.primary_key().key().creation_time();
        if created > now {
            return Err(PgpError::NotYetValid { label: label(), from: created });
        }
        if let RevocationStatus::Revoked(revocations) = self.cert.revocation_status(policy, now) {
            return Err(PgpError::Revoked { label: label(), reason: revocation_reason(&revocations) });
        }
        let valid = self
            .cert
            .with_policy(policy, now)
            .map_err(|error| PgpError::Policy { label: label(), rule: chain(&error) })?;
        if let Some(on) = valid.primary_key().key_expiration_time().filter(|time| *time <= now) {
            return Err(PgpError::Expired { label: label(), on });
        }
        valid.alive().map_err(|error| PgpError::Policy { label: label(), rule: chain(&error) })
    }
}

/// Encrypts a payload to all the certificates in one binary message.
///
/// Every certificate must be usable at `now`; the first that is not is the error.
pub(crate) fn seal(recipients: &[&PgpRecipient], payload: &[u8], now: SystemTime) -> Result<Vec<u8>, PgpError> {
    let policy = StandardPolicy::at(now);
    let mut keys = Vec::new();
    for recipient in recipients {
        keys.extend(recipient.usable_keys(&policy, now)?.0);
    }
    let encrypt = |error: openpgp::anyhow::Error| PgpError::Encrypt { reason: chain(&error) };
    let mut sealed = Vec::new();
    let message = Message::new(&mut sealed);
    let message = Encryptor::for_recipients(message, keys).build().map_err(encrypt)?;
    let mut message = LiteralWriter::new(message).build().map_err(encrypt)?;
    message.write_all(payload).map_err(|error| PgpError::Encrypt { reason: error.to_string() })?;
    message.finalize().map_err(encrypt)?;
    Ok(sealed)
}

/// Cuts a file into its armored blocks; a binary file is one block.
pub(crate) fn armor_blocks(bytes: &[u8]) -> Vec<&[u8]> {
    const BEGIN: &[u8] = b"-----BEGIN PGP";
    let mut starts = Vec::new();
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| rest.windows(BEGIN.len()).position(|w| w == BEGIN)) {
        starts.push(at + found);
        at += found + BEGIN.len();
        if starts.len() > RECIPIENTS_MAX {
            break;
        }
    }
    if starts.is_empty() {
        return vec![bytes];
    }
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    starts.iter().copied().zip(ends).filter_map(|(start, end)| bytes.get(start..end)).collect()
}

/// All causes of an error in one line.
pub(crate) fn chain(error: &openpgp::anyhow::Error) -> String {
    clean(&error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": "), 400)
}

/// Text from a foreign key without control characters, cut to a length.
pub(crate) fn clean(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// A name for a certificate or key: fingerprint and primary user id.
pub(crate) fn label_of(cert: &Cert) -> String {
    let fingerprint = cert.fingerprint().to_hex();
    match main_user_id(cert) {
        Some(id) => format!("{fingerprint} {}", clean(&String::from_utf8_lossy(&id), USER_ID_CHARS_MAX)),
        None => fingerprint,
    }
}

/// The user id that its owner marked as primary in the newest signature, else the first.
fn main_user_id(cert: &Cert) -> Option<Vec<u8>> {
    let marked =
        cert.userids().find(|id| id.self_signatures().next().is_some_and(|sig| sig.primary_userid() == Some(true)));
    marked.or_else(|| cert.userids().next()).map(|id| id.userid().value().to_vec())
}

fn encryption_flags() -> KeyFlags {
    KeyFlags::empty().set_storage_encryption().set_transport_encryption()
}

fn signatures<'a>(
    own: impl Iterator<Item = &'a Signature>,
    revocations: impl Iterator<Item = &'a Signature>,
) -> Vec<Packet> {
    own.take(SIGNATURES_KEPT).chain(revocations.take(SIGNATURES_KEPT)).cloned().map(Packet::from).collect()
}

/// The rule that forbids a key whose binding is good, if there is one.
fn key_rule(key: &ValidErasedKeyAmalgamation<'_, PublicParts>) -> Option<String> {
    if !key.key().pk_algo().is_supported() {
        return Some(format!("the algorithm {} is not supported", key.key().pk_algo()));
    }
    if let RevocationStatus::Revoked(revocations) = key.revocation_status() {
        return Some(format!("revoked: {}", revocation_reason(&revocations)));
    }
    key.alive().err().map(|error| chain(&error))
}

fn revocation_reason(revocations: &[&Signature]) -> String {
    let reason = revocations.iter().find_map(|sig| sig.reason_for_revocation());
    match reason {
        Some((code, [])) => code.to_string(),
        Some((code, text)) => format!("{code} ({})", clean(&String::from_utf8_lossy(text), USER_ID_CHARS_MAX)),
        None => "no reason given".to_owned(),
    }
}

/// The later of two expiry times; no expiry is the latest.
fn later(a: Option<SystemTime>, b: Option<SystemTime>) -> Option<SystemTime> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        _ => None,
    }
}

fn malformed(error: &openpgp::anyhow::Error) -> PgpError {
    PgpError::Malformed { reason: chain(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_written_in_the_calendar() {
        for (seconds, day) in [
            (0, "1970-01-01"),
            (68_169_599, "1972-02-28"),
            (68_169_600, "1972-02-29"),
            (951_782_400, "2000-02-29"),
            (1_795_305_600, "2026-11-22"),
            (4_107_542_399, "2100-02-28"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(date(UNIX_EPOCH + Duration::from_secs(seconds)), day);
        }
    }

    #[test]
    fn text_from_foreign_keys_cannot_drive_a_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\nc", 100), "a\u{fffd}[2Jb\u{fffd}c");
        assert_eq!(clean("abcdef", 3), "abc");
    }
}
