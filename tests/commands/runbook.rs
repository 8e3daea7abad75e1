//! `lacre runbook`, run: every block of commands it prints, on a machine that has only what its page says.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Stdio;

use serde_json::Value;

use super::keys_of;
use crate::support::cluster::Cluster;
use crate::support::sandbox::{Outcome, Sandbox};

const SCHEMA: &str = "
create role reporting;
create schema app;
create table app.users (id int primary key, email text not null);
create table app.orders (id int primary key, user_id int references app.users on delete cascade, total numeric);
insert into app.users select n, 'user' || n || '@mail.example' from generate_series(1, 300) n;
insert into app.orders select n, n % 300 + 1, n * 1.5 from generate_series(1, 4000) n;
grant select on app.users to reporting;
";

const RULES: &str = "version = 1\n[subject.user]\nroot = \"app.users\"\nkey = [\"id\"]\nidentifiers = [\"email\"]\n\
                     [[subject.user.table]]\nname = \"app.orders\"\naction = \"delete\"\n";

/// A server with a database, its repository, a copy, a kit, and nights that were rehearsed.
struct Owner {
    cluster: Cluster,
    sandbox: Sandbox,
}

/// A sandbox in which `lacre` and the programs of a cluster are found, and `postgres:///` is that cluster.
fn machine(cluster: &Cluster) -> Sandbox {
    let mut sandbox = Sandbox::new();
    let bin = sandbox.path("bin");
    fs::create_dir(&bin).unwrap();
    symlink(env!("CARGO_BIN_EXE_lacre"), bin.join("lacre")).unwrap();
    let path = format!("{}:{}:/usr/bin:/bin", bin.display(), cluster.tools().display());
    sandbox.unset("LACRE_REPO").set("PATH", path);
    sandbox.set("PGHOST", cluster.sockets()).set("PGPORT", cluster.port().to_string()).set("PGUSER", "postgres");
    sandbox
}

impl Owner {
    fn new() -> Owner {
        let cluster = Cluster::start();
        cluster.create_database("astro");
        cluster.sql("astro", SCHEMA);
        let mut sandbox = machine(&cluster);
        fs::create_dir(sandbox.path("disk")).unwrap();
        let config = format!(
            "repository = {:?}\n[[job]]\nname = \"astro\"\npostgres = \"{}\"\n[[copy]]\nname = \"usb\"\nurl = {:?}\n[drill]\nserver = \"{}\"\n",
            sandbox.repository(),
            cluster.url("astro"),
            sandbox.path("disk/copy"),
            cluster.url("postgres"),
        );
        let path = sandbox.path("lacre.toml");
        fs::write(&path, config).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        sandbox.set("LACRE_CONFIG", path);
        sandbox.run(&["init", "--kit-file", "kit.txt"]).exits(0);
        sandbox.run(&["backup"]).exits(0);
        cluster.sql("astro", "update app.orders set total = total + 1 where id % 100 = 0");
        sandbox.run(&["backup"]).exits(0);
        sandbox.run(&["drill"]).exits(0);
        Owner { cluster, sandbox }
    }

    fn page(&self, arguments: &[&str]) -> Value {
        self.sandbox.run(&[&["runbook", "--json"][..], arguments].concat()).exits(0).json()
    }

    fn blocks(&self) -> BTreeMap<String, String> {
        blocks(&self.page(&[]))
    }

    /// A machine that was never here, with these files of the owner's folder.
    fn bare(&self, cluster: &Cluster, files: &[&str]) -> Sandbox {
        let sandbox = machine(cluster);
        for file in files {
            fs::copy(self.sandbox.path(file), sandbox.path(file)).unwrap();
        }
        sandbox
    }

    /// The server is gone: its repository, its home, its configuration, and its database.
    fn lost(self) -> Owner {
        fs::remove_dir_all(self.sandbox.repository()).unwrap();
        fs::remove_dir_all(self.sandbox.home()).unwrap();
        fs::remove_file(self.sandbox.path("lacre.toml")).unwrap();
        self
    }
}

fn blocks(page: &Value) -> BTreeMap<String, String> {
    let blocks = page["commands"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    blocks.iter().map(|block| (text(&block["name"]), text(&block["commands"]))).collect()
}

/// Runs commands to their end; each of them has to end well.
#[track_caller]
fn follow(sandbox: &Sandbox, commands: &str) -> Outcome {
    let child = sandbox.program("/bin/sh", &["-eu", "-c", commands]).spawn().unwrap();
    Outcome::of(child, &[commands]).exits(0)
}

/// The same on a terminal, where somebody types an answer.
fn follow_typing(sandbox: &Sandbox, commands: &str, answer: &str) -> Outcome {
    fs::write(sandbox.path("block.sh"), commands).unwrap();
    let mut command = sandbox.program("script", &["-qec", "/bin/sh -eu block.sh", "/dev/null"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(format!("{answer}\n").as_bytes()).unwrap();
    let outcome = Outcome::of(child, &[commands]);
    drop(stdin);
    outcome
}

#[test]
fn the_page_has_the_names_of_this_repository_no_secret_and_the_same_commands_in_both_languages() {
    let owner = Owner::new();
    let (english, portuguese) = (owner.page(&[]), owner.page(&["--lang", "pt-BR"]));
    assert_eq!(english["commands"], portuguese["commands"]);
    assert_eq!((&english["lang"], &portuguese["lang"]), (&"en".into(), &"pt-BR".into()));
    assert_eq!(english["scenarios"].as_array().unwrap().len(), 7);
    let here = include_str!("runbook.rs");
    for name in blocks(&english).keys() {
        assert!(here.contains(&format!("[\"{name}\"]")), "nothing runs {name}");
    }
    let id = owner.sandbox.run(&["snapshots", "--json"]).json()["snapshots"][1]["snapshot"].as_str().unwrap()[..8]
        .to_owned();
    let secrets: Vec<String> = ["identity.txt", "writer.key", "admin.key"]
        .iter()
        .filter_map(|file| fs::read_to_string(keys_of(&owner.sandbox).join(file)).ok())
        .flat_map(|text| {
            text.lines().filter(|line| line.len() > 40 && !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    assert!(!secrets.is_empty());
    for page in [&english, &portuguese] {
        let text = page["markdown"].as_str().unwrap();
        let place = owner.sandbox.path("disk/copy").display().to_string();
        for known in ["astro", "usb", &place, &id, "lacre.toml", "kit 1", "app.orders"] {
            assert!(text.contains(known), "{known} is not in\n{text}");
        }
        for block in page["commands"].as_array().unwrap() {
            let (name, commands) = (block["name"].as_str().unwrap(), block["commands"].as_str().unwrap());
            assert!(text.contains(&format!("```sh runbook {name}\n{commands}```\n")), "{name}");
        }
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "a secret is on the page");
        }
        assert!(
            !text.contains("AGE-SECRET") && !text.contains("never rehearsed") && !text.contains("nunca ensaiado"),
            "{text}"
        );
    }
    assert!(portuguese["markdown"].as_str().unwrap().contains("O servidor se perdeu"));
    // One scenario alone, on stdout as Markdown.
    let one = owner.sandbox.run(&["runbook", "deletion"]).exits(0).text();
    assert!(
        one.starts_with("# Runbook of the backups of ")
            && one.contains("## Somebody deleted rows")
            && !one.contains("## The server is gone")
    );
    owner.sandbox.run(&["runbook", "flood"]).exits(2);
    owner.sandbox.run(&["runbook", "--lang", "fr"]).exits(2);
}

#[test]
fn the_server_is_gone() {
    let owner = Owner::new();
    let (blocks, before) = (owner.blocks(), owner.cluster.tables("astro"));
    for key in ["writer.key", "admin.key"] {
        fs::copy(keys_of(&owner.sandbox).join(key), owner.sandbox.path(key)).unwrap();
    }
    let owner = owner.lost();
    let server = Cluster::start();
    let bare = owner.bare(&server, &["kit.txt", "kit.txt-identity"]);
    let said = follow(&bare, &blocks["total-loss"]);
    assert!(said.text().contains("level 4 of 5"), "{}", said.text());
    assert_eq!(server.tables("astro"), before);
    assert_eq!(
        server.sql("postgres", "select count(*) from pg_roles where rolname = 'reporting'"),
        "1",
        "roles come along"
    );
    for key in ["writer.key", "admin.key"] {
        fs::copy(owner.sandbox.path(key), bare.path(key)).unwrap();
    }
    follow(&bare, &blocks["total-loss-go-on"]);
}

#[test]
fn the_kit_itself_says_how_to_get_everything_back() {
    let owner = Owner::new();
    let before = owner.cluster.tables("astro");
    let sheet = fs::read_to_string(owner.sandbox.path("kit.txt")).unwrap();
    let commands: String =
        sheet.lines().filter_map(|line| line.strip_prefix("#     ")).map(|line| format!("{line}\n")).collect();
    assert!(commands.contains("lacre restore latest:astro "), "{sheet}");
    // The identity's sheet says nothing of where the backups are.
    assert!(!fs::read_to_string(owner.sandbox.path("kit.txt-identity")).unwrap().contains("LACRE_REPO"));
    // A kit that is printed later knows what there is by then, and is as good.
    owner.sandbox.run(&["kit", "issue", "--kit-file", "kit-2.txt"]).exits(0);
    let later = fs::read_to_string(owner.sandbox.path("kit-2.txt")).unwrap();
    assert!(
        later.contains("#     lacre restore latest:astro ")
            && later.contains(owner.sandbox.path("disk/copy").to_str().unwrap()),
        "{later}"
    );
    let words = later.lines().find_map(|line| line.strip_prefix("check ")).unwrap().trim().to_owned();
    owner.sandbox.run(&["kit", "ack", "2", "--checksum", &words]).exits(0);
    let owner = owner.lost();
    let server = Cluster::start();
    let bare = owner.bare(&server, &["kit.txt", "kit.txt-identity"]);
    follow(&bare, &commands);
    assert_eq!(server.tables("astro"), before);
}

#[test]
fn data_were_damaged() {
    let owner = Owner::new();
    let (blocks, before) = (owner.blocks(), owner.cluster.tables("astro"));
    owner.cluster.sql("astro", "update app.orders set total = 0");
    let said = follow(&owner.sandbox, &blocks["corruption"]).text();
    assert!(said.contains("app.orders"), "the difference of the last two nights: {said}");
    assert_eq!(owner.cluster.tables("astro_look"), before);
    assert_ne!(owner.cluster.tables("astro"), before, "the living one is not touched");
    let refused = follow_typing(&owner.sandbox, &blocks["corruption-swap"], "");
    assert_ne!(refused.status.code(), Some(0));
    assert_ne!(owner.cluster.tables("astro"), before, "nobody agreed");
    follow_typing(&owner.sandbox, &blocks["corruption-swap"], "astro").exits(0);
    assert_eq!(owner.cluster.tables("astro"), before);
}

#[test]
fn rows_were_deleted() {
    let owner = Owner::new();
    let (blocks, before) = (owner.blocks(), owner.cluster.tables("astro"));
    owner.cluster.sql("astro", "delete from app.orders where id between 1000 and 1999");
    follow(&owner.sandbox, &blocks["deletion"]);
    assert_eq!(owner.cluster.sql("astro", "select count(*) from app.orders"), "3000", "nothing is put back yet");
    follow(&owner.sandbox, &blocks["deletion-back"]);
    assert_eq!(owner.cluster.tables("astro"), before);
}

#[test]
fn a_key_is_lost() {
    let owner = Owner::new();
    let (blocks, keys) = (owner.blocks(), keys_of(&owner.sandbox));
    for key in ["writer.key", "admin.key"] {
        fs::rename(keys.join(key), owner.sandbox.path(key)).unwrap();
    }
    fs::remove_file(keys.join("identity.txt")).unwrap();
    follow(&owner.sandbox, &blocks["lost-key-identity"]);
    assert!(fs::read(owner.sandbox.path("proof.restored")).unwrap().starts_with(b"PGDMP"));
    owner.sandbox.run(&["backup"]).exits(12);
    follow(&owner.sandbox, &blocks["lost-key-host"]);
    owner.sandbox.run(&["backup"]).exits(0);
    // Where no identity is at hand, the page asks for it everywhere.
    let blocks = owner.blocks();
    assert!(
        blocks["corruption"].contains("--kit kit.txt-identity") && !blocks.contains_key("deletion-back"),
        "{blocks:#?}"
    );
    follow(&owner.sandbox, &blocks["corruption"]);
}

#[test]
fn a_holder_of_the_seal_is_lost() {
    let owner = Owner::new();
    let blocks = owner.blocks();
    follow(&owner.sandbox, &blocks["lost-seal-kit"]);
    assert!(owner.sandbox.path("kit-new.txt").exists());
    let status = owner.sandbox.run(&["seal", "status", "--json"]).json();
    let cell = status["holders"].to_string();
    let cell = cell.split("file:").nth(1).unwrap_or_else(|| panic!("{status:#}")).split('"').next().unwrap().to_owned();
    fs::remove_file(&cell).unwrap();
    follow(&owner.sandbox, &blocks["lost-seal-cell"]);
    assert!(fs::read(owner.sandbox.path("proof.restored")).unwrap().starts_with(b"PGDMP"));
}

#[test]
fn somebody_encrypts_what_they_reach() {
    let owner = Owner::new();
    let (blocks, before) = (owner.blocks(), owner.cluster.tables("astro"));
    let owner = owner.lost();
    let server = Cluster::start();
    let bare = owner.bare(&server, &["kit.txt", "kit.txt-identity"]);
    follow(&bare, &blocks["ransomware"]);
    assert_eq!(server.tables("astro"), before);
}

#[test]
fn a_person_asks_to_be_erased() {
    let owner = Owner::new();
    let blocks = owner.blocks();
    fs::write(owner.sandbox.path("rules.toml"), RULES).unwrap();
    fs::write(owner.sandbox.path("person"), "42\n").unwrap();
    let looked = follow(&owner.sandbox, &blocks["erasure"]).text();
    assert!(looked.contains("app.orders"), "{looked}");
    follow(&owner.sandbox, &blocks["erasure-snapshot"]);
    assert_eq!(super::snapshots(&owner.sandbox, "live").len(), 2, "looking changes nothing");
    let signed = follow_typing(&owner.sandbox, &blocks["erasure-sign"], "astro");
    assert!(matches!(signed.status.code(), Some(0 | 5)), "{} {}", signed.text(), signed.stderr);
    let left = owner.sandbox.run(&["rows", "latest:astro", "app.orders", "--where", "user_id=42"]).exits(0).text();
    assert!(left.lines().count() <= 1, "{left}");
}

/// Without a copy, a kit or a database the page says so and its commands still run.
#[test]
fn a_poor_repository_has_a_page_too() {
    let cluster = Cluster::start();
    let mut sandbox = machine(&cluster);
    let repository = sandbox.repository();
    sandbox.set("LACRE_REPO", &repository);
    sandbox.run(&["init", "--no-kit"]).exits(0);
    sandbox.run_with_input(&["backup", "--stdin", "notes"], b"some notes\n").exits(0);
    let page = sandbox.run(&["runbook", "--json"]).exits(0).json();
    let text = page["markdown"].as_str().unwrap();
    assert!(
        text.contains("There is no copy elsewhere")
            && text.contains("there is no kit")
            && text.contains("never rehearsed"),
        "{text}"
    );
    let blocks = blocks(&page);
    let identity = keys_of(&sandbox).join("identity.txt");
    fs::copy(identity, sandbox.path("identity.txt")).unwrap();
    // The repository's disk and the cell outlived the server.
    follow(&sandbox, &blocks["total-loss"]);
    assert_eq!(fs::read(sandbox.path("notes.restored")).unwrap(), b"some notes\n");
    fs::remove_file(sandbox.path("notes.restored")).unwrap();
    follow(&sandbox, &blocks["corruption"]);
    fs::remove_file(sandbox.path("notes.restored")).unwrap();
    follow(&sandbox, &blocks["deletion"]);
}
