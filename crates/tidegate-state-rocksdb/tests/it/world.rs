//! Subtasks of one operator, whose checkpoints lie in a directory; all kinds of state.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate_state::{
    CancelToken, KeyedContext, KeyedState, ListState, ListStateDescriptor, MapState,
    MapStateDescriptor, RestoredFile, RestoredKeyedState, SnapshotResult, SnapshotTarget,
    StateBackend, StateError, StateSource, TimeDomain, ValueState, ValueStateDescriptor,
};
use tidegate_state_rocksdb::{RocksDbStateBackend, RocksDbStateConfig};
use tidegate_store::{CheckpointStorage, FsStorage, StoragePath};
use tidegate_types::*;

pub(crate) fn max_parallelism() -> MaxParallelism {
    MaxParallelism::new(16).unwrap()
}

pub(crate) struct World {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) storage: Arc<dyn CheckpointStorage>,
    pub(crate) next: CheckpointId,
}

/// The state of one subtask.
pub(crate) struct States {
    pub(crate) keyed: KeyedState<u64>,
    pub(crate) range: KeyGroupRange,
    pub(crate) value: ValueState<String>,
    list: ListState<u32>,
    map: MapState<u64, String>,
}

/// A snapshot of one subtask, and of which checkpoint it is.
pub(crate) type Taken = (CheckpointId, SnapshotResult);

pub(crate) fn path(text: &str) -> StoragePath {
    StoragePath::new(text).unwrap()
}

impl World {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let storage = Arc::new(FsStorage::open(directory.path()).unwrap());
        Self { directory, storage, next: CheckpointId::FIRST }
    }

    /// Everything goes to files of its own.
    pub(crate) fn config() -> RocksDbStateConfig {
        RocksDbStateConfig { data_inline_threshold: 0, ..RocksDbStateConfig::default() }
    }

    pub(crate) fn backend(&self, config: RocksDbStateConfig) -> RocksDbStateBackend {
        RocksDbStateBackend::in_checkpoint_directory()
            .with_config(config)
            .with_working_directory(Arc::clone(&self.storage), path("job/taskowned"))
    }

    pub(crate) fn open(
        &self,
        backend: &dyn StateBackend,
        (index, parallelism): (u16, u16),
        taken: &[Taken],
        may_be_shared: bool,
    ) -> Result<States, StateError> {
        let subtask = Subtask::new(index, Parallelism::new(parallelism).unwrap());
        let range = KeyGroupRange::of_subtask(max_parallelism(), subtask);
        let context = KeyedContext {
            operator: OperatorUid::new("world").unwrap(),
            subtask,
            max_parallelism: max_parallelism(),
            key_groups: range,
            attempt: AttemptId::new(self.next.get()),
        };
        let mut restored = Vec::new();
        for (checkpoint, result) in taken {
            for handle in &result.keyed {
                if handle.key_groups.intersection(range).is_none() {
                    continue;
                }
                let files = handle.shared.iter().map(|shared| &shared.file);
                restored.push(RestoredKeyedState {
                    manifest: self.content(*checkpoint, &handle.manifest),
                    registered: result.registered.clone(),
                    shared: files.map(|file| self.found(*checkpoint, file)).collect(),
                    handle: handle.clone(),
                    may_be_shared,
                });
            }
        }
        let mut keyed = KeyedState::open(backend, &context, restored)?;
        let value = keyed.value(ValueStateDescriptor::new("value"))?;
        let list = keyed.list(ListStateDescriptor::new("list"))?;
        let map = keyed.map(MapStateDescriptor::new("map"))?;
        Ok(States { keyed, range, value, list, map })
    }

    fn content(&self, checkpoint: CheckpointId, handle: &StateHandle) -> StateSource {
        let StateHandle::File(file) = handle else {
            let StateHandle::Inline(bytes) = handle else { panic!("inline or a file") };
            return StateSource::from(Arc::clone(bytes));
        };
        let RestoredFile { storage, path } = self.found(checkpoint, file);
        StateSource::from_reader(storage.open(&path).unwrap())
    }

    fn found(&self, checkpoint: CheckpointId, file: &FileHandle) -> RestoredFile {
        let name = file.reference.as_str();
        let path = match &file.reference {
            FileReference::InCheckpoint(_) => path(&format!("job/chk-{checkpoint}/{name}")),
            _ => path(&format!("job/{name}")),
        };
        RestoredFile { storage: Arc::clone(&self.storage), path }
    }

    /// A snapshot of which the task is told that it is complete.
    pub(crate) fn snapshot(&mut self, states: &mut States, kind: SnapshotKind) -> Taken {
        let checkpoint = self.next;
        self.next = checkpoint.next();
        let job = states.keyed.snapshot(checkpoint, kind).unwrap();
        let exclusive = path(&format!("job/chk-{checkpoint}"));
        let target = SnapshotTarget {
            checkpoint,
            attempt: AttemptId::new(1),
            storage: &*self.storage,
            exclusive: &exclusive,
            shared: &path("job/shared"),
        };
        let result = job.run(&target, &CancelToken::new()).unwrap();
        states.keyed.notify_complete(checkpoint);
        states.keyed.maintain().unwrap();
        (checkpoint, result)
    }

    pub(crate) fn place(&self, below: &str) -> PathBuf {
        self.directory.path().join("job").join(below)
    }

    pub(crate) fn names(&self, below: &str) -> BTreeSet<String> {
        names(&self.place(below))
    }
}

pub(crate) fn names(directory: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| !name.starts_with('.')).collect()
}

/// The names of files in `shared/` that a snapshot refers to.
pub(crate) fn shared_names(taken: &Taken) -> BTreeSet<String> {
    let shared = taken.1.keyed.iter().flat_map(|keyed| &keyed.shared);
    let references = shared.map(|shared| shared.file.reference.as_str());
    references.filter_map(|name| name.strip_prefix("shared/")).map(str::to_owned).collect()
}

impl States {
    fn select(&self, key: u64) -> bool {
        let is_own = self.range.contains(max_parallelism().key_group_of(key.key_hash()));
        if is_own {
            self.keyed.set_current_key(key, key.key_hash());
        }
        is_own
    }

    /// Writes something of every kind under those of the keys that are this subtask's.
    pub(crate) fn write(&self, keys: std::ops::Range<u64>, round: u32) {
        for key in keys {
            if !self.select(key) {
                continue;
            }
            self.value.put(format!("{key} in round {round}")).unwrap();
            self.list.add(round).unwrap();
            self.map.put(key % 7, format!("{round}")).unwrap();
            self.map.put(u64::from(round), key.to_string()).unwrap();
            if key % 5 == 0 && round > 0 {
                self.map.remove(&0).unwrap();
            }
            if key % 11 == 0 {
                self.value.clear().unwrap();
                self.list.clear().unwrap();
            }
            let time = i64::try_from(key % 50).unwrap() + i64::from(round);
            self.keyed.register_timer(TimeDomain::EventTime, time);
        }
    }

    /// All that is there, as text, of this subtask's keys.
    pub(crate) fn dump(&self, keys: std::ops::Range<u64>) -> BTreeSet<String> {
        let mut lines = BTreeSet::new();
        for key in keys.filter(|key| self.select(*key)) {
            let (value, list) = (self.value.get().unwrap(), self.list.get().unwrap());
            lines.insert(format!("{key}: {value:?} {list:?} {:?}", self.map.entries().unwrap()));
        }
        lines
    }

    /// Takes all timers; each must come in its order.
    pub(crate) fn timers(&self) -> BTreeSet<String> {
        let (mut timers, mut last) = (BTreeSet::new(), i64::MIN);
        while let Some(time) = self.keyed.pop_timer(TimeDomain::EventTime, i64::MAX).unwrap() {
            assert!(time >= last, "timers come in the order of time");
            last = time;
            let key = *self.keyed.current_key().unwrap();
            assert!(timers.insert(format!("{time} of {key}")), "each timer comes once");
        }
        timers
    }
}
