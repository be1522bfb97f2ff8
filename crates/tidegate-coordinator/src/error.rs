//! What goes wrong when a checkpoint is published, found or restored.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use tidegate_meta::MetadataError;
use tidegate_store::{Determinacy, StorageError};
use tidegate_types::{
    CheckpointId, Digest, Distribution, FileReference, MaxParallelism, OperatorUid, Parallelism,
    TaskId,
};

/// Why the metadata of a checkpoint was not published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The metadata cannot be written down.
    #[error("metadata of checkpoint {checkpoint}")]
    Encode {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Why.
        source: MetadataError,
    },
    /// The storage failed.
    #[error("cannot publish checkpoint {checkpoint}")]
    Storage {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Why.
        source: StorageError,
    },
    /// There is another checkpoint under this number.
    #[error(
        "{path} exists already with other content: another process writes the checkpoints of this \
         job; stop one of them"
    )]
    Superseded {
        /// The metadata of the other one.
        path: Box<str>,
    },
}

impl PublishError {
    /// Whether the metadata may have been published all the same.
    #[must_use]
    pub fn determinacy(&self) -> Determinacy {
        match self {
            Self::Encode { .. } | Self::Superseded { .. } => Determinacy::Determinate,
            Self::Storage { source, .. } => source.determinacy(),
        }
    }
}

/// Why a checkpoint cannot be restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// There is nothing at the path.
    #[error("{path} does not exist")]
    NotFound {
        /// The path.
        path: Box<str>,
    },
    /// What is at the path is no checkpoint.
    #[error(
        "{path} is no checkpoint: name a `_metadata` file, the directory that holds it, or a job's \
         directory of checkpoints (chk-1, chk-2, …)"
    )]
    NoCheckpoint {
        /// The path.
        path: Box<str>,
    },
    /// The directory holds the checkpoints of several jobs.
    #[error("{path} holds the checkpoints of {} jobs; name one of them: {}", jobs.len(), Listed(jobs))]
    SeveralJobs {
        /// The directory.
        path: Box<str>,
        /// The jobs' directories in it.
        jobs: Vec<Box<str>>,
    },
    /// A checkpoint's directory lacks the file that makes it complete.
    #[error("{path} lacks its `_metadata`: the checkpoint was never completed")]
    Incomplete {
        /// The checkpoint's directory.
        path: Box<str>,
    },
    /// No checkpoint of the job's directory can be used.
    #[error("{path} holds no usable checkpoint, {} were tried: {}", skipped.len(), Listed(skipped))]
    NoneUsable {
        /// The directory.
        path: Box<str>,
        /// What was tried, newest first.
        skipped: Vec<SkippedCheckpoint>,
    },
    /// The storage failed.
    #[error("cannot read {path}")]
    Storage {
        /// What was read.
        path: Box<str>,
        /// Why.
        source: StorageError,
    },
    /// The metadata is damaged, or not of a version that is known here.
    #[error("{path} is no usable checkpoint metadata")]
    Metadata {
        /// The file.
        path: Box<str>,
        /// What is wrong with it.
        source: MetadataError,
    },
    /// Files that the checkpoint refers to are missing or are not the ones that were written.
    #[error("{} files of checkpoint {path} cannot be used: {}", problems.len(), Listed(problems))]
    Files {
        /// The checkpoint's directory.
        path: Box<str>,
        /// Every one of them.
        problems: Vec<FileProblem>,
    },
    /// No operator of the job claims this state.
    #[error(
        "the checkpoint holds state of operators that the job does not have: {}; give them their \
         old uid back, or allow the state to be dropped (-n)",
        Listed(operators)
    )]
    Unclaimed {
        /// Whose state it is.
        operators: Vec<OperatorUid>,
    },
    /// The number of key groups has changed.
    #[error(
        "operator {operator} was checkpointed with a maximum parallelism of {checkpoint} and the \
         job has {job}; set pipeline.max-parallelism to {checkpoint}"
    )]
    MaxParallelism {
        /// The operator.
        operator: OperatorUid,
        /// Of the checkpoint.
        checkpoint: MaxParallelism,
        /// Of the job.
        job: MaxParallelism,
    },
    /// A task is wider than its job can be.
    #[error("{task} has a parallelism of {parallelism}, above the job's maximum of {max}")]
    Parallelism {
        /// The task.
        task: TaskId,
        /// Its parallelism.
        parallelism: Parallelism,
        /// The number of key groups.
        max: MaxParallelism,
    },
    /// The subtasks of an operator disagree on how a state is dealt out.
    #[error("state {state:?} of operator {operator} is {first} in one subtask, {other} in another")]
    MixedDistribution {
        /// The operator.
        operator: OperatorUid,
        /// The state.
        state: Arc<str>,
        /// As the first subtask has it.
        first: Distribution,
        /// As a later subtask has it.
        other: Distribution,
    },
    /// A file of a claimed checkpoint cannot be named from another directory.
    #[error("{file} has no URI that a checkpoint can refer to; resume without claiming")]
    Unreferable {
        /// The file, as the checkpoint refers to it.
        file: Box<str>,
    },
    /// A checkpoint of another program holds output that was queued in a sender.
    #[error(
        "operator {operator} has queued output in the checkpoint, and only records on the way \
         in can be restored; resume from an aligned checkpoint or a savepoint"
    )]
    QueuedOutput {
        /// The operator.
        operator: OperatorUid,
    },
    /// Records in flight cannot be dealt out to another number of subtasks.
    #[error(
        "operator {operator} has records in flight in the checkpoint, which have no keys to be dealt \
         out by: resume with its parallelism of {checkpoint} (not {job}), or from an aligned \
         checkpoint or a savepoint"
    )]
    InFlight {
        /// The operator.
        operator: OperatorUid,
        /// Of the checkpoint.
        checkpoint: Parallelism,
        /// Of the job.
        job: Parallelism,
    },
}

/// A checkpoint that was passed over on the way to a usable one.
#[derive(Debug)]
pub struct SkippedCheckpoint {
    /// Its directory.
    pub path: Box<str>,
    /// Why it cannot be used.
    pub error: RestoreError,
}

impl fmt::Display for SkippedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Named by the error too, as a rule; the causes below it are told nowhere else.
        self.error.fmt(f)?;
        let mut cause = self.error.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// A file that a checkpoint refers to and that cannot be used.
#[derive(Debug)]
pub struct FileProblem {
    /// The file, as the checkpoint refers to it.
    pub reference: FileReference,
    /// The operator whose state it holds.
    pub operator: OperatorUid,
    /// The index of the first subtask whose state it holds, from 0.
    pub subtask: u16,
    /// What is wrong with it.
    pub fault: FileFault,
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reference, operator, subtask, fault } = self;
        write!(f, "{reference} (operator {operator}, subtask {}) {fault}", u32::from(*subtask) + 1)
    }
}

/// What is wrong with a file.
#[derive(Debug)]
#[non_exhaustive]
pub enum FileFault {
    /// It is not there.
    Missing,
    /// It is shorter or longer than it was, in bytes.
    Length {
        /// As it was written.
        expected: u64,
        /// As it is.
        found: u64,
    },
    /// Its content is another one.
    Digest {
        /// Of what was written.
        expected: Digest,
        /// Of what is there.
        found: Digest,
    },
    /// It cannot be read.
    Unreadable(StorageError),
}

impl From<StorageError> for FileFault {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Missing { .. } => Self::Missing,
            StorageError::OtherLength { expected, found, .. } => Self::Length { expected, found },
            StorageError::OtherContent { expected, found, .. } => Self::Digest { expected, found },
            other => Self::Unreadable(other),
        }
    }
}

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is missing"),
            Self::Length { expected, found } => {
                write!(f, "has {found} bytes, {expected} were written")
            }
            Self::Digest { expected, found } => {
                write!(f, "is damaged: its digest is {found}, {expected} was written")
            }
            Self::Unreadable(error) => {
                write!(f, "cannot be read: {error}")?;
                error.source().map_or(Ok(()), |cause| write!(f, ": {cause}"))
            }
        }
    }
}

/// Shows a list on one line.
struct Listed<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Listed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{item}")?;
        }
        Ok(())
    }
}
