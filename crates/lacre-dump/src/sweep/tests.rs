//! Every form, everywhere, whatever the cuts.

use proptest::prelude::*;

use super::*;
use crate::copy::write_row;

fn needles(value: &str, forms: &[Form]) -> Needles {
    Needles::new(&[(Identifier::new("email"), Personal::new(value))], forms)
}

fn sweep(needles: &Needles, text: &[u8], step: usize) -> Traces {
    let mut sweeper = needles.rows();
    text.chunks(step).for_each(|piece| sweeper.push(piece));
    sweeper.finish()
}

fn encode(bytes: &[u8], last_two: [u8; 2]) -> Vec<u8> {
    let mut alphabet: Vec<u8> = (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').collect();
    alphabet.extend_from_slice(&last_two);
    let mut text = Vec::new();
    for group in bytes.chunks(3) {
        let word = group.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for at in 0..=group.len() {
            text.push(alphabet[(word >> (18 - 6 * at) & 63) as usize]);
        }
    }
    text
}

fn escaped(value: &[u8]) -> Vec<u8> {
    let mut row = Vec::new();
    write_row([Some(value)], &mut row);
    row.pop();
    row
}

#[test]
fn every_form_is_found_in_its_field() {
    let value = "Zé\"a\\b@X.example";
    let json_letters = r#"Zé\"a\\b@X.example"#;
    let json_units = r#"Z\u00E9\"a\\b@X.example"#;
    let hex: String = value.bytes().map(|byte| format!("{byte:02X}")).collect();
    for (form, text) in [
        (Form::Raw, value.as_bytes().to_vec()),
        (Form::Copy, escaped(value.as_bytes())),
        (Form::Json, json_letters.as_bytes().to_vec()),
        (Form::Json, escaped(json_letters.as_bytes())),
        (Form::Json, escaped(json_units.to_lowercase().replace("x.", "X.").replace("z\\", "Z\\").as_bytes())),
        (Form::Lower, escaped(value.to_lowercase().as_bytes())),
        (Form::Hex, hex.into_bytes()),
        (Form::Base64, encode(format!("{value}...").as_bytes(), *b"+/")),
        (Form::Base64, encode(format!("x{value}").as_bytes(), *b"+/")),
        (Form::Base64, encode(format!("xy{value}.").as_bytes(), *b"-_")),
    ] {
        let row = [b"1\t2\tbefore ", &text[..], b" after\n3\n"].concat();
        for step in [1, 2, 5, 7, 1000] {
            let found = sweep(&needles(value, &[form]), &row, step);
            let expected = BTreeMap::from([((Identifier::new("email"), form, Some(2)), 1)]);
            assert_eq!(found.counts, expected, "{form:?} in pieces of {step}: {}", String::from_utf8_lossy(&row));
            assert_eq!(sweep(&needles(value, &Form::ALL), &row, step).total(), 1, "{form:?}");
        }
    }
}

#[test]
fn other_forms_are_not() {
    let all = needles("ana@x.example", &[Form::Raw, Form::Base64]);
    assert!(sweep(&all, b"Ana@x.example\tana@x.exampl\n", 4).is_empty());
    let digits = needles("123.456.789-10", &[Form::Raw]);
    assert_eq!(sweep(&digits, b"x12345678910x\t123.456.789-10\n", 3).total(), 2);
    assert_eq!(sweep(&digits, b"1234567891\n", 3).total(), 0);
}

#[test]
fn what_is_too_short_is_told_and_nothing_shows() {
    let list = [("id", "42"), ("name", "Ana Maria"), ("note", "")];
    let list = list.map(|(name, value)| (Identifier::new(name), Personal::new(value)));
    let needles = Needles::new(&list, &Form::ALL);
    assert_eq!(needles.unsearched(), [(Identifier::new("id"), Unsearched::TooShort)]);
    assert!(!format!("{needles:?}").contains("Ana"));
    let nothing = Needles::new(&[], &Form::ALL);
    assert!(sweep(&nothing, b"anything\n", 3).is_empty());
}

#[test]
fn the_first_row_may_begin_anywhere() {
    let needles = needles("needle-1", &[Form::Raw]);
    let mut text = vec![b'\n'; 3];
    text.extend_from_slice(b"a\tb\tc needle-1\tneedle-1needle-1\n");
    let expected = BTreeMap::from([
        ((Identifier::new("email"), Form::Raw, Some(2)), 1),
        ((Identifier::new("email"), Form::Raw, Some(3)), 2),
    ]);
    for step in 1..40 {
        assert_eq!(sweep(&needles, &text, step).counts, expected, "pieces of {step}");
    }
    let mut bytes = needles.bytes();
    bytes.push(&text);
    assert_eq!(bytes.finish().counts, BTreeMap::from([((Identifier::new("email"), Form::Raw, None), 3)]));
}

proptest! {
    #[test]
    fn a_value_is_found_in_any_text_however_it_is_cut(
        value in "[a-zA-Zéã\"\\\\@. ]{6,30}",
        before in "[^a-zA-Z]{0,40}",
        after in "[^a-zA-Z]{0,40}",
        step in 1usize..50,
        offset in 0usize..3,
    ) {
        let needles = needles(&value, &Form::ALL);
        let lower = value.to_lowercase();
        let quoted = format!("{value:?}");
        let json = if value.is_ascii() { quoted[1..quoted.len() - 1].to_owned() } else { value.clone() };
        let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
        let shifted = [&vec![b'~'; offset][..], value.as_bytes()].concat();
        for form in [value.as_bytes(), lower.as_bytes(), json.as_bytes(), hex.as_bytes(), &encode(&shifted, *b"+/")] {
            let row = escaped(&[before.as_bytes(), form, after.as_bytes()].concat());
            prop_assert!(!sweep(&needles, &row, step).is_empty(), "{}", String::from_utf8_lossy(&row));
        }
    }

    #[test]
    fn cuts_do_not_change_what_is_found(text in "[ab\t\n]{0,200}", step in 1usize..20) {
        let needles = needles("ababa", &[Form::Raw]);
        let whole = sweep(&needles, text.as_bytes(), text.len().max(1));
        let cut = sweep(&needles, text.as_bytes(), step);
        // Occurrences that overlap may be counted once or twice; none is missed and none invented.
        prop_assert_eq!(whole.is_empty(), cut.is_empty());
    }
}
