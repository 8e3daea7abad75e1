//! The keyring bundle: all carried key entries, sealed to one generation twice.
//!
//! ```text
//! ciphertext = salt 16 | AEAD(DK("bundle", seed | generation | salt), "LB1" | repository | generation, age file)
//! ```
//! The age file needs the seal's secret half; the layer around it needs the seed itself, so that a bundle older than the last
//! rotation stands on 256-bit symmetric keys alone, whatever becomes of the public-key algorithms.

use lacre_format::{
    FormatError, codec,
    ids::{GenerationId, RepositoryId, Salt},
    keyring::{BUNDLE_BYTES_MAX, BUNDLE_ENTRIES_MAX, Bundle},
};

use crate::{
    aead::{self, NotAuthentic, Suite},
    entropy::{self, EntropyError},
    labels::{self, Label, magic},
    outer::{SealError, SealSeed},
};

/// Why a bundle could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// No random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// Damaged, or sealed with another generation's seed.
    #[error("keyring bundle: {0}")]
    NotAuthentic(#[from] NotAuthentic),
    /// The age file inside could not be made or opened.
    #[error("keyring bundle: {0}")]
    Seal(#[from] SealError),
    /// Authentic, but not a bundle this program reads.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// It names another repository or generation than it was sealed for.
    #[error("keyring bundle: it belongs to another repository or generation")]
    Foreign,
}

/// The id of a seed's generation.
#[must_use]
pub fn generation_id(number: u32, seed: &SealSeed) -> GenerationId {
    GenerationId { number, hash: seed.public().hash8() }
}

/// Seals a bundle to its generation.
///
/// # Errors
/// [`BundleError`] when there are no random bytes or too many entries.
pub fn seal_bundle(seed: &SealSeed, bundle: &Bundle) -> Result<Vec<u8>, BundleError> {
    if bundle.entries.len() > BUNDLE_ENTRIES_MAX {
        let found = u64::try_from(bundle.entries.len()).unwrap_or(u64::MAX);
        return Err(FormatError::TooLarge { what: "keyring bundle", found, allowed: BUNDLE_ENTRIES_MAX as u64 }.into());
    }
    let salt = entropy::salt()?;
    let mut message = seed.public().seal(&codec::to_cbor(bundle))?;
    let key = bundle_key(seed, bundle.generation, salt);
    aead::seal_once(Suite::Aes256Gcm, &key, &aad(bundle.repository, bundle.generation), &mut message);
    let mut out = salt.as_bytes().to_vec();
    out.append(&mut message);
    Ok(out)
}

/// Opens a bundle.
///
/// # Errors
/// [`BundleError`] when it is damaged or sealed to another generation.
pub fn open_bundle(
    seed: &SealSeed,
    repository: RepositoryId,
    generation: GenerationId,
    ciphertext: &[u8],
) -> Result<Bundle, BundleError> {
    let (salt, sealed) =
        ciphertext.split_first_chunk::<{ Salt::LEN }>().ok_or(FormatError::Truncated { what: "keyring bundle" })?;
    let key = bundle_key(seed, generation, Salt::new(*salt));
    let mut message = sealed.to_vec();
    let age_file = aead::open_once(Suite::Aes256Gcm, &key, &aad(repository, generation), &mut message)?;
    let limit = usize::try_from(BUNDLE_BYTES_MAX).unwrap_or(usize::MAX);
    let plaintext = seed.open(age_file, limit)?;
    let bundle: Bundle = codec::from_cbor("keyring bundle", &plaintext)?;
    if bundle.repository == repository && bundle.generation == generation {
        Ok(bundle)
    } else {
        Err(BundleError::Foreign)
    }
}

fn bundle_key(seed: &SealSeed, generation: GenerationId, salt: Salt) -> zeroize::Zeroizing<[u8; 32]> {
    let seed = seed.to_cell_bytes();
    let number = generation.number.to_le_bytes();
    labels::derive(Label::Bundle, &[seed.as_slice(), &number, &generation.hash, salt.as_bytes()])
}

fn aad(repository: RepositoryId, generation: GenerationId) -> Vec<u8> {
    let mut aad = magic::BUNDLE.to_vec();
    aad.extend_from_slice(repository.as_bytes());
    aad.extend_from_slice(&generation.number.to_le_bytes());
    aad.extend_from_slice(&generation.hash);
    aad
}
