//! Whole rows of two texts that the other does not have.

use std::collections::HashMap;

use memchr::memchr_iter;

/// Takes out of two texts what stands in both, as often as it stands in both, and leaves the rest in its order.
pub(super) fn cancel(left: &mut Vec<u8>, right: &mut Vec<u8>) {
    if left.is_empty() || right.is_empty() {
        return;
    }
    let front = front(left, right);
    let (ours, theirs) = (lines(&left[front..]), lines(&right[front..]));
    let mut counts: HashMap<&[u8], i64> = HashMap::with_capacity(ours.len());
    for line in &ours {
        *counts.entry(line).or_default() += 1;
    }
    let mut rest = Vec::new();
    for line in &theirs {
        match counts.get_mut(line) {
            Some(count) if *count > 0 => *count -= 1,
            _ => rest.extend_from_slice(line),
        }
    }
    let mut alone = Vec::new();
    for line in &ours {
        if let Some(count) = counts.get_mut(line)
            && *count > 0
        {
            *count -= 1;
            alone.extend_from_slice(line);
        }
    }
    (*left, *right) = (alone, rest);
}

/// The length of the whole lines that both begin with.
fn front(left: &[u8], right: &[u8]) -> usize {
    let common = left.iter().zip(right).take_while(|(one, other)| one == other).count();
    left[..common].iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1)
}

/// The lines of a text, each with its end; the last may have none.
fn lines(text: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut start = 0;
    for end in memchr_iter(b'\n', text) {
        lines.push(&text[start..=end]);
        start = end + 1;
    }
    if start < text.len() {
        lines.push(&text[start..]);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cancelled(left: &str, right: &str) -> (String, String) {
        let (mut left, mut right) = (left.as_bytes().to_vec(), right.as_bytes().to_vec());
        cancel(&mut left, &mut right);
        (String::from_utf8(left).unwrap(), String::from_utf8(right).unwrap())
    }

    fn both(left: &str, right: &str) -> (String, String) {
        (left.to_owned(), right.to_owned())
    }

    #[test]
    fn only_what_differs_is_left() {
        assert_eq!(cancelled("a\nb\nc\n", "a\nB\nc\n"), both("b\n", "B\n"));
        assert_eq!(cancelled("a\n", "a\n"), both("", ""));
        assert_eq!(cancelled("a\n", ""), both("a\n", ""));
        assert_eq!(cancelled("", "b\n"), both("", "b\n"));
    }

    #[test]
    fn a_row_cancels_as_often_as_both_have_it_wherever_it_stands() {
        assert_eq!(cancelled("a\na\nb\n", "b\na\n"), both("a\n", ""));
        assert_eq!(cancelled("x\n", "x\nx\nx\n"), both("", "x\nx\n"));
    }

    #[test]
    fn a_row_that_is_the_beginning_of_another_is_another() {
        assert_eq!(cancelled("ab\n", "abc\n"), both("ab\n", "abc\n"));
        assert_eq!(cancelled("1\n12", "1\n12\n"), both("12", "12\n"));
        assert_eq!(cancelled("\n\n", "\n"), both("\n", ""));
    }
}
