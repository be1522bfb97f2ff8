//! A run of chance over several subtasks, with rescaling, against a plain map.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_types::{KeyGroupRange, MaxParallelism, Parallelism, StateKey as _, Subtask};

use super::harness::{Harness, Taken, select};
use crate::{KeyedState, TimeDomain, ValueState, ValueStateDescriptor};

/// xorshift64*: enough chance for a test, and the same one everywhere.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }
}

struct Worker {
    range: KeyGroupRange,
    state: KeyedState<u64>,
    value: ValueState<String>,
}

fn open(harness: &Harness<'_>, parallelism: u16, taken: &[Taken]) -> Vec<Worker> {
    let all = Parallelism::new(parallelism).expect("a small number");
    let open = |subtask: Subtask| {
        let mut state = harness.open(subtask.index(), parallelism, taken).expect("state opens");
        let value = state.value(ValueStateDescriptor::new("value")).expect("registers");
        let range = KeyGroupRange::of_subtask(MaxParallelism::DEFAULT, subtask);
        Worker { range, state, value }
    };
    Subtask::all(all).map(open).collect()
}

pub(super) fn agrees_with_a_plain_map(harness: &Harness<'_>, seed: u64) {
    let mut chance = Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut values: BTreeMap<u64, String> = BTreeMap::new();
    let mut timers: BTreeSet<(i64, u64)> = BTreeSet::new();
    let mut workers = open(harness, 1, &[]);
    for round in 0..6_u16 {
        for _ in 0..400 {
            let key = chance.below(150);
            let group = MaxParallelism::DEFAULT.key_group_of(key.key_hash());
            let worker = workers.iter_mut().find(|worker| worker.range.contains(group));
            let Worker { state, value, .. } = worker.expect("every key group has its subtask");
            select(state, &key);
            assert_eq!(value.get().expect("reads"), values.get(&key).cloned(), "key {key}");
            let time = i64::try_from(chance.below(40)).expect("small");
            match chance.below(5) {
                0 => {
                    value.clear().expect("clears");
                    values.remove(&key);
                }
                1 => {
                    state.register_timer(TimeDomain::EventTime, time);
                    timers.insert((time, key));
                }
                2 => {
                    state.delete_timer(TimeDomain::EventTime, time);
                    timers.remove(&(time, key));
                }
                _ => {
                    let new = format!("{key} in round {round} {}", "x".repeat(usize::from(round)));
                    value.put(new.clone()).expect("puts");
                    values.insert(key, new);
                }
            }
        }
        let snapshot = |worker: &mut Worker| harness.snapshot(&mut worker.state);
        let taken: Vec<Taken> = workers.iter_mut().map(snapshot).collect();
        workers = open(harness, [3, 2, 5, 1, 4, 1][usize::from(round)], &taken);
    }
    let mut popped = Vec::new();
    while let Some(time) = workers[0].state.pop_timer(TimeDomain::EventTime, 99).expect("pops") {
        popped.push((time, *workers[0].state.current_key().expect("a timer has a key")));
    }
    popped.sort_unstable();
    assert!(popped.iter().eq(&timers), "{popped:?} are not {timers:?}");
}
