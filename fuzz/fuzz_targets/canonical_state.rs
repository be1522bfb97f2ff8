//! Any bytes as keyed state in the canonical form, given to the memory backend: an error, or state
//! that can be used, written, and restored from what was written, to the same bytes again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_fuzz::resealed;
use tidegate_meta::frame::{FrameKind, HEADER_LENGTH};
use tidegate_state::{
    CancelToken, KeyedContext, KeyedState, ListStateDescriptor, MapStateDescriptor,
    MemoryStateBackend, ReducingStateDescriptor, RestoredKeyedState, SnapshotResult,
    SnapshotTarget, StateError, TimeDomain, ValueStateDescriptor,
};
use tidegate_store::{MemoryStorage, StoragePath};
use tidegate_types::{
    AttemptId, BackendKind, CheckpointId, KeyGroupRange, KeyedStateHandle, MaxParallelism,
    OperatorUid, Parallelism, RegisteredState, SnapshotKind, StateHandle, StateKey, StateKind,
    Subtask,
};
use xxhash_rust::xxh3::xxh3_64;

/// Few key groups, so that short inputs have something in each.
const KEY_GROUPS: u16 = 4;

fuzz_target!(|bytes: &[u8]| {
    restore::<u8>(bytes);
    if let Some(frame) = resealed(FrameKind::KeyedState, &with_checksums(bytes)) {
        restore::<u8>(&frame);
        restore::<String>(&frame);
    }
});

/// The checksums of the sections made right, as far as the bytes have a directory that can be found.
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut repaired = bytes.to_vec();
    let Some(directory) = directory(bytes) else { return repaired };
    for entry in (directory..).step_by(24).take(usize::from(KEY_GROUPS)) {
        let (Some(start), Some(length)) = (number(bytes, entry), number(bytes, entry + 8)) else {
            break;
        };
        let start = start.saturating_add(HEADER_LENGTH);
        // Where there is nothing, there are no bytes: their checksum may be right, too.
        let section = repaired.get(start..start.saturating_add(length)).unwrap_or_default();
        let checksum = xxh3_64(section).to_le_bytes();
        let Some(field) = repaired.get_mut(entry + 16..entry + 24) else { break };
        field.copy_from_slice(&checksum);
    }
    repaired
}

/// Where the directory begins, behind the names of the states.
fn directory(bytes: &[u8]) -> Option<usize> {
    let u32_at = |at: usize| {
        let field = bytes.get(at..at + 4)?;
        Some(u32::from_le_bytes(field.try_into().expect("four bytes")) as usize)
    };
    let mut at = HEADER_LENGTH + 8;
    for _ in 0..u32_at(HEADER_LENGTH + 4)? {
        at = at.checked_add(5)?.checked_add(u32_at(at + 1)?)?;
        if at > bytes.len() {
            return None;
        }
    }
    Some(at)
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let field = bytes.get(at..at + 8)?;
    usize::try_from(u64::from_le_bytes(field.try_into().expect("eight bytes"))).ok()
}

fn context() -> KeyedContext {
    let max_parallelism = MaxParallelism::new(KEY_GROUPS).expect("not zero");
    let subtask = Subtask::new(0, Parallelism::ONE);
    KeyedContext {
        operator: OperatorUid::new("fuzz").expect("a valid uid"),
        subtask,
        max_parallelism,
        key_groups: KeyGroupRange::of_subtask(max_parallelism, subtask),
        attempt: AttemptId::new(1),
    }
}

fn restored(frame: &[u8], registered: Vec<RegisteredState>) -> RestoredKeyedState {
    let handle = KeyedStateHandle {
        backend: BackendKind::Canonical,
        key_groups: context().key_groups,
        manifest: StateHandle::Inline(frame.into()),
        shared: Vec::new(),
    };
    RestoredKeyedState { handle, manifest: frame.into(), registered }
}

fn restore<K: StateKey + Default>(frame: &[u8]) {
    // Nobody registers it: it is carried over.
    let left_out = RegisteredState {
        name: "x".into(),
        kind: StateKind::Value,
        fingerprint: 0,
        schema_version: 0,
        types: "".into(),
    };
    let first = match snapshot::<K>(restored(frame, vec![left_out])) {
        Ok(first) => first,
        Err(error) => return drop(error.to_string()),
    };
    let StateHandle::Inline(written) = &first.keyed[0].manifest else { panic!("inline") };
    let second = snapshot::<K>(restored(written, first.registered.clone()));
    assert_eq!(second.expect("what was written can be restored"), first);
}

/// Restores, registers, looks at everything, and writes it.
fn snapshot<K: StateKey + Default>(
    restored: RestoredKeyedState,
) -> Result<SnapshotResult, StateError> {
    let backend = MemoryStateBackend::new();
    let mut state = KeyedState::<K>::open(&backend, &context(), vec![restored])?;
    let value = state.value(ValueStateDescriptor::<u16>::new("v"))?;
    let list = state.list(ListStateDescriptor::<Option<u8>>::new("l"))?;
    let map = state.map(MapStateDescriptor::<u8, String>::new("m"))?;
    let sum = state.reducing(ReducingStateDescriptor::<u16>::new("r", |a, b| a ^ b))?;

    let key = K::default();
    let hash = key.key_hash();
    state.set_current_key(key, hash);
    value.get()?;
    assert_eq!(map.entries()?.len(), map.len()?);
    assert_eq!(map.is_empty()?, map.len()? == 0);
    list.get()?;
    sum.get()?;

    let job = state.snapshot(CheckpointId::FIRST, SnapshotKind::Checkpoint)?;
    pop_timers(&state)?;
    let path = StoragePath::new("job").expect("a valid path");
    let target = SnapshotTarget {
        checkpoint: CheckpointId::FIRST,
        attempt: AttemptId::new(1),
        storage: &MemoryStorage::new(),
        exclusive: &path,
        shared: &path,
    };
    job.run(&target, &CancelToken::new())
}

/// In order, and each key's in the key group in which it is looked for.
fn pop_timers<K: StateKey>(state: &KeyedState<K>) -> Result<(), StateError> {
    let mut last = i64::MIN;
    while let Some(time) = state.pop_timer(TimeDomain::EventTime, i64::MAX)? {
        assert!(last <= time);
        last = time;
    }
    assert_eq!(state.next_timer(TimeDomain::EventTime), None);
    Ok(())
}
