//! A person's rows leave a dump as they leave the database itself: both are compared, table by table.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::sync::Arc;

use lacre_dump::closure::{KeyBook, Plan, ShapeId, TablePlan, Tally, Walk};
use lacre_dump::copy::{Identifier, rows};
use lacre_dump::personal::{Personal, Subject};
use lacre_dump::rules::{Form, Rules};
use lacre_dump::schema::Schema;
use lacre_dump::select::{Findings, Rewriter, Search, decide};
use lacre_dump::sweep::{Needles, Traces};
use lacre_dump::verify::{self, Leftover};

use crate::parts::{Parts, take_apart};
use crate::postgres::{Server, run};

const NASTY: &str = include_str!("../vectors/erasure.sql");
const NASTY_RULES: &str = include_str!("../vectors/erasure.toml");

/// What PostgreSQL does for the same person.
const NASTY_SQL: &str = r#"
UPDATE public.events SET payload = jsonb_set(jsonb_set(jsonb_set(jsonb_set(payload, '{actor}', 'null'), '{email}', 'null'), '{"quo\"te"}', 'null'), '{names,1,name}', 'null')
  WHERE payload->'actor'->>'tenant' = '1' AND payload->'actor'->>'id' = '42';
UPDATE public.events SET raw = '{ "z":[ ] }'::json WHERE raw->>'user' = '42';
UPDATE public.invoices SET account = NULL, holder = E'(erased)\tx' WHERE tenant = 1 AND account = 42;
DELETE FROM public.newsletter WHERE mail::citext IN (SELECT email FROM public.accounts WHERE tenant = 1 AND id = 42);
DELETE FROM public.comments WHERE about_kind = 'account' AND tenant = 1 AND about_id = 42;
DELETE FROM public.people WHERE tenant = 1 AND account = 42;
UPDATE public.notes SET tail = jsonb_set(tail, '{text}', 'null') WHERE tenant = 1 AND account = 42;
DELETE FROM public.accounts WHERE tenant = 1 AND id = 42;
"#;

const SAMPLE_RULES: &str = r#"
[subject.user]
root = "app.users"
key = "id"
identifiers = ["email", "cpf"]
[[subject.user.table]]
name = "app.birth_charts"
action = "delete"
[[subject.user.table]]
name = "app.oauth_connections"
action = "delete"
[[subject.user.table]]
name = "app.sessions"
action = "delete"
[[subject.user.table]]
name = "app.audit_logs"
via = "user_id"
action = "null"
columns = { payload = "json-remove:address" }
"#;

const SAMPLE_SQL: &str = "
UPDATE app.audit_logs SET user_id = NULL, payload = payload #- '{address}' WHERE user_id = 17;
DELETE FROM app.users WHERE id = 17;
";

fn dump(server: &Server, database: &str) -> Parts {
    take_apart(run(server.client("pg_dump").args(["-Fc", "-Z0", database])).stdout.as_slice()).unwrap()
}

/// The table's content in runs of whole rows of about so many bytes.
fn runs(content: &[u8], bytes: usize) -> Vec<&[u8]> {
    let mut runs = Vec::new();
    let mut rest = content;
    while !rest.is_empty() {
        let least = bytes.min(rest.len()) - 1;
        let end = rest[least..].iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| least + at + 1);
        let (run, after) = rest.split_at(end);
        runs.push(run);
        rest = after;
    }
    runs
}

struct Erased {
    content: BTreeMap<String, Vec<u8>>,
    tallies: BTreeMap<String, Tally>,
    leftover: Leftover,
    traces: Traces,
    searched: usize,
}

/// What a vault would do, with a cache of findings shared by all snapshots.
struct Vault {
    book: KeyBook,
    cache: HashMap<(Vec<u8>, ShapeId), Arc<Findings>>,
    run_bytes: usize,
    searched: usize,
}

impl Vault {
    fn new(run_bytes: usize) -> Vault {
        Vault { book: KeyBook::new(), cache: HashMap::new(), run_bytes, searched: 0 }
    }

    /// The findings of a run, from the cache if they know all that this walk knows.
    fn search(&mut self, table: &TablePlan, run: &[u8], walk: &Walk<'_>) -> Arc<Findings> {
        let key = (run.to_vec(), table.shape_id);
        if let Some(known) = self.cache.get(&key).filter(|known| known.cover(walk.marks())) {
            return Arc::clone(known);
        }
        self.searched += 1;
        let search = Search::new(&table.shape, &self.book);
        let mut scanner = search.scan();
        run.chunks(self.run_bytes / 3 + 1).for_each(|piece| scanner.push(piece).unwrap());
        let findings = Arc::new(scanner.finish().unwrap());
        assert_eq!(*findings, search.run(run).unwrap(), "pieces must not change what is found");
        self.cache.insert(key, Arc::clone(&findings));
        findings
    }

    fn erase(&mut self, parts: &Parts, rules: &str, name: &str, subject: &Subject) -> Erased {
        let rules = Rules::parse(rules).unwrap();
        let schema = Schema::of_archive(&parts.toc).unwrap();
        let plan = Plan::new(rules.subject(name).unwrap(), &schema, &mut self.book).unwrap();
        let mut walk = Walk::new(&plan, subject, &mut self.book).unwrap();
        while let Some(tables) = walk.next_tables().unwrap() {
            for at in tables {
                let table = &plan.tables[at];
                for run in runs(&parts.content[&table.dump_id], self.run_bytes) {
                    let findings = self.search(table, run, &walk);
                    walk.absorb(at, &findings, &mut self.book).unwrap();
                }
            }
        }
        let searched = std::mem::take(&mut self.searched);
        let mut erased = Erased {
            content: BTreeMap::new(),
            tallies: BTreeMap::new(),
            leftover: Leftover::default(),
            traces: Traces::default(),
            searched,
        };
        for table in parts.toc.tables() {
            let name = String::from_utf8([table.schema, b".", table.name].concat()).unwrap();
            let planned = plan.tables.iter().find(|planned| planned.dump_id == table.entry.dump_id());
            let content = &parts.content[&table.entry.dump_id()];
            let mut left = Vec::new();
            let mut tally = Tally::default();
            for run in runs(content, self.run_bytes) {
                let Some(planned) = planned else {
                    left.extend_from_slice(run);
                    continue;
                };
                let findings = self.search(planned, run, &walk);
                let (verdict, counts) = decide(&planned.shape, &findings, walk.marks()).unwrap();
                tally.add(&counts);
                let mut rewriter = Rewriter::new(&verdict);
                run.chunks(self.run_bytes / 2 + 1).for_each(|piece| rewriter.push(piece, &mut left).unwrap());
                let written = rewriter.finish(&mut left).unwrap();
                assert_eq!((written.deleted, written.changed), (counts.deleted, counts.changed));
                assert_eq!(verdict.is_untouched(), (written.deleted, written.changed) == (0, 0));
            }
            if let Some(planned) = planned {
                let survivors = Search::new(&planned.shape, &self.book).run(&left).unwrap();
                erased.leftover.add(&verify::check(&planned.shape, &survivors, walk.marks()).unwrap());
                assert!(verify::counts_add_up(&tally, survivors.rows()), "{name}");
                erased.tallies.insert(name.clone(), tally);
            }
            erased.content.insert(name, left);
        }
        let (_, identifiers) = walk.finish();
        let needles = Needles::new(&identifiers, &Form::ALL);
        for content in erased.content.values() {
            let mut sweeper = needles.rows();
            content.chunks(4096).for_each(|piece| sweeper.push(piece));
            erased.traces.add(&sweeper.finish());
        }
        erased
    }
}

fn subject(key: &[&str]) -> Subject {
    Subject { keys: vec![key.iter().map(|part| Personal::new(*part)).collect()], identifiers: Vec::new() }
}

fn sorted(content: &[u8]) -> Vec<&[u8]> {
    let mut all: Vec<_> = rows(content).collect();
    all.sort_unstable();
    all
}

/// Compares what is left of each table with what the database has; the order may differ only where rows were updated.
fn compare(erased: &Erased, after: &Parts) {
    for table in after.toc.tables() {
        let name = String::from_utf8([table.schema, b".", table.name].concat()).unwrap();
        let (left, wanted) = (&erased.content[&name], &after.content[&table.entry.dump_id()]);
        let changed = erased.tallies.get(&name).map_or(0, |tally| tally.changed);
        if changed == 0 && left == wanted {
            continue;
        }
        let (left, wanted) = (sorted(left), sorted(wanted));
        for (left, wanted) in left.iter().zip(&wanted) {
            assert_eq!(String::from_utf8_lossy(left), String::from_utf8_lossy(wanted), "{name}");
        }
        assert_eq!(left.len(), wanted.len(), "{name}");
        assert!(changed > 0, "{name}: the same rows in another order");
    }
}

#[test]
fn a_person_leaves_a_dump_as_they_leave_the_database() {
    let Some(server) = Server::start() else { return };
    nasty(&server);
    sample(&server);
}

fn nasty(server: &Server) {
    server.create("nasty");
    let file = server.path().join("nasty.sql");
    fs::write(&file, NASTY).unwrap();
    run(server.client("psql").args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "nasty", "-f", file.to_str().unwrap()]));
    let before = dump(server, "nasty");
    let mut vault = Vault::new(4096);
    let erased = vault.erase(&before, NASTY_RULES, "account", &subject(&["1", "42"]));
    server.sql("nasty", NASTY_SQL);
    let after = dump(server, "nasty");
    compare(&erased, &after);
    assert!(erased.leftover.is_none(), "{:?}", erased.leftover);
    for tally in erased.tallies.values() {
        assert_eq!((tally.contradicted, tally.refused), (0, 0));
    }
    let deleted = |name: &str| erased.tallies[name].deleted;
    assert_eq!(deleted("public.accounts"), 1);
    assert_eq!(deleted("public.managers"), 1);
    assert!(deleted("Odd \"S\".Order Items") > 30 && deleted("public.phases") > 10);
    assert!(deleted("public.orders_old") > 0 && deleted("public.orders_new_a") + deleted("public.orders_new_b") > 0);
    assert_eq!((deleted("public.price_uses"), deleted("public.code_uses"), deleted("public.scans")), (2, 2, 1));
    assert_eq!(erased.tallies["public.accounts"].changed, 2, "two were referred by the person");
    assert!(erased.tallies["public.pings"].changed > 0 && erased.tallies["public.audit"].changed == 3);
    // Account (2, 42) has the same taxpayer number; it is found in its column and nowhere else.
    let found: Vec<_> =
        erased.traces.counts.iter().map(|((column, _, field), count)| (column.to_string(), *field, *count)).collect();
    assert_eq!(found, [("cpf".to_owned(), Some(4), 1)]);

    // Cut otherwise, searched again: the same bytes.
    let again = Vault::new(70_000).erase(&before, NASTY_RULES, "account", &subject(&["1", "42"]));
    assert!(again.content == erased.content);
    let rows = Vault::new(1).erase(&before, NASTY_RULES, "account", &subject(&["+01", "42.0"]));
    assert!(rows.content == erased.content);

    // The database after the erasure, as the next night's snapshot: nothing to do, and nearly every run is known from the first.
    let mut vault = Vault::new(4096);
    let first = vault.erase(&before, NASTY_RULES, "account", &subject(&["1", "42"]));
    let second = vault.erase(&after, NASTY_RULES, "account", &subject(&["1", "42"]));
    assert!(second.searched * 3 < first.searched, "{} of {}", second.searched, first.searched);
    let changed = |name: &str| second.tallies[name].changed;
    assert!(second.tallies.values().all(|tally| tally.deleted == 0));
    assert_eq!((changed("public.notes"), changed("public.invoices")), (1, 0), "masked rows stay the person's");
    assert!(second.content.iter().all(|(name, content)| {
        after.toc.tables().any(|table| {
            *name.as_bytes() == *[table.schema, b".", table.name].concat()
                && *content == after.content[&table.entry.dump_id()]
        })
    }));
}

fn sample(server: &Server) {
    server.create("sample");
    let file = server.path().join("sample.sql");
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/support/sample.sql"), &file).unwrap();
    let file = file.to_str().unwrap();
    run(server.client("psql").args(["-X", "-v", "ON_ERROR_STOP=1", "-v", "scale=1", "-d", "sample", "-f", file]));
    let before = dump(server, "sample");
    // The trigger of the sample would write a row for each update; the person is erased without it.
    server.sql("sample", SAMPLE_SQL);
    let after = dump(server, "sample");
    let mut vault = Vault::new(8192);
    let erased = vault.erase(&before, SAMPLE_RULES, "user", &subject(&["17"]));
    compare(&erased, &after);
    assert!(erased.leftover.is_none(), "{:?}", erased.leftover);
    assert_eq!(erased.tallies["app.users"].deleted, 1);
    assert!(erased.tallies.iter().any(|(name, tally)| name.starts_with("app.audit_logs_") && tally.changed > 0));
    assert_eq!(erased.traces.total(), 0, "{:?}", erased.traces);
    let kept = Needles::new(&[(Identifier::new("email"), Personal::new("user18."))], &Form::ALL);
    let mut sweeper = kept.rows();
    sweeper.push(&erased.content["app.users"]);
    assert!(sweeper.finish().total() > 0, "others are still there");
}
