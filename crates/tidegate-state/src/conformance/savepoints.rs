//! Savepoints go between backends, and state goes between versions of its schema.

use tidegate_types::{BackendKind, SnapshotKind, StateHandle};

use super::cases::Mean;
use super::harness::{Harness, Taken, select};
use crate::{
    AggregateFunction, AggregatingStateDescriptor, KeyedState, ListStateDescriptor,
    MapStateDescriptor, MemoryStateBackend, ReducingStateDescriptor, StateError, TimeDomain,
    ValueStateDescriptor,
};

const WORKS: &str = "state works";
/// Enough for many chunks.
const KEYS: u64 = 3_000;

fn text(key: u64) -> String {
    format!("{key} {}", "x".repeat(usize::try_from(key % 97).expect("small")))
}

fn written(harness: &Harness<'_>) -> Taken {
    let mut state: KeyedState<u64> = harness.open_one(&[]);
    let value = state.value(ValueStateDescriptor::<String>::new("value")).expect(WORKS);
    let map = state.map(MapStateDescriptor::<String, u64>::new("map")).expect(WORKS);
    for key in 0..KEYS {
        select(&state, &key);
        value.put(text(key)).expect(WORKS);
        map.put(text(key), key).expect(WORKS);
        state.register_timer(TimeDomain::EventTime, i64::try_from(key).expect("small"));
    }
    harness.snapshot_of_kind(&mut state, SnapshotKind::Savepoint)
}

fn compare(harness: &Harness<'_>, results: &[Taken]) -> Vec<Taken> {
    let (mut found, mut again) = (0, Vec::new());
    for subtask in 0..3 {
        let mut state: KeyedState<u64> = harness.open(subtask, 3, results).expect(WORKS);
        let value = state.value(ValueStateDescriptor::<String>::new("value")).expect(WORKS);
        let map = state.map(MapStateDescriptor::<String, u64>::new("map")).expect(WORKS);
        again.push(harness.snapshot_of_kind(&mut state, SnapshotKind::Savepoint));
        while let Some(time) = state.pop_timer(TimeDomain::EventTime, i64::MAX).expect(WORKS) {
            let key = u64::try_from(time).expect("as it was written");
            assert_eq!(*state.current_key().expect("a timer has a key"), key);
            assert_eq!(value.get().expect(WORKS), Some(text(key)));
            assert_eq!(map.entries().expect(WORKS), [(text(key), key)]);
            found += 1;
        }
    }
    assert_eq!(found, KEYS, "every key is in one subtask");
    again
}

pub(super) fn a_savepoint_goes_to_and_from_the_memory_backend(harness: &Harness<'_>) {
    let (memory, own) = (MemoryStateBackend::new(), harness.with_backend(harness.backend()));
    let (own, judge) = (&own, &harness.with_backend(&memory));
    for (writer, reader) in [(own, judge), (judge, own), (own, own)] {
        let results = [written(writer)];
        for handle in results.iter().flat_map(|taken| &taken.result.keyed) {
            assert_eq!(handle.backend, BackendKind::Canonical, "a savepoint is canonical");
            assert!(handle.shared.is_empty(), "a savepoint is self-contained");
            let StateHandle::File(file) = &handle.manifest else { panic!("not in a file") };
            assert!(file.length > 200_000, "{} bytes", file.length);
        }
        // Rescaled, written anew by each part, and read by the other one again.
        let rescaled = compare(reader, &results);
        compare(writer, &rescaled);
    }
}

struct WideMean;

impl AggregateFunction for WideMean {
    type Input = u32;
    type Accumulator = (u128, u64);
    type Output = u128;

    fn create(&self) -> (u128, u64) {
        (0, 0)
    }

    fn add(&self, accumulator: &mut (u128, u64), input: u32) {
        *accumulator = (accumulator.0 + u128::from(input), accumulator.1 + 1);
    }

    fn result(&self, accumulator: &(u128, u64)) -> u128 {
        accumulator.0 / u128::from(accumulator.1)
    }
}

pub(super) fn values_of_an_earlier_version_are_migrated(harness: &Harness<'_>) {
    for kind in [SnapshotKind::Checkpoint, SnapshotKind::Savepoint] {
        let mut state: KeyedState<u64> = harness.open_one(&[]);
        let value = state.value(ValueStateDescriptor::<u32>::new("value")).expect(WORKS);
        let list = state.list(ListStateDescriptor::<u32>::new("list")).expect(WORKS);
        let map = state.map(MapStateDescriptor::<u64, u32>::new("map")).expect(WORKS);
        let sum = ReducingStateDescriptor::new("sum", |a: u32, b: u32| a + b);
        let sum = state.reducing(sum).expect(WORKS);
        let mean = state.aggregating(AggregatingStateDescriptor::new("mean", Mean)).expect(WORKS);
        for key in 0..100 {
            select(&state, &key);
            value.put(7).expect(WORKS);
            [1, 2].into_iter().for_each(|item| list.add(item).expect(WORKS));
            map.put(key, 3).expect(WORKS);
            [4, 5].into_iter().for_each(|n| sum.add(n).expect(WORKS));
            [10, 20].into_iter().for_each(|n| mean.add(n).expect(WORKS));
        }
        let mut results = vec![harness.snapshot_of_kind(&mut state, kind)];
        // Migrated once, and then as it is.
        for _ in 0..2 {
            let mut state = harness.open_one(&results);
            migrated(&mut state);
            results = vec![harness.snapshot_of_kind(&mut state, kind)];
        }
    }
}

fn migrated(state: &mut KeyedState<u64>) {
    let text = |n: u32| n.to_string();
    let value = ValueStateDescriptor::<String>::new("value").schema_version(1).migrate(0, text);
    let value = state.value(value).expect(WORKS);
    let list = ListStateDescriptor::<String>::new("list").schema_version(1).migrate(0, text);
    let list = state.list(list).expect(WORKS);
    let map = MapStateDescriptor::<u64, String>::new("map").schema_version(1).migrate(0, text);
    let map = state.map(map).expect(WORKS);
    let sum = ReducingStateDescriptor::new("sum", |a: u64, b: u64| a + b);
    let sum = state.reducing(sum.schema_version(1).migrate(0, |n: u32| u64::from(n))).expect(WORKS);
    let mean = AggregatingStateDescriptor::new("mean", WideMean).schema_version(1);
    let mean = mean.migrate(0, |(sum, count): (u64, u64)| (u128::from(sum), count));
    let mean = state.aggregating(mean).expect(WORKS);
    for key in 0..100 {
        select(state, &key);
        assert_eq!(value.get().expect(WORKS).as_deref(), Some("7"), "key {key}");
        assert_eq!(list.get().expect(WORKS), ["1", "2"]);
        assert_eq!(map.entries().expect(WORKS), [(key, "3".to_owned())]);
        assert_eq!(sum.get().expect(WORKS), Some(9));
        assert_eq!(mean.get().expect(WORKS), Some(15));
    }
}

pub(super) fn only_the_declared_version_and_type_are_migrated(harness: &Harness<'_>) {
    let mut state: KeyedState<u64> = harness.open_one(&[]);
    let value = state.value(ValueStateDescriptor::<u32>::new("value")).expect(WORKS);
    select(&state, &1);
    value.put(7).expect(WORKS);
    let results = [harness.snapshot(&mut state)];
    let now = || ValueStateDescriptor::<String>::new("value").schema_version(2);
    let refused = |descriptor: ValueStateDescriptor<String>| {
        let error = harness.open_one::<u64>(&results).value(descriptor).err();
        assert!(matches!(error, Some(StateError::Incompatible { .. })), "{error:?}");
    };
    refused(now());
    refused(now().migrate(1, |n: u32| n.to_string()));
    refused(now().migrate(0, |n: i32| n.to_string()));
    let both = now().migrate(1, |n: u64| n.to_string()).migrate(0, |n: u32| n.to_string());
    harness.open_one::<u64>(&results).value(both).expect("version 0 is migrated");
}
