//! Places where something lies that should lie nowhere: a secret or a row, in any spelling a program might have left.
//!
//! In: needles and hay. Out: which needle lies where, and how it was spelt.

use aho_corasick::AhoCorasick;
use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};

/// Something found where it should not be.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Residue {
    /// What, by the name its seeker gave it.
    pub what: String,
    /// How it was spelt.
    pub spelling: &'static str,
    /// Where.
    pub place: String,
}

/// Looks for every needle in every spelling.
pub fn find<'a>(needles: &[(String, Vec<u8>)], hay: impl Iterator<Item = (&'a str, &'a [u8])>) -> Vec<Residue> {
    let mut patterns = Vec::new();
    let mut meant = Vec::new();
    for (what, needle) in needles {
        for (spelling, pattern) in spellings(needle) {
            patterns.push(pattern);
            meant.push((what, spelling));
        }
    }
    let Ok(machine) = AhoCorasick::new(&patterns) else { return Vec::new() };
    let mut found = Vec::new();
    for (place, bytes) in hay {
        for hit in machine.find_overlapping_iter(bytes) {
            let (what, spelling) = meant[hit.pattern().as_usize()];
            found.push(Residue { what: what.clone(), spelling, place: place.to_owned() });
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Raw, reversed (an integer of the other byte order), hexadecimal in both cases, Base64 at each of its three phases, UTF-16.
fn spellings(needle: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let hex: String = needle.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut all = vec![
        ("raw", needle.to_vec()),
        ("reversed", needle.iter().rev().copied().collect()),
        ("hexadecimal", hex.clone().into_bytes()),
        ("hexadecimal", hex.to_uppercase().into_bytes()),
        ("UTF-16", needle.iter().flat_map(|byte| [*byte, 0]).collect()),
    ];
    for phase in 0..3usize {
        // Letters that depend on the bytes around are cut off.
        let mut shifted = vec![0u8; phase];
        shifted.extend_from_slice(needle);
        let text = BASE64_STANDARD_NO_PAD.encode(&shifted);
        let from = (phase * 8).div_ceil(6);
        let to = shifted.len() * 8 / 6;
        all.push(("Base64", text.as_bytes()[from..to].to_vec()));
    }
    all.sort_by(|one, other| one.1.cmp(&other.1));
    all.dedup_by(|one, other| one.1 == other.1);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_found() {
        let needle: Vec<u8> = (1..=24).map(|byte| byte * 7).collect();
        let needles = [("it".to_owned(), needle.clone())];
        let hex: String = needle.iter().map(|byte| format!("{byte:02X}")).collect();
        for phase in 0..3 {
            let around = [vec![9; phase], needle.clone(), vec![8; 4]].concat();
            let text = BASE64_STANDARD_NO_PAD.encode(&around);
            for hay in [text.as_bytes(), around.as_slice(), hex.as_bytes()] {
                assert_eq!(find(&needles, std::iter::once(("hay", hay))).len(), 1, "{}", String::from_utf8_lossy(hay));
            }
        }
        assert!(find(&needles, std::iter::once(("hay", &needle[1..]))).is_empty());
    }
}
