//! A running job as others see it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tidegate_types::{AttemptId, CheckpointId, JobId};

/// What a job says of itself when it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRegistration {
    /// The job.
    pub job_id: JobId,
    /// Its name.
    pub job_name: String,
    /// The job's directory of checkpoints, as a URI.
    pub checkpoint_directory: String,
    /// The attempt with which it starts.
    pub attempt: AttemptId,
    /// The number of the first checkpoint that it can take.
    pub first_checkpoint: CheckpointId,
    /// When it started: milliseconds since the Unix epoch.
    pub started_at_ms: u64,
    /// The `tidegate run` that starts the job's program again if it crashes.
    pub supervisor_process_id: Option<u32>,
}

impl JobRegistration {
    /// A job that starts now.
    pub fn current(
        job_id: JobId,
        job_name: &str,
        checkpoint_directory: String,
        attempt: AttemptId,
    ) -> Self {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self {
            job_id,
            job_name: job_name.to_owned(),
            checkpoint_directory,
            attempt,
            first_checkpoint: CheckpointId::FIRST,
            started_at_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            supervisor_process_id: None,
        }
    }
}

/// A running job, as its file in the run-time directory tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobEntry {
    /// The job's id, 32 hexadecimal digits.
    pub job_id: String,
    /// The job's name.
    pub job_name: String,
    /// The process it runs in.
    pub process_id: u32,
    /// When that process started, in the kernel's clock ticks: tells it from a later one with the
    /// same id.
    pub process_start_time: u64,
    /// When the job started: milliseconds since the Unix epoch.
    pub started_at_ms: u64,
    /// The job's directory of checkpoints, as a URI.
    #[serde(default)]
    pub checkpoint_directory: String,
    /// The attempt with which it started.
    #[serde(default)]
    pub attempt: u64,
    /// The number of the first checkpoint that it can take; zero if a program does not tell.
    #[serde(default)]
    pub first_checkpoint: u64,
    /// The `tidegate run` that starts the job's program again if it crashes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supervisor: Option<ProcessIdentity>,
    /// The job's file in the run-time directory; not part of its content.
    #[serde(skip)]
    pub path: PathBuf,
}

/// A process, told from a later one with the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Its id.
    pub process_id: u32,
    /// When it started, in the kernel's clock ticks.
    pub start_time: u64,
}

impl ProcessIdentity {
    /// The process with this id; `None` if there is none.
    #[must_use]
    pub fn of(process_id: u32) -> Option<Self> {
        let start_time = crate::process::stat(process_id)?.start_time;
        Some(Self { process_id, start_time })
    }

    /// Whether it lives.
    #[must_use]
    pub fn is_running(&self) -> bool {
        crate::process::stat(self.process_id)
            .is_some_and(|stat| stat.start_time == self.start_time && !stat.is_zombie)
    }
}

impl JobEntry {
    /// The socket at which the job answers.
    pub fn socket(&self) -> PathBuf {
        self.path.with_extension("sock")
    }

    pub(super) fn of_this_process(job: JobRegistration, directory: &Path) -> Self {
        let process_id = std::process::id();
        let job_id = job.job_id.to_string();
        let path = directory.join(format!("{job_id}-{process_id}.json"));
        Self {
            job_id,
            job_name: job.job_name,
            process_id,
            process_start_time: crate::process::stat(process_id).map_or(0, |s| s.start_time),
            started_at_ms: job.started_at_ms,
            checkpoint_directory: job.checkpoint_directory,
            attempt: job.attempt.get(),
            first_checkpoint: job.first_checkpoint.get(),
            supervisor: job.supervisor_process_id.and_then(ProcessIdentity::of),
            path,
        }
    }
}
