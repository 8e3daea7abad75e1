//! Every class of malformed archive gives its own error, and nothing makes the reader panic.

use lacre_dump::archive::{Error, Kind, Sniff, Toc, Unsupported, sniff};

use crate::build::{Archive, BLOBS, EntrySpec, TABLE};
use crate::parts::{Trickle, check_round_trip, take_apart};

fn error(archive: &Archive) -> Error {
    take_apart(archive.bytes.as_slice()).unwrap_err()
}

#[test]
fn small_archives_of_all_versions_are_read() {
    for minor in 12..=16 {
        let archive = Archive::small(minor);
        assert!(matches!(sniff(&archive.bytes), Sniff::Supported { version } if version.minor == minor));
        let parts = check_round_trip(&archive.bytes);
        let header = parts.toc.header();
        assert_eq!((header.version.minor, header.database, header.dump_version), (minor, &b"db"[..], &b"15.1"[..]));
        assert_eq!((header.created.year, header.created.month, header.created.day), (2026, 12, 31));
        let entry = parts.toc.entry(10).unwrap();
        assert_eq!((entry.tag(), entry.owner(), entry.dependencies()), (&b"t"[..], &b"owner"[..], &[5, 7][..]));
        assert_eq!(entry.table_am().is_some(), minor >= 14);
        assert_eq!(entry.relkind(), (minor >= 16).then_some(b'r'));
        assert_eq!(parts.content[&10], b"one\n\\N\n\\.\n\n\n");
        assert_eq!(parts.content[&20], b"large\nobject");
        assert_eq!(parts.sets[1].objects, 2);
        assert_eq!(parts.sets[1].kind, Kind::LargeObjects);
        // Two rows and the end marker; two blocks in an object, the first of which ends with its line, and an empty object.
        let second = [4, 0xfe, 0xff, 0xff, 0xff, 0x0f];
        let expected = [&[1, 1, 10, 5, 2, 6, 5, 2, 3, 20, 4, 7, 5, 1, 6, 6][..], &second, &[2, 0]].concat();
        assert_eq!(parts.framing, expected);
    }
}

#[test]
fn an_archive_cut_at_any_byte_is_an_error() {
    let archive = Archive::small(14).bytes;
    for end in 0..archive.len() {
        for step in [1, 7, usize::MAX] {
            let result = take_apart(Trickle { rest: &archive[..end], step });
            let told = result.expect_err("a cut archive is not whole");
            // At the border of a data set the archive looks ended, but data is missing.
            let expected = matches!(told, Error::Truncated { at, .. } if at == end as u64)
                || matches!(told, Error::MissingData { .. });
            assert!(expected, "cut at {end}: {told:?}");
        }
    }
    assert!(take_apart(Trickle { rest: &archive, step: 1 }).is_ok());
}

#[test]
fn no_changed_byte_makes_the_reader_panic_or_lie() {
    let archive = Archive::small(16).bytes;
    let mut read = 0;
    for at in 0..archive.len() {
        for flip in [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff] {
            let mut changed = archive.clone();
            changed[at] ^= flip;
            if take_apart(changed.as_slice()).is_ok() {
                // Names and content carry no check of their own; the archive must still come back as it was read.
                check_round_trip(&changed);
                read += 1;
            }
        }
    }
    assert!(read > 0);
}

#[test]
fn what_is_missing_or_too_much_is_named() {
    let mut archive = Archive::new(14, 2);
    archive.entry(TABLE).entry(EntrySpec { dump_id: 11, tag: "lost", ..TABLE }).table(10, &[]);
    match error(&archive) {
        Error::MissingData { count, dump_ids, names } => {
            assert_eq!((count, dump_ids, names), (1, vec![11], "lost".into()));
        }
        other => panic!("{other:?}"),
    }
    archive.table(10, &[]);
    assert!(matches!(error(&archive), Error::DuplicateData { dump_id: 10, .. }));

    let mut archive = Archive::new(14, 1);
    archive.entry(TABLE).table(10, &[]).table(12, &[]);
    assert!(matches!(error(&archive), Error::UnannouncedData { dump_id: 12, .. }));

    let mut archive = Archive::new(14, 1);
    archive.entry(EntrySpec { has_data: 0, ..TABLE }).table(10, &[]);
    assert!(matches!(error(&archive), Error::UnannouncedData { dump_id: 10, .. }));

    let mut archive = Archive::new(14, 1);
    archive.entry(TABLE).table(10, &[]).bytes.push(9);
    assert!(matches!(error(&archive), Error::UnknownBlockType { tag: 9, .. }));
    archive.bytes.pop();
    archive.bytes.push(1);
    assert!(matches!(error(&archive), Error::Truncated { .. }));
}

#[test]
fn a_table_of_contents_appended_by_a_redirected_dump_must_be_whole() {
    let mut archive = Archive::new(16, 1);
    archive.entry(TABLE).table(10, &[b"row\n"]);
    let end = archive.bytes.len();
    archive.int(1).entry(EntrySpec { offset_state: 2, ..TABLE });
    let whole = archive.bytes.clone();
    for cut in end + 5..whole.len() {
        archive.bytes.truncate(cut);
        assert!(
            matches!(error(&archive), Error::Truncated { inside: "the table of contents at its end", .. }),
            "{cut}"
        );
        archive.bytes = whole.clone();
    }
    archive.bytes.push(0);
    assert!(matches!(error(&archive), Error::Garbage { .. }), "something follows it");
}

#[test]
fn malformed_data_is_refused() {
    let start = |spec: EntrySpec<'_>| {
        let mut archive = Archive::new(15, 1);
        archive.entry(spec);
        archive
    };
    let mut archive = start(TABLE);
    archive.begin(3, 10).int(0);
    assert!(matches!(error(&archive), Error::Garbage { .. }), "the kind must be the announced one");

    let mut archive = start(BLOBS);
    archive.begin(1, 20).int(0);
    assert!(matches!(error(&archive), Error::Garbage { .. }));

    let mut archive = start(TABLE);
    archive.begin(1, 10).int(-5);
    assert!(matches!(error(&archive), Error::Garbage { .. }), "a negative length");

    let mut archive = start(TABLE);
    archive.begin(1, 10).bytes.extend_from_slice(&[0, 0, 0, 0, 0x80]);
    assert!(matches!(error(&archive), Error::Garbage { .. }), "a length beyond an int");

    let mut archive = start(TABLE);
    archive.begin(1, 10).int(i32::MAX).bytes.extend_from_slice(b"short");
    assert!(matches!(error(&archive), Error::Truncated { inside: "a block", .. }));

    let mut archive = start(BLOBS);
    archive.begin(3, 20).int(5).int(-1);
    assert!(matches!(error(&archive), Error::Garbage { .. }), "a negative length in an object");
}

#[test]
fn malformed_tables_of_contents_are_refused() {
    let of = |spec: EntrySpec<'_>| {
        let mut archive = Archive::new(14, 1);
        archive.entry(spec);
        error(&archive)
    };
    assert!(matches!(of(EntrySpec { dump_id: 0, ..TABLE }), Error::Garbage { .. }));
    assert!(matches!(of(EntrySpec { has_data: 2, ..TABLE }), Error::Garbage { .. }));
    assert!(matches!(of(EntrySpec { section: 9, ..TABLE }), Error::Garbage { .. }));
    assert!(matches!(of(EntrySpec { dependencies: &["x"], ..TABLE }), Error::Garbage { .. }));
    assert!(matches!(of(EntrySpec { dependencies: &["99999999999"], ..TABLE }), Error::Garbage { .. }));
    assert!(matches!(of(EntrySpec { offset_state: 4, ..TABLE }), Error::Garbage { .. }));

    let mut archive = Archive::new(14, 2);
    archive.entry(TABLE).entry(TABLE);
    assert!(matches!(error(&archive), Error::Garbage { .. }), "dump ids of data are unique");

    assert!(matches!(error(&Archive::new(14, -1)), Error::Garbage { .. }));
    assert!(matches!(error(&Archive::new(14, 3_000_000)), Error::TooLarge { .. }));
    assert!(matches!(error(&Archive::new(14, 2_000_000)), Error::Truncated { .. }));

    // A length that lies costs neither memory nor a panic.
    let mut archive = Archive::new(14, 1);
    archive.int(1).int(0).int(300 << 20);
    assert!(matches!(error(&archive), Error::TooLarge { .. }));
    let mut archive = Archive::new(14, 1);
    archive.int(1).int(0).int(200 << 20);
    assert!(matches!(error(&archive), Error::Truncated { .. }));

    let mut raw = take_apart(Archive::small(14).bytes.as_slice()).unwrap().toc.raw().to_vec();
    raw.push(0);
    assert!(matches!(Toc::parse(&raw), Err(Error::Garbage { .. })));
    raw.truncate(raw.len() - 2);
    assert!(matches!(Toc::parse(&raw), Err(Error::Truncated { .. })));
}

#[test]
fn recorded_places_of_data_are_kept() {
    let mut archive = Archive::new(14, 1);
    archive.entry(EntrySpec { offset_state: 2, ..TABLE }).table(10, &[b"row\n"]);
    check_round_trip(&archive.bytes);
}

#[test]
fn unsupported_archives_are_told_before_anything_is_read() {
    let good = Archive::small(14).bytes;
    let change = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        let sniffed = sniff(&bytes);
        let read = take_apart(bytes.as_slice()).unwrap_err();
        match (&sniffed, read) {
            (Sniff::Unsupported(told), Error::Unsupported(read)) => assert_eq!(*told, read),
            (Sniff::NotAnArchive, Error::NotAnArchive) => {}
            other => panic!("{other:?}"),
        }
        sniffed
    };
    assert!(matches!(change(5, 2), Sniff::Unsupported(Unsupported::Version(_))));
    assert!(
        matches!(change(6, 17), Sniff::Unsupported(Unsupported::Version(version)) if version.to_string() == "1.17-0")
    );
    assert!(matches!(change(6, 11), Sniff::Unsupported(Unsupported::Version(_))));
    assert!(matches!(change(8, 8), Sniff::Unsupported(Unsupported::Widths { int_bytes: 8, .. })));
    assert!(matches!(change(9, 16), Sniff::Unsupported(Unsupported::Widths { .. })));
    assert!(matches!(change(10, 3), Sniff::Unsupported(Unsupported::Format(3))));
    assert!(matches!(change(12, 6), Sniff::Unsupported(Unsupported::Compressed(6))));
    assert_eq!(change(0, b'X'), Sniff::NotAnArchive);
    assert_eq!(sniff(b""), Sniff::NotAnArchive);
    assert_eq!(sniff(&good[..15]), Sniff::NotAnArchive);
    assert!(matches!(sniff(&good[..16]), Sniff::Supported { .. }));
}
