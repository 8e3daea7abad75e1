//! Random archives, framing, rows and pieces.

use lacre_dump::archive::framing::{FramingDecoder, FramingEncoder, Op};
use lacre_dump::archive::{ArchiveReader, Error, Kind};
use lacre_dump::copy::{CopyStatement, Identifier, RowCounter, RowDigest, fields, rows, write_row};
use lacre_dump::exercise;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::build::{Archive, BLOBS, EntrySpec, TABLE};
use crate::parts::{Trickle, check_round_trip, put_together, take_apart};

/// Blocks as writers cut them, and as they do not: rows, empty rows, halves of rows, several rows, any bytes, long ones.
fn block() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => vec(any::<u8>().prop_filter("a row holds no newline", |byte| *byte != b'\n'), 0..40)
            .prop_map(|mut row| { row.push(b'\n'); row }),
        2 => Just(b"\n".to_vec()),
        2 => Just(b"\\N\t\\.\n".to_vec()),
        2 => vec(any::<u8>(), 1..60),
        1 => (any::<u8>(), 65_530usize..65_545).prop_map(|(byte, len)| vec![byte; len]),
        1 => (65_530usize..65_545).prop_map(|len| { let mut row = vec![b'r'; len]; row.push(b'\n'); row }),
    ]
}

fn archive(minor: u8, tables: &[Vec<Vec<u8>>], objects: &[(u32, Vec<Vec<u8>>)]) -> Vec<u8> {
    let count = i32::try_from(tables.len()).unwrap();
    let mut archive = Archive::new(minor, count + 1);
    for dump_id in 100..100 + count {
        archive.entry(EntrySpec { dump_id, ..TABLE });
    }
    archive.entry(BLOBS);
    for (dump_id, blocks) in (100..).zip(tables) {
        archive.begin(1, dump_id);
        for block in blocks {
            archive.block(block);
        }
        archive.int(0);
    }
    archive.begin(3, 20);
    for (oid, blocks) in objects {
        archive.int(oid.cast_signed());
        for block in blocks {
            archive.block(block);
        }
        archive.int(0);
    }
    archive.int(0);
    archive.bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_framing_comes_back(
        minor in 12u8..=16,
        tables in vec(vec(block(), 0..12), 0..4),
        objects in vec((1u32.., vec(block(), 0..5)), 0..4),
        step in prop_oneof![Just(usize::MAX), 1usize..5000],
    ) {
        let bytes = archive(minor, &tables, &objects);
        let parts = check_round_trip(&bytes);
        for (dump_id, blocks) in (100..).zip(&tables) {
            prop_assert_eq!(&parts.content[&dump_id], &blocks.concat());
        }
        let plain = objects.iter().flat_map(|(_, blocks)| blocks.concat()).collect::<Vec<_>>();
        prop_assert_eq!(&parts.content[&20], &plain);
        let trickled = take_apart(Trickle { rest: &bytes, step }).unwrap();
        prop_assert_eq!(trickled.framing, parts.framing);
        prop_assert_eq!(trickled.content, parts.content);
    }

    #[test]
    fn content_that_does_not_fit_its_framing_is_refused(
        blocks in vec(block(), 1..8),
        cut in 1usize..40,
    ) {
        let mut parts = check_round_trip(&archive(14, &[blocks], &[]));
        let content = parts.content.get_mut(&100).unwrap();
        let original = content.clone();
        content.truncate(original.len().saturating_sub(cut));
        prop_assert!(put_together(&parts).is_err());
        let longer = [original.as_slice(), b"x"].concat();
        parts.content.insert(100, longer);
        prop_assert!(put_together(&parts).is_err());
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..300), at in 0usize..400, minor in 12u8..=16) {
        prop_assert!(take_apart(bytes.as_slice()).is_err());
        let mut spliced = Archive::small(minor).bytes;
        let at = at.min(spliced.len());
        let end = (at + bytes.len()).min(spliced.len());
        spliced.splice(at..end, bytes.iter().copied());
        exercise::archive(&spliced);
        exercise::framing(&bytes);
        exercise::framing(&[&[1], bytes.as_slice()].concat());
        exercise::copy_text(&bytes);
        exercise::copy_statement(&bytes);
        exercise::plain(&bytes);
    }

    #[test]
    fn random_framing_never_panics_the_writer(bytes in vec(0u8..12, 0..40), content in vec(any::<u8>(), 0..50)) {
        let mut parts = take_apart(Archive::small(14).bytes.as_slice()).unwrap();
        parts.framing = [&[1u8][..], &bytes].concat();
        parts.content.values_mut().for_each(|value| value.clone_from(&content));
        drop(put_together(&parts));
    }

    #[test]
    fn ops_come_back_joined(ops in vec(op(), 0..60), drain_at in 0usize..60) {
        let mut encoder = FramingEncoder::new();
        let mut bytes = Vec::new();
        let mut joined: Vec<Op> = Vec::new();
        for (at, op) in ops.iter().chain([&Op::Finish]).enumerate() {
            encoder.push(*op);
            if at == drain_at {
                bytes.extend(encoder.drain());
            }
            match (joined.last_mut(), *op) {
                (Some(Op::Lines { count }), Op::Lines { count: more }) => *count += more,
                (Some(Op::Blocks { len, count }), Op::Blocks { len: other, count: more }) if *len == other => *count += more,
                (_, op) => joined.push(op),
            }
        }
        bytes.extend(encoder.drain());
        let mut decoder = FramingDecoder::new(bytes.as_slice());
        let mut decoded = Vec::new();
        while let Some(op) = decoder.next_op().unwrap() {
            decoded.push(op);
        }
        prop_assert_eq!(decoded, joined);
        bytes.push(0);
        let mut decoder = FramingDecoder::new(bytes.as_slice());
        let last = std::iter::from_fn(|| decoder.next_op().transpose()).find_map(Result::err);
        prop_assert!(matches!(last, Some(Error::BadFraming(_))));
    }

    #[test]
    fn values_come_back(table in vec(vec(proptest::option::of(vec(any::<u8>(), 0..20)), 1..5), 0..20), size in 1usize..50) {
        let mut text = Vec::new();
        for row in &table {
            write_row(row.iter().map(|value| value.as_deref()), &mut text);
        }
        let read: Vec<Vec<Option<Vec<u8>>>> = rows(&text)
            .map(|row| fields(row).map(|field| field.value().map(std::borrow::Cow::into_owned)).collect())
            .collect();
        prop_assert_eq!(&read, &table);

        let mut digest = RowDigest::new();
        rows(&text).collect::<Vec<_>>().iter().rev().for_each(|row| digest.add_row(row));
        text.extend_from_slice(b"\\.\n\n\n");
        let mut counter = RowCounter::copy();
        text.chunks(size).for_each(|piece| counter.push(piece));
        let summary = counter.finish();
        prop_assert_eq!((summary.rows, summary.digest), (table.len() as u64, digest));
        prop_assert_eq!(summary.row_bytes + 5, summary.bytes);
    }

    #[test]
    fn any_names_can_be_quoted(schema in proptest::option::of(name()), table in name(), columns in vec(name(), 0..5)) {
        let statement = CopyStatement { schema, table, columns };
        prop_assert_eq!(CopyStatement::parse(&statement.to_sql()), Some(statement));
    }
}

fn name() -> impl Strategy<Value = Identifier> {
    vec(1u8.., 1..20).prop_map(Identifier::new)
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (1i32..).prop_map(|dump_id| Op::Begin { kind: Kind::TableData, dump_id }),
        (1i32..).prop_map(|dump_id| Op::Begin { kind: Kind::LargeObjects, dump_id }),
        (1u32..).prop_map(|oid| Op::Object { oid }),
        (1u64..1 << 40).prop_map(|count| Op::Lines { count }),
        (1u32..=5, 1u64..1 << 40).prop_map(|(len, count)| Op::Blocks { len, count }),
        Just(Op::End),
    ]
}

#[test]
fn a_row_longer_than_all_buffers_passes_through() {
    let mut row = vec![b'v'; 5 << 20];
    row.push(b'\n');
    let mut archive = Archive::new(14, 1);
    archive.entry(TABLE).table(10, &[b"short\n", &row, &row, b"short\n"]);
    let parts = check_round_trip(&archive.bytes);
    // Begin, one row, two blocks of 5 MiB and a byte, one row, the end marker, end, finish.
    assert_eq!(parts.framing, [1, 1, 10, 5, 1, 7, 0x81, 0x80, 0xc0, 2, 2, 5, 1, 6, 5, 2, 0]);
}

#[test]
fn framing_of_hostile_archives_is_given_out_as_it_grows() {
    let mut archive = Archive::new(14, 1);
    archive.entry(TABLE).begin(1, 10);
    for at in 0..100_000 {
        archive.block(if at % 2 == 0 { b"x" } else { b"xy" });
    }
    archive.int(0);
    check_round_trip(&archive.bytes);
    let mut reader = ArchiveReader::new(archive.bytes.as_slice());
    let mut longest = 0;
    let mut pieces = 0;
    while let Some(event) = reader.next_event().unwrap() {
        if let lacre_dump::archive::Event::Framing(bytes) = event {
            longest = longest.max(bytes.len());
            pieces += 1;
        }
    }
    assert!(pieces >= 1 && longest < 400_000, "{pieces} pieces, the longest {longest}");
}

#[test]
fn a_table_of_contents_appended_by_a_redirected_dump_comes_back() {
    let mut archive = Archive::new(16, 1);
    archive.entry(TABLE).begin(1, 10).block(b"row\n").int(0);
    let end = archive.bytes.len();
    archive.int(1).entry(EntrySpec { offset_state: 2, ..TABLE });
    let parts = check_round_trip(&archive.bytes);
    assert_eq!(parts.tail, archive.bytes[end..]);
    exercise::archive(&archive.bytes);
    for step in [1, 7, 100] {
        assert_eq!(take_apart(Trickle { rest: &archive.bytes, step }).unwrap().tail, parts.tail);
    }
}

#[test]
fn a_failed_reader_gives_nothing_more() {
    let archive = Archive::small(14).bytes;
    let mut reader = ArchiveReader::new(&archive[..archive.len() - 1]);
    let failed =
        std::iter::from_fn(|| reader.next_event().map(|event| event.map(drop)).transpose()).find(Result::is_err);
    assert!(matches!(failed, Some(Err(Error::Truncated { .. }))));
    assert!(matches!(reader.next_event(), Err(Error::OutOfOrder(_))));
}
