//! Derivation and authenticated encryption as section 2 of the document has them.
//!
//! In: labels, keys, bytes. Out: keys, plaintexts. The labels are spelt here once more, from the document.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

/// Thirty-two secret bytes.
pub type Key = [u8; 32];

/// Every label of the document's table.
pub const LABELS: [&str; 23] = [
    "repository id",
    "content hash",
    "gear table",
    "row cut",
    "stream tag",
    "frame secret",
    "frame key",
    "pack footer",
    "index segment",
    "reach",
    "label",
    "session job",
    "run",
    "person jobs",
    "person account",
    "suppression list",
    "node list",
    "stream claim",
    "retention",
    "snapshot key",
    "key commitment",
    "root key",
    "bundle",
];

/// Every tag byte of the document's keyed hashes.
pub const TAGS: [u8; 5] = [b'L', b'f', b'r', b'n', b's'];

/// `DK(label, parts)`.
#[must_use]
pub fn dk(label: &str, parts: &[&[u8]]) -> Key {
    let mut hasher = blake3::Hasher::new_derive_key(&format!("lacre.v1 2026-11 {label}"));
    for part in parts {
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

/// `KH(key, parts)`.
#[must_use]
pub fn kh(key: &Key, parts: &[&[u8]]) -> Key {
    let mut hasher = blake3::Hasher::new_keyed(key);
    for part in parts {
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

/// The fingerprint of a frame's plaintext under a job's stream secret.
#[must_use]
pub fn fingerprint(stream_secret: &Key, level: u8, plaintext: &[u8]) -> Key {
    let content = dk("content hash", &[stream_secret]);
    let of_level = kh(&content, &[b"L", &[level]]);
    kh(&of_level, &[plaintext])
}

/// Decrypts what suite 1 or 2 sealed.
#[must_use]
pub fn open(suite: u8, key: &Key, nonce: [u8; 12], aad: &[&[u8]], sealed: &[u8]) -> Option<Vec<u8>> {
    let algorithm: &'static Algorithm = match suite {
        1 => &AES_256_GCM,
        2 => &CHACHA20_POLY1305,
        _ => return None,
    };
    let cipher = LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?);
    let mut message = sealed.to_vec();
    let plaintext =
        cipher.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad.concat()), &mut message).ok()?;
    Some(plaintext.to_vec())
}

/// The same for keys that are used once: suite 1 and a nonce of zeros.
#[must_use]
pub fn open_once(key: &Key, aad: &[&[u8]], sealed: &[u8]) -> Option<Vec<u8>> {
    open(1, key, [0; 12], aad, sealed)
}
