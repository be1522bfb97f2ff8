//! What the coordinator is told, and what it wants done.

use std::sync::Arc;

use tidegate_meta::CheckpointMetadata;
use tidegate_store::{Determinacy, StorageError};
use tidegate_types::{AttemptId, Barrier, CheckpointId, FileHandle, SnapshotKind, Subtask, TaskId};

use crate::{AbortReason, Acknowledgement, DeclineReason, FailureReason, JobStatus, PublishError};

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// Time has passed: at least as far as [`next_wakeup`](crate::Coordinator::next_wakeup) said.
    Tick,
    /// Somebody wants a snapshot now. It waits for a free place, not for the minimal pause.
    TriggerRequested(SnapshotKind),
    /// A subtask's part of a checkpoint is durable.
    Acknowledged(Acknowledgement),
    /// A subtask takes no part in a checkpoint.
    Declined {
        /// In which.
        checkpoint: CheckpointId,
        /// Of which task.
        task: TaskId,
        /// Which subtask.
        subtask: Subtask,
        /// Why.
        reason: DeclineReason,
    },
    /// Every source subtask has read all of its input: one final checkpoint is to be taken.
    SourcesExhausted,
    /// The metadata is durable under its name.
    Published(CheckpointId),
    /// The metadata could not be published.
    PublishFailed {
        /// Of which checkpoint.
        checkpoint: CheckpointId,
        /// Whether it may have been published all the same.
        determinacy: Determinacy,
    },
    /// Another process has taken over the job's directory, or published a checkpoint with this
    /// number.
    PublishSuperseded(CheckpointId),
    /// All tasks were stopped and start anew from
    /// [`latest_completed`](crate::Coordinator::latest_completed), or from what the job began with.
    /// A publication under way is to be awaited first, so that it is certain which one that is. No
    /// barrier is asked for in answer to this event; they come with the next one.
    TasksRestarted {
        /// The new incarnation.
        attempt: AttemptId,
    },
    /// The job has ended and all tasks are gone.
    JobEnded(JobStatus),
}

impl Event {
    /// What to tell the coordinator of the outcome of an [`Action::Publish`].
    #[must_use]
    pub fn of_publication(checkpoint: CheckpointId, outcome: &Result<(), PublishError>) -> Self {
        match outcome {
            Ok(()) => Self::Published(checkpoint),
            Err(
                PublishError::Superseded { .. }
                | PublishError::Storage { source: StorageError::OwnershipLost { .. }, .. },
            ) => Self::PublishSuperseded(checkpoint),
            Err(error) => Self::PublishFailed { checkpoint, determinacy: error.determinacy() },
        }
    }
}

/// Something to be done. Actions are to be carried out in their order.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an action that is not carried out leaves checkpoints waiting, or files behind"]
pub enum Action {
    /// Put the barrier into every source subtask.
    InjectBarrier(Barrier),
    /// Write the metadata, and tell the outcome: [`Event::of_publication`].
    Publish(PendingPublication),
    /// Tell every task that the checkpoint is complete: sinks commit.
    NotifyComplete(CheckpointId),
    /// Tell every task that nobody waits for the checkpoint any more.
    NotifyAborted(CheckpointId, AbortReason),
    /// Delete what is no longer needed.
    Discard(Discarded),
    /// The final checkpoint is complete: let every task end.
    FinishJob,
    /// End or restart the job; no checkpoint is taken until its tasks are restarted.
    FailJob(FailureReason),
}

/// The metadata of a checkpoint that every subtask has acknowledged.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingPublication {
    pub(crate) metadata: Arc<CheckpointMetadata>,
}

impl PendingPublication {
    /// Which checkpoint.
    pub fn checkpoint(&self) -> CheckpointId {
        self.metadata.checkpoint
    }

    /// What to write.
    pub fn metadata(&self) -> &Arc<CheckpointMetadata> {
        &self.metadata
    }
}

/// What is no longer needed, to be deleted by [`discard`](crate::discard): first the checkpoint's
/// `_metadata`, then the files, then the checkpoint's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discarded {
    /// The checkpoint whose directory goes, if one does.
    pub checkpoint: Option<CheckpointId>,
    /// Files that lie elsewhere: exclusive ones, and shared ones whose last user is gone.
    pub files: Vec<FileHandle>,
}
