//! Checkpoints that come to nothing, and savepoints in between.

use tidegate_types::SnapshotKind;

use super::cases::WORKS;
use super::harness::{Harness, Taken, select};
use crate::{CancelToken, KeyedState, StateError, TimeDomain, ValueState, ValueStateDescriptor};

const KEYS: u64 = 300;

fn open(harness: &Harness<'_>, taken: &[Taken]) -> (KeyedState<u64>, ValueState<u64>) {
    let mut state = harness.open_one(taken);
    let value = state.value(ValueStateDescriptor::new("value")).expect(WORKS);
    (state, value)
}

/// Writes every `step`th key of round `round`.
fn write(state: &KeyedState<u64>, value: &ValueState<u64>, round: u64) {
    for key in (0..KEYS).filter(|key| key % (round + 1) == 0) {
        select(state, &key);
        value.put(round * 1000 + key).expect(WORKS);
        let time = i64::try_from(round).expect("small");
        state.register_timer(TimeDomain::EventTime, time);
        if round > 0 {
            state.delete_timer(TimeDomain::EventTime, time - 1);
        }
    }
}

/// Checks what [`write`] has made of every key up to round `round`.
fn check(harness: &Harness<'_>, taken: &Taken, round: u64) {
    let (state, value) = open(harness, std::slice::from_ref(taken));
    let mut timers = std::collections::BTreeSet::new();
    for key in 0..KEYS {
        let newest = (0..=round).rev().find(|round| key % (round + 1) == 0).expect("round 0");
        select(&state, &key);
        assert_eq!(value.get().expect(WORKS), Some(newest * 1000 + key), "key {key}");
        for round in (0..=round).filter(|round| key % (round + 1) == 0) {
            let time = i64::try_from(round).expect("small");
            timers.remove(&(time - 1, key));
            timers.insert((time, key));
        }
    }
    for (expected, key) in timers {
        let time = state.pop_timer(TimeDomain::EventTime, i64::MAX).expect(WORKS);
        assert_eq!(time, Some(expected), "for key {key}");
    }
    assert_eq!(state.pop_timer(TimeDomain::EventTime, i64::MAX).expect(WORKS), None);
}

pub(super) fn an_aborted_checkpoint_loses_nothing(harness: &Harness<'_>) {
    let (mut state, value) = open(harness, &[]);
    let mut complete: Vec<Taken> = Vec::new();
    for round in 0..9 {
        write(&state, &value, round);
        let (checkpoint, job) = harness.freeze(&mut state, SnapshotKind::Checkpoint);
        let taken = harness.run(checkpoint, job, &CancelToken::new()).expect(WORKS);
        // Written whole, and yet given up: another task declined. The coordinator deletes it.
        if round % 3 == 1 {
            state.maintain().expect(WORKS);
            harness.discard(&taken, &complete);
            state.notify_aborted(checkpoint);
        } else {
            check(harness, &taken, round);
            state.notify_complete(checkpoint);
            complete.push(taken);
        }
        // What is retained stays readable, whatever came after it.
        if let [.., previous, _] = &complete[..] {
            harness.discard(&complete[0], &complete[1..]);
            let _ = previous;
            complete.remove(0);
        }
    }
    check(harness, complete.last().expect("some are complete"), 8);
}

pub(super) fn a_declined_checkpoint_loses_nothing(harness: &Harness<'_>) {
    let (mut state, value) = open(harness, &[]);
    for round in 0..6 {
        write(&state, &value, round);
        let (checkpoint, job) = harness.freeze(&mut state, SnapshotKind::Checkpoint);
        let cancel = CancelToken::new();
        match round % 3 {
            // Cancelled, dropped without ever running, and for once complete.
            0 => {
                cancel.cancel();
                let cancelled = harness.run(checkpoint, job, &cancel);
                assert!(matches!(cancelled, Err(StateError::Cancelled)));
                state.notify_aborted(checkpoint);
            }
            1 => drop(job),
            _ => {
                let taken = harness.run(checkpoint, job, &cancel).expect(WORKS);
                state.notify_complete(checkpoint);
                check(harness, &taken, round);
            }
        }
    }
}

pub(super) fn a_savepoint_is_read_like_a_checkpoint(harness: &Harness<'_>) {
    let (mut state, value) = open(harness, &[]);
    for round in 0..4 {
        write(&state, &value, round);
        let (checkpoint, job) = harness.freeze(&mut state, SnapshotKind::Savepoint);
        let taken = harness.run(checkpoint, job, &CancelToken::new()).expect(WORKS);
        state.notify_complete(checkpoint);
        check(harness, &taken, round);
        check(harness, &harness.snapshot(&mut state), round);
        if round == 2 {
            (state, _) = open(harness, std::slice::from_ref(&taken));
            return continue_from(harness, state);
        }
    }
}

/// A job that was started from a savepoint makes checkpoints like any other.
fn continue_from(harness: &Harness<'_>, mut state: KeyedState<u64>) {
    let taken = harness.snapshot(&mut state);
    check(harness, &taken, 2);
}
