//! Subtasks of one operator, and the directory of their checkpoints.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use tidegate_state::{
    CancelToken, KeyedContext, KeyedState, RestoredFile, RestoredKeyedState, SnapshotResult,
    SnapshotTarget, StateBackend, StateSource, ValueState, ValueStateDescriptor,
};
use tidegate_state_fs::{FsStateBackend, FsStateConfig};
use tidegate_state_rocksdb::{RocksDbStateBackend, RocksDbStateConfig};
use tidegate_store::{CheckpointStorage, FsStorage, StoragePath};
use tidegate_types::{
    AttemptId, CheckpointId, FileReference, KeyGroupRange, MaxParallelism, OperatorUid,
    Parallelism, SnapshotKind, StateHandle, StateKey, Subtask,
};

use crate::value;

pub(crate) struct Place {
    _directory: tempfile::TempDir,
    storage: Arc<dyn CheckpointStorage>,
}

pub(crate) struct Job<const N: usize> {
    pub(crate) state: KeyedState<u64>,
    pub(crate) range: KeyGroupRange,
    value: ValueState<[u8; N]>,
    next: CheckpointId,
}

/// What a checkpoint took.
pub(crate) struct Taken {
    pub(crate) result: SnapshotResult,
    pub(crate) checkpoint: CheckpointId,
    pub(crate) pause: Duration,
    pub(crate) write: Duration,
}

pub(crate) fn fs(place: &Place, incremental: bool) -> Result<FsStateBackend> {
    let config = FsStateConfig { incremental, ..FsStateConfig::default() };
    let backend = FsStateBackend::in_checkpoint_directory().with_config(config);
    let working = StoragePath::new("job/taskowned")?;
    Ok(backend.with_working_directory(Arc::clone(&place.storage), working))
}

pub(crate) fn rocksdb(place: &Place, incremental: bool) -> Result<RocksDbStateBackend> {
    let config = RocksDbStateConfig { incremental, ..RocksDbStateConfig::default() };
    let backend = RocksDbStateBackend::in_checkpoint_directory().with_config(config);
    let working = StoragePath::new("job/taskowned")?;
    Ok(backend.with_working_directory(Arc::clone(&place.storage), working))
}

impl Place {
    pub(crate) fn new() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let storage = Arc::new(FsStorage::open(directory.path())?);
        Ok(Self { _directory: directory, storage })
    }

    /// A subtask with what was taken of its key groups.
    pub(crate) fn open<const N: usize>(
        &self,
        backend: &dyn StateBackend,
        (index, parallelism): (u16, u16),
        taken: &[&Taken],
    ) -> Result<Job<N>>
    where
        [u8; N]: tidegate_state::StateValue,
    {
        let max_parallelism = MaxParallelism::DEFAULT;
        let parallelism = Parallelism::new(parallelism).expect("a small number");
        let subtask = Subtask::new(index, parallelism);
        let range = KeyGroupRange::of_subtask(max_parallelism, subtask);
        let context = KeyedContext {
            operator: OperatorUid::new("compare").expect("a valid uid"),
            subtask,
            max_parallelism,
            key_groups: range,
            attempt: AttemptId::new(1 + taken.len() as u64),
        };
        let mut restored = Vec::new();
        for taken in taken {
            for handle in &taken.result.keyed {
                let StateHandle::Inline(manifest) = &handle.manifest else { continue };
                let path = |file: &FileReference| match file {
                    FileReference::InCheckpoint(name) => {
                        format!("job/chk-{}/{name}", taken.checkpoint)
                    }
                    file => format!("job/{}", file.as_str()),
                };
                let files = handle.shared.iter().map(|shared| path(&shared.file.reference));
                let found = |path: String| -> Result<RestoredFile> {
                    let path = StoragePath::new(&path)?;
                    Ok(RestoredFile { storage: Arc::clone(&self.storage), path })
                };
                if handle.key_groups.intersection(range).is_some() {
                    restored.push(RestoredKeyedState {
                        handle: handle.clone(),
                        manifest: StateSource::from(Arc::clone(manifest)),
                        registered: taken.result.registered.clone(),
                        shared: files.map(found).collect::<Result<_>>()?,
                        may_be_shared: true,
                    });
                }
            }
        }
        let mut state = KeyedState::open(backend, &context, restored)?;
        let value = state.value(ValueStateDescriptor::new("value"))?;
        let newest = taken.iter().map(|taken| taken.checkpoint.next()).max();
        Ok(Job { state, range, value, next: newest.unwrap_or(CheckpointId::FIRST) })
    }
}

impl<const N: usize> Job<N>
where
    [u8; N]: tidegate_state::StateValue,
{
    /// Whether the key is this subtask's.
    pub(crate) fn has(&self, key: u64) -> bool {
        self.range.contains(MaxParallelism::DEFAULT.key_group_of(key.key_hash()))
    }

    pub(crate) fn put(&self, key: u64, round: u64) -> Result<()> {
        self.state.set_current_key(key, key.key_hash());
        Ok(self.value.put(value::<N>(key, round))?)
    }

    pub(crate) fn get(&self, key: u64) -> Result<u8> {
        self.state.set_current_key(key, key.key_hash());
        Ok(self.value.get()?.map_or(0, |value| value[7]))
    }

    pub(crate) fn checkpoint(&mut self, place: &Place) -> Result<Taken> {
        let checkpoint = self.next;
        self.next = checkpoint.next();
        let started = Instant::now();
        let job = self.state.snapshot(checkpoint, SnapshotKind::Checkpoint)?;
        let pause = started.elapsed();
        let exclusive = StoragePath::new(&format!("job/chk-{checkpoint}"))?;
        let target = SnapshotTarget {
            checkpoint,
            attempt: AttemptId::new(1),
            storage: &*place.storage,
            exclusive: &exclusive,
            shared: &StoragePath::new("job/shared")?,
        };
        let result = job.run(&target, &CancelToken::new())?;
        let write = started.elapsed().saturating_sub(pause);
        self.state.notify_complete(checkpoint);
        self.state.maintain()?;
        Ok(Taken { result, checkpoint, pause, write })
    }
}
