//! The framing of an archive in which some tables have another length.
//!
//! In: the old framing, and how long the tables were and are. Out: a framing with blocks of one size for those tables, and where each data
//! set begins. `pg_restore` reads blocks of any length; what is not changed keeps the blocks pg_dump made.

use std::collections::BTreeMap;

use lacre_dump::archive::{
    Error,
    framing::{FramingDecoder, FramingEncoder, Op},
};

/// Length of the blocks of a table that changed.
const BLOCK_BYTES: u32 = 64 << 10;
/// An integer in an archive: a sign byte and four of magnitude.
const INT_BYTES: u64 = 5;

/// How long a table was and is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) old: u64,
    pub(super) new: u64,
}

/// A new framing.
#[derive(Debug, Default)]
pub(super) struct Reframed {
    pub(super) framing: Vec<u8>,
    /// Where each data set begins, from the start of the archive.
    pub(super) offsets: BTreeMap<i32, u64>,
    /// Bytes the archive gained and lost.
    pub(super) added: u64,
    pub(super) removed: u64,
}

/// Writes the framing anew.
pub(super) fn reframe(
    old: &[u8],
    toc_bytes: u64,
    sizes: &BTreeMap<i32, u64>,
    changes: &BTreeMap<i32, Change>,
) -> Result<Reframed, Error> {
    let mut decoder = FramingDecoder::new(old);
    let mut encoder = FramingEncoder::new();
    let mut reframed = Reframed::default();
    let mut at = toc_bytes;
    let mut is_changed = false;
    while let Some(op) = decoder.next_op()? {
        match op {
            Op::Begin { dump_id, .. } => {
                let change = changes.get(&dump_id).copied();
                reframed.offsets.insert(dump_id, at);
                at += 1 + INT_BYTES;
                encoder.push(op);
                if let Some(change) = change {
                    let blocks = push_blocks(&mut encoder, change.new);
                    at += change.new + blocks * INT_BYTES;
                    reframed.added += change.new + blocks * INT_BYTES;
                    reframed.removed += change.old;
                } else {
                    at += sizes.get(&dump_id).copied().unwrap_or_default();
                }
                is_changed = change.is_some();
            }
            Op::Lines { count } | Op::Blocks { count, .. } if is_changed => reframed.removed += count * INT_BYTES,
            Op::Lines { count } | Op::Blocks { count, .. } => {
                at += count * INT_BYTES;
                encoder.push(op);
            }
            Op::Object { .. } => {
                // Its number, and the zero that ends it.
                at += 2 * INT_BYTES;
                encoder.push(op);
            }
            Op::End => {
                is_changed = false;
                at += INT_BYTES;
                encoder.push(op);
            }
            Op::Finish => encoder.push(op),
        }
    }
    reframed.framing = encoder.drain();
    Ok(reframed)
}

fn push_blocks(encoder: &mut FramingEncoder, bytes: u64) -> u64 {
    let (whole, rest) = (bytes / u64::from(BLOCK_BYTES), bytes % u64::from(BLOCK_BYTES));
    if whole > 0 {
        encoder.push(Op::Blocks { len: BLOCK_BYTES, count: whole });
    }
    if let Some(len) = u32::try_from(rest).ok().filter(|len| *len > 0) {
        encoder.push(Op::Blocks { len, count: 1 });
    }
    whole + u64::from(rest > 0)
}

#[cfg(test)]
mod tests {
    use lacre_dump::archive::Kind;

    use super::*;

    fn framing(ops: &[Op]) -> Vec<u8> {
        let mut encoder = FramingEncoder::new();
        ops.iter().for_each(|op| encoder.push(*op));
        encoder.drain()
    }

    #[test]
    fn a_changed_table_has_new_blocks_and_the_others_their_own() {
        let begin = |dump_id| Op::Begin { kind: Kind::TableData, dump_id };
        let rest = Op::Blocks { len: 5, count: 1 };
        let old = framing(&[
            begin(7),
            Op::Lines { count: 3 },
            rest,
            Op::End,
            begin(9),
            Op::Lines { count: 2 },
            rest,
            Op::End,
            Op::Finish,
        ]);
        let sizes = BTreeMap::from([(7, 35), (9, 25)]);
        let changes = BTreeMap::from([(7, Change { old: 35, new: 25 })]);
        let new = reframe(&old, 1000, &sizes, &changes).unwrap();
        let expected = framing(&[
            begin(7),
            Op::Blocks { len: 25, count: 1 },
            Op::End,
            begin(9),
            Op::Lines { count: 2 },
            rest,
            Op::End,
            Op::Finish,
        ]);
        assert_eq!(new.framing, expected);
        // Three lines and a rest were four blocks; now it is one.
        assert_eq!((new.added, new.removed), (25 + 5, 35 + 20));
        assert_eq!(new.offsets, BTreeMap::from([(7, 1000), (9, 1000 + 6 + 25 + 5 + 5)]));
    }
}
