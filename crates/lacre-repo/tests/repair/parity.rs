//! From the parity beside a pack: while reading, and for good.

use std::fs;

use lacre_format::root::Shape;
use lacre_repo::{
    Severity, Silent,
    op::{
        keys::ReadKeys,
        repair::{AddParity, How, RepairOptions},
    },
    parity::ParityChoice,
    store::Store,
};

use crate::{
    common::{Scene, cut, eager, flip, grave, stranger},
    support::{Bench, read},
};

/// Three percent of a pack, from a byte on.
fn burst(path: &std::path::Path, start: usize) -> Vec<u8> {
    let good = fs::read(path).unwrap();
    let mut bad = good.clone();
    let length = good.len() * 3 / 100;
    bad[start..start + length].iter_mut().for_each(|byte| *byte = !*byte);
    fs::write(path, bad).unwrap();
    good
}

#[test]
fn a_burst_is_corrected_while_reading_reported_and_written_back_without_a_key() {
    let scene = Scene::new(ParityChoice::Auto);
    assert_eq!(scene.files("parity").len(), scene.files("packs").len());
    for pack in scene.files("packs") {
        let bytes = fs::metadata(&pack).unwrap().len() as usize;
        for start in [0, bytes / 3, bytes - bytes * 3 / 100] {
            let good = burst(&pack, start);
            let name = pack.file_name().unwrap().to_str().unwrap().to_owned();
            let repository = scene.bench.reopen();
            let mut corrections = Vec::new();
            for (snapshot, table) in &scene.live {
                let opened = repository.open_snapshot(*snapshot, &scene.bench.keys()).unwrap();
                let mut found = Vec::new();
                opened.read(opened.stream("t").unwrap(), &mut found, &Silent).unwrap();
                assert!(found == *table, "{name} at {start}");
                corrections.extend(opened.corrections());
            }
            assert!(corrections.iter().all(|finding| finding.severity == Severity::Warning), "{corrections:?}");
            let checked = scene.bench.check_all().findings;
            let damage: Vec<_> = checked.iter().filter(|finding| finding.severity == Severity::Damage).collect();
            assert_eq!(damage.len(), 1, "{name} at {start}: {checked:?}");
            assert!(damage[0].object.contains(&name) && damage[0].advice.contains("lacre repo repair"), "{damage:?}");
            let options = RepairOptions { from: None, add_parity: AddParity::No };
            let report = stranger(&scene).repair(&options, &ReadKeys::default(), &Silent).unwrap();
            assert_eq!(
                report.mended.iter().map(|mended| mended.how).collect::<Vec<_>>(),
                [How::Corrected],
                "{report:?}"
            );
            assert!(fs::read(&pack).unwrap() == good, "{name} at {start}");
        }
    }
    scene.is_whole("after all of it");
}

#[test]
fn a_reader_meets_the_damage_and_says_so_once() {
    let scene = Scene::new(ParityChoice::Auto);
    let pack = scene.pack();
    burst(&pack, 100_000);
    let (snapshot, table) = scene.live.iter().next().unwrap();
    let repository = scene.bench.reopen();
    let opened = repository.open_snapshot(*snapshot, &scene.bench.keys()).unwrap();
    let mut found = Vec::new();
    opened.read(opened.stream("t").unwrap(), &mut found, &Silent).unwrap();
    assert!(found == *table);
    let corrections = opened.corrections();
    assert_eq!(corrections.len(), 1, "{corrections:?}");
    assert!(corrections[0].object.contains(pack.file_name().unwrap().to_str().unwrap()));
    assert!(corrections[0].what.contains("parity"), "{corrections:?}");
}

#[test]
fn a_cut_pack_is_made_whole_and_one_that_is_gone_is_not() {
    let scene = Scene::new(ParityChoice::Auto);
    let pack = scene.pack();
    let good = fs::read(&pack).unwrap();
    fs::write(&pack, &good[..good.len() - good.len() * 3 / 100]).unwrap();
    let report = scene.repair(None);
    assert_eq!(report.mended.iter().map(|mended| mended.how).collect::<Vec<_>>(), [How::Corrected], "{report:?}");
    assert!(fs::read(&pack).unwrap() == good);
    fs::remove_file(&pack).unwrap();
    let report = scene.repair(None);
    assert_eq!(report.left.len(), 1, "{report:?}");
}

#[test]
fn damaged_and_missing_parity_is_found_and_computed_again() {
    let scene = Scene::new(ParityChoice::Auto);
    let parity = scene.files("parity").remove(0);
    let good = fs::read(&parity).unwrap();
    for damage in [flip as fn(&std::path::Path), cut] {
        damage(&parity);
        let found = grave(scene.bench.check_all().findings);
        assert_eq!(found.iter().map(|finding| finding.severity).collect::<Vec<_>>(), [Severity::Warning], "{found:?}");
        let report = scene.repair(None);
        assert_eq!(report.mended.iter().map(|mended| mended.how).collect::<Vec<_>>(), [How::Rebuilt], "{report:?}");
        assert!(fs::read(&parity).unwrap() == good);
    }
    fs::remove_file(&parity).unwrap();
    let found = scene.bench.check_all().findings;
    assert!(
        found.iter().any(|finding| finding.advice.contains("--parity")) && grave(found.clone()).is_empty(),
        "{found:?}"
    );
    let options = RepairOptions { from: None, add_parity: AddParity::Yes };
    let report = scene.bench.reopen().repair(&options, &scene.bench.keys(), &Silent).unwrap();
    assert_eq!((report.parity_added, report.mended.len()), (1, 0), "{report:?}");
    assert!(fs::read(&parity).unwrap() == good);
    scene.is_whole("with all parity back");
}

#[test]
fn parity_is_added_later_kept_in_a_bucket_if_asked_and_goes_with_its_pack() {
    let scene = Scene::new(ParityChoice::Left);
    assert_eq!(scene.files("parity"), Vec::<std::path::PathBuf>::new());
    let options = RepairOptions { from: None, add_parity: AddParity::Yes };
    let report = stranger(&scene).repair(&options, &ReadKeys::default(), &Silent).unwrap();
    assert_eq!(report.parity_added as usize, scene.files("packs").len());
    let bench = &scene.bench;
    bench
        .repository
        .snapshots()
        .unwrap()
        .rows
        .iter()
        .for_each(|row| bench.repository.forget_one(row.snapshot).unwrap());
    bench.repository.prune(&eager(), &Silent).unwrap();
    assert_eq!((scene.files("packs").len(), scene.files("parity").len()), (0, 0));
    // A store that is no directory gets none by itself.
    let memory = Bench::in_memory();
    let table = crate::support::rows(2_000, 1);
    memory.backup("app", &[("t", Shape::Rows, &table)]);
    assert_eq!(memory.store.list("parity").unwrap().objects, []);
    let kept = memory.reopen().with_parity(ParityChoice::Kept);
    let made = crate::support::backup(&kept, "b", &[("t", Shape::Rows, &table)], Default::default()).unwrap();
    assert_eq!(memory.store.list("parity").unwrap().objects.len(), 2, "chunks and nodes");
    assert!(read(&kept, made.snapshot, &memory.keys(), "t").unwrap() == table);
}

#[test]
fn a_disk_that_refuses_a_stretch_of_a_pack_costs_nothing() {
    use lacre_repo::store::{
        Verb,
        fault::{Effect, Failure, Fault, FaultPlan, Recurrence},
    };
    let scene = Scene::new(ParityChoice::Auto);
    let name = scene.pack().strip_prefix(scene.root()).unwrap().display().to_string();
    let bad = Fault {
        verb: Some(Verb::GetRange),
        prefix: name,
        nth: 3,
        recurrence: Recurrence::Once,
        effect: Effect::FailBefore(Failure::Io),
    };
    let store: Store = scene.bench.store.with_faults(FaultPlan { faults: vec![bad] });
    let repository = scene.bench.reopen_over(store);
    for (snapshot, table) in &scene.live {
        assert!(read(&repository, *snapshot, &scene.bench.keys(), "t").unwrap() == *table);
    }
}
