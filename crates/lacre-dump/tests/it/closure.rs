//! Rules against schemas that do not fit, keys that mean somebody else, rows that rules contradict each other about.

use lacre_dump::closure::{KeyBook, Plan, Tally, Walk};
use lacre_dump::copy::{CopyStatement, Identifier, fields, rows};
use lacre_dump::personal::{Personal, Subject};
use lacre_dump::rules::{Problems, Rules};
use lacre_dump::schema::{Canon, Schema, SchemaReader, TableName};
use lacre_dump::select::{Rewriter, Search, SelectError, decide};
use lacre_dump::sql::Backslash;
use lacre_dump::verify;
use proptest::prelude::*;

const SHOP: &str = "
CREATE TABLE s.users (id bigint NOT NULL, email text, nick text NOT NULL, age integer, code s.code, tags jsonb, plus integer GENERATED ALWAYS AS ((age + 1)) STORED);
CREATE TABLE s.orders (id bigint NOT NULL, user_id bigint NOT NULL, note text, rated boolean);
CREATE TABLE s.lines (order_id bigint, n integer, text text);
CREATE TABLE s.logs (user_id bigint, what text);
CREATE TABLE s.parts (id integer) PARTITION BY LIST (id);
CREATE TABLE s.part_one (id integer);
CREATE TABLE s.alien (part integer);
ALTER TABLE s.alien ADD CONSTRAINT alien_part FOREIGN KEY (part) REFERENCES s.parts(id);
CREATE DOMAIN s.code AS text CHECK ((VALUE ~ 'x'::text));
ALTER TABLE ONLY s.parts ATTACH PARTITION s.part_one FOR VALUES IN (1);
ALTER TABLE ONLY s.users ADD CONSTRAINT users_pkey PRIMARY KEY (id);
ALTER TABLE ONLY s.users ADD CONSTRAINT users_email UNIQUE (email);
ALTER TABLE ONLY s.orders ADD CONSTRAINT orders_pkey PRIMARY KEY (id);
ALTER TABLE ONLY s.orders ADD CONSTRAINT orders_user FOREIGN KEY (user_id) REFERENCES s.users(id) ON DELETE CASCADE;
ALTER TABLE ONLY s.lines ADD CONSTRAINT lines_order FOREIGN KEY (order_id) REFERENCES s.orders(id);
ALTER TABLE s.orders ADD CONSTRAINT note_said CHECK (((note IS NOT NULL) OR rated)) NOT VALID;
";

const STREAMS: [(&str, &str); 6] = [
    ("users", "id, email, nick, age, code, tags"),
    ("orders", "id, user_id, note, rated"),
    ("lines", "order_id, n, text"),
    ("logs", "user_id, what"),
    ("part_one", "id"),
    ("alien", "part"),
];

fn shop() -> Schema {
    let mut reader = SchemaReader::new(Backslash::Literal);
    reader.definition(SHOP.as_bytes()).unwrap();
    for (dump_id, (table, columns)) in (1..).zip(STREAMS) {
        let copy = CopyStatement::parse(format!("COPY s.{table} ({columns}) FROM stdin;").as_bytes()).unwrap();
        let name = TableName { schema: Identifier::new("s"), table: Identifier::new(table) };
        reader.stream(name, dump_id, Some(&copy));
    }
    reader.finish().unwrap()
}

fn rules(more: &str) -> Rules {
    Rules::parse(&format!("[subject.u]\nroot = \"s.users\"\nkey = \"id\"\n{more}")).unwrap()
}

fn table(name: &str, rest: &str) -> String {
    format!("[[subject.u.table]]\nname = \"s.{name}\"\n{rest}\n")
}

fn plan(rules: &Rules) -> Result<Plan, Problems> {
    Plan::new(&rules.subjects[0], &shop(), &mut KeyBook::new())
}

fn subject(key: &str) -> Subject {
    Subject { keys: vec![vec![Personal::new(key)]], identifiers: Vec::new() }
}

#[test]
fn what_does_not_fit_is_refused_with_a_way_out() {
    let both = table("orders", "action = \"delete\"") + &table("lines", "action = \"delete\"");
    let with = |rest: &str| both.clone() + &table("logs", rest);
    for (text, expected) in [
        (String::new(), "s.orders refers to s.users by the foreign key orders_user, and the rules do not mention it"),
        (table("orders", "action = \"delete\""), "s.lines refers to s.orders by the foreign key lines_order"),
        (table("order", "action = \"delete\""), "the snapshot has no table s.order (did you mean 's.orders'?)"),
        (
            table("part_one", "action = \"delete\""),
            "s.part_one is a partition of s.parts (name s.parts; rules hold for all",
        ),
        (
            with("via = \"user\"\naction = \"delete\""),
            "s.logs has no column user (columns of the table: user_id, what)",
        ),
        (with("via = \"usr_id\"\naction = \"delete\""), "s.logs has no column usr_id (did you mean 'user_id'?)"),
        (with("action = \"delete\""), "no foreign key says whose rows s.logs holds"),
        (with("via = [\"user_id\", \"what\"]\naction = \"delete\""), "'via' has 2 parts, the key of s.users has 1"),
        (with("via = \"what->>'id'\"\naction = \"delete\"\nto = \"s.nowhere\""), "the snapshot has no table s.nowhere"),
        (
            with("via = \"user_id\"\naction = \"delete\"\nto = \"s.parts\""),
            "s.logs refers to s.parts, which has no rule",
        ),
        (
            table("orders", "action = \"delete\"")
                + &table("lines", "action = \"delete\"")
                + &table("alien", "via = \"part\"\naction = \"delete\""),
            "s.alien refers to s.parts, which has no rule",
        ),
        (with("via = \"user_id->>'id'\"\naction = \"delete\""), "user_id of s.logs is not JSON"),
        (
            with("via = \"user_id\"\naction = \"mask\"\ncolumns = { user_id = \"text:x\" }"),
            "user_id of s.logs takes no free text",
        ),
        (
            with("via = \"user_id\"\naction = \"mask\"\ncolumns = { user_id = \"json:x\" }"),
            "user_id of s.logs is not JSON",
        ),
        (both.replacen("delete", "null", 1), "user_id of s.orders cannot be NULL"),
        (
            both.replacen("\"delete\"", "\"keep\"\nbasis = \"law\"", 1),
            "rows of s.orders stay and refer to rows of s.users that are deleted (foreign key orders_user)",
        ),
        (
            both.replacen("\"delete\"", "\"mask\"\ncolumns = { note = \"null\" }", 1),
            "rows of s.orders stay and refer to rows of s.users",
        ),
    ] {
        let found = plan(&rules(&text)).expect_err(expected);
        assert!(found.to_string().contains(expected), "{found} should contain {expected}");
        assert!(found.0.iter().all(|problem| problem.place.line > 0));
    }
    for (columns, expected) in [
        ("{ nick = \"null\" }", "nick of s.users cannot be NULL"),
        ("{ id = \"null\" }", "id of s.users cannot be NULL"),
        ("{ email = \"text:x\" }", "email of s.users must be unique"),
        ("{ code = \"text:x\" }", "code of s.users takes no free text"),
        ("{ plus = \"null\" }", "plus of s.users is computed by the database"),
    ] {
        let found = plan(&rules(&format!("action = \"mask\"\ncolumns = {columns}\n{both}"))).expect_err(expected);
        assert!(found.to_string().contains(expected), "{found} should contain {expected}");
    }
}

#[test]
fn the_rules_shown_in_the_manual_are_rules() {
    let manual = include_str!("../../../../docs/ERASURE.md");
    let shown = manual.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let rules = Rules::parse(shown).unwrap();
    assert_eq!((rules.subjects.len(), rules.subjects[0].tables.len(), rules.sweep.forms.len()), (1, 6, 6));
}

#[test]
fn what_fits_is_planned_with_cautions() {
    let text =
        table("orders", "action = \"mask\"\ncolumns = { note = \"null\" }") + &table("lines", "action = \"follow\"");
    let masked = rules(&format!(
        "action = \"mask\"\ncolumns = {{ email = \"null\", tags = \"json:a\", nick = \"text:nobody\" }}\n{text}"
    ));
    let plan = plan(&masked).unwrap();
    let cautions: Vec<_> = plan.cautions.iter().map(|caution| format!("{}: {}", caution.table, caution.what)).collect();
    assert_eq!(plan.tables.len(), 3);
    assert!(
        cautions.iter().any(|text| text.starts_with("s.orders: the CHECK note_said speaks of note")),
        "{cautions:?}"
    );
    assert!(cautions.iter().any(|text| text.starts_with("s.lines: no rule says what happens")), "{cautions:?}");
}

#[test]
fn a_subject_that_says_nothing_is_refused() {
    let text = table("orders", "action = \"delete\"") + &table("lines", "action = \"delete\"");
    let mut book = KeyBook::new();
    let plan = Plan::new(&rules(&text).subjects[0], &shop(), &mut book).unwrap();
    assert!(Walk::new(&plan, &Subject::default(), &mut book).is_err());
    let wide = Subject { keys: vec![vec![Personal::new("1"), Personal::new("2")]], identifiers: Vec::new() };
    let error = Walk::new(&plan, &wide, &mut book).unwrap_err().to_string();
    assert_eq!(error, "a key of the subject has 2 values, the rules' key has 1 columns");
}

/// Erases a person from one snapshot, given as the rows of its tables; gives what is left and the counts.
fn erase(rules: &Rules, book: &mut KeyBook, key: &str, tables: &[(&str, &str)]) -> (Vec<String>, Tally) {
    let schema = shop();
    let plan = Plan::new(&rules.subjects[0], &schema, book).unwrap();
    let mut walk = Walk::new(&plan, &subject(key), book).unwrap();
    let name = |at: usize| String::from_utf8(plan.tables[at].name.table.as_bytes().to_vec()).unwrap();
    let content = |at: usize| tables.iter().find(|(table, _)| *table == name(at)).map_or("", |(_, rows)| *rows);
    while let Some(open) = walk.next_tables().unwrap() {
        for at in open {
            let findings = Search::new(&plan.tables[at].shape, book).run(content(at).as_bytes()).unwrap();
            walk.absorb(at, &findings, book).unwrap();
        }
    }
    let mut all = Tally::default();
    let left = tables.iter().map(|(table, text)| {
        let Some(at) = (0..plan.tables.len()).find(|at| name(*at) == *table) else { return (*text).to_owned() };
        let shape = &plan.tables[at].shape;
        let findings = Search::new(shape, book).run(text.as_bytes()).unwrap();
        let (verdict, tally) = decide(shape, &findings, walk.marks()).unwrap();
        all.add(&tally);
        let mut out = Vec::new();
        let mut rewriter = Rewriter::new(&verdict);
        rewriter.push(text.as_bytes(), &mut out).unwrap();
        rewriter.finish(&mut out).unwrap();
        let survivors = Search::new(shape, book).run(&out).unwrap();
        let leftover = verify::check(shape, &survivors, walk.marks()).unwrap();
        assert_eq!(leftover.is_none(), tally.contradicted + tally.refused == 0, "{leftover:?} {tally:?}");
        String::from_utf8(out).unwrap()
    });
    let left = left.collect();
    (left, all)
}

#[test]
fn a_key_that_was_given_to_somebody_else_is_not_followed_there() {
    let rules = rules(&(table("orders", "action = \"delete\"") + &table("lines", "action = \"delete\"")));
    let mut book = KeyBook::new();
    let users = ("users", "1\ta\tA\t\\N\t\\N\t\\N\n2\tb\tB\t\\N\t\\N\t\\N\n");
    // On Monday order 7 is the person's; on Tuesday, after a restore, it is somebody else's, and the person has order 8.
    let monday = [users, ("orders", "7\t1\tx\tt\n9\t2\ty\tf\n"), ("lines", "7\t1\tmine\n9\t1\tnot mine\n")];
    let tuesday = [users, ("orders", "7\t2\tx\tt\n8\t1\ty\tf\n"), ("lines", "7\t1\tnot mine\n8\t1\tmine\n")];
    for _ in 0..2 {
        let (left, tally) = erase(&rules, &mut book, "1", &monday);
        assert_eq!(left[1..], ["9\t2\ty\tf\n", "9\t1\tnot mine\n"]);
        assert_eq!((tally.deleted, tally.rows), (3, 6));
        let (left, _) = erase(&rules, &mut book, "1", &tuesday);
        assert_eq!(left[1..], ["7\t2\tx\tt\n", "7\t1\tnot mine\n"]);
    }
}

#[test]
fn what_would_dangle_or_is_contradicted_is_counted_and_left_alone() {
    let tables = [
        ("users", "1\ta\tA\t\\N\t\\N\t\\N\n"),
        ("orders", "7\t1\tx\tt\n"),
        ("lines", "7\t1\ta\n\\N\t1\tb\n7\t2\tc\n"),
        ("logs", "1\tx\n2\ty\n"),
    ];
    let follow = rules(&(table("orders", "action = \"delete\"") + &table("lines", "action = \"follow\"")));
    let (left, tally) = erase(&follow, &mut KeyBook::new(), "1", &tables);
    assert_eq!((tally.refused, tally.deleted, left[2].as_str()), (2, 2, tables[2].1));

    let twice = table("logs", "via = \"user_id\"\naction = \"keep\"\nbasis = \"law\"")
        + &table("logs", "via = \"user_id\"\nwhen = { what = \"x\" }\naction = \"delete\"");
    let both = rules(&(table("orders", "action = \"delete\"") + &table("lines", "action = \"delete\"") + &twice));
    let (left, tally) = erase(&both, &mut KeyBook::new(), "1", &tables);
    assert_eq!((tally.contradicted, left[3].as_str()), (1, tables[3].1));

    let null = rules(&(table("orders", "action = \"delete\"") + &table("lines", "action = \"null\"")));
    let (left, tally) = erase(&null, &mut KeyBook::new(), "1", &tables);
    assert_eq!((tally.changed, left[2].as_str()), (2, "\\N\t1\ta\n\\N\t1\tb\n\\N\t2\tc\n"));
}

#[test]
fn a_root_left_out_of_the_dump_still_leads_to_what_refers_to_it() {
    let rules = rules(&(table("orders", "action = \"delete\"") + &table("lines", "action = \"delete\"")));
    let tables = [("users", ""), ("orders", "7\t1\tx\tt\n8\t2\tx\tt\n"), ("lines", "7\t1\ta\n8\t1\tb\n")];
    let (left, tally) = erase(&rules, &mut KeyBook::new(), "1", &tables);
    assert_eq!((tally.deleted, &left[1..]), (2, &["8\t2\tx\tt\n".to_owned(), "8\t1\tb\n".to_owned()][..]));
}

#[test]
fn findings_that_know_too_little_are_refused() {
    let rules = rules(&(table("orders", "action = \"delete\"") + &table("lines", "action = \"delete\"")));
    let mut book = KeyBook::new();
    let plan = Plan::new(&rules.subjects[0], &shop(), &mut book).unwrap();
    let shape = &plan.tables.iter().find(|table| table.dump_id == 1).unwrap().shape;
    let early = Search::new(shape, &book).run(b"1\t\t\t\t\t\n").unwrap();
    let walk = Walk::new(&plan, &subject("1"), &mut book).unwrap();
    assert!(!early.cover(walk.marks()));
    assert_eq!(decide(shape, &early, walk.marks()), Err(SelectError::Stale));
    let late = Search::new(shape, &book).run(b"1\t\t\t\t\t\n").unwrap();
    assert_eq!(decide(shape, &late, walk.marks()).unwrap().1.deleted, 1);
}

#[test]
fn rows_that_are_none_of_the_table_are_errors() {
    let rules = rules(&(table("orders", "action = \"delete\"") + &table("lines", "action = \"delete\"")));
    let mut book = KeyBook::new();
    let plan = Plan::new(&rules.subjects[0], &shop(), &mut book).unwrap();
    let _walk = Walk::new(&plan, &subject("1"), &mut book).unwrap();
    let users = plan.tables.iter().find(|table| table.dump_id == 1).unwrap();
    let search = Search::new(&users.shape, &book);
    assert_eq!(search.run(b"1\ta\n").unwrap_err(), SelectError::FieldCount { row: 0, found: 2, wanted: 6 });
    assert_eq!(search.run(b"2\ta\\\n").unwrap_err(), SelectError::SplitRow { row: 0 });
    assert_eq!(search.run(b"\n2\ta\n").unwrap_err(), SelectError::FieldCount { row: 0, found: 1, wanted: 6 });
    assert_eq!(search.run(b"2\t\t\t\t\t\n\\.\n\n\n").unwrap().rows(), 1);
    assert_eq!(search.run(b"1\\\tx\t\t\t\t\t\n").unwrap().found().len(), 0, "an escaped tab separates nothing");
    assert_eq!(search.run(b"\\61\t\t\t\t\t\n").unwrap().found().len(), 1, "an escape is the byte it stands for");
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("\\N".to_owned()),
        Just("1".to_owned()),
        Just("\\\\N".to_owned()),
        "[01a\\\\]{0,6}".prop_map(|text| text.replace('\\', "\\\\"))
    ]
}

proptest! {
    #[test]
    fn rewriting_is_what_it_says_however_it_is_cut(
        logs in prop::collection::vec((value(), value()), 0..20),
        long in 0usize..3,
        step in 1usize..40,
        ending in prop_oneof![Just(""), Just("\\.\n\n\n")],
    ) {
        let rules = rules(&(table("orders", "action = \"delete\"") + &table("lines", "action = \"delete\"")
            + &table("logs", "via = \"user_id\"\nwhen = { what = \"1\" }\naction = \"delete\"")
            + &table("logs", "via = \"user_id\"\naction = \"mask\"\ncolumns = { what = \"text:a\\tb\" }")));
        let mut book = KeyBook::new();
        let plan = Plan::new(&rules.subjects[0], &shop(), &mut book).unwrap();
        let walk = Walk::new(&plan, &subject("1"), &mut book).unwrap();
        let shape = &plan.tables.iter().find(|table| table.dump_id == 4).unwrap().shape;
        // Some values are long enough to be gathered by field.
        let text: String = logs.iter().enumerate().map(|(at, (user, what))| {
            let more = if at % 7 == 3 { "z".repeat(long * 150_000) } else { String::new() };
            format!("{user}\t{what}{more}\n")
        }).collect();
        let wanted: String = text.lines().filter_map(|row| {
            let values: Vec<_> = fields(row.as_bytes()).map(|field| field.value().map(|value| value.into_owned())).collect();
            let is_mine = values[0].as_deref().is_some_and(|value| *Canon::Number.apply(value) == *b"1");
            match (is_mine, values[1].as_deref() == Some(b"1")) {
                (true, true) => None,
                (true, false) => Some(format!("{}\ta\\tb\n", row.split('\t').next().unwrap())),
                (false, _) => Some(format!("{row}\n")),
            }
        }).collect();
        let (text, wanted) = (text + ending, wanted + ending);
        let search = Search::new(shape, &book);
        let mut scanner = search.scan();
        let step = if text.len() > 1000 { step * 2000 } else { step };
        for piece in text.as_bytes().chunks(step) {
            scanner.push(piece).unwrap();
        }
        let findings = scanner.finish().unwrap();
        prop_assert_eq!(&findings, &search.run(text.as_bytes()).unwrap());
        prop_assert_eq!(findings.rows(), rows(text.as_bytes()).count() as u64);
        let (verdict, _) = decide(shape, &findings, walk.marks()).unwrap();
        let mut out = Vec::new();
        let mut rewriter = Rewriter::new(&verdict);
        for piece in text.as_bytes().chunks(step) {
            rewriter.push(piece, &mut out).unwrap();
        }
        let written = rewriter.finish(&mut out).unwrap();
        prop_assert_eq!(String::from_utf8(out).unwrap(), wanted);
        prop_assert_eq!(written.bytes_in, text.len() as u64);
    }
}
