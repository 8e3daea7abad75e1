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
    // All chunks of this job lie in one pack.
    let big = rows(30_000, 11);
    let before: std::collections::BTreeSet<_> = scene.files("packs").into_iter().collect();
    let made =
        scene.bench.backup("lost", &[("big", Shape::Rows, &big), ("small", Shape::Rows, b"one\ntwo\n")]).snapshot;
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
    assert!(again.recorded && again.incomplete.len() == 1, "nothing new: {again:?}");
    assert!(again.findings.iter().any(|finding| finding.severity == Severity::Warning), "and never silent: {again:?}");
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
    assert_eq!(lost.stretches[0].last_row, Some(24_000), "{lost:?}");
    assert!(lost.bytes > 0 && lost.bytes < second.len() as u64 / 2, "{lost:?}");
    assert!(lost.stretches[0].start.is_some_and(|start| start > first.len() as u64 / 2), "{lost:?}");
    let healed = scene.bench.backup("part", &[("t", Shape::Rows, &second)]);
    assert!(
        healed.chunks_new > 0 && healed.chunks_new <= grown.chunks_new,
        "{} of {}",
        healed.chunks_new,
        begun.chunks
    );
    assert!(scene.bench.read(healed.snapshot, "t") == second);
    assert!(scene.bench.read(begun.snapshot, "t") == first);
}

/// A table as a driver stores it: rows counted, an end marker behind them.
fn back_up_table(scene: &Scene, count: u64, text: &[u8]) {
    use lacre_format::root::StreamKind;
    use lacre_repo::op::backup::{BackupOptions, Rows, SourceFacts, StreamSpec};
    let job = lacre_format::ids::JobName::parse("table").unwrap();
    let repository = &scene.bench.repository;
    let mut backup = repository.begin_backup(&job, BackupOptions::default(), std::sync::Arc::new(Silent)).unwrap();
    let (kind, shape) = (StreamKind::Table, Shape::Rows);
    let spec = StreamSpec { name: "public.t".to_owned(), kind, shape, dump_id: Some(7), expected_bytes: None };
    let mut stream = backup.stream(spec).unwrap();
    stream.push(text).unwrap();
    stream.finish(Rows { count: Some(count), digest: None }).unwrap();
    backup.commit(SourceFacts { kind: "postgres".to_owned(), ..SourceFacts::default() }).unwrap();
}

#[test]
fn lost_rows_are_named_exactly_whether_the_table_ends_in_them_or_not() {
    for is_last in [true, false] {
        let scene = Scene::new(ParityChoice::Left);
        let whole = rows(20_000, 31);
        let ends: Vec<usize> = memchr::memchr_iter(b'\n', &whole).map(|at| at + 1).collect();
        // What the second night adds: the last 3,000 rows, or 3,000 in the middle.
        let (from, to) = if is_last { (17_000, 20_000) } else { (9_000, 12_000) };
        let first = [&whole[..ends[from - 1]], &whole[ends[to - 1]..], b"\\.\n\n\n"].concat();
        let second = [&whole[..], b"\\.\n\n\n"].concat();
        back_up_table(&scene, 17_000, &first);
        let before: std::collections::BTreeSet<_> = scene.files("packs").into_iter().collect();
        back_up_table(&scene, 20_000, &second);
        let new = scene.files("packs").into_iter().filter(|path| !before.contains(path));
        fs::remove_file(new.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap()).unwrap();
        let report = scene.repair(None);
        let [lost] = report.streams.as_slice() else { panic!("{report:?}") };
        let [stretch] = lost.stretches.as_slice() else { panic!("{lost:?}") };
        let (first_row, last_row) = (stretch.first_row.unwrap() as usize, stretch.last_row.unwrap() as usize);
        // Chunks end at row ends, so a few rows more than were added are in the same pieces; and what is said is so to the byte.
        assert!(first_row <= from + 1 && first_row + 400 > from, "{lost:?}");
        assert!(last_row >= to && last_row < to + 400, "{lost:?}");
        assert_eq!(lost.rows, Some((last_row - first_row + 1) as u64));
        assert_eq!(stretch.start, Some(if first_row == 1 { 0 } else { ends[first_row - 2] as u64 }));
        let end = if is_last { second.len() } else { ends[last_row - 1] };
        assert_eq!(stretch.start.unwrap() + stretch.bytes.unwrap(), end as u64, "{lost:?}");
    }
}

#[test]
fn an_index_is_made_again_from_footers_and_its_damaged_segment_goes_with_the_next_prune() {
    let scene = Scene::new(ParityChoice::Left);
    let segment = scene.files("index").remove(0);
    flip(&segment);
    let found = scene.bench.check_all().findings;
    assert!(found.iter().any(|finding| finding.severity == Severity::Damage), "{found:?}");
    let report = scene.repair(None);
    assert_eq!(report.left, Vec::<String>::new(), "{report:?}");
    assert!(!report.mended.is_empty() && report.mended.iter().all(|mended| mended.how == How::Rebuilt), "{report:?}");
    assert_eq!(grave(scene.bench.check_all().findings), []);
    scene.bench.reopen().prune(&eager(), &Silent).unwrap();
    assert!(!segment.exists(), "what nobody can read and nobody needs is garbage");
    scene.is_whole("with a new index");
}

#[test]
fn a_reach_map_is_made_again_from_the_root_and_only_with_an_identity() {
    let scene = Scene::new(ParityChoice::Left);
    for (at, damage) in
        [flip as fn(&std::path::Path), cut, |path| fs::remove_file(path).unwrap()].into_iter().enumerate()
    {
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
    bench
        .repository
        .snapshots()
        .unwrap()
        .rows
        .iter()
        .for_each(|row| bench.repository.forget_one(row.snapshot).unwrap());
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
        let store = scene.bench.store.with_faults(FaultPlan::crash_at(call));
        let home = lacre_repo::home::Home::open(&scene.bench.directory.path().join("home")).unwrap();
        let options = RepairOptions { from: Some(scene.copy()), add_parity: AddParity::No };
        let done = lacre_repo::Repository::open(store, &home, scene.bench.clock.clone())
            .and_then(|repository| repository.repair(&options, &ReadKeys::default(), &Silent));
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
