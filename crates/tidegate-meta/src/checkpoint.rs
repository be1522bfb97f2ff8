//! The metadata of a checkpoint as an owned value.

use tidegate_types::{AttemptId, CheckpointId, FileHandle, JobId, OperatorState, SnapshotKind};

/// Everything that a checkpoint says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointMetadata {
    /// The job.
    pub job_id: JobId,
    /// The job's name, for people.
    pub job_name: String,
    /// The number of the checkpoint within the job.
    pub checkpoint: CheckpointId,
    /// The attempt that took it.
    pub attempt: AttemptId,
    /// Checkpoint, savepoint, or the last checkpoint of a finished job.
    pub kind: SnapshotKind,
    /// When it was triggered: milliseconds since the Unix epoch.
    pub created_at_ms: u64,
    /// The operators with state, each uid once.
    pub operators: Vec<OperatorState>,
}

impl CheckpointMetadata {
    /// Every file that the checkpoint refers to, in the order of operators and subtasks. A file
    /// that several of them share comes several times.
    pub fn files(&self) -> impl Iterator<Item = &FileHandle> {
        self.operators
            .iter()
            .flat_map(|operator| operator.subtasks.iter().flat_map(|(_, state)| state.files()))
    }

    /// The bytes of all state in it, inline and in files; at most 2^64 - 1.
    #[must_use]
    pub fn state_length(&self) -> u64 {
        let subtasks = self.operators.iter().flat_map(|operator| &operator.subtasks);
        subtasks.map(|(_, state)| state.length()).fold(0, u64::saturating_add)
    }
}
