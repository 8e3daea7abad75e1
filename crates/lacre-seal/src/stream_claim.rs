//! A name for what a root claims of a stream, by which an audit knows again what it has proved.
//!
//! A root is its writer's word: it may name another stream's top without the capability that opens it, or with other lengths and hashes.
//! So the name covers everything that reading the stream depends on and everything it is compared with. It is keyed with the capability of
//! the top: nobody who has not opened a root can tell from it what a stream holds, and it dies with the root.

use lacre_format::{
    ids::Digest,
    root::{Stream, Top},
};

use crate::labels::{self, Label};

/// Names the claim of a stream; none for an empty one, which has no capability and nothing to prove.
#[must_use]
pub fn stream_claim(stream: &Stream) -> Option<Digest> {
    let top = stream.top.as_ref()?;
    let mut hasher = labels::hasher(Label::StreamClaim, &[top.capability.expose()]);
    let number = |hasher: &mut blake3::Hasher, number: u64| {
        hasher.update(&number.to_le_bytes());
    };
    let place = |hasher: &mut blake3::Hasher, top: &Top| {
        hasher.update(top.pack.as_bytes());
        for field in [u64::from(top.slot), u64::from(top.level), u64::from(top.raw_bytes)] {
            number(hasher, field);
        }
    };
    place(&mut hasher, top);
    number(&mut hasher, stream.bytes);
    number(&mut hasher, stream.rows);
    hasher.update(stream.blake3.as_bytes());
    number(&mut hasher, u64::from(stream.rewritten.is_some()));
    hasher.update(stream.rewritten.unwrap_or(Digest::new([0; Digest::LEN])).as_bytes());
    let lanes = stream.row_digest.as_deref().unwrap_or_default();
    number(&mut hasher, u64::try_from(lanes.len()).unwrap_or(u64::MAX));
    lanes.iter().for_each(|lane| number(&mut hasher, *lane));
    number(&mut hasher, u64::try_from(stream.dictionaries.len()).unwrap_or(u64::MAX));
    for dictionary in &stream.dictionaries {
        hasher.update(dictionary.capability.expose());
        place(&mut hasher, dictionary);
    }
    let claim = Digest::new(*hasher.finalize().as_bytes());
    zeroize::Zeroize::zeroize(&mut hasher);
    Some(claim)
}
