//! Archives with only some of the data.

use std::collections::BTreeSet;

use lacre_dump::archive::{ArchiveWriter, Error, write_schema_only};

use crate::build::{Archive, EntrySpec, TABLE};
use crate::parts::{Parts, take_apart};

fn three_tables() -> Parts {
    let mut archive = Archive::new(14, 4);
    let schema = EntrySpec { dump_id: 1, has_data: 0, desc: "TABLE", tag: "t", copy: None, section: 2, ..TABLE };
    archive.entry(EntrySpec { offset_state: 3, ..schema });
    for dump_id in [10, 11, 12] {
        archive.entry(EntrySpec { dump_id, offset_state: 2, ..TABLE });
    }
    archive.table(10, &[b"ten\n"]).table(11, &[b"eleven\n"]).table(12, &[b"twelve\n"]);
    take_apart(archive.bytes.as_slice()).unwrap()
}

pub(crate) fn select(parts: &Parts, keep: &[i32]) -> Vec<u8> {
    let keep: BTreeSet<i32> = keep.iter().copied().collect();
    let mut writer =
        ArchiveWriter::with_selection(Vec::new(), &parts.toc, parts.framing.as_slice(), keep.clone()).unwrap();
    while let Some(set) = writer.next_set().unwrap() {
        assert!(keep.contains(&set.dump_id));
        for piece in parts.content[&set.dump_id].chunks(3) {
            std::io::Write::write_all(&mut writer, piece).unwrap();
        }
        writer.end_set().unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn only_the_chosen_tables_are_in_the_archive() {
    let parts = three_tables();
    for keep in [&[][..], &[10], &[11], &[12, 10], &[10, 11, 12]] {
        let selected = take_apart(select(&parts, keep).as_slice()).unwrap();
        assert_eq!(selected.content.len(), keep.len());
        for dump_id in keep {
            assert_eq!(selected.content[dump_id], parts.content[dump_id]);
        }
        let ids: BTreeSet<i32> = selected.toc.entries().map(|entry| entry.dump_id()).collect();
        assert_eq!(ids, keep.iter().copied().chain([1]).collect());
    }
    let mut schema = Vec::new();
    write_schema_only(&mut schema, &parts.toc).unwrap();
    assert_eq!(schema, select(&parts, &[]));
}

#[test]
fn calls_in_the_wrong_order_are_refused() {
    let parts = three_tables();
    let begin = || ArchiveWriter::new(Vec::new(), &parts.toc, parts.framing.as_slice()).unwrap();
    assert!(matches!(begin().content(b"x"), Err(Error::OutOfOrder(_))));
    assert!(matches!(begin().end_set(), Err(Error::OutOfOrder(_))));
    assert!(matches!(begin().finish(), Err(Error::OutOfOrder(_))));
    let mut writer = begin();
    writer.next_set().unwrap();
    assert!(matches!(writer.next_set(), Err(Error::OutOfOrder(_))));
    assert!(matches!(writer.end_set(), Err(Error::BadContent { dump_id: 10, .. })));
}
