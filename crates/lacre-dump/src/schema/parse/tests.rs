//! Definitions as PostgreSQL 15 to 18 write them.

use super::*;
use crate::schema::{Canon, Schema, SchemaReader};

fn read(sql: &str) -> Schema {
    let mut reader = SchemaReader::new(Backslash::Literal);
    reader.definition(sql.as_bytes()).unwrap();
    reader.finish().unwrap()
}

fn name(schema: &str, table: &str) -> TableName {
    TableName { schema: Identifier::new(schema), table: Identifier::new(table) }
}

fn names(columns: &[Identifier]) -> Vec<String> {
    columns.iter().map(ToString::to_string).collect()
}

const TABLE: &str = r#"
CREATE DOMAIN app.cpf AS text
	CONSTRAINT cpf_check CHECK ((VALUE ~ '^\d+$'::text));
CREATE TABLE app."odd ""T""" (
    id bigint NOT NULL,
    "e-mail" public.citext DEFAULT 'x;y'::public.citext NOT NULL,
    name character varying(20) DEFAULT NULL::character varying,
    born timestamp(3) with time zone DEFAULT now() NOT NULL,
    cpf app.cpf COLLATE "C",
    tags text[] DEFAULT '{}'::text[] NOT NULL,
    total numeric(10,2) DEFAULT (0)::numeric,
    low integer DEFAULT '-1'::integer,
    flag boolean DEFAULT true NOT NULL,
    initials text GENERATED ALWAYS AS (("left"(name, 1) || '.'::text)) STORED,
    CONSTRAINT positive CHECK ((total >= (0)::numeric)),
    CONSTRAINT late_nn NOT NULL low
)
WITH (fillfactor='70');
"#;

#[test]
fn a_table_gives_its_columns() {
    let schema = read(TABLE);
    let table = schema.table(schema.find(&name("app", "odd \"T\"")).unwrap());
    let column = |name: &str| table.column(&Identifier::new(name)).unwrap();
    assert_eq!(table.columns.len(), 10);
    assert_eq!((column("id").type_name.canon(), column("id").not_null), (Canon::Number, true));
    assert_eq!(column("e-mail").type_name.canon(), Canon::FoldCase);
    assert_eq!(column("e-mail").default, DefaultValue::Constant(b"x;y".to_vec()));
    assert!(column("e-mail").not_null && column("low").not_null && !column("name").not_null);
    assert_eq!(column("name").default, DefaultValue::Null);
    assert_eq!(column("born").type_name.name, b"timestamp with time zone");
    assert_eq!(column("born").default, DefaultValue::Expression);
    assert!(column("cpf").is_domain && column("cpf").type_name.name == b"text");
    assert!(column("tags").type_name.array && column("tags").not_null);
    assert_eq!(column("total").default, DefaultValue::Constant(b"0".to_vec()));
    assert_eq!(column("low").default, DefaultValue::Constant(b"-1".to_vec()));
    assert_eq!(column("flag").default, DefaultValue::Constant(b"t".to_vec()));
    assert_eq!(column("initials").default, DefaultValue::Expression);
    assert_eq!(table.checks.len(), 1);
    assert!(table.checks[0].1.contains(&Identifier::new("total")));
    assert_eq!(table.name.to_string(), "app.\"odd \"\"T\"\"\"");
}

#[test]
fn keys_and_foreign_keys_find_their_tables() {
    let schema = read(
        "CREATE TABLE a.t (x integer, y integer); CREATE TABLE a.u (x integer, y integer, z integer);
         ALTER TABLE ONLY a.t ADD CONSTRAINT t_pkey PRIMARY KEY (x, y) INCLUDE (z);
         CREATE MATERIALIZED VIEW a.m AS SELECT 1 AS one WITH NO DATA; CREATE UNIQUE INDEX m_one ON a.m USING btree (one);
         CREATE UNIQUE INDEX t_y ON a.t USING btree (y DESC NULLS LAST, lower(z)) WHERE (x > 0);
         ALTER TABLE ONLY a.u
    ADD CONSTRAINT u_fk FOREIGN KEY (x, y) REFERENCES a.t(x, y) MATCH FULL ON UPDATE CASCADE ON DELETE SET NULL (y) DEFERRABLE INITIALLY DEFERRED NOT VALID;
         ALTER TABLE a.u ADD CONSTRAINT u_own FOREIGN KEY (z) REFERENCES a.u(z) ON DELETE RESTRICT;
         ALTER TABLE a.u ADD CONSTRAINT bare FOREIGN KEY (x, y) REFERENCES a.t;",
    );
    let t = schema.find(&name("a", "t")).unwrap();
    assert_eq!(names(schema.table(t).primary_key().unwrap()), ["x", "y"]);
    assert!(schema.table(t).keys[1].columns.contains(&Identifier::new("y")));
    let [first, own, bare] = schema.foreign_keys() else { panic!("three foreign keys") };
    assert_eq!(
        (names(&first.from_columns), names(&first.to_columns)),
        (names(&bare.from_columns), names(&bare.to_columns))
    );
    assert!(first.nulls == PartNulls::AreRefused && first.to == t && own.from == own.to);
    assert_eq!(first.on_delete, OnDelete::SetNull(vec![Identifier::new("y")]));
    assert_eq!((&own.on_delete, &bare.on_delete), (&OnDelete::Restrict, &OnDelete::NoAction));
}

#[test]
fn partitions_and_heirs_hold_rows_of_others() {
    let schema = read(
        "CREATE TABLE s.p (id bigint NOT NULL, at date) PARTITION BY RANGE (at);
         CREATE TABLE s.p1 (id bigint NOT NULL, at date) PARTITION BY HASH (id);
         CREATE TABLE s.p1a (at date, id bigint NOT NULL);
         CREATE TABLE s.old PARTITION OF s.p FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
         CREATE TABLE s.parent (k text NOT NULL);
         CREATE TABLE s.child (more numeric) INHERITS (s.parent);
         CREATE TABLE s.grandchild (k text, more numeric);
         ALTER TABLE s.grandchild INHERIT s.child;
         ALTER TABLE ONLY s.p ATTACH PARTITION s.p1 FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
         ALTER TABLE ONLY s.p1 ATTACH PARTITION s.p1a FOR VALUES WITH (modulus 1, remainder 0);",
    );
    let id = |table: &str| schema.find(&name("s", table)).unwrap();
    assert_eq!(schema.leaves(id("p")), [id("p1a"), id("old")]);
    assert_eq!(schema.top(id("p1a")), id("p"));
    assert_eq!(schema.rows_of(id("parent")), [id("parent"), id("child"), id("grandchild")]);
    assert_eq!(schema.leaves(id("parent")), [id("parent")]);
    let child = schema.table(id("child"));
    assert_eq!(child.columns.iter().map(|column| column.name.to_string()).collect::<Vec<_>>(), ["k", "more"]);
    assert!(child.columns[0].not_null && schema.table(id("grandchild")).columns[0].not_null);
    assert_eq!(schema.table(id("old")).columns.len(), 2);
}

#[test]
fn what_must_be_understood_and_is_not_is_an_error() {
    for sql in [
        "CREATE TABLE t;",
        "CREATE TABLE t (a integer",
        "CREATE TABLE t (a integer DEFAULT 'x);",
        "CREATE TABLE t (a integer); ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a, PERIOD b) REFERENCES t(a, PERIOD b);",
        "CREATE TABLE t (a integer); ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES u(a);",
        "CREATE TABLE t (a integer); ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES t(a, b);",
        "CREATE TABLE t (a integer); ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES t(a) ON DELETE EXPLODE;",
        "CREATE TABLE t (a integer) INHERITS (u);",
    ] {
        let mut reader = SchemaReader::new(Backslash::Literal);
        let read = reader.definition(sql.as_bytes()).and_then(|()| reader.finish().map(drop));
        assert!(read.is_err(), "{sql}");
    }
}
