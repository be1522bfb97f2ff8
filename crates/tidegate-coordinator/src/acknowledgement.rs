//! What a subtask says when its part of a checkpoint is durable, and what the coordinator makes of it.

use std::time::Duration;

use tidegate_types::{CheckpointId, OperatorUid, RegisteredState, Subtask, SubtaskState, TaskId};

/// A subtask's part of a checkpoint, durable in the storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Of which checkpoint.
    pub checkpoint: CheckpointId,
    /// Of which task.
    pub task: TaskId,
    /// Of which subtask.
    pub subtask: Subtask,
    /// The state of each operator of the task that has some.
    pub operators: Vec<(OperatorUid, Vec<RegisteredState>, SubtaskState)>,
    /// What it took.
    pub stats: SubtaskStats,
}

/// What one subtask's part of a checkpoint took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubtaskStats {
    /// From the trigger to the first barrier, or its announcement, at this subtask.
    pub start_delay: Duration,
    /// From the first barrier, or its announcement, to the last.
    pub alignment: Duration,
    /// Bytes of the records that were processed during the alignment, as they lie in memory; what
    /// they point to is not counted.
    pub processed_in_alignment: u64,
    /// Bytes of the records in flight that were written with the checkpoint.
    pub persisted_in_alignment: u64,
    /// The part on the task's own thread: how long no record was processed.
    pub synchronous: Duration,
    /// The part on another thread.
    pub asynchronous: Duration,
    /// Bytes written for this checkpoint, files of earlier ones not counted.
    pub written: u64,
}

/// What the coordinator made of an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AcknowledgeOutcome {
    /// It is taken; others are still awaited.
    Accepted,
    /// It was the last one; the checkpoint can be published.
    Completed,
    /// The subtask had acknowledged this checkpoint before; nothing changes.
    Duplicate,
    /// The job has no such subtask, or the task no such operator; nothing changes.
    UnknownSubtask,
    /// The checkpoint is given up or was never triggered; what was written for it is deleted.
    Discarded,
}
