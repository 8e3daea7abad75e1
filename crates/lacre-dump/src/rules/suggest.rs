//! "Did you mean": the nearest known name to a mistyped one.

/// A name further away than this many edits, or a third of its length, is not suggested.
const EDITS_MAX: usize = 3;

/// Names longer than this are not compared; the cost is quadratic.
const NAME_LENGTH_MAX: usize = 64;

/// The nearest of the known names, if it is near enough to be what was meant.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = EDITS_MAX.min(typed.chars().count().div_ceil(3));
    known
        .into_iter()
        .filter_map(|name| Some((distance(typed, name)?, name)))
        .filter(|(edits, _)| *edits <= allowed)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, name)| name)
}

/// How many letters must be put in, taken out or changed; nothing if a name is too long to tell.
fn distance(from: &str, to: &str) -> Option<usize> {
    let to: Vec<char> = to.to_lowercase().chars().collect();
    let from: Vec<char> = from.to_lowercase().chars().collect();
    if from.len() > NAME_LENGTH_MAX || to.len() > NAME_LENGTH_MAX {
        return None;
    }
    let mut line: Vec<usize> = (0..=to.len()).collect();
    for (at, letter) in from.iter().enumerate() {
        let mut diagonal = line[0];
        line[0] = at + 1;
        for (column, other) in to.iter().enumerate() {
            let changed = diagonal + usize::from(letter != other);
            diagonal = line[column + 1];
            line[column + 1] = changed.min(diagonal + 1).min(line[column] + 1);
        }
    }
    line.last().copied()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn only_near_names_are_suggested() {
        let known = ["delete", "null", "mask", "keep", "follow"];
        assert_eq!(nearest("delte", known), Some("delete"));
        assert_eq!(nearest("Mask", known), Some("mask"));
        assert_eq!(nearest("anonymise", known), None);
        assert_eq!(nearest("", known), None);
        assert_eq!(nearest(&"k".repeat(1000), known), None);
    }
}
