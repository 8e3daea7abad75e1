//! Bounds: which processes there are, and how often each may act.
//!
//! The product of everything is too large to be explored. Each scenario has the processes that can hurt each other in one way, and steps
//! that nobody else in the scenario could notice are taken together with the next.

use crate::explore::{Found, Label, Machine, Step, explore};
use crate::invariant::{self, Invariant};
use crate::rules::Rules;
use crate::world::{Admin, Copy, Kit, NONE, OLD, Set, VICTIM_A, VICTIM_B, World, bit};
use crate::{collector, copying, environment, person, rotation, writer};

/// What an admin does beside rotating.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Task {
    /// There is no such admin.
    #[default]
    None,
    /// Erases its victim.
    Erase,
    /// Erases a person from everything that has not seen the intent.
    Person,
}

/// Which processes and chances there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Has {
    /// How many writers, at most 2.
    pub writers: u8,
    /// How often each may run, at most 2.
    pub runs: u8,
    /// The second writer is a clone of the first: the same home, the same key.
    pub clone: bool,
    /// A writer may stop for ever between any two steps.
    pub deaths: bool,
    /// What admins A and B do.
    pub admins: [Task; 2],
    /// How often an admin or the collector may crash; it wakes without its memory, or never.
    pub crashes: u8,
    /// Somebody may adopt the other's claim.
    pub adoption: bool,
    /// One cell and kits rather than two cells.
    pub kits: bool,
    /// Garbage collection, and how often.
    pub collections: u8,
    /// The base pack may be repacked.
    pub repack: bool,
    /// Sessions believed dead are voided.
    pub voids: bool,
    /// `OLD` may be forgotten.
    pub forget: bool,
    /// And may be taken back.
    pub undo: bool,
    /// Somebody may hold this snapshot.
    pub hold: Option<u8>,
    /// A restore of this snapshot may run.
    pub restore: Option<u8>,
    /// There is a copy.
    pub copy: bool,
    /// The first writer may be revoked.
    pub revocation: bool,
    /// Somebody stores forged objects.
    pub forgery: bool,
    /// Somebody may delete the base pack from the first store.
    pub vandal: bool,
    /// Listings lag.
    pub lag: bool,
    /// Listings of key entries and reach maps never show those of the first run.
    pub hiding: bool,
}

/// A model ready to be explored.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// The rules kept.
    pub rules: Rules,
    /// The bounds.
    pub has: Has,
    /// Whether it is asked that everything begun can end (I9).
    pub must_settle: bool,
}

impl Scenario {
    /// A scenario with all rules.
    #[must_use]
    pub const fn new(name: &'static str, has: Has) -> Self {
        Self { name, rules: Rules::ALL, has, must_settle: false }
    }

    /// The same, asking that everything begun can end.
    #[must_use]
    pub const fn settling(self) -> Self {
        Self { must_settle: true, ..self }
    }

    /// The same without one rule.
    #[must_use]
    pub const fn without(self, rule: crate::rules::Rule) -> Self {
        Self { rules: self.rules.without(rule), ..self }
    }

    /// Meets every state.
    #[must_use]
    pub fn explore(&self) -> Found<Invariant> {
        explore(self, None)
    }

    /// Meets states, nearest first, until one breaks this promise.
    #[must_use]
    pub fn find(&self, promise: Invariant) -> Found<Invariant> {
        explore(self, Some(promise))
    }

    /// Whether anybody rotates.
    pub(crate) fn rotates(&self) -> bool {
        self.has.admins != [Task::None; 2]
    }

    /// Whether a person is erased.
    pub(crate) fn erases_person(&self) -> bool {
        self.has.admins[0] == Task::Person
    }

    /// What admin 0 or 1 drops by name.
    pub(crate) fn victim(&self, admin: usize) -> Set {
        match (self.has.admins[admin], admin) {
            (Task::Erase, 0) => bit(VICTIM_A),
            (Task::Erase, _) => bit(VICTIM_B),
            _ => 0,
        }
    }

    /// The admin that makes a generation.
    pub(crate) fn maker(&self, generation: u8) -> usize {
        usize::from(generation == 2 && self.has.admins[1] != Task::None)
    }

    /// The generation an admin makes after this one, if the model has one more.
    pub(crate) fn another(&self, generation: u8) -> Option<u8> {
        match generation {
            1 => Some(3),
            3 if self.has.admins[1] == Task::None => Some(2),
            _ => None,
        }
    }

    /// The home a writer has the key of.
    pub(crate) const fn home(&self, writer: u8) -> u8 {
        if self.has.clone { 0 } else { writer }
    }
}

impl Machine for Scenario {
    type State = World;
    type Fault = Invariant;

    fn first(&self) -> World {
        let mut snapshots = bit(OLD);
        snapshots |= self.victim(0) | self.victim(1);
        let person = self.erases_person();
        let mut world = World {
            parent: [NONE; 4],
            cell: if self.has.kits { [1, 0] } else { [1, 1] },
            late: [NONE; 2],
            snapshots,
            acknowledged: snapshots,
            packs: bit(OLD),
            database_has_x: person,
            has_x: if person { bit(OLD) } else { 0 },
            index_has_x: if person && !self.has.clone { 3 & ((1 << self.has.writers) - 1) } else { 0 },
            voiding: NONE,
            ..World::default()
        };
        world.bundle[0] = snapshots;
        if self.has.kits {
            world.kit[0] = Kit::Typed;
        }
        if self.has.copy {
            world.copy = Copy { packs: bit(OLD), snapshots, bundles: 1, takes: NONE, ..Copy::default() };
        }
        for (admin, makes) in world.admin.iter_mut().zip([1, 2]) {
            *admin = Admin { makes, from: NONE, ..Admin::default() };
        }
        for writer in &mut world.writer {
            writer.cleaning = NONE;
        }
        world
    }

    fn next(&self, world: &World, steps: &mut Vec<(Step, World)>) {
        writer::steps(self, world, steps);
        rotation::steps(self, world, steps);
        person::steps(self, world, steps);
        collector::steps(self, world, steps);
        copying::steps(self, world, steps);
        environment::steps(self, world, steps);
    }

    fn faults(&self, world: &World, faults: &mut Vec<Invariant>) {
        invariant::broken(self, world, faults);
    }

    fn unsettled(&self) -> Option<Invariant> {
        self.must_settle.then_some(Invariant::Settles)
    }

    fn is_settled(&self, world: &World) -> bool {
        invariant::settled(self, world)
    }

    fn label(&self, step: Step) -> Label {
        let who = match step.who {
            0 => "writer",
            1 if self.has.clone => "clone of the writer",
            1 => "second writer",
            2 => "admin A",
            3 => "admin B",
            4 => "collector",
            5 => "copy",
            6 => "voider",
            _ => "world",
        };
        let of = match (step.what.contains("{generation}"), step.of) {
            (true, 0) => "the first generation".to_owned(),
            (true, 1) => "generation A".to_owned(),
            (true, 2) => "generation B".to_owned(),
            (true, _) => "the second generation of A".to_owned(),
            (false, 0) => "OLD".to_owned(),
            (false, 1) => "XA".to_owned(),
            (false, 2) => "XB".to_owned(),
            (false, of @ 3..7) => format!("N{}", of - 3),
            (false, of) => format!("S{}", of - 7),
        };
        format!("{who} {}", step.what.replace("{generation}", &of).replace("{}", &of))
    }
}
