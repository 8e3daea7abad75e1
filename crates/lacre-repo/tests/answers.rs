//! What a store answers is not what it did: every request of a run, broken in every way a network knows, over a real server.
//!
//! After each run: what was acknowledged reads back, what failed left nothing half done, and a check of everything finds no damage.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::time::Duration;

use lacre_format::{ids::SnapshotId, root::Shape};
use lacre_repo::{
    Kind as Trouble, Severity,
    op::{backup::BackupOptions, check::CheckReport, snapshots::SnapshotState},
    store::{BucketOptions, Credentials, Store, Timeouts},
};
use lacre_test_bucket::{BUCKET_PLAIN, BUCKET_VERSIONED, Effect, Key, Kind, Proxy, Rule, Weed};
use support::{Bench, backup, read, rows};

/// Of so many requests in a row one is broken; over as many runs, each is.
const STRIDE: u64 = 4;
/// Requests of one reading; more than it makes, so that each loop ends by success.
const REQUESTS_MAX: u64 = 100;

fn store(port: u16, bucket: &str, prefix: &str) -> Store {
    let credentials = Credentials::new(Key::Root.id().to_owned(), Key::Root.secret());
    let mut options = BucketOptions::new(bucket, &format!("lacre/{prefix}"), "us-east-1", credentials);
    options.endpoint = Some(format!("http://127.0.0.1:{port}"));
    options.timeouts = Timeouts { pause: Duration::from_millis(1), ..Timeouts::default() };
    Store::open_bucket(&options).unwrap()
}

/// A repository in a bucket, and the way to it that breaks.
struct Rig<'a> {
    bench: Bench,
    proxy: &'a Proxy,
    broken: Store,
    acknowledged: Vec<(SnapshotId, Vec<u8>)>,
}

impl<'a> Rig<'a> {
    fn new(weed: &Weed, proxy: &'a Proxy, bucket: &str, prefix: &str) -> Self {
        let bench = Bench::over(tempfile::tempdir().unwrap(), store(weed.port(), bucket, prefix));
        let mut rig = Self { bench, proxy, broken: store(proxy.port(), bucket, prefix), acknowledged: Vec::new() };
        let text = rows(2_000, 1);
        let first = rig.bench.backup("app", &[("t", Shape::Rows, &text)]);
        rig.acknowledged.push((first.snapshot, text));
        rig
    }

    /// One run over the broken way, opened as a new process would.
    fn run(&mut self, seed: u64) -> Result<(), lacre_repo::Error> {
        let mut text = rows(2_000, 1);
        text.extend(rows(200, 1_000 + seed));
        let home = lacre_repo::home::Home::open(&self.bench.directory.path().join("home"))?;
        let repository = lacre_repo::Repository::open(self.broken.clone(), &home, self.bench.clock.clone())?;
        let report = backup(&repository, "app", &[("t", Shape::Rows, &text)], BackupOptions::default())?;
        self.acknowledged.push((report.snapshot, text));
        Ok(())
    }

    /// Everything acknowledged is listed and reads back; nothing is damaged.
    fn settle(&self, what: &str) -> CheckReport {
        let repository = self.bench.reopen();
        let listed = repository.snapshots().unwrap().rows;
        for (snapshot, text) in &self.acknowledged {
            let row = listed.iter().find(|row| row.snapshot == *snapshot);
            assert_eq!(row.map(|row| row.state), Some(SnapshotState::Live), "{what}: acknowledged and gone");
            assert!(read(&repository, *snapshot, &self.bench.keys(), "t").unwrap() == *text, "{what}: other bytes");
        }
        let report = self.bench.check_all();
        let damage: Vec<_> = report.findings.iter().filter(|finding| finding.severity == Severity::Damage).collect();
        assert!(damage.is_empty(), "{what}: {damage:?}");
        report
    }
}

/// Breaks every request of a run: of [`STRIDE`] runs the first breaks the first request and each `STRIDE`th after it, the next the second,
/// and so on, so that what is tried again is not broken again.
fn at_every_request(rig: &mut Rig, what: &str, rule: &dyn Fn() -> Rule) {
    for first in 1..=STRIDE {
        rig.proxy.forget();
        rig.proxy.rule(rule().nth(first).every(STRIDE).forever());
        let run = rig.run(first);
        let struck = rig.proxy.strikes();
        rig.proxy.heal();
        rig.proxy.deliver_late();
        if let Err(error) = run {
            panic!("{what}, from request {first}: {error}");
        }
        assert!(struck > 0, "{what}, from request {first}: nothing was broken");
    }
    rig.settle(what);
}

#[test]
fn one_broken_answer_anywhere_costs_nothing() {
    let Some(weed) = Weed::start() else { return };
    let proxy = Proxy::before(weed.port());
    let effects: &[(&str, Effect)] = &[
        ("refused", Effect::Refuse { status: 503, code: "SlowDown" }),
        ("closed", Effect::Close),
        ("lost", Effect::AnswerLost),
        ("refused-after", Effect::RefuseAfter { status: 500, code: "InternalError" }),
        ("twice", Effect::Twice),
        ("late", Effect::Late),
    ];
    for (what, effect) in effects {
        let mut rig = Rig::new(&weed, &proxy, BUCKET_PLAIN, what);
        at_every_request(&mut rig, what, &|| Rule::new(effect.clone()));
    }
    let mut rig = Rig::new(&weed, &proxy, BUCKET_PLAIN, "cut");
    at_every_request(&mut rig, "cut", &|| Rule::new(Effect::Cut { bytes: 5 }).on(Kind::Get));
}

#[test]
fn nor_does_it_where_no_condition_protects_a_name() {
    let Some(weed) = Weed::start() else { return };
    let proxy = Proxy::backblaze(weed.port());
    let effects: &[(&str, Effect)] = &[
        ("lost", Effect::AnswerLost),
        ("refused-after", Effect::RefuseAfter { status: 500, code: "InternalError" }),
        ("twice", Effect::Twice),
        ("late", Effect::Late),
    ];
    for (what, effect) in effects {
        let mut rig = Rig::new(&weed, &proxy, BUCKET_VERSIONED, what);
        at_every_request(&mut rig, what, &|| Rule::new(effect.clone()).on(Kind::Put));
    }
}

#[test]
fn a_store_that_stays_broken_ends_the_run_and_nothing_else() {
    let Some(weed) = Weed::start() else { return };
    let proxy = Proxy::before(weed.port());
    let mut rig = Rig::new(&weed, &proxy, BUCKET_PLAIN, "denied");
    for nth in [1, 3, 5, 7, 9, 11, 13] {
        proxy.forget();
        proxy.rule(Rule::new(Effect::Refuse { status: 403, code: "AccessDenied" }).nth(nth).forever());
        let run = rig.run(nth);
        let struck = proxy.strikes();
        proxy.heal();
        match run {
            // The end of the session, or what comes after it, is not worth a failure.
            Ok(()) => {}
            Err(error) => {
                assert!(struck > 0, "{nth}: {error}");
                assert!(!matches!(error.kind(), Trouble::Bug | Trouble::Damaged), "{nth}: {error}");
            }
        }
        rig.settle(&format!("denied from request {nth} on"));
    }
    rig.run(99).unwrap();
    rig.settle("denied, then not");
}

#[test]
fn a_listing_that_lags_loses_nothing() {
    let Some(weed) = Weed::start() else { return };
    let proxy = Proxy::before(weed.port());
    let mut rig = Rig::new(&weed, &proxy, BUCKET_PLAIN, "lagging");
    proxy.rule(Rule::new(Effect::Frozen).on(Kind::List).forever());
    // What these runs see is the store before the first of them, their own packs missing. They may give up, and must not pretend.
    for number in [1, 2] {
        if let Err(error) = rig.run(number) {
            assert!(!matches!(error.kind(), Trouble::Bug), "{error}");
        }
    }
    proxy.heal();
    rig.settle("lagging");
    rig.run(3).unwrap();
    rig.settle("caught up");
}

#[test]
fn flipped_and_cut_reads_never_come_out_as_data() {
    let Some(weed) = Weed::start() else { return };
    let proxy = Proxy::before(weed.port());
    let mut rig = Rig::new(&weed, &proxy, BUCKET_PLAIN, "reads");
    rig.run(1).unwrap();
    let (snapshot, text) = rig.acknowledged.last().unwrap().clone();
    let cold = || {
        // Without caches everything is read from the store.
        let home = rig.bench.home_files();
        for file in std::fs::read_dir(&home).unwrap() {
            let path = file.unwrap().path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("catalog.db")) {
                std::fs::remove_file(path).unwrap();
            }
        }
        let home = lacre_repo::home::Home::open(&rig.bench.directory.path().join("home"))?;
        let repository = lacre_repo::Repository::open(rig.broken.clone(), &home, rig.bench.clock.clone())?;
        read(&repository, snapshot, &rig.bench.keys(), "t")
    };
    for kind in [Kind::Get, Kind::GetRange] {
        for effect in [Effect::FlipBit { bit: 4_001 }, Effect::FlipBit { bit: 7 }, Effect::Cut { bytes: 3 }] {
            for nth in 1..REQUESTS_MAX {
                proxy.forget();
                proxy.rule(Rule::new(effect.clone()).on(kind).nth(nth));
                let came = cold();
                let struck = proxy.strikes();
                proxy.heal();
                if let Ok(bytes) = came {
                    assert!(bytes == text, "{effect:?} of {kind:?} {nth}: other bytes");
                }
                if struck == 0 {
                    break;
                }
            }
        }
    }
    assert!(cold().unwrap() == text);
}

#[test]
fn an_entry_that_lands_after_its_process_is_no_second_machine() {
    let Some(weed) = Weed::start() else { return };
    let proxy = Proxy::before(weed.port());
    let mut rig = Rig::new(&weed, &proxy, BUCKET_PLAIN, "entry");
    rig.run(1).unwrap();
    let [first, second] = [rig.acknowledged[0].0, rig.acknowledged[1].0];
    // A hold is sent again and again and arrives nowhere; its process gives up.
    proxy.rule(Rule::new(Effect::Late).on(Kind::Put).forever());
    rig.bench.reopen_over(rig.broken.clone()).hold(first, "court").unwrap_err();
    proxy.heal();
    // What the host says next takes the number, and then the first request is carried out after all.
    rig.bench.reopen().hold(second, "audit").unwrap();
    proxy.deliver_late();
    let twins = |repository: &lacre_repo::Repository| {
        let view = repository.view().unwrap();
        assert_eq!(view.held.len(), 2, "both count");
        view.findings.iter().filter(|finding| finding.what.contains("two entries have number")).count()
    };
    assert_eq!(twins(&rig.bench.reopen()), 0, "this host knows what it sent");
    // Others cannot tell it from a second machine, until the host says so in its log.
    let note = rig.bench.home_files().join("log-sent");
    let sent = std::fs::read(&note).unwrap();
    std::fs::remove_file(&note).unwrap();
    assert_eq!(twins(&rig.bench.reopen()), 1);
    std::fs::write(&note, &sent).unwrap();
    rig.bench.reopen().release(second).unwrap();
    rig.bench.reopen().hold(second, "audit").unwrap();
    std::fs::remove_file(&note).ok();
    assert_eq!(twins(&rig.bench.reopen()), 0, "it is said in the log");
    rig.settle("entry");
}
