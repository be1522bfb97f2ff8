//! What is said on the socket.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a client wants of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ControlRequest {
    /// How is the job?
    Status,
    /// End the job as CANCELED.
    Cancel,
    /// Take a savepoint and go on.
    Savepoint {
        /// The path or URI in which it gets a directory; that of the configuration if absent.
        directory: Option<String>,
    },
    /// Take a savepoint and end the job as FINISHED.
    Stop {
        /// As of [`ControlRequest::Savepoint`].
        directory: Option<String>,
        /// Whether event time ends first, so that all windows and timers fire.
        drain: bool,
    },
    /// How is the savepoint?
    SavepointStatus {
        /// As [`ControlResponse::SavepointStarted`] named it.
        id: u64,
    },
}

/// What the job answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ControlResponse {
    /// To [`ControlRequest::Status`].
    Status(JobStatusReport),
    /// The job does what was asked.
    Accepted,
    /// The savepoint will be taken; ask how it is.
    SavepointStarted {
        /// What it is asked after by.
        id: u64,
        /// The URI of its directory, once it is complete.
        path: String,
    },
    /// To [`ControlRequest::SavepointStatus`].
    Savepoint(SavepointReport),
    /// The job does not do what was asked.
    Refused {
        /// Why, for people to read.
        reason: String,
    },
}

/// How a job is. What a newer or older program leaves out is zero or absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobStatusReport {
    /// What the job is doing.
    pub state: JobState,
    /// Since the job started, in milliseconds.
    pub uptime_ms: u64,
    /// How often the job's tasks were started again after a failure.
    pub restarts: u32,
    /// How many checkpoints were completed in this run.
    pub completed_checkpoints: u64,
    /// How many checkpoints failed in this run.
    pub failed_checkpoints: u64,
    /// The number of the latest completed checkpoint.
    pub latest_checkpoint: Option<u64>,
    /// Where that is: what `run -s` takes.
    pub latest_checkpoint_path: Option<String>,
}

/// How a savepoint is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavepointReport {
    /// Whether it is there.
    pub state: SavepointState,
    /// The URI of its directory.
    pub path: String,
    /// How many subtasks have written their part.
    pub acknowledged: usize,
    /// How many there are; 0 until it begins.
    pub subtasks: usize,
    /// How much they have written, in bytes.
    pub bytes: u64,
    /// Why there is none, for people to read.
    pub failure: Option<String>,
}

/// Whether a savepoint is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SavepointState {
    /// Not yet.
    #[default]
    Pending,
    /// It is complete and durable.
    Completed,
    /// There will be none.
    Failed,
    /// Something that this version of the program does not know.
    #[serde(other)]
    Unknown,
}

/// What a running job is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum JobState {
    /// Its tasks are being made and their state restored.
    #[default]
    Starting,
    /// It processes records.
    Running,
    /// A task failed; it waits before it starts again.
    Restarting,
    /// Its input has ended; the last results are being committed.
    Finishing,
    /// It was cancelled and is about to end.
    Cancelling,
    /// It was asked to make room and is about to end.
    Suspending,
    /// Something that this version of the program does not know.
    #[serde(other)]
    Unknown,
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Restarting => "RESTARTING",
            Self::Finishing => "FINISHING",
            Self::Cancelling => "CANCELLING",
            Self::Suspending => "SUSPENDING",
            Self::Unknown => "UNKNOWN",
        })
    }
}
