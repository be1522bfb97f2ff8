//! The cases, each a sentence about state.

use tidegate_types::SnapshotKind;

use super::harness::{Harness, select};
use crate::{
    AggregateFunction, AggregatingStateDescriptor, CancelToken, KeyedState, ListStateDescriptor,
    MapStateDescriptor, ReducingStateDescriptor, StateError, TimeDomain, ValueRef,
    ValueStateDescriptor,
};

pub(super) const WORKS: &str = "state works";

pub(super) struct Mean;

impl AggregateFunction for Mean {
    type Input = u32;
    type Accumulator = (u64, u64);
    type Output = u64;

    fn create(&self) -> (u64, u64) {
        (0, 0)
    }

    fn add(&self, accumulator: &mut (u64, u64), input: u32) {
        *accumulator = (accumulator.0 + u64::from(input), accumulator.1 + 1);
    }

    fn result(&self, accumulator: &(u64, u64)) -> u64 {
        accumulator.0 / accumulator.1
    }
}

pub(super) fn every_kind_of_state_comes_back(harness: &Harness<'_>) {
    let mut results = Vec::new();
    for round in 0..2 {
        let mut state: KeyedState<String> = harness.open_one(&results);
        let value = state.value(ValueStateDescriptor::<String>::new("value")).expect(WORKS);
        let list = state.list(ListStateDescriptor::<u16>::new("list")).expect(WORKS);
        let map = state.map(MapStateDescriptor::<u64, String>::new("map")).expect(WORKS);
        let sum = ReducingStateDescriptor::new("sum", |a: u64, b: u64| a + b);
        let sum = state.reducing(sum).expect(WORKS);
        let mean = state.aggregating(AggregatingStateDescriptor::new("mean", Mean)).expect(WORKS);
        for key in ["", "ebb", "flood", "Ἀτλαντίς"].map(str::to_owned) {
            select(&state, &key);
            if round == 0 {
                assert_eq!(value.get().expect(WORKS), None, "no state before the first record");
                value.put(format!("value of {key}")).expect(WORKS);
                [3, 1, 2].into_iter().for_each(|item| list.add(item).expect(WORKS));
                for name in [256, 1, 0] {
                    map.put(name, format!("{key} {name}")).expect(WORKS);
                }
                [1, 2, 3].into_iter().for_each(|n| sum.add(n).expect(WORKS));
                [10, 20].into_iter().for_each(|n| mean.add(n).expect(WORKS));
            } else {
                assert_eq!(value.get().expect(WORKS), Some(format!("value of {key}")));
                assert_eq!(list.get().expect(WORKS), [3, 1, 2], "a list keeps its order");
                let names: Vec<u64> = map.entries().expect(WORKS).iter().map(|e| e.0).collect();
                assert_eq!(names, [0, 256, 1], "maps ascend by canonical bytes");
                assert_eq!(map.get(&1).expect(WORKS), Some(format!("{key} 1")));
                assert_eq!(sum.get().expect(WORKS), Some(6));
                assert_eq!(mean.get().expect(WORKS), Some(15));
                value.clear().expect(WORKS);
                assert_eq!(value.get().expect(WORKS), None);
            }
        }
        select(&state, &"never written".to_owned());
        assert_eq!((value.get().expect(WORKS), map.len().expect(WORKS)), (None, 0));
        results = vec![harness.snapshot(&mut state)];
    }
}

pub(super) fn a_snapshot_is_of_its_instant(harness: &Harness<'_>) {
    let mut state: KeyedState<u64> = harness.open_one(&[]);
    let value = state.value(ValueStateDescriptor::<u64>::new("value")).expect(WORKS);
    for key in 0..1000 {
        select(&state, &key);
        value.put(key).expect(WORKS);
    }
    let (checkpoint, job) = harness.freeze(&mut state, SnapshotKind::Checkpoint);
    for key in 0..2000 {
        select(&state, &key);
        if key % 3 == 0 { value.clear() } else { value.put(key + 1) }.expect(WORKS);
    }
    let result = harness.run(checkpoint, job, &CancelToken::new()).expect(WORKS);
    let mut restored: KeyedState<u64> = harness.open_one(&[result]);
    let value = restored.value(ValueStateDescriptor::<u64>::new("value")).expect(WORKS);
    for key in 0..2000 {
        select(&restored, &key);
        assert_eq!(value.get().expect(WORKS), (key < 1000).then_some(key), "key {key}");
    }
}

pub(super) fn timers_come_back(harness: &Harness<'_>) {
    let mut state: KeyedState<u64> = harness.open_one(&[]);
    for key in 0..50 {
        select(&state, &key);
        state.register_timer(TimeDomain::EventTime, i64::try_from(key % 7).expect("small") - 3);
        state.register_timer(TimeDomain::ProcessingTime, 1_000);
        state.delete_timer(TimeDomain::ProcessingTime, 1_000);
    }
    let mut restored: KeyedState<u64> = harness.open_one(&[harness.snapshot(&mut state)]);
    for state in [&mut state, &mut restored] {
        let mut times = Vec::new();
        while let Some(time) = state.pop_timer(TimeDomain::EventTime, 2).expect(WORKS) {
            let key = *state.current_key().expect("a timer has a key");
            assert_eq!(i64::try_from(key % 7).expect("small") - 3, time);
            times.push(time);
        }
        assert!(times.is_sorted() && times.len() == 43, "{times:?}");
        assert_eq!(state.next_timer(TimeDomain::EventTime), Some(3));
        assert_eq!(state.next_timer(TimeDomain::ProcessingTime), None);
    }
}

pub(super) fn state_that_nobody_registers_is_carried_over(harness: &Harness<'_>) {
    let mut state: KeyedState<u64> = harness.open_one(&[]);
    let value = state.value(ValueStateDescriptor::<u64>::new("kept")).expect(WORKS);
    for key in 0..100 {
        select(&state, &key);
        value.put(key).expect(WORKS);
    }
    let first = harness.snapshot(&mut state);
    let second = harness.snapshot(&mut harness.open_one::<u64>(&[first]));
    let mut state: KeyedState<u64> = harness.open_one(&[second]);
    let value = state.value(ValueStateDescriptor::<u64>::new("kept")).expect(WORKS);
    for key in 0..100 {
        select(&state, &key);
        assert_eq!(value.get().expect(WORKS), Some(key));
    }
}

pub(super) fn other_types_are_refused(harness: &Harness<'_>) {
    let mut state: KeyedState<u64> = harness.open_one(&[]);
    let value = state.value(ValueStateDescriptor::<u64>::new("value")).expect(WORKS);
    select(&state, &1);
    value.put(1).expect(WORKS);
    let results = [harness.snapshot(&mut state)];
    let refused = |result: Result<(), StateError>| {
        assert!(matches!(result, Err(StateError::Incompatible { .. })), "{result:?}");
    };
    let open = || harness.open_one::<u64>(&results);
    refused(open().value(ValueStateDescriptor::<i64>::new("value")).map(drop));
    refused(open().list(ListStateDescriptor::<u64>::new("value")).map(drop));
    let other = ValueStateDescriptor::<u64>::new("value").schema_version(1);
    refused(open().value(other).map(drop));
    // The timers are state of the operator too: another key type is noticed at once.
    refused(harness.open::<String>(0, 1, &results).map(drop));
}

pub(super) fn a_cancelled_snapshot_is_an_error(harness: &Harness<'_>) {
    let mut state: KeyedState<u64> = harness.open_one(&[]);
    let (checkpoint, job) = harness.freeze(&mut state, SnapshotKind::Checkpoint);
    let cancel = CancelToken::new();
    cancel.cancel();
    let result = harness.run(checkpoint, job, &cancel);
    assert!(matches!(result, Err(StateError::Cancelled)), "{result:?}");
}

pub(super) fn names_are_unique(harness: &Harness<'_>) {
    let mut state: KeyedState<u64> = harness.open_one(&[]);
    let value = state.value(ValueStateDescriptor::<u64>::new("value")).expect(WORKS);
    let again = state.list(ListStateDescriptor::<u64>::new("value"));
    assert!(matches!(again, Err(StateError::DuplicateName { .. })), "{again:?}");
    let outside = value.get();
    assert!(matches!(outside, Err(StateError::NoCurrentKey { .. })), "{outside:?}");
}

pub(super) fn maps_and_lists_survive_many_snapshots(harness: &Harness<'_>) {
    let mut state: KeyedState<u8> = harness.open_one(&[]);
    let map = MapStateDescriptor::<u16, String>::new("map");
    let list = ListStateDescriptor::<u16>::new("list");
    let mut map = state.map(map).expect(WORKS);
    let mut list = state.list(list).expect(WORKS);
    let mut expected_map = std::collections::BTreeMap::new();
    let mut expected_list = Vec::new();
    for round in 0..12_u16 {
        select(&state, &1);
        for name in [round, round * 7 % 12, 300 + round] {
            map.put(name, format!("{name} in {round}")).expect(WORKS);
            expected_map.insert(name.to_le_bytes(), format!("{name} in {round}"));
        }
        let gone = round * 5 % 12;
        assert_eq!(map.remove(&gone).expect(WORKS), expected_map.remove(&gone.to_le_bytes()));
        list.add(round).expect(WORKS);
        expected_list.push(round);
        match round {
            4 => {
                map.clear().expect(WORKS);
                map.put(9, "nine".to_owned()).expect(WORKS);
                expected_map.clear();
                expected_map.insert(9_u16.to_le_bytes(), "nine".to_owned());
            }
            6 => {
                list.update(vec![60, 61]).expect(WORKS);
                expected_list = vec![60, 61];
            }
            9 => {
                list.clear().expect(WORKS);
                expected_list.clear();
            }
            _ => {}
        }
        let check = |map: &crate::MapState<u16, String>, list: &crate::ListState<u16>| {
            let mut shown = Vec::new();
            map.for_each(|name, value| shown.push((name.to_le_bytes(), text(value)))).expect(WORKS);
            assert!(shown.iter().cloned().eq(expected_map.clone()), "{shown:?} {expected_map:?}");
            let names = expected_map.keys().map(|name| u16::from_le_bytes(*name));
            for name in names {
                let value = map.read(&name, |value| value.map(text)).expect(WORKS);
                assert_eq!(value.as_ref(), expected_map.get(&name.to_le_bytes()));
            }
            assert_eq!(list.get().expect(WORKS), expected_list);
        };
        check(&map, &list);
        let taken = harness.snapshot(&mut state);
        check(&map, &list);
        if round % 3 == 2 {
            state = harness.open_one(&[taken]);
            map = state.map(MapStateDescriptor::new("map")).expect(WORKS);
            list = state.list(ListStateDescriptor::new("list")).expect(WORKS);
            select(&state, &1);
            check(&map, &list);
        }
    }
}

fn text(value: ValueRef<'_, String>) -> String {
    match value {
        ValueRef::Native(text) => text.clone(),
        ValueRef::Archived(text) => text.as_str().to_owned(),
    }
}

pub(super) fn every_key_is_shown_once(harness: &Harness<'_>) {
    let mut state: KeyedState<u64> = harness.open_one(&[]);
    let value = state.value(ValueStateDescriptor::<u64>::new("value")).expect(WORKS);
    let map = state.map(MapStateDescriptor::<u8, u8>::new("map")).expect(WORKS);
    let keys = |state: &KeyedState<u64>, name: &str| {
        let mut keys = Vec::new();
        let collected = state.for_each_key(name, |key| {
            keys.push(*key);
            Ok::<_, StateError>(())
        });
        collected.expect(WORKS);
        let hashes: Vec<_> = keys.iter().map(tidegate_types::StateKey::key_hash).collect();
        assert!(hashes.is_sorted(), "keys ascend by their hashes");
        keys.sort_unstable();
        keys
    };
    for key in 0..200 {
        select(&state, &key);
        value.put(key).expect(WORKS);
        map.put(1, 1).expect(WORKS);
    }
    harness.snapshot(&mut state);
    for key in 100..300 {
        select(&state, &key);
        if key % 2 == 0 { value.clear() } else { value.put(1) }.expect(WORKS);
        if key < 150 { map.clear() } else { map.remove(&1).map(drop) }.expect(WORKS);
    }
    for _ in 0..2 {
        let expected: Vec<u64> = (0..300).filter(|key| *key < 100 || key % 2 == 1).collect();
        assert_eq!(keys(&state, "value"), expected);
        assert_eq!(keys(&state, "map"), (0..100).collect::<Vec<_>>());
        assert!(keys(&state, "no such state").is_empty());
        harness.snapshot(&mut state);
    }
}
