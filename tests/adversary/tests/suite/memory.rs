//! What is left in memory when an operation has ended: none of the keys that die (of snapshots, seals and indexes). Signing keys, the
//! structure key and stream secrets live as long as their files, and no erasure depends on them.
//!
//! The process writes its own memory into a file, and only then looks for the keys, so that it does not find what it looks for with.

use std::{collections::BTreeMap, fs::File, io::Write as _, os::unix::fs::FileExt as _, path::Path};

use lacre_adversary::{Loot, Siege, residue};
use lacre_format::root::Shape;
use lacre_repo::{
    op::{
        init::{CreateOptions, KitChoice},
        keys::ReadKeys,
        rotate::{RotateOptions, RotationState},
    },
    store::Store,
};

use crate::{
    persons::{ANA, crowd},
    recorder::files_below,
    support::{Bench, person::rewrite, rows},
};

const PIECE_BYTES: usize = 1 << 16;

/// Writes all memory of this process that can be written to into a file, in one piece for each mapping.
fn dump(to: &Path) -> usize {
    let memory = File::open("/proc/self/mem").unwrap();
    let mut out = File::create(to).unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut piece = vec![0u8; PIECE_BYTES];
    let mut written = 0;
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rw"))) {
        let range = line.split(' ').next().unwrap();
        let (from, to) = range.split_once('-').unwrap();
        let (mut at, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        while at < to {
            let want = usize::try_from(to - at).unwrap().min(PIECE_BYTES);
            // A guard page or a device's mapping cannot be read; the next piece can.
            if let Ok(count) = memory.read_at(&mut piece[..want], at) {
                out.write_all(&piece[..count]).unwrap();
                written += count;
            }
            at += want as u64;
        }
    }
    written
}

fn phase(bench: Bench, keep: &Path) -> tempfile::TempDir {
    let first = bench.backup("app", &[("t", Shape::Rows, &rows(3_000, 1))]);
    let home = bench.home_files();
    // Copied by the kernel: this process does not see them.
    std::fs::copy(home.join("seal.cell"), keep.join("old.cell")).unwrap();
    std::fs::copy(home.join(format!("index/app/{}.key", first.snapshot)), keep.join("old.key")).unwrap();
    bench.clock.advance_hours(24);
    bench.backup("app", &[("t", Shape::Rows, &rows(3_000, 2))]);
    let rotated = bench.repository.rotate(&RotateOptions::default(), &ReadKeys::default()).unwrap();
    assert_eq!(rotated.state, RotationState::Closed);
    let Bench { directory, .. } = bench;
    directory
}

/// The same for a person who leaves two nights: opened with everything, searched, rewritten, rotated.
fn phase_of_a_person(bench: Bench, keep: &Path) -> tempfile::TempDir {
    let home = bench.home_files();
    std::fs::copy(home.join("seal.cell"), keep.join("old.cell")).unwrap();
    for night in 0..2 {
        bench.clock.advance_hours(24);
        let made = bench.backup("app", &[("t", Shape::Rows, &crowd(night, 600))]);
        std::fs::copy(home.join(format!("index/app/{}.key", made.snapshot)), keep.join("old.key")).unwrap();
    }
    rewrite(&bench.repository, &bench.keys(), &ANA).unwrap();
    let rotated = bench.repository.rotate(&RotateOptions::default(), &ReadKeys::default()).unwrap();
    assert_eq!(rotated.state, RotationState::Closed);
    bench.clock.advance_hours(24);
    bench.backup("app", &[("t", Shape::Rows, &ANA.without(&crowd(2, 600)))]);
    let Bench { directory, .. } = bench;
    directory
}

#[test]
fn no_key_that_dies_is_left_in_memory_when_an_operation_has_ended() {
    // Two snapshots, two seals, two indexes.
    look_after(phase, 2, 6);
}

#[test]
fn no_key_that_dies_is_left_in_memory_when_a_person_was_erased() {
    // Two nights, two successors and the night after; two seals; two indexes; the lists beside two nights share a key.
    look_after(phase_of_a_person, 5, 10);
}

fn look_after(phase: fn(Bench, &Path) -> tempfile::TempDir, snapshots: usize, keys: usize) {
    let directory = tempfile::tempdir().unwrap();
    let keep = tempfile::tempdir().unwrap();
    let store = Store::create_local(&directory.path().join("repository")).unwrap();
    let options = CreateOptions { kit: KitChoice::None, ..Bench::options() };
    let directory = phase(Bench::with_options(directory, store, options), keep.path());
    let file = keep.path().join("memory");
    let written = dump(&file);
    assert!(written > 1 << 20, "{written} bytes of memory");

    let of = |root: &Path| -> Vec<(String, Vec<u8>)> {
        let files = files_below(root).into_iter();
        files.map(|(path, bytes)| (path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), bytes)).collect()
    };
    let mut files = of(&directory.path().join("home"));
    files.push(("old.cell".to_owned(), std::fs::read(keep.path().join("old.cell")).unwrap()));
    let loot = Loot { objects: of(&directory.path().join("repository")), files, kits: Vec::new() };
    let spoils = Siege::of(&loot);
    assert_eq!(spoils.roots.len(), snapshots);
    let mut needles: Vec<(String, Vec<u8>)> = Vec::new();
    needles.extend(spoils.snapshot_keys.values().map(|key| ("a snapshot key".to_owned(), key.to_vec())));
    needles.extend(spoils.seeds.iter().map(|key| ("a seal".to_owned(), key.to_vec())));
    needles.push(("the destroyed index key".to_owned(), std::fs::read(keep.path().join("old.key")).unwrap()));
    needles.extend(loot.files.iter().filter(|(name, _)| name.contains("/index/") && name.ends_with(".key")).cloned());
    needles.extend(spoils.lists.values().map(|list| ("the key of a list".to_owned(), list.key.expose().to_vec())));
    needles.sort();
    needles.dedup();
    assert_eq!(needles.len(), keys);
    let memory = std::fs::read(&file).unwrap();
    let found = residue::find(&needles, std::iter::once(("memory", memory.as_slice())));
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    found.iter().for_each(|residue| *counted.entry(residue.what.as_str()).or_default() += 1);
    assert!(found.is_empty(), "{counted:?}");
    // The search can find: what this test holds now is in its memory now.
    dump(&file);
    let memory = std::fs::read(&file).unwrap();
    assert!(!residue::find(&needles, std::iter::once(("memory", memory.as_slice()))).is_empty());
}
