//! Authenticated encryption with keys that are used once, so the nonce is always zero.
//!
//! Suite 1 is AES-256-GCM (NIST SP 800-38D), suite 2 ChaCha20-Poly1305 (RFC 8439), both from aws-lc. A caller passes a key that
//! was derived for exactly one message; no caller outside this crate can pass a key at all.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// Which cipher sealed something; stored beside the ciphertext.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Suite {
    /// AES-256-GCM.
    Aes256Gcm,
    /// ChaCha20-Poly1305.
    ChaCha20Poly1305,
}

impl Suite {
    /// The cipher this processor runs fastest.
    #[must_use]
    pub fn preferred() -> Self {
        #[cfg(target_arch = "x86_64")]
        let fast = std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq");
        #[cfg(target_arch = "aarch64")]
        let fast = std::arch::is_aarch64_feature_detected!("aes");
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let fast = false;
        if fast { Self::Aes256Gcm } else { Self::ChaCha20Poly1305 }
    }

    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Aes256Gcm => 1,
            Self::ChaCha20Poly1305 => 2,
        }
    }

    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Aes256Gcm),
            2 => Some(Self::ChaCha20Poly1305),
            _ => None,
        }
    }

    fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::Aes256Gcm => &AES_256_GCM,
            Self::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        }
    }
}

/// The ciphertext does not belong to this key and these associated data, or was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it does not authenticate: damaged, or sealed with another key")]
pub struct NotAuthentic;

const ZERO_NONCE: [u8; NONCE_LEN] = [0; NONCE_LEN];

fn cipher(suite: Suite, key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(suite.algorithm(), key).expect("both suites take keys of 32 bytes"))
}

/// Encrypts in place and appends the tag. `key` must never have sealed anything else.
pub(crate) fn seal_once(suite: Suite, key: &[u8; 32], aad: &[u8], message: &mut Vec<u8>) {
    seal_with(suite, key, ZERO_NONCE, aad, message);
}

/// As [`seal_once`], under a nonce that is a function of key and message (index rows).
pub(crate) fn seal_with(suite: Suite, key: &[u8; 32], nonce: [u8; NONCE_LEN], aad: &[u8], message: &mut Vec<u8>) {
    cipher(suite, key)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), message)
        .expect("messages are far below the length limit of both suites");
}

/// Decrypts in place and gives the plaintext.
pub(crate) fn open_once<'m>(
    suite: Suite,
    key: &[u8; 32],
    aad: &[u8],
    message: &'m mut [u8],
) -> Result<&'m mut [u8], NotAuthentic> {
    open_with(suite, key, ZERO_NONCE, aad, message)
}

/// As [`open_once`], under a given nonce.
pub(crate) fn open_with<'m>(
    suite: Suite,
    key: &[u8; 32],
    nonce: [u8; NONCE_LEN],
    aad: &[u8],
    message: &'m mut [u8],
) -> Result<&'m mut [u8], NotAuthentic> {
    cipher(suite, key)
        .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad), message)
        .map_err(|_| NotAuthentic)
}
