//! Archives that several versions of `pg_dump` wrote, kept beside the tests.

use lacre_dump::archive::{Section, Setting, Sniff, sniff, write_schema_only};
use lacre_dump::copy::{Ending, RowCounter};

use crate::parts::check_round_trip;
use crate::selection::select;

const VECTORS: [(u8, &[u8]); 3] = [
    (14, include_bytes!("../vectors/v1.14-pg15.dump")),
    (15, include_bytes!("../vectors/v1.15-pg16.dump")),
    (16, include_bytes!("../vectors/v1.16-pg18.dump")),
];

#[test]
fn archives_of_each_version_come_back() {
    for (minor, bytes) in VECTORS {
        assert!(matches!(sniff(bytes), Sniff::Supported { version } if version.minor == minor));
        let parts = check_round_trip(bytes);
        let rows: Vec<(Vec<u8>, u64)> = parts
            .toc
            .tables()
            .map(|table| {
                let mut counter = RowCounter::copy();
                counter.push(&parts.content[&table.entry.dump_id()]);
                let summary = counter.finish();
                assert_eq!(summary.ending, Ending::Marked);
                (table.name.to_vec(), summary.rows)
            })
            .collect();
        let expected: [(&[u8], u64); 6] = [
            (b"a\nb;) FROM stdin;", 2),
            (b"empty_one", 0),
            (b"events_2025", 1),
            (b"events_2026", 3),
            (b"nothing", 2),
            (b"users", 20),
        ];
        assert_eq!(rows, expected.map(|(name, rows)| (name.to_vec(), rows)), "1.{minor}");
        let objects = parts.sets.iter().map(|set| set.objects).sum::<u64>();
        assert_eq!(objects, 3);
        // Version, six tables of at most 10 bytes, one set of three large objects, and the end.
        assert!(parts.framing.len() < 100, "{} bytes of framing", parts.framing.len());
    }
}

#[test]
fn tables_of_contents_answer_questions() {
    for (minor, bytes) in VECTORS {
        let toc = check_round_trip(bytes).toc;
        let users = toc.tables().find(|table| table.name == b"users").unwrap();
        let copy = users.copy.unwrap();
        assert_eq!(users.schema, b"public");
        assert_eq!(copy.columns.iter().map(ToString::to_string).collect::<Vec<_>>(), ["id", "name", "note"]);
        assert!(!users.via_root);
        assert_eq!(users.entry.section(), Section::Data);
        let odd = toc.tables().next().unwrap();
        assert_eq!(odd.schema, b"odd \"schema\". x");
        let odd = odd.copy.unwrap();
        assert_eq!(odd.table.as_bytes(), b"a\nb;) FROM stdin;");
        assert_eq!(odd.columns[1].as_bytes(), "línea\ndos".as_bytes());
        assert_eq!(toc.setting(Setting::Encoding).unwrap(), b"UTF8");
        assert_eq!(toc.setting(Setting::StandardStrings).unwrap(), b"on");
        assert_eq!(toc.setting(Setting::SearchPath).unwrap(), b"");
        assert_eq!(toc.database().unwrap().tag(), b"vec");
        assert_eq!(toc.sequence_values().count(), 1);
        assert_eq!(toc.materialized_views().count(), 1);
        assert_eq!(toc.materialized_view_refreshes().next().unwrap().section(), Section::PostData);
        assert_eq!(toc.extensions().count(), 0);
        assert_eq!(toc.large_object_sets().count(), 1);
        assert_eq!(toc.in_section(Section::Data).filter(|entry| entry.has_data()).count(), 7);
        let table = toc.of_kind(b"TABLE").find(|entry| entry.tag() == b"users").unwrap();
        assert_eq!(table.table_am(), Some(&b"heap"[..]));
        assert_eq!(table.relkind(), (minor >= 16).then_some(b'r'));
        assert!(table.definition().starts_with(b"CREATE TABLE public.users"));
        assert!(table.drop_statement().starts_with(b"DROP TABLE public.users"));
        assert_eq!(table.owner(), b"postgres");
        assert_eq!(toc.header().database, b"vec");
    }
}

#[test]
fn selections_of_real_archives_are_archives() {
    for (_, bytes) in VECTORS {
        let parts = check_round_trip(bytes);
        let users = parts.toc.tables().find(|table| table.name == b"users").unwrap().entry.dump_id();
        let selected = check_round_trip(&select(&parts, &[users]));
        assert_eq!(selected.content.len(), 1);
        assert_eq!(selected.toc.len(), parts.toc.len() - 6);
        let mut schema = Vec::new();
        write_schema_only(&mut schema, &parts.toc).unwrap();
        assert_eq!(check_round_trip(&schema).toc.len(), parts.toc.len() - 7);
    }
}
