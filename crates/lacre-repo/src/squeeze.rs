//! Compression of frames: plaintext chunks in, a codec and its payload out, and back.
//!
//! Contexts are reused; each thread has its own [`Squeezer`] or [`Unsqueezer`]. This module knows nothing of keys, padding or
//! packs. Decoding is bounded by the length the frame's header promises, and that is bounded by [`RAW_BYTES_MAX`].

use std::ops::RangeInclusive;

use lacre_format::frame::{Codec, RAW_BYTES_MAX};
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe;

#[cfg(test)]
mod tests;

/// Levels this program uses.
pub const LEVELS: RangeInclusive<i32> = -5..=19;

/// Largest dictionary in bytes.
pub const DICTIONARY_BYTES_MAX: usize = 1024 * 1024;

/// Compression must save at least one part in this many, or the plaintext is stored as it is.
const GAIN_DIVISOR: usize = 64;

/// Why a frame could not be squeezed or unsqueezed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqueezeError {
    /// A level outside of [`LEVELS`].
    #[error("compression level {level} is not between -5 and 19")]
    BadLevel {
        /// The level.
        level: i32,
    },
    /// A dictionary over [`DICTIONARY_BYTES_MAX`], or an empty one.
    #[error("a dictionary of {bytes} bytes cannot be used")]
    BadDictionary {
        /// Its length.
        bytes: usize,
    },
    /// A plaintext over the format's bound.
    #[error("a frame of {bytes} bytes is longer than the format allows")]
    TooLong {
        /// The length given or promised.
        bytes: usize,
    },
    /// The frame needs a dictionary that was not given.
    #[error("the frame was made with a dictionary that is not at hand")]
    DictionaryMissing,
    /// The payload is not what its codec says, or gives another length than promised.
    #[error("the frame's payload does not decompress to {raw_bytes} bytes: {reason}")]
    Damaged {
        /// The length promised.
        raw_bytes: usize,
        /// What was wrong with it.
        reason: String,
    },
    /// The compressor itself failed.
    #[error("zstd failed: {reason}")]
    Zstd {
        /// What it said.
        reason: String,
    },
}

/// Compresses frames, one after the other.
pub struct Squeezer {
    compressor: Compressor<'static>,
    codec: Codec,
}

impl Squeezer {
    /// A compressor without a dictionary.
    ///
    /// # Errors
    /// [`SqueezeError::BadLevel`].
    pub fn new(level: i32) -> Result<Self, SqueezeError> {
        Self::build(level, &[], Codec::Zstd)
    }

    /// A compressor with a dictionary, which is needed again to decompress.
    ///
    /// # Errors
    /// [`SqueezeError::BadLevel`] and [`SqueezeError::BadDictionary`].
    pub fn with_dictionary(level: i32, dictionary: &[u8]) -> Result<Self, SqueezeError> {
        if dictionary.is_empty() || dictionary.len() > DICTIONARY_BYTES_MAX {
            return Err(SqueezeError::BadDictionary { bytes: dictionary.len() });
        }
        Self::build(level, dictionary, Codec::ZstdDictionary)
    }

    /// Changes the level for the frames to come; a dictionary stays.
    ///
    /// # Errors
    /// [`SqueezeError::BadLevel`].
    pub fn set_level(&mut self, level: i32) -> Result<(), SqueezeError> {
        checked(level)?;
        self.compressor.set_parameter(zstd_safe::CParameter::CompressionLevel(level)).map_err(|error| failed(&error))
    }

    /// Replaces the contents of `payload` by the payload of `raw` and returns its codec: raw unless compression gains at least 1/64.
    ///
    /// # Errors
    /// [`SqueezeError::TooLong`] beyond the format's bound.
    pub fn squeeze(&mut self, raw: &[u8], payload: &mut Vec<u8>) -> Result<Codec, SqueezeError> {
        if raw.len() > raw_bytes_max() {
            return Err(SqueezeError::TooLong { bytes: raw.len() });
        }
        let useful = raw.len() - raw.len().div_ceil(GAIN_DIVISOR);
        payload.clear();
        payload.reserve(zstd_safe::compress_bound(raw.len()));
        let written = self.compressor.compress_to_buffer(raw, payload).map_err(|error| failed(&error))?;
        if written <= useful && written < raw.len() {
            return Ok(self.codec);
        }
        payload.clear();
        payload.extend_from_slice(raw);
        Ok(Codec::Raw)
    }

    fn build(level: i32, dictionary: &[u8], codec: Codec) -> Result<Self, SqueezeError> {
        checked(level)?;
        let compressor = Compressor::with_dictionary(level, dictionary).map_err(|error| failed(&error))?;
        let mut squeezer = Self { compressor, codec };
        // The frame is authenticated and its dictionary named by the root: neither a checksum nor an id is needed.
        for parameter in [
            zstd_safe::CParameter::ChecksumFlag(false),
            zstd_safe::CParameter::DictIdFlag(false),
            zstd_safe::CParameter::ContentSizeFlag(true),
        ] {
            squeezer.compressor.set_parameter(parameter).map_err(|error| failed(&error))?;
        }
        Ok(squeezer)
    }
}

/// Decompresses frames, one after the other.
pub struct Unsqueezer {
    plain: Decompressor<'static>,
    with_dictionary: Option<Decompressor<'static>>,
}

impl Unsqueezer {
    /// A decompressor without a dictionary.
    ///
    /// # Errors
    /// [`SqueezeError::Zstd`] when its context cannot be made.
    pub fn new() -> Result<Self, SqueezeError> {
        let plain = Decompressor::new().map_err(|error| failed(&error))?;
        Ok(Self { plain, with_dictionary: None })
    }

    /// A decompressor that also knows a dictionary.
    ///
    /// # Errors
    /// [`SqueezeError::BadDictionary`].
    pub fn with_dictionary(dictionary: &[u8]) -> Result<Self, SqueezeError> {
        if dictionary.is_empty() || dictionary.len() > DICTIONARY_BYTES_MAX {
            return Err(SqueezeError::BadDictionary { bytes: dictionary.len() });
        }
        let known = Decompressor::with_dictionary(dictionary).map_err(|error| failed(&error))?;
        Ok(Self { with_dictionary: Some(known), ..Self::new()? })
    }

    /// Replaces the contents of `raw` by the plaintext of a payload, which must have exactly `raw_bytes` bytes.
    ///
    /// Never allocates more than that, whatever the payload claims of itself.
    ///
    /// # Errors
    /// [`SqueezeError::TooLong`], [`SqueezeError::DictionaryMissing`], [`SqueezeError::Damaged`]; `raw` is then empty.
    pub fn unsqueeze(
        &mut self,
        codec: Codec,
        payload: &[u8],
        raw_bytes: usize,
        raw: &mut Vec<u8>,
    ) -> Result<(), SqueezeError> {
        raw.clear();
        if raw_bytes > raw_bytes_max() {
            return Err(SqueezeError::TooLong { bytes: raw_bytes });
        }
        let decompressor = match codec {
            Codec::Raw if payload.len() == raw_bytes => {
                raw.extend_from_slice(payload);
                return Ok(());
            }
            Codec::Raw => return Err(damaged(raw_bytes, "the raw payload has another length")),
            Codec::Zstd => &mut self.plain,
            Codec::ZstdDictionary => self.with_dictionary.as_mut().ok_or(SqueezeError::DictionaryMissing)?,
        };
        // One frame and nothing else: zstd itself would go on with whatever follows.
        match zstd_safe::find_frame_compressed_size(payload) {
            Ok(bytes) if bytes == payload.len() => {}
            Ok(_) => return Err(damaged(raw_bytes, "bytes follow the zstd frame")),
            Err(code) => return Err(damaged(raw_bytes, zstd_safe::get_error_name(code))),
        }
        if !matches!(zstd_safe::get_frame_content_size(payload), Ok(Some(size)) if usize::try_from(size) == Ok(raw_bytes))
        {
            return Err(damaged(raw_bytes, "the zstd frame says another length"));
        }
        let mut buffer = std::mem::take(raw);
        buffer.resize(raw_bytes, 0);
        match decompressor.decompress_to_buffer(payload, buffer.as_mut_slice()) {
            Ok(written) if written == raw_bytes => {
                *raw = buffer;
                Ok(())
            }
            Ok(_) => Err(damaged(raw_bytes, "the zstd frame has another length")),
            Err(error) => Err(damaged(raw_bytes, &error.to_string())),
        }
    }
}

fn raw_bytes_max() -> usize {
    usize::try_from(RAW_BYTES_MAX).unwrap_or(usize::MAX)
}

fn checked(level: i32) -> Result<(), SqueezeError> {
    if LEVELS.contains(&level) { Ok(()) } else { Err(SqueezeError::BadLevel { level }) }
}

fn failed(error: &std::io::Error) -> SqueezeError {
    SqueezeError::Zstd { reason: error.to_string() }
}

fn damaged(raw_bytes: usize, reason: &str) -> SqueezeError {
    SqueezeError::Damaged { raw_bytes, reason: reason.to_owned() }
}
