//! Rows of the writer's index: they open only for someone who holds this run's key and the chunk's plaintext.
//!
//! ```text
//! name = KH(IK, "f" | h)[..16]        key = KH(IK, "r" | h)
//! row  = nonce | AEAD(key, nonce, "LIR1" | name, capability | birth | dictionary)
//! ```
//! The nonce is a keyed hash of the row's content, so writing the same row twice gives the same bytes, and two different rows
//! of one chunk never share a nonce.

use lacre_format::{ids::PackId, node::Capability, pack::Birth};
use zeroize::Zeroizing;

use crate::{
    aead::{self, Suite},
    entropy::{self, EntropyError},
    frame::Fingerprint,
    labels::{self, magic, tag},
};

/// Bytes of a row's name.
pub const ROW_NAME_BYTES: usize = 16;
/// Bytes of a sealed row.
pub const ROW_BYTES: usize = 12 + CONTENT_BYTES + 16;

const CONTENT_BYTES: usize = 32 + 12 + 4 + 1;

/// The key of one run's index. It lies in one place of the heap, so that moving it leaves no copy behind.
pub struct IndexKey(Box<Zeroizing<[u8; 32]>>);

/// What a row says of a chunk seen before.
pub struct IndexRow {
    /// Opens the frame.
    pub capability: Capability,
    /// Names the frame.
    pub birth: Birth,
    /// The stream's dictionary it was made with, 0 for none.
    pub dictionary: u8,
}

impl IndexKey {
    /// Draws the key of a new run.
    ///
    /// # Errors
    /// [`EntropyError`] when the operating system gives no random bytes.
    pub fn generate() -> Result<Self, EntropyError> {
        entropy::secret().map(|bytes| Self::from_bytes(&bytes))
    }

    /// Takes the key of the last run from its file.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut kept = Box::new(Zeroizing::new([0u8; 32]));
        kept.copy_from_slice(bytes);
        Self(kept)
    }

    /// The key for its file.
    #[must_use]
    pub fn to_key_file(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(**self.0)
    }

    /// The name of a chunk's row.
    #[must_use]
    pub fn name(&self, fingerprint: &Fingerprint) -> [u8; ROW_NAME_BYTES] {
        let hash = labels::keyed(&self.0, tag::INDEX_NAME, &[fingerprint.expose()]);
        let mut name = [0u8; ROW_NAME_BYTES];
        name.copy_from_slice(&hash[..ROW_NAME_BYTES]);
        name
    }

    /// Seals a row.
    #[must_use]
    pub fn seal(&self, fingerprint: &Fingerprint, name: &[u8; ROW_NAME_BYTES], row: &IndexRow) -> Vec<u8> {
        let key = labels::keyed(&self.0, tag::INDEX_ROW, &[fingerprint.expose()]);
        let mut message = Vec::with_capacity(ROW_BYTES);
        message.extend_from_slice(row.capability.expose());
        message.extend_from_slice(row.birth.pack.as_bytes());
        message.extend_from_slice(&row.birth.slot.to_le_bytes());
        message.push(row.dictionary);
        let hash = labels::keyed(&key, tag::INDEX_NONCE, &[&message]);
        let mut nonce = [0u8; 12];
        nonce.copy_from_slice(&hash[..12]);
        aead::seal_with(Suite::Aes256Gcm, &key, nonce, &aad(name), &mut message);
        message.splice(0..0, nonce);
        message
    }

    /// Opens a row: `None` when it is not this run's or not this chunk's, which is a miss.
    #[must_use]
    pub fn open(&self, fingerprint: &Fingerprint, name: &[u8; ROW_NAME_BYTES], row: &[u8]) -> Option<IndexRow> {
        let (nonce, sealed) = row.split_first_chunk::<12>()?;
        let key = labels::keyed(&self.0, tag::INDEX_ROW, &[fingerprint.expose()]);
        let mut message = Zeroizing::new(sealed.to_vec());
        let content = aead::open_with(Suite::Aes256Gcm, &key, *nonce, &aad(name), &mut message).ok()?;
        let (capability, rest) = content.split_first_chunk::<32>()?;
        let (pack, rest) = rest.split_first_chunk::<12>()?;
        let (slot, rest) = rest.split_first_chunk::<4>()?;
        let [dictionary] = <[u8; 1]>::try_from(rest as &[u8]).ok()?;
        Some(IndexRow {
            capability: Capability::from_bytes(*capability),
            birth: Birth { pack: PackId::new(*pack), slot: u32::from_le_bytes(*slot) },
            dictionary,
        })
    }
}

fn aad(name: &[u8; ROW_NAME_BYTES]) -> [u8; 20] {
    let mut aad = [0u8; 20];
    aad[..4].copy_from_slice(magic::INDEX_ROW);
    aad[4..].copy_from_slice(name);
    aad
}
