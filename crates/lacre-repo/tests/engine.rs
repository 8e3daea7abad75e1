//! The vault end to end, through its public operations on a local directory and in memory.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may read files, clocks and the environment, and run programs"
)]
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test that cannot go on fails")]

mod support;

use jiff::tz::TimeZone;
use lacre_format::root::Shape;
use lacre_repo::{
    Error, Kind, Severity,
    op::{
        backup::BackupOptions,
        check::{CheckOptions, ReadData},
        keys::ReadKeys,
        seal::Sheet,
    },
};
use lacre_seal::kit::Kit;
use support::{Bench, backup, read, rows, write_row};

#[test]
fn what_was_backed_up_comes_back() {
    let bench = Bench::new();
    let table = rows(50_000, 1);
    let noise: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let report = bench.backup(
        "app",
        &[("public.users", Shape::Rows, &table), ("blob", Shape::Bytes, &noise), ("empty", Shape::Bytes, b"")],
    );
    assert_eq!(report.bytes_read, (table.len() + noise.len()) as u64);
    assert_eq!(report.streams[0].rows, 50_000);
    assert!(report.chunks_new > 500, "{report:?}");
    assert_eq!(bench.read(report.snapshot, "public.users"), table);
    assert_eq!(bench.read(report.snapshot, "blob"), noise);
    assert_eq!(bench.read(report.snapshot, "empty"), b"");
    let checked = bench.check_all();
    assert_eq!(checked.findings, []);
    assert_eq!(checked.level, 4);
    assert_eq!(checked.snapshots, [report.snapshot]);
}

#[test]
fn the_same_works_on_an_object_store() {
    let bench = Bench::in_memory();
    let table = rows(20_000, 2);
    let first = bench.backup("app", &[("t", Shape::Rows, &table)]);
    let second = bench.backup("app", &[("t", Shape::Rows, &table)]);
    assert_eq!(second.chunks_new, 0);
    assert_eq!(bench.read(first.snapshot, "t"), table);
    assert_eq!(bench.read(second.snapshot, "t"), table);
    assert_eq!(bench.check_all().findings, []);
}

#[test]
fn an_unchanged_night_stores_no_chunk_and_a_changed_row_few() {
    let bench = Bench::new();
    let mut table = rows(40_000, 3);
    let first = bench.backup("app", &[("t", Shape::Rows, &table)]);
    let again = bench.backup("app", &[("t", Shape::Rows, &table)]);
    assert_eq!((again.chunks_new, again.bytes_new), (0, 0));
    assert!(again.bytes_stored < 20_000, "{again:?}");
    let middle = table.len() / 2;
    let row_start = middle + table[middle..].iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let mut inserted = Vec::new();
    write_row(&mut inserted, 999_999, 77);
    table.splice(row_start..row_start, inserted);
    let changed = bench.backup("app", &[("t", Shape::Rows, &table)]);
    assert!((1..=4).contains(&changed.chunks_new), "{changed:?}");
    assert_eq!(bench.read(changed.snapshot, "t"), table);
    assert_eq!(bench.read(first.snapshot, "t"), rows(40_000, 3));
}

#[test]
fn every_cache_can_be_deleted() {
    let bench = Bench::new();
    let table = rows(30_000, 4);
    let first = bench.backup("app", &[("t", Shape::Rows, &table)]);
    let home = bench.home_files();
    let repository = bench.reopen();
    for entry in std::fs::read_dir(&home).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("catalog.db") {
            std::fs::remove_file(path).unwrap();
        }
    }
    std::fs::remove_dir_all(home.join("index")).unwrap();
    drop(repository);
    let repository = bench.reopen();
    assert_eq!(read(&repository, first.snapshot, &bench.keys(), "t").unwrap(), table);
    let second = backup(&repository, "app", &[("t", Shape::Rows, &table)], BackupOptions::default()).unwrap();
    assert_eq!(second.chunks, second.chunks_new, "no index: a full upload, never a loss");
    assert_eq!(read(&repository, second.snapshot, &bench.keys(), "t").unwrap(), table);
}

#[test]
fn segments_gone_means_footers_are_read() {
    let bench = Bench::new();
    let table = rows(30_000, 5);
    let report = bench.backup("app", &[("t", Shape::Rows, &table)]);
    bench.files("index").into_iter().for_each(|file| std::fs::remove_file(file).unwrap());
    let rebuilt = bench.repository.rebuild().unwrap();
    assert_eq!(rebuilt.packs as usize, bench.files("packs").len());
    assert_eq!(bench.read(report.snapshot, "t"), table);
}

#[test]
fn a_kit_and_an_identity_restore_on_a_machine_that_has_nothing() {
    let bench = Bench::new();
    let table = rows(10_000, 6);
    let report = bench.backup("app", &[("t", Shape::Rows, &table)]);
    let Some(kit) = &bench.report.kit else { unreachable!("a kit was asked for") };
    let text = kit.encode_text();
    let Kit::Seal(kit) = Kit::parse(&text).unwrap() else { unreachable!("a seal kit") };
    let elsewhere = tempfile::tempdir().unwrap();
    let home = lacre_repo::home::Home::open(&elsewhere.path().join("home")).unwrap();
    let identities = bench.identities();
    std::fs::rename(bench.home_files().join("seal.cell"), elsewhere.path().join("moved")).unwrap();
    let cold = lacre_repo::Repository::open(bench.store.clone(), &home, bench.clock.clone()).unwrap();
    let nothing = read(&cold, report.snapshot, &ReadKeys::default(), "t");
    assert!(matches!(nothing, Err(Error::NoSeal { .. })), "{:?}", nothing.err());
    let keys = ReadKeys { identities, kits: vec![kit], cells: Vec::new() };
    assert_eq!(read(&cold, report.snapshot, &keys, "t").unwrap(), table);
    let without = ReadKeys { identities: Vec::new(), ..keys };
    let sealed = read(&cold, report.snapshot, &without, "t");
    assert!(matches!(&sealed, Err(error) if error.kind() == Kind::NoKey), "{:?}", sealed.err());
}

#[test]
fn a_writer_needs_no_private_key_but_its_own() {
    let bench = Bench::new();
    let table = rows(10_000, 7);
    for file in ["admin.key", "identity.txt", "seal.cell"] {
        std::fs::remove_file(bench.home_files().join(file)).unwrap();
    }
    let first = bench.backup("app", &[("t", Shape::Rows, &table)]);
    let second = bench.backup("app", &[("t", Shape::Rows, &table)]);
    assert_eq!(second.chunks_new, 0);
    let reading = read(&bench.repository, first.snapshot, &ReadKeys::default(), "t");
    assert!(matches!(&reading, Err(error) if error.kind() == Kind::NoKey));
    assert!(matches!(bench.repository.forget_one(first.snapshot), Err(Error::KeyMissing { .. })));
}

#[test]
fn nothing_of_the_data_or_its_names_is_in_any_file_of_the_repository() {
    let bench = Bench::new();
    let table = rows(20_000, 8);
    bench.backup("secretjob", &[("public.telltale_table", Shape::Rows, &table)]);
    let needles: [&[u8]; 4] = [b"telltale", b"secretjob", b"some text that repeats", b"name12"];
    let mut files = 0;
    for object in bench.store.list("").unwrap().objects {
        files += 1;
        let bytes = std::fs::read(bench.directory.path().join("repository").join(&object.name)).unwrap();
        for needle in needles {
            assert!(
                memchr::memmem::find(&bytes, needle).is_none(),
                "{} holds {:?}",
                object.name,
                String::from_utf8_lossy(needle)
            );
        }
    }
    assert!(files > 8, "{files}");
}

#[test]
fn an_empty_or_shrunken_source_is_no_snapshot() {
    let bench = Bench::new();
    let table = rows(20_000, 9);
    let empty = backup(&bench.repository, "app", &[("t", Shape::Rows, b"")], BackupOptions::default());
    assert!(matches!(&empty, Err(error) if error.kind() == Kind::Refused));
    bench.backup("app", &[("t", Shape::Rows, &table)]);
    let half = &table[..table.len() / 3];
    let shrunken = backup(&bench.repository, "app", &[("t", Shape::Rows, half)], BackupOptions::default());
    assert!(matches!(&shrunken, Err(error) if error.kind() == Kind::Refused));
    assert_eq!(bench.repository.snapshots().unwrap().rows.len(), 1);
    let allowed = BackupOptions { allow_shrink: true, ..BackupOptions::default() };
    backup(&bench.repository, "app", &[("t", Shape::Rows, half)], allowed).unwrap();
    assert_eq!(bench.repository.snapshots().unwrap().rows.len(), 2);
}

#[test]
fn a_second_backup_of_a_running_job_is_refused() {
    let bench = Bench::new();
    let job = lacre_format::ids::JobName::parse("app").unwrap();
    let open =
        bench.repository.begin_backup(&job, BackupOptions::default(), std::sync::Arc::new(lacre_repo::Silent)).unwrap();
    let second = bench.reopen();
    let busy = second.begin_backup(&job, BackupOptions::default(), std::sync::Arc::new(lacre_repo::Silent)).map(drop);
    assert!(matches!(&busy, Err(error) if error.kind() == Kind::Conflict));
    assert!(open.abandon().unwrap().is_none());
    assert!(second.begin_backup(&job, BackupOptions::default(), std::sync::Arc::new(lacre_repo::Silent)).is_ok());
    assert_eq!(bench.repository.snapshots().unwrap().rows.len(), 0);
}

#[test]
fn every_damaged_object_is_named_and_nothing_panics() {
    let table = rows(20_000, 10);
    for folder in ["packs", "snap", "reach", "policy", "keyring", "index"] {
        for damage in ["flip", "truncate", "delete"] {
            let bench = Bench::new();
            let report = bench.backup("app", &[("t", Shape::Rows, &table)]);
            let mut files = bench.files(folder);
            files.retain(|file| !file.ends_with("list") && !file.ends_with("bundle"));
            let victim = files.last().unwrap();
            let bytes = std::fs::read(victim).unwrap();
            match damage {
                "flip" => {
                    let mut bytes = bytes;
                    let middle = bytes.len() / 2;
                    bytes[middle] ^= 4;
                    std::fs::write(victim, bytes).unwrap();
                }
                "truncate" => std::fs::write(victim, &bytes[..bytes.len() / 2]).unwrap(),
                _ => std::fs::remove_file(victim).unwrap(),
            }
            for file in std::fs::read_dir(bench.home_files()).unwrap() {
                let path = file.unwrap().path();
                if path.to_str().unwrap().contains("catalog.db") {
                    std::fs::remove_file(path).unwrap();
                }
            }
            let repository = bench.reopen();
            let options = CheckOptions { level: None, read_data: ReadData::All, snapshot: None };
            let checked = repository.check(&options, &bench.keys(), &lacre_repo::Silent);
            let restored = read(&repository, report.snapshot, &bench.keys(), "t");
            let context = format!("{damage} in {folder}");
            match (folder, damage) {
                ("policy", _) => {
                    assert!(matches!(&checked, Err(error) if error.kind() == Kind::Damaged), "{context}");
                    assert!(restored.is_err(), "{context}");
                }
                ("index", "delete") => {
                    assert_eq!(checked.unwrap().findings, [], "{context}: footers replace the segment");
                    assert_eq!(restored.unwrap(), table, "{context}");
                }
                ("snap", "delete") => assert!(matches!(restored, Err(Error::NoSnapshot { .. })), "{context}"),
                _ => {
                    let findings = checked.unwrap().findings;
                    assert!(
                        findings.iter().any(|finding| finding.severity == Severity::Damage),
                        "{context}: {findings:?}"
                    );
                    if (folder, damage) == ("packs", "flip") {
                        assert!(restored.unwrap() == table, "{context}: its parity corrects it");
                    } else if matches!(folder, "packs" | "snap" | "keyring") {
                        assert!(restored.is_err(), "{context}");
                    }
                }
            }
        }
    }
}

#[test]
fn retention_forgets_what_the_plan_said_and_undo_brings_it_back() {
    let bench = Bench::new();
    let table = rows(2_000, 11);
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(bench.backup("app", &[("t", Shape::Rows, &table)]).snapshot);
        bench.clock.advance_hours(24);
    }
    bench.repository.hold(made[0], "litigation").unwrap();
    let rules = |_: &lacre_format::ids::JobName| lacre_repo::retention::Rules { last: 2, ..Default::default() };
    let now = jiff::Timestamp::from_millisecond(lacre_repo::Clock::now(&*bench.clock).as_millisecond()).unwrap();
    let plan = bench.repository.plan_forget(&rules, None, &now.to_zoned(TimeZone::UTC)).unwrap();
    let mut forgotten = plan.forgotten.clone();
    forgotten.sort();
    let mut expected = vec![made[1], made[2]];
    expected.sort();
    assert_eq!(forgotten, expected);
    bench.repository.forget(&plan).unwrap();
    let live = |bench: &Bench| {
        let rows = bench.repository.snapshots().unwrap().rows;
        rows.iter().filter(|row| row.state == lacre_repo::op::snapshots::SnapshotState::Live).count()
    };
    assert_eq!(live(&bench), 3);
    bench.repository.unforget(made[1]).unwrap();
    assert_eq!(live(&bench), 4);
    assert!(matches!(bench.repository.forget_one(made[0]), Err(Error::Refused { .. })));
    bench.repository.release(made[0]).unwrap();
    bench.repository.forget_one(made[0]).unwrap();
    assert_eq!(live(&bench), 3);
}

#[test]
fn the_seal_has_a_cell_and_a_kit_that_must_be_acknowledged() {
    let bench = Bench::new();
    let status = bench.repository.seal_status().unwrap();
    assert_eq!(status.cells.len(), 1);
    assert_eq!(status.cells[0].generations, [status.generation]);
    assert_eq!(status.findings.len(), 2, "neither sheet is acknowledged: {:?}", status.findings);
    let checksum = bench.report.kit.as_ref().unwrap().checksum();
    let identity = bench.report.identity_sheet.as_ref().unwrap().checksum();
    let other = lacre_seal::kit::KitChecksum::from_bytes([1, 2, 3, 4]);
    for (sheet, wrong) in [(Sheet::Seal, other), (Sheet::Seal, identity), (Sheet::Identity, checksum)] {
        assert!(matches!(bench.repository.acknowledge_kit(1, sheet, wrong), Err(Error::Refused { .. })));
    }
    assert!(matches!(bench.repository.acknowledge_kit(2, Sheet::Identity, identity), Err(Error::Usage { .. })));
    bench.repository.acknowledge_kit(1, Sheet::Identity, identity).unwrap();
    let status = bench.repository.seal_status().unwrap();
    assert_eq!(status.findings.len(), 1, "an identity sheet holds no seal: {:?}", status.findings);
    bench.repository.acknowledge_kit(1, Sheet::Seal, checksum).unwrap();
    assert_eq!(bench.repository.seal_status().unwrap().findings, []);
    assert_eq!(bench.cell().generations(bench.repository.id()).unwrap().len(), 1);
}

#[test]
fn a_small_unchanged_night_makes_few_requests() {
    let bench = Bench::in_memory();
    let table = rows(5_000, 12);
    bench.backup("app", &[("t", Shape::Rows, &table)]);
    bench.backup("app", &[("t", Shape::Rows, &table)]);
    let before = bench.store.counts();
    bench.backup("app", &[("t", Shape::Rows, &table)]);
    let after = bench.store.counts();
    let requests = after.requests() - before.requests();
    assert!(requests <= 40, "{requests} requests: {before:?} {after:?}");
}

#[test]
fn a_check_trusts_no_cache() {
    let bench = Bench::new();
    let table = rows(2_000, 31);
    let report = bench.backup("app", &[("t", Shape::Rows, &table)]);
    let victim = bench.files("snap").remove(0);
    let good = std::fs::read(&victim).unwrap();
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    std::fs::write(&victim, bad).unwrap();
    let findings = bench.check_all().findings;
    assert!(findings.iter().any(|finding| finding.severity == Severity::Damage), "{findings:?}");
    std::fs::write(&victim, good).unwrap();
    assert_eq!(bench.check_all().findings, [], "what was brought back counts again");
    assert_eq!(bench.read(report.snapshot, "t"), table);
}

#[test]
fn two_jobs_of_one_host_number_their_snapshots_one_after_the_other() {
    let bench = Bench::new();
    let table = rows(3_000, 32);
    std::thread::scope(|scope| {
        for job in ["one", "two", "three"] {
            let (bench, table) = (&bench, &table);
            scope.spawn(move || {
                let repository = bench.reopen();
                for _ in 0..3 {
                    backup(&repository, job, &[("t", Shape::Rows, table)], BackupOptions::default()).unwrap();
                }
            });
        }
    });
    let mut numbers: Vec<u32> =
        bench.repository.snapshots().unwrap().rows.iter().map(|row| row.known.header.seq).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..9).collect::<Vec<u32>>());
    assert_eq!(bench.check_all().findings, []);
}

#[test]
fn a_log_that_was_shortened_shows() {
    let bench = Bench::new();
    let table = rows(2_000, 33);
    let first = bench.backup("app", &[("t", Shape::Rows, &table)]);
    bench.repository.hold(first.snapshot, "litigation").unwrap();
    let mut backup = bench
        .repository
        .begin_backup(
            &lacre_format::ids::JobName::parse("app").unwrap(),
            BackupOptions::default(),
            std::sync::Arc::new(lacre_repo::Silent),
        )
        .unwrap();
    let spec = lacre_repo::op::backup::StreamSpec {
        name: "t".to_owned(),
        kind: lacre_format::root::StreamKind::Opaque,
        shape: Shape::Rows,
        dump_id: None,
        expected_bytes: None,
    };
    let mut stream = backup.stream(spec).unwrap();
    stream.push(&table).unwrap();
    stream.finish(lacre_repo::op::backup::Rows::default()).unwrap();
    // A command is opened after the session, so its snapshot says what was seen; a file's does not.
    let facts = lacre_repo::op::backup::SourceFacts { kind: "command".to_owned(), ..Default::default() };
    backup.commit(facts).unwrap();
    assert_eq!(bench.repository.snapshots().unwrap().findings, []);
    std::fs::remove_file(bench.files("log").last().unwrap()).unwrap();
    let findings = bench.repository.snapshots().unwrap().findings;
    assert!(findings.iter().any(|finding| finding.what.contains("the log ends before entry")), "{findings:?}");
}
