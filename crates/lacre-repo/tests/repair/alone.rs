//! With nothing to repair from: what is lost is named exactly, put on record, and worked around.

use std::fs;

use lacre_format::root::Shape;
use lacre_repo::{
    Severity, Silent,
    op::{
        check::{CheckOptions, ReadData},
        keys::ReadKeys,
        repair::{AddParity, How, RepairOptions},
    },
    parity::ParityChoice,
};

use crate::{
    common::{Scene, cut, eager, flip, grave},
    support::{read, rows},
};

#[test]
fn a_lost_pack_is_named_to_the_row_and_healed_by_the_next_backup() {
    let mut scene = Scene::new(ParityChoice::Left);
    // One table of lines in a pack of its own, and a small one that nothing happens to.
    let big = rows(30_000, 11);
    let before: std::collections::BTreeSet<_> = scene.files("packs").into_iter().collect();
    let made = scene.bench.backup("lost", &[("big", Shape::Rows, &big), ("small", Shape::Rows, b"one\ntwo\n")]).snapshot;
    let new: Vec<_> = scene.files("packs").into_iter().filter(|path| !before.contains(path)).collect();
    let pack = new.into_iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    fs::remove_file(&pack).unwrap();
    let stopped = scene.bench.reopen().prune(&eager(), &Silent).unwrap_err();
    assert_eq!(stopped.kind(), lacre_repo::Kind::Damaged, "{stopped}");

    let report = scene.repair(None);
    assert_eq!((report.mended.len(), report.left.len(), report.recorded), (0, 1, true), "{report:?}");
    assert_eq!(report.incomplete.iter().map(|(snapshot, _)| *snapshot).collect::<Vec<_>>(), [made], "{report:?}");
    let lost = &report.streams[0];
    assert_eq!((lost.snapshot, lost.stream.as_str(), lost.bytes), (made, "big", big.len() as u64), "{report:?}");
    assert_eq!((lost.stretches[0].start, lost.stretches[0].bytes), (Some(0), Some(big.len() as u64)));

    // On record: an audit still names it and does not call it news, garbage is collected again, all else reads.
    let checked = grave(scene.bench.check_all().findings);
    assert!(!checked.is_empty() && checked.iter().all(|finding| finding.severity == Severity::Warning), "{checked:?}");
    scene.bench.reopen().prune(&eager(), &Silent).unwrap();
    for (snapshot, table) in &scene.live {
        assert!(read(&scene.bench.reopen(), *snapshot, &scene.bench.keys(), "t").unwrap() == *table);
    }
    let again = scene.repair(None);
    assert!(again.recorded && again.left.len() == 1, "nothing new: {again:?}");
    assert!(again.findings.iter().all(|finding| finding.severity < Severity::Damage), "{again:?}");

    // The next night stores again what was lost, and nothing else.
    let next = scene.bench.backup("lost", &[("big", Shape::Rows, &big), ("small", Shape::Rows, b"one\ntwo\n")]);
    assert_eq!(next.chunks_new, next.chunks, "all of this job's chunks lay in that pack: {next:?}");
    assert!(next.findings.iter().any(|finding| finding.what.contains("missing")), "{:?}", next.findings);
    assert!(scene.bench.read(next.snapshot, "big") == big);
    // Once the incomplete one is forgotten nothing is left to warn of.
    scene.bench.repository.forget_one(made).unwrap();
    scene.bench.reopen().prune(&eager(), &Silent).unwrap();
    assert_eq!(scene.repair(None).left, Vec::<String>::new());
    scene.live.insert(next.snapshot, big.clone());
    assert_eq!(grave(scene.bench.check_all().findings), []);
}

#[test]
fn only_what_was_in_the_lost_pack_is_stored_again() {
    let scene = Scene::new(ParityChoice::Left);
    let first = rows(20_000, 21);
    let begun = scene.bench.backup("part", &[("t", Shape::Rows, &first)]);
    let before: std::collections::BTreeSet<_> = scene.files("packs").into_iter().collect();
    let mut second = first.clone();
    second.extend_from_slice(&rows(4_000, 22));
    let grown = scene.bench.backup("part", &[("t", Shape::Rows, &second)]);
    let new: Vec<_> = scene.files("packs").into_iter().filter(|path| !before.contains(path)).collect();
    let pack = new.into_iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    // It lies there, but not with its bytes: a backup, which reads no packs, learns that from the record.
    flip(&pack);
    let report = scene.repair(None);
    assert_eq!(report.incomplete.len(), 1, "{report:?}");
    let lost = &report.streams[0];
    let rows_lost = lost.stretches[0].first_row;
    assert!(rows_lost.is_none(), "rows were not counted by this source: {lost:?}");
    assert!(lost.bytes > 0 && lost.bytes < second.len() as u64 / 2, "{lost:?}");
    assert!(lost.stretches[0].start.is_some_and(|start| start > first.len() as u64 / 2), "{lost:?}");
    let healed = scene.bench.backup("part", &[("t", Shape::Rows, &second)]);
    assert!(healed.chunks_new > 0 && healed.chunks_new <= grown.chunks_new, "{} of {}", healed.chunks_new, begun.chunks);
    assert!(scene.bench.read(healed.snapshot, "t") == second);
    assert!(scene.bench.read(begun.snapshot, "t") == first);
}

#[test]
fn an_index_is_made_again_from_footers_and_its_damaged_segment_goes_with_the_next_prune() {
    let scene = Scene::new(ParityChoice::Left);
    for segment in scene.files("index") {
        flip(&segment);
        let found = scene.bench.check_all().findings;
        assert!(found.iter().any(|finding| finding.severity == Severity::Damage), "{found:?}");
        let report = scene.repair(None);
        assert_eq!(report.left, Vec::<String>::new(), "{report:?}");
        assert!(report.mended.iter().all(|mended| mended.how == How::Rebuilt), "{report:?}");
        assert_eq!(grave(scene.bench.check_all().findings), []);
        scene.bench.reopen().prune(&eager(), &Silent).unwrap();
        assert!(!segment.exists(), "what nobody can read and nobody needs is garbage");
    }
    scene.is_whole("with a new index");
}

#[test]
fn a_reach_map_is_made_again_from_the_root_and_only_with_an_identity() {
    let scene = Scene::new(ParityChoice::Left);
    for (at, damage) in [flip as fn(&std::path::Path), cut, |path| fs::remove_file(path).unwrap()].into_iter().enumerate() {
        let path = scene.files("reach").into_iter().find(|path| !path.to_string_lossy().contains('-')).unwrap();
        damage(&path);
        assert!(scene.bench.reopen().prune(&eager(), &Silent).is_err() || at > 0);
        if at == 0 {
            let without = scene.repair_with(None, &ReadKeys::default());
            assert!(without.not_done.iter().any(|what| what.contains("--identity")), "{without:?}");
            assert_eq!(without.mended, []);
        }
        let report = scene.repair(None);
        assert!(report.left.is_empty(), "{report:?}");
        scene.is_whole("with a reach map made again");
    }
    // It goes with its snapshot.
    let bench = &scene.bench;
    bench.repository.snapshots().unwrap().rows.iter().for_each(|row| bench.repository.forget_one(row.snapshot).unwrap());
    bench.reopen().prune(&eager(), &Silent).unwrap();
    assert_eq!(scene.files("reach"), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_damaged_snapshot_that_nothing_has_is_on_record_and_stops_nobody() {
    let mut scene = Scene::new(ParityChoice::Left);
    let snapshot = *scene.live.keys().next().unwrap();
    flip(&scene.root().join("snap").join(snapshot.to_string()));
    let options = CheckOptions { level: Some(2), read_data: ReadData::None, snapshot: None };
    let found = scene.bench.reopen().check(&options, &ReadKeys::default(), &Silent).unwrap().findings;
    assert!(found.iter().any(|finding| finding.severity == Severity::Damage), "{found:?}");
    assert!(scene.bench.reopen().prune(&eager(), &Silent).is_err());
    let report = scene.repair(None);
    assert!(report.recorded && !report.left.is_empty(), "{report:?}");
    scene.live.remove(&snapshot);
    let found = grave(scene.bench.check_all().findings);
    assert!(!found.is_empty() && found.iter().all(|finding| finding.severity == Severity::Warning), "{found:?}");
    scene.bench.reopen().prune(&eager(), &Silent).unwrap();
    // A copy that turns up later heals it all the same, and the record is taken back.
    let copied = scene.repair(Some(scene.copy()));
    assert!(copied.left.is_empty() && copied.mended.iter().any(|mended| mended.how == How::Fetched), "{copied:?}");
}

#[test]
fn a_repair_that_dies_anywhere_is_finished_by_the_next() {
    use lacre_repo::store::fault::FaultPlan;
    let scene = Scene::new(ParityChoice::Left);
    let pack = scene.pack();
    let reach = scene.files("reach").remove(0);
    let good = (fs::read(&pack).unwrap(), fs::read(&reach).unwrap());
    flip(&pack);
    cut(&reach);
    let mut died = 0;
    for call in 1.. {
        let repository = scene.bench.reopen_over(scene.bench.store.with_faults(FaultPlan::crash_at(call)));
        let options = RepairOptions { from: Some(scene.copy()), add_parity: AddParity::No };
        let done = repository.repair(&options, &ReadKeys::default(), &Silent);
        for (path, good) in [(&pack, &good.0), (&reach, &good.1)] {
            let found = fs::read(path).unwrap();
            assert!(found == *good || found.len() <= good.len(), "never anything in between");
        }
        match done {
            Ok(_) => break,
            Err(_) => died += 1,
        }
    }
    assert!(died > 5, "{died}");
    scene.is_whole("in the end");
}
