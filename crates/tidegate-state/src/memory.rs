//! The memory backend: native values in hash maps, snapshots inside the metadata.
//!
//! Simple, and the judge of the other backends.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_types::{
    BackendKind, CheckpointId, KeyGroup, KeyGroupRange, KeyedStateHandle, OperatorUid,
    RegisteredState, SnapshotKind, StateHandle,
};

use crate::backend::{
    Entry, FrozenTable, KeyedContext, KeyedStateBackend, RestoredKeyedState, StateBackend,
    StateTable,
};
use crate::canonical::{self, CanonicalReader, NamedTable};
use crate::{CancelToken, SnapshotJob, SnapshotResult, SnapshotTarget, StateError};

/// Keeps state in memory and puts it into the metadata of checkpoints.
#[derive(Clone, Debug)]
pub struct MemoryStateBackend {
    max_state_size: u64,
}

impl MemoryStateBackend {
    /// The default cap: 5 MiB for each state of each subtask, as Flink's.
    pub const DEFAULT_MAX_STATE_SIZE: u64 = 5 << 20;

    /// With the default cap.
    #[must_use]
    pub fn new() -> Self {
        Self { max_state_size: Self::DEFAULT_MAX_STATE_SIZE }
    }

    /// With another cap, in bytes of each state of each subtask as it is written.
    #[must_use]
    pub fn with_max_state_size(max_state_size: u64) -> Self {
        Self { max_state_size }
    }
}

impl Default for MemoryStateBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl StateBackend for MemoryStateBackend {
    fn kind(&self) -> BackendKind {
        BackendKind::Canonical
    }

    fn name(&self) -> &'static str {
        "memory"
    }

    fn open_keyed(
        &self,
        context: &KeyedContext,
        restored: Vec<RestoredKeyedState>,
    ) -> Result<Box<dyn KeyedStateBackend>, StateError> {
        let operator = &context.operator;
        let mut waiting = BTreeMap::new();
        let mut readers = Vec::with_capacity(restored.len());
        for state in restored {
            let RestoredKeyedState { handle, manifest, registered } = state;
            if handle.backend != BackendKind::Canonical {
                return Err(StateError::ForeignBackend {
                    operator: operator.clone(),
                    found: handle.backend,
                    backend: self.name(),
                });
            }
            let reader = CanonicalReader::open(operator, handle.key_groups, manifest)?;
            reader.verify(context.max_parallelism)?;
            readers.push(reader);
            waiting.extend(registered.into_iter().map(|state| (Arc::clone(&state.name), state)));
        }
        Ok(Box::new(MemoryKeyedState {
            context: context.clone(),
            max_state_size: self.max_state_size,
            readers: readers.into(),
            waiting,
            tables: Vec::new(),
        }))
    }
}

struct MemoryKeyedState {
    context: KeyedContext,
    max_state_size: u64,
    readers: Arc<[CanonicalReader]>,
    /// Restored states that nobody has registered so far. They go into every snapshot as they
    /// are, so that an operator that leaves a state out for one run does not lose it.
    waiting: BTreeMap<Arc<str>, RegisteredState>,
    tables: Vec<(RegisteredState, Box<dyn StateTable>)>,
}

impl KeyedStateBackend for MemoryKeyedState {
    fn register(
        &mut self,
        state: &RegisteredState,
        mut table: Box<dyn StateTable>,
    ) -> Result<(), StateError> {
        if let Some(found) = self.waiting.remove(&state.name) {
            check_compatible(&self.context.operator, &found, state)?;
        }
        let key_groups = self.context.key_groups;
        for reader in &*self.readers {
            let number = reader.states().iter().position(|(name, _)| *name == state.name);
            let groups = reader.range().intersection(key_groups);
            let groups = groups.into_iter().flat_map(KeyGroupRange::iter);
            for (group, number) in groups.filter_map(|group| Some((group, number?))) {
                reader.entries(group, number, &mut |entry| table.load(group, entry))?;
            }
        }
        self.tables.push((state.clone(), table));
        Ok(())
    }

    fn snapshot(
        &mut self,
        _: CheckpointId,
        _: SnapshotKind,
    ) -> Result<Box<dyn SnapshotJob>, StateError> {
        let tables = self.tables.iter_mut();
        let mut states: Vec<(RegisteredState, Box<dyn FrozenTable>)> =
            tables.map(|(state, table)| (state.clone(), table.freeze())).collect();
        for state in self.waiting.values() {
            let (name, readers) = (Arc::clone(&state.name), Arc::clone(&self.readers));
            states.push((state.clone(), Box::new(CarriedOver { name, readers })));
        }
        Ok(Box::new(MemorySnapshot {
            operator: self.context.operator.clone(),
            key_groups: self.context.key_groups,
            max_state_size: self.max_state_size,
            states,
        }))
    }
}

/// Whether a restored state is the one that is registered now.
fn check_compatible(
    operator: &OperatorUid,
    found: &RegisteredState,
    expected: &RegisteredState,
) -> Result<(), StateError> {
    let same = found.kind == expected.kind
        && found.fingerprint == expected.fingerprint
        && found.schema_version == expected.schema_version;
    if same {
        return Ok(());
    }
    Err(StateError::Incompatible {
        operator: operator.clone(),
        state: Arc::clone(&expected.name),
        found_kind: found.kind,
        found: Arc::clone(&found.types),
        found_version: found.schema_version,
        expected_kind: expected.kind,
        expected: Arc::clone(&expected.types),
        expected_version: expected.schema_version,
    })
}

/// A restored state that nobody registered, as it was.
struct CarriedOver {
    name: Arc<str>,
    readers: Arc<[CanonicalReader]>,
}

impl FrozenTable for CarriedOver {
    fn entries(&self, group: KeyGroup, visit: &mut dyn FnMut(Entry<'_>)) {
        for reader in self.readers.iter().filter(|reader| reader.range().contains(group)) {
            let number = reader.states().iter().position(|(name, _)| *name == self.name);
            let Some(number) = number else { continue };
            let shown = reader.entries(group, number, &mut |entry| {
                visit(entry);
                Ok(())
            });
            shown.expect("every section was verified when the state was opened");
        }
    }
}

struct MemorySnapshot {
    operator: OperatorUid,
    key_groups: KeyGroupRange,
    max_state_size: u64,
    states: Vec<(RegisteredState, Box<dyn FrozenTable>)>,
}

impl SnapshotJob for MemorySnapshot {
    fn run(
        self: Box<Self>,
        _: &SnapshotTarget<'_>,
        cancel: &CancelToken,
    ) -> Result<SnapshotResult, StateError> {
        let tables = self.states.iter().map(|(state, table)| NamedTable {
            name: &state.name,
            kind: state.kind,
            table: &**table,
        });
        let tables: Vec<_> = tables.collect();
        let (bytes, sizes) =
            canonical::encode(self.key_groups, &tables, self.max_state_size, cancel)?;
        if let Some(index) = sizes.iter().position(|size| *size > self.max_state_size) {
            return Err(StateError::TooLarge {
                operator: self.operator.clone(),
                state: Arc::clone(&self.states[index].0.name),
                size: sizes[index],
                cap: self.max_state_size,
            });
        }
        Ok(SnapshotResult {
            keyed: vec![KeyedStateHandle {
                backend: BackendKind::Canonical,
                key_groups: self.key_groups,
                manifest: StateHandle::Inline(bytes.into()),
                shared: Vec::new(),
            }],
            registered: self.states.into_iter().map(|(state, _)| state).collect(),
        })
    }
}
