//! Opens, snapshots and restores the state of a few subtasks of one operator.

use std::cell::Cell;
use std::sync::Arc;

use tidegate_store::{CheckpointStorage as _, MemoryStorage, StoragePath};
use tidegate_types::{
    AttemptId, CheckpointId, FileReference, KeyGroupRange, MaxParallelism, OperatorUid,
    Parallelism, SnapshotKind, StateHandle, StateKey, Subtask,
};

use crate::{
    CancelToken, KeyedContext, KeyedState, RestoredKeyedState, SnapshotJob, SnapshotResult,
    SnapshotTarget, StateBackend, StateError, StateSource,
};

pub(super) struct Harness<'a> {
    backend: &'a dyn StateBackend,
    storage: Arc<MemoryStorage>,
    /// Snapshots so far: each has a directory of its own.
    snapshots: Cell<u64>,
}

pub(super) const FIRST: CheckpointId = CheckpointId::FIRST;

impl<'a> Harness<'a> {
    pub(super) fn new(backend: &'a dyn StateBackend) -> Self {
        Self { backend, storage: Arc::new(MemoryStorage::new()), snapshots: Cell::new(0) }
    }

    /// The same storage in the hands of another backend.
    pub(super) fn with_backend<'b>(&self, backend: &'b dyn StateBackend) -> Harness<'b> {
        let (storage, snapshots) = (Arc::clone(&self.storage), Cell::new(1_000));
        Harness { backend, storage, snapshots }
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
                    let may_be_shared = true;
                    restored.push(RestoredKeyedState {
                        handle,
                        manifest,
                        registered,
                        may_be_shared,
                    });
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
        self.snapshot_of_kind(state, SnapshotKind::Checkpoint)
    }

    pub(super) fn snapshot_of_kind<K: StateKey>(
        &self,
        state: &mut KeyedState<K>,
        kind: SnapshotKind,
    ) -> SnapshotResult {
        let job = state.snapshot(FIRST, kind).expect("state freezes");
        self.run(job, &CancelToken::new()).expect("a snapshot is written")
    }

    pub(super) fn run(
        &self,
        job: Box<dyn SnapshotJob>,
        cancel: &CancelToken,
    ) -> Result<SnapshotResult, StateError> {
        self.snapshots.set(self.snapshots.get() + 1);
        let directory = format!("chk-{}", self.snapshots.get());
        let exclusive = StoragePath::new(&format!("job/{directory}")).expect("a valid path");
        let shared = StoragePath::new("job/shared").expect("a valid path");
        let target = SnapshotTarget {
            checkpoint: FIRST,
            attempt: AttemptId::new(1),
            storage: &*self.storage,
            exclusive: &exclusive,
            shared: &shared,
        };
        // On another thread, as in a job: what it owns must be free to go there.
        let result = std::thread::scope(|scope| scope.spawn(|| job.run(&target, cancel)).join());
        let mut result = result.expect("a snapshot does not panic")?;
        // The results of several snapshots are opened together: each says where it lies.
        for handle in &mut result.keyed {
            if let StateHandle::File(file) = &mut handle.manifest
                && let FileReference::InCheckpoint(name) = &file.reference
            {
                let reference = FileReference::in_job(&format!("{directory}/{name}"));
                file.reference = reference.expect("plain names");
            }
        }
        Ok(result)
    }

    fn content(&self, handle: &StateHandle) -> StateSource {
        let file = match handle {
            StateHandle::Inline(bytes) => return StateSource::from(Arc::clone(bytes)),
            _ => handle.file().expect("inline or a file"),
        };
        let path = StoragePath::new("job").and_then(|d| d.join(file.reference.as_str()));
        let reader = self.storage.open(&path.expect("a valid path")).expect("the file exists");
        StateSource::from_reader(reader)
    }
}

/// Makes `key` current.
pub(super) fn select<K: StateKey>(state: &KeyedState<K>, key: &K) {
    state.set_current_key(key.clone(), key.key_hash());
}
