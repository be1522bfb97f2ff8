//! Why a subtask declined, a checkpoint was given up, a job must fail.

use std::fmt;
use std::time::Duration;

use tidegate_store::Determinacy;
use tidegate_types::{CheckpointId, Subtask, TaskId};

/// Why a subtask takes no part in a checkpoint. It comes from another thread or process, hence text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeclineReason {
    /// Its state could not be written.
    SnapshotFailed {
        /// What it said, with all causes.
        message: Box<str>,
    },
    /// It is not running yet, or no longer. No failure of the job.
    NotRunning,
}

impl From<String> for DeclineReason {
    fn from(message: String) -> Self {
        Self::SnapshotFailed { message: message.into() }
    }
}

impl fmt::Display for DeclineReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SnapshotFailed { message } => f.write_str(message),
            Self::NotRunning => f.write_str("the subtask is not running"),
        }
    }
}

/// Why a checkpoint was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AbortReason {
    /// A subtask could not do its part.
    Declined {
        /// Of which task.
        task: TaskId,
        /// Which subtask.
        subtask: Subtask,
        /// Why.
        reason: DeclineReason,
    },
    /// Acknowledgements were missing for too long.
    TimedOut {
        /// How long was waited.
        timeout: Duration,
        /// How many subtasks had not acknowledged.
        missing: usize,
    },
    /// The metadata could not be published.
    PublicationFailed {
        /// Whether it may have been published all the same.
        determinacy: Determinacy,
    },
    /// Somebody else has taken over the directory, or published a checkpoint with this number.
    Superseded,
    /// A newer checkpoint completed first.
    Subsumed {
        /// The newer one.
        by: CheckpointId,
    },
    /// The tasks were started anew.
    TasksRestarted,
    /// The job has ended, or is about to.
    JobEnded,
}

impl AbortReason {
    /// Whether it counts towards the failures that the job tolerates.
    #[must_use]
    pub const fn is_failure(&self) -> bool {
        match self {
            Self::Declined { reason: DeclineReason::NotRunning, .. }
            | Self::Subsumed { .. }
            | Self::TasksRestarted
            | Self::JobEnded => false,
            Self::Declined { reason: DeclineReason::SnapshotFailed { .. }, .. }
            | Self::TimedOut { .. }
            | Self::PublicationFailed { .. }
            | Self::Superseded => true,
        }
    }
}

impl fmt::Display for AbortReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Declined { task, subtask, reason } => {
                write!(f, "subtask {subtask} of {task} declined: {reason}")
            }
            Self::TimedOut { timeout, missing } => {
                write!(f, "{missing} subtasks did not acknowledge within {timeout:?}")
            }
            Self::PublicationFailed { determinacy: Determinacy::Determinate } => {
                f.write_str("its metadata could not be published")
            }
            Self::PublicationFailed { determinacy: Determinacy::Indeterminate } => {
                f.write_str("its metadata could not be published for certain")
            }
            Self::Superseded => {
                f.write_str("another process has taken over the job's checkpoint directory")
            }
            Self::Subsumed { by } => write!(f, "checkpoint {by} completed first"),
            Self::TasksRestarted => f.write_str("the tasks were restarted"),
            Self::JobEnded => f.write_str("the job has ended"),
        }
    }
}

/// Why the job must fail.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureReason {
    /// More checkpoints in a row failed than are tolerated.
    TooManyFailures {
        /// How many.
        failures: u32,
        /// Why the last one did.
        last: AbortReason,
    },
    /// Another process writes this job's checkpoints; this one must write nothing more.
    Superseded {
        /// The checkpoint that could not be published any more.
        checkpoint: CheckpointId,
    },
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyFailures { failures, last } => {
                write!(f, "{failures} checkpoints in a row failed, the last one because {last}")
            }
            Self::Superseded { checkpoint } => write!(
                f,
                "another process has taken over this job's checkpoint directory: checkpoint \
                 {checkpoint} is not published, and nothing more is written or deleted there"
            ),
        }
    }
}
