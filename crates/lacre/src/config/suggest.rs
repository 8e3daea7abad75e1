//! "Did you mean": the nearest known name to a mistyped one.

/// A name further away than this many edits, or a third of its length, is not suggested.
const EDITS_MAX: usize = 3;

/// Names longer than this are not compared; the cost is quadratic.
const NAME_LENGTH_MAX: usize = 64;

/// Returns the nearest of the known names when it is near enough to be what was meant.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase().replace('-', "_");
    let allowed = EDITS_MAX.min(typed.chars().count().div_ceil(3));
    known
        .into_iter()
        .map(|name| (distance(&typed, name), name))
        .filter(|(edits, _)| *edits <= allowed)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, name)| name)
}

/// Levenshtein distance with adjacent transpositions counted as one edit (optimal string alignment).
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    if left.len() > NAME_LENGTH_MAX || right.len() > NAME_LENGTH_MAX {
        return usize::MAX;
    }
    let mut rows = vec![vec![0_usize; right.len() + 1]; left.len() + 1];
    for (at, row) in rows.iter_mut().enumerate() {
        row[0] = at;
    }
    rows[0] = (0..=right.len()).collect();
    for i in 1..=left.len() {
        for j in 1..=right.len() {
            let change = usize::from(left[i - 1] != right[j - 1]);
            let mut edits = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + change);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                edits = edits.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = edits;
        }
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn edits_are_counted() {
        for (left, right, edits) in [
            ("", "", 0),
            ("abc", "abc", 0),
            ("keep_dayly", "keep_daily", 1),
            ("kitten", "sitting", 3),
            ("ab", "ba", 1),
            ("", "abc", 3),
        ] {
            assert_eq!(distance(left, right), edits, "{left} {right}");
        }
    }

    #[test]
    fn only_near_names_are_suggested() {
        let known = ["keep_daily", "keep_weekly", "repository"];
        assert_eq!(nearest("keep-dayly", known), Some("keep_daily"));
        assert_eq!(nearest("Repositry", known), Some("repository"));
        assert_eq!(nearest("schedule", known), None);
        assert_eq!(nearest("x", known), None);
        assert_eq!(nearest(&"x".repeat(10_000), known), None);
    }
}
