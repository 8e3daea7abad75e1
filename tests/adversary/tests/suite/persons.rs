//! One person is erased from every night, and the adversary looks: nothing of her opens or can be confirmed, everybody else is whole.

use std::collections::BTreeSet;

use lacre_adversary::{Loot, Oracle, Siege, Spoils, keys::LABELS};
use lacre_format::ids::{SnapshotId, Token};
use lacre_repo::{
    Repository,
    home::Home,
    op::{
        erase::ErasureState,
        init::KitChoice,
        keys::ReadKeys,
        prune::{Economy, PruneOptions},
        rotate::{RotateOptions, RotationState},
    },
    store::fault::FaultPlan,
};

use crate::{
    guesses::{GUESSES, Riddle},
    scene::{Scene, cpf},
    support::{
        person::{Done, Person, go_on, rewrite},
        write_row,
    },
};

/// The number in every row of hers.
const NUMBER: &[u8; 11] = b"31337005886";

/// The person of these tests.
pub(crate) const ANA: Person =
    Person { is_theirs: |row| row.windows(12).any(|part| part == b"guest of all"), key: NUMBER, jobs: &["app"] };

/// Somebody else.
const BIA: Person =
    Person { is_theirs: |row| row.windows(5).any(|part| part == b"\tbia\t"), key: b"bia", jobs: &["app"] };

/// A table with her and somebody else in it: most rows stay, some change, and one of hers is new every night.
pub(crate) fn crowd(night: u64, rows: u64) -> Vec<u8> {
    let number = std::str::from_utf8(NUMBER).unwrap();
    let mut out = b"1000000\tbia\t00000000191\tbia@example.test\n".to_vec();
    for row in 0..rows {
        let changed = (1..=night).rev().find(|night| (row / 8 * 31 + night * 17) % 97 == 0).unwrap_or(0);
        write_row(&mut out, row, changed);
        let mut hers = |id: u64, what: &str| {
            out.extend_from_slice(format!("{id}\tguest of all {what}\t{number}\tana{row}@example.test\n").as_bytes());
        };
        if row % (rows / 4) == 17 {
            hers(2_000_000 + row, "nights");
        }
        if row == rows / 2 + 40 * night {
            hers(3_000_000 + row, &format!("of night {night}"));
        }
    }
    out
}

/// A scene in which she was erased from every night, and the seal changed.
pub(crate) struct Gone {
    pub(crate) scene: Scene,
    pub(crate) before: Spoils,
    pub(crate) erasure: Token,
    pub(crate) old: Vec<SnapshotId>,
}

/// Nights with her, and one snapshot of a job that the erasure does not name.
pub(crate) fn nights(scene: &mut Scene, count: u64) -> (Vec<SnapshotId>, SnapshotId) {
    let made = (0..count).map(|night| scene.back_up("app", crowd(night, 600))).collect();
    (made, scene.back_up("else", ANA.without(&crowd(7, 100))))
}

/// Takes note of what replaced what.
pub(crate) fn replaced(scene: &mut Scene, done: &Done, person: &Person) {
    for pair in &done.successors {
        let left = person.without(&scene.nights[&pair.old]);
        scene.nights.insert(pair.new, left);
    }
}

impl Gone {
    pub(crate) fn from(mut scene: Scene) -> Self {
        let (old, _) = nights(&mut scene, 3);
        let before = Siege::of(&scene.loot());
        let done = rewrite(scene.repository(), &scene.bench.keys(), &ANA).unwrap();
        replaced(&mut scene, &done, &ANA);
        let (erasure, _) = (done.erasure, scene.rotate());
        Self { scene, before, erasure, old }
    }

    /// A night of a database without her.
    pub(crate) fn night(&mut self) {
        let data = ANA.without(&crowd(9, 600));
        self.scene.back_up("app", data);
    }

    pub(crate) fn assert_dead(&self, context: &str) {
        self.scene.assert_dead(&self.before, &self.old, context);
    }
}

fn lists_of(loot: &Loot) -> Vec<SnapshotId> {
    Siege::of(loot).lists.keys().map(|(snapshot, _)| *snapshot).collect()
}

#[test]
fn a_person_who_was_erased_is_dead_in_every_copy_and_everybody_else_is_whole() {
    let mut gone = Gone::from(Scene::new(KitChoice::None));
    assert_eq!(gone.before.roots.len(), 4, "before, everything opens");
    gone.assert_dead("right after");
    assert_eq!(gone.scene.status(gone.erasure).state, ErasureState::Interim);
    gone.night();
    assert_eq!(gone.scene.status(gone.erasure).state, ErasureState::Complete);
    assert!(gone.scene.receipt(gone.erasure).complete);
    gone.assert_dead("a night later");
    // What lay in the store for the time of the erasure died with the snapshots it lay beside.
    let lists = gone.scene.record.puts().iter().filter(|(name, _)| name.starts_with("suppress/")).count();
    assert_eq!((lists, lists_of(&gone.scene.loot())), (3, Vec::new()));
    // A collection rewrites packs and takes nothing that lives.
    let options = PruneOptions {
        economy: Economy { gain_percent_min: 0.0, dead_percent_min: 0.1, repack_percent_max: 100.0 },
        skew_max: std::time::Duration::MAX,
        ..PruneOptions::default()
    };
    gone.scene.bench.clock.advance_hours(100);
    gone.scene.repository().prune(&options, &lacre_repo::Silent).unwrap();
    gone.assert_dead("collected");
}

#[test]
fn two_persons_one_after_the_other_are_both_dead() {
    let mut gone = Gone::from(Scene::new(KitChoice::None));
    gone.night();
    let scope = gone.scene.repository().scope_person(&BIA.jobs()).unwrap();
    let second: Vec<SnapshotId> = scope.covered.iter().map(|row| row.snapshot).collect();
    assert_eq!(second.len(), 4, "three successors and the night after");
    let done = rewrite(gone.scene.repository(), &gone.scene.bench.keys(), &BIA).unwrap();
    assert_eq!(done.successors.len(), second.len());
    replaced(&mut gone.scene, &done, &BIA);
    assert_eq!(gone.scene.rotate().state, RotationState::Closed);
    gone.old.extend(second);
    gone.assert_dead("two persons");
    let data = BIA.without(&ANA.without(&crowd(10, 600)));
    gone.scene.back_up("app", data);
    assert!(gone.scene.repository().erasures().unwrap().iter().all(|status| status.state == ErasureState::Complete));
    gone.assert_dead("two persons, a night later");
}

#[test]
fn ten_thousand_numbers_confirm_nothing_of_a_person_once_her_erasure_is_complete() {
    let mut gone = Gone::from(Scene::new(KitChoice::None));
    let riddle = Riddle::of(&gone.scene, &gone.before, &gone.old);
    // The index of the last night is still on the host: it confirms the truth, and the receipt says so.
    let short = riddle.shorter();
    assert_eq!(short.confirmed(&gone.scene.loot()), BTreeSet::from([short.truth.clone()]));
    gone.scene.assert_interim(gone.erasure, "writer:");
    gone.night();
    assert!(gone.scene.receipt(gone.erasure).complete);
    assert_eq!(riddle.confirmed(&gone.scene.loot()), BTreeSet::new());
}

/// Those of ten thousand numbers, hers among them, that something in the loot is a function of.
fn numbers(loot: &Loot) -> Vec<String> {
    let spoils = Siege::of(loot);
    // Tokens lie sealed: what is inside the lists that open is held against the guesses as well.
    let mut opened = loot.clone();
    for list in spoils.lists.values() {
        opened.files.extend(list.keys.iter().map(|token| ("token".to_owned(), token.as_bytes().to_vec())));
    }
    let oracle = Oracle::over(&opened, spoils.keys());
    let first = std::str::from_utf8(&NUMBER[..9]).unwrap().parse::<u64>().unwrap() / GUESSES * GUESSES;
    let guesses: Vec<Vec<u8>> = (first..first + GUESSES).map(|number| cpf(number).into_bytes()).collect();
    assert!(guesses.iter().any(|guess| guess == NUMBER), "hers is among them");
    oracle.hits(&guesses).into_iter().map(|hit| String::from_utf8_lossy(hit).into_owned()).collect()
}

#[test]
fn tokens_say_whom_only_as_long_as_the_snapshot_beside_them_opens() {
    let mut scene = Scene::new(KitChoice::None);
    let (old, _) = nights(&mut scene, 3);
    let before = Siege::of(&scene.loot());
    scene.repository().hold(old[1], "court").unwrap();
    let done = rewrite(scene.repository(), &scene.bench.keys(), &ANA).unwrap();
    replaced(&mut scene, &done, &ANA);
    scene.rotate();
    scene.back_up("app", ANA.without(&crowd(9, 600)));
    // Who opens the list could read her in the snapshot itself; the two other lists are dead.
    assert_eq!(lists_of(&scene.loot()), [old[1]]);
    assert_eq!(numbers(&scene.loot()), [std::str::from_utf8(NUMBER).unwrap()]);
    scene.assert_interim(done.erasure, &format!("hold:{}", old[1]));
    // Released and rewritten, it dies with its list.
    scene.repository().release(old[1]).unwrap();
    let again = go_on(scene.repository(), &scene.bench.keys(), &ANA, done.erasure).unwrap();
    replaced(&mut scene, &again, &ANA);
    assert_eq!(scene.rotate().state, RotationState::Closed);
    scene.back_up("app", ANA.without(&crowd(10, 600)));
    assert!(scene.receipt(done.erasure).complete);
    scene.assert_dead(&before, &old, "released");
    assert!(lists_of(&scene.loot()).is_empty());
    assert_eq!(numbers(&scene.loot()), Vec::<String>::new());
}

#[test]
fn after_an_erasure_from_every_night_the_next_one_uploads_what_a_night_uploads() {
    let scene = Scene::new(KitChoice::None);
    let table = |night| crowd(night, 30_000);
    let usual: Vec<u64> = (0..4)
        .map(|night| {
            scene.bench.clock.advance_hours(24);
            let data = table(night);
            scene.bench.backup("app", &[("t", lacre_format::root::Shape::Rows, &data)]).chunks_new
        })
        .collect();
    rewrite(scene.repository(), &scene.bench.keys(), &ANA).unwrap();
    scene.rotate();
    scene.bench.clock.advance_hours(24);
    let data = ANA.without(&table(4));
    let next = scene.bench.backup("app", &[("t", lacre_format::root::Shape::Rows, &data)]);
    // About a tenth of the table changes in a night; which rows end chunks is decided by a random key, so no two tables are cut alike.
    assert!(next.chunks > 200 && next.chunks_new * 5 < next.chunks, "{} of {}", next.chunks_new, next.chunks);
    let most = usual[1..].iter().max().unwrap();
    assert!(next.chunks_new * 2 <= most * 3, "{} new chunks, {usual:?} before", next.chunks_new);
}

/// An erasure that dies at each of some requests and goes on. The vault's own tests die at every request; here each costs a siege, so the
/// ways of dying take different ones, unless `LACRE_SIEGE_EVERY` asks for more.
fn dies_and_goes_on(plan: fn(u64) -> FaultPlan, first: u64) {
    let every = std::env::var("LACRE_SIEGE_EVERY").map_or(9, |text| text.parse::<usize>().unwrap());
    let first = if every < 9 { 1 } else { first };
    for nth in (first..).step_by(every) {
        let mut scene = Scene::new(KitChoice::None);
        let (old, other) = nights(&mut scene, 2);
        let before = Siege::of(&scene.loot());
        let faulty = scene.bench.store.with_faults(plan(nth));
        let keys = scene.bench.keys();
        let died = Home::open(&scene.bench.directory.path().join("home"))
            .and_then(|home| Repository::open(faulty, &home, scene.bench.clock.clone()))
            .and_then(|repository| {
                rewrite(&repository, &keys, &ANA)?;
                repository.rotate(&RotateOptions::default(), &ReadKeys::default())
            });
        let context = format!("died at request {nth}: {:?}", died.as_ref().err());
        // A snapshot of another job is what it was, bit for bit, whatever died.
        let same = crate::support::read(&scene.bench.reopen(), other, &keys, "t").unwrap() == scene.nights[&other];
        assert!(same, "{context}");
        let repository = scene.bench.reopen();
        if !repository.unfinished_persons().unwrap().is_empty() || repository.erasures().unwrap().is_empty() {
            assert!(Siege::of(&scene.loot()).streams(old[0]).is_some(), "plainly not erased: {context}");
            rewrite(&repository, &keys, &ANA).unwrap();
        }
        let status = repository.erasures().unwrap().pop().unwrap();
        if status.state == ErasureState::Pending || died.is_err() {
            assert_eq!(scene.rotate().state, RotationState::Closed, "{context}");
        }
        let successors = scene.bench.reopen().view().unwrap().persons.successors;
        for (old, new) in successors {
            let left = ANA.without(&scene.nights[&old]);
            scene.nights.insert(new, left);
        }
        scene.assert_dead(&before, &old, &context);
        if died.is_ok() {
            return;
        }
    }
}

#[test]
fn an_erasure_of_a_person_that_died_before_a_request_and_went_on_is_as_good_as_any() {
    dies_and_goes_on(FaultPlan::crash_at, 1);
}

#[test]
fn an_erasure_of_a_person_that_died_after_a_request_and_went_on_is_as_good_as_any() {
    dies_and_goes_on(FaultPlan::crash_after, 5);
}

#[test]
fn the_adversary_knows_every_label_of_the_document() {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/FORMAT.md");
    let text = std::fs::read_to_string(document).unwrap();
    let table = text.split("### Key-derivation labels").nth(1).unwrap().split("###").next().unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let (listed, known): (BTreeSet<&str>, BTreeSet<&str>) = (rows.collect(), LABELS.into_iter().collect());
    assert_eq!(listed, known);
}
