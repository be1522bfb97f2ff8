//! Opens, snapshots and restores the state of a few subtasks of one operator.

use std::sync::Arc;

use tidegate_store::{CheckpointStorage as _, MemoryStorage, StoragePath};
use tidegate_types::{
    AttemptId, CheckpointId, FileReference, KeyGroupRange, MaxParallelism, OperatorUid,
    Parallelism, SnapshotKind, StateHandle, StateKey, Subtask,
};

use crate::{
    CancelToken, KeyedContext, KeyedState, RestoredKeyedState, SnapshotJob, SnapshotResult,
    SnapshotTarget, StateBackend, StateError,
};

pub(super) struct Harness<'a> {
    backend: &'a dyn StateBackend,
    storage: MemoryStorage,
}

pub(super) const FIRST: CheckpointId = CheckpointId::FIRST;

impl<'a> Harness<'a> {
    pub(super) fn new(backend: &'a dyn StateBackend) -> Self {
        Self { backend, storage: MemoryStorage::new() }
    }

    /// One subtask of `parallelism`, with what `results` hold of its key groups.
    pub(super) fn open<K: StateKey>(
        &self,
        subtask: u16,
        parallelism: u16,
        results: &[SnapshotResult],
    ) -> Result<KeyedState<K>, StateError> {
        let parallelism = Parallelism::new(parallelism).expect("a small number");
        let subtask = Subtask::new(subtask, parallelism);
        let max_parallelism = MaxParallelism::DEFAULT;
        let key_groups = KeyGroupRange::of_subtask(max_parallelism, subtask);
        let context = KeyedContext {
            operator: OperatorUid::new("conformance").expect("a valid uid"),
            subtask,
            max_parallelism,
            key_groups,
            attempt: AttemptId::new(1),
        };
        let mut restored = Vec::new();
        for result in results {
            for handle in &result.keyed {
                if handle.key_groups.intersection(key_groups).is_some() {
                    let manifest = self.content(&handle.manifest);
                    let (handle, registered) = (handle.clone(), result.registered.clone());
                    restored.push(RestoredKeyedState { handle, manifest, registered });
                }
            }
        }
        KeyedState::open(self.backend, &context, restored)
    }

    /// The only subtask of parallelism 1.
    pub(super) fn open_one<K: StateKey>(&self, results: &[SnapshotResult]) -> KeyedState<K> {
        self.open(0, 1, results).expect("state opens")
    }

    pub(super) fn snapshot<K: StateKey>(&self, state: &mut KeyedState<K>) -> SnapshotResult {
        let job = state.snapshot(FIRST, SnapshotKind::Checkpoint).expect("state freezes");
        self.run(job, &CancelToken::new()).expect("a snapshot is written")
    }

    pub(super) fn run(
        &self,
        job: Box<dyn SnapshotJob>,
        cancel: &CancelToken,
    ) -> Result<SnapshotResult, StateError> {
        let exclusive = StoragePath::new("job/chk-1").expect("a valid path");
        let shared = StoragePath::new("job/shared").expect("a valid path");
        let target = SnapshotTarget {
            checkpoint: FIRST,
            attempt: AttemptId::new(1),
            storage: &self.storage,
            exclusive: &exclusive,
            shared: &shared,
        };
        // On another thread, as in a job: what it owns must be free to go there.
        std::thread::scope(|scope| scope.spawn(|| job.run(&target, cancel)).join())
            .expect("a snapshot does not panic")
    }

    fn content(&self, handle: &StateHandle) -> Arc<[u8]> {
        let file = match handle {
            StateHandle::Inline(bytes) => return Arc::clone(bytes),
            _ => handle.file().expect("inline or a file"),
        };
        let directory = match &file.reference {
            FileReference::InCheckpoint(_) => "job/chk-1",
            _ => "job",
        };
        let path = StoragePath::new(directory).and_then(|d| d.join(file.reference.as_str()));
        let reader = self.storage.open(&path.expect("a valid path")).expect("the file exists");
        reader.read_all(file.length).expect("the file is readable").into()
    }
}

/// Makes `key` current.
pub(super) fn select<K: StateKey>(state: &KeyedState<K>, key: &K) {
    state.set_current_key(key.clone(), key.key_hash());
}
