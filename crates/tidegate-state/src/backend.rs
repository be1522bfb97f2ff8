//! The contract between the typed states of an operator and a state backend.
//!
//! ```text
//! ValueState<V> …  ──▶  table (native values, this crate)  ──freeze──▶  FrozenTable
//!                              ▲ load                                        │ entries
//!                        StateBackend (memory, fs, rocksdb)  ◀───────────────┘ snapshot job
//! ```
//!
//! A backend never sees a Rust type: a table gives and takes entries as canonical bytes. What is
//! native and what is bytes therefore meets in one place, the table.

use std::fmt::Debug;
use std::sync::Arc;

use tidegate_store::{CheckpointStorage, StoragePath};
use tidegate_types::{
    AttemptId, BackendKind, CheckpointId, KeyGroup, KeyGroupRange, KeyHash, KeyedStateHandle,
    MaxParallelism, OperatorUid, RegisteredState, SnapshotKind, Subtask,
};

use crate::layer::LayeredBackend;
use crate::{SnapshotJob, StateError, StateSource, StoredBackend};

/// A state backend: how keyed state is kept and how it is written.
pub trait StateBackend: Send + Sync + Debug {
    /// In whose form its checkpoints are.
    fn kind(&self) -> BackendKind;

    /// Its name in configuration and messages, such as `memory`.
    fn name(&self) -> &'static str;

    /// Opens the keyed state of one subtask. Called on the subtask's thread, where it stays.
    ///
    /// `restored` has every handle whose key groups meet those of the subtask: one after a plain
    /// restart, several (or parts) after rescaling, none on a fresh start.
    fn open_keyed(
        &self,
        context: &KeyedContext,
        restored: Vec<RestoredKeyedState>,
    ) -> Result<Box<dyn KeyedStateBackend>, StateError>;
}

/// Whose keyed state it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedContext {
    /// The operator.
    pub operator: OperatorUid,
    /// The subtask.
    pub subtask: Subtask,
    /// How many key groups there are.
    pub max_parallelism: MaxParallelism,
    /// The key groups of this subtask.
    pub key_groups: KeyGroupRange,
    /// The running attempt.
    pub attempt: AttemptId,
}

/// Keyed state of a checkpoint, ready to be read.
#[derive(Clone, Debug)]
pub struct RestoredKeyedState {
    /// What the metadata says of it.
    pub handle: KeyedStateHandle,
    /// The content of `handle.manifest`. In the canonical form that may be all of the state, in a
    /// file, to be read with a [`CanonicalReader`](crate::CanonicalReader).
    pub manifest: StateSource,
    /// The states that the operator had registered.
    pub registered: Vec<RegisteredState>,
    /// Where each of `handle.shared` lies, in the same order.
    pub shared: Vec<RestoredFile>,
    /// Whether new checkpoints may refer to its files. Not to those of a checkpoint that belongs
    /// to somebody else and may be deleted at any time (`NO_CLAIM`).
    pub may_be_shared: bool,
}

/// A file of a checkpoint, found.
#[derive(Clone, Debug)]
pub struct RestoredFile {
    /// The storage.
    pub storage: Arc<dyn CheckpointStorage>,
    /// Its path there.
    pub path: StoragePath,
}

/// The keyed state of one subtask in a backend. Stays on the subtask's thread.
pub trait KeyedStateBackend {
    /// Takes on a state: fills its table with what was restored under the state's name, and asks
    /// it at every snapshot from now on.
    ///
    /// # Errors
    ///
    /// [`StateError::Incompatible`] when another kind or type was restored under the name.
    fn register(
        &mut self,
        state: &RegisteredState,
        table: Box<dyn StateTable>,
    ) -> Result<(), StateError>;

    /// The short part of a snapshot, on the task's thread: freezes every table. A
    /// [`SnapshotKind::Savepoint`] is written in the canonical form, with a
    /// [`CanonicalSnapshot`](crate::CanonicalSnapshot).
    fn snapshot(
        &mut self,
        checkpoint: CheckpointId,
        kind: SnapshotKind,
    ) -> Result<Box<dyn SnapshotJob>, StateError>;

    /// The backend as one that keeps its state in layers. One that does has its tables registered
    /// there and none with [`register`](Self::register).
    fn as_layered(&mut self) -> Option<&mut dyn LayeredBackend> {
        None
    }

    /// The backend as one that is a store of rows itself. One that is has its tables registered
    /// there and none with [`register`](Self::register).
    fn as_stored(&mut self) -> Option<&mut dyn StoredBackend> {
        None
    }

    /// Called between records, often: takes up what has been done in the background, and hands on
    /// what should be. Short, unless the background cannot keep up. `now_ms` is the time by which
    /// values expire.
    fn maintain(&mut self, now_ms: i64) -> Result<(), StateError> {
        let _ = now_ms;
        Ok(())
    }

    /// The checkpoint is complete: what was written for it stays until a newer one is.
    fn notify_complete(&mut self, checkpoint: CheckpointId) {
        let _ = checkpoint;
    }

    /// The checkpoint will never be complete: what was written for it is deleted.
    fn notify_aborted(&mut self, checkpoint: CheckpointId) {
        let _ = checkpoint;
    }
}

/// One state of one subtask as the backend sees it.
pub trait StateTable {
    /// Says how what was restored under the table's name can be taken on; before any of it is.
    ///
    /// # Errors
    ///
    /// [`StateError::Incompatible`] when it is another kind or type, and nothing migrates it.
    fn accept(&mut self, found: &RegisteredState) -> Result<Acceptance, StateError>;

    /// Adds a restored entry of one of the subtask's key groups.
    fn load(&mut self, group: KeyGroup, entry: Entry<'_>) -> Result<(), StateError>;

    /// What the table holds now, unaffected by what happens to it afterwards. Its cost does not
    /// grow with the number of entries.
    fn freeze(&mut self) -> Box<dyn FrozenTable>;
}

/// A table at the instant of a snapshot.
pub trait FrozenTable: Send {
    /// Shows every entry of a key group, ascending by (hash, key bytes), until `visit` fails.
    fn entries(
        &self,
        group: KeyGroup,
        visit: &mut dyn FnMut(Entry<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError>;
}

/// How a table takes on restored state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Acceptance {
    /// The bytes are those that the table itself would write.
    AsIs,
    /// The values have an earlier type. Only [`StateTable::load`] understands them: each entry
    /// goes through it, and what it becomes is a change since the restored checkpoint.
    Migrates,
}

/// All that a state holds under one key, as canonical bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The hash of `key`.
    pub hash: KeyHash,
    /// The canonical bytes of the key.
    pub key: &'a [u8],
    /// How many items `items` has: 1 for a value, one for each element of a list and each timer,
    /// two (key, value) for each entry of a map.
    pub count: u32,
    /// The items, each with its length in front as a little-endian `u32`.
    pub items: &'a [u8],
}
