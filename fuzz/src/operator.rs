//! An operator with a state of each kind, for the targets that restore keyed state.

use tidegate_state::{
    CancelToken, KeyedContext, KeyedState, ListState, ListStateDescriptor, MapState,
    MapStateDescriptor, MemoryStateBackend, ReducingState, ReducingStateDescriptor,
    RestoredKeyedState, SnapshotJob, SnapshotResult, SnapshotTarget, StateBackend, StateError,
    TimeDomain, ValueState, ValueStateDescriptor,
};
use tidegate_store::{CheckpointStorage, MemoryStorage, StoragePath};
use tidegate_types::{
    AttemptId, CheckpointId, KeyGroupRange, MaxParallelism, OperatorUid, Parallelism,
    RegisteredState, SnapshotKind, StateKey, StateKind, Subtask,
};

/// Few key groups, so that short inputs have something in each.
const KEY_GROUPS: u16 = 4;

/// Its only subtask.
///
/// # Panics
///
/// Never.
#[must_use]
pub fn context() -> KeyedContext {
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

/// The states, registered.
pub struct Operator<K: StateKey> {
    /// The keyed state, timers included.
    pub keyed: KeyedState<K>,
    /// "v".
    pub value: ValueState<u16>,
    /// "l".
    pub list: ListState<Option<u8>>,
    /// "m".
    pub map: MapState<u8, String>,
    /// "r".
    pub sum: ReducingState<u16>,
}

impl<K: StateKey + Default> Operator<K> {
    /// Restores and registers.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with what is restored.
    pub fn open(
        backend: &dyn StateBackend,
        restored: Vec<RestoredKeyedState>,
    ) -> Result<Self, StateError> {
        let mut keyed = KeyedState::<K>::open(backend, &context(), restored)?;
        let value = keyed.value(ValueStateDescriptor::new("v"))?;
        let list = keyed.list(ListStateDescriptor::new("l"))?;
        let map = keyed.map(MapStateDescriptor::new("m"))?;
        let sum = keyed.reducing(ReducingStateDescriptor::new("r", |a, b| a ^ b))?;
        Ok(Self { keyed, value, list, map, sum })
    }

    /// What a checkpoint says of its states, and of one, "x", that it does not register.
    ///
    /// # Panics
    ///
    /// Never.
    #[must_use]
    pub fn registered() -> Vec<RegisteredState> {
        let operator = Self::open(&MemoryStateBackend::new(), Vec::new());
        let mut keyed = operator.expect("nothing is restored").keyed;
        let job = keyed.snapshot(CheckpointId::FIRST, SnapshotKind::Checkpoint);
        let storage = MemoryStorage::new();
        let result = job.and_then(|job| run(job, &storage)).expect("memory is enough");
        let left_out = RegisteredState {
            name: "x".into(),
            kind: StateKind::Value,
            fingerprint: 0,
            schema_version: 0,
            types: "".into(),
        };
        result.registered.into_iter().chain([left_out]).collect()
    }

    /// Looks at everything that a key has.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with it.
    ///
    /// # Panics
    ///
    /// When the states contradict themselves.
    pub fn look_at(&self, key: K) -> Result<(), StateError> {
        let hash = key.key_hash();
        self.keyed.set_current_key(key, hash);
        let (value, list, sum) = (self.value.get(), self.list.get(), self.sum.get());
        let (entries, length) = (self.map.entries(), self.map.len());
        if let (Ok(entries), Ok(length)) = (&entries, &length) {
            assert_eq!(entries.len(), *length);
            assert_eq!(self.map.is_empty()?, *length == 0);
        }
        value.and(list.map(drop)).and(sum.map(drop)).and(entries.map(drop)).and(length.map(drop))
    }

    /// Fires all timers.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with them.
    ///
    /// # Panics
    ///
    /// When they do not fire in order, or when one is left.
    pub fn pop_timers(&self) -> Result<(), StateError> {
        let mut last = i64::MIN;
        while let Some(time) = self.keyed.pop_timer(TimeDomain::EventTime, i64::MAX)? {
            assert!(last <= time, "{time} after {last}");
            last = time;
        }
        assert_eq!(self.keyed.next_timer(TimeDomain::EventTime), None);
        Ok(())
    }
}

/// Writes a snapshot.
///
/// # Errors
///
/// Whatever is wrong with the state that was restored.
///
/// # Panics
///
/// Never.
pub fn run(
    job: Box<dyn SnapshotJob>,
    storage: &dyn CheckpointStorage,
) -> Result<SnapshotResult, StateError> {
    let path = StoragePath::new("job").expect("a valid path");
    job.run(&target(storage, &path), &CancelToken::new())
}

/// Where a snapshot goes.
#[must_use]
pub fn target<'a>(storage: &'a dyn CheckpointStorage, path: &'a StoragePath) -> SnapshotTarget<'a> {
    let attempt = AttemptId::new(1);
    let checkpoint = CheckpointId::FIRST;
    SnapshotTarget { checkpoint, attempt, storage, exclusive: path, shared: path }
}
