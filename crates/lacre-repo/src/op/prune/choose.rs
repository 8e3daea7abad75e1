//! What goes and what is repacked: a pure function of the survey's counts.
//!
//! Packs of which nothing is needed always go. A pack is repacked from a tenth of dead bytes on, the emptiest first, as long as the
//! share of the repository that may be rewritten in one run is not used up, and only if all of it together gains something.

use std::collections::BTreeMap;

use lacre_format::ids::PackName;

use super::survey::PackUse;

/// When repacking is worth its cost.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Economy {
    /// Repacking must gain at least this share of the repository, in percent.
    pub gain_percent_min: f64,
    /// A pack is repacked when at least this share of it is dead, in percent.
    pub dead_percent_min: f64,
    /// At most this share of the repository is written anew in one run, in percent.
    pub repack_percent_max: f64,
}

impl Default for Economy {
    fn default() -> Self {
        Self { gain_percent_min: 2.0, dead_percent_min: 10.0, repack_percent_max: 10.0 }
    }
}

/// What is done with packs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Choice {
    /// Nothing of them is needed.
    pub(crate) delete: Vec<PackName>,
    /// What is needed of them is copied.
    pub(crate) repack: Vec<PackName>,
    /// Bytes that repacking would give back.
    pub(crate) gain: u64,
    /// Why nothing or not everything is repacked.
    pub(crate) held_back: Option<HeldBack>,
}

/// Why packs with enough dead bytes are not repacked in this run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeldBack {
    /// All of them together would gain too little.
    Gain,
    /// The share of the repository that one run may rewrite is used up.
    Share,
}

pub(crate) fn choose(packs: &BTreeMap<PackName, PackUse>, economy: &Economy) -> Choice {
    let total: u64 = packs.values().map(|pack| pack.bytes).sum();
    let mut choice = Choice::default();
    let mut worth: Vec<(PackName, PackUse)> = Vec::new();
    for (name, pack) in packs.iter().filter(|(_, pack)| pack.untouchable.is_none()) {
        if pack.live == 0 && pack.doubles == 0 {
            choice.delete.push(*name);
        } else if pack.live == 0 || share(pack.dead_bytes, pack.bytes) >= economy.dead_percent_min {
            worth.push((*name, *pack));
        }
    }
    // The most dead bytes for each byte to copy come first; names only make the order one.
    worth.sort_by(|(one, left), (other, right)| {
        let key = |pack: &PackUse| share(pack.dead_bytes, pack.bytes);
        key(right).total_cmp(&key(left)).then(one.cmp(other))
    });
    let mut written = 0u64;
    for (name, pack) in worth {
        if share(written + pack.live_bytes, total) > economy.repack_percent_max {
            choice.held_back = Some(HeldBack::Share);
            continue;
        }
        written += pack.live_bytes;
        choice.gain += pack.dead_bytes;
        choice.repack.push(name);
    }
    if share(choice.gain, total) < economy.gain_percent_min && !choice.repack.is_empty() {
        choice.repack.clear();
        choice.gain = 0;
        choice.held_back = Some(HeldBack::Gain);
    }
    choice.repack.sort_unstable();
    choice
}

#[expect(clippy::cast_precision_loss, reason = "a share in percent")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(byte: u8, live_bytes: u64, dead_bytes: u64) -> (PackName, PackUse) {
        let live = u32::from(live_bytes > 0);
        let counted =
            PackUse { bytes: live_bytes + dead_bytes, frames: 2, live, live_bytes, dead_bytes, ..PackUse::default() };
        (PackName::new([byte; 32]), counted)
    }

    fn names(bytes: &[u8]) -> Vec<PackName> {
        bytes.iter().map(|byte| PackName::new([*byte; 32])).collect()
    }

    #[test]
    fn dead_packs_always_go_and_little_gain_repacks_nothing() {
        let packs: BTreeMap<_, _> = [pack(1, 0, 1), pack(2, 900, 100), pack(3, 100_000, 0)].into();
        let choice = choose(&packs, &Economy::default());
        assert_eq!(choice.delete, names(&[1]));
        assert_eq!((choice.repack, choice.held_back), (Vec::new(), Some(HeldBack::Gain)));
    }

    #[test]
    fn a_pack_is_repacked_from_a_tenth_of_dead_bytes_on() {
        let packs: BTreeMap<_, _> = [pack(1, 900, 100), pack(2, 901, 99), pack(3, 20_000, 0)].into();
        let economy = Economy { gain_percent_min: 0.0, ..Economy::default() };
        assert_eq!(choose(&packs, &economy).repack, names(&[1]));
    }

    #[test]
    fn one_run_writes_at_most_its_share_the_emptiest_first() {
        let packs: BTreeMap<_, _> = [pack(1, 500, 500), pack(2, 400, 600), pack(3, 300, 700), pack(4, 4_000, 0)].into();
        let choice = choose(&packs, &Economy::default());
        assert_eq!((choice.repack, choice.held_back), (names(&[2, 3]), Some(HeldBack::Share)));
        let all = choose(&packs, &Economy { repack_percent_max: 100.0, ..Economy::default() });
        assert_eq!((all.repack, all.gain, all.held_back), (names(&[1, 2, 3]), 1800, None));
    }

    #[test]
    fn doubles_are_worth_it_whatever_their_share_and_untouchable_packs_never() {
        let (name, counted) = pack(1, 0, 5_000);
        let double = PackUse { doubles: 2, ..counted };
        let (young, counted) = pack(2, 0, 5_000);
        let young_use = PackUse { untouchable: Some(super::super::survey::Untouchable::Young), ..counted };
        let packs: BTreeMap<_, _> = [(name, double), (young, young_use), pack(3, 100, 0)].into();
        let choice = choose(&packs, &Economy::default());
        assert_eq!((choice.delete, choice.repack), (Vec::new(), names(&[1])));
    }
}
