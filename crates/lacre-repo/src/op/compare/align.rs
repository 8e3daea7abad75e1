//! What two sequences have in common, and the gaps between: which items stand in both, and in which order most of them agree.
//!
//! An item stands in both as often as it stands in each. Of those the longest run of pairs that follow each other on both sides anchors the
//! comparison (a longest increasing subsequence); between two anchors lies a gap, and what a row is compared with lies nearly always in the
//! same gap. Sixteen bytes an item while pairs are looked for, and nothing of a chunk.

use std::ops::Range;

/// An item by what names it: its birth, exactly, and a few bits of its capability.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Key {
    pub(super) birth: u64,
    pub(super) capability: u32,
    /// Where it stands, from 0.
    pub(super) at: u32,
}

/// Items of both sides between two anchors, at least one of which the other side does not have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Gap {
    pub(super) left: Range<u32>,
    pub(super) right: Range<u32>,
}

/// What two sequences share.
pub(super) struct Alignment {
    pub(super) gaps: Vec<Gap>,
    /// For every item of a side whether the other has it.
    pub(super) left: Vec<bool>,
    pub(super) right: Vec<bool>,
}

/// An item that the other side does not have.
const ALONE: u32 = u32::MAX;

/// Pairs the items of two sequences.
pub(super) fn align(left: Vec<Key>, right: Vec<Key>) -> Alignment {
    let (len, other_len) = (left.len(), right.len());
    let partners = partners(left, right);
    let mut is_shared = vec![false; other_len];
    for partner in partners.iter().filter(|partner| **partner != ALONE) {
        is_shared[*partner as usize] = true;
    }
    let own: Vec<bool> = partners.iter().map(|partner| *partner != ALONE).collect();
    let mut gaps = Vec::new();
    let mut from = (0u32, 0u32);
    let ends = (u32::try_from(len).unwrap_or(ALONE), u32::try_from(other_len).unwrap_or(ALONE));
    for at in anchors(&partners) {
        gap(&mut gaps, from, (at, partners[at as usize]), &own, &is_shared);
        from = (at + 1, partners[at as usize] + 1);
    }
    gap(&mut gaps, from, ends, &own, &is_shared);
    Alignment { gaps, left: own, right: is_shared }
}

fn gap(gaps: &mut Vec<Gap>, from: (u32, u32), to: (u32, u32), left: &[bool], right: &[bool]) {
    let differs =
        |shared: &[bool], range: Range<u32>| shared[range.start as usize..range.end as usize].contains(&false);
    if differs(left, from.0..to.0) || differs(right, from.1..to.1) {
        gaps.push(Gap { left: from.0..to.0, right: from.1..to.1 });
    }
}

/// For every item of the left where its pair stands on the right.
fn partners(mut left: Vec<Key>, mut right: Vec<Key>) -> Vec<u32> {
    left.sort_unstable();
    right.sort_unstable();
    let mut partners = vec![ALONE; left.len()];
    let mut rest = right.as_slice();
    for key in &left {
        let name = (key.birth, key.capability);
        let smaller = rest.iter().take_while(|other| (other.birth, other.capability) < name).count();
        rest = &rest[smaller..];
        if let Some((other, behind)) = rest.split_first()
            && (other.birth, other.capability) == name
        {
            partners[key.at as usize] = other.at;
            rest = behind;
        }
    }
    partners
}

/// The items of the left whose partners follow each other in a longest rising sequence, in order (patience sorting).
fn anchors(partners: &[u32]) -> Vec<u32> {
    // `ends[n]`: the item with the smallest partner that ends a rising sequence of n + 1; `before`: the item before it there.
    let (mut ends, mut before) = (Vec::<u32>::new(), vec![ALONE; partners.len()]);
    let partner = |item: u32| partners[item as usize];
    for (at, other) in (0u32..).zip(partners).filter(|(_, other)| **other != ALONE) {
        let place = match ends.last() {
            Some(last) if partner(*last) < *other => ends.len(),
            _ => ends.partition_point(|end| partner(*end) < *other),
        };
        if place > 0 {
            before[at as usize] = ends[place - 1];
        }
        match ends.get_mut(place) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    let mut chain = Vec::with_capacity(ends.len());
    let mut next = ends.last().copied().unwrap_or(ALONE);
    while next != ALONE {
        chain.push(next);
        next = before[next as usize];
    }
    chain.reverse();
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(births: &[u64]) -> Vec<Key> {
        births.iter().zip(0..).map(|(birth, at)| Key { birth: *birth, capability: 7, at }).collect()
    }

    fn gaps(left: &[u64], right: &[u64]) -> Vec<Gap> {
        align(keys(left), keys(right)).gaps
    }

    #[test]
    fn equal_sequences_have_no_gaps() {
        assert_eq!(gaps(&[1, 2, 3], &[1, 2, 3]), []);
        assert_eq!(gaps(&[], &[]), []);
        assert_eq!(gaps(&[5, 5, 5], &[5, 5, 5]), []);
    }

    #[test]
    fn a_gap_holds_what_stands_between_two_anchors() {
        assert_eq!(gaps(&[1, 2, 3], &[1, 9, 3]), [Gap { left: 1..2, right: 1..2 }]);
        assert_eq!(gaps(&[1, 3], &[1, 8, 9, 3]), [Gap { left: 1..1, right: 1..3 }]);
        assert_eq!(gaps(&[4, 1], &[1, 5]), [Gap { left: 0..1, right: 0..0 }, Gap { left: 2..2, right: 1..2 }]);
        assert_eq!(gaps(&[1], &[]), [Gap { left: 0..1, right: 0..0 }]);
    }

    #[test]
    fn an_item_is_shared_as_often_as_both_have_it() {
        let found = align(keys(&[5, 5, 5]), keys(&[5]));
        assert_eq!(found.left.iter().filter(|shared| **shared).count(), 1);
        assert_eq!(found.right, [true]);
        assert_eq!(found.gaps.iter().map(|gap| gap.left.len()).sum::<usize>(), 2);
    }

    #[test]
    fn what_moved_far_does_not_hide_the_order_of_the_rest() {
        // 9 moved from the front to the end; everything else stayed, and 4 became 5.
        let found = align(keys(&[9, 1, 2, 3, 4, 6, 7]), keys(&[1, 2, 3, 5, 6, 7, 9]));
        assert!(found.gaps.contains(&Gap { left: 4..5, right: 3..4 }), "{:?}", found.gaps);
        // It is in both, so it is in no gap for its own sake.
        assert_eq!(found.gaps.len(), 1, "{:?}", found.gaps);
        assert_eq!(found.left, [true, true, true, true, false, true, true]);
    }

    #[test]
    fn another_capability_is_another_item() {
        let forged = vec![Key { birth: 1, capability: 8, at: 0 }];
        let found = align(keys(&[1]), forged);
        assert_eq!((found.left, found.right), (vec![false], vec![false]));
    }

    #[test]
    fn gaps_and_anchors_cover_both_sides_whatever_they_hold() {
        // Small numbers from a linear congruence, so that many repeat and stand in another order.
        let mut state = 12_345u64;
        let mut dice = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        for _ in 0..300 {
            let left: Vec<u64> = (0..dice() % 40).map(|_| dice() % 12).collect();
            let right: Vec<u64> = (0..dice() % 40).map(|_| dice() % 12).collect();
            let found = align(keys(&left), keys(&right));
            let shared = |flags: &[bool]| flags.iter().filter(|flag| **flag).count();
            assert_eq!(shared(&found.left), shared(&found.right));
            let in_gaps = |range: &dyn Fn(&Gap) -> Range<u32>, flags: &[bool]| {
                found.gaps.iter().flat_map(range).filter(|at| !flags[*at as usize]).count()
            };
            assert_eq!(in_gaps(&|gap| gap.left.clone(), &found.left), left.len() - shared(&found.left));
            assert_eq!(in_gaps(&|gap| gap.right.clone(), &found.right), right.len() - shared(&found.right));
            for two in found.gaps.windows(2) {
                assert!(two[0].left.end <= two[1].left.start && two[0].right.end <= two[1].right.start);
            }
        }
    }
}
