//! A hash of the lowest nodes of a stream in order, for streams that were rewritten without their plaintext being read as a whole.
//!
//! A capability is derived from its frame's plaintext and random bytes, and a node's plaintext is the capabilities of its chunks: the list
//! says which plaintexts in which order, and nothing to those who have not opened the root it lies in.

use lacre_format::{ids::Digest, node::Capability};

use crate::labels::{self, Label};

/// Hashes a list of nodes as it comes.
pub struct NodeListHasher(blake3::Hasher);

impl Default for NodeListHasher {
    fn default() -> Self {
        Self(labels::hasher(Label::NodeList, &[]))
    }
}

impl NodeListHasher {
    /// Takes the next node.
    pub fn add(&mut self, raw_bytes: u32, capability: &Capability) {
        self.0.update(&raw_bytes.to_le_bytes());
        self.0.update(capability.expose());
    }

    /// The hash of all of them.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest::new(*self.0.finalize().as_bytes())
    }
}

impl Drop for NodeListHasher {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}
