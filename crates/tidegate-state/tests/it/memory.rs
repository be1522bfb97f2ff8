//! What is the memory backend's own.

use std::sync::Arc;

use tidegate_state::{
    CancelToken, KeyedContext, KeyedState, MemoryStateBackend, RestoredKeyedState, SnapshotResult,
    SnapshotTarget, StateError, StateSource, TimeDomain, ValueStateDescriptor, conformance,
};
use tidegate_store::{CheckpointStorage, MemoryStorage, StoragePath};
use tidegate_types::*;

use crate::repair::{Places, repaired};

#[test]
fn it_passes_the_suite_of_all_backends() {
    let storage: Arc<dyn CheckpointStorage> = Arc::new(MemoryStorage::new());
    conformance::run(&MemoryStateBackend::new(), &storage);
}

fn context() -> KeyedContext {
    let subtask = Subtask::new(0, Parallelism::ONE);
    let max_parallelism = MaxParallelism::new(4).unwrap();
    KeyedContext {
        operator: OperatorUid::new("count").unwrap(),
        subtask,
        max_parallelism,
        key_groups: KeyGroupRange::of_subtask(max_parallelism, subtask),
        attempt: AttemptId::new(1),
    }
}

fn snapshot(cap: u64, keys: u64) -> Result<SnapshotResult, StateError> {
    let backend = MemoryStateBackend::with_max_state_size(cap);
    let mut state = KeyedState::<u64>::open(&backend, &context(), Vec::new()).unwrap();
    let value = state.value(ValueStateDescriptor::<u64>::new("levels")).unwrap();
    for key in 0..keys {
        state.set_current_key(key, key.key_hash());
        value.put(key).unwrap();
    }
    run(&mut state)
}

fn run<K: StateKey>(state: &mut KeyedState<K>) -> Result<SnapshotResult, StateError> {
    let job = state.snapshot(CheckpointId::FIRST, SnapshotKind::Checkpoint).unwrap();
    let path = StoragePath::new("chk-1").unwrap();
    let storage = MemoryStorage::new();
    let target = SnapshotTarget {
        checkpoint: CheckpointId::FIRST,
        attempt: AttemptId::new(1),
        storage: &storage,
        exclusive: &path,
        shared: &path,
    };
    job.run(&target, &CancelToken::new())
}

#[test]
fn state_above_the_cap_is_refused_by_name_size_and_way_out() {
    // Key 4 + 8, number of items 4, their length 4, one item 4 + 8.
    let entry = 32;
    assert!(snapshot(100 * entry, 100).is_ok());
    let error = snapshot(100 * entry, 101).unwrap_err();
    let text = error.to_string();
    for expected in ["\"levels\"", "count", "3232 bytes", "3200", "state.backend.type", "rocksdb"] {
        assert!(text.contains(expected), "{text}");
    }
}

fn restore(bytes: &[u8], result: &SnapshotResult) -> Result<Vec<Option<u64>>, StateError> {
    let restored = RestoredKeyedState {
        handle: result.keyed[0].clone(),
        manifest: StateSource::from(Arc::from(bytes)),
        registered: result.registered.clone(),
        shared: Vec::new(),
        may_be_shared: true,
    };
    let backend = MemoryStateBackend::new();
    let mut state = KeyedState::<u64>::open(&backend, &context(), vec![restored])?;
    let value = state.value(ValueStateDescriptor::<u64>::new("levels"))?;
    let read = |key: u64| {
        state.set_current_key(key, key.key_hash());
        value.get()
    };
    (0..6).map(read).collect()
}

fn bytes_of(result: &SnapshotResult) -> Vec<u8> {
    let StateHandle::Inline(bytes) = &result.keyed[0].manifest else { panic!("not inline") };
    bytes.to_vec()
}

#[test]
fn no_damage_of_keyed_state_goes_unnoticed() {
    let result = snapshot(1 << 20, 6).unwrap();
    let mut bytes = bytes_of(&result);
    assert_eq!(restore(&bytes, &result).unwrap(), (0..6).map(Some).collect::<Vec<_>>());
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(restore(&bytes, &result).is_err(), "bit {bit}");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    for cut in 0..bytes.len() {
        assert!(restore(&bytes[..cut], &result).is_err(), "cut at {cut}");
    }
}

// Whoever makes the checksums right too must still not make us panic or allocate without bound.
#[test]
fn forged_keyed_state_is_refused_or_harmless() {
    let result = snapshot(1 << 20, 6).unwrap();
    let sound = bytes_of(&result);
    let mut accepted = 0;
    for position in 0..sound.len() {
        for value in [0, 1, 0x7F, 0xFF] {
            let mut bytes = sound.clone();
            bytes[position] = value;
            let bytes = repaired(&bytes, Places::InOrder).unwrap();
            accepted += u32::from(restore(&bytes, &result).is_ok());
        }
    }
    assert!(accepted > 100, "the checksums were right {accepted} times");
}

#[test]
fn a_key_with_bytes_behind_it_is_no_key() {
    // Read as one byte, a text of five bytes would be written again under another key group.
    let backend = MemoryStateBackend::new();
    let mut texts = KeyedState::<String>::open(&backend, &context(), Vec::new()).unwrap();
    let value = texts.value(ValueStateDescriptor::<u64>::new("levels")).unwrap();
    texts.set_current_key("ebb".to_owned(), "ebb".to_owned().key_hash());
    value.put(1).unwrap();
    texts.register_timer(TimeDomain::EventTime, 5);
    let result = run(&mut texts).unwrap();
    let mut numbers = KeyedState::<u8>::open(&backend, &context(), Vec::new()).unwrap();
    let restored = RestoredKeyedState {
        handle: result.keyed[0].clone(),
        manifest: StateSource::from(Arc::<[u8]>::from(bytes_of(&result))),
        // The metadata is forged, too: it says that the keys are of the right type.
        registered: run(&mut numbers).unwrap().registered,
        shared: Vec::new(),
        may_be_shared: false,
    };
    let Err(error) = KeyedState::<u8>::open(&backend, &context(), vec![restored]) else {
        panic!("the timer's key is no u8")
    };
    assert!(matches!(error, StateError::Key { .. }), "{error}");
}

#[test]
fn state_of_another_backend_is_refused() {
    let mut result = snapshot(1 << 20, 6).unwrap();
    result.keyed[0].backend = BackendKind::RocksDb;
    let error = restore(&bytes_of(&result), &result).unwrap_err();
    assert!(error.to_string().contains("set state.backend.type to rocksdb"), "{error}");
}
