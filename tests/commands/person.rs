//! Erasing a person as one does it: rules, plan, refusal, successors of every night, receipt, the next backup, held snapshots.
//!
//! What is left of each night is compared with what PostgreSQL itself leaves of a copy of that night's database.

use std::fs;

use serde_json::Value;

use crate::support::cluster::Cluster;
use crate::support::sandbox::Sandbox;

const SCHEMA: &str = "
create schema app;
create table app.users (tenant int, id int, email text not null, referred_tenant int, referred_by int, name text, primary key (tenant, id),
  foreign key (referred_tenant, referred_by) references app.users (tenant, id) on delete set null);
create table app.orders (id int primary key, tenant int, user_id int, total numeric, items jsonb,
  foreign key (tenant, user_id) references app.users (tenant, id) on delete cascade);
create table app.order_lines (id int primary key, order_id int references app.orders on delete cascade, what text, follows int references app.order_lines on delete cascade);
create table app.invoices (id int primary key, tenant int, user_id int, holder text, amount numeric,
  foreign key (tenant, user_id) references app.users (tenant, id) on delete set null);
create table app.audit (id int primary key, payload jsonb);
create table app.notes (id int primary key, body text);
insert into app.users select n % 3, n, 'user' || n || '@mail.example', case when n > 30 then (n - 30) % 3 end, case when n > 30 then n - 30 end, 'Name of ' || n
  from generate_series(1, 600) n;
insert into app.orders select n, (n % 600 + 1) % 3, n % 600 + 1, n * 1.5, jsonb_build_object('note', md5(n::text)) from generate_series(1, 9000) n;
insert into app.order_lines select n, n % 9000 + 1, md5((n * 7)::text), case when n > 9000 then n - 9000 end from generate_series(1, 20000) n;
insert into app.invoices select n, (n % 600 + 1) % 3, n % 600 + 1, 'Holder ' || n % 600 + 1, n from generate_series(1, 1200) n;
insert into app.audit select n, jsonb_build_object('actor', jsonb_build_object('tenant', (n % 600 + 1) % 3, 'id', n % 600 + 1), 'path', md5(n::text)) from generate_series(1, 3000) n;
insert into app.notes select n, 'note number ' || n from generate_series(1, 500) n;
select lo_from_bytea(0, decode(md5('large'), 'hex'));
comment on table app.users is 'people';
";

pub(crate) const RULES: &str = r#"
version = 1
[subject.user]
root = "app.users"
key = ["tenant", "id"]
identifiers = ["email"]
[[subject.user.table]]
name = "app.orders"
action = "delete"
[[subject.user.table]]
name = "app.order_lines"
action = "delete"
[[subject.user.table]]
name = "app.invoices"
action = "null"
columns = { holder = "text:(erased)" }
[[subject.user.table]]
name = "app.audit"
via = ["payload->'actor'->>'tenant'", "payload->'actor'->>'id'"]
action = "delete"
"#;

/// What PostgreSQL is told to do for the same person.
pub(crate) const SQL: &str = "
update app.invoices set tenant = null, user_id = null, holder = '(erased)' where tenant = 0 and user_id = 42;
delete from app.audit where payload->'actor'->>'tenant' = '0' and payload->'actor'->>'id' = '42';
delete from app.users where tenant = 0 and id = 42;
";

/// What happens between two nights.
pub(crate) fn day(cluster: &Cluster, night: u32) {
    let base = 9000 + night * 60;
    cluster.sql(
        "d",
        &format!(
            "insert into app.orders select n, (n % 600 + 1) % 3, n % 600 + 1, n, '{{}}' from generate_series({base} + 1, {base} + 60) n; \
             insert into app.orders select {base} + 1000000, tenant, id, {night}, '{{}}' from app.users where id = 42; \
             update app.users set name = name || '.' where id % 100 = {night}"
        ),
    );
}

pub(crate) struct Nights {
    pub(crate) cluster: Cluster,
    pub(crate) sandbox: Sandbox,
    pub(crate) ids: Vec<String>,
    stored: Vec<u64>,
}

pub(crate) fn nights(count: u32) -> Nights {
    let cluster = Cluster::start();
    cluster.create_database("d");
    cluster.sql("d", SCHEMA);
    let sandbox = Sandbox::with_tools_of(&cluster);
    sandbox.run(&["init", "--no-kit"]).exits(0);
    let (mut ids, mut stored) = (Vec::new(), Vec::new());
    for night in 0..count {
        day(&cluster, night);
        let made = sandbox.run(&["backup", "--postgres", &cluster.url("d"), "--json"]).exits(0).json();
        ids.push(made["snapshot"].as_str().unwrap().to_owned());
        stored.push(made["bytes_new"].as_u64().unwrap());
        cluster.sql("postgres", &format!("create database want{night} template d"));
        cluster.sql(&format!("want{night}"), SQL);
    }
    fs::write(sandbox.path("rules.toml"), RULES).unwrap();
    fs::write(sandbox.path("key"), "0\t42\n").unwrap();
    Nights { cluster, sandbox, ids, stored }
}

pub(crate) const ERASE: [&str; 8] =
    ["erase", "person", "--rules", "rules.toml", "--subject", "user", "--key-file", "key"];

pub(crate) fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    ERASE.iter().copied().chain(more.iter().copied()).collect()
}

pub(crate) fn texts(list: &Value, field: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|entry| entry[field].as_str().unwrap().to_owned()).collect()
}

pub(crate) fn states(sandbox: &Sandbox) -> Vec<String> {
    texts(&sandbox.run(&["snapshots", "--json"]).exits(0).json()["snapshots"], "state")
}

/// A night that was restored is, table by table, what PostgreSQL left of it.
pub(crate) fn assert_as_postgres_left_it(nights: &Nights, snapshot: &str, night: usize) {
    let database = format!("back{night}");
    let url = nights.cluster.url(&database);
    nights.sandbox.run(&["restore", snapshot, "--to", &url, "--create"]).exits(0);
    let want = nights.cluster.tables(&format!("want{night}"));
    assert_eq!(nights.cluster.tables(&database), want, "night {night}");
    assert!(!want.is_empty());
}

#[test]
fn every_night_comes_back_without_the_person_and_with_everyone_else() {
    let nights = nights(4);
    let sandbox = &nights.sandbox;
    let copy = sandbox.path("copy");
    let copied =
        sandbox.program("cp", &["-a", sandbox.repository().to_str().unwrap(), copy.to_str().unwrap()]).status();
    assert!(copied.unwrap().success());

    let plan = sandbox.run(&with(&["--dry-run", "--json"])).exits(0).json();
    assert_eq!((plan["state"].as_str(), plan["erasure"].is_null()), (Some("planned"), true));
    assert_eq!(plan["snapshots"].as_array().unwrap().len(), 4);
    assert!(plan["bytes_dead"].as_u64().unwrap() < plan["bytes_shared"].as_u64().unwrap());
    assert_eq!(states(sandbox), ["live"; 4]);
    // Without a terminal and without --yes nothing happens.
    sandbox.run(&with(&[])).exits(15);
    assert_eq!(states(sandbox), ["live"; 4]);

    let erased = sandbox.run(&with(&["--yes", "--reason", "art17", "--json"])).exits(5).json();
    assert_eq!(texts(&erased["snapshots"], "old"), nights.ids);
    let removed: Vec<u64> =
        erased["snapshots"].as_array().unwrap().iter().map(|entry| entry["rows_removed"].as_u64().unwrap()).collect();
    assert!(removed[0] > 10 && removed.is_sorted() && removed[0] < removed[3], "{removed:?}");
    let new = texts(&erased["snapshots"], "new");
    for (night, snapshot) in new.iter().enumerate() {
        assert_as_postgres_left_it(&nights, snapshot, night);
        sandbox.run(&["restore", &nights.ids[night], "--stdout"]).exits(15);
    }
    assert_eq!(states(sandbox).iter().filter(|state| *state == "live").count(), 4);
    sandbox.run(&["repo", "check", "--read-data"]).exits(0);

    // The archive of what is left is one that pg_restore reads, and one table comes back alone.
    sandbox.run(&["restore", &new[3], "--to-file", "left.dump"]).exits(0);
    nights.cluster.create_database("stock");
    let stock =
        nights.cluster.client("pg_restore").args(["--no-owner", "-d", "stock"]).arg(sandbox.path("left.dump")).output();
    assert!(stock.unwrap().status.success());
    assert_eq!(nights.cluster.tables("stock"), nights.cluster.tables("want3"));
    nights.cluster.create_database("one");
    nights.cluster.sql("one", "create table here (n int)");
    let url = nights.cluster.url("one");
    sandbox.run(&["restore", &new[2], "--to", &url, "--table", "app.notes", "--yes"]).exits(0);
    assert_eq!(nights.cluster.sql("one", "select count(*) from app.notes"), "500");

    // The next night, from a database without the person, uploads no more than any other.
    nights.cluster.sql("d", SQL);
    day(&nights.cluster, 4);
    let next = sandbox.run(&["backup", "--postgres", &nights.cluster.url("d"), "--json"]).exits(0).json();
    let usual = nights.stored[1..].iter().max().unwrap();
    assert!(next["bytes_new"].as_u64().unwrap() <= usual * 3 / 2, "{} after {usual}", next["bytes_new"]);

    let resumed = sandbox.run(&["erase", "resume", "--json"]).exits(0).json();
    assert_eq!(resumed["erasures"][0]["state"], "complete");
    assert_receipt(sandbox, resumed["erasures"][0]["receipt"].as_str().unwrap());

    // An old copy, today's seal and every key: nothing opens.
    let (copy, home) = (copy.to_str().unwrap().to_owned(), sandbox.path("auditor").to_str().unwrap().to_owned());
    let identity = super::keys_of(sandbox).join("identity.txt").to_str().unwrap().to_owned();
    let mut prove = vec!["--repo", &copy, "--home", &home, "--identity", &identity, "erase", "prove", "--json"];
    prove.extend(nights.ids.iter().map(String::as_str));
    let proof = sandbox.run(&prove).exits(0).json();
    assert!(proof["succeeded"] == 0 && proof["tried"].as_u64().unwrap() > 0, "{proof}");
}

/// The receipt says what was done to which table, names nobody, and is proved with the public key alone.
fn assert_receipt(sandbox: &Sandbox, path: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(!text.contains("user42@") && !text.contains("Name of 42"), "a receipt names nobody");
    let manifest: Value = serde_json::from_slice(&fs::read(sandbox.repository().join("lacre.json")).unwrap()).unwrap();
    let key = manifest["admin"].as_str().unwrap();
    let elsewhere = Sandbox::new();
    fs::write(elsewhere.path("receipt"), &text).unwrap();
    let verified = elsewhere.run(&["receipt", "verify", "receipt", "--admin-key", key, "--json"]).exits(0).json();
    assert_eq!(verified["receipt"]["person"]["successors"].as_array().unwrap().len(), 4);
    let tables = texts(&verified["accounts"][0]["tables"], "table");
    assert!(tables.contains(&"app.orders".to_owned()) && !tables.contains(&"app.notes".to_owned()), "{tables:?}");
    // An account that says something else is not the one that was signed for.
    let removed = verified["accounts"][0]["tables"][0]["removed"].as_u64().unwrap();
    let forged = text.replacen(&format!("\"removed\": {removed}"), "\"removed\": 99999", 1);
    assert_ne!(forged, text);
    fs::write(elsewhere.path("receipt"), forged).unwrap();
    elsewhere.run(&["receipt", "verify", "receipt", "--admin-key", key]).exits(4);
}

#[test]
fn traces_that_would_be_left_fail_the_erasure_before_anything_is_signed() {
    let nights = nights(2);
    let sandbox = &nights.sandbox;
    nights.cluster.sql("d", "update app.notes set body = 'write to User42@Mail.example' where id = 7; comment on column app.notes.body is 'ask user42@mail.example'");
    sandbox.run(&["backup", "--postgres", &nights.cluster.url("d")]).exits(0);
    let refused = sandbox.run(&with(&["--yes"])).exits(15);
    assert!(refused.stderr.contains("app.notes.body: 1 time, of email"), "{}", refused.stderr);
    assert!(refused.stderr.contains("definitions") && !refused.stderr.contains("user42"), "{}", refused.stderr);
    assert_eq!(states(sandbox), ["live"; 3]);
    assert_eq!(sandbox.run(&["erase", "status", "--json"]).exits(0).json()["erasures"].as_array().unwrap().len(), 0);
    fs::write(sandbox.path("rules.toml"), format!("{RULES}\n[sweep]\nresidue = \"report\"\n")).unwrap();
    let erased = sandbox.run(&with(&["--yes", "--json"])).exits(5).json();
    assert_eq!(texts(&erased["traces"], "place"), ["app.notes", "definitions, defaults and comments"]);
    assert_as_postgres_left_it(&nights, erased["snapshots"][0]["new"].as_str().unwrap(), 0);
}

#[test]
fn rules_that_do_not_fit_and_persons_nobody_names_are_refused() {
    let nights = nights(1);
    let sandbox = &nights.sandbox;
    fs::write(sandbox.path("rules.toml"), RULES.replace("name = \"app.order_lines\"", "name = \"app.lines\"")).unwrap();
    let refused = sandbox.run(&with(&["--yes"])).exits(2);
    assert!(refused.stderr.contains("app.lines"), "{}", refused.stderr);
    fs::write(sandbox.path("rules.toml"), RULES).unwrap();
    let nobody = sandbox.run(&["erase", "person", "--rules", "rules.toml", "--subject", "user", "--yes"]).exits(15);
    assert!(nobody.stderr.contains("--key-file"), "{}", nobody.stderr);
    sandbox.run(&["erase", "person", "--rules", "rules.toml", "--subject", "pet", "--key", "1", "--yes"]).exits(2);
    // A key on the command line works, and is warned about.
    let arguments = ["erase", "person", "--rules", "rules.toml", "--subject", "user", "--key", "0\t42", "--dry-run"];
    let warned = sandbox.run(&arguments).exits(0);
    assert!(warned.stderr.contains("visible to other programs"), "{}", warned.stderr);
    let arguments = ["erase", "person", "--rules", "rules.toml", "--subject", "user", "--key-file", "-", "--dry-run"];
    sandbox.run_with_input(&arguments, b"0\t42").exits(0);
    assert_eq!(states(sandbox), ["live"]);
}

#[test]
fn until_the_seal_is_changed_a_night_is_handed_out_without_the_person_and_can_be_had_back() {
    let nights = nights(2);
    let sandbox = &nights.sandbox;
    let begun = sandbox.run(&with(&["--yes", "--not-before", "2099-01-01T00:00:00Z", "--json"])).exits(5).json();
    assert_eq!((begun["state"].as_str(), states(sandbox).len()), (Some("pending"), 4));
    let url = nights.cluster.url("back0");
    let refused = sandbox.run(&["restore", &nights.ids[0], "--to", &url, "--create"]).exits(15);
    assert!(refused.stderr.contains("--accept-erasing"), "{}", refused.stderr);
    sandbox.run(&["restore", &nights.ids[0], "--to", &url, "--create", "--accept-erasing"]).exits(0);
    assert_eq!(nights.cluster.tables("back0"), nights.cluster.tables("want0"));
    let id = begun["erasure"].as_str().unwrap();
    sandbox.run(&["erase", "cancel", &id[..8]]).exits(0);
    let url = nights.cluster.url("all");
    sandbox.run(&["restore", "latest", "--to", &url, "--create"]).exits(0);
    assert_eq!(nights.cluster.sql("all", "select count(*) from app.users where tenant = 0 and id = 42"), "1");
    assert_eq!(super::snapshots(sandbox, "live"), nights.ids);
}

#[test]
fn a_held_night_waits_and_is_erased_by_the_same_command_later() {
    let nights = nights(2);
    let sandbox = &nights.sandbox;
    sandbox.run(&["hold", &nights.ids[0], "--reason", "court"]).exits(0);
    let erased = sandbox.run(&with(&["--yes", "--json"])).exits(5).json();
    assert_eq!(erased["held"][0], nights.ids[0].as_str());
    assert!(erased["pending"].to_string().contains(&format!("hold:{}", nights.ids[0])));
    // It is handed out only without the person: the list beside it says in tokens who that is.
    sandbox.run(&["restore", &nights.ids[0], "--stdout"]).exits(15);
    sandbox.run(&["cat", &nights.ids[0], "app.users"]).exits(15);
    let url = nights.cluster.url("held");
    sandbox.run(&["restore", &nights.ids[0], "--to", &url, "--create", "--accept-erasing"]).exits(0);
    assert_eq!(nights.cluster.tables("held"), nights.cluster.tables("want0"));
    sandbox.run(&["restore", &nights.ids[0], "--to-file", "held.dump", "--accept-erasing"]).exits(0);
    nights.cluster.create_database("stock");
    let mut stock = nights.cluster.client("pg_restore");
    assert!(stock.args(["--no-owner", "-d", "stock"]).arg(sandbox.path("held.dump")).status().unwrap().success());
    assert_eq!(nights.cluster.tables("stock"), nights.cluster.tables("want0"));
    assert_eq!(sandbox.repository().join("suppress").read_dir().unwrap().count(), 1);
    sandbox.run(&["release", &nights.ids[0]]).exits(0);
    let again = sandbox.run(&with(&["--yes", "--json"])).exits(5).json();
    assert_eq!(again["erasure"], erased["erasure"]);
    assert_as_postgres_left_it(&nights, again["snapshots"][0]["new"].as_str().unwrap(), 0);
    nights.cluster.sql("d", SQL);
    sandbox.run(&["backup", "--postgres", &nights.cluster.url("d")]).exits(0);
    let resumed = sandbox.run(&["erase", "resume", "--json"]).exits(0).json();
    assert_eq!(resumed["erasures"][0]["state"], "complete");
}

#[test]
fn the_intent_of_a_person_is_told_at_once_and_the_copy_gets_the_new_seal() {
    let nights = nights(1);
    let mut sandbox = nights.sandbox;
    fs::create_dir(sandbox.path("disk")).unwrap();
    let config = format!(
        "[hooks]\non_erase_intent = [[\"sh\", \"hook.sh\"]]\n[[notify.command]]\nname = \"pager\"\ncommand = [\"sh\", \"pager.sh\"]\non = [\"erasure\"]\n\
         [[copy]]\nname = \"disk\"\nurl = {:?}\n",
        sandbox.path("disk/copy")
    );
    let path = sandbox.path("lacre.toml");
    fs::write(&path, config).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    sandbox.set("LACRE_CONFIG", path);
    fs::write(sandbox.path("hook.sh"), "cat >> hooked").unwrap();
    fs::write(sandbox.path("pager.sh"), "cat >> heard; echo >> heard").unwrap();
    sandbox.run(&["copy", "sync"]).exits(0);
    sandbox.run(&with(&["--dry-run"])).exits(0);
    assert!(!sandbox.path("hooked").exists(), "a plan is no intent");
    let erased = sandbox.run(&with(&["--yes", "--json"])).json();
    let hooked: Value = serde_json::from_str(&fs::read_to_string(sandbox.path("hooked")).unwrap()).unwrap();
    assert_eq!(
        (&hooked["event"], &hooked["erasure"], &hooked["snapshots"]),
        (&"erase_intent".into(), &erased["erasure"], &1.into())
    );
    let heard: Value = serde_json::from_str(fs::read_to_string(sandbox.path("heard")).unwrap().trim()).unwrap();
    assert_eq!(
        (&heard["event"], &heard["title"]),
        (&"erasure".into(), &"somebody signed the erasure of a person".into())
    );
    assert!(!heard.to_string().contains("user42") && !hooked.to_string().contains("42@"), "{heard} {hooked}");
    // The new list, bundle and policy went to the copy before the old seal was destroyed.
    let copies = sandbox.run(&["copy", "list", "--json"]).json();
    assert_ne!(copies["copies"][0]["state"], "old-generation", "{copies:#}");
    // Asked for again, there is nobody left to erase, and nothing is signed.
    let again = sandbox.run(&with(&["--yes", "--json"])).exits(0).json();
    assert_eq!((&again["state"], &again["erasure"]), (&"nothing".into(), &Value::Null), "{again:#}");
    assert_eq!(fs::read_to_string(sandbox.path("hooked")).unwrap().lines().count(), 1);
}
