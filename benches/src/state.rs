//! Keyed state with many keys.

use tidegate_state::{
    CancelToken, KeyedContext, KeyedState, MemoryStateBackend, SnapshotJob, SnapshotResult,
    SnapshotTarget, ValueState, ValueStateDescriptor,
};
use tidegate_store::{MemoryStorage, StoragePath};
use tidegate_types::{
    AttemptId, CheckpointId, KeyGroupRange, MaxParallelism, OperatorUid, Parallelism, StateKey,
    Subtask,
};

/// The state of the only subtask, in the memory backend and without a cap.
///
/// # Panics
///
/// Never, as far as state can be opened.
#[must_use]
pub fn open<K: StateKey>() -> KeyedState<K> {
    let subtask = Subtask::new(0, Parallelism::ONE);
    let max_parallelism = MaxParallelism::DEFAULT;
    let context = KeyedContext {
        operator: OperatorUid::new("count").expect("a valid uid"),
        subtask,
        max_parallelism,
        key_groups: KeyGroupRange::of_subtask(max_parallelism, subtask),
        attempt: AttemptId::new(1),
    };
    let backend = MemoryStateBackend::with_max_state_size(u64::MAX);
    KeyedState::open(&backend, &context, Vec::new()).expect("nothing is restored")
}

/// A count of 1 for each key.
///
/// # Panics
///
/// Never, as far as state can be written.
pub fn counts<K: StateKey>(state: &mut KeyedState<K>, keys: &[K]) -> ValueState<u64> {
    let count = state.value(ValueStateDescriptor::new("count")).expect("the first of its name");
    for key in keys {
        state.set_current_key(key.clone(), key.key_hash());
        count.put(1).expect("there is a current key");
    }
    count
}

/// Runs the long part of a snapshot.
///
/// # Panics
///
/// When it fails.
#[must_use]
pub fn run(job: Box<dyn SnapshotJob>) -> SnapshotResult {
    let path = StoragePath::new("job").expect("a valid path");
    let target = SnapshotTarget {
        checkpoint: CheckpointId::FIRST,
        attempt: AttemptId::new(1),
        storage: &MemoryStorage::new(),
        exclusive: &path,
        shared: &path,
    };
    job.run(&target, &CancelToken::new()).expect("memory does not fail")
}
