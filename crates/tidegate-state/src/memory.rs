//! The memory backend: native values in hash maps, snapshots inside the metadata.
//!
//! Simple, and the judge of the other backends.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use tidegate_types::{
    BackendKind, CheckpointId, KeyGroup, KeyGroupRange, KeyedStateHandle, OperatorUid,
    RegisteredState, SnapshotKind, StateHandle,
};

use crate::backend::{
    Entry, FrozenTable, KeyedContext, KeyedStateBackend, RestoredKeyedState, StateBackend,
    StateTable,
};
use crate::{
    CancelToken, CanonicalReader, CanonicalSnapshot, CanonicalWriter, SnapshotJob, SnapshotResult,
    SnapshotTarget, StateError,
};

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
            let RestoredKeyedState { handle, manifest, registered, .. } = state;
            if handle.backend != BackendKind::Canonical {
                return Err(StateError::ForeignBackend {
                    operator: operator.clone(),
                    found: handle.backend,
                    backend: self.name(),
                });
            }
            readers.push(CanonicalReader::open(context, handle.key_groups, manifest)?);
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
        if let Some(found) = self.waiting.get(&state.name) {
            table.accept(found)?;
            for reader in &*self.readers {
                reader.load(&state.name, self.context.key_groups, &mut *table)?;
            }
            self.waiting.remove(&state.name);
            if self.waiting.is_empty() {
                // Nothing is read any more: frees what came with the metadata, closes files.
                self.readers = Arc::new([]);
            }
        }
        self.tables.push((state.clone(), table));
        Ok(())
    }

    fn snapshot(
        &mut self,
        _: CheckpointId,
        kind: SnapshotKind,
    ) -> Result<Box<dyn SnapshotJob>, StateError> {
        let tables = self.tables.iter_mut();
        let mut states: Vec<(RegisteredState, Box<dyn FrozenTable>)> =
            tables.map(|(state, table)| (state.clone(), table.freeze())).collect();
        for state in self.waiting.values() {
            let (name, readers) = (Arc::clone(&state.name), Arc::clone(&self.readers));
            states.push((state.clone(), Box::new(CarriedOver { name, readers })));
        }
        if kind == SnapshotKind::Savepoint {
            return Ok(Box::new(CanonicalSnapshot::new(&self.context, states)));
        }
        Ok(Box::new(MemorySnapshot {
            operator: self.context.operator.clone(),
            key_groups: self.context.key_groups,
            max_state_size: self.max_state_size,
            states,
        }))
    }
}

/// A restored state that nobody registered, as it was.
struct CarriedOver {
    name: Arc<str>,
    readers: Arc<[CanonicalReader]>,
}

impl FrozenTable for CarriedOver {
    fn entries(
        &self,
        group: KeyGroup,
        visit: &mut dyn FnMut(Entry<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        for reader in self.readers.iter().filter(|reader| reader.key_groups().contains(group)) {
            if let Some(state) = reader.state(&self.name) {
                reader.read(group, state, visit)?;
            }
        }
        Ok(())
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
        let registered: Vec<_> = self.states.iter().map(|(state, _)| state.clone()).collect();
        let inline = Inline { bytes: Vec::new(), is_kept: true };
        let mut writer = CanonicalWriter::new(inline, self.key_groups, &registered)?;
        let mut sizes = vec![0; registered.len()];
        for group in self.key_groups.iter() {
            for (number, (_, table)) in self.states.iter().enumerate() {
                sizes[number] += writer.write(group, number, &**table, cancel)?;
                if sizes[number] > self.max_state_size {
                    writer.out_mut().give_up();
                }
            }
        }
        if let Some(index) = sizes.iter().position(|size| *size > self.max_state_size) {
            return Err(StateError::TooLarge {
                operator: self.operator.clone(),
                state: Arc::clone(&registered[index].name),
                size: sizes[index],
                cap: self.max_state_size,
            });
        }
        let bytes = writer.finish()?.bytes;
        Ok(SnapshotResult {
            keyed: vec![KeyedStateHandle {
                backend: BackendKind::Canonical,
                key_groups: self.key_groups,
                manifest: StateHandle::Inline(bytes.into()),
                shared: Vec::new(),
            }],
            registered,
        })
    }
}

/// Takes what goes into the metadata. State above the cap is measured to its end but not kept, so
/// that refusing it does not take the memory that accepting it would.
struct Inline {
    bytes: Vec<u8>,
    is_kept: bool,
}

impl Inline {
    fn give_up(&mut self) {
        self.is_kept = false;
        self.bytes = Vec::new();
    }
}

impl io::Write for Inline {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_kept {
            self.bytes.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
