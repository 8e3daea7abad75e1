//! Rollups: what is in them, in one order and one form, and nothing else.

use lacre_format::{
    FormatError,
    ids::{Digest, HomeId, SnapshotId},
    name::{Named, ObjectName},
    object::{Kind, with_start},
    rollup::{Builder, ROLLED_BYTES_MAX, ROLLUP_BYTES_MAX, decode},
};

pub(crate) fn objects() -> Vec<(ObjectName, Vec<u8>)> {
    let log = Named::Log(HomeId::new([0x33; 16]), 6, Digest::new([0xab; 32]));
    let snapshot = Named::Snapshot(SnapshotId::new([0x22; 16]));
    vec![(ObjectName::of(&log), vec![0x1a; 3]), (ObjectName::of(&snapshot), vec![0x1b; 5])]
}

fn of(objects: &[(ObjectName, Vec<u8>)]) -> Vec<u8> {
    let mut builder = Builder::default();
    objects.iter().for_each(|(name, bytes)| builder.push(name, bytes));
    assert_eq!(usize::try_from(builder.count()).unwrap(), objects.len());
    builder.finish()
}

pub(crate) fn rollup() -> Vec<u8> {
    of(&objects())
}

#[test]
fn what_goes_in_comes_out_and_the_order_is_the_names() {
    let bytes = rollup();
    let read = decode(&bytes).unwrap();
    assert!(read.iter().map(|(name, object)| (name.clone(), object.to_vec())).eq(objects()));
    assert!(decode(&of(&[])).unwrap().is_empty());
    let mut turned = objects();
    turned.reverse();
    let twice = [objects()[0].clone(), objects()[0].clone()];
    for wrong in [&turned[..], &twice[..]] {
        assert!(matches!(decode(&of(wrong)), Err(FormatError::Malformed { .. })), "{wrong:?}");
    }
}

#[test]
fn only_what_every_reader_needs_is_rolled_up() {
    for named in [Named::Manifest, Named::Session(SnapshotId::new([1; 16])), Named::Segment(Digest::new([1; 32]))] {
        assert!(matches!(decode(&of(&[(ObjectName::of(&named), vec![1])])), Err(FormatError::Malformed { .. })));
    }
    let foreign = with_start(Kind::Rollup, b"\x03a/b\x01x");
    assert!(matches!(decode(&foreign), Err(FormatError::Malformed { .. })));
    let nobody = with_start(Kind::Rollup, b"\x02\xff\xfe\x01x");
    assert!(matches!(decode(&nobody), Err(FormatError::Malformed { .. })));
}

#[test]
fn what_is_too_long_or_cut_off_is_refused() {
    let name = objects()[0].0.clone();
    let long = vec![0; usize::try_from(ROLLED_BYTES_MAX).unwrap() + 1];
    assert!(matches!(decode(&of(&[(name.clone(), long.clone())])), Err(FormatError::TooLarge { .. })));
    let fits = of(&[(name, long[1..].to_vec())]);
    assert_eq!(decode(&fits).unwrap()[0].1.len(), long.len() - 1);
    let whole = rollup();
    let ends: Vec<usize> = (0..whole.len()).filter(|end| decode(&whole[..*end]).is_ok()).collect();
    // Between two objects a shorter one ends: its name, which holds the hash, tells them apart.
    assert_eq!(ends.len(), objects().len());
}

#[test]
fn a_rollup_is_closed_before_it_is_too_large() {
    let mut builder = Builder::default();
    let name = objects()[0].0.clone();
    let object = vec![0; usize::try_from(ROLLED_BYTES_MAX).unwrap()];
    while !builder.is_full() {
        builder.push(&name, &object);
    }
    assert!(u64::try_from(builder.finish().len()).unwrap() <= ROLLUP_BYTES_MAX);
}
