//! The word list of the printed sheets: one word stands for one byte.
//!
//! In: bytes, or words as a person typed them. Out: words, or bytes. This module must not know what the bytes mean.
//!
//! 256 English words of four to six letters. The first four letters of any two of them differ in at least two places, so
//! that a word may be shortened to four letters and one wrong letter among those four never makes another word.

/// Number of letters that are enough to name a word.
pub const PREFIX_LETTERS: usize = 4;

/// The words in the order of the bytes that they stand for; sorted, and never to be changed: printed sheets rely on it.
#[rustfmt::skip]
pub const WORDS: [&str; 256] = [
    "acorn", "actor", "agent", "alarm", "album", "alley", "almond", "amber",
    "anchor", "angle", "apple", "april", "arrow", "artist", "aspen", "atlas",
    "august", "bacon", "badge", "bagel", "banana", "barn", "basil", "beach",
    "bell", "berry", "bird", "blue", "boat", "bonus", "bowl", "bread",
    "brush", "cabin", "camel", "cedar", "cherry", "citrus", "clay", "cliff",
    "clock", "coast", "cocoa", "cradle", "crown", "cube", "cycle", "dagger",
    "dairy", "dance", "delta", "denim", "desert", "diary", "donkey", "door",
    "drum", "dune", "eagle", "earth", "easel", "echo", "elbow", "elder",
    "engine", "envoy", "epic", "fabric", "family", "fern", "fiddle", "field",
    "finch", "flag", "fleece", "flint", "flute", "focus", "forest", "frost",
    "fruit", "galaxy", "gate", "gecko", "giant", "globe", "gold", "goose",
    "grain", "green", "guitar", "gull", "hatch", "hawk", "hazel", "heart",
    "hedge", "helmet", "heron", "hill", "hinge", "hobby", "honey", "hood",
    "horn", "hurdle", "igloo", "index", "iris", "iron", "ivory", "jacket",
    "jaguar", "jewel", "judge", "junior", "kayak", "kettle", "kiosk", "kite",
    "knee", "knight", "koala", "label", "ladder", "lagoon", "laptop", "lava",
    "lawn", "lemon", "lilac", "lime", "lion", "locket", "lotus", "lunar",
    "lynx", "magnet", "maple", "market", "mason", "meadow", "melon", "milk",
    "mint", "model", "moon", "motor", "museum", "myth", "napkin", "navy",
    "nectar", "noble", "north", "novel", "nurse", "nylon", "ocean", "olive",
    "onion", "opera", "orbit", "organ", "otter", "oval", "oxygen", "oyster",
    "palm", "panel", "parade", "pastel", "patio", "pebble", "pencil", "pepper",
    "picnic", "pilot", "plum", "poem", "polar", "pony", "pulse", "pump",
    "puzzle", "queen", "quill", "rabbit", "radar", "raft", "raven", "razor",
    "recipe", "reef", "rice", "roof", "rose", "ruby", "rudder", "safari",
    "salute", "sauna", "scout", "seal", "shadow", "shell", "silver", "siren",
    "slate", "smile", "snail", "snow", "song", "soup", "spider", "spoon",
    "square", "stable", "stone", "sugar", "summer", "swan", "syrup", "tango",
    "teapot", "theme", "thread", "torch", "tower", "tribe", "trout", "tulip",
    "turtle", "twig", "uncle", "urban", "usher", "vapor", "velvet", "violin",
    "voice", "voyage", "waffle", "walnut", "whale", "wheat", "wolf", "wool",
    "yacht", "yeast", "yoga", "zebra", "zephyr", "zigzag", "zipper", "zodiac",
];

/// The word that stands for a byte.
pub fn word(byte: u8) -> &'static str {
    WORDS[usize::from(byte)]
}

/// The byte that a typed word stands for: the whole word or its first four letters, in any case.
///
/// Anything between the four letters and the full word counts too, so a word that was cut off is still understood;
/// a longer or different word is not.
pub fn byte(typed: &str) -> Option<u8> {
    let lower = typed.to_ascii_lowercase();
    if !lower.is_ascii() || lower.len() < PREFIX_LETTERS {
        return None;
    }
    let index = WORDS.partition_point(|word| word[..PREFIX_LETTERS] < lower[..PREFIX_LETTERS]);
    let word = WORDS.get(index)?;
    if word.starts_with(&lower) { u8::try_from(index).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differing(a: &str, b: &str) -> usize {
        a.bytes().zip(b.bytes()).filter(|(x, y)| x != y).count()
    }

    #[test]
    fn the_words_are_short_sorted_and_far_apart() {
        for pair in WORDS.windows(2) {
            assert!(pair[0] < pair[1], "{} before {}", pair[0], pair[1]);
        }
        for (i, a) in WORDS.iter().enumerate() {
            assert!((4..=6).contains(&a.len()) && a.bytes().all(|b| b.is_ascii_lowercase()), "{a}");
            for b in &WORDS[i + 1..] {
                assert!(differing(&a[..4], &b[..4]) >= 2, "{a} and {b} are too close");
            }
        }
    }

    #[test]
    fn every_byte_has_a_word_and_back() {
        for value in 0..=u8::MAX {
            let name = word(value);
            assert_eq!(byte(name), Some(value));
            assert_eq!(byte(&name[..4]), Some(value));
            assert_eq!(byte(&name.to_uppercase()), Some(value));
            assert_eq!(byte(&format!("{name}s")), None);
        }
    }

    #[test]
    fn other_words_are_refused() {
        for typed in ["", "a", "aco", "acornn", "zzzz", "aaaa", "åcorn", "acörn", "1234"] {
            assert_eq!(byte(typed), None, "{typed}");
        }
    }

    /// The list is part of the format of every printed sheet, so its digest never changes.
    #[test]
    fn the_list_is_frozen() {
        let digest = blake3::hash(WORDS.join(" ").as_bytes());
        assert_eq!(digest.to_hex().as_str(), "3421ab18e90111dd2d0358160727186933aaaf61a57dcafd1753d442566115ab");
    }
}
