//! State of stream operators, and the contract with the backends that keep it.
//!
//! Keyed state comes as [`ValueState`], [`ListState`], [`MapState`], [`ReducingState`],
//! [`AggregatingState`] and timers, all over one [`KeyedState`] that knows the current key;
//! state that belongs to a subtask is an [`OperatorStateStore`]. A [`StateBackend`] decides where
//! it lies and how a snapshot of it is written.
//!
//! **It is not** a runtime: it starts no thread, and whoever owns the operator sets the current
//! key and runs the snapshot job where it likes. It **does not** order checkpoints or publish
//! metadata; that is the coordinator's.
//!
//! ```
//! use tidegate_state::{KeyedContext, KeyedState, MemoryStateBackend, ValueStateDescriptor};
//! use tidegate_types::*;
//!
//! let max_parallelism = MaxParallelism::DEFAULT;
//! let subtask = Subtask::all(Parallelism::ONE).next().unwrap();
//! let context = KeyedContext {
//!     operator: OperatorUid::new("count")?,
//!     subtask,
//!     max_parallelism,
//!     key_groups: KeyGroupRange::of_subtask(max_parallelism, subtask),
//!     attempt: AttemptId::new(1),
//! };
//! let mut state = KeyedState::<String>::open(&MemoryStateBackend::new(), &context, Vec::new())?;
//! let count = state.value(ValueStateDescriptor::<u64>::new("count"))?;
//!
//! for word in ["ebb", "flood", "ebb"] {
//!     let word = word.to_owned();
//!     let hash = word.key_hash();
//!     state.set_current_key(word, hash);
//!     count.update(|count| *count = Some(count.unwrap_or(0) + 1))?;
//! }
//! assert_eq!(count.get()?, Some(2)); // of "ebb", the current key
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod backend;
mod canonical;
#[cfg(feature = "conformance")]
pub mod conformance;
mod descriptor;
mod error;
mod handles;
mod keyed;
mod layer;
mod layered;
mod memory;
mod names;
mod operator_state;
mod schema;
mod slot;
mod snapshot;
mod stored;
mod table;
mod timers;
mod ttl;
mod value;

pub use backend::{
    Acceptance, Entry, FrozenTable, KeyedContext, KeyedStateBackend, RestoredFile,
    RestoredKeyedState, StateBackend, StateTable,
};
pub use canonical::{CanonicalReader, CanonicalSnapshot, CanonicalWriter, StateSource};
pub use descriptor::{
    AggregateFunction, AggregatingStateDescriptor, ListStateDescriptor, MapStateDescriptor,
    ReducingStateDescriptor, ValueStateDescriptor,
};
pub use error::StateError;
pub use handles::{AggregatingState, ListState, MapState, ReducingState, ValueState};
pub use keyed::KeyedState;
pub use layer::{
    BaseVisitor, Expiry, FrozenOverlay, KeyAt, LayerChange, LayerEntry, LayeredBackend,
    LayeredTable, StateBase,
};
pub use memory::MemoryStateBackend;
pub use names::FileNames;
pub use operator_state::{OperatorListState, OperatorStateStore, list_handle};
pub use snapshot::{CancelToken, SnapshotJob, SnapshotResult, SnapshotTarget};
pub use stored::{
    RowSource, RowStore, RowVisitor, RowWriter, StoredBackend, StoredEntries, StoredSchema,
    ValueVisitor, group_prefix, import_rows,
};
pub use timers::TimeDomain;
pub use ttl::{StateTtlConfig, StateVisibility, UpdateType};
pub use value::{StateValue, ValueRef};
