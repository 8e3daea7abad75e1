//! The forms in which an identifier may stand in a dump.
//!
//! Comes in: one identifier. Goes out: byte strings to search for. Must not know: streams.

use crate::copy::escape;
use crate::rules::Form;

/// Which letters match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    /// The very same.
    Exact,
    /// ASCII letters of either case.
    Either,
}

/// A byte string to search for.
pub(super) struct Needle {
    pub(super) bytes: Vec<u8>,
    pub(super) form: Form,
    pub(super) case: Case,
}

impl Needle {
    /// Whether what one finds, the other finds.
    pub(super) fn is_same(&self, other: &Needle) -> bool {
        match self.case {
            Case::Either => self.bytes.eq_ignore_ascii_case(&other.bytes),
            Case::Exact => other.case == Case::Exact && self.bytes == other.bytes,
        }
    }
}

/// An identifier of digits and punctuation with at least so many digits is also searched for without the punctuation.
const BARE_DIGITS_MIN: usize = 8;

/// What to search for.
pub(super) fn of(value: &[u8], wanted: &[Form]) -> Vec<Needle> {
    let mut needles: Vec<Needle> = Vec::new();
    let mut add = |bytes: Vec<u8>, form: Form, case: Case| {
        let needle = Needle { bytes, form, case };
        if needle.bytes.len() > 1 && !needles.iter().any(|known| known.is_same(&needle)) {
            needles.push(needle);
        }
    };
    // Lower case is searched for in either case, which finds the identifier as it is, too; the form named is the first that fits.
    let folds = if wanted.contains(&Form::Lower) { Case::Either } else { Case::Exact };
    let lower = String::from_utf8_lossy(value).to_lowercase().into_bytes();
    for form in wanted {
        match form {
            Form::Raw => {
                add(value.to_vec(), Form::Raw, folds);
                bare_digits(value).into_iter().for_each(|digits| add(digits, Form::Raw, folds));
            }
            Form::Copy => add(copied(value), Form::Copy, folds),
            Form::Json => {
                for json in [json(value, Letters::AsTheyAre), json(value, Letters::Escaped)] {
                    add(copied(&json), Form::Json, folds);
                    add(json, Form::Json, folds);
                }
            }
            Form::Lower => {
                add(copied(&lower), Form::Lower, Case::Either);
                add(lower.clone(), Form::Lower, Case::Either);
            }
            Form::Hex => {
                let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
                add(hex.into_bytes(), Form::Hex, Case::Either);
            }
            Form::Base64 => {
                for offset in 0..3 {
                    for alphabet in [b"+/", b"-_"] {
                        add(base64(value, offset, *alphabet), Form::Base64, Case::Exact);
                    }
                }
            }
        }
    }
    needles
}

fn copied(value: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::new();
    escape(value, &mut escaped);
    escaped
}

/// The digits of an identifier that holds nothing but digits and punctuation.
fn bare_digits(value: &[u8]) -> Option<Vec<u8>> {
    let digits: Vec<u8> = value.iter().copied().filter(u8::is_ascii_digit).collect();
    let is_number = value.iter().all(|byte| byte.is_ascii_digit() || b" .-/()+".contains(byte));
    (is_number && digits.len() < value.len() && digits.len() >= BARE_DIGITS_MIN).then_some(digits)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Letters {
    AsTheyAre,
    Escaped,
}

/// The content of a JSON string.
fn json(value: &[u8], letters: Letters) -> Vec<u8> {
    let mut text = Vec::new();
    for letter in String::from_utf8_lossy(value).chars() {
        match letter {
            '"' => text.extend_from_slice(b"\\\""),
            '\\' => text.extend_from_slice(b"\\\\"),
            '\n' => text.extend_from_slice(b"\\n"),
            '\r' => text.extend_from_slice(b"\\r"),
            '\t' => text.extend_from_slice(b"\\t"),
            '\u{8}' => text.extend_from_slice(b"\\b"),
            '\u{c}' => text.extend_from_slice(b"\\f"),
            control if control < ' ' => text.extend_from_slice(format!("\\u{:04x}", u32::from(control)).as_bytes()),
            letter if letter.is_ascii() || letters == Letters::AsTheyAre => {
                text.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            }
            letter => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    text.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
                }
            }
        }
    }
    text
}

/// The part of a base64 text that is the same whatever stands around `value`, if `offset` bytes stand before it in its group of three.
fn base64(value: &[u8], offset: usize, last_two: [u8; 2]) -> Vec<u8> {
    let mut alphabet: Vec<u8> = (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').collect();
    alphabet.extend_from_slice(&last_two);
    let bytes: Vec<u8> = std::iter::repeat_n(0, offset).chain(value.iter().copied()).collect();
    let bit = |at: usize| bytes.get(at / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1);
    let letter = |at: usize| (0..6).fold(0, |six, step| six << 1 | usize::from(bit(at * 6 + step)));
    ((offset * 8).div_ceil(6)..bytes.len() * 8 / 6).filter_map(|at| alphabet.get(letter(at)).copied()).collect()
}
