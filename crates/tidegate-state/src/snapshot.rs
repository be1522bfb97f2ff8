//! Snapshots: the long part, which runs on another thread and can be cancelled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidegate_store::{CheckpointStorage, StoragePath};
use tidegate_types::{AttemptId, CheckpointId, KeyedStateHandle, RegisteredState};

use crate::StateError;

/// The long part of a snapshot. It owns all that it reads, so the task goes on meanwhile.
pub trait SnapshotJob: Send {
    /// Writes the snapshot. When it fails or is cancelled it leaves nothing behind.
    fn run(
        self: Box<Self>,
        target: &SnapshotTarget<'_>,
        cancel: &CancelToken,
    ) -> Result<SnapshotResult, StateError>;
}

/// Where a snapshot's files go.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotTarget<'a> {
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// The attempt: part of every file's name, so that a superseded process cannot overwrite.
    pub attempt: AttemptId,
    /// The store.
    pub storage: &'a dyn CheckpointStorage,
    /// The directory for files of this checkpoint alone.
    pub exclusive: &'a StoragePath,
    /// The directory for files that several checkpoints may use.
    pub shared: &'a StoragePath,
}

/// What a snapshot has written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotResult {
    /// Where the keyed state lies.
    pub keyed: Vec<KeyedStateHandle>,
    /// The states in it.
    pub registered: Vec<RegisteredState>,
}

/// Tells a snapshot that nobody waits for it any more.
#[derive(Clone, Debug, Default)]
pub struct CancelToken {
    cancelled: Arc<AtomicBool>,
}

impl CancelToken {
    /// Not cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels, for every clone of this token.
    pub fn cancel(&self) {
        // A flag alone: nothing else is published by it.
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether it was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// [`StateError::Cancelled`] when it was.
    pub fn check(&self) -> Result<(), StateError> {
        if self.is_cancelled() { Err(StateError::Cancelled) } else { Ok(()) }
    }
}
