//! Opens, snapshots and restores the state of a few subtasks of one operator.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidegate_store::{CheckpointStorage, StoragePath};
use tidegate_types::{
    AttemptId, CheckpointId, FileHandle, FileReference, KeyGroupRange, MaxParallelism, OperatorUid,
    Parallelism, SnapshotKind, StateHandle, StateKey, Subtask,
};

use crate::{
    CancelToken, KeyedContext, KeyedState, RestoredFile, RestoredKeyedState, SnapshotJob,
    SnapshotResult, SnapshotTarget, StateBackend, StateError, StateSource,
};

pub(super) struct Harness<'a> {
    backend: &'a dyn StateBackend,
    storage: Arc<dyn CheckpointStorage>,
    job: String,
    next: Rc<Cell<CheckpointId>>,
    /// Whether what is restored belongs to somebody else.
    foreign: bool,
}

/// A snapshot of one subtask, and of which checkpoint it is.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub(super) checkpoint: CheckpointId,
    pub(super) result: SnapshotResult,
}

impl<'a> Harness<'a> {
    pub(super) fn new(backend: &'a dyn StateBackend, storage: &Arc<dyn CheckpointStorage>) -> Self {
        // Every harness is a job of its own, so that their files do not meet.
        static JOBS: AtomicU64 = AtomicU64::new(0);
        let job = format!("job-{}", JOBS.fetch_add(1, Ordering::Relaxed));
        let next = Rc::new(Cell::new(CheckpointId::FIRST));
        Self { backend, storage: Arc::clone(storage), job, next, foreign: false }
    }

    /// The same job and storage in the hands of another backend.
    pub(super) fn with_backend<'b>(&self, backend: &'b dyn StateBackend) -> Harness<'b> {
        let (storage, job) = (Arc::clone(&self.storage), self.job.clone());
        let next = Rc::clone(&self.next);
        Harness { backend, storage, job, next, foreign: true }
    }

    pub(super) fn backend(&self) -> &'a dyn StateBackend {
        self.backend
    }

    /// One subtask of `parallelism`, with what `taken` holds of its key groups.
    pub(super) fn open<K: StateKey>(
        &self,
        subtask: u16,
        parallelism: u16,
        taken: &[Taken],
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
            attempt: AttemptId::new(self.next.get().get()),
        };
        let mut restored = Vec::new();
        for Taken { checkpoint, result } in taken {
            for handle in &result.keyed {
                if handle.key_groups.intersection(key_groups).is_some() {
                    let manifest = self.content(*checkpoint, &handle.manifest);
                    let (handle, registered) = (handle.clone(), result.registered.clone());
                    let files = handle.shared.iter().map(|shared| &shared.file);
                    let shared = files.map(|file| self.found(*checkpoint, file)).collect();
                    restored.push(RestoredKeyedState {
                        handle,
                        manifest,
                        registered,
                        shared,
                        may_be_shared: !self.foreign,
                    });
                }
            }
        }
        KeyedState::open(self.backend, &context, restored)
    }

    /// The only subtask of parallelism 1.
    pub(super) fn open_one<K: StateKey>(&self, taken: &[Taken]) -> KeyedState<K> {
        self.open(0, 1, taken).expect("state opens")
    }

    /// A checkpoint that becomes complete.
    pub(super) fn snapshot<K: StateKey>(&self, state: &mut KeyedState<K>) -> Taken {
        self.snapshot_of_kind(state, SnapshotKind::Checkpoint)
    }

    pub(super) fn snapshot_of_kind<K: StateKey>(
        &self,
        state: &mut KeyedState<K>,
        kind: SnapshotKind,
    ) -> Taken {
        let (checkpoint, job) = self.freeze(state, kind);
        let taken = self.run(checkpoint, job, &CancelToken::new()).expect("a snapshot is written");
        state.notify_complete(taken.checkpoint);
        state.maintain().expect("state is maintained");
        taken
    }

    pub(super) fn freeze<K: StateKey>(
        &self,
        state: &mut KeyedState<K>,
        kind: SnapshotKind,
    ) -> (CheckpointId, Box<dyn SnapshotJob>) {
        let checkpoint = self.next.get();
        self.next.set(checkpoint.next());
        (checkpoint, state.snapshot(checkpoint, kind).expect("state freezes"))
    }

    pub(super) fn run(
        &self,
        checkpoint: CheckpointId,
        job: Box<dyn SnapshotJob>,
        cancel: &CancelToken,
    ) -> Result<Taken, StateError> {
        let (exclusive, shared) = (self.directory(checkpoint), self.job_directory("shared"));
        let target = SnapshotTarget {
            checkpoint,
            attempt: AttemptId::new(1),
            storage: &*self.storage,
            exclusive: &exclusive,
            shared: &shared,
        };
        // On another thread, as in a job: what it owns must be free to go there.
        let result = std::thread::scope(|scope| scope.spawn(|| job.run(&target, cancel)).join());
        Ok(Taken { checkpoint, result: result.expect("a snapshot does not panic")? })
    }

    /// Deletes the files of an aborted checkpoint that no other one uses, as the coordinator does.
    pub(super) fn discard(&self, aborted: &Taken, kept: &[Taken]) {
        let files = |taken: &Taken| {
            let shared = taken.result.keyed.iter().flat_map(|keyed| keyed.shared.clone());
            shared.map(|shared| shared.file.reference).collect::<Vec<_>>()
        };
        let used: Vec<_> = kept.iter().flat_map(files).collect();
        for reference in files(aborted).into_iter().filter(|file| !used.contains(file)) {
            if let FileReference::InJob(path) = &reference {
                self.storage.delete(&self.job_directory(path)).expect("a file is deleted");
            }
        }
        let directory = self.directory(aborted.checkpoint);
        self.storage.delete_directory(&directory).expect("a directory is deleted");
    }

    fn directory(&self, checkpoint: CheckpointId) -> StoragePath {
        self.job_directory(&format!("chk-{checkpoint}"))
    }

    fn job_directory(&self, path: &str) -> StoragePath {
        StoragePath::new(&format!("{}/{path}", self.job)).expect("a valid path")
    }

    fn content(&self, checkpoint: CheckpointId, handle: &StateHandle) -> StateSource {
        let file = match handle {
            StateHandle::Inline(bytes) => return StateSource::from(Arc::clone(bytes)),
            _ => handle.file().expect("inline or a file"),
        };
        let RestoredFile { storage, path } = self.found(checkpoint, file);
        StateSource::from_reader(storage.open(&path).expect("the file exists"))
    }

    fn found(&self, checkpoint: CheckpointId, file: &FileHandle) -> RestoredFile {
        let name = file.reference.as_str();
        let path = match &file.reference {
            FileReference::InCheckpoint(_) => self.directory(checkpoint).join(name),
            _ => Ok(self.job_directory(name)),
        };
        let path = path.expect("a valid path");
        RestoredFile { storage: Arc::clone(&self.storage), path }
    }
}

/// Makes `key` current.
pub(super) fn select<K: StateKey>(state: &KeyedState<K>, key: &K) {
    state.set_current_key(key.clone(), key.key_hash());
}
