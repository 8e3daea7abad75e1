//! A way to cells that are not files: buckets in memory, and commands that are honest or not.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use lacre_format::{
    ids::{GenerationId, SnapshotId},
    root::Shape,
};
use lacre_repo::{
    Repository, Severity,
    cell::{Cell, CellAnswer, CellError, CellPlace, CellReach, CellVerb},
    home::Home,
    op::{
        init::{CellSetup, CreateOptions, KitChoice},
        keys::ReadKeys,
        rotate::{RotateOptions, RotationReport},
    },
    store::{Store, fault::FaultPlan},
};
use zeroize::Zeroizing;

use crate::support::{Bench, rows};

/// What a command does to what it is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Manner {
    /// As it should.
    #[default]
    Honest,
    /// It says that it destroyed and destroys nothing.
    KeepsAll,
    /// It lists no more what it was told to destroy, and still returns it.
    HidesOnly,
    /// It keeps the first half of every value.
    Half,
    /// It prints what is no answer.
    Garbage,
    /// It does not answer in time.
    Hangs,
    /// It dies before its nth request, and every one after.
    DiesAt(u64),
    /// It dies right after its nth request took effect.
    DiesAfter(u64),
}

#[derive(Default)]
struct Keeper {
    values: BTreeMap<String, Vec<u8>>,
    hidden: BTreeSet<String>,
    manner: Manner,
    requests: u64,
}

/// Buckets by URL and commands by their words.
#[derive(Default)]
pub(crate) struct Shop {
    buckets: Mutex<BTreeMap<String, Store>>,
    broken: Mutex<BTreeMap<String, Store>>,
    shut: Mutex<BTreeSet<String>>,
    keepers: Mutex<BTreeMap<String, Keeper>>,
}

impl Shop {
    pub(crate) fn behaves(&self, words: &str, manner: Manner) {
        let mut keepers = self.keepers.lock().unwrap();
        let keeper = keepers.entry(words.to_owned()).or_default();
        (keeper.manner, keeper.requests) = (manner, 0);
    }

    /// The keys of a bucket are refused from now on.
    pub(crate) fn shut(&self, url: &str) {
        let _was = self.shut.lock().unwrap().insert(url.to_owned());
    }

    /// They are accepted again.
    pub(crate) fn reopen(&self, url: &str) {
        let _was = self.shut.lock().unwrap().remove(url);
    }

    pub(crate) fn breaks(&self, url: &str, plan: FaultPlan) {
        let broken = self.buckets.lock().unwrap()[url].with_faults(plan);
        self.broken.lock().unwrap().insert(url.to_owned(), broken);
    }

    pub(crate) fn heal(&self) {
        self.broken.lock().unwrap().clear();
        for keeper in self.keepers.lock().unwrap().values_mut() {
            keeper.manner = Manner::Honest;
        }
    }

    pub(crate) fn stores(&self, url: &str, store: Store) {
        self.buckets.lock().unwrap().insert(url.to_owned(), store);
    }

    /// Puts a value of a command back, as somebody with a copy could.
    pub(crate) fn values(&self, words: &str) -> BTreeMap<String, Vec<u8>> {
        self.keepers.lock().unwrap()[words].values.clone()
    }

    pub(crate) fn replay(&self, words: &str, values: BTreeMap<String, Vec<u8>>) {
        self.keepers.lock().unwrap().get_mut(words).unwrap().values.extend(values);
    }
}

impl CellReach for Shop {
    fn bucket(&self, url: &str) -> Result<Store, CellError> {
        if self.shut.lock().unwrap().contains(url) {
            return Err(CellError::NoWay("the keys of the bucket are missing".to_owned()));
        }
        if let Some(broken) = self.broken.lock().unwrap().get(url) {
            return Ok(broken.clone());
        }
        Ok(self.buckets.lock().unwrap().entry(url.to_owned()).or_insert_with(Store::memory).clone())
    }

    fn command(
        &self,
        words: &[String],
        verb: CellVerb,
        name: Option<&str>,
        input: &[u8],
    ) -> Result<CellAnswer, CellError> {
        let mut keepers = self.keepers.lock().unwrap();
        let keeper = keepers.entry(words.join(" ")).or_default();
        keeper.requests += 1;
        let died = || Err(CellError::Command("it died".to_owned()));
        match keeper.manner {
            Manner::Hangs => return Err(CellError::Command("it did not end within 60 seconds".to_owned())),
            Manner::Garbage => return Ok(CellAnswer::Done(Zeroizing::new(vec![0xff; 5_000]))),
            Manner::DiesAt(nth) if keeper.requests >= nth => return died(),
            Manner::DiesAfter(nth) if keeper.requests > nth => return died(),
            _ => {}
        }
        let answer = keeper.serve(verb, name.unwrap_or_default(), input);
        if matches!(keeper.manner, Manner::DiesAfter(nth) if keeper.requests == nth) { died() } else { Ok(answer) }
    }
}

impl Keeper {
    fn serve(&mut self, verb: CellVerb, name: &str, input: &[u8]) -> CellAnswer {
        let nothing = || CellAnswer::Done(Zeroizing::new(Vec::new()));
        match verb {
            CellVerb::Put => {
                let kept = if self.manner == Manner::Half { input.len() / 2 } else { input.len() };
                assert!(
                    self.values.insert(name.to_owned(), input[..kept].to_vec()).is_none(),
                    "a name is written once"
                );
                nothing()
            }
            CellVerb::Get => match self.values.get(name) {
                Some(value) => CellAnswer::Done(Zeroizing::new(value.clone())),
                None => CellAnswer::NoValue,
            },
            CellVerb::Destroy => {
                match self.manner {
                    Manner::KeepsAll => {}
                    Manner::HidesOnly => drop(self.hidden.insert(name.to_owned())),
                    _ => drop(self.values.remove(name)),
                }
                nothing()
            }
            CellVerb::List => {
                let shown = self.values.keys().filter(|name| !self.hidden.contains(*name));
                let text: String = shown.map(|name| format!("{name}\n")).collect();
                CellAnswer::Done(Zeroizing::new(text.into_bytes()))
            }
        }
    }
}

/// A repository over such cells.
pub(crate) struct Place {
    pub(crate) bench: Bench,
    pub(crate) shop: Arc<Shop>,
}

pub(crate) const BUCKET: &str = "s3://cell-one/seal?region=r";
pub(crate) const OTHER_BUCKET: &str = "s3://cell-two/seal?region=r";
pub(crate) const COMMAND: &str = "exec:/bin/keeper --of seal";
pub(crate) const WORDS: &str = "/bin/keeper --of seal";

impl Place {
    /// With cells and, for those that are no files, what they depend on.
    pub(crate) fn new(cells: &[(&str, Option<&str>)], kit: KitChoice) -> Self {
        Self::over(Arc::new(Shop::default()), cells, kit)
    }

    pub(crate) fn over(shop: Arc<Shop>, cells: &[(&str, Option<&str>)], kit: KitChoice) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().display().to_string();
        let place = |spec: &str| CellPlace::parse(&spec.replace("HERE", &base)).unwrap();
        let holders = cells.iter().filter_map(|(spec, holder)| Some((place(spec), (*holder)?.to_owned()))).collect();
        let places: Vec<CellPlace> = cells.iter().map(|(spec, _)| place(spec)).collect();
        let options = CreateOptions { cells: places, kit, ..Bench::options() };
        let store = Store::memory();
        let clock = Bench::clock();
        let home = Home::open(&directory.path().join("home")).unwrap();
        let setup = CellSetup { reach: Arc::clone(&shop) as Arc<dyn CellReach>, holders };
        let (repository, report) =
            Repository::create_reaching(store.clone(), &home, options, clock.clone(), &setup).unwrap();
        Self { bench: Bench { directory, clock, store, report, repository }, shop }
    }

    pub(crate) fn reopen(&self) -> Repository {
        self.reopen_over(self.bench.store.clone())
    }

    pub(crate) fn reopen_over(&self, store: Store) -> Repository {
        self.bench.reopen_over(store).with_cells(Arc::clone(&self.shop) as Arc<dyn CellReach>)
    }

    pub(crate) fn nights(&self, count: u64) -> Vec<(SnapshotId, Vec<u8>)> {
        let night = |number| {
            self.bench.clock.advance_hours(24);
            let data = rows(1_200 + number * 20, 7);
            (self.bench.backup("app", &[("t", Shape::Rows, &data)]).snapshot, data)
        };
        (0..count).map(night).collect()
    }

    pub(crate) fn rotate(&self) -> Result<RotationReport, lacre_repo::Error> {
        self.reopen().rotate(&RotateOptions::default(), &ReadKeys::default())
    }

    /// The generations of a cell by its name, those that cannot be read among them.
    pub(crate) fn held(&self, name: &str) -> BTreeSet<GenerationId> {
        let name = name.replace("HERE", &self.bench.directory.path().display().to_string());
        let reach = Arc::clone(&self.shop) as Arc<dyn CellReach>;
        let cell = Cell::open_over(&CellPlace::parse(&name).unwrap(), &reach).unwrap().unwrap();
        cell.contents(self.bench.repository.id()).unwrap().held
    }

    pub(crate) fn current(&self) -> GenerationId {
        self.reopen().view().unwrap().policy.generation
    }

    pub(crate) fn assert_reads(&self, nights: &[(SnapshotId, Vec<u8>)]) {
        let repository = self.reopen();
        for (snapshot, data) in nights {
            assert_eq!(crate::support::read(&repository, *snapshot, &self.bench.keys(), "t").unwrap(), *data);
        }
        let findings =
            repository.check(&crate::support::all(), &self.bench.keys(), &lacre_repo::Silent).unwrap().findings;
        assert!(findings.iter().all(|finding| finding.severity != Severity::Damage), "{findings:?}");
    }

    /// What `seal verify` says, in one text.
    pub(crate) fn findings(&self) -> String {
        let status = self.reopen().seal_status().unwrap();
        status
            .findings
            .iter()
            .map(|finding| format!("{} {} {}\n", finding.object, finding.what, finding.advice))
            .collect()
    }
}
