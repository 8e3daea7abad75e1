//! The only place where random bytes come from: the operating system's generator.

use lacre_format::ids::{HomeId, PackId, PlanId, Salt, SnapshotId, Token};
use zeroize::Zeroizing;

/// The operating system gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no random bytes: {reason}")]
pub struct EntropyError {
    reason: getrandom::Error,
}

/// Draws `N` random bytes that are secret.
pub(crate) fn secret<const N: usize>() -> Result<Zeroizing<[u8; N]>, EntropyError> {
    let mut bytes = Zeroizing::new([0u8; N]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|reason| EntropyError { reason })?;
    Ok(bytes)
}

macro_rules! fresh {
    ($(#[$doc:meta])* $function:ident, $id:ident) => {
        $(#[$doc])*
        ///
        /// # Errors
        /// [`EntropyError`] when the operating system gives no random bytes.
        pub fn $function() -> Result<$id, EntropyError> {
            secret::<{ $id::LEN }>().map(|bytes| $id::new(*bytes))
        }
    };
}

fresh!(
    /// Draws the id of a new snapshot.
    snapshot_id, SnapshotId
);
fresh!(
    /// Draws the id of a new home.
    home_id, HomeId
);
fresh!(
    /// Draws the birth name of a new pack.
    pack_id, PackId
);
fresh!(
    /// Draws the id of a plan.
    plan_id, PlanId
);
fresh!(
    /// Draws a commit token.
    token, Token
);
fresh!(
    /// Draws a salt.
    salt, Salt
);

/// Draws the seed of a shuffle: it decides the order of frames in a pack and nothing else.
///
/// # Errors
/// [`EntropyError`] when the operating system gives no random bytes.
pub fn shuffle_seed() -> Result<u64, EntropyError> {
    secret::<8>().map(|bytes| u64::from_le_bytes(*bytes))
}
