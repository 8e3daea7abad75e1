//! `docs/RECOVERY.md`, run: every block of commands on a machine that has only what its section says.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{keys_of, lines};
use crate::support::sandbox::{Outcome, Sandbox, files_under};

const PAGE: &str = include_str!("../../docs/RECOVERY.md");
const PAGINA: &str = include_str!("../../docs/RECOVERY.pt-BR.md");

/// The commands of a page by the names of their blocks.
fn blocks(page: &str) -> BTreeMap<String, String> {
    let mut blocks = BTreeMap::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, commands)), None) => {
                commands.push_str(line);
                commands.push('\n');
            }
            (None, Some(info)) => {
                let name = info.strip_prefix("sh recovery ");
                open = name.map(|name| (name.to_owned(), String::new()));
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

/// A repository with two nights of `astro`, all that its owner holds, and a copy.
struct Owner {
    sandbox: Sandbox,
    dump: Vec<u8>,
}

impl Owner {
    fn new() -> Owner {
        let sandbox = Sandbox::new();
        fs::create_dir_all(sandbox.path("media/usb")).unwrap();
        fs::create_dir_all(sandbox.path("media/key")).unwrap();
        sandbox.run(&["init", "--kit-file", "media/usb/kit.txt"]).exits(0);
        let mut dump = lines(6_000);
        for night in 0..2 {
            dump.extend_from_slice(format!("night {night}\n").as_bytes());
            fs::write(sandbox.path("dump"), &dump).unwrap();
            sandbox.run(&["backup", "--file", "astro=dump"]).exits(0);
        }
        // A later snapshot of another job: `latest` alone would be the wrong one.
        sandbox.run(&["backup", "--command", "other", "--", "echo", "something else"]).exits(0);
        for key in ["identity.txt", "writer.key", "admin.key"] {
            fs::copy(keys_of(&sandbox).join(key), sandbox.path("media/key").join(key)).unwrap();
        }
        copy(&sandbox.repository(), &sandbox.path("offsite"));
        Owner { sandbox, dump }
    }

    /// A machine with nothing but these things, under the names of the page.
    fn machine(&self, given: &[&str]) -> Machine {
        let mut sandbox = Sandbox::new();
        let bin = sandbox.path("bin");
        fs::create_dir(&bin).unwrap();
        symlink(env!("CARGO_BIN_EXE_lacre"), bin.join("lacre")).unwrap();
        sandbox.unset("LACRE_REPO").set("PATH", format!("{}:/usr/bin:/bin", bin.display()));
        for folder in ["srv/backup", "mnt/offsite", "media/usb", "media/key"] {
            fs::create_dir_all(sandbox.path(folder)).unwrap();
        }
        for thing in given {
            let from = match *thing {
                "srv/backup/lacre" => self.sandbox.repository(),
                "mnt/offsite/lacre" => self.sandbox.path("offsite"),
                "home" => self.sandbox.home(),
                "astro.dump" => self.sandbox.path("dump"),
                other => self.sandbox.path(other),
            };
            copy(&from, &sandbox.path(thing));
        }
        Machine { sandbox }
    }

    #[track_caller]
    fn restored(&self, machine: &Machine) {
        assert!(fs::read(machine.sandbox.path("astro.dump")).unwrap() == self.dump, "it is not what was backed up");
    }
}

struct Machine {
    sandbox: Sandbox,
}

impl Machine {
    /// Runs a block of the page to its end; every command of it has to end well.
    #[track_caller]
    fn follows(&self, name: &str) -> Outcome {
        let blocks = blocks(PAGE);
        let commands = blocks.get(name).unwrap_or_else(|| panic!("the page has no block {name}"));
        let mut script = commands.clone();
        for folder in ["/srv/backup/", "/mnt/offsite/", "/media/"] {
            let here = format!("{}{folder}", self.sandbox.path("").display().to_string().trim_end_matches('/'));
            script = script.replace(folder, &here);
        }
        let child = self.sandbox.program("/bin/sh", &["-eu", "-c", &script]).spawn().unwrap();
        Outcome::of(child, &[name]).exits(0)
    }
}

fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for file in files_under(from) {
        copy(&file, &to.join(file.strip_prefix(from).unwrap()));
    }
}

#[test]
fn both_pages_have_the_same_commands_and_each_is_run_below() {
    let (page, pagina) = (blocks(PAGE), blocks(PAGINA));
    assert_eq!(page, pagina);
    let here = include_str!("recovery.rs");
    for name in page.keys() {
        assert!(here.contains(&format!("follows(\"{name}\")")), "nothing runs {name}");
    }
}

#[test]
fn the_server_is_gone() {
    let owner = Owner::new();
    let machine = owner.machine(&["mnt/offsite/lacre", "media/usb/kit.txt", "media/usb/kit.txt-identity"]);
    let said = machine.follows("server");
    assert!(said.text().contains("level 4 of 5"), "{}", said.text());
    owner.restored(&machine);
}

#[test]
fn the_home_is_gone() {
    let owner = Owner::new();
    let machine = owner.machine(&["srv/backup/lacre", "media/usb/kit.txt", "media/key/identity.txt"]);
    machine.follows("home");
    owner.restored(&machine);
    let machine = owner.machine(&["srv/backup/lacre", "media/key/writer.key", "media/key/admin.key", "astro.dump"]);
    machine.follows("home-with-spares");
}

#[test]
fn the_repository_is_damaged() {
    let owner = Owner::new();
    let machine = owner.machine(&["srv/backup/lacre", "mnt/offsite/lacre"]);
    let repository = machine.sandbox.path("srv/backup/lacre");
    for (at, file) in files_under(&repository).into_iter().filter(|file| !file.ends_with("lacre.json")).enumerate() {
        let bytes = fs::read(&file).unwrap();
        match at % 3 {
            0 => fs::write(&file, &bytes[..bytes.len() / 2]).unwrap(),
            1 => fs::remove_file(&file).unwrap(),
            _ => {}
        }
    }
    machine.follows("damaged");
    let machine = owner.machine(&["srv/backup/lacre"]);
    for pack in files_under(&machine.sandbox.path("srv/backup/lacre/packs")) {
        let mut bytes = fs::read(&pack).unwrap();
        let length = bytes.len() * 3 / 100;
        bytes[40..40 + length].fill(0);
        fs::write(&pack, bytes).unwrap();
    }
    machine.follows("damaged-alone");
}

#[test]
fn the_bucket_is_gone() {
    let owner = Owner::new();
    let machine = owner.machine(&["mnt/offsite/lacre", "home"]);
    // The cell's place is in the policy; it lies in the home of the server, which is this machine.
    machine.follows("bucket");
    owner.restored(&machine);
}

#[test]
fn a_copy_is_gone() {
    let owner = Owner::new();
    let machine = owner.machine(&["srv/backup/lacre"]);
    machine.follows("copy");
}

#[test]
fn the_identity_or_the_seal_or_the_kit_is_gone() {
    let owner = Owner::new();
    let machine = owner.machine(&["srv/backup/lacre", "media/usb/kit.txt", "media/usb/kit.txt-identity"]);
    machine.follows("identity");
    owner.restored(&machine);
    let machine = owner.machine(&["srv/backup/lacre", "media/usb/kit.txt", "media/key/identity.txt"]);
    machine.follows("seal");
    owner.restored(&machine);
    let machine = owner.machine(&["srv/backup/lacre", "home"]);
    machine.follows("kit");
    owner.restored(&machine);
}

/// Names of jobs lie in labels, whose key lies in roots: a kit and an identity are enough to read them.
#[test]
fn jobs_are_found_by_name_with_a_kit_and_an_identity_and_nothing_else() {
    let owner = Owner::new();
    let machine = owner.machine(&["srv/backup/lacre", "media/usb/kit.txt", "media/key/identity.txt"]);
    let at = machine.sandbox.path("srv/backup/lacre").display().to_string();
    let keys = ["--kit", "media/usb/kit.txt", "--identity", "media/key/identity.txt"];
    let run = |arguments: &[&str]| machine.sandbox.run(&[&["--repo", &at][..], arguments, &keys].concat());
    assert!(run(&["cat", "latest:astro", "data"]).exits(0).stdout == owner.dump);
    assert!(run(&["cat", "latest:other", "data"]).exits(0).text().contains("something else"));
    let date = run(&["show", "latest:astro", "--json"]).exits(0).json()["time"].as_str().unwrap()[..4].to_owned();
    assert!(run(&["cat", &format!("astro@{date}-12-31"), "data"]).exits(0).stdout == owner.dump);
    run(&["cat", "latest:nobody", "data"]).exits(10);
    let without = machine.sandbox.run(&["--repo", &at, "cat", "latest:astro", "data"]).exits(12);
    assert!(!without.stderr.contains("no snapshot is named"), "{}", without.stderr);
}
