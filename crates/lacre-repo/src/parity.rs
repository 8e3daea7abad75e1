//! Parity: recovery shards of a pack's stored bytes, and a damaged pack made whole with them.
//!
//! In: packs and parity objects, damaged or not. Out: parity objects; packs that hash to their names again. It uses no key: everything
//! here is computed from sealed bytes, and what comes out counts only if it is what its name says. Nothing depends on parity: a run that
//! dies between a pack and its parity leaves a pack without, and a later repair adds it.

use bytes::Bytes;
use lacre_format::{
    ids::PackName,
    name::{Named, ObjectName},
    pack::PACK_BYTES_MAX,
    parity::{CHECK_BYTES, PARITY_BYTES_MAX, ParityHeader, ShardCheck, division},
};
use reed_solomon_simd::{
    engine::DefaultEngine,
    rate::{HighRateDecoder, RateDecoder as _},
};

use self::code::{Shape, recovery_of};
use crate::{error::Error, repository::Repository, store::Store};

/// Shards are decoded in stripes of this length, so that the decoder holds a few MiB of a pack and not all of it.
const STRIPE_BYTES: usize = 4096;

/// Whether new packs get parity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ParityChoice {
    /// On this machine's disks, which nobody else watches over; not in buckets, which keep copies of their own.
    #[default]
    Auto,
    /// Always.
    Kept,
    /// Never.
    Left,
}

impl ParityChoice {
    /// Whether packs of this store get parity.
    pub(crate) fn is_kept(self, store: &Store) -> bool {
        match self {
            Self::Auto => store.local_path().is_some(),
            Self::Kept => true,
            Self::Left => false,
        }
    }
}

/// Stores the parity of a pack; gives its length.
pub(crate) fn put(store: &Store, name: PackName, pack: &[u8]) -> Result<u64, Error> {
    let object = encode(name, pack);
    let bytes = object.len() as u64;
    // One that is there already is the same, unless it is damaged, which an audit says.
    let _outcome = store.put_new(&ObjectName::of(&Named::Parity(name)), Bytes::from(object))?;
    Ok(bytes)
}

impl Repository {
    /// A damaged pack as it was, from what of it can be read and its parity; none where it has no parity.
    pub(crate) fn corrected(&self, name: PackName) -> Result<Option<Corrected>, Error> {
        let parity = match self.store().get(&ObjectName::of(&Named::Parity(name)), PARITY_BYTES_MAX) {
            Ok(parity) => parity,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let object = ObjectName::of(&Named::Pack(name));
        let store = self.store();
        // A disk may refuse single sectors and give the rest; a bucket gives an object or does not.
        let whole = if store.local_path().is_some() { None } else { store.get(&object, PACK_BYTES_MAX).ok() };
        let read = |range: std::ops::Range<u64>| match &whole {
            Some(bytes) => {
                let (start, end) = (usize::try_from(range.start).ok()?, usize::try_from(range.end).ok()?);
                bytes.get(start..end).map(<[u8]>::to_vec)
            }
            None => store.get_range(&object, range).ok().map(Vec::from),
        };
        let corrected = correct(name, &parity, &read);
        let why = |why| Error::damaged(&object, format!("its bytes do not hash to its name, and {why}"));
        corrected.map(Some).map_err(why)
    }
}

/// A pack that was corrected.
#[derive(Debug)]
pub(crate) struct Corrected {
    /// Its bytes, which hash to its name.
    pub(crate) bytes: Vec<u8>,
    /// How many of its shards were damaged.
    pub(crate) shards: usize,
}

/// Why a pack was not corrected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Uncorrected {
    /// The parity object is damaged at both ends, or of another pack.
    NoParity,
    /// More shards are damaged than there are recovery shards left.
    TooMuch {
        /// Damaged shards of the pack.
        damaged: usize,
        /// Recovery shards that are not damaged.
        recovery: usize,
    },
    /// What came out does not hash to the pack's name.
    Wrong,
}

impl std::fmt::Display for Uncorrected {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoParity => write!(out, "its parity is damaged too"),
            Self::TooMuch { damaged, recovery } => {
                write!(out, "{damaged} of its shards are damaged and its parity can make {recovery} again")
            }
            Self::Wrong => write!(out, "what its parity gives is not the pack"),
        }
    }
}

/// The check of a shard or header: the first half of its BLAKE3.
pub(crate) fn check_of(bytes: &[u8]) -> ShardCheck {
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&blake3::hash(bytes).as_bytes()[..CHECK_BYTES]);
    check
}

fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// One shard of a pack, the last one filled up with zeros.
fn shard_of(pack: &[u8], index: usize, shard_bytes: usize) -> std::borrow::Cow<'_, [u8]> {
    let start = index.saturating_mul(shard_bytes).min(pack.len());
    let end = start.saturating_add(shard_bytes).min(pack.len());
    let found = &pack[start..end];
    if found.len() == shard_bytes {
        return found.into();
    }
    let mut filled = found.to_vec();
    filled.resize(shard_bytes, 0);
    filled.into()
}

/// The parity object of a pack. The same pack always gives the same one.
pub(crate) fn encode(name: PackName, pack: &[u8]) -> Vec<u8> {
    let pack_bytes = pack.len() as u64;
    let (shard_bytes, recovery) = division(pack_bytes);
    let mut header = ParityHeader { pack: name, pack_bytes, shard_bytes, recovery, checks: Vec::new() };
    let (data, shard) = (size(header.data()), size(shard_bytes));
    let last = shard_of(pack, data - 1, shard);
    let shard_at = |index: usize| if index + 1 == data { &last[..] } else { &pack[index * shard..(index + 1) * shard] };
    let shape = Shape { data, recovery: size(recovery), shard_bytes: shard };
    let shards = recovery_of(shape, &shard_at);
    header.checks.reserve_exact(data + size(recovery));
    header.checks.extend((0..data).map(|index| check_of(shard_at(index))));
    header.checks.extend(shards.chunks_exact(shard).map(check_of));
    header.object(check_of(&header.encode()), &shards)
}

/// Whether a parity object is whole: both headers, and every shard by its check.
pub(crate) fn is_whole(name: PackName, object: &[u8]) -> bool {
    let Ok((header, rest)) = ParityHeader::find(object, check_of) else { return false };
    let shard = size(header.shard_bytes);
    let Some(shards) = rest.get(..size(header.recovery) * shard) else { return false };
    let checks = header.checks.get(size(header.data())..).unwrap_or_default();
    let sound = shards.chunks_exact(shard).zip(checks).all(|(bytes, check)| check_of(bytes) == *check);
    sound && header.pack == name && header.object(check_of(&header.encode()), shards) == object
}

/// Makes a damaged pack whole. `read` gives the bytes of a stretch of what is stored, as far as it can be read.
pub(crate) fn correct(
    name: PackName,
    object: &[u8],
    read: &dyn Fn(std::ops::Range<u64>) -> Option<Vec<u8>>,
) -> Result<Corrected, Uncorrected> {
    let (header, shards) = ParityHeader::find(object, check_of).map_err(|_| Uncorrected::NoParity)?;
    if header.pack != name {
        return Err(Uncorrected::NoParity);
    }
    let (data, recovery, shard) = (size(header.data()), size(header.recovery), size(header.shard_bytes));
    let length = usize::try_from(header.pack_bytes).unwrap_or(usize::MAX);
    let mut pack = vec![0; data * shard];
    let mut damaged = Vec::new();
    for (index, check) in header.checks.iter().take(data).enumerate() {
        let (start, end) = (index * shard, length.min((index + 1) * shard));
        match read(start as u64..end as u64).filter(|found| found.len() == end - start) {
            Some(found) => pack[start..end].copy_from_slice(&found),
            None => {
                damaged.push(index);
                continue;
            }
        }
        if check_of(&pack[start..start + shard]) != *check {
            damaged.push(index);
        }
    }
    let checks = header.checks.get(data..).unwrap_or_default();
    let sound = shards.chunks_exact(shard).zip(checks).take(recovery).enumerate();
    let sound = sound.filter(|(_, (bytes, check))| check_of(bytes) == **check);
    let sound: Vec<(usize, &[u8])> = sound.map(|(index, (bytes, _))| (index, bytes)).collect();
    if damaged.len() > sound.len() {
        return Err(Uncorrected::TooMuch { damaged: damaged.len(), recovery: sound.len() });
    }
    restore(&mut pack, &damaged, &sound, (data, recovery, shard)).map_err(|_| Uncorrected::NoParity)?;
    pack.truncate(length);
    if blake3::hash(&pack) == *name.as_bytes() {
        Ok(Corrected { bytes: pack, shards: damaged.len() })
    } else {
        Err(Uncorrected::Wrong)
    }
}

/// Puts the damaged shards of a pack right, stripe by stripe.
fn restore(
    pack: &mut [u8],
    damaged: &[usize],
    sound: &[(usize, &[u8])],
    (data, recovery, shard): (usize, usize, usize),
) -> Result<(), reed_solomon_simd::Error> {
    if damaged.is_empty() {
        return Ok(());
    }
    let stripe = STRIPE_BYTES.min(shard);
    let mut decoder = HighRateDecoder::new(data, recovery, stripe, DefaultEngine::new(), None)?;
    for start in (0..shard).step_by(stripe) {
        let end = shard.min(start + stripe);
        decoder.reset(data, recovery, end - start)?;
        for index in (0..data).filter(|index| damaged.binary_search(index).is_err()) {
            decoder.add_original_shard(index, &pack[index * shard + start..index * shard + end])?;
        }
        for (index, bytes) in sound {
            decoder.add_recovery_shard(*index, &bytes[start..end])?;
        }
        let decoded = decoder.decode()?;
        for (index, piece) in decoded.restored_original_iter() {
            pack[index * shard + start..index * shard + end].copy_from_slice(piece);
        }
    }
    Ok(())
}

mod code;
#[cfg(test)]
mod tests;
