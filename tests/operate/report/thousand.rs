//! The page of a thousand snapshots.

use super::*;

/// Most bytes of an object that is put aside.
const ASIDE_BYTES_MAX: u64 = 1 << 20;

/// A clock that goes on by itself, a millisecond a look.
struct Ticking(AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.fetch_add(1, Ordering::SeqCst)).unwrap()
    }
}

fn back_up(repository: &Repository, job: &JobName, night: i64) {
    let mut backup = repository.begin_backup(job, BackupOptions::default(), Arc::new(Silent)).unwrap();
    let spec = StreamSpec {
        name: "data".into(),
        kind: StreamKind::Opaque,
        shape: Shape::Rows,
        dump_id: None,
        expected_bytes: None,
    };
    let mut stream = backup.stream(spec).unwrap();
    std::io::Write::write_all(&mut stream, format!("night {night}\n").repeat(40).as_bytes()).unwrap();
    stream.finish(Rows::default()).unwrap();
    let facts = SourceFacts { kind: "file".into(), facts: BTreeMap::new(), findings: Vec::new(), source_ms: 1 };
    backup.commit(facts).unwrap();
}

#[test]
fn a_thousand_snapshots_are_one_listing_and_no_read() {
    let folder = test_dir("thousand");
    let (store, home) = (Store::memory(), Home::open(&folder.path().join("home")).unwrap());
    let start: Timestamp = "2024-01-01T03:00:00Z".parse().unwrap();
    let clock = Arc::new(Ticking(AtomicI64::new(start.as_millisecond())));
    let options = CreateOptions {
        recipients: Vec::new(),
        cells: Vec::new(),
        kit: KitChoice::Print,
        host: "test".to_owned(),
        sources: Vec::new(),
    };
    let (repository, _) = Repository::create(store.clone(), &home, options, clock.clone()).unwrap();
    let job = JobName::parse("astro").unwrap();
    // Every run proves the signatures of every snapshot that it sees: what one has made is put aside while the others are.
    let names = || -> Vec<String> { store.list("").unwrap().objects.into_iter().map(|object| object.name).collect() };
    let (empty, mut aside) = (BTreeSet::from_iter(names()), Vec::new());
    for night in 0..1_000 {
        clock.0.store(start.as_millisecond() + night * 86_400_000, Ordering::SeqCst);
        back_up(&repository, &job, night);
        for name in names().into_iter().filter(|name| !empty.contains(name)) {
            let (name, _) = ObjectName::parse(&name).unwrap();
            aside.push((name.clone(), store.get(&name, ASIDE_BYTES_MAX).unwrap()));
            store.delete(&name).unwrap();
        }
    }
    for (name, bytes) in aside {
        assert_eq!(store.put_new(&name, bytes).unwrap(), PutOutcome::Created);
    }
    let repository = Repository::open(store.clone(), &home, clock).unwrap();
    // What a look reads for the first time is kept.
    repository.view().unwrap();
    let before = store.counts();
    let cli = Cli::try_parse_from(["lacre", "status"]).unwrap();
    let settings = config::settle(&ConfigFile::default(), &cli.global, &Origins::default()).unwrap();
    let (status, stored) = repository.status_and_stored(&[]).unwrap();
    let now = Zoned::new(status.now, TimeZone::UTC);
    let rules = |_: &JobName| Rules { daily: 30, monthly: 12, ..Rules::default() };
    let plan = repository.plan_forget_at(&status.view, &rules, None, &now).unwrap();
    let verdict = Report::of(&Evidence { status: &status, settings: &settings, disk: None, running: Running::Over });
    let homes = repository.homes(&status.view);
    let facts = Facts {
        lang: Lang::PtBr,
        zone: TimeZone::UTC,
        since: None,
        status: &status,
        stored: &stored,
        settings: &settings,
        verdict: &verdict,
        retention: Some(&plan),
        copies: &[],
        homes: &homes,
        disk: None,
        repository: repository.id().to_string(),
        place: &StoreUrl::Memory,
        host: "test".to_owned(),
        cost: None,
    };
    let page = report::page(&facts, PageKind::File, "0");
    let asked = store.counts();
    assert_eq!(asked.list - before.list, 1, "one look");
    assert!(asked.get - before.get <= 2 && asked.get_range == before.get_range, "{before:?} {asked:?}");
    assert_eq!(marks(&page, "m core live"), 1_000);
    assert_eq!(section(&page, "snapshots").matches("<tr>").count(), 1_001);
    // Long histories make smaller marks, and a page that still can be sent by mail.
    assert!(section(&page, "timeline").contains("class=\"marks many\""));
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
}
