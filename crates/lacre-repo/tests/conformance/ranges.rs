//! Reading parts of objects.

use std::ops::Range;

use lacre_repo::store::{PutOutcome, StoreError};

use crate::Case;
use crate::place::{Place, name, noise};

const TEXT: &[u8] = b"0123456789";

pub(crate) const CASES: &[Case] = &[
    ("the whole as a range", |place| part(place, 0..10)),
    ("the first byte", |place| part(place, 0..1)),
    ("the middle", |place| part(place, 3..7)),
    ("the last byte", |place| part(place, 9..10)),
    ("an empty range at the beginning", |place| part(place, 0..0)),
    ("an empty range in the middle", |place| part(place, 5..5)),
    ("an empty range at the end", |place| part(place, 10..10)),
    ("a range that ends behind the end", |place| beyond(place, 5..11)),
    ("a range that begins at the end", |place| beyond(place, 10..11)),
    ("a range far behind the end", |place| beyond(place, 1000..2000)),
    ("an empty range behind the end", |place| beyond(place, 11..11)),
    ("a range of an empty object", |place| {
        assert_eq!(place.put("snap/a", b""), PutOutcome::Created);
        let error = place.store.get_range(&name("snap/a"), 0..1).unwrap_err();
        assert!(matches!(error, StoreError::OutOfRange { .. }), "{error:?}");
    }),
    ("a range that goes backwards", |place| {
        #[allow(clippy::reversed_empty_ranges, reason = "what a damaged index could ask for")]
        beyond(place, 5..3);
    }),
    ("a range of what is not there", |place| missing(place, 0..1)),
    ("an empty range of what is not there", |place| missing(place, 0..0)),
    ("every border of a pack", |place| {
        let pack = noise(3 << 20, 7);
        assert_eq!(place.put("packs/aa/a", &pack), PutOutcome::Created);
        let end = pack.len();
        for (from, to) in
            [(0, 1), (1, 4096), (65_535, 65_537), (1 << 20, 2 << 20), ((2 << 20) - 1, end), (end - 1, end)]
        {
            let got = place.store.get_range(&name("packs/aa/a"), from as u64..to as u64).unwrap();
            assert!(got == pack[from..to], "{from}..{to}");
        }
    }),
];

fn put(place: &Place) {
    assert_eq!(place.put("snap/a", TEXT), PutOutcome::Created);
}

fn part(place: &Place, range: Range<u64>) {
    put(place);
    let wanted = &TEXT[range.start as usize..range.end as usize];
    assert_eq!(place.store.get_range(&name("snap/a"), range).unwrap(), wanted);
}

fn beyond(place: &Place, range: Range<u64>) {
    put(place);
    let error = place.store.get_range(&name("snap/a"), range.clone()).unwrap_err();
    let told =
        matches!(&error, StoreError::OutOfRange { start, end, .. } if *start == range.start && *end == range.end);
    assert!(told, "{error:?}");
}

fn missing(place: &Place, range: Range<u64>) {
    let error = place.store.get_range(&name("snap/nothing"), range).unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error:?}");
}
