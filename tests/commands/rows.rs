//! Finding rows again: in one snapshot, between two, over all of them, and bringing them back.

use std::fs;

use serde_json::{Value, json};

use super::snapshots;
use crate::support::cluster::Cluster;
use crate::support::sample;
use crate::support::sandbox::Sandbox;

const PEOPLE: &str = "create table people (id int primary key, name text, note text); \
                      insert into people select n, 'person ' || n, null from generate_series(1, 20000) n; \
                      create table log (at int, what text); insert into log select n, 'w' from generate_series(1, 100) n";

/// A cluster whose database `d` holds `PEOPLE`, and a sandbox with nothing backed up.
fn people() -> (Cluster, Sandbox) {
    let cluster = Cluster::start();
    cluster.create_database("d");
    cluster.sql("d", PEOPLE);
    let sandbox = Sandbox::with_tools_of(&cluster);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    (cluster, sandbox)
}

fn backup(cluster: &Cluster, sandbox: &Sandbox, database: &str) -> String {
    let document = sandbox.run(&["backup", "--postgres", &cluster.url(database), "--json"]).exits(0).json();
    document["snapshot"].as_str().unwrap().to_owned()
}

fn table<'d>(document: &'d Value, name: &str) -> &'d Value {
    let tables = document["tables"].as_array().unwrap();
    tables.iter().find(|table| table["name"] == name).unwrap_or_else(|| panic!("no table {name} in {tables:?}"))
}

#[test]
fn rows_are_found_by_their_values_without_a_restore() {
    let (cluster, sandbox) = people();
    cluster.sql("d", r"update people set name = E'tab\there', note = '' where id = 77");
    backup(&cluster, &sandbox, "d");
    let found = |arguments: &[&str]| {
        let run = sandbox.run(&[&["rows", "latest", "people", "--json"], arguments].concat()).exits(0);
        run.json()["rows"].as_array().unwrap().clone()
    };
    assert_eq!(found(&["--where", "id=42"]), [json!({"id": "42", "name": "person 42", "note": null})]);
    // A number is found however it is typed, and text only as it is.
    assert_eq!(found(&["--where", "id=0042"]).len(), 1);
    assert_eq!(found(&["--where", "name=person 4"]), [json!({"id": "4", "name": "person 4", "note": null})]);
    assert_eq!(found(&["--where", "name=tab\there"])[0]["note"], "");
    assert_eq!(found(&["--where", "name=tab\there", "--null", "note"]), Vec::<Value>::new());
    assert_eq!(found(&["--null", "note"]).len(), 19_999);
    let text = sandbox.run(&["rows", "latest", "public.people", "--where", "id=9"]).exits(0).text();
    assert_eq!(text, "id\tname\tnote\n9\tperson 9\t\\N\n");
    let close = sandbox.run(&["rows", "latest", "peopl", "--where", "id=9"]).exits(2);
    assert!(close.stderr.contains("did you mean public.people"), "{}", close.stderr);
    let column = sandbox.run(&["rows", "latest", "people", "--where", "idd=9"]).exits(2);
    assert!(column.stderr.contains("the columns are id, name, note"), "{}", column.stderr);
    sandbox.run(&["rows", "latest", "people", "--where", "id"]).exits(2);
}

#[test]
fn the_rows_of_a_partitioned_table_are_found_in_its_parts() {
    let cluster = Cluster::start();
    sample::create(&cluster, "astro", 1);
    let sandbox = Sandbox::with_tools_of(&cluster);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    backup(&cluster, &sandbox, "astro");
    let id = cluster.sql("astro", "select max(id) from app.audit_logs");
    let document =
        sandbox.run(&["rows", "latest", "app.audit_logs", "--where", &format!("id={id}"), "--json"]).exits(0).json();
    let expected = cluster.sql("astro", &format!("select count(*) from app.audit_logs where id = {id}"));
    assert_eq!(document["rows"].as_array().unwrap().len().to_string(), expected);
}

#[test]
fn a_difference_is_told_row_by_row_and_reads_only_what_differs() {
    let (cluster, sandbox) = people();
    let one = backup(&cluster, &sandbox, "d");
    cluster.sql(
        "d",
        "update people set note = 'new' where id in (5, 15000); delete from people where id = 700; \
         insert into people values (30000, 'late', null); insert into log values (50, 'w'), (50, 'w'); \
         create table fresh as select 1 n",
    );
    let two = backup(&cluster, &sandbox, "d");
    let document = sandbox.run(&["diff", &one, &two, "--json"]).exits(0).json();
    let people = table(&document, "public.people");
    assert_eq!((&people["added"], &people["removed"], &people["changed"]), (&json!(1), &json!(1), &json!(2)));
    assert!(people["chunks_read"].as_u64().unwrap() < 60, "{people}");
    assert_eq!(table(&document, "public.log")["added"], 2);
    assert_eq!(table(&document, "public.fresh")["state"], "added");
    assert!(document["definitions"].to_string().contains("added: table public.fresh"), "{document}");
    assert_eq!(document["rows"], json!([]), "rows are shown only with --table");
    let shown = sandbox.run(&["diff", &one, &two, "--table", "people", "--json"]).exits(0).json();
    let rows = shown["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    let change = |id: &str| {
        let row = rows.iter().find(|row| row["before"]["id"] == id || row["after"]["id"] == id).unwrap();
        (row["change"].as_str().unwrap().to_owned(), row["before"]["note"].clone(), row["after"]["note"].clone())
    };
    assert_eq!(change("5"), ("changed".to_owned(), Value::Null, json!("new")));
    assert_eq!(change("700"), ("removed".to_owned(), Value::Null, Value::Null));
    assert_eq!(change("30000").0, "added");
    let text = sandbox.run(&["diff", &one, &two, "--table", "people", "--key", "15000"]).exits(0).text();
    assert!(text.contains("~ id=15000  note=NULL -> new"), "{text}");
    let same = sandbox.run(&["diff", &one, &one, "--json"]).exits(0).json();
    assert!(same["tables"].as_array().unwrap().iter().all(|table| table["state"] == "same"));
    assert_eq!(table(&same, "public.people")["chunks_read"], 0);
    sandbox.run(&["diff", &one, &two, "--table", "log", "--key", "1"]).exits(2);
    sandbox.run(&["diff", &one, &two, "--table", "nothing"]).exits(2);
}

#[test]
fn rows_longer_than_their_chunks_come_out_whole() {
    let cluster = Cluster::start();
    cluster.create_database("d");
    cluster.sql(
        "d",
        "create table pages (id int primary key, body text); alter table pages alter body set storage external; \
         insert into pages select n, (select string_agg(md5(n::text || i::text), '') from generate_series(1, 3000 + n) i) \
         from generate_series(1, 12) n; \
         insert into pages select 13, string_agg(md5(i::text), '') from generate_series(1, 60000) i",
    );
    let sandbox = Sandbox::with_tools_of(&cluster);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    let one = backup(&cluster, &sandbox, "d");
    // The end of one row, the middle of another, the beginning of a third; two places of one whose pieces between them are the same.
    cluster.sql(
        "d",
        "update pages set body = body || 'end' where id = 3; update pages set body = overlay(body placing 'middle' from 50000) \
         where id = 7; update pages set body = 'begin' || body where id = 9; \
         update pages set body = overlay(overlay(body placing 'here' from 100000) placing 'there' from 1800000) where id = 13",
    );
    let two = backup(&cluster, &sandbox, "d");
    let document = sandbox.run(&["diff", &one, &two, "--table", "pages", "--json"]).exits(0).json();
    let pages = table(&document, "public.pages");
    assert_eq!((&pages["changed"], &pages["added"], &pages["removed"]), (&json!(4), &json!(0), &json!(0)));
    for row in document["rows"].as_array().unwrap() {
        let id = row["after"]["id"].as_str().unwrap();
        let live = cluster.sql("d", &format!("select body from pages where id = {id}"));
        assert!(row["after"]["body"] == live.as_str(), "the row {id} did not come out whole");
    }
    let found = sandbox.run(&["rows", &two, "pages", "--where", "id=7", "--json"]).exits(0).json();
    assert!(found["rows"][0]["body"] == cluster.sql("d", "select body from pages where id = 7").as_str());
    let versions = sandbox.run(&["history", "pages", "--where", "id=7", "--json"]).exits(0).json();
    assert_eq!(versions["versions"].as_array().unwrap().len(), 2);
}

#[test]
fn a_rows_history_is_told_over_all_nights() {
    let (cluster, sandbox) = people();
    let nights = [
        "select 1",
        "select 1",
        "update people set note = 'first' where id = 42",
        "update people set note = 'other' where id = 43",
        "delete from people where id = 42",
        "insert into people values (42, 'person 42', 'back')",
    ];
    let ids: Vec<String> = nights
        .iter()
        .map(|change| {
            cluster.sql("d", change);
            backup(&cluster, &sandbox, "d")
        })
        .collect();
    let document = sandbox.run(&["history", "people", "--where", "id=42", "--json"]).exits(0).json();
    assert_eq!(document["snapshots"], 6);
    let versions = document["versions"].as_array().unwrap();
    let told: Vec<(&str, &str, Value)> = versions
        .iter()
        .map(|version| {
            let text = |name: &str| version[name].as_str().unwrap();
            (text("snapshot"), text("last_snapshot"), version["rows"][0]["note"].clone())
        })
        .collect();
    let night = |at: usize| ids[at].as_str();
    assert_eq!(
        told,
        [
            (night(0), night(1), Value::Null),
            (night(2), night(3), json!("first")),
            (night(4), night(4), Value::Null),
            (night(5), night(5), json!("back")),
        ]
    );
    assert_eq!(versions[2]["rows"], json!([]));
    let text = sandbox.run(&["history", "people", "--where", "id=42"]).exits(0).text();
    assert!(text.contains("gone") && text.contains("note=first"), "{text}");
    sandbox.run(&["history", "people"]).exits(2);
    sandbox.run_with_input(&["backup", "--stdin", "other"], b"text\n").exits(0);
    let unclear = sandbox.run(&["history", "people", "--where", "id=42"]).exits(2);
    assert!(unclear.stderr.contains("--job"), "{}", unclear.stderr);
    sandbox.run(&["history", "people", "--where", "id=42", "--job", "d"]).exits(0);
    assert_eq!(snapshots(&sandbox, "live").len(), 7);
}

/// Values that COPY writes otherwise than they are, and texts that look like what it writes.
const STRANGE: &str = r#"create table strange (id int primary key, "a ""name""	with tab" text, bytes bytea, list text[], doc jsonb, n numeric);
insert into strange values
 (1, E'tab\there\nline\rreturn\bback\fform\x0bvertical\x01control', '\x00ff5c4e', array['a\b', null, 'NULL', '"', ''], '{"a": "\t\\N\""}', 1.50),
 (2, null, null, null, null, null),
 (3, '\N', '\x', array[]::text[], 'null', 'NaN'),
 (4, '', '\x5c5c', array['\N'], '""', 0),
 (5, 'NULL', null, null, null, null),
 (6, '\t\n\\ \x41 \101 "quoted" ''single'' {"json": 1} ção 日本 🦀', null, null, null, null),
 (7, '\.', null, null, null, null);"#;

/// The rows of a table as the database itself says them, every value as its text.
fn said_by_the_database(cluster: &Cluster, database: &str, table: &str) -> Value {
    let columns = cluster.sql(
        database,
        &format!("select string_agg(format('%L, %I::text', attname, attname), ', ' order by attnum) from pg_attribute where attrelid = '{table}'::regclass and attnum > 0"),
    );
    let rows = format!("select json_agg(json_build_object({columns}) order by id) from {table}");
    serde_json::from_str(&cluster.sql(database, &rows)).unwrap()
}

#[test]
fn json_holds_the_values_themselves() {
    let (cluster, sandbox) = people();
    cluster.sql("d", STRANGE);
    let before = said_by_the_database(&cluster, "d", "strange");
    let one = backup(&cluster, &sandbox, "d");
    cluster.sql(
        "d",
        r#"update strange set "a ""name""	with tab" = '\N' || E'\t' where id = 2; delete from strange where id = 6"#,
    );
    let after = said_by_the_database(&cluster, "d", "strange");
    let two = backup(&cluster, &sandbox, "d");
    let by_id = |mut rows: Vec<Value>| {
        rows.sort_by_key(|row| row["id"].as_str().unwrap().to_owned());
        Value::Array(rows)
    };
    let rows = |snapshot: &str| {
        let document = sandbox.run(&["rows", snapshot, "strange", "--json"]).exits(0).json();
        by_id(document["rows"].as_array().unwrap().clone())
    };
    assert_eq!((rows(&one), rows(&two)), (before.clone(), after.clone()));
    for id in 1..=7_usize {
        let wanted = format!("id={id}");
        let told = sandbox.run(&["history", "strange", "--where", &wanted, "--json"]).exits(0).json();
        assert_eq!(told["versions"][0]["rows"], json!([before[id - 1]]), "{told:#}");
    }
    let told = sandbox.run(&["diff", &one, &two, "--table", "strange", "--json"]).exits(0).json();
    let change =
        |kind: &str| told["rows"].as_array().unwrap().iter().find(|row| row["change"] == kind).unwrap().clone();
    assert_eq!((&change("changed")["before"], &change("changed")["after"]), (&before[1], &after[1]));
    assert_eq!((&change("removed")["before"], &change("removed")["after"]), (&before[5], &Value::Null));
    // For people, what is not there is told from a text that says so.
    let text = sandbox.run(&["history", "strange", "--where", "id=5"]).exits(0).text();
    assert!(text.contains("=\"NULL\"") && text.contains("bytes=NULL"), "{text}");
}

#[test]
fn a_latin1_database_is_read_in_its_own_letters() {
    let (cluster, sandbox) = people();
    cluster.sql("postgres", "create database l encoding 'LATIN1' locale 'C' template template0");
    cluster.sql("l", "set client_encoding to 'UTF8'; create table pessoas (id int primary key, \"endereço\" text); insert into pessoas values (1, 'São João'), (2, null)");
    let id = backup(&cluster, &sandbox, "l");
    let found = |wanted: &str| {
        sandbox.run(&["rows", &id, "pessoas", "--where", wanted, "--json"]).exits(0).json()["rows"].clone()
    };
    assert_eq!(found("endereço=São João"), json!([{"id": "1", "endereço": "São João"}]));
    assert_eq!(found("id=2"), json!([{"id": "2", "endereço": null}]));
    assert_eq!(found("endereço=日本"), json!([]));
}

#[test]
fn deleted_rows_come_back_and_living_ones_stay_as_they_are() {
    let (cluster, sandbox) = people();
    cluster.sql("d", r"update people set name = E'O''Neil\tå\\' where id = 11");
    let id = backup(&cluster, &sandbox, "d");
    cluster.sql("d", "delete from people where id between 10 and 19; update people set note = 'mine' where id = 5");
    let url = cluster.url("d");
    let before = cluster.sql("d", "select md5(string_agg(p::text, ',' order by id)) from people p");
    let run = sandbox.run(&["recover", "people", "--from", &id, "--missing-in", &url]).exits(0);
    assert!(run.stderr.contains("10 rows"), "{}", run.stderr);
    assert_eq!(cluster.sql("d", "select md5(string_agg(p::text, ',' order by id)) from people p"), before);
    let aside = ["recover", "people", "--from", &id, "--missing-in", &url, "--into-schema", "aside", "--json"];
    let document = sandbox.run(&aside).exits(0).json();
    assert_eq!((&document["rows"], &document["into"]), (&json!(10), &json!("\"aside\".\"people\"")));
    assert_eq!(cluster.sql("d", "select count(*), min(id), max(id) from aside.people"), "10\t10\t19");
    sandbox.run(&aside).exits(1);
    // Some of them only, then the rest: what is written runs as it is.
    let some = ["recover", "people", "--from", &id, "--missing-in", &url, "--where", "id=11", "--out", "some.sql"];
    sandbox.run(&some).exits(0);
    sandbox.run(&some).exits(1);
    cluster.sql("d", &fs::read_to_string(sandbox.path("some.sql")).unwrap());
    assert_eq!(cluster.sql("d", r"select name = E'O''Neil\tå\\' from people where id = 11"), "t");
    let rest = ["recover", "people", "--from", &id, "--missing-in", &url, "--inserts"];
    let sql = sandbox.run(&rest).exits(0).text();
    assert_eq!(sql.matches("INSERT INTO").count(), 9);
    cluster.sql("d", &sql);
    cluster.sql("d", &sql);
    assert_eq!(cluster.sql("d", "select count(*) from people"), "20000");
    assert_eq!(cluster.sql("d", "select note from people where id = 5"), "mine");
    let none = sandbox.run(&["recover", "people", "--from", &id, "--missing-in", &url]).exits(0);
    assert!(none.stderr.contains("0 rows"), "{}", none.stderr);
    let keyless = sandbox.run(&["recover", "log", "--from", &id, "--missing-in", &url]).exits(1);
    assert!(keyless.stderr.contains("--on"), "{}", keyless.stderr);
    sandbox.run(&["recover", "log", "--from", &id, "--missing-in", &url, "--on", "at,what"]).exits(0);
    cluster.sql("d", "alter table people drop column note");
    let narrower = sandbox.run(&["recover", "people", "--from", &id, "--missing-in", &url]).exits(1);
    assert!(narrower.stderr.contains("has no column"), "{}", narrower.stderr);
}

#[test]
fn a_sample_tells_a_living_database_from_another() {
    let (cluster, sandbox) = people();
    cluster.sql("d", "create table few (id int primary key, note text); insert into few select generate_series(1, 30)");
    cluster.sql("d", "create table words (word text primary key); insert into words select left(repeat('x', n), n - 1) from generate_series(1, 30) n");
    backup(&cluster, &sandbox, "d");
    let spot = ["spot", "d", "--with", &cluster.url("d"), "--sample", "300", "--json"];
    let document = sandbox.run(&spot).exits(0).json();
    let people = table(&document, "public.people");
    assert_eq!((&people["sampled"], &people["same"]), (&json!(300), &json!(300)));
    assert_eq!(people["rows_live"], 20_000);
    assert!(table(&document, "public.log")["skipped"].as_str().unwrap().contains("primary key"));
    // A table smaller than the sample is sampled whole, without what pg_dump writes behind its last row.
    for name in ["few", "words"] {
        let few = table(&document, &format!("public.{name}"));
        assert_eq!((&few["sampled"], &few["same"], &few["rows"]), (&json!(30), &json!(30), &json!(30)), "{few}");
    }
    cluster.sql("d", "update people set note = 'x' where id % 3 = 0; delete from people where id % 3 = 1");
    let document = sandbox.run(&spot).exits(3).json();
    let people = table(&document, "public.people");
    let number = |name: &str| people[name].as_u64().unwrap();
    assert_eq!(number("same") + number("changed") + number("missing"), 300);
    assert!(number("changed") > 40 && number("missing") > 40 && number("same") > 40, "{people}");
    sandbox.run(&["spot", "d", "--with", &cluster.url("d"), "--tolerance", "90%"]).exits(0);
    sandbox.run(&["spot", "d"]).exits(2);
}
