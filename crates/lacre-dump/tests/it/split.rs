//! Splitting plain dumps at their COPY blocks.

use lacre_dump::plain::{Piece, Splitter};
use proptest::collection::vec;
use proptest::prelude::*;

const DUMP: &str = "--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\nCREATE FUNCTION f() RETURNS text AS $$\n\
COPY public.fake (a) FROM stdin;\n1\n\\.\n$$;\n\n\
--\n-- Data for Name: a b; Type: TABLE DATA; Schema: public; Owner: o\n--\n\n\
COPY public.\"a\nb\" (x, \"y;\nz\") FROM stdin;\n1\t2\n\\\\.\t\\N\n\n\\.x\n\\.\n\n\n\
--\n-- Data for Name: empty; Type: TABLE DATA; Schema: public; Owner: o\n--\n\n\
ALTER TABLE public.empty DISABLE TRIGGER ALL;\n\nCOPY public.empty  FROM stdin;\n\\.\n\n\n\
--\n-- Data for Name: inserts; Type: TABLE DATA; Schema: public; Owner: o\n--\n\n\
INSERT INTO t VALUES ('\nCOPY public.fake (a) FROM stdin;\n');\n\
--\n-- Name: i; Type: INDEX\n--\n\nCOPY public.fake (a) FROM stdin;\n\
--\n-- PostgreSQL database dump complete\n--\n\n";

#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    all: Vec<u8>,
    sql: Vec<u8>,
    tables: Vec<(String, usize, Vec<u8>)>,
    open: i32,
}

fn split(text: &[u8], size: usize) -> (Seen, bool) {
    let mut seen = Seen::default();
    let mut sink = |piece: Piece<'_>| match piece {
        Piece::Sql(bytes) => {
            assert_eq!(seen.open, 0);
            seen.all.extend_from_slice(bytes);
            seen.sql.extend_from_slice(bytes);
        }
        Piece::CopyBegin(statement) => {
            seen.open += 1;
            seen.tables.push((statement.table.to_string(), statement.columns.len(), Vec::new()));
        }
        Piece::Rows(bytes) => {
            assert_eq!(seen.open, 1);
            seen.all.extend_from_slice(bytes);
            seen.tables.last_mut().unwrap().2.extend_from_slice(bytes);
        }
        Piece::CopyEnd => seen.open -= 1,
    };
    let mut splitter = Splitter::new();
    for piece in text.chunks(size) {
        splitter.push(piece, &mut sink);
    }
    let within = splitter.finish(&mut sink);
    (seen, within)
}

#[test]
fn tables_are_found_where_pg_dump_announces_them() {
    for size in [1, 2, 3, 5, 17, 64, 10_000] {
        let (seen, within) = split(DUMP.as_bytes(), size);
        assert!(!within);
        assert_eq!(seen.open, 0);
        assert_eq!(seen.all, DUMP.as_bytes(), "in pieces of {size}");
        let expected =
            [("a\nb".to_owned(), 2, b"1\t2\n\\\\.\t\\N\n\n\\.x\n".to_vec()), ("empty".to_owned(), 0, Vec::new())];
        assert_eq!(seen.tables, expected, "in pieces of {size}");
    }
}

#[test]
fn a_dump_cut_within_rows_says_so() {
    let at = DUMP.find("1\t2").unwrap();
    for cut in [at, at + 1, at + 4, at + 5] {
        let (seen, within) = split(&DUMP.as_bytes()[..cut], 3);
        assert!(within, "cut at {cut}");
        assert_eq!(seen.all, &DUMP.as_bytes()[..cut]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_come_back_whatever_the_cuts(
        lines in vec(prop_oneof![
            Just("-- Data for Name: t;".to_owned()), Just("--".to_owned()), Just(String::new()), Just("\\.".to_owned()),
            Just("COPY t (a) FROM stdin;".to_owned()), Just("COPY \"t".to_owned()), Just("\\".to_owned()), Just("\\.\\.".to_owned()),
            ".{0,10}",
        ], 0..40),
        size in 1usize..30,
    ) {
        let text = lines.join("\n").into_bytes();
        let whole = split(&text, usize::MAX);
        prop_assert_eq!(&whole.0.all, &text);
        prop_assert_eq!(split(&text, size), whole);
    }
}
