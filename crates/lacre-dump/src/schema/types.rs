//! When two values of a type are the same, and how that is seen from their bytes.

use std::borrow::Cow;

use crate::copy::Identifier;

/// A type as a column definition names it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TypeName {
    /// The schema, if the type is not one of PostgreSQL's own.
    pub schema: Option<Identifier>,
    /// The name in lower case with single spaces: `bigint`, `timestamp with time zone`.
    pub name: Vec<u8>,
    /// Whether the column holds arrays of it.
    pub array: bool,
}

/// The form in which values are compared: two values are the same if their canonical bytes are.
///
/// The output settings of a dump are pinned, so most types have one spelling per value; the others are listed here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Canon {
    /// Every byte counts.
    Exact,
    /// Letters of both cases are the same (`citext`), by Unicode's lower case mapping.
    FoldCase,
    /// Numbers without leading or trailing zeros.
    Number,
    /// Thirty-two hexadecimal digits in lower case.
    Uuid,
    /// Spaces at the end do not count (`character(n)`).
    Padded,
}

/// What text may be put into a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Any text.
    Text,
    /// JSON, in a form of PostgreSQL's own.
    Jsonb,
    /// JSON as it was typed.
    Json,
    /// Something else.
    Other,
}

impl TypeName {
    /// How values of the type are compared.
    #[must_use]
    pub fn canon(&self) -> Canon {
        if self.array {
            return Canon::Exact;
        }
        match self.name.as_slice() {
            b"citext" => Canon::FoldCase,
            b"smallint" | b"integer" | b"bigint" | b"numeric" | b"oid" => Canon::Number,
            b"uuid" => Canon::Uuid,
            b"character" => Canon::Padded,
            _ => Canon::Exact,
        }
    }

    /// What may be put into a column of the type.
    #[must_use]
    pub fn family(&self) -> Family {
        match self.name.as_slice() {
            _ if self.array => Family::Other,
            b"text" | b"character varying" | b"character" | b"citext" => Family::Text,
            b"jsonb" => Family::Jsonb,
            b"json" => Family::Json,
            _ => Family::Other,
        }
    }
}

impl Canon {
    /// The canonical bytes of a value; the value itself where it is not of the type.
    #[must_use]
    pub fn apply(self, value: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Canon::Exact => Cow::Borrowed(value),
            Canon::FoldCase => fold_case(value),
            Canon::Number => number(value).unwrap_or(Cow::Borrowed(value)),
            Canon::Uuid => uuid(value).unwrap_or(Cow::Borrowed(value)),
            Canon::Padded => Cow::Borrowed(value.trim_suffix_spaces()),
        }
    }
}

trait TrimSpaces {
    fn trim_suffix_spaces(&self) -> &Self;
}

impl TrimSpaces for [u8] {
    fn trim_suffix_spaces(&self) -> &[u8] {
        let len = self.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
        &self[..len]
    }
}

fn fold_case(value: &[u8]) -> Cow<'_, [u8]> {
    match str::from_utf8(value) {
        Ok(text) if text.chars().all(|letter| letter.to_lowercase().eq([letter])) => Cow::Borrowed(value),
        Ok(text) => Cow::Owned(text.to_lowercase().into_bytes()),
        Err(_) => Cow::Owned(value.to_ascii_lowercase()),
    }
}

/// A decimal number without a plus sign, leading zeros, or zeros at the end of its fraction.
fn number(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    if matches!(value.first(), Some(b'1'..=b'9')) && value.iter().all(u8::is_ascii_digit) {
        return Some(Cow::Borrowed(value));
    }
    let trimmed = value.trim_ascii();
    let (negative, digits) = match trimmed.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, trimmed),
    };
    let point = memchr::memchr(b'.', digits);
    let (whole, fraction) = match point {
        Some(at) => (&digits[..at], &digits[at + 1..]),
        None => (digits, &[] as &[u8]),
    };
    let all_digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let is_canonical = value.len() == digits.len() + usize::from(negative)
        && point.is_none()
        && (whole.len() == 1 || !whole.starts_with(b"0"))
        && !(negative && whole == b"0");
    if is_canonical {
        return Some(Cow::Borrowed(value));
    }
    let whole = &whole[whole.iter().take_while(|digit| **digit == b'0').count()..];
    let fraction = &fraction[..fraction.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1)];
    let mut plain = Vec::with_capacity(value.len());
    if negative && whole.len() + fraction.len() > 0 {
        plain.push(b'-');
    }
    plain.extend_from_slice(if whole.is_empty() { b"0" } else { whole });
    if !fraction.is_empty() {
        plain.push(b'.');
        plain.extend_from_slice(fraction);
    }
    Some(Cow::Owned(plain))
}

/// The form PostgreSQL writes: lower case, hyphens after 8, 12, 16 and 20 digits.
fn uuid(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    const HYPHENS: [usize; 4] = [8, 13, 18, 23];
    let is_canonical = value.len() == 36
        && value.iter().enumerate().all(|(at, byte)| match HYPHENS.contains(&at) {
            true => *byte == b'-',
            false => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        });
    if is_canonical {
        return Some(Cow::Borrowed(value));
    }
    let trimmed = value.trim_ascii();
    let bare = trimmed.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}")).unwrap_or(trimmed);
    let mut plain = Vec::with_capacity(36);
    for byte in bare.iter().filter(|byte| **byte != b'-') {
        if !byte.is_ascii_hexdigit() || plain.len() >= 36 {
            return None;
        }
        if HYPHENS.contains(&plain.len()) {
            plain.push(b'-');
        }
        plain.push(byte.to_ascii_lowercase());
    }
    (plain.len() == 36).then_some(Cow::Owned(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_one_meaning_have_one_form() {
        for (canon, value, plain) in [
            (Canon::Number, "42", "42"),
            (Canon::Number, "+042", "42"),
            (Canon::Number, "-0.0", "0"),
            (Canon::Number, "-0", "0"),
            (Canon::Number, "1.0", "1"),
            (Canon::Number, "1.50", "1.5"),
            (Canon::Number, "-.5", "-0.5"),
            (Canon::Number, "100", "100"),
            (Canon::Number, " 7 ", "7"),
            (Canon::Number, "NaN", "NaN"),
            (Canon::Number, "1e3", "1e3"),
            (Canon::Number, "", ""),
            (Canon::Number, "-", "-"),
            (Canon::FoldCase, "Ção@X", "ção@x"),
            (Canon::Padded, "ab  ", "ab"),
            (Canon::Padded, "  ", ""),
            (Canon::Exact, "Ab ", "Ab "),
            (Canon::Uuid, "{A0EEBC99-9C0B4EF8-BB6D6BB9BD380A11}", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            (Canon::Uuid, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            (Canon::Uuid, "a0ee", "a0ee"),
            (Canon::Uuid, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a111", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a111"),
        ] {
            let once = canon.apply(value.as_bytes()).into_owned();
            assert_eq!(String::from_utf8_lossy(&once), plain, "{value}");
            assert_eq!(canon.apply(&once).into_owned(), once, "{value}");
        }
    }
}
