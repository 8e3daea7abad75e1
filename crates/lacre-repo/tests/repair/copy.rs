//! From a copy, by name, without any key.

use std::fs;

use lacre_format::root::Shape;
use lacre_repo::{
    Severity, Silent,
    op::{
        keys::ReadKeys,
        repair::{AddParity, How, RepairOptions},
    },
    parity::ParityChoice,
};

use crate::common::{Scene, cut, flip, stranger};

#[test]
fn one_damaged_pack_is_read_from_the_copy_and_nothing_else() {
    let scene = Scene::new(ParityChoice::Left);
    let pack = scene.pack();
    let good = fs::read(&pack).unwrap();
    flip(&pack);
    let copy = scene.copy();
    // No key at all: neither this host's nor anybody's.
    let options = RepairOptions { from: Some(copy.clone()), add_parity: AddParity::No };
    let report = stranger(&scene).repair(&options, &ReadKeys::default(), &Silent).unwrap();
    let counts = copy.counts();
    assert_eq!((counts.get, counts.get_range, counts.bytes_received), (1, 0, good.len() as u64), "{counts:?}");
    assert_eq!(counts.put_new + counts.delete, 0, "nothing is written to a copy");
    assert_eq!(report.mended.iter().map(|mended| mended.how).collect::<Vec<_>>(), [How::Fetched]);
    assert_eq!((report.bytes_fetched, report.left.as_slice()), (good.len() as u64, [].as_slice()));
    assert!(fs::read(&pack).unwrap() == good);
    scene.is_whole("after the repair");
}

#[test]
fn every_object_damaged_or_missing_comes_back_from_the_copy_and_is_itself_again() {
    let scene = Scene::new(ParityChoice::Left);
    for path in scene.files("") {
        let name = path.strip_prefix(scene.root()).unwrap().display().to_string();
        if name == "lacre.json" {
            continue;
        }
        let good = fs::read(&path).unwrap();
        for (how, damage) in [("flipped", flip as fn(&std::path::Path)), ("cut", cut as fn(&std::path::Path))] {
            damage(&path);
            let report = scene.repair(Some(scene.copy()));
            assert!(fs::read(&path).unwrap() == good, "{how} {name}: {report:?}");
            assert_eq!((report.mended.len(), report.left.len()), (1, 0), "{how} {name}: {report:?}");
        }
        fs::remove_file(&path).unwrap();
        let report = scene.repair(Some(scene.copy()));
        assert_eq!(report.left, Vec::<String>::new(), "missing {name}: {report:?}");
        // Markers of sessions that ended, an index whose packs say the same, the key of what was collected: they are not missed.
        let of_the_dead = |sid: &lacre_format::ids::SnapshotId| name.contains(&sid.to_string());
        let is_dead_key = name.starts_with("keyring/in/") && !scene.live.keys().any(of_the_dead);
        if name.starts_with("session/") || name.starts_with("index/") || is_dead_key {
            fs::write(&path, &good).unwrap();
        } else {
            assert!(fs::read(&path).is_ok_and(|found| found == good), "missing {name}: {report:?}");
        }
    }
    scene.is_whole("after everything was damaged once");
}

#[test]
fn what_was_forgotten_and_collected_does_not_come_back() {
    let mut scene = Scene::new(ParityChoice::Left);
    // The copy is of before: it still has the snapshot, its packs, its reach and the older policy of then.
    let table = crate::support::rows(3_000, 99);
    let gone = scene.bench.backup("other", &[("t", Shape::Rows, &table)]).snapshot;
    fs::remove_dir_all(scene.copy_path()).unwrap();
    crate::common::copy_of(&scene.root(), &scene.copy_path());
    scene.bench.repository.forget_one(gone).unwrap();
    scene.bench.repository.prune(&crate::common::eager(), &Silent).unwrap();
    let before: Vec<_> = scene.files("");
    let pack = scene.pack();
    flip(&pack);
    let report = scene.repair(Some(scene.copy()));
    assert_eq!(report.mended.len(), 1, "{report:?}");
    let options = RepairOptions { from: Some(scene.copy()), add_parity: AddParity::No };
    let keyless = stranger(&scene).repair(&options, &ReadKeys::default(), &Silent).unwrap();
    assert_eq!(keyless.mended, [], "nobody without keys brings it back either");
    let after = scene.files("");
    let log =
        |paths: &[std::path::PathBuf]| paths.iter().filter(|path| !path.to_string_lossy().contains("/log/")).count();
    assert_eq!(log(&after), log(&before));
    assert!(!scene.root().join("snap").join(gone.to_string()).exists());
    scene.live.remove(&gone);
    scene.is_whole("afterwards");
}

#[test]
fn a_copy_that_is_damaged_too_is_not_believed() {
    let scene = Scene::new(ParityChoice::Left);
    let pack = scene.pack();
    let name = pack.strip_prefix(scene.root()).unwrap().to_owned();
    flip(&pack);
    let bad = fs::read(&pack).unwrap();
    cut(&scene.copy_path().join(&name));
    let report = scene.repair(Some(scene.copy()));
    assert_eq!((report.mended.len(), report.left.len()), (0, 1), "{report:?}");
    assert!(fs::read(&pack).unwrap() == bad, "it is left as it is");
    let of_copy = report.findings.iter().find(|finding| finding.what.contains("in the copy too")).unwrap();
    assert_eq!(of_copy.severity, Severity::Warning);
}

#[test]
fn lacre_json_comes_back_from_a_copy_or_from_the_home() {
    let scene = Scene::new(ParityChoice::Left);
    let path = scene.root().join("lacre.json");
    let good = fs::read(&path).unwrap();
    let home = lacre_repo::home::Home::open(&scene.bench.directory.path().join("home")).unwrap();
    let empty = lacre_repo::home::Home::open(&scene.bench.directory.path().join("nobody")).unwrap();
    let repair = lacre_repo::op::repair::manifest::repair;
    assert_eq!(repair(&scene.bench.store, None, &home).unwrap(), None, "it is sound");
    for damage in [flip as fn(&std::path::Path), cut, |path| fs::remove_file(path).unwrap()] {
        damage(&path);
        assert_eq!(repair(&scene.bench.store, None, &empty).unwrap(), None, "nobody here knows it");
        let mended = repair(&scene.bench.store, None, &home).unwrap().unwrap();
        assert_eq!((mended.how, fs::read(&path).unwrap() == good), (How::Rebuilt, true));
        damage(&path);
        let mended = repair(&scene.bench.store, Some(&scene.copy()), &empty).unwrap().unwrap();
        assert_eq!((mended.how, fs::read(&path).unwrap() == good), (How::Fetched, true));
    }
    // Another repository's is not taken: its admin has signed nothing here.
    let other = Scene::new(ParityChoice::Left);
    fs::remove_file(&path).unwrap();
    assert_eq!(repair(&scene.bench.store, Some(&other.copy()), &empty).unwrap(), None);
}
