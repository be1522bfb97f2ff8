//! Values with a time to live.

use std::time::Duration;

use super::cases::WORKS;
use super::harness::{Harness, select};
use crate::{
    KeyedState, ListStateDescriptor, MapStateDescriptor, StateTtlConfig, StateVisibility,
    UpdateType, ValueStateDescriptor,
};

fn ttl() -> StateTtlConfig {
    StateTtlConfig::new(Duration::from_millis(100))
}

pub(super) fn values_expire(harness: &Harness<'_>) {
    let shown = ttl().visibility(StateVisibility::ReturnExpiredIfNotCleanedUp);
    let descriptor = |name, ttl| ValueStateDescriptor::<u64>::new(name).time_to_live(ttl);
    let mut state: KeyedState<u64> = harness.open_one(&[]);
    let hidden = state.value(descriptor("hidden", ttl())).expect(WORKS);
    let lenient = state.value(descriptor("lenient", shown)).expect(WORKS);
    assert!(state.expires());
    for key in 0..10_u64 {
        state.set_time(i64::try_from(10 * key).expect("small"));
        select(&state, &key);
        hidden.put(key).expect(WORKS);
        lenient.update(|value| *value = Some(key)).expect(WORKS);
    }
    // A snapshot has what has not expired at its time.
    state.set_time(125);
    state.maintain().expect(WORKS);
    let taken = harness.snapshot(&mut state);
    let mut restored: KeyedState<u64> = harness.open_one(&[taken]);
    let restored_value = restored.value(descriptor("hidden", ttl())).expect(WORKS);
    let restored_lenient = restored.value(descriptor("lenient", shown)).expect(WORKS);
    restored.set_time(125);
    for key in 0..10 {
        let live = (key > 2).then_some(key);
        select(&state, &key);
        assert_eq!(hidden.get().expect(WORKS), live, "key {key}");
        select(&restored, &key);
        assert_eq!(restored_value.get().expect(WORKS), live, "restored key {key}");
        assert_eq!(restored_lenient.get().expect(WORKS), live, "left out of the snapshot");
    }
    select(&restored, &5);
    restored.set_time(149);
    assert_eq!(restored_value.get().expect(WORKS), Some(5));
    restored.set_time(150);
    assert_eq!(restored_lenient.get().expect(WORKS), Some(5), "shown once more, then removed");
    assert_eq!(restored_lenient.get().expect(WORKS), None);
    assert_eq!(restored_value.get().expect(WORKS), None);
    restored.set_time(0);
    assert_eq!(restored_value.get().expect(WORKS), None, "it was removed when it was met");
}

pub(super) fn reading_may_keep_values_alive(harness: &Harness<'_>) {
    let mut state: KeyedState<u64> = harness.open_one(&[]);
    let config = ttl().update_type(UpdateType::OnReadAndWrite);
    let descriptor = ValueStateDescriptor::<String>::new("read").time_to_live(config);
    let value = state.value(descriptor).expect(WORKS);
    select(&state, &1);
    value.put("tide".to_owned()).expect(WORKS);
    for now in [60, 120, 180] {
        state.set_time(now);
        assert_eq!(value.get().expect(WORKS).as_deref(), Some("tide"), "at {now}");
        harness.snapshot(&mut state);
    }
    state.set_time(280);
    assert_eq!(value.get().expect(WORKS), None);
}

pub(super) fn lists_and_maps_expire_by_entry(harness: &Harness<'_>) {
    let list = ListStateDescriptor::<u16>::new("list").time_to_live(ttl());
    let map = MapStateDescriptor::<u16, u16>::new("map").time_to_live(ttl());
    let mut state: KeyedState<u64> = harness.open_one(&[]);
    let (values, entries) =
        (state.list(list.clone()).expect(WORKS), state.map(map.clone()).expect(WORKS));
    select(&state, &1);
    for item in 0..6_u16 {
        state.set_time(i64::from(item) * 20);
        values.add(item).expect(WORKS);
        entries.put(item, item).expect(WORKS);
        harness.snapshot(&mut state);
    }
    state.set_time(145);
    assert_eq!(values.get().expect(WORKS), [3, 4, 5]);
    assert_eq!(entries.get(&2).expect(WORKS), None);
    assert_eq!(entries.entries().expect(WORKS), [(3, 3), (4, 4), (5, 5)]);
    let taken = harness.snapshot(&mut state);
    let mut state: KeyedState<u64> = harness.open_one(&[taken]);
    let (values, entries) = (state.list(list).expect(WORKS), state.map(map).expect(WORKS));
    select(&state, &1);
    state.set_time(165);
    assert_eq!(values.get().expect(WORKS), [4, 5]);
    assert_eq!(entries.len().expect(WORKS), 2);
}
