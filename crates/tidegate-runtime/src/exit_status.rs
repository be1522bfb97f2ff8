//! How a job program and `tidegate` end: the numbers are a promise (docs/exit-codes.md).

use std::process::ExitCode;

use tidegate_connect::ConnectError;
use tidegate_coordinator::JobStatus;
use tidegate_store::StorageError;

use crate::error::JobError;

/// How a job program ends, and with it `tidegate run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum ExitStatus {
    /// 0: the job FINISHED, or the command did what it was asked.
    Finished = 0,
    /// 1: the job FAILED, or the command did.
    Failed = 1,
    /// 2: the command line or the configuration is not usable; nothing was started.
    Usage = 2,
    /// 3: the checkpoint to resume from is damaged, incomplete or does not fit the job.
    RestoreRefused = 3,
    /// 4: the checkpoint or output directory belongs to another job or process.
    Occupied = 4,
    /// 5: the job was CANCELED.
    Canceled = 5,
    /// 6: the job was SUSPENDED (SIGTERM) and can be resumed.
    Suspended = 6,
}

impl ExitStatus {
    /// The number.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// How a program ends whose job ended with this error.
    #[must_use]
    pub fn of_error(error: &JobError) -> Self {
        match error {
            JobError::Config(_)
            | JobError::Name(_)
            | JobError::DuplicateUid { .. }
            | JobError::Empty
            | JobError::Parallelism { .. }
            | JobError::NoCheckpointDirectory
            | JobError::Backend { .. }
            | JobError::Storage(
                StorageError::InvalidUri { .. }
                | StorageError::UnknownScheme { .. }
                | StorageError::PasswordInUri { .. },
            )
            | JobError::Connect(ConnectError::InputMissing { .. }) => Self::Usage,
            JobError::Restore(_)
            | JobError::Committables { .. }
            | JobError::RestoredState { .. }
            | JobError::Connect(ConnectError::Malformed { .. }) => Self::RestoreRefused,
            JobError::Storage(StorageError::Owned { .. } | StorageError::OwnershipLost { .. })
            | JobError::Superseded { .. }
            | JobError::Connect(
                ConnectError::ForeignOutput { .. } | ConnectError::OutputInUse { .. },
            ) => Self::Occupied,
            _ => Self::Failed,
        }
    }
}

impl From<JobStatus> for ExitStatus {
    fn from(status: JobStatus) -> Self {
        match status {
            JobStatus::Finished => Self::Finished,
            JobStatus::Failed => Self::Failed,
            JobStatus::Canceled => Self::Canceled,
            JobStatus::Suspended => Self::Suspended,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}
