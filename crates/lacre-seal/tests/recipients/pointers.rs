//! Pointer kits: the ways to cells as words and as a scan, and what is wrong with them where it is wrong.

use lacre_format::ids::RepositoryId;
use lacre_seal::kit::{Kit, KitChecksum, KitError, KitLine};
use lacre_seal::pointer::{PAYLOAD_BYTES_MAX, POINTER_CELLS_MAX, PointerCell, PointerKeys, PointerKit};
use proptest::prelude::*;
use zeroize::Zeroizing;

fn cell(place: &str, keys: Option<(&str, &str, Option<&str>)>) -> PointerCell {
    let text = |text: &str| Zeroizing::new(text.to_owned());
    let keys = keys.map(|(id, secret, token)| PointerKeys {
        access_key_id: text(id),
        secret_access_key: text(secret),
        session_token: token.map(text),
    });
    PointerCell { place: place.to_owned(), keys }
}

fn kit() -> PointerKit {
    PointerKit {
        repository: RepositoryId::new(*b"repository id 16"),
        number: 7,
        cells: vec![
            cell("s3://astro-seal/seal?region=eu-west-1&credentials=seal", Some(("AKIAEXAMPLE", "s3cret/+=", None))),
            cell("exec:/usr/local/bin/seal-vault", None),
            cell("b2://other/x?region=us-west-004", Some(("id", "secret", Some("a token")))),
        ],
    }
}

/// Everything a sheet says, to compare two of them.
fn said(kit: &Kit) -> String {
    let Kit::Pointer(kit) = kit else { panic!("another kind of sheet") };
    let cells: Vec<String> = kit
        .cells
        .iter()
        .map(|cell| {
            let keys = cell.keys.as_ref().map(|keys| {
                let token = keys.session_token.as_ref().map(|token| token.to_string());
                (keys.access_key_id.to_string(), keys.secret_access_key.to_string(), token)
            });
            format!("{} {keys:?}", cell.place)
        })
        .collect();
    format!("{} {} {cells:?}", kit.repository, kit.number)
}

fn refused(text: &str) -> KitError {
    Kit::parse(text).err().expect("the sheet must be refused")
}

#[test]
fn what_is_printed_is_typed_and_scanned_back() {
    let sheet = Kit::Pointer(kit());
    let text = sheet.encode_text();
    assert!(!text.contains("s3cret") && !text.contains("a token"), "secrets are words");
    assert!(text.contains("# s3://astro-seal/seal"), "places are for people too");
    for form in [text.to_string(), text.to_lowercase(), sheet.encode_qr().to_string()] {
        let read = Kit::parse(&form).unwrap();
        assert_eq!(said(&read), said(&sheet));
        assert_eq!(read.checksum(), sheet.checksum());
    }
    assert!(text.ends_with(&format!("{}\n", sheet.checksum())));
    assert_eq!(KitChecksum::parse(&sheet.checksum().to_string()).unwrap(), sheet.checksum());
    // Lines in any order, each word cut to four letters.
    let mut rows: Vec<String> =
        text.lines().filter(|row| !row.is_empty() && !row.starts_with('#')).map(str::to_owned).collect();
    rows.reverse();
    assert_eq!(said(&Kit::parse(&rows.join("\n")).unwrap()), said(&sheet));
}

#[test]
fn a_mistake_is_found_on_its_line() {
    let sheet = Kit::Pointer(kit());
    let text = sheet.encode_text();
    let rows: Vec<&str> = text.lines().filter(|row| !row.is_empty() && !row.starts_with('#')).collect();
    let numbered = rows.iter().filter(|row| row.starts_with(|first: char| first.is_ascii_digit())).count();
    assert!(numbered > 10, "{numbered} lines of words");
    for (at, row) in rows.iter().enumerate() {
        let without: Vec<&str> =
            rows.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, row)| *row).collect();
        let line = match row.split_whitespace().next().unwrap() {
            "repository" => KitLine::Repository,
            "kit" => KitLine::Kit,
            "check" => KitLine::Check,
            // Without it the sheet has too many lines for one of another kind.
            "cells" => {
                assert!(matches!(refused(&without.join("\n")), KitError::UnknownLine { .. }));
                continue;
            }
            number => KitLine::Words(number.parse().unwrap()),
        };
        assert_eq!(refused(&without.join("\n")), KitError::Missing { line }, "{row}");
    }
    // A word exchanged for another one is noticed by its line.
    let (at, row) = rows.iter().enumerate().find(|(_, row)| row.starts_with("12")).unwrap();
    let mut words: Vec<&str> = row.split_whitespace().collect();
    words[3] = if words[3] == "zodiac" { "acorn" } else { "zodiac" };
    let changed = words.join(" ");
    let mut wrong = rows.clone();
    wrong[at] = &changed;
    assert_eq!(refused(&wrong.join("\n")), KitError::LineChecksum { line: KitLine::Words(12) });
    // Lines of two sheets do not belong together.
    let other = Kit::Pointer(PointerKit { number: 8, ..kit() }).encode_text();
    let number = other.lines().find(|row| row.starts_with("kit")).unwrap();
    let mut mixed = rows.clone();
    let place = mixed.iter().position(|row| row.starts_with("kit")).unwrap();
    mixed[place] = number;
    assert_eq!(refused(&mixed.join("\n")), KitError::TotalChecksum);
}

#[test]
fn a_damaged_scan_is_refused() {
    let scanned = Kit::Pointer(kit()).encode_qr();
    let start = "LACRE-PTR-1:".len();
    for at in start..scanned.len() {
        let mut bytes = scanned.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        assert_eq!(refused(&String::from_utf8(bytes).unwrap()), KitError::Scan, "character {at}");
    }
    for cut in [start, start + 8, scanned.len() - 1] {
        assert_eq!(refused(&scanned[..cut]), KitError::Scan, "{cut}");
    }
    assert_eq!(refused(&scanned.replace("-1:", "-2:")), KitError::ScanVersion);
    assert_eq!(refused(&format!("LACRE-PTR-1:{}", "A".repeat(5_000))), KitError::Scan);
}

#[test]
fn a_sheet_has_room_for_so_much() {
    assert!(kit().fits());
    let many = |count| (0..count).map(|_| cell("s3://b/p", None)).collect();
    assert!(PointerKit { cells: many(POINTER_CELLS_MAX), ..kit() }.fits());
    assert!(!PointerKit { cells: many(POINTER_CELLS_MAX + 1), ..kit() }.fits());
    let long = "x".repeat(PAYLOAD_BYTES_MAX - 4);
    let longest = PointerKit { cells: vec![cell(&long, None)], ..kit() };
    assert!(longest.fits());
    assert_eq!(said(&Kit::parse(&Kit::Pointer(longest).encode_text()).unwrap()).len(), said_length(&long));
    assert!(!PointerKit { cells: vec![cell(&format!("{long}x"), None)], ..kit() }.fits());
    let debug = format!("{:?}", kit());
    assert!(!debug.contains("s3cret") && debug.contains("***"), "{debug}");
}

fn said_length(place: &str) -> usize {
    said(&Kit::Pointer(PointerKit { cells: vec![cell(place, None)], ..kit() })).len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_scan_is_refused_without_a_panic(text in "LACRE-PTR-1:[A-Z2-7]{0,400}") {
        prop_assert!(Kit::parse(&text).is_err());
    }

    #[test]
    fn any_ways_come_back(
        places in prop::collection::vec("[ -~]{0,40}", 0..4),
        keys in prop::option::of(("[!-~]{1,30}", "[!-~]{1,60}", prop::option::of("[!-~]{1,40}"))),
        number in any::<u32>(),
    ) {
        let cells = places.iter().map(|place| {
            let keys = keys.as_ref().map(|(id, secret, token)| (id.as_str(), secret.as_str(), token.as_deref()));
            cell(place, keys)
        });
        let sheet = Kit::Pointer(PointerKit { number, cells: cells.collect(), ..kit() });
        prop_assert_eq!(said(&Kit::parse(&sheet.encode_qr()).unwrap()), said(&sheet));
        prop_assert_eq!(said(&Kit::parse(&sheet.encode_text()).unwrap()), said(&sheet));
    }
}
