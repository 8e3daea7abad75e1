//! Two worlds: the same history with two different contents of what is erased looks the same to somebody who sees everything, except
//! inside ciphertexts and in what is random by itself.
//!
//! Contents are compared only where the declared leakage is equal: frames of each level and their padded lengths. Random are ids, hashes,
//! and the lengths of age files, whose format pads its header with a stanza of random length.

use std::{collections::BTreeMap, io::Write as _, path::Path, sync::Arc};

use lacre_adversary::{Loot, Siege};
use lacre_format::root::Shape;
use lacre_repo::{
    Repository,
    home::Home,
    op::{
        backup::BackupOptions,
        erase::{EraseReason, LastVerified},
        init::{CreateOptions, KitChoice},
        keys::ReadKeys,
        prune::PruneOptions,
        rotate::RotateOptions,
    },
    store::Store,
};

use crate::{
    recorder::{Recorder, Taken},
    support::{
        Bench, TestClock, backup,
        person::{Person, rewrite},
        write_row,
    },
};

/// Contents that are tried: two of them have to leak the same, which most do.
const CONTENTS: u64 = 12;
/// Names of objects and files whose length is random.
const OF_RANDOM_LENGTH: [&str; 2] = ["keyring/in/", "/bundle"];

fn table(secret: Option<u64>) -> Vec<u8> {
    let mut out = Vec::new();
    for row in 0..160 {
        write_row(&mut out, row, 0);
        if let Some(secret) = secret
            && row % 80 == 40
        {
            let secret = secret.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ row;
            writeln!(out, "{}\tsomebody\t{secret:020}\t{:020}", 900_000 + row, secret.rotate_left(17)).unwrap();
        }
    }
    out
}

/// What somebody sees who sees everything and opens nothing.
#[derive(PartialEq, Eq, Debug)]
struct Sight {
    /// Every object that was put, in order: what its name says, how long it is.
    puts: Vec<(String, Option<usize>)>,
    /// Every file of the host in the end.
    files: Vec<(String, Option<usize>)>,
    /// What was printed.
    printed: Vec<String>,
}

/// What is declared to leak: for each level, the lengths of the frames of what is erased, and of what takes its place.
type Leak = Vec<(u8, usize)>;

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A name without what is random in it.
fn shape(name: &str) -> String {
    let of = |part: &str| {
        let is_random = part.len() >= 8
            && part.bytes().all(|byte| byte.is_ascii_hexdigit())
            && part.bytes().any(|byte| byte != b'0');
        let is_counter = part.len() == 8 && part.bytes().all(|byte| byte.is_ascii_digit());
        if is_random && !is_counter { "#".to_owned() } else { part.to_owned() }
    };
    let shaped = name.split(['/', '-', '.']).map(of).collect::<Vec<_>>().join("/");
    // The folder is the beginning of the pack's name.
    match shaped.split_once('/') {
        Some((folder @ ("packs" | "parity"), _)) => format!("{folder}/#/#"),
        _ => shaped,
    }
}

fn length(name: &str, bytes: usize) -> Option<usize> {
    (!OF_RANDOM_LENGTH.iter().any(|random| name.contains(random)) && !name.contains(".bundle")).then_some(bytes)
}

/// What is erased.
#[derive(Clone, Copy)]
enum Story {
    /// The night with the content.
    Snapshot,
    /// The content, from every night.
    Person,
}

/// Whoever has a secret in the rows of these tables.
const SOMEBODY: Person = Person {
    is_theirs: |row| row.split(|byte| *byte == b'\t').nth(1) == Some(b"somebody"),
    key: b"somebody",
    jobs: &[],
};

/// One world: the history from the common beginning, with this content in what is erased.
fn world(directory: &Path, clock_from: &TestClock, (story, keys): (Story, &ReadKeys), content: u64) -> (Leak, Sight) {
    let home_directory = directory.join("home");
    for part in ["home", "repository"] {
        std::fs::remove_dir_all(directory.join(part)).ok();
        copy(&directory.join("common").join(part), &directory.join(part));
    }
    let record = Arc::new(Recorder::new(&home_directory));
    let store = Store::open_local(&directory.join("repository")).unwrap().with_witness(record.clone());
    let clock = Arc::new(clock_from.again());
    let open = || Repository::open(store.clone(), &Home::open(&home_directory).unwrap(), clock.clone()).unwrap();
    let repository = open();
    let (mut printed, mut printed_more) = (Vec::new(), Vec::new());
    let mut night = |data: &[u8]| {
        clock.advance_hours(24);
        let report = backup(&repository, "app", &[("t", Shape::Rows, data)], BackupOptions::default()).unwrap();
        printed.push(format!(
            "{} {} {} {} {}",
            report.bytes_read,
            report.bytes_new,
            report.chunks,
            report.chunks_new,
            report.findings.len()
        ));
        report.snapshot
    };
    let victim = night(&table(Some(content)));
    let all = || {
        let mut loot = record.loot(Taken::All);
        loot.objects.extend(objects(&directory.join("common/repository")));
        loot
    };
    let mut leak = leak_of(&all(), 2);
    let erasure = match story {
        Story::Snapshot => {
            night(&table(None));
            let plan = repository.plan_erase(&[victim], LastVerified::Keep).unwrap();
            repository.intend_erase(&plan, &EraseReason::default()).unwrap()
        }
        Story::Person => {
            let done = rewrite(&repository, keys, &SOMEBODY).unwrap();
            // What was written is not among it: key entries are of random length, and every other object is compared by itself.
            printed_more.push(format!("{} {} {}", done.successors.len(), done.looked.len(), done.rewritten));
            leak.extend(leak_of(&all(), 4));
            done.erasure
        }
    };
    let account = repository.account_of(erasure).unwrap();
    let rotated = repository.rotate(&RotateOptions::default(), &ReadKeys::default()).unwrap();
    night(&table(None));
    let receipt = repository.sign_receipt(erasure, &account).unwrap().receipt;
    let options = PruneOptions { skew_max: std::time::Duration::MAX, ..PruneOptions::default() };
    let pruned = repository.prune(&options, &lacre_repo::Silent).unwrap();
    printed.append(&mut printed_more);
    printed.push(format!("{account:?} {} {:?}", rotated.carried, rotated.state));
    printed.push(format!("{} {} {} {:?}", receipt.complete, receipt.bytes_dead, receipt.bytes_shared, receipt.pending));
    printed.push(format!("{} {} {}", pruned.snapshots, pruned.packs_deleted, pruned.bytes_deleted));
    let puts = record.puts().into_iter().map(|(name, bytes)| (shape(&name), length(&name, bytes))).collect();
    drop(repository);
    let files = objects(&home_directory).into_iter();
    let files = files.filter(|(name, _)| !name.ends_with("-wal") && !name.ends_with("-shm"));
    let mut files: Vec<_> = files.map(|(name, bytes)| (shape(&name), length(&name, bytes.len()))).collect();
    files.sort();
    (leak, Sight { puts, files, printed })
}

fn objects(root: &Path) -> Vec<(String, Vec<u8>)> {
    crate::recorder::files_below(root)
        .into_iter()
        .map(|(path, bytes)| (path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), bytes))
        .collect()
}

/// Lengths of the frames that were opened, which before the erasure is all of them.
fn leak_of(loot: &Loot, snapshots: usize) -> Leak {
    let spoils = Siege::of(loot);
    assert_eq!(spoils.roots.len(), snapshots, "everything opens before the seal is changed");
    let mut leak = spoils.sealed_lengths(loot);
    leak.sort_unstable();
    leak
}

#[test]
fn two_contents_of_what_is_erased_look_the_same() {
    compare(Story::Snapshot);
}

#[test]
fn two_persons_who_are_erased_look_the_same() {
    compare(Story::Person);
}

fn compare(story: Story) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::create_local(&directory.path().join("repository")).unwrap();
    let options = CreateOptions { kit: KitChoice::None, ..Bench::options() };
    let bench = Bench::with_options(directory, store, options);
    bench.backup("app", &[("t", Shape::Rows, &table(None))]);
    let keys = bench.keys();
    let Bench { directory, clock, repository, .. } = bench;
    drop(repository);
    for part in ["home", "repository"] {
        copy(&directory.path().join(part), &directory.path().join("common").join(part));
    }
    let mut worlds: BTreeMap<Leak, Vec<(u64, Sight)>> = BTreeMap::new();
    for content in 1..=CONTENTS {
        let (leak, sight) = world(directory.path(), &clock, (story, &keys), content);
        worlds.entry(leak).or_default().push((content, sight));
    }
    let mut compared = 0;
    for alike in worlds.values() {
        for pair in alike.windows(2) {
            let ((one, first), (other, second)) = (&pair[0], &pair[1]);
            assert_eq!(first.puts, second.puts, "contents {one} and {other}");
            assert_eq!(first.files, second.files, "contents {one} and {other}");
            assert_eq!(first.printed, second.printed, "contents {one} and {other}");
            compared += 1;
        }
    }
    assert!(compared >= 3, "{compared} pairs leak the same");
}
