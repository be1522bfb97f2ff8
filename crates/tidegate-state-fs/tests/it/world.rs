//! A few subtasks of one operator in the fs backend, each beside its judge in the memory backend,
//! and a coordinator that keeps and deletes their checkpoints' files.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tidegate_state::{
    CancelToken, KeyedContext, KeyedState, ListState, ListStateDescriptor, MapState,
    MapStateDescriptor, MemoryStateBackend, RestoredFile, RestoredKeyedState, SnapshotJob,
    SnapshotResult, SnapshotTarget, StateBackend, StateError, StateSource, StateTtlConfig,
    ValueState, ValueStateDescriptor,
};
use tidegate_state_fs::{CompactionConfig, FsStateBackend, FsStateConfig};
use tidegate_store::{CheckpointStorage, MemoryStorage, StoragePath};
use tidegate_types::*;

use crate::disk::{Disk, path, shared_names};

pub(crate) const JOB: &str = "job";

pub(crate) fn max_parallelism() -> MaxParallelism {
    MaxParallelism::new(16).unwrap()
}

pub(crate) fn context(subtask: Subtask, attempt: u64) -> KeyedContext {
    KeyedContext {
        operator: OperatorUid::new("random").unwrap(),
        subtask,
        max_parallelism: max_parallelism(),
        key_groups: KeyGroupRange::of_subtask(max_parallelism(), subtask),
        attempt: AttemptId::new(attempt),
    }
}

/// The state of one subtask in one backend.
pub(crate) struct States {
    pub(crate) keyed: KeyedState<u8>,
    pub(crate) value: ValueState<String>,
    pub(crate) list: ListState<u32>,
    pub(crate) map: MapState<u8, String>,
    pub(crate) fading: ValueState<u64>,
}

impl States {
    pub(crate) fn open(
        backend: &dyn StateBackend,
        context: &KeyedContext,
        restored: Vec<RestoredKeyedState>,
    ) -> Result<Self, StateError> {
        let mut keyed = KeyedState::open(backend, context, restored)?;
        let ttl = StateTtlConfig::new(Duration::from_millis(50));
        let fading = ValueStateDescriptor::new("fading").time_to_live(ttl);
        let value = keyed.value(ValueStateDescriptor::new("value"))?;
        let list = keyed.list(ListStateDescriptor::new("list"))?;
        let map = keyed.map(MapStateDescriptor::new("map"))?;
        let fading = keyed.value(fading)?;
        Ok(Self { keyed, value, list, map, fading })
    }
}

pub(crate) struct Worker {
    pub(crate) range: KeyGroupRange,
    pub(crate) fs: States,
    pub(crate) memory: States,
}

/// A complete checkpoint, of all subtasks and in both backends.
struct Complete {
    fs: Vec<SnapshotResult>,
    memory: Vec<SnapshotResult>,
}

/// What becomes of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Complete,
    /// Written by all, and given up: its files are deleted.
    Aborted,
    /// Given up, and no task ever told.
    Forgotten,
    Cancelled,
    /// The job is dropped before it runs.
    Dropped,
    DiskFull,
}

pub(crate) struct World {
    pub(crate) disk: Arc<Disk>,
    memory_storage: MemoryStorage,
    backend: FsStateBackend,
    pub(crate) workers: Vec<Worker>,
    complete: Vec<Complete>,
    retained: usize,
    next: CheckpointId,
    attempt: u64,
    pub(crate) now_ms: i64,
    /// Whether this run made the checkpoint that it restores.
    owns: bool,
}

impl World {
    pub(crate) fn new(disk: Arc<Disk>, incremental: bool, retained: usize) -> Self {
        let config = FsStateConfig {
            incremental,
            overlay_max_bytes: 1_500,
            compaction: CompactionConfig {
                max_segments: NonZeroUsize::new(3).unwrap(),
                min_merge: NonZeroUsize::new(2).unwrap(),
                max_space_amplification_percent: 60,
            },
        };
        let storage: Arc<dyn CheckpointStorage> = disk.clone();
        let backend = FsStateBackend::in_checkpoint_directory()
            .with_config(config)
            .with_working_directory(storage, path("job/taskowned"));
        let mut world = Self {
            disk,
            memory_storage: MemoryStorage::new(),
            backend,
            workers: Vec::new(),
            complete: Vec::new(),
            retained,
            next: CheckpointId::FIRST,
            attempt: 0,
            now_ms: 0,
            owns: true,
        };
        world.reopen(1);
        world
    }

    pub(crate) fn worker(&self, key: u8) -> &Worker {
        let group = max_parallelism().key_group_of(key.key_hash());
        self.workers.iter().find(|worker| worker.range.contains(group)).unwrap()
    }

    /// Kills all tasks and starts others, as many as said, from the newest complete checkpoint.
    pub(crate) fn reopen(&mut self, parallelism: u16) {
        self.workers.clear();
        self.attempt += 1;
        let left = self.names("job/taskowned");
        assert!(left.is_empty(), "working files stay behind: {left:?}");
        let judge = MemoryStateBackend::with_max_state_size(u64::MAX);
        for subtask in Subtask::all(Parallelism::new(parallelism).unwrap()) {
            let context = context(subtask, self.attempt);
            let newest = self.complete.last();
            let fs = newest.map_or(&[][..], |newest| &newest.fs);
            let memory = newest.map_or(&[][..], |newest| &newest.memory);
            let fs = States::open(&self.backend, &context, self.restored(&context, fs)).unwrap();
            let memory = States::open(&judge, &context, self.restored(&context, memory)).unwrap();
            self.workers.push(Worker { range: context.key_groups, fs, memory });
        }
        self.set_time(self.now_ms);
    }

    /// Like [`reopen`](Self::reopen), and what is restored belongs to somebody else from now on.
    pub(crate) fn resume_elsewhere(&mut self, parallelism: u16) {
        self.owns = false;
        self.reopen(parallelism);
    }

    pub(crate) fn set_time(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
        for worker in &self.workers {
            worker.fs.keyed.set_time(now_ms);
            worker.memory.keyed.set_time(now_ms);
        }
    }

    fn restored(
        &self,
        context: &KeyedContext,
        results: &[SnapshotResult],
    ) -> Vec<RestoredKeyedState> {
        let mut restored = Vec::new();
        for result in results {
            for handle in &result.keyed {
                if handle.key_groups.intersection(context.key_groups).is_none() {
                    continue;
                }
                let StateHandle::Inline(manifest) = &handle.manifest else {
                    panic!("a checkpoint of little state is inline")
                };
                let storage: Arc<dyn CheckpointStorage> = self.disk.clone();
                let found = |shared: &SharedFile| RestoredFile {
                    storage: Arc::clone(&storage),
                    path: path(JOB).join(shared.file.reference.as_str()).unwrap(),
                };
                restored.push(RestoredKeyedState {
                    handle: handle.clone(),
                    manifest: StateSource::from(Arc::clone(manifest)),
                    registered: result.registered.clone(),
                    shared: handle.shared.iter().map(found).collect(),
                    may_be_shared: self.owns,
                });
            }
        }
        restored
    }

    fn run(
        &self,
        checkpoint: CheckpointId,
        job: Box<dyn SnapshotJob>,
        storage: &dyn CheckpointStorage,
        cancel: &CancelToken,
    ) -> Result<SnapshotResult, StateError> {
        let exclusive = path(&format!("{JOB}/chk-{checkpoint}"));
        let target = SnapshotTarget {
            checkpoint,
            attempt: AttemptId::new(self.attempt),
            storage,
            exclusive: &exclusive,
            shared: &path("job/shared"),
        };
        job.run(&target, cancel)
    }

    /// A checkpoint of all subtasks, to the end.
    pub(crate) fn checkpoint(&mut self, fate: Fate) {
        let id = self.next;
        self.next = id.next();
        let before = self.names("job/shared");
        let (mut fs, mut memory, mut failed) = (Vec::new(), Vec::new(), false);
        let kind = SnapshotKind::Checkpoint;
        let workers = self.workers.iter_mut();
        let jobs: Vec<_> = workers
            .map(|worker| {
                let fs = worker.fs.keyed.snapshot(id, kind).unwrap();
                (fs, worker.memory.keyed.snapshot(id, kind).unwrap())
            })
            .collect();
        let cancel = CancelToken::new();
        for (index, (job, judge)) in jobs.into_iter().enumerate() {
            match fate {
                Fate::Dropped => continue,
                Fate::Cancelled if index % 2 == 0 => cancel.cancel(),
                Fate::DiskFull if index % 2 == 0 => self.disk.set_full(true),
                _ => {}
            }
            match self.run(id, job, &*self.disk, &cancel) {
                Ok(result) => fs.push(result),
                Err(StateError::Cancelled | StateError::Storage(_)) => failed = true,
                Err(error) => panic!("{error}"),
            }
            let judged = self.run(id, judge, &self.memory_storage, &CancelToken::new());
            memory.push(judged.unwrap());
        }
        self.disk.set_full(false);
        if fate == Fate::Complete {
            assert!(!failed);
            self.complete.push(Complete { fs, memory });
            self.workers.iter_mut().for_each(|worker| worker.fs.keyed.notify_complete(id));
            self.owns = true;
        } else if fate != Fate::Forgotten {
            self.workers.iter_mut().for_each(|worker| worker.fs.keyed.notify_aborted(id));
        }
        self.retain(&before);
    }

    /// Deletes what no retained checkpoint uses. Whatever is left then was left by mistake.
    fn retain(&mut self, before: &BTreeSet<String>) {
        let surplus = self.complete.len().saturating_sub(self.retained);
        self.complete.drain(..surplus);
        let complete = self.complete.iter().flat_map(|c| &c.fs).flat_map(|result| &result.keyed);
        let used = shared_names(complete);
        let made = self.names("job/shared");
        for name in made.difference(&used) {
            let _ = before;
            self.disk.delete(&path(&format!("job/shared/{name}"))).unwrap();
        }
        let missing: Vec<_> = used.difference(&made).collect();
        assert!(missing.is_empty(), "a complete checkpoint refers to {missing:?}, which is gone");
    }

    pub(crate) fn names(&self, directory: &str) -> BTreeSet<String> {
        let children = self.disk.list(&StoragePath::new(directory).unwrap()).unwrap();
        children.into_iter().map(|child| child.name).collect()
    }
}
