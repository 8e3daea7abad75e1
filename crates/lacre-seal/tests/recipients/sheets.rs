//! Printed sheets: what is printed can be typed or scanned back, and a mistake is found where it was made.

use lacre_format::ids::RepositoryId;
use lacre_seal::identity::Identity;
use lacre_seal::kit::{IdentitySheet, Kit, KitChecksum, KitError, KitLine, SealKit};
use lacre_seal::outer::SealSeed;
use lacre_seal::words::WORDS;
use proptest::prelude::*;

fn seal_kit() -> Kit {
    Kit::Seal(SealKit {
        repository: RepositoryId::new(*b"repository id 16"),
        generation_number: 3,
        number: 2,
        seed: SealSeed::generate().unwrap(),
    })
}

fn sheets() -> Vec<Kit> {
    let keys = [Identity::generate_x25519().unwrap(), Identity::generate_pq().unwrap()];
    let identities = keys.into_iter().map(|(secret, _)| Kit::Identity(IdentitySheet { secret }));
    identities.chain([seal_kit()]).collect()
}

/// Whether two sheets say the same.
fn same(a: &Kit, b: &Kit) -> bool {
    match (a, b) {
        (Kit::Seal(a), Kit::Seal(b)) => {
            a.repository == b.repository
                && a.generation() == b.generation()
                && a.number == b.number
                && a.seed.to_cell_bytes() == b.seed.to_cell_bytes()
        }
        (Kit::Identity(a), Kit::Identity(b)) => a.secret.expose() == b.secret.expose(),
        _ => false,
    }
}

/// The error of a sheet that must not be readable.
fn refused(text: &str) -> KitError {
    Kit::parse(text).err().expect("the sheet must be refused")
}

/// The rows of a text that a person has to type.
fn typed_rows(text: &str) -> Vec<String> {
    text.lines().filter(|row| !row.is_empty() && !row.starts_with('#')).map(str::to_owned).collect()
}

/// The line that a row is.
fn line_of(row: &str) -> KitLine {
    match row.split_whitespace().next().unwrap() {
        "repository" => KitLine::Repository,
        "generation" => KitLine::Generation,
        "kit" => KitLine::Kit,
        "key" => KitLine::Key,
        "check" => KitLine::Check,
        number => KitLine::Words(number.parse().unwrap()),
    }
}

#[test]
fn sheets_come_back_from_both_forms() {
    for sheet in sheets() {
        let text = sheet.encode_text();
        assert!(same(&Kit::parse(&text).unwrap(), &sheet));
        assert!(text.lines().all(|row| row.chars().count() <= 110), "a row fits on a page");
        let scanned = sheet.encode_qr();
        assert!(same(&Kit::parse(&scanned).unwrap(), &sheet));
        let alphanumeric = |c: char| c.is_ascii_digit() || c.is_ascii_uppercase() || "$%*+-./: ".contains(c);
        assert!(scanned.chars().all(alphanumeric), "the QR form fits the alphanumeric mode");
        assert!(scanned.len() <= 130);
    }
}

#[test]
fn case_space_order_and_repetition_do_not_matter() {
    for sheet in sheets() {
        let text = sheet.encode_text();
        let mut rows = typed_rows(&text);
        rows.reverse();
        rows.push(rows[0].clone());
        let shouted = rows.join("\r\n\r\n   ").to_uppercase().replace(' ', "   ");
        assert!(same(&Kit::parse(&shouted).unwrap(), &sheet));
        let dotted: String = rows.iter().map(|row| row.replacen(' ', ". ", 1) + "\n").collect();
        assert!(same(&Kit::parse(&dotted).unwrap(), &sheet));
        let scanned = sheet.encode_qr().to_lowercase();
        let (head, tail) = scanned.split_at(40);
        assert!(same(&Kit::parse(&format!("# scanned\n{head}\n  {tail}\n")).unwrap(), &sheet));
    }
}

#[test]
fn four_letters_of_a_word_are_enough() {
    for sheet in sheets() {
        let short: String = typed_rows(&sheet.encode_text())
            .iter()
            .map(|row| {
                let words: Vec<&str> = row.split_whitespace().collect();
                let cut = words[1..].iter().map(|word| if WORDS.contains(word) { &word[..4] } else { word });
                format!("{} {}\n", words[0], cut.collect::<Vec<_>>().join(" "))
            })
            .collect();
        assert!(same(&Kit::parse(&short).unwrap(), &sheet));
    }
}

/// Every single wrong word, in every line and place, is found in its line.
#[test]
fn a_wrong_word_is_found_in_its_line() {
    let sheet = seal_kit();
    let rows = typed_rows(&sheet.encode_text());
    for (index, row) in rows.iter().enumerate() {
        let words: Vec<&str> = row.split_whitespace().collect();
        for (position, word) in words.iter().enumerate().skip(1).filter(|(_, word)| WORDS.contains(word)) {
            for other in WORDS.iter().filter(|other| *other != word).step_by(17) {
                let mut wrong = words.clone();
                wrong[position] = other;
                let mut all = rows.clone();
                all[index] = wrong.join(" ");
                let expected = match line_of(row) {
                    KitLine::Check => KitError::TotalChecksum,
                    line => KitError::LineChecksum { line },
                };
                assert_eq!(refused(&all.join("\n")), expected, "row {row} with {other} at {position}");
            }
        }
    }
}

#[test]
fn exchanged_words_and_lines_are_found() {
    let sheet = seal_kit();
    let rows = typed_rows(&sheet.encode_text());
    for (index, row) in rows.iter().enumerate().filter(|(_, row)| matches!(line_of(row), KitLine::Words(_))) {
        let words: Vec<&str> = row.split_whitespace().collect();
        for a in 1..words.len() {
            for b in a + 1..words.len() {
                if words[a] == words[b] {
                    continue;
                }
                let mut wrong = words.clone();
                wrong.swap(a, b);
                let mut all = rows.clone();
                all[index] = wrong.join(" ");
                assert_eq!(refused(&all.join("\n")), KitError::LineChecksum { line: line_of(row) });
            }
        }
    }
    // The words of line 1 under the number 2 and the reverse.
    let swapped = rows.join("\n").replace("\n1 ", "\nX ").replace("\n2 ", "\n1 ").replace("\nX ", "\n2 ");
    assert_eq!(refused(&swapped), KitError::LineChecksum { line: KitLine::Words(2) });
}

#[test]
fn a_wrong_field_is_found_in_its_line() {
    let rows = typed_rows(&seal_kit().encode_text());
    let with = |from: &str, to: &str| rows.join("\n").replacen(from, to, 1);
    let checksum = |line| KitError::LineChecksum { line };
    assert_eq!(refused(&with("7265 706f", "7265 706e")), checksum(KitLine::Repository));
    assert_eq!(refused(&with("7265 706f", "7265 70")), KitError::Field { line: KitLine::Repository });
    assert_eq!(refused(&with("7265 706f", "7265 70zz")), KitError::Field { line: KitLine::Repository });
    assert_eq!(refused(&with("generation  3", "generation  4")), checksum(KitLine::Generation));
    assert_eq!(refused(&with("generation  3", "generation  x")), KitError::Field { line: KitLine::Generation });
    assert_eq!(refused(&with("kit         2", "kit         3")), checksum(KitLine::Kit));
    assert_eq!(refused(&with("kit         2", "kit         2 3")), KitError::Field { line: KitLine::Kit });
}

#[test]
fn missing_doubled_foreign_and_unknown_lines_are_named() {
    let kit = seal_kit();
    let rows = typed_rows(&kit.encode_text());
    for (index, row) in rows.iter().enumerate() {
        let mut fewer = rows.clone();
        fewer.remove(index);
        assert_eq!(refused(&fewer.join("\n")), KitError::Missing { line: line_of(row) });
    }
    let other = typed_rows(&seal_kit().encode_text());
    for (row, foreign) in rows.iter().zip(&other).filter(|(row, foreign)| row != foreign) {
        let both = format!("{}\n{foreign}", rows.join("\n"));
        assert_eq!(refused(&both), KitError::Twice { line: line_of(row) });
    }
    let identity = typed_rows(&sheets()[0].encode_text());
    let mixed = format!("{}\n{}", identity[0], rows.join("\n"));
    assert_eq!(refused(&mixed), KitError::Foreign { line: KitLine::Repository });
    assert_eq!(refused(&format!("{}\nhello", rows.join("\n"))), KitError::UnknownLine { row: rows.len() + 1 });
    assert_eq!(refused("5 acorn"), KitError::UnknownLine { row: 1 });
    assert_eq!(refused("0 acorn"), KitError::UnknownLine { row: 1 });
    assert_eq!(refused("\n# nothing\n"), KitError::Empty);
    assert_eq!(refused(&"a".repeat(70_000)), KitError::TooLong { length: 70_000 });
    let line = KitLine::Words(1);
    assert_eq!(refused("1 acorn actor"), KitError::WordCount { line, expected: 9, actual: 2 });
    let nonsense = "1 acorn actor agent mistyped album alley almond amber anchor";
    let error = refused(nonsense);
    assert_eq!(error, KitError::UnknownWord { line, position: 4 });
    assert!(!error.to_string().contains("mistyped"), "what was typed may be a secret");
}

/// Lines of two sheets that are right by themselves do not pass together.
#[test]
fn lines_of_different_sheets_do_not_pass_together() {
    let a = typed_rows(&seal_kit().encode_text());
    let b = typed_rows(&seal_kit().encode_text());
    let words = |row: &&String| matches!(line_of(row), KitLine::Words(1));
    let (from, to) = (a.iter().find(words).unwrap(), b.iter().find(words).unwrap());
    assert_eq!(refused(&a.join("\n").replace(from, to)), KitError::OtherGeneration);

    let keys = [Identity::generate_pq().unwrap(), Identity::generate_pq().unwrap()];
    let [a, b] = keys.map(|(secret, _)| typed_rows(&Kit::Identity(IdentitySheet { secret }).encode_text()));
    let (from, to) = (a.iter().find(words).unwrap(), b.iter().find(words).unwrap());
    assert_eq!(refused(&a.join("\n").replace(from, to)), KitError::TotalChecksum);
}

#[test]
fn a_damaged_scan_is_refused() {
    let scanned = seal_kit().encode_qr();
    for at in "LACRE-KIT-1:".len()..scanned.len() {
        let mut bytes = scanned.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(refused(&text), KitError::Scan, "character {at}");
    }
    assert_eq!(refused(&scanned[..scanned.len() - 1]), KitError::Scan);
    assert_eq!(refused(&format!("{}A", &*scanned)), KitError::Scan);
    assert_eq!(refused(&scanned.replace("-1:", "-2:")), KitError::ScanVersion);
    let identity = sheets()[1].encode_qr();
    assert_eq!(refused(&identity[..identity.len() - 1]), KitError::Scan);
}

#[test]
fn the_checksum_is_what_a_person_types_back() {
    for sheet in sheets() {
        let words = sheet.checksum().to_string();
        assert!(sheet.encode_text().ends_with(&format!("{words}\n")));
        assert_eq!(KitChecksum::parse(&words).unwrap(), sheet.checksum());
        let sloppy = words.to_uppercase().replace(' ', ",  ");
        assert_eq!(KitChecksum::parse(&sloppy).unwrap(), sheet.checksum());
        assert_eq!(KitChecksum::from_bytes(sheet.checksum().to_bytes()), sheet.checksum());
        assert_ne!(seal_kit().checksum(), sheet.checksum());
    }
    let line = KitLine::Check;
    let count = KitChecksum::parse("acorn actor").unwrap_err();
    assert_eq!(count, KitError::WordCount { line, expected: 4, actual: 2 });
    let word = KitChecksum::parse("acorn actor agent mistyped").unwrap_err();
    assert_eq!(word, KitError::UnknownWord { line, position: 4 });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_is_refused_without_a_panic(text in "(?s).{0,300}") {
        prop_assert!(Kit::parse(&text).is_err());
    }

    #[test]
    fn any_words_are_refused_without_a_panic(
        rows in prop::collection::vec(
            ("(repository|generation|kit|key|check|[0-9]{1,3}|LACRE-KIT-1:|AGE-SECRET-KEY-1)",
             prop::collection::vec("(acorn|amber|zodi|[0-9a-f]{4}|[0-9]{1,12}|classic|post-quantum|é)", 0..20)),
            0..12),
    ) {
        let text: String = rows.iter().map(|(name, words)| format!("{name} {}\n", words.join(" "))).collect();
        prop_assert!(Kit::parse(&text).is_err());
    }
}
