//! What can go wrong with state.

use std::sync::Arc;

use tidegate_meta::MetadataError;
use tidegate_store::StorageError;
use tidegate_types::{BackendKind, InvalidKey, KeyGroupRange, OperatorUid, StateKind};

/// An error of a state or of a state backend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// A state was used before the operator had a current key.
    #[error("state {state:?} of operator {operator} was used outside the processing of a record")]
    NoCurrentKey {
        /// The operator.
        operator: OperatorUid,
        /// The state.
        state: Arc<str>,
    },
    /// Two states of an operator have the same name.
    #[error("operator {operator} registers state {state:?} twice: give each state its own name")]
    DuplicateName {
        /// The operator.
        operator: OperatorUid,
        /// The name.
        state: Arc<str>,
    },
    /// The restored state is not the one that the operator registers now.
    #[error(
        "state {state:?} of operator {operator} was written as {found_kind} of {found} (schema \
         version {found_version}) and is now registered as {expected_kind} of {expected} (schema \
         version {expected_version}): register it as it was, raise its schema version and migrate \
         the old one (`migrate` of its descriptor), or give it a new name"
    )]
    Incompatible {
        /// The operator.
        operator: OperatorUid,
        /// The state.
        state: Arc<str>,
        /// The kind that was restored.
        found_kind: StateKind,
        /// The types that were restored.
        found: Arc<str>,
        /// The schema version that was restored.
        found_version: u32,
        /// The kind that is registered.
        expected_kind: StateKind,
        /// The types that are registered.
        expected: Arc<str>,
        /// The schema version that is registered.
        expected_version: u32,
    },
    /// More state than the memory backend takes into a checkpoint.
    #[error(
        "state {state:?} of operator {operator} has {size} bytes in this subtask, the memory \
         backend takes {cap}: choose another one with state.backend.type (fs, rocksdb), or raise \
         state.backend.memory.max-state-size"
    )]
    TooLarge {
        /// The operator.
        operator: OperatorUid,
        /// The state.
        state: Arc<str>,
        /// Its size in bytes, as it would be written.
        size: u64,
        /// The cap in bytes.
        cap: u64,
    },
    /// The checkpoint holds keyed state in a form that this backend does not read.
    #[error(
        "keyed state of operator {operator} was written by the {found} backend, which the \
         {backend} backend cannot read: set state.backend.type to {found}"
    )]
    ForeignBackend {
        /// The operator.
        operator: OperatorUid,
        /// Whose form the state has.
        found: BackendKind,
        /// The name of the backend that was to read it.
        backend: &'static str,
    },
    /// A frame of keyed state is damaged or is none.
    #[error("keyed state of operator {operator}, key groups {key_groups}: {source}")]
    Frame {
        /// The operator.
        operator: OperatorUid,
        /// The key groups of the handle.
        key_groups: KeyGroupRange,
        /// What is wrong.
        source: MetadataError,
    },
    /// Keyed state that is whole and yet says something that nothing of ours writes.
    #[error(
        "keyed state of operator {operator}, offset {offset}: found {found} where {expected} is \
         expected"
    )]
    Malformed {
        /// The operator.
        operator: OperatorUid,
        /// Where, in bytes from its beginning.
        offset: u64,
        /// What may stand there.
        expected: &'static str,
        /// What does.
        found: u64,
    },
    /// The bytes of a key are not those of the registered key type.
    #[error("state {state:?} of operator {operator}: {source}")]
    Key {
        /// The operator.
        operator: OperatorUid,
        /// The state.
        state: Arc<str>,
        /// What is wrong.
        source: InvalidKey,
    },
    /// The bytes of a value are not those of the registered type.
    #[error("state {state:?} of operator {operator}: {length} bytes are no {types}")]
    Value {
        /// The operator.
        operator: OperatorUid,
        /// The state.
        state: Arc<str>,
        /// How many bytes.
        length: usize,
        /// The registered type.
        types: Box<str>,
    },
    /// The files of a backend failed; `source` is that backend's own error.
    #[error("keyed state of operator {operator}: {source}")]
    Files {
        /// The operator.
        operator: OperatorUid,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The snapshot was cancelled; nothing of it is left.
    #[error("the snapshot was cancelled")]
    Cancelled,
}
