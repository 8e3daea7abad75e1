//! age files in memory: the one place that calls the age crate's encryptor and decryptor.
//!
//! In: a small payload and recipients, or a file and identities. Out: a file, or the payload. This module must not know
//! what the payload is nor which of our objects the file becomes.
//!
//! Source: c2sp.org/age, version 1 of the binary format. Files carry a grease stanza, as every file of the age crate does.

use std::io::{Read, Write};

use age::{DecryptError, EncryptError};
use zeroize::Zeroizing;

/// Bytes that the header of a file may take on top of its payload: 64 hybrid stanzas and a grease stanza.
const HEADER_BYTES_MAX: usize = 128 * 1024;

/// One file in this many bytes of payload is sealed as one authenticated piece of 64 KiB with a tag of 16 bytes.
const PIECE_BYTES: usize = 64 * 1024;
const TAG_BYTES: usize = 16;

/// Why an age file could not be opened although one of the identities may fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AgeFileError {
    /// The header is malformed, or a stanza breaks the rules of its kind.
    #[error("the header of the age file is malformed")]
    Header,
    /// The header was changed after it was written.
    #[error("the header of the age file fails its authentication")]
    HeaderMac,
    /// The payload is truncated, extended or changed.
    #[error("the payload of the age file is truncated or changed")]
    Payload,
    /// A version of age that this program does not know.
    #[error("the age file has an unknown version")]
    Version,
    /// The file or its payload is larger than the caller allows.
    #[error("the age file holds more than {limit_bytes} bytes")]
    TooLong {
        /// Largest payload that the caller accepts, in bytes.
        limit_bytes: usize,
    },
    /// The passphrase does not fit.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// The file asks for more memory and time than we are willing to spend.
    #[error("the age file asks for a scrypt work factor of 2^{asked}, more than the accepted 2^{limit}")]
    ExcessiveWork {
        /// Base-two logarithm of the work factor in the file.
        asked: u8,
        /// Largest accepted logarithm.
        limit: u8,
    },
}

/// Why an age file could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make an age file: {reason}")]
pub struct AgeSealError {
    reason: String,
}

impl From<EncryptError> for AgeSealError {
    fn from(error: EncryptError) -> Self {
        AgeSealError { reason: error.to_string() }
    }
}

/// Encrypts a payload to all the recipients in one binary age file.
pub(crate) fn seal(recipients: &[&dyn age::Recipient], payload: &[u8]) -> Result<Vec<u8>, AgeSealError> {
    let encryptor = age::Encryptor::with_recipients(recipients.iter().copied())?;
    let mut file = Vec::with_capacity(payload.len().saturating_add(4096));
    let io = |error: std::io::Error| AgeSealError { reason: error.to_string() };
    let mut writer = encryptor.wrap_output(&mut file).map_err(io)?;
    writer.write_all(payload).map_err(io)?;
    writer.finish().map_err(io)?;
    Ok(file)
}

/// Opens a binary age file; `None` means that no stanza is for any of the identities.
///
/// The payload is complete and authentic when it is returned. `limit_bytes` bounds it before anything is allocated.
pub(crate) fn open(
    file: &[u8],
    identities: &[&dyn age::Identity],
    limit_bytes: usize,
) -> Option<Result<Zeroizing<Vec<u8>>, AgeFileError>> {
    let pieces = limit_bytes.div_ceil(PIECE_BYTES).max(1);
    let overhead = HEADER_BYTES_MAX.saturating_add(pieces.saturating_mul(TAG_BYTES));
    if file.len() > limit_bytes.saturating_add(overhead) {
        return Some(Err(AgeFileError::TooLong { limit_bytes }));
    }
    let decryptor = match age::Decryptor::new_buffered(file) {
        Ok(decryptor) => decryptor,
        Err(error) => return Some(Err(classify_header(&error))),
    };
    let reader = match decryptor.decrypt(identities.iter().copied()) {
        Ok(reader) => reader,
        Err(DecryptError::NoMatchingKeys) => return None,
        Err(error) => return Some(Err(classify_header(&error))),
    };
    Some(read_payload(reader, file.len(), limit_bytes))
}

/// Reads a payload into a buffer that never grows, so that no copy of a secret stays behind.
fn read_payload(reader: impl Read, file_bytes: usize, limit_bytes: usize) -> Result<Zeroizing<Vec<u8>>, AgeFileError> {
    let mut payload = Zeroizing::new(Vec::with_capacity(file_bytes.min(limit_bytes).saturating_add(1)));
    let limit = u64::try_from(limit_bytes).unwrap_or(u64::MAX).saturating_add(1);
    let mut limited = reader.take(limit);
    let mut piece = Zeroizing::new([0u8; 4096]);
    loop {
        let count = limited.read(&mut piece[..]).map_err(|_| AgeFileError::Payload)?;
        if count == 0 {
            return Ok(payload);
        }
        if payload.len() + count > limit_bytes {
            return Err(AgeFileError::TooLong { limit_bytes });
        }
        payload.extend_from_slice(&piece[..count]);
    }
}

fn classify_header(error: &DecryptError) -> AgeFileError {
    match error {
        DecryptError::InvalidMac => AgeFileError::HeaderMac,
        DecryptError::UnknownFormat => AgeFileError::Version,
        // Of all identities that are used here only the passphrase one fails in this way.
        DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => AgeFileError::WrongPassphrase,
        DecryptError::ExcessiveWork { required, .. } => {
            AgeFileError::ExcessiveWork { asked: *required, limit: crate::passphrase::WORK_LOG_MAX }
        }
        _ => AgeFileError::Header,
    }
}
