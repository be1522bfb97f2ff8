//! Why a task or a job ended other than it should.

use std::any::Any;

use tidegate_connect::ConnectError;
use tidegate_coordinator::{FailureReason, FileFault, RestoreError};
use tidegate_state::StateError;
use tidegate_store::StorageError;
use tidegate_types::{InvalidId, OperatorUid, Subtask};

use crate::config::ConfigError;
use crate::control::ControlError;

/// An error of a job's own functions.
pub type UserError = Box<dyn std::error::Error + Send + Sync>;

/// Why a task ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The job was cancelled, or another task failed first.
    #[error("cancelled")]
    Cancelled,
    /// State could not be read, written or restored.
    #[error("state of the task")]
    State(#[from] StateError),
    /// A source or a sink failed.
    #[error("source or sink")]
    Connect(#[from] ConnectError),
    /// A sink could not make output durable; what was written since the last checkpoint has to be
    /// written again.
    #[error("output of a sink is lost")]
    OutputLost(#[source] ConnectError),
    /// A state file of the restored checkpoint could not be read.
    #[error("checkpoint storage")]
    Storage(#[from] StorageError),
    /// A function of the job returned an error.
    #[error("operator {operator:?} failed")]
    User {
        /// The operator whose function it was.
        operator: OperatorUid,
        /// What it returned.
        #[source]
        source: UserError,
    },
    /// Code of the task panicked.
    #[error("panicked: {message}")]
    Panicked {
        /// What the panic said.
        message: Box<str>,
    },
    /// Standard output could not be written.
    #[error("standard output cannot be written")]
    StandardOutput {
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A file of the restored checkpoint is not as it was when the checkpoint was verified.
    #[error("the restored file of {state} {fault}; resume from another checkpoint")]
    RestoredFile {
        /// Whose state it holds.
        state: Box<str>,
        /// What is wrong.
        fault: FileFault,
    },
    /// A record in flight of the restored checkpoint cannot be read.
    #[error(
        "a record in flight to operator {operator} cannot be read; resume from another checkpoint"
    )]
    InFlightRecord {
        /// The operator.
        operator: OperatorUid,
    },
    /// The type of the records on an edge has changed since the checkpoint.
    #[error(
        "records in flight to operator {operator} are of type {checkpoint} in the checkpoint and \
         {job} in the job; resume with the old type, or from an aligned checkpoint or a savepoint"
    )]
    InFlightType {
        /// The operator.
        operator: OperatorUid,
        /// The type in the checkpoint.
        checkpoint: Box<str>,
        /// The type in the job.
        job: Box<str>,
    },
    /// The barriers of a checkpoint did not all come.
    #[error("the barriers did not all come: {cause}")]
    Alignment {
        /// What came instead.
        cause: tidegate_align::AbortCause,
    },
}

impl TaskError {
    /// Whether restored state does not fit the job: trying again would change nothing.
    pub(crate) fn refuses_restore(&self) -> bool {
        matches!(
            self,
            Self::State(
                StateError::Incompatible { .. }
                    | StateError::ForeignBackend { .. }
                    | StateError::Key { .. }
                    | StateError::Value { .. }
            )
        )
    }

    pub(crate) fn from_panic(panic: &(dyn Any + Send)) -> Self {
        let text = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Self::Panicked { message: text.unwrap_or("without a message").into() }
    }
}

/// Why a job could not be started, or failed for good.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// The configuration is not usable.
    #[error("configuration")]
    Config(#[from] ConfigError),
    /// The checkpoint to start from cannot be used.
    #[error("cannot resume")]
    Restore(#[from] RestoreError),
    /// The checkpoint directory cannot be used.
    #[error("checkpoint storage")]
    Storage(#[from] StorageError),
    /// A source or a sink cannot be used.
    #[error("source or sink")]
    Connect(#[from] ConnectError),
    /// The directory of running jobs cannot be used.
    #[error("control endpoint")]
    Control(#[from] ControlError),
    /// A name in the job is not valid.
    #[error("the job's graph")]
    Name(#[from] InvalidId),
    /// Two operators of the job have the same uid.
    #[error("operator uid {uid:?} is used twice; each operator needs one of its own")]
    DuplicateUid {
        /// The uid.
        uid: OperatorUid,
    },
    /// The job has no source.
    #[error("the job has no source")]
    Empty,
    /// An operator is wider than the job can ever be.
    #[error(
        "parallelism {parallelism} is above the job's maximum of {max}; lower it or raise \
         pipeline.max-parallelism (only before the job's first checkpoint)"
    )]
    Parallelism {
        /// The parallelism asked for.
        parallelism: u16,
        /// The job's number of key groups.
        max: u16,
    },
    /// Checkpoints are to be externalized but there is no place for them.
    #[error(
        "execution.checkpointing.externalized-checkpoint-retention is set but \
         state.checkpoints.dir is not; name a directory for the checkpoints"
    )]
    NoCheckpointDirectory,
    /// The configured state backend is not part of this build.
    #[error(
        "state.backend.type: the {name} backend is not part of this program: build it with the \
         feature `{name}` of the crate tidegate, or set it to fs"
    )]
    Backend {
        /// Its name in the configuration.
        name: &'static str,
    },
    /// The job program's own set-up failed.
    #[error("{source}")]
    Setup {
        /// What it returned.
        source: UserError,
    },
    /// State of the checkpoint does not fit the operator that is to go on with it.
    #[error("cannot resume {operators}")]
    RestoredState {
        /// The operators of the task.
        operators: Box<str>,
        /// Which state, and why not.
        #[source]
        source: Box<TaskError>,
    },
    /// Output that the checkpoint has prepared cannot be found in it.
    #[error("output of sink {operator} that the checkpoint has prepared")]
    Committables {
        /// The sink.
        operator: OperatorUid,
        /// What is wrong with the checkpoint.
        #[source]
        source: Box<TaskError>,
    },
    /// A task failed and the restart strategy allows no more restarts.
    #[error("failed after {restarts} restarts; last: subtask {subtask} of {operators}")]
    Failed {
        /// How often the job was restarted.
        restarts: u32,
        /// The operators of the task that failed last.
        operators: Box<str>,
        /// The subtask that failed last.
        subtask: Subtask,
        /// Why.
        #[source]
        source: Box<TaskError>,
    },
    /// Another process writes the job's checkpoints now; this one must write nothing more.
    #[error("{reason}")]
    Superseded {
        /// What showed it.
        reason: FailureReason,
    },
    /// Checkpoints failed in a way that the configuration does not tolerate.
    #[error("{reason} (execution.checkpointing.tolerable-failed-checkpoints)")]
    Checkpoints {
        /// What happened.
        reason: FailureReason,
    },
}
