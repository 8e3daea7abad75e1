//! The explorer: every state a machine can reach, breadth first, each met once.
//!
//! In comes a [`Machine`]; out comes how many states it has and, for each way in which one of them is wrong, the shortest way there.
//! It knows nothing of what the states mean.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::{BuildHasher, Hash, Hasher};

/// The most states one exploration may meet; more means that the bounds are too wide to be explored to the end.
pub(crate) const STATES_MAX: usize = 12_000_000;

/// No state; what the table holds where nothing lies, and the parent of the first state.
const NONE: u32 = u32::MAX;

/// A step somebody can take, in words.
pub(crate) type Label = String;

/// Something with states and steps between them.
pub(crate) trait Machine {
    /// One state, in canonical form: states that differ in nothing that matters are equal.
    type State: Copy + Eq + Hash + Debug;
    /// The name of a way to be wrong.
    type Fault: Copy + Ord + Debug;

    /// The state everything begins in.
    fn first(&self) -> Self::State;
    /// Every state one step away, with the step.
    fn next(&self, state: &Self::State, steps: &mut Vec<(Step, Self::State)>);
    /// What is wrong with this state by itself.
    fn faults(&self, state: &Self::State, faults: &mut Vec<Self::Fault>);
    /// The fault of a state from which no state [`Machine::is_settled`] accepts can be reached; none if that is not asked.
    fn unsettled(&self) -> Option<Self::Fault>;
    /// Whether everything begun has ended.
    fn is_settled(&self, state: &Self::State) -> bool;
    /// The words for a step.
    fn label(&self, step: Step) -> Label;
}

/// One step: who takes it, which, and of what; turned into words only when somebody reads them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Step {
    /// Who.
    pub(crate) who: u8,
    /// What, in a template whose `{}` is the object.
    pub(crate) what: &'static str,
    /// Of which object.
    pub(crate) of: u8,
}

/// What an exploration found.
#[derive(Clone, Debug)]
pub struct Found<Fault> {
    /// How many states were met.
    pub states: usize,
    /// Whether every state was met; otherwise there are more than `STATES_MAX`, and nothing is known of the rest.
    pub ended: bool,
    /// How many steps lead from one to another.
    pub steps: usize,
    /// The shortest way to each fault, as the steps in order.
    pub faults: BTreeMap<Fault, Vec<String>>,
}

/// States in the order they were met, found again by their hash.
struct Met<State> {
    states: Vec<State>,
    parents: Vec<u32>,
    slots: Vec<u32>,
}

impl<State: Copy + Eq + Hash> Met<State> {
    fn new() -> Self {
        Self { states: Vec::new(), parents: Vec::new(), slots: vec![NONE; 1 << 12] }
    }

    /// The number of a state, and whether it is new.
    fn meet(&mut self, state: &State, parent: u32) -> (u32, bool) {
        if self.states.len() * 2 >= self.slots.len() {
            self.grow();
        }
        let slot = self.slot(state);
        if self.slots[slot] != NONE {
            return (self.slots[slot], false);
        }
        let number = u32::try_from(self.states.len()).expect("STATES_MAX is far below 2^32");
        self.slots[slot] = number;
        self.states.push(*state);
        self.parents.push(parent);
        (number, true)
    }

    /// Where a state lies or would lie.
    fn slot(&self, state: &State) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = usize::try_from(hash(state) >> 20).expect("44 bits fit") & mask;
        while self.slots[slot] != NONE && self.states[self.slots[slot] as usize] != *state {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn grow(&mut self) {
        self.slots = vec![NONE; self.slots.len() * 4];
        for number in 0..self.states.len() {
            let slot = self.slot(&self.states[number]);
            self.slots[slot] = u32::try_from(number).expect("STATES_MAX is far below 2^32");
        }
    }
}

/// Explores a machine to its last state, or until it has met a fault that is looked for, or [`STATES_MAX`] states.
pub(crate) fn explore<M: Machine>(machine: &M, until: Option<M::Fault>) -> Found<M::Fault> {
    let mut met = Met::new();
    let mut wrong: BTreeMap<M::Fault, u32> = BTreeMap::new();
    let keep_edges = machine.unsettled().is_some();
    let mut edges: Vec<(u32, u32)> = Vec::new();
    let (mut steps, mut faults) = (Vec::new(), Vec::new());
    let mut taken = 0;
    let _ = met.meet(&machine.first(), NONE);
    let mut at = 0;
    while at < met.states.len()
        && met.states.len() <= STATES_MAX
        && until.is_none_or(|fault| !wrong.contains_key(&fault))
    {
        let number = u32::try_from(at).expect("STATES_MAX is far below 2^32");
        let state = met.states[at];
        faults.clear();
        machine.faults(&state, &mut faults);
        for fault in &faults {
            wrong.entry(*fault).or_insert(number);
        }
        steps.clear();
        machine.next(&state, &mut steps);
        taken += steps.len();
        for (_, next) in &steps {
            let (next, _) = met.meet(next, number);
            if keep_edges {
                edges.push((next, number));
            }
        }
        at += 1;
    }
    let ended = at == met.states.len();
    if ended
        && let Some(fault) = machine.unsettled()
        && let Some(stuck) = first_unsettled(machine, &met.states, edges)
    {
        wrong.insert(fault, stuck);
    }
    let faults = wrong.into_iter().map(|(fault, state)| (fault, way(machine, &met, state))).collect();
    Found { states: met.states.len(), ended, steps: taken, faults }
}

/// The first state from which nothing settled can be reached: walks all steps backwards from the settled ones.
fn first_unsettled<M: Machine>(machine: &M, states: &[M::State], mut edges: Vec<(u32, u32)>) -> Option<u32> {
    edges.sort_unstable();
    edges.dedup();
    let mut reaches = vec![false; states.len()];
    let mut queue = Vec::new();
    for (number, state) in states.iter().enumerate() {
        if machine.is_settled(state) {
            reaches[number] = true;
            queue.push(u32::try_from(number).expect("STATES_MAX is far below 2^32"));
        }
    }
    while let Some(to) = queue.pop() {
        let begin = edges.partition_point(|edge| edge.0 < to);
        for (_, from) in edges[begin..].iter().take_while(|edge| edge.0 == to) {
            if !reaches[*from as usize] {
                reaches[*from as usize] = true;
                queue.push(*from);
            }
        }
    }
    reaches.iter().position(|reaches| !reaches).map(|number| u32::try_from(number).expect("it was counted"))
}

/// The steps from the first state to this one; each is found again by asking its parent.
fn way<M: Machine>(machine: &M, met: &Met<M::State>, state: u32) -> Vec<Label> {
    let mut labels = Vec::new();
    let mut at = state as usize;
    while met.parents[at] != NONE {
        let parent = met.parents[at] as usize;
        let mut steps = Vec::new();
        machine.next(&met.states[parent], &mut steps);
        let step = steps.iter().find(|(_, next)| *next == met.states[at]).expect("a parent leads to its child");
        labels.push(machine.label(step.0));
        at = parent;
    }
    labels.reverse();
    labels
}

/// A quick hash of a state; equal states are compared in full, so it need not be a strong one.
fn hash<T: Hash>(state: &T) -> u64 {
    Quick.hash_one(state)
}

struct Quick;

impl BuildHasher for Quick {
    type Hasher = Mixer;

    fn build_hasher(&self) -> Mixer {
        Mixer(0x9e37_79b9_7f4a_7c15)
    }
}

struct Mixer(u64);

impl Mixer {
    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x2545_f491_4f6c_dd1d);
    }
}

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn write_isize(&mut self, number: isize) {
        self.mix(u64::from_ne_bytes(number.to_ne_bytes()));
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(u64::from_ne_bytes(number.to_ne_bytes()));
    }

    fn write_u8(&mut self, number: u8) {
        self.mix(u64::from(number));
    }

    fn write_u16(&mut self, number: u16) {
        self.mix(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.mix(u64::from(number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two counters up to `end`; a state is wrong where both stand at three, and settled where both have ended.
    struct Counters {
        end: u8,
        stuck_at: Option<(u8, u8)>,
    }

    impl Machine for Counters {
        type State = (u8, u8);
        type Fault = &'static str;

        fn first(&self) -> (u8, u8) {
            (0, 0)
        }

        fn next(&self, state: &(u8, u8), steps: &mut Vec<(Step, (u8, u8))>) {
            if self.stuck_at == Some(*state) {
                return;
            }
            if state.0 < self.end {
                steps.push((Step { who: 0, what: "left", of: state.0 }, (state.0 + 1, state.1)));
            }
            if state.1 < self.end {
                steps.push((Step { who: 1, what: "right", of: state.1 }, (state.0, state.1 + 1)));
            }
        }

        fn faults(&self, state: &(u8, u8), faults: &mut Vec<&'static str>) {
            if *state == (3, 3) {
                faults.push("three and three");
            }
        }

        fn unsettled(&self) -> Option<&'static str> {
            Some("stuck")
        }

        fn is_settled(&self, state: &(u8, u8)) -> bool {
            *state == (self.end, self.end)
        }

        fn label(&self, step: Step) -> Label {
            format!("{} {}", step.what, step.of)
        }
    }

    #[test]
    fn every_state_is_met_once_and_the_way_is_the_shortest() {
        let found = explore(&Counters { end: 9, stuck_at: None }, None);
        assert_eq!((found.states, found.steps), (100, 180));
        assert_eq!(found.faults.keys().copied().collect::<Vec<_>>(), ["three and three"]);
        assert_eq!(found.faults["three and three"].len(), 6);
    }

    #[test]
    fn a_state_that_cannot_settle_is_found() {
        let found = explore(&Counters { end: 4, stuck_at: Some((2, 2)) }, None);
        assert_eq!(found.faults["stuck"].len(), 4);
        assert!(!found.faults.contains_key("three and three") || found.faults["three and three"].len() == 6);
    }

    #[test]
    fn the_table_grows_without_losing_a_state() {
        let found = explore(&Counters { end: 200, stuck_at: None }, None);
        assert_eq!((found.states, found.ended), (201 * 201, true));
    }

    #[test]
    fn a_search_ends_where_it_finds() {
        let found = explore(&Counters { end: 200, stuck_at: None }, Some("three and three"));
        assert!(!found.ended && found.states < 40);
    }
}
